/* core_cluster.c: see core_cluster.h. */
#include "tests/lib/core_cluster.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/core_members.h"

/* ------------------------------------------------------------------------------------- chance */

uint64_t cl_random(struct cl *c)
{
    uint64_t z = (c->rng += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

bool cl_chance(struct cl *c, unsigned per_mille)
{
    return per_mille > 0 && cl_random(c) % 1000 < per_mille;
}

raft_time cl_between(struct cl *c, raft_time low, raft_time high)
{
    return low >= high ? low : low + cl_random(c) % (high - low + 1);
}

#define LL(x) (unsigned long long)(x)

/* -------------------------------------------------------------------------------------- trace */

void cl_say(struct cl *c, unsigned i, const char *what, const char *format, ...)
{
    if (c->trace == NULL)
        return;
    char text[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (text[0] != '\0')
        fprintf(c->trace, "%8.1f  %u  %-12s %s\n", (double)c->now / 1000.0, i + 1, what, text);
    else
        fprintf(c->trace, "%8.1f  %u  %s\n", (double)c->now / 1000.0, i + 1, what);
}

_Noreturn void cl_fail(const struct cl *c, unsigned i, const char *format, ...)
{
    va_list ap;
    if (c->trace != NULL)
        fflush(c->trace);
    fprintf(stderr, "\nBROKEN at %.3f ms, node %u of %u: ", (double)c->now / 1000.0, i + 1, c->n);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\nreplay: test_raft_random %llu   (TRACE=1 shows every event)\n",
            (unsigned long long)c->seed);
    abort();
}

/* What a step changed, as name=value; the first `important` ones alone are shown by trace_state. */
static void say_step(struct cl *c, unsigned i, const char *what, const char *detail,
                     const struct raft *b)
{
    if (c->trace == NULL)
        return;
    const struct raft *r = &c->nodes[i].r;
    char s[300] = "", more[300] = "";
    size_t n = 0, k = 0;
    if (r->role != b->role || (r->role == RAFT_PRE_CANDIDATE && r->campaign != b->campaign)) {
        n += (size_t)snprintf(s + n, sizeof s - n, " %s", raft_role_name(r->role));
        if (r->role == RAFT_FOLLOWER || r->role == RAFT_PRE_CANDIDATE)
            n += (size_t)snprintf(s + n, sizeof s - n, " (%s)", raft_why_name(r->why));
    }
#define SHOW(buffer, used, field, name)                                                            \
    if (r->field != b->field)                                                                      \
    used += (size_t)snprintf(buffer + used, sizeof buffer - used, " " name "=%llu", LL(r->field))
    SHOW(s, n, term, "term");
    SHOW(s, n, vote, "vote");
    SHOW(s, n, leader, "leader");
    SHOW(s, n, commit_index, "commit");
    SHOW(s, n, members.index, "members");
    SHOW(s, n, removed, "removed");
    SHOW(s, n, doubt_index, "doubt");
    SHOW(s, n, damaged, "damaged");
    SHOW(s, n, stats.lost_acked, "lost-acked");
    SHOW(s, n, heir, "heir");
    SHOW(s, n, no_room, "no-room");
    if (r->transfers != b->transfers || r->transfer != b->transfer)
        n += (size_t)snprintf(s + n, sizeof s - n, " (hand-over: %s)",
                              raft_transfer_name(r->transfer));
    SHOW(more, k, trail.last, "last");
    SHOW(more, k, durable_index, "durable");
    SHOW(more, k, verified, "verified");
    SHOW(more, k, stats.stale_msgs, "stale");
    SHOW(more, k, stats.impossible_msgs, "impossible");
    SHOW(more, k, stats.votes_refused_by_lease, "refused-by-lease");
    if (c->trace_state && n == 0)
        return;
    const char *gap = detail[0] != '\0' && (n > 0 || k > 0) ? " |" : "";
    if (c->trace_state)
        cl_say(c, i, what, "%s", s + 1);
    else
        cl_say(c, i, what, "%s%s%s%s", detail, gap, detail[0] == '\0' && n > 0 ? s + 1 : s, more);
}

/* ------------------------------------------------------------------------------------ network */

static bool earlier(const struct cl_packet *a, const struct cl_packet *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

static void heap_push(struct cl *c, struct cl_packet p)
{
    if (c->n_heap == CL_PACKETS)
        cl_fail(c, 0, "the test's network is full");
    p.number = c->next_number++;
    size_t k = c->n_heap++;
    for (; k > 0 && earlier(&p, &c->heap[(k - 1) / 2]); k = (k - 1) / 2)
        c->heap[k] = c->heap[(k - 1) / 2];
    c->heap[k] = p;
}

static struct cl_packet heap_pop(struct cl *c)
{
    struct cl_packet top = c->heap[0], p = c->heap[--c->n_heap];
    size_t k = 0;
    for (;;) {
        size_t child = 2 * k + 1;
        if (child >= c->n_heap)
            break;
        if (child + 1 < c->n_heap && earlier(&c->heap[child + 1], &c->heap[child]))
            child++;
        if (!earlier(&c->heap[child], &p))
            break;
        c->heap[k] = c->heap[child];
        k = child;
    }
    c->heap[k] = p;
    return top;
}

static void transmit(struct cl *c, struct cl_packet p)
{
    unsigned from = p.msg.from - 1u, to = p.msg.to - 1u;
    enum cl_link link = c->links[from][to];
    if (c->trace != NULL && !c->trace_state) {
        char text[200], what[20];
        cl_describe(&p, text, sizeof text);
        snprintf(what, sizeof what, "to %u%s", to + 1,
                 link == CL_CUT    ? " (lost)"
                 : link == CL_HELD ? " (held)"
                                   : "");
        cl_say(c, from, what, "%s", text);
    }
    if (!p.data)
        ghost_sent(c, from, &p.msg);
    p.msg.incarnation = c->nodes[from].incarnation;
    c->sent++;
    c->last[from][to][cl_kind(&p)] = p;
    if (link == CL_HELD) {
        if (c->n_held == CL_PACKETS)
            cl_fail(c, from, "too many held packets");
        c->held[c->n_held++] = p;
        return;
    }
    if (link == CL_CUT || cl_chance(c, c->drop))
        return;
    do {
        p.at = c->now + cl_between(c, c->delay_min, c->delay_max);
        heap_push(c, p);
    } while (cl_chance(c, c->repeat));
}

static void transmit_msg(struct cl *c, const struct raft_msg *m)
{
    transmit(c, (struct cl_packet){.msg = *m});
}

static size_t take_held(struct cl *c, unsigned from, unsigned to, bool deliver)
{
    size_t kept = 0, n = c->n_held;
    for (size_t k = 0; k < n; k++) {
        struct cl_packet p = c->held[k];
        if (p.msg.from != from + 1 || p.msg.to != to + 1) {
            c->held[kept++] = p;
        } else if (deliver) {
            p.at = c->now;
            heap_push(c, p);
        }
    }
    c->n_held = kept;
    return n - kept;
}

void cl_release(struct cl *c, unsigned from, unsigned to)
{
    take_held(c, from, to, true);
}

void cl_forget_held(struct cl *c, unsigned from, unsigned to)
{
    take_held(c, from, to, false);
}

bool cl_replay(struct cl *c, unsigned from, unsigned to, unsigned kind)
{
    struct cl_packet p = c->last[from][to][kind];
    if (p.msg.from == 0)
        return false;
    p.at = c->now;
    heap_push(c, p);
    return true;
}

/* --------------------------------------------------------------------------------- ready cycle */

/* Sends what is new on the streams, and again what was not acknowledged. */
static void pump_streams(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    struct raft *r = &node->r;
    for (unsigned slot = 0; r->role == RAFT_LEADER && slot < r->n_peers; slot++) {
        const struct raft_peer *p = &r->peers[slot];
        struct cl_stream *s = &node->streams[slot];
        if (p->state != RAFT_PEER_REPLICATE)
            continue;
        if (s->epoch != p->epoch || s->term != r->term)
            *s = (struct cl_stream){.term = r->term, .epoch = p->epoch, .sent = p->base_index};
        uint64_t acked = p->match_index > p->base_index ? p->match_index : p->base_index;
        if (acked < s->sent && c->now >= s->sent_at + 2 * c->cfg.retry)
            s->sent = acked;
        for (unsigned k = 0; k < CL_FLIGHT && s->sent < r->trail.last; k++) {
            struct cl_packet d = {.data = true, .epoch = p->epoch, .prev_index = s->sent};
            d.msg = (struct raft_msg){.from = r->cfg.id, .to = p->id, .term = r->term};
            d.prev_term = node->log[s->sent].term;
            while (d.n < CL_PIECE && s->sent < r->trail.last)
                d.entries[d.n++] = node->log[++s->sent];
            s->sent_at = c->now;
            transmit(c, d);
            if (cl_chance(c, c->lead_with_data)) {
                struct raft_msg lead;
                raft_lead(r, c->now, slot, &lead);
                transmit_msg(c, &lead);
            }
        }
    }
}

static raft_time stream_deadline(const struct cl *c, unsigned i)
{
    const struct raft *r = &c->nodes[i].r;
    raft_time t = RAFT_NEVER;
    for (unsigned slot = 0; r->role == RAFT_LEADER && slot < r->n_peers; slot++) {
        const struct raft_peer *p = &r->peers[slot];
        const struct cl_stream *s = &c->nodes[i].streams[slot];
        if (p->state != RAFT_PEER_REPLICATE || s->epoch != p->epoch || s->term != r->term)
            continue;
        if ((s->sent > p->match_index && s->sent > p->base_index) || s->sent < r->trail.last) {
            if (s->sent_at + 2 * c->cfg.retry < t)
                t = s->sent_at + 2 * c->cfg.retry;
        }
    }
    return t;
}

static void take_batch(struct cl *c, unsigned i, struct raft_ready *rd)
{
    struct cl_node *node = &c->nodes[i];
    struct raft_persist *p = &rd->persist;
    struct cl_batch *b = &node->batch;
    if (p->seq == 0)
        return;
    if (p->first_index != 0 && cl_chance(c, c->short_batch))
        p->last_index = cl_between(c, p->first_index, p->last_index);
    if (p->first_index != 0 && c->batch_max != 0 && p->last_index - p->first_index >= c->batch_max)
        p->last_index = p->first_index + c->batch_max - 1;
    if (p->first_index != 0 && p->commit > p->last_index)
        p->commit = p->last_index;
    b->persist = *p;
    for (uint64_t index = p->first_index; index != 0 && index <= p->last_index; index++)
        b->entries[index - p->first_index] = node->log[index];
    memcpy(b->after, rd->after, rd->n_after * sizeof *b->after);
    b->n_after = rd->n_after;
    b->done_at = c->now + cl_between(c, c->disk_min, c->disk_max) +
                 cl_between(c, c->disk_us[i] / 2, c->disk_us[i]);
    c->batches++;
    if (c->trace != NULL && !c->trace_state) {
        char text[100];
        int n = snprintf(text, sizeof text, "seq=%llu term=%llu vote=%u", LL(p->seq), LL(p->term),
                         p->vote);
        if (p->reset)
            n += snprintf(text + n, sizeof text - (size_t)n, " reset=%llu:%llu", LL(p->reset_to),
                          LL(p->reset_term));
        if (p->truncate)
            n += snprintf(text + n, sizeof text - (size_t)n, " cut>%llu", LL(p->truncate_to));
        if (p->first_index != 0)
            snprintf(text + n, sizeof text - (size_t)n, " entries=%llu..%llu", LL(p->first_index),
                     LL(p->last_index));
        cl_say(c, i, "write", "%s", text);
    }
}

static void check_ready_twice(struct cl *c, unsigned i, const struct raft_ready *rd)
{
    struct raft_ready again;
    raft_ready(&c->nodes[i].r, c->now, &again);
    if (again.n_now != rd->n_now || again.n_after != rd->n_after ||
        again.persist.seq != rd->persist.seq || again.read != rd->read ||
        again.read_req != rd->read_req || again.commit_index != rd->commit_index)
        cl_fail(c, i, "raft_ready() twice gives two results");
}

static void pump(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    struct raft_ready rd;
    struct raft_msg now[RAFT_MSGS_MAX];
    node->dirty = false;
    raft_ready(&node->r, c->now, &rd);
    check_ready_twice(c, i, &rd);
    memcpy(now, rd.now, rd.n_now * sizeof *now);
    take_batch(c, i, &rd);
    if (rd.read) {
        if (!c->trace_state)
            cl_say(c, i, "read", "req<=%llu served at index %llu", LL(rd.read_req & 0xffffffff),
                   LL(rd.read_index));
        ghost_read(c, i, &rd);
        node->reads_done = rd.read_req & 0xffffffff;
    }
    size_t n_now = rd.n_now;
    raft_advance(&node->r, c->now, &rd);
    for (size_t k = 0; k < n_now; k++)
        transmit_msg(c, &now[k]);
    pump_streams(c, i);
    const char *broken = raft_check(&node->r);
    if (broken != NULL)
        cl_fail(c, i, "raft_check after raft_advance: %s", broken);
    if (node->ticked == c->now && raft_deadline(&node->r) <= c->now)
        cl_fail(c, i, "a tick made no progress: the deadline is not in the future");
}

/* The log of memory and that of the disk begin behind the snapshot; the disk's as soon as it is asked what
 * it holds. */
static void take_snapshot(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    struct cl_disk *d = &node->disk;
    uint64_t base = node->r.trail.base_index;
    for (uint64_t k = 1; k <= base; k++) {
        uint32_t id = c->ghost.committed[k];
        d->log[k] = (struct cl_entry){.term = c->ghost.created[id].term, .id = id};
    }
    memcpy(node->log, d->log, (base + 1) * sizeof *node->log);
    d->base = d->last = d->commit = base;
    d->reset_due = true;
    node->first = true; /* whoever has a snapshot knows what its members are */
}

static void mirror(struct cl *c, unsigned i, const struct raft_edit *edit,
                   const struct cl_packet *data)
{
    struct cl_node *node = &c->nodes[i];
    if (edit->reset)
        take_snapshot(c, i);
    if (edit->append_first == 0)
        return;
    if (data == NULL) {
        ghost_created(c, i, edit->append_first, edit->append_last);
        return;
    }
    for (uint64_t k = edit->append_first; k <= edit->append_last; k++)
        node->log[k] = data->entries[k - data->prev_index - 1];
}

static void step(struct cl *c, unsigned i, const struct raft_event *ev,
                 const struct cl_packet *data, const char *what, const char *detail)
{
    struct cl_node *node = &c->nodes[i];
    struct raft *r = &node->r;
    struct raft before = *r;
    struct raft_edit edit;
    if (raft_trail_room(&r->trail) < RAFT_APPEND_RUNS_MAX) {
        size_t cap = 2 * r->trail.cap_runs;
        struct raft_run *runs = malloc(cap * sizeof *runs);
        raft_trail_move(&r->trail, runs, cap);
        free(node->runs);
        node->runs = runs;
    }
    c->steps++;
    raft_step(r, c->now, ev, &edit);
    mirror(c, i, &edit, data);
    if (data != NULL && r->verified >= data->prev_index + data->n && r->term == data->msg.term &&
        r->epoch == data->epoch)
        ghost_appended(c, i, data);
    ghost_step(c, i, &before, &edit);
    node->damaged = r->damaged;
    say_step(c, i, what, detail, &before);
    node->dirty = true;
    if (!cl_chance(c, c->lazy_ready))
        pump(c, i);
}

static void deliver(struct cl *c, const struct cl_packet *p)
{
    unsigned i = p->msg.to - 1u;
    if (!c->nodes[i].up)
        return;
    char what[20], detail[40];
    snprintf(what, sizeof what, "from %u", p->msg.from);
    snprintf(detail, sizeof detail, "%s", cl_kind_name(cl_kind(p)));
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .msg = &p->msg};
    if (!p->data) {
        step(c, i, &ev, NULL, what, detail);
        return;
    }
    struct raft_run runs[CL_PIECE];
    size_t n = 0;
    for (unsigned k = 0; k < p->n; k++) {
        if (n == 0 || runs[n - 1].term != p->entries[k].term)
            runs[n++] = (struct raft_run){.first_index = p->prev_index + 1 + k,
                                          .term = p->entries[k].term};
    }
    struct raft_members members[CL_PIECE];
    size_t n_members = 0;
    for (unsigned k = 0; k < p->n; k++) {
        if (c->ghost.created[p->entries[k].id].conf != 0)
            members[n_members++] = c->ghost.members[c->ghost.created[p->entries[k].id].conf];
    }
    ev = (struct raft_event){.type = RAFT_EV_APPEND};
    ev.append.members = members;
    ev.append.n_members = n_members;
    ev.append.from = p->msg.from;
    ev.append.term = p->msg.term;
    ev.append.epoch = p->epoch;
    ev.append.prev_index = p->prev_index;
    ev.append.prev_term = p->prev_term;
    ev.append.last_index = p->prev_index + p->n;
    ev.append.runs = runs;
    ev.append.n_runs = n;
    step(c, i, &ev, p, what, detail);
}

static bool refuses(struct cl *c, const struct cl_node *node)
{
    bool entries = node->batch.persist.first_index != 0;
    return node->no_room || (node->full && entries) || cl_chance(c, c->refuse);
}

static void disk_refuses(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    uint64_t seq = node->batch.persist.seq;
    char detail[30];
    node->refused = node->batch;
    node->batch.persist.seq = 0;
    snprintf(detail, sizeof detail, "seq=%llu", LL(seq));
    step(c, i, &(struct raft_event){.type = RAFT_EV_REFUSED, .refused.seq = seq}, NULL, "no room",
         detail);
}

void cl_disk_done(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    struct cl_batch *b = &node->batch;
    struct cl_disk *d = &node->disk;
    struct raft_persist p = b->persist;
    if (p.seq == 0)
        return;
    if (node->up && refuses(c, node)) {
        disk_refuses(c, i);
        return;
    }
    node->refused.persist.seq = 0;
    if (p.term < d->term)
        cl_fail(c, i, "the term on disk fell");
    if (p.reset && (p.first_index != 0 || p.truncate || p.reset_to > d->base))
        cl_fail(c, i, "the log is reset to a snapshot that is not there, or not alone");
    if (p.reset && p.reset_to == d->base) /* else a newer one is there since it was made */
        d->reset_due = false;
    else if (d->reset_due) /* written before: recovery takes nothing of that log */
        p = (struct raft_persist){
            .seq = p.seq, .term = p.term, .vote = p.vote, .commit = d->commit};
    if (p.truncate && p.truncate_to < d->commit)
        cl_fail(c, i, "committed entries are cut on disk");
    if (p.truncate && p.truncate_to < d->last)
        d->last = p.truncate_to;
    if (p.first_index != 0) {
        if (p.first_index != d->last + 1)
            cl_fail(c, i, "a batch leaves a gap on disk or overwrites");
        memcpy(&d->log[p.first_index], b->entries,
               (p.last_index - p.first_index + 1) * sizeof *d->log);
        d->last = p.last_index;
    }
    if (p.commit < d->commit || p.commit > d->last)
        cl_fail(c, i, "the commit index on disk fell or leads the log");
    d->term = p.term;
    d->vote = p.vote;
    d->commit = p.commit;
    ghost_disk(c, i);
    b->persist.seq = 0;
    if (!node->up)
        return;
    for (size_t k = 0; k < b->n_after; k++)
        transmit_msg(c, &b->after[k]);
    char detail[30];
    snprintf(detail, sizeof detail, "seq=%llu", LL(p.seq));
    step(c, i, &(struct raft_event){.type = RAFT_EV_PERSISTED, .persisted.seq = p.seq}, NULL,
         "durable", detail);
}

/* ---------------------------------------------------------------------------------------- time */

static raft_time tick_time(const struct cl *c, unsigned i)
{
    const struct cl_node *node = &c->nodes[i];
    raft_time t = raft_deadline(&node->r), s = stream_deadline(c, i);
    if (s < t)
        t = s;
    return t == RAFT_NEVER ? t : t + node->tick_delay;
}

static raft_time next_time(const struct cl *c)
{
    raft_time t = c->n_heap > 0 ? c->heap[0].at : RAFT_NEVER;
    for (unsigned i = 0; i < c->n; i++) {
        const struct cl_node *node = &c->nodes[i];
        if (!node->up)
            continue;
        if (node->dirty)
            return c->now;
        if (node->batch.persist.seq != 0 && !node->stalled && node->batch.done_at < t)
            t = node->batch.done_at;
        if (tick_time(c, i) < t)
            t = tick_time(c, i);
    }
    return t;
}

static void run_instant(struct cl *c)
{
    while (c->n_heap > 0 && c->heap[0].at <= c->now) {
        struct cl_packet p = heap_pop(c);
        deliver(c, &p);
    }
    for (unsigned i = 0; i < c->n; i++) {
        struct cl_node *node = &c->nodes[i];
        if (node->up && node->batch.persist.seq != 0 && !node->stalled &&
            node->batch.done_at <= c->now)
            cl_disk_done(c, i);
        if (node->up && tick_time(c, i) <= c->now) {
            node->ticked = c->now;
            bool silent = raft_deadline(&node->r) > c->now; /* only the stream wants to resend */
            if (silent)
                node->dirty = true;
            else
                step(c, i, &(struct raft_event){.type = RAFT_EV_TICK}, NULL, "tick", "");
        }
        if (node->up && node->dirty)
            pump(c, i);
    }
}

void cl_run_until(struct cl *c, raft_time t)
{
    for (;;) {
        raft_time next = next_time(c);
        if (next > t)
            break;
        if (next > c->now)
            c->now = next;
        run_instant(c);
    }
    c->now = t;
}

/* ------------------------------------------------------------------------------------- control */

struct cl *cl_new(unsigned n, unsigned voters, uint64_t seed)
{
    struct cl *c = calloc(1, sizeof *c);
    uint16_t ids[CL_NODES];
    c->n = n;
    c->seed = c->rng = seed;
    c->now = 1000;
    c->heap = malloc(CL_PACKETS * sizeof *c->heap);
    c->held = malloc(CL_PACKETS * sizeof *c->held);
    c->delay_min = c->delay_max = 1000;
    c->disk_min = c->disk_max = 1000;
    c->lead_with_data = 1000;
    for (unsigned i = 0; i < n; i++) {
        ids[i] = (uint16_t)(i + 1);
        c->nodes[i].first = i < voters;
        c->nodes[i].incarnation = CL_INCARNATION;
    }
    c->ghost.members[0] = members_of_voters(ids, voters);
    for (unsigned i = 0; i < voters; i++)
        c->ghost.members[0].m[i].incarnation = CL_INCARNATION;
    c->cfg = (struct raft_config){.election_timeout = 150000};
    c->cfg.heartbeat = c->cfg.election_timeout / 3;
    c->cfg.retry = c->cfg.election_timeout / 8;
    c->cfg.ack_delay = 5000;
    c->cfg.disk_stall = 2 * c->cfg.election_timeout;
    c->cfg.full_retry = 200000;
    return c;
}

void cl_free(struct cl *c)
{
    for (unsigned i = 0; i < c->n; i++)
        free(c->nodes[i].runs);
    free(c->heap);
    free(c->held);
    free(c);
}

void cl_start(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    struct cl_disk *d = &node->disk;
    if (d->term < d->log[d->base].term) { /* of a snapshot that was written first */
        d->term = d->log[d->base].term;
        d->vote = 0;
    }
    struct raft_run *restored = malloc((d->last + 1) * sizeof *restored);
    struct raft_restored s = {.term = d->term,
                              .vote = d->vote,
                              .base_index = d->base,
                              .base_term = d->log[d->base].term,
                              .last_index = d->last,
                              .commit = d->commit > d->base ? d->commit : d->base,
                              .damaged = node->damaged};
    for (uint64_t index = d->base + 1; index <= d->last; index++) {
        if (s.n_runs == 0 || restored[s.n_runs - 1].term != d->log[index].term)
            restored[s.n_runs++] = (struct raft_run){.first_index = index,
                                                     .term = d->log[index].term};
    }
    s.runs = restored;
    s.members = ghost_members(c, i, d->log, d->last);
    if (s.members.index > 0)
        s.members_before = ghost_members(c, i, d->log, s.members.index - 1);
    struct raft_config cfg = c->cfg;
    cfg.id = (uint16_t)(i + 1);
    cfg.incarnation = node->incarnation;
    cfg.boot = ++node->boots * CL_BOOTS + i;
    cfg.seed = c->seed * 1000 + cfg.boot;
    size_t cap = s.n_runs + RAFT_APPEND_RUNS_MAX;
    free(node->runs);
    node->runs = malloc(cap * sizeof *node->runs);
    memcpy(node->log, d->log, (d->last + 1) * sizeof *node->log);
    memset(node->streams, 0, sizeof node->streams);
    node->read_next = 1;
    node->reads_done = 0;
    node->installs = 0;
    node->disk.reset_due = false; /* recovery did it */
    node->up = true;
    raft_init(&node->r, &cfg, &s, node->runs, cap, c->now);
    free(restored);
    if (!c->trace_state)
        cl_say(c, i, "start", "term=%llu vote=%u last=%llu", LL(d->term), d->vote, LL(d->last));
    pump(c, i);
}

void cl_crash(struct cl *c, unsigned i, bool keep_batch)
{
    struct cl_node *node = &c->nodes[i];
    node->up = false;
    node->dirty = false;
    if (!c->trace_state)
        cl_say(c, i, "crash",
               node->batch.persist.seq == 0 ? ""
               : keep_batch                 ? "batch kept"
                                            : "batch lost");
    if (keep_batch && node->batch.persist.seq == 0)
        node->batch = node->refused;
    if (keep_batch)
        cl_disk_done(c, i);
    node->refused.persist.seq = 0;
    node->batch.persist.seq = 0;
}

void cl_compact(struct cl *c, unsigned i, uint64_t index)
{
    struct cl_node *node = &c->nodes[i];
    struct raft *r = &node->r;
    uint64_t most = r->commit_index < r->durable_index ? r->commit_index : r->durable_index;
    index = index < most ? index : most;
    if (!node->up || index <= r->trail.base_index || node->disk.reset_due)
        return;
    raft_compact(r, index);
    node->disk.base = index;
    if (!c->trace_state)
        cl_say(c, i, "compact", "base=%llu", LL(index));
    node->dirty = true;
}

bool cl_install_begin(struct cl *c, unsigned i, uint64_t index)
{
    struct cl_node *node = &c->nodes[i];
    const struct raft *r = &node->r;
    const struct cl_node *leader = &c->nodes[r->leader == 0 ? i : r->leader - 1u];
    if (!node->up || node->installs != 0 || !leader->up || leader->r.role != RAFT_LEADER ||
        leader->r.term != r->term || index > leader->r.commit_index ||
        !raft_install_begin(&node->r))
        return false;
    node->installs = index;
    node->dirty = true;
    return true;
}

void cl_install_end(struct cl *c, unsigned i, bool done)
{
    struct cl_node *node = &c->nodes[i];
    struct raft_event ev = {.type = RAFT_EV_INSTALL};
    struct raft_members members;
    char detail[40] = "failed";
    if (!node->up || node->installs == 0)
        return;
    if (done) {
        ev.install.index = node->installs;
        ev.install.term = c->ghost.created[c->ghost.committed[node->installs]].term;
        members = ghost_committed_members(c, node->installs);
        ev.install.members = &members;
        snprintf(detail, sizeof detail, "%llu:%llu", LL(ev.install.index), LL(ev.install.term));
    }
    node->installs = 0;
    step(c, i, &ev, NULL, "install", detail);
}

void cl_transfer(struct cl *c, unsigned i, uint16_t heir, bool drain)
{
    struct raft_event ev = {.type = RAFT_EV_TRANSFER, .transfer = {.heir = heir, .drain = drain}};
    if (c->nodes[i].up)
        step(c, i, &ev, NULL, drain ? "drain" : "transfer", "");
}

void cl_closed(struct cl *c, unsigned i, uint16_t peer)
{
    if (c->nodes[i].up)
        step(c, i, &(struct raft_event){.type = RAFT_EV_CLOSED, .closed = peer}, NULL, "closed",
             "");
}

bool cl_propose(struct cl *c, unsigned i, unsigned count)
{
    struct cl_node *node = &c->nodes[i];
    if (!node->up || node->r.role != RAFT_LEADER)
        return false;
    char detail[30];
    snprintf(detail, sizeof detail, "%u", count);
    step(c, i, &(struct raft_event){.type = RAFT_EV_PROPOSE, .propose.n = count}, NULL, "propose",
         detail);
    return true;
}

enum raft_refusal cl_change(struct cl *c, unsigned i, const struct raft_members *m, bool force)
{
    struct raft_event ev = {.type = RAFT_EV_PROPOSE};
    enum raft_refusal refusal = raft_members_refusal(&c->nodes[i].r, c->now, m, force);
    ev.propose.n = 1;
    ev.propose.members = m;
    ev.propose.force = force;
    c->nodes[i].ticked = 0; /* a forced change can cost the majority in the instant of a tick */
    step(c, i, &ev, NULL, "members", refusal == RAFT_TAKEN ? "" : "refused");
    return refusal;
}

void cl_read(struct cl *c, unsigned i)
{
    struct cl_node *node = &c->nodes[i];
    if (!node->up || node->read_next - node->reads_done >= CL_READS)
        return;
    uint32_t number = node->read_next++;
    node->read_floor[number % CL_READS] = c->ghost.n_committed;
    uint64_t req = ((uint64_t)node->r.cfg.boot * 2654435761u << 32) | number;
    char detail[30];
    snprintf(detail, sizeof detail, "req=%u", number);
    step(c, i, &(struct raft_event){.type = RAFT_EV_READ, .read.req = req}, NULL, "ask", detail);
}

int cl_leader(const struct cl *c)
{
    int leader = -1;
    for (unsigned i = 0; i < c->n; i++) {
        const struct cl_node *node = &c->nodes[i];
        if (node->up && node->r.role == RAFT_LEADER &&
            (leader < 0 || node->r.term > c->nodes[leader].r.term))
            leader = (int)i;
    }
    return leader;
}
