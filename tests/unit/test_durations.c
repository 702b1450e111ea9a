// LINK: raftd/durations.c
/* How long a kind of work took: percentiles, what is a stall, and what is forgotten. */
#include "raftd/durations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

enum { MINUTE = DURATIONS_MINUTE_US };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Against sorting them all: never too little, and an eighth too much at most. */
static void test_percentiles(void **state)
{
    (void)state;
    enum { N = 1000 };
    static const unsigned percents[] = {1, 50, 90, 99, 100};
    static uint64_t all[N];
    srand(7);
    for (int round = 0; round < 60; round++) {
        struct durations d = {.long_us = 1};
        size_t n = 1 + (size_t)rand() % N;
        for (size_t i = 0; i < n; i++) {
            all[i] = (uint64_t)rand() >> rand() % 31;
            durations_add(&d, 5 + (i < n / 2 ? 0 : MINUTE), all[i]);
        }
        qsort(all, n, sizeof all[0], compare);
        for (size_t p = 0; p < sizeof percents / sizeof percents[0]; p++) {
            uint64_t want = all[(n * percents[p] + 99) / 100 - 1];
            uint64_t got = durations_percentile(&d, MINUTE + 5, percents[p]);
            assert_in_range(got, want, want + want / 8);
        }
        assert_int_equal(d.max_us, all[n - 1]);
    }
}

static void test_longer_than_all_buckets(void **state)
{
    (void)state;
    struct durations d = {.long_us = 1};
    durations_add(&d, 1, UINT64_MAX);
    assert_true(durations_percentile(&d, 1, 99) > 3600 * (uint64_t)1000000);
    assert_int_equal(d.max_us, UINT64_MAX);
}

/* Two minutes count, and what was long ago does not. */
static void test_forgets(void **state)
{
    (void)state;
    struct durations d = {.long_us = 100};
    assert_int_equal(durations_percentile(&d, 1, 99), 0);
    uint64_t now = 10 * (uint64_t)MINUTE;
    for (int i = 0; i < 5; i++)
        durations_add(&d, now, 1000);
    durations_add(&d, now + MINUTE, 10);
    assert_true(durations_percentile(&d, now + MINUTE, 99) >= 1000 && durations_slow(&d));
    durations_add(&d, now + 2 * (uint64_t)MINUTE, 10);
    durations_add(&d, now, 10); /* read from the clock before another thread came first */
    assert_int_equal(durations_percentile(&d, now + 2 * (uint64_t)MINUTE, 99), 10);
    assert_false(durations_slow(&d));
    assert_int_equal(durations_percentile(&d, now + 4 * (uint64_t)MINUTE, 99), 0);
    assert_true(d.stalls == 5 && d.max_us == 1000);
}

/* One in a hundred may be long, and so may two of few. */
static void test_slow(void **state)
{
    (void)state;
    struct durations d = {.long_us = 100};
    for (int i = 0; i < 2; i++) {
        durations_add(&d, 1, 101);
        assert_false(durations_slow(&d));
    }
    durations_add(&d, 1, 100); /* no stall */
    assert_false(durations_slow(&d));
    durations_add(&d, 1, 101);
    assert_true(durations_slow(&d));
    for (int i = 0; i < 296; i++)
        durations_add(&d, 1, 1);
    assert_false(durations_slow(&d)); /* 3 of 300 */
    durations_add(&d, 1, 101);
    assert_true(durations_slow(&d));
    assert_int_equal(d.stalls, 4);
}

/* In a status that is filled later, what is forgotten by then is not there. */
static void test_status(void **state)
{
    struct durations d = {.long_us = 100};
    struct status s = {.now_us = 10};
    (void)state;
    for (unsigned i = 0; i < DURATIONS_SLOW_MIN; i++)
        durations_add(&d, 10, 400);
    durations_status(&d, &s);
    assert_true(s.disk_slow && s.fsync_stalls == DURATIONS_SLOW_MIN && s.fsync_max_us == 400);
    assert_in_range(s.fsync_p99_us, 400, 450);
    s.now_us += 3 * (uint64_t)MINUTE;
    durations_status(&d, &s);
    assert_true(!s.disk_slow && s.fsync_p99_us == 0 && s.fsync_max_us == 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles), cmocka_unit_test(test_longer_than_all_buckets),
        cmocka_unit_test(test_forgets),     cmocka_unit_test(test_slow),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
