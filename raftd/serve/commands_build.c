/* commands_build.c: see commands_impl.h. */
#include <stdio.h>

#include "raftd/serve/commands_impl.h"
#include "raftd/base/bytes.h"

void build_fail(struct cmd_build *b, const char *error)
{
    if (b->error == NULL)
        b->error = error;
}

const char *key_error(const struct resp_arg *key)
{
    if (key->len > CMD_KEY_MAX_BYTES)
        return "TOOBIG a key has at most 256 bytes";
    return key->len > 0 ? NULL : "ERR a key has at least one byte";
}

static void add(struct cmd_build *b, struct cmd_item *items, unsigned *n, unsigned max,
                const struct cmd_item *item)
{
    if (item->value_len > b->max_value_bytes && item->value_len > CMD_NUMBER_BYTES) {
        (void)snprintf(b->error_text, sizeof b->error_text,
                       "TOOBIG a value has at most %u bytes here (max_value_bytes)",
                       (unsigned)b->max_value_bytes);
        build_fail(b, b->error_text);
    } else if (*n == max) {
        build_fail(b, "TOOBIG a write has at most 128 conditions and 128 operations");
    } else {
        items[(*n)++] = *item;
    }
}

static struct cmd_item item_of(enum cmd_kind kind, const struct resp_arg *key,
                               const struct resp_arg *value)
{
    return (struct cmd_item){.kind = (uint8_t)kind,
                             .key_len = (uint16_t)key->len,
                             .key = key->p,
                             .value_len = value != NULL ? value->len : 0,
                             .value = value != NULL ? value->p : key->p};
}

void build_operation(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                     const struct resp_arg *value)
{
    struct cmd_item item = item_of(kind, key, value);
    add(b, b->operation, &b->operations, CMD_OPERATIONS_MAX, &item);
}

void build_guard(struct cmd_build *b, enum cmd_kind kind, unsigned n, const struct resp_arg *key,
                 const struct resp_arg *value)
{
    struct cmd_item item = item_of(kind, key, value);
    item.guards = (uint8_t)n;
    add(b, b->operation, &b->operations, CMD_OPERATIONS_MAX, &item);
}

void build_condition(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                     const struct resp_arg *value)
{
    struct cmd_item item = item_of(kind, key, value);
    add(b, b->condition, &b->conditions, CMD_CONDITIONS_MAX, &item);
}

/* The number as a value. There is a place for one of each item. */
static struct resp_arg number_of(struct cmd_build *b, uint64_t number)
{
    unsigned place = b->conditions + b->operations;
    if (place == CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX)
        place--; /* the item will be refused */
    put_u64(b->number[place], number);
    return (struct resp_arg){b->number[place], CMD_NUMBER_BYTES};
}

void build_number(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                  uint64_t number)
{
    struct resp_arg value = number_of(b, number);
    build_operation(b, kind, key, &value);
}

void build_guard_number(struct cmd_build *b, enum cmd_kind kind, unsigned n,
                        const struct resp_arg *key, uint64_t number)
{
    struct resp_arg value = number_of(b, number);
    build_guard(b, kind, n, key, &value);
}

void build_condition_number(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                            uint64_t number)
{
    struct resp_arg value = number_of(b, number);
    build_condition(b, kind, key, &value);
}

uint64_t build_ttl(struct cmd_build *b, const struct resp_arg *arg, unsigned unit_ms)
{
    int64_t n;
    if (resp_number(arg, &n) && n > 0 && (uint64_t)n <= CMD_TTL_MAX_MS / unit_ms)
        return (uint64_t)n * unit_ms;
    build_fail(b, "ERR invalid expire time: it is a number from 1 on, of at most 8900 years");
    return 0;
}
