// LINK: raftd/node/cluster_time.c
/* test_cluster_time.c: whose time a node has, and from where it goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/base/num.h"
#include "raftd/node/cluster_time.h"
#include "storage/record.h"

enum { MS = 1000 };

/* A copy of the time of the leader of term 3, heard to be 5000 ms at 100 ms. */
static const struct cluster_time copy = {.term = 3, .ms = 5000, .at = 100 * MS};

static void test_goes_on(void **state)
{
    (void)state;
    assert_true(cluster_time_ms(&copy, 100 * MS) == 5000);
    assert_true(cluster_time_ms(&copy, 100 * MS + 999) == 5000);
    assert_true(cluster_time_ms(&copy, 350 * MS) == 5250);
    struct cluster_time t = copy;
    cluster_time_lead(&t, 9); /* without a step */
    assert_true(cluster_time_ms(&t, 350 * MS) == 5250);
    t = (struct cluster_time){.ms = RECORD_CLUSTER_MS_MAX - 1};
    assert_true(cluster_time_ms(&t, 100 * MS) == RECORD_CLUSTER_MS_MAX);
}

/* What is newer of the same leader takes the place of what the own clock made of it, in both directions. */
static void test_newer(void **state)
{
    (void)state;
    static const uint64_t heard[] = {5001, 5100, 9000};
    for (unsigned i = 0; i < sizeof heard / sizeof heard[0]; i++) {
        struct cluster_time t = copy, e = copy;
        cluster_time_heard(&t, 200 * MS, 3, heard[i]);
        cluster_time_entry(&e, 200 * MS, 3, heard[i]);
        assert_true(cluster_time_ms(&t, 200 * MS) == heard[i]);
        assert_true(cluster_time_ms(&e, 210 * MS) == heard[i] + 10);
    }
}

/* What is older changes nothing, nor what another leader says, nor what can't be. */
static void test_not_heard(void **state)
{
    (void)state;
    static const struct {
        uint64_t term, ms;
    } not [] = {{3, 5000}, {3, 4999}, {3, 0}, {2, 9000}, {4, 9000}, {3, RECORD_CLUSTER_MS_MAX + 1}};
    for (unsigned i = 0; i < sizeof not / sizeof not [0]; i++) {
        struct cluster_time t = copy;
        cluster_time_heard(&t, 200 * MS, not [i].term, not [i].ms);
        assert_true(cluster_time_ms(&t, 200 * MS) == 5100);
    }
    struct cluster_time t = copy;
    cluster_time_entry(&t, 200 * MS, 3, 4900); /* one that came late */
    assert_true(cluster_time_ms(&t, 200 * MS) == 5100);
}

/* The end of the log is another leader's: its time counts, be it more or less than that of the one before. */
static void test_another_leader(void **state)
{
    (void)state;
    static const uint64_t stamps[] = {4000, 5000, 7000};
    for (unsigned i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        struct cluster_time t = copy;
        cluster_time_entry(&t, 200 * MS, 2, stamps[i]);
        assert_true(cluster_time_ms(&t, 200 * MS) == stamps[i]);
        cluster_time_heard(&t, 300 * MS, 3, 9000);
        assert_true(cluster_time_ms(&t, 300 * MS) == stamps[i] + 100);
        cluster_time_heard(&t, 300 * MS, 2, 9000);
        assert_true(cluster_time_ms(&t, 300 * MS) == 9000);
    }
}

static void test_ahead(void **state)
{
    (void)state;
    static const struct cluster_time behind = {.term = 3, .ms = 50, .at = 100 * MS};
    assert_true(cluster_time_ahead_us(&copy) == 4900 * MS);
    assert_true(123 * MS + cluster_time_ahead_us(&behind) == 73 * MS);
}

static void test_when(void **state)
{
    (void)state;
    assert_true(cluster_time_when(&copy, 0) == 100 * MS);
    assert_true(cluster_time_when(&copy, 5000) == 100 * MS);
    for (uint64_t ms = 5001; ms < 5010; ms++) {
        uint64_t at = cluster_time_when(&copy, ms);
        assert_true(cluster_time_ms(&copy, at) == ms && cluster_time_ms(&copy, at - 1) == ms - 1);
    }
    assert_true(cluster_time_when(&copy, UINT64_MAX) == NEVER);
    assert_true(cluster_time_when(&copy, UINT64_MAX / MS + 4900) == NEVER);
    assert_true(cluster_time_when(&copy, 2 * RECORD_CLUSTER_MS_MAX) != NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),   cmocka_unit_test(test_newer),
        cmocka_unit_test(test_not_heard), cmocka_unit_test(test_another_leader),
        cmocka_unit_test(test_when),      cmocka_unit_test(test_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
