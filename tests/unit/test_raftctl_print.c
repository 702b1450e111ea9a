// LINK: raftd/tool/print.c raftd/base/json.c
/* test_raftctl_print.c: what raftctl prints for bytes of any kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/tool/raftctl.h"

#define BYTES(text) ((const uint8_t *)(text))

static void escaped(const char *bytes, size_t len, char also, const char *want)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    uint8_t *copy = malloc(len ? len : 1); /* so that ASan sees a read past the end */
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    print_escaped(out, copy, len, also);
    free(copy);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    free(text);
}

static void test_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"plain text = 1", "plain text = 1"},
        {"\t\n\x1b[2J\x7f", "\\x09\\x0a\\x1b[2J\\x7f"},
        {"back\\slash", "back\\x5cslash"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0"}, /* C1 controls */
        {"\xc0\x80 \xe0\x80\x80", "\\xc0\\x80 \\xe0\\x80\\x80"},      /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},                          /* surrogate */
        {"\xf4\x90\x80\x80 \xff", "\\xf4\\x90\\x80\\x80 \\xff"},      /* beyond U+10FFFF */
        {"cut \xe2\x82", "cut \\xe2\\x82"},
        {"\xe2\x82z", "\\xe2\\x82z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        escaped(cases[i].bytes, strlen(cases[i].bytes), '\0', cases[i].want);
    escaped("a\0b", 3, '\0', "a\\x00b");
    escaped("a=b", 3, '=', "a\\x3db");
}

/* What was printed with escapes names the same bytes again. */
static void test_undone(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\\",    "a\\",   "\\x", "\\x4",
                                        "\\xg0", "\\x0g", "\\n", "\\\\"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char *copy = strdup(wrong[i]);
        size_t len = strlen(copy);
        assert_false(undo_escapes(copy, &len));
        free(copy);
    }
    uint8_t bytes[512];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print_escaped(out, bytes, sizeof bytes, '=');
    assert_int_equal(fclose(out), 0);
    assert_true(undo_escapes(text, &size));
    assert_int_equal(size, sizeof bytes);
    assert_memory_equal(text, bytes, sizeof bytes);
    free(text);
}

static void item_json(const char *value, size_t len, bool with_value, const char *want)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    struct item item = {.key = BYTES("k"),
                        .key_len = 1,
                        .value = with_value ? BYTES(value) : NULL,
                        .value_len = (uint32_t)len,
                        .create_revision = 1,
                        .modify_revision = UINT64_MAX,
                        .ttl_ms = -1};
    print_item_json(out, &item);
    assert_int_equal(fclose(out), 0);
    char expected[256];
    snprintf(expected, sizeof(expected),
             "{\"key\":\"k\"%s,\"create_revision\":\"1\","
             "\"modify_revision\":\"18446744073709551615\"}",
             want);
    assert_string_equal(text, expected);
    free(text);
}

static void test_item_json(void **state)
{
    (void)state;
    item_json("", 0, true, ",\"value\":\"\"");
    item_json("\"\n", 2, true, ",\"value\":\"\\\"\\n\"");
    item_json("\1\b\f\r\t\\/\x1f\x7f\0", 10, true,
              ",\"value\":\"\\u0001\\b\\f\\r\\t\\\\/\\u001F\x7f\\u0000\"");
    item_json("x", 1, false, "");
    item_json("\xff", 1, true, ",\"value_base64\":\"/w==\"");
    item_json("\xff\xfe", 2, true, ",\"value_base64\":\"//4=\"");
    item_json("\xff\xfe\xfd", 3, true, ",\"value_base64\":\"//79\"");
    item_json("\xff\0\0\0", 4, true, ",\"value_base64\":\"/wAAAA==\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_undone),
        cmocka_unit_test(test_item_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
