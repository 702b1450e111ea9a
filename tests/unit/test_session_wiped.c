// LINK: @seal tests/lib/seal_world.c
/* Secrets of handshakes that are over are nowhere in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal/session_impl.h"
#include "tests/lib/seal_world.h"

enum { MS = 1000, S = 1000000 };

/* What a finished handshake needed is gone from memory. */
static void test_wiped(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 80, 2 * S);
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + 15 * (uint64_t)S);
    for (unsigned i = 0; i < 2; i++) {
        w->s[i]->cfg.rekey_us = 0; /* no more */
        seal_run(w, w->now + 11 * (uint64_t)S);
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct session_peer *p = w->s[i]->peers[0];
        assert_true(sodium_is_zero((const uint8_t *)p->attempts, sizeof p->attempts));
        assert_true(sodium_is_zero((const uint8_t *)&p->prev, sizeof p->prev));
        assert_true(p->current.live);
        assert_true(p->next.live ? p->next.number > p->current.number
                                 : sodium_is_zero((const uint8_t *)&p->next, sizeof p->next));
    }
    seal_world_free(w);
    sessions_free(NULL);
}

/* So is what one needed that was given up: the peer's took its place, or the keys are others. */
static void test_given_up_is_wiped(void **state)
{
    (void)state;
    for (unsigned node = 0; node < 2; node++) {
        struct seal_world *w = seal_world_new(2, 82 + node, 0);
        const size_t all = sizeof w->s[0]->peers[0]->attempts;
        w->lose_kind[node][1 - node] = SESSION_KIND_HELLO;
        seal_start(w, 0);
        seal_start(w, 1);
        seal_pump(w);
        const struct session_peer *p = w->s[node]->peers[0];
        assert_true(p->attempts[0].live);
        seal_run(w, w->now + 200 * MS);
        assert_true(seal_settled(w));
        assert_true(sodium_is_zero((const uint8_t *)p->attempts, all));
        w->keys[node] = seal_keys(2, 0);
        sessions_set_keys(w->s[node], &w->keys[node], w->now);
        seal_pump(w);
        assert_true(p->attempts[0].live);
        w->keys[node] = seal_keys(3, 0);
        sessions_set_keys(w->s[node], &w->keys[node], w->now);
        assert_true(sodium_is_zero((const uint8_t *)p->attempts, all));
        seal_world_free(w);
    }
}

/* A datagram that is taken on a stack of our own, to look at afterwards. (A sanitizer puts what is on
 * the stack elsewhere: the plain build of this test is the one that sees it.) */
struct taking {
    struct seal_world *w;
    const struct seal_datagram *d;
    enum drop result;
    uint8_t *stack;
};

enum { STACK_BYTES = 1 << 20 };

static void *take(void *arg)
{
    struct taking *t = arg;
    t->result = seal_deliver(t->w, t->d->from, t->d->to, t->d->buf, t->d->len);
    return NULL;
}

static void take_aside(struct taking *t)
{
    pthread_attr_t attr;
    pthread_t thread;
    memset(t->stack, 0, STACK_BYTES);
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstack(&attr, t->stack, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attr, take, t), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_attr_destroy(&attr), 0);
    assert_int_equal(t->result, DATAGRAM_STEP);
}

static void unseen(const struct taking *t, const uint8_t secret[SESSION_KEY_BYTES])
{
    assert_null(memmem(t->stack, STACK_BYTES, secret, SESSION_KEY_BYTES));
}

/* Nothing of a handshake stays on the stack: neither what the keys of the session come from nor the
 * keys, on either side. */
static void test_stack_is_wiped(void **state)
{
    (void)state;
    struct seal_world *w = seal_world_new(2, 84, 0);
    struct taking t = {.w = w, .stack = aligned_alloc(4096, STACK_BYTES)};
    assert_non_null(t.stack);
    w->lose_kind[1][0] = SESSION_KIND_HELLO;
    seal_start(w, 0);
    seal_start(w, 1);
    seal_run(w, w->now + 2 * w->delay_us); /* the CHALLENGE has arrived; the next HELLO is sent */
    w->hold[0][1] = w->hold[1][0] = SEAL_ALL;
    assert_int_equal(w->n_queue, 1);
    struct seal_datagram hello = w->queue[--w->n_queue];
    struct session_attempt a = w->s[0]->peers[0]->attempts[0];
    t.d = &hello;
    take_aside(&t);
    seal_pump(w);
    struct seal_datagram ack = w->held[0];
    uint8_t payload[SESSION_HELLO_BYTES - NOISE_EXTRA_BYTES - SESSION_HEAD_BYTES - 16];
    assert_int_equal(noise_read(&a.noise, ack.buf + SESSION_HEAD_BYTES, payload, sizeof payload),
                     0); /* both sides have come to the same now */
    const struct session *x = &w->s[1]->peers[0]->next;
    assert_true(x->live);
    unseen(&t, a.noise.ck);
    unseen(&t, x->send);
    unseen(&t, x->receive);
    t.d = &ack;
    take_aside(&t);
    assert_true(seal_ready(w, 0, 1));
    unseen(&t, a.noise.ck);
    unseen(&t, a.noise.e);
    unseen(&t, x->send);
    unseen(&t, x->receive);
    free(t.stack);
    seal_world_free(w);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wiped),
        cmocka_unit_test(test_given_up_is_wiped),
        cmocka_unit_test(test_stack_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
