// LINK: @state tests/lib/machine_world.c
/* test_machine.c: a transaction is done as a whole or not at all, once, and the same on all nodes. */
#include "tests/lib/machine_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/state/origins.h"

static void test_put_delete(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", "one");
    expect(w, "a", "one", 1, 1, 0);
    put(w, "a", "two");
    expect(w, "a", "two", 1, 2, 0);
    start(w);
    with(w, CMD_DELETE, "a");
    done(w, MACHINE_DONE);
    expect(w, "a", NULL, 0, 0, 0);
    start(w);
    with(w, CMD_DELETE, "a");
    done(w, MACHINE_NO_KEY);
    put(w, "a", "");
    expect(w, "a", "", 5, 5, 0);
    world_free(w);
}

static void test_conditions(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", "one"); /* revision 1 */
    put(w, "e", "");
    static const struct {
        uint8_t kind;
        const char *key, *value;
        uint64_t number;
        bool holds;
    } c[] = {
        {CMD_IF_ABSENT, "b", NULL, 0, true},    {CMD_IF_ABSENT, "a", NULL, 0, false},
        {CMD_IF_PRESENT, "a", NULL, 0, true},   {CMD_IF_PRESENT, "b", NULL, 0, false},
        {CMD_IF_VALUE, "a", "one", 0, true},    {CMD_IF_VALUE, "a", "onf", 0, false},
        {CMD_IF_VALUE, "a", "on", 0, false},    {CMD_IF_VALUE, "a", "", 0, false},
        {CMD_IF_VALUE, "e", "", 0, true},       {CMD_IF_VALUE, "b", "", 0, false},
        {CMD_IF_REVISION, "a", NULL, 1, true},  {CMD_IF_REVISION, "a", NULL, 2, false},
        {CMD_IF_REVISION, "b", NULL, 0, false}, {CMD_IF_REVISION, "a", NULL, 0, false},
    };
    for (unsigned i = 0; i < sizeof c / sizeof c[0]; i++) {
        start(w);
        with(w, CMD_IF_PRESENT, "a");
        if (c[i].value != NULL)
            with_value(w, c[i].kind, c[i].key, c[i].value);
        else if (c[i].kind == CMD_IF_REVISION)
            with_number(w, c[i].kind, c[i].key, c[i].number);
        else
            with(w, c[i].kind, c[i].key);
        with_value(w, CMD_PUT, "z", "new");
        with_value(w, CMD_PUT, "y", "new");
        if (c[i].holds)
            done(w, MACHINE_DONE);
        else
            fails(w, MACHINE_CONDITION, 1);
    }
    world_free(w);
}

/* Conditions look at the state before, operations at what those before them did. */
static void test_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", "1");
    start(w);
    with_value(w, CMD_IF_VALUE, "a", "1");
    with(w, CMD_READ, "a");
    with_value(w, CMD_PUT, "a", "5");
    with_number(w, CMD_ADD, "a", 2);
    with(w, CMD_READ, "a");
    with(w, CMD_DELETE, "a");
    with(w, CMD_READ, "a");
    with(w, CMD_DELETE, "a");
    with_number(w, CMD_ADD, "a", (uint64_t)-3);
    with(w, CMD_READ, "b");
    done(w, MACHINE_NO_KEY);
    told(w, 0, MACHINE_DONE, 1, "1");
    told(w, 1, MACHINE_DONE, 2, NULL);
    told(w, 2, MACHINE_DONE, 2, "7");
    told(w, 3, MACHINE_DONE, 2, "7");
    told(w, 4, MACHINE_DONE, 0, NULL);
    told(w, 5, MACHINE_NO_KEY, 0, NULL);
    told(w, 6, MACHINE_NO_KEY, 0, NULL);
    told(w, 7, MACHINE_DONE, 2, "-3");
    told(w, 8, MACHINE_NO_KEY, 0, NULL);
    expect(w, "a", "-3", 2, 2, 0); /* it was deleted in between: made anew */
    start(w);                      /* what comes and goes in one transaction leaves nothing */
    with_value(w, CMD_PUT, "b", "x");
    with(w, CMD_DELETE, "b");
    done(w, MACHINE_DONE);
    expect(w, "b", NULL, 0, 0, 0);
    assert_int_equal(kv_count(w->kv), 1);
    start(w); /* to read changes nothing */
    with(w, CMD_READ, "a");
    done(w, MACHINE_DONE);
    expect(w, "a", "-3", 2, 2, 0);
    world_free(w);
}

/* An operation that can't be done undoes those before it. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "text", "12x");
    put(w, "gone", "1");
    start(w);
    with_value(w, CMD_PUT, "new", "1");
    with(w, CMD_DELETE, "gone");
    with_number(w, CMD_ADD, "n", 1);
    with_number(w, CMD_EXPIRE, "text", 9);
    with_number(w, CMD_ADD, "text", 1);
    with_value(w, CMD_PUT, "never", "1");
    fails(w, MACHINE_NOT_NUMBER, 4);
    expect(w, "new", NULL, 0, 0, 0);
    expect(w, "gone", "1", 2, 2, 0);
    expect(w, "text", "12x", 1, 1, 0);
    world_free(w);
}

static void test_add(void **state)
{
    (void)state;
    static const struct {
        const char *value; /* NULL: no such key */
        int64_t more;
        enum outcome outcome;
        const char *sum;
    } c[] = {
        {NULL, 5, MACHINE_DONE, "5"},
        {NULL, 0, MACHINE_DONE, "0"},
        {"0", -1, MACHINE_DONE, "-1"},
        {"-1", 1, MACHINE_DONE, "0"},
        {"9", 1, MACHINE_DONE, "10"},
        {"-100", 1, MACHINE_DONE, "-99"},
        {"9223372036854775806", 1, MACHINE_DONE, "9223372036854775807"},
        {"9223372036854775807", 1, MACHINE_OVERFLOW, NULL},
        {"9223372036854775807", INT64_MIN, MACHINE_DONE, "-1"},
        {"-9223372036854775807", -1, MACHINE_DONE, "-9223372036854775808"},
        {"-9223372036854775808", -1, MACHINE_OVERFLOW, NULL},
        {"-9223372036854775808", 0, MACHINE_DONE, "-9223372036854775808"},
        {"9223372036854775808", 0, MACHINE_NOT_NUMBER, NULL},
        {"-9223372036854775809", 0, MACHINE_NOT_NUMBER, NULL},
        {"92233720368547758070", 0, MACHINE_NOT_NUMBER, NULL},
        {"00000000000000000000000000000001", 0, MACHINE_NOT_NUMBER, NULL},
        {"", 1, MACHINE_NOT_NUMBER, NULL},
        {"-", 1, MACHINE_NOT_NUMBER, NULL},
        {"-0", 1, MACHINE_NOT_NUMBER, NULL},
        {"+1", 1, MACHINE_NOT_NUMBER, NULL},
        {"01", 1, MACHINE_NOT_NUMBER, NULL},
        {"-01", 1, MACHINE_NOT_NUMBER, NULL},
        {" 1", 1, MACHINE_NOT_NUMBER, NULL},
        {"1 ", 1, MACHINE_NOT_NUMBER, NULL},
        {"1.5", 1, MACHINE_NOT_NUMBER, NULL},
        {"--1", 1, MACHINE_NOT_NUMBER, NULL},
    };
    for (unsigned i = 0; i < sizeof c / sizeof c[0]; i++) {
        struct world *w = world_new();
        if (c[i].value != NULL)
            put(w, "n", c[i].value);
        start(w);
        with_number(w, CMD_ADD, "n", (uint64_t)c[i].more);
        if (c[i].outcome != MACHINE_DONE) {
            fails(w, c[i].outcome, 0);
            expect(w, "n", c[i].value, 1, 1, 0);
        } else {
            done(w, MACHINE_DONE);
            told(w, 0, MACHINE_DONE, w->index, c[i].sum);
            expect(w, "n", c[i].sum, 1, w->index, 0);
        }
        world_free(w);
    }
}

static void test_expiry(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->ms = 1000;
    put(w, "a", "1");
    w->ms = 2000;
    start(w);
    with_number(w, CMD_EXPIRE, "a", 500);
    with_number(w, CMD_EXPIRE, "b", 500);
    done(w, MACHINE_NO_KEY);
    expect(w, "a", "1", 1, 2, 2500);
    start(w);
    with_number(w, CMD_ADD, "a", 1);
    done(w, MACHINE_DONE);
    expect(w, "a", "2", 1, 3, 2500); /* kept */
    start(w);
    with_number(w, CMD_EXPIRE, "a", 0);
    done(w, MACHINE_DONE);
    expect(w, "a", "2", 1, 4, 0);
    start(w);
    with_number(w, CMD_EXPIRE, "a", CMD_TTL_MAX_MS);
    with_value(w, CMD_PUT, "b", "1");
    with_number(w, CMD_EXPIRE, "b", 1);
    done(w, MACHINE_DONE);
    expect(w, "a", "2", 1, 5, 2000 + CMD_TTL_MAX_MS);
    expect(w, "b", "1", 5, 5, 2001);
    put(w, "a", "3"); /* a new value has none */
    expect(w, "a", "3", 1, 6, 0);
    world_free(w);
}

/* Cluster time never falls, whatever the entries say. */
static void test_cluster_time(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->ms = 1000;
    put(w, "a", "1");
    assert_true(machine_cluster_ms(w->m) == 1000);
    machine_pass(w->m, ++w->index, 3000);
    assert_true(machine_cluster_ms(w->m) == 3000 && machine_applied(w->m) == 2);
    put(w, "a", "2");
    assert_true(machine_cluster_ms(w->m) == 3000);
    rcu_enter();
    assert_true(kv_view(w->kv)->cluster_ms == 3000 && kv_view(w->kv)->index == 3);
    rcu_leave();
    world_free(w);
}

/* The limit of each entry is obeyed to the byte; what does not grow passes beyond it, too. */
static void test_limit(void **state)
{
    (void)state;
    enum { LIMIT = 2, ROOM = LIMIT * CMD_LIMIT_BYTES, EACH = 1000, KEY = 3 };
    static char value[ROOM];
    struct world *w = world_new();
    uint64_t want = 0;
    memset(value, 'v', EACH);
    for (char key[KEY + 1] = "k00"; want + KV_KEY_BYTES + KEY + EACH <= ROOM; key[2]++) {
        put(w, key, value);
        want += KV_KEY_BYTES + KEY + EACH;
        assert_int_equal(kv_bytes(w->kv), want);
    }
    memset(value, 'v', ROOM - want - KV_KEY_BYTES - KEY + 1);
    value[ROOM - want - KV_KEY_BYTES - KEY + 1] = '\0';
    for (unsigned i = 0; i < 2; i++) { /* one byte too many; exactly */
        uint8_t *buf = malloc(CMD_ONE_BYTES + KEY + ROOM);
        assert_non_null(buf);
        start(w);
        w->c.limit = LIMIT;
        with_value(w, CMD_PUT, "new", value + i);
        size_t size = cmd_encode(buf, &w->c, w->items);
        assert_int_equal(machine_is_full_for(w->m, buf, size, LIMIT), i == 0);
        assert_false(machine_is_full_for(w->m, buf, size, 0));
        assert_false(machine_is_full_for(w->m, buf, size, LIMIT + 1));
        free(buf);
        if (i == 0)
            fails(w, MACHINE_FULL, 0);
        else
            done(w, MACHINE_DONE);
    }
    assert_int_equal(kv_bytes(w->kv), ROOM);
    /* Another value of a key counts for what it has more. */
    start(w);
    w->c.limit = LIMIT;
    with_value(w, CMD_PUT, "new", value);
    fails(w, MACHINE_FULL, 0);
    start(w);
    w->c.limit = 1; /* it was lowered: what does not grow passes */
    with_value(w, CMD_PUT, "new", value + 1);
    done(w, MACHINE_DONE);
    /* A transaction counts for what it leaves. */
    start(w);
    w->c.limit = LIMIT;
    with_value(w, CMD_PUT, "xyz", value + 1);
    with(w, CMD_DELETE, "new");
    with(w, CMD_DELETE, "k00");
    with_value(w, CMD_PUT, "k00", "");
    done(w, MACHINE_DONE);
    assert_int_equal(kv_bytes(w->kv), ROOM - EACH);
    start(w);
    w->c.limit = LIMIT;
    with(w, CMD_DELETE, "k00");
    struct cmd_item *it = next_item(w, CMD_PUT, "k000");
    it->value = (const uint8_t *)value;
    it->value_len = EACH;
    fails(w, MACHINE_FULL, 1);
    world_free(w);
}

/* A copy does nothing, and has the outcome of the first one, also when that did nothing. */
static void test_repeated(void **state)
{
    (void)state;
    struct world *w = world_new();
    start(w);
    with_number(w, CMD_ADD, "n", 5);
    done(w, MACHINE_DONE);
    for (unsigned i = 0; i < 3; i++) {
        struct applied a = apply(w);
        assert_true(a.repeated && a.outcome == MACHINE_DONE && a.revision == 1);
        assert_int_equal(w->n_told, 0);
    }
    expect(w, "n", "5", 1, 1, 0);
    start(w);
    with(w, CMD_IF_ABSENT, "n");
    with_value(w, CMD_PUT, "n", "0");
    fails(w, MACHINE_CONDITION, 0);
    struct world other = *w; /* its command */
    start(w);
    with(w, CMD_DELETE, "n");
    done(w, MACHINE_DONE);
    w->c = other.c;
    memcpy(w->items, other.items, sizeof w->items);
    struct applied a = apply(w);
    assert_true(a.repeated && a.outcome == MACHINE_CONDITION && a.revision == 5);
    expect(w, "n", NULL, 0, 0, 0);
    /* What became of them can be looked up. */
    assert_true(machine_process(w->m, ORIGIN) == PROCESS && machine_process(w->m, 9) == 0);
    assert_true(machine_look_up(w->m, ORIGIN, PROCESS, 2, &a));
    assert_true(a.outcome == MACHINE_CONDITION && a.revision == 5 && a.number == 2);
    assert_false(machine_look_up(w->m, ORIGIN, PROCESS, 4, &a));
    assert_false(machine_look_up(w->m, ORIGIN, PROCESS + 1, 2, &a));
    assert_false(machine_look_up(w->m, ORIGIN + 1, PROCESS, 2, &a));
    world_free(w);
}

/* What can't be told does nothing. */
static void test_not_told(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", "1");
    w->number = 5000;
    put(w, "a", "2");
    start(w);
    w->c.number = 5001 - 4096; /* it has left the window */
    with_value(w, CMD_PUT, "a", "late");
    fails(w, MACHINE_CANT_TELL, 0);
    start(w);
    w->c.process = PROCESS + 1; /* of another process, which does not know of this one */
    w->c.predecessor = 0;
    with_value(w, CMD_PUT, "a", "late");
    fails(w, MACHINE_ENDED, 0);
    w->c.predecessor = PROCESS;
    done(w, MACHINE_DONE);
    assert_true(machine_process(w->m, ORIGIN) == PROCESS + 1);
    start(w);
    w->c.process = 0;
    with_value(w, CMD_PUT, "a", "nobody's");
    fails(w, MACHINE_CANT_TELL, 0);
    expect(w, "a", "late", 1, 5, 0);
    world_free(w);
}

/* However many nodes write, all can. Of one that has not written for long a copy is refused, and what it
 * writes next is done. */
static void test_many_nodes(void **state)
{
    enum { OTHERS = 3 * ORIGIN_WINDOWS };
    (void)state;
    struct world *w = world_new();
    put(w, "a", "1");
    const uint64_t number = w->c.number;
    for (uint16_t more = 1; more <= OTHERS; more++) {
        start(w);
        w->c.origin = ORIGIN + more;
        w->c.predecessor = 0;
        with_value(w, CMD_PUT, "a", "2");
        done(w, MACHINE_DONE);
    }
    start(w);
    w->c.number = number;
    with_value(w, CMD_PUT, "a", "again");
    fails(w, MACHINE_CANT_TELL, 0);
    expect(w, "a", "2", 1, OTHERS + 1, 0);
    put(w, "a", "3");
    world_free(w);
}

/* Many keys in one transaction; and two machines that apply the same entries are equal. */
static void test_many(void **state)
{
    (void)state;
    static char keys[CMD_OPERATIONS_MAX][8];
    struct world *w = world_new(), *v = world_new();
    for (unsigned round = 0; round < 20; round++) {
        start(w);
        for (unsigned i = 0; i < CMD_OPERATIONS_MAX; i++) {
            snprintf(keys[i], sizeof keys[i], "%u", (i * 7 + round) % 40);
            if ((i + round) % 5 == 0)
                with(w, CMD_DELETE, keys[i]);
            else
                with_number(w, CMD_ADD, keys[i], i);
        }
        (void)apply(w);
        v->c = w->c;
        memcpy(v->items, w->items, sizeof v->items);
        (void)apply(v);
        if (round % 3 == 0) {
            (void)apply(w);
            (void)apply(v);
        }
        uint8_t a[MACHINE_DIGEST_BYTES], b[MACHINE_DIGEST_BYTES];
        machine_digest(w->m, a);
        machine_digest(v->m, b);
        assert_memory_equal(a, b, sizeof a);
    }
    assert_true(kv_count(w->kv) > 10);
    world_free(w);
    world_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_delete),   cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_order),        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_add),          cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_cluster_time), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_repeated),     cmocka_unit_test(test_not_told),
        cmocka_unit_test(test_many_nodes),   cmocka_unit_test(test_many),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
