/* client.c: clients, as a node's local clients are, and what they may see.
 *
 * Clients write and read a few hot keys, so that their operations meet, and write keys of their
 * own. Each has one operation at a time, on any node, gives up when it takes too long or the node
 * dies, and then does another, or repeats a write that has a token, through any node: it must be done
 * once. What they saw of the hot keys is recorded for linear.h, what transactions told them is checked with
 * transactions.c.
 *
 * Beside that stands a model of what was committed (model.c); a linearizable read must show all that was
 * committed anywhere when it was asked.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "tests/sim/impl.h"
enum {
    PATIENCE_US = 500000,
    SMALL_VALUE = 200,
};

#define NO_HISTORY SIZE_MAX

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
    static const enum linear_kind kinds[] = {[OP_PUT] = LINEAR_PUT,
                                             [OP_DELETE] = LINEAR_DELETE,
                                             [OP_GET] = LINEAR_GET,
                                             [OP_LIST] = LINEAR_GET};
    if (o->key >= s->o.hot_keys || o->kind == OP_TRANSACTION || o->kind == OP_SCAN)
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
            struct sim_event *e = sim_post(
                s, s->now + sim_roll(s, RNG_CLIENT, 2 * s->o.think_us) + 1, EV_CLIENT, 0);
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
                     .ttl_ms = kind == OP_PUT && client < s->o.clients ? sim_ttl_ms(s, number) : 0,
                     .timeout_us = timeout_us,
                     .must_see = s->n_committed,
                     .first = number,
                     .decided = NO_OP,
                     .born = s->m[node].up ? replica_applied(node_replica(s->m[node].node)) : 0,
                     .token = kind < OP_GET && client < s->o.clients &&
                              sim_roll(s, RNG_CLIENT, 2) == 0};
    o->held = kind == OP_PUT && client < s->o.clients && !o->token && sim_is_held(s, number);
    const struct version *seen = sim_version_at(&s->keys[o->key], s->n_committed);
    o->seen = seen != NULL ? *seen : (struct version){.op = NO_OP};
    o->history = history_begin(s, o, number);
    s->m[node].pending++;
    struct sim_event *e = sim_post(s, s->now + 1, EV_SUBMIT, node);
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
    again->seen = o.seen;
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
    else if (kind < 70)
        op = sim_ask(s, client, node, OP_TRANSACTION, hot, len % SMALL_VALUE, timeout);
    else
        op = sim_ask(s, client, node, kind < 97 ? OP_GET : OP_LIST, hot, 0, timeout);
    s->clients[client].op = op;
    struct sim_event *e = sim_post(s, s->now + timeout + PATIENCE_US, EV_CLIENT, 0);
    e->extra = client;
    e->op = op;
}

void sim_client(struct sim *s, struct sim_event *e)
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
    struct asked a;
    sim_asked(s, number, &a);
    struct request *req = sim_must(calloc(1, sizeof *req + cmd_size(&a.c, a.it)));
    req->cmd_len = (uint32_t)cmd_encode(req->cmd, &a.c, a.it);
    req->client_tag = number;
    req->deadline_us = sim_local(m, s->now) + o->timeout_us;
    s->t.writes++;
    node_write(m->node, sim_local(m, s->now), req);
    if (s->ops[number].state == OP_OPEN) { /* else refused at once, and gone */
        s->ops[number].id = sim_id_of(req->process, req->number);
        sim_id_add(s, number);
    }
}

void sim_submit(struct sim *s, struct sim_node *m, struct sim_event *e)
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
    if (o->kind != OP_TRANSACTION &&
        (req->result == RESULT_NO_KEY) != (o->kind == OP_DELETE && o->absent))
        sim_broken(s, "acked-absent", "node %u: a deletion has the wrong result", m->at + 1);
    if (o->full)
        sim_broken(s, "acked-full", "node %u acknowledges a write for which there is no room",
                   m->at + 1);
    if (o->kind == OP_TRANSACTION)
        sim_check_transaction(s, m, o, &req->results);
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
    if (s->o.max_data_bytes == 0 || o->kind == OP_DELETE || o->committed != req->results.revision ||
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
    if (req->client_tag >= PROGRAM_TAG) {
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
    case RESULT_REFUSED:
        if (o->kind != OP_TRANSACTION)
            sim_broken(s, "bad", "node %u refuses a write without conditions", m->at + 1);
        acked(s, m, req);
        break;
    case RESULT_FULL: full(s, m, req); break;
    case RESULT_NO_LEADER:
    case RESULT_BUSY:
    case RESULT_DISK_FULL:
    case RESULT_LOG_FULL:
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
    if (o->kind == OP_SCAN)
        sim_scan_page(s, m, number);
    for (unsigned i = 0; o->kind != OP_SCAN && i < n; i++) {
        uint32_t shows = sim_look(s, m, o->kind == OP_LIST ? i : o->key);
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
    sim_row_init(s);
    for (unsigned i = 0; i < s->o.hot_keys + SIM_COUNTERS; i++)
        (void)fresh_key(s);
    s->clients = sim_must(calloc(s->o.clients + 1, sizeof *s->clients));
    for (unsigned i = 0; i < s->o.clients; i++) {
        s->clients[i] = (struct client){
            .op = NO_OP, .node = (unsigned)sim_roll(s, RNG_CLIENT, s->o.nodes), .again = NO_OP};
        struct sim_event *e = sim_post(s, s->now + sim_roll(s, RNG_CLIENT, 2 * s->o.think_us) + 1,
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
    sim_scans_free(s);
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
