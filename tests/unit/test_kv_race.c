// LINK: @state TSAN
/* test_kv_race.c: reader threads look up, list and follow the changes, and one reads images, while one thread
 * applies. Built for ThreadSanitizer; in other builds it still checks that each sees one moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/kv.h"

enum { READERS = 2, KEYS = 40, ENTRIES = 30000, VALUE_MAX = 64, IMAGES = 10 };

struct test {
    struct kv *kv;
    struct kv_image *_Atomic image; /* for the imager; NULL: it wants another one */
    _Atomic bool stop;
    _Atomic uint64_t seen;
};

/* The value of entry `index` is its number in every byte; its length depends on it too. */
static void check_object(const struct kv_object *o, uint64_t at_most)
{
    if (o->create_revision > o->modify_revision || o->create_revision == 0)
        abort();
    if (o->modify_revision > at_most || o->value_len != o->modify_revision % VALUE_MAX)
        abort();
    for (uint32_t i = 0; i < o->value_len; i++)
        if (kv_value(o)[i] != (uint8_t)o->modify_revision)
            abort();
}

/* All keys are as of the view's index: what it counts is there, none is newer, and the entry of its index,
 * if it was a put, is the newest. */
static void check_view(const struct kv_view *v)
{
    const struct kv_range all = {0};
    struct kv_cursor c;
    uint64_t n = 0, bytes = 0, newest = 0;
    int last = -1;
    for (const struct kv_object *o = kv_first(v, &all, &c); o != NULL; o = kv_next(&c)) {
        check_object(o, v->index);
        if (*kv_key(o) <= last || kv_get(v, kv_key(o), 1) != o)
            abort();
        last = *kv_key(o);
        n++;
        bytes += kv_cost(o->key_len, o->value_len);
        newest = o->modify_revision > newest ? o->modify_revision : newest;
    }
    if (n != v->count || bytes != v->bytes ||
        (newest == v->index) != (v->cluster_ms == v->index)) /* see put_at */
        abort();
}

/* What changed since the view before, up to this one's index: an entry each. */
static void check_history(const struct kv_view *view, struct history_cursor *c, uint64_t *next)
{
    const struct history_view *v = &view->history;
    const struct history_change *h;
    if (history_missed(v, c) && !history_seek(v, *next = v->whole_from, c))
        abort();
    for (; (h = history_next(v, c)) != NULL; ++*next) {
        if (h->object->modify_revision != *next)
            abort();
        if (h->kind == HISTORY_PUT)
            check_object(h->object, view->index);
    }
    if (*next != view->index + 1)
        abort();
}

static void *reader(void *arg)
{
    struct test *t = arg;
    uint64_t seen = 0, last = 0, next = 1;
    struct history_cursor c = {0};
    rcu_thread_begin();
    while (!atomic_load(&t->stop)) {
        rcu_enter();
        const struct kv_view *v = kv_view(t->kv);
        if (v->index < last)
            abort();
        last = v->index;
        check_view(v);
        check_history(v, &c, &next);
        seen += v->count;
        rcu_leave();
    }
    rcu_thread_end();
    atomic_fetch_add(&t->seen, seen);
    return NULL;
}

/* Without read-side sections. */
static void *imager(void *arg)
{
    struct test *t = arg;
    while (!atomic_load(&t->stop)) {
        struct kv_image *image = atomic_load(&t->image);
        if (image == NULL)
            continue;
        for (unsigned i = 0; i < 10; i++)
            check_view(kv_image_view(image));
        atomic_store(&t->image, NULL);
    }
    return NULL;
}

/* Another state takes the place of all, of some keys that the entry `index` wrote. */
static void replace(struct kv *kv, uint64_t index)
{
    struct kv *by = kv_new();
    uint8_t value[VALUE_MAX];
    assert_non_null(by);
    memset(value, (uint8_t)index, sizeof(value));
    for (uint8_t key = 0; key < KEYS; key += 3)
        assert_int_equal(kv_put(by, &(struct kv_content){.key = &key,
                                                         .key_len = 1,
                                                         .value = value,
                                                         .value_len = (uint32_t)(index % VALUE_MAX),
                                                         .create_revision = 1,
                                                         .modify_revision = index}),
                         KV_DONE);
    kv_replace(kv, by, index, index);
}

static void test_readers_and_writer(void **state)
{
    (void)state;
    struct test t = {.kv = kv_new()};
    struct kv_image *image = NULL;
    unsigned images = 0;
    assert_non_null(t.kv);
    pthread_t threads[READERS + 1];
    for (int i = 0; i <= READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < READERS ? reader : imager, &t), 0);
    uint8_t value[VALUE_MAX];
    uint32_t random = 1;
    uint64_t put_at = 0; /* the index of the newest entry, if it was a put, else less */
    for (uint64_t index = 1; index <= ENTRIES || images < IMAGES; index++) {
        random = random * 1664525 + 1013904223;
        if (index % 50 == 0) {
            assert_true(kv_publish(t.kv, index - 1, put_at));
            replace(t.kv, put_at = index);
            continue;
        }
        uint8_t key = (uint8_t)((random >> 16) % KEYS);
        bool put = random >> 30 != 0;
        memset(value, (uint8_t)index, sizeof(value));
        if (put)
            (void)kv_put(t.kv, &(struct kv_content){.key = &key,
                                                    .key_len = 1,
                                                    .value = value,
                                                    .value_len = (uint32_t)(index % VALUE_MAX),
                                                    .create_revision = 1,
                                                    .modify_revision = index});
        else
            (void)kv_delete(t.kv, &key, 1);
        assert_true(kv_tell(t.kv, index, put ? HISTORY_PUT : HISTORY_DELETED, 0, &key, 1));
        put_at = put ? index : put_at;
        if (random % 4 == 0)
            continue; /* batches of some */
        assert_true(kv_publish(t.kv, index, put_at));
        if (atomic_load(&t.image) != NULL)
            continue;
        if (image != NULL)
            kv_thaw(t.kv, image);
        image = kv_freeze(t.kv);
        assert_non_null(image);
        images++;
        atomic_store(&t.image, image);
    }
    atomic_store(&t.stop, true);
    for (int i = 0; i <= READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&t.seen) > 0);
    assert_true(kv_publish(t.kv, UINT64_MAX, UINT64_MAX));
    kv_thaw(t.kv, image);
    kv_free(t.kv);
}

/* Requests travel from two threads to one and are freed there. */
struct parcel {
    struct cds_wfcq_node link;
    unsigned from, number;
};

struct queue {
    struct cds_wfcq_head head;
    struct cds_wfcq_tail tail;
    _Atomic unsigned senders;
};

static void *sender(void *arg)
{
    struct queue *q = arg;
    unsigned me = atomic_fetch_add(&q->senders, 1);
    for (unsigned i = 0; i < 2000; i++) {
        struct parcel *p = malloc(sizeof(*p));
        if (!p)
            abort();
        p->from = me;
        p->number = i;
        rcu_queue_push(&q->head, &q->tail, &p->link);
    }
    return NULL;
}

static void test_queue(void **state)
{
    (void)state;
    struct queue q = {.senders = 0};
    unsigned next[2] = {0};
    pthread_t threads[2];
    cds_wfcq_init(&q.head, &q.tail);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sender, &q), 0);
    while (next[0] + next[1] < 4000) {
        struct cds_wfcq_node *node = rcu_queue_pop(&q.head, &q.tail);
        if (!node)
            continue;
        struct parcel *p = rcu_container(node, struct parcel, link);
        assert_int_equal(p->number, next[p->from]++);
        free(p);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    cds_wfcq_destroy(&q.head, &q.tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_and_writer),
        cmocka_unit_test(test_queue),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
