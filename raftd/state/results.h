/* results.h: what a write did, as its client is told.
 *
 * The node fills it for a write of its own client when the entry is applied (raftd/node/writes.h); it belongs
 * to the request. `outcome` always says whether the write was done. What its operations told may be missing
 * nevertheless: of a repeated write, and when memory was short or too much was told that is not freed yet.
 * Then `told` is NULL.
 */
#ifndef RAFTD_RESULTS_H
#define RAFTD_RESULTS_H

#include "raftd/state/machine.h"

struct results {
    enum outcome outcome; /* 0: the write was not applied, as far as this node knows */
    bool repeated;        /* it was done earlier: outcome and revision are of that time */
    unsigned at;          /* which condition or operation failed, from 0; of a repeated one 0 */
    uint64_t revision;    /* index of the entry that did it or failed */
    uint64_t cluster_ms;  /* cluster time as of the entry that was applied */
    /* One for each operation of the command, guards included, in order. NULL and 0: nothing was done (see
     * outcome_is_done()), or it is missing. */
    struct told *told;
    unsigned n;
    struct told only; /* of one operation that tells no value: most are so, and need no memory */
};

/* Bytes of the values that are told: what results_keep() takes beside some KiB. */
size_t results_value_bytes(const struct told *told, unsigned n);

/* Keeps copies of what was told, with their values, until results_free(). Without memory nothing is kept.
 * What r points to must not be moved. */
void results_keep(struct results *r, const struct told *told, unsigned n);
void results_free(struct results *r);

#endif
