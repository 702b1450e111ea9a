/* json.h: writes JSON. The caller says what comes; commas, line ends and indentation follow from that:
 *
 *     struct json j = {.out = file};
 *     json_open(&j, NULL, '{');
 *     json_text(&j, "role", "leader");
 *     json_close(&j, '}');
 *
 * `name` is NULL in an array and for the outermost value. ferror(out) tells whether all was written.
 */
#ifndef RAFTD_JSON_H
#define RAFTD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool compact;   /* all in one line */
    unsigned depth; /* of open objects and arrays */
    bool more;      /* what comes next needs a comma before it */
};

/* Begin and end an object ('{' and '}') or an array ('[' and ']'). */
void json_open(struct json *j, const char *name, char bracket);
void json_close(struct json *j, char bracket);

void json_number(struct json *j, const char *name, uint64_t value);

/* `value` is finite; 12 digits of it are written. */
void json_real(struct json *j, const char *name, double value);

/* Writes a number of 64 bits as a string, for many readers of JSON would round it. */
void json_u64(struct json *j, const char *name, uint64_t value);

/* Write a string. The caller makes sure that it is UTF-8. */
void json_bytes(struct json *j, const char *name, const void *text, size_t len);
void json_text(struct json *j, const char *name, const char *text);

/* Writes bytes of any kind, in base64 (RFC 4648). */
void json_base64(struct json *j, const char *name, const uint8_t *bytes, size_t len);

#endif
