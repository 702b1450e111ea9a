/* peers.c: which configuration is in force, and which nodes have a place among the peers. */
#include "raftd/core/raft_impl.h"

/* A peer that is no member stays for so many election timeouts after its removal is committed, or after it
 * last led or asked for votes. */
enum { STAY_TIMEOUTS = 4 };

void raft_members_add(struct raft *r, const struct raft_members *m, struct raft_edit *edit)
{
    r->members_before = r->members;
    r->members = *m;
    /* The leader that made this entry had committed the configuration before. A log that has an entry of
     * that leader has all that the leader's log had before it, so it is the same configuration here. */
    r->leader_commit = raft_max(r->leader_commit, r->members_before.index);
    edit->members = true;
}

void raft_members_reset(struct raft *r, const struct raft_members *m, struct raft_edit *edit)
{
    r->members = *m;
    r->members_before = (struct raft_members){0};
    edit->members = true;
}

static size_t without(struct raft_msg *list, size_t n, uint16_t to)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (list[i].to != to)
            list[kept++] = list[i];
    }
    return kept;
}

/* Frees the place. What waits to be sent to the peer is lost, as if it were lost on its way. */
static void drop(struct raft *r, struct raft_peer *p)
{
    unsigned reads = 0;
    r->n_now = without(r->now_msgs, r->n_now, p->id);
    r->n_after = without(r->after_msgs, r->n_after, p->id);
    for (unsigned i = 0; i < r->n_reads; i++) {
        if (r->reads[i].from != p->id)
            r->reads[reads++] = r->reads[i];
    }
    r->n_reads = reads;
    *p = (struct raft_peer){.generation = p->generation + 1};
}

/* If no place is free, the peer that is no member and has been silent for longest goes. */
static struct raft_peer *free_place(struct raft *r)
{
    struct raft_peer *first = NULL;
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        if (p->id == 0)
            return p;
        if (p->leaves_at != 0 && p->id != r->leader &&
            (first == NULL || p->leaves_at < first->leaves_at))
            first = p;
    }
    if (r->n_peers < RAFT_PEERS_MAX)
        return &r->peers[r->n_peers++];
    if (first != NULL)
        drop(r, first);
    return first;
}

static struct raft_peer *add(struct raft *r, uint16_t id, uint64_t incarnation)
{
    struct raft_peer *p = free_place(r);
    if (p == NULL)
        return NULL;
    *p = (struct raft_peer){
        .id = id, .incarnation = incarnation, .generation = p->generation + 1, .pto = r->cfg.retry};
    return p;
}

static raft_time stay(const struct raft *r, raft_time now)
{
    return now + STAY_TIMEOUTS * r->cfg.election_timeout;
}

void raft_peers_sync(struct raft *r)
{
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        const struct raft_member *m = raft_member(&r->members, p->id);
        if (m != NULL && m->incarnation != p->incarnation && m->incarnation != 0 &&
            p->incarnation != 0) {
            drop(r, p);
            continue;
        }
        if (m != NULL)
            p->incarnation = m->incarnation;
        p->standing = m == NULL ? RAFT_NO_MEMBER : m->standing;
        if (m != NULL)
            p->leaves_at = 0;
        else if (p->id != 0 && p->leaves_at == 0)
            p->leaves_at = RAFT_NEVER; /* until the removal is committed */
    }
    for (unsigned i = 0; i < r->members.n; i++) {
        const struct raft_member *m = &r->members.m[i];
        if (m->id == r->cfg.id || raft_peer_slot(r, m->id) >= 0)
            continue;
        struct raft_peer *p = add(r, m->id, m->incarnation);
        assert(p != NULL);
        p->standing = m->standing;
    }
}

int raft_peers_meet(struct raft *r, raft_time now, uint16_t id, uint64_t incarnation,
                    struct raft_edit *edit)
{
    int slot = raft_peer_slot(r, id);
    struct raft_peer *p = slot < 0 ? add(r, id, incarnation) : &r->peers[slot];
    if (p == NULL)
        return -1;
    edit->members |= slot < 0;
    if (p->standing == RAFT_NO_MEMBER) {
        p->incarnation = incarnation;
        p->leaves_at = stay(r, now);
    }
    return (int)(p - r->peers);
}

void raft_peers_settle(struct raft *r, raft_time now)
{
    bool open = r->role == RAFT_LEADER && r->members.index > r->commit_index;
    for (unsigned i = 0; i < r->n_peers && !open; i++) {
        struct raft_peer *p = &r->peers[i];
        if (p->leaves_at != RAFT_NEVER)
            continue;
        p->leaves_at = stay(r, now);
        p->lead_sent = 0; /* it hears of it at once */
    }
}

void raft_peers_on_tick(struct raft *r, raft_time now, struct raft_edit *edit)
{
    for (unsigned i = 0; i < r->n_peers; i++) {
        struct raft_peer *p = &r->peers[i];
        if (p->leaves_at == 0 || now < p->leaves_at)
            continue;
        if (p->id == r->leader) {
            p->leaves_at = stay(r, now);
        } else {
            drop(r, p);
            edit->members = true;
        }
    }
}

raft_time raft_peers_deadline(const struct raft *r)
{
    raft_time t = RAFT_NEVER;
    for (unsigned i = 0; i < r->n_peers; i++) {
        if (r->peers[i].leaves_at != 0)
            t = raft_min(t, r->peers[i].leaves_at);
    }
    return t;
}
