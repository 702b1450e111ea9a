// LINK: @stream
/* Window and pacing by the letter. What comes out on links of every kind: test_cwnd_paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/stream/cwnd.h"

enum {
    MS = 1000,
    MSS = 1000,
    MOST = 256 * MSS,
    FLOOR = CWND_FLOOR_DATAGRAMS * MSS,
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
        assert_int_equal(c.trip_lost, late ? 0 : MSS);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_is_cut),          cmocka_unit_test(test_queue_stops_growth),
        cmocka_unit_test(test_not_limited_does_not_grow), cmocka_unit_test(test_mostly_lost),
        cmocka_unit_test(test_cut_is_taken_back),         cmocka_unit_test(test_pacing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
