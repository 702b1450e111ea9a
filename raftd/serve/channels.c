/* channels.c: see channels.h. */
#include "raftd/serve/channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/glob.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

#define KEYSPACE "__keyspace@0__:"
#define KEYEVENT "__keyevent@0__:"

enum {
    PREFIX_BYTES = sizeof KEYSPACE - 1, /* of both */
    NAME_MAX_BYTES = PREFIX_BYTES + CMD_KEY_MAX_BYTES,
    EVENTS_MAX = 3, /* of one change */
};

struct channel {
    struct cds_list_head link;
    uint64_t from; /* number of the first change that it is told */
    bool pattern;
    uint16_t len;
    uint8_t name[];
};

static bool is_bit(const struct history_change *h, enum cmd_kind kind)
{
    return (h->operations >> (kind - CMD_PUT) & 1) != 0;
}

/* Names of what happened to the key, in order; returns how many. */
static unsigned events_of(const struct history_change *h, const char *events[EVENTS_MAX])
{
    unsigned n = 0;
    if (h->kind == HISTORY_DELETED)
        events[n++] = "del";
    if (h->kind == HISTORY_EXPIRED)
        events[n++] = "expired";
    if (n > 0)
        return n;
    bool add = is_bit(h, CMD_ADD), expire = is_bit(h, CMD_EXPIRE);
    if (is_bit(h, CMD_PUT) || is_bit(h, CMD_PUT_KEEP) || is_bit(h, CMD_PUT_HELD) ||
        (!add && !expire))
        events[n++] = "set";
    if (add)
        events[n++] = "incrby";
    if (expire)
        events[n++] = kv_expiry_ms(h->object) != 0 ? "expire" : "persist";
    return n;
}

static bool is_event(const uint8_t *p, size_t len)
{
    static const char *const all[] = {"set", "incrby", "expire", "persist", "del", "expired"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (len == strlen(all[i]) && memcmp(p, all[i], len) == 0)
            return true;
    return false;
}

void channels_init(struct channels *c)
{
    *c = (struct channels){0};
    CDS_INIT_LIST_HEAD(&c->all);
}

const char *channels_check(const struct resp_arg *name, bool pattern)
{
    size_t lead = pattern ? glob_lead(name->p, name->len) : name->len;
    size_t n = (size_t)min_u64(lead, PREFIX_BYTES);
    bool space = memcmp(name->p, KEYSPACE, n) == 0, event = memcmp(name->p, KEYEVENT, n) == 0;
    if ((!space && !event) || (!pattern && n < PREFIX_BYTES))
        return "ERR there are channels for changes of keys only: " KEYSPACE "KEY and " KEYEVENT
               "EVENT";
    if (pattern ? name->len > GLOB_MAX_BYTES : name->len > NAME_MAX_BYTES)
        return "ERR no channel has so long a name";
    if (!pattern && event && !is_event(name->p + n, name->len - n))
        return "ERR there is no such event: there are set, incrby, expire, persist, del, expired";
    return NULL;
}

static struct channel *channel_at(struct cds_list_head *at)
{
    return rcu_container(at, struct channel, link);
}

static struct channel *find(const struct channels *c, const struct resp_arg *name, bool pattern)
{
    struct cds_list_head *at;
    cds_list_for_each(at, &c->all)
    {
        struct channel *h = channel_at(at);
        if (h->pattern == pattern && h->len == name->len && memcmp(h->name, name->p, h->len) == 0)
            return h;
    }
    return NULL;
}

bool channels_full(const struct channels *c, const struct resp_arg *name, bool pattern)
{
    size_t pattern_bytes = c->pattern_bytes + (pattern ? name->len : 0);
    return c->n == CHANNELS_MAX || pattern_bytes > CHANNELS_PATTERNS_MAX_BYTES;
}

bool channels_add(struct channels *c, const struct resp_arg *name, bool pattern, uint64_t number)
{
    if (find(c, name, pattern) != NULL)
        return true;
    struct channel *h = channels_full(c, name, pattern) ? NULL : malloc(sizeof *h + name->len);
    if (h == NULL)
        return false;
    h->from = number;
    h->pattern = pattern;
    h->len = (uint16_t)name->len;
    memcpy(h->name, name->p, name->len);
    cds_list_add_tail(&h->link, &c->all);
    c->n++;
    c->bytes += sizeof *h + h->len;
    c->pattern_bytes += pattern ? name->len : 0;
    return true;
}

static void drop(struct channels *c, struct channel *h)
{
    cds_list_del(&h->link);
    c->n--;
    c->bytes -= sizeof *h + h->len;
    c->pattern_bytes -= h->pattern ? h->len : 0;
    free(h);
}

void channels_remove(struct channels *c, const struct resp_arg *name, bool pattern)
{
    struct channel *h = find(c, name, pattern);
    if (h != NULL)
        drop(c, h);
}

unsigned channels_count(const struct channels *c, unsigned *patterns)
{
    struct cds_list_head *at;
    *patterns = 0;
    cds_list_for_each(at, &c->all) *patterns += channel_at(at)->pattern;
    return c->n - *patterns;
}

void channels_clear(struct channels *c)
{
    while (!cds_list_empty(&c->all))
        drop(c, rcu_container(c->all.next, struct channel, link));
}

bool channels_first(const struct channels *c, bool pattern, struct resp_arg *name)
{
    struct cds_list_head *at;
    cds_list_for_each(at, &c->all)
    {
        const struct channel *h = channel_at(at);
        if (h->pattern != pattern)
            continue;
        *name = (struct resp_arg){h->name, h->len};
        return true;
    }
    return false;
}

/* ---- telling ---- */

static bool hears(const struct channel *h, const struct resp_arg *name, unsigned *steps)
{
    if (h->pattern)
        return glob_match(h->name, h->len, name->p, name->len, steps);
    *steps += 1;
    return h->len == name->len && memcmp(h->name, name->p, h->len) == 0;
}

static void say(const struct channel *h, const struct resp_arg *name,
                const struct resp_arg *message, struct resp_out *out)
{
    resp_push(out, h->pattern ? 4 : 3);
    resp_text(out, h->pattern ? "pmessage" : "message");
    if (h->pattern)
        resp_bulk(out, h->name, h->len);
    resp_bulk(out, name->p, name->len);
    resp_bulk(out, message->p, message->len);
}

/* The message goes to everybody who hears the channel that is named by a prefix and this. */
static unsigned tell(const struct channels *c, uint64_t number, const char *prefix,
                     const struct resp_arg *what, const struct resp_arg *message,
                     struct resp_out *out, unsigned *steps)
{
    uint8_t name[NAME_MAX_BYTES];
    struct resp_arg channel = {name, PREFIX_BYTES + what->len};
    struct cds_list_head *at;
    unsigned n = 0;
    memcpy(name, prefix, PREFIX_BYTES);
    memcpy(name + PREFIX_BYTES, what->p, what->len);
    cds_list_for_each(at, &c->all)
    {
        const struct channel *h = channel_at(at);
        if (number < h->from || !hears(h, &channel, steps))
            continue;
        n++;
        if (out != NULL)
            say(h, &channel, message, out);
    }
    return n;
}

unsigned channels_tell(const struct channels *c, const struct history_change *h, uint64_t number,
                       struct resp_out *out, unsigned *steps)
{
    const char *events[EVENTS_MAX];
    unsigned n_events = events_of(h, events), n = 0;
    struct resp_arg key = {kv_key(h->object), h->object->key_len};
    for (unsigned i = 0; i < n_events; i++) {
        struct resp_arg event = {(const uint8_t *)events[i], (uint32_t)strlen(events[i])};
        n += tell(c, number, KEYSPACE, &key, &event, out, steps);
        n += tell(c, number, KEYEVENT, &event, &key, out, steps);
    }
    return n;
}
