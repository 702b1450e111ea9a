/* repair.c: see repair.h. */
#include "storage/repair.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "storage/aside.h"
#include "storage/segment.h"

/* A head that can be read says what this node promised when it was made. */
static void note(struct doubt *d, uint64_t term, uint16_t vote, uint64_t last)
{
    if (term > d->term || (term == d->term && d->vote == 0))
        d->vote = vote;
    d->term = max_u64(d->term, term);
    d->last_lost = max_u64(d->last_lost, last);
}

/* Tells of the entries of the batch with this head at `at`, whole or not. */
static int tell(struct scan *s, const struct segment_seen *seen, uint32_t at,
                const struct batch_head *h)
{
    const struct wal_options *o = s->options;
    uint32_t from = at + BATCH_HEAD_BYTES;
    size_t left = (size_t)min_u64(h->payload_len, seen->bytes - from), size;
    struct record rec;
    if (o->cut_off == NULL || h->first_index == 0 || h->last_index < s->lacks)
        return 0;
    if (h->first_index > s->told)
        o->cut_off(o->cut_off_ctx, s->told, h->first_index - 1, NULL);
    s->told = max_u64(s->told, h->last_index + 1);
    uint8_t *buf = malloc(left);
    if (buf == NULL)
        return scan_no_memory(s);
    int rc = scan_read(s, buf, from, (uint32_t)left);
    uint64_t index = h->first_index;
    for (const uint8_t *p = buf; rc == 0 && index <= h->last_index; p += size, left -= size) {
        bool whole = record_decode(p, left, &rec, &size) == RECORD_OK && rec.index == index;
        if (!whole) /* perhaps its length is right, and the one behind it can be found */
            size = left >= RECORD_HEAD_BYTES && get_u64(p + 8) == index ? record_known_size(p) : 0;
        if (!whole && (size == 0 || size > left))
            break;
        if (index >= s->lacks)
            o->cut_off(o->cut_off_ctx, index, index, whole ? &rec : NULL);
        index++;
    }
    if (rc == 0 && index <= h->last_index)
        o->cut_off(o->cut_off_ctx, max_u64(index, s->lacks), h->last_index, NULL);
    free(buf);
    return rc;
}

/* The heads from `at` on of one file, by the salt of its segment. In a recycled one there are older ones,
 * which say nothing new, and a value of a client may look like one. */
static int look_behind(struct scan *s, size_t i, uint32_t at)
{
    const struct segment_seen *seen = &s->seen[i];
    struct batch_head h;
    if (seen->state == SEG_IN_USE)
        note(&s->r->doubt, seen->head.term, seen->head.vote, seen->head.base_index);
    if (seen->salt == 0) /* a spare */
        return 0;
    int rc = scan_open(s, s->numbers[i]);
    for (; rc == 0 && at < seen->bytes; at += BATCH_BLOCK_BYTES) {
        rc = scan_read(s, s->window, at, BATCH_BLOCK_BYTES);
        if (rc != 0 || !batch_decode(s->window, &h) || h.salt != seen->salt ||
            h.seq < s->r->fold.next_seq)
            continue;
        note(&s->r->doubt, h.term, h.vote, h.last_index);
        rc = tell(s, seen, at, &h);
    }
    return rc == 0 ? scan_close(s) : rc;
}

static int look_at_rest(struct scan *s, size_t walked)
{
    struct recovery *r = s->r;
    const struct fold *f = &r->fold;
    uint32_t at = walked > 0 && !s->sealed ? f->segs[walked - 1].end : 0;
    size_t i = s->start + walked - (at > 0 ? 1 : 0);
    int rc = scan_close(s);
    r->doubt = s->before;
    r->doubt.set = true;
    s->lacks = s->told = (r->reset ? s->options->base.index : f->last_index) + 1;
    note(&r->doubt, f->term, f->vote, r->reset ? f->last_index : 0);
    for (; rc == 0 && i < s->n_numbers; i++, at = 0)
        rc = look_behind(s, i, at);
    return rc;
}

/* One of the files that are kept: batches behind what is there again. */
static int tell_file(struct scan *s)
{
    struct batch_head h;
    int64_t size = s->d->size(s->d->ctx, s->fd);
    struct segment_seen seen = {.bytes = (uint32_t)min_u64((uint64_t)size, WAL_SEGMENT_BYTES_MAX)};
    int rc = size < 0 ? scan_failed(s, (int)size, "stat") : 0;
    for (uint32_t at = 0; rc == 0 && at + BATCH_BLOCK_BYTES <= seen.bytes;
         at += BATCH_BLOCK_BYTES) {
        rc = scan_read(s, s->window, at, BATCH_BLOCK_BYTES);
        if (rc == 0 && batch_decode(s->window, &h))
            rc = tell(s, &seen, at, &h);
    }
    return rc == 0 ? scan_close(s) : rc;
}

int repair_tell(struct scan *s)
{
    const struct wal_options *o = s->options;
    uint64_t number = 0;
    uint32_t n = 0;
    int rc = scan_close(s), fd = 0;
    s->lacks = s->told = max_u64(s->before.first_lost, s->r->fold.last_index + 1);
    while (rc == 0 && (fd = aside_next(s->d, s->dir, &number, &n, s->path)) >= 0) {
        s->fd = fd;
        rc = tell_file(s);
    }
    if (rc == 0 && fd < 0 && fd != -ENOENT)
        rc = scan_failed(s, fd, "open");
    if (rc == 0 && s->told <= s->before.last_lost)
        o->cut_off(o->cut_off_ctx, s->told, s->before.last_lost, NULL);
    return rc;
}

int repair_plan(struct scan *s, bool none)
{
    static const struct segment_head newborn = {.first_seq = 1};
    struct recovery *r = s->r;
    struct fold *f = &r->fold;
    const struct wal_base *base = &s->options->base;
    r->reset |= none;
    int rc = look_at_rest(s, f->n_segs);
    if (rc != 0)
        return rc;
    if (none) {
        fold_free(f);
        fold_init(f, s->n_numbers > 0 ? s->numbers[s->start] : SEGMENT_FIRST, &newborn);
    } else if (r->reset && !s->sealed) {
        f->n_segs--;
        memcpy(f->begun, f->n_segs > 0 ? s->seen[s->start + f->n_segs - 1].head.prev : newborn.prev,
               sizeof f->begun);
    }
    r->copy = !r->reset && !s->sealed;
    r->next = r->copy ? RECOVER_CUT : RECOVER_BIRTH;
    r->number = f->first_number + f->n_segs - (r->copy ? 1 : 0);
    r->spares = 0;
    if (r->copy) {
        r->offset = f->segs[f->n_segs - 1].end;
        r->bytes = f->segs[f->n_segs - 1].bytes;
    }
    r->damaged = true;
    r->n_aside = s->n_numbers - s->start - f->n_segs;
    for (size_t i = s->n_numbers - r->n_aside, k = s->n_numbers; i + 1 < k; i++) {
        uint64_t number = s->numbers[i];
        s->numbers[i] = s->numbers[--k];
        s->numbers[k] = number;
    }
    uint64_t first = (r->reset ? base->index : f->last_index) + 1;
    if (r->doubt.first_lost == 0 || first < r->doubt.first_lost)
        r->doubt.first_lost = first;
    if (r->doubt.last_lost < r->doubt.first_lost)
        r->doubt.last_lost = 0;
    memcpy(r->doubt.why, s->rep->message, sizeof r->doubt.why);
    s->rep->verdict = WAL_CORRUPT;
    return 0;
}

/* All of DIR/log may be what is gone. */
static int make_log_dir(const struct disk *d, const char *dir, char *err, size_t err_size)
{
    char log[WAL_PATH_MAX];
    int rc = segment_dir(log, dir);
    if (rc == 0)
        rc = d->mkdir(d->ctx, log);
    if (rc != 0 && rc != -EEXIST)
        return segment_fail(err, err_size, rc, "mkdir", log);
    rc = d->sync_dir(d->ctx, dir);
    return rc == 0 ? 0 : segment_fail(err, err_size, rc, "fsync", dir);
}

int repair_begin(const struct disk *d, const char *dir, const struct wal_options *options,
                 const struct recovery *r, char *err, size_t err_size)
{
    struct aside a = {.d = d, .dir = dir, .err = err, .err_size = err_size};
    int rc = r->damaged ? doubt_set(d, dir, &r->doubt, err, err_size) : 0;
    if (rc == 0)
        rc = make_log_dir(d, dir, err, err_size);
    if (rc == 0)
        rc = aside_begin(&a);
    if (rc == 0 && r->copy)
        rc = aside_copy(&a, r->number);
    for (size_t i = 0; rc == 0 && i < r->n_aside; i++)
        rc = aside_move(&a, r->aside[i]);
    for (size_t i = 0; rc == 0 && r->keep_aside && i < r->n_dead; i++)
        rc = aside_move(&a, r->dead[i]);
    return rc == 0 ? aside_trim(&a, options->damaged_max_bytes) : rc;
}
