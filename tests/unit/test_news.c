// LINK: tests/lib/say_heard.c raftd/news.c raftd/core/member.c raftd/base/lasting.c net/wire.c -lsodium
/* What people are told: each trouble once, and once more only when there is reason to. */
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
#include "raftd/news.h"
#include "tests/lib/say_heard.h"

#define MIN UINT64_C(60000000)

const char *status_session_name(enum status_session session)
{
    (void)session;
    return "";
}

const char *raft_stand_name(enum raft_stand stand)
{
    return stand == RAFT_STAND_DRAINED ? "drained" : "stands";
}

const char *raft_waits_name(enum raft_waits waits)
{
    return waits == RAFT_WAITS_NEW ? "the leader is new" : "nothing";
}

const char *raft_transfer_name(enum raft_transfer transfer)
{
    (void)transfer;
    return "HOW";
}

const char *raft_why_name(enum raft_why why)
{
    (void)why;
    return "WHY";
}

static struct status two_peers(void)
{
    struct status s = {.n_peers = 2, .id = 1, .standing = RAFT_VOTER, .max_data_bytes = 1000};
    for (unsigned i = 0; i < 2; i++) {
        s.peers[i].id = (uint16_t)(i + 2);
        s.peers[i].standing = RAFT_VOTER;
        (void)snprintf(s.peers[i].addr, sizeof s.peers[i].addr, "192.0.2.%u:7101", i + 2);
        s.peers[i].session = STATUS_SESSION_ESTABLISHED;
        s.peers[i].session_us = 10 * MIN;
        s.peers[i].session_overdue_us = 130 * MIN;
    }
    return s;
}

enum { SEC = 1000000 };

static struct {
    struct news said;
    struct status s;
    uint64_t now;
} w;

/* A node that hears a leader and both peers; nothing was said. */
static void begin(void)
{
    heard_forget();
    w.said = (struct news){0};
    w.s = two_peers();
    w.s.leader = 1;
    w.s.peers[0].heard_us = w.s.peers[1].heard_us = UINT64_MAX / 2;
    w.now = 20 * MIN;
}

/* Time passes, and status is looked at four times a second, as in the daemon. */
static void pass(uint64_t us)
{
    for (uint64_t end = w.now + us; w.now < end; w.now += SEC / 4)
        news_status(&w.said, &w.s, w.now);
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
        {STATUS_SESSION_CLONED, DROP_COUNT, "node 3 (A,B) is more than one living box", true},
        {STATUS_SESSION_OWN_CLONE, DROP_COUNT, "node 3 (192.0.2.3:7101) hears another living box",
         true},
        {STATUS_SESSION_PLAIN, DROP_CLUSTER, "node 3 (192.0.2.3:7101) is of another cluster",
         false},
        {STATUS_SESSION_HANDSHAKE, DROP_VERSION, "node 3 (192.0.2.3:7101) speaks another version",
         false},
        {STATUS_SESSION_HANDSHAKE, DROP_KIND,
         "node 3 (192.0.2.3:7101) speaks in plain text and this node does not", false},
        {STATUS_SESSION_PLAIN, DROP_KIND,
         "node 3 (192.0.2.3:7101) seals its datagrams and this node does not", false},
        {STATUS_SESSION_PLAIN, DROP_MISDIRECTED,
         "node 3 (192.0.2.3:7101) takes this node for another one", false},
        {STATUS_SESSION_PLAIN, DROP_UNKNOWN, "node 3 (192.0.2.3:7101) is another node", false},
        {STATUS_SESSION_PLAIN, DROP_LONG, "node 3 (192.0.2.3:7101) sends larger datagrams", false},
        {STATUS_SESSION_PLAIN, DROP_SHORT, "node 3 (192.0.2.3:7101) sends datagrams that are cut",
         false},
        {STATUS_SESSION_PLAIN, DROP_CHECKSUM,
         "node 3 (192.0.2.3:7101) sends datagrams that are damaged", false},
        {STATUS_SESSION_ESTABLISHED, DROP_MALFORMED,
         "node 3 (192.0.2.3:7101) sends what this node does not understand", false},
        {STATUS_SESSION_ESTABLISHED, DROP_HELD,
         "node 3 (192.0.2.3:7101) is heard so much later than it speaks", false},
        {STATUS_SESSION_HANDSHAKE, DROP_COUNT,
         "node 3 (192.0.2.3:7101) was not heard since the start", false},
    };
    for (unsigned i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        begin();
        w.s.peers[1].heard_us = 0;
        w.s.start_us = w.now;
        w.s.peers[1].session = TABLE[i].session;
        memcpy(w.s.peers[1].at, "A,B", sizeof "A,B");
        bool told = false;
        for (unsigned sec = 0; sec < 700; sec++) {
            if (TABLE[i].drop != DROP_COUNT)
                w.s.peers[1].drops[TABLE[i].drop]++;
            pass(SEC);
            unsigned times = heard.warned + heard.errors;
            assert_true(sec >= 9 || times == 0);
            assert_true(sec < 16 || times >= 1);
            assert_true(times <= (sec < 600 ? 1 : 2));
            if (times == 1 && !told)
                assert_non_null(strstr(heard.line, TABLE[i].says));
            told = times > 0;
        }
        if (TABLE[i].drop != DROP_COUNT) { /* and the counter that says how many */
            char counter[40];
            (void)snprintf(counter, sizeof counter, "drop.%s in status", drop_name(TABLE[i].drop));
            assert_non_null(strstr(heard.line, counter));
        }
        /* Status has the same words, unless it is silence. */
        const char *words = w.s.peers[1].trouble;
        assert_true(strncmp(TABLE[i].says, "node 3 (192.0.2.3:7101) was not heard", 37) == 0
                        ? words == NULL
                        : words != NULL && strstr(heard.line, words) != NULL);
        assert_null(w.s.peers[0].trouble);
        assert_int_equal(heard.errors, TABLE[i].is_error ? 2 : 0);
        assert_int_equal(heard.warned, TABLE[i].is_error ? 0 : 2);
        assert_int_equal(heard.good, 0);
        w.s.peers[1].session = STATUS_SESSION_ESTABLISHED;
        w.s.peers[1].heard_us = w.now;
        pass(2 * SEC);
        assert_int_equal(heard.good, 1);
        assert_string_equal(heard.line, "node 3 (192.0.2.3:7101) is heard again");
        assert_null(w.s.peers[1].trouble);
    }
}

/* The members in the log say where a node is looked for. */
static void test_no_member(void **state)
{
    (void)state;
    begin();
    w.s.peers[1].heard_us = 0;
    w.s.start_us = w.now;
    w.s.peers[1].session = STATUS_SESSION_OTHER_CLUSTER;
    w.s.peers[1].addr[0] = '\0';
    for (unsigned sec = 0; sec < 20; sec++)
        pass(SEC);
    heard_is(1, 0, 0, "node 3 (no member) is of another cluster");
}

/* Who stays out was told so when it learnt it: status shows it, and no message comes. */
static void test_stays_out(void **state)
{
    (void)state;
    begin();
    w.s.peers[1].session = STATUS_SESSION_STAYS_OUT;
    pass(60 * SEC);
    heard_is(0, 0, 0, NULL);
    assert_non_null(strstr(w.s.peers[1].trouble, "is not counted by this node"));
}

/* A state that comes and goes fills no log: nothing of moments, and of the rest one line in ten
 * minutes. */
static void test_flapping(void **state)
{
    (void)state;
    begin();
    w.s.peers[1].heard_us = 0;
    for (unsigned i = 0; i < 100; i++) {
        w.s.peers[1].heard_us = w.now;
        w.s.peers[1].session = STATUS_SESSION_WRONG_KEY;
        pass(9 * SEC);
        w.s.peers[1].session = STATUS_SESSION_ESTABLISHED;
        pass(SEC);
    }
    assert_int_equal(heard.errors + heard.warned + heard.good, 0);
    for (unsigned i = 0; i < 60; i++) { /* twenty minutes */
        w.s.peers[1].heard_us = w.now;
        w.s.peers[1].session = STATUS_SESSION_WRONG_KEY;
        pass(15 * SEC);
        w.s.peers[1].session = STATUS_SESSION_ESTABLISHED;
        w.s.peers[1].heard_us = w.now;
        pass(5 * SEC);
    }
    assert_in_range(heard.errors, 2, 3);
    assert_in_range(heard.good, 2, 3);
}

static void test_no_leader(void **state)
{
    (void)state;
    begin();
    w.s.leader = 0;
    pass(9 * SEC);
    assert_int_equal(heard.warned, 0);
    pass(100 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_non_null(strstr(heard.line, "no leader for 10 s"));
    assert_non_null(strstr(heard.line, "3 of 3 nodes are here, 2 are needed"));
    w.s.leader = 2;
    pass(SEC);
    assert_int_equal(heard.good, 1);
    assert_non_null(strstr(heard.line, "node 2 leads"));
}

/* Learners and strangers are not among those that a leader needs, and a stranger may fall silent. */
static void test_who_is_needed(void **state)
{
    (void)state;
    begin();
    w.s.peers[1].heard_us = 0;
    w.s.leader = 0;
    w.s.peers[1].standing = RAFT_NO_MEMBER;
    w.s.standing = RAFT_LEARNER;
    pass(30 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_non_null(strstr(heard.line, "1 of 1 nodes are here, 1 are needed"));
    assert_int_equal(heard.errors, 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    begin();
    w.s.no_memory = 4;
    pass(5 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_non_null(strstr(heard.line, "out of memory: node 4 is a peer"));
    w.s.no_memory = 0;
    pass(SEC);
    assert_int_equal(heard.good, 1);
}

/* The kernel refuses what is sent: its reason. An address of ours that is not there yet has a message
 * of its own. */
static void test_send_fails(void **state)
{
    (void)state;
    begin();
    for (unsigned k = 0; k < 2; k++) {
        heard_forget();
        w.s.udp.lost_errno = k == 0 ? EADDRNOTAVAIL : EPERM;
        for (unsigned sec = 0; sec < 60; sec++) {
            w.s.udp.lost++;
            pass(SEC);
        }
        assert_int_equal(heard.warned, k);
    }
    assert_non_null(strstr(heard.line, strerror(EPERM)));
    pass(30 * SEC);
    assert_int_equal(heard.good, 1);
}

/* A setting that should be equal: both values are named, and work goes on. One that is not told is not
 * compared. */
static void test_settings(void **state)
{
    (void)state;
    begin();
    w.s.settings = (struct wire_settings){3, {65536, 150, 7}};
    w.s.peers[0].settings = (struct wire_settings){1, {65536}};
    w.s.peers[1].settings = (struct wire_settings){3, {65536, 500, 7}};
    pass(500 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_non_null(
        strstr(heard.line, "election_timeout_ms is 500 at node 3 (192.0.2.3:7101) and 150 here"));
    w.s.peers[1].settings.value[1] = 150;
    pass(500 * SEC);
    assert_int_equal(heard.warned, 1);
    assert_int_equal(heard.good, 1);
}

/* Another box under the id of one that is there: said once, if it lasts. */
static void test_second_box(void **state)
{
    (void)state;
    begin();
    w.s.peers[1].drops[DROP_DISK]++;
    pass(60 * SEC);
    heard_is(0, 0, 0, "");
    for (unsigned i = 0; i < 30; i++) {
        w.s.peers[1].drops[DROP_DISK]++;
        pass(SEC);
    }
    heard_is(1, 0, 0, "node 3 (192.0.2.3:7101) is there, and another box comes under its id");
    assert_null(w.s.peers[1].trouble);
}

static void stranger(uint8_t kind, uint16_t id, uint32_t ip, uint16_t port)
{
    uint8_t buf[16] = {(uint8_t)(0x20 | kind)};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)};
    from.sin_addr.s_addr = htonl(ip);
    put_u16(buf + 2, id);
    put_u64(buf + 8, 77);
    news_stranger(&w.said, 78, buf, sizeof buf, (const struct sockaddr *)&from,
                  w.now); /* not ours */
    news_stranger(&w.said, 77, buf, sizeof buf - 1, (const struct sockaddr *)&from, w.now);
    news_stranger(&w.said, 77, buf, sizeof buf, (const struct sockaddr *)&from, w.now);
}

/* One address is named when it goes on; inventing more of them makes no lines. */
static void test_strangers(void **state)
{
    (void)state;
    begin();
    for (unsigned sec = 0; sec < 1200; sec++, w.now += SEC) {
        stranger(0, 3, 0xC0000209, 4711);
        for (unsigned i = 0; i < 20; i++)
            stranger(0, 2, 0xC6336400 + i, (uint16_t)(sec + 1));
    }
    assert_int_equal(heard.warned, 2);
    assert_non_null(strstr(heard.line, "node 3 of this cluster comes from 192.0.2.9:4711, and is "
                                       "dropped: that is no node's address"));
    for (unsigned sec = 0; sec < 600; sec++, w.now += SEC)
        stranger(2, 3, 0xC0000209, 4711);
    assert_int_equal(heard.warned, 3);
    assert_non_null(strstr(heard.line, "sealed with another key than ours. Compare key_file"));
}

static void say_at(uint64_t now)
{
    w.s.peers[0].heard_us = w.s.peers[1].heard_us = now - 3000000;
    news_status(&w.said, &w.s, now);
}

static void test_overdue(void **state)
{
    (void)state;
    begin();
    w.s.peers[0].session_overdue_us = UINT64_MAX; /* none */
    for (uint64_t now = 20 * MIN; now < 131 * MIN; now += MIN)
        say_at(now);
    assert_int_equal(heard.warned, 0);
    for (uint64_t now = 131 * MIN; now < 311 * MIN; now += MIN) {
        say_at(now);
        assert_int_equal(heard.warned, 1 + (now - 131 * MIN) / (10 * MIN));
        if (now == 131 * MIN)
            assert_non_null(strstr(heard.line, "node 3 (192.0.2.3:7101): the session's keys are "
                                               "121 min old"));
    }
    unsigned before = heard.warned;
    w.s.peers[1].session_us = 310 * MIN; /* replaced: the next one gets its minute, too */
    w.s.peers[1].session_overdue_us = 430 * MIN;
    say_at(330 * MIN);
    say_at(430 * MIN);
    assert_int_equal(heard.warned, before);
    say_at(431 * MIN);
    assert_int_equal(heard.warned, before + 1);
}

/* A peer that is away does not replace its session either; back again, it has a minute for it. */
static void test_away(void **state)
{
    (void)state;
    begin();
    w.s.peers[0].heard_us = w.s.peers[1].heard_us = 120 * MIN;
    for (uint64_t now = 120 * MIN; now < 500 * MIN; now += MIN)
        news_status(&w.said, &w.s, now);
    heard_forget(); /* that it is not heard was said */
    say_at(500 * MIN);
    w.s.peers[0].session_overdue_us = w.s.peers[1].session_overdue_us = 620 * MIN;
    say_at(501 * MIN);
    assert_int_equal(heard.warned, 0);
}

/* A path of this size for so many seconds. */
static void path(uint32_t bytes, unsigned seconds)
{
    struct status_peer *p = w.s.peers;
    p[0].datagram_bytes = p[0].datagram_usual = p[1].datagram_usual = 1200;
    p[1].datagram_bytes = bytes;
    p[1].datagram_carried = bytes != 516;
    pass((uint64_t)seconds * SEC);
}

/* A narrow path is told of once, with its node and sizes, and so is its end; a moment of bad luck is
 * not. */
static void test_narrow(void **state)
{
    (void)state;
    begin();
    path(1452, 60);
    path(512, 3);
    path(1200, 60);
    path(512, 4);
    path(1452, 1);
    path(512, 4);
    heard_is(0, 0, 0, NULL);
    path(960, 500);
    heard_is(0, 1, 0,
             "node 3 (192.0.2.3:7101): datagrams of 1200 bytes do not get through, those of 960");
    path(1200, 4);
    heard_is(0, 1, 1, "datagrams of 1200 bytes get through again");
    path(960, 90); /* one that comes and goes fills no log */
    path(1200, 4);
    heard_is(0, 1, 1, NULL);
    path(516, 500);
    heard_is(0, 2, 1, "and none of 516 has yet");
}

/* So many seconds in which nothing is committed, from the first on. */
static void uncommitted(unsigned seconds)
{
    w.s.role = RAFT_LEADER;
    w.s.commit_index = 40;
    w.s.last_index = 43;
    for (unsigned i = 0; i < seconds; i++, w.now += SEC) {
        w.s.uncommitted_us = (uint64_t)i * SEC;
        news_status(&w.said, &w.s, w.now);
    }
}

/* A leader that commits nothing for long says so once, and that it is over; a slow disk is no news. */
static void test_commits(void **state)
{
    (void)state;
    begin();
    uncommitted(10); /* up to 9 s */
    uncommitted(10);
    heard_is(0, 0, 0, NULL);
    uncommitted(60);
    heard_is(0, 1, 0,
             "committed nothing for 10 s, and writes time out: the log has 43 entries, a majority "
             "of the disks only 40");
    uncommitted(1);
    heard_is(0, 1, 1, "nothing was committed for 60 s, until now");
    uncommitted(10);
    heard_is(0, 1, 1, NULL);
    uncommitted(20);
    heard_is(0, 2, 1, "committed nothing");
    struct status s = {.leader = 1, .max_data_bytes = 1000};
    news_status(&w.said, &s, w.now);
    news_status(&w.said, &s, w.now);
    heard_is(0, 2, 2, "until this node stopped leading");
}

/* At 80 %, and once more after it was below 75 %. */
static void test_data(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        unsigned warned;
    } steps[] = {{799, 0}, {800, 1}, {900, 1}, {750, 1}, {800, 1}, {749, 1}, {799, 1}, {800, 2}};
    struct news said = {0};
    struct status s = {.leader = 1, .max_data_bytes = 1000};
    heard_forget();
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        s.data_bytes = steps[i].bytes;
        news_status(&said, &s, 20 * MIN);
        assert_int_equal(heard.warned, steps[i].warned);
    }
}

/* What lasts while `index` is not 0 is named once, and so is the end of it. */
static void named_once(void (*look)(struct news *said, uint64_t index), uint64_t index,
                       const char *begins, const char *ends)
{
    struct news said = {0};
    heard_forget();
    look(&said, 0);
    heard_is(0, 0, 0, NULL);
    for (unsigned i = 0; i < 3; i++)
        look(&said, index);
    heard_is(1, 0, 0, begins);
    look(&said, 0);
    look(&said, 0);
    heard_is(1, 0, 1, ends);
}

static void look_at_doubt(struct news *said, uint64_t index)
{
    news_raft(said, &(struct raft){.members.n = 1, .durable_index = 40, .doubt_index = index}, 1);
}

static void test_own_loss(void **state)
{
    (void)state;
    named_once(look_at_doubt, 50,
               "this node acknowledged entries up to 50 and has only 40: ", "no longer in doubt");
}

/* Damage is named at once, and again every ten minutes while it lasts. */
static void test_own_damage(void **state)
{
    (void)state;
    struct news said = {0};
    struct raft r = {.members.n = 1, .damaged = true, .trail.last = 40};
    heard_forget();
    for (uint64_t s = 1; s <= 1300; s++) {
        r.doubt_index = s / 2; /* the leader names an entry: no other message */
        news_raft(&said, &r, s * 1000000);
        heard_is(s < 601    ? 1
                 : s < 1201 ? 2
                            : 3,
                 0, 0,
                 s < 601 ? "this node is in doubt: its log was damaged, and ends with entry 40"
                         : "this node is still in doubt");
    }
    r.damaged = false;
    r.doubt_index = 0;
    for (uint64_t s = 1301; s < 2000; s++)
        news_raft(&said, &r, s * 1000000);
    heard_is(3, 0, 1, "no longer in doubt");
}

static void look_at_difference(struct news *said, uint64_t index)
{
    news_status(said, &(struct status){.leader = 1, .max_data_bytes = 1000, .differs_index = index},
                1);
}

static void test_differs(void **state)
{
    (void)state;
    named_once(look_at_difference, 20000,
               "the state of this node as of entry 20000 differs from another node's",
               "it serves again");
}

static void test_loss_of_a_peer(void **state)
{
    (void)state;
    struct news said = {.role = RAFT_LEADER};
    struct raft r = {
        .members.n = 1, .role = RAFT_LEADER, .n_peers = 2, .peers = {{.id = 2}, {.id = 3}}};
    heard_forget();
    r.peers[1].lost_index = 50;
    r.peers[1].probe_index = 40;
    news_raft(&said, &r, 1);
    news_raft(&said, &r, 1);
    heard_is(1, 0, 0, "node 3 acknowledged entries up to 50 and has only 40: ");
    r.peers[1].lost_index = 0;
    news_raft(&said, &r, 1);
    heard_is(1, 0, 1, "node 3 has again");
    /* Who no longer leads does not know. */
    r.peers[0].lost_index = 50;
    news_raft(&said, &r, 1);
    heard_is(2, 0, 1, "node 2 ");
    said.role = r.role = RAFT_FOLLOWER;
    news_raft(&said, &r, 1);
    heard_is(2, 0, 1, NULL);
    /* One that restarts in a row, and loses something each time, is named now and then. */
    said.role = r.role = RAFT_LEADER;
    for (unsigned i = 0; i < 20; i++) {
        r.peers[0].lost_index = i % 2 == 0 ? 50 : 0;
        news_raft(&said, &r, 1 + i * NEWS_LOST_US / 4);
    }
    assert_int_equal(heard.errors, 2 + 4);
    assert_int_equal(heard.good, 1 + 4); /* and the end of what people were told of */
    /* What a damaged node had acknowledged nobody knows. */
    r.peers[1].lost_index = 51;
    r.peers[1].boot = r.peers[1].damaged_boot = 7;
    news_raft(&said, &r, 30 * NEWS_LOST_US);
    heard_is(2 + 5, 0, 1 + 4, "the log of node 3 was damaged, as that node says");
    r.peers[1].lost_index = 0;
    news_raft(&said, &r, 30 * NEWS_LOST_US);
    heard_is(2 + 5, 0, 1 + 5, "node 3 has again");
}

static void test_roles(void **state)
{
    (void)state;
    static const struct {
        enum raft_role role;
        uint64_t term;
        uint16_t leader;
        const char *says; /* NULL: nothing */
    } steps[] = {
        {RAFT_FOLLOWER, 0, 0, NULL},
        {RAFT_CANDIDATE, 1, 0, "candidate in term 1: WHY"},
        {RAFT_CANDIDATE, 2, 0, NULL},
        {RAFT_LEADER, 2, 1, "leader of term 2 (WHY)"},
        {RAFT_FOLLOWER, 3, 0, "no longer leader: WHY (term 3)"},
        {RAFT_FOLLOWER, 3, 2, "node 2 leads term 3"},
        {RAFT_FOLLOWER, 3, 0, NULL},
        {RAFT_FOLLOWER, 3, 2, "node 2 leads term 3"},
        {RAFT_FOLLOWER, 4, 2, "node 2 leads term 4"},
    };
    struct news said = {0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct raft r = {.members.n = 1,
                         .role = steps[i].role,
                         .term = steps[i].term,
                         .leader = steps[i].leader};
        heard_forget();
        news_raft(&said, &r, 1);
        assert_int_equal(heard.good + heard.warned, steps[i].says != NULL);
        assert_string_equal(heard.line, steps[i].says != NULL ? steps[i].says : "");
    }
}

/* Of a node that waits to be added, is, and is removed after that. */
static void test_standing(void **state)
{
    (void)state;
    struct news said = {0};
    struct raft r = {.cfg = {.id = 4, .incarnation = 9}};
    uint64_t now = SEC;
    heard_forget();
    for (; now < 30 * SEC; now += SEC)
        news_raft(&said, &r, now);
    heard_is(0, 0, 1, "this node is no member yet: it waits until raftctl member add 4 ADDRESS");
    /* It hears the log of the time before it was added. */
    r.members = (struct raft_members){.n = 1, .m = {{.id = 1, .standing = RAFT_VOTER}}};
    for (; now < 35 * SEC; now += SEC)
        news_raft(&said, &r, now);
    heard_is(0, 0, 1, "this node is no member yet");
    r.members.m[r.members.n++] = (struct raft_member){.id = 4, .standing = RAFT_LEARNER};
    news_raft(&said, &r, now);
    heard_is(0, 0, 2, "this node is a member now");
    for (; now < 90 * SEC; now += SEC)
        news_raft(&said, &r, now);
    heard_is(0, 0, 2, "this node is a member now");
    r.members.m[1].incarnation = 8; /* another directory has its place */
    for (; now < 120 * SEC; now += SEC)
        news_raft(&said, &r, now);
    heard_is(0, 1, 2, "this node is no member: it takes part in nothing");
    r.members.m[1].incarnation = 9;
    news_raft(&said, &r, now);
    r.removed = 7; /* another node says so */
    for (; now < 150 * SEC; now += SEC)
        news_raft(&said, &r, now);
    heard_is(0, 1, 2, "this node is no member"); /* not again so soon */
    r.members.m[0].incarnation = 5;              /* it is known now */
    news_raft(&said, &r, now);
    heard_is(0, 1, 2, "this node is no member");
    r.members.m[0].incarnation = 6;
    for (unsigned i = 0; i < 3; i++)
        news_raft(&said, &r, now);
    heard_is(0, 1, 3, "node 1 is another data directory from now on");
}

/* A first member that was never there: that its key is not known is said after ten seconds, and which one
 * is taken as soon as it is. */
static void test_first_comes(void **state)
{
    (void)state;
    begin();
    w.s.n_members = 3;
    for (unsigned i = 0; i < 3; i++) {
        w.s.members[i] = (struct status_member){.id = (uint16_t)(i + 1), .standing = MEMBER_VOTER};
        (void)snprintf(w.s.members[i].addr, sizeof w.s.members[i].addr, "192.0.2.%u:7101", i + 1);
    }
    pass(20 * SEC); /* no list is in the log yet */
    heard_is(0, 0, 0, NULL);
    w.s.members_index = 2;
    w.s.members[1].incarnation = 12;
    pass(9 * SEC);
    heard_is(0, 0, 0, NULL); /* node 2 was met before */
    pass(2 * SEC);
    heard_is(0, 1, 0, "node 3 (192.0.2.3:7101) has never been here, so its key is not known");
    pass(500 * SEC);
    heard_is(0, 1, 0, NULL);
    heard_forget();
    w.s.members[2].incarnation = UINT64_C(0x1234567890abcdef);
    pass(SEC);
    heard_is(0, 1, 0,
             "node 3 (192.0.2.3:7101) counts from now on, with a data directory whose key begins "
             "with 1234567890abcdef");
    pass(20 * MIN);
    heard_is(0, 1, 0, NULL);
    w.s.members[1].incarnation = 13; /* that is told elsewhere */
    pass(20 * MIN);
    heard_is(0, 1, 0, NULL);
    /* A learner that is to come counts for nothing, and is expected. */
    w.s.members[2].incarnation = 0;
    w.s.members[2].standing = MEMBER_JOINING;
    pass(20 * MIN);
    heard_is(0, 1, 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_troubles),      cmocka_unit_test(test_no_member),
        cmocka_unit_test(test_stays_out),     cmocka_unit_test(test_flapping),
        cmocka_unit_test(test_no_leader),     cmocka_unit_test(test_send_fails),
        cmocka_unit_test(test_strangers),     cmocka_unit_test(test_settings),
        cmocka_unit_test(test_overdue),       cmocka_unit_test(test_away),
        cmocka_unit_test(test_narrow),        cmocka_unit_test(test_commits),
        cmocka_unit_test(test_data),          cmocka_unit_test(test_own_loss),
        cmocka_unit_test(test_own_damage),    cmocka_unit_test(test_loss_of_a_peer),
        cmocka_unit_test(test_roles),         cmocka_unit_test(test_differs),
        cmocka_unit_test(test_who_is_needed), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_standing),      cmocka_unit_test(test_second_box),
        cmocka_unit_test(test_first_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
