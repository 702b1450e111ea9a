/* origins.c: see origins.h.
 *
 *   u32 origins, then each, by ascending id:
 *     0 u16 id   2 u16 kept numbers   4 u32 passed   8 u64 current process   16 u64 newest number
 *     then the kept numbers, from the newest down:
 *       0 u16 newest number minus this one   2 u8 outcome   3 u8 0   4 u64 index
 *
 * passed: of the ORIGIN_WINDOW numbers up to the newest so many, the lowest, had lost their window: they are
 * refused. ORIGIN_WINDOW: this origin has no window.
 */
#include "raftd/state/origins.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "raftd/state/siphash.h"

struct window {
    uint64_t index[ORIGIN_WINDOW]; /* of number n at n % ORIGIN_WINDOW; 0: not applied */
    uint8_t outcome[ORIGIN_WINDOW];
};

struct origin {
    uint16_t id;
    uint64_t process;
    uint64_t newest;       /* the window is newest - ORIGIN_WINDOW + 1 .. newest */
    uint64_t floor;        /* numbers of the window up to this one are passed; 0: none is */
    struct window *window; /* NULL: floor == newest */
};

struct origins {
    unsigned n, windows, room; /* origins; those with a window; places in `at` */
    struct origin *at;         /* by ascending id */
    uint64_t digest[2]; /* sum of the hashes of all numbers that are kept, and of all floors */
};

struct origins *origins_new(void)
{
    return calloc(1, sizeof(struct origins));
}

void origins_free(struct origins *o)
{
    if (o == NULL)
        return;
    for (unsigned i = 0; i < o->n; i++)
        free(o->at[i].window);
    free(o->at);
    free(o);
}

struct origins *origins_copy(const struct origins *o)
{
    struct origins *copy = origins_new();
    if (copy == NULL || o->n == 0)
        return copy;
    copy->at = malloc(o->n * sizeof copy->at[0]);
    bool memory = copy->at != NULL;
    for (; memory && copy->n < o->n; copy->n++) {
        struct origin *g = &copy->at[copy->n];
        *g = o->at[copy->n];
        if (g->window == NULL)
            continue;
        g->window = malloc(sizeof *g->window);
        if (g->window != NULL)
            *g->window = *o->at[copy->n].window;
        memory = g->window != NULL;
    }
    copy->room = copy->n;
    copy->windows = o->windows;
    memcpy(copy->digest, o->digest, sizeof copy->digest);
    if (memory)
        return copy;
    origins_free(copy);
    return NULL;
}

/* The place of the first origin whose id is not below this one. */
static unsigned place_of(const struct origins *o, uint16_t id)
{
    unsigned from = 0, to = o->n;
    while (from < to) {
        unsigned middle = (from + to) / 2;
        if (o->at[middle].id < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct origin *find(const struct origins *o, uint16_t id)
{
    unsigned i = place_of(o, id);
    return i < o->n && o->at[i].id == id ? &o->at[i] : NULL;
}

enum origin_says origins_look(const struct origins *o, const struct sender *s, struct kept *first)
{
    if (s->origin == 0 || s->process == 0 || s->number == 0)
        return ORIGIN_NOBODY;
    const struct origin *g = find(o, s->origin);
    if (g == NULL)
        return s->predecessor == 0 ? ORIGIN_NEW : ORIGIN_ENDED;
    if (g->process != s->process)
        return g->process == s->predecessor ? ORIGIN_NEW : ORIGIN_ENDED;
    if (s->number > g->newest)
        return ORIGIN_NEW;
    if (g->newest - s->number >= ORIGIN_WINDOW || s->number <= g->floor)
        return ORIGIN_PASSED;
    unsigned i = s->number % ORIGIN_WINDOW;
    if (g->window->index[i] == 0)
        return ORIGIN_NEW;
    *first = (struct kept){g->window->index[i], g->window->outcome[i]};
    return ORIGIN_REPEATED;
}

/* Makes a place for one more. False: memory is short. */
static bool reserve(struct origins *o)
{
    if (o->n < o->room)
        return true;
    unsigned room = o->room == 0 ? ORIGIN_WINDOWS : 2 * o->room;
    struct origin *at = realloc(o->at, room * sizeof *at);
    if (at == NULL)
        return false;
    o->at = at;
    o->room = room;
    return true;
}

static struct origin *add(struct origins *o, uint16_t id)
{
    assert(o->n < o->room);
    unsigned i = place_of(o, id);
    memmove(&o->at[i + 1], &o->at[i], (o->n - i) * sizeof o->at[0]);
    o->at[i] = (struct origin){.id = id};
    o->n++;
    return &o->at[i];
}

/* Adds a hash to the digest (`times` is 1), or takes it away (-1). */
static void hash_in(struct origins *o, const struct origin *g, uint64_t number, uint64_t index,
                    uint8_t outcome, int times)
{
    const uint64_t key[] = {g->process, index};
    uint8_t bytes[11];
    put_u64(bytes, number);
    put_u16(bytes + 8, g->id);
    bytes[10] = outcome;
    uint64_t hash[2];
    siphash128(hash, bytes, sizeof bytes, key);
    o->digest[0] += (uint64_t)times * hash[0];
    o->digest[1] += (uint64_t)times * hash[1];
}

/* Counts the floor, if there is one. No number has an index of 0. */
static void count_floor(struct origins *o, const struct origin *g, int times)
{
    if (g->floor != 0)
        hash_in(o, g, g->floor, 0, 0, times);
}

/* Counts a number, if it is kept. The newest one is always kept, or it is the floor, so it needs no hash of
 * its own. */
static void count(struct origins *o, const struct origin *g, uint64_t number, int times)
{
    unsigned i = number % ORIGIN_WINDOW;
    if (g->window->index[i] != 0)
        hash_in(o, g, number, g->window->index[i], g->window->outcome[i], times);
}

/* Moves the window up by so many numbers. Those that leave it are forgotten. */
static void move_window(struct origins *o, struct origin *g, uint64_t by)
{
    for (uint64_t k = 1; k <= min_u64(by, ORIGIN_WINDOW); k++) {
        count(o, g, g->newest + k - ORIGIN_WINDOW, -1);
        g->window->index[(g->newest + k) % ORIGIN_WINDOW] = 0;
    }
    g->newest += by;
    if (g->newest - g->floor < ORIGIN_WINDOW)
        return;
    count_floor(o, g, -1);
    g->floor = 0;
}

/* The origin with a window whose newest command is the oldest entry. */
static struct origin *oldest(const struct origins *o)
{
    struct origin *found = NULL;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < o->n; i++) {
        struct origin *g = &o->at[i];
        uint64_t at = g->window == NULL ? UINT64_MAX : g->window->index[g->newest % ORIGIN_WINDOW];
        if (at >= least)
            continue;
        least = at;
        found = g;
    }
    return found;
}

/* Takes its window from it, and empties that. */
static struct window *strip(struct origins *o, struct origin *g)
{
    struct window *w = g->window;
    for (uint64_t k = 0; k < ORIGIN_WINDOW; k++)
        count(o, g, g->newest - k, -1);
    count_floor(o, g, -1);
    g->floor = g->newest;
    count_floor(o, g, 1);
    g->window = NULL;
    memset(w, 0, sizeof *w);
    return w;
}

/* NULL: memory is short. */
static struct window *empty_window(struct origins *o)
{
    if (o->windows == ORIGIN_WINDOWS)
        return strip(o, oldest(o));
    struct window *w = calloc(1, sizeof *w);
    o->windows += w != NULL;
    return w;
}

bool origins_keep(struct origins *o, const struct sender *s, struct kept kept)
{
    if (!reserve(o))
        return false;
    struct origin *g = find(o, s->origin);
    struct window *w = g != NULL && g->window != NULL ? g->window : empty_window(o);
    if (w == NULL)
        return false;
    if (g == NULL)
        g = add(o, s->origin);
    g->window = w;
    if (g->process != s->process) {
        assert(g->process == s->predecessor);
        move_window(o, g, ORIGIN_WINDOW);
        g->process = s->process;
        g->newest = 0;
    }
    if (s->number > g->newest)
        move_window(o, g, s->number - g->newest);
    unsigned i = s->number % ORIGIN_WINDOW;
    assert(kept.index != 0 && g->window->index[i] == 0 && g->newest - s->number < ORIGIN_WINDOW);
    g->window->index[i] = kept.index;
    g->window->outcome[i] = kept.outcome;
    count(o, g, s->number, 1);
    return true;
}

uint64_t origins_current(const struct origins *o, uint16_t origin)
{
    const struct origin *g = find(o, origin);
    return g != NULL ? g->process : 0;
}

/* ---- as bytes ---------------------------------------------------------------------------- */

/* How many numbers the window has: it does not reach below 1. */
static unsigned window_of(uint64_t newest)
{
    return newest < ORIGIN_WINDOW ? (unsigned)newest : (unsigned)ORIGIN_WINDOW;
}

static uint16_t count_kept(const struct origin *g)
{
    uint16_t n = 0;
    for (unsigned i = 0; g->window != NULL && i < ORIGIN_WINDOW; i++)
        n = (uint16_t)(n + (g->window->index[i] != 0));
    return n;
}

size_t origins_size(const struct origins *o)
{
    size_t size = ORIGINS_HEAD_BYTES;
    for (unsigned i = 0; i < o->n; i++)
        size += ORIGIN_HEAD_BYTES + (size_t)ORIGIN_KEPT_BYTES * count_kept(&o->at[i]);
    return size;
}

static uint8_t *put_origin(uint8_t *p, const struct origin *g)
{
    put_u16(p, g->id);
    put_u16(p + 2, count_kept(g));
    put_u32(p + 4, g->floor != 0 ? (uint32_t)(ORIGIN_WINDOW - (g->newest - g->floor)) : 0);
    put_u64(p + 8, g->process);
    put_u64(p + 16, g->newest);
    p += ORIGIN_HEAD_BYTES;
    for (unsigned back = 0; g->window != NULL && back < window_of(g->newest); back++) {
        unsigned i = (g->newest - back) % ORIGIN_WINDOW;
        if (g->window->index[i] == 0)
            continue;
        put_u16(p, (uint16_t)back);
        p[2] = g->window->outcome[i];
        p[3] = 0;
        put_u64(p + 4, g->window->index[i]);
        p += ORIGIN_KEPT_BYTES;
    }
    return p;
}

void origins_encode(const struct origins *o, uint8_t *buf)
{
    uint8_t *p = buf + ORIGINS_HEAD_BYTES;
    put_u32(buf, o->n);
    for (unsigned i = 0; i < o->n; i++)
        p = put_origin(p, &o->at[i]);
    assert((size_t)(p - buf) == origins_size(o));
}

/* Reads the kept numbers of one origin: the newest one first, then downwards. */
static bool get_kept(struct origins *o, struct origin *g, const uint8_t *p, unsigned n)
{
    unsigned next = 0; /* the least distance from the newest that the next number may have */
    for (unsigned i = 0; i < n; i++, p += ORIGIN_KEPT_BYTES) {
        unsigned back = get_u16(p);
        if (back < next || (i == 0 && back != 0) || back >= window_of(g->newest) ||
            g->newest - back <= g->floor || p[3] != 0 || get_u64(p + 4) == 0)
            return false;
        g->window->outcome[(g->newest - back) % ORIGIN_WINDOW] = p[2];
        g->window->index[(g->newest - back) % ORIGIN_WINDOW] = get_u64(p + 4);
        count(o, g, g->newest - back, 1);
        next = back + 1;
    }
    return true;
}

/* Size of the origin at p, which has `left` bytes; 0: it is malformed. Its id must be above `above`. */
static size_t check_origin(const uint8_t *p, size_t left, uint16_t above)
{
    if (left < ORIGIN_HEAD_BYTES)
        return 0;
    size_t count = get_u16(p + 2);
    uint32_t passed = get_u32(p + 4);
    bool ok = get_u16(p) > above && passed <= ORIGIN_WINDOW && count <= ORIGIN_WINDOW - passed &&
              (count == 0) == (passed == ORIGIN_WINDOW) && get_u64(p + 8) != 0 &&
              get_u64(p + 16) != 0 && (passed == 0 || get_u64(p + 16) > ORIGIN_WINDOW - passed) &&
              count * ORIGIN_KEPT_BYTES <= left - ORIGIN_HEAD_BYTES;
    return ok ? ORIGIN_HEAD_BYTES + count * ORIGIN_KEPT_BYTES : 0;
}

struct origins *origins_decode(const uint8_t *buf, size_t len, bool *bad)
{
    *bad = len < ORIGINS_HEAD_BYTES || get_u32(buf) > ORIGINS_MAX;
    struct origins *o = *bad ? NULL : origins_new();
    if (o == NULL)
        return NULL;
    uint16_t above = 0;
    uint32_t read = 0;
    size_t at = ORIGINS_HEAD_BYTES;
    for (unsigned i = 0; i < get_u32(buf); i++) {
        const uint8_t *p = buf + at;
        size_t size = check_origin(p, len - at, above);
        *bad = size == 0;
        unsigned kept = *bad ? 0 : get_u16(p + 2);
        *bad |= kept > 0 && o->windows == ORIGIN_WINDOWS;
        struct window *w = *bad || kept == 0 ? NULL : empty_window(o);
        if (*bad || (kept > 0 && w == NULL) || !reserve(o)) {
            o->windows -= w != NULL;
            free(w);
            break;
        }
        struct origin *g = add(o, get_u16(p));
        g->window = w;
        g->process = get_u64(p + 8);
        g->newest = get_u64(p + 16);
        if (get_u32(p + 4) != 0)
            g->floor = g->newest - (ORIGIN_WINDOW - get_u32(p + 4));
        count_floor(o, g, 1);
        *bad = !get_kept(o, g, p + ORIGIN_HEAD_BYTES, kept);
        if (*bad)
            break;
        above = g->id;
        at += size;
        read++;
    }
    *bad |= read == get_u32(buf) && at != len;
    if (!*bad && read == get_u32(buf))
        return o;
    origins_free(o);
    return NULL;
}

const uint64_t *origins_digest(const struct origins *o)
{
    return o->digest;
}
