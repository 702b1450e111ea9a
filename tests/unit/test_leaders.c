// LINK: raftd/leaders.c
/* How often the leader changed of late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/leaders.h"

enum { SECOND = 1000 * 1000 };

/* What a status tells when this is the leader: how many changes there were in the last hour. */
static unsigned changes(struct leaders *l, uint64_t term, uint16_t leader, uint64_t now)
{
    struct status s = {.now_us = now, .term = term, .leader = leader};
    leaders_status(l, &s);
    return s.leader_changes_hour;
}

static void test_changes(void **state)
{
    (void)state;
    struct leaders l = {0};
    uint64_t hour = LEADERS_INTERVAL_US, now = 5 * SECOND;
    assert_int_equal(changes(&l, 3, 0, now), 0); /* none is known */
    assert_int_equal(changes(&l, 3, 2, now), 0); /* the first one is no change */
    assert_int_equal(changes(&l, 3, 2, now + SECOND), 0);
    assert_true(l.now == 2 && l.before == 0 && l.since_us == now);
    assert_int_equal(changes(&l, 3, 0, now + SECOND), 0); /* lost from sight, ... */
    assert_int_equal(changes(&l, 3, 2, now + SECOND), 0); /* ... and back in the same term */
    assert_int_equal(changes(&l, 5, 1, now + 2 * SECOND), 1);
    assert_int_equal(changes(&l, 6, 1, now + 3 * SECOND), 2); /* the same node, elected anew */
    assert_int_equal(changes(&l, 5, 3, now + 4 * SECOND), 2); /* of the past */
    assert_true(l.now == 1 && l.before == 1 && l.since_us == now + 3 * SECOND);
    assert_int_equal(changes(&l, 6, 0, now + 2 * SECOND + hour - 1), 2);
    assert_int_equal(changes(&l, 6, 0, now + 2 * SECOND + hour), 1);
    assert_int_equal(changes(&l, 6, 0, now + 3 * SECOND + hour), 0);
}

static void test_many(void **state)
{
    (void)state;
    struct leaders l = {0};
    for (uint64_t term = 1; term <= 3 * LEADERS_KEPT; term++) {
        uint64_t want = term - 1 < LEADERS_KEPT ? term - 1 : LEADERS_KEPT;
        assert_int_equal(changes(&l, term, (uint16_t)(1 + term % 3), term * SECOND), want);
    }
    assert_int_equal(changes(&l, 1, 0, 3 * LEADERS_KEPT * SECOND + LEADERS_INTERVAL_US), 0);
}

static void test_status(void **state)
{
    (void)state;
    struct leaders l = {0};
    struct status s = {.now_us = SECOND, .term = 1, .leader = 2};
    leaders_status(&l, &s);
    assert_true(s.leader_before == 0 && s.leader_since_us == SECOND && s.leader_changes_hour == 0);
    s = (struct status){.now_us = 2 * SECOND, .term = 2};
    leaders_status(&l, &s);
    assert_true(s.leader_before == 0 && s.leader_since_us == 0);
    s = (struct status){.now_us = 3 * SECOND, .term = 2, .leader = 3};
    leaders_status(&l, &s);
    assert_true(s.leader_before == 2 && s.leader_since_us == 3 * SECOND);
    assert_int_equal(s.leader_changes_hour, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
