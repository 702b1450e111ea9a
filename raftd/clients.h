/* clients.h: serves local clients (proto.h) on one event loop: a reader thread's, or the main loop
 * when there are no reader threads.
 *
 * Local reads, lists and status are answered here at once from RCU-protected state, whatever the
 * main loop and the disk are doing. Linearizable reads wait until the loop says that they may be
 * served (shared.h); all reads of one iteration share one ticket. Writes become struct request and
 * go to the loop. What a client can make us hold is bounded: a client that does not read its
 * answers is not read from either, and is dropped after CLIENTS_STALL_US.
 */
#ifndef RAFTD_CLIENTS_H
#define RAFTD_CLIENTS_H

#include <ev.h>

#include "raftd/shared.h"

enum {
    CLIENTS_CONNS_MAX = 256,     /* connections of one instance; more are told RESULT_BUSY */
    CLIENTS_CONN_OPS_MAX = 2048, /* unanswered requests of one connection: enough for a pipeline
                                    over a slow link, then RESULT_BUSY */
    CLIENTS_READS_MAX = 16384,   /* reads of one instance that wait, about 0.4 KiB each */
    CLIENTS_PARTS_MAX_BYTES = 16 << 20,  /* values of one instance that are arriving in parts */
    CLIENTS_OUT_MAX_BYTES = 1 << 20,     /* answers that wait for one client before it is not read
                                        from; one more answer may come on top */
    CLIENTS_BATCH = 32,                  /* packets of one recvmmsg */
    CLIENTS_STALL_US = 10 * 1000 * 1000, /* a client that takes no answer for so long is dropped */
    CLIENTS_RETRY_US = 1000 * 1000,      /* accept failed (no descriptors left): next try */
};

struct clients;

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
