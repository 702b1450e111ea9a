/* disk_memory.h: a disk in memory that forgets what was not synced.
 *
 * Every file has two images: what a reader sees (page cache) and what is durable. Writes wait in a
 * list until fdatasync; directory changes wait until sync_dir. A power cut turns the durable image,
 * plus any subset of what waits, into the new present:
 *
 *   pwritev   -> waits in the file         -> fdatasync -> durable
 *   create, rename, unlink, mkdir -> waits in the directory -> sync_dir -> durable
 *   failed fdatasync: the writes wait for ever. Later syncs succeed without them, and drop_cache
 *   shows a reader what really is on the medium (Rebello et al., ATC 2020).
 *
 * Deterministic: all choices come from a seed. One thread. Paths are plain strings with '/'; there
 * is no "..", and no open file survives a power cut.
 */
#ifndef TESTS_DISK_MEMORY_H
#define TESTS_DISK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"

struct memdisk;

/* An empty disk with the directory "/". Running out of memory ends the test. */
struct memdisk *memdisk_new(uint64_t seed);
void memdisk_free(struct memdisk *m);

/* The functions to hand to storage; valid as long as `m`. */
const struct disk *memdisk_disk(struct memdisk *m);

/* A copy of everything but open files and pending failures; fds opened on `m` mean nothing to it. */
struct memdisk *memdisk_clone(const struct memdisk *m);

/* Calls made through the table so that far, failed ones included. */
uint64_t memdisk_calls(const struct memdisk *m);

/* Let the n-th call from now (1: the next) fail with -error; 0 for never. A failing write leaves a
 * random part of its bytes behind. */
void memdisk_fail_call(struct memdisk *m, uint64_t n, int error);

/* A disk of that many bytes in all: writes that make files grow beyond are -ENOSPC. */
void memdisk_limit(struct memdisk *m, uint64_t bytes);

/* A full disk that writes each block to a new place (copy on write): every write is -ENOSPC, over
 * bytes that are there as well, and leaves a random part of its bytes behind. */
void memdisk_no_space(struct memdisk *m, bool none);

/* A block of a file that the medium can't read, until it is written over: reading any byte of it is -EIO. One
 * at a time. */
void memdisk_unreadable(struct memdisk *m, const char *path, uint64_t offset, size_t len);

/* Bytes in all files, as the limit counts them. */
uint64_t memdisk_used(const struct memdisk *m);

enum memdisk_keep {
    MEMDISK_KEEP_NONE,   /* of what was not synced, nothing reached the medium */
    MEMDISK_KEEP_ALL,    /* everything */
    MEMDISK_KEEP_RANDOM, /* each write whole, not at all, or torn at 512 bytes; each name or not */
};

/* Cut the power and switch on again. Closes all files, releases all locks. */
void memdisk_power_cut(struct memdisk *m, enum memdisk_keep keep);

/* Kill the process: files close, locks go, the page cache stays. */
void memdisk_kill(struct memdisk *m);

/* The choices from now on. */
void memdisk_seed(struct memdisk *m, uint64_t seed);

/* ---- damage, on medium and in cache alike; nothing of the file may be waiting to be synced ---- */

/* The bytes of a file; NULL when there is none. Valid until the next call on `m`. */
const uint8_t *memdisk_peek(struct memdisk *m, const char *path, size_t *size);
/* Overwrite bytes inside a file. */
void memdisk_poke(struct memdisk *m, const char *path, size_t offset, const void *bytes,
                  size_t len);
void memdisk_truncate(struct memdisk *m, const char *path, size_t size);
/* Lose the name of a file. */
void memdisk_lose(struct memdisk *m, const char *path);

/* A hash of all durable names and bytes, to see that nothing was changed. */
uint64_t memdisk_hash(const struct memdisk *m);

#endif
