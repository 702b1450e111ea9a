/* kv.c: see kv.h. */
#include "raftd/kv.h"

#include <assert.h>
#include <errno.h>
#include <sodium/crypto_generichash.h>
#include <sodium/crypto_shorthash.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/core/bytes.h"

enum {
    TABLE_BUCKETS_MIN = 64, /* 512 bytes: a fresh node stays small, the table grows by itself    */
    LIST_CAP_MIN = 64,
};

_Static_assert(KV_HASH_KEY_BYTES == crypto_shorthash_KEYBYTES, "SipHash key");
_Static_assert(KV_DIGEST_BYTES == crypto_generichash_BYTES, "BLAKE2b digest");

struct kv {
    struct cds_lfht *table;
    _Atomic uint64_t count; /* written by the writer alone                                        */
    uint8_t hash_key[KV_HASH_KEY_BYTES];
};

struct wanted {
    const uint8_t *key;
    size_t len;
};

/* There is no way on without memory here, see kv.h. A restart replays the log. */
static _Noreturn void out_of_memory(void)
{
    static const char text[] = "out of memory while applying a committed entry\n";
    (void)!fwrite(text, 1, sizeof(text) - 1, stderr);
    abort();
}

static unsigned long hash_of(const struct kv *kv, const uint8_t *key, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, key, len, kv->hash_key);
    return (unsigned long)get_u64(out);
}

static struct kv_object *object_of(struct cds_lfht_node *node)
{
    return rcu_container(node, struct kv_object, node);
}

static int match(struct cds_lfht_node *node, const void *key)
{
    const struct wanted *w = key;
    const struct kv_object *o = object_of(node);
    rcu_take(o);
    return o->key_len == w->len && memcmp(o->bytes, w->key, w->len) == 0;
}

static void free_object(struct rcu_head *head)
{
    rcu_callback_begin();
    free(rcu_container(head, struct kv_object, rcu));
}

struct kv *kv_new(const uint8_t hash_key[KV_HASH_KEY_BYTES])
{
    struct kv *kv = malloc(sizeof(*kv));
    if (!kv)
        return NULL;
    /* AUTO_RESIZE has its own thread, which sleeps until the table must grow: resizing a large
     * table takes longer than the loop may pause. */
    kv->table = cds_lfht_new_flavor(TABLE_BUCKETS_MIN, TABLE_BUCKETS_MIN, 0,
                                    CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, &urcu_memb_flavor,
                                    NULL);
    if (!kv->table) {
        free(kv);
        return NULL;
    }
    atomic_init(&kv->count, 0);
    memcpy(kv->hash_key, hash_key, sizeof(kv->hash_key));
    return kv;
}

void kv_free(struct kv *kv)
{
    if (!kv)
        return;
    struct cds_lfht_iter it;
    rcu_enter();
    for (cds_lfht_first(kv->table, &it); it.node; cds_lfht_next(kv->table, &it)) {
        struct kv_object *o = object_of(it.node);
        int rc = cds_lfht_del(kv->table, &o->node);
        assert(rc == 0);
        rcu_free_later(&o->rcu, free_object);
    }
    rcu_leave();
    int rc = cds_lfht_destroy(kv->table, NULL);
    assert(rc == 0);
    rcu_wait_freed();
    free(kv);
}

static void put(struct kv *kv, uint64_t index, const struct cmd *c, struct cds_lfht_node *old)
{
    struct kv_object *o = malloc(sizeof(*o) + c->key_len + c->value_len);
    if (!o)
        out_of_memory();
    cds_lfht_node_init(&o->node);
    o->create_revision = old ? object_of(old)->create_revision : index;
    o->modify_revision = index;
    o->value_len = c->value_len;
    o->key_len = c->key_len;
    memcpy(o->bytes, c->key, c->key_len);
    if (c->value_len > 0)
        memcpy(o->bytes + c->key_len, c->value, c->value_len);
    rcu_give(o);
    struct wanted w = {c->key, c->key_len};
    struct cds_lfht_node *replaced = cds_lfht_add_replace(
        kv->table, hash_of(kv, c->key, c->key_len), match, &w, &o->node);
    assert(replaced == old);
    if (old)
        rcu_free_later(&object_of(old)->rcu, free_object);
    else
        atomic_fetch_add_explicit(&kv->count, 1, memory_order_relaxed);
}

static void del(struct kv *kv, struct cds_lfht_node *old)
{
    int rc = cds_lfht_del(kv->table, old);
    assert(rc == 0);
    rcu_free_later(&object_of(old)->rcu, free_object);
    atomic_fetch_sub_explicit(&kv->count, 1, memory_order_relaxed);
}

static struct cds_lfht_node *find(struct kv *kv, const uint8_t *key, size_t len)
{
    struct wanted w = {key, len};
    struct cds_lfht_iter it;
    cds_lfht_lookup(kv->table, hash_of(kv, key, len), match, &w, &it);
    return cds_lfht_iter_get_node(&it);
}

void kv_apply(struct kv *kv, uint64_t index, const struct cmd *c, bool *existed)
{
    rcu_enter();
    struct cds_lfht_node *old = find(kv, c->key, c->key_len);
    *existed = old != NULL;
    if (c->op == CMD_PUT)
        put(kv, index, c, old);
    else if (old)
        del(kv, old);
    rcu_leave();
}

const struct kv_object *kv_get(struct kv *kv, const uint8_t *key, size_t len)
{
    struct cds_lfht_node *node = find(kv, key, len);
    return node ? object_of(node) : NULL;
}

static int compare_keys(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    if (c != 0)
        return c;
    return a_len < b_len ? -1 : a_len > b_len;
}

/* By key; of two objects of one key the newer first. */
static int compare_objects(const void *pa, const void *pb)
{
    const struct kv_object *const *pa_o = pa, *const *pb_o = pb;
    const struct kv_object *a = *pa_o, *b = *pb_o;
    int c = compare_keys(a->bytes, a->key_len, b->bytes, b->key_len);
    if (c != 0)
        return c;
    return a->modify_revision > b->modify_revision ? -1 : a->modify_revision < b->modify_revision;
}

static bool in_range(const struct kv_object *o, const struct kv_range *r)
{
    if (o->key_len < r->prefix_len ||
        (r->prefix_len > 0 && memcmp(o->bytes, r->prefix, r->prefix_len) != 0))
        return false;
    return r->after_len == 0 || compare_keys(o->bytes, o->key_len, r->after, r->after_len) > 0;
}

int kv_list(struct kv *kv, const struct kv_range *range, const struct kv_object ***list, size_t *n)
{
    const struct kv_object **found = NULL;
    size_t count = 0, cap = 0;
    struct cds_lfht_iter it;
    for (cds_lfht_first(kv->table, &it); it.node; cds_lfht_next(kv->table, &it)) {
        const struct kv_object *o = object_of(it.node);
        rcu_take(o);
        if (!in_range(o, range))
            continue;
        if (count == cap) {
            cap = cap ? 2 * cap : LIST_CAP_MIN;
            const struct kv_object **more = realloc(found, cap * sizeof(*more));
            if (!more) {
                free(found);
                return -ENOMEM;
            }
            found = more;
        }
        found[count++] = o;
    }
    if (count > 0)
        qsort(found, count, sizeof(*found), compare_objects);
    /* A key deleted and made again during the walk may have been met twice: keep the newer. */
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && compare_keys(found[kept - 1]->bytes, found[kept - 1]->key_len,
                                     found[i]->bytes, found[i]->key_len) == 0)
            continue;
        found[kept++] = found[i];
    }
    *list = found;
    *n = kept;
    return 0;
}

uint64_t kv_count(const struct kv *kv)
{
    return atomic_load_explicit(&kv->count, memory_order_relaxed);
}

int kv_digest(struct kv *kv, uint8_t out[KV_DIGEST_BYTES])
{
    const struct kv_object **list;
    size_t n;
    rcu_enter();
    int rc = kv_list(kv, &(struct kv_range){0}, &list, &n);
    if (rc == 0) {
        crypto_generichash_state h;
        crypto_generichash_init(&h, NULL, 0, KV_DIGEST_BYTES);
        for (size_t i = 0; i < n; i++) {
            uint8_t head[22];
            put_u64(head, list[i]->create_revision);
            put_u64(head + 8, list[i]->modify_revision);
            put_u32(head + 16, list[i]->value_len);
            put_u16(head + 20, list[i]->key_len);
            crypto_generichash_update(&h, head, sizeof(head));
            crypto_generichash_update(&h, list[i]->bytes,
                                      (size_t)list[i]->key_len + list[i]->value_len);
        }
        crypto_generichash_final(&h, out, KV_DIGEST_BYTES);
        free(list);
    }
    rcu_leave();
    return rc;
}
