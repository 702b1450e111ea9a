// LINK: net/stream/rtt.c
/* The estimator and the timer made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/stream/rtt.h"

enum { MS = 1000, HEARTBEAT = 50 * MS };

static const struct rtt NONE = {.has = false};

static void test_vectors(void **state)
{
    (void)state;
    struct rtt r = {.has = false};
    assert_int_equal(rtt_pto(&r, &NONE, 0, 0, HEARTBEAT), RTT_PTO_INITIAL_US);
    assert_int_equal(rtt_pto(&r, &NONE, 9, 0, HEARTBEAT), RTT_PTO_INITIAL_US);
    rtt_sample(&r, 0, 40 * MS);
    assert_true(r.has && r.srtt_us == 40 * MS && r.rttvar_us == 20 * MS && r.min_us == 40 * MS);
    rtt_sample(&r, 0, 80 * MS);
    assert_true(r.srtt_us == 45 * MS && r.rttvar_us == 25 * MS && r.min_us == 40 * MS);
    rtt_sample(&r, 0, 29 * MS);
    assert_true(r.srtt_us == 43 * MS && r.rttvar_us == 22750 && r.min_us == 29 * MS);
    assert_int_equal(r.last_us, 29 * MS);
    assert_int_equal(rtt_pto(&r, &NONE, 0, 5 * MS, HEARTBEAT), 43 * MS + 91 * MS + 5 * MS);
    /* The cap ends the backoff and never cuts the plain interval. */
    assert_int_equal(rtt_pto(&r, &NONE, 3, 0, HEARTBEAT), 134 * MS);
    const uint64_t times[] = {1, 1, 1, 2, 4, 8, 16};
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(rtt_pto(&r, &NONE, i, 0, 10000 * MS), times[i] * 134 * MS);
    assert_int_equal(rtt_pto(&r, &NONE, UINT32_MAX - 1, 0, 1000 * MS), 1000 * MS);
}

static void test_limits(void **state)
{
    (void)state;
    struct rtt r = {.has = false};
    rtt_sample(&r, 0, 0); /* loopback: the floor */
    assert_int_equal(rtt_pto(&r, &NONE, 0, 0, HEARTBEAT), RTT_PTO_MIN_US);
    r = NONE;
    rtt_sample(&r, 0, 10000 * MS);
    assert_int_equal(rtt_pto(&r, &NONE, 0, 0, HEARTBEAT), RTT_PTO_MAX_US);
    for (int i = 0; i < 200; i++)
        rtt_sample(&r, 0, 20 * MS);
    assert_true(r.srtt_us >= 20 * MS && r.srtt_us < 20 * MS + 10 && r.rttvar_us < 10);
    assert_true(rtt_pto(&r, &NONE, 0, 0, HEARTBEAT) - r.srtt_us == RTT_VAR_MIN_US);
}

/* Measured answers make the timer shorter, never longer. */
static void test_answers(void **state)
{
    (void)state;
    struct rtt r = {.has = false};
    struct rtt answer = {.has = false};
    rtt_sample(&answer, 0, 3 * MS);
    assert_int_equal(rtt_pto(&r, &answer, 0, 0, HEARTBEAT), RTT_PTO_INITIAL_US);
    for (int i = 0; i < 100; i++) {
        rtt_sample(&r, 0, MS);
        rtt_sample(&answer, 0, 3 * MS);
    }
    assert_in_range(rtt_pto(&r, &answer, 0, 20 * MS, HEARTBEAT), 4 * MS, 4 * MS + 10);
    assert_in_range(rtt_pto(&r, &answer, 0, MS, HEARTBEAT), 3 * MS, 3 * MS + 10);
}

/* The minimum is of the last 30 to 60 s; low_at_us says when it was last seen. */
static void test_minimum(void **state)
{
    (void)state;
    struct rtt r = {.has = false};
    uint64_t now = 5;
    rtt_sample(&r, now, 10 * MS);
    for (int i = 1; i < 300; i++) {
        now += 100 * MS;
        rtt_sample(&r, now, 40 * MS);
        assert_int_equal(r.min_us, 10 * MS);
        assert_int_equal(r.low_at_us, 5);
    }
    rtt_sample(&r, now, 12 * MS); /* near it */
    assert_true(r.min_us == 10 * MS && r.low_at_us == now);
    for (int i = 0; i < 250; i++) {
        now += 100 * MS;
        rtt_sample(&r, now, 40 * MS);
        assert_int_equal(r.min_us, 10 * MS);
    }
    now += RTT_MIN_AGE_US;
    rtt_sample(&r, now, 40 * MS);
    assert_int_equal(r.min_us, 40 * MS);
    rtt_sample(&r, now, 30 * MS);
    now += 10 * (uint64_t)RTT_MIN_AGE_US; /* silence */
    rtt_sample(&r, now, 50 * MS);
    assert_int_equal(r.min_us, 50 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
