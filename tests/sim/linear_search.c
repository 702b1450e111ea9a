/* linear_search.c: depth-first search for an order, after Wing and Gong (1993) with Lowe's memory
 * of visited states (2017), one key at a time, and with rules that leave few choices.
 *
 * State: the operations already ordered and the value of the key. Next may come any operation that
 * was invoked before the first return that is still open (the "limit"); when no return is open, an
 * order is found. Operations are only of four kinds here:
 *
 *   READ v    needs the value v                    get; delete that found nothing (v = ABSENT)
 *   WRITE v   makes it v                           put; delete without word of what it found
 *   TAKE      needs any value, makes it ABSENT     delete that found something
 *   SPARE v   a WRITE that may also never happen   put and delete of unknown outcome
 *
 * Each rule below turns some order into an order that the search does try, so nothing is lost:
 *
 * 1. A READ that fits the value now comes now: it changes nothing, and earlier is always allowed.
 * 2. A SPARE comes only directly before a READ or TAKE that needs it. Directly before a write it
 *    can be left out, directly before a READ or TAKE that is content without it too. Of equal ones
 *    the earliest invoked goes first. So unknown outcomes are a supply, not something to search
 *    through.
 * 3. Values that nobody (any more) reads are one value, UNREAD. An unknown put of such a value is
 *    not simply dropped: a TAKE may need it.
 * 4. A value with a single put ("sole") cannot come back, so nothing may overwrite it while one of
 *    its READs is outstanding. It may only be written if nothing else has to return before its last
 *    READ is invoked: that must come before this write, or not at all. An unknown put whose sole
 *    value was read did happen: it is a WRITE that never returned.
 * 5. A put is "closed" if all READs that its value still gets are invoked. Closed puts with their
 *    READs leave the same state behind: a value, unread. In any order two of them can change places
 *    if the one that comes earlier then is the one whose first return (put or READ) is earlier; so
 *    only the earliest of the closed puts is tried. The same for TAKEs, for WRITEs of ABSENT, and
 *    for WRITEs of one value, by their returns.
 * 6. A state whose like was visited in vain with fewer SPAREs used (of ABSENT and UNREAD) is in
 *    vain: the unused ones include the used ones or stand in for them, being invoked earlier.
 *
 * Visited states are kept as 128-bit sums of random numbers, one for each operation (Zobrist): that
 * two of a million differ in state but not in sum has a chance of about 2^-88.
 */
#include "tests/sim/linear_search.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ABSENT = 0, /* values are numbers in the table of values */
    UNREAD = 1,
    FIRST_READ = 2,          /* from here on: values that a READ needs */
    HEAD = 0,                /* of the list of events; positions begin with 1 */
    SUM_OF_VALUES = 1 << 30, /* for the sums: items are numbers below, values from here */
    SEEN_FIRST = 1 << 8,     /* slots of the table of visited states, at first */
};

#define NEVER UINT32_MAX /* position of a return that is not there: later than all */
#define NONE  UINT32_MAX /* no item */

void *linear_array(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p) {
        (void)fputs("linear: out of memory\n", stderr);
        abort();
    }
    return p;
}

bool linear_counts(const struct linear_op *o)
{
    return o->fate == LINEAR_RETURNED && o->mark == LINEAR_COUNTED;
}

/* --- operations as the search sees them ------------------------------------------------------- */

enum sort { NOTHING, READ, WRITE, TAKE, SPARE };

struct item { /* an op of the key, as the search sees it */
    enum sort sort;
    uint32_t value;
    uint32_t invoke, ret; /* positions */
    uint32_t deadline;    /* of a WRITE of a value with one put: first return of it and its READs */
};

struct value {
    uint64_t id;
    uint32_t puts;           /* that may have written it; a window may begin with it: one more */
    bool first;              /* a window may begin with it */
    uint32_t reads;          /* READs not yet ordered */
    uint32_t last_read;      /* latest invocation of a READ */
    uint32_t first_return;   /* earliest return of a READ */
    uint32_t *spares;        /* SPARE items by invocation */
    uint32_t n_spares, used; /* the first `used` are ordered */
};

struct choice {
    enum sort sort;
    uint32_t value;
    uint32_t deadline; /* earlier is tried earlier */
    uint32_t item;
    uint32_t then; /* an item that directly follows, or NONE */
};

struct sum {
    uint64_t a, b;
};

/* A visited state. */
struct seen {
    struct sum sum;            /* {0, 0}: free slot */
    uint32_t absents, unreads; /* SPAREs used */
};

struct frame {
    uint32_t mark; /* length of the trail when the choice was made */
    uint32_t next; /* choice to try next */
};

struct search {
    struct item *items;
    struct value *values;
    uint32_t *pools; /* values with SPAREs */
    uint32_t *spares;
    uint32_t n_items, n_values, n_pools;
    /* The list of open events, by position; an ordered item's events are unlinked. */
    uint32_t *prev, *next, *item_at;
    uint32_t tail;
    /* The state, and how it came about. */
    uint32_t value;
    struct sum sum; /* of the ordered items */
    struct {
        uint32_t item, value;
    } * trail;
    uint32_t n_trail;
    struct frame *frames;
    uint32_t n_frames;
    struct choice *choices;
    uint32_t n_choices;
    struct seen *seen; /* hash table, open addressing */
    uint64_t n_seen, seen_slots;
};

static int by_id(const void *x, const void *y)
{
    const struct value *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

static bool is_read_of_value(const struct linear_op *o)
{
    return linear_counts(o) && o->kind == LINEAR_GET && o->result == LINEAR_FOUND;
}

/* The table of values: what READs need, in order of id. */
static void make_values(struct search *s, const struct linear_ops *ops)
{
    uint32_t n = FIRST_READ;
    s->values = linear_array((size_t)s->n_items + FIRST_READ, sizeof(*s->values));
    for (uint32_t i = 0; i < s->n_items; i++)
        if (is_read_of_value(ops->op[i]))
            s->values[n++].id = ops->op[i]->value;
    qsort(s->values + FIRST_READ, n - FIRST_READ, sizeof(*s->values), by_id);
    s->n_values = FIRST_READ;
    for (uint32_t i = FIRST_READ; i < n; i++)
        if (i == FIRST_READ || s->values[i].id != s->values[s->n_values - 1].id)
            s->values[s->n_values++].id = s->values[i].id;
    for (uint32_t i = 0; i < s->n_values; i++)
        s->values[i].first_return = NEVER;
}

static uint32_t value_of(const struct search *s, uint64_t id)
{
    struct value want = {.id = id};
    const struct value *v = bsearch(&want, s->values + FIRST_READ, s->n_values - FIRST_READ,
                                    sizeof(*s->values), by_id);
    return v ? (uint32_t)(v - s->values) : UNREAD;
}

static struct item item_of(const struct search *s, const struct linear_op *o)
{
    struct item it = {
        .sort = NOTHING, .invoke = o->invoke, .ret = linear_counts(o) ? o->ret : NEVER};
    if (o->fate == LINEAR_FAILED || o->mark == LINEAR_BEFORE || o->mark == LINEAR_AFTER)
        return it;
    if (o->kind == LINEAR_PUT) {
        it.sort = linear_counts(o) ? WRITE : SPARE;
        it.value = value_of(s, o->value);
    } else if (!linear_counts(o)) {
        /* That a delete found nothing is a READ: relaxed, it is no write either. */
        bool writes = o->kind == LINEAR_DELETE &&
                      (o->fate == LINEAR_OPEN || o->result != LINEAR_ABSENT);
        it.sort = writes ? SPARE : NOTHING;
    } else if (o->result == LINEAR_ABSENT) {
        it.sort = READ;
    } else if (o->kind == LINEAR_GET) {
        it.sort = READ;
        it.value = value_of(s, o->value);
    } else {
        it.sort = o->result == LINEAR_FOUND ? TAKE : WRITE;
    }
    return it;
}

/* Does only one put write it? (No READ needs UNREAD, so that is never asked of it.) */
static bool is_sole(uint32_t value, const struct value *v)
{
    return value >= FIRST_READ && v->puts == 1;
}

static uint32_t earlier(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void make_items(struct search *s, const struct linear_ops *ops)
{
    for (uint32_t i = 0; i < s->n_items; i++) {
        struct item *it = &s->items[i];
        *it = item_of(s, ops->op[i]);
        struct value *v = &s->values[it->value];
        if (it->sort == READ) {
            v->reads++;
            v->last_read = it->invoke; /* ops come by invocation */
            v->first_return = earlier(v->first_return, it->ret);
        } else if (it->sort == WRITE || it->sort == SPARE) {
            v->puts++;
        }
    }
    for (uint32_t i = 0; i < s->n_items; i++) {
        const struct linear_op *o = ops->op[i];
        if (o->kind != LINEAR_PUT || o->fate == LINEAR_FAILED || o->invoke >= ops->from)
            continue;
        struct value *v = &s->values[value_of(s, o->value)];
        v->puts += !v->first;
        v->first = true;
    }
    for (uint32_t i = 0; i < s->n_items; i++) {
        struct item *it = &s->items[i];
        struct value *v = &s->values[it->value];
        if (it->sort == SPARE && is_sole(it->value, v))
            it->sort = WRITE; /* rule 4 */
        it->deadline = it->ret;
        if (it->sort == WRITE && is_sole(it->value, v))
            it->deadline = earlier(it->ret, v->first_return);
        if (it->sort == SPARE)
            v->n_spares++;
    }
}

static void make_pools(struct search *s)
{
    uint32_t *room = s->spares;
    for (uint32_t i = 0; i < s->n_values; i++) {
        struct value *v = &s->values[i];
        v->spares = room;
        room += v->n_spares;
        if (v->n_spares)
            s->pools[s->n_pools++] = i;
        v->n_spares = 0;
    }
    for (uint32_t i = 0; i < s->n_items; i++) {
        struct value *v = &s->values[s->items[i].value];
        if (s->items[i].sort == SPARE)
            v->spares[v->n_spares++] = i;
    }
}

static void make_list(struct search *s, uint32_t n_events)
{
    s->tail = n_events + 1;
    for (uint32_t i = 0; i < s->n_items; i++) {
        const struct item *it = &s->items[i];
        if (it->sort == NOTHING || it->sort == SPARE)
            continue;
        s->item_at[it->invoke] = i;
        if (it->ret != NEVER)
            s->item_at[it->ret] = i;
    }
    uint32_t last = HEAD;
    for (uint32_t at = 1; at <= s->tail; at++)
        if (at == s->tail || s->item_at[at] != NONE) {
            s->next[last] = at;
            s->prev[at] = last;
            last = at;
        }
}

static void search_init(struct search *s, const struct linear_ops *ops)
{
    uint32_t n = ops->n;
    size_t events = (size_t)ops->n_events + 2;
    *s = (struct search){.n_items = n, .seen_slots = SEEN_FIRST};
    make_values(s, ops);
    s->items = linear_array(n, sizeof(*s->items));
    s->pools = linear_array(s->n_values, sizeof(*s->pools));
    s->spares = linear_array(n, sizeof(*s->spares));
    s->prev = linear_array(events, sizeof(*s->prev));
    s->next = linear_array(events, sizeof(*s->next));
    s->item_at = linear_array(events, sizeof(*s->item_at));
    memset(s->item_at, 0xff, events * sizeof(*s->item_at)); /* NONE */
    s->trail = linear_array(n, sizeof(*s->trail));
    s->frames = linear_array((size_t)n + 1, sizeof(*s->frames));
    s->choices = linear_array(3 * (size_t)s->n_values + 3, sizeof(*s->choices));
    s->seen = linear_array(s->seen_slots, sizeof(*s->seen));
    make_items(s, ops);
    make_pools(s);
    make_list(s, ops->n_events);
}

static void search_free(struct search *s)
{
    free(s->items);
    free(s->values);
    free(s->pools);
    free(s->spares);
    free(s->prev);
    free(s->next);
    free(s->item_at);
    free(s->trail);
    free(s->frames);
    free(s->choices);
    free(s->seen);
}

/* --- states ----------------------------------------------------------------------------------- */

static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static void toggle(struct sum *sum, uint64_t what)
{
    sum->a ^= scramble(2 * what);
    sum->b ^= scramble(2 * what + 1);
}

/* Has such a state been visited that had used no more SPAREs? If not, the slot for it. (Rule 6) */
static bool find_seen(const struct search *s, const struct seen *state, uint64_t *slot)
{
    uint64_t i = state->sum.a & (s->seen_slots - 1);
    for (; s->seen[i].sum.a || s->seen[i].sum.b; i = (i + 1) & (s->seen_slots - 1)) {
        const struct seen *have = &s->seen[i];
        if (have->sum.a == state->sum.a && have->sum.b == state->sum.b &&
            have->absents <= state->absents && have->unreads <= state->unreads)
            return true;
    }
    *slot = i;
    return false;
}

static void seen_grow(struct search *s)
{
    struct seen *old = s->seen;
    uint64_t slots = s->seen_slots, slot = 0;
    s->seen_slots *= 2;
    s->seen = linear_array(s->seen_slots, sizeof(*s->seen));
    for (uint64_t i = 0; i < slots; i++)
        if ((old[i].sum.a || old[i].sum.b) && !find_seen(s, &old[i], &slot))
            s->seen[slot] = old[i];
    free(old);
}

/* True if the state is new. */
static bool remember(struct search *s)
{
    const struct value *v = &s->values[s->value];
    struct seen state = {s->sum, s->values[ABSENT].used, s->values[UNREAD].used};
    uint64_t slot = 0;
    bool unread = s->value != ABSENT && v->reads == 0; /* rule 3 */
    toggle(&state.sum, SUM_OF_VALUES + (uint64_t)(unread ? UNREAD : s->value));
    if (find_seen(s, &state, &slot))
        return false;
    s->seen[slot] = state;
    if (2 * ++s->n_seen > s->seen_slots)
        seen_grow(s);
    return true;
}

static void unlink_event(struct search *s, uint32_t at)
{
    s->next[s->prev[at]] = s->next[at];
    s->prev[s->next[at]] = s->prev[at];
}

static void relink_event(struct search *s, uint32_t at)
{
    s->next[s->prev[at]] = at;
    s->prev[s->next[at]] = at;
}

static void toggle_item(struct search *s, uint32_t i)
{
    if (s->items[i].sort != SPARE || s->items[i].value >= FIRST_READ) /* others are counted */
        toggle(&s->sum, i);
}

/* Order item i next. */
static void apply(struct search *s, uint32_t i)
{
    const struct item *it = &s->items[i];
    s->trail[s->n_trail].item = i;
    s->trail[s->n_trail++].value = s->value;
    toggle_item(s, i);
    if (it->sort == SPARE) {
        s->values[it->value].used++;
    } else {
        /* The return first, so that the invocation's next is an open event. */
        if (it->ret != NEVER)
            unlink_event(s, it->ret);
        unlink_event(s, it->invoke);
    }
    if (it->sort == READ)
        s->values[it->value].reads--;
    else
        s->value = it->sort == TAKE ? ABSENT : it->value;
}

static void undo(struct search *s, uint32_t mark)
{
    while (s->n_trail > mark) {
        s->n_trail--;
        uint32_t i = s->trail[s->n_trail].item;
        const struct item *it = &s->items[i];
        s->value = s->trail[s->n_trail].value;
        toggle_item(s, i);
        if (it->sort == SPARE) {
            s->values[it->value].used--;
        } else {
            relink_event(s, it->invoke);
            if (it->ret != NEVER)
                relink_event(s, it->ret);
        }
        if (it->sort == READ)
            s->values[it->value].reads++;
    }
}

static bool is_return(const struct search *s, uint32_t at)
{
    return s->items[s->item_at[at]].invoke != at;
}

/* Rule 1. Returns the limit: the first open return, or the tail. */
static uint32_t settle(struct search *s)
{
    uint32_t at = s->next[HEAD];
    for (; at != s->tail && !is_return(s, at); at = s->next[at]) {
        const struct item *it = &s->items[s->item_at[at]];
        if (it->sort == READ && it->value == s->value)
            apply(s, s->item_at[at]);
    }
    return at;
}

/* --- choices ---------------------------------------------------------------------------------- */

/* Add a choice, in order of deadline; of two of one sort and value only the earlier stays. */
static void offer(struct search *s, struct choice c)
{
    uint32_t i = 0;
    while (i < s->n_choices && (s->choices[i].sort != c.sort || s->choices[i].value != c.value))
        i++;
    if (i == s->n_choices)
        s->n_choices++;
    else if (s->choices[i].deadline <= c.deadline)
        return;
    for (; i > 0 && s->choices[i - 1].deadline > c.deadline; i--)
        s->choices[i] = s->choices[i - 1];
    s->choices[i] = c;
}

/* The SPARE of this value that is next to be used, or NONE. */
static uint32_t spare_of(const struct search *s, uint32_t value, uint32_t limit)
{
    const struct value *v = &s->values[value];
    if (v->used == v->n_spares || s->items[v->spares[v->used]].invoke > limit)
        return NONE;
    return v->spares[v->used];
}

/* Rule 4: has nothing but this value to return before its last READ is invoked? */
static bool may_stay(const struct search *s, uint32_t value, uint32_t limit)
{
    for (uint32_t at = limit; at < s->values[value].last_read; at = s->next[at]) {
        const struct item *it = &s->items[s->item_at[at]];
        if (it->ret == at && it->value != value)
            return false;
    }
    return true;
}

static void offer_write(struct search *s, uint32_t i, uint32_t limit)
{
    const struct item *it = &s->items[i];
    const struct value *v = &s->values[it->value];
    struct choice c = {WRITE, it->value, it->ret, i, NONE};
    bool sole = is_sole(it->value, v);
    if (it->value != ABSENT && (v->reads == 0 || (sole && v->last_read < limit))) {
        c.value = UNREAD; /* closed (rule 5) */
        c.deadline = it->deadline;
    } else if (sole && !may_stay(s, it->value, limit)) {
        return;
    }
    offer(s, c);
}

/* A TAKE, if need be with a SPARE before it. */
static void offer_take(struct search *s, uint32_t i, uint32_t limit)
{
    uint32_t ret = s->items[i].ret;
    if (s->value != ABSENT) {
        offer(s, (struct choice){TAKE, ABSENT, ret, i, NONE});
        return;
    }
    for (uint32_t p = 0; p < s->n_pools; p++) {
        uint32_t spare = spare_of(s, s->pools[p], limit);
        if (s->pools[p] != ABSENT && spare != NONE)
            offer(s, (struct choice){TAKE, s->pools[p], ret, spare, i});
    }
}

/* What may come next: s->choices. Call after settle, which gave the limit. */
static void gather(struct search *s, uint32_t limit)
{
    uint32_t take = NONE;
    s->n_choices = 0;
    for (uint32_t at = s->next[HEAD]; at != limit; at = s->next[at]) {
        uint32_t i = s->item_at[at];
        const struct item *it = &s->items[i];
        if (it->sort == WRITE) {
            offer_write(s, i, limit);
        } else if (it->sort == TAKE) {
            if (take == NONE || it->ret < s->items[take].ret)
                take = i;
        } else {
            uint32_t spare = spare_of(s, it->value, limit);
            if (spare != NONE)
                offer(s, (struct choice){SPARE, it->value, NEVER, spare, NONE});
        }
    }
    if (take != NONE)
        offer_take(s, take, limit);
}

/* With the key beginning as s->value. */
static enum linear_outcome search_run(struct search *s, uint64_t states_max, uint32_t *deepest)
{
    for (;;) {
        uint32_t limit = settle(s);
        if (limit == s->tail)
            return LINEAR_OK;
        if (limit > *deepest)
            *deepest = limit;
        if (remember(s))
            s->frames[s->n_frames++] = (struct frame){.mark = s->n_trail};
        if (s->n_seen > states_max)
            return LINEAR_GAVE_UP;
        for (;;) {
            if (s->n_frames == 0)
                return LINEAR_BROKEN;
            struct frame *f = &s->frames[s->n_frames - 1];
            undo(s, f->mark);
            gather(s, settle(s));
            if (f->next < s->n_choices) {
                struct choice c = s->choices[f->next++];
                apply(s, c.item);
                if (c.then != NONE)
                    apply(s, c.then);
                break;
            }
            s->n_frames--;
        }
    }
}

struct linear_found linear_search(const struct linear_ops *ops, uint64_t states_max)
{
    struct search s;
    struct linear_found found = {.outcome = LINEAR_BROKEN};
    search_init(&s, ops);
    for (uint32_t first = 0; first < s.n_values && found.outcome == LINEAR_BROKEN; first++) {
        bool possible = ops->from ? first < FIRST_READ || s.values[first].first : first == ABSENT;
        if (!possible)
            continue;
        undo(&s, 0);
        s.value = first;
        found.outcome = search_run(&s, states_max, &found.deepest);
    }
    found.states = s.n_seen;
    search_free(&s);
    return found;
}
