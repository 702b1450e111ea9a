/* cursors.h: how far scans have come: a number for the client, a key for us.
 *
 * A scan goes on behind the last key that it looked at, in the order of keys. So it misses no key that lives
 * through it, and tells none twice, whatever else is written meanwhile. The client may ask for the same page
 * again, and through any connection to this node. Another node, or this one after a restart, does not know
 * the number; it is refused then, never taken for another.
 *
 * The functions may be called from any thread.
 */
#ifndef RAFTD_CURSORS_H
#define RAFTD_CURSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/state/cmd.h"

enum { CURSORS_MAX = 1024 }; /* places, 0.3 MiB; the oldest one is forgotten for a new one */

struct cursors;

/* `random`: a random number, where the ids begin: so those of another process are others. NULL without
 * memory. */
struct cursors *cursors_new(uint64_t random);
void cursors_free(struct cursors *c);

/* Remembers that key, of at most CMD_KEY_MAX_BYTES. Returns a number that is not 0 and has at most 15 digits,
 * which every language can hold; for the same key again the same one, while it is remembered. */
uint64_t cursors_keep(struct cursors *c, const uint8_t *key, size_t len);

/* Copies the key of that number to `key`, which has CMD_KEY_MAX_BYTES. Returns its length; 0: it is not
 * known. */
size_t cursors_find(struct cursors *c, uint64_t id, uint8_t *key);

#endif
