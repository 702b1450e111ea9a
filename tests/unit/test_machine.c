// LINK: @state
/* test_machine.c: a transaction is done as a whole or not at all, once, and the same on all nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "raftd/state/origins.h"

enum { ORIGIN = 3, PROCESS = 70, ITEMS = CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX };

/* A machine, the command that is being made for it, and what it told. */
struct world {
    struct kv *kv;
    struct machine *m;
    uint64_t index, ms, number;
    struct cmd c;
    struct cmd_item items[ITEMS];
    uint8_t numbers[ITEMS][CMD_NUMBER_BYTES];
    unsigned n_told;
    struct told told[CMD_OPERATIONS_MAX];
    char values[CMD_OPERATIONS_MAX][32]; /* NUL-terminated */
};

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->kv = kv_new();
    w->m = machine_new(w->kv);
    assert_true(w->kv != NULL && w->m != NULL);
    return w;
}

static void world_free(struct world *w)
{
    machine_free(w->m);
    kv_free(w->kv);
    free(w);
}

/* ---- making commands ---- */

static void start(struct world *w)
{
    w->c = (struct cmd){.origin = ORIGIN, .process = PROCESS, .predecessor = PROCESS};
    if (w->number == 0)
        w->c.predecessor = 0;
    w->c.number = ++w->number;
}

static struct cmd_item *next_item(struct world *w, uint8_t kind, const char *key)
{
    unsigned i = (unsigned)w->c.conditions + w->c.operations;
    if (kind < CMD_PUT)
        w->c.conditions++;
    else
        w->c.operations++;
    w->items[i] = (struct cmd_item){
        .kind = kind, .key = (const uint8_t *)key, .key_len = (uint16_t)strlen(key)};
    return &w->items[i];
}

static void with(struct world *w, uint8_t kind, const char *key)
{
    (void)next_item(w, kind, key);
}

static void with_value(struct world *w, uint8_t kind, const char *key, const char *value)
{
    struct cmd_item *it = next_item(w, kind, key);
    it->value = (const uint8_t *)value;
    it->value_len = (uint32_t)strlen(value);
}

static void with_number(struct world *w, uint8_t kind, const char *key, uint64_t number)
{
    struct cmd_item *it = next_item(w, kind, key);
    uint8_t *p = w->numbers[it - w->items];
    put_u64(p, number);
    it->value = p;
    it->value_len = CMD_NUMBER_BYTES;
}

static void hear(void *ctx, const struct applied *a, const struct told *told, unsigned n)
{
    struct world *w = ctx;
    assert_true(w->n_told == 0 && a->number == w->c.number && outcome_is_done(a->outcome));
    for (unsigned i = 0; i < n; i++) {
        w->told[i] = told[i];
        w->values[i][0] = '\0';
        if (told[i].value != NULL)
            snprintf(w->values[i], sizeof w->values[0], "%.*s", (int)told[i].value_len,
                     (const char *)told[i].value);
    }
    w->n_told = n;
}

/* The item that was added last is a guard of the next n operations. */
static void guards(struct world *w, uint8_t n)
{
    w->items[w->c.conditions + w->c.operations - 1].guards = n;
    w->c.conditions--;
    w->c.operations++;
}

/* Applies it (again), as the next entry. */
static struct applied apply(struct world *w)
{
    struct applied a;
    struct machine_listener listener = {hear, w};
    size_t size = cmd_size(&w->c, w->items);
    uint8_t *buf = malloc(size);
    assert_non_null(buf);
    assert_int_equal(cmd_encode(buf, &w->c, w->items), size);
    w->n_told = 0;
    assert_true(machine_apply(w->m, ++w->index, w->ms, buf, size, &listener, &a));
    free(buf);
    assert_int_equal(a.origin, w->c.origin);
    assert_true(a.process == w->c.process && a.number == w->c.number);
    assert_true(machine_applied(w->m) == w->index);
    assert_true(machine_publish(w->m));
    return a;
}

/* Applies it; this is its outcome. */
static void done(struct world *w, enum outcome outcome)
{
    struct applied a = apply(w);
    assert_int_equal(a.outcome, outcome);
    assert_false(a.repeated);
    if (outcome < MACHINE_ENDED)
        assert_true(a.revision == w->index);
    assert_int_equal(w->n_told, outcome_is_done(outcome) ? w->c.operations : 0);
}

/* Nothing was done: this condition or operation is why. */
static void fails(struct world *w, enum outcome outcome, unsigned at)
{
    struct kv_view before, after;
    rcu_enter();
    before = *kv_view(w->kv);
    rcu_leave();
    struct applied a = apply(w);
    assert_int_equal(a.outcome, outcome);
    assert_int_equal(a.at, at);
    assert_int_equal(w->n_told, 0);
    rcu_enter();
    after = *kv_view(w->kv);
    rcu_leave();
    assert_true(memcmp(before.digest, after.digest, sizeof before.digest) == 0 &&
                before.count == after.count && before.bytes == after.bytes);
    assert_true(after.index == w->index);
}

static void put(struct world *w, const char *key, const char *value)
{
    start(w);
    with_value(w, CMD_PUT, key, value);
    done(w, MACHINE_DONE);
}

/* The key as it is; value NULL: there is none. */
static void expect(struct world *w, const char *key, const char *value, uint64_t create,
                   uint64_t modify, uint64_t expiry_ms)
{
    const struct kv_object *o = kv_find(w->kv, (const uint8_t *)key, strlen(key));
    if (value == NULL) {
        assert_null(o);
        return;
    }
    assert_non_null(o);
    assert_int_equal(o->value_len, strlen(value));
    assert_memory_equal(kv_value(o), value, o->value_len);
    assert_true(o->create_revision == create && o->modify_revision == modify);
    assert_true(kv_expiry_ms(o) == expiry_ms);
}

static void told(const struct world *w, unsigned i, enum outcome outcome, uint64_t revision,
                 const char *value)
{
    assert_int_equal(w->told[i].outcome, outcome);
    assert_true(w->told[i].modify_revision == revision);
    assert_true((value == NULL) == (w->told[i].value == NULL));
    if (value != NULL)
        assert_string_equal(w->values[i], value);
}

/* ---- tests ---- */

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

/* An id too many is told from what perhaps was done. */
static void test_crowd(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, "a", "1");
    for (uint16_t more = 1; more <= ORIGINS_MAX; more++) {
        start(w);
        w->c.origin = ORIGIN + more;
        w->c.predecessor = 0;
        with_value(w, CMD_PUT, "a", "2");
        if (more < ORIGINS_MAX)
            done(w, MACHINE_DONE);
        else
            fails(w, MACHINE_CROWD, 0);
    }
    world_free(w);
}

/* A guard sees what the operations before it did. What it guards is done or not; what follows is done. */
static void test_guards(void **state)
{
    (void)state;
    struct world *w = world_new();
    start(w);
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 2);
    with_value(w, CMD_PUT, "a", "one");
    with_number(w, CMD_EXPIRE, "a", 70);
    with_value(w, CMD_IF_VALUE, "a", "one");
    guards(w, 1);
    with_value(w, CMD_PUT, "b", "seen");
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 1);
    with_value(w, CMD_PUT, "a", "two");
    with_value(w, CMD_PUT, "c", "after");
    done(w, MACHINE_SKIPPED);
    expect(w, "a", "one", 1, 1, 70);
    expect(w, "b", "seen", 1, 1, 0);
    expect(w, "c", "after", 1, 1, 0);
    told(w, 0, MACHINE_DONE, 0, NULL);
    told(w, 1, MACHINE_DONE, 1, NULL);
    told(w, 3, MACHINE_DONE, 1, NULL);
    told(w, 4, MACHINE_DONE, 1, NULL);
    told(w, 5, MACHINE_CONDITION, 1, NULL);
    told(w, 6, MACHINE_SKIPPED, 0, NULL);
    told(w, 7, MACHINE_DONE, 1, NULL);
    start(w); /* all hold */
    with(w, CMD_IF_PRESENT, "a");
    guards(w, 1);
    with(w, CMD_DELETE, "a");
    with(w, CMD_DELETE, "none");
    done(w, MACHINE_NO_KEY);
    start(w); /* what is skipped outweighs what finds no key */
    with_number(w, CMD_IF_REVISION, "b", 2);
    guards(w, 1);
    with(w, CMD_DELETE, "b");
    with(w, CMD_DELETE, "none");
    done(w, MACHINE_SKIPPED);
    expect(w, "b", "seen", 1, 1, 0);
    start(w); /* a condition proper stops all, and is no guard */
    with(w, CMD_IF_PRESENT, "none");
    with_value(w, CMD_PUT, "b", "x");
    fails(w, MACHINE_CONDITION, 0);
    world_free(w);
}

/* Guards of one another: all of the keys or none. A guard that is skipped guards nothing. */
static void test_guarded_guards(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned round = 0; round < 2; round++) {
        start(w);
        with(w, CMD_IF_ABSENT, round == 0 ? "a" : "c");
        guards(w, 3);
        with(w, CMD_IF_ABSENT, "b");
        guards(w, 2);
        with_value(w, CMD_PUT, round == 0 ? "a" : "c", "1");
        with_value(w, CMD_PUT, "b", "1");
        done(w, round == 0 ? MACHINE_DONE : MACHINE_SKIPPED);
    }
    expect(w, "a", "1", 1, 1, 0);
    expect(w, "c", NULL, 0, 0, 0);
    start(
        w); /* the outer one fails; the inner one, skipped, reaches beyond it and must not count */
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 1);
    with(w, CMD_IF_ABSENT, "a");
    guards(w, 1);
    with_value(w, CMD_PUT, "d", "1");
    done(w, MACHINE_SKIPPED);
    expect(w, "d", "1", 3, 3, 0);
    start(w); /* something that can't be done is a failure only if it is not skipped */
    with(w, CMD_IF_ABSENT, "d");
    guards(w, 1);
    with_number(w, CMD_ADD, "x", UINT64_C(1) << 63);
    with_value(w, CMD_PUT, "word", "word");
    with(w, CMD_IF_PRESENT, "d");
    guards(w, 1);
    with_number(w, CMD_ADD, "word", 1);
    fails(w, MACHINE_NOT_NUMBER, 4);
    world_free(w);
}

/* What is read is told as it is at that place: before a later operation replaces or deletes it. */
static void test_read_before(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->ms = 1000;
    start(w);
    with_value(w, CMD_PUT, "k", "old");
    with_number(w, CMD_EXPIRE, "k", 500);
    done(w, MACHINE_DONE);
    start(w);
    with(w, CMD_READ, "k");
    with_value(w, CMD_PUT_KEEP, "k", "new");
    with(w, CMD_READ, "k");
    with(w, CMD_DELETE, "k");
    with(w, CMD_READ, "k");
    with_value(w, CMD_PUT_KEEP, "k", "newest");
    done(w, MACHINE_NO_KEY);
    told(w, 0, MACHINE_DONE, 1, "old");
    told(w, 2, MACHINE_DONE, 2, "new");
    told(w, 4, MACHINE_NO_KEY, 0, NULL);
    assert_true(w->told[0].expiry_before_ms == 1500 && w->told[1].expiry_before_ms == 1500);
    assert_true(w->told[3].expiry_before_ms == 1500 && w->told[4].expiry_before_ms == 0);
    expect(w, "k", "newest", 2, 2, 0);
    world_free(w);
}

/* Puts a value that long. */
static void put_long(struct world *w, const char *key, uint8_t *value, uint32_t len)
{
    start(w);
    struct cmd_item *it = next_item(w, CMD_PUT, key);
    it->value = value;
    it->value_len = len;
    done(w, MACHINE_DONE);
}

/* A small command can't make its node copy without bound. */
static void test_too_much(void **state)
{
    (void)state;
    enum { TIMES = MACHINE_TELL_MAX_BYTES / CMD_VALUE_MAX_BYTES };
    struct world *w = world_new();
    uint8_t *value = calloc(1, CMD_VALUE_MAX_BYTES);
    assert_non_null(value);
    put_long(w, "large", value, CMD_VALUE_MAX_BYTES);
    put(w, "small", "1");
    start(w);
    for (unsigned i = 0; i < TIMES; i++)
        with(w, CMD_READ, "large");
    done(w, MACHINE_DONE);
    start(w);
    with_value(w, CMD_PUT, "small", "2");
    with(w, CMD_READ, "small");
    for (unsigned i = 0; i < TIMES; i++)
        with(w, CMD_READ, "large");
    fails(w, MACHINE_TOO_MUCH, TIMES + 1);
    free(value);
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
        cmocka_unit_test(test_put_delete),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_cluster_time),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_not_told),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_guards),
        cmocka_unit_test(test_guarded_guards),
        cmocka_unit_test(test_read_before),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_many),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
