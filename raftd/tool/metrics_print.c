/* metrics_print.c: what this node knows of itself as text for Prometheus. Tables say which line of INFO
 * becomes which metric; a field that is in none of them is no number, or is in another metric's label. */
#include <inttypes.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/base/version.h"
#include "raftd/tool/raftctl.h"

enum type { GAUGE, COUNTER };

/* What one of the value is of the metric's unit. */
enum scale { ONE = 1, PERCENT = 100, THOUSANDTH = 1000, MILLIONTH = 1000000 };

enum { LABELS = 2 };

struct metric {
    const char *field; /* in INFO; "*" stands for a label's value */
    const char *name;  /* behind "raftd_" */
    enum type type;
    enum scale scale;
    const char *help;
};

static const struct metric metrics[] = {
    {"term", "term_total", COUNTER, ONE, "Term of Raft."},
    {"leader", "leader", GAUGE, ONE, "Id of the node that leads, 0 if none is known."},
    {"leader_since_s", "leader_age_seconds", GAUGE, ONE, "For how long it is known to lead."},
    {"leader_changes_hour", "leader_changes_last_hour", GAUGE, ONE,
     "Changes of leader within an hour."},
    {"members_index", "members_index", GAUGE, ONE, "Entry with the newest list of members."},
    {"commit_index", "commit_index_total", COUNTER, ONE, "Newest entry known as committed."},
    {"leader_commit_index", "leader_commit_index_total", COUNTER, ONE,
     "Newest entry that the leader is known to have committed."},
    {"applied_index", "applied_index_total", COUNTER, ONE, "Newest entry that is in the state."},
    {"last_index", "last_index", GAUGE, ONE, "Newest entry of the log."},
    {"durable_index", "durable_index", GAUGE, ONE, "Newest entry that is on the disk for sure."},
    {"doubt", "in_doubt", GAUGE, ONE, "1 if the node has less than it had promised."},
    {"differs_index", "differs_index", GAUGE, ONE,
     "Entry as of which the state is not that of other nodes; absent if it is."},
    {"keys", "keys", GAUGE, ONE, "Keys."},
    {"data_bytes", "data_bytes", GAUGE, ONE, "Keys and values, with 64 bytes for each key."},
    {"max_data_bytes", "data_limit_bytes", GAUGE, ONE, "How many of those may be."},
    {"pending_writes", "pending_writes", GAUGE, ONE, "Writes of local clients without an answer."},
    {"clients", "clients", GAUGE, ONE, "Connections of local clients."},
    {"clients_blocked", "clients_blocked", GAUGE, ONE, "Commands that wait for a lock."},
    {"clients_refused", "connections_refused_total", COUNTER, ONE,
     "Connections over the limit of clients."},
    {"connections", "connections_total", COUNTER, ONE, "Connections of local clients that came."},
    {"reads", "reads_total", COUNTER, ONE, "Commands of local clients that read values."},
    {"writes", "writes_total", COUNTER, ONE, "Commands of local clients that write values."},
    {"transfers", "transfers_total", COUNTER, ONE, "Hand-overs that this leader was asked for."},
    {"drained", "drained", GAUGE, ONE, "1 if the node leads no more until it is started again."},
    {"leader_no_room", "leader_no_room", GAUGE, ONE,
     "1 if this leader has no room and nobody can take its place."},
    {"campaigns", "campaigns_total", COUNTER, ONE,
     "How often the node asked whether it would be elected."},
    {"elections", "elections_total", COUNTER, ONE, "How often it stood for election."},
    {"elections_won", "elections_won_total", COUNTER, ONE, "How often it won."},
    {"votes_refused_by_lease", "votes_refused_total", COUNTER, ONE,
     "Votes refused because a leader was heard."},
    {"lost_acked", "lost_acknowledged_total", COUNTER, ONE,
     "How often a node was found to have less than it had promised."},
    {"stale_messages", "stale_messages_total", COUNTER, ONE, "Messages of the past, dropped."},
    {"impossible_messages", "impossible_messages_total", COUNTER, ONE,
     "Messages that no correct node sends, dropped."},
    {"election_timeout_ms", "election_timeout_seconds", GAUGE, THOUSANDTH, "As configured."},
    {"lease_left_ms", "lease_left_seconds", GAUGE, THOUSANDTH,
     "For so long clients here hold their locks for sure."},
    {"uptime_s", "uptime_seconds", GAUGE, ONE, "Since the start of the daemon."},
    {"age_ms", "status_age_seconds", GAUGE, THOUSANDTH,
     "How old all of this is: little unless the main loop hangs."},
    {"fsync_count", "fsyncs_total", COUNTER, ONE, "Syncs of the log."},
    {"fsync_p50_us", "fsync_p50_seconds", GAUGE, MILLIONTH,
     "Half of the latest writes of the log took no longer."},
    {"fsync_p99_us", "fsync_p99_seconds", GAUGE, MILLIONTH,
     "All but a hundredth of the latest writes of the log took no longer."},
    {"fsync_max_us", "fsync_max_seconds", GAUGE, MILLIONTH, "Longest write of the log."},
    {"fsync_stalls", "fsync_stalls_total", COUNTER, ONE,
     "Writes of the log that took over half of the election timeout."},
    {"loop_max_us", "loop_max_seconds", GAUGE, MILLIONTH, "Longest turn of the main loop."},
    {"loop_max_cpu_us", "loop_max_cpu_seconds", GAUGE, MILLIONTH,
     "The most that one turn used of a processor."},
    {"disk_bytes", "log_written_bytes_total", COUNTER, ONE, "Bytes written to the log."},
    {"log_bytes", "log_bytes", GAUGE, ONE, "Files of the log."},
    {"log_max_bytes", "log_limit_bytes", GAUGE, ONE, "How large they may be."},
    {"log_full", "log_full", GAUGE, ONE, "1 while they are larger: new writes are refused here."},
    {"log_first_index", "log_first_index", GAUGE, ONE, "First entry that is still in the log."},
    {"snapshot_index", "snapshot_index", GAUGE, ONE, "Last entry in the newest snapshot."},
    {"snapshot_bytes", "snapshot_bytes", GAUGE, ONE, "Size of the newest snapshot."},
    {"snapshot_age_s", "snapshot_age_seconds", GAUGE, ONE,
     "Since it was written; absent before the first one since the start."},
    {"image", "snapshot_in_progress", GAUGE, ONE, "1 while a snapshot is being written."},
    {"image_kept_bytes", "snapshot_kept_bytes", GAUGE, ONE,
     "Memory of what was replaced meanwhile; absent else."},
    {"images_given_up", "snapshots_given_up_total", COUNTER, ONE,
     "Snapshots that could not be written."},
    {"install_bytes", "install_bytes", GAUGE, ONE,
     "What has come of a snapshot of the leader; absent if none comes."},
    {"install_of_bytes", "install_size_bytes", GAUGE, ONE, "Size of that one."},
    {"installs_failed", "installs_failed_total", COUNTER, ONE,
     "Such snapshots that could not be taken; absent if all could."},
    {"disk_free", "disk_free_bytes", GAUGE, ONE, "Free on the file system of the log."},
    {"disk_min_free", "disk_min_free_bytes", GAUGE, ONE, "With less no writes are taken."},
    {"disk_full", "disk_full", GAUGE, ONE, "1 while writes wait for room on the disk."},
    {"disk_slow", "disk_slow", GAUGE, ONE, "1 while the disk stalls often."},
    {"disk_pending_ms", "disk_pending_seconds", GAUGE, THOUSANDTH,
     "Age of the write of the log that is under way."},
    {"uncommitted_ms", "uncommitted_seconds", GAUGE, THOUSANDTH,
     "For so long this leader's entries wait and none was committed."},
    {"local_reads", "local_reads", GAUGE, ONE, "1 if reads that need no leader are served."},
    {"tail_dropped", "tail_dropped", GAUGE, ONE, "1 if the start dropped a write that was cut."},
    {"datagrams_sent", "datagrams_sent_total", COUNTER, ONE, "Datagrams sent."},
    {"datagrams_received", "datagrams_received_total", COUNTER, ONE, "Datagrams received."},
    {"send_lost", "datagrams_unsent_total", COUNTER, ONE,
     "Datagrams that this box refused to send."},
    {"send_too_big", "datagrams_too_big_total", COUNTER, ONE,
     "Datagrams that were too big for a way."},
    {"receive_errors", "receive_errors_total", COUNTER, ONE, "Errors of the socket."},
    {"rxq_drops", "receive_queue_drops_total", COUNTER, ONE,
     "Datagrams that this box was too slow for."},
    {"used_memory_rss", "process_resident_memory_bytes", GAUGE, ONE, "Memory of the daemon."},
    {"used_cpu_*", "process_cpu_seconds_total", COUNTER, ONE,
     "Time of processors that the daemon had."},
    {"cmdstat_*", "commands_total", COUNTER, ONE, "Commands of local clients that were taken."},
    {"drop.*", "dropped_datagrams_total", COUNTER, ONE, "Datagrams dropped, by reason."},
    {"peer.*.match_index", "peer_match_index", GAUGE, ONE,
     "Newest entry that the peer has for sure, if this node leads."},
    {"peer.*.lost_index", "peer_lost_index", GAUGE, ONE,
     "The peer acknowledged entries up to here and has lost some; absent if not."},
    {"peer.*.last_heard_ms", "peer_last_heard_seconds", GAUGE, THOUSANDTH,
     "Since the peer was last heard; absent if it was not."},
    {"peer.*.session_age_ms", "peer_session_age_seconds", GAUGE, THOUSANDTH,
     "Since the handshake."},
    {"peer.*.rtt_us", "peer_rtt_seconds", GAUGE, MILLIONTH, "Round trip to the peer, smoothed."},
    {"peer.*.rtt_min_us", "peer_rtt_min_seconds", GAUGE, MILLIONTH, "Shortest of the last minute."},
    {"peer.*.loss_in_permille", "peer_loss_in_ratio", GAUGE, THOUSANDTH,
     "Part of the peer's datagrams that is lost."},
    {"peer.*.loss_out_permille", "peer_loss_out_ratio", GAUGE, THOUSANDTH,
     "Part of the datagrams to the peer that is lost."},
    {"peer.*.window_bytes", "peer_window_bytes", GAUGE, ONE,
     "Window of the log's stream to the peer."},
    {"peer.*.in_flight_bytes", "peer_in_flight_bytes", GAUGE, ONE, "Of that stream, on their way."},
    {"peer.*.datagram_bytes", "peer_datagram_bytes", GAUGE, ONE,
     "Largest datagrams that are sent to it."},
    {"peer.*.datagrams_sent", "peer_datagrams_sent_total", COUNTER, ONE, "Datagrams to the peer."},
    {"peer.*.datagrams_received", "peer_datagrams_received_total", COUNTER, ONE,
     "Datagrams from the peer."},
    {"peer.*.resent_bytes", "peer_resent_bytes_total", COUNTER, ONE, "Bytes sent once more."},
    {"peer.*.resent_datagrams", "peer_resent_datagrams_total", COUNTER, ONE,
     "Datagrams sent once more."},
    {"peer.*.drop.*", "peer_dropped_datagrams_total", COUNTER, ONE,
     "Datagrams that name the peer or come from its address, dropped, by reason."},
    {"member.*.heard_ms", "member_last_heard_seconds", GAUGE, THOUSANDTH,
     "Since who tells of the members heard this one."},
    {"member.*.told_ms", "member_told_seconds", GAUGE, THOUSANDTH,
     "Since the member told of itself."},
    {"member.*.match_index", "member_match_index", GAUGE, ONE,
     "Newest entry that the member has for sure."},
    {"member.*.lag", "member_lag_entries", GAUGE, ONE, "Entries that the member lacks."},
    {"member.*.lag_bytes", "member_lag_bytes", GAUGE, ONE, "Bytes of them, about."},
    {"member.*.rtt_us", "member_rtt_seconds", GAUGE, MILLIONTH,
     "Round trip between the member and the leader."},
    {"member.*.loss_in_permille", "member_loss_in_ratio", GAUGE, THOUSANDTH,
     "Part of the datagrams from the member that is lost."},
    {"member.*.loss_out_permille", "member_loss_out_ratio", GAUGE, THOUSANDTH,
     "Part of the datagrams to the member that is lost."},
    {"member.*.drained", "member_drained", GAUGE, ONE,
     "1 if the member leads no more until it is started again."},
    {"member.*.uptime_s", "member_uptime_seconds", GAUGE, ONE,
     "Since the start of the member's daemon."},
    {"member.*.fsync_p99_us", "member_fsync_p99_seconds", GAUGE, MILLIONTH,
     "As fsync_p99_seconds, of the member."},
    {"member.*.applied_index", "member_applied_index_total", COUNTER, ONE,
     "As applied_index_total, of the member."},
    {"member.*.log_bytes", "member_log_bytes", GAUGE, ONE, "As log_bytes, of the member."},
    {"member.*.snapshot_index", "member_snapshot_index", GAUGE, ONE,
     "As snapshot_index, of the member."},
    {"member.*.snapshot_age_s", "member_snapshot_age_seconds", GAUGE, ONE,
     "As snapshot_age_seconds, of the member."},
    {"member.*.data_bytes", "member_data_bytes", GAUGE, ONE, "As data_bytes, of the member."},
    {"member.*.keys", "member_keys", GAUGE, ONE, "As keys, of the member."},
    {"link.*.*", "link_loss_ratio", GAUGE, PERCENT,
     "Part of what a member sends that another one does not get; 1 if it hears nothing."},
};

/* What stands for "*" in the fields that begin so: labels. The first that fits counts. */
static const struct {
    const char *begins;
    const char *labels[LABELS]; /* NULL: there are no more */
} labelled[] = {
    {"used_cpu_", {"mode"}},   {"cmdstat_", {"command"}},
    {"drop.", {"reason"}},     {"peer.*.drop.", {"peer", "reason"}},
    {"peer.", {"peer"}},       {"member.", {"member"}},
    {"link.", {"at", "from"}}, {"", {NULL}},
};

enum { METRICS = sizeof metrics / sizeof metrics[0] };

/* Bytes of a text. */
struct part {
    const char *at;
    size_t len;
};

/* The next line "NAME:VALUE" of INFO from *at on. False: there are no more. */
static bool next(const char **at, struct part *name, struct part *value)
{
    while (**at != '\0') {
        const char *line = *at;
        size_t len = strcspn(line, "\r\n");
        const char *colon = memchr(line, ':', len);
        *at = line + len + strspn(line + len, "\r\n");
        if (colon == NULL)
            continue; /* the title of a section */
        *name = (struct part){line, (size_t)(colon - line)};
        *value = (struct part){colon + 1, len - name->len - 1};
        return true;
    }
    return false;
}

/* The value of that name; empty if there is none. */
static struct part find(const char *info, const char *field)
{
    struct part name, value;
    while (next(&info, &name, &value))
        if (strlen(field) == name.len && memcmp(field, name.at, name.len) == 0)
            return value;
    return (struct part){"", 0};
}

static bool is(const struct part *p, const char *word)
{
    return strlen(word) == p->len && memcmp(word, p->at, p->len) == 0;
}

/* Whether the name is such a field; what stands for "*" in it: up to a dot, or, at the end, all. */
static bool match(const char *field, const struct part *name, struct part labels[LABELS])
{
    size_t at = 0;
    for (unsigned n = 0; *field != '\0'; field++) {
        if (*field != '*') {
            if (at == name->len || name->at[at++] != *field)
                return false;
            continue;
        }
        size_t from = at;
        while (at < name->len && (field[1] == '\0' || name->at[at] != '.'))
            at++;
        if (at == from)
            return false;
        labels[n++] = (struct part){name->at + from, at - from};
    }
    return at == name->len;
}

static const char *const *labels_of(const char *field)
{
    unsigned i = 0;
    while (strncmp(field, labelled[i].begins, strlen(labelled[i].begins)) != 0)
        i++;
    return labelled[i].labels;
}

/* --- printing --------------------------------------------------------------------------------- */

static void print_head(FILE *out, const char *name, enum type type, const char *help)
{
    fprintf(out, "# HELP raftd_%s %s\n# TYPE raftd_%s %s\n", name, help, name,
            type == COUNTER ? "counter" : "gauge");
}

/* `before`: the brace or the comma. */
static void print_label(FILE *out, char before, const char *name, const struct part *value)
{
    fprintf(out, "%c%s=\"", before, name);
    for (size_t i = 0; i < value->len; i++)
        fprintf(out, strchr("\"\\", value->at[i]) != NULL ? "\\%c" : "%c", value->at[i]);
    fputc('"', out);
}

/* The value of a sample as text. False: it is no number, or -1, which stands for "not known". */
static bool sample(char text[32], const struct part *value, enum scale scale)
{
    const char *at = value->at;
    size_t len = value->len;
    uint64_t n;
    int digits = scale == PERCENT ? 2 : scale == THOUSANDTH ? 3 : 6;
    if (len > 6 && memcmp(at, "calls=", 6) == 0) { /* of a command; the rest is not measured */
        at += 6;
        len = strspn(at, "0123456789");
    }
    if (len == 0 || len >= 32)
        return false;
    memcpy(text, at, len);
    text[len] = '\0';
    if (scale == PERCENT && strcmp(text, "silent") == 0)
        memcpy(text, "100", 4);
    if (scale == ONE)
        return strspn(text, "0123456789.") == strlen(text);
    if (!num_parse(text, 0, UINT64_MAX, &n))
        return false;
    (void)snprintf(text, 32, "%" PRIu64 ".%0*" PRIu64, n / scale, digits, n % scale);
    return true;
}

static void print_metric(FILE *out, const char *info, const struct metric *m)
{
    const char *const *names = labels_of(m->field);
    struct part name, value, labels[LABELS];
    char text[32];
    bool any = false;
    while (next(&info, &name, &value)) {
        if (!match(m->field, &name, labels) || !sample(text, &value, m->scale))
            continue;
        if (!any)
            print_head(out, m->name, m->type, m->help);
        any = true;
        fprintf(out, "raftd_%s", m->name);
        for (unsigned i = 0; i < LABELS && names[i] != NULL; i++)
            print_label(out, i == 0 ? '{' : ',', names[i], &labels[i]);
        fprintf(out, "%s %s\n", names[0] != NULL ? "}" : "", text);
    }
}

/* What is no number: the value of a label, and the metric is 1. */
static void print_word(FILE *out, const char *info, const char *field, const char *help)
{
    struct part word = find(info, field);
    if (word.len == 0)
        return;
    print_head(out, field, GAUGE, help);
    fprintf(out, "raftd_%s", field);
    print_label(out, '{', field, &word);
    fputs("} 1\n", out);
}

static void print_info(FILE *out, const char *info)
{
    const struct part version = {RAFTD_VERSION, sizeof RAFTD_VERSION - 1};
    struct part id = find(info, "id"), cluster = find(info, "cluster");
    print_head(out, "info", GAUGE, "Which node this is.");
    fputs("raftd_info", out);
    print_label(out, '{', "cluster", &cluster);
    print_label(out, ',', "node", &id);
    print_label(out, ',', "version", &version);
    fputs("} 1\n", out);
}

/* Where each peer, or member, is, and one word more: values of labels, and the metric is 1. */
static void print_words(FILE *out, const char *info, const char *whose, const char *addr,
                        const char *word, const char *help)
{
    struct part name, value, id[LABELS];
    char field[40], metric[20];
    bool any = false;
    (void)snprintf(metric, sizeof metric, "%s_info", whose);
    for (const char *at = info; next(&at, &name, &value);) {
        (void)snprintf(field, sizeof field, "%s.*.%s", whose, addr);
        if (!match(field, &name, id))
            continue;
        (void)snprintf(field, sizeof field, "%s.%.*s.%s", whose, (int)min_u64(id[0].len, 9),
                       id[0].at, word);
        struct part said = find(info, field);
        if (!any)
            print_head(out, metric, GAUGE, help);
        any = true;
        fprintf(out, "raftd_%s", metric);
        print_label(out, '{', whose, &id[0]);
        print_label(out, ',', "address", &value);
        print_label(out, ',', word, &said);
        fputs("} 1\n", out);
    }
}

void print_metrics(FILE *out, const char *info)
{
    print_head(out, "up", GAUGE, "1 if the daemon answers.");
    fprintf(out, "raftd_up %d\n", info != NULL);
    if (info == NULL)
        return;
    struct part role = find(info, "role"), health = find(info, "health");
    print_info(out, info);
    print_word(out, info, "role", "Role in Raft.");
    print_head(out, "is_leader", GAUGE, "1 if the node leads.");
    fprintf(out, "raftd_is_leader %d\n", is(&role, "leader"));
    print_word(out, info, "health", "Whether the node does its work, and if not, why.");
    print_head(out, "healthy", GAUGE, "1 if the node does its work.");
    fprintf(out, "raftd_healthy %d\n", is(&health, "ok"));
    for (size_t i = 0; i < METRICS; i++)
        print_metric(out, info, &metrics[i]);
    print_words(out, info, "peer", "addr", "session",
                "Where a peer is, and what protects the datagrams.");
    print_words(out, info, "member", "address", "health", "Where a member is, and how it is.");
}
