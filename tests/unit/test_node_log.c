// LINK: @node raftd/status.c
/* One node driven by hand, datagram by datagram: log bytes that are replaced, fetched or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/plain.h"
#include "net/wire.h"
#include "raftd/cmd.h"
#include "raftd/kv.h"
#include "raftd/node.h"
#include "raftd/node_impl.h"
#include "raftd/rcu.h"
#include "storage/record.h"

enum {
    T_US = 150000, /* election timeout */
    SELF = 1,
    TAPE_MAX = 60000,    /* entries */
    TYPES = 16,          /* of messages, from 1 */
    STREAM_MAX = 1 << 20 /* bytes of a stream that a peer keeps */
};

/* ---- a log as bytes, from entry 1 on ---- */

struct tape {
    uint8_t *bytes;
    size_t len;
    uint64_t last;
    size_t at[TAPE_MAX + 2];                       /* where entry i starts */
    uint8_t hash[TAPE_MAX + 1][RECORD_HASH_BYTES]; /* of entry i */
};

static struct tape *tape_new(void)
{
    struct tape *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->bytes = malloc(8 << 20);
    assert_non_null(t->bytes);
    return t;
}

static void tape_free(struct tape *t)
{
    free(t->bytes);
    free(t);
}

/* One more entry; its data is already in place behind the head. */
static void tape_seal(struct tape *t, uint64_t term, uint8_t type, size_t data_len)
{
    uint64_t i = t->last + 1;
    assert_true(i <= TAPE_MAX);
    size_t size = record_seal(t->bytes + t->len, i, term, type, t->hash[i - 1], (uint32_t)data_len);
    record_hash(t->bytes + t->len, size, t->hash[i]);
    t->len += size;
    t->last = i;
    t->at[i + 1] = t->len;
}

/* Entries up to `last`: each puts `len` bytes of `fill` under a key of its own, see check_value(). */
static void tape_puts(struct tape *t, uint64_t last, uint64_t term, char fill, size_t len)
{
    uint8_t value[2048];
    assert_true(len <= sizeof value);
    memset(value, fill, len);
    while (t->last < last) {
        char key[24];
        int n = snprintf(key, sizeof key, "k%" PRIu64, t->last + 1);
        struct cmd c = {.op = CMD_PUT,
                        .origin = 2,
                        .request = t->last + 1,
                        .key = (const uint8_t *)key,
                        .key_len = (uint16_t)n,
                        .value = value,
                        .value_len = (uint32_t)len};
        tape_seal(t, term, RECORD_COMMAND, cmd_encode(t->bytes + t->len + RECORD_HEAD_BYTES, &c));
    }
}

static void tape_noops(struct tape *t, uint64_t last, uint64_t term)
{
    while (t->last < last)
        tape_seal(t, term, RECORD_NOOP, 0);
}

/* ---- the world around the node ---- */

struct peer_seen { /* what the node sent to one peer */
    uint64_t datagrams, log_frames;
    bool has[TYPES];
    struct raft_msg newest[TYPES];
    uint32_t stream; /* the log stream named last, its bytes and where they end */
    uint8_t *bytes;
    size_t end;
};

struct world {
    struct node *n;
    struct kv *kv;
    uint64_t now, cluster;
    uint32_t ts;
    uint64_t batch; /* handed to the disk, not yet durable; 0 = none */
    struct {
        uint8_t *buf; /* NULL = none asked for */
        struct wal_pos pos;
        uint64_t last;
        size_t cap;
    } fetch[NODE_FETCHES];
    struct peer_seen peers[2]; /* nodes 2 and 3 */
    struct wire_sack sack;     /* sent last */
    unsigned bulk;             /* datagrams with log bytes in this flush, to whomever ... */
    unsigned bulk_before;      /* ... and of them, those before the last one with control */
    unsigned answered;
};

static void io_send(void *ctx, unsigned slot, const uint8_t *buf, size_t len)
{
    (void)ctx;
    (void)slot;
    (void)buf;
    (void)len;
}

static void io_spy(void *ctx, unsigned slot, const uint8_t *buf, size_t len)
{
    struct world *w = ctx;
    struct peer_seen *p = &w->peers[slot];
    struct wire_header h;
    struct wire_reader r;
    struct wire_frame f;
    assert_int_equal(wire_check(buf, len, &h), WIRE_OK);
    p->datagrams++;
    wire_read(&r, buf, len, SELF, (uint16_t)(slot + 2));
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
    (void)b;
    if (seq == 0)
        return;
    assert_int_equal(w->batch, 0);
    w->batch = seq;
}

static void io_fetch(void *ctx, unsigned what, const struct wal_pos *from, uint64_t last,
                     uint8_t *buf, size_t cap)
{
    struct world *w = ctx;
    assert_null(w->fetch[what].buf);
    w->fetch[what].pos = *from;
    w->fetch[what].last = last;
    w->fetch[what].buf = buf;
    w->fetch[what].cap = cap;
}

static void io_answer(void *ctx, struct request *req)
{
    struct world *w = ctx;
    w->answered++;
    free(req);
}

static void io_reads_done(void *ctx, uint64_t read)
{
    (void)ctx;
    (void)read;
}

/* Node 1 of 3, whose disk holds all of `t` (NULL: nothing), written in term 1. */
static struct world *world_new(const struct tape *t, const struct node_config *more)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    struct node_config cfg = *more;
    (void)snprintf(cfg.cluster, sizeof cfg.cluster, "x");
    cfg.id = SELF;
    cfg.n_voters = 3;
    for (uint16_t i = 0; i < 3; i++)
        cfg.voters[i] = (uint16_t)(i + 1);
    cfg.election_timeout_us = T_US;
    cfg.seed = 1;
    cfg.boot = 7;
    if (cfg.max_value_bytes == 0)
        cfg.max_value_bytes = 65536;
    struct wal_run run = {.first_index = 1, .term = 1};
    struct wal_report report = {.term = 1};
    if (t != NULL) {
        report.last_index = t->last;
        report.last_term = 1;
        report.runs = &run;
        report.n_runs = 1;
        memcpy(report.head, t->hash[t->last], sizeof report.head);
    }
    struct node_io io = {.ctx = w,
                         .send = io_send,
                         .spy = io_spy,
                         .persist = io_persist,
                         .fetch = io_fetch,
                         .answer = io_answer,
                         .reads_done = io_reads_done};
    const uint8_t hash_key[KV_HASH_KEY_BYTES] = {1};
    w->kv = kv_new(hash_key);
    w->now = 1000000;
    w->cluster = wire_cluster_id("x");
    for (int i = 0; i < 2; i++) {
        w->peers[i].bytes = malloc(STREAM_MAX);
        assert_non_null(w->peers[i].bytes);
    }
    w->n = node_new(&cfg, &io, &report, NULL, w->kv, w->now);
    assert_non_null(w->n);
    node_flush(w->n, w->now);
    return w;
}

static void world_free(struct world *w)
{
    node_free(w->n);
    kv_free(w->kv);
    for (int i = 0; i < 2; i++)
        free(w->peers[i].bytes);
    free(w);
}

static const struct raft *raft_of(const struct world *w)
{
    return node_raft(w->n);
}

static uint64_t stream_drops(const struct world *w)
{
    struct status s = {0};
    node_status(w->n, w->now, &s);
    return s.drops[DROP_STREAM];
}

static uint64_t applied(const struct world *w)
{
    struct status s = {0};
    node_status(w->n, w->now, &s);
    return s.applied_index;
}

static void finish_datagram(struct world *w, struct wire_writer *out, uint16_t from)
{
    struct plain_ends ends = {w->cluster, from, SELF};
    struct wire_header h = {.term = out->term, .ts = ++w->ts};
    uint8_t *buf = out->buf - PLAIN_HEAD_BYTES;
    size_t len = plain_close(buf, wire_end(out, &h), &ends);
    node_datagram(w->n, w->now, from - 2, buf, len);
}

static void tell(struct world *w, struct raft_msg m)
{
    uint8_t buf[WIRE_DATAGRAM_BASE];
    struct wire_writer out;
    m.to = SELF;
    wire_begin(&out, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, m.term);
    assert_true(wire_put_msg(&out, &m));
    finish_datagram(w, &out, m.from);
}

static void probe(struct world *w, uint16_t from, uint64_t term, uint32_t number, uint64_t prev,
                  uint64_t prev_term)
{
    struct raft_msg m = {.type = RAFT_MSG_PROBE, .from = from, .term = term};
    m.probe.probe = number;
    m.probe.prev_index = prev;
    m.probe.prev_term = prev_term;
    tell(w, m);
}

static void lead(struct world *w, uint16_t from, uint64_t term, uint32_t epoch, uint64_t commit)
{
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .from = from, .term = term};
    m.lead.round = ++w->ts;
    m.lead.commit = commit;
    m.lead.epoch = epoch;
    m.lead.ack_now = true;
    tell(w, m);
}

/* Bytes [from, to) of a leader's stream that begins after entry `base`. */
static void stream(struct world *w, uint16_t leader, uint64_t term, uint32_t epoch,
                   const struct tape *t, uint64_t base, uint64_t base_term, size_t from, size_t to)
{
    while (from < to) {
        uint8_t buf[WIRE_DATAGRAM_MAX];
        struct wire_writer out;
        struct wire_data d = {.stream = WIRE_STREAM_LOG,
                              .id = epoch,
                              .base_index = base,
                              .base_term = base_term,
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

/* Bytes of entries base + 1 .. last. */
static size_t stream_len(const struct tape *t, uint64_t base, uint64_t last)
{
    return t->at[last + 1] - t->at[base + 1];
}

static void flush(struct world *w)
{
    w->now += 10;
    w->bulk = w->bulk_before = 0;
    node_flush(w->n, w->now);
}

static void persisted(struct world *w)
{
    uint64_t seq = w->batch;
    w->batch = 0;
    w->now += 1000;
    if (seq != 0)
        node_persisted(w->n, w->now, seq);
}

/* What the disk thread reads when it comes to this fetch, of `t`: whole entries, or a part of one.
 * Returns its length; fetched() is to follow. */
static size_t read_disk(struct world *w, unsigned what, const struct tape *t)
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

static void fetched(struct world *w, unsigned what, size_t len)
{
    w->fetch[what].buf = NULL;
    node_fetched(w->n, w->now, what, len, &w->fetch[what].pos);
}

/* All that the disk has to do is done at once, until the node wants nothing more of it. */
static void settle(struct world *w, const struct tape *disk)
{
    flush(w);
    for (int i = 0; i < 1000; i++) {
        bool any = w->batch != 0;
        persisted(w);
        for (unsigned what = 0; what < NODE_FETCHES; what++) {
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

static void check_value(struct world *w, uint64_t index, char fill)
{
    char key[24];
    int n = snprintf(key, sizeof key, "k%" PRIu64, index);
    rcu_enter();
    const struct kv_object *o = kv_get(w->kv, (const uint8_t *)key, (size_t)n);
    char found = o != NULL && o->value_len > 0 ? (char)kv_value(o)[0] : '?';
    rcu_leave();
    if (found != fill)
        fail_msg("%s has value %c instead of %c", key, found, fill);
}

/* Node 1 becomes leader of the next term with the vote of node 3; what it had to write before is
 * written batch by batch. */
static void make_leader(struct world *w)
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

/* The node's newest probe to peer `slot` is answered. hint 0: it matches. */
static void answer_probe(struct world *w, unsigned slot, uint64_t hint, uint64_t hint_term)
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

/* Peer `slot` acknowledges the newest LEAD and all that it got. */
static void ack(struct world *w, unsigned slot, uint64_t durable)
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

/* Peer `slot` wants another log stream. */
static void refuse(struct world *w, unsigned slot, uint64_t durable)
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

/* ---- tests ---- */

/* The disk reads entries 1..100 of term 1 for the node's state machine; meanwhile the leader of term
 * 2 replaces those from 80 on, so many that the first of them leave the cache. What the disk read is
 * right only up to what was committed when it was asked. */
static void apply_across_replacement(bool fetch_first)
{
    struct tape *old = tape_new(), *new = tape_new();
    tape_puts(old, 100, 1, 'o', 10);
    tape_puts(new, 79, 1, 'o', 10);
    tape_puts(new, 200, 2, 'n', 1024);
    struct node_config cfg = {.cache_bytes = 65536};
    struct world *w = world_new(old, &cfg);

    probe(w, 2, 2, 1, 79, 1);
    lead(w, 2, 2, 1, 79);
    flush(w);
    persisted(w); /* the term */
    flush(w);
    assert_int_equal(raft_of(w)->commit_index, 79);
    size_t read = read_disk(w, NODE_FETCH_APPLY, old);

    stream(w, 2, 2, 1, new, 79, 1, 0, stream_len(new, 79, 200));
    lead(w, 2, 2, 1, 200);
    flush(w);
    assert_true(w->batch != 0);
    assert_true(raft_of(w)->last_index > 100);
    assert_true(raft_of(w)->last_index < 200); /* the cache is full */
    if (fetch_first) {                         /* one wakeup of the loop brings both */
        fetched(w, NODE_FETCH_APPLY, read);
        persisted(w);
    } else {
        persisted(w);
        fetched(w, NODE_FETCH_APPLY, read);
    }
    settle(w, new);
    assert_int_equal(raft_of(w)->last_index, 200);
    lead(w, 2, 2, 1, 200);
    settle(w, new);
    assert_int_equal(applied(w), 200);
    for (uint64_t i = 1; i <= 200; i++)
        check_value(w, i, i < 80 ? 'o' : 'n');
    assert_int_equal(stream_drops(w), 0);
    world_free(w);
    tape_free(old);
    tape_free(new);
}

static void test_apply_after_replacement(void **state)
{
    (void)state;
    apply_across_replacement(true);
    apply_across_replacement(false);
}

/* A leader has entries in its cache that its disk does not have yet. Whatever a read for a peer
 * brings in their place is not sent. (With a disk that works in order the old versions are dead
 * before the node leads; the stream does not rely on that.) */
static void test_stream_only_durable_from_disk(void **state)
{
    (void)state;
    enum { KEPT = 79, SHARED = 50, NEW_LAST = 120 };
    struct tape *old = tape_new(), *new = tape_new();
    tape_puts(old, 100, 1, 'o', 10);
    tape_puts(new, KEPT, 1, 'o', 10);
    tape_puts(new, NEW_LAST, 2, 'n', 10);
    struct node_config cfg = {.batch_bytes = 1}; /* the disk takes one entry at a time */
    struct world *w = world_new(old, &cfg);
    probe(w, 2, 2, 1, KEPT, 1);
    flush(w);
    persisted(w); /* the term */
    stream(w, 2, 2, 1, new, KEPT, 1, 0, stream_len(new, KEPT, NEW_LAST));
    assert_int_equal(raft_of(w)->last_index, NEW_LAST);
    flush(w);
    make_leader(w);
    uint64_t durable = raft_of(w)->durable_index;
    assert_true(durable >= KEPT && durable < 100);

    answer_probe(w, 1, SHARED, 1); /* node 3 has 50 entries of term 1 */
    flush(w);
    answer_probe(w, 1, 0, 0);
    flush(w);
    /* The same bytes as in our log up to what is durable; behind them the old ones. */
    struct tape *disk = tape_new();
    tape_puts(disk, KEPT, 1, 'o', 10);
    tape_puts(disk, durable, 2, 'n', 10);
    tape_puts(disk, 100, 1, 'o', 10);
    assert_int_equal(w->fetch[1].pos.index, SHARED + 1);
    size_t read = read_disk(w, 1, disk);
    fetched(w, 1, read);
    flush(w);
    ack(w, 1, 0); /* the window opens, should it have been closed */
    settle(w, disk);

    const struct peer_seen *p = &w->peers[1];
    uint64_t next = SHARED + 1;
    for (size_t at = 0, size; at < p->end; at += size, next++) {
        struct record rec;
        assert_int_equal(record_decode(p->bytes + at, p->end - at, &rec, &size), RECORD_OK);
        assert_int_equal(rec.index, next);
        assert_int_equal(rec.term, next <= KEPT ? 1 : next <= NEW_LAST ? 2 : 3);
    }
    assert_int_equal(next, NEW_LAST + 2); /* and the leader's no-op */
    world_free(w);
    tape_free(old);
    tape_free(new);
    tape_free(disk);
}

/* The stream was refused: an acknowledgement says so, and the next probe starts another. */
static void check_refused(struct world *w, uint16_t leader, uint64_t last)
{
    struct peer_seen *p = &w->peers[leader - 2];
    assert_int_equal(stream_drops(w), 1);
    assert_int_equal(raft_of(w)->last_index, last);
    p->has[RAFT_MSG_ACK] = false;
    flush(w);
    assert_true(p->has[RAFT_MSG_ACK]);
    assert_true(p->newest[RAFT_MSG_ACK].ack.need_probe);
    assert_int_equal(p->newest[RAFT_MSG_ACK].ack.epoch, 1);
}

/* Whole, intact records whose command makes no sense must not enter the log: every node would end
 * when it applies them, again after each restart. */
static void test_malformed_command_refused(void **state)
{
    (void)state;
    struct tape *bad = tape_new(), *good = tape_new();
    tape_puts(bad, 1, 2, 'v', 10);
    memset(bad->bytes + bad->len + RECORD_HEAD_BYTES, 0xee, 40);
    tape_seal(bad, 2, RECORD_COMMAND, 40);
    tape_puts(bad, 3, 2, 'v', 10);
    tape_puts(good, 3, 2, 'v', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    probe(w, 2, 2, 1, 0, 0);
    flush(w);
    persisted(w);
    flush(w);
    stream(w, 2, 2, 1, bad, 0, 0, 0, stream_len(bad, 0, 3));
    check_refused(w, 2, 1);
    probe(w, 2, 2, 2, 1, 2);
    stream(w, 2, 2, 2, good, 1, 2, 0, stream_len(good, 1, 3));
    lead(w, 2, 2, 2, 3);
    settle(w, good);
    assert_int_equal(applied(w), 3);
    assert_int_equal(stream_drops(w), 1);
    world_free(w);
    tape_free(bad);
    tape_free(good);
}

/* The cache takes ENTRIES_MAX entries. The first of these are not on disk yet when a gap in the
 * stream closes and more small entries than that are there at once. */
static void test_many_small_records(void **state)
{
    (void)state;
    const size_t window = RECORD_MAX_BYTES + NODE_WINDOW_BYTES; /* of the stream */
    const size_t noop = record_size(0);
    uint64_t waiting = window / noop - 1, early = 10000, last = early + waiting;
    assert_true(last > ENTRIES_MAX);
    struct tape *t = tape_new();
    tape_noops(t, last, 2);
    struct node_config cfg = {.max_value_bytes = 1 << 20};
    struct world *w = world_new(NULL, &cfg);
    probe(w, 2, 2, 1, 0, 0);
    lead(w, 2, 2, 1, 0);
    flush(w);
    persisted(w);
    stream(w, 2, 2, 1, t, 0, 0, 0, early * noop);
    flush(w); /* their batch is with the disk, and stays there */
    assert_int_equal(raft_of(w)->last_index, early);
    stream(w, 2, 2, 1, t, 0, 0, early * noop + 1, last * noop);
    assert_int_equal(raft_of(w)->last_index, early);
    stream(w, 2, 2, 1, t, 0, 0, early * noop, early * noop + 1);
    assert_true(raft_of(w)->last_index > early);
    assert_true(raft_of(w)->last_index <= ENTRIES_MAX);
    settle(w, t);
    assert_int_equal(raft_of(w)->last_index, last);
    lead(w, 2, 2, 1, last);
    settle(w, t);
    assert_int_equal(raft_of(w)->durable_index, last);
    assert_int_equal(applied(w), last);
    assert_int_equal(stream_drops(w), 0);
    world_free(w);
    tape_free(t);
}

/* Entry 6 of the new leader replaces ours, but it names an entry 5 that is not ours although index
 * and term are the same: two logs that only look alike. Nothing may be cut on its word. */
static void test_conflict_with_other_history(void **state)
{
    (void)state;
    struct tape *own = tape_new(), *other = tape_new();
    tape_puts(own, 10, 2, 'a', 10);
    tape_puts(other, 5, 2, 'b', 10);
    tape_puts(other, 8, 3, 'b', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    probe(w, 2, 2, 1, 0, 0);
    stream(w, 2, 2, 1, own, 0, 0, 0, stream_len(own, 0, 10));
    settle(w, own);
    assert_int_equal(raft_of(w)->durable_index, 10);
    probe(w, 3, 3, 1, 5, 2);
    settle(w, own); /* the term */
    stream(w, 3, 3, 1, other, 5, 2, 0, stream_len(other, 5, 8));
    check_refused(w, 3, 10);
    assert_int_equal(raft_term_at(raft_of(w), 6), 2);
    world_free(w);
    tape_free(own);
    tape_free(other);
}

/* Lets the time pass with an instant disk; node 2 acknowledges everything. Returns how often the
 * node wanted to be woken. */
static unsigned pass(struct world *w, uint64_t us)
{
    uint64_t until = w->now + us;
    unsigned wakes = 0;
    while (w->now < until) {
        node_flush(w->n, w->now);
        wakes++;
        persisted(w);
        if (w->peers[0].has[RAFT_MSG_LEAD])
            ack(w, 0, raft_of(w)->last_index);
        uint64_t at = node_deadline(w->n, w->now);
        w->now = at > w->now ? at : w->now + 1;
        assert_int_equal(raft_of(w)->role, RAFT_LEADER);
    }
    w->now = until;
    return wakes;
}

static void write_one(struct world *w)
{
    struct cmd c = {.op = CMD_PUT,
                    .key = (const uint8_t *)"k",
                    .key_len = 1,
                    .value = (const uint8_t *)"v",
                    .value_len = 1};
    struct request *req = calloc(1, sizeof *req + 64);
    assert_non_null(req);
    req->cmd_len = (uint32_t)cmd_encode(req->cmd, &c);
    req->deadline_us = w->now + 1000000;
    node_write(w->n, w->now, req);
}

/* What peer 0 got from its first entry on, as a log on disk. */
static struct tape *tape_of_peer(const struct world *w)
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

/* A peer that has acknowledged part of an entry falls so far behind that this entry leaves the cache:
 * the disk is asked for the rest of it, and the stream goes on where it was. */
static void test_falls_behind_in_an_entry(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){.cache_bytes = 16384});
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    answer_probe(w, 1, 0, 0);
    for (int i = 0; i < 20; i++)
        write_one(w);
    pass(w, T_US / 4);
    struct peer_seen *p = &w->peers[1];
    size_t end = p->end;
    assert_int_equal(end, w->peers[0].end);
    p->end = end / 2 + 4;
    ack(w, 1, 0);
    p->end = end;
    for (int i = 0; i < 400; i++) {
        write_one(w);
        pass(w, 100);
    }
    struct tape *t = tape_of_peer(w);
    const struct wal_pos *pos = &w->fetch[1].pos;
    assert_non_null(w->fetch[1].buf);
    assert_int_equal(t->at[pos->index] + pos->skip, end / 2 + 4);
    assert_true(pos->skip > 0 && t->at[pos->index + 1] > end / 2 + 4);
    for (int i = 0; i < 100 && p->end < t->len; i++) {
        if (w->fetch[1].buf != NULL)
            fetched(w, 1, read_disk(w, 1, t));
        pass(w, 1000);
        ack(w, 1, 0);
    }
    assert_int_equal(p->end, w->peers[0].end);
    assert_memory_equal(p->bytes, w->peers[0].bytes, p->end);
    world_free(w);
    tape_free(t);
}

/* The disk reads for a peer's stream while that peer asks for another one. What it brings then is of
 * no use; nor is more asked of it before. */
static void test_fetch_for_a_stream_that_is_no_more(void **state)
{
    (void)state;
    enum { LAST = 100, FIRST_BASE = 20, SECOND_BASE = 60 };
    struct tape *t = tape_new();
    tape_puts(t, LAST, 1, 'o', 100);
    struct world *w = world_new(t, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 1, FIRST_BASE, 1);
    flush(w);
    answer_probe(w, 1, 0, 0);
    flush(w);
    uint8_t *buf = w->fetch[1].buf;
    assert_non_null(buf);
    assert_int_equal(w->fetch[1].pos.index, FIRST_BASE + 1);
    w->peers[1].newest[RAFT_MSG_LEAD].lead.epoch = raft_of(w)->peers[1].epoch;
    refuse(w, 1, SECOND_BASE);
    flush(w);
    answer_probe(w, 1, 0, 0);
    flush(w);
    assert_int_equal(raft_of(w)->peers[1].base_index, SECOND_BASE);
    assert_ptr_equal(w->fetch[1].buf, buf);
    assert_int_equal(w->fetch[1].pos.index, FIRST_BASE + 1);
    fetched(w, 1, read_disk(w, 1, t));
    flush(w);
    assert_non_null(w->fetch[1].buf);
    assert_int_equal(w->fetch[1].pos.index, SECOND_BASE + 1);
    ack(w, 1, 0);
    settle(w, t);
    const struct peer_seen *p = &w->peers[1];
    size_t len = stream_len(t, SECOND_BASE, LAST);
    assert_int_equal(p->end, len + record_size(0)); /* and the leader's no-op */
    assert_memory_equal(p->bytes, t->bytes + t->at[SECOND_BASE + 1], len);
    world_free(w);
    tape_free(t);
}

/* Bytes of a relay stream from peer 0 arrive; the flush right after them answers, or it does not. */
static void relay_piece(struct world *w, uint64_t off, size_t len)
{
    static const uint8_t bytes[16] = {200}; /* a command of 200 bytes begins */
    uint8_t buf[WIRE_DATAGRAM_BASE];
    struct wire_writer out;
    struct wire_data d = {
        .stream = WIRE_STREAM_RELAY, .id = 100, .off = off, .bytes = bytes, .len = len};
    wire_begin(&out, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, raft_of(w)->term);
    assert_int_equal(wire_put_data(&out, &d), len);
    finish_datagram(w, &out, 2);
    memset(&w->sack, 0, sizeof w->sack);
    node_flush(w->n, w->now);
}

/* A hole in a relay stream is told at once, what is in order a little later: as with the log. */
static void test_relay_holes_are_told_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    pass(w, T_US / 10);
    relay_piece(w, 0, 8);
    assert_int_equal(w->sack.stream, 0);
    w->now += NODE_ACK_DELAY_US;
    assert_true(node_deadline(w->n, w->now) <= w->now + NODE_ACK_DELAY_US);
    node_flush(w->n, w->now);
    assert_int_equal(w->sack.stream, WIRE_STREAM_RELAY);
    assert_int_equal(w->sack.contig, 8);

    relay_piece(w, 16, 8);
    assert_int_equal(w->sack.stream, WIRE_STREAM_RELAY);
    assert_int_equal(w->sack.contig, 8);
    assert_int_equal(w->sack.n, 1);
    assert_int_equal(w->sack.ranges[0].start, 8);
    relay_piece(w, 0, 8); /* and what is here already */
    assert_int_equal(w->sack.stream, WIRE_STREAM_RELAY);
    world_free(w);
}

/* A flush with bulk for two peers: the second one's LEAD does not wait behind the first one's log. */
static void test_control_before_bulk(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    answer_probe(w, 1, 0, 0);
    pass(w, T_US / 10);
    ack(w, 1, 1);
    for (int i = 0; i < 300; i++)
        write_one(w);
    flush(w);
    assert_true(w->bulk >= 16);
    assert_in_range(w->bulk_before, 0, 2);
    assert_true(w->peers[0].has[RAFT_MSG_LEAD] && w->peers[1].has[RAFT_MSG_LEAD]);
    world_free(w);
}

/* A box that is switched off costs heartbeats, not the log over and over. */
static void test_silent_peer(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    answer_probe(w, 1, 0, 0);
    pass(w, T_US);
    struct peer_seen *p = &w->peers[1];
    assert_true(p->log_frames > 0); /* the no-op, and again for want of an answer */
    pass(w, (NODE_SILENT_TIMEOUTS + 1) * T_US);

    uint64_t frames = p->log_frames, datagrams = p->datagrams;
    unsigned answered = w->answered;
    unsigned wakes = 0;
    for (int i = 0; i < 10; i++) {
        write_one(w);
        wakes += pass(w, 2 * T_US);
    }
    assert_int_equal(w->answered, answered + 10);
    assert_int_equal(p->log_frames, frames);
    uint64_t sent = p->datagrams - datagrams; /* three heartbeats in each T */
    assert_in_range(sent, 50, 80);
    assert_true(wakes < 1000);

    p->end = 0; /* it is back: the no-op and ten writes */
    assert_true(p->has[RAFT_MSG_LEAD]);
    ack(w, 1, 0);
    pass(w, T_US / 2);
    assert_true(p->log_frames > frames);
    assert_int_equal(p->end, w->peers[0].end);
    assert_memory_equal(p->bytes, w->peers[0].bytes, p->end);
    world_free(w);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply_after_replacement),
        cmocka_unit_test(test_stream_only_durable_from_disk),
        cmocka_unit_test(test_malformed_command_refused),
        cmocka_unit_test(test_many_small_records),
        cmocka_unit_test(test_conflict_with_other_history),
        cmocka_unit_test(test_falls_behind_in_an_entry),
        cmocka_unit_test(test_fetch_for_a_stream_that_is_no_more),
        cmocka_unit_test(test_relay_holes_are_told_at_once),
        cmocka_unit_test(test_control_before_bulk),
        cmocka_unit_test(test_silent_peer),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
