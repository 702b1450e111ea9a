// LINK: raftd/node/digests.c raftd/core/member.c
#include "raftd/node/digests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/core_members.h"

enum { EVERY = 10, NODES = 3 };

static const uint16_t IDS[RAFT_VOTERS_MAX] = {1, 2, 5, 7, 300, 301, 302, 303, 65535};

static uint64_t rnd(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    return z ^ z >> 27;
}

static void start(struct digests *d, unsigned n, uint16_t self, uint64_t every)
{
    struct raft_members m = members_of_voters(IDS, n);
    digests_init(d, &m, self, every);
}

/* A digest that is named by a letter. */
static const uint8_t *digest(char name)
{
    static uint8_t d[WIRE_DIGEST_BYTES];
    memset(d, name, sizeof d - 1);
    return d;
}

/* What a node tells of itself alone. */
static struct wire_digests own(uint16_t id, uint64_t index, char name)
{
    struct wire_digests w = {.index = index, .n = 1, .id = {id}};
    memcpy(w.digest[0], digest(name), WIRE_DIGEST_BYTES);
    return w;
}

/* A letter for each voter's digest, ours first; '.': not known. */
static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *digests;
        enum digests_verdict verdict;
    } cases[] = {
        {"A", DIGESTS_AGREE},          {"A.", DIGESTS_AGREE},         {"AA", DIGESTS_AGREE},
        {"AB", DIGESTS_HOPELESS},      {"A..", DIGESTS_AGREE},        {"AA.", DIGESTS_AGREE},
        {"AB.", DIGESTS_DISPUTED},     {"AAB", DIGESTS_AGREE},        {"ABB", DIGESTS_WRONG},
        {"ABC", DIGESTS_HOPELESS},     {"AB..", DIGESTS_DISPUTED},    {"AABB", DIGESTS_HOPELESS},
        {"ABB.", DIGESTS_DISPUTED},    {"ABC.", DIGESTS_HOPELESS},    {"AAAB", DIGESTS_AGREE},
        {"ABBB", DIGESTS_WRONG},       {"AB...", DIGESTS_DISPUTED},   {"AAB..", DIGESTS_DISPUTED},
        {"ABB..", DIGESTS_DISPUTED},   {"AAAB.", DIGESTS_AGREE},      {"ABBB.", DIGESTS_WRONG},
        {"AABB.", DIGESTS_DISPUTED},   {"AABBC", DIGESTS_HOPELESS},   {"ABCD.", DIGESTS_HOPELESS},
        {"AAABBB.", DIGESTS_DISPUTED}, {"AAABBBC", DIGESTS_HOPELESS}, {"AAAAABBBB", DIGESTS_AGREE},
        {"AAAABBBBB", DIGESTS_WRONG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned n = (unsigned)strlen(cases[i].digests);
        for (unsigned self = 0; self < n; self++) { /* whichever place is ours */
            struct digests d;
            start(&d, n, IDS[self], EVERY);
            digests_note(&d, 2 * EVERY, digest(cases[i].digests[0]), false);
            for (unsigned k = 1; k < n; k++) {
                uint16_t id = IDS[(self + k) % n];
                struct wire_digests w = own(id, 2 * EVERY, cases[i].digests[k]);
                if (cases[i].digests[k] != '.')
                    digests_heard(&d, id, &w);
            }
            if (d.verdict != cases[i].verdict)
                fail_msg("%s: %d", cases[i].digests, (int)d.verdict);
            assert_int_equal(d.at, d.verdict == DIGESTS_AGREE ? 0 : 2 * EVERY);
        }
    }
}

static void test_which_entries(void **state)
{
    (void)state;
    struct digests d;
    struct wire_digests w;
    start(&d, NODES, IDS[0], 0);
    digests_note(&d, 0, digest('A'), true); /* an empty state is the same everywhere */
    digests_note(&d, DIGESTS_EVERY - 1, digest('A'), false);
    assert_false(digests_tell(&d, IDS[1], &w));
    digests_note(&d, DIGESTS_EVERY, digest('A'), false);
    assert_true(digests_tell(&d, IDS[1], &w) && w.index == DIGESTS_EVERY);
    start(&d, NODES, IDS[0], 0);
    digests_note(&d, 7, digest('A'), true);
    assert_true(digests_tell(&d, IDS[1], &w) && w.index == 7);
}

/* Each tells all that it has to tell to those that it talks with, both ways; some of it is lost. Returns
 * how much was told. */
static unsigned talk(struct digests d[NODES], unsigned leader, unsigned loss, uint64_t *seed)
{
    unsigned told = 0;
    for (unsigned i = 0; i < NODES; i++) {
        for (unsigned from = 0; i != leader && from < 2; from++) {
            unsigned a = from == 0 ? leader : i, b = from == 0 ? i : leader;
            struct wire_digests w;
            if (d[i].verdict == DIGESTS_WRONG || d[leader].verdict == DIGESTS_WRONG ||
                !digests_tell(&d[a], IDS[b], &w))
                continue; /* who is wrong has stopped */
            told++;
            if (rnd(seed) % 100 >= loss)
                digests_heard(&d[b], IDS[a], &w);
        }
    }
    return told;
}

/* A node applies entries up to the next index, if it may and there are more. A broken one goes wrong after
 * the first. */
static bool go_on(struct digests *d, uint64_t *at, bool broken)
{
    if (*at == (DIGESTS_KEPT - 1) * EVERY || d->verdict != DIGESTS_AGREE)
        return false;
    *at += EVERY;
    digests_note(d, *at, digest(broken && *at > EVERY ? 'B' : 'A'), false);
    return true;
}

/* All apply what there is, and talk until all is told. */
static void finish(struct digests d[NODES], uint64_t at[NODES], unsigned broken, unsigned leader,
                   unsigned loss, uint64_t *seed)
{
    for (unsigned i = 0; i < 4 * DIGESTS_KEPT * NODES; i++) {
        (void)go_on(&d[i % NODES], &at[i % NODES], i % NODES == broken);
        for (unsigned k = 0; k < 20; k++)
            (void)talk(d, leader, loss, seed);
    }
}

/* Nodes come to the indexes at different times, and datagrams get lost: equal ones agree, and have soon told
 * all; of a broken one all others learn, and it learns it from them. Only a leader talks with all. */
static void test_talk(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (unsigned run = 0; run < 600; run++) {
        unsigned broken = run % 4, loss = run / 4 % 3 * 30, leader = run / 12 % NODES;
        struct digests d[NODES];
        uint64_t at[NODES] = {0};
        for (unsigned i = 0; i < NODES; i++)
            start(&d[i], NODES, IDS[i], EVERY);
        for (unsigned step = 0; step < 3 * (DIGESTS_KEPT - 1); step++) {
            unsigned i = (unsigned)(rnd(&seed) % NODES);
            (void)go_on(&d[i], &at[i], i == broken);
            (void)talk(d, leader, loss, &seed);
        }
        finish(d, at, broken, leader, loss, &seed);
        if (broken == leader) { /* it has stopped, and another one leads */
            assert_int_equal(d[leader].verdict, DIGESTS_WRONG);
            leader = (leader + 1) % NODES;
            finish(d, at, broken, leader, loss, &seed);
        }
        for (unsigned i = 0; i < NODES; i++)
            assert_int_equal(d[i].verdict, i == broken ? DIGESTS_WRONG : DIGESTS_AGREE);
        if (broken >= NODES)
            assert_int_equal(talk(d, leader, 0, &seed), 0);
    }
}

/* A node applies entries up to this one, one by one. A broken one is wrong from the second on. */
static void apply_to(struct digests *d, uint64_t *at, uint64_t to, bool broken)
{
    while (*at < to && d->verdict == DIGESTS_AGREE) {
        ++*at;
        digests_note(d, *at, digest(broken && *at > 1 ? 'B' : 'A'), false);
    }
}

/* Each node in turn has a snapshot of an entry that is no multiple, when the others have yet to apply it,
 * are at it, or have passed it. All are compared as of it, and talk no longer than is needed. */
static void test_snapshot(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (unsigned run = 0; run < 3 * 4 * 3 * 3; run++) {
        unsigned taker = run % 3, broken = run / 3 % 4, leader = run / 12 % 3;
        uint64_t others = 3 + run / 36 * 2, at[NODES] = {0};
        struct digests d[NODES];
        for (unsigned i = 0; i < NODES; i++) {
            start(&d[i], NODES, IDS[i], 1000);
            apply_to(&d[i], &at[i], i == taker ? 5 : others, i == broken);
        }
        digests_note(&d[taker], 5, digest(taker == broken ? 'B' : 'A'), true);
        for (unsigned k = 0; k < 40; k++) {
            (void)talk(d, leader, 30, &seed);
            for (unsigned i = 0; k > 5 && i < NODES; i++)
                apply_to(&d[i], &at[i], 8, i == broken);
        }
        if (broken == leader) {
            assert_int_equal(d[leader].verdict, DIGESTS_WRONG);
            leader = (leader + 1) % NODES;
            for (unsigned k = 0; k < 40; k++)
                (void)talk(d, leader, 30, &seed);
        }
        for (unsigned i = 0; i < NODES; i++)
            assert_int_equal(d[i].verdict, i == broken ? DIGESTS_WRONG : DIGESTS_AGREE);
        if (broken == NODES)
            assert_int_equal(talk(d, leader, 0, &seed), 0);
    }
}

/* A node that has long passed the entry, or never applied it, says so; but not if it was told before. Who is
 * right goes on when a later entry shows it. */
static void test_passed(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 3; run++) {
        struct digests d[NODES];
        uint64_t at[NODES] = {0}, seed = 3;
        struct wire_digests w = own(IDS[2], 5, 'A');
        for (unsigned i = 0; i < NODES; i++)
            start(&d[i], NODES, IDS[i], 100000);
        if (run == 2)
            digests_heard(&d[1], IDS[2], &w);
        apply_to(&d[1], &at[1], 5 + (run == 1 ? DIGESTS_OWN - 1 : DIGESTS_OWN), false);
        digests_note(&d[0], 5, digest('B'), true);
        digests_note(&d[2], 9, digest('A'), run != 2); /* it began with a later snapshot */
        for (unsigned k = 0; k < 5; k++)
            (void)talk(d, 0, 0, &seed);
        assert_int_equal(d[0].verdict, run == 0 ? DIGESTS_AGREE : DIGESTS_DISPUTED);
        if (run == 0)
            assert_true(d[0].rows[0].told[1] && d[0].rows[0].told[2]);
        assert_int_equal(d[1].verdict, run == 0 ? DIGESTS_AGREE : DIGESTS_DISPUTED);
        at[2] = 9;
        apply_to(&d[2], &at[2], at[1] + 1, false);
        for (unsigned k = 0; k < 5; k++)
            (void)talk(d, 1, 0, &seed);
        assert_int_equal(d[1].verdict, DIGESTS_AGREE);
        assert_int_equal(d[2].verdict, DIGESTS_AGREE);
    }
}

/* Another process of a node made its state anew. */
static void test_another_process(void **state)
{
    (void)state;
    struct digests d;
    start(&d, NODES, IDS[0], EVERY);
    digests_note(&d, EVERY, digest('A'), false);
    struct wire_digests w = own(IDS[1], EVERY, 'B');
    digests_heard(&d, IDS[1], &w);
    assert_int_equal(d.verdict, DIGESTS_DISPUTED);
    w = own(IDS[1], EVERY, 'A');
    digests_heard(&d, IDS[1], &w);
    /* What a third one knows of it is of the former process. */
    w = own(IDS[1], EVERY, 'B');
    digests_heard(&d, IDS[2], &w);
    assert_int_equal(d.verdict, DIGESTS_AGREE);
}

/* What is not to be compared changes nothing. */
static void test_strange(void **state)
{
    (void)state;
    struct digests d, before;
    memset(&d, 0, sizeof d);
    start(&d, NODES, IDS[0], EVERY);
    for (uint64_t i = 1; i <= DIGESTS_KEPT + 1; i++)
        digests_note(&d, i * EVERY, digest('A'), false);
    memcpy(&before, &d, sizeof d);
    const uint64_t strange[] = {
        0, 1, EVERY, EVERY + 1, EVERY * (DIGESTS_KEPT + 2), UINT64_MAX, UINT64_MAX / EVERY * EVERY};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        struct wire_digests w = own(IDS[1], strange[i], 'B');
        w.ask = true;
        digests_heard(&d, IDS[1], &w);
        assert_memory_equal(d.rows, before.rows, sizeof d.rows);
        bool passed = strange[i] != 0 && strange[i] <= (DIGESTS_KEPT + 1) * EVERY;
        assert_int_equal(digests_tell(&d, IDS[1], &w) && w.n == 0 && !w.ask, passed);
    }
    memcpy(&before, &d, sizeof d);
    struct wire_digests w = own(IDS[0], 2 * EVERY, 'B'); /* we know better */
    digests_heard(&d, IDS[1], &w);
    assert_memory_equal(&d, &before, sizeof d);
    w = own(IDS[7], 2 * EVERY, 'B'); /* no voter */
    digests_heard(&d, IDS[1], &w);
    w = own(IDS[1], 2 * EVERY, 'B');
    digests_heard(&d, IDS[7], &w);
    assert_memory_equal(&d, &before, sizeof d);
    assert_false(digests_tell(&d, IDS[7], &w));
}

/* What is counted follows the members: a learner's state says nothing, and it judges its own by the voters';
 * of nodes that stay what they told is kept. */
static void test_members_change(void **state)
{
    (void)state;
    struct digests d;
    struct raft_members m = members_of_voters(IDS, 4);
    struct wire_digests w = own(IDS[3], EVERY, 'B');
    m.m[3].standing = RAFT_LEARNER;
    digests_init(&d, &m, IDS[0], EVERY);
    digests_note(&d, EVERY, digest('A'), false);
    digests_heard(&d, IDS[3], &w);
    assert_int_equal(d.verdict, DIGESTS_AGREE);
    assert_true(digests_tell(&d, IDS[3], &w) && w.index == EVERY); /* so that it can judge itself */
    m.m[3].standing = RAFT_VOTER;
    digests_follow(&d, &m);
    assert_int_equal(d.verdict, DIGESTS_DISPUTED);
    struct raft_members removed = members_of_voters(IDS, 3);
    digests_follow(&d, &removed);
    assert_int_equal(d.verdict, DIGESTS_AGREE);
    digests_follow(&d, &m); /* what it told before is forgotten */
    assert_int_equal(d.verdict, DIGESTS_AGREE);

    m.m[3].standing = RAFT_LEARNER;
    digests_init(&d, &m, IDS[3], EVERY);
    digests_note(&d, EVERY, digest('B'), false);
    for (unsigned i = 0; i < 2; i++) {
        w = own(IDS[i], EVERY, 'A');
        digests_heard(&d, IDS[i], &w);
        assert_int_equal(d.verdict, i == 0 ? DIGESTS_DISPUTED : DIGESTS_WRONG);
    }
    digests_follow(&d, &removed); /* this node is no member: it still judges itself */
    assert_int_equal(d.verdict, DIGESTS_WRONG);
}

/* A node that waits to be told of any members has nobody to compare with. */
static void test_no_members(void **state)
{
    (void)state;
    struct digests d;
    digests_init(&d, &(struct raft_members){0}, IDS[0], EVERY);
    digests_note(&d, EVERY, digest('A'), false);
    assert_int_equal(d.verdict, DIGESTS_AGREE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),   cmocka_unit_test(test_which_entries),
        cmocka_unit_test(test_talk),       cmocka_unit_test(test_another_process),
        cmocka_unit_test(test_strange),    cmocka_unit_test(test_members_change),
        cmocka_unit_test(test_no_members), cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
