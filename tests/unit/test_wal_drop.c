// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_rig.c
/* Files that leave the log go one by one: a batch that comes meanwhile waits for one sync alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/disk_rig.h"

/* 40 entries that fill eight segments, and five more in the last two. */
static struct rig *rig_of_ten(void)
{
    struct rig *g = rig_new(1);
    reopen(g);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(put(g, 1, 100), 0);
    assert_int_equal(wal_stats(g->w).segments, 10);
    return g;
}

/* Drops one file, which costs one sync, and appends a batch. */
static void drop_one(struct rig *g, uint64_t keep_from)
{
    uint64_t syncs = wal_stats(g->w).fsyncs;
    assert_int_equal(wal_drop(g->w, keep_from), 0);
    assert_int_equal(wal_stats(g->w).fsyncs, syncs + 1);
    assert_int_equal(put(g, 1, 100), 0);
}

static void files_go_one_by_one(void **state)
{
    struct rig *g = rig_of_ten();
    (void)state;
    g->acked.base = 40;
    drop_one(g, 45); /* eight files: two are used again, four wait for that */
    same(g, false);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(wal_drops(g->w));
        drop_one(g, 45);
    }
    same(g, false);
    assert_false(wal_drops(g->w));
    rig_free(g);
}

static void a_reset_leaves_them_too(void **state)
{
    struct rig *g = rig_of_ten();
    const struct wal_base base = {.index = 500, .term = 7};
    (void)state;
    assert_int_equal(vote(g, 7, 2), 0);
    uint64_t syncs = wal_stats(g->w).fsyncs;
    assert_int_equal(wal_reset(g->w, &base, 7, 2), 0);
    assert_true(wal_stats(g->w).fsyncs <= syncs + 3); /* room for it, a spare, its head */
    unsigned n = 0;
    for (; wal_drops(g->w); n++)
        assert_int_equal(wal_drop(g->w, 501), 0);
    assert_true(n >= 5);
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_go_one_by_one),
        cmocka_unit_test(a_reset_leaves_them_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
