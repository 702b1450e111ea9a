/* asked.c: what clients ask of their nodes, as commands, and which of them an entry of a log is.
 *
 * What a write asks for follows from its number and from what its client had seen, so it can be made again
 * at any time, and compared with what is in a log. */
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "tests/sim/impl.h"

enum {
    TTL_MIN_MS = 20,
    VALUES = 8191, /* different ones */
    OVERFLOWS = 16 /* one sum in so many is of a number that often has no room */
};

/* ---- keys and values ---- */

size_t sim_key_name(const struct sim *s, uint32_t key, uint8_t name[KEY_BYTES])
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

bool sim_value_is(const struct sim *s, uint32_t op, const uint8_t *p, size_t len)
{
    op = s->ops[op].first;
    return s->ops[op].len == len && (len == 0 || memcmp(p, value_of(s, op), len) == 0);
}

void sim_row_init(struct sim *s)
{
    s->row = sim_must(malloc(VALUES + s->o.max_value_bytes));
    for (size_t i = 0; i < VALUES + s->o.max_value_bytes; i++)
        s->row[i] = (uint8_t)sim_roll(s, RNG_CLIENT, 256);
}

/* ---- operations by (node, request number) ---- */

static size_t id_slot(const struct sim *s, unsigned node, uint64_t id)
{
    size_t i = (size_t)((id + node) * 0x9e3779b97f4a7c15u >> 20) & (s->cap_ids - 1);
    while (s->ids[i] != NO_OP && (s->ops[s->ids[i]].id != id || s->ops[s->ids[i]].node != node))
        i = (i + 1) & (s->cap_ids - 1);
    return i;
}

void sim_id_add(struct sim *s, uint32_t op)
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
uint64_t sim_id_of(uint64_t process, uint64_t number)
{
    return (process >> 32) << 32 | (uint32_t)number;
}

/* ---- commands ---- */

/* Any number, always the same one for an operation. No chance is drawn for it. */
static uint64_t any(const struct sim *s, uint32_t op)
{
    uint64_t z = (op + s->o.seed) * 0x9e3779b97f4a7c15u;
    return z ^ z >> 29;
}

/* Of the puts of clients every fifth has a time to live. */
uint32_t sim_ttl_ms(const struct sim *s, uint32_t op)
{
    uint64_t z = any(s, op);
    return z % 5 == 0 ? TTL_MIN_MS + (uint32_t)(z >> 8) % (SIM_TTL_MAX_MS - TTL_MIN_MS) : 0;
}

/* Some puts, with a time to live or without, are of a key that ends with its client's connection. */
bool sim_is_held(const struct sim *s, uint32_t op)
{
    return s->o.locks && (any(s, op) >> 24) % 4 == 0;
}

uint32_t sim_counter_of(const struct sim *s, const struct op *o)
{
    return s->o.hot_keys + (uint32_t)(any(s, o->first) >> 8) % SIM_COUNTERS;
}

static struct cmd_item *wish(struct asked *a, enum cmd_kind kind, bool counter)
{
    struct cmd_item *it = &a->it[a->n++];
    *it = (struct cmd_item){.kind = (uint8_t)kind, .key = counter ? a->counter : a->key};
    it->key_len = counter ? a->counter_len : a->key_len;
    return it;
}

static void wish_value(const struct sim *s, struct asked *a, enum cmd_kind kind, uint32_t op)
{
    struct cmd_item *it = wish(a, kind, false);
    it->value = value_of(s, op);
    it->value_len = s->ops[op].len;
}

static void wish_number(struct asked *a, enum cmd_kind kind, bool counter, uint64_t number)
{
    struct cmd_item *it = wish(a, kind, counter);
    put_u64(a->number[kind == CMD_ADD], number);
    it->value = a->number[kind == CMD_ADD];
    it->value_len = CMD_NUMBER_BYTES;
}

/* The hot key is as the client saw it, or is there, or is not. */
static void wish_condition(const struct sim *s, struct asked *a, const struct op *o, uint64_t z)
{
    if (z % 4 == 0)
        (void)wish(a, CMD_IF_PRESENT, false);
    else if (z % 4 == 1 || o->seen.op == NO_OP)
        (void)wish(a, CMD_IF_ABSENT, false);
    else if (z % 4 == 2)
        wish_number(a, CMD_IF_REVISION, false, o->seen.index);
    else
        wish_value(s, a, CMD_IF_VALUE, o->seen.op);
}

/* A transaction of a hot key and a counter: if the hot key is so, and if the counter is so, the hot key
 * becomes another one; whatever the counter is, it changes; and what are both now? */
static void wish_transaction(const struct sim *s, struct asked *a, const struct op *o)
{
    uint64_t z = any(s, o->first) >> 16;
    a->counter_len = (uint16_t)sim_key_name(s, sim_counter_of(s, o), a->counter);
    wish_condition(s, a, o, z);
    a->c.conditions = 1;
    wish(a, z >> 2 & 1 ? CMD_IF_PRESENT : CMD_IF_ABSENT, true)->guards = 1;
    if ((z >> 3) % 4 == 0)
        (void)wish(a, CMD_DELETE, false);
    else
        wish_value(s, a, CMD_PUT, o->first);
    if ((z >> 5) % 4 == 0)
        (void)wish(a, CMD_DELETE, true);
    else
        wish_number(a, CMD_ADD, true,
                    (z >> 7) % OVERFLOWS == 0 ? INT64_MAX : (z >> 16) % 100 - UINT64_C(50));
    (void)wish(a, CMD_READ, false);
    (void)wish(a, CMD_READ, true);
}

static struct cmd_token token_of(const struct sim *s, const struct op *o)
{
    struct cmd_token t = {.index = o->token ? s->ops[o->first].born : 0};
    if (o->token)
        put_u64(t.random, o->first + UINT64_C(1));
    return t;
}

void sim_asked(const struct sim *s, uint32_t op, struct asked *a)
{
    const struct op *o = &s->ops[op];
    a->c = (struct cmd){.flags = o->token ? CMD_HAS_TOKEN : 0, .token = token_of(s, o)};
    a->n = 0;
    a->key_len = (uint16_t)sim_key_name(s, o->key, a->key);
    if (o->kind == OP_TRANSACTION)
        wish_transaction(s, a, o);
    else if (o->kind == OP_DELETE)
        (void)wish(a, CMD_DELETE, false);
    else
        wish_value(s, a, o->held ? CMD_PUT_HELD : CMD_PUT, o->first);
    if (o->held) {
        a->c.flags = CMD_HAS_CONNECTION;
        a->c.connection = HELD_CONNECTION + o->client;
    }
    if (o->ttl_ms != 0)
        wish_number(a, CMD_EXPIRE, false, o->ttl_ms);
    a->c.operations = (uint8_t)(a->n - a->c.conditions);
}

struct holder sim_frees(const struct record *rec)
{
    struct cmd c;
    if (cmd_decode(rec->data, rec->data_len, &c) < 0 || *c.items != CMD_FREE)
        return (struct holder){0};
    const uint8_t *at = c.items;
    struct cmd_item it = cmd_next(&at);
    return (struct holder){.origin = get_u16(it.key), .process = get_u64(it.key + 2)};
}

/* A command of a program, see lease.c: no client has asked for it. */
static bool is_programs(const struct cmd *c)
{
    return *c->items == CMD_FREE_CONNECTION ||
           ((c->flags & CMD_HAS_CONNECTION) != 0 && c->connection < HELD_CONNECTION);
}

bool sim_is_end(const struct record *rec)
{
    struct cmd c;
    return cmd_decode(rec->data, rec->data_len, &c) == 0 && cmd_is_housekeeping(&c) &&
           *c.items == CMD_END_DUE;
}

static bool same_item(const struct cmd_item *a, const struct cmd_item *b)
{
    return a->kind == b->kind && a->guards == b->guards && a->key_len == b->key_len &&
           memcmp(a->key, b->key, a->key_len) == 0 && a->value_len == b->value_len &&
           (a->value_len == 0 || memcmp(a->value, b->value, a->value_len) == 0);
}

static bool is_asked(const struct sim *s, uint32_t op, const struct cmd *c)
{
    struct asked a;
    const uint8_t *at = c->items;
    sim_asked(s, op, &a);
    bool same = c->flags == a.c.flags && c->conditions == a.c.conditions &&
                c->operations == a.c.operations && c->connection == a.c.connection &&
                memcmp(&c->token, &a.c.token, sizeof c->token) == 0 &&
                c->limit == s->o.max_data_bytes / CMD_LIMIT_BYTES;
    for (unsigned i = 0; same && i < a.n; i++) {
        struct cmd_item it = cmd_next(&at);
        same = same_item(&it, &a.it[i]);
    }
    return same;
}

uint32_t sim_op_of(struct sim *s, const struct record *rec, struct sender *sender)
{
    struct cmd c;
    if (cmd_decode(rec->data, rec->data_len, &c) < 0)
        sim_broken(s, "command", "entry %" PRIu64 " is no command", rec->index);
    *sender = (struct sender){c.origin, c.process, c.predecessor, c.number};
    s->t.frees += cmd_is_housekeeping(&c);
    if (cmd_is_housekeeping(&c) || is_programs(&c))
        return NO_OP;
    uint32_t op = s->cap_ids == 0 || c.origin == 0
                      ? NO_OP
                      : s->ids[id_slot(s, c.origin - 1u, sim_id_of(c.process, c.number))];
    if (op == NO_OP)
        sim_broken(s, "nobody-asked", "entry %" PRIu64 " is a write that nobody asked for",
                   rec->index);
    if (!is_asked(s, op, &c))
        sim_broken(s, "asked-else", "entry %" PRIu64 " is not the write that was asked for",
                   rec->index);
    return op;
}
