// LINK: raftd/node/flow.c @stream @net
/* A third stream beside the log and relays: a source, a sink and a flow each, and nothing else. It is
 * sent, acknowledged and waited for by the tables alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/node/flow.h"

enum { STREAM = 7, PEER = 2, TERM = 3, ID = 9, BYTES = 40000, MS = 1000 };

struct end { /* of the third stream, at one node */
    struct path path;
    struct flows flows;
    struct flow_out out;
    struct flow_in in;
    enum flow_state state;
    uint8_t bytes[BYTES], buf[BYTES];
    uint64_t acked;
    size_t drained;
};

static void sync(void *ctx, uint16_t peer)
{
    struct end *e = ctx;
    assert_int_equal(peer, PEER);
    stream_tx_end(&e->out.tx, BYTES);
}

static enum flow_state state(const void *ctx, uint64_t now, uint16_t peer)
{
    (void)now;
    (void)peer;
    return ((const struct end *)ctx)->state;
}

static const uint8_t *at(const void *ctx, uint64_t off, size_t *len)
{
    *len = (size_t)(BYTES - off);
    return ((const struct end *)ctx)->bytes + off;
}

static void acked(void *ctx)
{
    struct end *e = ctx;
    e->acked = e->out.tx.una;
}

static bool takes(void *ctx, uint16_t peer, const struct wire_data *d)
{
    return peer == PEER && d->id == ((struct end *)ctx)->in.id;
}

static bool lives(const void *ctx, uint16_t peer)
{
    (void)ctx;
    return peer == PEER;
}

static void drain(void *ctx, uint64_t now)
{
    struct end *e = ctx;
    const uint8_t *p;
    size_t len;
    (void)now;
    if (!stream_rx_ready(&e->in.rx, &p, &len))
        return;
    assert_memory_equal(p, e->bytes + e->drained, len);
    stream_rx_consume(&e->in.rx, len);
    e->drained += len;
}

static const struct flow_source source = {
    .stream = (enum wire_stream)STREAM, .sync = sync, .state = state, .at = at, .acked = acked};
static const struct flow_sink sink = {
    .stream = (enum wire_stream)STREAM, .takes = takes, .lives = lives, .drain = drain};

static void begin(struct end *e)
{
    memset(e, 0, sizeof *e);
    for (size_t i = 0; i < BYTES; i++)
        e->bytes[i] = (uint8_t)(i * 7 + i / 251);
    mtu_init(&e->path.mtu, WIRE_DATAGRAM_BASE);
    e->path.cap_us = 50 * MS;
    e->out = (struct flow_out){.source = &source, .ctx = e};
    e->in = (struct flow_in){.sink = &sink, .ctx = e, .term = TERM, .id = ID, .ack_by = NEVER};
    e->state = FLOW_GOES;
    flow_begin(&e->out, &e->path, TERM, ID);
    stream_rx_init(&e->in.rx, e->buf, BYTES, BYTES);
    flows_add_out(&e->flows, &e->out);
    flows_add_in(&e->flows, &e->in);
}

/* What a turn of the sender brings to the receiver; every `lose`-th piece is lost. */
static void send_pieces(struct end *from, struct end *to, uint64_t now, uint64_t stamp,
                        unsigned lose, unsigned *count)
{
    struct flow_out *f = flows_sync(&from->flows, now, PEER);
    struct stream_piece piece;
    assert_ptr_equal(f, &from->out);
    while (stream_tx_next(&f->tx, now, path_room(&from->path), &piece)) {
        size_t len;
        struct wire_data d = {.stream = STREAM, .id = f->id, .off = piece.off, .len = piece.len};
        d.bytes = f->source->at(f->ctx, piece.off, &len);
        stream_tx_sent(&f->tx, now, stamp, piece.off, piece.len);
        if (++*count % lose != 0)
            flows_put(&to->flows, now, PEER, &d);
    }
    flows_drain(&to->flows, now);
}

static void test_third_stream(void **state_)
{
    (void)state_;
    static struct end a, b;
    begin(&a);
    begin(&b);
    unsigned count = 0;
    uint64_t now = 1000 * MS, stamp = now;
    for (int turn = 0; turn < 2000 && a.out.tx.una < BYTES; turn++, now += MS, stamp += MS) {
        struct wire_sack s;
        unsigned i = 0;
        send_pieces(&a, &b, now, stamp, 5, &count);
        while (flows_sack(&b.flows, now, PEER, TERM, FLOW_WITH, &i, &s)) {
            assert_true(s.stream == STREAM && s.id == ID);
            assert_true(flows_acked(&a.flows, now, PEER, &s, stamp));
        }
        assert_true(a.acked == a.out.tx.una);
        if (a.out.tx.una < BYTES) /* it is waited for */
            assert_true(flows_deadline(&a.flows, now, PEER, TERM) < now + 1000 * MS);
    }
    assert_int_equal(b.drained, BYTES);
    assert_int_equal(a.acked, BYTES);
    assert_true(flows_deadline(&a.flows, now, PEER, TERM) == NEVER);
}

/* What rests is shown, but neither sent nor waited for; what does not go is as if it were not there; a
 * SACK waits for its time, and tells nothing in another term. */
static void test_states(void **state_)
{
    (void)state_;
    static struct end e;
    struct wire_sack s = {.stream = STREAM, .id = ID, .contig = BYTES + 1u};
    unsigned i = 0;
    begin(&e);
    assert_false(flows_acked(&e.flows, 1, PEER, &s, 0)); /* bytes never sent */
    s.id++;
    assert_true(flows_acked(&e.flows, 1, PEER, &s, 0)); /* another stream */
    e.state = FLOW_RESTS;
    assert_null(flows_sync(&e.flows, 1, PEER));
    assert_ptr_equal(flows_current(&e.flows, 1, PEER), &e.out);
    assert_true(flows_deadline(&e.flows, 1, PEER, TERM) == NEVER);
    e.state = FLOW_NONE;
    assert_null(flows_current(&e.flows, 1, PEER));
    e.in.ack_by = 100;
    assert_int_equal(flows_deadline(&e.flows, 1, PEER, TERM), 100);
    assert_false(flows_sack(&e.flows, 99, PEER, TERM, FLOW_ALONE, &i, &s));
    i = 0;
    assert_false(flows_sack(&e.flows, 100, PEER, TERM + 1, FLOW_ALONE, &i, &s));
    i = 0;
    assert_true(flows_sack(&e.flows, 100, PEER, TERM, FLOW_ALONE, &i, &s));
    i = 0;
    assert_false(flows_sack(&e.flows, 101, PEER, TERM, FLOW_WITH, &i, &s)); /* it was told */
    e.in.bad = 2;
    assert_int_equal(flows_take_bad(&e.flows), 2);
    assert_int_equal(flows_take_bad(&e.flows), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_third_stream),
        cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
