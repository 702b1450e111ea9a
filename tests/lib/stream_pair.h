/* stream_pair.h: senders and receivers of net/stream/stream.h over paths of the tests' making, in
 * virtual time.
 *
 * Each pair is one stream from A to B, with SACKs back; all pairs share the path (both ways of it),
 * and so its bottleneck. Every datagram goes through net/stream/link.h, as in the daemon.
 */
#ifndef TESTS_STREAM_PAIR_H
#define TESTS_STREAM_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/stream/link.h"
#include "net/stream/stream.h"

enum {
    MS = 1000,
    PIECE = 1124,        /* what a datagram of 1200 bytes carries */
    HEARTBEAT = 50 * MS, /* cap of the backoff */
    PAIRS_MAX = 2,
    OVERHEAD = 104, /* of a datagram: headers down to IP */
};

/* Microseconds in ms. */
static inline double in_ms(uint64_t us)
{
    return (double)us / 1000;
}

/* Bytes on the path for so many bytes of a stream, in full datagrams. */
static inline double on_path(uint64_t bytes)
{
    return (double)bytes * (int)(PIECE + OVERHEAD) / (int)PIECE;
}

struct path {
    uint64_t delay;  /* one way, us */
    uint64_t jitter; /* at most, on top */
    unsigned loss;   /* percent, each way */
    unsigned bursts; /* so many of 1000 datagrams are lost with the seven after them */
    unsigned in_burst;
    unsigned dup;
    uint64_t drop;         /* bit i: the i-th datagram of all is lost */
    uint64_t rate;         /* bytes per second of the way to B, 0 = no limit */
    uint64_t buffer;       /* bytes before it, then datagrams are dropped */
    uint64_t free_at;      /* when the last datagram in it has left */
    uint64_t longest_wait; /* of a datagram in the buffer */
    uint64_t overflows;
};

struct pair {
    struct link a; /* sender's */
    struct link b;
    struct stream_tx tx;
    struct stream_rx rx;
    uint8_t *buf;
    size_t greed;       /* bytes consumed at a time, 0 = all, SIZE_MAX = none */
    bool random_cuts;   /* pieces of any length */
    unsigned ack_every; /* pieces in order that are acknowledged together, ... */
    uint64_t ack_delay; /* ... or after this */
    unsigned unacked;
    uint64_t ack_by;
    unsigned data; /* datagrams */
    unsigned sacks;
    uint64_t data_bytes;
    unsigned copies;   /* speculative pieces */
    unsigned episodes; /* of loss */
    uint64_t recovery; /* where the last one began */
};

struct net_event;

struct net {
    uint64_t seed;
    uint64_t now;
    uint64_t tick; /* timers run out at multiples of this, 0 = exactly */
    struct path path;
    unsigned n_pairs;
    struct pair pair[PAIRS_MAX];
    unsigned sent;        /* datagrams, both ways, all pairs */
    struct net_event *ev; /* heap */
    unsigned n_ev, cap_ev;
    uint64_t ev_count;
};

uint64_t rnd(uint64_t *seed);
bool chance(uint64_t *seed, unsigned percent);

/* The source's bytes: neighbours differ, and so do distant places. */
void fill_bytes(uint8_t *p, uint64_t off, size_t len);
void expect_bytes(const uint8_t *p, uint64_t off, size_t len);

/* Invariants of both halves. */
void expect_tx(const struct stream_tx *tx);
void expect_rx(const struct stream_rx *rx);

/* A network of 5 ms each way with n pairs; each has one round trip measured, as after a probe: srtt
 * 10 ms, rttvar 5 ms, so a PTO of 30 ms. cap: memory of each receiver. */
struct net *net_new(uint64_t seed, unsigned n, size_t cap);
void net_free(struct net *n);

/* One event or deadline. False when nothing will ever happen again. */
bool net_step(struct net *n);

/* Whoever may send does. */
void net_pump(struct net *n);

/* Pair 0 gets bytes up to `end` across, within `limit` us; the time it took until the last
 * acknowledgement. */
uint64_t net_run(struct net *n, uint64_t end, uint64_t limit);

/* All that happens until then. */
void net_until(struct net *n, uint64_t at);

#endif
