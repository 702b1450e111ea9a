/* news.h: what people are told of while the daemon runs: who leads, what stands still, which node this
 * one cannot speak with and why, which disk has lost something. A state that lasts is told of by the rules
 * of lasting.h. */
#ifndef RAFTD_NEWS_H
#define RAFTD_NEWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "raftd/base/lasting.h"
#include "raftd/node/status.h"

enum {
    /* A session that should have been replaced is told of only after the peer was heard on it for so long:
     * the peer may have been away until now. */
    NEWS_OVERDUE_US = 60 * 1000 * 1000,
    NEWS_STRANGER_US = 10 * 1000 * 1000, /* who is no node, and silent for so long, has gone */
    NEWS_LASTS_US = 10 * 1000 * 1000,    /* how long any other state lasts before it is told of */
    /* On a lossy link some losses in a row look like a narrow path for a second or two. */
    NEWS_NARROW_US = 5 * 1000 * 1000,
    NEWS_LOST_US = 60 * 1000 * 1000,     /* between two messages about what one disk has lost */
    NEWS_DAMAGED_US = 600 * 1000 * 1000, /* between two that this node is in doubt by damage */

    /* What keeps this node and a peer from speaking: the enum status_session, why all that comes from it is
     * dropped (this and enum drop), or one of these. */
    NEWS_DROPPED = STATUS_SESSIONS,
    NEWS_PLAIN = NEWS_DROPPED + DROP_COUNT, /* this node seals, and the peer does not */
    NEWS_UNHEARD,                           /* not heard since the start */
    NEWS_SILENT,                            /* not heard any more */
    NEWS_TROUBLES,
};

/* A counter that is looked at now and then. */
struct news_count {
    uint64_t n;     /* as last seen */
    uint64_t at_us; /* when it last grew; 0 = never */
};

struct news_lost {
    uint64_t index;   /* up to which a disk has lost entries, as last seen; 0 = nothing */
    uint64_t said_us; /* newest message about a loss; 0 = none */
    bool told;        /* people were told of it since it began */
};

struct news_peer {
    uint16_t id;          /* 0: a free place */
    uint64_t incarnation; /* of its directory, as last seen among the members; 0 = not yet */
    bool unknown;         /* its key was not among the members when they were last seen */
    struct news_lost lost;
    enum status_session session; /* as last seen */
    struct lasting trouble[NEWS_TROUBLES];
    struct lasting setting[WIRE_SETTING_COUNT]; /* that it differs from ours */
    struct lasting overdue, narrow, second_box, never_met;
    bool told;                           /* some trouble was told of, and its end was not */
    uint64_t told_us;                    /* when that trouble was told of first */
    struct news_count drops[DROP_COUNT]; /* datagrams of it */
};

/* Zeroed memory: nothing was said yet. */
struct news {
    enum raft_role role;         /* these three as last said */
    enum raft_transfer transfer; /* how the last hand-over ended */
    uint64_t term;
    uint16_t leader;
    struct news_lost own;
    uint64_t damaged_us; /* newest message that this node is in doubt by damage, 0 = it is not */
    struct news_peer peers[RAFT_PEERS_MAX]; /* in the order in which they were first seen */
    bool waits;                             /* it was said that it is no member yet */
    struct lasting out, no_leader, uncommitted, send_fails, stranger, log_full, no_memory;
    struct news_count send_lost;
    bool data_high;         /* it was said that the data are nearly full */
    uint64_t differs_index; /* as last said */
    uint64_t stranger_us;   /* when the newest datagram of stranger_addr came */
    char stranger_addr[80]; /* from where datagrams come that are no node's */
};

/* Says what has changed since the last call. Once per loop iteration is often enough: it takes a round
 * trip to elect another leader, and to bring back what a disk has lost. */
void news_raft(struct news *said, const struct raft *r, uint64_t now_us);

/* Says what has changed since the last call in a status that has just been filled, and sets `trouble` of
 * each peer in it. */
void news_status(struct news *said, struct status *s, uint64_t now_us);

/* A datagram came from an address that is no node's. If it says that it is of our cluster, and more of
 * them come, there is a message. */
void news_stranger(struct news *said, uint64_t cluster_id, const uint8_t *buf, size_t len,
                   const struct sockaddr *from, uint64_t now_us);

#endif
