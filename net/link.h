/* link.h: the time stamps of one peer's datagrams, and the round trips measured by them.
 *
 * Every datagram carries a time stamp of its own and echoes the newest of the peer with the time
 * it was held, so a sample names the very transmission that arrived (no ambiguity after a resend)
 * and the clocks of two boxes are never compared. One struct per peer; times are microseconds of
 * the caller's monotonic clock. Pure.
 */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "net/rtt.h"
#include "net/wire.h"

enum {
    LINK_SAMPLE_MAX_US = 10000000, /* longer: one of us was stopped, not a round trip */
};

/* A zeroed struct is a fresh one. */
struct link {
    struct rtt rtt;
    bool has_sent;    /* ts_sent is valid */
    uint32_t ts_sent; /* of the newest datagram sent */
    bool has_peer;
    uint32_t peer_ts;    /* newest received ... */
    uint64_t peer_ts_at; /* ... and when */
    bool has_sample;
    uint32_t sampled_ts; /* newest ts that gave a sample ... */
    uint64_t sampled_at; /* ... and when */
    uint64_t sent;       /* datagrams; its low 16 bits are tx_cnt */
    uint64_t accepted;   /* datagrams */
    uint64_t bad_echoes; /* of a ts never sent, negative, or over LINK_SAMPLE_MAX_US: dropped */
};

/* Fills ts, ts_echo, hold, echo and tx_cnt of a datagram that is sent now: once for each. */
void link_stamp(struct link *l, uint64_t now_us, struct wire_header *h);

/* An accepted datagram of this peer. True if it gave a sample for l->rtt. */
bool link_received(struct link *l, uint64_t now_us, const struct wire_header *h);

#endif
