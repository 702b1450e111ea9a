/* news.h: what people are told of while the daemon runs: who leads, what stands still, which node this
 * one cannot speak with and why, which disk has lost something. Of a state that lasts as lasting.h has
 * it. */
#ifndef RAFTD_NEWS_H
#define RAFTD_NEWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "raftd/base/lasting.h"
#include "raftd/node/status.h"

enum {
    /* A session should have been replaced long ago. It is told of when the peer has been heard on it for
     * so long, for it may have been away until now. */
    NEWS_OVERDUE_US = 60 * 1000 * 1000,
    /* A node that is not heard for so long is missing: nodes send something at least every 3 s. */
    NEWS_SILENT_US = 10 * 1000 * 1000,
    NEWS_LASTS_US = 10 * 1000 * 1000, /* any other state, until it is told of */
    /* On a lossy link some losses in a row look like a narrow path for a second or two. */
    NEWS_NARROW_US = 5 * 1000 * 1000,
    NEWS_LOST_US = 10 * 1000 * 1000, /* between two messages about what one disk has lost */

    /* What keeps this node and a peer from speaking: the enum status_session, or one of these. */
    NEWS_OTHER_CLUSTER = STATUS_SESSIONS,
    NEWS_SEALS, /* and this node does not */
    NEWS_PLAIN, /* and this node seals */
    NEWS_OTHER_VERSION,
    NEWS_UNHEARD, /* since the start */
    NEWS_SILENT,
    NEWS_TROUBLES,
};

struct news_count {
    uint64_t n;     /* of a counter, as last seen */
    uint64_t at_us; /* it grew then; 0 = never */
};

struct news_lost {
    uint64_t index;   /* up to which a disk has lost entries, as last seen; 0 = nothing */
    uint64_t said_us; /* newest message about a loss; 0 = none */
};

struct news_peer {
    enum status_session session; /* as last seen */
    struct lasting trouble[NEWS_TROUBLES];
    struct lasting setting[WIRE_SETTING_COUNT]; /* it differs */
    struct lasting overdue, narrow;
    bool told;                                /* of some trouble, ... */
    uint64_t told_us;                         /* ... first then */
    struct news_count cluster, kind, version; /* drops */
};

/* Zeroed memory: nothing was said yet. */
struct news {
    enum raft_role role; /* these three as last said */
    uint64_t term;
    uint16_t leader;
    struct news_lost own;
    struct news_lost lost[RAFT_VOTERS_MAX - 1]; /* in the order of raft.peers */
    struct news_peer peer[RAFT_VOTERS_MAX];
    struct lasting no_leader, uncommitted, send_fails, stranger;
    struct news_count send_lost;
    bool data_high;         /* said */
    uint64_t differs_index; /* as last said */
    uint64_t stranger_us;   /* its newest datagram */
    char stranger_addr[80];
};

/* Says what has changed since the last call. Once per loop iteration is often enough: it takes a round
 * trip to elect another leader, and to bring back what a disk has lost. */
void news_raft(struct news *said, const struct raft *r, uint64_t now_us);

/* The same for a status that has just been filled; sets the peers' `trouble` in it. */
void news_status(struct news *said, struct status *s, uint64_t now_us);

/* This datagram came from an address that is no node's. There is a message if the datagram says that it
 * is of our cluster. */
void news_stranger(struct news *said, uint64_t cluster_id, const uint8_t *buf, size_t len,
                   const struct sockaddr *from, uint64_t now_us);

#endif
