/* shared.h: what the loop and the reader threads share, and how.
 *
 *   writes   reader -> loop by `requests`, loop -> reader by `answers` (wait-free queues of
 *            liburcu; the objects are struct request)
 *   rounds   reader -> reader by `answers` (round.h)
 *   reads    a reader that needs a linearizable read raises its read_want and wakes the loop; the
 *            loop sets read_done to the highest read_want whose reads may now be served from kv
 *   state    kv, status and events are RCU-protected: readers look, the loop replaces
 *
 * `wake` calls are safe from any thread (ev_async_send).
 */
#ifndef RAFTD_SHARED_H
#define RAFTD_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/wfcqueue.h>

#include "raftd/base/rcu.h"
#include "raftd/node/happened.h"
#include "raftd/node/status.h"
#include "raftd/serve/tally.h"
#include "raftd/serve/users.h"

struct cursors;
struct kv;
struct request;

enum {
    SHARED_PASSWORD_BYTES = 64, /* the digits of a key as raftctl keygen makes it; no zero behind */
};

enum { READERS_MAX = 8 }; /* more threads than any edge box has cores */

struct shared_reader {
    _Atomic uint64_t read_want; /* written by the reader */
    _Atomic uint64_t read_done; /* written by the loop */
    _Atomic unsigned watchers;  /* clients that want to know what is published; likewise ... */
    _Atomic unsigned followers; /* ... and those that are told of events */
    _Atomic bool ended;         /* by the reader: shared.ends, and it has no client any more */
    struct tally tally;         /* likewise */
    struct cds_wfcq_head answers_head;
    struct cds_wfcq_tail answers_tail;
    /* Tells the reader that there are answers, or that read_done has risen. NULL: it is there no more. */
    void (*wake)(void *ctx);
    void *wake_ctx;
};

struct shared {
    struct kv *kv;
    const struct kv *claims; /* the machine's (holders.h) */
    struct cursors *cursors; /* of scans */
    struct status *status;   /* RCU pointer; never NULL once readers run */
    struct happened *events; /* RCU pointer; NULL until there is a node */
    uint32_t max_value_bytes;
    /* kv has all that this node knew before it started, and the node is not in doubt. Else reads that no
     * leader confirms are answered with RESULT_NOT_YET, ... */
    _Atomic bool local_reads;
    _Atomic bool old_reads; /* ... or, if kv has a state to show, with a mark that says so */
    /* Until when this node's clients hold what kv says that they hold, see raftd/node/lease.h; 0: they do
     * not. To be read before kv is, and to be compared with the clock after that. */
    _Atomic uint64_t lease_until_us;
    /* What cluster time is ahead of CLOCK_BOOTTIME, modulo 2^64: it goes on while no entry comes. */
    _Atomic uint64_t cluster_ahead_us;
    _Atomic bool starting; /* nothing else but status is served: status.recovering says why */
    /* By clients; the loop takes them back. */
    _Atomic bool snapshot_asked, drain_asked;
    _Atomic bool status_asked;       /* the present status was shown: the next one is wanted soon */
    _Atomic uint32_t transfer_asked; /* leader << 16 | heir; 0 = nobody has */
    _Atomic bool
        ends; /* set by the loop, once: clients are served what they have asked for, and no more */
    struct cds_wfcq_head requests_head;
    struct cds_wfcq_tail requests_tail;
    void (*wake_loop)(void *ctx);
    void *wake_loop_ctx;
    _Atomic uint64_t shown; /* index of the newest view of kv, see shared_show() */
    _Atomic uint64_t told;  /* number of the newest event, see shared_tell() */
    /* Where clients come by TCP, -1: nowhere; and what they must know. Set before readers run. */
    int tcp_fd;
    char password[SHARED_PASSWORD_BYTES];
    _Atomic unsigned listens; /* times that the listening socket was made again */
    struct users users;
    unsigned n_guests;  /* how many guests one reader may have, see clients.h */
    unsigned n_readers; /* slots in use; with readers = 0 the loop itself is slot 0 */
    struct shared_reader readers[READERS_MAX];
};

/* A published status, freed by RCU. */
struct status_box {
    struct status status;
    struct rcu_head rcu;
};

/* An empty state and empty queues for so many reader threads; 0: the main loop answers reads. The limits of
 * clients.h are not set yet. wake_loop(ctx) is called from any thread. NULL without memory. */
struct shared *shared_new(uint32_t max_value_bytes, unsigned readers, void (*wake_loop)(void *ctx),
                          void *ctx);

/* Publishes a status in the place of the present one. `box` was made by malloc() and is not the caller's any
 * more. To be called by the loop's thread. */
void shared_publish(struct shared *s, struct status_box *box);

/* Publishes a copy of the events, and wakes the readers some of whose clients follow them. False: there is no
 * memory, and nothing was done. To be called by the loop's thread. */
bool shared_tell(struct shared *s, const struct happened *h);

/* Wakes the readers some of whose clients watch, if this is the index of a new view. To be called by the
 * loop's thread, after it has published. */
void shared_show(struct shared *s, uint64_t index);

/* Hands a request that goes round (round.h) to the next thread, or back to the one that it comes from. */
void shared_pass_on(struct shared *s, struct request *req);

/* Some client wants to know what is published next. */
bool shared_awaits(struct shared *s);

/* Frees a request, and gives back what its user has taken for it. */
void request_free(struct shared *s, struct request *req);

/* Frees requests that came too late. The loop and the readers have ended. */
void shared_drop(struct shared *s);

/* Frees all, with such requests. */
void shared_free(struct shared *s);

#endif
