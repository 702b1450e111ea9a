// LINK: @sim
/* Whole nodes in a pretended world, one thing at a time: core, streams, storage and state machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "raftd/rcu.h"
#include "tests/lib/sim.h"

enum { MS = 1000, SECOND = 1000000 };

static struct sim_options calm(unsigned nodes, uint64_t seed)
{
    return (struct sim_options){
        .seed = seed,
        .nodes = nodes,
        .delay_min_us = 100,
        .delay_max_us = 300,
        .disk_min_us = 100,
        .disk_max_us = 200,
        .max_value_bytes = 65536,
        .segment_bytes = 4 << 20,
        .election_timeout_us = 150 * MS,
        .hot_keys = 1,
        .timeout_us = SECOND,
    };
}

static void run_until_leader(struct sim *s)
{
    for (int i = 0; i < 500 && sim_leader(s) < 0; i++)
        sim_run(s, 10 * MS);
    assert_true(sim_leader(s) >= 0);
}

static void converge(struct sim *s)
{
    for (int i = 0; i < 3000 && !sim_converged(s); i++)
        sim_run(s, 10 * MS);
    if (!sim_converged(s))
        sim_print(s, stdout);
    assert_true(sim_converged(s));
    sim_check_final(s);
}

/* Puts through every node of clusters of every size, values from nothing to many datagrams. */
static void test_sizes(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 3, 5, 7, 9};
    static const size_t lengths[] = {0, 1, 128, 1100, 1200, 5000, 65536};
    for (size_t c = 0; c < sizeof sizes / sizeof sizes[0]; c++) {
        struct sim_options o = calm(sizes[c], 7 + c);
        struct sim *s = sim_new(&o);
        run_until_leader(s);
        unsigned asked = 0;
        for (unsigned n = 0; n < sizes[c]; n++)
            for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++, asked++)
                sim_put(s, n, lengths[i], 2 * SECOND);
        for (unsigned n = 0; n < sizes[c]; n++)
            assert_true(sim_read(s, n));
        converge(s);
        assert_int_equal(sim_acked(s), asked);
        assert_int_equal(sim_totals(s)->reads, sizes[c]);
        sim_free(s);
    }
}

/* One put at a time on the leader: a log datagram to and an acknowledgement from each follower. */
static void test_datagrams_per_put(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 1);
    struct sim *s = sim_new(&o);
    run_until_leader(s);
    sim_run(s, SECOND);
    uint64_t before = sim_totals(s)->datagrams;
    enum { PUTS = 1000 };
    unsigned leader = (unsigned)sim_leader(s);
    for (int i = 0; i < PUTS; i++) {
        sim_put(s, leader, 128, SECOND);
        while (sim_pending(s) > 0)
            sim_run(s, 50);
    }
    assert_int_equal(sim_acked(s), PUTS);
    assert_true(sim_totals(s)->datagrams - before <= 5 * PUTS);
    sim_free(s);
}

/* A follower that missed far more than the cache holds catches up from the leader's disk. */
static void test_catch_up_from_disk(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 3);
    struct sim *s = sim_new(&o);
    run_until_leader(s);
    unsigned leader = (unsigned)sim_leader(s), absent = (leader + 1) % 3;
    sim_crash(s, absent);
    for (int i = 0; i < 400; i++) {
        sim_put(s, leader, 20000, 5 * SECOND);
        sim_run(s, 2 * MS);
    }
    sim_restart(s, absent);
    for (int i = 0; i < 100; i++) { /* and it is not disturbed by new writes */
        sim_put(s, leader, 20000, 5 * SECOND);
        sim_run(s, 2 * MS);
    }
    converge(s);
    assert_int_equal(sim_acked(s), 500);
    for (unsigned i = 0; i < 3; i++) /* all from disk, nothing in memory */
        sim_crash(s, i);
    for (unsigned i = 0; i < 3; i++)
        sim_restart(s, i);
    converge(s);
    sim_free(s);
}

/* Without a majority nothing is acknowledged, and clients are told so in time. */
static void test_no_majority(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 4);
    struct sim *s = sim_new(&o);
    run_until_leader(s);
    unsigned alone = (unsigned)sim_leader(s);
    sim_crash(s, (alone + 1) % 3);
    sim_crash(s, (alone + 2) % 3);
    sim_put(s, alone, 10, SECOND);
    sim_run(s, SECOND / 2);
    sim_put(s, alone, 10, SECOND);
    sim_run(s, 2 * SECOND);
    assert_int_equal(sim_pending(s), 0);
    assert_int_equal(sim_acked(s), 0);
    sim_restart(s, (alone + 1) % 3);
    run_until_leader(s);
    sim_put(s, alone, 10, SECOND);
    sim_restart(s, (alone + 2) % 3);
    converge(s);
    assert_int_equal(sim_acked(s), 1);
    sim_free(s);
}

/* Idle means idle: heartbeats and their answers, nothing else. */
static void test_idle(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 5);
    struct sim *s = sim_new(&o);
    run_until_leader(s);
    sim_put(s, 0, 10, SECOND);
    sim_run(s, 3 * SECOND);
    uint64_t before = sim_totals(s)->datagrams;
    sim_run(s, 10 * SECOND);
    assert_true(sim_totals(s)->datagrams - before <=
                10 * 4 * 21); /* 20 a second, both ways, two peers */
    sim_free(s);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_datagrams_per_put),
        cmocka_unit_test(test_catch_up_from_disk),
        cmocka_unit_test(test_no_majority),
        cmocka_unit_test(test_idle),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
