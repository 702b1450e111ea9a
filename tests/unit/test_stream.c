// LINK: @stream tests/lib/stream_pair.c
/* The sending half of a stream, and both together, in virtual time and from seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/stream_pair.h"

enum { COPYING = LINK_LOSS_FULL / 10 }; /* 10 % of loss: tails are copied */

static void test_one_datagram(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 65536);
    struct pair *p = &n->pair[0];
    assert_true(stream_tx_deadline(&p->tx, n->now) == NEVER);
    assert_int_equal(net_run(n, 200, 1000 * MS), 10 * MS);
    assert_true(p->data == 1 && p->sacks == 1);
    assert_true(stream_tx_deadline(&p->tx, n->now) == NEVER);
    assert_true(stream_tx_in_flight(&p->tx) == 0 && p->tx.flight.n == 0);
    assert_int_equal(p->tx.arrived_max, 200);
    net_free(n);
}

/* A receiver that has less than it said before, in a later answer, has begun anew. An answer that is only
 * late says nothing of the kind. */
static void test_receiver_began_anew(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 65536);
    struct stream_tx *tx = &n->pair[0].tx;
    net_run(n, 2000, 1000 * MS);
    assert_int_equal(tx->una, 2000);
    assert_true(tx->una_echo > 1);
    struct wire_sack anew = {.contig = 1000, .rwnd = 65536};
    assert_true(stream_tx_ack(tx, n->now, &anew, tx->una_echo - 1));
    assert_false(tx->fell);
    assert_true(stream_tx_ack(tx, n->now, &anew, tx->una_echo));
    assert_false(tx->fell);
    assert_true(stream_tx_ack(tx, n->now, &anew, tx->una_echo + 1));
    assert_true(tx->fell);
    assert_int_equal(tx->una, 2000);
    net_free(n);
}

/* A put of one datagram with every pattern of loss of the first six datagrams, in both directions
 * in order of sending: it completes, and costs one resend per failed round trip, each a PTO of
 * 30 ms after the last (50, the heartbeat, from the fourth timeout on, and then two at a time). */
static void test_all_patterns_of_loss(void **state)
{
    (void)state;
    unsigned datagrams[7] = {0}, round_trips[7] = {0};
    for (unsigned drop = 0; drop < 64; drop++) {
        struct net *n = net_new(1, 1, 65536);
        struct pair *p = &n->pair[0];
        n->path.drop = drop;
        uint64_t took = net_run(n, 200, 1000 * MS);
        unsigned lost = 0; /* of the datagrams really sent: a round trip each */
        for (unsigned i = 0; i < n->sent && i < 6; i++)
            lost += drop >> i & 1;
        assert_true(p->data <= 1 + lost + (lost > 3 ? lost - 3 : 0));
        assert_true(n->sent <= 2 + 2 * lost + (lost > 3 ? lost - 3 : 0));
        assert_true(took <=
                    (10 + 30 * (lost < 3 ? lost : 3) + (lost > 3 ? 50 * (lost - 3) : 0)) * MS);
        assert_true(lost > 0 || took == 10 * MS);
        unsigned trips = (unsigned)((took + 10 * MS - 1) / (10 * MS));
        if (n->sent > datagrams[lost])
            datagrams[lost] = n->sent;
        if (trips > round_trips[lost])
            round_trips[lost] = trips;
        net_free(n);
    }
    const unsigned most[7][2] = {{2, 1}, {4, 4}, {6, 7}, {8, 10}, {8, 15}, {8, 20}, {8, 25}};
    for (unsigned lost = 0; lost < 7; lost++) {
        print_message("    %u lost: at most %u datagrams, %u round trips\n", lost, datagrams[lost],
                      round_trips[lost]);
        assert_true(datagrams[lost] <= most[lost][0] && round_trips[lost] <= most[lost][1]);
    }
}

/* The same on a path that is known to lose 10 %: copies after 1/4 and 1/2 PTO make it faster. */
static void test_all_patterns_with_copies(void **state)
{
    (void)state;
    uint64_t longest[7] = {0};
    unsigned datagrams[7] = {0};
    for (unsigned drop = 0; drop < 64; drop++) {
        struct net *n = net_new(1, 1, 65536);
        struct pair *p = &n->pair[0];
        n->path.drop = drop;
        p->a.loss_in = p->b.loss_in = COPYING; /* b's is reported, and becomes a's loss_out */
        uint64_t took = net_run(n, 200, 1000 * MS);
        unsigned lost = 0;
        for (unsigned i = 0; i < n->sent && i < 6; i++)
            lost += drop >> i & 1;
        assert_true(p->copies <= STREAM_COPIES);
        /* A round trip is shorter than half a PTO: the second copy need not be sent. */
        assert_true(lost > 0 || (took == 10 * MS && p->data == 2));
        longest[lost] = took > longest[lost] ? took : longest[lost];
        datagrams[lost] = n->sent > datagrams[lost] ? n->sent : datagrams[lost];
        net_free(n);
    }
    /* One lost: a quarter PTO; two: half of one; then as above, but from the first sending on. */
    const uint64_t most_us[] = {10000, 17500, 25000, 40000, 70000, 100000, 150000};
    const unsigned most[] = {3, 5, 6, 8, 8, 8, 8};
    for (unsigned lost = 0; lost < 7; lost++) {
        print_message("    %u lost: at most %u datagrams, %.1f ms\n", lost, datagrams[lost],
                      in_ms(longest[lost]));
        assert_true(longest[lost] <= most_us[lost] && datagrams[lost] <= most[lost]);
    }
}

/* One of ten is lost: it comes back without a timeout, at once if three behind it arrive, else
 * after a quarter of a round trip. The last one has nothing behind it. */
static void test_hole_is_filled(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 10; lost++) {
        struct net *n = net_new(1, 1, 65536);
        struct pair *p = &n->pair[0];
        n->path.drop = UINT64_C(1) << lost;
        uint64_t took = net_run(n, 10 * PIECE, 1000 * MS);
        assert_int_equal(p->data, 11);
        if (lost < 7)
            assert_int_equal(took, 20 * MS);
        else if (lost < 9)
            assert_true(took >= 22 * MS && took <= 23 * MS && p->tx.stats.timeouts == 0);
        else
            assert_true(took <= 40 * MS && p->tx.stats.timeouts == 1);
        assert_int_equal(p->tx.stats.spurious, 0);
        net_free(n);
    }
}

/* All of a flight is lost: one timeout, and its answer shows all the rest. */
static void test_lost_flight(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 65536);
    struct pair *p = &n->pair[0];
    n->path.drop = (UINT64_C(1) << 10) - 1;
    uint64_t took = net_run(n, 10 * PIECE, 1000 * MS);
    assert_int_equal(p->data, 20);
    assert_int_equal(took, (30 + 10 + 10) * MS);
    assert_int_equal(p->tx.stats.timeouts, 1);
    net_free(n);
}

/* A resend that is lost again is noticed as the first was. */
static void test_resend_is_lost(void **state)
{
    (void)state;
    unsigned resend = 0; /* its number among all datagrams */
    for (unsigned trial = 0; trial < 2; trial++) {
        struct net *n = net_new(1, 1, 1 << 20);
        struct pair *p = &n->pair[0];
        n->path.drop = UINT64_C(1) << 2 | (trial == 1 ? UINT64_C(1) << resend : 0);
        stream_tx_end(&p->tx, 100 * PIECE);
        unsigned before = 0;
        while (p->tx.stats.resent_datagrams == 0) {
            before = n->sent;
            assert_true(net_step(n));
        }
        resend = before; /* goes out first */
        (void)net_run(n, 100 * PIECE, 200 * MS);
        assert_int_equal(p->tx.stats.resent_datagrams, 1 + trial);
        assert_true(p->tx.stats.timeouts <= trial); /* whichever is first: PTO is 11 ms here */
        net_free(n);
    }
}

/* Reordering: a few needless resends, then the sender has learnt it. */
static void test_reordering_is_learnt(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct net *n = net_new(seed, 1, 1 << 20);
        struct pair *p = &n->pair[0];
        n->path.jitter = 4 * MS;
        (void)net_run(n, 400 * PIECE, 5000 * MS);
        assert_int_equal(p->tx.stats.timeouts, 0);
        assert_true(p->tx.stats.spurious > 0 && p->tx.reo_steps > 0);
        uint64_t resent = p->tx.stats.resent_datagrams;
        assert_true(resent <= 100);
        (void)net_run(n, 1400 * PIECE, 5000 * MS);
        assert_true(p->tx.stats.resent_datagrams - resent <= 20);
        /* 16 episodes of real loss without such a proof: quick again. */
        n->path.jitter = 0;
        n->path.loss = 10;
        for (unsigned i = 1; i < 50 && p->tx.reo_steps > 0; i++)
            (void)net_run(n, (1400 + i * 500) * PIECE, 30000 * MS);
        assert_int_equal(p->tx.reo_steps, 0);
        assert_true(p->episodes >= STREAM_REO_EPISODES);
        net_free(n);
    }
}

/* Loss, repetition, reordering, any cuts, small windows, slow consumers. */
static void test_property(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint64_t r = seed * 7919 + 1;
        struct net *n = net_new(seed, 1, 2000 + rnd(&r) % 60000);
        struct pair *p = &n->pair[0];
        n->path.loss = (unsigned)(rnd(&r) % 4) * 15;
        n->path.dup = (unsigned)(rnd(&r) % 3) * 20;
        n->path.jitter = rnd(&r) % 3 * 10 * MS;
        p->random_cuts = chance(&r, 50);
        p->greed = chance(&r, 50) ? 0 : 1 + rnd(&r) % 700;
        if (chance(&r, 50)) {
            p->ack_every = 8;
            p->ack_delay = p->tx.cfg.ack_delay_us = 5 * MS;
        }
        uint64_t end = 0;
        for (int part = 0; part < 5; part++) {
            end += 1 + rnd(&r) % 40000;
            (void)net_run(n, end, 120 * 1000 * MS);
        }
        assert_true(p->rx.consumed == end);
        assert_true(stream_tx_in_flight(&p->tx) == 0 && p->tx.flight.n == 0);
        net_free(n);
    }
}

/* A bulk transfer with loss resends what was lost and little else, up to 50 %. */
static void test_bulk_under_loss(void **state)
{
    (void)state;
    for (unsigned loss = 10; loss <= 50; loss += 10) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            struct net *n = net_new(seed, 1, 1300000);
            struct pair *p = &n->pair[0];
            n->path.loss = loss;
            uint64_t took = net_run(n, 1 << 20, 60 * 1000 * MS);
            unsigned least = (1 << 20) / PIECE * 100 / (100 - loss);
            if (seed == 0)
                print_message("    %u %%: 1 MiB in %u ms, %u datagrams (least %u), %u spurious\n",
                              loss, (unsigned)(took / MS), p->data, least,
                              (unsigned)p->tx.stats.spurious);
            assert_true(took < (loss <= 30 ? 300u : loss <= 40 ? 1000u : 3000u) * MS);
            assert_true(p->data < least * 12 / 10);
            net_free(n);
        }
    }
}

static void test_backoff(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 65536);
    struct pair *p = &n->pair[0];
    n->path.drop = UINT64_MAX;
    stream_tx_end(&p->tx, 5 * PIECE);
    net_pump(n);
    assert_int_equal(p->data, 5);
    const uint64_t waits_ms[] = {30, 30, 30, 50, 50, 50};
    const unsigned sent[] = {6, 7, 8, 10, 12, 14};
    for (unsigned i = 0; i < 6; i++) {
        uint64_t due = n->now + waits_ms[i] * MS;
        assert_true(stream_tx_deadline(&p->tx, n->now) == due);
        n->now = due - 1;
        net_pump(n);
        assert_int_equal(p->data, i == 0 ? 5 : sent[i - 1]);
        n->now = due;
        net_pump(n);
        assert_int_equal(p->data, sent[i]);
    }
    assert_int_equal(p->tx.cwnd.bytes, CWND_FLOOR_DATAGRAMS * PIECE);
    net_free(n);
}

/* New data that flows does not keep the timer of the oldest byte from running out. */
static void test_timer_is_of_the_oldest_byte(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 65536);
    struct pair *p = &n->pair[0];
    n->path.drop = UINT64_MAX;
    uint64_t start = n->now;
    stream_tx_end(&p->tx, 100);
    net_pump(n);
    for (unsigned i = 1; i <= 30; i++) {
        assert_true(stream_tx_deadline(&p->tx, n->now) == start + 30 * MS);
        n->now = start + i * MS;
        stream_tx_end(&p->tx, 100 + i);
        net_pump(n);
    }
    assert_int_equal(p->data, 1 + 30 + 1); /* the last step brought a resend as well */
    net_free(n);
}

/* The timer follows the time that answers really take, not what the peer might take. */
static void test_timer_follows_answers(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 65536);
    struct pair *p = &n->pair[0];
    p->tx.cfg.ack_delay_us = 5 * MS;
    n->path.delay = 100;
    n->tick = MS; /* the daemon's timers */
    for (unsigned i = 1; i <= 100; i++)
        (void)net_run(n, i * 200, 10 * MS);
    n->path.drop = 0;
    stream_tx_end(&p->tx, 101 * 200);
    net_pump(n);
    assert_int_equal(stream_tx_deadline(&p->tx, n->now) - n->now, RTT_PTO_MIN_US);
    (void)net_run(n, 101 * 200, 10 * MS);
    /* Answers that begin to take longer cost one needless resend or two, not one each. */
    p->ack_every = 100;
    p->ack_delay = 4 * MS;
    unsigned data = p->data;
    for (unsigned i = 102; i <= 200; i++)
        (void)net_run(n, i * 200, 20 * MS);
    assert_true(p->data - data <= 99 + 4);
    assert_true(p->tx.answer.srtt_us >= 4 * MS && p->tx.answer.srtt_us <= 5 * MS);
    net_free(n);
}

/* On a path known to lose, a small tail rides along; else it does not. Bytes and datagrams are
 * counted for a writer that does not wait, one write of 150 bytes per ms at 10 ms round trip, and
 * for a busy one of 1000 bytes. */
static void test_tail_rides_along(void **state)
{
    (void)state;
    const struct {
        unsigned write;
        bool loses;
        unsigned most_percent; /* of the bytes written */
    } cases[] = {{150, false, 100}, {150, true, 110}, {1000, true, 101}, {40, true, 110}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct net *n = net_new(1, 1, 1 << 20);
        struct pair *p = &n->pair[0];
        unsigned w = cases[c].write;
        p->b.loss_in = p->a.loss_out = cases[c].loses ? LINK_LOSS_FULL / 50 : 0;
        for (unsigned i = 1; i <= 500; i++) {
            stream_tx_end(&p->tx, (uint64_t)i * w);
            net_until(n, n->now + MS);
            p->b.loss_in = cases[c].loses ? LINK_LOSS_FULL / 50 : 0;
        }
        (void)net_run(n, UINT64_C(500) * w, 100 * MS);
        print_message("    %u bytes, %s: %u datagrams, %u %% of the bytes\n", w,
                      cases[c].loses ? "loss" : "no loss", p->data,
                      (unsigned)(p->data_bytes * 100 / (500 * w)));
        assert_int_equal(p->data, 500);
        assert_true(p->data_bytes * 100 <= UINT64_C(500) * w * cases[c].most_percent);
        net_free(n);
    }
    /* And it helps: the lost write arrives with the next one, long before any timer. */
    struct net *n = net_new(1, 1, 1 << 20);
    struct pair *p = &n->pair[0];
    p->a.loss_out = LINK_LOSS_FULL / 50;
    n->path.drop = 1;
    stream_tx_end(&p->tx, 150);
    net_until(n, n->now + 4 * MS);
    assert_int_equal(net_run(n, 300, 100 * MS), 10 * MS);
    assert_int_equal(p->data, 2);
    net_free(n);
}

/* Many tiny writes in one window: the memory of what was sent holds out. */
static void test_tiny_pieces(void **state)
{
    (void)state;
    for (unsigned loss = 0; loss <= 30; loss += 15) {
        struct net *n = net_new(1, 1, 1 << 20);
        struct pair *p = &n->pair[0];
        n->path.delay = 100 * MS;
        n->path.loss = loss;
        unsigned most = 0;
        for (unsigned i = 1; i <= 5000; i++) {
            stream_tx_end(&p->tx, UINT64_C(20) * i);
            net_until(n, n->now + 100);
            most = p->tx.flight.n > most ? p->tx.flight.n : most;
        }
        assert_true(most > FLIGHT_MAX / 2);
        (void)net_run(n, 20 * 5000, 10000 * MS);
        assert_int_equal(p->tx.flight.n, 0);
        net_free(n);
    }
}

static void test_windows(void **state)
{
    (void)state;
    struct link link = {.stamp = 0};
    rtt_sample(&link.rtt, 0, 100);
    const struct stream_tx_config cfg = {
        .cap_us = HEARTBEAT, .window_bytes = 100 * PIECE, .datagram_bytes = PIECE};
    struct stream_tx tx;
    struct stream_piece p;
    stream_tx_init(&tx, &link, &cfg);
    assert_false(stream_tx_next(&tx, 0, PIECE, &p));
    stream_tx_end(&tx, UINT64_C(1) << 40);
    assert_false(stream_tx_next(&tx, 0, 0, &p));
    uint64_t now = 1;
    for (unsigned k = 0; k < 3; k++, now++)
        while (stream_tx_next(&tx, now, PIECE, &p))
            stream_tx_sent(&tx, now, now, p.off, p.len);
    assert_int_equal(tx.nxt, 10 * PIECE); /* the congestion window */

    /* An old SACK with a smaller window takes nothing back. */
    struct wire_sack s = {.contig = 10 * PIECE, .rwnd = 20000};
    assert_true(stream_tx_ack(&tx, now, &s, 0));
    s = (struct wire_sack){.contig = 10, .rwnd = 10};
    uint64_t edge = tx.edge;
    assert_true(stream_tx_ack(&tx, now, &s, 0));
    assert_true(tx.edge == edge && tx.una == 10 * PIECE && edge == 10 * PIECE + 20000);

    /* Closed with nothing on its way: one byte beyond the window per timeout asks for a SACK. */
    for (unsigned k = 0; k < 100 && tx.nxt < edge; k++, now += MS) {
        while (stream_tx_next(&tx, now, PIECE, &p))
            stream_tx_sent(&tx, now, now, p.off, p.len);
        s = (struct wire_sack){.contig = tx.nxt, .rwnd = 0};
        assert_true(stream_tx_ack(&tx, now, &s, 0));
    }
    assert_int_equal(tx.nxt, edge);
    assert_false(stream_tx_next(&tx, now, PIECE, &p));
    for (unsigned i = 0; i < 3; i++) {
        uint64_t due = stream_tx_deadline(&tx, now);
        assert_false(stream_tx_next(&tx, due - 1, PIECE, &p));
        assert_true(stream_tx_next(&tx, due, PIECE, &p));
        assert_true(p.off == edge && p.len == 1);
        stream_tx_sent(&tx, due, due, p.off, p.len);
        assert_false(stream_tx_next(&tx, due, PIECE, &p));
        now = due;
    }
    s.rwnd = 5000;
    assert_true(stream_tx_ack(&tx, now, &s, 0));
    assert_true(stream_tx_next(&tx, now, PIECE, &p));
    assert_true(p.off == edge + 1 && p.len == PIECE);
}

/* The receiver's memory is full, and the SACK that says that there is room again is lost. */
static void test_closed_window_opens(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 3000);
    struct pair *p = &n->pair[0];
    p->greed = SIZE_MAX;
    stream_tx_end(&p->tx, 10000);
    net_until(n, n->now + 1000 * MS);
    assert_int_equal(p->rx.contig, 3000);
    assert_int_equal(p->tx.una, 3000);
    unsigned sent = p->data;
    net_until(n, n->now + 1000 * MS);
    assert_true(p->data - sent <= 2 * 1000 / 50 + 4); /* polite: about one per heartbeat */
    p->greed = 0;
    stream_rx_consume(&p->rx, 3000);
    (void)net_run(n, 10000, 200 * MS);
    net_free(n);
}

/* A stream of `n` pieces in flight, stamps 1, 2, ...; round trip 8 ms. */
static void sent_pieces(struct stream_tx *tx, struct link *link, unsigned count)
{
    const struct stream_tx_config cfg = {
        .cap_us = HEARTBEAT, .window_bytes = 256 * 1024, .datagram_bytes = 1000};
    struct stream_piece p;
    *link = (struct link){.stamp = 0};
    rtt_sample(&link->rtt, 0, 8 * MS);
    stream_tx_init(tx, link, &cfg);
    stream_tx_end(tx, count * 1000u);
    while (tx->nxt < tx->end) {
        assert_true(stream_tx_next(tx, 0, 1000, &p));
        link->stamp++;
        stream_tx_sent(tx, 0, link->stamp, p.off, p.len);
    }
}

static void test_nonsense_acks(void **state)
{
    (void)state;
    struct link link;
    struct stream_tx tx;
    sent_pieces(&tx, &link, 3);
    const struct wire_sack bad[] = {
        {.contig = 3001},
        {.contig = UINT64_MAX},
        {.contig = 0, .n = WIRE_SACK_RANGES + 1},
        {.contig = 0, .n = 1, .ranges = {{0, 10}}},
        {.contig = 0, .n = 1, .ranges = {{10, 0}}},
        {.contig = 0, .n = 1, .ranges = {{10, 2991}}},
        {.contig = 3000, .n = 1, .ranges = {{1, 1}}},
        {.contig = 0, .n = 1, .ranges = {{UINT32_MAX, UINT32_MAX}}},
        {.contig = 0, .n = 2, .ranges = {{10, 10}, {2999, 2}}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct stream_tx *before = malloc(sizeof *before);
        assert_non_null(before);
        memcpy(before, &tx, sizeof tx);
        assert_false(stream_tx_ack(&tx, 2, &bad[i], 3));
        assert_memory_equal(before, &tx, sizeof tx);
        free(before);
    }
}

/* Any acknowledgements at all keep the sender's invariants, and it never names wrong bytes. */
static void test_hostile_acks(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        uint64_t r = seed;
        struct link link = {.stamp = 0};
        const struct stream_tx_config cfg = {
            .cap_us = HEARTBEAT, .window_bytes = 256 * 1024, .datagram_bytes = PIECE};
        struct stream_tx tx;
        stream_tx_init(&tx, &link, &cfg);
        uint64_t now = 1;
        for (int i = 0; i < 500; i++) {
            now += rnd(&r) % (20 * MS);
            stream_tx_end(&tx, tx.end + rnd(&r) % 3000);
            link.loss_in = (uint32_t)(rnd(&r) % LINK_LOSS_FULL);
            link.loss_out = (uint32_t)(rnd(&r) % LINK_LOSS_FULL);
            if (chance(&r, 30))
                rtt_sample(&link.rtt, now, rnd(&r) >> (44 + rnd(&r) % 20));
            struct stream_piece p;
            for (int k = 0; k < 400 && stream_tx_next(&tx, now, 1 + rnd(&r) % PIECE, &p); k++) {
                assert_true(p.len > 0 && p.off >= tx.una && p.off <= tx.nxt &&
                            p.off + p.len <= tx.end);
                link.stamp = now > link.stamp ? now : link.stamp + 1;
                stream_tx_sent(&tx, now, link.stamp, p.off, 1 + rnd(&r) % p.len);
                expect_tx(&tx);
            }
            struct wire_sack s = {.rwnd = (uint32_t)(rnd(&r) >> rnd(&r) % 64),
                                  .spurious = (uint16_t)rnd(&r)};
            uint64_t span = tx.nxt - tx.una + 2;
            s.contig = tx.una + rnd(&r) % span - (chance(&r, 30) ? rnd(&r) % 1000 : 0);
            if (chance(&r, 60))
                s.contig = tx.una;
            s.n = (uint8_t)(rnd(&r) % (WIRE_SACK_RANGES + 1));
            for (unsigned k = 0; k < s.n; k++)
                s.ranges[k] = (struct wire_range){(uint32_t)(rnd(&r) % span),
                                                  (uint32_t)(rnd(&r) % (span / 4 + 2))};
            (void)stream_tx_ack(&tx, now, &s, chance(&r, 50) ? link.stamp - rnd(&r) % 30 : rnd(&r));
            expect_tx(&tx);
        }
    }
}

/* A receiver that drops what it reported as held is wrong; the stream goes on all the same. */
static void test_broken_promise_heals(void **state)
{
    (void)state;
    struct link link;
    struct stream_tx tx;
    struct stream_piece p;
    sent_pieces(&tx, &link, 3);
    struct wire_sack s = {.contig = 0, .rwnd = 9000, .n = 1, .ranges = {{1000, 2000}}};
    assert_true(stream_tx_ack(&tx, 5 * MS, &s, 3));
    assert_int_equal(tx.acked.bytes, 2000);
    s = (struct wire_sack){.contig = 1000, .rwnd = 9000};
    assert_true(stream_tx_ack(&tx, 6 * MS, &s, 0));
    expect_tx(&tx);
    assert_true(stream_tx_next(&tx, 6 * MS, 5000, &p));
    assert_true(p.off == 1000 && p.len == 2000 && p.again);
}

/* RACK by the letter: what a SACK beside an old stamp does not say, and what time adds. */
static void test_rack(void **state)
{
    (void)state;
    struct link link;
    struct stream_tx tx;
    struct stream_piece p;
    sent_pieces(&tx, &link, 6);
    const struct wire_sack third = {.contig = 0, .rwnd = 9000, .n = 1, .ranges = {{2000, 1000}}};
    assert_true(stream_tx_ack(&tx, 8 * MS, &third, 0)); /* no stamp: nothing is known of order */
    assert_true(tx.lost.n == 0 && tx.reo_at == NEVER);
    assert_true(stream_tx_ack(&tx, 8 * MS, &third, 3));
    assert_int_equal(tx.lost.n, 0);
    assert_int_equal(tx.reo_at,
                     8 * MS + 2 * MS - 2); /* a quarter of 8 ms after the first's place */
    assert_int_equal(stream_tx_deadline(&tx, 8 * MS), tx.reo_at);
    assert_false(stream_tx_next(&tx, tx.reo_at - 1, 1000, &p));
    assert_true(stream_tx_next(&tx, tx.reo_at, 1000, &p));
    assert_true(p.off == 0 && p.len == 1000 && p.again);
    assert_true(tx.lost.bytes == 1000); /* the second was sent 1 us later */
    assert_true(stream_tx_next(&tx, tx.reo_at, 1000, &p));
    assert_true(tx.lost.bytes == 2000);
    assert_int_equal(stream_tx_in_flight(&tx), 3000);
    assert_int_equal(tx.cwnd.recovery, link.stamp); /* an episode */
    /* Three later ones: at once. */
    sent_pieces(&tx, &link, 6);
    const struct wire_sack fourth = {.contig = 0, .rwnd = 9000, .n = 1, .ranges = {{3000, 1000}}};
    assert_true(stream_tx_ack(&tx, 8 * MS, &fourth, 4));
    assert_int_equal(tx.lost.bytes, 1000);
    assert_int_equal(tx.reo_at, 8 * MS + 2 * MS - 2);
    /* The list of a full SACK says nothing of what lies above it. */
    sent_pieces(&tx, &link, 10);
    struct wire_sack full = {.contig = 0, .rwnd = 9000, .n = WIRE_SACK_RANGES};
    for (unsigned i = 0; i < WIRE_SACK_RANGES; i++)
        full.ranges[i] = (struct wire_range){1000 + 100 * i, 50};
    assert_true(stream_tx_ack(&tx, 80 * MS, &full, 10));
    assert_int_equal(ranges_end(&tx.lost, 0), 1000);
    assert_true(stream_tx_ack(&tx, 81 * MS, &third, 11)); /* a later datagram, of another stream */
    assert_int_equal(ranges_end(&tx.lost, 0), 7000);
    (void)stream_tx_next(&tx, tx.reo_at + 10, 1000, &p);
    assert_int_equal(ranges_end(&tx.lost, 0), 10000);
}

/* The first resend of an episode waits for neither window nor pace, the second does for both. */
static void test_first_resend_is_urgent(void **state)
{
    (void)state;
    struct link link;
    struct stream_tx tx;
    struct stream_piece p;
    for (int paced = 0; paced < 2; paced++) {
        sent_pieces(&tx, &link, 6);
        tx.cwnd.burst_us = 0;
        tx.cwnd.paced_us = paced ? 60 * MS : 0;
        tx.cwnd.bytes = paced ? 9000 : 1000;
        const struct wire_sack sixth = {
            .contig = 0, .rwnd = 9000, .n = 1, .ranges = {{5000, 1000}}};
        assert_true(stream_tx_ack(&tx, 8 * MS, &sixth, 6));
        assert_true(tx.lost.bytes == 3000 && stream_tx_in_flight(&tx) == 2000);
        assert_true(stream_tx_next(&tx, 8 * MS, 1000, &p));
        assert_true(p.off == 0 && p.len == 1000 && p.again);
        link.stamp = 8 * MS;
        stream_tx_sent(&tx, 8 * MS, link.stamp, p.off, p.len);
        assert_false(stream_tx_next(&tx, 8 * MS, 1000, &p));
        assert_int_equal(tx.paced, paced);
    }
}

/* What was sent twice is lost only when the newer copy is. */
static void test_newest_copy_counts(void **state)
{
    (void)state;
    struct link link;
    struct stream_tx tx;
    struct stream_piece p;
    sent_pieces(&tx, &link, 2);
    uint64_t due = stream_tx_deadline(&tx, 0);
    assert_true(stream_tx_next(&tx, due, 1500, &p)); /* the probe, cut anew */
    assert_true(p.off == 0 && p.len == 1500 && p.again);
    link.stamp = due;
    stream_tx_sent(&tx, due, due, p.off, p.len);
    const struct wire_sack none = {.contig = 0, .rwnd = 9000};
    assert_true(stream_tx_ack(&tx, due + 8 * MS, &none, due - 1));
    assert_true(tx.lost.n == 1 && tx.lost.r[0].start == 1500 && tx.lost.r[0].end == 2000);
    assert_true(stream_tx_ack(&tx, due + 80 * MS, &none, due + 3 * MS));
    assert_int_equal(tx.lost.bytes, 2000);
    assert_int_equal(stream_tx_in_flight(&tx), 0);
}

/* A path that is silent for longer than the memory of what was sent lasts: polite, and it heals. */
static void test_long_silence(void **state)
{
    (void)state;
    struct net *n = net_new(1, 1, 1 << 20);
    struct pair *p = &n->pair[0];
    stream_tx_end(&p->tx, 400 * PIECE);
    net_until(n, n->now + 28 * MS); /* some 60 are on their way */
    n->path.loss = 100;
    net_until(n, n->now + 100 * MS);
    unsigned before = p->data;
    net_until(n, n->now + 60000 * MS);
    assert_true(p->data - before <= 2 * 60000 / 50 + 100);
    assert_int_equal(p->tx.cwnd.bytes, CWND_FLOOR_DATAGRAMS * PIECE);
    n->path.loss = 0;
    (void)net_run(n, 400 * PIECE, 1000 * MS);
    net_free(n);
}

/* More holes than the sets take: what can't be written down stays in flight, and comes later. */
static void test_too_many_losses(void **state)
{
    (void)state;
    enum { PIECES = 2 * (RANGES_MAX + 4) };
    struct link link = {.stamp = 0};
    const struct stream_tx_config cfg = {
        .cap_us = HEARTBEAT, .window_bytes = 1000 * PIECES, .datagram_bytes = 1000};
    struct stream_tx tx;
    struct stream_piece p;
    rtt_sample(&link.rtt, 0, 8 * MS);
    stream_tx_init(&tx, &link, &cfg);
    tx.cwnd.bytes = tx.cwnd.most;
    tx.edge = tx.cwnd.most;
    stream_tx_end(&tx, 1000 * PIECES);
    for (unsigned i = 0; i < PIECES; i++) {
        link.stamp = 1 + i * 100;
        assert_true(stream_tx_next(&tx, link.stamp, 1000, &p));
        stream_tx_sent(&tx, link.stamp, link.stamp, p.off, p.len);
    }
    for (unsigned i = 1; i < 2 * RANGES_MAX; i += 2) { /* every second one, without a stamp */
        const struct wire_sack s = {.rwnd = 1000 * PIECES, .n = 1, .ranges = {{1000 * i, 1000}}};
        assert_true(stream_tx_ack(&tx, link.stamp, &s, 0));
    }
    assert_int_equal(tx.acked.n, RANGES_MAX);
    const struct wire_sack s = {.rwnd = 1000 * PIECES};
    assert_true(stream_tx_ack(&tx, 100 * MS, &s, link.stamp + 10 * MS));
    expect_tx(&tx);
    assert_int_equal(tx.lost.n, RANGES_MAX);
    assert_true(stream_tx_in_flight(&tx) == 8000 && tx.flight.n > 0);
    /* Room again: the rest is found with the next answer. */
    link.stamp = 110 * MS;
    assert_true(stream_tx_next(&tx, 100 * MS, 1000, &p));
    assert_true(p.off == 0 && p.len == 1000 && p.again);
    stream_tx_sent(&tx, 100 * MS, link.stamp, p.off, p.len);
    assert_true(stream_tx_ack(&tx, 110 * MS, &s, 105 * MS));
    expect_tx(&tx);
    assert_int_equal(stream_tx_in_flight(&tx), 1000);
}

/* Another size of datagrams, and the proof that one of that size arrives: its own stamp, or that all of it
 * is there, and never left otherwise. */
static void test_datagram_size(void **state)
{
    (void)state;
    struct link link;
    struct stream_tx tx;
    struct stream_piece p;
    sent_pieces(&tx, &link, 2);
    cwnd_mss(&tx.cwnd, 1400);
    assert_int_equal(tx.cwnd.mss, 1400);
    stream_tx_end(&tx, 3400);
    assert_true(stream_tx_next(&tx, 10, 1400, &p) && p.len == 1400);
    stream_tx_sent(&tx, 10, 10, p.off, p.len);
    link.stamp = 20;
    struct wire_sack s = {.contig = 0, .rwnd = 9000};
    assert_true(stream_tx_ack(&tx, 8 * MS, &s, 2));
    assert_int_equal(tx.arrived_max, 1000);
    tx.arrived_max = 0;
    s.contig = 3400; /* the stamp names another datagram */
    struct stream_tx *other = malloc(sizeof *other);
    assert_non_null(other);
    memcpy(other, &tx, sizeof tx);
    assert_true(stream_tx_ack(other, 9 * MS, &s, 15));
    assert_int_equal(other->arrived_max, 1400);
    stream_tx_sent(&tx, 11, 15, 2400, 500);
    memcpy(other, &tx, sizeof tx);
    assert_true(stream_tx_ack(&tx, 9 * MS, &s, 15));
    assert_int_equal(tx.arrived_max, 1000); /* those before it */
    assert_true(stream_tx_ack(other, 9 * MS, &s, 10));
    assert_int_equal(other->arrived_max, 1400);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_datagram),
        cmocka_unit_test(test_receiver_began_anew),
        cmocka_unit_test(test_all_patterns_of_loss),
        cmocka_unit_test(test_all_patterns_with_copies),
        cmocka_unit_test(test_hole_is_filled),
        cmocka_unit_test(test_lost_flight),
        cmocka_unit_test(test_resend_is_lost),
        cmocka_unit_test(test_reordering_is_learnt),
        cmocka_unit_test(test_property),
        cmocka_unit_test(test_bulk_under_loss),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_timer_is_of_the_oldest_byte),
        cmocka_unit_test(test_timer_follows_answers),
        cmocka_unit_test(test_tail_rides_along),
        cmocka_unit_test(test_tiny_pieces),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_closed_window_opens),
        cmocka_unit_test(test_nonsense_acks),
        cmocka_unit_test(test_hostile_acks),
        cmocka_unit_test(test_broken_promise_heals),
        cmocka_unit_test(test_rack),
        cmocka_unit_test(test_first_resend_is_urgent),
        cmocka_unit_test(test_newest_copy_counts),
        cmocka_unit_test(test_long_silence),
        cmocka_unit_test(test_too_many_losses),
        cmocka_unit_test(test_datagram_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
