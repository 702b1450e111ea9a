// LINK: net/wire.c -lsodium
/* The codec: encode and decode are inverse functions, and nothing but a whole valid datagram is
 * ever taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/wire.h"
#include "raftd/core/bytes.h"

enum { SELF = 2, PEER = 1, ROUNDS = 300 };

static const uint64_t CLUSTER = UINT64_C(0x1122334455667788);

static uint64_t rnd(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* All widths of numbers, extremes included. */
static uint64_t rnd_u64(uint64_t *seed)
{
    uint64_t v = rnd(seed) >> (rnd(seed) % 64);
    return rnd(seed) % 16 == 0 ? UINT64_MAX : v;
}

static uint32_t rnd_u32(uint64_t *seed)
{
    return (uint32_t)rnd_u64(seed);
}

static bool rnd_bool(uint64_t *seed)
{
    return rnd(seed) & 1;
}

static struct raft_msg random_msg(enum raft_msg_type type, uint64_t term, uint64_t *s)
{
    struct raft_msg m;
    memset(&m, 0, sizeof m);
    m.type = type;
    m.from = PEER;
    m.to = SELF;
    m.term = term;
    switch (type) {
    case RAFT_MSG_VOTE_REQ:
        m.vote_req.pre = rnd_bool(s);
        m.vote_req.campaign = rnd_u64(s);
        m.vote_req.vote_term = rnd_u64(s);
        m.vote_req.last_index = rnd_u64(s);
        m.vote_req.last_term = rnd_u64(s);
        break;
    case RAFT_MSG_VOTE_RSP:
        m.vote_rsp.pre = rnd_bool(s);
        m.vote_rsp.granted = rnd_bool(s);
        m.vote_rsp.campaign = rnd_u64(s);
        m.vote_rsp.vote_term = rnd_u64(s);
        break;
    case RAFT_MSG_PROBE:
        m.probe.probe = rnd_u32(s);
        m.probe.prev_index = rnd_u64(s);
        m.probe.prev_term = rnd_u64(s);
        break;
    case RAFT_MSG_PROBE_ACK:
        m.probe_ack.probe = rnd_u32(s);
        m.probe_ack.boot = rnd_u32(s);
        m.probe_ack.match = rnd_bool(s);
        m.probe_ack.prev_index = rnd_u64(s);
        m.probe_ack.hint_index = rnd_u64(s);
        m.probe_ack.hint_term = rnd_u64(s);
        break;
    case RAFT_MSG_LEAD:
        m.lead.round = rnd_u64(s);
        m.lead.commit = rnd_u64(s);
        m.lead.epoch = rnd_u32(s);
        m.lead.ack_now = rnd_bool(s);
        break;
    case RAFT_MSG_ACK:
        m.ack.round = rnd_u64(s);
        m.ack.durable = rnd_u64(s);
        m.ack.epoch = rnd_u32(s);
        m.ack.boot = rnd_u32(s);
        m.ack.need_probe = rnd_bool(s);
        break;
    case RAFT_MSG_PING: break;
    case RAFT_MSG_READ_REQ: m.read_req.req = rnd_u64(s); break;
    case RAFT_MSG_READ_RSP:
        m.read_rsp.req = rnd_u64(s);
        m.read_rsp.index = rnd_u64(s);
        break;
    }
    return m;
}

static struct wire_header random_header(uint64_t *s)
{
    struct wire_header h;
    memset(&h, 0, sizeof h);
    h.from = PEER;
    h.to = SELF;
    h.rx_cnt = (uint16_t)rnd(s);
    h.hold = (uint16_t)rnd(s);
    h.cluster = CLUSTER;
    h.term = rnd_u64(s);
    h.ts = rnd_u32(s);
    h.ts_echo = rnd_u32(s);
    h.echo = rnd_bool(s);
    return h;
}

static const struct wire_header PLAIN = {
    .from = PEER, .to = SELF, .cluster = UINT64_C(0x1122334455667788), .term = 7};

static enum wire_status check(const uint8_t *buf, size_t len, struct wire_header *h)
{
    return wire_check(buf, len, CLUSTER, SELF, h);
}

/* A header and the given bytes as frames, with a right `check`. */
static size_t datagram_of(uint8_t *buf, const uint8_t *frames, size_t len)
{
    struct wire_writer w;
    wire_begin(&w, buf, WIRE_DATAGRAM_TAKEN, PLAIN.term);
    memcpy(buf + w.len, frames, len);
    w.len += len;
    return wire_end(&w, &PLAIN);
}

static void expect_header(const struct wire_header *a, const struct wire_header *b)
{
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->to, b->to);
    assert_int_equal(a->rx_cnt, b->rx_cnt);
    assert_int_equal(a->hold, b->hold);
    assert_true(a->cluster == b->cluster);
    assert_true(a->term == b->term);
    assert_int_equal(a->ts, b->ts);
    assert_int_equal(a->ts_echo, b->ts_echo);
    assert_int_equal(a->echo, b->echo);
}

static void test_messages_are_identical(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int t = RAFT_MSG_VOTE_REQ; t <= RAFT_MSG_READ_RSP; t++) {
        for (int i = 0; i < ROUNDS; i++) {
            uint8_t buf[WIRE_DATAGRAM_MAX];
            struct wire_header h = random_header(&seed);
            struct raft_msg m = random_msg((enum raft_msg_type)t, h.term, &seed);
            uint64_t end_off = rnd_u64(&seed);
            struct wire_writer w;
            wire_begin(&w, buf, sizeof buf, h.term);
            assert_true(wire_empty(&w));
            assert_true(wire_put_msg(&w, &m, end_off));
            assert_false(wire_empty(&w));
            size_t len = wire_end(&w, &h);
            assert_true(t != RAFT_MSG_LEAD || len == WIRE_HEARTBEAT_BYTES);

            struct wire_header got;
            assert_int_equal(check(buf, len, &got), WIRE_OK);
            expect_header(&got, &h);
            struct wire_reader r;
            struct wire_frame f;
            wire_read(&r, buf, len, &got);
            assert_true(wire_next(&r, &f));
            assert_int_equal(f.kind, WIRE_FRAME_MSG);
            assert_memory_equal(&f.msg, &m, sizeof m);
            assert_true(f.end_off == (t == RAFT_MSG_LEAD ? end_off : 0));
            assert_false(wire_next(&r, &f));
        }
    }
}

static void test_sacks_are_identical(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (unsigned n = 0; n <= WIRE_SACK_RANGES; n++) {
        struct wire_sack s;
        memset(&s, 0, sizeof s);
        s.stream = (uint8_t)rnd(&seed);
        s.id = rnd_u32(&seed);
        s.contig = rnd_u64(&seed);
        s.rwnd = rnd_u32(&seed);
        s.n = n;
        for (unsigned i = 0; i < n; i++)
            s.ranges[i] = (struct wire_range){rnd_u32(&seed), rnd_u32(&seed)};
        uint8_t buf[WIRE_DATAGRAM_MAX];
        struct wire_writer w;
        wire_begin(&w, buf, sizeof buf, PLAIN.term);
        assert_true(wire_put_sack(&w, &s));
        size_t len = wire_end(&w, &PLAIN);

        struct wire_header h;
        struct wire_reader r;
        struct wire_frame f;
        assert_int_equal(check(buf, len, &h), WIRE_OK);
        wire_read(&r, buf, len, &h);
        assert_true(wire_next(&r, &f));
        assert_int_equal(f.kind, WIRE_FRAME_SACK);
        assert_memory_equal(&f.sack, &s, sizeof s);
        assert_false(wire_next(&r, &f));
    }
}

static void test_data_is_identical(void **state)
{
    (void)state;
    uint64_t seed = 3;
    uint8_t bytes[2000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rnd(&seed);
    for (size_t len = 1; len <= sizeof bytes; len += 1 + rnd(&seed) % 7) {
        for (int stream = WIRE_STREAM_LOG; stream <= WIRE_STREAM_RELAY; stream++) {
            bool log = stream == WIRE_STREAM_LOG;
            struct wire_data d = {.stream = (uint8_t)stream,
                                  .id = rnd_u32(&seed),
                                  .base_index = log ? rnd_u64(&seed) : 0,
                                  .base_term = log ? rnd_u64(&seed) : 0,
                                  .off = rnd_u64(&seed),
                                  .bytes = bytes,
                                  .len = len};
            uint8_t buf[WIRE_DATAGRAM_MAX];
            struct wire_writer w;
            wire_begin(&w, buf, sizeof buf, PLAIN.term);
            size_t room = wire_room(&w, (enum wire_stream)stream);
            assert_int_equal(room, log ? 1124 : 1140);
            size_t put = wire_put_data(&w, &d);
            assert_int_equal(put, len < room ? len : room);
            assert_true(put < room || wire_put_data(&w, &d) == 0);
            size_t total = wire_end(&w, &PLAIN);
            assert_true(total <= WIRE_DATAGRAM_MAX);

            struct wire_header h;
            struct wire_reader r;
            struct wire_frame f;
            assert_int_equal(check(buf, total, &h), WIRE_OK);
            wire_read(&r, buf, total, &h);
            assert_true(wire_next(&r, &f));
            assert_int_equal(f.kind, WIRE_FRAME_DATA);
            assert_int_equal(f.data.stream, stream);
            assert_int_equal(f.data.id, d.id);
            assert_true(f.data.base_index == d.base_index && f.data.base_term == d.base_term);
            assert_true(f.data.off == d.off);
            assert_int_equal(f.data.len, put);
            assert_memory_equal(f.data.bytes, bytes, put);
            assert_true(f.data.bytes >= buf && f.data.bytes + put <= buf + total);
            assert_false(wire_next(&r, &f));
        }
    }
}

/* LEAD, SACK, PING and three bytes of LOG: all kinds of frame, padding included. */
static size_t mixed(uint8_t *buf, const struct wire_header *h)
{
    uint64_t seed = 4;
    struct raft_msg lead = random_msg(RAFT_MSG_LEAD, h->term, &seed);
    struct raft_msg ping = random_msg(RAFT_MSG_PING, h->term, &seed);
    struct wire_sack s = {.stream = 2, .id = 9, .contig = 100, .rwnd = 1000, .n = 1};
    s.ranges[0] = (struct wire_range){5, 6};
    struct wire_data d = {
        .stream = 1, .id = 3, .off = 8, .bytes = (const uint8_t *)"abc", .len = 3};
    struct wire_writer w;
    wire_begin(&w, buf, WIRE_DATAGRAM_MAX, h->term);
    assert_true(wire_put_msg(&w, &lead, 77));
    assert_true(wire_put_sack(&w, &s));
    assert_true(wire_put_msg(&w, &ping, 0));
    assert_int_equal(wire_put_data(&w, &d), 3);
    return wire_end(&w, h);
}

static void test_frames_keep_their_order(void **state)
{
    (void)state;
    uint8_t buf[WIRE_DATAGRAM_MAX];
    size_t len = mixed(buf, &PLAIN);
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    assert_int_equal(check(buf, len, &h), WIRE_OK);
    wire_read(&r, buf, len, &h);
    assert_true(wire_next(&r, &f) && f.kind == WIRE_FRAME_MSG && f.msg.type == RAFT_MSG_LEAD);
    assert_true(f.end_off == 77);
    assert_true(wire_next(&r, &f) && f.kind == WIRE_FRAME_SACK && f.sack.ranges[0].len == 6);
    assert_true(wire_next(&r, &f) && f.kind == WIRE_FRAME_MSG && f.msg.type == RAFT_MSG_PING);
    assert_true(wire_next(&r, &f) && f.kind == WIRE_FRAME_DATA && f.data.len == 3);
    assert_memory_equal(f.data.bytes, "abc", 3);
    assert_false(wire_next(&r, &f));
}

/* Cut at every length: refused as it is; with a right check only where a frame ends. */
static void test_truncation(void **state)
{
    (void)state;
    uint8_t whole[WIRE_DATAGRAM_MAX];
    memset(whole, 0xEE, sizeof whole);
    size_t len = mixed(whole, &PLAIN);
    assert_int_equal(whole[len - 1], 0); /* padding */
    const size_t ends[] = {44, 44 + 32, 44 + 32 + 32, 44 + 32 + 32 + 4};
    struct wire_header h;
    for (size_t n = 0; n < len; n++) {
        uint8_t buf[WIRE_DATAGRAM_MAX];
        memcpy(buf, whole, n);
        enum wire_status s = check(buf, n, &h);
        assert_int_equal(s, n < WIRE_HEADER_BYTES ? WIRE_SHORT : WIRE_CHECKSUM);
        if (n < WIRE_HEADER_BYTES)
            continue;
        bool end = false;
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
            end = end || ends[i] == n;
        wire_put_check(buf, n);
        assert_int_equal(check(buf, n, &h), end ? WIRE_OK : WIRE_MALFORMED);
    }
    assert_int_equal(len, 44 + 32 + 32 + 4 + 36);
}

static void test_every_flipped_bit_is_refused(void **state)
{
    (void)state;
    uint8_t buf[WIRE_DATAGRAM_MAX];
    size_t len = mixed(buf, &PLAIN);
    struct wire_header h;
    for (size_t bit = 0; bit < len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(check(buf, len, &h), WIRE_OK);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(check(buf, len, &h), WIRE_OK);
}

static void test_reasons(void **state)
{
    (void)state;
    uint8_t buf[2048] = {0};
    struct wire_header h;
    memset(&h, 0xA5, sizeof h);
    struct wire_header before = h;
    assert_int_equal(check(buf, 0, &h), WIRE_SHORT);
    assert_int_equal(check(buf, WIRE_HEADER_BYTES - 1, &h), WIRE_SHORT);
    assert_int_equal(check(buf, WIRE_DATAGRAM_TAKEN + 1, &h), WIRE_LONG);
    assert_int_equal(check(buf, sizeof buf, &h), WIRE_LONG);

    size_t len = mixed(buf, &PLAIN);
    for (unsigned v = 0; v < 256; v++) {
        buf[0] = (uint8_t)v;
        wire_put_check(buf, len);
        struct wire_header ignored;
        assert_int_equal(check(buf, len, &ignored), v == 0x10 ? WIRE_OK : WIRE_VERSION);
    }
    struct wire_header other = PLAIN;
    other.cluster++;
    len = mixed(buf, &other);
    assert_int_equal(check(buf, len, &h), WIRE_CLUSTER);
    other = PLAIN;
    other.to = SELF + 1;
    len = mixed(buf, &other);
    assert_int_equal(check(buf, len, &h), WIRE_NOT_FOR_US);
    len = mixed(buf, &PLAIN);
    buf[len - 1] ^= 1;
    assert_int_equal(check(buf, len, &h), WIRE_CHECKSUM);
    assert_memory_equal(&h, &before, sizeof h); /* refused: not touched */

    for (int s = WIRE_OK; s < WIRE_STATUS_COUNT; s++)
        for (int t = s + 1; t <= WIRE_STATUS_COUNT; t++)
            assert_string_not_equal(wire_status_name((enum wire_status)s),
                                    wire_status_name((enum wire_status)t));
}

static void test_random_bytes_are_refused(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < 20000; i++) {
        uint8_t buf[WIRE_DATAGRAM_TAKEN];
        size_t len = rnd(&seed) % sizeof buf;
        for (size_t k = 0; k < len; k++)
            buf[k] = (uint8_t)rnd(&seed);
        struct wire_header h;
        assert_int_not_equal(check(buf, len, &h), WIRE_OK);
        if (len < WIRE_HEADER_BYTES)
            continue;
        /* With a right envelope the frames are still judged, and never read outside. */
        buf[0] = 0x10;
        put_u64(buf + 8, CLUSTER);
        put_u16(buf + 4, SELF);
        wire_put_check(buf, len);
        if (check(buf, len, &h) != WIRE_OK)
            continue;
        struct wire_reader r;
        struct wire_frame f;
        wire_read(&r, buf, len, &h);
        while (wire_next(&r, &f))
            assert_true(f.kind <= WIRE_FRAME_DATA);
    }
}

static enum wire_status status_of(const uint8_t *frames, size_t len)
{
    uint8_t buf[WIRE_DATAGRAM_TAKEN];
    struct wire_header h;
    size_t n = datagram_of(buf, frames, len);
    return check(buf, n, &h);
}

static void test_unknown_frames(void **state)
{
    (void)state;
    /* Optional, five bytes (three of padding, not zero), then READ_REQ with a longer body. */
    const uint8_t known[] = {0x31, 0xFF, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xC0, 0xFE, 12, 0,
                             42,   0,    0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0x7F, 0,    0,  0};
    uint8_t buf[WIRE_DATAGRAM_TAKEN];
    size_t len = datagram_of(buf, known, sizeof known);
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    assert_int_equal(check(buf, len, &h), WIRE_OK);
    wire_read(&r, buf, len, &h);
    assert_true(wire_next(&r, &f) && f.msg.type == RAFT_MSG_READ_REQ);
    assert_true(f.msg.read_req.req == 42);
    assert_false(wire_next(&r, &f));

    for (unsigned type = 0; type < 256; type++) {
        const uint8_t frame[] = {(uint8_t)type, 0, 0, 0};
        switch (type) {
        case WIRE_PING: assert_int_equal(status_of(frame, 4), WIRE_OK); break;
        case WIRE_LEAD:
        case WIRE_ACK:
        case WIRE_PROBE:
        case WIRE_PROBE_ACK:
        case WIRE_SACK:
        case WIRE_LOG:
        case WIRE_RELAY:
        case WIRE_VOTE_REQ:
        case WIRE_VOTE_RSP:
        case WIRE_READ_REQ:
        case WIRE_READ_RSP: assert_int_equal(status_of(frame, 4), WIRE_MALFORMED); break;
        default:
            assert_int_equal(status_of(frame, 4),
                             type & WIRE_CRITICAL ? WIRE_UNKNOWN_CRITICAL : WIRE_OK);
        }
    }
}

/* Each known body one byte shorter than its fixed part is refused, longer is taken. */
static void test_body_lengths(void **state)
{
    (void)state;
    const struct {
        uint8_t type;
        uint16_t fixed;
    } known[] = {{0x30, 0},  {0x81, 28}, {0x82, 24}, {0x83, 20}, {0x84, 32}, {0x85, 20},
                 {0x90, 28}, {0x91, 12}, {0xA0, 32}, {0xA1, 16}, {0xC0, 8},  {0xC1, 16}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        for (uint16_t body = 0; body <= 64; body++) {
            uint8_t frame[4 + 64] = {known[i].type};
            put_u16(frame + 2, body);
            size_t len = 4 + ((body + 3u) & ~3u);
            assert_int_equal(status_of(frame, len),
                             body < known[i].fixed ? WIRE_MALFORMED : WIRE_OK);
            assert_int_equal(status_of(frame, len - 1), WIRE_MALFORMED);
        }
    }
    const uint8_t huge[] = {0x30, 0, 0xFF, 0xFF, 0, 0, 0, 0};
    assert_int_equal(status_of(huge, sizeof huge), WIRE_MALFORMED);

    for (unsigned n = 0; n < 256; n++) {
        uint8_t frame[4 + 20 + 64] = {0x85, 0, 84, 0, 1, (uint8_t)n};
        assert_int_equal(status_of(frame, sizeof frame), n <= 8 ? WIRE_OK : WIRE_MALFORMED);
        put_u16(frame + 2, 83);
        assert_int_equal(status_of(frame, sizeof frame), n <= 7 ? WIRE_OK : WIRE_MALFORMED);
    }
    const uint8_t nine[4 + 20 + 72] = {0x85, 0, 92, 0, 1, 9}; /* they would fit */
    assert_int_equal(status_of(nine, sizeof nine), WIRE_MALFORMED);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    uint64_t seed = 6;
    for (size_t cap = WIRE_HEADER_BYTES; cap <= 200; cap++) {
        uint8_t buf[200];
        memset(buf, 0xEE, sizeof buf);
        struct wire_writer w;
        wire_begin(&w, buf, cap, 7);
        struct raft_msg other = random_msg(RAFT_MSG_LEAD, 8, &seed);
        assert_false(wire_put_msg(&w, &other, 0));
        struct raft_msg m = random_msg(RAFT_MSG_LEAD, 7, &seed);
        while (wire_put_msg(&w, &m, 0))
            continue;
        struct wire_sack s = {.n = 0};
        while (wire_put_sack(&w, &s))
            continue;
        struct wire_data d = {.stream = 2, .bytes = (const uint8_t *)"0123456789", .len = 10};
        while (wire_put_data(&w, &d) > 0)
            continue;
        assert_int_equal(wire_room(&w, WIRE_STREAM_RELAY), 0);
        size_t len = wire_end(&w, &PLAIN);
        assert_true(len <= cap);
        for (size_t i = cap; i < sizeof buf; i++)
            assert_int_equal(buf[i], 0xEE);
        struct wire_header h;
        assert_int_equal(check(buf, len, &h), WIRE_OK);
    }
}

/* The bytes themselves: whoever changes them breaks every running cluster. */
static void test_golden_bytes(void **state)
{
    (void)state;
    const struct wire_header h = {.from = 0x0102,
                                  .to = SELF,
                                  .rx_cnt = 0x0304,
                                  .hold = 0x0506,
                                  .cluster = CLUSTER,
                                  .term = UINT64_C(0x0708090a0b0c0d0e),
                                  .ts = 0x11121314,
                                  .ts_echo = 0x15161718,
                                  .echo = true};
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .term = h.term};
    m.lead.round = UINT64_C(0x2122232425262728);
    m.lead.commit = UINT64_C(0x3132333435363738);
    m.lead.epoch = 0x51525354;
    m.lead.ack_now = true;
    uint8_t buf[WIRE_DATAGRAM_MAX];
    struct wire_writer w;
    wire_begin(&w, buf, sizeof buf, h.term);
    assert_true(wire_put_msg(&w, &m, UINT64_C(0x4142434445464748)));
    size_t len = wire_end(&w, &h);
    char hex[2 * WIRE_HEARTBEAT_BYTES + 1];
    assert_int_equal(len, WIRE_HEARTBEAT_BYTES);
    for (size_t i = 0; i < len; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", buf[i]);
    assert_string_equal(hex, "10010201"
                             "02000403"
                             "8877665544332211"
                             "71c1280fb0d6f030"
                             "0e0d0c0b0a090807"
                             "14131211"
                             "18171615"
                             "06050000"
                             "81011c00"
                             "2827262524232221"
                             "3837363534333231"
                             "4847464544434241"
                             "54535251");
}

static void test_cluster_id(void **state)
{
    (void)state;
    assert_true(wire_cluster_id("demo") == UINT64_C(0x007bf453d22ed475));
    assert_true(wire_cluster_id("demo") != wire_cluster_id("demo2"));
    assert_true(wire_cluster_id("") != wire_cluster_id("demo"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_are_identical),
        cmocka_unit_test(test_sacks_are_identical),
        cmocka_unit_test(test_data_is_identical),
        cmocka_unit_test(test_frames_keep_their_order),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_random_bytes_are_refused),
        cmocka_unit_test(test_unknown_frames),
        cmocka_unit_test(test_body_lengths),
        cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_cluster_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
