/* kv.c: see kv.h.
 *
 * A skip list: each object is in a sorted list of its own height, 0 of all objects, level k of one in
 * 4^k. One thread writes. A new object is complete before it is linked, from the lowest level up; an old
 * one is unlinked from the highest down, and keeps its own links, so that a reader that stands on it
 * goes on. Along links keys always grow: so a reader meets each key once, in order, whatever the
 * writer does meanwhile.
 */
#include "raftd/state/kv.h"

#include <assert.h>
#include <sodium/crypto_generichash.h>
#include <sodium/crypto_shorthash.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"

enum { HEIGHT_MAX = 12 }; /* 4^12 keys: more than memory holds */

_Static_assert(KV_HASH_KEY_BYTES == crypto_shorthash_KEYBYTES, "SipHash key");
_Static_assert(KV_DIGEST_BYTES == crypto_generichash_BYTES, "BLAKE2b digest");

struct kv {
    kv_link head[HEIGHT_MAX];
    _Atomic uint64_t count, bytes; /* written by the writer alone */
    uint8_t hash_key[KV_HASH_KEY_BYTES];
};

static struct kv_object *follow(kv_link *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

static void point(kv_link *link, struct kv_object *o)
{
    atomic_store_explicit(link, o, memory_order_release);
}

/* Secret, so that nobody can make keys that are all high or all low; and the same for all objects of a
 * key, so that a new one takes the old one's place. */
static uint8_t height_of(const struct kv *kv, const uint8_t *key, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES], height = 1;
    crypto_shorthash(out, key, len, kv->hash_key);
    for (uint64_t h = get_u64(out); h % 4 == 0 && height < HEIGHT_MAX; h /= 4)
        height++;
    return height;
}

static int compare(const struct kv_object *o, const uint8_t *key, size_t len)
{
    size_t both = o->key_len < len ? o->key_len : len;
    int c = both > 0 ? memcmp(kv_key(o), key, both) : 0;
    if (c != 0)
        return c;
    return o->key_len < len ? -1 : o->key_len > len;
}

/* The first object at or behind the key, or NULL. path (NULL: not wanted) becomes the links that go past
 * the key at each level. */
static struct kv_object *seek(struct kv *kv, const uint8_t *key, size_t len,
                              kv_link *path[HEIGHT_MAX])
{
    kv_link *links = kv->head;
    struct kv_object *o = NULL;
    for (unsigned level = HEIGHT_MAX; level-- > 0;) {
        while ((o = follow(&links[level])) != NULL && compare(o, key, len) < 0)
            links = o->links;
        if (path)
            path[level] = &links[level];
    }
    return o;
}

static bool is(const struct kv_object *o, const uint8_t *key, size_t len)
{
    return o && o->key_len == len && memcmp(kv_key(o), key, len) == 0;
}

static void free_object(struct rcu_head *head)
{
    rcu_callback_begin();
    free(rcu_container(head, struct kv_object, rcu));
}

struct kv *kv_new(const uint8_t hash_key[KV_HASH_KEY_BYTES])
{
    struct kv *kv = calloc(1, sizeof(*kv));
    if (!kv)
        return NULL;
    memcpy(kv->hash_key, hash_key, sizeof(kv->hash_key));
    return kv;
}

void kv_free(struct kv *kv)
{
    if (!kv)
        return;
    for (struct kv_object *o = follow(&kv->head[0]), *next; o; o = next) {
        next = follow(&o->links[0]);
        free(o);
    }
    rcu_wait_freed();
    free(kv);
}

static bool put(struct kv *kv, uint64_t index, const struct cmd *c, kv_link *path[HEIGHT_MAX],
                struct kv_object *old)
{
    uint8_t height = height_of(kv, c->key, c->key_len);
    size_t head = sizeof(struct kv_object) + height * sizeof(kv_link);
    struct kv_object *o = malloc(head + c->key_len + c->value_len);
    if (!o)
        return false;
    o->create_revision = old ? old->create_revision : index;
    o->modify_revision = index;
    o->value_len = c->value_len;
    o->key_len = c->key_len;
    o->height = height;
    memcpy((uint8_t *)o + head, c->key, c->key_len);
    if (c->value_len > 0)
        memcpy((uint8_t *)o + head + c->key_len, c->value, c->value_len);
    for (unsigned level = 0; level < height; level++)
        atomic_init(&o->links[level], follow(old ? &old->links[level] : path[level]));
    for (unsigned level = 0; level < height; level++)
        point(path[level], o);
    if (old)
        rcu_free_later(&old->rcu, free_object);
    else
        atomic_fetch_add_explicit(&kv->count, 1, memory_order_relaxed);
    return true;
}

static void del(struct kv *kv, kv_link *path[HEIGHT_MAX], struct kv_object *old)
{
    for (unsigned level = old->height; level-- > 0;)
        point(path[level], follow(&old->links[level]));
    rcu_free_later(&old->rcu, free_object);
    atomic_fetch_sub_explicit(&kv->count, 1, memory_order_relaxed);
}

static uint64_t cost(size_t key_len, size_t value_len)
{
    return KV_KEY_BYTES + (uint64_t)key_len + value_len;
}

/* What shrinks or stays as it is always passes, also beyond the limit. */
static bool is_full(const struct kv *kv, const struct cmd *c, const struct kv_object *old)
{
    uint64_t more = cost(c->key_len, c->value_len);
    uint64_t less = old ? cost(old->key_len, old->value_len) : 0;
    return c->op == CMD_PUT && c->limit != 0 && more > less &&
           kv_bytes(kv) + more - less > (uint64_t)c->limit * CMD_LIMIT_BYTES;
}

enum kv_outcome kv_apply(struct kv *kv, uint64_t index, const struct cmd *c)
{
    kv_link *path[HEIGHT_MAX];
    struct kv_object *old = seek(kv, c->key, c->key_len, path);
    if (!is(old, c->key, c->key_len))
        old = NULL;
    if (is_full(kv, c, old))
        return KV_FULL;
    if (c->op == CMD_DELETE && !old)
        return KV_NO_KEY;
    uint64_t bytes = kv_bytes(kv);
    if (old)
        bytes -= cost(old->key_len, old->value_len);
    if (c->op == CMD_PUT) {
        bytes += cost(c->key_len, c->value_len);
        if (!put(kv, index, c, path, old))
            return KV_NO_MEMORY;
    } else {
        del(kv, path, old);
    }
    atomic_store_explicit(&kv->bytes, bytes, memory_order_relaxed);
    return KV_DONE;
}

bool kv_is_full_for(struct kv *kv, const struct cmd *c)
{
    if (!is_full(kv, c, NULL))
        return false; /* nor with what it replaces */
    const struct kv_object *old = seek(kv, c->key, c->key_len, NULL);
    return is_full(kv, c, is(old, c->key, c->key_len) ? old : NULL);
}

const struct kv_object *kv_get(struct kv *kv, const uint8_t *key, size_t len)
{
    const struct kv_object *o = seek(kv, key, len, NULL);
    return is(o, key, len) ? o : NULL;
}

/* o, if it is of the range, whose lower end it has passed. */
static const struct kv_object *in_range(const struct kv_object *o, const struct kv_range *r)
{
    if (!o || o->key_len < r->prefix_len ||
        (r->prefix_len > 0 && memcmp(kv_key(o), r->prefix, r->prefix_len) != 0))
        return NULL;
    return o;
}

const struct kv_object *kv_first(struct kv *kv, const struct kv_range *r)
{
    const struct kv_object *o = seek(kv, r->prefix, r->prefix_len, NULL);
    if (o && r->after_len > 0 && compare(o, r->after, r->after_len) <= 0) {
        o = seek(kv, r->after, r->after_len, NULL);
        if (is(o, r->after, r->after_len))
            return kv_next(o, r);
    }
    return in_range(o, r);
}

const struct kv_object *kv_next(const struct kv_object *o, const struct kv_range *r)
{
    return in_range(atomic_load_explicit(&o->links[0], memory_order_acquire), r);
}

uint64_t kv_count(const struct kv *kv)
{
    return atomic_load_explicit(&kv->count, memory_order_relaxed);
}

uint64_t kv_bytes(const struct kv *kv)
{
    return atomic_load_explicit(&kv->bytes, memory_order_relaxed);
}

void kv_digest(struct kv *kv, uint8_t out[KV_DIGEST_BYTES])
{
    const struct kv_range all = {0};
    crypto_generichash_state h;
    crypto_generichash_init(&h, NULL, 0, KV_DIGEST_BYTES);
    for (const struct kv_object *o = kv_first(kv, &all); o; o = kv_next(o, &all)) {
        uint8_t head[22];
        put_u64(head, o->create_revision);
        put_u64(head + 8, o->modify_revision);
        put_u32(head + 16, o->value_len);
        put_u16(head + 20, o->key_len);
        crypto_generichash_update(&h, head, sizeof(head));
        crypto_generichash_update(&h, kv_key(o), (size_t)o->key_len + o->value_len);
    }
    crypto_generichash_final(&h, out, KV_DIGEST_BYTES);
}
