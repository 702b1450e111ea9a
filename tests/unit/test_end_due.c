// LINK: @state
/* test_end_due.c: keys end by an entry of the log, by the cluster time of that entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"

static struct kv *kv;
static struct machine *m;
static uint64_t entry, ms, number; /* of the last entry */

static void start(void)
{
    kv = kv_new();
    m = machine_new(kv);
    assert_true(kv != NULL && m != NULL);
    entry = ms = number = 0;
}

static void stop(void)
{
    machine_free(m);
    kv_free(kv);
}

static struct applied apply(const uint8_t *cmd, size_t len)
{
    struct applied a;
    assert_true(machine_apply(m, ++entry, ms, cmd, len, NULL, &a));
    assert_true(a.outcome == MACHINE_DONE && a.revision == entry && machine_publish(m));
    return a;
}

/* Puts the key, and sets its time to live if that is not 0. */
static void put(const char *key, uint64_t ttl_ms)
{
    uint8_t ttl[CMD_NUMBER_BYTES], buf[2 * CMD_ONE_BYTES + 64];
    uint16_t len = (uint16_t)strlen(key);
    put_u64(ttl, ttl_ms);
    const struct cmd_item items[] = {
        {.kind = CMD_PUT, .key = (const uint8_t *)key, .key_len = len},
        {.kind = CMD_EXPIRE,
         .key = (const uint8_t *)key,
         .key_len = len,
         .value = ttl,
         .value_len = sizeof ttl},
    };
    struct cmd c = {
        .operations = ttl_ms != 0 ? 2 : 1, .origin = 1, .process = 1, .number = ++number};
    c.predecessor = number > 1;
    assert_int_equal(apply(buf, cmd_encode(buf, &c, items)).ended, 0);
}

/* As a leader proposes it. Returns how many keys ended. */
static unsigned end_due(void)
{
    uint8_t buf[CMD_ONE_BYTES];
    struct applied a = apply(buf, cmd_encode_one(buf, &(struct cmd_item){.kind = CMD_END_DUE}));
    assert_int_equal(a.origin, 0);
    return a.ended;
}

/* As every reader sees it. */
static bool is_there(const char *key)
{
    rcu_enter();
    bool there = kv_get(kv_view(kv), (const uint8_t *)key, strlen(key)) != NULL;
    rcu_leave();
    return there;
}

/* A key is there until an entry ends it; the stamp of that entry counts. */
static void test_stamp(void **state)
{
    (void)state;
    start();
    assert_true(machine_next_expiry(m) == UINT64_MAX);
    ms = 1000;
    put("a", 500);
    put("b", 501);
    put("c", 0);
    assert_true(machine_next_expiry(m) == 1500);
    ms = 1499;
    assert_int_equal(end_due(), 0);
    ms = 9000;
    put("d", 0);
    assert_true(is_there("a") && is_there("b")); /* due, and still there */
    put("a", 10);                                /* and can live on */
    assert_int_equal(end_due(), 1);
    assert_true(is_there("a") && !is_there("b") && is_there("c"));
    assert_true(machine_next_expiry(m) == 9010);
    ms = 9010;
    assert_int_equal(end_due(), 1);
    assert_int_equal(end_due(), 0);
    assert_false(is_there("a"));
    put("a", 0); /* another key of that name, that never ends */
    ms = 99999;
    assert_int_equal(end_due(), 0);
    assert_true(is_there("a") && machine_next_expiry(m) == UINT64_MAX);
    stop();
}

/* Who watches is told of each, in order. */
static void test_told(void **state)
{
    (void)state;
    start();
    put("b", 7);
    put("a", 8);
    ms = 10;
    assert_int_equal(end_due(), 2);
    rcu_enter();
    const struct history_view *v = &kv_view(kv)->history;
    struct history_cursor c;
    assert_true(history_seek(v, entry, &c));
    for (const char *key = "ba"; *key != '\0'; key++) {
        const struct history_change *h = history_next(v, &c);
        assert_true(h != NULL && h->kind == HISTORY_EXPIRED);
        assert_true(h->object->modify_revision == entry && *kv_key(h->object) == (uint8_t)*key);
    }
    assert_null(history_next(v, &c));
    rcu_leave();
    stop();
}

/* At most so many at a time, the earliest first. */
static void test_bound(void **state)
{
    (void)state;
    enum { KEYS = 2 * MACHINE_ENDS_MAX + 3 };
    char key[16];
    start();
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "%u", i);
        put(key, 1 + i * 7919U % KEYS);
    }
    ms = KEYS;
    for (unsigned left = KEYS, n; left > 0; left -= n) {
        n = end_due();
        assert_int_equal(n, left < MACHINE_ENDS_MAX ? left : MACHINE_ENDS_MAX);
        assert_int_equal(kv_count(kv), left - n);
        assert_true(machine_next_expiry(m) == (left == n ? UINT64_MAX : KEYS - left + n + 1));
    }
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamp),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_bound),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
