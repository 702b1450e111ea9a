// LINK: net/wire.c tests/lib/wire_frames.c -lsodium
/* The codec: encode and decode are inverse functions, and the bytes are those of the table in
 * wire.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "net/wire.h"
#include "raftd/base/bytes.h"
#include "tests/lib/wire_frames.h"

enum { ROUNDS = 300, HEAD = WIRE_PREAMBLE_BYTES, MAX = WIRE_DATAGRAM_MAX };

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

static void random_msg(struct raft_msg *m, uint64_t *s)
{
    switch (m->type) {
    case RAFT_MSG_VOTE_REQ:
        m->vote_req.pre = rnd_bool(s);
        m->vote_req.handed = rnd_bool(s);
        m->vote_req.campaign = rnd_u64(s);
        m->vote_req.vote_term = rnd_u64(s);
        m->vote_req.last_index = rnd_u64(s);
        m->vote_req.last_term = rnd_u64(s);
        break;
    case RAFT_MSG_VOTE_RSP:
        m->vote_rsp.pre = rnd_bool(s);
        m->vote_rsp.granted = rnd_bool(s);
        m->vote_rsp.campaign = rnd_u64(s);
        m->vote_rsp.vote_term = rnd_u64(s);
        m->vote_rsp.removed = rnd_u64(s);
        break;
    case RAFT_MSG_PROBE:
        m->probe.probe = rnd_u32(s);
        m->probe.prev_index = rnd_u64(s);
        m->probe.prev_term = rnd_u64(s);
        m->probe.acked_index = rnd_u64(s);
        m->probe.acked_term = rnd_u64(s);
        m->probe.damaged_boot = rnd_u32(s);
        break;
    case RAFT_MSG_PROBE_ACK:
        m->probe_ack.probe = rnd_u32(s);
        m->probe_ack.boot = rnd_u32(s);
        m->probe_ack.match = rnd_bool(s);
        m->probe_ack.damaged = rnd_bool(s);
        m->probe_ack.prev_index = rnd_u64(s);
        m->probe_ack.hint_index = rnd_u64(s);
        m->probe_ack.hint_term = rnd_u64(s);
        break;
    case RAFT_MSG_LEAD:
        m->lead.round = rnd_u64(s);
        m->lead.commit = rnd_u64(s);
        m->lead.cluster_ms = rnd_u64(s);
        m->lead.epoch = rnd_u32(s);
        m->lead.ack_now = rnd_bool(s);
        m->lead.no_room = rnd_bool(s);
        m->lead.quiet = rnd_bool(s);
        break;
    case RAFT_MSG_ACK:
        m->ack.round = rnd_u64(s);
        m->ack.durable = rnd_u64(s);
        m->ack.epoch = rnd_u32(s);
        m->ack.boot = rnd_u32(s);
        m->ack.need_probe = rnd_bool(s);
        m->ack.unfit = rnd_bool(s);
        m->ack.damaged = rnd_bool(s);
        break;
    case RAFT_MSG_PING: break;
    case RAFT_MSG_READ_REQ: m->read_req.req = rnd_u64(s); break;
    case RAFT_MSG_READ_RSP:
        m->read_rsp.req = rnd_u64(s);
        m->read_rsp.index = rnd_u64(s);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        m->timeout_now.round = rnd_u64(s);
        m->timeout_now.last_index = rnd_u64(s);
        break;
    case RAFT_MSG_TRANSFER: m->transfer.heir = (uint16_t)rnd_u32(s); break;
    }
}

static void random_links(struct wire_links *l, unsigned rows, unsigned cols, bool aged, uint64_t *s)
{
    memset(l, 0, sizeof *l);
    l->rows = (uint8_t)rows;
    l->cols = (uint8_t)cols;
    l->members = (uint16_t)rnd(s);
    for (unsigned i = 0; i < rows; i++) {
        l->id[i] = (uint16_t)rnd(s);
        l->age[i] = aged ? (uint8_t)(1 + rnd(s) % 255) : 0;
        for (unsigned k = 0; k < cols; k++)
            l->heard[i][k] = (uint8_t)rnd(s);
    }
}

/* A frame of the type of GOLDEN[type] with other contents. */
static void random_frame(struct wire_frame *f, size_t type, uint64_t term, uint64_t *s)
{
    static const uint8_t bytes[8] = {0xFF, 1, 2, 3, 4, 5, 6, 0xFF};
    enum { SIDE = RAFT_VOTERS_MAX + 1 };
    memset(f, 0, sizeof *f);
    f->kind = GOLDEN[type].f.kind;
    switch (f->kind) {
    case WIRE_FRAME_MSG:
        f->msg.type = GOLDEN[type].f.msg.type;
        f->msg.from = FRAMES_FROM;
        f->msg.to = FRAMES_TO;
        f->msg.term = term;
        random_msg(&f->msg, s);
        break;
    case WIRE_FRAME_SACK:
        f->sack.stream = (uint8_t)rnd(s);
        f->sack.spurious = (uint16_t)rnd_u64(s);
        f->sack.id = rnd_u32(s);
        f->sack.contig = rnd_u64(s);
        f->sack.rwnd = rnd_u32(s);
        f->sack.shut = rnd_bool(s);
        f->sack.log_full = rnd_bool(s);
        f->sack.n = (uint8_t)(rnd(s) % (WIRE_SACK_RANGES + 1));
        for (unsigned i = 0; i < f->sack.n; i++)
            f->sack.ranges[i] = (struct wire_range){rnd_u32(s), rnd_u32(s)};
        break;
    case WIRE_FRAME_OFFER:
        f->offer.index = rnd_u64(s);
        f->offer.term = rnd_u64(s);
        f->offer.size = rnd_u64(s);
        f->offer.id = (uint32_t)rnd_u64(s);
        for (size_t i = 0; i < sizeof f->offer.hash; i++)
            f->offer.hash[i] = (uint8_t)rnd(s);
        break;
    case WIRE_FRAME_DATA:
        f->data.stream = (uint8_t)rnd(s);
        f->data.id = rnd_u32(s);
        f->data.off = rnd_u64(s);
        f->data.again = rnd_bool(s);
        f->data.bytes = bytes;
        f->data.len = (size_t)(1 + rnd(s) % sizeof bytes);
        break;
    case WIRE_FRAME_LINKS:
        random_links(&f->links, (unsigned)(rnd(s) % SIDE), (unsigned)(rnd(s) % SIDE), rnd_bool(s),
                     s);
        break;
    case WIRE_FRAME_SETTINGS:
        f->settings.n = (unsigned)(rnd(s) % (WIRE_SETTING_COUNT + 1));
        for (unsigned i = 0; i < f->settings.n; i++)
            f->settings.value[i] = rnd_u64(s);
        break;
    case WIRE_FRAME_DIGESTS:
        f->digests.index = rnd_u64(s);
        f->digests.ask = rnd_bool(s);
        f->digests.n = (uint8_t)(rnd(s) % SIDE);
        for (unsigned i = 0; i < f->digests.n; i++) {
            f->digests.id[i] = (uint16_t)rnd_u64(s);
            for (unsigned k = 0; k < WIRE_DIGEST_BYTES; k++)
                f->digests.digest[i][k] = (uint8_t)rnd_u64(s);
        }
        break;
    case WIRE_FRAME_VITALS:
        f->vitals.id = (uint16_t)rnd_u32(s);
        f->vitals.age = rnd_u32(s);
        f->vitals.version = rnd_u32(s);
        f->vitals.fsync_p99_us = rnd_u32(s);
        f->vitals.uptime_s = rnd_u32(s);
        f->vitals.session = (uint8_t)rnd(s);
        f->vitals.heard = rnd_u32(s);
        f->vitals.match_index = rnd_u64(s);
        f->vitals.lag_bytes = rnd_u64(s);
        f->vitals.lag_most_bytes = rnd_u64(s);
        f->vitals.rate = rnd_u32(s);
        f->vitals.health = (uint8_t)rnd(s);
        f->vitals.drained = (rnd(s) & 1) != 0;
        f->vitals.applied_index = rnd_u64(s);
        f->vitals.log_bytes = rnd_u64(s);
        f->vitals.data_bytes = rnd_u64(s);
        f->vitals.keys = rnd_u64(s);
        f->vitals.snapshot_index = rnd_u64(s);
        f->vitals.snapshot_age_s = rnd_u32(s);
        f->vitals.rtt_us = rnd_u32(s);
        f->vitals.loss_in = (uint16_t)rnd_u32(s);
        f->vitals.loss_out = (uint16_t)rnd_u32(s);
        break;
    case WIRE_FRAME_CHANGE:
        f->change.number = rnd_u64(s);
        f->change.bytes = bytes;
        f->change.len = (size_t)(rnd(s) % sizeof bytes);
        break;
    case WIRE_FRAME_CHANGED:
        f->changed.number = rnd_u64(s);
        f->changed.index = rnd_u64(s);
        f->changed.term = rnd_u64(s);
        f->changed.verdict = (uint8_t)rnd(s);
        break;
    case WIRE_FRAME_LEASE:
        f->lease.renewed = rnd_bool(s);
        f->lease.process = rnd_u64(s);
        f->lease.stamp = rnd_u64(s);
        f->lease.index = rnd_u64(s);
        break;
    }
}

static size_t rewrite_frame(const uint8_t *frame, size_t len, uint8_t *out)
{
    uint8_t buf[MAX], again[MAX];
    unsigned count;
    size_t n = payload_rewrite(buf, payload_of(buf, frame, len), again, &count);
    assert_int_equal(count, 1);
    memcpy(out, again + HEAD, n - HEAD);
    return n - HEAD;
}

/* The bytes themselves: whoever changes them breaks every running cluster. */
static void test_golden_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_FRAMES; i++) {
        uint8_t buf[MAX], bytes[256];
        memset(buf, 0xEE, sizeof buf);
        struct wire_frame want = golden(i), f;
        struct wire_writer w;
        wire_begin(&w, buf, sizeof buf, FRAMES_TERM);
        assert_true(wire_empty(&w));
        assert_true(frame_put(&w, &want));
        assert_false(wire_empty(&w));
        size_t len = wire_end(&w, &FRAMES_HEADER);
        assert_int_equal(unhex(bytes, GOLDEN[i].hex), len - HEAD);
        assert_memory_equal(buf + HEAD, bytes, len - HEAD);

        struct wire_reader r;
        len = payload_of(buf, bytes, len - HEAD);
        wire_read(&r, buf, len, FRAMES_FROM, FRAMES_TO);
        assert_true(wire_next(&r, &f));
        assert_true(frame_same(&f, &want));
        assert_false(wire_next(&r, &f));
    }
}

static void test_golden_preamble(void **state)
{
    (void)state;
    const struct wire_header h = {.term = FRAMES_TERM,
                                  .ts = 0x11121314,
                                  .ts_echo = 0x15161718,
                                  .hold = 0x0506,
                                  .tx_cnt = 0x0304,
                                  .loss = 0x99,
                                  .echo = true};
    uint8_t buf[MAX], want[HEAD];
    memset(buf, 0xEE, sizeof buf);
    struct wire_writer w;
    wire_begin(&w, buf, HEAD, FRAMES_TERM);
    assert_int_equal(wire_end(&w, &h), HEAD);
    assert_int_equal(unhex(want, "0e0d0c0b0a090807"
                                 "14131211"
                                 "18171615"
                                 "0605"
                                 "0403"
                                 "01"
                                 "99"
                                 "0000"),
                     HEAD);
    assert_memory_equal(buf, want, HEAD);

    /* Reserved bits and bytes say nothing. */
    for (unsigned bits = 0; bits < 256; bits++) {
        struct wire_header got;
        buf[20] = (uint8_t)bits;
        put_u16(buf + 22, (uint16_t)(bits * 257));
        assert_true(payload_check(buf, HEAD, &got));
        assert_true(got.term == h.term);
        assert_int_equal(got.ts, h.ts);
        assert_int_equal(got.ts_echo, h.ts_echo);
        assert_int_equal(got.hold, h.hold);
        assert_int_equal(got.tx_cnt, h.tx_cnt);
        assert_int_equal(got.loss, h.loss);
        assert_int_equal(got.echo, bits & 1);
        assert_int_equal(got.waited, bits >> 1 & 1);
        assert_int_equal(got.awaits, bits >> 2 & 1);
    }
}

static void test_frames_are_identical(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t type = 0; type < GOLDEN_FRAMES; type++) {
        for (int i = 0; i < ROUNDS; i++) {
            struct wire_header h = {.term = rnd_u64(&seed),
                                    .ts = rnd_u32(&seed),
                                    .ts_echo = rnd_u32(&seed),
                                    .hold = (uint16_t)rnd(&seed),
                                    .tx_cnt = (uint16_t)rnd(&seed),
                                    .loss = (uint8_t)rnd(&seed),
                                    .echo = rnd_bool(&seed),
                                    .waited = rnd_bool(&seed),
                                    .awaits = rnd_bool(&seed)};
            struct wire_frame want, f;
            random_frame(&want, type, h.term, &seed);
            uint8_t buf[MAX];
            struct wire_writer w;
            wire_begin(&w, buf, sizeof buf, h.term);
            assert_true(frame_put(&w, &want));
            size_t len = wire_end(&w, &h);

            struct wire_header got;
            assert_true(payload_check(buf, len, &got));
            assert_true(got.term == h.term && got.ts == h.ts && got.ts_echo == h.ts_echo);
            assert_true(got.hold == h.hold && got.tx_cnt == h.tx_cnt && got.loss == h.loss);
            assert_int_equal(got.echo, h.echo);
            assert_int_equal(got.waited, h.waited);
            assert_int_equal(got.awaits, h.awaits);
            struct wire_reader r;
            wire_read(&r, buf, len, FRAMES_FROM, FRAMES_TO);
            assert_true(wire_next(&r, &f));
            assert_true(frame_same(&f, &want));
            assert_false(wire_next(&r, &f));
        }
    }
}

static void test_links_of_all_sizes(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (unsigned rows = 0; rows <= RAFT_MEMBERS_MAX; rows++) {
        for (unsigned cols = 0; cols <= RAFT_MEMBERS_MAX; cols++) {
            struct wire_frame want = {.kind = WIRE_FRAME_LINKS}, f;
            bool aged = rnd_bool(&seed);
            random_links(&want.links, rows, cols, aged, &seed);
            uint8_t buf[MAX];
            struct wire_writer w;
            wire_begin(&w, buf, sizeof buf, FRAMES_TERM);
            assert_true(wire_put_links(&w, &want.links));
            size_t len = wire_end(&w, &FRAMES_HEADER);
            assert_int_equal(len, HEAD + 4 + ((4 + rows * (2 + cols + aged) + 3) & ~3u));
            struct wire_reader r;
            struct wire_header h;
            assert_true(payload_check(buf, len, &h));
            wire_read(&r, buf, len, FRAMES_FROM, FRAMES_TO);
            assert_true(wire_next(&r, &f));
            assert_true(frame_same(&f, &want));
        }
    }
}

/* Data of any length: as much as fits. */
static void test_data_is_cut(void **state)
{
    (void)state;
    uint64_t seed = 3;
    uint8_t bytes[2000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rnd(&seed);
    for (size_t len = 1; len <= sizeof bytes; len += 1 + rnd(&seed) % 7) {
        for (int stream = WIRE_STREAM_LOG; stream <= WIRE_STREAM_RELAY; stream++) {
            struct wire_frame want = {.kind = WIRE_FRAME_DATA,
                                      .data = {.stream = (uint8_t)stream,
                                               .id = rnd_u32(&seed),
                                               .off = rnd_u64(&seed),
                                               .bytes = bytes,
                                               .len = len,
                                               .again = rnd_bool(&seed)}};
            uint8_t buf[MAX];
            struct wire_writer w;
            wire_begin(&w, buf, WIRE_DATAGRAM_BASE, FRAMES_TERM);
            size_t room = wire_room(&w);
            assert_int_equal(room, 1156);
            size_t n = wire_put_data(&w, &want.data);
            assert_int_equal(n, len < room ? len : room);
            assert_true(n < room || wire_put_data(&w, &want.data) == 0);
            size_t total = wire_end(&w, &FRAMES_HEADER);
            assert_true(total <= WIRE_DATAGRAM_BASE && total % 4 == 0);

            struct wire_header h;
            struct wire_reader r;
            struct wire_frame f;
            want.data.len = n;
            assert_true(payload_check(buf, total, &h));
            wire_read(&r, buf, total, FRAMES_FROM, FRAMES_TO);
            assert_true(wire_next(&r, &f));
            assert_true(frame_same(&f, &want));
            assert_true(f.data.bytes >= buf && f.data.bytes + n <= buf + total);
            assert_false(wire_next(&r, &f));
        }
    }
}

/* Flags with a meaning are carried, others neither disturb nor come back. */
static void test_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_FRAMES; i++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            uint8_t frame[256], out[MAX];
            size_t len = unhex(frame, GOLDEN[i].hex);
            frame[1] = (uint8_t)flags;
            assert_int_equal(rewrite_frame(frame, len, out), len);
            frame[1] = (uint8_t)(flags & GOLDEN[i].flags);
            assert_memory_equal(out, frame, len);
        }
    }
}

/* Reserved bytes, the padding of a body and what a later version adds behind it say nothing. */
static void test_what_is_ignored(void **state)
{
    (void)state;
    const struct {
        const char *sent, *meant;
    } cases[] = {
        {"31000e00020312112221ff0064323107ff08ffff", "31000e00020312112221ff0064323107ff080000"},
        {"92001100282726252423222134333231"
         "02ffffff"
         "61ffffff",
         "92001100282726252423222134333231"
         "02000000"
         "61000000"},
        {"310004000009ffff", "310004000009ffff"},
    };
    uint8_t frame[MAX], want[MAX], out[MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = unhex(frame, cases[i].sent);
        assert_int_equal(unhex(want, cases[i].meant), len);
        assert_int_equal(rewrite_frame(frame, len, out), len);
        assert_memory_equal(out, want, len);
    }
    for (size_t i = 0; i < GOLDEN_FRAMES; i++) {
        if (GOLDEN[i].f.kind == WIRE_FRAME_DATA || GOLDEN[i].f.kind == WIRE_FRAME_CHANGE)
            continue;
        size_t len = unhex(want, GOLDEN[i].hex);
        size_t body = get_u16(want + 2);
        for (size_t more = 1; more <= 600; more++) {
            memset(frame, 0xEE, sizeof frame);
            memcpy(frame, want, 4 + body);
            put_u16(frame + 2, (uint16_t)(body + more));
            assert_int_equal(rewrite_frame(frame, 4 + ((body + more + 3) & ~(size_t)3), out), len);
            assert_memory_equal(out, want, len);
        }
    }
}

static void test_frames_keep_their_order(void **state)
{
    (void)state;
    uint8_t buf[MAX];
    size_t ends[GOLDEN_FRAMES + 1];
    size_t len = payload_all(buf, ends);
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    assert_true(payload_check(buf, len, &h));
    wire_read(&r, buf, len, FRAMES_FROM, FRAMES_TO);
    for (size_t i = 0; i < GOLDEN_FRAMES; i++) {
        struct wire_frame want = golden(i);
        assert_true(wire_next(&r, &f));
        assert_true(frame_same(&f, &want));
    }
    assert_false(wire_next(&r, &f));
    assert_false(wire_next(&r, &f));
}

/* Whatever does not fit is refused and leaves no trace, at every size of payload. */
static void test_writer_refuses(void **state)
{
    (void)state;
    for (size_t cap = HEAD; cap <= 200; cap++) {
        for (size_t i = 0; i < GOLDEN_FRAMES; i++) {
            uint8_t buf[256], before[256], bytes[256], out[MAX];
            struct wire_frame f = golden(i);
            size_t size = unhex(bytes, GOLDEN[i].hex);
            struct wire_writer w;
            memset(buf, 0xEE, sizeof buf);
            wire_begin(&w, buf, cap, FRAMES_TERM);
            unsigned fit = (unsigned)(((cap & ~(size_t)3) - HEAD) / size), frames;
            for (unsigned k = 0; k < fit; k++)
                assert_true(frame_put(&w, &f));
            memcpy(before, buf, sizeof buf);
            struct wire_writer was = w;
            if (f.kind != WIRE_FRAME_DATA) { /* of data a part may fit, see test_data_is_cut */
                assert_false(frame_put(&w, &f));
                assert_memory_equal(buf, before, sizeof buf);
                assert_int_equal(w.len, was.len);
            }
            if (f.kind == WIRE_FRAME_MSG) {
                f.msg.term++;
                wire_begin(&w, buf, cap, FRAMES_TERM);
                assert_false(wire_put_msg(&w, &f.msg));
                assert_true(wire_empty(&w));
                assert_memory_equal(buf, before, sizeof buf);
                w = was;
            }
            size_t len = wire_end(&w, &FRAMES_HEADER);
            assert_int_equal(len, HEAD + fit * size);
            assert_int_equal(payload_rewrite(buf, len, out, &frames), len);
            assert_int_equal(frames, fit);
            for (size_t k = len; k < sizeof buf; k++)
                assert_int_equal(buf[k], 0xEE);
        }
    }
}

static void test_room(void **state)
{
    (void)state;
    static const uint8_t bytes[MAX] = {0xAB};
    for (size_t cap = HEAD; cap <= MAX; cap++) {
        for (int stream = WIRE_STREAM_LOG; stream <= WIRE_STREAM_RELAY; stream++) {
            uint8_t buf[MAX + 1];
            struct wire_writer w;
            struct wire_data d = {.stream = (uint8_t)stream, .bytes = bytes, .len = sizeof bytes};
            size_t used = HEAD + 4 + 16;
            size_t whole = cap & ~(size_t)3;
            size_t room = whole > used ? whole - used : 0;
            buf[cap] = 0xEE;
            wire_begin(&w, buf, cap, FRAMES_TERM);
            assert_int_equal(wire_room(&w), room);
            assert_int_equal(wire_put_data(&w, &d), room);
            assert_int_equal(wire_end(&w, &FRAMES_HEADER), room > 0 ? whole : HEAD);
            assert_int_equal(wire_empty(&w), room == 0);
            assert_int_equal(buf[cap], 0xEE);
            d.len = 0; /* nothing is added as a frame of nothing */
            wire_begin(&w, buf, cap, FRAMES_TERM);
            assert_int_equal(wire_put_data(&w, &d), 0);
            assert_true(wire_empty(&w));
        }
    }
}

/* What an idle cluster sends all day: a heartbeat and its answer. */
static void test_heartbeat_is_short(void **state)
{
    (void)state;
    uint8_t buf[MAX];
    struct raft_msg lead = {.type = RAFT_MSG_LEAD, .term = FRAMES_TERM};
    struct raft_msg ack = {.type = RAFT_MSG_ACK, .term = FRAMES_TERM};
    struct wire_sack s = {.stream = WIRE_STREAM_LOG};
    struct wire_writer w;
    wire_begin(&w, buf, sizeof buf, FRAMES_TERM);
    assert_true(wire_put_msg(&w, &lead));
    assert_int_equal(wire_end(&w, &FRAMES_HEADER), 56);
    wire_begin(&w, buf, sizeof buf, FRAMES_TERM);
    assert_true(wire_put_msg(&w, &ack) && wire_put_sack(&w, &s));
    assert_int_equal(wire_end(&w, &FRAMES_HEADER), 76);
}

static void test_voters_digest(void **state)
{
    (void)state;
    static const uint16_t three[] = {1, 2, 3}, other[] = {1, 2, 4}, wide[] = {1, 0x302};
    uint64_t digest = wire_voters_digest(three, 3);
    /* Fixed: nodes of two versions must agree on it. */
    assert_true(digest == UINT64_C(0x56a071fcaabdacc5));
    assert_true(wire_voters_digest(three, 2) != digest);
    assert_true(wire_voters_digest(other, 3) != digest);
    assert_true(wire_voters_digest(wide, 2) != digest);
    assert_true(wire_voters_digest(three, 1) != 0);
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
        cmocka_unit_test(test_golden_frames),        cmocka_unit_test(test_golden_preamble),
        cmocka_unit_test(test_frames_are_identical), cmocka_unit_test(test_links_of_all_sizes),
        cmocka_unit_test(test_data_is_cut),          cmocka_unit_test(test_flags),
        cmocka_unit_test(test_what_is_ignored),      cmocka_unit_test(test_frames_keep_their_order),
        cmocka_unit_test(test_writer_refuses),       cmocka_unit_test(test_room),
        cmocka_unit_test(test_heartbeat_is_short),   cmocka_unit_test(test_cluster_id),
        cmocka_unit_test(test_voters_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
