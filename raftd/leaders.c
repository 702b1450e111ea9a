/* leaders.c: see leaders.h. */
#include "raftd/leaders.h"

/* Node `leader` leads this term; 0: none is known. */
static void note(struct leaders *l, uint64_t term, uint16_t leader, uint64_t now_us)
{
    if (leader == 0 || (l->now != 0 && term <= l->term))
        return;
    if (l->now != 0) {
        l->at_us[l->changes % LEADERS_KEPT] = now_us;
        l->changes++;
    }
    l->before = l->now;
    l->now = leader;
    l->term = term;
    l->since_us = now_us;
}

/* The number of changes in the last hour, at most LEADERS_KEPT. */
static unsigned recent(const struct leaders *l, uint64_t now_us)
{
    unsigned n = 0;
    while (n < LEADERS_KEPT && n < l->changes &&
           now_us - l->at_us[(l->changes - 1 - n) % LEADERS_KEPT] < LEADERS_INTERVAL_US)
        n++;
    return n;
}

void leaders_status(struct leaders *l, struct status *s)
{
    note(l, s->term, s->leader, s->now_us);
    s->leader_before = l->before;
    s->leader_since_us = s->leader != 0 ? l->since_us : 0;
    s->leader_changes_hour = recent(l, s->now_us);
}
