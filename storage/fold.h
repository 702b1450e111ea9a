/* fold.h: what a log's batches add up to, applied in the order in which they lie on disk.
 *
 * Internal to storage: recovery folds what it reads, the wal folds what it appended, with the same
 * functions. Besides term, vote and the log's end, the fold knows where entries lie:
 *
 * - segs[].min_index: the smallest index that was appended in that segment. The live entry i is in
 *   the last segment whose min_index <= i: had it been written again later, that later segment's
 *   min_index would be <= i as well.
 * - truncs: an entry at position p is dead when a truncation behind p keeps less than its index.
 *   An earlier truncation that keeps as much or more than a later one says nothing new, so the list
 *   is kept ascending in both position and `to`, and the first one behind p decides.
 */
#ifndef STORAGE_FOLD_H
#define STORAGE_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/batch.h"

struct fold_seg {
    uint64_t min_index;             /* UINT64_MAX when no entry was appended here */
    uint64_t base_index, base_term; /* the log's last entry when the segment began */
    uint64_t salt;
    uint32_t bytes; /* size of the file */
    uint32_t end;   /* offset behind its last batch, a seal not counted */
};

struct fold_trunc {
    uint64_t number; /* segment of the batch that truncates */
    uint32_t offset; /* its offset in the segment */
    uint64_t to;     /* entries with a higher index that lie before it are dead */
};

struct fold {
    uint64_t next_seq;
    uint8_t chain[BATCH_HASH_BYTES]; /* name of the last batch */
    uint8_t
        begun[BATCH_HASH_BYTES]; /* ... when the newest segment began: for the next one's salt */
    uint64_t term;
    uint16_t vote;
    uint64_t base_index, base_term; /* the log begins behind this entry; 0, 0 = at entry 1 */
    uint64_t last_index, last_term; /* base_index, base_term for an empty log */
    uint64_t commit; /* of the last batch: at most last_index, and perhaps below base_index */
    uint8_t head[BATCH_HASH_BYTES]; /* hash of the last record */

    uint64_t first_number; /* of segs[0]; the rest follow without a gap */
    struct fold_seg *segs;
    size_t n_segs, cap_segs;
    struct fold_trunc *truncs;
    size_t n_truncs, cap_truncs;
};

/* Begins the fold of a log whose first segment has this number and this head. */
void fold_init(struct fold *f, uint64_t number, const struct segment_head *h);
void fold_free(struct fold *f);

/* Makes room for one more segment and one more truncation, so that what follows a write cannot fail. 0 or
 * -ENOMEM. */
int fold_reserve(struct fold *f);

/* The next segment begins; room was reserved. */
void fold_segment(struct fold *f, uint64_t salt, uint32_t bytes);

/* True when `h` may follow: seq, term and vote, indexes and last term continue what is there
 * (figure 3.1's persistent state never goes back), and what was committed stays. The chain hash is
 * the caller's to compare. */
bool fold_fits(const struct fold *f, const struct batch_head *h);

/* The head, all of it, of the batch that seals the last segment now; `cut` is BATCH_CUT or 0. */
struct batch_head fold_seal(const struct fold *f, uint16_t cut);

/* Adds a batch at `offset` of the last segment. It fits, `hash` is its name, and room was reserved. */
void fold_batch(struct fold *f, const struct batch_head *h, const uint8_t hash[BATCH_HASH_BYTES],
                uint32_t offset);

/* The log is empty and begins behind this entry, with segment `number`; the chain goes on. */
void fold_reset(struct fold *f, uint64_t number, uint64_t index, uint64_t term,
                const uint8_t hash[BATCH_HASH_BYTES]);

/* How many segments from the first on can go when entries below keep_from are not needed; not the last
 * one. The entry before what is left is one that stays for ever: a log cannot begin behind an entry
 * that was overwritten later. */
size_t fold_behind(const struct fold *f, uint64_t keep_from);

/* The first `n` segments are gone. */
void fold_drop(struct fold *f, size_t n);

/* Entries at this position with an index above the result are dead; UINT64_MAX when none is. */
uint64_t fold_live_to(const struct fold *f, uint64_t number, uint32_t offset);

#endif
