/* status.h: what a node tells about itself: filled by the loop, published to readers by RCU,
 * rendered as key=value lines by status_print(). Plain data; one writer (the loop). Times are
 * CLOCK_BOOTTIME microseconds, sizes bytes, unless the name says otherwise. */
#ifndef RAFTD_STATUS_H
#define RAFTD_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "raftd/core/raft.h"

/* Why a datagram was dropped. The order is the order in status. */
enum drop {
    DROP_SHORT,       /* too short for a header, or truncated on receipt */
    DROP_LONG,        /* longer than any raftd sends */
    DROP_VERSION,     /* another protocol version, or not raftd at all */
    DROP_CLUSTER,     /* of another cluster */
    DROP_CHECKSUM,    /* damaged on the way */
    DROP_UNKNOWN,     /* sender is not a node of this cluster */
    DROP_MISDIRECTED, /* meant for another node */
    DROP_MALFORMED,   /* frames do not parse */
    DROP_STREAM,      /* log or relay bytes that contradict what is known: bad record, bad range */
    DROP_COUNT,
};

const char *drop_name(enum drop d); /* "short", "long", ... */

struct status_peer {
    uint16_t id;
    char addr[64];              /* as configured */
    enum raft_peer_state state; /* meaningful on a leader */
    uint64_t match_index;       /* meaningful on a leader */
    uint64_t heard_us;          /* last datagram accepted from it, 0 = never */
    uint64_t rtt_us;            /* smoothed, 0 = no sample yet */
    uint64_t sent, received;    /* datagrams */
    uint64_t resent_bytes;      /* of the log stream to it */
};

struct status {
    uint64_t now_us;   /* when this was filled */
    uint64_t start_us; /* start of the process */
    char cluster[65];
    uint16_t id;
    enum raft_role role;
    uint64_t term;
    uint16_t leader; /* 0 = none known */
    uint16_t vote;
    uint64_t commit_index, applied_index, last_index, durable_index;
    enum raft_why why;
    struct raft_stats raft;
    struct status_peer peers[RAFT_VOTERS_MAX];
    unsigned n_peers;
    uint64_t keys;                               /* in the state machine */
    uint64_t pending_writes;                     /* of local clients, not yet answered */
    uint64_t fsyncs, fsync_p99_us, fsync_max_us; /* of the log; p99 over the newest 1024 */
    uint64_t disk_bytes;                         /* written to the log since start */
    uint8_t disk_full;        /* 1: entries wait for room; new writes here are refused */
    uint64_t disk_pending_us; /* age of the batch in flight, 0 = none */
    uint64_t datagrams_sent, datagrams_received, send_lost; /* send_lost: refused by the kernel */
    uint64_t drops[DROP_COUNT];
};

enum { STATUS_TEXT_MAX_BYTES = 8192 }; /* all lines of 9 nodes fit with room to spare */

/* key=value lines into buf; returns the length. `now_us` gives the ages. */
size_t status_print(const struct status *s, uint64_t now_us, char *buf, size_t cap);

#endif
