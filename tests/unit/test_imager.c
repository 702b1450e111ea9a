// LINK: @diskio storage/disk_posix.c raftd/newest.c tests/lib/disk_memory.c TSAN
/* Snapshots of a running daemon: written beside other work, taken by another node and loaded by both. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/num.h"
#include "raftd/base/rcu.h"
#include "raftd/diskio.h"
#include "raftd/imager.h"
#include "raftd/newest.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "tests/lib/disk_jobs.h"
#include "tests/lib/disk_memory.h"

enum {
    CLUSTER = 5,
    VALUE_BYTES = 60000,
    LARGE = 80, /* such values: more than half a second of an image */
    PIECE_BYTES = 50000,
};

/* ---- a data directory, its threads and a state ---- */

struct box {
    char dir[64];
    uint64_t storage_id;
    struct disk disk;
    struct wal *wal;
    struct diskio *io;
    struct kv *kv;
    struct machine *machine;
    uint64_t index;
};

static void wake(void *ctx)
{
    (void)ctx;
}

static void box_start(struct box *b)
{
    const struct wal_options options = {.storage_id = b->storage_id};
    struct wal_report report;
    assert_int_equal(wal_open(&b->wal, &b->disk, b->dir, &options, &report), 0);
    b->io = diskio_start(&(struct diskio_config){
        .wal = b->wal,
        .disk = &b->disk,
        .dir = b->dir,
        .max_batch_bytes = 4096,
        .storage_id = b->storage_id,
        .cluster = CLUSTER,
        .long_us = UINT64_MAX,
        .wake = wake,
    });
    assert_non_null(b->io);
}

static void box_stop(struct box *b)
{
    assert_true(diskio_stop(b->io));
    wal_close(b->wal);
}

static struct box *box_new(uint64_t storage_id)
{
    struct box *b = calloc(1, sizeof *b);
    char err[WAL_MESSAGE_BYTES];
    assert_non_null(b);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/test_imager.XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    assert_int_equal(wal_create(&disk_posix, b->dir, storage_id, 0, err, sizeof err), 0);
    b->storage_id = storage_id;
    b->disk = disk_posix;
    b->kv = kv_new();
    assert_non_null(b->kv);
    b->machine = machine_new(b->kv);
    assert_non_null(b->machine);
    box_start(b);
    return b;
}

static void box_free(struct box *b)
{
    char command[100];
    box_stop(b);
    machine_free(b->machine);
    kv_free(b->kv);
    (void)snprintf(command, sizeof command, "rm -r %s", b->dir);
    assert_int_equal(system(command), 0);
    free(b);
}

static struct snapshots where(const struct box *b)
{
    return (struct snapshots){
        .disk = &disk_posix, .dir = b->dir, .storage_id = b->storage_id, .cluster = CLUSTER};
}

static void put(struct box *b, unsigned key, uint32_t value_len)
{
    static uint8_t buf[CMD_MAX_BYTES], value[VALUE_BYTES];
    uint8_t name = (uint8_t)key;
    memset(value, (int)b->index, sizeof value);
    struct cmd_item it = {CMD_PUT, 0, 1, value_len, &name, value};
    uint64_t process = machine_process(b->machine, 1);
    struct cmd c = {.operations = 1,
                    .origin = 1,
                    .process = process != 0 ? process : 100,
                    .predecessor = process,
                    .number = ++b->index};
    struct applied a;
    size_t size = cmd_encode(buf, &c, &it);
    assert_true(machine_apply(b->machine, b->index, 10 * b->index, buf, size, NULL, &a));
    assert_true(machine_publish(b->machine));
}

static struct diskio_done wait_done(struct box *b)
{
    return next_done(b->io);
}

static struct image *begin(struct box *b, uint64_t held)
{
    struct image *image = machine_freeze(b->machine);
    assert_non_null(image);
    struct snapshot_head head = {.index = b->index, .term = 1, .cluster_ms = 10 * b->index};
    diskio_image(b->io, &head, image, held);
    return image;
}

static struct snapshot_name end(struct box *b, struct image *image)
{
    struct diskio_done done = wait_done(b);
    assert_true(done.kind == DISKIO_IMAGE && !done.refused);
    assert_int_equal(done.name->index, image_index(image));
    struct snapshot_name name = *done.name;
    machine_thaw(b->machine, image);
    return name;
}

/* A snapshot of the state as it is now. */
static struct snapshot_name take(struct box *b)
{
    return end(b, begin(b, 0));
}

static bool is_there(const struct box *b, uint64_t index, const char *suffix)
{
    char path[100];
    (void)snprintf(path, sizeof path, "%s/snap/%016llx%s", b->dir, (unsigned long long)index,
                   suffix);
    return access(path, F_OK) == 0;
}

/* Files that were removed and take room still, since they are open. */
static unsigned removed_open(const struct box *b)
{
    char path[64], to[200];
    unsigned n = 0;
    for (int fd = 0; fd < 64; fd++) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, to, sizeof to - 1);
        to[len > 0 ? len : 0] = '\0';
        n += strncmp(to, b->dir, strlen(b->dir)) == 0 && strstr(to, "(deleted)") != NULL;
    }
    return n;
}

/* The next start's state is that of the machine now. */
static void loads_as(struct box *b, uint64_t index, const uint8_t digest[MACHINE_DIGEST_BYTES])
{
    struct snapshots s = where(b);
    struct snapshot_head head;
    struct snapshot_name name;
    struct image_load *load;
    assert_int_equal(newest_read(&s, &head, &name, &load), 0);
    assert_int_equal(name.index, index);
    assert_memory_equal(head.digest, digest, MACHINE_DIGEST_BYTES);
    image_load_free(load);
}

static void digest_of(const struct box *b, uint8_t digest[MACHINE_DIGEST_BYTES])
{
    machine_digest(b->machine, digest);
}

/* ---- tests ---- */

/* An image is of its index, whatever is written meanwhile; the two newest are kept, and the held one. */
static void test_images(void **state)
{
    (void)state;
    struct box *b = box_new(7);
    uint8_t digest[MACHINE_DIGEST_BYTES];
    put(b, 1, 100);
    uint64_t first = take(b).index;
    put(b, 2, 100);
    uint64_t held = take(b).index;
    for (int i = 0; i < 3; i++) {
        put(b, 3, VALUE_BYTES);
        digest_of(b, digest);
        struct image *image = begin(b, held);
        uint64_t index = b->index;
        put(b, 3, 10);
        (void)end(b, image);
        loads_as(b, index, digest);
    }
    assert_false(is_there(b, first, ".snap"));
    assert_true(is_there(b, held, ".snap"));
    assert_true(is_there(b, held + 5, ".snap") && is_there(b, held + 3, ".snap"));
    assert_false(is_there(b, held + 1, ".snap"));
    box_free(b);
}

static size_t read_some(struct box *b, uint64_t index)
{
    uint8_t bytes[100];
    diskio_snap_read(b->io, (struct node_fetch){.peer = 2}, index, 0, bytes, sizeof bytes);
    return wait_done(b).len;
}

/* Who reads a snapshot that is removed goes on; when nobody does any more, its room is free. */
static void test_removed_is_closed(void **state)
{
    (void)state;
    struct box *b = box_new(7);
    put(b, 1, 100);
    uint64_t first = take(b).index;
    for (int i = 0; i < 3; i++) {
        assert_true(read_some(b, first) > 0);
        put(b, 1, 100);
        (void)take(b);
    }
    assert_false(is_there(b, first, ".snap"));
    assert_int_equal(removed_open(b), 1);
    put(b, 1, 100);
    (void)take(b);
    assert_int_equal(removed_open(b), 0);
    assert_int_equal(read_some(b, first), 0);
    box_free(b);
}

/* Copies a snapshot from one box to another, from `at` up to `until` of its bytes. */
static void copy(struct box *from, struct box *to, const struct snapshot_name *name, uint64_t at,
                 uint64_t until)
{
    static uint8_t buf[PIECE_BYTES];
    while (at < until) {
        size_t len = until - at < sizeof buf ? (size_t)(until - at) : sizeof buf;
        diskio_snap_read(from->io, (struct node_fetch){.peer = 2, .generation = at}, name->index,
                         at, buf, len);
        struct diskio_done done = wait_done(from);
        assert_true(done.kind == DISKIO_SNAP_READ && done.what.generation == at);
        assert_int_equal(done.len, len);
        diskio_snap_write(to->io, at, buf, len);
        done = wait_done(to);
        assert_true(done.kind == DISKIO_SNAP_WRITE && !done.refused);
        at += len;
    }
}

static uint64_t open_part(struct box *b, const struct snapshot_name *name)
{
    diskio_snap_open(b->io, name);
    struct diskio_done done = wait_done(b);
    assert_true(done.kind == DISKIO_SNAP_OPEN && !done.refused);
    return done.have;
}

/* A snapshot goes to another node, which stops in the middle; it is the same state there. */
static void test_install(void **state)
{
    (void)state;
    struct box *from = box_new(7), *to = box_new(8);
    uint8_t digest[MACHINE_DIGEST_BYTES];
    for (unsigned i = 0; i < LARGE / 4; i++)
        put(from, i, VALUE_BYTES);
    struct snapshot_name name = take(from);
    digest_of(from, digest);
    assert_int_equal(open_part(to, &name), 0);
    copy(from, to, &name, 0, name.size / 2);
    diskio_snap_install(to->io); /* too soon: what is there goes */
    assert_true(wait_done(to).refused);
    assert_int_equal(open_part(to, &name), 0);
    copy(from, to, &name, 0, name.size / 2);
    box_stop(to);
    box_start(to);
    uint64_t have = open_part(to, &name);
    assert_in_range(have, name.size / 4, name.size / 2);
    copy(from, to, &name, have, name.size);
    diskio_snap_install(to->io);
    struct diskio_done done = wait_done(to);
    assert_true(done.kind == DISKIO_SNAP_INSTALL && !done.refused);
    assert_true(done.head->index == name.index && done.head->storage_id == to->storage_id);
    put(to, 99, 5); /* replaced */
    machine_replace(to->machine, done.load, done.head->index, done.head->cluster_ms);
    uint8_t now[MACHINE_DIGEST_BYTES];
    digest_of(to, now);
    assert_memory_equal(now, digest, sizeof now);
    loads_as(to, name.index, digest);
    diskio_snap_read(to->io, (struct node_fetch){.peer = 2}, name.index + 1, 0, now, 1);
    assert_int_equal(wait_done(to).len, 0); /* there is none */
    box_free(from);
    box_free(to);
}

static ssize_t slow_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    (void)usleep(20000);
    return disk_posix.pread(ctx, fd, buf, len, offset);
}

/* A stop does not wait until all that came is verified; it stays for the next start. */
static void test_stop_while_installing(void **state)
{
    (void)state;
    struct box *from = box_new(7), *to = box_new(8);
    for (unsigned i = 0; i < LARGE; i++)
        put(from, i, VALUE_BYTES);
    struct snapshot_name name = take(from);
    to->disk.pread = slow_pread;
    assert_int_equal(open_part(to, &name), 0);
    copy(from, to, &name, 0, name.size);
    diskio_snap_install(to->io);
    (void)usleep(200000); /* it takes 1.6 s */
    box_stop(to);
    assert_false(is_there(to, name.index, ".snap"));
    to->disk.pread = disk_posix.pread;
    box_start(to);
    assert_int_equal(open_part(to, &name), name.size);
    box_free(from);
    box_free(to);
}

/* Any call of the disk fails while what came is verified: what was there of it is closed once. */
static void test_install_fails(void **state)
{
    (void)state;
    static uint8_t bytes[2 * PIECE_BYTES];
    struct box *b = box_new(3);
    struct snapshots from = where(b);
    struct snapshot_name name;
    struct snapshot_head head = {.index = 1, .term = 1};
    put(b, 1, 100);
    struct image *image = machine_freeze(b->machine);
    struct imager *m = imager_new(&from, NULL, NULL);
    assert_true(image != NULL && m != NULL);
    assert_int_equal(imager_write(m, &head, image, 0, &name), 0);
    assert_int_equal(imager_read(m, 1, 0, bytes, sizeof bytes), name.size);
    imager_free(m);
    machine_thaw(b->machine, image);
    int rc = -EMFILE;
    for (unsigned call = 1; rc != 0; call++) {
        struct memdisk *disk = memdisk_new(1);
        struct snapshots to = from;
        struct image_load *load;
        uint64_t have;
        to.disk = memdisk_disk(disk);
        to.dir = "/d";
        assert_int_equal(to.disk->mkdir(to.disk->ctx, "/d"), 0);
        m = imager_new(&to, NULL, NULL);
        assert_non_null(m);
        assert_int_equal(imager_open(m, &name, &have), 0);
        assert_int_equal(imager_append(m, 0, bytes, name.size), 0);
        memdisk_fail_call(disk, call, EMFILE);
        rc = imager_install(m, &head, &load);
        assert_int_equal(rc == 0, load != NULL);
        assert_int_equal(imager_append(m, name.size, bytes, 0), -EINVAL); /* it is open no more */
        image_load_free(load);
        imager_free(m);
        memdisk_free(disk);
    }
    box_free(b);
}

/* A node that is brought one snapshot after the other, and writes none, keeps the newest two. */
static void test_many_installs(void **state)
{
    (void)state;
    static uint8_t bytes[2 * PIECE_BYTES];
    struct box *b = box_new(9);
    struct memdisk *disk = memdisk_new(1);
    struct snapshots from = where(b), to = from;
    struct snapshot_head head = {.term = 1};
    struct imager *giver = imager_new(&from, NULL, NULL), *taker;
    uint64_t have, indexes[SNAPSHOT_LIST_MAX];
    unsigned n;
    to.disk = memdisk_disk(disk);
    to.dir = "/d";
    assert_int_equal(to.disk->mkdir(to.disk->ctx, "/d"), 0);
    taker = imager_new(&to, NULL, NULL);
    assert_true(giver != NULL && taker != NULL);
    put(b, 1, 100);
    struct image *image = machine_freeze(b->machine);
    assert_non_null(image);
    machine_thaw(b->machine, image);
    for (head.index = 1; head.index <= 4; head.index++) {
        struct snapshot_name name;
        struct snapshot_head got;
        struct image_load *load;
        image = machine_freeze(b->machine);
        assert_int_equal(imager_write(giver, &head, image, 0, &name), 0);
        machine_thaw(b->machine, image);
        assert_int_equal(imager_read(giver, head.index, 0, bytes, sizeof bytes), name.size);
        assert_int_equal(imager_open(taker, &name, &have), 0);
        assert_int_equal(imager_append(taker, 0, bytes, name.size), 0);
        assert_int_equal(imager_install(taker, &got, &load), 0);
        image_load_free(load);
    }
    assert_int_equal(snapshot_list(&to, indexes, &n), 0);
    assert_true(n == SNAPSHOT_KEPT && indexes[0] == 4 && indexes[1] == 3);
    imager_free(giver);
    imager_free(taker);
    memdisk_free(disk);
    box_free(b);
}

static bool has_part(const struct box *b)
{
    char command[100];
    (void)snprintf(command, sizeof command, "ls %s/snap/*.part >/dev/null 2>&1", b->dir);
    return system(command) == 0;
}

/* What was fetched of a snapshot goes when this node has written one that is as new, and not before. */
static void test_overtaken(void **state)
{
    (void)state;
    struct box *from = box_new(7), *to = box_new(8);
    put(to, 1, 100);
    for (unsigned i = 0; i < 3; i++)
        put(from, i, VALUE_BYTES);
    struct snapshot_name name = take(from);
    assert_int_equal(open_part(to, &name), 0);
    copy(from, to, &name, 0, PIECE_BYTES);
    (void)take(to);
    copy(from, to, &name, PIECE_BYTES, 2 * PIECE_BYTES);
    assert_true(has_part(to));
    put(to, 1, 100);
    put(to, 1, 100);
    assert_int_equal(take(to).index, name.index);
    assert_false(has_part(to));
    diskio_snap_write(to->io, 2 * PIECE_BYTES, (const uint8_t *)"", 1); /* it is still under way */
    assert_true(wait_done(to).refused);
    diskio_snap_install(to->io);
    assert_true(wait_done(to).refused);
    box_free(from);
    box_free(to);
}

/* On a full disk a part stays open: each try to go on with it would read all of it. */
static void test_part_without_room(void **state)
{
    (void)state;
    struct memdisk *disk = memdisk_new(1);
    struct snapshots where = {.disk = memdisk_disk(disk), .dir = "/d", .storage_id = 3};
    struct snapshot_name name = {.index = 5, .term = 1, .size = 3 * PIECE_BYTES};
    struct imager *m = imager_new(&where, NULL, NULL);
    static uint8_t bytes[PIECE_BYTES];
    uint64_t have;
    assert_non_null(m);
    assert_int_equal(where.disk->mkdir(where.disk->ctx, "/d"), 0);
    assert_int_equal(imager_open(m, &name, &have), 0);
    assert_int_equal(imager_append(m, 0, bytes, sizeof bytes), 0);
    memdisk_limit(disk, memdisk_used(disk));
    assert_int_equal(imager_append(m, sizeof bytes, bytes, sizeof bytes), -ENOSPC);
    uint64_t calls = memdisk_calls(disk);
    assert_int_equal(imager_open(m, &name, &have), 0);
    assert_int_equal(have, sizeof bytes);
    assert_true(memdisk_calls(disk) == calls);
    memdisk_limit(disk, UINT64_MAX);
    assert_int_equal(imager_append(m, have, bytes, sizeof bytes), 0);
    name.hash[0]++; /* another one */
    assert_int_equal(imager_open(m, &name, &have), 0);
    assert_int_equal(have, 0);
    imager_free(m);
    memdisk_free(disk);
}

/* A medium without room, or one that can't be read. */
struct card {
    atomic_bool full, deaf;
    atomic_llong room;
    atomic_uint writes;
};

static int card_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t offset)
{
    struct card *c = ctx;
    c->writes++;
    return c->full ? -ENOSPC : disk_posix.pwritev(NULL, fd, iov, n, offset);
}

static ssize_t card_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    const struct card *c = ctx;
    return c->deaf ? -EIO : disk_posix.pread(NULL, fd, buf, len, offset);
}

static int64_t card_room(void *ctx, const char *path)
{
    (void)path;
    return ((const struct card *)ctx)->room;
}

/* An image that fills the disk, or cannot be read back, is given up, and the node lives on; but no other one
 * wears the medium for nothing, unless there is more room. */
static void test_images_that_fail(void **state)
{
    (void)state;
    struct card card = {.room = 1 << 20};
    struct box *b = box_new(3);
    box_stop(b);
    b->disk.ctx = &card;
    b->disk.pwritev = card_pwritev;
    b->disk.pread = card_pread;
    b->disk.room = card_room;
    box_start(b);
    put(b, 1, VALUE_BYTES);
    for (unsigned why = 0; why < 2; why++) {
        card.full = why == 0;
        card.deaf = why == 1;
        struct image *image = begin(b, 0);
        assert_true(wait_done(b).refused);
        machine_thaw(b->machine, image);
        unsigned writes = card.writes;
        assert_true(writes > 0);
        card.full = card.deaf = false;
        image = begin(b, 0);
        assert_true(wait_done(b).refused);
        machine_thaw(b->machine, image);
        assert_int_equal(card.writes, writes);
        card.room += 1 << 20;
        if (why == 0)
            (void)take(b);
        put(b, 2, VALUE_BYTES);
    }
    box_free(b);
}

/* While an image is written others read and write snapshots; it can be given up, and a stop does not
 * wait for it. What it leaves goes with the next. */
static void test_between(void **state)
{
    (void)state;
    struct box *b = box_new(7);
    static uint8_t buf[PIECE_BYTES];
    put(b, 1, 100);
    struct snapshot_name small = take(b);
    for (unsigned i = 0; i < LARGE; i++)
        put(b, i, VALUE_BYTES);
    uint64_t start = clock_us();
    struct image *image = begin(b, 0);
    diskio_snap_read(b->io, (struct node_fetch){.peer = 2}, small.index, 0, buf, sizeof buf);
    struct diskio_done done = wait_done(b);
    assert_true(done.kind == DISKIO_SNAP_READ && done.len == small.size);
    struct snapshot_name large = end(b, image);
    uint64_t took = clock_us() - start;
    assert_true(took >=
                large.size * 1000000 / IMAGER_BYTES_PER_S); /* and the same to read it back */

    uint64_t least =
        took; /* one in a hurry does not rest: other work may delay some, but not all of them */
    for (int i = 0; i < 10 && least > took / 2; i++) {
        put(b, 1, 100);
        start = clock_us();
        image = begin(b, 0);
        diskio_image_end(b->io, true);
        (void)end(b, image);
        least = min_u64(least, clock_us() - start);
    }
    assert_true(least < took / 2);

    put(b, 1, 100);
    image = begin(b, 0);
    diskio_image_end(b->io, false);
    done = wait_done(b);
    assert_true(done.kind == DISKIO_IMAGE && done.refused);
    machine_thaw(b->machine, image);
    assert_false(is_there(b, b->index, ".snap") || is_there(b, 0, ".tmp"));

    least = took; /* nor does a stop wait for it */
    for (int i = 0; i < 3 && least > took / 2; i++) {
        start = clock_us();
        image = begin(b, 0);
        (void)usleep(20000);
        box_stop(b);
        least = min_u64(least, clock_us() - start);
        machine_thaw(b->machine, image);
        box_start(b);
    }
    assert_true(least < took / 2);
    (void)take(b);
    assert_true(is_there(b, b->index, ".snap"));
    box_free(b);
}

/* A peer that takes a snapshot does not wait until the next piece of an image is due. */
static void test_peer_in_a_rest(void **state)
{
    (void)state;
    struct box *b = box_new(7);
    static uint8_t buf[PIECE_BYTES];
    put(b, 1, 100);
    struct snapshot_name small = take(b);
    for (unsigned i = 0; i < LARGE; i++)
        put(b, i, VALUE_BYTES);
    struct image *image = begin(b, 0);
    struct diskio_done done = {.kind = DISKIO_SNAP_READ};
    unsigned reads = 0;
    for (; done.kind == DISKIO_SNAP_READ; reads++) {
        diskio_snap_read(b->io, (struct node_fetch){.peer = 2}, small.index, 0, buf, sizeof buf);
        done = wait_done(b);
    }
    unsigned pieces = 2 *
                      (unsigned)(done.name->size / SNAPSHOT_CHUNK_MAX_BYTES); /* and read back */
    assert_true(reads > 2 * pieces);
    assert_true(wait_done(b).kind == DISKIO_SNAP_READ);
    machine_thaw(b->machine, image);
    box_free(b);
}

static void damage(const struct box *b, uint64_t index)
{
    char path[100];
    (void)snprintf(path, sizeof path, "%s/snap/%016llx.snap", b->dir, (unsigned long long)index);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, 4200, SEEK_SET), 0);
    assert_int_equal(fputc('!', f), '!');
    assert_int_equal(fclose(f), 0);
}

/* A damaged newest one is put aside, and the one before it counts; a check changes nothing. */
static void test_damaged_newest(void **state)
{
    (void)state;
    struct box *b = box_new(7);
    struct snapshots s = where(b);
    struct snapshot_head head;
    struct snapshot_name name;
    uint8_t digest[MACHINE_DIGEST_BYTES];
    assert_int_equal(newest_read(&s, &head, &name, NULL), 0);
    assert_int_equal(name.index, 0);
    put(b, 1, 1000);
    digest_of(b, digest);
    uint64_t first = take(b).index;
    put(b, 1, 2000);
    uint64_t second = take(b).index;
    damage(b, second);
    assert_int_equal(newest_read(&s, &head, &name, NULL), 0);
    assert_int_equal(name.index, first);
    assert_true(is_there(b, second, ".snap"));
    loads_as(b, first, digest);
    assert_false(is_there(b, second, ".snap"));
    assert_true(is_there(b, second, ".damaged"));
    damage(b, first);
    struct image_load *load;
    assert_int_equal(newest_read(&s, &head, &name, &load), 0);
    assert_true(name.index == 0 && load == NULL);
    box_free(b);
}

static int busy_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t offset)
{
    enum { BUSY_US = 5000 };
    clock_t end = clock() + BUSY_US;
    while (clock() < end)
        ;
    return disk_posix.pwritev(ctx, fd, iov, n, offset);
}

static int rests(void *ctx, uint64_t until_us)
{
    (void)ctx;
    uint64_t now = clock_us();
    if (until_us > now)
        (void)usleep((useconds_t)(until_us - now));
    return 0;
}

/* An image leaves most of a processor to others, ... */
static void test_rests(void **state)
{
    (void)state;
    struct box *b = box_new(7);
    for (unsigned i = 0; i < LARGE / 4; i++)
        put(b, i, VALUE_BYTES);
    struct image *image = machine_freeze(b->machine);
    struct snapshot_head head = {.index = b->index, .term = 1};
    struct snapshots s = where(b);
    struct disk busy = disk_posix;
    busy.pwritev = busy_pwritev;
    s.disk = &busy;
    struct imager *m = imager_new(&s, rests, NULL);
    struct snapshot_name name;
    clock_t used = clock();
    uint64_t start = clock_us();
    assert_int_equal(imager_write(m, &head, image, 0, &name), 0);
    used = clock() - used;
    assert_true(used >
                50000); /* microseconds; some of it is for what comes before and after all pieces */
    assert_true(clock_us() - start > (uint64_t)used * (IMAGER_CPU_PART - 1));
    machine_thaw(b->machine, image);
    imager_free(m);
    box_free(b);
}

/* ... but its thread is no lower than the others: when the log is full all wait for the image, and a thread
 * that has once gone down may not come up again. */
static void test_threads_are_equal(void **state)
{
    (void)state;
    struct box *b = box_new(7);
    put(b, 1, 100);
    (void)take(b);
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    unsigned n = 0;
    for (const struct dirent *e; (e = readdir(tasks)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        n++;
        assert_int_equal(getpriority(PRIO_PROCESS, (id_t)atoi(e->d_name)),
                         getpriority(PRIO_PROCESS, 0));
    }
    (void)closedir(tasks);
    assert_true(n > 3);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_removed_is_closed),
        cmocka_unit_test(test_install),
        cmocka_unit_test(test_install_fails),
        cmocka_unit_test(test_stop_while_installing),
        cmocka_unit_test(test_many_installs),
        cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_part_without_room),
        cmocka_unit_test(test_images_that_fail),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_peer_in_a_rest),
        cmocka_unit_test(test_damaged_newest),
        cmocka_unit_test(test_rests),
        cmocka_unit_test(test_threads_are_equal),
    };
    if (rcu_start() < 0)
        return 1;
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
