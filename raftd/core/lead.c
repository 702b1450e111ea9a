/* lead.c: the leader's half of replication, with a struct raft_peer per other member. Entries themselves
 * travel in the caller's stream; see raft.h.
 */
#include "raftd/core/raft_impl.h"

/* The peer is asked for prev_index next. If the log no longer has what follows that entry, the peer needs a
 * snapshot (chapter 5), and each heartbeat asks it for the base of the log until it has one. */
static void start_probe(struct raft *r, struct raft_peer *p, uint64_t prev_index)
{
    p->epoch = 0;
    p->state = prev_index < r->trail.base_index ? RAFT_PEER_SNAPSHOT : RAFT_PEER_PROBE;
    p->probe = r->next_probe++;
    p->probe_index = raft_max(prev_index, r->trail.base_index);
    raft_try_reset(&p->probe_try);
}

/* Asks the peer for what it is known to have, or for the base of the log. Only its answer can tell whether it
 * has that much. */
static void restart_probe(struct raft *r, struct raft_peer *p)
{
    start_probe(r, p, raft_max(p->match_index, r->trail.base_index));
}

/* The newest probe was answered, and matched. */
static bool matched(const struct raft_peer *p)
{
    return p->state == RAFT_PEER_REPLICATE && p->boot != 0;
}

/* A peer whose stream may still need what leaves the log now is asked whether it has the new base. */
void raft_compact(struct raft *r, uint64_t index)
{
    assert(index <= r->commit_index && index <= r->durable_index);
    raft_trail_compact(&r->trail, index);
    for (unsigned i = 0; r->role == RAFT_LEADER && i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        if (!p->served)
            continue;
        if (p->state == RAFT_PEER_SNAPSHOT && p->probe_index < index)
            start_probe(r, p, index - 1);
        else if ((matched(p) ? p->match_index : p->probe_index) < index)
            restart_probe(r, p);
    }
}

/* A peer that has voted for this leader is there, and mostly has all that the leader had. So the new entries
 * leave together with the probe, as in AppendEntries (figure 3.1): the first commit of a term needs one round
 * trip and not two. If the probe does not match, the peer drops them. */
static void replicate_at_once(struct raft_peer *p)
{
    p->state = RAFT_PEER_REPLICATE;
    p->base_index = p->probe_index;
    p->epoch = p->probe;
    p->boot = 0;
}

static void serve(struct raft *r, raft_time now, struct raft_peer *p, uint64_t prev_index)
{
    p->served = true;
    p->round_target = r->trail.last;
    p->round_since = now;
    p->caught_up = false;
    start_probe(r, p, prev_index);
}

void raft_lead_serve(struct raft *r, raft_time now)
{
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        if (p->served || p->standing == RAFT_NO_MEMBER)
            continue;
        serve(r, now, p, r->trail.last);
    }
}

void raft_lead_start(struct raft *r, raft_time now, struct raft_edit *edit)
{
    assert(r->stood && raft_hard_state_durable(r));
    uint64_t prev_index = r->trail.last;
    r->stats.won++;
    r->role = RAFT_LEADER;
    r->stood = false; /* a term is led once: its numbers of rounds and probes must not repeat */
    r->leader = r->cfg.id;
    r->lead_since = now;
    raft_restless(r, now, RAFT_WAITS_NEW);
    r->tries = 0;
    r->votes_took = 0;
    r->next_probe = 1;
    /* Section 6.4: a leader commits an entry of its own term at once; entries of older terms are
     * committed by it (section 3.6.2), and reads may start. */
    raft_lead_on_propose(r, 1, edit);
    edit->noop = true;
    r->term_first = r->trail.last;
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        p->match_index = 0;
        p->lost_index = p->sure_index = 0;
        p->damaged_boot = 0;
        p->base_index = 0;
        p->boot = 0;
        p->round = 0;
        p->lead_sent = 0;
        p->state = RAFT_PEER_PROBE;
        p->served = false;
        if (p->standing != RAFT_NO_MEMBER)
            serve(r, now, p, prev_index);
        if (p->served && p->vote_granted)
            replicate_at_once(p);
    }
    raft_read_start(r);
}

void raft_lead_on_propose(struct raft *r, uint64_t n, struct raft_edit *edit)
{
    assert(n >= 1);
    if (r->role != RAFT_LEADER || r->heir != 0) {
        /* Section 3.10: the heir could not catch up with a log that grows. */
        edit->refusal = r->role != RAFT_LEADER ? RAFT_REFUSED_NO_LEADER : RAFT_REFUSED_HANDING;
        return;
    }
    edit->append_first = r->trail.last + 1;
    edit->append_last = r->trail.last + n;
    raft_trail_append(&r->trail, r->term, r->trail.last + n);
}

raft_time raft_lead_patience(const struct raft *r)
{
    return 2 * r->cfg.election_timeout;
}

/* When leadership ends unless a majority is heard. */
static raft_time quorum_lost_at(const struct raft *r)
{
    raft_time heard = raft_election_quorum_heard(r);
    return heard == RAFT_ALWAYS ? RAFT_NEVER : heard + raft_lead_patience(r);
}

/* When leadership ends unless the batch in flight is done. A disk that is always slow does not stall: to step
 * down would not make it faster. */
static raft_time disk_stalled_at(const struct raft *r)
{
    if (r->inflight_seq == 0)
        return RAFT_NEVER;
    raft_time patience = raft_max(r->cfg.disk_stall, RAFT_DISK_PATIENCE * raft_disk_time(r));
    return r->inflight_since + patience;
}

void raft_lead_on_tick(struct raft *r, raft_time now)
{
    if (r->role != RAFT_LEADER)
        return;
    if (now >= disk_stalled_at(r)) /* a leader that can't write holds up clients */
        raft_election_step_down(r, now, r->term, RAFT_WHY_DISK_STALL);
    else if (now >= r->yield_at)
        raft_election_step_down(r, now, r->term,
                                raft_lead_removed(r) ? RAFT_WHY_REMOVED : RAFT_WHY_DISK_FULL);
    else if (now >= quorum_lost_at(r)) /* section 6.2, last paragraph */
        raft_election_step_down(r, now, r->term, RAFT_WHY_LOST_QUORUM);
}

bool raft_lead_removed(const struct raft *r)
{
    return r->members.index <= r->commit_index && !raft_is_voter(&r->members, r->cfg.id);
}

/* Section 10.2.1: the own copy has no privilege. */
uint64_t raft_lead_copy_of(const void *ctx, uint16_t id)
{
    const struct raft *r = ctx;
    if (id == r->cfg.id)
        return r->durable_index;
    const struct raft_peer *p = &r->peers[raft_peer_slot(r, id)];
    return raft_peer_counts(r, p) ? p->match_index : 0;
}

/* What was committed stays committed, even if a peer loses its copy later: whoever is elected has the entry
 * (raft.doubt_index), so no other can take its place. An entry that is not committed yet is counted with the
 * copies that exist now. */
void raft_lead_commit(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return;
    for (;;) { /* a commit may make another peer count, and so lead to the next one */
        uint64_t index = raft_majority(&r->members, raft_lead_copy_of, r);
        /* Section 3.6.2 and figure 3.7: only entries of the own term are committed by counting. */
        if (index <= r->commit_index || raft_term_at(r, index) != r->term)
            break;
        r->commit_index = index;
        r->leader_commit = raft_max(r->leader_commit, index);
    }
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        p->kept_index = raft_max(p->kept_index, raft_min(p->match_index, r->commit_index));
    }
}

bool raft_lead_hears(const struct raft *r, raft_time now, const struct raft_peer *p)
{
    return p->heard != 0 && now < p->heard + raft_lead_patience(r) && raft_peer_counts(r, p);
}

void raft_lead_rounds(struct raft *r, raft_time now)
{
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        if (!p->served || p->match_index < p->round_target)
            continue;
        p->caught_up = now - p->round_since <= r->cfg.election_timeout;
        if (!p->caught_up && p->standing == RAFT_VOTER)
            raft_restless(r, now, RAFT_WAITS_LAG);
        p->round_since = now;
        p->round_target = r->trail.last;
    }
}

bool raft_lead_caught_up(const struct raft *r, raft_time now, const struct raft_peer *p)
{
    return p->caught_up && p->state == RAFT_PEER_REPLICATE && p->lost_index == 0 &&
           raft_lead_hears(r, now, p) &&
           (p->match_index >= p->round_target || now <= p->round_since + r->cfg.election_timeout);
}

static void make_lead(struct raft *r, raft_time now, struct raft_peer *p, bool ack_now,
                      struct raft_msg *m)
{
    *m = (struct raft_msg){.type = RAFT_MSG_LEAD, .from = r->cfg.id, .to = p->id, .term = r->term};
    m->lead.round = ++r->round;
    m->lead.commit = r->commit_index;
    m->lead.epoch = matched(p) ? p->epoch : 0; /* else the peer may not know it yet */
    m->lead.ack_now = ack_now;
    m->lead.no_room = r->no_room;
    p->lead_sent = now;
}

void raft_lead(struct raft *r, raft_time now, unsigned peer, struct raft_msg *m)
{
    assert(r->role == RAFT_LEADER && peer < r->n_peers);
    make_lead(r, now, &r->peers[peer], raft_read_round(r) != RAFT_ROUND_NONE, m);
}

void raft_lead_on_ping(struct raft *r, raft_time now, const struct raft_msg *m)
{
    struct raft_peer *p = &r->peers[raft_peer_slot(r, m->from)];
    if (r->role != RAFT_LEADER || !p->served) {
        r->stats.stale_msgs++;
        return;
    }
    struct raft_msg lead;
    make_lead(r, now, p, false, &lead);
    raft_emit(r, &lead);
}

/* The peer's log ends or differs before entry `known`, which it acknowledged: its disk has lost what it had
 * promised. A correct disk can't look like this: acknowledged entries are durable, in this term they are
 * equal to ours, and committed ones stay for good. Nor can a late answer: it names an older probe, and the
 * present probe was made when the peer had acknowledged all entries up to its index. From now on only what
 * the peer's present process acknowledges counts. */
static void lost_acked(struct raft *r, struct raft_peer *p, uint64_t known, uint32_t boot)
{
    if (p->lost_index == 0)
        r->stats.lost_acked++;
    p->lost_index = raft_max(p->lost_index, known);
    p->match_index = 0;
    p->boot = boot;
}

/* The peer's log was damaged: it does not know what it acknowledged, nor for whom it voted in which term.
 *
 * Its forgotten acknowledgements do no harm: whoever is elected without its vote has all that was committed.
 * Its forgotten vote may. That vote may have elected another leader, or may be all that a candidate still
 * needs, and the answer may be on its way. If the peer were counted here at the same time, both nodes could
 * have a majority. To know that no other leader is there now, which a round would show, is not enough.
 *
 * So the peer counts for nothing until an entry is committed that was made after its answer came. A majority
 * without any damaged peer has that entry then, so whoever is elected from now on must have it. But no
 * candidate for whom the damaged node can have voted has it in that candidacy, because the entry was made
 * later. So the forgotten vote can elect nobody. This leader has all that was committed before, so nothing
 * more is asked of the damaged node than to have that entry.
 *
 * A candidate may be damaged, too. Then it stands in that term no more, or as another process, and votes for
 * its earlier process do not count (raft_election_on_vote_rsp()). */
static void heed_damage(struct raft *r, struct raft_peer *p, uint32_t boot)
{
    if (p->damaged_boot == boot)
        return;
    r->stats.lost_acked++;
    p->damaged_boot = p->boot = boot;
    p->match_index = p->kept_index = 0;
    p->lost_index = p->sure_index = r->trail.last + 1;
    if (p->state == RAFT_PEER_REPLICATE)
        restart_probe(r, p);
}

/* Any entry will do, so none is made while others are on their way to the disk, or during a hand-over. */
void raft_lead_heal(struct raft *r, struct raft_edit *edit)
{
    if (r->role != RAFT_LEADER || r->durable_index != r->trail.last || r->heir != 0)
        return;
    for (unsigned i = 0; i < r->n_peers && !edit->noop; i++) {
        if (r->peers[i].sure_index > r->trail.last) {
            raft_lead_on_propose(r, 1, edit);
            edit->noop = true;
        }
    }
}

void raft_lead_on_probe_ack(struct raft *r, const struct raft_msg *m)
{
    struct raft_peer *p = &r->peers[raft_peer_slot(r, m->from)];
    if (r->role != RAFT_LEADER || m->probe_ack.probe != p->probe) {
        r->stats.stale_msgs++;
        return;
    }
    if (matched(p) && m->probe_ack.boot != p->boot) {
        restart_probe(r, p); /* it restarted: the new process lacks the beginning of the stream */
        return;
    }
    if (matched(p)) {
        r->stats.stale_msgs++;
        return;
    }
    bool streams = p->state == RAFT_PEER_REPLICATE;
    if (m->probe_ack.damaged)
        heed_damage(r, p, m->probe_ack.boot);
    if (m->probe_ack.damaged && streams)
        return; /* it is probed anew, without entries */
    uint64_t hint = m->probe_ack.hint_index, hint_term = m->probe_ack.hint_term;
    if (m->probe_ack.match && m->probe_ack.boot != p->boot && p->match_index > p->probe_index) {
        restart_probe(r, p); /* its former process has acknowledged more meanwhile */
        return;
    }
    if (m->probe_ack.match && hint > p->probe_index) {
        /* It has more, from a snapshot perhaps. A stream from probe_index would need entries that the peer
         * acknowledges already, and what is acknowledged everywhere leaves the log. */
        if (hint > r->trail.last || hint_term != raft_term_at(r, hint))
            r->stats.impossible_msgs++;
        else
            start_probe(r, p, hint);
        return;
    }
    if (m->probe_ack.match) {
        p->state = RAFT_PEER_REPLICATE;
        p->base_index = p->probe_index;
        p->epoch = p->probe;
        p->boot = m->probe_ack.boot;
        return;
    }
    /* Section 3.5, the optimisation for rejected AppendEntries: skip by terms. An entry of
     * ours whose term is above the peer's term at `hint` can't be in its log. */
    uint64_t next = raft_trail_last_at_most(&r->trail, hint, hint_term);
    if (m->probe_ack.prev_index != p->probe_index || hint > p->probe_index ||
        next >= p->probe_index) {
        r->stats.impossible_msgs++;
        return;
    }
    uint64_t known = raft_max(p->match_index, p->kept_index);
    if (next < known)
        lost_acked(r, p, known, m->probe_ack.boot);
    start_probe(r, p, next);
    if (p->state == RAFT_PEER_SNAPSHOT)
        p->boot = m->probe_ack.boot; /* the process that takes the snapshot */
}

void raft_lead_on_ack(struct raft *r, const struct raft_msg *m)
{
    struct raft_peer *p = &r->peers[raft_peer_slot(r, m->from)];
    if (r->role != RAFT_LEADER) {
        r->stats.stale_msgs++;
        return;
    }
    if (m->ack.round > r->round || m->ack.durable > r->trail.last ||
        m->ack.epoch >= r->next_probe) {
        r->stats.impossible_msgs++;
        return;
    }
    /* Acknowledgements come in any order, so the highest counts: what was true once in this term stays
     * true. For the log that holds only while the peer's process lives: the next one may find that the
     * disk has lost entries, and a late answer of the former one must not bring them back. A process that
     * says that it is damaged counts only if it answered a probe, since it may have ended long ago. */
    if (!m->ack.damaged || m->ack.boot == p->boot)
        p->round = raft_max(p->round, m->ack.round);
    p->unfit = m->ack.unfit;
    if (p->state == RAFT_PEER_REPLICATE && !matched(p) && m->ack.epoch == p->epoch &&
        !m->ack.need_probe && !m->ack.damaged)
        p->boot = m->ack.boot; /* it takes the stream, so the probe matched: that answer was lost */
    if (m->ack.boot == p->boot) {
        p->match_index = raft_max(p->match_index, m->ack.durable);
        if (p->match_index >= p->lost_index && !m->ack.damaged)
            p->lost_index = 0;
    }
    if (p->state == RAFT_PEER_SNAPSHOT && p->match_index >= r->trail.base_index)
        restart_probe(r, p);
    /* A probe names the entry that a damaged peer needs to have. */
    bool name = m->ack.damaged && raft_peer_counts(r, p);
    if (p->state == RAFT_PEER_REPLICATE && m->ack.epoch == p->epoch &&
        (m->ack.need_probe || m->ack.boot != p->boot || name))
        restart_probe(r, p);
}

/* When the next LEAD to this peer is due as a heartbeat. A leader that hears no majority steps down after
 * raft_lead_patience(). From half of that time on it asks silent peers more often, because perhaps only their
 * answers were lost. */
static raft_time lead_due_at(const struct raft *r, const struct raft_peer *p,
                             raft_time quorum_heard)
{
    if (p->lead_sent == 0)
        return 0;
    raft_time beat = p->lead_sent + r->cfg.heartbeat;
    if (p->heard > quorum_heard)
        return beat;
    return raft_min(beat, raft_max(quorum_heard + r->cfg.election_timeout,
                                   p->lead_sent + raft_last_tries(r, p)));
}

static raft_time probe_due_at(const struct raft_peer *p)
{
    return p->state != RAFT_PEER_SNAPSHOT && !matched(p) ? p->probe_try.due : RAFT_NEVER;
}

/* When a LEAD of the round for reads goes to this peer, for the first time or once more. */
static raft_time round_due_at(const struct raft *r, const struct raft_peer *p,
                              enum raft_round round)
{
    if (p->standing != RAFT_VOTER)
        return RAFT_NEVER; /* its answer would not count */
    if (round == RAFT_ROUND_START)
        return 0;
    return round == RAFT_ROUND_OPEN && p->round < r->read_round ? p->round_try.due : RAFT_NEVER;
}

/* An idle cluster would send two datagrams for each heartbeat to each peer. A leader needs to hear from its
 * peers often enough not to doubt its majority, so it asks every second time. If an answer is lost it asks
 * each time. */
static bool is_quiet(const struct raft *r, raft_time now, const struct raft_peer *p)
{
    return p->state == RAFT_PEER_REPLICATE && now < p->heard + r->cfg.quiet;
}

/* True if a LEAD of the round for reads has to go to this peer now. A peer that was silent for
 * raft_lead_patience() is not asked, so that a dead peer costs heartbeats and not a datagram for each read.
 * Heartbeats carry a round as well, and the first message of a peer that is back makes the round due at once
 * (heard() in step.c). */
static bool ask_round(struct raft *r, raft_time now, struct raft_peer *p, enum raft_round round)
{
    if (round == RAFT_ROUND_START)
        raft_try_reset(&p->round_try);
    if (now < round_due_at(r, p, round))
        return false;
    if (now >= raft_max(p->heard, r->lead_since) + raft_lead_patience(r)) {
        p->round_try.due = RAFT_NEVER;
        return false;
    }
    raft_try_sent(r, now, p, &p->round_try);
    return true;
}

void raft_lead_flush(struct raft *r, raft_time now)
{
    enum raft_round round = raft_read_round(r);
    raft_time quorum_heard = raft_election_quorum_heard(r);
    if (round == RAFT_ROUND_START)
        r->read_round = r->round + 1;
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        struct raft_msg m;
        if (!p->served)
            continue;
        bool asked = ask_round(r, now, p, round);
        bool beat = now >= lead_due_at(r, p, quorum_heard);
        if (asked || beat) {
            bool quiet = !asked && is_quiet(r, now, p);
            make_lead(r, now, p, !quiet, &m);
            m.lead.quiet = quiet;
            raft_emit(r, &m);
        }
        /* The probe leaves with the heartbeat, in one datagram, since the peer may be off for weeks. */
        if (now >= probe_due_at(p) || (beat && !matched(p))) {
            bool tell = p->lost_index != 0 && raft_peer_counts(r, p);
            uint64_t acked = tell ? raft_max(p->lost_index, p->probe_index) : 0;
            m = (struct raft_msg){.type = RAFT_MSG_PROBE, .to = p->id};
            m.probe.probe = p->probe;
            m.probe.prev_index = p->probe_index;
            m.probe.prev_term = raft_term_at(r, p->probe_index);
            m.probe.acked_index = acked;
            m.probe.acked_term = raft_term_at(r, acked);
            m.probe.damaged_boot = tell ? p->damaged_boot : 0;
            raft_try_sent(r, now, p, &p->probe_try);
            raft_emit(r, &m);
        }
    }
}

raft_time raft_lead_deadline(const struct raft *r)
{
    raft_time t = raft_min(raft_min(quorum_lost_at(r), disk_stalled_at(r)), r->yield_at);
    raft_time quorum_heard = raft_election_quorum_heard(r);
    enum raft_round round = raft_read_round(r);
    for (unsigned i = 0; i < r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[i];
        if (!p->served)
            continue;
        t = raft_min(t, lead_due_at(r, p, quorum_heard));
        t = raft_min(t, raft_min(probe_due_at(p), round_due_at(r, p, round)));
    }
    return t;
}
