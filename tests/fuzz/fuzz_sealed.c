// LINK: @node tests/lib/node_mirror.c tests/lib/seal_fuzz.c @rcu_alone @kept @recall
/* A node with keys, and two members that lie. Their sessions are genuine and their frames well made;
 * what the frames say is drawn from the values that matter: what would be right, what the node has,
 * its neighbours, and the edges of the type. So the input gets past all that guards against
 * strangers, as deep as a member gets whose software is wrong.
 *
 * After each step the node's invariants hold, its disk was told only what a log may be told, it said
 * nothing that is not on that disk, and its memory is bounded. When it is over, an honest leader gets
 * an entry committed and applied on it.
 *
 * Input: u8 options, then steps of a kind and what step() takes for it. Zeros are what an honest peer
 * would do; at the end of the input all is zero. */
#include <assert.h>
#include <sanitizer/allocator_interface.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal/session.h"
#include "net/wire.h"
#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/node/node.h"
#include "raftd/node/writes.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "storage/record.h"
#include "tests/lib/node_mirror.h"
#include "tests/lib/pair.h"
#include "tests/lib/seal_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PEERS = 2,
    FETCHES = PEERS + 2,
    ROUNDS = 8,
    STEPS_MAX = 200,
    ROOM_BYTES = MIRROR_BYTES / 2, /* of the disk, until it is over */
    ROOM_ENTRIES = MIRROR_ENTRIES / 2,
    STREAM_BYTES = 1 << 14, /* of one that a peer sends */
    BOOT = 100,             /* of peer 0 */
    MS = 1000,
    T_US = 150 * MS,
    HEAL_US = 10 * 1000 * MS, /* stamps of peers that jumped cost 2 s, a full disk one */
    BOUNDED_BYTES = 8 << 20,  /* the largest record some times, and what clients wrote */
};

enum { WITH_LOG = 1, NEW_PEER = 2, REKEY = 4, SMALL_DATAGRAMS = 8, LIMIT = 16 }; /* options */

struct liar {
    struct sessions *s;
    bool remembers;
    uint8_t to_remember[ABOUT_KEY_BYTES];
    /* Its log stream, made up as it goes. */
    uint32_t id;
    uint64_t base, base_term, last, ms;
    uint8_t hash[RECORD_HASH_BYTES];
    uint8_t stream[STREAM_BYTES];
    size_t len, sent;
    uint64_t relay_sent;
    /* What it saw of the node. */
    uint64_t log_end, ts_at;
    uint32_t ts;
};

struct world {
    struct node *node;
    struct kv *kv;
    struct machine *machine;
    const uint8_t *in;
    size_t left;
    uint64_t now, reads;
    struct draws draws;
    size_t memory;
    uint64_t wrote_bytes;
    bool healing;
    struct {
        uint8_t *buf;
        struct wal_pos from;
        uint64_t last;
        size_t cap;
        struct node_fetch what;
    } fetch[FETCHES];                   /* by the id of the peer they are for; 0: to be applied */
    uint8_t payload[WIRE_DATAGRAM_MAX]; /* sent last */
    size_t payload_len;
    struct liar liars[PEERS];
    struct mirror disk; /* not cleared as a whole: it is large */
};

static const uint16_t IDS[] = {1, 2, 3};

static unsigned take(struct world *w)
{
    if (w->left == 0)
        return 0;
    w->left--;
    return *w->in++;
}

static uint64_t take_u64(struct world *w)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | take(w);
    return v;
}

/* A number for a field whose right value is known. */
static uint64_t edge(struct world *w, uint64_t right)
{
    const struct raft *r = node_raft(w->node);
    unsigned how = take(w);
    const uint64_t own[] = {right,   right,    r->trail.last, r->commit_index, r->durable_index,
                            r->term, r->round, r->verified};
    uint64_t v = own[how >> 4 & 7];
    switch (how & 15) {
    case 1: return v - 1;
    case 2: return v + 1;
    case 3: return 0;
    case 4: return 1;
    case 5: return UINT64_MAX;
    case 6: return UINT32_MAX;
    case 7: return v + (UINT64_C(1) << 32);
    case 8: return INT64_MAX;
    case 9: return take_u64(w);
    case 10: return v + take(w);
    case 11: return v - take(w);
    case 12: return UINT64_C(1) << take(w) % 64;
    case 13: return v + (UINT64_C(1) << 31);
    default: return v;
    }
}

static uint32_t edge32(struct world *w, uint32_t right)
{
    return (uint32_t)edge(w, right);
}

/* --- the disk --------------------------------------------------------------------------------- */

static void on_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct world *w = ctx;
    mirror_take(&w->disk, seq, b);
}

static void disk_finishes(struct world *w, bool refuse)
{
    uint64_t seq = w->disk.seq;
    bool all = w->healing;
    if (seq == 0)
        return;
    if (!refuse && mirror_write(&w->disk, all ? MIRROR_BYTES : ROOM_BYTES,
                                all ? MIRROR_ENTRIES : ROOM_ENTRIES))
        node_persisted(w->node, w->now, seq);
    else
        node_no_room(w->node, w->now, seq);
    w->disk.seq = 0;
}

static void on_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                     uint8_t *buf, size_t cap)
{
    struct world *w = ctx;
    assert(what.peer < FETCHES && w->fetch[what.peer].buf == NULL);
    w->fetch[what.peer].what = what;
    w->fetch[what.peer].buf = buf;
    w->fetch[what.peer].from = *from;
    w->fetch[what.peer].last = last;
    w->fetch[what.peer].cap = cap;
}

/* Whole records, or a part of one; none if they are gone. */
static void fetch_returns(struct world *w, unsigned what, bool gone)
{
    uint8_t *buf = w->fetch[what].buf;
    struct wal_pos next = w->fetch[what].from;
    size_t len = 0;
    if (buf == NULL)
        return;
    if (!gone)
        len = mirror_read(&w->disk, &next, w->fetch[what].last, buf, w->fetch[what].cap);
    w->fetch[what].buf = NULL;
    node_fetched(w->node, w->now, w->fetch[what].what, len, &next);
}

/* --- what the node says ----------------------------------------------------------------------- */

static void judge_msg(const struct world *w, const struct raft_msg *m)
{
    const struct mirror *d = &w->disk;
    if (m->type == RAFT_MSG_ACK)
        assert(m->ack.durable <= d->last);
    if (m->type == RAFT_MSG_VOTE_RSP && m->vote_rsp.granted && !m->vote_rsp.pre)
        assert(d->term > m->vote_rsp.vote_term ||
               (d->term == m->vote_rsp.vote_term && d->vote == m->to));
    if (m->type == RAFT_MSG_LEAD)
        assert(d->term == m->term && d->vote == m->from);
}

static void on_send(void *ctx, uint16_t to, const uint8_t *buf, size_t len)
{
    struct world *w = ctx;
    struct liar *p = &w->liars[to - 2];
    uint8_t copy[WIRE_DATAGRAM_MAX];
    uint8_t *payload;
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    memcpy(copy, buf, len);
    if (sessions_open(p->s, 1, w->now, copy, len, &payload, &len) != DATAGRAM_DATA)
        return;
    assert(wire_check(payload, len, &h) && h.term <= w->disk.term);
    p->ts = h.ts;
    p->ts_at = w->now;
    wire_read(&r, payload, len, 1, to);
    while (wire_next(&r, &f)) {
        if (f.kind == WIRE_FRAME_MSG)
            judge_msg(w, &f.msg);
        if (f.kind == WIRE_FRAME_DATA && f.data.stream == WIRE_STREAM_LOG)
            p->log_end = f.data.off + f.data.len;
    }
}

static void on_random(void *ctx, void *buf, size_t len)
{
    struct world *w = ctx;
    draws_fill(&w->draws, buf, len);
}

static void on_answer(void *ctx, struct request *req)
{
    struct world *w = ctx;
    w->wrote_bytes -= sizeof *req + req->cmd_len;
    results_free(&req->results);
    free(req);
}

static void on_reads_done(void *ctx, uint64_t read)
{
    struct world *w = ctx;
    assert(read <= w->reads);
}

static void on_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES])
{
    struct world *w = ctx;
    assert(!w->liars[id - 2].remembers);
    w->liars[id - 2].remembers = true;
    memcpy(w->liars[id - 2].to_remember, key, ABOUT_KEY_BYTES);
}

static void remembered(struct world *w, bool done)
{
    for (unsigned slot = 0; slot < PEERS; slot++) {
        struct liar *p = &w->liars[slot];
        if (!p->remembers)
            continue;
        p->remembers = false;
        node_remembered(w->node, w->now, IDS[slot + 1], p->to_remember, done);
    }
}

/* --- what the peers say ----------------------------------------------------------------------- */

static void send_payload(struct world *w, unsigned slot)
{
    uint8_t buf[WIRE_HEAD_ROOM + WIRE_DATAGRAM_MAX];
    memcpy(buf + SESSION_HEAD_BYTES, w->payload, w->payload_len);
    size_t len = sessions_seal(w->liars[slot].s, 1, w->now, buf, w->payload_len);
    if (len > 0)
        node_datagram(w->node, w->now, IDS[slot + 1], buf, len);
}

/* One more record of a stream: how 0 is a no-op. */
static void add_record(struct world *w, struct liar *p, uint64_t term, unsigned how)
{
    uint8_t value[200] = {0};
    struct cmd c = {.operations = 1,
                    .origin = how & 4 ? 1 : 2,
                    .limit = (uint16_t)(how & 8 ? 1 : 0),
                    .process = how & 4 ? UINT64_C(7) << 32 : 5,
                    .number = how & 4 ? 1 : p->last};
    struct cmd_item item = {.kind = how & 2 ? CMD_DELETE : CMD_PUT,
                            .key = (const uint8_t *)"key",
                            .key_len = 3,
                            .value = how & 2 ? NULL : value,
                            .value_len = how & 2    ? 0
                                         : how & 16 ? 200
                                                    : 4};
    uint8_t *to = p->stream + p->len;
    if (p->last == UINT64_MAX ||
        sizeof p->stream - p->len < RECORD_HEAD_BYTES + CMD_ONE_BYTES + 3 + sizeof value + 8)
        return;
    size_t len = how & 1 ? cmd_encode(to + RECORD_HEAD_BYTES, &c, &item) : 0;
    if (how & 32 && len > 0)
        to[RECORD_HEAD_BYTES + take(w) % len] ^= (uint8_t)take(w); /* with a right checksum */
    if ((how & 64) != 0)
        p->ms = take(w);
    size_t size = record_seal(to, p->last + 1, term, p->ms, how & 1 ? RECORD_COMMAND : RECORD_NOOP,
                              p->hash, (uint32_t)len);
    record_hash(to, size, p->hash);
    p->last++;
    p->len += size;
}

static void begin_stream(struct world *w, struct liar *p, const struct raft_msg *m)
{
    p->id = m->probe.probe;
    p->base = p->last = m->probe.prev_index;
    p->base_term = m->probe.prev_term;
    p->len = p->sent = 0;
    p->ms = mirror_ms(&w->disk, p->base);
    mirror_hash(&w->disk, p->base, p->hash);
}

static void put_log(struct world *w, struct liar *p, struct wire_writer *out)
{
    unsigned n = take(w);
    for (unsigned i = 0; i <= n % 8 && n < 128; i++) {
        uint64_t term = edge(w, out->term);
        add_record(w, p, term != 0 ? term : 1, take(w));
    }
    struct wire_data d = {.stream = WIRE_STREAM_LOG, .id = edge32(w, p->id), .again = n & 64};
    size_t from = edge(w, p->sent), room = wire_room(out);
    size_t at = from <= p->len ? from : p->len;
    d.off = from;
    d.bytes = p->stream + at;
    d.len = p->len - at < room ? p->len - at : room;
    if (n & 32)
        d.len = d.len * take(w) / 256;
    if (n & 16 && d.len > 0)
        p->stream[at + take(w) % d.len] ^= (uint8_t)take(w);
    if (d.len > 0)
        p->sent = at + wire_put_data(out, &d);
}

static void put_relay(struct world *w, struct liar *p, uint32_t boot, struct wire_writer *out)
{
    uint8_t buf[512];
    uint8_t value[255] = {0};
    unsigned how = take(w);
    struct cmd c = {.operations = 1,
                    .origin = (uint16_t)edge(w, boot - BOOT + 2),
                    .process = boot,
                    .number = edge(w, 1)};
    struct cmd_item put = {.kind = CMD_PUT,
                           .key = (const uint8_t *)"key",
                           .key_len = 3,
                           .value = value,
                           .value_len = how};
    size_t len = cmd_encode(buf + 4, &c, &put);
    put_u32(buf, edge32(w, (uint32_t)len));
    struct wire_data d = {.stream = WIRE_STREAM_RELAY,
                          .id = edge32(w, boot),
                          .off = edge(w, p->relay_sent),
                          .bytes = buf,
                          .len = len + 4};
    p->relay_sent = d.off + wire_put_data(out, &d);
}

static void put_sack(struct world *w, struct liar *p, const struct raft_peer *peer,
                     struct wire_writer *out)
{
    unsigned how = take(w);
    struct wire_sack s = {.stream = how & 1 ? WIRE_STREAM_RELAY : WIRE_STREAM_LOG,
                          .n = (how >> 4) % (WIRE_SACK_RANGES + 1),
                          .id = edge32(w, how & 1 ? 7 : peer->epoch),
                          .contig = edge(w, how & 1 ? 0 : p->log_end),
                          .rwnd = edge32(w, 1 << 18),
                          .spurious = (uint16_t)edge(w, 0)};
    for (unsigned i = 0; i < s.n; i++)
        s.ranges[i] = (struct wire_range){edge32(w, 8 * i + 4), edge32(w, 4)};
    (void)wire_put_sack(out, &s);
}

static void put_links(struct world *w, struct wire_writer *out)
{
    static const uint16_t ids[] = {1, 2, 3};
    struct wire_links l = {.rows = take(w) % (RAFT_MEMBERS_MAX + 1),
                           .cols = take(w) % (RAFT_MEMBERS_MAX + 1),
                           .members = (uint16_t)wire_voters_digest(ids, 3)};
    for (unsigned i = 0; i < l.rows; i++) {
        l.id[i] = (uint16_t)edge(w, i + 1);
        l.age[i] = (uint8_t)take(w);
        for (unsigned j = 0; j < l.cols; j++)
            l.heard[i][j] = (uint8_t)take(w);
    }
    (void)wire_put_links(out, &l);
}

static void put_settings(struct world *w, struct wire_writer *out)
{
    struct wire_settings s = {.n = take(w) % (WIRE_SETTING_COUNT + 1)};
    for (unsigned i = 0; i < s.n; i++)
        s.value[i] = edge(w, 1024);
    (void)wire_put_settings(out, &s);
}

static void fill_leaders(struct world *w, struct liar *p, struct raft_msg *m)
{
    const struct raft *r = node_raft(w->node);
    switch (m->type) {
    case RAFT_MSG_LEAD:
        m->lead.ack_now = !(take(w) & 1);
        m->lead.round = edge(w, r->round + 1);
        m->lead.commit = edge(w, r->trail.last);
        m->lead.epoch = edge32(w, p->id);
        break;
    case RAFT_MSG_PROBE:
        m->probe.probe = edge32(w, r->probe_seen + 1);
        m->probe.prev_index = edge(w, r->trail.last);
        m->probe.prev_term = edge(w, raft_term_at(r, m->probe.prev_index));
        m->probe.acked_index = edge(w, 0);
        m->probe.acked_term = edge(w, m->probe.acked_index != 0 ? r->term : 0);
        m->probe.damaged_boot = edge32(w, 0);
        begin_stream(w, p, m);
        break;
    default:
        m->vote_req.pre = take(w) & 1;
        m->vote_req.campaign = edge(w, 1);
        m->vote_req.vote_term = edge(w, m->term + m->vote_req.pre);
        m->vote_req.last_index = edge(w, r->trail.last);
        m->vote_req.last_term = edge(w, raft_term_at(r, r->trail.last));
        break;
    }
}

static void fill_followers(struct world *w, unsigned slot, struct raft_msg *m)
{
    const struct raft *r = node_raft(w->node);
    const struct raft_peer *peer = &r->peers[slot];
    unsigned how = take(w);
    switch (m->type) {
    case RAFT_MSG_ACK:
        m->ack.need_probe = how & 1;
        m->ack.damaged = how & 2;
        m->ack.round = edge(w, r->round);
        m->ack.durable = edge(w, r->trail.last);
        m->ack.epoch = edge32(w, peer->epoch);
        m->ack.boot = edge32(w, BOOT + slot);
        break;
    case RAFT_MSG_PROBE_ACK:
        m->probe_ack.match = !(how & 1);
        m->probe_ack.damaged = how & 2;
        m->probe_ack.probe = edge32(w, peer->probe);
        m->probe_ack.boot = edge32(w, BOOT + slot);
        m->probe_ack.prev_index = edge(w, peer->probe_index);
        m->probe_ack.hint_index = edge(w, r->commit_index);
        m->probe_ack.hint_term = edge(w, raft_term_at(r, m->probe_ack.hint_index));
        break;
    default:
        m->vote_rsp.pre = (r->role == RAFT_PRE_CANDIDATE) ^ (how & 1);
        m->vote_rsp.granted = !(how & 2);
        m->vote_rsp.campaign = edge(w, r->campaign);
        m->vote_rsp.vote_term = edge(w, r->term + m->vote_rsp.pre);
        break;
    }
}

static void put_msg(struct world *w, unsigned slot, enum raft_msg_type type,
                    struct wire_writer *out)
{
    struct raft_msg m = {.type = type, .term = out->term};
    const struct raft *r = node_raft(w->node);
    if (type == RAFT_MSG_LEAD || type == RAFT_MSG_PROBE || type == RAFT_MSG_VOTE_REQ)
        fill_leaders(w, &w->liars[slot], &m);
    else if (type == RAFT_MSG_READ_REQ)
        m.read_req.req = edge(w, (uint64_t)(BOOT + slot) << 32 | ++w->draws.others);
    else if (type == RAFT_MSG_READ_RSP)
        m.read_rsp.req = edge(w, r->read_want), m.read_rsp.index = edge(w, r->commit_index);
    else if (type == RAFT_MSG_TIMEOUT_NOW)
        m.timeout_now.round = edge(w, r->round), m.timeout_now.last_index = edge(w, r->trail.last);
    else if (type == RAFT_MSG_TRANSFER)
        m.transfer.heir = (uint16_t)edge32(w, (uint32_t)slot + 1);
    else if (type != RAFT_MSG_PING)
        fill_followers(w, slot, &m);
    (void)wire_put_msg(out, &m);
}

/* A frame of a type that nobody knows, which is skipped. */
static void put_unknown(struct wire_writer *out, size_t len)
{
    if (out->cap - out->len < WIRE_FRAME_BYTES + len)
        return;
    uint8_t *b = out->buf + out->len;
    memset(b, 0, WIRE_FRAME_BYTES + len);
    b[0] = 0x3F;
    put_u16(b + 2, (uint16_t)len);
    out->len += WIRE_FRAME_BYTES + len;
}

static void put_lease(struct world *w, struct wire_writer *out)
{
    struct wire_lease l = {.renewed = take(w) & 1,
                           .process = edge(w, writes_process(node_parts(w->node).writes)),
                           .stamp = edge(w, w->now),
                           .index = edge(w, node_raft(w->node)->trail.last)};
    (void)wire_put_lease(out, &l);
}

/* Of itself, of us, or of another one. */
static void put_vitals(struct world *w, struct wire_writer *out)
{
    struct wire_vitals v = {.id = (uint16_t)(take(w) % 4),
                            .age = (uint32_t)edge(w, 1000),
                            .heard = (uint32_t)edge(w, 1000),
                            .uptime_s = (uint32_t)edge(w, 1),
                            .session = (uint8_t)take(w),
                            .health = (uint8_t)take(w),
                            .loss_in = (uint16_t)edge(w, 1000),
                            .match_index = edge(w, node_raft(w->node)->trail.last),
                            .lag_bytes = edge(w, 1),
                            .lag_most_bytes = edge(w, 1),
                            .rate = (uint32_t)edge(w, 1)};
    (void)wire_put_vitals(out, &v);
}

static void put_frame(struct world *w, unsigned slot, struct wire_writer *out)
{
    struct liar *p = &w->liars[slot];
    unsigned type = take(w) % 19;
    switch (type) {
    case 0: put_msg(w, slot, RAFT_MSG_LEAD, out); break;
    case 1: put_msg(w, slot, RAFT_MSG_PROBE, out); break;
    case 2: put_log(w, p, out); break;
    case 3: put_msg(w, slot, RAFT_MSG_ACK, out); break;
    case 4: put_msg(w, slot, RAFT_MSG_PROBE_ACK, out); break;
    case 5: put_sack(w, p, &node_raft(w->node)->peers[slot], out); break;
    case 6: put_msg(w, slot, RAFT_MSG_VOTE_REQ, out); break;
    case 7: put_msg(w, slot, RAFT_MSG_VOTE_RSP, out); break;
    case 8: put_msg(w, slot, RAFT_MSG_PING, out); break;
    case 9: put_msg(w, slot, RAFT_MSG_READ_REQ, out); break;
    case 10: put_msg(w, slot, RAFT_MSG_READ_RSP, out); break;
    case 11: put_links(w, out); break;
    case 12: put_msg(w, slot, RAFT_MSG_TIMEOUT_NOW, out); break;
    case 13: put_settings(w, out); break;
    case 14: put_relay(w, p, BOOT + slot, out); break;
    case 15: put_msg(w, slot, RAFT_MSG_TRANSFER, out); break;
    case 16: put_lease(w, out); break;
    case 17: put_vitals(w, out); break;
    default: put_unknown(out, take(w) & ~3u); break;
    }
}

static void lie(struct world *w, unsigned slot)
{
    struct wire_writer out;
    unsigned frames = take(w), head = take(w);
    wire_begin(&out, w->payload, WIRE_DATAGRAM_BASE - SESSION_EXTRA_BYTES,
               edge(w, node_raft(w->node)->term));
    for (unsigned i = 0; i <= frames % 4; i++)
        put_frame(w, slot, &out);
    struct wire_header h = {.term = out.term, .ts = (uint32_t)w->now};
    if (head & 1)
        h.ts = edge32(w, h.ts);
    h.echo = head & 2;
    h.ts_echo = head & 4 ? edge32(w, w->liars[slot].ts) : w->liars[slot].ts;
    h.hold = (uint16_t)(head & 8 ? edge(w, 1) : 0);
    h.tx_cnt = (uint16_t)(head & 16 ? edge(w, 1) : 0);
    h.loss = (uint8_t)(head & 32 ? take(w) : 0);
    h.waited = head & 64;
    w->payload_len = wire_end(&out, &h);
    send_payload(w, slot);
}

/* --- one step --------------------------------------------------------------------------------- */

static void client_writes(struct world *w, unsigned len)
{
    uint8_t value[255] = {0};
    struct cmd_item put = {.kind = CMD_PUT,
                           .key = (const uint8_t *)"key",
                           .key_len = 3,
                           .value = value,
                           .value_len = len};
    struct request *req = calloc(1, sizeof *req + CMD_ONE_BYTES + 3 + len);
    assert(req != NULL);
    req->cmd_len = (uint32_t)cmd_encode_one(req->cmd, &put);
    req->deadline_us = w->now + 100 * MS;
    w->wrote_bytes += sizeof *req + req->cmd_len;
    node_write(w->node, w->now, req);
}

/* Handshakes have their say, and the node does what it has to. */
static void turn(struct world *w)
{
    uint8_t buf[SESSION_HELLO_BYTES];
    bool more = true;
    for (unsigned round = 0; more && round < ROUNDS; round++) {
        more = false;
        node_flush(w->node, w->now);
        for (unsigned slot = 0; slot < PEERS; slot++) {
            size_t len;
            while ((len = sessions_output(w->liars[slot].s, 1, w->now, buf, sizeof buf)) > 0) {
                node_datagram(w->node, w->now, IDS[slot + 1], buf, len);
                more = true;
            }
        }
    }
    node_flush(w->node, w->now);
    w->now++;
    const char *broken = raft_check(node_raft(w->node));
    if (broken != NULL)
        (void)fprintf(stderr, "%s\n", broken);
    assert(broken == NULL && node_deadline(w->node, w->now) != 0);
    size_t memory = __sanitizer_get_current_allocated_bytes();
    assert(memory < w->memory + w->wrote_bytes + BOUNDED_BYTES);
}

static void step(struct world *w)
{
    unsigned kind = take(w), slot = kind >> 4 & 1, arg;
    switch (kind & 15) {
    case 10: w->now += (uint64_t)take(w) * 4 * MS; break;
    case 11: client_writes(w, take(w)); break;
    case 12: w->reads = node_read(w->node, w->now); break;
    case 13:
        disk_finishes(w, kind & 32);
        remembered(w, !(kind & 32));
        break;
    case 14:
        arg = take(w);
        fetch_returns(w, kind & 32 ? arg % FETCHES : 0, kind & 64);
        break;
    case 15:
        for (arg = take(w) % 32 + 1; arg > 0 && w->payload_len > 0; arg--)
            send_payload(w, slot);
        break;
    default:
        lie(w, slot);
        if (kind & 32) { /* with a disk that is fast */
            turn(w);
            disk_finishes(w, false);
        }
        break;
    }
    turn(w);
}

/* --- the end: an honest leader ---------------------------------------------------------------- */

/* Peer 0 leads `term`; its log is what the node has on disk, and one entry more. */
static void lead_honestly(struct world *w, uint64_t term, struct liar *p, uint64_t round)
{
    const struct raft *r = node_raft(w->node);
    struct wire_writer out;
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .term = term};
    bool streams = r->term == term && r->epoch == p->id;
    m.lead.ack_now = true;
    m.lead.round = round;
    m.lead.commit = p->last;
    m.lead.epoch = streams ? p->id : 0;
    wire_begin(&out, w->payload, WIRE_DATAGRAM_BASE - SESSION_EXTRA_BYTES, term);
    bool fits = wire_put_msg(&out, &m);
    m = (struct raft_msg){.type = RAFT_MSG_PROBE, .term = term};
    m.probe.probe = p->id;
    m.probe.prev_index = p->base;
    m.probe.prev_term = p->base_term;
    struct wire_data d = {
        .stream = WIRE_STREAM_LOG, .id = p->id, .bytes = p->stream, .len = p->len};
    fits = fits && (streams ? wire_put_data(&out, &d) == p->len : wire_put_msg(&out, &m));
    assert(fits);
    /* That the node is heard shows that what it hears is not old, whatever stamps were told before. */
    uint64_t hold = (w->now - p->ts_at) / WIRE_HOLD_UNIT_US;
    struct wire_header h = {.term = term,
                            .ts = (uint32_t)w->now,
                            .ts_echo = p->ts,
                            .echo = p->ts != 0,
                            .hold = hold < WIRE_HOLD_OLD ? (uint16_t)hold : WIRE_HOLD_OLD};
    w->payload_len = wire_end(&out, &h);
    send_payload(w, 0);
}

static bool committed(const struct world *w, uint64_t index)
{
    struct status s = {0};
    node_status(w->node, w->now, &s);
    return w->disk.last >= index && node_raft(w->node)->commit_index >= index &&
           s.applied_index >= index;
}

static void heal(struct world *w)
{
    const struct raft *r = node_raft(w->node);
    struct liar *p = &w->liars[0];
    uint64_t until = w->now + HEAL_US, term = 0, round = 0;
    w->healing = true;
    while (term == 0 || r->term != term || !committed(w, p->last)) {
        assert(w->now < until);
        disk_finishes(w, false);
        remembered(w, true);
        for (unsigned what = 0; what < FETCHES; what++)
            fetch_returns(w, what, false);
        turn(w);
        /* It has what is committed; so the node's own entries have to be on its disk first. */
        if ((term == 0 || r->term > term) && w->disk.seq == 0 && w->disk.last == r->trail.last) {
            struct raft_msg m = {.probe = {.probe = 1,
                                           .prev_index = r->trail.last,
                                           .prev_term = raft_term_at(r, r->trail.last)}};
            term = r->term + 1;
            begin_stream(w, p, &m);
            add_record(w, p, term, 0);
        }
        if (term != 0)
            lead_honestly(w, term, p, ++round);
        turn(w);
        w->now += 10 * MS;
    }
}

/* --- all of it -------------------------------------------------------------------------------- */

static void start(struct world *w, unsigned options)
{
    struct mirror *d = &w->disk;
    mirror_start(d, options & WITH_LOG ? 40 : 0);
    struct raft_run run = {1, 1};
    struct wal_report rep = {.verdict = WAL_CLEAN,
                             .term = d->term,
                             .commit = d->commit,
                             .last_index = d->last,
                             .last_term = d->term,
                             .runs = &run,
                             .n_runs = d->last > 0};
    mirror_hash(d, d->last, rep.head);
    struct node_config nc = {.cluster = "fuzz",
                             .id = 1,
                             .voters = {1, 2, 3},
                             .n_voters = 3,
                             .election_timeout_us = T_US,
                             .max_value_bytes = 1024,
                             .max_data_bytes = options & LIMIT ? CMD_LIMIT_BYTES : 0,
                             .datagram_bytes = options & SMALL_DATAGRAMS ? 512 : WIRE_DATAGRAM_MAX,
                             .cache_bytes = 1 << 16,
                             .relay_bytes = 512,
                             .rekey_us = options & REKEY ? 3000 * MS : 0,
                             .seed = 1,
                             .boot = 7};
    const struct session_keys keys = fuzz_keys(1);
    memcpy(nc.key, keys.own.key, sizeof nc.key);
    for (uint16_t id = 1; id <= (options & NEW_PEER ? 2 : 3); id++)
        memcpy(nc.known[id - 1], pair_of(id).key, sizeof nc.known[0]);
    struct node_io io = {.ctx = w,
                         .send = on_send,
                         .persist = on_persist,
                         .fetch = on_fetch,
                         .answer = on_answer,
                         .reads_done = on_reads_done,
                         .remember = on_remember,
                         .random = on_random};
    w->now = 1000 * MS;
    w->kv = kv_new();
    assert(w->kv != NULL);
    w->machine = machine_new(w->kv);
    assert(w->machine != NULL);
    w->node = node_new(&nc, &io, &rep, NULL, &keys, w->kv, w->machine, w->now);
    assert(w->node != NULL);
    for (unsigned slot = 0; slot < PEERS; slot++)
        w->liars[slot].s = fuzz_peer(IDS[slot + 1], BOOT + slot, w->now, on_random, w);
    w->memory = __sanitizer_get_current_allocated_bytes();
    turn(w);
    for (unsigned slot = 0; slot < PEERS; slot++)
        assert(sessions_ready(w->liars[slot].s, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    static bool registered;
    if (!registered) {
        rcu_thread_begin();
        if (sodium_init() < 0)
            abort();
    }
    registered = true;
    memset(&w, 0, offsetof(struct world, disk));
    w.in = data;
    w.left = size;
    start(&w, take(&w));
    for (unsigned i = 0; i < STEPS_MAX && w.left > 0; i++)
        step(&w);
    heal(&w);
    node_free(w.node);
    machine_free(w.machine);
    for (unsigned slot = 0; slot < PEERS; slot++)
        sessions_free(w.liars[slot].s);
    rcu_wait_freed();
    kv_free(w.kv);
    return 0;
}
