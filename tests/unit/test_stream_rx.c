// LINK: @stream tests/lib/stream_pair.c
/* The receiving half of a stream, and the sets that both are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/stream_pair.h"

/* Receiver alone, against a plain array. */

static void test_any_cut_and_order(void **state)
{
    (void)state;
    enum { TOTAL = 6000 };
    for (uint64_t seed = 0; seed < 400; seed++) {
        uint64_t r = seed;
        size_t cap = 1 + rnd(&r) % 3000;
        size_t most = 1 + rnd(&r) % 900;
        size_t greed = 1 + rnd(&r) % 500;
        uint8_t *buf = malloc(cap); /* exactly: ASan sees what is written beyond */
        assert_non_null(buf);
        struct stream_rx rx;
        stream_rx_init(&rx, buf, cap, UINT32_MAX);
        while (rx.consumed < TOTAL) {
            uint64_t from = chance(&r, 20) ? rx.contig : rnd(&r) % TOTAL;
            if (chance(&r, 50)) {
                from = rx.consumed + rnd(&r) % (cap + most);
                from -= from < most ? from : rnd(&r) % most;
            }
            size_t len = 1 + rnd(&r) % most;
            uint8_t bytes[900];
            fill_bytes(bytes, from, len);
            uint64_t contig = rx.contig;
            enum stream_put res = stream_rx_put(&rx, from, bytes, len, false);
            expect_rx(&rx);
            assert_true((res == STREAM_NEW) == (rx.contig > contig));
            if (from <= contig && from + len > contig && contig - rx.consumed < cap)
                assert_int_equal(res, STREAM_NEW); /* whatever is held, the next byte has a place */
            if (from + len <= contig)
                assert_int_equal(res, STREAM_DUPLICATE);
            if (chance(&r, 5)) { /* other memory: refused exactly when it is too small */
                size_t other = 1 + rnd(&r) % 3000;
                uint64_t here = ranges_end(&rx.ahead, rx.contig) - rx.consumed;
                uint8_t *to = malloc(other);
                assert_non_null(to);
                bool moved = stream_rx_move(&rx, to, other);
                assert_true(moved == (here <= other));
                free(moved ? buf : to);
                buf = moved ? to : buf;
                cap = moved ? other : cap;
                expect_rx(&rx);
            }
            if (chance(&r, 40)) {
                const uint8_t *p;
                size_t ready;
                if (stream_rx_ready(&rx, &p, &ready)) {
                    expect_bytes(p, rx.consumed, ready);
                    stream_rx_consume(&rx, ready < greed ? ready : greed);
                    expect_rx(&rx);
                }
            }
        }
        free(buf);
    }
}

static void test_receiver_results(void **state)
{
    (void)state;
    uint8_t buf[100];
    uint8_t in[200];
    fill_bytes(in, 0, sizeof in);
    struct stream_rx rx;
    const uint8_t *p;
    size_t len;
    stream_rx_init(&rx, buf, sizeof buf, UINT32_MAX);
    assert_false(stream_rx_ready(&rx, &p, &len));
    assert_int_equal(stream_rx_put(&rx, 0, in, 0, false), STREAM_DUPLICATE);
    assert_int_equal(stream_rx_put(&rx, 50, in + 50, 10, false), STREAM_GAP);
    assert_int_equal(stream_rx_put(&rx, 50, in + 50, 10, false), STREAM_DUPLICATE);
    assert_int_equal(stream_rx_put(&rx, 52, in + 52, 3, false), STREAM_DUPLICATE);
    assert_int_equal(stream_rx_put(&rx, 100, in + 100, 1, false), STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, 90, in + 90, 50, false),
                     STREAM_GAP); /* cut at the window */
    assert_int_equal(stream_rx_put(&rx, UINT64_MAX, in, 1, false), STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, UINT64_MAX - 4, in, 4, false), STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, UINT64_MAX - 4, in, 200, false), STREAM_BEYOND_WINDOW);
    struct wire_sack s;
    stream_rx_sack(&rx, &s);
    assert_true(s.contig == 0 && s.rwnd == 100 && s.n == 2);
    assert_true(s.ranges[0].start == 50 && s.ranges[0].len == 10);
    assert_true(s.ranges[1].start == 90 && s.ranges[1].len == 10);
    assert_int_equal(stream_rx_put(&rx, 0, in, 55, false), STREAM_NEW);
    assert_true(stream_rx_ready(&rx, &p, &len));
    assert_int_equal(len, 60);
    expect_bytes(p, 0, len);
    stream_rx_consume(&rx, 30);
    assert_int_equal(stream_rx_put(&rx, 20, in + 20, 200 - 20, false), STREAM_NEW);
    assert_true(stream_rx_ready(&rx, &p, &len));
    assert_int_equal(len, 100);
    expect_bytes(p, 30, len);
    stream_rx_sack(&rx, &s);
    assert_true(s.contig == 130 && s.rwnd == 0 && s.n == 0);
    assert_int_equal(stream_rx_put(&rx, 130, in + 130, 1, false), STREAM_BEYOND_WINDOW);
}

/* More holes than the list takes: refused, and nothing that was reported is given up. */
static void test_too_many_holes(void **state)
{
    (void)state;
    enum { LAST = 10 + 20 * (RANGES_MAX - 1), SIZE = LAST + 100 };
    uint8_t buf[SIZE];
    uint8_t in[SIZE];
    fill_bytes(in, 0, sizeof in);
    struct stream_rx rx;
    struct wire_sack s;
    stream_rx_init(&rx, buf, sizeof buf, UINT32_MAX);
    for (unsigned off = 10; off <= LAST; off += 20)
        assert_int_equal(stream_rx_put(&rx, off, in + off, 10, false), STREAM_GAP);
    assert_int_equal(stream_rx_put(&rx, LAST + 20, in + LAST + 20, 10, false),
                     STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, 2, in + 2, 3, false), STREAM_BEYOND_WINDOW);
    stream_rx_sack(&rx, &s);
    assert_int_equal(s.n, WIRE_SACK_RANGES);
    assert_int_equal(s.ranges[7].start, 10 + 20 * 7);
    assert_int_equal(stream_rx_put(&rx, 180, in + 180, 10, false), STREAM_GAP);
    stream_rx_sack(&rx, &s);
    assert_int_equal(s.ranges[0].start, 170); /* merged with both neighbours */
    assert_int_equal(s.ranges[0].len, 30);
    assert_int_equal(stream_rx_put(&rx, 0, in, LAST + 50, false), STREAM_NEW);
    assert_int_equal(rx.contig, LAST + 50);
    assert_int_equal(rx.ahead.n, 0);
    expect_bytes(buf, 0, LAST + 50);
}

/* Of many ranges each is named in turn, the changed ones first. */
static void test_ranges_take_turns(void **state)
{
    (void)state;
    uint8_t buf[2000];
    uint8_t in[2000];
    fill_bytes(in, 0, sizeof in);
    struct stream_rx rx;
    struct wire_sack s;
    stream_rx_init(&rx, buf, sizeof buf, 500);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(stream_rx_put(&rx, 10 + 20 * i, in + 10 + 20 * i, 10, false), STREAM_GAP);
    unsigned told[20] = {0};
    for (unsigned k = 0; k < 5; k++) {
        stream_rx_sack(&rx, &s);
        assert_int_equal(s.n, WIRE_SACK_RANGES);
        assert_int_equal(s.rwnd, 500 + 200); /* what is held is not on its way */
        for (unsigned i = 0; i < s.n; i++) {
            assert_true(i == 0 || s.ranges[i].start > s.ranges[i - 1].start);
            told[(s.ranges[i].start - 10) / 20]++;
        }
    }
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(told[i], 2);
    assert_int_equal(stream_rx_put(&rx, 395, in + 395, 10, false), STREAM_GAP);
    stream_rx_sack(&rx, &s);
    assert_true(s.ranges[WIRE_SACK_RANGES - 1].start == 390 &&
                s.ranges[WIRE_SACK_RANGES - 1].len == 15);
}

static void test_spurious_count(void **state)
{
    (void)state;
    uint8_t buf[100];
    uint8_t in[100];
    fill_bytes(in, 0, sizeof in);
    struct stream_rx rx;
    struct wire_sack s;
    stream_rx_init(&rx, buf, sizeof buf, 100);
    (void)stream_rx_put(&rx, 0, in, 10, true); /* needed after all */
    (void)stream_rx_put(&rx, 0, in, 10, false);
    (void)stream_rx_put(&rx, 20, in, 10, true);
    stream_rx_sack(&rx, &s);
    assert_int_equal(s.spurious, 0);
    (void)stream_rx_put(&rx, 0, in, 10, true);
    (void)stream_rx_put(&rx, 22, in, 8, true);
    (void)stream_rx_put(&rx, 22, in, 9, true); /* one byte of it is new */
    stream_rx_sack(&rx, &s);
    assert_int_equal(s.spurious, 2);
}

/* The set of ranges against a plain array of flags. */
static void test_ranges_against_array(void **state)
{
    (void)state;
    enum { SPAN = 400 };
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint64_t r = seed;
        struct ranges s = {.n = 0};
        bool in[SPAN] = {false};
        uint64_t most = 1 + rnd(&r) % 40;
        for (int i = 0; i < 400; i++) {
            uint64_t start = rnd(&r) % SPAN;
            uint64_t end = start + 1 + rnd(&r) % most;
            end = end < SPAN ? end : SPAN;
            bool all = true;
            switch (rnd(&r) % 4) {
            case 0:
            case 1:
                if (ranges_add(&s, start, end))
                    memset(in + start, true, end - start);
                else
                    assert_int_equal(s.n, RANGES_MAX);
                break;
            case 2:
                if (s.n < RANGES_MAX) {
                    ranges_remove(&s, start, end);
                    memset(in + start, false, end - start);
                }
                break;
            case 3:
                if (chance(&r, 5)) {
                    ranges_remove_below(&s, start);
                    memset(in, false, start);
                }
            }
            uint64_t bytes = 0, n = 0, hole = start, hole_start, hole_end;
            for (uint64_t k = 0; k < SPAN; k++) {
                bytes += in[k];
                n += in[k] && (k == 0 || !in[k - 1]);
            }
            assert_true(s.bytes == bytes && s.n == n);
            for (uint64_t k = start; k < end; k++)
                all = all && in[k];
            assert_int_equal(ranges_hold(&s, start, end), all);
            while (hole < end && in[hole])
                hole++;
            bool found = ranges_hole(&s, start, end, &hole_start, &hole_end);
            assert_true(found == (hole < end) && (!found || hole_start == hole));
            for (uint64_t k = hole_start; found && k < hole_end; k++)
                assert_false(in[k]);
            assert_true(!found || hole_end == end || in[hole_end]);
        }
    }
}

static void test_flight(void **state)
{
    (void)state;
    struct flight *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t off = 0;
        for (unsigned i = 0; i < 2000; i++, off += 100)
            flight_push(f, 10 * i, off, 100);
        assert_true(f->n < FLIGHT_MAX);
        assert_int_equal(flight_until(f, 0), 1);
        assert_int_equal(flight_until(f, 95), 10);
        assert_int_equal(flight_until(f, UINT64_MAX), f->n);
        uint64_t at = 0;
        for (unsigned i = 0; i < f->n; i++) {
            const struct flight_piece *p = flight_at(f, i);
            assert_true(p->off == at && p->merged == (p->len > 100));
            at += p->len;
            assert_int_equal(p->stamp, at / 10 - 10); /* of the newest byte in it */
        }
        assert_int_equal(at, off);
        for (unsigned i = 0; i < f->n; i++)
            flight_at(f, i)->len = i == 300 ? 1 : 0;
        flight_pop_done(f);
        assert_int_equal(flight_at(f, 0)->len, 1);
        flight_at(f, 0)->len = 0;
        flight_pop_done(f);
        assert_int_equal(f->n, 0);
    }
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut_and_order),
        cmocka_unit_test(test_receiver_results),
        cmocka_unit_test(test_too_many_holes),
        cmocka_unit_test(test_ranges_take_turns),
        cmocka_unit_test(test_spurious_count),
        cmocka_unit_test(test_ranges_against_array),
        cmocka_unit_test(test_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
