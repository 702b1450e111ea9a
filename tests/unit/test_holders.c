// LINK: @state @rcu_alone -Wl,--wrap=malloc
/* test_holders.c: a lock has one holder, its queue keeps its order, and what ends with a holder is found. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"

enum { CONNECTIONS = 6, NAMES = 4, STEPS = 4000 };

static unsigned refused_in; /* the so many'th allocation from now is refused; 0 = none */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return refused_in > 0 && --refused_in == 0 ? NULL : __real_malloc(size);
}

static const uint8_t *bytes(const char *s)
{
    return (const uint8_t *)s;
}

/* Connections of a table: letter a, b, c are those of process 7 of node 1, A, B, C of process 8 of node 2. */
static struct holder holder(char letter)
{
    bool second = letter < 'a';
    return (struct holder){.origin = second ? 2 : 1,
                           .process = second ? 8 : 7,
                           .connection = (uint64_t)(letter - (second ? 'A' : 'a')) + 1};
}

static char letter(const struct holder *h)
{
    return (char)((h->origin == 2 ? 'A' : 'a') + (int)h->connection - 1);
}

static bool same_holder(const struct holder *a, const struct holder *b)
{
    return a->origin == b->origin && a->process == b->process && a->connection == b->connection;
}

static enum outcome take(struct kv *k, char who, const char *name, bool tries, uint64_t index,
                         uint64_t *number)
{
    enum outcome outcome = 0;
    const struct lock_wish w = {.holder = holder(who),
                                .name = bytes(name),
                                .name_len = (uint16_t)strlen(name),
                                .word = bytes("word"),
                                .word_len = (uint32_t)(who % 5),
                                .tries = tries};
    assert_true(holders_take(k, &w, index, &outcome, number));
    return outcome;
}

static enum outcome give(struct kv *k, char who, const char *name, uint64_t fence, uint64_t index)
{
    enum outcome outcome = 0;
    const struct holder h = holder(who);
    assert_true(holders_give(k, &h, bytes(name), strlen(name), fence, index, &outcome));
    return outcome;
}

/* The queue for a lock as letters; checks every claim in it. */
static void queue_of(const struct kv *k, const char *name, char out[CONNECTIONS + 1])
{
    struct kv_view v = kv_draft(k);
    unsigned n = 0;
    for (const char *p = "abcABC"; *p != '\0'; p++) {
        const struct holder h = holder(*p);
        struct claim c;
        unsigned before;
        if (!holders_place(&v, &h, bytes(name), strlen(name), &c, &before))
            continue;
        assert_true(before < CONNECTIONS && same_holder(&c.holder, &h));
        assert_true(c.kind == CLAIM_LOCK && c.name_len == strlen(name) &&
                    memcmp(c.name, name, c.name_len) == 0);
        assert_true(c.word_len == (uint32_t)(*p % 5) && memcmp(c.word, "word", c.word_len) == 0);
        assert_true(before == 0 ? c.fence >= c.place : c.fence == c.place);
        out[before] = *p;
        n++;
    }
    out[n] = '\0';
    assert_int_equal(strlen(out), n); /* no place is empty */
    assert_int_equal(holders_queue(&v, bytes(name), strlen(name)), n);
    struct claim first;
    assert_int_equal(holders_lock(&v, bytes(name), strlen(name), &first), n > 0);
    if (n > 0)
        assert_int_equal(letter(&first.holder), out[0]);
}

static uint64_t fence_of(const struct kv *k, const char *name)
{
    struct kv_view v = kv_draft(k);
    struct claim c;
    return holders_lock(&v, bytes(name), strlen(name), &c) ? c.fence : 0;
}

/* Ends all that a connection has, as a command does. */
static void free_connection(struct kv *k, char who, uint64_t index)
{
    const struct holder h = holder(who);
    struct claim c;
    struct kv_view v = kv_draft(k);
    for (; holders_of_connection(&v, &h, &c); v = kv_draft(k))
        assert_true(holders_end(k, &c, index));
}

/* ---- tests ---- */

struct row {
    char who;
    char what; /* t take, y try, g give, e end of the connection */
    const char *name;
    uint64_t fence;       /* of g */
    enum outcome outcome; /* of t, y, g */
    uint64_t number;      /* of t, y */
    const char *queue;    /* of the lock then */
    uint64_t holds;       /* the first one's fence; 0: nobody holds it */
};

/* Each row is one entry, whose index is its place from 1 on. */
static const struct row rows[] = {
    {'a', 't', "x", 0, MACHINE_DONE, 1, "a", 1},
    {'a', 't', "x", 0, MACHINE_DONE, 1, "a",
     1}, /* again: nothing changes, it is told where it stands */
    {'b', 'y', "x", 0, MACHINE_TAKEN, 1, "a", 1},
    {'B', 't', "x", 0, MACHINE_WAITS, 1, "aB", 1},
    {'b', 't', "x", 0, MACHINE_WAITS, 2, "aBb", 1},
    {'c', 't', "x", 0, MACHINE_WAITS, 3, "aBbc", 1},
    {'b', 't', "x", 0, MACHINE_WAITS, 2, "aBbc", 1},
    {'b', 'y', "x", 0, MACHINE_WAITS, 2, "aBbc", 1}, /* it has a place already */
    {'a', 'g', "x", 2, MACHINE_NOT_HELD, 0, "aBbc", 1},
    {'B', 'g', "x", 1, MACHINE_NOT_HELD, 0, "aBbc", 1}, /* the fence is another's */
    {'B', 'g', "x", 4, MACHINE_NOT_HELD, 0, "aBbc", 1}, /* that is its place, and no fence */
    {'A', 'g', "x", 0, MACHINE_NOT_HELD, 0, "aBbc", 1},
    {'b', 'g', "x", 0, MACHINE_DONE, 0, "aBc", 1},  /* leaves the queue */
    {'a', 'g', "x", 1, MACHINE_DONE, 0, "Bc", 14},  /* the next one has it by this entry */
    {'B', 't', "x", 0, MACHINE_DONE, 14, "Bc", 14}, /* it learns its fence */
    {'a', 't', "x", 0, MACHINE_WAITS, 2, "Bca", 14},
    {'B', 'e', NULL, 0, 0, 0, "ca", 17},
    {'a', 'e', NULL, 0, 0, 0, "c", 17}, /* of who waits: nobody gets anything by that */
    {'c', 'g', "x", 17, MACHINE_DONE, 0, "", 0},
    {'A', 'y', "x", 0, MACHINE_DONE, 20, "A", 20},
    {'A', 'g', "x", 0, MACHINE_DONE, 0, "", 0}, /* also without knowing the fence */
    /* No name is the beginning of another one. */
    {'a', 't', "x", 0, MACHINE_DONE, 22, "a", 22},
    {'b', 't', "xx", 0, MACHINE_DONE, 23, "a", 22},
    {'b', 'e', NULL, 0, 0, 0, "a", 22},
};

static void test_rules(void **state)
{
    (void)state;
    struct kv *k = kv_new();
    assert_non_null(k);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        uint64_t index = i + 1, number = 0;
        char queue[CONNECTIONS + 1];
        if (r->what == 'e')
            free_connection(k, r->who, index);
        else if (r->what == 'g')
            assert_int_equal(give(k, r->who, r->name, r->fence, index), r->outcome);
        else
            assert_int_equal(take(k, r->who, r->name, r->what == 'y', index, &number), r->outcome);
        queue_of(k, "x", queue);
        if (number != r->number || strcmp(queue, r->queue) != 0 || fence_of(k, "x") != r->holds)
            fail_msg("row %u: number %d, queue %s, fence %d", i + 1, (int)number, queue,
                     (int)fence_of(k, "x"));
        assert_true(kv_publish(k, index, 0));
    }
    kv_free(k);
}

/* The queues as they should be. */
struct model {
    char queue[NAMES][CONNECTIONS + 1];
    uint64_t fence[NAMES];
};

static void model_leave(struct model *m, unsigned name, char who, uint64_t index)
{
    char *p = strchr(m->queue[name], who);
    if (p == NULL)
        return;
    if (p == m->queue[name])
        m->fence[name] = index;
    memmove(p, p + 1, strlen(p));
}

static void compare(const struct kv *k, const struct model *m, const char names[NAMES][4])
{
    unsigned claims = 0;
    for (unsigned i = 0; i < NAMES; i++) {
        char queue[CONNECTIONS + 1];
        queue_of(k, names[i], queue);
        assert_string_equal(queue, m->queue[i]);
        assert_true(fence_of(k, names[i]) == (queue[0] == '\0' ? 0 : m->fence[i]));
        claims += (unsigned)strlen(queue);
    }
    assert_true(kv_count(k) == 2 * (uint64_t)claims); /* nothing is left behind */
    unsigned have[3] = {0}, listed = 0;
    for (unsigned i = 0; i < NAMES; i++)
        for (const char *p = m->queue[i]; *p != '\0'; p++)
            have[*p < 'a' ? 2 : 1]++;
    struct kv_view v = kv_draft(k);
    struct holder at = {0};
    while (holders_next_process(&v, &at.origin, &at.process)) {
        assert_true(have[at.origin] > 0 && at.process == at.origin + 6U);
        listed++;
    }
    assert_int_equal(listed, (have[1] > 0) + (have[2] > 0));
    struct holder c = {.origin = 1, .process = 7};
    while (holders_next_connection(&v, &c)) {
        bool has = false;
        for (unsigned i = 0; i < NAMES; i++)
            has |= strchr(m->queue[i], letter(&c)) != NULL;
        assert_true(has && c.origin == 1 && c.process == 7);
    }
}

/* The objects of an image make the same claims again. */
static void reload(const struct kv *k)
{
    struct kv_view v = kv_draft(k);
    struct kv *again = kv_new();
    struct kv_cursor cursor;
    const struct kv_range all = {0};
    assert_non_null(again);
    for (const struct kv_object *o = kv_first(&v, &all, &cursor); o != NULL; o = kv_next(&cursor)) {
        if (!holders_in_image(kv_key(o), o->key_len))
            continue;
        const struct kv_content content = {.key = kv_key(o),
                                           .key_len = o->key_len,
                                           .value = kv_value(o),
                                           .value_len = o->value_len,
                                           .create_revision = o->create_revision,
                                           .modify_revision = o->modify_revision};
        struct claim c;
        assert_int_equal(holders_load(again, &content, &c), 0);
        assert_int_equal(holders_load(again, &content, &c), -EBADMSG); /* a place once more */
    }
    struct kv_view w = kv_draft(again);
    assert_memory_equal(v.digest, w.digest, sizeof v.digest);
    assert_true(v.count == w.count && v.bytes == w.bytes);
    kv_free(again);
}

static void test_against_a_model(void **state)
{
    (void)state;
    static const char names[NAMES][4] = {"a", "aa", "b", "\x01\x02"};
    struct kv *k = kv_new();
    struct model m = {0};
    uint64_t rng = 5;
    for (uint64_t index = 1; index <= STEPS; index++) {
        rng = rng * 6364136223846793005U + 1442695040888963407U;
        unsigned name = (unsigned)(rng >> 40) % NAMES, what = (unsigned)(rng >> 50) % 8;
        char who = "abcABC"[(rng >> 33) % CONNECTIONS], *queue = m.queue[name];
        size_t n = strlen(queue);
        char *place = strchr(queue, who);
        uint64_t number;
        if (what < 4) {
            bool tries = what == 0, refused = tries && n > 0 && place == NULL;
            enum outcome o = take(k, who, names[name], tries, index, &number);
            if (place == NULL && !refused) {
                queue[n] = who;
                queue[n + 1] = '\0';
                place = queue + n;
                m.fence[name] = n == 0 ? index : m.fence[name];
            }
            assert_int_equal(o, refused          ? MACHINE_TAKEN
                                : place == queue ? MACHINE_DONE
                                                 : MACHINE_WAITS);
            if (!refused)
                assert_true(number == (place == queue ? m.fence[name] : (uint64_t)(place - queue)));
        } else if (what < 7) {
            uint64_t fence = what == 4 ? 0 : m.fence[name];
            bool has = place != NULL && (fence == 0 || place == queue);
            assert_int_equal(give(k, who, names[name], fence, index),
                             has ? MACHINE_DONE : MACHINE_NOT_HELD);
            if (has)
                model_leave(&m, name, who, index);
        } else {
            free_connection(k, who, index);
            for (unsigned i = 0; i < NAMES; i++)
                model_leave(&m, i, who, index);
        }
        compare(k, &m, names);
        if (index % 64 == 0)
            reload(k);
        assert_true(index % 3 != 0 || kv_publish(k, index, 0));
    }
    kv_free(k);
}

static void test_keys(void **state)
{
    (void)state;
    struct kv *k = kv_new();
    const struct holder a = holder('a'), b = holder('b');
    struct claim c;
    assert_true(holders_keep_key(k, &a, bytes("k"), 1, 3));
    assert_true(holders_keep_key(k, &a, bytes("kk"), 2, 4));
    reload(k);
    struct kv_view v = kv_draft(k);
    assert_true(holders_of_connection(&v, &a, &c));
    assert_true(c.kind == CLAIM_KEY && c.name_len == 1 && c.name[0] == 'k' && c.place == 3);
    assert_false(holders_lock(&v, bytes("k"), 1, &c)); /* a lock of that name is another thing */
    assert_true(holders_drop_key(k, bytes("k"), 1));
    assert_true(holders_keep_key(k, &b, bytes("k"), 1, 5)); /* it goes with another one now */
    v = kv_draft(k);
    assert_true(holders_of_process(&v, 1, 7, &c) && c.place == 4);
    assert_true(holders_end(k, &c, 6));
    v = kv_draft(k);
    assert_false(holders_of_connection(&v, &a, &c));
    assert_true(holders_of_connection(&v, &b, &c) && c.place == 5);
    assert_false(holders_of_process(&v, 1, 8, &c));
    assert_false(holders_of_process(&v, 2, 7, &c));
    kv_free(k);
}

static void test_limits(void **state)
{
    (void)state;
    struct kv *k = kv_new();
    char name[257];
    uint64_t number, index = 0;
    struct lock_wish w = {.name = bytes("x"), .name_len = 1};
    enum outcome o = 0;
    for (uint64_t i = 0; i <= HOLDERS_WAITERS_MAX; i++) {
        w.holder = (struct holder){1, 7, 1 + i};
        assert_true(holders_take(k, &w, ++index, &o, &number));
        assert_int_equal(o, i == 0 ? MACHINE_DONE : MACHINE_WAITS);
    }
    w.holder.connection++;
    uint64_t count = kv_count(k);
    assert_true(holders_take(k, &w, ++index, &o, &number));
    assert_true(o == MACHINE_LOCKS_FULL && kv_count(k) == count);
    memset(name, 'n', 256);
    name[256] = '\0';
    for (o = MACHINE_DONE; o == MACHINE_DONE;) {
        (void)snprintf(name, sizeof name, "%0256d", (int)++index);
        o = take(k, 'a', name, false, index, &number);
    }
    assert_int_equal(o, MACHINE_LOCKS_FULL);
    assert_true(kv_bytes(k) <= HOLDERS_MAX_BYTES && kv_bytes(k) > HOLDERS_MAX_BYTES - 1024);
    assert_false(holders_have_room(k, 1));
    free_connection(k, 'a', ++index);
    assert_true(holders_have_room(k, 1000));
    kv_free(k);
}

/* One byte of an object that an image may not have, and what of it. */
static void test_no_claim(void **state)
{
    (void)state;
    static const struct {
        const char *row, *value;
        size_t row_len, value_len;
        uint64_t create, modify, expiry_ms, holder;
        int rc;
    } objects[] = {
#define H      "\0\1\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\1"
#define ROW(s) s
        {ROW("\1\0\1x\0\0\0\0\0\0\0\5"), H, 12, 18, 5, 5, 0, 0, 0},
        {ROW("\1\0\1x\0\0\0\0\0\0\0\6"), H, 12, 18, 6, 6, 0, 0, -EBADMSG}, /* has a place already */
        {ROW("\1\0\1x\0\0\0\0\0\0\0\6"), "\0\2" H, 12, 18, 6, 7, 0, 0,
         -EBADMSG},                                                        /* waits with a fence */
        {ROW("\1\0\1y\0\0\0\0\0\0\0\5"), H, 12, 18, 4, 5, 0, 0, -EBADMSG}, /* another place */
        {ROW("\1\0\1y\0\0\0\0\0\0\0\5"), H, 12, 18, 5, 5, 1, 0, -EBADMSG}, /* expires */
        {ROW("\1\0\1y\0\0\0\0\0\0\0\5"), H, 12, 18, 5, 5, 0, 1, -EBADMSG}, /* has a holder */
        {ROW("\1\0\1y\0\0\0\0\0\0\0\5"), H, 12, 17, 5, 5, 0, 0, -EBADMSG},
        {ROW("\1\0\1y\0\0\0\0\0\0\0\5"), "\0\0" H, 12, 18, 5, 5, 0, 0, -EBADMSG}, /* of node 0 */
        {ROW("\1\0\2y\0\0\0\0\0\0\0\5"), H, 12, 18, 5, 5, 0, 0, -EBADMSG},
        {ROW("\1\0\0\0\0\0\0\0\0\0\5"), H, 11, 18, 5, 5, 0, 0, -EBADMSG}, /* no name */
        {ROW("\1\0"), H, 2, 18, 5, 5, 0, 0, -EBADMSG},
        {ROW("\2\0\1k"), H, 4, 18, 5, 5, 0, 0, 0},
        {ROW("\2\0\1l"), H, 4, 18, 5, 6, 0, 0, -EBADMSG},
        {ROW("\2\0\1l"), H "w", 4, 19, 5, 5, 0, 0, -EBADMSG},
        {ROW("\2\0\1lm"), H, 5, 18, 5, 5, 0, 0, -EBADMSG},
        {ROW("\3\0\1l"), H, 4, 18, 5, 5, 0, 0, -EBADMSG},
        {ROW("\1\0\1z\0\0\0\0\0\0\0\5"), H, 12, 18, 5, 9, 0, 0, 0},
#undef ROW
#undef H
    };
    struct kv *k = kv_new();
    for (unsigned i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        struct claim c;
        const struct kv_content o = {.key = bytes(objects[i].row),
                                     .key_len = (uint16_t)objects[i].row_len,
                                     .value = bytes(objects[i].value),
                                     .value_len = (uint32_t)objects[i].value_len,
                                     .create_revision = objects[i].create,
                                     .modify_revision = objects[i].modify,
                                     .expiry_ms = objects[i].expiry_ms,
                                     .holder = objects[i].holder};
        int rc = holders_load(k, &o, &c);
        if (rc != objects[i].rc)
            fail_msg("object %u: %d", i + 1, rc);
    }
    assert_true(fence_of(k, "z") == 9);
    kv_free(k);
}

/* Memory is refused at each place in turn: nothing else happens than that it is said. */
static void test_no_memory(void **state)
{
    (void)state;
    for (unsigned in = 1, done = 0; !done; in++) {
        struct kv *k = kv_new();
        struct claim c;
        uint64_t number;
        (void)take(k, 'a', "x", false, 1, &number);
        (void)take(k, 'b', "x", false, 2, &number);
        assert_true(kv_publish(k, 2, 0));
        struct kv_view v = kv_draft(k);
        const struct holder a = holder('a');
        assert_true(holders_of_connection(&v, &a, &c));
        refused_in = in;
        done = holders_end(k, &c, 3) && holders_keep_key(k, &a, bytes("k"), 1, 3) &&
               holders_drop_key(k, bytes("k"), 1);
        assert_true(done || in < 20);
        assert_int_equal(done, refused_in != 0);
        refused_in = 0;
        kv_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),    cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_keys),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_claim), cmocka_unit_test(test_no_memory),
    };
    rcu_thread_begin();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return rc;
}
