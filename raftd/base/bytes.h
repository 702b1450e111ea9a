/* bytes.h: little-endian loads and stores.
 *
 * Everything that leaves the process (datagrams, log file, client messages) is little-endian at
 * fixed offsets. These functions need no alignment and no struct casts, so the same bytes are read on
 * big-endian, 32-bit and strict-alignment hosts. The loads are written byte by byte, for compilers make one
 * load of them where the host allows it; of stores they do not, hence memcpy().
 */
#ifndef RAFT_BYTES_H
#define RAFT_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64(const uint8_t *p)
{
    return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static inline void put_u16(uint8_t *p, uint16_t v)
{
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

#endif
