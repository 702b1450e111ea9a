// LINK: storage/crc32c.c
#include "storage/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void rfc3720_vectors(void **state)
{
    uint8_t b[48];

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(b, 0, 32);
    assert_int_equal(crc32c(0, b, 32), 0x8a9136aa);
    memset(b, 0xff, 32);
    assert_int_equal(crc32c(0, b, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        b[i] = i;
    assert_int_equal(crc32c(0, b, 32), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        b[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(0, b, 32), 0x113fdb5c);

    /* An iSCSI SCSI Read (10) command PDU. */
    static const uint8_t pdu[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0,
    };
    assert_int_equal(crc32c(0, pdu, 48), 0xd9963a56);
    assert_int_equal(crc32c(0, "", 0), 0);
}

/* Bit by bit from the polynomial: what the tables and the instruction must agree with. */
static uint32_t slow(const uint8_t *p, size_t len)
{
    uint32_t c = 0xffffffff;

    for (size_t i = 0; i < len; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = (c & 1) != 0 ? c >> 1 ^ 0x82f63b78 : c >> 1;
    }
    return ~c;
}

static void all_ways_agree_at_every_length_alignment_and_split(void **state)
{
    uint8_t b[300];
    uint32_t x = 1;

    (void)state;
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t at = 0; at < 8; at++)
        for (size_t len = 0; len <= 64; len++) {
            uint32_t want = slow(b + at, len);
            assert_int_equal(crc32c(0, b + at, len), want);
            assert_int_equal(crc32c_portable(0, b + at, len), want);
            size_t cut = len / 3;
            assert_int_equal(crc32c(crc32c(0, b + at, cut), b + at + cut, len - cut), want);
        }
    assert_int_equal(crc32c_portable(0, b, sizeof b), slow(b, sizeof b));
}

/* One byte set anywhere in a block of eight touches one entry of one table. */
static void every_table_entry_is_right(void **state)
{
    (void)state;
    for (size_t at = 0; at < 8; at++)
        for (unsigned v = 0; v < 256; v++) {
            uint8_t b[8] = {0};
            b[at] = (uint8_t)v;
            assert_int_equal(crc32c_portable(0, b, 8), slow(b, 8));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3720_vectors),
        cmocka_unit_test(all_ways_agree_at_every_length_alignment_and_split),
        cmocka_unit_test(every_table_entry_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
