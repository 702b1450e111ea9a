/* lease.c: may two nodes ever believe at the same time that their clients hold the same lock?
 *
 * A leader frees what belongs to a process when that is over (lease_over_at()). From then on others may get
 * it, so by then the process must have stopped believing, by its own clock (node_lease_until()). A leader
 * is not looked at when a later one has committed an entry: what it appends now comes to nothing. When all is
 * well, every process that lives believes, and those that died are over in time. */
#include "raftd/node/lease.h"
#include "tests/sim/impl.h"

enum {
    /* Beside the lease: 1 % twice, two election timeouts, half a second, and what a test of it takes. */
    OVER_PARTS = 40,
    OVER_TIMEOUTS = 4,
    OVER_US = 1000000,
};

static uint64_t process_of(const struct sim_node *m)
{
    return writes_process(node_parts(m->node).writes);
}

static bool is_over(const struct sim *s, const struct sim_node *leader, const struct sim_node *m,
                    uint64_t process)
{
    const struct lease *l = node_parts(leader->node).lease;
    return lease_over_at(l, (uint16_t)(m->at + 1), process) <= sim_local(leader, s->now);
}

static bool believes(const struct sim *s, const struct sim_node *m)
{
    return sim_local(m, s->now) < node_lease_until(m->node);
}

void sim_check_leases(struct sim *s, const struct sim_node *leader)
{
    const struct raft *r = node_raft(leader->node);
    if (r->role != RAFT_LEADER || r->term < s->committed[s->n_committed]->term)
        return;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *m = &s->m[i];
        if (!m->up || !is_over(s, leader, m, process_of(m)))
            continue;
        s->t.overs++;
        if (believes(s, m))
            sim_broken(s, "two-holders", "leader %u frees what node %u still believes to hold",
                       leader->at + 1, i + 1);
    }
}

void sim_lease_ends(struct sim *s, struct sim_node *m)
{
    m->former = process_of(m);
    m->former_end = s->now;
}

void sim_check_leases_live(struct sim *s)
{
    int leader = sim_leader(s);
    uint64_t bound = s->o.lease_us + s->o.lease_us / OVER_PARTS +
                     OVER_TIMEOUTS * s->o.election_timeout_us + OVER_US;
    if (leader < 0)
        return;
    const struct sim_node *l = &s->m[leader];
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *m = &s->m[i];
        if (m->up && !m->outside && !believes(s, m))
            sim_broken(s, "no-lease", "node %u has no lease while all is well", i + 1);
        bool long_ago = s->now > bound && s->now - bound > m->former_end &&
                        s->now - bound > l->lead_at;
        if (m->former != 0 && long_ago && !is_over(s, l, m, m->former))
            sim_broken(s, "not-freed",
                       "what belonged to a process of node %u that ended is not freed", i + 1);
    }
}
