/* linear.c: records histories, hands each key to the search, and explains what is broken.
 *
 * A wrong answer usually shows within a short part of a long history, but to prove that no order
 * explains the whole the search has to visit every state of the way there. So a search that is not
 * soon successful is stopped, and windows around the point where it was stuck are tried, each twice
 * as long as the one before. A window asks less than the history does, so what is broken in a
 * window is broken: the key may begin with whatever may have been in it then; an operation that
 * began before or ended after it counts as of unknown outcome; what was over before or began after
 * is left out. Then the whole is tried without deletes and what depends on them. Only if none of
 * these is broken the whole history is searched to the end.
 */
#include "tests/sim/linear.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/linear_search.h"

enum {
    OPS_MAX = 1 << 30, /* so that twice as many events have positions */
    WINDOW_FIRST = 32, /* events before and after the point: shorter ones take no time anyway */
    QUICK_STATES = 4,  /* per operation, in the search for the point; right histories take < 1 */
};

struct linear {
    struct linear_op *ops;
    size_t n, cap;
    uint64_t calls;
};

/* --- recording -------------------------------------------------------------------------------- */

struct linear *linear_new(void)
{
    return linear_array(1, sizeof(struct linear));
}

void linear_free(struct linear *l)
{
    if (l)
        free(l->ops);
    free(l);
}

size_t linear_invoke(struct linear *l, uint32_t client, enum linear_kind kind, uint32_t key,
                     uint64_t value, uint64_t time)
{
    assert(l->n < OPS_MAX);
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        struct linear_op *ops = linear_array(l->cap, sizeof(*ops));
        if (l->n)
            memcpy(ops, l->ops, l->n * sizeof(*ops));
        free(l->ops);
        l->ops = ops;
    }
    l->ops[l->n] = (struct linear_op){.kind = kind,
                                      .client = client,
                                      .key = key,
                                      .value = value,
                                      .invoke_time = time,
                                      .invoke_call = l->calls++};
    return l->n++;
}

void linear_return(struct linear *l, size_t op, enum linear_result result, uint64_t value,
                   uint64_t time)
{
    assert(op < l->n);
    struct linear_op *o = &l->ops[op];
    assert(o->fate == LINEAR_OPEN && time >= o->invoke_time);
    assert(o->kind != LINEAR_PUT || result == LINEAR_DONE);
    assert(o->kind != LINEAR_GET || result != LINEAR_DONE);
    o->fate = LINEAR_RETURNED;
    o->result = result;
    o->return_time = time;
    o->return_call = l->calls++;
    if (o->kind == LINEAR_GET)
        o->value = value;
}

void linear_failed(struct linear *l, size_t op)
{
    assert(op < l->n && l->ops[op].fate == LINEAR_OPEN);
    l->ops[op].fate = LINEAR_FAILED;
}

void linear_unknown(struct linear *l, size_t op)
{
    assert(op < l->n && l->ops[op].fate == LINEAR_OPEN); /* and stays so */
}

/* --- one key ---------------------------------------------------------------------------------- */

struct sim_event {
    uint64_t time, call;
    uint32_t op;
    bool is_return;
};

static int by_time(const void *x, const void *y)
{
    const struct sim_event *a = x, *b = y;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return a->call < b->call ? -1 : a->call > b->call;
}

/* Give every event of the key its position, and bring the ops into the order of their invocations.
 * Returns the number of events. */
static uint32_t rank_events(struct linear_op **ops, uint32_t n)
{
    struct sim_event *events = linear_array(2 * (size_t)n, sizeof(*events));
    struct linear_op **sorted = linear_array(n, sizeof(struct linear_op *));
    uint32_t n_events = 0, n_sorted = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct linear_op *o = ops[i];
        events[n_events++] = (struct sim_event){o->invoke_time, o->invoke_call, i, false};
        if (o->fate == LINEAR_RETURNED)
            events[n_events++] = (struct sim_event){o->return_time, o->return_call, i, true};
    }
    qsort(events, n_events, sizeof(*events), by_time);
    for (uint32_t i = 0; i < n_events; i++) {
        struct linear_op *o = ops[events[i].op];
        if (events[i].is_return) {
            o->ret = i + 1;
        } else {
            o->invoke = i + 1;
            sorted[n_sorted++] = o;
        }
    }
    memcpy(ops, sorted, n * sizeof(struct linear_op *));
    free(sorted);
    free(events);
    return n_events;
}

/* Count only what lies between these positions. */
static void set_window(struct linear_ops *ops, uint32_t from, uint32_t to)
{
    ops->from = from;
    for (uint32_t i = 0; i < ops->n; i++) {
        struct linear_op *o = ops->op[i];
        bool returned = o->fate == LINEAR_RETURNED;
        if (returned && o->ret < from)
            o->mark = LINEAR_BEFORE;
        else if (o->invoke > to)
            o->mark = LINEAR_AFTER;
        else if (o->invoke < from || (returned && o->ret > to))
            o->mark = LINEAR_RELAXED;
        else
            o->mark = LINEAR_COUNTED;
    }
}

/* Answers about absence do not count: then nearly no choices are left, however long the history. */
static void relax_absence(const struct linear_ops *ops)
{
    for (uint32_t i = 0; i < ops->n; i++) {
        struct linear_op *o = ops->op[i];
        bool absence = o->kind == LINEAR_DELETE ||
                       (o->kind == LINEAR_GET && o->result == LINEAR_ABSENT);
        if (absence && o->mark == LINEAR_COUNTED)
            o->mark = LINEAR_RELAXED;
    }
}

/* Is a part of the history broken? If so, it is left marked, else the whole. Tried are windows
 * around this position, and the whole without absence. */
static bool find_part(struct linear_ops *ops, uint32_t center)
{
    for (uint32_t half = WINDOW_FIRST; half < ops->n_events; half *= 2) {
        uint32_t from = center > half ? center - half : 0;
        uint32_t to = ops->n_events - center > half ? center + half : ops->n_events;
        set_window(ops, from, to);
        if (linear_search(ops, LINEAR_PART_STATES).outcome == LINEAR_BROKEN)
            return true;
    }
    set_window(ops, 0, ops->n_events);
    relax_absence(ops);
    if (linear_search(ops, LINEAR_PART_STATES).outcome == LINEAR_BROKEN)
        return true;
    set_window(ops, 0, ops->n_events);
    return false;
}

/* --- explanation ------------------------------------------------------------------------------ */

/* Relax all operations that are not needed for the verdict BROKEN. In chunks, from half of them
 * down to single ones. */
static void relax(const struct linear_ops *ops)
{
    uint64_t states = 0;
    struct linear_op **counted = linear_array(ops->n, sizeof(struct linear_op *));
    for (uint32_t chunk = (ops->n + 1) / 2; chunk > 0; chunk = chunk > 1 ? (chunk + 1) / 2 : 0) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < ops->n; i++)
            if (linear_counts(ops->op[i]))
                counted[n++] = ops->op[i];
        for (uint32_t from = 0; from < n && states <= LINEAR_EXPLAIN_STATES_MAX; from += chunk) {
            uint32_t to = n - from < chunk ? n : from + chunk;
            for (uint32_t i = from; i < to; i++)
                counted[i]->mark = LINEAR_RELAXED;
            struct linear_found found = linear_search(ops, LINEAR_PART_STATES);
            states += found.states;
            for (uint32_t i = from; i < to && found.outcome != LINEAR_BROKEN; i++)
                counted[i]->mark = LINEAR_COUNTED;
        }
    }
    free(counted);
}

__attribute__((format(printf, 2, 3))) static void add_text(struct linear_verdict *v,
                                                           const char *fmt, ...)
{
    size_t len = strlen(v->text);
    va_list ap;
    va_start(ap, fmt);
    int added = vsnprintf(v->text + len, sizeof(v->text) - len, fmt, ap);
    va_end(ap);
    assert(added >= 0 && len + (size_t)added < sizeof(v->text)); /* few lines, of bounded length */
}

static void add_op(struct linear_verdict *v, const struct linear_op *o)
{
    char what[40] = "delete", times[48];
    if (o->kind == LINEAR_PUT)
        (void)snprintf(what, sizeof(what), "put %" PRIu64, o->value);
    else if (o->kind == LINEAR_DELETE && o->fate == LINEAR_RETURNED && o->result != LINEAR_DONE)
        (void)snprintf(what, sizeof(what), "delete -> %s",
                       o->result == LINEAR_FOUND ? "found" : "absent");
    else if (o->kind == LINEAR_GET && o->result == LINEAR_FOUND)
        (void)snprintf(what, sizeof(what), "get -> %" PRIu64, o->value);
    else if (o->kind == LINEAR_GET)
        (void)snprintf(what, sizeof(what), "get -> absent");
    if (o->fate == LINEAR_RETURNED)
        (void)snprintf(times, sizeof(times), "%" PRIu64 " .. %" PRIu64, o->invoke_time,
                       o->return_time);
    else
        (void)snprintf(times, sizeof(times), "%" PRIu64 " .. %s", o->invoke_time,
                       o->fate == LINEAR_FAILED ? "failed" : "unknown");
    add_text(v, "  client %-4" PRIu32 " %-28s %s%s\n", o->client, what, times,
             o->fate == LINEAR_RETURNED && !linear_counts(o) ? " (end not needed)" : "");
}

/* Does a get that counts need this value? */
static bool is_found(uint64_t value, const struct linear_ops *ops)
{
    for (uint32_t i = 0; i < ops->n; i++) {
        const struct linear_op *o = ops->op[i];
        if (linear_counts(o) && o->kind == LINEAR_GET && o->result == LINEAR_FOUND &&
            o->value == value)
            return true;
    }
    return false;
}

static bool was_put(uint64_t value, const struct linear_ops *ops)
{
    for (uint32_t i = 0; i < ops->n; i++)
        if (ops->op[i]->kind == LINEAR_PUT && ops->op[i]->value == value)
            return true;
    return false;
}

/* The time at which the window begins. */
static uint64_t window_time(const struct linear_ops *ops)
{
    uint64_t time = UINT64_MAX;
    for (uint32_t i = 0; i < ops->n; i++) {
        const struct linear_op *o = ops->op[i];
        if (o->invoke >= ops->from && o->invoke_time < time)
            time = o->invoke_time;
        if (o->fate == LINEAR_RETURNED && o->ret >= ops->from && o->return_time < time)
            time = o->return_time;
    }
    return time;
}

/* The operations that count, and those that put the values that they found. */
static void add_ops(struct linear_verdict *v, const struct linear_ops *ops)
{
    uint32_t shown = 0, more = 0;
    for (uint32_t i = 0; i < ops->n; i++) {
        const struct linear_op *o = ops->op[i];
        if (!linear_counts(o) && (o->kind != LINEAR_PUT || !is_found(o->value, ops)))
            continue;
        if (shown == LINEAR_EXPLAIN_LINES) {
            more++;
            continue;
        }
        shown++;
        add_op(v, o);
        if (o->kind == LINEAR_GET && o->result == LINEAR_FOUND && !was_put(o->value, ops))
            add_text(v, "              %" PRIu64 " was never put\n", o->value);
    }
    if (more)
        add_text(v, "  and %" PRIu32 " more\n", more);
}

static void explain(struct linear_verdict *v, const struct linear_ops *ops)
{
    uint32_t counted = 0;
    relax(ops);
    for (uint32_t i = 0; i < ops->n; i++)
        counted += linear_counts(ops->op[i]);
    add_text(v, "key %" PRIu32 ": no order explains %" PRIu32 " of its %" PRIu32 " operations:\n",
             v->key, counted, ops->n);
    add_ops(v, ops);
    if (ops->from)
        add_text(v, "whatever the key held at %" PRIu64 "\n", window_time(ops));
}

/* --- all keys --------------------------------------------------------------------------------- */

static int by_key(const void *x, const void *y)
{
    const struct linear_op *a = *(struct linear_op *const *)x, *b = *(struct linear_op *const *)y;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->invoke_call < b->invoke_call ? -1 : 1;
}

static void check_key(struct linear_op **op, uint32_t n, uint64_t states_max,
                      struct linear_verdict *v)
{
    struct linear_ops ops = {.op = op, .n = n, .n_events = rank_events(op, n)};
    uint64_t quick = QUICK_STATES * (uint64_t)n;
    struct linear_found found = linear_search(&ops, quick < states_max ? quick : states_max);
    v->states += found.states;
    if (found.outcome == LINEAR_OK)
        return;
    if (find_part(&ops, found.deepest)) {
        found.outcome = LINEAR_BROKEN;
    } else if (found.outcome == LINEAR_GAVE_UP && quick < states_max) {
        found = linear_search(&ops, states_max);
        v->states += found.states;
    }
    if (found.outcome == LINEAR_OK || (found.outcome == LINEAR_GAVE_UP && v->outcome != LINEAR_OK))
        return;
    v->outcome = found.outcome;
    v->key = op[0]->key;
    v->text[0] = '\0';
    if (v->outcome == LINEAR_BROKEN)
        explain(v, &ops);
    else
        add_text(v,
                 "key %" PRIu32 ": gave up on its %" PRIu32 " operations: more than %" PRIu64
                 " states\n",
                 v->key, n, states_max);
}

void linear_check(const struct linear *l, uint64_t states_max, struct linear_verdict *verdict)
{
    *verdict = (struct linear_verdict){.outcome = LINEAR_OK};
    /* Positions and marks are the check's own. */
    struct linear_op *copy = linear_array(l->n, sizeof(*copy));
    struct linear_op **ops = linear_array(l->n, sizeof(struct linear_op *));
    for (size_t i = 0; i < l->n; i++) {
        copy[i] = l->ops[i];
        ops[i] = &copy[i];
    }
    qsort(ops, l->n, sizeof(struct linear_op *), by_key);
    for (size_t from = 0, to; from < l->n && verdict->outcome != LINEAR_BROKEN; from = to) {
        for (to = from + 1; to < l->n && ops[to]->key == ops[from]->key;)
            to++;
        check_key(ops + from, (uint32_t)(to - from), states_max, verdict);
    }
    free(ops);
    free(copy);
}
