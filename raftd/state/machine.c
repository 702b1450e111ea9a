/* machine.c: see machine.h.
 *
 * A transaction is first worked out beside the state: what each key that an operation touches is
 * going to be. Only when all of it is known to be possible, the keys that change are written, once each.
 */
#include "raftd/state/machine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/state/image.h"
#include "raftd/state/kv.h"
#include "raftd/state/origins.h"

enum {
    DIGITS_MAX = 20,           /* of INT64_MIN, with its sign */
    KEPT_MAX_BYTES = 16 << 20, /* for an open image, if the state is small */
};

/* A key as the operations so far leave it. The bytes are borrowed from the command or from the state. */
struct change {
    struct kv_content now;
    bool exists;     /* with `now` */
    bool written;    /* it differs from what is in the state ... */
    uint64_t before; /* ... where it counts so many bytes; 0: it is not there */
};

/* A transaction that is worked out. */
struct work {
    const struct machine *m;
    uint64_t index, cluster_ms;
    unsigned n;
    struct change changes[CMD_OPERATIONS_MAX]; /* of different keys */
    struct told told[CMD_OPERATIONS_MAX];
    uint8_t digits[CMD_OPERATIONS_MAX][DIGITS_MAX]; /* of sums */
};

struct machine {
    struct kv *kv;
    struct origins *origins;
    uint64_t index, cluster_ms; /* of the last entry applied */
    struct work work;           /* of one call; here, for a stack's memory is cleared each time */
};

struct machine *machine_new(struct kv *kv)
{
    struct machine *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->kv = kv;
    m->origins = origins_new();
    if (m->origins == NULL) {
        free(m);
        return NULL;
    }
    return m;
}

void machine_free(struct machine *m)
{
    if (m == NULL)
        return;
    origins_free(m->origins);
    free(m);
}

/* ---- conditions -------------------------------------------------------------------------- */

static bool holds(const struct machine *m, const struct cmd_item *it)
{
    const struct kv_object *o = kv_find(m->kv, it->key, it->key_len);
    switch (it->kind) {
    case CMD_IF_ABSENT: return o == NULL;
    case CMD_IF_PRESENT: return o != NULL;
    case CMD_IF_VALUE:
        return o != NULL && o->value_len == it->value_len &&
               (it->value_len == 0 || memcmp(kv_value(o), it->value, it->value_len) == 0);
    default:
        assert(it->kind == CMD_IF_REVISION);
        return o != NULL && o->modify_revision == cmd_number(it);
    }
}

/* ---- operations -------------------------------------------------------------------------- */

static struct change *touch(struct work *w, const struct cmd_item *it)
{
    for (unsigned i = 0; i < w->n; i++) {
        const struct kv_content *k = &w->changes[i].now;
        if (k->key_len == it->key_len && memcmp(k->key, it->key, it->key_len) == 0)
            return &w->changes[i];
    }
    struct change *c = &w->changes[w->n++];
    const struct kv_object *o = kv_find(w->m->kv, it->key, it->key_len);
    *c = (struct change){.now = {.key = it->key, .key_len = it->key_len}, .exists = o != NULL};
    if (o == NULL)
        return c;
    c->now.value = kv_value(o);
    c->now.value_len = o->value_len;
    c->now.create_revision = o->create_revision;
    c->now.modify_revision = o->modify_revision;
    c->now.expiry_ms = kv_expiry_ms(o);
    c->now.holder = kv_holder(o);
    c->before = kv_cost(o->key_len, o->value_len);
    return c;
}

static void write(const struct work *w, struct change *c, const uint8_t *value, uint32_t value_len)
{
    if (!c->exists)
        c->now.create_revision = w->index;
    c->now.modify_revision = w->index;
    c->now.value = value;
    c->now.value_len = value_len;
    c->exists = c->written = true;
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

static enum outcome add(const struct work *w, struct change *c, int64_t more,
                        uint8_t digits[DIGITS_MAX])
{
    int64_t number = 0;
    if (c->exists && !parse(c->now.value, c->now.value_len, &number))
        return MACHINE_NOT_NUMBER;
    if (__builtin_add_overflow(number, more, &number))
        return MACHINE_OVERFLOW;
    uint32_t n = print(digits, number);
    write(w, c, digits + DIGITS_MAX - n, n);
    return MACHINE_DONE;
}

static enum outcome operate(const struct work *w, struct change *c, const struct cmd_item *it,
                            uint8_t digits[DIGITS_MAX])
{
    uint64_t ttl_ms;
    switch (it->kind) {
    case CMD_PUT:
        write(w, c, it->value, it->value_len);
        c->now.expiry_ms = 0;
        return MACHINE_DONE;
    case CMD_ADD: return add(w, c, (int64_t)cmd_number(it), digits);
    }
    if (!c->exists)
        return MACHINE_NO_KEY;
    switch (it->kind) {
    case CMD_DELETE:
        c->now = (struct kv_content){.key = it->key, .key_len = it->key_len};
        c->exists = false;
        c->written = true;
        return MACHINE_DONE;
    case CMD_EXPIRE:
        ttl_ms = cmd_number(it);
        write(w, c, c->now.value, c->now.value_len);
        c->now.expiry_ms = ttl_ms == 0 ? 0 : w->cluster_ms + ttl_ms;
        return MACHINE_DONE;
    default: assert(it->kind == CMD_READ); return MACHINE_DONE;
    }
}

/* ---- the whole transaction --------------------------------------------------------------- */

/* The data would grow beyond the limit. */
static bool is_full(const struct work *w, uint16_t limit)
{
    uint64_t more = 0, less = 0;
    for (unsigned i = 0; i < w->n; i++) {
        const struct change *c = &w->changes[i];
        less += c->before;
        more += c->exists ? kv_cost(c->now.key_len, c->now.value_len) : 0;
    }
    return limit != 0 && more > less &&
           kv_bytes(w->m->kv) + (more - less) > (uint64_t)limit * CMD_LIMIT_BYTES;
}

/* Works out what the command does as entry `index`. Nothing is changed. */
static enum outcome work_out(struct machine *m, const struct cmd *c, uint64_t index,
                             unsigned *failed)
{
    struct work *w = &m->work;
    enum outcome all = MACHINE_DONE;
    const uint8_t *at = c->items;
    w->m = m;
    w->n = 0;
    w->index = index;
    w->cluster_ms = m->cluster_ms;
    for (unsigned i = 0; i < c->conditions; i++) {
        struct cmd_item it = cmd_next(&at);
        *failed = i;
        if (!holds(m, &it))
            return MACHINE_CONDITION;
    }
    for (unsigned i = 0; i < c->operations; i++) {
        struct cmd_item it = cmd_next(&at);
        struct change *k = touch(w, &it);
        enum outcome one = operate(w, k, &it, w->digits[i]);
        *failed = i;
        if (one != MACHINE_DONE && one != MACHINE_NO_KEY)
            return one;
        if (one == MACHINE_NO_KEY)
            all = one;
        bool tells = k->exists && (it.kind == CMD_READ || it.kind == CMD_ADD);
        w->told[i] = (struct told){
            .operation = i,
            .outcome = one,
            .modify_revision = k->exists ? k->now.modify_revision : 0,
            .value = tells ? k->now.value : NULL,
            .value_len = tells ? k->now.value_len : 0,
        };
    }
    if (is_full(w, c->limit))
        return MACHINE_FULL;
    *failed = 0;
    return all;
}

/* Writes what was worked out. False: no memory. */
static bool carry_out(const struct work *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        const struct change *c = &w->changes[i];
        if (!c->written)
            continue;
        if (c->exists && kv_put(w->m->kv, &c->now) != KV_DONE)
            return false;
        if (!c->exists && c->before != 0 &&
            kv_delete(w->m->kv, c->now.key, c->now.key_len) != KV_DONE)
            return false;
    }
    return true;
}

/* Applies a command that was not applied before. */
static bool apply_new(struct machine *m, const struct cmd *c, const struct sender *s,
                      const struct machine_listener *listener, struct applied *a)
{
    const struct work *w = &m->work;
    a->outcome = work_out(m, c, m->index, &a->at);
    a->revision = m->index;
    if (a->outcome == MACHINE_DONE || a->outcome == MACHINE_NO_KEY) {
        for (unsigned i = 0; listener != NULL && i < c->operations; i++)
            listener->hear(listener->ctx, &w->told[i]);
        if (!carry_out(w))
            return false;
    }
    return origins_keep(m->origins, s, (struct kept){m->index, (uint8_t)a->outcome});
}

void machine_pass(struct machine *m, uint64_t index, uint64_t cluster_ms)
{
    assert(index > m->index);
    m->index = index;
    m->cluster_ms = max_u64(m->cluster_ms, cluster_ms);
}

bool machine_apply(struct machine *m, uint64_t index, uint64_t cluster_ms, const uint8_t *cmd,
                   size_t len, const struct machine_listener *listener, struct applied *applied)
{
    struct cmd c;
    int rc = cmd_decode(cmd, len, &c);
    assert(rc == 0); /* checked before it entered any log */
    (void)rc;
    machine_pass(m, index, cluster_ms);
    struct sender s = {c.origin, c.process, c.predecessor, c.number};
    struct kept first;
    *applied = (struct applied){
        .origin = c.origin, .process = c.process, .predecessor = c.predecessor, .number = c.number};
    switch (origins_look(m->origins, &s, &first)) {
    case ORIGIN_NEW: return apply_new(m, &c, &s, listener, applied);
    case ORIGIN_REPEATED:
        applied->outcome = first.outcome;
        applied->revision = first.index;
        applied->repeated = true;
        break;
    case ORIGIN_ENDED: applied->outcome = MACHINE_ENDED; break;
    case ORIGIN_CROWD: applied->outcome = MACHINE_CROWD; break;
    case ORIGIN_PASSED:
    case ORIGIN_NOBODY: applied->outcome = MACHINE_CANT_TELL; break;
    }
    return true;
}

bool machine_publish(struct machine *m)
{
    return kv_publish(m->kv, m->index, m->cluster_ms);
}

uint64_t machine_applied(const struct machine *m)
{
    return m->index;
}

uint64_t machine_cluster_ms(const struct machine *m)
{
    return m->cluster_ms;
}

bool machine_is_full_for(struct machine *m, const uint8_t *cmd, size_t len, uint16_t limit)
{
    struct cmd c;
    unsigned failed;
    uint64_t most = len + (uint64_t)CMD_OPERATIONS_MAX * (KV_KEY_BYTES + DIGITS_MAX);
    if (limit == 0 || kv_bytes(m->kv) + most <= (uint64_t)limit * CMD_LIMIT_BYTES)
        return false;
    int rc = cmd_decode(cmd, len, &c);
    assert(rc == 0);
    (void)rc;
    c.limit = limit;
    return work_out(m, &c, m->index + 1, &failed) == MACHINE_FULL;
}

/* ---- images ------------------------------------------------------------------------------ */

struct image *machine_freeze(struct machine *m)
{
    assert(kv_written(m->kv)->index == m->index); /* the origins are as of that one */
    return image_new(m->kv, m->origins);
}

void machine_thaw(struct machine *m, struct image *image)
{
    image_free(image, m->kv);
}

uint64_t machine_kept_bytes(const struct machine *m)
{
    return kv_kept_bytes(m->kv);
}

uint64_t machine_kept_max_bytes(const struct machine *m)
{
    return max_u64(KEPT_MAX_BYTES, kv_bytes(m->kv) / 2);
}

void machine_replace(struct machine *m, struct image_load *load, uint64_t index,
                     uint64_t cluster_ms)
{
    struct kv *kv;
    origins_free(m->origins);
    m->origins = image_load_take(load, &kv);
    m->index = index;
    m->cluster_ms = cluster_ms;
    kv_replace(m->kv, kv, index, cluster_ms);
}

void machine_discard(struct machine *m, struct image_load *load)
{
    struct kv *kv;
    origins_free(image_load_take(load, &kv));
    kv_discard(m->kv, kv);
}

bool machine_tidy(struct machine *m)
{
    return kv_tidy(m->kv);
}

void machine_digest(const struct machine *m, uint8_t out[MACHINE_DIGEST_BYTES])
{
    image_digest_of(kv_written(m->kv), m->origins, out);
}

uint64_t machine_process(const struct machine *m, uint16_t origin)
{
    return origins_current(m->origins, origin);
}

bool machine_look_up(const struct machine *m, uint16_t origin, uint64_t process, uint64_t number,
                     struct applied *applied)
{
    struct sender s = {.origin = origin, .process = process, .number = number};
    struct kept first;
    if (origins_look(m->origins, &s, &first) != ORIGIN_REPEATED)
        return false;
    *applied = (struct applied){.outcome = first.outcome,
                                .repeated = true,
                                .revision = first.index,
                                .origin = origin,
                                .process = process,
                                .number = number};
    return true;
}
