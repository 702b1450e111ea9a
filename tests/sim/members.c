/* members.c: who is a member changes at any moment: nodes are added, removed, promoted, demoted, and taken
 * back on another disk, all by asking whoever leads.
 *
 * What must be true then: from one configuration to the next one voter differs at most; who becomes a voter
 * holds what the log held a moment ago; and a snapshot has the configuration that its state had. That
 * elections and commits are of majorities of those that count, on the disks that count, is in check.c.
 *
 * A node may lose its disk, for good or until somebody puts it in again, as long as a minority of the voters
 * has, in every configuration that is in force on some node, or could be again. What the members are changed
 * to must bear the disks that are lost by then, too; and where disks are lost every voter may lead: else the
 * one that has what was acknowledged could be one that never stands.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

enum {
    MOMENT_TIMEOUTS = 4,         /* in which a learner has to keep up, and some more */
    DISK_FORGOTTEN_US = 5000000, /* no datagram takes so long */
};

const struct entry *sim_conf(const struct entry *tip)
{
    while (tip->members == NULL)
        tip = tip->prev;
    return tip;
}

bool sim_same_disk(const struct sim *s, const struct member *e)
{
    uint64_t disk = member_incarnation(e);
    return disk == 0 || disk == sim_disk_of(&s->m[e->id - 1u]);
}

bool sim_counts(const struct raft_members *m, unsigned node, uint64_t disk)
{
    const struct raft_member *e = raft_member(m, (uint16_t)(node + 1));
    return e != NULL && e->standing == RAFT_VOTER &&
           (e->incarnation == 0 || e->incarnation == disk);
}

/* ---- checks ---- */

static bool same_voter(const struct member *a, const struct member *b)
{
    uint64_t one = member_incarnation(a), other = b == NULL ? 0 : member_incarnation(b);
    return b != NULL && b->standing == MEMBER_VOTER && (one == other || one == 0 || other == 0);
}

static unsigned beyond(const struct members *a, const struct members *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < a->n; i++)
        n += a->m[i].standing == MEMBER_VOTER && !same_voter(&a->m[i], members_find(b, a->m[i].id));
    return n;
}

/* The newest entry that the log had a moment before this one. */
static struct entry *a_moment_before(const struct sim *s, struct entry *e)
{
    struct entry *x = e->prev;
    while (x->index != 0 && x->ms + MOMENT_TIMEOUTS * s->o.election_timeout_us / 1000 > e->ms)
        x = x->prev;
    return x;
}

void sim_check_members(struct sim *s, struct entry *e)
{
    const struct members *was = sim_conf(e->prev)->members, *is = e->members;
    if (beyond(is, was) + beyond(was, is) > 1)
        sim_broken(s, "two-voters", "entry %" PRIu64 " changes more than one voter", e->index);
    for (unsigned i = 0; i < is->n; i++) {
        const struct member *v = &is->m[i];
        if (v->standing != MEMBER_VOTER || same_voter(v, members_find(was, v->id)) ||
            !sim_same_disk(s, v))
            continue;
        const struct sim_node *m = &s->m[v->id - 1u];
        struct entry *had = sim_tip(&m->hard, m->snap), *must = a_moment_before(s, e);
        s->t.promotions++;
        if (had->index < must->index || sim_at(had, must->index) != must)
            sim_broken(s, "promoted-early",
                       "node %u becomes a voter and has entries up to %" PRIu64
                       ", the log had %" PRIu64 " a moment ago",
                       v->id, had->index, must->index);
    }
}

bool sim_same_members(const struct entry *e, const struct members_at *m)
{
    uint8_t a[MEMBERS_BYTES_MAX], b[MEMBERS_BYTES_MAX];
    const struct entry *conf = sim_conf(e);
    if (conf->index != m->index || m->index == 0)
        return conf->index == m->index;
    size_t len = members_encode(conf->members, a);
    return len == members_encode(&m->members, b) && memcmp(a, b, len) == 0;
}

/* ---- changes ---- */

uint8_t sim_any_priority(struct sim *s)
{
    uint64_t any = sim_roll(s, RNG_FAULT, 4);
    return (uint8_t)(any == 0 && s->o.rate[SIM_WIPE] != 0 ? 1 : any);
}

/* Of those voters a minority has lost its disk, also when those that are joining have become voters: their
 * leader may not know of the loss. `also`: if this node has, too; NULL: nobody. */
static bool bears(const struct sim *s, const struct members *conf, const struct sim_node *also)
{
    unsigned n = 0, lost = 0;
    for (unsigned i = 0; i < conf->n; i++) {
        const struct member *e = &conf->m[i];
        bool self = also != NULL && e->id == also->at + 1;
        bool gone = self || !sim_same_disk(s, e);
        if (e->standing == MEMBER_LEARNER || (e->standing == MEMBER_JOINING && !gone))
            continue;
        if (self && !member_has_key(e))
            return false; /* whoever has that id would be taken for it */
        n++;
        lost += gone;
    }
    return 2 * lost < n;
}

static void add(struct sim *s, struct members *m, uint16_t id)
{
    struct member e = {.id = id, .priority = sim_any_priority(s)};
    unsigned at = m->n++;
    e.standing = sim_roll(s, RNG_FAULT, 4) == 0 ? MEMBER_LEARNER : MEMBER_JOINING;
    memcpy(e.key, s->m[id - 1u].own.key, sizeof e.key);
    sim_address(s, id - 1u, e.addr[0]);
    for (; at > 0 && m->m[at - 1].id > id; at--)
        m->m[at] = m->m[at - 1];
    m->m[at] = e;
}

static void another_standing(struct member *e)
{
    switch (e->standing) {
    case MEMBER_LEARNER: e->standing = MEMBER_JOINING; break;
    case MEMBER_VOTER:
    case MEMBER_JOINING: e->standing = MEMBER_LEARNER; break;
    }
}

/* One node comes, goes, or becomes something else. */
static void change(struct sim *s, struct members *m)
{
    uint16_t id = (uint16_t)(1 + sim_roll(s, RNG_FAULT, s->o.nodes));
    if (members_find(m, id) == NULL) {
        add(s, m, id);
        return;
    }
    struct member *e = &m->m[members_find(m, id) - m->m];
    uint64_t how = sim_roll(s, RNG_FAULT, 6);
    if (!sim_same_disk(s, e)) {
        memcpy(e->key, s->m[id - 1u].own.key, sizeof e->key);
        e->standing = MEMBER_JOINING;
    } else if (how < 3) {
        size_t at = (size_t)(e - m->m);
        memmove(e, e + 1, (m->n - at - 1) * sizeof *e);
        m->n--;
    } else if (how == 3) {
        e->standing = MEMBER_VOTER; /* a learner that has not caught up: refused */
    } else if (how == 4) {
        e->priority = sim_any_priority(s);
    } else {
        another_standing(e);
    }
}

void sim_fault_members(struct sim *s)
{
    if (s->calm)
        return;
    sim_post(s, s->now + 1 + sim_roll(s, RNG_FAULT, 2 * s->o.members_us), EV_MEMBERS, 0);
    if (sim_roll(s, RNG_FAULT, 2) == 0) {
        sim_operator(s);
        return;
    }
    unsigned from = (unsigned)sim_roll(s, RNG_FAULT, s->o.nodes);
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct sim_node *l = &s->m[(from + i) % s->o.nodes];
        if (!l->up || s->now < l->paused_until || node_raft(l->node)->role != RAFT_LEADER)
            continue;
        struct members m = replica_members(node_replica(l->node))->members;
        change(s, &m);
        enum raft_refusal why = RAFT_REFUSED_MALFORMED;
        if (!members_valid(&m) || bears(s, &m, NULL))
            why = replica_change(node_parts(l->node).replica, sim_local(l, s->now), &m, false);
        sim_note(s, NOTE_MEMBERS, l->at, why, 0, 0);
        s->t.changes += why == RAFT_TAKEN;
        sim_touch(s, l);
        return;
    }
}

/* ---- disks that are lost ---- */

/* With a log that ends there, and if its newest configuration falls. */
static bool log_bears(const struct sim *s, const struct entry *tip, const struct sim_node *m)
{
    const struct entry *conf = sim_conf(tip);
    return bears(s, conf->members, m) &&
           (conf->index == 0 || bears(s, sim_conf(conf->prev)->members, m));
}

bool sim_bears_change(const struct sim *s, const struct member_change *change)
{
    bool less = change->op == MEMBER_REMOVE || change->op == MEMBER_REPLACE;
    if (!less && change->op != MEMBER_ADD)
        return true;
    const struct sim_node *box = &s->m[change->id - 1u];
    bool fresh = box->disks > 0 && s->now < box->disk_at + DISK_FORGOTTEN_US;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct members m = sim_conf(s->m[i].tip)->members[0];
        bool new = members_find(&m, change->id) == NULL;
        for (unsigned k = 0; k < m.n; k++)
            if (m.m[k].id == change->id && (less || m.m[k].standing == MEMBER_LEARNER))
                m.m[k].standing = less ? MEMBER_LEARNER : MEMBER_JOINING;
        if (!less && new &&fresh) /* what its former disk said may still come, and name that one */
            m.m[m.n++] = (struct member){.id = change->id, .standing = MEMBER_VOTER, .key = {1}};
        if (!bears(s, &m, NULL))
            return false;
    }
    return true;
}

bool sim_lose_disk(struct sim *s, struct sim_node *m)
{
    if (s->wishes > 0)
        return false; /* nobody knows what they will make of the members */
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *k = &s->m[i];
        bool may = log_bears(s, sim_tip(&k->hard, k->snap), m);
        may = may && (!k->up || log_bears(s, k->tip, m));
        for (unsigned j = 0; j < k->n_maybe; j++)
            may = may && log_bears(s, sim_tip(&k->maybe[j], k->snap), m);
        if (!may)
            return false;
    }
    if (m->old != NULL && sim_roll(s, RNG_FAULT, 2) == 0)
        sim_old_disk(s, m);
    else
        sim_another_disk(s, m);
    return true;
}

/* ---- when all is quiet ---- */

/* The log of this node says where that other one is now. */
static bool knows_where(const struct sim *s, const struct sim_node *m, unsigned other)
{
    const struct member *e = members_find(sim_conf(m->tip)->members, (uint16_t)(other + 1));
    char text[MEMBER_ADDR_BYTES];
    sim_address(s, other, text);
    return e != NULL && strcmp(text, e->addr[0]) == 0;
}

void sim_members_outside(struct sim *s)
{
    int leader = sim_leader(s);
    if (leader < 0)
        return;
    const struct members *conf = sim_conf(s->m[leader].tip)->members;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct member *e = members_find(conf, (uint16_t)(i + 1));
        bool met = (int)i == leader || knows_where(s, &s->m[leader], i) ||
                   knows_where(s, &s->m[i], (unsigned)leader);
        s->m[i].outside = e == NULL || !sim_same_disk(s, e) || !met;
    }
}
