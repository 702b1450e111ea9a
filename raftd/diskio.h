/* diskio.h: the disk off the loop: one thread that owns the wal and does its jobs in order, and one
 * that prepares the next segment file ahead of need. Any failure ends the process here
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
    DISKIO_BATCHES = 2,    /* one of the core behind a seal, see node_io.persist */
    DISKIO_PEERS = 16,     /* one storage id to remember of each, and of this node */
    DISKIO_FETCHES = 16,   /* one for each peer, and one for this node */
    DISKIO_SAMPLES = 1024, /* durations of syncs kept for the percentile */
    DISKIO_STOP_S = 10,    /* three writes of a disk that takes 3 s for each */
};

struct diskio;

struct diskio_done {
    bool fetch, remember;
    uint64_t seq;           /* of a batch that is durable ... */
    bool refused;           /* ... or for which there was no room: nothing of it counts */
    struct node_fetch what; /* of a fetch */
    size_t len;             /* bytes fetched ... */
    struct wal_pos next;    /* ... and the place behind them */
    uint16_t node_id;       /* to remember */
    uint64_t storage_id;
};

struct diskio_stats {
    uint64_t fsyncs;
    uint64_t bytes_written;
    uint64_t log_bytes; /* as in struct wal_stats */
    uint64_t p99_us;    /* of batches (write and sync), the newest DISKIO_SAMPLES */
    uint64_t max_us;
};

/* Starts the threads; `w` is theirs until diskio_stop(). `wake` is called from a thread whenever
 * something is done. max_batch_bytes: largest batch that will come. NULL when short of memory or
 * threads. */
struct diskio *diskio_start(struct wal *w, const struct disk *disk, const char *dir,
                            uint32_t segment_bytes, size_t max_batch_bytes, void (*wake)(void *ctx),
                            void *ctx);

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

/* Refreshed when something was written, at most four times a second. */
void diskio_stats(struct diskio *d, uint64_t now_us, struct diskio_stats *s);
/* The same in a status that has just been filled. */
void diskio_status(struct diskio *d, struct status *s);

#endif
