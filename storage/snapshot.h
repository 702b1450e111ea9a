/* snapshot.h: files that hold the state of one log index, DIR/snap/%016x.snap by that index.
 *
 * What is in the state is not known here: it is a row of chunks of bytes, each of a numbered section.
 *
 *   head      4096 bytes:
 *               0  4 crc32c of bytes 4 .. 4095, the storage id taken as zero
 *               4  4 magic "RSN1"
 *               8  2 version, 4
 *              10  2 length of the configuration
 *              12  4 zero
 *              16  8 storage id of the directory, zero on its way elsewhere
 *              24  8 identity of the cluster
 *              32  8 index of the last entry that is in the state
 *              40  8 its term
 *              48  8 cluster time as of it, milliseconds
 *              56 16 its hash
 *              72 16 digest of the state
 *              88  8 index of the newest configuration up to that entry, 0: there is none
 *              96  - that, see members.h; then zero
 *   chunks    u32 crc32c of what follows, u32 length of the bytes (1 .. SNAPSHOT_CHUNK_MAX_BYTES), u16
 *             section (1 .. 0xfffe, never lower than the one before), u16 zero, bytes
 *   last      a chunk of section 0xffff: BLAKE2b-256 of all before it, the storage id taken as zero
 *
 * So the files of one index are the same on all nodes but for the storage id, and that hash names the
 * snapshot. A file gets its name when it is whole, on the medium, and was read back.
 *
 *   NAME.tmp      being written                      NAME.part     being fetched; by its hash, not index
 *   NAME.snap     whole                              NAME.damaged  was found damaged, is kept to look at
 *
 * All functions: 0 or -errno, and then a sentence in `message`.
 *   wal_refused(rc)  no room, descriptor or memory; try again later
 *   -EBADMSG         the file is damaged, or the disk can't read it, or it does not belong here
 *   -ENOTSUP         only a newer raftd can read it
 *   what a source, a sink or `pace` returned
 *   any other        the disk fails: never retry, exit
 */
#ifndef STORAGE_SNAPSHOT_H
#define STORAGE_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "storage/disk.h"
#include "storage/record.h"
#include "storage/wal.h"

enum {
    SNAPSHOT_VERSION = 5,
    SNAPSHOT_CHUNK_MAX_BYTES =
        1 << 16, /* what a damaged length can cost, and one write to the disk */
    SNAPSHOT_HASH_BYTES = 32,
    SNAPSHOT_DIGEST_BYTES = 16,
    SNAPSHOT_KEPT = 2,     /* the newest, and the one before in case that is damaged later */
    SNAPSHOT_LIST_MAX = 8, /* more than are ever there: the newest of them */
};

/* Where snapshots are, and what those of this directory have in them. For one thread at a time. */
struct snapshots {
    const struct disk *disk;
    const char *dir;     /* DIR: borrowed */
    uint64_t storage_id; /* of DIR */
    uint64_t cluster;    /* identity of the cluster; 0: any will do */
    /* Called after each piece of at most SNAPSHOT_CHUNK_MAX_BYTES and some that was read or written, with
     * how many bytes are done, and of how many (0: not known). It may sleep, so that the log's writes come
     * first. What it returns, if not 0, ends the call. NULL: not. */
    int (*pace)(void *ctx, uint64_t done, uint64_t all);
    void *pace_ctx;
    char message[WAL_MESSAGE_BYTES]; /* why the last call failed */
};

struct snapshot_head {
    uint64_t storage_id;
    uint64_t cluster;
    uint64_t index, term;                  /* of the last entry that is in the state */
    uint8_t entry_hash[RECORD_HASH_BYTES]; /* of that entry: the log goes on from it */
    uint64_t cluster_ms;                   /* cluster time as of it */
    uint8_t digest[SNAPSHOT_DIGEST_BYTES]; /* of the state */
    /* The newest configuration in the log up to that entry; index 0: there is none. */
    struct members_at members;
};

/* Which snapshot: what is offered to a peer. */
struct snapshot_name {
    uint64_t index, term;
    uint64_t size; /* bytes of the file */
    uint8_t hash[SNAPSHOT_HASH_BYTES];
};

/* Gives the state: the next chunk, valid until the next call: 1; 0 at the end; -errno. */
struct snapshot_source {
    int (*next)(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len);
    void *ctx;
};

/* Takes the state; NULL in the place of one: it is only verified. Nothing that a sink was given counts
 * before the call returns 0. 0 or -errno. */
struct snapshot_sink {
    int (*chunk)(void *ctx, uint16_t section, const uint8_t *bytes, size_t len);
    int (*done)(void *ctx,
                const struct snapshot_head *head); /* all chunks, and all of it is right */
    void *ctx;
};

/* Where the log may begin that goes on from it. */
struct wal_base snapshot_base(const struct snapshot_head *head);

/* Writes a snapshot, with the storage id and cluster of *s in the place of the head's, verifies what is on
 * the medium, and gives it its name. If there is one of that index, that is verified and stays, or, if it
 * is damaged or has another state, is put aside. *name: of what is there then. */
int snapshot_write(struct snapshots *s, const struct snapshot_head *head,
                   const struct snapshot_source *source, struct snapshot_name *name);

/* Indexes of the whole files, the newest first; *n of them. */
int snapshot_list(struct snapshots *s, uint64_t indexes[SNAPSHOT_LIST_MAX], unsigned *n);

/* Reads, and verifies, the snapshot of DIR with that index. It lasts then. */
int snapshot_load(struct snapshots *s, uint64_t index, const struct snapshot_sink *sink,
                  struct snapshot_head *head, struct snapshot_name *name);

/* The same for a file of any name and storage id: a backup. */
int snapshot_load_file(struct snapshots *s, const char *path, const struct snapshot_sink *sink,
                       struct snapshot_head *head, struct snapshot_name *name);

/* Opens a snapshot to be sent: a descriptor of s->disk, or -errno. It may be read even when the file is
 * removed meanwhile. */
int snapshot_open(struct snapshots *s, uint64_t index);

/* Bytes at `offset` as they are sent: without storage id. As many as were asked for, or fewer at the end
 * of the file; or the error of the system call. */
ssize_t snapshot_read(const struct disk *d, int fd, uint64_t offset, uint8_t *buf, size_t len);

/* Removes what a crash left behind, and all but the SNAPSHOT_KEPT newest and that of index `needed` (which
 * somebody takes; 0: none). By the thread that calls snapshot_write(). */
int snapshot_tidy(struct snapshots *s, uint64_t needed);

/* Takes a damaged one's name away, to keep it as NAME.damaged in the place of an older one. */
int snapshot_put_aside(struct snapshots *s, uint64_t index);

/* What is being fetched from a peer. One at a time. */
struct snapshot_part;

/* Begins to fetch, or goes on if a part of it is there: *have is how many bytes are. What is there of
 * another snapshot is removed. *s and its thread: as long as the part. */
int snapshot_part_open(struct snapshot_part **out, struct snapshots *s,
                       const struct snapshot_name *name, uint64_t *have);

/* How many bytes are there. */
uint64_t snapshot_part_have(const struct snapshot_part *p);

/* The next bytes, behind those that it has. -EINVAL: they do not belong there. When it is refused the part
 * is as before. -EBADMSG: what was there at snapshot_part_open() ended with damaged bytes, and the part ends
 * before their chunk now. */
int snapshot_part_append(struct snapshot_part *p, uint64_t offset, const uint8_t *bytes,
                         size_t len);

/* All bytes are there: verifies them, on the medium, against the name, and makes them a snapshot of this
 * directory; *head is that of it. Frees the part in any case. After -EBADMSG its bytes have to be fetched
 * again, from the damage on if that can be told; after another error they stay. */
int snapshot_part_finish(struct snapshot_part *p, const struct snapshot_sink *sink,
                         struct snapshot_head *head);

/* Frees it; the bytes stay for a later snapshot_part_open(), or are removed. NULL: nothing. */
void snapshot_part_close(struct snapshot_part *p);
void snapshot_part_drop(struct snapshot_part *p);

#endif
