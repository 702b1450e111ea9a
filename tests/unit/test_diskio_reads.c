// LINK: @diskio storage/disk_posix.c tests/lib/disk_model.c TSAN
/* What the log thread does while two peers lag: as soon as a read for one is done, the next is queued. */
#include "raftd/diskio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "storage/record.h"
#include "tests/lib/disk_jobs.h"
#include "tests/lib/disk_model.h"

enum { SEGMENT_BYTES = WAL_SEGMENT_BYTES_MIN, WAIT_US = 20000000, ENTRIES = 10, READ_US = 5000 };

struct rig {
    struct disk disk; /* slow to read */
    char dir[64];
    struct wal *wal;
    struct diskio *io;
    struct model log; /* all that was handed over */
    struct model_batch b;
    uint64_t seq;
    uint8_t buf[2][RECORD_MAX_BYTES];
};

static atomic_uint looks; /* how much room there is */

static ssize_t slow_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    (void)usleep(READ_US);
    return disk_posix.pread(ctx, fd, buf, len, offset);
}

static int64_t counted_room(void *ctx, const char *path)
{
    atomic_fetch_add(&looks, 1);
    return disk_posix.room(ctx, path);
}

static void wake(void *ctx)
{
    (void)ctx;
}

static struct diskio_done wait_done(struct rig *g)
{
    return next_done(g->io);
}

static struct status status(struct rig *g)
{
    return disk_status(g->io);
}

static void put(struct rig *g, uint32_t len)
{
    model_begin(&g->log, &g->b);
    model_entry(&g->log, &g->b, len, 1);
    model_end(&g->log, &g->b, 0);
    diskio_persist(g->io, ++g->seq, &g->b.batch);
}

static void lag(struct rig *g, uint16_t peer)
{
    diskio_fetch(g->io, (struct node_fetch){.peer = peer}, &(struct wal_pos){ENTRIES, 0}, ENTRIES,
                 g->buf[peer], RECORD_MAX_BYTES);
}

/* A log of some segments, and two peers that lag. */
static struct rig *rig_new(void)
{
    const struct wal_options options = {.segment_bytes = SEGMENT_BYTES, .storage_id = 7};
    struct rig *g = calloc(1, sizeof *g);
    struct wal_report report;
    char err[WAL_MESSAGE_BYTES];
    assert_non_null(g);
    g->disk = disk_posix;
    g->disk.pread = slow_pread;
    g->disk.room = counted_room;
    (void)snprintf(g->dir, sizeof g->dir, "/tmp/test_diskio_reads.XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    assert_int_equal(wal_create(&g->disk, g->dir, 7, SEGMENT_BYTES, err, sizeof err), 0);
    assert_int_equal(wal_open(&g->wal, &g->disk, g->dir, &options, &report), 0);
    g->log.term = 1;
    g->io = diskio_start(&(struct diskio_config){
        .wal = g->wal,
        .disk = &g->disk,
        .dir = g->dir,
        .segment_bytes = SEGMENT_BYTES,
        .max_batch_bytes = wal_batch_max_bytes(SEGMENT_BYTES),
        .min_free_bytes = 1,
        .long_us = UINT64_MAX,
        .wake = wake,
    });
    assert_non_null(g->io);
    for (int i = 0; i < ENTRIES; i++) {
        put(g, 3000);
        (void)wait_done(g);
    }
    lag(g, 0);
    lag(g, 1);
    return g;
}

/* There are so many jobs yet. */
static void rig_free(struct rig *g, int left)
{
    char command[100];
    while (left-- > 0)
        (void)wait_done(g);
    assert_true(diskio_stop(g->io));
    wal_close(g->wal);
    (void)snprintf(command, sizeof command, "rm -r %s", g->dir);
    assert_int_equal(system(command), 0);
    free(g);
}

/* Batches look for room, and status asks for it: what waits of that is one job at most. */
static void test_looks_wait_once(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    uint64_t now = clock_us(), end = now + 900000, put_us = 0;
    for (struct diskio_done done; now < end; now = clock_us()) {
        (void)status(g);
        if (now >= put_us) {
            put(g, 100);
            put_us = UINT64_MAX;
        }
        (void)usleep(200);
        if (!diskio_done(g->io, &done))
            continue;
        if (done.kind == DISKIO_BATCH)
            put_us = now + 50000;
        else
            lag(g, done.what.peer);
    }
    unsigned before = atomic_load(&looks), batches = put_us == UINT64_MAX;
    assert_true(before >= 2);
    for (unsigned left = 2 + batches; left > 0; left--)
        (void)wait_done(g);
    (void)usleep(50000);
    /* A batch that was under way looks, too. */
    assert_in_range(atomic_load(&looks) - before, 0, 1 + batches);
    rig_free(g, 0);
}

/* The log becomes shorter, too. */
static void test_drop(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    uint64_t had = status(g).log_bytes, end = clock_us() + WAIT_US;
    assert_true(had >= 2 * SEGMENT_BYTES);
    diskio_drop_log(g->io, ENTRIES);
    while (status(g).log_bytes == had) {
        assert_true(clock_us() < end);
        lag(g, wait_done(g).what.peer);
    }
    rig_free(g, 2);
}

static int count_one(void *arg, const char *name)
{
    unsigned *n = arg;
    *n += strstr(name, ".seg") != NULL;
    return 0;
}

static unsigned count_files(struct rig *g)
{
    char log[80];
    unsigned n = 0;
    (void)snprintf(log, sizeof log, "%s/log", g->dir);
    assert_int_equal(disk_posix.list(NULL, log, count_one, &n), 0);
    return n;
}

/* The files of a long log go one by one, without being asked for again. */
static void test_drop_goes_on(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    (void)wait_done(g);
    (void)wait_done(g);
    while (count_files(g) < 20) {
        put(g, 3000);
        (void)wait_done(g);
    }
    uint64_t end = clock_us() + WAIT_US;
    diskio_drop_log(g->io, g->log.last);
    while (count_files(g) >
           9) { /* two of the log, a spare, two that are used again, four that wait */
        assert_true(clock_us() < end);
        (void)usleep(1000);
    }
    rig_free(g, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looks_wait_once),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_drop_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
