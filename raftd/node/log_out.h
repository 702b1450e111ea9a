/* log_out.h: a leader's log as a flow to one peer.
 *
 * It begins after the entry that the peer's probe matched: offset 0 is the start of the entry
 * behind that one. Its bytes come from memory when the entries there reach back far enough ("joined":
 * offsets then differ from positions in memory by a constant, since a leader only ever appends), else
 * from disk, read ahead of what the peer acknowledges (window.h).
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

/* Only log_out.c looks inside, but for the flow. */
struct log_out {
    struct flow_out flow; /* id 0: none */
    const struct replica *replica;
    const struct node_io *io;
    const struct path *path;
    struct catch_up *catch_up;
    uint16_t peer;
    bool joined; /* offset + delta is a position in memory */
    uint64_t delta;
    bool placed;          /* tx.una is in memory, or was when it was looked at last ... */
    struct wal_pos place; /* ... at this place in the log */
    struct window window;
};

/* A box that is off for weeks costs a heartbeat, not its log over and over. When it is back it answers a
 * LEAD, and its stream goes on. */
bool log_silent(const struct raft *r, const struct raft_peer *p, uint64_t now);

/* The others outlive it. generation: of its peer, above all that this node has used before. */
void log_out_init(struct log_out *l, const struct replica *r, const struct node_io *io,
                  const struct path *path, struct catch_up *c, uint16_t peer, uint64_t generation);
/* The disk reads into its memory. */
bool log_out_reads(const struct log_out *l);
void log_out_free(struct log_out *l);

/* We do not lead (any more). */
void log_out_end(struct log_out *l);

/* Does it go on from memory, so that its end is the end of the log? */
bool log_out_joined(const struct log_out *l);

/* And have all bytes of the log arrived at the peer? */
bool log_out_all_there(const struct log_out *l);

/* A fetch of this generation brought `len` bytes, up to `next`. */
void log_out_fetched(struct log_out *l, uint64_t generation, size_t len,
                     const struct wal_pos *next);

#endif
