/* state_table.c: see state_table.h. */
#include "tests/lib/state_table.h"

#include <assert.h>
#include <sodium/crypto_shorthash.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"

enum { LIST_CAP_MIN = 64 };

struct wanted {
    const void *key;
    size_t len;
};

static unsigned long hash_of(const void *key, size_t len)
{
    static const uint8_t secret[crypto_shorthash_KEYBYTES] = {1};
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, key, len, secret);
    return (unsigned long)get_u64(out);
}

static struct table_object *object_of(struct cds_lfht_node *node)
{
    return rcu_container(node, struct table_object, node);
}

static int match(struct cds_lfht_node *node, const void *key)
{
    const struct wanted *w = key;
    const struct table_object *o = object_of(node);
    return o->key_len == w->len && memcmp(o->bytes, w->key, w->len) == 0;
}

static void free_object(struct rcu_head *head)
{
    rcu_callback_begin();
    free(rcu_container(head, struct table_object, rcu));
}

struct cds_lfht *table_new(unsigned long n)
{
    unsigned long buckets = 64;
    while (buckets < n)
        buckets *= 2;
    return cds_lfht_new_flavor(buckets, 64, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING,
                               &urcu_memb_flavor, NULL);
}

void table_free(struct cds_lfht *t)
{
    struct cds_lfht_iter it;
    rcu_enter();
    for (cds_lfht_first(t, &it); it.node != NULL; cds_lfht_next(t, &it)) {
        (void)cds_lfht_del(t, it.node);
        rcu_free_later(&object_of(it.node)->rcu, free_object);
    }
    rcu_leave();
    int rc = cds_lfht_destroy(t, NULL);
    assert(rc == 0);
    (void)rc;
    rcu_wait_freed();
}

void table_put(struct cds_lfht *t, uint64_t index, const void *key, size_t key_len,
               const void *value, size_t value_len)
{
    rcu_enter();
    const struct table_object *old = table_get(t, key, key_len);
    struct table_object *o = malloc(sizeof *o + key_len + value_len);
    assert(o != NULL);
    cds_lfht_node_init(&o->node);
    o->create_revision = old != NULL ? old->create_revision : index;
    o->modify_revision = index;
    o->value_len = (uint32_t)value_len;
    o->key_len = (uint16_t)key_len;
    memcpy(o->bytes, key, key_len);
    memcpy(o->bytes + key_len, value, value_len);
    struct cds_lfht_node *replaced = cds_lfht_add_replace(t, hash_of(key, key_len), match,
                                                          &(struct wanted){key, key_len}, &o->node);
    if (replaced != NULL)
        rcu_free_later(&object_of(replaced)->rcu, free_object);
    rcu_leave();
}

const struct table_object *table_get(struct cds_lfht *t, const void *key, size_t len)
{
    struct cds_lfht_iter it;
    cds_lfht_lookup(t, hash_of(key, len), match, &(struct wanted){key, len}, &it);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&it);
    return node != NULL ? object_of(node) : NULL;
}

static int compare_objects(const void *a, const void *b)
{
    const struct table_object *const *pa = a, *const *pb = b;
    size_t a_len = (*pa)->key_len, b_len = (*pb)->key_len;
    int c = memcmp((*pa)->bytes, (*pb)->bytes, a_len < b_len ? a_len : b_len);
    if (c != 0)
        return c;
    return a_len < b_len ? -1 : a_len > b_len;
}

size_t table_list(struct cds_lfht *t, const void *prefix, size_t len,
                  const struct table_object ***list)
{
    const struct table_object **found = NULL;
    size_t count = 0, cap = 0;
    struct cds_lfht_iter it;
    for (cds_lfht_first(t, &it); it.node != NULL; cds_lfht_next(t, &it)) {
        const struct table_object *o = object_of(it.node);
        if (o->key_len < len || memcmp(o->bytes, prefix, len) != 0)
            continue;
        if (count == cap) {
            cap = cap != 0 ? 2 * cap : LIST_CAP_MIN;
            found = realloc(found, cap * sizeof *found);
            assert(found != NULL);
        }
        found[count++] = o;
    }
    if (count > 0)
        qsort(found, count, sizeof *found, compare_objects);
    *list = found;
    return count;
}
