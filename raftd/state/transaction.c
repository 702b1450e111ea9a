/* transaction.c: see transaction.h. */
#include "raftd/state/transaction.h"

#include <assert.h>
#include <string.h>

enum { DIGITS_MAX = TRANSACTION_DIGITS_MAX };

static struct change as_it_is(const struct kv *kv, const struct cmd_item *it)
{
    const struct kv_object *o = kv_find(kv, it->key, it->key_len);
    struct change c = {.now = {.key = it->key, .key_len = it->key_len}, .exists = o != NULL};
    if (o == NULL)
        return c;
    c.now.value = kv_value(o);
    c.now.value_len = o->value_len;
    c.now.create_revision = o->create_revision;
    c.now.modify_revision = o->modify_revision;
    c.now.expiry_ms = kv_expiry_ms(o);
    c.now.holder = kv_holder(o);
    c.held = c.now.holder != 0;
    c.before = kv_cost(o->key_len, o->value_len);
    return c;
}

static struct change *touch(struct transaction *t, const struct cmd_item *it)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct kv_content *k = &t->changes[i].now;
        if (k->key_len == it->key_len && memcmp(k->key, it->key, it->key_len) == 0)
            return &t->changes[i];
    }
    t->changes[t->n] = as_it_is(t->kv, it);
    return &t->changes[t->n++];
}

/* ---- conditions and guards ----------------------------------------------------------------- */

static bool is_condition(const struct cmd_item *it)
{
    return it->kind < CMD_PUT;
}

static bool is_held(const struct kv *claims, const struct cmd_item *it)
{
    const struct kv_view v = kv_draft(claims);
    struct claim c;
    return holders_lock(&v, it->key, it->key_len, &c) && c.fence == cmd_number(it);
}

static bool holds(const struct transaction *t, const struct change *c, const struct cmd_item *it)
{
    switch (it->kind) {
    case CMD_IF_HELD: return is_held(t->claims, it);
    case CMD_IF_ABSENT: return !c->exists;
    case CMD_IF_PRESENT: return c->exists;
    case CMD_IF_VALUE:
        return c->exists && c->now.value_len == it->value_len &&
               (it->value_len == 0 || memcmp(c->now.value, it->value, it->value_len) == 0);
    default:
        assert(it->kind == CMD_IF_REVISION);
        return c->exists && c->now.modify_revision == cmd_number(it);
    }
}

/* ---- operations -------------------------------------------------------------------------- */

static void write(const struct transaction *t, struct change *c, const uint8_t *value,
                  uint32_t value_len)
{
    if (!c->exists)
        c->now.create_revision = t->index;
    c->now.modify_revision = t->index;
    c->now.value = value;
    c->now.value_len = value_len;
    c->exists = c->written = true;
}

/* `holder`: 0: nobody. */
static void put(const struct transaction *t, struct change *c, const struct cmd_item *it,
                uint16_t holder)
{
    write(t, c, it->value, it->value_len);
    c->now.expiry_ms = 0;
    c->now.holder = holder;
    c->given = holder != 0;
}

/* The decimal number that p is: no sign but a minus, no zeros in front. */
static bool parse(const uint8_t *p, size_t len, int64_t *number)
{
    bool minus = len > 0 && p[0] == '-';
    uint64_t value = 0, most = minus ? UINT64_C(1) << 63 : INT64_MAX;
    size_t at = minus;
    if (at == len || len > DIGITS_MAX || (p[at] == '0' && len > 1))
        return false;
    for (; at < len; at++) {
        unsigned digit = (unsigned)p[at] - '0';
        if (digit > 9 || value > (most - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *number = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* The number's digits at the end of buf; returns how many. */
static uint32_t print(uint8_t buf[DIGITS_MAX], int64_t number)
{
    uint64_t value = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    uint32_t n = 0;
    do {
        buf[DIGITS_MAX - ++n] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (number < 0)
        buf[DIGITS_MAX - ++n] = '-';
    return n;
}

static enum outcome add(const struct transaction *t, struct change *c, int64_t more,
                        uint8_t digits[DIGITS_MAX])
{
    int64_t number = 0;
    if (c->exists && !parse(c->now.value, c->now.value_len, &number))
        return MACHINE_NOT_NUMBER;
    if (__builtin_add_overflow(number, more, &number))
        return MACHINE_OVERFLOW;
    uint32_t n = print(digits, number);
    write(t, c, digits + DIGITS_MAX - n, n);
    return MACHINE_DONE;
}

static enum outcome operate(const struct transaction *t, struct change *c,
                            const struct cmd_item *it, uint8_t digits[DIGITS_MAX])
{
    uint64_t ttl_ms;
    switch (it->kind) {
    case CMD_PUT_HELD:
        if (!holders_have_room(t->claims, t->n))
            return MACHINE_LOCKS_FULL;
        put(t, c, it, t->holder.origin);
        return MACHINE_DONE;
    case CMD_PUT: put(t, c, it, 0); return MACHINE_DONE;
    case CMD_PUT_KEEP: write(t, c, it->value, it->value_len); return MACHINE_DONE;
    case CMD_LOCK:
    case CMD_UNLOCK:
    case CMD_FREE_CONNECTION: return MACHINE_DONE; /* no key: the machine does them */
    case CMD_ADD: return add(t, c, (int64_t)cmd_number(it), digits);
    }
    if (!c->exists)
        return MACHINE_NO_KEY;
    switch (it->kind) {
    case CMD_DELETE:
        c->now = (struct kv_content){.key = it->key, .key_len = it->key_len};
        c->exists = c->given = false;
        c->written = true;
        return MACHINE_DONE;
    case CMD_EXPIRE:
        ttl_ms = cmd_number(it);
        write(t, c, c->now.value, c->now.value_len);
        c->now.expiry_ms = ttl_ms == 0 ? 0 : t->cluster_ms + ttl_ms;
        return MACHINE_DONE;
    default: assert(it->kind == CMD_READ); return MACHINE_DONE;
    }
}

/* Does the operation, or looks at the guard, and notes what is to be told. */
static enum outcome step(struct transaction *t, unsigned i, const struct cmd_item *it)
{
    struct change *c = touch(t, it);
    uint64_t expiry_before_ms = c->now.expiry_ms;
    enum outcome one;
    if (is_condition(it)) {
        one = holds(t, c, it) ? MACHINE_DONE : MACHINE_CONDITION;
    } else {
        one = operate(t, c, it, t->digits[i]);
        c->operations |= UINT32_C(1) << (it->kind - CMD_PUT);
    }
    bool tells = c->exists && (it->kind == CMD_READ || it->kind == CMD_ADD);
    t->told[i] = (struct told){
        .outcome = one,
        .modify_revision = c->exists ? c->now.modify_revision : 0,
        .expiry_before_ms = expiry_before_ms,
        .value = tells ? c->now.value : NULL,
        .value_len = tells ? c->now.value_len : 0,
    };
    t->tells_bytes += t->told[i].value_len;
    return t->tells_bytes > MACHINE_TELL_MAX_BYTES ? MACHINE_TOO_MUCH : one;
}

/* ---- the whole of it --------------------------------------------------------------------- */

/* All operations and guards from `at` on, in order, until one can't be done. */
static enum outcome operate_all(struct transaction *t, const struct cmd *c, const uint8_t *at,
                                unsigned *failed)
{
    enum outcome all = MACHINE_DONE;
    unsigned skip_to = 0;
    for (unsigned i = 0; i < c->operations; i++) {
        struct cmd_item it = cmd_next(&at);
        if (i < skip_to) {
            t->told[i] = (struct told){.outcome = MACHINE_SKIPPED};
            continue;
        }
        enum outcome one = step(t, i, &it);
        *failed = i;
        if (one == MACHINE_CONDITION) {
            skip_to = i + 1 + it.guards;
            all = MACHINE_SKIPPED;
        } else if (!outcome_is_done(one)) {
            return one;
        } else if (all == MACHINE_DONE) {
            all = one;
        }
    }
    return all;
}

/* The data would grow beyond the limit. */
static bool is_full(const struct transaction *t, uint16_t limit)
{
    uint64_t more = 0, less = 0;
    for (unsigned i = 0; i < t->n; i++) {
        const struct change *c = &t->changes[i];
        less += c->before;
        more += c->exists ? kv_cost(c->now.key_len, c->now.value_len) : 0;
    }
    return limit != 0 && more > less &&
           kv_bytes(t->kv) + (more - less) > (uint64_t)limit * CMD_LIMIT_BYTES;
}

enum outcome transaction_work_out(struct transaction *t, const struct kv *kv,
                                  const struct kv *claims, const struct cmd *c, uint64_t index,
                                  uint64_t cluster_ms, unsigned *failed)
{
    const uint8_t *at = c->items;
    t->kv = kv;
    t->claims = claims;
    t->holder = (struct holder){c->origin, c->process, c->connection};
    t->index = index;
    t->cluster_ms = cluster_ms;
    t->tells_bytes = 0;
    t->n = 0;
    for (unsigned i = 0; i < c->conditions; i++) {
        struct cmd_item it = cmd_next(&at);
        struct change now = as_it_is(kv, &it);
        *failed = i;
        if (!holds(t, &now, &it))
            return MACHINE_CONDITION;
    }
    enum outcome all = operate_all(t, c, at, failed);
    if (!outcome_is_done(all))
        return all;
    if (is_full(t, c->limit))
        return MACHINE_FULL;
    *failed = 0;
    return all;
}

/* Whom the key goes with. False: no memory. */
static bool settle_claim(const struct transaction *t, const struct change *c, struct kv *claims)
{
    const struct kv_content *k = &c->now;
    bool ends = c->held && (c->given || k->holder == 0);
    return (!ends || holders_drop_key(claims, k->key, k->key_len)) &&
           (!c->given || holders_keep_key(claims, &t->holder, k->key, k->key_len, t->index));
}

bool transaction_carry_out(const struct transaction *t, struct kv *kv, struct kv *claims)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct change *c = &t->changes[i];
        const struct kv_content *k = &c->now;
        if (!c->written || (!c->exists && c->before == 0))
            continue;
        if (!settle_claim(t, c, claims))
            return false;
        if (c->exists ? kv_put(kv, k) != KV_DONE : kv_delete(kv, k->key, k->key_len) != KV_DONE)
            return false;
        if (!kv_tell(kv, t->index, c->exists ? HISTORY_PUT : HISTORY_DELETED, c->operations, k->key,
                     k->key_len))
            return false;
    }
    return true;
}
