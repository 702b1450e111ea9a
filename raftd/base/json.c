/* json.c: see json.h. */
#include "raftd/base/json.h"

#include <inttypes.h>
#include <string.h>

static void put_string(FILE *out, const char *text, size_t len)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    fputc('"', out);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *at = c != '\0' ? strchr(escaped, c) : NULL;
        if (at != NULL)
            fprintf(out, "\\%c", letters[at - escaped]);
        else if (c < 0x20)
            fprintf(out, "\\u%04X", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void new_line(const struct json *j)
{
    if (!j->compact)
        fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
}

/* Writes what comes before a value: a comma, a line end, its name. */
static void begin(struct json *j, const char *name)
{
    if (j->more)
        fputc(',', j->out);
    if (j->depth > 0)
        new_line(j);
    j->more = true;
    if (name == NULL)
        return;
    put_string(j->out, name, strlen(name));
    fputs(j->compact ? ":" : ": ", j->out);
}

void json_open(struct json *j, const char *name, char bracket)
{
    begin(j, name);
    fputc(bracket, j->out);
    j->depth++;
    j->more = false;
}

void json_close(struct json *j, char bracket)
{
    j->depth--;
    if (j->more)
        new_line(j);
    fputc(bracket, j->out);
    j->more = true;
}

void json_number(struct json *j, const char *name, uint64_t value)
{
    begin(j, name);
    fprintf(j->out, "%" PRIu64, value);
}

void json_real(struct json *j, const char *name, double value)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.12g", value);
    begin(j, name);
    fprintf(j->out, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "");
}

void json_u64(struct json *j, const char *name, uint64_t value)
{
    begin(j, name);
    fprintf(j->out, "\"%" PRIu64 "\"", value);
}

void json_bytes(struct json *j, const char *name, const void *text, size_t len)
{
    begin(j, name);
    put_string(j->out, text, len);
}

void json_text(struct json *j, const char *name, const char *text)
{
    json_bytes(j, name, text, strlen(text));
}

void json_base64(struct json *j, const char *name, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    begin(j, name);
    fputc('"', j->out);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16;
        if (i + 1 < len)
            v |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < len)
            v |= bytes[i + 2];
        fputc(digits[v >> 18], j->out);
        fputc(digits[v >> 12 & 63], j->out);
        fputc(i + 1 < len ? digits[v >> 6 & 63] : '=', j->out);
        fputc(i + 2 < len ? digits[v & 63] : '=', j->out);
    }
    fputc('"', j->out);
}
