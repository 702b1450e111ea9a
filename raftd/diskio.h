/* diskio.h: the disk off the loop: one thread that owns the wal, one that prepares the next segment file
 * ahead of need, and one for snapshots (imager.h). Jobs wait in one list, and each thread does those of
 * its kinds: the more urgent kind first, the older job first within a kind. Any failure ends the process
 * here (refused_running()): after a failed write or sync nobody knows what is on the medium.
 *
 * A full disk is no failure, nor is a lack of file descriptors or memory: the batch is handed back,
 * and others may go on. A read of the log that can't be done for such a reason is tried again, while
 * other jobs go on.
 */
#ifndef RAFTD_DISKIO_H
#define RAFTD_DISKIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/node/io.h"
#include "raftd/node/status.h"
#include "storage/peerids.h"
#include "storage/snapshot.h"
#include "storage/wal.h"

enum {
    DISKIO_BATCHES = 2,                  /* one of the core behind an idle one: node_io.persist */
    DISKIO_PEERS = RAFT_PEERS_MAX + 1,   /* one key to remember of each, and of this node */
    DISKIO_FETCHES = RAFT_PEERS_MAX + 1, /* one for each peer, and one for this node */
    DISKIO_STOP_S = 10,                  /* three writes of a disk that takes 3 s for each */
};

struct diskio;

/* The urgent ones first: clients wait for a batch, a peer that lags for a fetch. A drop comes before fetches,
 * because there is always a fetch while two peers lag, and the log has to become shorter all the same. */
enum diskio_kind {
    DISKIO_BATCH,
    DISKIO_REMEMBER,
    DISKIO_HEALED, /* the node is not in doubt any more; diskio_done() gives no answer */
    DISKIO_DROP,   /* no answer */
    DISKIO_FETCH,
    DISKIO_LOOK,  /* how much room there is; no answer */
    DISKIO_SPARE, /* for the thread that makes segments; no answer */
    /* For the thread for snapshots. An image takes long, so the other kinds are done between its pieces,
     * and an install ends it. */
    DISKIO_SNAP_READ,
    DISKIO_SNAP_OPEN,
    DISKIO_SNAP_WRITE,
    DISKIO_SNAP_INSTALL,
    DISKIO_IMAGE,
};

struct diskio_config {
    struct wal *wal; /* the threads' until diskio_stop() */
    const struct disk *disk;
    const char *dir;              /* data directory */
    uint32_t segment_bytes;       /* as in wal_options */
    size_t max_batch_bytes;       /* largest batch that will come */
    uint64_t storage_id, cluster; /* as in struct snapshots */
    bool damaged;                 /* as diskio_doubt(), at the start */
    uint64_t min_free_bytes; /* with less on the file system batches with entries are refused */
    uint64_t long_us;        /* a batch that takes longer is a stall; of many there is a message */
    void (*wake)(void *ctx); /* called from a thread whenever something is done */
    void *ctx;
};

/* A finished job. What it points to is valid until the next job of its kind is queued. */
struct diskio_done {
    enum diskio_kind kind;
    bool refused;           /* there was no room for it, or it was given up: nothing of it counts */
    uint64_t seq;           /* of a batch */
    struct node_fetch what; /* of a fetch, or of a read of a snapshot */
    size_t len;             /* bytes fetched or read; 0: that snapshot can't be read */
    struct wal_pos next;    /* of a fetch: the place behind the bytes */
    uint16_t node_id;       /* the node that was to be remembered */
    uint8_t key[PEERIDS_KEY_BYTES];
    uint64_t have;                    /* of the snapshot that was opened */
    const struct snapshot_head *head; /* of the snapshot that is installed */
    struct image_load *load;          /* its state, the caller's to free */
    const struct snapshot_name *name; /* of the snapshot that the image became */
};

/* NULL when memory or threads are short. */
struct diskio *diskio_start(const struct diskio_config *cfg);

/* Waits for the job in work and for batches, drops reads behind it, ends the threads. False if the
 * disk did not finish them in DISKIO_STOP_S seconds: then the threads, and all that they use, live on,
 * and the process must end without touching the wal. */
bool diskio_stop(struct diskio *d);

/* Queues a batch; its bytes are copied. */
void diskio_persist(struct diskio *d, uint64_t seq, const struct wal_batch *b);

/* Queues a wal_read() into buf, which stays valid until it is done. */
void diskio_fetch(struct diskio *d, struct node_fetch what, const struct wal_pos *from,
                  uint64_t last, uint8_t *buf, size_t cap);

/* Queues a peerids_add() to *ids, which the log thread owns until diskio_stop(); one at a time for each
 * node. */
void diskio_remember(struct diskio *d, struct peerids *ids, uint16_t node_id,
                     const uint8_t key[PEERIDS_KEY_BYTES]);

/* Queue the jobs that node_io describes under these names. */
void diskio_image(struct diskio *d, const struct snapshot_head *head, struct image *image,
                  uint64_t needed);
void diskio_image_end(struct diskio *d, bool whole);
void diskio_drop_log(struct diskio *d, uint64_t keep_from);
void diskio_snap_read(struct diskio *d, struct node_fetch what, uint64_t index, uint64_t off,
                      uint8_t *buf, size_t cap);
void diskio_snap_open(struct diskio *d, const struct snapshot_name *name);
void diskio_snap_write(struct diskio *d, uint64_t off, const uint8_t *buf, size_t len);
void diskio_snap_install(struct diskio *d);

/* Says whether the node is in doubt by damage (raft.damaged). When it is no more, the mark of it is
 * removed from the disk (storage/doubt.h). */
void diskio_doubt(struct diskio *d, bool damaged);

/* Takes the next finished job; false when there is none. */
bool diskio_done(struct diskio *d, struct diskio_done *done);

/* Whether wake() is to be called when a batch is done, as it is at first. Else the owner asks diskio_done()
 * whenever it is awake anyway. True: a batch was done without a call, and it is wanted now. */
bool diskio_tell_batches(struct diskio *d, bool tell);

/* Fills what is known of the disk into a status. */
void diskio_status(struct diskio *d, struct status *s);

#endif
