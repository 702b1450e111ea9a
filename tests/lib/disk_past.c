#include "tests/lib/disk_past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/batch.h"

enum { BLOCK = BATCH_BLOCK_BYTES };

const struct wal_options options = {
    .segment_bytes = WAL_SEGMENT_BYTES_MIN,
    .storage_id = 0x1122334455667788,
};

const struct disk *disk_of(struct rig *g)
{
    return memdisk_disk(g->m);
}

void reopen(struct rig *g)
{
    wal_close(g->w);
    int rc = wal_open(&g->w, disk_of(g), DIR, &options, &g->rep);
    if (rc != 0)
        fail_msg("wal_open: %d %s", rc, g->rep.message);
}

struct memdisk *new_disk(void)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);

    assert_int_equal(d->mkdir(d->ctx, DIR), 0);
    assert_int_equal(d->sync_dir(d->ctx, "/"), 0);
    return m;
}

struct rig *rig_new(void)
{
    struct rig *g = calloc(1, sizeof *g);
    char err[200];

    assert_non_null(g);
    g->m = new_disk();
    assert_int_equal(
        wal_create(disk_of(g), DIR, options.storage_id, options.segment_bytes, err, sizeof err), 0);
    reopen(g);
    return g;
}

void rig_free(struct rig *g)
{
    wal_close(g->w);
    memdisk_free(g->m);
    free(g);
}

/* Where did the last batch go? The last block of a segment in use that is not zero and no seal. */
static void locate(struct rig *g, int k)
{
    for (int number = 9; number > 0; number--) {
        size_t size, end;
        char path[40];
        snprintf(path, sizeof path, "/d/log/%016x.seg", (unsigned)number);
        const uint8_t *p = memdisk_peek(g->m, path, &size);
        if (p == NULL)
            continue;
        for (size_t at = BLOCK; at < size - BLOCK; at = end) {
            struct batch_head h;
            if (!batch_decode(p + at, &h))
                break;
            end = at + batch_bytes(h.payload_len);
            strcpy(g->path[k], path);
            g->at[k] = at;
            g->bytes[k] = end - at;
        }
        if (g->path[k][0] != '\0')
            return;
    }
    fail();
}

void put(struct rig *g, int entries, uint32_t len, bool truncate)
{
    struct model *m = &g->after[g->n + 1];

    *m = g->after[g->n];
    model_begin(m, &g->b);
    if (m->term == 0 || entries == 0 || truncate) {
        m->term++;
        m->vote = (uint16_t)(m->term % 3);
    }
    if (truncate)
        model_truncate(m, &g->b, m->last - 1);
    else if (m->last > m->commit + 1)
        m->commit = m->last - 1;
    for (int i = 0; i < entries; i++)
        model_entry(m, &g->b, len, (uint8_t)(m->last + 1));
    model_end(m, &g->b, 0);
    assert_int_equal(wal_append(g->w, &g->b.batch), 0);
    locate(g, ++g->n);
}

void put_idle(struct rig *g)
{
    g->after[g->n + 1] = g->after[g->n];
    model_begin(&g->after[g->n], &g->b);
    g->b.batch.idle = true;
    model_end(&g->after[g->n], &g->b, 0);
    assert_int_equal(wal_append(g->w, &g->b.batch), 0);
    locate(g, ++g->n);
}

struct rig *rig_with_log(void)
{
    struct rig *g = rig_new();

    put(g, 2, 40, false);
    put(g, 1, 5000 / 2, false);
    put(g, 0, 0, false);
    put(g, 3, 30, true);
    put(g, 2, 60, false);
    put(g, 4, 1500, false);
    put(g, 1, 10, false);
    put(g, 1, 20, true);
    put(g, 2, 30, false);
    put(g, 1, 10, false);
    put(g, 2, 50, false);
    wal_close(g->w);
    g->w = NULL;
    assert_string_equal(g->path[1], DIR SEG(1));
    assert_string_equal(g->path[g->n], DIR SEG(3));
    return g;
}
