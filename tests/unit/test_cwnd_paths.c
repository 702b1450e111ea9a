// LINK: @stream tests/lib/stream_pair.c HEAVY
/* The congestion window on the links that it is for: one row each, and what must come out. A rule of
 * net/stream/cwnd.h without which every row still holds is none that anybody needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/brief.h"
#include "tests/lib/stream_pair.h"

enum {
    KBIT = 125,       /* bytes per second */
    MEMORY = 1300000, /* of a receiver in the daemon */
    WINDOW = 256 * 1024,
    SEEDS = 2,
};

struct profile {
    const char *name;
    unsigned kbit;      /* of the bottleneck, 0 = none */
    unsigned buffer_ms; /* before it */
    uint64_t delay_us;  /* one way */
    uint64_t jitter_us; /* on top, at most */
    uint64_t later_us;  /* delay from the middle on, 0 = as before */
    unsigned loss;      /* percent, each way */
    unsigned bursts;    /* see struct path */
    unsigned streams;   /* the second one begins when a quarter of them is over */
    unsigned seconds;   /* the second half is measured */
    /* What must come out: */
    unsigned share;   /* percent of the bottleneck, or of a full window per round trip, at least */
    unsigned wait_ms; /* in its buffer, at most: heartbeats wait there as well */
    unsigned dropped; /* percent, by its buffer, at most */
    unsigned unfair;  /* bytes of one stream over those of the other, at most */
};

/* Bounds: four fifths of a link without loss, half of one that loses a tenth, a quarter with three
 * tenths. In a long buffer 100 ms, two thirds of the least election timeout by default; more where a
 * few datagrams take longer than that, or until a path is known to be longer. Of two streams none gets
 * less than a quarter of the other's; jitter that is half of the round trip hides a queue that another
 * stream has made, and there a twelfth must do. */
/* clang-format off */
static const struct profile PROFILES[] = {
    /* name                 kbit  buffer    delay   jitter    later loss burst n  s  share wait drop unfair */
    {"switch",                100000,   50,     100,       0,       0,   0,  0, 1,   4, 80, 100,  1,  4},
    {"switch, 1 %",           100000,   50,     100,       0,       0,   1,  0, 1,   4, 80, 100,  1,  4},
    {"switch, 30 %",          100000,   50,     100,       0,       0,  30,  0, 1,   4, 25, 100,  1,  4},
    {"radio, 1 %",                 0,    0, 10 * MS,       0,       0,   1,  0, 1,  10, 80,   0,  0,  4},
    {"radio, 10 %",                0,    0, 10 * MS,       0,       0,  10,  0, 1,  10, 50,   0,  0,  4},
    {"radio, 30 %",                0,    0, 10 * MS,       0,       0,  30,  0, 1,  10, 25,   0,  0,  4},
    {"far radio, 10 %",            0,    0, 50 * MS,       0,       0,  10,  0, 1,  40, 50,   0,  0,  4},
    {"far radio, 30 %",            0,    0, 50 * MS,       0,       0,  30,  0, 1,  40, 25,   0,  0,  4},
    {"Wi-Fi",                  20000,  100,  2 * MS,  6 * MS,       0,   0,  5, 1,  20, 80, 100,  2,  4},
    {"busy Wi-Fi",              5000,  200,  3 * MS, 20 * MS,       0,   2, 15, 1,  60, 40, 100,  2,  4},
    {"Wi-Fi, two streams",     20000,  100,  2 * MS,  6 * MS,       0,   0,  5, 2,  40, 80, 100,  5,  4},
    {"LTE",                    10000, 1000, 25 * MS, 15 * MS,       0,   0,  0, 1,  60, 80, 100,  1,  4},
    {"LTE, far away",           2000, 2000, 35 * MS, 30 * MS,       0,   1,  0, 1,  60, 80, 100,  1,  4},
    {"LTE, handed over",       10000, 1000, 25 * MS, 10 * MS, 60 * MS,   0,  0, 1,  60, 50, 200,  1,  4},
    {"LTE, two streams",        5000, 1000, 25 * MS, 15 * MS,       0,   0,  0, 2, 120, 80, 150,  1, 12},
    {"uplink",                  1000, 1000, 10 * MS,       0,       0,   0,  0, 1,  60, 80, 100,  1,  4},
    {"uplink, 10 %",            1000, 1000, 10 * MS,       0,       0,  10,  0, 1, 120, 50, 100,  1,  4},
    {"uplink, 100 ms",          1000,  100, 10 * MS,       0,       0,   0,  0, 1, 120, 80, 100,  2,  4},
    {"uplink, 30 ms",           1000,   30, 10 * MS,       0,       0,   0,  0, 1, 120, 80, 100, 15,  4},
    {"uplink, two streams",     1000, 1000, 10 * MS,       0,       0,   0,  0, 2, 240, 80, 150,  1,  4},
    {"narrow",                   256, 1000, 30 * MS,       0,       0,   0,  0, 1, 120, 80, 250,  1,  4},
    {"narrow, 10 %",             256, 1000, 30 * MS,       0,       0,  10,  0, 1, 120, 50, 250,  1,  4},
    {"narrow, two streams",      256, 2000, 30 * MS,       0,       0,   0,  0, 2, 240, 80, 700,  1,  4},
    {"satellite",              10000,  500, 300 * MS,       0,       0,   0,  0, 1, 120, 80, 400,  1,  4},
    {"satellite, 2 %",         10000,  500, 300 * MS, 10 * MS,       0,   2,  0, 1, 120, 70, 400,  1,  4},
    {"small satellite",         1000, 1000, 300 * MS,       0,       0,   1,  0, 1, 120, 80, 400,  1,  4},
    {"detour",                 10000,  500,  5 * MS,       0, 25 * MS,   0,  0, 1,  30, 80, 100,  1,  4},
    {"long detour",            10000,  500, 10 * MS,       0, 60 * MS,   0,  0, 1,  30, 50, 200,  1,  4},
    {"jitter",                 10000,  500,  5 * MS, 50 * MS,       0,   0,  0, 1,  30, 60, 150,  1,  4},
    {"switch, 1 ms",          100000,    1,     200,       0,       0,   0,  0, 1,   8, 80, 100, 10,  4},
    {"switch, 4 ms",          100000,    4,     200,       0,       0,   0,  0, 1,   8, 80, 100, 10,  4},
    {"switch, 2 ms, 10 %",    100000,    2,  5 * MS,       0,       0,  10,  0, 1,   8, 50, 100, 10,  4},
    {"two through 2 ms",      100000,    2,  2 * MS,       0,       0,   0,  0, 2,  24, 80, 100, 10,  4},
    {"policer, 4 ms",          20000,    4, 10 * MS,       0,       0,   0,  0, 1,  30, 80, 100, 10,  4},
    {"policer, 4 ms, far",     20000,    4, 50 * MS,       0,       0,   0,  0, 1,  30, 80, 100, 10,  4},
    {"policer, 4 ms, 10 %",    20000,    4, 10 * MS,       0,       0,  10,  0, 1,  30, 50, 100, 10,  4},
    {"policer, six datagrams", 10000,    6,     200,       0,       0,   0,  0, 1,  40, 80, 100, 20,  4},
    {"two through a policer",  20000,    4, 10 * MS,       0,       0,   0,  0, 2,  40, 80, 100, 10,  4},
};
/* clang-format on */

static struct net *make(const struct profile *f, uint64_t seed)
{
    struct net *n = net_new(seed, f->streams, MEMORY);
    n->path.delay = f->delay_us;
    n->path.jitter = f->jitter_us;
    n->path.rate = (uint64_t)f->kbit * KBIT;
    n->path.buffer = n->path.rate * f->buffer_ms / 1000;
    n->path.loss = f->loss;
    n->path.bursts = f->bursts;
    n->tick = f->delay_us < MS ? MS : 0; /* the daemon's timers, where they matter */
    for (unsigned i = 0; i < n->n_pairs;
         i++) { /* the first round trip measured is the path's own */
        n->pair[i].a.rtt.has = false;
        rtt_sample(&n->pair[i].a.rtt, n->now, 2 * f->delay_us + f->jitter_us / 2);
    }
    return n;
}

static bool holds(const struct profile *f, uint64_t seed)
{
    struct net *n = make(f, seed);
    uint64_t half = (uint64_t)f->seconds * 500 * MS, before[PAIRS_MAX], got = 0, least = UINT64_MAX,
             most = 0;
    unsigned sent = 0;
    stream_tx_end(&n->pair[0].tx, UINT64_C(1) << 40);
    net_until(n, n->now + (f->streams > 1 ? half / 2 : 0));
    for (unsigned i = 1; i < f->streams; i++)
        stream_tx_end(&n->pair[i].tx, UINT64_C(1) << 40);
    net_until(n, n->now + half);
    n->path.longest_wait = n->path.overflows = 0;
    if (f->later_us != 0)
        n->path.delay = f->later_us;
    for (unsigned i = 0; i < f->streams; i++) {
        before[i] = n->pair[i].tx.una;
        sent -= n->pair[i].data;
    }
    net_until(n, n->now + half);
    for (unsigned i = 0; i < f->streams; i++) {
        uint64_t one = n->pair[i].tx.una - before[i];
        got += one;
        least = one < least ? one : least;
        most = one > most ? one : most;
        sent += n->pair[i].data;
    }
    double carried = (double)n->path.rate * (double)PIECE / (double)(PIECE + OVERHEAD);
    double full = (double)WINDOW * 1e6 / (2.0 * (double)n->path.delay + (double)f->jitter_us);
    if (f->kbit != 0 && full * f->streams > carried)
        full = carried;
    double share = 100.0 * (double)got / (full * (double)half / 1e6);
    double wait = in_ms(n->path.longest_wait), dropped = 100.0 * (double)n->path.overflows / sent;
    bool fine = share >= f->share && wait <= f->wait_ms && dropped <= f->dropped &&
                most <= f->unfair * least;
    print_message("%s %-23s %3.0f %% (%u), waits %3.0f ms (%u), drops %4.1f %% (%u), %.1f to 1\n",
                  fine ? "  " : "!!", f->name, share, f->share, wait, f->wait_ms, dropped,
                  f->dropped, (double)most / (double)least);
    net_free(n);
    return fine;
}

static void test_profiles(void **state)
{
    (void)state;
    unsigned broken = 0;
    for (size_t i = 0; i < sizeof PROFILES / sizeof PROFILES[0]; i++)
        for (uint64_t seed = 1; seed <= (brief() ? 1 : SEEDS); seed++)
            broken += !holds(&PROFILES[i], seed);
    assert_int_equal(broken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_profiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
