/* disk_rig.c: see disk_rig.h. */
#include "tests/lib/disk_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

const struct wal_options rig_options = {
    .segment_bytes = WAL_SEGMENT_BYTES_MIN,
    .storage_id = 0x1122334455667788,
};

struct rig *rig_new(uint64_t seed)
{
    struct rig *g = calloc(1, sizeof *g);
    char err[WAL_MESSAGE_BYTES];

    assert_non_null(g);
    g->m = memdisk_new(seed);
    g->rng = seed;
    g->options = rig_options;
    const struct disk *d = memdisk_disk(g->m);
    assert_int_equal(d->mkdir(d->ctx, RIG_DIR), 0);
    assert_int_equal(d->sync_dir(d->ctx, "/"), 0);
    assert_int_equal(
        wal_create(d, RIG_DIR, rig_options.storage_id, rig_options.segment_bytes, err, sizeof err),
        0);
    return g;
}

void rig_free(struct rig *g)
{
    wal_close(g->w);
    memdisk_free(g->m);
    free(g);
}

int open_log(struct rig *g)
{
    wal_close(g->w);
    return wal_open(&g->w, memdisk_disk(g->m), RIG_DIR, &g->options, &g->rep);
}

void reopen(struct rig *g)
{
    int rc = open_log(g);
    if (rc != 0)
        fail_msg("wal_open: %d %s", rc, g->rep.message);
}

void same(struct rig *g, bool with_report)
{
    const char *diff = model_differs(&g->acked, g->w, with_report ? &g->rep : NULL);
    if (diff != NULL)
        fail_msg("%s differs; %s", diff, wal_error(g->w));
}

int append(struct rig *g)
{
    int rc = wal_append(g->w, &g->b.batch);
    if (rc == 0)
        g->acked = g->next;
    return rc;
}

int put(struct rig *g, int n, uint32_t len)
{
    g->next = g->acked;
    model_begin(&g->next, &g->b);
    if (g->next.term == 0)
        g->next.term = 1;
    for (int i = 0; i < n; i++)
        model_entry(&g->next, &g->b, len, (uint8_t)(g->next.last + 1));
    model_end(&g->next, &g->b, 0);
    return append(g);
}

int vote(struct rig *g, uint64_t term, uint16_t who)
{
    g->next = g->acked;
    model_begin(&g->next, &g->b);
    g->next.term = term;
    g->next.vote = who;
    model_end(&g->next, &g->b, 0);
    return append(g);
}
