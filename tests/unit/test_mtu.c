// LINK: net/stream/mtu.c
/* The size of datagrams in virtual time, on paths of every width, lossy ones, and ones that become
 * narrower without a word, and wide again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/stream/mtu.h"

#define S UINT64_C(1000000)

enum { BASE = 1200, MAX = 1452, MANY = 100 };

/* Flights of this size get no answer while the peer is heard, until the size falls. Returns how many
 * that took. */
static unsigned flights(struct mtu *m, uint64_t now, uint32_t size)
{
    uint32_t before = mtu_size(m);
    unsigned n = 0;
    while (mtu_size(m) == before && n < MANY) {
        mtu_arrived(m, 300); /* small ones get through */
        mtu_heard(m);
        mtu_timeout(m, now, size);
        n++;
    }
    return n;
}

static void narrow(struct mtu *m, uint64_t now)
{
    mtu_init(m, BASE);
    assert_int_equal(flights(m, now, BASE), MTU_FLIGHTS);
}

/* With every configured size: falls after so many flights, however large they were beyond the least;
 * there is nothing below that. */
static void test_falls(void **state)
{
    (void)state;
    for (uint32_t max = 256; max <= MAX; max += 4) {
        struct mtu m;
        mtu_init(&m, max);
        for (uint32_t size = 256; size <= max; size += 4) {
            mtu_init(&m, max);
            assert_int_equal(mtu_size(&m), max);
            assert_int_equal(flights(&m, S, size), size > MTU_LEAST ? MTU_FLIGHTS : MANY);
            assert_int_equal(mtu_size(&m), size > MTU_LEAST ? MTU_LEAST : max);
            assert_int_equal(mtu_passes(&m), mtu_size(&m));
            assert_int_equal(flights(&m, S, mtu_size(&m) < max ? max : MTU_LEAST), MANY);
        }
    }
}

/* Flights are lost by bad luck while others as large arrive, or while nothing at all is heard. */
static void test_bad_luck(void **state)
{
    (void)state;
    struct mtu m;
    mtu_init(&m, BASE);
    for (unsigned i = 0; i < 1000; i++) {
        mtu_heard(&m);
        mtu_timeout(&m, S, i % 2 == 0 ? 700 : BASE);
        if (i % 4 == 0)
            mtu_arrived(&m, 700); /* as large as the least of those that were lost */
    }
    assert_int_equal(mtu_size(&m), BASE);
    for (unsigned i = 0; i < 1000; i++) {
        mtu_heard(&m);
        mtu_timeout(&m, S, MTU_LEAST); /* these would fit through any path */
    }
    assert_int_equal(mtu_size(&m), BASE);
    for (unsigned i = 0; i < 1000; i++)
        mtu_timeout(&m, S, BASE); /* a dead peer's path is no narrow one */
    assert_int_equal(mtu_size(&m), BASE);
    mtu_arrived(&m, 699); /* smaller than all that were lost */
    assert_int_equal(flights(&m, S, BASE),
                     MTU_FLIGHTS - 4); /* three of the first, one of the last */
}

/* The size rises on trial after a while; only a datagram as large as those that were lost proves the
 * path, and people are told nothing else before. */
static void test_rises(void **state)
{
    (void)state;
    struct mtu m;
    narrow(&m, 7 * S);
    assert_false(m.carried);
    mtu_arrived(&m, MTU_LEAST);
    assert_true(m.carried);
    mtu_rise(&m, 7 * S + MTU_WAIT_US - 1);
    assert_int_equal(mtu_size(&m), MTU_LEAST);
    mtu_rise(&m, 7 * S + MTU_WAIT_US);
    assert_int_equal(mtu_size(&m), BASE);
    mtu_arrived(&m, BASE - 1);
    assert_int_equal(mtu_passes(&m), MTU_LEAST);
    mtu_arrived(&m, BASE);
    assert_int_equal(mtu_passes(&m), BASE);
    assert_int_equal(flights(&m, 100 * S, BASE), MTU_FLIGHTS); /* all is as at first */
    mtu_rise(&m, 100 * S + MTU_WAIT_US);
    assert_int_equal(mtu_size(&m), BASE);
}

/* One lost flight ends a trial, and the next one comes after twice the time, up to a limit. */
static void test_trials(void **state)
{
    (void)state;
    struct mtu m;
    uint64_t now = S, wait = MTU_WAIT_US;
    narrow(&m, now);
    for (unsigned i = 0; i < 10; i++) {
        mtu_rise(&m, now + wait - 1);
        assert_int_equal(mtu_size(&m), MTU_LEAST);
        now += wait;
        mtu_rise(&m, now);
        assert_int_equal(mtu_size(&m), BASE);
        assert_int_equal(flights(&m, now, BASE), 1);
        wait = 2 * wait < MTU_WAIT_MAX_US ? 2 * wait : MTU_WAIT_MAX_US;
    }
    assert_int_equal(wait, MTU_WAIT_MAX_US);
}

/* What was sent before the fall and arrives after it shows that the flights were bad luck. */
static void test_late_arrival(void **state)
{
    (void)state;
    struct mtu m;
    narrow(&m, S);
    mtu_arrived(&m, BASE);
    assert_int_equal(mtu_size(&m), BASE);
    assert_int_equal(mtu_passes(&m), BASE);
    assert_int_equal(flights(&m, S, BASE), MTU_FLIGHTS);
}

/* Our own kernel says at once what it does not send, on trial as well. */
static void test_refused(void **state)
{
    (void)state;
    struct mtu m;
    mtu_init(&m, BASE);
    mtu_refused(&m, S, MAX); /* it is not sent any more */
    assert_int_equal(mtu_size(&m), BASE);
    mtu_refused(&m, S, 1000);
    assert_int_equal(mtu_size(&m), MTU_LEAST);
    mtu_refused(&m, S, MTU_LEAST); /* hopeless; nothing smaller is tried */
    mtu_refused(&m, S, 100);
    assert_int_equal(mtu_size(&m), MTU_LEAST);
    mtu_rise(&m, S + MTU_WAIT_US);
    mtu_refused(&m, S + MTU_WAIT_US, 1000);
    assert_int_equal(mtu_size(&m), MTU_LEAST);
    mtu_rise(&m, S + 2 * (uint64_t)MTU_WAIT_US);
    assert_int_equal(mtu_size(&m), MTU_LEAST);
    mtu_rise(&m, S + 3 * (uint64_t)MTU_WAIT_US);
    assert_int_equal(mtu_size(&m), BASE);
    mtu_arrived(&m, 1000);
    assert_int_equal(mtu_passes(&m), BASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_falls),        cmocka_unit_test(test_bad_luck),
        cmocka_unit_test(test_rises),        cmocka_unit_test(test_trials),
        cmocka_unit_test(test_late_arrival), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
