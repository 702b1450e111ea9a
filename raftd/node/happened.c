/* happened.c: see happened.h. */
#include "raftd/node/happened.h"

#include <string.h>

#include "raftd/node/health.h"

/* ---- what a status says ---- */

static const struct status_peer *peer_of(const struct status *s, uint16_t id)
{
    for (unsigned i = 0; i < s->n_peers; i++)
        if (s->peers[i].id == id)
            return &s->peers[i];
    return NULL;
}

/* The node does not hear the member: it should have, or long ago. A node that has just started does not
 * know. */
static bool is_silent(const struct status *s, uint16_t id)
{
    const struct status_peer *p = peer_of(s, id);
    return id != s->id && (p == NULL || p->loss_in_permille == STATUS_LOSS_ALL);
}

static bool is_voter(const struct status *s, uint16_t id)
{
    const struct status_peer *p = peer_of(s, id);
    return (id == s->id ? s->standing : p != NULL ? p->standing : RAFT_NO_MEMBER) == RAFT_VOTER;
}

static uint64_t incarnation_of(const struct status *s, uint16_t id)
{
    for (unsigned i = 0; i < s->n_members; i++)
        if (s->members[i].id == id)
            return s->members[i].incarnation;
    return 0;
}

/* A majority of the voters is heard, and was at since_us or later. */
static bool hears_majority(const struct status *s, uint64_t since_us)
{
    unsigned voters = 0, heard = 0;
    for (unsigned i = 0; i < s->n_links; i++) {
        uint16_t id = s->links[i].id;
        const struct status_peer *p = peer_of(s, id);
        if (!is_voter(s, id))
            continue;
        voters++;
        heard += id == s->id || (!is_silent(s, id) && p->heard_us >= since_us);
    }
    return heard > voters / 2;
}

/* As far as the node knows, writes can be committed: there is a leader that can, or else enough voters are
 * heard. */
static bool has_quorum(const struct status *s)
{
    return s->leader != 0 ? health_commits(s) : hears_majority(s, 0);
}

static const char *doubt_of(const struct status *s)
{
    if (s->differs_index != 0)
        return "its state differs from another node's";
    switch (s->doubt) {
    case STATUS_DOUBT_NONE: break;
    case STATUS_DOUBT_ACKNOWLEDGED: return "its disk has lost what it had promised";
    case STATUS_DOUBT_DAMAGED: return "its log was damaged";
    }
    return NULL;
}

/* A leader that lost its majority steps down, and knows at once that there is none. From then on it takes
 * signs of life to believe in one again, since the silence of a peer takes its time to show. */
static bool quorum_of(struct happened *h, const struct status *s)
{
    bool lead_lost = h->state.role == RAFT_LEADER && s->role != RAFT_LEADER && s->leader == 0 &&
                     s->why == RAFT_WHY_LOST_QUORUM;
    bool quorum = has_quorum(s) && !lead_lost;
    if (quorum && s->leader == 0 && !h->state.quorum)
        quorum = hears_majority(s, h->quorum_lost_us);
    if (!quorum && (h->state.quorum || h->start == 0))
        h->quorum_lost_us = s->now_us;
    return quorum;
}

static enum event_kind disk_of(const struct status *s, bool *leaders)
{
    enum health disk = health_disk(s, leaders);
    return disk == HEALTH_DISK_FULL   ? EVENT_DISK_FULL
           : disk == HEALTH_DISK_SLOW ? EVENT_DISK_SLOW
                                      : EVENT_DISK_OK;
}

static struct happened_state state_of(struct happened *h, const struct status *s)
{
    struct happened_state state = {
        .now_us = s->now_us,
        .term = s->term,
        .role = s->role,
        .id = s->id,
        .leader = s->leader,
        .quorum = quorum_of(h, s),
        .doubt = doubt_of(s),
        .key_id = s->key_id,
        .next_key_id = s->next_key_id,
        .why = s->why,
        .n_members = s->n_links,
    };
    state.disk = disk_of(s, &state.leaders_disk);
    for (unsigned i = 0; i < s->n_links; i++) {
        uint16_t id = s->links[i].id;
        const struct status_peer *p = peer_of(s, id);
        uint64_t incarnation = incarnation_of(s, id);
        state.members[i] = (struct happened_member){
            .id = id,
            .voter = is_voter(s, id),
            .silent = is_silent(s, id),
            .met = p != NULL && p->heard_us != 0,
            .unknown = incarnation == 0 && s->members_index != 0,
            .incarnation = incarnation,
        };
    }
    return state;
}

/* ---- events ---- */

/* An event as of that state. */
static struct event made(const struct happened_state *state, enum event_kind kind, uint16_t node,
                         const char *why)
{
    return (struct event){
        .boot_us = state->now_us,
        .term = state->term,
        .role = raft_role_name(state->role),
        .why = why,
        .leader = state->leader,
        .node = node,
        .kind = kind,
    };
}

static const char *quorum_why(const struct happened_state *state)
{
    if (state->quorum)
        return "";
    if (state->leader == 0)
        return "fewer than a majority are heard";
    return state->leader == state->id ? "this node leads, and nothing is committed"
                                      : "the leader says that it commits nothing";
}

/* What one subject says of a state: as an event, or as a line of the state. */
static struct event lead(const struct happened_state *s)
{
    return made(s, s->role == RAFT_LEADER ? EVENT_LEADER_GAINED : EVENT_LEADER_LOST, 0, "");
}

static struct event leader(const struct happened_state *s)
{
    return made(s, s->leader != 0 ? EVENT_LEADER_CHANGED : EVENT_LEADER_NONE, 0, "");
}

static struct event quorum(const struct happened_state *s)
{
    return made(s, s->quorum ? EVENT_QUORUM_BACK : EVENT_QUORUM_LOST, 0, quorum_why(s));
}

static struct event disk(const struct happened_state *s)
{
    return made(s, s->disk, 0, s->leaders_disk ? "the leader's" : "");
}

static struct event doubt(const struct happened_state *s)
{
    return made(s, s->doubt != NULL ? EVENT_DOUBT : EVENT_HEALED, 0,
                s->doubt != NULL ? s->doubt : "");
}

static struct event standing(const struct happened_state *s, const struct happened_member *m)
{
    return made(s, m->voter ? EVENT_MEMBER_PROMOTED : EVENT_MEMBER_ADDED, m->id, "");
}

static struct event heard(const struct happened_state *s, const struct happened_member *m)
{
    return made(s, m->silent ? EVENT_MEMBER_SILENT : EVENT_MEMBER_BACK, m->id, "");
}

static void add(struct happened *h, struct event e)
{
    e.seq = ++h->end;
    h->kept[e.seq % HAPPENED_KEPT] = e;
}

static const struct happened_member *member_of(const struct happened_state *s, uint16_t id)
{
    for (unsigned i = 0; i < s->n_members; i++)
        if (s->members[i].id == id)
            return &s->members[i];
    return NULL;
}

/* The event says why this node's role is another one. */
static void add_role(struct happened *h, struct event e, enum raft_why why)
{
    e.why = why != RAFT_WHY_NONE ? raft_why_name(why) : "";
    add(h, e);
}

static void add_lead(struct happened *h, const struct happened_state *was,
                     const struct happened_state *is)
{
    bool leads = is->role == RAFT_LEADER, led = was->role == RAFT_LEADER;
    bool later = is->term != was->term;
    if (led && (!leads || later))
        add_role(h, made(is, EVENT_LEADER_LOST, 0, ""), is->why);
    if (leads && (!led || later))
        add_role(h, lead(is), is->why);
    else if (!leads && is->leader == 0 && was->leader != 0)
        add_role(h, leader(is), is->why);
    else if (!leads && is->leader != 0 && (is->leader != was->leader || later))
        add(h, leader(is));
}

/* Whether it is heard is not what was told, or is known now for the first time. */
static bool is_other(const struct happened_member *was, const struct happened_member *is)
{
    return was->silent != is->silent || (!is->silent && is->met && !was->met);
}

/* The first configuration in the log has the keys of all that were met until then: that is no news. */
static void add_directory(struct happened *h, const struct happened_state *is,
                          const struct happened_member *before, const struct happened_member *m)
{
    bool other = before->incarnation != 0 && before->incarnation != m->incarnation;
    if (m->incarnation != 0 && (before->unknown || other))
        add(h, made(is, EVENT_MEMBER_DIRECTORY, m->id,
                    other ? "another data directory has taken its place"
                          : "it was not known, so whoever came first is taken for it"));
}

static void add_members(struct happened *h, const struct happened_state *was,
                        const struct happened_state *is)
{
    for (unsigned i = 0; i < was->n_members; i++)
        if (member_of(is, was->members[i].id) == NULL)
            add(h, made(is, EVENT_MEMBER_REMOVED, was->members[i].id, ""));
    for (unsigned i = 0; i < is->n_members; i++) {
        const struct happened_member *m = &is->members[i], *before = member_of(was, m->id);
        if (before == NULL || before->voter != m->voter)
            add(h, standing(is, m));
        if (before != NULL)
            add_directory(h, is, before, m);
        if (m->id != is->id && (before == NULL || is_other(before, m)))
            add(h, heard(is, m));
    }
}

bool happened_take(struct happened *h, const struct status *s)
{
    struct happened_state was = h->state, is = state_of(h, s);
    bool first = h->start == 0;
    uint64_t end = h->end;
    if (first) {
        h->start = h->end = s->start_us + 1; /* 0 is none */
    } else {
        add_lead(h, &was, &is);
        if (is.quorum != was.quorum)
            add(h, quorum(&is));
        if (is.disk != was.disk)
            add(h, disk(&is));
        if (is.doubt != was.doubt)
            add(h, doubt(&is));
        if (is.key_id != was.key_id || is.next_key_id != was.next_key_id)
            add(h, made(&is, EVENT_KEY_CHANGED, 0, ""));
        add_members(h, &was, &is);
    }
    h->state = is;
    return first || h->end != end;
}

bool happened_knows(const struct happened *h, uint64_t since)
{
    return since >= h->start && since <= h->end && h->end - since <= HAPPENED_KEPT;
}

const struct event *happened_event(const struct happened *h, uint64_t seq)
{
    return &h->kept[seq % HAPPENED_KEPT];
}

unsigned happened_lines(const struct happened_state *s, struct event lines[HAPPENED_LINES])
{
    unsigned n = 0;
    lines[n++] = lead(s);
    if (s->role != RAFT_LEADER)
        lines[n++] = leader(s);
    lines[n++] = quorum(s);
    lines[n++] = disk(s);
    lines[n++] = doubt(s);
    for (unsigned i = 0; i < s->n_members; i++) {
        lines[n++] = standing(s, &s->members[i]);
        if (s->members[i].id != s->id)
            lines[n++] = heard(s, &s->members[i]);
    }
    for (unsigned i = 0; i < n; i++)
        lines[i].state = (uint16_t)(n - i);
    return n;
}
