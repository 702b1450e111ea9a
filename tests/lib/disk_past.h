/* disk_past.h: a log on a disk in memory, with what it must contain after each of its batches, and where
 * each of them lies. For unit tests with cmocka. */
#ifndef TESTS_DISK_PAST_H
#define TESTS_DISK_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/wal.h"
#include "tests/lib/disk_memory.h"
#include "tests/lib/disk_model.h"

#define DIR    "/d"
#define SEG(n) "/log/000000000000000" #n ".seg"

enum { BATCHES_MAX = 64 };

/* The smallest segments. */
extern const struct wal_options options;

/* A log, and what it must contain after each of its batches. */
struct rig {
    struct memdisk *m;
    struct wal *w;
    struct wal_report rep;
    int n;                               /* batches appended */
    struct model after[BATCHES_MAX + 1]; /* [0]: before the first */
    char path[BATCHES_MAX + 1][40];      /* where batch k lies, by segment file ... */
    size_t at[BATCHES_MAX + 1];          /* ... offset ... */
    size_t bytes[BATCHES_MAX + 1];       /* ... and size */
    struct model_batch b;
};

const struct disk *disk_of(struct rig *g);

/* Closes it and opens it again. */
void reopen(struct rig *g);

/* A disk with an empty DIR. */
struct memdisk *new_disk(void);

/* A new log, open. */
struct rig *rig_new(void);
void rig_free(struct rig *g);

/* Batch number g->n + 1: entries of `len` bytes, or a vote when `entries` is 0. */
void put(struct rig *g, int entries, uint32_t len, bool truncate);

/* An idle one. */
void put_idle(struct rig *g);

/* A log with everything in it, over two segments and into a third. Closed. */
struct rig *rig_with_log(void);

#endif
