/* about.h: what a node tells a peer of itself, so that only those count each other that belong to one
 * cluster: 24 bytes, in every handshake (session.h) and every plain datagram (plain.h).
 *
 *     0  u64  cluster    random id that the cluster was given with its first members; 0 = not known yet,
 *                        or not for good
 *     8  u64  known      handle of the receiver's key, as the sender knows it; 0 = it knows none
 *    16  u64  voters     wire_voters_digest() of the nodes that the sender was made for. If `cluster` is not
 *                        0: the index of its newest members in its log, which name its key. 0 = its
 *                        members come from the log, and do not name its key
 *
 * Who the sender is, its key says: the public key of its data directory.
 */
#ifndef ABOUT_H
#define ABOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "raftd/base/bytes.h"

enum { ABOUT_BYTES = 24, ABOUT_KEY_BYTES = 32 };

struct about {
    uint64_t cluster, known, voters;
};

/* Names a key where it is only recognised, not judged: its first bytes. 0 = of no key. */
static inline uint64_t about_handle(const uint8_t key[ABOUT_KEY_BYTES])
{
    return get_u64(key);
}

static inline bool about_same_key(const uint8_t a[ABOUT_KEY_BYTES],
                                  const uint8_t b[ABOUT_KEY_BYTES])
{
    return memcmp(a, b, ABOUT_KEY_BYTES) == 0;
}

static inline void put_about(uint8_t *p, const struct about *a)
{
    put_u64(p, a->cluster);
    put_u64(p + 8, a->known);
    put_u64(p + 16, a->voters);
}

static inline struct about get_about(const uint8_t *p)
{
    return (struct about){get_u64(p), get_u64(p + 8), get_u64(p + 16)};
}

#endif
