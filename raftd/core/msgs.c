/* msgs.c: what leaves, when it is sent again, and questions to the state that all files ask. */
#include "raftd/core/raft_impl.h"

int raft_peer_slot(const struct raft *r, uint16_t id)
{
    for (unsigned i = 0; i < r->n_peers; i++) {
        if (r->peers[i].id == id && id != 0) /* 0 is a free place */
            return (int)i;
    }
    return -1;
}

raft_time raft_disk_time(const struct raft *r)
{
    raft_time took = r->disk_took[0];
    if (r->disk_took[1] != 0)
        took = raft_min(took, r->disk_took[1]);
    return raft_min(took, RAFT_DISK_SLOW_MAX_US);
}

uint64_t raft_term_at(const struct raft *r, uint64_t index)
{
    return raft_trail_term(&r->trail, index);
}

static bool same_kind(const struct raft_msg *a, const struct raft_msg *b)
{
    if (a->type != b->type || a->to != b->to)
        return false;
    if (a->type == RAFT_MSG_VOTE_REQ)
        return a->vote_req.pre == b->vote_req.pre;
    if (a->type == RAFT_MSG_VOTE_RSP)
        return a->vote_rsp.pre == b->vote_rsp.pre;
    return true;
}

static void remove_kind(struct raft_msg *list, size_t *n, const struct raft_msg *m)
{
    for (size_t i = 0; i < *n; i++) {
        if (same_kind(&list[i], m)) {
            memmove(&list[i], &list[i + 1], (*n - i - 1) * sizeof *list);
            --*n;
            return;
        }
    }
}

static void put(struct raft_msg *list, size_t *n, const struct raft_msg *m)
{
    assert(*n < RAFT_MSGS_MAX);
    list[(*n)++] = *m;
}

void raft_emit(struct raft *r, struct raft_msg *m)
{
    m->from = r->cfg.id;
    m->term = r->term;
    remove_kind(r->now_msgs, &r->n_now, m);
    remove_kind(r->after_msgs, &r->n_after, m);
    if (raft_hard_state_durable(r))
        put(r->now_msgs, &r->n_now, m);
    else
        put(r->after_msgs, &r->n_after, m);
}

void raft_release(struct raft *r)
{
    if (!raft_hard_state_durable(r))
        return;
    for (size_t i = 0; i < r->n_after; i++)
        put(r->now_msgs, &r->n_now, &r->after_msgs[i]);
    r->n_after = 0;
}

void raft_pto(struct raft *r, unsigned peer, raft_time pto)
{
    assert(peer < r->n_peers);
    r->peers[peer].pto = raft_max(pto, 1);
}

void raft_try_sent(const struct raft *r, raft_time now, const struct raft_peer *p,
                   struct raft_try *t)
{
    raft_time wait = p->pto;
    for (uint64_t k = RAFT_PLAIN_TRIES; k <= t->sent && wait < r->cfg.heartbeat; k++)
        wait *= 2;
    t->sent++;
    t->due = now + raft_min(wait, r->cfg.heartbeat);
}

bool raft_disk_full(const struct raft *r)
{
    return r->entries_at != 0 || r->batch_at != 0;
}

void raft_log_full(struct raft *r, bool full)
{
    r->log_full = full;
}

void raft_differs(struct raft *r, bool differs)
{
    r->differs = differs;
}

bool raft_in_doubt(const struct raft *r)
{
    return r->damaged || r->doubt_index != 0;
}

bool raft_peer_counts(const struct raft *r, const struct raft_peer *p)
{
    return r->commit_index >= p->sure_index;
}

const struct raft_members *raft_members_committed(const struct raft *r)
{
    return r->members.index <= r->commit_index ? &r->members : &r->members_before;
}

static bool voter_that_stands(const struct raft *r, const struct raft_members *members)
{
    const struct raft_member *m = raft_member(members, r->cfg.id);
    return m != NULL && m->standing == RAFT_VOTER && m->priority != 0 &&
           raft_is_member(members, r->cfg.id, r->cfg.incarnation);
}

/* Section 4.2.2: a node that is not in its newest configuration stands until it knows that one to be
 * committed, because its log may be the only one that is good enough to lead. */
bool raft_may_stand(const struct raft *r)
{
    return r->removed == 0 &&
           (voter_that_stands(r, &r->members) || voter_that_stands(r, raft_members_committed(r)));
}

/* Why its members do not let this node stand. */
static enum raft_stand stand_of(const struct raft *r)
{
    const struct raft_member *m = raft_member(&r->members, r->cfg.id);
    if (r->members.n == 0)
        return RAFT_STAND_UNTOLD;
    if (m == NULL || r->removed != 0)
        return RAFT_STAND_NO_MEMBER;
    if (!raft_is_member(&r->members, r->cfg.id, r->cfg.incarnation))
        return RAFT_STAND_OTHER;
    return m->standing == RAFT_VOTER ? RAFT_STAND_PRIORITY_0 : RAFT_STAND_LEARNER;
}

enum raft_stand raft_stand(const struct raft *r)
{
    return !raft_may_stand(r)  ? stand_of(r)
           : raft_in_doubt(r)  ? RAFT_STAND_DOUBT
           : r->installing     ? RAFT_STAND_INSTALLS
           : r->drained        ? RAFT_STAND_DRAINED
           : raft_disk_full(r) ? RAFT_STAND_DISK_FULL
           : r->log_full       ? RAFT_STAND_LOG_FULL
           : r->differs        ? RAFT_STAND_DIFFERS
                               : RAFT_STANDS;
}

bool raft_unfit(const struct raft *r)
{
    return raft_stand(r) != RAFT_STANDS;
}

bool raft_term_absurd(const struct raft *r, uint64_t term)
{
    return term > RAFT_TERM_MAX ||
           (term > r->durable_term && term - r->durable_term > RAFT_TERM_JUMP_MAX);
}
