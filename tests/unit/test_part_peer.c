// LINK: @replica @stream raftd/node/peer.c raftd/node/debts.c raftd/node/flow.c raftd/node/window.c raftd/node/catch_up.c raftd/node/relay.c raftd/node/log_in.c raftd/node/log_out.c raftd/node/snap_in.c raftd/node/snap_out.c
/* Peers by their ids, with their flows and deadlines. */
#include "tests/lib/node_part.h"

#include "raftd/node/catch_up.h"
#include "raftd/node/peer.h"

static struct part p;
static struct catch_up catch_up;
static struct images images;
static struct log_in log_in;
static struct snap_in snap_in;
static struct relay_out relay_out;
static struct peers peers;

static void start(void)
{
    part_start(&p);
    peers = (struct peers){0};
    log_in_init(&log_in, &p.r, 65536);
    snap_in_init(&snap_in, &p.r, &p.io, 65536);
    relay_out_init(&relay_out, &p.r, 8192);
    struct peer_ground ground = {.cfg = &p.cfg,
                                 .io = &p.io,
                                 .replica = &p.r,
                                 .catch_up = &catch_up,
                                 .images = &images,
                                 .log_in = &log_in,
                                 .snap_in = &snap_in,
                                 .relay_out = &relay_out,
                                 .envelope_bytes = 50,
                                 .rx_window = 65536};
    assert_true(peers_add(&peers, &ground, 3, "[::1]:3", 1));
    assert_true(peers_add(&peers, &ground, 2, "[::1]:2", 2));
}

static void stop(void)
{
    peers_free(&peers);
    relay_out_free(&relay_out);
    log_in_free(&log_in);
    part_stop(&p);
}

static void test_found(void **state)
{
    (void)state;
    start();
    assert_true(peers.n == 2 && peers.all[0]->id == 3 && peers.all[1]->id == 2);
    assert_ptr_equal(peers_find(&peers, 2), peers.all[1]);
    assert_null(peers_find(&peers, 1));
    assert_null(peers_find(&peers, 0));
    struct status_peer s = {0};
    peers.all[1]->resent_bytes = 5;
    peers.all[1]->drops[DROP_TERM] = 6;
    peer_status(peers.all[1], &p.r, p.now, &s);
    assert_true(s.id == 2 && s.resent_bytes == 5 && s.drops[DROP_TERM] == 6 && s.heard_us == 0);
    assert_string_equal(s.addr, "[::1]:2");
    stop();
}

/* To a follower the leader's log goes; to the leader a follower's writes; nothing while nobody leads. */
static void test_flows(void **state)
{
    (void)state;
    static const uint8_t cmd[100];
    start();
    struct peer *two = peers_find(&peers, 2), *three = peers_find(&peers, 3);
    assert_null(flows_sync(&two->flows, p.now, 2));
    assert_true(peer_deadline(two, &p.r, p.now) == RAFT_NEVER);
    part_follow(&p, 2, 1, 0);
    assert_true(relay_out_put(&relay_out, cmd, sizeof cmd));
    const struct flow_out *f = flows_sync(&two->flows, p.now, 2);
    assert_true(f != NULL && f->source->stream == WIRE_STREAM_RELAY);
    assert_null(flows_sync(&three->flows, p.now, 3));
    part_lead(&p);
    part_match(&p, 2);
    f = flows_sync(&two->flows, p.now, 2);
    assert_true(f != NULL && f->source->stream == WIRE_STREAM_LOG);
    assert_ptr_equal(flows_current(&two->flows, p.now, 2), f);
    assert_null(flows_sync(&three->flows, p.now, 3)); /* it is asked first what it has */
    stop();
}

/* What the peer owes is a deadline for a leader alone. */
static void test_deadline(void **state)
{
    (void)state;
    start();
    part_lead(&p);
    part_match(&p, 2);
    struct peer *two = peers_find(&peers, 2);
    struct flow_out *f = flows_sync(&two->flows, p.now, 2);
    f->tx.una = f->tx.nxt =
        f->tx.end; /* it has all bytes, and does not say that its disk has them */
    debts_note(&two->debts, p.now);
    assert_true(debts_ask_at(&two->debts) != RAFT_NEVER);
    assert_true(peer_deadline(two, &p.r, p.now) == debts_ask_at(&two->debts));
    part_follow(&p, 3, replica_raft(&p.r)->term + 1, 0);
    assert_true(peer_deadline(two, &p.r, p.now) == RAFT_NEVER);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_flows),
        cmocka_unit_test(test_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
