#include "storage/scan.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "storage/zero.h"

int scan_corrupt(struct scan *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->rep->message, sizeof s->rep->message, format, args);
    va_end(args);
    assert(n > 0);
    (void)n;
    s->rep->verdict = WAL_CORRUPT;
    return -EBADMSG;
}

int scan_failed(struct scan *s, int rc, const char *call)
{
    return segment_fail(s->rep->message, sizeof s->rep->message, rc, call, s->path);
}

int scan_no_memory(struct scan *s)
{
    return scan_failed(s, -ENOMEM, "recover");
}

static int each_name(void *arg, const char *name)
{
    struct scan *s = arg;
    uint64_t number = 0;
    size_t i = 0;
    for (; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *p = name[i] != '\0' ? strchr(digits, name[i]) : NULL;
        if (p == NULL)
            return 0; /* not ours */
        number = number << 4 | (uint64_t)(p - digits);
    }
    if (strcmp(name + i, SEGMENT_TMP_NOW) == 0 || strcmp(name + i, SEGMENT_TMP_SPARE) == 0) {
        if (s->r->n_leftovers < RECOVER_LEFTOVERS_MAX)
            s->r->leftovers[s->r->n_leftovers++] = number;
        return 0;
    }
    if (strcmp(name + i, SEGMENT_SUFFIX) != 0)
        return 0;
    if (s->n_numbers == s->cap_numbers) {
        size_t cap = s->cap_numbers == 0 ? 16 : s->cap_numbers * 2;
        uint64_t *p = realloc(s->numbers, cap * sizeof *p);
        if (p == NULL)
            return -ENOMEM;
        s->numbers = p;
        s->cap_numbers = cap;
    }
    s->numbers[s->n_numbers++] = number;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int scan_list(struct scan *s)
{
    int rc = segment_dir(s->path, s->dir);
    if (rc != 0)
        return segment_fail(s->rep->message, sizeof s->rep->message, rc, "open", s->dir);
    rc = s->d->list(s->d->ctx, s->path, each_name, s);
    if (rc == -ENOENT || (rc == 0 && s->n_numbers == 0))
        return scan_corrupt(s, "%s: the log is missing; a node that has an identity had one",
                            s->path);
    if (rc != 0)
        return scan_failed(s, rc, "list");
    qsort(s->numbers, s->n_numbers, sizeof *s->numbers, by_number);
    return 0;
}

int scan_open(struct scan *s, uint64_t number)
{
    assert(s->fd < 0);
    s->number = number;
    s->loaded = 0;
    s->salt = 0;
    segment_path(s->path, s->dir, number, SEGMENT_SUFFIX);
    s->fd = s->d->open(s->d->ctx, s->path, DISK_READ);
    if (s->fd == -EISDIR) {
        s->refused = true;
        return scan_corrupt(s, "%s: it is no regular file", s->path);
    }
    return s->fd < 0 ? scan_failed(s, s->fd, "open") : 0;
}

int scan_close(struct scan *s)
{
    if (s->fd < 0)
        return 0;
    int rc = s->d->close(s->d->ctx, s->fd);
    s->fd = -1;
    return rc == 0 ? 0 : scan_failed(s, rc, "close");
}

/* Reads the blocks of [at, at + len) one by one; those that the disk can't read come spoiled. */
static ssize_t read_blocks(struct scan *s, uint8_t *to, uint32_t at, uint32_t len)
{
    ssize_t n = 0;
    for (uint32_t from = at; n >= 0 && from < at + len; from += (uint32_t)n) {
        uint32_t left = at + len - from, block = BATCH_BLOCK_BYTES - from % BATCH_BLOCK_BYTES;
        block = (uint32_t)min_u64(block, left);
        n = s->d->pread(s->d->ctx, s->fd, to + (from - at), block, from);
        if (n == -EIO) {
            batch_spoil(to + (from - at), block, s->salt);
            s->unreadable++;
            n = (ssize_t)block;
        }
        if (n == 0)
            return (ssize_t)(from - at);
    }
    return n < 0 ? n : (ssize_t)len;
}

int scan_read(struct scan *s, uint8_t *to, uint32_t at, uint32_t len)
{
    const struct wal_options *o = s->options;
    if (o->progress != NULL && !o->progress(o->progress_ctx, s->n_done, s->n_numbers))
        return scan_failed(s, -ECANCELED, "read");
    ssize_t n = s->d->pread(s->d->ctx, s->fd, to, len, at);
    if (n == -EIO)
        n = read_blocks(s, to, at, len);
    if (n < 0)
        return scan_failed(s, (int)n, "read");
    if ((size_t)n != len) /* sizes were checked: it shrank under us */
        return scan_corrupt(s, "%s: ends before offset %" PRIu32, s->path, at + len);
    return 0;
}

int scan_wrong_size(struct scan *s, size_t i)
{
    const struct segment_seen *seen = &s->seen[i];
    segment_path(s->path, s->dir, s->numbers[i], SEGMENT_SUFFIX);
    return seen->head.number == s->numbers[i]
               ? scan_corrupt(s,
                              "%s: is %" PRId64 " bytes long, was made with %" PRIu32
                              ": entries from %" PRIu64 " on may be gone",
                              s->path, seen->size, seen->head.segment_bytes,
                              seen->head.base_index + 1)
               : scan_corrupt(
                     s, "%s: is %" PRId64 " bytes long, no segment is made so: cut or foreign",
                     s->path, seen->size);
}

/* A file gets its name when it has its full size, and keeps that size, so any other size is damage. */
static void check_size(struct segment_seen *seen, int64_t size)
{
    seen->size = size;
    if (seen->state == SEG_IN_USE ? size != seen->head.segment_bytes
                                  : !segment_size_ok((uint64_t)size))
        seen->state = SEG_CUT;
    int64_t most = size < WAL_SEGMENT_BYTES_MAX ? size : WAL_SEGMENT_BYTES_MAX;
    seen->bytes = (uint32_t)(most / BATCH_BLOCK_BYTES * BATCH_BLOCK_BYTES);
}

int scan_find(struct scan *s, size_t i, uint64_t salt, bool *found)
{
    uint32_t bytes = s->seen[i].bytes;
    *found = false;
    int rc = scan_open(s, s->numbers[i]);
    for (uint32_t at = BATCH_BLOCK_BYTES; rc == 0 && at < bytes; at += SCAN_READ_BYTES) {
        uint32_t n = (uint32_t)min_u64(bytes - at, SCAN_READ_BYTES);
        rc = scan_read(s, s->window, at, n);
        for (uint32_t b = 0; rc == 0 && b < n; b += BATCH_BLOCK_BYTES)
            *found |= !all_zero(s->window + b, BATCH_BLOCK_BYTES) &&
                      (salt == 0 || batch_salt(s->window + b) == salt);
    }
    return rc == 0 ? scan_close(s) : rc;
}

/* The file has no head of its number: it waits to be used, or its head is damaged. In the second case its
 * first batch, if it is there, has a salt that fits. */
static int look_behind_head(struct scan *s, struct segment_seen *seen)
{
    struct batch_head h;
    int rc = scan_read(s, s->window, BATCH_BLOCK_BYTES, BATCH_BLOCK_BYTES);
    if (rc != 0)
        return rc;
    if (batch_decode(s->window, &h) &&
        segment_salt_fits(s->options->storage_id, s->number, h.salt)) {
        seen->state = seen->state == SEG_UNUSED ? SEG_DAMAGED : seen->state;
        seen->salt = h.salt;
    }
    return 0;
}

int scan_look(struct scan *s, uint64_t number, struct segment_seen *seen)
{
    memset(seen, 0, sizeof *seen);
    int rc = scan_open(s, number);
    if (rc != 0)
        return rc;
    if ((rc = s->d->fdatasync(s->d->ctx, s->fd)) != 0)
        return scan_failed(s, rc, "fdatasync");
    if ((rc = s->d->drop_cache(s->d->ctx, s->fd)) != 0)
        return scan_failed(s, rc, "fadvise");
    int64_t size = s->d->size(s->d->ctx, s->fd);
    if (size < 0)
        return scan_failed(s, (int)size, "stat");
    if (size >= BATCH_BLOCK_BYTES) {
        if ((rc = scan_read(s, s->window, 0, BATCH_BLOCK_BYTES)) != 0)
            return rc;
        seen->blank = !segment_has_magic(s->window);
        uint16_t version = segment_version(s->window);
        s->refused = version != 0 && version != BATCH_FORMAT_VERSION;
        if (s->refused)
            return scan_corrupt(
                s, "%s: is of log format %u, this raftd reads and writes format %u only", s->path,
                version, BATCH_FORMAT_VERSION);
        bool whole = segment_decode(s->window, &seen->head);
        s->refused = whole && seen->head.storage_id != s->options->storage_id;
        if (s->refused)
            return scan_corrupt(
                s, "%s: belongs to storage %016" PRIx64 ", this directory is %016" PRIx64, s->path,
                seen->head.storage_id, s->options->storage_id);
        if (!whole)
            memset(&seen->head, 0, sizeof seen->head);
        else if (seen->head.number == number)
            seen->state = SEG_IN_USE;
    }
    seen->salt = seen->state == SEG_IN_USE ? seen->head.salt : 0;
    check_size(seen, size);
    if (seen->salt == 0 && seen->bytes >= 2 * BATCH_BLOCK_BYTES &&
        (rc = look_behind_head(s, seen)) != 0)
        return rc;
    return scan_close(s);
}
