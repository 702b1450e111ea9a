/* say_paths.h: what people are told of paths that are narrower than the size of our datagrams. */
#ifndef RAFTD_SAY_PATHS_H
#define RAFTD_SAY_PATHS_H

#include <stdint.h>

#include "raftd/node/status.h"

/* A path must be narrow, or wide again, for this long before there is a message: on a lossy link some
 * losses in a row look the same for a second or two. */
#define SAY_PATHS_US UINT64_C(5000000)

/* Zeroed memory: nothing was said yet. */
struct say_paths {
    bool narrow[RAFT_VOTERS_MAX];       /* as last said */
    uint64_t since_us[RAFT_VOTERS_MAX]; /* it is otherwise since then; 0 = it is not */
};

/* Says what has changed. A path is narrow when datagram_bytes of the peer is below datagram_usual. */
void say_paths(struct say_paths *said, const struct status *s, uint64_t now_us);

#endif
