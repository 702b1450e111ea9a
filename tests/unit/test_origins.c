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

/* The index of the next entry, above all that a test has used. */
static uint64_t next_index = 100000;

/* So many other nodes write, one command each. */
static void others_write(struct origins *o, uint16_t from, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++, next_index++)
        keep(o, (uint16_t)(from + i), 5, 0, 1, next_index);
}

/* Another floor of the first origin, which is 2 below its newest number, makes another digest. */
static void other_floor_differs(const struct origins *o)
{
    size_t len;
    bool bad;
    uint8_t *buf = encoded(o, &len);
    assert_int_equal(get_u32(buf + 8), W - 2);
    put_u32(buf + 8, W - 1);
    struct origins *other = origins_decode(buf, len, &bad);
    assert_non_null(other);
    for (unsigned half = 0; half < 2; half++)
        assert_true(origins_digest(other)[half] != origins_digest(o)[half]);
    origins_free(other);
    static const uint32_t wrong[] = {W, W + 1, UINT32_MAX, W - 9};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_u32(buf + 8, wrong[i]); /* the last one: below number 1 */
        assert_null(origins_decode(buf, len, &bad));
        assert_true(bad);
    }
    free(buf);
}

/* Any number of nodes may write. Who has not written for the longest time loses its window: nothing of it is
 * applied twice, and it goes on behind its newest number, or with another process. */
static void test_more_than_windows(void **state)
{
    (void)state;
    struct origins *o = origins_new();
    assert_non_null(o);
    keep(o, A, 50, 0, 3, 11);
    keep(o, A, 50, 50, 7, 12);
    keep(o, B, 60, 0, 1, 13);
    others_write(o, 10, ORIGIN_WINDOWS - 2);
    keep(o, A, 50, 50, 5, next_index++); /* an older number does not make it newer */
    expect(o, 50, 50, 7, ORIGIN_REPEATED);
    others_write(o, 100, 1);
    for (uint64_t n = 1; n <= 7; n++)
        expect(o, 50, n == 1 ? 0 : 50, n, ORIGIN_PASSED);
    assert_true(origins_current(o, A) == 50);
    expect(o, 60, 0, 1, ORIGIN_ENDED);
    struct kept first;
    assert_int_equal(origins_look(o, &(struct sender){B, 60, 0, 1}, &first), ORIGIN_REPEATED);
    same_as_taken(o);
    /* It goes on: the numbers that were passed are so until its window is above them. */
    expect(o, 50, 50, 8, ORIGIN_NEW);
    keep(o, A, 50, 50, 9, next_index++);
    same_as_taken(o);
    other_floor_differs(o);
    assert_int_equal(origins_look(o, &(struct sender){B, 60, 0, 1}, &first), ORIGIN_PASSED);
    expect(o, 50, 50, 8, ORIGIN_NEW);
    expect(o, 50, 50, 6, ORIGIN_PASSED);
    keep(o, A, 50, 50, 6 + W, next_index++);
    same_as_taken(o);
    expect(o, 50, 50, 7, ORIGIN_PASSED);
    keep(o, A, 50, 50, 8, next_index++);
    keep(o, A, 50, 50, 7 + W, next_index++);
    same_as_taken(o);
    expect(o, 50, 50, 7, ORIGIN_PASSED);
    expect(o, 50, 50, 8, ORIGIN_REPEATED);
    keep(o, A, 50, 50, 8 + W, next_index++);
    same_as_taken(o);
    expect(o, 50, 50, 10, ORIGIN_NEW);
    origins_free(o);
}

/* Without a window, the next process of a node is told from those before as ever. */
static void test_process_without_window(void **state)
{
    (void)state;
    struct origins *o = origins_new();
    assert_non_null(o);
    keep(o, A, 50, 0, 1, 11);
    keep(o, A, 60, 50, W + 5, 12);
    others_write(o, 10, ORIGIN_WINDOWS);
    expect(o, 50, 0, 1, ORIGIN_ENDED);
    expect(o, 70, 50, 1, ORIGIN_ENDED);
    expect(o, 70, 0, 1, ORIGIN_ENDED);
    keep(o, A, 70, 60, 2, next_index++);
    same_as_taken(o);
    expect(o, 60, 50, W + 6, ORIGIN_ENDED);
    expect(o, 70, 70, 1, ORIGIN_NEW); /* it is another one's number 1 */
    expect(o, 70, 70, 2, ORIGIN_REPEATED);
    origins_free(o);
}

/* Ids from end to end, far more than windows. */
static void test_many_ids(void **state)
{
    enum { STEP = 15, LEFT = ORIGIN_WINDOWS * STEP, N = ORIGINS_MAX / STEP };
    (void)state;
    struct origins *o = origins_new();
    struct kept first;
    assert_non_null(o);
    for (unsigned id = ORIGINS_MAX; id > 0; id -= STEP)
        assert_true(origins_keep(o, &(struct sender){(uint16_t)id, id, 0, 1},
                                 (struct kept){100000 - id, 0}));
    for (unsigned id = STEP; id <= ORIGINS_MAX; id += STEP) {
        assert_true(origins_current(o, (uint16_t)id) == id);
        assert_int_equal(origins_look(o, &(struct sender){(uint16_t)id, id, 0, 1}, &first),
                         id <= LEFT ? ORIGIN_REPEATED : ORIGIN_PASSED);
    }
    assert_true(origins_size(o) == 4 + N * 24 + ORIGIN_WINDOWS * 12);
    same_as_taken(o);
    size_t len;
    bool bad;
    struct origins *copy = origins_copy(o);
    assert_non_null(copy);
    uint8_t *buf = encoded(o, &len), *again = encoded(copy, &len);
    assert_memory_equal(buf, again, len);
    /* One window more than there may be. */
    buf = realloc(buf, len + 12);
    assert_non_null(buf);
    put_u16(buf + len - 24 + 2, 1);
    put_u32(buf + len - 24 + 4, 0);
    memset(buf + len, 0, 12);
    put_u64(buf + len + 4, 5);
    assert_null(origins_decode(buf, len + 12, &bad));
    assert_true(bad);
    free(buf);
    free(again);
    origins_free(copy);
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
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_more_than_windows),
        cmocka_unit_test(test_process_without_window),
        cmocka_unit_test(test_many_ids),
        cmocka_unit_test(test_random_order),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
