/* model.c: what was committed, key by key.
 *
 * Every read, at any node at any time, must show exactly the model as of what that node has applied. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "tests/sim/impl.h"

enum { DIGITS = 24 /* more than of any number of 64 bits, with its sign and the end */ };

const struct version *sim_version_at(const struct key *k, uint64_t index)
{
    unsigned n = k->n;
    while (n > 0 && k->v[n - 1].index > index)
        n--;
    return n == 0 || k->v[n - 1].op == NO_OP ? NULL : &k->v[n - 1];
}

static size_t digits(const struct version *v, char text[DIGITS])
{
    return (size_t)snprintf(text, DIGITS, "%" PRId64, v->number);
}

static bool is_counter(const struct sim *s, uint32_t key)
{
    return key >= s->o.hot_keys && key - s->o.hot_keys < SIM_COUNTERS;
}

bool sim_shows(const struct sim *s, uint32_t key, const struct version *v, const uint8_t *p,
               size_t len)
{
    char text[DIGITS];
    if (!is_counter(s, key))
        return sim_value_is(s, v->op, p, len);
    return digits(v, text) == len && memcmp(p, text, len) == 0;
}

uint64_t sim_costs(const struct sim *s, uint32_t key, const struct version *v)
{
    uint8_t name[KEY_BYTES];
    char text[DIGITS];
    if (v == NULL || v->op == NO_OP)
        return 0;
    return KV_KEY_BYTES + sim_key_name(s, key, name) +
           (is_counter(s, key) ? digits(v, text) : s->ops[v->op].len);
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
        const struct version *v = sim_version_at(&s->keys[k], e->index);
        if (v == NULL || v->expiry_ms == 0 || v->expiry_ms > e->ms ||
            (best != NULL && v->expiry_ms > best->expiry_ms))
            continue;
        size_t a_len = sim_key_name(s, k, a), b_len = best != NULL ? sim_key_name(s, first, b) : 0;
        if (best == NULL || v->expiry_ms < best->expiry_ms ||
            tree_compare(a, a_len, b, b_len) < 0) {
            best = v;
            first = k;
        }
    }
    return first;
}

/* Of a hot key it is in the clients' history: it is over when it is committed, and not before. */
static void end_key(struct sim *s, const struct entry *e, uint32_t key)
{
    s->data_bytes -= sim_costs(s, key, sim_version_at(&s->keys[key], e->index));
    add_version(s, key, (struct version){.index = e->index, .op = NO_OP});
    if (key < s->o.hot_keys)
        linear_return(s->linear,
                      linear_invoke(s->linear, UINT32_MAX, LINEAR_DELETE, key, 0, s->now),
                      LINEAR_FOUND, 0, s->now);
}

static void model_end(struct sim *s, const struct entry *e)
{
    uint32_t key;
    for (unsigned n = 0; n < MACHINE_ENDS_MAX && (key = first_due(s, e)) != NO_OP; n++) {
        end_key(s, e, key);
        s->t.ends++;
    }
}

/* The first key that the process holds, by connection and name; NO_OP: it holds none. */
static uint32_t first_held(const struct sim *s, const struct entry *e)
{
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    const struct version *best = NULL;
    uint32_t first = NO_OP;
    for (uint32_t k = 0; k < s->n_keys; k++) {
        const struct version *v = sim_version_at(&s->keys[k], e->index);
        if (v == NULL || v->holder.origin != e->frees.origin ||
            v->holder.process != e->frees.process ||
            (best != NULL && v->holder.connection > best->holder.connection))
            continue;
        size_t a_len = sim_key_name(s, k, a), b_len = best != NULL ? sim_key_name(s, first, b) : 0;
        if (best == NULL || v->holder.connection < best->holder.connection ||
            tree_compare(a, a_len, b, b_len) < 0) {
            best = v;
            first = k;
        }
    }
    return first;
}

/* Of no process there are so many that one entry would not free them all. */
static void model_free(struct sim *s, const struct entry *e)
{
    uint32_t key;
    while ((key = first_held(s, e)) != NO_OP) {
        end_key(s, e, key);
        s->t.freed_keys++;
    }
}

/* A program's command: all that the model takes of it is whose it is. */
static void program_takes(struct sim *s, const struct entry *e)
{
    struct current *c = e->sender.origin != 0 ? &s->current[e->sender.origin - 1] : NULL;
    if (c != NULL && c->process != e->sender.process && c->process == e->sender.predecessor)
        *c = (struct current){e->sender.process, 0};
}

static bool is_full(const struct sim *s, uint64_t less, uint64_t more)
{
    return s->o.max_data_bytes != 0 && more > less &&
           s->data_bytes - less + more > s->o.max_data_bytes;
}

/* To the clients' history a transaction is one write of the hot key, over when it is committed. */
static void take_transaction(struct sim *s, const struct entry *e, struct op *o)
{
    struct transacted t;
    uint32_t counter = sim_counter_of(s, o);
    uint64_t less = sim_costs(s, o->key, sim_version_at(&s->keys[o->key], e->index)) +
                    sim_costs(s, counter, sim_version_at(&s->keys[counter], e->index));
    sim_transact(s, o, e->index, &t);
    uint64_t more = sim_costs(s, o->key, &t.key) + sim_costs(s, counter, &t.counter);
    o->full = outcome_is_done(t.outcome) && is_full(s, less, more);
    if (o->full || !outcome_is_done(t.outcome))
        return;
    s->data_bytes = s->data_bytes - less + more;
    if (t.counter.index == e->index) /* its first operation is of the counter */
        add_version(s, counter, t.counter);
    if (t.key.index != e->index)
        return;
    add_version(s, o->key, t.key);
    bool put = t.key.op != NO_OP;
    linear_return(s->linear,
                  linear_invoke(s->linear, UINT32_MAX, put ? LINEAR_PUT : LINEAR_DELETE, o->key,
                                put ? o->first + UINT64_C(1) : 0, s->now),
                  put ? LINEAR_DONE : LINEAR_FOUND, 0, s->now);
}

static void take_write(struct sim *s, const struct entry *e, struct op *o)
{
    const struct version *before = sim_version_at(&s->keys[o->key], e->index);
    struct version v = {.index = e->index, .create = e->index, .op = o->first};
    v.expiry_ms = o->ttl_ms != 0 ? e->ms + o->ttl_ms : 0;
    if (o->kind == OP_DELETE) {
        o->absent = before == NULL;
        if (o->absent)
            return;
        v.op = NO_OP;
    } else if (before != NULL) {
        v.create = before->create;
    }
    if (o->held)
        v.holder = (struct holder){e->sender.origin, e->sender.process,
                                   HELD_CONNECTION + o->client};
    uint64_t more = sim_costs(s, o->key, &v), less = sim_costs(s, o->key, before);
    o->full = is_full(s, less, more);
    if (o->full)
        return;
    s->data_bytes = s->data_bytes - less + more;
    add_version(s, o->key, v);
}

void sim_model_take(struct sim *s, const struct entry *e)
{
    if (e->ends)
        model_end(s, e);
    else if (e->frees.origin != 0)
        model_free(s, e);
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
    if (o->kind == OP_TRANSACTION)
        take_transaction(s, e, o);
    else
        take_write(s, e, o);
}

bool sim_key_begins(const struct sim *s, uint32_t key, const char *prefix)
{
    uint8_t name[KEY_BYTES];
    size_t len = strlen(prefix);
    return sim_key_name(s, key, name) >= len && memcmp(name, prefix, len) == 0;
}

bool sim_is_change(const struct sim *s, const struct change_made *c, const struct history_change *h)
{
    const struct kv_object *o = h->object;
    uint8_t name[KEY_BYTES];
    size_t len = sim_key_name(s, c->key, name);
    if (o->modify_revision != c->index || o->key_len != len || memcmp(kv_key(o), name, len) != 0)
        return false;
    enum history_kind gone = s->committed[c->index]->ends ? HISTORY_EXPIRED : HISTORY_DELETED;
    return c->op == NO_OP ? h->kind == gone
                          : h->kind == HISTORY_PUT &&
                                sim_shows(s, c->key, sim_version_at(&s->keys[c->key], c->index),
                                          kv_value(o), o->value_len);
}

/* That object is that version, or both are nothing. */
static void compare(struct sim *s, struct sim_node *m, uint32_t key, const struct version *v,
                    const struct kv_object *o)
{
    if (v == NULL && o == NULL)
        return;
    if (v == NULL || o == NULL || o->modify_revision != v->index ||
        o->create_revision != v->create || kv_expiry_ms(o) != v->expiry_ms ||
        kv_holder(o) != v->holder.origin || !sim_shows(s, key, v, kv_value(o), o->value_len))
        sim_broken(s, "state", "node %u, applied %" PRIu64 ": key %u is not what was committed",
                   m->at + 1, replica_applied(node_replica(m->node)), key);
}

/* Reads a key; returns the write that it shows, or NO_OP. */
uint32_t sim_look(struct sim *s, struct sim_node *m, uint32_t key)
{
    uint8_t name[KEY_BYTES];
    size_t len = sim_key_name(s, key, name);
    const struct version *v = sim_version_at(&s->keys[key], replica_applied(node_replica(m->node)));
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
    (void)sim_look(s, m, key);
}

/* All keys. */
void sim_check_state(struct sim *s, struct sim_node *m)
{
    size_t n = 0, live = 0;
    struct kv_range all = {0};
    struct kv_cursor cursor;
    for (uint32_t k = 0; k < s->n_keys; k++)
        live += sim_look(s, m, k) != NO_OP;
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
