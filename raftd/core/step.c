/* step.c: the cycle of raft.h: step, ready, advance, deadline; names. */
#include "raftd/core/raft_impl.h"

static void check_config(const struct raft_config *cfg)
{
    assert(cfg->id != 0);
    assert(cfg->heartbeat > 0 && cfg->retry > 0 && cfg->disk_stall > 0 && cfg->full_retry > 0);
    assert(cfg->election_timeout > 2 * cfg->heartbeat && cfg->election_timeout > 2 * cfg->quiet);
    (void)cfg;
}

void raft_init(struct raft *r, const struct raft_config *cfg, const struct raft_restored *s,
               struct raft_run *runs, size_t cap_runs, raft_time now)
{
    check_config(cfg);
    assert(cap_runs >= s->n_runs + RAFT_APPEND_RUNS_MAX);
    *r = (struct raft){.cfg = *cfg, .role = RAFT_FOLLOWER};
    r->term = r->durable_term = s->term;
    r->vote = r->durable_vote = s->vote;
    r->damaged = s->damaged;
    if (s->n_runs > 0)
        memcpy(runs, s->runs, s->n_runs * sizeof *runs);
    r->trail = (struct raft_trail){.base_index = s->base_index,
                                   .base_term = s->base_term,
                                   .last = s->last_index,
                                   .runs = runs,
                                   .n_runs = s->n_runs,
                                   .cap_runs = cap_runs};
    r->durable_index = r->written_last = s->last_index;
    /* Figure 3.1 keeps the commit index in memory only. A lower bound that lasts lets a node that finds
     * no leader serve what it knows. */
    assert(s->base_index <= s->commit && s->commit <= s->last_index);
    r->commit_index = r->leader_commit = s->commit;
    r->next_seq = 1;
    r->ack_by = r->yield_at = r->gone_at = RAFT_NEVER;
    r->campaign = (uint64_t)cfg->boot << 32; /* answers to an earlier process don't count */
    r->members = s->members;
    if (s->members.index > s->commit) {
        r->members_before = s->members_before;
        /* See raft_members_add(). */
        r->commit_index = r->leader_commit = raft_max(s->commit, s->members_before.index);
    }
    raft_peers_sync(r);
    r->rng = cfg->seed;
    raft_election_reset_timer(r, now);
    assert(raft_check(r) == NULL);
}

/* -------------------------------------------------------------------------------------- step */

/* Slot of the sender, -1 if the message is not for us. Any node may lead or ask for votes (section 4.1). All
 * else counts only from a peer, with the directory that the peer had before, and for a leader only if the
 * peer gets the leader's log. */
static int sender(struct raft *r, raft_time now, const struct raft_msg *m, struct raft_edit *edit)
{
    if (m->from == 0 || m->from == r->cfg.id)
        return -1;
    if (m->type == RAFT_MSG_VOTE_REQ || m->type == RAFT_MSG_LEAD || m->type == RAFT_MSG_PROBE)
        return raft_peers_meet(r, now, m->from, m->incarnation, edit);
    int slot = raft_peer_slot(r, m->from);
    const struct raft_peer *p = slot >= 0 ? &r->peers[slot] : NULL;
    if (p == NULL || (p->incarnation != 0 && p->incarnation != m->incarnation))
        return -1;
    return r->role == RAFT_LEADER && !p->served ? -1 : slot;
}

/* Message or stream data came from the peer in that slot. False: it is dropped. */
static bool accept_sender(struct raft *r, raft_time now, int slot, uint64_t term)
{
    if (slot < 0 || raft_term_absurd(r, term)) {
        r->stats.impossible_msgs++;
        return false;
    }
    raft_election_seen(r, now, &r->peers[slot]);
    return true;
}

/* A leader judges its majority by the answers that it gets (section 6.2). A peer that only asks for votes,
 * or speaks of another term, does not hear it. */
static void heard(struct raft *r, raft_time now, uint16_t from, uint64_t term)
{
    struct raft_peer *p = &r->peers[raft_peer_slot(r, from)];
    if (r->role == RAFT_LEADER && term != r->term)
        return;
    if (now >= p->heard + r->cfg.election_timeout) { /* it is back: ask it without backoff */
        raft_try_reset(&p->probe_try);
        raft_try_reset(&p->round_try);
    }
    p->heard = now;
}

/* The rule for terms (figure 3.1, rules for all servers). A higher term is entered. True if the message is
 * of the current term now, and still to be handled. */
static bool accept_term(struct raft *r, raft_time now, uint16_t from, uint64_t term,
                        bool leader_speaks)
{
    if (term < r->term) {
        if (leader_speaks)
            raft_follow_refuse_term(r, from); /* figure 3.1, AppendEntries, step 1 */
        else
            r->stats.stale_msgs++;
        return false;
    }
    if (term > r->term)
        raft_election_step_down(r, now, term, RAFT_WHY_HIGHER_TERM);
    return true;
}

static void on_message(struct raft *r, raft_time now, const struct raft_msg *m,
                       struct raft_edit *edit)
{
    if (!accept_sender(r, now, sender(r, now, m, edit), m->term))
        return;
    if (m->type == RAFT_MSG_VOTE_REQ) { /* has its own rule for terms */
        if (raft_election_on_vote_req(r, now, m))
            raft_lead_on_ping(r, now, m);
        return;
    }
    heard(r, now, m->from, m->term);
    if (m->type == RAFT_MSG_VOTE_RSP && m->vote_rsp.removed != 0)
        raft_election_removed(r, now, m->vote_rsp.removed);
    bool leader_speaks = m->type == RAFT_MSG_LEAD || m->type == RAFT_MSG_PROBE;
    if (!accept_term(r, now, m->from, m->term, leader_speaks))
        return;
    switch (m->type) {
    case RAFT_MSG_VOTE_REQ: break;
    case RAFT_MSG_VOTE_RSP: raft_election_on_vote_rsp(r, now, m); break;
    case RAFT_MSG_PROBE: raft_follow_on_probe(r, now, m); break;
    case RAFT_MSG_PROBE_ACK: raft_lead_on_probe_ack(r, m); break;
    case RAFT_MSG_LEAD: raft_follow_on_lead(r, now, m); break;
    case RAFT_MSG_ACK: raft_lead_on_ack(r, m); break;
    case RAFT_MSG_PING: raft_lead_on_ping(r, now, m); break;
    case RAFT_MSG_READ_REQ: raft_read_on_req(r, m); break;
    case RAFT_MSG_READ_RSP: raft_read_on_rsp(r, m); break;
    case RAFT_MSG_TIMEOUT_NOW: raft_transfer_on_timeout_now(r, now, m); break;
    case RAFT_MSG_TRANSFER: raft_transfer_on_msg(r, now, m); break;
    default: r->stats.impossible_msgs++; break;
    }
}

static void on_persisted(struct raft *r, raft_time now, uint64_t seq)
{
    assert(seq != 0 && seq == r->inflight_seq);
    bool hard_state_news = !raft_hard_state_durable(r);
    r->inflight_seq = 0;
    raft_time took = raft_max(now - r->inflight_since, 1);
    if (took > raft_max(r->cfg.election_timeout, RAFT_DISK_PATIENCE * raft_disk_time(r)))
        raft_restless(r, now, RAFT_WAITS_DISK);
    r->disk_took[1] = r->disk_took[0];
    r->disk_took[0] = took;
    r->durable_term = r->inflight_term;
    r->durable_vote = r->inflight_vote;
    r->batch_at = 0;
    if (r->inflight_entries)
        r->entries_at = 0;
    if (hard_state_news && raft_hard_state_durable(r))
        raft_election_durable(r, now);
    if (r->written_last > r->durable_index) { /* one batch at a time: all that was written */
        r->durable_index = r->written_last;
        raft_ack_soon(r);
    }
}

/* The disk is as it was before the batch, since there is one batch at a time. */
static void on_refused(struct raft *r, raft_time now, uint64_t seq)
{
    assert(seq != 0 && seq == r->inflight_seq);
    r->inflight_seq = 0;
    /* Dead entries are still on disk if the batch was to cut them, or if more have died since it was made.
     * They need no cut if the whole log is to go. */
    r->reset_pending |= r->inflight_reset;
    r->truncate_pending = !r->reset_pending &&
                          (r->inflight_truncate || r->durable_index < r->inflight_base);
    if (r->truncate_pending)
        r->truncate_to = r->durable_index;
    r->written_last = r->durable_index;
    bool entries = r->inflight_entries && r->trail.last > r->written_last;
    *(entries ? &r->entries_at : &r->batch_at) = now + r->cfg.full_retry;
    if (r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE)
        raft_election_step_down(r, now, r->term, RAFT_WHY_DISK_FULL);
}

/* Decides when a leader that others can do without steps down (raft_lead_on_tick()): its disk is full and
 * something is committed without its copy, so a majority has room; or it was removed (section 4.2.2). Not at
 * once, so that its peers still hear what is committed. */
static void note_yield(struct raft *r, raft_time now)
{
    bool full = raft_disk_full(r) && r->commit_index > r->durable_index;
    bool removed = raft_lead_removed(r);
    if (r->role != RAFT_LEADER || (!full && !removed)) {
        r->yield_at = RAFT_NEVER;
        return;
    }
    bool news = removed && r->yield_at == RAFT_NEVER;
    if (r->heir != 0)
        r->yield_at = r->heir_until; /* a hand-over can be faster than an election */
    else if (r->yield_at == RAFT_NEVER)
        r->yield_at = now + 1;
    for (unsigned i = 0; i < r->n_peers && news; i++)
        r->peers[i].lead_sent = 0;
}

void raft_step(struct raft *r, raft_time now, const struct raft_event *ev, struct raft_edit *edit)
{
    assert(raft_trail_room(&r->trail) >= RAFT_APPEND_RUNS_MAX);
    *edit = (struct raft_edit){0};
    switch (ev->type) {
    case RAFT_EV_TICK:
        raft_transfer_on_tick(r, now);
        raft_lead_on_tick(r, now);
        raft_election_on_tick(r, now);
        raft_peers_on_tick(r, now, edit);
        break;
    case RAFT_EV_MESSAGE: on_message(r, now, ev->msg, edit); break;
    case RAFT_EV_APPEND:
        if (accept_sender(r, now, raft_peer_slot(r, ev->append.from), ev->append.term) &&
            accept_term(r, now, ev->append.from, ev->append.term, true))
            raft_follow_on_append(r, now, ev, edit);
        break;
    case RAFT_EV_PROPOSE:
        if (ev->propose.members != NULL)
            raft_change_on_propose(r, now, ev, edit);
        else
            raft_lead_on_propose(r, ev->propose.n, edit);
        break;
    case RAFT_EV_PERSISTED: on_persisted(r, now, ev->persisted.seq); break;
    case RAFT_EV_READ: raft_read_on_read(r, ev->read.req); break;
    case RAFT_EV_REFUSED: on_refused(r, now, ev->refused.seq); break;
    case RAFT_EV_INSTALL: raft_follow_on_install(r, ev, edit); break;
    case RAFT_EV_TRANSFER: raft_transfer_on_ask(r, now, ev); break;
    case RAFT_EV_CLOSED: raft_election_closed(r, now, ev->closed); break;
    }
    if (edit->members)
        raft_peers_sync(r);
    /* Whatever happened may have completed a majority. */
    if (raft_election_won(r))
        raft_lead_start(r, now, edit);
    raft_lead_heal(r, edit);
    raft_lead_commit(r);
    raft_change_settle(r, now, edit);
    raft_peers_settle(r, now);
    raft_follow_settle_doubt(r);
    raft_read_settle(r);
    raft_transfer_settle(r, now);
    note_yield(r, now);
}

/* ----------------------------------------------------------------------------- ready, advance */

/* While entries wait for room a pending truncation waits with them: it is not urgent, and needs room
 * itself. */
static bool log_unwritten(const struct raft *r)
{
    return r->trail.last > r->written_last || r->truncate_pending || r->reset_pending;
}

static void make_batch(const struct raft *r, raft_time now, struct raft_persist *p)
{
    *p = (struct raft_persist){.term = r->term, .vote = r->vote};
    bool log = log_unwritten(r) && now >= r->entries_at;
    bool entries = log && r->trail.last > r->written_last && !r->reset_pending;
    if (r->inflight_seq != 0 || now < r->batch_at || (raft_hard_state_durable(r) && !log))
        return;
    p->seq = r->next_seq;
    p->truncate = r->truncate_pending;
    p->truncate_to = r->truncate_pending ? r->truncate_to : 0;
    p->reset = r->reset_pending;
    if (p->reset) {
        p->reset_to = r->trail.base_index;
        p->reset_term = r->trail.base_term;
    }
    p->commit = raft_min(r->commit_index, entries ? r->trail.last : r->written_last);
    if (entries) {
        p->first_index = r->written_last + 1;
        p->last_index = r->trail.last;
    }
}

void raft_ready(struct raft *r, raft_time now, struct raft_ready *rd)
{
    raft_election_flush(r, now);
    if (r->role == RAFT_LEADER) {
        raft_lead_flush(r, now);
        raft_transfer_flush(r, now);
    } else {
        raft_follow_flush(r, now);
    }
    raft_read_flush(r, now);
    raft_release(r);
    *rd = (struct raft_ready){.now = r->now_msgs, .n_now = r->n_now, .after = r->after_msgs};
    make_batch(r, now, &rd->persist);
    if (rd->persist.seq != 0)
        rd->n_after = r->n_after;
    rd->commit_index = r->commit_index;
    rd->read = r->read_ready;
    rd->read_req = r->read_ready ? r->read_done : 0;
    rd->read_index = r->read_ready ? r->read_ready_index : 0;
}

void raft_advance(struct raft *r, raft_time now, const struct raft_ready *rd)
{
    const struct raft_persist *p = &rd->persist;
    assert(rd->n_now == r->n_now);
    r->n_now = 0;
    if (p->seq != 0) {
        assert(p->seq == r->next_seq && r->inflight_seq == 0);
        assert(p->term == r->term && p->vote == r->vote && rd->n_after == r->n_after);
        r->n_after = 0;
        r->inflight_truncate = p->truncate;
        r->inflight_entries = p->first_index != 0;
        r->inflight_base = r->durable_index;
        r->inflight_reset = p->reset;
        r->truncate_pending = r->reset_pending = false;
        if (p->first_index != 0) {
            assert(p->first_index == r->written_last + 1 && p->last_index >= p->first_index &&
                   p->last_index <= r->trail.last);
            r->written_last = p->last_index;
        }
        r->inflight_seq = r->next_seq++;
        r->inflight_since = now;
        r->inflight_term = p->term;
        r->inflight_vote = p->vote;
    }
    if (rd->read)
        r->read_ready = false;
}

/* When a batch that was refused is tried again. */
static raft_time batch_deadline(const struct raft *r)
{
    raft_time t = RAFT_NEVER;
    if (r->inflight_seq != 0 || !raft_disk_full(r))
        return t;
    if (!raft_hard_state_durable(r))
        t = r->batch_at;
    if (log_unwritten(r))
        t = raft_min(t, raft_max(r->entries_at, r->batch_at));
    return t;
}

raft_time raft_deadline(const struct raft *r)
{
    raft_time t = r->role == RAFT_LEADER ? raft_lead_deadline(r) : raft_follow_deadline(r);
    t = raft_min(t, raft_min(raft_election_deadline(r), raft_transfer_deadline(r)));
    t = raft_min(t, raft_peers_deadline(r));
    return raft_min(t, raft_min(batch_deadline(r), raft_read_deadline(r)));
}

/* ------------------------------------------------------------------------------------- names */

const char *raft_role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER: return "follower";
    case RAFT_PRE_CANDIDATE: return "pre-candidate";
    case RAFT_CANDIDATE: return "candidate";
    case RAFT_LEADER: return "leader";
    }
    return "?";
}

const char *raft_peer_state_name(enum raft_peer_state state)
{
    switch (state) {
    case RAFT_PEER_PROBE: return "probe";
    case RAFT_PEER_REPLICATE: return "replicate";
    case RAFT_PEER_SNAPSHOT: return "snapshot";
    }
    return "?";
}

const char *raft_stand_name(enum raft_stand stand)
{
    switch (stand) {
    case RAFT_STANDS: return "stands";
    case RAFT_STAND_UNTOLD: return "no members are known here yet";
    case RAFT_STAND_NO_MEMBER: return "no member";
    case RAFT_STAND_OTHER: return "the member of this id has another data directory";
    case RAFT_STAND_LEARNER: return "learner";
    case RAFT_STAND_PRIORITY_0: return "priority 0";
    case RAFT_STAND_DOUBT: return "in doubt";
    case RAFT_STAND_INSTALLS: return "a snapshot is being installed";
    case RAFT_STAND_DRAINED: return "drained";
    case RAFT_STAND_DISK_FULL: return "the disk is full";
    case RAFT_STAND_LOG_FULL: return "the log is full";
    case RAFT_STAND_DIFFERS: return "its state differs";
    }
    return "?";
}

const char *raft_waits_name(enum raft_waits waits)
{
    switch (waits) {
    case RAFT_WAITS_NONE: return "nothing";
    case RAFT_WAITS_ABLE: return "that node can't lead now";
    case RAFT_WAITS_NEW: return "the leader is new";
    case RAFT_WAITS_PEER: return "a node was lost or came back";
    case RAFT_WAITS_LAG: return "a voter lagged behind";
    case RAFT_WAITS_DISK: return "the leader's disk stalled";
    case RAFT_WAITS_GAVE_UP: return "a hand-over failed";
    case RAFT_WAITS_AGAIN: return "such a hand-over did not last";
    }
    return "?";
}

const char *raft_why_name(enum raft_why why)
{
    switch (why) {
    case RAFT_WHY_NONE: return "none yet";
    case RAFT_WHY_START: return "no leader heard since start";
    case RAFT_WHY_SILENCE: return "the leader was silent";
    case RAFT_WHY_CLOSED: return "the leader has ended";
    case RAFT_WHY_SPLIT: return "the last election had no winner";
    case RAFT_WHY_HIGHER_TERM: return "a higher term was seen";
    case RAFT_WHY_OTHER_LEADER: return "another node leads";
    case RAFT_WHY_LOST_QUORUM: return "no majority was heard";
    case RAFT_WHY_DISK_STALL: return "the own disk stalled";
    case RAFT_WHY_DISK_FULL: return "the own disk has no room";
    case RAFT_WHY_HANDED: return "the lead was handed over";
    case RAFT_WHY_REMOVED: return "it is no voter any more";
    case RAFT_WHY_COUNT: break;
    }
    return "?";
}

const char *raft_transfer_name(enum raft_transfer transfer)
{
    switch (transfer) {
    case RAFT_TRANSFER_NONE: return "none yet";
    case RAFT_TRANSFER_RUNS: return "under way";
    case RAFT_TRANSFER_LEFT: return "done";
    case RAFT_TRANSFER_NO_TARGET: return "no node could take over";
    case RAFT_TRANSFER_SILENT: return "that node is silent";
    case RAFT_TRANSFER_UNFIT: return "that node can't lead now";
    case RAFT_TRANSFER_BEHIND: return "that node lags behind";
    case RAFT_TRANSFER_UNANSWERED: return "that node was not elected in time";
    case RAFT_TRANSFER_COUNT: break;
    }
    return "?";
}
