// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_rig.c
/* Appends that are refused for want of space, descriptors or memory: nothing of them counts, all
 * before them stays, and the log goes on. */
#include "storage/wal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/batch.h"
#include "storage/record.h"
#include "tests/lib/disk_rig.h"

enum { BLOCK = BATCH_BLOCK_BYTES, SIZE = WAL_SEGMENT_BYTES_MIN };

/* A batch without entries. */
static int next_term(struct rig *g)
{
    uint64_t term = g->acked.term + 1;
    return vote(g, term, (uint16_t)(term % 3));
}

/* The bytes of segment 1, with all that waits in the cache. */
static const uint8_t *first_segment(struct memdisk *m)
{
    const struct disk *d = memdisk_disk(m);
    size_t size;

    int fd = d->open(d->ctx, RIG_SEG(1), DISK_WRITE);
    assert_true(fd >= 0);
    assert_int_equal(d->fdatasync(d->ctx, fd), 0);
    assert_int_equal(d->close(d->ctx, fd), 0);
    return memdisk_peek(m, RIG_SEG(1), &size);
}

/* The log on this disk is what was acknowledged, or also what was being written last. */
static void holds(struct rig *g, struct memdisk *m, const char *when, uint64_t n)
{
    struct wal_report rep;
    int rc = wal_check(memdisk_disk(m), RIG_DIR, &rig_options, &rep);
    if (rc != 0)
        fail_msg("%s, %llu: %d %s", when, (unsigned long long)n, rc, rep.message);
    const char *diff = model_differs_report(&g->acked, &rep);
    if (diff != NULL && model_differs_report(&g->next, &rep) != NULL)
        fail_msg("%s, %llu: %s differs; %s", when, (unsigned long long)n, diff, rep.message);
}

/* Whatever ends the process now, recovery finds the same. */
static void survives_here(struct rig *g, uint64_t n)
{
    static const char *const when[] = {"nothing kept", "all kept", "some kept", "killed"};
    for (int how = 0; how < 4; how++) {
        struct memdisk *c = memdisk_clone(g->m);
        memdisk_fail_call(c, 0, 0);
        memdisk_no_space(c, false);
        if (how == 3)
            memdisk_kill(c);
        else
            memdisk_power_cut(c, (enum memdisk_keep)how);
        holds(g, c, when[how], n);
        memdisk_free(c);
    }
}

/* ---- one refusal ---- */

static void what_was_refused_in_place_is_left_behind(void **state)
{
    struct rig *g = rig_new(1);
    static uint8_t before[SIZE];

    (void)state;
    reopen(g);
    assert_int_equal(put(g, 1, 100), 0);
    memdisk_fail_call(g->m, 1, EDQUOT);
    assert_int_equal(put(g, 3, 2000), -ENOSPC);
    assert_non_null(strstr(wal_error(g->w), "write " RIG_SEG(1) " at offset 8192"));
    same(g, false);
    survives_here(g, 0);
    memcpy(before, first_segment(g->m), SIZE);
    /* Not the same batch again: what was refused is forgotten. */
    assert_int_equal(next_term(g), 0);
    assert_int_equal(put(g, 2, 700), 0);
    assert_memory_equal(before, first_segment(g->m), SIZE - BLOCK);
    same(g, false);
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    assert_int_equal(g->rep.segments, 2);
    same(g, true);
    rig_free(g);
}

/* A refused seal may be whole on the medium. What were written in front of it would be lost. */
static void nothing_goes_before_a_seal_that_was_refused(void **state)
{
    unsigned whole = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig *g = rig_new(seed);
        char err[200];
        struct batch_head h;
        reopen(g);
        for (int i = 0; i < 5; i++)
            assert_int_equal(put(g, 1, 100), 0);
        assert_int_equal(wal_make_spare(memdisk_disk(g->m), RIG_DIR, 2, rig_options.segment_bytes,
                                        err, sizeof err),
                         0);
        wal_spare_made(g->w, 2);
        memdisk_no_space(g->m, true);
        assert_int_equal(put(g, 1, 3000), -ENOSPC);
        whole += batch_decode(first_segment(g->m) + SIZE - BLOCK, &h);
        /* There is a block for votes, and room on the disk would be again. */
        assert_int_equal(next_term(g), -ENOSPC);
        memdisk_no_space(g->m, false);
        assert_int_equal(next_term(g), 0);
        survives_here(g, seed);
        reopen(g);
        same(g, true);
        rig_free(g);
    }
    assert_true(whole > 5);
}

/* Everything that writes, in a fixed order. Each append that is refused is followed by another. */
static int life(struct rig *g, uint64_t n, bool *refused)
{
    uint64_t number;
    char err[200];
    int rc;

    for (int part = 0; part < 2; part++) {
        if ((rc = open_log(g)) != 0)
            return rc;
        for (int i = 0; i < 16; i++) {
            if (wal_wants_spare(g->w, &number) && i % 2 == 0) {
                rc = wal_make_spare(memdisk_disk(g->m), RIG_DIR, number, SIZE, err, sizeof err);
                if (rc == 0)
                    wal_spare_made(g->w, number);
                else if (!wal_refused(rc))
                    return rc;
                *refused |= rc != 0;
            }
            g->next = g->acked;
            model_step(&g->next, &g->b, &g->rng);
            rc = append(g);
            if (!wal_refused(rc) && rc != 0)
                return rc;
            if (rc == 0)
                continue;
            *refused = true;
            same(g, false);
            survives_here(g, n);
            if ((rc = i % 3 == 0 ? put(g, 1, 900) : next_term(g)) != 0)
                return rc;
            survives_here(g, n);
        }
    }
    return 0;
}

static void any_call_may_be_refused_once(void **state)
{
    static const int errors[] = {ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM};

    (void)state;
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
        unsigned gone_on = 0;
        bool passed = false;
        for (uint64_t n = 1; !passed; n++) {
            struct rig *g = rig_new(n);
            bool refused = false;
            g->rng = 77; /* the same batches each time, other parts of them left behind */
            memdisk_fail_call(g->m, n, errors[e]);
            uint64_t calls = memdisk_calls(g->m);
            int rc = life(g, n, &refused);
            passed = memdisk_calls(g->m) - calls < n;
            assert_false(passed && (rc != 0 || refused));
            gone_on += refused && rc == 0;
            memdisk_fail_call(g->m, 0, 0);
            if (rc == 0 && g->w != NULL)
                same(g, false);
            g->next = rc == 0 ? g->acked : g->next;
            survives_here(g, n);
            wal_close(g->w);
            g->w = NULL;
            memdisk_power_cut(g->m, MEMDISK_KEEP_RANDOM);
            holds(g, g->m, "at the end", n);
            rig_free(g);
        }
        if (gone_on < 40) /* else it tests little */
            fail_msg("went on %u times after %s", gone_on, strerror(errors[e]));
    }
}

/* ---- a disk that is full for long ---- */

static void a_disk_without_any_space_is_read_and_left_in_peace(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig *g = rig_new(seed);
        reopen(g);
        for (uint64_t i = 0; i < 1 + seed % 11; i++)
            assert_int_equal(put(g, 1, 100), 0);
        memdisk_no_space(g->m, true);
        assert_int_equal(next_term(g), -ENOSPC);
        struct model tried = g->next; /* the only one of which anything is written */
        for (int i = 0; i < 6; i++) {
            assert_int_equal(i % 2 == 0 ? put(g, 1, 2000) : next_term(g), -ENOSPC);
            same(g, false);
        }
        g->next = tried;
        survives_here(g, seed);
        /* A start is no worse: recovery has nothing to write, or can wait with it. */
        for (int i = 0; i < 3; i++) {
            wal_close(g->w);
            g->w = NULL;
            memdisk_kill(g->m);
            reopen(g);
            if (model_differs_report(&g->acked, &g->rep) != NULL)
                g->acked = tried; /* it was whole */
            same(g, true);
            assert_int_equal(next_term(g), -ENOSPC);
            tried = g->rep.verdict == WAL_TORN ? g->acked : g->next;
        }
        memdisk_no_space(g->m, false);
        assert_int_equal(put(g, 1, 100), 0);
        assert_int_equal(next_term(g), 0);
        reopen(g);
        assert_int_equal(g->rep.verdict, WAL_CLEAN);
        same(g, true);
        rig_free(g);
    }
}

static void a_torn_tail_on_a_full_disk_is_no_reason_not_to_start(void **state)
{
    unsigned torn = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rig *g = rig_new(seed);
        reopen(g);
        assert_int_equal(put(g, 2, 100), 0);
        memdisk_fail_call(g->m, 2, EIO); /* its fdatasync */
        assert_int_equal(put(g, 3, 2500), -EIO);
        wal_close(g->w);
        g->w = NULL;
        memdisk_power_cut(g->m, MEMDISK_KEEP_RANDOM);
        memdisk_limit(g->m, memdisk_used(g->m));
        for (int i = 0; i < 3; i++) {
            reopen(g);
            if (g->rep.verdict != WAL_TORN)
                break;
            torn++;
            same(g, true);
            assert_int_equal(put(g, 1, 100), -ENOSPC);
            assert_int_equal(next_term(g), -ENOSPC); /* no block here but the seal's */
            same(g, false);
        }
        if (g->rep.last_index != g->acked.last)
            g->acked = g->next;
        memdisk_limit(g->m, 0);
        assert_int_equal(put(g, 1, 100), 0);
        reopen(g);
        assert_int_equal(g->rep.verdict, WAL_CLEAN);
        same(g, true);
        rig_free(g);
    }
    assert_true(torn > 30);
}

/* ---- what recovery makes of blocks that were left behind ---- */

/* Any part of a refused batch is on the medium; then, perhaps, the segment is left. */
static void any_part_of_a_refused_batch_is_judged_right(void **state)
{
    struct rig *g = rig_new(1);
    static uint8_t whole[3 * BLOCK];
    static const uint8_t zeros[3 * BLOCK];
    size_t used = 0;

    (void)state;
    reopen(g);
    assert_int_equal(put(g, 2, 100), 0);
    assert_int_equal(next_term(g), 0);
    struct model acked = g->acked;
    struct memdisk *empty = memdisk_clone(g->m);
    assert_int_equal(put(g, 3, 2500), 0); /* what it would be, if nothing were refused */
    memcpy(whole, first_segment(g->m) + 3 * BLOCK, sizeof whole);
    for (size_t i = 0; i < sizeof whole; i++)
        used = whole[i] != 0 ? i + 1 : used;
    struct model all_of_it = g->acked;
    g->acked = acked;

    wal_close(g->w);
    memdisk_free(g->m);
    g->m = memdisk_clone(empty);
    g->w = NULL;
    reopen(g);
    memdisk_fail_call(g->m, 1, ENOSPC);
    assert_int_equal(put(g, 3, 2500), -ENOSPC);
    assert_int_equal(next_term(g), 0); /* in segment 2 */
    wal_close(g->w);
    g->w = NULL;
    struct model gone_on = g->acked;

    for (size_t len = 0; len <= sizeof whole; len += len < 400 || len + 200 > used ? 1 : 13) {
        /* Before it was left: a crash in the middle of a write. */
        memdisk_poke(empty, RIG_SEG(1), 3 * BLOCK, zeros, sizeof zeros);
        memdisk_poke(empty, RIG_SEG(1), 3 * BLOCK, whole, len);
        int rc = wal_check(memdisk_disk(empty), RIG_DIR, &rig_options, &g->rep);
        assert_int_equal(rc, 0);
        bool all = len >= used;
        assert_null(model_differs_report(all ? &all_of_it : &acked, &g->rep));
        assert_int_equal(g->rep.verdict, all || len == 0 ? WAL_CLEAN : WAL_TORN);
        /* After: it is not looked at, whatever is there. */
        memdisk_poke(g->m, RIG_SEG(1), 3 * BLOCK, zeros, sizeof zeros);
        memdisk_poke(g->m, RIG_SEG(1), 3 * BLOCK, whole, len);
        rc = wal_check(memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep);
        assert_int_equal(rc, 0);
        assert_null(model_differs_report(&gone_on, &g->rep));
        assert_int_equal(g->rep.verdict, WAL_CLEAN);
        if (len == sizeof whole)
            break;
    }
    /* All that counts is still guarded: each bit of the head, the batches and the seal. */
    for (size_t at = 0; at < SIZE; at += at % BLOCK < 400 ? 1 : BLOCK - at % BLOCK) {
        if (at >= 3 * BLOCK && at < SIZE - BLOCK)
            continue;
        uint8_t byte = first_segment(g->m)[at], bad = byte ^ 0x20;
        memdisk_poke(g->m, RIG_SEG(1), at, &bad, 1);
        assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep), -EBADMSG);
        memdisk_poke(g->m, RIG_SEG(1), at, &byte, 1);
    }
    memdisk_free(empty);
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_refused_in_place_is_left_behind),
        cmocka_unit_test(nothing_goes_before_a_seal_that_was_refused),
        cmocka_unit_test(any_call_may_be_refused_once),
        cmocka_unit_test(a_disk_without_any_space_is_read_and_left_in_peace),
        cmocka_unit_test(a_torn_tail_on_a_full_disk_is_no_reason_not_to_start),
        cmocka_unit_test(any_part_of_a_refused_batch_is_judged_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
