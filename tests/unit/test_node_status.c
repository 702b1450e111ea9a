// LINK: @sim tests/lib/node_calm.c
/* What a node shows of its links is what they are: whole nodes, and links that the test knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

/* A cluster that has settled: who leads, and two who follow. */
struct world {
    struct sim *s;
    unsigned leader, a, b;
};

static struct world settled(const struct sim_options *o)
{
    struct world w = {.s = sim_new(o)};
    run_until_leader(w.s);
    sim_run(w.s, 30 * SECOND);
    w.leader = (unsigned)sim_leader(w.s);
    w.a = (w.leader + 1) % o->nodes;
    w.b = (w.leader + 2) % o->nodes;
    return w;
}

static struct status status_of(struct sim *s, unsigned node)
{
    struct status st = {.now_us = 0};
    node_status(s->m[node].node, sim_local(&s->m[node], sim_now(s)), &st);
    return st;
}

static struct status_peer shown(struct sim *s, unsigned node, unsigned peer)
{
    struct status st = status_of(s, node);
    return st.peers[raft_peer_slot(sim_raft(s, node), (uint16_t)(peer + 1))];
}

/* ---- a leader that commits nothing ---- */

/* How long the leader has committed nothing, a few ms more or less. */
static void uncommitted_is(struct sim *s, unsigned node, uint64_t seconds)
{
    uint64_t us = status_of(s, node).uncommitted_us;
    if (us / SECOND != seconds)
        fail_msg("node %u has committed nothing for %u ms, not %u s", node + 1, (unsigned)(us / MS),
                 (unsigned)seconds);
}

static void test_nothing_committed(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 5);
    struct world w = settled(&o);
    uncommitted_is(w.s, w.leader, 0);
    w.s->m[w.a].stall_until = w.s->m[w.b].stall_until = sim_now(w.s) + 3600 * (uint64_t)SECOND;
    sim_run(w.s, 30 * SECOND); /* nothing waits */
    uncommitted_is(w.s, w.leader, 0);
    sim_put(w.s, w.a, 10, 3 * SECOND);
    sim_run(w.s, 15 * SECOND + SECOND / 2);
    uncommitted_is(w.s, w.leader, 15);
    uncommitted_is(w.s, w.a, 0);
    sim_put(w.s, w.leader, 10, 3 * SECOND); /* more of the same */
    sim_run(w.s, 5 * SECOND);
    uncommitted_is(w.s, w.leader, 20);
    assert_int_equal(sim_leader(w.s), w.leader);
    w.s->m[w.a].stall_until = 0;
    sim_run(w.s, SECOND);
    assert_int_equal(status_of(w.s, w.leader).uncommitted_us, 0);
    sim_put(w.s, w.leader, 10, 3 * SECOND);
    sim_run(w.s, SECOND);
    assert_int_equal(sim_acked(w.s), 1);
    sim_free(w.s);
}

/* ---- loss where nothing arrives: nothing counts it ---- */

static void loss_is(struct sim *s, unsigned node, unsigned peer, int in, int out)
{
    struct status_peer p = shown(s, node, peer);
    if (p.loss_in_permille != in || p.loss_out_permille != out)
        fail_msg("node %u loses %d and %d of node %u, not %d and %d", node + 1, p.loss_in_permille,
                 p.loss_out_permille, peer + 1, in, out);
}

/* Two followers know through the leader what the other one hears; with the leader itself a node that
 * does not hear it knows only that. */
static void test_loss_of_a_direction(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 21);
    struct world w = settled(&o);
    const unsigned pairs[][2] = {{w.a, w.b}, {w.a, w.leader}, {w.leader, w.a}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        unsigned from = pairs[i][0], to = pairs[i][1];
        loss_is(w.s, to, from, 0, 0);
        loss_is(w.s, from, to, 0, 0);
        sim_cut(w.s, from, to, true);
        sim_run(w.s, 20 * SECOND);
        loss_is(w.s, to, from, 1000, i == 0 ? 0 : STATUS_LOSS_UNKNOWN);
        loss_is(w.s, from, to, 0, 1000);
        sim_cut(w.s, from, to, false);
        sim_run(w.s, 5 * SECOND);
        assert_int_equal(sim_leader(w.s), w.leader);
        loss_is(w.s, to, from, 0, 0);
        loss_is(w.s, from, to, 0, 0);
    }
    sim_free(w.s);
}

/* Nobody tells what a dead node hears. */
static void test_loss_of_a_dead_node(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 22);
    struct world w = settled(&o);
    sim_crash(w.s, w.b);
    sim_run(w.s, 25 * SECOND);
    loss_is(w.s, w.leader, w.b, 1000, STATUS_LOSS_UNKNOWN);
    loss_is(w.s, w.a, w.b, 1000, STATUS_LOSS_UNKNOWN);
    loss_is(w.s, w.a, w.leader, 0, 0);
    sim_crash(w.s, w.a);
    sim_restart(w.s, w.a);
    sim_run(w.s, 5 * SECOND);
    loss_is(w.s, w.a, w.b, STATUS_LOSS_UNKNOWN, STATUS_LOSS_UNKNOWN);
    loss_is(w.s, w.a, w.leader, 0, 0);
    sim_free(w.s);
}

/* ---- rows: what others told ---- */

static const char *row_of(struct sim *s, unsigned node, unsigned who, unsigned whom)
{
    struct status st = status_of(s, node);
    const struct status_link *l = &st.links[who];
    if (l->at_us == 0 || l->heard[whom] == STATUS_LINK_UNKNOWN)
        return "unknown";
    return l->heard[whom] == STATUS_LINK_SILENT ? "silent" : "heard";
}

static uint64_t until_row(struct sim *s, unsigned node, unsigned who, unsigned whom,
                          const char *what, uint64_t most_us)
{
    uint64_t begun = sim_now(s);
    while (strcmp(row_of(s, node, who, whom), what) != 0 && sim_now(s) - begun <= most_us)
        sim_run(s, 100 * MS);
    return sim_now(s) - begun;
}

/* A row is known for as long as it says, whoever passes it on. */
static void test_row_of_a_dead_node(void **state)
{
    (void)state;
    struct sim_options o = calm(5, 23);
    struct world w = settled(&o);
    for (unsigned i = 0; i < 10; i++) {
        assert_string_equal(row_of(w.s, w.a, w.b, w.leader), "heard");
        sim_run(w.s, SECOND);
    }
    sim_crash(w.s, w.b);
    uint64_t took = until_row(w.s, w.a, w.b, w.leader, "unknown", 30 * (uint64_t)SECOND);
    assert_in_range(took, 6 * SECOND, 10200 * MS);
    assert_string_equal(row_of(w.s, w.leader, w.b, w.a), "unknown");
    sim_free(w.s);
}

/* Heartbeats are answered: leader and follower need not wait as long as two followers must. At 30 % loss
 * neither takes that for silence. */
static void test_silence_of_leader_and_follower(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 3; k++) {
        struct sim_options o = calm(3, 25 + k);
        o.election_timeout_us = (k == 0 ? 150 : 600) * MS;
        struct world w = settled(&o);
        uint64_t eight = 8 * o.election_timeout_us * NODE_HEARTBEAT_PARTS / NODE_TIMEOUT_PARTS;
        uint64_t soon = eight > SECOND ? eight : SECOND;
        unsigned to = k == 1 ? w.a : w.leader, from = k == 1 ? w.leader : w.a;
        w.s->o.rate[SIM_LOSS] = 300000;
        for (unsigned i = 0; i < 1000; i++) {
            sim_run(w.s, 100 * MS);
            assert_string_equal(row_of(w.s, to, to, from), "heard");
        }
        w.s->o.rate[SIM_LOSS] = 0;
        sim_run(w.s, SECOND);
        assert_int_equal(sim_leader(w.s), w.leader);
        if (k == 2)
            sim_crash(w.s, from);
        else
            sim_cut(w.s, from, to, true);
        uint64_t took = until_row(w.s, to, to, from, "silent", 30 * (uint64_t)SECOND);
        /* it was heard up to two heartbeats before */
        assert_in_range(took, soon - eight / 4 - 100 * MS, soon + 100 * MS);
        assert_int_equal(shown(w.s, to, from).loss_in_permille, 1000);
        assert_in_range(until_row(w.s, w.b, to, from, "silent", 30 * (uint64_t)SECOND), 0,
                        4 * SECOND);
        sim_free(w.s);
    }
}

/* Who is left alone asks for votes, which all who live answer at once: the silence of the others shows
 * soon, be it the leader's or that of a follower. */
static void test_silence_without_a_leader(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        struct sim_options o = calm(3, 30 + k);
        struct world w = settled(&o);
        unsigned left = k == 0 ? w.leader : w.a, gone = k == 0 ? w.a : w.leader;
        sim_crash(w.s, w.b);
        sim_run(w.s, 200 * MS);
        sim_crash(w.s, gone);
        assert_in_range(until_row(w.s, left, left, w.b, "silent", 30 * (uint64_t)SECOND), 0,
                        2 * SECOND);
        assert_in_range(until_row(w.s, left, left, gone, "silent", 30 * (uint64_t)SECOND), 0,
                        SECOND);
        sim_run(w.s, 2 * SECOND);
        assert_string_equal(row_of(w.s, left, left, gone), "silent");
        sim_restart(w.s, gone); /* back, and with it a leader */
        assert_in_range(until_row(w.s, left, left, gone, "heard", 30 * (uint64_t)SECOND), 0,
                        2 * SECOND);
        sim_free(w.s);
    }
}

/* Who was alone for long told that it hears nobody. With a leader all rows are told anew at once. */
static void test_rows_with_a_new_leader(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 8; k++) {
        struct sim_options o = calm(3, 40 + k);
        struct world w = settled(&o);
        sim_crash(w.s, w.a);
        sim_crash(w.s, w.b);
        sim_run(w.s, 30 * (uint64_t)SECOND + k * 300 * MS);
        sim_restart(w.s, w.a);
        sim_restart(w.s, w.b);
        for (int i = 0; i < 500 && sim_leader(w.s) < 0; i++)
            sim_run(w.s, 10 * MS);
        sim_run(w.s, 500 * MS);
        for (unsigned who = 0; who < 3; who++)
            for (unsigned i = 0; i < 6; i++) {
                unsigned node = (unsigned)sim_leader(w.s), whom = i % 3;
                node = i < 3 ? node : (node + 1) % 3;
                if (who != whom && strcmp(row_of(w.s, node, who, whom), "silent") == 0)
                    fail_msg("%u: node %u: %u does not hear %u", k, node, who, whom);
            }
        sim_free(w.s);
    }
}

/* ---- what peers are shown with ---- */

static struct peer *peer_of(struct sim *s, unsigned node, unsigned peer)
{
    struct node *n = s->m[node].node;
    return node_peer(n, (uint16_t)(peer + 1));
}

/* Means of what `node` shows of `peer`, over a minute of writes through both. */
struct shown {
    uint64_t in, out, rtt_us, rtt_min_us, window, in_flight, seen;
};

static void look(struct sim *s, unsigned node, unsigned peer, struct shown *sum)
{
    struct status_peer p = shown(s, node, peer);
    assert_true(p.rtt_min_us <= p.rtt_us && p.in_flight_bytes <= p.window_bytes);
    assert_in_range(p.loss_in_permille, 0, 1000);
    assert_in_range(p.loss_out_permille, 0, 1000);
    sum->in += (uint64_t)p.loss_in_permille;
    sum->out += (uint64_t)p.loss_out_permille;
    sum->rtt_us += p.rtt_us;
    sum->rtt_min_us += p.rtt_min_us;
    sum->window += p.window_bytes;
    sum->in_flight += p.in_flight_bytes;
    sum->seen++;
}

static void mean_in_range(const char *what, uint64_t sum, const struct shown *all, uint64_t min,
                          uint64_t max)
{
    if (sum < min * all->seen || sum > max * all->seen)
        fail_msg("%s is %u, not %u to %u", what, (unsigned)(sum / all->seen), (unsigned)min,
                 (unsigned)max);
}

enum { THIN = 300000, WAY_MIN_US = 20 * MS, WAY_MAX_US = 24 * MS, VALUE = 3000 };

/* A minute of writes through leader and follower; the link between the two loses 30 % one way. */
static void watch(const struct world *w, struct shown *leader, struct shown *follower)
{
    for (unsigned i = 0; i < 60; i++) {
        sim_put(w->s, w->leader, VALUE, 10 * SECOND);
        sim_put(w->s, w->a, VALUE, 10 * SECOND);
        for (unsigned k = 0; k < 10; k++) {
            sim_run(w->s, k == 0 ? MS : 100 * MS);
            look(w->s, w->leader, w->a, leader);
            look(w->s, w->a, w->leader, follower);
        }
    }
}

static void counts_are_sane(const struct world *w, struct status_peer before[2])
{
    struct status_peer l = shown(w->s, w->leader, w->a), f = shown(w->s, w->a, w->leader);
    uint64_t sent = l.sent - before[0].sent, back = f.sent - before[1].sent;
    assert_in_range(sent, 1000, 4000);
    assert_in_range(1000 * (f.received - before[1].received) / sent, 670, 730);
    assert_in_range(l.received - before[0].received, back - 10, back + 10); /* some are under way */
    uint64_t resent = l.resent_datagrams - before[0].resent_datagrams;
    assert_in_range(resent, 60, 1000);
    assert_in_range(l.resent_bytes - before[0].resent_bytes, resent * 100, resent * 1200);
    assert_int_equal(shown(w->s, w->leader, w->b).resent_bytes, 0);
    assert_true(l.datagram_bytes == WIRE_DATAGRAM_BASE && f.datagram_bytes == WIRE_DATAGRAM_BASE);
    assert_int_equal(l.state, RAFT_PEER_REPLICATE);
    assert_int_equal(l.match_index, sim_raft(w->s, w->leader)->trail.last);
}

static void test_peer_is_what_it_is(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 34);
    o.election_timeout_us = 600 * MS;
    o.delay_min_us = WAY_MIN_US;
    o.delay_max_us = WAY_MAX_US;
    struct world w = settled(&o);
    sim_thin(w.s, w.leader, w.a, THIN);
    sim_run(w.s, 10 * SECOND);
    struct shown leader = {0}, follower = {0};
    struct status_peer before[2] = {shown(w.s, w.leader, w.a), shown(w.s, w.a, w.leader)};
    watch(&w, &leader, &follower);
    assert_int_equal(sim_acked(w.s), 120);
    mean_in_range("leader's loss in", leader.in, &leader, 0, 10);
    mean_in_range("leader's loss out", leader.out, &leader, 270, 330);
    mean_in_range("follower's loss in", follower.in, &follower, 270, 330);
    mean_in_range("follower's loss out", follower.out, &follower, 0, 10);
    struct shown *both[] = {&leader, &follower};
    for (size_t i = 0; i < 2; i++) {
        mean_in_range("rtt", both[i]->rtt_us, both[i], 2 * WAY_MIN_US, 2 * WAY_MAX_US + 5 * MS);
        mean_in_range("rtt_min", both[i]->rtt_min_us, both[i], 2 * WAY_MIN_US,
                      2 * WAY_MIN_US + 2 * MS);
        mean_in_range("window", both[i]->window, both[i], 2 * WIRE_DATAGRAM_BASE,
                      NODE_WINDOW_BYTES);
        mean_in_range("in flight", both[i]->in_flight, both[i], VALUE / 10, 2 * VALUE);
    }
    sim_thin(w.s, w.leader, w.a, 0);
    sim_run(w.s, 2 * SECOND);
    counts_are_sane(&w, before);
    sim_free(w.s);
}

/* Since when, with which key, last heard when; and where the peer is. */
static void test_session_is_shown(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 33);
    struct world w = settled(&o);
    struct status_peer first = shown(w.s, w.leader, w.b);
    assert_int_equal(first.session, STATUS_SESSION_ESTABLISHED);
    assert_in_range(first.session_us, status_of(w.s, w.leader).start_us + 1,
                    status_of(w.s, w.leader).start_us + 5 * SECOND);
    assert_true(first.session_key_id != 0);
    assert_int_equal(shown(w.s, w.b, w.leader).session_key_id, first.session_key_id);
    struct status st = status_of(w.s, w.leader);
    assert_in_range(st.now_us - first.heard_us, 0,
                    150 * MS); /* each second heartbeat is answered */
    char addr[24];
    (void)snprintf(addr, sizeof addr, "10.0.0.%u:7000", w.b + 1);
    assert_string_equal(first.addr, addr);

    sim_crash(w.s, w.b);
    sim_run(w.s, 20 * SECOND);
    struct status_peer p = shown(w.s, w.leader, w.b);
    assert_int_equal(p.session, STATUS_SESSION_HANDSHAKE);
    assert_in_range(p.session_us, st.now_us + SECOND, st.now_us + 5 * SECOND);
    assert_in_range(p.heard_us, first.heard_us, st.now_us + MS);
    sim_restart(w.s, w.b);
    sim_run(w.s, 5 * SECOND);
    p = shown(w.s, w.leader, w.b);
    assert_int_equal(p.session, STATUS_SESSION_ESTABLISHED);
    assert_in_range(p.session_us, st.now_us + 20 * SECOND, st.now_us + 25 * SECOND);
    sim_free(w.s);
}

static void arrives(struct sim *s, unsigned node, uint16_t from, uint8_t first, size_t len)
{
    uint8_t junk[2048] = {first};
    node_datagram(s->m[node].node, sim_local(&s->m[node], sim_now(s)), from, junk, len);
}

/* What comes from a peer's address and is refused is counted for that peer, and in the sum. */
static void drops_are_counted(bool plain)
{
    struct sim_options o = calm(3, 34);
    o.plain = plain;
    struct world w = settled(&o);
    static const uint64_t none[DROP_COUNT];
    const struct {
        uint8_t first;
        size_t len;
        enum drop why;
    } cases[] = {{0xF0, 3, DROP_SHORT},
                 {0xF0, 2048, DROP_LONG},
                 {0xF0, 100, DROP_VERSION},
                 {(uint8_t)(WIRE_VERSION_NOW << 4 | (plain ? 1 : 0)), 100, DROP_KIND}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        arrives(w.s, w.a, (uint16_t)(w.b + 1), cases[i].first, cases[i].len);
        assert_int_equal(shown(w.s, w.a, w.b).drops[cases[i].why], 1);
        assert_int_equal(status_of(w.s, w.a).drops[cases[i].why], 1);
        arrives(w.s, w.a, 0, cases[i].first, cases[i].len);
        assert_int_equal(status_of(w.s, w.a).drops[DROP_UNKNOWN], i + 1);
    }
    assert_memory_equal(shown(w.s, w.a, w.leader).drops, none, sizeof none);
    assert_int_equal(shown(w.s, w.a, w.b).drops[DROP_UNKNOWN], 0);
    sim_free(w.s);
}

static void test_drops_are_counted(void **state)
{
    (void)state;
    drops_are_counted(false);
    drops_are_counted(true);
}

/* A few samples in a minute: the least of them may be forgotten before the average is. */
static void test_least_round_trip(void **state)
{
    (void)state;
    struct sim_options o = calm(3, 31);
    struct world w = settled(&o);
    struct rtt *r = &peer_of(w.s, w.a, w.b)->path.link.rtt;
    for (int i = 0; i < 10; i++)
        rtt_sample(r, sim_now(w.s), 1000);
    rtt_sample(r, sim_now(w.s) + 100 * (uint64_t)SECOND, 5000);
    assert_true(r->min_us > r->srtt_us);
    struct status_peer p = shown(w.s, w.a, w.b);
    assert_in_range(p.rtt_us, 1000, 2000);
    assert_int_equal(p.rtt_min_us, p.rtt_us);
    sim_free(w.s);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_committed),
        cmocka_unit_test(test_loss_of_a_direction),
        cmocka_unit_test(test_loss_of_a_dead_node),
        cmocka_unit_test(test_row_of_a_dead_node),
        cmocka_unit_test(test_silence_of_leader_and_follower),
        cmocka_unit_test(test_silence_without_a_leader),
        cmocka_unit_test(test_rows_with_a_new_leader),
        cmocka_unit_test(test_peer_is_what_it_is),
        cmocka_unit_test(test_session_is_shown),
        cmocka_unit_test(test_drops_are_counted),
        cmocka_unit_test(test_least_round_trip),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
