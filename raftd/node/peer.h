/* peer.h: another node, as this one deals with it: its address, the way to it, its flows, what it owes,
 * and counters. A peer is named by its id, everywhere. Peers come and go while the node runs. */
#ifndef RAFTD_PEER_H
#define RAFTD_PEER_H

#include "net/drop.h"
#include "raftd/node/debts.h"
#include "raftd/node/flow.h"
#include "raftd/node/images.h"
#include "raftd/node/log_in.h"
#include "raftd/node/log_out.h"
#include "raftd/node/relay.h"
#include "raftd/node/snap_in.h"
#include "raftd/node/snap_out.h"
#include "raftd/node/status.h"

struct peer {
    uint16_t id;
    char addr[STATUS_ADDR_BYTES]; /* as configured, for status */
    uint64_t since;               /* when it came */
    uint64_t generation; /* no other peer has it: names what is read from disk for this one */
    uint64_t core; /* 1 + generation of the core's peer (raft.h); 0 = the core does not know it */
    struct path path;
    struct flows flows; /* all between us and it, in the order in which they may go out */
    struct log_out log;
    struct snap_out snapshot;
    struct relay_in relay;
    struct debts debts;
    uint64_t drops[DROP_COUNT]; /* datagrams that named it or came from its address */
    uint64_t resent_bytes;      /* of all streams to it */
    uint64_t resent_datagrams;
    struct peer *next; /* in peers.gone */
};

/* All of them, in the order in which they came. */
struct peers {
    struct peer *all[RAFT_PEERS_MAX];
    unsigned n;
    struct peer *gone; /* removed, but the disk still reads into their memory */
    unsigned n_gone;   /* n + n_gone <= RAFT_PEERS_MAX */
    uint64_t came;     /* how many have come since start */
    struct relay_shuts shuts;
};

/* What the flows of all peers use. */
struct peer_ground {
    const struct node_config *cfg;
    const struct node_io *io;
    struct replica *replica;
    struct catch_up *catch_up;
    const struct images *images;
    struct log_in *log_in;
    struct snap_in *snap_in;
    struct relay_out *relay_out;
    uint32_t envelope_bytes;
    uint32_t rx_window; /* of all peers that relay to us, together */
};

/* Another peer. NULL: memory is short. */
struct peer *peers_add(struct peers *ps, const struct peer_ground *g, uint64_t now, uint16_t id);

/* m is what the newest configuration says of the peer; NULL: nothing. */
void peer_named(struct peer *p, const struct member *m);

/* Removes the peer. Its memory is freed as soon as no read from disk for it is outstanding. */
void peers_remove(struct peers *ps, const struct peer_ground *g, struct peer *p);

/* Frees all. No read from disk may be outstanding. */
void peers_free(struct peers *ps);

/* NULL: there is none. */
struct peer *peers_find(const struct peers *ps, uint16_t id);

/* The peer for which that was read, even if it was removed; NULL: its memory is gone, too. */
struct peer *peers_asked(const struct peers *ps, struct node_fetch what);

/* After an answer of the disk: frees removed peers that wait for no other one. */
void peers_bury(struct peers *ps);

/* When something is due to the peer on its streams or, by a leader, is to be asked of it. */
uint64_t peer_deadline(const struct peer *p, const struct replica *r, uint64_t now);

/* The leader's log and snapshots that peers which are there still need. */
struct images_need peers_need(const struct peers *ps, const struct replica *replica, uint64_t now);

/* Fills all but what links and envelope know. */
void peer_status(const struct peer *p, const struct replica *r, uint64_t now,
                 struct status_peer *s);

#endif
