// LINK: raftd/tool/import.c raftd/tool/print.c raftd/tool/stdio.c raftd/tool/client.c raftd/base/json.c raftd/base/num.c tests/lib/say_heard.c -lhiredis
/* test_raftctl_import.c: what an export prints comes back byte for byte; other lines are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/raftctl.h"
#include "tests/lib/say_heard.h"

enum { CALLS_MAX = 4 };

/* The daemon: what it was asked to put. */
static unsigned calls, fail_at;
static char put_keys[CALLS_MAX][8];
static long long put_ms;

int write_try(const struct tool *t, const struct ctl_words *command, redisReply **a)
{
    (void)t;
    assert_true(calls < CALLS_MAX && (command->n == 3 || command->n == 5));
    if (command->n == 5) {
        assert_memory_equal(command->at[3], "PX", 2);
        put_ms = strtoll(command->at[4], NULL, 10);
    }
    assert_memory_equal(command->at[0], "SET", 3);
    memcpy(put_keys[calls++], command->at[1], command->len[1]);
    *a = NULL;
    return calls == fail_at ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_OK;
}

static jmp_buf ended; /* with code 1 + the exit code */

_Noreturn void tool_end(struct tool *t, int code)
{
    (void)t;
    longjmp(ended, 1 + code);
}

void say_fatal(int code, const char *fmt, ...)
{
    (void)code;
    (void)fmt;
    abort();
}

/* A copy, so that ASan sees a read past the end. */
static bool line_is(const char *line, size_t len, const void *key, size_t key_len,
                    const void *value, size_t value_len, int64_t ttl_ms)
{
    struct item item;
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, line, len);
    bool ok = import_line(copy, len, &item);
    if (ok) {
        assert_int_equal(item.key_len, key_len);
        assert_memory_equal(item.key, key, key_len);
        assert_int_equal(item.value_len, value_len);
        assert_memory_equal(item.value, value, value_len);
        assert_true(ttl_ms == item.ttl_ms);
    }
    free(copy);
    return ok;
}

static void round_trip(const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    const struct item item = {.key = key,
                              .value = value,
                              .key_len = key_len,
                              .value_len = value_len,
                              .create_revision = 3,
                              .modify_revision = 4,
                              .ttl_ms = (int64_t)value_len % 3 - 1};
    print_item_json(out, &item);
    assert_int_equal(fclose(out), 0);
    assert_null(memchr(text, '\n', size));
    assert_true(line_is(text, size, key, key_len, value, value_len, item.ttl_ms));
    free(text);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[3000], large[CMD_VALUE_MAX_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t len = 0; len < 600; len++) {
        round_trip(bytes + len, 1 + len % CMD_KEY_MAX_BYTES, bytes + 2 * len, len);
        uint8_t text[600]; /* ASCII, with all control characters */
        for (size_t i = 0; i < len; i++)
            text[i] = (uint8_t)((i + len) % 128);
        round_trip((const uint8_t *)"\x01\"\\", 3, text, len);
    }
    round_trip((const uint8_t *)"\xc3\xa9", 2, (const uint8_t *)"\xf0\x9f\x98\x80", 4);
    round_trip((const uint8_t *)"k", 1, large, sizeof large);
}

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *key, *value; /* key NULL: it is refused */
    } cases[] = {
        {"{\"key\":\"a\",\"value\":\"b\"}", "a", "b"},
        {" { \"value\" : \"\" , \"key\" : \"a\" } \r", "a", ""},
        {"{\"key_base64\":\"YQ==\",\"value_base64\":\"YmNk\"}", "a", "bcd"},
        {"{\"x\":1e-5,\"key\":\"a\",\"y\":null,\"value\":\"b\",\"z\":\"q\"}", "a", "b"},
        {"{\"key\":\"\\u0061\\n\\/\",\"value\":\"\\u00e9\\u20AC\\ud83d\\ude00\"}", "a\n/",
         "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"", NULL, NULL},
        {"{}", NULL, NULL},
        {"[]", NULL, NULL},
        {"{\"key\":\"a\"}", NULL, NULL},
        {"{\"value\":\"a\"}", NULL, NULL},
        {"{\"key\":\"\",\"value\":\"b\"}", NULL, NULL},
        {"{\"key\":1,\"value\":\"b\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"b\"", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"b}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"b\",}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"b\"}x", NULL, NULL},
        {"{\"key\":\"a\" \"value\":\"b\"}", NULL, NULL},
        {"{\"key\":\"a\",\"key\":\"a\",\"value\":\"b\"}", NULL, NULL},
        {"{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"b\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":{\"b\":1}}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"\\x61\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"\\u12\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"\\ud83d\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"\\ud83d\\u0061\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"\\ude00\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"\t\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value_base64\":\"YQ=\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value_base64\":\"Y===\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value_base64\":\"Y-==\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value_base64\":\"Y=Q=\"}", NULL, NULL},
        {"{\"ke\":\"a\",\"value\":\"b\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"b\",\"ttl_ms\":\"-1\"}", NULL, NULL},
        {"{\"key\":\"a\",\"value\":\"b\",\"ttl_ms\":\"soon\"}", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *key = cases[i].key, *value = cases[i].value;
        size_t len = strlen(cases[i].line);
        if (line_is(cases[i].line, len, key, key ? strlen(key) : 0, value,
                    value ? strlen(value) : 0, -1) != (key != NULL))
            fail_msg("%s", cases[i].line);
        const char *end = strrchr(cases[i].line, '}');
        for (size_t cut = 0; key != NULL && cut < (size_t)(end - cases[i].line); cut++)
            assert_false(line_is(cases[i].line, cut, NULL, 0, NULL, 0, -1));
    }
}

/* What import does with that standard input: its exit code. */
static int import(const char *input)
{
    struct tool t = {.out = {.file = stdout}};
    struct args a = {0};
    int fds[2];
    calls = 0;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(write(fds[1], input, strlen(input)), (int)strlen(input));
    assert_int_equal(close(fds[1]), 0);
    int code = setjmp(ended);
    if (code == 0)
        run_import(&t, &a);
    return code - 1;
}

#define LINE(k) "{\"key\":\"" k "\",\"value\":\"v\"}"

static void test_import(void **state)
{
    (void)state;
    assert_int_equal(import(LINE("a") "\n" LINE("b") "\n" LINE("c")), RAFTCTL_EXIT_OK);
    assert_int_equal(calls, 3);
    assert_string_equal(put_keys[2], "c");
    heard_forget();
    assert_int_equal(import(LINE("a") "\n\n" LINE("c") "\n"), RAFTCTL_EXIT_USAGE);
    assert_int_equal(calls, 1);
    heard_is(2, 0, 0, "stopped at line 2");
    fail_at = 2;
    heard_forget();
    assert_int_equal(import(LINE("a") "\n" LINE("b") "\n" LINE("c") "\n"), RAFTCTL_EXIT_UNKNOWN);
    assert_int_equal(calls, 2);
    heard_is(1, 0, 0, "stopped at line 2");
    fail_at = 0;
    assert_int_equal(put_ms, 0);
    assert_int_equal(import("{\"key\":\"a\",\"value\":\"v\",\"ttl_ms\":\"70\"}\n"),
                     RAFTCTL_EXIT_OK);
    assert_int_equal(put_ms, 70);
    heard_forget();
    assert_int_equal(import(""), RAFTCTL_EXIT_USAGE);
    heard_is(1, 0, 0, "is empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
