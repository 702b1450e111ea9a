#include "raftd/node/log_in.h"

#include <stdlib.h>
#include <string.h>

#include "raftd/base/members.h"
#include "raftd/base/num.h"
#include "raftd/state/cmd.h"

enum {
    ACK_EVERY = 8, /* datagrams after which reception is acknowledged */
    BUF_BYTES = RECORD_MAX_BYTES + NODE_WINDOW_BYTES,
};

static bool present(const struct log_in *l)
{
    const struct raft *r = replica_raft(l->replica);
    return r->role == RAFT_FOLLOWER && r->epoch != 0 && l->flow.id == r->epoch &&
           l->flow.term == r->term;
}

void log_in_probe(struct log_in *l, const struct raft_msg *probe)
{
    const struct raft *r = replica_raft(l->replica);
    if (r->epoch == 0 || r->epoch != probe->probe.probe || r->term != probe->term ||
        r->leader != probe->from)
        return;
    if (l->flow.term == r->term && l->flow.id == r->epoch)
        return; /* a repeated probe */
    if (l->buf == NULL && (l->buf = malloc(BUF_BYTES)) == NULL)
        return; /* the next probe may find memory */
    stream_rx_init(&l->flow.rx, l->buf, BUF_BYTES, l->window);
    l->flow.term = r->term;
    l->flow.id = r->epoch;
    l->flow.unacked = 0;
    l->next = probe->probe.prev_index + 1;
}

/* A piece of an unknown stream is dropped: the next LEAD asks for a probe. */
static bool takes(void *ctx, uint16_t peer, const struct wire_data *d)
{
    struct log_in *l = ctx;
    return peer == replica_raft(l->replica)->leader && present(l) && d->id == l->flow.id;
}

static void arrived(void *ctx, enum stream_put how)
{
    struct log_in *l = ctx;
    if (how != STREAM_NEW || ++l->flow.unacked >= ACK_EVERY)
        replica_ack_soon(l->replica);
}

static bool lives(const void *ctx, uint16_t peer)
{
    const struct log_in *l = ctx;
    return l->flow.id != 0 && peer == replica_raft(l->replica)->leader;
}

/* Does the record name the one before it, and is its cluster time not below that one's? The one before it is
 * the last one collected. Our own record at that index must match as well, if it is in memory and not of a
 * term that will be cut. */
static bool chained(const struct log_in *l, const struct append *a, const struct record *rec)
{
    uint8_t own[RECORD_HASH_BYTES];
    uint64_t before = rec->index - 1, own_ms;
    if (a->n_runs > 0 &&
        (memcmp(rec->prev, a->hash, sizeof own) != 0 || rec->cluster_ms < a->last_ms))
        return false;
    if (a->n_runs > 0 &&
        (before > replica_log(l->replica)->last ||
         raft_term_at(replica_raft(l->replica), before) != a->runs[a->n_runs - 1].term))
        return true;
    return !replica_hash(l->replica, before, own, &own_ms) ||
           (memcmp(rec->prev, own, sizeof own) == 0 && rec->cluster_ms >= own_ms);
}

/* What is in the log must be applied as it is, so a record that can't be applied is not taken. */
static bool sound(const struct record *rec)
{
    struct cmd cmd;
    struct members members;
    switch (rec->type) {
    case RECORD_COMMAND: return cmd_decode(rec->data, rec->data_len, &cmd) >= 0;
    case RECORD_MEMBERS: return members_decode(rec->data, rec->data_len, &members);
    default: return true;
    }
}

/* Gives the record at the front of p if it is whole and may follow what was collected. *bad: it may not. */
static bool next_record(const struct log_in *l, const struct append *a, const uint8_t *p,
                        size_t len, struct record *rec, size_t *size, bool *bad)
{
    enum record_status st = record_decode(p, len, rec, size);
    if (st == RECORD_SHORT)
        return false;
    uint64_t index = a->n_runs > 0 ? a->last + 1 : l->next;
    uint64_t least_term = a->n_runs > 0 ? a->runs[a->n_runs - 1].term : 1;
    *bad = st != RECORD_OK || rec->index != index || rec->term < least_term ||
           rec->term > replica_raft(l->replica)->term || !chained(l, a, rec) || !sound(rec);
    return !*bad;
}

/* Collects whole records; stops at a bad one, at a full list of runs, at a second configuration, or
 * when there is no room. */
static void collect(struct log_in *l, struct append *a, const uint8_t *p, size_t len, bool *bad)
{
    memset(a, 0, sizeof *a);
    struct record rec;
    size_t size;
    unsigned count = 0;
    while (a->bytes < len && next_record(l, a, p + a->bytes, len - a->bytes, &rec, &size, bad)) {
        bool new_run = a->n_runs == 0 || rec.term != a->runs[a->n_runs - 1].term;
        bool members = rec.type == RECORD_MEMBERS;
        if ((new_run && a->n_runs == RAFT_APPEND_RUNS_MAX) || (members && a->members.index != 0) ||
            !replica_make_room(l->replica, a->bytes + size, ++count))
            return;
        if (a->n_runs == 0)
            a->first = rec.index;
        if (new_run)
            a->runs[a->n_runs++] = (struct raft_run){rec.index, rec.term};
        if (members)
            a->members = rec;
        a->last = rec.index;
        record_hash(p + a->bytes, size, a->hash);
        a->last_ms = rec.cluster_ms;
        a->bytes += size;
    }
}

void log_in_drain(struct log_in *l, uint64_t now)
{
    const uint8_t *p;
    size_t len;
    while (present(l)) {
        stream_rx_ready(&l->flow.rx, &p, &len);
        struct append a;
        bool bad = false;
        collect(l, &a, p, len, &bad);
        if (a.n_runs > 0) {
            replica_append(l->replica, now, p, &a);
            stream_rx_consume(&l->flow.rx, a.bytes);
            l->next = a.last + 1;
        }
        if (bad) { /* intact datagrams, yet not a log: start the stream over */
            l->flow.bad++;
            l->flow.id = 0;
            replica_refuse_stream(l->replica);
        }
        if (a.n_runs == 0)
            return;
    }
}

static void drain(void *ctx, uint64_t now)
{
    log_in_drain(ctx, now);
}

static const struct flow_sink sink = {
    .stream = WIRE_STREAM_LOG,
    .of_leader = true,
    .takes = takes,
    .arrived = arrived,
    .lives = lives,
    .drain = drain,
};

void log_in_init(struct log_in *l, struct replica *r, uint32_t window)
{
    *l = (struct log_in){.flow = {.sink = &sink, .ack_by = NEVER}, .replica = r, .window = window};
    l->flow.ctx = l;
}

void log_in_free(struct log_in *l)
{
    free(l->buf);
}
