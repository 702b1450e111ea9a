/* due.c: see due.h. */
#include "raftd/state/due.h"

#include <stdlib.h>
#include <string.h>

enum { CAP_MIN = 64 };

bool due_reserve(struct due *d)
{
    if (d->n < d->cap)
        return true;
    size_t cap = d->cap > 0 ? 2 * d->cap : CAP_MIN;
    struct kv_object **at = malloc(cap * sizeof(struct kv_object *));
    if (at == NULL)
        return false;
    if (d->n > 0)
        memcpy(at, d->at, d->n * sizeof(struct kv_object *));
    free(d->at);
    d->at = at;
    d->cap = cap;
    return true;
}

static bool is_before(struct kv_object *a, struct kv_object *b)
{
    uint64_t a_ms = kv_lead(a)->expiry_ms, b_ms = kv_lead(b)->expiry_ms;
    return a_ms != b_ms ? a_ms < b_ms
                        : tree_compare(kv_key(a), a->key_len, kv_key(b), b->key_len) < 0;
}

static void put_at(struct due *d, size_t i, struct kv_object *o)
{
    d->at[i] = o;
    kv_lead(o)->place = i;
}

/* Puts o at the place i, which is free, or nearer to the root. */
static void rise(struct due *d, size_t i, struct kv_object *o)
{
    for (; i > 0 && is_before(o, d->at[(i - 1) / 2]); i = (i - 1) / 2)
        put_at(d, i, d->at[(i - 1) / 2]);
    put_at(d, i, o);
}

void due_add(struct due *d, struct kv_object *o)
{
    rise(d, d->n++, o);
}

/* The free place goes down to where there is nothing below it. The last one takes it, and rises. */
void due_remove(struct due *d, struct kv_object *o)
{
    size_t i = (size_t)kv_lead(o)->place;
    struct kv_object *last = d->at[--d->n];
    for (size_t below = 2 * i + 1; below < d->n; below = 2 * i + 1) {
        if (below + 1 < d->n && is_before(d->at[below + 1], d->at[below]))
            below++;
        put_at(d, i, d->at[below]);
        i = below;
    }
    if (i < d->n)
        rise(d, i, last);
}

/* Of the one at i and all below it. */
static size_t count(const struct due *d, size_t i, uint64_t until_ms, size_t most)
{
    if (most == 0 || i >= d->n || kv_lead(d->at[i])->expiry_ms > until_ms)
        return 0;
    size_t n = 1 + count(d, 2 * i + 1, until_ms, most - 1);
    return n + count(d, 2 * i + 2, until_ms, most - n);
}

size_t due_count(const struct due *d, uint64_t until_ms, size_t most)
{
    return count(d, 0, until_ms, most);
}
