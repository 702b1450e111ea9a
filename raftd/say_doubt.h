/* say_doubt.h: what people are told when a disk has lost what its node had acknowledged: a peer's, by
 * the leader that finds it, and this node's own, told by its leader. */
#ifndef RAFTD_SAY_DOUBT_H
#define RAFTD_SAY_DOUBT_H

#include <stdint.h>

#include "raftd/core/raft.h"
#include "raftd/base/say.h"

/* Zeroed memory: nothing was said yet. */
struct say_doubt {
    uint64_t doubt;                     /* raft.doubt_index, as last said */
    uint64_t lost[RAFT_VOTERS_MAX - 1]; /* raft_peer.lost_index, likewise */
    struct say_limit limit;             /* one that restarts again and again */
};

/* Says what has changed since the last call. Once per loop iteration is often enough: it takes a round
 * trip to bring back what is lost. */
void say_doubt(struct say_doubt *said, const struct raft *r, uint64_t now_us);

#endif
