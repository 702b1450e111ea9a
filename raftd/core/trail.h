/* trail.h: what the core knows of the log: the term of each entry. Payloads are the caller's.
 *
 *     1 .. base_index        not here: committed long ago, and part of what the caller restored
 *     base_index + 1 .. last runs: for each term the first index
 *
 * In comparisons the base is an entry like any other, since its index and term are known. The terms of
 * entries below it are not known.
 */
#ifndef RAFT_TRAIL_H
#define RAFT_TRAIL_H

#include <stddef.h>
#include <stdint.h>

/* Entries from first_index to the next run's first_index - 1 (or the log's end) are of `term`. */
struct raft_run {
    uint64_t first_index;
    uint64_t term;
};

struct raft_trail {
    uint64_t base_index; /* the log begins behind this entry; 0 = at entry 1 */
    uint64_t base_term;  /* of that entry; 0 with index 0 */
    uint64_t last;       /* index of the last entry; base_index = there are none */
    /* Invariant: first indexes and terms both strictly grow; the first one is base_index + 1, of a term
     * that is not below base_term. The memory is the caller's. */
    struct raft_run *runs;
    size_t n_runs;
    size_t cap_runs;
};

/* Term of the entry at index. 0 = not known: index 0, below the base, or beyond the log. */
uint64_t raft_trail_term(const struct raft_trail *t, uint64_t index);

/* Highest index that is <= index and whose term may be <= term. An entry below the base may be of any
 * term. */
uint64_t raft_trail_last_at_most(const struct raft_trail *t, uint64_t index, uint64_t term);

/* Extends the log to `last` with entries of `term`, which is not below any other. Takes one place in
 * `runs` at most. */
void raft_trail_append(struct raft_trail *t, uint64_t term, uint64_t last);

/* Forgets the entries above `to`, which is not below the base. */
void raft_trail_truncate(struct raft_trail *t, uint64_t to);

/* Forgets the entries up to `to`, which is in the log or is its base: the log begins behind it from now
 * on. */
void raft_trail_compact(struct raft_trail *t, uint64_t to);

/* Forgets all entries: the log is empty, and begins behind the entry of this index and term. */
void raft_trail_reset(struct raft_trail *t, uint64_t index, uint64_t term);

/* Free places for runs. */
size_t raft_trail_room(const struct raft_trail *t);

/* Moves the runs to larger memory; the old memory is the caller's again. */
void raft_trail_move(struct raft_trail *t, struct raft_run *runs, size_t cap_runs);

/* NULL, or a static sentence naming the broken invariant. */
const char *raft_trail_check(const struct raft_trail *t);

#endif
