// LINK: raftd/base/num.c
/* test_num.c: which texts are numbers, up to which limit, and what is left of the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "raftd/base/num.h"

static const struct {
    const char *text;
    unsigned base;
    uint64_t max, value;
    size_t used; /* 0: none is there */
} takes[] = {
    {"0", 10, 0, 0, 1},
    {"7x", 10, 9, 7, 1},
    {"10.5", 10, 10, 10, 2},
    {"11", 10, 10, 0, 0},
    {"18446744073709551615", 10, UINT64_MAX, UINT64_MAX, 20},
    {"18446744073709551616", 10, UINT64_MAX, 0, 0},
    {"99999999999999999999", 10, UINT64_MAX, 0, 0},
    {"65536", 10, 65535, 0, 0},
    {"010", 10, 99, 0, 0},
    {"00", 10, 99, 0, 0},
    {"0660", 8, 0777, 0660, 4},
    {"0888", 8, 0777, 0, 1},
    {"1000", 8, 0777, 0, 0},
    {"00ffg", 16, 0xff, 0xff, 4},
    {"ffffffffffffffff", 16, UINT64_MAX, UINT64_MAX, 16},
    {"10000000000000000", 16, UINT64_MAX, 0, 0},
    {"F", 16, 15, 0, 0},
    {"`", 16, 15, 0, 0},
    {"1a", 10, 99, 1, 1},
    {"", 10, 9, 0, 0},
    {"-1", 10, 9, 0, 0},
    {"+1", 10, 9, 0, 0},
    {" 1", 10, 9, 0, 0},
    {"0x1", 10, 9, 0, 1},
    {":", 10, 99, 0, 0},
    {"/", 10, 99, 0, 0},
};

static void test_take(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof takes / sizeof takes[0]; i++) {
        const char *at = takes[i].text;
        uint64_t value = 77;
        bool ok = num_take(&at, takes[i].base, takes[i].max, &value);
        if (ok != (takes[i].used > 0) || at != takes[i].text + takes[i].used ||
            value != (ok ? takes[i].value : 77))
            fail_msg("'%s': %d, %llu", takes[i].text, ok, (unsigned long long)value);
    }
}

static void test_parse(void **state)
{
    (void)state;
    uint64_t value = 77;
    assert_true(num_parse("12", 12, 12, &value));
    assert_int_equal(value, 12);
    static const char *const wrong[] = {"", "11", "13", "12 ", "12.", " 12", "012", "1e1", "0xc"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(num_parse(wrong[i], 12, 12, &value));
    assert_int_equal(value, 12);
}

static void test_thousandths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value; /* 0: refused */
    } cases[] = {{"2", 2000},        {"2.5", 2500},
                 {"0.001", 1},       {"0.0019", 1},
                 {"3.", 3000},       {"60", 60000},
                 {"60.0009", 60000}, {"60.001", 0},
                 {"61", 0},          {"0", 0},
                 {"0.0009", 0},      {"", 0},
                 {".", 0},           {".5", 0},
                 {"1.5.", 0},        {"1.5e1", 0},
                 {"1.-5", 0},        {"-1", 0},
                 {"1,5", 0},         {"01.5", 0},
                 {"1.a", 0},         {"99999999999999999999", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t value = 0;
        assert_int_equal(num_parse_thousandths(cases[i].text, 1, 60000, &value),
                         cases[i].value > 0);
        assert_int_equal(value, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_thousandths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
