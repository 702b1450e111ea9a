// LINK: @sim tests/lib/node_calm.c
/* Whole nodes in a pretended world, one thing at a time: core, streams, storage and state machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/seal/plain.h"
#include "raftd/base/rcu.h"
#include "raftd/node/links.h"
#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

/* Puts through every node of clusters of every size, values from nothing to many datagrams. */
static void test_sizes(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 3, 5, 7, 9};
    static const size_t lengths[] = {0, 1, 128, 1100, 1200, 5000, 65536};
    for (size_t c = 0; c < sizeof sizes / sizeof sizes[0]; c++) {
        struct sim *s = led(calm(sizes[c], 7 + c));
        unsigned asked = 0;
        for (unsigned n = 0; n < sizes[c]; n++)
            for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++, asked++)
                sim_put(s, n, lengths[i], 2 * SECOND);
        for (unsigned n = 0; n < sizes[c]; n++)
            assert_true(sim_read(s, n));
        converge(s);
        assert_int_equal(sim_acked(s), asked);
        assert_int_equal(sim_totals(s)->reads, sizes[c]);
        sim_free(s);
    }
}

static void answered(struct sim *s)
{
    for (int i = 0; i < 3000 && sim_pending(s) > 0; i++)
        sim_run(s, MS);
    assert_int_equal(sim_pending(s), 0);
}

/* Data have a limit: many writes at once, through all nodes, go up to it and never beyond; those that come
 * later are refused before they enter the log, at whatever node. */
static void test_full(void **state)
{
    enum { LEN = 1000, EACH = KV_KEY_BYTES + LEN + 2, LIMIT = 4 * CMD_LIMIT_BYTES, MANY = 90 };
    (void)state;
    struct sim_options o = calm(3, 11);
    o.max_data_bytes = LIMIT;
    struct sim *s = led(o);
    for (unsigned i = 0; i < MANY; i++)
        sim_put(s, i % 3, LEN, 2 * SECOND);
    answered(s);
    converge(s);
    assert_in_range(sim_acked(s), LIMIT / (EACH + 2), LIMIT / EACH);
    assert_int_equal(sim_acked(s) + sim_totals(s)->full, MANY);
    unsigned acked = sim_acked(s);
    uint64_t last = sim_raft(s, 0)->trail.last;
    assert_true(last > acked + 1); /* some were on their way, and the state machine refused them */
    for (unsigned i = 0; i < MANY; i++)
        sim_put(s, i % 3, LEN, 2 * SECOND);
    answered(s);
    converge(s);
    assert_int_equal(sim_acked(s), acked);
    assert_int_equal(sim_totals(s)->full, 2 * MANY - acked);
    assert_int_equal(sim_raft(s, 0)->trail.last, last);
    for (unsigned i = 0; i < 3; i++)
        sim_put(s, i, 0, 2 * SECOND); /* there is room for these */
    answered(s);
    converge(s);
    assert_int_equal(sim_acked(s), acked + 3);
    struct status st = {0};
    node_status(s->m[0].node, sim_now(s), &st);
    assert_int_equal(st.max_data_bytes, LIMIT);
    assert_in_range(st.data_bytes, LIMIT - EACH, LIMIT);
    sim_crash(s, 0); /* the log says the same again */
    sim_restart(s, 0);
    converge(s);
    sim_free(s);
}

/* One put at a time on the leader: a log datagram to and an acknowledgement from each follower. */
static void test_datagrams_per_put(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 1));
    sim_run(s, SECOND);
    uint64_t before = sim_totals(s)->datagrams;
    enum { PUTS = 1000 };
    unsigned leader = (unsigned)sim_leader(s);
    for (int i = 0; i < PUTS; i++) {
        sim_put(s, leader, 128, SECOND);
        while (sim_pending(s) > 0)
            sim_run(s, 50);
    }
    assert_int_equal(sim_acked(s), PUTS);
    assert_true(sim_totals(s)->datagrams - before <= 5 * PUTS);
    sim_free(s);
}

/* A follower that missed far more than the cache holds catches up from the leader's disk. */
static void test_catch_up_from_disk(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 3));
    unsigned leader = (unsigned)sim_leader(s), absent = (leader + 1) % 3;
    sim_crash(s, absent);
    for (int i = 0; i < 400; i++) {
        sim_put(s, leader, 20000, 5 * SECOND);
        sim_run(s, 2 * MS);
    }
    sim_restart(s, absent);
    for (int i = 0; i < 100; i++) { /* and it is not disturbed by new writes */
        sim_put(s, leader, 20000, 5 * SECOND);
        sim_run(s, 2 * MS);
    }
    converge(s);
    assert_int_equal(sim_acked(s), 500);
    for (unsigned i = 0; i < 3; i++) /* all from disk, nothing in memory */
        sim_crash(s, i);
    for (unsigned i = 0; i < 3; i++)
        sim_restart(s, i);
    converge(s);
    sim_free(s);
}

/* Without a majority nothing is acknowledged, and clients are told so in time. */
static void test_no_majority(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 4));
    unsigned alone = (unsigned)sim_leader(s);
    sim_crash(s, (alone + 1) % 3);
    sim_crash(s, (alone + 2) % 3);
    sim_put(s, alone, 10, SECOND);
    sim_run(s, SECOND / 2);
    sim_put(s, alone, 10, SECOND);
    sim_run(s, 2 * SECOND);
    assert_int_equal(sim_pending(s), 0);
    assert_int_equal(sim_acked(s), 0);
    sim_restart(s, (alone + 1) % 3);
    run_until_leader(s);
    sim_put(s, alone, 10, SECOND);
    sim_restart(s, (alone + 2) % 3);
    converge(s);
    assert_int_equal(sim_acked(s), 1);
    sim_free(s);
}

/* Idle means idle: heartbeats and their answers, nothing else. */
static void test_idle(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 5));
    sim_put(s, 0, 10, SECOND);
    sim_run(s, 3 * SECOND);
    const struct sim_totals before = *sim_totals(s);
    sim_run(s, 10 * SECOND);
    uint64_t datagrams = sim_totals(s)->datagrams - before.datagrams;
    assert_true(datagrams <= 10 * 60); /* each of them wakes a board */
    /* Now and then rows of links and vitals ride along. */
    uint64_t bytes = sim_totals(s)->bytes - before.bytes;
    print_message("    %u datagrams and %u bytes a second\n", (unsigned)datagrams / 10,
                  (unsigned)bytes / 10);
    assert_in_range(bytes, 1, 10 * 6500);
    sim_free(s);
}

/* A metered path: what a follower sends and gets in a day, and its part of what the followers tell each
 * other. */
static void test_idle_metered(void **state)
{
    enum { DAY_S = 86400, HEADS = 20 + 8, LASTS_S = 600 }; /* of IP and UDP */
    (void)state;
    struct sim_options o = calm(3, 6);
    o.election_timeout_us = 3 * SECOND;
    struct sim *s = sim_new(&o);
    sim_run(s, 60 * SECOND);
    assert_true(sim_leader(s) >= 0);
    const struct sim_totals before = *sim_totals(s);
    sim_run(s, LASTS_S * SECOND);
    uint64_t datagrams = sim_totals(s)->datagrams - before.datagrams;
    uint64_t bytes = sim_totals(s)->bytes - before.bytes + HEADS * datagrams;
    uint64_t day = bytes / 2 * DAY_S / LASTS_S;
    print_message("    %u datagrams a minute, %u kB a day for each follower\n",
                  (unsigned)(datagrams * 60 / LASTS_S), (unsigned)(day / 1000));
    assert_in_range(day, 1, 25000000);
    sim_free(s);
}

/* ---- what nodes tell each other beside messages: through their insides ---- */

static struct peer *peer_of(struct sim *s, unsigned node, unsigned peer)
{
    struct node *n = s->m[node].node;
    return node_peer(n, (uint16_t)(peer + 1));
}

/* What that peer told of its links. */
static const struct link_row *row_of(struct sim *s, unsigned node, unsigned peer)
{
    const struct link_row *row = node_parts(s->m[node].node).links->rows;
    while (row->id != peer + 1)
        row++;
    return row;
}

/* Three nodes that do not seal, and know each other for a while. */
static struct sim *plain_cluster(uint64_t seed)
{
    struct sim_options o = calm(3, seed);
    o.plain = true;
    struct sim *s = led(o);
    sim_run(s, SECOND);
    return s;
}

/* Begins a datagram; needs a cluster that does not seal. */
static void begin(struct sim *s, unsigned to, struct wire_writer *w, uint8_t *buf)
{
    wire_begin(w, buf + PLAIN_HEAD_BYTES, WIRE_DATAGRAM_BASE - PLAIN_HEAD_BYTES,
               node_raft(s->m[to].node)->term);
}

/* A datagram arrives as if it came from that node. */
static void arrive(struct sim *s, unsigned from, unsigned to, struct wire_writer *w,
                   struct wire_header h)
{
    struct node *n = s->m[to].node;
    uint16_t ids[RAFT_VOTERS_MAX];
    for (unsigned i = 0; i < s->o.nodes; i++)
        ids[i] = (uint16_t)(i + 1);
    struct plain_ends ends = {
        wire_cluster_id(node_parts(n).cfg->cluster),
        (uint16_t)(from + 1),
        (uint16_t)(to + 1),
        {0},
        {0, about_handle(s->m[to].own.key), wire_voters_digest(ids, s->o.nodes)}};
    memcpy(ends.key, s->m[from].own.key, sizeof ends.key);
    uint8_t *buf = w->buf - PLAIN_HEAD_BYTES;
    h.term = w->term;
    h.ts += peer_of(s, to, from)->path.link.peer_ts + 1;
    h.tx_cnt = (uint16_t)(peer_of(s, to, from)->path.link.newest + 1);
    size_t len = plain_close(buf, wire_end(w, &h), &ends);
    node_datagram(n, sim_local(&s->m[to], sim_now(s)), ends.from, buf, len);
}

/* A row of who hears whom comes from the node itself or from the leader, and from nobody else. */
static void test_rows_of_others(void **state)
{
    (void)state;
    struct sim *s = plain_cluster(8);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3, b = (leader + 2) % 3;
    const struct {
        unsigned from, of;
        bool believed;
    } cases[] = {{b, leader, false}, {b, b, true}, {leader, b, true}, {leader, leader, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_links l = {.rows = 1, .cols = 3, .id = {(uint16_t)(cases[i].of + 1)}};
        l.members = node_parts(s->m[a].node).links->members;
        l.heard[0][0] = (uint8_t)(70 + i);
        uint8_t buf[WIRE_DATAGRAM_BASE];
        struct wire_writer w;
        begin(s, a, &w, buf);
        assert_true(wire_put_links(&w, &l));
        arrive(s, cases[i].from, a, &w, (struct wire_header){.loss = 0});
        assert_int_equal(row_of(s, a, cases[i].of)->heard[0] == 70 + i, cases[i].believed);
    }
    sim_free(s);
}

/* Nothing is used of a datagram that somebody kept for later: a LEAD would hold back an election. */
static void test_held_back(void **state)
{
    (void)state;
    struct sim *s = plain_cluster(17);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3;
    node_parts(s->m[a].node).cfg->take_held = false; /* as if sealed */
    const struct raft *r = sim_raft(s, a);
    const struct peer *p = peer_of(s, a, leader);
    sim_crash(s, leader);
    sim_run(s, 30 * MS);
    for (unsigned late_s = 0; late_s <= 60; late_s += 20) {
        uint64_t heard = r->leader_heard, accepted = p->path.link.accepted;
        struct raft_msg m = {
            .type = RAFT_MSG_LEAD, .term = r->term, .lead = {.round = r->round + 1}};
        uint8_t buf[WIRE_DATAGRAM_BASE];
        struct wire_writer w;
        begin(s, a, &w, buf);
        assert_true(wire_put_msg(&w, &m));
        arrive(s, leader, a, &w, (struct wire_header){.ts = 0u - late_s * SECOND});
        assert_int_equal(r->leader_heard > heard, late_s == 0);
        assert_int_equal(p->path.link.accepted, accepted + (late_s == 0));
        assert_int_equal(p->drops[DROP_HELD], late_s / 20);
    }
    sim_free(s);
}

/* With the key anybody can write any term into a datagram; none that is absurd gets further. */
static void test_absurd_term(void **state)
{
    (void)state;
    struct sim *s = plain_cluster(14);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3;
    uint64_t term = sim_raft(s, a)->term, accepted = peer_of(s, a, leader)->path.link.accepted;
    static const uint64_t terms[] = {UINT64_C(0x100000100), INT64_MAX, UINT64_MAX};
    for (unsigned i = 0; i < sizeof terms / sizeof *terms; i++) {
        struct raft_msg m = {
            .type = RAFT_MSG_LEAD, .term = terms[i], .lead = {.round = UINT32_MAX}};
        uint8_t buf[WIRE_DATAGRAM_BASE];
        struct wire_writer w;
        wire_begin(&w, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, terms[i]);
        assert_true(wire_put_msg(&w, &m));
        arrive(s, leader, a, &w, (struct wire_header){.loss = 0});
        assert_int_equal(peer_of(s, a, leader)->drops[DROP_TERM], i + 1);
    }
    assert_int_equal(sim_raft(s, a)->term, term);
    assert_int_equal(peer_of(s, a, leader)->path.link.accepted, accepted);
    sim_run(s, 2 * SECOND);
    assert_int_equal(sim_raft(s, a)->term, term);
    assert_int_equal(sim_leader(s), leader);
    sim_free(s);
}

/* Neither does a LEAD, nor a piece of the log, that is only a second or two late show that the leader
 * lives; what else it brought is used. */
static void test_late_is_no_life(void **state)
{
    (void)state;
    struct sim *s = plain_cluster(14);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3;
    node_parts(s->m[a].node).cfg->take_held = false; /* as if sealed */
    const struct raft *r = sim_raft(s, a);
    const struct peer *p = peer_of(s, a, leader);
    sim_crash(s, leader);
    sim_crash(s, (leader + 2) % 3); /* or there is a new one soon */
    sim_run(s, 2 * SECOND);         /* with a clock that is old enough to be looked back at */
    const unsigned late_ms[] = {900, 1100, 3000, 900};
    uint64_t dropped = 0;
    for (unsigned i = 0; i < 8; i++) {
        bool echo = i % 2 == 0, late = late_ms[i / 2] > 1000;
        uint64_t heard = r->leader_heard, rows = row_of(s, a, leader)->heard_at;
        struct raft_msg m = {.type = RAFT_MSG_LEAD,
                             .from = (uint16_t)(leader + 1),
                             .term = r->term,
                             .lead.round = r->round + 1};
        struct wire_links l = {.rows = 1, .cols = 3, .id = {(uint16_t)(leader + 1)}};
        l.members = node_parts(s->m[a].node).links->members;
        uint8_t buf[WIRE_DATAGRAM_BASE];
        struct wire_writer w;
        sim_run(s, MS);
        begin(s, a, &w, buf);
        assert_true(wire_put_msg(&w, &m) && wire_put_links(&w, &l));
        /* By the round trip, or by how much longer it took than the last one that came in time. */
        uint64_t now = sim_local(&s->m[a], sim_now(s)), ago = (uint64_t)late_ms[i / 2] * MS;
        struct wire_header h = {.echo = echo, .ts_echo = (uint32_t)(now - ago)};
        if (!echo)
            h.ts = (uint32_t)(now - ago) - p->path.link.way[0] - p->path.link.peer_ts - 1;
        arrive(s, leader, a, &w, h);
        dropped += late;
        assert_int_equal(r->leader_heard > heard, !late);
        assert_true(row_of(s, a, leader)->heard_at > rows);
        assert_int_equal(p->drops[DROP_HELD], dropped);
    }
    sim_free(s);
}

/* What `node` shows of whom `who` hears. */
static uint8_t shown(struct sim *s, unsigned node, unsigned who, unsigned whom)
{
    struct status st = {.now_us = 0};
    node_status(s->m[node].node, sim_local(&s->m[node], sim_now(s)), &st);
    return st.links[who].heard[whom];
}

/* Two followers talk every 3 s: a node that has just started can't tell silence from that. */
static void test_rows_after_a_start(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 11));
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3, b = (leader + 2) % 3;
    for (int i = 0; i < 60; i++) {
        sim_run(s, SECOND / 10);
        assert_int_not_equal(shown(s, a, a, b), STATUS_LINK_SILENT);
        assert_int_not_equal(shown(s, leader, a, b), STATUS_LINK_SILENT);
    }
    assert_int_equal(shown(s, a, a, b), 0);
    assert_int_equal(shown(s, leader, a, b), 0);
    sim_crash(s, b);
    sim_crash(s, a);
    sim_restart(s, a);
    sim_run(s, 6 * SECOND);
    assert_int_equal(shown(s, a, a, leader), 0);
    assert_int_equal(shown(s, a, a, b), STATUS_LINK_UNKNOWN);
    assert_int_equal(shown(s, leader, a, b), STATUS_LINK_UNKNOWN);
    sim_run(s, 8 * SECOND);
    assert_int_equal(shown(s, a, a, b), STATUS_LINK_SILENT);
    assert_int_equal(shown(s, leader, leader, b), STATUS_LINK_SILENT);
    assert_int_equal(shown(s, leader, a, b), STATUS_LINK_SILENT);
    sim_free(s);
}

/* Status counts what is sent again: of the log by the leader, of relayed writes by a follower. */
static void test_resends_are_shown(void **state)
{
    (void)state;
    enum { PUTS = 50 };
    struct sim *s = led(calm(3, 13));
    sim_run(s, SECOND);
    unsigned leader = (unsigned)sim_leader(s), a = (leader + 1) % 3;
    s->o.rate[SIM_LOSS] = 300000;
    for (int i = 0; i < PUTS; i++) {
        sim_put(s, a, 1000, 10 * SECOND);
        sim_run(s, 100 * MS);
    }
    s->o.rate[SIM_LOSS] = 0;
    converge(s);
    assert_int_equal(sim_leader(s), leader);
    const unsigned ways[][2] = {{a, leader}, {leader, a}};
    for (size_t i = 0; i < 2; i++) {
        struct status st = {.now_us = 0};
        const struct node *n = s->m[ways[i][0]].node;
        node_status(n, sim_local(&s->m[ways[i][0]], sim_now(s)), &st);
        const struct status_peer *p =
            &st.peers[raft_peer_slot(node_raft(n), (uint16_t)(ways[i][1] + 1))];
        assert_in_range(p->resent_datagrams, PUTS / 20, 4 * PUTS); /* copies save most */
        assert_in_range(p->resent_bytes, 1000, 4 * PUTS * 1200);
        assert_true(p->window_bytes > 0);
    }
    sim_free(s);
}

/* What all peers together may send before we answer fits into the socket's buffer. */
static void test_windows_fit_the_socket(void **state)
{
    (void)state;
    enum { SIZE = 5, PUTS = 20, VALUE = 30000, ROOM = 16000 };
    struct sim_options o = calm(SIZE, 12);
    o.rx_bytes = ROOM;
    struct sim *s = led(o);
    for (unsigned i = 0; i < PUTS; i++) {
        sim_put(s, i % SIZE, VALUE, 10 * SECOND);
        sim_run(s, 10 * MS);
    }
    unsigned leader = (unsigned)sim_leader(s);
    uint64_t relayed = 0;
    for (unsigned i = 0; i < SIZE; i++) {
        if (i == leader)
            continue;
        assert_int_equal(node_parts(s->m[i].node).log_in->flow.rx.window, ROOM);
        relayed += peer_of(s, leader, i)->relay.flow.rx.window;
        assert_in_range(peer_of(s, leader, i)->log.flow.tx.edge -
                            peer_of(s, leader, i)->log.flow.tx.una,
                        0, ROOM);
    }
    assert_in_range(relayed, ROOM / 2, ROOM);
    converge(s);
    assert_int_equal(sim_acked(s), PUTS);
    sim_free(s);
}

/* Datagrams lost in our own receive queue are nobody's loss on the way. */
static void test_own_drops_taint_every_link(void **state)
{
    (void)state;
    struct sim *s = led(calm(5, 14));
    sim_run(s, SECOND);
    node_rxq_dropped(s->m[0].node);
    for (unsigned i = 1; i < 5; i++)
        assert_true(peer_of(s, 0, i)->path.link.tainted);
    sim_free(s);
}

static void hear_sack(struct sim *s, unsigned from, unsigned to, const struct wire_sack *k,
                      uint64_t echo)
{
    uint8_t buf[WIRE_DATAGRAM_BASE];
    struct wire_writer w;
    begin(s, to, &w, buf);
    assert_true(wire_put_sack(&w, k));
    arrive(s, from, to, &w, (struct wire_header){.echo = true, .ts_echo = (uint32_t)echo});
}

/* What a SACK says, it says with the knowledge of the datagram that it names. If it is overtaken by
 * one that names a later datagram, it says nothing of what left between the two. */
static void test_late_sack(void **state)
{
    (void)state;
    struct sim *s = plain_cluster(9);
    unsigned leader = (unsigned)sim_leader(s), other = (leader + 1) % 3;
    struct log_out *l = &peer_of(s, leader, other)->log;
    const struct link *link = &peer_of(s, leader, other)->path.link;
    sim_cut(s, other, leader, true);
    sim_run(s, MS);
    assert_true(l->flow.tx.una == l->flow.tx.end);
    uint64_t stamp[3], end[3];
    for (unsigned i = 0; i < 3; i++) {
        sim_put(s, leader, 128, SECOND);
        sim_run(s, 150);
        assert_true(l->flow.tx.nxt == l->flow.tx.end && (i == 0 || l->flow.tx.nxt > end[i - 1]));
        stamp[i] = link->stamp;
        end[i] = l->flow.tx.nxt;
    }
    assert_true(l->flow.tx.una < end[0] && stamp[0] < stamp[1] && stamp[1] < stamp[2]);
    const struct wire_sack other_stream = {.stream = WIRE_STREAM_RELAY, .rwnd = 65536};
    hear_sack(s, other, leader, &other_stream, stamp[2]);
    struct wire_sack k = {.stream = WIRE_STREAM_LOG, .id = l->flow.id - 1, .contig = end[2]};
    hear_sack(s, other, leader, &k, stamp[2]); /* of a stream that is past: means other bytes */
    assert_true(l->flow.tx.una < end[0]);
    k = (struct wire_sack){
        .stream = WIRE_STREAM_LOG, .id = l->flow.id, .contig = end[0], .rwnd = 65536};
    hear_sack(s, other, leader, &k, stamp[0]);
    assert_int_equal(l->flow.tx.una, end[0]);
    assert_true(l->flow.tx.lost.n == 0 && l->flow.tx.reo_at == NEVER);
    sim_free(s);
}

/* The core asks again at the pace of the link, not at that of its configuration. */
static void test_core_knows_the_link(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 10));
    sim_run(s, SECOND);
    unsigned leader = (unsigned)sim_leader(s);
    for (unsigned i = 0; i < 3; i++) {
        const struct raft *r = sim_raft(s, i);
        for (unsigned k = 0; k < r->n_peers; k++) /* followers talk to the leader alone */
            if (i == leader || r->peers[k].id == leader + 1)
                assert_true(r->peers[k].pto <= 5 * MS && r->peers[k].pto < r->cfg.retry);
    }
    sim_free(s);
}

/* A box that boots anew has a clock that begins anew: its stamps are taken at once, and it is told
 * of its own ones. */
static void test_clock_of_a_rebooted_peer(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 11));
    sim_run(s, SECOND);
    unsigned leader = (unsigned)sim_leader(s), other = (leader + 1) % 3;
    sim_crash(s, other);
    peer_of(s, leader, other)->path.link.peer_ts +=
        1u << 30; /* as if it had run for 18 minutes more */
    sim_restart(s, other);
    sim_run(s, SECOND);
    assert_int_equal(sim_leader(s), leader);
    assert_true(peer_of(s, other, leader)->path.link.rtt.has);
    sim_free(s);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_datagrams_per_put),
        cmocka_unit_test(test_catch_up_from_disk),
        cmocka_unit_test(test_no_majority),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_idle_metered),
        cmocka_unit_test(test_rows_of_others),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_absurd_term),
        cmocka_unit_test(test_late_is_no_life),
        cmocka_unit_test(test_rows_after_a_start),
        cmocka_unit_test(test_windows_fit_the_socket),
        cmocka_unit_test(test_own_drops_taint_every_link),
        cmocka_unit_test(test_resends_are_shown),
        cmocka_unit_test(test_late_sack),
        cmocka_unit_test(test_core_knows_the_link),
        cmocka_unit_test(test_clock_of_a_rebooted_peer),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
