/* crc32c.c: slicing-by-8, and the CPU's own instruction where an x86 has it. */
#include "storage/crc32c.h"

#include <string.h>

#include "raftd/base/bytes.h"

/* T8(x, a, b, ..., h): the remainders of 256 numbers in a row. x is that of the first one; a to h are
 * those of the single bits, the highest bit first. T7 takes 128 numbers and seven bits, and so on. */
#define T1(x, a)      (x), (x) ^ (a)
#define T2(x, a, ...) T1(x, __VA_ARGS__), T1((x) ^ (a), __VA_ARGS__)
#define T3(x, a, ...) T2(x, __VA_ARGS__), T2((x) ^ (a), __VA_ARGS__)
#define T4(x, a, ...) T3(x, __VA_ARGS__), T3((x) ^ (a), __VA_ARGS__)
#define T5(x, a, ...) T4(x, __VA_ARGS__), T4((x) ^ (a), __VA_ARGS__)
#define T6(x, a, ...) T5(x, __VA_ARGS__), T5((x) ^ (a), __VA_ARGS__)
#define T7(x, a, ...) T6(x, __VA_ARGS__), T6((x) ^ (a), __VA_ARGS__)
#define T8(x, a, ...) T7(x, __VA_ARGS__), T7((x) ^ (a), __VA_ARGS__)

/* Row k, entry i: the remainder of the byte i with k zero bytes behind it; the polynomial is 0x82f63b78,
 * reflected. A remainder is linear in the bits of the number, so those of single bits make a whole row.
 * The compiler makes the table: no mutable state, and nothing to be done before a first use. */
static const uint32_t table[8][256] = {
    {T8(0, 0x82f63b78, 0x417b1dbc, 0x20bd8ede, 0x105ec76f, 0x8ad958cf, 0xc79a971f, 0xe13b70f7,
        0xf26b8303)},
    {T8(0, 0xfbc3faf9, 0xff17c604, 0x7f8be302, 0x3fc5f181, 0x9d14c3b8, 0x4e8a61dc, 0x274530ee,
        0x13a29877)},
    {T8(0, 0x8b277743, 0xc76580d9, 0xe144fb14, 0x70a27d8a, 0x38513ec5, 0x9edea41a, 0x4f6f520d,
        0xa541927e)},
    {T8(0, 0x52a0c93f, 0xaba65fe7, 0xd725148b, 0xe964b13d, 0xf64463e6, 0x7b2231f3, 0xbf672381,
        0xdd45aab8)},
    {T8(0, 0x6ea2d55c, 0x37516aae, 0x1ba8b557, 0x8f2261d3, 0xc5670b91, 0xe045beb0, 0x7022df58,
        0x38116fac)},
    {T8(0, 0x1c08b7d6, 0x0e045beb, 0x85f4168d, 0xc00c303e, 0x6006181f, 0xb2f53777, 0xdb8ca0c3,
        0xef306b19)},
    {T8(0, 0xf56e0ef4, 0x7ab7077a, 0x3d5b83bd, 0x9c5bfaa6, 0x4e2dfd53, 0xa5e0c5d1, 0xd0065990,
        0x68032cc8)},
    {T8(0, 0x34019664, 0x1a00cb32, 0x0d006599, 0x847609b4, 0x423b04da, 0x211d826d, 0x9278fa4e,
        0x493c7d27)},
};

uint32_t crc32c_portable(uint32_t crc, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    crc = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint32_t a = crc ^ get_u32(p);
        uint32_t b = get_u32(p + 4);
        crc = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^ table[5][a >> 16 & 0xff] ^
              table[4][a >> 24] ^ table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^
              table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
    }
    for (; len > 0; p++, len--)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p,
                                                               size_t len)
{
    uint64_t c = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        c = __builtin_ia32_crc32di(c, word);
    }
    uint32_t r = (uint32_t)c;
    for (; len > 0; p++, len--)
        r = __builtin_ia32_crc32qi(r, *p);
    return ~r;
}

uint32_t crc32c(uint32_t crc, const void *buf, size_t len)
{
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, buf, len);
    return crc32c_portable(crc, buf, len);
}

#else

uint32_t crc32c(uint32_t crc, const void *buf, size_t len)
{
    return crc32c_portable(crc, buf, len);
}

#endif
