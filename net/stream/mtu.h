/* mtu.h: how large datagrams with data to one peer may be.
 *
 * They have the configured size, which nearly every path passes. A path may be narrower, from the
 * start or from some day on, and nobody needs to say so (a black hole): then whole flights of large
 * datagrams are lost while small ones arrive, and a stream, which is ordered, would wait behind them
 * for ever. After MTU_FLIGHTS such flights in a row the size falls to MTU_LEAST. Our own kernel may
 * refuse a datagram as too long for the route: then the size falls at once. Bad luck on a lossy link
 * looks like a black hole, and costs no more than smaller datagrams for a while.
 *
 * After that while the size rises, on trial: the first flight that is lost ends the trial, and the
 * next one comes after twice the time; the first datagram that arrives and is as large as those that
 * were lost proves the path.
 *
 * One struct per peer, no I/O. Sizes are bytes of UDP payload; times are microseconds of the
 * caller's monotonic clock:
 *
 *     on every datagram accepted from the peer:       mtu_heard()
 *     before data is sent to it:                      mtu_rise(), then mtu_size()
 *     when the peer acknowledges a datagram of data:  mtu_arrived(its size)
 *     when a retransmission timer of a stream fires:  mtu_timeout(size of the largest unacknowledged)
 *     when our own kernel finds a datagram too long:  mtu_refused(its size)
 */
#ifndef MTU_H
#define MTU_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MTU_LEAST = 512, /* never falls below: IPv4 asks every host to take 576 bytes of packet */
    MTU_FLIGHTS = 6, /* lost in a row; fewer are usual on bad links, and narrow paths are rare */
    MTU_WAIT_US = 60000000, /* from the first fall to the trial: a narrow path often is a detour */
    MTU_WAIT_MAX_US = 960000000, /* between trials in the end: each costs two timeouts */
};

struct mtu {
    uint32_t max;       /* configured */
    uint32_t size;      /* of datagrams with data: max, or the smaller of max and MTU_LEAST */
    bool narrow;        /* it fell, and nothing of lost_size has arrived since */
    bool spoke;         /* the peer was heard since the last flight that counts was lost */
    bool carried;       /* data arrived since the size fell last */
    unsigned lost;      /* flights of large datagrams in a row */
    uint32_t lost_size; /* least size of those, or of those before the last fall */
    uint64_t wait_us;   /* from the last fall to the trial */
    uint64_t rise_at;   /* when that begins */
};

/* max: the size as configured. */
void mtu_init(struct mtu *m, uint32_t max);

/* A trial begins, if it is time. */
void mtu_rise(struct mtu *m, uint64_t now);

/* The size for datagrams with data. */
uint32_t mtu_size(const struct mtu *m);

/* The size that gets through, as far as is known: for people. Less than `max` on a narrow path. */
uint32_t mtu_passes(const struct mtu *m);

/* A datagram was accepted from the peer. */
void mtu_heard(struct mtu *m);

/* The peer has got a datagram with data of this size. */
void mtu_arrived(struct mtu *m, uint32_t size);

/* A flight whose largest datagram had this size got no answer in time. It counts only if the peer was
 * heard since the last one that did: silence tells nothing about sizes. */
void mtu_timeout(struct mtu *m, uint64_t now, uint32_t size);

/* Our own kernel refused a datagram of this size to the peer: the route is narrower. */
void mtu_refused(struct mtu *m, uint64_t now, uint32_t size);

#endif
