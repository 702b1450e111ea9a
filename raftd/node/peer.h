/* peer.h: another node, as this one deals with it: its address, the way to it, its flows, what it owes,
 * and counters. A peer is named by its id, everywhere. Peers come and go while the node runs. */
#ifndef RAFTD_PEER_H
#define RAFTD_PEER_H

#include "net/drop.h"
#include "raftd/node/debts.h"
#include "raftd/node/flow.h"
#include "raftd/node/log_in.h"
#include "raftd/node/log_out.h"
#include "raftd/node/relay.h"
#include "raftd/node/snap_in.h"
#include "raftd/node/snap_out.h"
#include "raftd/node/status.h"

struct peer {
    uint16_t id;
    char addr[STATUS_ADDR_BYTES]; /* as configured, for status */
    uint64_t since;
    uint64_t generation; /* of it alone, for what is read from disk for it */
    uint64_t core;       /* 1 + that of the core's peer (raft.h); 0 = the core does not know it */
    struct path path;
    struct flows flows; /* all that go between us, in the order in which they may go out */
    struct log_out log;
    struct snap_out snapshot;
    struct relay_in relay;
    struct debts debts;
    uint64_t drops[DROP_COUNT]; /* datagrams that name it, or from its address */
    uint64_t resent_bytes;      /* of all streams to it */
    uint64_t resent_datagrams;
    struct peer *next; /* of those that are gone */
};

/* All of them, in the order in which they came. */
struct peers {
    struct peer *all[RAFT_PEERS_MAX];
    unsigned n;
    struct peer *gone; /* the disk still reads into the memory of these ... */
    unsigned n_gone;   /* ... and all together are RAFT_PEERS_MAX at most */
    uint64_t came;     /* so far */
};

/* What the flows of all peers stand on. */
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
    uint32_t rx_window; /* of all that relay to us, together */
};

/* Another peer. NULL: memory is short. */
struct peer *peers_add(struct peers *ps, const struct peer_ground *g, uint64_t now, uint16_t id);

/* What the newest configuration says of it; NULL: nothing. */
void peer_named(struct peer *p, const struct member *m);

/* It is gone, and its memory as soon as the disk is through with it. */
void peers_remove(struct peers *ps, const struct peer_ground *g, struct peer *p);

/* The disk is through with all. */
void peers_free(struct peers *ps);

/* NULL: there is none. */
struct peer *peers_find(const struct peers *ps, uint16_t id);

/* For whom that was read, even if it is gone; NULL: for none of them. */
struct peer *peers_asked(const struct peers *ps, struct node_fetch what);

/* After an answer of the disk: frees those that are gone and wait for nothing. */
void peers_bury(struct peers *ps);

/* When something is due to the peer on its streams, as leader also an answer of it. */
uint64_t peer_deadline(const struct peer *p, const struct replica *r, uint64_t now);

/* Fills all but what links and envelope know. */
void peer_status(const struct peer *p, const struct replica *r, uint64_t now,
                 struct status_peer *s);

#endif
