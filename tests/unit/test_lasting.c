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
        bool says = lasting_is(&l, now);
        assert_true(says || i > 0);
        said += says;
    }
    assert_int_equal(said, DAY_S / 600);
    assert_int_equal(lasting_over(&l, now), DAY_S);
    assert_int_equal(lasting_over(&l, now), 0);
    assert_true(lasting_is(&l, now)); /* again */
    assert_int_equal(lasting_over(&l, now), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_day_of_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
