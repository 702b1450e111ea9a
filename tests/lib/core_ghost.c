/* core_ghost.c: the properties of figure 3.2 and their supports, checked against all that ever
 * happened in a run, crashes included. */
#include "tests/lib/core_cluster.h"

#include <string.h>

#define LL(x) (unsigned long long)(x)

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            cl_fail(c, i, __VA_ARGS__);                                                            \
    } while (0)

/* A leader made entries first..last: they get their identities. */
void ghost_created(struct cl *c, unsigned i, uint64_t first, uint64_t last)
{
    struct cl_node *node = &c->nodes[i];
    REQUIRE(last <= CL_LOG, "the test's log is full");
    for (uint64_t index = first; index <= last; index++) {
        uint32_t id = ++c->ghost.n_created;
        REQUIRE(id < CL_IDS, "the test has too many entries");
        node->log[index] = (struct cl_entry){.term = node->r.term, .id = id};
        c->ghost.created[id].index = index;
        c->ghost.created[id].term = node->r.term;
        c->ghost.created[id].prev_id = index == 1 ? 0 : node->log[index - 1].id;
        if (node->r.members.index != index)
            continue;
        REQUIRE(c->ghost.n_members + 1 < CL_CONFS, "the test has too many configurations");
        c->ghost.created[id].conf = ++c->ghost.n_members;
        c->ghost.members[c->ghost.n_members] = node->r.members;
    }
}

struct raft_members ghost_members(const struct cl *c, unsigned i, const struct cl_entry *log,
                                  uint64_t last)
{
    const struct raft_members none = {0};
    for (; last > 0; last--) {
        unsigned conf = c->ghost.created[log[last].id].conf;
        if (conf != 0)
            return c->ghost.members[conf];
    }
    return c->nodes[i].first ? c->ghost.members[0] : none;
}

struct raft_members ghost_committed_members(const struct cl *c, uint64_t index)
{
    for (; index > 0; index--) {
        unsigned conf = c->ghost.created[c->ghost.committed[index]].conf;
        if (conf != 0)
            return c->ghost.members[conf];
    }
    return c->ghost.members[0];
}

/* The members of the node are the newest ones in its log. */
static void check_members(const struct cl *c, unsigned i)
{
    const struct cl_node *node = &c->nodes[i];
    struct raft_members m = ghost_members(c, i, node->log, node->r.trail.last);
    bool same = m.n == node->r.members.n && m.index == node->r.members.index;
    for (unsigned k = 0; k < m.n; k++)
        same = same && m.m[k].id == node->r.members.m[k].id &&
               m.m[k].standing == node->r.members.m[k].standing;
    REQUIRE(same, "other members are in force than those of entry %llu",
            (unsigned long long)m.index);
}

/* The identity of an entry that a test put on a disk before the run. */
uint32_t ghost_preset(struct cl *c, uint64_t index, uint64_t term, uint32_t prev_id)
{
    uint32_t id = 1;
    for (; id <= c->ghost.n_created; id++) {
        if (c->ghost.created[id].index == index && c->ghost.created[id].term == term)
            break;
    }
    if (id > c->ghost.n_created) {
        c->ghost.n_created = id;
        c->ghost.created[id].index = index;
        c->ghost.created[id].term = term;
        c->ghost.created[id].prev_id = prev_id;
    }
    if (c->ghost.created[id].prev_id != prev_id)
        cl_fail(c, 0, "the test's logs do not match");
    return id;
}

/* Log matching: entries of a packet that the node now holds (all or none) are the same ones, and
 * follow what they followed at the leader. By induction so do all logs. */
void ghost_appended(struct cl *c, unsigned i, const struct cl_packet *p)
{
    const struct cl_node *node = &c->nodes[i];
    for (unsigned k = 0; k < p->n; k++) {
        uint64_t index = p->prev_index + 1 + k;
        uint32_t id = p->entries[k].id;
        REQUIRE(index <= node->r.trail.last && node->log[index].id == id,
                "entry %llu differs from the leader's", (unsigned long long)index);
        REQUIRE(c->ghost.created[id].prev_id == (index == 1 ? 0 : node->log[index - 1].id),
                "entry %llu follows another entry", (unsigned long long)index);
    }
}

static void committed(struct cl *c, unsigned i, uint64_t index)
{
    const struct cl_node *node = &c->nodes[i];
    struct cl_ghost *g = &c->ghost;
    if (index > g->n_committed) {
        g->n_committed = index;
        g->committed[index] = node->log[index].id;
        g->commit_term[index] = node->r.term;
    }
    REQUIRE(g->committed[index] == node->log[index].id, "entry %llu committed twice, differently",
            (unsigned long long)index);
}

bool ghost_trusts_lost(const struct cl *c, const struct raft_peer *p)
{
    return p->boot != 0 && p->boot / CL_BOOTS <= c->nodes[p->id - 1].had_boots;
}

/* The disk of node k that leader i may count on: what k had when it acknowledged, as long as the
 * process that did is the last one the leader knows. */
static const struct cl_disk *relied_on(const struct cl *c, unsigned i, unsigned k)
{
    const struct raft *r = &c->nodes[i].r;
    const struct raft_peer *p = &r->peers[raft_peer_slot(r, (uint16_t)(k + 1))];
    return ghost_trusts_lost(c, p) ? &c->nodes[k].had : &c->nodes[k].disk;
}

static bool counts(const struct cl_node *leader, const struct cl_disk *disk, uint64_t index)
{
    return disk->last >= index && disk->log[index].id == leader->log[index].id;
}

static bool on_majority(const struct cl *c, unsigned i, const struct raft_members *m,
                        uint64_t index)
{
    unsigned copies = 0;
    for (unsigned k = 0; k < c->n; k++) {
        if (raft_is_voter(m, (uint16_t)(k + 1)))
            copies += counts(&c->nodes[i], k == i ? &c->nodes[k].disk : relied_on(c, i, k), index);
    }
    return copies > raft_n_voters(m) / 2;
}

/* Section 3.6.2: the leader's newest committed entry is of its term and on a majority of disks. A step that
 * ends with a promotion commits by the members before, and by those after. */
static void leader_committed(struct cl *c, unsigned i, bool promoted)
{
    const struct raft *r = &c->nodes[i].r;
    uint64_t index = r->commit_index;
    REQUIRE(raft_term_at(r, index) == r->term, "counted copies of an older term");
    REQUIRE(on_majority(c, i, &r->members, index) ||
                (promoted && on_majority(c, i, &r->members_before, index)),
            "committed entry %llu is not on a majority of disks", (unsigned long long)index);
}

static void new_leader(struct cl *c, unsigned i)
{
    const struct cl_node *node = &c->nodes[i];
    struct cl_ghost *g = &c->ghost;
    REQUIRE(g->leader_of[node->r.term] == 0, "second leader of term %llu",
            (unsigned long long)node->r.term);
    g->leader_of[node->r.term] = node->r.cfg.id;
    /* Leader completeness, by the term in which the entry was committed. */
    for (uint64_t index = 1; index <= g->n_committed; index++) {
        if (g->commit_term[index] < node->r.term)
            REQUIRE(node->r.trail.last >= index && node->log[index].id == g->committed[index],
                    "leader without committed entry %llu", (unsigned long long)index);
    }
}

static void check_match(struct cl *c, unsigned i)
{
    const struct cl_node *node = &c->nodes[i];
    for (unsigned k = 0; k < node->r.n_peers; k++) {
        const struct raft_peer *p = &node->r.peers[k];
        if (!p->served || p->incarnation != c->nodes[p->id - 1].incarnation)
            continue;
        const struct cl_disk *disk = relied_on(c, i, p->id - 1u);
        if (disk->term > node->r.term || p->match_index == 0)
            continue; /* may have been truncated since, by a newer leader */
        REQUIRE(counts(node, disk, p->match_index), "match %llu of node %u is not on its disk",
                (unsigned long long)p->match_index, p->id);
    }
}

void ghost_step(struct cl *c, unsigned i, const struct raft *before, const struct raft_edit *edit)
{
    const struct raft *r = &c->nodes[i].r;
    const char *broken = raft_check(r);
    REQUIRE(broken == NULL, "raft_check: %s", broken);
    REQUIRE(r->term < CL_TERMS, "the test has too many terms");
    REQUIRE(r->term >= before->term, "the term fell");
    REQUIRE(r->commit_index >= before->commit_index, "the commit index fell");
    REQUIRE(r->term != before->term || before->vote == 0 || r->vote == before->vote,
            "the vote changed in term %llu", (unsigned long long)r->term);
    REQUIRE(r->term != before->term || r->verified >= before->verified, "verified fell");
    REQUIRE(!edit->truncate || before->role != RAFT_LEADER || r->term > before->term,
            "a leader truncated its log");
    REQUIRE(!edit->truncate || edit->truncate_to >= before->commit_index,
            "committed entries were truncated");
    if (edit->members || edit->truncate || edit->reset)
        check_members(c, i);
    if (r->role == RAFT_LEADER && (before->role != RAFT_LEADER || before->term != r->term))
        new_leader(c, i);
    for (uint64_t index = before->commit_index + 1; index <= r->commit_index; index++)
        committed(c, i, index);
    if (r->role == RAFT_LEADER) {
        if (r->commit_index > before->commit_index)
            leader_committed(c, i, edit->promoted != 0);
        check_match(c, i);
    }
}

/* A message leaves the node: nothing in it may promise more than what the disk holds. */
void ghost_sent(struct cl *c, unsigned i, const struct raft_msg *m)
{
    const struct cl_disk *disk = &c->nodes[i].disk;
    struct cl_ghost *g = &c->ghost;
    REQUIRE(m->from == i + 1 && m->to != m->from, "message to itself or of another");
    REQUIRE(m->term <= disk->term, "a message of term %llu left, on disk is %llu",
            (unsigned long long)m->term, (unsigned long long)disk->term);
    switch (m->type) {
    case RAFT_MSG_VOTE_RSP:
        if (!m->vote_rsp.pre && m->vote_rsp.granted)
            REQUIRE(g->vote_of[i][m->vote_rsp.vote_term] == m->to, "a vote left unwritten");
        break;
    case RAFT_MSG_VOTE_REQ:
        if (!m->vote_req.pre)
            REQUIRE(g->vote_of[i][m->vote_req.vote_term] == m->from, "own vote is unwritten");
        break;
    case RAFT_MSG_LEAD:
        REQUIRE(m->term > g->round_term[i] || m->lead.round > g->round[i], "a round was reused");
        g->round_term[i] = m->term;
        g->round[i] = m->lead.round;
        break;
    case RAFT_MSG_ACK: {
        const struct cl_node *leader = &c->nodes[m->to - 1];
        uint64_t durable = m->ack.durable;
        if (durable == 0 || !leader->up || leader->r.role != RAFT_LEADER ||
            leader->r.term != m->term)
            break;
        REQUIRE(disk->last >= durable && leader->r.trail.last >= durable &&
                    disk->log[durable].id == leader->log[durable].id,
                "acknowledged %llu, which is not on disk", (unsigned long long)durable);
        break;
    }
    default: break;
    }
}

/* The disk has changed. */
void ghost_disk(struct cl *c, unsigned i)
{
    const struct cl_disk *disk = &c->nodes[i].disk;
    for (uint64_t index = 1; index <= disk->commit; index++)
        REQUIRE(index <= c->ghost.n_committed && disk->log[index].id == c->ghost.committed[index],
                "entry %llu on disk is taken for committed", (unsigned long long)index);
    uint16_t *vote = &c->ghost.vote_of[i][disk->term];
    REQUIRE(*vote == 0 || *vote == disk->vote, "voted twice in term %llu",
            (unsigned long long)disk->term);
    *vote = disk->vote;
}

void ghost_read(struct cl *c, unsigned i, const struct raft_ready *rd)
{
    const struct cl_node *node = &c->nodes[i];
    uint32_t number = (uint32_t)rd->read_req;
    REQUIRE(number < node->read_next, "a read was answered before it was asked for");
    REQUIRE(rd->read_index >= node->read_floor[number % CL_READS],
            "read %u at index %llu misses committed entry %llu", number,
            (unsigned long long)rd->read_index,
            (unsigned long long)node->read_floor[number % CL_READS]);
    REQUIRE(rd->read_index <= c->ghost.n_committed, "read at an index that is not committed");
}

/* ------------------------------------------------------------------------- what befalls disks */

void cl_preset(struct cl *c, unsigned i, uint64_t term, uint16_t vote, const uint64_t *terms,
               unsigned n)
{
    struct cl_disk *d = &c->nodes[i].disk;
    d->term = term;
    d->vote = vote;
    d->last = n;
    for (unsigned k = 1; k <= n; k++) {
        uint32_t prev_id = k == 1 ? 0 : d->log[k - 1].id;
        d->log[k].term = terms[k - 1];
        d->log[k].id = ghost_preset(c, k, terms[k - 1], prev_id);
    }
    ghost_disk(c, i);
}

static void lose(struct cl_node *node, uint64_t last)
{
    struct cl_disk *d = &node->disk;
    node->had = *d;
    node->had_boots = node->boots;
    d->last = last < d->last ? last : d->last;
    d->commit = last < d->commit ? last : d->commit;
}

void cl_lose(struct cl *c, unsigned i, uint64_t last)
{
    struct cl_node *node = &c->nodes[i];
    if (last >= node->disk.last || last < node->disk.base)
        return;
    cl_say(c, i, "loses", "%llu..%llu", LL(last + 1), LL(node->disk.last));
    lose(node, last);
}

void cl_damage(struct cl *c, unsigned i, uint64_t last, uint64_t term)
{
    struct cl_disk *d = &c->nodes[i].disk;
    cl_say(c, i, "damaged", "term=%llu last=%llu", LL(term), LL(last));
    lose(&c->nodes[i], last < d->base ? 0 : last);
    c->nodes[i].damaged = true;
    d->base = last < d->base ? 0 : d->base;
    if (term < d->log[d->last].term)
        term = d->log[d->last].term;
    for (uint64_t t = term + 1; t <= d->term; t++)
        c->ghost.vote_of[i][t] = 0; /* forgotten */
    d->vote = term < d->term ? c->ghost.vote_of[i][term] : d->vote;
    d->term = term;
}

void cl_wipe(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    memset(&node->disk, 0, sizeof node->disk);
    memset(c->ghost.vote_of[i], 0, sizeof c->ghost.vote_of[i]);
    node->incarnation++;
    node->first = false;
}
