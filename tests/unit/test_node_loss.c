// LINK: @sim tests/lib/node_calm.c HEAVY
/* Which datagrams of a write are lost, and what that costs: every pattern of the first six, in virtual
 * time. Whole nodes, sealed; one write at a time, through the leader and through a follower.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "raftd/base/rcu.h"
#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

enum {
    PATTERN_BITS = 6,
    RTT_US = 800, /* longest: 2 x 300 us on the way, a disk of 200 us */
    /* srtt + 1 ms + the 2 ms that a follower may wait for its disk, see rtt_pto() and
     * NODE_ACK_DELAY_US. */
    PTO_US = 4000,
};

/* PTOs until the n-th resend: 1, 1, 1, 2, 4, 8 of them. */
static const unsigned ptos[PATTERN_BITS + 1] = {0, 1, 2, 3, 5, 9, 17};

static struct sim_options options(uint64_t seed)
{
    struct sim_options o = calm(3, seed);
    o.quantum_us = 1;
    return o;
}

static struct sim *start(const struct sim_options *o)
{
    struct sim *s = sim_new(o);
    run_until_leader(s);
    sim_run(s, SECOND);
    return s;
}

static unsigned ones(unsigned x)
{
    unsigned n = 0;
    for (; x != 0; x &= x - 1)
        n++;
    return n;
}

struct cost {
    uint64_t us;        /* until it is acknowledged */
    uint64_t datagrams; /* of the whole cluster until all nodes have it on their disks */
};

/* One put under one pattern of losses. */
static struct cost put(struct sim *s, unsigned node, unsigned pattern)
{
    struct cost c;
    uint64_t start = sim_now(s), sent = sim_totals(s)->datagrams;
    unsigned acked = sim_acked(s);
    sim_lose(s, pattern);
    sim_put(s, node, 128, SECOND);
    while (sim_acked(s) == acked) {
        sim_run(s, 50);
        assert_true(sim_now(s) - start < SECOND);
    }
    c.us = sim_now(s) - start;
    while (!sim_converged(s))
        sim_run(s, 50);
    c.datagrams = sim_totals(s)->datagrams - sent;
    assert_int_equal(sim_pending(s), 0);
    return c;
}

static void all_patterns(bool through_leader)
{
    static const char *const who[] = {"a follower", "the leader"};
    struct cost worst[PATTERN_BITS + 1] = {{0, 0}};
    for (unsigned p = 0; p < 1u << PATTERN_BITS; p++) {
        struct sim_options o = options(p + 1);
        struct sim *s = start(&o);
        unsigned leader = (unsigned)sim_leader(s);
        struct cost c = put(s, through_leader ? leader : (leader + 1) % 3, p);
        struct cost *w = &worst[ones(p)];
        w->us = c.us > w->us ? c.us : w->us;
        w->datagrams = c.datagrams > w->datagrams ? c.datagrams : w->datagrams;
        sim_check_final(s);
        sim_free(s);
    }
    print_message("through %s:\n", who[through_leader]);
    for (unsigned n = 0; n <= PATTERN_BITS; n++)
        print_message("  %u lost: acknowledged within %.1f ms, all done with %u datagrams\n", n,
                      (double)worst[n].us / 1000, (unsigned)worst[n].datagrams);
    unsigned hops = through_leader ? 1 : 2; /* round trips without loss */
    for (unsigned n = 0; n <= PATTERN_BITS; n++) {
        assert_true(worst[n].us <= hops * RTT_US + (uint64_t)ptos[n] * PTO_US);
        assert_true(worst[n].datagrams <= 12 + 2 * n);
    }
}

static void test_leader(void **state)
{
    (void)state;
    all_patterns(true);
}

static void test_follower(void **state)
{
    (void)state;
    all_patterns(false);
}

/* A linearizable read, too, costs a PTO for each datagram that is lost: of the round that confirms the
 * leader, and of the question and answer where it goes through a follower. */
static void test_reads(void **state)
{
    (void)state;
    for (unsigned hops = 1; hops <= 2; hops++) {
        uint64_t worst[PATTERN_BITS + 1] = {0};
        for (unsigned p = 0; p < 1u << PATTERN_BITS; p++) {
            struct sim_options o = options(p + 1);
            struct sim *s = start(&o);
            unsigned leader = (unsigned)sim_leader(s), n = ones(p);
            (void)put(s, leader, 0);
            uint64_t began = sim_now(s), reads = sim_totals(s)->reads;
            sim_lose(s, p);
            assert_true(sim_read(s, hops == 1 ? leader : (leader + 1) % 3));
            while (sim_totals(s)->reads == reads && sim_now(s) - began < SECOND)
                sim_run(s, 50);
            uint64_t us = sim_now(s) - began;
            worst[n] = us > worst[n] ? us : worst[n];
            sim_check_final(s);
            sim_free(s);
        }
        print_message("reads, %u round trips:\n", hops);
        for (unsigned n = 0; n <= PATTERN_BITS; n++) {
            print_message("  %u lost: within %.1f ms\n", n, (double)worst[n] / 1000);
            assert_true(worst[n] <= hops * RTT_US + (uint64_t)ptos[n] * PTO_US);
        }
    }
}

/* Answers that come as fast as they can are not asked for: neither when a follower's clients keep
 * many writes on their way, nor is the clock of asking slowed down by them. A slow disk is asked less
 * and less often. */
static void test_asking(void **state)
{
    (void)state;
    enum { PUTS = 400, AT_ONCE = 8, SLOW_US = 500 * MS };
    struct sim_options o = options(3);
    o.delay_min_us = 9 * MS;
    o.delay_max_us = 11 * MS;
    struct sim *s = start(&o);
    unsigned leader = (unsigned)sim_leader(s), origin = (leader + 1) % 3, most = 0;
    const struct node *n = s->m[leader].node;
    for (unsigned asked = 0; asked < PUTS;) {
        for (; asked < PUTS && asked - sim_acked(s) < AT_ONCE; asked++)
            sim_put(s, origin, 20000, SECOND);
        sim_run(s, 100);
        for (unsigned i = 0; i < 3; i++) {
            const struct peer *p = node_peer(n, (uint16_t)(i + 1));
            most = p != NULL && p->debts.asks > most ? p->debts.asks : most;
        }
    }
    assert_in_range(most, 0, 2);
    sim_run(s, SECOND);
    uint64_t before = sim_totals(s)->datagrams;
    s->m[origin].stall_until = s->now + SLOW_US;
    sim_put(s, leader, 128, SECOND);
    sim_run(s, SLOW_US);
    assert_in_range(node_peer(n, (uint16_t)(origin + 1))->debts.asks, 5, 5 + SLOW_US / (50 * MS));
    assert_in_range(sim_totals(s)->datagrams - before, 1, 100);
    sim_free(s);
}

/* A path that carries less than the usual base, and a configuration that says so: nine nodes, values
 * of every size, through every node. */
static void test_narrow_by_configuration(void **state)
{
    (void)state;
    enum { NARROW = MTU_LEAST, SIZE = 9 };
    struct sim_options o = options(16);
    o.nodes = SIZE;
    o.datagram_bytes = NARROW;
    struct sim *s = sim_new(&o);
    sim_narrow(s, NARROW);
    unsigned asked = 0;
    sim_run(s, 5 * SECOND);
    for (unsigned i = 0; i < 4 * SIZE; i++, asked++) {
        sim_put(s, i % SIZE, i * i * 50, 10 * SECOND);
        sim_run(s, 100 * MS);
    }
    sim_run(s, 5 * SECOND);
    assert_true(sim_leader(s) >= 0);
    assert_int_equal(sim_acked(s), asked);
    for (unsigned i = 0; i < SIZE; i++)
        for (unsigned to = 0; to < SIZE; to++)
            assert_true(i == to || sim_path(s, i, to) == NARROW);
    sim_free(s);
}

/* A path that carries less than the usual base, and nobody knows: writes of every size through every
 * node go on, and when the path is wide again, so are the datagrams. */
static void test_narrow_unknown(void **state)
{
    (void)state;
    struct sim_options o = options(18);
    struct sim *s = start(&o);
    unsigned asked = 0;
    sim_narrow(s, 700);
    for (unsigned i = 0; i < 60; i++, asked++) {
        sim_put(s, i % 3, i * i * 10, 5 * SECOND);
        sim_run(s, 200 * MS);
    }
    sim_run(s, 5 * SECOND);
    assert_int_equal(sim_acked(s), asked);
    unsigned leader = (unsigned)sim_leader(s);
    for (unsigned to = 0; to < 3; to++)
        assert_true(to == leader || sim_path(s, leader, to) <= 700);
    sim_narrow(s, 0);
    for (unsigned i = 0; i < 100; i++, asked++) {
        sim_put(s, i % 3, 3000, 5 * SECOND);
        sim_run(s, SECOND);
    }
    assert_int_equal(sim_acked(s), asked);
    for (unsigned from = 0; from < 3; from++)
        for (unsigned to = 0; to < 3; to++)
            assert_true(from == to || sim_path(s, from, to) == WIRE_DATAGRAM_BASE);
    sim_free(s);
}

/* Small writes that get lost say nothing about large datagrams. */
static void test_small_losses_keep_size(void **state)
{
    (void)state;
    struct sim_options o = options(9);
    struct sim *s = start(&o);
    unsigned leader = (unsigned)sim_leader(s), to = (leader + 1) % 3;
    s->o.rate[SIM_LOSS] = 200000;
    for (int i = 0; i < 500; i++) {
        sim_put(s, i % 2 == 0 ? leader : to, 128, SECOND);
        sim_run(s, 10 * MS);
        assert_int_equal(sim_path(s, leader, to), WIRE_DATAGRAM_BASE);
        assert_int_equal(sim_path(s, to, leader), WIRE_DATAGRAM_BASE);
    }
    sim_free(s);
}

/* A disk that always takes its time is waited for: a put costs each follower three datagrams, its
 * bytes, their reception and their durability. */
static void test_slow_disks(void **state)
{
    (void)state;
    enum { PUTS = 200 };
    struct sim_options o = options(11);
    o.disk_min_us = 10 * MS;
    o.disk_max_us = 20 * MS;
    struct sim *s = start(&o);
    unsigned leader = (unsigned)sim_leader(s);
    uint64_t before = sim_totals(s)->datagrams;
    for (unsigned i = 0; i < PUTS; i++) {
        sim_put(s, leader, 128, SECOND);
        sim_run(s, 40 * MS);
        assert_int_equal(sim_acked(s), i + 1);
    }
    assert_in_range(sim_totals(s)->datagrams - before, 1, 9 * PUTS); /* and heartbeats */
    sim_free(s);
}

/* A node that was stopped for a while finds datagrams that waited for it: they say nothing about the
 * path, neither to it nor to their senders, and what is lost afterwards is sent again as soon as
 * before. (It notices if something was due meanwhile.) */
static void pause_one(bool follower, uint64_t pause_us)
{
    struct sim_options o = options(5);
    o.election_timeout_us = SECOND;
    struct sim *s = start(&o);
    unsigned leader = (unsigned)sim_leader(s);
    unsigned stopped = follower ? (leader + 1) % 3 : leader;
    const struct node *n = s->m[leader].node;
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 5; k++) {
            sim_put(s, leader, 128, SECOND);
            sim_run(s, 10 * MS);
        }
        sim_put(s, leader, 128, 2 * SECOND);
        sim_run(s, 250); /* sent, not answered */
        s->m[stopped].paused_until = s->now + pause_us;
        sim_run(s, SECOND);
        assert_int_equal(sim_pending(s), 0);
        for (unsigned k = 0; k < 3; k++) {
            const struct peer *p = node_peer(n, (uint16_t)(k + 1));
            if (p == NULL)
                continue;
            assert_in_range(p->path.link.rtt.srtt_us, 100, 5 * MS);
            assert_in_range(p->log.flow.tx.answer.srtt_us, 100, 5 * MS);
            assert_in_range(p->debts.settles.srtt_us, 0, 5 * MS);
        }
        (void)put(s, leader, 3);
    }
    assert_int_equal(sim_leader(s), leader);
    sim_free(s);
}

static void test_pause(void **state)
{
    (void)state;
    pause_one(false, 700 * MS);
    pause_one(true, 700 * MS);
    pause_one(false, 50 * MS);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader),
        cmocka_unit_test(test_follower),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_asking),
        cmocka_unit_test(test_slow_disks),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_narrow_by_configuration),
        cmocka_unit_test(test_narrow_unknown),
        cmocka_unit_test(test_small_losses_keep_size),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
