/* wal.c: appending to the log. The formats are in batch.h, recovery in recover.c, reading in
 * wal_read.c.
 *
 *   segment k (in use)                       segment k+1 (spare)       
 *   +------+-------+-------+- - - -+------+  +- - - - - - - - - - - - - -+
 *   | head | batch | batch | zeros | seal |  | zeros, or older blocks    |
 *   +------+-------+-------+- - - -+------+  +- - - - - - - - - - - - - -+
 *                          ^ at    ^ kept
 *
 *           append fits                 append does not fit
 *   IN USE ------------> IN USE        IN USE ------------> spare there? --no--> make it
 *      |                                                        |yes
 *      | no space for it in place                               v
 *      +-------> LEAVING (cut) --> spare there? -----------> LEAVING --> SEAL in k, sync
 *                                                                             |
 *            IN USE (k+1) <-- head of k+1, sync <--------- SEALED <-----------+
 *
 *   a step that is refused (no space, descriptor or memory): the append is refused, the next one
 *   begins with that step again.
 *   any other failed write, or sync: BROKEN, for good; the process ends and recovery finds out.
 *
 * Invariants:
 * I1 One batch at a time: no byte of batch N+1 is written before fdatasync(batch N) returned 0.
 *    Hence whatever valid batch follows a damaged one proves that the damaged one was durable.
 * I2 A block is written once in the life of its segment: an append never touches a block that holds an
 *    acknowledged byte. (The last block alone may be written twice: a seal that a crash cut, or
 *    that was refused, is written again; nothing in it was acknowledged. Likewise a head.)
 * I3 seq grows by one per batch, and by two at a BATCH_CUT seal: the number of a batch that was cut
 *    or refused is not used again.
 * I4 SEAL in k is written only when file and name of k+1 are durable.
 * I5 The head of k+1 is written only when the SEAL in k is durable, and is durable itself before
 *    the first batch of k+1 is written.
 * I6 Term never goes back, and a vote once given in a term stays (dissertation figure 3.1): every
 *    batch repeats both, so the newest whole batch is the newest hard state.
 * I7 The fold (memory) holds exactly what is durable: it moves only after fdatasync returned 0.
 * I8 After a failed write or sync nothing is written any more.
 * I9 A file system may have no space for a write in place (copy on write, thin volumes). What was
 *    refused so was not acknowledged, but any part of it may be on the medium, all of it included.
 *    So the segment takes no other batch from then on: it is left by a seal that names the batch
 *    before it, and recovery looks at the seal first.
 * I10 Files leave the log oldest first, and none before the name of the one before it is durably gone:
 *    whatever a crash leaves, the numbers have no gap. A file that is recycled is a spare only when its
 *    new name is durable.
 */
#include "storage/wal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/crc32c.h"
#include "storage/recover.h"
#include "storage/repair.h"
#include "storage/segment.h"
#include "storage/record.h"
#include "storage/wal_impl.h"
#include "storage/zero.h"

_Static_assert((int)WAL_HASH_BYTES == (int)BATCH_HASH_BYTES, "one hash");
_Static_assert((int)BATCH_BLOCK_BYTES == (int)DISK_BLOCK_BYTES, "batches are whole blocks");

enum {
    SPARES_MAX = 2, /* recycled files that stand ready ahead ... */
    WAITING_MAX =
        4, /* ... and old files that wait to follow them: between two snapshots the log grows
                      * by four segments and a part, and none of these is to be written with zeros */
};

static const uint8_t zero_block[BATCH_BLOCK_BYTES];

/* An iovec has no const, a writer does not write to it. */
static struct iovec piece(const void *p, size_t len)
{
    union {
        const void *in;
        void *out;
    } u = {.in = p};

    return (struct iovec){.iov_base = u.out, .iov_len = len};
}

bool wal_refused(int rc)
{
    return rc == -ENOSPC || rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM;
}

static int failed(struct wal *w, int rc, const char *call, uint32_t at)
{
    int n = snprintf(w->error, sizeof w->error, "%s %s at offset %" PRIu32 ": %s", call, w->path,
                     at, strerror(-rc));
    assert(n > 0);
    (void)n;
    return rc;
}

/* I8. Whatever the reason was, it is none that passes. */
static int break_down(struct wal *w, int rc, const char *call, uint32_t at)
{
    failed(w, rc, call, at);
    w->broken = true;
    return wal_refused(rc) || rc == -EMSGSIZE ? -EIO : rc;
}

/* Puts the bytes together as DISK_BLOCKS wants them. Without memory they are written from where they are. */
static bool gather(struct wal *w, const struct iovec *iov, int n, size_t bytes)
{
    if (bytes > w->gathered_cap) {
        free(w->gathered);
        w->gathered = aligned_alloc(BATCH_BLOCK_BYTES, bytes);
        w->gathered_cap = w->gathered != NULL ? bytes : 0;
    }
    size_t at = 0;
    for (int i = 0; i < n && w->gathered != NULL; at += iov[i++].iov_len)
        memcpy(w->gathered + at, iov[i].iov_base, iov[i].iov_len);
    return w->gathered != NULL;
}

static int write_and_sync(struct wal *w, const struct iovec *iov, int n, uint32_t at)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    assert(bytes % BATCH_BLOCK_BYTES == 0 && at + bytes <= w->bytes);
    bool gathered = gather(w, iov, n, bytes);
    const struct iovec all = {.iov_base = w->gathered, .iov_len = bytes};
    int rc = w->d->pwritev(w->d->ctx, w->fd, gathered ? &all : iov, gathered ? 1 : n, at);
    if (segment_disk_full(rc)) /* I9; some of it may be written */
        return failed(w, -ENOSPC, "write", at);
    if (rc != 0)
        return break_down(w, rc, "write", at);
    w->stats.bytes_written += bytes;
    rc = w->d->fdatasync(w->d->ctx, w->fd);
    w->stats.fsyncs++;
    if (rc != 0)
        return break_down(w, rc, "fdatasync", at);
    return 0;
}

/* Write one batch at `at` and, once durable, fold it. Fills in salt, chain, lengths, checksum. */
static int put_batch(struct wal *w, struct batch_head *h, const struct iovec *bytes, int bytes_n,
                     uint32_t at)
{
    uint8_t head[BATCH_HEAD_BYTES], hash[BATCH_HASH_BYTES];
    struct iovec iov[4];
    int n = 1;
    size_t len = 0;
    h->payload_crc = 0;
    for (int i = 0; i < bytes_n; i++) {
        h->payload_crc = crc32c(h->payload_crc, bytes[i].iov_base, bytes[i].iov_len);
        len += bytes[i].iov_len;
        iov[n++] = bytes[i];
    }
    h->payload_len = (uint32_t)len;
    size_t pad = (size_t)batch_bytes(h->payload_len) - BATCH_HEAD_BYTES - len;
    if (pad > 0) {
        h->payload_crc = crc32c(h->payload_crc, zero_block, pad);
        iov[n++] = piece(zero_block, pad);
    }
    h->salt = w->fold.segs[w->fold.n_segs - 1].salt;
    memcpy(h->prev, w->fold.chain, sizeof h->prev);
    batch_encode(head, h);
    iov[0] = piece(head, sizeof head);

    int rc = write_and_sync(w, iov, n, at);
    if (rc != 0)
        return rc;
    batch_hash(head, hash);
    fold_batch(&w->fold, h, hash, at); /* I7 */
    w->at = at + (uint32_t)batch_bytes(h->payload_len);
    return 0;
}

static int seal(struct wal *w)
{
    struct batch_head h = fold_seal(&w->fold, w->cut); /* I3 */
    return put_batch(w, &h, NULL, 0, segment_seal_at(w->bytes));
}

static int open_segment(struct wal *w, uint64_t number)
{
    segment_path(w->path, w->dir, number, SEGMENT_SUFFIX);
    int fd = w->d->open(w->d->ctx, w->path, DISK_BLOCKS);
    if (fd < 0)
        return wal_refused(fd) ? failed(w, fd, "open", 0) : break_down(w, fd, "open", 0);
    w->fd = fd;
    return 0;
}

static int close_segment(struct wal *w)
{
    int rc = w->d->close(w->d->ctx, w->fd);
    w->fd = -1;
    return rc == 0 ? 0 : break_down(w, rc, "close", 0);
}

static int write_segment_head(struct wal *w, uint64_t number, uint16_t flags)
{
    const struct fold *f = &w->fold;
    _Alignas(DISK_BLOCK_BYTES) uint8_t block[BATCH_BLOCK_BYTES];
    int64_t size = w->d->size(w->d->ctx, w->fd);
    if (size < 0)
        return break_down(w, (int)size, "stat", 0);
    if (!segment_size_ok((uint64_t)size))
        return break_down(w, -EBADMSG, "stat", 0);
    w->bytes = (uint32_t)size;

    /* A file of zeros or one of an older segment? A head that was cut, or refused, makes no harm: it
     * only takes the file for the second kind. */
    ssize_t n = w->d->pread(w->d->ctx, w->fd, block, sizeof block, 0);
    if (n != (ssize_t)sizeof block)
        return break_down(w, n < 0 ? (int)n : -EBADMSG, "read", 0);
    if (!all_zero(block, sizeof block))
        flags |= SEGMENT_RECYCLED;

    struct segment_head h = {
        .flags = flags,
        .vote = f->vote,
        .segment_bytes = w->bytes,
        .storage_id = w->storage_id,
        .number = number,
        .salt = segment_salt(w->storage_id, number, f->begun),
        .first_seq = f->next_seq,
        .term = f->term,
        .base_index = f->last_index,
        .base_term = f->last_term,
        .commit = f->commit,
    };
    memcpy(h.base_head, f->head, sizeof h.base_head);
    memcpy(h.prev, f->chain, sizeof h.prev);
    segment_encode(block, &h);
    struct iovec iov = piece(block, sizeof block);
    int rc = write_and_sync(w, &iov, 1, 0);
    if (rc == 0) {
        fold_segment(&w->fold, h.salt, w->bytes);
        w->stats.log_bytes += w->bytes;
    }
    return rc;
}

static void in_use(struct wal *w)
{
    w->number++;
    w->at = BATCH_BLOCK_BYTES;
    w->spares--;
    w->cut = 0;
    w->stage = WAL_IN_USE;
}

/* Make the empty segment behind the sealed one the current one. */
static int begin_segment(struct wal *w)
{
    int rc = open_segment(w, w->number + 1);
    if (rc != 0)
        return rc;
    rc = write_segment_head(w, w->number + 1, 0);
    if (rc != 0) {
        int closed = wal_refused(rc) ? close_segment(w) : 0;
        return closed != 0 ? closed : rc;
    }
    in_use(w);
    return 0;
}

static int file_failed(struct wal *w, int rc, const char *call, const char *path)
{
    segment_fail(w->error, sizeof w->error, rc, call, path);
    if (segment_disk_full(rc))
        rc = -ENOSPC;
    if (!wal_refused(rc))
        w->broken = true;
    return rc;
}

/* Before any other change of names (I10). */
static int sync_names(struct wal *w)
{
    char log[WAL_PATH_MAX];
    int rc = segment_dir(log, w->dir);
    if (rc == 0)
        rc = w->d->sync_dir(w->d->ctx, log);
    w->stats.fsyncs++;
    if (rc != 0)
        return file_failed(w, segment_disk_full(rc) ? -EIO : rc, "fsync", log);
    w->unsynced = false;
    return 0;
}

static int delete_file(struct wal *w, uint64_t number)
{
    char path[WAL_PATH_MAX];
    segment_path(path, w->dir, number, SEGMENT_SUFFIX);
    int rc = w->d->unlink(w->d->ctx, path);
    if (rc != 0 && rc != -ENOENT)
        return file_failed(w, rc, "unlink", path);
    w->unsynced = true;
    return 0;
}

/* The oldest file becomes the one behind the last spare. */
static int recycle_oldest(struct wal *w)
{
    char from[WAL_PATH_MAX], to[WAL_PATH_MAX];
    segment_path(from, w->dir, w->oldest, SEGMENT_SUFFIX);
    segment_path(to, w->dir, w->number + 1 + w->spares, SEGMENT_SUFFIX);
    int rc = w->d->rename(w->d->ctx, from, to);
    if (rc != 0 && rc != -EEXIST)
        return file_failed(w, rc, "rename", from);
    if (rc == 0) {
        w->oldest++;
        w->stats.recycled++;
    }
    w->spares++; /* of one that exists, the news from wal_make_spare are still to come */
    w->unsynced = true;
    return 0;
}

/* Find a use for one of the files before the log's beginning, the oldest: each costs a sync, for which the
 * next batch would wait. */
static int use_old_file(struct wal *w)
{
    int rc = w->unsynced ? sync_names(w) : 0;
    if (rc != 0 || !wal_drops(w))
        return rc;
    if (w->spares < SPARES_MAX)
        rc = recycle_oldest(w);
    else if ((rc = delete_file(w, w->oldest)) == 0)
        w->oldest++;
    return rc == 0 ? sync_names(w) : rc;
}

static int need_spare(struct wal *w)
{
    int rc = w->spares == 0 || w->unsynced ? use_old_file(w) : 0;
    if (rc != 0 || w->spares > 0)
        return rc;
    rc = segment_make(w->d, w->dir, w->number + 1, w->segment_bytes, SEGMENT_TMP_NOW, w->error,
                      sizeof w->error);
    if (rc == 0)
        wal_spare_made(w, w->number + 1);
    else if (!wal_refused(rc))
        w->broken = true;
    return rc;
}

/* Leave the current segment, or go on leaving it where it was refused before. */
static int next_segment(struct wal *w)
{
    int rc = need_spare(w); /* I4; or the one behind the seal is gone */
    if (rc != 0)
        return rc;
    if (w->stage != WAL_SEALED) {
        w->stage = WAL_LEAVING; /* I9 */
        if ((rc = seal(w)) != 0)
            return rc;
        w->stage = WAL_SEALED;
        if ((rc = close_segment(w)) != 0)
            return rc;
    }
    return begin_segment(w); /* I5 */
}

static bool fits(const struct wal *w, uint32_t payload_len)
{
    uint32_t end = payload_len > 0 ? segment_entries_end(w->bytes) : segment_seal_at(w->bytes);
    return w->at + batch_bytes(payload_len) <= end;
}

size_t wal_batch_max_bytes(uint32_t segment_bytes)
{
    if (segment_bytes == 0)
        segment_bytes = WAL_SEGMENT_BYTES_DEFAULT;
    return segment_entries_end(segment_bytes) - BATCH_BLOCK_BYTES - BATCH_HEAD_BYTES;
}

static int append_reset(struct wal *w, const struct wal_batch *b)
{
    struct wal_base base = {.index = b->truncate_to, .term = b->last_term};
    memcpy(base.hash, b->head, sizeof base.hash);
    return wal_reset(w, &base, b->term, b->vote);
}

int wal_append(struct wal *w, const struct wal_batch *b)
{
    if (b->reset)
        return append_reset(w, b);
    struct batch_head h = {
        .flags = (uint16_t)((b->truncate ? BATCH_TRUNC : 0) | (b->idle ? BATCH_IDLE : 0)),
        .vote = b->vote,
        .first_index = b->first_index,
        .last_index = b->last_index,
        .last_term = b->last_term,
        .term = b->term,
        .truncate_to = b->truncate ? b->truncate_to : 0,
        .commit = b->commit,
    };
    size_t len = 0;

    assert(b->bytes_n >= 0 && b->bytes_n <= 2);
    for (int i = 0; i < b->bytes_n; i++)
        len += b->bytes[i].iov_len;
    assert((len > 0) == (b->first_index != 0) && b->first_index <= b->last_index);
    assert(!b->idle || (len == 0 && !b->truncate));
    if (w->broken)
        return -EIO;
    if (len > wal_batch_max_bytes(w->segment_bytes)) {
        int n = snprintf(w->error, sizeof w->error, "%s: a batch of %zu bytes, at most %zu",
                         w->path, len, wal_batch_max_bytes(w->segment_bytes));
        assert(n > 0);
        return -EMSGSIZE;
    }
    if (fold_reserve(&w->fold) != 0)
        return failed(w, -ENOMEM, "append", w->at);

    /* Twice at most: a spare from before segment_bytes was raised may be too small. */
    while (w->stage != WAL_IN_USE || !fits(w, (uint32_t)len)) {
        int rc = next_segment(w);
        if (rc == 0 && fold_reserve(&w->fold) != 0)
            rc = failed(w, -ENOMEM, "append", w->at);
        if (rc != 0)
            return rc;
    }
    h.seq = w->fold.next_seq;
    memcpy(h.head, b->head, sizeof h.head);
    assert(fold_fits(&w->fold, &h)); /* I6, and entries that continue the log */
    int rc = put_batch(w, &h, b->bytes, b->bytes_n, w->at);
    if (rc == 0) {
        w->stats.batches++;
    } else if (wal_refused(rc)) { /* I9 */
        w->stage = WAL_LEAVING;
        w->cut = BATCH_CUT;
    }
    return rc;
}

uint64_t wal_first(const struct wal *w)
{
    return w->fold.base_index + 1;
}

int wal_drop(struct wal *w, uint64_t keep_from)
{
    if (w->broken)
        return -EIO;
    size_t n = fold_behind(&w->fold, keep_from);
    for (size_t i = 0; i < n; i++)
        w->stats.log_bytes -= w->fold.segs[i].bytes;
    if (n > 0)
        fold_drop(&w->fold, n);
    return use_old_file(w);
}

bool wal_drops(const struct wal *w)
{
    uint64_t old = w->fold.first_number - w->oldest;
    return !w->broken && old > (w->spares < SPARES_MAX ? 0 : WAITING_MAX);
}

int wal_reset(struct wal *w, const struct wal_base *base, uint64_t term, uint16_t vote)
{
    struct fold *f = &w->fold;
    /* Room first. Not behind an entry that the snapshot may replace: a crash must find the difference. */
    int old = w->fd, rc = wal_drop(w, base->index);
    assert(base->index >= f->base_index && term >= base->term);
    assert(term > f->term || (term == f->term && (f->vote == 0 || f->vote == vote)));
    if (rc == 0)
        rc = need_spare(w);
    if (rc == 0 && fold_reserve(f) != 0)
        rc = failed(w, -ENOMEM, "reset", 0);
    if (rc == 0 && (rc = open_segment(w, w->number + 1)) != 0)
        segment_path(w->path, w->dir, w->number, SEGMENT_SUFFIX);
    if (rc != 0)
        return rc;
    if (old >= 0 && (rc = w->d->close(w->d->ctx, old)) != 0)
        return break_down(w, rc, "close", 0);
    f->term = term;
    f->vote = vote;
    fold_reset(f, w->number + 1, base->index, base->term, base->hash);
    w->stats.log_bytes = 0;
    /* Once it is begun there is no way back: a head that was refused can be on the medium. */
    rc = write_segment_head(w, w->number + 1, SEGMENT_RESET);
    if (rc != 0)
        return wal_refused(rc) ? break_down(w, rc, "write", 0) : rc;
    in_use(w);
    return 0;
}

bool wal_wants_spare(const struct wal *w, uint64_t *number)
{
    *number = w->number + 1;
    return w->spares == 0 && w->oldest == w->fold.first_number && !w->broken &&
           (w->stage != WAL_IN_USE || w->at >= w->bytes / 2);
}

void wal_spare_made(struct wal *w, uint64_t number)
{
    if (number != w->number + 1 || w->spares > 0)
        return; /* the log thread could not wait and made it itself */
    w->spares = 1;
    w->stats.fsyncs += 2;
    w->stats.bytes_written += w->segment_bytes;
}

const char *wal_error(const struct wal *w)
{
    return w->error;
}

const char *wal_newest(const struct wal *w)
{
    return w->path;
}

struct wal_stats wal_stats(const struct wal *w)
{
    struct wal_stats stats = w->stats;
    stats.segments = w->fold.n_segs;
    stats.base = w->fold.base_index;
    return stats;
}

/* ---- opening ---- */

/* Make the names durable that a crash may have left in memory only, and remove half-made files. */
static int tidy(struct wal *w, const struct recovery *r, const struct wal_options *o)
{
    char path[WAL_PATH_MAX];
    const char *const suffix[] = {SEGMENT_TMP_NOW, SEGMENT_TMP_SPARE};
    for (size_t i = 0; i < r->n_leftovers; i++) {
        for (size_t k = 0; k < 2; k++) {
            segment_path(path, w->dir, r->leftovers[i], suffix[k]);
            int rc = w->d->unlink(w->d->ctx, path);
            if (rc != 0 && rc != -ENOENT)
                return segment_fail(w->error, sizeof w->error, rc, "unlink", path);
        }
    }
    int rc = 0;
    if (r->damaged || r->keep_aside)
        rc = repair_begin(w->d, w->dir, o, r, w->error, sizeof w->error);
    if (rc == 0)
        rc = sync_names(w);
    for (size_t i = 0; rc == 0 && !r->keep_aside && i < r->n_dead; i++)
        if ((rc = delete_file(w, r->dead[i])) == 0)
            rc = sync_names(w);
    return rc;
}

static int make_ready(struct wal *w, const struct recovery *r, const struct wal_options *o)
{
    int rc = tidy(w, r, o);
    if (rc != 0)
        return rc;
    if (fold_reserve(&w->fold) != 0)
        return segment_fail(w->error, sizeof w->error, -ENOMEM, "open", w->dir);
    w->spares = (unsigned)r->spares;
    w->oldest = w->fold.first_number;
    if (r->next == RECOVER_BIRTH) {
        w->number = r->number - 1;
        w->stage = WAL_SEALED;
    } else {
        w->number = r->number;
        rc = open_segment(w, r->number);
        if (rc != 0)
            return rc;
        w->bytes = r->bytes;
        w->at = r->offset;
        w->stage = r->next == RECOVER_CUT ? WAL_LEAVING : WAL_IN_USE;
        w->cut = r->next == RECOVER_CUT ? BATCH_CUT : 0;
    }
    rc = w->stage != WAL_IN_USE && !r->reset ? next_segment(w) : 0;
    return wal_refused(rc) ? 0 : rc; /* what is there can be read; appends try again */
}

/* What the log behind the damage, which is gone, said of term and vote. */
static int keep_promise(struct wal *w, const struct wal_report *rep)
{
    const struct fold *f = &w->fold;
    struct wal_batch b = {
        .term = rep->term, .vote = rep->vote, .last_term = f->last_term, .commit = f->commit};
    memcpy(b.head, f->head, sizeof b.head);
    return f->term == rep->term && f->vote == rep->vote ? 0 : wal_append(w, &b);
}

/* Options with the defaults filled in. */
static struct wal_options settle(const struct wal_options *given)
{
    struct wal_options o = *given;
    if (o.segment_bytes == 0)
        o.segment_bytes = WAL_SEGMENT_BYTES_DEFAULT;
    assert(segment_size_ok(o.segment_bytes));
    return o;
}

/* The last record says how far the cluster's clock had come. */
static int read_last_ms(struct wal *w, uint64_t *ms)
{
    struct wal_pos pos = {.index = w->fold.last_index};
    uint8_t *rec = malloc(RECORD_MAX_BYTES);
    if (rec == NULL)
        return segment_fail(w->error, sizeof w->error, -ENOMEM, "open", w->dir);
    ssize_t n = wal_read(w, &pos, pos.index, rec, RECORD_MAX_BYTES);
    if (n > 0)
        *ms = record_cluster_ms(rec);
    free(rec);
    return n < 0 ? (int)n : 0;
}

int wal_open(struct wal **out, const struct disk *d, const char *dir,
             const struct wal_options *options, struct wal_report *report)
{
    struct wal_options o = settle(options);
    struct recovery r;
    *out = NULL;
    int rc = recover_scan(&r, d, dir, &o, report);
    struct wal *w = rc == 0 ? calloc(1, sizeof *w) : NULL;
    if (w == NULL) {
        recover_free(&r);
        return rc != 0
                   ? rc
                   : segment_fail(report->message, sizeof report->message, -ENOMEM, "open", dir);
    }
    w->d = d;
    w->storage_id = o.storage_id;
    w->segment_bytes = o.segment_bytes;
    w->fd = -1;
    memcpy(w->dir, dir, strlen(dir) + 1); /* its length was checked by recovery */
    w->fold = r.fold;                     /* ownership moves */
    w->runs = r.runs;
    report->runs = r.runs;
    report->n_runs = r.n_runs;
    for (size_t i = 0; i < w->fold.n_segs; i++)
        w->stats.log_bytes += w->fold.segs[i].bytes;
    rc = make_ready(w, &r, &o);
    if (rc == 0 && r.reset)
        rc = wal_reset(w, &o.base, report->term, report->vote);
    else if (rc == 0 && report->doubt)
        rc = keep_promise(w, report);
    free(r.dead);
    if (rc == 0 && w->fold.last_index != 0)
        rc = read_last_ms(w, &report->last_ms);
    if (rc != 0) {
        memcpy(report->message, w->error, sizeof report->message);
        report->runs = NULL;
        report->n_runs = 0;
        wal_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

int wal_check(const struct disk *d, const char *dir, const struct wal_options *options,
              struct wal_report *report)
{
    struct wal_options o = settle(options);
    struct recovery r;
    int rc = recover_scan(&r, d, dir, &o, report);
    recover_free(&r);
    return rc;
}

void wal_close(struct wal *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0) {
        /* Everything acknowledged is durable already: there is nothing left to fail. */
        (void)w->d->close(w->d->ctx, w->fd);
    }
    fold_free(&w->fold);
    free(w->runs);
    free(w->gathered);
    free(w);
}
