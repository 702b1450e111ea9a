/* snap_out.h: a snapshot as a flow to one peer that needs what the log no longer has (chapter 5).
 *
 * It is offered by name until the peer says how much it has of it, and then sent from there on. The peer gets
 * the same snapshot to its end even if there are newer ones, as long as the log goes on from it. While our
 * state may be wrong nothing is sent: the peer would have it, too, and count as one more that is right.
 */
#ifndef RAFTD_SNAP_OUT_H
#define RAFTD_SNAP_OUT_H

#include "raftd/node/catch_up.h"
#include "raftd/node/flow.h"
#include "raftd/node/images.h"
#include "raftd/node/replica.h"
#include "raftd/node/window.h"

enum {
    SNAP_COST = 2, /* a byte of a snapshot counts as so many bytes of old entries (catch_up.h) */
};

/* Only snap_out.c looks inside; the flow is the peer's. */
struct snap_out {
    struct flow_out flow; /* id 0: none; else it grows with each stream to the peer */
    const struct replica *replica;
    const struct node_io *io;
    const struct path *path;
    struct catch_up *catch_up;
    const struct images *images;
    uint16_t peer;
    struct snapshot_name name; /* index 0: none */
    uint64_t offered_at;       /* when it was offered last; 0: not yet */
    uint32_t boot;             /* the process of the peer that the stream is for */
    uint32_t last_id;          /* of the newest stream */
    struct window window;
};

/* All that is passed here outlives it. generation: the peer's, above all that this node has used before. */
void snap_out_init(struct snap_out *s, const struct replica *r, const struct node_io *io,
                   const struct path *path, struct catch_up *c, const struct images *images,
                   uint16_t peer, uint64_t generation);

/* A read from disk into its memory is outstanding. */
bool snap_out_reads(const struct snap_out *s);
void snap_out_free(struct snap_out *s);

/* This node does not lead: nothing goes to the peer. */
void snap_out_end(struct snap_out *s);

/* The snapshot that the peer takes now; 0: none. */
uint64_t snap_out_taken(const struct snap_out *s, uint64_t now);

/* Bytes of it that the peer does not have yet. */
uint64_t snap_out_left(const struct snap_out *s);

/* When an offer goes to the peer, NEVER = none does. */
uint64_t snap_out_offer_at(const struct snap_out *s, uint64_t now);

/* Fills the offer that goes now. */
void snap_out_offer(struct snap_out *s, uint64_t now, struct wire_offer *o);

/* A read of this generation brought `len` bytes; 0: the snapshot can't be read. */
void snap_out_read(struct snap_out *s, uint64_t generation, size_t len);

#endif
