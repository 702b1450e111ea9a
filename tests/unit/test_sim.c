// LINK: @sim
/* The simulator: same seed, same run; a few seeds of every profile; the seeds that failed once.
 *
 * Runs from the top of the tree, or finds the list of seeds by SEEDS_FILE in the environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/core/raft.h"
#include "raftd/base/rcu.h"
#include "tests/sim/sim.h"

enum { SECOND = 1000000, SEEDS = 4 };

static struct sim_totals live(struct sim_options *o)
{
    struct sim *s = sim_new(o);
    sim_live(s); /* aborts when something is broken */
    struct sim_totals t = *sim_totals(s);
    sim_free(s);
    return t;
}

static unsigned profile_of(const char *name)
{
    unsigned p = 0;
    while (sim_profile_name(p) != NULL && strcmp(sim_profile_name(p), name) != 0)
        p++;
    assert_non_null(sim_profile_name(p));
    return p;
}

static struct sim_totals live_traced(unsigned profile, uint64_t seed, char **text, size_t *size)
{
    struct sim_options o;
    sim_plan(&o, profile, seed, 3, 0);
    o.time_us = 5 * SECOND;
    o.trace = open_memstream(text, size);
    assert_non_null(o.trace);
    struct sim_totals t = live(&o);
    assert_int_equal(fclose(o.trace), 0);
    return t;
}

static void test_same_seed_same_run(void **state)
{
    (void)state;
    unsigned everything = profile_of("everything");
    uint64_t before = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        char *a, *b;
        size_t a_size, b_size;
        struct sim_totals t = live_traced(everything, seed, &a, &a_size);
        struct sim_totals u = live_traced(everything, seed, &b, &b_size);
        assert_memory_equal(&t, &u, sizeof t);
        assert_int_equal(a_size, b_size);
        assert_memory_equal(a, b, a_size);
        assert_true(t.hash != before);
        before = t.hash;
        free(a);
        free(b);
    }
}

static void test_profiles(void **state)
{
    (void)state;
    uint64_t copies = 0, ended = 0, scans = 0, unknown_cursors = 0;
    for (unsigned p = 0; sim_profile_name(p) != NULL; p++) {
        struct sim_totals sum = {0};
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            struct sim_options o;
            sim_plan(&o, p, seed, 0, 0);
            o.time_us = 10 * SECOND;
            struct sim_totals t = live(&o);
            sum.acked += t.acked;
            sum.reads += t.reads;
            sum.leaders += t.leaders;
            copies += t.copies;
            ended += t.ended;
            scans += t.scans_moved;
            unknown_cursors += t.unknown_cursors;
        }
        print_message("%-10s %4" PRIu64 " writes, %4" PRIu64 " reads, %3" PRIu64 " leaders\n",
                      sim_profile_name(p), sum.acked, sum.reads, sum.leaders);
        assert_true(sum.acked > 5 * SEEDS && sum.reads > 5 * SEEDS); /* work gets done */
    }
    print_message("%" PRIu64 " copies of writes, %" PRIu64 " entries of processes not current\n",
                  copies, ended);
    assert_true(copies > 0 && ended > 0);
    print_message("%" PRIu64 " scans while entries were applied, %" PRIu64 " cursors not known\n",
                  scans, unknown_cursors);
    assert_true(scans > 0 && unknown_cursors > 0);
}

static void put_some(struct sim *s, unsigned node)
{
    unsigned before = sim_acked(s);
    for (unsigned i = 0; i < 5; i++)
        sim_put(s, node, 100, 10 * SECOND);
    sim_run(s, 2 * SECOND);
    assert_int_equal(sim_acked(s), before + 5);
}

/* Of three nodes one lost what it had acknowledged. It is told, after a restart again, and is then as
 * good as before: with the leader alone it is a majority. */
static void test_lost_tail(void **state)
{
    (void)state;
    struct sim_options o;
    sim_plan(&o, profile_of("calm"), 1, 3, 0);
    o.handover_us = 0;
    o.clients = 0;
    struct sim *s = sim_new(&o);
    sim_run(s, 5 * SECOND);
    int leader = sim_leader(s);
    assert_in_range(leader, 0, 2);
    unsigned victim = ((unsigned)leader + 1) % 3, other = ((unsigned)leader + 2) % 3;
    assert_false(sim_lose_tail(s, victim)); /* the copy */
    put_some(s, (unsigned)leader);
    assert_true(sim_lose_tail(s, victim));
    for (unsigned i = 0; i < 2; i++) {
        sim_restart(s, victim);
        for (unsigned ms = 0; sim_raft(s, victim)->doubt_index == 0 && ms < 5000; ms++)
            sim_run(s, 100);
        assert_int_equal(sim_raft(s, victim)->stats.lost_acked, 1);
        assert_true(sim_raft(s, victim)->doubt_index != 0);
        if (i == 0)
            sim_crash(s, victim);
    }
    sim_run(s, SECOND);
    assert_int_equal(sim_raft(s, victim)->doubt_index, 0);
    assert_int_equal(sim_totals(s)->doubts, 1);
    assert_int_equal(sim_leader(s), leader);
    sim_crash(s, other);
    put_some(s, (unsigned)leader);
    put_some(s, victim);
    sim_run(s, SECOND); /* the leader ends what the crashed one held, and that arrives */
    sim_check_final(s);
    sim_free(s);
}

/* Lines "PROFILE SEED what it found"; '#' begins a remark. */
static void test_seeds_that_failed(void **state)
{
    (void)state;
    const char *path = getenv("SEEDS_FILE");
    FILE *f = fopen(path != NULL ? path : "tests/sim/seeds", "r");
    char line[256], name[32];
    uint64_t seed;
    unsigned n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (line[0] == '#' || sscanf(line, "%31s %" SCNu64, name, &seed) != 2)
            continue;
        struct sim_options o;
        sim_plan(&o, profile_of(name), seed, 0, 0);
        (void)live(&o);
        n++;
    }
    fclose(f);
    print_message("%u seeds\n", n);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_run),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_lost_tail),
        cmocka_unit_test(test_seeds_that_failed),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
