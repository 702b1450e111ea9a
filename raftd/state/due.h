/* due.h: of the objects that have an expiry, which one ends first: a binary heap.
 *
 * An object knows its place in the heap, so any of them can be taken out. Only the writer looks at places;
 * readers of a published object see the rest of it, which never changes.
 */
#ifndef RAFTD_DUE_H
#define RAFTD_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/state/tree.h"

/* What an object has in front of its key if it has an expiry or a holder. */
struct kv_lead {
    uint64_t expiry_ms; /* cluster time at which the key ends; 0 = never */
    uint64_t holder;    /* number of whom the key belongs to; 0 = nobody */
    uint64_t place;     /* in the heap, if it has an expiry */
};

static inline struct kv_lead *kv_lead(struct kv_object *o)
{
    return (struct kv_lead *)(void *)o->bytes;
}

/* A zeroed struct is empty. */
struct due {
    struct kv_object **at; /* the one at i does not end before the one at (i - 1) / 2 */
    size_t n, cap;
};

/* Makes sure that one more has room. False: no memory. */
bool due_reserve(struct due *d);

/* Of an object that has an expiry, and for the first one room. */
void due_add(struct due *d, struct kv_object *o);
void due_remove(struct due *d, struct kv_object *o);

/* How many end up to that time, but no more than `most`: it takes time for so many, and not for all. */
size_t due_count(const struct due *d, uint64_t until_ms, size_t most);

/* The first one by (expiry, key), or NULL. */
static inline const struct kv_object *due_first(const struct due *d)
{
    return d->n > 0 ? d->at[0] : NULL;
}

#endif
