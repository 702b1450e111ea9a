/* say_commits.h: what people are told of a leader that commits nothing for long. */
#ifndef RAFTD_SAY_COMMITS_H
#define RAFTD_SAY_COMMITS_H

#include "raftd/base/lasting.h"
#include "raftd/node/status.h"

/* Says when nothing was committed for STATUS_UNCOMMITTED_US, now and then while it lasts, and when it is
 * over. `said` is zeroed memory at first. */
void say_commits(struct lasting *said, const struct status *s, uint64_t now_us);

#endif
