/* segment.c: see segment.h. */
#include "storage/segment.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/batch.h"

enum {
    NAME_ROOM = 48, /* "/log/damaged/", 10 digits, "-", 16 digits, the longest suffix, and some */
    ZERO_IOVS = 64, /* one call writes 256 KiB of zeros from one block of them */
};

static const uint8_t zero_block[BATCH_BLOCK_BYTES];

int segment_dir(char path[WAL_PATH_MAX], const char *dir)
{
    if (strlen(dir) + NAME_ROOM > WAL_PATH_MAX)
        return -ENAMETOOLONG;
    int n = snprintf(path, WAL_PATH_MAX, "%s/log", dir);
    assert(n > 0 && n < WAL_PATH_MAX);
    (void)n;
    return 0;
}

void segment_path(char path[WAL_PATH_MAX], const char *dir, uint64_t number, const char *suffix)
{
    int n = snprintf(path, WAL_PATH_MAX, "%s/log/%016" PRIx64 "%s", dir, number, suffix);
    assert(n > 0 && n < WAL_PATH_MAX);
    (void)n;
}

int segment_fail(char *err, size_t err_size, int rc, const char *call, const char *path)
{
    /* A message that is too long is cut: it still has the call and most of the path. */
    int n = snprintf(err, err_size, "%s %s: %s", call, path,
                     rc == -EISDIR ? "it is no regular file" : strerror(-rc));
    assert(n > 0);
    (void)n;
    return rc;
}

bool segment_disk_full(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT;
}

/* Zeros are really written, and not left as a hole or reserved: later writes then need no new space and
 * change no metadata, so each of them is one write and one flush. */
static int write_zeros(const struct disk *d, int fd, uint32_t segment_bytes)
{
    struct iovec iov[ZERO_IOVS];
    for (int i = 0; i < ZERO_IOVS; i++)
        iov[i] = disk_bytes(zero_block, BATCH_BLOCK_BYTES);
    for (uint32_t at = 0; at < segment_bytes;) {
        uint32_t blocks = (segment_bytes - at) / BATCH_BLOCK_BYTES;
        if (blocks > ZERO_IOVS)
            blocks = ZERO_IOVS;
        int rc = d->pwritev(d->ctx, fd, iov, (int)blocks, at);
        if (rc != 0)
            return rc;
        at += blocks * BATCH_BLOCK_BYTES;
    }
    return 0;
}

/* Makes a file of zeros under the temporary name. The file is durable then, its name is not. */
static int make_tmp(const struct disk *d, const char *tmp, uint32_t segment_bytes, char *err,
                    size_t err_size)
{
    int rc = d->unlink(d->ctx, tmp); /* of an earlier attempt */
    if (rc != 0 && rc != -ENOENT)
        return segment_fail(err, err_size, rc, "unlink", tmp);
    int fd = d->open(d->ctx, tmp, DISK_CREATE);
    if (fd == -EEXIST)
        fd = -EBUSY; /* another maker with our suffix: not to be taken for a finished segment */
    if (fd < 0)
        return segment_fail(err, err_size, fd, "create", tmp);
    rc = write_zeros(d, fd, segment_bytes);
    if (rc != 0)
        segment_fail(err, err_size, rc, "write", tmp);
    else if ((rc = d->fdatasync(d->ctx, fd)) != 0)
        segment_fail(err, err_size, rc, "fdatasync", tmp);
    int closed = d->close(d->ctx, fd);
    if (rc == 0 && closed != 0)
        rc = segment_fail(err, err_size, closed, "close", tmp);
    return rc;
}

int segment_make(const struct disk *d, const char *dir, uint64_t number, uint32_t segment_bytes,
                 const char *tmp_suffix, char *err, size_t err_size)
{
    char tmp[WAL_PATH_MAX], path[WAL_PATH_MAX], log[WAL_PATH_MAX];
    int rc = segment_dir(log, dir);
    if (rc != 0)
        return segment_fail(err, err_size, rc, "open", dir);
    segment_path(tmp, dir, number, tmp_suffix);
    segment_path(path, dir, number, SEGMENT_SUFFIX);
    rc = make_tmp(d, tmp, segment_bytes, err, err_size);
    if (rc == 0) {
        rc = d->rename(d->ctx, tmp, path);
        if (rc != 0 && rc != -EEXIST)
            segment_fail(err, err_size, rc, "rename", tmp);
    }
    if (rc == -EEXIST || segment_disk_full(rc)) {
        /* This may fail: the next attempt or start removes what is left. */
        (void)d->unlink(d->ctx, tmp);
        if (rc != -EEXIST)
            return -ENOSPC;
    } else if (rc != 0) {
        return rc;
    }
    rc = d->sync_dir(d->ctx, log);
    if (rc != 0) {
        segment_fail(err, err_size, rc, "fsync", log);
        /* The name exists but may not last, and a second fsync would not tell: -ENOSPC, which a caller tries
         * again, must not be returned. */
        return segment_disk_full(rc) ? -EIO : rc;
    }
    return 0;
}

int wal_make_spare(const struct disk *d, const char *dir, uint64_t number, uint32_t segment_bytes,
                   char *err, size_t err_size)
{
    if (segment_bytes == 0)
        segment_bytes = WAL_SEGMENT_BYTES_DEFAULT;
    assert(segment_size_ok(segment_bytes));
    return segment_make(d, dir, number, segment_bytes, SEGMENT_TMP_SPARE, err, err_size);
}

/* By this head the log of another directory is told from this one's, even if nothing was ever stored. */
static int write_first_head(const struct disk *d, const char *dir, uint64_t storage_id, char *err,
                            size_t err_size)
{
    char path[WAL_PATH_MAX];
    uint8_t block[BATCH_BLOCK_BYTES];
    struct iovec iov = {.iov_base = block, .iov_len = sizeof block};
    struct segment_head h = {.storage_id = storage_id, .number = SEGMENT_FIRST, .first_seq = 1};
    segment_path(path, dir, SEGMENT_FIRST, SEGMENT_SUFFIX);
    int fd = d->open(d->ctx, path, DISK_WRITE);
    if (fd < 0)
        return segment_fail(err, err_size, fd, "open", path);
    int64_t size = d->size(d->ctx, fd);
    h.segment_bytes = (uint32_t)size;
    h.salt = segment_salt(storage_id, SEGMENT_FIRST, h.prev);
    segment_encode(block, &h);
    int rc = size < 0 ? (int)size : d->pwritev(d->ctx, fd, &iov, 1, 0);
    if (rc != 0)
        segment_fail(err, err_size, rc, "write", path);
    else if ((rc = d->fdatasync(d->ctx, fd)) != 0)
        segment_fail(err, err_size, rc, "fdatasync", path);
    int closed = d->close(d->ctx, fd);
    return rc == 0 && closed != 0 ? segment_fail(err, err_size, closed, "close", path) : rc;
}

int wal_create(const struct disk *d, const char *dir, uint64_t storage_id, uint32_t segment_bytes,
               char *err, size_t err_size)
{
    char log[WAL_PATH_MAX];
    int rc = segment_dir(log, dir);
    if (rc != 0)
        return segment_fail(err, err_size, rc, "open", dir);
    rc = d->mkdir(d->ctx, log);
    if (rc != 0 && rc != -EEXIST)
        return segment_fail(err, err_size, rc, "mkdir", log);
    rc = wal_make_spare(d, dir, SEGMENT_FIRST, segment_bytes, err, err_size);
    if (rc == 0)
        rc = write_first_head(d, dir, storage_id, err, err_size);
    if (rc != 0)
        return rc;
    rc = d->sync_dir(d->ctx, dir);
    if (rc != 0)
        return segment_fail(err, err_size, rc, "fsync", dir);
    return 0;
}
