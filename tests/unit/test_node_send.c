// LINK: @node @status tests/lib/node_one.c
/* One node driven by hand: what it sends when, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "net/seal/plain.h"
#include "raftd/state/cmd.h"
#include "raftd/node/node.h"
#include "raftd/node/peer.h"
#include "raftd/node/replica.h"
#include "raftd/node/writes.h"
#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "tests/lib/node_one.h"

/* Bytes of a stream of relays of a peer arrive. */
static void relay_on(struct world *w, uint16_t from, uint32_t id, uint64_t off,
                     const uint8_t *bytes, size_t len)
{
    uint8_t buf[WIRE_DATAGRAM_BASE];
    struct wire_writer out;
    struct wire_data d = {
        .stream = WIRE_STREAM_RELAY, .id = id, .off = off, .bytes = bytes, .len = len};
    wire_begin(&out, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, raft_of(w)->term);
    assert_int_equal(wire_put_data(&out, &d), len);
    finish_datagram(w, &out, from);
}

static void relay(struct world *w, uint16_t from, uint64_t off, const uint8_t *bytes, size_t len)
{
    relay_on(w, from, 98u + from, off, bytes, len);
}

/* Bytes of a relay stream from peer 0 arrive; the flush right after them answers, or it does not. */
static void relay_piece(struct world *w, uint64_t off, size_t len)
{
    static const uint8_t bytes[16] = {200}; /* a command of 200 bytes begins */
    relay(w, 2, off, bytes, len);
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

/* The newest stream of a peer's process counts: what is late of the one before is dropped, and so is what
 * names another process. */
static void test_relays_begin_anew(void **state)
{
    (void)state;
    static const uint8_t bytes[24] = {200};
    static const struct {
        uint32_t id;
        size_t len;
        uint64_t contig; /* 0: no answer */
    } steps[] = {{100, 8, 8},          {101, 16, 16}, {100, 24, 0}, {99, 24, 0},
                 {101 + 65536, 24, 0}, {105, 8, 8},   {101, 24, 0}, {105, 24, 24}};
    struct world *w = world_new(NULL, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 0, 0, 0); /* boot token 100 */
    pass(w, T_US / 10);
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        relay_on(w, 2, steps[i].id, 0, bytes, steps[i].len);
        memset(&w->sack, 0, sizeof w->sack);
        w->now += NODE_ACK_DELAY_US;
        node_flush(w->n, w->now);
        assert_int_equal(w->sack.contig, steps[i].contig);
        assert_int_equal(w->sack.id, steps[i].contig != 0 ? steps[i].id : 0);
    }
    world_free(w);
}

/* A peer relays for its own clients alone: in the name of another node it could use up its numbers. */
static void test_relay_in_another_name(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    const uint16_t origins[] = {3, SELF, 0, 2};
    uint64_t off = 0;
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    pass(w, T_US / 10);
    ack(w, 0, raft_of(w)->trail.last);
    flush(w); /* the members are in the log now */
    uint64_t last = raft_of(w)->trail.last;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t buf[4 + CMD_ONE_BYTES + 1];
        struct cmd c = {.operations = 1, .origin = origins[i], .process = 7, .number = i + 1};
        struct cmd_item one = {.kind = CMD_DELETE, .key = (const uint8_t *)"k", .key_len = 1};
        size_t len = cmd_encode(buf + 4, &c, &one);
        put_u32(buf, (uint32_t)len);
        relay(w, 2, off, buf, 4 + len);
        off += 4 + len;
        flush(w);
        assert_int_equal(raft_of(w)->trail.last, origins[i] == 2 ? last + 1 : last);
        assert_int_equal(stream_drops(w), origins[i] == 2 ? i : i + 1);
    }
    world_free(w);
}

/* A relayed command waits until there is room in the log. That the window is open again is told at once:
 * its sender has nothing under way that would be answered. */
static void test_window_opens_again(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){.cache_bytes = 16384});
    uint8_t buf[4 + CMD_ONE_BYTES + 1];
    struct cmd c = {.operations = 1, .origin = 2, .process = 7, .number = 1};
    struct cmd_item one = {.kind = CMD_DELETE, .key = (const uint8_t *)"k", .key_len = 1};
    size_t len = cmd_encode(buf + 4, &c, &one);
    put_u32(buf, (uint32_t)len);
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    pass(w, T_US / 10);
    for (uint64_t last = 0; last < raft_of(w)->trail.last;) {
        last = raft_of(w)->trail.last;
        write_one(w);
        flush(w);
        persisted(w);
    }
    uint64_t full = raft_of(w)->trail.last;
    relay(w, 2, 0, buf, 4 + len);
    w->now += 2 * NODE_ACK_DELAY_US;
    flush(w); /* it has arrived, that is told */
    assert_int_equal(raft_of(w)->trail.last, full);
    assert_int_equal(w->sack.stream, WIRE_STREAM_RELAY);
    memset(&w->sack, 0, sizeof w->sack);
    ack(w, 0, full);
    flush(w);
    assert_int_equal(raft_of(w)->trail.last, full + 2); /* and the last write of its own */
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

/* The same if the second one has no stream yet: it is only probed. */
static void test_probe_before_bulk(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    pass(w, T_US / 10);
    for (int i = 0; i < 300; i++)
        write_one(w);
    w->now += T_US / 2;
    w->peers[1].has[RAFT_MSG_LEAD] = w->peers[1].has[RAFT_MSG_PROBE] = false;
    flush(w);
    assert_true(w->bulk >= 8);
    assert_in_range(w->bulk_before, 0, 2);
    assert_true(w->peers[1].has[RAFT_MSG_LEAD] && w->peers[1].has[RAFT_MSG_PROBE]);
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
    pass(w, (LOG_SILENT_TIMEOUTS + 1) * T_US);

    uint64_t frames = p->log_frames, datagrams = p->datagrams;
    unsigned answered = w->answered;
    unsigned wakes = 0;
    for (int i = 0; i < 10; i++) {
        write_one(w);
        wakes += pass(w, 2 * T_US);
    }
    assert_int_equal(w->answered, answered + 10);
    assert_int_equal(p->log_frames, frames);
    uint64_t sent = p->datagrams - datagrams; /* three heartbeats in each T, but for the last */
    assert_in_range(sent, 50, 70);
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
        cmocka_unit_test(test_relay_holes_are_told_at_once),
        cmocka_unit_test(test_relays_begin_anew),
        cmocka_unit_test(test_relay_in_another_name),
        cmocka_unit_test(test_window_opens_again),
        cmocka_unit_test(test_control_before_bulk),
        cmocka_unit_test(test_probe_before_bulk),
        cmocka_unit_test(test_silent_peer),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
