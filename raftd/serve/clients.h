/* clients.h: serves local clients (proto.h) on one event loop: a reader thread's, or the main loop
 * when there are no reader threads.
 *
 * Local reads, lists and status are answered here at once from RCU-protected state, whatever the
 * main loop and the disk are doing. Linearizable reads wait until the loop says that they may be
 * served (shared.h); all reads of one iteration share one ticket. Writes become struct request and
 * go to the loop. What a client can make us hold is bounded: a client that does not read its
 * answers is not read from either, and is dropped after CLIENTS_STALL_US. No user takes more than
 * its share (users.h).
 *
 * A client that has closed its sending side still gets its answers. One that we turn away gets the
 * answer that says so, whatever it is sending at that moment.
 */
#ifndef RAFTD_CLIENTS_H
#define RAFTD_CLIENTS_H

#include <ev.h>

#include "raftd/serve/shared.h"

enum {
    CLIENTS_CONNS_MAX = 256, /* connections of one instance */
    CLIENTS_GUESTS_MAX = 16, /* connections of one instance over the limit of all: they are told
                                    RESULT_BUSY, and the status if they ask for it */
    CLIENTS_GUEST_US = 1000 * 1000, /* and end then at the latest, or when there are too many */
    CLIENTS_ACCEPT_MAX = 16,     /* connections taken in one iteration, so that others get a turn */
    CLIENTS_CONN_OPS_MAX = 2048, /* unanswered requests of one connection: enough for a pipeline
                                    over a slow link, then RESULT_BUSY */
    /* What all instances have together. */
    CLIENTS_READS_MAX = 16384, /* reads that wait, about 0.4 KiB each */
    CLIENTS_WRITES_MAX = 4096, /* as the node takes */
    CLIENTS_WRITES_MAX_BYTES = 8 << 20,
    CLIENTS_PARTS_MAX_BYTES = 16 << 20, /* values that are arriving in parts */

    CLIENTS_PART_IDLE_US = 10 * 1000 * 1000, /* a value of which nothing came for so long ends */
    CLIENTS_OUT_ALL_BYTES = 16 << 20, /* answers that wait for their clients to read them ... */

    CLIENTS_OUT_MAX_BYTES = 1 << 20, /* ... for one of them, before nothing more is done for it; one
                                        more answer may come on top ... */
    CLIENTS_OUT_OWN_BYTES =
        1 << 15,                 /* ... and so many need no share: a small answer always passes */
    CLIENTS_ROOM_US = 10 * 1000, /* who waits for a share asks again */

    /* A unit of work is some microsecond. All connections get one turn in each iteration, so that
     * 256 of them take some 20 ms; lists get what is left over. */
    CLIENTS_TURN_WORK = 64,    /* of one connection's turn: some dozen requests */
    CLIENTS_LISTS_WORK = 1024, /* of all lists in one iteration, or one page */
    CLIENTS_STATUS_WORK = 16,  /* it prints some hundred lines */
    CLIENTS_WORK_BYTES = 4096, /* copied for one unit */
    CLIENTS_WORK_KEYS = 8,     /* listed for one unit */

    CLIENTS_STALL_US = 10 * 1000 * 1000, /* a client that takes no answer for so long is dropped */
    CLIENTS_RETRY_US = 1000 * 1000,      /* accept failed (no descriptors left): next try */
    CLIENTS_LEFT_US = 1000 * 1000, /* so often we look whether a client that has asked its last is
                                      still there for the answers */
};

struct clients;

/* Sets the limits of shared->users and shared->n_guests; `files` descriptors are for connections of
 * all shared->n_readers instances together. Returns how many clients are served at a time. */
unsigned clients_set_limits(struct shared *shared, unsigned files);

/* Serves connections of listen_fd (shared with other instances, stays the caller's) on `loop`, as
 * reader number `reader` of `shared`, which outlives it; fills in that reader's wake call. The
 * calling thread has called rcu_thread_begin() and runs the loop later. NULL without memory or
 * file descriptors. */
struct clients *clients_new(struct ev_loop *loop, struct shared *shared, unsigned reader,
                            int listen_fd);

/* Hands over the answers that have come, drops all connections. By the loop's thread. Nothing may
 * call the reader's wake afterwards, or push answers. Writes still at the node are the caller's
 * problem: end the node first. */
void clients_free(struct clients *c);

#endif
