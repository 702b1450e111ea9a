/* say_peers.h: messages about the other nodes: with which of them this node cannot speak, and why; that
 * no leader is known; that the kernel refuses what we send. As lasting.h has it, but keys that are not
 * replaced are told of every hour. */
#ifndef RAFTD_SAY_PEERS_H
#define RAFTD_SAY_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "raftd/base/lasting.h"
#include "raftd/node/status.h"

/* A session that should have been replaced long ago: the first message comes when the peer has been
 * heard on it for SAY_PEERS_OVERDUE_US, for it may have been away until now. The next ones follow
 * every SAY_PEERS_AGAIN_US. */
#define SAY_PEERS_OVERDUE_US UINT64_C(60000000)
#define SAY_PEERS_AGAIN_US   UINT64_C(3600000000)

/* A node that is not heard for so long is missing: nodes send something at least every 3 s. */
#define SAY_PEERS_SILENT_US UINT64_C(10000000)

/* What must last so long before it is told of. */
#define SAY_PEERS_LASTS_US UINT64_C(10000000)

/* Why this node and a peer cannot speak; the first one that holds counts. */
enum say_trouble {
    SAY_NO_TROUBLE,
    SAY_WRONG_KEY,
    SAY_OTHER_LIST,
    SAY_OTHER_DISK,
    SAY_NEW_DISK,
    SAY_OTHER_CLUSTER,
    SAY_OTHER_KIND, /* one seals, the other does not */
    SAY_OTHER_VERSION,
    SAY_SILENT,
    SAY_TROUBLES,
};

struct say_count {
    uint64_t n;     /* of a counter, as last seen */
    uint64_t at_us; /* it grew then; 0 = never */
};

struct say_peer {
    enum status_session session; /* as last seen */
    struct lasting trouble[SAY_TROUBLES];
    struct lasting setting[WIRE_SETTING_COUNT]; /* it differs */
    bool told;                                  /* of some trouble, ... */
    uint64_t told_us;                           /* ... first then */
    struct say_count cluster, kind, version;    /* drops */
    uint64_t overdue_us;      /* heard on a session that is overdue since, 0 = not */
    uint64_t overdue_said_us; /* when that was last said, 0 = not of this one */
};

/* Zeroed memory: nothing was said yet. */
struct say_peers {
    struct say_peer peer[RAFT_VOTERS_MAX];
    struct lasting no_leader;
    struct lasting send_fails;
    struct say_count send_lost;
    struct lasting stranger;
    uint64_t stranger_us; /* its newest datagram */
    char stranger_addr[64];
};

/* Says what has changed since the last call. */
void say_peers(struct say_peers *said, const struct status *s, uint64_t now_us);

/* This datagram came from an address that is no node's. There is a message if the datagram says that it
 * is of our cluster. */
void say_stranger(struct say_peers *said, uint64_t cluster_id, const uint8_t *buf, size_t len,
                  const struct sockaddr *from, uint64_t now_us);

#endif
