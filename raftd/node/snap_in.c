#include "raftd/node/snap_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/node/snap_out.h"

static bool same(const struct snapshot_name *n, const struct wire_offer *o)
{
    return n->index == o->index && n->term == o->term && n->size == o->size &&
           memcmp(n->hash, o->hash, sizeof o->hash) == 0;
}

/* Something that a correct leader of this term may offer to a node that needs it. */
static bool wanted(const struct snap_in *s, uint16_t from, const struct wire_offer *o)
{
    const struct raft *r = replica_raft(s->replica);
    return r->role == RAFT_FOLLOWER && r->leader == from && o->index > r->commit_index &&
           o->term > 0 && o->term <= r->term && o->size >= SNAP_MIN_BYTES;
}

static void stop(struct snap_in *s)
{
    free(s->buf);
    s->buf = NULL;
    s->stage = SNAP_NONE;
    s->flow.ack_by = NEVER;
}

/* The snapshot can't be taken. The next try waits, since each costs the leader, the path and the disk. */
static void give_up(struct snap_in *s, uint64_t now)
{
    stop(s);
    s->again_at = now + ((uint64_t)SNAP_AGAIN_US << min_u64(s->failed, SNAP_DOUBLINGS));
    s->failed++;
    s->n_failed++;
}

/* Memory is allocated before the disk is asked, so that nothing can fail later. */
void snap_in_offer(struct snap_in *s, uint64_t now, uint16_t from, const struct wire_offer *o)
{
    const struct raft *r = replica_raft(s->replica);
    if (s->io->snap_open == NULL || !wanted(s, from, o) || s->stage == SNAP_OPENS ||
        s->stage == SNAP_INSTALLS)
        return;
    if (s->stage == SNAP_TAKES && same(&s->name, o)) {
        if (s->flow.term != r->term || (int32_t)(o->id - s->flow.id) > 0)
            s->flow.id = o->id;
        s->flow.term = r->term;
        s->flow.ack_by = now;
        return;
    }
    if (s->writing != 0 || now < s->again_at)
        return;
    if (s->buf == NULL && (s->buf = malloc(2 * (size_t)s->window + SNAP_WRITE_BYTES)) == NULL)
        return; /* it will be offered again */
    s->stage = SNAP_OPENS;
    s->name = (struct snapshot_name){.index = o->index, .term = o->term, .size = o->size};
    memcpy(s->name.hash, o->hash, sizeof s->name.hash);
    s->flow.term = r->term;
    s->flow.id = o->id;
    s->io->snap_open(s->io->ctx, &s->name);
}

void snap_in_have(struct snap_in *s, uint64_t now, uint64_t have)
{
    assert(s->stage == SNAP_OPENS);
    if (have > s->name.size) {
        give_up(s, now);
        return;
    }
    stream_rx_init(&s->flow.rx, s->buf, 2 * (size_t)s->window, s->window);
    stream_rx_resume(&s->flow.rx, have);
    s->written = have;
    s->stage = SNAP_TAKES;
    s->flow.ack_by = now;
}

static bool takes(void *ctx, uint16_t peer, const struct wire_data *d)
{
    const struct snap_in *s = ctx;
    const struct raft *r = replica_raft(s->replica);
    return s->stage == SNAP_TAKES && r->leader == peer && s->flow.term == r->term &&
           d->id == s->flow.id;
}

static bool lives(const void *ctx, uint16_t peer)
{
    const struct snap_in *s = ctx;
    return s->stage == SNAP_TAKES && replica_raft(s->replica)->leader == peer;
}

/* All of it is on disk. It becomes ours as soon as this node follows a leader. */
static void install(struct snap_in *s)
{
    if (!replica_install_begin(s->replica))
        return;
    stop(s);
    s->stage = SNAP_INSTALLS;
    s->io->snap_install(s->io->ctx);
}

static void drain(void *ctx, uint64_t now)
{
    struct snap_in *s = ctx;
    const uint8_t *p;
    size_t len;
    (void)now;
    if (s->stage != SNAP_TAKES || s->writing != 0)
        return;
    if (s->name.index <= replica_raft(s->replica)->commit_index) {
        stop(s); /* the log brought the same entries first */
    } else if (s->written == s->name.size) {
        install(s);
    } else if (stream_rx_ready(&s->flow.rx, &p, &len)) {
        uint8_t *out = s->buf + 2 * (size_t)s->window;
        len = (size_t)min_u64(min_u64(len, SNAP_WRITE_BYTES), s->name.size - s->written);
        memcpy(out, p, len);
        s->writing = len;
        s->io->snap_write(s->io->ctx, s->written, out, len);
    }
}

/* Bytes that the disk has make room in the window, and the leader is told of it. */
void snap_in_written(struct snap_in *s, uint64_t now, bool done)
{
    assert(s->stage == SNAP_TAKES && s->writing != 0);
    size_t len = s->writing;
    s->writing = 0;
    if (!done) {
        give_up(s, now);
        return;
    }
    stream_rx_consume(&s->flow.rx, len);
    s->written += len;
    s->flow.ack_by = min_u64(s->flow.ack_by, now + NODE_ACK_DELAY_US);
    drain(s, now);
}

static const struct flow_sink sink = {
    .stream = WIRE_STREAM_SNAPSHOT,
    .of_leader = true,
    .takes = takes,
    .lives = lives,
    .drain = drain,
};

void snap_in_init(struct snap_in *s, struct replica *r, const struct node_io *io, uint32_t window)
{
    *s = (struct snap_in){
        .flow = {.sink = &sink, .ack_by = NEVER}, .replica = r, .io = io, .window = window};
    s->flow.ctx = s;
}

void snap_in_free(struct snap_in *s)
{
    free(s->buf);
}

void snap_in_done(struct snap_in *s, uint64_t now, bool installed)
{
    assert(s->stage == SNAP_INSTALLS);
    s->stage = SNAP_NONE;
    if (!installed)
        give_up(s, now);
    else
        s->failed = 0;
}

const struct snapshot_name *snap_in_name(const struct snap_in *s)
{
    return &s->name;
}

void snap_in_status(const struct snap_in *s, struct status *status)
{
    status->install_bytes = s->stage != SNAP_NONE ? s->written : 0;
    status->installs_failed = s->n_failed;
    status->install_of_bytes = s->stage != SNAP_NONE ? s->name.size : 0;
}
