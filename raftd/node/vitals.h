/* vitals.h: how each member is: what it tells of itself, and what the leader sees of it. It goes with the
 * reports about links (links.h). It is for people; no rule depends on it. */
#ifndef RAFTD_VITALS_H
#define RAFTD_VITALS_H

#include "net/wire.h"
#include "raftd/node/envelope.h"
#include "raftd/node/links.h"
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
    unsigned turn; /* among the other members, who is told to it next */
};

/* Only vitals.c looks inside. */
struct vitals {
    const struct replica *replica;
    const struct envelope *envelope;
    struct links *links;
    const struct peers *peers;
    uint64_t start_us;
    uint64_t watch_at;
    struct wire_vitals self; /* as the newest status says, ... */
    uint64_t self_term;      /* ... in which this node led this term; 0 = it did not */
    struct vital rows[RAFT_PEERS_MAX];
};

/* All that is passed here outlives it. */
void vitals_init(struct vitals *v, const struct replica *r, const struct envelope *e,
                 struct links *l, const struct peers *ps, uint64_t now);

/* See node_self(). */
void vitals_self(struct vitals *v, struct status *s);

/* Once per iteration. */
void vitals_watch(struct vitals *v, uint64_t now);

/* Gives row number i for that node: first our own, then as leader those of the other members, beginning with
 * the one that was next when it was told last. False: there are no more. */
bool vitals_tell(const struct vitals *v, uint64_t now, uint16_t to, unsigned i,
                 struct wire_vitals *w);

/* So many rows were told to that node: as many as there was room for. */
void vitals_told(struct vitals *v, uint16_t to, unsigned n);

/* A row came from a peer. */
void vitals_take(struct vitals *v, uint64_t now, uint16_t from, const struct wire_vitals *w);

/* How the leader that this node follows is (enum health), as that told lately; HEALTH_UNKNOWN: it has not, or
 * there is none, or this node leads. */
uint8_t vitals_leader_health(const struct vitals *v, uint64_t now);

/* Fills the table of members, and what the leader said of itself. */
void vitals_status(const struct vitals *v, uint64_t now, struct status *s);

#endif
