// LINK: raftd/tool/screen.c raftd/tool/human.c
/* What is drawn stands within its size, whatever the text is; what a terminal is sent; numbers for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/tool/human.h"
#include "raftd/tool/screen.h"

static struct screen s, before; /* too large for a stack */

static const struct screen_as ascii = {0}, colours = {.utf8 = true, .colours = true};

static void prints(struct screen_as as, const char *want)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    screen_print(&s, as, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    free(text);
}

static void paints(const struct screen *from, struct screen_as as, const char *want)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    screen_paint(&s, from, as, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    free(text);
}

static void test_cut(void **state)
{
    (void)state;
    screen_clear(&s, 8, 3);
    assert_int_equal(screen_put(&s, 0, 0, 4, LOOK_PLAIN, "abcd"), 4);
    assert_int_equal(screen_put(&s, 1, 0, 4, LOOK_PLAIN, "abcde"), 4);
    assert_int_equal(screen_put(&s, 1, 5, 99, LOOK_PLAIN, "fghi"), 8);
    assert_int_equal(screen_put(&s, 2, 8, 99, LOOK_PLAIN, "x"), 8);
    assert_int_equal(screen_put(&s, 2, 99, 200, LOOK_PLAIN, "x"), 99);
    assert_int_equal(screen_put(&s, 3, 0, 4, LOOK_PLAIN, "x"), 0);
    screen_bar(&s, 2, 8, 3);
    screen_bar(&s, 3, 0, 3);
    prints(ascii, "abcd\nabc~ fg~\n");
    for (unsigned row = 0; row < SCREEN_ROWS_MAX; row++)
        for (unsigned column = 0; column < SCREEN_COLUMNS_MAX; column++)
            assert_true((row < 2 && column < 8) || s.cells[row][column].what == ' ');
}

static void test_size(void **state)
{
    (void)state;
    screen_clear(&s, UINT32_MAX, UINT32_MAX);
    assert_int_equal(s.columns, SCREEN_COLUMNS_MAX);
    assert_int_equal(s.rows, SCREEN_ROWS_MAX);
    screen_clear(&s, 0, 0);
    screen_put(&s, 0, 0, 1, LOOK_PLAIN, "x");
    prints(ascii, "");
}

/* Nothing that comes from outside can move a cursor, or be wider than it counts for. */
static void test_bytes(void **state)
{
    (void)state;
    char all[256];
    for (unsigned i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    all[255] = '\0';
    screen_clear(&s, SCREEN_COLUMNS_MAX, 2);
    screen_put(&s, 0, 0, SCREEN_COLUMNS_MAX, LOOK_PLAIN, all);
    screen_put(&s, 1, 0, SCREEN_COLUMNS_MAX, LOOK_PLAIN, all + 128);
    for (unsigned row = 0; row < 2; row++)
        for (unsigned column = 0; column < SCREEN_COLUMNS_MAX; column++)
            assert_in_range(s.cells[row][column].what, ' ', '~');
    assert_int_equal(s.cells[0][0x1a].what, '?'); /* ESC */
    assert_int_equal(s.cells[0]['A' - 1].what, 'A');
}

static void test_bars(void **state)
{
    (void)state;
    screen_clear(&s, 12, 1);
    for (unsigned i = 0; i < 10; i++)
        screen_bar(&s, 0, i, i);
    prints(ascii, " .:-=+*%##\n");
    prints(colours, " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588\u2588\n");
}

static void test_paint(void **state)
{
    (void)state;
    screen_clear(&s, 5, 3);
    screen_put(&s, 0, 0, 5, LOOK_PLAIN, "a");
    screen_put(&s, 0, 1, 5, LOOK_BAD, "bc");
    screen_put(&s, 2, 0, 5, LOOK_GOOD, "01234");
    paints(NULL, ascii, "\033[2J\033[1;1H\033[Kabc\033[3;1H\033[K0123\033[3;5H");
    paints(NULL, colours,
           "\033[0m\033[2J\033[1;1H\033[Ka\033[1;31mbc\033[0m\033[3;1H\033[K\033[32m0123\033["
           "0m\033[3;5H");
    /* Only rows that differ are sent again, for a serial line is slow. */
    before = s;
    paints(&before, ascii, "\033[3;5H");
    screen_put(&s, 1, 0, 5, LOOK_PLAIN, "x");
    paints(&before, ascii, "\033[2;1H\033[Kx\033[3;5H");
    before = s;
    screen_clear(&s, 5, 3);
    paints(&before, ascii, "\033[1;1H\033[K\033[2;1H\033[K\033[3;1H\033[K\033[3;5H");
    screen_clear(&s, 5, 2); /* another size */
    paints(&before, ascii, "\033[2J\033[2;5H");
}

static void test_human(void **state)
{
    (void)state;
    assert_string_equal(human_count(0).text, "0");
    assert_string_equal(human_count(999).text, "999");
    assert_string_equal(human_count(1000).text, "1.0k");
    assert_string_equal(human_count(9999).text, "9.9k");
    assert_string_equal(human_count(12345678).text, "12M");
    assert_string_equal(human_count(UINT64_MAX).text, "9999T");
    assert_string_equal(human_bytes(33000000).text, "33MB");
    assert_string_equal(human_bytes(UINT64_MAX).text, "9999TB");
    assert_string_equal(human_us(260).text, "260us");
    assert_string_equal(human_us(1250).text, "1.2ms");
    assert_string_equal(human_us(9100000).text, "9.1s");
    assert_string_equal(human_us(59999999).text, "59s");
    assert_string_equal(human_us(52 * 60000000LL).text, "52min");
    assert_string_equal(human_us(UINT64_MAX).text, "9999d");
    assert_string_equal(human_age_s(59).text, "59s");
    assert_string_equal(human_age_s(90).text, "1.5min");
    assert_string_equal(human_age_s(30 * 3600).text, "1.2d");
    assert_string_equal(human_age_s(23 * 3600).text, "23h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),  cmocka_unit_test(test_size),  cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_bars), cmocka_unit_test(test_paint), cmocka_unit_test(test_human),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
