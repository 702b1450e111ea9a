/* links.h: what nodes tell each other from time to time about their links: who hears whom, and how they are
 * configured. It is for people; no rule depends on it. */
#ifndef RAFTD_LINKS_H
#define RAFTD_LINKS_H

#include "net/stream/link.h"
#include "net/wire.h"
#include "raftd/node/io.h"
#include "raftd/node/replica.h"
#include "raftd/node/status.h"

/* What one peer hears, as it told us, or the leader told us of it. */
struct link_row {
    uint16_t id;
    const struct link *link;         /* between it and us */
    uint8_t heard[RAFT_MEMBERS_MAX]; /* by column: loss in percent, or WIRE_NOT_* */
    uint64_t heard_at;               /* 0 = never told */
    uint64_t told_at;                /* when we told it what we hear; 0 = it is due */
    bool news;                       /* there is something since then that it is to know soon */
    bool silent;                     /* it was so when we looked last, ... */
    uint64_t last_word_at;           /* ... and this was the last that was heard of it; 0 = never */
    struct wire_settings settings;
};

/* Only links.c looks inside. */
struct links {
    const struct node_config *cfg;
    const struct replica *replica;
    uint64_t start_us;
    struct link_row rows[RAFT_PEERS_MAX];
    unsigned n_rows;
    uint16_t members;      /* part of a digest of the members' ids, see net/wire.h */
    uint16_t led_by;       /* the last leader that we knew; 0 = none */
    uint64_t led_term;     /* its term */
    uint64_t asking_since; /* since when we have been a pre-candidate; 0 = we are none */
};

/* All that is passed here outlives it. */
void links_init(struct links *l, const struct node_config *cfg, const struct replica *r,
                uint64_t now);
void links_add(struct links *l, uint64_t now, uint16_t peer, const struct link *link);
void links_remove(struct links *l, uint16_t peer);

/* The members may be other ones now. */
void links_follow(struct links *l);

/* Once per iteration. */
void links_watch(struct links *l, uint64_t now);

/* When our rows go to this peer, if need be in a datagram of their own. */
uint64_t links_due(const struct links *l, uint16_t peer);

/* Something is to be known soon: rows go with the next datagrams that go anyway. */
void links_soon(struct links *l);

/* Fills the rows that go to this peer now. False: they went there lately. */
bool links_fill(struct links *l, uint64_t now, uint16_t peer, struct wire_links *out);

/* Rows, or settings, came from a peer. */
void links_take(struct links *l, uint64_t now, uint16_t from, const struct wire_links *in);
void links_take_settings(struct links *l, uint16_t from, const struct wire_settings *in);

/* What we tell of our configuration. */
struct wire_settings links_settings(const struct links *l);

/* The least value of a setting that we or a peer have. */
uint64_t links_least(const struct links *l, enum wire_setting setting);

/* Fills loss and settings of a peer. */
void links_peer_status(const struct links *l, uint64_t now, uint16_t peer, struct status_peer *s);

/* Bit i: the peer in row i is silent; bit i + 32: it was never heard. */
uint64_t links_silent(const struct links *l, uint64_t now);

/* Fills the table of all links. */
void links_status(const struct links *l, uint64_t now, struct status *s);

#endif
