/* disk_model.h: what a log must contain, kept the simple way, and batches made from it.
 *
 * A test keeps one model of everything acknowledged; before an append it makes the next model and
 * the batch that leads to it. After a crash the recovered log must equal one of the two.
 */
#ifndef TESTS_DISK_MODEL_H
#define TESTS_DISK_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/wal.h"

enum {
    MODEL_ENTRIES_MAX = 800,
    MODEL_DATA_MAX = 3000, /* so that several entries fit into the smallest segment */
    MODEL_BATCH_MAX = 4 * (MODEL_DATA_MAX + 56),
};

struct model_entry {
    uint64_t term;
    uint32_t data_len;
    uint8_t fill; /* its data is this byte, data_len times ... */
    bool members; /* ... or model_members(index, fill) */
    uint8_t hash[WAL_HASH_BYTES];
};

struct model {
    uint64_t term;
    uint16_t vote;
    uint64_t base;   /* the log begins behind this entry; e[base] is known if it is not 0 */
    uint64_t last;   /* live entries are e[base + 1 .. last] */
    uint64_t commit; /* <= last; entries up to it are never truncated */
    struct model_entry e[MODEL_ENTRIES_MAX + 1];
};

/* A batch with the memory of its records. */
struct model_batch {
    struct wal_batch batch;
    uint8_t bytes[MODEL_BATCH_MAX];
};

uint64_t model_random(uint64_t *rng);

/* Begin a batch: current term, vote and log, nothing added. */
void model_begin(const struct model *m, struct model_batch *b);
/* Entries after `to` (>= commit) die. Before any entry is added. */
void model_truncate(struct model *m, struct model_batch *b, uint64_t to);
/* Add an entry of the current term. */
void model_entry(struct model *m, struct model_batch *b, uint32_t data_len, uint8_t fill);
/* Add an entry that is a configuration; the one before must be committed. */
void model_config(struct model *m, struct model_batch *b, uint8_t fill);
/* What such an entry says; a part of it depends on its index, and nearly all on `fill`. */
struct members model_members(uint64_t index, uint8_t fill);
/* The newest configuration up to entry `index`; index 0: there is none. */
struct members_at model_members_at(const struct model *m, uint64_t index);
/* A snapshot that ends with that entry. */
struct wal_base model_base(const struct model *m, uint64_t index);
/* Take term, vote and commit index over into the batch, and split the records into two pieces at `split`. */
void model_end(const struct model *m, struct model_batch *b, uint32_t split);

/* A random step of any kind: entries, a new term, a vote, truncation, all at once, or idle; now and
 * then some entries are known to be committed. */
void model_step(struct model *m, struct model_batch *b, uint64_t *rng);

/* Does the wal hold exactly this? Compares the report of wal_open (NULL: not) and reads every entry
 * back in pieces of different sizes. NULL or what differs. */
const char *model_differs(const struct model *m, struct wal *w, const struct wal_report *rep);

/* Only what the report says; for wal_check. */
const char *model_differs_report(const struct model *m, const struct wal_report *rep);

#endif
