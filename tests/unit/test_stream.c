// LINK: net/stream.c net/link.c net/rtt.c
/* The stream engine in virtual time and from seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "net/link.h"
#include "net/stream.h"

enum {
    MS = 1000,
    PIECE = 1124,        /* what a datagram of 1200 bytes carries */
    HEARTBEAT = 50 * MS, /* cap of the backoff                    */
    EVENTS = 8192,
};

static uint64_t rnd(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool chance(uint64_t *seed, unsigned percent)
{
    return rnd(seed) % 100 < percent;
}

/* The byte of the source at an offset: neighbours differ, and so do distant places. */
static uint8_t byte_at(uint64_t off)
{
    return (uint8_t)((off * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

static void fill(uint8_t *p, uint64_t off, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = byte_at(off + i);
}

static void expect_bytes(const uint8_t *p, uint64_t off, size_t len)
{
    for (size_t i = 0; i < len; i++)
        assert_int_equal(p[i], byte_at(off + i));
}

static void expect_ranges(const struct stream_ranges *s, uint64_t above)
{
    assert_true(s->n <= STREAM_RANGES);
    for (unsigned i = 0; i < s->n; i++) {
        assert_true(s->r[i].start > above && s->r[i].start < s->r[i].end);
        above = s->r[i].end;
    }
}

static void expect_tx(const struct stream_tx *tx)
{
    assert_true(tx->una <= tx->nxt && tx->nxt <= tx->end);
    expect_ranges(&tx->acked, tx->una);
    if (tx->acked.n > 0)
        assert_true(tx->acked.r[tx->acked.n - 1].end <= tx->nxt);
}

static void expect_rx(const struct stream_rx *rx)
{
    assert_true(rx->consumed <= rx->contig && rx->contig - rx->consumed <= rx->cap);
    expect_ranges(&rx->held, rx->contig);
    uint64_t end = rx->held.n > 0 ? rx->held.r[rx->held.n - 1].end : rx->contig;
    assert_true(rx->head + (end - rx->consumed) <= rx->cap);
}

/* Two nodes and the network between them. */

struct event {
    uint64_t at;
    bool sack; /* to the sender; else data, to the receiver */
    uint64_t off;
    size_t len;
    struct wire_sack s;
    struct wire_header h;
};

struct sim {
    uint64_t seed;
    uint64_t now;
    uint64_t delay;  /* one way */
    uint64_t jitter; /* at most, on top */
    unsigned loss;   /* percent */
    unsigned dup;
    uint64_t drop;    /* bit i: the i-th datagram of all is lost */
    size_t greed;     /* bytes consumed at a time, 0 = all, SIZE_MAX = none */
    bool random_cuts; /* pieces of any length */

    struct link a; /* sender's */
    struct link b;
    struct stream_tx tx;
    struct stream_rx rx;
    uint8_t *buf;
    struct event ev[EVENTS];
    unsigned n_ev;
    unsigned n_sent; /* datagrams, both ways */
    unsigned n_data;
    unsigned n_sacks;
};

static struct sim *sim_new(uint64_t seed, size_t cap)
{
    struct sim *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->seed = seed;
    s->now = 1000000;
    s->delay = 5 * MS;
    s->buf = malloc(cap);
    assert_non_null(s->buf);
    stream_tx_init(&s->tx, &s->a.rtt, 0, HEARTBEAT);
    stream_rx_init(&s->rx, s->buf, cap);
    rtt_sample(&s->a.rtt, 10 * MS); /* as after the probe: srtt 10, rttvar 5, PTO 30 ms */
    return s;
}

static void sim_free(struct sim *s)
{
    free(s->buf);
    free(s);
}

static void send_event(struct sim *s, struct event e)
{
    link_stamp(e.sack ? &s->b : &s->a, s->now, &e.h);
    unsigned i = s->n_sent++;
    if (e.sack)
        s->n_sacks++;
    else
        s->n_data++;
    if ((i < 64 && s->drop >> i & 1) || chance(&s->seed, s->loss))
        return;
    unsigned copies = chance(&s->seed, s->dup) ? 2 : 1;
    while (copies-- > 0) {
        assert_true(s->n_ev < EVENTS);
        e.at = s->now + s->delay + (s->jitter ? rnd(&s->seed) % s->jitter : 0);
        s->ev[s->n_ev++] = e;
    }
}

static void send_sack(struct sim *s)
{
    struct event e = {.sack = true};
    stream_rx_sack(&s->rx, &e.s);
    assert_true(e.s.contig + e.s.rwnd == s->rx.consumed + s->rx.cap);
    send_event(s, e);
}

static void pump(struct sim *s)
{
    uint64_t off;
    size_t len;
    size_t most = s->random_cuts ? 1 + rnd(&s->seed) % PIECE : PIECE;
    while (stream_tx_next(&s->tx, s->now, most, &off, &len)) {
        assert_true(len > 0 && len <= most && off >= s->tx.una && off + len <= s->tx.end);
        stream_tx_sent(&s->tx, s->now, off, len);
        expect_tx(&s->tx);
        send_event(s, (struct event){.off = off, .len = len});
        most = s->random_cuts ? 1 + rnd(&s->seed) % PIECE : PIECE;
    }
}

static void consume(struct sim *s)
{
    const uint8_t *p;
    size_t len;
    while (s->greed != SIZE_MAX && stream_rx_ready(&s->rx, &p, &len)) {
        if (s->greed > 0 && len > s->greed)
            len = s->greed;
        expect_bytes(p, s->rx.consumed, len);
        stream_rx_consume(&s->rx, len);
        expect_rx(&s->rx);
    }
}

static void deliver(struct sim *s, const struct event *e)
{
    (void)link_received(e->sack ? &s->a : &s->b, s->now, &e->h);
    if (e->sack) {
        assert_true(stream_tx_ack(&s->tx, s->now, &e->s));
        expect_tx(&s->tx);
        return;
    }
    uint8_t bytes[PIECE];
    fill(bytes, e->off, e->len);
    uint64_t contig = s->rx.contig;
    enum stream_put r = stream_rx_put(&s->rx, e->off, bytes, e->len);
    assert_true((r == STREAM_NEW) == (s->rx.contig > contig));
    expect_rx(&s->rx);
    consume(s);
    send_sack(s);
}

/* One event or deadline. False when nothing will ever happen again. */
static bool step(struct sim *s)
{
    unsigned best = 0;
    for (unsigned i = 1; i < s->n_ev; i++)
        if (s->ev[i].at < s->ev[best].at)
            best = i;
    uint64_t due = stream_tx_deadline(&s->tx);
    if (s->n_ev == 0 && due == STREAM_NEVER)
        return false;
    if (s->n_ev > 0 && s->ev[best].at <= due) {
        struct event e = s->ev[best];
        s->n_ev--;
        memmove(&s->ev[best], &s->ev[best + 1], (s->n_ev - best) * sizeof s->ev[0]);
        s->now = e.at;
        deliver(s, &e);
    } else {
        assert_true(due >= s->now || s->now - due < 1000 * MS);
        if (due > s->now)
            s->now = due;
    }
    pump(s);
    return true;
}

/* Until all is acknowledged; returns the time it took. */
static uint64_t run(struct sim *s, uint64_t end, uint64_t limit)
{
    uint64_t start = s->now;
    stream_tx_end(&s->tx, end);
    pump(s);
    while (s->tx.una < end) {
        assert_true(step(s));
        assert_true(s->now - start <= limit);
    }
    assert_true(s->rx.contig == end);
    assert_int_equal(s->tx.timeouts, 0);
    return s->now - start;
}

static void test_one_datagram(void **state)
{
    (void)state;
    struct sim *s = sim_new(1, 65536);
    assert_true(stream_tx_deadline(&s->tx) == STREAM_NEVER);
    uint64_t took = run(s, 200, 1000 * MS);
    assert_int_equal(took, 10 * MS);
    assert_int_equal(s->n_data, 1);
    assert_int_equal(s->n_sacks, 1);
    assert_true(stream_tx_deadline(&s->tx) == STREAM_NEVER);
    sim_free(s);
}

/* A put of one datagram with every pattern of loss of the first six datagrams: it completes, and
 * costs one resend per loss, each within its timeout. */
static void test_all_patterns_of_loss(void **state)
{
    (void)state;
    for (uint64_t drop = 0; drop < 64; drop++) {
        struct sim *s = sim_new(1, 65536);
        s->drop = drop;
        uint64_t took = run(s, 200, 1000 * MS);
        unsigned lost = 0; /* round trips that failed: of the datagrams really sent */
        for (unsigned i = 0; i < s->n_sent && i < 6; i++)
            lost += (unsigned)(drop >> i & 1);
        assert_int_equal(s->n_data, 1 + lost);
        assert_true(s->n_sent <= 2 + 2 * lost);
        /* PTO 30 ms, the fourth in a row and later ones at most the heartbeat's 50. */
        assert_true(took <= 10 * MS + 3 * 30 * MS + (lost > 3 ? (lost - 3) * HEARTBEAT : 0u));
        assert_true(lost > 0 || took == 10 * MS);
        sim_free(s);
    }
}

/* One of ten is lost: the SACKs of those behind it bring it back without a timeout. */
static void test_hole_is_filled_by_order(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 10; lost++) {
        struct sim *s = sim_new(1, 65536);
        s->drop = UINT64_C(1) << lost;
        uint64_t took = run(s, 10 * PIECE, 1000 * MS);
        assert_int_equal(s->n_data, 11);
        if (lost < 9)
            assert_int_equal(took, 20 * MS);
        else /* the tail: nothing is behind it */
            assert_true(took <= 10 * MS + 30 * MS + 10 * MS);
        sim_free(s);
    }
}

/* All of a flight is lost: a timeout, then two for each acknowledgement. */
static void test_lost_flight(void **state)
{
    (void)state;
    struct sim *s = sim_new(1, 65536);
    s->drop = (UINT64_C(1) << 20) - 1;
    uint64_t took = run(s, 20 * PIECE, 1000 * MS);
    assert_int_equal(s->n_data, 40);
    assert_true(took <= 30 * MS + 6 * 10 * MS);
    sim_free(s);
}

static void test_reordering_costs_little(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim *s = sim_new(seed, 1 << 20);
        s->jitter = 4 * MS;
        (void)run(s, 40 * PIECE, 1000 * MS);
        assert_int_equal(s->tx.timeouts, 0);
        assert_true(s->n_data <= 80); /* no byte more than twice */
        sim_free(s);
    }
}

/* Loss, repetition, reordering, any cuts, small windows, slow consumers. */
static void test_property(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint64_t r = seed * 7919 + 1;
        struct sim *s = sim_new(seed, 2000 + rnd(&r) % 60000);
        s->loss = (unsigned)(rnd(&r) % 4) * 15;
        s->dup = (unsigned)(rnd(&r) % 3) * 20;
        s->jitter = rnd(&r) % 3 * 10 * MS;
        s->random_cuts = chance(&r, 50);
        s->greed = chance(&r, 50) ? 0 : 1 + rnd(&r) % 700;
        uint64_t end = 0;
        for (int part = 0; part < 5; part++) {
            end += 1 + rnd(&r) % 40000;
            (void)run(s, end, 120 * 1000 * MS);
        }
        assert_true(s->rx.consumed == end);
        sim_free(s);
    }
}

/* 30 % of all datagrams lost must not make a bulk transfer crawl. */
static void test_bulk_under_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sim *s = sim_new(seed, 1 << 20);
        s->loss = 30;
        uint64_t took = run(s, 512 * 1024, 60 * 1000 * MS);
        assert_true(took < 1000 * MS);
        assert_true(s->n_data < 2 * 512 * 1024 / PIECE); /* the least is 1 / 0.7 */
        sim_free(s);
    }
}

static void test_backoff(void **state)
{
    (void)state;
    struct sim *s = sim_new(1, 65536);
    s->drop = UINT64_MAX;
    stream_tx_end(&s->tx, 5 * PIECE);
    pump(s);
    assert_int_equal(s->n_data, 5);
    const uint64_t waits_ms[] = {30, 30, 30, 50, 50, 50};
    const unsigned sent[] = {6, 7, 8, 10, 12, 14};
    for (unsigned i = 0; i < 6; i++) {
        uint64_t before = s->now;
        assert_true(stream_tx_deadline(&s->tx) == before + waits_ms[i] * MS);
        s->now = stream_tx_deadline(&s->tx) - 1;
        pump(s);
        assert_int_equal(s->n_data, i == 0 ? 5 : sent[i - 1]);
        s->now++;
        pump(s);
        assert_int_equal(s->n_data, sent[i]);
    }
    sim_free(s);
}

/* New data that flows does not keep the timer of the oldest byte from running out. */
static void test_timer_is_of_the_oldest_byte(void **state)
{
    (void)state;
    struct sim *s = sim_new(1, 65536);
    s->drop = 1;
    s->loss = 0;
    uint64_t start = s->now;
    stream_tx_end(&s->tx, 100);
    pump(s);
    s->drop = UINT64_MAX;
    for (int i = 1; i <= 30; i++) {
        assert_true(stream_tx_deadline(&s->tx) == start + 30 * MS);
        s->now = start + (uint64_t)i * MS;
        stream_tx_end(&s->tx, 100 + (uint64_t)i);
        pump(s);
    }
    assert_int_equal(s->n_data, 1 + 30 + 1); /* the last step brought a resend as well */
    sim_free(s);
}

static void test_windows(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    struct stream_tx tx;
    uint64_t off;
    size_t len;
    stream_tx_init(&tx, &rtt, 0, HEARTBEAT);
    assert_false(stream_tx_next(&tx, 0, PIECE, &off, &len));
    stream_tx_end(&tx, UINT64_C(1) << 40);
    assert_false(stream_tx_next(&tx, 0, 0, &off, &len));
    while (stream_tx_next(&tx, 1, PIECE, &off, &len))
        stream_tx_sent(&tx, 1, off, len);
    assert_int_equal(tx.nxt, STREAM_FIRST_WINDOW_BYTES);

    struct wire_sack s = {.contig = tx.nxt, .rwnd = UINT32_MAX};
    assert_true(stream_tx_ack(&tx, 2, &s));
    while (stream_tx_next(&tx, 2, PIECE, &off, &len))
        stream_tx_sent(&tx, 2, off, len);
    assert_int_equal(tx.nxt, STREAM_FIRST_WINDOW_BYTES + STREAM_WINDOW_BYTES);

    /* An old SACK with a smaller window takes nothing back. */
    s = (struct wire_sack){.contig = 10, .rwnd = 10};
    uint64_t edge = tx.edge;
    assert_true(stream_tx_ack(&tx, 3, &s));
    assert_true(tx.edge == edge && tx.una == STREAM_FIRST_WINDOW_BYTES);

    /* Closed with nothing on its way: one byte beyond the window per timeout asks for a SACK. */
    stream_tx_init(&tx, &rtt, 0, HEARTBEAT);
    stream_tx_end(&tx, UINT64_C(1) << 40);
    while (stream_tx_next(&tx, 1, PIECE, &off, &len))
        stream_tx_sent(&tx, 1, off, len);
    s = (struct wire_sack){.contig = tx.nxt, .rwnd = 0};
    assert_true(stream_tx_ack(&tx, 2, &s));
    assert_false(stream_tx_next(&tx, 2, PIECE, &off, &len));
    for (unsigned i = 0; i < 3; i++) {
        uint64_t due = stream_tx_deadline(&tx);
        assert_false(stream_tx_next(&tx, due - 1, PIECE, &off, &len));
        assert_true(stream_tx_next(&tx, due, PIECE, &off, &len));
        assert_true(off == STREAM_FIRST_WINDOW_BYTES && len == 1);
        stream_tx_sent(&tx, due, off, len);
        assert_false(stream_tx_next(&tx, due, PIECE, &off, &len));
    }
    s.rwnd = 5000;
    assert_true(stream_tx_ack(&tx, 3, &s));
    assert_true(stream_tx_next(&tx, 3, PIECE, &off, &len));
    assert_true(off == STREAM_FIRST_WINDOW_BYTES + 1 && len == PIECE);
}

/* The receiver's memory is full, and the SACK that says that there is room again is lost. */
static void test_closed_window_opens(void **state)
{
    (void)state;
    struct sim *s = sim_new(1, 3000);
    s->greed = SIZE_MAX;
    stream_tx_end(&s->tx, 10000);
    pump(s);
    for (int i = 0; i < 200; i++)
        assert_true(step(s));
    assert_int_equal(s->rx.contig, 3000);
    assert_int_equal(s->tx.una, 3000);
    unsigned sent = s->n_data;
    uint64_t start = s->now;
    while (s->now < start + 1000 * MS)
        assert_true(step(s));
    assert_true(s->n_data - sent <= 2 * 1000 / 50 + 4); /* polite: about one per heartbeat */
    s->greed = 0;
    consume(s);
    (void)run(s, 10000, 200 * MS);
    sim_free(s);
}

static void test_nonsense_acks(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    struct stream_tx tx;
    uint64_t off;
    size_t len;
    stream_tx_init(&tx, &rtt, 0, HEARTBEAT);
    stream_tx_end(&tx, 5000);
    while (tx.nxt < 3000 && stream_tx_next(&tx, 1, 1000, &off, &len))
        stream_tx_sent(&tx, 1, off, len);
    assert_int_equal(tx.nxt, 3000);
    const struct wire_sack bad[] = {
        {.contig = 3001},
        {.contig = UINT64_MAX},
        {.contig = 0, .n = WIRE_SACK_RANGES + 1},
        {.contig = 0, .n = 1, .ranges = {{0, 10}}},
        {.contig = 0, .n = 1, .ranges = {{10, 0}}},
        {.contig = 0, .n = 1, .ranges = {{10, 2991}}},
        {.contig = 3000, .n = 1, .ranges = {{1, 1}}},
        {.contig = 0, .n = 1, .ranges = {{UINT32_MAX, UINT32_MAX}}},
        {.contig = 0, .n = 2, .ranges = {{10, 10}, {2999, 2}}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct stream_tx before = tx;
        assert_false(stream_tx_ack(&tx, 2, &bad[i]));
        assert_memory_equal(&before, &tx, sizeof tx);
    }
}

/* Any acknowledgements at all keep the sender's invariants, and it never names wrong bytes. */
static void test_hostile_acks(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        uint64_t r = seed;
        struct rtt rtt = {0};
        struct stream_tx tx;
        stream_tx_init(&tx, &rtt, 0, HEARTBEAT);
        uint64_t now = 0;
        for (int i = 0; i < 500; i++) {
            now += rnd(&r) % (20 * MS);
            stream_tx_end(&tx, tx.end + rnd(&r) % 3000);
            uint64_t off;
            size_t len;
            for (int k = 0; k < 400 && stream_tx_next(&tx, now, 1 + rnd(&r) % PIECE, &off, &len);
                 k++) {
                assert_true(len > 0 && off >= tx.una && off <= tx.nxt && off + len <= tx.end);
                stream_tx_sent(&tx, now, off, 1 + rnd(&r) % len);
                expect_tx(&tx);
            }
            struct wire_sack s = {.rwnd = (uint32_t)(rnd(&r) >> rnd(&r) % 64)};
            uint64_t span = tx.nxt - tx.una + 2;
            s.contig = tx.una + rnd(&r) % span - (chance(&r, 30) ? rnd(&r) % 1000 : 0);
            s.n = (unsigned)(rnd(&r) % (WIRE_SACK_RANGES + 1));
            for (unsigned k = 0; k < s.n; k++)
                s.ranges[k] = (struct wire_range){(uint32_t)(rnd(&r) % span),
                                                  (uint32_t)(rnd(&r) % (span / 4 + 2))};
            (void)stream_tx_ack(&tx, now, &s);
            expect_tx(&tx);
        }
    }
}

/* A receiver that drops what it reported as held is wrong; the stream goes on all the same. */
static void test_broken_promise_heals(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    struct stream_tx tx;
    uint64_t off;
    size_t len;
    stream_tx_init(&tx, &rtt, 0, HEARTBEAT);
    stream_tx_end(&tx, 3000);
    while (stream_tx_next(&tx, 1, 1000, &off, &len))
        stream_tx_sent(&tx, 1, off, len);
    struct wire_sack s = {.contig = 0, .rwnd = 9000, .n = 1, .ranges = {{1000, 2000}}};
    assert_true(stream_tx_ack(&tx, 2, &s));
    assert_true(stream_tx_next(&tx, 2, 5000, &off, &len));
    assert_true(off == 0 && len == 1000);
    stream_tx_sent(&tx, 2, off, len);
    s = (struct wire_sack){.contig = 1000, .rwnd = 9000};
    assert_true(stream_tx_ack(&tx, 3, &s));
    assert_false(stream_tx_next(&tx, 3, 5000, &off, &len));
    assert_true(stream_tx_next(&tx, stream_tx_deadline(&tx), 5000, &off, &len));
    assert_true(off == 1000 && len == 2000);
}

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
        stream_rx_init(&rx, buf, cap);
        while (rx.consumed < TOTAL) {
            uint64_t from = chance(&r, 20) ? rx.contig : rnd(&r) % TOTAL;
            if (chance(&r, 50)) {
                from = rx.consumed + rnd(&r) % (cap + most);
                from -= from < most ? from : rnd(&r) % most;
            }
            size_t len = 1 + rnd(&r) % most;
            uint8_t bytes[900];
            fill(bytes, from, len);
            uint64_t contig = rx.contig;
            enum stream_put res = stream_rx_put(&rx, from, bytes, len);
            expect_rx(&rx);
            assert_true((res == STREAM_NEW) == (rx.contig > contig));
            if (from <= contig && from + len > contig && contig - rx.consumed < cap)
                assert_int_equal(res, STREAM_NEW); /* whatever is held, the next byte has a place */
            if (from + len <= contig)
                assert_int_equal(res, STREAM_DUPLICATE);
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
    fill(in, 0, sizeof in);
    struct stream_rx rx;
    const uint8_t *p;
    size_t len;
    stream_rx_init(&rx, buf, sizeof buf);
    assert_false(stream_rx_ready(&rx, &p, &len));
    assert_int_equal(stream_rx_put(&rx, 0, in, 0), STREAM_DUPLICATE);
    assert_int_equal(stream_rx_put(&rx, 50, in + 50, 10), STREAM_GAP);
    assert_int_equal(stream_rx_put(&rx, 50, in + 50, 10), STREAM_DUPLICATE);
    assert_int_equal(stream_rx_put(&rx, 52, in + 52, 3), STREAM_DUPLICATE);
    assert_int_equal(stream_rx_put(&rx, 100, in + 100, 1), STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, 90, in + 90, 50), STREAM_GAP); /* cut at the window */
    assert_int_equal(stream_rx_put(&rx, UINT64_MAX, in, 1), STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, UINT64_MAX - 4, in, 4), STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, UINT64_MAX - 4, in, 200), STREAM_BEYOND_WINDOW);
    struct wire_sack s;
    stream_rx_sack(&rx, &s);
    assert_true(s.contig == 0 && s.rwnd == 100 && s.n == 2);
    assert_true(s.ranges[0].start == 50 && s.ranges[0].len == 10);
    assert_true(s.ranges[1].start == 90 && s.ranges[1].len == 10);
    assert_int_equal(stream_rx_put(&rx, 0, in, 55), STREAM_NEW);
    assert_true(stream_rx_ready(&rx, &p, &len));
    assert_int_equal(len, 60);
    expect_bytes(p, 0, len);
    stream_rx_consume(&rx, 30);
    assert_int_equal(stream_rx_put(&rx, 20, in + 20, 200 - 20), STREAM_NEW);
    assert_true(stream_rx_ready(&rx, &p, &len));
    assert_int_equal(len, 100);
    expect_bytes(p, 30, len);
    stream_rx_sack(&rx, &s);
    assert_true(s.contig == 130 && s.rwnd == 0 && s.n == 0);
    assert_int_equal(stream_rx_put(&rx, 130, in + 130, 1), STREAM_BEYOND_WINDOW);
}

/* More holes than the list takes: refused, and nothing that was reported is given up. */
static void test_too_many_holes(void **state)
{
    (void)state;
    enum { LAST = 10 + 20 * (STREAM_RANGES - 1), SIZE = LAST + 100 };
    uint8_t buf[SIZE];
    uint8_t in[SIZE];
    fill(in, 0, sizeof in);
    struct stream_rx rx;
    struct wire_sack s;
    stream_rx_init(&rx, buf, sizeof buf);
    for (unsigned off = 10; off <= LAST; off += 20)
        assert_int_equal(stream_rx_put(&rx, off, in + off, 10), STREAM_GAP);
    assert_int_equal(stream_rx_put(&rx, LAST + 20, in + LAST + 20, 10), STREAM_BEYOND_WINDOW);
    assert_int_equal(stream_rx_put(&rx, 2, in + 2, 3), STREAM_BEYOND_WINDOW);
    stream_rx_sack(&rx, &s);
    assert_int_equal(s.n, WIRE_SACK_RANGES);
    assert_int_equal(s.ranges[6].start, 10 + 20 * 6);
    assert_int_equal(s.ranges[7].start, LAST); /* the newest */
    assert_int_equal(stream_rx_put(&rx, 180, in + 180, 10), STREAM_GAP);
    stream_rx_sack(&rx, &s);
    assert_int_equal(s.ranges[7].start, 170); /* joined with both neighbours */
    assert_int_equal(s.ranges[7].len, 30);
    assert_int_equal(stream_rx_put(&rx, 0, in, LAST + 50), STREAM_NEW);
    assert_int_equal(rx.contig, LAST + 50);
    assert_int_equal(rx.held.n, 0);
    expect_bytes(buf, 0, LAST + 50);
}

/* The timer. */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_datagram),
        cmocka_unit_test(test_all_patterns_of_loss),
        cmocka_unit_test(test_hole_is_filled_by_order),
        cmocka_unit_test(test_lost_flight),
        cmocka_unit_test(test_reordering_costs_little),
        cmocka_unit_test(test_property),
        cmocka_unit_test(test_bulk_under_loss),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_timer_is_of_the_oldest_byte),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_closed_window_opens),
        cmocka_unit_test(test_nonsense_acks),
        cmocka_unit_test(test_hostile_acks),
        cmocka_unit_test(test_broken_promise_heals),
        cmocka_unit_test(test_any_cut_and_order),
        cmocka_unit_test(test_receiver_results),
        cmocka_unit_test(test_too_many_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
