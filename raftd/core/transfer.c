/* transfer.c: a leader hands its role over to a peer, its heir (section 3.10).
 *
 * The leader takes no proposals, brings the heir's log up to the end of its own, and tells the heir to stand.
 * The log can't grow meanwhile, because proposals are refused from the step on that names the heir. If the
 * heir is not elected in time the leader goes on. A message to stand that comes later than that does no
 * harm: by then the heir has heard of a later round or got new entries, and drops it.
 */
#include "raftd/core/raft_impl.h"

/* How long a hand-over may take. The heir writes what it lacks, and then its vote; then we hear from it. Slow
 * disks get twice the time of these writes. */
static raft_time patience(const struct raft *r)
{
    return raft_max(r->cfg.election_timeout, 2 * RAFT_ELECTION_WRITES * raft_disk_time(r));
}

/* Could that peer lead now? RAFT_TRANSFER_RUNS: yes; else why not. */
static enum raft_transfer judge(const struct raft *r, raft_time now, const struct raft_peer *p)
{
    /* Who has just been elected has not heard all of them yet. */
    if (now >= raft_max(p->heard, r->lead_since) + r->cfg.election_timeout)
        return RAFT_TRANSFER_SILENT;
    if (p->standing != RAFT_VOTER || p->unfit || p->lost_index != 0)
        return RAFT_TRANSFER_UNFIT;
    return p->state == RAFT_PEER_SNAPSHOT ? RAFT_TRANSFER_BEHIND : RAFT_TRANSFER_RUNS;
}

static unsigned priority_of(const struct raft *r, uint16_t id)
{
    const struct raft_member *m = raft_member(&r->members, id);
    return m != NULL && m->standing == RAFT_VOTER ? m->priority : 0;
}

static unsigned rank(const struct raft *r, raft_time now, const struct raft_peer *p)
{
    return raft_lead_caught_up(r, now, p) ? priority_of(r, p->id) : 0;
}

static bool better(const struct raft *r, raft_time now, const struct raft_peer *a,
                   const struct raft_peer *b)
{
    unsigned rank_a = rank(r, now, a), rank_b = rank(r, now, b);
    if (rank_a != rank_b)
        return rank_a > rank_b;
    return a->match_index > b->match_index ||
           (a->match_index == b->match_index && a->heard > b->heard);
}

/* The peer of the highest priority among those that have caught up. If none has, the one that can take over
 * soonest. NULL: no peer can. */
static const struct raft_peer *best(const struct raft *r, raft_time now)
{
    const struct raft_peer *found = NULL;
    for (unsigned i = 0; i < r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[i];
        if (judge(r, now, p) == RAFT_TRANSFER_RUNS && (found == NULL || better(r, now, p, found)))
            found = p;
    }
    return found;
}

/* A hand-over that is under way goes on, whoever asks for another. Just after a failure none begins: clients'
 * proposals are taken for a while, and who wants a hand-over asks again. */
static void begin(struct raft *r, raft_time now, uint16_t heir)
{
    if (heir == r->cfg.id || r->heir != 0 || now < r->transfer_at)
        return;
    int slot = raft_peer_slot(r, heir);
    const struct raft_peer *p = heir == 0 ? best(r, now) : slot >= 0 ? &r->peers[slot] : NULL;
    r->transfers++;
    r->transfer = p != NULL ? judge(r, now, p) : RAFT_TRANSFER_NO_TARGET;
    if (r->transfer != RAFT_TRANSFER_RUNS)
        return;
    r->heir = p->id;
    r->heir_until = now + patience(r);
    raft_try_reset(&r->heir_try);
}

void raft_transfer_on_ask(struct raft *r, raft_time now, const struct raft_event *ev)
{
    r->drained |= ev->transfer.drain && raft_n_voters(&r->members) > 1;
    if (r->drained && (r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE))
        raft_election_step_down(r, now, r->term, r->why);
    if (ev->transfer.from != 0 && ev->transfer.from != r->leader)
        return;
    if (r->role == RAFT_LEADER) {
        begin(r, now, ev->transfer.heir);
    } else if (r->leader != 0 && r->leader != ev->transfer.heir && !ev->transfer.drain) {
        struct raft_msg m = {.type = RAFT_MSG_TRANSFER, .to = r->leader};
        m.transfer.heir = ev->transfer.heir;
        raft_emit(r, &m);
    }
}

void raft_transfer_on_msg(struct raft *r, raft_time now, const struct raft_msg *m)
{
    if (r->role == RAFT_LEADER)
        begin(r, now, m->transfer.heir);
    else
        r->stats.stale_msgs++;
}

/* The leader's last entry is of its term, so two logs that end alike there are alike (section 3.5). */
void raft_transfer_on_timeout_now(struct raft *r, raft_time now, const struct raft_msg *m)
{
    uint64_t last = r->trail.last;
    bool late = m->timeout_now.round < r->round || m->timeout_now.last_index != last ||
                raft_term_at(r, last) != r->term;
    if (r->role != RAFT_FOLLOWER || m->from != r->leader || late || raft_unfit(r))
        r->stats.stale_msgs++;
    else
        raft_election_handed(r, now);
}

static struct raft_peer *heir_of(struct raft *r)
{
    return r->heir != 0 ? &r->peers[raft_peer_slot(r, r->heir)] : NULL;
}

static bool has_all(const struct raft *r, const struct raft_peer *heir)
{
    return heir->match_index == r->trail.last;
}

void raft_transfer_on_tick(struct raft *r, raft_time now)
{
    const struct raft_peer *p = heir_of(r);
    if (p == NULL || now < r->heir_until)
        return;
    r->transfer = has_all(r, p) ? RAFT_TRANSFER_UNANSWERED : RAFT_TRANSFER_BEHIND;
    r->heir = 0;
    r->transfer_at = now + r->cfg.election_timeout;
    raft_restless(r, now, RAFT_WAITS_GAVE_UP);
}

/* The voter that outranks this leader; 0 = none. A leader that is no voter hands over soon anyway. */
static uint16_t highest(const struct raft *r)
{
    unsigned most = priority_of(r, r->cfg.id);
    uint16_t id = 0;
    for (unsigned i = 0; i < r->members.n && raft_is_voter(&r->members, r->cfg.id); i++) {
        const struct raft_member *m = &r->members.m[i];
        if (m->standing == RAFT_VOTER && m->priority > most) {
            most = m->priority;
            id = m->id;
        }
    }
    return id;
}

static raft_time calm_needed(const struct raft *r, raft_time now)
{
    bool lately = r->yielded_at != 0 && now < r->yielded_at + 2 * (raft_time)RAFT_CALM_MAX_US;
    return lately ? r->calm_needed : RAFT_CALM_US;
}

/* Why the lead stays here although another voter could have it. A peer that is away is a reason only when
 * that is new: else one dead box would keep the others from their places. */
static enum raft_waits restless(const struct raft *r, raft_time now)
{
    raft_time since = r->restless_at;
    enum raft_waits why = r->restless;
    for (unsigned i = 0; i < r->n_peers; i++) {
        raft_time lost = raft_lost_at(r, &r->peers[i]);
        if (r->peers[i].standing == RAFT_NO_MEMBER || lost > now || lost <= since)
            continue;
        since = lost;
        why = RAFT_WAITS_PEER;
    }
    if (now < since + RAFT_CALM_US)
        return why;
    return now < since + calm_needed(r, now) ? RAFT_WAITS_AGAIN : RAFT_WAITS_NONE;
}

/* A leader that is outranked by a voter that could lead hands over to it. */
static void heed_priority(struct raft *r, raft_time now)
{
    r->waits = RAFT_WAITS_NONE;
    r->outranked_by = r->role == RAFT_LEADER && r->heir == 0 ? highest(r) : 0;
    if (r->outranked_by == 0)
        return;
    const struct raft_peer *p = best(r, now);
    if (p == NULL || rank(r, now, p) <= priority_of(r, r->cfg.id)) {
        r->waits = RAFT_WAITS_ABLE;
        return;
    }
    r->outranked_by = p->id;
    r->waits = restless(r, now);
    if (r->waits != RAFT_WAITS_NONE)
        return;
    r->calm_needed = raft_min(2 * calm_needed(r, now), RAFT_CALM_MAX_US);
    r->yielded_at = now;
    begin(r, now, p->id);
}

/* A leader that is drained or removed, has no room for entries, or may have a wrong state, hands over to any
 * peer that can lead. */
void raft_transfer_settle(struct raft *r, raft_time now)
{
    bool full = r->log_full || raft_disk_full(r);
    heed_priority(r, now);
    if (r->role != RAFT_LEADER)
        return;
    bool goes = full || r->differs || r->drained || raft_lead_removed(r);
    const struct raft_peer *p = goes ? best(r, now) : NULL;
    r->no_room = full && r->heir == 0 && p == NULL;
    if (p != NULL)
        begin(r, now, p->id);
}

void raft_transfer_flush(struct raft *r, raft_time now)
{
    const struct raft_peer *p = heir_of(r);
    if (p == NULL || !has_all(r, p) || now < r->heir_try.due)
        return;
    struct raft_msg m = {.type = RAFT_MSG_TIMEOUT_NOW, .to = p->id};
    m.timeout_now.round = r->round;
    m.timeout_now.last_index = r->trail.last;
    raft_try_sent(r, now, p, &r->heir_try);
    raft_emit(r, &m);
}

raft_time raft_transfer_deadline(const struct raft *r)
{
    if (r->heir == 0)
        return RAFT_NEVER;
    const struct raft_peer *p = &r->peers[raft_peer_slot(r, r->heir)];
    return raft_min(r->heir_until, has_all(r, p) ? r->heir_try.due : RAFT_NEVER);
}
