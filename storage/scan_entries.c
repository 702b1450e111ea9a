/* scan_entries.c: see scan_entries.h. */
#include "storage/scan_entries.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "storage/record.h"

/* Adds one of the *n runs of a batch. They stand behind those of the log until all of the batch is right. */
static int runs_push(struct scan *s, size_t *n, uint64_t index, uint64_t term)
{
    struct recovery *r = s->r;
    if (r->n_runs + *n == r->cap_runs) {
        size_t cap = r->cap_runs == 0 ? 16 : r->cap_runs * 2;
        struct raft_run *p = realloc(r->runs, cap * sizeof *p);
        if (p == NULL)
            return scan_no_memory(s);
        r->runs = p;
        r->cap_runs = cap;
    }
    r->runs[r->n_runs + (*n)++] = (struct raft_run){.first_index = index, .term = term};
    return 0;
}

/* Can the record be applied? */
static bool sound(const struct record *rec)
{
    struct members m;
    return rec->type != RECORD_MEMBERS || members_decode(rec->data, rec->data_len, &m);
}

/* Takes the configurations among the entries of a batch that is right. A truncation can't take the one
 * that the snapshot has, which is committed. */
static void take_members(struct scan *s, const struct batch_head *h, const uint8_t *p)
{
    uint64_t base = s->options->base.members.index;
    size_t left = h->payload_len, size;
    struct record rec;
    struct members m;
    if ((h->flags & BATCH_TRUNC) != 0)
        members_log_cut(&s->members, max_u64(h->truncate_to, base));
    for (; left > 0 && record_decode(p, left, &rec, &size) == RECORD_OK; p += size, left -= size) {
        if (rec.type == RECORD_MEMBERS && rec.index > base &&
            members_decode(rec.data, rec.data_len, &m))
            members_log_add(&s->members, rec.index, &m);
    }
}

/* Takes the records of a batch whose checksums are right. So a contradiction between them is no cut write: it
 * was written so. */
int scan_entries(struct scan *s, const struct batch_head *h, uint32_t at)
{
    const uint8_t *p = s->buf + at + BATCH_HEAD_BYTES;
    bool members = (h->flags & BATCH_TRUNC) != 0;
    size_t left = h->payload_len;
    uint64_t index = h->first_index;
    bool prev_known = (h->flags & BATCH_TRUNC) == 0 || h->truncate_to == 0;
    uint8_t prev[RECORD_HASH_BYTES], at_base[RECORD_HASH_BYTES];
    struct recovery *r = s->r;
    size_t keep = r->n_runs, fresh = 0;
    memcpy(at_base, s->at_base, sizeof at_base);
    if ((h->flags & BATCH_TRUNC) != 0) {
        while (keep > 0 && r->runs[keep - 1].first_index > h->truncate_to)
            keep--;
        memset(prev, 0, sizeof prev);
    } else {
        memcpy(prev, r->fold.head, sizeof prev);
    }
    uint64_t term = keep > 0 ? r->runs[keep - 1].term : r->fold.base_term;
    while (left > 0) {
        struct record rec;
        size_t size;
        if (record_decode(p, left, &rec, &size) != RECORD_OK || rec.index != index ||
            rec.term < term || (prev_known && memcmp(rec.prev, prev, sizeof prev) != 0) ||
            !sound(&rec))
            return scan_corrupt(s,
                                "%s: entry %" PRIu64 " in the batch at offset %" PRIu32
                                " does not continue the log",
                                s->path, index, at);
        int rc = keep + fresh == 0 || rec.term != term ? runs_push(s, &fresh, index, rec.term) : 0;
        if (rc != 0)
            return rc;
        members |= rec.type == RECORD_MEMBERS;
        term = rec.term;
        record_hash(p, size, prev);
        if (index == s->options->base.index)
            memcpy(at_base, prev, sizeof at_base);
        prev_known = true;
        p += size;
        left -= size;
        index++;
    }
    if (term != h->last_term || (h->first_index != 0 && (index != h->last_index + 1 ||
                                                         memcmp(prev, h->head, sizeof prev) != 0)))
        return scan_corrupt(
            s, "%s: the batch at offset %" PRIu32 " does not hold what its head says", s->path, at);
    if (fresh > 0)
        memmove(r->runs + keep, r->runs + r->n_runs, fresh * sizeof *r->runs);
    r->n_runs = keep + fresh;
    memcpy(s->at_base, at_base, sizeof at_base);
    if (members)
        take_members(s, h, s->buf + at + BATCH_HEAD_BYTES);
    return 0;
}
