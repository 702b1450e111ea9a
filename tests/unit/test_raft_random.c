// LINK: @core tests/lib/core_cluster.c tests/lib/core_ghost.c tests/lib/core_words.c HEAVY
/* test_raft_random.c: seeded random lives of clusters.
 *
 * Each seed draws a cluster, the kinds of faults that exist in its world, and then a life under
 * these faults; all safety properties are checked after each step. Then the world is healed, and
 * the cluster must agree, answer all and come to rest.
 *
 *     test_raft_random            seeds 1..RUNS
 *     test_raft_random SEED       this one, TRACE=1 in the environment shows every event
 *     test_raft_random FROM TO
 */
#include "tests/lib/core_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum {
    RUNS = 600,
    LIFE = 40, /* election timeouts of a life under faults */
    RECOVER =
        100,    /* likewise, in which a healed cluster must have agreed: timers go by slow disks */
    QUIET = 20, /* election timeouts of rest that follow */
    ACTIONS = 400, /* in a life */
};

struct world { /* chances per mille of each action */
    unsigned crash, restart, cut, heal, stall, resume, late, fill, room, propose, read, replay;
    unsigned compact, install, transfer, damage, change, wipe;
    bool one_way;
};

static void draw_world(struct cl *c, struct world *w)
{
    static const unsigned drops[] = {0, 0, 20, 100, 300};
    raft_time t = c->cfg.election_timeout;
    *w = (struct world){
        .propose = 300, .read = 200, .restart = 100, .heal = 60, .resume = 100, .room = 30};
    c->drop = drops[cl_random(c) % 5];
    c->repeat = cl_chance(c, 500) ? 0 : (unsigned)cl_between(c, 10, 300);
    c->delay_min = cl_between(c, 50, 2000);
    c->delay_max = c->delay_min + (cl_chance(c, 500) ? 500 : cl_between(c, 0, t));
    c->disk_min = cl_between(c, 50, 2000);
    c->disk_max = c->disk_min + (cl_chance(c, 500) ? 1000 : cl_between(c, 0, t / 2));
    if (cl_chance(c, 250)) /* slow for good: writes take longer than election timeouts */
        for (unsigned i = 0; i < c->n; i++)
            c->disk_us[i] = cl_between(c, 0, 2 * t);
    c->lazy_ready = cl_chance(c, 500) ? 0 : 300;
    c->short_batch = cl_chance(c, 500) ? 0 : 300;
    c->batch_max = cl_chance(c, 500) ? 0 : (unsigned)cl_between(c, 1, 5);
    c->lead_with_data = cl_chance(c, 500) ? 1000 : 200;
    w->crash = cl_chance(c, 300) ? 0 : (unsigned)cl_between(c, 5, 60);
    w->cut = cl_chance(c, 300) ? 0 : (unsigned)cl_between(c, 5, 100);
    w->one_way = cl_chance(c, 500);
    w->stall = cl_chance(c, 500) ? 0 : (unsigned)cl_between(c, 5, 50);
    w->late = cl_chance(c, 600) ? 0 : 30;
    w->fill = cl_chance(c, 600) ? 0 : (unsigned)cl_between(c, 5, 50);
    c->refuse = cl_chance(c, 800) ? 0 : (unsigned)cl_between(c, 10, 300);
    w->compact = cl_chance(c, 300) ? 0 : (unsigned)cl_between(c, 5, 200);
    w->install = cl_chance(c, 300) ? 100 : 400;
    w->transfer = cl_chance(c, 300) ? 0 : (unsigned)cl_between(c, 5, 150);
    w->replay = cl_chance(c, 300) ? 0 : (unsigned)cl_between(c, 10, 300);
    w->damage = cl_chance(c, 500) ? 0 : (unsigned)cl_between(c, 10, 500);
    w->change = w->damage != 0 || cl_chance(c, 300) ? 0 : (unsigned)cl_between(c, 20, 400);
    w->wipe = cl_chance(c, 500) ? 0 : 200;
}

static void cut_some(struct cl *c, bool one_way)
{
    if (cl_chance(c, 500)) { /* two sides */
        uint64_t side = cl_random(c);
        for (unsigned i = 0; i < c->n; i++) {
            for (unsigned k = 0; k < c->n; k++) {
                if ((side >> i & 1) != (side >> k & 1) && (!one_way || (side >> i & 1)))
                    c->links[i][k] = CL_CUT;
            }
        }
        return;
    }
    unsigned i = (unsigned)(cl_random(c) % c->n), k = (unsigned)(cl_random(c) % c->n);
    c->links[i][k] = CL_CUT;
    if (!one_way)
        c->links[k][i] = CL_CUT;
}

static void heal_links(struct cl *c)
{
    memset(c->links, 0, sizeof c->links);
}

static void resume_disk(struct cl *c, unsigned i)
{
    c->nodes[i].stalled = false;
    if (c->nodes[i].batch.done_at < c->now)
        c->nodes[i].batch.done_at = c->now;
}

/* A peer that needs one gets a snapshot of its leader's, perhaps one of long ago, and others now and then
 * one that they do not need. */
static void snapshot(struct cl *c, unsigned i)
{
    const struct cl_node *node = &c->nodes[i];
    const struct raft *l = &c->nodes[node->r.leader == 0 ? i : node->r.leader - 1u].r;
    int slot = raft_peer_slot(l, node->r.cfg.id);
    if (node->installs != 0) {
        cl_install_end(c, i, cl_chance(c, 800));
    } else if (l->trail.base_index > 0 && slot >= 0 &&
               (l->peers[slot].state == RAFT_PEER_SNAPSHOT || cl_chance(c, 50))) {
        cl_install_begin(c, i, cl_between(c, l->trail.base_index, l->commit_index));
    }
}

/* A minority at once: what they forgot must not be missed. */
static void damage(struct cl *c, unsigned i)
{
    const struct cl_disk *d = &c->nodes[i].disk;
    unsigned n = 0;
    for (unsigned k = 0; k < c->n; k++) {
        const struct raft *r = &c->nodes[k].r;
        int slot = raft_peer_slot(r, (uint16_t)(i + 1));
        if (c->nodes[k].up && slot >= 0 && ghost_trusts_lost(c, &r->peers[slot]))
            return; /* the last time is not yet over */
        n += k != i && c->nodes[k].damaged;
    }
    if (n >= (c->n - 1) / 2)
        return;
    uint64_t last = cl_chance(c, 100) ? 0 : cl_between(c, d->last - d->last % 20, d->last);
    cl_damage(c, i, last, cl_between(c, d->term > 4 ? d->term - 4 : 0, d->term));
}

/* Asks node i for other members: a node is added, removed, replaced, promoted or demoted. */
static void change(struct cl *c, unsigned i)
{
    struct raft_members m = c->nodes[i].r.members;
    unsigned k = (unsigned)(cl_random(c) % c->n), at = 0;
    enum raft_standing learner = cl_chance(c, 600) ? RAFT_JOINING : RAFT_LEARNER;
    const struct raft_member fresh = {.id = (uint16_t)(k + 1),
                                      .standing = (uint8_t)learner,
                                      .priority = 1,
                                      .incarnation = c->nodes[k].incarnation};
    while (at < m.n && m.m[at].id != fresh.id)
        at++;
    if (at == m.n)
        m.n++;
    if (at + 1 == m.n || m.m[at].incarnation != fresh.incarnation)
        m.m[at] = fresh;
    else if (cl_chance(c, 400))
        m.m[at] = m.m[--m.n];
    else if (cl_chance(c, 300))
        m.m[at].priority = !m.m[at].priority;
    else
        m.m[at].standing = m.m[at].standing == RAFT_VOTER ? (uint8_t)learner : RAFT_VOTER;
    bool forced = raft_members_refusal(&c->nodes[i].r, c->now, &m, false) ==
                  RAFT_REFUSED_NO_MAJORITY;
    cl_change(c, i, &m, forced && cl_chance(c, 300));
}

static bool is_voter_of(const struct raft_members *m, const struct cl_node *node, unsigned i)
{
    return raft_is_voter(m, (uint16_t)(i + 1)) &&
           raft_is_member(m, (uint16_t)(i + 1), node->incarnation);
}

/* No node has ever heard, or will find on its disk, that the present directory of node i is a voter. */
static bool counts_nowhere(const struct cl *c, unsigned i)
{
    for (unsigned k = 0; k < c->n; k++) {
        const struct cl_node *node = &c->nodes[k];
        struct raft_members disk = ghost_members(c, k, node->disk.log, node->disk.last);
        if (is_voter_of(&disk, &c->nodes[i], i) || is_voter_of(&node->r.members, &c->nodes[i], i) ||
            is_voter_of(&node->r.members_before, &c->nodes[i], i))
            return false;
    }
    return true;
}

static void act(struct cl *c, const struct world *w)
{
    unsigned i = (unsigned)(cl_random(c) % c->n);
    struct cl_node *node = &c->nodes[i];
    int leader = cl_leader(c);
    if (node->up && cl_chance(c, w->crash))
        cl_crash(c, i, cl_chance(c, 500));
    else if (!node->up && cl_chance(c, w->damage))
        damage(c, i);
    else if (!node->up && cl_chance(c, w->wipe) && counts_nowhere(c, i))
        cl_wipe(c, i);
    else if (!node->up && cl_chance(c, w->restart))
        cl_start(c, i);
    if (cl_chance(c, w->change) && c->nodes[leader >= 0 ? (unsigned)leader : i].up)
        change(c, leader >= 0 ? (unsigned)leader : i);
    if (cl_chance(c, w->cut))
        cut_some(c, w->one_way);
    if (cl_chance(c, w->heal))
        heal_links(c);
    if (cl_chance(c, w->stall))
        node->stalled = true;
    else if (node->stalled && cl_chance(c, w->resume))
        resume_disk(c, i);
    if (cl_chance(c, w->fill))
        node->no_room = (node->full = true) && cl_chance(c, 300);
    else if (cl_chance(c, w->room))
        node->full = node->no_room = false;
    if (cl_chance(c, w->late))
        node->tick_delay = cl_chance(c, 500) ? 0 : cl_between(c, 0, c->cfg.election_timeout);
    unsigned slot = (unsigned)(cl_random(c) % c->n);
    if (node->up && slot < node->r.n_peers && node->r.peers[slot].id != 0 && cl_chance(c, 50))
        raft_pto(&node->r, slot, cl_between(c, 0, c->cfg.election_timeout));
    if (cl_chance(c, w->propose))
        cl_propose(c, leader >= 0 && cl_chance(c, 700) ? (unsigned)leader : i,
                   (unsigned)cl_between(c, 1, cl_chance(c, 50) ? 40 : 3));
    if (cl_chance(c, w->compact))
        cl_compact(c, i, node->r.trail.base_index + cl_between(c, 1, 20));
    if (node->up && cl_chance(c, w->install))
        snapshot(c, i);
    if (cl_chance(c, w->transfer))
        cl_transfer(c, i, (uint16_t)(cl_random(c) % (c->n + 1)), cl_chance(c, 30));
    if (cl_chance(c, w->read))
        cl_read(c, i);
    if (cl_chance(c, w->replay)) /* the network says so, and mostly lies */
        cl_closed(c, i, (uint16_t)(1 + cl_random(c) % c->n));
    if (cl_chance(c, w->replay) && c->n > 1)
        cl_replay(c, i, (unsigned)(cl_random(c) % c->n), (unsigned)(cl_random(c) % CL_KINDS));
}

static bool is_member(const struct cl *c, int leader, unsigned i)
{
    return raft_is_member(&c->nodes[leader].r.members, (uint16_t)(i + 1), c->nodes[i].incarnation);
}

static bool settled(const struct cl *c, uint64_t commit)
{
    int leader = cl_leader(c);
    if (leader < 0)
        return false;
    for (unsigned i = 0; i < c->n; i++) {
        const struct cl_node *node = &c->nodes[i];
        if (!is_member(c, leader, i))
            continue;
        if (raft_in_doubt(&node->r) || node->r.leader != leader + 1 ||
            node->r.commit_index < commit ||
            node->r.commit_index != c->nodes[leader].r.trail.last ||
            node->r.durable_index != node->r.trail.last || node->reads_done + 1 != node->read_next)
            return false;
    }
    return true;
}

/* A healed cluster elects, commits something new everywhere, answers all reads, and then rests. */
static void recover(struct cl *c)
{
    raft_time t = c->cfg.election_timeout;
    c->drop = c->repeat = c->refuse = 0;
    c->delay_min = c->delay_max = c->disk_min = c->disk_max = 1000;
    memset(c->disk_us, 0, sizeof c->disk_us);
    heal_links(c);
    for (unsigned i = 0; i < c->n; i++) {
        c->nodes[i].tick_delay = 0;
        c->nodes[i].full = c->nodes[i].no_room = false;
        if (c->nodes[i].up && c->nodes[i].r.drained)
            cl_crash(c, i, true);
        if (!c->nodes[i].up)
            cl_start(c, i);
        resume_disk(c, i);
    }
    raft_time end = c->now + RECOVER * t;
    uint64_t committed = c->ghost.n_committed;
    for (unsigned i = 0; i < c->n; i++)
        cl_read(c, i);
    while (c->now < end && !settled(c, committed + 1)) {
        for (unsigned i = 0; i < c->n; i++)
            snapshot(c, i);
        /* An old leader may still believe in itself; what it takes then is lost. */
        if (cl_leader(c) >= 0 && c->ghost.n_committed == committed)
            cl_propose(c, (unsigned)cl_leader(c), 1);
        cl_run_until(c, c->now + t / 2);
    }
    if (!settled(c, committed + 1))
        cl_fail(c, 0, "a healed cluster does not agree or leaves reads unanswered");

    /* What is still under way from before. Removed nodes ask now and then, until they are told. */
    cl_run_until(c, c->now + (c->ghost.n_members == 0 ? 2 : RECOVER) * t);
    int leader = cl_leader(c);
    bool replaced = false; /* a member that is asked in vain, again and again */
    for (unsigned i = 0; i < c->n; i++)
        replaced |= raft_member(&c->nodes[leader].r.members, (uint16_t)(i + 1)) != NULL &&
                    !is_member(c, leader, i);
    uint64_t term = c->nodes[leader].r.term, sent = c->sent, batches = c->batches;
    uint64_t steps = c->steps;
    cl_run_until(c, c->now + QUIET * t);
    if (cl_leader(c) != leader || c->nodes[leader].r.term != term)
        cl_fail(c, 0, "an undisturbed cluster changed its leader");
    if (c->batches != batches)
        cl_fail(c, 0, "an idle cluster writes");
    uint64_t heartbeats = (QUIET * (t / c->cfg.heartbeat) + 1) * (c->n - 1);
    if (replaced)
        return;
    if (c->sent - sent > 2 * heartbeats || c->steps - steps > 5 * heartbeats)
        cl_fail(c, 0, "an idle cluster is busy: %llu messages, %llu steps",
                (unsigned long long)(c->sent - sent), (unsigned long long)(c->steps - steps));
}

static uint64_t live(uint64_t seed)
{
    static const unsigned sizes[] = {1, 2, 3, 3, 3, 5, 5, 7, 9};
    unsigned n = sizes[seed % (sizeof sizes / sizeof *sizes)];
    struct cl *c = cl_new(n, n, seed);
    struct world w;
    if (getenv("TRACE") != NULL)
        c->trace = stdout;
    draw_world(c, &w);
    for (unsigned i = 0; i < c->n; i++)
        cl_start(c, i);
    raft_time start = c->now, life = LIFE * c->cfg.election_timeout;
    for (unsigned k = 1; k <= ACTIONS; k++) {
        act(c, &w);
        cl_run_until(c, start + life * k / ACTIONS);
    }
    recover(c);
    uint64_t steps = c->steps;
    cl_free(c);
    return steps;
}

static void test_random_lives(void **state)
{
    (void)state;
    uint64_t steps = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++)
        steps += live(seed);
    print_message("%d lives, %llu steps\n", RUNS, (unsigned long long)steps);
}

static void test_same_seed_same_life(void **state)
{
    (void)state;
    assert_int_equal(live(7), live(7));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        uint64_t from = strtoull(argv[1], NULL, 10);
        uint64_t to = argc > 2 ? strtoull(argv[2], NULL, 10) : from;
        for (uint64_t seed = from; seed <= to; seed++) {
            uint64_t steps = live(seed);
            printf("seed %llu: %llu steps, good\n", (unsigned long long)seed,
                   (unsigned long long)steps);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_life),
        cmocka_unit_test(test_random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
