/* fold.c: see fold.h. */
#include "raftd/tool/fold.h"

#include <stdlib.h>
#include <string.h>

struct folded {
    struct folded *next;
    struct event e; /* its texts are those here: */
    char texts[];
};

static struct folded *copy(const struct event *e)
{
    size_t role = strlen(e->role) + 1, why = strlen(e->why) + 1;
    struct folded *c = malloc(sizeof *c + role + why);
    if (c == NULL)
        return NULL;
    c->next = NULL;
    c->e = *e;
    c->e.role = memcpy(c->texts, e->role, role);
    c->e.why = memcpy(c->texts + role, e->why, why);
    return c;
}

bool fold_add(struct fold *f, const struct event *e)
{
    struct folded *added = copy(e), **at = &f->first;
    if (added == NULL)
        return false;
    if (f->busy)
        at = &f->first->next;
    while (*at != NULL) {
        struct folded *is = *at;
        if (!event_overtakes(e, &is->e)) {
            at = &is->next;
            continue;
        }
        *at = is->next;
        free(is);
    }
    *at = added;
    return true;
}

const struct event *fold_first(const struct fold *f)
{
    return f->first != NULL ? &f->first->e : NULL;
}

bool fold_is_overtaken(const struct fold *f)
{
    for (const struct folded *at = f->first->next; at != NULL; at = at->next)
        if (event_overtakes(&at->e, &f->first->e))
            return true;
    return false;
}

void fold_drop(struct fold *f)
{
    struct folded *first = f->first;
    f->first = first->next;
    f->busy = false;
    free(first);
}
