/* vitals.h: how each member is: what it tells of itself, and what the leader sees of it. It goes with the
 * reports about links (links.h). It is for people; no rule depends on it. */
#ifndef RAFTD_VITALS_H
#define RAFTD_VITALS_H

#include "net/wire.h"
#include "raftd/node/envelope.h"
#include "raftd/node/peer.h"
#include "raftd/node/replica.h"
#include "raftd/node/status.h"

struct vital {
    uint16_t id;      /* 0 = a free row */
    uint64_t self_at; /* when it said what we know from it; 0 = never */
    uint64_t led_at;  /* when its leader told of it; 0 = never */
    struct wire_vitals w;
    /* As leader: the most that it lacked since it had all, and when that was. */
    uint64_t most_bytes, most_at;
};

/* Only vitals.c looks inside. */
struct vitals {
    const struct replica *replica;
    const struct envelope *envelope;
    const struct peers *peers;
    uint64_t start_us;
    uint64_t watch_at;
    uint32_t fsync_p99_us;
    struct vital rows[RAFT_PEERS_MAX];
};

/* All that is passed here outlives it. */
void vitals_init(struct vitals *v, const struct replica *r, const struct envelope *e,
                 const struct peers *ps, uint64_t now);

/* See node_disk(). */
void vitals_disk(struct vitals *v, uint64_t fsync_p99_us);

/* Once per iteration. */
void vitals_watch(struct vitals *v, uint64_t now);

/* Gives the next row for another node: first our own, then as leader those of all members. Begin with *i
 * == 0. False: there are no more. */
bool vitals_tell(const struct vitals *v, uint64_t now, unsigned *i, struct wire_vitals *w);

/* A row came from a peer. */
void vitals_take(struct vitals *v, uint64_t now, uint16_t from, const struct wire_vitals *w);

/* Fills the table of members. */
void vitals_status(const struct vitals *v, uint64_t now, struct status *s);

#endif
