/* snap_in.h: a leader's snapshot as a flow to this node, and what becomes of it (chapter 5).
 *
 *        an offer                open              all bytes written           verified, loaded
 *   NONE ---------> OPENS -------------> TAKES -----------------------> INSTALLS --------> NONE
 *
 * The part that is on disk stays there. So the transfer goes on behind it when the same snapshot is offered
 * later, by another leader, or after a restart.
 */
#ifndef RAFTD_SNAP_IN_H
#define RAFTD_SNAP_IN_H

#include "raftd/node/flow.h"
#include "raftd/node/replica.h"
#include "raftd/node/status.h"
#include "storage/snapshot.h"

enum {
    SNAP_WRITE_BYTES = 1 << 16,
    SNAP_MIN_BYTES = 4096, /* of the head: no snapshot is smaller */
    /* So long after a snapshot that could not be taken the next one is, and twice as long each time, so many
     * times: all of it may have been transferred for nothing. */
    SNAP_AGAIN_US = 1000000,
    SNAP_DOUBLINGS = 6,
};

enum snap_stage { SNAP_NONE, SNAP_OPENS, SNAP_TAKES, SNAP_INSTALLS };

/* Only snap_in.c looks inside; the flow is the peers'. */
struct snap_in {
    struct flow_in flow;
    struct replica *replica;
    const struct node_io *io;
    uint32_t window;
    enum snap_stage stage;
    struct snapshot_name name;
    uint8_t *buf;      /* two windows, and behind them what is being written; NULL but in TAKES */
    uint64_t written;  /* bytes that the disk has */
    size_t writing;    /* bytes on their way to the disk */
    unsigned failed;   /* snapshots in a row that could not be taken */
    uint64_t again_at; /* none is taken before */
    uint64_t n_failed; /* snapshots since start that could not be taken */
};

/* window: of the flow, in bytes; it is offered to the leader. */
void snap_in_init(struct snap_in *s, struct replica *r, const struct node_io *io, uint32_t window);
void snap_in_free(struct snap_in *s);

/* A peer offers a snapshot, in our term. */
void snap_in_offer(struct snap_in *s, uint64_t now, uint16_t from, const struct wire_offer *o);

/* Answers of the disk, see node.h. */
void snap_in_have(struct snap_in *s, uint64_t now, uint64_t have);
void snap_in_written(struct snap_in *s, uint64_t now, bool done);

/* The snapshot is installed, or came to nothing. */
void snap_in_done(struct snap_in *s, uint64_t now, bool installed);

/* The snapshot that came last. */
const struct snapshot_name *snap_in_name(const struct snap_in *s);

/* Fills how far the transfer is. */
void snap_in_status(const struct snap_in *s, struct status *status);

#endif
