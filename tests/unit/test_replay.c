// LINK: net/seal/replay.c
/* The replay window, as a table that can be read aloud, and against a slow model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "net/seal/replay.h"

enum { W = REPLAY_WINDOW, MODEL = 4 * W, ROUNDS = 200000 };

/* What arrives, in this order; NEW ones are marked. The window is 2048 wide. */
static const struct {
    uint64_t counter;
    bool fresh;
    const char *why;
} TABLE[] = {
    {0, true, "the very first datagram"},
    {0, false, "and its copy"},
    {1, true, "the next in order"},
    {3, true, "2 is late or lost"},
    {2, true, "2 was only late"},
    {2, false, "but comes once"},
    {3, false, "as 3 does"},
    {63, true, "last bit of the first word"},
    {64, true, "first bit of the second"},
    {63, false, "the first word is still known"},
    {W - 1, true, "the window now ends exactly at 0"},
    {0, false, "0 is its oldest and was seen"},
    {4, true, "4 never came: it may still"},
    {W, true, "one further: 0 falls out"},
    {0, false, "nobody remembers 0"},
    {1, false, "1 is the oldest now"},
    {W + 63, true, "a word further"},
    {63, false, "63 is out by one"},
    {64, false, "64 is the oldest and was seen"},
    {65, true, "65 was never here"},
    {65, false, "now it was"},
    {10 * W, true, "a jump over whole windows"},
    {10 * W, false, "the top itself"},
    {9 * W + 1, true, "the oldest in the window: the jump left no old marks"},
    {9 * W, false, "just below"},
    {W, false, "all of before is old"},
    {10 * W - 64, true, "and no word kept its bits"},
    {UINT64_C(1) << 40, true, "counters have 64 bits"},
    {(UINT64_C(1) << 40) - W + 1, true, "and so has the window"},
    {(UINT64_C(1) << 40) - W, false, "which is still 2048 wide"},
    {UINT64_MAX - 1, true, "the highest that can be marked"},
    {UINT64_MAX - 1, false, "once"},
    {UINT64_MAX - W, true, "oldest in the last window"},
    {UINT64_MAX - W - 1, false, "and the end of the story"},
};

static void test_table(void **state)
{
    (void)state;
    struct replay r;
    memset(&r, 0, sizeof r);
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        bool got = replay_new(&r, TABLE[i].counter);
        if (got != TABLE[i].fresh)
            fail_msg("row %zu (%s): %d, not %d", i, TABLE[i].why, (int)got, (int)TABLE[i].fresh);
        if (got)
            replay_mark(&r, TABLE[i].counter);
    }
}

/* A forged datagram is looked at and not marked: it changes nothing. */
static void test_look_changes_nothing(void **state)
{
    (void)state;
    struct replay r;
    memset(&r, 0, sizeof r);
    replay_mark(&r, 5);
    struct replay before = r;
    assert_true(replay_new(&r, 1000000));
    assert_memory_equal(&r, &before, sizeof r);
    assert_true(replay_new(&r, 4));
}

static uint64_t rnd(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A model that remembers the latest MODEL counters one by one. */
static void test_model(void **state)
{
    (void)state;
    static bool seen[MODEL];
    struct replay r;
    memset(&r, 0, sizeof r);
    uint64_t top = 0; /* highest marked, plus one */
    uint64_t seed = 1;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t spread = UINT64_C(1) << rnd(&seed) % 13;
        uint64_t counter = top + rnd(&seed) % spread;
        uint64_t back = rnd(&seed) % (W + W / 4);
        if (rnd(&seed) % 2 == 0)
            counter = top > back ? top - back : 0;
        bool want = counter >= top || (top - counter <= W && !seen[counter % MODEL]);
        assert_int_equal(replay_new(&r, counter), want);
        if (!want || rnd(&seed) % 8 == 0)
            continue;
        replay_mark(&r, counter);
        for (; top <= counter; top++)
            seen[top % MODEL] = false;
        seen[counter % MODEL] = true;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_look_changes_nothing),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
