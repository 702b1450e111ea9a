/* members_print.c: see members_print.h. */
#include "raftd/members_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/say.h"

void members_print(FILE *out, const struct members_at *m)
{
    static const char *const standings[] = {
        [MEMBER_VOTER] = "voter", [MEMBER_LEARNER] = "learner", [MEMBER_JOINING] = "joining"};
    fprintf(out, "members_index=%" PRIu64 "\n", m->index);
    if (m->index == 0)
        return;
    fprintf(out, "cluster_id=%016" PRIx64 "\n", m->members.cluster_id);
    for (const struct member *e = m->members.m; e < m->members.m + m->members.n; e++) {
        fprintf(out, "member.%u=%s priority=%u key=", e->id, standings[e->standing], e->priority);
        for (unsigned i = 0; i < 8; i++)
            fprintf(out, "%02x", e->key[i]);
        fprintf(out, " address=%s%s%s\n", e->addr[0], e->addr[1][0] != '\0' ? "," : "", e->addr[1]);
    }
}

void members_compare(const struct members_at *m, const struct conf *conf)
{
    for (int i = 0; m->index != 0 && i < conf->n_nodes; i++) {
        const struct conf_node *n = &conf->nodes[i];
        const struct member *e = members_find(&m->members, n->id);
        if (e == NULL)
            say_warn("the configuration file names node %u, which is no member: the members count, "
                     "see raftctl members; the line can go",
                     n->id);
        else if (strcmp(e->addr[0], n->addr_text) != 0 || strcmp(e->addr[1], n->second_text) != 0)
            say_warn("the configuration file gives node %u another address than the members do, "
                     "which count: %s%s%s; raftctl member set changes it",
                     n->id, e->addr[0], e->addr[1][0] != '\0' ? ", " : "", e->addr[1]);
    }
    for (unsigned i = 0; m->index != 0 && i < m->members.n; i++)
        if (conf_find(conf, m->members.m[i].id) == NULL)
            say_warn("node %u is a member, though the configuration file does not name it: the "
                     "members count; a line for it would only tell people so",
                     m->members.m[i].id);
}
