/* relay.h: writes on their way from a follower to the leader, as a flow; both ends.
 *
 * The stream is a row of commands, each behind its length. It belongs to one term and one process of
 * the follower: its id is that process's boot token and, added to it, the number of its stream, which wraps
 * at 16 bits. A leader that took the follower out of the members and in again has nothing of the former
 * stream: the follower sees that and begins another one. Each command is handed over once.
 *
 * The leader keeps a buffer of two windows for each follower that relays. While the command at the
 * front is larger than one window, the buffer has room for that command and one window behind it. So
 * it is at most CMD_MAX_BYTES and one window, and only while that follower sends such a value.
 */
#ifndef RAFTD_RELAY_H
#define RAFTD_RELAY_H

#include "raftd/base/ring.h"
#include "raftd/node/flow.h"
#include "raftd/node/replica.h"

/* Follower: one for all peers, to the leader of the present term. Only relay.c looks inside, but for the
 * flow. */
struct relay_out {
    struct flow_out flow;
    const struct replica *replica;
    size_t command_max; /* the largest that will come */
    struct ring ring;   /* base NULL until first needed */
    uint64_t base;      /* ring position of offset 0 */
    uint16_t streams;   /* how many there were, wraps */
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

/* It is there no more: what went to it is lost. */
void relay_out_remove(struct relay_out *o, uint16_t id);

/* The number of the present stream, never 0; 0: there was none yet. What was put into an earlier one may be
 * lost. */
uint16_t relay_out_stream(struct relay_out *o);

/* Puts one command on the way to the leader. False: it must wait. */
bool relay_out_put(struct relay_out *o, const uint8_t *cmd, size_t len);

/* Leader: what one peer relays. Only relay.c looks inside, but for the flow. */
struct relay_in {
    struct flow_in flow; /* term NEVER: none */
    struct replica *replica;
    uint16_t peer;
    uint32_t share; /* the window of its next stream */
    uint32_t window;
    uint8_t *buf; /* rx.cap bytes; NULL until the peer relays */
    bool waits;   /* the command at the front can't be taken now */
    bool shut;    /* it made no sense: nothing more is taken from it in this term */
};

void relay_in_init(struct relay_in *x, struct replica *r, uint16_t peer);

/* So large a window is offered to the peer from its next stream on. */
void relay_in_share(struct relay_in *x, uint32_t window);

/* We do not lead (any more): gives the memory back. */
void relay_in_end(struct relay_in *x);

/* Proposes what has arrived without a gap; what can't be taken now stays and closes the window. */
void relay_in_drain(struct relay_in *x, uint64_t now);

#endif
