// LINK: @replica @stream raftd/node/peer.c raftd/node/debts.c raftd/node/flow.c raftd/node/window.c raftd/node/catch_up.c raftd/node/relay.c raftd/node/log_in.c raftd/node/log_out.c raftd/node/snap_in.c raftd/node/snap_out.c
/* Peers by their ids, with their flows and deadlines. */
#include "tests/lib/node_part.h"

#include "raftd/base/bytes.h"
#include "raftd/base/members.h"
#include "raftd/node/catch_up.h"
#include "raftd/node/peer.h"
#include "raftd/state/cmd.h"

static struct part p;
static struct catch_up catch_up;
static struct images images;
static struct log_in log_in;
static struct snap_in snap_in;
static struct relay_out relay_out;
static struct peers peers;
static struct peer_ground ground;

static void start(void)
{
    part_start(&p);
    peers = (struct peers){0};
    log_in_init(&log_in, &p.r, 65536);
    snap_in_init(&snap_in, &p.r, &p.io, 65536);
    relay_out_init(&relay_out, &p.r, 8192);
    ground = (struct peer_ground){.cfg = &p.cfg,
                                  .io = &p.io,
                                  .replica = &p.r,
                                  .catch_up = &catch_up,
                                  .images = &images,
                                  .log_in = &log_in,
                                  .snap_in = &snap_in,
                                  .relay_out = &relay_out,
                                  .envelope_bytes = 50,
                                  .rx_window = 65536};
    assert_non_null(peers_add(&peers, &ground, p.now, 3));
    struct member m = {.id = 2, .addr = {"[::1]:2", "[::1]:4"}};
    assert_non_null(peers_add(&peers, &ground, p.now, 2));
    peer_named(peers_find(&peers, 2), &m);
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
    assert_string_equal(s.addr, "[::1]:2, [::1]:4");
    peer_named(peers.all[1], NULL);
    peer_status(peers.all[1], &p.r, p.now, &s);
    assert_string_equal(s.addr, "");
    stop();
}

/* To a follower the leader's log goes; to the leader a follower's writes; nothing while nobody leads. */
static void test_flows(void **state)
{
    (void)state;
    uint64_t off;
    static const uint8_t cmd[100];
    start();
    struct peer *two = peers_find(&peers, 2), *three = peers_find(&peers, 3);
    assert_null(flows_sync(&two->flows, p.now, 2));
    assert_true(peer_deadline(two, &p.r, p.now) == RAFT_NEVER);
    part_follow(&p, 2, 1, 0);
    assert_true(relay_out_put(&relay_out, cmd, sizeof cmd, &off));
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

/* Peers come and go: what the disk still reads for one that is gone has its memory until it is there, and
 * says nothing to the next peer of that id. */
static void test_come_and_go(void **state)
{
    (void)state;
    start();
    struct peer *first = peers_find(&peers, 2), *other = peers_find(&peers, 3);
    size_t len = 1000;
    assert_non_null(window_fetch(&first->log.window, &len));
    const struct node_fetch log = {2, first->log.window.asked};
    len = 1000;
    assert_non_null(window_fetch(&first->snapshot.window, &len));
    const struct node_fetch snapshot = {2, first->snapshot.window.asked};
    assert_int_equal(other->relay.share, 65536 / 2);
    peers_remove(&peers, &ground, first);
    assert_true(peers.n == 1 && peers.all[0] == other && peers.n_gone == 1);
    assert_int_equal(other->relay.share, 65536);
    assert_null(peers_find(&peers, 2));
    struct peer *second = peers_add(&peers, &ground, p.now, 2);
    assert_true(second != NULL && second != first);
    len = 1000;
    assert_non_null(window_fetch(&second->log.window, &len));

    assert_ptr_equal(peers_asked(&peers, log), first);
    log_out_fetched(&first->log, log.generation, 1000, &(struct wal_pos){.index = 5});
    peers_bury(&peers);
    assert_int_equal(peers.n_gone, 1);
    assert_ptr_equal(peers_asked(&peers, snapshot), first);
    snap_out_read(&first->snapshot, snapshot.generation, 1000);
    peers_bury(&peers);
    assert_int_equal(peers.n_gone, 0);
    assert_null(peers_asked(&peers, log));
    assert_true(second->log.window.fetching && second->log.window.end == 0);
    assert_ptr_equal(peers_asked(&peers, (struct node_fetch){2, second->log.window.asked}), second);
    stop();
}

/* A disk that hangs must not be asked for more and more: there is no room for a peer until it has
 * answered. */
static void test_no_room(void **state)
{
    (void)state;
    start();
    size_t len = 1000;
    struct peer *one = peers_find(&peers, 2);
    for (unsigned i = 0; i < RAFT_PEERS_MAX - 1; i++) {
        assert_non_null(window_fetch(&one->log.window, &len));
        peers_remove(&peers, &ground, one);
        one = peers_add(&peers, &ground, p.now, 2);
        assert_int_equal(one != NULL, i < RAFT_PEERS_MAX - 2);
    }
    assert_int_equal(peers.n + peers.n_gone, RAFT_PEERS_MAX);
    stop();
}

/* What was on its way to a leader that is gone does not hold on to its link. */
static void test_relay_to_the_gone(void **state)
{
    (void)state;
    uint64_t off;
    start();
    part_follow(&p, 3, 2, 0);
    assert_true(relay_out_put(&relay_out, (const uint8_t *)"x", 1, &off));
    assert_non_null(flows_current(&peers_find(&peers, 3)->flows, p.now, 3));
    peers_remove(&peers, &ground, peers_find(&peers, 3));
    struct peer *again = peers_add(&peers, &ground, p.now, 3);
    assert_null(flows_current(&again->flows, p.now, 3));
    assert_true(relay_out_put(&relay_out, (const uint8_t *)"x", 1, &off));
    assert_ptr_equal(relay_out.flow.tx.link, &again->path.link);
    stop();
}

/* A command of node 2 arrives from it. */
static void relayed(struct peer *two, uint32_t stream)
{
    uint8_t bytes[4 + CMD_ONE_BYTES + 2];
    const struct cmd_item item = {.kind = CMD_PUT,
                                  .key = (const uint8_t *)"k",
                                  .key_len = 1,
                                  .value = (const uint8_t *)"v",
                                  .value_len = 1};
    size_t len = cmd_encode_one(bytes + 4, &item);
    cmd_stamp(bytes + 4, 2, 1, 1);
    put_u32(bytes, (uint32_t)len);
    const struct wire_data d = {
        .stream = WIRE_STREAM_RELAY, .id = stream, .bytes = bytes, .len = 4 + len};
    flows_put(&two->flows, p.now, 2, &d);
    flows_drain(&two->flows, p.now);
}

/* The word of node 1 on what node 2 relays. */
static bool says(struct peer *two, struct wire_sack *s)
{
    unsigned i = 0;
    return flows_sack(&two->flows, p.now, 2, replica_raft(&p.r)->term, FLOW_ALONE, &i, s);
}

/* A leader without room waits a little and shuts the stream, and says so each time that more of it comes. It
 * never takes it again, not even from a peer that was removed and came back, but the next one. */
static void test_shut(void **state)
{
    enum { BOOT = 9 };
    struct wire_sack s;
    (void)state;
    start();
    part_lead(&p);
    part_match(&p, 2);
    struct peer *two = peers_find(&peers, 2);
    uint64_t last = replica_log(&p.r)->last;
    replica_set_log_full(&p.r, true);
    relayed(two, BOOT + 1);
    /* Another node may take over. */
    assert_true(relay_in_deadline(&two->relay) == p.now + RELAY_HANDOVER_US);
    p.r.raft.no_room = true;
    relayed(two, BOOT + 1);
    uint64_t at = peer_deadline(two, &p.r, p.now);
    assert_true(says(two, &s) && !s.shut && at == p.now); /* what came twice is answered at once */
    at = relay_in_deadline(&two->relay);
    assert_true(at == p.now + RELAY_SHUT_US);
    p.now = at - 1;
    flows_drain(&two->flows, p.now);
    assert_false(two->relay.flow.shut);
    assert_true(peer_deadline(two, &p.r, p.now) <= at);
    p.now = at;
    flows_drain(&two->flows, p.now);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(says(two, &s) && s.shut && s.log_full && s.contig == 0 && s.id == BOOT + 1);
        assert_false(says(two, &s));
        relayed(two, BOOT + 1);
    }
    replica_set_log_full(&p.r, false);
    p.r.raft.no_room = false;
    relayed(two, BOOT + 1);
    peers_remove(&peers, &ground, two);
    two = peers_add(&peers, &ground, p.now, 2);
    relayed(two, BOOT + 1);
    assert_true(two->relay.flow.term != replica_raft(&p.r)->term);
    assert_int_equal(replica_log(&p.r)->last, last);
    relayed(two, BOOT + 2);
    assert_int_equal(replica_log(&p.r)->last, last + 1);
    stop();
}

/* There is a bound on what is remembered of streams that are shut. Beyond it a stream waits, and so does one
 * whose process has ended: nobody is woken for them all the time. */
static void test_shut_many(void **state)
{
    (void)state;
    start();
    part_lead(&p);
    part_match(&p, 2);
    struct peer *two = peers_find(&peers, 2);
    peers.shuts = (struct relay_shuts){.term = replica_raft(&p.r)->term, .n = RELAY_SHUTS_MAX};
    replica_set_log_full(&p.r, true);
    p.r.raft.no_room = true;
    for (unsigned round = 0; round < 2; round++) {
        relayed(two, 10);
        p.now += 2 * RELAY_SHUT_US;
        flows_drain(&two->flows, p.now);
        assert_int_equal(two->relay.flow.shut, round == 1);
        assert_true(relay_in_deadline(&two->relay) > p.now);
        peers.shuts.term--; /* of an earlier term they say nothing */
    }
    relayed(two, 11);
    p.r.raft.peers[0].boot = p.r.raft.peers[1].boot = 1
                                                      << 20; /* it is another process from now on */
    p.now += 2 * RELAY_SHUT_US;
    flows_drain(&two->flows, p.now);
    assert_false(two->relay.flow.shut);
    assert_true(relay_in_deadline(&two->relay) == p.now + RELAY_SHUT_US);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),    cmocka_unit_test(test_flows),
        cmocka_unit_test(test_deadline), cmocka_unit_test(test_come_and_go),
        cmocka_unit_test(test_no_room),  cmocka_unit_test(test_relay_to_the_gone),
        cmocka_unit_test(test_shut),     cmocka_unit_test(test_shut_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
