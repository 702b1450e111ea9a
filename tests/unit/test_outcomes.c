// LINK: @state @rcu_alone
/* test_outcomes.c: no request with a token is done twice; what is remembered is found; readers and images see
 * what they saw first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/state/outcomes.h"

enum { ENTRIES = 3 * OUTCOMES_MAX, LATE_MAX = 2 * OUTCOMES_MAX };

/* The n'th request that was kept is of this token and entry. Entries without tokens stand between. */
static struct cmd_token tokens[ENTRIES];
static uint64_t indexes[ENTRIES];
static unsigned made;

static uint64_t rng;

static uint64_t any(uint64_t below)
{
    rng = rng * 6364136223846793005U + 1442695040888963407U;
    return (rng >> 33) % below;
}

static struct cmd_token token_of(uint64_t name, uint64_t index)
{
    struct cmd_token t = {.index = index};
    put_u64(t.random, name);
    put_u64(t.random + 8, ~name);
    return t;
}

static uint8_t outcome_of(unsigned n)
{
    return (uint8_t)(1 + n % 12);
}

static void start(void)
{
    made = 0;
    rng = 1;
}

static uint64_t newest(void)
{
    return made > 0 ? indexes[made - 1] : 0;
}

/* Keeps one more. Its token was made up to so many entries before. */
static void keep(struct outcomes *o, uint64_t late)
{
    struct kept first;
    uint64_t index = newest() + 1 + any(3), before = any(late);
    struct cmd_token t = token_of(made, before < index ? index - 1 - before : 0);
    if (outcomes_look(o, &t, index, &first) != OUTCOME_NEW)
        t.index = index - 1;
    tokens[made] = t;
    indexes[made] = index;
    assert_true(outcomes_keep(o, &t, (struct kept){index, outcome_of(made)}));
    made++;
}

static void expect(const struct outcomes *o, const struct outcomes_view *v,
                   const struct cmd_token *t, enum outcomes_say says, unsigned n)
{
    struct kept a = {0}, b = {0};
    assert_int_equal(outcomes_look(o, t, newest() + 1, &a), says);
    assert_int_equal(outcomes_find(v, t, newest() + 1, &b), says);
    if (says != OUTCOME_KNOWN)
        return;
    assert_true(a.index == indexes[n] && a.outcome == outcome_of(n));
    assert_true(b.index == indexes[n] && b.outcome == outcome_of(n));
}

/* What is to be said of any token. */
static void check(const struct outcomes *o)
{
    struct outcomes_view v = outcomes_view(o);
    unsigned begin = made > OUTCOMES_MAX ? made - OUTCOMES_MAX : 0;
    uint64_t forgotten = made >= OUTCOMES_MAX ? indexes[begin] - 1 : 0;
    if (made > 0) {
        unsigned n = (unsigned)any(made);
        enum outcomes_say says = n >= begin ? OUTCOME_KNOWN : OUTCOME_TOO_OLD;
        expect(o, &v, &tokens[n], says, n); /* never OUTCOME_NEW */
        expect(o, &v, &tokens[begin], OUTCOME_KNOWN, begin);
        expect(o, &v, &tokens[made - 1], OUTCOME_KNOWN, made - 1);
        if (begin > 0)
            expect(o, &v, &tokens[begin - 1], OUTCOME_TOO_OLD, 0);
    }
    uint64_t at = any(newest() + 1);
    struct cmd_token t = token_of(ENTRIES + any(1000), at);
    expect(o, &v, &t, at < forgotten ? OUTCOME_TOO_OLD : OUTCOME_NEW, 0);
    t.index = forgotten;
    expect(o, &v, &t, OUTCOME_NEW, 0);
    t.index = forgotten - 1;
    if (forgotten > 0)
        expect(o, &v, &t, OUTCOME_TOO_OLD, 0);
    t.index = newest() + 1; /* made after the entry that has it */
    expect(o, &v, &t, OUTCOME_TOO_OLD, 0);
}

static void test_never_twice(void **state)
{
    (void)state;
    struct outcomes *o = outcomes_new();
    assert_non_null(o);
    start();
    check(o);
    while (made < ENTRIES) {
        keep(o, any(100) == 0 ? LATE_MAX : 50);
        if (made % 97 == 0 || (made >= OUTCOMES_MAX - 2 && made <= OUTCOMES_MAX + 2))
            check(o);
        outcomes_published(o);
    }
    outcomes_free(o);
}

/* Two tokens with equal random bytes, or with equal indexes, are two tokens. */
static void test_all_of_a_token(void **state)
{
    (void)state;
    struct outcomes *o = outcomes_new();
    struct cmd_token one = token_of(1, 1), later = token_of(1, 2), other = one;
    struct kept first;
    other.random[CMD_TOKEN_BYTES - 1] ^= 1;
    assert_true(outcomes_keep(o, &one, (struct kept){5, 1}));
    struct outcomes_view v = outcomes_view(o);
    assert_int_equal(outcomes_look(o, &later, 6, &first), OUTCOME_NEW);
    assert_int_equal(outcomes_look(o, &other, 6, &first), OUTCOME_NEW);
    assert_int_equal(outcomes_find(&v, &later, 6, &first), OUTCOME_NEW);
    assert_int_equal(outcomes_find(&v, &other, 6, &first), OUTCOME_NEW);
    outcomes_free(o);
}

/* All rows of the view; their number. */
static size_t rows_of(const struct outcomes_view *v, uint8_t *buf, size_t len)
{
    size_t n = outcomes_encode(v, v->begin, buf, len);
    uint8_t cut[3 * OUTCOME_BYTES + 2];
    assert_true(n == v->end - v->begin);
    for (size_t at = 0, some; at < n; at += some + n / 50) { /* in parts the same */
        some = outcomes_encode(v, v->begin + at, cut, sizeof cut);
        assert_true(some == (n - at < 3 ? n - at : 3));
        assert_memory_equal(buf + at * OUTCOME_BYTES, cut, some * OUTCOME_BYTES);
    }
    return n;
}

static struct outcomes *decoded(const uint8_t *rows, size_t n)
{
    struct outcomes *o = outcomes_new();
    bool bad = true;
    for (size_t i = 0; i < n; i++)
        assert_true(outcomes_decode(o, rows + i * OUTCOME_BYTES, &bad) && !bad);
    return o;
}

/* A reader's view and an image stay as they are, also when another state takes the place of all. What is not
 * in the image is not kept for it. */
static void test_stays(void **state)
{
    (void)state;
    enum { BYTES = OUTCOMES_MAX * OUTCOME_BYTES };
    struct outcomes *o = outcomes_new();
    uint8_t *rows = malloc(BYTES), *again = malloc(BYTES);
    start();
    while (made < OUTCOMES_MAX + 1500)
        keep(o, 50);
    outcomes_published(o);
    outcomes_freeze(o);
    rcu_enter();
    struct outcomes_view v = outcomes_view(o);
    size_t n = rows_of(&v, rows, BYTES);
    assert_int_equal(n, OUTCOMES_MAX);
    struct outcomes *by = decoded(rows, n);
    assert_memory_equal(outcomes_digest(by), outcomes_digest(o), 16);
    for (unsigned i = 0; i < OUTCOMES_MAX + 3000; i++) {
        keep(o, 50);
        if (i % 100 == 0)
            outcomes_published(o);
    }
    outcomes_replace(o, by);
    struct outcomes_view after = outcomes_view(o);
    assert_int_equal(rows_of(&after, again, BYTES), n);
    assert_memory_equal(again, rows, n * OUTCOME_BYTES);
    made = OUTCOMES_MAX + 1500;
    outcomes_published(o);
    check(o);
    assert_int_equal(rows_of(&v, again, BYTES), n); /* the reader's */
    rcu_leave();
    rcu_wait_freed();
    assert_int_equal(rows_of(&v, again, BYTES), n); /* the image's */
    assert_memory_equal(again, rows, n * OUTCOME_BYTES);
    while (made < ENTRIES)
        keep(o, 50);
    outcomes_published(o);
    outcomes_thaw(o);
    check(o);
    rcu_wait_freed();
    outcomes_free(o);
    free(rows);
    free(again);
}

/* The digest depends on each byte of a row, and on what is remembered alone. */
static void test_digest(void **state)
{
    (void)state;
    uint8_t row[OUTCOME_BYTES];
    struct outcomes *o = outcomes_new();
    start();
    keep(o, 1);
    struct outcomes_view v = outcomes_view(o);
    assert_int_equal(outcomes_encode(&v, 0, row, sizeof row), 1);
    assert_int_equal(outcomes_encode(&v, 0, row, sizeof row - 1), 0);
    for (unsigned i = 0; i < OUTCOME_BYTES; i++) {
        bool bad;
        struct outcomes *other = outcomes_new();
        row[i] ^= 2;
        if (outcomes_decode(other, row, &bad))
            assert_memory_not_equal(outcomes_digest(other), outcomes_digest(o), 16);
        else
            assert_true(bad);
        row[i] ^= 2;
        outcomes_free(other);
    }
    outcomes_free(o);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t name, born, index;
        uint8_t outcome;
        bool bad;
    } rows[] = {
        {1, 3, 5, 1, false},  {2, 3, 5, 1, true}, /* of the same entry */
        {2, 3, 4, 1, true},                       /* of an older one */
        {2, 6, 6, 1, true},                       /* made when its entry was there */
        {1, 3, 6, 1, true},                       /* known already */
        {2, 3, 6, 0, true},                       /* without an outcome */
        {2, 3, 6, 12, false},
    };
    struct outcomes *o = outcomes_new();
    uint8_t row[OUTCOME_BYTES];
    bool bad;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cmd_token t = token_of(rows[i].name, rows[i].born);
        memcpy(row, t.random, sizeof t.random);
        put_u64(row + 16, t.index);
        put_u64(row + 24, rows[i].index);
        row[32] = rows[i].outcome;
        assert_true(outcomes_decode(o, row, &bad) == !rows[i].bad && bad == rows[i].bad);
    }
    for (unsigned i = 2; i < OUTCOMES_MAX; i++) {
        put_u64(row, i + 1);
        put_u64(row + 24, i + 10);
        assert_true(outcomes_decode(o, row, &bad));
    }
    put_u64(row, 1);
    put_u64(row + 16, OUTCOMES_MAX + 9);
    put_u64(row + 24, OUTCOMES_MAX + 10); /* one too many */
    assert_true(!outcomes_decode(o, row, &bad) && bad);
    outcomes_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_twice), cmocka_unit_test(test_all_of_a_token),
        cmocka_unit_test(test_stays),       cmocka_unit_test(test_digest),
        cmocka_unit_test(test_refused),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
