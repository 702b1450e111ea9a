/* repair.h: what a start does about a log that is damaged. Internal to storage.
 *
 * The log is cut before the damage, and the node is in doubt from then on (doubt.h). What was cut off is
 * kept (aside.h). The steps, each durable before the next one:
 *
 *   1  DIR/doubt is written
 *   2  the damaged segment is copied, if what it holds before the damage is still needed
 *   3  the segments that are to go are moved, the last one first
 *   4  the log is sealed before the damage, or begins anew, and goes on behind that (wal.c)
 *
 * A crash between two of them leaves a log that is damaged at the same place, or ends there, and a node
 * in doubt.
 */
#ifndef STORAGE_REPAIR_H
#define STORAGE_REPAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "storage/disk.h"
#include "storage/recover.h"
#include "storage/scan.h"

/* The walk of the log has met damage, and s->rep->message says which. Decides what stays of the log: what
 * was walked before it; with s->r->reset only segments that the snapshot covers, for the log is to begin
 * behind that; with `none` nothing. The term, the vote and the last entry that anything behind the damage
 * still shows go to the doubt. 0 or an error. */
int repair_plan(struct scan *s, bool none);

/* The log was cut by an earlier start: tells what is kept of what stood there (wal_options.cut_off). 0 or
 * an error. */
int repair_tell(struct scan *s);

/* Steps 1 to 3, and what has to go without damage. 0 or an error, and then `err` is filled. */
int repair_begin(const struct disk *d, const char *dir, const struct wal_options *options,
                 const struct recovery *r, char *err, size_t err_size);

#endif
