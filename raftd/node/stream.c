/* stream.c: log bytes as streams: to each peer while we lead, from the leader while we follow.
 *
 * A peer's stream begins after the entry that its probe matched. Its bytes come from the cached
 * log when that reaches back far enough ("joined": stream offsets then differ from positions in
 * the cache by a constant, since a leader only ever appends), else from disk: as many as may be on
 * their way are kept in memory, read ahead of what the peer acknowledges (struct old).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/cmd.h"
#include "raftd/base/num.h"
#include "raftd/node/node_impl.h"

/* What was read from disk is of no use any more; the next byte read is the one at stream offset off,
 * at `next` in the log. */
static void old_restart(struct old *o, uint64_t off, struct wal_pos next)
{
    o->start = o->end = off;
    o->next = next;
    o->stale = o->fetching;
}

/* Gives the memory back, unless the disk is writing to it. */
static void old_free(struct old *o)
{
    if (o->fetching)
        return;
    free(o->buf);
    o->buf = NULL;
    o->start = o->end;
}

/* Links stream offsets to the cache if entry `index`, which starts at offset `off`, is in it. */
static void try_join(const struct node *n, struct log_tx *l, uint64_t index, uint64_t off)
{
    if (!l->joined && index >= n->log.first) {
        l->joined = true;
        l->delta = entries_pos(&n->log, index) - off;
    }
}

static void stream_end(struct log_tx *l)
{
    l->epoch = 0;
    old_restart(&l->old, 0, (struct wal_pos){0});
    old_free(&l->old);
}

/* We do not lead (any more). */
void log_tx_end(struct node *n)
{
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++)
        stream_end(&n->peers[slot].log);
}

static bool in_cache(const struct node *n, const struct log_tx *l, uint64_t off)
{
    return l->joined && off + l->delta >= n->log.ring.start;
}

/* Reads on behind what was read for the peer, up to where the cache begins. A leader truncates
 * nothing: up to durable_index the disk has the present entries; what follows there may be the old
 * version of entries that are still on their way to it. */
static void read_ahead(struct node *n, unsigned slot)
{
    struct log_tx *l = &n->peers[slot].log;
    struct old *o = &l->old;
    if (o->fetching)
        return;
    if (in_cache(n, l, l->tx.una)) {
        old_free(o); /* caught up */
        return;
    }
    /* It may be beyond `end`, when what was sent from the cache has left that since. */
    o->start = min_u64(l->tx.una, o->end);
    size_t room = (size_t)(o->start + NODE_OLD_BYTES - o->end);
    bool want = room >= NODE_OLD_FETCH_BYTES && !in_cache(n, l, o->end) &&
                o->next.index <= n->raft.durable_index;
    if (!want)
        return;
    if (n->catch_up.left < NODE_OLD_FETCH_BYTES) {
        n->catch_up.waits = true;
        return;
    }
    size_t at = (size_t)(o->end % NODE_OLD_BYTES);
    if (o->buf == NULL && (o->buf = malloc(NODE_OLD_BYTES)) == NULL)
        return; /* short of memory: asked again at the next flush */
    if (room > NODE_OLD_BYTES - at)
        room = NODE_OLD_BYTES - at;
    room = (size_t)min_u64(room, n->catch_up.left);
    n->catch_up.left -= room;
    o->fetching = true;
    n->io.fetch(n->io.ctx, slot, &o->next, n->raft.durable_index, o->buf + at, room);
}

void log_tx_count(struct node *n, uint64_t now)
{
    struct catch_up *c = &n->catch_up;
    if (now < c->until)
        return;
    uint64_t end = n->log.ring.end, wrote = end > c->seen ? end - c->seen : 0;
    if (wrote > 0)
        c->wrote_at = now;
    bool calm = c->wrote_at == 0 || now - c->wrote_at >= NODE_CATCH_UP_CALM_US;
    c->left = calm ? UINT64_MAX : max_u64(NODE_CATCH_UP_TIMES * wrote, NODE_CATCH_UP_BYTES);
    c->seen = end;
    c->until = now + NODE_CATCH_UP_US;
    c->waits = false;
}

/* Brings a peer's stream up to date with the core's view of the peer and with our log. */
void log_tx_sync(struct node *n, unsigned slot)
{
    const struct raft_peer *rp = &n->raft.peers[slot];
    struct log_tx *l = &n->peers[slot].log;
    assert(n->raft.role == RAFT_LEADER);
    if (rp->state != RAFT_PEER_REPLICATE) {
        stream_end(l);
        return;
    }
    if (l->epoch != rp->epoch || l->term != n->raft.term) { /* a new stream */
        l->epoch = rp->epoch;
        l->term = n->raft.term;
        net_start_stream(n, slot, &l->tx, WIRE_STREAM_LOG);
        n->peers[slot].lead_round = 0;
        l->joined = false;
        old_restart(&l->old, 0, (struct wal_pos){.index = rp->base_index + 1});
        try_join(n, l, rp->base_index + 1, 0);
    }
    if (l->joined)
        stream_tx_end(&l->tx, n->log.ring.end - l->delta);
    read_ahead(n, slot);
}

/* A box that is off for weeks costs a heartbeat, not its log over and over. When it is back it
 * answers a LEAD, and its stream goes on. */
bool log_tx_silent(const struct node *n, uint64_t now, unsigned slot)
{
    const struct raft_peer *rp = &n->raft.peers[slot];
    return now > rp->heard + NODE_SILENT_TIMEOUTS * n->raft.cfg.election_timeout;
}

/* The bytes at stream offset off and how many follow them in one piece; NULL: not in memory now (the
 * disk is to bring them, once there is room). */
const uint8_t *log_tx_bytes(const struct node *n, unsigned slot, uint64_t off, size_t *len)
{
    const struct log_tx *l = &n->peers[slot].log;
    if (in_cache(n, l, off)) {
        *len = (size_t)(n->log.ring.end - (off + l->delta));
        return ring_at(&n->log.ring, off + l->delta);
    }
    const struct old *o = &l->old;
    if (off < o->start || off >= o->end)
        return NULL;
    size_t at = (size_t)(off % NODE_OLD_BYTES);
    *len = (size_t)(o->end - off);
    if (*len > NODE_OLD_BYTES - at)
        *len = NODE_OLD_BYTES - at;
    return o->buf + at;
}

/* A fetch for the peer came back with len bytes. */
void log_tx_fetched(struct node *n, unsigned slot, size_t len, const struct wal_pos *next)
{
    struct log_tx *l = &n->peers[slot].log;
    struct old *o = &l->old;
    o->fetching = false;
    /* Who no longer leads may have cut its log since, before any flush. */
    bool stale = o->stale || n->raft.role != RAFT_LEADER || l->term != n->raft.term;
    o->stale = false;
    if (stale)
        return;
    o->end += len;
    o->next = *next;
    if (!l->joined)
        stream_tx_end(&l->tx, o->end);
    if (next->skip == 0)
        try_join(n, l, next->index, o->end);
}

/* Entry `index` is about to leave the cache. A peer whose oldest unacknowledged byte lies in it
 * goes on from disk, from that byte. */
void log_tx_before_drop(struct node *n, uint64_t index)
{
    uint64_t from = entries_pos(&n->log, index), to = entries_pos(&n->log, index + 1);
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++) {
        struct log_tx *l = &n->peers[slot].log;
        uint64_t una = l->tx.una + l->delta;
        if (l->epoch == 0 || !l->joined || una < from || una >= to)
            continue;
        old_restart(&l->old, l->tx.una, (struct wal_pos){index, (uint32_t)(una - from)});
    }
}

/* The core took a PROBE from the leader; if it matched, a new stream begins. */
void log_rx_probe(struct node *n, const struct raft_msg *probe)
{
    const struct raft *r = &n->raft;
    if (r->epoch == 0 || r->epoch != probe->probe.probe || r->term != probe->term ||
        r->leader != probe->from)
        return;
    if (n->log_rx_term == r->term && n->log_rx_epoch == r->epoch)
        return; /* a repeated probe */
    stream_rx_init(&n->log_rx, n->log_rx_buf, n->log_rx_cap, n->rx_window);
    n->log_rx_term = r->term;
    n->log_rx_epoch = r->epoch;
    n->log_rx_base = probe->probe.prev_index;
    n->log_rx_next = probe->probe.prev_index + 1;
    n->log_rx_unacked = 0;
}

/* Takes a piece of the leader's stream. True if it should be acknowledged soon. */
bool log_rx_put(struct node *n, const struct wire_data *d)
{
    const struct raft *r = &n->raft;
    if (r->role != RAFT_FOLLOWER || r->epoch == 0 || d->id != r->epoch ||
        n->log_rx_epoch != r->epoch || n->log_rx_term != r->term)
        return false; /* unknown stream: the next LEAD asks for a probe */
    if (d->base_index != n->log_rx_base) {
        n->drops[DROP_STREAM]++;
        return false;
    }
    enum stream_put rc = stream_rx_put(&n->log_rx, d->off, d->bytes, d->len, d->again);
    return rc != STREAM_NEW || ++n->log_rx_unacked >= NODE_ACK_EVERY;
}

/* Records at the front of the stream that one RAFT_EV_APPEND can take. */
struct append {
    uint64_t first, last;
    struct raft_run runs[RAFT_APPEND_RUNS_MAX];
    size_t n_runs;
    size_t bytes;                    /* of all of them */
    uint8_t prev[RECORD_HASH_BYTES]; /* hash that the next record must name ... */
    uint64_t prev_ms;                /* ... and cluster time that its own is not below */
    bool bad;
};

/* Does the record name the one before it, and is its cluster time not below that one's? That is the one
 * before it in the stream, and also our own one, as far as it is in memory, unless ours is of another term
 * and will be cut. */
static bool chained(const struct node *n, const struct append *a, const struct record *rec)
{
    const uint8_t first[RECORD_HASH_BYTES] = {0};
    uint8_t own[RECORD_HASH_BYTES];
    const uint8_t *prev = own;
    uint64_t before = rec->index - 1, prev_ms = 0;
    if (a->n_runs > 0 &&
        (memcmp(rec->prev, a->prev, sizeof own) != 0 || rec->cluster_ms < a->prev_ms))
        return false;
    if (a->n_runs > 0 &&
        (before > n->log.last || raft_term_at(&n->raft, before) != a->runs[a->n_runs - 1].term))
        return true;
    if (before == 0) {
        prev = first;
    } else if (before == n->log.last) {
        prev = n->head;
        prev_ms = n->last_ms;
    } else if (before >= n->log.first && before < n->log.last) {
        size_t size;
        const uint8_t *bytes = entries_at(&n->log, before, &size);
        record_hash(bytes, size, own);
        prev_ms = record_cluster_ms(bytes);
    } else {
        return true;
    }
    return memcmp(rec->prev, prev, sizeof own) == 0 && rec->cluster_ms >= prev_ms;
}

/* The record at the front of p, if it is whole and may follow what was collected. */
static bool next_record(struct node *n, struct append *a, const uint8_t *p, size_t len,
                        struct record *rec, size_t *size)
{
    enum record_status st = record_decode(p, len, rec, size);
    if (st == RECORD_SHORT)
        return false;
    uint64_t index = a->n_runs > 0 ? a->last + 1 : n->log_rx_next;
    uint64_t least_term = a->n_runs > 0 ? a->runs[a->n_runs - 1].term : 1;
    struct cmd cmd;
    a->bad = st != RECORD_OK || rec->index != index || rec->term < least_term ||
             rec->term > n->raft.term || !chained(n, a, rec) ||
             (rec->type == RECORD_COMMAND && cmd_decode(rec->data, rec->data_len, &cmd) < 0);
    return !a->bad;
}

/* Collects whole records; stops at a bad one, at a full list of runs, or when the cache is full. */
static void collect(struct node *n, struct append *a, const uint8_t *p, size_t len)
{
    memset(a, 0, sizeof *a);
    struct record rec;
    size_t size;
    unsigned count = 0;
    while (a->bytes < len && next_record(n, a, p + a->bytes, len - a->bytes, &rec, &size)) {
        bool new_run = a->n_runs == 0 || rec.term != a->runs[a->n_runs - 1].term;
        if ((new_run && a->n_runs == RAFT_APPEND_RUNS_MAX) ||
            !log_make_room(n, a->bytes + size, ++count))
            return;
        if (a->n_runs == 0)
            a->first = rec.index;
        if (new_run)
            a->runs[a->n_runs++] = (struct raft_run){rec.index, rec.term};
        a->last = rec.index;
        record_hash(p + a->bytes, size, a->prev);
        a->prev_ms = rec.cluster_ms;
        a->bytes += size;
    }
}

/* Copies the records from edit->append_first on behind our log; the ones before are there. */
static void append_records(struct node *n, const uint8_t *p, size_t bytes,
                           const struct raft_edit *edit)
{
    struct record rec;
    size_t size;
    for (size_t at = 0; at < bytes; at += size) {
        enum record_status st = record_decode(p + at, bytes - at, &rec, &size);
        assert(st == RECORD_OK);
        if (edit->append_first == 0 || rec.index < edit->append_first)
            continue;
        memcpy(entries_tail(&n->log), p + at, size);
        log_push(n, size);
    }
}

/* Hands what arrived without a gap to the core: AppendEntries, the receiver's part (figure 3.1). */
void log_rx_drain(struct node *n, uint64_t now)
{
    const struct raft *r = &n->raft;
    const uint8_t *p;
    size_t len;
    while (r->role == RAFT_FOLLOWER && r->epoch != 0 && n->log_rx_epoch == r->epoch &&
           n->log_rx_term == r->term) {
        stream_rx_ready(&n->log_rx, &p, &len);
        struct append a;
        collect(n, &a, p, len);
        if (a.n_runs > 0) {
            struct raft_event ev = {.type = RAFT_EV_APPEND};
            ev.append.from = r->leader;
            ev.append.term = r->term;
            ev.append.epoch = r->epoch;
            ev.append.prev_index = a.first - 1;
            ev.append.prev_term = raft_term_at(r, a.first - 1);
            ev.append.last_index = a.last;
            ev.append.runs = a.runs;
            ev.append.n_runs = a.n_runs;
            struct raft_edit edit;
            node_step(n, now, &ev, &edit);
            append_records(n, p, a.bytes, &edit);
            assert(n->log.last == r->last_index);
            stream_rx_consume(&n->log_rx, a.bytes);
            n->log_rx_next = a.last + 1;
        }
        if (a.bad) { /* intact datagrams, yet not a log: start the stream over */
            n->drops[DROP_STREAM]++;
            n->log_rx_epoch = 0;
            raft_refuse_stream(&n->raft);
        }
        if (a.n_runs == 0)
            return;
    }
}
