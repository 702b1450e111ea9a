/* record_members.h: members, and what is wrong in their bytes. */
#ifndef RECORD_MEMBERS_H
#define RECORD_MEMBERS_H

#include "raftd/base/members.h"

static const struct members members_sample = {
    .cluster_id = 7,
    .n = 2,
    .m = {{1, MEMBER_VOTER, 1, {1}, {"10.0.0.1:7000", "10.0.1.1:7000"}},
          {2, MEMBER_LEARNER, 1, {2}, {"10.0.0.2:7000"}}},
};

enum {
    MEMBERS_FIRST = MEMBERS_HEAD_BYTES,
    MEMBERS_KEY = 4,
    MEMBERS_LENGTHS = MEMBERS_KEY + MEMBER_KEY_BYTES,
    MEMBERS_SECOND = MEMBERS_FIRST + MEMBERS_LENGTHS + MEMBER_ADDRS + 2 * 13,
};

/* With this value at this place the bytes of the members above are none. */
static const struct members_wrong {
    size_t at;
    uint8_t value;
} members_wrong[] = {
    {0, MEMBERS_VERSION - 1},
    {0, MEMBERS_VERSION + 1},
    {1, 0},
    {1, 1},
    {1, 3},
    {1, MEMBERS_MAX + 1},
    {1, 255},
    {MEMBERS_FIRST, 0},
    {MEMBERS_FIRST, 2}, /* the other one's */
    {MEMBERS_FIRST, 3}, /* not in order */
    {MEMBERS_FIRST + 2, 0},
    {MEMBERS_FIRST + 2, MEMBER_LEARNER}, /* no voter */
    {MEMBERS_FIRST + 2, MEMBER_JOINING + 1},
    {MEMBERS_FIRST + MEMBERS_KEY, 2}, /* the other one's */
    {MEMBERS_FIRST + MEMBERS_LENGTHS, 0},
    {MEMBERS_FIRST + MEMBERS_LENGTHS, 12},
    {MEMBERS_FIRST + MEMBERS_LENGTHS, 14},
    {MEMBERS_FIRST + MEMBERS_LENGTHS, MEMBER_ADDR_BYTES},
    {MEMBERS_FIRST + MEMBERS_LENGTHS, 255},
    {MEMBERS_FIRST + MEMBERS_LENGTHS + 1, 12},
    {MEMBERS_FIRST + MEMBERS_LENGTHS + 1, 255},
    {MEMBERS_FIRST + MEMBERS_LENGTHS + 2, 0},
    {MEMBERS_FIRST + MEMBERS_LENGTHS + 2, ' '},
    {MEMBERS_FIRST + MEMBERS_LENGTHS + 2 + 13, 0x80},
    {MEMBERS_SECOND, 1},
    {MEMBERS_SECOND + MEMBERS_LENGTHS, 255},
};

enum { MEMBERS_WRONG = sizeof members_wrong / sizeof *members_wrong };

#endif
