/* act.c: what can happen in a world, and what comes of it. */
#include "tests/explore/world.h"

#include <string.h>

static bool stands(const struct raft *r)
{
    return r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE;
}

/* raft_step() of the acting node. */
static void step(struct lab *l, struct world *w, unsigned i, const struct raft_event *ev)
{
    struct raft *r = &l->r;
    struct raft_edit edit;
    raft_step(r, W_NOW, ev, &edit);
    if (r->trail.last > l->b.entries || r->term > l->b.terms) {
        l->outside = true;
        return;
    }
    w_judge_edit(l, ev, &edit);
    if (r->campaign != l->campaign || !stands(r))
        w_end_campaign(w, i);
    l->campaign = r->campaign;
}

static void send(struct lab *l, struct world *w, unsigned i, const struct raft_msg *m)
{
    struct w_msg x;
    w_judge_sent(l, w, i, m);
    w_pack_msg(&l->r, m, W_NET, &x);
    w_add_msg(l, w, &x);
}

/* --------------------------------------------------------------------------------------- disk */

static void write_batch(struct lab *l, struct world *w, unsigned i, const struct raft_ready *rd)
{
    const struct raft_persist *p = &rd->persist;
    struct w_node *n = &w->nodes[i];
    n->batch_term = w_byte(p->term);
    n->batch_vote = w_byte(p->vote);
    n->batch_truncate = p->truncate;
    n->batch_truncate_to = p->truncate ? w_byte(p->truncate_to) : 0;
    n->batch_first = w_byte(p->first_index);
    n->batch_last = p->first_index != 0 ? w_byte(p->last_index) : 0;
    n->batch_commit = n->may & W_CRASHES ? w_byte(p->commit) : 0;
    for (unsigned index = n->batch_first; index != 0 && index <= n->batch_last; index++)
        n->batch_log[index] = l->log[index];
    for (size_t k = 0; k < rd->n_after; k++) {
        struct w_msg m;
        w_pack_msg(&l->r, &rd->after[k], W_HELD, &m);
        w_add_msg(l, w, &m);
    }
}

static void batch_durable(struct lab *l, struct w_node *n)
{
    struct w_node before = *n;
    n->disk_term = n->batch_term;
    n->disk_vote = n->batch_vote;
    n->disk_commit = n->batch_commit;
    if (n->batch_truncate && n->disk_last > n->batch_truncate_to)
        n->disk_last = n->batch_truncate_to;
    if (n->batch_first != 0 && n->batch_first != n->disk_last + 1)
        w_fail(l, "a batch does not continue the log on disk");
    if (n->batch_first != 0)
        n->disk_last = n->batch_last;
    for (unsigned index = n->batch_first; index != 0 && index <= n->batch_last; index++)
        n->disk_log[index] = n->batch_log[index];
    for (unsigned index = n->disk_last + 1u; index <= W_LOG; index++)
        n->disk_log[index] = 0;
    w_judge_disk(l, &before, n);
}

static void forget_batch(struct w_node *n)
{
    n->batch_term = n->batch_vote = n->batch_truncate = n->batch_truncate_to = 0;
    n->batch_first = n->batch_last = n->batch_commit = 0;
    memset(n->batch_log, 0, sizeof n->batch_log);
}

/* Messages that waited for the batch leave, or are lost in a crash. */
static void release_held(struct lab *l, struct world *w, unsigned i, bool send_them)
{
    unsigned kept = 0, n_held = 0;
    struct w_msg held[W_MSGS];
    for (unsigned k = 0; k < w->n_msgs; k++) {
        if (w_place(&w->msgs[k]) == W_HELD && w_from(&w->msgs[k]) == i)
            held[n_held++] = w->msgs[k];
        else
            w->msgs[kept++] = w->msgs[k];
    }
    w->n_msgs = (uint8_t)kept;
    for (unsigned k = 0; send_them && k < n_held; k++) {
        struct raft_msg m;
        w_unpack_msg(&held[k], &m);
        w_judge_sent(l, w, i, &m);
        held[k].kind = (uint8_t)w_type(&held[k]);
        w_add_msg(l, w, &held[k]);
    }
}

static void disk_done(struct lab *l, struct world *w, unsigned i)
{
    struct raft_event ev = {.type = RAFT_EV_PERSISTED};
    ev.persisted.seq = l->r.inflight_seq;
    batch_durable(l, &w->nodes[i]);
    forget_batch(&w->nodes[i]);
    release_held(l, w, i, true);
    step(l, w, i, &ev);
}

/* -------------------------------------------------------------------------------------- cycle */

static void take_read(struct lab *l, struct w_node *n, const struct raft_ready *rd)
{
    if (rd->read_index < n->read_floor)
        w_fail(l, "a read misses an entry that was committed before it was asked for");
    n->read_floor = 0;
}

/* raft_ready() and raft_advance(). */
static void cycle(struct lab *l, struct world *w, unsigned i, struct w_action a)
{
    struct raft *r = &l->r;
    struct raft_ready rd;
    while (!l->outside) {
        raft_ready(r, W_NOW, &rd);
        struct raft_persist *p = &rd.persist;
        if (p->first_index != 0 && p->last_index > p->first_index) {
            l->can_short = true;
            if (a.how & HOW_SHORT)
                p->last_index = p->first_index;
            if (p->commit > p->last_index)
                p->commit = p->last_index;
        }
        bool batch = p->seq != 0;
        if (batch)
            write_batch(l, w, i, &rd);
        for (size_t k = 0; k < rd.n_now; k++)
            send(l, w, i, &rd.now[k]);
        if (rd.read)
            take_read(l, &w->nodes[i], &rd);
        raft_advance(r, W_NOW, &rd);
        if (!batch || (w->nodes[i].may & W_SLOW))
            break;
        disk_done(l, w, i);
    }
}

/* What a leader streams. */
static void open_streams(struct lab *l, struct world *w, unsigned i)
{
    const struct raft *r = &l->r;
    for (unsigned k = 0; r->role == RAFT_LEADER && k < r->n_peers; k++) {
        const struct raft_peer *p = &r->peers[k];
        if (p->state != RAFT_PEER_REPLICATE || !p->served)
            continue;
        struct w_msg m = {.kind = W_DATA,
                          .path = (uint8_t)(i << 4 | (p->id - 1u)),
                          .term = w_byte(r->term),
                          .f = {w_byte(p->epoch), w_byte(p->base_index)}};
        w_add_msg(l, w, &m);
    }
}

/* ------------------------------------------------------------------------------------- events */

/* Entries of a stream, up to a.last. The caller gives them to the core in order: from what the node
 * has verified on, or else from the start of the stream. */
static void append(struct lab *l, struct world *w, unsigned i, struct w_action a)
{
    const struct w_msg *m = &w->msgs[a.arg];
    const uint8_t *log = w->leader_log[m->term];
    struct raft_run runs[RAFT_APPEND_RUNS_MAX];
    struct raft_members members[W_LOG];
    struct raft_event ev = {.type = RAFT_EV_APPEND};
    unsigned base = m->f[1], prev = w->nodes[i].verified;
    if (prev >= a.last)
        prev = a.last - 1u;
    if (prev < base)
        prev = base;
    size_t n = 0;
    for (unsigned index = prev + 1; index <= a.last; index++) {
        if (n == 0 || w_term(log[index]) != runs[n - 1].term)
            runs[n++] = (struct raft_run){.first_index = index, .term = w_term(log[index])};
        if (w_conf(log[index]) != 0)
            members[ev.append.n_members++] = w_members(l, i, log, index);
    }
    ev.append.from = (uint16_t)(w_from(m) + 1);
    ev.append.term = m->term;
    ev.append.epoch = m->f[0];
    ev.append.prev_index = prev;
    ev.append.prev_term = prev == 0 ? 0 : w_term(log[prev]);
    ev.append.last_index = a.last;
    ev.append.runs = runs;
    ev.append.n_runs = n;
    ev.append.members = members;
    l->sent = log;
    step(l, w, i, &ev);
}

static void deliver(struct lab *l, struct world *w, unsigned i, struct w_action a)
{
    struct raft_msg m;
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .msg = &m};
    if (a.type == ACT_DELIVER) {
        w_unpack_msg(&w->msgs[a.arg], &m);
    } else { /* the answer to any message of an older term */
        memset(&m, 0, sizeof m);
        m.type = RAFT_MSG_ACK;
        m.from = (uint16_t)(a.arg + 1);
        m.to = (uint16_t)(i + 1);
        m.term = w->nodes[a.arg].disk_term;
        m.ack.boot = w->nodes[a.arg].boot + 1u;
    }
    step(l, w, i, &ev);
}

static void ask_read(struct lab *l, struct world *w, unsigned i)
{
    struct w_node *n = &w->nodes[i];
    struct raft_event ev = {.type = RAFT_EV_READ};
    ev.read.req = (uint64_t)(n->boot + 1) << 32 | ((n->read_want & 15u) + 1u);
    n->read_floor = w->n_committed;
    w->reads++;
    step(l, w, i, &ev);
}

static void start(struct lab *l, struct world *w, unsigned i, bool damaged)
{
    struct w_node *n = &w->nodes[i];
    struct raft_config cfg;
    struct raft_run runs[W_LOG];
    struct raft_restored disk = {.term = n->disk_term,
                                 .vote = n->disk_vote,
                                 .last_index = n->disk_last,
                                 .runs = runs,
                                 .commit = n->disk_commit,
                                 .damaged = damaged,
                                 .members = w_members(l, i, n->disk_log, n->disk_last)};
    for (unsigned index = 1; index <= n->disk_last; index++) {
        unsigned term = w_term(n->disk_log[index]);
        if (index == 1 || term != w_term(n->disk_log[index - 1]))
            runs[disk.n_runs++] = (struct raft_run){.first_index = index, .term = term};
    }
    if (disk.members.index > disk.commit)
        disk.members_before = w_members(l, i, n->disk_log, disk.members.index - 1);
    memcpy(l->log, n->disk_log, sizeof l->log);
    w_config(i, n->boot, &cfg);
    raft_init(&l->r, &cfg, &disk, l->runs, W_RUNS, W_NOW);
    w_end_campaign(w, i);
    w_store(l, w, i, &l->r);
    n->read_floor = 0;
}

void w_start(struct lab *l, struct world *w)
{
    for (unsigned i = 0; i < l->b.nodes; i++) {
        w->nodes[i].may = w_byte(
            (l->b.slow >> i & 1u) * W_SLOW | (l->b.crashing >> i & 1u) * W_CRASHES |
            (l->b.standing >> i & 1u) * W_STANDS | (l->b.reading >> i & 1u) * W_READS_HERE);
        start(l, w, i, false);
    }
}

static void crash(struct lab *l, struct world *w, unsigned i, bool kept)
{
    struct w_node *n = &w->nodes[i];
    if (kept)
        batch_durable(l, n);
    forget_batch(n);
    release_held(l, w, i, false);
    n->boot++;
    w->crashes++;
    start(l, w, i, false);
}

static void damage(struct lab *l, struct world *w, unsigned i, unsigned last)
{
    struct w_node *n = &w->nodes[i];
    forget_batch(n);
    release_held(l, w, i, false);
    n->disk_last = (uint8_t)last;
    memset(n->disk_log + last + 1, 0, W_LOG - last);
    n->disk_term = (uint8_t)w_term(n->disk_log[last]);
    n->disk_vote = 0;
    n->disk_commit = n->disk_commit < last ? n->disk_commit : (uint8_t)last;
    n->boot++;
    w->damages++;
    start(l, w, i, true);
}

static void count(const struct bounds *b, struct world *w, struct w_action a)
{
    if (a.type <= ACT_GIVE_UP && b->timeouts != W_FREE)
        w->timeouts++;
    if (a.type == ACT_BEAT && b->beats != W_FREE)
        w->beats++;
    if (a.type == ACT_PROPOSE && b->proposals != W_FREE)
        w->proposals++;
    if (a.type == ACT_CHANGE)
        w->changes++;
    if (a.type == ACT_TRANSFER)
        w->transfers++;
}

static void event(struct lab *l, struct world *w, unsigned i, struct w_action a)
{
    struct raft_event ev = {.type = RAFT_EV_TICK};
    count(&l->b, w, a);
    switch ((enum w_action_type)a.type) {
    case ACT_TIMEOUT:
    case ACT_DISK_LATE:
    case ACT_HEIR_LATE:
    case ACT_GIVE_UP: step(l, w, i, &ev); break;
    case ACT_BEAT: {
        int slot = raft_peer_slot(&l->r, (uint16_t)(a.arg + 1));
        l->r.peers[slot].lead_sent = W_LONG_AGO;
        if (!l->b.lazy)
            step(l, w, i, &ev);
        break;
    }
    case ACT_PING:
        if (!l->b.lazy)
            step(l, w, i, &ev);
        break;
    case ACT_LEARN:
    case ACT_DELIVER: deliver(l, w, i, a); break;
    case ACT_DATA: append(l, w, i, a); break;
    case ACT_PROPOSE:
        ev.type = RAFT_EV_PROPOSE;
        ev.propose.n = 1;
        step(l, w, i, &ev);
        break;
    case ACT_CHANGE:
        l->change = a.arg;
        ev.type = RAFT_EV_PROPOSE;
        ev.propose.n = 1;
        ev.propose.members = &l->conf[a.arg];
        step(l, w, i, &ev);
        break;
    case ACT_TRANSFER:
        ev.type = RAFT_EV_TRANSFER;
        ev.transfer.heir = (uint16_t)(a.arg + 1);
        step(l, w, i, &ev);
        break;
    case ACT_READ: ask_read(l, w, i); break;
    case ACT_DISK: disk_done(l, w, i); break;
    case ACT_CRASH_LOST:
    case ACT_CRASH_KEPT:
    case ACT_DAMAGE:
    case ACT_FLUSH: break;
    }
}

static enum w_time time_of(struct w_action a)
{
    switch ((enum w_action_type)a.type) {
    case ACT_TIMEOUT: return TIME_TIMEOUT;
    case ACT_DISK_LATE: return TIME_DISK_LATE;
    case ACT_GIVE_UP: return TIME_GIVE_UP;
    case ACT_PING: return TIME_PING;
    case ACT_HEIR_LATE: return TIME_HEIR_LATE;
    default: return a.how & HOW_SILENT ? TIME_SILENT : TIME_CALM;
    }
}

static void copy_world(struct world *to, const struct world *from)
{
    memcpy(to, from, offsetof(struct world, msgs) + from->n_msgs * sizeof from->msgs[0]);
}

void w_act(struct lab *l, const struct world *from, struct w_action a, struct world *to)
{
    unsigned i = a.node;
    struct w_node *n = &to->nodes[i];
    const struct w_node *before = &from->nodes[i];
    l->broken = NULL;
    l->outside = l->can_short = false;
    copy_world(to, from);
    if (a.type == ACT_CRASH_LOST || a.type == ACT_CRASH_KEPT) {
        crash(l, to, i, a.type == ACT_CRASH_KEPT);
        w_judge(l, to, before, i, true);
        return;
    }
    if (a.type == ACT_DAMAGE) {
        damage(l, to, i, a.arg);
        w_judge(l, to, before, i, true);
        return;
    }
    w_load(l, from, i, time_of(a), &l->r, l->runs);
    l->campaign = l->r.campaign;
    l->last = before->last;
    memcpy(l->log, before->log, sizeof l->log);
    l->change = 0;
    event(l, to, i, a);
    if (l->outside)
        return;
    if (!l->b.lazy || a.type == ACT_FLUSH || a.type == ACT_BEAT || a.type == ACT_PING)
        cycle(l, to, i, a);
    if (l->outside)
        return;
    w_store(l, to, i, &l->r);
    open_streams(l, to, i);
    n->commit = w_byte(l->r.commit_index);
    w_judge(l, to, before, i, false);
}

/* ---------------------------------------------------------------------------------- which ones */

struct list {
    struct w_action *a;
    unsigned n, max;
};

static void add(struct list *s, enum w_action_type type, unsigned node, unsigned arg, unsigned last,
                unsigned how)
{
    if (s->n == s->max)
        return;
    s->a[s->n++] = (struct w_action){.type = (uint8_t)type,
                                     .node = (unsigned char)(node & 15),
                                     .last = (unsigned char)(last & 15),
                                     .arg = (uint8_t)arg,
                                     .how = (uint8_t)how};
}

/* A heartbeat that says something new: no LEAD with the same content is still under way. */
static bool beat_useful(const struct world *w, unsigned i, unsigned to)
{
    const struct w_node *n = &w->nodes[i], *peer = &w->nodes[to];
    for (unsigned k = 0; k < w->n_msgs; k++) {
        const struct w_msg *m = &w->msgs[k];
        if (w_type(m) != RAFT_MSG_LEAD || w_from(m) != i || w_to(m) != to || m->term != n->term)
            continue;
        if (m->f[0] == (n->peers[to].boot != 0 ? n->peers[to].epoch : 0) && m->f[2] == n->commit &&
            (peer->term < n->term || (peer->term == n->term && m->f[1] > peer->round)))
            return false;
    }
    return true;
}

static void node_actions(const struct bounds *b, const struct world *w, unsigned i, struct list *s)
{
    const struct w_node *n = &w->nodes[i];
    bool leader = n->role == RAFT_LEADER;
    bool time = w->timeouts < b->timeouts && (n->may & W_STANDS);
    bool crashes = w->crashes < b->crashes && (n->may & W_CRASHES);
    if (b->lazy)
        add(s, ACT_FLUSH, i, 0, 0, 0);
    if (time && !leader)
        add(s, ACT_TIMEOUT, i, 0, 0, 0);
    if (time && !leader && n->role != RAFT_FOLLOWER && n->inflight)
        add(s, ACT_DISK_LATE, i, 0, 0, 0);
    if (time && leader)
        add(s, ACT_GIVE_UP, i, 0, 0, 0);
    if (leader && n->last < b->entries && w->proposals < b->proposals)
        add(s, ACT_PROPOSE, i, 0, 0, 0);
    for (unsigned k = 1; leader && n->last < b->entries && w->changes < b->changes && k < b->confs;
         k++)
        add(s, ACT_CHANGE, i, k, 0, 0);
    for (unsigned k = 0; leader && w->transfers < b->transfers && k < b->nodes; k++)
        add(s, ACT_TRANSFER, i, k, 0, 0);
    if (time && n->heir != 0)
        add(s, ACT_HEIR_LATE, i, 0, 0, 0);
    if (n->inflight)
        add(s, ACT_DISK, i, 0, 0, 0);
    if (crashes)
        add(s, ACT_CRASH_LOST, i, 0, 0, 0);
    if (crashes && n->inflight)
        add(s, ACT_CRASH_KEPT, i, 0, 0, 0);
    for (unsigned last = 0; w->damages < b->damages && (n->may & W_CRASHES) && last <= n->disk_last;
         last++)
        add(s, ACT_DAMAGE, i, last, 0, 0);
    if (b->pings && n->role == RAFT_FOLLOWER && n->leader != 0)
        add(s, ACT_PING, i, 0, 0, 0);
    if (w->reads < b->reads && (n->may & W_READS_HERE) && n->read_want == n->read_done)
        add(s, ACT_READ, i, 0, 0, 0);
    for (unsigned k = 0; k < b->nodes; k++) {
        if (leader && n->peers[k].served && w->beats < b->beats && beat_useful(w, i, k))
            add(s, ACT_BEAT, i, k, 0, 0);
        if ((w->learns[i] >> k & 1) && w->nodes[k].disk_term > n->term)
            add(s, ACT_LEARN, i, k, 0, 0);
    }
}

unsigned w_actions(const struct bounds *b, const struct world *w, struct w_action *out,
                   unsigned max)
{
    struct list s = {.a = out, .max = max};
    for (unsigned i = 0; i < b->nodes; i++)
        node_actions(b, w, i, &s);
    for (unsigned k = 0; k < w->n_msgs; k++) {
        const struct w_msg *m = &w->msgs[k];
        unsigned i = w_to(m);
        const struct w_node *n = &w->nodes[i];
        if (w_place(m) != W_NET)
            continue;
        if (w_type(m) != W_DATA) {
            add(&s, ACT_DELIVER, i, k, 0, 0);
            if (w_type(m) == RAFT_MSG_VOTE_REQ && (n->heard || n->role == RAFT_LEADER))
                add(&s, ACT_DELIVER, i, k, 0, HOW_SILENT);
            continue;
        }
        for (unsigned last = m->f[1] + 1u; last <= w->leader_last[m->term]; last++) {
            if (n->term == m->term && n->epoch == m->f[0])
                add(&s, ACT_DATA, i, k, last, 0);
        }
    }
    return s.n;
}

/* ------------------------------------------------------------------------------------- lead-in */

/* Something between nodes i and k, or on their disks. */
static bool between(const struct world *w, struct w_action a, unsigned i, unsigned k)
{
    if (a.type == ACT_DISK)
        return a.node == i || a.node == k;
    if (a.type != ACT_DELIVER || (a.how & HOW_SILENT))
        return false;
    unsigned from = w_from(&w->msgs[a.arg]), to = w_to(&w->msgs[a.arg]);
    return (from == i && to == k) || (from == k && to == i);
}

void w_elect(struct lab *l, struct world *w, unsigned i, unsigned k)
{
    struct w_action actions[W_MSGS * 2];
    struct world next;
    for (unsigned tries = 0; tries < 6 && w->nodes[i].role != RAFT_LEADER; tries++) {
        struct w_action timeout = {.type = ACT_TIMEOUT, .node = (unsigned char)(i & 15)};
        w_act(l, w, timeout, &next);
        copy_world(w, &next);
        bool moved = true;
        while (moved && w->nodes[i].role != RAFT_LEADER) {
            moved = false;
            unsigned n = w_actions(&l->b, w, actions, W_MSGS * 2);
            for (unsigned at = 0; at < n && !moved; at++) {
                if (!between(w, actions[at], i, k))
                    continue;
                w_act(l, w, actions[at], &next);
                moved = !l->outside && !w_same(w, &next);
            }
            if (moved)
                copy_world(w, &next);
        }
    }
    w->timeouts = w->beats = 0;
    if (w->nodes[i].role != RAFT_LEADER)
        w_fail(l, "the search itself: no leader to begin with");
}
