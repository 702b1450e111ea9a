/* say_doubt.c: see say_doubt.h. */
#include "raftd/say_doubt.h"

#include <inttypes.h>

#define HOW                                                                                        \
    "its disk has lost what it had promised (an older copy of its data directory was put in "      \
    "place, or the disk does not keep what it says is written)"

static void say_own(uint64_t *said, struct say_limit *limit, const struct raft *r, uint64_t now_us)
{
    uint32_t more;
    if (r->doubt_index == *said)
        return;
    if (r->doubt_index == 0)
        say_info("no longer in doubt: all that this node had acknowledged is on its disk again");
    else if (say_allowed(limit, now_us, &more))
        say_error("this node acknowledged entries up to %" PRIu64 " and has only %" PRIu64 ": " HOW
                  ". It is in doubt until it has them again: it does not stand for "
                  "leader, and votes only for a node that has them",
                  r->doubt_index, r->durable_index);
    *said = r->doubt_index;
}

static void say_peer(uint64_t *said, struct say_limit *limit, const struct raft_peer *p, bool leads,
                     uint64_t now_us)
{
    uint32_t more;
    uint64_t lost = leads ? p->lost_index : 0;
    if (lost == *said)
        return;
    if (lost == 0 && leads)
        say_info("node %u has again what it had acknowledged", p->id);
    else if (lost > *said && say_allowed(limit, now_us, &more))
        say_error("node %u acknowledged entries up to %" PRIu64 " and has only %" PRIu64 ": " HOW
                  ". It gets them again; until then it does not stand for leader, and "
                  "what was committed with its copy is on fewer disks",
                  p->id, lost, p->probe_index);
    *said = lost;
}

void say_doubt(struct say_doubt *said, const struct raft *r, uint64_t now_us)
{
    say_own(&said->doubt, &said->limit, r, now_us);
    for (unsigned i = 0; i < r->n_peers; i++)
        say_peer(&said->lost[i], &said->limit, &r->peers[i], r->role == RAFT_LEADER, now_us);
}
