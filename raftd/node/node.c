/* node.c: a node's life, and the order of things in one iteration. */
#include "raftd/node/node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/node/node_impl.h"
#include "raftd/state/cmd.h"

static void configure_raft(struct node *n, const struct wal_report *wal, uint64_t now)
{
    const struct node_config *cfg = &n->cfg;
    uint64_t t = cfg->election_timeout_us;
    struct raft_config rc = {
        .id = cfg->id,
        .n_voters = cfg->n_voters,
        .election_timeout = t,
        .heartbeat = t / 3,
        .retry = t / 8,
        .ack_delay = NODE_ACK_DELAY_US,
        .disk_stall = 4 * t > NODE_DISK_STALL_MIN_US ? 4 * t : NODE_DISK_STALL_MIN_US,
        .seed = cfg->seed,
        .boot = cfg->boot,
        .full_retry = NODE_FULL_RETRY_US,
    };
    memcpy(rc.voters, cfg->voters, sizeof rc.voters);
    size_t cap = wal->n_runs + 4 * RAFT_APPEND_RUNS_MAX;
    struct raft_run *old = calloc(wal->n_runs + 1, sizeof *old);
    n->runs = calloc(cap, sizeof *n->runs);
    if (old == NULL || n->runs == NULL) {
        free(old);
        free(n->runs);
        n->runs = NULL;
        return;
    }
    for (size_t i = 0; i < wal->n_runs; i++)
        old[i] = (struct raft_run){wal->runs[i].first_index, wal->runs[i].term};
    struct raft_restored rs = {
        .term = wal->term,
        .vote = wal->vote,
        .last_index = wal->last_index,
        .runs = old,
        .n_runs = wal->n_runs,
        .commit = wal->commit,
    };
    raft_init(&n->raft, &rc, &rs, n->runs, cap, now);
    free(old);
}

struct node *node_new(const struct node_config *cfg, const struct node_io *io,
                      const struct wal_report *wal, const struct session_keys *keys, struct kv *kv,
                      uint64_t now)
{
    struct node *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->cfg = *cfg;
    /* Plain datagrams of a former process may come late, with stamps of another clock: by them all
     * present ones would be late. Nor does plain text keep anybody from forging. */
    n->cfg.take_held |= keys == NULL;
    if (n->cfg.batch_bytes == 0)
        n->cfg.batch_bytes = NODE_BATCH_BYTES_MAX;
    if (n->cfg.datagram_bytes == 0)
        n->cfg.datagram_bytes = WIRE_DATAGRAM_BASE;
    assert(n->cfg.datagram_bytes <= WIRE_DATAGRAM_MAX);
    assert(cfg->max_data_bytes == 0 || (cfg->max_data_bytes >= CMD_LIMIT_BYTES &&
                                        cfg->max_data_bytes / CMD_LIMIT_BYTES <= UINT16_MAX));
    n->io = *io;
    n->kv = kv;
    n->machine = machine_new(kv);
    n->start_us = now;
    n->cluster_id = wire_cluster_id(cfg->cluster);
    n->seal_at = n->write_deadline = n->due = RAFT_NEVER;
    n->next_read = (uint64_t)cfg->boot << 32;
    n->next_write = n->send_next = 1;
    n->done_end = &n->done;
    n->process = (uint64_t)cfg->boot << 32 | (uint32_t)(cfg->seed >> 32);
    n->last_ms = wal->last_ms;
    n->relay_term = RAFT_NEVER;
    memcpy(n->head, wal->head, sizeof n->head);
    n->disk_commit = n->reads_from = wal->commit;
    n->tail_dropped = wal->verdict == WAL_TORN;

    size_t ring = 4 * (size_t)cfg->max_value_bytes;
    if (ring < NODE_RING_MIN_BYTES)
        ring = NODE_RING_MIN_BYTES;
    if (cfg->cache_bytes != 0)
        ring = cfg->cache_bytes;
    n->log_rx_cap = RECORD_MAX_BYTES + NODE_WINDOW_BYTES;
    n->rx_window = NODE_WINDOW_BYTES;
    if (cfg->rx_bytes != 0 && cfg->rx_bytes < NODE_WINDOW_BYTES)
        n->rx_window = cfg->rx_bytes;
    n->log_rx_buf = malloc(n->log_rx_cap);
    configure_raft(n, wal, now);
    admit_init(n);
    if (n->log_rx_buf == NULL || n->runs == NULL || n->machine == NULL ||
        entries_init(&n->log, ring, wal->last_index) < 0 || !envelope_init(n, keys, now)) {
        node_free(n);
        return NULL;
    }
    for (unsigned i = 0; i < n->raft.n_peers; i++)
        for (unsigned v = 0; v < cfg->n_voters; v++)
            if (cfg->voters[v] == n->raft.peers[i].id)
                memcpy(n->peers[i].addr, cfg->addrs[v], sizeof n->peers[i].addr);
    for (unsigned i = 0; i < n->raft.n_peers; i++) {
        n->peers[i].relay.term = n->peers[i].relay.ack_by = RAFT_NEVER;
        n->peers[i].told_at = now;
        mtu_init(&n->peers[i].mtu, n->cfg.datagram_bytes);
    }
    return n;
}

void node_free(struct node *n)
{
    write_stop(n);
    for (unsigned i = 0; i < RAFT_VOTERS_MAX - 1; i++) {
        free(n->peers[i].log.old.buf);
        free(n->peers[i].relay.buf);
    }
    machine_free(n->machine);
    sessions_free(n->sessions);
    free(n->behind.buf);
    free(n->log_rx_buf);
    free(n->runs);
    ring_free(&n->relay);
    entries_free(&n->log);
    free(n);
}

/* Where there is no way on, a node must not go on. */
_Noreturn void node_out_of_memory(struct node *n, const char *what)
{
    if (n->io.out_of_memory != NULL)
        n->io.out_of_memory(n->io.ctx, what);
    abort();
}

/* The core's memory for runs grows with changes of term, a few bytes each. */
static void keep_runs_free(struct node *n)
{
    if (raft_runs_free(&n->raft) >= RAFT_APPEND_RUNS_MAX)
        return;
    size_t cap = 2 * n->raft.cap_runs;
    struct raft_run *runs = calloc(cap, sizeof *runs);
    if (runs == NULL)
        node_out_of_memory(n, "the terms of the log's entries have no room");
    raft_grow_runs(&n->raft, runs, cap);
    free(n->runs);
    n->runs = runs;
}

void node_step(struct node *n, uint64_t now, const struct raft_event *ev, struct raft_edit *edit)
{
    keep_runs_free(n);
    raft_step(&n->raft, now, ev, edit);
    log_mirror(n, now, edit);
}

/* What is shown before a restarted node has replayed what it knew, or a new one has heard what there
 * is to know, would be a past that nobody asked for, and keys would seem absent that are not. */
static void open_local_reads(struct node *n)
{
    if (n->reads_from == 0)
        n->reads_from = n->raft.leader_commit;
    if (n->reads_from != 0 && n->applied >= n->reads_from)
        n->local_reads = true;
}

bool node_local_reads(const struct node *n)
{
    return n->local_reads;
}

void node_stopping(struct node *n)
{
    const struct raft *r = &n->raft;
    /* Since the last flush there may be entries that are not on their way to the disk yet: an idle
     * batch would name them, without them before it. */
    bool all_written = r->inflight_seq == 0 && r->written_last == r->last_index &&
                       !r->truncate_pending && r->durable_term == r->term &&
                       r->durable_vote == r->vote;
    if (all_written && !n->sealing && !raft_disk_full(r) && r->commit_index > n->disk_commit)
        log_seal(n);
}

uint64_t node_read(struct node *n, uint64_t now)
{
    struct raft_event ev = {.type = RAFT_EV_READ, .read = {.req = ++n->next_read}};
    struct raft_edit edit;
    node_step(n, now, &ev, &edit);
    return n->next_read;
}

void node_persisted(struct node *n, uint64_t now, uint64_t seq)
{
    if (seq == 0) {
        n->sealing = false;
        return;
    }
    struct raft_event ev = {.type = RAFT_EV_PERSISTED, .persisted = {.seq = seq}};
    struct raft_edit edit;
    node_step(n, now, &ev, &edit);
    n->seal_at = now + NODE_SEAL_US;
    if (n->held_seq == seq)
        net_send_held(n, now);
    log_rx_drain(n, now); /* the cache may have room again */
}

void node_no_room(struct node *n, uint64_t now, uint64_t seq)
{
    n->disk_commit = 0; /* less than was handed over: a later batch says it again */
    if (seq == 0) {
        n->sealing = false;
        return;
    }
    struct raft_event ev = {.type = RAFT_EV_REFUSED, .refused = {.seq = seq}};
    struct raft_edit edit;
    if (n->held_seq == seq)
        n->n_held = 0;
    node_step(n, now, &ev, &edit);
}

void node_fetched(struct node *n, uint64_t now, unsigned what, size_t len,
                  const struct wal_pos *next)
{
    (void)now;
    assert(what < NODE_FETCHES);
    if (what == NODE_FETCH_APPLY) {
        log_apply_fetched(n, len);
    } else {
        log_tx_fetched(n, what, len, next);
    }
}

/* Reads whose index is applied may be served. Indexes grow along the queue. */
static void serve_reads(struct node *n)
{
    unsigned done = 0;
    while (done < n->n_reads && n->reads[done].index <= n->applied)
        done++;
    if (done == 0)
        return;
    n->io.reads_done(n->io.ctx, n->reads[done - 1].read);
    n->n_reads -= done;
    memmove(n->reads, n->reads + done, n->n_reads * sizeof n->reads[0]);
}

static void add_read(struct node *n, uint64_t read, uint64_t index)
{
    if (n->n_reads == NODE_READS_MAX) /* far behind: the newest stand for all that come */
        n->n_reads--;
    n->reads[n->n_reads++] = (struct confirmed_read){read, index};
}

void node_refused(struct node *n, uint64_t now, unsigned slot, size_t len)
{
    assert(slot < n->raft.n_peers && len <= UINT32_MAX);
    mtu_refused(&n->peers[slot].mtu, now, (uint32_t)len);
}

void node_rxq_dropped(struct node *n)
{
    for (unsigned i = 0; i < n->raft.n_peers; i++)
        link_rxq_dropped(&n->peers[i].link);
}

/* A leader that a majority hears stays, though it may commit nothing: disks hang, or a path does not
 * carry large datagrams. There is no better one; but people should know. */
static void watch_commits(struct node *n, uint64_t now)
{
    const struct raft *r = &n->raft;
    if (r->role != RAFT_LEADER || r->commit_index == r->last_index)
        n->uncommitted_since = 0;
    else if (n->uncommitted_since == 0 || r->commit_index != n->commit_seen)
        n->uncommitted_since = now;
    n->commit_seen = r->commit_index;
}

void node_flush(struct node *n, uint64_t now)
{
    struct raft_event tick = {.type = RAFT_EV_TICK};
    struct raft_edit edit;
    struct raft_ready rd;
    n->again = false;
    envelope_shake(n, now);
    if (now >= raft_deadline(&n->raft))
        node_step(n, now, &tick, &edit);
    write_expire(n, now);
    write_take(n, now);

    links_watch(n, now);
    log_tx_count(n, now);
    raft_ready(&n->raft, now, &rd);
    if (rd.persist.seq != 0) {
        assert(n->n_held == 0);
        memcpy(n->held, rd.after, rd.n_after * sizeof n->held[0]);
        n->n_held = rd.n_after;
        n->held_seq = rd.persist.seq;
    }
    net_send(n, now, rd.now, rd.n_now);
    if (rd.persist.seq != 0)
        log_persist(n, &rd.persist);
    if (rd.read)
        add_read(n, rd.read_req, rd.read_index);
    raft_advance(&n->raft, now, &rd);
    watch_commits(n, now);

    if (log_apply(n))
        for (unsigned i = 0; i < n->raft.n_peers; i++)
            if (n->peers[i].lead_due)
                net_send_to(n, now, i); /* its clients wait for the commit index */
    open_local_reads(n);
    serve_reads(n);
    if (now >= n->seal_at) {
        if (n->raft.inflight_seq == 0 && !raft_disk_full(&n->raft))
            log_seal(n);
        else
            n->seal_at = RAFT_NEVER; /* the batch in flight, or the next one, proves the same */
    } else if (n->seal_at == RAFT_NEVER && n->raft.inflight_seq == 0 && !n->sealing &&
               !raft_disk_full(&n->raft) && n->raft.commit_index > n->disk_commit)
        n->seal_at = now + NODE_SEAL_US; /* learnt after the last batch, which it is not in */
    n->due = node_deadline(n, now);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of the streams and the small talk with one peer. */
static uint64_t peer_deadline(const struct node *n, uint64_t now, unsigned slot)
{
    const struct peer *p = &n->peers[slot];
    const struct raft *r = &n->raft;
    uint64_t at = RAFT_NEVER;
    if (!envelope_ready(n, slot))
        return at;
    if (r->role == RAFT_LEADER) {
        at = net_ask_at(n, slot);
        if (p->relay.term == r->term) /* else of an earlier term that we led */
            at = least(at, p->relay.ack_by);
        if (p->log.epoch != 0 && !log_tx_silent(n, now, slot))
            at = least(at, stream_tx_deadline(&p->log.tx, now));
    } else if (r->role == RAFT_FOLLOWER && n->relay_term == r->term &&
               r->leader == r->peers[slot].id) {
        at = least(at, stream_tx_deadline(&n->relay_tx, now));
    }
    if (node_term_durable(n))
        at = least(at, links_due(n, slot));
    /* What is due but could not be sent waits for a disk read or an ACK, which will wake us; look
     * again soon in case memory was short. */
    return at <= now ? now + NODE_ACK_DELAY_US : at;
}

uint64_t node_deadline(const struct node *n, uint64_t now)
{
    if (n->again)
        return now;
    uint64_t at = least(raft_deadline(&n->raft), least(n->seal_at, n->write_deadline));
    at = least(at, envelope_deadline(n));
    if (n->catch_up.waits && n->raft.role == RAFT_LEADER)
        at = least(at, n->catch_up.until);
    for (unsigned i = 0; i < n->raft.n_peers; i++)
        at = least(at, peer_deadline(n, now, i));
    return at;
}

static void peer_status(const struct node *n, uint64_t now, unsigned slot, struct status_peer *s)
{
    const struct peer *p = &n->peers[slot];
    const struct raft_peer *rp = &n->raft.peers[slot];
    const struct stream_tx *tx = NULL; /* what we send to it: the log, or writes on their way */
    if (n->raft.role == RAFT_LEADER && p->log.epoch != 0)
        tx = &p->log.tx;
    else if (n->raft.role == RAFT_FOLLOWER && n->raft.leader == rp->id &&
             n->relay_term == n->raft.term)
        tx = &n->relay_tx;
    s->id = rp->id;
    memcpy(s->addr, p->addr, sizeof s->addr);
    s->state = rp->state;
    s->match_index = rp->match_index;
    s->lost_index = rp->lost_index;
    s->heard_us = p->link.has_peer ? p->link.peer_ts_at : 0;
    s->rtt_us = p->link.rtt.has ? p->link.rtt.srtt_us : 0;
    /* The minimum forgets after a minute, the average on a quiet link does not. */
    s->rtt_min_us = p->link.rtt.has ? least(p->link.rtt.min_us, s->rtt_us) : 0;
    links_loss(n, now, slot, s);
    s->window_bytes = tx != NULL ? cwnd_window(&tx->cwnd, now) : 0;
    s->in_flight_bytes = tx != NULL ? stream_tx_in_flight(tx) : 0;
    s->sent = p->link.sent;
    s->received = p->link.accepted;
    s->resent_bytes = p->resent_bytes;
    s->resent_datagrams = p->resent_datagrams;
    s->datagram_bytes = mtu_passes(&p->mtu);
    s->datagram_usual = n->cfg.datagram_bytes;
    s->datagram_carried = p->mtu.carried;
    memcpy(s->drops, p->drops, sizeof s->drops);
    envelope_status(n, slot, s);
}

void node_status(const struct node *n, uint64_t now, struct status *s)
{
    const struct raft *r = &n->raft;
    s->now_us = now;
    s->start_us = n->start_us;
    memcpy(s->cluster, n->cfg.cluster, sizeof s->cluster);
    s->id = n->cfg.id;
    s->role = r->role;
    s->term = r->term;
    s->leader = r->leader;
    s->vote = r->vote;
    s->election_timeout_ms = (uint32_t)(n->cfg.election_timeout_us / 1000);
    s->max_value_bytes = n->cfg.max_value_bytes;
    s->commit_index = r->commit_index;
    s->applied_index = n->applied;
    s->last_index = r->last_index;
    s->durable_index = r->durable_index;
    s->doubt_index = r->doubt_index;
    s->why = r->why;
    s->raft = r->stats;
    s->n_peers = r->n_peers;
    for (unsigned i = 0; i < r->n_peers; i++)
        peer_status(n, now, i, &s->peers[i]);
    s->keys = kv_count(n->kv);
    s->data_bytes = kv_bytes(n->kv);
    s->max_data_bytes = n->cfg.max_data_bytes;
    s->pending_writes = n->n_writes;
    s->disk_full = raft_disk_full(r);
    s->local_reads = n->local_reads;
    s->tail_dropped = n->tail_dropped;
    s->uncommitted_us = n->uncommitted_since != 0 ? now - n->uncommitted_since : 0;
    s->disk_pending_us = r->inflight_seq != 0 ? now - r->inflight_since : 0;
    s->datagrams_received = n->received;
    s->datagrams_sent = 0;
    for (unsigned i = 0; i < r->n_peers; i++)
        s->datagrams_sent += n->peers[i].link.sent;
    memcpy(s->drops, n->drops, sizeof s->drops);
    links_status(n, now, s);
    envelope_keys(n, s);
}

const struct raft *node_raft(const struct node *n)
{
    return &n->raft;
}
