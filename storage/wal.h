/* wal.h: the log on disk, with the current term and vote in it.
 *
 * One append-only sequence of batches in segment files DIR/log/%016x.seg (formats in batch.h). What
 * dissertation figure 3.1 calls persistent state is all here: a batch carries currentTerm and
 * votedFor in its header (and the commit index known then), and log entries (record.h) as its
 * payload. Overwriting the log's tail is a flag of a batch; nothing on disk is ever overwritten or
 * cut. The live log is what remains when all batches are applied in the order in which they lie on
 * disk.
 *
 * Threads: one thread (the log thread) calls everything that takes a struct wal. wal_make_spare
 * and wal_create take none and may run elsewhere at the same time.
 *
 * Errors: 0 or -errno. After any error of wal_append but -EMSGSIZE and those that wal_refused()
 * knows, the state of the disk is unknown and every later append fails: the caller says wal_error()
 * and exits. Never retry, never go on: the kernel reports a failed write once and then forgets it.
 * Restart reads what the medium really holds.
 */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "raftd/base/members.h"
#include "raftd/core/trail.h"
#include "storage/disk.h"

enum {
    WAL_SEGMENT_BYTES_DEFAULT = 4 << 20, /* a switch costs two more syncs: rare at this size */
    WAL_SEGMENT_BYTES_MIN = 8 * 4096,    /* head, four blocks of entries, one control batch, seal */
    WAL_SEGMENT_BYTES_MAX = 64 << 20, /* offsets are 32 bits with room; recovery reads it whole */
    WAL_HASH_BYTES = 16,              /* as RECORD_HASH_BYTES */
    WAL_PATH_MAX = 512,               /* the longest path of a file of the log */
    WAL_MESSAGE_BYTES = 768,          /* one sentence with a path in it */
};

struct record; /* record.h */

/* An entry that a snapshot covers. The log may begin behind it. */
struct wal_base {
    uint64_t index; /* 0: no snapshot, and the log begins at entry 1 */
    uint64_t term;
    uint8_t hash[WAL_HASH_BYTES]; /* of its record */
    struct members_at members; /* the newest configuration up to it; index 0 = no entry was one */
};

struct wal_options {
    /* Size of segments made from now on, bytes: a multiple of 4096 from WAL_SEGMENT_BYTES_MIN to
     * WAL_SEGMENT_BYTES_MAX; 0 means the default. Existing segments keep theirs. */
    uint32_t segment_bytes;
    /* Random id of this data directory (ident.h). Segments of another directory are refused. */
    uint64_t storage_id;
    /* The last entry in the newest whole snapshot. The log goes on as it is when it holds that entry;
     * damage in segments that the snapshot covers does not count, they are moved to DIR/log/damaged. It
     * is reset (wal_reset) when it ends before it, or has an entry of another term there that was
     * never committed: so a crash between the arrival of a snapshot and the reset leaves it. */
    struct wal_base base;
    /* Others have what was lost here: cut the log before damage, put the rest aside, and report `doubt`.
     * false: damage is -EBADMSG, and nothing is changed. */
    bool repair;
    uint64_t damaged_max_bytes; /* of files of earlier damage in DIR/log/damaged, 0 = no limit */
    /* With repair: told of what stands behind the damage, in the order of the disk. A record that is whole,
     * or NULL for entries first..last that can't be read. NULL: nobody wants to know. */
    void (*cut_off)(void *ctx, uint64_t first, uint64_t last, const struct record *rec);
    void *cut_off_ctx;
    /* Called before each read of a recovery, which may take minutes, with the segment files that are
     * done and their number; NULL: not. False ends it with -ECANCELED, and nothing was changed. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t all);
    void *progress_ctx;
};

/* One append. All of it becomes durable, or none of it. */
struct wal_batch {
    uint64_t term; /* currentTerm after this batch; never lower than before (figure 3.1) */
    uint16_t vote; /* votedFor in that term, 0 for nobody; once given, fixed for the term */
    bool truncate; /* entries after truncate_to are dead, before this batch's entries are added */
    uint64_t truncate_to; /* at most the last index, not below an earlier batch's commit */
    /* The log is empty behind entry truncate_to, which is of last_term, is committed and has the hash
     * `head`: a snapshot holds it, and all before it. Then it has no entries, nor `truncate`. */
    bool reset;
    /* The entries in `bytes`; both 0 when there are none. first_index is the last live index + 1. */
    uint64_t first_index, last_index;
    uint64_t last_term; /* term of the log's last entry after this batch, 0 when empty */
    uint64_t commit;    /* known to be committed; never lower than before, at most the last index */
    uint8_t head[WAL_HASH_BYTES]; /* of the log's last record after this batch, zeros when empty */
    /* The records, whole, in up to two pieces as they lie in a ring; borrowed during the call. */
    struct iovec bytes[2];
    int bytes_n; /* 0 to 2; 0 exactly when there are no entries */
    /* Written for its own sake about a second after the last batch: with a later batch behind it
     * the last entry can no longer be mistaken for a torn write. No entries, no truncation. */
    bool idle;
};

enum wal_verdict {
    WAL_CLEAN, /* every batch is whole, zeros behind the last */
    WAL_TORN,  /* the last write was cut by a crash, or is damaged: nothing tells which. Dropped */
    WAL_CORRUPT, /* something durable is damaged or missing: never repaired here, never started */
};

/* What recovery found. Filled by wal_open and wal_check, also when they fail. */
struct wal_report {
    enum wal_verdict verdict;
    uint64_t term; /* currentTerm and votedFor to start with */
    uint16_t vote;
    uint64_t base_index, base_term; /* the log begins behind this entry; 0, 0 = at entry 1. Never
                                     * above wal_options.base */
    uint64_t last_index, last_term; /* base_index, base_term for an empty log */
    uint64_t commit;  /* known to be committed: wal_options.base at least, base_index..last_index */
    uint64_t last_ms; /* cluster time of the last record; 0: empty log, wal_check, or an error */
    uint8_t head[WAL_HASH_BYTES]; /* hash of the last record */
    uint64_t batches;             /* whole batches read */
    uint64_t segments;            /* files of the log, with those made ahead */
    uint64_t cut_bytes; /* of a torn write, from its beginning to its last non-zero block */
    /* Terms of the live log by index, ascending; owned by the wal until wal_close. None after
     * wal_check or an error. */
    const struct raft_run *runs;
    size_t n_runs;
    /* The newest configuration in the log or at wal_options.base, and the one before it. An index of 0:
     * there is none. */
    struct members_at members, members_before;
    struct members_at members_base; /* that of wal_options.base */
    /* The log was cut before damage, now or at an earlier start (doubt.h): this node may have promised
     * more than the log shows. Then term and vote are the highest that was seen, and not to be trusted. */
    bool doubt;
    /* WAL_CORRUPT and WAL_TORN: which entries are concerned; bad_last_index 0 means "and
     * after"; with WAL_TORN both are 0 for a batch that is known to have held none. */
    uint64_t bad_first_index, bad_last_index;
    /* For humans: empty when clean, not reset, and nothing was moved to DIR/log/damaged. */
    char message[WAL_MESSAGE_BYTES];
};

/* Counters since wal_open, written by the log thread. */
struct wal_stats {
    uint64_t fsyncs;        /* fdatasync and directory syncs */
    uint64_t bytes_written; /* to segment files, spares included */
    uint64_t batches;       /* appended */
    uint64_t recycled;      /* files that became a next segment instead of a new one */
    uint64_t segments;      /* that the log consists of now ... */
    uint64_t base;          /* ... and the entry behind which it begins */
    uint64_t log_bytes; /* size of the segment files that the log consists of, without a spare */
};

struct wal;

/* Make DIR/log with one segment, which holds no batch and names the storage. DIR exists. Called by
 * ident_create, so that a directory with an identity always has a log, and a log that is gone, or another
 * one, is noticed. Can be repeated after a crash or failure, but never once the log has been opened. */
int wal_create(const struct disk *d, const char *dir, uint64_t storage_id, uint32_t segment_bytes,
               char *err, size_t err_size);

/* Recover the log of DIR and make it ready for appends: after a torn write that means a new segment.
 * When there is no room for one (wal_refused()), the log can be read at once, and appends are
 * refused until there is. *d is borrowed until wal_close. 0 and *out; -EBADMSG when the log is
 * corrupt or missing (report->verdict is WAL_CORRUPT; nothing was changed); otherwise the error of a
 * system call. Whenever it fails, report->message says why. */
int wal_open(struct wal **out, const struct disk *d, const char *dir,
             const struct wal_options *options, struct wal_report *report);

/* The same recovery, but nothing is changed: 0 (clean or torn) or as wal_open. The caller holds the
 * directory's lock: a running daemon's log has a tail that changes. */
int wal_check(const struct disk *d, const char *dir, const struct wal_options *options,
              struct wal_report *report);

/* Close files and free memory; w may be NULL. Nothing is written. */
void wal_close(struct wal *w);

/* True for an error that may pass by itself: no space (-ENOSPC, which stands for -EDQUOT as well), no
 * file descriptor (-EMFILE, -ENFILE), no memory (-ENOMEM). */
bool wal_refused(int rc);

/* Make one batch durable: one write and one fdatasync, three of each when a new segment begins (and
 * more when no spare was made ahead). No allocation but for a new segment or a truncation. On 0, and
 * not before, the caller may acknowledge.
 *   wal_refused(rc)  nothing of the batch counts and the log is as before: try again, with this batch
 *                    or another, when there may be room. Usually a new segment is needed and none was
 *                    made ahead; batches without entries then still succeed for a while, in a part of
 *                    the segment kept for them. On a file system that has no space for a write in
 *                    place they do not. A crash before the next append may bring the batch back, as
 *                    it may one that was being written.
 *   -EMSGSIZE        more than wal_batch_max_bytes() of records; nothing was written.
 *   any other        fatal, see above. (No space told by fdatasync is -EIO.) */
int wal_append(struct wal *w, const struct wal_batch *batch);

/* Most bytes of records that one batch can take with this segment size (0: the default). */
size_t wal_batch_max_bytes(uint32_t segment_bytes);

/* The first entry that can be read, or will be the first to be appended. */
uint64_t wal_first(const struct wal *w);

/* Entries below keep_from, at least 2, are not needed any more: a durable snapshot covers them. The
 * segments that hold nothing else leave the log. Of their files one becomes a next one or is deleted, which
 * costs one sync: for the others call it again while wal_drops() is true, with batches in between. 0;
 * wal_refused(rc) when the file is left for the next call; any other is fatal, see above. */
int wal_drop(struct wal *w, uint64_t keep_from);

/* Files that left the log, by wal_drop() or wal_reset(), wait for wal_drop(). A few may wait without that. */
bool wal_drops(const struct wal *w);

/* The log becomes empty and begins behind `base`, whose snapshot is durable; term and vote may move on
 * as in a batch. On 0 that is durable, in one step: a crash leaves the old log or the new one. Results as
 * wal_drop; when it is refused the log is as wal_drop(base->index) leaves it. */
int wal_reset(struct wal *w, const struct wal_base *base, uint64_t term, uint16_t vote);

/* A place in the log as a row of bytes. */
struct wal_pos {
    uint64_t index; /* of a record, first is 1 */
    uint32_t skip;  /* bytes of it that lie before */
};

/* Bytes of live records from *pos on, none of a record above `last`: whole records, as many as fit
 * into `cap` (1 at least). Only where the first one does not fit, a part of it; the next call
 * continues it. Returns their size, and the place behind them in *pos; 0 when there is no entry
 * pos->index up to `last`, or no longer. Reads the files, and checks each record before any byte of it is
 * delivered, except one that is begun in the middle.
 *   -EBADMSG         damaged on disk; wal_error() names file, offset and index
 *   wal_refused(rc)  no descriptor or memory to read with; try again later
 *   other            the error of a system call; wal_error() names it
 * Neither touches *pos, nor the wal's ability to append. */
ssize_t wal_read(struct wal *w, struct wal_pos *pos, uint64_t last, uint8_t *buf, size_t cap);

/* True from about half of the current segment on while there is no next one, and none to recycle. Then have
 * wal_make_spare(*number) run, and call wal_spare_made when it returned 0. */
bool wal_wants_spare(const struct wal *w, uint64_t *number);

/* Make segment `number`: write zeros to a temporary file, sync, rename, sync the directory. Takes
 * no wal and may run on any thread, also while wal_append makes the same segment because it could
 * not wait: both write files of their own and only one gets the name.
 *   wal_refused(rc)  no room, descriptor or memory; nothing that counts is left behind; try again later
 *   other            fatal, the disk is failing; err says what */
int wal_make_spare(const struct disk *d, const char *dir, uint64_t number, uint32_t segment_bytes,
                   char *err, size_t err_size);

/* Tell the log thread's wal that wal_make_spare(number) succeeded. */
void wal_spare_made(struct wal *w, uint64_t number);

/* What the last failed call was: file, offset, call and reason. Valid until the next call. */
const char *wal_error(const struct wal *w);

/* Path of the newest segment's file, the one that is written or will be next. Valid until the next call. */
const char *wal_newest(const struct wal *w);

struct wal_stats wal_stats(const struct wal *w);

#endif
