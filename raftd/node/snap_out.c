#include "raftd/node/snap_out.h"

#include <string.h>

#include "raftd/base/num.h"
#include "raftd/node/log_out.h"

_Static_assert((int)WIRE_HASH_BYTES == (int)SNAPSHOT_HASH_BYTES, "a snapshot is named by it");

/* The stream must begin anew. Either the peer answers nothing that is sent, so it may have dropped what
 * it had; or it had all of it and still needs it, so it found it damaged. */
static bool over(const struct snap_out *s)
{
    const struct stream_tx *tx = &s->flow.tx;
    return tx->heard && (tx->una == tx->end || tx->timeouts >= STREAM_DEAF_TIMEOUTS);
}

/* Each stream has an id of its own, even with the same snapshot to the same process. The peer may have
 * less of it than it said in the last stream, and answers to that one may still be on their way. */
static void begin(struct snap_out *s, uint64_t term, uint32_t boot)
{
    if (++s->last_id == 0)
        s->last_id = 1;
    s->boot = boot;
    flow_begin(&s->flow, s->path, term, s->last_id);
    stream_tx_end(&s->flow.tx, s->name.size);
    window_restart(&s->window, 0, (struct wal_pos){0});
}

/* Reads on behind what was read for the peer, as soon as the peer has said where it needs to begin. */
static void read_ahead(struct snap_out *s)
{
    struct window *w = &s->window;
    if (!s->flow.tx.heard || w->fetching)
        return;
    if (w->end < s->flow.tx.una)
        window_restart(w, s->flow.tx.una, (struct wal_pos){0});
    size_t want = window_wants(w, s->flow.tx.una);
    want = (size_t)min_u64(want, WINDOW_BYTES - w->end % WINDOW_BYTES);
    want = (size_t)min_u64(want, s->name.size - w->end);
    if (want == 0)
        return;
    /* At least what the log's flow asks for. */
    size_t least = (size_t)min_u64(want, WINDOW_FETCH_BYTES / SNAP_COST);
    want = catch_up_take(s->catch_up, SNAP_COST * want, SNAP_COST * least) / SNAP_COST;
    uint8_t *to = want > 0 ? window_fetch(w, &want) : NULL;
    if (to != NULL)
        s->io->snap_read(s->io->ctx, (struct node_fetch){s->peer, w->asked}, s->name.index, w->end,
                         to, want);
}

static void sync(void *ctx, uint16_t peer)
{
    struct snap_out *s = ctx;
    const struct raft *r = replica_raft(s->replica);
    const struct raft_peer *rp = replica_peer(s->replica, peer);
    if (r->role != RAFT_LEADER || rp->state != RAFT_PEER_SNAPSHOT) {
        snap_out_end(s);
        return;
    }
    bool fresh = s->name.index < r->trail.base_index;
    if (fresh)
        s->name = s->images->newest;
    bool another = fresh || s->flow.id == 0 || s->flow.term != r->term || s->boot != rp->boot;
    if (another) /* else it is offered on its timer, since the peer may still be writing what it has */
        s->offered_at = 0;
    if (another || over(s))
        begin(s, r->term, rp->boot);
    read_ahead(s);
}

static enum flow_state state(const void *ctx, uint64_t now, uint16_t peer)
{
    const struct snap_out *s = ctx;
    const struct raft *r = replica_raft(s->replica);
    if (r->role != RAFT_LEADER || s->flow.id == 0)
        return FLOW_NONE;
    bool rests = r->differs || log_silent(r, replica_peer(s->replica, peer), now);
    return rests ? FLOW_RESTS : FLOW_GOES;
}

static const uint8_t *at(const void *ctx, uint64_t off, size_t *len)
{
    return window_at(&((const struct snap_out *)ctx)->window, off, len);
}

static const struct flow_source source = {
    .stream = WIRE_STREAM_SNAPSHOT,
    .resumes = true,
    .sync = sync,
    .state = state,
    .at = at,
};

void snap_out_init(struct snap_out *s, const struct replica *r, const struct node_io *io,
                   const struct path *path, struct catch_up *c, const struct images *images,
                   uint16_t peer, uint64_t generation)
{
    *s = (struct snap_out){.flow = {.source = &source},
                           .replica = r,
                           .io = io,
                           .path = path,
                           .catch_up = c,
                           .images = images,
                           .peer = peer,
                           .last_id = (uint32_t)(generation >> 16)}; /* no earlier peer's */
    s->flow.ctx = s;
    window_init(&s->window, generation);
}

bool snap_out_reads(const struct snap_out *s)
{
    return s->window.fetching;
}

void snap_out_free(struct snap_out *s)
{
    s->window.fetching = false; /* nothing is outstanding any more */
    window_free(&s->window);
}

void snap_out_end(struct snap_out *s)
{
    s->flow.id = 0;
    s->name.index = 0;
    window_restart(&s->window, 0, (struct wal_pos){0});
    window_free(&s->window);
}

uint64_t snap_out_taken(const struct snap_out *s, uint64_t now)
{
    return state(s, now, s->peer) == FLOW_GOES ? s->name.index : 0;
}

uint64_t snap_out_left(const struct snap_out *s)
{
    return s->name.index != 0 ? s->name.size - min_u64(s->name.size, s->flow.tx.una) : 0;
}

uint64_t snap_out_offer_at(const struct snap_out *s, uint64_t now)
{
    if (state(s, now, s->peer) != FLOW_GOES || s->flow.tx.heard)
        return NEVER;
    return s->offered_at == 0 ? 0 : s->offered_at + s->path->cap_us;
}

void snap_out_offer(struct snap_out *s, uint64_t now, struct wire_offer *o)
{
    *o = (struct wire_offer){
        .index = s->name.index, .term = s->name.term, .size = s->name.size, .id = s->flow.id};
    memcpy(o->hash, s->name.hash, sizeof o->hash);
    s->offered_at = now;
}

void snap_out_read(struct snap_out *s, uint64_t generation, size_t len)
{
    if (!window_fetched(&s->window, generation, len, &(struct wal_pos){0}) || len != 0)
        return;
    s->flow.id = 0; /* it is gone or can't be read now: begin anew, with the newest snapshot */
    s->name.index = 0;
}
