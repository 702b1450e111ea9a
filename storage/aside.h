/* aside.h: segments that were damaged are kept in DIR/log/damaged, for people to look at. Internal to
 * storage.
 *
 *   DIR/log/damaged/<n>-<number>.seg   put there by the n-th start that found damage
 */
#ifndef STORAGE_ASIDE_H
#define STORAGE_ASIDE_H

#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"
#include "storage/wal.h"

struct aside {
    const struct disk *d;
    const char *dir; /* DIR */
    uint32_t n;      /* of this start, more than any before */
    char *err;       /* one sentence for humans when a function fails */
    size_t err_size;
};

/* All functions: 0 or -errno, and then a->err is filled. */

/* Makes the directory if it is not there. All but `n` is filled; segment_dir() has succeeded. */
int aside_begin(struct aside *a);

/* The segment leaves the log, or is copied (zeros for what can't be read). Durable when it returns 0. */
int aside_move(const struct aside *a, uint64_t number);
int aside_copy(const struct aside *a, uint64_t number);

/* What was put there by earlier starts is deleted, the oldest first, while all of it is more than
 * max_bytes; 0: no limit. */
int aside_trim(const struct aside *a, uint64_t max_bytes);

/* Opens what was put there, one file after the other by number and n, which name the last one (0, 0: none
 * yet) and then this one, as does `path`. Its descriptor; -ENOENT: there is none behind it; -errno. */
int aside_next(const struct disk *d, const char *dir, uint64_t *number, uint32_t *n,
               char path[WAL_PATH_MAX]);

#endif
