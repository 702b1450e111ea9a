/* stream_rx.c: the receiving half of a stream. */
#include <assert.h>
#include <string.h>

#include "net/stream/stream.h"

void stream_rx_init(struct stream_rx *rx, uint8_t *buf, size_t cap, uint32_t window)
{
    assert(buf && cap > 0 && cap <= UINT32_MAX && window > 0);
    *rx = (struct stream_rx){.buf = buf, .cap = cap, .window = window};
}

void stream_rx_resume(struct stream_rx *rx, uint64_t off)
{
    assert(rx->contig == 0 && rx->ahead.n == 0);
    rx->consumed = rx->contig = off;
}

bool stream_rx_move(struct stream_rx *rx, uint8_t *buf, size_t cap)
{
    uint64_t here = ranges_end(&rx->ahead, rx->contig) - rx->consumed;
    assert(cap > 0 && cap <= UINT32_MAX);
    if (here > cap)
        return false;
    memcpy(buf, rx->buf + rx->head, (size_t)here);
    rx->buf = buf;
    rx->cap = cap;
    rx->head = 0;
    return true;
}

/* Makes the memory reach up to `end`. Bytes are moved down only if it does not: without loss that is once
 * per `cap` bytes consumed. */
static void make_room(struct stream_rx *rx, uint64_t end)
{
    if (end - rx->consumed > rx->cap - rx->head) {
        uint64_t here = ranges_end(&rx->ahead, rx->contig);
        memmove(rx->buf, rx->buf + rx->head, (size_t)(here - rx->consumed));
        rx->head = 0;
    }
}

enum stream_put stream_rx_put(struct stream_rx *rx, uint64_t off, const uint8_t *bytes, size_t len,
                              bool again)
{
    if (len > UINT64_MAX - off)
        return STREAM_BEYOND_WINDOW;
    uint64_t end = off + len;
    if (len == 0 || end <= rx->contig || ranges_hold(&rx->ahead, off, end)) {
        if (again && len > 0)
            rx->spurious++;
        return STREAM_DUPLICATE;
    }
    if (off < rx->contig) {
        bytes += rx->contig - off;
        off = rx->contig;
    }
    if (off - rx->consumed >= rx->cap)
        return STREAM_BEYOND_WINDOW;
    if (end - rx->consumed > rx->cap)
        end = rx->consumed + rx->cap;
    make_room(rx, end);
    if (off > rx->contig && !ranges_add(&rx->ahead, off, end))
        return STREAM_BEYOND_WINDOW;
    memcpy(rx->buf + rx->head + (off - rx->consumed), bytes, (size_t)(end - off));
    if (off > rx->contig)
        return STREAM_GAP;
    rx->contig = end;
    while (rx->ahead.n > 0 && rx->ahead.r[0].start <= rx->contig) {
        if (rx->ahead.r[0].end > rx->contig)
            rx->contig = rx->ahead.r[0].end;
        ranges_remove_below(&rx->ahead, rx->ahead.r[0].end);
    }
    return STREAM_NEW;
}

bool stream_rx_ready(const struct stream_rx *rx, const uint8_t **bytes, size_t *len)
{
    *bytes = rx->buf + rx->head;
    *len = (size_t)(rx->contig - rx->consumed);
    return *len > 0;
}

void stream_rx_consume(struct stream_rx *rx, size_t n)
{
    assert(n <= rx->contig - rx->consumed);
    rx->consumed += n;
    rx->head += n;
    if (rx->consumed == ranges_end(&rx->ahead, rx->contig))
        rx->head = 0;
}

/* Marks in `named` the ranges that a SACK names now: those named least often, lowest first. */
static void choose(const struct ranges *all, bool named[RANGES_MAX])
{
    memset(named, 0, RANGES_MAX * sizeof named[0]);
    for (unsigned left = WIRE_SACK_RANGES; left > 0; left--) {
        unsigned best = all->n;
        for (unsigned i = 0; i < all->n; i++)
            if (!named[i] && (best == all->n || all->r[i].told < all->r[best].told))
                best = i;
        if (best == all->n)
            return;
        named[best] = true;
    }
}

void stream_rx_sack(struct stream_rx *rx, struct wire_sack *s)
{
    uint64_t room = rx->consumed + rx->cap - rx->contig;
    s->contig = rx->contig;
    /* What is here already is not on its way any more. */
    uint64_t offer = rx->window + rx->ahead.bytes;
    s->rwnd = (uint32_t)(room < offer ? room : offer);
    s->spurious = rx->spurious;
    s->n = 0;
    if (rx->ahead.n == 0)
        return;
    bool named[RANGES_MAX];
    choose(&rx->ahead, named);
    for (unsigned i = 0; i < rx->ahead.n; i++) {
        if (!named[i])
            continue;
        uint64_t start = rx->ahead.r[i].start;
        s->ranges[s->n++] = (struct wire_range){(uint32_t)(start - rx->contig),
                                                (uint32_t)(rx->ahead.r[i].end - start)};
        rx->ahead.r[i].told++;
    }
}
