/* node_net.c: datagrams in and out. */
#include <assert.h>
#include <string.h>

#include "raftd/node_impl.h"

/* No message of ours may name a term that is not on our disk. */
bool node_term_durable(const struct node *n)
{
    return n->raft.durable_term == n->raft.term;
}

static void take_message(struct node *n, uint64_t now, const struct raft_msg *m)
{
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .msg = m};
    struct raft_edit edit;
    node_step(n, now, &ev, &edit);
    if (m->type == RAFT_MSG_PROBE)
        log_rx_probe(n, m);
}

/* What a peer has of a stream that we send. Other streams than the present ones are past. */
static void take_sack(struct node *n, uint64_t now, unsigned slot, const struct wire_header *h,
                      const struct wire_sack *s)
{
    if (h->term != n->raft.term)
        return;
    uint16_t from = n->raft.peers[slot].id;
    bool sane = true;
    if (s->stream == WIRE_STREAM_LOG && n->raft.role == RAFT_LEADER) {
        log_tx_sync(n, slot);
        struct log_tx *l = &n->peers[slot].log;
        if (l->epoch != 0 && s->id == l->epoch)
            sane = stream_tx_ack(&l->tx, now, s);
    } else if (s->stream == WIRE_STREAM_RELAY && from == n->raft.leader) {
        if (n->relay_term == n->raft.term && s->id == n->cfg.boot)
            sane = stream_tx_ack(&n->relay_tx, now, s);
    }
    if (!sane)
        drop(n, slot, DROP_STREAM);
}

static void take_data(struct node *n, uint64_t now, unsigned slot, const struct wire_header *h,
                      const struct wire_data *d)
{
    if (h->term != n->raft.term)
        return;
    if (d->stream == WIRE_STREAM_RELAY)
        relay_rx_put(n, now, slot, d);
    else if (n->raft.peers[slot].id == n->raft.leader && log_rx_put(n, d))
        raft_ack_soon(&n->raft);
}

void node_datagram(struct node *n, uint64_t now, int from_slot, uint8_t *buf, size_t len)
{
    uint8_t *payload;
    n->received++;
    if (from_slot < 0) {
        n->drops[DROP_UNKNOWN]++;
        return;
    }
    unsigned slot = (unsigned)from_slot;
    assert(slot < n->raft.n_peers);
    if (!envelope_open(n, now, slot, buf, len, &payload, &len))
        return;
    struct wire_header h;
    if (wire_check(payload, len, &h) != WIRE_OK) {
        drop(n, slot, DROP_MALFORMED);
        return;
    }
    if (link_received(&n->peers[slot].link, now, &h))
        raft_pto(&n->raft, slot, rtt_pto(&n->peers[slot].link.rtt, 0, 0, 0));

    struct wire_reader r;
    struct wire_frame f;
    wire_read(&r, payload, len, n->raft.peers[slot].id, n->cfg.id);
    while (wire_next(&r, &f)) {
        switch (f.kind) {
        case WIRE_FRAME_MSG: take_message(n, now, &f.msg); break;
        case WIRE_FRAME_SACK: take_sack(n, now, slot, &h, &f.sack); break;
        case WIRE_FRAME_DATA: take_data(n, now, slot, &h, &f.data); break;
        case WIRE_FRAME_LINKS:
        case WIRE_FRAME_MTU: break;
        }
    }
    log_rx_drain(n, now);
    relay_rx_drain(n, now, slot);
}

/* Datagrams to one peer under construction. */
struct out {
    struct node *n;
    uint64_t now;
    unsigned slot;
    bool open;
    bool lead; /* a LEAD went to the peer */
    struct wire_writer w;
    uint8_t buf[WIRE_HEAD_ROOM + WIRE_DATAGRAM_MAX]; /* the payload stands behind the room */
};

static void out_finish(struct out *o)
{
    if (o->open && !wire_empty(&o->w)) {
        struct wire_header h = {.term = o->w.term};
        link_stamp(&o->n->peers[o->slot].link, o->now, &h);
        envelope_send(o->n, o->now, o->slot, o->buf, wire_end(&o->w, &h));
    }
    o->open = false;
}

static void out_open(struct out *o, uint64_t term)
{
    if (o->open && o->w.term != term)
        out_finish(o);
    if (!o->open)
        wire_begin(&o->w, o->buf + WIRE_HEAD_ROOM, envelope_room(o->n, o->slot), term);
    o->open = true;
}

static void out_msg(struct out *o, const struct raft_msg *m)
{
    out_open(o, m->term);
    if (!wire_put_msg(&o->w, m)) {
        out_finish(o);
        out_open(o, m->term);
        bool fits = wire_put_msg(&o->w, m);
        assert(fits);
    }
    o->lead |= m->type == RAFT_MSG_LEAD;
}

static void out_sack(struct out *o, const struct stream_rx *rx, enum wire_stream stream,
                     uint32_t id)
{
    struct wire_sack s = {.stream = (uint8_t)stream, .id = id};
    stream_rx_sack(rx, &s);
    out_open(o, o->n->raft.term);
    if (!wire_put_sack(&o->w, &s)) {
        out_finish(o);
        out_open(o, o->n->raft.term);
        bool fits = wire_put_sack(&o->w, &s);
        assert(fits);
    }
}

static void out_lead(struct out *o)
{
    struct raft_msg m;
    raft_lead(&o->n->raft, o->now, o->slot, &m);
    out_msg(o, &m);
    o->n->peers[o->slot].lead_due = false;
}

/* Sends what a stream has to send now. `bytes` finds them; NULL: not at hand now. */
static void out_stream(struct out *o, struct stream_tx *tx, struct wire_data *d)
{
    struct node *n = o->n;
    uint64_t off;
    size_t want;
    /* The room of an empty datagram is asked for, then what really fits is sent. */
    while (stream_tx_next(tx, o->now, n->cfg.datagram_bytes, &off, &want)) {
        size_t have = want;
        d->off = off;
        d->bytes = d->stream == WIRE_STREAM_LOG ? log_tx_bytes(n, o->slot, off, &have)
                                                : ring_at(&n->relay, n->relay_base + off);
        if (d->bytes == NULL)
            return;
        if (d->stream == WIRE_STREAM_LOG && !o->lead)
            out_lead(o); /* commit index and a round ride along with the first piece */
        out_open(o, n->raft.term);
        if (wire_room(&o->w, (enum wire_stream)d->stream) < 64) {
            out_finish(o); /* no crumbs */
            out_open(o, n->raft.term);
        }
        d->len = have < want ? have : want;
        size_t put = wire_put_data(&o->w, d);
        assert(put > 0);
        if (d->stream == WIRE_STREAM_LOG && off < n->peers[o->slot].log.tx.nxt)
            n->peers[o->slot].log.resent_bytes += put;
        stream_tx_sent(tx, o->now, off, put);
    }
}

static void out_log(struct out *o)
{
    struct node *n = o->n;
    struct log_tx *l = &n->peers[o->slot].log;
    log_tx_sync(n, o->slot);
    if (l->epoch == 0 || log_tx_silent(n, o->now, o->slot))
        return;
    const struct raft_peer *rp = &n->raft.peers[o->slot];
    struct wire_data d = {
        .stream = WIRE_STREAM_LOG,
        .id = l->epoch,
        .base_index = rp->base_index,
        .base_term = rp->base_term,
    };
    out_stream(o, &l->tx, &d);
}

static void out_relay(struct out *o)
{
    struct node *n = o->n;
    if (n->relay.base == NULL || n->raft.peers[o->slot].id != n->raft.leader)
        return;
    relay_tx_sync(n);
    struct wire_data d = {.stream = WIRE_STREAM_RELAY, .id = n->cfg.boot};
    out_stream(o, &n->relay_tx, &d);
}

/* An ACK of the core, and with it what has arrived of the leader's stream. */
static void out_ack(struct out *o, const struct raft_msg *m)
{
    struct node *n = o->n;
    out_msg(o, m);
    if (n->log_rx_epoch != 0 && n->log_rx_term == m->term && n->log_rx_epoch == m->ack.epoch &&
        !m->ack.need_probe) {
        out_sack(o, &n->log_rx, WIRE_STREAM_LOG, n->log_rx_epoch);
        n->log_rx_unacked = 0;
    }
}

/* Everything for one peer: control first, then its relays' acknowledgement, then log. */
static void send_to(struct node *n, uint64_t now, unsigned slot, const struct raft_msg *msgs,
                    size_t n_msgs)
{
    struct out o = {.n = n, .now = now, .slot = slot};
    struct peer *p = &n->peers[slot];
    for (size_t i = 0; i < n_msgs; i++) {
        if (msgs[i].to != n->raft.peers[slot].id)
            continue;
        if (msgs[i].type == RAFT_MSG_ACK)
            out_ack(&o, &msgs[i]);
        else
            out_msg(&o, &msgs[i]);
    }
    if (node_term_durable(n)) {
        if (n->raft.role == RAFT_LEADER) {
            if (p->lead_due && !o.lead)
                out_lead(&o);
            p->lead_due = false;
            out_log(&o);
            if (p->relay_term == n->raft.term && p->relay_buf != NULL &&
                (p->relay_ack_by <= now || (o.open && p->relay_ack_by != RAFT_NEVER))) {
                out_sack(&o, &p->relay_rx, WIRE_STREAM_RELAY, p->relay_boot);
                p->relay_ack_by = RAFT_NEVER;
            }
        } else {
            out_relay(&o);
        }
    }
    out_finish(&o);
}

void net_send(struct node *n, uint64_t now, const struct raft_msg *msgs, size_t n_msgs)
{
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++)
        send_to(n, now, slot, msgs, n_msgs);
}

void net_send_to(struct node *n, uint64_t now, unsigned slot)
{
    send_to(n, now, slot, NULL, 0);
}

/* The batch that these messages waited for is durable. */
void net_send_held(struct node *n, uint64_t now)
{
    size_t count = n->n_held;
    n->n_held = 0;
    n->held_seq = 0;
    net_send(n, now, n->held, count);
}
