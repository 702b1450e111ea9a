/* kv.c: see kv.h. */
#include "raftd/state/kv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/due.h"
#include "raftd/state/siphash.h"

/* An odd factor. Small numbers that differ then differ in their upper bits, too. */
#define SPREAD UINT64_C(0x9e3779b97f4a7c15)

enum { TIDY_BLOCKS = 1000 }; /* freed at a time: some 100 us on a small board */

/* What is to be freed when nobody looks at it any more. The writer does that, a piece at a time: if another
 * thread did, its free() and our malloc() would wait for each other. */
struct left {
    struct rcu_head rcu;
    struct cds_wfcq_node link; /* of kv.left */
    struct kv *kv;
    struct tree_block *blocks;
    struct tree_node *map; /* or a whole map, or NULL */
};

/* A view, and what was replaced when the next one was published: both go together. */
struct published {
    struct left left;
    struct kv_view view;
};

struct kv_image {
    struct left left;
    struct kv_view view;
};

struct kv {
    struct published *published; /* RCU pointer */
    struct kv_view now;          /* what will be published next, less its root and history */
    struct tree_node *root;
    struct due due; /* of the objects in it */
    struct tree_memory memory;
    struct history history;
    struct kv_object *put;          /* the last one */
    struct kv_image *image;         /* the open one, or NULL */
    struct cds_wfcq_head left_head; /* what nobody looks at any more, ... */
    struct cds_wfcq_tail left_tail;
    struct left *left; /* ... the first of which is being freed */
    uint64_t tidied;   /* memory.retired at that time */
};

/* ---- objects ---- */

uint64_t kv_cost(size_t key_len, size_t value_len)
{
    return KV_KEY_BYTES + (uint64_t)key_len + value_len;
}

static const struct kv_lead *lead(const struct kv_object *o)
{
    static const struct kv_lead none;
    return o->lead_len == 0 ? &none : (const struct kv_lead *)(const void *)o->bytes;
}

uint64_t kv_expiry_ms(const struct kv_object *o)
{
    return lead(o)->expiry_ms;
}

uint64_t kv_holder(const struct kv_object *o)
{
    return lead(o)->holder;
}

static struct kv_object *object_new(const struct kv *kv, const struct kv_content *c)
{
    struct kv_lead l = {c->expiry_ms, c->holder, 0};
    uint8_t lead_len = l.expiry_ms != 0 || l.holder != 0 ? sizeof l : 0;
    struct kv_object *o = malloc(sizeof *o + lead_len + c->key_len + c->value_len);
    if (o == NULL)
        return NULL;
    o->block.batch = kv->memory.batch;
    o->create_revision = c->create_revision;
    o->modify_revision = c->modify_revision;
    o->value_len = c->value_len;
    o->key_len = c->key_len;
    o->lead_len = lead_len;
    o->told = TREE_UNTOLD;
    memcpy(o->bytes, &l, lead_len);
    memcpy(o->bytes + lead_len, c->key, c->key_len);
    if (c->value_len > 0)
        memcpy(o->bytes + lead_len + c->key_len, c->value, c->value_len);
    return o;
}

/* The hash is of key and value. All other fields make the hash's own key: each half has two of them, one of
 * which is spread, so that they can't be exchanged. An expiry is below 2^49. */
static void hash_of(uint64_t out[2], const struct kv_object *o)
{
    const uint64_t key[] = {
        o->create_revision ^ kv_holder(o) * SPREAD,
        o->modify_revision ^ (kv_expiry_ms(o) ^ (uint64_t)o->key_len << 52) * SPREAD,
    };
    siphash128(out, kv_key(o), (size_t)o->key_len + o->value_len, key);
}

/* Counts an object in (`times` is 1) or out (-1). */
static void count(struct kv_view *v, const struct kv_object *o, int times)
{
    uint64_t hash[2], factor = (uint64_t)times;
    hash_of(hash, o);
    v->digest[0] += factor * hash[0];
    v->digest[1] += factor * hash[1];
    v->bytes += factor * kv_cost(o->key_len, o->value_len);
    v->count += factor;
    v->expiring += kv_expiry_ms(o) != 0 ? factor : 0;
}

/* ---- writing ---- */

struct kv *kv_new(void)
{
    struct kv *kv = calloc(1, sizeof *kv);
    if (kv == NULL)
        return NULL;
    kv->memory.batch = 1;
    history_init(&kv->history, 1);
    cds_wfcq_init(&kv->left_head, &kv->left_tail);
    kv->published = calloc(1, sizeof *kv->published);
    if (kv->published == NULL) {
        free(kv);
        return NULL;
    }
    kv->published->view.history = kv->history.written;
    return kv;
}

void kv_free(struct kv *kv)
{
    if (kv == NULL)
        return;
    assert(kv->image == NULL);
    history_clear(&kv->history, &kv->memory, 0);
    tree_clear(&kv->memory, &kv->root);
    (void)tree_free(&kv->memory.garbage, SIZE_MAX);
    free(kv->due.at);
    free(kv->published);
    rcu_wait_freed();
    while (kv_tidy(kv))
        continue;
    cds_wfcq_destroy(&kv->left_head, &kv->left_tail);
    free(kv);
}

const struct kv_object *kv_find(const struct kv *kv, const uint8_t *key, size_t len)
{
    return tree_find(kv->root, key, len);
}

const struct kv_object *kv_first_due(const struct kv *kv)
{
    return due_first(&kv->due);
}

size_t kv_count_due(const struct kv *kv, uint64_t until_ms, size_t most)
{
    return due_count(&kv->due, until_ms, most);
}

enum kv_outcome kv_put(struct kv *kv, const struct kv_content *c)
{
    if (c->expiry_ms != 0 && !due_reserve(&kv->due))
        return KV_NO_MEMORY;
    struct kv_object *o = object_new(kv, c), *old;
    if (o == NULL)
        return KV_NO_MEMORY;
    if (!tree_put(&kv->memory, &kv->root, o, &old)) {
        free(o);
        return KV_NO_MEMORY;
    }
    if (old != NULL) {
        count(&kv->now, old, -1);
        if (kv_expiry_ms(old) != 0)
            due_remove(&kv->due, old);
        tree_retire(&kv->memory, old);
    }
    count(&kv->now, o, 1);
    if (c->expiry_ms != 0)
        due_add(&kv->due, o);
    kv->put = o;
    return KV_DONE;
}

enum kv_outcome kv_delete(struct kv *kv, const uint8_t *key, size_t len)
{
    struct kv_object *old = tree_find(kv->root, key, len);
    struct kv_view after = kv->now;
    if (old == NULL)
        return KV_NO_KEY;
    bool expires = kv_expiry_ms(old) != 0;
    count(&after, old, -1);
    if (expires)
        due_remove(&kv->due, old);
    if (!tree_delete(&kv->memory, &kv->root, key, len)) {
        if (expires)
            due_add(&kv->due, old);
        return KV_NO_MEMORY;
    }
    kv->now = after;
    return KV_DONE;
}

bool kv_tell(struct kv *kv, uint64_t index, enum history_kind kind, uint32_t operations,
             const uint8_t *key, size_t len)
{
    const struct kv_content gone = {.key = key, .key_len = (uint16_t)len, .modify_revision = index};
    bool there = kind == HISTORY_PUT;
    struct kv_object *o = there ? kv->put : object_new(kv, &gone);
    assert(!there || (o->key_len == len && memcmp(kv_key(o), key, len) == 0));
    assert(o == NULL || o->modify_revision == index);
    bool told = o != NULL && history_add(&kv->history, &kv->memory, o, operations, kind);
    if (!told && !there)
        free(o);
    return told;
}

void kv_clear(struct kv *kv)
{
    history_clear(&kv->history, &kv->memory, 1);
    tree_clear(&kv->memory, &kv->root);
    kv->due.n = 0;
    kv->now = (struct kv_view){0};
}

void kv_set_outcomes(struct kv *kv, const struct outcomes_view *outcomes)
{
    kv->now.outcomes = *outcomes;
}

uint64_t kv_count(const struct kv *kv)
{
    return kv->now.count;
}

uint64_t kv_bytes(const struct kv *kv)
{
    return kv->now.bytes;
}

struct kv_view kv_draft(const struct kv *kv)
{
    struct kv_view v = kv->now;
    v.root = kv->root;
    return v;
}

/* Nobody looks at it any more. */
static void leave(struct left *l)
{
    rcu_queue_push(&l->kv->left_head, &l->kv->left_tail, &l->link);
}

static void left_alone(struct rcu_head *head)
{
    rcu_callback_begin();
    leave(rcu_container(head, struct left, rcu));
}

static void leave_later(struct kv *kv, struct left *l, struct tree_block *blocks,
                        struct tree_node *map)
{
    *l = (struct left){.kv = kv, .blocks = blocks, .map = map};
    if (map != NULL)
        map->block.next = NULL; /* readers do not look at that */
    rcu_free_later(&l->rcu, left_alone);
}

bool kv_tidy(struct kv *kv)
{
    /* More than the writer leaves behind, so that it does not become more and more. */
    size_t n = TIDY_BLOCKS + 2 * (size_t)(kv->memory.retired - kv->tidied);
    kv->tidied = kv->memory.retired;
    for (;;) {
        struct cds_wfcq_node *next = kv->left != NULL
                                         ? NULL
                                         : rcu_queue_pop(&kv->left_head, &kv->left_tail);
        if (next != NULL)
            kv->left = rcu_container(next, struct left, link);
        if (kv->left == NULL)
            return false;
        n = tree_free(&kv->left->blocks, n);
        n = tree_free_maps(&kv->left->map, n);
        if (n == 0)
            return true;
        free(kv->left);
        kv->left = NULL;
    }
}

/* Publishes p. `map`: a whole map that is not in it any more, or NULL. */
static void show(struct kv *kv, struct published *p, uint64_t index, uint64_t cluster_ms,
                 struct tree_node *map)
{
    kv->now.index = index;
    kv->now.cluster_ms = cluster_ms;
    p->view = kv->now;
    p->view.root = kv->root;
    p->view.history = kv->history.written;
    struct published *before = rcu_swap(kv->published, p);
    leave_later(kv, &before->left, kv->memory.garbage, map);
    kv->memory.garbage = NULL;
    kv->memory.batch++;
    (void)kv_tidy(kv);
}

bool kv_publish(struct kv *kv, uint64_t index, uint64_t cluster_ms)
{
    struct published *p = malloc(sizeof *p);
    if (p == NULL)
        return false;
    assert(index >= kv->now.index && cluster_ms >= kv->now.cluster_ms);
    show(kv, p, index, cluster_ms, NULL);
    return true;
}

bool kv_all_published(const struct kv *kv)
{
    return kv->root == kv->published->view.root;
}

void kv_replace(struct kv *kv, struct kv *by, uint64_t index, uint64_t cluster_ms)
{
    struct tree_node *map = kv->root;
    assert(kv_all_published(kv) && by->memory.batch == 1 && by->history.written.end == 0);
    history_clear(&kv->history, &kv->memory, index + 1); /* first, for the image is open yet */
    if (kv->memory.frozen != 0) { /* the image needs it, and nothing of what comes now */
        kv->image->left.map = map;
        kv->memory.kept_bytes += kv->now.bytes;
        kv->memory.frozen = 0;
        map = NULL;
    }
    kv->root = by->root;
    kv->now = by->now;
    free(kv->due.at);
    kv->due = by->due;
    show(kv, by->published, index, cluster_ms, map);
    free(by);
}

void kv_discard(struct kv *kv, struct kv *other)
{
    struct left *l = &other->published->left;
    assert(other->memory.batch == 1);
    *l = (struct left){.kv = kv, .map = other->root};
    if (l->map != NULL)
        l->map->block.next = NULL;
    leave(l);
    free(other->due.at);
    free(other);
}

/* ---- reading ---- */

const struct kv_view *kv_view(const struct kv *kv)
{
    return &rcu_get(kv->published)->view;
}

const struct kv_object *kv_get(const struct kv_view *v, const uint8_t *key, size_t len)
{
    return tree_find(v->root, key, len);
}

const struct kv_object *kv_first(const struct kv_view *v, const struct kv_range *range,
                                 struct kv_cursor *c)
{
    const struct kv_range *r = range;
    c->range = *r;
    if (tree_compare(r->after, r->after_len, r->prefix, r->prefix_len) < 0) {
        tree_seek(v->root, r->prefix, r->prefix_len, &c->at);
        return kv_next(c);
    }
    tree_seek(v->root, r->after, r->after_len, &c->at);
    const struct kv_object *o = kv_next(c);
    bool passed = o != NULL && tree_compare(kv_key(o), o->key_len, r->after, r->after_len) == 0;
    return passed ? kv_next(c) : o;
}

const struct kv_object *kv_next(struct kv_cursor *c)
{
    const struct kv_range *r = &c->range;
    const struct kv_object *o = tree_next(&c->at);
    if (o == NULL || o->key_len < r->prefix_len ||
        (r->prefix_len > 0 && memcmp(kv_key(o), r->prefix, r->prefix_len) != 0))
        return NULL;
    return o;
}

/* ---- images ---- */

struct kv_image *kv_freeze(struct kv *kv)
{
    assert(kv_all_published(kv));
    if (kv->image != NULL || (kv->image = malloc(sizeof *kv->image)) == NULL)
        return NULL;
    kv->image->view = kv->published->view;
    kv->image->left.map = NULL;
    kv->memory.frozen = kv->memory.batch - 1;
    return kv->image;
}

uint64_t kv_kept_bytes(const struct kv *kv)
{
    return kv->memory.kept_bytes;
}

const struct kv_view *kv_image_view(const struct kv_image *image)
{
    return &image->view;
}

void kv_thaw(struct kv *kv, struct kv_image *image)
{
    assert(image == kv->image &&
           kv_all_published(kv)); /* else readers may still get what is kept */
    leave_later(kv, &image->left, kv->memory.kept, image->left.map);
    kv->memory.kept = NULL;
    kv->memory.kept_bytes = 0;
    kv->memory.frozen = 0;
    kv->image = NULL;
}
