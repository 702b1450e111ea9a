// LINK: tests/lib/say_heard.c raftd/say_peers.c raftd/base/lasting.c net/wire.c -lsodium
/* What is said of the other nodes: each trouble once, and again only when there is reason to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/say_peers.h"
#include "tests/lib/say_heard.h"

#define MIN UINT64_C(60000000)

const char *status_session_name(enum status_session session)
{
    (void)session;
    return "";
}

static struct status two_peers(void)
{
    struct status s = {.n_peers = 2, .id = 1};
    for (unsigned i = 0; i < 2; i++) {
        s.peers[i].id = (uint16_t)(i + 2);
        (void)snprintf(s.peers[i].addr, sizeof s.peers[i].addr, "192.0.2.%u:7101", i + 2);
        s.peers[i].session = STATUS_SESSION_ESTABLISHED;
        s.peers[i].session_us = 10 * MIN;
        s.peers[i].session_overdue_us = 130 * MIN;
    }
    return s;
}

enum { SEC = 1000000 };

/* Time passes, and status is looked at four times a second, as in the daemon. */
static void pass(struct say_peers *said, struct status *s, uint64_t *now, uint64_t us)
{
    for (uint64_t end = *now + us; *now < end; *now += SEC / 4)
        say_peers(said, s, *now);
}

/* Each is told of after ten seconds, by name, and again after ten minutes; when the peer is heard again
 * it is over. */
static void test_troubles(void **state)
{
    (void)state;
    static const struct {
        enum status_session session;
        enum drop drop; /* DROP_COUNT = none */
        const char *says;
        bool is_error;
    } TABLE[] = {
        {STATUS_SESSION_WRONG_KEY, DROP_COUNT, "node 3 (192.0.2.3:7101) speaks with another key",
         true},
        {STATUS_SESSION_OTHER_LIST, DROP_COUNT, "node 3 (192.0.2.3:7101) has another list", true},
        {STATUS_SESSION_OTHER_DISK, DROP_COUNT, "node 3 (192.0.2.3:7101) comes with another data",
         true},
        {STATUS_SESSION_NEW_DISK, DROP_COUNT, "node 3 (192.0.2.3:7101) knows another data", true},
        {STATUS_SESSION_PLAIN, DROP_CLUSTER, "node 3 (192.0.2.3:7101) is of another cluster",
         false},
        {STATUS_SESSION_HANDSHAKE, DROP_VERSION, "node 3 (192.0.2.3:7101) speaks another version",
         false},
        {STATUS_SESSION_HANDSHAKE, DROP_KIND,
         "node 3 (192.0.2.3:7101) speaks in plain text and this node does not", false},
        {STATUS_SESSION_PLAIN, DROP_KIND,
         "node 3 (192.0.2.3:7101) seals its datagrams and this node does not", false},
        {STATUS_SESSION_HANDSHAKE, DROP_COUNT,
         "node 3 (192.0.2.3:7101) was not heard since the start", false},
    };
    for (unsigned i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        struct say_peers said = {0};
        struct status s = two_peers();
        uint64_t now = 20 * MIN;
        s.start_us = now;
        s.leader = 1;
        s.peers[0].heard_us = UINT64_MAX / 2;
        s.peers[1].session = TABLE[i].session;
        heard_forget();
        bool told = false;
        for (unsigned sec = 0; sec < 700; sec++) {
            if (TABLE[i].drop != DROP_COUNT)
                s.peers[1].drops[TABLE[i].drop]++;
            pass(&said, &s, &now, SEC);
            unsigned times = heard.warned + heard.errors;
            assert_true(sec >= 9 || times == 0);
            assert_true(sec < 16 || times >= 1);
            assert_true(times <= (sec < 600 ? 1 : 2));
            if (times == 1 && !told)
                assert_non_null(strstr(heard.line, TABLE[i].says));
            told = times > 0;
        }
        assert_int_equal(heard.errors, TABLE[i].is_error ? 2 : 0);
        assert_int_equal(heard.warned, TABLE[i].is_error ? 0 : 2);
        assert_int_equal(heard.good, 0);
        s.peers[1].session = STATUS_SESSION_ESTABLISHED;
        s.peers[1].heard_us = now;
        pass(&said, &s, &now, 2 * SEC);
        assert_int_equal(heard.good, 1);
        assert_string_equal(heard.line, "node 3 (192.0.2.3:7101) is heard again");
    }
}

/* A state that comes and goes fills no log: nothing of moments, and of the rest one line in ten
 * minutes. */
static void test_flapping(void **state)
{
    (void)state;
    struct say_peers said = {0};
    struct status s = two_peers();
    uint64_t now = 20 * MIN;
    s.leader = 1;
    s.peers[0].heard_us = UINT64_MAX / 2;
    heard_forget();
    for (unsigned i = 0; i < 100; i++) {
        s.peers[1].heard_us = now;
        s.peers[1].session = STATUS_SESSION_WRONG_KEY;
        pass(&said, &s, &now, 9 * SEC);
        s.peers[1].session = STATUS_SESSION_ESTABLISHED;
        pass(&said, &s, &now, SEC);
    }
    assert_int_equal(heard.errors + heard.warned + heard.good, 0);
    for (unsigned i = 0; i < 60; i++) { /* twenty minutes */
        s.peers[1].heard_us = now;
        s.peers[1].session = STATUS_SESSION_WRONG_KEY;
        pass(&said, &s, &now, 15 * SEC);
        s.peers[1].session = STATUS_SESSION_ESTABLISHED;
        s.peers[1].heard_us = now;
        pass(&said, &s, &now, 5 * SEC);
    }
    assert_in_range(heard.errors, 2, 3);
    assert_in_range(heard.good, 2, 3);
}

static void test_no_leader(void **state)
{
    (void)state;
    struct say_peers said = {0};
    struct status s = two_peers();
    uint64_t now = 20 * MIN;
    s.peers[0].heard_us = UINT64_MAX / 2;
    s.peers[1].heard_us = UINT64_MAX / 2;
    heard_forget();
    pass(&said, &s, &now, 9 * SEC);
    assert_int_equal(heard.warned, 0);
    pass(&said, &s, &now, 100 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_non_null(strstr(heard.line, "no leader for 10 s"));
    assert_non_null(strstr(heard.line, "3 of 3 nodes are here, 2 are needed"));
    s.leader = 2;
    pass(&said, &s, &now, SEC);
    assert_int_equal(heard.good, 1);
    assert_non_null(strstr(heard.line, "node 2 leads"));
}

/* The kernel refuses what is sent: its reason. An address of ours that is not there yet has a message
 * of its own. */
static void test_send_fails(void **state)
{
    (void)state;
    struct say_peers said = {0};
    struct status s = two_peers();
    uint64_t now = 20 * MIN;
    s.leader = 1;
    s.peers[0].heard_us = s.peers[1].heard_us = UINT64_MAX / 2;
    for (unsigned k = 0; k < 2; k++) {
        heard_forget();
        s.send_errno = k == 0 ? EADDRNOTAVAIL : EPERM;
        for (unsigned sec = 0; sec < 60; sec++) {
            s.send_lost++;
            pass(&said, &s, &now, SEC);
        }
        assert_int_equal(heard.warned, k);
    }
    assert_non_null(strstr(heard.line, strerror(EPERM)));
    pass(&said, &s, &now, 30 * SEC);
    assert_int_equal(heard.good, 1);
}

/* A setting that should be equal: both values are named, and work goes on. One that is not told is not
 * compared. */
static void test_settings(void **state)
{
    (void)state;
    struct say_peers said = {0};
    struct status s = two_peers();
    uint64_t now = 20 * MIN;
    s.leader = 1;
    s.peers[0].heard_us = s.peers[1].heard_us = UINT64_MAX / 2;
    s.settings = (struct wire_settings){3, {65536, 150, 7}};
    s.peers[0].settings = (struct wire_settings){1, {65536}};
    s.peers[1].settings = (struct wire_settings){3, {65536, 500, 7}};
    heard_forget();
    pass(&said, &s, &now, 500 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_non_null(
        strstr(heard.line, "election_timeout_ms is 500 at node 3 (192.0.2.3:7101) and 150 here"));
    s.peers[1].settings.value[1] = 150;
    pass(&said, &s, &now, 500 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_int_equal(heard.good, 1);
}

static void stranger(struct say_peers *said, uint16_t id, uint32_t ip, uint16_t port, uint64_t now)
{
    uint8_t buf[16] = {0x22};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)};
    from.sin_addr.s_addr = htonl(ip);
    put_u16(buf + 2, id);
    put_u64(buf + 8, 77);
    say_stranger(said, 78, buf, sizeof buf, (const struct sockaddr *)&from, now); /* not ours */
    say_stranger(said, 77, buf, sizeof buf - 1, (const struct sockaddr *)&from, now);
    say_stranger(said, 77, buf, sizeof buf, (const struct sockaddr *)&from, now);
}

/* One address is named when it goes on; inventing more of them makes no lines. */
static void test_strangers(void **state)
{
    (void)state;
    struct say_peers said = {0};
    uint64_t now = 20 * MIN;
    heard_forget();
    for (unsigned sec = 0; sec < 1200; sec++, now += SEC) {
        stranger(&said, 3, 0xC0000209, 4711, now);
        for (unsigned i = 0; i < 20; i++)
            stranger(&said, 2, 0xC6336400 + i, (uint16_t)(sec + 1), now);
    }
    assert_int_equal(heard.warned, 2);
    assert_non_null(strstr(heard.line, "node 3 of this cluster comes from 192.0.2.9:4711"));
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
    heard_forget();
    s.peers[0].session_overdue_us = UINT64_MAX; /* none */
    s.leader = 1;
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
    heard_forget();
    s.leader = 1;
    s.peers[0].heard_us = s.peers[1].heard_us = 120 * MIN;
    for (uint64_t now = 120 * MIN; now < 500 * MIN; now += MIN)
        say_peers(&said, &s, now);
    heard_forget(); /* that it is not heard was said */
    say_at(&said, &s, 500 * MIN);
    s.peers[0].session_overdue_us = s.peers[1].session_overdue_us = 620 * MIN;
    say_at(&said, &s, 501 * MIN);
    assert_int_equal(heard.warned, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_troubles),  cmocka_unit_test(test_flapping),
        cmocka_unit_test(test_no_leader), cmocka_unit_test(test_send_fails),
        cmocka_unit_test(test_strangers), cmocka_unit_test(test_settings),
        cmocka_unit_test(test_overdue),   cmocka_unit_test(test_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
