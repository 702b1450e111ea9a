/* read.c: linearizable reads by ReadIndex (section 6.4).
 *
 * The leader notes its commit index when a read arrives, makes sure that it is still leader by a
 * round of LEAD/ACK that starts after the arrival, and lets the read be served once that index is
 * applied. Rounds are numbers that the leader makes, one per LEAD, never twice in a term, and
 * acknowledgements are maxima: a late or repeated one can't confirm a later read.
 *
 * A read on another node is relayed as a number that stands for all reads asked for there so far.
 */
#include "raftd/core/raft_impl.h"

/* Highest round that a voter has acknowledged; this node acknowledges every round. */
static uint64_t round_of(const void *ctx, uint16_t id)
{
    const struct raft *r = ctx;
    if (id == r->cfg.id)
        return UINT64_MAX;
    const struct raft_peer *p = &r->peers[raft_peer_slot(r, id)];
    return raft_peer_counts(r, p) ? p->round : 0;
}

uint64_t raft_confirmed_round(const struct raft *r)
{
    return raft_majority(&r->members, round_of, r);
}

/* A read arrived at the leader. Of each asking node one read may be in flight (its round has left) and one
 * may wait: reads that come meanwhile become part of the waiting one. */
static void add_read(struct raft *r, uint16_t from, uint64_t req)
{
    struct raft_read *newest = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < r->n_reads; i++) {
        if (r->reads[i].from == from) {
            newest = &r->reads[i];
            n++;
        }
    }
    if (newest != NULL && req <= newest->req)
        return; /* repeated: the answer comes by itself */
    struct raft_read *read = newest;
    if (newest == NULL || (newest->need <= r->round && n < 2)) {
        assert(r->n_reads < RAFT_READS_MAX);
        read = &r->reads[r->n_reads++];
    }
    /* The leader knows all that is committed only from its own term's first entry on, hence
     * term_first (section 6.4, step 1). */
    *read = (struct raft_read){
        .from = from,
        .req = req,
        .index = raft_max(r->commit_index, r->term_first),
        .need = r->round + 1,
    };
}

/* Reads asked for here, up to `req`, may be served once `index` is applied. */
static void read_done(struct raft *r, uint64_t req, uint64_t index)
{
    r->read_done = req;
    r->read_ready_index = r->read_ready ? raft_max(r->read_ready_index, index) : index;
    r->read_ready = true;
}

void raft_read_on_read(struct raft *r, uint64_t req)
{
    assert(req > r->read_want);
    r->read_want = req;
    raft_try_reset(&r->read_try);
    if (r->role == RAFT_LEADER)
        add_read(r, r->cfg.id, req);
}

void raft_read_start(struct raft *r)
{
    r->read_round = 0;
    if (r->read_want != r->read_done)
        add_read(r, r->cfg.id, r->read_want);
}

void raft_read_on_req(struct raft *r, const struct raft_msg *m)
{
    if (r->role != RAFT_LEADER) {
        r->stats.stale_msgs++;
        return;
    }
    add_read(r, m->from, m->read_req.req);
}

void raft_read_on_rsp(struct raft *r, const struct raft_msg *m)
{
    uint64_t req = m->read_rsp.req;
    if (m->from != r->leader || req >> 32 != r->read_want >> 32 || req > r->read_want ||
        req <= r->read_done) {
        r->stats.stale_msgs++;
        return;
    }
    raft_follow_commit(r, m->read_rsp.index);
    read_done(r, req, m->read_rsp.index);
}

void raft_read_settle(struct raft *r)
{
    if (r->role != RAFT_LEADER || r->n_reads == 0)
        return;
    uint64_t confirmed = raft_confirmed_round(r);
    unsigned kept = 0;
    for (unsigned i = 0; i < r->n_reads; i++) {
        const struct raft_read read = r->reads[i];
        /* The answer waits until the index is committed. The entry at term_first might be lost with this
         * leader, and then the reader would wait for an index that may never come. */
        if (confirmed < read.need || r->commit_index < read.index) {
            r->reads[kept++] = read;
        } else if (read.from == r->cfg.id) {
            read_done(r, read.req, read.index);
        } else {
            struct raft_msg m = {.type = RAFT_MSG_READ_RSP, .to = read.from};
            m.read_rsp.req = read.req;
            m.read_rsp.index = read.index;
            raft_emit(r, &m);
        }
    }
    r->n_reads = kept;
}

/* Lowest round that some read still needs, UINT64_MAX if none does. */
static uint64_t needed_round(const struct raft *r)
{
    uint64_t confirmed = r->n_reads == 0 ? 0 : raft_confirmed_round(r);
    uint64_t low = UINT64_MAX;
    for (unsigned i = 0; i < r->n_reads; i++) {
        if (r->reads[i].need > confirmed)
            low = raft_min(low, r->reads[i].need);
    }
    return low;
}

enum raft_round raft_read_round(const struct raft *r)
{
    uint64_t need = needed_round(r);
    if (need == UINT64_MAX)
        return RAFT_ROUND_NONE;
    return need > r->read_round ? RAFT_ROUND_START : RAFT_ROUND_OPEN;
}

static bool relay_wanted(const struct raft *r)
{
    return r->role == RAFT_FOLLOWER && r->leader != 0 && r->read_want != r->read_done;
}

void raft_read_flush(struct raft *r, raft_time now)
{
    if (!relay_wanted(r) || now < r->read_try.due)
        return;
    struct raft_msg m = {.type = RAFT_MSG_READ_REQ, .to = r->leader};
    m.read_req.req = r->read_want;
    raft_try_sent(r, now, &r->peers[raft_peer_slot(r, r->leader)], &r->read_try);
    raft_emit(r, &m);
}

raft_time raft_read_deadline(const struct raft *r)
{
    return relay_wanted(r) ? r->read_try.due : RAFT_NEVER;
}
