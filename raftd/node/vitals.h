/* vitals.h: how each member is: what it tells of itself, and what the leader sees of it. It goes with what
 * nodes tell each other about their links. For people; no rule depends on it. */
#ifndef RAFTD_VITALS_H
#define RAFTD_VITALS_H

#include "net/wire.h"
#include "raftd/node/envelope.h"
#include "raftd/node/peer.h"
#include "raftd/node/replica.h"
#include "raftd/node/status.h"

struct vital {
    uint16_t id;      /* 0 = a free row */
    uint64_t self_at; /* when what it tells of itself was true; 0 = never */
    uint64_t led_at;  /* when its leader told of it; 0 = never */
    struct wire_vitals w;
    /* As leader: since when it has had to catch up, and with how much. */
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

/* The others outlive it. */
void vitals_init(struct vitals *v, const struct replica *r, const struct envelope *e,
                 const struct peers *ps, uint64_t now);

/* What the owner knows of the disk. */
void vitals_disk(struct vitals *v, uint64_t fsync_p99_us);

/* Once per iteration. */
void vitals_watch(struct vitals *v, uint64_t now);

/* The next row for another node: of ourselves, and as leader of all members. Begin with *i == 0; false: no
 * more. */
bool vitals_tell(const struct vitals *v, uint64_t now, unsigned *i, struct wire_vitals *w);

/* What came from a peer. */
void vitals_take(struct vitals *v, uint64_t now, uint16_t from, const struct wire_vitals *w);

/* Fills the table of members. */
void vitals_status(const struct vitals *v, uint64_t now, struct status *s);

#endif
