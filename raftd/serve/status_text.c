/* status_text.c: see status_text.h. One table says what of a status is shown, under which name and how. A new
 * field is one row of it, for text, for JSON, and for raftctl, which reads the text. */
#include "raftd/serve/status_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/json.h"
#include "raftd/base/num.h"

const char *status_session_name(enum status_session session)
{
    static const char *const names[STATUS_SESSIONS] = {
        "none",       "plain",      "handshake", "established", "wrong_key", "other_cluster",
        "other_list", "other_disk", "new_disk",  "stays_out",   "cloned",    "own_clone"};
    return names[session];
}

enum {
    VALUE_MAX_BYTES = 1024, /* the advice, with its zero */
    ADVICE_CHANGES = 3,     /* of the leader in an hour; left alone, a cluster has none in weeks */
    ADVICE_DROPS = 100,     /* and more than one datagram in a thousand */
    ADVICE_DATA_PERCENT = 80,
};

/* How a field is shown. In JSON only an id is a number: many readers of JSON round 64 bits. */
enum show {
    NUMBER,  /* of 1, 2, 4 or 8 bytes */
    ID,      /* of a node: a number in JSON */
    SIGNED,  /* int32_t */
    FLAG,    /* 1: the field is not 0 */
    MS,      /* microseconds, as milliseconds */
    SECONDS, /* microseconds, as seconds */
    AGE_MS,  /* a moment: how long ago it was, in milliseconds; -1 = never */
    AGE_S,   /* a moment, in seconds likewise */
    KEY,     /* an id of a key, as 8 hexadecimal digits */
    HANDLE,  /* the first bytes of a key, as 16 of them */
    TEXT,    /* an array of char, up to a zero or its end */
    WORDS,   /* a pointer to a text; nothing is shown if it is NULL */
    ROLE,    /* this and what follows: the name of an enumerator */
    WHY,
    TRANSFER,
    STAND,
    WAITS,
    STATE,
    SESSION,
    DOUBT,
    STANDING,
    VERSION,
};

/* When a field is shown, ored. */
enum when { ALWAYS, UNLESS_0 = 1, ON_LEADER = 2 };

struct field {
    const char *name;
    size_t at, size; /* in the struct */
    enum show show;
    unsigned when; /* enum when */
};

#define OF_NODE(member) offsetof(struct status, member), sizeof(((struct status *)NULL)->member)
#define OF_PEER(member)                                                                            \
    offsetof(struct status_peer, member), sizeof(((struct status_peer *)NULL)->member)

static const struct field node_fields[] = {
    {"id", OF_NODE(id), ID, ALWAYS},
    {"cluster", OF_NODE(cluster), TEXT, ALWAYS},
    {"recovering", OF_NODE(recovering), TEXT, UNLESS_0},
    {"role", OF_NODE(role), ROLE, ALWAYS},
    {"term", OF_NODE(term), NUMBER, ALWAYS},
    {"leader", OF_NODE(leader), ID, ALWAYS},
    {"leader_since_s", OF_NODE(leader_since_us), AGE_S, ALWAYS},
    {"leader_before", OF_NODE(leader_before), ID, ALWAYS},
    {"leader_changes_hour", OF_NODE(leader_changes_hour), NUMBER, ALWAYS},
    {"vote", OF_NODE(vote), ID, ALWAYS},
    {"own_standing", OF_NODE(own_standing), STAND, ALWAYS},
    {"members_index", OF_NODE(members_index), NUMBER, ALWAYS},
    {"members_committed", OF_NODE(members_committed), NUMBER, ALWAYS},
    {"commit_index", OF_NODE(commit_index), NUMBER, ALWAYS},
    {"applied_index", OF_NODE(applied_index), NUMBER, ALWAYS},
    {"last_index", OF_NODE(last_index), NUMBER, ALWAYS},
    {"durable_index", OF_NODE(durable_index), NUMBER, ALWAYS},
    {"doubt", OF_NODE(doubt), FLAG, ALWAYS},
    {"doubt_reason", OF_NODE(doubt), DOUBT, UNLESS_0},
    {"doubt_index", OF_NODE(doubt_index), NUMBER, UNLESS_0},
    {"differs_index", OF_NODE(differs_index), NUMBER, UNLESS_0},
    {"keys", OF_NODE(keys), NUMBER, ALWAYS},
    {"data_bytes", OF_NODE(data_bytes), NUMBER, ALWAYS},
    {"max_data_bytes", OF_NODE(max_data_bytes), NUMBER, ALWAYS},
    {"pending_writes", OF_NODE(pending_writes), NUMBER, ALWAYS},
    {"clients", OF_NODE(clients), NUMBER, ALWAYS},
    {"clients_blocked", OF_NODE(clients_blocked), NUMBER, ALWAYS},
    {"clients_refused", OF_NODE(clients_refused), NUMBER, ALWAYS},
    {"connections", OF_NODE(connections), NUMBER, ALWAYS},
    {"commands", OF_NODE(commands), NUMBER, ALWAYS},
    {"reads", OF_NODE(reads), NUMBER, ALWAYS},
    {"writes", OF_NODE(writes), NUMBER, ALWAYS},
    {"last_election", OF_NODE(why), WHY, ALWAYS},
    {"transfer", OF_NODE(transfer), TRANSFER, ALWAYS},
    {"transfer_to", OF_NODE(heir), ID, UNLESS_0},
    {"transfers", OF_NODE(transfers), NUMBER, ALWAYS},
    {"drained", OF_NODE(drained), NUMBER, ALWAYS},
    {"outranked_by", OF_NODE(outranked_by), ID, UNLESS_0},
    {"outranked_waits", OF_NODE(waits), WAITS, UNLESS_0},
    {"leader_no_room", OF_NODE(no_room), NUMBER, ALWAYS},
    {"campaigns", OF_NODE(raft.campaigns), NUMBER, ALWAYS},
    {"elections", OF_NODE(raft.elections), NUMBER, ALWAYS},
    {"elections_won", OF_NODE(raft.won), NUMBER, ALWAYS},
    {"votes_refused_by_lease", OF_NODE(raft.votes_refused_by_lease), NUMBER, ALWAYS},
    {"lost_acked", OF_NODE(raft.lost_acked), NUMBER, ALWAYS},
    {"stale_messages", OF_NODE(raft.stale_msgs), NUMBER, ALWAYS},
    {"impossible_messages", OF_NODE(raft.impossible_msgs), NUMBER, ALWAYS},
    {"election_timeout_ms", OF_NODE(election_timeout_ms), NUMBER, ALWAYS},
    {"max_value_bytes", OF_NODE(max_value_bytes), NUMBER, ALWAYS},
    {"lease_ms", OF_NODE(lease_ms), NUMBER, ALWAYS},
    {"lease_left_ms", OF_NODE(lease_left_us), MS, ALWAYS},
    {"uptime_s", OF_NODE(start_us), AGE_S, ALWAYS},
    {"age_ms", OF_NODE(now_us), AGE_MS, ALWAYS},
    {"uptime_box_s", OF_NODE(now_us), SECONDS, ALWAYS},
    {"fsync_count", OF_NODE(fsyncs), NUMBER, ALWAYS},
    {"fsync_p50_us", OF_NODE(fsync_p50_us), NUMBER, ALWAYS},
    {"fsync_p99_us", OF_NODE(fsync_p99_us), NUMBER, ALWAYS},
    {"fsync_max_us", OF_NODE(fsync_max_us), NUMBER, ALWAYS},
    {"fsync_stalls", OF_NODE(fsync_stalls), NUMBER, ALWAYS},
    {"loop_max_us", OF_NODE(loop_max_us), NUMBER, ALWAYS},
    {"loop_max_cpu_us", OF_NODE(loop_max_cpu_us), NUMBER, ALWAYS},
    {"disk_bytes", OF_NODE(disk_bytes), NUMBER, ALWAYS},
    {"log_bytes", OF_NODE(log_bytes), NUMBER, ALWAYS},
    {"log_max_bytes", OF_NODE(log_max_bytes), NUMBER, ALWAYS},
    {"log_full", OF_NODE(log_full), NUMBER, ALWAYS},
    {"log_first_index", OF_NODE(log_first_index), NUMBER, ALWAYS},
    {"snapshot_index", OF_NODE(snapshot_index), NUMBER, ALWAYS},
    {"snapshot_bytes", OF_NODE(snapshot_bytes), NUMBER, ALWAYS},
    {"image", OF_NODE(imaging), NUMBER, ALWAYS},
    {"image_kept_bytes", OF_NODE(image_kept_bytes), NUMBER, UNLESS_0},
    {"install_bytes", OF_NODE(install_bytes), NUMBER, UNLESS_0},
    {"install_of_bytes", OF_NODE(install_of_bytes), NUMBER, UNLESS_0},
    {"installs_failed", OF_NODE(installs_failed), NUMBER, UNLESS_0},
    {"snapshot_age_s", OF_NODE(snapshot_us), AGE_S, ALWAYS},
    {"images_given_up", OF_NODE(images_given_up), NUMBER, ALWAYS},
    {"disk_free", OF_NODE(disk_free), NUMBER, ALWAYS},
    {"disk_min_free", OF_NODE(disk_min_free), NUMBER, ALWAYS},
    {"disk_full", OF_NODE(disk_full), NUMBER, ALWAYS},
    {"local_reads", OF_NODE(local_reads), NUMBER, ALWAYS},
    {"tail_dropped", OF_NODE(tail_dropped), NUMBER, ALWAYS},
    {"disk_pending_ms", OF_NODE(disk_pending_us), MS, ALWAYS},
    {"uncommitted_ms", OF_NODE(uncommitted_us), MS, ALWAYS},
    {"datagrams_sent", OF_NODE(datagrams_sent), NUMBER, ALWAYS},
    {"datagrams_received", OF_NODE(datagrams_received), NUMBER, ALWAYS},
    {"send_lost", OF_NODE(udp.lost), NUMBER, ALWAYS},
    {"send_too_big", OF_NODE(udp.too_big), NUMBER, ALWAYS},
    {"receive_errors", OF_NODE(udp.receive_errors), NUMBER, ALWAYS},
    {"rxq_drops", OF_NODE(udp.rxq_drops), NUMBER, ALWAYS},
    {"key_id", OF_NODE(key_id), KEY, UNLESS_0},
    {"next_key_id", OF_NODE(next_key_id), KEY, UNLESS_0},
};

static const struct field peer_fields[] = {
    {"addr", OF_PEER(addr), TEXT, ALWAYS},
    {"at", OF_PEER(at), TEXT, UNLESS_0},
    {"state", OF_PEER(state), STATE, ON_LEADER},
    {"match_index", OF_PEER(match_index), NUMBER, ON_LEADER},
    {"lost_index", OF_PEER(lost_index), NUMBER, ON_LEADER | UNLESS_0},
    {"last_heard_ms", OF_PEER(heard_us), AGE_MS, ALWAYS},
    {"session", OF_PEER(session), SESSION, ALWAYS},
    {"trouble", OF_PEER(trouble), WORDS, UNLESS_0},
    {"session_age_ms", OF_PEER(session_us), AGE_MS, ALWAYS},
    {"session_key_id", OF_PEER(session_key_id), KEY, UNLESS_0},
    {"rtt_us", OF_PEER(rtt_us), NUMBER, ALWAYS},
    {"rtt_min_us", OF_PEER(rtt_min_us), NUMBER, ALWAYS},
    {"loss_in_permille", OF_PEER(loss_in_permille), SIGNED, ALWAYS},
    {"loss_out_permille", OF_PEER(loss_out_permille), SIGNED, ALWAYS},
    {"window_bytes", OF_PEER(window_bytes), NUMBER, ALWAYS},
    {"in_flight_bytes", OF_PEER(in_flight_bytes), NUMBER, ALWAYS},
    {"datagram_bytes", OF_PEER(datagram_bytes), NUMBER, ALWAYS},
    {"datagrams_sent", OF_PEER(sent), NUMBER, ALWAYS},
    {"datagrams_received", OF_PEER(received), NUMBER, ALWAYS},
    {"resent_bytes", OF_PEER(resent_bytes), NUMBER, ALWAYS},
    {"resent_datagrams", OF_PEER(resent_datagrams), NUMBER, ALWAYS},
};

enum {
    NODE_FIELDS = sizeof node_fields / sizeof node_fields[0],
    PEER_FIELDS = sizeof peer_fields / sizeof peer_fields[0],
};

#define OF_MEMBER(member)                                                                          \
    offsetof(struct status_member, member), sizeof(((struct status_member *)NULL)->member)

static const struct field member_fields[] = {
    {"id", OF_MEMBER(id), ID, ALWAYS},
    {"standing", OF_MEMBER(standing), STANDING, ALWAYS},
    {"role", OF_MEMBER(role), WORDS, UNLESS_0},
    {"priority", OF_MEMBER(priority), NUMBER, ALWAYS},
    {"address", OF_MEMBER(addr), TEXT, ALWAYS},
    {"at", OF_MEMBER(at), TEXT, UNLESS_0},
    {"incarnation", OF_MEMBER(incarnation), HANDLE, UNLESS_0},
    {"session", OF_MEMBER(session), SESSION, ALWAYS},
    {"heard_ms", OF_MEMBER(heard_us), AGE_MS, ALWAYS},
    {"match_index", OF_MEMBER(match_index), NUMBER, ON_LEADER},
    {"lag", OF_MEMBER(lag), NUMBER, ON_LEADER},
    {"lag_bytes", OF_MEMBER(lag_bytes), NUMBER, ON_LEADER},
    {"of_bytes", OF_MEMBER(of_bytes), NUMBER, ON_LEADER},
    {"percent", OF_MEMBER(percent), NUMBER, ON_LEADER},
    {"eta_s", OF_MEMBER(eta_s), SIGNED, ON_LEADER},
    {"version", OF_MEMBER(version), VERSION, UNLESS_0},
    {"fsync_p99_us", OF_MEMBER(fsync_p99_us), NUMBER, UNLESS_0},
    {"uptime_s", OF_MEMBER(uptime_s), NUMBER, ALWAYS},
};

enum { MEMBER_FIELDS = sizeof member_fields / sizeof member_fields[0] };

/* Of the table of members. */
struct columns {
    bool print; /* else it is measured */
    unsigned at;
    int width[MEMBER_FIELDS];
};

/* Where a status goes to, as JSON or as lines of text. The name of a line begins with those of what it is
 * in. */
struct sink {
    struct json json;
    bool text;
    struct columns *columns; /* not NULL: the next value goes into the next one */
    char in[32];             /* "peer.1.drop." */
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

static void put_cell(struct sink *k, const char *value)
{
    struct columns *c = k->columns;
    int len = (int)strlen(value), *width = &c->width[c->at];
    bool last = ++c->at == MEMBER_FIELDS;
    if (c->print)
        fprintf(k->json.out, "%-*s%s", last ? 0 : *width, value, last ? "\n" : "  ");
    else if (len > *width)
        *width = len;
    c->at = last ? 0 : c->at;
}

__attribute__((format(printf, 3, 4))) static void put(struct sink *k, const char *name,
                                                      const char *fmt, ...)
{
    char value[VALUE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(value, sizeof value, fmt, args); /* what does not fit is cut */
    va_end(args);
    if (k->columns != NULL)
        put_cell(k, value);
    else if (k->text)
        fprintf(k->json.out, "%s%s=%s\n", k->in, name, value);
    else
        json_text(&k->json, name, value);
}

static void put_number(struct sink *k, const char *name, uint64_t value)
{
    put(k, name, "%" PRIu64, value);
}

/* How long ago a moment was; -1 = never. One after now_us, as another processor may read it, counts as
 * now. */
static int64_t age_ms(uint64_t now_us, uint64_t then_us)
{
    if (then_us == 0)
        return -1;
    return then_us < now_us ? (int64_t)((now_us - then_us) / 1000) : 0;
}

static uint64_t value_of(const struct field *f, const void *base)
{
    const void *at = (const char *)base + f->at;
    switch (f->size) {
    case 1: return *(const uint8_t *)at;
    case 2: return *(const uint16_t *)at;
    case 4: return *(const uint32_t *)at;
    case 8: return *(const uint64_t *)at;
    default: return *(const uint8_t *)at; /* a text: 0 if it is empty */
    }
}

static const char *session_name(uint64_t session)
{
    return session < STATUS_SESSIONS ? status_session_name((enum status_session)session) : "own";
}

static const char *standing_name(uint64_t standing)
{
    return standing == MEMBER_VOTER ? "voter" : standing == MEMBER_JOINING ? "joining" : "learner";
}

static void put_field(struct sink *k, const struct field *f, const void *base)
{
    const char *at = (const char *)base + f->at;
    uint64_t v = value_of(f, base);
    int64_t ms = age_ms(k->now_us, v);
    bool unknown = (f->show == SESSION && v >= STATUS_SESSIONS) || (f->show == AGE_MS && v == 0);
    if (((f->when & ON_LEADER) != 0 && !k->leader) || ((f->when & UNLESS_0) != 0 && v == 0) ||
        (unknown && k->columns != NULL)) {
        if (k->columns != NULL)
            put(k, f->name, "-");
        return;
    }
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
    case ROLE: put(k, f->name, "%s", raft_role_name((enum raft_role)v)); break;
    case WHY: put(k, f->name, "%s", raft_why_name((enum raft_why)v)); break;
    case TRANSFER: put(k, f->name, "%s", raft_transfer_name((enum raft_transfer)v)); break;
    case STAND: put(k, f->name, "%s", raft_stand_name((enum raft_stand)v)); break;
    case WAITS: put(k, f->name, "%s", raft_waits_name((enum raft_waits)v)); break;
    case STATE: put(k, f->name, "%s", raft_peer_state_name((enum raft_peer_state)v)); break;
    case DOUBT: put(k, f->name, v == STATUS_DOUBT_DAMAGED ? "damaged" : "acknowledged"); break;
    case SESSION: put(k, f->name, "%s", session_name(v)); break;
    case STANDING: put(k, f->name, "%s", standing_name(v)); break;
    case VERSION:
        put(k, f->name, "%u.%u.%u", (unsigned)(v >> 16), (unsigned)(v >> 8 & 255),
            (unsigned)(v & 255));
        break;
    }
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
    for (size_t i = 0; i < PEER_FIELDS; i++)
        put_field(k, &peer_fields[i], p);
    put_drops(k, p->drops, false);
    leave(k, before);
}

/* Shows what voter number i hears of each other one. */
static void put_link(struct sink *k, const struct status *s, unsigned n, unsigned i)
{
    char name[8];
    const struct status_link *from = &s->links[i];
    int64_t age = age_ms(k->now_us, from->at_us);
    bool known = age >= 0 && age < STATUS_LINK_LASTS_MS;
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

void status_print(FILE *out, const struct status *s, uint64_t now_us, bool json)
{
    struct sink k = {
        .json = {.out = out}, .text = !json, .leader = s->role == RAFT_LEADER, .now_us = now_us};
    if (json)
        json_open(&k.json, NULL, '{');
    for (size_t i = 0; i < NODE_FIELDS; i++)
        put_field(&k, &node_fields[i], s);
    put_advice(&k, s);
    put_drops(&k, s->drops, true);
    if (json)
        json_open(&k.json, "peers", '[');
    for (unsigned i = 0; i < s->n_peers && i < RAFT_PEERS_MAX; i++)
        put_peer(&k, &s->peers[i]);
    if (json)
        json_close(&k.json, ']');
    put_links(&k, s);
    if (json) {
        json_close(&k.json, '}');
        fputc('\n', out);
    }
}

void status_print_links(FILE *out, const struct status *s, uint64_t now_us)
{
    struct sink k = {.json = {.out = out}, .text = true, .now_us = now_us};
    put_links(&k, s);
}

static void put_members(struct sink *k, const struct status *s)
{
    unsigned n = s->n_members < RAFT_MEMBERS_MAX ? s->n_members : RAFT_MEMBERS_MAX;
    for (unsigned i = 0; i < n; i++) {
        if (!k->text)
            json_open(&k->json, NULL, '{');
        for (unsigned f = 0; f < MEMBER_FIELDS; f++)
            put_field(k, &member_fields[f], &s->members[i]);
        if (!k->text)
            json_close(&k->json, '}');
    }
}

/* Each column as wide as its widest value. */
static void put_table(struct sink *k, const struct status *s)
{
    for (int pass = 0; pass < 2; pass++) {
        k->columns->print = pass == 1;
        for (unsigned f = 0; f < MEMBER_FIELDS; f++)
            put(k, NULL, "%s", member_fields[f].name);
        put_members(k, s);
    }
    fprintf(k->json.out, "as node %u%s %" PRId64 " ms ago; members of entry %" PRIu64 "\n",
            s->members_by, s->members_led ? ", which leads, told" : ", which does not lead, saw",
            age_ms(k->now_us, s->members_us), s->members_index);
}

void status_print_members(FILE *out, const struct status *s, uint64_t now_us, bool json)
{
    struct columns columns = {0};
    struct sink k = {.json = {.out = out},
                     .text = !json,
                     .columns = json ? NULL : &columns,
                     .leader = s->members_led,
                     .now_us = now_us};
    if (!json) {
        put_table(&k, s);
        return;
    }
    json_open(&k.json, NULL, '{');
    put_number(&k, "members_index", s->members_index);
    json_number(&k.json, "told_by", s->members_by);
    put_number(&k, "told_by_leader", s->members_led);
    put(&k, "told_ms", "%" PRId64, age_ms(now_us, s->members_us));
    json_open(&k.json, "members", '[');
    put_members(&k, s);
    json_close(&k.json, ']');
    json_close(&k.json, '}');
    fputc('\n', out);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The field `name` of *base gets what `value` says, if it can be read. */
static void set_field(const struct field *fields, size_t n, void *base, const char *name,
                      const char *value)
{
    const struct field *f = fields;
    uint64_t v = 0;
    while (f < fields + n && strcmp(f->name, name) != 0)
        f++;
    if (f == fields + n)
        return;
    void *at = (char *)base + f->at;
    if (f->show == WORDS)
        *(const char **)at = value;
    if (f->show == TEXT)
        (void)snprintf(at, f->size, "%s", value);
    if (f->show == TRANSFER)
        while (v < RAFT_TRANSFER_COUNT &&
               strcmp(value, raft_transfer_name((enum raft_transfer)v)) != 0)
            v++;
    else if ((f->show != NUMBER && f->show != ID) ||
             !num_parse(value, 0, UINT64_MAX >> (64 - 8 * f->size), &v))
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
static void read_link(struct status *s, uint64_t from, uint64_t to, const char *value)
{
    uint64_t percent = STATUS_LINK_UNKNOWN;
    if (from == to || from == 0 || to == 0)
        return;
    int i = place_of(s, from), k = place_of(s, to);
    if (strcmp(value, "silent") == 0)
        percent = STATUS_LINK_SILENT;
    else
        (void)num_parse(value, 0, STATUS_LINK_HEARD_MAX, &percent);
    if (i >= 0 && k >= 0)
        s->links[i].heard[k] = (uint8_t)percent;
}

static void read_line(struct status *s, const char *name, const char *value)
{
    uint64_t id, to;
    bool peer = strncmp(name, "peer.", 5) == 0, link = strncmp(name, "link.", 5) == 0;
    const char *at = peer || link ? name + 5 : name;
    struct status_peer *p;
    if (!peer && !link)
        set_field(node_fields, NODE_FIELDS, s, name, value);
    else if (!num_take(&at, 10, UINT16_MAX, &id) || *at++ != '.')
        return;
    else if (link && num_take(&at, 10, UINT16_MAX, &to) && *at == '\0')
        read_link(s, id, to, value);
    else if (peer && (p = peer_of(s, (uint16_t)id)) != NULL)
        set_field(peer_fields, PEER_FIELDS, p, at, value);
}

void status_read(struct status *s, char *text)
{
    char *value;
    *s = (struct status){.n_peers = 0};
    for (size_t i = 0; i < sizeof s->links / sizeof s->links[0]; i++)
        memset(s->links[i].heard, STATUS_LINK_UNKNOWN, sizeof s->links[i].heard);
    while ((value = strsep(&text, "\n")) != NULL) {
        const char *name = strsep(&value, "=");
        if (value != NULL)
            read_line(s, name, value);
    }
}
