// LINK: @seal tests/lib/seal_world.c
/* Peers that come, go and move: whose a datagram is, and which one proves where its sender is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>

#include "net/seal/session_impl.h"
#include "tests/lib/seal_world.h"

enum { SECOND = 1000000, LONG = 200 };

static struct seal_world *settled(void)
{
    struct seal_world *w = seal_world_new(2, 5, 0);
    seal_start(w, 0);
    seal_start(w, 1);
    (void)seal_run_until(w, w->now + 10 * (uint64_t)SECOND, seal_settled);
    seal_run(w, w->now + 5 * (uint64_t)SECOND);
    assert_true(seal_settled(w) && w->n_queue == 0);
    return w;
}

/* The newest datagram that node 0 has said to node 1, which is lost. */
static struct seal_datagram said(struct seal_world *w)
{
    assert_true(seal_say(w, 0, 1, LONG));
    return w->queue[--w->n_queue];
}

static bool proves(struct seal_world *w, const struct seal_datagram *d, enum drop want)
{
    assert_int_equal(seal_deliver(w, 0, 1, d->buf, d->len), want);
    return sessions_newest(w->s[1], seal_id(0));
}

/* Only what is newer than all before. Not what was overtaken, a copy, or anything that is changed. */
static void test_data(void **state)
{
    (void)state;
    struct seal_world *w = settled();
    struct seal_datagram first = said(w), second = said(w), third = said(w), bad = said(w);
    assert_int_equal(sessions_whose(w->s[1], first.buf, first.len), seal_id(0));
    assert_true(proves(w, &second, DATAGRAM_DATA));
    assert_false(proves(w, &first, DATAGRAM_DATA));
    assert_false(proves(w, &second, DROP_REPLAY));
    bad.buf[LONG] ^= 1;
    assert_false(proves(w, &bad, DROP_UNAUTHENTIC));
    assert_true(proves(w, &third, DATAGRAM_DATA));
    first.buf[4] ^= 1; /* of another session */
    assert_int_equal(sessions_whose(w->s[1], first.buf, first.len), 0);
    assert_false(proves(w, &first, DROP_NO_SESSION));
    seal_world_free(w);
}

/* A session that was replaced proves nothing more, though what comes on it is still taken. */
static void test_former_session(void **state)
{
    (void)state;
    struct seal_world *w = settled();
    struct seal_datagram former = said(w);
    w->keys[0] = w->keys[1] = seal_keys(2, 1);
    for (unsigned i = 0; i < 2; i++)
        sessions_set_keys(w->s[i], &w->keys[i], w->now);
    (void)seal_run_until(w, w->now + 5 * (uint64_t)SECOND, seal_settled);
    struct seal_datagram now = said(w);
    assert_true(proves(w, &now, DATAGRAM_DATA));
    assert_false(proves(w, &former, DATAGRAM_DATA));
    seal_world_free(w);
}

/* A HELLO may be a copy, or anybody's claim, and its answer goes to whoever sent it; the first datagram on
 * the session is the peer's own. */
static void test_hello(void **state)
{
    (void)state;
    struct seal_world *w = settled();
    struct seal_datagram d = {.len = 0};
    seal_stop(w, 0);
    seal_start(w, 0);
    for (unsigned i = 0; i < 2; i++) {
        d.len = sessions_output(w->s[0], seal_id(1), w->now, d.buf, sizeof d.buf);
        assert_int_equal(d.buf[0] & 0x0F, SESSION_KIND_HELLO);
        assert_int_equal(sessions_whose(w->s[1], d.buf, d.len), seal_id(0));
        assert_int_equal(sessions_stranger(w->s[1], d.buf, d.len), i == 0 ? seal_id(0) : 0);
        assert_false(proves(w, &d, DATAGRAM_STEP));
        d.len = sessions_output(w->s[1], seal_id(0), w->now, d.buf, sizeof d.buf);
        assert_true(sessions_is_reply(d.buf));
        (void)seal_deliver(w, 1, 0, d.buf, d.len);
        assert_int_equal(sessions_newest(w->s[0], seal_id(1)), i == 1); /* its answer is fresh */
    }
    d.len = sessions_output(w->s[0], seal_id(1), w->now, d.buf, sizeof d.buf);
    assert_false(sessions_is_reply(d.buf));
    assert_true(proves(w, &d, DATAGRAM_STEP));
    seal_world_free(w);
}

static void test_strangers(void **state)
{
    (void)state;
    struct seal_world *w = settled();
    struct seal_datagram d = {.len = 0};
    seal_stop(w, 0);
    seal_start(w, 0);
    d.len = sessions_output(w->s[0], seal_id(1), w->now, d.buf, sizeof d.buf);
    sessions_remove_peer(w->s[1], seal_id(0));
    assert_int_equal(sessions_whose(w->s[1], d.buf, d.len), 0);
    assert_int_equal(sessions_stranger(w->s[1], d.buf, d.len), seal_id(0));
    for (size_t i = 0; i < d.len;
         i++) { /* whatever is changed, but its tag: only the answer tells */
        d.buf[i] ^= 1;
        assert_int_equal(sessions_stranger(w->s[1], d.buf, d.len), 0);
        d.buf[i] ^= 1;
    }
    assert_int_equal(sessions_stranger(w->s[1], d.buf, d.len - 1), 0);
    const struct session_keys others = seal_keys(9, 0);
    sessions_set_keys(w->s[1], &others, w->now);
    assert_int_equal(sessions_stranger(w->s[1], d.buf, d.len), 0);
    seal_world_free(w);
}

/* Nothing of a peer is left when it has gone: what it had sealed is no session's. */
static void test_come_and_go(void **state)
{
    (void)state;
    struct seal_world *w = settled();
    struct seal_datagram late = said(w);
    sessions_remove_peer(w->s[1], seal_id(0));
    for (uint16_t id = 10; id < 10 + SESSION_PEERS_MAX; id++)
        assert_true(sessions_add_peer(w->s[1], id, w->now));
    for (uint16_t id = 10; id < 10 + SESSION_PEERS_MAX; id++)
        sessions_remove_peer(w->s[1], id);
    assert_true(sessions_add_peer(w->s[1], seal_id(0), w->now));
    assert_false(proves(w, &late, DROP_NO_SESSION));
    assert_int_equal(sessions_peer_boot(w->s[1], seal_id(0)), 0);
    (void)seal_run_until(w, w->now + 10 * (uint64_t)SECOND, seal_settled);
    assert_true(seal_settled(w));
    seal_world_free(w);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data),        cmocka_unit_test(test_former_session),
        cmocka_unit_test(test_hello),       cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
