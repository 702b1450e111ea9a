// LINK: tests/lib/say_heard.c raftd/say_commits.c raftd/base/lasting.c
/* A leader that commits nothing for long says so once, and that it is over; a slow disk is no news. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/say_commits.h"
#include "tests/lib/say_heard.h"

enum { S = 1000000 };

/* So many seconds in which nothing is committed, from the first on. */
static void pass(struct lasting *l, uint64_t *now, unsigned seconds)
{
    struct status s = {.role = RAFT_LEADER, .commit_index = 40, .last_index = 43};
    for (unsigned i = 0; i < seconds; i++, *now += S) {
        s.uncommitted_us = (uint64_t)i * S;
        say_commits(l, &s, *now);
    }
}

static void test_told_once(void **state)
{
    (void)state;
    struct lasting l = {0};
    uint64_t now = 7 * S;
    pass(&l, &now, 10); /* up to 9 s */
    pass(&l, &now, 10);
    heard_is(0, 0, 0, NULL);
    pass(&l, &now, 60);
    heard_is(
        0, 1, 0,
        "committed nothing for 10 s, and writes time out: the log has 43 entries, a majority of "
        "the disks only 40");
    pass(&l, &now, 1);
    heard_is(0, 1, 1, "committed again, after 60 s");
    pass(&l, &now, 10);
    heard_is(0, 1, 1, NULL);
    pass(&l, &now, 20);
    heard_is(0, 2, 1, "committed nothing");
    struct status s = {.role = RAFT_FOLLOWER};
    say_commits(&l, &s, now);
    say_commits(&l, &s, now);
    heard_is(0, 2, 2, "until this node stopped leading");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_told_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
