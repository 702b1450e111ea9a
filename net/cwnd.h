/* cwnd.h: congestion window and pacing of one stream. Pure.
 *
 * NewReno in its shape (RFC 9002, 7: slow start, one more datagram per round trip, one cut per
 * round trip), but a loss alone is no sign of congestion: radios lose at random, and a window that
 * shrinks for each loss stands still at 10 %. Congestion is a queue, and a queue is seen in the
 * round trip, which is measured for each datagram:
 *
 *   queue = srtt - min_rtt        backlog = window * queue / srtt, our share of it in bytes
 *
 *  1. A loss with a backlog of a few datagrams or a queue of a few ms is the radio's (as TCP Veno
 *     judges): the window stays. Else it is cut to 0.7 (RFC 9438, 4.6), but not below
 *     CWND_FLOOR_DATAGRAMS: what RFC 6928 lets anybody send into an unknown path. That is 12 kB
 *     per round trip, 1 Mbit/s at 100 ms, on a radio whose jitter looks like a queue.
 *  2. While the queue is longer than CWND_QUEUE_US the window does not grow, and slow start ends;
 *     while it is twice that, the window shrinks by an eighth per round trip. A queue of one's own
 *     delays one's own heartbeats, and a leader's streams to all peers may share one uplink: a
 *     second of buffer would cost it its office.
 *  3. If five of eight are lost (smoothed over some round trips), that is congestion whatever the
 *     queue: a path with a buffer of a few datagrams never shows one.
 *  4. Never below CWND_LEAST_DATAGRAMS: RACK's three later pieces show a loss without the timer.
 *  5. min_rtt must be seen to be known. If for CWND_DIP_EVERY_US no sample was near it although
 *     the window was in full use, the queue may be all our own: for two round trips the window is
 *     CWND_DIP_DATAGRAMS, so that it drains (as BBR's ProbeRTT).
 *
 * The window grows only when it was what held the stream back (RFC 9002, 7.8).
 */
#ifndef CWND_H
#define CWND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/rtt.h"

enum {
    CWND_FIRST_DATAGRAMS = 10,      /* RFC 6928, RFC 9002 7.2 */
    CWND_FLOOR_DATAGRAMS = 10,      /* rule 1 */
    CWND_LEAST_DATAGRAMS = 4,       /* rule 4 */
    CWND_BURST_DATAGRAMS = 10,      /* sent at once, then paced (RFC 9002, 7.7) */
    CWND_BURST_MOST_DATAGRAMS = 40, /* and never more, however short the round trip */
    CWND_RADIO_DATAGRAMS = 3,       /* rule 1: backlog; Veno's beta */
    CWND_RADIO_US = 5000,           /* rule 1: queue; scheduling noise and a radio's own repeats */
    CWND_LOST_SHARE = 160,          /* rule 3, in 1/256 */
    CWND_QUEUE_US = 25000, /* rule 2: a sixth of the least election timeout by default; or half
                                  the shortest round trip, on longer paths */
    CWND_DIP_EVERY_US = 20000000,
    CWND_DIP_DATAGRAMS = 2,
    CWND_IDLE_US = 1000000, /* then the window is what it was at first, if that is less: the path
                                may be another (RFC 9002, 7.8) */
    CWND_TICK_US = 1000,    /* pacing sets no timer shorter than this ... */
    CWND_TICK_BURST_US = 2 * CWND_TICK_US, /* ... and lets pass what such timers come late */
};

/* Only the functions below write it. */
struct cwnd {
    uint64_t bytes;      /* the window. Invariant: rule 4 <= bytes <= most */
    uint64_t most;       /* the stream's limit */
    uint64_t slow_until; /* slow start below this (ssthresh) */
    uint64_t mss;        /* bytes of the stream in a full datagram */
    uint64_t round;      /* the round trip ends when an older stamp than this is no more echoed */
    uint64_t recovery;   /* losses of older stamps than this belong to the last cut */
    uint64_t round_lost; /* bytes of this round trip */
    uint64_t round_acked;
    unsigned share;     /* of what was lost in the last ones, smoothed, in 1/256 */
    uint64_t paced_us;  /* when all that was sent would have left at an even pace, ... */
    uint64_t burst_us;  /* ... and how far ahead of now that may lie */
    uint64_t active_us; /* something was sent */
    uint64_t dip_at_us; /* start of the last dip */
    uint64_t dip_end_us;
};

/* The peer acknowledged bytes. */
struct cwnd_ack {
    uint64_t now_us;
    uint64_t bytes;     /* acknowledged by this for the first time */
    uint64_t in_flight; /* before it */
    uint64_t echo;      /* stamp that it knows of, 0 = none */
    uint64_t newest;    /* stamp of the newest datagram sent */
};

void cwnd_init(struct cwnd *c, uint64_t mss, uint64_t most);

/* Another datagram size (path MTU). */
void cwnd_mss(struct cwnd *c, uint64_t mss);

/* Bytes that may be in flight now. */
uint64_t cwnd_window(const struct cwnd *c, uint64_t now_us);

/* When the next piece may be sent: now or earlier means now. */
uint64_t cwnd_pace(const struct cwnd *c, uint64_t now_us);

void cwnd_sent(struct cwnd *c, uint64_t now_us, const struct rtt *rtt, uint64_t bytes);
void cwnd_acked(struct cwnd *c, const struct rtt *rtt, const struct cwnd_ack *a);

/* Bytes sent with `stamp` are lost. True if this begins a new episode of losses: at most one per
 * round trip. */
bool cwnd_lost(struct cwnd *c, const struct rtt *rtt, uint64_t bytes, uint64_t stamp,
               uint64_t newest);

/* Nothing at all has arrived for three timeouts (RFC 9002, 7.6). */
void cwnd_silence(struct cwnd *c);

#endif
