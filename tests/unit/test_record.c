// LINK: storage/record.c storage/crc32c.c -lsodium
#include "storage/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "tests/lib/record_make.h"

static size_t make(uint8_t *buf, uint32_t data_len)
{
    uint8_t *data = malloc(data_len + 1);
    struct record r = {.index = 7,
                       .term = 3,
                       .cluster_ms = UINT64_C(0x665544332211),
                       .type = RECORD_COMMAND,
                       .data = data};

    assert_non_null(data);
    for (uint32_t i = 0; i < data_len; i++)
        data[i] = (uint8_t)(i * 31 + 5);
    memset(r.prev, 0xa5, sizeof r.prev);
    r.data_len = data_len;
    size_t size = record_make(buf, &r);
    free(data);
    return size;
}

/* Give a changed head its right checksum again, so that the other checks must refuse it. */
static void reseal(uint8_t *buf, size_t size)
{
    put_u32(buf, crc32c(0, buf + 4, size - 4));
}

static void decode_inverts_encode(void **state)
{
    uint8_t buf[256], again[256];
    struct record r;
    size_t size;

    (void)state;
    for (uint32_t len = 0; len <= 70; len++) {
        size_t made = make(buf, len);
        assert_int_equal(made, record_size(len));
        assert_int_equal(made % RECORD_ALIGN_BYTES, 0);
        assert_int_equal(record_decode(buf, sizeof buf, &r, &size), RECORD_OK);
        assert_int_equal(size, made);
        assert_int_equal(r.index, 7);
        assert_int_equal(r.term, 3);
        assert_int_equal(r.type, RECORD_COMMAND);
        assert_true(r.cluster_ms == UINT64_C(0x665544332211));
        assert_true(record_cluster_ms(buf) == r.cluster_ms);
        assert_int_equal(r.data_len, len);
        assert_ptr_equal(r.data, buf + RECORD_HEAD_BYTES);
        assert_int_equal(record_make(again, &r), made);
        assert_memory_equal(buf, again, made);
        /* Data already in place: the other way to the same bytes. */
        memset(again, 0xee, RECORD_HEAD_BYTES);
        assert_int_equal(record_seal(again, 7, 3, r.cluster_ms, RECORD_COMMAND, r.prev, len), made);
        assert_memory_equal(buf, again, made);
    }
}

static void short_at_every_length_says_what_it_needs(void **state)
{
    uint8_t buf[256];
    struct record r;

    (void)state;
    size_t size = make(buf, 61);
    for (size_t len = 0; len < size; len++) {
        size_t need = 0;
        uint8_t *exact = malloc(len + 1); /* so that the sanitizer sees a read past the end */
        assert_non_null(exact);
        memcpy(exact, buf, len);
        assert_int_equal(record_decode(exact, len, &r, &need), RECORD_SHORT);
        assert_int_equal(need, len < RECORD_HEAD_BYTES ? RECORD_HEAD_BYTES : size);
        free(exact);
    }
}

static void every_flipped_bit_is_refused(void **state)
{
    uint8_t buf[256];
    struct record r;
    size_t n;

    (void)state;
    size_t size = make(buf, 61);
    for (size_t bit = 0; bit < size * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        /* A changed length may ask for more bytes; it must never be believed to be whole. */
        assert_int_not_equal(record_decode(buf, size, &r, &n), RECORD_OK);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(record_decode(buf, size, &r, &n), RECORD_OK);
}

static void a_right_checksum_excuses_nothing(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {
        {24, 0},
        {24, RECORD_MEMBERS + 1},
        {24, 255},
        {25, 0},
        {25, 1}, /* the version before */
        {25, 3},
        {8, 0},
        {16, 0},
        {RECORD_HEAD_BYTES + 61, 1},
        {RECORD_HEAD_BYTES + 63, 1}, /* padding */
    };
    uint8_t buf[256];
    struct record r;
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t size = make(buf, 61);
        buf[wrong[i].at] = wrong[i].value;
        reseal(buf, size);
        assert_int_equal(record_decode(buf, size, &r, &n), RECORD_BAD);
    }
}

static void the_length_is_bounded_before_it_is_used(void **state)
{
    uint8_t buf[64] = {0};
    struct record r;
    size_t need = 0;

    (void)state;
    make(buf, 0);
    put_u32(buf + 4, RECORD_DATA_MAX_BYTES);
    assert_int_equal(record_decode(buf, sizeof buf, &r, &need), RECORD_SHORT);
    assert_int_equal(need, RECORD_MAX_BYTES);
    put_u32(buf + 4, RECORD_DATA_MAX_BYTES + 1);
    assert_int_equal(record_decode(buf, sizeof buf, &r, &need), RECORD_BAD);
    put_u32(buf + 4, UINT32_MAX);
    assert_int_equal(record_decode(buf, sizeof buf, &r, &need), RECORD_BAD);
}

static void the_largest_record_fits(void **state)
{
    uint8_t *buf = malloc(RECORD_MAX_BYTES);
    struct record r;
    size_t size;

    (void)state;
    assert_non_null(buf);
    assert_int_equal(make(buf, RECORD_DATA_MAX_BYTES), RECORD_MAX_BYTES);
    assert_int_equal(record_decode(buf, RECORD_MAX_BYTES, &r, &size), RECORD_OK);
    free(buf);
}

static void the_hash_covers_every_byte(void **state)
{
    uint8_t buf[256], a[RECORD_HASH_BYTES], b[RECORD_HASH_BYTES];

    (void)state;
    size_t size = make(buf, 20);
    record_hash(buf, size, a);
    for (size_t i = 0; i < size; i++) {
        buf[i] ^= 1;
        record_hash(buf, size, b);
        assert_memory_not_equal(a, b, sizeof a);
        buf[i] ^= 1;
    }
    /* BLAKE2b-128 of nothing: pins the algorithm and its length parameter. */
    static const uint8_t empty[] = {0xca, 0xe6, 0x69, 0x41, 0xd9, 0xef, 0xbd, 0x40,
                                    0x4e, 0x4d, 0x88, 0x75, 0x8e, 0xa6, 0x76, 0x70};
    record_hash(buf, 0, b);
    assert_memory_equal(b, empty, sizeof b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_inverts_encode),
        cmocka_unit_test(short_at_every_length_says_what_it_needs),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(a_right_checksum_excuses_nothing),
        cmocka_unit_test(the_length_is_bounded_before_it_is_used),
        cmocka_unit_test(the_largest_record_fits),
        cmocka_unit_test(the_hash_covers_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
