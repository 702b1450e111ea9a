// LINK: @seal tests/lib/seal_world.c
/* Sessions between nodes that mean well, on links that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "net/seal/session_impl.h"
#include "raftd/base/bytes.h"
#include "tests/lib/seal_world.h"

enum { MS = 1000, S = 1000000 };

static struct seal_world *pair(uint64_t seed, uint64_t rekey_us)
{
    struct seal_world *w = seal_world_new(2, seed, rekey_us);
    seal_start(w, 0);
    seal_start(w, 1);
    return w;
}

static struct seal_world *settled_pair(uint64_t seed, uint64_t rekey_us)
{
    struct seal_world *w = pair(seed, rekey_us);
    seal_run(w, w->now + 500 * MS);
    assert_true(seal_settled(w));
    return w;
}

/* One datagram each way arrives. */
static void expect_talk(struct seal_world *w)
{
    uint64_t there = w->got[0][1];
    uint64_t back = w->got[1][0];
    assert_true(seal_say(w, 0, 1, SEAL_SHORT) && seal_say(w, 1, 0, SEAL_SHORT));
    seal_run(w, w->now + w->delay_us + w->jitter_us);
    assert_int_equal(w->got[0][1], there + 1);
    assert_int_equal(w->got[1][0], back + 1);
}

/* Two round trips from nothing, whoever starts, and the way of the first datagram. */
static void test_cold_start(void **state)
{
    (void)state;
    struct seal_world *w = pair(1, 0);
    uint64_t begun = w->now;
    assert_int_equal(seal_info(w, 0, 1).state, SESSION_STATE_HANDSHAKE);
    assert_false(seal_say(w, 0, 1, SEAL_SHORT));
    uint64_t at = seal_run_until(w, begun + S, seal_both_ready);
    assert_int_equal(at - begun, 5 * w->delay_us);
    expect_talk(w);
    seal_run(w, w->now + S);
    assert_true(seal_settled(w));
    for (unsigned i = 0; i < 2; i++) {
        struct session_info info = seal_info(w, i, 1 - i);
        assert_int_equal(info.state, SESSION_STATE_ESTABLISHED);
        assert_int_equal(sessions_peer_boot(w->s[i], seal_id(1 - i)), w->cfg[1 - i].boot);
        assert_int_equal(info.key_id, sessions_key_id(w->keys[0].key[0]));
        assert_true(info.exchanges <= 2);
    }
    seal_world_free(w);
}

/* DATA by the letter of session.h. A nonce or a key used twice would work as well between two nodes
 * that both do so, and give everything away. */
static void expect_letter(struct seal_world *w, unsigned from, unsigned to)
{
    struct session *x = &w->s[from]->peers[0]->current;
    for (unsigned k = 0; k < 3; k++) {
        uint64_t counter = x->sent;
        assert_true(seal_say(w, from, to, SEAL_SHORT));
        const struct seal_datagram *d = &w->held[0];
        assert_int_equal(d->len, SESSION_EXTRA_BYTES + SEAL_SHORT);
        assert_true(d->buf[0] == (WIRE_VERSION_NOW << 4 | SESSION_KIND_DATA));
        assert_int_equal(get_u32(d->buf + 4), x->peer_index);
        assert_int_equal(get_u64(d->buf + 8), counter);
        uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
        put_u64(nonce + 4, counter);
        uint8_t plain[SEAL_SHORT];
        assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(
                             plain, NULL, NULL, d->buf + SESSION_HEAD_BYTES,
                             SEAL_SHORT + SESSION_TAG_BYTES, d->buf, SESSION_HEAD_BYTES, nonce,
                             x->send),
                         0);
        assert_int_equal(get_u64(plain), w->said[from][to] - 1);
    }
}

static void test_data_by_the_letter(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(9000, 0);
    const struct session *a = &w->s[0]->peers[0]->current;
    const struct session *b = &w->s[1]->peers[0]->current;
    assert_memory_not_equal(a->send, a->receive, sizeof a->send);
    assert_memory_equal(a->send, b->receive, sizeof a->send);
    w->hold[0][1] = w->hold[1][0] = SEAL_ALL;
    expect_letter(w, 0, 1);
    expect_letter(w, 1, 0);
    seal_world_free(w);
}

/* The hash of a HELLO and of its HELLO_ACK by the letter of session.h. */
static void expect_mac(const char *label, const uint8_t *to, size_t to_len, const uint8_t *message)
{
    uint8_t psk[SESSION_KEY_BYTES];
    uint8_t key[SESSION_KEY_BYTES];
    uint8_t both[32 + 152];
    uint8_t mac[16];
    memset(psk, 1, sizeof psk);
    assert_int_equal(
        crypto_generichash(key, sizeof key, (const uint8_t *)label, strlen(label), psk, sizeof psk),
        0);
    memcpy(both, to, to_len);
    memcpy(both + to_len, message, 152);
    assert_int_equal(crypto_generichash(mac, sizeof mac, both, to_len + 152, key, sizeof key), 0);
    assert_memory_equal(mac, message + 152, sizeof mac);
}

static void test_handshake_by_the_letter(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 9100, 0);
    w->recording = true;
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    seal_start(w, 0);
    seal_start(w, 1);
    uint8_t challenge[2][16] = {{0}};
    memcpy(challenge[1], w->s[1]->peers[0]->challenge, 16);
    seal_run(w, w->now + 100 * MS);
    const struct seal_datagram *hello = NULL;
    unsigned seen[SESSION_KIND_CHALLENGE + 1] = {0};
    for (unsigned k = 0; k < w->n_record; k++) {
        const struct seal_datagram *d = &w->record[k];
        unsigned kind = d->buf[0] & 0x0F;
        if (kind == SESSION_KIND_DATA || (kind == SESSION_KIND_HELLO && d->from == 1))
            continue;
        assert_int_equal(d->len, 168);
        seen[kind]++;
        if (kind == SESSION_KIND_HELLO) {
            hello = d;
            expect_mac("raftd hello", challenge[seen[kind] - 1], 16, d->buf);
        } else if (kind == SESSION_KIND_HELLO_ACK) {
            assert_non_null(hello);
            expect_mac("raftd hello ack", hello->buf + 16, 32, d->buf);
        }
    }
    assert_true(seen[SESSION_KIND_HELLO] == 2 && seen[SESSION_KIND_HELLO_ACK] == 1 &&
                seen[SESSION_KIND_CHALLENGE] == 1);
    seal_world_free(w);
}

/* Then nothing is sent until the session is an hour old. */
static void test_idle(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(2, 0);
    seal_run(w, w->now + S);
    uint64_t sent = w->sent;
    seal_run(w, w->now + UINT64_C(3590) * S);
    assert_int_equal(w->sent, sent);
    uint64_t current = seal_current(w, 0, 1);
    seal_run(w, w->now + 20 * (uint64_t)S);
    assert_true(seal_settled(w) && seal_current(w, 0, 1) != current);
    assert_true(w->sent - sent <= 8); /* 4 of the handshake, a confirmation, its echo, resends */
    seal_world_free(w);
}

/* All 256 ways to lose some of the first eight datagrams. HELLOs of both sides go out at 0, 50,
 * 100, 150 and 250 ms (+-20 %): four rounds may be lost whole, then 4 one-way trips remain. */
static void test_loss_patterns(void **state)
{
    (void)state;
    uint64_t worst = 0;
    for (unsigned mask = 0; mask < 256; mask++) {
        struct seal_world *w = pair(1000 + mask, 0);
        uint64_t begun = w->now;
        w->lose_mask = mask;
        uint64_t took = seal_run_until(w, begun + S, seal_both_ready) - begun;
        worst = took > worst ? took : worst;
        seal_run(w, w->now + S);
        w->lose_mask = 0;
        assert_true(seal_settled(w));
        expect_talk(w);
        seal_world_free(w);
    }
    assert_true(worst <= 320 * MS);
}

/* One starts at any time during the handshake of the other: all settle. */
static void test_start_at_any_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 240; i++) {
        struct seal_world *w = seal_world_new(2, 2000 + i, 0);
        unsigned early = i % 2;
        w->delay_us = 20 * MS;
        w->jitter_us = i % 3 * 10 * MS;
        seal_start(w, early);
        seal_run(w, w->now + i / 2 * MS);
        seal_start(w, 1 - early);
        uint64_t begun = w->now;
        assert_true(seal_run_until(w, begun + S, seal_both_ready) - begun <= 300 * MS);
        seal_run(w, w->now + S);
        assert_true(seal_settled(w));
        expect_talk(w);
        seal_world_free(w);
    }
}

/* Half of all datagrams are lost, round trips up to half a second. */
static void test_bad_link(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        struct seal_world *w = pair(3000 + i, 0);
        uint64_t begun = w->now;
        w->loss = 50;
        w->delay_us = 1 + i * MS;
        w->jitter_us = 1 + i / 4 * MS;
        assert_true(seal_run_until(w, begun + 60 * (uint64_t)S, seal_both_ready) - begun < 40 * S);
        w->loss = 0;
        for (int k = 0; k < 60; k++) { /* talk, as silence on one session is how disorder is seen */
            (void)seal_say(w, 0, 1, SEAL_SHORT);
            (void)seal_say(w, 1, 0, SEAL_SHORT);
            seal_run(w, w->now + 100 * MS);
        }
        seal_run(w, w->now + S);
        assert_true(seal_settled(w));
        expect_talk(w);
        seal_world_free(w);
    }
}

/* A restarted node is back as soon as at its first start, and its former self's sessions end. */
static void test_restart(void **state)
{
    (void)state;
    for (unsigned node = 0; node < 2; node++) {
        struct seal_world *w = settled_pair(4000 + node, 0);
        expect_talk(w);
        seal_stop(w, node);
        seal_run(w, w->now + S);
        seal_start(w, node);
        uint64_t begun = w->now;
        assert_int_equal(seal_run_until(w, begun + S, seal_settled) - begun, 5 * w->delay_us);
        expect_talk(w);
        assert_int_equal(sessions_peer_boot(w->s[1 - node], seal_id(node)), w->cfg[node].boot);
        const struct session_peer *p = w->s[1 - node]->peers[0];
        assert_false(p->prev.live);
        seal_world_free(w);
    }
}

/* Somebody drops HELLOs alone. The session goes on, and says that it is too old. */
static void test_overdue(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(4900, 2 * S);
    w->lose_kind[0][1] = w->lose_kind[1][0] = SESSION_KIND_HELLO;
    uint64_t born = seal_info(w, 0, 1).since_us;
    assert_int_equal(seal_info(w, 0, 1).overdue_us, born + 4 * S);
    for (uint64_t end = w->now + 30 * (uint64_t)S; w->now < end; seal_run(w, w->now + 100 * MS))
        expect_talk(w);
    assert_int_equal(seal_info(w, 0, 1).state, SESSION_STATE_ESTABLISHED);
    assert_int_equal(seal_info(w, 0, 1).overdue_us, born + 4 * S);
    w->lose_kind[0][1] = w->lose_kind[1][0] = 0;
    seal_run(w, w->now + 3 * S);
    assert_true(seal_settled(w) && seal_info(w, 0, 1).overdue_us > w->now);
    seal_stop(w, 1);
    w->keys[0] = seal_keys(2, 0);
    sessions_set_keys(w->s[0], &w->keys[0], w->now);
    assert_true(seal_info(w, 0, 1).overdue_us == UINT64_MAX);
    seal_world_free(w);
}

/* Sessions are replaced every two seconds while data flows: none is lost, none comes twice. */
static void test_rekey_under_traffic(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct seal_world *w = settled_pair(5000 + i, 2 * S);
        w->delay_us = 1 + i * 30 * MS;
        w->jitter_us = 40 * MS;
        uint64_t end = w->now + 40 * (uint64_t)S;
        while (w->now < end) {
            assert_true(seal_say(w, 0, 1, SEAL_LONG) && seal_say(w, 1, 0, SEAL_SHORT));
            seal_run(w, w->now + 2 * MS);
        }
        seal_run(w, w->now + S);
        assert_int_equal(w->got[0][1], w->said[0][1]);
        assert_int_equal(w->got[1][0], w->said[1][0]);
        struct session_info info = seal_info(w, 0, 1);
        /* 20, or nearly twice as many on slow links: the peer begins when the new session is 200 ms
         * late, which two round trips of a handshake may take. */
        assert_true(info.handshakes >= 18 && info.handshakes <= 40);
        seal_world_free(w);
    }
}

/* The answer to the handshake that replaces a session is lost while data flows on that session: the next
 * copy of the HELLO gets it again, there is no second handshake. */
static void test_lost_answer_of_rekey(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct seal_world *w = settled_pair(5100 + seed, 20 * (uint64_t)S);
        unsigned from = seal_info(w, 0, 1).initiator ? 0 : 1;
        unsigned to = 1 - from;
        uint64_t taken = seal_info(w, to, from).handshakes;
        uint64_t answered = seal_info(w, from, to).handshakes;
        uint64_t lost_at = 0;
        w->lose_kind[to][from] = SESSION_KIND_HELLO_ACK;
        for (uint64_t end = w->now + 30 * (uint64_t)S;
             w->now < end && seal_info(w, from, to).handshakes == answered;) {
            assert_true(seal_say(w, 0, 1, SEAL_SHORT) && seal_say(w, 1, 0, SEAL_SHORT));
            seal_run(w, w->now + 2 * MS);
            if (lost_at != 0 || seal_info(w, to, from).handshakes == taken)
                continue;
            lost_at = w->now;
            seal_run(w, w->now + 5 * MS);
            w->lose_kind[to][from] = 0;
        }
        assert_true(lost_at != 0 && w->now - lost_at < 100 * MS);
        assert_int_equal(seal_info(w, to, from).handshakes, taken + 1);
        seal_world_free(w);
    }
}

/* The peer's handshake is enough: our own ends, whoever we are. */
static void test_one_is_enough(void **state)
{
    (void)state;
    for (unsigned node = 0; node < 2; node++) {
        struct seal_world *w = seal_world_new(2, 4100 + node, 0);
        w->lose_kind[node][1 - node] = SESSION_KIND_HELLO;
        seal_start(w, 0);
        seal_start(w, 1);
        seal_run(w, w->now + S);
        assert_true(seal_settled(w));
        uint64_t hellos = seal_info(w, node, 1 - node).hellos;
        seal_run(w, w->now + 10 * (uint64_t)S);
        assert_int_equal(seal_info(w, node, 1 - node).hellos, hellos);
        assert_int_equal(seal_info(w, node, 1 - node).exchanges, 1);
        seal_world_free(w);
    }
}

/* The time to replace the session comes for the responder while the initiator's answer is still
 * missing: it waits, or sessions would come into being in another order on each side. */
static void test_hold(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 4200, 2 * S);
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + 1900 * MS);
    uint64_t hellos = seal_info(w, 1, 0).hellos;
    uint64_t current = seal_current(w, 0, 1);
    w->lose_kind[1][0] = SESSION_KIND_HELLO_ACK;
    seal_run(w, w->now + 700 * MS);
    assert_int_equal(seal_info(w, 1, 0).exchanges, 2);
    assert_int_equal(seal_info(w, 1, 0).hellos, hellos);
    assert_int_equal(seal_current(w, 0, 1), current);
    w->lose_kind[1][0] = 0;
    seal_run(w, w->now + S);
    assert_true(seal_settled(w) && seal_current(w, 0, 1) != current);
    assert_int_equal(seal_info(w, 1, 0).exchanges, 2);
    seal_world_free(w);
}

/* The same while handshakes suffer: only lost datagrams are missing. */
static void test_rekey_on_bad_link(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(5100, 2 * S);
    w->loss = 30;
    w->jitter_us = 20 * MS;
    uint64_t end = w->now + 40 * (uint64_t)S;
    while (w->now < end) {
        assert_true(seal_say(w, 0, 1, SEAL_LONG) && seal_say(w, 1, 0, SEAL_SHORT));
        seal_run(w, w->now + 2 * MS);
    }
    w->loss = 0;
    seal_run(w, w->now + S);
    assert_true(w->got[0][1] > w->said[0][1] * 67 / 100);
    assert_true(w->got[1][0] > w->said[1][0] * 67 / 100);
    assert_true(seal_settled(w));
    assert_int_equal(w->drops[0][DROP_NO_SESSION] + w->drops[0][DROP_UNAUTHENTIC], 0);
    seal_world_free(w);
}

/* Any key in common is enough; 0 = none. */
static void test_overlap_of_keys(void **state)
{
    (void)state;
    static const struct {
        unsigned a[2];
        unsigned b[2];
        unsigned common; /* 0 = none */
    } TABLE[] = {
        {{1, 0}, {1, 0}, 1}, {{1, 0}, {2, 0}, 0}, {{1, 2}, {1, 0}, 1}, {{1, 2}, {2, 0}, 2},
        {{2, 0}, {1, 2}, 2}, {{1, 2}, {3, 1}, 1}, {{1, 2}, {3, 2}, 2}, {{3, 1}, {1, 2}, 1},
        {{1, 2}, {3, 4}, 0}, {{1, 2}, {2, 1}, 9}, {{1, 2}, {1, 2}, 9}, {{1, 2}, {1, 3}, 1},
    };
    for (size_t i = 0; i < 2 * sizeof TABLE / sizeof TABLE[0]; i++) {
        struct seal_world *w = seal_world_new(2, 6000 + i, 0);
        w->delay_us = (i % 2 == 0 ? 5 : 150) * MS;
        w->keys[0] = seal_keys(TABLE[i / 2].a[0], TABLE[i / 2].a[1]);
        w->keys[1] = seal_keys(TABLE[i / 2].b[0], TABLE[i / 2].b[1]);
        seal_start(w, 0);
        seal_start(w, 1);
        seal_run(w, w->now + (TABLE[i / 2].common != 0 ? 3u : 14u) * S);
        unsigned common = TABLE[i / 2].common;
        assert_int_equal(seal_settled(w), common != 0);
        if (common == 1 || common == 2) {
            struct session_keys k = seal_keys(common, 0);
            assert_int_equal(seal_info(w, 0, 1).key_id, sessions_key_id(k.key[0]));
        }
        for (unsigned n = 0; common == 0 && n < 2; n++)
            assert_int_equal(seal_info(w, n, 1 - n).state, SESSION_STATE_WRONG_KEY);
        seal_world_free(w);
    }
}

/* Only key[1] is in common. Once the peer has answered under it, no other is tried. */
static void test_second_key(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 6100, 0);
    w->keys[0] = seal_keys(1, 2);
    w->keys[1] = seal_keys(2, 0);
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    seal_start(w, 0);
    seal_start(w, 1);
    uint64_t begun = w->now;
    uint64_t took = seal_run_until(w, begun + S, seal_settled) - begun;
    assert_true(took <= 120 * MS + 5 * w->delay_us); /* two HELLOs under key[0] came first */
    assert_int_equal(seal_info(w, 0, 1).hellos, 4);
    assert_int_equal(w->drops[1][DROP_UNAUTHENTIC], 2);
    assert_int_equal(seal_info(w, 1, 0).state, SESSION_STATE_ESTABLISHED);
    seal_world_free(w);
}

static void set_keys(struct seal_world *w, unsigned node, unsigned first, unsigned second)
{
    w->keys[node] = seal_keys(first, second);
    sessions_set_keys(w->s[node], &w->keys[node], w->now);
}

/* Talks on while time passes: a running cluster never notices the change of its key. */
static void talk(struct seal_world *w, uint64_t us)
{
    for (uint64_t end = w->now + us; w->now < end; seal_run(w, w->now + 5 * MS))
        assert_true(seal_say(w, 0, 1, SEAL_LONG) && seal_say(w, 1, 0, SEAL_LONG));
}

static void test_change_of_key(void **state)
{
    (void)state;
    static const unsigned STEPS[][2] = {{1, 2}, {2, 1}, {2, 0}};
    for (unsigned i = 0; i < 8; i++) {
        struct seal_world *w = settled_pair(7000 + i, 0);
        for (size_t k = 0; k < sizeof STEPS / sizeof STEPS[0]; k++) {
            unsigned first = (i >> k) & 1; /* either node may be the first */
            set_keys(w, first, STEPS[k][0], STEPS[k][1]);
            talk(w, 700 * MS);
            set_keys(w, 1 - first, STEPS[k][0], STEPS[k][1]);
            talk(w, 700 * MS);
        }
        seal_run(w, w->now + S);
        assert_int_equal(w->got[0][1], w->said[0][1]);
        assert_int_equal(w->got[1][0], w->said[1][0]);
        struct session_keys k = seal_keys(2, 0);
        assert_true(seal_settled(w));
        assert_int_equal(seal_info(w, 0, 1).key_id, sessions_key_id(k.key[0]));
        assert_int_equal(seal_info(w, 1, 0).state, SESSION_STATE_ESTABLISHED);
        seal_world_free(w);
    }
}

static bool on_key(const struct seal_world *w, unsigned key)
{
    struct session_keys k = seal_keys(key, 0);
    uint32_t id = sessions_key_id(k.key[0]);
    return seal_info(w, 0, 1).key_id == id && seal_info(w, 1, 0).key_id == id;
}

/* Both have both keys. Whatever is lost, however slow the link: the new key is what they take, for
 * the old one will be removed. */
static void test_new_key_on_bad_link(void **state)
{
    (void)state;
    unsigned old = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct seal_world *w = settled_pair(7300 + i, 0);
        set_keys(w, 0, 1, 2);
        set_keys(w, 1, 1, 2);
        w->loss = 30;
        w->delay_us = 1 + i % 10 * 30 * MS;
        w->jitter_us = 40 * MS;
        for (unsigned node = 0; node < 2; node++) {
            set_keys(w, (i + node) % 2, 2, 1);
            for (unsigned k = 0; k < 100; k++) {
                (void)seal_say(w, 0, 1, SEAL_SHORT);
                (void)seal_say(w, 1, 0, SEAL_SHORT);
                seal_run(w, w->now + 100 * MS);
            }
        }
        old += !on_key(w, 2);
        seal_world_free(w);
    }
    assert_true(old <= 1);
}

/* A slow link, on which the second key is tried before the first one is answered: the answer about
 * the second one changes nothing any more. */
static void test_first_key_on_slow_link(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 7400, 0);
    w->keys[0] = w->keys[1] = seal_keys(1, 2);
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    w->hold[1][0] = SESSION_KIND_CHALLENGE;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + 130 * MS); /* HELLOs at 0, 50 and, under the second key, 100 ms +-20 % */
    w->hold[1][0] = 0;
    assert_int_equal(w->n_held, 3);
    for (unsigned k = 3; k-- > 0;) {
        const struct seal_datagram *d = &w->held[k];
        enum drop result = seal_deliver(w, 1, 0, d->buf, d->len);
        assert_int_equal(result, k == 2 ? DATAGRAM_STEP : DROP_STALE);
    }
    seal_run(w, w->now + 10 * (uint64_t)S);
    assert_true(seal_settled(w) && on_key(w, 1));
    seal_world_free(w);
}

/* Where only the old key came through at the start, the new one is tried again before long. */
static void test_new_key_after_bad_start(void **state)
{
    (void)state;
    unsigned old = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct seal_world *w = seal_world_new(2, 7500 + i, 0);
        w->loss = 50;
        w->keys[0] = w->keys[1] = seal_keys(2, 1);
        seal_start(w, 0);
        seal_start(w, 1);
        assert_true(seal_run_until(w, w->now + 60 * (uint64_t)S, seal_both_ready) <= w->now);
        w->loss = 0;
        seal_run(w, w->now + 5 * S);
        old += !on_key(w, 2);
        seal_run(w, w->now + 65 * (uint64_t)S);
        assert_true(seal_settled(w) && on_key(w, 2));
        uint64_t sent = w->sent;
        seal_run(w, w->now + 300 * (uint64_t)S);
        assert_int_equal(w->sent, sent);
        seal_world_free(w);
    }
    assert_true(old > 0); /* else this tests nothing */
}

/* Reloading the same keys does nothing; a key that goes takes its sessions along, at once. */
static void test_set_keys(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(7100, 0);
    uint64_t current = seal_current(w, 0, 1);
    set_keys(w, 0, 1, 0);
    seal_run(w, w->now + 3 * S);
    assert_int_equal(seal_current(w, 0, 1), current);
    set_keys(w, 0, 2, 0);
    assert_false(seal_ready(w, 0, 1));
    uint8_t psk[SESSION_KEY_BYTES];
    memset(psk, 1, sizeof psk);
    const uint8_t *memory = (const uint8_t *)w->s[0];
    for (size_t i = 0; i + sizeof psk <= sizeof *w->s[0]; i++)
        assert_true(memory[i] != 1 || memcmp(memory + i, psk, sizeof psk) != 0);
    seal_run(w, w->now + 14 * S);
    assert_false(seal_ready(w, 0, 1));
    assert_int_equal(seal_info(w, 1, 0).state, SESSION_STATE_WRONG_KEY);
    set_keys(w, 1, 2, 0);
    assert_true(seal_run_until(w, w->now + 2 * S, seal_settled) <= w->now);
    expect_talk(w);
    seal_world_free(w);
}

/* A node gets a wrong key, by a restart or a reload. The two have little to say to each other, as
 * two followers: both name it within seconds all the same. */
static void test_wrong_key_soon(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct seal_world *w = settled_pair(7150 + i, 0);
        unsigned node = i % 2;
        unsigned peer = 1 - node;
        if (i < 2) {
            seal_stop(w, node);
            w->keys[node] = seal_keys(2, 0);
            seal_start(w, node);
        } else {
            set_keys(w, node, 2, 0);
        }
        uint64_t begun = w->now;
        for (uint64_t end = w->now + 15 * S; w->now < end; seal_run(w, w->now + 3 * S))
            (void)seal_say(w, peer, node, SEAL_SHORT);
        assert_int_equal(seal_info(w, peer, node).state, SESSION_STATE_WRONG_KEY);
        assert_int_equal(seal_info(w, node, peer).state, SESSION_STATE_WRONG_KEY);
        assert_in_range(seal_info(w, peer, node).since_us, begun + 9 * S, begun + 14 * S);
        set_keys(w, node, 1, 0);
        assert_true(seal_run_until(w, w->now + 2 * S, seal_settled) <= w->now);
        assert_int_equal(seal_info(w, peer, node).state, SESSION_STATE_ESTABLISHED);
        assert_int_equal(seal_info(w, node, peer).state, SESSION_STATE_ESTABLISHED);
        seal_world_free(w);
    }
}

/* Both wish for another of two keys at once: they don't fight over it. */
static void test_opposite_wishes(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(7200, 0);
    set_keys(w, 0, 1, 2);
    set_keys(w, 1, 1, 2);
    seal_run(w, w->now + S);
    set_keys(w, 1, 3, 2); /* 3 is known to nobody else */
    set_keys(w, 0, 2, 1);
    seal_run(w, w->now + S);
    assert_true(seal_settled(w));
    assert_true(seal_info(w, 0, 1).handshakes <= 6);
    set_keys(w, 0, 4, 2);
    set_keys(w, 1, 2, 4);
    seal_run(w, w->now + 5 * S);
    assert_true(seal_settled(w));
    uint64_t sent = w->sent;
    seal_run(w, w->now + 60 * (uint64_t)S);
    assert_int_equal(w->sent, sent);
    seal_world_free(w);
}

/* A node that lost its session without knowing (here by force) is found out by silence. */
static void test_silence(void **state)
{
    (void)state;
    for (unsigned node = 0; node < 2; node++) {
        struct seal_world *w = settled_pair(8000 + node, 0);
        struct session *x = &w->s[node]->peers[0]->current;
        *x = (struct session){.live = true, .who = x->who}; /* of no use, and nobody knows */
        x->born_us = w->now;
        uint64_t begun = w->now;
        while (!seal_settled(w) && w->now < begun + 10 * (uint64_t)S) {
            (void)seal_say(w, 0, 1, SEAL_SHORT);
            (void)seal_say(w, 1, 0, SEAL_SHORT);
            seal_run(w, w->now + 50 * MS);
        }
        assert_true(w->now - begun < 3 * S);
        expect_talk(w);
        seal_world_free(w);
    }
}

/* A cut link keeps its sessions: when it heals, the first datagram arrives. */
static void test_partition(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(8100, 0);
    struct session_info before = seal_info(w, 0, 1);
    uint64_t begun = w->now;
    w->cut[0][1] = w->cut[1][0] = true;
    for (unsigned i = 0; i < 600; i++) {
        assert_true(seal_say(w, 0, 1, SEAL_LONG));
        seal_run(w, w->now + 100 * MS);
    }
    struct session_info info = seal_info(w, 0, 1);
    assert_true(info.hellos > 40 && info.hellos < 90);
    assert_int_equal(info.state, SESSION_STATE_HANDSHAKE);
    assert_in_range(info.since_us, begun + S, begun + 3 * S);
    assert_int_equal(seal_info(w, 1, 0).state, SESSION_STATE_ESTABLISHED); /* said nothing */
    w->cut[0][1] = w->cut[1][0] = false;
    expect_talk(w);
    info = seal_info(w, 0, 1);
    assert_int_equal(info.state, SESSION_STATE_ESTABLISHED);
    assert_int_equal(info.since_us, before.since_us);
    seal_run(w, w->now + 2 * S);
    assert_true(seal_settled(w));
    seal_world_free(w);
}

/* Long before the counter's end the session is replaced; at the end nothing is sealed. */
static void test_counter(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair(8200, 0);
    uint64_t current = seal_current(w, 0, 1);
    struct session *x = &w->s[0]->peers[0]->current;
    x->sent = (UINT64_C(1) << 39) - 1;
    seal_run(w, w->now + 5 * S);
    assert_int_equal(seal_current(w, 0, 1), current);
    assert_true(seal_say(w, 0, 1, SEAL_SHORT));
    seal_run(w, w->now + S);
    assert_true(seal_settled(w) && seal_current(w, 0, 1) != current);

    w->cut[0][1] = w->cut[1][0] = true;
    w->s[0]->peers[0]->current.sent = (UINT64_C(1) << 40) - 1;
    assert_true(seal_say(w, 0, 1, SEAL_SHORT));
    assert_false(seal_ready(w, 0, 1));
    assert_false(seal_say(w, 0, 1, SEAL_SHORT));
    w->cut[0][1] = w->cut[1][0] = false;
    seal_run(w, w->now + 3 * S);
    assert_true(seal_settled(w));
    seal_world_free(w);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cold_start),
        cmocka_unit_test(test_data_by_the_letter),
        cmocka_unit_test(test_handshake_by_the_letter),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_loss_patterns),
        cmocka_unit_test(test_start_at_any_time),
        cmocka_unit_test(test_bad_link),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_rekey_under_traffic),
        cmocka_unit_test(test_lost_answer_of_rekey),
        cmocka_unit_test(test_rekey_on_bad_link),
        cmocka_unit_test(test_overlap_of_keys),
        cmocka_unit_test(test_second_key),
        cmocka_unit_test(test_one_is_enough),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_change_of_key),
        cmocka_unit_test(test_new_key_on_bad_link),
        cmocka_unit_test(test_first_key_on_slow_link),
        cmocka_unit_test(test_new_key_after_bad_start),
        cmocka_unit_test(test_set_keys),
        cmocka_unit_test(test_wrong_key_soon),
        cmocka_unit_test(test_opposite_wishes),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_partition),
        cmocka_unit_test(test_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
