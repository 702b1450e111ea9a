// LINK: @state
/* test_kv.c: the state machine's semantics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/kv.h"

static const uint8_t hash_key[KV_HASH_KEY_BYTES] = {1, 2, 3};

static enum kv_outcome try_put(struct kv *kv, uint64_t index, const char *key, const char *value,
                               uint32_t value_len, uint16_t limit)
{
    return kv_apply(kv, index,
                    &(struct cmd){.op = CMD_PUT,
                                  .limit = limit,
                                  .key = (const uint8_t *)key,
                                  .key_len = (uint16_t)strlen(key),
                                  .value = (const uint8_t *)value,
                                  .value_len = value_len});
}

static void put(struct kv *kv, uint64_t index, const char *key, const char *value)
{
    assert_int_equal(try_put(kv, index, key, value, (uint32_t)strlen(value), 0), KV_DONE);
}

/* Whether it was there. */
static bool del(struct kv *kv, uint64_t index, const char *key)
{
    return kv_apply(kv, index,
                    &(struct cmd){.op = CMD_DELETE,
                                  .key = (const uint8_t *)key,
                                  .key_len = (uint16_t)strlen(key)}) == KV_DONE;
}

/* The key has this value and these revisions; value NULL: there is no such key. */
static void expect(struct kv *kv, const char *key, const char *value, uint64_t create,
                   uint64_t modify)
{
    rcu_enter();
    const struct kv_object *o = kv_get(kv, (const uint8_t *)key, strlen(key));
    if (!value) {
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
    struct kv *kv = kv_new(hash_key);
    assert_non_null(kv);
    expect(kv, "a", NULL, 0, 0);
    put(kv, 5, "a", "one");
    expect(kv, "a", "one", 5, 5);
    put(kv, 9, "a", "two");
    expect(kv, "a", "two", 5, 9);
    put(kv, 10, "ab", "");
    expect(kv, "ab", "", 10, 10);
    assert_int_equal(kv_count(kv), 2);
    assert_true(del(kv, 11, "a"));
    expect(kv, "a", NULL, 0, 0);
    assert_false(del(kv, 12, "a"));
    assert_false(del(kv, 12, "never"));
    assert_int_equal(kv_count(kv), 1);
    put(kv, 13, "a", "again");
    expect(kv, "a", "again", 13, 13);
    kv_free(kv);
}

static void test_binary(void **state)
{
    (void)state;
    struct kv *kv = kv_new(hash_key);
    uint8_t key[CMD_KEY_MAX_BYTES] = {0};
    uint8_t *value = calloc(1, CMD_VALUE_MAX_BYTES);
    assert_true(kv && value);
    value[CMD_VALUE_MAX_BYTES - 1] = 7;
    for (uint16_t len = 1; len <= CMD_KEY_MAX_BYTES; len++) /* all zeros: differ only in length */
        (void)kv_apply(
            kv, len,
            &(struct cmd){.op = CMD_PUT,
                          .key = key,
                          .key_len = len,
                          .value = value,
                          .value_len = len == CMD_KEY_MAX_BYTES ? CMD_VALUE_MAX_BYTES : len});
    assert_int_equal(kv_count(kv), CMD_KEY_MAX_BYTES);
    rcu_enter();
    for (uint16_t len = 1; len <= CMD_KEY_MAX_BYTES; len++)
        assert_int_equal(kv_get(kv, key, len)->modify_revision, len);
    const struct kv_object *o = kv_get(kv, key, CMD_KEY_MAX_BYTES);
    assert_int_equal(o->value_len, CMD_VALUE_MAX_BYTES);
    assert_int_equal(kv_value(o)[CMD_VALUE_MAX_BYTES - 1], 7);
    assert_null(kv_get(kv, key, 0));
    rcu_leave();
    free(value);
    kv_free(kv);
}

static void expect_list(struct kv *kv, const char *prefix, const char *after, const char *want)
{
    char got[256] = "";
    struct kv_range range = {(const uint8_t *)prefix, strlen(prefix), (const uint8_t *)after,
                             strlen(after)};
    rcu_enter();
    for (const struct kv_object *o = kv_first(kv, &range); o; o = kv_next(o, &range)) {
        strncat(got, (const char *)kv_key(o), o->key_len);
        strcat(got, " ");
    }
    rcu_leave();
    assert_string_equal(got, want);
}

static void test_list(void **state)
{
    (void)state;
    struct kv *kv = kv_new(hash_key);
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
    struct kv *kv = kv_new(hash_key);
    assert_non_null(kv);
    char key[32];
    for (unsigned i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key%06u", i);
        put(kv, i + 1, key, key);
    }
    assert_int_equal(kv_count(kv), N);
    const struct kv_range all = {0};
    unsigned n = 0;
    rcu_enter();
    for (const struct kv_object *o = kv_first(kv, &all); o; o = kv_next(o, &all))
        assert_int_equal(o->modify_revision, ++n);
    rcu_leave();
    assert_int_equal(n, N);
    for (unsigned i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key%06u", i);
        expect(kv, key, key, i + 1, i + 1);
        assert_true(del(kv, N + i, key));
    }
    assert_int_equal(kv_count(kv), 0);
    expect_list(kv, "", "", "");
    kv_free(kv);
}

static void test_digest(void **state)
{
    (void)state;
    static const uint8_t other_key[KV_HASH_KEY_BYTES] = {9};
    struct kv *a = kv_new(hash_key), *b = kv_new(other_key);
    uint8_t da[KV_DIGEST_BYTES], db[KV_DIGEST_BYTES];
    assert_true(a && b);
    char key[32];
    for (unsigned i = 1; i <= 500; i++) { /* the same entries */
        snprintf(key, sizeof(key), "%u", i % 77);
        if (i % 5) {
            put(a, i, key, key);
            put(b, i, key, key);
        } else {
            del(a, i, key);
            del(b, i, key);
        }
    }
    kv_digest(a, da);
    kv_digest(b, db);
    assert_memory_equal(da, db, sizeof(da));
    put(b, 501, "1", "1"); /* the same value, another revision */
    kv_digest(b, db);
    assert_memory_not_equal(da, db, sizeof(da));
    put(a, 501, "1", "2"); /* the same revision, another value */
    kv_digest(a, da);
    assert_memory_not_equal(da, db, sizeof(da));
    put(a, 502, "1", "3");
    put(b, 502, "1", "3");
    kv_digest(a, da);
    kv_digest(b, db);
    assert_memory_equal(da, db, sizeof(da));
    kv_free(a);
    kv_free(b);
}

/* The limit of each entry is obeyed to the byte; what does not grow passes beyond it, too. */
static void test_limit(void **state)
{
    (void)state;
    enum { LIMIT = 2, ROOM = LIMIT * CMD_LIMIT_BYTES, EACH = 1000, KEY = 3 };
    static const char value[ROOM];
    struct kv *kv = kv_new(hash_key);
    assert_non_null(kv);
    assert_int_equal(kv_bytes(kv), 0);
    uint64_t index = 0, want = 0;
    char key[8];
    unsigned n = 0;
    for (;; n++) {
        snprintf(key, sizeof(key), "%03u", n);
        enum kv_outcome outcome = try_put(kv, ++index, key, value, EACH, LIMIT);
        if (outcome == KV_FULL)
            break;
        assert_int_equal(outcome, KV_DONE);
        want += KV_KEY_BYTES + KEY + EACH;
        assert_int_equal(kv_bytes(kv), want);
    }
    assert_true(want <= ROOM && want + KV_KEY_BYTES + KEY + EACH > ROOM);
    assert_int_equal(kv_count(kv), n);
    expect(kv, key, NULL, 0, 0); /* nothing was done */
    uint32_t left = (uint32_t)(ROOM - want) - KV_KEY_BYTES - KEY;
    struct cmd c = {.op = CMD_PUT,
                    .limit = LIMIT,
                    .key = (const uint8_t *)key,
                    .key_len = KEY,
                    .value = (const uint8_t *)value,
                    .value_len = left + 1};
    assert_true(kv_is_full_for(kv, &c));
    c.value_len = left;
    assert_false(kv_is_full_for(kv, &c));
    assert_int_equal(try_put(kv, ++index, key, value, left + 1, LIMIT), KV_FULL);
    assert_int_equal(try_put(kv, ++index, key, value, left, LIMIT), KV_DONE);
    assert_int_equal(kv_bytes(kv), ROOM);
    /* Another value of a key counts for what it has more. */
    assert_int_equal(try_put(kv, ++index, "000", value, EACH + 1, LIMIT), KV_FULL);
    assert_int_equal(try_put(kv, ++index, "000", value, EACH, LIMIT), KV_DONE);
    assert_int_equal(try_put(kv, ++index, "000", value, EACH - 1, LIMIT), KV_DONE);
    assert_int_equal(try_put(kv, ++index, "000", value, EACH, LIMIT), KV_DONE);
    c.key = (const uint8_t *)"000";
    c.value_len = EACH;
    assert_false(kv_is_full_for(kv, &c));
    c.value_len++;
    assert_true(kv_is_full_for(kv, &c));
    /* The limit was lowered: what shrinks passes. */
    assert_int_equal(try_put(kv, ++index, "000", value, EACH, 1), KV_DONE);
    assert_int_equal(try_put(kv, ++index, "000", value, 0, 1), KV_DONE);
    assert_int_equal(try_put(kv, ++index, "000", value, 1, 1), KV_FULL);
    assert_int_equal(try_put(kv, ++index, "000", value, 1, 0), KV_DONE); /* none */
    for (unsigned i = 0; i <= n; i++) {
        snprintf(key, sizeof(key), "%03u", i);
        assert_true(del(kv, ++index, key));
        assert_false(del(kv, ++index, key));
    }
    assert_int_equal(kv_bytes(kv), 0);
    kv_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revisions), cmocka_unit_test(test_binary),
        cmocka_unit_test(test_list),      cmocka_unit_test(test_many),
        cmocka_unit_test(test_digest),    cmocka_unit_test(test_limit),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
