// LINK: @sim tests/lib/node_calm.c
/* test_node_expiry.c: when a key of a cluster ends, in true time: how late it is when the leader dies or all
 * nodes were off, and that nothing is written for its sake before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/base/rcu.h"
#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

enum { TTL_MS = 20000, SLOW_MS = TTL_MS / 100, WRITE_MS = 100, STEP_US = 1000 };

/* A cluster that is led, by clocks up to 1 % too fast or slow. The last put was of a key with that time
 * to live. *made: when its entry was. */
static struct sim *with_key(uint64_t seed, uint32_t ttl_ms, uint64_t *made)
{
    struct sim_options o = calm(3, seed);
    o.ppm_max = 10000;
    struct sim *s = led(o);
    sim_put(s, 0, 10, SECOND);
    s->ops[s->n_ops - 1].ttl_ms = ttl_ms;
    unsigned acked = sim_acked(s);
    while (sim_acked(s) == acked)
        sim_run(s, STEP_US);
    *made = s->committed[s->n_committed]->made;
    return s;
}

/* Runs until it has ended; returns after how many milliseconds that was proposed. */
static uint64_t ends_after(struct sim *s, uint64_t made)
{
    while (s->t.ends == 0)
        sim_run(s, STEP_US);
    const struct entry *e = s->committed[s->n_committed];
    while (!e->ends)
        e = e->prev;
    return (e->made - made) / 1000;
}

static void test_in_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t made;
        struct sim *s = with_key(seed, TTL_MS, &made);
        assert_in_range(ends_after(s, made), TTL_MS - SLOW_MS, TTL_MS + SLOW_MS + WRITE_MS);
        sim_free(s);
    }
}

/* No entry tells the next leader what the time is; it has heard it. */
static void test_leader_dies(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t made;
        struct sim *s = with_key(seed, TTL_MS, &made);
        sim_run(s, TTL_MS / 2 * UINT64_C(1000));
        sim_crash(s, (unsigned)sim_leader(s));
        assert_in_range(ends_after(s, made), TTL_MS - SLOW_MS, TTL_MS + SLOW_MS + WRITE_MS);
        sim_free(s);
    }
}

/* The nodes were off for a while. By cluster time nothing has passed since the last entry, so the key lives
 * longer, by no more than what has. */
static void test_all_off(void **state)
{
    (void)state;
    enum { ON_MS = TTL_MS / 2, OFF_MS = 60000, ELECTED_MS = 2000 };
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t made;
        struct sim *s = with_key(seed, TTL_MS, &made);
        sim_run(s, ON_MS * UINT64_C(1000));
        for (unsigned i = 0; i < 3; i++)
            sim_crash(s, i);
        sim_run(s, OFF_MS * UINT64_C(1000));
        assert_true(s->t.ends == 0);
        for (unsigned i = 0; i < 3; i++)
            sim_restart(s, i);
        assert_in_range(ends_after(s, made), OFF_MS + TTL_MS - SLOW_MS,
                        ON_MS + OFF_MS + TTL_MS + SLOW_MS + ELECTED_MS);
        sim_free(s);
    }
}

/* Far-off ends cost nothing. */
static void test_idle(void **state)
{
    (void)state;
    uint64_t made;
    struct sim *s = with_key(1, 1000000, &made);
    sim_run(s, 3 * SECOND); /* and the batch that proves the last write */
    uint64_t batches = sim_totals(s)->batches, committed = s->n_committed;
    sim_run(s, 60 * SECOND);
    assert_true(sim_totals(s)->batches == batches && s->n_committed == committed);
    sim_free(s);
}

/* How much later than the leader the others have applied what is written, at most, when nothing follows. */
static uint64_t behind_us(bool awaits)
{
    uint64_t most = 0;
    struct sim_options o = calm(3, 1);
    o.awaits = awaits;
    struct sim *s = led(o);
    unsigned leader = (unsigned)sim_leader(s);
    sim_run(s, SECOND);
    for (unsigned i = 0; i < 20; i++) {
        unsigned acked = sim_acked(s);
        sim_put(s, leader, 10, SECOND);
        while (sim_acked(s) == acked)
            sim_run(s, 100);
        uint64_t at = s->now;
        for (unsigned k = 0; k < 3; k++)
            while (replica_applied(node_replica(s->m[k].node)) < s->n_committed)
                sim_run(s, 100);
        if (s->now - at > most)
            most = s->now - at;
        sim_run(s, 7 * STEP_US);
    }
    assert_int_equal((unsigned)sim_leader(s), leader);
    sim_free(s);
    return most;
}

/* A follower hears with the next heartbeat what is committed; at once, if its clients wait for that. */
static void test_awaited(void **state)
{
    (void)state;
    uint64_t heartbeat_us = calm(3, 1).election_timeout_us / 3;
    assert_in_range(behind_us(false), 20 * STEP_US, heartbeat_us + 3 * STEP_US);
    assert_in_range(behind_us(true), 0, 3 * STEP_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_time),     cmocka_unit_test(test_awaited),
        cmocka_unit_test(test_leader_dies), cmocka_unit_test(test_all_off),
        cmocka_unit_test(test_idle),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
