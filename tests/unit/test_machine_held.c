// LINK: @state @rcu_alone
/* test_machine_held.c: commands of holders: locks, fences as conditions, keys that go with their holder. */
#include <errno.h>
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
#include "raftd/state/holders.h"
#include "raftd/state/image.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"

enum { ROOM = 4096, CHUNKS_MAX = 64 };

struct world {
    struct kv *kv;
    struct machine *m;
    uint64_t index, number[3];
    struct told told;
};

static struct world world_new(void)
{
    struct world w = {.kv = kv_new()};
    w.m = machine_new(w.kv);
    assert_non_null(w.m);
    return w;
}

static void world_free(struct world *w)
{
    machine_free(w->m);
    kv_free(w->kv);
}

static void hear(void *ctx, const struct applied *a, const struct told *told, unsigned n)
{
    struct world *w = ctx;
    assert_true(outcome_is_done(a->outcome));
    w->told = told[n - 1];
}

static struct cmd_item item(uint8_t kind, const char *key, const void *value, size_t len)
{
    return (struct cmd_item){.kind = kind,
                             .key = (const uint8_t *)key,
                             .key_len = (uint16_t)strlen(key),
                             .value = value,
                             .value_len = (uint32_t)len};
}

/* The next command of node 1 or 2 and this connection of it. */
static enum outcome command(struct world *w, uint16_t origin, uint64_t connection,
                            const struct cmd_item *items, uint8_t conditions, uint8_t operations)
{
    uint8_t buf[ROOM];
    struct applied a;
    const struct machine_listener listener = {hear, w};
    struct cmd c = {.flags = CMD_HAS_CONNECTION,
                    .conditions = conditions,
                    .operations = operations,
                    .origin = origin,
                    .process = 70U + origin,
                    .predecessor = w->number[origin] == 0 ? 0 : 70U + origin,
                    .number = ++w->number[origin],
                    .connection = connection};
    size_t size = cmd_encode(buf, &c, items);
    w->told = (struct told){0};
    assert_true(machine_apply(w->m, ++w->index, 0, buf, size, &listener, &a));
    assert_true(machine_publish(w->m));
    return a.outcome;
}

static enum outcome one(struct world *w, uint16_t origin, uint64_t connection, uint8_t kind,
                        const char *key, const void *value, size_t len)
{
    struct cmd_item it = item(kind, key, value, len);
    return command(w, origin, connection, &it, 0, 1);
}

static enum outcome lock(struct world *w, uint16_t origin, uint64_t connection, const char *name)
{
    return one(w, origin, connection, CMD_LOCK, name, "\0word", 5);
}

static enum outcome put_held(struct world *w, uint16_t origin, uint64_t connection, const char *key)
{
    return one(w, origin, connection, CMD_PUT_HELD, key, "v", 1);
}

static enum outcome unlock(struct world *w, uint16_t origin, uint64_t connection, const char *name,
                           uint64_t fence)
{
    uint8_t number[CMD_NUMBER_BYTES];
    put_u64(number, fence);
    return one(w, origin, connection, CMD_UNLOCK, name, number, sizeof number);
}

static void free_connection(struct world *w, uint16_t origin, uint64_t connection)
{
    uint8_t key[CMD_CONNECTION_BYTES];
    struct cmd_item it = {.kind = CMD_FREE_CONNECTION, .key = key, .key_len = sizeof key};
    put_u64(key, connection);
    assert_int_equal(command(w, origin, 99, &it, 0, 1), MACHINE_DONE); /* of any connection */
}

static void free_process(struct world *w, uint16_t origin, uint64_t process)
{
    uint8_t key[CMD_PROCESS_BYTES], buf[ROOM];
    struct applied a;
    put_u16(key, origin);
    put_u64(key + 2, process);
    size_t size = cmd_encode_one(
        buf, &(struct cmd_item){.kind = CMD_FREE, .key = key, .key_len = sizeof key});
    assert_true(machine_apply(w->m, ++w->index, 0, buf, size, NULL, &a));
    assert_true(a.outcome == MACHINE_DONE && a.origin == 0);
    assert_true(machine_publish(w->m));
}

/* The leader's word at cluster time 5: what is due ends. */
static void end_due(struct world *w)
{
    uint8_t buf[ROOM];
    struct applied a;
    size_t size = cmd_encode_one(buf, &(struct cmd_item){.kind = CMD_END_DUE});
    assert_true(machine_apply(w->m, ++w->index, 5, buf, size, NULL, &a));
    assert_true(machine_publish(w->m));
}

static bool exists(const struct world *w, const char *key)
{
    return kv_find(w->kv, (const uint8_t *)key, strlen(key)) != NULL;
}

/* 0: nobody; else 10 * origin + connection. */
static unsigned holder_of(const struct world *w, const char *name)
{
    struct claim c;
    struct kv_view v = kv_draft(machine_claims(w->m));
    if (!holders_lock(&v, (const uint8_t *)name, strlen(name), &c))
        return 0;
    assert_true(c.holder.process == 70U + c.holder.origin);
    return 10U * c.holder.origin + (unsigned)c.holder.connection;
}

static uint64_t claims(const struct world *w)
{
    return kv_count(machine_claims(w->m)) / 2;
}

/* What the last entry did to a key, as watchers are told. */
static bool last_told(const struct world *w, const char *key, enum history_kind kind)
{
    struct history_cursor c;
    const struct history_change *change;
    bool found = false;
    rcu_enter();
    const struct kv_view *v = kv_view(w->kv);
    assert_true(history_seek(&v->history, w->index, &c));
    while ((change = history_next(&v->history, &c)) != NULL)
        found |= change->object->key_len == strlen(key) && change->kind == kind &&
                 memcmp(kv_key(change->object), key, strlen(key)) == 0;
    rcu_leave();
    return found;
}

/* ---- tests ---- */

static void test_lock(void **state)
{
    (void)state;
    struct world w = world_new();
    assert_int_equal(lock(&w, 1, 1, "x"), MACHINE_DONE);
    assert_true(w.told.outcome == MACHINE_DONE && w.told.modify_revision == 1);
    assert_int_equal(lock(&w, 2, 1, "x"), MACHINE_WAITS); /* of another node, the same number */
    assert_true(w.told.outcome == MACHINE_WAITS && w.told.modify_revision == 1);
    assert_int_equal(one(&w, 1, 2, CMD_LOCK, "x", "\1", 1), MACHINE_TAKEN);
    assert_int_equal(unlock(&w, 1, 1, "x", 2), MACHINE_NOT_HELD);
    assert_int_equal(holder_of(&w, "x"), 11);
    assert_int_equal(unlock(&w, 1, 1, "x", 1), MACHINE_DONE);
    assert_int_equal(holder_of(&w, "x"), 21);
    assert_int_equal(lock(&w, 2, 1, "x"), MACHINE_DONE);
    assert_true(w.told.modify_revision == 5);
    free_connection(&w, 1, 1); /* another node's */
    assert_int_equal(holder_of(&w, "x"), 21);
    free_connection(&w, 2, 1);
    assert_int_equal(holder_of(&w, "x"), 0);
    assert_true(claims(&w) == 0 && kv_count(w.kv) == 0);
    world_free(&w);
}

/* Only the fence of who holds the lock now counts, as a condition and as a guard. */
static void test_fence(void **state)
{
    (void)state;
    struct world w = world_new();
    uint8_t old[CMD_NUMBER_BYTES] = {1}, now[CMD_NUMBER_BYTES] = {3};
    (void)lock(&w, 1, 1, "x");
    (void)lock(&w, 2, 1, "x");
    assert_int_equal(unlock(&w, 1, 1, "x", 0), MACHINE_DONE);
    struct cmd_item items[] = {item(CMD_IF_HELD, "x", old, 8), item(CMD_PUT, "k", "v", 1)};
    assert_int_equal(command(&w, 1, 1, items, 1, 1), MACHINE_CONDITION);
    assert_false(exists(&w, "k"));
    items[0].value = now;
    assert_int_equal(command(&w, 1, 5, items, 1, 1), MACHINE_DONE); /* any connection may say it */
    assert_true(exists(&w, "k"));
    items[1].kind = CMD_DELETE;
    items[1].value_len = 0;
    items[0].value = old;
    items[0].guards = 1;
    assert_int_equal(command(&w, 1, 1, items, 0, 2), MACHINE_SKIPPED);
    assert_true(exists(&w, "k"));
    (void)unlock(&w, 2, 1, "x", 3);
    items[0].value = now;
    assert_int_equal(command(&w, 2, 1, items, 0, 2), MACHINE_SKIPPED); /* nobody holds it */
    assert_true(exists(&w, "k"));
    /* A condition before a lock. */
    struct cmd_item first[] = {item(CMD_IF_ABSENT, "k", NULL, 0), item(CMD_LOCK, "y", "", 1)};
    assert_int_equal(command(&w, 1, 1, first, 1, 1), MACHINE_CONDITION);
    assert_int_equal(holder_of(&w, "y"), 0);
    world_free(&w);
}

/* Who made the key last, in order, and whether the end of connection 1 of node 1 ends it. */
static void test_held_keys(void **state)
{
    (void)state;
    static const struct {
        const char *
            steps; /* h put held by 1/1, o by 1/2, p put, k put keep, d delete, e expire, E end due */
        bool ends;
    } rows[] = {
        {"h", true},    {"hh", true},   {"ho", false},   {"oh", true},
        {"hp", false},  {"hk", true},   {"ph", true},    {"hd", false},
        {"hdp", false}, {"hdh", true},  {"he", true},    {"hpk", false},
        {"ohp", false}, {"heE", false}, {"heEp", false}, {"heEh", true},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w = world_new();
        uint8_t ttl[CMD_NUMBER_BYTES] = {5};
        (void)put_held(&w, 2, 1, "other");
        for (const char *p = rows[i].steps; *p != '\0'; p++)
            switch (*p) {
            case 'h': assert_int_equal(put_held(&w, 1, 1, "k"), MACHINE_DONE); break;
            case 'o': assert_int_equal(put_held(&w, 1, 2, "k"), MACHINE_DONE); break;
            case 'p': (void)one(&w, 2, 1, CMD_PUT, "k", "w", 1); break;
            case 'k': (void)one(&w, 2, 1, CMD_PUT_KEEP, "k", "w", 1); break;
            case 'd': (void)one(&w, 2, 1, CMD_DELETE, "k", NULL, 0); break;
            case 'E': end_due(&w); break;
            default: (void)one(&w, 2, 1, CMD_EXPIRE, "k", ttl, sizeof ttl); break;
            }
        bool was = exists(&w, "k");
        free_connection(&w, 1, 1);
        if (exists(&w, "k") != (was && !rows[i].ends) ||
            last_told(&w, "k", HISTORY_DELETED) != rows[i].ends)
            fail_msg("%s", rows[i].steps);
        free_connection(&w, 1, 2);
        assert_true(claims(&w) == 1 && exists(&w, "other"));
        world_free(&w);
    }
}

/* Several in one command, in which only the last one counts. */
static void test_held_in_transaction(void **state)
{
    (void)state;
    struct world w = world_new();
    struct cmd_item items[] = {item(CMD_PUT_HELD, "a", "1", 1), item(CMD_PUT_HELD, "b", "1", 1),
                               item(CMD_PUT, "a", "2", 1), item(CMD_PUT_HELD, "c", "1", 1),
                               item(CMD_DELETE, "c", NULL, 0)};
    assert_int_equal(command(&w, 1, 1, items, 0, 5), MACHINE_DONE);
    assert_true(claims(&w) == 1 && kv_count(w.kv) == 2);
    free_connection(&w, 1, 1);
    assert_true(exists(&w, "a") && !exists(&w, "b") && claims(&w) == 0);
    world_free(&w);
}

static void test_process(void **state)
{
    (void)state;
    struct world w = world_new();
    char name[16];
    (void)lock(&w, 1, 1, "x");
    (void)lock(&w, 2, 1, "x");
    (void)lock(&w, 1, 2, "y");
    (void)put_held(&w, 1, 3, "k");
    free_process(&w, 1, 70); /* another process of that node */
    free_process(&w, 2, 71);
    assert_true(holder_of(&w, "x") == 11 && claims(&w) == 4);
    free_process(&w, 1, 71);
    assert_true(holder_of(&w, "x") == 21 && holder_of(&w, "y") == 0 && !exists(&w, "k"));
    assert_true(claims(&w) == 1 && last_told(&w, "k", HISTORY_DELETED));
    for (unsigned i = 0; i < HOLDERS_FREE_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        (void)lock(&w, 1, i + 1, name);
    }
    free_process(&w, 1, 71);
    assert_true(claims(&w) == 1 + 10); /* the loop does not wait for more */
    free_process(&w, 1, 71);
    assert_true(claims(&w) == 1);
    world_free(&w);
}

static void test_no_room(void **state)
{
    (void)state;
    struct world w = world_new();
    char name[CMD_KEY_MAX_BYTES + 1];
    while (holders_have_room(machine_claims(w.m), 3)) {
        (void)snprintf(name, sizeof name, "%0256d", (int)w.index);
        assert_int_equal(lock(&w, 1, 1, name), MACHINE_DONE);
    }
    struct cmd_item items[] = {item(CMD_PUT_HELD, "a", "1", 1), item(CMD_PUT_HELD, "b", "1", 1),
                               item(CMD_PUT_HELD, "c", "1", 1)};
    assert_int_equal(command(&w, 1, 1, items, 0, 3), MACHINE_LOCKS_FULL);
    assert_int_equal(command(&w, 1, 1, items, 0, 2), MACHINE_DONE);
    world_free(&w);
}

struct chunk {
    uint16_t section;
    size_t len;
    uint8_t bytes[IMAGE_CHUNK_MAX_BYTES];
};

/* The chunks of the state's image; a held key's claim may be left out. */
static unsigned image_of(struct world *w, struct chunk *chunks, uint8_t digest[IMAGE_DIGEST_BYTES])
{
    struct image *image = machine_freeze(w->m);
    const uint8_t *bytes;
    unsigned n = 0;
    assert_non_null(image);
    for (; image_next(image, &chunks[n].section, &bytes, &chunks[n].len) > 0; n++)
        memcpy(chunks[n].bytes, bytes, chunks[n].len);
    memcpy(digest, image_digest(image), IMAGE_DIGEST_BYTES);
    machine_thaw(w->m, image);
    return n;
}

static struct image_load *load(const struct chunk *chunks, unsigned n, int *rc)
{
    struct image_load *l = image_load_new();
    assert_non_null(l);
    *rc = 0;
    for (unsigned i = 0; i < n && *rc == 0; i++)
        *rc = image_load_chunk(l, chunks[i].section, chunks[i].bytes, chunks[i].len);
    return l;
}

static void test_image(void **state)
{
    (void)state;
    struct world w = world_new(), other = world_new();
    struct chunk *chunks = malloc(CHUNKS_MAX * sizeof *chunks);
    uint8_t digest[IMAGE_DIGEST_BYTES], again[IMAGE_DIGEST_BYTES];
    int rc;
    assert_non_null(chunks);
    (void)lock(&w, 1, 1, "x");
    (void)lock(&w, 2, 1, "x");
    (void)put_held(&w, 1, 3, "k");
    (void)one(&w, 1, 1, CMD_PUT, "l", "v", 1);
    unsigned n = image_of(&w, chunks, digest);
    assert_true(n == 3 && chunks[2].section == 4);
    struct image_load *l = load(chunks, n, &rc);
    assert_int_equal(rc, 0);
    assert_int_equal(image_load_done(l, digest), 0);
    machine_replace(other.m, l, w.index, 0);
    machine_digest(other.m, again);
    assert_memory_equal(again, digest, sizeof digest);
    other.index = w.index;
    memcpy(other.number, w.number, sizeof w.number);
    free_connection(&other, 1, 1); /* it goes on there */
    free_connection(&other, 1, 3);
    assert_true(holder_of(&other, "x") == 21 && !exists(&other, "k") && exists(&other, "l"));

    l = load(chunks, n - 1, &rc); /* a key whose claim is missing */
    assert_int_equal(rc, 0);
    assert_int_equal(image_load_done(l, digest), -EBADMSG);
    image_load_free(l);
    chunks[2].bytes[chunks[2].len - 17] ^= 1; /* the claim on the key is of another member */
    l = load(chunks, n, &rc);
    assert_int_equal(rc, -EBADMSG);
    image_load_free(l);
    chunks[2].bytes[chunks[2].len - 17] ^= 1;
    chunks[2].bytes[chunks[2].len - 19] = 'l'; /* ... or of a key that goes with nobody */
    l = load(chunks, n, &rc);
    assert_int_equal(rc, -EBADMSG);
    image_load_free(l);
    free(chunks);
    world_free(&w);
    world_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock),      cmocka_unit_test(test_fence),
        cmocka_unit_test(test_held_keys), cmocka_unit_test(test_held_in_transaction),
        cmocka_unit_test(test_process),   cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_image),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
