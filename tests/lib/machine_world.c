/* machine_world.c: see machine_world.h. */
#include "tests/lib/machine_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"

struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->kv = kv_new();
    w->m = machine_new(w->kv);
    assert_true(w->kv != NULL && w->m != NULL);
    return w;
}

void world_free(struct world *w)
{
    machine_free(w->m);
    kv_free(w->kv);
    free(w);
}

/* ---- making commands ---- */

void start(struct world *w)
{
    w->c = (struct cmd){.origin = ORIGIN, .process = PROCESS, .predecessor = PROCESS};
    if (w->number == 0)
        w->c.predecessor = 0;
    w->c.number = ++w->number;
}

struct cmd_item *next_item(struct world *w, uint8_t kind, const char *key)
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

void with(struct world *w, uint8_t kind, const char *key)
{
    (void)next_item(w, kind, key);
}

void with_value(struct world *w, uint8_t kind, const char *key, const char *value)
{
    struct cmd_item *it = next_item(w, kind, key);
    it->value = (const uint8_t *)value;
    it->value_len = (uint32_t)strlen(value);
}

void with_number(struct world *w, uint8_t kind, const char *key, uint64_t number)
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

void guards(struct world *w, uint8_t n)
{
    w->items[w->c.conditions + w->c.operations - 1].guards = n;
    w->c.conditions--;
    w->c.operations++;
}

struct applied apply(struct world *w)
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

void done(struct world *w, enum outcome outcome)
{
    struct applied a = apply(w);
    assert_int_equal(a.outcome, outcome);
    assert_false(a.repeated);
    if (outcome < MACHINE_ENDED)
        assert_true(a.revision == w->index);
    assert_int_equal(w->n_told, outcome_is_done(outcome) ? w->c.operations : 0);
}

void fails(struct world *w, enum outcome outcome, unsigned at)
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

void put(struct world *w, const char *key, const char *value)
{
    start(w);
    with_value(w, CMD_PUT, key, value);
    done(w, MACHINE_DONE);
}

void put_long(struct world *w, const char *key, uint8_t *value, uint32_t len)
{
    start(w);
    struct cmd_item *it = next_item(w, CMD_PUT, key);
    it->value = value;
    it->value_len = len;
    done(w, MACHINE_DONE);
}

void expect(struct world *w, const char *key, const char *value, uint64_t create, uint64_t modify,
            uint64_t expiry_ms)
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

void told(const struct world *w, unsigned i, enum outcome outcome, uint64_t revision,
          const char *value)
{
    assert_int_equal(w->told[i].outcome, outcome);
    assert_true(w->told[i].modify_revision == revision);
    assert_true((value == NULL) == (w->told[i].value == NULL));
    if (value != NULL)
        assert_string_equal(w->values[i], value);
}
