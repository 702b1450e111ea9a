// LINK: @state @rcu_alone -Wl,--wrap=malloc,--wrap=free
/* test_kv.c: the state machine's semantics; views, images and digests of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

static unsigned refused_in; /* the so many'th allocation from now is refused; 0 = none */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return refused_in > 0 && --refused_in == 0 ? NULL : __real_malloc(size);
}

static _Atomic unsigned freed;

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
    freed++;
    __real_free(p);
}

/* As the state machine does it. */
static enum kv_outcome store(struct kv *kv, uint64_t index, const void *key, uint16_t key_len,
                             const void *value, uint32_t value_len)
{
    const struct kv_object *old = kv_find(kv, key, key_len);
    return kv_put(kv, &(struct kv_content){
                          .key = key,
                          .key_len = key_len,
                          .value = value,
                          .value_len = value_len,
                          .create_revision = old != NULL ? old->create_revision : index,
                          .modify_revision = index,
                      });
}

static void put(struct kv *kv, uint64_t index, const char *key, const char *value)
{
    assert_int_equal(store(kv, index, key, (uint16_t)strlen(key), value, (uint32_t)strlen(value)),
                     KV_DONE);
}

/* Whether it was there. */
static bool del(struct kv *kv, const char *key)
{
    return kv_delete(kv, (const uint8_t *)key, strlen(key)) == KV_DONE;
}

static void publish(struct kv *kv)
{
    rcu_enter();
    uint64_t index = kv_view(kv)->index + 1;
    rcu_leave();
    assert_true(kv_publish(kv, index, 0));
}

static const struct kv_object *get(const struct kv_view *v, const char *key)
{
    return kv_get(v, (const uint8_t *)key, strlen(key));
}

/* The key has this value and these revisions; value NULL: there is no such key. */
static void expect(struct kv *kv, const char *key, const char *value, uint64_t create,
                   uint64_t modify)
{
    publish(kv);
    rcu_enter();
    const struct kv_object *o = get(kv_view(kv), key);
    assert_ptr_equal(o, kv_find(kv, (const uint8_t *)key, strlen(key)));
    if (value == NULL) {
        assert_null(o);
    } else {
        assert_non_null(o);
        assert_int_equal(o->value_len, strlen(value));
        assert_memory_equal(kv_value(o), value, o->value_len);
        assert_true(o->create_revision == create && o->modify_revision == modify);
    }
    rcu_leave();
}

static void test_revisions(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_non_null(kv);
    expect(kv, "a", NULL, 0, 0);
    put(kv, 5, "a", "one");
    expect(kv, "a", "one", 5, 5);
    put(kv, 9, "a", "two");
    expect(kv, "a", "two", 5, 9);
    put(kv, 10, "ab", "");
    expect(kv, "ab", "", 10, 10);
    assert_int_equal(kv_count(kv), 2);
    assert_true(del(kv, "a"));
    expect(kv, "a", NULL, 0, 0);
    assert_false(del(kv, "a"));
    assert_false(del(kv, "never"));
    assert_int_equal(kv_count(kv), 1);
    put(kv, 13, "a", "again");
    expect(kv, "a", "again", 13, 13);
    kv_free(kv);
}

static void test_binary(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    uint8_t key[CMD_KEY_MAX_BYTES] = {0};
    uint8_t *value = calloc(1, CMD_VALUE_MAX_BYTES);
    assert_true(kv && value);
    value[CMD_VALUE_MAX_BYTES - 1] = 7;
    for (uint16_t len = 1; len <= CMD_KEY_MAX_BYTES; len++) /* all zeros: differ only in length */
        (void)store(kv, len, key, len, value, len == CMD_KEY_MAX_BYTES ? CMD_VALUE_MAX_BYTES : len);
    assert_int_equal(kv_count(kv), CMD_KEY_MAX_BYTES);
    publish(kv);
    rcu_enter();
    const struct kv_view *v = kv_view(kv);
    for (uint16_t len = 1; len <= CMD_KEY_MAX_BYTES; len++)
        assert_int_equal(kv_get(v, key, len)->modify_revision, len);
    const struct kv_object *o = kv_get(v, key, CMD_KEY_MAX_BYTES);
    assert_int_equal(o->value_len, CMD_VALUE_MAX_BYTES);
    assert_int_equal(kv_value(o)[CMD_VALUE_MAX_BYTES - 1], 7);
    assert_null(kv_get(v, key, 0));
    rcu_leave();
    free(value);
    kv_free(kv);
}

static void expect_list(struct kv *kv, const char *prefix, const char *after, const char *want)
{
    char got[256] = "";
    struct kv_range range = {(const uint8_t *)prefix, strlen(prefix), (const uint8_t *)after,
                             strlen(after)};
    struct kv_cursor c;
    publish(kv);
    rcu_enter();
    const struct kv_object *o = kv_first(kv_view(kv), &range, &c);
    for (; o != NULL; o = kv_next(&c)) {
        strncat(got, (const char *)kv_key(o), o->key_len);
        strcat(got, " ");
    }
    rcu_leave();
    assert_string_equal(got, want);
}

static void test_list(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_non_null(kv);
    expect_list(kv, "", "", "");
    const char *const keys[] = {"b/2", "a", "b/10", "b", "b/1", "c", "\xff", "b0", "ba"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        put(kv, i + 1, keys[i], "v");
    expect_list(kv, "", "", "a b b/1 b/10 b/2 b0 ba c \xff ");
    expect_list(kv, "b/", "", "b/1 b/10 b/2 ");
    expect_list(kv, "b", "", "b b/1 b/10 b/2 b0 ba ");
    expect_list(kv, "b", "b/10", "b/2 b0 ba ");
    expect_list(kv, "", "b/100", "b/2 b0 ba c \xff ");
    expect_list(kv, "b/", "zzz", "");
    expect_list(kv, "x", "", "");
    expect_list(kv, "\xff", "", "\xff ");
    expect_list(kv, "b/", "a", "b/1 b/10 b/2 ");
    expect_list(kv, "b", "b", "b/1 b/10 b/2 b0 ba ");
    expect_list(kv, "", "\xff", "");
    kv_free(kv);
}

/* As many as make it several levels high. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct kv *kv = kv_new();
    assert_non_null(kv);
    char key[32];
    for (unsigned i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key%06u", i);
        put(kv, i + 1, key, key);
    }
    assert_int_equal(kv_count(kv), N);
    const struct kv_range all = {0};
    struct kv_cursor c;
    unsigned n = 0;
    publish(kv);
    rcu_enter();
    for (const struct kv_object *o = kv_first(kv_view(kv), &all, &c); o != NULL; o = kv_next(&c))
        assert_int_equal(o->modify_revision, ++n);
    rcu_leave();
    assert_int_equal(n, N);
    for (unsigned i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key%06u", i);
        expect(kv, key, key, i + 1, i + 1);
        assert_true(del(kv, key));
    }
    assert_int_equal(kv_count(kv), 0);
    expect_list(kv, "", "", "");
    kv_free(kv);
}

struct digest {
    uint64_t half[2];
};

static struct digest digest(struct kv *kv)
{
    struct digest d;
    publish(kv);
    rcu_enter();
    memcpy(d.half, kv_view(kv)->digest, sizeof d.half);
    rcu_leave();
    return d;
}

static void same_digest(struct kv *kv, const uint64_t *digest_of_it)
{
    struct digest d = digest(kv);
    assert_true(d.half[0] == digest_of_it[0] && d.half[1] == digest_of_it[1]);
}

static struct kv_content content(const struct kv_object *o)
{
    return (struct kv_content){
        .key = kv_key(o),
        .value = kv_value(o),
        .key_len = o->key_len,
        .value_len = o->value_len,
        .create_revision = o->create_revision,
        .modify_revision = o->modify_revision,
        .expiry_ms = kv_expiry_ms(o),
        .holder = kv_holder(o),
    };
}

static struct kv *scratch; /* kv_free() waits for readers, of which this thread may be one */

/* What a view says of itself is what a state has that was made of its objects alone. */
static void check_view(const struct kv_view *v)
{
    struct kv *kv = scratch;
    const struct kv_range all = {0};
    struct kv_cursor c;
    kv_clear(kv);
    for (const struct kv_object *o = kv_first(v, &all, &c); o != NULL; o = kv_next(&c)) {
        struct kv_content copy = content(o);
        assert_int_equal(kv_put(kv, &copy), KV_DONE);
    }
    assert_true(kv_count(kv) == v->count && kv_bytes(kv) == v->bytes);
    same_digest(kv, v->digest);
}

/* However a state came about: overwritten in a batch or across, deleted, in another order. */
static void test_digest(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct digest empty = digest(kv);
    char key[32];
    for (unsigned i = 1; i <= 2000; i++) {
        snprintf(key, sizeof(key), "%u", i * 7919 % 177);
        if (i % 5 != 0)
            put(kv, i, key, key);
        else
            del(kv, key);
        if (i % 41 != 0)
            continue;
        publish(kv);
        rcu_enter();
        check_view(kv_view(kv));
        rcu_leave();
    }
    for (unsigned i = 0; i < 177; i++) {
        snprintf(key, sizeof(key), "%u", i);
        del(kv, key);
    }
    same_digest(kv, empty.half);
    kv_free(kv);
}

/* Whatever of an object differs, each half of the digest does, and not as the other; and nothing else is in
 * it. */
static void test_digest_differs(void **state)
{
    (void)state;
    static const struct kv_content all[] = {
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 1, 2, 3, 4},
        {(const uint8_t *)"ab", (const uint8_t *)"ce", 2, 2, 1, 2, 3, 4},
        {(const uint8_t *)"aa", (const uint8_t *)"cd", 2, 2, 1, 2, 3, 4},
        {(const uint8_t *)"abc", (const uint8_t *)"d", 3, 1, 1, 2, 3, 4},
        {(const uint8_t *)"ab", (const uint8_t *)"c", 2, 1, 1, 2, 3, 4},
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 2, 2, 3, 4},
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 1, 1, 3, 4},
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 1, 2, 0, 4},
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 1, 2, 3, 0},
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 1, 2, 0, 0},
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 4, 2, 3, 1},
        {(const uint8_t *)"ab", (const uint8_t *)"cd", 2, 2, 1, 3, 2, 4},
    };
    enum { N = sizeof(all) / sizeof(all[0]) };
    struct digest digests[N];
    for (unsigned i = 0; i < N; i++) {
        struct kv *kv = kv_new();
        assert_int_equal(kv_put(kv, &all[i]), KV_DONE);
        digests[i] = digest(kv);
        const struct kv_object *o = kv_find(kv, all[i].key, all[i].key_len);
        assert_true(kv_expiry_ms(o) == all[i].expiry_ms && kv_holder(o) == all[i].holder);
        assert_memory_equal(kv_key(o), all[i].key, all[i].key_len);
        assert_memory_equal(kv_value(o), all[i].value, all[i].value_len);
        for (unsigned j = 0; j < i; j++)
            assert_true(digests[i].half[0] != digests[j].half[0] &&
                        digests[i].half[1] != digests[j].half[1]);
        assert_true(digests[i].half[0] != digests[i].half[1]);
        kv_free(kv);
    }
}

/* A reader's view stays what it was, whatever is published; and what is not published shows nowhere. */
static void test_views(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    char key[32];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "%u", i);
        put(kv, i + 1, key, "first");
    }
    assert_true(kv_publish(kv, 500, 77));
    rcu_enter();
    const struct kv_view *v = kv_view(kv);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "%u", i);
        if (i % 2 == 0)
            put(kv, 501 + i, key, "second");
        else
            del(kv, key);
        if (i % 50 != 49)
            continue;
        const struct kv_view *before = kv_view(kv);
        assert_memory_equal(kv_value(get(v, key)), "first", 5);
        assert_memory_equal(kv_value(get(before, key)), "first", 5);
        assert_true(kv_publish(kv, 501 + i, 78));
        assert_null(get(kv_view(kv), key));
        assert_non_null(get(before, key));
    }
    assert_true(v->index == 500 && v->cluster_ms == 77 && v->count == 500);
    check_view(v);
    v = kv_view(kv);
    assert_true(v->index == 1000 && v->cluster_ms == 78 && v->count == 250);
    check_view(v);
    kv_clear(kv);
    check_view(kv_view(kv));
    assert_int_equal(kv_view(kv)->count, 250);
    assert_true(kv_publish(kv, 3, 3)); /* of another past */
    assert_true(kv_view(kv)->count == 0 && kv_view(kv)->bytes == 0 && kv_view(kv)->index == 3);
    check_view(kv_view(kv));
    rcu_leave();
    kv_free(kv);
}

/* An image stays what it was without any reader, and is open once. */
static void test_image(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    char key[32];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 300; i++) {
            snprintf(key, sizeof(key), "%u", i);
            put(kv, i + 1, key, key);
        }
        publish(kv);
        struct kv_image *image = kv_freeze(kv);
        assert_non_null(image);
        assert_null(kv_freeze(kv));
        const struct kv_view *v = kv_image_view(image);
        assert_int_equal(v->count, 300);
        for (unsigned i = 0; i < 900; i++) {
            snprintf(key, sizeof(key), "%u", i % 300);
            if (i < 300)
                put(kv, i + 1, key, "other");
            else
                del(kv, key);
            if (i % 16 == 0)
                publish(kv);
        }
        publish(kv);
        rcu_wait_freed();
        check_view(v);
        assert_memory_equal(kv_value(get(v, "299")), "299", 3);
        kv_thaw(kv, image);
        assert_int_equal(kv_count(kv), 0);
    }
    kv_free(kv);
}

static struct kv *many_keys(unsigned n)
{
    struct kv *kv = kv_new();
    char key[32];
    for (unsigned i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "%u", i);
        put(kv, i + 1, key, key);
    }
    return kv;
}

/* The most blocks that one call frees until there is nothing more; and all. */
static unsigned tidy_all(struct kv *kv, unsigned *all)
{
    unsigned most = 0, before, one;
    bool more;
    *all = 0;
    do {
        before = freed;
        more = kv_tidy(kv);
        one = freed - before;
        most = one > most ? one : most;
        *all += one;
    } while (more);
    return most;
}

/* Whatever is not needed any more is freed by the writer, in pieces. */
static void test_tidy(void **state)
{
    (void)state;
    enum { MANY = 20000, MOST = 1100 };
    unsigned all;
    struct kv *kv = many_keys(MANY);
    publish(kv);
    rcu_wait_freed();
    (void)tidy_all(kv, &all);
    unsigned before = freed;
    kv_replace(kv, many_keys(MANY), MANY, 1);
    rcu_wait_freed();
    assert_true(freed - before < 100);
    assert_true(tidy_all(kv, &all) < MOST && all > MANY);
    kv_discard(kv, many_keys(MANY));
    assert_true(tidy_all(kv, &all) < MOST && all > MANY);
    struct kv_image *image = kv_freeze(kv);
    kv_replace(kv, kv_new(), MANY, 1);
    rcu_wait_freed();
    (void)tidy_all(kv, &all);
    assert_true(all < 30);
    check_view(kv_image_view(image));
    kv_thaw(kv, image);
    rcu_wait_freed();
    assert_true(tidy_all(kv, &all) < MOST && all > MANY);
    kv_free(kv);
}

/* What is written for ever does not leave more and more behind. */
static void test_tidy_keeps_up(void **state)
{
    (void)state;
    struct kv *kv = many_keys(2000);
    unsigned all;
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 2000; i++) {
            char key[32];
            snprintf(key, sizeof(key), "%u", i);
            put(kv, i + 1, key, "another");
        }
        publish(kv);
        rcu_wait_freed();
    }
    (void)tidy_all(kv, &all);
    assert_true(all < 3 * 2300);
    kv_free(kv);
}

/* Memory that is refused, anywhere: nothing has changed, and the same can be done then. */
static void test_refused(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    uint64_t index = 0;
    unsigned refused = 0;
    char key[32];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "%u", i * 7919 % 1000);
        enum kv_outcome outcome = KV_NO_MEMORY;
        for (unsigned at = 1; outcome == KV_NO_MEMORY; at++) {
            refused_in = at;
            outcome = i % 3 == 0 ? kv_delete(kv, (const uint8_t *)key, strlen(key))
                                 : store(kv, ++index, key, (uint16_t)strlen(key), NULL, 0);
            refused_in = 0;
            if (outcome != KV_NO_MEMORY)
                continue;
            refused++;
            if (i % 10 == 0) {
                publish(kv);
                rcu_enter();
                check_view(kv_view(kv));
                rcu_leave();
            }
        }
        refused_in = i % 7 == 0;
        if (refused_in > 0) {
            assert_false(kv_publish(kv, ++index, 0));
            rcu_enter();
            assert_true(kv_view(kv)->index < index);
            rcu_leave();
            assert_true(kv_publish(kv, index, 0));
        }
    }
    assert_true(refused > 3000);
    publish(kv);
    refused_in = 1;
    assert_null(kv_freeze(kv));
    struct kv_image *image = kv_freeze(kv);
    assert_non_null(image);
    kv_thaw(kv, image);
    kv_free(kv);
}

/* ---- expiry ---- */

enum { EXPIRY_KEYS = 200, EXPIRY_ROUNDS = 6000 };

/* The first by (expiry, key) is known at any time, whatever is put, replaced and deleted, and whenever memory
 * is refused. */
static void test_expiry(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    uint64_t expiry[EXPIRY_KEYS] = {0}; /* 0: none, or no such key */
    uint32_t random = 1;
    unsigned refused = 0, most = 0;
    for (uint64_t index = 1; index <= EXPIRY_ROUNDS; index++) {
        random = random * 1664525 + 1013904223;
        unsigned i = (random >> 8) % EXPIRY_KEYS;
        uint8_t key = (uint8_t)i;
        uint64_t ms = random >> 30 == 0 ? 0 : 1 + (random >> 20) % 50;
        struct kv_content c = {.key = &key,
                               .key_len = 1,
                               .expiry_ms = ms,
                               .create_revision = 1,
                               .modify_revision = index};
        refused_in = (unsigned)(index % 5);
        enum kv_outcome outcome = index % 3 == 0 ? kv_delete(kv, &key, 1) : kv_put(kv, &c);
        refused_in = 0;
        if (outcome == KV_NO_MEMORY)
            refused++;
        else
            expiry[i] = index % 3 == 0 ? 0 : ms;
        unsigned first = 0, count = 0;
        for (unsigned j = 0; j < EXPIRY_KEYS; j++) {
            count += expiry[j] != 0;
            if (expiry[j] != 0 && (expiry[first] == 0 || expiry[j] < expiry[first]))
                first = j;
        }
        const struct kv_object *o = kv_first_due(kv);
        assert_true((o == NULL) == (count == 0) && kv_draft(kv).expiring == count);
        if (o != NULL)
            assert_true(kv_expiry_ms(o) == expiry[first] && *kv_key(o) == first);
        most = count > most ? count : most;
        if (index % 7 == 0)
            publish(kv);
        if (index == EXPIRY_ROUNDS / 2) {
            kv_clear(kv);
            memset(expiry, 0, sizeof expiry);
            assert_true(kv_first_due(kv) == NULL && kv_draft(kv).expiring == 0);
            assert_true(kv_publish(kv, index, 0));
        }
    }
    assert_true(refused > 500 && most > 100);
    const struct kv_object *o;
    for (; (o = kv_first_due(kv)) != NULL; most = 0) { /* and nothing else is in the index */
        unsigned i = *kv_key(o);
        assert_true(expiry[i] != 0 && kv_expiry_ms(o) == expiry[i]);
        expiry[i] = 0;
        assert_int_equal(kv_delete(kv, kv_key(o), 1), KV_DONE);
    }
    assert_true(most == 0 && kv_draft(kv).expiring == 0);
    publish(kv);
    struct kv *by = kv_new(); /* what takes its place has its own */
    assert_int_equal(kv_put(by, &(struct kv_content){.key = (const uint8_t *)"k",
                                                     .key_len = 1,
                                                     .expiry_ms = 99,
                                                     .create_revision = 1,
                                                     .modify_revision = 1}),
                     KV_DONE);
    kv_replace(kv, by, 1, 1);
    assert_true(kv_expiry_ms(kv_first_due(kv)) == 99 && kv_draft(kv).expiring == 1);
    o = kv_first_due(kv);
    assert_int_equal(kv_delete(kv, kv_key(o), o->key_len), KV_DONE);
    assert_null(kv_first_due(kv));
    kv_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revisions), cmocka_unit_test(test_binary),
        cmocka_unit_test(test_list),      cmocka_unit_test(test_many),
        cmocka_unit_test(test_digest),    cmocka_unit_test(test_digest_differs),
        cmocka_unit_test(test_views),     cmocka_unit_test(test_image),
        cmocka_unit_test(test_tidy),      cmocka_unit_test(test_tidy_keeps_up),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_expiry),
    };
    rcu_thread_begin();
    scratch = kv_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kv_free(scratch);
    rcu_thread_end();
    return failed;
}
