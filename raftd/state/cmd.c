/* cmd.c: see cmd.h. */
#include "raftd/state/cmd.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/bytes.h"

enum {
    AT_FLAGS = 0,
    AT_CONDITIONS = 1,
    AT_OPERATIONS = 2,
    AT_ZERO = 3,
    AT_ORIGIN = 4,
    AT_LIMIT = 6,
    AT_PROCESS = 8,
    AT_PREDECESSOR = 16,
    AT_NUMBER = 24,
    TOKEN_BYTES = CMD_TOKEN_BYTES + 8,
    CONNECTION_BYTES = 8,
    /* Of an item. */
    AT_KIND = 0,
    AT_GUARDS = 1,
    AT_KEY_LEN = 2,
    AT_VALUE_LEN = 4,
};

static bool is_condition(uint8_t kind)
{
    return kind >= CMD_IF_ABSENT && kind <= CMD_IF_HELD;
}

static bool is_operation(uint8_t kind)
{
    return (kind >= CMD_PUT && kind <= CMD_PUT_KEEP) ||
           (kind >= CMD_LOCK && kind <= CMD_PUT_HELD) || kind == CMD_END_DUE || kind == CMD_FREE ||
           kind == CMD_FREE_CONNECTION;
}

static bool is_housekeeping(uint8_t kind)
{
    return kind == CMD_END_DUE || kind == CMD_FREE;
}

static bool needs_connection(uint8_t kind)
{
    return kind >= CMD_LOCK && kind <= CMD_PUT_HELD;
}

static bool stands_alone(uint8_t kind)
{
    return kind == CMD_LOCK || kind == CMD_UNLOCK || kind == CMD_FREE_CONNECTION;
}

/* Bytes of head and of what the flags add to it. */
static size_t head_bytes(uint8_t flags)
{
    return CMD_HEAD_BYTES + (size_t)((flags & CMD_HAS_TOKEN) != 0 ? TOKEN_BYTES : 0) +
           (size_t)((flags & CMD_HAS_CONNECTION) != 0 ? CONNECTION_BYTES : 0);
}

static bool value_fits_kind(const struct cmd_item *it)
{
    switch ((enum cmd_kind)it->kind) {
    case CMD_IF_VALUE:
    case CMD_PUT:
    case CMD_PUT_KEEP:
    case CMD_PUT_HELD: return it->value_len <= CMD_VALUE_MAX_BYTES;
    case CMD_IF_REVISION:
    case CMD_IF_HELD:
    case CMD_UNLOCK:
    case CMD_ADD: return it->value_len == CMD_NUMBER_BYTES;
    case CMD_EXPIRE: return it->value_len == CMD_NUMBER_BYTES && cmd_number(it) <= CMD_TTL_MAX_MS;
    case CMD_LOCK:
        return it->value_len >= 1 && it->value_len <= 1 + CMD_WORD_MAX_BYTES &&
               it->value[0] <= CMD_LOCK_TRIES;
    case CMD_FREE: return it->key_len == CMD_PROCESS_BYTES && it->value_len == 0;
    case CMD_FREE_CONNECTION: return it->key_len == CMD_CONNECTION_BYTES && it->value_len == 0;
    case CMD_IF_ABSENT:
    case CMD_IF_PRESENT:
    case CMD_DELETE:
    case CMD_READ:
    case CMD_END_DUE: return it->value_len == 0;
    }
    return false;
}

size_t cmd_size(const struct cmd *c, const struct cmd_item *items)
{
    size_t size = head_bytes(c->flags);
    for (unsigned i = 0; i < (unsigned)c->conditions + c->operations; i++)
        size += (size_t)CMD_ITEM_BYTES + items[i].key_len + items[i].value_len;
    return size;
}

static uint8_t *put_item(uint8_t *p, const struct cmd_item *it)
{
    p[AT_KIND] = it->kind;
    p[AT_GUARDS] = it->guards;
    put_u16(p + AT_KEY_LEN, it->key_len);
    put_u32(p + AT_VALUE_LEN, it->value_len);
    if (it->key_len > 0)
        memcpy(p + CMD_ITEM_BYTES, it->key, it->key_len);
    p += CMD_ITEM_BYTES + it->key_len;
    if (it->value != NULL && it->value_len > 0)
        memcpy(p, it->value, it->value_len);
    return p + it->value_len;
}

size_t cmd_encode(uint8_t *buf, const struct cmd *c, const struct cmd_item *items)
{
    buf[AT_FLAGS] = c->flags;
    buf[AT_CONDITIONS] = c->conditions;
    buf[AT_OPERATIONS] = c->operations;
    buf[AT_ZERO] = 0;
    cmd_stamp(buf, c->origin, c->process, c->number);
    cmd_stamp_predecessor(buf, c->predecessor);
    cmd_stamp_limit(buf, c->limit);
    uint8_t *p = buf + CMD_HEAD_BYTES;
    if ((c->flags & CMD_HAS_TOKEN) != 0) {
        memcpy(p, c->token.random, CMD_TOKEN_BYTES);
        put_u64(p + CMD_TOKEN_BYTES, c->token.index);
        p += TOKEN_BYTES;
    }
    if ((c->flags & CMD_HAS_CONNECTION) != 0) {
        put_u64(p, c->connection);
        p += CONNECTION_BYTES;
    }
    for (unsigned i = 0; i < (unsigned)c->conditions + c->operations; i++)
        p = put_item(p, &items[i]);
    size_t size = (size_t)(p - buf);
    struct cmd again;
    int rc = cmd_decode(buf, size, &again);
    assert(rc == 0);
    (void)rc;
    return size;
}

size_t cmd_encode_one(uint8_t *buf, const struct cmd_item *operation)
{
    return cmd_encode(buf, &(struct cmd){.operations = 1}, operation);
}

struct cmd_item cmd_next(const uint8_t **at)
{
    const uint8_t *p = *at;
    struct cmd_item it = {
        .kind = p[AT_KIND],
        .guards = p[AT_GUARDS],
        .key_len = get_u16(p + AT_KEY_LEN),
        .value_len = get_u32(p + AT_VALUE_LEN),
        .key = p + CMD_ITEM_BYTES,
    };
    it.value = it.key + it.key_len;
    *at = it.value + it.value_len;
    return it;
}

uint64_t cmd_number(const struct cmd_item *item)
{
    return get_u64(item->value);
}

/* `after`: how many operations come after the item; of a condition proper, which is none of them, -1. */
static bool may_stand(const struct cmd_item *it, int after)
{
    if (!is_condition(it->kind))
        return after >= 0 && is_operation(it->kind) && it->guards == 0;
    return after < 0 ? it->guards == 0 : it->guards >= 1 && it->guards <= after;
}

/* Steps over one item, if it is whole and makes sense. */
static bool check_item(const uint8_t **at, const uint8_t *end, int after)
{
    const uint8_t *p = *at;
    if ((size_t)(end - p) < CMD_ITEM_BYTES)
        return false;
    size_t left = (size_t)(end - p) - CMD_ITEM_BYTES;
    uint16_t key_len = get_u16(p + AT_KEY_LEN);
    if ((key_len < 1) != (p[AT_KIND] == CMD_END_DUE) || key_len > CMD_KEY_MAX_BYTES ||
        key_len > left || get_u32(p + AT_VALUE_LEN) > left - key_len)
        return false;
    struct cmd_item it = cmd_next(at);
    return may_stand(&it, after) && value_fits_kind(&it);
}

bool cmd_is_housekeeping(const struct cmd *c)
{
    return c->conditions == 0 && is_housekeeping(c->items[AT_KIND]);
}

static bool has_no_sender(const struct cmd *c)
{
    return c->flags == 0 && c->conditions == 0 && c->operations == 1 && c->origin == 0 &&
           c->process == 0 && c->predecessor == 0 && c->number == 0;
}

/* An operation of this kind may stand in such a command. */
static bool fits_command(const struct cmd *c, uint8_t kind)
{
    return (!is_housekeeping(kind) || has_no_sender(c)) &&
           (!needs_connection(kind) || (c->flags & CMD_HAS_CONNECTION) != 0) &&
           (!stands_alone(kind) || c->operations == 1);
}

int cmd_decode(const uint8_t *buf, size_t len, struct cmd *c)
{
    if (len < CMD_HEAD_BYTES || len > CMD_MAX_BYTES)
        return -1;
    if ((buf[AT_FLAGS] & ~CMD_FLAGS_KNOWN) != 0 || buf[AT_ZERO] != 0 ||
        buf[AT_CONDITIONS] > CMD_CONDITIONS_MAX || buf[AT_OPERATIONS] < 1 ||
        buf[AT_OPERATIONS] > CMD_OPERATIONS_MAX || len < head_bytes(buf[AT_FLAGS]))
        return -1;
    *c = (struct cmd){
        .flags = buf[AT_FLAGS],
        .conditions = buf[AT_CONDITIONS],
        .operations = buf[AT_OPERATIONS],
        .origin = get_u16(buf + AT_ORIGIN),
        .limit = get_u16(buf + AT_LIMIT),
        .process = get_u64(buf + AT_PROCESS),
        .predecessor = get_u64(buf + AT_PREDECESSOR),
        .number = get_u64(buf + AT_NUMBER),
    };
    const uint8_t *p = buf + CMD_HEAD_BYTES;
    if ((c->flags & CMD_HAS_TOKEN) != 0) {
        memcpy(c->token.random, p, CMD_TOKEN_BYTES);
        c->token.index = get_u64(p + CMD_TOKEN_BYTES);
        p += TOKEN_BYTES;
    }
    if ((c->flags & CMD_HAS_CONNECTION) != 0) {
        c->connection = get_u64(p);
        p += CONNECTION_BYTES;
    }
    c->items = p;
    for (unsigned i = 0; i < c->conditions; i++)
        if (!check_item(&p, buf + len, -1))
            return -1;
    for (int after = c->operations - 1; after >= 0; after--) {
        const uint8_t *item = p;
        if (!check_item(&p, buf + len, after) || !fits_command(c, item[AT_KIND]))
            return -1;
    }
    return p == buf + len ? 0 : -1;
}

void cmd_stamp(uint8_t *buf, uint16_t origin, uint64_t process, uint64_t number)
{
    put_u16(buf + AT_ORIGIN, origin);
    put_u64(buf + AT_PROCESS, process);
    put_u64(buf + AT_NUMBER, number);
}

void cmd_stamp_predecessor(uint8_t *buf, uint64_t predecessor)
{
    put_u64(buf + AT_PREDECESSOR, predecessor);
}

void cmd_stamp_limit(uint8_t *buf, uint16_t limit)
{
    put_u16(buf + AT_LIMIT, limit);
}
