/* fault.c: when which fault happens, and to whom. */
#include "tests/sim/impl.h"

enum { SECOND = 1000000 };

static uint64_t total_rate(const struct sim *s)
{
    uint64_t sum = 0;
    for (unsigned f = SIM_PARTITION; f <= SIM_AMNESIA; f++)
        sum += s->o.rate[f];
    return sum;
}

static void next_fault(struct sim *s)
{
    uint64_t rate = total_rate(s);
    if (rate > 0)
        sim_post(s, s->now + 1 + sim_roll(s, RNG_FAULT, 2 * 1000 * (uint64_t)SECOND / rate),
                 EV_FAULT, 0);
}

void sim_fault_init(struct sim *s)
{
    static const enum sim_fault of_life[] = {SIM_CLOCK, SIM_SMALL, SIM_COARSE};
    for (unsigned i = 0; i < sizeof of_life / sizeof of_life[0]; i++)
        s->t.faults[of_life[i]] = s->o.rate[of_life[i]] != 0;
    next_fault(s);
    if (s->o.image_us != 0)
        sim_post(s, s->now + sim_roll(s, RNG_FAULT, 2 * s->o.image_us), EV_IMAGE, 0);
    if (s->o.members_us != 0)
        sim_post(s, s->now + sim_roll(s, RNG_FAULT, 2 * s->o.members_us), EV_MEMBERS, 0);
    if (s->o.handover_us != 0)
        sim_post(s, s->now + sim_roll(s, RNG_HANDOVER, 2 * s->o.handover_us), EV_HANDOVER, 0);
}

/* Somebody asks any node for a snapshot. */
void sim_fault_image(struct sim *s)
{
    struct sim_node *m = &s->m[sim_roll(s, RNG_FAULT, s->o.nodes)];
    if (s->calm)
        return;
    if (m->up) {
        node_snapshot(m->node);
        sim_touch(s, m);
    }
    sim_post(s, s->now + 1 + sim_roll(s, RNG_FAULT, 2 * s->o.image_us), EV_IMAGE, 0);
}

/* Somebody asks any node for another leader, or drains it, and then stops it. */
void sim_fault_handover(struct sim *s, struct sim_event *e)
{
    struct sim_node *m = &s->m[sim_roll(s, RNG_HANDOVER, s->o.nodes)];
    bool drain = sim_roll(s, RNG_HANDOVER, 4) == 0;
    uint64_t heir = sim_roll(s, RNG_HANDOVER, s->o.nodes + 1);
    if (s->calm)
        return;
    if (e->extra != 0) {
        m = &s->m[e->node];
        if (!m->up || e->generation != m->generation)
            return;
        sim_stop_node(s, m, STOP_KILL);
        sim_boot_later(s, m, sim_roll(s, RNG_HANDOVER, SECOND));
        return;
    }
    sim_post(s, s->now + 1 + sim_roll(s, RNG_HANDOVER, 2 * s->o.handover_us), EV_HANDOVER, 0);
    if (!m->up || s->now < m->paused_until)
        return;
    sim_note(s, NOTE_HANDOVER, m->at, heir, drain, 0);
    if (drain) {
        node_drain(m->node, sim_local(m, s->now));
        sim_post(s, s->now + sim_roll(s, RNG_HANDOVER, 2 * s->o.election_timeout_us), EV_HANDOVER,
                 m->at)
            ->extra = 1;
    } else {
        node_transfer(m->node, sim_local(m, s->now), 0, (uint16_t)heir);
    }
    sim_touch(s, m);
}

/* Any node that is up, the leader more often than its share; NULL if none is. */
static struct sim_node *victim(struct sim *s)
{
    int leader = sim_leader(s);
    if (leader >= 0 && sim_roll(s, RNG_FAULT, 3) == 0)
        return &s->m[leader];
    unsigned from = (unsigned)sim_roll(s, RNG_FAULT, s->o.nodes);
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct sim_node *m = &s->m[(from + i) % s->o.nodes];
        if (m->up)
            return m;
    }
    return NULL;
}

/* At once, soon, or much later. */
static uint64_t absence(struct sim *s)
{
    switch (sim_roll(s, RNG_FAULT, 8)) {
    case 0:
    case 1:
    case 2: return sim_roll(s, RNG_FAULT, 10000);
    case 3:
    case 4:
    case 5: return sim_roll(s, RNG_FAULT, 2 * SECOND);
    case 6: return sim_roll(s, RNG_FAULT, 10 * SECOND);
    default: return sim_roll(s, RNG_FAULT, 40 * SECOND);
    }
}

static void crash(struct sim *s, struct sim_node *m, bool kill)
{
    uint64_t how = sim_roll(s, RNG_FAULT, 4);
    sim_stop_node(s, m,
                  kill       ? STOP_KILL
                  : how == 0 ? STOP_CUT_NONE
                  : how == 1 ? STOP_CUT_ALL
                             : STOP_CUT_RANDOM);
    m->fail_boot = sim_roll(s, RNG_FAULT, 6) == 0;
    sim_boot_later(s, m, absence(s));
}

/* Durable bytes of one node; only ever of a minority, but for the identity, of which there are two copies. */
static bool rot(struct sim *s, struct sim_node *m)
{
    bool ident = s->o.damage && sim_roll(s, RNG_FAULT, 4) == 0, other = sim_may_rot(s, m);
    if (!ident && !other)
        return false;
    sim_stop_node(s, m, STOP_CUT_RANDOM);
    if (ident)
        sim_rot_ident(s, m);
    if (other)
        (void)sim_rot(s, m);
    sim_boot_later(s, m, absence(s));
    return false; /* counted when recovery has said so */
}

void sim_fault_forget(struct sim *s, struct sim_node *m, bool leader_dies)
{
    if (s->calm)
        return;
    if (leader_dies) {
        if (m->up)
            crash(s, m, false);
        if (sim_roll(s, RNG_FAULT, 2) == 0)
            sim_net_heal(s);
    } else if (sim_forget(s, m)) {
        sim_note(s, NOTE_FAULT, m->at, SIM_AMNESIA, 0, 0);
        s->t.faults[SIM_AMNESIA]++;
        sim_boot_later(s, m, sim_roll(s, RNG_FAULT, 2) == 0 ? 1 : absence(s));
    }
}

static void fill(struct sim *s, struct sim_node *m)
{
    uint64_t left = (uint64_t)4096 * sim_roll(s, RNG_FAULT, 20) * sim_roll(s, RNG_FAULT, 20);
    sim_disk_full(m, left, sim_roll(s, RNG_FAULT, 2) == 0);
    sim_post(s, s->now + sim_roll(s, RNG_FAULT, 15 * SECOND), EV_ROOM, m->at);
}

static bool happen(struct sim *s, enum sim_fault f, struct sim_node *m)
{
    uint64_t until;
    switch (f) {
    case SIM_CRASH: crash(s, m, false); break;
    case SIM_KILL: crash(s, m, true); break;
    case SIM_MIDOP:
    case SIM_EIO:
        m->fail_in = 1 + (unsigned)sim_roll(s, RNG_FAULT, sim_roll(s, RNG_FAULT, 4) == 0 ? 12 : 3);
        m->fail_cut = f == SIM_MIDOP;
        return false; /* counted when it strikes */
    case SIM_CUTALL:
        for (unsigned i = 0; i < s->o.nodes; i++)
            if (s->m[i].up)
                crash(s, &s->m[i], false);
        break;
    case SIM_PAUSE:
        until = s->now +
                sim_roll(s, RNG_FAULT, sim_roll(s, RNG_FAULT, 2) == 0 ? SECOND / 5 : 6 * SECOND);
        if (until > m->paused_until) /* what was put off waits for the longer one */
            m->paused_until = until;
        break;
    case SIM_SLOW: m->slow_until = s->now + sim_roll(s, RNG_FAULT, 5 * SECOND); break;
    case SIM_STALL:
        m->stall_until = s->now +
                         sim_roll(s, RNG_FAULT,
                                  sim_roll(s, RNG_FAULT, 4) == 0 ? 30 * SECOND : 3 * SECOND);
        break;
    case SIM_FULL:
        fill(s, m);
        if (s->o.fill_together && sim_roll(s, RNG_FAULT, 3) == 0)
            for (unsigned i = 0; i < s->o.nodes; i++)
                fill(s, &s->m[i]);
        return false; /* counted when a write meets it */
    case SIM_ROT: return rot(s, m);
    case SIM_WIPE:
        if (!(s->o.members_us != 0 ? sim_lose_disk(s, m) : sim_wipe(s, m)))
            return false;
        sim_boot_later(s, m, absence(s));
        break;
    case SIM_MOVE:
        if (!sim_move(s, m))
            return false;
        if (sim_roll(s, RNG_FAULT, 2) == 0)
            crash(s, m, false);
        break;
    case SIM_CLONE: sim_clone_begin(s, m); return false;           /* counted when it happens */
    case SIM_AMNESIA: sim_fault_forget(s, m, false); return false; /* counted when it happens */
    default: sim_partition(s, f); break;
    }
    return true;
}

void sim_fault(struct sim *s)
{
    if (s->calm)
        return;
    uint64_t roll = sim_roll(s, RNG_FAULT, total_rate(s));
    unsigned f = SIM_PARTITION;
    while (roll >= s->o.rate[f])
        roll -= s->o.rate[f++];
    struct sim_node *m = victim(s);
    if (m != NULL) {
        sim_note(s, NOTE_FAULT, m->at, f, 0, 0);
        if (happen(s, (enum sim_fault)f, m))
            s->t.faults[f]++;
    }
    next_fault(s);
}

void sim_fault_calm(struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++)
        sim_disk_heal(s, &s->m[i]);
}
