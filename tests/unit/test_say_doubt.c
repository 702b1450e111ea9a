// LINK: tests/lib/say_heard.c raftd/say_doubt.c
/* A disk that lost what was promised is named once, with the indexes, and so is the end of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/say_doubt.h"
#include "tests/lib/say_heard.h"

static unsigned allowed;

bool say_allowed(struct say_limit *limit, uint64_t now_us, uint32_t *dropped)
{
    (void)limit, (void)now_us, (void)dropped;
    return allowed++ < SAY_LIMIT_BURST;
}

static void test_own(void **state)
{
    (void)state;
    struct say_doubt said = {0};
    struct raft r = {.durable_index = 40};
    allowed = 0;
    heard_forget();
    say_doubt(&said, &r, 1);
    heard_is(0, 0, 0, NULL);
    r.doubt_index = 50;
    for (unsigned i = 0; i < 3; i++)
        say_doubt(&said, &r, 1);
    heard_is(1, 0, 0, "this node acknowledged entries up to 50 and has only 40: ");
    r.doubt_index = 0;
    say_doubt(&said, &r, 1);
    say_doubt(&said, &r, 1);
    heard_is(1, 0, 1, "no longer in doubt");
}

static void test_peers(void **state)
{
    (void)state;
    struct say_doubt said = {0};
    struct raft r = {.role = RAFT_LEADER, .n_peers = 2, .peers = {{.id = 2}, {.id = 3}}};
    allowed = 0;
    heard_forget();
    r.peers[1].lost_index = 50;
    r.peers[1].probe_index = 40;
    say_doubt(&said, &r, 1);
    say_doubt(&said, &r, 1);
    heard_is(1, 0, 0, "node 3 acknowledged entries up to 50 and has only 40: ");
    r.peers[1].lost_index = 0;
    say_doubt(&said, &r, 1);
    heard_is(1, 0, 1, "node 3 has again");
    /* Who no longer leads does not know. */
    r.peers[0].lost_index = 50;
    say_doubt(&said, &r, 1);
    heard_is(2, 0, 1, "node 2 ");
    r.role = RAFT_FOLLOWER;
    say_doubt(&said, &r, 1);
    heard_is(2, 0, 1, NULL);
}

static void test_limit(void **state)
{
    (void)state;
    struct say_doubt said = {0};
    struct raft r = {.role = RAFT_LEADER, .n_peers = 1, .peers = {{.id = 2}}};
    allowed = 0;
    heard_forget();
    for (unsigned i = 0; i < 20; i++) {
        r.peers[0].lost_index = i % 2 == 0 ? 50 : 0;
        say_doubt(&said, &r, 1);
    }
    assert_int_equal(heard.errors, SAY_LIMIT_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
