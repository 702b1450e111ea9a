// LINK: @diskio tests/lib/disk_memory.c tests/lib/disk_model.c TSAN
/* The disk's two threads: order, fetches, spare segments, a full disk, a failing one, a hung one. */
#include "raftd/diskio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/durations.h"
#include "storage/record.h"
#include "tests/lib/disk_jobs.h"
#include "tests/lib/disk_model.h"
#include "tests/lib/disk_memory.h"

#define DIR "/d"

enum { SEGMENT_BYTES = WAL_SEGMENT_BYTES_MIN, WAIT_US = 20000000, HANG_EXIT = 42, LONG_US = 50000 };

/* ---- memdisk for two threads: one call at a time ---- */

struct shared_disk {
    struct disk table;
    struct memdisk *m;
    const struct disk *d;
    pthread_mutex_t lock;      /* recursive: a listing may call back */
    atomic_bool hang;          /* syncs do not return ... */
    atomic_bool hanging;       /* ... and one has begun */
    atomic_bool no_descriptor; /* nothing can be opened */
    atomic_uint made;          /* files that got the name of a segment */
};

/* Calls function `f` of the memdisk while nobody else does. */
#define LOCKED(type, f, ...)                                                                       \
    struct shared_disk *s = ctx;                                                                   \
    pthread_mutex_lock(&s->lock);                                                                  \
    type rc = s->d->f(s->d->ctx, __VA_ARGS__);                                                     \
    pthread_mutex_unlock(&s->lock);                                                                \
    return rc

static int d_open(void *ctx, const char *path, enum disk_open how)
{
    struct shared_disk *out = ctx;
    if (atomic_load(&out->no_descriptor))
        return -EMFILE;
    LOCKED(int, open, path, how);
}

static int d_close(void *ctx, int fd)
{
    LOCKED(int, close, fd);
}

static ssize_t d_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    LOCKED(ssize_t, pread, fd, buf, len, offset);
}

static int d_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t offset)
{
    LOCKED(int, pwritev, fd, iov, n, offset);
}

static int d_fdatasync(void *ctx, int fd)
{
    struct shared_disk *hung = ctx;
    while (atomic_load(&hung->hang)) {
        atomic_store(&hung->hanging, true);
        (void)usleep(1000);
    }
    LOCKED(int, fdatasync, fd);
}

static int d_sync_dir(void *ctx, const char *path)
{
    LOCKED(int, sync_dir, path);
}

static int d_rename(void *ctx, const char *from, const char *to)
{
    struct shared_disk *counted = ctx;
    atomic_fetch_add(&counted->made, 1);
    LOCKED(int, rename, from, to);
}

static int d_unlink(void *ctx, const char *path)
{
    LOCKED(int, unlink, path);
}

static int64_t d_size(void *ctx, int fd)
{
    LOCKED(int64_t, size, fd);
}

static int d_list(void *ctx, const char *path, disk_each *each, void *arg)
{
    LOCKED(int, list, path, each, arg);
}

static int d_drop_cache(void *ctx, int fd)
{
    LOCKED(int, drop_cache, fd);
}

static int d_lock(void *ctx, int fd)
{
    LOCKED(int, lock, fd);
}

static int d_mkdir(void *ctx, const char *path)
{
    LOCKED(int, mkdir, path);
}

static int64_t d_room(void *ctx, const char *path)
{
    LOCKED(int64_t, room, path);
}

static void shared_disk_init(struct shared_disk *s)
{
    pthread_mutexattr_t a;
    memset(s, 0, sizeof *s);
    s->m = memdisk_new(1);
    s->d = memdisk_disk(s->m);
    assert_int_equal(pthread_mutexattr_init(&a), 0);
    assert_int_equal(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE), 0);
    assert_int_equal(pthread_mutex_init(&s->lock, &a), 0);
    pthread_mutexattr_destroy(&a);
    s->table = (struct disk){
        .ctx = s,
        .open = d_open,
        .close = d_close,
        .pread = d_pread,
        .pwritev = d_pwritev,
        .fdatasync = d_fdatasync,
        .sync_dir = d_sync_dir,
        .rename = d_rename,
        .unlink = d_unlink,
        .size = d_size,
        .list = d_list,
        .drop_cache = d_drop_cache,
        .lock = d_lock,
        .mkdir = d_mkdir,
        .room = d_room,
    };
}

static void limit(struct shared_disk *s, uint64_t more)
{
    pthread_mutex_lock(&s->lock);
    memdisk_limit(s->m, memdisk_used(s->m) + more);
    pthread_mutex_unlock(&s->lock);
}

/* ---- one log and its threads ---- */

static uint64_t min_free; /* of the next rig */

struct rig {
    struct shared_disk disk;
    struct wal *w;
    struct wal_report report;
    struct diskio *io;
    struct model log; /* all that was handed over */
    struct model_batch b;
    uint64_t seq;
    atomic_uint wakes;
};

static void wake(void *ctx)
{
    struct rig *g = ctx;
    atomic_fetch_add(&g->wakes, 1);
}

static void open_log(struct rig *g)
{
    const struct wal_options options = {.segment_bytes = SEGMENT_BYTES, .storage_id = 7};
    int rc = wal_open(&g->w, &g->disk.table, DIR, &options, &g->report);
    if (rc != 0)
        fail_msg("wal_open: %d %s", rc, g->report.message);
}

static struct rig *rig_new(void)
{
    struct rig *g = calloc(1, sizeof *g);
    char err[WAL_MESSAGE_BYTES] = "";
    assert_non_null(g);
    shared_disk_init(&g->disk);
    assert_int_equal(g->disk.d->mkdir(g->disk.d->ctx, DIR), 0);
    assert_int_equal(g->disk.d->sync_dir(g->disk.d->ctx, "/"), 0);
    assert_int_equal(wal_create(&g->disk.table, DIR, 7, SEGMENT_BYTES, err, sizeof err), 0);
    open_log(g);
    g->log.term = 1;
    g->io = diskio_start(&(struct diskio_config){
        .wal = g->w,
        .disk = &g->disk.table,
        .dir = DIR,
        .segment_bytes = SEGMENT_BYTES,
        .max_batch_bytes = wal_batch_max_bytes(SEGMENT_BYTES),
        .min_free_bytes = min_free,
        .long_us = LONG_US,
        .wake = wake,
        .ctx = g,
    });
    assert_non_null(g->io);
    return g;
}

/* After diskio_stop(): what is on the disk must be `want`. */
static void rig_free(struct rig *g, const struct model *want)
{
    wal_close(g->w);
    memdisk_power_cut(g->disk.m, MEMDISK_KEEP_NONE);
    open_log(g);
    const char *diff = model_differs(want, g->w, &g->report);
    if (diff != NULL)
        fail_msg("after a restart: %s", diff);
    wal_close(g->w);
    memdisk_free(g->disk.m);
    pthread_mutex_destroy(&g->disk.lock);
    free(g);
}

/* Hands over a batch of `n` entries. */
static void put(struct rig *g, int n, uint32_t len)
{
    model_begin(&g->log, &g->b);
    for (int i = 0; i < n; i++)
        model_entry(&g->log, &g->b, len, (uint8_t)(g->log.last + 1));
    model_end(&g->log, &g->b, n > 0 ? 20 : 0); /* in two pieces, as from a ring */
    diskio_persist(g->io, ++g->seq, &g->b.batch);
    memset(g->b.bytes, 0, sizeof g->b.bytes); /* they were copied */
}

static void seal(struct rig *g)
{
    model_begin(&g->log, &g->b);
    model_end(&g->log, &g->b, 0);
    g->b.batch.idle = true;
    diskio_persist(g->io, 0, &g->b.batch);
}

static struct diskio_done wait_done(struct rig *g)
{
    return next_done(g->io);
}

static struct status status(struct rig *g)
{
    return disk_status(g->io);
}

/* Puts until the disk has no room for the batch handed over last; the log without it is in *before. */
static void fill(struct rig *g, struct model *before)
{
    limit(&g->disk, 0);
    for (;;) {
        *before = g->log;
        put(g, 2, 1500);
        struct diskio_done done = wait_done(g);
        assert_int_equal(done.seq, g->seq);
        if (done.refused)
            return;
        assert_true(g->log.last < 100);
    }
}

/* What is said from now on, by all threads, until said_until(), which returns it. */
static FILE *said_from(int *was)
{
    FILE *said = tmpfile();
    assert_non_null(said);
    *was = dup(STDERR_FILENO);
    assert_true(*was >= 0 && dup2(fileno(said), STDERR_FILENO) >= 0);
    return said;
}

static const char *said_until(FILE *said, int was)
{
    static char lines[1 << 14];
    assert_true(dup2(was, STDERR_FILENO) >= 0);
    close(was);
    rewind(said);
    lines[fread(lines, 1, sizeof lines - 1, said)] = '\0';
    (void)fclose(said);
    return lines;
}

/* Runs `f` in a process of its own, before any thread was started here; returns its exit code. */
static int exit_code_of(void (*f)(struct rig *g))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        f(rig_new());
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- tests ---- */

static int failure = EIO;

static void fail_nth(struct rig *g, uint64_t n)
{
    pthread_mutex_lock(&g->disk.lock);
    memdisk_fail_call(g->disk.m, n, failure);
    pthread_mutex_unlock(&g->disk.lock);
}

static void write_fails(struct rig *g)
{
    fail_nth(g, 1);
    put(g, 1, 100);
    (void)wait_done(g);
}

static void sync_fails(struct rig *g)
{
    fail_nth(g, 2);
    put(g, 1, 100);
    (void)wait_done(g);
}

/* From half of a segment on, a batch has the next one made. */
static void spare_fails(struct rig *g)
{
    uint64_t number;
    while (!wal_wants_spare(g->w, &number)) { /* nobody else looks at the wal now */
        model_begin(&g->log, &g->b);
        model_entry(&g->log, &g->b, 1500, 1);
        model_end(&g->log, &g->b, 0);
        if (wal_append(g->w, &g->b.batch) != 0)
            _exit(1);
    }
    fail_nth(g, 4); /* one write and one sync of the batch, then the spare's file */
    put(g, 1, 100);
    (void)wait_done(g);
    (void)usleep(WAIT_US);
}

static void read_fails(struct rig *g)
{
    uint8_t *buf = malloc(RECORD_MAX_BYTES);
    put(g, 1, 100);
    (void)wait_done(g);
    fail_nth(g, 1);
    diskio_fetch(g->io, (struct node_fetch){.peer = 0}, &(struct wal_pos){1, 0}, UINT64_MAX, buf,
                 RECORD_MAX_BYTES);
    (void)wait_done(g);
}

static void read_finds_damage(struct rig *g)
{
    uint8_t *buf = malloc(RECORD_MAX_BYTES);
    put(g, 1, 100);
    (void)wait_done(g);
    pthread_mutex_lock(&g->disk.lock);
    memdisk_poke(g->disk.m, DIR "/log/0000000000000001.seg", 4096 + 200, "damage", 6);
    pthread_mutex_unlock(&g->disk.lock);
    diskio_fetch(g->io, (struct node_fetch){.peer = 0}, &(struct wal_pos){1, 0}, UINT64_MAX, buf,
                 RECORD_MAX_BYTES);
    (void)wait_done(g);
}

static void test_failures_end_the_process(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(write_fails), RAFTD_EXIT_DISK);
    assert_int_equal(exit_code_of(sync_fails), RAFTD_EXIT_DISK);
    assert_int_equal(exit_code_of(spare_fails), RAFTD_EXIT_DISK);
    assert_int_equal(exit_code_of(read_fails), RAFTD_EXIT_DISK);
    assert_int_equal(exit_code_of(read_finds_damage), RAFTD_EXIT_DISK);
}

/* A permission that somebody took away is no fault of the disk; a file system that becomes read-only
 * is one. */
static void test_denied_ends_the_process(void **state)
{
    (void)state;
    failure = EACCES;
    assert_int_equal(exit_code_of(write_fails), RAFTD_EXIT_DATA_DIR);
    assert_int_equal(exit_code_of(spare_fails), RAFTD_EXIT_DATA_DIR);
    failure = EROFS;
    assert_int_equal(exit_code_of(write_fails), RAFTD_EXIT_DISK);
    failure = EIO;
}

static void stop_hung(struct rig *g)
{
    atomic_store(&g->disk.hang, true);
    put(g, 1, 100);
    while (!atomic_load(&g->disk.hanging))
        (void)usleep(1000);
    uint64_t start = clock_us();
    bool stopped = diskio_stop(g->io);
    uint64_t took = clock_us() - start;
    _exit(!stopped && took >= DISKIO_STOP_S * 900000 && took < 3 * DISKIO_STOP_S * 1000000
              ? HANG_EXIT
              : 1);
}

/* A write that never returns does not keep the daemon from ending. */
static void test_stop_while_hung(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(stop_hung), HANG_EXIT);
}

/* A fetch sees the batches before it, and jobs of a kind are done in their order. */
static void test_order(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    uint8_t *buf = malloc(RECORD_MAX_BYTES);
    assert_non_null(buf);
    for (int round = 0; round < 50; round++) {
        if (round % 3 == 0)
            seal(g);
        put(g, round % 4, 700);
        diskio_fetch(g->io, (struct node_fetch){.peer = 5}, &(struct wal_pos){1, 0}, UINT64_MAX,
                     buf, RECORD_MAX_BYTES);
        struct diskio_done done;
        if (round % 3 == 0) {
            done = wait_done(g);
            assert_true(done.kind == DISKIO_BATCH && done.seq == 0);
        }
        done = wait_done(g);
        assert_true(done.kind == DISKIO_BATCH && done.seq == g->seq);
        done = wait_done(g);
        assert_true(done.kind == DISKIO_FETCH && done.what.peer == 5);
        uint64_t next = 1;
        for (size_t at = 0, size; at < done.len; at += size, next++) {
            struct record rec;
            assert_int_equal(record_decode(buf + at, done.len - at, &rec, &size), RECORD_OK);
            assert_int_equal(rec.index, next);
            assert_int_equal(rec.data_len, 700);
        }
        assert_int_equal(next, g->log.last + 1);
        assert_int_equal(done.next.index, next);
    }
    /* Who does not want to be told is not, and misses nothing. By then the thread has told all else. */
    assert_false(diskio_tell_batches(g->io, false));
    put(g, 1, 700);
    assert_true(wait_done(g).seq == g->seq && atomic_load(&g->wakes) == 50 + 50 + 17);
    put(g, 1, 700);
    while (!diskio_tell_batches(g->io, true))
        assert_false(diskio_tell_batches(g->io, false));
    assert_true(wait_done(g).seq == g->seq);
    struct status s = status(g);
    assert_true(s.fsyncs >= 50 && s.disk_bytes >= 50 * 700 && s.log_bytes >= SEGMENT_BYTES);
    assert_true(s.fsync_p50_us > 0 && s.fsync_p99_us >= s.fsync_p50_us &&
                s.fsync_max_us >= s.fsync_p99_us);
    assert_true(diskio_stop(g->io));
    struct model all = g->log;
    rig_free(g, &all);
    free(buf);
}

/* While the disk is at work, what is more urgent overtakes what waits. */
static void test_urgent_first(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    uint8_t *buf = malloc(RECORD_MAX_BYTES);
    struct peerids ids = {.storage_id = 7};
    assert_non_null(buf);
    put(g, 1, 100);
    (void)wait_done(g);
    atomic_store(&g->disk.hang, true);
    seal(g);
    while (!atomic_load(&g->disk.hanging))
        (void)usleep(1000);
    for (uint16_t peer = 1; peer <= 2; peer++)
        diskio_fetch(g->io, (struct node_fetch){.peer = peer}, &(struct wal_pos){1, 0}, UINT64_MAX,
                     buf, RECORD_MAX_BYTES);
    diskio_remember(g->io, &ids, 5, (const uint8_t[PEERIDS_KEY_BYTES]){77});
    put(g, 1, 100);
    (void)usleep(3 * LONG_US);
    atomic_store(&g->disk.hang, false);
    assert_int_equal(wait_done(g).seq, 0);
    assert_int_equal(wait_done(g).seq, g->seq);
    assert_int_equal(wait_done(g).kind, DISKIO_REMEMBER);
    assert_int_equal(wait_done(g).what.peer, 1);
    assert_int_equal(wait_done(g).what.peer, 2);
    struct status s = status(g);
    assert_true(s.fsync_stalls >= 1 && s.fsync_max_us >= 3 * LONG_US);
    assert_true(diskio_stop(g->io));
    struct model all = g->log;
    rig_free(g, &all);
    free(buf);
}

/* A disk that is slow is named once, and told of when it is well again. */
static void test_slow_disk(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    int was;
    FILE *said = said_from(&was);
    for (int i = 0; i < 2 * DURATIONS_SLOW_MIN; i++) {
        atomic_store(&g->disk.hang, true);
        put(g, 1, 100);
        (void)usleep(2 * LONG_US);
        atomic_store(&g->disk.hang, false);
        (void)wait_done(g);
    }
    for (int i = 0; i < 2 * DURATIONS_SLOW_MIN * 100; i++) {
        put(g, 0, 0);
        (void)wait_done(g);
    }
    assert_true(diskio_stop(g->io));
    const char *lines = said_until(said, was);
    const char *slow = strstr(lines, "the disk of " DIR " (no block device) is slow");
    assert_non_null(slow);
    const char *well = strstr(slow + 1, "the disk of " DIR " is fast enough again, after ");
    assert_non_null(well);
    assert_true(strstr(slow + 1, "the disk of") == well);
    struct model all = g->log;
    rig_free(g, &all);
}

/* Segments are made ahead: a log thread that finds the next one there renames nothing itself. */
static void test_spare_ahead(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    unsigned before = atomic_load(&g->disk.made);
    uint64_t end = clock_us() + WAIT_US;
    while (atomic_load(&g->disk.made) == before) { /* the second segment, with room in the first */
        assert_true(clock_us() < end);
        if (g->log.last < 5) {
            put(g, 1, 100);
            (void)wait_done(g);
        }
        (void)usleep(1000);
    }
    assert_true(g->log.last <= 5);
    for (int i = 0; i < 60; i++) {
        put(g, 1, 1500);
        (void)wait_done(g);
        (void)usleep(1000);
    }
    assert_true(atomic_load(&g->disk.made) - before >= 5);
    assert_true(diskio_stop(g->io));
    struct model all = g->log;
    rig_free(g, &all);
}

static void vote(struct rig *g)
{
    g->log.term++;
    put(g, 0, 0);
}

/* A batch that finds no room is handed back at once; a vote and a fetch behind it are done, and when
 * there is room again, so are entries. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    static struct model before;
    uint8_t *buf = calloc(1, RECORD_MAX_BYTES);
    assert_non_null(buf);
    fill(g, &before);
    g->log = before;
    vote(g);
    diskio_fetch(g->io, (struct node_fetch){.peer = 3}, &(struct wal_pos){1, 0}, UINT64_MAX, buf,
                 RECORD_MAX_BYTES);
    struct diskio_done done = wait_done(g);
    assert_true(done.seq == g->seq && !done.refused);
    done = wait_done(g);
    assert_true(done.kind == DISKIO_FETCH && !done.refused && done.next.index == before.last + 1);
    before = g->log;
    put(g, 2, 1500);
    assert_true(wait_done(g).refused);

    int was;
    FILE *said = said_from(&was);
    for (int i = 0; i < 3; i++) { /* a snapshot that comes finds no room: it is said once */
        diskio_snap_open(g->io, &(struct snapshot_name){.index = 9, .size = 1000000});
        assert_false(wait_done(g).refused);
        diskio_snap_write(g->io, 0, buf, 4096);
        assert_true(wait_done(g).refused);
    }
    const char *once = strstr(said_until(said, was), "snapshots wait until there is room");
    assert_true(once != NULL && strstr(once + 1, "snapshots") == NULL);

    limit(&g->disk, 4 * SEGMENT_BYTES);
    g->log = before;
    put(g, 2, 1500);
    done = wait_done(g);
    assert_true(done.seq == g->seq && !done.refused);
    put(g, 1, 100); /* and on */
    assert_false(wait_done(g).refused);
    assert_true(diskio_stop(g->io));
    struct model all = g->log;
    rig_free(g, &all);
    free(buf);
}

/* Below the soft limit entries are refused, votes are not; it is said once, and over when there is room.
 * Status follows also while nothing is written. */
static void test_nearly_full(void **state)
{
    (void)state;
    min_free = 2 * SEGMENT_BYTES;
    struct rig *g = rig_new();
    int was;
    FILE *said = said_from(&was);
    min_free = 0;
    limit(&g->disk, 2 * SEGMENT_BYTES - 1);
    uint64_t number;
    for (int i = 0; i == 0 || !wal_wants_spare(g->w, &number);
         i++) { /* as long as none is needed */
        put(g, 1, 100);
        assert_false(wait_done(g).refused);
        (void)usleep(20000);
    }
    struct model before = g->log;
    uint64_t end = clock_us() + WAIT_US;
    while (status(g).disk_free != 2 * SEGMENT_BYTES - 1)
        assert_true(clock_us() < end);
    assert_int_equal(status(g).disk_min_free, 2 * SEGMENT_BYTES);
    for (int i = 0; i < 2; i++) {
        put(g, 1, 100);
        assert_true(wait_done(g).refused);
        g->log = before;
        vote(g);
        assert_false(wait_done(g).refused);
        before = g->log;
    }
    limit(&g->disk, 4 * SEGMENT_BYTES);
    end = clock_us() + 5000000; /* two seconds, and some in which a busy machine stands still */
    do {
        assert_true(clock_us() < end);
        g->log = before;
        put(g, 1, 100);
    } while (wait_done(g).refused);
    assert_true(diskio_stop(g->io));
    const char *lines = said_until(said, was);
    const char *full = strstr(lines,
                              "the disk is full: 65535 bytes are free, disk_min_free is 65536");
    assert_non_null(full);
    assert_null(strstr(full + 10, "disk is full"));
    assert_non_null(strstr(full, "the log has room again"));
    struct model all = g->log;
    rig_free(g, &all);
}

static void lose_log(struct rig *g)
{
    put(g, 1, 100);
    (void)wait_done(g);
    pthread_mutex_lock(&g->disk.lock);
    memdisk_lose(g->disk.m, DIR "/log/0000000000000001.seg");
    pthread_mutex_unlock(&g->disk.lock);
    for (uint64_t end = clock_us() + WAIT_US; clock_us() < end;)
        (void)status(g);
}

/* Nothing is acknowledged for long in a file that is in no directory any more. */
static void test_lost_file(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(lose_log), RAFTD_EXIT_DISK);
}

/* No descriptor to make the next segment with, none to read an old one with: neither ends the
 * process, and a batch does not wait for a read that does. */
static void test_no_descriptor(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    static struct model before;
    int was;
    FILE *said = said_from(&was);
    uint8_t *buf = malloc(RECORD_MAX_BYTES);
    assert_non_null(buf);
    for (int i = 0; i < 5; i++) {
        put(g, 1, 3000);
        assert_false(wait_done(g).refused);
    }
    atomic_store(&g->disk.no_descriptor, true);
    bool refused = false;
    for (int i = 0; i < 4 && !refused; i++) { /* the spare may have been made before */
        before = g->log;
        put(g, 1, 3000);
        refused = wait_done(g).refused;
    }
    if (refused)
        g->log = before;
    else
        (void)usleep(10000);
    atomic_store(&g->disk.no_descriptor, false);
    while (g->log.last < 12) {
        put(g, 1, 3000);
        assert_false(wait_done(g).refused);
    }
    atomic_store(&g->disk.no_descriptor, true);
    diskio_fetch(g->io, (struct node_fetch){.peer = 0}, &(struct wal_pos){1, 0}, UINT64_MAX, buf,
                 RECORD_MAX_BYTES);
    for (int i = 0; i < 2; i++) {
        before = g->log;
        vote(g);
        struct diskio_done done = wait_done(g);
        assert_int_equal(done.kind, DISKIO_BATCH);
        if (done.refused)
            g->log = before;
    }
    atomic_store(&g->disk.no_descriptor, false);
    struct diskio_done done = wait_done(g);
    assert_true(done.kind == DISKIO_FETCH && done.len > 0);
    assert_true(diskio_stop(g->io));
    const char *lines = said_until(said, was);
    assert_non_null(strstr(lines, "file descriptors of this process are in use"));
    assert_null(strstr(lines, "disk is full"));
    struct model all = g->log;
    rig_free(g, &all);
    free(buf);
}

/* A clean stop does not wait for room, nor for what waits to be read. */
static void test_stop_while_full(void **state)
{
    (void)state;
    struct rig *g = rig_new();
    static struct model before;
    uint8_t *buf = calloc(1, RECORD_MAX_BYTES);
    assert_non_null(buf);
    fill(g, &before);
    atomic_store(&g->disk.no_descriptor, true);
    diskio_fetch(g->io, (struct node_fetch){.peer = 0}, &(struct wal_pos){1, 0}, UINT64_MAX, buf,
                 RECORD_MAX_BYTES);
    uint64_t start = clock_us();
    assert_true(diskio_stop(g->io));
    assert_true(clock_us() - start < 4000000);
    atomic_store(&g->disk.no_descriptor, false);
    rig_free(g, &before); /* the batch that was refused was never acknowledged and is not there */
    free(buf);
}

/* What was handed over before a clean stop is on the disk after it. */
static void test_stop_writes_batches(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct rig *g = rig_new();
        put(g, 2, 1500);
        g->log.commit = 2;
        seal(g);
        assert_true(diskio_stop(g->io));
        rig_free(g, &g->log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_end_the_process), /* first: they fork */
        cmocka_unit_test(test_denied_ends_the_process),
        cmocka_unit_test(test_lost_file),
        cmocka_unit_test(test_stop_while_hung),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_urgent_first),
        cmocka_unit_test(test_slow_disk),
        cmocka_unit_test(test_spare_ahead),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_nearly_full),
        cmocka_unit_test(test_no_descriptor),
        cmocka_unit_test(test_stop_while_full),
        cmocka_unit_test(test_stop_writes_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
