// LINK: @core
/* A disk that lost what its node had acknowledged: what the leader believes, and whom the node votes
 * for. The scripts lost_tail* and doubt_* show the course of things. */
#include "tests/lib/core_one.h"

/* Processes of node 2, one after the other. */
enum { BEFORE = 70, AFTER, LATER };

static struct raft_peer *peer(struct node *t)
{
    return &t->r.peers[0];
}

static struct raft_msg probe_ack(const struct node *t, uint32_t boot, bool match, uint64_t hint)
{
    struct raft_msg m = {.type = RAFT_MSG_PROBE_ACK, .from = 2, .term = t->r.term};
    m.probe_ack.probe = t->r.peers[0].probe;
    m.probe_ack.boot = boot;
    m.probe_ack.match = match;
    m.probe_ack.prev_index = t->r.peers[0].probe_index;
    m.probe_ack.hint_index = hint;
    m.probe_ack.hint_term = raft_term_at(&t->r, hint);
    return m;
}

static void answer(struct node *t, uint32_t boot, bool match, uint64_t hint)
{
    receive(t, probe_ack(t, boot, match, hint));
}

static struct raft_msg ack(const struct node *t, uint32_t boot, uint64_t durable)
{
    struct raft_msg m = {.type = RAFT_MSG_ACK, .from = 2, .term = t->r.term};
    m.ack.boot = boot;
    m.ack.durable = durable;
    return m;
}

/* The process has no stream yet. */
static void new_process(struct node *t, uint32_t boot)
{
    struct raft_msg m = ack(t, boot, 0);
    m.ack.epoch = peer(t)->epoch;
    m.ack.need_probe = true;
    receive(t, m);
    assert_int_equal(peer(t)->state, RAFT_PEER_PROBE);
}

/* Node 1 of n leads; its log has 4 older entries, its no-op and two of clients: 7. */
static void lead_seven(struct node *t, unsigned n)
{
    start(t, n, 1, 4);
    win(t);
    propose(t, 2);
    settle(t);
    assert_int_equal(t->r.trail.last, 7);
    answer(t, BEFORE, true, 0);
    assert_int_equal(peer(t)->state, RAFT_PEER_REPLICATE);
}

static void expect_told(struct node *t, uint64_t acked)
{
    t->now += T;
    ready(t);
    const struct raft_msg *m = now_msg(t, RAFT_MSG_PROBE, 2);
    assert_non_null(m);
    assert_int_equal(m->probe.acked_index, acked);
    assert_int_equal(m->probe.acked_term, raft_term_at(&t->r, acked));
}

static void test_former_process_counts_no_more(void **state)
{
    struct node *t = *state;
    lead_seven(t, 5);
    receive(t, ack(t, BEFORE, 6));
    assert_int_equal(peer(t)->match_index, 6);
    new_process(t, AFTER);
    assert_int_equal(peer(t)->probe_index, 6);
    answer(t, AFTER, false, 3);
    assert_int_equal(t->r.stats.lost_acked, 1);
    assert_int_equal(peer(t)->lost_index, 6);
    assert_int_equal(peer(t)->match_index, 0);
    assert_int_equal(peer(t)->probe_index, 3);
    expect_told(t, 6);

    /* What it acknowledged before comes late: it is not there any more. */
    receive(t, ack(t, BEFORE, 7));
    assert_int_equal(peer(t)->match_index, 0);
    answer(t, AFTER, true, 0);
    receive(t, ack(t, BEFORE, 7));
    assert_int_equal(peer(t)->match_index, 0);
    receive(t, ack(t, AFTER, 5));
    assert_int_equal(peer(t)->match_index, 5);
    assert_int_equal(peer(t)->lost_index, 6);

    /* The next process has not heard of it. */
    new_process(t, LATER);
    expect_told(t, 6);
    answer(t, LATER, true, 0);
    receive(t, ack(t, LATER, 6));
    assert_int_equal(peer(t)->match_index, 6);
    assert_int_equal(peer(t)->lost_index, 0);
    assert_int_equal(t->r.stats.lost_acked, 1);
    new_process(t, LATER + 1);
    expect_told(t, 0);
}

/* The probe that the next process answers was made before the former one acknowledged more. */
static void test_match_proves_what_was_asked(void **state)
{
    struct node *t = *state;
    lead_seven(t, 5);
    receive(t, ack(t, BEFORE, 4));
    new_process(t, AFTER);
    assert_int_equal(peer(t)->probe_index, 4);
    receive(t, ack(t, BEFORE, 6));
    answer(t, AFTER, true, 0);
    assert_int_equal(peer(t)->state, RAFT_PEER_PROBE);
    assert_int_equal(peer(t)->probe_index, 6);
    answer(t, AFTER, false, 5);
    assert_int_equal(peer(t)->lost_index, 6);
    assert_int_equal(peer(t)->match_index, 0);
}

static void test_old_refusals_lower_nothing(void **state)
{
    struct node *t = *state;
    lead_seven(t, 5);
    receive(t, ack(t, BEFORE, 6));
    struct raft_msg m = {.type = RAFT_MSG_PROBE_ACK, .from = 2, .term = t->r.term};
    m.probe_ack.probe = peer(t)->probe; /* that had matched */
    m.probe_ack.boot = BEFORE;
    m.probe_ack.prev_index = 4;
    m.probe_ack.hint_index = 2;
    m.probe_ack.hint_term = 1;
    receive(t, m);
    new_process(t, AFTER);
    receive(t, m); /* of the last probe but one */
    m.term--;
    m.probe_ack.probe = peer(t)->probe;
    receive(t, m); /* of another leader's probe */
    assert_int_equal(peer(t)->match_index, 6);
    assert_int_equal(peer(t)->probe_index, 6);
    assert_int_equal(t->r.stats.lost_acked, 0);
}

static void lead_again(struct node *t)
{
    struct raft_msg m = lead(t->r.term + 1, 1, 0, 0);
    receive(t, m);
    settle(t);
    assert_int_equal(t->r.role, RAFT_FOLLOWER);
    win(t);
    assert_int_equal(peer(t)->match_index, 0);
    answer(t, AFTER, false, 3);
}

/* What was committed with its copy it must have under any leader. */
static void test_known_from_an_earlier_leadership(void **state)
{
    struct node *t = *state;
    lead_seven(t, 3);
    receive(t, ack(t, BEFORE, 6));
    assert_int_equal(t->r.commit_index, 6);
    receive(t, ack(t, BEFORE, 7));
    lead_again(t);
    assert_int_equal(peer(t)->lost_index, 7);
    expect_told(t, 7);
    answer(t, AFTER, true, 0);
    receive(t, ack(t, AFTER, 7));
    assert_int_equal(peer(t)->lost_index, 0);
}

/* What was not may have been replaced since. */
static void test_uncommitted_is_not_held_against_it(void **state)
{
    struct node *t = *state;
    lead_seven(t, 5);
    receive(t, ack(t, BEFORE, 7));
    assert_int_equal(t->r.commit_index, 0);
    lead_again(t);
    assert_int_equal(peer(t)->lost_index, 0);
    assert_int_equal(t->r.stats.lost_acked, 0);
}

/* ---------------------------------------------------------------------------------- follower */

/* Node 1 follows node 2 in term 5; it holds 4 entries and once acknowledged 9, the last of term 3. */
static struct raft_msg doubtful_probe(void)
{
    struct raft_msg m = probe(5, 1, 4, 1);
    m.probe.acked_index = 9;
    m.probe.acked_term = 3;
    return m;
}

static void enter_doubt(struct node *t)
{
    start(t, 3, 5, 4);
    receive(t, doubtful_probe());
    assert_int_equal(t->r.doubt_index, 9);
    assert_int_equal(t->r.stats.lost_acked, 1);
    settle(t);
}

static bool votes_for(struct node *t, uint64_t last_index, uint64_t last_term, bool pre)
{
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 3, .term = t->r.term + 1};
    t->now += 2 * T; /* the leader is silent */
    m.vote_req.pre = pre;
    m.vote_req.vote_term = m.term + pre;
    m.vote_req.campaign = 1;
    m.vote_req.last_index = last_index;
    m.vote_req.last_term = last_term;
    receive(t, m);
    ready(t);
    const struct raft_msg *rsp = now_msg(t, RAFT_MSG_VOTE_RSP, 3);
    if (rsp == NULL)
        rsp = find(t->rd.after, t->rd.n_after, RAFT_MSG_VOTE_RSP, 3);
    assert_non_null(rsp);
    bool granted = rsp->vote_rsp.granted;
    settle(t);
    return granted;
}

static void test_votes_as_if_nothing_were_lost(void **state)
{
    struct node *t = *state;
    for (unsigned pre = 0; pre < 2; pre++) {
        enter_doubt(t);
        assert_false(votes_for(t, 4, 1, pre)); /* all that it has */
        assert_false(votes_for(t, 8, 3, pre));
        assert_false(votes_for(t, 20, 2, pre));
        assert_true(votes_for(t, 9, 3, pre));
        enter_doubt(t);
        assert_true(votes_for(t, 5, 4, pre));
    }
}

static void test_does_not_stand(void **state)
{
    struct node *t = *state;
    enter_doubt(t);
    for (unsigned i = 0; i < 20; i++) {
        t->now = t->r.election_deadline;
        tick(t);
        settle(t);
        assert_int_equal(t->r.role, RAFT_FOLLOWER);
        assert_int_equal(t->r.leader, 0);
    }
    assert_int_equal(t->r.stats.campaigns, 0);
}

static void test_gives_no_second_vote_in_the_term(void **state)
{
    struct node *t = *state;
    enter_doubt(t);
    assert_int_equal(t->r.vote, 2);
    t->now = t->r.election_deadline;
    tick(t);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 3, .term = 5};
    m.vote_req.vote_term = 5;
    m.vote_req.last_index = 9;
    m.vote_req.last_term = 3;
    receive(t, m);
    assert_int_equal(t->r.vote, 2);
}

static void test_ends_when_it_is_durable(void **state)
{
    struct node *t = *state;
    enter_doubt(t);
    append(t, 4, 8, (const struct raft_run[]){{5, 3}}, 1);
    settle(t);
    assert_int_equal(t->r.doubt_index, 9);
    append(t, 8, 9, (const struct raft_run[]){{9, 3}}, 1);
    assert_int_equal(t->r.doubt_index, 9);
    settle(t);
    assert_int_equal(t->r.doubt_index, 0);
    /* The probe of then once more: it has all that again. */
    receive(t, doubtful_probe());
    assert_int_equal(t->r.doubt_index, 0);
    assert_int_equal(t->r.stats.lost_acked, 1);
}

/* An older log may look longer by its term, and yet lack what was acknowledged: it must be verified. */
static void test_old_entries_do_not_end_it(void **state)
{
    struct node *t = *state;
    start(t, 3, 5, 4);
    receive(t, probe(5, 1, 4, 1));
    append(t, 4, 6, (const struct raft_run[]){{5, 4}}, 1);
    settle(t);
    struct raft_msg m = probe(6, 1, 4, 1);
    m.probe.acked_index = 9;
    m.probe.acked_term = 3;
    receive(t, m);
    settle(t);
    assert_int_equal(t->r.trail.last, 6);
    assert_int_equal(t->r.doubt_index, 9);
}

static void test_impossible_doubts(void **state)
{
    struct node *t = *state;
    static const struct {
        uint64_t index, term;
    } lies[] = {{0, 1}, {9, 0}, {3, 1}, {9, 6}, {9, UINT64_MAX}};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        start(t, 3, 5, 4);
        struct raft_msg m = probe(5, 1, 4, 1);
        m.probe.acked_index = lies[i].index;
        m.probe.acked_term = lies[i].term;
        receive(t, m);
        assert_int_equal(t->r.stats.impossible_msgs, 1);
        assert_int_equal(t->r.doubt_index, 0);
        assert_int_equal(t->r.probe_seen, 0);
    }
}

/* ------------------------------------------------------------------------------------ damaged */

static struct raft_msg damaged_ack(const struct node *t, uint16_t from, uint32_t boot,
                                   uint64_t durable)
{
    struct raft_msg m = ack(t, boot, durable);
    m.from = from;
    m.ack.damaged = true;
    return m;
}

static struct raft_msg ack_of(const struct node *t, uint16_t from, uint64_t durable)
{
    struct raft_msg m = ack(t, t->r.peers[from - 2].boot, durable);
    m.from = from;
    m.ack.round = t->r.round;
    return m;
}

/* Node 2's new process says to a probe that it is damaged: its log ends with entry 3. */
static void found_damaged(struct node *t, uint32_t boot)
{
    if (peer(t)->state == RAFT_PEER_REPLICATE)
        new_process(t, boot);
    bool match = peer(t)->probe_index <= 3;
    struct raft_msg m = probe_ack(t, boot, match, match ? 0 : 3);
    m.probe_ack.damaged = true;
    receive(t, m);
    assert_int_equal(peer(t)->match_index, 0);
    assert_int_equal(peer(t)->kept_index, 0);
}

/* Node 2's new process says that it is damaged, and has all of the log again. */
static void lead_damaged(struct node *t, unsigned n)
{
    lead_seven(t, n);
    receive(t, ack(t, BEFORE, 7));
    found_damaged(t, AFTER);
    assert_int_equal(t->r.stats.lost_acked, 1);
    assert_int_equal(peer(t)->state, RAFT_PEER_PROBE);
    assert_true(t->edit.noop);
    assert_int_equal(t->r.trail.last, 8);
    settle(t);
    answer(t, AFTER, true, 0); /* it says no more that it is damaged: it can't know */
    receive(t, damaged_ack(t, 2, AFTER, 8));
    assert_int_equal(peer(t)->match_index, 8);
    assert_false(raft_peer_counts(&t->r, peer(t)));
}

static void test_damaged_copy_does_not_count(void **state)
{
    struct node *t = *state;
    lead_damaged(t, 5);
    receive(t, ack_of(t, 3, 8));
    assert_int_equal(t->r.commit_index, 0);
    receive(t, ack_of(t, 4, 7));
    assert_int_equal(t->r.commit_index, 7);
    assert_false(raft_peer_counts(&t->r, peer(t)));
    receive(t, ack_of(t, 4, 8));
    assert_int_equal(t->r.commit_index, 8);
    assert_true(raft_peer_counts(&t->r, peer(t)));
    /* From now on it is one of three. */
    propose(t, 1);
    settle(t);
    receive(t, damaged_ack(t, 2, AFTER, 9));
    receive(t, ack_of(t, 3, 9));
    assert_int_equal(t->r.commit_index, 9);
}

/* The same commit makes it count, and completes another majority. */
static void test_counts_at_once(void **state)
{
    struct node *t = *state;
    lead_damaged(t, 5);
    propose(t, 1);
    settle(t);
    receive(t, damaged_ack(t, 2, AFTER, 9));
    receive(t, ack_of(t, 3, 9));
    receive(t, ack_of(t, 4, 8));
    assert_int_equal(t->r.commit_index, 9);
}

static void test_damaged_peer_confirms_no_round(void **state)
{
    struct node *t = *state;
    lead_damaged(t, 3);
    ask(t, 1);
    settle(t);
    struct raft_msg m = damaged_ack(t, 2, AFTER, 8);
    m.ack.round = t->r.round;
    receive(t, m);
    assert_int_equal(t->r.read_done, 0);
    /* Nor does it keep a leader in office. */
    t->now += 2 * T;
    receive(t, m);
    tick(t);
    assert_int_equal(t->r.why, RAFT_WHY_LOST_QUORUM);
}

/* While clients' entries are on the way there is no need for another. */
static void test_entry_of_clients_will_do(void **state)
{
    struct node *t = *state;
    lead_seven(t, 5);
    propose(t, 1);
    ready(t);
    advance(t);
    found_damaged(t, AFTER);
    assert_int_equal(t->r.trail.last, 8);
    assert_int_equal(peer(t)->sure_index, 9);
    propose(t, 1);
    persisted(t);
    settle(t);
    assert_int_equal(t->r.trail.last, 9);
    found_damaged(t, LATER);
    assert_int_equal(peer(t)->sure_index, 10);
    assert_int_equal(t->r.trail.last, 10);
}

static void expect_named(struct node *t, uint64_t acked, uint32_t boot)
{
    expect_told(t, acked);
    assert_int_equal(now_msg(t, RAFT_MSG_PROBE, 2)->probe.damaged_boot, boot);
}

static void test_entry_is_named_to_that_process(void **state)
{
    struct node *t = *state;
    lead_damaged(t, 5);
    found_damaged(t, LATER);
    settle(t);
    expect_named(t, 0, 0); /* it is not committed yet */
    receive(t, ack_of(t, 3, 9));
    receive(t, ack_of(t, 4, 9));
    assert_int_equal(t->r.commit_index, 9);
    expect_named(t, 9, LATER);
    answer(t, LATER, true, 0);
    receive(t, ack(t, LATER, 9));
    assert_int_equal(peer(t)->lost_index, 0);
    /* Late words of that process are no news. */
    struct raft_msg late = damaged_ack(t, 2, LATER, 9);
    receive(t, late);
    assert_int_equal(peer(t)->state, RAFT_PEER_REPLICATE);
    assert_int_equal(peer(t)->match_index, 9);
    /* But on the present stream they mean that it has not been told. */
    late.ack.epoch = peer(t)->epoch;
    receive(t, late);
    assert_int_equal(peer(t)->state, RAFT_PEER_PROBE);
}

/* It may come when the process is long gone, and the next one is as good as any. */
static void test_late_words_of_a_former_process(void **state)
{
    struct node *t = *state;
    lead_damaged(t, 3);
    found_damaged(t, LATER);
    settle(t);
    answer(t, LATER, true, 0);
    receive(t, ack_of(t, 3, 9));
    receive(t, ack(t, LATER, 9));
    receive(t, damaged_ack(t, 2, AFTER, 8));
    assert_true(raft_peer_counts(&t->r, peer(t)));
    assert_int_equal(peer(t)->match_index, 9);
}

/* Until it has answered a probe it may be damaged: what it says of itself counts for nothing. */
static void test_damaged_before_it_is_probed(void **state)
{
    struct node *t = *state;
    lead_seven(t, 3);
    receive(t, ack(t, BEFORE, 3));
    settle(t);
    ask(t, 1);
    settle(t);
    struct raft_msg m = damaged_ack(t, 2, AFTER, 3);
    m.ack.round = t->r.round;
    m.ack.epoch = peer(t)->epoch;
    m.ack.need_probe = true;
    receive(t, m);
    assert_int_equal(peer(t)->round, 0);
    assert_int_equal(peer(t)->state, RAFT_PEER_PROBE);
    found_damaged(t, AFTER);
}

/* Node 1 follows node 2 in term 5, and holds 4 entries. Nobody knows what else it promised. */
static void start_damaged(struct node *t)
{
    start(t, 3, 5, 4);
    t->r.damaged = true;
    receive(t, lead(5, 1, 0, 0));
    settle(t);
}

static void test_damaged_node_votes_for_nobody(void **state)
{
    struct node *t = *state;
    for (unsigned pre = 0; pre < 2; pre++) {
        start_damaged(t);
        assert_false(votes_for(t, 100, 5, pre));
        receive(t, doubtful_probe()); /* a leader that has not heard of it yet */
        assert_int_equal(t->r.doubt_index, 0);
        assert_false(votes_for(t, 100, 5, pre));
    }
    t->now = t->r.election_deadline;
    tick(t);
    assert_int_equal(t->r.stats.campaigns, 0);
}

static bool says_damaged(struct node *t)
{
    ready(t);
    const struct raft_msg *m = now_msg(t, RAFT_MSG_PROBE_ACK, 2);
    if (m == NULL)
        m = find(t->rd.after, t->rd.n_after, RAFT_MSG_PROBE_ACK, 2);
    assert_non_null(m);
    return m->probe_ack.damaged;
}

static void test_damaged_node_is_healed(void **state)
{
    struct node *t = *state;
    start_damaged(t);
    struct raft_msg m = doubtful_probe();
    m.probe.damaged_boot = t->r.cfg.boot - 1;
    receive(t, m);
    assert_true(says_damaged(t));
    assert_int_equal(t->r.doubt_index, 0);
    m.probe.damaged_boot = t->r.cfg.boot;
    receive(t, m);
    assert_false(says_damaged(t));
    assert_int_equal(t->r.doubt_index, 9);
    assert_true(t->r.damaged);
    settle(t);
    append(t, 4, 9, (const struct raft_run[]){{5, 3}}, 1);
    assert_true(t->r.damaged);
    settle(t);
    assert_false(raft_in_doubt(&t->r));
    assert_false(t->r.damaged);
}

/* A vote for an earlier process of this node in the same term: both may have forgotten it. */
static void test_votes_for_an_earlier_process(void **state)
{
    struct node *t = *state;
    start(t, 3, 1, 4);
    t->now = t->r.election_deadline;
    tick(t);
    grant(t, 2, true);
    settle(t);
    assert_int_equal(t->r.role, RAFT_CANDIDATE);
    struct raft_msg m = {.type = RAFT_MSG_VOTE_RSP, .from = 3, .term = t->r.term};
    m.vote_rsp.granted = true;
    m.vote_rsp.vote_term = t->r.term;
    m.vote_rsp.campaign = t->r.campaign - (UINT64_C(1) << 32);
    receive(t, m);
    assert_int_equal(t->r.role, RAFT_CANDIDATE);
    m.vote_rsp.campaign = t->r.campaign - 1;
    receive(t, m);
    assert_int_equal(t->r.role, RAFT_LEADER);
}

/* ------------------------------------------------------------------------------------- checks */

static void test_broken_states_are_found(void **state)
{
    struct node *t = *state;
    lead_seven(t, 3);
    receive(t, ack(t, BEFORE, 6));
    assert_int_equal(t->r.commit_index, 6);
    BREAK(peer(t)->kept_index = 7);
    BREAK(peer(t)->lost_index = 6);
    BREAK(peer(t)->lost_index = 8);
    BREAK(peer(t)->match_index = 0);
    new_process(t, AFTER);
    answer(t, AFTER, false, 3);
    /* The commit index stands on what was acknowledged, and on no more. */
    BREAK(peer(t)->lost_index = 0);
    BREAK(peer(t)->lost_index = 5);
    BREAK(t->r.commit_index = t->r.leader_commit = 7);
    BREAK(t->r.commit_index = 4; peer(t)->kept_index = 0; peer(t)->match_index = 5);
    enter_doubt(t);
    BREAK(t->r.doubt_index = 0);
    BREAK(t->r.doubt_term = 0);
    BREAK(t->r.doubt_term = 6);
    BREAK(t->r.role = RAFT_PRE_CANDIDATE; t->r.leader = 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_former_process_counts_no_more),
        TEST(test_match_proves_what_was_asked),
        TEST(test_old_refusals_lower_nothing),
        TEST(test_known_from_an_earlier_leadership),
        TEST(test_uncommitted_is_not_held_against_it),
        TEST(test_votes_as_if_nothing_were_lost),
        TEST(test_does_not_stand),
        TEST(test_gives_no_second_vote_in_the_term),
        TEST(test_ends_when_it_is_durable),
        TEST(test_old_entries_do_not_end_it),
        TEST(test_impossible_doubts),
        TEST(test_damaged_copy_does_not_count),
        TEST(test_counts_at_once),
        TEST(test_damaged_peer_confirms_no_round),
        TEST(test_entry_of_clients_will_do),
        TEST(test_entry_is_named_to_that_process),
        TEST(test_late_words_of_a_former_process),
        TEST(test_damaged_before_it_is_probed),
        TEST(test_damaged_node_votes_for_nobody),
        TEST(test_damaged_node_is_healed),
        TEST(test_votes_for_an_earlier_process),
        TEST(test_broken_states_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
