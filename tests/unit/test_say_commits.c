// LINK: raftd/say_commits.c raftd/base/lasting.c
/* A leader that commits nothing for long says so once, and that it is over; a slow disk is no news. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "raftd/base/say.h"
#include "raftd/say_commits.h"

enum { S = 1000000 };

static struct {
    unsigned warned, good;
    char line[400];
} heard;

#define HEAR(counter)                                                                              \
    va_list args;                                                                                  \
    va_start(args, fmt);                                                                           \
    (void)vsnprintf(heard.line, sizeof heard.line, fmt, args);                                     \
    va_end(args);                                                                                  \
    (counter)++

void say_warn(const char *fmt, ...)
{
    HEAR(heard.warned);
}

void say_info(const char *fmt, ...)
{
    HEAR(heard.good);
}

/* So many seconds in which nothing is committed, from the first on. */
static void pass(struct lasting *l, uint64_t *now, unsigned seconds)
{
    struct status s = {.role = RAFT_LEADER, .commit_index = 40, .last_index = 43};
    for (unsigned i = 0; i < seconds; i++, *now += S) {
        s.uncommitted_us = (uint64_t)i * S;
        say_commits(l, &s, *now);
    }
}

static void expect(unsigned warned, unsigned good, const char *words)
{
    assert_int_equal(heard.warned, warned);
    assert_int_equal(heard.good, good);
    if (words != NULL && strstr(heard.line, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, heard.line);
}

static void test_told_once(void **state)
{
    (void)state;
    struct lasting l = {0};
    uint64_t now = 7 * S;
    pass(&l, &now, 10); /* up to 9 s */
    pass(&l, &now, 10);
    expect(0, 0, NULL);
    pass(&l, &now, 60);
    expect(1, 0,
           "committed nothing for 10 s, and writes time out: the log has 43 entries, a majority of "
           "the disks only 40");
    pass(&l, &now, 1);
    expect(1, 1, "committed again, after 60 s");
    pass(&l, &now, 10);
    expect(1, 1, NULL);
    pass(&l, &now, 20);
    expect(2, 1, "committed nothing");
    struct status s = {.role = RAFT_FOLLOWER};
    say_commits(&l, &s, now);
    say_commits(&l, &s, now);
    expect(2, 2, "until this node stopped leading");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_told_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
