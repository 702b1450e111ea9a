// LINK: raftd/say_peers.c
/* What is said of sessions: each mistake once, and again only when there is reason to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "raftd/say.h"
#include "raftd/say_peers.h"

#define MIN UINT64_C(60000000)

static struct {
    unsigned warned, errors, good;
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

void say_error(const char *fmt, ...)
{
    HEAR(heard.errors);
}

void say_info(const char *fmt, ...)
{
    HEAR(heard.good);
}

void say_debug(const char *fmt, ...)
{
    (void)fmt;
}

const char *status_session_name(enum status_session session)
{
    (void)session;
    return "";
}

static struct status two_peers(void)
{
    struct status s = {.n_peers = 2};
    for (unsigned i = 0; i < 2; i++) {
        s.peers[i].id = (uint16_t)(i + 2);
        (void)snprintf(s.peers[i].addr, sizeof s.peers[i].addr, "192.0.2.%u:7101", i + 2);
        s.peers[i].session = STATUS_SESSION_ESTABLISHED;
        s.peers[i].session_us = 10 * MIN;
        s.peers[i].session_overdue_us = 130 * MIN;
    }
    return s;
}

static void test_wrong_key(void **state)
{
    (void)state;
    static const enum status_session course[] = {
        STATUS_SESSION_HANDSHAKE, STATUS_SESSION_WRONG_KEY,   STATUS_SESSION_WRONG_KEY,
        STATUS_SESSION_HANDSHAKE, STATUS_SESSION_WRONG_KEY,   STATUS_SESSION_HANDSHAKE,
        STATUS_SESSION_WRONG_KEY, STATUS_SESSION_ESTABLISHED, STATUS_SESSION_ESTABLISHED,
    };
    struct say_peers said = {0};
    struct status s = two_peers();
    memset(&heard, 0, sizeof heard);
    for (unsigned i = 0; i < sizeof course / sizeof course[0]; i++) {
        s.peers[1].session = course[i];
        say_peers(&said, &s, 20 * MIN);
        assert_int_equal(heard.errors, i >= 1);
        assert_int_equal(heard.good, i >= 7);
        if (i == 1)
            assert_non_null(strstr(heard.line, "node 3 (192.0.2.3:7101) speaks with another key"));
    }
    assert_int_equal(heard.warned, 0);
}

static void say_at(struct say_peers *said, struct status *s, uint64_t now)
{
    s->peers[0].heard_us = s->peers[1].heard_us = now - 3000000;
    say_peers(said, s, now);
}

static void test_overdue(void **state)
{
    (void)state;
    struct say_peers said = {0};
    struct status s = two_peers();
    memset(&heard, 0, sizeof heard);
    s.peers[0].session_overdue_us = UINT64_MAX; /* none */
    for (uint64_t now = 20 * MIN; now < 131 * MIN; now += MIN)
        say_at(&said, &s, now);
    assert_int_equal(heard.warned, 0);
    for (uint64_t now = 131 * MIN; now < 311 * MIN; now += MIN) {
        say_at(&said, &s, now);
        assert_int_equal(heard.warned, 1 + (now - 131 * MIN) / (60 * MIN)); /* once an hour */
        if (now == 131 * MIN)
            assert_non_null(strstr(heard.line, "node 3 (192.0.2.3:7101): the session's keys are "
                                               "121 min old"));
    }
    s.peers[1].session_us = 310 * MIN; /* replaced: the next one is told of anew */
    s.peers[1].session_overdue_us = 430 * MIN;
    say_at(&said, &s, 312 * MIN);
    s.peers[1].session_overdue_us = 313 * MIN;
    say_at(&said, &s, 313 * MIN);
    assert_int_equal(heard.warned, 3);
    say_at(&said, &s, 314 * MIN);
    assert_int_equal(heard.warned, 4);
}

/* A peer that is away does not replace its session either; back again, it has a minute for it. */
static void test_away(void **state)
{
    (void)state;
    struct say_peers said = {0};
    struct status s = two_peers();
    memset(&heard, 0, sizeof heard);
    s.peers[0].heard_us = s.peers[1].heard_us = 120 * MIN;
    for (uint64_t now = 120 * MIN; now < 500 * MIN; now += MIN)
        say_peers(&said, &s, now);
    say_at(&said, &s, 500 * MIN);
    s.peers[0].session_overdue_us = s.peers[1].session_overdue_us = 620 * MIN;
    say_at(&said, &s, 501 * MIN);
    assert_int_equal(heard.warned, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_key),
        cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
