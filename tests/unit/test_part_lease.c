// LINK: raftd/node/lease.c @core
/* Leases: what a leader and a node conclude from questions, rounds and clocks. Here the core is a struct that
 * the tests fill in. */
#include "raftd/node/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "raftd/base/num.h"

enum {
    MS = 1000,
    SEC = 1000000,
    LEASE = 10 * SEC,
    T = 150 * MS,
    PATIENCE = LEASE + LEASE / 100 + 2 * T + LEASE_MARGIN_US,
    HOLDS = LEASE - LEASE / 100,
    FIRST = 40, /* the leader's own term's first entry */
};

static const uint64_t P = UINT64_C(0x100000007), OTHER = UINT64_C(0x200000009), OURS = 1;

/* Node 1 of three leads term 5, or follows node 2. */
static struct raft core(enum raft_role role)
{
    struct raft r = {.cfg = {.id = 1, .election_timeout = T}, .role = role, .term = 5, .round = 10};
    r.leader = role == RAFT_LEADER ? 1 : 2;
    r.members.n = 3;
    for (unsigned i = 0; i < 3; i++) {
        r.members.m[i] = (struct raft_member){.id = (uint16_t)(i + 1), .standing = RAFT_VOTER};
        r.peers[i].id = (uint16_t)(i + 2);
    }
    r.n_peers = 2;
    r.members.m[1].incarnation = 22;
    r.term_first = r.commit_index = r.trail.last = FIRST;
    return r;
}

static struct lease lease_of(const struct raft *r)
{
    struct lease l;
    lease_init(&l, r, OURS, LEASE);
    return l;
}

static void ask(struct lease *l, uint64_t now, uint16_t from, uint64_t process, uint64_t stamp)
{
    const struct wire_lease w = {.process = process, .stamp = stamp};
    lease_asked(l, now, from, from == 2 ? 22 : 0, &w);
}

static void renewed(struct lease *l, uint64_t process, uint64_t stamp, uint64_t index)
{
    lease_renewed(l, &(struct wire_lease){process, stamp, index, true});
}

/* The answer that leaves for that node now; its stamp, 0 = none. */
static uint64_t answered(struct lease *l, uint16_t to, uint64_t process, uint64_t index)
{
    struct wire_lease w;
    if (!lease_tell(l, 1, to, &w))
        return 0;
    assert_true(w.renewed);
    assert_true(w.process == process);
    assert_int_equal(w.index, index);
    lease_told(l, to, &w);
    return w.stamp;
}

/* A question is answered when a majority has answered a round that began after it had come. A round that was
 * under way then says nothing. */
static void test_round(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    ask(&l, SEC, 2, P, 777);
    r.peers[0].round = r.peers[1].round = 10;
    assert_int_equal(answered(&l, 2, P, FIRST), 0);
    r.round = 12;
    r.peers[1].round = 11; /* node 3's answer makes the majority, with our own */
    assert_int_equal(answered(&l, 3, P, FIRST), 0);
    assert_int_equal(answered(&l, 2, P, FIRST), 777);
    assert_int_equal(answered(&l, 2, P, FIRST), 0); /* once */
}

/* A leader whom nobody answers renews nobody, itself neither. */
static void test_minority(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    for (uint64_t now = SEC; now < 3 * SEC; now += 50 * MS) {
        ask(&l, now, 2, P, now);
        r.round += 2;
        lease_step(&l, now, FIRST);
        assert_int_equal(answered(&l, 2, P, FIRST), 0);
        assert_int_equal(lease_until(&l, LEASE), 0);
    }
    r.peers[0].round = r.round;
    lease_step(&l, 3 * SEC, FIRST);
    assert_int_equal(lease_until(&l, LEASE), SEC + HOLDS);
}

/* While the oldest question waits for its round, newer ones do not make it wait longer. Afterwards the newest
 * one counts. */
static void test_slow_round(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    for (uint64_t i = 1; i <= 20; i++) {
        ask(&l, i * SEC, 2, P, 1000 + i);
        r.round++;
    }
    r.peers[0].round = 11;
    assert_int_equal(answered(&l, 2, P, FIRST), 1001);
    ask(&l, 21 * SEC, 2, P, 1021);
    r.peers[0].round = 30;
    assert_int_equal(answered(&l, 2, P, FIRST), 0);
    r.peers[0].round = r.round = 31;
    assert_int_equal(answered(&l, 2, P, FIRST), 1021);
}

/* Entries of other leaders that free may still be committed until one of our own is. */
static void test_own_entry_first(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    r.commit_index = FIRST - 1;
    ask(&l, SEC, 2, P, 777);
    r.peers[0].round = r.round = 11;
    assert_int_equal(answered(&l, 2, P, FIRST), 0);
    r.commit_index = FIRST;
    assert_int_equal(answered(&l, 2, P, FIRST), 777);
}

/* An answer covers the entries by which this leader freed, and none that was not appended after all. */
static void test_frees(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    ask(&l, SEC, 2, P, 777);
    r.peers[0].round = r.round = 11;
    lease_frees(&l);
    r.trail.last = FIRST + 1;
    assert_int_equal(answered(&l, 2, P, FIRST), 0); /* it is not committed */
    r.commit_index = r.trail.last = FIRST + 5;
    assert_int_equal(answered(&l, 2, P, FIRST + 1), 777);
    lease_frees(&l);
    ask(&l, SEC, 2, P, 778);
    r.peers[0].round = r.round = 12;
    assert_int_equal(answered(&l, 2, P, FIRST + 5), 778);
}

/* A process is over when it was silent for longer than its node can believe, counted from its newest
 * question; and that is dated by the clock as it was read after it had come. */
static void test_over(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    lease_step(&l, SEC, FIRST);
    assert_true(lease_over_at(&l, 2, P) == NEVER); /* so is the election */
    lease_step(&l, 2 * SEC, FIRST);
    assert_int_equal(lease_over_at(&l, 2, P), 2 * SEC + PATIENCE);
    ask(&l, 2 * SEC, 2, P, 777);
    assert_true(lease_over_at(&l, 2, P) == NEVER);
    lease_step(&l, 2 * SEC, FIRST);
    assert_true(lease_over_at(&l, 2, P) == NEVER);
    lease_step(&l, 7 * SEC, FIRST); /* this process was stopped for five seconds meanwhile */
    assert_int_equal(lease_over_at(&l, 2, P), 7 * SEC + PATIENCE);
    assert_int_equal(lease_over_at(&l, 2, OTHER), 2 * SEC + PATIENCE);
    ask(&l, 8 * SEC, 2, P, 777); /* a copy */
    assert_int_equal(lease_over_at(&l, 2, P), 7 * SEC + PATIENCE);
    ask(&l, 9 * SEC, 2, OTHER, 1); /* another process of the node */
    lease_step(&l, 10 * SEC, FIRST);
    assert_int_equal(lease_over_at(&l, 2, P), 7 * SEC + PATIENCE);
    assert_int_equal(lease_over_at(&l, 2, OTHER), 10 * SEC + PATIENCE);
    assert_true(lease_over_at(&l, 1, OURS) == NEVER);
    assert_int_equal(lease_over_at(&l, 1, OTHER), 2 * SEC + PATIENCE);
}

/* The two periods do not meet, with clocks at their bounds. */
static void test_clocks(void **state)
{
    (void)state;
    static const uint64_t leases[] = {SEC, LEASE, 3600 * (uint64_t)SEC};
    for (unsigned i = 0; i < 3; i++) {
        struct raft r = core(RAFT_LEADER), other = core(RAFT_FOLLOWER);
        struct lease l, of_other;
        lease_init(&l, &r, OURS, leases[i]);
        lease_step(&l, 1, FIRST);
        lease_step(&l, 2, FIRST);
        lease_init(&of_other, &other, P, leases[i]);
        lease_told(&of_other, 2, &(struct wire_lease){.process = P, .stamp = 2});
        renewed(&of_other, P, 2, FIRST);
        lease_step(&of_other, 3, FIRST);
        double believes = (double)(lease_until(&of_other, NEVER) - 2) / 0.99;
        double waits = (double)(lease_over_at(&l, 2, P) - 2) / 1.01;
        assert_true(believes <= (double)leases[i] + 1 && waits >= (double)leases[i]);
    }
}

/* Each term counts anew, from when it began. */
static void test_term(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    ask(&l, SEC, 2, P, 777);
    lease_step(&l, 2 * SEC, FIRST);
    r.role = RAFT_FOLLOWER;
    assert_true(lease_over_at(&l, 2, P) == NEVER);
    ask(&l, 2 * SEC, 2, P, 778);
    lease_step(&l, 50 * SEC, FIRST);
    r.role = RAFT_LEADER;
    r.term = 6;
    r.round = 0;
    assert_true(lease_over_at(&l, 2, P) == NEVER);
    assert_int_equal(answered(&l, 2, P, FIRST), 0);
    lease_step(&l, 60 * SEC, FIRST);
    lease_step(&l, 61 * SEC, FIRST);
    assert_int_equal(lease_over_at(&l, 2, P), 61 * SEC + PATIENCE);
    r.peers[0].round = r.peers[1].round = 100;
    assert_int_equal(answered(&l, 2, P, FIRST), 0);
}

/* Nobody is listened to who is no member by its directory. What was heard of it before still holds. */
static void test_no_member(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    const struct wire_lease w = {.process = P, .stamp = 777};
    lease_asked(&l, SEC, 2, 23, &w);
    lease_asked(&l, SEC, 4, 0, &w);
    lease_asked(&l, SEC, 2, 22, &(struct wire_lease){.stamp = 777});
    r.peers[0].round = r.round = 20;
    assert_int_equal(answered(&l, 2, P, FIRST), 0);
    assert_int_equal(answered(&l, 4, P, FIRST), 0);
    ask(&l, 2 * SEC, 2, P, 777);
    r.members.m[1].incarnation = 23;
    lease_step(&l, 3 * SEC, FIRST);
    ask(&l, 4 * SEC, 2, P, 778);
    assert_int_equal(lease_over_at(&l, 2, P), 3 * SEC + PATIENCE);
}

/* With all rows taken a process is not listened to, until one of the others is over. */
static void test_rows(void **state)
{
    (void)state;
    struct raft r = core(RAFT_FOLLOWER);
    struct lease l = lease_of(&r);
    r.role = RAFT_LEADER;
    lease_step(&l, SEC, FIRST); /* our own row */
    for (uint64_t i = 1; i < LEASE_ROWS_MAX; i++)
        ask(&l, SEC + i, 2, OTHER + i, 1);
    lease_step(&l, 2 * SEC, FIRST);
    ask(&l, 3 * SEC, 2, P, 777);
    lease_step(&l, 4 * SEC, FIRST);
    assert_int_equal(lease_over_at(&l, 2, P), 2 * SEC + PATIENCE);
    ask(&l, 2 * SEC + PATIENCE - 1, 2, P, 778);
    assert_int_equal(lease_over_at(&l, 2, P), 2 * SEC + PATIENCE);
    ask(&l, 2 * SEC + PATIENCE, 2, P, 779);
    assert_true(lease_over_at(&l, 2, P) == NEVER);
}

/* A follower asks its leader, and nobody else, some times in each lease. */
static void test_questions(void **state)
{
    (void)state;
    struct raft r = core(RAFT_FOLLOWER);
    struct lease l = lease_of(&r);
    struct wire_lease w;
    unsigned asked = 0;
    for (uint64_t now = SEC; now < SEC + LEASE; now += MS) {
        assert_false(lease_tell(&l, now, 3, &w));
        if (!lease_tell(&l, now, 2, &w))
            continue;
        assert_true(!w.renewed && w.process == OURS && w.stamp == now);
        lease_told(&l, 2, &w);
        asked++;
    }
    assert_int_equal(asked, LEASE_ASKS);
    r.leader = 0;
    assert_false(lease_tell(&l, 100 * SEC, 2, &w));
}

/* An answer counts from when the question was asked, and when our state has what it may depend on. */
static void test_answers(void **state)
{
    (void)state;
    struct raft r = core(RAFT_FOLLOWER);
    struct lease l = lease_of(&r);
    lease_told(&l, 2, &(struct wire_lease){.process = OURS, .stamp = 9 * SEC});
    renewed(&l, P, 5 * SEC, 0);        /* of an earlier process */
    renewed(&l, OURS, 9 * SEC + 1, 0); /* was never asked */
    lease_step(&l, 9 * SEC, FIRST);
    assert_int_equal(lease_until(&l, LEASE), 0);
    renewed(&l, OURS, 5 * SEC, FIRST + 1);
    lease_step(&l, 9 * SEC, FIRST);
    assert_int_equal(lease_until(&l, LEASE), 0);
    renewed(&l, OURS, 6 * SEC, FIRST + 9); /* does not take the place of one that waits for less */
    lease_step(&l, 9 * SEC, FIRST + 1);
    assert_int_equal(lease_until(&l, LEASE), 5 * SEC + HOLDS);
    renewed(&l, OURS, 8 * SEC, FIRST + 1);
    renewed(&l, OURS, 7 * SEC, FIRST + 1); /* overtaken */
    lease_step(&l, 9 * SEC, FIRST + 1);
    assert_int_equal(lease_until(&l, LEASE), 8 * SEC + HOLDS);
    renewed(&l, OURS, 7 * SEC, FIRST + 1);
    lease_step(&l, 9 * SEC, FIRST + 1);
    assert_int_equal(lease_until(&l, LEASE), 8 * SEC + HOLDS);
    assert_int_equal(lease_until(&l, SEC),
                     9 * SEC - SEC / 100); /* another node has a shorter lease */
}

/* The only voter is its own majority. */
static void test_alone(void **state)
{
    (void)state;
    struct raft r = core(RAFT_LEADER);
    struct lease l = lease_of(&r);
    r.members.n = 1;
    lease_step(&l, SEC, FIRST - 1);
    assert_int_equal(lease_until(&l, LEASE), 0);
    lease_step(&l, SEC + 1, FIRST);
    assert_int_equal(lease_until(&l, LEASE), SEC + HOLDS);
    r.members.n = 0; /* it is no member any more */
    lease_step(&l, 5 * SEC, FIRST);
    assert_int_equal(lease_until(&l, LEASE), SEC + HOLDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),      cmocka_unit_test(test_minority),
        cmocka_unit_test(test_slow_round), cmocka_unit_test(test_own_entry_first),
        cmocka_unit_test(test_frees),      cmocka_unit_test(test_over),
        cmocka_unit_test(test_clocks),     cmocka_unit_test(test_term),
        cmocka_unit_test(test_no_member),  cmocka_unit_test(test_rows),
        cmocka_unit_test(test_questions),  cmocka_unit_test(test_answers),
        cmocka_unit_test(test_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
