/* status_text.c: see status.h. */
#include "raftd/node/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

const char *status_session_name(enum status_session session)
{
    switch (session) {
    case STATUS_SESSION_NONE: return "none";
    case STATUS_SESSION_PLAIN: return "plain";
    case STATUS_SESSION_HANDSHAKE: return "handshake";
    case STATUS_SESSION_ESTABLISHED: return "established";
    case STATUS_SESSION_WRONG_KEY: return "wrong_key";
    case STATUS_SESSION_OTHER_LIST: return "other_list";
    case STATUS_SESSION_OTHER_DISK: return "other_disk";
    case STATUS_SESSION_NEW_DISK: return "new_disk";
    case STATUS_SESSION_STAYS_OUT: return "stays_out";
    }
    return "?";
}

enum {
    ADVICE_MAX_BYTES = 512, /* all of them */
    ADVICE_CHANGES = 3,     /* of the leader in an hour; left alone, a cluster has none in weeks */
    ADVICE_DROPS = 100,     /* and more than one datagram in a thousand */
    ADVICE_DATA_PERCENT = 80,
};

struct text {
    char *buf;
    size_t cap;
    size_t len;
    bool full; /* a line did not fit: it and all later ones are left out */
};

/* Adds one line as a whole or not at all. */
__attribute__((format(printf, 2, 3))) static void line(struct text *t, const char *fmt, ...)
{
    if (t->full)
        return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->buf + t->len, t->cap - t->len, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->cap - t->len)
        t->full = true;
    else
        t->len += (size_t)n;
}

static void number(struct text *t, const char *key, uint64_t value)
{
    line(t, "%s=%" PRIu64 "\n", key, value);
}

/* Age in ms, -1 = never. A moment after now_us (another CPU's clock reading) counts as now. */
static int64_t age_ms(uint64_t now_us, uint64_t then_us)
{
    if (then_us == 0)
        return -1;
    return then_us < now_us ? (int64_t)((now_us - then_us) / 1000) : 0;
}

static int64_t age_s(uint64_t now_us, uint64_t then_us)
{
    int64_t ms = age_ms(now_us, then_us);
    return ms < 0 ? -1 : ms / 1000;
}

static void peer_number(struct text *t, unsigned id, const char *key, uint64_t value)
{
    line(t, "peer.%u.%s=%" PRIu64 "\n", id, key, value);
}

static void print_peer(struct text *t, const struct status *s, const struct status_peer *p,
                       uint64_t now_us)
{
    unsigned id = p->id;
    line(t, "peer.%u.addr=%.*s\n", id, (int)sizeof p->addr, p->addr);
    if (s->role == RAFT_LEADER) {
        line(t, "peer.%u.state=%s\n", id, raft_peer_state_name(p->state));
        line(t, "peer.%u.match_index=%" PRIu64 "\n", id, p->match_index);
        if (p->lost_index != 0)
            line(t, "peer.%u.lost_index=%" PRIu64 "\n", id, p->lost_index);
    }
    line(t, "peer.%u.last_heard_ms=%" PRId64 "\n", id, age_ms(now_us, p->heard_us));
    line(t, "peer.%u.session=%s\n", id, status_session_name(p->session));
    line(t, "peer.%u.session_age_ms=%" PRId64 "\n", id, age_ms(now_us, p->session_us));
    if (p->session_key_id != 0)
        line(t, "peer.%u.session_key_id=%08" PRIx32 "\n", id, p->session_key_id);
    peer_number(t, id, "rtt_us", p->rtt_us);
    peer_number(t, id, "rtt_min_us", p->rtt_min_us);
    line(t, "peer.%u.loss_in_permille=%" PRId32 "\n", id, p->loss_in_permille);
    line(t, "peer.%u.loss_out_permille=%" PRId32 "\n", id, p->loss_out_permille);
    peer_number(t, id, "window_bytes", p->window_bytes);
    peer_number(t, id, "in_flight_bytes", p->in_flight_bytes);
    peer_number(t, id, "datagram_bytes", p->datagram_bytes);
    peer_number(t, id, "datagrams_sent", p->sent);
    peer_number(t, id, "datagrams_received", p->received);
    peer_number(t, id, "resent_bytes", p->resent_bytes);
    peer_number(t, id, "resent_datagrams", p->resent_datagrams);
    for (int d = 0; d < DROP_COUNT; d++)
        if (p->drops[d] != 0)
            line(t, "peer.%u.drop.%s=%" PRIu64 "\n", id, drop_name((enum drop)d), p->drops[d]);
}

/* What each voter hears of each other. */
static void print_links(struct text *t, const struct status *s, uint64_t now_us)
{
    unsigned n = s->n_links < RAFT_VOTERS_MAX ? s->n_links : RAFT_VOTERS_MAX;
    for (unsigned i = 0; i < n; i++) {
        const struct status_link *from = &s->links[i];
        int64_t age = age_ms(now_us, from->at_us);
        bool known = age >= 0 && age < STATUS_LINK_LASTS_MS;
        for (unsigned k = 0; k < n; k++) {
            unsigned id = s->links[k].id;
            if (k == i)
                continue;
            if (!known || from->heard[k] == STATUS_LINK_UNKNOWN)
                line(t, "link.%u.%u=unknown\n", from->id, id);
            else if (from->heard[k] == STATUS_LINK_SILENT)
                line(t, "link.%u.%u=silent\n", from->id, id);
            else
                line(t, "link.%u.%u=%u\n", from->id, id, from->heard[k]);
        }
    }
}

/* What somebody should do about what the numbers say: one line, "none" if nothing. */
static void print_advice(struct text *t, const struct status *s)
{
    char all[ADVICE_MAX_BYTES];
    struct text a = {.buf = all, .cap = sizeof all};
    if (s->leader_changes_hour >= ADVICE_CHANGES)
        line(&a,
             "; %u changes of leader within an hour: unless nodes were restarted, raise "
             "election_timeout_ms (%" PRIu32 ")",
             s->leader_changes_hour, s->election_timeout_ms);
    if (s->uncommitted_us >= STATUS_UNCOMMITTED_US)
        line(&a,
             "; a majority of the disks has not written for %" PRIu64
             " s: peer.N.match_index below "
             "says which nodes lag, see whether their disks are full, slow or failing",
             s->uncommitted_us / 1000000);
    if (s->disk_full != 0)
        line(&a, "; the file system of data_dir is full: make room");
    if (s->data_bytes > s->max_data_bytes / 100 * ADVICE_DATA_PERCENT)
        line(&a, "; data take over %d %% of max_data_bytes: delete keys, or raise it on all nodes",
             ADVICE_DATA_PERCENT);
    if (s->rxq_drops >= ADVICE_DROPS && s->rxq_drops > s->datagrams_received / 1000)
        line(&a, "; this box was too slow for %" PRIu64 " datagrams: raise net.core.rmem_max",
             s->rxq_drops);
    line(t, "advice=%s\n", a.len > 0 ? all + 2 : "none");
}

size_t status_print(const struct status *s, uint64_t now_us, char *buf, size_t cap)
{
    struct text t = {.buf = buf, .cap = cap, .full = cap == 0};
    number(&t, "id", s->id);
    line(&t, "cluster=%.*s\n", (int)sizeof s->cluster, s->cluster);
    line(&t, "role=%s\n", raft_role_name(s->role));
    number(&t, "term", s->term);
    number(&t, "leader", s->leader);
    line(&t, "leader_since_s=%" PRId64 "\n", age_s(now_us, s->leader_since_us));
    number(&t, "leader_before", s->leader_before);
    number(&t, "leader_changes_hour", s->leader_changes_hour);
    number(&t, "vote", s->vote);
    number(&t, "commit_index", s->commit_index);
    number(&t, "applied_index", s->applied_index);
    number(&t, "last_index", s->last_index);
    number(&t, "durable_index", s->durable_index);
    number(&t, "doubt", s->doubt_index != 0);
    if (s->doubt_index != 0)
        number(&t, "doubt_index", s->doubt_index);
    number(&t, "keys", s->keys);
    number(&t, "data_bytes", s->data_bytes);
    number(&t, "max_data_bytes", s->max_data_bytes);
    number(&t, "pending_writes", s->pending_writes);
    line(&t, "last_election=%s\n", raft_why_name(s->why));
    number(&t, "campaigns", s->raft.campaigns);
    number(&t, "elections", s->raft.elections);
    number(&t, "elections_won", s->raft.won);
    number(&t, "votes_refused_by_lease", s->raft.votes_refused_by_lease);
    number(&t, "lost_acked", s->raft.lost_acked);
    number(&t, "stale_messages", s->raft.stale_msgs);
    number(&t, "impossible_messages", s->raft.impossible_msgs);
    number(&t, "election_timeout_ms", s->election_timeout_ms);
    number(&t, "max_value_bytes", s->max_value_bytes);
    number(&t, "uptime_s", now_us > s->start_us ? (now_us - s->start_us) / 1000000 : 0);
    line(&t, "age_ms=%" PRId64 "\n", age_ms(now_us, s->now_us));
    number(&t, "fsync_count", s->fsyncs);
    number(&t, "fsync_p99_us", s->fsync_p99_us);
    number(&t, "fsync_max_us", s->fsync_max_us);
    number(&t, "disk_bytes", s->disk_bytes);
    number(&t, "log_bytes", s->log_bytes);
    number(&t, "disk_full", s->disk_full);
    number(&t, "local_reads", s->local_reads);
    number(&t, "tail_dropped", s->tail_dropped);
    number(&t, "disk_pending_ms", s->disk_pending_us / 1000);
    number(&t, "uncommitted_ms", s->uncommitted_us / 1000);
    number(&t, "datagrams_sent", s->datagrams_sent);
    number(&t, "datagrams_received", s->datagrams_received);
    number(&t, "send_lost", s->send_lost);
    number(&t, "send_too_big", s->send_too_big);
    number(&t, "rxq_drops", s->rxq_drops);
    if (s->key_id != 0)
        line(&t, "key_id=%08" PRIx32 "\n", s->key_id);
    if (s->next_key_id != 0)
        line(&t, "next_key_id=%08" PRIx32 "\n", s->next_key_id);
    print_advice(&t, s);
    for (int d = 0; d < DROP_COUNT; d++)
        line(&t, "drop.%s=%" PRIu64 "\n", drop_name((enum drop)d), s->drops[d]);
    for (unsigned i = 0; i < s->n_peers && i < RAFT_VOTERS_MAX; i++)
        print_peer(&t, s, &s->peers[i], now_us);
    print_links(&t, s, now_us);
    return t.len;
}
