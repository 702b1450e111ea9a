#include "raftd/node/flow.h"

#include <assert.h>

#include "raftd/base/num.h"
#include "raftd/node/io.h"

size_t path_payload(const struct path *p)
{
    return mtu_size(&p->mtu) - p->envelope_bytes;
}

size_t path_room(const struct path *p)
{
    return path_payload(p) - WIRE_PREAMBLE_BYTES - wire_frame_bytes(WIRE_DATA);
}

void flow_begin(struct flow_out *f, const struct path *path, uint64_t term, uint32_t id)
{
    struct stream_tx_config cfg = {
        .ack_delay_us = NODE_ACK_DELAY_US,
        .cap_us = path->cap_us,
        .window_bytes = NODE_WINDOW_BYTES,
        .datagram_bytes = (uint32_t)path_room(path),
        .resumes = f->source->resumes,
    };
    f->term = term;
    f->id = id;
    stream_tx_init(&f->tx, &path->link, &cfg);
}

void flows_add_out(struct flows *fs, struct flow_out *f)
{
    assert(fs->n_out < FLOWS_MAX);
    fs->out[fs->n_out++] = f;
}

void flows_add_in(struct flows *fs, struct flow_in *f)
{
    assert(fs->n_in < FLOWS_MAX);
    fs->in[fs->n_in++] = f;
}

static enum flow_state state(const struct flow_out *f, uint64_t now, uint16_t peer)
{
    return f->source->state(f->ctx, now, peer);
}

struct flow_out *flows_sync(struct flows *fs, uint64_t now, uint16_t peer)
{
    for (unsigned i = 0; i < fs->n_out; i++) {
        fs->out[i]->source->sync(fs->out[i]->ctx, peer);
        if (state(fs->out[i], now, peer) == FLOW_GOES)
            return fs->out[i];
    }
    return NULL;
}

const struct flow_out *flows_current(const struct flows *fs, uint64_t now, uint16_t peer)
{
    for (unsigned i = 0; i < fs->n_out; i++)
        if (state(fs->out[i], now, peer) != FLOW_NONE)
            return fs->out[i];
    return NULL;
}

bool flows_acked(struct flows *fs, uint64_t now, uint16_t peer, const struct wire_sack *s,
                 uint64_t stamp)
{
    for (unsigned i = 0; i < fs->n_out; i++) {
        struct flow_out *f = fs->out[i];
        if (f->source->stream != s->stream)
            continue;
        f->source->sync(f->ctx, peer);
        if (state(f, now, peer) == FLOW_NONE || s->id != f->id)
            return true; /* it is about an earlier stream */
        if (s->shut && f->source->shut != NULL) {
            f->source->shut(f->ctx, s);
            return true;
        }
        if (!stream_tx_ack(&f->tx, now, s, stamp))
            return false;
        if (f->source->acked != NULL)
            f->source->acked(f->ctx);
    }
    return true;
}

void flows_put(struct flows *fs, uint64_t now, uint16_t peer, const struct wire_data *d)
{
    for (unsigned i = 0; i < fs->n_in; i++) {
        struct flow_in *f = fs->in[i];
        if (f->sink->stream != d->stream || !f->sink->takes(f->ctx, peer, d))
            continue;
        enum stream_put how = stream_rx_put(&f->rx, d->off, d->bytes, d->len, d->again);
        if (f->sink->arrived != NULL)
            f->sink->arrived(f->ctx, how);
        else
            f->ack_by = min_u64(f->ack_by, how == STREAM_NEW ? now + NODE_ACK_DELAY_US : now);
    }
}

bool flows_of_leader(const struct flows *fs, uint8_t stream)
{
    for (unsigned i = 0; i < fs->n_in; i++)
        if (fs->in[i]->sink->stream == stream)
            return fs->in[i]->sink->of_leader;
    return false;
}

void flows_drain(struct flows *fs, uint64_t now)
{
    for (unsigned i = 0; i < fs->n_in; i++)
        fs->in[i]->sink->drain(fs->in[i]->ctx, now);
}

bool flows_sack(struct flows *fs, uint64_t now, uint16_t peer, uint64_t term, enum flow_ride ride,
                unsigned *i, struct wire_sack *s)
{
    while (*i < fs->n_in) {
        struct flow_in *f = fs->in[(*i)++];
        bool due = (ride == FLOW_WITH_ACK && f->sink->of_leader) || f->ack_by <= now ||
                   (ride == FLOW_WITH && f->ack_by != NEVER);
        if (!due || f->term != term || !f->sink->lives(f->ctx, peer))
            continue;
        *s = (struct wire_sack){.stream = (uint8_t)f->sink->stream, .id = f->id};
        if (f->shut) {
            s->shut = true;
            s->log_full = f->log_full;
            s->contig = f->rx.consumed;
        } else {
            stream_rx_sack(&f->rx, s);
        }
        f->unacked = 0;
        f->ack_by = NEVER;
        return true;
    }
    return false;
}

uint64_t flows_deadline(const struct flows *fs, uint64_t now, uint16_t peer, uint64_t term)
{
    uint64_t at = NEVER;
    for (unsigned i = 0; i < fs->n_in; i++)
        if (fs->in[i]->term == term && fs->in[i]->sink->lives(fs->in[i]->ctx, peer))
            at = min_u64(at, fs->in[i]->ack_by);
    const struct flow_out *f = flows_current(fs, now, peer);
    if (f != NULL && state(f, now, peer) == FLOW_GOES)
        at = min_u64(at, stream_tx_deadline(&f->tx, now));
    return at;
}

uint64_t flows_take_bad(struct flows *fs)
{
    uint64_t bad = 0;
    for (unsigned i = 0; i < fs->n_in; i++) {
        bad += fs->in[i]->bad;
        fs->in[i]->bad = 0;
    }
    return bad;
}
