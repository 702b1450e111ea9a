// LINK: @sim HEAVY
/* Elections on bad links: whole clusters in the simulator. Lossy links, links that carry one way
 * only, pairs that cannot hear each other: one stable leader, commits go on, terms stay. Links that
 * come back after long: a leader soon.
 *
 * LINKS_SEEDS in the environment: so many seeds; the tests that count then do not judge.
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
#include "tests/lib/brief.h"
#include "tests/sim/sim.h"

enum {
    NODES = RAFT_VOTERS_MAX,
    MS = 1000,
    SECOND = 1000000,
    LONG_US = 600 * SECOND,
    IDLE_US = LONG_US,
    /* In election timeouts T. */
    SETTLE = 20,   /* after a cut there is one leader, for good */
    PATIENCE = 20, /* of a client */
    QUIET = 30,
    HEALED = 20,                /* after the healing everybody has all */
    HANDSHAKE_US = 10 * SECOND, /* and if they never had a session: one try each second, and each
                                   is four datagrams that may be lost */
    ROUNDS = 20,                /* of writes */
    TERMS = 5,                  /* after the first election and a cut */
};

struct link {
    const char *name;
    uint64_t delay_min_us, delay_max_us; /* one way */
    uint64_t timeout_us;                 /* election_timeout_ms: ten round trips or more */
};

static const struct link lan = {"LAN", 100, 500, 150 * MS};
static const struct link radio = {"60 ms radio", 25 * MS, 35 * MS, 600 * MS};

static void options(struct sim_options *o, const struct link *l, unsigned nodes, uint64_t seed)
{
    *o = (struct sim_options){
        .seed = seed,
        .nodes = nodes,
        .delay_min_us = l->delay_min_us,
        .delay_max_us = l->delay_max_us,
        .disk_min_us = 500,
        .disk_max_us = 4000,
        .quantum_us = 1,
        .election_timeout_us = l->timeout_us,
        .max_value_bytes = 4096,
        .segment_bytes = 128 << 10,
        .batch_bytes = 65536,
        .clients = 2,
        .hot_keys = 2,
        .think_us = 500 * MS,
        .timeout_us = 5000 * MS,
        .time_us = 1,
    };
}

static uint64_t highest_term(const struct sim *s, unsigned nodes)
{
    uint64_t term = 0;
    for (unsigned i = 0; i < nodes; i++)
        if (sim_raft(s, i)->term > term)
            term = sim_raft(s, i)->term;
    return term;
}

/* ---- lossy links ---- */

struct life {
    uint64_t leaders, acked, unknown, campaigns, datagrams;
};

/* Ten minutes of a quiet cluster, without any fault but loss. */
static struct life live(const struct link *l, unsigned nodes, uint64_t seed, uint32_t loss_percent,
                        uint64_t think_us)
{
    struct sim_options o;
    options(&o, l, nodes, seed);
    o.rate[SIM_LOSS] = loss_percent * 10000;
    o.think_us = think_us;
    struct sim *s = sim_new(&o);
    sim_run(s, LONG_US);
    struct sim_totals t = *sim_totals(s);
    struct life life = {t.leaders, t.acked, t.unknown, 0, t.datagrams};
    for (unsigned i = 0; i < nodes; i++)
        life.campaigns += sim_raft(s, i)->stats.campaigns;
    sim_free(s);
    return life;
}

static uint64_t seeds(uint64_t few)
{
    const char *text = getenv("LINKS_SEEDS");
    return text != NULL ? strtoull(text, NULL, 10) : few;
}

struct load {
    const char *name;
    uint64_t think_us; /* a client's pause */
};

static const struct load idle = {"idle", IDLE_US}, light = {"light", 500 * MS},
                         busy = {"busy", 100 * MS};

/* At most one change of leader in ten minutes. */
static void many_lives(const struct link *l, unsigned nodes, const struct load *load, uint64_t few)
{
    enum { LOSS = 30 /* per cent */ };
    uint64_t n = seeds(few), changed[4] = {0};
    struct life sum = {0};
    for (uint64_t seed = 1; seed <= n; seed++) {
        struct life x = live(l, nodes, seed, LOSS, load->think_us);
        uint64_t changes = x.leaders - 1;
        changed[changes < 3 ? changes : 3]++;
        sum.acked += x.acked;
        sum.unknown += x.unknown;
        sum.campaigns += x.campaigns;
        sum.datagrams += x.datagrams;
        if (changes > 1 && getenv("LINKS_SEEDS") == NULL)
            fail_msg("seed %" PRIu64 ": %" PRIu64 " changes of leader", seed, changes);
    }
    print_message("%-11s %u %% loss, %u nodes, %-5s: changes of leader in 10 min: none %" PRIu64
                  ", one %" PRIu64 ", two %" PRIu64 ", more %" PRIu64
                  "; PreVotes %.1f, datagrams %.0f/s, writes %.0f, "
                  "of unknown outcome %.1f\n",
                  l->name, LOSS, nodes, load->name, changed[0], changed[1], changed[2], changed[3],
                  (double)sum.campaigns / (double)n,
                  (double)sum.datagrams / (double)n / (LONG_US / SECOND),
                  (double)sum.acked / (double)n, (double)sum.unknown / (double)n);
}

static void test_loss_does_not_depose_a_leader(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        const struct link *l = k == 0 ? &lan : &radio;
        many_lives(l, 3, &light, 3);
        many_lives(l, 3, &idle, 2);
        many_lives(l, 5, &busy, 1);
        many_lives(l, 7, &light, 1);
        many_lives(l, 7, &idle, 1);
    }
}

/* ---- cut links ---- */

struct cuts {
    bool from_to[NODES][NODES];
};

/* Everybody who has both ways to the leader gets a write done, `rounds` times, one each T. */
static void writes_go_on(struct sim *s, const struct link *l, unsigned nodes, unsigned rounds,
                         const struct cuts *cut)
{
    int leader = sim_leader(s);
    assert_true(leader >= 0);
    for (unsigned r = 0; r < rounds; r++) {
        unsigned acked = sim_acked(s), asked = 0;
        for (unsigned i = 0; i < nodes; i++) {
            if (cut->from_to[i][leader] || cut->from_to[leader][i])
                continue;
            sim_put(s, i, 100, PATIENCE * l->timeout_us);
            asked++;
        }
        for (unsigned t = 0; t < PATIENCE && sim_acked(s) < acked + asked; t++)
            sim_run(s, l->timeout_us);
        assert_int_equal(sim_acked(s), acked + asked);
        sim_run(s, l->timeout_us);
    }
}

static void cut_all(struct sim *s, unsigned nodes, const struct cuts *cut, bool on)
{
    for (unsigned i = 0; i < nodes; i++)
        for (unsigned j = 0; j < nodes; j++)
            sim_cut(s, i, j, on && cut->from_to[i][j]);
}

static int wait_for_leader(struct sim *s, const struct link *l, unsigned timeouts)
{
    for (unsigned t = 0; t < timeouts && sim_leader(s) < 0; t++)
        sim_run(s, l->timeout_us);
    return sim_leader(s);
}

/* A majority has both ways to the node. */
static bool majority_hears(const struct cuts *cut, unsigned nodes, int node)
{
    unsigned n = 0;
    for (unsigned i = 0; i < nodes; i++)
        n += !cut->from_to[i][node] && !cut->from_to[node][i];
    return n > nodes / 2;
}

/* The cut happens at `first`: before there was a leader, or to a settled cluster. */
static void cut_life(const struct link *l, unsigned nodes, uint64_t seed, const struct cuts *cut,
                     bool first, uint32_t loss_percent)
{
    struct sim_options o;
    options(&o, l, nodes, seed);
    o.clients = 0;
    o.rate[SIM_LOSS] = loss_percent * 10000;
    struct sim *s = sim_new(&o);
    uint64_t t = l->timeout_us;
    if (first)
        cut_all(s, nodes, cut, true);
    int was = wait_for_leader(s, l, SETTLE);
    assert_true(was >= 0);
    sim_run(s, t); /* all logs are equal: only who hears whom decides */
    cut_all(s, nodes, cut, true);
    sim_run(s, SETTLE * t);

    uint64_t term = highest_term(s, nodes);
    int leader = sim_leader(s);
    assert_true(leader >= 0);
    assert_true(term <= TERMS);
    if (loss_percent == 0 && majority_hears(cut, nodes, was))
        assert_int_equal(leader, was);
    writes_go_on(s, l, nodes, ROUNDS, cut);
    sim_run(s, QUIET * t);
    if (loss_percent == 0) {
        assert_int_equal(sim_leader(s), leader);
        assert_int_equal(highest_term(s, nodes), term);
    }
    assert_true(highest_term(s, nodes) <= term + 1);

    cut_all(s, nodes, cut, false);
    uint64_t healed = sim_now(s);
    while (!sim_converged(s) && sim_now(s) < healed + HEALED * t + HANDSHAKE_US)
        sim_run(s, t / 4);
    assert_true(sim_converged(s));
    writes_go_on(s, l, nodes, 2, &(struct cuts){0});
    assert_true(highest_term(s, nodes) <= term + 2);
    sim_check_final(s);
    sim_free(s);
}

static void each_way(const struct cuts *cut, unsigned nodes)
{
    for (uint64_t seed = 1; seed <= seeds(1); seed++) {
        for (unsigned k = 0; k < 8; k++)
            cut_life(k & 1 ? &radio : &lan, nodes, seed, cut, k & 2, k & 4 ? 20 : 0);
    }
}

static void one_link(unsigned nodes, bool both_ways)
{
    for (unsigned a = 0; a < nodes; a++) {
        for (unsigned b = 0; b < nodes; b++) {
            struct cuts cut = {0};
            if (a == b || (both_ways && b < a) || (brief() && nodes > 3 && (a + b) % 3 != 0))
                continue;
            cut.from_to[a][b] = true;
            cut.from_to[b][a] = both_ways;
            each_way(&cut, nodes);
        }
    }
}

static void test_a_link_that_carries_one_way(void **state)
{
    (void)state;
    one_link(3, false);
    one_link(5, false);
}

static void test_two_that_cannot_hear_each_other(void **state)
{
    (void)state;
    one_link(3, true);
    one_link(5, true);
}

static void test_one_that_hears_nobody_or_is_not_heard(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 3; a++) {
        struct cuts deaf = {0}, mute = {0};
        for (unsigned b = 0; b < 3; b++)
            deaf.from_to[b][a] = mute.from_to[a][b] = a != b;
        each_way(&deaf, 3);
        each_way(&mute, 3);
    }
}

/* ---- nobody hears a majority ---- */

enum {
    HEAL_SEEDS = 40,
    HEAL_SEEDS_MAX = 4096,
    QUIET_SEEDS = 4,
    CUT_US = 30 * SECOND,
    STEP_US = 10 * MS,
    HEAL_MOST = 10, /* election timeouts */
};

struct heal {
    const struct link *link;
    unsigned nodes, dead;
    uint32_t loss_percent;
    uint64_t median_ms, p90_ms;
};

/* All links are cut for long, and carry some datagrams again: how long until those that are alive, a
 * bare majority, follow a leader? */
static uint64_t heal_life(const struct heal *h, uint64_t seed)
{
    struct sim_options o;
    struct cuts all;
    memset(&all, true, sizeof all);
    options(&o, h->link, h->nodes, seed);
    o.clients = 0;
    struct sim *s = sim_new(&o);
    assert_true(wait_for_leader(s, h->link, SETTLE) >= 0);
    sim_run(s, SETTLE * h->link->timeout_us);
    for (unsigned i = 0; i < h->dead; i++)
        sim_crash(s, (unsigned)(seed + i) % h->nodes);
    cut_all(s, h->nodes, &all, true);
    sim_run(s, CUT_US + seed * STEP_US);
    cut_all(s, h->nodes, &all, false);

    uint64_t healed = sim_now(s), rng = seed;
    while (sim_leader(s) < 0) {
        uint64_t lost = 0;
        for (unsigned bit = 0; bit < 64; bit++) {
            rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
            lost |= (uint64_t)((rng >> 32) % 100 < h->loss_percent) << bit;
        }
        sim_lose(s, lost); /* of the next 64: more than are sent in a step */
        sim_run(s, STEP_US);
    }
    uint64_t us = sim_now(s) - healed;
    sim_free(s);
    return us;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void test_healed_links_bring_a_leader_soon(void **state)
{
    (void)state;
    static const struct heal heals[] = {
        {&lan, 3, 1, 30, 130, 300}, {&lan, 3, 1, 50, 250, 600},     {&lan, 5, 2, 30, 150, 350},
        {&lan, 7, 3, 30, 150, 350}, {&radio, 5, 2, 30, 1100, 2200},
    };
    for (unsigned k = 0; k < sizeof heals / sizeof *heals; k++) {
        const struct heal *h = &heals[k];
        static uint64_t us[HEAL_SEEDS_MAX];
        uint64_t n = seeds(HEAL_SEEDS);
        assert_in_range(n, 1, HEAL_SEEDS_MAX);
        for (uint64_t seed = 1; seed <= n; seed++)
            us[seed - 1] = heal_life(h, seed);
        qsort(us, n, sizeof *us, by_size);
        uint64_t median = us[n / 2] / MS, p90 = us[n * 9 / 10] / MS, most = us[n - 1] / MS;
        print_message("%-11s %2u %% loss, %u of %u nodes, healed: a leader after %" PRIu64
                      " ms, of ten lives nine %" PRIu64 ", all %" PRIu64 "\n",
                      h->link->name, h->loss_percent, h->nodes - h->dead, h->nodes, median, p90,
                      most);
        if (getenv("LINKS_SEEDS") != NULL)
            continue;
        assert_true(median <= h->median_ms);
        assert_true(p90 <= h->p90_ms);
        assert_true(most * MS <= HEAL_MOST * h->link->timeout_us);
    }
}

/* Datagrams in CUT_US of nodes that are too few, and hear each other. */
static uint64_t minority_life(const struct link *l, unsigned nodes, unsigned few,
                              uint32_t loss_percent, uint64_t seed)
{
    struct sim_options o;
    options(&o, l, nodes, seed);
    o.clients = 0;
    o.rate[SIM_LOSS] = loss_percent * 10000;
    struct sim *s = sim_new(&o);
    assert_true(wait_for_leader(s, l, SETTLE) >= 0);
    for (unsigned i = few; i < nodes; i++)
        sim_crash(s, (unsigned)(seed + i) % nodes);
    sim_run(s, QUIET * l->timeout_us);
    uint64_t before = sim_totals(s)->datagrams;
    sim_run(s, CUT_US);
    uint64_t n = sim_totals(s)->datagrams - before;
    sim_free(s);
    return n;
}

/* Each asks each of the others once or twice in a campaign, and is answered by some. */
static void test_a_minority_is_quiet(void **state)
{
    (void)state;
    static const unsigned few_of[][2] = {{1, 3}, {2, 5}, {3, 7}, {4, 9}};
    for (unsigned k = 0; k < 4 * sizeof few_of / sizeof *few_of; k++) {
        const struct link *l = k & 1 ? &radio : &lan;
        unsigned few = few_of[k / 4][0], nodes = few_of[k / 4][1];
        uint32_t loss = k & 2 ? 40 : 0;
        uint64_t n = seeds(QUIET_SEEDS), sum = 0;
        for (uint64_t seed = 1; seed <= n; seed++)
            sum += minority_life(l, nodes, few, loss, seed);
        print_message("%-11s %2u %% loss, %u of %u nodes: datagrams %.0f/s\n", l->name, loss, few,
                      nodes, (double)sum / (double)n / (CUT_US / SECOND));
        if (getenv("LINKS_SEEDS") == NULL)
            assert_true(sum <= n * few * (nodes - 1) * (CUT_US / l->timeout_us) * 5 / 2);
    }
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_does_not_depose_a_leader),
        cmocka_unit_test(test_a_link_that_carries_one_way),
        cmocka_unit_test(test_two_that_cannot_hear_each_other),
        cmocka_unit_test(test_one_that_hears_nobody_or_is_not_heard),
        cmocka_unit_test(test_healed_links_bring_a_leader_soon),
        cmocka_unit_test(test_a_minority_is_quiet),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
