/* import.c: puts what raftctl export printed: one JSON object per line. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/raftctl.h"

/* A byte takes six characters of JSON at most; names and revisions take some more. */
enum { LINE_MAX_BYTES = 6 * (CMD_VALUE_MAX_BYTES + CMD_KEY_MAX_BYTES) + 4096 };

/* ---- an object ---- */

/* What is left of a line. */
struct text {
    char *at, *end;
};

static void pass_blanks(struct text *t)
{
    while (t->at < t->end && strchr(" \t\r", *t->at) != NULL && *t->at != '\0')
        t->at++;
}

static bool take(struct text *t, char c)
{
    pass_blanks(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

/* Four hexadecimal digits. */
static bool take_unit(struct text *t, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, t->at++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *d = t->at < t->end && *t->at != '\0' ? strchr(digits, *t->at) : NULL;
        if (d == NULL)
            return false;
        *unit = *unit << 4 | ((uint32_t)(d - digits) & 15);
    }
    return true;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t c)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6)
        to[i] = (uint8_t)(0x80 | (c & 0x3f));
    to[0] = (uint8_t)(lead[n] | c);
    return to + n;
}

/* Decodes what stands behind a backslash to UTF-8. NULL: it is no escape. */
static uint8_t *take_escape(struct text *t, uint8_t *to)
{
    static const char names[] = "\"\\/bfnrt", chars[] = "\"\\/\b\f\n\r\t";
    uint32_t c, low;
    char name = t->at < t->end ? *t->at++ : '\0';
    const char *known = name != '\0' ? strchr(names, name) : NULL;
    if (known != NULL) {
        *to = (uint8_t)chars[known - names];
        return to + 1;
    }
    if (name != 'u' || !take_unit(t, &c))
        return NULL;
    if (c >> 11 != 0xd800 >> 11)
        return put_utf8(to, c);
    if (c >= 0xdc00 || t->end - t->at < 6 || t->at[0] != '\\' || t->at[1] != 'u')
        return NULL; /* half of a pair */
    t->at += 2;
    if (!take_unit(t, &low) || low >> 10 != 0xdc00 >> 10)
        return NULL;
    return put_utf8(to, 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff)));
}

/* Takes a string and decodes it where it stands, which never needs more room. */
static bool take_string(struct text *t, uint8_t **bytes, size_t *len)
{
    if (!take(t, '"'))
        return false;
    uint8_t *to = *bytes = (uint8_t *)t->at;
    while (t->at < t->end && *t->at != '"') {
        uint8_t c = (uint8_t)*t->at++;
        if (c < 0x20)
            return false;
        if (c != '\\')
            *to++ = c;
        else if ((to = take_escape(t, to)) == NULL)
            return false;
    }
    *len = (size_t)(to - *bytes);
    return take(t, '"');
}

/* Decodes base64 (RFC 4648) where it stands. */
static bool decode_base64(uint8_t *bytes, size_t *len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = *len, out = 0;
    uint32_t bits = 0;
    if (n % 4 != 0)
        return false;
    while (n > 0 && *len - n < 2 && bytes[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        const char *d = bytes[i] != '\0' ? strchr(digits, bytes[i]) : NULL;
        if (d == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(d - digits);
        if (i % 4 != 0)
            bytes[out++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *len = out;
    return true;
}

/* Passes a number, or true, false or null. */
static bool pass_word(struct text *t)
{
    char *from = t->at;
    while (t->at < t->end && *t->at != '\0' && strchr("+-.0123456789Eaeflnrstu", *t->at) != NULL)
        t->at++;
    return t->at > from;
}

struct json_member {
    const char *name;
    uint8_t *bytes; /* NULL: not there yet */
    size_t len;
};

enum { KEY, VALUE, TTL, MEMBERS };

/* Takes one member of the object: the key, the value, its time, or one that does not matter. */
static bool take_member(struct text *t, struct json_member members[MEMBERS])
{
    uint8_t *name, *bytes;
    size_t name_len, len;
    if (!take_string(t, &name, &name_len) || !take(t, ':'))
        return false;
    pass_blanks(t);
    if (t->at < t->end && *t->at != '"')
        return pass_word(t);
    if (!take_string(t, &bytes, &len))
        return false;
    for (unsigned i = 0; i < MEMBERS; i++) {
        static const char base64[] = "_base64";
        size_t n = strlen(members[i].name);
        bool coded = name_len == n + sizeof base64 - 1 &&
                     memcmp(name + n, base64, name_len - n) == 0;
        if ((name_len != n && !coded) || memcmp(name, members[i].name, n) != 0)
            continue;
        if (members[i].bytes != NULL || (coded && !decode_base64(bytes, &len)))
            return false;
        members[i].bytes = bytes;
        members[i].len = len;
    }
    return true;
}

/* The milliseconds that a member says; -1 if it is not there. */
static bool take_ttl(const struct json_member *m, int64_t *ttl_ms)
{
    uint64_t n;
    *ttl_ms = -1;
    if (m->bytes == NULL)
        return true;
    m->bytes[m->len] = '\0'; /* in the place of its quote */
    if (!num_parse((const char *)m->bytes, 0, CMD_TTL_MAX_MS, &n))
        return false;
    *ttl_ms = (int64_t)n;
    return true;
}

bool import_line(char *line, size_t len, struct item *item)
{
    struct text t = {line, line + len};
    struct json_member members[MEMBERS] = {
        [KEY] = {.name = "key"}, [VALUE] = {.name = "value"}, [TTL] = {.name = "ttl_ms"}};
    const struct json_member *key = &members[KEY], *value = &members[VALUE];
    bool ok = take(&t, '{') && take_member(&t, members);
    while (ok && take(&t, ','))
        ok = take_member(&t, members);
    ok = ok && take(&t, '}');
    pass_blanks(&t);
    if (!ok || t.at != t.end || key->bytes == NULL || value->bytes == NULL || key->len < 1 ||
        key->len > CMD_KEY_MAX_BYTES || value->len > CMD_VALUE_MAX_BYTES)
        return false;
    *item = (struct item){
        .key = key->bytes, .key_len = key->len, .value = value->bytes, .value_len = value->len};
    return take_ttl(&members[TTL], &item->ttl_ms);
}

/* ---- all of them ---- */

/* What was read of standard input and not yet taken as a line. */
struct lines {
    char *buf; /* LINE_MAX_BYTES */
    size_t at, have;
    bool end;
};

/* The next line, without its end; false: there is none. */
static bool next_line(struct lines *l, char **line, size_t *len)
{
    for (;;) {
        *line = l->buf + l->at;
        char *nl = memchr(*line, '\n', l->have - l->at);
        if (nl != NULL || (l->end && l->at < l->have)) {
            *len = nl != NULL ? (size_t)(nl - *line) : l->have - l->at;
            l->at += *len + (nl != NULL);
            return true;
        }
        if (l->end)
            return false;
        memmove(l->buf, *line, l->have - l->at);
        l->have -= l->at;
        l->at = 0;
        size_t room = LINE_MAX_BYTES - l->have;
        ssize_t n = room > 0 ? patient_read(STDIN_FILENO, l->buf + l->have, room) : 0;
        if (n < 0)
            say_fatal(RAFTCTL_EXIT_USAGE, "standard input: %s", strerror(errno));
        l->have += (size_t)n;
        l->end = (size_t)n < room || room == 0;
    }
}

static int put_item(const struct tool *t, const struct item *item)
{
    struct ctl_words w = {0};
    char ms[sizeof "18446744073709551615"];
    redisReply *answer;
    ctl_add_text(&w, "SET");
    ctl_add(&w, item->key, item->key_len);
    ctl_add(&w, item->value, item->value_len);
    if (item->ttl_ms >= 0) {
        /* What was about to end is not to stay for ever; 0 is no time that can be set. */
        (void)snprintf(ms, sizeof ms, "%" PRId64, item->ttl_ms > 0 ? item->ttl_ms : 1);
        ctl_add_text(&w, "PX");
        ctl_add_text(&w, ms);
    }
    int code = write_try(t, &w, &answer);
    freeReplyObject(answer);
    return code;
}

void run_import(struct tool *t, const struct args *a)
{
    struct lines l = {.buf = calloc(1, LINE_MAX_BYTES)};
    uint64_t done = 0;
    int code = RAFTCTL_EXIT_OK;
    char *line;
    size_t len;
    (void)a;
    if (l.buf == NULL)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    while (code == RAFTCTL_EXIT_OK && next_line(&l, &line, &len)) {
        struct item item;
        if (!import_line(line, len, &item)) {
            say_error("this is no line of an export: an object with a key and a value");
            code = RAFTCTL_EXIT_USAGE;
            break;
        }
        code = put_item(t, &item);
        done += code == RAFTCTL_EXIT_OK;
    }
    free(l.buf);
    if (code != RAFTCTL_EXIT_OK)
        say_error("stopped at line %" PRIu64 "; those before it are stored, and it does no harm to "
                  "import all again",
                  done + 1);
    if (code == RAFTCTL_EXIT_OK && done == 0) {
        say_error("standard input is empty: nothing was done");
        code = RAFTCTL_EXIT_USAGE;
    }
    fprintf(t->out.file, "keys=%" PRIu64 "\n", done);
    tool_end(t, code);
}
