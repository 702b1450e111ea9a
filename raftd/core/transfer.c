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

/* The peer that can take over soonest; NULL: none. */
static const struct raft_peer *best(const struct raft *r, raft_time now)
{
    const struct raft_peer *found = NULL;
    for (unsigned i = 0; i < r->n_peers; i++) {
        const struct raft_peer *p = &r->peers[i];
        if (judge(r, now, p) != RAFT_TRANSFER_RUNS)
            continue;
        if (found == NULL || p->match_index > found->match_index ||
            (p->match_index == found->match_index && p->heard > found->heard))
            found = p;
    }
    return found;
}

/* A hand-over that is under way goes on, whoever asks for another. */
static void begin(struct raft *r, raft_time now, uint16_t heir)
{
    if (heir == r->cfg.id || r->heir != 0)
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
    r->transfer_at = now + r->cfg.election_timeout; /* until then clients' proposals are taken */
}

/* A leader that is drained or removed, or has no room for entries, hands over to any peer that can lead. */
void raft_transfer_settle(struct raft *r, raft_time now)
{
    bool full = r->log_full || raft_disk_full(r);
    if (r->role != RAFT_LEADER)
        return;
    bool goes = full || r->drained || raft_lead_removed(r);
    const struct raft_peer *p = goes ? best(r, now) : NULL;
    r->no_room = full && r->heir == 0 && p == NULL;
    if (p != NULL && now >= r->transfer_at)
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
