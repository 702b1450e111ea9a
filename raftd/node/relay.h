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

/* Puts one command on the way to the leader. False: it must wait. */
bool relay_out_put(struct relay_out *o, const uint8_t *cmd, size_t len);

/* Leader: what one peer relays. Only relay.c looks inside; the flow is the peer's. */
struct relay_in {
    struct flow_in flow; /* term NEVER: none */
    struct replica *replica;
    uint16_t peer;
    uint32_t share; /* the window of its next stream */
    uint32_t window;
    uint8_t *buf; /* rx.cap bytes; NULL until the peer relays */
    bool waits;   /* the command at the front can't be taken now */
    bool shut;    /* the stream made no sense: nothing more is taken from it in this term */
};

void relay_in_init(struct relay_in *x, struct replica *r, uint16_t peer);

/* Sets the window that is offered to the peer from its next stream on, in bytes. */
void relay_in_share(struct relay_in *x, uint32_t window);

/* This node does not lead: gives the memory back. */
void relay_in_end(struct relay_in *x);

/* Proposes what has arrived without a gap. What must wait stays in the buffer, so that the window closes. */
void relay_in_drain(struct relay_in *x, uint64_t now);

#endif
