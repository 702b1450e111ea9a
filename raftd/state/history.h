/* history.h: the newest changes of keys, in the order in which entries made them, for those who watch keys.
 *
 * The writer adds to it as it applies, and what it added is published with the keys, in one step (kv.h). So
 * who sees the keys as of an index sees the changes up to that entry, and no other. Readers walk a view
 * of it without locks. Changes stand in bunches, in a list, which lose nothing and get more at the end
 * only: what a view names stays as long as the view.
 *
 * A change names the object that it made, so a value that is still the key's is not kept twice.
 * The oldest bunch goes when there is enough without it. What is left may begin in the middle of an entry,
 * and nobody is told the rest of that alone (whole_from).
 */
#ifndef RAFTD_HISTORY_H
#define RAFTD_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/state/tree.h"

enum {
    /* So much is remembered at least, of each: time for a client to list again, or to come back. */
    HISTORY_CHANGES = 4096,
    HISTORY_BYTES = 1 << 20,
    /* Nor more than this, which is less than so many changes if values are large. Most of it may be values
     * that no key has any more. */
    HISTORY_BYTES_MAX = 16 << 20,
    HISTORY_BUNCH =
        16, /* changes: few, so that a bunch of the largest values is within the maximum */
    HISTORY_CHANGE_BYTES = 64, /* counted for each beside key and value: about what it costs */
};

enum history_kind {
    HISTORY_PUT,     /* the key has the object */
    HISTORY_DELETED, /* there is no such key; the object has no value */
    HISTORY_EXPIRED, /* likewise, for its time had come */
};

struct history_change {
    struct kv_object *object; /* its modify revision is the index of the entry */
    uint32_t operations;      /* of the entry on this key: bit (kind - CMD_PUT) of each */
    uint8_t kind;             /* enum history_kind */
};

/* For history.c. */
struct history_bunch {
    struct tree_block block;
    struct history_bunch *next; /* set before anything in it is published */
    uint64_t first;             /* number of the first change in it */
    uint64_t bytes;             /* of its changes; the writer's */
    struct history_change changes[HISTORY_BUNCH];
};

/* Changes are numbered; the numbers are this process's own. */
struct history_view {
    struct history_bunch *oldest, *newest; /* NULL: nothing is remembered */
    uint64_t first, end;                   /* numbers of the first change and behind the last */
    uint64_t whole_from; /* all changes of entries from this index on are remembered */
};

/* ---- the writer, kv.c -------------------------------------------------------------------------- */

struct history {
    struct history_view written; /* what readers see when it is published */
    uint64_t bytes;
};

/* Nothing is remembered, of entries before `index`. */
void history_init(struct history *h, uint64_t index);

/* The next change, of which the object is the key's, or was made for this change alone; its batch is the
 * present one. It is kept until the change is forgotten. False: no memory. */
bool history_add(struct history *h, struct tree_memory *m, struct kv_object *o, uint32_t operations,
                 enum history_kind kind);

/* Forgets all; the next change is of entry `index` or a later one. Whoever reads on has missed something. */
void history_clear(struct history *h, struct tree_memory *m, uint64_t index);

/* ---- readers ----------------------------------------------------------------------------------- */

/* A place between two changes. It may be used with any later view. */
struct history_cursor {
    uint64_t next;                     /* number of the change behind it */
    const struct history_bunch *bunch; /* of the change before it */
};

/* Before the first change of entry `index` or a later one. False: some of those may be forgotten. */
bool history_seek(const struct history_view *v, uint64_t index, struct history_cursor *c);

/* Changes behind the cursor have been forgotten. */
bool history_missed(const struct history_view *v, const struct history_cursor *c);

/* The change behind the cursor, which passes it; NULL: there is none yet. Nothing was missed. */
const struct history_change *history_next(const struct history_view *v, struct history_cursor *c);

#endif
