#include "raftd/node/entries.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int entries_init(struct entries *e, size_t ring_bytes, uint64_t last)
{
    memset(&e->ring, 0, sizeof e->ring);
    e->first = last + 1;
    e->last = last;
    e->pos = malloc(ENTRIES_MAX * sizeof e->pos[0]);
    int rc = e->pos == NULL ? -ENOMEM : ring_init(&e->ring, ring_bytes);
    e->ring.start = e->ring.end = ENTRIES_ORIGIN;
    return rc;
}

void entries_free(struct entries *e)
{
    ring_free(&e->ring);
    free(e->pos);
}

uint64_t entries_pos(const struct entries *e, uint64_t i)
{
    assert(i >= e->first && i <= e->last + 1);
    return i == e->last + 1 ? e->ring.end : e->pos[i % ENTRIES_MAX];
}

uint8_t *entries_at(const struct entries *e, uint64_t i, size_t *size)
{
    assert(i <= e->last);
    uint64_t pos = entries_pos(e, i);
    *size = (size_t)(entries_pos(e, i + 1) - pos);
    return ring_at(&e->ring, pos);
}

uint64_t entries_find(const struct entries *e, uint64_t pos)
{
    assert(pos >= e->ring.start && pos < e->ring.end);
    uint64_t lo = e->first, hi = e->last; /* entry lo starts at or before pos */
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo + 1) / 2;
        if (entries_pos(e, mid) <= pos)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

bool entries_fits(const struct entries *e, size_t size)
{
    return size <= ring_room(&e->ring) && e->last - e->first + 1 < ENTRIES_MAX;
}

uint8_t *entries_tail(const struct entries *e)
{
    return ring_at(&e->ring, e->ring.end);
}

void entries_push(struct entries *e, size_t size)
{
    assert(entries_fits(e, size));
    e->last++;
    e->pos[e->last % ENTRIES_MAX] = e->ring.end;
    e->ring.end += size;
}

void entries_drop_first(struct entries *e)
{
    assert(e->first <= e->last);
    e->first++;
    e->ring.start = entries_pos(e, e->first);
}

void entries_reset(struct entries *e, uint64_t last)
{
    e->ring.start = e->ring.end;
    e->first = last + 1;
    e->last = last;
}

void entries_truncate(struct entries *e, uint64_t i)
{
    if (i >= e->last)
        return;
    if (i + 1 < e->first) { /* all that is kept goes */
        e->ring.end = e->ring.start;
        e->first = i + 1;
    } else {
        e->ring.end = entries_pos(e, i + 1);
    }
    e->last = i;
}
