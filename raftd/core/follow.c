/* follow.c: the follower's half of replication: what the leader says and sends, how far this node's log is
 * known to equal the leader's (`verified`), and what is acknowledged.
 */
#include "raftd/core/raft_impl.h"

void raft_ack_soon(struct raft *r)
{
    if (r->role == RAFT_FOLLOWER && r->leader != 0)
        r->ack_due = true;
}

void raft_refuse_stream(struct raft *r)
{
    if (r->role != RAFT_FOLLOWER || r->leader == 0 || r->epoch == 0)
        return;
    r->refused_epoch = r->epoch;
    r->epoch = 0;
    r->ack_due = true;
}

static void ack_later(struct raft *r, raft_time now)
{
    r->ack_by = raft_min(r->ack_by, now + r->cfg.ack_delay);
}

void raft_follow_refuse_term(struct raft *r, uint16_t to)
{
    r->stats.stale_msgs++;
    if (to == r->leader)
        return; /* the sender leads our term: this is an old message of its own */
    struct raft_msg m = {.type = RAFT_MSG_ACK, .to = to};
    m.ack.boot = r->cfg.boot;
    raft_emit(r, &m);
}

void raft_follow_commit(struct raft *r, uint64_t leader_commit)
{
    /* Figure 3.1, AppendEntries, step 5: not our last entry, but the last one known to equal the
     * leader's. */
    r->leader_commit = raft_max(r->leader_commit, leader_commit);
    r->commit_index = raft_max(r->commit_index, raft_min(r->leader_commit, r->verified));
}

void raft_follow_on_lead(struct raft *r, raft_time now, const struct raft_msg *m)
{
    if (r->role != RAFT_LEADER && m->lead.round <= r->round) {
        r->stats.stale_msgs++; /* repeated or overtaken: not a sign of life */
        return;
    }
    if (!raft_election_heard_leader(r, now, m->from))
        return;
    r->round = m->lead.round;
    r->no_room = m->lead.no_room;
    raft_follow_commit(r, m->lead.commit);
    if (m->lead.epoch != r->epoch && m->lead.epoch >= r->probe_seen && m->lead.epoch != 0) {
        /* A stream to an earlier process of this node, or one that it refused. */
        r->refused_epoch = m->lead.epoch;
        r->ack_due = true;
    }
    if (m->lead.ack_now)
        r->ack_due = true;
    else if (!m->lead.quiet)
        ack_later(r, now);
}

/* Our log has that entry of the leader's, or begins behind it: then it was committed, and equals what
 * any leader has there (leader completeness and state machine safety, figure 3.2). */
static bool matches(const struct raft *r, uint64_t index, uint64_t term)
{
    return index < r->trail.base_index ||
           (index <= r->trail.last && raft_term_at(r, index) == term);
}

/* On this disk the log equals the leader's at least up to that entry, or beyond its term. */
static bool holds(const struct raft *r, uint64_t term, uint64_t index)
{
    uint64_t sure = raft_max(r->trail.base_index, raft_min(r->durable_index, r->verified));
    return raft_up_to_date(raft_term_at(r, sure), sure, term, index);
}

/* The leader says that this node acknowledged entries that it does not have: the node is in doubt. The
 * leader's log has everything that was committed, so the doubt ends when this node has the leader's log
 * up to the last of them. What it acknowledges meanwhile counts, since it is on its disk.
 *
 * A damaged node does not know what it acknowledged, until the leader names the entry that it needs to have.
 * From then on its doubt is the same. */
static void take_doubt(struct raft *r, const struct raft_msg *m)
{
    uint64_t index = m->probe.acked_index, term = m->probe.acked_term;
    bool named = m->probe.damaged_boot == r->cfg.boot;
    if (raft_knows(r) ? index == 0 || holds(r, term, index) : !named)
        return;
    if (r->doubt_index == 0)
        r->stats.lost_acked++;
    if (!raft_up_to_date(r->doubt_term, r->doubt_index, term, index)) {
        r->doubt_index = index;
        r->doubt_term = term;
    }
    /* The disk may have lost a vote of this term, too. The term has its leader: no other gets one. */
    if (r->vote == 0)
        r->vote = m->from;
}

void raft_follow_settle_doubt(struct raft *r)
{
    if (r->doubt_index == 0 || !holds(r, r->doubt_term, r->doubt_index))
        return;
    r->doubt_index = r->doubt_term = 0;
    r->damaged = false;
}

/* What the probe says of lost entries is something that a correct leader can say. */
static bool doubt_well_formed(const struct raft_msg *m)
{
    uint64_t index = m->probe.acked_index, term = m->probe.acked_term;
    if (index == 0)
        return term == 0 && m->probe.damaged_boot == 0;
    return index >= m->probe.prev_index && term >= m->probe.prev_term && term > 0 &&
           term <= m->term;
}

void raft_follow_on_probe(struct raft *r, raft_time now, const struct raft_msg *m)
{
    uint64_t prev = m->probe.prev_index, prev_term = m->probe.prev_term;
    if (m->probe.probe == 0 || m->probe.probe < r->probe_seen) {
        r->stats.stale_msgs++;
        return;
    }
    bool match = matches(r, prev, prev_term);
    /* Leader completeness and log matching (figure 3.2). */
    if ((!match && prev <= raft_max(r->commit_index, r->verified)) || !doubt_well_formed(m)) {
        r->stats.impossible_msgs++;
        return;
    }
    if (!raft_election_heard_leader(r, now, m->from))
        return;
    take_doubt(r, m);
    if (m->probe.probe > r->probe_seen) { /* a repeated probe changes nothing, and is answered */
        r->probe_seen = m->probe.probe;
        r->refused_epoch = 0;
        r->epoch = match ? m->probe.probe : 0;
    }
    struct raft_msg ack = {.type = RAFT_MSG_PROBE_ACK, .to = m->from};
    ack.probe_ack.probe = m->probe.probe;
    ack.probe_ack.boot = r->cfg.boot;
    ack.probe_ack.damaged = !raft_knows(r);
    ack.probe_ack.match = match;
    ack.probe_ack.prev_index = prev;
    if (match) {
        r->verified = raft_max(r->verified, prev);
        ack.probe_ack.hint_index = raft_max(r->verified, r->trail.base_index);
        ack.probe_ack.hint_term = raft_term_at(r, ack.probe_ack.hint_index);
        raft_follow_commit(r, 0);
    } else {
        /* Entries of terms above prev_term can't match at or before prev. */
        ack.probe_ack.hint_index = raft_trail_last_at_most(&r->trail, prev, prev_term);
        ack.probe_ack.hint_term = raft_term_at(r, ack.probe_ack.hint_index);
    }
    raft_emit(r, &ack);
}

/* Whole entries that could come from a correct leader of this term. */
static bool append_well_formed(const struct raft *r, const struct raft_event *ev)
{
    if (ev->append.last_index <= ev->append.prev_index || ev->append.n_runs == 0 ||
        ev->append.n_runs > RAFT_APPEND_RUNS_MAX ||
        ev->append.runs[0].first_index != ev->append.prev_index + 1 ||
        ev->append.runs[0].term < ev->append.prev_term || ev->append.runs[0].term == 0)
        return false;
    for (size_t i = 1; i < ev->append.n_runs; i++) {
        if (ev->append.runs[i].first_index <= ev->append.runs[i - 1].first_index ||
            ev->append.runs[i].term <= ev->append.runs[i - 1].term)
            return false;
    }
    uint64_t before = ev->append.prev_index;
    for (size_t i = 0; i < ev->append.n_members; i++) {
        const struct raft_members *m = &ev->append.members[i];
        if (m->index <= before || m->index > ev->append.last_index || !raft_members_valid(m))
            return false;
        before = m->index;
    }
    return ev->append.runs[ev->append.n_runs - 1].first_index <= ev->append.last_index &&
           ev->append.runs[ev->append.n_runs - 1].term <= r->term;
}

/* Last index of run i of the event. */
static uint64_t append_run_end(const struct raft_event *ev, size_t i)
{
    return i + 1 < ev->append.n_runs ? ev->append.runs[i + 1].first_index - 1
                                     : ev->append.last_index;
}

/* First entry of the event that our log doesn't have, last_index + 1 of the event if it has all. */
static uint64_t append_first_new(const struct raft *r, const struct raft_event *ev)
{
    for (size_t i = 0; i < ev->append.n_runs; i++) {
        uint64_t end = append_run_end(ev, i);
        uint64_t from = raft_max(ev->append.runs[i].first_index, r->trail.base_index + 1);
        if (from > end) /* all of it below the base: we have it */
            continue;
        if (raft_term_at(r, from) != ev->append.runs[i].term)
            return from;
        uint64_t have = raft_trail_last_at_most(&r->trail, end, ev->append.runs[i].term);
        if (have < end)
            return have + 1;
    }
    return ev->append.last_index + 1;
}

static void truncate(struct raft *r, uint64_t to, struct raft_edit *edit)
{
    assert(to >= r->commit_index); /* recovery takes a log that was cut below it for damage */
    raft_trail_truncate(&r->trail, to);
    edit->truncate = true;
    edit->truncate_to = to;
    if (r->written_last > to) { /* the disk has them, or will: it must be told */
        r->truncate_pending = true;
        r->truncate_to = to;
    }
    /* A batch in flight may contain entries that are dead now. New entries at the same indexes are not in
     * it, and must not count as durable when the batch is. */
    r->written_last = raft_min(r->written_last, to);
    r->durable_index = raft_min(r->durable_index, to);
    if (r->members.index > to)
        raft_members_reset(r, &r->members_before, edit);
}

void raft_follow_on_append(struct raft *r, raft_time now, const struct raft_event *ev,
                           struct raft_edit *edit)
{
    if (ev->append.epoch == 0 || ev->append.epoch != r->epoch) {
        r->stats.stale_msgs++;
        return;
    }
    /* Figure 3.1, AppendEntries, step 2; verified >= prev_index implies it on one stream. */
    if (ev->append.prev_index > r->verified ||
        !matches(r, ev->append.prev_index, ev->append.prev_term) || !append_well_formed(r, ev)) {
        r->stats.impossible_msgs++;
        return;
    }
    uint64_t first = append_first_new(r, ev);
    uint64_t last = ev->append.last_index;
    bool conflict = first <= last && first <= r->trail.last;
    if (conflict && first <= raft_max(r->commit_index, r->verified)) {
        r->stats.impossible_msgs++;
        return;
    }
    if (!raft_election_heard_leader(r, now, ev->append.from))
        return;
    if (conflict) /* step 3, only in a conflict: repeated entries must not cut those behind them */
        truncate(r, first - 1, edit);
    if (first <= last) { /* step 4 */
        edit->append_first = first;
        edit->append_last = last;
        for (size_t i = 0; i < ev->append.n_runs; i++) {
            if (append_run_end(ev, i) >= first)
                raft_trail_append(&r->trail, ev->append.runs[i].term, append_run_end(ev, i));
        }
        for (size_t i = 0; i < ev->append.n_members; i++) {
            if (ev->append.members[i].index >= first)
                raft_members_add(r, &ev->append.members[i], edit);
        }
    }
    r->verified = raft_max(r->verified, last);
    raft_follow_commit(r, 0);
    ack_later(r, now);
}

bool raft_install_begin(struct raft *r)
{
    r->installing = r->role == RAFT_FOLLOWER && r->leader != 0;
    return r->installing;
}

/* What is in a snapshot was committed, so the leaders of this term and of later ones have it (leader
 * completeness, figure 3.2), and other entries that this log has up to there are dead. */
void raft_follow_on_install(struct raft *r, const struct raft_event *ev, struct raft_edit *edit)
{
    uint64_t index = ev->install.index, term = ev->install.term;
    r->installing = false;
    if (index <= r->commit_index)
        return; /* it has failed, or the log brought the same entries first */
    bool holds = index <= r->trail.last && raft_term_at(r, index) == term;
    if (r->role != RAFT_FOLLOWER || term == 0 || term > r->term ||
        (!holds && index <= r->verified)) {
        r->stats.impossible_msgs++;
        return;
    }
    if (!holds) {
        raft_trail_reset(&r->trail, index, term);
        /* The configurations that this log had are dead, too, whatever their indexes. */
        raft_members_reset(r, ev->install.members, edit);
        edit->reset = true;
        r->reset_pending = true;
        r->truncate_pending = false;
        r->entries_at = 0;
        r->written_last = r->durable_index = index;
    }
    if (index > r->verified) {
        r->verified = index;
        /* The stream goes on with entries that the leader may drop from its log at any time. */
        raft_refuse_stream(r);
    }
    raft_follow_commit(r, index);
    raft_ack_soon(r);
}

static bool ack_allowed(const struct raft *r)
{
    return r->role == RAFT_FOLLOWER && r->leader != 0 && raft_hard_state_durable(r);
}

void raft_follow_flush(struct raft *r, raft_time now)
{
    if (!ack_allowed(r) || (!r->ack_due && now < r->ack_by))
        return;
    struct raft_msg m = {.type = RAFT_MSG_ACK, .to = r->leader};
    m.ack.round = r->round;
    m.ack.durable = raft_min(r->durable_index, r->verified);
    m.ack.epoch = r->refused_epoch != 0 ? r->refused_epoch : r->epoch;
    m.ack.boot = r->cfg.boot;
    m.ack.damaged = !raft_knows(r);
    m.ack.need_probe = r->refused_epoch != 0;
    m.ack.unfit = raft_unfit(r);
    raft_election_forget_acks(r);
    raft_emit(r, &m);
}

raft_time raft_follow_deadline(const struct raft *r)
{
    if (!ack_allowed(r))
        return RAFT_NEVER;
    return r->ack_due ? 0 : r->ack_by;
}
