/* wal_read.c: reading live records back from the segment files.
 *
 * The live record i is found without an index of all entries: fold.h tells the segment, a cursor or
 * the segment's first batch tells where to begin, and batch heads are walked from there. Live
 * records lie on disk in the order of their indexes, so reading on is walking on.
 */
#include "storage/wal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "storage/crc32c.h"
#include "storage/record.h"
#include "storage/segment.h"
#include "storage/wal_impl.h"

struct reader {
    struct wal *w;
    uint64_t number; /* segment at hand */
    int fd;          /* of it; the wal's own is for whole blocks alone (DISK_BLOCKS) */
    uint32_t at;     /* batch at hand */
    struct batch_head head;
    uint32_t record_at; /* a record in that batch, 0 for its first */
    uint64_t record;    /* its index */
    uint64_t want;      /* next index to deliver */
    uint32_t skip;      /* bytes of that record that were delivered before */
    uint64_t last;      /* index to end with */
    uint8_t *buf;
    size_t cap, got;
    char path[WAL_PATH_MAX];
};

static const struct fold_seg *seg_of(const struct reader *r)
{
    return &r->w->fold.segs[r->number - r->w->fold.first_number];
}

static int read_failed(struct reader *r, int rc, const char *call)
{
    return segment_fail(r->w->error, sizeof r->w->error, rc, call, r->path);
}

static int damaged(struct reader *r, const char *what)
{
    int n = snprintf(r->w->error, sizeof r->w->error,
                     "%s: %s in the batch at offset %" PRIu32
                     " is damaged, wanted for entry %" PRIu64,
                     r->path, what, r->at, r->want);
    assert(n > 0);
    (void)n;
    return -EBADMSG;
}

static int read_bytes(struct reader *r, void *to, size_t len, uint32_t at)
{
    ssize_t n = r->w->d->pread(r->w->d->ctx, r->fd, to, len, at);
    if (n < 0)
        return read_failed(r, (int)n, "read");
    return (size_t)n == len ? 0 : damaged(r, "the end");
}

static int leave_segment(struct reader *r)
{
    int rc = 0;
    if (r->fd >= 0)
        rc = r->w->d->close(r->w->d->ctx, r->fd);
    r->fd = -1;
    return rc == 0 ? 0 : read_failed(r, rc, "close");
}

static int enter_segment(struct reader *r, uint64_t number)
{
    r->number = number;
    segment_path(r->path, r->w->dir, number, SEGMENT_SUFFIX);
    r->fd = r->w->d->open(r->w->d->ctx, r->path, DISK_READ);
    return r->fd < 0 ? read_failed(r, r->fd, "open") : 0;
}

/* Where to begin: the last segment that had an entry with an index as low as the wanted one (see
 * fold.h), or the nearest cursor in it. */
static void choose_start(struct reader *r)
{
    const struct fold *f = &r->w->fold;
    size_t i = f->n_segs;
    while (i > 0 && f->segs[i - 1].min_index > r->want)
        i--;
    assert(i > 0);
    r->number = f->first_number + i - 1;
    r->at = BATCH_BLOCK_BYTES;
    r->record_at = 0;
    for (size_t k = 0; k < WAL_CURSORS; k++) {
        const struct wal_cursor *c = &r->w->cursors[k];
        if (c->index == 0 || c->index > r->want || c->number != r->number || c->batch_at < r->at ||
            (c->batch_at == r->at && c->record_at < r->record_at))
            continue;
        r->at = c->batch_at;
        r->record_at = c->record_at;
        r->record = c->index;
    }
}

static void save_cursor(struct reader *r)
{
    struct wal *w = r->w;
    struct wal_cursor c = {
        .index = r->want, .number = r->number, .batch_at = r->at, .record_at = r->record_at};
    for (size_t k = 0; k < WAL_CURSORS; k++) {
        if (w->cursors[k].index == c.index) {
            w->cursors[k] = c; /* several readers at one place share it */
            return;
        }
    }
    w->cursors[w->next_cursor++ % WAL_CURSORS] = c;
}

/* Step over records before the wanted one. Their heads are read unchecked, so everything that they
 * say is checked against what must be there. */
static int skip_records(struct reader *r, uint32_t end)
{
    uint8_t chunk[BATCH_BLOCK_BYTES] = {0};
    uint32_t from = 0, have = 0; /* chunk holds file bytes [from, from + have) */
    while (r->record < r->want) {
        if (end - r->record_at < RECORD_HEAD_BYTES)
            return damaged(r, "a record's length");
        if (r->record_at < from || r->record_at + RECORD_HEAD_BYTES > from + have) {
            from = r->record_at;
            have = (uint32_t)min_u64(end - from, sizeof chunk);
            int rc = read_bytes(r, chunk, have, from);
            if (rc != 0)
                return rc;
        }
        assert(r->record_at >= from && r->record_at - from + RECORD_HEAD_BYTES <= have);
        const uint8_t *p = chunk + (r->record_at - from);
        uint32_t data_len = get_u32(p + 4);
        if (get_u64(p + 8) != r->record || data_len > RECORD_DATA_MAX_BYTES ||
            record_size(data_len) > end - r->record_at)
            return damaged(r, "a record's head");
        r->record_at += (uint32_t)record_size(data_len);
        r->record++;
    }
    return 0;
}

/* The size of the record at hand, from its head alone. */
static int part_size(struct reader *r, uint32_t end, const uint8_t head[RECORD_HEAD_BYTES],
                     size_t *size)
{
    struct record rec;
    enum record_status status = record_decode(head, RECORD_HEAD_BYTES, &rec, size);
    if (status == RECORD_BAD || get_u64(head + 8) != r->want || *size > end - r->record_at ||
        r->skip >= *size)
        return damaged(r, "a record's head");
    return 0;
}

/* Compare the checksum of the record at hand, which does not fit into the buffer. */
static int check_whole(struct reader *r, const uint8_t head[RECORD_HEAD_BYTES], size_t size)
{
    uint8_t chunk[4 * BATCH_BLOCK_BYTES];
    uint32_t crc = 0;
    for (size_t at = sizeof crc, len; at < size; at += len) {
        len = (size_t)min_u64(size - at, sizeof chunk);
        int rc = read_bytes(r, chunk, len, r->record_at + (uint32_t)at);
        if (rc != 0)
            return rc;
        crc = crc32c(crc, chunk, len);
    }
    return crc == get_u32(head) ? 0 : damaged(r, "a record");
}

/* Deliver a part of the record at hand. All of it is checked before its first part. 1 when more is
 * left, 0 when that was the end of it. */
static int read_part(struct reader *r, uint32_t end)
{
    uint8_t head[RECORD_HEAD_BYTES];
    size_t size = 0;
    if (end - r->record_at < RECORD_HEAD_BYTES)
        return damaged(r, "a record's length");
    int rc = read_bytes(r, head, sizeof head, r->record_at);
    if (rc == 0)
        rc = part_size(r, end, head, &size);
    if (rc == 0 && r->skip == 0)
        rc = check_whole(r, head, size);
    if (rc != 0)
        return rc;
    size_t len = (size_t)min_u64(size - r->skip, r->cap - r->got);
    rc = read_bytes(r, r->buf + r->got, len, r->record_at + r->skip);
    if (rc != 0)
        return rc;
    r->got += len;
    r->skip += (uint32_t)len;
    if (r->skip < size)
        return 1;
    r->skip = 0;
    r->record_at += (uint32_t)size;
    r->record = ++r->want;
    return 0;
}

/* Deliver records of the batch at hand from the wanted one to `live_to`. 1 when the buffer is full or
 * the end reached, 0 when the batch is done. */
static int read_records(struct reader *r, uint64_t live_to)
{
    uint32_t end = r->at + BATCH_HEAD_BYTES + r->head.payload_len;
    uint64_t last = r->head.last_index < live_to ? r->head.last_index : live_to;
    if (r->record_at == 0) {
        r->record_at = r->at + BATCH_HEAD_BYTES;
        r->record = r->head.first_index;
    }
    int rc = skip_records(r, end);
    if (rc == 0 && r->skip > 0)
        rc = read_part(r, end);
    if (rc != 0)
        return rc;
    size_t len = (size_t)min_u64(r->cap - r->got, end - r->record_at);
    rc = read_bytes(r, r->buf + r->got, len, r->record_at);
    if (rc != 0)
        return rc;
    while (r->want <= last) {
        if (r->want > r->last)
            return 1;
        struct record rec;
        size_t size = 0;
        enum record_status status = record_decode(r->buf + r->got, len, &rec, &size);
        if (status == RECORD_SHORT && size <= end - r->record_at && size > r->cap - r->got)
            return r->got > 0 ? 1 : read_part(r, end);
        if (status != RECORD_OK || rec.index != r->want)
            return damaged(r, "a record");
        r->got += size;
        len -= size;
        r->record_at += (uint32_t)size;
        r->record = ++r->want;
    }
    return 0;
}

/* The batch at hand: deliver what is wanted of it, and go behind it unless the buffer is full. */
static int read_batch(struct reader *r)
{
    uint8_t buf[BATCH_HEAD_BYTES];
    int rc = read_bytes(r, buf, sizeof buf, r->at);
    if (rc != 0)
        return rc;
    if (!batch_decode(buf, &r->head) || r->head.salt != seg_of(r)->salt ||
        r->at + batch_bytes(r->head.payload_len) > seg_of(r)->end)
        return damaged(r, "the head");
    uint64_t live_to = fold_live_to(&r->w->fold, r->number, r->at);
    if (r->head.first_index != 0 && r->want >= r->head.first_index &&
        r->want <= r->head.last_index && r->want <= live_to) {
        rc = read_records(r, live_to);
        if (rc != 0)
            return rc;
    }
    r->at += (uint32_t)batch_bytes(r->head.payload_len);
    r->record_at = 0;
    return 0;
}

static int read_on(struct reader *r)
{
    int rc = enter_segment(r, r->number);
    while (rc == 0 && r->want <= r->last) {
        if (r->at < seg_of(r)->end) {
            rc = read_batch(r);
            continue;
        }
        if (r->number == r->w->number)
            return damaged(r, "something"); /* a live entry that is nowhere */
        rc = leave_segment(r);
        if (rc == 0)
            rc = enter_segment(r, r->number + 1);
        r->at = BATCH_BLOCK_BYTES;
        r->record_at = 0;
    }
    return rc;
}

ssize_t wal_read(struct wal *w, struct wal_pos *pos, uint64_t last, uint8_t *buf, size_t cap)
{
    struct reader r = {.w = w,
                       .fd = -1,
                       .want = pos->index,
                       .skip = pos->skip,
                       .last = last < w->fold.last_index ? last : w->fold.last_index,
                       .buf = buf,
                       .cap = cap};
    assert(pos->index > 0);
    if (pos->index > r.last || pos->index <= w->fold.base_index)
        return 0;
    assert(cap > 0);
    choose_start(&r);
    int rc = read_on(&r);
    int closed = leave_segment(&r);
    if (rc < 0)
        return rc;
    if (closed < 0)
        return closed;
    save_cursor(&r);
    *pos = (struct wal_pos){r.want, r.skip};
    return (ssize_t)r.got;
}
