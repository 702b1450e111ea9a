/* say_peers.h: what people are told of the sessions with the peers: what is wrong, by name, once. */
#ifndef RAFTD_SAY_PEERS_H
#define RAFTD_SAY_PEERS_H

#include <stdint.h>

#include "raftd/status.h"

/* A session that should have been replaced long ago is told of when the peer has been heard on it for
 * this long (it may have been away until just now), and then as often as this. */
#define SAY_PEERS_OVERDUE_US UINT64_C(60000000)
#define SAY_PEERS_AGAIN_US   UINT64_C(3600000000)

/* Zeroed memory: nothing was said yet. */
struct say_peers {
    enum status_session session[RAFT_VOTERS_MAX]; /* of each peer, as last said */
    uint64_t overdue_us[RAFT_VOTERS_MAX];         /* heard on one that is overdue since, 0 = not */
    uint64_t said_us[RAFT_VOTERS_MAX];            /* when that was last said, 0 = not of this one */
};

/* Says what has changed since the last call. */
void say_peers(struct say_peers *said, const struct status *s, uint64_t now_us);

#endif
