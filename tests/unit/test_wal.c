// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_rig.c
/* Appending, reading, switching segments, full disks, failing calls and power cuts. What recovery
 * makes of damage is in test_recover.c. */
#include "storage/wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "storage/batch.h"
#include "storage/record.h"
#include "tests/lib/disk_rig.h"

static int step(struct rig *g)
{
    g->next = g->acked;
    model_step(&g->next, &g->b, &g->rng);
    return append(g);
}

/* ---- appending and reading ---- */

static void a_new_log_is_empty(void **state)
{
    struct rig *g = rig_new(1);

    (void)state;
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    assert_int_equal(g->rep.last_index, 0);
    assert_int_equal(g->rep.segments, 1);
    same(g, true);
    reopen(g);
    same(g, true);
    rig_free(g);
}

static void an_append_is_one_write_and_one_sync(void **state)
{
    struct rig *g = rig_new(1);

    (void)state;
    reopen(g);
    struct wal_stats before = wal_stats(g->w);
    uint64_t calls = memdisk_calls(g->m);
    assert_int_equal(put(g, 3, 100), 0);
    assert_int_equal(memdisk_calls(g->m) - calls, 2);
    struct wal_stats after = wal_stats(g->w);
    assert_int_equal(after.fsyncs - before.fsyncs, 1);
    assert_int_equal(after.batches - before.batches, 1);
    assert_int_equal(after.bytes_written - before.bytes_written, 4096);
    rig_free(g);
}

static void random_histories_read_back_at_every_moment(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct rig *g = rig_new(seed);
        reopen(g);
        for (int i = 0; i < 120; i++) {
            assert_int_equal(step(g), 0);
            if (i % 7 == 0)
                same(g, false);
            if (i % 31 == 0) {
                reopen(g);
                assert_int_equal(g->rep.verdict, WAL_CLEAN);
                same(g, true);
            }
        }
        same(g, false);
        reopen(g);
        same(g, true);
        rig_free(g);
    }
}

static void overwritten_entries_never_live_again(void **state)
{
    struct rig *g = rig_new(1);

    (void)state;
    reopen(g);
    for (int i = 0; i < 10; i++)
        assert_int_equal(put(g, 2, 300), 0);
    /* Entries 11 to 20 die, then 6 and later die before anything was written behind 10. */
    const uint64_t to[] = {10, 5};
    for (int i = 0; i < 2; i++) {
        g->next = g->acked;
        model_begin(&g->next, &g->b);
        g->next.term++;
        g->next.vote = 0;
        model_truncate(&g->next, &g->b, to[i]);
        model_end(&g->next, &g->b, 0);
        assert_int_equal(append(g), 0);
        same(g, false);
        assert_int_equal(wal_read(g->w, &(struct wal_pos){to[i] + 1, 0}, UINT64_MAX, NULL, 0), 0);
    }
    reopen(g);
    same(g, true);
    /* New ones in their place, fewer than before: the rest stays dead. */
    assert_int_equal(put(g, 2, 10), 0);
    same(g, false);
    assert_int_equal(g->acked.last, 7);
    reopen(g);
    same(g, true);
    /* Everything, down to the first entry. */
    g->next = g->acked;
    model_begin(&g->next, &g->b);
    g->next.term++;
    model_truncate(&g->next, &g->b, 0);
    model_entry(&g->next, &g->b, 5, 9);
    model_end(&g->next, &g->b, 0);
    assert_int_equal(append(g), 0);
    same(g, false);
    reopen(g);
    same(g, true);
    rig_free(g);
}

static void several_readers_go_on_where_they_were(void **state)
{
    enum { READERS = 20, CAP = 4000 };
    struct rig *g = rig_new(5);
    struct wal_pos at[READERS];
    uint8_t *buf = malloc(CAP);

    (void)state;
    assert_non_null(buf);
    reopen(g);
    for (int i = 0; i < 60; i++)
        assert_int_equal(put(g, 4, 500), 0);
    for (uint64_t r = 0; r < READERS; r++)
        at[r] = (struct wal_pos){.index = 1 + r * 7};
    for (int round = 0; round < 200; round++) {
        uint64_t r = model_random(&g->rng) % READERS, from = at[r].index;
        ssize_t n = wal_read(g->w, &at[r], UINT64_MAX, buf, CAP);
        if (from > g->acked.last) {
            assert_int_equal(n, 0);
            at[r].index = 1;
            continue;
        }
        struct record rec;
        size_t size;
        assert_true(n > 0);
        assert_int_equal(record_decode(buf, (size_t)n, &rec, &size), RECORD_OK);
        assert_int_equal(rec.index, from);
        uint64_t end = from + CAP / record_size(500);
        assert_int_equal(at[r].index, end <= g->acked.last ? end : g->acked.last + 1);
    }
    /* A reader that goes on does not look at what it has behind it: head and records, no more. */
    struct wal_pos pos = {.index = 101};
    assert_true(wal_read(g->w, &pos, UINT64_MAX, buf, 1200) > 0);
    uint64_t calls = memdisk_calls(g->m);
    assert_true(wal_read(g->w, &pos, UINT64_MAX, buf, 600) > 0);
    assert_true(memdisk_calls(g->m) - calls <= 5);
    free(buf);
    rig_free(g);
}

/* However the buffers are cut, and wherever the end is set, the parts are the same bytes. */
static void records_larger_than_the_buffer_come_in_parts(void **state)
{
    enum { ENTRIES = 40, MORE = 4096 };
    struct rig *g = rig_new(5);
    uint8_t *all = malloc(1 << 17), *parts = malloc(1 << 17);
    size_t at[ENTRIES + 2] = {0};

    (void)state;
    assert_true(all != NULL && parts != NULL);
    reopen(g);
    for (unsigned i = 0; i < ENTRIES / 4; i++)
        assert_int_equal(put(g, 4, 1 + i * i * 20), 0);
    struct wal_pos pos = {.index = 1};
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        ssize_t n = wal_read(g->w, &pos, i, all + at[i], RECORD_MAX_BYTES);
        assert_true(n > 0 && pos.index == i + 1 && pos.skip == 0);
        at[i + 1] = at[i] + (size_t)n;
    }
    for (int round = 0; round < 300; round++) {
        uint64_t first = 1 + model_random(&g->rng) % ENTRIES;
        uint64_t last = first + model_random(&g->rng) % (ENTRIES + 1 - first);
        size_t got = 0, most = 1 + model_random(&g->rng) % MORE;
        pos = (struct wal_pos){.index = first};
        for (ssize_t n = 1; n > 0; got += (size_t)n) {
            size_t cap = 1 + model_random(&g->rng) % most;
            uint8_t *buf = malloc(cap); /* exact, for the sanitizer */
            assert_non_null(buf);
            n = wal_read(g->w, &pos, last, buf, cap);
            assert_true(n >= 0 && (size_t)n <= cap);
            memcpy(parts + got, buf, (size_t)n);
            free(buf);
            assert_int_equal(at[first] + got + (size_t)n, at[pos.index] + pos.skip);
        }
        assert_int_equal(pos.index, last + 1);
        assert_int_equal(got, at[last + 1] - at[first]);
        assert_memory_equal(parts, all + at[first], got);
    }
    free(all);
    free(parts);
    rig_free(g);
}

/* Of a damaged record not even the part in front of the damage is delivered. */
static void a_part_is_checked_as_part_of_the_whole(void **state)
{
    struct rig *g = rig_new(5);
    uint8_t buf[600], bad = 0x55;
    struct wal_pos pos = {.index = 1};
    const char *file = RIG_SEG(1);

    (void)state;
    reopen(g);
    assert_int_equal(put(g, 1, 2000), 0);
    assert_int_equal(wal_read(g->w, &pos, 1, buf, sizeof buf), sizeof buf);
    memdisk_poke(g->m, file, 4096 + 128 + record_size(2000) - 100, &bad, 1);
    assert_int_equal(wal_read(g->w, &pos, 1, buf, sizeof buf), sizeof buf);
    assert_int_equal(pos.index, 1);
    assert_int_equal(pos.skip, 2 * sizeof buf);
    pos.skip = 0;
    assert_int_equal(wal_read(g->w, &pos, 1, buf, sizeof buf), -EBADMSG);
    assert_non_null(strstr(wal_error(g->w), "0000000000000001.seg"));
    assert_int_equal(pos.skip, 0);
    pos.skip = (uint32_t)record_size(2000); /* no such byte */
    assert_int_equal(wal_read(g->w, &pos, 1, buf, sizeof buf), -EBADMSG);
    rig_free(g);
}

static void the_largest_record_goes_through(void **state)
{
    struct wal_options big = {.storage_id = 1};
    struct wal_report rep;
    struct wal *w;
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    uint8_t *rec = malloc(RECORD_MAX_BYTES), *back = malloc(RECORD_MAX_BYTES);
    uint8_t zero[16] = {0};
    char err[200];

    (void)state;
    assert_true(rec != NULL && back != NULL);
    assert_true(wal_batch_max_bytes(0) >= RECORD_MAX_BYTES);
    assert_int_equal(wal_create(d, "/", big.storage_id, 0, err, sizeof err), 0);
    assert_int_equal(wal_open(&w, d, "/", &big, &rep), 0);
    memset(rec, 7, RECORD_MAX_BYTES);
    size_t size = record_seal(rec, 1, 1, 0, RECORD_COMMAND, zero, RECORD_DATA_MAX_BYTES);
    struct wal_batch b = {.term = 1, .first_index = 1, .last_index = 1, .last_term = 1};
    b.bytes[0] = (struct iovec){rec, size};
    b.bytes_n = 1;
    record_hash(rec, size, b.head);
    assert_int_equal(wal_append(w, &b), 0);
    wal_close(w);
    assert_int_equal(wal_open(&w, d, "/", &big, &rep), 0);
    assert_int_equal(wal_read(w, &(struct wal_pos){1, 0}, 1, back, RECORD_MAX_BYTES), size);
    assert_memory_equal(rec, back, size);
    wal_close(w);
    memdisk_free(m);
    free(rec);
    free(back);
}

static void too_large_a_batch_is_refused_and_harmless(void **state)
{
    struct rig *g = rig_new(1);
    size_t most = wal_batch_max_bytes(rig_options.segment_bytes);
    uint8_t *big = calloc(1, most + 8);

    (void)state;
    assert_non_null(big);
    reopen(g);
    struct wal_batch b = {.term = 1, .first_index = 1, .last_index = 1, .last_term = 1};
    b.bytes[0] = (struct iovec){big, most + 8};
    b.bytes_n = 1;
    assert_int_equal(wal_append(g->w, &b), -EMSGSIZE);
    assert_int_equal(put(g, 1, 10), 0);
    /* Exactly the most fits, in a segment of its own. */
    assert_int_equal(put(g, 4, MODEL_DATA_MAX), 0);
    free(big);
    reopen(g);
    same(g, true);
    rig_free(g);
}

static void damage_is_noticed_when_reading(void **state)
{
    struct rig *g = rig_new(1);
    uint8_t buf[4096], bad;
    size_t size;

    (void)state;
    reopen(g);
    assert_int_equal(put(g, 3, 100), 0);
    const uint8_t *file = memdisk_peek(g->m, RIG_SEG(1), &size);
    for (size_t at = 4096; at < 4096 + 128 + 3 * record_size(100); at++) {
        bad = file[at] ^ 0x10;
        memdisk_poke(g->m, RIG_SEG(1), at, &bad, 1);
        ssize_t n = wal_read(g->w, &(struct wal_pos){1, 0}, UINT64_MAX, buf, sizeof buf);
        assert_int_equal(n, -EBADMSG);
        assert_non_null(strstr(wal_error(g->w), "0000000000000001.seg"));
        bad ^= 0x10;
        memdisk_poke(g->m, RIG_SEG(1), at, &bad, 1);
    }
    same(g, false);
    rig_free(g);
}

/* ---- segments ---- */

static void a_spare_is_wanted_from_half_on_and_then_used(void **state)
{
    struct rig *g = rig_new(1);
    uint64_t number;
    char err[200];

    (void)state;
    reopen(g);
    assert_false(wal_wants_spare(g->w, &number));
    while (!wal_wants_spare(g->w, &number))
        assert_int_equal(put(g, 1, 100), 0);
    assert_int_equal(number, 2);
    assert_int_equal(g->acked.last, 3); /* blocks 1 to 3 of 8 */
    assert_int_equal(wal_make_spare(memdisk_disk(g->m), RIG_DIR, number, rig_options.segment_bytes,
                                    err, sizeof err),
                     0);
    wal_spare_made(g->w, number);
    assert_false(wal_wants_spare(g->w, &number));
    assert_int_equal(wal_stats(g->w).log_bytes, rig_options.segment_bytes);
    uint64_t calls = 0;
    while (g->acked.last < 6) {
        calls = memdisk_calls(g->m);
        assert_int_equal(put(g, 1, 100), 0);
    }
    assert_int_equal(wal_stats(g->w).log_bytes, 2 * rig_options.segment_bytes);
    /* seal: write, sync, close; next: open, size, read, head: write, sync; batch: write, sync */
    assert_int_equal(memdisk_calls(g->m) - calls, 10);
    wal_spare_made(g->w, 2); /* late news about a segment that is in use */
    same(g, false);
    reopen(g);
    assert_int_equal(wal_stats(g->w).log_bytes, 2 * rig_options.segment_bytes);
    assert_int_equal(g->rep.segments, 2);
    same(g, true);
    rig_free(g);
}

static void a_slow_spare_maker_does_not_replace_a_segment_in_use(void **state)
{
    struct rig *g = rig_new(1);
    char err[200];

    (void)state;
    reopen(g);
    for (int i = 0; i < 8; i++)
        assert_int_equal(put(g, 1, 100), 0); /* the log thread made segment 2 itself */
    assert_int_equal(
        wal_make_spare(memdisk_disk(g->m), RIG_DIR, 2, rig_options.segment_bytes, err, sizeof err),
        0);
    wal_spare_made(g->w, 2);
    assert_int_equal(put(g, 1, 100), 0);
    reopen(g);
    same(g, true);
    rig_free(g);
}

static void a_spare_found_at_start_is_used(void **state)
{
    struct rig *g = rig_new(1);
    char err[200];
    uint64_t number;

    (void)state;
    reopen(g);
    for (int i = 0; i < 4; i++)
        assert_int_equal(put(g, 1, 100), 0);
    assert_int_equal(
        wal_make_spare(memdisk_disk(g->m), RIG_DIR, 2, rig_options.segment_bytes, err, sizeof err),
        0);
    reopen(g);
    assert_int_equal(g->rep.segments, 2);
    assert_false(wal_wants_spare(g->w, &number));
    for (int i = 0; i < 4; i++)
        assert_int_equal(put(g, 1, 100), 0);
    reopen(g);
    same(g, true);
    rig_free(g);
}

static void segment_size_may_change_between_starts(void **state)
{
    struct rig *g = rig_new(3);
    struct wal_options o = rig_options;

    (void)state;
    reopen(g);
    for (uint32_t round = 0; round < 6; round++) {
        o.segment_bytes = WAL_SEGMENT_BYTES_MIN * (round % 3 + 1);
        wal_close(g->w);
        assert_int_equal(wal_open(&g->w, memdisk_disk(g->m), RIG_DIR, &o, &g->rep), 0);
        same(g, true);
        for (int i = 0; i < 20; i++)
            assert_int_equal(step(g), 0);
    }
    reopen(g);
    same(g, true);
    rig_free(g);
}

/* ---- full disk ---- */

static void a_full_disk_refuses_entries_and_still_votes(void **state)
{
    struct rig *g = rig_new(1);
    struct memdisk *m = g->m;
    char err[200] = "";
    uint64_t number;

    (void)state;
    reopen(g);
    memdisk_limit(m, WAL_SEGMENT_BYTES_MIN + 4096);
    int rc = 0;
    while ((rc = put(g, 1, 3000)) == 0)
        continue;
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(g->acked.last, 5);
    same(g, false);
    assert_int_equal(put(g, 1, 10), -ENOSPC);
    /* Nothing is left of the attempt, and a spare cannot be made either. */
    assert_true(wal_wants_spare(g->w, &number));
    assert_int_equal(wal_make_spare(memdisk_disk(m), RIG_DIR, number, rig_options.segment_bytes,
                                    err, sizeof err),
                     -ENOSPC);
    assert_true(strlen(err) > 0);
    /* The vote has its place kept. */
    assert_int_equal(vote(g, 7, 3), 0);
    assert_int_equal(vote(g, 8, 3), -ENOSPC); /* and the smallest segment keeps one */
    reopen(g);
    same(g, true);
    assert_int_equal(g->rep.vote, 3);
    /* Space again: service again, in the same process. */
    memdisk_limit(m, 0);
    assert_int_equal(put(g, 1, 3000), 0);
    assert_int_equal(vote(g, 9, 2), 0);
    reopen(g);
    same(g, true);
    rig_free(g);
}

/* What fdatasync has lost, nobody knows. */
static void no_space_told_by_a_sync_is_fatal(void **state)
{
    struct rig *g = rig_new(1);

    (void)state;
    reopen(g);
    assert_int_equal(put(g, 1, 100), 0);
    memdisk_fail_call(g->m, 2, ENOSPC);
    assert_int_equal(put(g, 1, 100), -EIO);
    assert_non_null(strstr(wal_error(g->w), "fdatasync " RIG_SEG(1) " at offset 8192"));
    assert_int_equal(put(g, 1, 100), -EIO); /* for good */
    rig_free(g);
}

/* ---- crashes ---- */

/* Open what a crash left and compare: exactly what was acknowledged, or that and the batch that was
 * in flight. Then go on with it for a while. */
static void survives(struct rig *g, const char *when, uint64_t n)
{
    g->w = NULL;
    int rc = wal_open(&g->w, memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep);
    if (rc != 0)
        fail_msg("%s %llu: %d %s", when, (unsigned long long)n, rc, g->rep.message);
    const char *diff = model_differs(&g->acked, g->w, &g->rep);
    if (diff != NULL && model_differs(&g->next, g->w, &g->rep) == NULL) {
        g->acked = g->next;
        diff = NULL;
    }
    if (diff != NULL)
        fail_msg("%s %llu: %s differs; %s", when, (unsigned long long)n, diff, g->rep.message);
}

static void random_power_cuts_lose_nothing_acknowledged(void **state)
{
    unsigned torn = 0, clean = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct rig *g = rig_new(seed);
        reopen(g);
        for (int life = 0; life < 3; life++) {
            uint64_t steps = model_random(&g->rng) % 25;
            for (uint64_t i = 0; i < steps; i++)
                assert_int_equal(step(g), 0);
            /* The cut comes inside an append: at its write, its sync, or a call of a switch. */
            memdisk_fail_call(g->m, life == 2 ? 1 + model_random(&g->rng) % 8 : 2, EIO);
            for (int i = 0; i < 4; i++)
                if ((life == 0 ? put(g, 3, 2000) : step(g)) != 0)
                    break;
            wal_close(g->w);
            memdisk_power_cut(g->m, life < 2 ? MEMDISK_KEEP_RANDOM
                                             : (enum memdisk_keep)(model_random(&g->rng) % 3));
            /* Cut again, in the middle of recovery. */
            struct memdisk *before = memdisk_clone(g->m);
            uint64_t hash = memdisk_hash(g->m);
            struct wal_report check;
            assert_int_equal(wal_check(memdisk_disk(g->m), RIG_DIR, &rig_options, &check), 0);
            assert_int_equal(memdisk_hash(g->m), hash);
            memdisk_kill(g->m);
            memdisk_fail_call(g->m, 1 + model_random(&g->rng) % 30, EIO);
            struct wal *w = NULL;
            struct wal_report rep;
            if (wal_open(&w, memdisk_disk(g->m), RIG_DIR, &rig_options, &rep) == 0)
                wal_close(w);
            memdisk_power_cut(g->m, MEMDISK_KEEP_RANDOM);
            memdisk_free(before);
            survives(g, "seed", seed);
            check.verdict == WAL_TORN ? torn++ : clean++;
        }
        rig_free(g);
    }
    if (torn < 60 || clean < 60) /* else it tests nothing */
        fail_msg("torn %u, clean %u", torn, clean);
}

/* Everything that writes, in a fixed order: open, appends over several segments, a spare made by
 * the other thread, truncation, reopen. Returns when a call fails; 0 when none did. */
static int whole_life(struct rig *g)
{
    char err[200];
    uint64_t number;
    int rc;

    for (int life = 0; life < 2; life++) {
        rc = wal_open(&g->w, memdisk_disk(g->m), RIG_DIR, &rig_options, &g->rep);
        if (rc != 0)
            return rc;
        const char *diff = model_differs(&g->acked, g->w, &g->rep);
        if (diff != NULL)
            return -EIO; /* a read failed */
        for (int i = 0; i < 16; i++) {
            if (wal_wants_spare(g->w, &number) && i % 2 == 0) {
                rc = wal_make_spare(memdisk_disk(g->m), RIG_DIR, number, rig_options.segment_bytes,
                                    err, sizeof err);
                if (rc != 0)
                    return rc;
                wal_spare_made(g->w, number);
            }
            if ((rc = step(g)) != 0)
                return rc;
        }
        wal_close(g->w);
        g->w = NULL;
    }
    return 0;
}

enum after { POWER_NONE, POWER_ALL, POWER_RANDOM, KILLED, N_AFTER };

static void the_nth_call_fails_and_nothing_is_lost(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    uint64_t n_max = 0;

    (void)state;
    for (size_t e = 0; e < 2; e++) {
        bool passed = false;
        for (uint64_t n = 1; !passed; n++) {
            for (int after = 0; after < N_AFTER && !passed; after++) {
                struct rig *g = rig_new(77);
                memdisk_fail_call(g->m, n, errors[e]);
                uint64_t calls = memdisk_calls(g->m);
                int rc = whole_life(g);
                /* A failed close at the very end is nobody's loss; then the run passes. */
                passed = memdisk_calls(g->m) - calls < n;
                assert_true(!passed || rc == 0);
                wal_close(g->w);
                if (after == KILLED)
                    memdisk_kill(g->m); /* the page cache survives, and may lie */
                else
                    memdisk_power_cut(g->m, after == POWER_NONE  ? MEMDISK_KEEP_NONE
                                            : after == POWER_ALL ? MEMDISK_KEEP_ALL
                                                                 : MEMDISK_KEEP_RANDOM);
                survives(g, "call", n);
                /* Go on for a while; then what a restart took for durable must prove to be. */
                for (uint64_t i = 0; i < n % 9; i++)
                    assert_int_equal(step(g), 0);
                wal_close(g->w);
                memdisk_power_cut(g->m, MEMDISK_KEEP_NONE);
                g->next = g->acked;
                survives(g, "again, call", n);
                assert_int_equal(step(g), 0);
                reopen(g);
                same(g, true);
                rig_free(g);
            }
            n_max = n;
        }
    }
    assert_true(n_max > 100);
}

/* A write or its sync fails, the process is restarted and the page cache still shows the batch. The
 * kernel will say that all is well; only the medium tells (ATC 2020). */
static void the_page_cache_is_not_believed_after_a_restart(void **state)
{
    (void)state;
    for (uint64_t call = 1; call <= 2; call++) { /* write, fdatasync */
        unsigned lost = 0;
        for (uint64_t seed = 1; seed <= 40; seed++) {
            struct rig *g = rig_new(seed);
            reopen(g);
            assert_int_equal(put(g, 2, 100), 0);
            memdisk_fail_call(g->m, call, EIO);
            assert_int_equal(put(g, 2, call == 1 ? 100 : 2500), -EIO);
            wal_close(g->w);
            memdisk_kill(g->m);
            survives(g, "seed", seed);
            lost += g->acked.last == 2;
            uint64_t last = g->acked.last;
            wal_close(g->w);
            memdisk_power_cut(g->m, MEMDISK_KEEP_NONE); /* what recovery saw is what stays */
            g->next = g->acked;
            survives(g, "again", seed);
            assert_int_equal(g->acked.last, last);
            rig_free(g);
        }
        assert_true(lost > 3 && lost < 37); /* both ways happened */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_log_is_empty),
        cmocka_unit_test(an_append_is_one_write_and_one_sync),
        cmocka_unit_test(random_histories_read_back_at_every_moment),
        cmocka_unit_test(overwritten_entries_never_live_again),
        cmocka_unit_test(several_readers_go_on_where_they_were),
        cmocka_unit_test(records_larger_than_the_buffer_come_in_parts),
        cmocka_unit_test(a_part_is_checked_as_part_of_the_whole),
        cmocka_unit_test(the_largest_record_goes_through),
        cmocka_unit_test(too_large_a_batch_is_refused_and_harmless),
        cmocka_unit_test(damage_is_noticed_when_reading),
        cmocka_unit_test(a_spare_is_wanted_from_half_on_and_then_used),
        cmocka_unit_test(a_slow_spare_maker_does_not_replace_a_segment_in_use),
        cmocka_unit_test(a_spare_found_at_start_is_used),
        cmocka_unit_test(segment_size_may_change_between_starts),
        cmocka_unit_test(a_full_disk_refuses_entries_and_still_votes),
        cmocka_unit_test(no_space_told_by_a_sync_is_fatal),
        cmocka_unit_test(random_power_cuts_lose_nothing_acknowledged),
        cmocka_unit_test(the_nth_call_fails_and_nothing_is_lost),
        cmocka_unit_test(the_page_cache_is_not_believed_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
