/* commands_read.c: see commands_impl.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raftd/serve/commands_impl.h"
#include "raftd/serve/cursors.h"
#include "raftd/serve/glob.h"
#include "raftd/serve/token.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"

enum {
    SCAN_KEYS = 10,       /* a page without COUNT, as everywhere */
    SCAN_MAX_KEYS = 2048, /* a page: larger wishes count as this; COUNT is a hint */
    /* Keys and bytes that are looked at. A page of SCAN ends there, and KEYS is refused, for it can't. */
    SCAN_STEPS = 1 << 17,
    KEYS_STEPS = 1 << 22,
    KEY_STEPS = 32,            /* of a key, beside its bytes */
    LIST_PAGE_BYTES = 1 << 20, /* of RAFT.LIST: keys and values */
    LIST_ITEM_BYTES = 64,      /* beside them, of one key */
    TTL_NONE = -1,
    TTL_NO_KEY = -2,
};

static const struct kv_object *find(const struct sight *s, const struct resp_arg *key)
{
    return kv_get(s->view, key->p, key->len);
}

static void value(struct resp_out *out, const struct kv_object *o)
{
    if (o != NULL)
        resp_bulk(out, kv_value(o), o->value_len);
    else
        resp_null(out);
}

void show_get(const struct sight *s, const struct call *call, struct resp_out *out)
{
    value(out, find(s, &call->argv[1]));
}

void show_mget(const struct sight *s, const struct call *call, struct resp_out *out)
{
    resp_array(out, call->argc - 1);
    for (unsigned i = 1; i < call->argc; i++)
        value(out, find(s, &call->argv[i]));
}

void show_exists(const struct sight *s, const struct call *call, struct resp_out *out)
{
    unsigned n = 0;
    for (unsigned i = 1; i < call->argc; i++)
        n += find(s, &call->argv[i]) != NULL;
    resp_int(out, n);
}

void show_strlen(const struct sight *s, const struct call *call, struct resp_out *out)
{
    const struct kv_object *o = find(s, &call->argv[1]);
    resp_int(out, o != NULL ? o->value_len : 0);
}

void show_type(const struct sight *s, const struct call *call, struct resp_out *out)
{
    resp_simple(out, find(s, &call->argv[1]) != NULL ? "string" : "none");
}

/* Milliseconds that the key has left. One that is due and not gone yet has none. */
static int64_t ttl_ms(const struct sight *s, const struct kv_object *o)
{
    if (o == NULL)
        return TTL_NO_KEY;
    uint64_t expiry_ms = kv_expiry_ms(o);
    if (expiry_ms == 0)
        return TTL_NONE;
    return expiry_ms > s->cluster_ms ? (int64_t)(expiry_ms - s->cluster_ms) : 0;
}

void show_ttl(const struct sight *s, const struct call *call, struct resp_out *out)
{
    int64_t ms = ttl_ms(s, find(s, &call->argv[1]));
    resp_int(out, ms < 0 ? ms : (ms + 500) / 1000);
}

void show_pttl(const struct sight *s, const struct call *call, struct resp_out *out)
{
    resp_int(out, ttl_ms(s, find(s, &call->argv[1])));
}

void show_dbsize(const struct sight *s, const struct call *call, struct resp_out *out)
{
    (void)call;
    resp_int(out, (int64_t)s->view->count);
}

/* Cluster time, for that is one clock for all nodes, and no wall clock has a say in anything here. */
void show_time(const struct sight *s, const struct call *call, struct resp_out *out)
{
    (void)call;
    char text[24];
    resp_array(out, 2);
    (void)snprintf(text, sizeof text, "%" PRIu64, s->cluster_ms / 1000);
    resp_text(out, text);
    (void)snprintf(text, sizeof text, "%" PRIu64, s->cluster_ms % 1000 * 1000);
    resp_text(out, text);
}

/* --- patterns ----------------------------------------------------------------------------------- */

static const char *pattern_error(const struct resp_arg *pattern)
{
    return pattern->len <= GLOB_MAX_BYTES ? NULL : "TOOBIG a pattern has at most 1024 bytes";
}

const char *check_keys(const struct call *call)
{
    return pattern_error(&call->argv[1]);
}

static struct kv_range range_of(const struct resp_arg *pattern)
{
    return (struct kv_range){.prefix = pattern->p,
                             .prefix_len = glob_lead(pattern->p, pattern->len)};
}

static bool matches(const struct resp_arg *pattern, const struct kv_object *o, unsigned *steps)
{
    *steps += KEY_STEPS;
    return glob_match(pattern->p, pattern->len, kv_key(o), o->key_len, steps);
}

/* Looks at all keys, and writes those that match if `out` is not NULL. Returns how many; -1: it would take
 * more steps than it may. */
static int64_t keys(const struct sight *s, const struct resp_arg *pattern, unsigned *steps,
                    struct resp_out *out)
{
    struct kv_range range = range_of(pattern);
    struct kv_cursor cursor;
    int64_t n = 0;
    const struct kv_object *o = kv_first(s->view, &range, &cursor);
    for (; o != NULL && *steps <= KEYS_STEPS; o = kv_next(&cursor)) {
        if (!matches(pattern, o, steps))
            continue;
        n++;
        if (out != NULL)
            resp_bulk(out, kv_key(o), o->key_len);
    }
    return o == NULL ? n : -1;
}

void show_keys(const struct sight *s, const struct call *call, struct resp_out *out)
{
    unsigned steps = 0, again = 0;
    int64_t n = keys(s, &call->argv[1], &steps, NULL); /* their number stands before them */
    out->looked += 2 * steps / KEY_STEPS;
    if (n < 0) {
        resp_error(out, "TOOBIG there are too many keys to look at in one go: ask with SCAN");
        return;
    }
    resp_array(out, (size_t)n);
    (void)keys(s, &call->argv[1], &again, out);
}

/* --- SCAN --------------------------------------------------------------------------------------- */

struct scan {
    uint64_t cursor;
    struct resp_arg pattern;
    unsigned count;
    bool none; /* of a type that no key has */
};

static const char *scan_read(const struct call *call, struct scan *scan)
{
    int64_t n;
    if (!resp_number(&call->argv[1], &n) || n < 0)
        return "ERR invalid cursor";
    *scan = (struct scan){
        .cursor = (uint64_t)n, .pattern = {(const uint8_t *)"*", 1}, .count = SCAN_KEYS};
    for (unsigned i = 2; i < call->argc; i += 2) {
        const struct resp_arg *option = &call->argv[i], *arg = option + 1;
        if (i + 1 == call->argc)
            return "ERR syntax error";
        if (resp_is(option, "match"))
            scan->pattern = *arg;
        else if (resp_is(option, "type"))
            scan->none = !resp_is(arg, "string");
        else if (!resp_is(option, "count"))
            return "ERR syntax error";
        else if (!resp_number(arg, &n) || n < 1)
            return "ERR COUNT is a number from 1 on";
        else
            scan->count = n < SCAN_MAX_KEYS ? (unsigned)n : SCAN_MAX_KEYS;
    }
    return pattern_error(&scan->pattern);
}

const char *check_scan(const struct call *call)
{
    struct scan scan;
    return scan_read(call, &scan);
}

void show_scan(const struct sight *s, const struct call *call, struct resp_out *out)
{
    struct scan scan;
    (void)scan_read(call, &scan);
    struct kv_range range = range_of(&scan.pattern);
    uint8_t after[CMD_KEY_MAX_BYTES];
    if (scan.cursor != 0) {
        range.after = after;
        range.after_len = cursors_find(s->cursors, scan.cursor, after);
        if (range.after_len == 0) {
            resp_error(out,
                       "ERR unknown cursor: it is of another node, from before its last start, "
                       "or older than %d others; begin again with 0",
                       CURSORS_MAX);
            return;
        }
    }
    const struct kv_object *found[SCAN_MAX_KEYS], *last = NULL;
    struct kv_cursor at;
    unsigned n = 0, looked = 0, steps = 0;
    const struct kv_object *o = kv_first(s->view, &range, &at);
    for (; o != NULL && looked < scan.count && steps < SCAN_STEPS; o = kv_next(&at)) {
        looked++;
        last = o;
        if (matches(&scan.pattern, o, &steps) && !scan.none)
            found[n++] = o;
    }
    out->looked += steps / KEY_STEPS;
    char id[24] = "0";
    if (o != NULL)
        (void)snprintf(id, sizeof id, "%" PRIu64,
                       cursors_keep(s->cursors, kv_key(last), last->key_len));
    resp_array(out, 2);
    resp_text(out, id);
    resp_array(out, n);
    for (unsigned i = 0; i < n; i++)
        resp_bulk(out, kv_key(found[i]), found[i]->key_len);
}

/* --- what else is known of keys ------------------------------------------------------------------- */

static void mark(const struct sight *s, struct resp_out *out)
{
    resp_text(out, s->whole ? "whole" : "recovering");
}

void show_raft_get(const struct sight *s, const struct call *call, struct resp_out *out)
{
    const struct kv_object *o = find(s, &call->argv[1]);
    if (o == NULL) {
        resp_null(out);
        return;
    }
    resp_array(out, 5);
    value(out, o);
    resp_int(out, (int64_t)o->create_revision);
    resp_int(out, (int64_t)o->modify_revision);
    resp_int(out, ttl_ms(s, o));
    mark(s, out);
}

static const char *outcome_word(enum outcome outcome)
{
    switch (outcome) {
    case MACHINE_DONE: return "done";
    case MACHINE_NO_KEY: return "no_key";
    case MACHINE_SKIPPED: return "skipped";
    case MACHINE_CONDITION: return "condition";
    case MACHINE_FULL: return "full";
    case MACHINE_NOT_NUMBER: return "not_a_number";
    case MACHINE_OVERFLOW: return "overflow";
    default: return "refused";
    }
}

const char *check_token(const struct call *call)
{
    struct cmd_token token;
    return token_read(&call->argv[1], &token) ? NULL
                                              : "ERR this is no token: RAFT.TOKEN makes them";
}

/* What became of the first entry with that token, and its revision, 0 if nothing was done. */
void show_raft_outcome(const struct sight *s, const struct call *call, struct resp_out *out)
{
    struct cmd_token token;
    struct kept first;
    (void)token_read(&call->argv[1], &token);
    switch (outcomes_find(&s->view->outcomes, &token, s->view->index + 1, &first)) {
    case OUTCOME_NEW: resp_null(out); break;
    case OUTCOME_TOO_OLD:
        resp_error(out, "CANTTELL this write may have been done or not: its token is too old, or "
                        "of another cluster");
        break;
    case OUTCOME_KNOWN:
        resp_array(out, 2);
        resp_text(out, outcome_word((enum outcome)first.outcome));
        resp_int(out, outcome_is_done((enum outcome)first.outcome) ? (int64_t)first.index : 0);
    }
}

struct list {
    struct kv_range range;
    bool keys; /* without values */
};

static const char *list_read(const struct call *call, struct list *list)
{
    *list = (struct list){.range = {.prefix = call->argv[1].p, .prefix_len = call->argv[1].len}};
    for (unsigned i = 2; i < call->argc; i++) {
        if (resp_is(&call->argv[i], "keys")) {
            list->keys = true;
        } else if (resp_is(&call->argv[i], "after") && i + 1 < call->argc) {
            list->range.after = call->argv[++i].p;
            list->range.after_len = call->argv[i].len;
        } else {
            return "ERR syntax error";
        }
    }
    if (list->range.prefix_len > CMD_KEY_MAX_BYTES || list->range.after_len > CMD_KEY_MAX_BYTES)
        return "TOOBIG a key has at most 256 bytes";
    return NULL;
}

const char *check_raft_list(const struct call *call)
{
    struct list list;
    return list_read(call, &list);
}

static size_t list_bytes(const struct list *list, const struct kv_object *o)
{
    return LIST_ITEM_BYTES + (size_t)o->key_len + (list->keys ? 0 : o->value_len);
}

void show_raft_list(const struct sight *s, const struct call *call, struct resp_out *out)
{
    struct list list;
    (void)list_read(call, &list);
    struct kv_cursor at;
    size_t n = 0, bytes = 0; /* of a page: as many as are within its size, but one at least */
    const struct kv_object *o = kv_first(s->view, &list.range, &at);
    for (; o != NULL && (n == 0 || bytes + list_bytes(&list, o) <= LIST_PAGE_BYTES);
         o = kv_next(&at)) {
        bytes += list_bytes(&list, o);
        n++;
    }
    out->looked += (unsigned)n;
    resp_array(out, 4);
    resp_int(out, (int64_t)s->view->index);
    resp_int(out, o != NULL);
    mark(s, out);
    resp_array(out, n);
    for (o = kv_first(s->view, &list.range, &at); n > 0; n--, o = kv_next(&at)) {
        resp_array(out, 5);
        resp_bulk(out, kv_key(o), o->key_len);
        value(out, list.keys ? NULL : o);
        resp_int(out, (int64_t)o->create_revision);
        resp_int(out, (int64_t)o->modify_revision);
        resp_int(out, ttl_ms(s, o));
    }
}
