/* search.c: see search.h. */
#include "tests/explore/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CHUNK_BYTES = 1 << 20,
    ACTIONS_MAX = 1024,
    IMAGES_CHECKED = 50000, /* the first ones, and then one of IMAGES_EVERY */
    IMAGES_EVERY = 64,
};

struct chunk {
    struct chunk *next;
    size_t used, read;
    uint8_t bytes[CHUNK_BYTES];
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *need(void *p)
{
    if (p == NULL) {
        fputs("explore: out of memory\n", stderr);
        exit(2);
    }
    return p;
}

/* -------------------------------------------------------------------------------------- queue */

static void push(struct search *s, const struct world *w)
{
    uint8_t packed[W_SQUEEZED_MAX];
    size_t n = w_squeeze(w, packed);
    if (s->tail == NULL || s->tail->used + n > CHUNK_BYTES) {
        struct chunk *c = need(malloc(sizeof *c));
        c->next = NULL;
        c->used = c->read = 0;
        if (s->tail == NULL)
            s->head = c;
        else
            s->tail->next = c;
        s->tail = c;
        s->queue_bytes += sizeof *c;
        if (s->queue_bytes > s->queue_max_bytes)
            s->queue_max_bytes = s->queue_bytes;
    }
    memcpy(s->tail->bytes + s->tail->used, packed, n);
    s->tail->used += n;
    if (++s->queue > s->queue_max)
        s->queue_max = s->queue;
}

static bool pop(struct search *s, struct world *w)
{
    if (s->queue == 0)
        return false;
    struct chunk *c = s->head;
    if (c->read == c->used) {
        s->head = c->next;
        s->queue_bytes -= sizeof *c;
        free(c);
        c = s->head;
    }
    uint8_t packed[W_SQUEEZED_MAX];
    w_unsqueeze(w, c->bytes + c->read);
    c->read += w_squeeze(w, packed);
    s->queue--;
    return true;
}

/* ------------------------------------------------------------------------------ visited worlds */

static size_t place_of(const struct search *s, struct w_hash h)
{
    size_t at = h.a & (s->cap_table - 1);
    while (s->table[at] != 0) {
        const struct w_hash *other = &s->records[s->table[at] - 1].hash;
        if (other->a == h.a && other->b == h.b)
            break;
        at = (at + 1) & (s->cap_table - 1);
    }
    return at;
}

static void grow(struct search *s)
{
    if (s->n_records == s->cap_records) {
        s->cap_records = s->cap_records == 0 ? 1 << 16 : s->cap_records + s->cap_records / 2;
        s->records = need(realloc(s->records, s->cap_records * sizeof *s->records));
    }
    if (s->n_records * 4 >= s->cap_table * 3) {
        free(s->table);
        s->cap_table = s->cap_table == 0 ? 1 << 17 : s->cap_table * 2;
        s->table = need(calloc(s->cap_table, sizeof *s->table));
        for (size_t k = 0; k < s->n_records; k++)
            s->table[place_of(s, s->records[k].hash)] = (uint32_t)k + 1;
    }
}

static void visit(struct search *s, const struct world *w, struct w_hash h)
{
    grow(s);
    size_t at = place_of(s, h);
    if (s->table[at] != 0)
        return;
    s->records[s->n_records++] = (struct record){.hash = h, .parent = s->expanded, .by = s->by};
    s->table[at] = (uint32_t)s->n_records;
    push(s, w);
}

/* -------------------------------------------------------------------------------------- search */

/* True if nothing broke. */
static bool try(struct search *s, const struct world *w, struct w_action a, struct world *to)
{
    struct lab *l = &s->lab;
    uint8_t name[W_NODES];
    s->by = a;
    s->transitions++;
    w_act(l, w, a, to);
    if (l->broken != NULL)
        return false;
    if (l->outside) {
        s->cut++;
        return true;
    }
    if (s->transitions < IMAGES_CHECKED || s->transitions % IMAGES_EVERY == 0)
        w_check_image(l, to, a.node);
    if (l->broken != NULL)
        return false;
    if (w_same(w, to))
        return true;
    struct w_hash h = w_tidy(&l->b, to, name);
    if (w_crowded(&l->b, to))
        s->cut++;
    else
        visit(s, to, h);
    return true;
}

static bool expand(struct search *s, const struct world *w)
{
    struct w_action actions[ACTIONS_MAX];
    struct world to;
    unsigned n = w_actions(&s->lab.b, w, actions, ACTIONS_MAX);
    if (n == ACTIONS_MAX)
        s->limit = "too many actions";
    for (unsigned k = 0; k < n; k++) {
        if (!try(s, w, actions[k], &to))
            return false;
        struct w_action a = actions[k];
        a.how |= HOW_SHORT;
        if (s->lab.can_short && !try(s, w, a, &to))
            return false;
    }
    return true;
}

static void check_limits(struct search *s)
{
    size_t used = s->cap_records * sizeof *s->records + s->cap_table * sizeof *s->table +
                  s->queue_bytes;
    if (used >> 20 >= s->lab.b.memory_mib)
        s->limit = "memory";
    if (s->n_records >= s->lab.b.states || s->n_records >= UINT32_MAX - 1)
        s->limit = "states";
    if (s->depth >= s->lab.b.depth)
        s->limit = "depth";
}

bool search_run(struct search *s)
{
    struct world w;
    uint8_t name[W_NODES];
    double begun = seconds();
    size_t level_end = 1;
    w_prepare(&s->lab);
    w_start(&s->lab, &s->first);
    for (const char *p = s->elect; p != NULL && *p != '\0' && s->lab.broken == NULL; p += 2)
        w_elect(&s->lab, &s->first, (unsigned)(p[0] - '1'), (unsigned)(p[1] - '1'));
    if (s->lab.broken != NULL)
        return false;
    visit(s, &s->first, w_tidy(&s->lab.b, &s->first, name));
    bool good = true;
    while (good && s->limit == NULL && pop(s, &w)) {
        if (s->expanded == level_end) {
            s->depth++;
            level_end = s->n_records;
        }
        check_limits(s);
        if (s->limit == NULL)
            good = expand(s, &w);
        s->expanded++;
    }
    if (!good)
        s->expanded--;
    s->seconds = seconds() - begun;
    return good;
}

void search_free(struct search *s)
{
    while (s->head != NULL) {
        struct chunk *c = s->head;
        s->head = c->next;
        free(c);
    }
    free(s->records);
    free(s->table);
}
