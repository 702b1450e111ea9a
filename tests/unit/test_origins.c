// LINK: raftd/state/origins.c raftd/state/siphash.c
/* test_origins.c: no command is applied twice, whatever order its copies come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/state/origins.h"

enum { A = 1, B = 2, W = ORIGIN_WINDOW };

/* One command of origin A. */
static enum origin_says look(struct origins *o, uint64_t process, uint64_t predecessor,
                             uint64_t number, struct kept *first)
{
    struct sender s = {A, process, predecessor, number};
    return origins_look(o, &s, first);
}

static uint8_t *encoded(const struct origins *o, size_t *len)
{
    *len = origins_size(o);
    uint8_t *buf = malloc(*len);
    assert_non_null(buf);
    origins_encode(o, buf);
    return buf;
}

/* The digest that follows each change is the one that a node which takes the state works out. */
static void same_as_taken(const struct origins *o)
{
    size_t len;
    bool bad;
    uint8_t *buf = encoded(o, &len);
    struct origins *taken = origins_decode(buf, len, &bad);
    assert_non_null(taken);
    assert_memory_equal(origins_digest(o), origins_digest(taken), 2 * sizeof(uint64_t));
    origins_free(taken);
    free(buf);
}

static void keep(struct origins *o, uint16_t origin, uint64_t process, uint64_t predecessor,
                 uint64_t number, uint64_t index)
{
    struct sender s = {origin, process, predecessor, number};
    struct kept first;
    assert_int_equal(origins_look(o, &s, &first), ORIGIN_NEW);
    assert_true(origins_keep(o, &s, (struct kept){index, (uint8_t)(index % 7)}));
    assert_int_equal(origins_look(o, &s, &first), ORIGIN_REPEATED);
    assert_true(first.index == index && first.outcome == index % 7);
    if (index < 50 || index % 500 == 0) /* it takes its time */
        same_as_taken(o);
}

static void expect(struct origins *o, uint64_t process, uint64_t predecessor, uint64_t number,
                   enum origin_says says)
{
    struct kept first;
    assert_int_equal(look(o, process, predecessor, number, &first), says);
}

static void test_window(void **state)
{
    (void)state;
    struct origins *o = origins_new();
    assert_non_null(o);
    keep(o, A, 50, 0, 3, 11);
    keep(o, A, 50, 50, 1, 12); /* copies come in any order */
    expect(o, 50, 50, 2, ORIGIN_NEW);
    keep(o, A, 50, 50, W, 13);
    expect(o, 50, 50, 1, ORIGIN_REPEATED); /* the window is 1..W */
    expect(o, 50, 50, 2, ORIGIN_NEW);
    keep(o, A, 50, 50, W + 1, 14);
    expect(o, 50, 50, 1, ORIGIN_PASSED);
    keep(o, A, 50, 50, 2, 15); /* the oldest that may be under way with W + 1 */
    keep(o, A, 50, 50, W + 2, 16);
    expect(o, 50, 50, 2, ORIGIN_PASSED);
    expect(o, 50, 50, 3, ORIGIN_REPEATED);
    keep(o, A, 50, 50, 3 * W, 17); /* what has left it is forgotten, and its places are free */
    expect(o, 50, 50, W + 2, ORIGIN_PASSED);
    for (uint64_t n = 2 * W + 1; n < 3 * W; n++)
        expect(o, 50, 50, n, ORIGIN_NEW);
    expect(o, 50, 50, 2 * W, ORIGIN_PASSED);
    keep(o, A, 50, 50, UINT64_MAX - 2, 18);
    keep(o, A, 50, 50, UINT64_MAX, 19); /* the step to the last number of all ends, too */
    expect(o, 50, 50, UINT64_MAX - 1, ORIGIN_NEW);
    expect(o, 50, 50, UINT64_MAX - W + 1, ORIGIN_NEW);
    expect(o, 50, 50, UINT64_MAX - W, ORIGIN_PASSED);
    origins_free(o);
}

static void test_nobody(void **state)
{
    (void)state;
    struct origins *o = origins_new();
    struct kept first;
    assert_non_null(o);
    assert_int_equal(origins_look(o, &(struct sender){0, 5, 0, 1}, &first), ORIGIN_NOBODY);
    assert_int_equal(origins_look(o, &(struct sender){A, 0, 0, 1}, &first), ORIGIN_NOBODY);
    assert_int_equal(origins_look(o, &(struct sender){A, 5, 0, 0}, &first), ORIGIN_NOBODY);
    origins_free(o);
}

/* Processes 50, 60, 70 of a node, one after the other. */
static void test_processes(void **state)
{
    (void)state;
    struct origins *o = origins_new();
    assert_non_null(o);
    assert_true(origins_current(o, A) == 0);
    expect(o, 60, 50, 1, ORIGIN_ENDED); /* 50 is not here, whatever 60 has seen */
    keep(o, A, 50, 0, 1, 11);
    assert_true(origins_current(o, A) == 50);
    expect(o, 60, 0, 1, ORIGIN_ENDED); /* 60 had not seen 50: it is told, and learns it */
    keep(o, A, 60, 50, 1, 12);
    assert_true(origins_current(o, A) == 60);
    /* Late commands of the first process: none displaces the second one. */
    expect(o, 50, 0, 1, ORIGIN_ENDED);
    expect(o, 50, 0, 2, ORIGIN_ENDED);
    expect(o, 50, 50, 3, ORIGIN_ENDED);
    /* Nor does a process that was never current. */
    expect(o, 55, 50, 1, ORIGIN_ENDED);
    expect(o, 60, 50, 1, ORIGIN_REPEATED);
    expect(o, 60, 0, 1, ORIGIN_REPEATED); /* the copy from before it knew */
    keep(o, A, 70, 60, 1, 13);            /* its number 1 is not its predecessor's */
    expect(o, 60, 50, 2, ORIGIN_ENDED);
    expect(o, 60, 60, 2, ORIGIN_ENDED);
    /* Origins have nothing to do with each other. */
    keep(o, B, 60, 0, 1, 14);
    assert_true(origins_current(o, A) == 70 && origins_current(o, B) == 60);
    origins_free(o);
}

static void test_crowd(void **state)
{
    (void)state;
    struct origins *o = origins_new();
    struct kept first;
    assert_non_null(o);
    for (uint16_t id = ORIGINS_MAX; id > 0; id--)
        keep(o, id, id, 0, 1, id);
    assert_int_equal(origins_look(o, &(struct sender){99, 5, 0, 1}, &first), ORIGIN_CROWD);
    for (uint16_t id = 1; id <= ORIGINS_MAX; id++)
        assert_true(origins_current(o, id) == id);
    assert_true(origins_size(o) <= ORIGINS_BYTES_MAX);
    origins_free(o);
}

/* Copies of numbers under way, as origins_look() promises: in any order each is applied once. */
static void test_random_order(void **state)
{
    (void)state;
    enum { NUMBERS = 5 * W };
    struct origins *o = origins_new();
    static bool done[NUMBERS + 1];
    uint64_t oldest = 1, rng = 88172645463325252u, applied = 0;
    assert_non_null(o);
    memset(done, 0, sizeof done);
    while (oldest <= NUMBERS) {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        /* Mostly what is under way, sometimes what was long ago. */
        uint64_t n = rng % 4 != 0 ? oldest + (rng >> 8) % W : 1 + (rng >> 8) % oldest;
        if (rng % 64 == 1)
            n = oldest;
        if (n > NUMBERS)
            continue;
        struct kept first;
        enum origin_says says = look(o, 50, applied == 0 ? 0 : 50, n, &first);
        if (done[n]) {
            assert_true(says == ORIGIN_REPEATED || says == ORIGIN_PASSED);
            continue;
        }
        assert_int_equal(says, ORIGIN_NEW);
        keep(o, A, 50, applied == 0 ? 0 : 50, n, applied + 1);
        applied++;
        done[n] = true;
        while (oldest <= NUMBERS && done[oldest])
            oldest++;
    }
    assert_int_equal(applied, NUMBERS);
    origins_free(o);
}

/* ---- as bytes ---- */

static struct origins *some(void)
{
    struct origins *o = origins_new();
    assert_non_null(o);
    keep(o, B, 7, 0, 9, 30);
    keep(o, A, 50, 0, 1, 31);
    keep(o, A, 50, 50, 3, 32);
    keep(o, A, 50, 50, W + 2, 33);
    return o;
}

static bool decodes(const uint8_t *buf, size_t len)
{
    bool bad;
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, buf, len);
    struct origins *o = origins_decode(copy, len, &bad);
    assert_true(bad == (o == NULL));
    if (o != NULL) { /* there is one encoding only */
        size_t size;
        uint8_t *again = encoded(o, &size);
        assert_int_equal(size, len);
        assert_memory_equal(again, buf, len);
        free(again);
    }
    origins_free(o);
    free(copy);
    return !bad;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct origins *o = some();
    size_t len;
    bool bad;
    uint8_t *buf = encoded(o, &len);
    assert_int_equal(len, 4 + 2 * 24 + 3 * 12);
    struct origins *p = origins_decode(buf, len, &bad);
    assert_non_null(p);
    const uint64_t *x = origins_digest(o), *y = origins_digest(p);
    assert_true(x[0] == y[0] && x[1] == y[1]);
    /* It goes on as the other one does. */
    expect(p, 50, 50, 3, ORIGIN_REPEATED);
    expect(p, 50, 50, 2, ORIGIN_PASSED);
    expect(p, 50, 50, 4, ORIGIN_NEW);
    expect(p, 49, 0, 1, ORIGIN_ENDED);
    keep(o, A, 50, 50, 4, 40);
    assert_true(x[0] != y[0] && x[1] != y[1] && x[0] != x[1]);
    keep(p, A, 50, 50, 4, 40);
    assert_true(x[0] == y[0] && x[1] == y[1]);
    origins_free(o);
    origins_free(p);
    free(buf);
    o = origins_new();
    assert_non_null(o);
    buf = encoded(o, &len);
    assert_int_equal(len, ORIGINS_HEAD_BYTES);
    assert_true(decodes(buf, len));
    free(buf);
    origins_free(o);
}

/* Each byte, changed: refused, or it is the encoding of something else, of another digest. Each cut:
 * refused. */
static void test_hostile(void **state)
{
    (void)state;
    struct origins *o = some();
    size_t len;
    uint8_t *buf = encoded(o, &len);
    for (size_t cut = 0; cut < len; cut++)
        assert_false(decodes(buf, cut));
    for (size_t at = 0; at < len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            buf[at] ^= (uint8_t)(1 << bit);
            bool bad;
            (void)decodes(buf, len);
            struct origins *other = origins_decode(buf, len, &bad);
            for (unsigned half = 0; other != NULL && half < 2; half++)
                assert_true(origins_digest(other)[half] != origins_digest(o)[half]);
            origins_free(other);
            buf[at] ^= (uint8_t)(1 << bit);
        }
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {
        {0, 1},      /* bytes behind the last origin */
        {0, 3},      /* fewer than it says */
        {3, 1},      /* too many */
        {4, 0},      /* no id */
        {4, 2},      /* ids that don't ascend */
        {6, 0},      /* nothing kept */
        {6, 3},      /* a count that does not fit */
        {8, 1},      /* must be zero */
        {28, 1},     /* the newest number is not kept */
        {30 + 1, 1}, /* must be zero */
        {41, 0x10},  /* below the window */
        {44, 0},     /* no index */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t was = buf[bad[i].at];
        assert_true(was != bad[i].value);
        buf[bad[i].at] = bad[i].value;
        if (decodes(buf, len))
            fail_msg("case %zu is taken", i);
        buf[bad[i].at] = was;
    }
    memset(buf + 40, 0, 2); /* the same number twice */
    assert_false(decodes(buf, len));
    put_u16(buf + 40, W - 1);
    assert_true(decodes(buf, len));
    memset(buf + 12, 0, 8); /* no process */
    assert_false(decodes(buf, len));
    free(buf);
    origins_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),       cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_processes),    cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_random_order), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
