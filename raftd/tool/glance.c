/* glance.c: see glance.h. */
#include "raftd/tool/glance.h"

#include <stdlib.h>
#include <string.h>

#include "raftd/tool/raftctl.h"

void rates_see(struct rates *r, uint64_t value, uint64_t at_us)
{
    if (at_us <= r->at_us)
        return;
    if (r->at_us != 0 && value >= r->value) {
        double seconds = (double)(at_us - r->at_us) / 1e6;
        if (r->n == GLANCE_RATES)
            memmove(r->per_s, r->per_s + 1, --r->n * sizeof r->per_s[0]);
        r->per_s[r->n++] = (uint64_t)((double)(value - r->value) / seconds + 0.5);
    }
    r->value = value;
    r->at_us = at_us;
}

static bool is_bad(enum event_kind kind)
{
    return kind == EVENT_LEADER_NONE || kind == EVENT_QUORUM_LOST || kind == EVENT_MEMBER_SILENT ||
           kind == EVENT_DISK_SLOW || kind == EVENT_DISK_FULL || kind == EVENT_DOUBT ||
           kind == EVENT_MISSED || kind == EVENT_DAEMON_GONE;
}

void glance_event(struct glance *g, const struct event *e)
{
    char node[16] = "";
    if (e->state != 0)
        return;
    if (g->n_events == GLANCE_EVENTS)
        memmove(g->events, g->events + 1, --g->n_events * sizeof g->events[0]);
    struct glance_event *to = &g->events[g->n_events++];
    uint16_t about = e->kind == EVENT_LEADER_CHANGED ? e->leader : e->node;
    if (about != 0)
        (void)snprintf(node, sizeof node, " node %u", about);
    to->at_us = e->boot_us;
    to->bad = is_bad(e->kind);
    (void)snprintf(to->text, sizeof to->text, "%s%s%s%s", event_kind_name(e->kind), node,
                   e->why[0] != '\0' ? ": " : "", e->why);
}

void glance_free(struct glance *g)
{
    free(g->troubles);
    free(g->link_troubles);
}

void glance_status(struct glance *g, char *text)
{
    status_read(&g->s, text, g->now_us);
    glance_free(g);
    g->troubles = members_troubles(&g->s);
    g->link_troubles = links_trouble(&g->s);
    for (unsigned i = 0; i < g->s.n_peers; i++)
        g->s.peers[i].trouble = NULL; /* it goes with the text */
    g->told_us = g->now_us;
    g->silent[0] = '\0';
    rates_see(&g->writes, g->s.commit_index, g->now_us);
    rates_see(&g->reads, g->s.reads, g->now_us);
}

uint64_t glance_ago_us(const struct glance *g, uint64_t then_us)
{
    return status_ago_us(g->told_us, then_us);
}

const char *glance_member(const struct status_member *m, bool *bad)
{
    enum health health = member_health(m);
    *bad = true;
    if (member_is_silent(m))
        return "silent";
    if (m->session >= STATUS_SESSION_WRONG_KEY && m->session < STATUS_SESSIONS)
        return status_session_name((enum status_session)m->session);
    if (health > HEALTH_OK)
        return health_name(health);
    *bad = false;
    if (m->leads)
        return "leader";
    if (m->drained)
        return "drained";
    return m->standing == MEMBER_VOTER     ? "follower"
           : m->standing == MEMBER_JOINING ? "joining"
                                           : "learner";
}
