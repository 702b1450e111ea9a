/* siphash.c: see siphash.h. */
#include "raftd/state/siphash.h"

#include "raftd/base/bytes.h"

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void mix(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

static inline uint64_t half(uint64_t v[4])
{
    mix(v);
    mix(v);
    mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void siphash128(uint64_t out[2], const uint8_t *bytes, size_t len, const uint64_t key[2])
{
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    uint8_t last[8] = {0};
    size_t whole = len - len % 8;
    for (size_t at = 0; at < whole; at += 8)
        take(v, get_u64(bytes + at));
    for (size_t at = whole; at < len; at++)
        last[at - whole] = bytes[at];
    last[7] = (uint8_t)len;
    take(v, get_u64(last));
    v[2] ^= 0xee;
    out[0] = half(v);
    v[1] ^= 0xdd;
    out[1] = half(v);
}
