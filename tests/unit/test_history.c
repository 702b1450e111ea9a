// LINK: @state
/* test_history.c: what is remembered of the changes is what the entries did, all of it and in order, as of
 * the view; what is forgotten is known to the entry. */
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
#include "raftd/state/image.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"

/* ---- what commands are told as ---- */

struct tool {
    struct kv *kv;
    struct machine *m;
    uint64_t index, number;
};

/* One word of a command: "put:KEY:VALUE", "add:KEY:NUMBER", "expire:KEY:MS", "del:KEY", "read:KEY",
 * "absent:KEY". */
static void item(struct cmd *c, struct cmd_item *it, char *word, uint8_t number[CMD_NUMBER_BYTES])
{
    static const struct {
        const char *name;
        uint8_t kind;
        bool has_number;
    } kinds[] = {{"absent", CMD_IF_ABSENT, false}, {"put", CMD_PUT, false},
                 {"del", CMD_DELETE, false},       {"add", CMD_ADD, true},
                 {"expire", CMD_EXPIRE, true},     {"read", CMD_READ, false}};
    char *rest = NULL, *name = strtok_r(word, ":", &rest), *key = strtok_r(NULL, ":", &rest);
    size_t k = 0;
    while (strcmp(kinds[k].name, name) != 0)
        k++;
    *it = (struct cmd_item){
        .kind = kinds[k].kind, .key = (const uint8_t *)key, .key_len = (uint16_t)strlen(key)};
    if (kinds[k].has_number)
        put_u64(number, strtoull(rest, NULL, 10));
    it->value = kinds[k].has_number ? number : (const uint8_t *)rest;
    it->value_len = kinds[k].has_number ? CMD_NUMBER_BYTES : (uint32_t)strlen(rest);
    if (it->kind < CMD_PUT)
        c->conditions++;
    else
        c->operations++;
}

/* Applies a command as the next entry. */
static void apply(struct tool *t, const char *command, uint64_t number)
{
    char words[128], *rest = NULL;
    struct cmd c = {.origin = 1, .process = 7, .predecessor = number > 1 ? 7 : 0, .number = number};
    struct cmd_item items[8];
    uint8_t numbers[8][CMD_NUMBER_BYTES], buf[1024];
    struct applied a;
    unsigned n = 0;
    snprintf(words, sizeof words, "%s", command);
    for (char *w = strtok_r(words, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest), n++)
        item(&c, &items[n], w, numbers[n]);
    size_t len = cmd_encode(buf, &c, items);
    assert_true(machine_apply(t->m, ++t->index, 10, buf, len, NULL, &a));
    assert_true(machine_publish(t->m));
}

/* What entry t->index is told as: "put KEY VALUE OPERATIONS," and so on. */
static void told(const struct tool *t, char *out, size_t size)
{
    static const char *const kinds[] = {"put", "del", "expired"};
    const struct history_view *v = &kv_view(t->kv)->history;
    const struct history_change *h;
    struct history_cursor c;
    size_t len = 0;
    out[0] = '\0';
    assert_true(history_seek(v, t->index, &c));
    while ((h = history_next(v, &c)) != NULL) {
        assert_true(h->object->modify_revision == t->index);
        len += (size_t)snprintf(out + len, size - len, "%s %.*s %.*s %x,", kinds[h->kind],
                                h->object->key_len, (const char *)kv_key(h->object),
                                (int)h->object->value_len, (const char *)kv_value(h->object),
                                h->operations);
    }
}

static void test_commands(void **state)
{
    enum { PUT = 1, DEL = 2, ADD = 4, EXPIRE = 8, READ = 16 };
    static const struct {
        const char *command, *told;
    } rows[] = {
        {"put:a:1", "put a 1 1,"},
        {"put:a:2 put:b:3 read:a", "put a 2 11,put b 3 1,"},
        {"put:b:4 put:a:5 put:b:6", "put b 6 1,put a 5 1,"},
        {"put:c:7 expire:c:1000", "put c 7 9,"},
        {"expire:a:1000", "put a 5 8,"},
        {"add:n:12", "put n 12 4,"},
        {"put:a:1 del:a", "del a  3,"},
        {"del:b put:b:8", "put b 8 3,"},
        {"put:new:1 del:new", ""},
        {"del:a", ""},
        {"expire:a:5", ""},
        {"read:b", ""},
        {"absent:b put:b:9", ""},
        {"put:d:1 add:b:1 add:c:9223372036854775807", ""},
        {"absent:a put:a:9 del:c", "put a 9 1,del c  2,"},
    };
    struct tool t = {.kv = kv_new()};
    char out[256];
    (void)state;
    t.m = machine_new(t.kv);
    rcu_enter();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        apply(&t, rows[i].command, ++t.number);
        told(&t, out, sizeof out);
        assert_string_equal(out, rows[i].told);
    }
    apply(&t, "put:a:10", t.number); /* a copy */
    told(&t, out, sizeof out);
    assert_string_equal(out, "");
    rcu_leave();
    machine_free(t.m);
    kv_free(t.kv);
}

/* ---- many changes, beside a model of all of them ---- */

enum { KEYS = 400, MODEL_MAX = 60000, ENTRY_MAX = 40 };

/* A change as it was told; the value of a put is its number in the model, again and again. */
struct was {
    uint64_t index;
    uint32_t value_len;
    uint16_t key;
    uint8_t kind;
};

struct world {
    struct kv *kv;
    uint64_t index;
    struct was *model;
    size_t n;
    bool there[KEYS];
    uint32_t random;
    uint8_t *value; /* the largest */
};

static uint32_t roll(struct world *w, uint32_t n)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % n;
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->kv = kv_new();
    w->model = calloc(MODEL_MAX, sizeof *w->model);
    w->value = malloc(CMD_VALUE_MAX_BYTES);
    assert_true(w->kv != NULL && w->model != NULL && w->value != NULL);
    return w;
}

static void world_free(struct world *w)
{
    kv_free(w->kv);
    free(w->model);
    free(w->value);
    free(w);
}

/* One change of the present entry. */
static void change(struct world *w, unsigned k, uint32_t value_len)
{
    uint8_t key[2] = {(uint8_t)(k >> 8), (uint8_t)k};
    bool put = !w->there[k] || roll(w, 4) != 0;
    enum history_kind kind = put ? HISTORY_PUT : roll(w, 2) ? HISTORY_DELETED : HISTORY_EXPIRED;
    assert_true(w->n < MODEL_MAX);
    memset(w->value, (int)(w->n % 251), value_len);
    if (put)
        assert_int_equal(kv_put(w->kv, &(struct kv_content){.key = key,
                                                            .key_len = sizeof key,
                                                            .value = w->value,
                                                            .value_len = value_len,
                                                            .create_revision = 1,
                                                            .modify_revision = w->index}),
                         KV_DONE);
    else
        assert_int_equal(kv_delete(w->kv, key, sizeof key), KV_DONE);
    assert_true(kv_tell(w->kv, w->index, kind, (uint32_t)w->n, key, sizeof key));
    w->there[k] = put;
    w->model[w->n++] = (struct was){w->index, put ? value_len : 0, (uint16_t)k, (uint8_t)kind};
}

/* The next entry, of up to so many changes. */
static void entry(struct world *w, unsigned most, uint32_t value_max)
{
    unsigned first = roll(w, KEYS), n = roll(w, most + 1);
    w->index++;
    for (unsigned i = 0; i < n; i++)
        change(w, (first + i) % KEYS, roll(w, value_max + 1));
}

static void check_change(const struct world *w, const struct history_change *h, size_t at)
{
    const struct was *was = &w->model[at];
    const struct kv_object *o = h->object;
    assert_true(at < w->n && o->modify_revision == was->index && h->kind == was->kind);
    assert_true(h->operations == at && o->key_len == 2 && o->value_len == was->value_len);
    assert_int_equal(kv_key(o)[0] << 8 | kv_key(o)[1], was->key);
    for (uint32_t i = 0; i < o->value_len; i += 1 + o->value_len / 8)
        assert_int_equal(kv_value(o)[i], at % 251);
}

/* The place in the model of the first change of that entry or a later one. */
static size_t place(const struct world *w, uint64_t index)
{
    size_t low = 0, high = w->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (w->model[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t counted(const struct was *was)
{
    return HISTORY_CHANGE_BYTES + 2 + (uint64_t)was->value_len;
}

/* A view whose numbers are places in the model has its changes from the first on up to its index; no entry
 * that is not whole can be asked for, and every other one can. */
static void check_view(const struct world *w, const struct kv_view *view)
{
    const struct history_view *v = &view->history;
    const struct history_change *h;
    struct history_cursor c;
    uint64_t bytes = 0, whole = v->first == 0 ? 1 : w->model[v->first - 1].index + 1;
    assert_true(v->whole_from == whole && v->end == place(w, view->index + 1));
    for (uint64_t index = whole > 3 ? whole - 3 : 0; index < view->index + 3; index++) {
        bool is_whole = index >= whole;
        size_t at = place(w, index);
        assert_true(history_seek(v, index, &c) == is_whole);
        if (!is_whole || index % 61 != 0)
            continue;
        while ((h = history_next(v, &c)) != NULL)
            check_change(w, h, at++);
        assert_true(at >= v->end && c.next == v->end);
    }
    for (size_t i = v->first; i < v->end; i++)
        bytes += counted(&w->model[i]);
    assert_true(bytes < HISTORY_BYTES_MAX + ENTRY_MAX * 256);
    uint64_t oldest = 0; /* of the last bunch that was forgotten */
    for (size_t i = v->first; i > 0 && i + HISTORY_BUNCH > v->first; i--)
        oldest += counted(&w->model[i - 1]);
    assert_true(v->first == 0 || bytes + oldest > HISTORY_BYTES_MAX ||
                (v->end - v->first >= HISTORY_CHANGES && bytes >= HISTORY_BYTES));
}

/* Small, middling and large values. What is remembered is enough, and not too much. */
static void test_limits(void **state)
{
    static const struct {
        uint32_t value_max;
        unsigned entries,
            ended_with[2]; /* how many changes are remembered at the end, from and to */
    } rows[] = {
        {0, 2000, {15880, 15930}}, /* 1 MiB */
        {800, 800, {4096, 4112}},
        {60000, 70, {500, 1400}}, /* 16 MiB */
        {CMD_VALUE_MAX_BYTES, 4, {18, 60}},
    };
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct world *w = world_new();
        for (unsigned i = 0; i < rows[r].entries; i++) {
            entry(w, ENTRY_MAX, rows[r].value_max);
            if (i % 7 == 0)
                assert_true(kv_publish(w->kv, w->index, 0));
            rcu_enter();
            if (i % 97 == 0)
                check_view(w, kv_view(w->kv));
            rcu_leave();
        }
        assert_true(kv_publish(w->kv, w->index, 0));
        rcu_enter();
        const struct history_view *v = &kv_view(w->kv)->history;
        check_view(w, kv_view(w->kv));
        assert_in_range(v->end - v->first, rows[r].ended_with[0], rows[r].ended_with[1]);
        rcu_leave();
        world_free(w);
    }
}

/* An entry of several changes, of which any number may have been forgotten: it can be asked for as long as
 * none has. */
static void test_edge(void **state)
{
    (void)state;
    struct world *w = world_new();
    while (w->index < 4000) {
        w->index++;
        for (unsigned i = 0; i < 5; i++)
            change(w, (unsigned)(w->index * 5 + i) % KEYS, 300);
        assert_true(kv_publish(w->kv, w->index, 0));
        struct history_cursor c;
        rcu_enter();
        const struct history_view *v = &kv_view(w->kv)->history;
        uint64_t kept = v->first / 5 + 1; /* the entry of the first change */
        bool whole = v->first % 5 == 0;
        assert_true(history_seek(v, kept, &c) == whole && history_seek(v, kept + 1, &c));
        for (unsigned i = 0; i < 5 && kept < w->index; i++)
            check_change(w, history_next(v, &c), kept * 5 + i);
        rcu_leave();
    }
    world_free(w);
}

/* A reader's view stays what it is, whatever is told and forgotten meanwhile. */
static void test_view_stays(void **state)
{
    (void)state;
    struct world *w = world_new();
    while (w->n < 6000)
        entry(w, ENTRY_MAX, 100);
    assert_true(kv_publish(w->kv, w->index, 0));
    rcu_enter();
    const struct kv_view *view = kv_view(w->kv);
    size_t told_n = w->n;
    while (w->n < 40000) {
        entry(w, ENTRY_MAX, 100);
        if (w->index % 100 != 0)
            continue;
        assert_true(kv_publish(w->kv, w->index, 0));
        check_view(w, view);
    }
    assert_true(view->history.end == told_n && kv_view(w->kv)->history.first > told_n);
    rcu_leave();
    world_free(w);
}

/* Readers go on where they were, each as fast as it is. They are told every change once, in order, or that
 * they missed some, but only if it is so. */
static void test_cursors(void **state)
{
    enum { READERS = 6 };
    (void)state;
    struct world *w = world_new();
    struct history_cursor c[READERS] = {{0}};
    size_t at[READERS] = {0}, missed = 0;
    while (w->n < 50000) {
        entry(w, ENTRY_MAX, 20);
        assert_true(kv_publish(w->kv, w->index, 0));
        rcu_enter();
        const struct history_view *v = &kv_view(w->kv)->history;
        for (unsigned i = 0; i < READERS; i++) {
            const struct history_change *h;
            unsigned budget = i == 0 ? UINT32_MAX : roll(w, 14 * (i + 1));
            assert_true(history_missed(v, &c[i]) == (at[i] < v->first));
            if (history_missed(v, &c[i])) {
                missed++;
                assert_true(i > 0 && history_seek(v, v->whole_from, &c[i]));
                at[i] = place(w, v->whole_from);
            }
            while (budget-- > 0 && (h = history_next(v, &c[i])) != NULL)
                check_change(w, h, at[i]++);
        }
        rcu_leave();
    }
    assert_true(missed > 0 && at[0] == w->n && at[READERS - 1] > 6000);
    world_free(w);
}

/* Another state comes, as of an index: nothing that was before is told, wherever a reader was. */
static void test_replaced(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct history_cursor at_end, before, after;
    while (w->n < 3000)
        entry(w, ENTRY_MAX, 20);
    assert_true(kv_publish(w->kv, w->index, 0));
    rcu_enter();
    const struct history_view *v = &kv_view(w->kv)->history;
    assert_true(history_seek(v, 1, &before) && history_seek(v, w->index + 1, &at_end));
    assert_null(history_next(v, &at_end));
    rcu_leave();
    kv_replace(w->kv, kv_new(), 7000, 0);
    for (unsigned round = 0; round < 2; round++) {
        rcu_enter();
        v = &kv_view(w->kv)->history;
        assert_true(history_missed(v, &at_end) && history_missed(v, &before));
        assert_true(!history_seek(v, 7000, &after) && history_seek(v, 7001, &after));
        const struct history_change *h = history_next(v, &after);
        assert_true((h != NULL) == (round == 1));
        if (h != NULL)
            check_change(w, h, w->n - 1);
        rcu_leave();
        memset(w->there, 0, sizeof w->there);
        w->index = 7001;
        change(w, 1, 5);
        assert_true(kv_publish(w->kv, w->index, 0));
    }
    world_free(w);
}

/* What an image has stays, though changes named it, which are forgotten, and another state comes. And the
 * image does not keep what it does not have. */
static void test_image(void **state)
{
    (void)state;
    for (unsigned replaced = 0; replaced < 2; replaced++) {
        struct world *w = world_new();
        struct kv_cursor c;
        for (unsigned i = 0; i < 3 * KEYS; i++) {
            w->index++;
            change(w, i % KEYS, 900);
        }
        assert_true(kv_publish(w->kv, w->index, 0));
        struct kv_image *image = kv_freeze(w->kv);
        const struct kv_view *v = kv_image_view(image);
        while (w->n < 20000) {
            entry(w, ENTRY_MAX, 900);
            assert_true(kv_publish(w->kv, w->index, 0));
        }
        assert_true(kv_kept_bytes(w->kv) < 2 * v->bytes);
        if (replaced)
            kv_replace(w->kv, kv_new(), w->index, 0);
        rcu_wait_freed();
        while (kv_tidy(w->kv))
            continue;
        uint64_t n = 0;
        for (const struct kv_object *o = kv_first(v, &(struct kv_range){0}, &c); o != NULL;
             o = kv_next(&c), n++)
            check_change(w,
                         &(struct history_change){(struct kv_object *)(uintptr_t)o,
                                                  (uint32_t)(o->modify_revision - 1), HISTORY_PUT},
                         o->modify_revision - 1);
        assert_true(n == v->count && n > 100);
        kv_thaw(w->kv, image);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_edge),     cmocka_unit_test(test_view_stays),
        cmocka_unit_test(test_cursors),  cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_image),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
