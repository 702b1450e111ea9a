/* node_mirror.h: what a node has on disk, as its batches say; ends the program if they say what no log may
 * be told (storage/wal.h). One batch at a time. */
#ifndef TESTS_NODE_MIRROR_H
#define TESTS_NODE_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/record.h"
#include "storage/wal.h"

enum {
    MIRROR_ENTRIES = 4096,
    MIRROR_BYTES = 1 << 19,
    MIRROR_BATCH_BYTES = 1 << 18, /* as NODE_BATCH_BYTES_MAX */
};

/* Large: mirror_start() clears what it must. */
struct mirror {
    uint64_t term, last, commit;
    uint16_t vote;
    size_t at[MIRROR_ENTRIES + 2]; /* where entry i lies: up to at[i + 1] */
    uint8_t bytes[MIRROR_BYTES];
    uint64_t seq; /* of the batch on its way; 0 = none. The caller clears it */
    struct wal_batch batch;
    uint8_t batch_bytes[MIRROR_BATCH_BYTES];
    size_t batch_len;
};

/* So many no-ops of term 1, the first half of them known to be committed. */
void mirror_start(struct mirror *d, unsigned entries);

/* Of node_io.persist. */
void mirror_take(struct mirror *d, uint64_t seq, const struct wal_batch *b);

/* Writes the batch; false: the log would be longer than that, and nothing is changed. */
bool mirror_write(struct mirror *d, size_t bytes, uint64_t entries);

/* As wal_read(): whole records up to `last`, or a part of one; 0 = there are none. */
size_t mirror_read(const struct mirror *d, struct wal_pos *pos, uint64_t last, uint8_t *buf,
                   size_t cap);

/* 0 and zeros for what is not there. */
uint64_t mirror_term(const struct mirror *d, uint64_t index);
uint64_t mirror_ms(const struct mirror *d, uint64_t index); /* cluster time */
void mirror_hash(const struct mirror *d, uint64_t index, uint8_t hash[RECORD_HASH_BYTES]);

#endif
