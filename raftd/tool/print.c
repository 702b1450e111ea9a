/* print.c: keys, values and status as text and as JSON. Numbers of 64 bits are strings in
 * JSON, for many readers of JSON would round them. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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

static json_t *base64(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((len + 2) / 3 * 4 + 1);
    if (!text)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16;
        if (i + 1 < len)
            v |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < len)
            v |= bytes[i + 2];
        text[at++] = digits[v >> 18];
        text[at++] = digits[v >> 12 & 63];
        text[at++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
        text[at++] = i + 2 < len ? digits[v & 63] : '=';
    }
    json_t *string = json_stringn(text, at);
    free(text);
    return string;
}

/* Sets `name`, or for bytes that are not UTF-8 `name_base64`. */
static int set_bytes(json_t *object, const char *name, const char *name_base64,
                     const uint8_t *bytes, size_t len)
{
    json_t *string = json_stringn((const char *)bytes, len);
    if (string)
        return json_object_set_new(object, name, string);
    return json_object_set_new(object, name_base64, base64(bytes, len));
}

static int set_u64(json_t *object, const char *name, uint64_t value)
{
    return json_object_set_new(object, name, json_sprintf("%" PRIu64, value));
}

int print_item_json(FILE *out, const struct proto_item *item, bool with_value)
{
    json_t *object = json_object();
    int rc = set_bytes(object, "key", "key_base64", item->key, item->key_len);
    if (with_value)
        rc |= set_bytes(object, "value", "value_base64", item->value, item->value_len);
    rc |= set_u64(object, "create_revision", item->create_revision);
    rc |= set_u64(object, "modify_revision", item->modify_revision);
    if (rc == 0)
        rc = json_dumpf(object, out, JSON_COMPACT);
    json_decref(object);
    return rc == 0 ? 0 : -1;
}

/* Ids are numbers in JSON, everything else that status says is a string. */
static json_t *status_value(const char *key, const char *value)
{
    static const char *const ids[] = {"id", "leader", "leader_before", "vote"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (strcmp(key, ids[i]) == 0)
            return json_integer(strtol(value, NULL, 10));
    return json_string(value);
}

/* The object of peer `id` in the array, made if it is not there. */
static json_t *peer_object(json_t *peers, long id)
{
    size_t i;
    json_t *peer;
    json_array_foreach(peers, i, peer)
    {
        if (json_integer_value(json_object_get(peer, "id")) == id)
            return peer;
    }
    peer = json_object();
    if (json_object_set_new(peer, "id", json_integer(id)) != 0 ||
        json_array_append_new(peers, peer) != 0)
        return NULL;
    return peer;
}

/* The object `name` in an object, made if it is not there; NULL without memory. */
static json_t *object_in(json_t *in, const char *name)
{
    if (!json_object_get(in, name) && json_object_set_new(in, name, json_object()) != 0)
        return NULL;
    return json_object_get(in, name);
}

/* What has an id or a reason in its name is grouped: drop.REASON, link.ID.ID, peer.ID.FIELD,
 * peer.ID.drop.REASON. */
static int add_status_line(json_t *status, json_t *peers, char *line)
{
    char *field = line, *value = strchr(line, '=');
    if (!value)
        return 0; /* not for us */
    *value++ = '\0';
    json_t *group = status;
    if (strncmp(line, "peer.", 5) == 0) {
        long id = strtol(line + 5, &field, 10);
        if (*field++ != '.')
            return 0;
        group = peer_object(peers, id);
    }
    for (char *dot; (dot = strchr(field, '.')) != NULL; field = dot + 1) {
        *dot = '\0';
        group = object_in(group, field);
    }
    return json_object_set_new(group, field,
                               group == status ? status_value(field, value) : json_string(value));
}

int print_status_json(FILE *out, const uint8_t *text, size_t len)
{
    char *copy = malloc(len + 1);
    json_t *status = json_object(), *peers = json_array();
    int rc = copy && status && peers ? 0 : -1;
    if (rc == 0) {
        memcpy(copy, text, len);
        copy[len] = '\0';
        char *rest = copy, *line;
        while (rc == 0 && (line = strsep(&rest, "\n")) != NULL)
            rc = add_status_line(status, peers, line);
    }
    if (rc == 0)
        rc = json_object_set(status, "peers", peers);
    if (rc == 0)
        rc = json_dumpf(status, out, JSON_INDENT(2));
    if (rc == 0)
        fputc('\n', out);
    json_decref(peers);
    json_decref(status);
    free(copy);
    return rc == 0 ? 0 : -1;
}
