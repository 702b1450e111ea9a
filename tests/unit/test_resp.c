// LINK: raftd/serve/resp.c
/* test_resp.c: commands are taken whole, in whatever pieces they come; what is over a limit is passed over
 * without being kept; what is no RESP is refused as soon as it can be; answers in both versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/resp.h"

enum { ARG_MAX_BYTES = 20, ARGS_MAX_BYTES = 30 };

/* A connection's buffer, of which nothing but what resp_take() leaves is kept. */
struct line {
    struct resp_in in;
    uint8_t *buf;
    size_t len, most; /* bytes in buf; the most that there ever were */
    char told[8192];  /* what was taken, see tell() */
};

static void tell(struct line *l, const char *text, size_t len)
{
    size_t at = strlen(l->told);
    assert_true(at + len < sizeof l->told);
    memcpy(l->told + at, text, len);
    l->told[at + len] = '\0';
}

static void drop(struct line *l)
{
    assert_true(l->in.used <= l->len);
    memmove(l->buf, l->buf + l->in.used, l->len - l->in.used);
    l->len -= l->in.used;
}

/* Takes all commands that are there: each is told as [word|word], one that is too big as [!], and an error
 * ends all. False after that. */
static bool take_all(struct line *l)
{
    for (;;) {
        struct resp_arg argv[RESP_ARGS_MAX];
        uint8_t *exact = malloc(l->len + (l->len == 0)); /* so that a read past the end is seen */
        assert_non_null(exact);
        memcpy(exact, l->buf, l->len);
        enum resp_came came = resp_take(&l->in, exact, l->len, argv);
        if (came == RESP_CALL) {
            tell(l, "[", 1);
            for (unsigned i = 0; i < l->in.argc; i++) {
                tell(l, "|", i > 0);
                tell(l, (const char *)argv[i].p, argv[i].len);
            }
            tell(l, "]", 1);
        } else if (came == RESP_TOO_BIG) {
            tell(l, "[!]", 3);
        } else if (came == RESP_BAD) {
            tell(l, l->in.error, strlen(l->in.error));
        } else {
            assert_true(l->in.want > l->len - l->in.used);
        }
        free(exact);
        if (came == RESP_BAD)
            return false;
        drop(l);
        if (came == RESP_MORE)
            return true;
    }
}

/* Feeds `bytes` in pieces of `piece`, and compares what was taken; of an error, how it begins. Returns how
 * many bytes had to be kept at most. */
static size_t feed(const char *bytes, size_t len, size_t piece, const char *expected)
{
    struct line l = {.in = {.arg_max_bytes = ARG_MAX_BYTES, .args_max_bytes = ARGS_MAX_BYTES}};
    l.buf = malloc(len);
    assert_non_null(l.buf);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        memcpy(l.buf + l.len, bytes + at, n);
        l.len += n;
        l.most = l.len > l.most ? l.len : l.most;
        if (!take_all(&l))
            break;
    }
    if (strstr(expected, "ERR") != NULL)
        l.told[strlen(expected)] = '\0';
    assert_string_equal(l.told, expected);
    free(l.buf);
    return l.most;
}

static const struct {
    const char *bytes;
    const char *expected;
} cases[] = {
    {"*1\r\n$4\r\nPING\r\n", "[PING]"},
    {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n", "[GET|k][PING]"},
    {"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n", "[SET||a\r\nb]"},
    {"*0\r\n*-1\r\n\r\n\nPING\n", "[][][][][PING]"},
    {"PING\r\nSET  a\tb \r\n", "[PING][SET|a|b]"},
    {"SET 'a b' \"c 'd'\" ''\n", "[SET|a b|c 'd'|]"},
    {"SET 'a\\' b\n", "[SET|a\\|b]"},
    {"SET a b\n*1\r\n$1\r\nX\r\nY\n", "[SET|a|b][X][Y]"},
    /* Over a limit: 20 bytes an argument, 30 all of them. */
    {"*2\r\n$1\r\nS\r\n$21\r\n123456789012345678901\r\nPING\n", "[!][PING]"},
    {"*3\r\n$1\r\nS\r\n$20\r\n12345678901234567890\r\n$9\r\n123456789\r\nPING\n",
     "[S|12345678901234567890|123456789][PING]"},
    {"*3\r\n$1\r\nS\r\n$20\r\n12345678901234567890\r\n$10\r\n1234567890\r\nPING\n", "[!][PING]"},
    {"*3\r\n$1\r\nS\r\n$21\r\n123456789012345678901\r\n$1\r\nx\r\nPING\n", "[!][PING]"},
    {"SET k 123456789012345678901\nPING\n", "[!][PING]"},
    /* No RESP. */
    {"*a\r\n", "ERR Protocol error: invalid multibulk length"},
    {"*01\r\n", "ERR Protocol error: invalid multibulk length"},
    {"*+1\r\n", "ERR Protocol error: invalid multibulk length"},
    {"*-2\r\n", "ERR Protocol error: invalid multibulk length"},
    {"*\r\n", "ERR Protocol error: invalid multibulk length"},
    {"*1\n", "ERR Protocol error: invalid multibulk length"},
    {"*1048577\r\n", "ERR Protocol error: invalid multibulk length"},
    {"*99999999999999999999\r\n", "ERR Protocol error: invalid multibulk length"},
    {"*1000000000000000000000000000000", "ERR Protocol error: invalid multibulk length"},
    {"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"},
    {"*1\r\n$1x\r\n", "ERR Protocol error: invalid bulk length"},
    {"*1\r\n$536870913\r\n", "ERR Protocol error: invalid bulk length"},
    {"*1\r\n*1\r\n$1\r\nx\r\n", "ERR Protocol error: an argument begins with $"},
    {"*1\r\n$1\r\nxy\r\n", "ERR Protocol error: an argument is longer than it says"},
    {"SET 'a\n", "ERR Protocol error: unbalanced quotes"},
    {"SET 'a'b\n", "ERR Protocol error: unbalanced quotes"},
    {"SET \"a\\\"\" b\n", "ERR Protocol error: in a line"},
    {"SET a{\"b\"}\n", "ERR Protocol error: in a line"},
    {"PING\nPOST / HTTP/1.1\r\nPING\n", "[PING]ERR Protocol error: this is no HTTP server"},
    {"post 123456789012345678901\r\nPING\n", "ERR Protocol error: this is no HTTP server"},
    {"GET /\r\nHost: localhost\r\nPING\n", "[GET|/]ERR Protocol error: this is no HTTP server"},
};

static void test_commands_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t piece = 1; piece <= strlen(cases[i].bytes); piece++)
            (void)feed(cases[i].bytes, strlen(cases[i].bytes), piece, cases[i].expected);
}

static void test_as_many_arguments_as_are_allowed(void **state)
{
    (void)state;
    for (unsigned n = RESP_ARGS_MAX; n <= RESP_ARGS_MAX + 1; n++) {
        char *bytes = malloc(16 * n), *expected = malloc(2 * n + 16), *b = bytes, *e = expected;
        assert_true(bytes != NULL && expected != NULL);
        b += sprintf(b, "*%u\r\n", n);
        e += sprintf(e, "[");
        for (unsigned i = 0; i < n; i++) {
            b += sprintf(b, "$0\r\n\r\n");
            e += sprintf(e, "%s", i > 0 ? "|" : "");
        }
        b += sprintf(b, "PING\n");
        sprintf(n > RESP_ARGS_MAX ? expected : e, n > RESP_ARGS_MAX ? "[!][PING]" : "][PING]");
        for (size_t piece = 1; piece < 2000; piece += 97)
            (void)feed(bytes, (size_t)(b - bytes), piece, expected);
        free(bytes);
        free(expected);
    }
}

static void test_what_is_too_big_is_not_stored(void **state)
{
    (void)state;
    enum { LEN = 1 << 20, PIECE = 500 };
    char *bytes = malloc(LEN + 100);
    assert_non_null(bytes);
    int head = sprintf(bytes, "*2\r\n$%d\r\n", LEN);
    memset(bytes + head, '$', LEN);
    int tail = sprintf(bytes + head + LEN, "\r\n$1\r\nx\r\nPING\n");
    assert_true(feed(bytes, (size_t)(head + LEN + tail), PIECE, "[!][PING]") <= PIECE + 64);
    free(bytes);

    /* A line without an end is refused when it is longer than any. */
    char endless[RESP_LINE_MAX_BYTES + 1];
    memset(endless, 'x', sizeof endless);
    assert_true(feed(endless, sizeof endless - 1, PIECE, "") == sizeof endless - 1);
    (void)feed(endless, sizeof endless, PIECE, "ERR Protocol error: too big inline request");
}

/* What the reader has to wait for is told as soon as a length is known. */
static void test_want(void **state)
{
    (void)state;
    struct resp_in in = {.arg_max_bytes = 1000, .args_max_bytes = 1000};
    struct resp_arg argv[RESP_ARGS_MAX];
    static const char bytes[] = "*1\r\n$500\r\nabc";
    assert_int_equal(resp_take(&in, (const uint8_t *)bytes, sizeof bytes - 1, argv), RESP_MORE);
    assert_int_equal(in.want, 4 + 6 + 500 + 2);
    assert_int_equal(in.used, 0);
}

static void test_words_and_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
        bool is;
    } words[] = {{"GET", "get", true},   {"gEt", "get", true}, {"ge", "get", false},
                 {"gets", "get", false}, {"", "get", false},   {"", "", true}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_int_equal(resp_is(&(struct resp_arg){(const uint8_t *)words[i].text,
                                                    (uint32_t)strlen(words[i].text)},
                                 words[i].word),
                         words[i].is);
    assert_false(resp_is(&(struct resp_arg){(const uint8_t *)"a\0b", 3}, "a"));

    static const struct {
        const char *text;
        bool good;
        int64_t n;
    } numbers[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"42", true, 42},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {"+1", false, 0},
        {"01", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1a", false, 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int64_t n = 0;
        struct resp_arg arg = {(const uint8_t *)numbers[i].text, (uint32_t)strlen(numbers[i].text)};
        assert_int_equal(resp_number(&arg, &n), numbers[i].good);
        assert_true(n == numbers[i].n);
    }
}

static void all_answers(struct resp_out *out)
{
    resp_simple(out, "OK");
    resp_int(out, INT64_MIN);
    resp_int(out, 0);
    resp_bulk(out, "a\r\nb", 4);
    resp_bulk(out, NULL, 0);
    resp_verbatim(out, "text", 4);
    resp_null(out);
    resp_null_array(out);
    resp_array(out, 12);
    resp_set(out, 1);
    resp_map(out, 2);
    resp_push(out, 3);
    resp_error(out, "ERR no %s", "line\r\nend");
}

static void test_answers(void **state)
{
    (void)state;
    static const char *expected[] = {
        "+OK\r\n:-9223372036854775808\r\n:0\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$4\r\ntext\r\n$-1\r\n*-"
        "1\r\n*12\r\n*1\r\n"
        "*4\r\n*3\r\n-ERR no line  end\r\n",
        "+OK\r\n:-9223372036854775808\r\n:0\r\n$4\r\na\r\nb\r\n$0\r\n\r\n=8\r\ntxt:text\r\n_\r\n_"
        "\r\n*12\r\n~1\r\n"
        "%2\r\n>3\r\n-ERR no line  end\r\n",
    };
    for (uint8_t version = 2; version <= 3; version++) {
        struct resp_out out = {.version = version, .most = 1 << 16};
        all_answers(&out);
        assert_int_equal(out.len, strlen(expected[version - 2]));
        assert_memory_equal(out.buf, expected[version - 2], out.len);
        free(out.buf);
    }
}

static void test_no_answer_is_larger_than_it_may_be(void **state)
{
    (void)state;
    struct resp_out whole = {.version = 3, .most = 1 << 16};
    all_answers(&whole);
    free(whole.buf);
    for (size_t most = 0; most < whole.len + 2; most++) {
        struct resp_out out = {.version = 3, .most = most};
        all_answers(&out);
        assert_true(out.len <= most);
        assert_false(out.no_memory);
        assert_int_equal(out.len + out.lost, whole.len);
        size_t len = out.len;
        if (out.lost > 0) {
            resp_simple(&out, "");
            assert_int_equal(out.len, len); /* what comes behind a gap is not written */
        }
        free(out.buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_in_pieces),
        cmocka_unit_test(test_as_many_arguments_as_are_allowed),
        cmocka_unit_test(test_what_is_too_big_is_not_stored),
        cmocka_unit_test(test_want),
        cmocka_unit_test(test_words_and_numbers),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_no_answer_is_larger_than_it_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
