/* log_out.h: a leader's log as a flow to one peer.
 *
 * It begins behind the entry that the peer's probe matched, so offset 0 is the start of the next entry. Its
 * bytes come from memory where that reaches back far enough, else from disk, read ahead of what the peer
 * acknowledges (window.h). Once the stream has reached memory, offsets are positions there less a constant
 * (entries.h), because a leader only appends.
 */
#ifndef RAFTD_LOG_OUT_H
#define RAFTD_LOG_OUT_H

#include "raftd/node/catch_up.h"
#include "raftd/node/flow.h"
#include "raftd/node/replica.h"
#include "raftd/node/window.h"

enum {
    LOG_SILENT_TIMEOUTS = 10, /* election timeouts after which a silent peer gets LEADs only */
};

/* Only log_out.c looks inside; the flow is the peer's. */
struct log_out {
    struct flow_out flow; /* id 0: none */
    const struct replica *replica;
    const struct node_io *io;
    const struct path *path;
    struct catch_up *catch_up;
    uint16_t peer;
    bool joined;          /* the stream has reached memory */
    uint64_t delta;       /* joined: offset + delta is a position in memory */
    bool placed;          /* `place` is where tx.una is in the log */
    struct wal_pos place; /* noted while tx.una was in memory, for the time when it is not */
    struct window window;
};

/* The peer is silent for so long that only LEADs go to it: a box that is off for weeks must not cost its log
 * over and over. When it is back it answers a LEAD, and its stream goes on. */
bool log_silent(const struct raft *r, const struct raft_peer *p, uint64_t now);

/* All that is passed here outlives it. generation: the peer's, above all that this node has used before. */
void log_out_init(struct log_out *l, const struct replica *r, const struct node_io *io,
                  const struct path *path, struct catch_up *c, uint16_t peer, uint64_t generation);

/* A read from disk into its memory is outstanding. */
bool log_out_reads(const struct log_out *l);
void log_out_free(struct log_out *l);

/* This node does not lead: nothing goes to the peer. */
void log_out_end(struct log_out *l);

/* Does the stream end with the last entry of the log? False while it does not reach memory. */
bool log_out_joined(const struct log_out *l);

/* Have all bytes of the log arrived at the peer? */
bool log_out_all_there(const struct log_out *l);

/* A fetch of this generation brought `len` bytes, up to `next`. */
void log_out_fetched(struct log_out *l, uint64_t generation, size_t len,
                     const struct wal_pos *next);

#endif
