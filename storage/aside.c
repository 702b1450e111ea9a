/* aside.c: see aside.h. */
#include "storage/aside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/num.h"
#include "storage/batch.h"
#include "storage/segment.h"

static int failed(const struct aside *a, int rc, const char *call, const char *path)
{
    return segment_fail(a->err, a->err_size, rc, call, path);
}

/* DIR/log/damaged/NAME */
static void path_in(char path[WAL_PATH_MAX], const char *dir, const char *name)
{
    (void)snprintf(path, WAL_PATH_MAX, "%s/log/damaged%s", dir, name);
}

static void path_of(char path[WAL_PATH_MAX], const struct aside *a, uint64_t number)
{
    char name[64];
    (void)snprintf(name, sizeof name, "/%" PRIu32 "-%016" PRIx64 SEGMENT_SUFFIX, a->n, number);
    path_in(path, a->dir, name);
}

/* Of the n-th start that found damage; false: the file is none of ours. */
static bool number_of(const char *name, uint64_t *n)
{
    return num_take(&name, 10, UINT32_MAX - 1, n) && *name == '-';
}

static int find_last(void *arg, const char *name)
{
    struct aside *a = arg;
    uint64_t n;
    if (number_of(name, &n) && n >= a->n)
        a->n = (uint32_t)n + 1;
    return 0;
}

int aside_begin(struct aside *a)
{
    char damaged[WAL_PATH_MAX], log[WAL_PATH_MAX];
    path_in(damaged, a->dir, "");
    a->n = 1;
    int rc = a->d->mkdir(a->d->ctx, damaged);
    if (rc != 0 && rc != -EEXIST)
        return failed(a, rc, "mkdir", damaged);
    rc = a->d->list(a->d->ctx, damaged, find_last, a);
    if (rc == -ENOTDIR) {
        (void)snprintf(
            a->err, a->err_size,
            "%s: is no directory, but what is damaged is kept there: give it another name",
            damaged);
        return rc;
    }
    if (rc != 0)
        return failed(a, rc, "list", damaged);
    if ((rc = segment_dir(log, a->dir)) == 0)
        rc = a->d->sync_dir(a->d->ctx, log);
    return rc == 0 ? 0 : failed(a, rc, "fsync", log);
}

/* The new name first: a crash leaves two names rather than none. */
static int sync_names(const struct aside *a)
{
    char damaged[WAL_PATH_MAX], log[WAL_PATH_MAX];
    path_in(damaged, a->dir, "");
    int rc = a->d->sync_dir(a->d->ctx, damaged);
    if (rc != 0)
        return failed(a, rc, "fsync", damaged);
    if ((rc = segment_dir(log, a->dir)) == 0)
        rc = a->d->sync_dir(a->d->ctx, log);
    return rc == 0 ? 0 : failed(a, rc, "fsync", log);
}

int aside_move(const struct aside *a, uint64_t number)
{
    char from[WAL_PATH_MAX], to[WAL_PATH_MAX];
    segment_path(from, a->dir, number, SEGMENT_SUFFIX);
    path_of(to, a, number);
    int rc = a->d->rename(a->d->ctx, from, to);
    return rc != 0 ? failed(a, rc, "rename", from) : sync_names(a);
}

static int copy_blocks(const struct aside *a, int in, int out, const char *from, const char *to)
{
    uint8_t block[BATCH_BLOCK_BYTES];
    for (uint64_t at = 0;; at += sizeof block) {
        ssize_t n = a->d->pread(a->d->ctx, in, block, sizeof block, at);
        if (n == -EIO) {
            memset(block, 0, sizeof block);
            n = sizeof block;
        }
        if (n <= 0)
            return n == 0 ? 0 : failed(a, (int)n, "read", from);
        struct iovec iov = {.iov_base = block, .iov_len = (size_t)n};
        int rc = a->d->pwritev(a->d->ctx, out, &iov, 1, at);
        if (rc != 0)
            return failed(a, rc, "write", to);
    }
}

int aside_copy(const struct aside *a, uint64_t number)
{
    const struct disk *d = a->d;
    char from[WAL_PATH_MAX], tmp[WAL_PATH_MAX], to[WAL_PATH_MAX];
    segment_path(from, a->dir, number, SEGMENT_SUFFIX);
    path_in(tmp, a->dir, "/copy.tmp");
    path_of(to, a, number);
    int rc = d->unlink(d->ctx, tmp);
    if (rc != 0 && rc != -ENOENT)
        return failed(a, rc, "unlink", tmp);
    int in = d->open(d->ctx, from, DISK_READ);
    if (in < 0)
        return failed(a, in, "open", from);
    int out = d->open(d->ctx, tmp, DISK_CREATE);
    rc = out < 0 ? failed(a, out, "create", tmp) : copy_blocks(a, in, out, from, tmp);
    if (rc == 0 && (rc = d->fdatasync(d->ctx, out)) != 0)
        (void)failed(a, rc, "fdatasync", tmp);
    int closed = d->close(d->ctx, in);
    if (out >= 0) {
        int other = d->close(d->ctx, out);
        closed = closed != 0 ? closed : other;
    }
    if (rc == 0 && closed != 0)
        rc = failed(a, closed, "close", tmp);
    if (rc == 0 && (rc = d->rename(d->ctx, tmp, to)) != 0)
        (void)failed(a, rc, "rename", tmp);
    return rc == 0 ? sync_names(a) : rc;
}

struct pile {
    const struct aside *a;
    uint64_t bytes, oldest; /* of all files; which start made the file `name` */
    char name[64];
};

static int add_file(void *arg, const char *name)
{
    struct pile *p = arg;
    const struct disk *d = p->a->d;
    char path[WAL_PATH_MAX], with_slash[sizeof p->name];
    uint64_t n;
    if (!number_of(name, &n) || strlen(name) + 2 > sizeof with_slash)
        return 0;
    (void)snprintf(with_slash, sizeof with_slash, "/%s", name);
    path_in(path, p->a->dir, with_slash);
    int fd = d->open(d->ctx, path, DISK_READ);
    if (fd < 0)
        return fd;
    int64_t size = d->size(d->ctx, fd);
    int closed = d->close(d->ctx, fd);
    if (size < 0 || closed != 0)
        return size < 0 ? (int)size : closed;
    p->bytes += (uint64_t)size;
    if (n < p->oldest) {
        p->oldest = n;
        (void)snprintf(p->name, sizeof p->name, "%s", with_slash);
    }
    return 0;
}

int aside_trim(const struct aside *a, uint64_t max_bytes)
{
    char damaged[WAL_PATH_MAX], path[WAL_PATH_MAX];
    path_in(damaged, a->dir, "");
    for (;;) {
        struct pile p = {.a = a, .oldest = a->n};
        int rc = a->d->list(a->d->ctx, damaged, add_file, &p);
        if (rc != 0)
            return failed(a, rc, "list", damaged);
        if (max_bytes == 0 || p.bytes <= max_bytes || p.name[0] == '\0')
            return 0;
        path_in(path, a->dir, p.name);
        if ((rc = a->d->unlink(a->d->ctx, path)) != 0)
            return failed(a, rc, "unlink", path);
    }
}

/* The nearest place behind one. */
struct place {
    uint64_t behind_number, number;
    uint64_t behind_n, n;
};

static int find_next(void *arg, const char *name)
{
    struct place *p = arg;
    uint64_t n, number;
    const char *at = name;
    if (!num_take(&at, 10, UINT32_MAX - 1, &n) || *at++ != '-' ||
        !num_take(&at, 16, UINT64_MAX, &number) || strcmp(at, SEGMENT_SUFFIX) != 0)
        return 0;
    bool behind = number > p->behind_number || (number == p->behind_number && n > p->behind_n);
    if (behind && (number < p->number || (number == p->number && n < p->n))) {
        p->number = number;
        p->n = n;
    }
    return 0;
}

int aside_next(const struct disk *d, const char *dir, uint64_t *number, uint32_t *n,
               char path[WAL_PATH_MAX])
{
    struct place p = {
        .behind_number = *number, .behind_n = *n, .number = UINT64_MAX, .n = UINT64_MAX};
    path_in(path, dir, "");
    int rc = d->list(d->ctx, path, find_next, &p);
    if (rc != 0 || p.n == UINT64_MAX)
        return rc != 0 ? rc : -ENOENT;
    *number = p.number;
    *n = (uint32_t)p.n;
    path_of(path, &(struct aside){.dir = dir, .n = *n}, *number);
    return d->open(d->ctx, path, DISK_READ);
}
