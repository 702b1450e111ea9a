// LINK: raftd/state/siphash.c -lsodium
#include "raftd/state/siphash.h"

#include <setjmp.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "raftd/base/bytes.h"

enum { LEN_MAX = 300 };

static uint64_t rotated(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void rounds(uint64_t *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        v[0] += v[1], v[1] = rotated(v[1], 13), v[1] ^= v[0], v[0] = rotated(v[0], 32);
        v[2] += v[3], v[3] = rotated(v[3], 16), v[3] ^= v[2];
        v[0] += v[3], v[3] = rotated(v[3], 21), v[3] ^= v[0];
        v[2] += v[1], v[1] = rotated(v[1], 17), v[1] ^= v[2], v[2] = rotated(v[2], 32);
    }
}

/* Slow, and with any number of rounds for each word and at the end. */
static void slow(uint64_t out[2], const uint8_t *bytes, size_t len, const uint64_t *key,
                 unsigned each, unsigned end)
{
    static const char start[] = "uespemosmodnarodarenegylsetybdet";
    uint8_t text[LEN_MAX + 8] = {0};
    uint64_t v[4];
    memcpy(text, bytes, len);
    text[len / 8 * 8 + 7] = (uint8_t)len;
    for (unsigned i = 0; i < 4; i++)
        v[i] = get_u64((const uint8_t *)start + 8 * i) ^ key[i % 2];
    v[1] ^= 0xee;
    for (size_t at = 0; at <= len; at += 8) {
        v[3] ^= get_u64(text + at);
        rounds(v, each);
        v[0] ^= get_u64(text + at);
    }
    v[2] ^= 0xee;
    for (unsigned i = 0; i < 2; i++) {
        rounds(v, end);
        out[i] = v[0] ^ v[1] ^ v[2] ^ v[3];
        v[1] ^= 0xdd;
    }
}

static void test_every_length(void **state)
{
    (void)state;
    uint8_t bytes[LEN_MAX + 1], key[16], sodium[16];
    uint32_t x = 1;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        for (size_t i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        const uint64_t k[] = {get_u64(key), get_u64(key + 8)};
        uint64_t want[2], got[2];
        slow(want, bytes, len, k, 2, 4);
        crypto_shorthash_siphashx24(sodium, bytes, len, key);
        assert_true(want[0] == get_u64(sodium) && want[1] == get_u64(sodium + 8));
        slow(want, bytes, len, k, 1, 3);
        siphash128(got, bytes, len, k);
        assert_true(want[0] == got[0] && want[1] == got[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_length)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
