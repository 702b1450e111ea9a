// LINK: @sim tests/lib/node_calm.c HEAVY
/* Large values on their way, through the leader and from its disk: at full window, in memory that is
 * bounded and not kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

enum { MIB = 1 << 20 };

static struct sim *cluster(unsigned nodes, uint64_t seed, uint64_t delay_us)
{
    struct sim_options o = calm(nodes, seed);
    o.delay_min_us = delay_us;
    o.delay_max_us = delay_us + 100;
    o.max_value_bytes = MIB;
    o.segment_bytes = 16 << 20; /* so large that no snapshot is worth its bytes */
    struct sim *s = sim_new(&o);
    run_until_leader(s);
    sim_run(s, SECOND);
    return s;
}

static struct node *node_of(struct sim *s, unsigned i)
{
    return s->m[i].node;
}

static struct peer *peer_of(struct sim *s, unsigned node, unsigned of)
{
    struct node *n = node_of(s, node);
    return node_peer(n, (uint16_t)(of + 1));
}

static size_t relay_window(unsigned nodes)
{
    return NODE_WINDOW_BYTES / (nodes - 1);
}

/* Does the leader keep no more memory for relays than small values need? */
static void assert_small(struct sim *s, unsigned leader, unsigned nodes)
{
    for (unsigned i = 0; i < nodes; i++)
        if (i != leader && peer_of(s, leader, i)->relay.buf != NULL)
            assert_int_equal(peer_of(s, leader, i)->relay.flow.rx.cap, 2 * relay_window(nodes));
}

/* All followers relay values of 1 MiB and smaller ones at once over links that lose datagrams. */
static void test_many_at_once(void **state)
{
    (void)state;
    enum { SIZE = 5, ROUNDS = 3, HEADS = 1000 };
    struct sim *s = cluster(SIZE, 21, 1 * MS);
    s->o.rate[SIM_LOSS] = 100000;
    for (unsigned i = 0; i < ROUNDS * SIZE; i++) {
        sim_put(s, i % SIZE, MIB, 60 * SECOND);
        sim_put(s, i % SIZE, 100, 60 * SECOND);
        sim_put(s, i % SIZE, 60000, 60 * SECOND);
    }
    bool large = false;
    while (sim_pending(s) > 0 && sim_now(s) < 60 * SECOND) {
        sim_run(s, MS);
        unsigned leader = (unsigned)sim_leader(s);
        for (unsigned i = 0; i < SIZE; i++) {
            size_t cap = i != leader ? peer_of(s, leader, i)->relay.flow.rx.cap : 0;
            assert_in_range(cap, 0, MIB + HEADS + relay_window(SIZE));
            large = large || cap > MIB;
        }
    }
    assert_true(large);
    s->o.rate[SIM_LOSS] = 0;
    converge(s);
    assert_int_equal(sim_acked(s), 3 * ROUNDS * SIZE);
    assert_small(s, (unsigned)sim_leader(s), SIZE);
    sim_free(s);
}

/* A node that always has another large value does not keep the others from getting theirs through, nor
 * what comes behind it. */
static void turns(unsigned nodes, size_t size, uint64_t delay_us)
{
    enum { QUEUED = 20, SMALL = 5 };
    struct sim *s = cluster(nodes, 21, delay_us);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % nodes, b = (leader + 2) % nodes;
    for (unsigned i = 0; i < QUEUED; i++)
        sim_put(s, a, size, 60 * SECOND);
    sim_run(s, 200 * MS);
    for (unsigned i = 0; i <= SMALL; i++)
        sim_put(s, b, i == 0 ? size : 10, 60 * SECOND);
    for (unsigned i = 0; i < 1000 && writes_pending(node_parts(node_of(s, b)).writes) > 0; i++) {
        sim_run(s, MS);
        while (writes_pending(node_parts(node_of(s, a)).writes) < QUEUED) {
            sim_put(s, a, size, 60 * SECOND);
            sim_run(s, 10);
        }
    }
    assert_int_equal(writes_pending(node_parts(node_of(s, b)).writes), 0);
    sim_free(s);
}

static void test_turns(void **state)
{
    (void)state;
    turns(3, 300000, 20 * MS);
    turns(5, 65536, 20 * MS);
}

/* Time until all followers have got all of 30 values through. */
static uint64_t all_through(unsigned nodes, size_t size)
{
    struct sim *s = cluster(nodes, 21, 20 * MS);
    unsigned leader = (unsigned)sim_leader(s);
    uint64_t start = sim_now(s);
    for (unsigned i = 0; i < nodes * 30; i++)
        if (i % nodes != leader)
            sim_put(s, i % nodes, size, 600 * SECOND);
    while (sim_pending(s) > 0 && sim_now(s) < start + 300 * SECOND)
        sim_run(s, MS);
    uint64_t took = sim_now(s) - start;
    sim_free(s);
    return took;
}

/* No cliff where values become large: 256 KiB are shared by four, or by six. */
static void test_no_cliff(void **state)
{
    (void)state;
    assert_true(all_through(5, 65536) < 2 * all_through(5, 65000));
    assert_true(all_through(7, 44000) < 2 * all_through(7, 43000));
}

/* Runs until the leader has at least `part` bytes of a large value of node a, and not all of it. */
static void run_until_part(struct sim *s, unsigned leader, unsigned a, size_t part)
{
    const struct relay_in *x = &peer_of(s, leader, a)->relay;
    uint64_t got = 0;
    for (int i = 0; i < 10000 && got < part; i++) {
        sim_run(s, 100);
        got = x->flow.rx.cap > 2 * relay_window(3) ? x->flow.rx.contig - x->flow.rx.consumed : 0;
    }
    assert_in_range(got, part, x->flow.rx.cap - relay_window(3) - 1);
}

/* A node falls silent in the middle of a large value: another one's goes on. When the first one is
 * back, in the same term, its writes are done, each once. */
static void test_silent_in_the_middle(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim *s = cluster(3, seed, 1 * MS);
        unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3, b = (leader + 2) % 3;
        uint64_t term = sim_raft(s, leader)->term;
        sim_put(s, a, MIB / 2, 60 * SECOND);
        sim_put(s, a, 10, 60 * SECOND);
        run_until_part(s, leader, a, 1 + seed * 20000);
        sim_cut(s, leader, a, true);
        sim_cut(s, a, leader, true);
        sim_put(s, b, MIB, 2 * SECOND);
        sim_run(s, 2 * SECOND);
        assert_int_equal(sim_acked(s), 1);
        sim_cut(s, leader, a, false);
        sim_cut(s, a, leader, false);
        converge(s);
        assert_int_equal(sim_acked(s), 3);
        assert_int_equal(sim_raft(s, leader)->term, term);
        assert_small(s, leader, 3);
        sim_free(s);
    }
}

/* The same with a process that ends: what it had sent is no more, and its memory is not kept once it
 * has started again and writes. */
static void test_ends_in_the_middle(void **state)
{
    (void)state;
    struct sim *s = cluster(3, 5, 1 * MS);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3;
    sim_put(s, a, MIB, 60 * SECOND);
    run_until_part(s, leader, a, 50000);
    sim_crash(s, a);
    sim_restart(s, a);
    sim_run(s, 2 * SECOND);
    sim_put(s, a, 10, 10 * SECOND);
    converge(s);
    assert_int_equal(sim_acked(s), 1);
    assert_small(s, leader, 3);
    sim_free(s);
}

/* A new leader begins with none of what the former one had, and that one keeps nothing. */
static void test_leader_changes_in_the_middle(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim *s = cluster(3, seed, 1 * MS);
        unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3;
        sim_put(s, a, MIB, 60 * SECOND);
        run_until_part(s, leader, a, 1 + 10000 * seed);
        if (seed % 2 == 0) {
            sim_crash(s, leader);
            sim_run(s, 3 * SECOND);
            sim_restart(s, leader);
        } else {
            for (unsigned i = 0; i < 3; i++) {
                sim_cut(s, leader, i, true);
                sim_cut(s, i, leader, true);
            }
            sim_run(s, 3 * SECOND);
            assert_null(peer_of(s, leader, a)->relay.buf);
            sim_heal(s);
        }
        converge(s);
        assert_int_equal(sim_acked(s), 1);
        sim_free(s);
    }
}

/* A leader that is heard but does not hear is not sent the same writes over and over. */
static void test_deaf_leader(void **state)
{
    (void)state;
    enum { PUTS = 5 };
    struct sim *s = cluster(3, 6, 1 * MS);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3;
    sim_cut(s, a, leader, true);
    for (int i = 0; i < PUTS; i++)
        sim_put(s, a, 60000, 120 * SECOND);
    sim_run(s, 10 * SECOND);
    const struct stream_tx_stats *t = &node_parts(node_of(s, a)).relay_out->flow.tx.stats;
    uint64_t bytes = t->resent_bytes, datagrams = t->resent_datagrams;
    sim_run(s, 60 * SECOND);
    assert_int_equal(sim_leader(s), leader);
    assert_in_range(t->resent_datagrams - datagrams, 100, 60 * 21); /* one per heartbeat */
    assert_in_range(t->resent_bytes - bytes, 100, 40000);           /* 2.7 MB without a rest */
    sim_cut(s, a, leader, false);
    sim_run(s, SECOND);
    assert_int_equal(sim_acked(s), PUTS);
    converge(s);
    sim_free(s);
}

/* A node that was away catches up with values of 1 MiB from the leader's disk. All of the window is
 * used, though each value is larger. */
static void test_catch_up_at_full_window(void **state)
{
    (void)state;
    enum { PUTS = 24 };
    struct sim *s = cluster(3, 4, 10 * MS);
    unsigned leader = (unsigned)sim_leader(s), away = (leader + 1) % 3;
    sim_crash(s, away);
    for (int i = 0; i < PUTS; i++) {
        sim_put(s, leader, MIB, 60 * SECOND);
        while (sim_pending(s) > 0)
            sim_run(s, 10 * MS);
    }
    sim_restart(s, away);
    uint64_t full = 0, busy = 0;
    const struct log_out *l = &peer_of(s, leader, away)->log;
    for (int i = 0; i < 60000 && !sim_converged(s); i++) {
        sim_run(s, MS);
        if (l->flow.id == 0 || l->window.buf == NULL)
            continue;
        /* Since slow start first filled it; what is acknowledged and not yet read again is missing. */
        bool now = stream_tx_in_flight(&l->flow.tx) >= NODE_WINDOW_BYTES / 4 * 3;
        busy += busy > 0 || now;
        full += now;
    }
    assert_true(busy > 500);
    assert_true(full > busy / 20 * 19);
    converge(s);
    assert_null(l->window.buf);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_no_cliff),
        cmocka_unit_test(test_silent_in_the_middle),
        cmocka_unit_test(test_ends_in_the_middle),
        cmocka_unit_test(test_leader_changes_in_the_middle),
        cmocka_unit_test(test_deaf_leader),
        cmocka_unit_test(test_catch_up_at_full_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
