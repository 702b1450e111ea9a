// LINK: @core
/* test_raft.c: one core alone, fed by hand: the contract of ready and advance, limits, and raft_check.
 * What a cluster does is in test_scripts.c and test_raft_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/core_one.h"

static void test_early_ticks_do_nothing(void **state)
{
    struct node *t = *state;
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
}

static void test_timeouts_fill_their_interval(void **state)
{
    struct node *t = *state;
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
}

static void test_lists_wait_for_the_disk(void **state)
{
    struct node *t = *state;
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
}

static void test_batches_may_be_short(void **state)
{
    struct node *t = *state;
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
}

/* No room for entries: they wait, a vote does not. */
static void test_a_refused_batch_makes_room_for_the_vote(void **state)
{
    struct node *t = *state;
    start(t, 3, 1, 2);
    receive(t, lead(1, 1, 0, 0));
    receive(t, probe(1, 1, 2, 1));
    settle(t);
    append(t, 2, 5, (struct raft_run[]){{3, 1}}, 1);
    ready(t);
    advance(t);
    assert_int_equal(t->r.written_last, 5);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 3, .term = 2};
    m.vote_req.vote_term = 2;
    m.vote_req.last_index = 5;
    m.vote_req.last_term = 1;
    t->now += T;
    receive(t, m);
    ready(t);
    assert_int_equal(t->rd.persist.seq, 0);
    advance(t);
    refused(t);
    assert_true(raft_disk_full(&t->r));
    assert_int_equal(t->r.written_last, 2);
    assert_int_equal(t->r.trail.last, 5);
    ready(t);
    assert_int_not_equal(t->rd.persist.seq, 0);
    assert_int_equal(t->rd.persist.term, 2);
    assert_int_equal(t->rd.persist.vote, 3);
    assert_int_equal(t->rd.persist.first_index, 0);
    assert_false(t->rd.persist.truncate);
    assert_int_equal(t->rd.n_after, 1);
    assert_int_equal(t->rd.after[0].type, RAFT_MSG_VOTE_RSP);
    assert_true(t->rd.after[0].vote_rsp.granted);
    advance(t);
    persisted(t);
    /* Nothing else to write until the entries are due; then they are. */
    raft_time due = t->now + t->r.cfg.full_retry;
    for (ready(t);; ready(t)) {
        assert_int_equal(t->rd.persist.seq, 0);
        advance(t);
        assert_true(raft_deadline(&t->r) <= due);
        if (raft_deadline(&t->r) == due)
            break;
        t->now = raft_deadline(&t->r);
        tick(t);
        assert_int_equal(t->r.role, RAFT_FOLLOWER); /* it does not stand */
    }
    t->now = due;
    tick(t);
    ready(t);
    assert_int_equal(t->rd.persist.first_index, 3);
    assert_int_equal(t->rd.persist.last_index, 5);
    advance(t);
    assert_true(raft_disk_full(&t->r));
    persisted(t);
    assert_false(raft_disk_full(&t->r));
    assert_int_equal(t->r.durable_index, 5);
}

/* No room for anything: the term and vote wait, and with them all that speaks of them. */
static void test_a_refused_vote_is_not_given(void **state)
{
    struct node *t = *state;
    start(t, 3, 1, 2);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 3, .term = 2};
    m.vote_req.vote_term = 2;
    m.vote_req.last_index = 5;
    m.vote_req.last_term = 1;
    for (int i = 0; i < 3; i++) {
        receive(t, m);
        ready(t);
        assert_int_equal(t->rd.n_now, 0);
        assert_int_equal(t->rd.n_after, 1);
        assert_int_equal(t->rd.persist.vote, 3);
        advance(t);
        refused(t);
        assert_int_equal(t->r.durable_term, 1);
        receive(t, m); /* asked again: the answer waits, no batch is made for it */
        ready(t);
        assert_int_equal(t->rd.n_now, 0);
        assert_int_equal(t->rd.persist.seq, 0);
        advance(t);
        t->now += t->r.cfg.full_retry;
        tick(t);
    }
    ready(t);
    advance(t);
    persisted(t);
    assert_false(raft_disk_full(&t->r));
    assert_int_equal(t->r.durable_vote, 3);
    receive(t, m);
    ready(t);
    assert_true(now_msg(t, RAFT_MSG_VOTE_RSP, 3)->vote_rsp.granted);
}

/* What must be cut on disk when the batch that was to cut it, or one that died meanwhile, is refused:
 * the log on disk is then entries 1 to 6 of term 1 in all cases. */
static void test_a_refused_truncation_is_not_forgotten(void **state)
{
    static const struct {
        uint64_t first, second; /* the log is cut after these, 0 = not */
        bool truncate;
        uint64_t to;
    } cases[] = {
        {4, 0, true, 4}, {4, 2, true, 2}, {0, 7, false, 0}, {0, 3, true, 3}, {4, 5, true, 4}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct node *t = *state;
        start(t, 3, 1, 6);
        uint64_t term = 2, first = cases[i].first != 0 ? cases[i].first : 6;
        receive(t, lead(term, 1, 0, 0));
        receive(t, probe(term, 1, first, 1));
        settle(t);
        append(t, first, first + 3, (struct raft_run[]){{first + 1, term}}, 1);
        ready(t);
        assert_true(t->rd.persist.truncate == (cases[i].first != 0));
        advance(t);
        if (cases[i].second != 0) { /* another leader, while it is in flight */
            uint64_t to = cases[i].second;
            term = 3;
            receive(t, lead(term, 1, 0, 0));
            receive(t, probe(term, 1, to, raft_term_at(&t->r, to)));
            append(t, to, to + 1, (struct raft_run[]){{to + 1, term}}, 1);
        }
        refused(t);
        t->now += t->r.cfg.full_retry;
        ready(t);
        uint64_t base = cases[i].truncate ? cases[i].to : 6;
        assert_int_equal(t->rd.persist.truncate, cases[i].truncate);
        assert_int_equal(t->rd.persist.truncate_to, cases[i].to);
        assert_int_equal(t->rd.persist.first_index, base + 1);
        assert_int_equal(t->r.durable_index, base);
        advance(t);
        persisted(t);
        assert_int_equal(t->r.durable_index, t->r.trail.last);
    }
}

static void test_one_message_of_a_kind_waits(void **state)
{
    struct node *t = *state;
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
}

static void test_acks_wait_a_little_for_the_disk(void **state)
{
    struct node *t = *state;
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
}

static void test_acks_are_maxima(void **state)
{
    struct node *t = *state;
    start(t, 3, 0, 0);
    win(t);
    propose(t, 5);
    settle(t);
    struct raft_peer *p = &t->r.peers[0];
    struct raft_msg m = {.type = RAFT_MSG_ACK, .from = 2, .term = t->r.term};
    m.ack.round = t->r.round;
    m.ack.durable = 4;
    receive(t, m);
    assert_int_equal(t->r.commit_index, 4);
    m.ack.round = m.ack.durable = 1;
    receive(t, m);
    assert_int_equal(p->round, t->r.round);
    assert_int_equal(p->match_index, 4);
}

/* The next heartbeat to node 2. */
static struct raft_msg next_beat(struct node *t)
{
    const struct raft_msg *m;
    do {
        ready(t);
        advance(t);
        t->now = raft_deadline(&t->r);
        struct raft_msg ping = {.type = RAFT_MSG_PING, .from = 3, .term = t->r.term};
        receive(t, ping); /* keeps a majority */
        tick(t);
        ready(t);
        m = now_msg(t, RAFT_MSG_LEAD, 2);
    } while (m == NULL);
    struct raft_msg beat = *m;
    advance(t);
    return beat;
}

/* Whoever answered a heartbeat need not answer the next one. If an answer is missing, each one asks. */
static void test_each_second_heartbeat_is_answered(void **state)
{
    struct node *t = *state;
    start(t, 3, 0, 0);
    t->r.cfg.quiet = T / 3;
    win(t);
    struct raft_msg ack = {.type = RAFT_MSG_ACK, .from = 2, .term = t->r.term};
    struct raft_msg probed = {.type = RAFT_MSG_PROBE_ACK, .from = 2, .term = t->r.term};
    receive(t, ack);
    assert_true(next_beat(t).lead.ack_now); /* it has no stream yet */
    probed.probe_ack.probe = t->r.peers[0].probe;
    probed.probe_ack.match = true;
    receive(t, probed);
    for (unsigned i = 0; i < 4; i++) {
        t->now++;
        receive(t, ack);
        struct raft_msg beat = next_beat(t);
        assert_true(beat.lead.quiet && !beat.lead.ack_now);
        for (unsigned lost = 0; lost <= i; lost++) {
            beat = next_beat(t);
            assert_true(beat.lead.ack_now && !beat.lead.quiet);
        }
    }
    t->now++;
    receive(t, ack);
    ask(t, 1); /* a read asks, whatever was answered */
    ready(t);
    assert_true(now_msg(t, RAFT_MSG_LEAD, 2)->lead.ack_now);
}

static void test_a_quiet_heartbeat_is_not_answered(void **state)
{
    struct node *t = *state;
    start(t, 3, 0, 0);
    receive(t, lead(1, 1, 0, 0));
    settle(t);
    t->now += t->r.cfg.ack_delay; /* that one is answered */
    settle(t);
    struct raft_msg m = lead(1, 2, 0, 0);
    m.lead.ack_now = false;
    m.lead.quiet = true;
    t->now += T / 3;
    raft_time deadline = t->r.election_deadline;
    receive(t, m);
    assert_true(t->r.election_deadline != deadline); /* it is a sign of life all the same */
    ready(t);
    assert_null(now_msg(t, RAFT_MSG_ACK, 2));
    assert_true(raft_deadline(&t->r) > t->now + t->r.cfg.ack_delay);
    raft_ack_soon(&t->r); /* there is news */
    ready(t);
    assert_non_null(now_msg(t, RAFT_MSG_ACK, 2));
}

static void test_a_restarted_follower_is_probed_again(void **state)
{
    struct node *t = *state;
    start(t, 3, 0, 0);
    win(t);
    struct raft_peer *p = &t->r.peers[0];
    struct raft_msg m = {.type = RAFT_MSG_PROBE_ACK, .from = 2, .term = t->r.term};
    m.probe_ack.probe = p->probe;
    m.probe_ack.boot = 1;
    m.probe_ack.match = true;
    receive(t, m);
    receive(t, m); /* repeated */
    assert_int_equal(p->state, RAFT_PEER_REPLICATE);
    assert_int_equal(p->epoch, p->probe);
    m.probe_ack.boot = 2; /* a repeated probe was answered by a new process */
    receive(t, m);
    assert_int_equal(p->state, RAFT_PEER_PROBE);
    m.probe_ack.probe = p->probe;
    receive(t, m);
    assert_int_equal(p->state, RAFT_PEER_REPLICATE);

    struct raft_msg ack = {.type = RAFT_MSG_ACK, .from = 2, .term = t->r.term};
    ack.ack.boot = 3;
    ack.ack.epoch = p->epoch - 1; /* about an earlier stream */
    receive(t, ack);
    assert_int_equal(p->state, RAFT_PEER_REPLICATE);
    ack.ack.epoch = p->epoch;
    receive(t, ack);
    assert_int_equal(p->state, RAFT_PEER_PROBE);
}

static void test_a_stream_can_be_refused(void **state)
{
    struct node *t = *state;
    start(t, 3, 1, 4);
    receive(t, lead(1, 1, 0, 0));
    receive(t, probe(1, 3, 4, 1));
    settle(t);
    assert_int_equal(t->r.epoch, 3);
    raft_refuse_stream(&t->r);
    check(t);
    receive(t, probe(1, 3, 4, 1)); /* repeated: does not bring it back */
    assert_int_equal(t->r.epoch, 0);
    append(t, 4, 5, (struct raft_run[]){{5, 1}}, 1);
    assert_int_equal(t->r.trail.last, 4);
    for (uint64_t round = 2; round < 4; round++) { /* said again until the leader probes */
        ready(t);
        assert_true(now_msg(t, RAFT_MSG_ACK, 2)->ack.need_probe);
        assert_int_equal(now_msg(t, RAFT_MSG_ACK, 2)->ack.epoch, 3);
        advance(t);
        receive(t, lead(1, round, 0, 3));
    }
    receive(t, probe(1, 4, 4, 1));
    assert_int_equal(t->r.epoch, 4);
    receive(t, lead(1, 9, 0, 3)); /* late: about the old stream */
    receive(t, lead(1, 10, 0, 4));
    settle(t);
    assert_int_equal(t->r.refused_epoch, 0);
    append(t, 4, 5, (struct raft_run[]){{5, 1}}, 1);
    assert_int_equal(t->r.trail.last, 5);
}

static void test_only_news_counts_as_a_sign_of_life(void **state)
{
    struct node *t = *state;
    start(t, 3, 1, 4);
    receive(t, lead(1, 5, 0, 0));
    receive(t, probe(1, 3, 4, 1));
    settle(t);
    raft_time deadline = t->r.election_deadline;
    t->now += 1000;
    receive(t, lead(1, 5, 0, 0)); /* repeated */
    receive(t, lead(1, 4, 0, 0)); /* overtaken */
    receive(t, probe(1, 2, 4, 1));
    t->r.epoch++; /* data of another stream */
    t->r.probe_seen++;
    struct raft_event ev = {.type = RAFT_EV_APPEND};
    ev.append.from = 2;
    ev.append.term = 1;
    ev.append.epoch = 3;
    ev.append.prev_index = 4;
    ev.append.prev_term = 1;
    ev.append.last_index = 5;
    ev.append.runs = (struct raft_run[]){{5, 1}};
    ev.append.n_runs = 1;
    step(t, &ev);
    assert_int_equal(t->edit.append_first, 0);
    assert_int_equal(t->r.election_deadline, deadline);
    assert_int_equal(t->r.stats.stale_msgs, 4);
    receive(t, lead(1, 6, 0, 0));
    assert_int_not_equal(t->r.election_deadline, deadline);
}

/* Its leader would not have made the newest one else. */
static void test_the_members_before_are_committed(void **state)
{
    struct node *t = *state;
    struct raft_members m[2];
    start(t, 3, 1, 0);
    m[0] = m[1] = t->r.members;
    m[0].index = 1;
    m[1].index = 2;
    receive(t, lead(1, 1, 0, 0));
    receive(t, probe(1, 1, 0, 0));
    struct raft_event ev = {.type = RAFT_EV_APPEND};
    ev.append.from = 2;
    ev.append.term = 1;
    ev.append.epoch = 1;
    ev.append.last_index = 2;
    ev.append.runs = (struct raft_run[]){{1, 1}};
    ev.append.n_runs = 1;
    ev.append.members = m;
    ev.append.n_members = 2;
    step(t, &ev);
    assert_int_equal(t->r.commit_index, 1);
}

/* The places of peers that went have the id 0, and so has a leader that nobody knows. */
static void test_a_free_place_is_nobodys(void **state)
{
    struct node *t = *state;
    start(t, 3, 1, 4);
    receive(t, lead(1, 5, 0, 0));
    receive(t, probe(1, 3, 4, 1));
    t->r.members.n = 2; /* node 3 goes */
    t->r.peers[1] = (struct raft_peer){0};
    struct raft_event ev = {.type = RAFT_EV_APPEND};
    ev.append.term = 1;
    ev.append.epoch = 3;
    ev.append.prev_index = 4;
    ev.append.prev_term = 1;
    ev.append.last_index = 5;
    ev.append.runs = (struct raft_run[]){{5, 1}};
    ev.append.n_runs = 1;
    step(t, &ev);
    assert_int_equal(t->r.trail.last, 4);
    assert_int_equal(raft_peer_slot(&t->r, 0), -1);
}

/* Its directory promised nothing, whatever that of the voter did. */
static void test_a_node_stands_for_its_own_directory_only(void **state)
{
    struct node *t = *state;
    start(t, 3, 1, 0);
    t->r.members.m[0].incarnation = 5;
    t->now += 2 * T;
    tick(t);
    assert_int_equal(t->r.role, RAFT_FOLLOWER);
    t->r.cfg.incarnation = 5;
    t->now += 2 * T;
    tick(t);
    assert_int_equal(t->r.role, RAFT_PRE_CANDIDATE);
}

static void test_reads_of_a_node_are_merged(void **state)
{
    struct node *t = *state;
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
}

static void test_runs_grow(void **state)
{
    struct raft_run *more = calloc(200, sizeof *more);
    struct node *t = *state;
    start(t, 3, 100, 0);
    receive(t, lead(100, 1, 0, 0));
    receive(t, probe(100, 1, 0, 0));
    settle(t);
    for (uint64_t i = 0; i < 60; i++) {
        if (raft_trail_room(&t->r.trail) < RAFT_APPEND_RUNS_MAX)
            raft_trail_move(&t->r.trail, more, 200);
        append(t, 2 * i, 2 * i + 2, (struct raft_run[]){{2 * i + 1, i + 1}}, 1);
    }
    assert_ptr_equal(t->r.trail.runs, more);
    assert_int_equal(raft_trail_room(&t->r.trail), 140);
    for (uint64_t i = 1; i <= 120; i++)
        assert_int_equal(raft_term_at(&t->r, i), (i + 1) / 2);
    assert_int_equal(raft_term_at(&t->r, 0), 0);
    assert_int_equal(raft_term_at(&t->r, 121), 0);
    free(more);
}

static void test_silent_peers_are_probed_at_the_pace_of_heartbeats(void **state)
{
    struct node *t = *state;
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
}

/* Times of the next messages of a kind to a peer that answers nothing. */
static void asked_at(struct node *t, enum raft_msg_type type, uint16_t to, raft_time *at,
                     unsigned n)
{
    for (unsigned k = 0; k < n;) {
        ready(t);
        if (now_msg(t, type, to) != NULL)
            at[k++] = t->now;
        advance(t);
        t->now = raft_deadline(&t->r);
        tick(t);
    }
}

static void test_each_peer_is_asked_at_its_own_pace(void **state)
{
    struct node *t = *state;
    static const unsigned steps[] = {1, 1, 1, 2, 4, 8};
    raft_time at[9];
    start(t, 3, 0, 0);
    raft_pto(&t->r, 0, 2000);
    t->now = t->r.election_deadline;
    tick(t);
    raft_time began = t->now;
    asked_at(t, RAFT_MSG_VOTE_REQ, 2, at, 7);
    assert_true(at[0] == began);
    for (unsigned k = 0; k < 6; k++)
        assert_int_equal(at[k + 1] - at[k], 2000 * steps[k]);

    start(t, 3, 0, 0); /* the other one: nothing is known of its link */
    t->now = t->r.election_deadline;
    tick(t);
    asked_at(t, RAFT_MSG_VOTE_REQ, 3, at, 5);
    for (unsigned k = 0; k < 3; k++)
        assert_int_equal(at[k + 1] - at[k], T / 8);
    assert_int_equal(at[4] - at[3], T / 4);
}

static void test_backoff_ends_at_the_heartbeat(void **state)
{
    struct node *t = *state;
    raft_time at[12];
    start(t, 5, 0, 0);
    win(t);
    raft_pto(&t->r, 0, 0); /* not for ever */
    assert_int_equal(t->r.peers[0].pto, 1);
    raft_pto(&t->r, 0, 10 * T);
    raft_pto(&t->r, 1, 2000);
    settle(t);
    t->r.lead_since = t->now + 100 * T; /* keeps its majority */
    asked_at(t, RAFT_MSG_PROBE, 2, at, 3);
    assert_true(at[2] - at[1] == T / 3);
    asked_at(t, RAFT_MSG_PROBE, 3, at, 12);
    assert_true(at[11] - at[10] == T / 3);
}

static void test_repeated_vote_requests_do_not_hold_the_voter(void **state)
{
    struct node *t = *state;
    start(t, 3, 0, 0);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 2, .term = 1};
    m.vote_req.vote_term = 1;
    t->now += 1000;
    receive(t, m);
    settle(t);
    raft_time deadline = t->r.election_deadline;
    assert_true(deadline >= t->now + T);
    t->now += 1000;
    receive(t, m);
    ready(t);
    assert_true(t->rd.now[0].vote_rsp.granted);
    assert_int_equal(t->r.election_deadline, deadline);
}

/* ------------------------------------------------------------------------------------ raft_check */

static void test_check_finds_what_is_broken(void **state)
{
    struct node *t = *state;
    start(t, 3, 2, 5);
    BREAK(t->r.term = 1);
    BREAK(t->r.commit_index = 6);
    BREAK(t->r.commit_index = 1); /* no leader said so */
    BREAK(t->r.durable_index = 6);
    BREAK(t->r.durable_index = 4); /* and nothing in flight */
    BREAK(t->r.verified = 6);
    BREAK(t->r.leader = 1);
    BREAK(t->r.leader = 2); /* never heard */
    BREAK(t->r.ack_due = true);
    BREAK(t->r.trail.n_runs = 0);
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
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(raft_role_name(RAFT_PRE_CANDIDATE), "pre-candidate");
    assert_string_equal(raft_peer_state_name(RAFT_PEER_REPLICATE), "replicate");
    for (int why = 0; why < RAFT_WHY_COUNT; why++)
        assert_string_not_equal(raft_why_name((enum raft_why)why), "?");
    for (int transfer = 0; transfer < RAFT_TRANSFER_COUNT; transfer++)
        assert_string_not_equal(raft_transfer_name((enum raft_transfer)transfer), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_early_ticks_do_nothing),
        TEST(test_timeouts_fill_their_interval),
        TEST(test_lists_wait_for_the_disk),
        TEST(test_batches_may_be_short),
        TEST(test_a_refused_batch_makes_room_for_the_vote),
        TEST(test_a_refused_vote_is_not_given),
        TEST(test_a_refused_truncation_is_not_forgotten),
        TEST(test_one_message_of_a_kind_waits),
        TEST(test_acks_wait_a_little_for_the_disk),
        TEST(test_acks_are_maxima),
        TEST(test_a_restarted_follower_is_probed_again),
        TEST(test_a_stream_can_be_refused),
        TEST(test_only_news_counts_as_a_sign_of_life),
        TEST(test_repeated_vote_requests_do_not_hold_the_voter),
        TEST(test_the_members_before_are_committed),
        TEST(test_a_free_place_is_nobodys),
        TEST(test_a_node_stands_for_its_own_directory_only),
        TEST(test_reads_of_a_node_are_merged),
        TEST(test_runs_grow),
        TEST(test_each_second_heartbeat_is_answered),
        TEST(test_a_quiet_heartbeat_is_not_answered),
        TEST(test_silent_peers_are_probed_at_the_pace_of_heartbeats),
        TEST(test_each_peer_is_asked_at_its_own_pace),
        TEST(test_backoff_ends_at_the_heartbeat),
        TEST(test_check_finds_what_is_broken),
        TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
