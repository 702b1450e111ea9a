#include "raftd/node/receive.h"

#include "raftd/base/num.h"

enum {
    /* A leader's datagram that is no older than this, or than two election timeouts, shows that the leader
     * lives. Queues on a bad link keep datagrams for about as long. */
    LIFE_US = 1000000,
};

static uint64_t life_us(const struct receiver *r)
{
    return max_u64(2 * r->cfg->election_timeout_us, LIFE_US);
}

/* Do we take it for a sign of life: the core for one of its leader, or the leader for one of a process? */
static bool shows_life(const struct peer *p, const struct wire_frame *f)
{
    if (f->kind == WIRE_FRAME_LEASE)
        return !f->lease.renewed;
    if (f->kind == WIRE_FRAME_DATA)
        return flows_of_leader(&p->flows, f->data.stream);
    return f->kind == WIRE_FRAME_MSG &&
           (f->msg.type == RAFT_MSG_LEAD || f->msg.type == RAFT_MSG_PROBE);
}

static void take_message(const struct receiver *r, uint64_t now, struct raft_msg *m)
{
    m->incarnation = envelope_incarnation(r->envelope, m->from);
    replica_step(r->replica, now, &(struct raft_event){.type = RAFT_EV_MESSAGE, .msg = m});
    if (m->type == RAFT_MSG_PROBE)
        log_in_probe(r->log_in, m);
}

/* A SACK of another term is about a stream that has ended. */
static void take_sack(const struct receiver *r, uint64_t now, struct peer *p,
                      const struct wire_header *h, const struct wire_sack *s)
{
    if (h->term == replica_raft(r->replica)->term &&
        !flows_acked(&p->flows, now, p->id, s, link_echoed(&p->path.link, h)))
        p->drops[DROP_STREAM]++;
}

static void take_lease(const struct receiver *r, uint64_t now, const struct peer *p,
                       const struct wire_header *h, const struct wire_lease *w)
{
    if (w->renewed)
        lease_renewed(r->lease, w);
    else if (h->term == replica_raft(r->replica)->term)
        lease_asked(r->lease, now, p->id, envelope_incarnation(r->envelope, p->id), w);
}

static void take_frame(const struct receiver *r, uint64_t now, struct peer *p,
                       const struct wire_header *h, struct wire_frame *f)
{
    switch (f->kind) {
    case WIRE_FRAME_MSG: take_message(r, now, &f->msg); break;
    case WIRE_FRAME_SACK: take_sack(r, now, p, h, &f->sack); break;
    case WIRE_FRAME_OFFER:
        if (h->term == replica_raft(r->replica)->term)
            snap_in_offer(r->snap_in, now, p->id, &f->offer);
        break;
    case WIRE_FRAME_DATA:
        if (h->term == replica_raft(r->replica)->term)
            flows_put(&p->flows, now, p->id, &f->data);
        break;
    case WIRE_FRAME_LINKS: links_take(r->links, now, p->id, &f->links); break;
    case WIRE_FRAME_SETTINGS: links_take_settings(r->links, p->id, &f->settings); break;
    case WIRE_FRAME_VITALS: vitals_take(r->vitals, now, p->id, &f->vitals); break;
    case WIRE_FRAME_CHANGE:
        if (h->term == replica_raft(r->replica)->term)
            changes_take(r->changes, now, p->id, &f->change);
        break;
    case WIRE_FRAME_CHANGED:
        if (h->term == replica_raft(r->replica)->term)
            changes_answered(r->changes, p->id, &f->changed);
        break;
    case WIRE_FRAME_LEASE: take_lease(r, now, p, h, &f->lease); break;
    case WIRE_FRAME_DIGESTS: digests_heard(r->digests, p->id, &f->digests); break;
    }
}

/* Takes the payload of an opened datagram. DATAGRAM_DATA, or the reason why some or all of it is dropped. */
static enum drop take_payload(const struct receiver *r, uint64_t now, struct peer *p,
                              const uint8_t *payload, size_t len)
{
    struct link *link = &p->path.link;
    struct wire_header h;
    if (!wire_check(payload, len, &h))
        return DROP_MALFORMED;
    if (raft_term_absurd(replica_raft(r->replica), h.term))
        return DROP_TERM; /* the core would drop it as well, but not count it for the peer */
    if (!r->cfg->take_held && link_held_back(link, now, &h, life_us(r)))
        return DROP_HELD;
    bool late = !r->cfg->take_held && link_is_late(link, now, &h, life_us(r)), dropped = false;
    mtu_heard(&p->path.mtu);
    debts_await(&p->debts, h.awaits);
    if (link_received(link, now, &h))
        replica_pto(r->replica, p->id, rtt_pto(&link->rtt, &(struct rtt){0}, 0, 0, 0));

    struct wire_reader reader;
    struct wire_frame f;
    wire_read(&reader, payload, len, p->id, r->cfg->id);
    while (wire_next(&reader, &f)) {
        bool drop = late && shows_life(p, &f);
        dropped = dropped || drop;
        if (!drop)
            take_frame(r, now, p, &h, &f);
    }
    flows_drain(&p->flows, now);
    p->drops[DROP_STREAM] += flows_take_bad(&p->flows);
    return dropped ? DROP_HELD : DATAGRAM_DATA;
}

void receive(const struct receiver *r, uint64_t now, struct peer *p, uint8_t *buf, size_t len)
{
    uint8_t *payload;
    bool another;
    enum drop why = envelope_open(r->envelope, now, p->id, buf, len, &payload, &len, &another);
    if (another)
        link_reset(&p->path.link); /* its stamps and counts begin anew */
    if (why == DATAGRAM_DATA)
        why = take_payload(r, now, p, payload, len);
    if (why < DROP_COUNT)
        p->drops[why]++;
}
