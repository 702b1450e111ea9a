/* wal_impl.h: what wal.c (append) and wal_read.c (read) share. Internal to storage. */
#ifndef STORAGE_WAL_IMPL_H
#define STORAGE_WAL_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"
#include "storage/fold.h"
#include "storage/wal.h"

enum {
    WAL_CURSORS = 16
}; /* one per follower that catches up (at most 8), the leader's own, slack */

/* Where a sequential reader goes on: the live record `index` lies at this position or behind it.
 * Stays true whatever is appended or truncated later, since records are only ever added behind. */
struct wal_cursor {
    uint64_t index;     /* 0: unused */
    uint64_t number;    /* segment */
    uint32_t batch_at;  /* offset of a batch */
    uint32_t record_at; /* offset of record `index` in that batch, 0: not there or unknown */
};

/* What the current segment is good for. */
enum wal_stage {
    WAL_IN_USE,  /* batches go to `at` */
    WAL_LEAVING, /* it takes nothing but its seal, with the flag `cut` */
    WAL_SEALED,  /* the next append begins with the head of segment number + 1, which exists */
};

struct wal {
    const struct disk *d; /* borrowed */
    char dir[WAL_PATH_MAX];
    uint64_t storage_id;
    uint32_t segment_bytes; /* of new segments */
    struct fold fold;

    int fd;          /* current segment, open for writing; -1 none, when it is sealed */
    uint64_t number; /* its number, 0 before the first one has begun */
    uint32_t bytes;  /* its size */
    uint32_t at;     /* where the next batch goes */
    enum wal_stage stage;
    uint16_t cut; /* BATCH_CUT when something that was refused or torn stands at `at`, else 0 */
    char path[WAL_PATH_MAX];

    uint8_t *gathered; /* for write_and_sync(): as large as the largest batch so far */
    size_t gathered_cap;

    unsigned spares;       /* segments number + 1 and on that exist, not in use yet */
    uint64_t oldest;       /* files from here on to the first segment wait to be used again */
    bool unsynced;         /* a name of a file was changed: not durable yet */
    bool broken;           /* a write or sync failed: the disk's state is unknown */
    struct raft_run *runs; /* as recovered */
    struct wal_cursor cursors[WAL_CURSORS];
    unsigned next_cursor; /* to be replaced next */
    struct wal_stats stats;
    char error[WAL_MESSAGE_BYTES];
};

#endif
