/* status.h: what a node tells about itself: filled by the loop, published to readers by RCU,
 * shown by status_print() (serve/status_text.h). Plain data; one writer (the loop). Times are
 * CLOCK_BOOTTIME microseconds, sizes bytes, unless the name says otherwise. */
#ifndef RAFTD_STATUS_H
#define RAFTD_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "net/drop.h"
#include "net/udp.h"
#include "net/wire.h"
#include "raftd/base/members.h"
#include "raftd/core/raft.h"

/* What protects the datagrams between this node and a peer. */
enum status_session {
    STATUS_SESSION_NONE,        /* nothing was heard yet: nothing can be sent but greetings */
    STATUS_SESSION_PLAIN,       /* no key_file: neither secret nor safe from forgery */
    STATUS_SESSION_HANDSHAKE,   /* under way: there is none, or the peer is silent on it */
    STATUS_SESSION_ESTABLISHED, /* sealed */
    STATUS_SESSION_WRONG_KEY,   /* the peer speaks, but with a key that is none of ours */
    /* The peer does not count, nor do we for it, whatever protects the datagrams: */
    STATUS_SESSION_OTHER_CLUSTER, /* its members are those of another cluster */
    STATUS_SESSION_OTHER_LIST,    /* it has another list of nodes */
    STATUS_SESSION_OTHER_DISK,    /* under its id we know another data directory */
    STATUS_SESSION_NEW_DISK,      /* under our id it knows another data directory */
    STATUS_SESSION_STAYS_OUT, /* under our id another peer knows, or knew, another data directory */
    STATUS_SESSION_CLONED,    /* it is several boxes with copies of one data directory */
    STATUS_SESSION_OWN_CLONE, /* it hears another box with a copy of ours */
};

enum { STATUS_SESSIONS = STATUS_SESSION_OWN_CLONE + 1 };

const char *status_session_name(enum status_session session); /* "none", "plain", ... */

/* Has this node less than it had promised? */
enum status_doubt {
    STATUS_DOUBT_NONE,
    STATUS_DOUBT_ACKNOWLEDGED, /* a leader knows of entries that it acknowledged (raft.doubt_index) */
    STATUS_DOUBT_DAMAGED,      /* its log was damaged (raft.damaged) */
};

enum { STATUS_ADDR_BYTES = 130 }; /* "A, B" and its zero */

enum {
    STATUS_LOSS_UNKNOWN = -1, /* in loss_*: nothing was measured, or nobody tells */
    STATUS_LOSS_ALL = 1000,   /* the other one is silent for longer than nodes keep silent */
};

/* Loss and round trips are measured by this node. */
struct status_peer {
    uint16_t id;
    char addr[STATUS_ADDR_BYTES]; /* as configured: one or two */
    /* Where it is, if that is at none of them; of a cloned one where both are. Filled by who knows: "" = not
     * so, or it was not heard. */
    char at[STATUS_ADDR_BYTES];
    enum raft_standing standing; /* in the newest configuration */
    enum raft_peer_state state;  /* meaningful on a leader */
    uint64_t match_index;        /* meaningful on a leader */
    uint64_t lost_index; /* on a leader: it acknowledged entries up to here and lost some, 0 = no */
    uint64_t heard_us;   /* last datagram accepted from it, 0 = never */
    enum status_session session;
    uint64_t session_us;         /* established: its birth; else when it came to this, 0 = never */
    uint64_t session_overdue_us; /* it should have been replaced long before, UINT64_MAX: none */
    uint32_t session_key_id;     /* which key, to compare: tells nothing about it; 0 = none */
    uint64_t rtt_us;             /* smoothed, 0 = no sample yet */
    uint64_t rtt_min_us;         /* of the last minute or so, 0 = no sample yet */
    int32_t loss_in_permille, loss_out_permille; /* of datagrams from it and to it; all of them if
                                                     nothing is heard, see STATUS_LINK_SILENT */
    uint64_t window_bytes;                       /* congestion window of the log stream to it */
    uint64_t in_flight_bytes;                    /* of that stream: sent, neither acked nor lost */
    uint64_t sent, received;                     /* datagrams */
    uint64_t resent_bytes, resent_datagrams;     /* of the log, or of writes, to it */
    uint32_t datagram_bytes;                     /* largest that is sent to it with data now */
    bool datagram_carried;                       /* data arrived in those. Not printed */
    uint32_t datagram_usual;                     /* what nearly every path passes: less means a
                                                    narrow one. Not printed */
    uint64_t drops[DROP_COUNT];    /* of datagrams that name it, or from its address */
    struct wire_settings settings; /* as it told them; n = 0: it has not */
    /* Why nothing is taken from it although it is there: words behind "node N " (static). NULL = nothing is
     * wrong, or it is silent. */
    const char *trouble;
};

enum {
    STATUS_LINK_HEARD_MAX = 100, /* in `heard`: up to here it is the loss in percent */
    STATUS_LINK_SILENT = 255,  /* in `heard`: nothing was heard for longer than nodes keep silent */
    STATUS_LINK_UNKNOWN = 254, /* in `heard`: nothing yet, by a node that has just started */
    /* Clients give up after some seconds, and slow disks take three for a write. */
    STATUS_UNCOMMITTED_US = 10000000, /* a leader commits nothing for so long: people are told */
};

/* Nodes tell each other how they are every two or three seconds or, with long election timeouts, every three
 * or four of those: on a metered path that is most of what an idle cluster sends. What is older than this
 * tells nothing about now, and who was silent for longer is not heard. */
static inline uint64_t status_lasts_us(uint64_t election_timeout_us)
{
    return election_timeout_us > 10000000 / 13 ? 13 * election_timeout_us : 10000000;
}

/* How long before `now` a moment was that is known, and the moment that was so long before it, never 0. What
 * another box tells may be of before this one was started: then it is less than zero, modulo 2^64. A moment
 * after `now`, as another processor may read it, counts as now. */
static inline uint64_t status_ago_us(uint64_t now_us, uint64_t then_us)
{
    uint64_t ago_us = now_us - then_us;
    return ago_us <= INT64_MAX ? ago_us : 0;
}
static inline uint64_t status_moment(uint64_t now_us, uint64_t ago_us)
{
    return now_us != ago_us ? now_us - ago_us : 1;
}

/* What one member told about whom it hears. */
struct status_link {
    uint16_t id;    /* of that member */
    uint64_t at_us; /* when it told so, 0 = never; our own row: now */
    /* By the members' places in ascending order of their ids, that is, in `links`: loss in percent
     * of what comes from it, or STATUS_LINK_*. Its own place means nothing. */
    uint8_t heard[RAFT_MEMBERS_MAX];
};

enum { STATUS_RECOVERING_BYTES = 100, STATUS_WHY_BYTES = 256 };

/* A member, as its leader or this node sees it. */
struct status_member {
    uint16_t id;
    uint8_t standing; /* enum member_standing */
    uint8_t priority;
    uint8_t leads;                     /* 1: it is the leader, as this node knows */
    uint64_t incarnation;              /* first bytes of its key in their order, 0 = not known */
    char addr[2 * MEMBER_ADDR_BYTES];  /* one, or two with a comma between */
    char at[STATUS_ADDR_BYTES];        /* as status_peer.at, as this node sees it */
    uint8_t session;                   /* enum status_session; STATUS_SESSIONS: it is who tells */
    uint64_t heard_us;                 /* 0 = never */
    uint64_t match_index;              /* this and what follows is known if the leader tells */
    uint64_t lag, lag_bytes, of_bytes; /* entries and bytes, about; of so many bytes ... */
    uint8_t percent;                   /* ... it has this part, ... */
    int32_t eta_s;                     /* ... and the rest in so long; -1 = not known */
    /* Of the path between it and who tells of it, as status_peer has them. */
    uint64_t rtt_us;
    int32_t loss_in_permille, loss_out_permille;
    /* As it told itself; 0 = it has not, or it is so. */
    uint64_t told_us; /* when, 0 = never */
    uint8_t health;   /* enum health */
    uint8_t drained;
    uint32_t version, fsync_p99_us, uptime_s;
    uint64_t applied_index, log_bytes, data_bytes, keys;
    uint64_t snapshot_index;
    uint32_t snapshot_age_s; /* when it told; UINT32_MAX = it has written none since its start */
};

struct status {
    uint64_t now_us;   /* when this was filled */
    uint64_t start_us; /* start of the process */
    char cluster[65];
    uint16_t id;
    uint64_t incarnation;        /* of our data directory: first bytes of its key in their order */
    enum raft_standing standing; /* in the newest configuration */
    enum raft_stand own_standing;
    uint8_t members_committed; /* 1: the newest configuration is, as far as this node knows */
    enum raft_role role;
    uint64_t term;
    uint16_t leader; /* 0 = none known */
    uint16_t vote;
    uint16_t leader_before;       /* leader of an earlier term, 0 = none known since start */
    uint64_t leader_since_us;     /* when the leader became known, 0 = none is */
    unsigned leader_changes_hour; /* within the last hour, or since start */
    uint32_t election_timeout_ms, max_value_bytes; /* as configured */
    uint64_t commit_index, applied_index, last_index, durable_index;
    uint64_t
        leader_commit; /* up to here entries are committed, as this node has heard; it may lack some */
    uint64_t doubt_index; /* in doubt until it has all up to here again, 0 = not known (raft.h) */
    enum status_doubt doubt;
    /* Our state as of this entry differs from another node's, and which one is right is not known yet; 0 =
     * not so. */
    uint64_t differs_index;
    enum raft_why why;
    uint16_t heir; /* the leader hands over to it, 0 = to nobody; this and the rest as in raft.h */
    enum raft_transfer transfer;
    uint64_t transfers;
    uint8_t drained, no_room;
    uint8_t leader_health; /* enum health, as the leader told it; 0 = not lately, or we lead */
    uint16_t outranked_by;
    enum raft_waits waits;
    struct raft_stats raft;
    uint32_t key_id, next_key_id; /* of the live keys, as session_key_id; 0 = none */
    struct status_peer peers[RAFT_PEERS_MAX];
    unsigned n_peers;
    uint16_t no_memory; /* for this peer, which is not heard for now; 0 = there was for all */
    uint64_t keys;      /* in the state machine */
    uint64_t data_bytes, max_data_bytes;   /* of keys and values, as kv.h counts them */
    uint64_t pending_writes;               /* of local clients, not yet answered */
    uint64_t clients, clients_blocked;     /* connections; commands that wait for a lock */
    uint64_t connections, clients_refused; /* since start: that came; of these, over the limit */
    uint64_t commands, reads, writes;      /* since start, of local clients, as tally.h counts */
    uint32_t lease_ms;                     /* as configured */
    uint64_t lease_left_us;                /* for so long clients here hold their locks for sure */
    uint64_t fsyncs;                       /* of the log, since start, as the next two */
    uint64_t fsync_max_us, fsync_stalls; /* longest batch; how many took over half of the timeout */
    uint64_t fsync_p50_us, fsync_p99_us; /* of batches of the last one or two minutes, 0 = none */
    uint8_t
        disk_slow; /* 1: of those too many took over half of the timeout, see durations_slow() */
    uint64_t disk_bytes;      /* written to the log since start */
    uint64_t log_bytes;       /* size of the log's files */
    uint64_t loop_max_us;     /* longest turn of the main loop since start ... */
    uint64_t loop_max_cpu_us; /* ... and what one took at most of a processor */
    uint64_t snapshot_us,
        images_given_up; /* since start: when one was written, 0 = never; not so */
    uint64_t disk_free,
        disk_min_free; /* bytes on the file system of the log: there are; are left */
    uint64_t snapshot_index, snapshot_bytes; /* the newest one of ours, 0 = none */
    uint64_t log_first_index;                /* of the first entry that is still in the log */
    uint8_t imaging;                         /* 1: a snapshot is being written ... */
    uint64_t image_kept_bytes; /* ... and what was replaced meanwhile takes so much memory */
    uint64_t install_bytes, install_of_bytes; /* of a snapshot that comes from the leader; 0, 0 */
    uint64_t installs_failed; /* such snapshots that could not be taken, since the start */
    uint64_t log_max_bytes;   /* as configured */
    uint8_t log_full;         /* 1: the log is longer than that; new writes here are refused */
    uint8_t disk_full;        /* 1: entries wait for room; new writes here are refused */
    uint8_t tail_dropped;     /* 1: recovery at start dropped a last write, cut or damaged */
    uint8_t health;           /* enum health (health.h), and ... */
    char health_why[STATUS_WHY_BYTES];        /* ... in words why, and what to do */
    char recovering[STATUS_RECOVERING_BYTES]; /* what a start is at; "": all is there */
    uint8_t local_reads;      /* 1: reads that need no leader are served, see node_local_reads() */
    uint64_t disk_pending_us; /* age of the batch in flight, 0 = none */
    uint64_t uncommitted_us;  /* leader: for so long entries wait and none was committed; 0 = no */
    uint64_t datagrams_sent, datagrams_received;
    struct udp_counters udp;
    uint64_t drops[DROP_COUNT];                 /* all of them, also of strangers */
    struct status_link links[RAFT_MEMBERS_MAX]; /* all members, ascending by id */
    unsigned n_links;
    struct wire_settings settings; /* ours */
    /* By growing id. */
    struct status_member members[RAFT_MEMBERS_MAX];
    unsigned n_members;
    uint64_t members_index; /* of the entry that they are in */
    uint16_t members_by;    /* who tells of them, the leader or this node ... */
    uint64_t members_us;    /* ... and when */
    uint8_t members_led;    /* that one leads */
};

/* It is no member, and hears no leader: no request that needs one will ever be answered here. */
static inline bool status_left_out(const struct status *s)
{
    return s->own_standing == RAFT_STAND_NO_MEMBER && s->leader == 0;
}

/* The longest of both forms, of RAFT_PEERS_MAX peers and as many members. */
enum { STATUS_PRINT_MAX_BYTES = 98304 };

#endif
