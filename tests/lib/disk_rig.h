/* disk_rig.h: one log on a disk in memory, and beside it the model of what it acknowledged. For unit tests
 * with cmocka. */
#ifndef TESTS_DISK_RIG_H
#define TESTS_DISK_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/wal.h"
#include "tests/lib/disk_memory.h"
#include "tests/lib/disk_model.h"

#define RIG_DIR    "/d"
#define RIG_SEG(n) RIG_DIR "/log/000000000000000" #n ".seg"

/* The smallest segments. */
extern const struct wal_options rig_options;

struct rig {
    struct memdisk *m;
    struct wal *w; /* NULL until the first reopen() */
    struct wal_report rep;
    struct wal_options options; /* rig_options, until a test changes them */
    struct model acked,
        next; /* what was acknowledged; the same with the batch that is being appended */
    struct model_batch b;
    uint64_t rng;
};

/* A new log, not open yet. Free with rig_free(). */
struct rig *rig_new(uint64_t seed);
void rig_free(struct rig *g);
/* Closes it and opens it again: 0 or wal_open()'s error; reopen() ends the test on one. */
int open_log(struct rig *g);
void reopen(struct rig *g);
/* The log, and with `with_report` also the last report, is what was acknowledged. */
void same(struct rig *g, bool with_report);
/* Appends the batch g->b; g->next is acknowledged if it returns 0. */
int append(struct rig *g);
/* Appends `n` entries of `len` bytes in one batch. */
int put(struct rig *g, int n, uint32_t len);
/* Appends a term and a vote. */
int vote(struct rig *g, uint64_t term, uint16_t who);

#endif
