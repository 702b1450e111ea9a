/* net.c: datagrams on their way, and what may happen to them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "tests/sim/impl.h"

enum {
    LATE_MAX_US = 60000000, /* the fault model's longest delay */
    DELAY_MAX_US = 500000,
    FLIPS_MAX = 8,
};

/* A vote and a request for one speak of what must be on the sender's disk. */
static void check_msg(struct sim *s, struct sim_node *m, const struct raft_msg *msg)
{
    if (msg->type == RAFT_MSG_VOTE_RSP && !msg->vote_rsp.pre && msg->vote_rsp.granted) {
        if (m->hard.term != msg->vote_rsp.vote_term || m->hard.vote != msg->to)
            sim_broken(s, "vote-durable", "node %u grants node %u a vote that is not on its disk",
                       m->at + 1, msg->to);
    } else if (msg->type == RAFT_MSG_VOTE_REQ && !msg->vote_req.pre) {
        if (m->hard.term != msg->vote_req.vote_term || m->hard.vote != msg->from)
            sim_broken(s, "candidate-durable",
                       "node %u asks for votes before its own is on its disk", m->at + 1);
    } else if (msg->type == RAFT_MSG_ACK && msg->ack.durable > 0) {
        const struct entry *e = NULL;
        struct entry *tip = sim_tip(&m->hard, m->snap);
        if (msg->ack.durable <= tip->index)
            e = sim_at(tip, msg->ack.durable);
        if (e == NULL)
            sim_broken(s, "ack-durable",
                       "node %u acknowledges %" PRIu64 ", its disk ends at %" PRIu64, m->at + 1,
                       msg->ack.durable, tip->index);
        const struct term *t = sim_term(s, msg->term);
        if (t->leader == msg->to && t->leader_tip != NULL &&
            (msg->ack.durable > t->leader_tip->index ||
             sim_at(t->leader_tip, msg->ack.durable) != e))
            sim_broken(s, "ack-equal",
                       "node %u acknowledges %" PRIu64 ", which the leader of term %" PRIu64
                       " has not, or differently",
                       m->at + 1, msg->ack.durable, msg->term);
    }
}

/* What a node says must be on its disk. Keeps the kinds of frames for the trace. */
void sim_on_spy(void *ctx, uint16_t to, uint8_t *payload, size_t len)
{
    struct sim_node *m = ctx;
    struct sim *s = m->sim;
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    sim_silence(m, payload, len);
    sim_clone_silence(m, to, payload, len);
    bool whole = wire_check(payload, len, &h);
    assert(whole);
    if (h.term > m->hard.term)
        sim_broken(s, "term-durable", "node %u speaks of term %" PRIu64 ", its disk of %" PRIu64,
                   m->at + 1, h.term, m->hard.term);
    wire_read(&r, payload, len, m->id, to);
    m->frames = 0;
    while (wire_next(&r, &f)) {
        switch (f.kind) {
        case WIRE_FRAME_MSG:
            m->frames |= 1u << f.msg.type;
            check_msg(s, m, &f.msg);
            break;
        case WIRE_FRAME_SACK: m->frames |= 1u << 16; break;
        case WIRE_FRAME_OFFER: m->frames |= 1u << 20; break;
        case WIRE_FRAME_DATA:
            m->frames |= 1u << (f.data.stream == WIRE_STREAM_LOG     ? 17
                                : f.data.stream == WIRE_STREAM_RELAY ? 18
                                                                     : 21);
            break;
        case WIRE_FRAME_LINKS:
        case WIRE_FRAME_SETTINGS:
        case WIRE_FRAME_VITALS:
        case WIRE_FRAME_CHANGE:
        case WIRE_FRAME_CHANGED:
        case WIRE_FRAME_LEASE:
        case WIRE_FRAME_DIGESTS: break;
        }
    }
}

static void flip(struct sim *s, struct sim_event *e)
{
    if (sim_roll(s, RNG_NET, 4) == 0) {
        e->len = (size_t)sim_roll(s, RNG_NET, e->len);
        return;
    }
    for (uint64_t n = 1 + sim_roll(s, RNG_NET, FLIPS_MAX); n > 0; n--) {
        uint64_t bit = sim_roll(s, RNG_NET, 8 * e->len);
        e->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    e->frames |= 1u << 19;
}

static struct sim_event *fly(struct sim *s, unsigned from, unsigned to, const uint8_t *buf,
                             size_t len, unsigned frames, uint64_t us)
{
    struct sim_event *e = sim_post(s, s->now + us, EV_DATAGRAM, to);
    e->from = from;
    e->extra = s->m[from].host;
    e->len = len;
    e->frames = frames;
    memcpy(e->bytes, buf, len);
    return e;
}

static void counted(struct sim *s, enum sim_fault f)
{
    s->t.faults[f]++;
}

/* Of all that was ever sent, lost or not, each is on the tape with the same chance: a run's first
 * datagrams, too. */
static void record(struct sim *s, unsigned from, unsigned to, const uint8_t *buf, size_t len,
                   unsigned frames)
{
    if (s->tape == NULL)
        s->tape = sim_must(malloc(TAPE * sizeof *s->tape));
    uint64_t place = s->n_taped < TAPE ? s->n_taped : sim_roll(s, RNG_NET, s->n_taped + 1);
    s->n_taped++;
    if (place >= TAPE)
        return;
    struct record_sent *d = &s->tape[place];
    *d = (struct record_sent){.from = from, .to = to, .frames = frames, .len = len};
    memcpy(d->bytes, buf, len);
}

/* Mostly to where it once went, which may be another process by now; else to anybody, even back to
 * its sender, as from its sender or from the one it was for. */
static void replay(struct sim *s)
{
    const struct record_sent *d =
        &s->tape[sim_roll(s, RNG_NET, s->n_taped < TAPE ? s->n_taped : TAPE)];
    unsigned from = d->from, to = d->to;
    if (sim_roll(s, RNG_NET, 8) == 0) {
        from = sim_roll(s, RNG_NET, 2) == 0 ? d->from : d->to;
        to = (unsigned)sim_roll(s, RNG_NET, s->o.nodes);
    }
    counted(s, SIM_REPLAY);
    fly(s, from, to, d->bytes, d->len, d->frames, sim_roll(s, RNG_NET, DELAY_MAX_US));
}

void sim_on_send(void *ctx, uint16_t to_id, const uint8_t *buf, size_t len)
{
    sim_launch(ctx, sim_whereto(ctx, to_id), buf, len);
}

void sim_launch(struct sim_node *m, unsigned to, const uint8_t *buf, size_t len)
{
    struct sim *s = m->sim;
    const uint32_t *rate = s->o.rate;
    unsigned frames = m->frames;
    m->frames = 0; /* else a handshake's next */
    size_t most = s->o.datagram_bytes != 0 ? s->o.datagram_bytes : WIRE_DATAGRAM_BASE;
    if (len > most)
        sim_broken(s, "datagram-size", "node %u sends a datagram of %zu bytes", m->at + 1, len);
    s->t.datagrams++;
    s->t.bytes += len;
    sim_mix(s, get_u64(buf + len - 8)); /* differs with all before it when sealed */
    sim_mix(s, len);
    if (to == s->o.nodes)
        return;
    if (rate[SIM_REPLAY] != 0 && !s->calm) {
        record(s, m->at, to, buf, len, frames);
        if (sim_chance(s, RNG_NET, rate[SIM_REPLAY]))
            replay(s);
    }
    bool lose = s->lose & 1;
    s->lose >>= 1;
    if (lose || s->cut[m->at][to] || (s->narrow != 0 && len > s->narrow))
        return;
    if (s->thin[m->at][to] != 0 && sim_chance(s, RNG_NET, s->thin[m->at][to]))
        return;
    uint64_t us = sim_between(s, RNG_NET, s->o.delay_min_us, s->o.delay_max_us);
    if (s->calm) {
        fly(s, m->at, to, buf, len, frames, us);
        return;
    }
    if (sim_chance(s, RNG_NET, rate[SIM_LATE])) {
        counted(s, SIM_LATE);
        fly(s, m->at, to, buf, len, frames, sim_roll(s, RNG_NET, LATE_MAX_US));
    }
    if (s->o.nodes > 2 && sim_chance(s, RNG_NET, rate[SIM_STRAY])) {
        counted(s, SIM_STRAY);
        fly(s, m->at, (unsigned)sim_roll(s, RNG_NET, s->o.nodes), buf, len, frames, us);
        /* and somebody forges what the network says of it */
        sim_post(s, s->now + us, EV_CLOSED, to)->from = m->at;
    }
    if (sim_chance(s, RNG_NET, rate[SIM_LOSS])) {
        counted(s, SIM_LOSS);
        return;
    }
    if (sim_chance(s, RNG_NET, rate[SIM_DUP])) {
        counted(s, SIM_DUP);
        fly(s, m->at, to, buf, len, frames,
            sim_between(s, RNG_NET, s->o.delay_min_us, s->o.delay_max_us));
    }
    if (sim_chance(s, RNG_NET, rate[SIM_DELAY])) {
        counted(s, SIM_DELAY);
        us += sim_roll(s, RNG_NET, DELAY_MAX_US);
    }
    struct sim_event *e = fly(s, m->at, to, buf, len, frames, us);
    if (sim_chance(s, RNG_NET, rate[SIM_FLIP])) {
        counted(s, SIM_FLIP);
        flip(s, e);
    }
}

/* The process is gone and its box may be there: the network answers one of two datagrams to it, as far as
 * links go. */
void sim_closed(struct sim *s, unsigned node, unsigned to)
{
    if (node >= s->o.nodes || s->cut[node][to] || sim_roll(s, RNG_NET, 2) == 0)
        return;
    uint64_t us = sim_between(s, RNG_NET, s->o.delay_min_us, s->o.delay_max_us);
    sim_post(s, s->now + us, EV_CLOSED, to)->from = node;
}

void sim_datagram(struct sim *s, struct sim_node *m, struct sim_event *e)
{
    sim_note(s, NOTE_DATAGRAM, m->at, e->from + 1, e->frames, e->len);
    uint16_t whose = sim_whence(m, e->from, (unsigned)e->extra);
    node_datagram(m->node, sim_local(m, s->now), whose, e->bytes, e->len);
    sim_touch(s, m);
}

void sim_narrow(struct sim *s, size_t bytes)
{
    s->narrow = bytes;
}

uint32_t sim_path(const struct sim *s, unsigned node, unsigned to)
{
    const struct node *n = s->m[node].node;
    return mtu_size(&node_peer(n, (uint16_t)(to + 1))->path.mtu);
}

void sim_thin(struct sim *s, unsigned from, unsigned to, uint32_t per_million)
{
    s->thin[from][to] = per_million;
}

void sim_lose(struct sim *s, uint64_t pattern)
{
    s->lose = pattern;
}

/* ---- partitions: one at a time, the next replaces it ---- */

bool sim_is_cut(const struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++)
        for (unsigned j = 0; j < s->o.nodes; j++)
            if (s->cut[i][j])
                return true;
    return false;
}

void sim_net_heal(struct sim *s)
{
    if (sim_is_cut(s))
        sim_note(s, NOTE_HEAL, 0, 0, 0, 0);
    memset(s->cut, 0, sizeof s->cut);
    s->flap_until = 0;
    s->net_generation++;
}

static void flap_next(struct sim *s)
{
    struct sim_event *e = sim_post(s, s->now + sim_between(s, RNG_FAULT, 1000, 400000), EV_FLAP, 0);
    e->extra = s->net_generation;
}

void sim_flap(struct sim *s, struct sim_event *e)
{
    if (e->extra != s->net_generation)
        return;
    bool cut = !s->cut[s->flap_a][s->flap_b];
    s->cut[s->flap_a][s->flap_b] = cut;
    if (sim_roll(s, RNG_FAULT, 2) == 0)
        s->cut[s->flap_b][s->flap_a] = cut;
    sim_note(s, NOTE_CUT, s->flap_a, s->flap_b + 1, cut, SIM_FLAP);
    flap_next(s);
}

/* A group: a node alone (often the leader), or any. */
static unsigned any_group(struct sim *s)
{
    int leader = sim_leader(s);
    uint64_t how = sim_roll(s, RNG_FAULT, 4);
    if (how == 0 && leader >= 0)
        return 1u << leader;
    if (how == 1)
        return 1u << sim_roll(s, RNG_FAULT, s->o.nodes);
    return (unsigned)sim_between(s, RNG_FAULT, 1, (UINT64_C(1) << s->o.nodes) - 2);
}

void sim_partition(struct sim *s, enum sim_fault f)
{
    unsigned n = s->o.nodes;
    if (n < 2)
        return;
    sim_net_heal(s);
    unsigned group = any_group(s);
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++) {
            bool i_in = group >> i & 1, j_in = group >> j & 1;
            if (f == SIM_PARTITION)
                s->cut[i][j] = i_in != j_in;
            else if (f == SIM_ONEWAY)
                s->cut[i][j] = i_in && !j_in;
            else if (f == SIM_PARTIAL)
                s->cut[i][j] = i != j && sim_roll(s, RNG_FAULT, 3) == 0;
        }
    if (f == SIM_FLAP) {
        s->flap_a = (unsigned)sim_roll(s, RNG_FAULT, n);
        s->flap_b = (s->flap_a + 1 + (unsigned)sim_roll(s, RNG_FAULT, n - 1)) % n;
        flap_next(s);
    }
    sim_note(s, NOTE_CUT, 0, group, 0, f);
    uint64_t us = sim_roll(s, RNG_FAULT, 4) == 0 ? sim_between(s, RNG_FAULT, 1, 15000000)
                                                 : sim_between(s, RNG_FAULT, 1, 2000000);
    struct sim_event *e = sim_post(s, s->now + us, EV_HEAL, 0);
    e->extra = s->net_generation;
}
