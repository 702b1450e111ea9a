#include "raftd/node/relay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/num.h"
#include "raftd/state/cmd.h"

enum {
    HEAD_BYTES = 4,            /* length before each command */
    RING_MORE_BYTES = 1 << 18, /* on their way beside the largest command */
};

/* ---- follower ---------------------------------------------------------------------------- */

void relay_out_add(struct relay_out *o, uint16_t id, const struct path *path)
{
    assert(o->n_ways < RAFT_PEERS_MAX);
    o->ways[o->n_ways++] = (struct relay_way){id, path};
}

static unsigned way_of(const struct relay_out *o, uint16_t id)
{
    unsigned i = 0;
    while (i < o->n_ways && o->ways[i].id != id)
        i++;
    return i;
}

void relay_out_remove(struct relay_out *o, uint16_t id)
{
    unsigned i = way_of(o, id);
    assert(i < o->n_ways);
    if (o->flow.tx.link == &o->ways[i].path->link)
        o->flow.term = NEVER;
    o->ways[i] = o->ways[--o->n_ways];
}

/* Begins another stream with each leader, and when the leader has lost what it had of the present one. */
static void sync(void *ctx, uint16_t peer)
{
    struct relay_out *o = ctx;
    const struct raft *r = replica_raft(o->replica);
    unsigned i = way_of(o, peer);
    bool goes_on = o->flow.term == r->term && !o->flow.tx.fell && o->shut != RELAY_OVER;
    if (o->ring.base == NULL || r->role != RAFT_FOLLOWER || r->leader != peer || i == o->n_ways ||
        goes_on)
        return;
    o->ring.start = o->base = o->ring.end;
    o->streams = (uint16_t)(o->streams + 1) != 0 ? (uint16_t)(o->streams + 1) : 1;
    o->shut = RELAY_OPEN;
    flow_begin(&o->flow, o->ways[i].path, r->term, r->cfg.boot + o->streams);
}

static enum flow_state out_state(const void *ctx, uint64_t now, uint16_t peer)
{
    const struct relay_out *o = ctx;
    const struct raft *r = replica_raft(o->replica);
    (void)now;
    bool goes = r->role == RAFT_FOLLOWER && r->leader == peer && o->flow.term == r->term;
    return goes ? FLOW_GOES : FLOW_NONE;
}

static const uint8_t *at(const void *ctx, uint64_t off, size_t *len)
{
    const struct relay_out *o = ctx;
    *len = (size_t)(o->ring.end - (o->base + off));
    return ring_at(&o->ring, o->base + off);
}

static void acked(void *ctx)
{
    struct relay_out *o = ctx;
    o->ring.start = o->base + o->flow.tx.una;
}

static void shut(void *ctx, const struct wire_sack *s)
{
    struct relay_out *o = ctx;
    if (o->shut != RELAY_OPEN || s->contig > o->flow.tx.nxt)
        return; /* known, or it speaks of what was never sent */
    o->shut = RELAY_SHUT;
    o->shut_off = s->contig;
    o->log_full = s->log_full;
}

static const struct flow_source source = {
    .stream = WIRE_STREAM_RELAY,
    .sync = sync,
    .state = out_state,
    .at = at,
    .acked = acked,
    .shut = shut,
};

void relay_out_init(struct relay_out *o, const struct replica *r, size_t command_max)
{
    *o = (struct relay_out){
        .flow = {.source = &source, .term = NEVER}, .replica = r, .command_max = command_max};
    o->flow.ctx = o;
}

void relay_out_free(struct relay_out *o)
{
    ring_free(&o->ring);
}

uint16_t relay_out_stream(struct relay_out *o)
{
    sync(o, replica_raft(o->replica)->leader);
    return o->streams;
}

bool relay_out_shut(struct relay_out *o, uint16_t stream, uint64_t *off, bool *log_full)
{
    if (o->shut != RELAY_SHUT)
        return false;
    o->shut = RELAY_OVER;
    *off = o->shut_off;
    *log_full = o->log_full;
    return o->streams == stream;
}

bool relay_out_put(struct relay_out *o, const uint8_t *cmd, size_t len, uint64_t *off)
{
    if (o->ring.base == NULL && ring_init(&o->ring, o->command_max + RING_MORE_BYTES) < 0)
        return false;
    sync(o, replica_raft(o->replica)->leader);
    if (ring_room(&o->ring) < HEAD_BYTES + len)
        return false;
    uint8_t *p = ring_at(&o->ring, o->ring.end);
    *off = o->ring.end - o->base;
    put_u32(p, (uint32_t)len);
    memcpy(p + HEAD_BYTES, cmd, len);
    o->ring.end += HEAD_BYTES + len;
    stream_tx_end(&o->flow.tx, o->ring.end - o->base);
    return true;
}

/* ---- leader ------------------------------------------------------------------------------ */

void relay_in_share(struct relay_in *x, uint32_t window)
{
    x->share = window;
}

static size_t usual_cap(const struct relay_in *x)
{
    return 2 * (size_t)max_u64(x->window, HEAD_BYTES);
}

/* Is it a stream of the process with this boot token? */
static bool of_process(uint32_t id, uint32_t boot)
{
    return id - boot <= UINT16_MAX;
}

/* Was this stream of the peer's present process shut in this term, or is it older than one that was? */
static bool is_over(const struct relay_in *x, uint32_t id)
{
    const struct raft *r = replica_raft(x->replica);
    const struct relay_shuts *s = x->shuts;
    for (unsigned i = 0; s->term == r->term && i < s->n; i++)
        if (s->at[i].peer == x->peer && of_process(id, s->at[i].boot))
            return (int16_t)(uint16_t)(id - s->at[i].id) <= 0;
    return false;
}

/* Begins the stream `id` if it is the newest one of the peer's process that answered our probe. */
static void adopt(struct relay_in *x, uint32_t id)
{
    const struct raft *r = replica_raft(x->replica);
    const struct raft_peer *rp = replica_peer(x->replica, x->peer);
    if (rp->boot == 0 || rp->epoch == 0 || !of_process(id, rp->boot))
        return;
    if (x->flow.term == r->term && of_process(x->flow.id, rp->boot) &&
        (int16_t)(uint16_t)(id - x->flow.id) <= 0)
        return;
    if (is_over(x, id))
        return;
    x->window = x->share;
    uint8_t *buf = malloc(usual_cap(x));
    if (buf == NULL)
        return; /* until there is memory its relays are dropped, and it repeats them */
    free(x->buf);
    x->buf = buf;
    x->flow.term = r->term;
    x->flow.id = id;
    x->flow.ack_by = NEVER;
    x->flow.shut = false;
    x->waits = x->broken = false;
    x->full_since = NEVER;
    stream_rx_init(&x->flow.rx, buf, usual_cap(x), x->window);
}

static bool present(const struct relay_in *x)
{
    const struct raft *r = replica_raft(x->replica);
    return r->role == RAFT_LEADER && x->flow.term == r->term;
}

static bool takes(void *ctx, uint16_t peer, const struct wire_data *d)
{
    struct relay_in *x = ctx;
    (void)peer;
    if (replica_raft(x->replica)->role != RAFT_LEADER)
        return false;
    adopt(x, d->id);
    if (!present(x) || x->flow.id != d->id || x->broken)
        return false;
    if (x->flow.shut)
        x->flow.ack_by = 0; /* it is told again, since the first word may be lost */
    return !x->flow.shut;
}

static bool lives(const void *ctx, uint16_t peer)
{
    (void)peer;
    return present(ctx);
}

/* Makes the buffer fit for a command of so many bytes, its length included, and a window behind it. False:
 * there is no memory for the command now. */
static bool fit(struct relay_in *x, size_t size)
{
    size_t cap = size > x->window ? size + x->window : usual_cap(x);
    if (cap == x->flow.rx.cap)
        return true;
    uint8_t *buf = malloc(cap), *former = x->buf;
    if (buf == NULL || !stream_rx_move(&x->flow.rx, buf, cap)) {
        free(buf);
        return x->flow.rx.cap >= size;
    }
    x->buf = buf;
    free(former);
    return true;
}

/* What became of the command at the front of a peer's stream. */
enum taken { TAKEN, NOT_HERE, MUST_WAIT };

/* Proposes one command. A peer may relay only commands of its own clients: it can't know the numbers by which
 * those of other nodes are told apart. */
static enum taken take(struct relay_in *x, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct cmd cmd;
    if (cmd_decode(bytes, len, &cmd) == 0 && cmd.origin == x->peer)
        return replica_propose(x->replica, now, bytes, len) ? TAKEN : MUST_WAIT;
    x->flow.bad++; /* skipped: its origin reports a timeout */
    return TAKEN;
}

static enum taken take_next(struct relay_in *x, uint64_t now)
{
    const uint8_t *bytes;
    size_t len, size = HEAD_BYTES;
    stream_rx_ready(&x->flow.rx, &bytes, &len);
    if (len >= HEAD_BYTES && get_u32(bytes) > CMD_MAX_BYTES) {
        x->flow.bad++; /* the peer has a bug: its stream is of no use in this term */
        x->broken = true;
        return NOT_HERE;
    }
    if (len >= HEAD_BYTES)
        size += get_u32(bytes);
    if (!fit(x, size))
        return MUST_WAIT;
    stream_rx_ready(&x->flow.rx, &bytes, &len);
    if (len < size)
        return NOT_HERE;
    enum taken rc = take(x, now, bytes + HEAD_BYTES, size - HEAD_BYTES);
    if (rc == TAKEN)
        stream_rx_consume(&x->flow.rx, size);
    return rc;
}

/* Remembers that the stream is shut. False: there is no place for more peers in this term, or the process
 * whose stream it is has ended. */
static bool note_shut(struct relay_in *x)
{
    struct relay_shuts *s = x->shuts;
    uint32_t boot = replica_peer(x->replica, x->peer)->boot;
    unsigned i = 0;
    if (!of_process(x->flow.id, boot))
        return false;
    if (s->term != x->flow.term) {
        s->term = x->flow.term;
        s->n = 0;
    }
    while (i < s->n && s->at[i].peer != x->peer)
        i++;
    if (i == RELAY_SHUTS_MAX)
        return false;
    s->n = i == s->n ? i + 1 : s->n;
    s->at[i].peer = x->peer;
    s->at[i].boot = boot;
    s->at[i].id = x->flow.id;
    return true;
}

/* When the stream is shut whose command at the front finds no room. While somebody else may take the lead,
 * its client may wait longer. */
static uint64_t shut_at(const struct relay_in *x)
{
    bool alone = replica_raft(x->replica)->no_room;
    return x->full_since == NEVER ? NEVER
                                  : x->full_since + (alone ? RELAY_SHUT_US : RELAY_HANDOVER_US);
}

static void shut_in_time(struct relay_in *x, uint64_t now)
{
    if (!replica_full(x->replica))
        x->full_since = NEVER;
    else if (x->full_since == NEVER)
        x->full_since = now;
    if (now < shut_at(x))
        return;
    x->full_since = now; /* what can't be shut now is tried again after as long */
    if (!note_shut(x))
        return;
    x->flow.shut = true;
    x->flow.log_full = replica_raft(x->replica)->log_full;
    x->flow.ack_by = now;
    x->full_since = NEVER;
}

void relay_in_drain(struct relay_in *x, uint64_t now)
{
    enum taken rc = TAKEN;
    while (rc == TAKEN && present(x) && !x->broken && !x->flow.shut) {
        rc = take_next(x, now);
        if (x->waits && rc == TAKEN)
            x->flow.ack_by = now; /* the window opens again */
        x->waits = rc == MUST_WAIT;
        if (x->waits)
            shut_in_time(x, now);
        else
            x->full_since = NEVER;
    }
}

uint64_t relay_in_deadline(const struct relay_in *x)
{
    return present(x) ? shut_at(x) : NEVER;
}

static void drain(void *ctx, uint64_t now)
{
    relay_in_drain(ctx, now);
}

static const struct flow_sink sink = {
    .stream = WIRE_STREAM_RELAY,
    .takes = takes,
    .lives = lives,
    .drain = drain,
};

void relay_in_init(struct relay_in *x, struct replica *r, struct relay_shuts *shuts, uint16_t peer)
{
    *x = (struct relay_in){.flow = {.sink = &sink, .term = NEVER, .ack_by = NEVER},
                           .replica = r,
                           .shuts = shuts,
                           .peer = peer,
                           .full_since = NEVER};
    x->flow.ctx = x;
}

void relay_in_end(struct relay_in *x)
{
    free(x->buf);
    x->buf = NULL;
    x->flow.term = x->flow.ack_by = x->full_since = NEVER;
    x->flow.rx.cap = 0;
}
