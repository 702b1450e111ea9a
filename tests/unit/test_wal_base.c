// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_rig.c
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
#include "tests/lib/disk_rig.h"

enum { SIZE = WAL_SEGMENT_BYTES_MIN, PER_SEGMENT = 5 /* batches of one block */ };

// A snapshot that ends with an entry of the log is durable.
static void snapshot(struct rig *g, uint64_t index)
{
    struct wal_base *b = &g->options.base;
    b->index = index;
    b->term = g->acked.e[index].term;
    memcpy(b->hash, g->acked.e[index].hash, sizeof b->hash);
    if (g->acked.commit < index)
        g->acked.commit = index;
}

// A snapshot of other entries came from a peer: the log is to begin behind it.
static struct wal_base strange(struct rig *g, uint64_t index)
{
    struct model *m = &g->next;
    *m = g->acked;
    m->base = m->last = m->commit = index;
    m->e[index] = (struct model_entry){.term = m->term};
    memset(m->e[index].hash, (int)index, WAL_HASH_BYTES);
    struct wal_base b = {.index = index, .term = m->term};
    memcpy(b.hash, m->e[index].hash, sizeof b.hash);
    return b;
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

static void what_a_snapshot_covers_is_dropped(void **state)
{
    struct rig *g = rig_new(1);
    (void)state;
    reopen(g);
    fill_segments(g, 8);
    assert_int_equal(wal_stats(g->w).segments, 8);
    assert_int_equal(wal_first(g->w), 1);
    snapshot(g, 36);
    assert_int_equal(wal_drop(g->w, 35), 0); // not entry 35: the first six segments
    g->acked.base = 30;
    same(g, false);
    struct wal_stats stats = wal_stats(g->w);
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.base, 30);
    assert_int_equal(stats.recycled, 2);
    assert_int_equal(stats.log_bytes, 2 * SIZE);
    // 1 and 2 are the next ones, 3 and 4 are gone, 5 and 6 wait.
    for (unsigned number = 1; number <= 11; number++)
        assert_int_equal(exists(g, number), number >= 5 && number <= 10);
    uint64_t wanted, bytes = stats.bytes_written;
    for (unsigned i = 0; i < 4 * PER_SEGMENT; i++) {
        assert_int_equal(put(g, 1, 100), 0);
        assert_true(!wal_wants_spare(g->w, &wanted) || i >= 3 * PER_SEGMENT);
    }
    stats = wal_stats(g->w);
    assert_int_equal(stats.recycled, 4);
    assert_int_equal(stats.bytes_written - bytes, 4 * (PER_SEGMENT + 2) * 4096);
    same(g, false);
    snapshot(g, 60);
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    same(g, true);
    // Nothing of it is the current segment's.
    assert_int_equal(wal_drop(g->w, UINT64_MAX), 0);
    g->acked.base = 55;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_snapshot_covers_is_dropped),
        cmocka_unit_test(a_reset_log_begins_behind_its_base),
        cmocka_unit_test(recovery_resets_what_ends_before_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
