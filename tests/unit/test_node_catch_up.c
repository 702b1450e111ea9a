// LINK: @sim tests/lib/node_calm.c HEAVY
/* How fast a node that was away gets its log back: as fast as can be while nobody writes, and within
 * a bounded share, but faster than new entries come, while clients do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/base/rcu.h"
#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

enum {
    VALUE = 10000,
    MISSED = 2000, /* values: far more than the cached log holds */
    SLICE_US = 200 * MS,
};

struct world {
    struct sim *s;
    unsigned leader, away;
};

/* A cluster whose third node is back after it has missed the backlog. */
static struct world behind(uint64_t seed)
{
    struct sim_options o = calm(3, seed);
    o.delay_min_us = 200;
    o.disk_min_us = 50;
    o.disk_max_us = 100;
    o.quantum_us = 1;
    o.segment_bytes = 16 << 20; /* so large that no snapshot is worth its bytes */
    struct world w = {.s = sim_new(&o)};
    run_until_leader(w.s);
    w.leader = (unsigned)sim_leader(w.s);
    w.away = (w.leader + 1) % 3;
    sim_crash(w.s, w.away);
    for (unsigned i = 0; i < MISSED; i++) {
        sim_put(w.s, w.leader, VALUE, SECOND);
        sim_run(w.s, MS);
    }
    sim_run(w.s, SECOND);
    assert_int_equal(sim_acked(w.s), MISSED);
    sim_restart(w.s, w.away);
    return w;
}

static const struct log_out *stream_of(const struct world *w)
{
    const struct node *n = w->s->m[w->leader].node;
    return &node_peer(n, (uint16_t)(w->away + 1))->log;
}

static bool caught_up(const struct world *w)
{
    return sim_raft(w->s, w->away)->durable_index == sim_raft(w->s, w->leader)->trail.last;
}

/* Time until it has everything, while clients write so often (0 = never). While they do, what comes
 * from the disk for it is bounded in every slice of time. */
static uint64_t catch_up(struct world *w, uint64_t write_every_us)
{
    const struct node *n = w->s->m[w->leader].node;
    const struct log_out *l = stream_of(w);
    uint64_t begun = sim_now(w->s), slice = begun, old = 0,
             wrote = replica_log(node_replica(n))->ring.end;
    while (!caught_up(w)) {
        if (write_every_us != 0)
            sim_put(w->s, w->leader, VALUE, SECOND);
        sim_run(w->s, write_every_us != 0 ? write_every_us : MS);
        assert_true(sim_now(w->s) - begun < 120 * (uint64_t)SECOND);
        if (sim_now(w->s) - slice < SLICE_US)
            continue;
        uint64_t windows = SLICE_US / CATCH_UP_US + 2;
        uint64_t most = CATCH_UP_TIMES * (replica_log(node_replica(n))->ring.end - wrote) +
                        windows * CATCH_UP_BYTES + WINDOW_BYTES;
        if (write_every_us != 0 && !l->joined && slice > begun + SECOND)
            assert_true(l->window.end - old <= most);
        slice = sim_now(w->s);
        old = l->window.end;
        wrote = replica_log(node_replica(n))->ring.end;
    }
    return sim_now(w->s) - begun;
}

static void test_share(void **state)
{
    (void)state;
    const uint64_t bytes = (uint64_t)MISSED * VALUE;
    struct world w = behind(1);
    uint64_t calm_us = catch_up(&w, 0);
    sim_free(w.s);
    w = behind(1);
    uint64_t light_us = catch_up(&w, 50 * MS); /* 0.2 MB a second */
    sim_free(w.s);
    w = behind(1);
    uint64_t heavy_us = catch_up(&w, MS); /* 10 MB a second */
    sim_run(w.s, SECOND);
    sim_check_final(w.s);
    sim_free(w.s);
    print_message("    %u MB behind: %u ms alone, %u ms beside few writes, %u ms beside many\n",
                  (unsigned)(bytes / 1000000), (unsigned)(calm_us / MS), (unsigned)(light_us / MS),
                  (unsigned)(heavy_us / MS));
    assert_true(calm_us < 2 * SECOND);
    assert_in_range(light_us, bytes / 5, bytes / 3);  /* some 4 MB a second */
    assert_in_range(heavy_us, bytes / 22, bytes / 9); /* it gains 10 MB a second on them */
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
