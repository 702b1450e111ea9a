// LINK: net/wire.c tests/lib/wire_frames.c -lsodium
/* The codec against damage, lies and news: a payload is taken whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "net/wire.h"
#include "raftd/base/bytes.h"
#include "tests/lib/wire_frames.h"

enum { HEAD = WIRE_PREAMBLE_BYTES, MAX = WIRE_DATAGRAM_MAX };

static uint64_t rnd(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool passes(const uint8_t *frames, size_t len)
{
    uint8_t buf[MAX];
    struct wire_header h;
    return payload_check(buf, payload_of(buf, frames, len), &h);
}

/* Cut at every length: taken only where a frame ends, and then with all frames before. */
static void test_truncation(void **state)
{
    (void)state;
    uint8_t buf[MAX], out[MAX];
    size_t ends[GOLDEN_FRAMES + 1];
    size_t len = payload_all(buf, ends);
    unsigned whole = 0; /* frames before the cut, padding included */
    for (size_t n = 0; n <= len; n++) {
        struct wire_header h;
        bool end = n == HEAD;
        if (n > HEAD && whole <= GOLDEN_FRAMES && ends[whole] == n) {
            end = true;
            whole++;
        }
        bool want = n >= HEAD && end;
        assert_int_equal(payload_check(buf, n, &h), want);
        if (!end)
            continue;
        unsigned frames;
        (void)payload_rewrite(buf, n, out, &frames);
        assert_int_equal(frames, whole <= GOLDEN_FRAMES / 2 ? whole : whole - 1);
    }
    assert_int_equal(whole, GOLDEN_FRAMES + 1);
}

/* Any one byte with any other value: refused, or it means something that survives writing. */
static void test_every_changed_byte(void **state)
{
    (void)state;
    uint8_t buf[MAX], out[MAX], again[MAX];
    size_t ends[GOLDEN_FRAMES + 1];
    size_t len = payload_all(buf, ends);
    unsigned taken = 0, refused = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t right = buf[i];
        for (unsigned v = 0; v < 256; v++) {
            struct wire_header h;
            unsigned frames;
            buf[i] = (uint8_t)v;
            if (!payload_check(buf, len, &h)) {
                refused++;
                continue;
            }
            taken++;
            size_t n = payload_rewrite(buf, len, out, &frames);
            assert_true(n <= len);
            assert_int_equal(payload_rewrite(out, n, again, &frames), n);
            assert_memory_equal(out, again, n);
        }
        buf[i] = right;
    }
    assert_true(taken > 0 && refused > 0);
}

static void test_random_bytes(void **state)
{
    (void)state;
    static const uint8_t types[] = {0x30, 0x31, 0x32, 0x43, 0x3F, 0x81, 0x82,
                                    0x83, 0x84, 0x85, 0x90, 0x91, 0x92, 0xA0,
                                    0xA1, 0xC0, 0xC1, 0x00, 0x7F, 0x80, 0xFF};
    uint64_t seed = 5;
    unsigned taken = 0;
    for (int i = 0; i < 30000; i++) {
        uint8_t buf[MAX], out[MAX];
        size_t len = rnd(&seed) % (i % 2 == 0 ? MAX + 1 : 160);
        for (size_t k = 0; k < len; k++)
            buf[k] = (uint8_t)rnd(&seed);
        /* Half of them begin with the head of a frame that may be right. */
        if (i % 2 == 1 && len >= HEAD + 4) {
            buf[HEAD] = types[rnd(&seed) % sizeof types];
            put_u16(buf + HEAD + 2, (uint16_t)(len - HEAD - 4));
            uint64_t v = rnd(&seed);
            if (len >= HEAD + 8 && v % 2 == 0) /* counts within their limits */
                put_u16(buf + HEAD + 4, (uint16_t)((v >> 8) % 10 | (v >> 32) % 10 << 8));
        }
        struct wire_header h;
        unsigned frames;
        if (!payload_check(buf, len, &h))
            continue;
        taken++;
        assert_true(payload_rewrite(buf, len, out, &frames) <= len);
    }
    assert_true(taken > 1000);
}

static void test_unknown_frames(void **state)
{
    (void)state;
    /* Optional, five bytes (three of padding, not zero), then READ_REQ with a longer body. */
    const uint8_t known[] = {0x34, 0xFF, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xC0, 0xFE, 12, 0,
                             42,   0,    0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0x7F, 0,    0,  0};
    uint8_t buf[MAX];
    size_t len = payload_of(buf, known, sizeof known);
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    assert_true(payload_check(buf, len, &h));
    wire_read(&r, buf, len, FRAMES_FROM, FRAMES_TO);
    assert_true(wire_next(&r, &f) && f.kind == WIRE_FRAME_MSG && f.msg.type == RAFT_MSG_READ_REQ);
    assert_true(f.msg.read_req.req == 42);
    assert_false(wire_next(&r, &f));

    for (unsigned type = 0; type < 256; type++) {
        const uint8_t frame[] = {(uint8_t)type, 0, 0, 0};
        bool want = (type & 0x80) == 0;
        for (size_t i = 0; i < GOLDEN_FRAMES; i++) {
            uint8_t bytes[256];
            (void)unhex(bytes, GOLDEN[i].hex);
            if (bytes[0] == type && type != 0x30 && type != 0x33)
                want = false; /* known, and too short */
        }
        assert_int_equal(passes(frame, sizeof frame), want);

        /* Behind frames that are right: the payload is taken whole or not at all. */
        size_t ends[GOLDEN_FRAMES + 1];
        len = payload_all(buf, ends);
        memcpy(buf + len, frame, sizeof frame);
        assert_int_equal(payload_check(buf, len + sizeof frame, &h), want);
    }
    /* A critical one that is cut is malformed: nothing is said about it before it is there. */
    const uint8_t cut[] = {0xFF, 0, 4, 0, 0, 0, 0};
    assert_false(passes(cut, sizeof cut));
}

/* Every length that a head can tell, with 64 bytes behind it: too short for its type, or longer
 * than what is there. (Zeros behind a frame are unknown optional frames.) */
static void test_lies_about_lengths(void **state)
{
    (void)state;
    const struct {
        uint8_t type;
        unsigned fixed;
    } known[] = {{0x30, 0},  {0x31, 4},  {0x43, 12}, {0x3F, 0},  {0x81, 28},
                 {0x82, 24}, {0x83, 40}, {0x84, 32}, {0x85, 20}, {0x92, 16},
                 {0xA0, 32}, {0xA1, 24}, {0xC0, 8},  {0xC1, 16}, {0x00, 0} /* unknown, optional */};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        for (unsigned body = 0; body <= UINT16_MAX; body++) {
            uint8_t frame[4 + 64] = {known[i].type};
            put_u16(frame + 2, (uint16_t)body);
            bool right = body >= known[i].fixed && body <= 64;
            assert_int_equal(passes(frame, sizeof frame), right);
            if (!right)
                continue;
            /* One byte less than the padded body is none. */
            size_t len = 4 + ((body + 3u) & ~3u);
            assert_true(passes(frame, len));
            assert_false(passes(frame, len - 1));
        }
    }
}

/* Each count that a SACK can tell, in bodies that have room for it and in such that have not. */
static void test_lies_about_ranges(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 256; n++) {
        uint8_t frame[4 + 20 + 256 * 4] = {0x85, 0, 0, 0, 1, (uint8_t)n};
        for (unsigned body = 20; body <= sizeof frame - 4; body++) {
            put_u16(frame + 2, (uint16_t)body);
            bool right = n <= 8 && body >= 20 + 8 * n;
            assert_int_equal(passes(frame, 4 + ((body + 3u) & ~3u)), right);
        }
    }
}

/* The same for digests. */
static void test_lies_about_digests(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 256; n++) {
        uint8_t frame[4 + 12 + 256 * 4] = {0x43, [4 + 8] = (uint8_t)n};
        for (unsigned body = 12; body <= sizeof frame - 4; body++) {
            put_u16(frame + 2, (uint16_t)body);
            bool right = n <= 17 && body >= 12 + 18 * n;
            assert_int_equal(passes(frame, 4 + ((body + 3u) & ~3u)), right);
        }
    }
}

/* The same for rows and columns; the longest body has room for 14 x 90. */
static void test_lies_about_links(void **state)
{
    (void)state;
    enum { LONG = 4 + 14 * (2 + 90) };
    for (unsigned n = 0; n <= UINT16_MAX; n++) {
        unsigned rows = n % 256, cols = n / 256;
        uint8_t frame[4 + LONG] = {0x31, 0, 0, 0, (uint8_t)rows, (uint8_t)cols};
        bool known = rows <= 16 && cols <= 16;
        unsigned need = 4 + rows * (2 + cols);
        put_u16(frame + 2, LONG);
        assert_int_equal(passes(frame, sizeof frame), known);
        for (unsigned body = 4; known && body <= need + 4; body++) {
            put_u16(frame + 2, (uint16_t)body);
            assert_int_equal(passes(frame, 4 + ((body + 3u) & ~3u)), body >= need);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation),         cmocka_unit_test(test_every_changed_byte),
        cmocka_unit_test(test_random_bytes),       cmocka_unit_test(test_unknown_frames),
        cmocka_unit_test(test_lies_about_lengths), cmocka_unit_test(test_lies_about_ranges),
        cmocka_unit_test(test_lies_about_digests), cmocka_unit_test(test_lies_about_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
