/* roster.c: see roster.h. */
#include "raftd/node/roster.h"

static bool complete(const struct members *m)
{
    unsigned keys = 0;
    for (unsigned i = 0; i < m->n; i++)
        keys += member_has_key(&m->m[i]);
    return m->cluster_id != 0 && keys == m->n;
}

/* A configuration could be proposed now. */
static bool open_for_changes(const struct raft *r)
{
    return r->role == RAFT_LEADER && r->commit_index >= r->term_first &&
           r->commit_index >= r->members.index;
}

void roster_complete(struct replica *r, uint64_t now, const struct admit *a,
                     const struct node_io *io)
{
    const struct members *newest = &replica_members(r)->members;
    if (!open_for_changes(replica_raft(r)) || complete(newest))
        return;
    struct members m = *newest;
    bool news = m.cluster_id == 0;
    while (m.cluster_id == 0)
        io->random(io->ctx, &m.cluster_id, sizeof m.cluster_id);
    for (unsigned i = 0; i < m.n; i++)
        if (!member_has_key(&m.m[i]) && about_handle(admit_key(a, m.m[i].id)) != 0) {
            memcpy(m.m[i].key, admit_key(a, m.m[i].id), sizeof m.m[i].key);
            news = true;
        }
    if (news) /* no member comes or goes, so it is not urgent: if it is refused, the next time will do */
        (void)replica_change(r, now, &m, true);
}
