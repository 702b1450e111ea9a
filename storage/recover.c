/* recover.c: the scan behind wal_open and wal_check. See recover.h for the question it answers and
 * batch.h for the bytes.
 *
 *   per segment, in order of number:
 *     sync, drop cache, head ok? --no--> nothing behind it: made ahead, not in use yet
 *                |                       something behind: CORRUPT
 *                v
 *     does the head continue the segment before? --no--> CORRUPT
 *                |
 *                v
 *     batch by batch: gather facts, ask the table: accept, sealed, clean, torn, corrupt
 *
 * R1 A segment's head is written, and durable, only after the segment before it was sealed; no
 *    batch is written before the head is durable.
 * R2 A SEAL is written only when the next segment's file and name are durable. So a sealed segment
 *    without a successor has lost it.
 * R3 A SEAL's place is the last block, which no other batch reaches. Its chain hash says behind
 *    which batch the segment ends, so a torn write in front of it can stay where it is for ever.
 */
#include "storage/recover.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "storage/record.h"
#include "storage/scan.h"
#include "storage/segment.h"
#include "storage/verdict.h"
#include "storage/zero.h"

/* Where the walk of a segment stands. */
struct walk {
    const struct segment_seen *seg;
    bool last; /* no segment in use behind this one */
    uint32_t at;
    struct batch_head head; /* of the batch at `at`, with AT_HEAD */
    bool seal_ok;           /* the last block holds a seal of this segment */
    struct batch_head seal;
    uint8_t seal_hash[BATCH_HASH_BYTES];
    uint64_t later_first; /* first index of the first valid later batch with entries, 0 for none */
    uint32_t nonzero_end; /* behind the last block that is not zero, from the look-ahead */
};

/* Have bytes [at, at + len) of the open segment in s->buf. */
static int load(struct scan *s, const struct walk *w, uint32_t at, uint32_t len)
{
    uint32_t want = at + len;
    if (want <= s->loaded)
        return 0;
    if (want < s->loaded + SCAN_READ_BYTES)
        want = s->loaded + SCAN_READ_BYTES;
    if (want > w->seg->bytes)
        want = w->seg->bytes;
    int rc = scan_read(s, s->buf + s->loaded, s->loaded, want - s->loaded);
    if (rc == 0)
        s->loaded = want;
    return rc;
}

static int check_segment_head(struct scan *s, const struct segment_head *h)
{
    const struct fold *f = &s->r->fold;
    if (h->storage_id != s->options->storage_id)
        return scan_corrupt(s,
                            "%s: belongs to storage %016" PRIx64 ", this directory is %016" PRIx64,
                            s->path, h->storage_id, s->options->storage_id);
    if (f->n_segs == 0 && h->base_index != f->base_index)
        return scan_corrupt(
            s, "%s: begins behind entry %" PRIu64 "; the segments before it are missing", s->path,
            h->base_index);
    if (h->number != s->number || h->first_seq != f->next_seq ||
        memcmp(h->prev, f->chain, sizeof f->chain) != 0 ||
        h->salt != segment_salt(s->options->storage_id, s->number, f->chain) ||
        h->term != f->term || h->vote != f->vote || h->base_index != f->last_index ||
        h->base_term != f->last_term || h->commit != f->commit ||
        memcmp(h->base_head, f->head, sizeof f->head) != 0)
        return scan_corrupt(s, "%s: its head does not continue the segment before it", s->path);
    return 0;
}

static int runs_push(struct scan *s, uint64_t index, uint64_t term)
{
    struct recovery *r = s->r;
    if (r->n_runs > 0 && r->runs[r->n_runs - 1].term == term)
        return 0;
    if (r->n_runs == r->cap_runs) {
        size_t cap = r->cap_runs == 0 ? 16 : r->cap_runs * 2;
        struct raft_run *p = realloc(r->runs, cap * sizeof *p);
        if (p == NULL)
            return scan_no_memory(s);
        r->runs = p;
        r->cap_runs = cap;
    }
    r->runs[r->n_runs++] = (struct raft_run){.first_index = index, .term = term};
    return 0;
}

static uint64_t runs_last_term(const struct recovery *r)
{
    return r->n_runs > 0 ? r->runs[r->n_runs - 1].term : r->fold.base_term;
}

/* The records inside a batch whose checksums are right. A contradiction here was written so: it is
 * never a cut write. */
static int walk_records(struct scan *s, const struct walk *w)
{
    const struct batch_head *h = &w->head;
    const uint8_t *p = s->buf + w->at + BATCH_HEAD_BYTES;
    size_t left = h->payload_len;
    uint64_t index = h->first_index;
    bool prev_known = (h->flags & BATCH_TRUNC) == 0 || h->truncate_to == 0;
    uint8_t prev[RECORD_HASH_BYTES];
    if ((h->flags & BATCH_TRUNC) != 0) {
        while (s->r->n_runs > 0 && s->r->runs[s->r->n_runs - 1].first_index > h->truncate_to)
            s->r->n_runs--;
        memset(prev, 0, sizeof prev);
    } else {
        memcpy(prev, s->r->fold.head, sizeof prev);
    }
    while (left > 0) {
        struct record r;
        size_t size;
        if (record_decode(p, left, &r, &size) != RECORD_OK || r.index != index ||
            r.term < runs_last_term(s->r) || (prev_known && memcmp(r.prev, prev, sizeof prev) != 0))
            return scan_corrupt(s,
                                "%s: entry %" PRIu64 " in the batch at offset %" PRIu32
                                " does not continue the log",
                                s->path, index, w->at);
        int rc = runs_push(s, r.index, r.term);
        if (rc != 0)
            return rc;
        record_hash(p, size, prev);
        prev_known = true;
        p += size;
        left -= size;
        index++;
    }
    if (runs_last_term(s->r) != h->last_term ||
        (h->first_index != 0 &&
         (index != h->last_index + 1 || memcmp(prev, h->head, sizeof prev) != 0)))
        return scan_corrupt(s,
                            "%s: the batch at offset %" PRIu32 " does not hold what its head says",
                            s->path, w->at);
    return 0;
}

/* Facts that need only the position itself and the seal. */
static int facts_here(struct scan *s, struct walk *w, struct verdict_facts *facts)
{
    const struct fold *f = &s->r->fold;
    uint64_t seal_seq = f->next_seq + ((w->seal.flags & BATCH_CUT) != 0 ? 1 : 0);
    memset(facts, 0, sizeof *facts);
    facts->seal = w->seal_ok && w->seal.seq == seal_seq &&
                          memcmp(w->seal.prev, f->chain, sizeof f->chain) == 0
                      ? YES
                      : NO;
    if (facts->seal == YES)
        return 0;
    int rc = load(s, w, w->at, BATCH_BLOCK_BYTES);
    if (rc != 0)
        return rc;
    const uint8_t *p = s->buf + w->at;
    bool head = batch_decode(p, &w->head) && w->head.salt == w->seg->head.salt;
    facts->block = head ? AT_HEAD : all_zero(p, BATCH_BLOCK_BYTES) ? AT_ZERO : AT_BAD;
    if (!head)
        return 0;

    facts->seq = w->head.seq < f->next_seq    ? SEQ_LOWER
                 : w->head.seq == f->next_seq ? SEQ_NEXT
                                              : SEQ_HIGHER;
    facts->chained = memcmp(w->head.prev, f->chain, sizeof f->chain) == 0 ? YES : NO;
    facts->payload = NO;
    uint64_t bytes = batch_bytes(w->head.payload_len);
    if (w->at + bytes <= segment_seal_at(w->seg->bytes)) {
        rc = load(s, w, w->at, (uint32_t)bytes);
        if (rc != 0)
            return rc;
        uint32_t crc = crc32c(0, s->buf + w->at + BATCH_HEAD_BYTES,
                              (size_t)bytes - BATCH_HEAD_BYTES);
        facts->payload = crc == w->head.payload_crc ? YES : NO;
    }
    return 0;
}

/* Facts about what lies behind the position. Not in s->buf: a whole segment of zeros would be
 * touched memory for nothing. */
static int facts_behind(struct scan *s, struct walk *w, struct verdict_facts *facts)
{
    facts->later = NO;
    facts->last = w->last ? YES : NO;
    facts->rest_zero = YES;
    w->later_first = 0;
    w->nonzero_end = w->at;
    for (uint32_t at = w->at; at < w->seg->bytes;) {
        uint32_t n = w->seg->bytes - at < SCAN_READ_BYTES ? w->seg->bytes - at : SCAN_READ_BYTES;
        int rc = scan_read(s, s->window, at, n);
        if (rc != 0)
            return rc;
        for (uint32_t b = 0; b < n; b += BATCH_BLOCK_BYTES) {
            struct batch_head h;
            const uint8_t *p = s->window + b;
            if (all_zero(p, BATCH_BLOCK_BYTES))
                continue;
            w->nonzero_end = at + b + BATCH_BLOCK_BYTES;
            if (at + b == w->at)
                continue;
            facts->rest_zero = NO;
            if (!batch_decode(p, &h) || h.salt != w->seg->head.salt || h.seq <= s->r->fold.next_seq)
                continue;
            facts->later = YES;
            if (w->later_first == 0 && h.first_index != 0)
                w->later_first = h.first_index;
        }
        at += n;
    }
    return 0;
}

/* Say what is lost: from the batch's own head, or from what stands around it. */
static int corrupt_at(struct scan *s, const struct walk *w, const struct verdict_facts *facts,
                      const char *why, const struct segment_seen *next)
{
    struct wal_report *rep = s->rep;
    char entries[96];
    int n;
    rep->bad_first_index = s->r->fold.last_index + 1;
    rep->bad_last_index = 0;
    if (facts->block == AT_HEAD && facts->seq == SEQ_NEXT && w->head.first_index != 0) {
        rep->bad_first_index = w->head.first_index;
        rep->bad_last_index = w->head.last_index;
    } else if (w->later_first > rep->bad_first_index) {
        rep->bad_last_index = w->later_first - 1;
    } else if (w->later_first == 0 && next->state == SEG_IN_USE &&
               next->head.base_index >= rep->bad_first_index) {
        rep->bad_last_index = next->head.base_index;
    }
    if (rep->bad_last_index != 0)
        n = snprintf(entries, sizeof entries, "entries %" PRIu64 " to %" PRIu64,
                     rep->bad_first_index, rep->bad_last_index);
    else
        n = snprintf(entries, sizeof entries, "entries from %" PRIu64 " on, terms and votes",
                     rep->bad_first_index);
    assert(n > 0 && (size_t)n < sizeof entries);
    (void)n;
    return scan_corrupt(s, "%s: the batch at offset %" PRIu32 " %s; concerned: %s", s->path, w->at,
                        why, entries);
}

/* Say what is dropped. Whether it had been acknowledged (a medium may lose what it said it had) nobody
 * can know here: the leader does, and says so. */
static void torn_at(struct scan *s, const struct walk *w, const struct verdict_facts *facts)
{
    struct wal_report *rep = s->rep;
    bool head = facts->block == AT_HEAD; /* then it is the next batch, see verdict.c */
    char dropped[160];
    int n;
    rep->verdict = WAL_TORN;
    rep->cut_bytes = w->nonzero_end - w->at;
    rep->bad_first_index = head ? w->head.first_index : s->r->fold.last_index + 1;
    rep->bad_last_index = head ? w->head.last_index : 0;
    if (rep->bad_first_index == 0)
        n = snprintf(
            dropped, sizeof dropped,
            "the term or vote in it is dropped; if the disk had confirmed it, this node may "
            "have given a vote that it forgets now");
    else if (head)
        n = snprintf(dropped, sizeof dropped, "entries %" PRIu64 " to %" PRIu64 " are dropped",
                     rep->bad_first_index, rep->bad_last_index);
    else
        n = snprintf(dropped, sizeof dropped, "entries from %" PRIu64 " on, if any, are dropped",
                     rep->bad_first_index);
    assert(n > 0 && (size_t)n < sizeof dropped);
    n = snprintf(
        rep->message, sizeof rep->message,
        "%s: the last write, %" PRIu64 " bytes at offset %" PRIu32 ", is damaged or was cut: %s%s",
        s->path, rep->cut_bytes, w->at, dropped,
        rep->bad_first_index == 0 ? ""
                                  : "; if this node had acknowledged them, the leader will say so, "
                                    "but in a cluster of one nobody else has them");
    assert(n > 0);
    (void)n;
}

static int accept(struct scan *s, struct walk *w)
{
    struct fold *f = &s->r->fold;
    uint8_t hash[BATCH_HASH_BYTES];
    if (!fold_fits(f, &w->head) || (w->head.flags & BATCH_SEAL) != 0)
        return scan_corrupt(s, "%s: the batch at offset %" PRIu32 " contradicts the ones before it",
                            s->path, w->at);
    int rc = walk_records(s, w);
    if (rc != 0)
        return rc;
    if (fold_reserve(f) != 0)
        return scan_no_memory(s);
    batch_hash(s->buf + w->at, hash);
    fold_batch(f, &w->head, hash, w->at);
    w->at += (uint32_t)batch_bytes(w->head.payload_len);
    s->rep->batches++;
    return 0;
}

static int read_seal(struct scan *s, struct walk *w)
{
    uint32_t at = segment_seal_at(w->seg->bytes);
    int rc = scan_read(s, s->window, at, BATCH_BLOCK_BYTES);
    if (rc != 0)
        return rc;
    w->seal_ok = batch_decode(s->window, &w->seal) && w->seal.salt == w->seg->head.salt &&
                 (w->seal.flags & BATCH_SEAL) != 0 &&
                 crc32c(0, s->window + BATCH_HEAD_BYTES, BATCH_BLOCK_BYTES - BATCH_HEAD_BYTES) ==
                     w->seal.payload_crc;
    if (w->seal_ok)
        batch_hash(s->window, w->seal_hash);
    else
        memset(&w->seal, 0, sizeof w->seal);
    return 0;
}

static int seal_segment(struct scan *s, struct walk *w)
{
    struct fold *f = &s->r->fold;
    if (!fold_fits(f, &w->seal))
        return scan_corrupt(s, "%s: its seal contradicts the batches before it", s->path);
    if (fold_reserve(f) != 0)
        return scan_no_memory(s);
    fold_batch(f, &w->seal, w->seal_hash, segment_seal_at(w->seg->bytes));
    s->rep->batches++;
    return 0;
}

/* Walk the batches of the open segment. 0 and *verdict (sealed, clean or torn), or an error. */
static int walk_segment(struct scan *s, const struct segment_seen *seg,
                        const struct segment_seen *next, enum verdict *verdict)
{
    struct walk w = {.seg = seg, .at = BATCH_BLOCK_BYTES};
    int rc;
    w.last = next->state == SEG_NONE || next->state == SEG_UNUSED;
    if (s->buf_bytes < seg->bytes) {
        free(s->buf);
        s->buf_bytes = 0;
        s->buf = malloc(seg->bytes);
        if (s->buf == NULL)
            return scan_no_memory(s);
        s->buf_bytes = seg->bytes;
    }
    if ((rc = read_seal(s, &w)) != 0)
        return rc;
    for (;;) {
        struct verdict_facts facts;
        if ((rc = facts_here(s, &w, &facts)) != 0)
            return rc;
        const struct verdict_rule *rule = verdict_judge(&facts);
        if (rule == NULL) {
            if ((rc = facts_behind(s, &w, &facts)) != 0)
                return rc;
            rule = verdict_judge(&facts);
        }
        assert(rule != NULL);
        *verdict = rule->verdict;
        switch (rule->verdict) {
        case VERDICT_ACCEPT:
            if ((rc = accept(s, &w)) != 0)
                return rc;
            break;
        case VERDICT_SEALED: return seal_segment(s, &w);
        case VERDICT_TORN: torn_at(s, &w, &facts); return 0;
        case VERDICT_CLEAN: return 0;
        case VERDICT_CORRUPT: return corrupt_at(s, &w, &facts, rule->why, next);
        }
    }
}

static int scan_in_use(struct scan *s, const struct segment_seen *seg,
                       const struct segment_seen *next, bool next_is_final, bool *end)
{
    struct recovery *r = s->r;
    enum verdict verdict = VERDICT_CLEAN;
    int rc = scan_open(s, s->number);
    if (rc == 0)
        rc = check_segment_head(s, &seg->head);
    if (rc != 0)
        return rc;
    if (fold_reserve(&r->fold) != 0)
        return scan_no_memory(s);
    fold_segment(&r->fold, seg->head.salt, seg->bytes);
    rc = walk_segment(s, seg, next, &verdict);
    if (rc != 0 || (rc = scan_close(s)) != 0)
        return rc;
    if (verdict == VERDICT_SEALED) {
        if (next->state != SEG_NONE)
            return 0;
        s->number++; /* R2 */
        segment_path(s->path, s->dir, s->number, SEGMENT_SUFFIX);
        return scan_corrupt(s,
                            "%s is missing: the segment before it was sealed, entries from %" PRIu64
                            " on are gone",
                            s->path, r->fold.last_index + 1);
    }
    if (next->state == SEG_UNUSED && !next_is_final) {
        s->number++;
        return scan_corrupt(s, "%s/log: segment %016" PRIx64 " is empty, but there are later ones",
                            s->dir, s->number);
    }
    r->next = verdict == VERDICT_TORN ? RECOVER_CUT : RECOVER_APPEND;
    r->number = s->number;
    r->offset = r->fold.segs[r->fold.n_segs - 1].end;
    r->bytes = seg->bytes;
    r->spare = next->state == SEG_UNUSED;
    *end = true;
    return 0;
}

static int scan_segments(struct scan *s)
{
    struct segment_seen seg, next = {.state = SEG_NONE};
    bool end = false;
    fold_init(&s->r->fold, s->numbers[0]);
    int rc = scan_look(s, s->numbers[0], &seg);
    for (size_t i = 0; rc == 0 && !end; i++) {
        bool more = i + 1 < s->n_numbers;
        next = (struct segment_seen){.state = SEG_NONE};
        if (more)
            rc = scan_look(s, s->numbers[i + 1], &next);
        if (rc != 0)
            break;
        s->number = s->numbers[i];
        segment_path(s->path, s->dir, s->number, SEGMENT_SUFFIX);
        switch (seg.state) {
        case SEG_IN_USE: rc = scan_in_use(s, &seg, &next, i + 2 >= s->n_numbers, &end); break;
        case SEG_UNUSED:
            if (more)
                return scan_corrupt(s, "%s: is empty, but there are later segments", s->path);
            if (i == 0 && s->number != SEGMENT_FIRST) /* a spare alone */
                return scan_corrupt(s, "%s/log: all segments before %016" PRIx64 " are missing",
                                    s->dir, s->number);
            s->r->next = RECOVER_BIRTH;
            s->r->number = s->number;
            s->r->bytes = seg.bytes;
            end = true;
            break;
        case SEG_DAMAGED:
            return scan_corrupt(
                s, "%s: its head is damaged, entries from %" PRIu64 " on are behind it", s->path,
                s->r->fold.last_index + 1);
        case SEG_NONE: abort(); /* it was listed, so it was looked at */
        }
        seg = next;
        s->n_done++;
    }
    return rc;
}

int recover_scan(struct recovery *r, const struct disk *d, const char *dir,
                 const struct wal_options *options, struct wal_report *report)
{
    struct scan s = {.d = d, .dir = dir, .r = r, .rep = report, .fd = -1};
    memset(r, 0, sizeof *r);
    memset(report, 0, sizeof *report);
    s.options = options;
    s.window = malloc(SCAN_READ_BYTES);
    int rc = s.window == NULL ? -ENOMEM : scan_list(&s);
    if (rc == 0)
        rc = scan_segments(&s);
    if (s.fd >= 0) {
        /* On the way out with a first error, which is the one to tell. */
        int closed = d->close(d->ctx, s.fd);
        rc = rc != 0 ? rc : closed;
    }
    free(s.window);
    free(s.buf);
    free(s.numbers);

    const struct fold *f = &r->fold;
    report->term = f->term;
    report->vote = f->vote;
    report->base_index = f->base_index;
    report->base_term = f->base_term;
    report->last_index = f->last_index;
    report->last_term = f->last_term;
    report->commit = f->commit;
    memcpy(report->head, f->head, sizeof report->head);
    return rc;
}

void recover_free(struct recovery *r)
{
    fold_free(&r->fold);
    free(r->runs);
    memset(r, 0, sizeof *r);
}
