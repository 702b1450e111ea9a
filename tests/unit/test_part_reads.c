// LINK: raftd/node/reads.c
/* Reads wait until the index that confirms them is applied, however many there are. */
#include "raftd/node/reads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { BOOT = 7 };

static void test_numbers(void **state)
{
    struct reads r;
    (void)state;
    reads_begin(&r, BOOT);
    for (uint64_t i = 1; i < 4; i++)
        assert_int_equal(reads_number(&r), (uint64_t)BOOT << 32 | i);
}

/* The newest that may be served is told once, and stands for those before it. */
static void test_served(void **state)
{
    struct reads r;
    (void)state;
    reads_begin(&r, BOOT);
    assert_int_equal(reads_served(&r, UINT64_MAX), 0);
    reads_add(&r, 1, 10);
    reads_add(&r, 2, 10);
    reads_add(&r, 5, 12);
    assert_int_equal(reads_served(&r, 9), 0);
    assert_int_equal(reads_served(&r, 10), 2);
    assert_int_equal(reads_served(&r, 11), 0);
    assert_int_equal(reads_served(&r, 12), 5);
    assert_int_equal(reads_served(&r, UINT64_MAX), 0);
}

/* In a full queue the newest waits for its own index, and those that it stands for wait as long. */
static void test_full(void **state)
{
    struct reads r;
    (void)state;
    reads_begin(&r, BOOT);
    for (uint64_t i = 1; i <= 2 * READS_MAX; i++)
        reads_add(&r, i, i);
    assert_int_equal(reads_served(&r, READS_MAX - 1), READS_MAX - 1);
    assert_int_equal(reads_served(&r, 2 * READS_MAX - 1), 0);
    assert_int_equal(reads_served(&r, 2 * READS_MAX), 2 * READS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_served),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
