// LINK: net/wire.c -lsodium
/* Any bytes are either refused or mean something that survives writing and reading again.
 *
 * The input is tried as it is and once more with a right envelope: with the check in the way no
 * fuzzer would ever reach the frames. */
#include <stdlib.h>
#include <string.h>

#include "net/wire.h"
#include "raftd/core/bytes.h"

enum { SELF = 2 };

static const uint64_t CLUSTER = 7;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool ok)
{
    if (!ok)
        abort();
}

static bool put(struct wire_writer *w, const struct wire_frame *f)
{
    switch (f->kind) {
    case WIRE_FRAME_MSG: return wire_put_msg(w, &f->msg, f->end_off);
    case WIRE_FRAME_SACK: return wire_put_sack(w, &f->sack);
    case WIRE_FRAME_DATA: return wire_put_data(w, &f->data) == f->data.len;
    }
    return false;
}

static bool same(const struct wire_frame *a, const struct wire_frame *b)
{
    if (a->kind != b->kind || a->end_off != b->end_off)
        return false;
    if (a->kind == WIRE_FRAME_MSG)
        return memcmp(&a->msg, &b->msg, sizeof a->msg) == 0;
    if (a->kind == WIRE_FRAME_SACK)
        return memcmp(&a->sack, &b->sack, sizeof a->sack) == 0;
    const struct wire_data *d = &a->data;
    const struct wire_data *e = &b->data;
    return d->stream == e->stream && d->id == e->id && d->base_index == e->base_index &&
           d->base_term == e->base_term && d->off == e->off && d->len == e->len &&
           memcmp(d->bytes, e->bytes, d->len) == 0;
}

static void try(const uint8_t *buf, size_t len)
{
    struct wire_header h;
    if (wire_check(buf, len, CLUSTER, SELF, &h) != WIRE_OK)
        return;
    struct wire_frame f;
    struct wire_reader r;
    struct wire_writer w;
    uint8_t again[WIRE_DATAGRAM_TAKEN];
    wire_read(&r, buf, len, &h);
    wire_begin(&w, again, sizeof again, h.term);
    while (wire_next(&r, &f)) {
        if (f.kind == WIRE_FRAME_DATA) {
            demand(f.data.bytes >= buf && f.data.len <= (size_t)(buf + len - f.data.bytes));
            if (f.data.len == 0) /* legal, but never written */
                continue;
        }
        demand(put(&w, &f));
    }
    size_t n = wire_end(&w, &h);
    demand(n <= len);

    struct wire_header h2;
    struct wire_reader r2;
    struct wire_frame f2;
    demand(wire_check(again, n, CLUSTER, SELF, &h2) == WIRE_OK);
    demand(h2.from == h.from && h2.to == h.to && h2.rx_cnt == h.rx_cnt && h2.hold == h.hold &&
           h2.cluster == h.cluster && h2.term == h.term && h2.ts == h.ts &&
           h2.ts_echo == h.ts_echo && h2.echo == h.echo);
    wire_read(&r, buf, len, &h);
    wire_read(&r2, again, n, &h2);
    while (wire_next(&r, &f)) {
        if (f.kind == WIRE_FRAME_DATA && f.data.len == 0)
            continue;
        demand(wire_next(&r2, &f2) && same(&f, &f2));
    }
    demand(!wire_next(&r2, &f2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly this size, so that a read beyond it is seen. */
    uint8_t *buf = calloc(1, size > 0 ? size : 1);
    demand(buf != NULL);
    if (size > 0)
        memcpy(buf, data, size);
    try(buf, size);
    if (size >= WIRE_HEADER_BYTES && size <= WIRE_DATAGRAM_TAKEN) {
        buf[0] = WIRE_VERSION_NOW << 4;
        put_u16(buf + 4, SELF);
        put_u64(buf + 8, CLUSTER);
        wire_put_check(buf, size);
        try(buf, size);
    }
    free(buf);
    return 0;
}
