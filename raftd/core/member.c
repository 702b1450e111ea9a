/* member.c: see member.h. */
#include "raftd/core/member.h"

bool raft_members_valid(const struct raft_members *m)
{
    if (m->n_voters < 1 || m->n_voters > RAFT_VOTERS_MAX)
        return false;
    for (unsigned i = 0; i < m->n_voters; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (m->voters[i] == m->voters[j])
                return false;
        }
    }
    return !raft_is_voter(m, 0);
}

bool raft_is_voter(const struct raft_members *m, uint16_t id)
{
    for (unsigned i = 0; i < m->n_voters; i++) {
        if (m->voters[i] == id)
            return true;
    }
    return false;
}

uint64_t raft_majority(const struct raft_members *m,
                       uint64_t (*reached)(const void *ctx, uint16_t id), const void *ctx)
{
    uint64_t v[RAFT_VOTERS_MAX] = {0};
    for (unsigned i = 0; i < m->n_voters; i++) { /* insertion sort, descending */
        uint64_t x = reached(ctx, m->voters[i]);
        unsigned j = i;
        for (; j > 0 && v[j - 1] < x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
    return v[m->n_voters / 2]; /* n / 2 + 1 of the values are at least this one */
}
