/* flight.h: what was sent and may still be on its way: pieces of one stream, oldest first. Pure.
 *
 * A ring without allocation. While it is less than half full each datagram has a piece of its
 * own. Beyond, a piece that goes on where the last one ended is merged with it, under the newer
 * stamp and up to FLIGHT_JOIN_BYTES: loss of the older half is then noticed a little later. Two
 * neighbours together are longer than that, so the other half holds 256 KiB, whatever small
 * pieces a window of that size is cut into.
 */
#ifndef FLIGHT_H
#define FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FLIGHT_MAX = 512, /* pieces: twice the datagrams of a full window; 12 KiB */
    FLIGHT_JOIN_BYTES = 2048,
};

struct flight_piece {
    uint64_t off;
    uint64_t stamp; /* of the datagram it left in */
    uint32_t len;   /* 0: done with */
    bool merged;    /* of more than one datagram */
    bool again;     /* some of it left in other datagrams, too */
};

/* A zeroed struct is empty. */
struct flight {
    unsigned head; /* slot of the oldest */
    unsigned n;
    struct flight_piece p[FLIGHT_MAX]; /* Invariant: stamps never fall */
};

/* The i-th oldest, i < f->n. */
struct flight_piece *flight_at(struct flight *f, unsigned i);

/* A piece was sent. The ring must not be full. */
void flight_push(struct flight *f, uint64_t stamp, uint64_t off, uint32_t len);

/* Forgets the oldest ones that are done with. */
void flight_pop_done(struct flight *f);

/* These bytes are sent again. */
void flight_again(struct flight *f, uint64_t off, uint64_t end);

/* Number of pieces sent with this stamp or an older one: they are the first so many. */
unsigned flight_until(const struct flight *f, uint64_t stamp);

#endif
