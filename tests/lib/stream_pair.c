#include "tests/lib/stream_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BURST = 8 };

struct net_event {
    uint64_t at;
    uint64_t number; /* ties: in order of sending */
    unsigned pair;
    bool sack; /* to the sender; else data, to the receiver */
    bool again;
    uint64_t off;
    size_t len;
    struct wire_sack s;
    struct wire_header h;
};

uint64_t rnd(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

bool chance(uint64_t *seed, unsigned percent)
{
    return rnd(seed) % 100 < percent;
}

static uint8_t byte_at(uint64_t off)
{
    return (uint8_t)((off * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

void fill_bytes(uint8_t *p, uint64_t off, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = byte_at(off + i);
}

void expect_bytes(const uint8_t *p, uint64_t off, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != byte_at(off + i))
            fail_msg("wrong byte at %llu", (unsigned long long)(off + i));
}

static void expect_ranges(const struct ranges *s, uint64_t above, uint64_t below)
{
    uint64_t bytes = 0;
    assert_true(s->n <= RANGES_MAX);
    for (unsigned i = 0; i < s->n; i++) {
        assert_true(s->r[i].start >= above && s->r[i].start < s->r[i].end);
        bytes += s->r[i].end - s->r[i].start;
        above = s->r[i].end + 1;
    }
    assert_true(s->bytes == bytes && ranges_end(s, 0) <= below);
}

void expect_tx(const struct stream_tx *tx)
{
    assert_true(tx->una <= tx->nxt && tx->nxt <= tx->end);
    expect_ranges(&tx->acked, tx->una + 1, tx->nxt);
    expect_ranges(&tx->lost, tx->una, tx->nxt);
    for (unsigned i = 0; i < tx->lost.n; i++)
        for (unsigned k = 0; k < tx->acked.n; k++)
            assert_true(tx->lost.r[i].end <= tx->acked.r[k].start ||
                        tx->acked.r[k].end <= tx->lost.r[i].start);
    assert_true(tx->acked.bytes + tx->lost.bytes <= tx->nxt - tx->una);
    assert_true(tx->flight.n <= FLIGHT_MAX);
    uint64_t stamp = 0;
    for (unsigned i = 0; i < tx->flight.n; i++) {
        const struct flight_piece *p = &tx->flight.p[(tx->flight.head + i) % FLIGHT_MAX];
        assert_true(p->stamp >= stamp && p->off + p->len <= tx->nxt);
        stamp = p->stamp;
    }
    assert_true(tx->cwnd.bytes <= tx->cwnd.most && tx->cwnd.bytes > 0);
}

void expect_rx(const struct stream_rx *rx)
{
    assert_true(rx->consumed <= rx->contig && rx->contig - rx->consumed <= rx->cap);
    expect_ranges(&rx->ahead, rx->contig + 1, rx->consumed + rx->cap);
    assert_true(rx->head + (ranges_end(&rx->ahead, rx->contig) - rx->consumed) <= rx->cap);
}

static void count_episodes(struct pair *p)
{
    p->episodes += p->tx.cwnd.recovery != p->recovery;
    p->recovery = p->tx.cwnd.recovery;
}

struct net *net_new(uint64_t seed, unsigned n_pairs, size_t cap)
{
    struct net *n = calloc(1, sizeof *n);
    assert_non_null(n);
    n->seed = seed;
    n->now = 1000000;
    n->path.delay = 5 * MS;
    n->n_pairs = n_pairs;
    for (unsigned i = 0; i < n_pairs; i++) {
        struct pair *p = &n->pair[i];
        const struct stream_tx_config cfg = {
            .cap_us = HEARTBEAT, .window_bytes = 256 * 1024, .datagram_bytes = PIECE};
        p->buf = malloc(cap);
        assert_non_null(p->buf);
        stream_tx_init(&p->tx, &p->a, &cfg);
        stream_rx_init(&p->rx, p->buf, cap, 256 * 1024);
        rtt_sample(&p->a.rtt, n->now, 10 * MS);
        p->ack_every = 1;
        p->ack_by = NEVER;
    }
    return n;
}

void net_free(struct net *n)
{
    for (unsigned i = 0; i < n->n_pairs; i++)
        free(n->pair[i].buf);
    free(n->ev);
    free(n);
}

static bool before(const struct net_event *a, const struct net_event *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

static void heap_push(struct net *n, const struct net_event *e)
{
    if (n->n_ev == n->cap_ev) {
        n->cap_ev = n->cap_ev ? 2 * n->cap_ev : 64;
        n->ev = realloc(n->ev, n->cap_ev * sizeof *n->ev);
        assert_non_null(n->ev);
    }
    unsigned i = n->n_ev++;
    for (; i > 0 && before(e, &n->ev[(i - 1) / 2]); i = (i - 1) / 2)
        n->ev[i] = n->ev[(i - 1) / 2];
    n->ev[i] = *e;
}

static struct net_event heap_pop(struct net *n)
{
    struct net_event top = n->ev[0];
    struct net_event last = n->ev[--n->n_ev];
    unsigned i = 0;
    for (unsigned k; (k = 2 * i + 1) < n->n_ev; i = k) {
        if (k + 1 < n->n_ev && before(&n->ev[k + 1], &n->ev[k]))
            k++;
        if (!before(&n->ev[k], &last))
            break;
        n->ev[i] = n->ev[k];
    }
    if (n->n_ev > 0)
        n->ev[i] = last;
    return top;
}

/* How long a datagram waits before the bottleneck and in it; UINT64_MAX: it is dropped there. */
static uint64_t bottleneck(struct net *n, size_t size)
{
    struct path *p = &n->path;
    if (p->rate == 0)
        return 0;
    uint64_t wait = p->free_at > n->now ? p->free_at - n->now : 0;
    if (wait * p->rate / 1000000 + size > p->buffer) {
        p->overflows++;
        return UINT64_MAX;
    }
    if (wait > p->longest_wait)
        p->longest_wait = wait;
    p->free_at = n->now + wait + size * 1000000 / p->rate;
    return p->free_at - n->now;
}

static void transmit(struct net *n, struct net_event *e)
{
    struct path *p = &n->path;
    struct pair *pr = &n->pair[e->pair];
    link_sent(e->sack ? &pr->b : &pr->a);
    unsigned i = n->sent++;
    if (e->sack)
        pr->sacks++;
    else
        pr->data++;
    pr->data_bytes += e->len;
    if (p->bursts > 0 && p->in_burst == 0 && rnd(&n->seed) % 1000 < p->bursts)
        p->in_burst = BURST;
    if (p->in_burst > 0) {
        p->in_burst--;
        return;
    }
    if ((i < 64 && p->drop >> i & 1) || chance(&n->seed, p->loss))
        return;
    uint64_t wait = e->sack ? 0 : bottleneck(n, e->len + OVERHEAD);
    if (wait == UINT64_MAX)
        return;
    unsigned copies = chance(&n->seed, p->dup) ? 2 : 1;
    while (copies-- > 0) {
        e->at = n->now + wait + p->delay + (p->jitter ? rnd(&n->seed) % p->jitter : 0);
        e->number = n->ev_count++;
        heap_push(n, e);
    }
}

static void send_sack(struct net *n, unsigned i)
{
    struct pair *p = &n->pair[i];
    struct net_event e = {.pair = i, .sack = true};
    (void)link_stamp(&p->b, n->now, &e.h);
    stream_rx_sack(&p->rx, &e.s);
    assert_true(e.s.contig + e.s.rwnd <= p->rx.consumed + p->rx.cap);
    p->unacked = 0;
    p->ack_by = NEVER;
    transmit(n, &e);
}

static void pump(struct net *n, unsigned i)
{
    struct pair *p = &n->pair[i];
    struct stream_piece piece;
    if (p->ack_by <= n->now)
        send_sack(n, i);
    for (;;) {
        size_t most = p->random_cuts ? 1 + rnd(&n->seed) % PIECE : PIECE;
        bool some = stream_tx_next(&p->tx, n->now, most, &piece);
        count_episodes(p);
        if (!some)
            return;
        assert_true(piece.len > 0 && piece.len <= most && piece.off >= p->tx.una &&
                    piece.off + piece.len <= p->tx.end);
        struct net_event e = {.pair = i, .off = piece.off, .len = piece.len, .again = piece.again};
        uint64_t stamp = link_stamp(&p->a, n->now, &e.h);
        p->copies += p->tx.next == STREAM_COPY;
        stream_tx_sent(&p->tx, n->now, stamp, piece.off, piece.len);
        expect_tx(&p->tx);
        transmit(n, &e);
    }
}

void net_pump(struct net *n)
{
    for (unsigned i = 0; i < n->n_pairs; i++)
        pump(n, i);
}

static void consume(struct pair *p)
{
    const uint8_t *bytes;
    size_t len;
    while (p->greed != SIZE_MAX && stream_rx_ready(&p->rx, &bytes, &len)) {
        if (p->greed > 0 && len > p->greed)
            len = p->greed;
        expect_bytes(bytes, p->rx.consumed, len);
        stream_rx_consume(&p->rx, len);
        expect_rx(&p->rx);
    }
}

static void deliver(struct net *n, const struct net_event *e)
{
    struct pair *p = &n->pair[e->pair];
    (void)link_received(e->sack ? &p->a : &p->b, n->now, &e->h);
    if (e->sack) {
        assert_true(stream_tx_ack(&p->tx, n->now, &e->s, link_echoed(&p->a, &e->h)));
        count_episodes(p);
        expect_tx(&p->tx);
        return;
    }
    uint8_t bytes[PIECE];
    fill_bytes(bytes, e->off, e->len);
    uint64_t contig = p->rx.contig;
    enum stream_put r = stream_rx_put(&p->rx, e->off, bytes, e->len, e->again);
    assert_true((r == STREAM_NEW) == (p->rx.contig > contig));
    expect_rx(&p->rx);
    consume(p);
    uint64_t by = r == STREAM_NEW && ++p->unacked < p->ack_every ? n->now + p->ack_delay : n->now;
    if (by < p->ack_by)
        p->ack_by = by;
}

static uint64_t next_deadline(const struct net *n)
{
    uint64_t due = NEVER;
    for (unsigned i = 0; i < n->n_pairs; i++) {
        const struct pair *p = &n->pair[i];
        uint64_t at = stream_tx_deadline(&p->tx, n->now);
        assert_true(at > n->now || at == NEVER); /* else the daemon would spin */
        due = at < due ? at : due;
        due = p->ack_by < due ? p->ack_by : due;
    }
    if (n->tick != 0 && due != NEVER)
        due = (due + n->tick - 1) / n->tick * n->tick;
    return due;
}

bool net_step(struct net *n)
{
    net_pump(n);
    uint64_t due = next_deadline(n);
    if (n->n_ev == 0 && due == NEVER)
        return false;
    if (n->n_ev > 0 && n->ev[0].at <= due) {
        struct net_event e = heap_pop(n);
        n->now = e.at;
        deliver(n, &e);
    } else {
        n->now = due;
    }
    net_pump(n);
    return true;
}

uint64_t net_run(struct net *n, uint64_t end, uint64_t limit)
{
    struct pair *p = &n->pair[0];
    uint64_t start = n->now;
    stream_tx_end(&p->tx, end);
    while (p->tx.una < end) {
        assert_true(net_step(n));
        assert_true(n->now - start <= limit);
    }
    assert_true(p->rx.contig == end);
    assert_int_equal(p->tx.timeouts, 0);
    return n->now - start;
}

void net_until(struct net *n, uint64_t at)
{
    net_pump(n);
    while ((n->n_ev > 0 && n->ev[0].at <= at) || next_deadline(n) <= at) {
        bool more = net_step(n);
        assert_true(more);
    }
    n->now = at;
}
