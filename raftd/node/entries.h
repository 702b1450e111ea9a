/* entries.h: the newest part of the log as bytes in memory.
 *
 * Entry records (storage/record.h) exactly as they are on disk and on the wire, from index `first` to
 * `last`, in a ring. Entries go from here to the disk, to peers and to the state. Older ones are dropped
 * from the front when room is needed, and are then read from disk. Positions (ring.h) grow along the log,
 * so the distance of two positions is the number of log bytes between two entries.
 */
#ifndef RAFTD_ENTRIES_H
#define RAFTD_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/base/ring.h"

/* Entries in memory at a time: 256 KiB of positions. Records of less than 64 bytes reach it before they fill
 * the ring of 2 MiB. A power of two. */
enum { ENTRIES_MAX = 1 << 15 };

/* Position of the first byte after start: so high that the positions of all older entries, which are used in
 * computations only, are not negative. */
#define ENTRIES_ORIGIN (UINT64_C(1) << 62)

struct entries {
    struct ring ring;
    uint64_t first; /* index of the first entry in memory; last + 1 when there is none */
    uint64_t last;
    /* Entry i, first <= i <= last, starts at pos[i % ENTRIES_MAX]. Places that were never used take no
     * memory. */
    uint64_t *pos;
};

/* Starts without entries, behind entry `last`. 0 or -errno. */
int entries_init(struct entries *e, size_t ring_bytes, uint64_t last);
void entries_free(struct entries *e);

/* Where entry i starts; i = last + 1 gives the end. */
uint64_t entries_pos(const struct entries *e, uint64_t i);

/* The record of entry i, first <= i <= last, and its size. */
uint8_t *entries_at(const struct entries *e, uint64_t i, size_t *size);

/* The entry that contains position pos, start <= pos < end of the ring. */
uint64_t entries_find(const struct entries *e, uint64_t pos);

/* Room for one more record of `size` bytes? */
bool entries_fits(const struct entries *e, size_t size);

/* Where the next record is to be written (its size must fit); entries_push() then takes it. */
uint8_t *entries_tail(const struct entries *e);
void entries_push(struct entries *e, size_t size);

/* Drops the entry at the front. */
void entries_drop_first(struct entries *e);

/* Forgets all entries: the next one is the one behind `last`. */
void entries_reset(struct entries *e, uint64_t last);

/* Forgets all entries above i. */
void entries_truncate(struct entries *e, uint64_t i);

#endif
