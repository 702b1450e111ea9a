// LINK: @stream tests/lib/stream_pair.c -lcmocka
/* Both halves of a stream against whatever may come.
 *
 * Receiver: pieces in any cut, order, overlap and repetition give the same bytes, and nothing that
 * a SACK reported is ever given up. Sender: no sequence of acknowledgements, echoed stamps, clock
 * and losses breaks an invariant or makes it send what it should not.
 *
 * Input: u8 which half (odd: sender), then operations, u8 each with its arguments, see below.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/stream_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t left;
};

static void demand(bool ok)
{
    if (!ok)
        abort();
}

/* Little-endian number of n bytes; zeros after the end. */
static uint64_t take(struct input *in, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n && in->left > 0; i++, in->left--)
        v |= (uint64_t)*in->p++ << 8 * i;
    return v;
}

enum { SPAN = 4096, CAP = 1500 }; /* of the stream, and of the receiver's memory */

static void check_reported(const struct stream_rx *rx, const bool reported[SPAN])
{
    uint64_t at = rx->contig;
    for (unsigned k = 0; k <= rx->ahead.n; k++) { /* the holes */
        uint64_t end = k < rx->ahead.n ? rx->ahead.r[k].start : SPAN;
        for (; at < end && at < SPAN; at++)
            demand(!reported[at]);
        at = k < rx->ahead.n ? rx->ahead.r[k].end : SPAN;
    }
}

static void put(struct stream_rx *rx, uint64_t off, size_t len, bool again)
{
    uint8_t *bytes = malloc(len > 0 ? len : 1); /* exactly: ASan sees what is read beyond */
    demand(bytes != NULL);
    fill_bytes(bytes, off, len);
    uint64_t contig = rx->contig;
    enum stream_put r = stream_rx_put(rx, off, bytes, len, again);
    demand((r == STREAM_NEW) == (rx->contig > contig));
    expect_rx(rx);
    free(bytes);
}

static void receiver(struct input *in)
{
    bool reported[SPAN] = {false};
    uint8_t *buf = malloc(CAP);
    demand(buf != NULL);
    struct stream_rx rx;
    stream_rx_init(&rx, buf, CAP, (uint32_t)take(in, 2) + 1);
    while (in->left > 0) {
        uint8_t op = (uint8_t)take(in, 1);
        if (op < 160) { /* u16 offset, u8 or u16 length */
            uint64_t off = take(in, 2) % SPAN;
            uint64_t len = take(in, op & 1 ? 1 : 2);
            put(&rx, off, (size_t)(len < SPAN - off ? len : SPAN - off), (op & 2) != 0);
        } else if (op < 176) { /* anywhere */
            put(&rx, take(in, 8), (size_t)take(in, 1), false);
        } else if (op < 216) { /* u8: how many to consume */
            const uint8_t *p;
            size_t len;
            uint64_t most = take(in, 1) * 8;
            if (stream_rx_ready(&rx, &p, &len)) {
                expect_bytes(p, rx.consumed, len);
                stream_rx_consume(&rx, len < most ? len : (size_t)most);
                expect_rx(&rx);
            }
        } else {
            struct wire_sack s;
            check_reported(&rx, reported);
            stream_rx_sack(&rx, &s);
            demand(s.contig == rx.contig && s.n <= WIRE_SACK_RANGES &&
                   s.contig + s.rwnd <= rx.consumed + CAP);
            for (unsigned i = 0; i < s.n; i++)
                for (uint32_t k = 0; k < s.ranges[i].len; k++)
                    if (s.contig + s.ranges[i].start + k < SPAN)
                        reported[s.contig + s.ranges[i].start + k] = true;
        }
    }
    check_reported(&rx, reported);
    free(buf);
}

static void send_all(struct stream_tx *tx, struct link *link, uint64_t now, struct input *in)
{
    struct stream_piece p;
    size_t most = 100 + (size_t)take(in, 1) * 5;
    unsigned sent = 0;
    while (stream_tx_next(tx, now, most, &p)) {
        demand(p.len > 0 && p.len <= most && p.off >= tx->una && p.off <= tx->nxt &&
               p.off + p.len <= tx->end);
        demand(sent++ < 2000); /* it ends by itself */
        struct wire_header h;
        uint64_t stamp = link_stamp(link, now, &h);
        size_t less = (size_t)take(in, 1) * 5;
        stream_tx_sent(tx, now, stamp, p.off, less < p.len ? p.len - less : 1);
    }
    expect_tx(tx);
}

static void hostile_ack(struct stream_tx *tx, const struct link *link, uint64_t now,
                        struct input *in)
{
    uint64_t back = take(in, 2);
    struct wire_sack s = {.spurious = (uint16_t)take(in, 1),
                          .contig = tx->nxt - (back < tx->nxt ? back : tx->nxt),
                          .rwnd = (uint32_t)take(in, 3)};
    s.n = (unsigned)take(in, 1) % (WIRE_SACK_RANGES + 2);
    for (unsigned i = 0; i < s.n && i < WIRE_SACK_RANGES; i++)
        s.ranges[i] = (struct wire_range){(uint32_t)take(in, 2), (uint32_t)take(in, 2)};
    uint64_t ago = take(in, 2);
    (void)stream_tx_ack(tx, now, &s, ago < link->stamp ? link->stamp - ago : 0);
    expect_tx(tx);
}

static void sender(struct input *in)
{
    struct link link = {.stamp = 0};
    const struct stream_tx_config cfg = {.ack_delay_us = 5000,
                                         .cap_us = HEARTBEAT,
                                         .window_bytes = 1 + (uint32_t)take(in, 2),
                                         .datagram_bytes = 1 + (uint32_t)take(in, 1) * 5};
    struct stream_tx *tx = malloc(sizeof *tx);
    demand(tx != NULL);
    stream_tx_init(tx, &link, &cfg);
    uint64_t now = 1;
    while (in->left > 0) {
        switch (take(in, 1) % 8) {
        case 0:
        case 1: stream_tx_end(tx, tx->end + take(in, 2)); break;
        case 2: now += take(in, 3); break;
        case 3: send_all(tx, &link, now, in); break;
        case 4:
        case 5: hostile_ack(tx, &link, now, in); break;
        case 6:
            if (link.rtt.has || tx->una % 2 == 0)
                rtt_sample(&link.rtt, now, take(in, 3));
            link.loss_in = (uint32_t)take(in, 2);
            link.loss_out = (uint32_t)take(in, 2);
            break;
        case 7:
            if (stream_tx_deadline(tx, now) != NEVER && stream_tx_deadline(tx, now) > now)
                now = stream_tx_deadline(tx, now);
            send_all(tx, &link, now, in);
            /* All that could be sent was: the next time lies ahead. */
            demand(stream_tx_deadline(tx, now) > now);
            break;
        }
    }
    free(tx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (take(&in, 1) % 2 == 0)
        receiver(&in);
    else
        sender(&in);
    return 0;
}
