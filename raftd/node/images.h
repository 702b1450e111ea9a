/* images.h: when the state is written as a snapshot, and what part of the log goes then (chapter 5).
 *
 * An image is taken when the log behind the last snapshot is longer than that snapshot, and longer than a
 * few segments: so snapshots at most double what is written. Then the log up to it goes, but for a tail
 * for peers that are away for a moment, and for entries that peers which are there still need: else a
 * peer that has just taken a snapshot would need the next one. When the log nears its limit, all of it
 * goes.
 *
 * Marks say how many bytes of disk were written when the log ended with an entry. Between two marks, and for
 * what was there at start, all entries are taken to be of one size.
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
    IMAGES_TAIL_BYTES = 8 << 20, /* of log that is kept at most for peers that lag a little */
    IMAGES_RETRY_US =
        1000000,          /* after one without room: writes must go on soon after there is some */
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
    bool stopping;               /* the owner was told to give it up */
    bool hurried;                /* the owner was told to end it as soon as can be */
    unsigned outgrown;           /* images in a row that were given up for memory */
    bool asked;                  /* an image is wanted, however short the log is */
    bool lost;                   /* the newest may be gone: another one of the same entry will do */
    uint64_t retry_at;           /* no image is taken before */
    struct {
        uint64_t index, bytes;
    } marks[IMAGES_MARKS]; /* ascending; the first is where the log began at start */
    unsigned n_marks;
    uint64_t step;        /* bytes from mark to mark */
    uint64_t start_bytes; /* of the log on disk at start */
};

/* All but *newest outlives it. newest: NULL = there is no snapshot. */
void images_init(struct images *im, const struct node_config *cfg, const struct node_io *io,
                 struct replica *r, struct machine *machine, const struct wal_report *wal,
                 const struct snapshot_name *newest);

/* Closes the open image. No thread may read it any more. */
void images_free(struct images *im);

/* An image is to be taken as soon as it can be. */
void images_ask(struct images *im);

/* A snapshot could not be read: it is looked at and, if need be, written anew as soon as can be. */
void images_lost(struct images *im);

/* What peers that are there need. UINT64_MAX: nothing. */
struct images_need {
    uint64_t snapshot; /* index of the oldest snapshot that a peer takes */
    uint64_t log;      /* the log behind this entry */
};

/* Once per iteration, when all that is applied is published. True: an image of that was taken. */
bool images_step(struct images *im, uint64_t now, struct images_need need);

/* The open image is a snapshot of that name; NULL: it came to nothing. */
void images_done(struct images *im, uint64_t now, const struct snapshot_name *name);

/* A peer's snapshot is ours now. */
void images_installed(struct images *im, const struct snapshot_name *name);

/* When images_step() has something to do that no event brings. */
uint64_t images_deadline(const struct images *im);

/* Bytes of disk that the log takes. */
uint64_t images_log_bytes(const struct images *im);

/* Fills what is known of snapshots that are written here. */
void images_status(const struct images *im, struct status *s);

#endif
