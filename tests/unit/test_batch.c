// LINK: storage/batch.c storage/crc32c.c -lsodium
#include "storage/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "storage/wal.h"

static void heads_decode_to_what_was_encoded(void **state)
{
    struct batch_head h = {.flags = BATCH_TRUNC,
                           .vote = 513,
                           .payload_len = 5000,
                           .payload_crc = 1,
                           .salt = 2,
                           .seq = 3,
                           .first_index = 4,
                           .last_index = 5,
                           .last_term = 6,
                           .term = 7,
                           .truncate_to = 3,
                           .commit = 5};
    struct segment_head s = {.flags = SEGMENT_RESET | SEGMENT_RECYCLED,
                             .vote = 1,
                             .segment_bytes = 1 << 20,
                             .storage_id = 2,
                             .number = 3,
                             .salt = 4,
                             .first_seq = 5,
                             .term = 6,
                             .base_index = 7,
                             .base_term = 6,
                             .commit = 7};
    struct batch_head h2 = {0};
    struct segment_head s2 = {0};
    uint8_t b[BATCH_BLOCK_BYTES];

    (void)state;
    memset(h.prev, 9, sizeof h.prev);
    memset(h.head, 10, sizeof h.head);
    batch_encode(b, &h);
    for (size_t bit = 0; bit < BATCH_HEAD_BYTES * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(batch_decode(b, &h2));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(batch_decode(b, &h2));
    assert_memory_equal(&h, &h2, sizeof h);
    /* Right checksums, wrong sense. */
    struct batch_head wrong[] = {h, h, h, h, h, h, h, h, h};
    wrong[0].first_index = 6;              /* behind the last */
    wrong[1].first_index = 0;              /* a payload of nothing */
    wrong[2].payload_len = 0;              /* entries of nothing */
    wrong[3].flags = 0;                    /* truncate_to without the flag */
    wrong[4].flags = BATCH_SEAL;           /* a seal with entries */
    wrong[5].flags = BATCH_TRUNC | 1 << 9; /* unknown */
    wrong[6].flags = BATCH_TRUNC | BATCH_CUT;
    wrong[7].commit = 6;                                                   /* behind the last */
    wrong[8].first_index = wrong[8].last_index = wrong[8].payload_len = 0; /* behind truncate_to */
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        batch_encode(b, &wrong[i]);
        assert_false(batch_decode(b, &h2));
    }
    memset(s.prev, 11, sizeof s.prev);
    memset(s.base_head, 12, sizeof s.base_head);
    segment_encode(b, &s);
    assert_true(segment_decode(b, &s2));
    assert_memory_equal(&s, &s2, sizeof s);
    assert_int_equal(segment_version(b), BATCH_FORMAT_VERSION);
    s.commit = 8; /* behind base_index */
    segment_encode(b, &s);
    assert_false(segment_decode(b, &s2));
    s.commit = 0;
    struct segment_head strange[] = {s, s, s, s, s, s};
    strange[0].segment_bytes = 4096;
    strange[1].first_seq = 0;
    strange[2].base_term = 7; /* above the term */
    strange[3].base_term = 0; /* an entry without one */
    strange[4].base_index = 0;
    strange[5].flags = SEGMENT_FLAGS_KNOWN + 1;
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        segment_encode(b, &strange[i]);
        assert_false(segment_decode(b, &s2));
    }
}

static void sizes_and_places(void **state)
{
    (void)state;
    assert_int_equal(batch_bytes(0), 4096);
    assert_int_equal(batch_bytes(4096 - BATCH_HEAD_BYTES), 4096);
    assert_int_equal(batch_bytes(4096 - BATCH_HEAD_BYTES + 1), 8192);
    assert_true(segment_size_ok(WAL_SEGMENT_BYTES_MIN) && segment_size_ok(WAL_SEGMENT_BYTES_MAX));
    assert_false(segment_size_ok(WAL_SEGMENT_BYTES_MIN - 4096));
    assert_false(segment_size_ok(WAL_SEGMENT_BYTES_MIN + 512));
    assert_false(segment_size_ok(WAL_SEGMENT_BYTES_MAX + 4096));
    assert_int_equal(segment_seal_at(4 << 20), (4 << 20) - 4096);
    assert_int_equal(segment_entries_end(4 << 20), (4 << 20) - (64 << 10));
    assert_int_equal(segment_entries_end(WAL_SEGMENT_BYTES_MIN), WAL_SEGMENT_BYTES_MIN - 8192);
}

static void the_salt_depends_on_all_of_its_origin(void **state)
{
    uint8_t a[BATCH_HASH_BYTES] = {0}, b[BATCH_HASH_BYTES] = {1};

    (void)state;
    uint64_t salt = segment_salt(1, 2, a);
    assert_int_equal(segment_salt(1, 2, a), salt);
    assert_int_not_equal(segment_salt(2, 2, a), salt);
    assert_int_not_equal(segment_salt(1, 3, a), salt);
    assert_int_not_equal(segment_salt(1, 2, b), salt);
    assert_true(segment_salt_fits(1, 2, salt) && segment_salt_fits(1, 2, segment_salt(1, 2, b)));
    assert_false(segment_salt_fits(2, 2, salt) || segment_salt_fits(1, 3, salt));
    assert_false(segment_salt_fits(1, 2, salt ^ 1) || segment_salt_fits(1, 2, salt ^ 1ull << 63));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_decode_to_what_was_encoded),
        cmocka_unit_test(sizes_and_places),
        cmocka_unit_test(the_salt_depends_on_all_of_its_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
