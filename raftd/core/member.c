/* member.c: see member.h. */
#include "raftd/core/member.h"

#include <stddef.h>

bool raft_members_valid(const struct raft_members *m)
{
    unsigned joining = 0;
    if (m->n > RAFT_MEMBERS_MAX)
        return false;
    for (unsigned i = 0; i < m->n; i++) {
        if (m->m[i].id == 0 || raft_member(m, m->m[i].id) != &m->m[i] ||
            m->m[i].standing == RAFT_NO_MEMBER || m->m[i].standing > RAFT_JOINING)
            return false;
        joining += m->m[i].standing == RAFT_JOINING;
    }
    unsigned voters = raft_n_voters(m);
    return voters >= 1 && voters + joining <= RAFT_VOTERS_MAX;
}

const struct raft_member *raft_member(const struct raft_members *m, uint16_t id)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (m->m[i].id == id)
            return &m->m[i];
    }
    return NULL;
}

bool raft_is_member(const struct raft_members *m, uint16_t id, uint64_t incarnation)
{
    const struct raft_member *member = raft_member(m, id);
    return member != NULL && (member->incarnation == 0 || member->incarnation == incarnation);
}

bool raft_is_voter(const struct raft_members *m, uint16_t id)
{
    const struct raft_member *member = raft_member(m, id);
    return member != NULL && member->standing == RAFT_VOTER;
}

unsigned raft_n_voters(const struct raft_members *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->n; i++)
        n += m->m[i].standing == RAFT_VOTER;
    return n;
}

unsigned raft_voters_differ(const struct raft_members *before, const struct raft_members *after)
{
    unsigned stay = 0;
    for (unsigned i = 0; i < after->n; i++)
        stay += after->m[i].standing == RAFT_VOTER && raft_is_voter(before, after->m[i].id) &&
                raft_is_member(before, after->m[i].id, after->m[i].incarnation);
    return raft_n_voters(before) + raft_n_voters(after) - 2 * stay;
}

uint64_t raft_majority(const struct raft_members *m,
                       uint64_t (*reached)(const void *ctx, uint16_t id), const void *ctx)
{
    uint64_t v[RAFT_MEMBERS_MAX] = {0};
    unsigned n = 0;
    for (unsigned i = 0; i < m->n; i++) { /* insertion sort, descending */
        if (m->m[i].standing != RAFT_VOTER)
            continue;
        uint64_t x = reached(ctx, m->m[i].id);
        unsigned j = n++;
        for (; j > 0 && v[j - 1] < x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
    return v[n / 2]; /* n / 2 + 1 of the values are at least this one */
}
