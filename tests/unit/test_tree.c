// LINK: raftd/state/tree.c -Wl,--wrap=malloc,--wrap=free
/* test_tree.c: the map against a sorted array; older maps that stay what they are; memory that is refused
 * at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/tree.h"

enum { KEYS = 5000, KEY_BYTES = 8, VIEWS = 5 };

/* ---- memory ---- */

static unsigned allocations, refused_at; /* the so many'th from now is refused; 0 = none */
static long blocks;                      /* that are not freed */

void *__real_malloc(size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
    if (++allocations == refused_at)
        return NULL;
    blocks++;
    return __real_malloc(size);
}

void __wrap_free(void *p)
{
    blocks -= p != NULL;
    __real_free(p);
}

/* ---- the world: a map, what it should hold, and some older ones ---- */

/* What is garbage once nobody looks at the maps before a batch. */
struct view {
    const struct tree_node *root;
    struct kv_object **model;
    unsigned n;
    struct tree_block *garbage; /* of the batch that came then */
};

struct world {
    struct tree_memory m;
    struct tree_node *root;
    struct kv_object *model[KEYS]; /* sorted */
    unsigned n;
    struct view views[VIEWS]; /* the newest last */
    unsigned n_views;
    uint64_t revision;
    uint32_t random;
};

static uint32_t roll(struct world *w, uint32_t n)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % n;
}

/* Keys of one byte to KEY_BYTES, many of which begin alike. */
static size_t random_key(struct world *w, uint8_t key[KEY_BYTES])
{
    size_t len = 1 + roll(w, KEY_BYTES);
    for (size_t i = 0; i < len; i++)
        key[i] = (uint8_t)(roll(w, 5) * 63);
    return len;
}

static struct kv_object *object(struct world *w, const uint8_t *key, size_t len)
{
    struct kv_object *o = malloc(sizeof *o + len);
    assert_non_null(o);
    *o = (struct kv_object){.block = {.batch = w->m.batch}, .key_len = (uint16_t)len};
    o->modify_revision = ++w->revision;
    memcpy(o->bytes, key, len);
    return o;
}

/* The place in the model of the first key that is not smaller. */
static unsigned place(const struct world *w, const uint8_t *key, size_t len)
{
    unsigned low = 0, high = w->n;
    while (low < high) {
        const struct kv_object *o = w->model[(low + high) / 2];
        if (tree_compare(kv_key(o), o->key_len, key, len) < 0)
            low = (low + high) / 2 + 1;
        else
            high = (low + high) / 2;
    }
    return low;
}

static struct kv_object *in_model(const struct world *w, const uint8_t *key, size_t len)
{
    unsigned i = place(w, key, len);
    return i < w->n && tree_compare(kv_key(w->model[i]), w->model[i]->key_len, key, len) == 0
               ? w->model[i]
               : NULL;
}

static bool put(struct world *w, const uint8_t *key, size_t len)
{
    unsigned i = place(w, key, len);
    struct kv_object *old = in_model(w, key, len);
    struct kv_object *o = object(w, key, len), *found;
    assert_ptr_equal(tree_find(w->root, key, len), old);
    if (!tree_put(&w->m, &w->root, o, &found)) {
        free(o);
        return false;
    }
    assert_ptr_equal(found, old);
    if (old != NULL)
        tree_retire(&w->m, old);
    if (old == NULL) {
        assert_true(w->n < KEYS);
        memmove(w->model + i + 1, w->model + i, (w->n++ - i) * sizeof w->model[0]);
    }
    w->model[i] = o;
    return true;
}

static bool del(struct world *w, unsigned i)
{
    struct kv_object *o = w->model[i];
    uint8_t key[KEY_BYTES];
    size_t len = o->key_len;
    memcpy(key, kv_key(o), len);
    if (!tree_delete(&w->m, &w->root, key, len))
        return false;
    assert_null(tree_find(w->root, key, len));
    memmove(w->model + i, w->model + i + 1, (--w->n - i) * sizeof w->model[0]);
    return true;
}

/* ---- what must hold ---- */

/* The height of a subtree, whose nodes are as full as they should be. */
static unsigned check_nodes(const struct tree_node *t, bool is_root)
{
    assert_in_range(t->n, is_root ? 1 : TREE_KEYS_MIN, TREE_KEYS_MAX);
    if (t->leaf)
        return 1;
    unsigned height = check_nodes(t->child[0], false);
    for (unsigned i = 1; i <= t->n; i++)
        assert_int_equal(check_nodes(t->child[i], false), height);
    return height + 1;
}

/* It holds these objects, in this order; its height. */
static unsigned check_map(const struct tree_node *root, struct kv_object *const *model, unsigned n)
{
    struct tree_cursor c;
    tree_seek(root, NULL, 0, &c);
    for (unsigned i = 0; i < n; i++)
        assert_ptr_equal(tree_next(&c), model[i]);
    assert_null(tree_next(&c));
    assert_null(tree_next(&c));
    return root != NULL ? check_nodes(root, true) : 0;
}

static void check_seek(struct world *w)
{
    uint8_t key[KEY_BYTES];
    struct tree_cursor c;
    size_t len = random_key(w, key);
    tree_seek(w->root, key, len, &c);
    unsigned i = place(w, key, len);
    for (unsigned end = i + 70; i < end && i < w->n; i++)
        assert_ptr_equal(tree_next(&c), w->model[i]);
    if (i == w->n)
        assert_null(tree_next(&c));
    assert_ptr_equal(tree_find(w->root, key, len), in_model(w, key, len));
}

/* The oldest view is what it was, and goes, and what was kept for it. */
static void close_view(struct world *w)
{
    struct view *v = &w->views[0];
    (void)check_map(v->root, v->model, v->n);
    free(v->model);
    (void)tree_free(&v->garbage, SIZE_MAX);
    memmove(w->views, w->views + 1, --w->n_views * sizeof w->views[0]);
}

static void end_batch(struct world *w)
{
    if (w->n_views > 0)
        w->views[w->n_views - 1].garbage = w->m.garbage;
    else
        assert_null(w->m.garbage);
    w->m.garbage = NULL;
    w->m.batch++;
    if (w->n_views == VIEWS)
        close_view(w);
    struct view *v = &w->views[w->n_views++];
    *v = (struct view){.root = w->root, .model = malloc(sizeof w->model), .n = w->n};
    assert_non_null(v->model);
    memcpy(v->model, w->model, w->n * sizeof w->model[0]);
}

static void end_world(struct world *w)
{
    tree_clear(&w->m, &w->root);
    assert_null(w->root);
    w->n = 0;
    end_batch(w);
    while (w->n_views > 0)
        close_view(w);
    assert_int_equal(blocks, 0);
}

static void begin_world(struct world *w)
{
    blocks = 0;
    refused_at = 0;
    *w = (struct world){.m = {.batch = 1}, .random = 1};
}

/* ---- tests ---- */

/* Grows and shrinks it to nothing some times over, in batches of different sizes. */
static void test_model(void **state)
{
    (void)state;
    static struct world w;
    unsigned highest = 0, emptied = 0;
    begin_world(&w);
    for (unsigned batch = 0; batch < 1500; batch++) {
        unsigned ops = 1 + roll(&w, 128), puts = batch / 150 % 2 == 0 ? 80 : 10;
        for (unsigned i = 0; i < ops; i++) {
            uint8_t key[KEY_BYTES];
            size_t len = random_key(&w, key);
            if (w.n == 0 || (roll(&w, 100) < puts && w.n < KEYS))
                assert_true(put(&w, key, len));
            else
                assert_true(del(&w, roll(&w, w.n)));
            emptied += w.n == 0;
        }
        unsigned height = check_map(w.root, w.model, w.n);
        highest = height > highest ? height : highest;
        check_seek(&w);
        end_batch(&w);
    }
    assert_true(highest >= 3 && emptied >= 3);
    end_world(&w);
}

/* In either order, where all splits and merges happen at one end. */
static void test_in_order(void **state)
{
    (void)state;
    static struct world w;
    for (unsigned how = 0; how < 4; how++) {
        begin_world(&w);
        for (unsigned i = 0; i < KEYS; i++) {
            unsigned k = how % 2 == 0 ? i : KEYS - 1 - i;
            assert_true(put(&w, (uint8_t[]){(uint8_t)(k >> 8), (uint8_t)k}, 2));
            if (i % 16 == 0)
                end_batch(&w);
        }
        (void)check_map(w.root, w.model, w.n);
        while (w.n > 0) {
            assert_true(del(&w, how < 2 ? 0 : w.n - 1));
            if (w.n % 16 == 0)
                end_batch(&w);
            if (w.n % 100 == 0)
                (void)check_map(w.root, w.model, w.n);
        }
        end_world(&w);
    }
}

/* All keys there are, in one batch. */
static void put_all(struct world *w)
{
    for (unsigned i = 0; i < KEYS; i++)
        assert_true(put(w, (uint8_t[]){(uint8_t)(i >> 8), (uint8_t)i}, 2));
    end_batch(w);
}

/* A batch copies a node once, and nothing that it does not change. */
static void test_copies(void **state)
{
    (void)state;
    static struct world w;
    begin_world(&w);
    put_all(&w);
    unsigned height = check_map(w.root, w.model, w.n), before = allocations;
    assert_true(put(&w, (uint8_t[]){1, 1}, 2));
    assert_int_equal(allocations - before, 1 + height);
    before = allocations;
    assert_true(put(&w, (uint8_t[]){1, 2}, 2));
    assert_true(put(&w, (uint8_t[]){1, 1}, 2));
    assert_int_equal(allocations - before, 2); /* the objects */
    end_batch(&w);
    end_world(&w);
}

/* What is as old as an image, or older, is kept apart, and only that. */
static void test_frozen(void **state)
{
    (void)state;
    static struct world w;
    begin_world(&w);
    put_all(&w);
    struct view image = w.views[0];
    struct kv_object **model = malloc(sizeof w.model);
    assert_non_null(model);
    memcpy(model, image.model, sizeof w.model);
    w.m.frozen = w.m.batch - 1;
    long before = blocks;
    for (unsigned i = 0; i < 5 * KEYS; i++) { /* all of it, many times */
        unsigned k = i % KEYS;
        assert_true(put(&w, (uint8_t[]){(uint8_t)(k >> 8), (uint8_t)k}, 2));
        if (i % 64 == 0)
            end_batch(&w);
    }
    (void)check_map(image.root, model, KEYS);
    long kept = 0;
    for (const struct tree_block *b = w.m.kept; b != NULL; b = b->next)
        kept++;
    assert_int_equal(kept, before - 2); /* the whole map as it was, but for the two models here */
    w.m.frozen = 0;
    (void)tree_free(&w.m.kept, SIZE_MAX);
    w.m.kept = NULL;
    free(model);
    end_world(&w);
}

/* Each allocation of each step is refused once: nothing has changed, and the step is done afterwards. */
static void test_refused(void **state)
{
    (void)state;
    static struct world w;
    unsigned refused = 0;
    begin_world(&w);
    for (unsigned step = 0; step < 3000; step++) {
        uint8_t key[KEY_BYTES];
        size_t len = random_key(&w, key);
        bool is_put = w.n == 0 || (roll(&w, 10) < (step < 1500 ? 8 : 1) && w.n < KEYS);
        unsigned victim = w.n > 0 ? roll(&w, w.n) : 0, own = is_put ? 1 : 0;
        for (unsigned at = 1 + own;; at++) {
            allocations = 0;
            refused_at = at;
            bool done = is_put ? put(&w, key, len) : del(&w, victim);
            refused_at = 0;
            if (done)
                break;
            refused++;
            (void)check_map(w.root, w.model, w.n);
            if (roll(&w, 2) == 0)
                end_batch(
                    &w); /* what was done for nothing is published: the next try starts from it */
        }
        if (roll(&w, 8) == 0)
            end_batch(&w);
    }
    assert_true(refused > 1500);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),   cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_copies),  cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
