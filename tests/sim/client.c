/* client.c: clients, as a node's local clients are, and what they may see.
 *
 * Clients write and read a few hot keys, so that their operations meet, and write keys of their
 * own. Each has one operation at a time, on any node, gives up when it takes too long or the node
 * dies, and then does another, or repeats a write that has a token, through any node: it must be done
 * once. What they saw of the hot keys is recorded for linear.h.
 *
 * Beside that stands a model: the committed commands in order, key by key. Every read, at any node
 * at any time, must show exactly the model as of what that node has applied; a linearizable read
 * also all that was committed anywhere when it was asked.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "tests/sim/impl.h"

enum {
    KEY_BYTES = 16,
    PATIENCE_US = 500000,
    TTL_MIN_MS = 20,
    SMALL_VALUE = 200,
    VALUES = 8191 /* different ones */
};

#define NO_HISTORY SIZE_MAX

/* ---- keys and values ---- */

static size_t key_name(const struct sim *s, uint32_t key, uint8_t name[KEY_BYTES])
{
    bool hot = key < s->o.hot_keys;
    return (size_t)snprintf((char *)name, KEY_BYTES, "%c%u", hot ? 'h' : 'u',
                            hot ? key : key - s->o.hot_keys);
}

/* Values are pieces of one long row of random bytes. */
static const uint8_t *value_of(const struct sim *s, uint32_t op)
{
    return s->row + op * 31 % VALUES;
}

static bool value_is(const struct sim *s, uint32_t op, const uint8_t *p, size_t len)
{
    op = s->ops[op].first;
    return s->ops[op].kind == OP_PUT && s->ops[op].len == len &&
           (len == 0 || memcmp(p, value_of(s, op), len) == 0);
}

/* ---- operations by (node, request number) ---- */

static size_t id_slot(const struct sim *s, unsigned node, uint64_t id)
{
    size_t i = (size_t)((id + node) * 0x9e3779b97f4a7c15u >> 20) & (s->cap_ids - 1);
    while (s->ids[i] != NO_OP && (s->ops[s->ids[i]].id != id || s->ops[s->ids[i]].node != node))
        i = (i + 1) & (s->cap_ids - 1);
    return i;
}

static void id_add(struct sim *s, uint32_t op)
{
    if (2 * (s->n_ids + 1) > s->cap_ids) {
        uint32_t *old = s->ids;
        size_t n = s->cap_ids;
        s->cap_ids = n == 0 ? 1024 : 2 * n;
        s->ids = sim_must(malloc(s->cap_ids * sizeof *s->ids));
        for (size_t i = 0; i < s->cap_ids; i++)
            s->ids[i] = NO_OP;
        for (size_t i = 0; i < n; i++)
            if (old[i] != NO_OP)
                s->ids[id_slot(s, s->ops[old[i]].node, s->ops[old[i]].id)] = old[i];
        free(old);
    }
    size_t i = id_slot(s, s->ops[op].node, s->ops[op].id);
    if (s->ids[i] != NO_OP)
        sim_broken(s, "request-number", "node %u gave a request number twice", s->ops[op].node + 1);
    s->ids[i] = op;
    s->n_ids++;
}

/* Processes differ in the upper half of their names, and give no number twice. */
static uint64_t id_of(uint64_t process, uint64_t number)
{
    return (process >> 32) << 32 | (uint32_t)number;
}

/* Of the puts of clients every fifth has a time to live. No chance is drawn for it. */
static uint32_t ttl_ms(const struct sim *s, uint32_t op)
{
    uint64_t z = (op + s->o.seed) * 0x9e3779b97f4a7c15u;
    z ^= z >> 29;
    return z % 5 == 0 ? TTL_MIN_MS + (uint32_t)(z >> 8) % (SIM_TTL_MAX_MS - TTL_MIN_MS) : 0;
}

bool sim_is_end(const struct record *rec)
{
    struct cmd c;
    return cmd_decode(rec->data, rec->data_len, &c) == 0 && cmd_is_housekeeping(&c) &&
           *c.items == CMD_END_DUE;
}

/* The command sets this time to live, beside the put. */
static bool ttl_is(const struct op *o, const struct cmd *c, const uint8_t *at)
{
    if (o->ttl_ms == 0)
        return c->operations == 1;
    struct cmd_item it = cmd_next(&at);
    return c->operations == 2 && it.kind == CMD_EXPIRE && cmd_number(&it) == o->ttl_ms;
}

static struct cmd_token token_of(const struct sim *s, const struct op *o)
{
    struct cmd_token t = {.index = o->token ? s->ops[o->first].born : 0};
    if (o->token)
        put_u64(t.random, o->first + UINT64_C(1));
    return t;
}

uint32_t sim_op_of(struct sim *s, const struct record *rec, struct sender *sender)
{
    struct cmd c;
    uint8_t name[KEY_BYTES];
    if (cmd_decode(rec->data, rec->data_len, &c) < 0)
        sim_broken(s, "command", "entry %" PRIu64 " is no command", rec->index);
    *sender = (struct sender){c.origin, c.process, c.predecessor, c.number};
    s->t.frees += cmd_is_housekeeping(&c);
    if (cmd_is_housekeeping(&c) || (c.flags & CMD_HAS_CONNECTION) != 0)
        return NO_OP;
    uint32_t op = s->cap_ids == 0 || c.origin == 0
                      ? NO_OP
                      : s->ids[id_slot(s, c.origin - 1u, id_of(c.process, c.number))];
    if (op == NO_OP)
        sim_broken(s, "nobody-asked", "entry %" PRIu64 " is a write that nobody asked for",
                   rec->index);
    const struct op *o = &s->ops[op];
    const uint8_t *at = c.items;
    struct cmd_item it = cmd_next(&at);
    const struct cmd_token token = token_of(s, o);
    if (c.conditions != 0 || !ttl_is(o, &c, at) || it.key_len != key_name(s, o->key, name) ||
        memcmp(it.key, name, it.key_len) != 0 ||
        it.kind != (o->kind == OP_PUT ? CMD_PUT : CMD_DELETE) ||
        (o->kind == OP_PUT && !value_is(s, op, it.value, it.value_len)) ||
        c.flags != (o->token ? CMD_HAS_TOKEN : 0) || memcmp(&c.token, &token, sizeof token) != 0 ||
        c.limit != s->o.max_data_bytes / CMD_LIMIT_BYTES)
        sim_broken(s, "asked-else", "entry %" PRIu64 " is not the write that was asked for",
                   rec->index);
    return op;
}

/* ---- the model ---- */

static const struct version *version_at(const struct key *k, uint64_t index)
{
    unsigned n = k->n;
    while (n > 0 && k->v[n - 1].index > index)
        n--;
    return n == 0 || k->v[n - 1].op == NO_OP ? NULL : &k->v[n - 1];
}

/* What the key of that write costs, if this is its value. */
static uint64_t data_bytes(const struct sim *s, const struct op *o)
{
    uint8_t name[KEY_BYTES];
    return KV_KEY_BYTES + key_name(s, o->key, name) + o->len;
}

/* Whether the state machine is to apply this entry: it is of the process that is current, or becomes
 * so now, and no copy of the write was there before. */
static bool takes(struct sim *s, const struct entry *e)
{
    struct current *c = &s->current[e->sender.origin - 1];
    if (c->process != e->sender.process) {
        if (c->process != e->sender.predecessor) {
            s->t.ended++;
            return false;
        }
        if (c->process != 0 && c->op > e->op)
            sim_broken(s, "former-process", "entry %" PRIu64 " brings an ended process back",
                       e->index);
        *c = (struct current){e->sender.process, e->op};
    }
    s->t.copies += s->ops[e->op].committed != 0;
    return s->ops[e->op].committed == 0;
}

static void add_version(struct sim *s, uint32_t key, struct version v)
{
    struct key *k = &s->keys[key];
    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 2;
        k->v = sim_must(realloc(k->v, k->cap * sizeof *k->v));
    }
    k->v[k->n++] = v;
    sim_watch_made(s, v.index, key, v.op);
}

/* The key that ends first, by (expiry, name), of those that are due; NO_OP: none is. */
static uint32_t first_due(const struct sim *s, const struct entry *e)
{
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    const struct version *best = NULL;
    uint32_t first = NO_OP;
    for (uint32_t k = 0; k < s->n_keys; k++) {
        const struct version *v = version_at(&s->keys[k], e->index);
        if (v == NULL || v->expiry_ms == 0 || v->expiry_ms > e->ms ||
            (best != NULL && v->expiry_ms > best->expiry_ms))
            continue;
        size_t a_len = key_name(s, k, a), b_len = best != NULL ? key_name(s, first, b) : 0;
        if (best == NULL || v->expiry_ms < best->expiry_ms ||
            tree_compare(a, a_len, b, b_len) < 0) {
            best = v;
            first = k;
        }
    }
    return first;
}

/* Of a hot key it is in the clients' history: it is over when it is committed, and not before. */
static void model_end(struct sim *s, const struct entry *e)
{
    uint32_t key;
    for (unsigned n = 0; n < MACHINE_ENDS_MAX && (key = first_due(s, e)) != NO_OP; n++) {
        s->data_bytes -= data_bytes(s, &s->ops[version_at(&s->keys[key], e->index)->op]);
        add_version(s, key, (struct version){.index = e->index, .op = NO_OP});
        s->t.ends++;
        if (key < s->o.hot_keys)
            linear_return(s->linear,
                          linear_invoke(s->linear, UINT32_MAX, LINEAR_DELETE, key, 0, s->now),
                          LINEAR_FOUND, 0, s->now);
    }
}

/* A program's command: all that the model takes of it is whose it is. */
static void program_takes(struct sim *s, const struct entry *e)
{
    struct current *c = e->sender.origin != 0 ? &s->current[e->sender.origin - 1] : NULL;
    if (c != NULL && c->process != e->sender.process && c->process == e->sender.predecessor)
        *c = (struct current){e->sender.process, 0};
}

void sim_model_take(struct sim *s, const struct entry *e)
{
    if (e->ends)
        model_end(s, e);
    else if (e->op == NO_OP)
        program_takes(s, e);
    if (e->op == NO_OP || !takes(s, e))
        return;
    struct op *o = &s->ops[e->op];
    if (o->refused)
        sim_broken(s, "refused-done", "entry %" PRIu64 " is a write that was refused", e->index);
    uint32_t *decided = &s->ops[o->first].decided;
    if (*decided != NO_OP) { /* done already: it has that outcome */
        o->committed = s->ops[*decided].committed;
        o->absent = s->ops[*decided].absent;
        o->full = s->ops[*decided].full;
        s->t.repeated++;
        return;
    }
    *decided = e->op;
    o->committed = e->index;
    struct key *k = &s->keys[o->key];
    const struct version *before = version_at(k, e->index);
    struct version v = {.index = e->index, .create = e->index, .op = o->first};
    v.expiry_ms = o->ttl_ms != 0 ? e->ms + o->ttl_ms : 0;
    uint64_t more = o->kind == OP_PUT ? data_bytes(s, o) : 0;
    uint64_t less = before != NULL ? data_bytes(s, &s->ops[before->op]) : 0;
    o->full = s->o.max_data_bytes != 0 && more > less &&
              s->data_bytes - less + more > s->o.max_data_bytes;
    if (o->full)
        return;
    if (o->kind == OP_DELETE) {
        o->absent = before == NULL;
        if (o->absent)
            return;
        v.op = NO_OP;
    } else if (before != NULL) {
        v.create = before->create;
    }
    s->data_bytes = s->data_bytes - less + more;
    add_version(s, o->key, v);
}

bool sim_key_begins(const struct sim *s, uint32_t key, const char *prefix)
{
    uint8_t name[KEY_BYTES];
    size_t len = strlen(prefix);
    return key_name(s, key, name) >= len && memcmp(name, prefix, len) == 0;
}

bool sim_is_change(const struct sim *s, const struct change_made *c, const struct history_change *h)
{
    const struct kv_object *o = h->object;
    uint8_t name[KEY_BYTES];
    size_t len = key_name(s, c->key, name);
    if (o->modify_revision != c->index || o->key_len != len || memcmp(kv_key(o), name, len) != 0)
        return false;
    enum history_kind gone = s->committed[c->index]->ends ? HISTORY_EXPIRED : HISTORY_DELETED;
    return c->op == NO_OP ? h->kind == gone
                          : h->kind == HISTORY_PUT && value_is(s, c->op, kv_value(o), o->value_len);
}

/* That object is that version, or both are nothing. */
static void compare(struct sim *s, struct sim_node *m, uint32_t key, const struct version *v,
                    const struct kv_object *o)
{
    if (v == NULL && o == NULL)
        return;
    if (v == NULL || o == NULL || o->modify_revision != v->index ||
        o->create_revision != v->create || kv_expiry_ms(o) != v->expiry_ms ||
        !value_is(s, v->op, kv_value(o), o->value_len))
        sim_broken(s, "state", "node %u, applied %" PRIu64 ": key %u is not what was committed",
                   m->at + 1, replica_applied(node_replica(m->node)), key);
}

/* Reads a key; returns the write that it shows, or NO_OP. */
static uint32_t look(struct sim *s, struct sim_node *m, uint32_t key)
{
    uint8_t name[KEY_BYTES];
    size_t len = key_name(s, key, name);
    const struct version *v = version_at(&s->keys[key], replica_applied(node_replica(m->node)));
    rcu_enter();
    const struct kv_view *view = kv_view(m->kv);
    if (view->index != replica_applied(node_replica(m->node)) ||
        view->cluster_ms != s->committed[view->index]->ms)
        sim_broken(s, "view", "node %u shows %" PRIu64 " at %" PRIu64 " ms, has applied %" PRIu64,
                   m->at + 1, view->index, view->cluster_ms,
                   replica_applied(node_replica(m->node)));
    compare(s, m, key, v, kv_get(view, name, len));
    rcu_leave();
    return v == NULL ? NO_OP : v->op;
}

void sim_local_read(struct sim *s, struct sim_node *m)
{
    uint32_t key = (uint32_t)sim_roll(s, RNG_CLIENT, s->n_keys);
    sim_follow(s, m);
    if (!node_local_reads(m->node))
        return;
    s->t.local_reads++;
    (void)look(s, m, key);
}

/* All keys. */
void sim_check_state(struct sim *s, struct sim_node *m)
{
    size_t n = 0, live = 0;
    struct kv_range all = {0};
    struct kv_cursor cursor;
    for (uint32_t k = 0; k < s->n_keys; k++)
        live += look(s, m, k) != NO_OP;
    rcu_enter();
    const struct kv_object *before = NULL;
    const struct kv_object *o = kv_first(kv_view(m->kv), &all, &cursor);
    for (; o != NULL; o = kv_next(&cursor), n++) {
        size_t a = before ? before->key_len : 0, b = o->key_len;
        int c = before ? memcmp(kv_key(before), kv_key(o), a < b ? a : b) : 0;
        if (c > 0 || (c == 0 && a >= b))
            sim_broken(s, "list", "node %u lists keys in a wrong order", m->at + 1);
        before = o;
    }
    rcu_leave();
    if (n != live)
        sim_broken(s, "state", "node %u has %zu keys, should be %zu", m->at + 1, n, live);
}

/* ---- operations ---- */

static uint32_t fresh_key(struct sim *s)
{
    if (s->n_keys == s->cap_keys) {
        s->cap_keys = s->cap_keys ? 2 * s->cap_keys : 64;
        s->keys = sim_must(realloc(s->keys, s->cap_keys * sizeof *s->keys));
    }
    s->keys[s->n_keys] = (struct key){0};
    return s->n_keys++;
}

static size_t history_begin(struct sim *s, const struct op *o, uint32_t number)
{
    static const enum linear_kind kinds[] = {LINEAR_PUT, LINEAR_DELETE, LINEAR_GET, LINEAR_GET};
    if (o->key >= s->o.hot_keys)
        return NO_HISTORY;
    unsigned n = o->kind == OP_LIST ? s->o.hot_keys : 1;
    size_t first = 0;
    for (unsigned i = 0; i < n; i++) { /* numbered one after the other */
        size_t h = linear_invoke(s->linear, o->client, kinds[o->kind],
                                 o->kind == OP_LIST ? i : o->key,
                                 o->kind == OP_PUT ? number + UINT64_C(1) : 0, s->now);
        if (i == 0)
            first = h;
    }
    s->t.histories += n;
    return first;
}

/* Its client does not know whether the write was done. It may repeat it. */
static void may_repeat(struct sim *s, uint32_t number, size_t history)
{
    const struct op *o = &s->ops[number];
    if (!o->token || o->client >= s->o.clients)
        return;
    s->clients[o->client].again = number;
    s->clients[o->client].again_history = history;
}

/* The client learns how it ended; its next operation comes after a pause. */
static void ended(struct sim *s, uint32_t number, enum op_state state)
{
    struct op *o = &s->ops[number];
    o->state = state;
    if (o->client < s->o.clients && s->clients[o->client].op == number) {
        s->clients[o->client].op = NO_OP;
        if (!s->closed) {
            struct event *e = sim_post(s, s->now + sim_roll(s, RNG_CLIENT, 2 * s->o.think_us) + 1,
                                       EV_CLIENT, 0);
            e->extra = o->client;
        }
    }
}

static void history_fails(struct sim *s, struct op *o)
{
    unsigned n = o->kind == OP_LIST ? s->o.hot_keys : 1;
    /* If this one repeats another, that one may have been done. */
    bool failed = o->history != NO_HISTORY && &s->ops[o->first] == o;
    for (unsigned i = 0; failed && i < n; i++)
        linear_failed(s->linear, o->history + i);
    o->history = NO_HISTORY;
}

/* Nobody will ever know; of a read it doesn't matter. */
static void history_unknown(struct sim *s, struct op *o)
{
    if (o->kind >= OP_GET)
        history_fails(s, o);
    else if (o->history != NO_HISTORY)
        linear_unknown(s->linear, o->history);
    o->history = NO_HISTORY;
}

void sim_not_sent(struct sim *s, uint32_t op)
{
    history_fails(s, &s->ops[op]);
    s->m[s->ops[op].node].pending--;
    ended(s, op, OP_LOST);
}

uint32_t sim_ask(struct sim *s, unsigned client, unsigned node, enum op_kind kind, uint32_t key,
                 uint32_t len, uint64_t timeout_us)
{
    if (s->n_ops == s->cap_ops) {
        s->cap_ops = s->cap_ops ? 2 * s->cap_ops : 1024;
        s->ops = sim_must(realloc(s->ops, s->cap_ops * sizeof *s->ops));
    }
    uint32_t number = s->n_ops++;
    struct op *o = &s->ops[number];
    *o = (struct op){.kind = kind,
                     .node = node,
                     .client = client,
                     .key = key == NO_OP ? fresh_key(s) : key,
                     .len = len,
                     .ttl_ms = kind == OP_PUT && client < s->o.clients ? ttl_ms(s, number) : 0,
                     .timeout_us = timeout_us,
                     .must_see = s->n_committed,
                     .first = number,
                     .decided = NO_OP,
                     .born = s->m[node].up ? replica_applied(node_replica(s->m[node].node)) : 0,
                     .token = kind < OP_GET && client < s->o.clients &&
                              sim_roll(s, RNG_CLIENT, 2) == 0};
    o->history = history_begin(s, o, number);
    s->m[node].pending++;
    struct event *e = sim_post(s, s->now + 1, EV_SUBMIT, node);
    e->op = number;
    return number;
}

/* Asks for the same once more, under the same token. */
static uint32_t repeat(struct sim *s, unsigned client, unsigned node, uint64_t timeout_us)
{
    struct client *c = &s->clients[client];
    uint32_t first = s->ops[c->again].first;
    struct op o = s->ops[first];
    uint32_t number = sim_ask(s, UINT32_MAX, node, o.kind, o.key, o.len, timeout_us);
    struct op *again = &s->ops[number];
    if (again->history != NO_HISTORY)
        linear_failed(s->linear, again->history);
    again->client = client;
    again->history = c->again_history;
    again->first = first;
    again->ttl_ms = o.ttl_ms;
    again->token = true;
    c->again = NO_OP;
    return number;
}

static void new_operation(struct sim *s, unsigned client)
{
    uint64_t kind = sim_roll(s, RNG_CLIENT, 100);
    unsigned node = s->clients[client].node;
    if (sim_roll(s, RNG_CLIENT, 8) == 0 || !s->m[node].up)
        node = s->clients[client].node = (unsigned)sim_roll(s, RNG_CLIENT, s->o.nodes);
    uint32_t hot = (uint32_t)sim_roll(s, RNG_CLIENT, s->o.hot_keys);
    uint64_t most = sim_roll(s, RNG_CLIENT, 10) == 0 ? s->o.max_value_bytes : SMALL_VALUE;
    if (most > s->o.max_value_bytes)
        most = s->o.max_value_bytes;
    uint32_t len = (uint32_t)sim_roll(s, RNG_CLIENT, most + 1);
    uint64_t timeout = sim_between(s, RNG_CLIENT, s->o.timeout_us / 10, s->o.timeout_us);
    unsigned local = (unsigned)sim_roll(s, RNG_CLIENT, s->o.nodes);
    if (s->m[local].up)
        sim_local_read(s, &s->m[local]);
    uint32_t op;
    if (s->clients[client].again != NO_OP)
        op = repeat(s, client, node, timeout);
    else if (kind < 35)
        op = sim_ask(s, client, node, OP_PUT, hot, len, timeout);
    else if (kind < 50)
        op = sim_ask(s, client, node, OP_PUT, NO_OP, len, timeout);
    else if (kind < 60)
        op = sim_ask(s, client, node, OP_DELETE, hot, 0, timeout);
    else
        op = sim_ask(s, client, node, kind < 97 ? OP_GET : OP_LIST, hot, 0, timeout);
    s->clients[client].op = op;
    struct event *e = sim_post(s, s->now + timeout + PATIENCE_US, EV_CLIENT, 0);
    e->extra = client;
    e->op = op;
}

void sim_client(struct sim *s, struct event *e)
{
    unsigned client = (unsigned)e->extra;
    if (s->clients[client].op != e->op)
        return;
    if (e->op != NO_OP) { /* its patience ends; it asks another node */
        sim_note(s, NOTE_LOST_OP, s->ops[e->op].node, e->op, 0, 0);
        may_repeat(s, e->op, s->ops[e->op].history);
        history_unknown(s, &s->ops[e->op]);
        s->clients[client].op = NO_OP;
        s->clients[client].node = (unsigned)sim_roll(s, RNG_CLIENT, s->o.nodes);
    }
    if (!s->closed)
        new_operation(s, client);
}

static void submit_write(struct sim *s, struct sim_node *m, uint32_t number)
{
    const struct op *o = &s->ops[number];
    uint8_t key[KEY_BYTES];
    uint8_t ttl[CMD_NUMBER_BYTES];
    struct request *req = sim_must(calloc(1, sizeof *req + sizeof(struct cmd_token) +
                                                 2 * (CMD_ONE_BYTES + sizeof key) + sizeof ttl +
                                                 o->len));
    struct cmd_item it[2] = {{.kind = o->kind == OP_PUT ? CMD_PUT : CMD_DELETE, .key = key},
                             {.kind = CMD_EXPIRE, .key = key}};
    it[0].key_len = it[1].key_len = (uint16_t)key_name(s, o->key, key);
    if (o->kind == OP_PUT) {
        it[0].value = value_of(s, o->first);
        it[0].value_len = o->len;
    }
    put_u64(ttl, o->ttl_ms);
    it[1].value = ttl;
    it[1].value_len = sizeof ttl;
    const struct cmd c = {.flags = o->token ? CMD_HAS_TOKEN : 0,
                          .operations = o->ttl_ms != 0 ? 2 : 1,
                          .token = token_of(s, o)};
    req->cmd_len = (uint32_t)cmd_encode(req->cmd, &c, it);
    req->client_tag = number;
    req->deadline_us = sim_local(m, s->now) + o->timeout_us;
    s->t.writes++;
    node_write(m->node, sim_local(m, s->now), req);
    if (s->ops[number].state == OP_OPEN) { /* else refused at once, and gone */
        s->ops[number].id = id_of(req->process, req->number);
        id_add(s, number);
    }
}

void sim_submit(struct sim *s, struct sim_node *m, struct event *e)
{
    struct op *o = &s->ops[e->op];
    sim_note(s, NOTE_SUBMIT, m->at, e->op, o->kind, o->key);
    if (o->kind >= OP_GET && m->n_reads == READS) {
        sim_not_sent(s, e->op);
        return;
    }
    o->state = OP_OPEN;
    sim_touch(s, m);
    if (o->kind >= OP_GET) {
        m->reads[m->n_reads++] = e->op;
        o->read = node_read(m->node, sim_local(m, s->now));
    } else {
        submit_write(s, m, e->op);
    }
}

static void acked(struct sim *s, struct sim_node *m, const struct request *req)
{
    uint32_t number = (uint32_t)req->client_tag;
    struct op *o = &s->ops[number];
    sim_follow(s, m); /* in the middle of a step: it may have committed just now */
    if (req->results.revision == 0 || o->committed != req->results.revision)
        sim_broken(s, "acked", "node %u acknowledges a write at %" PRIu64 ", committed at %" PRIu64,
                   m->at + 1, req->results.revision, o->committed);
    if ((req->result == RESULT_NO_KEY) != (o->kind == OP_DELETE && o->absent))
        sim_broken(s, "acked-absent", "node %u: a deletion has the wrong result", m->at + 1);
    if (o->full)
        sim_broken(s, "acked-full", "node %u acknowledges a write for which there is no room",
                   m->at + 1);
    rcu_enter();
    if (kv_view(m->kv)->index < req->results.revision)
        sim_broken(s, "acked-unseen", "node %u acknowledges a write that it doesn't show yet",
                   m->at + 1);
    rcu_leave();
    s->t.acked++;
    if (o->history != NO_HISTORY)
        linear_return(s->linear, o->history,
                      o->kind == OP_PUT ? LINEAR_DONE
                      : o->absent       ? LINEAR_ABSENT
                                        : LINEAR_FOUND,
                      0, s->now);
}

/* Refused before it entered a log, or by the state machine. */
static void full(struct sim *s, struct sim_node *m, const struct request *req)
{
    struct op *o = &s->ops[(uint32_t)req->client_tag];
    sim_follow(s, m);
    if (s->o.max_data_bytes == 0 || o->kind != OP_PUT || o->committed != req->results.revision ||
        (req->results.revision != 0 && !o->full))
        sim_broken(s, "full",
                   "node %u has no room for a write at %" PRIu64 ", committed at %" PRIu64,
                   m->at + 1, req->results.revision, o->committed);
    o->refused = true;
    s->t.full++;
    history_fails(s, o);
}

void sim_on_answer(void *ctx, struct request *req)
{
    struct sim_node *m = ctx;
    struct sim *s = m->sim;
    if (req->kind == REQUEST_CHANGE) {
        sim_on_changed(s, m, req);
        return;
    }
    if (req->client_tag == PROGRAM_TAG) {
        sim_program_answered(m, req);
        return;
    }
    uint32_t number = (uint32_t)req->client_tag;
    struct op *o = &s->ops[number];
    assert(o->state == OP_OPEN);
    sim_note(s, NOTE_ANSWER, m->at, number, req->result, req->results.revision);
    m->pending--;
    switch (req->result) {
    case RESULT_OK:
    case RESULT_NO_KEY: acked(s, m, req); break;
    case RESULT_FULL: full(s, m, req); break;
    case RESULT_NO_LEADER:
    case RESULT_BUSY:
    case RESULT_DISK_FULL:
    case RESULT_LOG_FULL:
    case RESULT_CROWD:
        s->t.refused++;
        if (o->committed != 0)
            sim_broken(s, "refused-done", "node %u refuses a write that was done at %" PRIu64,
                       m->at + 1, o->committed);
        o->refused = true;
        history_fails(s, o);
        break;
    case RESULT_UNKNOWN:
    case RESULT_STOPPING:
        s->t.unknown++;
        if (s->clients != NULL && o->client < s->o.clients && s->clients[o->client].op == number)
            may_repeat(s, number, o->history);
        history_unknown(s, o);
        break;
    case RESULT_TOO_LARGE:
    case RESULT_NOT_YET: /* of reads alone */
    case RESULT_REFUSED:
    case RESULT_BAD: sim_broken(s, "bad", "node %u calls a good request bad", m->at + 1);
    }
    results_free(&req->results);
    free(req);
    ended(s, number, OP_DONE);
}

static void serve(struct sim *s, struct sim_node *m, uint32_t number)
{
    struct op *o = &s->ops[number];
    uint64_t applied = replica_applied(node_replica(m->node));
    sim_note(s, NOTE_READ, m->at, number, applied, o->must_see);
    if (applied < o->must_see)
        sim_broken(s, "stale-read",
                   "node %u serves a read at %" PRIu64 ", %" PRIu64 " was committed when it came",
                   m->at + 1, applied, o->must_see);
    unsigned n = o->kind == OP_LIST ? s->o.hot_keys : 1;
    for (unsigned i = 0; i < n; i++) {
        uint32_t shows = look(s, m, o->kind == OP_LIST ? i : o->key);
        if (o->history != NO_HISTORY)
            linear_return(s->linear, o->history + i, shows == NO_OP ? LINEAR_ABSENT : LINEAR_FOUND,
                          shows == NO_OP ? 0 : shows + UINT64_C(1), s->now);
    }
    s->t.lists += o->kind == OP_LIST;
    s->t.reads++;
    m->pending--;
    ended(s, number, OP_DONE);
}

void sim_on_reads_done(void *ctx, uint64_t read)
{
    struct sim_node *m = ctx;
    struct sim *s = m->sim;
    unsigned done = 0;
    sim_follow(s, m);
    for (; done < m->n_reads && s->ops[m->reads[done]].read <= read; done++)
        serve(s, m, m->reads[done]);
    m->n_reads -= done;
    memmove(m->reads, m->reads + done, m->n_reads * sizeof m->reads[0]);
}

/* The node dies; its clients' connections end. Writes are answered by node_free(). */
void sim_clients_lost(struct sim *s, struct sim_node *m)
{
    for (unsigned i = 0; i < m->n_reads; i++) {
        history_fails(s, &s->ops[m->reads[i]]);
        m->pending--;
        ended(s, m->reads[i], OP_LOST);
    }
    m->n_reads = 0;
}

/* ---- all of them ---- */

void sim_clients_init(struct sim *s)
{
    s->linear = sim_must(linear_new());
    s->row = sim_must(malloc(VALUES + s->o.max_value_bytes));
    for (size_t i = 0; i < VALUES + s->o.max_value_bytes; i++)
        s->row[i] = (uint8_t)sim_roll(s, RNG_CLIENT, 256);
    for (unsigned i = 0; i < s->o.hot_keys; i++)
        (void)fresh_key(s);
    s->clients = sim_must(calloc(s->o.clients + 1, sizeof *s->clients));
    for (unsigned i = 0; i < s->o.clients; i++) {
        s->clients[i] = (struct client){
            .op = NO_OP, .node = (unsigned)sim_roll(s, RNG_CLIENT, s->o.nodes), .again = NO_OP};
        struct event *e = sim_post(s, s->now + sim_roll(s, RNG_CLIENT, 2 * s->o.think_us) + 1,
                                   EV_CLIENT, 0);
        e->extra = i;
    }
}

void sim_clients_free(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_keys; i++)
        free(s->keys[i].v);
    free(s->keys);
    free(s->made);
    free(s->ops);
    free(s->clients);
    free(s->ids);
    free(s->row);
    linear_free(s->linear);
}

void sim_check_history(struct sim *s)
{
    struct linear_verdict v;
    linear_check(s->linear, LINEAR_STATES_MAX, &v);
    if (v.outcome == LINEAR_BROKEN)
        sim_broken(s, "linearizability", "key h%u: no order explains\n%s", v.key, v.text);
}

void sim_put(struct sim *s, unsigned node, size_t len, uint64_t timeout_us)
{
    (void)sim_ask(s, UINT32_MAX, node, OP_PUT, NO_OP, (uint32_t)len, timeout_us);
}

bool sim_read(struct sim *s, unsigned node)
{
    if (!s->m[node].up)
        return false;
    (void)sim_ask(s, UINT32_MAX, node, OP_GET, 0, 0, 0);
    return true;
}

unsigned sim_acked(const struct sim *s)
{
    return (unsigned)s->t.acked;
}

unsigned sim_pending(const struct sim *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->o.nodes; i++)
        n += s->m[i].pending;
    return n;
}
