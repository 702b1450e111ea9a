/* status_text.c: see status_text.h. */
#include "raftd/serve/status_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/json.h"
#include "raftd/serve/status_fields.h"

enum {
    VALUE_MAX_BYTES = 1024, /* the advice, with its zero */
    ADVICE_CHANGES = 3,     /* of the leader in an hour; left alone, a cluster has none in weeks */
    ADVICE_DROPS = 100,     /* and more than one datagram in a thousand */
    ADVICE_DATA_PERCENT = 80,
};

/* Where a status goes to, as JSON or as lines of text. The name of a line begins with those of what it is
 * in. */
struct sink {
    struct json json;
    bool text;
    char in[32]; /* "peer.1.drop." */
    bool leader;
    uint64_t now_us;
};

/* Begins an object. Returns the argument of leave(), which ends it. */
static size_t enter(struct sink *k, const char *name)
{
    size_t len = strlen(k->in);
    if (!k->text)
        json_open(&k->json, name, '{');
    (void)snprintf(k->in + len, sizeof k->in - len, "%s.", name);
    return len;
}

static void leave(struct sink *k, size_t before)
{
    k->in[before] = '\0';
    if (!k->text)
        json_close(&k->json, '}');
}

__attribute__((format(printf, 3, 4))) static void put(struct sink *k, const char *name,
                                                      const char *fmt, ...)
{
    char value[VALUE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(value, sizeof value, fmt, args); /* what does not fit is cut */
    va_end(args);
    if (k->text)
        fprintf(k->json.out, "%s%s=%s\n", k->in, name, value);
    else
        json_text(&k->json, name, value);
}

static void put_number(struct sink *k, const char *name, uint64_t value)
{
    put(k, name, "%" PRIu64, value);
}

/* How long ago a moment was; -1 = never. */
static int64_t age_ms(uint64_t now_us, uint64_t then_us)
{
    return then_us == 0 ? -1 : (int64_t)(status_ago_us(now_us, then_us) / 1000);
}

static void put_field(struct sink *k, const struct field *f, const void *base)
{
    const char *at = (const char *)base + f->at, *name;
    uint64_t v = status_value(f, base);
    int64_t ms = age_ms(k->now_us, v);
    if (((f->when & ON_LEADER) != 0 && !k->leader) || ((f->when & UNLESS_0) != 0 && v == 0))
        return;
    switch (f->show) {
    case NUMBER: put_number(k, f->name, v); break;
    case ID:
        if (k->text)
            put_number(k, f->name, v);
        else
            json_number(&k->json, f->name, v);
        break;
    case SIGNED: put(k, f->name, "%" PRId32, (int32_t)v); break;
    case FLAG: put_number(k, f->name, v != 0); break;
    case MS: put_number(k, f->name, v / 1000); break;
    case SECONDS: put_number(k, f->name, v / 1000000); break;
    case AGE_MS: put(k, f->name, "%" PRId64, ms); break;
    case AGE_S: put(k, f->name, "%" PRId64, ms < 0 ? -1 : ms / 1000); break;
    case KEY: put(k, f->name, "%08" PRIx64, v); break;
    case HANDLE: put(k, f->name, "%016" PRIx64, v); break;
    case TEXT: put(k, f->name, "%.*s", (int)f->size, at); break;
    case WORDS: put(k, f->name, "%s", *(const char *const *)(const void *)at); break;
    case VERSION:
        put(k, f->name, "%u.%u.%u", (unsigned)(v >> 16), (unsigned)(v >> 8 & 255),
            (unsigned)(v & 255));
        break;
    default: name = status_value_name(f->show, v); put(k, f->name, "%s", name != NULL ? name : "?");
    }
}

static void put_fields(struct sink *k, const struct fields *fields, const void *base)
{
    for (size_t i = 0; i < fields->n; i++)
        put_field(k, &fields->at[i], base);
}

/* Shows all reasons to drop; without `all`, only those that have occurred. */
static void put_drops(struct sink *k, const uint64_t *drops, bool all)
{
    bool any = all;
    for (int d = 0; d < DROP_COUNT; d++)
        any = any || drops[d] != 0;
    if (!any)
        return;
    size_t before = enter(k, "drop");
    for (int d = 0; d < DROP_COUNT; d++)
        if (all || drops[d] != 0)
            put_number(k, drop_name((enum drop)d), drops[d]);
    leave(k, before);
}

static void put_peer(struct sink *k, const struct status_peer *p)
{
    char name[16];
    (void)snprintf(name, sizeof name, "peer.%u", p->id);
    size_t before = enter(k, k->text ? name : NULL);
    if (!k->text)
        json_number(&k->json, "id", p->id);
    put_fields(k, &status_peer_fields, p);
    put_drops(k, p->drops, false);
    leave(k, before);
}

/* Shows what voter number i hears of each other one. */
static void put_link(struct sink *k, const struct status *s, unsigned n, unsigned i)
{
    char name[8];
    const struct status_link *from = &s->links[i];
    int64_t age = age_ms(k->now_us, from->at_us);
    int64_t lasts = (int64_t)status_lasts_us((uint64_t)s->election_timeout_ms * 1000) / 1000;
    bool known = age >= 0 && age < lasts;
    (void)snprintf(name, sizeof name, "%u", from->id);
    size_t before = enter(k, name);
    for (unsigned of = 0; of < n; of++) {
        if (of == i)
            continue;
        (void)snprintf(name, sizeof name, "%u", s->links[of].id);
        if (!known || from->heard[of] == STATUS_LINK_UNKNOWN)
            put(k, name, "unknown");
        else if (from->heard[of] == STATUS_LINK_SILENT)
            put(k, name, "silent");
        else
            put_number(k, name, from->heard[of]);
    }
    leave(k, before);
}

/* Shows in one line what an operator should do about what the numbers say. */
static void put_advice(struct sink *k, const struct status *s)
{
    char all[VALUE_MAX_BYTES] = "";
    FILE *f = fmemopen(all, sizeof all, "w");
    if (f == NULL)
        return; /* there is no memory, even for advice */
    if (s->doubt == STATUS_DOUBT_DAMAGED && s->leader == 0)
        fputs("; the log of this node was damaged and no leader is there that mends it: if this "
              "lasts, see "
              "Damaged disks in raftd(8), and raftd --check says what is lost",
              f);
    if (s->leader_changes_hour >= ADVICE_CHANGES)
        fprintf(f,
                "; %u changes of leader within an hour: unless nodes were restarted, raise "
                "election_timeout_ms (%" PRIu32 ")",
                s->leader_changes_hour, s->election_timeout_ms);
    if (s->uncommitted_us >= STATUS_UNCOMMITTED_US)
        fprintf(f,
                "; a majority of the disks has not written for %" PRIu64
                " s: peer.N.match_index below "
                "says which nodes lag, see whether their disks are full, slow or failing",
                s->uncommitted_us / 1000000);
    /* A snapshot from the leader can wait for room, too, when no entries do. */
    if (s->disk_full != 0 || (s->install_of_bytes != 0 && s->disk_free < s->disk_min_free))
        fputs("; the file system of data_dir is full: make room", f);
    if (s->log_full != 0)
        fputs(
            "; the log has reached log_max_bytes and no snapshot could be written that lets it go: "
            "make room, or raise log_max_bytes",
            f);
    if (s->data_bytes > s->max_data_bytes / 100 * ADVICE_DATA_PERCENT)
        fprintf(f,
                "; data take over %d %% of max_data_bytes: delete keys, or raise it on all nodes",
                ADVICE_DATA_PERCENT);
    if (s->udp.rxq_drops >= ADVICE_DROPS && s->udp.rxq_drops > s->datagrams_received / 1000)
        fprintf(f, "; this box was too slow for %" PRIu64 " datagrams: raise net.core.rmem_max",
                s->udp.rxq_drops);
    (void)fclose(f);
    put(k, "advice", "%s", all[0] != '\0' ? all + 2 : "none");
}

static void put_links(struct sink *k, const struct status *s)
{
    unsigned n = s->n_links < RAFT_MEMBERS_MAX ? s->n_links : RAFT_MEMBERS_MAX;
    if (n <= 1)
        return;
    size_t before = enter(k, "link");
    for (unsigned i = 0; i < n; i++)
        put_link(k, s, n, i);
    leave(k, before);
}

static void put_members(struct sink *k, const struct status *s)
{
    unsigned n = s->n_members < RAFT_MEMBERS_MAX ? s->n_members : RAFT_MEMBERS_MAX;
    bool leads = k->leader;
    put_fields(k, &status_told_fields, s);
    if (!k->text)
        json_open(&k->json, "members", '[');
    k->leader = s->members_led;
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "member.%u", s->members[i].id);
        size_t before = enter(k, k->text ? name : NULL);
        put_fields(k, &status_member_fields, &s->members[i]);
        leave(k, before);
    }
    k->leader = leads;
    if (!k->text)
        json_close(&k->json, ']');
}

static void put_node(struct sink *k, const struct status *s)
{
    put_fields(k, &status_node_fields, s);
    put_advice(k, s);
    put_drops(k, s->drops, true);
    if (!k->text)
        json_open(&k->json, "peers", '[');
    for (unsigned i = 0; i < s->n_peers && i < RAFT_PEERS_MAX; i++)
        put_peer(k, &s->peers[i]);
    if (!k->text)
        json_close(&k->json, ']');
    put_links(k, s);
}

static void print(FILE *out, const struct status *s, uint64_t now_us, bool json, bool node,
                  bool all)
{
    struct sink k = {
        .json = {.out = out}, .text = !json, .leader = s->role == RAFT_LEADER, .now_us = now_us};
    if (json)
        json_open(&k.json, NULL, '{');
    if (node)
        put_node(&k, s);
    else
        put_number(&k, "members_index", s->members_index);
    if (all)
        put_members(&k, s);
    if (json) {
        json_close(&k.json, '}');
        fputc('\n', out);
    }
}

void status_print(FILE *out, const struct status *s, uint64_t now_us, bool json)
{
    print(out, s, now_us, json, true, false);
}

void status_print_members(FILE *out, const struct status *s, uint64_t now_us, bool json)
{
    print(out, s, now_us, json, false, true);
}

void status_print_all(FILE *out, const struct status *s, uint64_t now_us, bool json)
{
    print(out, s, now_us, json, true, true);
}

void status_print_links(FILE *out, const struct status *s, uint64_t now_us)
{
    struct sink k = {.json = {.out = out}, .text = true, .now_us = now_us};
    put_links(&k, s);
}
