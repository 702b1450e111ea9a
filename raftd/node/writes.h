/* writes.h: the writes of local clients.
 *
 * A write enters at the node that its client talks to (its origin) and gets a number that is unique in
 * this process, whose name is random. The leader's origin is treated like any other. The origin learns
 * the outcome by applying its own write: no reply travels.
 *
 * Writes leave for the leader in the order of their numbers. When there is another leader, all writes without
 * an answer leave again, since the copies that the last leader had may be lost. If several copies reach the
 * log, the state machine applies one of them (raftd/state/origins.h). It counts on this: number n is given
 * only when number n - NODE_WRITES_MAX is answered.
 */
#ifndef RAFTD_WRITES_H
#define RAFTD_WRITES_H

#include "raftd/node/io.h"
#include "raftd/node/relay.h"
#include "raftd/node/replica.h"
#include "raftd/state/machine.h"

/* Only writes.c looks inside. */
struct writes {
    const struct node_config *cfg;
    const struct node_io *io;
    struct replica *replica;
    struct relay_out *relay;
    struct machine *machine;
    uint64_t process;                         /* random name of this process, see origins.h */
    struct request *pending[NODE_WRITES_MAX]; /* at number % NODE_WRITES_MAX */
    struct request *done, **done_end; /* applied, but readers don't see it yet; first to last */
    unsigned n;                       /* pending */
    size_t bytes;                     /* pending */
    uint64_t next;                    /* number of the next write that comes */
    uint64_t send_next;   /* pending writes below it were sent to the leader of sent_term */
    uint64_t sent_term;   /* 0: all are to be sent again */
    uint16_t sent_stream; /* the stream of relays that they were sent in; 0: in none yet */
    uint64_t deadline;    /* no write times out before it */
};

/* *w is zeroed. All that is passed here outlives it. */
void writes_init(struct writes *w, const struct node_config *cfg, const struct node_io *io,
                 struct replica *r, struct relay_out *relay, struct machine *machine);

/* Takes over a write of a client; it is answered later, or in this call when refused. */
void writes_add(struct writes *w, uint64_t now, struct request *req);

/* Sends the writes that the present leader does not have, in order, as far as there is room. */
void writes_send(struct writes *w, uint64_t now);

/* What the operations of a write of this node tell: it is kept if a client waits for it. Comes right before
 * writes_applied(). */
void writes_told(struct writes *w, const struct applied *a, const struct told *told, unsigned n);

/* A write of this node, perhaps of an earlier process, was applied. True: writes are to be sent again. */
bool writes_applied(struct writes *w, const struct applied *a);

/* A snapshot's state took the place of ours: it has the outcomes of writes that were applied. The other ones
 * are sent again. */
void writes_installed(struct writes *w);

/* Readers can see what was applied, so clients get their answers. */
void writes_published(struct writes *w);

/* Answers the writes whose time is up: RESULT_UNKNOWN if they have left this node, else why they have not. */
void writes_expire(struct writes *w, uint64_t now);

/* The daemon stops: answers all with RESULT_STOPPING. */
void writes_stop(struct writes *w);

/* The random name of this process. */
uint64_t writes_process(const struct writes *w);

unsigned writes_pending(const struct writes *w);
uint64_t writes_deadline(const struct writes *w);

#endif
