/* diskio.h: the disk off the loop: one thread that owns the wal, and one that prepares the next segment
 * file ahead of need. Jobs wait in one list, and each thread does those of its kinds: the more urgent
 * kind first, the older job first within a kind. Any failure ends the process here
 * (refused_running()): after a failed write or sync nobody knows what the medium holds.
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
#include "storage/wal.h"

enum {
    DISKIO_BATCHES = 2,  /* one of the core behind a seal, see node_io.persist */
    DISKIO_PEERS = 16,   /* one storage id to remember of each, and of this node */
    DISKIO_FETCHES = 16, /* one for each peer, and one for this node */
    DISKIO_STOP_S = 10,  /* three writes of a disk that takes 3 s for each */
};

struct diskio;

/* The urgent ones first: clients wait for a batch, a peer that lags for a fetch. */
enum diskio_kind {
    DISKIO_BATCH,
    DISKIO_REMEMBER,
    DISKIO_FETCH,
    DISKIO_LOOK,  /* how much room there is; nobody is told of this one ... */
    DISKIO_SPARE, /* ... nor of this, for the thread that makes segments */
};

struct diskio_config {
    struct wal *wal; /* the threads' until diskio_stop() */
    const struct disk *disk;
    const char *dir;         /* data directory */
    uint32_t segment_bytes;  /* as in wal_options */
    size_t max_batch_bytes;  /* largest batch that will come */
    uint64_t min_free_bytes; /* with less on the file system batches with entries are refused */
    uint64_t long_us; /* a batch that takes longer is a stall; when they are many, it is said */
    void (*wake)(void *ctx); /* called from a thread whenever something is done */
    void *ctx;
};

struct diskio_done {
    enum diskio_kind kind;
    uint64_t seq;           /* of a batch that is durable ... */
    bool refused;           /* ... or for which there was no room: nothing of it counts */
    struct node_fetch what; /* of a fetch */
    size_t len;             /* bytes fetched ... */
    struct wal_pos next;    /* ... and the place behind them */
    uint16_t node_id;       /* to remember */
    uint64_t storage_id;
};

/* NULL when short of memory or threads. */
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
void diskio_remember(struct diskio *d, struct peerids *ids, uint16_t node_id, uint64_t storage_id);

/* Takes the next finished job; false when there is none. */
bool diskio_done(struct diskio *d, struct diskio_done *done);

/* What it knows goes into a status that has just been filled. */
void diskio_status(struct diskio *d, struct status *s);

#endif
