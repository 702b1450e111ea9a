// LINK: raftd/core/raft.c raftd/core/election.c raftd/core/replication.c raftd/core/read.c raftd/core/trail.c raftd/core/check.c
/* test_raft.c: one core alone, fed by hand: limits, impossible input, and the contract of ready and
 * advance. What a cluster does is in test_scripts.c and test_raft_random.c. */
#include "raftd/core/raft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { T = 150000, RUNS = 64 };

struct node {
    struct raft r;
    struct raft_run runs[RUNS];
    struct raft_edit edit;
    struct raft_ready rd;
    raft_time now;
};

/* Node 1 of n voters, with a log of `last` entries of term 1 if last > 0. */
static void start(struct node *t, unsigned n, uint64_t term, uint64_t last)
{
    struct raft_config cfg = {.id = 1, .n_voters = n, .election_timeout = T, .seed = 1, .boot = 7};
    struct raft_run run = {.first_index = 1, .term = 1};
    struct raft_restored s = {
        .term = term, .last_index = last, .runs = &run, .n_runs = last > 0 ? 1 : 0};
    for (unsigned i = 0; i < n; i++)
        cfg.voters[i] = (uint16_t)(i + 1);
    cfg.heartbeat = T / 3;
    cfg.retry = T / 8;
    cfg.ack_delay = 5000;
    cfg.disk_stall = 2 * T;
    memset(t, 0, sizeof *t);
    t->now = 1;
    raft_init(&t->r, &cfg, &s, t->runs, RUNS, t->now);
}

static void check(const struct node *t)
{
    const char *broken = raft_check(&t->r);
    if (broken != NULL)
        fail_msg("%s", broken);
}

static void step(struct node *t, const struct raft_event *ev)
{
    raft_step(&t->r, t->now, ev, &t->edit);
    check(t);
}

static void receive(struct node *t, struct raft_msg m)
{
    m.to = 1;
    step(t, &(struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &m});
}

static void tick(struct node *t)
{
    step(t, &(struct raft_event){.type = RAFT_EV_TICK});
}

static void propose(struct node *t, uint64_t n)
{
    step(t, &(struct raft_event){.type = RAFT_EV_PROPOSE, .propose.n = n});
}

static void ask(struct node *t, uint64_t req)
{
    step(t, &(struct raft_event){.type = RAFT_EV_READ, .read.req = req});
}

static void ready(struct node *t)
{
    raft_ready(&t->r, t->now, &t->rd);
    check(t);
}

static void advance(struct node *t)
{
    raft_advance(&t->r, t->now, &t->rd);
    check(t);
}

static void persisted(struct node *t)
{
    step(t, &(struct raft_event){.type = RAFT_EV_PERSISTED, .persisted.seq = t->r.inflight_seq});
}

/* Takes everything over and completes it, until there is nothing to do. */
static void settle(struct node *t)
{
    for (ready(t); t->rd.n_now > 0 || t->rd.persist.seq != 0 || t->rd.read; ready(t)) {
        advance(t);
        if (t->r.inflight_seq != 0)
            persisted(t);
    }
    advance(t);
}

static const struct raft_msg *find(const struct raft_msg *list, size_t n, enum raft_msg_type type,
                                   uint16_t to)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].type == type && list[i].to == to)
            return &list[i];
    }
    return NULL;
}

static const struct raft_msg *now_msg(const struct node *t, enum raft_msg_type type, uint16_t to)
{
    return find(t->rd.now, t->rd.n_now, type, to);
}

static void grant(struct node *t, uint16_t from, bool pre)
{
    struct raft_msg m = {.type = RAFT_MSG_VOTE_RSP, .from = from, .term = t->r.term};
    m.vote_rsp.pre = pre;
    m.vote_rsp.granted = true;
    m.vote_rsp.campaign = t->r.campaign;
    m.vote_rsp.vote_term = t->r.term + pre;
    receive(t, m);
}

/* Makes it leader with everything it has on disk. */
static void win(struct node *t)
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

static struct raft_msg lead(uint64_t term, uint64_t round, uint64_t commit, uint32_t epoch)
{
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .from = 2, .term = term};
    m.lead.round = round;
    m.lead.commit = commit;
    m.lead.epoch = epoch;
    return m;
}

static struct raft_msg probe(uint64_t term, uint32_t number, uint64_t prev, uint64_t prev_term)
{
    struct raft_msg m = {.type = RAFT_MSG_PROBE, .from = 2, .term = term};
    m.probe.probe = number;
    m.probe.prev_index = prev;
    m.probe.prev_term = prev_term;
    return m;
}

/* Entries prev+1..last on the stream of the leader, node 2. */
static void append(struct node *t, uint64_t prev, uint64_t last, const struct raft_run *runs,
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

/* ------------------------------------------------------------------------------ impossible input */

/* The node must count the message and stay as it is. */
static void expect_impossible(struct node *t, struct raft_msg m)
{
    struct raft before = t->r;
    receive(t, m);
    assert_int_equal(t->r.stats.impossible_msgs, before.stats.impossible_msgs + 1);
    t->r.stats = before.stats;
    for (unsigned i = 0; i < t->r.n_peers; i++)
        t->r.peers[i].heard = before.peers[i].heard;
    assert_memory_equal(&t->r, &before, sizeof before);
}

static void test_impossible_messages_change_nothing(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 5, 4);
    expect_impossible(t, (struct raft_msg){.type = RAFT_MSG_LEAD, .from = 9, .term = 6});
    expect_impossible(t, (struct raft_msg){.type = RAFT_MSG_LEAD, .from = 1, .term = 6});
    expect_impossible(t, (struct raft_msg){.type = RAFT_MSG_LEAD, .from = 2, .term = UINT64_MAX});
    expect_impossible(t, (struct raft_msg){.type = (enum raft_msg_type)99, .from = 2, .term = 5});
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 2, .term = 6};
    m.vote_req.vote_term = 7;
    expect_impossible(t, m);
    m.vote_req.pre = true;
    m.vote_req.vote_term = 6;
    expect_impossible(t, m);
    m.vote_req.vote_term = 7;
    m.vote_req.last_term = 7;
    expect_impossible(t, m);

    /* A follower: a second leader of the term; a leader whose log lacks what is committed. */
    receive(t, lead(5, 1, 4, 0));
    receive(t, probe(5, 1, 4, 1));
    settle(t);
    assert_int_equal(t->r.commit_index, 4);
    m = lead(5, 2, 4, 0);
    m.from = 3;
    expect_impossible(t, m);
    expect_impossible(t, probe(5, 2, 3, 2));

    /* A leader: another leader of its term, answers to what it never said. */
    win(t);
    expect_impossible(t, lead(t->r.term, 1, 0, 0));
    expect_impossible(t, probe(t->r.term, 1, 0, 0));
    m = (struct raft_msg){.type = RAFT_MSG_ACK, .from = 2, .term = t->r.term};
    m.ack.round = t->r.round + 1;
    expect_impossible(t, m);
    m.ack.round = 0;
    m.ack.durable = t->r.last_index + 1;
    expect_impossible(t, m);
    m.ack.durable = 0;
    m.ack.epoch = t->r.next_probe;
    expect_impossible(t, m);
    m = (struct raft_msg){.type = RAFT_MSG_PROBE_ACK, .from = 2, .term = t->r.term};
    m.probe_ack.probe = t->r.peers[0].probe;
    m.probe_ack.prev_index = t->r.peers[0].probe_index;
    m.probe_ack.hint_index = m.probe_ack.prev_index + 1;
    m.probe_ack.hint_term = 1;
    expect_impossible(t, m);
    m.probe_ack.hint_index = m.probe_ack.prev_index; /* "may match" what does not match */
    expect_impossible(t, m);
    free(t);
}

static void test_impossible_entries_change_nothing(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 5, 4);
    receive(t, lead(5, 1, 2, 0));
    receive(t, probe(5, 1, 4, 1));
    settle(t);
    const struct {
        uint64_t prev, last;
        struct raft_run runs[2];
        size_t n;
    } bad[] = {
        {4, 4, {{5, 1}}, 1},         /* no entry */
        {4, 5, {{5, 1}}, 0},         /* no run */
        {4, 5, {{5, 1}}, 17},        /* too many runs */
        {4, 5, {{4, 1}}, 1},         /* does not start behind prev */
        {4, 6, {{5, 2}, {6, 1}}, 2}, /* terms fall */
        {4, 6, {{5, 1}, {5, 2}}, 2}, /* an empty run */
        {4, 6, {{5, 1}, {7, 2}}, 2}, /* a run beyond the end */
        {4, 5, {{5, 0}}, 1},         /* term 0 */
        {4, 5, {{5, 6}}, 1},         /* of a future term */
        {5, 6, {{6, 1}}, 1},         /* a gap */
        {1, 2, {{2, 3}}, 1},         /* overwrites what is committed */
        {3, 4, {{4, 3}}, 1},         /* overwrites what this leader has verified */
        {3, 6, {{4, 0}, {6, 3}}, 2}, /* falls below prev's term */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t count = t->r.stats.impossible_msgs;
        append(t, bad[i].prev, bad[i].last, bad[i].runs, bad[i].n);
        assert_int_equal(t->r.stats.impossible_msgs, count + 1);
        assert_int_equal(t->edit.append_first, 0);
        assert_false(t->edit.truncate);
        assert_int_equal(t->r.last_index, 4);
    }
    append(t, 4, 6, (struct raft_run[]){{5, 1}, {6, 2}}, 2);
    assert_int_equal(t->edit.append_first, 5);
    assert_int_equal(t->edit.append_last, 6);
    /* Half known, half new: only the new half is appended. */
    append(t, 5, 8, (struct raft_run[]){{6, 2}, {8, 5}}, 2);
    assert_int_equal(t->edit.append_first, 7);
    assert_int_equal(t->edit.append_last, 8);
    assert_int_equal(raft_term_at(&t->r, 7), 2);
    assert_int_equal(raft_term_at(&t->r, 8), 5);
    free(t);
}

/* Peers that say anything at all, with numbers near the true ones, never trip an assertion. */
static void test_any_message_is_survived(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    struct raft_run *memory = NULL;
    srand(1);
    for (unsigned life = 0; life < 300; life++) {
        start(t, 1 + life % RAFT_VOTERS_MAX, 2, life % 5);
        uint64_t req = 1;
        for (unsigned k = 0; k < 300; k++) {
            struct raft *r = &t->r;
            if (raft_runs_free(r) < RAFT_APPEND_RUNS_MAX) {
                struct raft_run *more = malloc(2 * r->cap_runs * sizeof *more);
                raft_grow_runs(r, more, 2 * r->cap_runs);
                free(memory);
                memory = more;
            }
#define NEAR(x) ((uint64_t)(x) + (uint64_t)(rand() % 4) - (rand() % 3 == 0))
            uint64_t raw[6];
            struct raft_msg m = {.type = (enum raft_msg_type)(rand() % 11)};
            for (unsigned i = 0; i < 6; i++)
                raw[i] = rand() % 50 == 0 ? UINT64_MAX : (uint64_t)(rand() % 5);
            m.from = (uint16_t)(rand() % 11);
            m.to = 1;
            m.term = rand() % 3 != 0 ? r->term : NEAR(r->term);
            switch (m.type) {
            case RAFT_MSG_VOTE_REQ:
                m.vote_req.pre = rand() % 2;
                m.vote_req.vote_term = m.term + (rand() % 8 != 0 && m.vote_req.pre);
                m.vote_req.last_index = NEAR(r->last_index);
                m.vote_req.last_term = NEAR(m.term) - 2;
                break;
            case RAFT_MSG_VOTE_RSP:
                m.vote_rsp.pre = rand() % 2;
                m.vote_rsp.granted = rand() % 4 != 0;
                m.vote_rsp.campaign = r->campaign - (rand() % 8 == 0);
                m.vote_rsp.vote_term = m.term + m.vote_rsp.pre;
                break;
            case RAFT_MSG_PROBE:
                m.probe.probe = (uint32_t)NEAR(r->probe_seen);
                m.probe.prev_index = NEAR(r->last_index);
                m.probe.prev_term = rand() % 3 ? raft_term_at(r, m.probe.prev_index) : raw[0];
                break;
            case RAFT_MSG_PROBE_ACK:
                m.probe_ack.probe = (uint32_t)(rand() % 10);
                m.probe_ack.match = rand() % 2;
                m.probe_ack.boot = (uint32_t)(rand() % 2);
                m.probe_ack.prev_index = NEAR(r->last_index) - 2;
                m.probe_ack.hint_index = raw[1];
                m.probe_ack.hint_term = raw[2];
                break;
            case RAFT_MSG_LEAD:
                m.lead.round = NEAR(r->round);
                m.lead.commit = NEAR(r->commit_index);
                m.lead.epoch = (uint32_t)NEAR(r->epoch);
                m.lead.ack_now = rand() % 2;
                break;
            case RAFT_MSG_ACK:
                m.ack.round = NEAR(r->round) - 1;
                m.ack.durable = NEAR(r->durable_index) - 1;
                m.ack.epoch = (uint32_t)(rand() % 10);
                m.ack.boot = (uint32_t)(rand() % 2);
                m.ack.need_probe = rand() % 2;
                break;
            case RAFT_MSG_READ_RSP:
                m.read_rsp.req = NEAR(r->read_done);
                m.read_rsp.index = NEAR(r->commit_index);
                break;
            default: m.read_req.req = NEAR(raw[3]); break;
            }
            t->now += (raft_time)(rand() % (T / 8));
            switch (rand() % 12) {
            case 0: propose(t, (uint64_t)(rand() % 3) + 1); break;
            case 1: ask(t, req++); break;
            case 2: tick(t); break;
            case 3: ready(t), advance(t); break;
            case 4:
                if (r->inflight_seq != 0)
                    persisted(t);
                break;
            case 5: {
                uint64_t prev = NEAR(r->verified) - 1;
                struct raft_run runs[2] = {{prev + 1, rand() % 4 ? raft_term_at(r, prev) : raw[4]},
                                           {NEAR(prev + 2), NEAR(r->term)}};
                append(t, prev, NEAR(prev + 1), runs, 1 + (size_t)(rand() % 2));
                break;
            }
            default: receive(t, m); break;
            }
        }
    }
    free(memory);
    free(t);
}

/* ---------------------------------------------------------------------------------- the contract */

static void test_early_ticks_do_nothing(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 0, 0);
    assert_true(raft_deadline(&t->r) >= 1 + T && raft_deadline(&t->r) < 1 + 2 * T);
    struct raft before = t->r;
    for (; t->now < raft_deadline(&t->r); t->now += 7777) {
        tick(t);
        ready(t);
        assert_int_equal(t->rd.n_now, 0);
        assert_int_equal(t->rd.persist.seq, 0);
        advance(t);
        assert_memory_equal(&t->r, &before, sizeof before);
    }
    tick(t);
    assert_int_equal(t->r.role, RAFT_PRE_CANDIDATE);
    free(t);
}

static void test_timeouts_fill_their_interval(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    raft_time low = RAFT_NEVER, high = 0;
    start(t, 3, 0, 0);
    for (unsigned i = 0; i < 1000; i++) {
        t->now = t->r.election_deadline;
        tick(t);
        raft_time timeout = t->r.election_deadline - t->now;
        low = timeout < low ? timeout : low;
        high = timeout > high ? timeout : high;
    }
    assert_in_range(low, T, T + T / 50);
    assert_in_range(high, 2 * T - T / 50, 2 * T - 1);
    assert_int_equal(t->r.term, 0); /* PreVote: nothing was raised */
    free(t);
}

static void test_lists_wait_for_the_disk(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 0, 0);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 2, .term = 1};
    m.vote_req.vote_term = 1;
    receive(t, m);
    ready(t);
    assert_int_equal(t->rd.n_now, 0);
    assert_int_equal(t->rd.n_after, 1);
    assert_int_equal(t->rd.persist.seq, 1);
    assert_int_equal(t->rd.persist.term, 1);
    assert_int_equal(t->rd.persist.vote, 2);
    advance(t);

    /* Repeated while the batch is in flight: the core keeps the answer, and has no second batch. */
    receive(t, m);
    receive(t, m);
    ready(t);
    assert_int_equal(t->rd.n_now + t->rd.n_after, 0);
    assert_int_equal(t->rd.persist.seq, 0);
    advance(t);
    persisted(t);
    ready(t);
    assert_int_equal(t->rd.n_now, 1);
    assert_true(t->rd.now[0].vote_rsp.granted);
    assert_int_equal(t->rd.persist.seq, 0);
    advance(t);

    /* A term that passes before it was written takes its promises along. */
    m.term = m.vote_req.vote_term = 2;
    receive(t, m);
    m.from = 3;
    m.term = m.vote_req.vote_term = 3;
    receive(t, m);
    ready(t);
    assert_int_equal(t->rd.n_after, 1);
    assert_int_equal(t->rd.after[0].to, 3);
    assert_int_equal(t->rd.persist.term, 3);
    free(t);
}

static void test_batches_may_be_short(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 1, 0, 0);
    win(t);
    propose(t, 10);
    for (uint64_t index = 2; index <= 11; index++) {
        ready(t);
        assert_int_equal(t->rd.persist.first_index, index);
        assert_int_equal(t->rd.persist.last_index, 11);
        t->rd.persist.last_index = index;
        advance(t);
        ready(t);
        assert_int_equal(t->rd.persist.seq, 0); /* one in flight */
        advance(t);
        persisted(t);
        assert_int_equal(t->r.commit_index, index);
    }
    free(t);
}

static void test_one_message_of_a_kind_waits(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, RAFT_VOTERS_MAX, 3, 0);
    for (unsigned k = 0; k < 100; k++) {
        for (uint16_t id = 2; id <= RAFT_VOTERS_MAX; id++) {
            struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = id, .term = 3};
            m.vote_req.pre = k % 2;
            m.vote_req.vote_term = 3u + m.vote_req.pre;
            m.vote_req.campaign = k;
            receive(t, m);
            m = lead(2, k, 0, 0);
            m.from = id;
            receive(t, m);
        }
    }
    assert_int_equal(t->r.n_now + t->r.n_after, 3 * (RAFT_VOTERS_MAX - 1));
    settle(t);
    /* The newest one of each kind was kept. */
    start(t, 3, 3, 0);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 2, .term = 3};
    m.vote_req.pre = true;
    m.vote_req.vote_term = 4;
    for (m.vote_req.campaign = 1; m.vote_req.campaign <= 5; m.vote_req.campaign++)
        receive(t, m);
    ready(t);
    assert_int_equal(t->rd.n_now, 1);
    assert_int_equal(t->rd.now[0].vote_rsp.campaign, 5);
    free(t);
}

static void test_acks_wait_a_little_for_the_disk(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 1, 0);
    receive(t, lead(1, 1, 0, 0));
    receive(t, probe(1, 1, 0, 0));
    settle(t);
    append(t, 0, 3, (struct raft_run[]){{1, 1}}, 1);
    ready(t);
    assert_null(now_msg(t, RAFT_MSG_ACK, 2));
    advance(t);
    assert_int_equal(raft_deadline(&t->r), t->now + 5000);
    t->now += 5000;
    tick(t);
    ready(t); /* the disk is slow: what was received is said, and that nothing is durable */
    assert_non_null(now_msg(t, RAFT_MSG_ACK, 2));
    assert_int_equal(now_msg(t, RAFT_MSG_ACK, 2)->ack.durable, 0);
    advance(t);
    persisted(t);
    ready(t);
    assert_int_equal(now_msg(t, RAFT_MSG_ACK, 2)->ack.durable, 3);
    advance(t);
    ready(t);
    assert_int_equal(t->rd.n_now, 0);
    raft_ack_soon(&t->r);
    ready(t);
    assert_non_null(now_msg(t, RAFT_MSG_ACK, 2));
    free(t);
}

static void test_reads_of_a_node_are_merged(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 0, 0);
    win(t);
    struct raft_msg m = {.type = RAFT_MSG_READ_REQ, .from = 3, .term = t->r.term};
    for (m.read_req.req = 100; m.read_req.req < 110; m.read_req.req++)
        receive(t, m);
    assert_int_equal(t->r.n_reads, 1); /* no round has left since: one read */
    assert_int_equal(t->r.reads[0].req, 109);
    settle(t);
    for (; m.read_req.req < 120; m.read_req.req++)
        receive(t, m);
    m.read_req.req = 105;
    receive(t, m);                     /* repeated */
    assert_int_equal(t->r.n_reads, 2); /* one in flight, one waiting */
    assert_int_equal(t->r.reads[1].req, 119);
    raft_lead(&t->r, t->now, 0, &m); /* a round leaves to one peer with data */
    assert_true(m.lead.ack_now);
    assert_int_equal(m.lead.round, t->r.reads[1].need);
    m = (struct raft_msg){.type = RAFT_MSG_READ_REQ, .from = 3, .term = t->r.term};
    m.read_req.req = 130;
    receive(t, m); /* replaces the waiting one, and needs a later round */
    assert_int_equal(t->r.n_reads, 2);
    assert_int_equal(t->r.reads[1].req, 130);
    assert_int_equal(t->r.reads[1].need, t->r.round + 1);
    free(t);
}

static void test_runs_grow(void **state)
{
    (void)state;
    struct raft_run *more = calloc(200, sizeof *more);
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 100, 0);
    receive(t, lead(100, 1, 0, 0));
    receive(t, probe(100, 1, 0, 0));
    settle(t);
    for (uint64_t i = 0; i < 60; i++) {
        if (raft_runs_free(&t->r) < RAFT_APPEND_RUNS_MAX)
            raft_grow_runs(&t->r, more, 200);
        append(t, 2 * i, 2 * i + 2, (struct raft_run[]){{2 * i + 1, i + 1}}, 1);
    }
    assert_ptr_equal(t->r.runs, more);
    assert_int_equal(raft_runs_free(&t->r), 140);
    for (uint64_t i = 1; i <= 120; i++)
        assert_int_equal(raft_term_at(&t->r, i), (i + 1) / 2);
    assert_int_equal(raft_term_at(&t->r, 0), 0);
    assert_int_equal(raft_term_at(&t->r, 121), 0);
    free(t);
    free(more);
}

static void test_silent_peers_are_probed_at_the_pace_of_heartbeats(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    unsigned probes = 0, leads = 0;
    start(t, 3, 0, 0);
    win(t);
    raft_time end = t->now + 10 * T;
    while (t->now < end) {
        t->now = raft_deadline(&t->r);
        struct raft_msg m = {.type = RAFT_MSG_PING, .from = 3, .term = t->r.term};
        receive(t, m); /* keeps a majority */
        tick(t);
        ready(t);
        probes += now_msg(t, RAFT_MSG_PROBE, 2) != NULL;
        leads += now_msg(t, RAFT_MSG_LEAD, 2) != NULL;
        advance(t);
        assert_true(raft_deadline(&t->r) > t->now);
    }
    assert_in_range(leads, 28, 32);
    assert_in_range(probes, 30, 40); /* eight per T in the first T, then three */
    free(t);
}

/* ------------------------------------------------------------------------------------ raft_check */

#define BREAK(change)                                                                              \
    do {                                                                                           \
        struct raft saved = t->r;                                                                  \
        change;                                                                                    \
        assert_non_null(raft_check(&t->r));                                                        \
        t->r = saved;                                                                              \
        assert_null(raft_check(&t->r));                                                            \
    } while (0)

static void test_check_finds_what_is_broken(void **state)
{
    (void)state;
    struct node *t = calloc(1, sizeof *t);
    start(t, 3, 2, 5);
    BREAK(t->r.term = 1);
    BREAK(t->r.vote = 9);
    BREAK(t->r.commit_index = 6);
    BREAK(t->r.commit_index = 1); /* no leader said so */
    BREAK(t->r.durable_index = 6);
    BREAK(t->r.durable_index = 4); /* and nothing in flight */
    BREAK(t->r.verified = 6);
    BREAK(t->r.leader = 1);
    BREAK(t->r.leader = 2); /* never heard */
    BREAK(t->r.ack_due = true);
    BREAK(t->r.n_runs = 0);
    t->runs[0].first_index = 2; /* the runs are outside of the value */
    assert_non_null(raft_check(&t->r));
    t->runs[0].first_index = 1;
    BREAK(t->r.inflight_seq = t->r.next_seq);
    BREAK(t->r.epoch = 3);
    BREAK(t->r.read_done = 1);
    BREAK(t->r.role = RAFT_LEADER);
    BREAK(t->r.role = RAFT_CANDIDATE);
    win(t);
    BREAK(t->r.term_first = 5);
    BREAK(t->r.peers[0].match_index = 7);
    BREAK(t->r.peers[0].match_index = 6); /* a majority has it: not committed */
    BREAK(t->r.peers[1].round = t->r.round + 1);
    BREAK(t->r.peers[1].probe = t->r.next_probe);
    BREAK(t->r.peers[1].epoch = 1);
    BREAK(t->r.peers[1].state = RAFT_PEER_REPLICATE);
    BREAK(t->r.durable_term = 2);
    BREAK(t->r.durable_vote = 2);
    BREAK(t->r.commit_index = t->r.leader_commit = 6);
    BREAK(t->r.n_reads = 1);
    free(t);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(raft_role_name(RAFT_PRE_CANDIDATE), "pre-candidate");
    assert_string_equal(raft_peer_state_name(RAFT_PEER_REPLICATE), "replicate");
    for (int why = 0; why < RAFT_WHY_COUNT; why++)
        assert_string_not_equal(raft_why_name((enum raft_why)why), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impossible_messages_change_nothing),
        cmocka_unit_test(test_impossible_entries_change_nothing),
        cmocka_unit_test(test_any_message_is_survived),
        cmocka_unit_test(test_early_ticks_do_nothing),
        cmocka_unit_test(test_timeouts_fill_their_interval),
        cmocka_unit_test(test_lists_wait_for_the_disk),
        cmocka_unit_test(test_batches_may_be_short),
        cmocka_unit_test(test_one_message_of_a_kind_waits),
        cmocka_unit_test(test_acks_wait_a_little_for_the_disk),
        cmocka_unit_test(test_reads_of_a_node_are_merged),
        cmocka_unit_test(test_runs_grow),
        cmocka_unit_test(test_silent_peers_are_probed_at_the_pace_of_heartbeats),
        cmocka_unit_test(test_check_finds_what_is_broken),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
