// LINK: @stream tests/lib/stream_pair.c HEAVY
/* Window and pacing: by the letter, and over paths in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/stream_pair.h"

enum {
    MSS = 1000,
    MOST = 256 * MSS,
    FLOOR = CWND_FLOOR_DATAGRAMS * MSS,
    MEGABIT = 125000,
    MEMORY = 1300000, /* of a receiver in the daemon */
};

static struct rtt rtt_of(uint64_t srtt_us, uint64_t min_us)
{
    return (struct rtt){.has = true, .srtt_us = srtt_us, .last_us = srtt_us, .min_us = min_us};
}

/* Acknowledges a window in full, datagram by datagram. */
static void round_trip(struct cwnd *c, const struct rtt *rtt, uint64_t *now)
{
    uint64_t window = cwnd_window(c, *now);
    uint64_t stamp = *now;
    *now += rtt->srtt_us;
    for (uint64_t got = 0; got < window; got += MSS) {
        const struct cwnd_ack a = {.now_us = *now,
                                   .bytes = MSS,
                                   .in_flight = window,
                                   .echo = stamp + got / MSS,
                                   .newest = *now};
        cwnd_acked(c, rtt, &a);
    }
}

static void test_grows_and_is_cut(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(10 * MS, 10 * MS);
    struct cwnd c;
    uint64_t now = 1000 * MS;
    cwnd_init(&c, MSS, MOST);
    assert_int_equal(c.bytes, CWND_FIRST_DATAGRAMS * MSS);
    round_trip(&c, &rtt, &now);
    assert_int_equal(c.bytes, 20 * MSS);
    round_trip(&c, &rtt, &now);
    assert_int_equal(c.bytes, 40 * MSS);
    /* A loss without a queue: the radio's. */
    assert_true(cwnd_lost(&c, &rtt, MSS, now, now + 10));
    assert_false(cwnd_lost(&c, &rtt, MSS, now + 10, now + 20)); /* of the same round trip */
    assert_int_equal(c.bytes, 40 * MSS);
    /* 4 ms of queue, or a backlog of two: still. */
    rtt = rtt_of(10 * MS, 6 * MS);
    assert_true(cwnd_lost(&c, &rtt, MSS, now + 11, now + 30));
    rtt = rtt_of(1000 * MS, 940 * MS);
    assert_true(cwnd_lost(&c, &rtt, MSS, now + 31, now + 40));
    assert_int_equal(c.bytes, 40 * MSS);
    /* 10 ms of queue, half of the window: congestion. Then one datagram more per round trip. */
    rtt = rtt_of(20 * MS, 10 * MS);
    assert_true(cwnd_lost(&c, &rtt, MSS, now + 41, now + 50));
    assert_int_equal(c.bytes, 28 * MSS);
    round_trip(&c, &rtt, &now);
    assert_in_range(c.bytes, 28 * MSS + MSS / 2, 29 * MSS);
    for (uint64_t i = 0; i < 100; i++)
        (void)cwnd_lost(&c, &rtt, MSS, now + 100 + i, now + 100 + i);
    assert_int_equal(c.bytes, FLOOR);
    for (int i = 0; i < 1000; i++)
        round_trip(&c, &rtt, &now);
    assert_int_equal(c.bytes, MOST);
    cwnd_silence(&c);
    assert_int_equal(c.bytes, FLOOR);
    for (int i = 0; i < 5; i++) /* slow start up to where it was cut */
        round_trip(&c, &rtt, &now);
    assert_in_range(c.bytes, MOST * 7 / 10, MOST * 7 / 10 + 5 * MSS);
}

static void test_queue_stops_growth(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(40 * MS, 10 * MS);
    struct cwnd c;
    uint64_t now = 1000 * MS;
    cwnd_init(&c, MSS, MOST);
    c.bytes = 100 * MSS;
    rtt.low_at_us = now;
    for (int i = 0; i < 10; i++)
        round_trip(&c, &rtt, &now);
    assert_int_equal(c.bytes, 100 * MSS); /* 30 ms: neither up nor down */
    rtt.srtt_us = rtt.last_us = 70 * MS;
    round_trip(&c, &rtt, &now);
    assert_int_equal(c.bytes, 100 * MSS); /* the last round trip had shorter ones */
    round_trip(&c, &rtt, &now);
    assert_in_range(c.bytes, 87 * MSS, 88 * MSS);
    /* Jitter is in srtt and not in the least sample. */
    rtt.srtt_us = 200 * MS;
    rtt.last_us = 11 * MS;
    round_trip(&c, &rtt, &now);
    assert_true(c.bytes > 87 * MSS + MSS / 2);
    /* On long paths a queue is in proportion. */
    rtt = rtt_of(130 * MS, 100 * MS);
    rtt.low_at_us = now;
    uint64_t before = c.bytes;
    round_trip(&c, &rtt, &now);
    assert_true(c.bytes > before);
}

static void test_not_limited_does_not_grow(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(10 * MS, 10 * MS);
    struct cwnd c;
    cwnd_init(&c, MSS, MOST);
    for (uint64_t i = 1; i < 1000; i++) {
        const struct cwnd_ack a = {
            .now_us = i * MS, .bytes = 200, .in_flight = 400, .echo = i * MS, .newest = i * MS};
        cwnd_sent(&c, i * MS, &rtt, 200);
        cwnd_acked(&c, &rtt, &a);
    }
    assert_int_equal(c.bytes, CWND_FIRST_DATAGRAMS * MSS);
    /* A window from busier times does not outlive a pause. */
    c.bytes = MOST;
    cwnd_sent(&c, 1500 * MS, &rtt, MSS);
    assert_int_equal(c.bytes, MOST);
    cwnd_sent(&c, 3000 * MS, &rtt, MSS);
    assert_int_equal(c.bytes, CWND_FIRST_DATAGRAMS * MSS);
    /* Nor is one that is less than that made larger; and another datagram size keeps the limits. */
    cwnd_mss(&c, 2 * MSS);
    assert_int_equal(c.bytes, FLOOR);
    cwnd_mss(&c, 3 * MSS);
    assert_int_equal(c.bytes, 3 * CWND_LEAST_DATAGRAMS * MSS);
    cwnd_init(&c, MSS, 3 * MSS);
    assert_int_equal(c.bytes, 3 * MSS);
}

static void test_mostly_lost(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(10 * MS, 10 * MS);
    struct cwnd c;
    uint64_t now = 1000 * MS;
    cwnd_init(&c, MSS, MOST);
    c.bytes = c.slow_until = 100 * MSS;
    for (int i = 0; i < 20; i++) {
        (void)cwnd_lost(&c, &rtt, c.bytes * 3, now, now + 5);
        round_trip(&c, &rtt, &now);
    }
    assert_true(c.bytes < (CWND_LEAST_DATAGRAMS + 2) * MSS);
    /* 50 % is still a radio. */
    cwnd_init(&c, MSS, MOST);
    c.bytes = c.slow_until = 100 * MSS;
    unsigned less = 0;
    for (int i = 0; i < 300; i++) {
        (void)cwnd_lost(&c, &rtt, c.bytes, now, now + 5);
        round_trip(&c, &rtt, &now);
        assert_true(c.bytes >= 69 * MSS);
        less += c.bytes < 100 * MSS;
    }
    assert_in_range(less, 1, 30); /* trials */
    assert_true(c.bytes > 150 * MSS);
}

/* A cut for something that arrived after all is taken back, once, and soon. */
static void test_cut_is_taken_back(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(20 * MS, 10 * MS);
    for (int late = 0; late < 2; late++) {
        struct cwnd c;
        uint64_t now = 1000 * MS;
        cwnd_init(&c, MSS, MOST);
        c.bytes = c.slow_until = 100 * MSS;
        rtt.low_at_us = now;
        round_trip(&c, &rtt, &now);
        uint64_t before = c.bytes;
        assert_true(cwnd_lost(&c, &rtt, MSS, now, now));
        assert_int_equal(c.bytes, before * 7 / 10);
        for (int i = 0; i < 3 * late; i++)
            round_trip(&c, &rtt, &now);
        const struct cwnd_ack a = {.now_us = now, .found = MSS};
        cwnd_acked(&c, &rtt, &a);
        assert_true(late ? c.bytes < before : c.bytes == before);
        /* And the next loss is none. */
        (void)cwnd_lost(&c, &rtt, MSS, now, now);
        assert_int_equal(c.found, 0);
        assert_int_equal(c.round_lost, late ? 0 : MSS);
    }
}

/* A burst of ten, then 1.25 windows per round trip, and no timer shorter than a millisecond. */
static void test_pacing(void **state)
{
    (void)state;
    struct rtt rtt = rtt_of(100 * MS, 100 * MS);
    struct cwnd c;
    cwnd_init(&c, MSS, MOST);
    c.bytes = c.slow_until = 20 * MSS; /* 250 datagrams per second: one in 4 ms */
    uint64_t now = 1000 * MS;
    unsigned burst = 0;
    for (; cwnd_pace(&c, now) == now; burst++)
        cwnd_sent(&c, now, &rtt, MSS);
    assert_int_equal(burst, CWND_BURST_DATAGRAMS + 1);
    assert_int_equal(cwnd_pace(&c, now), now + 4 * MS);
    unsigned sent = 0;
    for (uint64_t end = now + 1000 * MS; now < end; now = cwnd_pace(&c, now))
        for (; cwnd_pace(&c, now) == now; sent++)
            cwnd_sent(&c, now, &rtt, MSS);
    assert_in_range(sent, 248, 251);
    /* 20000 datagrams per second: timers of a millisecond keep up, for late ones are made up for. */
    rtt = rtt_of(10 * MS, 10 * MS);
    cwnd_init(&c, MSS, MOST);
    c.bytes = c.slow_until = 160 * MSS;
    c.active_us = now;
    sent = 0;
    for (uint64_t end = now + 1000 * MS; now < end;) {
        for (; cwnd_pace(&c, now) == now; sent++)
            cwnd_sent(&c, now, &rtt, MSS);
        uint64_t next = cwnd_pace(&c, now);
        assert_true(next >= now + CWND_TICK_US);
        now = next + 700; /* the loop is late */
    }
    assert_in_range(sent, 19900, 20100);
    /* A LAN: two milliseconds would be most of the window. */
    rtt = rtt_of(4 * MS, 4 * MS);
    cwnd_init(&c, MSS, MOST);
    c.bytes = c.slow_until = MOST;
    c.active_us = now;
    for (burst = 0; cwnd_pace(&c, now) == now; burst++)
        cwnd_sent(&c, now, &rtt, MSS);
    assert_in_range(burst, CWND_BURST_MOST_DATAGRAMS, CWND_BURST_MOST_DATAGRAMS + 2);
}

/* Paths. */

/* The first round trip measured is the path's own, of any pair. */
static void measured(struct net *n)
{
    for (unsigned i = 0; i < n->n_pairs; i++) {
        n->pair[i].a.rtt.has = false;
        rtt_sample(&n->pair[i].a.rtt, n->now, 2 * n->path.delay);
    }
}

static uint64_t bulk(uint64_t seed, uint64_t delay_us, unsigned loss, uint64_t bytes)
{
    struct net *n = net_new(seed, 1, MEMORY);
    n->path.delay = delay_us;
    n->path.loss = loss;
    n->tick = delay_us < MS ? MS : 0; /* the daemon's timers, where they matter */
    measured(n);
    uint64_t took = net_run(n, bytes, 600 * 1000 * MS);
    net_free(n);
    return took;
}

/* Random loss alone, no queue: at least half of the rate without it. */
static void test_radio_keeps_its_rate(void **state)
{
    (void)state;
    const struct {
        uint64_t delay_us;
        uint64_t bytes;
    } paths[] = {{100, 32 << 20}, {10 * MS, 32 << 20}, {50 * MS, 64 << 20}};
    for (size_t i = 0; i < 3; i++) {
        uint64_t plain = bulk(1, paths[i].delay_us, 0, paths[i].bytes);
        for (unsigned loss = 1; loss <= 30; loss = loss == 1 ? 10 : loss + 20) {
            uint64_t took = bulk(1, paths[i].delay_us, loss, paths[i].bytes);
            print_message("    rtt %.1f ms, %2u %%: %.1f of %.1f MB/s, %u %%\n",
                          (double)paths[i].delay_us / 500, loss,
                          (double)paths[i].bytes / (double)took,
                          (double)paths[i].bytes / (double)plain, (unsigned)(plain * 100 / took));
            if (loss <= 10)
                assert_true(took <= 2 * plain);
            assert_true(took <= 4 * plain);
        }
    }
}

struct outcome {
    double rate;     /* of the bottleneck, used by bytes that arrived for the first time */
    double wait_ms;  /* longest in the buffer, in the second half */
    uint64_t lost;   /* datagrams, there, in the second half */
    uint64_t sent;   /* datagrams in the second half */
    double shortest; /* wait in the second half, ms: does the buffer ever drain? */
};

static struct outcome busy(struct net *n, uint64_t seconds, uint64_t acked[PAIRS_MAX])
{
    struct outcome o = {.shortest = 1e9};
    for (unsigned i = 0; i < n->n_pairs; i++)
        stream_tx_end(&n->pair[i].tx, UINT64_C(1) << 40);
    net_until(n, n->now + seconds * 500 * MS);
    n->path.longest_wait = n->path.overflows = 0;
    uint64_t before[PAIRS_MAX], sent = 0, got = 0;
    for (unsigned i = 0; i < n->n_pairs; i++) {
        before[i] = n->pair[i].tx.una;
        sent += n->pair[i].data;
    }
    for (uint64_t end = n->now + seconds * 500 * MS; n->now < end;) {
        net_until(n, n->now + 10 * MS);
        double wait = n->path.free_at > n->now ? in_ms(n->path.free_at - n->now) : 0;
        o.shortest = wait < o.shortest ? wait : o.shortest;
    }
    for (unsigned i = 0; i < n->n_pairs; i++) {
        acked[i] = n->pair[i].tx.una - before[i];
        got += acked[i];
        o.sent += n->pair[i].data;
    }
    o.sent -= sent;
    o.rate = on_path(got) / ((double)n->path.rate * (double)seconds / 2);
    o.wait_ms = in_ms(n->path.longest_wait);
    o.lost = n->path.overflows;
    return o;
}

/* One stream, 1 Mbit/s, 20 ms, buffers of 10 ms to 1 s, with and without a radio's loss: the
 * bottleneck is used, and a long buffer is not kept full. */
static void test_bottleneck(void **state)
{
    (void)state;
    const struct {
        unsigned buffer_ms;
        unsigned loss;
        double rate;
        double most_wait_ms;
        unsigned most_lost_percent;
    } cases[] = {
        {1000, 0, 0.9, 200, 1}, {1000, 10, 0.8, 200, 1}, {100, 0, 0.9, 100, 2},
        {100, 10, 0.8, 100, 5}, {30, 0, 0.8, 30, 15},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net *n = net_new(1, 1, MEMORY);
        uint64_t acked[PAIRS_MAX];
        n->path.delay = 10 * MS;
        n->path.rate = MEGABIT;
        n->path.buffer = cases[i].buffer_ms * MEGABIT / 1000;
        n->path.loss = cases[i].loss;
        struct outcome o = busy(n, 240, acked);
        unsigned lost = (unsigned)(o.lost * 100 / o.sent);
        print_message("    buffer %4u ms, loss %2u %%: %2.0f %% used, waits %.0f to %.0f ms, "
                      "%u %% dropped, window %u\n",
                      cases[i].buffer_ms, cases[i].loss, 100 * o.rate, o.shortest, o.wait_ms, lost,
                      (unsigned)n->pair[0].tx.cwnd.bytes / PIECE);
        assert_true(o.rate >= cases[i].rate && o.wait_ms <= cases[i].most_wait_ms);
        assert_true(lost <= cases[i].most_lost_percent);
        assert_true(o.shortest < 50); /* a dip at least drains it */
        net_free(n);
    }
}

/* Buffers too short for a queue to be seen: what they drop is little, and the bottleneck is used; with
 * a radio's loss as well, and by two streams. */
static void test_short_buffer(void **state)
{
    (void)state;
    const struct {
        unsigned mbit;
        uint64_t buffer_us;
        uint64_t delay_us;
        unsigned loss;
        unsigned streams;
        double rate;
        unsigned most_lost_percent;
    } cases[] = {
        {100, 1000, 200, 0, 1, 0.9, 10},
        {100, 2000, 200, 0, 1, 0.9, 10},
        {100, 4000, 200, 0, 1, 0.9, 10},
        {100, 1000, 5 * MS, 0, 1, 0.85, 10},
        {100, 4000, 5 * MS, 0, 1, 0.9, 10},
        {20, 4000, 10 * MS, 0, 1, 0.9, 10},
        {20, 4000, 50 * MS, 0, 1, 0.8, 10},
        {10, 6000, 10 * MS, 0, 1, 0.9, 10},
        /* Of six or eight datagrams: each more is a sixth. */
        {20, 4000, 200, 0, 1, 0.9, 20},
        {10, 6000, 200, 0, 1, 0.9, 20},
        {100, 2000, 5 * MS, 10, 1, 0.8, 10},
        {20, 4000, 10 * MS, 10, 1, 0.8, 10},
        {100, 2000, 2 * MS, 0, 2, 0.9, 10},
        {20, 4000, 10 * MS, 0, 2, 0.9, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net *n = net_new(1, cases[i].streams, MEMORY);
        uint64_t acked[PAIRS_MAX];
        n->path.delay = cases[i].delay_us;
        n->path.rate = cases[i].mbit * MEGABIT;
        n->path.buffer = cases[i].buffer_us * n->path.rate / 1000000;
        n->path.loss = cases[i].loss;
        n->tick = cases[i].delay_us < MS ? MS : 0;
        measured(n);
        struct outcome o = busy(n, cases[i].mbit == 100 ? 8 : 80, acked);
        unsigned lost = (unsigned)(o.lost * 100 / o.sent);
        print_message("    %3u Mbit/s, buffer %u ms, rtt %5.1f ms, loss %2u %%, %u: %2.0f %% used, "
                      "%u %% dropped\n",
                      cases[i].mbit, (unsigned)cases[i].buffer_us / 1000,
                      (double)cases[i].delay_us / 500, cases[i].loss, cases[i].streams,
                      100 * o.rate, lost);
        assert_true(o.rate >= cases[i].rate);
        assert_true(lost <= cases[i].most_lost_percent);
        net_free(n);
    }
}

/* Without any queue of ours or loss, at 10 Mbit/s: jitter, and a path that gets longer after 5 s. */
static void test_long_round_trips(void **state)
{
    (void)state;
    const struct {
        uint64_t delay_us;
        uint64_t jitter_us;
        uint64_t later_us; /* delay then, 0: as before */
        double rate;
    } cases[] = {
        {5 * MS, 50 * MS, 0, 0.7}, {2 * MS, 20 * MS, 0, 0.9},  {2 * MS, 120 * MS, 0, 0.1},
        {5 * MS, 0, 25 * MS, 0.9}, {10 * MS, 0, 60 * MS, 0.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net *n = net_new(1, 1, MEMORY);
        n->path.delay = cases[i].delay_us;
        n->path.jitter = cases[i].jitter_us;
        n->path.rate = 10 * MEGABIT;
        n->path.buffer = n->path.rate / 2;
        measured(n);
        stream_tx_end(&n->pair[0].tx, UINT64_C(1) << 40);
        net_until(n, n->now + 5000 * MS);
        if (cases[i].later_us != 0)
            n->path.delay = cases[i].later_us;
        uint64_t before = n->pair[0].tx.una;
        net_until(n, n->now + 10000 * MS);
        double rate = on_path(n->pair[0].tx.una - before) / (10.0 * (double)n->path.rate);
        print_message("    %u ms + 0 to %u ms, then %u ms: %2.0f %% used, waits to %.0f ms\n",
                      (unsigned)cases[i].delay_us / MS, (unsigned)cases[i].jitter_us / MS,
                      (unsigned)n->path.delay / MS, 100 * rate, in_ms(n->path.longest_wait));
        assert_true(rate >= cases[i].rate);
        net_free(n);
    }
}

/* Two streams share it, and the one that came later gets its part. */
static void test_two_share(void **state)
{
    (void)state;
    for (unsigned mbit = 1; mbit <= 10; mbit += 9) {
        for (unsigned buffer_ms = 100; buffer_ms <= 1000; buffer_ms += 900) {
            struct net *n = net_new(1, 2, MEMORY);
            uint64_t acked[PAIRS_MAX];
            n->path.delay = 10 * MS;
            n->path.rate = mbit * MEGABIT;
            n->path.buffer = buffer_ms * n->path.rate / 1000;
            stream_tx_end(&n->pair[0].tx, UINT64_C(1) << 40);
            net_until(n, n->now + 10000 * MS);
            struct outcome o = busy(n, 240, acked);
            print_message("    %2u Mbit/s, buffer %4u ms: %2.0f %% used, %.2f to 1, waits %.0f to "
                          "%.0f ms, %u %% dropped\n",
                          mbit, buffer_ms, 100 * o.rate, (double)acked[0] / (double)acked[1],
                          o.shortest, o.wait_ms, (unsigned)(o.lost * 100 / o.sent));
            assert_true(o.rate >= 0.8);
            assert_true(acked[0] < 4 * acked[1] && acked[1] < 4 * acked[0]);
            assert_true(buffer_ms < 1000 || o.wait_ms < 600);
            net_free(n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_is_cut),
        cmocka_unit_test(test_queue_stops_growth),
        cmocka_unit_test(test_not_limited_does_not_grow),
        cmocka_unit_test(test_mostly_lost),
        cmocka_unit_test(test_cut_is_taken_back),
        cmocka_unit_test(test_pacing),
        cmocka_unit_test(test_radio_keeps_its_rate),
        cmocka_unit_test(test_bottleneck),
        cmocka_unit_test(test_short_buffer),
        cmocka_unit_test(test_long_round_trips),
        cmocka_unit_test(test_two_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
