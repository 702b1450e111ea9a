/* changes.h: wishes of clients to change the members, on their way to the leader.
 *
 * A node has one wish under way. It is sent to the present leader until that answers, and then waits
 * until the entry that the leader has made of it is committed. A leader judges each number once, and
 * repeats its answer. If the leader is gone before it has answered, nobody knows whether it made the
 * entry, so the wish is not sent to the next leader.
 */
#ifndef RAFTD_CHANGES_H
#define RAFTD_CHANGES_H

#include "net/wire.h"
#include "raftd/base/member_change.h"
#include "raftd/node/io.h"
#include "raftd/node/replica.h"

/* The data directory that speaks under that id now. */
typedef struct member_seen changes_seen(const void *ctx, uint64_t now, uint16_t id);

/* Only changes.c looks inside; the answer is also looked at by its test. */
struct changes {
    const struct node_io *io;
    struct replica *replica;
    changes_seen *seen;
    const void *seen_ctx;
    uint64_t auto_replace_us; /* as leader: 0 = no member is replaced without being asked for */
    uint64_t look_at;         /* when one is looked for again */
    /* The wish of a client here. */
    struct request *req; /* NULL: none */
    uint64_t number;     /* of the present wish, or of the last one */
    uint64_t term;       /* of the leader that it was sent to; 0 = to none */
    uint64_t send_at;    /* it is not sent before */
    bool answered;       /* `answer` is the answer to `number` */
    struct wire_changed answer;
    uint8_t retried; /* enum member_verdict: why it is asked anew; MEMBER_TAKEN = it is not */
    /* As leader, in heard_term: the newest wish of each peer, and its answer. */
    uint64_t heard_term;
    unsigned n_heard; /* how many peers have asked; in a full table the oldest gives way */
    struct heard_change {
        uint16_t from;
        bool due; /* the answer is to be sent */
        struct wire_changed answer;
    } heard[RAFT_PEERS_MAX];
};

/* All that is passed here outlives it. */
void changes_init(struct changes *c, const struct node_config *cfg, const struct node_io *io,
                  struct replica *r, changes_seen *seen, const void *seen_ctx);

/* Takes over a request of kind REQUEST_CHANGE. */
void changes_ask(struct changes *c, uint64_t now, struct request *req);

/* Once per iteration. */
void changes_step(struct changes *c, uint64_t now);

/* A wish, or the answer to ours, came from a peer in a datagram of our term. */
void changes_take(struct changes *c, uint64_t now, uint16_t from, const struct wire_change *w);
void changes_answered(struct changes *c, uint16_t from, const struct wire_changed *w);

/* When something is to be sent to this peer; NEVER: nothing is. */
uint64_t changes_due(const struct changes *c, uint16_t peer);

/* Fills the wish, or the answer, that goes to this peer now. False: none does. w->bytes are valid until
 * another call. */
bool changes_fill(struct changes *c, uint64_t now, uint16_t peer, struct wire_change *w);
bool changes_fill_answer(struct changes *c, uint16_t peer, struct wire_changed *w);

/* When changes_step() has something to do. */
uint64_t changes_deadline(const struct changes *c);

/* The daemon stops: answers with RESULT_STOPPING. */
void changes_stop(struct changes *c);

/* A sentence for people: why nothing was done, and what to do. */
const char *changes_words(unsigned verdict);

#endif
