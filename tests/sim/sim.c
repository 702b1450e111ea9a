/* sim.c: the heap of events and the lives of nodes. See sim.h. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "tests/sim/impl.h"

void *sim_must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* ---- chance (splitmix64) ---- */

uint64_t sim_roll(struct sim *s, enum stream_rng which, uint64_t below)
{
    uint64_t z = s->rng[which] += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below == 0 ? 0 : z % below;
}

uint64_t sim_between(struct sim *s, enum stream_rng which, uint64_t min, uint64_t max)
{
    return min + sim_roll(s, which, max - min + 1);
}

bool sim_chance(struct sim *s, enum stream_rng which, uint32_t per_million)
{
    return per_million != 0 && sim_roll(s, which, 1000000) < per_million;
}

/* ---- event heap ---- */

static bool before(const struct slot *a, const struct slot *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void heap_put(struct sim *s, struct sim_event *e)
{
    if (s->n_heap == s->cap_heap) {
        s->cap_heap = s->cap_heap ? 2 * s->cap_heap : 1024;
        s->heap = sim_must(realloc(s->heap, s->cap_heap * sizeof s->heap[0]));
    }
    struct slot new = {e->at, e->order, e};
    size_t i = s->n_heap++;
    while (i > 0 && before(&new, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = new;
}

static struct sim_event *heap_take(struct sim *s)
{
    struct sim_event *top = s->heap[0].e;
    struct slot last = s->heap[--s->n_heap];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= s->n_heap)
            break;
        if (c + 1 < s->n_heap && before(&s->heap[c + 1], &s->heap[c]))
            c++;
        if (!before(&s->heap[c], &last))
            break;
        s->heap[i] = s->heap[c];
        i = c;
    }
    if (s->n_heap > 0)
        s->heap[i] = last;
    return top;
}

struct sim_event *sim_post(struct sim *s, uint64_t at, enum sim_event_kind kind, unsigned node)
{
    struct sim_event *e = s->free_events;
    if (e != NULL)
        s->free_events = e->next;
    else
        e = sim_must(malloc(sizeof *e));
    if ((kind == EV_DATAGRAM || kind == EV_DISK) && s->o.quantum_us > 1)
        at += s->o.quantum_us - 1 - (at - 1) % s->o.quantum_us;
    e->at = at > s->now ? at : s->now + 1;
    e->order = s->order++;
    e->kind = kind;
    e->node = node;
    e->from = 0;
    e->generation = s->m[node].generation;
    e->op = NO_OP;
    e->extra = 0;
    e->frames = 0;
    e->len = 0;
    heap_put(s, e);
    return e;
}

static void forget(struct sim *s, struct sim_event *e)
{
    e->next = s->free_events;
    s->free_events = e;
}

/* ---- a node's clock: starts anywhere, runs a little too fast or too slow ---- */

uint64_t sim_local(const struct sim_node *m, uint64_t t)
{
    return m->clock_offset + t + (uint64_t)((int64_t)t * m->clock_ppm / 1000000);
}

/* The first virtual time at which the node's clock shows `local`. */
static uint64_t virtual_of(const struct sim_node *m, uint64_t local)
{
    if (local <= m->clock_offset)
        return 0;
    uint64_t d = local - m->clock_offset;
    uint64_t t = (uint64_t)((double)d * 1e6 / (1e6 + (double)m->clock_ppm));
    t = t > 2 ? t - 2 : 0;
    while (sim_local(m, t) < local)
        t++;
    return t;
}

/* ---- steps of a node ---- */

void sim_wake_later(struct sim *s, struct sim_node *m)
{
    uint64_t local = node_deadline(m->node, sim_local(m, s->now));
    if (local == RAFT_NEVER)
        return;
    uint64_t at = virtual_of(m, local);
    if (at > s->now)
        m->spins = 0;
    else if (++m->spins > SPINS_MAX)
        sim_broken(s, "spin", "node %u wants to be woken at once, again and again", m->at + 1);
    if (at <= s->now)
        at = s->now + 1;
    if (m->wake_at != 0 && at >= m->wake_at)
        return;
    m->wake_at = at;
    sim_post(s, at, EV_WAKE, m->at);
}

/* The node was told something; its loop goes round when virtual time moves on. What it was told may
 * have changed much already: a leader that was paused commits, then hears of its successor. */
void sim_touch(struct sim *s, struct sim_node *m)
{
    if (m != sim_clone(s))
        sim_follow(s, m);
    m->dirty = true;
}

static void flush(struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct sim_node *m = &s->m[i];
        if (!m->dirty)
            continue;
        m->dirty = false;
        node_flush(m->node, sim_local(m, s->now));
        sim_check(s, m);
        sim_wake_later(s, m);
        if (m->diverged != 0) {
            m->dead = true;
            sim_stop_node(s, m, STOP_KILL);
        }
    }
    sim_clone_flush(s);
}

static void handle_node(struct sim *s, struct sim_node *m, struct sim_event *e)
{
    switch (e->kind) {
    case EV_DATAGRAM: sim_datagram(s, m, e); break;
    case EV_CLOSED:
        sim_note(s, NOTE_CLOSED, m->at, e->from + 1, 0, 0);
        node_closed(m->node, sim_local(m, s->now), s->m[e->from].id);
        sim_touch(s, m);
        break;
    case EV_DISK: sim_disk_done(s, m); break;
    case EV_SUBMIT: sim_submit(s, m, e); break;
    case EV_WAKE:
        if (e->at != m->wake_at && e->extra == 0)
            return;
        sim_note(s, NOTE_WAKE, m->at, 0, 0, 0);
        m->wake_at = 0;
        sim_touch(s, m);
        break;
    default: abort();
    }
}

/* False when the event was put off. */
static bool handle(struct sim *s, struct sim_event *e)
{
    struct sim_node *m = &s->m[e->node];
    switch (e->kind) {
    case EV_CLIENT: sim_client(s, e); return true;
    case EV_FAULT: sim_fault(s); return true;
    case EV_FLAP: sim_flap(s, e); return true;
    case EV_HEAL:
        if (e->extra == s->net_generation)
            sim_net_heal(s);
        return true;
    case EV_BOOT:
        if (!m->up && !m->dead && e->generation == m->generation)
            sim_boot(s, m);
        return true;
    case EV_ROOM: sim_disk_room(m); return true;
    case EV_IMAGE: sim_fault_image(s); return true;
    case EV_HANDOVER: sim_fault_handover(s, e); return true;
    case EV_MEMBERS: sim_fault_members(s); return true;
    case EV_FORGET: sim_fault_forget(s, m, e->extra != 0); return true;
    case EV_DATAGRAM:
        if (!m->up)
            sim_closed(s, e->node, e->from);
        break;
    case EV_CLOSED:
    case EV_DISK:
    case EV_WAKE:
    case EV_SUBMIT: break;
    }
    if (!m->up || (e->kind != EV_DATAGRAM && e->generation != m->generation)) {
        if (e->kind == EV_SUBMIT)
            sim_not_sent(s, e->op);
        return true;
    }
    if (s->now < m->paused_until) {
        if (e->kind == EV_DATAGRAM && m->backlog++ >= BACKLOG)
            return true;
        if (e->kind == EV_WAKE && e->at == m->wake_at)
            e->extra = 1;
        e->at = m->paused_until;
        e->order = s->order++;
        heap_put(s, e);
        return false;
    }
    m->backlog = 0;
    handle_node(s, m, e);
    return true;
}

static void step(struct sim *s)
{
    struct sim_event *e = heap_take(s);
    s->now = e->at;
    s->t.events++;
    if (handle(s, e))
        forget(s, e);
    if (s->n_heap == 0 || s->heap[0].at > s->now)
        flush(s);
}

void sim_run(struct sim *s, uint64_t us)
{
    uint64_t until = s->now + us;
    flush(s);
    while (s->n_heap > 0 && s->heap[0].at <= until) {
        if (s->o.events_max != 0 && !s->calm && s->t.events >= s->o.events_max)
            return;
        step(s);
    }
    s->now = until;
}

/* ---- lives ---- */

static void configure(struct sim *s, const struct sim_node *m, struct node_config *nc)
{
    bool joins = s->o.members_us != 0 &&
                 m->storage > NODES; /* a new disk, that has no members on it */
    *nc = (struct node_config){
        .cluster = "sim",
        .id = m->id,
        .n_voters = joins ? 0 : s->o.nodes,
        .election_timeout_us = s->o.election_timeout_us,
        .lease_us = s->o.lease_us,
        .max_value_bytes = s->o.max_value_bytes,
        .max_data_bytes = s->o.max_data_bytes,
        .batch_bytes = s->o.batch_bytes,
        .segment_bytes = s->o.segment_bytes,
        .log_max_bytes = s->o.log_max_bytes,
        .cache_bytes = s->o.cache_bytes,
        .relay_bytes = s->o.relay_bytes,
        .datagram_bytes = s->o.datagram_bytes,
        .rx_bytes = s->o.rx_bytes,
        .take_held = s->o.take_held,
        .rekey_us = s->o.rekey_us,
        .digest_every = s->o.digest_every,
        .seed = sim_roll(s, RNG_NODE, UINT64_MAX),
        /* different in every life of every node, and far apart, as random bits nearly are */
        .boot = (++s->boots * UINT32_C(0x9e3779b1) ^ (uint32_t)s->o.seed << 20) & INT32_MAX,
    };
    if (nc->boot == 0)
        nc->boot = INT32_MAX;
    memcpy(nc->key, m->own.key, sizeof nc->key);
    for (unsigned i = 0; i < s->o.nodes; i++) {
        nc->voters[i] = (uint16_t)(i + 1);
        memcpy(nc->known[i], m->peers_known[i], sizeof nc->known[i]);
        sim_address(s, i, nc->addrs[i][0]);
    }
}

void sim_on_random(void *ctx, void *buf, size_t len)
{
    struct sim_node *m = ctx;
    uint8_t *p = buf;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)sim_roll(m->sim, RNG_KEYS, 256);
}

static void on_diverged(void *ctx, uint64_t index, bool another)
{
    struct sim_node *m = ctx;
    if (!m->sim->spoilt)
        sim_broken(m->sim, "diverged", "node %u has another state as of entry %" PRIu64, m->at + 1,
                   index);
    m->diverged = another ? 1 : -1;
}

/* A new process starts with nothing. */
static void clear_state(struct sim_node *m)
{
    kv_clear(m->kv);
    if (!kv_publish(m->kv, 0, 0))
        abort();
}

void sim_boot(struct sim *s, struct sim_node *m)
{
    static const struct node_io calls = {.send = sim_on_send,
                                         .random = sim_on_random,
                                         .spy = sim_on_spy,
                                         .persist = sim_on_persist,
                                         .fetch = sim_on_fetch,
                                         .remember = sim_on_remember,
                                         .answer = sim_on_answer,
                                         .awaits = sim_awaits,
                                         .reads_done = sim_on_reads_done,
                                         .diverged = on_diverged,
                                         .image = sim_on_image,
                                         .image_end = sim_on_image_end,
                                         .drop_log = sim_on_drop,
                                         .snap_read = sim_on_snap_read,
                                         .snap_open = sim_on_snap_open,
                                         .snap_write = sim_on_snap_write,
                                         .snap_install = sim_on_snap_install};
    const struct session_keys keys = {
        .has = {true}, .key = {"the cluster's simulated secret."}, .own = m->own};
    struct wal_report rep;
    struct node_config nc;
    struct snapshot_name newest;
    if (m->kv == NULL)
        m->kv = sim_must(kv_new());
    m->machine = sim_must(machine_new(m->kv));
    if (!sim_recover(s, m, &rep, &newest)) {
        machine_free(m->machine);
        clear_state(m);
        return;
    }
    configure(s, m, &nc);
    struct node_io io = calls;
    io.ctx = m;
    sim_where_start(m, &io);
    m->generation++;
    m->wake_at = m->paused_until = 0;
    m->backlog = m->spins = 0;
    m->job_head = m->n_jobs = 0;
    m->n_reads = 0;
    m->lead_term = m->applied = 0;
    sim_programs_start(m);
    m->knows_cloned = 0;
    m->history_from = newest.index + 1;
    m->known = rep.commit;
    m->committed = &s->root;
    m->durable = rep.last_index;
    m->node = sim_must(node_new(&nc, &io, &rep, newest.index != 0 ? &newest : NULL,
                                s->o.plain ? NULL : &keys, m->kv, m->machine,
                                sim_local(m, s->now)));
    m->up = true;
    m->boot = nc.boot;
    m->unsealed = false;
    s->t.boots++;
    if (node_raft(m->node)->damaged != rep.doubt)
        sim_broken(s, "doubt-untold", "node %u does not know that it is in doubt", m->at + 1);
    if (node_raft(m->node)->commit_index != m->hard.commit)
        sim_broken(s, "commit-forgotten", "node %u starts with another commit index than on disk",
                   m->at + 1);
    if (newest.index != 0)
        sim_check_state(s, m);
    sim_note(s, NOTE_BOOT, m->at, rep.term, rep.vote, rep.last_index);
    sim_touch(s, m);
}

void sim_stop_node(struct sim *s, struct sim_node *m, enum sim_stop how)
{
    sim_clone_ends(s, m);
    sim_note(s, NOTE_DOWN, m->at, how, 0, 0);
    if (m->up) {
        m->up = m->dirty = false;
        m->generation++;
        sim_clients_lost(s, m);
        node_free(m->node);
        machine_free(m->machine);
        sim_snap_stop(m);
        clear_state(m);
        wal_close(m->wal);
        m->node = NULL;
        m->wal = NULL;
    }
    switch (how) {
    case STOP_CUT_NONE: memdisk_power_cut(m->disk, MEMDISK_KEEP_NONE); break;
    case STOP_CUT_ALL: memdisk_power_cut(m->disk, MEMDISK_KEEP_ALL); break;
    case STOP_CUT_RANDOM: memdisk_power_cut(m->disk, MEMDISK_KEEP_RANDOM); break;
    case STOP_KILL: memdisk_kill(m->disk); return;
    }
    m->clock_offset = sim_between(s, RNG_NODE, 1000, UINT64_C(1) << 40); /* the box starts anew */
}

void sim_boot_later(struct sim *s, struct sim_node *m, uint64_t us)
{
    sim_post(s, s->now + us, EV_BOOT, m->at);
}

struct sim *sim_new(const struct sim_options *o)
{
    int rc = sodium_init();
    assert(rc >= 0);
    (void)rc;
    struct sim *s = sim_must(calloc(1, sizeof *s));
    assert(o->nodes >= 1 && o->nodes <= NODES);
    s->o = *o;
    for (unsigned i = 0; i < RNGS; i++)
        s->rng[i] = o->seed * RNGS + i;
    for (unsigned i = 0; i < RNGS; i++)
        s->rng[i] = sim_roll(s, (enum stream_rng)i, UINT64_MAX);
    s->rng[RNG_HANDOVER] = ~o->seed; /* came late, as in plan.c */
    s->rng[RNG_LOCK] = ~(o->seed + 1);
    s->now = 1000000;
    sim_check_init(s);
    sim_clients_init(s);
    for (unsigned i = 0; i < o->nodes; i++) {
        struct sim_node *m = &s->m[i];
        m->sim = s;
        m->at = i;
        m->id = (uint16_t)(i + 1);
        m->host = s->hosts++;
        m->clock_offset = sim_between(s, RNG_NODE, 1000, UINT64_C(1) << 40);
        if (o->ppm_max > 0)
            m->clock_ppm = (int64_t)sim_between(s, RNG_NODE, 0, 2 * (uint64_t)o->ppm_max) -
                           o->ppm_max;
        sim_disk_new(s, m);
    }
    for (unsigned i = 0; i < o->nodes; i++)
        sim_boot(s, &s->m[i]);
    sim_fault_init(s);
    return s;
}

static void free_box(struct sim *s, struct sim_node *m)
{
    if (m->up)
        sim_stop_node(s, m, STOP_KILL);
    for (unsigned j = 0; j < JOBS; j++)
        free(m->jobs[j].own);
    free(m->was);
    free(m->follower);
    free(m->where);
    kv_free(m->kv);
    if (m->disk != NULL)
        sim_disk_free(m);
    if (m->image != NULL)
        memdisk_free(m->image);
}

void sim_free(struct sim *s)
{
    for (unsigned i = 0; i < NODES; i++)
        free_box(s, &s->m[i]);
    while (s->n_heap > 0)
        forget(s, heap_take(s));
    while (s->free_events != NULL) {
        struct sim_event *e = s->free_events;
        s->free_events = e->next;
        free(e);
    }
    sim_clients_free(s);
    sim_check_free(s);
    free(s->tape);
    free(s->heap);
    free(s);
}

/* ---- by hand ---- */

uint64_t sim_now(const struct sim *s)
{
    return s->now;
}

const struct sim_totals *sim_totals(struct sim *s)
{
    s->t.virtual_us = s->now - 1000000;
    return &s->t;
}

bool sim_is_up(const struct sim *s, unsigned node)
{
    return s->m[node].up;
}

void sim_crash(struct sim *s, unsigned node)
{
    if (s->m[node].up)
        sim_stop_node(s, &s->m[node], STOP_CUT_RANDOM);
}

void sim_restart(struct sim *s, unsigned node)
{
    if (!s->m[node].up)
        sim_boot(s, &s->m[node]);
}

void sim_spoil(struct sim *s, unsigned node)
{
    const uint8_t name = (uint8_t)node;
    const struct kv_content c = {.key = (const uint8_t *)"spoilt",
                                 .key_len = 6,
                                 .value = &name,
                                 .value_len = 1,
                                 .create_revision = 1,
                                 .modify_revision = 1};
    assert(s->m[node].up);
    s->spoilt = true;
    if (kv_put(s->m[node].kv, &c) != KV_DONE)
        abort();
}

int sim_diverged(const struct sim *s, unsigned node)
{
    return s->m[node].diverged;
}

bool sim_lose_tail(struct sim *s, unsigned node)
{
    return sim_forget(s, &s->m[node]);
}

void sim_cut(struct sim *s, unsigned from, unsigned to, bool cut)
{
    s->cut[from][to] = cut;
}

void sim_heal(struct sim *s)
{
    s->calm = true;
    sim_net_heal(s);
    sim_fault_calm(s);
}

const struct raft *sim_raft(const struct sim *s, unsigned node)
{
    return s->m[node].up ? node_raft(s->m[node].node) : NULL;
}

int sim_leader(const struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        if (!s->m[i].up || node_raft(s->m[i].node)->role != RAFT_LEADER)
            continue;
        const struct raft *l = node_raft(s->m[i].node);
        unsigned followers = 0;
        for (unsigned j = 0; j < s->o.nodes; j++)
            followers += s->m[j].up && sim_counts(&l->members, j, sim_disk_of(&s->m[j])) &&
                         node_raft(s->m[j].node)->leader == i + 1 &&
                         node_raft(s->m[j].node)->term == l->term;
        if (2 * followers > raft_n_voters(&l->members))
            return (int)i;
    }
    return -1;
}

bool sim_converged(const struct sim *s)
{
    int leader = sim_leader(s);
    if (leader < 0)
        return false;
    const struct entry *tip = s->m[leader].tip;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *m = &s->m[i];
        if (m->up && !m->outside &&
            (m->pending > 0 || m->tip != tip ||
             replica_applied(node_replica(m->node)) != tip->index ||
             sim_tip(&m->hard, m->snap) != tip || raft_in_doubt(node_raft(m->node)) ||
             m->n_reads > 0 || !node_local_reads(m->node)))
            return false;
    }
    return true;
}
