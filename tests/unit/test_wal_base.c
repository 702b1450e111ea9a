// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_rig.c HEAVY
/* Logs that do not begin at entry 1: dropping what a snapshot covers, recycled files, resets, and what
 * recovery makes of all that after a crash. */
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
#include "tests/lib/brief.h"
#include "tests/lib/disk_rig.h"

enum { SIZE = WAL_SEGMENT_BYTES_MIN, PER_SEGMENT = 5 /* batches of one block */ };

/* A snapshot that ends with an entry of the log is durable. */
static void snapshot(struct rig *g, uint64_t index)
{
    g->options.base = model_base(&g->acked, index);
    if (g->acked.commit < index)
        g->acked.commit = index;
}

/* A snapshot of other entries came from a peer: the log is to begin behind it. */
static struct wal_base strange(struct rig *g, uint64_t index)
{
    struct model *m = &g->next;
    *m = g->acked;
    m->base = m->last = m->commit = index;
    for (uint64_t i = 0; i < index; i++)
        m->e[i].members = i == index / 2; /* ours were of another history */
    m->e[index] = (struct model_entry){.term = m->term};
    memset(m->e[index].hash, (int)index, WAL_HASH_BYTES);
    return model_base(m, index);
}

static bool exists(struct rig *g, unsigned number)
{
    char path[64];
    size_t size;
    snprintf(path, sizeof path, RIG_DIR "/log/%016x.seg", number);
    return memdisk_peek(g->m, path, &size) != NULL;
}

static void fill_segments(struct rig *g, unsigned n)
{
    for (unsigned i = 0; i < n * PER_SEGMENT; i++)
        assert_int_equal(put(g, 1, 100), 0);
}

static int drop(struct rig *g, uint64_t keep_from)
{
    int rc = wal_drop(g->w, keep_from);
    while (rc == 0 && wal_drops(g->w))
        rc = wal_drop(g->w, keep_from);
    return rc;
}

static void what_a_snapshot_covers_is_dropped(void **state)
{
    struct rig *g = rig_new(1);
    (void)state;
    reopen(g);
    fill_segments(g, 10);
    assert_int_equal(wal_stats(g->w).segments, 10);
    assert_int_equal(wal_first(g->w), 1);
    snapshot(g, 46);
    assert_int_equal(drop(g, 45), 0); /* not entry 45: the first eight segments */
    g->acked.base = 40;
    same(g, false);
    struct wal_stats stats = wal_stats(g->w);
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.base, 40);
    assert_int_equal(stats.recycled, 2);
    assert_int_equal(stats.log_bytes, 2 * SIZE);
    /* 1 and 2 are the next ones, 3 and 4 are gone, 5 to 8 wait. */
    for (unsigned number = 1; number <= 13; number++)
        assert_int_equal(exists(g, number), number >= 5 && number <= 12);
    uint64_t wanted, bytes = stats.bytes_written;
    for (unsigned i = 0; i < 6 * PER_SEGMENT; i++) {
        assert_int_equal(put(g, 1, 100), 0);
        assert_true(!wal_wants_spare(g->w, &wanted) || i >= 5 * PER_SEGMENT);
    }
    stats = wal_stats(g->w);
    assert_int_equal(stats.recycled, 6);
    assert_int_equal(stats.bytes_written - bytes, 6 * (PER_SEGMENT + 2) * 4096); /* no zeros */
    same(g, false);
    snapshot(g, 80);
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    same(g, true);
    /* Nothing of it is the current segment's. */
    assert_int_equal(drop(g, UINT64_MAX), 0);
    g->acked.base = 75;
    same(g, false);
    rig_free(g);
}

static void a_reset_log_begins_behind_its_base(void **state)
{
    struct rig *g = rig_new(1);
    (void)state;
    reopen(g);
    fill_segments(g, 3);
    assert_int_equal(vote(g, 7, 2), 0);
    struct wal_base base = strange(g, 500);
    assert_int_equal(wal_reset(g->w, &base, 7, 2), 0);
    g->acked = g->next;
    same(g, false);
    g->options.base = base;
    reopen(g);
    same(g, true);
    assert_int_equal(put(g, 2, 100), 0);
    fill_segments(g, 2);
    same(g, false);
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    same(g, true);
    rig_free(g);
}

static void recovery_resets_what_ends_before_the_snapshot(void **state)
{
    struct rig *g = rig_new(1);
    (void)state;
    reopen(g);
    fill_segments(g, 2);
    assert_int_equal(vote(g, 7, 2), 0);
    g->options.base = strange(g, 500);
    struct wal_report rep;
    assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &g->options, &rep), 0);
    assert_null(model_differs_report(&g->next, &rep));
    assert_non_null(strstr(rep.message, "begins anew"));
    g->acked = g->next;
    reopen(g);
    same(g, true);
    fill_segments(g, 2);
    reopen(g);
    assert_string_equal(g->rep.message, "");
    same(g, true);
    rig_free(g);
}

/* ---- what recovery is given ---- */

static void must_be_refused(struct rig *g, const char *why)
{
    struct wal_report rep;
    uint64_t hash = memdisk_hash(g->m);
    wal_close(g->w);
    assert_int_equal(open_log((g->w = NULL, g)), -EBADMSG);
    assert_int_equal(g->rep.verdict, WAL_CORRUPT);
    if (strstr(g->rep.message, why) == NULL)
        fail_msg("%s", g->rep.message);
    assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &g->options, &rep), -EBADMSG);
    assert_int_equal(memdisk_hash(g->m), hash);
}

static void a_gap_behind_the_snapshot_is_refused(void **state)
{
    struct rig *g = rig_new(1);
    (void)state;
    reopen(g);
    fill_segments(g, 8);
    snapshot(g, 36);
    assert_int_equal(drop(g, 36), 0);
    assert_int_equal(drop(g, 36), 0); /* nothing more */
    fill_segments(g, 8);              /* what waits is gone with a new segment each */
    reopen(g);
    same(g, (g->acked.base = 35, true));
    snapshot(g, 35);
    reopen(g);
    same(g, true);
    snapshot(g, 34);
    must_be_refused(g, "begins behind entry 35, but the snapshot ends with entry 34: the entries");
    g->options.base = (struct wal_base){0};
    must_be_refused(g, "begins behind entry 35; segments or a snapshot are missing");
    rig_free(g);
}

static void an_entry_that_cannot_be_another_is_refused(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct rig *g = rig_new(1);
        reopen(g);
        fill_segments(g, 8);
        snapshot(g, 38);
        assert_int_equal(put(g, 1, 100), 0); /* this tells the log that 38 is committed */
        assert_int_equal(put(g, 1, 100), 0);
        if (kind == 0) /* the same term, not the same hash */
            g->options.base.index = 40;
        if (kind == 1) /* another term, of what is committed */
            g->options.base.term++;
        if (kind == 2) { /* or what the log begins behind */
            assert_int_equal(drop(g, 36), 0);
            fill_segments(g, 8);
            reopen(g);
            snapshot(g, 35);
            g->options.base.term++;
        }
        must_be_refused(g, "is not the one that the snapshot ends with");
        rig_free(g);
    }
}

static void another_entry_at_the_end_is_replaced(void **state)
{
    struct rig *g = rig_new(1);
    (void)state;
    reopen(g);
    fill_segments(g, 2);
    assert_int_equal(vote(g, 7, 2), 0);
    g->options.base = strange(g, 9); /* entries 9 and 10 were of term 1 */
    g->acked = g->next;
    reopen(g);
    same(g, true);
    rig_free(g);
}

/* A spare that was made while the log went on: its number is behind the log's beginning. */
static void a_spare_that_comes_late_is_no_part_of_the_log(void **state)
{
    struct rig *g = rig_new(1);
    char err[WAL_MESSAGE_BYTES];
    (void)state;
    reopen(g);
    fill_segments(g, 8);
    snapshot(g, 36);
    assert_int_equal(drop(g, 36), 0);
    fill_segments(g, 8);
    g->acked.base = 35;
    for (unsigned number = 1; number <= 7; number += 3) { /* 7: right before the first segment */
        assert_false(exists(g, number));
        assert_int_equal(wal_make_spare(memdisk_disk(g->m), RIG_DIR, number, SIZE, err, sizeof err),
                         0);
    }
    reopen(g);
    same(g, true);
    for (unsigned number = 1; number <= 7; number++)
        assert_false(exists(g, number));
    /* With anything in it, it is no such spare. (But the snapshot has what it may have been.) */
    assert_int_equal(wal_make_spare(memdisk_disk(g->m), RIG_DIR, 5, SIZE, err, sizeof err), 0);
    memdisk_poke(g->m, RIG_SEG(5), SIZE - 1, "x", 1);
    reopen(g);
    same(g, true);
    assert_non_null(strstr(g->rep.message, "5.seg: is empty, but there are later segments. The"));
    assert_false(exists(g, 5));
    rig_free(g);
}

/* A file system that renames in two steps was stopped between them. */
static void a_file_of_two_names_keeps_the_first(void **state)
{
    struct rig *g = rig_new(1);
    uint8_t copy[SIZE];
    char err[WAL_MESSAGE_BYTES];
    size_t size;
    (void)state;
    reopen(g);
    fill_segments(g, 4);
    assert_int_equal(wal_make_spare(memdisk_disk(g->m), RIG_DIR, 5, SIZE, err, sizeof err), 0);
    memcpy(copy, memdisk_peek(g->m, RIG_SEG(1), &size), SIZE);
    memdisk_poke(g->m, RIG_SEG(5), 0, copy, SIZE);
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    same(g, true);
    assert_true(exists(g, 1) && !exists(g, 5));
    rig_free(g);
}

/* ---- recycled files ---- */

/* Entries of one block or more each, until the current segment is a recycled one with `n` batches. */
static struct rig *rig_recycled(unsigned n)
{
    struct rig *g = rig_new(1);
    reopen(g);
    for (unsigned i = 0; i < 8; i++) { /* blocks with a head and without one */
        assert_int_equal(put(g, 3, 2500), 0);
        assert_int_equal(put(g, 1, 100), 0);
        assert_int_equal(put(g, 2, 2500), 0);
    }
    snapshot(g, g->acked.last - 1);
    assert_int_equal(drop(g, g->acked.last - 1), 0);
    fill_segments(g, 8);
    while (wal_stats(g->w).recycled < 4)
        assert_int_equal(put(g, 1, 100), 0);
    snapshot(g, g->acked.last - 1);
    assert_int_equal(drop(g, g->acked.last), 0);
    uint64_t segments = wal_stats(g->w).segments;
    while (wal_stats(g->w).segments == segments)
        assert_int_equal(put(g, 1, 100), 0);
    for (unsigned i = 1; i < n; i++)
        assert_int_equal(put(g, 1, 100), 0);
    return g;
}

static void a_clean_end_among_old_blocks_is_clean(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= PER_SEGMENT; n++) {
        struct rig *g = rig_recycled(n);
        for (int i = 0; i < 3; i++) {
            reopen(g);
            assert_int_equal(g->rep.verdict, WAL_CLEAN);
            g->acked.base = g->rep.base_index;
            same(g, true);
        }
        uint64_t segments = wal_stats(g->w).segments;
        assert_int_equal(put(g, 1, 100), 0);
        assert_int_equal(wal_stats(g->w).segments,
                         segments + (n == PER_SEGMENT)); /* goes on there */
        rig_free(g);
    }
}

struct live_log {
    struct rig *g;
    char path[16][64]; /* files, the live ones first */
    unsigned n_files, n_live;
    uint64_t base[16];        /* of each live file */
    size_t last_at, last_end; /* the last batch, in the last live file */
    struct model before;      /* without it */
};

static void find_files(struct live_log *l)
{
    size_t size;
    for (unsigned number = 1; number < 64; number++) {
        if (!exists(l->g, number))
            continue;
        char *path = l->path[l->n_files];
        snprintf(path, sizeof l->path[0], RIG_DIR "/log/%016x.seg", number);
        struct segment_head h;
        if (segment_decode(memdisk_peek(l->g->m, path, &size), &h) && h.number == number) {
            l->base[l->n_files] = h.base_index;
            l->n_live = l->n_files + 1;
        }
        assert_true(++l->n_files < 16);
    }
}

/* Is this a byte that the log needs? Blocks with the salt of their segment's head are, and the head. */
static bool needed(struct live_log *l, unsigned file, size_t at)
{
    struct segment_head h;
    struct batch_head b;
    size_t size;
    const uint8_t *p = memdisk_peek(l->g->m, l->path[file], &size);
    if (file >= l->n_live || !segment_decode(p, &h))
        return false;
    if (at < 4096 || (file + 1 < l->n_live && at >= SIZE - 4096))
        return true;
    for (size_t i = 4096; batch_decode(p + i, &b) && b.salt == h.salt;) {
        if (at >= i && at < i + batch_bytes(b.payload_len))
            return true;
        i += batch_bytes(b.payload_len);
    }
    return false;
}

static struct live_log recycled_log(void)
{
    struct live_log l = {.g = rig_recycled(2)};
    struct rig *g = l.g;
    l.before = g->acked;
    assert_int_equal(put(g, 2, 3000), 0); /* the last batch has two blocks */
    l.last_at = 3 * 4096;
    l.last_end = l.last_at + 2 * 4096;
    find_files(&l);
    wal_close(g->w);
    g->w = NULL;
    assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &g->options, &g->rep), 0);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    assert_int_equal(g->rep.last_index, g->acked.last);
    g->acked.base = l.before.base = g->rep.base_index;
    assert_true(l.n_live >= 3 && l.n_files > l.n_live);
    return l;
}

/* Does the log begin early enough without this file and those before it? */
static bool covered(const struct live_log *l, unsigned file)
{
    return file + 1 < l->n_live && l->base[file + 1] <= l->g->options.base.index;
}

/* Changes some bytes of one block, and changes them back. What the log needs is missed, but the last
 * batch may go, and what the snapshot has as well; what it does not need makes no difference. (True: it
 * was needed.) */
static bool judge(struct live_log *l, unsigned file, size_t at, const uint8_t *bad, size_t len)
{
    struct rig *g = l->g;
    const struct wal_report *rep = &g->rep;
    uint8_t kept[4096];
    size_t size;
    bool counts = needed(l, file, at);
    bool in_last = file + 1 == l->n_live && at >= l->last_at && at < l->last_end;
    memcpy(kept, memdisk_peek(g->m, l->path[file], &size) + at, len);
    if (memcmp(kept, bad, len) == 0)
        return counts;
    memdisk_poke(g->m, l->path[file], at, bad, len);
    int rc = wal_check(memdisk_disk(g->m), RIG_DIR, &g->options, &g->rep);
    bool heals = counts && covered(l, file);
    bool ok = rc == (counts && !in_last && !heals ? -EBADMSG : 0) ||
              (in_last && len > 1 && rc == -EBADMSG); /* an older batch in its place */
    uint64_t base = g->acked.base;
    if (heals) {
        g->acked.base = l->base[file + 1];
        ok &= strstr(rep->message, l->path[file]) != NULL &&
              strstr(rep->message, "damaged") != NULL;
    }
    if (rc == 0)
        ok &= model_differs_report(in_last ? &l->before : &g->acked, rep) == NULL;
    g->acked.base = base;
    if (ok && rc == 0 && len == 1) /* a whole block of something else can be gone without a trace */
        ok = rep->verdict == (in_last ? WAL_TORN : WAL_CLEAN);
    if (!ok)
        fail_msg("at %zu of %s: %d, verdict %d, %s", at, l->path[file], rc, rep->verdict,
                 rep->message);
    memdisk_poke(g->m, l->path[file], at, kept, len);
    return counts;
}

static void every_changed_byte_among_old_blocks_is_judged_right(void **state)
{
    struct live_log l = recycled_log();
    size_t size, n = 0;
    (void)state;
    for (unsigned file = 0; file < l.n_files; file++)
        for (size_t at = 0; at < SIZE;) {
            uint8_t byte = memdisk_peek(l.g->m, l.path[file], &size)[at];
            uint8_t bad = (uint8_t)(byte ^ 1u << at % 8);
            bool counts = judge(&l, file, at, &bad, 1);
            n += counts;
            at += !counts ? 37 : brief() ? 3 : 1;
        }
    assert_true(n > 15 * 4096 / (brief() ? 3 : 1));
    rig_free(l.g);
}

static void whole_blocks_among_old_ones_are_judged_right(void **state)
{
    struct live_log l = recycled_log();
    uint8_t bad[4096];
    size_t size;
    (void)state;
    for (unsigned file = 0; file < l.n_files; file++)
        for (size_t at = 0; at < SIZE; at += sizeof bad)
            for (unsigned kind = 0; kind < 10; kind++) {
                /* Zeros, ones, blocks of this file, and of a spare that has old ones. */
                const uint8_t *from = memdisk_peek(l.g->m, l.path[kind < 6 ? file : l.n_files - 1],
                                                   &size);
                if (kind < 2)
                    memset(bad, kind == 0 ? 0 : 0xff, sizeof bad);
                else
                    memcpy(bad, from + (kind - 2) % 8 * sizeof bad, sizeof bad);
                if (at > 0 && kind >= 2 && kind < 6 && !needed(&l, file, at))
                    continue; /* a second copy of a live block, where nothing is */
                (void)judge(&l, file, at, bad, sizeof bad);
            }
    rig_free(l.g);
}

/* Of a batch that was being written only some sectors came. */
static void a_cut_batch_among_old_blocks_is_left_behind(void **state)
{
    unsigned torn = 0, clean = 0;
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct rig *g = rig_recycled(1 + seed % 3);
        memdisk_seed(g->m, seed);
        memdisk_fail_call(g->m, 2, EIO);
        assert_int_equal(put(g, 2, 3000), -EIO);
        wal_close(g->w);
        memdisk_power_cut(g->m, MEMDISK_KEEP_RANDOM);
        g->w = NULL;
        reopen(g);
        g->acked.base = g->next.base = g->rep.base_index;
        g->rep.verdict == WAL_TORN ? torn++ : clean++;
        if (g->rep.last_index == g->next.last)
            g->acked = g->next;
        else if (g->rep.verdict == WAL_TORN)
            assert_int_equal(g->rep.cut_bytes, 2 * 4096);
        same(g, true);
        fill_segments(g, 2);
        reopen(g);
        assert_int_equal(g->rep.verdict, WAL_CLEAN);
        same(g, true);
        rig_free(g);
    }
    assert_true(torn > 5 && clean > 5);
}

/* A sealed segment has a next one. If that has lost its head and more, it was no spare. */
static void what_is_left_of_a_segment_is_no_spare(void **state)
{
    static const uint8_t none[2 * 4096];
    (void)state;
    for (int recycled = 0; recycled < 2; recycled++) {
        struct rig *g = recycled ? rig_recycled(PER_SEGMENT) : rig_new(1);
        reopen(g);
        if (!recycled)
            fill_segments(g, 1);
        assert_int_equal(put(g, 2, 3000), 0); /* alone in its segment, two blocks */
        struct live_log l = {.g = g};
        find_files(&l);
        for (size_t len = 4096; len <= sizeof none; len += 4096) {
            struct memdisk *kept = memdisk_clone(g->m);
            memdisk_poke(g->m, l.path[l.n_live - 1], 0, none, len);
            must_be_refused(g, "its head is damaged");
            memdisk_free(g->m);
            g->m = kept;
        }
        rig_free(g);
    }
}

/* Damage before the end of the snapshot costs nothing, whenever the power is cut while it is put aside. */
static void damage_that_the_snapshot_covers_is_put_aside(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 3; kind++)
        for (uint64_t n = 1; n < 80; n += 1 + n / 20) {
            struct live_log l = recycled_log();
            struct rig *g = l.g;
            char aside[64];
            size_t size;
            uint8_t bad[4096];
            unsigned file = l.n_live - 3;
            assert_true(covered(&l, file) && !covered(&l, file + 1));
            memset(bad, 0xa5, sizeof bad);
            if (kind < 2) /* its head, or a batch */
                memdisk_poke(g->m, l.path[file], kind * 8192, bad, sizeof bad);
            else
                memdisk_lose(g->m, l.path[file]);
            memdisk_fail_call(g->m, n, EIO);
            if (open_log(g) == 0)
                wal_close(g->w);
            memdisk_seed(g->m, n);
            memdisk_power_cut(g->m, (enum memdisk_keep)(n % 3));
            g->w = NULL;
            reopen(g);
            g->acked.base = l.base[file + 1];
            same(g, true);
            const uint8_t *p = NULL; /* by the first start, or by the second */
            for (unsigned start = 1; p == NULL && start <= 2; start++) {
                snprintf(aside, sizeof aside, RIG_DIR "/log/damaged/%u-%s", start,
                         strrchr(l.path[file], '/') + 1);
                p = memdisk_peek(g->m, aside, &size);
            }
            assert_true((p != NULL) == (kind < 2));
            if (p != NULL)
                assert_memory_equal(p + kind * 8192, bad, sizeof bad);
            fill_segments(g, 2);
            reopen(g);
            assert_string_equal(g->rep.message, "");
            same(g, true);
            rig_free(g);
        }
}

static void what_was_put_aside_before_stays(void **state)
{
    struct live_log l = recycled_log();
    struct rig *g = l.g;
    const struct disk *d = memdisk_disk(g->m);
    unsigned file = l.n_live - 3;
    char aside[64];
    size_t size;
    (void)state;
    snprintf(aside, sizeof aside, RIG_DIR "/log/damaged/7-%s", strrchr(l.path[file], '/') + 1);
    assert_int_equal(d->mkdir(d->ctx, RIG_DIR "/log/damaged"), 0);
    int fd = d->open(d->ctx, aside, DISK_CREATE);
    assert_int_equal(d->close(d->ctx, fd), 0);
    memdisk_poke(g->m, l.path[file], 0, "damage", 6);
    reopen(g);
    g->acked.base = l.base[file + 1];
    same(g, true);
    assert_null(memdisk_peek(g->m, l.path[file], &size));
    assert_non_null(memdisk_peek(g->m, aside, &size));
    assert_int_equal(size, 0);
    snprintf(aside, sizeof aside, RIG_DIR "/log/damaged/8-%s", strrchr(l.path[file], '/') + 1);
    assert_non_null(memdisk_peek(g->m, aside, &size));
    assert_int_equal(size, SIZE);
    rig_free(g);
}

/* ---- crashes ---- */

struct life {
    struct rig *g;
    uint64_t floor; /* no log begins before the last reset */
    unsigned drops, resets;
    bool again; /* what was refused is tried once more */
};

static int one_step(struct life *l)
{
    struct rig *g = l->g;
    g->next = g->acked;
    model_step(&g->next, &g->b, &g->rng);
    int rc = append(g);
    return l->again && wal_refused(rc) ? append(g) : rc;
}

static int one_drop(struct life *l)
{
    struct rig *g = l->g;
    uint64_t first = g->options.base.index + 1, last = g->acked.commit;
    if (first > last)
        return 0;
    snapshot(g, first + model_random(&g->rng) % (last + 1 - first));
    g->next = g->acked;
    uint64_t tail = model_random(&g->rng) % 4, before = g->acked.base;
    uint64_t keep = g->options.base.index + 1 > tail + 2 ? g->options.base.index + 1 - tail : 2;
    int rc = wal_drop(g->w, keep);
    if (l->again && wal_refused(rc))
        rc = wal_drop(g->w, keep);
    if (rc == 0 && keep % 2 == 0)
        rc = drop(g, keep);
    g->acked.base = g->next.base = wal_first(g->w) - 1;
    assert_true(g->acked.base < keep || g->acked.base == before);
    l->drops += rc == 0;
    return rc;
}

/* Behind the end of the log, or in place of an entry that was never committed. */
static int one_reset(struct life *l)
{
    struct rig *g = l->g;
    struct model *m = &g->acked;
    uint64_t index = m->last + 1 + model_random(&g->rng) % 5;
    if (m->last > m->commit && m->e[m->last].term < m->term)
        index = m->last;
    if (index + 100 > MODEL_ENTRIES_MAX || m->term == 0)
        return 0;
    g->options.base = strange(g, index);
    g->acked = g->next; /* whatever happens: the snapshot is durable */
    l->floor = index;
    int rc = wal_reset(g->w, &g->options.base, m->term, m->vote);
    if (l->again && wal_refused(rc))
        rc = wal_reset(g->w, &g->options.base, m->term, m->vote);
    l->resets += rc == 0;
    return rc;
}

static int one_spare(struct rig *g)
{
    char err[WAL_MESSAGE_BYTES];
    uint64_t number;
    if (!wal_wants_spare(g->w, &number))
        return 0;
    int rc = wal_make_spare(memdisk_disk(g->m), RIG_DIR, number, SIZE, err, sizeof err);
    if (rc == 0)
        wal_spare_made(g->w, number);
    return rc;
}

/* Appends in groups, and between them everything else. Returns when a call fails; 0 when none did. */
static int live(struct life *l, unsigned n)
{
    int rc = 0;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        uint64_t what = model_random(&l->g->rng) % 24;
        rc = what < 3    ? one_drop(l)
             : what == 3 ? one_reset(l)
             : what == 4 ? one_spare(l->g)
                         : one_step(l);
    }
    return rc;
}

/* Exactly what was acknowledged, or that and the batch that was in flight. */
static void survives(struct life *l, const char *when, uint64_t n)
{
    struct rig *g = l->g;
    g->w = NULL;
    int rc = open_log(g);
    if (rc != 0)
        fail_msg("%s %llu: %d %s", when, (unsigned long long)n, rc, g->rep.message);
    uint64_t base = g->rep.base_index;
    if (base < l->floor || base > g->options.base.index)
        fail_msg("%s %llu: begins behind %llu", when, (unsigned long long)n,
                 (unsigned long long)base);
    g->acked.base = g->next.base = base;
    const char *diff = model_differs(&g->acked, g->w, &g->rep);
    if (diff != NULL && model_differs(&g->next, g->w, &g->rep) == NULL) {
        g->acked = g->next;
        diff = NULL;
    }
    if (diff != NULL)
        fail_msg("%s %llu: %s differs; %s", when, (unsigned long long)n, diff, g->rep.message);
    g->next = g->acked;
}

static void random_lives_lose_nothing(void **state)
{
    unsigned drops = 0, resets = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct life l = {.g = rig_new(seed)};
        struct rig *g = l.g;
        reopen(g);
        for (int part = 0; part < 6; part++) {
            assert_int_equal(live(&l, 40), 0);
            same(g, false);
            memdisk_fail_call(g->m, 1 + model_random(&g->rng) % 12, EIO);
            (void)live(&l, 4);
            wal_close(g->w);
            memdisk_power_cut(g->m, (enum memdisk_keep)(model_random(&g->rng) % 3));
            /* And once more in the middle of recovery. */
            memdisk_fail_call(g->m, 1 + model_random(&g->rng) % 60, EIO);
            if (open_log((g->w = NULL, g)) == 0)
                wal_close(g->w);
            memdisk_power_cut(g->m, MEMDISK_KEEP_RANDOM);
            survives(&l, "seed", seed);
        }
        drops += l.drops;
        resets += l.resets;
        rig_free(g);
    }
    assert_true(drops > 1000 && resets > 300);
}

enum after { POWER_NONE, POWER_ALL, POWER_RANDOM, KILLED, GOES_ON, N_AFTER };

static void the_nth_call_fails_and_nothing_is_lost(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EMFILE};
    (void)state;
    for (size_t e = 0; e < 3; e++) {
        bool passed = false;
        uint64_t n = 0;
        while (!passed) {
            n++;
            for (int after = 0; after < N_AFTER && !passed; after++) {
                struct life l = {.g = rig_new(5), .again = after == GOES_ON && errors[e] == EMFILE};
                struct rig *g = l.g;
                reopen(g);
                memdisk_fail_call(g->m, n, errors[e]);
                uint64_t calls = memdisk_calls(g->m);
                int rc = live(&l, 90);
                passed = memdisk_calls(g->m) - calls < n;
                assert_true(!passed || rc == 0);
                if (passed)
                    assert_true(l.drops > 3 && l.resets > 1);
                if (l.again && rc == 0)
                    same(g, false);
                wal_close(g->w);
                if (after >= KILLED)
                    memdisk_kill(g->m); /* the page cache survives, and may lie */
                else
                    memdisk_power_cut(g->m, after == POWER_NONE  ? MEMDISK_KEEP_NONE
                                            : after == POWER_ALL ? MEMDISK_KEEP_ALL
                                                                 : MEMDISK_KEEP_RANDOM);
                survives(&l, "call", n);
                assert_int_equal(live(&l, (unsigned)(n % 30)), 0);
                wal_close(g->w);
                memdisk_power_cut(g->m, MEMDISK_KEEP_NONE);
                survives(&l, "again, call", n);
                rig_free(g);
            }
        }
        assert_true(n > 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_snapshot_covers_is_dropped),
        cmocka_unit_test(a_reset_log_begins_behind_its_base),
        cmocka_unit_test(recovery_resets_what_ends_before_the_snapshot),
        cmocka_unit_test(a_gap_behind_the_snapshot_is_refused),
        cmocka_unit_test(an_entry_that_cannot_be_another_is_refused),
        cmocka_unit_test(another_entry_at_the_end_is_replaced),
        cmocka_unit_test(a_spare_that_comes_late_is_no_part_of_the_log),
        cmocka_unit_test(a_file_of_two_names_keeps_the_first),
        cmocka_unit_test(a_clean_end_among_old_blocks_is_clean),
        cmocka_unit_test(every_changed_byte_among_old_blocks_is_judged_right),
        cmocka_unit_test(whole_blocks_among_old_ones_are_judged_right),
        cmocka_unit_test(a_cut_batch_among_old_blocks_is_left_behind),
        cmocka_unit_test(what_is_left_of_a_segment_is_no_spare),
        cmocka_unit_test(damage_that_the_snapshot_covers_is_put_aside),
        cmocka_unit_test(what_was_put_aside_before_stays),
        cmocka_unit_test(random_lives_lose_nothing),
        cmocka_unit_test(the_nth_call_fails_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
