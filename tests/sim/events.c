/* events.c: a program on each box that follows the events of its node (raftd/node/happened.h). Whatever
 * happens, it is told of every event, or that there were others and how things are; and when it has heard
 * all, its last word of each subject is what the node's status says.
 *
 * It takes some now and then. When its node was down, or its connection ends, it goes on behind the number
 * that it heard last.
 *
 * What a node shows of the health of its leader is what that said of itself within the last seconds, and what
 * it shows of another member is, when all is calm, what that said last. */
#include <stdlib.h>

#include "raftd/node/health.h"
#include "raftd/serve/events.h"
#include "tests/lib/last_words.h"
#include "tests/sim/impl.h"

enum {
    LOOK_US = 50000, /* a node looks at its status so often, and whenever its role changes */
    TAKES_MAX = 24,  /* fewer than the lines of a state */
    CUT_OFF = 40,    /* one turn in so many begins with another connection */
    /* A word is so long on its way at most: what is older than two election timeouts and a second keeps no
     * leader. */
    WAY_US = 2000000,
};

struct follower {
    uint64_t generation, looked_us;
    uint64_t members; /* index of the configuration at the last look, and ... */
    uint64_t silent;  /* ... node_glimpse().silent */
    struct happened happened;
    struct events_reader reader;
    struct last_words words;
    uint32_t random;
    uint8_t health;              /* what the node says of itself, ... */
    uint64_t health_since;       /* ... since when, ... */
    uint64_t said[HEALTH_COUNT]; /* ... and when it last said this; 0 = never */
};

static uint32_t roll(struct follower *f, uint32_t n)
{
    f->random = f->random * 1664525 + 1013904223;
    return (f->random >> 16) % n;
}

static bool looks(const struct follower *f, const struct raft *r, uint64_t now)
{
    const struct happened_state *was = &f->happened.state;
    return f->happened.start == 0 || now >= f->looked_us + LOOK_US || was->role != r->role ||
           was->term != r->term || was->leader != r->leader;
}

/* The daemon looks at once when node_glimpse() is another one, and else rarely. */
static void check_silent(struct sim *s, const struct sim_node *m, struct follower *f,
                         const struct happened_state *was)
{
    const struct happened_state *is = &f->happened.state;
    uint64_t now = sim_local(m, s->now), members = node_raft(m->node)->members.index;
    uint64_t silent = node_glimpse(m->node, now).silent;
    bool same = silent == f->silent && members == f->members && was->n_members == is->n_members;
    for (unsigned i = 0; same && i < is->n_members; i++)
        if (was->members[i].id == is->members[i].id &&
            (was->members[i].silent != is->members[i].silent ||
             was->members[i].met != is->members[i].met))
            sim_broken(s, "events-late", "node %u does not see that member %u is %s", m->at + 1,
                       is->members[i].id, is->members[i].silent ? "silent" : "back");
    f->silent = silent;
    f->members = members;
}

static void take(struct sim *s, const struct sim_node *m, struct follower *f, const struct event *e)
{
    const struct happened *h = &f->happened;
    uint64_t since = f->reader.since;
    if (e->kind == EVENT_MISSED && since >= h->start && since <= h->end &&
        h->end - since <= HAPPENED_KEPT)
        sim_broken(s, "events-forgotten", "node %u has all events behind %" PRIu64, m->at + 1,
                   since);
    if (f->reader.n == f->reader.at && e->seq != since + 1)
        sim_broken(s, "events-gap", "node %u tells event %" PRIu64 " behind %" PRIu64, m->at + 1,
                   e->seq, since);
    last_words_take(&f->words, e);
    s->t.events_told++;
    s->t.breaks += e->kind == EVENT_MISSED || e->kind == EVENT_RESTARTED;
}

/* The node says how it is, as the daemon has it do with each status; and shows how its leader is. That may
 * have ended, or have stepped down, and says so before its followers know. In plain text what was said at any
 * time may come again. */
static void check_health(struct sim *s, const struct sim_node *m, struct follower *f,
                         struct status *st)
{
    uint64_t lasts = status_lasts_us(s->o.election_timeout_us);
    uint8_t was = f->health, told = st->leader_health;
    const struct raft *r = node_raft(m->node);
    if (r->inflight_seq != 0)
        st->disk_pending_us = st->now_us - r->inflight_since;
    health_fill(st, HEALTH_LAG_MAX);
    node_self(m->node, st);
    f->health = (uint8_t)health_own(st, HEALTH_LAG_MAX);
    if (f->health != was)
        f->health_since = s->now;
    f->said[was] = f->said[f->health] = s->now;
    if (s->o.plain || told == HEALTH_UNKNOWN || st->leader > s->o.nodes)
        return;
    const struct follower *leader = s->m[st->leader - 1].follower;
    if (leader == NULL || leader->said[told] == 0 ||
        s->now > leader->said[told] + lasts + 2 * s->o.election_timeout_us + WAY_US)
        sim_broken(s, "health-made-up", "node %u shows its leader, %u, as %s", m->at + 1,
                   st->leader, health_name((enum health)told));
    s->t.healths += told != HEALTH_OK;
}

/* Nobody has reason to say another word than the last one, and all have said it lately. */
void sim_check_healths(struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes && !s->o.plain; i++) {
        const struct sim_node *m = &s->m[i];
        uint64_t now = sim_local(m, s->now);
        struct status st = {.now_us = now};
        if (!m->up || m->outside || raft_member(&node_raft(m->node)->members, m->id) == NULL)
            continue;
        node_status(m->node, now, &st);
        for (unsigned k = 0; k < st.n_members; k++) {
            const struct status_member *shown = &st.members[k];
            const struct sim_node *of = &s->m[shown->id - 1];
            uint64_t ago = status_ago_us(now, shown->told_us);
            if (!of->up || of->outside || of == m ||
                of->follower->health_since + ago + WAY_US > s->now)
                continue;
            if (shown->told_us == 0 || ago > 2 * status_lasts_us(s->o.election_timeout_us))
                sim_broken(s, "health-old", "node %u was told long ago how node %u is", i + 1,
                           shown->id);
            if (shown->health != of->follower->health)
                sim_broken(s, "health-last-word", "node %u shows node %u as %s, which says %s",
                           i + 1, shown->id, health_name((enum health)shown->health),
                           health_name((enum health)of->follower->health));
        }
    }
}

void sim_events(struct sim *s, struct sim_node *m)
{
    struct follower *f = m->follower;
    uint64_t now = sim_local(m, s->now);
    struct event e;
    if (f == NULL) {
        f = m->follower = sim_must(calloc(1, sizeof *f));
        f->random = m->at;
    }
    bool another = f->generation != m->generation; /* process */
    if (another) {
        f->happened = (struct happened){.start = 0};
        f->health = HEALTH_UNKNOWN;
        f->generation = m->generation;
    }
    if (!looks(f, node_raft(m->node), now))
        return;
    if (another || roll(f, CUT_OFF) == 0)
        f->reader = (struct events_reader){.since = f->reader.since};
    struct status st = {.now_us = now};
    node_status(m->node, now, &st);
    check_health(s, m, f, &st);
    f->looked_us = now;
    struct happened_state was = f->happened.state;
    (void)happened_take(&f->happened, &st);
    check_silent(s, m, f, &was);
    uint32_t most = roll(f, TAKES_MAX);
    while (most-- > 0 && events_look(&f->reader, &f->happened, &e)) {
        take(s, m, f, &e);
        events_pass(&f->reader, &e);
    }
    const char *other = events_look(&f->reader, &f->happened, &e)
                            ? NULL
                            : last_words_differ(&f->words, &f->happened.state);
    if (other != NULL)
        sim_broken(s, "events-last-word", "node %u did not tell %s last", m->at + 1, other);
}
