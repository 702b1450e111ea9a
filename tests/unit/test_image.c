// LINK: @state @rcu_alone tests/lib/state_table.c -Wl,--wrap=malloc
/* test_image.c: a state goes through its image and comes out the same; what is no image is refused. */
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
#include "raftd/state/image.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "raftd/state/origins.h"
#include "tests/lib/state_table.h"

enum { KEYS_MAX = 2000, CHUNKS_MAX = 200, AT_KEY = 40 };

static unsigned refused_in; /* the so many'th allocation from now is refused; 0 = none */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return refused_in > 0 && --refused_in == 0 ? NULL : __real_malloc(size);
}

struct world {
    struct kv *kv;
    struct machine *m;
    uint64_t index, number, rng;
};

static struct world world_new(void)
{
    struct world w = {.kv = kv_new(), .rng = 1};
    assert_non_null(w.kv);
    w.m = machine_new(w.kv);
    assert_non_null(w.m);
    return w;
}

static void world_free(struct world *w)
{
    machine_free(w->m);
    kv_free(w->kv);
}

static uint32_t any(struct world *w, uint32_t below)
{
    w->rng = w->rng * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(w->rng >> 33) % below;
}

/* One command of one operation, of origin 1 or 2. */
static void apply(struct world *w, uint8_t kind, const void *key, size_t key_len, const void *value,
                  size_t value_len)
{
    static uint8_t buf[CMD_MAX_BYTES];
    struct cmd_item it = {kind, 0, (uint16_t)key_len, (uint32_t)value_len, key, value};
    uint16_t origin = (uint16_t)(1 + w->index % 2);
    uint64_t process = machine_process(w->m, origin);
    struct cmd c = {.operations = 1,
                    .origin = origin,
                    .process = process != 0 ? process : 100U + origin,
                    .predecessor = process,
                    .number = ++w->number};
    if (w->number % 3 == 0) {
        c.flags = CMD_HAS_TOKEN;
        put_u64(c.token.random, w->number);
        c.token.index = w->index;
    }
    struct applied a;
    size_t size = cmd_encode(buf, &c, &it);
    w->index++;
    assert_true(machine_apply(w->m, w->index, 10 * w->index, buf, size, NULL, &a));
}

static void put(struct world *w, const char *key, const char *value)
{
    apply(w, CMD_PUT, key, strlen(key), value, strlen(value));
}

/* Any keys, of any length, with values mostly small. */
static void fill(struct world *w, unsigned n)
{
    static uint8_t value[CMD_VALUE_MAX_BYTES];
    uint8_t key[CMD_KEY_MAX_BYTES], number[CMD_NUMBER_BYTES];
    for (unsigned i = 0; i < n; i++) {
        size_t key_len = 1 + any(w, any(w, 20) == 0 ? CMD_KEY_MAX_BYTES : 3);
        uint32_t value_len = any(w, any(w, 100) == 0 ? 200000 : 300);
        for (size_t k = 0; k < key_len; k++)
            key[k] = (uint8_t)(any(w, 8) * 36);
        memset(value, (int)any(w, 256), value_len);
        put_u64(number, 1 + any(w, 1000));
        switch (any(w, 8)) {
        case 0: apply(w, CMD_DELETE, key, key_len, NULL, 0); break;
        case 1: apply(w, CMD_EXPIRE, key, key_len, number, sizeof number); break;
        default: apply(w, CMD_PUT, key, key_len, value, value_len); break;
        }
    }
    assert_true(machine_publish(w->m));
}

/* ---- rows of chunks ---- */

struct row {
    unsigned n;
    uint8_t digest[IMAGE_DIGEST_BYTES];
    struct {
        uint16_t section;
        size_t len;
        uint8_t *bytes;
    } chunks[CHUNKS_MAX];
};

static void add_chunk(struct row *r, uint16_t section, const void *bytes, size_t len)
{
    assert_true(r->n < CHUNKS_MAX);
    r->chunks[r->n].section = section;
    r->chunks[r->n].len = len;
    r->chunks[r->n].bytes = malloc(len > 0 ? len : 1);
    memcpy(r->chunks[r->n++].bytes, bytes, len);
}

static void read_image(struct row *r, struct image *image)
{
    uint16_t section;
    const uint8_t *bytes;
    size_t len;
    *r = (struct row){0};
    memcpy(r->digest, image_digest(image), sizeof r->digest);
    while (image_next(image, &section, &bytes, &len) == 1) {
        assert_true(len > 0 && len <= IMAGE_CHUNK_MAX_BYTES);
        add_chunk(r, section, bytes, len);
    }
    assert_int_equal(image_next(image, &section, &bytes, &len), 0);
}

static void take_row(struct row *r, struct world *w)
{
    struct image *image = machine_freeze(w->m);
    assert_non_null(image);
    assert_true(image_index(image) == w->index && image_cluster_ms(image) == 10 * w->index);
    read_image(r, image);
    machine_thaw(w->m, image);
}

static void row_free(struct row *r)
{
    while (r->n > 0)
        free(r->chunks[--r->n].bytes);
}

/* 0 and *out, or the error. */
static int load(const struct row *r, struct image_load **out)
{
    struct image_load *l = image_load_new();
    int rc = l == NULL ? -ENOMEM : 0;
    for (unsigned i = 0; rc == 0 && i < r->n; i++)
        rc = image_load_chunk(l, r->chunks[i].section, r->chunks[i].bytes, r->chunks[i].len);
    if (rc == 0)
        rc = image_load_done(l, r->digest);
    if (rc != 0) {
        image_load_free(l);
        l = NULL;
    }
    *out = l;
    return rc;
}

static void refuse(const struct row *r, int error)
{
    struct image_load *l;
    assert_int_equal(load(r, &l), error);
    image_load_free(l);
}

static void same_rows(const struct row *a, const struct row *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->digest, b->digest, sizeof a->digest);
    for (unsigned i = 0; i < a->n; i++) {
        assert_int_equal(a->chunks[i].section, b->chunks[i].section);
        assert_int_equal(a->chunks[i].len, b->chunks[i].len);
        assert_memory_equal(a->chunks[i].bytes, b->chunks[i].bytes, a->chunks[i].len);
    }
}

/* ---- round trips ---- */

/* What readers see of v is what is in the table, and no more. */
static void same_as_table(const struct kv_view *v, struct cds_lfht *table)
{
    const struct table_object **list;
    struct kv_range all = {0};
    struct kv_cursor c;
    size_t n = table_list(table, "", 0, &list), i = 0;
    assert_int_equal(n, v->count);
    for (const struct kv_object *o = kv_first(v, &all, &c); o != NULL; o = kv_next(&c), i++) {
        assert_true(i < n && list[i]->key_len == o->key_len && list[i]->value_len == o->value_len);
        assert_memory_equal(list[i]->bytes, kv_key(o), (size_t)o->key_len + o->value_len);
        assert_true(list[i]->modify_revision == o->modify_revision);
    }
    free(list);
}

static struct cds_lfht *table_of(const struct kv_view *v)
{
    struct cds_lfht *table = table_new(KEYS_MAX);
    struct kv_range all = {0};
    struct kv_cursor c;
    for (const struct kv_object *o = kv_first(v, &all, &c); o != NULL; o = kv_next(&c))
        table_put(table, o->modify_revision, kv_key(o), o->key_len, kv_value(o), o->value_len);
    return table;
}

/* A loaded state is the one that was frozen, goes on as that does, and so does its next image. */
static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned n = 0; n <= 1000; n = 10 * n + 1) {
        struct world a = world_new(), b = world_new();
        struct row ra, rb;
        struct image_load *l;
        a.rng = n + 1;
        fill(&a, n);
        rcu_enter();
        struct cds_lfht *table = table_of(kv_view(a.kv));
        rcu_leave();
        take_row(&ra, &a);
        put(&b, "gone", "x");
        assert_true(machine_publish(b.m));
        assert_int_equal(load(&ra, &l), 0);
        machine_replace(b.m, l, a.index, 10 * a.index);
        b = (struct world){b.kv, b.m, a.index, a.number, a.rng};
        uint8_t da[MACHINE_DIGEST_BYTES], db[MACHINE_DIGEST_BYTES];
        machine_digest(a.m, da);
        machine_digest(b.m, db);
        assert_memory_equal(da, db, sizeof da);
        assert_memory_equal(da, ra.digest, sizeof da);
        rcu_enter();
        const struct kv_view *v = kv_view(b.kv);
        assert_true(v->index == a.index && v->cluster_ms == 10 * a.index);
        assert_true(v->bytes == kv_bytes(a.kv) && machine_applied(b.m) == a.index);
        same_as_table(v, table);
        rcu_leave();
        take_row(&rb, &b);
        same_rows(&ra, &rb);
        row_free(&ra);
        row_free(&rb);
        fill(&a, 100);
        fill(&b, 100);
        take_row(&ra, &a);
        take_row(&rb, &b);
        same_rows(&ra, &rb);
        row_free(&ra);
        row_free(&rb);
        table_free(table);
        world_free(&a);
        world_free(&b);
    }
}

/* However the row is cut into chunks. */
static void test_cuts(void **state)
{
    (void)state;
    struct world w = world_new();
    struct row r;
    fill(&w, 200);
    take_row(&r, &w);
    for (size_t piece = 1; piece < 100; piece = 2 * piece + 1) {
        struct image_load *l = image_load_new();
        assert_non_null(l);
        for (unsigned i = 0; i < r.n; i++)
            for (size_t at = 0, n; at < r.chunks[i].len; at += n) {
                n = piece < r.chunks[i].len - at ? piece : r.chunks[i].len - at;
                assert_int_equal(
                    image_load_chunk(l, r.chunks[i].section, r.chunks[i].bytes + at, n), 0);
            }
        assert_int_equal(image_load_done(l, r.digest), 0);
        image_load_free(l);
    }
    row_free(&r);
    world_free(&w);
}

/* The largest value there is, which goes through many chunks. */
static void test_large(void **state)
{
    (void)state;
    static uint8_t key[CMD_KEY_MAX_BYTES], value[CMD_VALUE_MAX_BYTES];
    struct world w = world_new();
    struct row r;
    memset(value, 7, sizeof value);
    apply(&w, CMD_PUT, key, sizeof key, value, sizeof value);
    put(&w, "a", "");
    assert_true(machine_publish(w.m));
    take_row(&r, &w);
    assert_true(r.n > sizeof value / IMAGE_CHUNK_MAX_BYTES);
    refuse(&r, 0);
    row_free(&r);
    world_free(&w);
}

/* An image, and a view that a reader has, stay what they are, also when another state takes the place
 * of all, and another one of that. What they keep is counted. */
static void test_stays(void **state)
{
    (void)state;
    struct world w = world_new(), other = world_new();
    struct row at_first, row, theirs;
    struct image_load *l;
    fill(&other, 300);
    take_row(&theirs, &other);
    fill(&w, 1000);
    take_row(&at_first, &w);
    struct image *image = machine_freeze(w.m);
    assert_true(image != NULL && machine_freeze(w.m) == NULL && machine_kept_bytes(w.m) == 0);
    assert_true(machine_kept_max_bytes(w.m) == 16 << 20);
    fill(&w, 300);
    uint64_t kept = machine_kept_bytes(w.m);
    assert_true(kept > 10000);
    rcu_enter();
    const struct kv_view *v = kv_view(w.kv);
    struct cds_lfht *table = table_of(v);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(load(&theirs, &l), 0);
        w.index += 1000;
        machine_replace(w.m, l, w.index, 10 * w.index);
        assert_true(machine_kept_bytes(w.m) > kept + v->bytes / 2);
        fill(&w, 300);
        same_as_table(v, table);
    }
    rcu_leave();
    rcu_wait_freed();
    fill(&w, 1000); /* in the memory of what was freed */
    read_image(&row, image);
    same_rows(&row, &at_first);
    machine_thaw(w.m, image);
    assert_int_equal(machine_kept_bytes(w.m), 0);
    table_free(table);
    row_free(&row);
    row_free(&at_first);
    row_free(&theirs);
    world_free(&w);
    world_free(&other);
}

/* What was applied before is known to have been applied in the loaded state. */
static void test_windows(void **state)
{
    (void)state;
    struct world a = world_new(), b = world_new();
    struct row r;
    struct image_load *l;
    struct applied was, is;
    fill(&a, 500);
    take_row(&r, &a);
    assert_int_equal(load(&r, &l), 0);
    machine_replace(b.m, l, a.index, 0);
    unsigned known = 0;
    for (uint16_t origin = 1; origin <= 2; origin++) {
        assert_true(machine_process(a.m, origin) == machine_process(b.m, origin));
        for (uint64_t number = 1; number <= a.number; number++) {
            uint64_t process = machine_process(a.m, origin);
            bool there = machine_look_up(a.m, origin, process, number, &was);
            assert_int_equal(machine_look_up(b.m, origin, process, number, &is), there);
            assert_true(!there || (was.outcome == is.outcome && was.revision == is.revision));
            known += there;
        }
    }
    assert_int_equal(known, 500);
    row_free(&r);
    world_free(&a);
    world_free(&b);
}

/* Of small objects, a window and a token: any bit changed, any byte missing. */
static void test_hostile(void **state)
{
    (void)state;
    struct world w = world_new();
    struct row r;
    put(&w, "a", "one");
    put(&w, "b", "");
    put(&w, "b", "");
    assert_true(machine_publish(w.m));
    take_row(&r, &w);
    assert_int_equal(r.n, 3);
    for (unsigned i = 0; i < r.n; i++) {
        for (size_t at = 0; at < r.chunks[i].len; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                r.chunks[i].bytes[at] ^= (uint8_t)(1U << bit);
                refuse(&r, -EBADMSG);
                r.chunks[i].bytes[at] ^= (uint8_t)(1U << bit);
            }
        size_t len = r.chunks[i].len;
        while (r.chunks[i].len-- > 0)
            refuse(&r, -EBADMSG);
        r.chunks[i].len = len;
    }
    refuse(&r, 0);
    row_free(&r);
    world_free(&w);
}

/* Objects that no state has, whatever the digest: they are refused at once. */
static void test_objects(void **state)
{
    (void)state;
    static const struct {
        const char *key, *next;
        uint64_t create, modify;
        uint16_t key_len, zero;
        uint32_t value_len;
        int rc;
    } cases[] = {
        {"a", "b", 1, 1, 1, 0, 0, 0},
        {"a", "ab", 1, 1, 1, 0, 0, 0},
        {"a", "a", 1, 1, 1, 0, 0, -EBADMSG},
        {"b", "a", 1, 1, 1, 0, 0, -EBADMSG},
        {"ab", "a", 1, 1, 2, 0, 0, -EBADMSG},
        {"a", "b", 0, 1, 1, 0, 0, -EBADMSG},
        {"a", "b", 2, 1, 1, 0, 0, -EBADMSG},
        {"a", "b", 1, 1, 0, 0, 0, -EBADMSG},
        {"a", "b", 1, 1, 1, 1, 0, -EBADMSG},
        {"a", "b", 1, 1, CMD_KEY_MAX_BYTES + 1, 0, 0, -EBADMSG},
        {"a", "b", 1, 1, 1, 0, CMD_VALUE_MAX_BYTES + 1, -EBADMSG},
        {"a", "b", 1, 1, 1, 0, UINT32_MAX, -EBADMSG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[2 * AT_KEY + 4] = {0};
        const char *keys[] = {cases[i].key, cases[i].next};
        struct image_load *l = image_load_new();
        size_t at = 0;
        assert_non_null(l);
        for (unsigned k = 0; k < 2; k++) {
            size_t len = strlen(keys[k]);
            put_u64(bytes + at, k == 0 ? cases[i].create : 1);
            put_u64(bytes + at + 8, k == 0 ? cases[i].modify : 1);
            put_u32(bytes + at + 32, k == 0 ? cases[i].value_len : 0);
            put_u16(bytes + at + 36, k == 0 ? cases[i].key_len : (uint16_t)len);
            put_u16(bytes + at + 38, k == 0 ? cases[i].zero : 0);
            memcpy(bytes + at + AT_KEY, keys[k], len);
            at += AT_KEY + len;
        }
        assert_int_equal(image_load_chunk(l, 2, bytes, at), cases[i].rc);
        image_load_free(l);
    }
}

/* Memory that is refused, anywhere: it can be tried again, and no image stays open. */
static void test_no_memory(void **state)
{
    (void)state;
    struct world w = world_new();
    struct row r;
    struct image_load *l;
    fill(&w, 50);
    take_row(&r, &w);
    unsigned refused = 0;
    for (int rc = -ENOMEM; rc != 0;) {
        refused_in = ++refused;
        rc = load(&r, &l);
        refused_in = 0;
        assert_true(rc == 0 || rc == -ENOMEM);
        image_load_free(l);
    }
    assert_true(refused > kv_count(w.kv));
    for (unsigned at = 1; at <= 2; at++) {
        refused_in = at;
        assert_null(machine_freeze(w.m));
        refused_in = 0;
    }
    struct image *image = machine_freeze(w.m);
    assert_non_null(image);
    machine_thaw(w.m, image);
    row_free(&r);
    world_free(&w);
}

static void test_what_is_none(void **state)
{
    (void)state;
    struct world w = world_new();
    struct row r;
    fill(&w, 20);
    take_row(&r, &w);
    r.digest[3] ^= 1;
    refuse(&r, -EBADMSG);
    r.digest[3] ^= 1;
    while (r.n > 1)
        free(r.chunks[--r.n].bytes);
    refuse(&r, -EBADMSG); /* no objects */
    r.n = 0;
    refuse(&r, -EBADMSG); /* nothing */
    r.n = 1;
    row_free(&r);
    static const uint8_t zeros[IMAGE_CHUNK_MAX_BYTES];
    for (size_t n = 0; n <= ORIGINS_BYTES_MAX; n += sizeof zeros)
        add_chunk(&r, 1, zeros, sizeof zeros);
    refuse(&r, -EBADMSG); /* more windows than there are */
    row_free(&r);
    take_row(&r, &w);
    uint16_t was = r.chunks[0].section;
    r.chunks[0].section = 7;
    refuse(&r, -ENOTSUP);
    r.chunks[0].section = 2;
    refuse(&r, -EBADMSG);
    r.chunks[0].section = was;
    add_chunk(&r, 1, "", 0);
    refuse(&r, -EBADMSG);
    r.chunks[r.n - 1].section = 7;
    refuse(&r, -ENOTSUP);
    r.chunks[r.n - 1].section = 7 | IMAGE_OPTIONAL;
    refuse(&r, 0);
    row_free(&r);
    world_free(&w);
}

/* Both halves of the state's digest follow each of its parts, and what is a key is no claim. */
static void test_digest_has_all(void **state)
{
    (void)state;
    const struct kv_content c = {
        .key = (const uint8_t *)"k", .key_len = 1, .create_revision = 1, .modify_revision = 1};
    const struct sender s = {.origin = 1, .process = 2, .number = 3};
    const struct cmd_token token = {"sixteen letters.", 3};
    struct state_parts parts = {kv_new(), kv_new(), origins_new(), outcomes_new()};
    uint8_t d[5][IMAGE_DIGEST_BYTES];
    image_digest_of(&parts, d[0]);
    assert_int_equal(kv_put(parts.keys, &c), KV_DONE);
    image_digest_of(&parts, d[1]);
    kv_clear(parts.keys);
    assert_int_equal(kv_put(parts.claims, &c), KV_DONE);
    image_digest_of(&parts, d[2]);
    assert_true(origins_keep(parts.origins, &s, (struct kept){4, 5}));
    image_digest_of(&parts, d[3]);
    assert_true(outcomes_keep(parts.outcomes, &token, (struct kept){4, 5}));
    image_digest_of(&parts, d[4]);
    for (unsigned i = 0; i < 5 * 5; i++)
        for (unsigned half = 0; half < 16 && i / 5 != i % 5; half += 8)
            assert_memory_not_equal(d[i / 5] + half, d[i % 5] + half, 8);
    kv_free(parts.keys);
    kv_free(parts.claims);
    origins_free(parts.origins);
    outcomes_free(parts.outcomes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_large),        cmocka_unit_test(test_stays),
        cmocka_unit_test(test_windows),      cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_objects),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_what_is_none), cmocka_unit_test(test_digest_has_all),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
