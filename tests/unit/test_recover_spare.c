// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_past.c
/* Is a file behind the log's end a spare, or a segment that has lost its head? */
#include "storage/recover.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "storage/batch.h"
#include "tests/lib/disk_past.h"

enum { BLOCK = BATCH_BLOCK_BYTES };

/* The model of a log that begins anew behind entry 50. */
static struct wal_base reset_to_50(struct model *m)
{
    m->base = m->last = m->commit = 50;
    m->e[50] = (struct model_entry){.term = m->term, .hash = {5}};
    return model_base(m, 50);
}

/* Segment 2 begins: behind a full one, behind a torn tail, or with a reset. */
static void begin_second(struct rig *g, int way, struct wal_options *opts)
{
    static const uint8_t zeros[512];
    put(g, 1, 40, false);
    if (way == 0) {
        for (int i = 0; i < 4; i++)
            put(g, 1, 3000, false);
    } else if (way == 1) {
        put(g, 3, 2000, false);
        memdisk_poke(g->m, g->path[g->n], g->at[g->n] + BLOCK, zeros, sizeof zeros);
        memset(g->path[g->n--], 0, sizeof g->path[0]);
        reopen(g);
        assert_int_equal(g->rep.verdict, WAL_TORN);
    } else {
        struct model *m = &g->after[g->n];
        opts->base = reset_to_50(m);
        assert_int_equal(wal_reset(g->w, &opts->base, m->term, m->vote), 0);
    }
}

/* Of segment 1 its last batches are lost, too, in the end all; of segment 2 one block is left. */
static void last_batches_gone_as_well(const struct rig *g, int k, const struct wal_options *opts)
{
    static const uint8_t none[BLOCK];
    struct memdisk *m = memdisk_clone(g->m);
    struct wal_report rep;
    for (; k > 0; k--) {
        for (size_t at = g->at[k]; at < WAL_SEGMENT_BYTES_MIN; at += BLOCK)
            memdisk_poke(m, DIR SEG(1), at, none, BLOCK);
        assert_int_equal(wal_check(memdisk_disk(m), DIR, opts, &rep), -EBADMSG);
        assert_non_null(strstr(rep.message, SEG(2) ": its head is damaged, entries from "));
        assert_int_equal(rep.bad_first_index, g->after[k - 1].last + 1);
    }
    memdisk_free(m);
}

/* It has lost its head and first blocks, and the one before it its seal, if it had one: what is left of it
 * shows that it was no spare. */
static void a_segment_without_head_and_seal_is_no_spare(void **state)
{
    static const uint8_t none[BLOCK];
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct rig *g = rig_new();
        struct wal_options opts = options;
        begin_second(g, way, &opts);
        int k = g->n, n = k + 4;
        while (g->n < n)
            put(g, 1, 40, false);
        wal_close(g->w);
        g->w = NULL;
        assert_string_equal(g->path[k + 1], DIR SEG(2));
        memdisk_poke(g->m, DIR SEG(1), WAL_SEGMENT_BYTES_MIN - BLOCK, none, BLOCK);
        for (size_t at = 0; at < g->at[n]; at += BLOCK) {
            memdisk_poke(g->m, DIR SEG(2), at, none, BLOCK);
            assert_int_equal(wal_check(disk_of(g), DIR, &opts, &g->rep), -EBADMSG);
        }
        memdisk_poke(g->m, DIR SEG(2), g->at[n] + 100, "x", 1); /* not whole, but its salt is */
        assert_int_equal(wal_check(disk_of(g), DIR, &opts, &g->rep), -EBADMSG);
        assert_non_null(strstr(g->rep.message, SEG(2) ": its head is damaged, entries from "));
        assert_int_equal(g->rep.bad_first_index, way == 2 ? 2 : g->after[k].last + 1);
        assert_int_equal(g->rep.cut_bytes, 0);
        last_batches_gone_as_well(g, k, &opts);
        struct memdisk *damaged = memdisk_clone(g->m);
        opts.repair = true;
        assert_int_equal(wal_open(&g->w, disk_of(g), DIR, &opts, &g->rep), 0);
        assert_true(g->rep.doubt);
        assert_null(model_differs(&g->after[k], g->w, &g->rep));
        g->n = k;
        memset(g->path[k + 1], 0, sizeof g->path[0]);
        put(g, 1, 40, false);
        wal_close(g->w);
        assert_int_equal(wal_open(&g->w, disk_of(g), DIR, &opts, &g->rep), 0);
        assert_int_equal(g->rep.verdict, WAL_CLEAN);
        wal_close(g->w);
        g->w = NULL;
        memdisk_free(g->m);
        g->m = damaged;
        opts.repair = false;
        memdisk_poke(g->m, DIR SEG(2), g->at[n], none, BLOCK); /* no trace: the residue */
        assert_int_equal(wal_check(disk_of(g), DIR, &opts, &g->rep), 0);
        assert_null(model_differs_report(&g->after[k], &g->rep));
        rig_free(g);
    }
}

/* The salt of segment 3 follows from the head of segment 2, not from what it holds. */
static void nothing_but_its_head_is_left_of_the_segment_before(void **state)
{
    static const uint8_t none[BLOCK];
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct rig *g = rig_new();
        struct wal_options opts = options;
        while (strcmp(g->path[g->n], reset ? DIR SEG(2) : DIR SEG(3)) != 0)
            put(g, 1, 3000, false);
        struct model *m = &g->after[g->n];
        if (reset) {
            opts.base = reset_to_50(m);
            assert_int_equal(wal_reset(g->w, &opts.base, m->term, m->vote), 0);
            put(g, 1, 40, false);
        }
        put(g, 1, 40, false);
        wal_close(g->w);
        g->w = NULL;
        assert_string_equal(g->path[g->n], DIR SEG(3));
        for (size_t at = BLOCK; at < WAL_SEGMENT_BYTES_MIN; at += BLOCK)
            memdisk_poke(g->m, DIR SEG(2), at, none, BLOCK);
        for (size_t at = 0; at < 2 * BLOCK; at += BLOCK) /* the second batch is behind that */
            memdisk_poke(g->m, DIR SEG(3), at, none, BLOCK);
        assert_int_equal(wal_check(disk_of(g), DIR, &opts, &g->rep), -EBADMSG);
        assert_non_null(strstr(g->rep.message, SEG(3) ": its head is damaged, entries from "));
        rig_free(g);
    }
}

/* A repair makes segment 2 anew, behind a snapshot that ends later than all that is left of it. */
static void a_segment_of_a_repair_that_lost_its_head_is_no_spare(void **state)
{
    static const uint8_t none[BLOCK];
    struct wal_options opts = options;
    (void)state;
    struct rig *g = rig_new();
    for (int i = 0; i < 5; i++)
        put(g, 1, 3000, false);
    for (int i = 0; i < 3; i++)
        put(g, 1, 40, false);
    wal_close(g->w);
    assert_string_equal(g->path[g->n - 1], DIR SEG(2));
    memdisk_poke(g->m, DIR SEG(2), g->at[g->n - 1], none, BLOCK);
    opts.base = reset_to_50(&g->after[g->n]);
    opts.repair = true;
    assert_int_equal(wal_open(&g->w, disk_of(g), DIR, &opts, &g->rep), 0);
    assert_true(g->rep.doubt && g->rep.last_index == 50);
    for (int i = 0; i < 3; i++)
        put(g, 1, 40, false);
    assert_string_equal(g->path[g->n], DIR SEG(2));
    wal_close(g->w);
    g->w = NULL;
    memdisk_poke(g->m, DIR SEG(2), 60, "?", 1);
    memdisk_poke(g->m, DIR SEG(2), BLOCK, none, BLOCK);
    opts.repair = false;
    assert_int_equal(wal_check(disk_of(g), DIR, &opts, &g->rep), -EBADMSG);
    assert_non_null(strstr(g->rep.message, SEG(2) ": its head is damaged, entries from "));
    rig_free(g);
}

/* A client can make the bytes of a head, and a repair leaves heads behind its cut whose numbers come
 * again. In a spare they prove nothing: they have not the salt that the next segment would get. */
static void younger_heads_in_a_spare_are_no_segment(void **state)
{
    static const uint8_t none[BLOCK];
    struct wal_options opts = options;
    struct batch_head h = {.seq = UINT64_MAX, .term = UINT64_MAX, .salt = 7};
    uint8_t head[BATCH_HEAD_BYTES];
    (void)state;
    opts.repair = true;
    struct rig *g = rig_new();
    for (int i = 0; i < 4; i++)
        put(g, 1, 3000, false);
    put(g, 0, 0, false);
    put(g, 0, 0, false);
    wal_close(g->w);
    memdisk_poke(g->m, DIR SEG(1), 2 * BLOCK, none, BLOCK);
    assert_int_equal(wal_open(&g->w, disk_of(g), DIR, &opts, &g->rep), 0);
    assert_true(g->rep.doubt && g->rep.last_index == 1);
    assert_int_equal(wal_drop(g->w, 2), 0); /* segment 1 becomes number 3 */
    assert_int_equal(wal_stats(g->w).recycled, 1);
    wal_close(g->w);
    g->w = NULL;
    batch_encode(head, &h);
    memdisk_poke(g->m, DIR SEG(3), BLOCK, head, sizeof head);
    memdisk_poke(g->m, DIR SEG(3), 6 * BLOCK, head, sizeof head);
    opts.repair = false;
    opts.base = (struct wal_base){.index = 1, .term = g->rep.last_term};
    memcpy(opts.base.hash, g->rep.head, sizeof opts.base.hash);
    for (int headless = 0; headless < 2; headless++) {
        assert_int_equal(wal_check(disk_of(g), DIR, &opts, &g->rep), 0);
        assert_int_equal(g->rep.last_index, 1);
        memdisk_poke(g->m, DIR SEG(3), 0, none, BLOCK);
    }
    rig_free(g);
}

/* Behind the highest numbers there is none for the next segment's first batch: a start would take the log,
 * and the one after it would not find what was appended. */
static void a_log_that_would_run_out_of_numbers_is_refused(void **state)
{
    (void)state;
    for (uint64_t left = 0; left < 4; left++) {
        struct rig *g = rig_new();
        struct wal_options opts = options;
        struct segment_head h;
        size_t size;
        uint8_t block[BLOCK];
        put(g, 1, 40, false);
        opts.base = reset_to_50(&g->after[g->n]);
        assert_int_equal(wal_reset(g->w, &opts.base, g->after[1].term, g->after[1].vote), 0);
        wal_close(g->w);
        g->w = NULL;
        assert_true(segment_decode(memdisk_peek(g->m, DIR SEG(2), &size), &h));
        assert_int_equal(h.first_seq, 2);
        h.first_seq = UINT64_MAX - left;
        segment_encode(block, &h);
        memdisk_poke(g->m, DIR SEG(2), 0, block, BLOCK);
        batch_spoil(block, BLOCK, h.salt); /* a torn tail, which takes another number */
        memdisk_poke(g->m, DIR SEG(2), BLOCK, block, BLOCK);
        assert_int_equal(wal_check(disk_of(g), DIR, &opts, &g->rep), -EBADMSG);
        rig_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_without_head_and_seal_is_no_spare),
        cmocka_unit_test(nothing_but_its_head_is_left_of_the_segment_before),
        cmocka_unit_test(a_segment_of_a_repair_that_lost_its_head_is_no_spare),
        cmocka_unit_test(a_log_that_would_run_out_of_numbers_is_refused),
        cmocka_unit_test(younger_heads_in_a_spare_are_no_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
