#include "raftd/node/send.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "raftd/base/num.h"

enum { CRUMB_BYTES = 64 }; /* less room in a datagram is not worth a piece of a stream */

/* Datagrams to one peer under construction. */
struct out {
    const struct sender *s;
    uint64_t now;
    struct peer *p;
    struct flow_out *flow; /* what goes to it, NULL = nothing */
    struct stream_tx_stats before;
    struct wire_header h;
    uint64_t stamp; /* of this datagram, see link.h */
    struct wire_writer w;
    bool open;
    bool lead; /* a LEAD went to the peer */
    bool done; /* all is sent */
    /* WIRE_HEAD_ROOM bytes, and the payload behind them. The last field, because it is not zeroed. */
    uint8_t buf[WIRE_HEAD_ROOM + WIRE_DATAGRAM_MAX];
};

static void out_close(struct out *o)
{
    envelope_send(o->s->envelope, o->now, o->p->id, o->buf, wire_end(&o->w, &o->h));
    o->open = false;
}

static void out_finish(struct out *o)
{
    if (o->open && !wire_empty(&o->w)) {
        link_sent(&o->p->path.link);
        out_close(o);
    }
    o->open = false;
}

static uint64_t term_of(const struct out *o)
{
    return replica_raft(o->s->replica)->term;
}

static void out_open(struct out *o, uint64_t term)
{
    if (o->open && o->w.term != term)
        out_finish(o);
    if (o->open)
        return;
    o->h.term = term;
    o->h.awaits = o->s->io->awaits != NULL && o->s->io->awaits(o->s->io->ctx);
    o->stamp = link_stamp(&o->p->path.link, o->now, &o->h);
    wire_begin(&o->w, o->buf + WIRE_HEAD_ROOM, path_payload(&o->p->path), term);
    o->open = true;
}

static void out_next(struct out *o, uint64_t term)
{
    out_finish(o);
    out_open(o, term);
}

/* Puts a frame into the datagram under construction or, if that has no room, into the next one. */
#define OUT_PUT(o, term, put, frame)                                                               \
    do {                                                                                           \
        out_open(o, term);                                                                         \
        if (!put(&(o)->w, frame)) {                                                                \
            out_next(o, term);                                                                     \
            bool fits = put(&(o)->w, frame);                                                       \
            assert(fits);                                                                          \
        }                                                                                          \
    } while (0)

/* Leases are renewed with LEADs and ACKs, which go all the time. */
static void out_lease(struct out *o)
{
    struct wire_lease w;
    if (lease_tell(o->s->lease, o->now, o->p->id, &w) && wire_put_lease(&o->w, &w))
        lease_told(o->s->lease, o->p->id, &w);
}

static void out_msg(struct out *o, const struct raft_msg *m)
{
    struct raft_msg told = *m;
    replica_tell_time(o->s->replica, o->now, &told);
    OUT_PUT(o, m->term, wire_put_msg, &told);
    if (m->type == RAFT_MSG_LEAD || m->type == RAFT_MSG_ACK)
        out_lease(o);
    if (m->type != RAFT_MSG_LEAD)
        return;
    o->lead = true;
    debts_lead(&o->p->debts, m);
}

static void out_offer(struct out *o)
{
    struct wire_offer offer;
    snap_out_offer(&o->p->snapshot, o->now, &offer);
    OUT_PUT(o, term_of(o), wire_put_offer, &offer);
}

static void out_lead(struct out *o, bool ack_now)
{
    struct raft_msg m;
    replica_lead(o->s->replica, o->now, o->p->id, &m);
    m.lead.ack_now |= ack_now;
    out_msg(o, &m);
}

/* Bytes of the flow that fit into one more piece: in the datagram under construction or, if less than a crumb
 * is left there, in the next one. */
static size_t piece_room(const struct out *o)
{
    size_t lead = o->flow->source->after_lead && !o->lead ? wire_frame_bytes(WIRE_LEAD) : 0;
    size_t room = o->open ? wire_room(&o->w) : 0;
    if (room < CRUMB_BYTES + lead)
        room = path_room(&o->p->path);
    return room - lead;
}

/* Least size of a datagram in which a piece of that length left. A LEAD may have made it larger. */
static uint32_t piece_datagram(const struct out *o, size_t piece)
{
    const struct path *path = &o->p->path;
    return (uint32_t)(piece + mtu_size(&path->mtu) - path_room(path));
}

/* Learns from pieces that arrived how large datagrams to the peer may be, and tells the flow. */
static void follow_mtu(const struct out *o)
{
    struct mtu *m = &o->p->path.mtu;
    struct stream_tx *tx = &o->flow->tx;
    if (tx->arrived_max > 0)
        mtu_arrived(m, piece_datagram(o, tx->arrived_max));
    tx->arrived_max = 0;
    mtu_rise(m, o->now);
    size_t room = path_room(&o->p->path);
    if (tx->cwnd.mss != room)
        cwnd_mss(&tx->cwnd, room);
}

/* A timer has run out, perhaps because the missing piece was too large for the path. */
static void timed_out(const struct out *o)
{
    struct mtu *m = &o->p->path.mtu;
    size_t lead = o->flow->source->after_lead ? wire_frame_bytes(WIRE_LEAD) : 0;
    uint64_t most = piece_datagram(o, o->flow->tx.missing_max + lead);
    if (o->flow->tx.missing_max > 0)
        mtu_timeout(m, o->now, (uint32_t)min_u64(most, mtu_size(m)));
}

/* The bytes that a timer would send are in memory. Else it must not run out: the peer is not silent if
 * our own disk is slow. */
static bool out_at_hand(const struct out *o)
{
    const struct flow_out *f = o->flow;
    size_t len;
    return f->tx.una == f->tx.end || f->source->at(f->ctx, f->tx.una, &len) != NULL;
}

/* One more piece of the flow goes into the datagram under construction, or into the next one. False if
 * there is none to be sent now. */
static bool out_piece(struct out *o)
{
    struct flow_out *f = o->flow;
    struct stream_piece piece;
    if (f == NULL || !out_at_hand(o) || !stream_tx_next(&f->tx, o->now, piece_room(o), &piece))
        return false;
    size_t have = piece.len;
    struct wire_data d = {
        .stream = (uint8_t)f->source->stream, .id = f->id, .off = piece.off, .again = piece.again};
    d.bytes = f->source->at(f->ctx, piece.off, &have);
    if (d.bytes == NULL)
        return false; /* it has to be read from disk first */
    if (f->source->after_lead && !o->lead)
        out_lead(o, false); /* commit index and a round ride along with the first piece */
    out_open(o, term_of(o));
    if (wire_room(&o->w) < CRUMB_BYTES)
        out_next(o, term_of(o));
    d.len = (size_t)min_u64(have, piece.len);
    size_t put = wire_put_data(&o->w, &d);
    assert(put > 0);
    stream_tx_sent(&f->tx, o->now, o->stamp, piece.off, put);
    return true;
}

static void flow_begins(struct out *o)
{
    o->flow = flows_sync(&o->p->flows, o->now, o->p->id);
    if (o->flow == NULL)
        return;
    o->before = o->flow->tx.stats;
    follow_mtu(o);
}

static void flow_ends(struct out *o)
{
    struct peer *p = o->p;
    if (o->flow == NULL)
        return;
    const struct stream_tx_stats *now = &o->flow->tx.stats;
    p->resent_bytes += now->resent_bytes - o->before.resent_bytes;
    p->resent_datagrams += now->resent_datagrams - o->before.resent_datagrams;
    if (now->timeouts != o->before.timeouts)
        timed_out(o);
}

/* Tells the peer what has arrived of its flows, where that is due. */
static void out_sacks(struct out *o, uint64_t term, enum flow_ride ride)
{
    struct wire_sack s;
    unsigned i = 0;
    while (flows_sack(&o->p->flows, o->now, o->p->id, term, ride, &i, &s))
        OUT_PUT(o, term, wire_put_sack, &s);
}

/* What a leader sends beside the core's messages and the flows. */
static void out_leader(struct out *o)
{
    struct debts *d = &o->p->debts;
    if (replica_peer(o->s->replica, o->p->id)->id == 0)
        return; /* the core does not know it */
    if (o->now >= snap_out_offer_at(&o->p->snapshot, o->now))
        out_offer(o);
    if (debts_waits(d))
        out_lead(o, false);
    if (o->now < debts_ask_at(d))
        return;
    debts_asked(d, o->now);
    out_lead(o, true);
}

/* Digests of states ride in datagrams that go anyway. Only a node that is about to end makes one for them. */
static void out_digests(struct out *o)
{
    struct wire_digests d;
    bool rides = o->open && !wire_empty(&o->w), last = o->s->digests->verdict >= DIGESTS_HOPELESS;
    if ((!rides && !last) || !digests_tell(o->s->digests, o->p->id, &d))
        return;
    out_open(o, term_of(o));
    (void)wire_put_digests(&o->w, &d); /* no room: the next time */
}

/* A local client's wish to change the members, or the answer to one of the peer's clients. */
static void out_change(struct out *o)
{
    struct wire_change c;
    struct wire_changed answer;
    if (changes_fill(o->s->changes, o->now, o->p->id, &c))
        OUT_PUT(o, term_of(o), wire_put_change, &c);
    if (changes_fill_answer(o->s->changes, o->p->id, &answer))
        OUT_PUT(o, term_of(o), wire_put_changed, &answer);
}

/* Ourselves and one more are told whatever room there is. Members for whom there is none come first the next
 * time: so many members do not mean more datagrams. */
static void out_vitals(struct out *o)
{
    struct wire_vitals v;
    unsigned i = 0;
    while (vitals_tell(o->s->vitals, o->now, o->p->id, i, &v)) {
        bool put = wire_put_vitals(&o->w, &v);
        if (!put && i <= 1) {
            out_next(o, term_of(o));
            put = wire_put_vitals(&o->w, &v);
        }
        if (!put)
            break;
        i++;
    }
    vitals_told(o->s->vitals, o->p->id, i);
}

/* What people want to know: links, settings, vitals. It is not urgent, and may get lost. */
static void out_extras(struct out *o)
{
    struct links *links = o->s->links;
    struct wire_links l = {0};
    bool rides = o->open && !wire_empty(&o->w);
    if ((!rides && o->now < links_due(links, o->p->id)) || !links_fill(links, o->now, o->p->id, &l))
        return;
    out_open(o, term_of(o));
    if (!wire_put_links(&o->w, &l)) {
        out_next(o, term_of(o));
        (void)wire_put_links(&o->w, &l); /* not told if datagrams are too small for so many */
    }
    const struct wire_settings s = links_settings(links);
    (void)wire_put_settings(&o->w, &s); /* no room: the next time */
    out_vitals(o);
}

/* All that is not a stream, and so waits for no window. */
static void out_control(struct out *o, const struct raft_msg *msgs, size_t n_msgs)
{
    for (size_t i = 0; i < n_msgs; i++) {
        if (msgs[i].to != o->p->id)
            continue;
        out_msg(o, &msgs[i]);
        if (msgs[i].type == RAFT_MSG_ACK && !msgs[i].ack.need_probe)
            out_sacks(o, msgs[i].term, FLOW_WITH_ACK);
    }
    if (!replica_term_durable(o->s->replica))
        return;
    if (replica_raft(o->s->replica)->role == RAFT_LEADER)
        out_leader(o);
    out_change(o);
    out_sacks(o, term_of(o), o->open ? FLOW_WITH : FLOW_ALONE);
    flow_begins(o);
}

static void out_rest(struct out *o)
{
    flow_ends(o);
    if (replica_term_durable(o->s->replica)) {
        if (replica_raft(o->s->replica)->role == RAFT_LEADER)
            debts_note(&o->p->debts, o->now);
        out_digests(o);
        out_extras(o);
    }
    out_finish(o);
    o->done = true;
}

/* Everything for these peers: the control of all of them first, then their streams in turn, a piece of
 * each: no peer waits behind the bulk for another one. Within a stream resends go before new bytes. */
static void send_some(const struct sender *s, uint64_t now, struct peer *const *peers, unsigned n,
                      const struct raft_msg *msgs, size_t n_msgs)
{
    struct out outs[RAFT_PEERS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!envelope_ready(s->envelope, peers[i]->id))
            continue; /* each part of it is sent again on its own timer, as if it were lost */
        struct out *o = &outs[count++];
        memset(o, 0, offsetof(struct out, buf));
        o->s = s;
        o->now = now;
        o->p = peers[i];
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

void send_all(const struct sender *s, uint64_t now, const struct raft_msg *msgs, size_t n_msgs)
{
    send_some(s, now, s->peers->all, s->peers->n, msgs, n_msgs);
}

void send_to(const struct sender *s, uint64_t now, struct peer *p)
{
    send_some(s, now, &p, 1, NULL, 0);
}
