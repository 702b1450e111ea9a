/* history.c: see history.h. */
#include "raftd/state/history.h"

#include <assert.h>
#include <stdlib.h>

/* ---- the writer ---- */

static uint64_t cost(const struct kv_object *o)
{
    return HISTORY_CHANGE_BYTES + (uint64_t)o->key_len + o->value_len;
}

void history_init(struct history *h, uint64_t index)
{
    *h = (struct history){.written = {.whole_from = index}};
}

/* The number behind the last change of a bunch. */
static uint64_t end_of(const struct history_view *v, const struct history_bunch *b)
{
    return b == v->newest ? v->end : b->first + HISTORY_BUNCH;
}

static void forget_oldest(struct history *h, struct tree_memory *m)
{
    struct history_view *v = &h->written;
    struct history_bunch *b = v->oldest;
    uint64_t end = end_of(v, b);
    for (; v->first < end; v->first++) {
        struct kv_object *o = b->changes[v->first - b->first].object;
        v->whole_from = o->modify_revision + 1;
        tree_untell(m, o);
    }
    h->bytes -= b->bytes;
    v->oldest = b != v->newest ? b->next : NULL;
    if (v->oldest == NULL)
        v->newest = NULL;
    tree_retire_block(m, &b->block);
}

/* There is enough without the oldest bunch, or too much with it. */
static bool is_long(const struct history *h)
{
    const struct history_view *v = &h->written;
    if (v->oldest == v->newest)
        return false;
    return h->bytes > HISTORY_BYTES_MAX || (h->bytes - v->oldest->bytes >= HISTORY_BYTES &&
                                            v->end - end_of(v, v->oldest) >= HISTORY_CHANGES);
}

/* The bunch that the next change goes to. NULL: no memory. */
static struct history_bunch *open_bunch(struct history_view *v, const struct tree_memory *m)
{
    struct history_bunch *b = v->newest;
    if (b != NULL && v->end - b->first < HISTORY_BUNCH)
        return b;
    b = malloc(sizeof *b);
    if (b == NULL)
        return NULL;
    b->block.batch = m->batch;
    b->first = v->end;
    b->bytes = 0;
    if (v->newest == NULL)
        v->oldest = b;
    else
        v->newest->next = b;
    v->newest = b;
    return b;
}

bool history_add(struct history *h, struct tree_memory *m, struct kv_object *o, uint32_t operations,
                 enum history_kind kind)
{
    struct history_view *v = &h->written;
    struct history_bunch *b = open_bunch(v, m);
    if (b == NULL)
        return false;
    assert(o->modify_revision >= v->whole_from);
    o->told = kind == HISTORY_PUT ? TREE_TOLD : TREE_TOLD_GONE;
    b->changes[v->end++ - b->first] = (struct history_change){o, operations, (uint8_t)kind};
    b->bytes += cost(o);
    h->bytes += cost(o);
    while (is_long(h))
        forget_oldest(h, m);
    return true;
}

void history_clear(struct history *h, struct tree_memory *m, uint64_t index)
{
    while (h->written.oldest != NULL)
        forget_oldest(h, m);
    h->written.first = ++h->written.end; /* cursors at the end have missed something, too */
    h->written.whole_from = index;
}

/* ---- readers ---- */

bool history_seek(const struct history_view *v, uint64_t index, struct history_cursor *c)
{
    struct history_bunch *b = v->oldest;
    *c = (struct history_cursor){.next = v->first, .bunch = b};
    if (index < v->whole_from)
        return false;
    if (b == NULL)
        return true;
    if (v->newest->changes[0].object->modify_revision < index)
        b = v->newest;
    while (b != v->newest && b->next->changes[0].object->modify_revision < index)
        b = b->next;
    c->bunch = b;
    c->next = b->first;
    while (c->next < end_of(v, b) && b->changes[c->next - b->first].object->modify_revision < index)
        c->next++;
    return true;
}

bool history_missed(const struct history_view *v, const struct history_cursor *c)
{
    return c->next < v->first;
}

const struct history_change *history_next(const struct history_view *v, struct history_cursor *c)
{
    assert(c->next >= v->first);
    if (c->next == v->end)
        return NULL;
    /* The bunch that the cursor names may have gone, but only together with the change before the first. */
    if (c->next == v->first)
        c->bunch = v->oldest;
    else if (c->next - c->bunch->first == HISTORY_BUNCH)
        c->bunch = c->bunch->next;
    return &c->bunch->changes[c->next++ - c->bunch->first];
}
