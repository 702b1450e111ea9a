/* status_read.c: see status_text.h. */
#include <stdio.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/serve/status_fields.h"
#include "raftd/serve/status_text.h"

/* -1 and anything else but a number that fits into *out is false. */
static bool take_signed(const char *value, uint64_t *out)
{
    bool minus = value[0] == '-';
    if (!num_parse(value + minus, 0, INT32_MAX, out))
        return false;
    *out = minus ? -*out : *out;
    return true;
}

/* "MAJOR.MINOR.PATCH" */
static bool take_version(const char *value, uint64_t *out)
{
    uint64_t part[3];
    for (unsigned i = 0; i < 3; i++)
        if (!num_take(&value, 10, 255, &part[i]) || *value++ != (i < 2 ? '.' : '\0'))
            return false;
    *out = part[0] << 16 | part[1] << 8 | part[2];
    return true;
}

/* A moment that was so many units before now_us; -1: never. */
static bool take_age(const char *value, uint64_t unit_us, uint64_t now_us, uint64_t *out)
{
    if (strcmp(value, "-1") == 0)
        return true;
    if (!num_parse(value, 0, INT64_MAX / unit_us, out))
        return false;
    *out = status_moment(now_us, *out * unit_us);
    return true;
}

static bool take_name(enum show show, const char *value, uint64_t *out)
{
    enum { NAMES_MAX = 64 }; /* no enumeration has more */
    for (uint64_t v = 0; v < NAMES_MAX; v++) {
        const char *name = status_value_name(show, v);
        if (name == NULL || strcmp(name, value) != 0)
            continue;
        *out = show == LEADS || show == DOUBT ? max_u64(v, 1) : v;
        return true;
    }
    *out = RAFT_TRANSFER_COUNT;
    return show == TRANSFER;
}

/* What `value` says, as the number that the field has. False: it makes no sense. */
static bool take_value(const struct field *f, const char *value, uint64_t now_us, uint64_t *out)
{
    switch (f->show) {
    case NUMBER:
    case ID:
    case FLAG: return num_parse(value, 0, UINT64_MAX >> (64 - 8 * f->size), out);
    case SIGNED: return take_signed(value, out);
    case MS: return num_parse(value, 0, UINT64_MAX / 1000, out) && (*out *= 1000, true);
    case AGE_MS: return take_age(value, 1000, now_us, out);
    case AGE_S: return take_age(value, 1000000, now_us, out);
    case KEY:
    case HANDLE:
        return num_take(&value, 16, UINT64_MAX >> (64 - 8 * f->size), out) && *value == '\0';
    case VERSION: return take_version(value, out);
    case SECONDS:
    case TEXT:
    case WORDS: return false;
    default: return take_name(f->show, value, out);
    }
}

/* The field `name` of *base gets what `value` says, if it can be read. */
static void set_field(const struct fields *fields, void *base, uint64_t now_us, const char *name,
                      const char *value)
{
    const struct field *f = fields->at, *end = f + fields->n;
    uint64_t v = 0;
    while (f < end && strcmp(f->name, name) != 0)
        f++;
    if (f == end)
        return;
    void *at = (char *)base + f->at;
    if (f->show == WORDS)
        *(const char **)at = value;
    if (f->show == TEXT)
        (void)snprintf(at, f->size, "%s", value);
    if (!take_value(f, value, now_us, &v))
        return;
    switch (f->size) {
    case 1: *(uint8_t *)at = (uint8_t)v; break;
    case 2: *(uint16_t *)at = (uint16_t)v; break;
    case 4: *(uint32_t *)at = (uint32_t)v; break;
    case 8: *(uint64_t *)at = v; break;
    }
}

/* The peer of that id, which gets a place if it is new. NULL: there is no room. */
static struct status_peer *peer_of(struct status *s, uint16_t id)
{
    unsigned i = 0;
    while (i < s->n_peers && s->peers[i].id != id)
        i++;
    if (i == sizeof s->peers / sizeof s->peers[0])
        return NULL;
    s->n_peers += i == s->n_peers;
    s->peers[i].id = id;
    return &s->peers[i];
}

/* The same of members. */
static struct status_member *member_of(struct status *s, uint16_t id)
{
    unsigned i = 0;
    while (i < s->n_members && s->members[i].id != id)
        i++;
    if (i == sizeof s->members / sizeof s->members[0])
        return NULL;
    s->n_members += i == s->n_members;
    s->members[i].id = id;
    return &s->members[i];
}

/* The place of a node among those that hear and are heard; -1: there is no room. */
static int place_of(struct status *s, uint64_t id)
{
    unsigned i = 0;
    while (i < s->n_links && s->links[i].id != id)
        i++;
    if (i == sizeof s->links / sizeof s->links[0])
        return -1;
    s->n_links += i == s->n_links;
    s->links[i].id = (uint16_t)id;
    return (int)i;
}

/* What node `from` hears of `to`. */
static void read_link(struct status *s, uint64_t now_us, uint64_t from, uint64_t to,
                      const char *value)
{
    uint64_t percent = STATUS_LINK_UNKNOWN;
    if (from == to || from == 0 || to == 0)
        return;
    int i = place_of(s, from), k = place_of(s, to);
    if (strcmp(value, "silent") == 0)
        percent = STATUS_LINK_SILENT;
    else
        (void)num_parse(value, 0, STATUS_LINK_HEARD_MAX, &percent);
    if (i < 0 || k < 0)
        return;
    s->links[i].at_us = now_us;
    s->links[i].heard[k] = (uint8_t)percent;
}

static void read_drop(uint64_t *drops, const char *reason, const char *value)
{
    for (int d = 0; d < DROP_COUNT; d++)
        if (strcmp(reason, drop_name((enum drop)d)) == 0)
            (void)num_parse(value, 0, UINT64_MAX, &drops[d]);
}

/* Whether the name begins with `before`; then *rest is what comes behind it. */
static bool begins(const char *name, const char *before, const char **rest)
{
    size_t len = strlen(before);
    *rest = name + len;
    return strncmp(name, before, len) == 0;
}

static void read_peer(struct status_peer *p, uint64_t now_us, const char *name, const char *value)
{
    const char *rest;
    if (begins(name, "drop.", &rest))
        read_drop(p->drops, rest, value);
    else
        set_field(&status_peer_fields, p, now_us, name, value);
}

static void read_node(struct status *s, uint64_t now_us, const char *name, const char *value)
{
    const char *rest;
    if (begins(name, "drop.", &rest))
        read_drop(s->drops, rest, value);
    else
        set_field(&status_node_fields, s, now_us, name, value);
    set_field(&status_told_fields, s, now_us, name, value);
}

static void read_line(struct status *s, uint64_t now_us, const char *name, const char *value)
{
    const char *at;
    bool peer = begins(name, "peer.", &at), link = !peer && begins(name, "link.", &at);
    bool member = !peer && !link && begins(name, "member.", &at);
    uint64_t id, to;
    struct status_peer *p;
    struct status_member *m;
    if (!peer && !link && !member)
        read_node(s, now_us, name, value);
    else if (!num_take(&at, 10, UINT16_MAX, &id) || *at++ != '.')
        return;
    else if (peer && (p = peer_of(s, (uint16_t)id)) != NULL)
        read_peer(p, now_us, at, value);
    else if (member && (m = member_of(s, (uint16_t)id)) != NULL)
        set_field(&status_member_fields, m, now_us, at, value);
    else if (link && num_take(&at, 10, UINT16_MAX, &to) && *at == '\0')
        read_link(s, now_us, id, to, value);
}

void status_read(struct status *s, char *text, uint64_t now_us)
{
    char *value;
    *s = (struct status){.n_peers = 0};
    for (size_t i = 0; i < sizeof s->links / sizeof s->links[0]; i++)
        memset(s->links[i].heard, STATUS_LINK_UNKNOWN, sizeof s->links[i].heard);
    while ((value = strsep(&text, "\n")) != NULL) {
        const char *name = strsep(&value, "=");
        if (value != NULL)
            read_line(s, now_us, name, value);
    }
}
