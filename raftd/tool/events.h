/* events.h: follows the events of the local daemon (base/event.h), over one connection after the other. */
#ifndef RAFTCTL_EVENTS_H
#define RAFTCTL_EVENTS_H

#include "raftd/base/event.h"
#include "raftd/tool/raftctl.h"
#include "raftd/tool/retry.h"

/* {.t = t, .since = n, .c.fd = -1, .retry = RETRY_NOW}: nothing is connected yet, and the events behind
 * number n are wanted; 0: how things are, and then all. */
struct events {
    struct tool *t;
    uint64_t since; /* number of the event that was told last */
    bool waits;   /* for a daemon that is not there yet; else it has to be there at the beginning */
    struct ctl c; /* c.fd: when something comes it is readable; -1 = not connected, ... */
    struct retry retry; /* ... and this tells when to try that again */
    /* Only events.c looks at these: */
    bool begun, answered; /* a daemon was there; it has answered on this connection */
    bool gone, said;      /* EVENT_DAEMON_GONE was told; it was said that there is no daemon yet */
    uint64_t term;        /* as last told */
    redisReply *held;     /* what the last event is in, or NULL */
};

/* Gives the next event, and connects for that as often as it takes, until ctl_now_ns() is deadline_ns: 0 =
 * what is there now, UINT64_MAX = for ever. *is: there is one; its texts last until the next call. Returns
 * an exit code (exits.h), and then has said why and ended. */
int events_next(struct events *e, struct event *event, uint64_t deadline_ns, bool *is);

void events_end(struct events *e);

/* Has `take` called with each event, for ever. Returns an exit code. */
int events_follow(struct events *e, void (*take)(void *ctx, const struct event *event), void *ctx);

/* Takes an event from what RAFT.EVENTS sent; its texts last as long as that. False: it is none. */
bool event_read(const redisReply *a, struct event *event);

/* Prints an event in a line: SEQ SECONDS TERM KIND role=ROLE leader=ID [node=ID] [state=1] [why=WORDS]; or
 * as a JSON object. */
void print_event(FILE *out, const struct event *e, bool json);

#endif
