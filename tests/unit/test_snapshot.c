// LINK: @storage tests/lib/disk_memory.c
/* test_snapshot.c: a snapshot is whole, or it is none: after any failing call, any cut of the power and any
 * damage. */
#include "storage/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "tests/lib/disk_memory.h"

enum { OURS = 77, CLUSTER = 5, HEAD = 4096, PIECE = 3000, SIZE_MAX_BYTES = 1 << 20 };

static struct memdisk *new_disk(struct snapshots *s)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
    assert_int_equal(d->sync_dir(d->ctx, "/"), 0);
    *s = (struct snapshots){.disk = d, .dir = "/d", .storage_id = OURS, .cluster = CLUSTER};
    return m;
}

/* ---- a state: chunks that follow from an index ---- */

struct chunks {
    uint64_t index;
    unsigned at; /* of the next one */
    unsigned n;
    int end; /* what next() returns at the end */
    uint8_t bytes[SNAPSHOT_CHUNK_MAX_BYTES];
};

static int next(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    struct chunks *c = ctx;
    if (c->at == c->n)
        return c->end;
    *section = (uint16_t)(1 + c->at / 2);
    *bytes = c->bytes;
    *len = c->at == 1 ? sizeof c->bytes : 10 + c->at;
    memset(c->bytes, (int)(c->index + c->at), *len);
    c->at++;
    return 1;
}

static struct chunks chunks_of(uint64_t index)
{
    return (struct chunks){.index = index, .n = index % 2 == 0 ? 5 : 1};
}

static struct snapshot_head head_of(uint64_t index)
{
    struct snapshot_head h = {.index = index,
                              .term = 1 + index / 2,
                              .cluster_ms = 1000 * index,
                              .members = {1, 2, 30},
                              .n_members = 3};
    memset(h.entry_hash, 7, sizeof h.entry_hash);
    memset(h.digest, 9, sizeof h.digest);
    return h;
}

static int write_one(struct snapshots *s, uint64_t index, struct snapshot_name *name)
{
    struct chunks c = chunks_of(index);
    struct snapshot_head h = head_of(index);
    struct snapshot_source source = {next, &c};
    return snapshot_write(s, &h, &source, name);
}

/* Expects exactly the chunks of an index. */
static int check_chunk(void *ctx, uint16_t section, const uint8_t *bytes, size_t len)
{
    const uint8_t *want;
    uint16_t want_section;
    size_t want_len;
    assert_int_equal(next(ctx, &want_section, &want, &want_len), 1);
    assert_int_equal(section, want_section);
    assert_int_equal(len, want_len);
    assert_memory_equal(bytes, want, len);
    return 0;
}

static int check_done(void *ctx, const struct snapshot_head *head)
{
    struct chunks *c = ctx;
    assert_int_equal(c->at, c->n);
    assert_true(head->index == c->index);
    c->at++;
    return 0;
}

static int load_one(struct snapshots *s, uint64_t index, struct snapshot_name *name)
{
    struct chunks c = chunks_of(index);
    struct snapshot_sink sink = {check_chunk, check_done, &c};
    struct snapshot_head h, want = head_of(index);
    int rc = snapshot_load(s, index, &sink, &h, name);
    if (rc != 0)
        return rc;
    assert_int_equal(c.at, c.n + 1);
    want.storage_id = OURS;
    want.cluster = CLUSTER;
    assert_memory_equal(&h, &want, sizeof h);
    return 0;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name a, b;
    for (uint64_t index = 1; index <= 4; index++) {
        assert_int_equal(write_one(&s, index, &a), 0);
        assert_string_equal(s.message, "");
        memdisk_power_cut(m, MEMDISK_KEEP_NONE);
        assert_int_equal(load_one(&s, index, &b), 0);
        assert_memory_equal(&a, &b, sizeof a);
    }
    memdisk_free(m);
}

/* Fetches a snapshot of `from` to `to` in pieces. */
static int fetch(struct snapshots *from, struct snapshots *to, const struct snapshot_name *name,
                 size_t piece, uint64_t *begun_at)
{
    static uint8_t buf[SIZE_MAX_BYTES];
    struct snapshot_part *p;
    uint64_t have;
    int fd = snapshot_open(from, name->index);
    assert_true(fd >= 0);
    int rc = snapshot_part_open(&p, to, name, &have);
    *begun_at = have;
    while (rc == 0 && have < name->size) {
        ssize_t n = snapshot_read(from->disk, fd, have, buf, piece);
        assert_true(n > 0);
        rc = snapshot_part_append(p, have, buf, (size_t)n);
        have += (size_t)n;
    }
    struct snapshot_head head;
    if (rc == 0)
        rc = snapshot_part_finish(p, NULL, &head);
    else
        snapshot_part_close(p);
    assert_int_equal(from->disk->close(from->disk->ctx, fd), 0);
    return rc;
}

static void what_was_fetched_is_the_same(void **state)
{
    (void)state;
    struct snapshots s, t;
    struct memdisk *m = new_disk(&s), *n = new_disk(&t);
    struct snapshot_name a, b;
    uint64_t begun_at;
    s.storage_id = 1;
    for (uint64_t index = 1; index <= 4; index++) {
        assert_int_equal(write_one(&s, index, &a), 0);
        assert_int_equal(fetch(&s, &t, &a, 7 + 1000 * index, &begun_at), 0);
        assert_int_equal(begun_at, 0);
        memdisk_power_cut(n, MEMDISK_KEEP_NONE);
        assert_int_equal(load_one(&t, index, &b), 0);
        assert_memory_equal(&a, &b, sizeof a);
    }
    memdisk_free(m);
    memdisk_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(what_was_fetched_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
