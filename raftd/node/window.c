#include "raftd/node/window.h"

#include <stdlib.h>

#include "raftd/base/num.h"

void window_init(struct window *w, uint64_t generation)
{
    *w = (struct window){.generation = generation};
}

void window_restart(struct window *w, uint64_t off, struct wal_pos next)
{
    w->start = w->end = off;
    w->next = next;
    w->generation++;
}

void window_free(struct window *w)
{
    if (w->fetching)
        return;
    free(w->buf);
    w->buf = NULL;
    w->start = w->end;
}

size_t window_wants(struct window *w, uint64_t una)
{
    if (w->fetching)
        return 0;
    /* `una` may be beyond `end`: bytes that were sent from memory may have left it since. */
    w->start = min_u64(una, w->end);
    size_t room = (size_t)(w->start + WINDOW_BYTES - w->end);
    return room >= WINDOW_FETCH_BYTES ? room : 0;
}

uint8_t *window_fetch(struct window *w, size_t *len)
{
    size_t at = (size_t)(w->end % WINDOW_BYTES);
    if (w->buf == NULL && (w->buf = malloc(WINDOW_BYTES)) == NULL)
        return NULL; /* the next flush tries again */
    w->fetching = true;
    w->asked = w->generation;
    *len = (size_t)min_u64(*len, WINDOW_BYTES - at);
    return w->buf + at;
}

bool window_fetched(struct window *w, uint64_t generation, size_t len, const struct wal_pos *next)
{
    if (!w->fetching || generation != w->asked)
        return false; /* it was for an earlier peer with this id */
    w->fetching = false;
    if (generation != w->generation)
        return false;
    w->end += len;
    w->next = *next;
    return true;
}

const uint8_t *window_at(const struct window *w, uint64_t off, size_t *len)
{
    if (off < w->start || off >= w->end)
        return NULL;
    size_t at = (size_t)(off % WINDOW_BYTES);
    *len = (size_t)min_u64(w->end - off, WINDOW_BYTES - at);
    return w->buf + at;
}
