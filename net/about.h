/* about.h: what a node tells a peer of itself, so that only those count each other that belong to one
 * cluster: 24 bytes, in every handshake (session.h) and every plain datagram (plain.h).
 *
 *     0  u64  storage    random id of the sender's data directory, never 0
 *     8  u64  known      that of the receiver, as the sender knows it; 0 = it knows none
 *    16  u64  voters     the sender's wire_voters_digest()
 */
#ifndef ABOUT_H
#define ABOUT_H

#include <stdint.h>

#include "raftd/base/bytes.h"

enum { ABOUT_BYTES = 24 };

struct about {
    uint64_t storage, known, voters;
};

static inline void put_about(uint8_t *p, const struct about *a)
{
    put_u64(p, a->storage);
    put_u64(p + 8, a->known);
    put_u64(p + 16, a->voters);
}

static inline struct about get_about(const uint8_t *p)
{
    return (struct about){get_u64(p), get_u64(p + 8), get_u64(p + 16)};
}

#endif
