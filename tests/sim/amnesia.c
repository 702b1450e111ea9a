/* amnesia.c: a follower's disk becomes that of an earlier moment, and forgets entries that the node
 * acknowledged: an older copy is put in place, or what was confirmed was never kept.
 *
 * What is promised then, and no more (the fault model in tests/README.md): the leader of the term in
 * which the node acknowledged them is there, and speaks to the node before anybody counts a vote of
 * it. So the copy is of the same term and vote; it is put back while that leader leads and knows of
 * the acknowledgement; and no vote, nor request for one, of a process that was not told leaves the
 * node until it holds all of that again. Nodes that have lost something and nodes with rotten disks
 * are a minority together.
 *
 * What was lost matters most when no other follower has it, and the leader dies before it could send
 * it again. So others are often cut off before, and the leader often dies as soon as it has told.
 */

#include "raftd/base/bytes.h"
#include "tests/sim/impl.h"

enum { NOTHING = 0x3F }; /* type of a frame that nobody knows, and that is skipped */

bool sim_is_unsound(const struct sim_node *m)
{
    return m->rot || m->wiped || m->marked || m->lost != NULL;
}

unsigned sim_unsound(const struct sim *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->o.nodes; i++)
        n += sim_is_unsound(&s->m[i]);
    return n;
}

bool sim_trusted(const struct sim *s, const struct sim_node *m)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *l = &s->m[i];
        if (l == m || !l->up || node_raft(l->node)->role != RAFT_LEADER)
            continue;
        const struct raft *r = node_raft(l->node);
        if (r->peers[raft_peer_slot(r, (uint16_t)(m->at + 1))].boot == m->lost_boot)
            return true;
    }
    return false;
}

/* Not by hand: the rest of the world takes part. */
static bool by_chance(const struct sim *s)
{
    return s->o.rate[SIM_AMNESIA] != 0 && !s->calm;
}

static void keep_image(struct sim_node *m)
{
    if (m->image != NULL)
        memdisk_free(m->image);
    m->image = memdisk_clone(m->disk);
    memdisk_limit(m->image, 0);
    memdisk_power_cut(m->image, MEMDISK_KEEP_NONE);
    m->image_hard = m->hard;
    m->image_snap = m->snap;
}

/* Index up to which both logs are the same. */
static uint64_t common(struct entry *a, struct entry *b)
{
    uint64_t index = a->index < b->index ? a->index : b->index;
    a = sim_at(a, index);
    b = sim_at(b, index);
    while (a != b) {
        a = a->prev;
        b = b->prev;
    }
    return a->index;
}

/* The leader of the node's term, NULL if there is none, or if it is the node. */
static struct sim_node *leader_of(struct sim *s, const struct sim_node *m)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct sim_node *l = &s->m[i];
        if (l != m && l->up && node_raft(l->node)->role == RAFT_LEADER &&
            node_raft(l->node)->term == m->hard.term)
            return l;
    }
    return NULL;
}

/* There is a leader that will tell. */
static bool known(struct sim *s, const struct sim_node *m, uint64_t kept)
{
    const struct sim_node *l = leader_of(s, m);
    if (l == NULL)
        return false;
    const struct raft *r = node_raft(l->node);
    const struct raft_peer *p = &r->peers[raft_peer_slot(r, (uint16_t)(m->at + 1))];
    return p->boot == node_raft(m->node)->cfg.boot && p->match_index > kept;
}

/* The leader needs this follower's copies for a while: all that a majority can do without are cut
 * off. */
static void make_needed(struct sim *s, const struct sim_node *m)
{
    const struct sim_node *l = leader_of(s, m);
    unsigned left = s->o.nodes - sim_majority(s);
    if (l == NULL)
        return;
    sim_net_heal(s);
    for (unsigned i = 0; i < s->o.nodes && left > 0; i++) {
        if (&s->m[i] == m || &s->m[i] == l)
            continue;
        for (unsigned j = 0; j < s->o.nodes; j++)
            s->cut[i][j] = s->cut[j][i] = i != j;
        left--;
    }
    struct sim_event *e = sim_post(s, s->now + sim_between(s, RNG_FAULT, 1, 15000000), EV_HEAL, 0);
    e->extra = s->net_generation;
}

/* The first time it only makes the copy. */
bool sim_forget(struct sim *s, struct sim_node *m)
{
    if (!m->up || sim_is_unsound(m) || m->full || m->n_maybe > 0)
        return false; /* with room, and no more on the disk than is durable */
    if (m->image == NULL || m->image_hard.term != m->hard.term ||
        m->image_hard.vote != m->hard.vote) {
        keep_image(m);
        if (by_chance(s) && sim_roll(s, RNG_FAULT, 2) == 0) {
            make_needed(s, m);
            (void)sim_post(s, s->now + sim_between(s, RNG_FAULT, 1, 4000000), EV_FORGET, m->at);
        }
        return false;
    }
    struct entry *tip = sim_tip(&m->hard, m->snap);
    uint64_t kept = common(sim_tip(&m->image_hard, m->image_snap), tip);
    if (sim_unsound(s) >= (s->o.nodes - 1) / 2 || !known(s, m, kept) || sim_trusted(s, m))
        return false;
    m->lost_boot = node_raft(m->node)->cfg.boot;
    sim_stop_node(s, m, STOP_KILL);
    memdisk_free(m->disk);
    m->disk = m->image;
    m->image = NULL;
    m->lost = tip;
    m->hard = m->image_hard;
    m->snap = m->image_snap;
    sim_disk_heal(s, m);
    return true;
}

/* It holds, durable and verified, what it had, or what has taken its place. */
static bool whole(const struct sim_node *m)
{
    const struct raft *r = node_raft(m->node);
    uint64_t sure = r->durable_index < r->verified ? r->durable_index : r->verified;
    uint64_t term = raft_term_at(r, sure);
    return term > m->lost->term || (term == m->lost->term && sure >= m->lost->index);
}

void sim_check_lost(struct sim *s, struct sim_node *m)
{
    if (m->marked)
        sim_check_damaged(s, m);
    if (m->lost == NULL || m->marked)
        return;
    bool doubt = node_raft(m->node)->doubt_index != 0;
    struct sim_node *l = leader_of(s, m);
    bool chance = doubt && !m->doubted && l != NULL && by_chance(s);
    if (chance && sim_roll(s, RNG_FAULT, 2) == 0) {
        struct sim_event *e = sim_post(s, s->now, EV_FORGET, l->at);
        e->extra = 1;
    }
    m->doubted |= doubt;
    if (!whole(m))
        return;
    if (node_raft(m->node)->doubt_index != 0)
        sim_broken(s, "doubt-stays", "node %u is in doubt, though it has all that it had",
                   m->at + 1);
    s->t.doubts += m->doubted;
    m->doubted = false;
    m->lost = NULL;
}

void sim_silence(const struct sim_node *m, uint8_t *payload, size_t len)
{
    if (m->lost == NULL || m->marked || node_raft(m->node)->doubt_index != 0)
        return;
    for (size_t pos = WIRE_PREAMBLE_BYTES; pos < len;) {
        uint8_t *frame = payload + pos;
        if (frame[0] == WIRE_VOTE_REQ || frame[0] == WIRE_VOTE_RSP)
            frame[0] = NOTHING;
        pos += WIRE_FRAME_BYTES + ((get_u16(frame + 2) + 3u) & ~3u);
    }
}

struct entry *sim_relied_on(const struct sim *s, const struct raft *leader, unsigned node)
{
    const struct sim_node *m = &s->m[node];
    int slot = raft_peer_slot(leader, (uint16_t)(node + 1));
    struct entry *had = m->lost != NULL ? m->lost : m->gone;
    bool former = had != NULL && slot >= 0 && leader->peers[slot].boot == m->lost_boot;
    return former ? had : sim_tip(&m->hard, m->snap);
}
