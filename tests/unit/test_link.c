// LINK: net/link.c net/rtt.c
/* The time stamps of a peer's datagrams, and the timer made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/link.h"

enum { MS = 1000, HEARTBEAT = 50 * MS };

static void test_rtt_vectors(void **state)
{
    (void)state;
    struct rtt r = {0};
    assert_int_equal(rtt_pto(&r, 0, 0, HEARTBEAT), RTT_PTO_INITIAL_US);
    assert_int_equal(rtt_pto(&r, 9, 0, HEARTBEAT), RTT_PTO_INITIAL_US);
    rtt_sample(&r, 40 * MS);
    assert_true(r.has && r.srtt_us == 40 * MS && r.rttvar_us == 20 * MS && r.min_us == 40 * MS);
    rtt_sample(&r, 80 * MS);
    assert_true(r.srtt_us == 45 * MS && r.rttvar_us == 25 * MS && r.min_us == 40 * MS);
    rtt_sample(&r, 29 * MS);
    assert_true(r.srtt_us == 43 * MS && r.rttvar_us == 22750 && r.min_us == 29 * MS);
    assert_int_equal(rtt_pto(&r, 0, 5 * MS, HEARTBEAT), 43 * MS + 91 * MS + 5 * MS);
    /* The cap ends the backoff and never cuts the plain interval. */
    assert_int_equal(rtt_pto(&r, 3, 0, HEARTBEAT), 134 * MS);
    const uint64_t times[] = {1, 1, 1, 2, 4, 8, 16};
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(rtt_pto(&r, i, 0, 10000 * MS), times[i] * 134 * MS);
    assert_int_equal(rtt_pto(&r, UINT32_MAX - 1, 0, 1000 * MS), 1000 * MS);

    r = (struct rtt){0};
    rtt_sample(&r, 0); /* loopback: the floor */
    assert_int_equal(rtt_pto(&r, 0, 0, HEARTBEAT), RTT_PTO_MIN_US);
    r = (struct rtt){0};
    rtt_sample(&r, 10000 * MS);
    assert_int_equal(rtt_pto(&r, 0, 0, HEARTBEAT), RTT_PTO_MAX_US);
    for (int i = 0; i < 200; i++)
        rtt_sample(&r, 20 * MS);
    assert_true(r.srtt_us >= 20 * MS && r.srtt_us < 20 * MS + 10 && r.rttvar_us < 10);
    assert_true(rtt_pto(&r, 0, 0, HEARTBEAT) - r.srtt_us == RTT_VAR_MIN_US);
}

/* The time stamps. */

static void test_link_measures(void **state)
{
    (void)state;
    /* Clocks of the two have nothing to do with each other, and both wrap. */
    struct link a = {0};
    struct link b = {0};
    uint64_t now_a = UINT64_C(0xFFFFFFFF) - 20 * MS;
    uint64_t now_b = UINT64_C(5) << 32;
    for (int i = 0; i < 20; i++) {
        struct wire_header h = {0};
        link_stamp(&a, now_a, &h);
        assert_int_equal(h.rx_cnt, i);
        now_a += 3 * MS;
        now_b += 3 * MS;
        assert_int_equal(link_received(&b, now_b, &h), i > 0);
        now_a += 640; /* b holds it */
        now_b += 640;
        struct wire_header back = {0};
        link_stamp(&b, now_b, &back);
        assert_true(back.echo && back.ts_echo == h.ts && back.hold == 10);
        assert_int_equal(back.rx_cnt, i + 1);
        now_a += 4 * MS;
        now_b += 4 * MS;
        assert_true(link_received(&a, now_a, &back));
        assert_int_equal(a.rtt.srtt_us, 7 * MS);
        assert_int_equal(a.rtt.min_us, 7 * MS);
        assert_false(link_received(&a, now_a, &back)); /* the same echo again */
        a.accepted--;
    }
    assert_int_equal(a.bad_echoes, 0);
}

static void test_link_stamps_grow(void **state)
{
    (void)state;
    struct link l = {0};
    struct wire_header h = {0};
    link_stamp(&l, UINT32_MAX, &h);
    assert_int_equal(h.ts, UINT32_MAX);
    assert_false(h.echo);
    for (uint32_t i = 0; i < 100; i++) {
        link_stamp(&l, UINT32_MAX, &h);
        assert_int_equal(h.ts, i);
    }
    link_stamp(&l, UINT64_C(1) << 32, &h);
    assert_int_equal(h.ts, 100);
    link_stamp(&l, (UINT64_C(1) << 32) + 5000, &h);
    assert_int_equal(h.ts, 5000);
    link_stamp(&l, (UINT64_C(1) << 32) + 3000 * UINT64_C(1000000),
               &h); /* after 50 min of silence */
    assert_int_equal(h.ts, 3000000000);
    assert_int_equal(l.sent, 104);
}

static void test_link_rejects(void **state)
{
    (void)state;
    struct link l = {0};
    struct wire_header out = {0};
    uint64_t now = 50000 * MS;
    struct wire_header in = {.ts = 1, .echo = true, .ts_echo = (uint32_t)now};
    assert_false(link_received(&l, now, &in)); /* nothing was sent yet */
    assert_int_equal(l.bad_echoes, 1);
    link_stamp(&l, now, &out);
    now += 10 * MS;
    in.ts_echo = out.ts + 1; /* never sent */
    assert_false(link_received(&l, now, &in));
    in.ts_echo = out.ts;
    in.hold = 10 * MS / WIRE_HOLD_UNIT_US + 1; /* held longer than it was away */
    assert_false(link_received(&l, now, &in));
    in.ts_echo = out.ts - 11000 * MS; /* longer than any round trip */
    in.hold = 0;
    assert_false(link_received(&l, now, &in));
    assert_int_equal(l.bad_echoes, 4);
    in.ts_echo = out.ts;
    in.hold = WIRE_HOLD_OLD;
    assert_false(link_received(&l, now, &in));
    in.hold = 0;
    in.echo = false;
    assert_false(link_received(&l, now, &in));
    in.echo = true;
    assert_true(link_received(&l, now, &in));
    assert_int_equal(l.rtt.srtt_us, 10 * MS);
    in.ts_echo--; /* overtaken by a newer one */
    assert_false(link_received(&l, now, &in));
    assert_int_equal(l.bad_echoes, 4);
}

/* The newest stamp is echoed, not the last; a restarted peer's clock is soon believed. */
static void test_link_echoes_newest(void **state)
{
    (void)state;
    struct link l = {0};
    struct wire_header in = {.ts = 1000};
    struct wire_header out = {0};
    (void)link_received(&l, 100, &in);
    in.ts = 990;
    (void)link_received(&l, 200, &in);
    link_stamp(&l, 164 + 100, &out);
    assert_true(out.ts_echo == 1000 && out.hold == 2);
    in.ts = 5;
    (void)link_received(&l, 4000 * MS, &in);
    link_stamp(&l, 4000 * MS, &out);
    assert_int_equal(out.ts_echo, 1000);
    (void)link_received(&l, 4300 * MS, &in);
    link_stamp(&l, 4300 * MS, &out);
    assert_true(out.ts_echo == 5 && out.hold == 0);
    link_stamp(&l, 4300 * MS + 65534 * 64, &out);
    assert_int_equal(out.hold, 65534);
    link_stamp(&l, 4300 * MS + 65535 * 64, &out);
    assert_int_equal(out.hold, WIRE_HOLD_OLD);
    link_stamp(&l, UINT64_MAX / 2, &out);
    assert_int_equal(out.hold, WIRE_HOLD_OLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtt_vectors),        cmocka_unit_test(test_link_measures),
        cmocka_unit_test(test_link_stamps_grow),   cmocka_unit_test(test_link_rejects),
        cmocka_unit_test(test_link_echoes_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
