// LINK: @sim tests/lib/node_calm.c
/* Leases of whole nodes, in the simulator: who has one, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

enum {
    T_US = 150 * MS,
    LEASE_US = 10 * SECOND,
    /* Between two renewals: the time between two questions, and heartbeats: two until there is an answer that
     * carries the question, two until the round is answered, and one that carries the answer. */
    RENEWAL_US = LEASE_US / LEASE_ASKS + 5 * T_US / 2,
};

/* For so long the clients of a node may believe, by its own clock; 0: they may not. */
static uint64_t left(struct sim *s, unsigned node)
{
    const struct sim_node *m = &s->m[node];
    uint64_t until = m->up ? node_lease_until(m->node) : 0, now = sim_local(m, s->now);
    return until > now ? until - now : 0;
}

/* All nodes have leases soon, and for as long as they hear each other. */
static void test_all(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 3; nodes++) {
        struct sim *s = led(calm(nodes, nodes));
        sim_run(s, 3 * T_US);
        for (unsigned k = 0; k < 300; k++) {
            sim_run(s, 100 * MS);
            for (unsigned i = 0; i < nodes; i++) {
                assert_true(left(s, i) > LEASE_US - LEASE_US / 100 - RENEWAL_US);
                assert_true(left(s, i) <= LEASE_US - LEASE_US / 100);
            }
        }
        sim_free(s);
    }
}

/* A leader that hears nobody any more is not renewed, though it may lead for a while. Nor is a node without a
 * leader, and both have them again as soon as they hear each other. */
static void test_cut_off(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 7));
    sim_run(s, SECOND);
    unsigned alone = (unsigned)sim_leader(s);
    for (unsigned i = 0; i < 3; i++) {
        sim_cut(s, i, alone, true);
        sim_cut(s, alone, i, true);
    }
    uint64_t before = left(s, alone), cut = s->now;
    while (left(s, alone) > 0) {
        assert_true(left(s, alone) + (s->now - cut) <= before + 1);
        sim_run(s, 10 * MS);
    }
    assert_true(s->now - cut <= LEASE_US);
    for (unsigned i = 0; i < 3; i++)
        assert_true(i == alone || left(s, i) > LEASE_US - LEASE_US / 100 - RENEWAL_US);
    sim_heal(s);
    sim_run(s, 4 * SECOND);
    assert_true(left(s, alone) > LEASE_US - LEASE_US / 100 - RENEWAL_US);
    sim_free(s);
}

/* When a leader is lost nobody loses a lease: the next one renews them in time. */
static void test_another_leader(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 9));
    sim_run(s, SECOND);
    unsigned gone = (unsigned)sim_leader(s);
    sim_crash(s, gone);
    for (unsigned k = 0; k < 200; k++) {
        sim_run(s, 100 * MS);
        for (unsigned i = 0; i < 3; i++)
            assert_true(i == gone || left(s, i) > LEASE_US - LEASE_US / 100 - RENEWAL_US - SECOND);
    }
    sim_restart(s, gone);
    sim_run(s, SECOND);
    assert_true(left(s, gone) > LEASE_US - LEASE_US / 100 - RENEWAL_US);
    sim_free(s);
}

/* What a leader knows of the processes of its term. The one that ended is over in time, those that live never
 * are. */
static void test_over(void **state)
{
    (void)state;
    struct sim *s = led(calm(3, 11));
    sim_run(s, SECOND);
    unsigned leader = (unsigned)sim_leader(s), dead = (leader + 1) % 3, lives = (leader + 2) % 3;
    const struct lease *l = node_parts(s->m[leader].node).lease;
    uint64_t was = writes_process(node_parts(s->m[dead].node).writes), crashed = s->now;
    sim_crash(s, dead);
    sim_run(s, SECOND);
    sim_restart(s, dead);
    sim_run(s, 20 * SECOND);
    uint64_t now = sim_local(&s->m[leader], s->now),
             over = lease_over_at(l, (uint16_t)(dead + 1), was);
    uint64_t died = sim_local(&s->m[leader], crashed);
    assert_in_range(over, died + LEASE_US - RENEWAL_US, died + LEASE_US + 2 * SECOND);
    assert_true(over < now);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t process = writes_process(node_parts(s->m[i].node).writes);
        assert_true(lease_over_at(l, (uint16_t)(i + 1), process) > now + LEASE_US - RENEWAL_US);
    }
    assert_true(lease_over_at(node_parts(s->m[lives].node).lease, (uint16_t)(dead + 1), was) ==
                RAFT_NEVER);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_another_leader),
        cmocka_unit_test(test_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
