// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_rig.c
/* The commit index in batch heads: it comes back after every kind of stop, never falls, and what it
 * covers is never truncated. And what is said of a tail that is dropped. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftd/base/bytes.h"
#include "storage/batch.h"
#include "storage/crc32c.h"
#include "storage/fold.h"
#include "storage/wal.h"
#include "tests/lib/disk_rig.h"

#define FIRST RIG_SEG(1)

static int setup(void **state)
{
    struct rig *g = rig_new(1);
    reopen(g);
    g->next.term = 1;
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* A batch of `entries`, made when `commit` was known. */
static int put_known(struct rig *g, int entries, uint64_t commit)
{
    model_begin(&g->next, &g->b);
    for (int i = 0; i < entries; i++)
        model_entry(&g->next, &g->b, 100, 1);
    g->next.commit = commit;
    model_end(&g->next, &g->b, 0);
    return wal_append(g->w, &g->b.batch);
}

static void it_comes_back_from_the_newest_whole_batch(void **state)
{
    struct rig *g = *state;
    assert_int_equal(put_known(g, 3, 0), 0);
    reopen(g);
    assert_int_equal(g->rep.commit, 0);
    assert_int_equal(put_known(g, 2, 4), 0); /* of what the batch itself brings, too */
    reopen(g);
    assert_int_equal(g->rep.commit, 4);
    model_begin(&g->next, &g->b);
    g->next.commit = 5;
    model_end(&g->next, &g->b, 0);
    g->b.batch.idle = true;
    assert_int_equal(wal_append(g->w, &g->b.batch), 0);
    reopen(g);
    assert_int_equal(g->rep.commit, 5);
}

static void it_survives_a_change_of_segments(void **state)
{
    struct rig *g = *state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(put_known(g, 10, g->next.last), 0);
    assert_null(model_differs(&g->next, g->w, NULL));
    reopen(g);
    assert_true(g->rep.segments > 2);
    assert_int_equal(g->rep.commit, 190);
    assert_null(model_differs(&g->next, g->w, &g->rep));
}

/* With a torn batch goes what it said, and the seal that leaves it behind repeats the rest. */
static void a_torn_batch_takes_its_commit_index_along(void **state)
{
    struct rig *g = *state;
    uint8_t bad = 0xee;
    assert_int_equal(put_known(g, 3, 1), 0);
    assert_int_equal(put_known(g, 3, 6), 0);
    memdisk_poke(g->m, FIRST, 2 * BATCH_BLOCK_BYTES + BATCH_HEAD_BYTES, &bad, 1);
    for (int i = 0; i < 2; i++) {
        reopen(g);
        assert_int_equal(g->rep.verdict, i == 0 ? WAL_TORN : WAL_CLEAN);
        assert_int_equal(g->rep.last_index, 3);
        assert_int_equal(g->rep.commit, 1);
    }
}

/* Of a last write nobody can know whether it had been acknowledged, so the message does not say. */
static void the_message_of_a_torn_tail_claims_nothing(void **state)
{
    static const char begin[] = FIRST
        ": the last write, 4096 bytes at offset 8192, is damaged or was cut: ";
    static const struct {
        int entries;
        uint32_t at; /* in the batch, where it is damaged */
        const char *what;
    } cases[] = {
        {0, BATCH_HEAD_BYTES,
         "the term or vote in it is dropped; if the disk had confirmed it, this node may have "
         "given a vote that it forgets now"},
        {2, BATCH_HEAD_BYTES,
         "entries 3 to 4 are dropped; if this node had acknowledged them, the leader will say so, "
         "but in a cluster of one nobody else has them"},
        {2, 0,
         "entries from 3 on, if any, are dropped; if this node had acknowledged them, the leader "
         "will say so, but in a cluster of one nobody else has them"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *g;
        uint8_t bad = 0xee;
        if (i > 0) {
            (void)teardown(state);
            (void)setup(state);
        }
        g = *state;
        assert_int_equal(put_known(g, 2, 0), 0);
        assert_int_equal(put_known(g, cases[i].entries, 0), 0);
        memdisk_poke(g->m, FIRST, 2 * BATCH_BLOCK_BYTES + cases[i].at, &bad, 1);
        assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep), 0);
        assert_memory_equal(g->rep.message, begin, sizeof begin - 1);
        assert_string_equal(g->rep.message + sizeof begin - 1, cases[i].what);
    }
}

/* Gives the second batch of the first segment another head, with a right checksum. */
static void change(struct rig *g, uint16_t flags, uint64_t truncate_to, uint64_t commit)
{
    size_t size;
    struct batch_head h;
    uint8_t buf[BATCH_HEAD_BYTES];
    const uint8_t *p = memdisk_peek(g->m, FIRST, &size);
    assert_true(batch_decode(p + 2 * BATCH_BLOCK_BYTES, &h));
    h.flags = flags;
    h.truncate_to = truncate_to;
    h.commit = commit;
    batch_encode(buf, &h);
    memdisk_poke(g->m, FIRST, 2 * BATCH_BLOCK_BYTES, buf, sizeof buf);
}

static void one_that_falls_or_is_cut_below_is_refused(void **state)
{
    static const struct {
        uint16_t flags;
        uint64_t truncate_to, commit;
    } cases[] = {
        {0, 0, 1}, /* less than before */
        {0, 0, 4}, /* more than the log holds */
    };
    struct rig *g = *state;
    assert_int_equal(put_known(g, 3, 2), 0);
    assert_int_equal(put_known(g, 0, 2), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        change(g, cases[i].flags, cases[i].truncate_to, cases[i].commit);
        assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep), -EBADMSG);
        assert_non_null(strstr(g->rep.message, "contradicts the ones before it"));
    }
    change(g, 0, 0, 3);
    assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep), 0);
    assert_int_equal(g->rep.commit, 3);
}

static void no_batch_replaces_what_was_committed(void **state)
{
    static const uint8_t name[BATCH_HASH_BYTES];
    struct batch_head h = {.seq = 1, .term = 1, .first_index = 1, .last_index = 4, .last_term = 1};
    struct fold f;
    (void)state;
    fold_init(&f, 1, &(struct segment_head){.first_seq = 1});
    assert_int_equal(fold_reserve(&f), 0);
    fold_segment(&f, 1, WAL_SEGMENT_BYTES_MIN);
    h.commit = 2;
    fold_batch(&f, &h, name, BATCH_BLOCK_BYTES);
    for (uint64_t to = 0; to <= 4; to++) {
        h = (struct batch_head){.flags = BATCH_TRUNC,
                                .seq = 2,
                                .term = 2,
                                .first_index = to + 1,
                                .last_index = 5,
                                .last_term = 2,
                                .truncate_to = to,
                                .commit = 3};
        assert_int_equal(fold_fits(&f, &h), to >= 2);
    }
    fold_free(&f);
}

static void another_format_is_told_by_its_number(void **state)
{
    struct rig *g = *state;
    uint8_t block[BATCH_BLOCK_BYTES];
    size_t size;
    assert_int_equal(put_known(g, 1, 0), 0);
    memcpy(block, memdisk_peek(g->m, FIRST, &size), sizeof block);
    put_u16(block + 8, BATCH_FORMAT_VERSION - 1);
    put_u32(block, crc32c(0, block + 4, sizeof block - 4));
    memdisk_poke(g->m, FIRST, 0, block, sizeof block);
    uint64_t hash = memdisk_hash(g->m);
    wal_close(g->w);
    assert_int_equal(wal_open(&g->w, memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep), -EBADMSG);
    assert_string_equal(g->rep.message,
                        FIRST ": is of log format 5, this raftd reads and writes format 6 only");
    assert_int_equal(memdisk_hash(g->m), hash);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_comes_back_from_the_newest_whole_batch),
        TEST(it_survives_a_change_of_segments),
        TEST(a_torn_batch_takes_its_commit_index_along),
        TEST(the_message_of_a_torn_tail_claims_nothing),
        TEST(one_that_falls_or_is_cut_below_is_refused),
        TEST(no_batch_replaces_what_was_committed),
        TEST(another_format_is_told_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
