/* plain.h: datagrams without secrets, for loopback and tests: sender, receiver and a checksum.
 *
 *   envelope, 80 bytes before the payload
 *     0  u8   version << 4 | kind    WIRE_VERSION_NOW; kind 0 = plain
 *     1  u8   0
 *     2  u16  from                   node id of the sender
 *     4  u16  to                     node id of the receiver
 *     6  u16  0
 *     8  u64  cluster                identity of the cluster, see wire_cluster_id()
 *    16  u64  check                  SipHash-2-4 of the datagram with this field zero; the key is
 *                                    `cluster`, the version and seven zeros
 *    24  key[32]                     public key of the sender's data directory: told, not proved
 *    56  about[24]                   what else the sender tells of itself, see about.h
 *
 * A datagram without a payload is a greeting: it tells key and `about`, and no more.
 *
 * `check` guards against bit errors (UDP's own sum is weak and may be absent: a flipped bit must not
 * forge a vote), not against people: its key is public.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include <stddef.h>
#include <stdint.h>

#include "net/about.h"
#include "net/drop.h"

enum { PLAIN_HEAD_BYTES = 24 + ABOUT_KEY_BYTES + ABOUT_BYTES };

struct plain_ends {
    uint64_t cluster;
    uint16_t from, to;
    /* Only written: plain_open() leaves it to the caller who counts. */
    uint8_t key[ABOUT_KEY_BYTES];
    struct about about;
};

/* Judges the envelope of a datagram that must be from `ends->from` to `ends->to`. The payload
 * follows at buf + PLAIN_HEAD_BYTES. */
enum drop plain_open(const uint8_t *buf, size_t len, const struct plain_ends *ends);

/* Who a datagram says that it is from; 0: it is too short. */
uint16_t plain_from(const uint8_t *buf, size_t len);

/* What the sender tells of itself, in a datagram for which plain_open() said DATAGRAM_DATA. */
struct about plain_about(const uint8_t *buf);

/* Its key, which lies in buf. */
const uint8_t *plain_key(const uint8_t *buf);

/* Writes the envelope around the payload at buf + PLAIN_HEAD_BYTES; returns the datagram's length. */
size_t plain_close(uint8_t *buf, size_t payload_len, const struct plain_ends *ends);

#endif
