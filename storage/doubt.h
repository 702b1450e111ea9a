/* doubt.h: what a node has to remember when it found its log damaged: it may have promised more than its
 * disk still shows.
 *
 *   DIR/doubt  two lines of text. First "term=T vote=V lost_from=A lost_to=B", then what was damaged
 *
 * The file is durable before anything of the damaged log is touched, and is removed when the node has from
 * its leader all that was ever committed. A start that finds it is a start in doubt, whatever the log looks
 * like and whatever the file holds.
 */
#ifndef STORAGE_DOUBT_H
#define STORAGE_DOUBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/disk.h"
#include "storage/wal.h"

struct doubt {
    bool set; /* the file is there */
    uint64_t
        term; /* the highest that a head of the log showed, before the damage or behind it ... */
    uint16_t vote; /* ... and the vote in it; the node may have given another one in a later term */
    uint64_t first_lost;         /* entries from here on were cut off; 0: not known ... */
    uint64_t last_lost;          /* ... up to here at least; 0: not known */
    char why[WAL_MESSAGE_BYTES]; /* one sentence for people */
};

/* All functions: 0 or -errno, and then `err` receives one sentence for humans. */

/* Reads DIR/doubt. What can't be read of it is 0. */
int doubt_read(const struct disk *d, const char *dir, struct doubt *out, char *err,
               size_t err_size);

/* Writes it, in the place of an older one. Durable when it returns 0. The caller calls it again after a
 * crash: until then the log shows the damage. */
int doubt_set(const struct disk *d, const char *dir, const struct doubt *what, char *err,
              size_t err_size);

/* Removes it: the node is healed. Durable when it returns 0. */
int doubt_clear(const struct disk *d, const char *dir, char *err, size_t err_size);

#endif
