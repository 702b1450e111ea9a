// LINK: net/seal/plain.c -lsodium
/* The plain envelope: whatever lies inside arrives as it was, from and to whom it says, or not at
 * all. Each datagram is judged in memory of exactly its length, so that the sanitizer sees every
 * byte read behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal/plain.h"
#include "net/wire.h"
#include "raftd/base/bytes.h"

enum { HEAD = 80, MAX = WIRE_DATAGRAM_MAX };

/* All bytes are in use. */
static const struct plain_ends ENDS = {
    UINT64_C(0x1122334455667788),
    0x0102,
    0x0304,
    {0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b,
     0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96,
     0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0},
    {UINT64_C(0x0102030405060708), UINT64_C(0x1112131415161718), UINT64_C(0x2122232425262728)}};

static const uint8_t PAYLOAD[] = "any bytes of payload will do";

static enum drop open_exact(const uint8_t *buf, size_t len, const struct plain_ends *ends)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, buf, len);
    enum drop s = plain_open(copy, len, ends);
    free(copy);
    return s;
}

static size_t sample(uint8_t *buf, const struct plain_ends *ends)
{
    memcpy(buf + HEAD, PAYLOAD, sizeof PAYLOAD);
    return plain_close(buf, sizeof PAYLOAD, ends);
}

/* The right sum of a datagram, as plain.h describes it. */
static void put_check(uint8_t *buf, size_t len)
{
    uint8_t key[16] = {0};
    uint8_t sum[8];
    memcpy(key, buf + 8, 8);
    key[8] = 9;
    memset(buf + 16, 0, 8);
    assert_int_equal(crypto_shorthash(sum, buf, len, key), 0);
    memcpy(buf + 16, sum, 8);
}

/* The bytes themselves: whoever changes them breaks every running cluster. The sums were found with
 * another implementation of SipHash. */
static void test_golden_bytes(void **state)
{
    (void)state;
    static const uint8_t empty[] = {
        0x90, 0x00, 0x02, 0x01, 0x04, 0x03, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
        0x22, 0x11, 0x05, 0x53, 0x15, 0x5d, 0x43, 0x2e, 0x1d, 0x06, 0x81, 0x82, 0x83, 0x84,
        0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92,
        0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0,
        0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13,
        0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21};
    static const uint8_t sum[] = {0x2d, 0x1a, 0x65, 0xb7, 0x74, 0x9a, 0x3a, 0x2f};
    uint8_t buf[HEAD + 16];
    memset(buf, 0xEE, sizeof buf);
    assert_int_equal(plain_close(buf, 0, &ENDS), HEAD);
    assert_memory_equal(buf, empty, HEAD);
    assert_int_equal(buf[HEAD], 0xEE);

    memset(buf, 0xEE, sizeof buf);
    memcpy(buf + HEAD, "payload.", 8);
    assert_int_equal(plain_close(buf, 8, &ENDS), HEAD + 8);
    assert_memory_equal(buf, empty, 16);
    assert_memory_equal(buf + 16, sum, 8);
    assert_memory_equal(buf + 24, empty + 24, HEAD - 24);
    assert_memory_equal(buf + HEAD, "payload.", 8);
    assert_int_equal(buf[HEAD + 8], 0xEE);
}

/* Payloads of every length, at every alignment: closed, opened, and not a byte changed. */
static void test_all_lengths(void **state)
{
    (void)state;
    for (size_t n = 0; n <= MAX - HEAD; n++) {
        uint8_t buf[4 + MAX + 1], *at = buf + n % 4;
        for (size_t i = 0; i < sizeof buf; i++)
            buf[i] = (uint8_t)(i * 7 + n);
        size_t len = plain_close(at, n, &ENDS);
        assert_int_equal(len, HEAD + n);
        assert_int_equal(plain_open(at, len, &ENDS), DATAGRAM_DATA);
        assert_int_equal(open_exact(at, len, &ENDS), DATAGRAM_DATA);
        struct about about = plain_about(at);
        assert_memory_equal(&about, &ENDS.about, sizeof about);
        assert_memory_equal(plain_key(at), ENDS.key, sizeof ENDS.key);
        for (size_t i = 0; i < sizeof buf; i++)
            if (buf + i < at || buf + i >= at + HEAD)
                assert_int_equal(buf[i], (uint8_t)(i * 7 + n));
    }
}

static void test_truncation(void **state)
{
    (void)state;
    uint8_t buf[MAX];
    size_t len = sample(buf, &ENDS);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(open_exact(buf, n, &ENDS), n < HEAD ? DROP_SHORT : DROP_CHECKSUM);
    assert_int_equal(open_exact(buf, len, &ENDS), DATAGRAM_DATA);
}

/* Zeros or anything else behind it. */
static void test_longer(void **state)
{
    (void)state;
    uint8_t buf[65536];
    memset(buf, 0, sizeof buf);
    size_t len = sample(buf, &ENDS);
    for (size_t n = len + 1; n <= MAX; n++)
        assert_int_equal(open_exact(buf, n, &ENDS), DROP_CHECKSUM);
    for (size_t n = MAX + 1; n <= sizeof buf; n += 1 + n / 8)
        assert_int_equal(open_exact(buf, n, &ENDS), DROP_LONG);
    assert_int_equal(open_exact(buf, sizeof buf, &ENDS), DROP_LONG);

    put_check(buf, MAX); /* it is the length alone that is refused */
    assert_int_equal(open_exact(buf, MAX, &ENDS), DATAGRAM_DATA);
    put_check(buf, MAX + 1);
    assert_int_equal(open_exact(buf, MAX + 1, &ENDS), DROP_LONG);
}

static enum drop status_of_damage(size_t bit)
{
    size_t at = bit / 8;
    if (at == 0)
        return bit < 4 ? DROP_KIND : DROP_VERSION;
    return at >= 8 && at < 16 ? DROP_CLUSTER : DROP_CHECKSUM;
}

static void test_every_flipped_bit_is_refused(void **state)
{
    (void)state;
    uint8_t buf[MAX];
    size_t len = sample(buf, &ENDS);
    for (size_t bit = 0; bit < len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(open_exact(buf, len, &ENDS), status_of_damage(bit));
        /* A second one does not heal it. */
        for (size_t other = bit + 1; other < len * 8; other += 1 + bit % 13) {
            buf[other / 8] ^= (uint8_t)(1u << other % 8);
            assert_int_not_equal(plain_open(buf, len, &ENDS), DATAGRAM_DATA);
            buf[other / 8] ^= (uint8_t)(1u << other % 8);
        }
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(open_exact(buf, len, &ENDS), DATAGRAM_DATA);
}

static void test_versions(void **state)
{
    (void)state;
    uint8_t buf[MAX];
    size_t len = sample(buf, &ENDS);
    for (unsigned v = 0; v < 256; v++) {
        buf[0] = (uint8_t)v;
        put_check(buf, len);
        assert_int_equal(open_exact(buf, len, &ENDS), v == 0x90     ? DATAGRAM_DATA
                                                      : v >> 4 == 9 ? DROP_KIND
                                                                    : DROP_VERSION);
    }
}

static void test_reserved_bytes_are_ignored(void **state)
{
    (void)state;
    uint8_t buf[MAX];
    size_t len = sample(buf, &ENDS);
    for (unsigned v = 0; v < 256; v++) {
        buf[1] = (uint8_t)v;
        put_u16(buf + 6, (uint16_t)(v * 257));
        put_check(buf, len);
        assert_int_equal(open_exact(buf, len, &ENDS), DATAGRAM_DATA);
    }
}

/* Genuine, but of others: each bit of cluster and ids counts. */
static void test_strangers(void **state)
{
    (void)state;
    uint8_t buf[MAX];
    for (unsigned bit = 0; bit < 64; bit++) {
        struct plain_ends other = ENDS;
        other.cluster ^= UINT64_C(1) << bit;
        assert_int_equal(open_exact(buf, sample(buf, &other), &ENDS), DROP_CLUSTER);
        assert_int_equal(open_exact(buf, sample(buf, &ENDS), &other), DROP_CLUSTER);
    }
    for (unsigned bit = 0; bit < 16; bit++) {
        struct plain_ends to = ENDS, from = ENDS;
        to.to ^= (uint16_t)(1u << bit);
        assert_int_equal(open_exact(buf, sample(buf, &to), &ENDS), DROP_MISDIRECTED);
        from.from ^= (uint16_t)(1u << bit);
        assert_int_equal(open_exact(buf, sample(buf, &from), &ENDS), DROP_UNKNOWN);
    }
    /* Sent back to where it came from. */
    const struct plain_ends back = {.cluster = ENDS.cluster, .from = ENDS.to, .to = ENDS.from};
    assert_int_equal(open_exact(buf, sample(buf, &ENDS), &back), DROP_MISDIRECTED);

    static const uint16_t ids[] = {0, 1, 255, 256, 65535};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        const struct plain_ends ends = {
            .cluster = i % 2 == 0 ? 0 : UINT64_MAX, .from = ids[i], .to = ids[(i + 1) % 5]};
        assert_int_equal(open_exact(buf, sample(buf, &ends), &ends), DATAGRAM_DATA);
    }
}

/* With a version and a cluster that are right, too: the sum is all that is left. */
static void test_random_bytes_are_refused(void **state)
{
    (void)state;
    uint64_t x = 5;
    for (int i = 0; i < 20000; i++) {
        uint8_t buf[MAX];
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t len = (size_t)(x >> 33) % (i % 2 == 0 ? MAX + 1 : 64);
        for (size_t k = 0; k < len; k++) {
            x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
            buf[k] = (uint8_t)(x >> 40);
        }
        assert_int_not_equal(open_exact(buf, len, &ENDS), DATAGRAM_DATA);
        if (len < HEAD)
            continue;
        buf[0] = 0x90;
        put_u16(buf + 2, ENDS.from);
        put_u16(buf + 4, ENDS.to);
        put_u64(buf + 8, ENDS.cluster);
        assert_int_equal(open_exact(buf, len, &ENDS), DROP_CHECKSUM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_all_lengths),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_longer),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_reserved_bytes_are_ignored),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_random_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
