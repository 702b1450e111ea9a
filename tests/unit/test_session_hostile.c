// LINK: @seal tests/lib/seal_world.c
/* Somebody on the way records, repeats, delays, changes and invents datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal/session_impl.h"
#include "raftd/base/bytes.h"
#include "tests/lib/seal_world.h"

enum { MS = 1000, S = 1000000 };

/* What nobody but the peers may change. */
struct effects {
    uint64_t current;
    uint64_t boot;
    uint64_t opened;
    uint64_t handshakes;
    uint64_t exchanges;
    enum session_state state;
};

static struct effects effects(const struct seal_world *w, unsigned node, unsigned peer)
{
    struct session_info i = seal_info(w, node, peer);
    struct effects e;
    memset(&e, 0, sizeof e);
    e.current = seal_current(w, node, peer);
    e.boot = sessions_peer_boot(w->s[node], seal_id(peer));
    e.opened = i.opened;
    e.handshakes = i.handshakes;
    e.exchanges = i.exchanges;
    e.state = i.state;
    return e;
}

/* Of all that a node sends at this moment: bytes, and the newest datagram of a kind. */
static size_t answers(struct seal_world *w, unsigned node, unsigned kind, uint8_t *newest)
{
    size_t bytes = 0, len = 0;
    for (unsigned peer = 0; peer < w->n; peer++) {
        uint8_t buf[SESSION_HELLO_BYTES];
        while (peer != node &&
               (len = sessions_output(w->s[node], seal_id(peer), w->now, buf, sizeof buf)) > 0) {
            bytes += len;
            if ((buf[0] & 0x0F) == kind && newest != NULL)
                memcpy(newest, buf, len);
        }
    }
    return bytes;
}

/* Three nodes with a past: rekeys, a change of key, a restart of each, lost datagrams. */
static struct seal_world *with_past(uint64_t seed)
{
    struct seal_world *w = seal_world_new(3, seed, 4 * S);
    w->recording = true;
    for (unsigned i = 0; i < 3; i++)
        seal_start(w, i);
    for (unsigned step = 0; step < 160; step++) {
        seal_run(w, w->now + 100 * MS);
        for (unsigned i = 0; i < 3; i++)
            for (unsigned j = 0; j < 3; j++)
                if (i != j && w->s[i] != NULL)
                    (void)seal_say(w, i, j, step % 3 == 0 ? SEAL_SHORT : SEAL_LONG);
        w->loss = step % 40 > 20 ? 20 : 0;
        if (step % 50 == 10)
            seal_stop(w, step / 50);
        if (step % 50 == 15)
            seal_start(w, step / 50);
        if (step == 100 || step == 110 || step == 120)
            for (unsigned i = 0; i < 3; i++) {
                w->keys[i] = step == 100 ? seal_keys(1, 2) : seal_keys(2, step == 110 ? 1 : 0);
                if (w->s[i] != NULL)
                    sessions_set_keys(w->s[i], &w->keys[i], w->now);
            }
    }
    w->loss = 0;
    w->recording = false;
    seal_run(w, w->now + S);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < 3; j++)
            assert_true(i == j || seal_ready(w, i, j));
    return w;
}

/* Every recorded datagram, to every node, in the name of every node: nothing happens, and no
 * answer is longer. */
static void test_replay_everything(void **state)
{
    (void)state;
    struct seal_world *w = with_past(1);
    unsigned kinds[16] = {0};
    for (unsigned k = 0; k < w->n_record; k++) {
        const struct seal_datagram *d = &w->record[k];
        kinds[d->buf[0] & 0x0F]++;
        for (unsigned as = 0; as < 9; as++) {
            unsigned from = as / 3;
            unsigned to = as % 3;
            if (from == to)
                continue;
            (void)answers(w, to, 0, NULL); /* what is due anyway */
            struct effects before = effects(w, to, from);
            enum drop result = seal_deliver(w, from, to, d->buf, d->len);
            struct effects after = effects(w, to, from);
            after.state = before.state; /* HELLOs of the key that is gone look like "another key" */
            assert_memory_equal(&before, &after, sizeof before);
            assert_true(result != DATAGRAM_DATA);
            assert_true(answers(w, to, 0, NULL) <= d->len);
            if (from != d->from || to != d->to)
                assert_true(result == DROP_MISDIRECTED || result == DROP_NO_SESSION ||
                            result == DROP_UNAUTHENTIC);
        }
    }
    for (unsigned k = SESSION_KIND_DATA; k <= SESSION_KIND_CHALLENGE; k++)
        assert_true(kinds[k] > 20);
    uint64_t there = w->got[0][1];
    assert_true(seal_say(w, 0, 1, SEAL_SHORT));
    seal_run(w, w->now + w->delay_us);
    assert_int_equal(w->got[0][1], there + 1);
    seal_world_free(w);
}

/* The same by a storm, while the nodes talk: they lose nothing and begin nothing. */
static void test_replay_storm(void **state)
{
    (void)state;
    struct seal_world *w = with_past(2);
    for (unsigned i = 0; i < 3; i++)
        w->cfg[i].rekey_us = 0;
    struct effects before[3];
    for (unsigned i = 0; i < 3; i++) {
        w->s[i]->cfg.rekey_us = 0;
        before[i] = effects(w, i, (i + 1) % 3);
    }
    uint64_t said = w->said[0][1];
    uint64_t got = w->got[0][1];
    uint64_t seed = 3;
    for (unsigned k = 0; k < 20000; k++) {
        const struct seal_datagram *d = &w->record[seal_rnd(&seed) % w->n_record];
        assert_true(seal_deliver(w, d->from, d->to, d->buf, d->len) != DATAGRAM_DATA);
        if (k % 100 == 0)
            for (unsigned i = 0; i < 3; i++)
                for (unsigned j = 0; j < 3; j++)
                    assert_true(i == j || seal_say(w, i, j, SEAL_SHORT));
        seal_run(w, w->now + MS);
    }
    seal_run(w, w->now + S);
    assert_int_equal(w->got[0][1] - got, w->said[0][1] - said);
    for (unsigned i = 0; i < 3; i++) {
        struct effects after = effects(w, i, (i + 1) % 3);
        before[i].opened = after.opened;
        assert_memory_equal(&before[i], &after, sizeof after);
    }
    seal_world_free(w);
}

/* Flips each bit of a datagram: refused without an effect. Then it arrives as it was. */
static void flip(struct seal_world *w, unsigned from, unsigned to, const uint8_t *buf, size_t len)
{
    uint8_t bad[SEAL_BYTES];
    struct effects before = effects(w, to, from);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        memcpy(bad, buf, len);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum drop result = seal_deliver(w, from, to, bad, len);
        assert_true(result != DATAGRAM_DATA && result != DATAGRAM_STEP);
        struct effects after = effects(w, to, from);
        after.state = before.state; /* "another key" may be shown */
        assert_memory_equal(&before, &after, sizeof before);
    }
    enum drop result = seal_deliver(w, from, to, buf, len);
    assert_true(result == DATAGRAM_STEP || result == DATAGRAM_DATA);
}

static void test_bit_flips(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 4, 0);
    uint8_t m[SESSION_HELLO_BYTES];
    seal_start(w, 0);
    seal_start(w, 1);
    assert_int_equal(answers(w, 1, SESSION_KIND_HELLO, m), sizeof m); /* its own: lost */
    assert_int_equal(answers(w, 0, SESSION_KIND_HELLO, m), sizeof m);
    flip(w, 0, 1, m, sizeof m);
    assert_int_equal(answers(w, 1, SESSION_KIND_CHALLENGE, m), sizeof m);
    flip(w, 1, 0, m, sizeof m);
    assert_int_equal(answers(w, 0, SESSION_KIND_HELLO, m), sizeof m);
    flip(w, 0, 1, m, sizeof m);
    assert_int_equal(seal_info(w, 1, 0).exchanges, 1);
    assert_int_equal(answers(w, 1, SESSION_KIND_HELLO_ACK, m), sizeof m);
    flip(w, 1, 0, m, sizeof m);
    assert_int_equal(seal_info(w, 0, 1).exchanges, 1);
    assert_int_equal(answers(w, 0, SESSION_KIND_DATA, m), SESSION_EXTRA_BYTES);
    flip(w, 0, 1, m, SESSION_EXTRA_BYTES);
    assert_int_equal(answers(w, 1, SESSION_KIND_DATA, m), SESSION_EXTRA_BYTES);
    flip(w, 1, 0, m, SESSION_EXTRA_BYTES);
    w->hold[0][1] = SEAL_ALL;
    assert_true(seal_say(w, 0, 1, SEAL_LONG));
    flip(w, 0, 1, w->held[0].buf, w->held[0].len);
    assert_true(seal_settled(w));
    seal_world_free(w);
}

/* A HELLO with the right challenge is withheld. The node restarts and gets a new session, by its
 * own handshake or by the peer's. Then the HELLO of its former self arrives. */
static void test_withheld_hello(void **state)
{
    (void)state;
    for (unsigned who = 0; who < 4; who++) {
        unsigned node = who % 2;
        unsigned peer = 1 - node;
        struct seal_world *w = seal_world_new(2, 10 + who, 0);
        w->lose_kind[peer][node] = SESSION_KIND_HELLO;
        seal_start(w, 0);
        seal_start(w, 1);
        seal_run(w, w->now + 8 * MS);
        w->hold[node][peer] = SESSION_KIND_HELLO;
        seal_run(w, w->now + 20 * MS);
        assert_int_equal(w->n_held, 1);
        struct seal_datagram old = w->held[0];
        seal_stop(w, node);
        seal_start(w, node);
        w->hold[node][peer] = 0;
        w->lose_kind[peer][node] = 0;
        w->lose_kind[node][peer] = who < 2 ? 0 : SESSION_KIND_HELLO;
        seal_run(w, w->now + 2 * S);
        assert_true(seal_settled(w));
        struct effects before = effects(w, peer, node);
        assert_int_equal(seal_deliver(w, node, peer, old.buf, old.len), DROP_UNAUTHENTIC);
        assert_int_equal(answers(w, peer, 0, NULL), 0);
        struct effects after = effects(w, peer, node);
        assert_memory_equal(&before, &after, sizeof before);
        seal_world_free(w);
    }
}

/* An answer is withheld for longer than an ephemeral key lives: it comes to nothing. A moment earlier
 * it is taken. */
static void test_late_answer(void **state)
{
    (void)state;
    static const unsigned KINDS[] = {SESSION_KIND_CHALLENGE, SESSION_KIND_HELLO_ACK};
    for (unsigned i = 0; i < 4; i++) {
        struct seal_world *w = seal_world_new(2, 25 + i, 0);
        w->lose_kind[1][0] = SESSION_KIND_HELLO;
        w->hold[1][0] = KINDS[i / 2];
        seal_start(w, 0);
        seal_start(w, 1);
        seal_run(w, w->now + 40 * MS);
        assert_true(w->n_held > 0);
        struct seal_datagram late = w->held[0];
        uint64_t made = w->s[0]->peers[0]->attempts[0].made_us;
        w->cut[0][1] = true;
        w->s[0]->peers[0]->hello_at = UINT64_MAX; /* no newer HELLO takes its place */
        w->now = made + 10 * (uint64_t)S - (i % 2 == 0 ? 1 : 0);
        struct effects before = effects(w, 0, 1);
        enum drop result = seal_deliver(w, 1, 0, late.buf, late.len);
        struct effects after = effects(w, 0, 1);
        assert_int_equal(result, i % 2 == 0 ? DATAGRAM_STEP : DROP_STALE);
        if (i % 2 == 1)
            assert_memory_equal(&before, &after, sizeof before);
        const struct session_attempt *a = w->s[0]->peers[0]->attempts;
        assert_true(sodium_is_zero((const uint8_t *)a, sizeof a[0]));
        seal_world_free(w);
    }
}

/* The HELLOs that made a session: the one without a challenge, and the one that was taken. */
static void two_hellos(const struct seal_world *w, const struct seal_datagram *hello[2])
{
    hello[0] = hello[1] = NULL;
    for (unsigned k = 0; k < w->n_record; k++)
        if (w->record[k].from == 0 && (w->record[k].buf[0] & 0x0F) == SESSION_KIND_HELLO)
            hello[hello[0] != NULL] = &w->record[k];
    assert_non_null(hello[1]);
}

/* Two nodes with a session, and the two HELLOs of node 0 that led to it. */
static struct seal_world *with_two_hellos(unsigned seed, const struct seal_datagram *hello[2])
{
    struct seal_world *w = seal_world_new(2, seed, 0);
    w->recording = true;
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + S);
    two_hellos(w, hello);
    w->recording = false;
    return w;
}

/* Copies of the HELLO that was taken: while its HELLO_ACK may be lost it is given again, but not
 * within 20 ms. The session in use, they are met with silence, however many there are. */
static void test_taken_hello_flood(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 30, 0);
    const struct seal_datagram *hello[2];
    w->recording = true;
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    w->hold[1][0] = SESSION_KIND_HELLO_ACK;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + 40 * MS);
    two_hellos(w, hello);
    struct effects before = effects(w, 1, 0);
    assert_int_equal(before.handshakes, 1);
    unsigned acks = 0;
    for (unsigned k = 0; k < 5000; k++, w->now += 100) {
        enum drop result = seal_deliver(w, 0, 1, hello[1]->buf, hello[1]->len);
        size_t bytes = answers(w, 1, SESSION_KIND_HELLO_ACK, NULL);
        assert_int_equal(bytes, result == DATAGRAM_STEP ? SESSION_HELLO_BYTES : 0);
        assert_true(result == DATAGRAM_STEP || result == DROP_STALE);
        acks += bytes > 0;
    }
    assert_in_range(acks, 24, 26);
    w->hold[1][0] = 0;
    w->lose_kind[1][0] = 0;
    seal_run(w, w->now + S);
    assert_true(seal_settled(w) && seal_info(w, 1, 0).handshakes == 1);
    before = effects(w, 1, 0);
    for (unsigned k = 0; k < 10000; k++, w->now += 100) {
        assert_int_equal(seal_deliver(w, 0, 1, hello[1]->buf, hello[1]->len), DROP_STALE);
        assert_int_equal(answers(w, 1, 0, NULL), 0);
    }
    struct effects after = effects(w, 1, 0);
    assert_memory_equal(&before, &after, sizeof before);
    seal_world_free(w);
}

/* Handshakes of both overlap, and ours is done: copies of the peer's HELLO are met with silence. */
static void test_overtaken_hello_flood(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 32, 0);
    w->hold[0][1] = SESSION_KIND_HELLO_ACK; /* the lower one goes on with its own */
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + S);
    const struct session_peer *p = w->s[0]->peers[0];
    assert_true(p->has_taken && p->current.live && p->current.initiator);
    assert_int_equal(p->births, 2);
    uint8_t hello[SESSION_HELLO_BYTES];
    memcpy(hello, p->taken, sizeof hello);
    for (unsigned k = 0; k < 1000; k++, w->now += 100) {
        assert_int_equal(seal_deliver(w, 1, 0, hello, sizeof hello), DROP_STALE);
        assert_int_equal(answers(w, 0, 0, NULL), 0);
    }
    seal_world_free(w);
}

/* Copies of a HELLO that knows no challenge: each is met with a CHALLENGE, but not within 20 ms. One
 * with the challenge of another moment is met with silence. Neither costs an exchange. */
static void test_old_hello_flood(void **state)
{
    (void)state;
    const struct seal_datagram *hello[2];
    struct seal_world *w = with_two_hellos(31, hello);
    w->s[1]->peers[0]->has_taken = false; /* as if another one had been taken since */
    struct effects before = effects(w, 1, 0);
    unsigned challenges = 0;
    for (unsigned k = 0; k < 10000; k++, w->now += 100) {
        uint8_t m[SESSION_HELLO_BYTES];
        assert_int_equal(seal_deliver(w, 0, 1, hello[1]->buf, hello[1]->len), DROP_UNAUTHENTIC);
        assert_int_equal(answers(w, 1, 0, NULL), 0);
        (void)seal_deliver(w, 0, 1, hello[0]->buf, hello[0]->len);
        size_t bytes = answers(w, 1, SESSION_KIND_CHALLENGE, m);
        assert_true(bytes == 0 || bytes == sizeof m);
        if (bytes > 0)
            assert_int_equal(seal_deliver(w, 1, 0, m, sizeof m), DROP_STALE);
        challenges += bytes > 0;
    }
    assert_in_range(challenges, 49, 51);
    struct effects after = effects(w, 1, 0);
    assert_memory_equal(&before, &after, sizeof before);
    seal_world_free(w);
}

/* HELLOs of former processes, in both directions. Each knows no challenge. */
static void record_hellos(struct seal_world *w, uint8_t (*old)[2][SESSION_HELLO_BYTES], unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned node = 0; node < 2; node++) {
            seal_start(w, node);
            assert_int_equal(answers(w, node, SESSION_KIND_HELLO, old[i][node]),
                             SESSION_HELLO_BYTES);
            seal_stop(w, node);
        }
    }
}

/* A node starts while somebody sends recorded HELLOs both ways, so many a second: until both may
 * seal. */
static uint64_t start_in_flood(struct seal_world *w, uint8_t (*old)[2][SESSION_HELLO_BYTES],
                               unsigned n, uint64_t rate)
{
    uint64_t begun = w->now;
    seal_start(w, 0);
    for (uint64_t k = 0; !seal_both_ready(w) && w->now < begun + 20 * (uint64_t)S; k++) {
        for (unsigned node = 0; node < 2; node++)
            (void)seal_deliver(w, node, 1 - node, old[k % n][node], SESSION_HELLO_BYTES);
        seal_run(w, begun + (k + 1) * S / rate);
    }
    return w->now - begun;
}

/* 10 and 20 Mbit/s each way of recorded HELLOs, a few and very many of them, delay nobody. */
static void test_start_in_flood(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    static const unsigned KINDS[] = {1, 14, MANY};
    static uint8_t old[MANY][2][SESSION_HELLO_BYTES];
    for (unsigned i = 0; i < 2 * sizeof KINDS / sizeof KINDS[0]; i++) {
        uint64_t rate = (i % 2 == 0 ? 10000000u : 20000000u) / (8 * (SESSION_HELLO_BYTES + 28));
        uint64_t worst = 0;
        for (unsigned run = 0; run < 4; run++) {
            struct seal_world *w = seal_world_new(2, 3000 + 10 * i + run, 0);
            record_hellos(w, old, KINDS[i / 2]);
            seal_start(w, 1);
            uint64_t took = start_in_flood(w, old, KINDS[i / 2], rate);
            worst = took > worst ? took : worst;
            seal_world_free(w);
        }
        print_message("    %4u recorded ones, %5u a second each way: %u ms at most\n", KINDS[i / 2],
                      (unsigned)rate, (unsigned)(worst / MS));
        assert_in_range(worst, 1, i % 2 == 0 ? 100 * MS : S);
    }
}

/* However many different ones there are, so many a second are answered and no more. */
static void test_hello_budget(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    static uint8_t old[MANY][2][SESSION_HELLO_BYTES];
    struct seal_world *w = seal_world_new(2, 35, 0);
    record_hellos(w, old, MANY);
    seal_start(w, 1);
    (void)answers(w, 1, 0, NULL);
    uint64_t bytes = 0;
    for (unsigned k = 0; k < 100000; k++, w->now += 20) {
        (void)seal_deliver(w, 0, 1, old[k % MANY][0], SESSION_HELLO_BYTES);
        bytes += answers(w, 1, SESSION_KIND_CHALLENGE, NULL);
    }
    assert_in_range(bytes / SESSION_HELLO_BYTES, 18000, 22100); /* in two seconds, and own ones */
    seal_world_free(w);
}

/* A challenge that the peer has forgotten by restarting: the HELLO with it is met with silence, and
 * the next one asks anew. */
static void test_forgotten_challenge(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 32, 0);
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + 2 * w->delay_us);
    assert_true(w->s[0]->peers[0]->attempts[0].challenged);
    seal_stop(w, 1);
    w->n_queue = 0;
    seal_start(w, 1);
    uint64_t begun = w->now;
    assert_in_range(seal_run_until(w, begun + 20 * (uint64_t)S, seal_settled) - begun, S, 2 * S);
    seal_world_free(w);
}

/* A challenge comes after most of the life of the HELLO that it answers, and the peer has forgotten it by
 * then. Only so long as one more HELLO lives is it believed. */
static void test_late_forgotten_challenge(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 33, 0);
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    w->hold[1][0] = SESSION_KIND_CHALLENGE;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + 8 * (uint64_t)S);
    assert_true(w->n_held > 0);
    struct seal_datagram late = w->held[w->n_held - 1];
    seal_stop(w, 1);
    w->n_queue = 0;
    seal_start(w, 1);
    w->hold[1][0] = 0;
    assert_int_equal(seal_deliver(w, 1, 0, late.buf, late.len), DATAGRAM_STEP);
    uint64_t begun = w->now;
    assert_in_range(seal_run_until(w, begun + 40 * (uint64_t)S, seal_settled) - begun, 9 * S,
                    12 * S);
    seal_world_free(w);
}

/* A HELLO of the right form and no key, as if it came from node 0. */
static void strange_hello(struct seal_world *w, uint64_t *seed)
{
    uint8_t m[SESSION_HELLO_BYTES];
    session_head(w->s[1], w->s[1]->peers[0], SESSION_KIND_HELLO, m);
    put_u16(m + 2, 1);
    put_u16(m + 4, 2);
    for (size_t i = SESSION_HEAD_BYTES; i < sizeof m; i++)
        m[i] = (uint8_t)seal_rnd(seed);
    assert_int_equal(seal_deliver(w, 0, 1, m, sizeof m), DROP_UNAUTHENTIC);
}

/* HELLOs under no key of ours do not count: among 20000 a second, of the peer's with a bit changed and
 * of noise, a session comes about as if there were none. It may be of either live key. */
static void test_hello_junk(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct seal_world *w = seal_world_new(2, 36 + i, 0);
        uint64_t seed = 36;
        w->keys[1] = i % 2 == 0 ? seal_keys(1, 0) : seal_keys(2, 1);
        w->lose_kind[1][0] = SESSION_KIND_HELLO;
        seal_start(w, 1);
        for (unsigned k = 0; k < 2000; k++)
            strange_hello(w, &seed);
        seal_start(w, 0);
        uint64_t begun = w->now;
        while (!seal_both_ready(w) && w->now < begun + S) {
            uint8_t m[SESSION_HELLO_BYTES];
            memcpy(m, w->s[0]->peers[0]->attempts[0].hello, sizeof m);
            m[SESSION_HEAD_BYTES + seal_rnd(&seed) % (sizeof m - SESSION_HEAD_BYTES)] ^= 1;
            for (size_t b = SESSION_HEAD_BYTES; i / 2 == 1 && b < sizeof m; b++)
                m[b] = (uint8_t)seal_rnd(&seed);
            session_head(w->s[0], w->s[0]->peers[0], SESSION_KIND_HELLO, m);
            enum drop result = seal_deliver(w, 0, 1, m, sizeof m);
            assert_true(result == DROP_UNAUTHENTIC || result == DROP_STALE);
            seal_run(w, w->now + 50);
        }
        assert_in_range(w->now - begun, 5 * w->delay_us, 5 * w->delay_us + 50);
        seal_run(w, w->now + S);
        assert_true(seal_settled(w));
        assert_int_equal(seal_info(w, 1, 0).exchanges, 1);
        seal_world_free(w);
    }
}

/* They are met with silence. A peer of which nothing else was heard for nine seconds, and that
 * answers none of our HELLOs, is said to have another key, and not for longer than that lasts. */
static void test_strange_hellos(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 40, 0);
    uint64_t seed = 40;
    seal_start(w, 1);
    uint64_t begun = w->now;
    while (seal_info(w, 1, 0).state != SESSION_STATE_WRONG_KEY &&
           w->now < begun + 60 * (uint64_t)S) {
        (void)answers(w, 1, 0, NULL);
        strange_hello(w, &seed);
        assert_int_equal(answers(w, 1, 0, NULL), 0);
        seal_run(w, w->now + 20 * MS);
    }
    assert_in_range(w->now - begun, 9 * S, 10 * S);
    assert_int_equal(seal_info(w, 1, 0).exchanges, 0);
    seal_start(w, 0);
    seal_run(w, w->now + 3 * S);
    assert_int_equal(seal_info(w, 1, 0).state, SESSION_STATE_ESTABLISHED);
    for (unsigned k = 0; k < 100; k++) {
        strange_hello(w, &seed);
        seal_run(w, w->now + 80 * MS);
        assert_int_equal(seal_info(w, 1, 0).state, SESSION_STATE_ESTABLISHED);
    }
    seal_world_free(w);
}

/* Two followers that tell their links every three seconds over a link that loses half of them, and
 * somebody who writes strange HELLOs in the name of one: if it looks like another key, then not for
 * long. */
static void test_strange_on_bad_link(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 10; run++) {
        struct seal_world *w = seal_world_new(2, 4500 + run, 0);
        uint64_t seed = 45 + run;
        seal_start(w, 0);
        seal_start(w, 1);
        seal_run(w, w->now + S);
        w->loss = 50;
        for (unsigned k = 0; k < 600; k++) { /* ten minutes */
            strange_hello(w, &seed);
            strange_hello(w, &seed);
            if (k % 3 == 0) {
                (void)seal_say(w, 0, 1, SEAL_SHORT);
                (void)seal_say(w, 1, 0, SEAL_SHORT);
            }
            seal_run(w, w->now + S);
            struct session_info info = seal_info(w, 1, 0);
            assert_true(info.state != SESSION_STATE_WRONG_KEY || w->now - info.since_us < 10 * S);
        }
        seal_world_free(w);
    }
}

/* Nor is one that is away, when somebody repeats what it said with the right key. */
static void test_old_ones_are_no_other_key(void **state)
{
    (void)state;
    const struct seal_datagram *hello[2];
    struct seal_world *w = with_two_hellos(46, hello);
    seal_stop(w, 0);
    w->s[1]->peers[0]->has_taken = false;
    for (unsigned k = 0; k < 3000; k++) {
        (void)seal_deliver(w, 0, 1, hello[1]->buf, hello[1]->len);
        seal_run(w, w->now + 10 * MS);
    }
    assert_int_not_equal(seal_info(w, 1, 0).state, SESSION_STATE_WRONG_KEY);
    seal_world_free(w);
}

/* A storm of strange HELLOs in the name of a peer that is away: ours are no more than its silence
 * would cause. */
static void test_strange_storm(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 47, 0);
    uint64_t seed = 47;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + S);
    seal_stop(w, 0);
    uint64_t hellos = seal_info(w, 1, 0).hellos;
    for (unsigned k = 0; k < 60000; k++) {
        uint8_t m[SESSION_HELLO_BYTES];
        session_head(w->s[1], w->s[1]->peers[0], SESSION_KIND_HELLO, m);
        put_u16(m + 2, 1);
        put_u16(m + 4, 2);
        for (size_t i = SESSION_HEAD_BYTES; i < sizeof m; i++)
            m[i] = (uint8_t)seal_rnd(&seed);
        (void)seal_deliver(w, 0, 1, m, sizeof m);
        seal_run(w, w->now + MS);
    }
    assert_int_equal(seal_info(w, 1, 0).state, SESSION_STATE_WRONG_KEY);
    assert_in_range(seal_info(w, 1, 0).hellos - hellos, 40, 80); /* one a second, more at first */
    seal_world_free(w);
}

/* Other cluster, other node, other version, every length. */
static void test_envelopes(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(3, 50, 0);
    for (unsigned i = 0; i < 3; i++)
        seal_start(w, i);
    uint8_t m[SESSION_HELLO_BYTES];
    assert_int_equal(sessions_output(w->s[0], seal_id(1), w->now, m, sizeof m), sizeof m);
    assert_int_equal(seal_deliver(w, 0, 2, m, sizeof m), DROP_MISDIRECTED);
    assert_int_equal(seal_deliver(w, 2, 1, m, sizeof m), DROP_MISDIRECTED);
    assert_int_equal(seal_deliver(w, 1, 0, m, sizeof m), DROP_MISDIRECTED);
    m[0] ^= 0x30;
    assert_int_equal(seal_deliver(w, 0, 1, m, sizeof m), DROP_VERSION);
    m[0] ^= 0x30;
    m[8] ^= 1;
    assert_int_equal(seal_deliver(w, 0, 1, m, sizeof m), DROP_CLUSTER);
    m[8] ^= 1;
    for (size_t len = 0; len <= SEAL_BYTES; len++) {
        for (unsigned kind = 0; kind < 16; kind++) {
            uint8_t buf[SEAL_BYTES] = {0};
            memcpy(buf, m, sizeof m);
            buf[0] = (uint8_t)(WIRE_VERSION_NOW << 4 | kind);
            enum drop result = seal_deliver(w, 0, 1, buf, len);
            bool data = kind == SESSION_KIND_DATA;
            bool hello = kind >= SESSION_KIND_HELLO && kind <= SESSION_KIND_CHALLENGE;
            if (len < SESSION_HEAD_BYTES)
                assert_int_equal(result, DROP_SHORT);
            else if (data)
                assert_int_equal(result, len < SESSION_EXTRA_BYTES ? DROP_SHORT : DROP_NO_SESSION);
            else if (kind == 0)
                assert_int_equal(result, DROP_KIND);
            else if (!hello)
                assert_int_equal(result, DROP_VERSION);
            else if (len != SESSION_HELLO_BYTES)
                assert_int_equal(result, len < SESSION_HELLO_BYTES ? DROP_SHORT : DROP_LONG);
            else
                assert_int_equal(result, kind == SESSION_KIND_HELLO ? DATAGRAM_STEP : DROP_STALE);
        }
    }
    static uint8_t big[WIRE_DATAGRAM_MAX + 1] = {WIRE_VERSION_NOW << 4 | SESSION_KIND_DATA};
    uint8_t *payload = NULL;
    size_t len = 0;
    assert_int_equal(sessions_open(w->s[1], 1, w->now, big, sizeof big, &payload, &len), DROP_LONG);
    seal_world_free(w);
}

/* Data of nobody, for a minute: sessions in use are not touched; idle ones are at most replaced,
 * now and then. */
static void test_junk_data(void **state)
{
    (void)state;
    for (unsigned idle = 0; idle < 2; idle++) {
        struct seal_world *w = seal_world_new(2, 60 + idle, 0);
        uint64_t seed = 60;
        seal_start(w, 0);
        seal_start(w, 1);
        seal_run(w, w->now + S);
        struct effects before = effects(w, 0, 1);
        for (unsigned k = 0; k < 6000; k++) {
            uint8_t m[128];
            for (size_t i = 0; i < sizeof m; i++)
                m[i] = (uint8_t)seal_rnd(&seed);
            m[0] = WIRE_VERSION_NOW << 4 | SESSION_KIND_DATA;
            if (k % 2 == 0) /* the right number */
                put_u32(m + 4, w->s[k / 2 % 2]->peers[0]->current.index);
            enum drop result = seal_deliver(w, 1 - k / 2 % 2, k / 2 % 2, m, sizeof m);
            assert_true(result == DROP_NO_SESSION || result == DROP_UNAUTHENTIC);
            if (!idle && k % 20 == 0)
                assert_true(seal_say(w, 0, 1, SEAL_SHORT) && seal_say(w, 1, 0, SEAL_SHORT));
            seal_run(w, w->now + 10 * MS);
            assert_true(seal_both_ready(w));
        }
        struct effects after = effects(w, 0, 1);
        if (idle) {
            assert_true(after.handshakes - before.handshakes <= 120);
        } else {
            assert_int_equal(after.handshakes, before.handshakes);
            assert_int_equal(after.exchanges, before.exchanges);
            assert_int_equal(w->got[0][1], w->said[0][1]);
            assert_int_equal(w->got[1][0], w->said[1][0]);
        }
        seal_world_free(w);
    }
}

/* Silence when it is needed: a peer that lost all and hears nothing but our data speaks up, once
 * in 100 ms at most. */
static void test_lost_brings_forward(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 70, 0);
    uint8_t m[SESSION_HELLO_BYTES] = {WIRE_VERSION_NOW << 4 | SESSION_KIND_DATA};
    seal_start(w, 0);
    w->cut[0][1] = true;
    seal_run(w, w->now + 60 * (uint64_t)S); /* its HELLOs are a second apart by now */
    uint64_t hellos = seal_info(w, 0, 1).hellos;
    for (unsigned k = 0; k < 1000; k++) {
        (void)seal_deliver(w, 1, 0, m, SESSION_HELLO_BYTES - 1);
        seal_run(w, w->now + MS);
    }
    assert_true(seal_info(w, 0, 1).hellos - hellos <= 2);
    hellos = seal_info(w, 0, 1).hellos;
    for (unsigned k = 0; k < 1000; k++) {
        (void)seal_deliver(w, 1, 0, m, SESSION_HELLO_BYTES);
        seal_run(w, w->now + MS);
    }
    hellos = seal_info(w, 0, 1).hellos - hellos;
    assert_true(hellos >= 8 && hellos <= 11);
    seal_world_free(w);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_everything),
        cmocka_unit_test(test_replay_storm),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_withheld_hello),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_taken_hello_flood),
        cmocka_unit_test(test_overtaken_hello_flood),
        cmocka_unit_test(test_old_hello_flood),
        cmocka_unit_test(test_start_in_flood),
        cmocka_unit_test(test_hello_budget),
        cmocka_unit_test(test_forgotten_challenge),
        cmocka_unit_test(test_late_forgotten_challenge),
        cmocka_unit_test(test_hello_junk),
        cmocka_unit_test(test_strange_hellos),
        cmocka_unit_test(test_strange_on_bad_link),
        cmocka_unit_test(test_old_ones_are_no_other_key),
        cmocka_unit_test(test_strange_storm),
        cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_junk_data),
        cmocka_unit_test(test_lost_brings_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
