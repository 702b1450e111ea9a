/* log_in.h: the leader's log as a flow to this node. */
#ifndef RAFTD_LOG_IN_H
#define RAFTD_LOG_IN_H

#include "raftd/node/flow.h"
#include "raftd/node/replica.h"

/* Only log_in.c looks inside; the flow is the peers'. */
struct log_in {
    struct flow_in flow; /* id 0: none */
    struct replica *replica;
    uint8_t *buf; /* room for the largest record and a window; NULL until first needed */
    uint32_t window;
    uint64_t next; /* index of the next record on the stream */
};

/* window: of the flow, in bytes; it is offered to the leader. */
void log_in_init(struct log_in *l, struct replica *r, uint32_t window);
void log_in_free(struct log_in *l);

/* The core took this PROBE. If it matched, and there is memory, another stream begins. */
void log_in_probe(struct log_in *l, const struct raft_msg *probe);

/* Gives the core what has arrived without a gap, while there is room: the receiver's part of AppendEntries
 * (figure 3.1). */
void log_in_drain(struct log_in *l, uint64_t now);

#endif
