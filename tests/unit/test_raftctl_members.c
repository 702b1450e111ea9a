// LINK: raftd/tool/members.c raftd/tool/cells.c raftd/tool/human.c @status @core @base
/* test_raftctl_members.c: the tables of members, and what is said below them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/tool/raftctl.h"

enum { S = 1000000 };

static struct status s;

static void member(unsigned i, uint16_t id, const char *addr)
{
    struct status_member *m = &s.members[i];
    *m = (struct status_member){.id = id, .standing = MEMBER_VOTER, .priority = 1, .percent = 100};
    (void)snprintf(m->addr, sizeof m->addr, "%s", addr);
    m->session = STATUS_SESSION_ESTABLISHED;
    m->heard_us = s.now_us - 55000;
    m->told_us = s.now_us - S;
    m->health = HEALTH_OK;
    m->rtt_us = 260;
    m->fsync_p99_us = 1100;
    m->log_bytes = 33 * 1000 * 1000;
    m->keys = 1200;
    m->uptime_s = 52 * 60;
    m->version = 1 << 8;
    m->incarnation = 0xab;
}

/* Node 1 asks; node 2 leads, and tells. */
static void start(void)
{
    s = (struct status){.now_us = 100 * S, .id = 1, .term = 29, .leader = 2, .cluster = "workshop"};
    s.health = HEALTH_OK;
    s.members_by = 2;
    s.members_led = 1;
    s.members_us = 99 * S;
    s.n_members = 3;
    member(0, 1, "192.168.7.11:7101");
    member(1, 2, "192.168.7.12:7101");
    member(2, 3, "192.168.7.13:7101");
    s.members[1].leads = 1;
    s.members[1].session = STATUS_SESSIONS;
    s.members[1].rtt_us = 0;
}

static void silence(struct status_member *m)
{
    m->heard_us = s.now_us - 9100000;
    m->loss_in_permille = STATUS_LOSS_ALL;
    m->loss_out_permille = STATUS_LOSS_UNKNOWN;
    m->rtt_us = 0;
    m->lag = 412;
}

static char *printed(bool how)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_true(print_members(out, &s, how));
    assert_int_equal(fclose(out), 0);
    for (const char *at = text, *end; *at != '\0'; at = end + 1) {
        end = strchr(at, '\n');
        assert_non_null(end);
        if (end - at > 80)
            fail_msg("%d columns: %.*s", (int)(end - at), (int)(end - at), at);
    }
    return text;
}

static void prints(bool how, const char *wanted)
{
    char *text = printed(how);
    assert_string_equal(text, wanted);
    free(text);
}

static void says(const char *words)
{
    char *text = members_troubles(&s);
    assert_non_null(text);
    if (strstr(text, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, text);
    free(text);
}

static void test_states(void **state)
{
    (void)state;
    start();
    silence(&s.members[2]);
    prints(true, "workshop: term 29, this is node 1\n\n"
                 "   node  role      health  lag  heard    rtt  loss%   disk   log  keys     up\n"
                 "      1  follower  ok        0   55ms  260us    0/0  1.1ms  33MB  1.2k  52min\n"
                 "*     2  leader    ok        -      -      -      -  1.1ms  33MB  1.2k  52min\n"
                 "!     3  silent    -       412   9.1s      -  100/?  1.1ms  33MB  1.2k  52min\n"
                 "\n"
                 "as node 2, which leads, saw it 1.0s ago\n"
                 "! node 3 has not been heard for 9.1s: is it down, or cut off?\n"
                 "! 2 of 3 voters are heard: if one more is lost, nothing can be written\n");
}

/* The box that asks was started after the member was heard last. */
static void test_long_silence(void **state)
{
    (void)state;
    start();
    silence(&s.members[2]);
    s.members[2].heard_us = status_moment(s.now_us, UINT64_C(70) * 86400 * S);
    says("node 3 has not been heard for 70d: is it down, or cut off?");
    char *text = printed(true);
    assert_non_null(strstr(text, "!     3  silent    -       412    70d      -"));
    free(text);
}

static void test_names(void **state)
{
    (void)state;
    start();
    s.members_led = 0;
    s.members[0].standing = MEMBER_LEARNER;
    s.members[0].priority = 200;
    s.members[2].incarnation = s.members[2].version = 0;
    s.members[2].session = STATUS_SESSION_OTHER_DISK;
    strcpy(s.members[2].addr, "a-box-with-a-long-name.example.com:7101,[2001:db8::13]:7101");
    prints(false, "  node standing role     prio version key              address\n"
                  "     1 learner  learner   200 0.1.0   00000000000000ab 192.168.7.11:7101\n"
                  "*    2 voter    leader      1 0.1.0   00000000000000ab 192.168.7.12:7101\n"
                  "!    3 voter    follower    1 -       -                \n"
                  "        a-box-with-a-long-name.example.com:7101,[2001:db8::13]:7101\n"
                  "\n"
                  "as node 2, which does not lead, saw it 1.0s ago\n"
                  "! node 3: other_disk, see session in raftctl(1)\n");
}

/* Numbers and words at their longest: lines of 80 columns still. */
static void test_width(void **state)
{
    (void)state;
    start();
    for (unsigned i = 0; i < 3; i++) {
        struct status_member *m = &s.members[i];
        m->id = (uint16_t)(997 + i);
        m->leads = 1;
        m->priority = 255;
        m->standing = MEMBER_JOINING;
        m->health = HEALTH_NOT_CAUGHT_UP;
        m->lag = m->keys = m->log_bytes = 999999;
        m->heard_us = s.now_us - 999999;
        m->rtt_us = m->fsync_p99_us = 999999;
        m->loss_in_permille = 999;
        m->loss_out_permille = 1000;
        m->uptime_s = 59 * 60;
        m->version = UINT32_MAX;
    }
    free(printed(true));
    free(printed(false));
    s.n_peers = 1;
    s.peers[0] = (struct status_peer){.id = 997};
    static char words[500];
    memset(words, 'w', sizeof words - 1); /* longer than a line */
    for (unsigned i = 40; i < sizeof words - 1; i += 7)
        words[i] = i < 300 ? ' ' : 'w';
    s.peers[0].trouble = words;
    char *text = printed(true);
    assert_non_null(strstr(text, "! node 997 wwww"));
    assert_non_null(strstr(text, "\n  w"));
    free(text);
}

static void test_troubles(void **state)
{
    (void)state;
    start();
    says("");
    char *none = members_troubles(&s);
    assert_string_equal(none, "");
    free(none);
    s.members[2].heard_us = 0;
    says("node 3 was not heard yet: is it down");
    silence(&s.members[2]);
    silence(&s.members[0]);
    says("1 of 3 voters are heard, and 2 are needed: nothing can be written\n");
    s.members[0].standing = s.members[2].standing = MEMBER_LEARNER;
    char *learners = members_troubles(&s);
    assert_null(strstr(learners, "voters"));
    free(learners);
    start();
    s.health = HEALTH_DISK_SLOW;
    strcpy(s.health_why, "the disk is slow");
    says("this node: the disk is slow\n");
    start();
    s.members[2].drained = 1;
    says("node 3 is drained");
    start();
    s.members[2].lag = HEALTH_LAG_MAX;
    s.members[2].percent = 75;
    s.members[2].eta_s = 3;
    says("node 3 catches up: 75 % are there, the rest in about 3s\n");
    /* What is on its way, and what a leader said before it was one, is no trouble. */
    start();
    s.members[2].lag = 2;
    s.members[2].percent = 0;
    s.members[1].health = HEALTH_NO_LEADER;
    char *quiet = members_troubles(&s);
    assert_string_equal(quiet, "");
    free(quiet);
    s.members[1].health = HEALTH_NO_QUORUM;
    says("node 2 says that it has no quorum\n");
    s.members[1].leads = 0;
    s.members[1].health = HEALTH_NO_LEADER;
    says("node 2 says that it knows no leader\n");
    start();
    s.members[2].version = 2 << 8;
    says("node 3 runs another version than node 1");
    start();
    s.n_peers = 1;
    s.peers[0] = (struct status_peer){.id = 3, .trouble = "has another list of nodes"};
    says("node 3 has another list of nodes\n");
}

/* A node that starts knows no members yet, and one that is none is told nothing by them. */
static void test_outside(void **state)
{
    (void)state;
    start();
    s.n_members = 0;
    s.health = HEALTH_STARTING;
    char *text = printed(true);
    assert_non_null(strstr(text, "\n\nno members are known here yet\n! this node: "));
    assert_null(strstr(text, "saw it"));
    free(text);
    start();
    s.health = HEALTH_NO_MEMBER;
    silence(&s.members[1]);
    s.members[1].session = STATUS_SESSION_ESTABLISHED;
    silence(&s.members[2]);
    text = members_troubles(&s);
    assert_null(strstr(text, "voters are heard"));
    free(text);
    s.health = HEALTH_NO_QUORUM;
    says("voters are heard");
}

/* What the others say of themselves; our own is said in full. */
static void test_healths(void **state)
{
    (void)state;
    start();
    for (int h = HEALTH_DISK_SLOW; h < HEALTH_COUNT; h++) {
        s.members[2].health = (uint8_t)h;
        says("node 3 says that it");
    }
    silence(&s.members[2]); /* that was long ago */
    char *text = members_troubles(&s);
    assert_null(strstr(text, "says"));
    free(text);
    start();
    s.members[0].health = HEALTH_DISK_SLOW;
    text = members_troubles(&s);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),   cmocka_unit_test(test_long_silence),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_width),
        cmocka_unit_test(test_troubles), cmocka_unit_test(test_healths),
        cmocka_unit_test(test_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
