/* print.c: keys and values as text and as JSON. */
#include <string.h>

#include "raftd/base/json.h"
#include "raftd/tool/raftctl.h"

/* Length of the UTF-8 character at p (no overlong forms, no surrogates), 0 if it is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    static const struct {
        uint8_t from, to; /* of the first byte */
        uint8_t second_from, second_to;
        uint8_t length;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (p[0] < forms[i].from || p[0] > forms[i].to)
            continue;
        if (forms[i].length > left)
            return 0;
        if (forms[i].length > 1 && (p[1] < forms[i].second_from || p[1] > forms[i].second_to))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

void print_escaped(FILE *out, const uint8_t *bytes, size_t len, char also)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(bytes + i, len - i);
        uint8_t c = bytes[i];
        bool control = c < 0x20 || c == 0x7f || (c == 0xc2 && n == 2 && bytes[i + 1] < 0xa0);
        if (n == 0 || control || c == '\\' || (also && c == (uint8_t)also)) {
            fprintf(out, "\\x%02x", c);
            i++;
        } else {
            fwrite(bytes + i, 1, n, out);
            i += n;
        }
    }
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *d = c != '\0' ? strchr(digits, c) : NULL;
    return d != NULL ? (int)((d - digits) & 15) : -1;
}

bool undo_escapes(char *text, size_t *len)
{
    size_t out = 0;
    for (size_t i = 0; i < *len; out++) {
        if (text[i] != '\\') {
            text[out] = text[i++];
            continue;
        }
        int high = *len - i >= 4 && text[i + 1] == 'x' ? digit_of(text[i + 2]) : -1;
        int low = high >= 0 ? digit_of(text[i + 3]) : -1;
        if (low < 0)
            return false;
        text[out] = (char)(high << 4 | low);
        i += 4;
    }
    text[out] = '\0';
    *len = out;
    return true;
}

/* Writes bytes as a string called `name`, or in base64 as `name_base64` if they are not UTF-8. */
static void put_bytes(struct json *j, const char *name, const char *name_base64,
                      const uint8_t *bytes, size_t len)
{
    size_t good = 0, n = 1;
    while (good < len && (n = utf8_length(bytes + good, len - good)) > 0)
        good += n;
    if (n > 0)
        json_bytes(j, name, bytes, len);
    else
        json_base64(j, name_base64, bytes, len);
}

void json_key(struct json *j, const struct item *item)
{
    put_bytes(j, "key", "key_base64", item->key, item->key_len);
    if (item->value != NULL)
        put_bytes(j, "value", "value_base64", item->value, item->value_len);
}

void print_item_json(FILE *out, const struct item *item)
{
    struct json j = {.out = out, .compact = true};
    json_open(&j, NULL, '{');
    json_key(&j, item);
    json_u64(&j, "create_revision", item->create_revision);
    json_u64(&j, "modify_revision", item->modify_revision);
    if (item->ttl_ms >= 0)
        json_u64(&j, "ttl_ms", (uint64_t)item->ttl_ms);
    json_close(&j, '}');
}

void print_done_json(FILE *out, const char *name, const char *text, uint64_t revision)
{
    struct json j = {.out = out, .compact = true};
    json_open(&j, NULL, '{');
    if (text != NULL)
        json_text(&j, name, text);
    json_u64(&j, "revision", revision);
    json_close(&j, '}');
    fputc('\n', out);
}
