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
 * R4 A file without a head is unused only if none of its blocks has the salt that this segment would
 *    have: else it was in use, and has lost its head. This salt follows from the head of the segment
 *    before alone, also behind a cut or with a reset. So it is known whatever else that one has lost;
 *    and a log never goes on among blocks that have its own salt.
 */
#include "storage/recover.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "storage/crc32c.h"
#include "storage/record.h"
#include "storage/repair.h"
#include "storage/scan.h"
#include "storage/scan_entries.h"
#include "storage/segment.h"
#include "storage/verdict.h"
#include "storage/zero.h"

/* Where the walk of a segment stands. */
struct walk {
    const struct segment_seen *seg;
    const struct segment_seen *next; /* behind this one, or NULL */
    bool last;                       /* none of those behind is in use */
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
    const struct wal_base *base = &s->options->base;
    uint64_t id = s->options->storage_id;
    if (f->n_segs == 0 && base->index == 0 && h->first_seq != 1)
        return scan_corrupt(
            s, "%s: begins behind entry %" PRIu64 "; segments or a snapshot are missing", s->path,
            h->base_index);
    if (f->n_segs == 0 && h->base_index > base->index)
        return scan_corrupt(s,
                            "%s: begins behind entry %" PRIu64 ", but the snapshot ends with entry "
                            "%" PRIu64 ": the entries between them are missing",
                            s->path, h->base_index, base->index);
    if (h->first_seq != f->next_seq || memcmp(h->prev, f->chain, sizeof f->chain) != 0 ||
        !(f->n_segs == 0 ? segment_salt_fits(id, s->number, h->salt)
                         : segment_salt(id, s->number, f->begun) == h->salt) ||
        h->term != f->term || h->vote != f->vote || h->base_index != f->last_index ||
        h->base_term != f->last_term || h->commit != f->commit ||
        memcmp(h->base_head, f->head, sizeof f->head) != 0)
        return scan_corrupt(s, "%s: its head does not continue the segment before it", s->path);
    return 0;
}

/* What a block is that is no head of a batch of this segment. */
static uint8_t kind_of(const struct walk *w, const uint8_t *block)
{
    if (all_zero(block, BATCH_BLOCK_BYTES))
        return AT_ZERO;
    return batch_salt(block) == w->seg->head.salt ? AT_MARKED : AT_STRANGE;
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
    facts->block = head ? AT_HEAD : kind_of(w, p);
    if (facts->block == AT_STRANGE && memcmp(batch_prev(p), f->chain, sizeof f->chain) == 0)
        facts->block = AT_MARKED;
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
    facts->rest = AT_ZERO;
    facts->recycled = (w->seg->head.flags & SEGMENT_RECYCLED) != 0 ? YES : NO;
    w->later_first = 0;
    w->nonzero_end = w->at;
    uint64_t head_end = facts->block == AT_HEAD ? w->at + batch_bytes(w->head.payload_len) : 0;
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
            uint8_t kind = kind_of(w, p);
            if (kind == AT_MARKED || facts->recycled == NO || at + b < head_end)
                w->nonzero_end = at + b + BATCH_BLOCK_BYTES;
            if (at + b == w->at)
                continue;
            if (facts->rest != AT_MARKED)
                facts->rest = kind;
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

static int head_damaged(struct scan *s)
{
    const struct fold *f = &s->r->fold;
    if (f->n_segs == 0)
        return scan_corrupt(s, "%s: its head is damaged, which says where the log begins", s->path);
    return scan_corrupt(s, "%s: its head is damaged, entries from %" PRIu64 " on are behind it",
                        s->path, f->last_index + 1);
}

/* Say what is lost: from the batch's own head, or from what stands around it. */
static int corrupt_at(struct scan *s, const struct walk *w, const struct verdict_facts *facts,
                      const char *why)
{
    struct wal_report *rep = s->rep;
    char entries[96];
    int n;
    bool next = w->next != NULL && facts->later == NO;
    if (next && w->next->state == SEG_CUT && facts->block != AT_HEAD)
        return scan_wrong_size(s, (size_t)(w->next - s->seen));
    rep->bad_first_index = s->r->fold.last_index + 1;
    rep->bad_last_index = 0;
    if (next && w->next->state == SEG_DAMAGED) {
        segment_path(s->path, s->dir, s->number + 1, SEGMENT_SUFFIX);
        return head_damaged(s);
    }
    if (facts->block == AT_HEAD && facts->seq == SEQ_NEXT && w->head.first_index != 0) {
        rep->bad_first_index = w->head.first_index;
        rep->bad_last_index = w->head.last_index;
    } else if (w->later_first > rep->bad_first_index) {
        rep->bad_last_index = w->later_first - 1;
    } else if (w->later_first == 0 && w->next != NULL && w->next->state == SEG_IN_USE &&
               w->next->head.base_index >= rep->bad_first_index) {
        rep->bad_last_index = w->next->head.base_index;
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
    /* The log cannot begin behind an entry that was overwritten later. Segments are deleted one by
     * one, so a crash can have left such a beginning; it is not needed any more. */
    s->begin_later = (w->head.flags & BATCH_TRUNC) != 0 && w->head.truncate_to < f->base_index &&
                     s->start + 1 < s->n_numbers && s->seen[s->start + 1].state == SEG_IN_USE;
    if (!fold_fits(f, &w->head) || (w->head.flags & BATCH_SEAL) != 0)
        return scan_corrupt(s, "%s: the batch at offset %" PRIu32 " contradicts the ones before it",
                            s->path, w->at);
    int rc = scan_entries(s, &w->head, w->at);
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
    s->sealed = true;
    s->rep->batches++;
    return 0;
}

static bool all_unused(const struct scan *s, size_t from)
{
    while (from < s->n_numbers && s->seen[from].state == SEG_UNUSED)
        from++;
    return from == s->n_numbers;
}

/* Walk the batches of the open segment. 0 and *verdict (sealed, clean or torn), or an error. */
static int walk_segment(struct scan *s, size_t i, enum verdict *verdict)
{
    const struct segment_seen *seg = &s->seen[i];
    struct walk w = {.seg = seg,
                     .next = i + 1 < s->n_numbers ? seg + 1 : NULL,
                     .last = all_unused(s, i + 1),
                     .at = BATCH_BLOCK_BYTES};
    int rc;
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
        case VERDICT_CORRUPT: return corrupt_at(s, &w, &facts, rule->why);
        }
    }
}

static int scan_in_use(struct scan *s, size_t i, bool *end)
{
    const struct segment_seen *seg = &s->seen[i];
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
    s->salt = seg->head.salt;
    s->sealed = false;
    rc = walk_segment(s, i, &verdict);
    if (rc != 0 || (rc = scan_close(s)) != 0)
        return rc;
    if (verdict == VERDICT_SEALED) {
        if (i + 1 < s->n_numbers)
            return 0;
        s->number++; /* R2 */
        segment_path(s->path, s->dir, s->number, SEGMENT_SUFFIX);
        return scan_corrupt(s,
                            "%s is missing: the segment before it was sealed, entries from %" PRIu64
                            " on are gone",
                            s->path, r->fold.last_index + 1);
    }
    r->next = verdict == VERDICT_TORN ? RECOVER_CUT : RECOVER_APPEND;
    r->number = s->number;
    r->offset = r->fold.segs[r->fold.n_segs - 1].end;
    r->bytes = seg->bytes;
    r->spares = s->n_numbers - i - 1;
    *end = true;
    return 0;
}

/* The segment before it is sealed, or there is none: will this one be the next? */
static int scan_unused(struct scan *s, size_t i)
{
    bool first = i == s->start, found = false;
    if (!all_unused(s, i))
        return scan_corrupt(s, "%s: is empty, but there are later segments", s->path);
    if (first && s->number != SEGMENT_FIRST) /* a spare alone */
        return scan_corrupt(s, "%s/log: all segments before %016" PRIx64 " are missing", s->dir,
                            s->number);
    int rc = first || s->seen[i].blank ? scan_find(s, i, 0, &found) : 0;
    if (rc != 0)
        return rc;
    if (found)
        return head_damaged(s);
    if (first)
        return scan_corrupt(s, "%s: belongs to no storage, this directory is %016" PRIx64, s->path,
                            s->options->storage_id);
    s->r->next = RECOVER_BIRTH;
    s->r->number = s->number;
    s->r->bytes = s->seen[i].bytes;
    s->r->spares = s->n_numbers - i;
    return 0;
}

static int missing(struct scan *s, uint64_t number)
{
    segment_path(s->path, s->dir, number, SEGMENT_SUFFIX);
    return scan_corrupt(s, "%s is missing, but later segments are there", s->path);
}

/* What the snapshot knows. */
static void begin_members(struct scan *s)
{
    const struct members_at *m = &s->options->base.members;
    s->members.n = 0;
    if (m->index != 0)
        members_log_add(&s->members, m->index, &m->members);
}

static int scan_from_start(struct scan *s)
{
    static const struct segment_head newborn = {.first_seq = 1};
    const struct segment_seen *first = &s->seen[s->start];
    bool end = false;
    int rc = 0;
    fold_free(&s->r->fold);
    fold_init(&s->r->fold, s->numbers[s->start],
              first->state == SEG_IN_USE ? &first->head : &newborn);
    memcpy(s->at_base, s->r->fold.head, sizeof s->at_base);
    begin_members(s);
    s->sealed = false;
    s->r->n_runs = 0;
    s->rep->batches = 0;
    s->rep->verdict = WAL_CLEAN;
    s->rep->message[0] = '\0';
    s->begin_later = false;
    for (size_t i = s->start; rc == 0 && i < s->n_numbers; i++, s->n_done++) {
        if (i > s->start && s->numbers[i] != s->numbers[i - 1] + 1)
            return missing(s, s->numbers[i - 1] + 1);
        if (end)
            continue;
        s->at = i;
        s->number = s->numbers[i];
        segment_path(s->path, s->dir, s->number, SEGMENT_SUFFIX);
        switch (s->seen[i].state) {
        case SEG_IN_USE: rc = scan_in_use(s, i, &end); break;
        case SEG_UNUSED:
            rc = scan_unused(s, i);
            end = true;
            break;
        case SEG_DAMAGED: rc = head_damaged(s); break;
        case SEG_CUT: rc = scan_wrong_size(s, i); break;
        }
    }
    return rc;
}

/* A file of zeros that was made late, when the log had gone on and left its place. */
static int is_late_spare(struct scan *s, size_t i, bool *late)
{
    *late = false;
    if (s->seen[i].state != SEG_UNUSED || !s->seen[i].blank)
        return 0;
    int rc = scan_find(s, i, 0, late);
    *late = !*late;
    return rc;
}

/* R4 */
static int find_headless(struct scan *s)
{
    int rc = 0;
    for (size_t i = s->start + 1; rc == 0 && i < s->n_numbers; i++) {
        struct segment_seen *seen = &s->seen[i], *before = seen - 1;
        bool found = false;
        if (seen->salt != 0 || before->state != SEG_IN_USE ||
            s->numbers[i] != s->numbers[i - 1] + 1)
            continue;
        seen->salt = segment_salt(s->options->storage_id, s->numbers[i], before->head.prev);
        if (seen->state == SEG_UNUSED && (rc = scan_find(s, i, seen->salt, &found)) == 0 && found)
            seen->state = SEG_DAMAGED;
    }
    return rc;
}

/* There is damage before segment `next`. All that stood there is in the snapshot when that segment
 * begins not behind its end; its head says which term and vote came before it. */
static bool covered(struct scan *s, size_t next)
{
    uint64_t index = s->options->base.index;
    if (index == 0 || next >= s->n_numbers || s->seen[next].state != SEG_IN_USE ||
        s->seen[next].head.base_index > index)
        return false;
    memcpy(s->damage, s->rep->message, sizeof s->damage);
    s->start = next;
    return true;
}

/* Looks at the files from the newest on, back to a reset or to the log's beginning. Spares that came late
 * are no part of it: they stand before a gap. */
static int look_at_all(struct scan *s)
{
    bool gap = false, late = false;
    s->seen = calloc(s->n_numbers, sizeof *s->seen);
    if (s->seen == NULL)
        return scan_no_memory(s);
    for (size_t i = s->n_numbers; i-- > 0;) {
        int rc = scan_look(s, s->numbers[i], &s->seen[i]);
        gap |= i + 1 < s->n_numbers && s->numbers[i] + 1 != s->numbers[i + 1];
        if (rc == 0 && gap)
            rc = is_late_spare(s, i, &late);
        if (rc != 0)
            return rc;
        if (gap && late)
            continue;
        s->start = i;
        if (s->seen[i].state == SEG_IN_USE && (s->seen[i].head.flags & SEGMENT_RESET) != 0)
            break;
    }
    while (!all_unused(s, s->start)) {
        int rc = is_late_spare(s, s->start, &late);
        if (rc != 0)
            return rc;
        if (!late)
            break;
        s->start++;
    }
    return find_headless(s);
}

/* Does the log hold the entry that the snapshot ends with? */
static int compare_base(struct scan *s)
{
    const struct wal_base *base = &s->options->base;
    struct recovery *r = s->r;
    const struct fold *f = &r->fold;
    uint64_t term = f->base_term;
    r->reset = f->last_index < base->index;
    if (r->reset || base->index == 0)
        return 0;
    for (size_t i = 0; i < r->n_runs && r->runs[i].first_index <= base->index; i++)
        term = r->runs[i].term;
    if (term == base->term && memcmp(s->at_base, base->hash, sizeof base->hash) == 0)
        return 0;
    if (term == base->term || base->index == f->base_index || base->index <= f->commit)
        return scan_corrupt(s,
                            "%s/log: entry %" PRIu64 " is not the one that the snapshot ends with",
                            s->dir, base->index);
    r->reset = true;
    return 0;
}

static int scan_log(struct scan *s)
{
    int rc = scan_list(s);
    if (rc == 0)
        rc = look_at_all(s);
    if (rc != 0)
        return rc;
    rc = scan_from_start(s);
    while (rc == -EBADMSG && (s->begin_later || covered(s, s->at + 1))) {
        s->start += s->begin_later ? 1 : 0;
        rc = scan_close(s);
        if (rc == 0)
            rc = scan_from_start(s);
    }
    return rc == 0 ? compare_base(s) : rc;
}

static int scan_all(struct scan *s)
{
    char why[WAL_MESSAGE_BYTES];
    int rc = doubt_read(s->d, s->dir, &s->before, s->rep->message, sizeof s->rep->message);
    if (rc == 0)
        rc = scan_log(s);
    if (rc == 0 && s->before.set && s->options->cut_off != NULL)
        return repair_tell(s);
    if (rc != -EBADMSG || !s->options->repair || s->refused)
        return rc;
    memcpy(why, s->rep->message, sizeof why);
    bool none = s->r->fold.n_segs == 0 || compare_base(s) != 0;
    memcpy(s->rep->message, why, sizeof why);
    return repair_plan(s, none);
}

/* What the log does not consist of, to be deleted: files before its beginning, and one that has two
 * names, since it was being recycled by a file system that cannot rename at once. */
static void take_dead(struct scan *s)
{
    struct recovery *r = s->r;
    size_t last = s->n_numbers - 1; /* without any there are no spares */
    r->n_dead = s->start;
    r->keep_aside = s->damage[0] != '\0';
    /* (Not the one that comes next for sure: the seal before it says that it was durable.) */
    if (r->spares > (r->next == RECOVER_BIRTH ? 1 : 0) && s->seen[last].state == SEG_UNUSED &&
        s->seen[last].head.number >= s->numbers[s->start]) {
        r->spares--;
        s->numbers[r->n_dead++] = s->numbers[last];
    }
    r->dead = s->numbers;
    r->aside = s->numbers + (s->n_numbers - r->n_aside);
    s->numbers = NULL;
}

static void __attribute__((format(printf, 2, 3)))
add_message(struct wal_report *rep, const char *format, ...)
{
    size_t len = strlen(rep->message);
    va_list args;
    if (len > 0 && len + 2 < sizeof rep->message)
        len = (size_t)(stpcpy(rep->message + len, ". ") - rep->message);
    va_start(args, format);
    int n = vsnprintf(rep->message + len, sizeof rep->message - len, format, args);
    va_end(args);
    assert(n > 0);
    (void)n;
}

static void begin_anew(struct scan *s)
{
    const struct wal_base *base = &s->options->base;
    struct wal_report *rep = s->rep;
    if (rep->term < base->term) {
        rep->term = base->term;
        rep->vote = 0;
    }
    rep->base_index = rep->last_index = rep->commit = base->index;
    rep->base_term = rep->last_term = base->term;
    memcpy(rep->head, base->hash, sizeof rep->head);
    s->r->n_runs = 0;
    begin_members(s);
    if (!s->r->damaged)
        add_message(rep,
                    "%s/log: entry %" PRIu64 " of term %" PRIu64 ", with which the snapshot ends, "
                    "is not in it: it begins anew behind that",
                    s->dir, base->index, base->term);
}

static void report_doubt(struct scan *s)
{
    struct wal_report *rep = s->rep;
    const struct doubt *d = s->r->damaged ? &s->r->doubt : &s->before;
    rep->doubt = d->set;
    if (!d->set)
        return;
    if (d->term > rep->term || (d->term == rep->term && rep->vote == 0))
        rep->vote = d->vote;
    rep->term = max_u64(d->term, rep->term);
    rep->bad_first_index = d->first_lost;
    rep->bad_last_index = d->last_lost;
    if (!s->r->damaged)
        add_message(rep,
                    "an earlier start has cut the log before damage, which is not healed yet: "
                    "%s",
                    d->why);
    else
        add_message(rep,
                    "The log %s entry %" PRIu64 ": this node lacks entries from %" PRIu64
                    " to %" PRIu64 " at least, and terms and votes. What stood there goes to "
                    "%s/log/damaged",
                    !s->r->reset           ? "is cut behind"
                    : rep->last_index != 0 ? "begins anew behind the snapshot, which ends with"
                                           : "begins anew, for there is no snapshot, behind",
                    rep->last_index, d->first_lost, max_u64(d->first_lost, d->last_lost), s->dir);
}

static void fill_report(struct scan *s, int rc)
{
    const struct wal_base *base = &s->options->base;
    const struct fold *f = &s->r->fold;
    struct wal_report *rep = s->rep;
    rep->segments = s->n_numbers;
    rep->term = f->term;
    rep->vote = f->vote;
    rep->base_index = f->base_index;
    rep->base_term = f->base_term;
    rep->last_index = f->last_index;
    rep->last_term = f->last_term;
    rep->commit = max_u64(f->commit, base->index);
    memcpy(rep->head, f->head, sizeof rep->head);
    if (rc == 0 && s->damage[0] != '\0')
        add_message(
            rep,
            "%s. The snapshot has what was there; the log begins with %016" PRIx64 SEGMENT_SUFFIX
            ", and what stands before it goes to %s/log/damaged",
            s->damage, s->numbers[s->start], s->dir);
    if (s->unreadable > 0 && rep->verdict != WAL_CLEAN)
        add_message(rep, "The disk could not read %u blocks of the log", s->unreadable);
    if (s->r->reset)
        begin_anew(s);
    rep->members = *members_log_newest(&s->members, 0);
    rep->members_before = *members_log_newest(&s->members, 1);
    rep->members_base = base->members;
    if (rc == 0)
        report_doubt(s);
}

int recover_scan(struct recovery *r, const struct disk *d, const char *dir,
                 const struct wal_options *options, struct wal_report *report)
{
    struct scan s = {.d = d, .dir = dir, .options = options, .r = r, .rep = report, .fd = -1};
    memset(r, 0, sizeof *r);
    memset(report, 0, sizeof *report);
    s.window = malloc(SCAN_READ_BYTES);
    int rc = s.window == NULL ? -ENOMEM : scan_all(&s);
    if (s.fd >= 0) {
        /* On the way out with a first error, which is the one to tell. */
        int closed = d->close(d->ctx, s.fd);
        rc = rc != 0 ? rc : closed;
    }
    fill_report(&s, rc);
    if (rc == 0)
        take_dead(&s);
    free(s.window);
    free(s.buf);
    free(s.numbers);
    free(s.seen);
    return rc;
}

void recover_free(struct recovery *r)
{
    fold_free(&r->fold);
    free(r->runs);
    free(r->dead);
    memset(r, 0, sizeof *r);
}
