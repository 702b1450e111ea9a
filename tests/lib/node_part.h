/* node_part.h: one part of a node alone, for unit tests with cmocka: its configuration, an owner that only
 * notes what it is asked, and a replica for the parts that stand on one. Node 1 of 3. */
#ifndef TESTS_NODE_PART_H
#define TESTS_NODE_PART_H

#include "raftd/node/io.h"
#include "raftd/node/replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { T_US = 150000, MS = 1000, S = 1000 * 1000, STORAGE = 11 };

struct part {
    uint64_t now;
    struct node_config cfg;
    struct node_io io;
    struct replica r;
    struct raft_ready rd;
    bool disk_waits; /* batches do not become durable */
    /* What the owner was asked last, and how often. */
    uint64_t seq;
    struct wal_batch batch;
    unsigned batches;
    struct request *answered;
    unsigned answers;
    uint16_t remember_id;
    uint8_t remember[ABOUT_KEY_BYTES];
    unsigned remembers;
    unsigned fetches;
};

static inline void part_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct part *p = ctx;
    p->seq = seq;
    p->batch = *b;
    p->batches++;
}

static inline void part_answer(void *ctx, struct request *req)
{
    struct part *p = ctx;
    p->answered = req;
    p->answers++;
}

static inline void part_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES])
{
    struct part *p = ctx;
    p->remember_id = id;
    memcpy(p->remember, key, sizeof p->remember);
    p->remembers++;
}

static inline void part_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from,
                              uint64_t last, uint8_t *buf, size_t cap)
{
    struct part *p = ctx;
    (void)what, (void)from, (void)last, (void)buf, (void)cap;
    p->fetches++;
}

static inline void part_configure(struct part *p)
{
    memset(p, 0, sizeof *p);
    p->now = 10 * S;
    p->cfg = (struct node_config){.cluster = "part",
                                  .id = 1,
                                  .voters = {1, 2, 3},
                                  .n_voters = 3,
                                  .key = {STORAGE},
                                  .known = {{STORAGE}},
                                  .election_timeout_us = T_US,
                                  .max_value_bytes = 4096,
                                  .batch_bytes = NODE_BATCH_BYTES_MAX,
                                  .datagram_bytes = 1200,
                                  .seed = 1,
                                  .boot = 7};
    p->io = (struct node_io){.ctx = p,
                             .persist = part_persist,
                             .answer = part_answer,
                             .remember = part_remember,
                             .fetch = part_fetch};
}

/* With a replica, whose log is empty. */
static inline void part_start(struct part *p)
{
    struct wal_report rep = {.verdict = WAL_CLEAN};
    part_configure(p);
    assert_true(replica_init(&p->r, &p->cfg, &p->io, &rep, 0, 0, p->now));
}

static inline void part_stop(struct part *p)
{
    replica_free(&p->r);
}

/* Does what the core wants to be done, until there is nothing left; messages are lost. */
static inline void part_settle(struct part *p)
{
    uint64_t seq;
    do {
        replica_ready(&p->r, p->now, &p->rd);
        seq = p->rd.persist.seq;
        if (seq != 0)
            replica_persist(&p->r, &p->rd.persist);
        replica_advance(&p->r, p->now, &p->rd);
        if (seq != 0 && !p->disk_waits)
            replica_persisted(&p->r, p->now, seq);
    } while (seq != 0 && !p->disk_waits);
}

static inline void part_receive(struct part *p, struct raft_msg m)
{
    m.to = 1;
    replica_step(&p->r, p->now, &(struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &m});
}

/* That node leads. */
static inline void part_follow(struct part *p, uint16_t leader, uint64_t term, uint64_t commit)
{
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .from = leader, .term = term};
    m.lead.round = p->now;
    m.lead.commit = commit;
    part_receive(p, m);
    part_settle(p);
}

static inline void part_grant(struct part *p, bool pre)
{
    const struct raft *c = replica_raft(&p->r);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_RSP, .from = 2, .term = c->term};
    m.vote_rsp.pre = pre;
    m.vote_rsp.granted = true;
    m.vote_rsp.campaign = c->campaign;
    m.vote_rsp.vote_term = c->term + pre;
    part_receive(p, m);
    part_settle(p);
}

/* It leads, its own first entry on its disk. */
static inline void part_lead(struct part *p)
{
    while (replica_raft(&p->r)->role == RAFT_FOLLOWER) {
        p->now = raft_deadline(replica_raft(&p->r));
        replica_step(&p->r, p->now, &(struct raft_event){.type = RAFT_EV_TICK});
        part_settle(p);
    }
    part_grant(p, true);
    part_grant(p, false);
    assert_int_equal(replica_raft(&p->r)->role, RAFT_LEADER);
}

/* The peer has the entry that it was asked for and takes the rest from now on. */
static inline void part_match(struct part *p, uint16_t peer)
{
    const struct raft_peer *rp = replica_peer(&p->r, peer);
    struct raft_msg m = {.type = RAFT_MSG_PROBE_ACK, .from = peer};
    m.term = replica_raft(&p->r)->term;
    m.probe_ack.probe = rp->probe;
    m.probe_ack.boot = 9;
    m.probe_ack.match = true;
    m.probe_ack.prev_index = rp->probe_index;
    part_receive(p, m);
    part_settle(p);
}

static inline void part_ack(struct part *p, uint16_t peer, uint64_t durable, uint64_t round)
{
    struct raft_msg m = {.type = RAFT_MSG_ACK, .from = peer, .term = replica_raft(&p->r)->term};
    m.ack.durable = durable;
    m.ack.round = round;
    m.ack.epoch = replica_peer(&p->r, peer)->epoch;
    m.ack.boot = 9;
    part_receive(p, m);
    part_settle(p);
}

#endif
