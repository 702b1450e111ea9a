// LINK: raftd/core/member.c
/* test_member.c: who counts, and what a majority reaches. */
#include "raftd/core/member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/lib/core_members.h"

/* Value of voter id: values[id]. */
static uint64_t value_of(const void *ctx, uint16_t id)
{
    const uint64_t *values = ctx;
    return values[id];
}

static struct raft_members first(unsigned n)
{
    uint16_t ids[RAFT_VOTERS_MAX];
    for (unsigned i = 0; i < n; i++)
        ids[i] = (uint16_t)(n - i); /* their order means nothing */
    return members_of_voters(ids, n);
}

/* By definition: the largest value so that more than half of the voters have as much. */
static uint64_t counted(const uint64_t *values, unsigned n)
{
    uint64_t best = 0;
    for (unsigned i = 1; i <= n; i++) {
        unsigned reach = 0;
        for (unsigned j = 1; j <= n; j++)
            reach += values[j] >= values[i];
        if (reach > n / 2 && values[i] > best)
            best = values[i];
    }
    return best;
}

static void test_majority_is_what_more_than_half_reach(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= RAFT_VOTERS_MAX; n++) {
        struct raft_members m = first(n);
        /* Every assignment of four values. */
        for (uint64_t code = 0; code < UINT64_C(1) << (2 * n); code++) {
            uint64_t values[RAFT_VOTERS_MAX + 1] = {UINT64_MAX}; /* of nobody: must not be asked */
            for (unsigned i = 0; i < n; i++)
                values[i + 1] = (code >> (2 * i) & 3) == 3 ? UINT64_MAX : code >> (2 * i) & 3;
            assert_int_equal(raft_majority(&m, value_of, values), counted(values, n));
        }
    }
}

static void test_a_vote_reaches_one(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= RAFT_VOTERS_MAX; n++) {
        struct raft_members m = first(n);
        for (unsigned yes = 0; yes <= n; yes++) {
            uint64_t values[RAFT_VOTERS_MAX + 1] = {0};
            for (unsigned i = 0; i < yes; i++)
                values[n - i] = 1;
            assert_int_equal(raft_majority(&m, value_of, values), 2 * yes > n);
        }
    }
}

/* A list of three voters and two learners. */
static struct raft_members mixed(void)
{
    return (struct raft_members){.n = 5,
                                 .m = {{.id = 7, .standing = RAFT_VOTER, .incarnation = 70},
                                       {.id = 1, .standing = RAFT_LEARNER},
                                       {.id = 2, .standing = RAFT_VOTER},
                                       {.id = 9, .standing = RAFT_JOINING},
                                       {.id = 5, .standing = RAFT_VOTER}}};
}

static void test_only_voters_count(void **state)
{
    (void)state;
    struct raft_members m = mixed();
    uint64_t values[10] = {9, 9, 1, 9, 9, 2, 9, 3, 9, 9};
    assert_int_equal(raft_majority(&m, value_of, values), 2);
    for (uint16_t id = 0; id < 10; id++)
        assert_int_equal(raft_is_voter(&m, id), id == 7 || id == 2 || id == 5);
    assert_int_equal(raft_n_voters(&m), 3);
    assert_true(raft_is_member(&m, 7, 70) && raft_is_member(&m, 9, 0));
    assert_false(raft_is_member(&m, 7, 71) || raft_is_member(&m, 3, 0));
}

static void test_what_differs(void **state)
{
    (void)state;
    struct raft_members a = mixed(), b = a;
    b.m[1].id = 3; /* a learner comes, and one goes */
    b.m[2].priority = 4;
    assert_int_equal(raft_voters_differ(&a, &b), 0);
    b.m[3].standing = RAFT_VOTER;
    assert_int_equal(raft_voters_differ(&a, &b), 1);
    assert_int_equal(raft_voters_differ(&b, &a), 1);
    b = a;
    b.m[4].standing = RAFT_LEARNER;
    assert_int_equal(raft_voters_differ(&a, &b), 1);
    b = a;
    b.m[0].incarnation = 71; /* one voter goes, and another one comes in its place */
    assert_int_equal(raft_voters_differ(&a, &b), 2);
    b.m[0].incarnation = 0; /* what is known does not become unknown */
    assert_int_equal(raft_voters_differ(&a, &b), 2);
    assert_int_equal(raft_voters_differ(&b, &a), 0); /* but it may get to be known */
    assert_true(raft_is_member(&b, 7, 70) && raft_is_member(&b, 7, 71));
}

static void test_what_is_no_list_of_members(void **state)
{
    (void)state;
    struct raft_members good = mixed(), m = good;
    assert_true(raft_members_valid(&m));
    m.n = 0;
    assert_false(raft_members_valid(&m));
    m.n = RAFT_MEMBERS_MAX + 1;
    assert_false(raft_members_valid(&m));
    m = good;
    m.m[1].id = 0;
    assert_false(raft_members_valid(&m));
    m.m[1].id = 5;
    assert_false(raft_members_valid(&m));
    m = good;
    m.m[1].standing = RAFT_NO_MEMBER;
    assert_false(raft_members_valid(&m));
    m.m[1].standing = RAFT_JOINING + 1;
    assert_false(raft_members_valid(&m));
    for (unsigned i = 0; i < 5; i++)
        m.m[i].standing = RAFT_LEARNER;
    assert_false(raft_members_valid(&m));
    m = first(RAFT_VOTERS_MAX);
    assert_true(raft_members_valid(&m));
    m.m[m.n++] = (struct raft_member){.id = 10, .standing = RAFT_LEARNER};
    assert_true(raft_members_valid(&m));
    m.m[9].standing = RAFT_JOINING; /* there is no place for it among the voters */
    assert_false(raft_members_valid(&m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_majority_is_what_more_than_half_reach),
        cmocka_unit_test(test_a_vote_reaches_one),
        cmocka_unit_test(test_only_voters_count),
        cmocka_unit_test(test_what_differs),
        cmocka_unit_test(test_what_is_no_list_of_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
