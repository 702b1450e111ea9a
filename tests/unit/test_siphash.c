// LINK: raftd/state/siphash.c -lsodium
#include "raftd/state/siphash.h"

#include <setjmp.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raftd/base/bytes.h"

enum { LEN_MAX = 300 };

static void as_libsodium(const uint8_t *bytes, size_t len, uint8_t key[16])
{
    uint8_t want[16];
    uint64_t out[2];
    crypto_shorthash_siphashx24(want, bytes, len, key);
    siphash128(out, bytes, len, (uint64_t[]){get_u64(key), get_u64(key + 8)});
    assert_true(out[0] == get_u64(want) && out[1] == get_u64(want + 8));
}

static void every_length(void **state)
{
    (void)state;
    uint8_t bytes[LEN_MAX], key[16];
    uint32_t x = 1;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        for (size_t i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        as_libsodium(bytes, len, key);
    }
}

/* From the authors of the function. */
static void vector(void **state)
{
    (void)state;
    const uint64_t key[] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint64_t out[2];
    siphash128(out, (const uint8_t *)"", 0, key);
    assert_true(out[0] == UINT64_C(0xe6a825ba047f81a3) && out[1] == UINT64_C(0x930255c71472f66d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
