// LINK: raftd/state/cmd.c
/* test_cmd.c: encode and decode are inverse; everything that is not exactly one command is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/cmd.h"

static uint8_t *exact_copy(const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1); /* so that ASan sees a read past the end */
    assert_non_null(copy);
    memcpy(copy, p, len);
    return copy;
}

static void round_trip(uint8_t op, uint16_t key_len, uint32_t value_len)
{
    uint8_t key[CMD_KEY_MAX_BYTES];
    memset(key, 'k', sizeof(key));
    uint8_t *value = calloc(1, value_len + 1);
    uint8_t *buf = malloc((size_t)CMD_HEAD_BYTES + key_len + value_len);
    assert_true(value && buf);
    struct cmd c = {.op = op,
                    .origin = 0x1234,
                    .limit = 0x0506,
                    .request = 0x1122334455667788,
                    .key = key,
                    .value = value,
                    .key_len = key_len,
                    .value_len = value_len};
    size_t len = cmd_encode(buf, &c);
    assert_int_equal(len, CMD_HEAD_BYTES + key_len + value_len);
    struct cmd d;
    assert_int_equal(cmd_decode(buf, len, &d), 0);
    assert_int_equal(d.op, op);
    assert_int_equal(d.origin, 0x1234);
    assert_int_equal(d.limit, 0x0506);
    assert_true(d.request == 0x1122334455667788);
    assert_int_equal(d.key_len, key_len);
    assert_int_equal(d.value_len, value_len);
    assert_memory_equal(d.key, key, key_len);
    if (op == CMD_DELETE)
        assert_null(d.value);
    else
        assert_memory_equal(d.value, value, value_len);
    free(buf);
    free(value);
}

static void test_round_trip(void **state)
{
    (void)state;
    round_trip(CMD_PUT, 1, 0);
    round_trip(CMD_PUT, 1, 1);
    round_trip(CMD_PUT, CMD_KEY_MAX_BYTES, 1000);
    round_trip(CMD_PUT, CMD_KEY_MAX_BYTES, CMD_VALUE_MAX_BYTES);
    round_trip(CMD_DELETE, 1, 0);
    round_trip(CMD_DELETE, CMD_KEY_MAX_BYTES, 0);
}

/* The layout is on disks and wires: it never changes. */
static void test_bytes(void **state)
{
    (void)state;
    const uint8_t want[] = {1,    0,    2,    0,    7,    0,    9,   1,   0x88, 0x77,
                            0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 'a', 'b', 'c'};
    uint8_t buf[sizeof(want)];
    struct cmd c = {.op = CMD_PUT,
                    .key = (const uint8_t *)"ab",
                    .key_len = 2,
                    .value = (const uint8_t *)"c",
                    .value_len = 1};
    assert_int_equal(cmd_encode(buf, &c), sizeof(want));
    cmd_stamp(buf, 7, 0x1122334455667788);
    cmd_stamp_limit(buf, 0x0109);
    assert_memory_equal(buf, want, sizeof(want));
}

static void test_truncation(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct cmd d, c = {.op = CMD_DELETE, .key = (const uint8_t *)"0123456789", .key_len = 10};
    size_t len = cmd_encode(buf, &c);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = exact_copy(buf, cut);
        assert_int_equal(cmd_decode(copy, cut, &d), -1);
        free(copy);
    }
    buf[len] = 0; /* a delete with a value */
    assert_int_equal(cmd_decode(buf, len + 1, &d), -1);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 0}, {0, 3}, {0, 255}, {1, 1}, {2, 0}, {2, 5}, {3, 2}};
    uint8_t buf[64];
    struct cmd d, c = {.op = CMD_PUT, .key = (const uint8_t *)"key", .key_len = 3};
    size_t len = cmd_encode(buf, &c);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t *copy = exact_copy(buf, len);
        copy[bad[i].at] = bad[i].value;
        assert_int_equal(cmd_decode(copy, len, &d), -1);
        free(copy);
    }
    uint8_t *huge = calloc(1, CMD_MAX_BYTES + 1);
    assert_non_null(huge);
    memcpy(huge, buf, len);
    assert_int_equal(cmd_decode(huge, CMD_MAX_BYTES + 1, &d), -1);
    assert_int_equal(cmd_decode(huge, CMD_MAX_BYTES, &d), -1); /* value over the limit */
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
