// LINK: @core
/* test_raft_hostile.c: input that no correct peer sends is counted and changes nothing; no input trips
 * an assertion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/core_one.h"

/* ------------------------------------------------------------------------------ impossible input */

/* The node must count the message and stay as it is. */
static void expect_impossible(struct node *t, struct raft_msg m)
{
    struct raft before = t->r;
    receive(t, m);
    assert_int_equal(t->r.stats.impossible_msgs, before.stats.impossible_msgs + 1);
    t->r.stats = before.stats;
    for (unsigned i = 0; i < t->r.n_peers; i++) {
        t->r.peers[i].heard = before.peers[i].heard;
        t->r.peers[i].seen = before.peers[i].seen;
    }
    assert_memory_equal(&t->r, &before, sizeof before);
}

static void test_impossible_messages_change_nothing(void **state)
{
    struct node *t = *state;
    start(t, 3, 5, 4);
    expect_impossible(t, (struct raft_msg){.type = RAFT_MSG_LEAD, .from = 0, .term = 6});
    expect_impossible(t, (struct raft_msg){.type = RAFT_MSG_ACK, .from = 9, .term = 6});
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
    m.ack.durable = t->r.trail.last + 1;
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
}

enum { JUMP_BITS = 32 };

/* Every kind of message, data too, in a term that is too far above: none may bring it nearer to the
 * edge, where no election is possible any more. One that could be is believed. */
static void test_terms_do_not_jump(void **state)
{
    struct node *t = *state;
    uint64_t jump = UINT64_C(1) << JUMP_BITS, edge = UINT64_MAX / 2;
    static const uint64_t own[] = {0, 5, UINT64_MAX / 2 - 10, UINT64_MAX / 2};
    for (unsigned k = 0; k < sizeof own / sizeof *own; k++) {
        uint64_t absurd[] = {own[k] + jump + 1, edge + 1, UINT64_MAX};
        if (absurd[0] < edge)
            absurd[1] = edge;
        for (unsigned a = 0; a < sizeof absurd / sizeof *absurd; a++) {
            start(t, 3, own[k], own[k] > 0 ? 4 : 0);
            assert_true(raft_term_absurd(&t->r, absurd[a]));
            for (int type = RAFT_MSG_VOTE_REQ; type <= RAFT_MSG_TRANSFER; type++) {
                struct raft_msg m = {
                    .type = (enum raft_msg_type)type, .from = 2, .term = absurd[a]};
                if (type == RAFT_MSG_VOTE_REQ)
                    m.vote_req.vote_term = absurd[a];
                expect_impossible(t, m);
                m.vote_req.pre = type == RAFT_MSG_VOTE_REQ;
                m.vote_req.vote_term += m.vote_req.pre;
                expect_impossible(t, m);
            }
            struct raft before = t->r;
            struct raft_event ev = {.type = RAFT_EV_APPEND};
            ev.append.from = 2;
            ev.append.term = absurd[a];
            ev.append.last_index = 1;
            ev.append.runs = (struct raft_run[]){{1, 1}};
            ev.append.n_runs = 1;
            step(t, &ev);
            assert_int_equal(t->r.stats.impossible_msgs, before.stats.impossible_msgs + 1);
            assert_int_equal(t->r.term, own[k]);
        }
        /* The highest that is believed; the next one as far above that needs it on disk first. */
        uint64_t highest = own[k] + jump < edge ? own[k] + jump : edge;
        receive(t, lead(highest, 1, 0, 0));
        assert_int_equal(t->r.term, highest);
        assert_true(raft_term_absurd(&t->r, highest + 1));
        settle(t);
        assert_int_equal(raft_term_absurd(&t->r, highest + 1), highest == edge);
    }
}

static void test_impossible_entries_change_nothing(void **state)
{
    struct node *t = *state;
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
        assert_int_equal(t->r.trail.last, 4);
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
}

/* A number near x, mostly. */
#define NEAR(x) ((uint64_t)(x) + (uint64_t)(rand() % 4) - (rand() % 3 == 0))

static struct raft_msg any_message(const struct raft *r)
{
    uint64_t raw[6];
    struct raft_msg m = {.type = (enum raft_msg_type)(rand() % 13)};
    for (unsigned i = 0; i < 6; i++)
        raw[i] = rand() % 50 == 0 ? UINT64_MAX : (uint64_t)(rand() % 5);
    m.from = (uint16_t)(rand() % 11);
    m.to = 1;
    m.term = rand() % 3 != 0 ? r->term : NEAR(r->term);
    switch (m.type) {
    case RAFT_MSG_VOTE_REQ:
        m.vote_req.pre = rand() % 2;
        m.vote_req.vote_term = m.term + (rand() % 8 != 0 && m.vote_req.pre);
        m.vote_req.handed = rand() % 4 == 0;
        m.vote_req.last_index = NEAR(r->trail.last);
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
        m.probe.prev_index = NEAR(r->trail.last);
        m.probe.prev_term = rand() % 3 ? raft_term_at(r, m.probe.prev_index) : raw[0];
        break;
    case RAFT_MSG_PROBE_ACK:
        m.probe_ack.probe = (uint32_t)(rand() % 10);
        m.probe_ack.match = rand() % 2;
        m.probe_ack.boot = (uint32_t)(rand() % 2);
        m.probe_ack.prev_index = NEAR(r->trail.last) - 2;
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
        m.ack.unfit = rand() % 4 == 0;
        break;
    case RAFT_MSG_READ_RSP:
        m.read_rsp.req = NEAR(r->read_done);
        m.read_rsp.index = NEAR(r->commit_index);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        m.timeout_now.round = NEAR(r->round);
        m.timeout_now.last_index = NEAR(r->trail.last);
        break;
    case RAFT_MSG_TRANSFER: m.transfer.heir = (uint16_t)(rand() % 11); break;
    default: m.read_req.req = NEAR(raw[3]); break;
    }
    return m;
}

/* A candidate follows somebody who says that it leads the term, and is a pre-candidate again when that one
 * falls silent. Votes for the candidacy that come then make no second leader of the term. */
static void test_votes_after_a_leader(void **state)
{
    struct node *t = *state;
    start(t, 5, 5, 4);
    t->now = t->r.election_deadline;
    tick(t);
    for (uint16_t id = 2; t->r.role == RAFT_PRE_CANDIDATE; id++)
        grant(t, id, true);
    settle(t);
    assert_int_equal(t->r.role, RAFT_CANDIDATE);
    struct raft_msg vote = {.type = RAFT_MSG_VOTE_RSP, .term = t->r.term};
    vote.vote_rsp.granted = true;
    vote.vote_rsp.campaign = t->r.campaign;
    vote.vote_rsp.vote_term = t->r.term;
    receive(t, probe(t->r.term, 1, 4, 5));
    assert_int_equal(t->r.role, RAFT_FOLLOWER);
    settle(t);
    while (t->r.role == RAFT_FOLLOWER) {
        t->now = raft_deadline(&t->r);
        tick(t);
        settle(t);
    }
    assert_int_equal(t->r.role, RAFT_PRE_CANDIDATE);
    for (uint16_t id = 2; id <= 5; id++) {
        vote.from = id;
        receive(t, vote);
        assert_int_equal(t->r.role, RAFT_PRE_CANDIDATE);
        assert_null(raft_check(&t->r));
    }
}

/* Peers that say anything at all, with numbers near the true ones, never trip an assertion. */
static void test_any_message_is_survived(void **state)
{
    struct node *t = *state;
    struct raft_run *memory = NULL;
    srand(1);
    for (unsigned life = 0; life < 300; life++) {
        start(t, 1 + life % RAFT_VOTERS_MAX, 2, life % 5);
        uint64_t req = 1;
        for (unsigned k = 0; k < 300; k++) {
            struct raft *r = &t->r;
            if (raft_trail_room(&r->trail) < RAFT_APPEND_RUNS_MAX) {
                struct raft_run *more = malloc(2 * r->trail.cap_runs * sizeof *more);
                raft_trail_move(&r->trail, more, 2 * r->trail.cap_runs);
                free(memory);
                memory = more;
            }
            struct raft_msg m = any_message(r);
            t->now += (raft_time)(rand() % (T / 8));
            if (rand() % 40 == 0)
                transfer(t, (uint16_t)(rand() % 11), rand() % 8 == 0);
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
                struct raft_run runs[2] = {{prev + 1, rand() % 4 ? raft_term_at(r, prev) : 2},
                                           {NEAR(prev + 2), NEAR(r->term)}};
                append(t, prev, NEAR(prev + 1), runs, 1 + (size_t)(rand() % 2));
                break;
            }
            default: receive(t, m); break;
            }
        }
    }
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_impossible_messages_change_nothing),
        TEST(test_terms_do_not_jump),
        TEST(test_impossible_entries_change_nothing),
        TEST(test_votes_after_a_leader),
        TEST(test_any_message_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
