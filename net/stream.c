#include "net/stream.h"

#include <assert.h>
#include <string.h>

enum { TIMEOUTS_COUNTED = 1000 }; /* backoff has long reached its cap */

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* Ranges. */

/* False if there is no room for one more; nothing was changed then. */
static bool ranges_add(struct stream_ranges *s, uint64_t start, uint64_t end)
{
    assert(start < end);
    unsigned first = 0;
    while (first < s->n && s->r[first].end < start)
        first++;
    unsigned after = first; /* r[first .. after) touch the new one */
    while (after < s->n && s->r[after].start <= end)
        after++;
    if (first == after) {
        if (s->n == STREAM_RANGES)
            return false;
        memmove(&s->r[first + 1], &s->r[first], (s->n - first) * sizeof s->r[0]);
        s->n++;
    } else {
        start = min_u64(start, s->r[first].start);
        end = max_u64(end, s->r[after - 1].end);
        memmove(&s->r[first + 1], &s->r[after], (s->n - after) * sizeof s->r[0]);
        s->n -= after - first - 1;
    }
    s->r[first].start = start;
    s->r[first].end = end;
    return true;
}

static void ranges_drop_first(struct stream_ranges *s)
{
    s->n--;
    memmove(&s->r[0], &s->r[1], s->n * sizeof s->r[0]);
}

static bool ranges_hold(const struct stream_ranges *s, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->r[i].start <= start && end <= s->r[i].end)
            return true;
    return false;
}

/* First bytes of [from, limit) that are in no range; false if none. */
static bool ranges_hole(const struct stream_ranges *s, uint64_t from, uint64_t limit,
                        uint64_t *start, uint64_t *end)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (from < s->r[i].start) {
            limit = min_u64(limit, s->r[i].start);
            break;
        }
        from = max_u64(from, s->r[i].end);
    }
    *start = from;
    *end = limit;
    return from < limit;
}

/* Sender. */

void stream_tx_init(struct stream_tx *tx, const struct rtt *rtt, uint64_t ack_delay_us,
                    uint64_t cap_us)
{
    *tx = (struct stream_tx){.edge = STREAM_FIRST_WINDOW_BYTES,
                             .rtt = rtt,
                             .ack_delay_us = ack_delay_us,
                             .cap_us = cap_us};
}

void stream_tx_end(struct stream_tx *tx, uint64_t end)
{
    assert(end >= tx->end);
    tx->end = end;
}

/* Bytes up to here may be sent. */
static uint64_t window_edge(const struct stream_tx *tx)
{
    return min_u64(tx->edge, add_capped(tx->una, STREAM_WINDOW_BYTES));
}

uint64_t stream_tx_deadline(const struct stream_tx *tx)
{
    bool in_flight = tx->una < tx->nxt;
    bool closed = tx->nxt < tx->end && tx->nxt >= window_edge(tx);
    if (!in_flight && !closed)
        return STREAM_NEVER;
    uint64_t pto = rtt_pto(tx->rtt, tx->timeouts, tx->ack_delay_us, tx->cap_us);
    return add_capped(tx->timer_us, pto);
}

static void timed_out(struct stream_tx *tx, uint64_t now_us)
{
    tx->timer_us = now_us;
    if (tx->timeouts < TIMEOUTS_COUNTED)
        tx->timeouts++;
    tx->resent = tx->una;
    tx->recover = tx->nxt;
    tx->burst = tx->timeouts > RTT_PLAIN_TIMEOUTS ? 2 : 1;
}

bool stream_tx_next(struct stream_tx *tx, uint64_t now_us, size_t max_len, uint64_t *off,
                    size_t *len)
{
    if (max_len == 0)
        return false;
    bool late = now_us >= stream_tx_deadline(tx);
    if (late)
        timed_out(tx, now_us);

    uint64_t limit = tx->acked.n > 0 ? tx->acked.r[tx->acked.n - 1].end : tx->una;
    if (tx->burst > 0)
        limit = max_u64(limit, tx->recover);
    uint64_t start;
    uint64_t end;
    if (!ranges_hole(&tx->acked, max_u64(tx->una, tx->resent), limit, &start, &end)) {
        start = tx->nxt;
        end = min_u64(tx->end, window_edge(tx));
        /* The SACK that opened the window may be lost: a byte beyond it makes the peer repeat it */
        if (late && tx->una == tx->nxt && start >= end && start < tx->end)
            end = start + 1;
    }
    if (start >= end)
        return false;
    *off = start;
    *len = (size_t)min_u64(end - start, max_len);
    return true;
}

void stream_tx_sent(struct stream_tx *tx, uint64_t now_us, uint64_t off, size_t len)
{
    assert(len > 0 && off >= tx->una && off <= tx->nxt && len <= tx->end - off);
    if (off == tx->una)
        tx->timer_us = now_us;
    if (off < tx->nxt) {
        tx->resent = max_u64(tx->resent, off + len);
        if (tx->burst > 0)
            tx->burst--;
    }
    tx->nxt = max_u64(tx->nxt, off + len);
}

bool stream_tx_ack(struct stream_tx *tx, uint64_t now_us, const struct wire_sack *s)
{
    if (s->contig > tx->nxt || s->n > WIRE_SACK_RANGES)
        return false;
    uint64_t sent = tx->nxt - s->contig; /* above contig */
    for (unsigned i = 0; i < s->n; i++) {
        const struct wire_range *r = &s->ranges[i];
        if (r->start == 0 || r->len == 0 || (uint64_t)r->start + r->len > sent)
            return false;
    }

    if (s->contig > tx->una) {
        tx->una = s->contig;
        tx->timer_us = now_us;
        tx->timeouts = 0;
        while (tx->acked.n > 0 && tx->acked.r[0].end <= tx->una)
            ranges_drop_first(&tx->acked);
        /* A hole follows contig, so no range may start there. A receiver that dropped what it had
         * reported is wrong, but must not stop the stream: believe nothing it said before. */
        if (tx->acked.n > 0 && tx->acked.r[0].start <= tx->una)
            tx->acked.n = 0;
        tx->burst = tx->una < tx->recover ? tx->burst + 2 : 0;
        if (tx->burst > STREAM_BURST_MAX)
            tx->burst = STREAM_BURST_MAX;
    }
    for (unsigned i = 0; i < s->n; i++) {
        uint64_t start = s->contig + s->ranges[i].start;
        uint64_t end = start + s->ranges[i].len;
        /* A full list only means that bytes are sent once more. */
        if (start > tx->una)
            (void)ranges_add(&tx->acked, start, end);
    }
    tx->edge = max_u64(tx->edge, add_capped(s->contig, s->rwnd));
    return true;
}

/* Receiver. */

void stream_rx_init(struct stream_rx *rx, uint8_t *buf, size_t cap)
{
    assert(buf && cap > 0 && cap <= UINT32_MAX);
    *rx = (struct stream_rx){.buf = buf, .cap = cap};
}

/* End of all bytes that are here. */
static uint64_t held_end(const struct stream_rx *rx)
{
    return rx->held.n > 0 ? rx->held.r[rx->held.n - 1].end : rx->contig;
}

/* Makes the memory reach up to `end`. Bytes are moved down only when it does not, that is once per
 * `cap` bytes consumed in the plain case. */
static void make_room(struct stream_rx *rx, uint64_t end)
{
    if (end - rx->consumed > rx->cap - rx->head) {
        memmove(rx->buf, rx->buf + rx->head, (size_t)(held_end(rx) - rx->consumed));
        rx->head = 0;
    }
}

enum stream_put stream_rx_put(struct stream_rx *rx, uint64_t off, const uint8_t *bytes, size_t len)
{
    if (len > UINT64_MAX - off)
        return STREAM_BEYOND_WINDOW;
    uint64_t end = off + len;
    if (len == 0 || end <= rx->contig || ranges_hold(&rx->held, off, end))
        return STREAM_DUPLICATE;
    if (off < rx->contig) {
        bytes += rx->contig - off;
        off = rx->contig;
    }
    if (off - rx->consumed >= rx->cap)
        return STREAM_BEYOND_WINDOW;
    if (end - rx->consumed > rx->cap)
        end = rx->consumed + rx->cap;
    make_room(rx, end);
    if (off > rx->contig) {
        if (!ranges_add(&rx->held, off, end))
            return STREAM_BEYOND_WINDOW;
        rx->newest = off;
    }
    memcpy(rx->buf + rx->head + (off - rx->consumed), bytes, (size_t)(end - off));
    if (off > rx->contig)
        return STREAM_GAP;
    rx->contig = end;
    while (rx->held.n > 0 && rx->held.r[0].start <= rx->contig) {
        rx->contig = max_u64(rx->contig, rx->held.r[0].end);
        ranges_drop_first(&rx->held);
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
    if (rx->consumed == held_end(rx))
        rx->head = 0;
}

void stream_rx_sack(const struct stream_rx *rx, struct wire_sack *s)
{
    s->contig = rx->contig;
    s->rwnd = (uint32_t)(rx->consumed + rx->cap - rx->contig);
    s->n = 0;
    for (unsigned i = 0; i < rx->held.n; i++) {
        uint64_t start = rx->held.r[i].start;
        uint64_t end = rx->held.r[i].end;
        struct wire_range r = {(uint32_t)(start - rx->contig), (uint32_t)(end - start)};
        if (s->n < WIRE_SACK_RANGES)
            s->ranges[s->n++] = r;
        else if (rx->newest >= start && rx->newest < end)
            s->ranges[WIRE_SACK_RANGES - 1] = r;
    }
}
