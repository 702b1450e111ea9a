// LINK: @core tests/lib/core_cluster.c tests/lib/core_ghost.c tests/lib/core_words.c HEAVY
/* test_raft_slow.c: clusters whose disks are slow for good elect a leader soon and keep it.
 *
 *     test_raft_slow            all
 *     test_raft_slow CASE SEED  one life of one case, with its changes of role
 */
#include "tests/lib/core_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>

enum {
    LIVES = 20,
    MS = 1000,
    GIVE_UP_MS = 120000,
    WORKING_LIVES = 5,
    SETTLE_MS = 20000, /* a second leader may still come of the elections that were under way */
    WORK_MS = 30000,   /* and then they work */
    OFF = 0,
};

/* What the disk of each node takes at most, and half of that at least; OFF is a node that is off. */
struct slow {
    unsigned nodes, disk_ms[CL_NODES];
    /* From the start of all nodes to the first commit, which takes another write: the mean and the
     * longest time of all lives, and candidacies per life. About half as much again as measured. */
    unsigned mean_ms, worst_ms;
    double elections;
};

static const struct slow cases[] = {
    /* all alike */
    {3, {1, 1, 1}, 300, 500, 1.5},
    {3, {100, 100, 100}, 700, 1500, 3},
    {3, {200, 200, 200}, 1200, 3000, 4},
    {3, {320, 320, 320}, 1900, 4500, 4},
    {3, {1000, 1000, 1000}, 5000, 15000, 4},
    {3, {3000, 3000, 3000}, 13000, 30000, 4},
    {5, {1000, 1000, 1000, 1000, 1000}, 5500, 15000, 6.5},
    {9, {1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}, 7500, 15000, 12.5},
    {2, {1000, 1000}, 5000, 15000, 2},
    {1, {3000}, 7000, 9000, 1},
    /* a fast node needs the vote of a slow one */
    {3, {1, 320, OFF}, 1050, 1500, 1.5},
    {3, {1, 3000, OFF}, 7200, 12000, 1.5},
    {3, {1, 3000, 3000}, 7200, 11000, 3},
    {5, {1, 1, 1000, 1000, 1000}, 2800, 6000, 3.5},
    {5, {1, 1, 3000, 3000, 3000}, 7000, 11000, 3.5},
    {5, {1, 1, 1000, OFF, OFF}, 2800, 6000, 2},
    {5, {1, 1000, 3000, OFF, OFF}, 9000, 20000, 2},
    {5, {300, 300, 1500, OFF, OFF}, 5000, 11500, 2},
    {7, {1, 1, 1, 3000, 3000, 3000, 3000}, 7000, 11000, 4},
    /* a slow one harms nobody */
    {3, {1, 1, 3000}, 350, 900, 2.5},
    {5, {100, 300, 1000, 2000, 3000}, 5000, 12000, 7},
};

struct life {
    unsigned ms, elections;
};

static unsigned sum(const struct cl *c, bool won)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->n; i++)
        n += (unsigned)(won ? c->nodes[i].r.stats.won : c->nodes[i].r.stats.elections);
    return n;
}

/* Clients that always want something, until the time is up or something is committed. */
static void work(struct cl *c, unsigned ms, bool until_commit)
{
    for (raft_time end = c->now + (raft_time)ms * MS; c->now < end;) {
        if (until_commit && c->ghost.n_committed > 0)
            return;
        cl_run_until(c, c->now + 10 * MS);
        if (c->now / MS % 100 < 10 && cl_leader(c) >= 0)
            cl_propose(c, (unsigned)cl_leader(c), 1);
    }
}

/* The leader is never given up for its disk, or its followers', that are always slow. */
static void go_on(struct cl *c)
{
    work(c, SETTLE_MS, false);
    uint64_t committed = c->ghost.n_committed;
    unsigned won = sum(c, true);
    work(c, WORK_MS, false);
    if (sum(c, true) != won)
        cl_fail(c, 0, "the leader changes for no reason but slow disks");
    if (c->ghost.n_committed < committed + 5)
        cl_fail(c, 0, "the leader does not commit");
}

static struct life live(const struct slow *k, uint64_t seed, FILE *trace)
{
    struct cl *c = cl_new(k->nodes, k->nodes, seed);
    struct life life;
    c->disk_min = c->disk_max = 0;
    c->delay_max = 3 * MS;
    c->trace = trace;
    c->trace_state = true;
    for (unsigned i = 0; i < k->nodes; i++) {
        c->disk_us[i] = k->disk_ms[i] * MS;
        if (k->disk_ms[i] != OFF)
            cl_start(c, i);
    }
    raft_time start = c->now;
    work(c, GIVE_UP_MS, true);
    life.ms = (unsigned)((c->now - start) / MS);
    life.elections = sum(c, false);

    if (seed <= WORKING_LIVES)
        go_on(c);
    cl_free(c);
    return life;
}

static void test_slow_disks_elect(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct slow *k = &cases[i];
        unsigned mean = 0, worst = 0, elections = 0;
        for (uint64_t seed = 1; seed <= LIVES; seed++) {
            struct life l = live(k, seed, NULL);
            mean += l.ms;
            worst = l.ms > worst ? l.ms : worst;
            elections += l.elections;
        }
        mean /= LIVES;
        print_message("case %2zu, %u nodes: %u ms, at most %u ms, %.1f elections\n", i, k->nodes,
                      mean, worst, (double)elections / (int)LIVES);
        assert_true(mean <= k->mean_ms && worst <= k->worst_ms);
        assert_true((double)elections / (int)LIVES <= k->elections);
    }
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        struct life l = live(&cases[strtoul(argv[1], NULL, 10)], strtoull(argv[2], NULL, 10),
                             stdout);
        printf("%u ms, %u elections\n", l.ms, l.elections);
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slow_disks_elect)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
