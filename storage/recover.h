/* recover.h: read a log from the medium and decide where it ends. Internal to storage: wal_open
 * acts on the result, wal_check only reports it. Nothing here writes.
 *
 * How it judges what it cannot read is in verdict.h.
 */
#ifndef STORAGE_RECOVER_H
#define STORAGE_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"
#include "storage/doubt.h"
#include "storage/fold.h"
#include "storage/wal.h"

/* What wal_open has to do next. */
enum recover_next {
    RECOVER_APPEND, /* go on in segment `number` at `offset` */
    RECOVER_BIRTH,  /* write the head of segment `number`, which exists */
    RECOVER_CUT,    /* seal segment `number` with BATCH_CUT, go on in the next one */
};

enum { RECOVER_LEFTOVERS_MAX = 8 }; /* temporary files removed per start; normally at most one */

struct recovery {
    struct fold fold;
    struct raft_run *runs; /* malloc'd */
    size_t n_runs, cap_runs;
    enum recover_next next;
    uint64_t number;
    uint32_t offset;
    uint32_t bytes; /* size of segment `number` */
    size_t spares;  /* unused segments behind, or with RECOVER_BIRTH from `number` on */
    bool reset;     /* the log ends before the snapshot, or has another entry at its end */
    uint64_t *dead; /* malloc'd: numbers of files to be deleted, each before the next one ... */
    size_t n_dead;
    bool keep_aside; /* ... or moved to the damaged ones */
    bool
        damaged; /* and not healed by the snapshot: the log is cut, and this node in doubt (repair.h) */
    struct doubt doubt;    /* that is to be written for it */
    const uint64_t *aside; /* behind `dead`: files to be moved to the damaged ones, in this order */
    size_t n_aside;
    bool copy; /* segment `number` is to be copied there before it is cut */
    uint64_t leftovers[RECOVER_LEFTOVERS_MAX]; /* numbers of half-made segments */
    size_t n_leftovers;
};

/* Fill *r and *report from DIR/log. 0, -EBADMSG (corrupt, report says so) or the error of a system
 * call. With wal_options.repair damage is no error, but r->damaged. Always followed by recover_free.
 * Each file is synced before it is read and its clean pages are dropped: what is judged is what is on
 * the medium, not what a failed write left in memory. */
int recover_scan(struct recovery *r, const struct disk *d, const char *dir,
                 const struct wal_options *options, struct wal_report *report);

void recover_free(struct recovery *r);

#endif
