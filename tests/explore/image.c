/* image.c: struct raft and messages to and from their images in a world. */
#include "tests/explore/world.h"

#include <string.h>

/* A change of these structs must be thought about here: does the new field belong in the image? */
_Static_assert(offsetof(struct raft, now_msgs) == 6768 && sizeof(struct raft_peer) == 240 &&
                   sizeof(struct raft_msg) == 72,
               "struct raft has changed: image.c must follow");

static uint64_t req_of(uint8_t b)
{
    return (uint64_t)(b >> 4) << 32 | (b & 15);
}

static uint8_t byte_of_req(uint64_t req)
{
    return w_byte((req >> 32) << 4 | (req & 15));
}

/* ---------------------------------------------------------------------------------- messages */

void w_pack_msg(const struct raft *r, const struct raft_msg *m, enum w_place place,
                struct w_msg *out)
{
    *out = (struct w_msg){.kind = w_byte((uint64_t)place << 4 | (uint64_t)m->type),
                          .path = w_byte((m->from - 1u) << 4 | (m->to - 1u)),
                          .term = w_byte(m->term)};
    uint8_t *f = out->f;
    bool live;
    switch (m->type) {
    case RAFT_MSG_VOTE_REQ:
        live = m->vote_req.campaign == r->campaign &&
               (r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE);
        f[0] = w_byte((m->vote_req.pre ? W_PRE : 0u) | (live ? W_LIVE : 0u) |
                      (m->vote_req.handed ? W_HANDED : 0u));
        f[1] = w_byte(m->vote_req.vote_term);
        f[2] = w_byte(m->vote_req.last_index);
        f[3] = w_byte(m->vote_req.last_term);
        break;
    case RAFT_MSG_VOTE_RSP:
        live = m->vote_rsp.campaign == W_CAMPAIGN;
        f[0] = w_byte((m->vote_rsp.pre ? W_PRE : 0u) | (live ? W_LIVE : 0u) |
                      (m->vote_rsp.granted ? W_GRANTED : 0u));
        f[1] = w_byte(m->vote_rsp.vote_term);
        f[2] = w_byte(m->vote_rsp.removed);
        break;
    case RAFT_MSG_PROBE:
        f[0] = w_byte(m->probe.probe);
        f[1] = w_byte(m->probe.prev_index);
        f[2] = w_byte(m->probe.prev_term);
        f[3] = w_byte(m->probe.acked_index);
        f[4] = w_byte((uint64_t)m->probe.damaged_boot << 4 | m->probe.acked_term);
        break;
    case RAFT_MSG_PROBE_ACK:
        f[0] = w_byte(m->probe_ack.probe);
        f[1] = w_byte(m->probe_ack.boot << 2 | (unsigned)m->probe_ack.damaged << 1 |
                      m->probe_ack.match);
        f[2] = w_byte(m->probe_ack.prev_index);
        f[3] = w_byte(m->probe_ack.hint_index);
        f[4] = w_byte(m->probe_ack.hint_term);
        break;
    case RAFT_MSG_LEAD:
        f[0] = w_byte(m->lead.epoch);
        f[1] = w_byte(m->lead.round);
        f[2] = w_byte(m->lead.commit);
        f[3] = m->lead.ack_now;
        break;
    case RAFT_MSG_ACK:
        f[0] = w_byte(m->ack.epoch);
        f[1] = w_byte(m->ack.round);
        f[2] = w_byte(m->ack.durable);
        f[3] = w_byte(m->ack.boot << 2 | (unsigned)m->ack.damaged << 1 | m->ack.need_probe);
        f[4] = m->ack.unfit;
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        f[1] = w_byte(m->timeout_now.round);
        f[2] = w_byte(m->timeout_now.last_index);
        break;
    case RAFT_MSG_TRANSFER: /* only leaders are asked */
    case RAFT_MSG_PING: break;
    case RAFT_MSG_READ_REQ: f[0] = byte_of_req(m->read_req.req); break;
    case RAFT_MSG_READ_RSP:
        f[0] = byte_of_req(m->read_rsp.req);
        f[1] = w_byte(m->read_rsp.index);
        break;
    }
}

void w_unpack_msg(const struct w_msg *m, struct raft_msg *out)
{
    const uint8_t *f = m->f;
    memset(out, 0, sizeof *out);
    out->type = (enum raft_msg_type)w_type(m);
    out->from = (uint16_t)(w_from(m) + 1);
    out->to = (uint16_t)(w_to(m) + 1);
    out->term = m->term;
    switch (out->type) {
    case RAFT_MSG_VOTE_REQ:
        out->vote_req.pre = f[0] & W_PRE;
        out->vote_req.handed = f[0] & W_HANDED;
        out->vote_req.campaign = f[0] & W_LIVE ? W_CAMPAIGN : W_CAMPAIGN - 1;
        out->vote_req.vote_term = f[1];
        out->vote_req.last_index = f[2];
        out->vote_req.last_term = f[3];
        break;
    case RAFT_MSG_VOTE_RSP:
        out->vote_rsp.pre = f[0] & W_PRE;
        out->vote_rsp.granted = f[0] & W_GRANTED;
        out->vote_rsp.campaign = f[0] & W_LIVE ? W_CAMPAIGN : W_CAMPAIGN - 1;
        out->vote_rsp.vote_term = f[1];
        out->vote_rsp.removed = f[2];
        break;
    case RAFT_MSG_PROBE:
        out->probe.probe = f[0];
        out->probe.prev_index = f[1];
        out->probe.prev_term = f[2];
        out->probe.acked_index = f[3];
        out->probe.acked_term = f[4] & 15;
        out->probe.damaged_boot = f[4] >> 4;
        break;
    case RAFT_MSG_PROBE_ACK:
        out->probe_ack.probe = f[0];
        out->probe_ack.boot = f[1] >> 2;
        out->probe_ack.damaged = f[1] >> 1 & 1;
        out->probe_ack.match = f[1] & 1;
        out->probe_ack.prev_index = f[2];
        out->probe_ack.hint_index = f[3];
        out->probe_ack.hint_term = f[4];
        break;
    case RAFT_MSG_LEAD:
        out->lead.epoch = f[0];
        out->lead.round = f[1];
        out->lead.commit = f[2];
        out->lead.ack_now = f[3];
        break;
    case RAFT_MSG_ACK:
        out->ack.epoch = f[0];
        out->ack.round = f[1];
        out->ack.durable = f[2];
        out->ack.boot = f[3] >> 2;
        out->ack.damaged = f[3] >> 1 & 1;
        out->ack.need_probe = f[3] & 1;
        out->ack.unfit = f[4];
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        out->timeout_now.round = f[1];
        out->timeout_now.last_index = f[2];
        break;
    case RAFT_MSG_TRANSFER:
    case RAFT_MSG_PING: break;
    case RAFT_MSG_READ_REQ: out->read_req.req = req_of(f[0]); break;
    case RAFT_MSG_READ_RSP:
        out->read_rsp.req = req_of(f[0]);
        out->read_rsp.index = f[1];
        break;
    }
}

void w_add_msg(struct lab *l, struct world *w, const struct w_msg *m)
{
    for (unsigned k = 0; k < w->n_msgs; k++) {
        if (memcmp(&w->msgs[k], m, sizeof *m) == 0)
            return;
    }
    if (w->n_msgs == W_MSGS) {
        l->outside = true;
        return;
    }
    w->msgs[w->n_msgs++] = *m;
}

void w_end_campaign(struct world *w, unsigned i)
{
    for (unsigned k = 0; k < w->n_msgs; k++) {
        struct w_msg *m = &w->msgs[k];
        if ((w_type(m) == RAFT_MSG_VOTE_REQ && w_from(m) == i) ||
            (w_type(m) == RAFT_MSG_VOTE_RSP && w_to(m) == i))
            m->f[0] &= (uint8_t)~W_LIVE;
    }
}

/* -------------------------------------------------------------------------------------- nodes */

void w_config(unsigned i, unsigned boot, struct raft_config *cfg)
{
    *cfg = (struct raft_config){.id = (uint16_t)(i + 1),
                                .election_timeout = W_TIMEOUT,
                                .heartbeat = W_TIMEOUT / 3,
                                .retry = W_TIMEOUT / 8,
                                .ack_delay = 0,
                                .disk_stall = 5 * W_TIMEOUT,
                                .full_retry = W_TIMEOUT,
                                .seed = 1,
                                .boot = boot + 1};
}

struct raft_members w_members(const struct lab *l, unsigned i, const uint8_t *log, uint64_t last)
{
    while (last > 0 && w_conf(log[last]) == 0)
        last--;
    struct raft_members m = l->conf[last == 0 ? 0 : w_conf(log[last])];
    m.index = last;
    if (last == 0 && raft_member(&m, (uint16_t)(i + 1)) == NULL)
        memset(&m, 0, sizeof m);
    return m;
}

void w_prepare(struct lab *l)
{
    struct raft_config cfg;
    for (unsigned i = 0; i < l->b.nodes; i++) {
        struct raft_restored nothing = {.members = w_members(l, i, l->log, 0)};
        memset(&l->fresh[i], 0, sizeof l->fresh[i]);
        w_config(i, 0, &cfg);
        raft_init(&l->fresh[i], &cfg, &nothing, l->runs, W_RUNS, W_NOW);
    }
}

static void calm(struct raft_try *t)
{
    t->due = t->due != 0 ? W_LATER : 0;
    t->sent = t->due != 0;
}

static struct raft_try tried(bool sent)
{
    return (struct raft_try){.due = sent ? W_LATER : 0, .sent = sent};
}

/* The core compares these with now; what an action needs is set here, all else is calm: heard of
 * everybody just now, nothing due. */
static void set_times(struct raft *r, enum w_time time)
{
    bool silent = time == TIME_SILENT || time == TIME_GIVE_UP;
    raft_time heard = silent ? W_LONG_AGO : W_NOW;
    bool timeout = time == TIME_TIMEOUT || time == TIME_DISK_LATE;
    r->election_deadline = timeout ? W_NOW : W_NOW + 200 * W_TIMEOUT;
    r->inflight_since = time == TIME_DISK_LATE ? W_LONG_AGO : W_NOW;
    if (r->leader_heard != 0)
        r->leader_heard = heard;
    r->ping_sent = time == TIME_PING ? W_LONG_AGO : W_NOW;
    r->gone_at =
        RAFT_NEVER; /* the network says nothing here, and who was asked is not asked for a PreVote */
    r->lead_since = heard;
    bool removed = r->role == RAFT_LEADER && r->members.index <= r->commit_index &&
                   !raft_is_voter(&r->members, r->cfg.id);
    r->yield_at = !removed ? RAFT_NEVER : time == TIME_GIVE_UP ? W_NOW : W_LATER;
    r->heir_until = r->heir == 0 ? 0 : time == TIME_HEIR_LATE ? W_NOW : W_LATER;
    calm(&r->heir_try);
    calm(&r->read_try);
    if (r->ack_by != RAFT_NEVER)
        r->ack_by = W_NOW;
    for (unsigned k = 0; k < r->n_peers; k++) {
        struct raft_peer *p = &r->peers[k];
        p->heard = heard;
        p->seen = W_NOW;
        if (p->leaves_at != 0 && p->leaves_at != RAFT_NEVER)
            p->leaves_at = W_LATER;
        if (p->lead_sent != 0)
            p->lead_sent = W_NOW;
        calm(&p->probe_try);
        calm(&p->round_try);
        calm(&p->vote_try);
    }
}

/* Its newest probe is not answered: see lead.c. */
static bool asks(const struct raft_peer *p)
{
    return p->state == RAFT_PEER_PROBE || (p->state == RAFT_PEER_REPLICATE && p->boot == 0);
}

static void forget_peer(const struct raft *r, struct raft_peer *p)
{
    if (r->role != RAFT_LEADER) { /* raft_lead_start() sets them all */
        struct raft_peer kept = *p;
        memset(p, 0, sizeof *p);
        p->id = kept.id;
        p->standing = kept.standing;
        p->leaves_at = kept.leaves_at;
        p->pto = W_TIMEOUT / 8;
        p->heard = W_NOW;
        p->vote_try = kept.vote_try;
        p->vote_answered = kept.vote_answered;
        p->pre_granted = kept.pre_granted;
        p->vote_granted = kept.vote_granted;
    }
    if (r->role != RAFT_PRE_CANDIDATE && r->role != RAFT_CANDIDATE) { /* campaign() sets them */
        p->vote_answered = p->pre_granted = false;
        p->vote_try = tried(false);
    }
    p->vote_granted = p->vote_granted && r->stood; /* enter_term() sets it */
    if (!asks(p)) {                                /* start_probe() sets them */
        p->probe_index = 0;
        p->probe_try = tried(false);
    }
    p->round_try = tried(r->role == RAFT_LEADER); /* set when a round starts */
    if (p->state != RAFT_PEER_REPLICATE)          /* set when a stream begins */
        p->base_index = 0;
    p->kept_index = 0;   /* who has less than it said knows it here */
    p->generation = 0;   /* of no use here */
    p->round_target = 0; /* a learner that is there is always quick enough */
    p->round_since = W_NOW;
    p->caught_up = true;
    p->vote_refused = false; /* only how long to wait */
}

/* By id: their order means nothing. */
static void order_peers(struct raft *r)
{
    struct raft_peer peers[W_NODES];
    unsigned n = 0;
    for (uint16_t id = 1; id <= W_NODES; id++) {
        int slot = raft_peer_slot(r, id);
        if (slot >= 0)
            peers[n++] = r->peers[slot];
    }
    memset(r->peers, 0, sizeof r->peers);
    memcpy(r->peers, peers, n * sizeof peers[0]);
    r->n_peers = n;
}

void w_forgotten(struct raft *r)
{
    order_peers(r);
    if (r->members.index <= r->commit_index) /* it can't come back */
        memset(&r->members_before, 0, sizeof r->members_before);
    if (r->heir == 0)
        r->heir_try = tried(false);
    r->transfer = r->heir != 0 ? RAFT_TRANSFER_RUNS : RAFT_TRANSFER_NONE;
    r->transfer_at = r->transfers = 0; /* one can follow another at once */
    r->restless_at = 0;                /* all have the same priority */
    r->restless = RAFT_WAITS_NONE;
    r->why = RAFT_WHY_NONE;
    r->tries = 0;
    r->next_seq = r->inflight_seq != 0 ? 2 : 1;
    r->inflight_seq = r->inflight_seq != 0;
    if (r->inflight_seq == 0)
        r->inflight_term = r->inflight_vote = 0;
    r->inflight_truncate = r->inflight_entries = false; /* no batch is refused here */
    r->inflight_base = 0;
    if (!r->truncate_pending)
        r->truncate_to = 0;
    memset(r->disk_took, 0, sizeof r->disk_took); /* only how long to wait, and these two */
    r->stood_at = r->votes_took = 0;
    r->campaign = W_CAMPAIGN;
    r->tries = 0; /* only how often votes are asked for */
    if (r->role != RAFT_LEADER) {
        r->term_first = r->next_probe = 0;
        r->read_round = 0;
    }
    if (r->read_want == r->read_done)
        r->read_try = tried(false);
    if (!r->read_ready)
        r->read_ready_index = 0;
    r->rng = 0;
    memset(&r->stats, 0, sizeof r->stats);
    memset(&r->reads[r->n_reads], 0, (RAFT_READS_MAX - r->n_reads) * sizeof r->reads[0]);
    for (unsigned k = 0; k < r->n_peers; k++)
        forget_peer(r, &r->peers[k]);
    set_times(r, TIME_CALM);
}

static void load_runs(const struct w_node *n, struct raft *r)
{
    for (uint8_t index = 1; index <= n->last; index++) {
        if (index == 1 || w_term(n->log[index]) != w_term(n->log[index - 1]))
            r->trail.runs[r->trail.n_runs++] = (struct raft_run){.first_index = index,
                                                                 .term = w_term(n->log[index])};
    }
}

static void load_peer(const struct w_node *n, struct raft *r, uint16_t id)
{
    const struct w_peer *x = &n->peers[id - 1];
    const struct raft_member *m = raft_member(&r->members, id);
    if (x->there == W_GONE)
        return;
    struct raft_peer *p = &r->peers[r->n_peers++];
    p->id = id;
    p->pto = W_TIMEOUT / 8;
    p->standing = m != NULL ? m->standing : RAFT_NO_MEMBER;
    p->leaves_at = x->there == W_MEMBER ? 0 : x->there == W_LEAVES ? RAFT_NEVER : W_LATER;
    p->unfit = x->unfit;
    p->state = (enum raft_peer_state)x->state;
    p->match_index = x->match;
    p->base_index = x->base;
    p->probe = x->probe;
    p->epoch = x->epoch;
    p->boot = x->boot;
    p->probe_index = x->probe_index;
    p->round = x->round;
    p->probe_try = tried(asks(p) && !x->probe_unsent && x->probe != 0);
    p->served = x->served;
    p->lead_sent = n->role == RAFT_LEADER && !x->lead_unsent ? W_NOW : 0;
    p->vote_try = tried(!x->vote_unsent);
    p->vote_answered = x->vote_answered;
    p->pre_granted = x->pre_granted;
    p->vote_granted = x->vote_granted;
    p->lost_index = x->lost;
    p->sure_index = x->sure;
    p->damaged_boot = x->damaged_boot;
    if (n->role == RAFT_LEADER && p->probe >= r->next_probe)
        r->next_probe = p->probe + 1;
}

static void load_reads(const struct w_node *n, struct raft *r)
{
    r->read_want = req_of(n->read_want);
    r->read_done = req_of(n->read_done);
    r->read_try = tried(r->read_want != r->read_done && !n->read_unsent);
    r->read_ready = n->read_ready;
    r->read_ready_index = n->read_index;
    r->read_round = n->read_round;
    r->n_reads = n->n_reads;
    for (unsigned k = 0; k < n->n_reads; k++) {
        r->reads[k].from = n->reads[k].from;
        r->reads[k].req = req_of(n->reads[k].req);
        r->reads[k].index = n->reads[k].index;
        r->reads[k].need = n->reads[k].need;
    }
}

static void load_msgs(const struct world *w, unsigned i, struct raft *r)
{
    r->n_now = r->n_after = 0;
    for (unsigned k = 0; k < w->n_msgs; k++) {
        const struct w_msg *m = &w->msgs[k];
        if (w_from(m) != i)
            continue;
        if (w_place(m) == W_AFTER)
            w_unpack_msg(m, &r->after_msgs[r->n_after++]);
        else if (w_place(m) == W_READY)
            w_unpack_msg(m, &r->now_msgs[r->n_now++]);
    }
}

void w_load(struct lab *l, const struct world *w, unsigned i, enum w_time time, struct raft *r,
            struct raft_run *runs)
{
    const struct w_node *n = &w->nodes[i];
    memcpy(r, &l->fresh[i], offsetof(struct raft, now_msgs));
    r->trail.runs = runs;
    r->trail.n_runs = 0;
    r->trail.cap_runs = W_RUNS;
    r->cfg.boot = n->boot + 1u;
    r->role = (enum raft_role)n->role;
    r->leader = n->leader;
    r->term = n->term;
    r->vote = n->vote;
    r->durable_term = n->durable_term;
    r->durable_vote = n->durable_vote;
    r->stood = n->stood;
    r->handed = n->handed;
    r->removed = n->removed;
    r->heir = n->heir;
    r->heir_try = tried(n->heir != 0 && !n->heir_unsent);
    r->trail.last = n->last;
    r->commit_index = n->commit;
    r->durable_index = n->durable;
    r->written_last = n->written;
    r->inflight_seq = n->inflight;
    r->inflight_term = n->inflight_term;
    r->inflight_vote = n->inflight_vote;
    r->truncate_pending = n->truncate_pending;
    r->truncate_to = n->truncate_to;
    r->leader_heard = n->heard ? W_NOW : 0;
    r->verified = n->verified;
    r->leader_commit = n->leader_commit;
    r->epoch = n->epoch;
    r->probe_seen = n->probe_seen;
    r->round = n->round;
    r->ack_due = n->ack_due;
    r->ack_by = n->ack_waits ? W_NOW : RAFT_NEVER;
    r->refused_epoch = n->refused_epoch;
    r->term_first = n->term_first;
    r->damaged = n->damaged;
    r->doubt_index = n->doubt_index;
    r->doubt_term = n->doubt_term;
    load_runs(n, r);
    r->members = w_members(l, i, n->log, n->last);
    if (r->members.index > n->commit)
        r->members_before = w_members(l, i, n->log, r->members.index - 1);
    memset(r->peers, 0, sizeof r->peers);
    r->n_peers = 0;
    for (unsigned k = 0; k < l->b.nodes; k++)
        load_peer(n, r, (uint16_t)(k + 1));
    load_reads(n, r);
    load_msgs(w, i, r);
    r->rng = 0;
    w_forgotten(r);
    set_times(r, time);
}

static void store_peer(const struct raft *r, const struct raft_peer *p, struct w_peer *x)
{
    bool stands = r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE;
    struct raft_peer q = *p;
    forget_peer(r, &q);
    *x = (struct w_peer){.there = q.leaves_at == 0            ? W_MEMBER
                                  : q.leaves_at == RAFT_NEVER ? W_LEAVES
                                                              : W_STAYS,
                         .served = q.served,
                         .unfit = q.unfit,
                         .state = w_byte(q.state),
                         .match = w_byte(q.match_index),
                         .base = w_byte(q.base_index),
                         .probe = w_byte(q.probe),
                         .epoch = w_byte(q.epoch),
                         .boot = w_byte(q.boot),
                         .probe_index = w_byte(q.probe_index),
                         .round = w_byte(q.round),
                         .probe_unsent = asks(&q) && q.probe != 0 && q.probe_try.sent == 0,
                         .lead_unsent = r->role == RAFT_LEADER && q.lead_sent == 0,
                         .vote_unsent = stands && q.vote_try.sent == 0,
                         .vote_answered = q.vote_answered,
                         .pre_granted = q.pre_granted,
                         .vote_granted = q.vote_granted,
                         .lost = w_byte(q.lost_index),
                         .sure = w_byte(q.sure_index),
                         .damaged_boot = w_byte(q.damaged_boot)};
}

static void store_reads(struct lab *l, struct w_node *n, const struct raft *r)
{
    bool leader = r->role == RAFT_LEADER;
    n->read_want = byte_of_req(r->read_want);
    n->read_done = byte_of_req(r->read_done);
    n->read_unsent = r->read_want != r->read_done && r->read_try.sent == 0;
    n->read_ready = r->read_ready;
    n->read_index = r->read_ready ? w_byte(r->read_ready_index) : 0;
    n->read_round = leader ? w_byte(r->read_round) : 0;
    memset(n->reads, 0, sizeof n->reads);
    n->n_reads = w_byte(r->n_reads);
    if (r->n_reads > W_READS) {
        w_fail(l, "more reads wait than were asked for");
        return;
    }
    for (unsigned k = 0; k < r->n_reads; k++) {
        n->reads[k] = (struct w_read){.from = w_byte(r->reads[k].from),
                                      .req = byte_of_req(r->reads[k].req),
                                      .index = w_byte(r->reads[k].index),
                                      .need = w_byte(r->reads[k].need)};
    }
}

static void store_log(struct lab *l, struct w_node *n, const struct raft *r)
{
    memset(n->log, 0, sizeof n->log);
    n->last = w_byte(r->trail.last);
    if (r->trail.last <= W_LOG)
        memcpy(n->log + 1, l->log + 1,
               (size_t)r->trail.last); /* w_judge_edit() has compared them */
    if (r->trail.last > l->b.entries || r->term > l->b.terms)
        l->outside = true;
    for (unsigned k = 0; r->role == RAFT_LEADER && k < r->n_peers; k++)
        l->outside = l->outside || r->peers[k].probe > l->b.probes;
}

/* Messages that wait in the core replace those of the image. */
static void store_msgs(struct lab *l, struct world *w, unsigned i, const struct raft *r)
{
    unsigned kept = 0;
    for (unsigned k = 0; k < w->n_msgs; k++) {
        const struct w_msg *m = &w->msgs[k];
        bool waits = w_place(m) == W_AFTER || w_place(m) == W_READY;
        if (w_from(m) != i || !waits)
            w->msgs[kept++] = *m;
    }
    w->n_msgs = (uint8_t)kept;
    struct w_msg m;
    for (size_t k = 0; k < r->n_after; k++) {
        w_pack_msg(r, &r->after_msgs[k], W_AFTER, &m);
        w_add_msg(l, w, &m);
    }
    for (size_t k = 0; k < r->n_now; k++) {
        w_pack_msg(r, &r->now_msgs[k], W_READY, &m);
        w_add_msg(l, w, &m);
    }
}

void w_store(struct lab *l, struct world *w, unsigned i, const struct raft *r)
{
    struct w_node *n = &w->nodes[i];
    n->role = w_byte(r->role);
    n->leader = w_byte(r->leader);
    n->term = w_byte(r->term);
    n->vote = w_byte(r->vote);
    n->durable_term = w_byte(r->durable_term);
    n->durable_vote = w_byte(r->durable_vote);
    n->stood = r->stood;
    n->handed = r->handed;
    n->removed = w_byte(r->removed);
    n->heir = w_byte(r->heir);
    n->heir_unsent = r->heir != 0 && r->heir_try.sent == 0;
    n->commit = w_byte(r->commit_index);
    n->durable = w_byte(r->durable_index);
    n->written = w_byte(r->written_last);
    n->inflight = r->inflight_seq != 0;
    n->inflight_term = n->inflight ? w_byte(r->inflight_term) : 0;
    n->inflight_vote = n->inflight ? w_byte(r->inflight_vote) : 0;
    n->truncate_pending = r->truncate_pending;
    n->truncate_to = r->truncate_pending ? w_byte(r->truncate_to) : 0;
    n->heard = r->leader_heard != 0;
    n->verified = w_byte(r->verified);
    n->leader_commit = w_byte(r->leader_commit);
    n->epoch = w_byte(r->epoch);
    n->probe_seen = w_byte(r->probe_seen);
    n->round = w_byte(r->round);
    n->ack_due = r->ack_due;
    n->ack_waits = r->ack_by != RAFT_NEVER;
    n->refused_epoch = w_byte(r->refused_epoch);
    n->term_first = r->role == RAFT_LEADER ? w_byte(r->term_first) : 0;
    n->damaged = r->damaged;
    n->doubt_index = w_byte(r->doubt_index);
    n->doubt_term = w_byte(r->doubt_term);
    store_log(l, n, r);
    memset(n->peers, 0, sizeof n->peers);
    for (unsigned k = 0; k < r->n_peers; k++) {
        if (r->peers[k].id != 0)
            store_peer(r, &r->peers[k], &n->peers[r->peers[k].id - 1]);
    }
    store_reads(l, n, r);
    store_msgs(l, w, i, r);
}

/* The image of l->r, just stored, gives l->r back but for what w_forgotten() names. */
void w_check_image(struct lab *l, const struct world *w, unsigned i)
{
    struct raft *a = &l->r, *b = &l->other;
    w_load(l, w, i, TIME_CALM, b, l->other_runs);
    uint32_t next_probe = a->next_probe;
    w_forgotten(a);
    a->cfg.seed = b->cfg.seed;
    bool same = a->trail.n_runs == b->trail.n_runs && a->n_now == b->n_now &&
                a->n_after == b->n_after &&
                memcmp(a->trail.runs, b->trail.runs, a->trail.n_runs * sizeof *a->trail.runs) == 0;
    b->trail.runs = a->trail.runs;
    if (!same || memcmp(a, b, offsetof(struct raft, now_msgs)) != 0)
        w_fail(l, "the search itself: an image does not give the node back");
    a->next_probe = next_probe;
}
