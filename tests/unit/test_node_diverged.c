// LINK: @sim tests/lib/node_calm.c
/* The state of a node becomes another one than the log makes: it is found when digests are compared, and
 * nothing is served that may be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/base/rcu.h"
#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

enum { EVERY = 50 };

static struct sim *cluster(unsigned nodes, uint64_t seed)
{
    struct sim_options o = calm(nodes, seed);
    o.digest_every = EVERY;
    return led(o);
}

/* So many writes from one node; returns how many of them were acknowledged. */
static unsigned put(struct sim *s, unsigned node, unsigned count)
{
    unsigned before = sim_acked(s);
    for (unsigned i = 0; i < count; i++) {
        sim_put(s, node, 100, SECOND / 2);
        sim_run(s, 5 * MS);
    }
    sim_run(s, SECOND);
    return sim_acked(s) - before;
}

/* A follower or the leader: it ends, the others do not, and go on. */
static void test_one_of_three(void **state)
{
    (void)state;
    for (unsigned offset = 0; offset < 3; offset++) {
        struct sim *s = cluster(3, 20 + offset);
        unsigned leader = (unsigned)sim_leader(s), bad = (leader + offset) % 3,
                 other = (bad + 1) % 3;
        assert_int_equal(put(s, other, 2 * EVERY), 2 * EVERY);
        sim_spoil(s, bad);
        (void)put(s, other, EVERY + 5);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(sim_diverged(s, i), i == bad ? 1 : 0);
            assert_int_equal(sim_is_up(s, i), i != bad);
        }
        run_until_leader(s);
        assert_int_equal(put(s, other, 2 * EVERY), 2 * EVERY);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(sim_diverged(s, i), i == bad ? 1 : 0);
        sim_free(s);
    }
}

/* Where no majority can have the same state, all end. */
static void test_no_majority(void **state)
{
    (void)state;
    for (unsigned nodes = 2; nodes <= 3; nodes++) {
        struct sim *s = cluster(nodes, 30 + nodes);
        assert_int_equal(put(s, 0, 10), 10);
        for (unsigned i = 1; i < nodes; i++)
            sim_spoil(s, i);
        (void)put(s, 0, EVERY + 5);
        for (unsigned i = 0; i < nodes; i++)
            assert_true(sim_diverged(s, i) == -1 && !sim_is_up(s, i));
        sim_free(s);
    }
}

/* Two of three differ, and the third is down: neither serves until it is back, and tells who is wrong. */
static void test_third_is_down(void **state)
{
    (void)state;
    for (unsigned offset = 0; offset < 2; offset++) { /* the leader is wrong, or a follower */
        struct sim *s = cluster(3, 40 + offset);
        unsigned leader = (unsigned)sim_leader(s), bad = (leader + offset) % 3;
        unsigned down = (leader + 2) % 3, good = 3 - bad - down;
        assert_int_equal(put(s, good, 10), 10);
        sim_crash(s, down);
        sim_spoil(s, bad);
        assert_true(put(s, good, EVERY + 5) < EVERY + 5);
        uint64_t reads = sim_totals(s)->reads;
        assert_true(sim_read(s, good) && sim_read(s, bad));
        assert_int_equal(put(s, good, 5), 0);
        assert_int_equal(sim_totals(s)->reads, reads);
        assert_true(sim_is_up(s, good) && sim_is_up(s, bad));
        sim_restart(s, down);
        sim_run(s, 5 * SECOND);
        assert_int_equal(sim_diverged(s, bad), 1);
        assert_true(sim_is_up(s, good) && sim_is_up(s, down));
        run_until_leader(s);
        assert_int_equal(put(s, good, 5), 5);
        sim_free(s);
    }
}

/* A few writes, and any node has a snapshot: the others compare themselves with it. */
static void test_at_a_snapshot(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 9; run++) {
        struct sim_options o = calm(3, 50 + run);
        struct sim *s = led(o);
        unsigned leader = (unsigned)sim_leader(s), bad = (leader + run % 3) % 3,
                 other = (bad + 1) % 3;
        assert_int_equal(put(s, other, 10), 10);
        sim_spoil(s, bad);
        assert_int_equal(put(s, other, 5), 5);
        assert_int_equal(sim_diverged(s, bad), 0);
        node_snapshot(s->m[run / 3].node);
        sim_run(s, 3 * SECOND);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(sim_diverged(s, i), i == bad ? 1 : 0);
        run_until_leader(s);
        assert_int_equal(put(s, other, 5), 5);
        sim_free(s);
    }
}

/* A node that was away is wrong as of an entry of which the leader still knows, and the other one does not: a
 * later entry shows that these two are right, and they go on. */
static void test_third_cannot_tell(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 70));
    unsigned leader = (unsigned)sim_leader(s), bad = (leader + 1) % 3, other = (leader + 2) % 3;
    assert_int_equal(put(s, leader, 10), 10);
    sim_spoil(s, bad);
    assert_int_equal(put(s, leader, 5), 5);
    sim_cut(s, leader, bad, true);
    sim_cut(s, bad, leader, true);
    sim_cut(s, other, bad, true);
    sim_cut(s, bad, other, true);
    node_snapshot(s->m[bad].node);
    assert_int_equal(put(s, leader, 20), 20);
    node_snapshot(s->m[other].node);
    sim_run(s, SECOND);
    sim_crash(s, other);
    sim_restart(s, other);
    sim_run(s, SECOND);
    assert_int_equal(sim_leader(s), leader);
    sim_cut(s, leader, bad, false);
    sim_cut(s, bad, leader, false);
    sim_run(s, SECOND);
    run_until_leader(s);
    assert_int_equal(put(s, leader, 5), 5);
    assert_int_equal(put(s, other, 5), 5);
    assert_int_equal(sim_diverged(s, leader), 0);
    assert_int_equal(sim_diverged(s, other), 0);
    sim_free(s);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_of_three),      cmocka_unit_test(test_no_majority),
        cmocka_unit_test(test_third_is_down),     cmocka_unit_test(test_at_a_snapshot),
        cmocka_unit_test(test_third_cannot_tell),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
