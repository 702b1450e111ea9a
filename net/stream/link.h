/* link.h: the numbers and time stamps of one peer's datagrams, and what they tell: round trips,
 * and how much is lost in each direction. Pure.
 *
 * Every datagram carries a time stamp of its own, echoes the peer's newest one, and says how long ago
 * that came. So a sample names the very transmission that arrived (no ambiguity after a resend) and the
 * clocks of two boxes are never compared. It also carries its number among those sent to
 * the peer: gaps are losses, seen by the receiver, which reports them back. One struct per peer;
 * times are microseconds of the caller's monotonic clock.
 */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "net/stream/rtt.h"
#include "net/wire.h"

enum {
    LINK_SAMPLE_MAX_US = 10000000, /* longer: one of us was stopped, not a round trip */
    LINK_LOSS_WINDOW = 32,         /* numbers over which loss is counted: steps of 3 % */
    LINK_LOSS_WINDOW_LEAST = 8,    /* or fewer, on a quiet link, ... */
    LINK_LOSS_WINDOW_US = 2000000, /* ... once this is over */
    LINK_SILENCE_US = 10000000, /* a longer silence is a link that was cut: its numbers would show
                                      the cut, so a fresh window begins. Quiet peers speak every 3 s */
    LINK_LATE_MAX = 256, /* late datagrams that count for the next window; jitter brings no more */
    LINK_LOSS_FULL = 65536, /* everything is lost, in the unit of loss_in and loss_out */
    /* A datagram that is later than others by more than this was held back: no queue keeps one so long. */
    LINK_HELD_US = 10000000,
    /* If all datagrams are late for so long, or for twice `life_us`, the path or a clock has changed. */
    LINK_HELD_LASTS_US = 2000000,
    LINK_WAY_AGE_US = 30000000, /* "others" are the datagrams of the last 30 to 60 s */
    LINK_EARLY_US = 300000000,  /* stamps wrap: what seems earlier than others by more is later */
    LINK_STRANGE_NUMBERS = 1 << 12, /* a number so far below the newest is of another count */
};

/* A zeroed struct is a fresh one. Only the functions below write it. */
struct link {
    struct rtt rtt;
    uint64_t stamp;      /* of the newest datagram begun, 0 = none */
    uint64_t sent;       /* datagrams */
    uint64_t accepted;   /* datagrams */
    uint32_t loss_in;    /* of the peer's datagrams to us, in 1/65536, smoothed */
    uint32_t loss_out;   /* of ours to the peer, as it says */
    bool has_peer;       /* peer_ts is valid */
    uint32_t peer_ts;    /* newest received */
    uint64_t peer_ts_at; /* when it came */
    bool peer_ts_waited; /* it had waited for us before */
    uint64_t sampled;    /* newest stamp of ours that gave a sample */
    uint64_t late;       /* what is heard of stamps up to this one may have waited for one of us */
    uint64_t late_at;    /* when we noticed last that we had been stopped */
    /* How long a datagram took to us, but for the difference of the clocks. */
    bool has_way;
    uint32_t way[2];     /* least of this LINK_WAY_AGE_US, and of the one before */
    uint64_t way_at;     /* when way[0] began */
    uint64_t held_since; /* since then all were held back; 0 = the last one was not */
    /* Numbers of the peer, extended to 64 bits, over the present window. */
    bool counting;
    bool tainted;      /* our own receive queue dropped datagrams: says nothing of the network */
    bool has_loss;     /* loss_in was measured */
    uint64_t newest;   /* highest number seen */
    uint64_t first;    /* number that the window begins with */
    uint64_t got;      /* datagrams that came since, and late ones that the last had over */
    uint64_t first_at; /* when the window began */
    uint64_t came_at;  /* when the last datagram did */
};

/* A datagram is begun. Fills ts, ts_echo, hold, echo, tx_cnt and loss of its header and returns
 * its stamp: us, strictly increasing, ts is its low half. One that never leaves costs nothing. */
uint64_t link_stamp(struct link *l, uint64_t now_us, struct wire_header *h);

/* The datagram begun last left. */
void link_sent(struct link *l);

/* True: an authentic datagram was held back on its way, and what it says is of the past. It must be
 * dropped, else it is for link_received(). Each datagram is judged once. `life_us` as below. */
bool link_held_back(struct link *l, uint64_t now_us, const struct wire_header *h, uint64_t life_us);

/* True: the datagram took longer than life_us on its way, so it does not show that its sender lives
 * now. Whoever keeps back a leader's heartbeats for a while and lets them pass one by one when it is
 * dead must not keep others from electing a new one. The round trip since the stamp of ours that it
 * echoes tells, without comparing clocks; where it echoes none, how much longer it took than others
 * did lately. What waited for a pause of ours or of the sender is not judged by the round trip. */
bool link_is_late(const struct link *l, uint64_t now_us, const struct wire_header *h,
                  uint64_t life_us);

/* An accepted datagram of this peer. True if it gave a sample for l->rtt. */
bool link_received(struct link *l, uint64_t now_us, const struct wire_header *h);

/* The stamp of ours that the peer says it received last: all that it says in the same datagram, it
 * says with the knowledge of that one. 0: it says none, or one too old to be told from others. */
uint64_t link_echoed(const struct link *l, const struct wire_header *h);

/* We were stopped for a while: answers to what was sent before then give no samples, neither here nor
 * at the peer, whose datagrams arrive only now. */
void link_late(struct link *l, uint64_t now_us);

/* Datagrams were lost in our own receive queue: the present window of numbers is not counted. */
void link_rxq_dropped(struct link *l);

/* The peer started anew, with other stamps and numbers. What is known of the path stays. */
void link_reset(struct link *l);

#endif
