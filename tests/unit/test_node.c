// LINK: raftd/core/raft.c raftd/core/election.c raftd/core/replication.c raftd/core/read.c raftd/core/trail.c raftd/core/check.c raftd/node.c raftd/node_log.c raftd/node_net.c raftd/node_stream.c raftd/node_write.c raftd/entries.c raftd/ring.c raftd/cmd.c raftd/kv.c raftd/status.c net/wire.c net/stream.c net/link.c net/rtt.c storage/crc32c.c storage/record.c storage/batch.c storage/segment.c storage/verdict.c storage/fold.c storage/recover.c storage/wal.c storage/wal_read.c storage/ident.c tests/lib/memdisk.c tests/lib/sim.c -lsodium -lurcu-memb -lurcu-cds -lurcu-common
/* Whole nodes in a pretended world: core, streams, storage and state machine together.
 *
 *     test_node            all tests
 *     test_node SEED       one random run with a trace
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "raftd/rcu.h"
#include "tests/lib/sim.h"

enum { MS = 1000, SECOND = 1000000, SEEDS = 150 };

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
        sim_print(s);
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
        assert_int_equal(sim_reads_served(s), sizes[c]);
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
    uint64_t before = sim_datagrams(s);
    enum { PUTS = 1000 };
    unsigned leader = (unsigned)sim_leader(s);
    for (int i = 0; i < PUTS; i++) {
        sim_put(s, leader, 128, SECOND);
        while (sim_pending(s) > 0)
            sim_run(s, 50);
    }
    assert_int_equal(sim_acked(s), PUTS);
    assert_true(sim_datagrams(s) - before <= 5 * PUTS);
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
    uint64_t before = sim_datagrams(s);
    sim_run(s, 10 * SECOND);
    assert_true(sim_datagrams(s) - before <= 10 * 4 * 21); /* 20 a second, both ways, two peers */
    sim_free(s);
}

static struct sim_options random_options(uint64_t seed)
{
    static const unsigned sizes[] = {1, 3, 3, 3, 5};
    static const uint32_t losses[] = {0, 10, 100, 300};
    struct sim_options o = calm(sizes[seed % 5], seed);
    o.loss = losses[seed / 5 % 4];
    o.dup = seed % 3 == 0 ? 100 : 0;
    o.delay_max_us = seed % 7 == 0 ? 30 * MS : 1 * MS;
    o.disk_max_us = seed % 11 == 0 ? 50 * MS : 2 * MS;
    o.max_value_bytes = 4096;
    o.segment_bytes = seed % 2 == 0 ? 64 << 10 : 256 << 10;
    o.batch_bytes = 16384;
    return o;
}

static void random_fault(struct sim *s, unsigned nodes)
{
    unsigned a = (unsigned)sim_random(s, nodes), b = (unsigned)sim_random(s, nodes);
    switch (sim_random(s, 8)) {
    case 0: sim_crash(s, a); break;
    case 1:
    case 2: sim_restart(s, a); break;
    case 3: sim_cut(s, a, b, true); break;
    case 4: sim_cut(s, a, b, false); break;
    case 5:
        for (unsigned i = 0; i < nodes; i++)
            sim_cut(s, a, i, true);
        break;
    case 6:
        for (unsigned i = 0; i < nodes; i++)
            for (unsigned j = 0; j < nodes; j++)
                sim_cut(s, i, j, false);
        break;
    default: break;
    }
}

/* Faults of all kinds under load; then everything is healed and must come to rest, complete. */
static unsigned random_run(uint64_t seed, bool trace)
{
    struct sim_options o = random_options(seed);
    o.trace = trace;
    struct sim *s = sim_new(&o);
    for (int step = 0; step < 300; step++) {
        unsigned n = (unsigned)sim_random(s, o.nodes);
        for (uint64_t k = sim_random(s, 8); k > 0; k--)
            sim_put(s, n, sim_random(s, 4) == 0 ? sim_random(s, 4096) : sim_random(s, 200),
                    sim_random(s, SECOND));
        if (sim_random(s, 3) == 0)
            (void)sim_read(s, (unsigned)sim_random(s, o.nodes));
        if (sim_random(s, 6) == 0)
            random_fault(s, o.nodes);
        sim_run(s, sim_random(s, 40 * MS));
    }
    sim_heal(s);
    for (unsigned i = 0; i < o.nodes; i++)
        sim_restart(s, i);
    converge(s);
    unsigned acked = sim_acked(s);
    sim_free(s);
    return acked;
}

static void test_random(void **state)
{
    (void)state;
    unsigned acked = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        acked += random_run(seed, false);
    printf("%d seeds, %u writes acknowledged\n", SEEDS, acked);
    assert_true(acked > 20 * SEEDS); /* the faults leave room for work to be checked */
}

int main(int argc, char **argv)
{
    rcu_thread_begin();
    if (argc > 1) {
        printf("%u acknowledged\n", random_run(strtoull(argv[1], NULL, 10), argc > 2));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_datagrams_per_put),
        cmocka_unit_test(test_catch_up_from_disk),
        cmocka_unit_test(test_no_majority),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_random),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
