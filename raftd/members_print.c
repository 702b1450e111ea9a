/* members_print.c: see members_print.h. */
#include "raftd/members_print.h"

#include <inttypes.h>
#include <stdio.h>

void members_print(const struct members_at *m)
{
    static const char *const standings[] = {
        [MEMBER_VOTER] = "voter", [MEMBER_LEARNER] = "learner", [MEMBER_JOINING] = "joining"};
    printf("members_index=%" PRIu64 "\n", m->index);
    if (m->index == 0)
        return;
    printf("cluster_id=%016" PRIx64 "\n", m->members.cluster_id);
    for (const struct member *e = m->members.m; e < m->members.m + m->members.n; e++) {
        printf("member.%u=%s priority=%u key=", e->id, standings[e->standing], e->priority);
        for (unsigned i = 0; i < 8; i++)
            printf("%02x", e->key[i]);
        printf(" address=%s%s%s\n", e->addr[0], e->addr[1][0] != '\0' ? "," : "", e->addr[1]);
    }
}
