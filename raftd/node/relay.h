/* relay.h: writes on their way from a follower to the leader, as a flow; both ends.
 *
 * The stream is a row of commands, each behind its length. It belongs to one term and one process of the
 * follower. Its id is the sum of that process's boot token and the number of the stream, which wraps at 16
 * bits. A leader that removed the follower from the members and added it anew has nothing of the earlier
 * stream: the follower notices that and begins another one. Within a stream each command is proposed once.
 *
 * The leader keeps a buffer of two windows for each follower that relays. While the command at the front is
 * larger than one window, the buffer has room for that command and one window behind it: at most
 * CMD_MAX_BYTES and one window, and only while that follower sends such a value.
 *
 * A leader without room for entries, whose place no other node takes soon, keeps no client waiting for what
 * may take for ever: it shuts the stream. Then no command from there on enters the log by this stream, and
 * the follower may tell its client that nothing was done, if it sent the command in no other one. This holds
 * because a stream has one leader and one term, and a stream that was shut is never taken again in the term:
 * not by a late copy of its beginning, and not when the follower was removed and added anew meanwhile
 * (struct relay_shuts). The follower goes on with another stream.
 */
#ifndef RAFTD_RELAY_H
#define RAFTD_RELAY_H

#include "raftd/base/ring.h"
#include "raftd/node/flow.h"
#include "raftd/node/replica.h"

/* Follower: one for all peers, to the leader of the present term. Only relay.c looks inside; the flow is the
 * peers'. */
struct relay_out {
    struct flow_out flow;
    const struct replica *replica;
    size_t command_max; /* bytes of the largest command that will come */
    struct ring ring;   /* base NULL until first needed */
    uint64_t base;      /* ring position of offset 0 */
    uint16_t streams;   /* number of the present stream; wraps, and 0 is only before the first */
    enum relay_shut {
        RELAY_OPEN,
        RELAY_SHUT, /* by the leader; relay_out_shut() has not told yet */
        RELAY_OVER, /* it has: another stream begins */
    } shut;
    bool log_full;     /* why it was shut */
    uint64_t shut_off; /* offset of the first byte that the leader did not use */
    struct relay_way {
        uint16_t id;
        const struct path *path;
    } ways[RAFT_PEERS_MAX];
    unsigned n_ways;
};

void relay_out_init(struct relay_out *o, const struct replica *r, size_t command_max);
void relay_out_free(struct relay_out *o);

/* This peer may lead; the path outlives this. */
void relay_out_add(struct relay_out *o, uint16_t id, const struct path *path);

/* This peer is there no more: what went to it is lost. */
void relay_out_remove(struct relay_out *o, uint16_t id);

/* The number of the present stream; 0: there was none yet. Commands in an earlier stream may be lost. */
uint16_t relay_out_stream(struct relay_out *o);

/* Puts one command on the way to the leader. *off: where it begins in the present stream. False: it must
 * wait. */
bool relay_out_put(struct relay_out *o, const uint8_t *cmd, size_t len, uint64_t *off);

/* True, once: the leader has shut the stream of this number. No command of it that begins at *off or behind
 * entered the log, or ever will by this stream. log_full: because of log_max_bytes; else its disk is full. */
bool relay_out_shut(struct relay_out *o, uint16_t stream, uint64_t *off, bool *log_full);

enum {
    /* A leader waits so long for room before it shuts a stream: a snapshot may be about to make some. It is
     * also the least time between two streams of a follower that are shut. */
    RELAY_SHUT_US = 100000,
    /* And so long for another node that could take its place, which takes a few round trips and syncs. */
    RELAY_HANDOVER_US = 1000000,
    RELAY_SHUTS_MAX =
        64, /* peers whose streams were shut in one term; further ones wait for room */
};

/* Leader: the newest stream of each peer that was shut in the present term. It outlives peers, since one that
 * is added anew may have late copies of an earlier stream under way. A zeroed struct is a fresh one. Only
 * relay.c looks inside. */
struct relay_shuts {
    uint64_t term;
    unsigned n;
    struct {
        uint16_t peer;
        uint32_t boot, id; /* of its process, of the stream */
    } at[RELAY_SHUTS_MAX];
};

/* Leader: what one peer relays. Only relay.c looks inside; the flow is the peer's. */
struct relay_in {
    struct flow_in flow; /* term NEVER: none */
    struct replica *replica;
    struct relay_shuts *shuts;
    uint16_t peer;
    uint32_t share; /* the window of its next stream */
    uint32_t window;
    uint8_t *buf;        /* rx.cap bytes; NULL until the peer relays */
    bool waits;          /* the command at the front can't be taken now */
    bool broken;         /* the stream made no sense: nothing more is taken from it in this term */
    uint64_t full_since; /* the command at the front finds no room since then; NEVER: it does */
};

/* *shuts is shared by all peers, and outlives this. */
void relay_in_init(struct relay_in *x, struct replica *r, struct relay_shuts *shuts, uint16_t peer);

/* Sets the window that is offered to the peer from its next stream on, in bytes. */
void relay_in_share(struct relay_in *x, uint32_t window);

/* This node does not lead: gives the memory back. */
void relay_in_end(struct relay_in *x);

/* Proposes what has arrived without a gap. What must wait stays in the buffer, so that the window closes. */
void relay_in_drain(struct relay_in *x, uint64_t now);

/* When relay_in_drain() has something to do that no event brings. */
uint64_t relay_in_deadline(const struct relay_in *x);

#endif
