// LINK: @state TSAN
/* test_kv_race.c: reader threads look up and list while one thread applies. Built for
 * ThreadSanitizer; in other builds it still checks that no reader ever sees half an object. */
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

enum { READERS = 2, KEYS = 40, ENTRIES = 30000, VALUE_MAX = 64 };

/* A published object as the loop publishes status. */
struct view {
    struct rcu_head rcu;
    uint64_t applied;
    uint64_t copy;
};

struct test {
    struct kv *kv;
    struct view *view;
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

static void *reader(void *arg)
{
    struct test *t = arg;
    uint64_t seen = 0;
    rcu_thread_begin();
    while (!atomic_load(&t->stop)) {
        for (uint8_t k = 0; k < KEYS; k++) {
            rcu_enter();
            const struct view *v = rcu_get(t->view);
            if (v->applied != v->copy || v->applied > ENTRIES)
                abort();
            const struct kv_object *o = kv_get(t->kv, &k, 1);
            if (o)
                check_object(o, ENTRIES);
            seen += o != NULL;
            rcu_leave();
        }
        const struct kv_range all = {0};
        int last = -1;
        rcu_enter();
        for (const struct kv_object *o = kv_first(t->kv, &all); o; o = kv_next(o, &all)) {
            check_object(o, ENTRIES);
            if (*kv_key(o) <= last)
                abort();
            last = *kv_key(o);
        }
        rcu_leave();
    }
    rcu_thread_end();
    atomic_fetch_add(&t->seen, seen);
    return NULL;
}

static void free_view(struct rcu_head *head)
{
    rcu_callback_begin();
    free(rcu_container(head, struct view, rcu));
}

static void publish(struct test *t, uint64_t applied)
{
    struct view *v = malloc(sizeof(*v));
    assert_non_null(v);
    v->applied = v->copy = applied;
    struct view *old = rcu_swap(t->view, v);
    if (old)
        rcu_free_later(&old->rcu, free_view);
}

static void test_readers_and_writer(void **state)
{
    (void)state;
    static const uint8_t hash_key[KV_HASH_KEY_BYTES] = {1};
    struct test t = {.kv = kv_new(hash_key)};
    assert_non_null(t.kv);
    publish(&t, 0);
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &t), 0);
    uint8_t value[VALUE_MAX];
    uint32_t random = 1;
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        random = random * 1664525 + 1013904223;
        uint8_t key = (uint8_t)((random >> 16) % KEYS);
        bool put = random >> 30 != 0;
        memset(value, (uint8_t)index, sizeof(value));
        (void)kv_apply(t.kv, index,
                       &(struct cmd){.op = put ? CMD_PUT : CMD_DELETE,
                                     .key = &key,
                                     .key_len = 1,
                                     .value = put ? value : NULL,
                                     .value_len = put ? (uint32_t)(index % VALUE_MAX) : 0});
        publish(&t, index);
    }
    atomic_store(&t.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&t.seen) > 0);
    rcu_free_later(&t.view->rcu, free_view);
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
