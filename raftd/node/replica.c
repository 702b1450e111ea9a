/* replica.c: see replica.h. */
#include "raftd/node/replica.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/node/status.h"
#include "raftd/state/cmd.h"
#include "storage/batch.h"

enum {
    /* Of entries in memory: room for the largest record there may be, whatever max_value_bytes says now,
     * or for thousands of small ones. */
    RING_MIN_BYTES = 1 << 21,
};

_Static_assert((int)MEMBERS_MAX == (int)RAFT_MEMBERS_MAX &&
                   (int)MEMBERS_VOTERS_MAX == (int)RAFT_VOTERS_MAX &&
                   (int)MEMBER_VOTER == (int)RAFT_VOTER &&
                   (int)MEMBER_LEARNER == (int)RAFT_LEARNER &&
                   (int)MEMBER_JOINING == (int)RAFT_JOINING,
               "members have the core's numbers");

struct members_at replica_first_members(const struct node_config *cfg)
{
    struct members_at first = {.members.n = cfg->n_voters};
    for (unsigned i = 0; i < cfg->n_voters; i++) {
        unsigned at = i; /* by growing id, whatever order is configured */
        for (; at > 0 && first.members.m[at - 1].id > cfg->voters[i]; at--)
            first.members.m[at] = first.members.m[at - 1];
        first.members.m[at] = (struct member){
            .id = cfg->voters[i], .standing = MEMBER_VOTER, .priority = 1};
        memcpy(first.members.m[at].addr[0], cfg->addrs[i], sizeof cfg->addrs[i]);
    }
    return first;
}

/* The same configuration as the core has it. */
static struct raft_members core_members(const struct members_at *of)
{
    struct raft_members m = {.index = of->index, .n = of->members.n};
    for (unsigned i = 0; i < m.n; i++) {
        const struct member *e = &of->members.m[i];
        m.m[i] = (struct raft_member){.id = e->id,
                                      .standing = e->standing,
                                      .priority = e->priority,
                                      .incarnation = member_incarnation(e)};
    }
    return m;
}

/* All configurations but the first are entries. */
static void restore_members(struct replica *r, const struct wal_report *wal)
{
    struct members_at first = replica_first_members(r->cfg);
    members_log_add(&r->members, 0, &first.members);
    if (wal->members_before.index != 0)
        members_log_add(&r->members, wal->members_before.index, &wal->members_before.members);
    if (wal->members.index != 0)
        members_log_add(&r->members, wal->members.index, &wal->members.members);
    r->applied_members = wal->members_base.index != 0 ? wal->members_base : first;
}

static bool start_core(struct replica *r, const struct wal_report *wal, uint64_t applied,
                       uint64_t now)
{
    const struct node_config *cfg = r->cfg;
    uint64_t t = cfg->election_timeout_us;
    struct raft_config rc = {
        .id = cfg->id,
        .incarnation = about_handle(cfg->key),
        .election_timeout = t,
        .heartbeat = t * NODE_HEARTBEAT_PARTS / NODE_TIMEOUT_PARTS,
        .quiet = t * NODE_HEARTBEAT_PARTS / NODE_TIMEOUT_PARTS,
        .retry = t / 8,
        .ack_delay = NODE_ACK_DELAY_US,
        .disk_stall = max_u64(4 * t, NODE_DISK_STALL_MIN_US),
        .seed = cfg->seed,
        .boot = cfg->boot,
        .full_retry = NODE_FULL_RETRY_US,
    };
    size_t cap = wal->n_runs + 4 * RAFT_APPEND_RUNS_MAX;
    r->runs = calloc(cap, sizeof *r->runs);
    if (r->runs == NULL)
        return false;
    struct raft_restored rs = {
        .term = wal->term,
        .vote = wal->vote,
        .base_index = wal->base_index,
        .base_term = wal->base_term,
        .last_index = wal->last_index,
        .runs = wal->runs,
        .n_runs = wal->n_runs,
        .commit = max_u64(wal->commit, applied),
        .damaged = wal->doubt,
        .members = core_members(members_log_newest(&r->members, 0)),
        .members_before = core_members(members_log_newest(&r->members, 1)),
    };
    raft_init(&r->raft, &rc, &rs, r->runs, cap, now);
    r->applied = applied;
    return true;
}

bool replica_init(struct replica *r, const struct node_config *cfg, const struct node_io *io,
                  const struct wal_report *wal, uint64_t applied, uint64_t applied_ms, uint64_t now)
{
    *r = (struct replica){.cfg = cfg, .io = io, .seal_at = NEVER, .disk_commit = wal->commit};
    memcpy(r->head, wal->head, sizeof r->head);
    r->last_ms = max_u64(wal->last_ms, applied_ms);
    size_t ring = (size_t)max_u64(4 * (uint64_t)cfg->max_value_bytes, RING_MIN_BYTES);
    if (cfg->cache_bytes != 0)
        ring = cfg->cache_bytes;
    restore_members(r, wal);
    if (entries_init(&r->log, ring, wal->last_index) < 0 || !start_core(r, wal, applied, now))
        return false;
    r->time = (struct cluster_time){raft_term_at(&r->raft, wal->last_index), r->last_ms, now};
    return true;
}

void replica_free(struct replica *r)
{
    free(r->backlog.buf);
    free(r->runs);
    entries_free(&r->log);
}

const struct raft_peer *replica_peer(const struct replica *r, uint16_t id)
{
    static const struct raft_peer nobody = {0};
    int slot = raft_peer_slot(&r->raft, id);
    return slot >= 0 ? &r->raft.peers[slot] : &nobody;
}

bool replica_full(const struct replica *r)
{
    return r->raft.log_full || raft_disk_full(&r->raft);
}

void replica_set_log_full(struct replica *r, bool full)
{
    raft_log_full(&r->raft, full);
}

void replica_set_differs(struct replica *r, bool differs)
{
    raft_differs(&r->raft, differs);
}

bool replica_term_durable(const struct replica *r)
{
    return r->raft.durable_term == r->raft.term;
}

bool replica_awaits_disk(const struct replica *replica)
{
    const struct raft *r = &replica->raft;
    unsigned others = 0;
    if (r->role != RAFT_LEADER || r->inflight_seq == 0 || r->written_last != r->trail.last ||
        r->truncate_pending || r->reset_pending || r->inflight_term != r->term ||
        r->inflight_vote != r->vote || r->durable_term != r->term)
        return true;
    for (unsigned i = 0; i < r->n_peers; i++) {
        if (r->peers[i].match_index > r->durable_index)
            return true;
        others += r->peers[i].standing == RAFT_VOTER;
    }
    return others == 0;
}

bool replica_make_room(struct replica *r, size_t size, unsigned count)
{
    struct entries *e = &r->log;
    while (!entries_fits(e, size) || e->last - e->first + 1 + count > ENTRIES_MAX) {
        if (e->first > e->last || e->first > r->raft.durable_index)
            return false;
        entries_drop_first(e);
    }
    return true;
}

uint16_t replica_data_limit(const struct replica *r)
{
    return (uint16_t)(r->cfg->max_data_bytes / CMD_LIMIT_BYTES);
}

static void append_new(struct replica *r, uint64_t now, uint64_t index, uint8_t type,
                       const uint8_t *data, size_t len)
{
    size_t size = record_size((uint32_t)len);
    /* Proposals made sure of it. For a new leader's no-op the fullest memory has room: the batch that made
     * its vote durable brought at least one entry to the disk if any was missing there, and as a candidate
     * it took no more. So that entry, which is no smaller than a no-op, may go. Later no-ops are made when
     * all entries are on the disk. */
    bool room = replica_make_room(r, size, 1);
    assert(room);
    (void)room;
    assert(index == r->log.last + 1);
    uint8_t *rec = entries_tail(&r->log);
    if (len > 0)
        memcpy(rec + RECORD_HEAD_BYTES, data, len);
    if (type == RECORD_COMMAND)
        cmd_stamp_limit(rec + RECORD_HEAD_BYTES, replica_data_limit(r));
    uint64_t ms = cluster_time_ms(&r->time, now);
    assert(ms >= r->last_ms);
    record_seal(rec, index, r->raft.term, ms, type, r->head, (uint32_t)len);
    entries_push(&r->log, size);
    record_hash(rec, size, r->head);
    r->last_ms = ms;
}

/* The core's memory for runs grows with the number of terms in the log, by a few bytes each. */
static void keep_runs_free(struct replica *r)
{
    if (raft_trail_room(&r->raft.trail) >= RAFT_APPEND_RUNS_MAX)
        return;
    size_t cap = 2 * r->raft.trail.cap_runs;
    struct raft_run *runs = calloc(cap, sizeof *runs);
    if (runs == NULL)
        node_out_of_memory(r->io, "the terms of the log's entries have no room");
    raft_trail_move(&r->raft.trail, runs, cap);
    free(r->runs);
    r->runs = runs;
}

static void append_members(struct replica *r, uint64_t now, uint64_t index, const struct members *m)
{
    uint8_t buf[MEMBERS_BYTES_MAX];
    size_t len = members_encode(m, buf);
    append_new(r, now, index, RECORD_MEMBERS, buf, len);
    members_log_add(&r->members, index, m);
}

/* The core has promoted a learner: the entry for it. */
static void append_promotion(struct replica *r, uint64_t now, const struct raft_edit *edit)
{
    struct members m = replica_members(r)->members;
    for (unsigned i = 0; i < m.n; i++)
        if (m.m[i].id == edit->promoted)
            m.m[i].standing = MEMBER_VOTER;
    append_members(r, now, edit->append_first, &m);
}

/* One event into the core. What it does to the log by itself is done to the bytes at once: a truncation, a
 * no-op, a promotion. After a truncation the hash of the last record comes with the records that take the
 * place of those that were cut. */
static void step(struct replica *r, uint64_t now, const struct raft_event *ev,
                 struct raft_edit *edit)
{
    keep_runs_free(r);
    raft_step(&r->raft, now, ev, edit);
    r->members_changed |= edit->members;
    if (edit->truncate) {
        entries_truncate(&r->log, edit->truncate_to);
        members_log_cut(&r->members, edit->truncate_to);
    }
    if (edit->noop && edit->append_first == r->raft.term_first)
        cluster_time_lead(&r->time, r->raft.term);
    if (edit->noop)
        append_new(r, now, edit->append_first, RECORD_NOOP, NULL, 0);
    if (edit->promoted != 0)
        append_promotion(r, now, edit);
}

void replica_step(struct replica *r, uint64_t now, const struct raft_event *ev)
{
    struct raft_edit edit;
    assert(ev->type != RAFT_EV_PROPOSE && ev->type != RAFT_EV_APPEND);
    step(r, now, ev, &edit);
    if (ev->type == RAFT_EV_MESSAGE && ev->msg->type == RAFT_MSG_LEAD &&
        ev->msg->term == r->raft.term && ev->msg->from == r->raft.leader)
        cluster_time_heard(&r->time, now, ev->msg->term, ev->msg->lead.cluster_ms);
}

bool replica_members_changed(struct replica *r)
{
    bool changed = r->members_changed || r->settled != replica_settled(r);
    r->members_changed = false;
    r->settled = replica_settled(r);
    return changed;
}

void replica_ready(struct replica *r, uint64_t now, struct raft_ready *rd)
{
    raft_ready(&r->raft, now, rd);
}

void replica_advance(struct replica *r, uint64_t now, const struct raft_ready *rd)
{
    raft_advance(&r->raft, now, rd);
}

void replica_lead(struct replica *r, uint64_t now, uint16_t peer, struct raft_msg *m)
{
    int slot = raft_peer_slot(&r->raft, peer);
    assert(slot >= 0);
    raft_lead(&r->raft, now, (unsigned)slot, m);
}

void replica_tell_time(const struct replica *r, uint64_t now, struct raft_msg *m)
{
    if (m->type == RAFT_MSG_LEAD && r->raft.role == RAFT_LEADER && m->term == r->raft.term)
        m->lead.cluster_ms = cluster_time_ms(&r->time, now);
}

void replica_pto(struct replica *r, uint16_t peer, uint64_t pto_us)
{
    int slot = raft_peer_slot(&r->raft, peer);
    if (slot >= 0)
        raft_pto(&r->raft, (unsigned)slot, pto_us);
}

void replica_ack_soon(struct replica *r)
{
    raft_ack_soon(&r->raft);
}

void replica_refuse_stream(struct replica *r)
{
    raft_refuse_stream(&r->raft);
}

/* Makes room for a proposal. Entries that are not committed get half of the memory, so that the other half is
 * left to peers that lag a little. */
static bool has_room(struct replica *r, size_t size)
{
    uint64_t uncommitted = 0;
    if (r->raft.commit_index < r->log.last) {
        uint64_t from = r->raft.commit_index + 1;
        uint64_t pos = from < r->log.first ? r->log.ring.start : entries_pos(&r->log, from);
        uncommitted = r->log.ring.end - pos;
    }
    if (uncommitted > 0 && uncommitted + size > r->log.ring.cap / 2)
        return false;
    return replica_make_room(r, size, 1);
}

bool replica_propose(struct replica *r, uint64_t now, const uint8_t *cmd, size_t len)
{
    if (r->raft.log_full || !has_room(r, record_size((uint32_t)len)))
        return false;
    struct raft_event ev = {.type = RAFT_EV_PROPOSE, .propose = {.n = 1}};
    struct raft_edit edit;
    step(r, now, &ev, &edit);
    if (edit.append_first == 0)
        return false;
    append_new(r, now, edit.append_first, RECORD_COMMAND, cmd, len);
    return true;
}

/* The core never promotes a learner in the step that takes this change, since it waits for its commit. */
enum raft_refusal replica_change(struct replica *r, uint64_t now, const struct members *m,
                                 bool force)
{
    struct raft_members members = core_members(&(struct members_at){.members = *m});
    struct raft_event ev = {.type = RAFT_EV_PROPOSE,
                            .propose = {.n = 1, .members = &members, .force = force}};
    struct raft_edit edit;
    if (!members_valid(m))
        return RAFT_REFUSED_MALFORMED;
    if (!has_room(r, record_size(MEMBERS_BYTES_MAX)))
        return RAFT_REFUSED_NO_ROOM;
    step(r, now, &ev, &edit);
    if (edit.refusal == RAFT_TAKEN)
        append_members(r, now, edit.append_first, m);
    return edit.refusal;
}

bool replica_hash(const struct replica *r, uint64_t index, uint8_t hash[RECORD_HASH_BYTES],
                  uint64_t *cluster_ms)
{
    *cluster_ms = 0;
    if (index == 0) {
        memset(hash, 0, RECORD_HASH_BYTES);
    } else if (index == r->log.last) {
        memcpy(hash, r->head, RECORD_HASH_BYTES);
        *cluster_ms = r->last_ms;
    } else if (index >= r->log.first && index < r->log.last) {
        size_t size;
        const uint8_t *rec = entries_at(&r->log, index, &size);
        record_hash(rec, size, hash);
        *cluster_ms = record_cluster_ms(rec);
    } else {
        return false;
    }
    return true;
}

/* Copies the records from index `from` on behind our log, which has the ones before. */
static void copy_records(struct replica *r, const uint8_t *p, const struct append *a, uint64_t from)
{
    uint64_t index = a->first;
    for (size_t at = 0, size; at < a->bytes; at += size, index++) {
        size = record_known_size(p + at);
        if (index < from)
            continue;
        memcpy(entries_tail(&r->log), p + at, size);
        entries_push(&r->log, size);
    }
    memcpy(r->head, a->hash, sizeof r->head);
    r->last_ms = a->last_ms;
}

void replica_append(struct replica *r, uint64_t now, const uint8_t *p, const struct append *a)
{
    struct raft_event ev = {.type = RAFT_EV_APPEND};
    ev.append.from = r->raft.leader;
    ev.append.term = r->raft.term;
    ev.append.epoch = r->raft.epoch;
    ev.append.prev_index = a->first - 1;
    ev.append.prev_term = raft_term_at(&r->raft, a->first - 1);
    ev.append.last_index = a->last;
    ev.append.runs = a->runs;
    ev.append.n_runs = a->n_runs;
    struct members_at at = {.index = a->members.index};
    struct raft_members members;
    if (at.index != 0) {
        bool sound = members_decode(a->members.data, a->members.data_len, &at.members);
        assert(sound);
        (void)sound;
        members = core_members(&at);
        ev.append.members = &members;
        ev.append.n_members = 1;
    }
    struct raft_edit edit;
    step(r, now, &ev, &edit);
    if (edit.append_first != 0) {
        copy_records(r, p, a, edit.append_first);
        cluster_time_entry(&r->time, now, raft_term_at(&r->raft, a->last), a->last_ms);
    }
    if (edit.append_first != 0 && at.index >= edit.append_first)
        members_log_add(&r->members, at.index, &at.members);
    assert(r->log.last == r->raft.trail.last);
}

/* The hash of the record at `last`. If that is not the last record, the one behind it is not on disk yet: so
 * it is in memory (invariant 2), and has the hash of the one before it. */
static void hash_at(const struct replica *r, uint64_t last, uint8_t hash[RECORD_HASH_BYTES])
{
    size_t size;
    struct record next;
    if (last == r->log.last) {
        memcpy(hash, r->head, RECORD_HASH_BYTES);
        return;
    }
    const uint8_t *rec = entries_at(&r->log, last + 1, &size);
    enum record_status st = record_decode(rec, size, &next, &size);
    assert(st == RECORD_OK);
    memcpy(hash, next.prev, RECORD_HASH_BYTES);
}

void replica_persist(struct replica *r, struct raft_persist *p)
{
    struct wal_batch b = {
        .term = p->term,
        .vote = p->vote,
        .truncate = p->truncate,
        .truncate_to = p->reset ? p->reset_to : p->truncate_to,
        .reset = p->reset,
    };
    /* A batch without entries names the log as the disk has it: entries that are not there wait for room. */
    uint64_t last = r->raft.written_last;
    if (p->first_index != 0) {
        uint64_t from = entries_pos(&r->log, p->first_index);
        uint64_t end = entries_pos(&r->log, p->last_index + 1);
        if (end - from > r->cfg->batch_bytes) {
            uint64_t i = entries_find(&r->log, from + r->cfg->batch_bytes);
            p->last_index = i > p->first_index ? i - 1 : i;
            end = entries_pos(&r->log, p->last_index + 1);
        }
        last = p->last_index;
        b.first_index = p->first_index;
        b.last_index = last;
        b.bytes[0].iov_base = ring_at(&r->log.ring, from);
        b.bytes[0].iov_len = (size_t)(end - from);
        b.bytes_n = 1;
    }
    b.last_term = raft_term_at(&r->raft, last);
    b.commit = p->commit = min_u64(p->commit, last);
    hash_at(r, last, b.head);
    r->seal_at = NEVER;
    r->disk_commit = b.commit;
    r->disk_bytes += batch_bytes(b.bytes_n > 0 ? (uint32_t)b.bytes[0].iov_len : 0);
    r->io->persist(r->io->ctx, p->seq, &b);
}

void replica_persisted(struct replica *r, uint64_t now, uint64_t seq)
{
    if (seq == 0) {
        r->sealing = false;
        return;
    }
    replica_step(r, now,
                 &(struct raft_event){.type = RAFT_EV_PERSISTED, .persisted = {.seq = seq}});
    r->seal_at = now + NODE_SEAL_US;
}

void replica_no_room(struct replica *r, uint64_t now, uint64_t seq)
{
    r->disk_commit = 0; /* the disk did not take the commit index: a later batch brings it */
    if (seq == 0)
        r->sealing = false;
    else
        replica_step(r, now,
                     &(struct raft_event){.type = RAFT_EV_REFUSED, .refused = {.seq = seq}});
}

/* NODE_SEAL_US after the last write one empty batch proves that write durable to a later recovery, and tells
 * it what was committed by then. After that batch an idle node writes nothing. */
static void seal(struct replica *r)
{
    struct wal_batch b = {
        .term = r->raft.term,
        .vote = r->raft.vote,
        .last_term = raft_term_at(&r->raft, r->raft.trail.last),
        .commit = r->raft.commit_index,
        .idle = true,
    };
    memcpy(b.head, r->head, sizeof b.head);
    r->seal_at = NEVER;
    r->sealing = true;
    r->disk_bytes += batch_bytes(0);
    r->disk_commit = b.commit;
    r->io->persist(r->io->ctx, 0, &b);
}

void replica_seal(struct replica *r, uint64_t now)
{
    bool free_disk = r->raft.inflight_seq == 0 && !raft_disk_full(&r->raft);
    if (now >= r->seal_at) {
        if (free_disk)
            seal(r);
        else
            r->seal_at = NEVER; /* the batch in flight, or the next one, proves the same */
    } else if (r->seal_at == NEVER && free_disk && !r->sealing &&
               r->raft.commit_index > r->disk_commit) {
        r->seal_at = now + NODE_SEAL_US; /* the last batch was made before this commit index */
    }
}

void replica_stopping(struct replica *r)
{
    const struct raft *c = &r->raft;
    /* An idle batch names the last entry, so all entries must be written before it; some may have come
     * since the last flush. */
    bool all_written = c->inflight_seq == 0 && c->written_last == c->trail.last &&
                       !c->truncate_pending && !c->reset_pending && c->durable_term == c->term &&
                       c->durable_vote == c->vote;
    if (all_written && !r->sealing && !raft_disk_full(c) && c->commit_index > r->disk_commit)
        seal(r);
}

void replica_compact(struct replica *r, uint64_t index)
{
    assert(index <= r->applied);
    raft_compact(&r->raft, index);
}

bool replica_install_begin(struct replica *r)
{
    return raft_install_begin(&r->raft);
}

bool replica_install(struct replica *r, uint64_t now, const struct snapshot_head *head)
{
    struct raft_event ev = {.type = RAFT_EV_INSTALL};
    struct raft_edit edit;
    struct members_at newest = {0};
    struct raft_members members;
    if (head != NULL) {
        newest = head->members.index != 0 ? head->members : replica_first_members(r->cfg);
        members = core_members(&newest);
        ev.install.index = head->index;
        ev.install.term = head->term;
        ev.install.members = &members;
    }
    step(r, now, &ev, &edit);
    if (!edit.reset)
        return false;
    assert(head != NULL);
    r->members.n = 0;
    members_log_add(&r->members, newest.index, &newest.members);
    r->applied_members = newest;
    entries_reset(&r->log, head->index);
    memcpy(r->head, head->entry_hash, sizeof r->head);
    r->last_ms = head->cluster_ms;
    r->time = (struct cluster_time){head->term, head->cluster_ms, now};
    r->applied = head->index;
    return true;
}

/* Reads entries that are committed and on our disk: these can't change before they are used. */
static void fetch_backlog(struct replica *r, uint64_t from)
{
    struct backlog *b = &r->backlog;
    if (b->buf == NULL && (b->buf = malloc(RECORD_MAX_BYTES)) == NULL)
        return; /* memory is short: the next flush tries again */
    uint64_t last = min_u64(r->raft.commit_index, r->raft.durable_index);
    b->len = b->off = 0;
    b->next = from;
    b->fetching = true;
    r->io->fetch(r->io->ctx, (struct node_fetch){0}, &(struct wal_pos){.index = from}, last, b->buf,
                 RECORD_MAX_BYTES);
}

void replica_fetched(struct replica *r, size_t len)
{
    r->backlog.fetching = false;
    r->backlog.len = len;
}

/* Finds the record in memory, or in what was read from disk. False: it has to be read first. */
static bool find_next(struct replica *r, uint64_t i, struct record *rec)
{
    struct backlog *b = &r->backlog;
    size_t size;
    const uint8_t *p;
    if (i >= r->log.first) {
        p = entries_at(&r->log, i, &size);
    } else if (b->fetching) {
        return false;
    } else if (b->off == b->len || b->next != i) {
        fetch_backlog(r, i);
        return false;
    } else {
        p = b->buf + b->off;
        size = b->len - b->off;
    }
    enum record_status st = record_decode(p, size, rec, &size);
    assert(st == RECORD_OK && rec->index == i); /* storage checked every record it read */
    assert(rec->term == raft_term_at(&r->raft, i));
    if (i < r->log.first) {
        b->off += size;
        b->next = i + 1;
    }
    return true;
}

bool replica_next(struct replica *r, struct record *rec)
{
    struct backlog *b = &r->backlog;
    if (b->buf != NULL && !b->fetching && r->applied + 1 >= r->log.first) {
        free(b->buf); /* the rest is in memory: this is needed only after a restart */
        *b = (struct backlog){0};
    }
    if (r->applied == r->raft.commit_index || !find_next(r, r->applied + 1, rec))
        return false;
    if (rec->type == RECORD_MEMBERS) {
        bool sound = members_decode(rec->data, rec->data_len, &r->applied_members.members);
        assert(sound);
        (void)sound;
        r->applied_members.index = rec->index;
    }
    r->applied++;
    return true;
}

void replica_status(const struct replica *replica, uint64_t now, struct status *s)
{
    const struct raft *r = &replica->raft;
    const struct raft_member *own = raft_member(&r->members, r->cfg.id);
    s->standing = own != NULL ? (enum raft_standing)own->standing : RAFT_NO_MEMBER;
    s->own_standing = raft_stand(r);
    s->members_committed = r->members.index <= r->commit_index;
    s->role = r->role;
    s->term = r->term;
    s->leader = r->leader;
    s->vote = r->vote;
    s->commit_index = r->commit_index;
    s->leader_commit = r->leader_commit;
    s->applied_index = replica->applied;
    s->last_index = r->trail.last;
    s->durable_index = r->durable_index;
    s->log_first_index = r->trail.base_index + 1;
    s->doubt_index = r->doubt_index;
    s->doubt = r->damaged            ? STATUS_DOUBT_DAMAGED
               : r->doubt_index != 0 ? STATUS_DOUBT_ACKNOWLEDGED
                                     : STATUS_DOUBT_NONE;
    s->why = r->why;
    s->heir = r->heir;
    s->transfer = r->transfer;
    s->transfers = r->transfers;
    s->drained = r->drained;
    s->outranked_by = r->outranked_by;
    s->waits = r->waits;
    s->no_room = r->no_room;
    s->raft = r->stats;
    s->disk_full = raft_disk_full(r);
    s->log_full = r->log_full;
    s->disk_pending_us = r->inflight_seq != 0 ? now - r->inflight_since : 0;
}

uint64_t replica_deadline(const struct replica *r)
{
    return min_u64(raft_deadline(&r->raft), r->seal_at);
}
