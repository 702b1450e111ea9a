/* net.c: datagrams in and out. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/node/node_impl.h"

enum { CRUMB_BYTES = 64 }; /* less room in a datagram is not worth a piece of a stream */

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
    uint64_t stamp = link_echoed(&n->peers[slot].link, h);
    if (h->term != n->raft.term)
        return;
    uint16_t from = n->raft.peers[slot].id;
    bool sane = true;
    if (s->stream == WIRE_STREAM_LOG && n->raft.role == RAFT_LEADER) {
        log_tx_sync(n, slot);
        struct log_tx *l = &n->peers[slot].log;
        if (l->epoch != 0 && s->id == l->epoch)
            sane = stream_tx_ack(&l->tx, now, s, stamp);
    } else if (s->stream == WIRE_STREAM_RELAY && from == n->raft.leader) {
        if (n->relay_term == n->raft.term && s->id == n->cfg.boot)
            sane = stream_tx_ack(&n->relay_tx, now, s, stamp);
    }
    if (!sane)
        drop(n, slot, DROP_STREAM);
}

/* How old a datagram may be that shows us that its sender, the leader, lives. */
static uint64_t life_us(const struct node *n)
{
    uint64_t two_timeouts = 2 * n->cfg.election_timeout_us;
    return two_timeouts > NODE_LIFE_US ? two_timeouts : NODE_LIFE_US;
}

/* What only a living leader may say: the core takes it for a sign of life. */
static bool shows_life(const struct wire_frame *f)
{
    if (f->kind == WIRE_FRAME_DATA)
        return f->data.stream == WIRE_STREAM_LOG;
    return f->kind == WIRE_FRAME_MSG &&
           (f->msg.type == RAFT_MSG_LEAD || f->msg.type == RAFT_MSG_PROBE);
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
    if (now > NODE_LATE_US && now - NODE_LATE_US > n->due) {
        for (unsigned i = 0; i < n->raft.n_peers; i++)
            link_late(&n->peers[i].link, now);
        n->due = now;
    }
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
    if (raft_term_absurd(&n->raft, h.term)) { /* the core drops its messages; here we know whose */
        drop(n, slot, DROP_TERM);
        return;
    }
    struct link *link = &n->peers[slot].link;
    if (!n->cfg.take_held && link_held_back(link, now, &h, life_us(n))) {
        drop(n, slot, DROP_HELD);
        return;
    }
    bool late = !n->cfg.take_held && link_is_late(link, now, &h, life_us(n)), dropped = false;
    mtu_heard(&n->peers[slot].mtu);
    if (link_received(link, now, &h))
        raft_pto(&n->raft, slot, rtt_pto(&link->rtt, &(struct rtt){0}, 0, 0, 0));

    struct wire_reader r;
    struct wire_frame f;
    wire_read(&r, payload, len, n->raft.peers[slot].id, n->cfg.id);
    while (wire_next(&r, &f)) {
        if (late && shows_life(&f)) {
            dropped = true;
            continue;
        }
        switch (f.kind) {
        case WIRE_FRAME_MSG: take_message(n, now, &f.msg); break;
        case WIRE_FRAME_SACK: take_sack(n, now, slot, &h, &f.sack); break;
        case WIRE_FRAME_DATA: take_data(n, now, slot, &h, &f.data); break;
        case WIRE_FRAME_LINKS: links_take(n, now, slot, &f.links); break;
        case WIRE_FRAME_SETTINGS: n->peers[slot].settings = f.settings; break;
        }
    }
    if (dropped)
        drop(n, slot, DROP_HELD);
    log_rx_drain(n, now);
    relay_rx_drain(n, now, slot);
}

/* Datagrams to one peer under construction. */
struct out {
    struct node *n;
    uint64_t now;
    unsigned slot;
    bool open;
    bool lead;            /* a LEAD went to the peer */
    bool done;            /* all is sent */
    struct stream_tx *tx; /* the stream to it, NULL = none */
    struct wire_data d;   /* a piece of it, but for offset and bytes */
    struct stream_tx_stats before;
    struct wire_header h;
    uint64_t stamp; /* of this datagram, see link.h */
    struct wire_writer w;
    uint8_t buf[WIRE_HEAD_ROOM + WIRE_DATAGRAM_MAX]; /* the payload stands behind the room */
};

static void out_close(struct out *o)
{
    envelope_send(o->n, o->now, o->slot, o->buf, wire_end(&o->w, &o->h));
    o->open = false;
}

static void out_finish(struct out *o)
{
    if (o->open && !wire_empty(&o->w)) {
        link_sent(&o->n->peers[o->slot].link);
        out_close(o);
    }
    o->open = false;
}

static size_t datagram_bytes(const struct node *n, unsigned slot)
{
    return mtu_size(&n->peers[slot].mtu);
}

/* Bytes of a stream that a full datagram carries. */
static size_t stream_room(const struct node *n, unsigned slot, enum wire_stream stream)
{
    return envelope_room(n, datagram_bytes(n, slot)) - WIRE_PREAMBLE_BYTES -
           wire_frame_bytes(stream == WIRE_STREAM_LOG ? WIRE_LOG : WIRE_RELAY);
}

/* A stream to a peer, without bytes yet. */
void net_start_stream(struct node *n, unsigned slot, struct stream_tx *tx, enum wire_stream stream)
{
    struct stream_tx_config cfg = {
        .ack_delay_us = NODE_ACK_DELAY_US,
        .cap_us = n->raft.cfg.heartbeat,
        .window_bytes = NODE_WINDOW_BYTES,
        .datagram_bytes = (uint32_t)stream_room(n, slot, stream),
    };
    stream_tx_init(tx, &n->peers[slot].link, &cfg);
}

static void out_begin(struct out *o, uint64_t term, size_t datagram)
{
    o->h.term = term;
    o->stamp = link_stamp(&o->n->peers[o->slot].link, o->now, &o->h);
    wire_begin(&o->w, o->buf + WIRE_HEAD_ROOM, envelope_room(o->n, datagram), term);
    o->open = true;
}

static void out_open(struct out *o, uint64_t term)
{
    if (o->open && o->w.term != term)
        out_finish(o);
    if (!o->open)
        out_begin(o, term, datagram_bytes(o->n, o->slot));
}

static void out_next(struct out *o, uint64_t term)
{
    out_finish(o);
    out_open(o, term);
}

static void out_msg(struct out *o, const struct raft_msg *m)
{
    out_open(o, m->term);
    if (!wire_put_msg(&o->w, m)) {
        out_next(o, m->term);
        bool fits = wire_put_msg(&o->w, m);
        assert(fits);
    }
    if (m->type != RAFT_MSG_LEAD)
        return;
    struct peer *p = &o->n->peers[o->slot];
    o->lead = true;
    if (p->lead_due && m->lead.commit >= o->n->applied) {
        p->lead_round = m->lead.round;
        p->lead_due = false;
    }
}

static void out_sack(struct out *o, const struct wire_sack *s)
{
    out_open(o, o->n->raft.term);
    if (!wire_put_sack(&o->w, s)) {
        out_next(o, o->n->raft.term);
        bool fits = wire_put_sack(&o->w, s);
        assert(fits);
    }
}

static void out_lead(struct out *o, bool ack_now)
{
    struct raft_msg m;
    raft_lead(&o->n->raft, o->now, o->slot, &m);
    m.lead.ack_now |= ack_now;
    out_msg(o, &m);
}

/* Bytes of a stream that fit into one more piece: of the datagram under construction or, where only
 * a crumb is left, of the next one. A LEAD goes before the first piece of the log. */
static size_t piece_room(const struct out *o, enum wire_stream stream)
{
    size_t lead = 0;
    if (stream == WIRE_STREAM_LOG && !o->lead)
        lead = wire_frame_bytes(WIRE_LEAD);
    size_t room = o->open ? wire_room(&o->w, stream) : 0;
    if (room < CRUMB_BYTES + lead)
        room = stream_room(o->n, o->slot, stream);
    return room - lead;
}

/* Least size of the datagram in which a piece of that length left: a LEAD may have stood before a
 * piece of the log. */
static uint32_t piece_datagram(const struct out *o, enum wire_stream stream, size_t piece)
{
    return (uint32_t)(piece + datagram_bytes(o->n, o->slot) - stream_room(o->n, o->slot, stream));
}

/* What arrived of the stream shows how large datagrams to the peer may be; and the stream is told. */
static void follow_mtu(struct out *o, struct stream_tx *tx, enum wire_stream stream)
{
    struct mtu *m = &o->n->peers[o->slot].mtu;
    if (tx->arrived_max > 0)
        mtu_arrived(m, piece_datagram(o, stream, tx->arrived_max));
    tx->arrived_max = 0;
    mtu_rise(m, o->now);
    size_t room = stream_room(o->n, o->slot, stream);
    if (tx->cfg.datagram_bytes != room)
        stream_tx_datagram(tx, (uint32_t)room);
}

/* A timer has run out: what is missing may be too large for the path. */
static void timed_out(struct out *o, const struct stream_tx *tx, enum wire_stream stream)
{
    size_t lead = stream == WIRE_STREAM_LOG ? wire_frame_bytes(WIRE_LEAD) : 0;
    uint64_t most = piece_datagram(o, stream, tx->missing_max + lead);
    if (tx->missing_max > 0)
        mtu_timeout(&o->n->peers[o->slot].mtu, o->now,
                    (uint32_t)min_u64(most, datagram_bytes(o->n, o->slot)));
}

/* What the timer asks for first must be in memory: a disk that takes its time is no silent peer. */
static bool out_at_hand(const struct out *o)
{
    size_t len;
    return o->d.stream != WIRE_STREAM_LOG || o->tx->una == o->tx->end ||
           log_tx_bytes(o->n, o->slot, o->tx->una, &len) != NULL;
}

/* One more piece of the stream goes into the datagram under construction, or into the next one. False
 * if there is none to be sent now. */
static bool out_piece(struct out *o)
{
    struct node *n = o->n;
    enum wire_stream stream = (enum wire_stream)o->d.stream;
    struct wire_data *d = &o->d;
    struct stream_piece piece;
    if (o->tx == NULL || !out_at_hand(o) ||
        !stream_tx_next(o->tx, o->now, piece_room(o, stream), &piece))
        return false;
    size_t have = piece.len;
    d->off = piece.off;
    d->again = piece.again;
    d->bytes = stream == WIRE_STREAM_LOG ? log_tx_bytes(n, o->slot, piece.off, &have)
                                         : ring_at(&n->relay, n->relay_base + piece.off);
    if (d->bytes == NULL)
        return false; /* not at hand now */
    if (stream == WIRE_STREAM_LOG && !o->lead)
        out_lead(o, false); /* commit index and a round ride along with the first piece */
    out_open(o, n->raft.term);
    if (wire_room(&o->w, stream) < CRUMB_BYTES)
        out_next(o, n->raft.term);
    d->len = have < piece.len ? have : piece.len;
    size_t put = wire_put_data(&o->w, d);
    assert(put > 0);
    stream_tx_sent(o->tx, o->now, o->stamp, piece.off, put);
    return true;
}

static void stream_begins(struct out *o, struct stream_tx *tx, const struct wire_data *d)
{
    o->tx = tx;
    o->d = *d;
    o->before = tx->stats;
    follow_mtu(o, tx, (enum wire_stream)d->stream);
}

static void stream_ends(struct out *o)
{
    struct peer *p = &o->n->peers[o->slot];
    const struct stream_tx *tx = o->tx;
    if (tx == NULL)
        return;
    p->resent_bytes += tx->stats.resent_bytes - o->before.resent_bytes;
    p->resent_datagrams += tx->stats.resent_datagrams - o->before.resent_datagrams;
    if (tx->stats.timeouts != o->before.timeouts)
        timed_out(o, tx, (enum wire_stream)o->d.stream);
}

static void log_begins(struct out *o)
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
    stream_begins(o, &l->tx, &d);
}

static void relay_begins(struct out *o)
{
    struct node *n = o->n;
    if (n->relay.base == NULL || n->raft.peers[o->slot].id != n->raft.leader)
        return;
    relay_tx_sync(n);
    struct wire_data d = {.stream = WIRE_STREAM_RELAY, .id = n->cfg.boot};
    stream_begins(o, &n->relay_tx, &d);
}

/* An ACK of the core, and with it what has arrived of the leader's stream. */
static void out_ack(struct out *o, const struct raft_msg *m)
{
    struct node *n = o->n;
    out_msg(o, m);
    if (n->log_rx_epoch != 0 && n->log_rx_term == m->term && n->log_rx_epoch == m->ack.epoch &&
        !m->ack.need_probe) {
        struct wire_sack s = {.stream = WIRE_STREAM_LOG, .id = n->log_rx_epoch};
        stream_rx_sack(&n->log_rx, &s);
        out_sack(o, &s);
        n->log_rx_unacked = 0;
    }
}

/* Leader: does the peer owe an answer that no stream waits for? It has all bytes of the log but has
 * not said that its disk has them, or not that it heard the commit index its clients wait for. The
 * answer may be lost, so it is asked for on the clock of resends, not on that of heartbeats. */
static bool owes(const struct node *n, unsigned slot)
{
    const struct raft_peer *rp = &n->raft.peers[slot];
    const struct peer *p = &n->peers[slot];
    if (n->raft.role != RAFT_LEADER || rp->state != RAFT_PEER_REPLICATE || !p->log.joined)
        return false;
    return (p->log.tx.una == p->log.tx.end && rp->match_index < n->log.last) ||
           p->lead_round > rp->round;
}

/* Under load it owes something all the time, but not the same: then it is not asked. */
static void note_owed(struct node *n, uint64_t now, unsigned slot)
{
    struct peer *p = &n->peers[slot];
    uint64_t debt = n->raft.peers[slot].match_index +
                    p->lead_round; /* both only grow on a stream */
    bool owing = owes(n, slot);
    if (p->owed_at != 0 && (p->debt != debt || !owing)) {
        if (p->owed_at > p->link.late) /* else one of us was stopped meanwhile */
            rtt_sample(&p->settles, now, now - p->owed_at);
        p->owed_at = 0;
    }
    if (p->owed_at == 0) {
        p->owed_at = p->asked_at = owing ? now : 0;
        p->asks = 0;
    }
    p->debt = debt;
}

/* On a good link a slow disk is waited for as long as usual, before the first question. */
uint64_t net_ask_at(const struct node *n, unsigned slot)
{
    const struct peer *p = &n->peers[slot];
    const struct link *l = &p->link;
    if (p->owed_at == 0)
        return RAFT_NEVER;
    uint64_t wait = rtt_pto(&l->rtt, &p->log.tx.answer, p->asks, NODE_ACK_DELAY_US,
                            n->raft.cfg.heartbeat);
    uint64_t usual = p->settles.srtt_us + 4 * p->settles.rttvar_us;
    if (p->asks == 0 && l->loss_in < STREAM_RIDE_LOSS && l->loss_out < STREAM_RIDE_LOSS &&
        usual > wait)
        wait = usual < n->raft.cfg.heartbeat ? usual : n->raft.cfg.heartbeat;
    return p->asked_at + wait;
}

static void out_ask(struct out *o)
{
    struct peer *p = &o->n->peers[o->slot];
    if (o->now < net_ask_at(o->n, o->slot))
        return;
    p->asked_at = o->now;
    p->asks++;
    out_lead(o, true);
}

static void out_leader(struct out *o)
{
    struct node *n = o->n;
    struct peer *p = &n->peers[o->slot];
    if (p->lead_due)
        out_lead(o, false);
    out_ask(o);
    if (p->relay.term == n->raft.term &&
        (p->relay.ack_by <= o->now || (o->open && p->relay.ack_by != RAFT_NEVER))) {
        struct wire_sack s;
        relay_rx_sack(n, o->slot, &s);
        out_sack(o, &s);
    }
    log_begins(o);
}

/* What is neither urgent nor needed. */
static void out_extras(struct out *o)
{
    struct node *n = o->n;
    uint64_t term = n->raft.term;
    struct wire_links l = {0};
    if (((o->open && !wire_empty(&o->w)) || o->now >= links_due(n, o->slot)) &&
        links_fill(n, o->now, o->slot, &l)) {
        out_open(o, term);
        if (!wire_put_links(&o->w, &l)) {
            out_next(o, term);
            (void)wire_put_links(&o->w, &l); /* too small a datagram for nine nodes: untold */
        }
        const struct wire_settings s = links_settings(n);
        (void)wire_put_settings(&o->w, &s); /* no room: the next time */
    }
}

/* What is not a stream: it waits for no window. */
static void out_control(struct out *o, const struct raft_msg *msgs, size_t n_msgs)
{
    struct node *n = o->n;
    for (size_t i = 0; i < n_msgs; i++) {
        if (msgs[i].to != n->raft.peers[o->slot].id)
            continue;
        if (msgs[i].type == RAFT_MSG_ACK)
            out_ack(o, &msgs[i]);
        else
            out_msg(o, &msgs[i]);
    }
    if (!node_term_durable(n))
        return;
    if (n->raft.role == RAFT_LEADER)
        out_leader(o);
    else
        relay_begins(o);
}

static void out_rest(struct out *o)
{
    struct node *n = o->n;
    stream_ends(o);
    if (node_term_durable(n)) {
        if (n->raft.role == RAFT_LEADER)
            note_owed(n, o->now, o->slot);
        out_extras(o);
    }
    out_finish(o);
    o->done = true;
}

/* Everything for the peers from slot `first` to `last`: the control of all of them first, then their
 * streams in turn, a piece of each: no peer waits behind the bulk for another one. Within a stream
 * resends go before new bytes. */
static void send_to(struct node *n, uint64_t now, unsigned first, unsigned last,
                    const struct raft_msg *msgs, size_t n_msgs)
{
    struct out outs[RAFT_VOTERS_MAX - 1];
    unsigned count = 0;
    for (unsigned slot = first; slot <= last; slot++) {
        if (!envelope_ready(n, slot))
            continue; /* all of it is tried again on its own clock, as if it were lost */
        struct out *o = &outs[count++];
        memset(o, 0, offsetof(struct out, buf));
        o->n = n;
        o->now = now;
        o->slot = slot;
        out_control(o, msgs, n_msgs);
    }
    for (unsigned left = count; left > 0;) {
        for (unsigned i = 0; i < count; i++) {
            if (outs[i].done || out_piece(&outs[i]))
                continue;
            out_rest(&outs[i]);
            left--;
        }
    }
}

void net_send(struct node *n, uint64_t now, const struct raft_msg *msgs, size_t n_msgs)
{
    if (n->raft.n_peers > 0)
        send_to(n, now, 0, n->raft.n_peers - 1, msgs, n_msgs);
}

void net_send_to(struct node *n, uint64_t now, unsigned slot)
{
    send_to(n, now, slot, slot, NULL, 0);
}

/* The batch that these messages waited for is durable. */
void net_send_held(struct node *n, uint64_t now)
{
    size_t count = n->n_held;
    n->n_held = 0;
    n->held_seq = 0;
    net_send(n, now, n->held, count);
}
