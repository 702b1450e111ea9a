/* rtt.h: round-trip estimate of one peer and the retransmission timer made of it.
 *
 * The estimator is RFC 6298's, the timer RFC 9002's (6.2.1) with a floor of 10 ms and a backoff
 * that begins late: a Raft commit is nearly always one datagram, so its loss is only found by this
 * timer, and waiting a second for it would cost a hundred round trips. Shared by all streams to a
 * peer. Pure.
 */
#ifndef RTT_H
#define RTT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RTT_PTO_INITIAL_US = 100000, /* before a sample: slow links' round trip, not more */
    RTT_PTO_MIN_US = 10000,      /* scheduling noise of two small boxes */
    RTT_PTO_MAX_US = 1000000,    /* whatever was measured: a dead link's samples must not rule */
    RTT_VAR_MIN_US = 2000,       /* 4 * rttvar is at least this: timers' and loops' granularity */
    RTT_PLAIN_TIMEOUTS = 3,      /* the first three without backoff: at 30 % loss enough for 97 % */
};

struct rtt {
    bool has; /* a sample was taken; else the others mean nothing */
    uint64_t srtt_us;
    uint64_t rttvar_us;
    uint64_t min_us; /* least sample so far */
};

/* Takes one sample (RFC 6298, section 2). A zeroed struct is a fresh one. */
void rtt_sample(struct rtt *r, uint64_t sample_us);

/* Interval until the next timeout after `timeouts` of them in a row: 1, 1, 1, 2, 4 ... times
 * srtt + max(4 * rttvar, 2 ms) + ack_delay_us. Backoff ends at cap_us; the cap never cuts the
 * plain interval itself, or every flight on a link slower than the cap would be sent twice.
 * ack_delay_us: how long the peer may wait before it acknowledges. */
uint64_t rtt_pto(const struct rtt *r, unsigned timeouts, uint64_t ack_delay_us, uint64_t cap_us);

#endif
