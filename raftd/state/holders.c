/* holders.c: see holders.h. */
#include "raftd/state/holders.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

enum {
    BY_HOLDER = 3,
    NAME_AT = 3,
    PLACE_BYTES = 8,
    HOLDER_BYTES = 18,
    CONNECTION_AT = 11,         /* in a row by holder, ... */
    KIND_AT = 1 + HOLDER_BYTES, /* ... whose name comes after the kind */
};

_Static_assert((int)HOLDERS_ROW_MAX_BYTES == KIND_AT + 1 + CMD_KEY_MAX_BYTES, "the longest row");

/* A row that is being made. */
struct row {
    size_t len;
    uint8_t bytes[HOLDERS_ROW_MAX_BYTES];
};

static void put_big(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static uint64_t get_big(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static void add_number(struct row *r, uint64_t v, unsigned bytes)
{
    put_big(r->bytes + r->len, v, bytes);
    r->len += bytes;
}

static void add_bytes(struct row *r, const uint8_t *p, size_t len)
{
    assert(len <= sizeof r->bytes - r->len);
    memcpy(r->bytes + r->len, p, len);
    r->len += len;
}

/* All claims on it begin with this. */
static struct row row_of_name(enum claim_kind kind, const uint8_t *name, size_t len)
{
    struct row r = {.len = 0};
    add_number(&r, kind, 1);
    add_number(&r, len, 2);
    add_bytes(&r, name, len);
    return r;
}

static struct row row_of_place(const uint8_t *name, size_t len, uint64_t place)
{
    struct row r = row_of_name(CLAIM_LOCK, name, len);
    add_number(&r, place, PLACE_BYTES);
    return r;
}

static struct row row_of_process(uint16_t origin, uint64_t process)
{
    struct row r = {.len = 0};
    add_number(&r, BY_HOLDER, 1);
    add_number(&r, origin, 2);
    add_number(&r, process, 8);
    return r;
}

static struct row row_of_holder(const struct holder *h)
{
    struct row r = row_of_process(h->origin, h->process);
    add_number(&r, h->connection, 8);
    return r;
}

static struct row row_by_holder(const struct holder *h, enum claim_kind kind, const uint8_t *name,
                                size_t len)
{
    struct row r = row_of_holder(h);
    add_number(&r, kind, 1);
    add_bytes(&r, name, len);
    return r;
}

static void put_holder(uint8_t p[HOLDER_BYTES], const struct holder *h)
{
    put_big(p, h->origin, 2);
    put_big(p + 2, h->process, 8);
    put_big(p + 10, h->connection, 8);
}

static struct holder get_holder(const uint8_t p[HOLDER_BYTES])
{
    return (struct holder){(uint16_t)get_big(p, 2), get_big(p + 2, 8), get_big(p + 10, 8)};
}

/* ---- looking ----------------------------------------------------------------------------------- */

/* Only rows of the first two kinds. */
static struct claim claim_of(const struct kv_object *o)
{
    const uint8_t *row = kv_key(o), *value = kv_value(o);
    return (struct claim){
        .kind = (enum claim_kind)row[0],
        .name = row + NAME_AT,
        .name_len = (uint16_t)get_big(row + 1, 2),
        .holder = get_holder(value),
        .word = value + HOLDER_BYTES,
        .word_len = o->value_len - HOLDER_BYTES,
        .place = o->create_revision,
        .fence = o->modify_revision,
    };
}

static const struct kv_object *first(const struct kv_view *v, const struct row *prefix,
                                     struct kv_cursor *cursor)
{
    return kv_first(v, &(struct kv_range){.prefix = prefix->bytes, .prefix_len = prefix->len},
                    cursor);
}

/* The claim that a row by holder stands for. */
static struct claim claim_by_holder(const struct kv_view *v, const struct kv_object *o)
{
    const uint8_t *row = kv_key(o), *name = row + KIND_AT + 1;
    size_t len = o->key_len - KIND_AT - 1U;
    struct row r = row[KIND_AT] == CLAIM_LOCK ? row_of_place(name, len, o->create_revision)
                                              : row_of_name(CLAIM_KEY, name, len);
    return claim_of(kv_get(v, r.bytes, r.len));
}

bool holders_lock(const struct kv_view *v, const uint8_t *name, size_t len, struct claim *c)
{
    struct row r = row_of_name(CLAIM_LOCK, name, len);
    struct kv_cursor cursor;
    const struct kv_object *o = first(v, &r, &cursor);
    if (o != NULL)
        *c = claim_of(o);
    return o != NULL;
}

/* How many places there are before this one. */
static unsigned count_before(const struct kv_view *v, const uint8_t *name, size_t len,
                             uint64_t place)
{
    struct row r = row_of_name(CLAIM_LOCK, name, len);
    struct kv_cursor cursor;
    unsigned n = 0;
    const struct kv_object *o = first(v, &r, &cursor);
    for (; o != NULL && o->create_revision < place; o = kv_next(&cursor))
        n++;
    return n;
}

unsigned holders_queue(const struct kv_view *v, const uint8_t *name, size_t len)
{
    return count_before(v, name, len, UINT64_MAX);
}

bool holders_place(const struct kv_view *v, const struct holder *h, const uint8_t *name, size_t len,
                   struct claim *c, unsigned *before)
{
    struct row r = row_by_holder(h, CLAIM_LOCK, name, len);
    const struct kv_object *o = kv_get(v, r.bytes, r.len);
    if (o == NULL)
        return false;
    *c = claim_by_holder(v, o);
    *before = count_before(v, name, len, c->place);
    return true;
}

static bool some_claim(const struct kv_view *v, struct row r, struct claim *c)
{
    struct kv_cursor cursor;
    const struct kv_object *o = first(v, &r, &cursor);
    if (o != NULL)
        *c = claim_by_holder(v, o);
    return o != NULL;
}

bool holders_of_process(const struct kv_view *v, uint16_t origin, uint64_t process, struct claim *c)
{
    return some_claim(v, row_of_process(origin, process), c);
}

bool holders_of_connection(const struct kv_view *v, const struct holder *h, struct claim *c)
{
    return some_claim(v, row_of_holder(h), c);
}

/* The holder of the first row by holder that begins with `prefix` and comes after all that begin with
 * `passed`. */
static bool next_holder(const struct kv_view *v, const struct row *prefix, struct row passed,
                        struct holder *h)
{
    struct kv_cursor cursor;
    while (passed.len < KIND_AT + 1)
        add_number(&passed, 0xff, 1); /* no kind is so high */
    const struct kv_range range = {.prefix = prefix->bytes,
                                   .prefix_len = prefix->len,
                                   .after = passed.bytes,
                                   .after_len = passed.len};
    const struct kv_object *o = kv_first(v, &range, &cursor);
    if (o != NULL)
        *h = get_holder(kv_key(o) + 1);
    return o != NULL;
}

bool holders_next_process(const struct kv_view *v, uint16_t *origin, uint64_t *process)
{
    const struct row all = {.len = 1, .bytes = {BY_HOLDER}};
    struct holder h;
    if (!next_holder(v, &all, row_of_process(*origin, *process), &h))
        return false;
    *origin = h.origin;
    *process = h.process;
    return true;
}

bool holders_next_connection(const struct kv_view *v, struct holder *h)
{
    struct row all = row_of_process(h->origin, h->process);
    return next_holder(v, &all, row_of_holder(h), h);
}

unsigned holders_count(const struct kv_view *v, uint16_t origin, uint64_t process, unsigned most)
{
    struct row all = row_of_process(origin, process);
    struct kv_cursor cursor;
    unsigned n = 0;
    for (const struct kv_object *o = first(v, &all, &cursor); o != NULL && n < most;
         o = kv_next(&cursor))
        n++;
    return n;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static bool put(struct kv *claims, const struct row *r, const uint8_t *value, size_t value_len,
                uint64_t create, uint64_t modify)
{
    const struct kv_content c = {.key = r->bytes,
                                 .key_len = (uint16_t)r->len,
                                 .value = value,
                                 .value_len = (uint32_t)value_len,
                                 .create_revision = create,
                                 .modify_revision = modify};
    return kv_put(claims, &c) == KV_DONE;
}

static bool delete (struct kv *claims, const struct row *r)
{
    enum kv_outcome outcome = kv_delete(claims, r->bytes, r->len);
    assert(outcome != KV_NO_KEY);
    return outcome == KV_DONE;
}

/* Puts the row by holder of a claim. */
static bool put_by_holder(struct kv *claims, const struct claim *c)
{
    struct row r = row_by_holder(&c->holder, c->kind, c->name, c->name_len);
    return put(claims, &r, NULL, 0, c->place, c->place);
}

/* Puts a claim that is not there yet. */
static bool put_claim(struct kv *claims, const struct claim *c)
{
    struct row r = c->kind == CLAIM_LOCK ? row_of_place(c->name, c->name_len, c->place)
                                         : row_of_name(CLAIM_KEY, c->name, c->name_len);
    uint8_t value[HOLDER_BYTES + CMD_WORD_MAX_BYTES];
    assert(c->word_len <= CMD_WORD_MAX_BYTES);
    put_holder(value, &c->holder);
    if (c->word_len > 0)
        memcpy(value + HOLDER_BYTES, c->word, c->word_len);
    return put(claims, &r, value, HOLDER_BYTES + c->word_len, c->place, c->fence) &&
           put_by_holder(claims, c);
}

/* What a claim counts, with its row by holder. */
static uint64_t cost(size_t name_len, size_t word_len)
{
    return kv_cost(NAME_AT + name_len + PLACE_BYTES, HOLDER_BYTES + word_len) +
           kv_cost(KIND_AT + 1 + name_len, 0);
}

bool holders_take(struct kv *claims, const struct lock_wish *w, uint64_t index,
                  enum outcome *outcome, uint64_t *number)
{
    struct kv_view v = kv_draft(claims);
    struct claim c;
    unsigned before;
    if (holders_place(&v, &w->holder, w->name, w->name_len, &c, &before)) {
        *outcome = before == 0 ? MACHINE_DONE : MACHINE_WAITS;
        *number = before == 0 ? c.fence : before;
        return true;
    }
    before = holders_queue(&v, w->name, w->name_len);
    *number = before == 0 ? index : before;
    if (before > 0 && w->tries)
        *outcome = MACHINE_TAKEN;
    else if (before > HOLDERS_WAITERS_MAX ||
             kv_bytes(claims) + cost(w->name_len, w->word_len) > HOLDERS_MAX_BYTES)
        *outcome = MACHINE_LOCKS_FULL;
    else
        *outcome = before == 0 ? MACHINE_DONE : MACHINE_WAITS;
    if (*outcome != MACHINE_DONE && *outcome != MACHINE_WAITS)
        return true;
    c = (struct claim){.kind = CLAIM_LOCK,
                       .name = w->name,
                       .name_len = w->name_len,
                       .holder = w->holder,
                       .word = w->word,
                       .word_len = w->word_len,
                       .place = index,
                       .fence = index};
    return put_claim(claims, &c);
}

/* The first in the queue for a lock has come there by entry `index`. */
static bool pass_on(struct kv *claims, const struct row *name, uint64_t index)
{
    struct kv_view v = kv_draft(claims);
    struct kv_cursor cursor;
    const struct kv_object *o = first(&v, name, &cursor);
    if (o == NULL)
        return true;
    struct row r = {.len = 0};
    add_bytes(&r, kv_key(o), o->key_len);
    return put(claims, &r, kv_value(o), o->value_len, o->create_revision, index);
}

bool holders_end(struct kv *claims, const struct claim *c, uint64_t index)
{
    struct row by_holder = row_by_holder(&c->holder, c->kind, c->name, c->name_len);
    struct row name = row_of_name(c->kind, c->name, c->name_len), place = name;
    bool is_lock = c->kind == CLAIM_LOCK;
    struct kv_view v = kv_draft(claims);
    struct claim holds;
    bool held = is_lock && holders_lock(&v, c->name, c->name_len, &holds) &&
                holds.place == c->place;
    if (is_lock)
        add_number(&place, c->place, PLACE_BYTES);
    return delete (claims, &by_holder) && delete (claims, &place) &&
           (!held || pass_on(claims, &name, index));
}

bool holders_give(struct kv *claims, const struct holder *h, const uint8_t *name, size_t len,
                  uint64_t fence, uint64_t index, enum outcome *outcome)
{
    struct kv_view v = kv_draft(claims);
    struct claim c;
    unsigned before;
    bool has = holders_place(&v, h, name, len, &c, &before) &&
               (fence == 0 || (before == 0 && c.fence == fence));
    *outcome = has ? MACHINE_DONE : MACHINE_NOT_HELD;
    return !has || holders_end(claims, &c, index);
}

bool holders_have_room(const struct kv *claims, unsigned keys)
{
    return kv_bytes(claims) + keys * cost(CMD_KEY_MAX_BYTES, 0) <= HOLDERS_MAX_BYTES;
}

bool holders_drop_key(struct kv *claims, const uint8_t *key, size_t len)
{
    struct row r = row_of_name(CLAIM_KEY, key, len);
    const struct kv_object *o = kv_find(claims, r.bytes, r.len);
    assert(o != NULL);
    struct claim c = claim_of(o);
    return holders_end(claims, &c, 0);
}

bool holders_keep_key(struct kv *claims, const struct holder *h, const uint8_t *key, size_t len,
                      uint64_t index)
{
    const struct claim c = {.kind = CLAIM_KEY,
                            .name = key,
                            .name_len = (uint16_t)len,
                            .holder = *h,
                            .place = index,
                            .fence = index};
    return put_claim(claims, &c);
}

/* ---- images ------------------------------------------------------------------------------------ */

bool holders_in_image(const uint8_t *row, size_t len)
{
    return len > 0 && row[0] != BY_HOLDER;
}

/* The object is one that put_claim() makes, less its revisions. */
static bool is_claim(const struct kv_content *o)
{
    if (o->key_len < NAME_AT || o->value_len < HOLDER_BYTES || o->expiry_ms != 0 || o->holder != 0)
        return false;
    size_t name_len = (size_t)get_big(o->key + 1, 2), word_len = o->value_len - HOLDER_BYTES;
    struct holder h = get_holder(o->value);
    if (name_len < 1 || name_len > CMD_KEY_MAX_BYTES || h.origin == 0 || h.process == 0)
        return false;
    switch (o->key[0]) {
    case CLAIM_LOCK:
        return word_len <= CMD_WORD_MAX_BYTES && o->key_len == NAME_AT + name_len + PLACE_BYTES &&
               get_big(o->key + NAME_AT + name_len, PLACE_BYTES) == o->create_revision;
    case CLAIM_KEY:
        return word_len == 0 && o->key_len == NAME_AT + name_len &&
               o->modify_revision == o->create_revision;
    }
    return false;
}

int holders_load(struct kv *claims, const struct kv_content *o, struct claim *c)
{
    struct claim holds;
    if (!is_claim(o))
        return -EBADMSG;
    *c = (struct claim){
        .kind = (enum claim_kind)o->key[0],
        .name = o->key + NAME_AT,
        .name_len = (uint16_t)get_big(o->key + 1, 2),
        .holder = get_holder(o->value),
        .word = o->value + HOLDER_BYTES,
        .word_len = o->value_len - HOLDER_BYTES,
        .place = o->create_revision,
        .fence = o->modify_revision,
    };
    struct row again = row_by_holder(&c->holder, c->kind, c->name, c->name_len);
    struct kv_view v = kv_draft(claims);
    bool waits = c->kind == CLAIM_LOCK && holders_lock(&v, c->name, c->name_len, &holds);
    if (kv_find(claims, again.bytes, again.len) != NULL || (waits && c->fence != c->place))
        return -EBADMSG;
    return put_claim(claims, c) ? 0 : -ENOMEM;
}
