/* clone.c: somebody copies a box's disk, and starts the copy in another box, while the first one lives: two
 * boxes with the key of one member.
 *
 * Until a node has heard both it takes each for the member, and nobody promises what may come of that. So
 * what the clone says to such a node is made padding: its datagrams prove a process with that key, and no
 * more. Once a node knows, it must not count a word of either, until one of them has been alone for
 * ADMIT_ALONE_US: that is checked, and the clone's words go through, so that whoever counts one of its votes
 * or copies breaks what check.c demands, where the clone has none.
 *
 * The clone ends with its box, for it is behind: alone it would be that member, and lack what that one
 * acknowledged.
 */
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/node/admit.h"
#include "tests/sim/impl.h"

enum {
    NOTHING = 0x3F, /* type of a frame that nobody knows, and that is skipped */
    /* A box makes a handshake when eight datagrams got no answer, of which two followers send one in 3 s. */
    FOUND_US = 30000000,
    ALONE_US = ADMIT_ALONE_US + FOUND_US,
};

_Static_assert(NODES >= 7 + 2, "a place beside the most nodes of a plan");

/* Places up to o.nodes mean something already: nobody. */
static struct sim_node *place(struct sim *s)
{
    return &s->m[s->o.nodes + 1];
}

struct sim_node *sim_clone(struct sim *s)
{
    return s->clones > 0 && place(s)->up ? place(s) : NULL;
}

static bool is_known(const struct sim_node *m, uint16_t id)
{
    return m->up && m->id != id && node_peer(m->node, id) != NULL &&
           admit_state(node_parts(m->node).admit, id) == ADMIT_CLONED;
}

/* Whoever is the only voter needs nobody, so nobody could refuse its copy anything. */
static bool is_alone(const struct entry *conf)
{
    unsigned voters = 0;
    for (unsigned i = 0; i < conf->members->n; i++)
        voters += conf->members->m[i].standing == MEMBER_VOTER;
    return voters < 2;
}

static bool may_be_cloned(const struct sim_node *m)
{
    const struct entry *conf = sim_conf(sim_tip(&m->hard, m->snap));
    return m->up && m->n_maybe == 0 && m->snap_maybe == NULL && !is_alone(conf) &&
           (conf->index == 0 || !is_alone(sim_conf(conf->prev)));
}

void sim_clone_begin(struct sim *s, const struct sim_node *m)
{
    if (s->o.nodes < 2 || sim_clone(s) != NULL || !may_be_cloned(m))
        return;
    struct sim_node *c = place(s);
    if (c->disk != NULL)
        memdisk_free(c->disk);
    s->clones++;
    s->t.faults[SIM_CLONE]++;
    c->sim = s;
    c->at = s->o.nodes + 1;
    c->id = m->id;
    c->host = s->hosts++;
    c->clock_offset = sim_between(s, RNG_NODE, 1000, UINT64_C(1) << 40);
    c->disk = memdisk_clone(m->disk);
    memdisk_limit(c->disk, 0);
    memdisk_no_space(c->disk, false);
    memdisk_power_cut(c->disk, MEMDISK_KEEP_NONE);
    c->storage = m->storage;
    c->own = m->own;
    memcpy(c->peers_known, m->peers_known, sizeof c->peers_known);
    c->hard = m->hard;
    c->snap = m->snap;
    c->marked = m->marked;
    c->tip = c->committed = &s->root;
    /* The clone before, perhaps of the same disk, was another box. */
    for (uint64_t t = 0; t < s->n_terms; t++)
        s->terms[t].votes[c->at] = 0;
    c->snap_maybe = NULL;
    c->n_was = c->n_maybe = 0;
    sim_boot(s, c);
}

void sim_clone_ends(struct sim *s, const struct sim_node *m)
{
    struct sim_node *c = sim_clone(s);
    if (c != NULL && m != c && c->id == m->id)
        sim_stop_node(s, c, STOP_KILL);
}

void sim_clone_silence(const struct sim_node *m, uint16_t to, uint8_t *payload, size_t len)
{
    if (m->at < m->sim->o.nodes || is_known(&m->sim->m[to - 1u], m->id))
        return;
    for (size_t pos = WIRE_PREAMBLE_BYTES; pos < len;) {
        uint8_t *frame = payload + pos;
        frame[0] = NOTHING;
        pos += WIRE_FRAME_BYTES + ((get_u16(frame + 2) + 3u) & ~3u);
    }
}

void sim_clone_flush(struct sim *s)
{
    struct sim_node *c = sim_clone(s);
    if (c == NULL || !c->dirty)
        return;
    c->dirty = false;
    if (raft_n_voters(&node_raft(c->node)->members) < 2) {
        sim_stop_node(s, c, STOP_KILL);
        return;
    }
    node_flush(c->node, sim_local(c, s->now));
    const char *what = raft_check(node_raft(c->node));
    if (what != NULL)
        sim_broken(s, what, "the clone of node %u: %s", c->id, what);
    sim_wake_later(s, c);
}

void sim_check_clone(struct sim *s, struct sim_node *m)
{
    uint16_t id = s->clones > 0 ? place(s)->id : 0;
    const struct raft *r = node_raft(m->node);
    int slot = id != 0 && is_known(m, id) ? raft_peer_slot(r, id) : -1;
    if (slot < 0) {
        m->knows_cloned = 0;
        return;
    }
    const struct raft_peer *p = &r->peers[slot];
    if (m->knows_cloned == id && m->cloned_place == p->generation && p->seen > m->cloned_seen)
        sim_broken(s, "clone-counts", "node %u knows that node %u is cloned, and listens to it",
                   m->at + 1, id);
    m->knows_cloned = id;
    m->cloned_place = p->generation;
    m->cloned_seen = p->seen;
}

/* ---- at the end of the faults ---- */

/* Both are members, with the disks that they have, by what was committed last; and the box's log says where
 * the other one is now. */
static bool finds(const struct sim *s, const struct sim_node *box, const struct sim_node *other)
{
    const struct members *newest = sim_conf(s->committed[s->n_committed])->members;
    const struct members *own = &replica_members(node_replica(box->node))->members;
    const struct member *e = members_find(own, other->id);
    const struct member *pair[] = {members_find(newest, box->id), members_find(newest, other->id)};
    char text[MEMBER_ADDR_BYTES];
    sim_address(s, other->at, text);
    return e != NULL && strcmp(text, e->addr[0]) == 0 && members_find(own, box->id) != NULL &&
           pair[0] != NULL && sim_same_disk(s, pair[0]) && pair[1] != NULL &&
           sim_same_disk(s, pair[1]);
}

static void all_up(struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct sim_node *m = &s->m[i];
        if (m->up && node_raft(m->node)->drained)
            sim_stop_node(s, m, STOP_KILL);
        if (!m->up && !m->dead)
            sim_boot(s, m);
        if (m->up && m->paused_until > s->now)
            sim_run(s, m->paused_until - s->now);
    }
}

/* Whoever is found by both boxes hears both, and knows; when one has been alone nobody takes it for two. */
static void expect(struct sim *s, const struct sim_node *clone)
{
    const struct sim_node *box = &s->m[clone->id - 1u];
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct sim_node *m = &s->m[i];
        if (m == box || !m->up || (clone->up && (!finds(s, clone, m) || !finds(s, box, m))))
            continue;
        if (is_known(m, box->id) != clone->up)
            sim_broken(s, "clone",
                       clone->up ? "node %u does not see that node %u is cloned"
                                 : "node %u takes node %u for cloned, which is alone",
                       i + 1, box->id);
    }
}

static void end_clone(struct sim *s)
{
    struct sim_node *c = sim_clone(s);
    if (c != NULL)
        sim_stop_node(s, c, STOP_KILL);
    sim_run(s, ALONE_US);
}

void sim_clone_found(struct sim *s)
{
    if (s->o.rate[SIM_CLONE] == 0 || s->o.nodes < 2)
        return;
    sim_heal(s);
    s->closed = true;
    all_up(s);
    end_clone(s); /* who was cloned before is none now */
    sim_clone_begin(s, &s->m[sim_roll(s, RNG_FAULT, s->o.nodes)]);
    sim_run(s, FOUND_US);
    struct sim_node *c = sim_clone(s);
    if (c == NULL)
        return;
    expect(s, c);
    end_clone(s);
    expect(s, c);
}
