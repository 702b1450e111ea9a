// LINK: tests/lib/say_heard.c raftd/say_paths.c
/* A narrow path is told of once, with its node and sizes, and so is its end; a moment of bad luck is
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "raftd/say_paths.h"
#include "tests/lib/say_heard.h"

enum { S = 1000000 };

/* A path of this size for so many seconds, looked at ten times in each. */
static void pass(struct say_paths *p, uint64_t *now, uint32_t bytes, unsigned seconds)
{
    struct status s = {.n_peers = 2};
    s.peers[0] = (struct status_peer){.id = 2, .datagram_bytes = 1200, .datagram_usual = 1200};
    s.peers[1] = (struct status_peer){
        .id = 3, .datagram_bytes = bytes, .datagram_usual = 1200, .datagram_carried = bytes != 516};
    (void)snprintf(s.peers[1].addr, sizeof s.peers[1].addr, "192.0.2.3:7101");
    for (unsigned i = 0; i < 10 * seconds; i++, *now += S / 10)
        say_paths(p, &s, *now);
}

static void test_told_once(void **state)
{
    (void)state;
    struct say_paths p = {0};
    uint64_t now = 7 * S;
    pass(&p, &now, 1452, 60);
    pass(&p, &now, 512, 3);
    pass(&p, &now, 1200, 60);
    pass(&p, &now, 512, 4);
    pass(&p, &now, 1452, 1);
    pass(&p, &now, 512, 4);
    assert_int_equal(heard.warned + heard.good, 0);
    pass(&p, &now, 960, 600);
    assert_int_equal(heard.warned, 1);
    assert_non_null(strstr(heard.line, "node 3 (192.0.2.3:7101)"));
    assert_non_null(strstr(heard.line, "1200"));
    assert_non_null(strstr(heard.line, "960"));
    pass(&p, &now, 1200, 4);
    pass(&p, &now, 960, 4);
    assert_int_equal(heard.good, 0);
    pass(&p, &now, 1200, 600);
    assert_int_equal(heard.good, 1);
    assert_int_equal(heard.warned, 1);
    pass(&p, &now, 516, 600);
    assert_int_equal(heard.warned, 2);
    assert_non_null(strstr(heard.line, "and none of 516 has yet"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_told_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
