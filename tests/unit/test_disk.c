// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c storage/disk_posix.c
/* The two disks behave alike where storage relies on it; the one in memory forgets what it should;
 * and a whole log works on the real one. */
#include "storage/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/ident.h"
#include "storage/wal.h"
#include "storage/wal_impl.h"
#include "tests/lib/disk_model.h"
#include "tests/lib/disk_memory.h"

static char dir[200]; /* of the real disk, removed at the end */

static const char *in(const char *base, const char *name)
{
    static char path[4][400];
    static unsigned next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", base, name);
    return p;
}

static int count(void *arg, const char *name)
{
    char *seen = arg;
    strcat(seen, name);
    strcat(seen, " ");
    return 0;
}

static int stop(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return -42;
}

/* What disk.h promises, on any disk. */
static void contract(const struct disk *d, const char *path)
{
    void *c = d->ctx;
    char base[300];
    uint8_t buf[64];
    char seen[200] = "";

    strcpy(base, path); /* in() reuses its memory */
    assert_int_equal(d->mkdir(c, base), 0);
    assert_int_equal(d->mkdir(c, base), -EEXIST);
    assert_int_equal(d->open(c, in(base, "a"), DISK_READ), -ENOENT);
    assert_int_equal(d->open(c, in(base, "a"), DISK_WRITE), -ENOENT);
    int fd = d->open(c, in(base, "a"), DISK_CREATE);
    assert_true(fd >= 0);
    assert_int_equal(d->open(c, in(base, "a"), DISK_CREATE), -EEXIST);

    char hello[] = "hello ", world[] = "world";
    struct iovec iov[] = {{hello, 6}, {hello, 0}, {world, 5}};
    assert_int_equal(d->pwritev(c, fd, iov, 3, 10), 0);
    assert_int_equal(d->size(c, fd), 21);
    assert_int_equal(d->pread(c, fd, buf, sizeof buf, 0), 21);
    assert_memory_equal(buf, "\0\0\0\0\0\0\0\0\0\0hello world", 21);
    assert_int_equal(d->pread(c, fd, buf, 5, 16), 5);
    assert_memory_equal(buf, "world", 5);
    assert_int_equal(d->pread(c, fd, buf, 5, 21), 0);
    assert_int_equal(d->fdatasync(c, fd), 0);
    assert_int_equal(d->drop_cache(c, fd), 0);
    assert_int_equal(d->pread(c, fd, buf, 5, 16), 5);
    assert_memory_equal(buf, "world", 5);
    assert_int_equal(d->close(c, fd), 0);

    assert_int_equal(d->open(c, in(base, "a"), DISK_DIR), -ENOTDIR);
    assert_int_equal(d->open(c, in(base, "nothing"), DISK_DIR), -ENOENT);
    assert_true(d->room(c, base) > 0);
    assert_int_equal(d->room(c, in(base, "nothing")), -ENOENT);
    fd = d->open(c, base, DISK_DIR);
    assert_true(fd >= 0);
    int again = d->open(c, base, DISK_DIR);
    assert_true(again >= 0 && again != fd);
    assert_int_equal(d->lock(c, fd), 0);
    assert_int_equal(d->lock(c, again), -EWOULDBLOCK);
    assert_int_equal(d->close(c, fd), 0);
    assert_int_equal(d->lock(c, again), 0);
    assert_int_equal(d->close(c, again), 0);

    fd = d->open(c, in(base, "b"), DISK_CREATE);
    assert_int_equal(d->close(c, fd), 0);
    assert_int_equal(d->rename(c, in(base, "a"), in(base, "b")), -EEXIST);
    assert_int_equal(d->rename(c, in(base, "nothing"), in(base, "c")), -ENOENT);
    assert_int_equal(d->rename(c, in(base, "a"), in(base, "c")), 0);
    assert_int_equal(d->list(c, base, count, seen), 0);
    assert_true(strcmp(seen, "b c ") == 0 || strcmp(seen, "c b ") == 0);
    assert_int_equal(d->list(c, base, stop, NULL), -42);
    assert_int_equal(d->list(c, in(base, "nothing"), count, seen), -ENOENT);
    assert_int_equal(d->sync_dir(c, base), 0);
    assert_int_equal(d->sync_dir(c, in(base, "nothing")), -ENOENT);
    assert_int_equal(d->unlink(c, in(base, "b")), 0);
    assert_int_equal(d->unlink(c, in(base, "b")), -ENOENT);
    assert_int_equal(d->unlink(c, in(base, "c")), 0);
}

static void both_disks_keep_the_contract(void **state)
{
    struct memdisk *m = memdisk_new(1);

    (void)state;
    contract(memdisk_disk(m), "/x");
    contract(&disk_posix, in(dir, "x"));
    memdisk_free(m);
}

/* Whatever the umask says. */
static void what_is_made_is_its_owners_alone(void **state)
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    const struct disk *d = &disk_posix;
    struct stat st;
    char sub[300], file[310];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        snprintf(sub, sizeof sub, "%s/mode%u", dir, i);
        snprintf(file, sizeof file, "%s/f", sub);
        mode_t before = umask(masks[i]);
        int made = d->mkdir(d->ctx, sub);
        int fd = d->open(d->ctx, file, DISK_CREATE);
        umask(before);
        assert_int_equal(made, 0);
        assert_true(fd >= 0);
        assert_int_equal(d->close(d->ctx, fd), 0);
        assert_int_equal(stat(sub, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

/* Nobody has the other end. Without the fix, open() waits for somebody, and the alarm ends the test. */
static void what_is_no_file_is_not_opened_as_one(void **state)
{
    (void)state;
    const struct disk *d = &disk_posix;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char path[300];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", in(dir, "socket"));
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    close(fd);
    assert_int_equal(mkfifo(in(dir, "pipe"), 0600), 0);
    assert_int_equal(mkdir(in(dir, "directory"), 0700), 0);
    fd = d->open(d->ctx, in(dir, "file"), DISK_CREATE);
    assert_int_equal(d->close(d->ctx, fd), 0);
    assert_int_equal(symlink("/dev/zero", in(dir, "device")), 0);
    assert_int_equal(symlink("file", in(dir, "link")), 0);
    assert_int_equal(symlink("loop", in(dir, "loop")), 0);
    assert_int_equal(symlink("nothing", in(dir, "to_nothing")), 0);
    static const char *const names[] = {"socket", "pipe", "directory", "device",
                                        "link",   "loop", "to_nothing"};
    alarm(10); /* none of them holds anybody up */
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        for (enum disk_open how = DISK_READ; how <= DISK_BLOCKS; how++) {
            snprintf(path, sizeof path, "%s", in(dir, names[i]));
            if (how != DISK_CREATE && how != DISK_DIR)
                assert_int_equal(d->open(d->ctx, path, how), -EISDIR);
        }
    assert_int_equal(d->open(d->ctx, "/dev/zero", DISK_READ), -EISDIR);
    assert_int_equal(d->open(d->ctx, in(dir, "loop"), DISK_DIR), -ELOOP);
    alarm(0);
    assert_int_equal(symlink("directory", in(dir, "to_directory")), 0);
    fd = d->open(d->ctx, in(dir, "to_directory"), DISK_DIR);
    assert_true(fd >= 0);
    assert_int_equal(d->close(d->ctx, fd), 0);
}

/* Whether the file system can write past its cache or not, and wherever in memory the bytes are. */
static void whole_blocks_are_written(void **state)
{
    enum { BLOCKS = 3, BYTES = BLOCKS * DISK_BLOCK_BYTES };
    const struct disk *d = &disk_posix;
    char path[400];
    static _Alignas(DISK_BLOCK_BYTES) uint8_t room[BYTES + 1], back[BYTES];
    (void)state;
    snprintf(path, sizeof path, "%s", in(dir, "blocks"));
    int fd = d->open(d->ctx, path, DISK_CREATE);
    struct iovec iov = {.iov_base = room, .iov_len = BYTES};
    assert_int_equal(d->pwritev(d->ctx, fd, &iov, 1, 0), 0);
    assert_int_equal(d->close(d->ctx, fd), 0);
    fd = d->open(d->ctx, path, DISK_BLOCKS);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < 4;
         i++) { /* the later ones begin at an odd place, so the cache takes them */
        uint8_t *from = room + (i > 1);
        memset(from, 'a' + (int)i, BYTES);
        iov = (struct iovec){.iov_base = from, .iov_len = DISK_BLOCK_BYTES};
        uint64_t at = (uint64_t)(i % BLOCKS) * DISK_BLOCK_BYTES;
        assert_int_equal(d->pwritev(d->ctx, fd, &iov, 1, at), 0);
        assert_int_equal(d->fdatasync(d->ctx, fd), 0);
        assert_int_equal(d->pread(d->ctx, fd, back, DISK_BLOCK_BYTES, at), DISK_BLOCK_BYTES);
        assert_memory_equal(back, from, DISK_BLOCK_BYTES);
        assert_int_equal(d->pread(d->ctx, fd, back, 100, at), 100);
        assert_memory_equal(back, from, 100);
    }
    assert_int_equal(d->size(d->ctx, fd), BYTES);
    assert_int_equal(d->close(d->ctx, fd), 0);
}

static void the_memory_disk_forgets_what_was_not_synced(void **state)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    size_t size;
    char one[] = "one", two[] = "two";
    struct iovec iov = {one, 3};

    (void)state;
    int fd = d->open(d->ctx, "/f", DISK_CREATE);
    assert_int_equal(d->pwritev(d->ctx, fd, &iov, 1, 0), 0);
    assert_int_equal(d->fdatasync(d->ctx, fd), 0);
    /* The file is durable, its name is not. */
    struct memdisk *c = memdisk_clone(m);
    memdisk_power_cut(c, MEMDISK_KEEP_NONE);
    assert_null(memdisk_peek(c, "/f", &size));
    memdisk_free(c);
    assert_int_equal(d->sync_dir(d->ctx, "/"), 0);
    /* A write that waits. */
    iov.iov_base = two;
    assert_int_equal(d->pwritev(d->ctx, fd, &iov, 1, 3), 0);
    c = memdisk_clone(m);
    memdisk_power_cut(c, MEMDISK_KEEP_NONE);
    assert_memory_equal(memdisk_peek(c, "/f", &size), "one", 3);
    assert_int_equal(size, 3);
    memdisk_free(c);
    c = memdisk_clone(m);
    memdisk_power_cut(c, MEMDISK_KEEP_ALL);
    assert_memory_equal(memdisk_peek(c, "/f", &size), "onetwo", 6);
    memdisk_free(c);
    /* A sync that fails, and one that then lies. */
    memdisk_fail_call(m, 1, EIO);
    assert_int_equal(d->fdatasync(d->ctx, fd), -EIO);
    assert_int_equal(d->fdatasync(d->ctx, fd), 0);
    memdisk_power_cut(m, MEMDISK_KEEP_NONE);
    assert_memory_equal(memdisk_peek(m, "/f", &size), "one", 3);
    assert_int_equal(size, 3);
    /* A directory whose own name was not synced takes its files along. */
    assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
    fd = d->open(d->ctx, "/d/f", DISK_CREATE);
    assert_true(fd >= 0);
    assert_int_equal(d->sync_dir(d->ctx, "/d"), 0);
    memdisk_power_cut(m, MEMDISK_KEEP_NONE);
    assert_null(memdisk_peek(m, "/d/f", &size));
    memdisk_free(m);
}

static void a_whole_log_works_on_the_real_disk(void **state)
{
    const struct ident id = {.name = "c", .voters = {2}, .n_voters = 1, .node_id = 2, .key = {3}};
    const struct wal_options options = {.segment_bytes = 64 << 10, .storage_id = 3};
    char data[250], err[300];
    struct model *m = calloc(1, sizeof *m);
    struct model_batch *b = calloc(1, sizeof *b);
    struct wal_report rep;
    struct wal *w;
    uint64_t rng = 9;
    struct ident_lock lock;

    (void)state;
    assert_true(m != NULL && b != NULL);
    snprintf(data, sizeof data, "%s/data", dir);
    assert_int_equal(ident_lock(&disk_posix, data, true, &lock, err, sizeof err), IDENT_OK);
    assert_int_equal(
        ident_create(&disk_posix, data, &id, id.key, options.segment_bytes, err, sizeof err),
        IDENT_OK);
    for (int life = 0; life < 3; life++) {
        assert_int_equal(wal_open(&w, &disk_posix, data, &options, &rep), 0);
        assert_int_equal(rep.verdict, WAL_CLEAN);
        assert_null(model_differs(m, w, &rep));
        for (int i = 0; i < 40; i++) {
            model_step(m, b, &rng);
            if (wal_append(w, &b->batch) != 0)
                fail_msg("%s", wal_error(w));
        }
        int flags = fcntl(w->fd, F_GETFL);
        assert_null(model_differs(m, w, NULL));
        assert_int_equal(fcntl(w->fd, F_GETFL),
                         flags); /* reads do not stand in the way of writes */
        wal_close(w);
    }
    assert_true(rep.segments >= 2);

    /* Another process meets the lock. */
    pid_t pid = fork();
    if (pid == 0) {
        struct ident_lock mine;
        close(lock.dir); /* shared after fork: only the parent's copy may hold it */
        _exit(ident_lock(&disk_posix, data, false, &mine, err, sizeof err) == IDENT_LOCKED ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(close(lock.dir), 0);
    free(m);
    free(b);
}

static int make_dir(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/raftd-disk-XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_disks_keep_the_contract),
        cmocka_unit_test(what_is_made_is_its_owners_alone),
        cmocka_unit_test(what_is_no_file_is_not_opened_as_one),
        cmocka_unit_test(whole_blocks_are_written),
        cmocka_unit_test(the_memory_disk_forgets_what_was_not_synced),
        cmocka_unit_test(a_whole_log_works_on_the_real_disk),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
