/* say_commits.c: see say_commits.h. */
#include "raftd/say_commits.h"

#include <inttypes.h>

#include "raftd/base/say.h"

void say_commits(struct lasting *said, const struct status *s, uint64_t now_us)
{
    if (s->uncommitted_us >= STATUS_UNCOMMITTED_US) {
        if (lasting_is(said, 0, now_us))
            say_warn("this node leads and is heard, but has committed nothing for %" PRIu64
                     " s, and writes time out: the log has %" PRIu64 " entries, a majority of the "
                     "disks only %" PRIu64
                     ". Which nodes lag is in peer.N.match_index of raftctl status",
                     s->uncommitted_us / 1000000, s->last_index, s->commit_index);
        return;
    }
    uint64_t lasted_s = lasting_over(said, now_us);
    if (lasted_s == 0)
        return;
    lasted_s += STATUS_UNCOMMITTED_US / 1000000;
    if (s->role == RAFT_LEADER)
        say_info("entries are committed again, after %" PRIu64 " s", lasted_s);
    else
        say_info("nothing was committed for %" PRIu64 " s, until this node stopped leading",
                 lasted_s);
}
