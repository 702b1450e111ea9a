/* lease.c: programs that want locks, several at each node. Do two of them ever believe at the same time that
 * they hold the same one?
 *
 * A program believes as long as its node's state says that it holds the lock, the node's lease lasts by its
 * own clock, and it has not begun to give the lock back, or to go away. When all is well every node has a
 * lease, and what belonged to processes that ended is freed in time: locks, places in their queues, and the
 * keys of clients (model.c). */
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/node/lease.h"
#include "raftd/state/holders.h"
#include "tests/sim/impl.h"

enum {
    STEP_US = 5000,
    HOLD_US = 300000, /* about so long a program does the same */
    LOCKS = 2,        /* there are so many; some programs of a node want the same */
    LEAVES = 4,       /* one in so many ends its connection, in place of giving the lock back */
    /* Beside the lease: 1 % twice, two election timeouts, half a second, and what a test of it takes. */
    OVER_PARTS = 40,
    OVER_TIMEOUTS = 4,
    OVER_US = 1000000,
    FREE_WRITES =
        6, /* what is on its way to disks before the first entry that frees, and that one */
    MORE_WRITES = 2, /* some entries wait for those before */
};

static uint64_t process_of(const struct sim_node *m)
{
    return writes_process(node_parts(m->node).writes);
}

static bool lease_lasts(const struct sim *s, const struct sim_node *m)
{
    return sim_local(m, s->now) < node_lease_until(m->node);
}

static const uint8_t names[LOCKS][8] = {"lock 0", "lock 1"};

static const uint8_t *lock_of(const struct sim_node *m, const struct program *p)
{
    return names[(p - m->programs) % LOCKS];
}

static struct holder holder_of(const struct sim_node *m, const struct program *p)
{
    return (struct holder){(uint16_t)(m->at + 1), process_of(m), p->connection};
}

/* What the program has of its lock, as its node knows. */
static bool place(const struct sim_node *m, const struct program *p, struct claim *c,
                  unsigned *before)
{
    const struct kv_view v = kv_draft(machine_claims(m->machine));
    const struct holder h = holder_of(m, p);
    return holders_place(&v, &h, lock_of(m, p), sizeof names[0], c, before);
}

static bool believes(const struct sim *s, const struct sim_node *m, const struct program *p)
{
    struct claim c;
    unsigned before;
    return m->up && !p->gives && lease_lasts(s, m) && place(m, p, &c, &before) && before == 0;
}

static void ask(struct sim *s, struct sim_node *m, struct program *p, enum cmd_kind kind,
                uint64_t number)
{
    uint8_t value[CMD_NUMBER_BYTES], wish = 0;
    put_u64(value, number);
    struct cmd c = {.flags = CMD_HAS_CONNECTION, .operations = 1, .connection = p->connection};
    struct cmd_item it = {.kind = (uint8_t)kind, .key = lock_of(m, p), .key_len = sizeof names[0]};
    if (kind == CMD_FREE_CONNECTION) {
        c.flags = 0;
        it.key = value;
        it.key_len = sizeof value;
    } else {
        it.value = kind == CMD_LOCK ? &wish : value;
        it.value_len = kind == CMD_LOCK ? sizeof wish : sizeof value;
    }
    struct request *req = sim_must(calloc(1, sizeof *req + cmd_size(&c, &it)));
    req->cmd_len = (uint32_t)cmd_encode(req->cmd, &c, &it);
    req->client_tag = PROGRAM_TAG + (uint64_t)(p - m->programs);
    req->deadline_us = sim_local(m, s->now) + s->o.timeout_us;
    p->asks = true;
    p->gives = kind != CMD_LOCK;
    sim_touch(s, m);
    node_write(m->node, sim_local(m, s->now), req);
}

void sim_program_answered(struct sim_node *m, struct request *req)
{
    struct program *p = &m->programs[req->client_tag - PROGRAM_TAG];
    p->asks = false;
    p->doubt |= !p->gives && req->result == RESULT_UNKNOWN; /* it may still get a place */
    results_free(&req->results);
    free(req);
}

void sim_programs_start(struct sim_node *m)
{
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct program *p = &m->programs[i];
        *p = (struct program){.acts_at = p->acts_at, .connection = i + UINT64_C(1)};
    }
}

bool sim_awaits(void *ctx)
{
    const struct sim_node *m = ctx;
    bool awaits = m->sim->o.awaits;
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct claim c;
        unsigned before;
        awaits |= place(m, &m->programs[i], &c, &before) && before > 0;
    }
    return awaits;
}

/* Its connection ends, until that is freed; then it comes back by another one, which no client of this
 * process has had. */
static void leave(struct sim *s, struct sim_node *m, struct program *p)
{
    ask(s, m, p, CMD_FREE_CONNECTION, p->connection);
    p->leaves = true;
}

/* It wants the lock, and later gives it back: as often as need be, once it has begun. In the end it wants
 * nothing any more. */
static void program(struct sim *s, struct sim_node *m, struct program *p)
{
    struct claim c = {0};
    unsigned before = 0;
    if (p->asks || s->now < p->acts_at)
        return;
    p->acts_at = s->now + sim_roll(s, RNG_LOCK, 2 * HOLD_US);
    bool has = place(m, p, &c, &before), holds = has && before == 0;
    if (p->leaves && !has) {
        p->connection += PROGRAMS;
        p->leaves = false;
    }
    p->gives &= has;
    if (!has && !s->closed)
        ask(s, m, p, CMD_LOCK, 0);
    else if (has && (p->leaves || (!p->doubt && sim_roll(s, RNG_LOCK, LEAVES) == 0)))
        leave(s, m, p);
    else if (holds || (has && s->closed))
        ask(s, m, p, CMD_UNLOCK, holds ? c.fence : 0);
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

/* Nobody else at any node believes that it holds the lock that p believes to hold. */
static void check_alone(struct sim *s, const struct sim_node *m, const struct program *p)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *other = &s->m[i];
        for (unsigned k = 0; k < PROGRAMS; k++) {
            const struct program *q = &other->programs[k];
            if (q != p && lock_of(other, q) == lock_of(m, p) && believes(s, other, q))
                sim_broken(s, "two-holders", "nodes %u and %u believe that they hold the same lock",
                           m->at + 1, other->at + 1);
        }
    }
}

/* What a node does changes what its own programs believe; of those of others, that they do so ends with time.
 * So each pair is looked at when it begins. */
void sim_check_leases(struct sim *s, struct sim_node *m)
{
    check_over(s, m);
    for (unsigned i = 0; s->o.locks && i < PROGRAMS; i++) {
        if (believes(s, m, &m->programs[i])) {
            s->t.held++;
            check_alone(s, m, &m->programs[i]);
        }
        program(s, m, &m->programs[i]);
    }
}

/* Claims that are to end: places in the queues of locks, and all of processes that ended. */
static unsigned claims(const struct sim *s, const struct sim_node *m)
{
    const struct kv_view v = kv_draft(machine_claims(m->machine));
    uint16_t origin = 0;
    uint64_t process = 0;
    unsigned n = 0;
    for (unsigned i = 0; i < LOCKS; i++)
        n += holders_queue(&v, names[i], sizeof names[i]);
    while (holders_next_process(&v, &origin, &process))
        n += !s->m[origin - 1].up || process_of(&s->m[origin - 1]) != process;
    return n;
}

uint64_t sim_free_us(const struct sim *s)
{
    return s->o.lease_us + s->o.lease_us / OVER_PARTS + s->o.timeout_us +
           OVER_TIMEOUTS * s->o.election_timeout_us + OVER_US + sim_slow_writes(s, FREE_WRITES);
}

/* A new leader counts anew. */
void sim_wait_freed(struct sim *s)
{
    uint64_t bound = sim_free_us(s);
    int leader = sim_leader(s);
    unsigned most = 0, n = 0;
    for (uint64_t since = s->now; leader < 0 || (n = claims(s, &s->m[leader])) > 0;
         sim_run(s, STEP_US)) {
        if (sim_leader(s) != leader)
            since = s->now;
        leader = sim_leader(s);
        if (leader >= 0 && n > most)
            most = n;
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
