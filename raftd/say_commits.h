/* say_commits.h: what people are told of a leader that commits nothing for long. */
#ifndef RAFTD_SAY_COMMITS_H
#define RAFTD_SAY_COMMITS_H

#include "raftd/base/lasting.h"
#include "raftd/node/status.h"

/* Clients give up after some seconds, and slow disks take three for a write. */
#define SAY_COMMITS_US UINT64_C(10000000)

/* Says when it begins, now and then while it lasts, and when it is over. `said` is zeroed memory at
 * first. */
void say_commits(struct lasting *said, const struct status *s, uint64_t now_us);

#endif
