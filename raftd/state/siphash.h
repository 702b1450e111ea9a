/* siphash.h: SipHash-1-3 with a result of 128 bits. libsodium has only SipHash-2-4, which takes twice as
 * long. */
#ifndef RAFTD_SIPHASH_H
#define RAFTD_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

void siphash128(uint64_t out[2], const uint8_t *bytes, size_t len, const uint64_t key[2]);

#endif
