/* newest.h: the newest whole snapshot of a data directory, for a start and for --check. */
#ifndef RAFTD_NEWEST_H
#define RAFTD_NEWEST_H

#include <stdbool.h>

#include "raftd/state/image.h"
#include "storage/snapshot.h"

/* Reads the snapshots, the newest first, until one is whole. Returns 0 and gives its head and its name,
 * whose index is 0 when there is none; else -errno of snapshot_load(), with the reason in s->message.
 * *load gets the state, which is the caller's to free. Damaged snapshots are named in messages, and put
 * aside. load NULL: the snapshots are only verified, and damaged ones stay where they are. */
int newest_read(struct snapshots *s, struct snapshot_head *head, struct snapshot_name *name,
                struct image_load **load);

#endif
