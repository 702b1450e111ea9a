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

/* Writes DIR/log to `path`. 0, or -ENAMETOOLONG when a path of the log would exceed WAL_PATH_MAX. */
int segment_dir(char path[WAL_PATH_MAX], const char *dir);

/* Writes DIR/log/<number><suffix> to `path`; segment_dir() has succeeded for this DIR. */
void segment_path(char path[WAL_PATH_MAX], const char *dir, uint64_t number, const char *suffix);

/* Makes a segment: writes zeros to a file with `tmp_suffix`, syncs and renames it, and syncs the directory. A
 * segment of that number that exists already is left alone, and its name is made durable. Returns what
 * wal_make_spare() does. */
int segment_make(const struct disk *d, const char *dir, uint64_t number, uint32_t segment_bytes,
                 const char *tmp_suffix, char *err, size_t err_size);

/* True if rc says that there is no space, on the disk or in its owner's quota. */
bool segment_disk_full(int rc);

/* Writes "CALL PATH: reason" to err. Returns rc, so that a caller that fails needs one line. */
int segment_fail(char *err, size_t err_size, int rc, const char *call, const char *path);

#endif
