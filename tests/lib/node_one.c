#include "tests/lib/node_one.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal/plain.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "raftd/base/rcu.h"

/* The log as bytes. */

struct tape *tape_new(void)
{
    struct tape *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->bytes = malloc(8 << 20);
    assert_non_null(t->bytes);
    return t;
}

void tape_free(struct tape *t)
{
    free(t->bytes);
    free(t);
}

void tape_seal(struct tape *t, uint64_t term, uint8_t type, size_t data_len)
{
    uint64_t i = t->last + 1;
    assert_true(i <= TAPE_MAX);
    size_t size = record_seal(t->bytes + t->len, i, term, t->ms, type, t->hash[i - 1],
                              (uint32_t)data_len);
    record_hash(t->bytes + t->len, size, t->hash[i]);
    t->len += size;
    t->last = i;
    t->at[i + 1] = t->len;
}

void tape_puts(struct tape *t, uint64_t last, uint64_t term, char fill, size_t len)
{
    uint8_t value[4096];
    assert_true(len <= sizeof value);
    memset(value, fill, len);
    while (t->last < last) {
        char key[24];
        int n = snprintf(key, sizeof key, "k%" PRIu64, t->last + 1);
        struct cmd c = {.operations = 1, .origin = 2, .process = 77, .number = t->last + 1};
        struct cmd_item put = {.kind = CMD_PUT,
                               .key = (const uint8_t *)key,
                               .key_len = (uint16_t)n,
                               .value = value,
                               .value_len = (uint32_t)len};
        tape_seal(t, term, RECORD_COMMAND,
                  cmd_encode(t->bytes + t->len + RECORD_HEAD_BYTES, &c, &put));
    }
}

void tape_noops(struct tape *t, uint64_t last, uint64_t term)
{
    while (t->last < last)
        tape_seal(t, term, RECORD_NOOP, 0);
}

/* The world around the node. */

static void io_random(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 7, len);
}

static void io_send(void *ctx, uint16_t to, const uint8_t *buf, size_t len)
{
    (void)ctx;
    (void)to;
    (void)buf;
    (void)len;
}

static void io_spy(void *ctx, uint16_t to, uint8_t *buf, size_t len)
{
    struct world *w = ctx;
    struct peer_seen *p = &w->peers[to - 2];
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    if (to > 4)
        return;
    assert_true(wire_check(buf, len, &h));
    p->datagrams++;
    wire_read(&r, buf, len, SELF, to);
    bool data = false, control = false;
    while (wire_next(&r, &f)) {
        control = control || f.kind == WIRE_FRAME_MSG || f.kind == WIRE_FRAME_SACK;
        if (f.kind == WIRE_FRAME_SACK)
            w->sack = f.sack;
        assert_false(data && (f.kind == WIRE_FRAME_MSG || f.kind == WIRE_FRAME_SACK));
        data = data || f.kind == WIRE_FRAME_DATA; /* control goes before the log */
        if (f.kind == WIRE_FRAME_MSG) {
            assert_true((int)f.msg.type < TYPES);
            p->has[f.msg.type] = true;
            p->newest[f.msg.type] = f.msg;
        } else if (f.kind == WIRE_FRAME_DATA && f.data.stream == WIRE_STREAM_LOG) {
            p->log_frames++;
            if (f.data.id != p->stream)
                p->end = 0;
            p->stream = f.data.id;
            assert_true(f.data.off <= p->end && f.data.off + f.data.len <= STREAM_MAX);
            memcpy(p->bytes + f.data.off, f.data.bytes, f.data.len);
            if (f.data.off + f.data.len > p->end)
                p->end = (size_t)f.data.off + f.data.len;
        }
    }
    if (control)
        w->bulk_before = w->bulk;
    w->bulk += data;
}

static void io_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct world *w = ctx;
    assert_true(b->commit >= w->disk_commit);
    w->commit_before = w->disk_commit;
    w->disk_commit = b->commit;
    if (seq == 0) {
        w->seals++;
        return;
    }
    assert_int_equal(w->batch, 0);
    w->batch = seq;
    w->written = *b;
    w->written.bytes_n = 0; /* they are the node's */
}

static void io_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                     uint8_t *buf, size_t cap)
{
    struct world *w = ctx;
    assert_null(w->fetch[what.peer].buf);
    w->fetch[what.peer].what = what;
    w->fetch[what.peer].pos = *from;
    w->fetch[what.peer].last = last;
    w->fetch[what.peer].buf = buf;
    w->fetch[what.peer].cap = cap;
}

static void io_answer(void *ctx, struct request *req)
{
    struct world *w = ctx;
    w->answered++;
    results_free(&req->results);
    free(req);
}

static void io_reads_done(void *ctx, uint64_t read)
{
    (void)ctx;
    (void)read;
}

static void io_came(void *ctx, uint16_t id, const struct member *m)
{
    struct world *w = ctx;
    (void)m;
    w->came = id;
}

static void io_went(void *ctx, uint16_t id)
{
    struct world *w = ctx;
    w->went = id;
}

static void io_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES])
{
    struct world *w = ctx;
    assert_int_equal(about_handle(key), id);
    w->remember = id;
}

static struct plain_ends ends_from(const struct world *w, uint16_t from)
{
    static const uint16_t ids[] = {1, 2, 3};
    return (struct plain_ends){
        w->cluster, from, SELF, {(uint8_t)from}, {0, SELF, wire_voters_digest(ids, 3)}};
}

/* The node has known this peer for long. */
bool greet(struct world *w, uint16_t from)
{
    uint8_t buf[PLAIN_HEAD_BYTES];
    struct plain_ends ends = ends_from(w, from);
    return node_datagram(w->n, w->now, node_peer(w->n, from) != NULL ? from : 0, buf,
                         plain_close(buf, 0, &ends));
}

static struct world *world_at(const struct tape *t, const struct node_config *more, uint64_t commit)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    struct node_config cfg = *more;
    (void)snprintf(cfg.cluster, sizeof cfg.cluster, "x");
    cfg.id = SELF;
    cfg.n_voters = 3;
    for (uint16_t i = 0; i < 3; i++) {
        cfg.voters[i] = (uint16_t)(i + 1);
        cfg.known[i][0] = (uint8_t)(i + 1);
    }
    cfg.key[0] = SELF;
    cfg.election_timeout_us = T_US;
    cfg.seed = 1;
    cfg.boot = 7;
    if (cfg.max_value_bytes == 0)
        cfg.max_value_bytes = 65536;
    struct raft_run run = {.first_index = 1, .term = 1};
    struct wal_report report = {.term = 1, .commit = commit};
    if (t != NULL) {
        report.last_index = t->last;
        report.last_term = 1;
        report.last_ms = t->ms;
        report.runs = &run;
        report.n_runs = 1;
        memcpy(report.head, t->hash[t->last], sizeof report.head);
    }
    struct node_io io = {.ctx = w,
                         .send = io_send,
                         .random = io_random,
                         .spy = io_spy,
                         .peer_is = io_came,
                         .peer_went = io_went,
                         .remember = io_remember,
                         .persist = io_persist,
                         .fetch = io_fetch,
                         .answer = io_answer,
                         .reads_done = io_reads_done};
    w->kv = kv_new();
    w->machine = machine_new(w->kv);
    w->now = 1000000;
    w->disk_commit = commit;
    w->cluster = wire_cluster_id("x");
    for (int i = 0; i < 3; i++) {
        w->peers[i].bytes = malloc(STREAM_MAX);
        assert_non_null(w->peers[i].bytes);
    }
    w->n = node_new(&cfg, &io, &report, NULL, NULL, w->kv, w->machine, w->now);
    assert_non_null(w->n);
    greet(w, 2);
    greet(w, 3);
    node_flush(w->n, w->now);
    return w;
}

struct world *world_new(const struct tape *t, const struct node_config *more)
{
    return world_at(t, more, 0);
}

struct world *world_restarted(const struct tape *t, uint64_t commit)
{
    return world_at(t, &(struct node_config){0}, commit);
}

void world_free(struct world *w)
{
    node_free(w->n);
    machine_free(w->machine);
    kv_free(w->kv);
    for (int i = 0; i < 3; i++)
        free(w->peers[i].bytes);
    free(w);
}

const struct raft *raft_of(const struct world *w)
{
    return node_raft(w->n);
}

uint64_t stream_drops(const struct world *w)
{
    struct status s = {0};
    node_status(w->n, w->now, &s);
    return s.drops[DROP_STREAM];
}

uint64_t applied(const struct world *w)
{
    struct status s = {0};
    node_status(w->n, w->now, &s);
    return s.applied_index;
}

void finish_datagram(struct world *w, struct wire_writer *out, uint16_t from)
{
    struct plain_ends ends = ends_from(w, from);
    struct wire_header h = {.term = out->term, .ts = ++w->ts};
    uint8_t *buf = out->buf - PLAIN_HEAD_BYTES;
    size_t len = plain_close(buf, wire_end(out, &h), &ends);
    (void)node_datagram(w->n, w->now, from, buf, len);
}

void tell(struct world *w, struct raft_msg m)
{
    uint8_t buf[WIRE_DATAGRAM_BASE];
    struct wire_writer out;
    m.to = SELF;
    wire_begin(&out, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, m.term);
    assert_true(wire_put_msg(&out, &m));
    finish_datagram(w, &out, m.from);
}

void probe(struct world *w, uint16_t from, uint64_t term, uint32_t number, uint64_t prev,
           uint64_t prev_term)
{
    struct raft_msg m = {.type = RAFT_MSG_PROBE, .from = from, .term = term};
    m.probe.probe = number;
    m.probe.prev_index = prev;
    m.probe.prev_term = prev_term;
    tell(w, m);
}

void lead(struct world *w, uint16_t from, uint64_t term, uint32_t epoch, uint64_t commit)
{
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .from = from, .term = term};
    m.lead.round = ++w->ts;
    m.lead.commit = commit;
    m.lead.epoch = epoch;
    m.lead.ack_now = true;
    tell(w, m);
}

void stream(struct world *w, uint16_t leader, uint64_t term, uint32_t epoch, const struct tape *t,
            uint64_t base, size_t from, size_t to)
{
    while (from < to) {
        uint8_t buf[WIRE_DATAGRAM_MAX];
        struct wire_writer out;
        struct wire_data d = {.stream = WIRE_STREAM_LOG,
                              .id = epoch,
                              .off = from,
                              .bytes = t->bytes + t->at[base + 1] + from,
                              .len = to - from};
        wire_begin(&out, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, term);
        size_t put = wire_put_data(&out, &d);
        assert_true(put > 0);
        finish_datagram(w, &out, leader);
        from += put;
    }
}

size_t stream_len(const struct tape *t, uint64_t base, uint64_t last)
{
    return t->at[last + 1] - t->at[base + 1];
}

void flush(struct world *w)
{
    w->now += 10;
    w->bulk = w->bulk_before = 0;
    node_flush(w->n, w->now);
}

void persisted(struct world *w)
{
    uint64_t seq = w->batch;
    w->batch = 0;
    w->now += 1000;
    if (seq != 0)
        node_persisted(w->n, w->now, seq);
}

void follow_leader(struct world *w, uint16_t from, uint64_t term, uint32_t number, uint64_t prev,
                   uint64_t prev_term)
{
    probe(w, from, term, number, prev, prev_term);
    flush(w);
    persisted(w);
    flush(w);
}

void no_room(struct world *w)
{
    uint64_t seq = w->batch;
    w->batch = 0;
    w->now += 1000;
    assert_int_not_equal(seq, 0);
    w->disk_commit = w->commit_before;
    node_no_room(w->n, w->now, seq);
}

size_t read_disk(struct world *w, unsigned what, const struct tape *t)
{
    struct wal_pos *pos = &w->fetch[what].pos;
    size_t cap = w->fetch[what].cap, from = t->at[pos->index] + pos->skip;
    uint64_t last = w->fetch[what].last < t->last ? w->fetch[what].last : t->last;
    assert_non_null(w->fetch[what].buf);
    if (pos->index > last)
        return 0;
    uint64_t next = pos->index;
    while (next <= last && t->at[next + 1] - from <= cap)
        next++;
    size_t len = t->at[next] - from;
    if (next == pos->index) {
        len = cap;
        pos->skip += (uint32_t)len;
    } else {
        *pos = (struct wal_pos){next, 0};
    }
    memcpy(w->fetch[what].buf, t->bytes + from, len);
    return len;
}

void fetched(struct world *w, unsigned what, size_t len)
{
    w->fetch[what].buf = NULL;
    node_fetched(w->n, w->now, w->fetch[what].what, len, &w->fetch[what].pos);
}

void settle(struct world *w, const struct tape *disk)
{
    flush(w);
    for (int i = 0; i < 1000; i++) {
        bool any = w->batch != 0 || applied(w) < raft_of(w)->commit_index;
        persisted(w);
        for (unsigned what = 0; what < 4; what++) {
            if (w->fetch[what].buf == NULL)
                continue;
            fetched(w, what, read_disk(w, what, disk));
            any = true;
        }
        if (!any)
            return;
        flush(w);
    }
    fail_msg("the node wants the disk without end");
}

void check_value(struct world *w, uint64_t index, char fill)
{
    char key[24];
    int n = snprintf(key, sizeof key, "k%" PRIu64, index);
    rcu_enter();
    const struct kv_object *o = kv_get(kv_view(w->kv), (const uint8_t *)key, (size_t)n);
    char found = o != NULL && o->value_len > 0 ? (char)kv_value(o)[0] : '?';
    rcu_leave();
    if (found != fill)
        fail_msg("%s has value %c instead of %c", key, found, fill);
}

void make_leader(struct world *w)
{
    uint64_t term = raft_of(w)->term + 1;
    struct peer_seen *p = &w->peers[1];
    p->has[RAFT_MSG_VOTE_REQ] = false;
    for (int i = 0; i < 200 && raft_of(w)->role != RAFT_LEADER; i++) {
        if (p->has[RAFT_MSG_VOTE_REQ]) {
            const struct raft_msg *q = &p->newest[RAFT_MSG_VOTE_REQ];
            struct raft_msg m = {.type = RAFT_MSG_VOTE_RSP, .from = 3, .term = q->term};
            m.vote_rsp.pre = q->vote_req.pre;
            m.vote_rsp.granted = true;
            m.vote_rsp.campaign = q->vote_req.campaign;
            m.vote_rsp.vote_term = q->vote_req.vote_term;
            p->has[RAFT_MSG_VOTE_REQ] = false;
            tell(w, m);
        } else if (raft_of(w)->role == RAFT_FOLLOWER) {
            w->now += T_US / 2; /* a disk that takes longer would keep it from standing */
            persisted(w);
        } else {
            persisted(w);
        }
        flush(w);
    }
    assert_int_equal(raft_of(w)->role, RAFT_LEADER);
    assert_int_equal(raft_of(w)->term, term);
}

void answer_probe(struct world *w, unsigned slot, uint64_t hint, uint64_t hint_term)
{
    struct peer_seen *p = &w->peers[slot];
    assert_true(p->has[RAFT_MSG_PROBE]);
    const struct raft_msg *q = &p->newest[RAFT_MSG_PROBE];
    struct raft_msg m = {.type = RAFT_MSG_PROBE_ACK, .from = (uint16_t)(slot + 2), .term = q->term};
    m.probe_ack.probe = q->probe.probe;
    m.probe_ack.boot = 100 + slot;
    m.probe_ack.match = hint == 0;
    m.probe_ack.prev_index = q->probe.prev_index;
    m.probe_ack.hint_index = hint;
    m.probe_ack.hint_term = hint_term;
    p->has[RAFT_MSG_PROBE] = false;
    tell(w, m);
}

void ack(struct world *w, unsigned slot, uint64_t durable)
{
    struct peer_seen *p = &w->peers[slot];
    const struct raft_msg *q = &p->newest[RAFT_MSG_LEAD];
    struct raft_msg m = {.type = RAFT_MSG_ACK, .from = (uint16_t)(slot + 2), .term = q->term};
    m.ack.round = q->lead.round;
    m.ack.durable = durable;
    m.ack.epoch = q->lead.epoch;
    m.ack.boot = 100 + slot;
    p->has[RAFT_MSG_LEAD] = false;
    uint8_t buf[WIRE_DATAGRAM_BASE];
    struct wire_writer out;
    wire_begin(&out, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, m.term);
    assert_true(wire_put_msg(&out, &m));
    if (p->stream == q->lead.epoch) {
        struct wire_sack s = {
            .stream = WIRE_STREAM_LOG, .id = p->stream, .contig = p->end, .rwnd = 1 << 18};
        assert_true(wire_put_sack(&out, &s));
    }
    finish_datagram(w, &out, m.from);
}

void refuse(struct world *w, unsigned slot, uint64_t durable)
{
    const struct raft_msg *q = &w->peers[slot].newest[RAFT_MSG_LEAD];
    struct raft_msg m = {
        .type = RAFT_MSG_ACK, .from = (uint16_t)(slot + 2), .term = raft_of(w)->term};
    m.ack.epoch = q->lead.epoch;
    m.ack.boot = 100 + slot;
    m.ack.durable = durable;
    m.ack.need_probe = true;
    tell(w, m);
}

unsigned pass(struct world *w, uint64_t us)
{
    uint64_t until = w->now + us;
    unsigned wakes = 0;
    while (w->now < until) {
        node_flush(w->n, w->now);
        wakes++;
        persisted(w);
        if (w->peers[0].has[RAFT_MSG_LEAD])
            ack(w, 0, raft_of(w)->trail.last);
        uint64_t at = node_deadline(w->n, w->now);
        w->now = at > w->now ? at : w->now + 1;
        assert_int_equal(raft_of(w)->role, RAFT_LEADER);
    }
    w->now = until;
    return wakes;
}

void write_one(struct world *w)
{
    struct cmd_item put = {.kind = CMD_PUT,
                           .key = (const uint8_t *)"k",
                           .key_len = 1,
                           .value = (const uint8_t *)"v",
                           .value_len = 1};
    struct request *req = calloc(1, sizeof *req + 64);
    assert_non_null(req);
    req->cmd_len = (uint32_t)cmd_encode_one(req->cmd, &put);
    req->deadline_us = w->now + 1000000;
    node_write(w->n, w->now, req);
}

struct tape *tape_of_peer(const struct world *w)
{
    const struct peer_seen *p = &w->peers[0];
    struct tape *t = tape_new();
    for (size_t size; t->len < p->end; t->len += size) {
        struct record rec;
        assert_int_equal(record_decode(p->bytes + t->len, p->end - t->len, &rec, &size), RECORD_OK);
        t->last = rec.index;
        t->at[rec.index] = t->len;
        t->at[rec.index + 1] = t->len + size;
    }
    memcpy(t->bytes, p->bytes, t->len);
    return t;
}
