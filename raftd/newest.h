/* newest.h: the newest whole snapshot of a data directory, for a start and for --check. */
#ifndef RAFTD_NEWEST_H
#define RAFTD_NEWEST_H

#include <stdbool.h>

#include "raftd/state/image.h"
#include "storage/snapshot.h"

/* Reads the snapshots, the newest first, until one is whole: 0, and its head and name; name->index is 0
 * when there is none. *load: its state, the caller's to free; NULL: the snapshots are only verified, and
 * damaged ones stay where they are. Damaged ones are named in messages. -errno of snapshot_load() else,
 * with the reason in s->message. */
int newest_read(struct snapshots *s, struct snapshot_head *head, struct snapshot_name *name,
                struct image_load **load);

#endif
