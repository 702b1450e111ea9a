/* mtu.h: how large datagrams to one peer may be: the search for its path's MTU (RFC 8899).
 *
 * Data always goes in datagrams of `size`, from the first moment on; larger ones are tried with
 * padded datagrams that carry nothing, so that the search never delays anything. Sizes are UDP
 * payload in bytes. First the largest allowed is tried, then, by halving, those between the largest
 * that arrived and the least that did not.
 *
 * A path may be narrower than `size`, from the start or from some day on, and nobody needs to say
 * so (a black hole): then whole flights of large datagrams are lost while small ones arrive, and a
 * stream, which is ordered, would wait behind them for ever. After a few such flights in a row the
 * size falls, first to the base, then to the least, and a new search begins a little later. Our own
 * kernel may also refuse a datagram as too long for the route: then the size falls at once. Bad luck
 * on a lossy link looks like a black hole, and costs no more than smaller datagrams for that while.
 *
 * One struct per peer, no I/O; times are microseconds of the caller's monotonic clock:
 *
 *     on every datagram accepted from the peer:       mtu_heard()
 *     at mtu_deadline(), or later:                    while (mtu_probe(&m, now, &size)) send it;
 *     when the peer answers a probe:                  mtu_acked(its size)
 *     when the peer acknowledges a datagram of data:  mtu_arrived(its size)
 *     when a retransmission timer of a stream fires:  mtu_timeout(size of the largest unacknowledged)
 *     when our own kernel finds a datagram too long:  mtu_refused(its size)
 */
#ifndef MTU_H
#define MTU_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MTU_BASE = 1200, /* passes nearly every path that is in use */
    MTU_MAX = 1452,  /* what Ethernet carries of UDP over IPv6 */
    MTU_LEAST = 512, /* below it nothing is tried: IPv4 asks every host for 576 bytes of packet */
    MTU_UNIT = 4,    /* sizes are multiples of it, as frames are */
    MTU_STEP = 16,   /* between sizes that are tried: a finer search would gain 2 % at most */
    MTU_TRIES = 4,   /* of one size: at 10 % loss each way 1 of 800 is given up wrongly */
    MTU_HOLE_FLIGHTS = 4,   /* above the base, lost in a row; fewer are usual on bad links */
    MTU_NARROW_FLIGHTS = 6, /* from the base down: paths that do not carry it are rare */
    MTU_WAIT_US = 1000000,  /* for the answer to a probe: the longest round trip we work with */
    MTU_HOLE_WAIT_US = 10000000, /* from a black hole to the next search: routes settle */
    MTU_AGAIN_US = 600000000, /* until sizes that were given up are tried again (RFC 8899, 5.1.1) */
    MTU_NARROW_AGAIN_US = 60000000, /* the same below the base: that is worth more, and a path that
                                       narrow often is a detour */
};

struct mtu {
    uint32_t max;       /* configured, a multiple of MTU_UNIT */
    uint32_t size;      /* of datagrams with data. Invariant: MTU_LEAST <= size <= max */
    uint32_t failed;    /* least size given up in this search, 0 = none. Invariant: 0 or > size */
    uint32_t probing;   /* size that is tried, 0 = no search now. Invariant: 0 or size < probing */
    unsigned tries;     /* of `probing`: how many were sent */
    unsigned lost;      /* flights of large datagrams lost in a row ... */
    uint32_t lost_size; /* ... the least of their sizes */
    bool spoke;         /* the peer was heard since the last of them */
    bool carried;       /* data arrived since the size fell last */
    bool heard;         /* from the peer, since the newest probe was sent */
    uint64_t at;        /* no probe before this; UINT64_MAX = never */
};

/* max: the largest size allowed, from MTU_LEAST to MTU_MAX; up to MTU_BASE nothing is ever probed. */
void mtu_init(struct mtu *m, uint32_t max);

/* What data may be sent with now. */
uint32_t mtu_size(const struct mtu *m);

/* What nearly every path passes, within the configured size: less than this means a narrow path. */
uint32_t mtu_usual(const struct mtu *m);

/* Has a datagram with data arrived since the size fell last? */
bool mtu_carries(const struct mtu *m);

/* True: send a datagram of exactly *size bytes now that the peer answers at once. At most one probe
 * is on its way; one without an answer after MTU_WAIT_US counts as lost. Only a peer that was heard
 * since the last probe is probed: silence tells nothing about sizes. */
bool mtu_probe(struct mtu *m, uint64_t now, uint32_t *size);

/* When mtu_probe() may have something, unless the peer is heard or a size changes meanwhile. */
uint64_t mtu_deadline(const struct mtu *m);

/* A datagram was accepted from the peer. */
void mtu_heard(struct mtu *m);

/* The peer has got a probe of this size. Sizes that were never tried and old news change nothing. */
void mtu_acked(struct mtu *m, uint64_t now, uint32_t size);

/* The peer has got a datagram with data of this size: flights as large as that are not lost for
 * their size. */
void mtu_arrived(struct mtu *m, uint32_t size);

/* A flight whose largest datagram had this size, or less, got no answer in time. It counts only if the
 * peer was heard since the last one that did: silence tells nothing about sizes. */
void mtu_timeout(struct mtu *m, uint64_t now, uint32_t size);

/* Our own kernel refused a datagram of this size to the peer: the route is narrower. */
void mtu_refused(struct mtu *m, uint64_t now, uint32_t size);

#endif
