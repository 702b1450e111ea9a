/* rtt.h: how long an answer takes, and the retransmission timer made of it. Pure.
 *
 * The estimator is RFC 6298's, the timer RFC 9002's (6.2.1) with a lower floor and a backoff that
 * begins late: a Raft commit is nearly always one datagram, so its loss is only found by this
 * timer, and waiting a second for it would cost a thousand round trips.
 *
 * Two things are measured with the same struct. The round trip of a peer (see link.h) leaves out
 * the time that the peer held a stamp. The answer time of a stream is from sending a byte until
 * its acknowledgement is here, with all the peer waited for; it makes the tighter timer where the
 * peer answers sooner than it must, as it does when its disk is fast.
 */
#ifndef RTT_H
#define RTT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RTT_PTO_INITIAL_US = 100000, /* before a sample: slow links' round trip, not more */
    RTT_PTO_MIN_US = 2000,       /* two ticks of a poll() that counts milliseconds: less could not
                                    be kept, and a resend costs one datagram, not a window */
    RTT_PTO_MAX_US = 1000000,    /* whatever was measured: a dead link's samples must not rule */
    RTT_VAR_MIN_US = 1000,       /* 4 * rttvar is at least this: the same tick (RFC 9002,
                                    kGranularity) */
    RTT_PLAIN_TIMEOUTS = 3,      /* the first three without backoff: at 30 % loss enough for 97 % */
    RTT_MIN_AGE_US = 30000000,   /* a minimum is of the last 30 to 60 s */
};

struct rtt {
    bool has; /* a sample was taken; else the others mean nothing */
    uint64_t srtt_us;
    uint64_t rttvar_us;
    uint64_t last_us;    /* the newest sample */
    uint64_t min_us;     /* least sample of this and the last RTT_MIN_AGE_US */
    uint64_t low_at_us;  /* when a sample was last near min_us: no queue stood then */
    uint64_t part_us[2]; /* least sample of this RTT_MIN_AGE_US, and of the one before */
    uint64_t part_at_us; /* when part_us[0] began */
};

/* Takes one sample (RFC 6298, section 2). A zeroed struct is a fresh one. */
void rtt_sample(struct rtt *r, uint64_t now_us, uint64_t sample_us);

/* Interval until the next timeout after `timeouts` of them in a row: 1, 1, 1, 2, 4 ... times
 * srtt + max(4 * rttvar, 1 ms) + ack_delay_us, or the same of `answer` without ack_delay_us, if
 * that was measured and is less; within RTT_PTO_MIN_US..RTT_PTO_MAX_US. Backoff ends at cap_us;
 * the cap never cuts the plain interval itself, or every flight on a link slower than the cap
 * would be sent twice. ack_delay_us: how long the peer may wait before it acknowledges. */
uint64_t rtt_pto(const struct rtt *r, const struct rtt *answer, unsigned timeouts,
                 uint64_t ack_delay_us, uint64_t cap_us);

#endif
