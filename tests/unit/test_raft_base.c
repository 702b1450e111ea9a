// LINK: @core
/* test_raft_base.c: cores whose logs begin behind an entry that they no longer have. */
#include "tests/lib/core_one.h"

/* Node 1 of three: entry 100, of term 4, is the base; 101 and 102 are of term 4, 103 of term 5. */
static void start_at_base(struct node *t, uint64_t last)
{
    const struct raft_run runs[] = {{101, 4}, {103, 5}};
    struct raft_restored s = {.term = 5,
                              .base_index = 100,
                              .base_term = 4,
                              .last_index = last,
                              .runs = runs,
                              .n_runs = last > 102 ? 2 : last > 100,
                              .commit = 100};
    start(t, 3, 0, 0);
    struct raft_config cfg = t->r.cfg;
    s.members = t->r.members;
    raft_init(&t->r, &cfg, &s, t->runs, RUNS, t->now);
    check(t);
}

static void answer_probe(struct node *t, uint16_t from, bool match, uint64_t hint, uint64_t term)
{
    const struct raft_peer *p = &t->r.peers[raft_peer_slot(&t->r, from)];
    struct raft_msg m = {.type = RAFT_MSG_PROBE_ACK, .from = from, .term = t->r.term};
    m.probe_ack.probe = p->probe;
    m.probe_ack.boot = from;
    m.probe_ack.match = match;
    m.probe_ack.prev_index = p->probe_index;
    m.probe_ack.hint_index = hint;
    m.probe_ack.hint_term = term;
    receive(t, m);
}

static void acknowledge(struct node *t, uint16_t from, uint32_t boot, uint64_t durable,
                        bool need_probe)
{
    const struct raft_peer *p = &t->r.peers[raft_peer_slot(&t->r, from)];
    struct raft_msg m = {.type = RAFT_MSG_ACK, .from = from, .term = t->r.term};
    m.ack.round = t->r.round;
    m.ack.durable = durable;
    m.ack.epoch = p->epoch;
    m.ack.boot = boot;
    m.ack.need_probe = need_probe;
    receive(t, m);
}

static void test_an_empty_log_behind_a_base(void **state)
{
    struct node *t = *state;
    start_at_base(t, 100);
    ready(t);
    assert_int_equal(t->rd.commit_index, 100);
    win(t);
    assert_int_equal(t->r.term_first, 101);
    assert_int_equal(raft_term_at(&t->r, 100), 4);
    assert_int_equal(t->r.peers[0].probe_index, 100);
}

static void test_votes_compare_with_the_base(void **state)
{
    struct node *t = *state;
    start_at_base(t, 100);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 2, .term = 6};
    m.vote_req.vote_term = 6;
    m.vote_req.last_index = 200;
    m.vote_req.last_term = 3; /* longer, but of an older term than our base */
    receive(t, m);
    assert_int_equal(t->r.vote, 0);
    m.from = 3;
    m.vote_req.last_index = 100;
    m.vote_req.last_term = 4;
    receive(t, m);
    assert_int_equal(t->r.vote, 3);
}

static void test_a_leader_replicates_from_the_base_on(void **state)
{
    struct node *t = *state;
    start_at_base(t, 103);
    win(t);
    assert_int_equal(t->r.trail.last, 104);
    struct raft_peer *p = &t->r.peers[0];
    /* Node 2 ends at the base: it is streamed from there. */
    answer_probe(t, 2, false, 100, 4);
    assert_int_equal(p->state, RAFT_PEER_PROBE);
    assert_int_equal(p->probe_index, 100);
    ready(t);
    assert_int_equal(now_msg(t, RAFT_MSG_PROBE, 2)->probe.prev_term, 4);
    answer_probe(t, 2, true, 0, 0);
    assert_int_equal(p->state, RAFT_PEER_REPLICATE);
    /* Its process is another one before it has acknowledged anything: not asked for entry 0. */
    acknowledge(t, 2, 77, 0, true);
    assert_int_equal(p->state, RAFT_PEER_PROBE);
    assert_int_equal(p->probe_index, 100);
    answer_probe(t, 2, true, 0, 0);
    acknowledge(t, 2, 2, 104, false);
    assert_int_equal(t->r.commit_index, 104);
}

static void follow(struct node *t, uint64_t prev, uint64_t prev_term)
{
    start_at_base(t, 103);
    receive(t, lead(6, 1, 0, 0));
    receive(t, probe(6, 1, prev, prev_term));
    settle(t);
}

/* A follower that needs what is below the base gets no entries until it shows that it has the base. */
static void test_a_peer_below_the_base_waits(void **state)
{
    static const struct {
        uint64_t hint, term;
    } peers[] = {{99, 4}, {0, 0}, {101, 3}};
    for (size_t k = 0; k < sizeof peers / sizeof peers[0]; k++) {
        struct node *t = *state;
        start_at_base(t, 103);
        win(t);
        struct raft_peer *p = &t->r.peers[0];
        answer_probe(t, 2, false, peers[k].hint, peers[k].term);
        assert_int_equal(p->state, RAFT_PEER_SNAPSHOT);
        assert_int_equal(p->lost_index, 0);
        assert_int_equal(t->r.stats.lost_acked, 0);
        /* What it says counts for the leadership, and not for commits. */
        acknowledge(t, 2, 2, 99, true);
        assert_int_equal(p->state, RAFT_PEER_SNAPSHOT);
        assert_int_equal(p->probe_index, 100);
        ask(t, 1);
        ready(t);
        assert_non_null(now_msg(t, RAFT_MSG_LEAD, 2));
        advance(t);
        acknowledge(t, 2, 2, 99, false);
        assert_int_equal(p->round, t->r.round);
        /* The others go on. */
        answer_probe(t, 3, true, 0, 0);
        acknowledge(t, 3, 3, 104, false);
        assert_int_equal(t->r.commit_index, 104);
        for (unsigned i = 0; i < 20; i++) {
            t->now = raft_deadline(&t->r);
            tick(t);
            settle(t);
            acknowledge(t, 3, 3, 104, false);
        }
        assert_int_equal(t->r.role, RAFT_LEADER);
        assert_int_equal(p->state, RAFT_PEER_SNAPSHOT);
        if (k == 0)
            answer_probe(t, 2, true, 0, 0); /* it got one, and is another process by now */
        else
            acknowledge(t, 2, 2, 102, false); /* or says more than was asked */
        assert_int_equal(p->state, k == 0 ? RAFT_PEER_REPLICATE : RAFT_PEER_PROBE);
        assert_int_equal(p->probe_index, k == 0 ? 100 : 102);
    }
}

/* A stream begins behind all that the follower is known to have: what it acknowledges may leave the log. */
static void test_a_stream_begins_behind_a_snapshot(void **state)
{
    struct node *t = *state;
    start_at_base(t, 103);
    win(t);
    struct raft_peer *p = &t->r.peers[0];
    answer_probe(t, 2, false, 50, 2);
    assert_int_equal(p->state, RAFT_PEER_SNAPSHOT);
    answer_probe(t, 2, true, 200, 5); /* more than there is */
    answer_probe(t, 2, true, 103, 4); /* another entry */
    assert_int_equal(t->r.stats.impossible_msgs, 2);
    assert_int_equal(p->state, RAFT_PEER_SNAPSHOT);
    answer_probe(t, 2, true, 103, 5); /* it got one that ends there */
    assert_int_equal(p->state, RAFT_PEER_PROBE);
    assert_int_equal(p->probe_index, 103);
    answer_probe(t, 2, true, 103, 5);
    assert_int_equal(p->state, RAFT_PEER_REPLICATE);
    assert_int_equal(p->base_index, 103);
}

/* What leaves the log takes the streams with it that may still need it, and nothing else. */
static void test_compaction_and_peers(void **state)
{
    struct node *t = *state;
    start_at_base(t, 103);
    win(t);
    answer_probe(t, 2, true, 0, 0); /* 103; our no-op is 104 */
    answer_probe(t, 3, false, 50, 2);
    acknowledge(t, 2, 2, 104, false);
    settle(t);
    assert_int_equal(t->r.commit_index, 104);
    uint32_t epoch = t->r.peers[0].epoch, probe = t->r.peers[1].probe;
    raft_compact(&t->r, 103);
    check(t);
    assert_int_equal(raft_term_at(&t->r, 103), 5);
    assert_int_equal(raft_term_at(&t->r, 102), 0);
    assert_int_equal(t->r.peers[0].epoch, epoch); /* it has all of it */
    assert_int_equal(t->r.peers[1].state, RAFT_PEER_SNAPSHOT);
    assert_int_equal(t->r.peers[1].probe_index, 103);
    assert_true(t->r.peers[1].probe > probe);
    answer_probe(t, 3, true, 0, 0);
    propose(t, 1);
    settle(t);
    acknowledge(t, 2, 2, 105, false);
    assert_int_equal(t->r.commit_index, 105);
    assert_int_equal(t->r.peers[1].match_index, 0);
    raft_compact(&t->r, 105);
    check(t);
    assert_int_equal(t->r.trail.n_runs, 0);
    assert_int_equal(t->r.peers[1].state, RAFT_PEER_PROBE); /* does it have 105? */
    assert_int_equal(t->r.peers[1].probe_index, 105);
    win(t);
}

/* Chapter 5: the log is empty behind a snapshot whose last entry it does not hold, and what it held is not
 * written any more; else it goes on as it is. What is older than what is committed changes nothing. */
static void test_install(void **state)
{
    static const struct {
        uint64_t index, term;
        bool reset;
        uint64_t commit, last;
    } cases[] = {
        {103, 4, false, 100, 104}, /* not what the leader has there */
        {104, 7, false, 100, 104}, /* of a term that is not there yet */
        {120, 5, true, 120, 120},  /* beyond the log */
        {102, 4, false, 102, 104}, /* it is there, and something behind it */
        {104, 6, false, 104, 104}, /* it is there, and not durable yet */
        {100, 4, false, 100, 104}, /* not news */
        {0, 0, false, 100, 104},   /* came to nothing */
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct node *t = *state;
        follow(t, 103, 5);
        append(t, 103, 104, (struct raft_run[]){{104, 6}}, 1);
        ready(t); /* entry 104 is on its way to the disk */
        assert_int_equal(t->rd.persist.last_index, 104);
        advance(t);
        assert_true(raft_install_begin(&t->r));
        struct raft_event ev = {.type = RAFT_EV_INSTALL};
        ev.install.index = cases[k].index;
        ev.install.term = cases[k].term;
        ev.install.members = &t->r.members;
        step(t, &ev);
        assert_false(t->r.installing);
        assert_int_equal(t->edit.reset, cases[k].reset);
        /* A stream that goes on with what the snapshot has is to begin anew. */
        assert_int_equal(t->r.epoch, cases[k].reset ? 0 : 1);
        assert_int_equal(t->r.refused_epoch, cases[k].reset ? 1 : 0);
        assert_int_equal(t->r.commit_index, cases[k].commit);
        assert_int_equal(t->r.trail.last, cases[k].last);
        assert_int_equal(t->r.durable_index, cases[k].reset ? cases[k].index : 103);
        ready(t); /* one batch at a time */
        assert_int_equal(t->rd.persist.seq, 0);
        advance(t);
        step(t,
             &(struct raft_event){.type = RAFT_EV_PERSISTED, .persisted.seq = t->r.inflight_seq});
        assert_int_equal(t->r.durable_index, cases[k].last);
        ready(t);
        assert_int_equal(t->rd.persist.reset, cases[k].reset);
        if (!cases[k].reset)
            continue;
        assert_int_equal(t->rd.persist.reset_to, cases[k].index);
        assert_int_equal(t->rd.persist.reset_term, cases[k].term);
        assert_int_equal(t->rd.persist.first_index, 0);
        assert_int_equal(t->rd.persist.commit, cases[k].index);
    }
}

/* What a former leader had there goes, though it is on the disk. */
static void test_install_over_another_entry(void **state)
{
    struct node *t = *state;
    follow(t, 102, 4);
    assert_true(raft_install_begin(&t->r));
    step(t, &(struct raft_event){.type = RAFT_EV_INSTALL, .install = {103, 4, &t->r.members}});
    assert_true(t->edit.reset);
    assert_int_equal(t->r.trail.last, 103);
    assert_int_equal(raft_term_at(&t->r, 103), 4);
    ready(t);
    assert_true(t->rd.persist.reset);
}

/* A batch that finds no room is no reason to forget that the log is to be reset. */
static void test_install_on_a_full_disk(void **state)
{
    struct node *t = *state;
    follow(t, 103, 5);
    append(t, 103, 104, (struct raft_run[]){{104, 6}}, 1);
    ready(t);
    advance(t);
    assert_true(raft_install_begin(&t->r));
    struct raft_event ev = {.type = RAFT_EV_INSTALL, .install = {120, 6, &t->r.members}};
    step(t, &ev);
    for (unsigned i = 0; i < 3; i++) {
        refused(t);
        assert_true(raft_disk_full(&t->r));
        ready(t);
        assert_int_equal(t->rd.persist.seq, 0);
        t->now += t->r.cfg.full_retry;
        ready(t);
        assert_true(t->rd.persist.reset && !t->rd.persist.truncate);
        advance(t);
    }
    persisted(t);
    assert_false(raft_disk_full(&t->r));
    assert_int_equal(t->r.durable_index, 120);
}

/* Its log is about to be another one, so it does not stand; and only a follower installs. */
static void test_no_candidacy_while_installing(void **state)
{
    struct node *t = *state;
    follow(t, 103, 5);
    assert_true(raft_install_begin(&t->r));
    for (unsigned i = 0; i < 20; i++) {
        t->now = raft_deadline(&t->r);
        tick(t);
        settle(t);
    }
    assert_int_equal(t->r.role, RAFT_FOLLOWER);
    assert_int_equal(t->r.leader, 0);
    step(t, &(struct raft_event){.type = RAFT_EV_INSTALL});
    assert_false(raft_install_begin(&t->r)); /* it hears no leader */
    t->now = t->r.election_deadline;
    tick(t);
    assert_int_equal(t->r.role, RAFT_PRE_CANDIDATE);
    assert_false(raft_install_begin(&t->r));
}

static void test_a_peer_that_lost_entries_below_the_base(void **state)
{
    struct node *t = *state;
    start_at_base(t, 103);
    win(t);
    struct raft_peer *p = &t->r.peers[0];
    answer_probe(t, 2, true, 0, 0);
    acknowledge(t, 2, 2, 104, false);
    acknowledge(t, 2, 8, 0, true);
    answer_probe(t, 2, false, 50, 2);
    assert_int_equal(p->state, RAFT_PEER_SNAPSHOT);
    assert_int_equal(p->lost_index, 104);
    assert_int_equal(t->r.stats.lost_acked, 1);
}

static void test_a_follower_answers_probes_around_its_base(void **state)
{
    static const struct {
        uint64_t prev, term;
        bool match;
        uint64_t hint;
    } probes[] = {
        {100, 4, true, 100},  /* the base itself */
        {99, 4, true, 100},   /* below: committed, so the leader's is the same */
        {0, 0, true, 100},    /* the beginning */
        {103, 5, true, 103},  /* in the log */
        {103, 6, false, 103}, /* of another term: it may match up to where ours is older */
        {105, 6, false, 103}, /* beyond */
        {102, 3, false, 99},  /* nothing of ours is so old: what is below the base may be */
    };
    for (size_t k = 0; k < sizeof probes / sizeof probes[0]; k++) {
        struct node *t = *state;
        start_at_base(t, 103);
        receive(t, lead(6, 1, 0, 0));
        receive(t, probe(6, 1, probes[k].prev, probes[k].term));
        settle(t);
        ready(t);
        assert_int_equal(t->r.epoch, probes[k].match ? 1 : 0);
        assert_int_equal(t->r.stats.impossible_msgs, 0);
        receive(t, probe(6, 1, probes[k].prev, probes[k].term));
        ready(t);
        const struct raft_msg *m = now_msg(t, RAFT_MSG_PROBE_ACK, 2);
        assert_int_equal(m->probe_ack.match, probes[k].match);
        assert_int_equal(m->probe_ack.hint_index, probes[k].hint);
    }
    struct node *t = *state;
    start_at_base(t, 103);
    receive(t, lead(6, 1, 0, 0));
    receive(t, probe(6, 1, 100, 3)); /* the base is committed: no leader has another entry there */
    assert_int_equal(t->r.stats.impossible_msgs, 1);
}

static void test_a_follower_takes_entries_from_below_its_base(void **state)
{
    struct node *t = *state;
    /* All of them are below, or the base: nothing to do, and known to be there. */
    follow(t, 90, 4);
    append(t, 90, 100, (struct raft_run[]){{91, 4}}, 1);
    assert_int_equal(t->edit.append_first, 0);
    assert_int_equal(t->r.verified, 100);
    /* Across the base: only what is new is appended. */
    follow(t, 90, 3);
    append(t, 90, 105, (struct raft_run[]){{91, 3}, {95, 4}, {103, 5}, {104, 6}}, 4);
    assert_false(t->edit.truncate);
    assert_int_equal(t->edit.append_first, 104);
    assert_int_equal(t->r.trail.last, 105);
    assert_int_equal(t->r.stats.impossible_msgs, 0);
    settle(t);
    assert_int_equal(t->r.durable_index, 105);
}

static void test_a_follower_cuts_down_to_its_base_only(void **state)
{
    struct node *t = *state;
    follow(t, 100, 4);
    append(t, 100, 101, (struct raft_run[]){{101, 6}}, 1);
    assert_true(t->edit.truncate);
    assert_int_equal(t->edit.truncate_to, 100);
    assert_int_equal(raft_term_at(&t->r, 101), 6);
    settle(t);
    /* From below: the first entry that may differ is the one behind the base. */
    follow(t, 90, 4);
    append(t, 90, 101, (struct raft_run[]){{91, 4}, {101, 6}}, 2);
    assert_int_equal(t->edit.truncate_to, 100);
    assert_int_equal(t->edit.append_first, 101);
}

static void test_doubt_ends_at_the_base(void **state)
{
    struct node *t = *state;
    start_at_base(t, 103);
    receive(t, lead(6, 1, 0, 0));
    struct raft_msg m = probe(6, 1, 98, 4);
    m.probe.acked_index = 99; /* we have that: it is below the base */
    m.probe.acked_term = 4;
    receive(t, m);
    assert_int_equal(t->r.doubt_index, 0);
    m = probe(6, 2, 100, 4);
    m.probe.acked_index = 103;
    m.probe.acked_term = 5;
    receive(t, m);
    assert_int_equal(t->r.doubt_index, 103); /* until it is verified */
}

static void test_check_knows_the_base(void **state)
{
    struct node *t = *state;
    start_at_base(t, 103);
    win(t);
    BREAK(t->r.commit_index = 99);
    BREAK(t->r.peers[0].probe_index = 99);
    BREAK(t->r.peers[0].state = RAFT_PEER_SNAPSHOT);
    BREAK(t->r.durable_index = 99);
    BREAK(t->r.installing = true);
    BREAK(t->r.reset_pending = true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_log_behind_a_base),
        TEST(test_votes_compare_with_the_base),
        TEST(test_a_leader_replicates_from_the_base_on),
        TEST(test_a_peer_below_the_base_waits),
        TEST(test_compaction_and_peers),
        TEST(test_a_stream_begins_behind_a_snapshot),
        TEST(test_install),
        TEST(test_install_over_another_entry),
        TEST(test_install_on_a_full_disk),
        TEST(test_no_candidacy_while_installing),
        TEST(test_a_peer_that_lost_entries_below_the_base),
        TEST(test_a_follower_answers_probes_around_its_base),
        TEST(test_a_follower_takes_entries_from_below_its_base),
        TEST(test_a_follower_cuts_down_to_its_base_only),
        TEST(test_doubt_ends_at_the_base),
        TEST(test_check_knows_the_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
