/* cwnd.h: congestion window and pacing of one stream. Pure.
 *
 * NewReno in its shape (RFC 9002, 7: slow start, one more datagram per round trip, one cut per
 * round trip), but a loss alone is no sign of congestion: radios lose at random, and a window that
 * shrinks for each loss stands still at 10 %. Congestion is a queue, and a queue is seen in the
 * round trip, which is measured for each datagram:
 *
 *   queue = low - min_rtt         backlog = window * queue / srtt, our share of it in bytes
 *
 * low is the least of the last samples: those of one round trip, and four at least. A queue of our
 * own delays all of them, jitter does not (RFC 8289 sees a standing queue in the minimum, RFC
 * 9406 takes it per round trip). Slow start can't wait for that and goes by srtt.
 *
 *  1. A loss with a backlog of a few datagrams, or a queue of a few ms, is the radio's (as TCP Veno
 *     judges): the window stays. Else it is cut to 0.7 (RFC 9438, 4.6), but not below
 *     CWND_FLOOR_DATAGRAMS: what RFC 6928 lets anybody send into an unknown path. If the receiver says
 *     that it had what was taken for lost, the cut is taken back (RFC 4015).
 *  2. While the queue is longer than CWND_QUEUE_US the window does not grow, and slow start ends;
 *     while it is twice that, the window shrinks by an eighth per round trip. A queue of one's own
 *     delays one's own heartbeats, and a leader's streams to all peers may share one uplink: a
 *     second of buffer would cost it its office.
 *  3. If five of eight are lost (smoothed over some round trips), that is congestion whatever the
 *     queue, and the quick end of a slow start that overran a short buffer.
 *  4. A buffer of a few ms overflows before a queue is seen. So while 8 % or more are lost the window
 *     is tried at 0.7. If as much arrives then and less is lost, or much less is lost (other streams
 *     may take what we leave), that was congestion: the window stays there, and does not grow for some
 *     round trips. On a radio less arrives and as much is lost: the window is what it was, and the
 *     next trial waits, longer each time.
 *     (PCC, NSDI 2015, makes such experiments; BBRv2 bounds what is in flight where 2 % are lost,
 *     which is nothing on a radio.)
 *  5. Never below CWND_LEAST_DATAGRAMS: RACK's three later pieces show a loss without the timer.
 *  6. min_rtt must be seen to be known. If for CWND_DIP_EVERY_US no sample was near it although
 *     the window was in full use, the queue may be all our own: for two round trips the window is
 *     CWND_DIP_DATAGRAMS, so that it drains (as BBR's ProbeRTT).
 *  7. And if a queue outlives eight round trips of rule 2, it may be none, but a longer path: the
 *     same dip. When the round trip is still what it was, within an eighth, that is min_rtt from now
 *     on, and slow start leads back to where the shrinking began.
 *
 * The window grows only when it was what held the stream back (RFC 9002, 7.8).
 */
#ifndef CWND_H
#define CWND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/stream/rtt.h"

enum {
    CWND_FIRST_DATAGRAMS = 10,      /* RFC 6928, RFC 9002 7.2 */
    CWND_FLOOR_DATAGRAMS = 10,      /* rule 1 */
    CWND_LEAST_DATAGRAMS = 4,       /* rule 5 */
    CWND_BURST_DATAGRAMS = 10,      /* sent at once, then paced (RFC 9002, 7.7) */
    CWND_BURST_MOST_DATAGRAMS = 40, /* and never more, however short the round trip */
    CWND_RADIO_DATAGRAMS = 3,       /* rule 1: backlog; Veno's beta */
    CWND_RADIO_US = 5000,           /* rule 1: queue; scheduling noise and a radio's own repeats */
    CWND_LOST_SHARE = 160,          /* rule 3, in 1/256 */
    CWND_QUEUE_US = 25000,          /* rule 2: a sixth of the least election timeout by default; or
                                       half the shortest round trip, on longer paths; or jitter */
    CWND_SAMPLES = CWND_LEAST_DATAGRAMS, /* for low */
    CWND_TRIAL_SHARE = 20,               /* rule 4, in 1/256: 8 % */
    CWND_SETTLE_TRIPS = 2,               /* until a smaller window is seen in what arrives */
    CWND_METER_TRIPS = 2,                /* then it is measured: that long, ... */
    CWND_METER_DATAGRAMS = 128,          /* ... and so many: a third of them lost at random is 5 %
                                            of what arrives more or less */
    CWND_HOLD_TRIPS = 16,                /* no growth after congestion */
    CWND_PAUSE_FIRST = 16,               /* round trips between trials on a radio ... */
    CWND_PAUSE_MOST = 128,               /* ... where four of them have 0.7 of the window */
    CWND_SHRINKS = 8,                    /* rule 7 */
    CWND_DIP_EVERY_US = 20000000,
    CWND_DIP_DATAGRAMS = 2,
    CWND_IDLE_US = 1000000, /* then the window is what it was at first, if that is less: the path
                                may be another (RFC 9002, 7.8) */
    CWND_TICK_US = 1000,    /* pacing sets no timer shorter than this ... */
    CWND_TICK_BURST_US = 2 * CWND_TICK_US, /* ... and lets pass what such timers come late */
};

/* Over some round trips. */
struct cwnd_meter {
    uint64_t acked; /* bytes */
    uint64_t lost;
    uint64_t limited; /* of acked: while the window was what held the stream back */
    uint64_t from_us;
    uint64_t window; /* at its begin, or the end of slow start */
    int trips;       /* negative: not yet begun */
};

/* What a trial is compared with: before it. */
struct cwnd_trial {
    uint64_t window; /* 0: there is none */
    uint64_t rate;   /* bytes per second that arrived */
    unsigned share;  /* lost, in 1/256 */
};

/* Only the functions below write it. */
struct cwnd {
    uint64_t bytes;      /* the window. Invariant: rule 5 <= bytes <= most */
    uint64_t most;       /* the stream's limit */
    uint64_t slow_until; /* slow start below this (ssthresh) */
    uint64_t mss;        /* bytes of the stream in a full datagram */
    uint64_t trip;       /* the round trip ends when an older stamp than this is no more echoed */
    uint64_t recovery;   /* losses of older stamps than this belong to the last cut */
    uint64_t trip_lost;  /* bytes of this round trip */
    uint64_t trip_acked;
    unsigned share;     /* of what was lost in the last ones, smoothed, in 1/256 */
    uint64_t paced_us;  /* when all that was sent would have left at an even pace, ... */
    uint64_t burst_us;  /* ... and how far ahead of now that may lie */
    uint64_t active_us; /* something was sent */
    uint64_t dip_at_us; /* start of the last dip */
    uint64_t dip_end_us;
    uint64_t dip_low_us;    /* least sample of it */
    bool in_vain;           /* it is for rule 7 */
    uint64_t low_us[2];     /* least of the present samples, and of those before */
    unsigned samples;       /* present ones */
    uint64_t longer_us;     /* rule 7: min_rtt is at least this */
    unsigned shrunk;        /* round trips in a row, by rule 2 */
    uint64_t shrunk_from;   /* window before them */
    uint64_t shrunk_low_us; /* least sample before them */
    uint64_t uncut;         /* window before a cut of rule 1 that may prove wrong, 0 = none */
    uint64_t found;         /* bytes taken for lost before, and not; to be counted as such */
    struct cwnd_meter meter;
    struct cwnd_trial trial;
    uint64_t radio; /* window of the last trial that showed a radio, 0 = none */
    unsigned hold;  /* round trips without growth */
    unsigned pause; /* round trips without a trial */
    unsigned last_pause;
};

/* The peer acknowledged bytes. */
struct cwnd_ack {
    uint64_t now_us;
    uint64_t bytes;     /* acknowledged by this for the first time */
    uint64_t in_flight; /* before it */
    uint64_t found;     /* bytes that were taken for lost, and sent again for nothing */
    uint64_t echo;      /* stamp that it knows of, 0 = none */
    uint64_t newest;    /* stamp of the newest datagram sent */
};

void cwnd_init(struct cwnd *c, uint64_t mss, uint64_t most);

/* The datagrams have another size from now on, see mtu.h. */
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
