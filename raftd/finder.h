/* finder.h: a thread for what must not hold up the loop: it resolves names, and keeps in the data directory,
 * as a hint for the next start, where the peers were seen.
 *
 * A resolver may take half a minute, so nobody waits for this thread, not even the end of the process.
 */
#ifndef RAFTD_FINDER_H
#define RAFTD_FINDER_H

#include "raftd/places.h"

struct finder;

/* family: of the addresses that are wanted. NULL: no memory or no thread. */
struct finder *finder_start(const char *data_dir, int family);

/* NULL is allowed. */
void finder_stop(struct finder *f);

/* Does what `ps` wants to have done: a name is resolved at a time. Takes what came of the last one. */
void finder_work(struct finder *f, struct places *ps, uint64_t now_us);

/* Tells `ps` what a former process has kept. */
void finder_recall(const char *data_dir, struct places *ps);

#endif
