// LINK: raftd/node/health.c
/* test_health.c: one word for how a node is, and a sentence; and which one counts of several. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "raftd/node/health.h"

enum { S = 1000000 };

/* One of three voters, which follows node 2 and lacks nothing. */
static struct status well(void)
{
    struct status s = {.now_us = 100 * S, .id = 1, .standing = RAFT_VOTER, .leader = 2};
    s.own_standing = RAFT_STANDS;
    s.election_timeout_ms = 150;
    s.commit_index = s.leader_commit = s.applied_index = 5000;
    s.local_reads = 1;
    s.disk_free = 2;
    s.disk_min_free = 1;
    s.n_peers = 2;
    for (unsigned i = 0; i < 2; i++)
        s.peers[i] = (struct status_peer){
            .id = (uint16_t)(i + 2), .standing = RAFT_VOTER, .heard_us = 99 * S};
    return s;
}

static void silence(struct status *s, unsigned peers)
{
    s->leader = 0;
    for (unsigned i = 0; i < peers; i++)
        s->peers[i].loss_in_permille = STATUS_LOSS_ALL;
}

static void leads(struct status *s)
{
    s->leader = s->id;
    s->role = RAFT_LEADER;
}

static void becomes(struct status s, const char *name, const char *words)
{
    health_fill(&s, HEALTH_LAG_MAX);
    assert_string_equal(health_name((enum health)s.health), name);
    if (strstr(s.health_why, words) == NULL)
        fail_msg("%s: no \"%s\" in: %s", name, words, s.health_why);
    assert_null(strchr(s.health_why, '\n'));
    assert_in_range(strlen(s.health_why), 1, sizeof s.health_why - 2); /* nothing was cut */
}

static void test_ok(void **state)
{
    struct status s = well();
    (void)state;
    becomes(s, "ok", "node 2 leads");
    leads(&s);
    becomes(s, "ok", "this node leads");
    s.uncommitted_us = STATUS_UNCOMMITTED_US - 1;
    becomes(s, "ok", "this node leads");
    s.own_standing = RAFT_STAND_PRIORITY_0; /* it does what it is there for, */
    becomes(s, "ok", "leads");
    s.own_standing = RAFT_STAND_DRAINED; /* as told */
    becomes(s, "ok", "leads");
}

static void test_disk_slow(void **state)
{
    struct status s = well();
    (void)state;
    s.disk_slow = 1;
    s.fsync_p99_us = 123 * 1000;
    becomes(s, "disk_slow", "99 % took up to 123 ms");
    s.disk_slow = 0;
    s.disk_pending_us = HEALTH_DISK_HANGS_US - 1;
    becomes(s, "ok", "leads");
    s.disk_pending_us++;
    becomes(s, "disk_slow", "at one write for 1000 ms");
}

static void test_not_caught_up(void **state)
{
    struct status s = well();
    (void)state;
    s.leader_commit += HEALTH_LAG_MAX;
    becomes(s, "ok", "leads");
    s.leader_commit++;
    becomes(s, "not_caught_up", "1001 committed entries");
    assert_int_equal(health_of(&s, 1001), HEALTH_OK);
    assert_int_equal(health_of(&s, 1000), HEALTH_NOT_CAUGHT_UP);
    s.leader_commit = 0; /* of what is committed here it was not told, */
    s.applied_index--;
    assert_int_equal(health_lag(&s), 1);
    s = well();
    s.install_bytes = 3;
    s.install_of_bytes = 9;
    becomes(s, "not_caught_up", "3 of 9 bytes");
    assert_int_equal(health_of(&s, UINT64_MAX), HEALTH_NOT_CAUGHT_UP);
    s = well();
    s.local_reads = 0;
    becomes(s, "not_caught_up", "0 committed entries");
    /* Whether it is a member it learns when it has the log. */
    static const enum raft_stand outside[] = {RAFT_STAND_UNTOLD, RAFT_STAND_NO_MEMBER,
                                              RAFT_STAND_OTHER};
    for (unsigned i = 0; i < 3; i++) {
        s = well();
        s.own_standing = outside[i];
        becomes(s, "not_caught_up", "");
        s.leader = 0;
        becomes(s, "no_member", "takes part in nothing");
    }
}

static void test_full(void **state)
{
    struct status s = well();
    (void)state;
    s.disk_full = 1;
    becomes(s, "disk_full", "file system of data_dir is full");
    s = well();
    s.log_full = 1;
    becomes(s, "disk_full", "log_max_bytes");
    s = well();
    s.no_room = 1;
    becomes(s, "disk_full", "the leader, node 2, has no room");
    s = well();
    s.install_of_bytes = 9;
    s.disk_free = 0; /* the snapshot waits for room */
    becomes(s, "disk_full", "file system of data_dir is full");
}

/* What is wrong with its leader is wrong for a node's clients, but it is no trouble of its own. */
static void test_leader(void **state)
{
    static const struct {
        enum health told;
        const char *name, *words;
        bool writable, commits;
        enum health disk;
    } cases[] = {
        {HEALTH_UNKNOWN, "ok", "node 2 leads", true, true, HEALTH_OK},
        {HEALTH_OK, "ok", "node 2 leads", true, true, HEALTH_OK},
        {HEALTH_NOT_CAUGHT_UP, "ok", "node 2 leads", true, true, HEALTH_OK},
        {HEALTH_DISK_SLOW, "disk_slow", "the disk of the leader, node 2, is slow", true, true,
         HEALTH_DISK_SLOW},
        {HEALTH_DISK_FULL, "disk_full", "node 2, has no room on its disk or in its log: make room",
         false, true, HEALTH_DISK_FULL},
        {HEALTH_NO_QUORUM, "no_quorum", "node 2, can commit nothing", false, false, HEALTH_OK},
        {HEALTH_IN_DOUBT, "no_quorum", "node 2, takes no writes", false, false, HEALTH_OK},
    };
    bool leaders;
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status s = well();
        s.leader_health = (uint8_t)cases[i].told;
        becomes(s, cases[i].name, cases[i].words);
        assert_int_equal(health_own(&s, HEALTH_LAG_MAX), HEALTH_OK);
        assert_int_equal(health_writable(&s), cases[i].writable);
        assert_int_equal(health_commits(&s), cases[i].commits);
        assert_int_equal(health_disk(&s, &leaders), cases[i].disk);
        assert_int_equal(leaders, cases[i].disk != HEALTH_OK);
        leads(&s); /* what it heard before that is over */
        becomes(s, "ok", "this node leads");
        assert_true(health_writable(&s));
        silence(&s, 0);
        assert_false(health_writable(&s) || health_commits(&s));
    }
    /* Its own trouble is told first if it is as bad or worse. */
    struct status s = well();
    s.leader_health = HEALTH_DISK_SLOW;
    s.disk_pending_us = HEALTH_DISK_HANGS_US;
    becomes(s, "disk_slow", "the disk has been at one write");
    assert_true(health_disk(&s, &leaders) == HEALTH_DISK_SLOW && !leaders);
    s.leader_health = HEALTH_DISK_FULL;
    becomes(s, "disk_full", "the leader, node 2");
    assert_true(health_disk(&s, &leaders) == HEALTH_DISK_FULL && leaders);
    assert_int_equal(health_own(&s, HEALTH_LAG_MAX), HEALTH_DISK_SLOW);
    s.log_full = 1;
    becomes(s, "disk_full", "log_max_bytes");
    assert_true(health_disk(&s, &leaders) == HEALTH_DISK_FULL && !leaders);
}

static void test_writable(void **state)
{
    struct status s = well();
    (void)state;
    assert_true(health_writable(&s));
    s.doubt = STATUS_DOUBT_DAMAGED; /* its leader writes all the same */
    assert_true(health_writable(&s));
    s.differs_index = 7;
    assert_false(health_writable(&s));
    s = well();
    s.disk_full = 1;
    assert_false(health_writable(&s));
    s = well();
    s.log_full = 1;
    assert_false(health_writable(&s));
    s = well();
    s.no_room = 1;
    assert_false(health_writable(&s));
    s = well();
    s.install_of_bytes = 9;
    assert_true(health_writable(&s));
    s.disk_free = 0;
    assert_false(health_writable(&s));
    s = well();
    leads(&s);
    s.uncommitted_us = STATUS_UNCOMMITTED_US;
    assert_false(health_writable(&s));
}

static void test_doubt(void **state)
{
    struct status s = well();
    (void)state;
    s.doubt = STATUS_DOUBT_ACKNOWLEDGED;
    becomes(s, "in_doubt", "less than it had promised, and");
    s.doubt = STATUS_DOUBT_DAMAGED;
    becomes(s, "in_doubt", "its log was damaged");
    s = well();
    s.differs_index = 77;
    s.local_reads = 0;
    becomes(s, "in_doubt", "as of entry 77 differs");
}

static void test_without_leader(void **state)
{
    struct status s = well();
    (void)state;
    silence(&s, 0);
    becomes(s, "no_leader", "a majority is heard");
    silence(&s, 1);
    becomes(s, "no_leader", "a majority is heard");
    silence(&s, 2);
    becomes(s, "no_quorum", "1 of 3 voters are heard, this node among them, and 2 are needed");
    s = well();
    silence(&s, 1);
    s.peers[1].standing = RAFT_LEARNER; /* which counts for nobody */
    becomes(s, "no_quorum", "1 of 2 voters are heard");
    s = well();
    silence(&s, 1);
    s.peers[1].heard_us = 0; /* nothing is known of it yet */
    becomes(s, "no_quorum", "1 of 3 voters");
    s = well();
    silence(&s, 1);
    s.standing = RAFT_LEARNER;
    becomes(s, "no_quorum", "1 of 2 voters are heard");
    s = well();
    leads(&s);
    s.uncommitted_us = STATUS_UNCOMMITTED_US;
    becomes(s, "no_quorum", "has not written for 10 s");
}

/* The last of these counts, whatever came before. */
static void test_worst(void **state)
{
    static const char *const names[] = {"ok",       "disk_slow", "not_caught_up", "disk_full",
                                        "in_doubt", "no_quorum", "no_member",     "starting"};
    (void)state;
    struct status s = well();
    for (unsigned k = 0; k < sizeof names / sizeof *names; k++) {
        s.disk_slow = k >= 1;
        s.applied_index = k >= 2 ? 0 : 5000;
        s.disk_full = k >= 3;
        s.doubt = k >= 4 ? STATUS_DOUBT_DAMAGED : STATUS_DOUBT_NONE;
        if (k >= 5)
            silence(&s, 2);
        s.own_standing = k >= 6 ? RAFT_STAND_NO_MEMBER : RAFT_STANDS;
        strcpy(s.recovering, k >= 7 ? "reading the log" : "");
        becomes(s, names[k], k == 7 ? "reading the log" : "");
    }
}

/* All that is in the sentences at its longest. */
static void test_bounds(void **state)
{
    struct status s;
    (void)state;
    memset(&s, 0xff, sizeof s);
    s.n_peers = 0;
    s.leader = 2;
    s.leader_health = HEALTH_UNKNOWN;
    s.doubt = STATUS_DOUBT_DAMAGED;
    memset(s.recovering, 'r', sizeof s.recovering);
    s.recovering[sizeof s.recovering - 1] = '\0';
    for (int h = HEALTH_UNKNOWN; h <= HEALTH_COUNT; h++) {
        for (int h2 = 0; h2 < h; h2++)
            assert_true(h == HEALTH_COUNT ||
                        strcmp(health_name((enum health)h), health_name((enum health)h2)) != 0);
    }
    becomes(s, "starting", "rrr: wait");
    s.recovering[0] = '\0';
    s.role = RAFT_LEADER;
    becomes(s, "no_quorum", "failing");
    s.role = RAFT_FOLLOWER;
    becomes(s, "in_doubt", "which one is right");
    s.differs_index = 0;
    becomes(s, "in_doubt", "see to its disk");
    s.doubt = STATUS_DOUBT_NONE;
    becomes(s, "disk_full", "make room");
    s.disk_full = 0;
    s.install_of_bytes = 0;
    becomes(s, "disk_full", "raise log_max_bytes");
    s.log_full = 0;
    becomes(s, "disk_full", "make room there");
    s.no_room = 0;
    s.install_of_bytes = UINT64_MAX;
    becomes(s, "not_caught_up", "wait for it");
    s.install_of_bytes = 0;
    s.applied_index = 0;
    becomes(s, "not_caught_up", "the disk of this node");
    s.own_standing = RAFT_STANDS;
    s.commit_index = s.leader_commit = 0;
    becomes(s, "disk_slow", "whether it fails");
    s.disk_pending_us = 0;
    becomes(s, "disk_slow", "(4294967295)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ok),     cmocka_unit_test(test_disk_slow),
        cmocka_unit_test(test_full),   cmocka_unit_test(test_not_caught_up),
        cmocka_unit_test(test_doubt),  cmocka_unit_test(test_without_leader),
        cmocka_unit_test(test_worst),  cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_leader), cmocka_unit_test(test_writable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
