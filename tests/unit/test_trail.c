// LINK: raftd/core/trail.c
/* test_trail.c: the log as runs of terms, at any base. */
#include "raftd/core/trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

enum { RUNS = 8 };

static const uint64_t bases[] = {0, 1, 7, UINT64_C(1) << 40};

/* Behind the base, of term 3 (or at entry 1): two entries of term 3, one of 4, three of 6. */
static struct raft_trail six(uint64_t base, struct raft_run *runs)
{
    struct raft_trail t = {.base_index = base, .base_term = base == 0 ? 0 : 3, .last = base};
    t.runs = runs;
    t.cap_runs = RUNS;
    assert_null(raft_trail_check(&t));
    raft_trail_append(&t, 3, base + 2);
    raft_trail_append(&t, 4, base + 3);
    raft_trail_append(&t, 6, base + 4);
    raft_trail_append(&t, 6, base + 6);
    assert_null(raft_trail_check(&t));
    assert_int_equal(t.n_runs, 3);
    return t;
}

static void test_terms_are_known_from_the_base_on(void **state)
{
    (void)state;
    static const uint64_t terms[] = {3, 3, 4, 6, 6, 6};
    struct raft_run runs[RUNS];
    for (size_t k = 0; k < sizeof bases / sizeof bases[0]; k++) {
        struct raft_trail t = six(bases[k], runs);
        for (uint64_t i = 1; i <= 6; i++)
            assert_int_equal(raft_trail_term(&t, bases[k] + i), terms[i - 1]);
        assert_int_equal(raft_trail_term(&t, bases[k]), t.base_term);
        assert_int_equal(raft_trail_term(&t, bases[k] + 7), 0);
        assert_int_equal(raft_trail_term(&t, UINT64_MAX), 0);
        if (bases[k] > 0)
            assert_int_equal(raft_trail_term(&t, bases[k] - 1), 0);
    }
}

static void test_last_at_most(void **state)
{
    (void)state;
    struct raft_run runs[RUNS];
    for (size_t k = 0; k < sizeof bases / sizeof bases[0]; k++) {
        uint64_t b = bases[k];
        struct raft_trail t = six(b, runs);
        assert_int_equal(raft_trail_last_at_most(&t, UINT64_MAX, UINT64_MAX), b + 6);
        assert_int_equal(raft_trail_last_at_most(&t, b + 5, 6), b + 5);
        assert_int_equal(raft_trail_last_at_most(&t, b + 5, 5), b + 3);
        assert_int_equal(raft_trail_last_at_most(&t, b + 6, 3), b + 2);
        assert_int_equal(raft_trail_last_at_most(&t, b + 1, 9), b + 1);
        assert_int_equal(raft_trail_last_at_most(&t, b, 9), b);
        /* Below the base no term is known: it may be any. */
        assert_int_equal(raft_trail_last_at_most(&t, b + 6, 2), b == 0 ? 0 : b - 1);
        if (b > 1)
            assert_int_equal(raft_trail_last_at_most(&t, b - 2, 9), b - 2);
    }
}

static void test_truncation_ends_at_the_base(void **state)
{
    (void)state;
    struct raft_run runs[RUNS];
    for (size_t k = 0; k < sizeof bases / sizeof bases[0]; k++) {
        uint64_t b = bases[k];
        struct raft_trail t = six(b, runs);
        for (uint64_t to = b + 6; to-- > b;) {
            raft_trail_truncate(&t, to);
            assert_null(raft_trail_check(&t));
            assert_int_equal(raft_trail_term(&t, to + 1), 0);
            assert_int_equal(t.last, to);
        }
        assert_int_equal(t.n_runs, 0);
        assert_int_equal(raft_trail_term(&t, b), t.base_term);
        raft_trail_append(&t, 9, b + 1);
        assert_null(raft_trail_check(&t));
        assert_int_equal(raft_trail_term(&t, b + 1), 9);
    }
}

static void test_runs_move_to_larger_memory(void **state)
{
    (void)state;
    struct raft_run runs[RUNS], more[2 * RUNS];
    struct raft_trail t = six(7, runs);
    assert_int_equal(raft_trail_room(&t), RUNS - 3);
    raft_trail_move(&t, more, 2 * RUNS);
    memset(runs, 0xff, sizeof runs);
    assert_int_equal(raft_trail_room(&t), 2 * RUNS - 3);
    assert_null(raft_trail_check(&t));
    assert_int_equal(raft_trail_term(&t, 10), 4);
}

#define BREAK(change)                                                                              \
    do {                                                                                           \
        struct raft_trail t = six(7, runs);                                                        \
        change;                                                                                    \
        assert_non_null(raft_trail_check(&t));                                                     \
    } while (0)

static void test_check_finds_what_is_broken(void **state)
{
    (void)state;
    struct raft_run runs[RUNS];
    BREAK(t.cap_runs = 2);
    BREAK(t.base_term = 0);
    BREAK(t.base_index = 0);
    BREAK(t.base_index = 6);
    BREAK(t.base_term = 4);
    BREAK(t.last = 6);
    BREAK(t.last = 7);
    BREAK(t.last = 10);
    BREAK(t.n_runs = 0);
    BREAK(runs[1].first_index = 8);
    BREAK(runs[1].term = 3);
    BREAK(runs[2].term = 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms_are_known_from_the_base_on),
        cmocka_unit_test(test_last_at_most),
        cmocka_unit_test(test_truncation_ends_at_the_base),
        cmocka_unit_test(test_runs_move_to_larger_memory),
        cmocka_unit_test(test_check_finds_what_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
