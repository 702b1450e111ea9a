/* core_members.h: configurations for tests. */
#ifndef TESTS_CORE_MEMBERS_H
#define TESTS_CORE_MEMBERS_H

#include <assert.h>

#include "raftd/core/member.h"

/* A configuration of voters with priority 1 and no incarnation. */
static inline struct raft_members members_of_voters(const uint16_t *ids, unsigned n)
{
    struct raft_members m = {.n = n};
    assert(n <= RAFT_MEMBERS_MAX);
    for (unsigned i = 0; i < n; i++)
        m.m[i] = (struct raft_member){.id = ids[i], .standing = RAFT_VOTER, .priority = 1};
    return m;
}

#endif
