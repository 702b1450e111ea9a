/* phase.c: safety under faults, then liveness of a healed majority. */
#include <string.h>

#include "tests/sim/impl.h"

enum {
    STEP_US = 5000,
    /* In election timeouts T. A leader: from the moment of healing. Everything answered and equal:
     * longest timeout of a request, and a log to be streamed to a node that missed all of it. */
    LEADER_TIMEOUTS = 100,
    EQUAL_TIMEOUTS = 200,
    WISHES_TIMEOUTS = 25,
    READ_TIMEOUTS = 20, /* a round trip to a majority, some of it lost */
    /* And writes of the slowest disk, if they are slow for good: elections of two writes each, of
     * which two in three may fail; then a request waits for two, and those who lag for some more. */
    LEADER_WRITES = 12,
    EQUAL_WRITES = 15,
    SETTLE_WRITES = 3,
    /* A node whose disk was full has noticed that there is room, or has made some by another snapshot. */
    ROOM_US = 8000000,
    ROOM_WRITES = 6,         /* a snapshot lets the log go, and each piece waits for the disk */
    DISK_ROOM_US = 2000000,  /* of a disk alone */
    SETTLE_US = 3000000,     /* the seal of the last batch is written in this time */
    PRIORITY_US = 100000000, /* ten seconds, and longer if it had the lead before, and lost it */
    IDLE_US = 10000000,
    /* Per second and other node of the cluster: heartbeats each 7/20 T with answers, or probes of a
     * dead node each T/8, and some more. */
    IDLE_PER_T = 12,
    LINKS_PER_PAIR = 10, /* both tell what they hear every 2 to 3 s */
    REKEY = 12,          /* six datagrams, or both of them began */
    OUTSIDE_PER_T = 6,   /* one that is cut off asks everybody for votes about once, who answer */
    OUTSIDE_HELLOS = 30, /* and greets each once a second, who answer */
};

uint64_t sim_slow_writes(const struct sim *s, unsigned n)
{
    uint64_t slowest = 0;
    for (unsigned i = 0; i < s->o.nodes; i++)
        slowest = s->o.slow_us[i] > slowest ? s->o.slow_us[i] : slowest;
    return n * slowest;
}

/* From now on this node hears nobody, or is heard by nobody, or has no link to the leader: it must
 * not disturb. */
static void put_outside(struct sim *s, struct sim_node *m, int leader)
{
    uint64_t how = sim_roll(s, RNG_FAULT, leader < 0 ? 2 : 4);
    m->outside = true;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        bool cut = how < 2 || (int)i == leader;
        s->cut[i][m->at] = cut && how != 0;
        s->cut[m->at][i] = cut && how != 1;
    }
}

/* A random majority lives on, with all its disks and links in order; the rest is dead for good, or
 * outside, now or when all is equal: then its log is as good as any. */
static void heal(struct sim *s)
{
    unsigned order[NODES], n = 0, all, least = sim_majority(s);
    sim_note(s, NOTE_PHASE, 0, 2, 0, 0);
    for (unsigned i = 0; i < s->o.nodes; i++)
        if (!sim_is_unsound(&s->m[i]))
            order[n++] = i;
    for (unsigned i = n; i > 1; i--) {
        unsigned j = (unsigned)sim_roll(s, RNG_FAULT, i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    if (s->o.members_us != 0)
        least = n; /* any majority may be needed, by what is not committed yet */
    unsigned keep = (unsigned)sim_between(s, RNG_FAULT, least, n);
    sim_heal(s);
    s->closed = true;
    all = n;
    for (unsigned i = 0; i < s->o.nodes; i++) /* may be there, but the majority is without them */
        if (sim_is_unsound(&s->m[i]) && !s->m[i].wiped)
            order[all++] = i;
    for (unsigned i = 0; i < all; i++) {
        struct sim_node *m = &s->m[order[i]];
        uint64_t fate = sim_roll(s, RNG_FAULT, sim_is_unsound(m) ? 6 : 3);
        m->dead = i >= keep && fate == 0;
        m->outside_later = i >= keep && fate == 1;
        if (i >= keep && fate == 2)
            put_outside(s, m, -1);
        if (m->up && node_raft(m->node)->drained)
            sim_stop_node(s, m, STOP_KILL);
        if (!m->dead && !m->up)
            sim_boot(s, m);
    }
    for (unsigned i = 0; i < s->o.nodes; i++)
        if (s->m[i].dead && s->m[i].up)
            sim_stop_node(s, &s->m[i], STOP_CUT_RANDOM);
}

/* What was put off for a paused process comes when its pause ends, and not before. */
static void wake_paused(struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++)
        if (s->m[i].up && s->m[i].paused_until > s->now)
            sim_run(s, s->m[i].paused_until - s->now);
}

static uint64_t wait_for(struct sim *s, uint64_t most_us, bool converged, const char *kind,
                         const char *what)
{
    uint64_t start = s->now;
    if (s->o.members_us != 0)
        sim_members_outside(s);
    while (converged ? !sim_converged(s) : sim_leader(s) < 0) {
        if (s->now - start > most_us)
            sim_broken(s, kind, "%s within %" PRIu64 " ms of the healing", what, most_us / 1000);
        sim_run(s, STEP_US);
        if (s->o.members_us != 0)
            sim_members_outside(s);
    }
    return s->now - start;
}

/* The number of a node that refuses writes since it or its leader has no room; 0: there is none. */
static unsigned without_room(const struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *m = &s->m[i];
        if (!m->up || m->outside)
            continue;
        const struct raft *r = node_raft(m->node);
        if (replica_full(node_replica(m->node)) || (r->role != RAFT_LEADER && r->no_room))
            return i + 1;
    }
    return 0;
}

/* One that has just started looks at its log first. */
static void wait_for_room(struct sim *s)
{
    sim_run(s, STEP_US);
    uint64_t end = s->now + (s->o.log_max_bytes != 0 ? ROOM_US + sim_slow_writes(s, ROOM_WRITES)
                                                     : DISK_ROOM_US);
    for (unsigned node; (node = without_room(s)) != 0; sim_run(s, STEP_US))
        if (s->now > end)
            sim_broken(s, "no-room", "node %u does not see that its disk or its log has room",
                       node);
}

static bool outranked(const struct sim *s)
{
    int leader = sim_leader(s);
    const struct raft *r = leader < 0 ? NULL : node_raft(s->m[leader].node);
    return r == NULL || r->heir != 0 || (r->outranked_by != 0 && r->waits != RAFT_WAITS_ABLE);
}

/* A voter of higher priority that could lead is handed the lead. */
static void wait_for_priority(struct sim *s)
{
    for (uint64_t end = s->now + PRIORITY_US; outranked(s); sim_run(s, STEP_US))
        if (s->now > end)
            sim_broken(s, "outranked", "a voter of higher priority does not get the lead");
}

static void idle(struct sim *s)
{
    uint64_t terms[NODES], batches[NODES], datagrams;
    uint64_t settle = SETTLE_US + sim_slow_writes(s, SETTLE_WRITES);
    bool frees = false;
    sim_run(s, settle);
    wait_for_room(s); /* the last seal can fill a log: then its leader hands over */
    wait_for_priority(s);
    sim_run(s, settle);
    int leader = sim_leader(s);
    for (unsigned i = 0; i < s->o.nodes; i++) {
        if (s->m[i].outside_later && (int)i != leader)
            put_outside(s, &s->m[i], leader);
        frees |= s->m[i].outside; /* the keys of its clients, by an entry */
    }
    if (frees)
        sim_run(s, sim_free_us(s) + settle);
    datagrams = s->t.datagrams;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        batches[i] = s->m[i].batches;
        terms[i] = s->m[i].up ? node_raft(s->m[i].node)->term : 0;
    }
    sim_run(s, IDLE_US);
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *m = &s->m[i];
        if (!m->up || m->outside) /* a datagram of long ago may reach even a deaf one */
            continue;
        if (terms[i] != node_raft(m->node)->term)
            sim_broken(s, "idle-term", "node %u changed its term while all was well", i + 1);
        if (m->unsealed)
            sim_broken(s, "not-sealed", "nothing proves the last batch of node %u durable", i + 1);
        if (m->batches != batches[i])
            sim_broken(s, "idle-disk", "node %u was idle and wrote %" PRIu64 " batches", i + 1,
                       m->batches - batches[i]);
    }
    sim_check_all_leased(s);
    sim_check_healths(s);
    if (sim_leader(s) != leader)
        sim_broken(s, "idle-leader", "the leader changed while all was well");
    s->t.idle_datagrams = (s->t.datagrams - datagrams) * 1000000 / IDLE_US;
    uint64_t most = (s->o.nodes - 1) * IDLE_PER_T;
    for (unsigned i = 0; i < s->o.nodes; i++)
        most += s->m[i].outside ? (s->o.nodes - 1) * OUTSIDE_PER_T : 0;
    most *= IDLE_US / s->o.election_timeout_us + 1;
    uint64_t pairs = (uint64_t)s->o.nodes * (s->o.nodes - 1) / 2;
    most += pairs * LINKS_PER_PAIR;
    for (unsigned i = 0; i < s->o.nodes; i++)
        most += s->m[i].outside ? (s->o.nodes - 1) * OUTSIDE_HELLOS : 0;
    if (s->o.rekey_us != 0)
        most += pairs * (IDLE_US / s->o.rekey_us + 1) * REKEY;
    if (s->t.datagrams - datagrams > most)
        sim_broken(s, "idle-datagrams", "idle nodes sent %" PRIu64 " datagrams in %d s",
                   s->t.datagrams - datagrams, IDLE_US / 1000000);
}

void sim_check_final(struct sim *s)
{
    uint8_t first[MACHINE_DIGEST_BYTES], other[sizeof first];
    const struct sim_node *seen = NULL;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct sim_node *m = &s->m[i];
        if (!m->up)
            continue;
        sim_check_state(s, m);
        if (m->outside)
            continue;
        uint8_t *digest = seen == NULL ? first : other;
        machine_digest(node_parts(m->node).machine, digest);
        if (seen != NULL && memcmp(first, other, sizeof first) != 0)
            sim_broken(s, "digest", "nodes %u and %u differ", seen->at + 1, m->at + 1);
        seen = m;
    }
}

static bool some_expire(const struct sim *s)
{
    for (uint32_t k = 0; k < s->n_keys; k++)
        if (s->keys[k].n > 0 && s->keys[k].v[s->keys[k].n - 1].expiry_ms != 0)
            return true;
    return false;
}

/* Where a leader can write, keys end soon after their time has come, though nobody asks for anything. */
static void wait_for_ends(struct sim *s)
{
    uint64_t most = EQUAL_TIMEOUTS * s->o.election_timeout_us + sim_slow_writes(s, EQUAL_WRITES);
    uint64_t end = s->now + most + SIM_TTL_MAX_MS * UINT64_C(1010);
    for (; some_expire(s); sim_run(s, STEP_US))
        if (s->now > end)
            sim_broken(s, "late", "a key is there long after its time");
    (void)wait_for(s, most, true, "not-equal", "the last end is not everywhere");
}

/* With no write behind it, no entry to come helps a read along. */
static void read_when_quiet(struct sim *s)
{
    uint64_t reads = s->t.reads, most = READ_TIMEOUTS * s->o.election_timeout_us;
    unsigned asked = 0;
    for (unsigned i = 0; i < s->o.nodes; i++)
        if (!s->m[i].outside && sim_read(s, i))
            asked++;
    for (uint64_t start = s->now; s->t.reads < reads + asked && s->now - start < most;)
        sim_run(s, STEP_US);
    if (s->t.reads < reads + asked)
        sim_broken(s, "not-answered", "reads after the last write wait for another one");
}

void sim_live(struct sim *s)
{
    uint64_t t = s->o.election_timeout_us;
    sim_note(s, NOTE_PHASE, 0, 1, 0, 0);
    sim_run(s, s->o.time_us);
    sim_clone_found(s);
    heal(s);
    wake_paused(s);
    s->t.elected_us = wait_for(s, LEADER_TIMEOUTS * t + sim_slow_writes(s, LEADER_WRITES), false,
                               "no-leader", "no leader");
    if (s->o.members_us != 0) {
        sim_run(s, WISHES_TIMEOUTS * t); /* those under way end */
        sim_members_outside(s);
    }
    wait_for_room(s);
    uint64_t acked = s->t.acked + s->t.full, reads = s->t.reads;
    uint64_t most = EQUAL_TIMEOUTS * t + sim_slow_writes(s, EQUAL_WRITES);
    unsigned up = 0;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        if (!s->m[i].up || s->m[i].outside)
            continue;
        up++;
        sim_put(s, i, sim_roll(s, RNG_CLIENT, s->o.max_value_bytes + 1), most);
        (void)sim_read(s, i);
    }
    s->t.converged_us = wait_for(s, s->o.timeout_us + most, true, "not-equal",
                                 "not everything is answered and equal");
    if (s->t.acked + s->t.full < acked + up || s->t.reads < reads + up)
        sim_broken(s, "not-answered", "a healthy majority did not serve all requests");
    if (s->o.members_us != 0) {
        sim_take_all_back(s);
        (void)wait_for(s, most, true, "not-equal", "not all that are back are equal");
    }
    sim_wait_freed(s);
    (void)wait_for(s, most, true, "not-equal", "not everything that was freed is equal");
    wait_for_ends(s);
    sim_check_final(s);
    read_when_quiet(s);
    idle(s);
    sim_check_history(s);
}
