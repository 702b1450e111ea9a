// LINK: raftd/base/lasting.c
/* Messages about a state that lasts: once, rarely again, and when it is over. */
#include "raftd/base/lasting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_a_day_of_it(void **state)
{
    (void)state;
    struct lasting l = {0};
    enum { TRIES_PER_S = 5, DAY_S = 86400 };
    uint64_t now = 1;
    unsigned said = 0;
    assert_int_equal(lasting_over(&l, now), 0);
    for (unsigned i = 0; i < DAY_S * TRIES_PER_S; i++, now += 1000000 / TRIES_PER_S) {
        bool says = lasting_is(&l, 0, now);
        assert_true(says || i > 0);
        said += says;
    }
    assert_int_equal(said, DAY_S / 600);
    assert_int_equal(lasting_over(&l, now), DAY_S);
    assert_int_equal(lasting_over(&l, now), 0);
    assert_true(lasting_is(&l, 0, now)); /* again */
    assert_int_equal(lasting_over(&l, now), 1);
}

/* What comes and goes is told of when it has lasted, and no more often for beginning again. */
static void test_comes_and_goes(void **state)
{
    (void)state;
    struct lasting l = {0};
    const uint64_t after = 10 * 1000000;
    uint64_t now = 1, said = 0, over = 0;
    for (unsigned i = 0; i < 100; i++, now += 1000000) {
        assert_false(lasting_is(&l, after, now)); /* 9 s each time */
        assert_false(lasting_is(&l, after, now + 9000000));
        assert_int_equal(lasting_over(&l, now), 0);
    }
    for (unsigned minute = 0; minute < 60; minute++) {
        for (unsigned s = 0; s < 30; s++, now += 1000000)
            said += lasting_is(&l, after, now);
        uint64_t lasted = lasting_over(&l, now);
        assert_true(lasted == 0 || lasted == 30);
        over += lasted != 0;
        now += 30 * 1000000;
    }
    assert_int_equal(said, 6);
    assert_int_equal(over, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_day_of_it),
                                       cmocka_unit_test(test_comes_and_goes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
