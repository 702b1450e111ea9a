// LINK: @seal tests/lib/seal_world.c
/* Who a session is with: the key of a directory is proved before anything counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "net/seal/session_impl.h"
#include "tests/lib/pair.h"
#include "tests/lib/seal_world.h"

enum { MS = 1000, S = 1000000 };

static struct seal_world *settled_pair(void)
{
    struct seal_world *w = seal_world_new(2, 90, 0);
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + S);
    assert_true(seal_settled(w));
    for (unsigned i = 0; i < 2; i++)
        sessions_know(w->s[i], seal_id(1 - i), w->own[1 - i].key);
    return w;
}

/* Somebody with the cluster's key under the id of node 1, another process each time. */
static struct sessions *somebody(struct seal_world *w, struct noise_pair own)
{
    struct session_config cfg = w->cfg[1];
    struct session_keys keys = seal_keys(1, 0);
    keys.own = own;
    cfg.boot = 5000 + ++w->boots;
    struct sessions *s = sessions_new(&cfg, &keys);
    assert_true(s != NULL && sessions_add_peer(s, 1, w->now));
    return s;
}

/* All that somebody and node 0 want to say to each other now. The last verdict of node 0. */
static enum drop talk(struct seal_world *w, struct sessions *s)
{
    uint8_t buf[SESSION_HELLO_BYTES], *payload;
    size_t len, n;
    enum drop last = DATAGRAM_STEP;
    for (bool more = true; more;) {
        more = false;
        while ((len = sessions_output(s, 1, w->now, buf, sizeof buf)) > 0) {
            last = seal_deliver(w, 1, 0, buf, len);
            more = true;
        }
        while ((len = sessions_output(w->s[0], 2, w->now, buf, sizeof buf)) > 0) {
            (void)sessions_open(s, 1, w->now, buf, len, &payload, &n);
            more = true;
        }
    }
    return last;
}

static void expect_node_1(struct seal_world *w)
{
    assert_memory_equal(sessions_peer_key(w->s[0], 2), w->own[1].key, NOISE_KEY_BYTES);
    assert_int_equal(sessions_peer_boot(w->s[0], 2), w->cfg[1].boot);
    assert_true(seal_settled(w));
    uint64_t got = w->got[1][0];
    assert_true(seal_say(w, 1, 0, SEAL_SHORT));
    seal_run(w, w->now + 10 * MS);
    assert_int_equal(w->got[1][0], got + 1);
}

/* The key that is known is not the one of the session in use: whoever is there now is asked. */
static void test_known_anew(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair();
    uint8_t buf[SESSION_HELLO_BYTES];
    const uint8_t none[NOISE_KEY_BYTES] = {0};
    assert_int_equal(sessions_output(w->s[0], 2, w->now, buf, sizeof buf), 0);
    sessions_know(w->s[0], 2, none);
    assert_int_equal(sessions_output(w->s[0], 2, w->now, buf, sizeof buf), sizeof buf);
    seal_world_free(w);
}

static void test_proved(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 91, 0);
    seal_start(w, 0);
    seal_start(w, 1);
    assert_null(sessions_peer_key(w->s[0], 2));
    seal_run(w, w->now + S);
    for (unsigned i = 0; i < 2; i++)
        assert_memory_equal(sessions_peer_key(w->s[i], seal_id(1 - i)), w->own[1 - i].key,
                            NOISE_KEY_BYTES);
    seal_world_free(w);
}

/* Who shows the key of node 1 without its secret gets a HELLO_ACK, which it cannot read: the session in use
 * goes on, and nothing of the claim is shown. Nor has it a chance where node 1 was never heard. */
static void test_claim(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair();
    struct noise_pair thief = w->own[1];
    thief.secret[1] ^= 1;
    struct sessions *s = somebody(w, thief);
    for (unsigned i = 0; i < 40; i++, w->now += 50 * MS)
        (void)talk(w, s);
    assert_false(sessions_ready(s, 1));
    assert_true(w->s[0]->peers[0]->next.live); /* it was taken, and answered */
    expect_node_1(w);
    sessions_free(s);
    seal_stop(w, 0);
    seal_stop(w, 1);
    seal_start(w, 0);
    s = somebody(w, thief);
    for (unsigned i = 0; i < 40; i++, w->now += 50 * MS)
        (void)talk(w, s);
    assert_false(sessions_ready(s, 1) || sessions_ready(w->s[0], 2));
    assert_true(w->s[0]->peers[0]->next.live);
    assert_null(sessions_peer_key(w->s[0], 2));
    sessions_free(s);
    seal_world_free(w);
}

/* Another directory under the id of node 1 is refused as long as node 1 is heard; copies of its HELLO are not
 * even looked at. When node 1 has been silent, its key is proved, and
 * shown: who counts is not for sessions to say. Node 1 itself is back at once. */
static void test_other_directory(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair();
    struct sessions *s = somebody(w, pair_of(77));
    unsigned refused = 0;
    for (unsigned i = 0; i < 40; i++, w->now += 50 * MS)
        refused += talk(w, s) == DROP_DISK;
    assert_true(refused >= 3);
    assert_false(sessions_ready(s, 1));
    uint8_t copy[SESSION_HELLO_BYTES];
    memcpy(copy, s->peers[0]->attempts[0].hello, sizeof copy);
    assert_int_equal(seal_deliver(w, 1, 0, copy, sizeof copy), DROP_DISK);
    assert_int_equal(seal_deliver(w, 1, 0, copy, sizeof copy), DROP_STALE);
    expect_node_1(w);
    seal_stop(w, 1);
    w->now += 10 * (uint64_t)S;
    for (unsigned i = 0; i < 100; i++, w->now += 50 * MS)
        (void)talk(w, s);
    assert_true(sessions_ready(s, 1) && sessions_ready(w->s[0], 2));
    assert_memory_equal(sessions_peer_key(w->s[0], 2), pair_of(77).key, NOISE_KEY_BYTES);
    sessions_free(s);
    seal_start(w, 1);
    seal_run(w, w->now + S);
    expect_node_1(w);
    seal_world_free(w);
}

/* Our HELLO is answered by another directory: no session, as long as node 1 was just heard. */
static void test_other_answers(void **state)
{
    (void)state;
    struct seal_world *w = settled_pair();
    struct sessions *s = somebody(w, pair_of(77));
    uint8_t buf[SESSION_HELLO_BYTES], *payload;
    size_t n;
    w->s[0]->peers[0]->want_key = true; /* so it begins a handshake */
    enum drop last = DATAGRAM_STEP;
    for (unsigned i = 0; i < 40; i++, w->now += 50 * MS) {
        size_t len;
        while ((len = sessions_output(w->s[0], 2, w->now, buf, sizeof buf)) > 0)
            (void)sessions_open(s, 1, w->now, buf, len, &payload, &n);
        s->peers[0]->pending = false; /* it begins none of its own */
        while ((len = sessions_output(s, 1, w->now, buf, sizeof buf)) > 0)
            if ((buf[0] & 15) != SESSION_KIND_HELLO)
                last = seal_deliver(w, 1, 0, buf, len);
    }
    assert_int_equal(last, DROP_DISK);
    assert_memory_equal(sessions_peer_key(w->s[0], 2), w->own[1].key, NOISE_KEY_BYTES);
    sessions_free(s);
    seal_run(w, w->now + S);
    expect_node_1(w);
    seal_world_free(w);
}

/* A HELLO_ACK is withheld until its sender has restarted. If that has made itself known by then, the
 * answer has no effect, even if ours is wanted (for a new key). If only its HELLO was taken, which proves
 * nothing, the two find each other all the same. */
static void withheld_ack(bool known, bool wanted)
{
    struct seal_world *w = seal_world_new(2, 20, 0);
    w->hold[1][0] = SESSION_KIND_HELLO_ACK;
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    if (wanted)
        w->keys[0] = seal_keys(2, 1); /* node 1 has the second one alone */
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + (wanted ? 180u : 40u) * MS);
    assert_true(w->n_held > 0);
    struct seal_datagram old = w->held[0];
    seal_stop(w, 1);
    seal_start(w, 1);
    w->lose_kind[1][0] = 0;
    w->lose_kind[0][1] = SESSION_KIND_HELLO; /* only node 1's handshake proceeds */
    w->cut[1][0] = false;
    w->hold[1][0] = 0;
    seal_run(w, w->now + 13 * MS);
    w->hold[1][0] = known ? 0 : SEAL_ALL; /* its HELLO was taken, its confirmation is late */
    w->s[0]->peers[0]->want_key = wanted;
    seal_run(w, w->now + 20 * MS);
    uint64_t boot = sessions_peer_boot(w->s[0], seal_id(1));
    assert_int_equal(boot, known ? w->cfg[1].boot : 0);
    uint64_t current = seal_current(w, 0, 1), exchanges = seal_info(w, 0, 1).exchanges;
    assert_int_equal(seal_deliver(w, 1, 0, old.buf, old.len), known ? DROP_STALE : DATAGRAM_STEP);
    /* With the second key it answered a living HELLO. */
    assert_true(!known || seal_info(w, 0, 1).exchanges == exchanges + wanted);
    assert_true(!known || seal_current(w, 0, 1) == current);
    w->hold[1][0] = 0;
    w->lose_kind[0][1] = 0;
    for (uint64_t until = w->now + 3 * (uint64_t)S; w->now < until;) {
        (void)seal_say(w, 0, 1, SEAL_SHORT);
        (void)seal_say(w, 1, 0, SEAL_SHORT);
        seal_run(w, w->now + 50 * MS);
    }
    assert_true(seal_settled(w));
    assert_int_equal(sessions_peer_boot(w->s[0], seal_id(1)), w->cfg[1].boot);
    seal_world_free(w);
}

static void test_withheld_ack(void **state)
{
    (void)state;
    withheld_ack(true, false);
    withheld_ack(true, true);
    withheld_ack(false, false);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proved),        cmocka_unit_test(test_known_anew),
        cmocka_unit_test(test_claim),         cmocka_unit_test(test_other_directory),
        cmocka_unit_test(test_other_answers), cmocka_unit_test(test_withheld_ack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
