#include "raftd/node/log_out.h"

#include <assert.h>

#include "raftd/base/num.h"

static bool in_memory(const struct log_out *l, uint64_t off)
{
    return l->joined && off + l->delta >= replica_log(l->replica)->ring.start;
}

/* Remembers where the oldest byte that the peer lacks is in the log, in case its entry leaves memory. */
static void note_place(struct log_out *l)
{
    const struct entries *e = replica_log(l->replica);
    if (!in_memory(l, l->flow.tx.una))
        return;
    uint64_t pos = l->flow.tx.una + l->delta;
    uint64_t index = pos < e->ring.end ? entries_find(e, pos) : e->last + 1;
    l->place = (struct wal_pos){index, (uint32_t)(pos - entries_pos(e, index))};
    l->placed = true;
}

/* If that entry has left memory, the stream goes on from disk, from that byte. */
static void follow_memory(struct log_out *l)
{
    if (!l->placed || in_memory(l, l->flow.tx.una))
        return;
    l->placed = false;
    window_restart(&l->window, l->flow.tx.una, l->place);
}

/* Ties stream offsets to positions in memory, if entry `index`, which starts at offset `off`, is there. */
static void try_join(struct log_out *l, uint64_t index, uint64_t off)
{
    const struct entries *e = replica_log(l->replica);
    if (l->joined || index < e->first)
        return;
    l->joined = true;
    l->delta = entries_pos(e, index) - off;
    note_place(l);
}

/* Reads on behind what was read for the peer, up to where memory begins. A leader truncates nothing, so up to
 * durable_index the disk has the present entries. Behind it the disk may have dead entries, until the present
 * ones have taken their place. */
static void read_ahead(struct log_out *l)
{
    struct window *w = &l->window;
    if (w->fetching)
        return;
    if (in_memory(l, l->flow.tx.una)) {
        window_free(w); /* caught up */
        return;
    }
    uint64_t durable = replica_raft(l->replica)->durable_index;
    size_t want = window_wants(w, l->flow.tx.una);
    if (want == 0 || in_memory(l, w->end) || w->next.index > durable)
        return;
    want = (size_t)min_u64(want, WINDOW_BYTES - w->end % WINDOW_BYTES);
    want = catch_up_take(l->catch_up, want, WINDOW_FETCH_BYTES);
    uint8_t *to = want > 0 ? window_fetch(w, &want) : NULL;
    if (to != NULL)
        l->io->fetch(l->io->ctx, (struct node_fetch){l->peer, w->asked}, &w->next, durable, to,
                     want);
}

static void begin(struct log_out *l, const struct raft_peer *rp)
{
    flow_begin(&l->flow, l->path, replica_raft(l->replica)->term, rp->epoch);
    l->joined = l->placed = false;
    window_restart(&l->window, 0, (struct wal_pos){.index = rp->base_index + 1});
    try_join(l, rp->base_index + 1, 0);
}

static void sync(void *ctx, uint16_t peer)
{
    struct log_out *l = ctx;
    const struct raft *r = replica_raft(l->replica);
    const struct raft_peer *rp = replica_peer(l->replica, peer);
    if (r->role != RAFT_LEADER || rp->state != RAFT_PEER_REPLICATE) {
        log_out_end(l);
        return;
    }
    if (l->flow.id != rp->epoch || l->flow.term != r->term)
        begin(l, rp);
    if (l->joined)
        stream_tx_end(&l->flow.tx, replica_log(l->replica)->ring.end - l->delta);
    follow_memory(l);
    read_ahead(l);
}

bool log_silent(const struct raft *r, const struct raft_peer *p, uint64_t now)
{
    return now > p->heard + LOG_SILENT_TIMEOUTS * r->cfg.election_timeout;
}

static enum flow_state state(const void *ctx, uint64_t now, uint16_t peer)
{
    const struct log_out *l = ctx;
    const struct raft *r = replica_raft(l->replica);
    if (r->role != RAFT_LEADER || l->flow.id == 0)
        return FLOW_NONE;
    return log_silent(r, replica_peer(l->replica, peer), now) ? FLOW_RESTS : FLOW_GOES;
}

static const uint8_t *at(const void *ctx, uint64_t off, size_t *len)
{
    const struct log_out *l = ctx;
    const struct ring *ring = &replica_log(l->replica)->ring;
    if (!in_memory(l, off))
        return window_at(&l->window, off, len);
    *len = (size_t)(ring->end - (off + l->delta));
    return ring_at(ring, off + l->delta);
}

static void acked(void *ctx)
{
    note_place(ctx);
}

static const struct flow_source source = {
    .stream = WIRE_STREAM_LOG,
    .after_lead = true,
    .sync = sync,
    .state = state,
    .at = at,
    .acked = acked,
};

void log_out_init(struct log_out *l, const struct replica *r, const struct node_io *io,
                  const struct path *path, struct catch_up *c, uint16_t peer, uint64_t generation)
{
    *l = (struct log_out){.flow = {.source = &source},
                          .replica = r,
                          .io = io,
                          .path = path,
                          .catch_up = c,
                          .peer = peer};
    l->flow.ctx = l;
    window_init(&l->window, generation);
}

bool log_out_reads(const struct log_out *l)
{
    return l->window.fetching;
}

void log_out_free(struct log_out *l)
{
    l->window.fetching = false; /* nothing is outstanding any more */
    window_free(&l->window);
}

void log_out_end(struct log_out *l)
{
    l->flow.id = 0;
    l->placed = false;
    window_restart(&l->window, 0, (struct wal_pos){0});
    window_free(&l->window);
}

bool log_out_joined(const struct log_out *l)
{
    return l->joined;
}

bool log_out_all_there(const struct log_out *l)
{
    return l->joined && l->flow.tx.una == l->flow.tx.end;
}

void log_out_fetched(struct log_out *l, uint64_t generation, size_t len, const struct wal_pos *next)
{
    const struct raft *r = replica_raft(l->replica);
    if (l->flow.id != 0)
        follow_memory(l);
    /* A node that leads no more may have cut its log since it asked. */
    if (r->role != RAFT_LEADER || l->flow.term != r->term)
        l->window.generation++;
    if (!window_fetched(&l->window, generation, len, next))
        return;
    if (!l->joined)
        stream_tx_end(&l->flow.tx, l->window.end);
    if (next->skip == 0)
        try_join(l, next->index, l->window.end);
}
