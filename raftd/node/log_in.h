/* log_in.h: the leader's log as a flow to this node. */
#ifndef RAFTD_LOG_IN_H
#define RAFTD_LOG_IN_H

#include "raftd/node/flow.h"
#include "raftd/node/replica.h"

/* Only log_in.c looks inside, but for the flow. */
struct log_in {
    struct flow_in flow; /* id 0: none */
    struct replica *replica;
    uint8_t *buf; /* the largest record and a window; NULL until first needed */
    uint32_t window;
    uint64_t next; /* index of the next record on the stream */
};

/* window: offered to the leader. */
void log_in_init(struct log_in *l, struct replica *r, uint32_t window);
void log_in_free(struct log_in *l);

/* The core took this PROBE of the leader; if it matched, and there is memory, another stream begins. */
void log_in_probe(struct log_in *l, const struct raft_msg *probe);

/* Hands what arrived without a gap to the core, as far as there is room: AppendEntries, the receiver's
 * part (figure 3.1). */
void log_in_drain(struct log_in *l, uint64_t now);

#endif
