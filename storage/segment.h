/* segment.h: the files of a log by name, and how a new one comes to be. Internal to storage;
 * wal_make_spare and wal_create (wal.h) are here as well.
 */
#ifndef STORAGE_SEGMENT_H
#define STORAGE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"
#include "storage/wal.h"

/* Names in DIR/log, each "%016x" and a suffix. Two makers of one segment may be at work at once
 * (wal.h, wal_make_spare), so each has a temporary name of its own. */
#define SEGMENT_SUFFIX    ".seg"
#define SEGMENT_TMP_SPARE ".spare" /* being made ahead of need */
#define SEGMENT_TMP_NOW   ".tmp"   /* being made by the log thread itself */

enum { SEGMENT_FIRST = 1 }; /* number of a log's first segment */

/* DIR/log, or -ENAMETOOLONG when a path of the log would exceed WAL_PATH_MAX. */
int segment_dir(char path[WAL_PATH_MAX], const char *dir);

/* DIR/log/<number><suffix>; segment_dir() has succeeded for this DIR. */
void segment_path(char path[WAL_PATH_MAX], const char *dir, uint64_t number, const char *suffix);

/* DIR/log/damaged and a segment's file in it, likewise. */
void segment_damaged_path(char path[WAL_PATH_MAX], char damaged[WAL_PATH_MAX], const char *dir,
                          uint64_t number);

/* Write zeros to a file named with `tmp_suffix`, sync, rename, sync the directory. An existing
 * segment of that number is left alone and counts as success, its name made durable. Results as
 * wal_make_spare. */
int segment_make(const struct disk *d, const char *dir, uint64_t number, uint32_t segment_bytes,
                 const char *tmp_suffix, char *err, size_t err_size);

/* No space, on the disk or in its owner's quota. */
bool segment_disk_full(int rc);

/* "CALL PATH: reason" into err; returns rc, so that a failing path is one line. */
int segment_fail(char *err, size_t err_size, int rc, const char *call, const char *path);

#endif
