// LINK: net/stream/mtu.c
/* The search for a path's MTU in virtual time, on paths of every width, lossy ones, and ones that
 * become narrower without a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "net/stream/mtu.h"

enum { S = 1000000, TICK_US = 10000 };

/* One peer behind a path; every tick something is heard from it, unless it is down. */
struct world {
    struct mtu m;
    uint64_t now;
    uint32_t width;   /* larger datagrams do not arrive */
    uint32_t percent; /* loss in each direction */
    uint32_t rng;
    bool down;
    unsigned probes;
    uint64_t probe_at; /* the newest */
};

static void begin(struct world *w, uint32_t max, uint32_t width)
{
    *w = (struct world){.now = 5 * (uint64_t)S, .width = width, .rng = 1};
    mtu_init(&w->m, max);
}

static bool passes(struct world *w, uint32_t size)
{
    w->rng = w->rng * 1664525 + 1013904223;
    bool there = (w->rng >> 8) % 100 >= w->percent;
    w->rng = w->rng * 1664525 + 1013904223;
    bool back = (w->rng >> 8) % 100 >= w->percent;
    return size <= w->width && there && back;
}

static void invariants(const struct world *w)
{
    const struct mtu *m = &w->m;
    assert_true(m->size >= MTU_LEAST && m->size <= m->max);
    assert_true(m->failed == 0 || m->failed > m->size);
    assert_true(m->probing == 0 || (m->probing > m->size && m->probing <= m->max));
    assert_true(m->probing % MTU_UNIT == 0 && m->tries <= MTU_TRIES);
}

static void run(struct world *w, uint64_t us)
{
    for (uint64_t end = w->now + us; w->now < end; w->now += TICK_US) {
        uint32_t size;
        if (!w->down)
            mtu_heard(&w->m);
        bool due = mtu_deadline(&w->m) <= w->now;
        bool probe = mtu_probe(&w->m, w->now, &size);
        invariants(w);
        assert_true(due || !probe);
        if (!probe)
            continue;
        uint32_t other;
        assert_false(mtu_probe(&w->m, w->now, &other)); /* one on its way at most */
        assert_int_equal(mtu_deadline(&w->m), UINT64_MAX);
        assert_true(size > mtu_size(&w->m) && size <= w->m.max);
        w->probes++;
        w->probe_at = w->now;
        if (!w->down && passes(w, size)) {
            w->now += TICK_US;
            mtu_acked(&w->m, w->now, size);
            assert_int_equal(mtu_size(&w->m), size);
        }
        invariants(w);
    }
}

/* The search ended below the path's width, and not far from it. */
static void found(const struct world *w, uint32_t width)
{
    uint32_t least = width - 2 * MTU_STEP - MTU_UNIT;
    assert_in_range(mtu_size(&w->m), least < MTU_BASE ? MTU_BASE : least, width);
}

static void test_base_never_probes(void **state)
{
    (void)state;
    struct world w;
    for (uint32_t max = MTU_BASE; max < MTU_BASE + MTU_UNIT; max++) {
        begin(&w, max, 9000);
        run(&w, 2000 * (uint64_t)S);
        assert_int_equal(w.probes, 0);
        assert_int_equal(mtu_size(&w.m), MTU_BASE);
        assert_int_equal(mtu_deadline(&w.m), UINT64_MAX);
    }
}

static void test_wide_path(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1452, 9000);
    assert_int_equal(mtu_size(&w.m), 1200); /* data goes before anything is known */
    run(&w, 2000 * (uint64_t)S);
    assert_int_equal(mtu_size(&w.m), 1452);
    assert_int_equal(w.probes, 1);
    begin(&w, 1403, 9000);
    run(&w, 2000 * (uint64_t)S);
    assert_int_equal(mtu_size(&w.m), 1400);
    assert_int_equal(w.probes, 1);
}

static void test_every_width(void **state)
{
    (void)state;
    for (uint32_t width = MTU_BASE; width < MTU_MAX; width++) {
        struct world w;
        begin(&w, MTU_MAX, width);
        run(&w, 60 * (uint64_t)S);
        found(&w, width);
        assert_true(w.probes <= 5 * MTU_TRIES); /* five halvings of 252 */
        unsigned before = w.probes;
        run(&w, 500 * (uint64_t)S); /* then it rests */
        assert_int_equal(w.probes, before);
    }
}

/* Whatever is lost: never more than the path carries; and nearly always what it does carry. */
static void test_lossy_path(void **state)
{
    (void)state;
    unsigned good = 0;
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct world w;
        begin(&w, MTU_MAX, 1400);
        w.percent = 10;
        w.rng = seed * 2654435761U;
        run(&w, 60 * (uint64_t)S);
        assert_true(mtu_size(&w.m) <= 1400);
        good += mtu_size(&w.m) > 1400 - 3 * MTU_STEP;
    }
    assert_true(good > 195);
}

static void test_lost_probe_is_retried(void **state)
{
    (void)state;
    struct mtu m;
    uint32_t size;
    mtu_init(&m, 1452);
    mtu_heard(&m);
    assert_true(mtu_probe(&m, S, &size));
    assert_int_equal(size, 1452);
    mtu_heard(&m);
    assert_int_equal(mtu_deadline(&m), 2 * S);
    assert_false(mtu_probe(&m, 2 * S - 1, &size));
    assert_true(mtu_probe(&m, 2 * S, &size));
    assert_int_equal(size, 1452);
    mtu_acked(&m, 2 * S + 1, 1451); /* never sent */
    mtu_acked(&m, 2 * S + 1, 0);
    mtu_acked(&m, 2 * S + 1, 1200);
    assert_int_equal(mtu_size(&m), 1200);
    mtu_acked(&m, 2 * S + 1, 1452); /* of whichever try */
    assert_int_equal(mtu_size(&m), 1452);
    mtu_acked(&m, 2 * S + 2, 1452); /* again */
    mtu_heard(&m);
    assert_int_equal(mtu_deadline(&m), UINT64_MAX);
}

/* A peer that says nothing is not probed, and what was lost meanwhile is at most one try. */
static void test_silent_peer(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1452, 9000);
    w.down = true;
    run(&w, 100 * (uint64_t)S);
    assert_int_equal(w.probes, 0);
    for (unsigned i = 1; i < MTU_TRIES; i++) {
        mtu_heard(&w.m); /* the last word */
        run(&w, 1000 * (uint64_t)S);
        assert_int_equal(w.probes, i);
        assert_int_equal(mtu_deadline(&w.m), UINT64_MAX);
    }
    w.down = false;
    run(&w, 1 * (uint64_t)S);
    assert_int_equal(mtu_size(&w.m), 1452);
}

static void test_wider_later(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1452, 1300);
    run(&w, 60 * (uint64_t)S);
    found(&w, 1300);
    w.width = 9000;
    run(&w, 400 * (uint64_t)S);
    found(&w, 1300);
    run(&w, 300 * (uint64_t)S);
    assert_int_equal(mtu_size(&w.m), 1452);
}

static void test_black_hole(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1452, 9000);
    run(&w, 1 * (uint64_t)S);
    assert_int_equal(mtu_size(&w.m), 1452);
    w.width = 1400;
    for (unsigned i = 0; i < 100; i++) {
        mtu_heard(&w.m);
        mtu_timeout(&w.m, w.now, 1200); /* of small ones: another matter */
        mtu_timeout(&w.m, w.now, 1452); /* now and then a large one: */
        mtu_arrived(&w.m, 1452);        /* large ones get through */
    }
    assert_int_equal(mtu_size(&w.m), 1452);
    for (unsigned i = 0; i < MTU_HOLE_FLIGHTS; i++) {
        assert_int_equal(mtu_size(&w.m), 1452);
        mtu_arrived(&w.m, 1200); /* small ones get through */
        mtu_heard(&w.m);
        mtu_timeout(&w.m, w.now, 1452);
    }
    assert_int_equal(mtu_size(&w.m), 1200);
    invariants(&w);
    mtu_timeout(&w.m, w.now, 1452); /* older flights */
    mtu_acked(&w.m, w.now, 1452);   /* old news */
    assert_int_equal(mtu_size(&w.m), 1200);
    unsigned before = w.probes;
    run(&w, 9 * (uint64_t)S);
    assert_int_equal(w.probes, before);
    run(&w, 60 * (uint64_t)S);
    found(&w, 1400);
}

/* In the middle of a search, too. */
static void test_black_hole_while_searching(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1452, 1400);
    run(&w, 5 * (uint64_t)S); /* 1452 was given up, 1324 arrived, 1388 or the like is tried */
    assert_true(mtu_size(&w.m) > 1200 && w.m.failed != 0);
    for (unsigned i = 0; i < MTU_HOLE_FLIGHTS; i++) {
        mtu_heard(&w.m);
        mtu_timeout(&w.m, w.now, mtu_size(&w.m));
    }
    assert_int_equal(mtu_size(&w.m), 1200);
    invariants(&w);
    run(&w, 100 * (uint64_t)S);
    found(&w, 1400);
}

/* Flights of this size get no answer, until the size falls. Returns how many that took. */
static unsigned flights(struct world *w, uint32_t size)
{
    uint32_t before = mtu_size(&w->m);
    unsigned n = 0;
    while (mtu_size(&w->m) == before && n < 100) {
        mtu_arrived(&w->m, 300); /* small ones get through */
        mtu_heard(&w->m);
        mtu_timeout(&w->m, w->now, size);
        invariants(w);
        n++;
    }
    return n;
}

/* A path that does not carry the base: from the start, or from some day on; with what is allowed
 * beyond the base, and without. */
static void test_below_base(void **state)
{
    (void)state;
    for (uint32_t width = MTU_LEAST; width < MTU_BASE; width += 7) {
        struct world w;
        begin(&w, width % 2 == 0 ? MTU_BASE : MTU_MAX, width);
        assert_int_equal(flights(&w, MTU_BASE), MTU_NARROW_FLIGHTS);
        assert_int_equal(mtu_size(&w.m), MTU_LEAST);
        assert_true(mtu_size(&w.m) < mtu_usual(&w.m));
        assert_int_equal(flights(&w, MTU_LEAST), 100); /* there is nothing below */
        run(&w, 50 * (uint64_t)S);
        assert_in_range(mtu_size(&w.m), width < MTU_LEAST + 36 ? MTU_LEAST : width - 36, width);
        w.width = 9000; /* the detour is over */
        run(&w, 120 * (uint64_t)S);
        assert_int_equal(mtu_size(&w.m), w.m.max);
    }
}

/* From the top to the least in two steps. */
static void test_two_steps_down(void **state)
{
    (void)state;
    struct world w;
    begin(&w, MTU_MAX, 9000);
    run(&w, S);
    w.width = 700;
    assert_int_equal(flights(&w, MTU_MAX), MTU_HOLE_FLIGHTS);
    assert_int_equal(mtu_size(&w.m), MTU_BASE);
    assert_int_equal(flights(&w, MTU_MAX), MTU_NARROW_FLIGHTS); /* sent before the fall, too */
    assert_int_equal(mtu_size(&w.m), MTU_LEAST);
}

/* Flights of a size that gets through now and then are lost by bad luck. */
static void test_bad_luck_at_base(void **state)
{
    (void)state;
    struct world w;
    begin(&w, MTU_BASE, 9000);
    for (unsigned i = 0; i < 1000; i++) {
        mtu_heard(&w.m);
        mtu_timeout(&w.m, w.now, i % 2 == 0 ? 700 : MTU_BASE);
        if (i % 4 == 0)
            mtu_arrived(&w.m, 700); /* as large as the least of those that were lost */
    }
    assert_int_equal(mtu_size(&w.m), MTU_BASE);
    for (unsigned i = 0; i < 1000; i++) {
        mtu_heard(&w.m);
        mtu_timeout(&w.m, w.now, MTU_LEAST); /* these would fit through any path */
    }
    assert_int_equal(mtu_size(&w.m), MTU_BASE);
    for (unsigned i = 0; i < 1000; i++)
        mtu_timeout(&w.m, w.now, MTU_BASE); /* a dead peer's path is no narrow one */
    assert_int_equal(mtu_size(&w.m), MTU_BASE);
}

/* Our own kernel says at once what it does not send. */
static void test_refused(void **state)
{
    (void)state;
    struct world w;
    begin(&w, MTU_BASE, 900);
    mtu_refused(&w.m, w.now, MTU_BASE);
    assert_int_equal(mtu_size(&w.m), MTU_LEAST);
    for (int i = 0; i < 200; i++) { /* probes that are too long are refused, too */
        uint32_t size;
        mtu_heard(&w.m);
        if (mtu_probe(&w.m, w.now, &size)) {
            if (size > w.width)
                mtu_refused(&w.m, w.now, size);
            else
                mtu_acked(&w.m, w.now, size);
        }
        invariants(&w);
        w.now += TICK_US;
    }
    assert_in_range(mtu_size(&w.m), 900 - 36, 900);
    uint32_t found_size = mtu_size(&w.m);
    mtu_refused(&w.m, w.now, 1000); /* old news */
    assert_int_equal(mtu_size(&w.m), found_size);
    mtu_refused(&w.m, w.now, MTU_LEAST); /* hopeless; nothing smaller is tried */
    assert_int_equal(mtu_size(&w.m), MTU_LEAST);
    mtu_refused(&w.m, w.now, 100);
    assert_int_equal(mtu_size(&w.m), MTU_LEAST);
    invariants(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_never_probes),
        cmocka_unit_test(test_wide_path),
        cmocka_unit_test(test_every_width),
        cmocka_unit_test(test_lossy_path),
        cmocka_unit_test(test_lost_probe_is_retried),
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_wider_later),
        cmocka_unit_test(test_black_hole),
        cmocka_unit_test(test_black_hole_while_searching),
        cmocka_unit_test(test_below_base),
        cmocka_unit_test(test_two_steps_down),
        cmocka_unit_test(test_bad_luck_at_base),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
