/* finder.h: a thread for work that must not delay the loop: it resolves names, and writes to the data
 * directory where the peers were seen, as a hint for the next start.
 *
 * A resolver may take half a minute, so nothing waits for this thread, not even the end of the process.
 */
#ifndef RAFTD_FINDER_H
#define RAFTD_FINDER_H

#include "raftd/places.h"

struct finder;

/* family: of the addresses that are wanted. NULL: memory or threads are short. */
struct finder *finder_start(const char *data_dir, int family);

/* NULL is allowed. */
void finder_stop(struct finder *f);

/* Gives `ps` the address that was found, and has the next name resolved, one at a time. Never waits. True: a
 * name is being resolved, so it is to be called again soon. */
bool finder_work(struct finder *f, struct places *ps, uint64_t now_us);

/* Tells `ps` the hint that an earlier process has left. */
void finder_recall(const char *data_dir, struct places *ps);

#endif
