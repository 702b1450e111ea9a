/* images.h: when the state is written as a snapshot, and what part of the log goes then (chapter 5).
 *
 * An image is taken when the log behind the last snapshot is longer than that snapshot, and than a few
 * segments: so all that is written is written twice at most. Behind it the log goes, but for a tail for peers
 * that are away for a moment, and for what those that are there need: else a peer that took a snapshot would
 * need the next one when it has that. When the log nears its limit, neither counts any more.
 *
 * How many bytes of disk an entry stands for is known by marks: so many were written when the log ended
 * there. Between two marks, and for what was there at start, all entries are taken to be of one size.
 */
#ifndef RAFTD_IMAGES_H
#define RAFTD_IMAGES_H

#include "raftd/node/io.h"
#include "raftd/node/replica.h"
#include "raftd/node/status.h"
#include "raftd/state/image.h"
#include "raftd/state/machine.h"
#include "storage/snapshot.h"

enum {
    IMAGES_MARKS = 64,
    IMAGES_SEGMENTS = 4,         /* of log before an image is worth its bytes */
    IMAGES_TAIL_BYTES = 8 << 20, /* most that is kept for peers that lag a little */
    IMAGES_RETRY_US =
        1000000,          /* an image had no room; service must resume two seconds after there is */
    IMAGES_DOUBLINGS = 6, /* of that, when one after the other takes too much memory */
};

/* Only images.c looks inside. */
struct images {
    const struct node_config *cfg;
    const struct node_io *io;
    struct replica *replica;
    struct machine *machine;
    uint32_t segment_bytes;
    struct snapshot_name newest; /* index 0: there is none */
    struct image *open;          /* being written; NULL: none */
    bool stopping;               /* it is being given up ... */
    bool hurried;                /* ... or ended as soon as can be */
    unsigned outgrown;           /* images in a row that were given up for memory */
    bool asked;                  /* for an image, however short the log is */
    bool lost;                   /* the newest may be gone: also for one of the same entry */
    uint64_t retry_at;           /* not before */
    struct {
        uint64_t index, bytes;
    } marks[IMAGES_MARKS]; /* ascending; the first is where the log of the start began */
    unsigned n_marks;
    uint64_t step;        /* bytes from mark to mark */
    uint64_t start_bytes; /* of the log on disk at start */
};

/* The others outlive it. newest: NULL = there is no snapshot. */
void images_init(struct images *im, const struct node_config *cfg, const struct node_io *io,
                 struct replica *r, struct machine *machine, const struct wal_report *wal,
                 const struct snapshot_name *newest);

/* Closes the open image. No thread may read it any more. */
void images_free(struct images *im);

/* An image is to be taken as soon as it can be. */
void images_ask(struct images *im);

/* A snapshot can't be read: it is looked at, and if need be written again, as soon as can be. */
void images_lost(struct images *im);

/* What peers that are there need, by index: the oldest snapshot that one takes, and the log behind that or
 * behind what the slowest one has. UINT64_MAX: nothing. */
struct images_need {
    uint64_t snapshot, log;
};

/* Once per iteration, when all that is applied is published. */
void images_step(struct images *im, uint64_t now, struct images_need need);

/* The open image is written; NULL: it is not. */
void images_done(struct images *im, uint64_t now, const struct snapshot_name *name);

/* A snapshot of a peer's is ours now. */
void images_installed(struct images *im, const struct snapshot_name *name);

/* When images_step() has something to do that no event brings. */
uint64_t images_deadline(const struct images *im);

/* Bytes of disk that the log takes. */
uint64_t images_log_bytes(const struct images *im);

/* Fills what is told of snapshots that are written here. */
void images_status(const struct images *im, struct status *s);

#endif
