/* change.c: how a leader changes the members (chapter 4). */
#include "raftd/core/raft_impl.h"

/* Why this member can't be a voter now, RAFT_TAKEN if it can. */
static enum raft_refusal refusal_of_voter(const struct raft *r, raft_time now,
                                          const struct raft_member *m)
{
    if (!raft_is_member(&r->members, m->id, m->incarnation))
        return RAFT_REFUSED_NO_LEARNER;
    if (m->id == r->cfg.id || raft_is_voter(&r->members, m->id))
        return RAFT_TAKEN;
    return raft_lead_caught_up(r, now, &r->peers[raft_peer_slot(r, m->id)]) ? RAFT_TAKEN
                                                                            : RAFT_REFUSED_BEHIND;
}

static bool majority_lives(const struct raft *r, raft_time now, const struct raft_members *m)
{
    unsigned living = 0;
    for (unsigned i = 0; i < m->n; i++) {
        if (m->m[i].standing != RAFT_VOTER)
            continue;
        int slot = raft_peer_slot(r, m->m[i].id);
        living += m->m[i].id == r->cfg.id ||
                  (slot >= 0 && raft_lead_hears(r, now, &r->peers[slot]));
    }
    return living > raft_n_voters(m) / 2;
}

/* The voters that stand for election are a majority. Else all the others could have longer logs, and nobody
 * could ever be elected. */
static bool majority_stands(const struct raft_members *m)
{
    unsigned never = 0;
    for (unsigned i = 0; i < m->n; i++)
        never += m->m[i].standing == RAFT_VOTER && m->m[i].priority == 0;
    return 2 * never < raft_n_voters(m);
}

enum raft_refusal raft_members_refusal(const struct raft *r, raft_time now,
                                       const struct raft_members *m, bool force)
{
    if (r->role != RAFT_LEADER)
        return RAFT_REFUSED_NO_LEADER;
    if (r->heir != 0)
        return RAFT_REFUSED_HANDING;
    if (r->commit_index < r->term_first)
        return RAFT_REFUSED_TOO_EARLY;
    if (r->members.index > r->commit_index)
        return RAFT_REFUSED_UNDER_WAY;
    if (raft_n_voters(m) == 0)
        return RAFT_REFUSED_LAST_VOTER;
    if (!raft_members_valid(m))
        return RAFT_REFUSED_MALFORMED;
    if (raft_voters_differ(&r->members, m) > 1)
        return RAFT_REFUSED_TWO_VOTERS;
    enum raft_refusal refusal = RAFT_TAKEN;
    for (unsigned i = 0; i < m->n && refusal == RAFT_TAKEN; i++) {
        if (m->m[i].standing == RAFT_VOTER)
            refusal = refusal_of_voter(r, now, &m->m[i]);
    }
    if (refusal != RAFT_TAKEN || force)
        return refusal;
    if (!majority_stands(m))
        return RAFT_REFUSED_NO_STANDERS;
    return majority_lives(r, now, m) ? RAFT_TAKEN : RAFT_REFUSED_NO_MAJORITY;
}

static void append(struct raft *r, raft_time now, struct raft_members m, struct raft_edit *edit)
{
    raft_lead_on_propose(r, 1, edit);
    m.index = edit->append_last;
    raft_members_add(r, &m, edit);
    raft_peers_sync(r);
    raft_lead_serve(r, now);
}

void raft_change_on_propose(struct raft *r, raft_time now, const struct raft_event *ev,
                            struct raft_edit *edit)
{
    assert(ev->propose.n == 1);
    edit->refusal = raft_members_refusal(r, now, ev->propose.members, ev->propose.force);
    if (edit->refusal == RAFT_TAKEN)
        append(r, now, *ev->propose.members, edit);
}

/* Promotes one learner at a time, since raft_edit tells of one. It waits until this disk has all that is
 * committed: then the caller has room for the entry, because it need not keep those in memory. A learner
 * whose directory the members do not name yet waits, too: another directory under its id could not be told
 * from the one that has caught up. */
static void promote(struct raft *r, raft_time now, struct raft_edit *edit)
{
    if (r->commit_index > r->durable_index)
        return;
    for (unsigned i = 0; i < r->members.n && edit->append_first == 0; i++) {
        const struct raft_member *old = &r->members.m[i];
        if (old->standing != RAFT_JOINING || old->id == r->cfg.id || old->incarnation == 0)
            continue;
        struct raft_members m = r->members;
        m.m[i].standing = RAFT_VOTER;
        if (raft_members_refusal(r, now, &m, false) != RAFT_TAKEN)
            continue;
        append(r, now, m, edit);
        edit->promoted = m.m[i].id;
        raft_lead_commit(r); /* other voters, so perhaps another majority */
    }
}

void raft_change_settle(struct raft *r, raft_time now, struct raft_edit *edit)
{
    if (r->role != RAFT_LEADER)
        return;
    raft_lead_rounds(r, now);
    promote(r, now, edit);
}
