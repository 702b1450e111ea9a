/* fold.c: see fold.h. */
#include "storage/fold.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/crc32c.h"

void fold_init(struct fold *f, uint64_t number, const struct segment_head *h)
{
    memset(f, 0, sizeof *f);
    f->next_seq = h->first_seq;
    memcpy(f->chain, h->prev, sizeof f->chain);
    f->term = h->term;
    f->vote = h->vote;
    fold_reset(f, number, h->base_index, h->base_term, h->base_head);
    f->commit = h->commit;
}

void fold_reset(struct fold *f, uint64_t number, uint64_t index, uint64_t term,
                const uint8_t hash[BATCH_HASH_BYTES])
{
    f->base_index = f->last_index = f->commit = index;
    f->base_term = f->last_term = term;
    memcpy(f->head, hash, sizeof f->head);
    f->first_number = number;
    f->n_segs = 0;
    f->n_truncs = 0;
}

void fold_free(struct fold *f)
{
    free(f->segs);
    free(f->truncs);
    memset(f, 0, sizeof *f);
}

static int grow(void **array, size_t n, size_t *cap, size_t item_bytes)
{
    if (n < *cap)
        return 0;
    size_t want = *cap == 0 ? 8 : *cap * 2;
    void *p = realloc(*array, want * item_bytes);
    if (p == NULL)
        return -ENOMEM;
    *array = p;
    *cap = want;
    return 0;
}

int fold_reserve(struct fold *f)
{
    void *segs = f->segs, *truncs = f->truncs;
    int rc = grow(&segs, f->n_segs, &f->cap_segs, sizeof *f->segs);
    f->segs = segs;
    if (rc == 0)
        rc = grow(&truncs, f->n_truncs, &f->cap_truncs, sizeof *f->truncs);
    f->truncs = truncs;
    return rc;
}

void fold_segment(struct fold *f, uint64_t salt, uint32_t bytes)
{
    assert(f->n_segs < f->cap_segs);
    memcpy(f->begun, f->chain, sizeof f->begun);
    f->segs[f->n_segs++] = (struct fold_seg){.min_index = UINT64_MAX,
                                             .base_index = f->last_index,
                                             .base_term = f->last_term,
                                             .salt = salt,
                                             .bytes = bytes,
                                             .end = BATCH_BLOCK_BYTES};
}

bool fold_fits(const struct fold *f, const struct batch_head *h)
{
    bool trunc = (h->flags & BATCH_TRUNC) != 0;
    bool cut = (h->flags & BATCH_CUT) != 0;
    if (h->seq != f->next_seq + (cut ? 1 : 0))
        return false;
    if (h->term < f->term || (h->term == f->term && f->vote != 0 && h->vote != f->vote))
        return false;
    if (h->last_term > h->term)
        return false;
    if (trunc && (h->truncate_to > f->last_index || h->truncate_to < f->commit ||
                  h->truncate_to < f->base_index))
        return false;
    uint64_t last = trunc ? h->truncate_to : f->last_index;
    if (h->commit < f->commit || h->commit > (h->first_index != 0 ? h->last_index : last))
        return false;
    if (h->first_index != 0)
        return h->first_index == last + 1 && (trunc || h->last_term >= f->last_term);
    if (last == f->base_index && h->last_term != f->base_term)
        return false;
    return trunc || (h->last_term == f->last_term && memcmp(h->head, f->head, sizeof f->head) == 0);
}

struct batch_head fold_seal(const struct fold *f, uint16_t cut)
{
    static const uint8_t padding[BATCH_BLOCK_BYTES - BATCH_HEAD_BYTES];
    struct batch_head h = {
        .flags = (uint16_t)(BATCH_SEAL | cut),
        .vote = f->vote,
        .payload_crc = crc32c(0, padding, sizeof padding),
        .salt = f->segs[f->n_segs - 1].salt,
        .seq = f->next_seq + (cut != 0 ? 1 : 0),
        .last_term = f->last_term,
        .term = f->term,
        .commit = f->commit,
    };
    memcpy(h.prev, f->chain, sizeof h.prev);
    memcpy(h.head, f->head, sizeof h.head);
    return h;
}

void fold_batch(struct fold *f, const struct batch_head *h, const uint8_t hash[BATCH_HASH_BYTES],
                uint32_t offset)
{
    assert(f->n_segs > 0 && fold_fits(f, h));
    struct fold_seg *seg = &f->segs[f->n_segs - 1];
    if ((h->flags & BATCH_TRUNC) != 0) {
        while (f->n_truncs > 0 && f->truncs[f->n_truncs - 1].to >= h->truncate_to)
            f->n_truncs--;
        assert(f->n_truncs < f->cap_truncs);
        f->truncs[f->n_truncs++] = (struct fold_trunc){
            .number = f->first_number + f->n_segs - 1, .offset = offset, .to = h->truncate_to};
        f->last_index = h->truncate_to;
    }
    if (h->first_index != 0) {
        if (h->first_index < seg->min_index)
            seg->min_index = h->first_index;
        f->last_index = h->last_index;
    }
    f->last_term = h->last_term;
    f->commit = h->commit;
    memcpy(f->head, h->head, sizeof f->head);
    f->term = h->term;
    f->vote = h->vote;
    f->next_seq = h->seq + 1;
    memcpy(f->chain, hash, sizeof f->chain);
    if ((h->flags & BATCH_SEAL) == 0)
        seg->end = offset + (uint32_t)batch_bytes(h->payload_len);
}

size_t fold_behind(const struct fold *f, uint64_t keep_from)
{
    size_t n = 0;
    for (size_t i = 1; i < f->n_segs && f->segs[i].base_index < keep_from; i++)
        if (fold_live_to(f, f->first_number + i, 0) >= f->segs[i].base_index)
            n = i;
    return n;
}

void fold_drop(struct fold *f, size_t n)
{
    assert(n < f->n_segs);
    f->base_index = f->segs[n].base_index;
    f->base_term = f->segs[n].base_term;
    f->first_number += n;
    f->n_segs -= n;
    memmove(f->segs, f->segs + n, f->n_segs * sizeof *f->segs);
    size_t old = 0;
    while (old < f->n_truncs && f->truncs[old].number < f->first_number)
        old++;
    f->n_truncs -= old;
    memmove(f->truncs, f->truncs + old, f->n_truncs * sizeof *f->truncs);
}

uint64_t fold_live_to(const struct fold *f, uint64_t number, uint32_t offset)
{
    size_t low = 0, high = f->n_truncs;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct fold_trunc *t = &f->truncs[mid];
        if (t->number > number || (t->number == number && t->offset > offset))
            high = mid;
        else
            low = mid + 1;
    }
    return low < f->n_truncs ? f->truncs[low].to : UINT64_MAX;
}
