#include "raftd/node/debts.h"

#include "raftd/base/num.h"

void debts_init(struct debts *d, const struct replica *r, const struct log_out *log,
                const struct link *link, uint16_t peer)
{
    *d = (struct debts){.replica = r, .log = log, .link = link, .peer = peer};
}

void debts_wait(struct debts *d)
{
    d->lead_due = true;
}

bool debts_waits(const struct debts *d)
{
    return d->lead_due;
}

void debts_await(struct debts *d, bool awaits)
{
    d->awaits = awaits;
}

bool debts_applied(struct debts *d, uint64_t now)
{
    const struct raft *r = replica_raft(d->replica);
    d->lead_due |= d->awaits && r->role == RAFT_LEADER &&
                   now < replica_peer(d->replica, d->peer)->heard + 2 * r->cfg.election_timeout;
    return d->lead_due;
}

/* A round of an earlier stream is no debt on this one. */
static void follow_stream(struct debts *d)
{
    if (d->term == d->log->flow.term && d->epoch == d->log->flow.id)
        return;
    d->term = d->log->flow.term;
    d->epoch = d->log->flow.id;
    d->lead_round = 0;
}

void debts_lead(struct debts *d, const struct raft_msg *m)
{
    follow_stream(d);
    if (!d->lead_due || m->lead.commit < replica_applied(d->replica))
        return;
    d->lead_round = m->lead.round;
    d->lead_due = false;
}

static bool owes(const struct debts *d, const struct raft_peer *rp)
{
    if (replica_raft(d->replica)->role != RAFT_LEADER || rp->state != RAFT_PEER_REPLICATE ||
        !log_out_joined(d->log))
        return false;
    return (log_out_all_there(d->log) && rp->match_index < replica_log(d->replica)->last) ||
           d->lead_round > rp->round;
}

/* Under load the peer owes something all the time, but not the same: then it is not asked. */
void debts_note(struct debts *d, uint64_t now)
{
    const struct raft_peer *rp = replica_peer(d->replica, d->peer);
    follow_stream(d);
    uint64_t debt = rp->match_index + d->lead_round; /* both only grow on a stream */
    bool owing = owes(d, rp);
    if (d->owed_at != 0 && (d->debt != debt || !owing)) {
        if (d->owed_at > d->link->late) /* else one of us was stopped meanwhile */
            rtt_sample(&d->settles, now, now - d->owed_at);
        d->owed_at = 0;
    }
    if (d->owed_at == 0) {
        d->owed_at = d->asked_at = owing ? now : 0;
        d->asks = 0;
    }
    d->debt = debt;
}

/* On a good link the first question waits as long as the peer's disk usually takes. */
uint64_t debts_ask_at(const struct debts *d)
{
    const struct link *l = d->link;
    uint64_t heartbeat = replica_raft(d->replica)->cfg.heartbeat;
    if (d->owed_at == 0)
        return NEVER;
    uint64_t wait = rtt_pto(&l->rtt, &d->log->flow.tx.answer, d->asks, NODE_ACK_DELAY_US,
                            heartbeat);
    uint64_t usual = d->settles.srtt_us + 4 * d->settles.rttvar_us;
    if (d->asks == 0 && l->loss_in < STREAM_RIDE_LOSS && l->loss_out < STREAM_RIDE_LOSS &&
        usual > wait)
        wait = min_u64(usual, heartbeat);
    return d->asked_at + wait;
}

void debts_asked(struct debts *d, uint64_t now)
{
    d->asked_at = now;
    d->asks++;
}
