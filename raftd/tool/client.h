/* client.h: a small synchronous client of the local daemon (proto.h): connect, ask one
 * thing, get the whole answer. */
#ifndef RAFTCTL_CLIENT_H
#define RAFTCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/serve/outq.h"
#include "raftd/serve/proto.h"

enum {
    /* The daemon answers within the request's timeout; after this much more it is taken as hung. */
    CTL_GRACE_MS = 1000,
    CTL_BODY_MAX_BYTES = 64 << 20, /* a page of a list and its last item are far below */
};

enum ctl_outcome {
    CTL_ANSWERED,
    CTL_NOT_RUNNING, /* no daemon is there (errno says why), or it ended before it had the whole request:
                        nothing was done */
    CTL_NOT_TAKEN, /* a daemon did not take the request in time: nothing was done */
    CTL_TIMEOUT,   /* it has the request and gave no answer in time */
    CTL_LOST,      /* it had the request, and the connection ended */
    CTL_NONSENSE,  /* the answer does not parse, or is too large to hold */
};

/* To be freed with ctl_answer_free(). */
struct ctl_answer {
    struct proto_reply head; /* of its last packet; head.body is not valid */
    uint8_t *body;           /* the whole body, and a zero behind it; NULL if it is empty */
    size_t len;              /* of body, without the zero */
};

/* A connected, non-blocking socket, or -1 with errno. */
int ctl_connect(const char *path);

/* Queues a request, whose part is the whole value, in as many packets as it needs. False without
 * memory. */
bool ctl_queue(struct outq *q, const struct proto_request *whole);

/* Sends `r`, whose part is the whole value, to the daemon at `path`, and waits for the answer for at most
 * r->timeout_ms + CTL_GRACE_MS. r->tag does not matter. */
enum ctl_outcome ctl_call(const char *path, const struct proto_request *r, struct ctl_answer *a);

void ctl_answer_free(struct ctl_answer *a);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t ctl_now_ns(void);

#endif
