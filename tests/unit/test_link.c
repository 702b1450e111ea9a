// LINK: net/stream/link.c net/stream/rtt.c
/* The stamps and numbers of a peer's datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/stream/link.h"

enum { MS = 1000 };

static void test_measures(void **state)
{
    (void)state;
    /* Clocks of the two have nothing to do with each other, and both wrap. */
    struct link a = {.stamp = 0};
    struct link b = {.stamp = 0};
    uint64_t now_a = UINT64_C(0xFFFFFFFF) - 20 * MS;
    uint64_t now_b = UINT64_C(5) << 32;
    for (int i = 0; i < 20; i++) {
        struct wire_header h = {.ts = 0};
        uint64_t stamp = link_stamp(&a, now_a, &h);
        link_sent(&a);
        assert_true(stamp == now_a && h.ts == (uint32_t)now_a && h.tx_cnt == i);
        now_a += 3 * MS;
        now_b += 3 * MS;
        assert_int_equal(link_received(&b, now_b, &h), i > 0);
        now_a += 640; /* b holds it */
        now_b += 640;
        struct wire_header back = {.ts = 0};
        (void)link_stamp(&b, now_b, &back);
        link_sent(&b);
        assert_true(back.echo && back.ts_echo == h.ts && back.hold == 10);
        now_a += 4 * MS;
        now_b += 4 * MS;
        assert_int_equal(link_echoed(&a, &back), stamp);
        assert_true(link_received(&a, now_a, &back));
        assert_int_equal(a.rtt.srtt_us, 7 * MS);
        assert_int_equal(a.rtt.min_us, 7 * MS);
        assert_false(link_received(&a, now_a, &back)); /* the same echo again */
    }
    assert_int_equal(b.loss_in, 0);
}

static void test_stamps_grow(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    struct wire_header h = {.ts = 0};
    assert_int_equal(link_stamp(&l, 0, &h), 1); /* 0 means none */
    assert_int_equal(link_stamp(&l, UINT32_MAX, &h), UINT32_MAX);
    assert_int_equal(h.ts, UINT32_MAX);
    assert_false(h.echo);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(link_stamp(&l, UINT32_MAX, &h), (UINT64_C(1) << 32) + i);
        assert_int_equal(h.ts, i);
        assert_int_equal(h.tx_cnt, 0); /* none of them left */
    }
    link_sent(&l);
    assert_int_equal(link_stamp(&l, (UINT64_C(1) << 32) + 5000, &h), (UINT64_C(1) << 32) + 5000);
    assert_true(h.ts == 5000 && h.tx_cnt == 1 && l.sent == 1);
}

static void test_rejects(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    struct wire_header out = {.ts = 0};
    uint64_t now = 50000 * MS;
    struct wire_header in = {.ts = 1, .echo = true, .ts_echo = (uint32_t)now};
    assert_false(link_received(&l, now, &in)); /* nothing was sent yet */
    assert_int_equal(link_echoed(&l, &in), 0);
    uint64_t stamp = link_stamp(&l, now, &out);
    now += 10 * MS;
    in.ts_echo = out.ts + 1; /* never sent */
    assert_int_equal(link_echoed(&l, &in), 0);
    assert_false(link_received(&l, now, &in));
    in.ts_echo = out.ts;
    in.hold = 10 * MS / WIRE_HOLD_UNIT_US + 1; /* held longer than it was away */
    assert_false(link_received(&l, now, &in));
    in.ts_echo = out.ts - 11000 * MS; /* longer than any round trip */
    in.hold = 0;
    assert_false(link_received(&l, now, &in));
    in.ts_echo = out.ts - 51000 * MS; /* before the clock began */
    assert_int_equal(link_echoed(&l, &in), 0);
    assert_false(link_received(&l, now, &in));
    in.ts_echo = out.ts;
    in.hold = WIRE_HOLD_OLD;
    assert_int_equal(link_echoed(&l, &in), 0);
    assert_false(link_received(&l, now, &in));
    in.hold = 0;
    in.echo = false;
    assert_int_equal(link_echoed(&l, &in), 0);
    assert_false(link_received(&l, now, &in));
    assert_false(l.rtt.has);
    in.echo = true;
    assert_int_equal(link_echoed(&l, &in), stamp);
    assert_true(link_received(&l, now, &in));
    assert_int_equal(l.rtt.srtt_us, 10 * MS);
    in.ts_echo--; /* overtaken by a newer one: no sample, but still a stamp */
    assert_false(link_received(&l, now, &in));
    assert_int_equal(link_echoed(&l, &in), stamp - 1);
}

/* The newest stamp is echoed, not the last; a restarted peer's clock is soon believed. */
static void test_echoes_newest(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    struct wire_header in = {.ts = 1000};
    struct wire_header out = {.ts = 0};
    (void)link_received(&l, 100, &in);
    in.ts = 990;
    (void)link_received(&l, 200, &in);
    (void)link_stamp(&l, 164 + 100, &out);
    assert_true(out.ts_echo == 1000 && out.hold == 2);
    in.ts = 5;
    (void)link_received(&l, 4000 * MS, &in);
    (void)link_stamp(&l, 4000 * MS, &out);
    assert_int_equal(out.ts_echo, 1000);
    (void)link_received(&l, 4300 * MS, &in);
    (void)link_stamp(&l, 4300 * MS, &out);
    assert_true(out.ts_echo == 5 && out.hold == 0);
    (void)link_stamp(&l, 4300 * MS + 65534 * 64, &out);
    assert_int_equal(out.hold, 65534);
    (void)link_stamp(&l, 4300 * MS + 65535 * 64, &out);
    assert_int_equal(out.hold, WIRE_HOLD_OLD);
    (void)link_stamp(&l, UINT64_MAX / 2, &out);
    assert_int_equal(out.hold, WIRE_HOLD_OLD);
    in.ts = 3; /* a new session says at once that it is one */
    link_reset(&l);
    (void)link_stamp(&l, UINT64_MAX / 2, &out);
    assert_false(out.echo);
    (void)link_received(&l, UINT64_MAX / 2, &in);
    (void)link_stamp(&l, UINT64_MAX / 2, &out);
    assert_true(out.echo && out.ts_echo == 3 && out.hold == 0);
}

/* Loss. */

static void take(struct link *l, uint64_t now, uint16_t number)
{
    struct wire_header h = {.ts = number + 1u, .tx_cnt = number};
    (void)link_received(l, now, &h);
}

static unsigned percent(uint32_t loss)
{
    return (unsigned)(((uint64_t)loss * 100 + LINK_LOSS_FULL / 2) / LINK_LOSS_FULL);
}

static uint64_t rnd(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 31);
}

static void test_loss_is_measured(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (unsigned p = 0; p <= 60; p += 10) {
        struct link l = {.stamp = 0};
        unsigned sum = 0;
        for (unsigned i = 0; i < 100000; i++) { /* wraps */
            if (rnd(&seed) % 100 >= p)
                take(&l, i * 100, (uint16_t)(i + 60000));
            sum += i >= 1000 && i % 100 == 0 ? percent(l.loss_in) : 0;
        }
        unsigned mean = sum / 990;
        assert_true(mean + 1 >= p && mean <= p + 1);
        struct wire_header h = {.ts = 0};
        (void)link_stamp(&l, 1, &h);
        assert_int_equal(h.loss, l.loss_in / 256);
    }
}

static void test_loss_of_quiet_link(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    for (unsigned i = 0; i < 7; i++)
        take(&l, i * 1000 * MS, (uint16_t)(2 * i));
    assert_int_equal(percent(l.loss_in), 44); /* at the fifth: numbers 0..8, four of them lost */
    assert_true(l.has_loss);
}

/* What was sent into a cut link was lost by the cut, which is over. */
static void test_outage_is_not_loss(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    uint64_t now = 0;
    uint16_t number = 65500;
    for (unsigned i = 0; i < 20; i++, now += 3000 * MS)
        take(&l, now, number++);
    for (unsigned outage = 1; outage < 70000; outage = 8 * outage + 3) {
        number = (uint16_t)(number + outage);
        now += 10000 * MS;
        for (unsigned i = 0; i < 20; i++, now += 3000 * MS)
            take(&l, now, number++);
        assert_true(l.has_loss);
        assert_int_equal(l.loss_in, 0);
    }
    /* A pause that is no longer than quiet peers make has lost them one by one. */
    number++;
    for (unsigned i = 0; i < 20; i++, now += 6000 * MS, number = (uint16_t)(number + 2))
        take(&l, now, number);
    assert_in_range(percent(l.loss_in), 35, 50);
}

/* What comes late was counted as lost, and is given back. */
static void test_reordering_is_not_loss(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    for (unsigned i = 0; i < 6400;
         i += 4) { /* 3 2 1 0 7 6 5 4 ..., each window cut in the middle */
        take(&l, i, (uint16_t)(i + 2));
        take(&l, i, (uint16_t)(i + 3));
        take(&l, i, (uint16_t)(i + 1));
        take(&l, i, (uint16_t)i);
        assert_true(percent(l.loss_in) <= 10);
    }
    for (unsigned i = 6400; i < 6400 + 32 * 20; i++)
        take(&l, i, (uint16_t)i);
    assert_int_equal(percent(l.loss_in), 0);
}

/* Jitter longer than the time between datagrams: each is overtaken by many others. */
static void test_loss_under_jitter(void **state)
{
    (void)state;
    enum { SPAN = 200, COUNT = 20000 };
    uint64_t seed = 7;
    for (unsigned depth = 10; depth <= SPAN; depth += 95)
        for (unsigned p = 0; p <= 30; p += 15) {
            struct link l = {.stamp = 0};
            uint16_t due[SPAN][SPAN]; /* numbers that come at a time */
            unsigned n[SPAN] = {0}, sum = 0;
            for (unsigned i = 0; i < COUNT; i++) {
                unsigned at = (i + (unsigned)(rnd(&seed) % depth)) % SPAN, now = i % SPAN;
                if (rnd(&seed) % 100 >= p)
                    due[at][n[at]++] = (uint16_t)i;
                for (unsigned k = 0; k < n[now]; k++)
                    take(&l, i * 100, due[now][k]);
                n[now] = 0;
                sum += i >= 1000 && i % 100 == 0 ? percent(l.loss_in) : 0;
            }
            unsigned mean = sum / (COUNT / 100 - 10);
            assert_in_range(mean, p > 2 ? p - 2 : 0, p + 2);
        }
}

static void test_loss_resets(void **state)
{
    (void)state;
    /* A window in which our own queue overflowed says nothing. */
    struct link l = {.stamp = 0};
    for (unsigned i = 0; i < 3200; i++) {
        if (i % 64 == 5)
            link_rxq_dropped(&l);
        if (i % 64 >= 32 || i % 2 == 0)
            take(&l, i, (uint16_t)i);
    }
    assert_int_equal(percent(l.loss_in), 0);
    /* A peer that counts from 0 again, told or not. */
    for (unsigned i = 0; i < 64; i++)
        take(&l, i, (uint16_t)(30000 + i));
    link_reset(&l);
    l.loss_in = 0;
    for (unsigned i = 0; i < 64; i++)
        take(&l, i, (uint16_t)i);
    assert_int_equal(l.loss_in, 0);
    for (unsigned i = 0; i < 64; i++)
        take(&l, i, (uint16_t)(20000 + i));
    l.loss_in = 0;
    for (unsigned i = 0; i < 64; i++)
        take(&l, i, (uint16_t)i);
    assert_int_equal(l.loss_in, 0);
    /* All lost, as far as a byte can say it. */
    l.loss_in = LINK_LOSS_FULL;
    struct wire_header h = {.ts = 0};
    (void)link_stamp(&l, 1, &h);
    assert_int_equal(h.loss, 255);
    struct link other = {.stamp = 0};
    (void)link_received(&other, 1, &h);
    assert_int_equal(other.loss_out, 255 * 256);
}

/* Held back. */

enum { SECOND = 1000 * MS };

static bool held(struct link *l, uint64_t now, uint64_t sent)
{
    struct wire_header h = {.ts = (uint32_t)sent};
    return link_held_back(l, now, &h, SECOND);
}

static bool late(const struct link *l, uint64_t now, uint64_t sent)
{
    struct wire_header h = {.ts = (uint32_t)sent};
    return link_is_late(l, now, &h, SECOND);
}

static void test_what_was_held_back(void **state)
{
    (void)state;
    const uint64_t clock = UINT64_C(0xFEDCBA987654); /* the peer's is behind by so much */
    struct link l = {.stamp = 0};
    uint64_t now = 2 * clock;
    for (unsigned i = 0; i < 72 * 60; i++, now += SECOND) { /* a stamp wraps after 71.6 minutes */
        assert_false(held(&l, now, now - clock - i % 7));
        if (i < 100)
            continue;
        assert_false(held(&l, now, now - clock - 9900 * MS));
        assert_false(late(&l, now, now - clock - 990 * MS));
        assert_true(late(&l, now, now - clock - 1010 * MS));
        static const uint64_t late_s[] = {11, 60, 1000, 36 * 60, 60 * 60, 66 * 60};
        assert_true(held(&l, now, now - clock - late_s[i % 6] * SECOND));
    }
    link_reset(&l);
    assert_false(held(&l, now, now - clock - 60 * (uint64_t)SECOND));
}

/* Nothing genuine is refused for longer than two seconds: a path gets longer, a clock stood still
 * or runs at another rate, a peer was silent. */
static void test_genuine_is_taken(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    uint64_t now = 1000 * (uint64_t)SECOND, ago = 0;
    for (unsigned change = 0; change < 4; change++) {
        static const int change_s[] = {30, 3600, -100, -4000}; /* on its way, or of clocks */
        for (unsigned i = 0; i < 2000; i++, now += 50 * MS)
            assert_false(held(&l, now, now - ago));
        ago += (uint64_t)change_s[change] * SECOND;
        unsigned refused = 0;
        for (unsigned i = 0; i < 100; i++, now += 50 * MS)
            refused += held(&l, now, now - ago);
        assert_true(change_s[change] == -100 ? refused == 0 : refused <= 40);
        assert_false(held(&l, now, now - ago));
    }
    for (unsigned step = 1; step < 200 * SECOND; step = 3 * step + MS) { /* 2 % fast, or slow */
        uint64_t begun = now;
        for (unsigned i = 0; i < 500; i++, now += step)
            assert_false(held(&l, now, now - ago + (now - begun) / 50));
        begun = now;
        link_reset(&l);
        for (unsigned i = 0; i < 500; i++, now += step)
            assert_false(held(&l, now, now - ago - (now - begun) / 50));
        link_reset(&l);
    }
    for (unsigned i = 0; i < 40; i++, now += 100 * (uint64_t)SECOND) /* alone, each */
        assert_false(held(&l, now, now - ago - i % 3 * 20 * SECOND));
}

/* A peer that hears us: the round trip tells how old its datagram is, however slowly the delay grew. */
static void test_late_by_the_echo(void **state)
{
    (void)state;
    struct link l = {.stamp = 0};
    struct wire_header out, in = {.echo = true};
    uint64_t now = 1000 * (uint64_t)SECOND, delay = 0;
    for (unsigned i = 0; i < 20000; i++, now += 50 * MS, delay += 100) { /* by 2 ms a second */
        (void)link_stamp(&l, now - delay, &out); /* it was received, and answered, at once */
        in.ts = (uint32_t)(now - delay);
        in.ts_echo = out.ts;
        in.hold = 0;
        assert_false(link_held_back(&l, now, &in, SECOND));
        assert_int_equal(link_is_late(&l, now, &in, SECOND), delay > SECOND);
        in.hold = (uint16_t)(SECOND / WIRE_HOLD_UNIT_US); /* the peer had it in hand: it is young */
        assert_int_equal(link_is_late(&l, now, &in, SECOND), delay > 2 * SECOND);
    }
    in.hold = 0;
    in.waited = true; /* the sender had been stopped: no round trip */
    assert_false(link_is_late(&l, now, &in, SECOND));
    in.waited = false;
    assert_true(link_is_late(&l, now, &in, SECOND));
    link_late(&l, now); /* we had: what waited for us is taken */
    assert_false(link_is_late(&l, now, &in, SECOND));
    assert_false(link_is_late(&l, now + MS, &in, SECOND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_stamps_grow),
        cmocka_unit_test(test_rejects),
        cmocka_unit_test(test_echoes_newest),
        cmocka_unit_test(test_loss_is_measured),
        cmocka_unit_test(test_loss_of_quiet_link),
        cmocka_unit_test(test_outage_is_not_loss),
        cmocka_unit_test(test_reordering_is_not_loss),
        cmocka_unit_test(test_loss_under_jitter),
        cmocka_unit_test(test_loss_resets),
        cmocka_unit_test(test_what_was_held_back),
        cmocka_unit_test(test_genuine_is_taken),
        cmocka_unit_test(test_late_by_the_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
