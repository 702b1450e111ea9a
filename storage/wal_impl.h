/* wal_impl.h: what wal.c (append) and wal_read.c (read) share. Internal to storage. */
#ifndef STORAGE_WAL_IMPL_H
#define STORAGE_WAL_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"
#include "storage/fold.h"
#include "storage/wal.h"

enum { WAL_CURSORS = 16 }; // one per follower that catches up (at most 8), the leader's own, slack

/* Where a sequential reader goes on: the live record `index` lies at this position or behind it.
 * Stays true whatever is appended or truncated later, since records are only ever added behind. */
struct wal_cursor {
    uint64_t index;     // 0: unused
    uint64_t number;    // segment
    uint32_t batch_at;  // offset of a batch
    uint32_t record_at; // offset of record `index` in that batch, 0: not there or unknown
};

struct wal {
    const struct disk *d; // borrowed
    char dir[WAL_PATH_MAX];
    uint64_t storage_id;
    uint32_t segment_bytes; // of new segments
    struct fold fold;

    int fd;          // current segment, open for writing; -1 none
    uint64_t number; // its number
    uint32_t bytes;  // its size
    uint32_t at;     // where the next batch goes
    char path[WAL_PATH_MAX];

    bool spare;           // segment number + 1 exists, durable and empty
    bool broken;          // a write or sync failed: the disk's state is unknown
    struct wal_run *runs; // as recovered
    struct wal_cursor cursors[WAL_CURSORS];
    unsigned next_cursor; // to be replaced next
    struct wal_stats stats;
    char error[WAL_MESSAGE_BYTES];
};

#endif
