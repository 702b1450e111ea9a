// LINK: raftd/state/cmd.c
/* test_cmd.c: encode and decode are inverse; everything that is not exactly one command is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/state/cmd.h"

static uint8_t *exact_copy(const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1); /* so that ASan sees a read past the end */
    assert_non_null(copy);
    memcpy(copy, p, len);
    return copy;
}

static int decodes(const uint8_t *buf, size_t len)
{
    struct cmd c;
    uint8_t *copy = exact_copy(buf, len);
    int rc = cmd_decode(copy, len, &c);
    free(copy);
    return rc;
}

static const uint8_t number[8] = {9, 8, 7, 6, 5, 0, 0, 0};

static struct cmd_item item(uint8_t kind, const char *key, const void *value, uint32_t value_len)
{
    return (struct cmd_item){.kind = kind,
                             .key_len = (uint16_t)strlen(key),
                             .value_len = value_len,
                             .key = (const uint8_t *)key,
                             .value = value};
}

static struct cmd_item guard(uint8_t kind, uint8_t guards)
{
    struct cmd_item it = item(kind, "g", NULL, 0);
    it.guards = guards;
    return it;
}

static void same_item(const struct cmd_item *a, const struct cmd_item *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->guards, b->guards);
    assert_int_equal(a->key_len, b->key_len);
    assert_int_equal(a->value_len, b->value_len);
    assert_memory_equal(a->key, b->key, a->key_len);
    if (a->value_len > 0)
        assert_memory_equal(a->value, b->value, a->value_len);
}

/* Encodes the command, decodes it, and compares. */
static void round_trip(struct cmd c, const struct cmd_item *items)
{
    size_t size = cmd_size(&c, items);
    uint8_t *buf = malloc(size);
    assert_non_null(buf);
    assert_int_equal(cmd_encode(buf, &c, items), size);
    struct cmd d;
    assert_int_equal(cmd_decode(buf, size, &d), 0);
    assert_int_equal(d.flags, c.flags);
    assert_int_equal(d.conditions, c.conditions);
    assert_int_equal(d.operations, c.operations);
    assert_int_equal(d.origin, c.origin);
    assert_int_equal(d.limit, c.limit);
    assert_true(d.process == c.process && d.predecessor == c.predecessor && d.number == c.number);
    assert_true(memcmp(&d.token, &c.token, sizeof d.token) == 0);
    assert_true(d.connection == c.connection);
    const uint8_t *at = d.items;
    for (unsigned i = 0; i < (unsigned)c.conditions + c.operations; i++) {
        struct cmd_item it = cmd_next(&at);
        same_item(&it, &items[i]);
    }
    assert_ptr_equal(at, buf + size);
    free(buf);
}

static void test_all_kinds(void **state)
{
    (void)state;
    const struct cmd_item items[] = {
        item(CMD_IF_ABSENT, "a", NULL, 0),
        item(CMD_IF_PRESENT, "b", NULL, 0),
        item(CMD_IF_VALUE, "c", "v", 1),
        item(CMD_IF_VALUE, "c", "", 0),
        item(CMD_IF_REVISION, "d", number, 8),
        item(CMD_PUT, "e", "value", 5),
        item(CMD_DELETE, "f", NULL, 0),
        item(CMD_ADD, "g", number, 8),
        item(CMD_EXPIRE, "h", number, 8),
        item(CMD_READ, "i", NULL, 0),
        guard(CMD_IF_ABSENT, 3),
        guard(CMD_IF_PRESENT, 1),
        item(CMD_PUT_KEEP, "j", "value", 5),
        item(CMD_READ, "k", NULL, 0),
    };
    struct cmd c = {.conditions = 5,
                    .operations = 9,
                    .origin = 0x1234,
                    .limit = 0x0506,
                    .process = 0x1122334455667788,
                    .predecessor = 3,
                    .number = UINT64_MAX};
    round_trip(c, items);
    c.flags = CMD_HAS_TOKEN;
    c.token = (struct cmd_token){"sixteen letters.", 88};
    round_trip(c, items);
    c.flags = CMD_HAS_TOKEN | CMD_HAS_CONNECTION;
    c.connection = 99;
    round_trip(c, items);
    c.flags = CMD_HAS_CONNECTION;
    c.token = (struct cmd_token){{0}, 0};
    round_trip(c, items);
}

static void test_limits(void **state)
{
    (void)state;
    static struct cmd_item items[CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX];
    for (unsigned i = 0; i < CMD_CONDITIONS_MAX; i++)
        items[i] = item(CMD_IF_PRESENT, "k", NULL, 0);
    for (unsigned i = 0; i < CMD_OPERATIONS_MAX; i++)
        items[CMD_CONDITIONS_MAX + i] = item(CMD_READ, "k", NULL, 0);
    struct cmd c = {.conditions = CMD_CONDITIONS_MAX, .operations = CMD_OPERATIONS_MAX};
    round_trip(c, items);
    uint8_t buf[CMD_HEAD_BYTES + 300 * (CMD_ITEM_BYTES + 1)];
    size_t size = cmd_encode(buf, &c, items);
    buf[1]++; /* an operation more that is taken for a condition, and one condition too many */
    assert_int_equal(decodes(buf, size), -1);
    buf[1]--;
    memcpy(buf + size, buf + size - CMD_ITEM_BYTES - 1, CMD_ITEM_BYTES + 1);
    buf[2]++;
    assert_int_equal(decodes(buf, size + CMD_ITEM_BYTES + 1), -1);
    buf[2] = 0;
    assert_int_equal(decodes(buf, size - CMD_OPERATIONS_MAX * (CMD_ITEM_BYTES + 1)), -1);
}

/* The largest value, with what may stand beside it. */
static void test_large(void **state)
{
    (void)state;
    static uint8_t value[CMD_VALUE_MAX_BYTES];
    static uint8_t key[CMD_BESIDE_BYTES];
    struct cmd_item items[3] = {
        {CMD_IF_PRESENT, 0, CMD_KEY_MAX_BYTES, 0, key, NULL},
        {CMD_PUT, 0, CMD_KEY_MAX_BYTES, CMD_VALUE_MAX_BYTES, key, value},
        {CMD_DELETE, 0, CMD_KEY_MAX_BYTES, 0, key, NULL},
    };
    struct cmd c = {.conditions = 1, .operations = 2, .flags = CMD_FLAGS_KNOWN};
    round_trip(c, items);
    uint8_t *buf = calloc(1, CMD_MAX_BYTES + 2);
    assert_non_null(buf);
    size_t size = cmd_encode(buf, &c, items);
    put_u32(buf + CMD_HEAD_BYTES + 32 + CMD_ITEM_BYTES + CMD_KEY_MAX_BYTES + 4,
            CMD_VALUE_MAX_BYTES + 1);
    assert_int_equal(decodes(buf, size), -1);
    /* All of it has a limit too. */
    struct cmd_item two[2] = {items[1], item(CMD_PUT, "k", value, 0)};
    struct cmd d = {.operations = 2};
    two[1].value_len = CMD_MAX_BYTES - (uint32_t)cmd_size(&d, two);
    round_trip(d, two);
    size = cmd_encode(buf, &d, two);
    assert_int_equal(size, CMD_MAX_BYTES);
    put_u32(buf + CMD_ONE_BYTES + CMD_KEY_MAX_BYTES + CMD_VALUE_MAX_BYTES + 4,
            two[1].value_len + 1);
    assert_int_equal(decodes(buf, size + 1), -1);
    free(buf);
}

/* The layout is on disks and wires: it never changes. */
static void test_bytes(void **state)
{
    (void)state;
    const uint8_t want[] = {0,    0,    1,    0,    7,    0,    9,    1,    /* head */
                            0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* process */
                            5,    0,    0,    0,    0,    0,    0,    0,    /* predecessor */
                            6,    0,    0,    0,    0,    0,    0,    0,    /* number */
                            16,   0,    2,    0,    1,    0,    0,    0,    'a', 'b', 'c'};
    uint8_t buf[sizeof want];
    struct cmd_item put = item(CMD_PUT, "ab", "c", 1);
    assert_int_equal(cmd_encode_one(buf, &put), sizeof want);
    assert_int_equal(CMD_ONE_BYTES + 3, sizeof want);
    cmd_stamp(buf, 7, 0x1122334455667788, 6);
    cmd_stamp_predecessor(buf, 5);
    cmd_stamp_limit(buf, 0x0109);
    assert_memory_equal(buf, want, sizeof want);
}

/* A value that is filled in later. */
static void test_later(void **state)
{
    (void)state;
    uint8_t buf[CMD_ONE_BYTES + 4], want[sizeof buf];
    struct cmd_item put = item(CMD_PUT, "k", "abc", 3);
    assert_int_equal(cmd_encode_one(want, &put), sizeof want);
    put.value = NULL;
    assert_int_equal(cmd_encode_one(buf, &put), sizeof buf);
    memcpy(buf + CMD_ONE_BYTES + 1, "abc", 3);
    assert_memory_equal(buf, want, sizeof want);
}

static void test_truncation(void **state)
{
    (void)state;
    uint8_t buf[256];
    const struct cmd_item items[] = {item(CMD_IF_VALUE, "key", "was", 3),
                                     item(CMD_ADD, "counter", number, 8)};
    struct cmd c = {.flags = CMD_FLAGS_KNOWN, .conditions = 1, .operations = 1};
    size_t len = cmd_encode(buf, &c, items);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(decodes(buf, cut), -1);
    buf[len] = 0;
    assert_int_equal(decodes(buf, len + 1), -1);
}

static void test_refused(void **state)
{
    (void)state;
    enum { ITEM = CMD_HEAD_BYTES };
    static const struct {
        uint8_t kind, value_len;
        size_t at;
        uint8_t value;
    } bad[] = {
        {CMD_PUT, 8, 0, 4}, /* an unknown flag */
        {CMD_PUT, 8, 0, CMD_HAS_TOKEN},
        {CMD_PUT, 8, 1, 1},
        {CMD_PUT, 8, 2, 0},
        {CMD_PUT, 8, 2, 2},
        {CMD_PUT, 8, 3, 1},
        {CMD_PUT, 8, ITEM, 0},
        {CMD_PUT, 8, ITEM, CMD_IF_VALUE},
        {CMD_PUT, 8, ITEM, CMD_IF_REVISION + 1},
        {CMD_PUT, 8, ITEM, CMD_READ},
        {CMD_PUT, 8, ITEM, CMD_PUT_KEEP + 1},
        {CMD_PUT, 8, ITEM + 1, 1},
        {CMD_PUT, 8, ITEM + 2, 0},
        {CMD_PUT, 8, ITEM + 2, 4},
        {CMD_PUT, 8, ITEM + 3, 1},
        {CMD_PUT, 8, ITEM + 4, 7},
        {CMD_PUT, 8, ITEM + 4, 9},
        {CMD_PUT, 8, ITEM + 7, 255},
        {CMD_DELETE, 0, ITEM, CMD_ADD},
        {CMD_DELETE, 0, ITEM, CMD_EXPIRE},
        {CMD_ADD, 8, ITEM, CMD_DELETE},
        {CMD_EXPIRE, 8, CMD_ONE_BYTES + 3 + 6, 1}, /* 2^48 ms */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t buf[64];
        struct cmd_item one = item(bad[i].kind, "key", number, bad[i].value_len);
        size_t len = cmd_encode_one(buf, &one);
        assert_int_equal(decodes(buf, len), 0);
        buf[bad[i].at] = bad[i].value;
        assert_int_equal(decodes(buf, len), -1);
    }
    uint8_t key[CMD_KEY_MAX_BYTES + 1] = {0}, buf[CMD_ONE_BYTES + sizeof key];
    struct cmd_item longest = {CMD_DELETE, 0, CMD_KEY_MAX_BYTES, 0, key, NULL};
    assert_int_equal(decodes(buf, cmd_encode_one(buf, &longest)), 0);
    buf[CMD_ONE_BYTES + CMD_KEY_MAX_BYTES] = 0;
    put_u16(buf + ITEM + 2, CMD_KEY_MAX_BYTES + 1);
    assert_int_equal(decodes(buf, sizeof buf), -1);
}

/* A guard guards at least one operation, and none beyond the last. Nothing else guards. */
static void test_guards(void **state)
{
    (void)state;
    enum { ITEM = CMD_HEAD_BYTES, NEXT = CMD_ITEM_BYTES + 1 };
    const struct cmd_item items[] = {item(CMD_IF_ABSENT, "k", NULL, 0), guard(CMD_IF_ABSENT, 2),
                                     guard(CMD_IF_PRESENT, 1), item(CMD_DELETE, "k", NULL, 0)};
    struct cmd c = {.conditions = 1, .operations = 3};
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {
        {ITEM + 1, 1}, /* of a condition proper */
        {ITEM + NEXT + 1, 0},
        {ITEM + NEXT + 1, 3},
        {ITEM + 2 * NEXT + 1, 0},
        {ITEM + 2 * NEXT + 1, 2},
        {ITEM + 3 * NEXT + 1, 1}, /* of an operation */
        {ITEM + 3 * NEXT, CMD_IF_ABSENT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t buf[128];
        size_t len = cmd_encode(buf, &c, items);
        assert_int_equal(decodes(buf, len), 0);
        buf[bad[i].at] = bad[i].value;
        assert_int_equal(decodes(buf, len), -1);
    }
}

/* What must stand beside what, of the commands of holders. */
static void test_held(void **state)
{
    (void)state;
    static const uint8_t word[2 + CMD_WORD_MAX_BYTES] = {CMD_LOCK_TRIES}, wrong[] = {2};
    static const struct {
        struct cmd_item item;
        uint8_t flags, operations;
        uint64_t process;
        int rc;
    } rows[] = {
        {{CMD_LOCK, 0, 1, 1, number, word}, CMD_HAS_CONNECTION, 1, 7, 0},
        {{CMD_LOCK, 0, 1, 1 + CMD_WORD_MAX_BYTES, number, word}, CMD_HAS_CONNECTION, 1, 7, 0},
        {{CMD_LOCK, 0, 1, 2 + CMD_WORD_MAX_BYTES, number, word}, CMD_HAS_CONNECTION, 1, 7, -1},
        {{CMD_LOCK, 0, 1, 0, number, word}, CMD_HAS_CONNECTION, 1, 7, -1},
        {{CMD_LOCK, 0, 1, 1, number, wrong}, CMD_HAS_CONNECTION, 1, 7, -1},
        {{CMD_LOCK, 0, 1, 1, number, word}, 0, 1, 7, -1},
        {{CMD_LOCK, 0, 1, 1, number, word}, CMD_HAS_CONNECTION, 2, 7, -1},
        {{CMD_UNLOCK, 0, 1, 8, number, number}, CMD_HAS_CONNECTION, 1, 7, 0},
        {{CMD_UNLOCK, 0, 1, 7, number, number}, CMD_HAS_CONNECTION, 1, 7, -1},
        {{CMD_UNLOCK, 0, 1, 8, number, number}, 0, 1, 7, -1},
        {{CMD_UNLOCK, 0, 1, 8, number, number}, CMD_HAS_CONNECTION, 2, 7, -1},
        {{CMD_PUT_HELD, 0, 1, 8, number, number}, CMD_HAS_CONNECTION, 2, 7, 0},
        {{CMD_PUT_HELD, 0, 1, 8, number, number}, 0, 1, 7, -1},
        {{CMD_FREE_CONNECTION, 0, CMD_CONNECTION_BYTES, 0, number, NULL}, 0, 1, 7, 0},
        {{CMD_FREE_CONNECTION, 0, CMD_CONNECTION_BYTES, 0, number, NULL}, 0, 2, 7, -1},
        {{CMD_FREE_CONNECTION, 0, CMD_CONNECTION_BYTES, 1, number, number}, 0, 1, 7, -1},
        {{CMD_FREE_CONNECTION, 0, CMD_CONNECTION_BYTES - 1, 0, number, NULL}, 0, 1, 7, -1},
        {{CMD_FREE, 0, CMD_PROCESS_BYTES, 0, word, NULL}, 0, 1, 0, 0},
        {{CMD_FREE, 0, CMD_PROCESS_BYTES, 0, word, NULL},
         0,
         1,
         7,
         -1}, /* nobody's but a leader's */
        {{CMD_FREE, 0, CMD_PROCESS_BYTES, 0, word, NULL}, CMD_HAS_CONNECTION, 1, 0, -1},
        {{CMD_FREE, 0, CMD_PROCESS_BYTES, 0, word, NULL}, 0, 2, 0, -1},
        {{CMD_FREE, 0, CMD_PROCESS_BYTES + 1, 0, word, NULL}, 0, 1, 0, -1},
        {{CMD_FREE, 0, CMD_PROCESS_BYTES, 1, word, word}, 0, 1, 0, -1},
        {{CMD_IF_HELD, 1, 1, 8, number, number}, 0, 2, 7, 0},
        {{CMD_IF_HELD, 1, 1, 7, number, number}, 0, 2, 7, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t buf[1024] = {0}, *p = buf + CMD_HEAD_BYTES;
        const struct cmd_item *it = &rows[i].item;
        buf[0] = rows[i].flags;
        buf[2] = rows[i].operations;
        put_u64(buf + 8, rows[i].process);
        p += (rows[i].flags & CMD_HAS_CONNECTION) != 0 ? 8 : 0;
        *p = it->kind;
        p[1] = it->guards;
        put_u16(p + 2, it->key_len);
        put_u32(p + 4, it->value_len);
        memcpy(p + CMD_ITEM_BYTES, it->key, it->key_len);
        p += CMD_ITEM_BYTES + it->key_len;
        if (it->value_len > 0)
            memcpy(p, it->value, it->value_len);
        p += it->value_len;
        if (rows[i].operations == 2) { /* and a read */
            *p = CMD_READ;
            p[2] = 1;
            p += CMD_ITEM_BYTES + 1;
        }
        if (decodes(buf, (size_t)(p - buf)) != rows[i].rc)
            fail_msg("row %zu", i + 1);
    }
}

/* A leader's housekeeping: alone, without a key, and of nobody. */
static void test_housekeeping(void **state)
{
    (void)state;
    static const uint8_t zeros_at[] = {
        0, 1, 4, 8, 16, 24, 31, CMD_HEAD_BYTES + 1, CMD_HEAD_BYTES + 2, CMD_HEAD_BYTES + 4};
    struct cmd_item end[] = {{.kind = CMD_END_DUE}, {.kind = CMD_END_DUE}};
    struct cmd c = {.operations = 1}, d;
    uint8_t buf[CMD_ONE_BYTES + 2 * CMD_ITEM_BYTES];
    round_trip(c, end);
    size_t len = cmd_encode(buf, &c, end);
    assert_int_equal(len, CMD_ONE_BYTES);
    assert_true(cmd_decode(buf, len, &d) == 0 && cmd_is_housekeeping(&d));
    cmd_stamp_limit(buf, 7);
    assert_int_equal(decodes(buf, len), 0);
    for (unsigned i = 0; i < sizeof zeros_at; i++) {
        buf[zeros_at[i]] = 1;
        assert_int_equal(decodes(buf, len), -1);
        buf[zeros_at[i]] = 0;
    }
    memcpy(buf + len, buf + CMD_HEAD_BYTES, CMD_ITEM_BYTES);
    buf[2] = 2;
    assert_int_equal(decodes(buf, len + CMD_ITEM_BYTES), -1);
    struct cmd_item put = item(CMD_PUT, "a", "", 0);
    (void)cmd_encode_one(buf, &put);
    assert_true(cmd_decode(buf, CMD_ONE_BYTES + 1, &d) == 0 && !cmd_is_housekeeping(&d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_later),     cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_guards),
        cmocka_unit_test(test_held),      cmocka_unit_test(test_housekeeping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
