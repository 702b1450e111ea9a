/* core_one.h: one core fed by hand, for unit tests with cmocka. */
#ifndef TESTS_CORE_ONE_H
#define TESTS_CORE_ONE_H

#include "raftd/core/raft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/core_members.h"

enum { T = 150000, RUNS = 64 };

struct node {
    struct raft r;
    struct raft_run runs[RUNS];
    struct raft_edit edit;
    struct raft_ready rd;
    raft_time now;
};

/* Node 1 of n voters, with a log of `last` entries of term 1 if last > 0. */
static inline void start(struct node *t, unsigned n, uint64_t term, uint64_t last)
{
    struct raft_config cfg = {.id = 1, .election_timeout = T, .seed = 1, .boot = 7};
    uint16_t ids[RAFT_VOTERS_MAX];
    struct raft_run run = {.first_index = 1, .term = 1};
    struct raft_restored s = {
        .term = term, .last_index = last, .runs = &run, .n_runs = last > 0 ? 1 : 0};
    for (unsigned i = 0; i < n; i++)
        ids[i] = (uint16_t)(i + 1);
    s.members = members_of_voters(ids, n);
    cfg.heartbeat = T / 3;
    cfg.retry = T / 8;
    cfg.ack_delay = 5000;
    cfg.disk_stall = 2 * T;
    cfg.full_retry = 10 * T;
    memset(t, 0, sizeof *t);
    t->now = 1;
    raft_init(&t->r, &cfg, &s, t->runs, RUNS, t->now);
}

static inline void check(const struct node *t)
{
    const char *broken = raft_check(&t->r);
    if (broken != NULL)
        fail_msg("%s", broken);
}

static inline void step(struct node *t, const struct raft_event *ev)
{
    raft_step(&t->r, t->now, ev, &t->edit);
    check(t);
}

static inline void receive(struct node *t, struct raft_msg m)
{
    m.to = 1;
    step(t, &(struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &m});
}

static inline void tick(struct node *t)
{
    step(t, &(struct raft_event){.type = RAFT_EV_TICK});
}

static inline void propose(struct node *t, uint64_t n)
{
    step(t, &(struct raft_event){.type = RAFT_EV_PROPOSE, .propose.n = n});
}

static inline void transfer(struct node *t, uint16_t heir, bool drain)
{
    step(t, &(struct raft_event){.type = RAFT_EV_TRANSFER,
                                 .transfer = {.heir = heir, .drain = drain}});
}

static inline void ask(struct node *t, uint64_t req)
{
    step(t, &(struct raft_event){.type = RAFT_EV_READ, .read.req = req});
}

static inline void ready(struct node *t)
{
    raft_ready(&t->r, t->now, &t->rd);
    check(t);
}

static inline void advance(struct node *t)
{
    raft_advance(&t->r, t->now, &t->rd);
    check(t);
}

static inline void persisted(struct node *t)
{
    step(t, &(struct raft_event){.type = RAFT_EV_PERSISTED, .persisted.seq = t->r.inflight_seq});
}

static inline void refused(struct node *t)
{
    step(t, &(struct raft_event){.type = RAFT_EV_REFUSED, .refused.seq = t->r.inflight_seq});
}

/* Takes everything over and completes it, until there is nothing to do. */
static inline void settle(struct node *t)
{
    for (ready(t); t->rd.n_now > 0 || t->rd.persist.seq != 0 || t->rd.read; ready(t)) {
        advance(t);
        if (t->r.inflight_seq != 0)
            persisted(t);
    }
    advance(t);
}

static inline const struct raft_msg *find(const struct raft_msg *list, size_t n,
                                          enum raft_msg_type type, uint16_t to)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].type == type && list[i].to == to)
            return &list[i];
    }
    return NULL;
}

static inline const struct raft_msg *now_msg(const struct node *t, enum raft_msg_type type,
                                             uint16_t to)
{
    return find(t->rd.now, t->rd.n_now, type, to);
}

static inline void grant(struct node *t, uint16_t from, bool pre)
{
    struct raft_msg m = {.type = RAFT_MSG_VOTE_RSP, .from = from, .term = t->r.term};
    m.vote_rsp.pre = pre;
    m.vote_rsp.granted = true;
    m.vote_rsp.campaign = t->r.campaign;
    m.vote_rsp.vote_term = t->r.term + pre;
    receive(t, m);
}

/* Makes it leader with everything it has on disk. */
static inline void win(struct node *t)
{
    t->now = t->r.election_deadline;
    tick(t);
    for (uint16_t id = 2; t->r.role == RAFT_PRE_CANDIDATE; id++)
        grant(t, id, true);
    settle(t);
    for (uint16_t id = 2; t->r.role == RAFT_CANDIDATE; id++)
        grant(t, id, false);
    assert_int_equal(t->r.role, RAFT_LEADER);
    settle(t);
}

static inline struct raft_msg lead(uint64_t term, uint64_t round, uint64_t commit, uint32_t epoch)
{
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .from = 2, .term = term};
    m.lead.round = round;
    m.lead.commit = commit;
    m.lead.epoch = epoch;
    return m;
}

static inline struct raft_msg probe(uint64_t term, uint32_t number, uint64_t prev,
                                    uint64_t prev_term)
{
    struct raft_msg m = {.type = RAFT_MSG_PROBE, .from = 2, .term = term};
    m.probe.probe = number;
    m.probe.prev_index = prev;
    m.probe.prev_term = prev_term;
    return m;
}

/* Entries prev+1..last on the stream of the leader, node 2. */
static inline void append(struct node *t, uint64_t prev, uint64_t last, const struct raft_run *runs,
                          size_t n_runs)
{
    struct raft_event ev = {.type = RAFT_EV_APPEND};
    ev.append.from = 2;
    ev.append.term = t->r.term;
    ev.append.epoch = t->r.epoch;
    ev.append.prev_index = prev;
    ev.append.prev_term = raft_term_at(&t->r, prev);
    ev.append.last_index = last;
    ev.append.runs = runs;
    ev.append.n_runs = n_runs;
    step(t, &ev);
}

static inline int setup(void **state)
{
    *state = calloc(1, sizeof(struct node));
    return *state == NULL;
}

static inline int teardown(void **state)
{
    free(*state);
    return 0;
}

/* raft_check() finds the changed state broken. */
#define BREAK(change)                                                                              \
    do {                                                                                           \
        struct raft saved = t->r;                                                                  \
        change;                                                                                    \
        assert_non_null(raft_check(&t->r));                                                        \
        t->r = saved;                                                                              \
        assert_null(raft_check(&t->r));                                                            \
    } while (0)

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
