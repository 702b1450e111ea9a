#include "tests/lib/wire_frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const struct wire_header FRAMES_HEADER = {.term = FRAMES_TERM};

const struct golden GOLDEN[GOLDEN_FRAMES] = {
    {.f.msg = {.type = RAFT_MSG_LEAD,
               .lead = {.round = UINT64_C(0x2122232425262728),
                        .commit = UINT64_C(0x3132333435363738),
                        .cluster_ms = UINT64_C(0x5152535455565758),
                        .epoch = 0x41424344,
                        .ack_now = true,
                        .no_room = true,
                        .quiet = true}},
     .flags = 7,
     .hex = "81071c00"
            "2827262524232221"
            "3837363534333231"
            "5857565554535251"
            "44434241"},
    {.f.msg = {.type = RAFT_MSG_ACK,
               .ack = {.round = UINT64_C(0x2122232425262728),
                       .durable = UINT64_C(0x3132333435363738),
                       .epoch = 0x41424344,
                       .boot = 0x51525354,
                       .need_probe = true,
                       .unfit = true,
                       .damaged = true}},
     .flags = 7,
     .hex = "82071800"
            "2827262524232221"
            "3837363534333231"
            "44434241"
            "54535251"},
    {.f.msg = {.type = RAFT_MSG_PROBE,
               .probe = {.prev_index = UINT64_C(0x2122232425262728),
                         .prev_term = UINT64_C(0x3132333435363738),
                         .acked_index = UINT64_C(0x5152535455565758),
                         .acked_term = UINT64_C(0x6162636465666768),
                         .probe = 0x41424344,
                         .damaged_boot = 0x71727374}},
     .hex = "83002800"
            "2827262524232221"
            "3837363534333231"
            "5857565554535251"
            "6867666564636261"
            "44434241"
            "74737271"},
    {.f.msg = {.type = RAFT_MSG_PROBE_ACK,
               .probe_ack = {.prev_index = UINT64_C(0x2122232425262728),
                             .hint_index = UINT64_C(0x3132333435363738),
                             .hint_term = UINT64_C(0x4142434445464748),
                             .probe = 0x51525354,
                             .boot = 0x61626364,
                             .match = true,
                             .damaged = true}},
     .flags = 3,
     .hex = "84032000"
            "2827262524232221"
            "3837363534333231"
            "4847464544434241"
            "54535251"
            "64636261"},
    {.f.kind = WIRE_FRAME_SACK,
     .f.sack = {.stream = 2,
                .n = 2,
                .spurious = 0x2122,
                .id = 0x31323334,
                .contig = UINT64_C(0x4142434445464748),
                .rwnd = 0x51525354,
                .ranges = {{0x61626364, 0x71727374}, {0x81828384, 0x91929394}}},
     .flags = 3,
     .hex = "85002400"
            "02022221"
            "34333231"
            "4847464544434241"
            "54535251"
            "6463626174737271"
            "8483828194939291"},
    {.f.kind = WIRE_FRAME_OFFER,
     .f.offer = {.index = UINT64_C(0x1112131415161718),
                 .term = UINT64_C(0x2122232425262728),
                 .size = UINT64_C(0x3132333435363738),
                 .id = 0x41424344,
                 .hash = {1, 2, 3, 4, [31] = 32}},
     .hex = "86003c00"
            "1817161514131211"
            "2827262524232221"
            "3837363534333231"
            "44434241"
            "0102030400000000"
            "0000000000000000"
            "0000000000000000"
            "0000000000000020"},
    {.f.kind = WIRE_FRAME_DATA,
     .f.data = {.stream = WIRE_STREAM_LOG,
                .off = UINT64_C(0x4142434445464748),
                .id = 0x51525354,
                .bytes = (const uint8_t *)"abcde",
                .len = 5,
                .again = true},
     .flags = 1,
     .hex = "92011500"
            "4847464544434241"
            "54535251"
            "01000000"
            "6162636465000000"},
    {.f.kind = WIRE_FRAME_DATA,
     .f.data = {.stream = WIRE_STREAM_RELAY,
                .off = UINT64_C(0x2122232425262728),
                .id = 0x31323334,
                .bytes = (const uint8_t *)"abc",
                .len = 3,
                .again = true},
     .flags = 1,
     .hex = "92011300"
            "2827262524232221"
            "34333231"
            "02000000"
            "61626300"},
    {.f.msg = {.type = RAFT_MSG_VOTE_REQ,
               .vote_req = {.campaign = UINT64_C(0x2122232425262728),
                            .vote_term = UINT64_C(0x3132333435363738),
                            .last_index = UINT64_C(0x4142434445464748),
                            .last_term = UINT64_C(0x5152535455565758),
                            .pre = true,
                            .handed = true}},
     .flags = 3,
     .hex = "a0032000"
            "2827262524232221"
            "3837363534333231"
            "4847464544434241"
            "5857565554535251"},
    {.f.msg = {.type = RAFT_MSG_VOTE_RSP,
               .vote_rsp = {.campaign = UINT64_C(0x2122232425262728),
                            .vote_term = UINT64_C(0x3132333435363738),
                            .removed = UINT64_C(0x4142434445464748),
                            .pre = true,
                            .granted = true}},
     .flags = 3,
     .hex = "a1031800"
            "2827262524232221"
            "3837363534333231"
            "4847464544434241"},
    {.f.msg = {.type = RAFT_MSG_PING}, .hex = "30000000"},
    {.f.kind = WIRE_FRAME_LINKS,
     .f.links = {.rows = 2,
                 .cols = 3,
                 .members = 0x1112,
                 .id = {0x2122, 0x3132},
                 .heard = {{WIRE_NOT_HEARD, 0, 100}, {7, WIRE_NOT_HEARD, 8}},
                 .age = {0, 0x41}},
     .hex = "31001000"
            "02031211"
            "2221ff0064"
            "323107ff08"
            "0041"},
    {.f.kind = WIRE_FRAME_SETTINGS,
     .f.settings = {WIRE_SETTING_COUNT,
                    {UINT64_C(0x0102030405060708), UINT64_C(0x1112131415161718),
                     UINT64_C(0x2122232425262728), UINT64_C(0x3132333435363738)}},
     .hex = "33002000"
            "0807060504030201"
            "1817161514131211"
            "2827262524232221"
            "3837363534333231"},
    {.f.kind = WIRE_FRAME_LEASE,
     .f.lease = {.renewed = true,
                 .process = UINT64_C(0x2122232425262728),
                 .stamp = UINT64_C(0x3132333435363738),
                 .index = UINT64_C(0x4142434445464748)},
     .flags = 1,
     .hex = "45011800"
            "2827262524232221"
            "3837363534333231"
            "4847464544434241"},
    {.f.kind = WIRE_FRAME_DIGESTS,
     .f.digests = {.index = UINT64_C(0x2122232425262728),
                   .ask = true,
                   .n = 2,
                   .id = {0x3132, 0x4142},
                   .digest = {{0x51, 0x52, [15] = 0x53}, {0x61, 0x62, [15] = 0x63}}},
     .flags = 1,
     .hex = "43013000"
            "2827262524232221"
            "02000000"
            "3231"
            "5152000000000000"
            "0000000000000053"
            "4241"
            "6162000000000000"
            "0000000000000063"},
    {.f.msg = {.type = RAFT_MSG_READ_REQ, .read_req = {.req = UINT64_C(0x2122232425262728)}},
     .hex = "c0000800"
            "2827262524232221"},
    {.f.msg = {.type = RAFT_MSG_READ_RSP,
               .read_rsp = {.req = UINT64_C(0x2122232425262728),
                            .index = UINT64_C(0x3132333435363738)}},
     .hex = "c1001000"
            "2827262524232221"
            "3837363534333231"},
    {.f.msg = {.type = RAFT_MSG_TIMEOUT_NOW,
               .timeout_now = {.round = UINT64_C(0x2122232425262728),
                               .last_index = UINT64_C(0x3132333435363738)}},
     .hex = "37001000"
            "2827262524232221"
            "3837363534333231"},
    {.f.msg = {.type = RAFT_MSG_TRANSFER, .transfer = {.heir = 0x2122}},
     .hex = "39000400"
            "22210000"},
    {.f.kind = WIRE_FRAME_VITALS,
     .flags = 1,
     .f.vitals = {.id = 0x1112,
                  .age = 0x21222324,
                  .version = 0x31323334,
                  .fsync_p99_us = 0x41424344,
                  .uptime_s = 0x51525354,
                  .session = 0x61,
                  .heard = 0x71727374,
                  .match_index = UINT64_C(0x8182838485868788),
                  .lag_bytes = UINT64_C(0x9192939495969798),
                  .lag_most_bytes = UINT64_C(0xa1a2a3a4a5a6a7a8),
                  .rate = 0xb1b2b3b4,
                  .health = 0x62,
                  .drained = true,
                  .applied_index = UINT64_C(0xc1c2c3c4c5c6c7c8),
                  .log_bytes = UINT64_C(0xd1d2d3d4d5d6d7d8),
                  .data_bytes = UINT64_C(0xe1e2e3e4e5e6e7e8),
                  .keys = UINT64_C(0x0102030405060708),
                  .snapshot_index = UINT64_C(0x191a1b1c1d1e1f20),
                  .snapshot_age_s = 0x292a2b2c,
                  .rtt_us = 0x393a3b3c,
                  .loss_in = 0x494a,
                  .loss_out = 0x595a},
     .hex = "3b016800"
            "8887868584838281"
            "9897969594939291"
            "a8a7a6a5a4a3a2a1"
            "c8c7c6c5c4c3c2c1"
            "d8d7d6d5d4d3d2d1"
            "e8e7e6e5e4e3e2e1"
            "0807060504030201"
            "201f1e1d1c1b1a19"
            "2c2b2a29"
            "24232221"
            "74737271"
            "34333231"
            "44434241"
            "54535251"
            "b4b3b2b1"
            "3c3b3a39"
            "12114a495a596162"},
    {.f.kind = WIRE_FRAME_CHANGE,
     .f.change = {.number = UINT64_C(0x1112131415161718),
                  .bytes = (const uint8_t *)"abcde",
                  .len = 5},
     .hex = "3d000d00"
            "1817161514131211"
            "6162636465000000"},
    {.f.kind = WIRE_FRAME_CHANGED,
     .f.changed = {.number = UINT64_C(0x1112131415161718),
                   .index = UINT64_C(0x2122232425262728),
                   .term = UINT64_C(0x3132333435363738),
                   .verdict = 0x41},
     .hex = "41001c00"
            "1817161514131211"
            "2827262524232221"
            "3837363534333231"
            "41000000"},
};

struct wire_frame golden(size_t i)
{
    struct wire_frame f = GOLDEN[i].f;
    if (f.kind == WIRE_FRAME_MSG) {
        f.msg.term = FRAMES_TERM;
        f.msg.from = FRAMES_FROM;
        f.msg.to = FRAMES_TO;
    }
    return f;
}

size_t unhex(uint8_t *out, const char *hex)
{
    size_t n = 0;
    for (; hex[0] != '\0'; hex += 2) {
        const char digits[3] = {hex[0], hex[1], '\0'};
        out[n++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

size_t payload_of(uint8_t *buf, const uint8_t *frames, size_t len)
{
    struct wire_writer w;
    wire_begin(&w, buf, WIRE_DATAGRAM_MAX, FRAMES_TERM);
    memcpy(buf + w.len, frames, len);
    w.len += len;
    return wire_end(&w, &FRAMES_HEADER);
}

size_t payload_all(uint8_t *buf, size_t ends[GOLDEN_FRAMES + 1])
{
    uint8_t frames[WIRE_DATAGRAM_MAX];
    size_t len = 0, n = 0;
    for (size_t i = 0; i < GOLDEN_FRAMES; i++) {
        if (i == GOLDEN_FRAMES / 2) {
            len += unhex(frames + len, "3fff0900818181818181818181818181");
            ends[n++] = WIRE_PREAMBLE_BYTES + len;
        }
        len += unhex(frames + len, GOLDEN[i].hex);
        ends[n++] = WIRE_PREAMBLE_BYTES + len;
    }
    assert(n == GOLDEN_FRAMES + 1);
    return payload_of(buf, frames, len);
}

static uint8_t *exact_copy(const uint8_t *buf, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert(copy != NULL);
    if (len > 0)
        memcpy(copy, buf, len);
    return copy;
}

bool payload_check(const uint8_t *buf, size_t len, struct wire_header *h)
{
    struct wire_header untouched;
    memset(h, 0xA5, sizeof *h);
    memset(&untouched, 0xA5, sizeof untouched);
    uint8_t *copy = exact_copy(buf, len);
    bool s = wire_check(copy, len, h);
    assert(s || memcmp(h, &untouched, sizeof *h) == 0);
    free(copy);
    return s;
}

bool frame_put(struct wire_writer *w, const struct wire_frame *f)
{
    switch (f->kind) {
    case WIRE_FRAME_MSG: return wire_put_msg(w, &f->msg);
    case WIRE_FRAME_SACK: return wire_put_sack(w, &f->sack);
    case WIRE_FRAME_OFFER: return wire_put_offer(w, &f->offer);
    case WIRE_FRAME_DATA: return wire_put_data(w, &f->data) == f->data.len;
    case WIRE_FRAME_LINKS: return wire_put_links(w, &f->links);
    case WIRE_FRAME_SETTINGS: return wire_put_settings(w, &f->settings);
    case WIRE_FRAME_DIGESTS: return wire_put_digests(w, &f->digests);
    case WIRE_FRAME_VITALS: return wire_put_vitals(w, &f->vitals);
    case WIRE_FRAME_CHANGE: return wire_put_change(w, &f->change);
    case WIRE_FRAME_CHANGED: return wire_put_changed(w, &f->changed);
    case WIRE_FRAME_LEASE: return wire_put_lease(w, &f->lease);
    }
    return false;
}

static bool same_data(const struct wire_data *a, const struct wire_data *b)
{
    return a->stream == b->stream && a->id == b->id && a->off == b->off && a->again == b->again &&
           a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool frame_same(const struct wire_frame *a, const struct wire_frame *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case WIRE_FRAME_MSG: return memcmp(&a->msg, &b->msg, sizeof a->msg) == 0;
    case WIRE_FRAME_SACK: return memcmp(&a->sack, &b->sack, sizeof a->sack) == 0;
    case WIRE_FRAME_OFFER: return memcmp(&a->offer, &b->offer, sizeof a->offer) == 0;
    case WIRE_FRAME_DATA: return same_data(&a->data, &b->data);
    case WIRE_FRAME_LINKS: return memcmp(&a->links, &b->links, sizeof a->links) == 0;
    case WIRE_FRAME_SETTINGS: return memcmp(&a->settings, &b->settings, sizeof a->settings) == 0;
    case WIRE_FRAME_DIGESTS: return memcmp(&a->digests, &b->digests, sizeof a->digests) == 0;
    case WIRE_FRAME_VITALS: return memcmp(&a->vitals, &b->vitals, sizeof a->vitals) == 0;
    case WIRE_FRAME_CHANGE:
        return a->change.number == b->change.number && a->change.len == b->change.len &&
               memcmp(a->change.bytes, b->change.bytes, a->change.len) == 0;
    case WIRE_FRAME_CHANGED: return memcmp(&a->changed, &b->changed, sizeof a->changed) == 0;
    case WIRE_FRAME_LEASE: return memcmp(&a->lease, &b->lease, sizeof a->lease) == 0;
    }
    return false;
}

static bool same_header(const struct wire_header *a, const struct wire_header *b)
{
    return a->term == b->term && a->ts == b->ts && a->ts_echo == b->ts_echo && a->hold == b->hold &&
           a->tx_cnt == b->tx_cnt && a->loss == b->loss && a->echo == b->echo &&
           a->waited == b->waited;
}

size_t payload_rewrite(const uint8_t *buf, size_t len, uint8_t *out, unsigned *frames)
{
    struct wire_header h, h2;
    struct wire_reader r, r2;
    struct wire_writer w;
    struct wire_frame f, f2;
    uint8_t *copy = exact_copy(buf, len);
    bool s = wire_check(copy, len, &h);
    assert(s);
    wire_read(&r, copy, len, FRAMES_FROM, FRAMES_TO);
    wire_begin(&w, out, WIRE_DATAGRAM_MAX, h.term);
    *frames = 0;
    while (wire_next(&r, &f)) {
        if (f.kind == WIRE_FRAME_DATA) {
            const uint8_t *at = f.data.bytes;
            assert(at >= copy && at <= copy + len && f.data.len <= (size_t)(copy + len - at));
            if (f.data.len == 0) /* may be received, is never sent */
                continue;
        }
        bool fits = frame_put(&w, &f);
        assert(fits);
        ++*frames;
    }
    size_t n = wire_end(&w, &h);

    s = wire_check(out, n, &h2);
    assert(s && same_header(&h, &h2));
    wire_read(&r, copy, len, FRAMES_FROM, FRAMES_TO);
    wire_read(&r2, out, n, FRAMES_FROM, FRAMES_TO);
    while (wire_next(&r, &f)) {
        if (f.kind == WIRE_FRAME_DATA && f.data.len == 0)
            continue;
        bool there = wire_next(&r2, &f2);
        assert(there && frame_same(&f, &f2));
    }
    bool more = wire_next(&r2, &f2);
    assert(!more);
    free(copy);
    return n;
}
