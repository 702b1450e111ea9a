/* lease.c: programs that want one lock, one at each node. Do two of them ever believe at the same time that
 * they hold it?
 *
 * A program believes as long as its node's state says that it holds the lock, the node's lease lasts by its
 * own clock, and it has not begun to give the lock back. When all is well every node has a lease, and
 * what belonged to processes that ended is freed in time. */
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/node/lease.h"
#include "raftd/state/holders.h"
#include "tests/sim/impl.h"

enum {
    STEP_US = 5000,
    HOLD_US = 300000, /* about so long a program does the same */
    CONNECTION = 1,   /* of the program */
    /* Beside the lease: 1 % twice, two election timeouts, half a second, and what a test of it takes. */
    OVER_PARTS = 40,
    OVER_TIMEOUTS = 4,
    OVER_US = 1000000,
    FREE_WRITES =
        6, /* what is on its way to disks before the first entry that frees, and that one */
    MORE_WRITES = 2, /* each entry frees one process, and waits for the one before */
};

static uint64_t process_of(const struct sim_node *m)
{
    return writes_process(node_parts(m->node).writes);
}

static bool lease_lasts(const struct sim *s, const struct sim_node *m)
{
    return sim_local(m, s->now) < node_lease_until(m->node);
}

static const uint8_t LOCK[] = "the lock";

/* What the program of that node has of the lock, as its node knows. */
static bool place(const struct sim_node *m, struct claim *c, unsigned *before)
{
    const struct kv_view v = kv_draft(machine_claims(m->machine));
    const struct holder h = {(uint16_t)(m->at + 1), process_of(m), CONNECTION};
    return holders_place(&v, &h, LOCK, sizeof LOCK, c, before);
}

static bool believes(const struct sim *s, const struct sim_node *m)
{
    struct claim c;
    unsigned before;
    return m->up && !m->gives && lease_lasts(s, m) && place(m, &c, &before) && before == 0;
}

static void ask(struct sim *s, struct sim_node *m, enum cmd_kind kind, uint64_t fence)
{
    uint8_t number[CMD_NUMBER_BYTES], wish = 0;
    put_u64(number, fence);
    const struct cmd c = {.flags = CMD_HAS_CONNECTION, .operations = 1, .connection = CONNECTION};
    struct cmd_item it = {.kind = (uint8_t)kind, .key = LOCK, .key_len = sizeof LOCK};
    it.value = kind == CMD_LOCK ? &wish : number;
    it.value_len = kind == CMD_LOCK ? sizeof wish : sizeof number;
    struct request *req = sim_must(calloc(1, sizeof *req + cmd_size(&c, &it)));
    req->cmd_len = (uint32_t)cmd_encode(req->cmd, &c, &it);
    req->client_tag = PROGRAM_TAG;
    req->deadline_us = sim_local(m, s->now) + s->o.timeout_us;
    m->asks = true;
    m->gives = kind == CMD_UNLOCK;
    sim_touch(s, m);
    node_write(m->node, sim_local(m, s->now), req);
}

void sim_program_answered(struct sim_node *m, struct request *req)
{
    m->asks = false;
    results_free(&req->results);
    free(req);
}

/* It wants the lock, and later gives it back: as often as need be, once it has begun. In the end it wants
 * nothing any more. */
static void program(struct sim *s, struct sim_node *m)
{
    struct claim c = {0};
    unsigned before = 0;
    if (m->asks || s->now < m->acts_at)
        return;
    m->acts_at = s->now + sim_roll(s, RNG_LOCK, 2 * HOLD_US);
    bool has = place(m, &c, &before), holds = has && before == 0;
    m->gives &= has;
    if (!has && !s->closed)
        ask(s, m, CMD_LOCK, 0);
    else if (holds || (has && s->closed))
        ask(s, m, CMD_UNLOCK, holds ? c.fence : 0);
}

/* A leader frees what belongs to a process when that is over: by then it must have stopped believing. A
 * leader is not looked at when a later one has committed an entry: what it appends now comes to nothing. */
static void check_over(struct sim *s, const struct sim_node *leader)
{
    const struct raft *r = node_raft(leader->node);
    const struct lease *l = node_parts(leader->node).lease;
    if (r->role != RAFT_LEADER || r->term < s->committed[s->n_committed]->term)
        return;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *m = &s->m[i];
        if (!m->up ||
            sim_local(leader, s->now) < lease_over_at(l, (uint16_t)(i + 1), process_of(m)))
            continue;
        s->t.overs++;
        if (lease_lasts(s, m))
            sim_broken(s, "freed-early", "leader %u frees what node %u still believes to hold",
                       leader->at + 1, i + 1);
    }
}

void sim_check_leases(struct sim *s, struct sim_node *m)
{
    const struct sim_node *other = NULL;
    check_over(s, m);
    if (!s->o.locks)
        return;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        if (!believes(s, &s->m[i]))
            continue;
        if (other != NULL)
            sim_broken(s, "two-holders", "nodes %u and %u believe that they hold the same lock",
                       other->at + 1, i + 1);
        other = &s->m[i];
    }
    s->t.held += other == m;
    program(s, m);
}

/* How many programs, most of them of processes that ended. */
static unsigned claims(const struct sim_node *m)
{
    const struct kv_view v = kv_draft(machine_claims(m->machine));
    return holders_queue(&v, LOCK, sizeof LOCK);
}

/* A new leader counts anew. */
void sim_wait_freed(struct sim *s)
{
    uint64_t bound = s->o.lease_us + s->o.lease_us / OVER_PARTS + s->o.timeout_us +
                     OVER_TIMEOUTS * s->o.election_timeout_us + OVER_US +
                     sim_slow_writes(s, FREE_WRITES);
    int leader = sim_leader(s);
    unsigned most = 0;
    for (uint64_t since = s->now; leader < 0 || claims(&s->m[leader]) > 0; sim_run(s, STEP_US)) {
        if (sim_leader(s) != leader)
            since = s->now;
        leader = sim_leader(s);
        if (leader >= 0 && claims(&s->m[leader]) > most)
            most = claims(&s->m[leader]);
        if (s->now - since > bound + sim_slow_writes(s, MORE_WRITES * most))
            sim_broken(s, "not-freed", "what belonged to a process that ended is not freed");
    }
}

void sim_check_all_leased(struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++)
        if (s->m[i].up && !s->m[i].outside && !lease_lasts(s, &s->m[i]))
            sim_broken(s, "no-lease", "node %u has no lease while all is well", i + 1);
}
