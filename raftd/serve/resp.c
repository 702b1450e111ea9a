/* resp.c: see resp.h. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/resp.h"
#include "raftd/base/num.h"

/* ---- commands come in -------------------------------------------------------------------------- */

static enum resp_came bad(struct resp_in *in, const char *error)
{
    in->error = error;
    return RESP_BAD;
}

/* The next call begins with another command. */
static enum resp_came done(struct resp_in *in, enum resp_came came)
{
    in->used = in->at;
    in->at = 0;
    in->left = in->bytes = 0;
    in->skips = false;
    return came;
}

/* More bytes are needed. Those of a command that is skipped are needed no more. */
static enum resp_came more(struct resp_in *in, size_t want)
{
    in->want = want;
    if (in->skips) {
        in->used = in->at;
        in->want -= in->at;
        in->at = 0;
    }
    return RESP_MORE;
}

/* Finds the end of the line that begins at in->at: its length without "\r\n". -1: it is not there; -2: it is
 * none. */
static int head_line(const struct resp_in *in, const uint8_t *buf, size_t len)
{
    size_t there = (size_t)min_u64(len - in->at, RESP_HEAD_MAX_BYTES);
    const uint8_t *end = memchr(buf + in->at, '\n', there);
    if (end == NULL)
        return there == RESP_HEAD_MAX_BYTES ? -2 : -1;
    size_t n = (size_t)(end - (buf + in->at));
    return n > 0 && end[-1] == '\r' ? (int)n - 1 : -2;
}

/* Reads a line of `mark` and a number within [-1, max]. RESP_CALL: it is there, and in->at is behind it. */
static enum resp_came head(struct resp_in *in, const uint8_t *buf, size_t len, char mark,
                           int64_t max, const char *error, int64_t *out)
{
    if (in->at == len)
        return more(in, len + 1);
    if (buf[in->at] != mark)
        return bad(in, mark == '$' ? "ERR Protocol error: an argument begins with $" : error);
    int n = head_line(in, buf, len);
    if (n == -1)
        return more(in, len + 1);
    struct resp_arg digits = {buf + in->at + 1, n > 0 ? (uint32_t)n - 1 : 0};
    if (n < 0 || !resp_number(&digits, out) || *out < -1 || *out > max)
        return bad(in, error);
    in->at += (size_t)n + 2;
    return RESP_CALL;
}

/* Passes over what is left of the argument, of which nothing is kept. */
static enum resp_came pass(struct resp_in *in, size_t len)
{
    size_t n = (size_t)min_u64(in->skip, len - in->at);
    in->skip -= n;
    in->at += n;
    return in->skip == 0 ? RESP_CALL : more(in, in->at + 1);
}

/* Takes one argument of an array. */
static enum resp_came take_arg(struct resp_in *in, const uint8_t *buf, size_t len,
                               struct resp_arg *arg)
{
    int64_t n;
    size_t before = in->at;
    enum resp_came came = head(in, buf, len, '$', RESP_SKIP_ARG_MAX_BYTES,
                               "ERR Protocol error: invalid bulk length", &n);
    if (came != RESP_CALL)
        return came;
    if (n < 0)
        return bad(in, "ERR Protocol error: invalid bulk length");
    if (n > in->arg_max_bytes || (uint64_t)n + in->bytes > in->args_max_bytes)
        in->skips = true; /* and what is kept of the command goes */
    in->left--;
    if (in->skips) {
        in->skip = (uint64_t)n + 2;
        return pass(in, len);
    }
    size_t end = in->at + (size_t)n;
    if (len < end + 2) {
        in->at = before;
        in->left++;
        return more(in, end + 2);
    }
    if (buf[end] != '\r' || buf[end + 1] != '\n')
        return bad(in, "ERR Protocol error: an argument is longer than it says");
    *arg = (struct resp_arg){buf + in->at, (uint32_t)n};
    in->bytes += (uint32_t)n;
    in->at = end + 2;
    return RESP_CALL;
}

/* Goes on with an array. Places of argv before the first of this call are as they were. */
static enum resp_came take_args(struct resp_in *in, const uint8_t *buf, size_t len,
                                struct resp_arg *argv)
{
    enum resp_came came = in->skip > 0 ? pass(in, len) : RESP_CALL;
    while (came == RESP_CALL && in->left > 0)
        came = take_arg(in, buf, len, in->skips ? NULL : &argv[in->argc - in->left]);
    if (came != RESP_CALL)
        return came;
    return done(in, in->skips ? RESP_TOO_BIG : RESP_CALL);
}

static enum resp_came take_array(struct resp_in *in, const uint8_t *buf, size_t len,
                                 struct resp_arg *argv)
{
    int64_t n;
    enum resp_came came = head(in, buf, len, '*', RESP_SKIP_ARGS_MAX,
                               "ERR Protocol error: invalid multibulk length", &n);
    if (came != RESP_CALL)
        return came;
    in->argc = n > 0 ? (unsigned)n : 0;
    in->left = in->argc;
    in->skips = n > RESP_ARGS_MAX;
    return take_args(in, buf, len, argv);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Takes the word at *at of a line. NULL, or why it is none. */
static const char *take_word(const uint8_t *line, size_t len, size_t *at, struct resp_arg *arg)
{
    uint8_t quote = line[*at] == '"' || line[*at] == '\'' ? line[*at] : 0;
    size_t begin = *at + (quote ? 1 : 0), end = begin;
    for (; end < len && (quote ? line[end] != quote : !is_blank(line[end])); end++)
        if (quote == '"' ? line[end] == '\\' : !quote && (line[end] == '"' || line[end] == '\''))
            return "ERR Protocol error: in a line, only a whole word may be quoted, and nothing "
                   "escaped";
    *at = end + (quote ? 1 : 0);
    if (quote && (end == len || (*at < len && !is_blank(line[*at]))))
        return "ERR Protocol error: unbalanced quotes in request";
    *arg = (struct resp_arg){line + begin, (uint32_t)(end - begin)};
    return NULL;
}

/* What a browser says when somebody's page has it talk to us. The lines after it would be commands of that
 * page's choice. */
static bool is_foreign(const struct resp_arg *first)
{
    return resp_is(first, "post") || resp_is(first, "host:");
}

/* Takes the words of a whole line. */
static enum resp_came take_words(struct resp_in *in, const uint8_t *line, size_t len,
                                 struct resp_arg *argv)
{
    in->argc = 0;
    for (size_t i = 0; i < len;) {
        if (is_blank(line[i])) {
            i++;
            continue;
        }
        if (in->argc == RESP_ARGS_MAX)
            return done(in, RESP_TOO_BIG);
        const char *error = take_word(line, len, &i, &argv[in->argc]);
        if (error != NULL)
            return bad(in, error);
        if (in->argc == 0 && is_foreign(&argv[0]))
            return bad(in, "ERR Protocol error: this is no HTTP server");
        if (argv[in->argc].len > in->arg_max_bytes)
            return done(in, RESP_TOO_BIG);
        in->argc++;
    }
    return done(in, RESP_CALL);
}

static enum resp_came take_line(struct resp_in *in, const uint8_t *buf, size_t len,
                                struct resp_arg *argv)
{
    const uint8_t *end = memchr(buf + in->at, '\n', len - in->at);
    size_t n = end != NULL ? (size_t)(end - buf) : len;
    if (n > RESP_LINE_MAX_BYTES)
        return bad(in, "ERR Protocol error: too big inline request");
    in->at = n; /* no line ends before */
    if (end == NULL)
        return more(in, len + 1);
    in->at++;
    return take_words(in, buf, n > 0 && buf[n - 1] == '\r' ? n - 1 : n, argv);
}

enum resp_came resp_take(struct resp_in *in, const uint8_t *buf, size_t len, struct resp_arg *argv)
{
    in->used = in->want = 0;
    if (in->left == 0 && in->skip == 0) {
        if (len == 0)
            return more(in, 1);
        return (buf[0] == '*' ? take_array : take_line)(in, buf, len, argv);
    }
    enum resp_came came = take_args(in, buf, len, argv);
    if (came == RESP_CALL) /* now that all of it is there, argv is filled from the first one on */
        came = take_array(in, buf, in->used, argv);
    return came;
}

bool resp_is(const struct resp_arg *arg, const char *word)
{
    for (uint32_t i = 0; i < arg->len; i++) {
        uint8_t c = arg->p[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c - 'A' + 'a');
        if (c == '\0' || c != (uint8_t)word[i])
            return false;
    }
    return word[arg->len] == '\0';
}

bool resp_number(const struct resp_arg *arg, int64_t *out)
{
    const uint8_t *p = arg->p, *end = p + arg->len;
    bool minus = p < end && *p == '-';
    if (minus)
        p++;
    if (p == end || (*p == '0' && (minus || end - p > 1)))
        return false;
    uint64_t n = 0, max = (uint64_t)INT64_MAX + (minus ? 1 : 0);
    for (; p < end; p++) {
        unsigned digit = (unsigned)*p - '0';
        if (digit > 9 || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = minus ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

/* ---- answers go out ---------------------------------------------------------------------------- */

enum { FIRST_BYTES = 256 }; /* what a queue of answers begins with */

/* Room for n more bytes, which count as written. NULL: there is none, and they are lost. */
static uint8_t *grow(struct resp_out *out, size_t n)
{
    if (out->lost > 0 || n > out->most || out->len > out->most - n) {
        out->lost += n;
        return NULL;
    }
    if (out->cap - out->len < n) {
        size_t cap = out->cap > 0 ? out->cap : FIRST_BYTES;
        while (cap - out->len < n)
            cap += cap < RESP_STEP_BYTES ? cap : RESP_STEP_BYTES;
        uint8_t *buf = realloc(out->buf, cap);
        if (buf == NULL) {
            out->no_memory = true;
            out->lost += n;
            return NULL;
        }
        out->buf = buf;
        out->cap = cap;
    }
    out->len += n;
    return out->buf + out->len - n;
}

static void put(struct resp_out *out, const char *p, size_t len)
{
    uint8_t *to = grow(out, len);
    if (to != NULL && len > 0)
        memcpy(to, p, len);
}

/* Writes a line of a mark and a number to `text`, which has RESP_HEAD_MAX_BYTES; returns its length. */
static size_t write_line(char *text, char mark, int64_t n)
{
    char digits[20];
    size_t len = 0, at = 0;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        digits[len++] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    text[at++] = mark;
    if (n < 0)
        text[at++] = '-';
    while (len > 0)
        text[at++] = digits[--len];
    text[at++] = '\r';
    text[at++] = '\n';
    return at;
}

static void line(struct resp_out *out, char mark, int64_t n)
{
    char text[RESP_HEAD_MAX_BYTES];
    put(out, text, write_line(text, mark, n));
}

/* `mark`, the length of both parts, the parts. */
static void string(struct resp_out *out, char mark, const char *lead, const void *p, size_t len)
{
    char head[RESP_HEAD_MAX_BYTES];
    size_t lead_len = strlen(lead), n = write_line(head, mark, (int64_t)(lead_len + len));
    uint8_t *to = grow(out, n + lead_len + len + 2);
    if (to == NULL)
        return;
    memcpy(to, head, n);
    memcpy(to + n, lead, lead_len);
    if (len > 0)
        memcpy(to + n + lead_len, p, len);
    memcpy(to + n + lead_len + len, "\r\n", 2);
}

void resp_simple(struct resp_out *out, const char *text)
{
    put(out, "+", 1);
    put(out, text, strlen(text));
    put(out, "\r\n", 2);
}

void resp_int(struct resp_out *out, int64_t n)
{
    line(out, ':', n);
}

void resp_bulk(struct resp_out *out, const void *p, size_t len)
{
    string(out, '$', "", p, len);
}

void resp_text(struct resp_out *out, const char *text)
{
    string(out, '$', "", text, strlen(text));
}

void resp_verbatim(struct resp_out *out, const char *text, size_t len)
{
    if (out->version < 3)
        string(out, '$', "", text, len);
    else
        string(out, '=', "txt:", text, len);
}

void resp_null(struct resp_out *out)
{
    put(out, out->version < 3 ? "$-1\r\n" : "_\r\n", out->version < 3 ? 5 : 3);
}

void resp_null_array(struct resp_out *out)
{
    put(out, out->version < 3 ? "*-1\r\n" : "_\r\n", out->version < 3 ? 5 : 3);
}

void resp_array(struct resp_out *out, size_t n)
{
    line(out, '*', (int64_t)n);
}

void resp_set(struct resp_out *out, size_t n)
{
    line(out, out->version < 3 ? '*' : '~', (int64_t)n);
}

void resp_map(struct resp_out *out, size_t n)
{
    line(out, out->version < 3 ? '*' : '%', (int64_t)(out->version < 3 ? 2 * n : n));
}

void resp_push(struct resp_out *out, size_t n)
{
    line(out, out->version < 3 ? '*' : '>', (int64_t)n);
}

void resp_error(struct resp_out *out, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\r' || *p == '\n')
            *p = ' ';
    put(out, "-", 1);
    put(out, text, strlen(text));
    put(out, "\r\n", 2);
}
