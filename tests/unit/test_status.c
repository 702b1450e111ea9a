// LINK: @status raftd/base/json.c raftd/base/num.c
/* test_status.c: what status shows, as lines and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/node/health.h"
#include "raftd/serve/status_text.h"

/* In place of the core's, the longest that could be. */
const char *raft_role_name(enum raft_role role)
{
    return role == RAFT_LEADER ? "leader" : "pre-candidate";
}

const char *raft_peer_state_name(enum raft_peer_state state)
{
    return state == RAFT_PEER_REPLICATE ? "replicate" : "probe";
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
    return transfer == RAFT_TRANSFER_NONE ? "none" : "a reason of some thirty bytes";
}

const char *raft_why_name(enum raft_why why)
{
    return why == RAFT_WHY_NONE ? "none" : "a reason that takes some fifty or sixty bytes to tell";
}

typedef void print_fn(FILE *out, const struct status *s, uint64_t now_us, bool json);

/* To be freed. */
static char *printed_by(print_fn *print, const struct status *s, uint64_t now_us, bool json)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    print(out, s, now_us, json);
    assert_int_equal(fclose(out), 0);
    return text;
}

static char *printed(const struct status *s, uint64_t now_us, bool json)
{
    return printed_by(status_print, s, now_us, json);
}

static void fill(struct status *s)
{
    *s = (struct status){.now_us = 90 * 1000000, .start_us = 30 * 1000000, .id = 2, .leader = 2};
    strcpy(s->cluster, "demo");
    s->role = RAFT_LEADER;
    s->term = 7;
    s->commit_index = UINT64_MAX;
    s->own_standing = RAFT_STAND_DRAINED;
    s->members_index = 9;
    s->incarnation = UINT64_C(0x0123456789abcdef);
    s->members_committed = 1;
    s->outranked_by = 4;
    s->waits = RAFT_WAITS_NEW;
    s->n_peers = 2;
    s->peers[0] = (struct status_peer){.id = 1, .addr = "192.0.2.1:7100", .match_index = 41};
    s->peers[0].lost_index = 43;
    s->doubt_index = 44;
    s->doubt = STATUS_DOUBT_DAMAGED;
    s->raft.lost_acked = 2;
    s->peers[0].state = RAFT_PEER_REPLICATE;
    s->peers[0].heard_us = 99 * 1000000;
    s->peers[0].session = STATUS_SESSION_ESTABLISHED;
    s->peers[0].session_us = 40 * 1000000;
    s->peers[0].session_key_id = 0xab01;
    s->peers[0].rtt_min_us = 210;
    s->peers[0].loss_in_permille = 303;
    s->peers[0].loss_out_permille = 7;
    s->peers[0].window_bytes = 12000;
    s->peers[0].in_flight_bytes = 3600;
    s->peers[0].resent_datagrams = 4;
    s->peers[0].datagram_bytes = 1452;
    s->peers[0].drops[DROP_REPLAY] = 2;
    s->peers[1] = (struct status_peer){.id = 3, .addr = "[2001:db8::3]:7100"};
    s->peers[1].trouble = "has another list of nodes";
    s->peers[1].loss_in_permille = s->peers[1].loss_out_permille = STATUS_LOSS_UNKNOWN;
    s->key_id = 0xab01;
    s->next_key_id = 0xcd02;
    s->udp.rxq_drops = 17;
    s->udp.receive_errors = 3;
    s->leader_before = 1;
    s->leader_since_us = 40 * 1000000;
    s->leader_changes_hour = 2;
    s->election_timeout_ms = 150;
    s->max_value_bytes = 65536;
    s->lease_ms = 10000;
    s->lease_left_us = 9700000;
    s->log_bytes = 8388608;
    s->log_max_bytes = 67108864;
    s->installs_failed = 3;
    s->log_first_index = 41;
    s->snapshot_index = 60;
    s->snapshot_bytes = 5000;
    s->install_bytes = 70;
    s->install_of_bytes = 80;
    s->udp.too_big = 1;
    s->n_links = 4;
    s->links[0] = (struct status_link){.id = 1, .at_us = 91 * 1000000, .heard = {0, 0, 30}};
    s->links[1] = (struct status_link){.id = 2, .at_us = 99 * 1000000, .heard = {100, 9, 255}};
    s->links[2] = (struct status_link){.id = 3, .at_us = 90 * 1000000};
    s->links[3] = (struct status_link){.id = 4, .at_us = 99 * 1000000, .heard = {254, 255, 0}};
    s->drops[DROP_CHECKSUM] = 5;
    s->heir = 3;
    s->transfer = RAFT_TRANSFER_RUNS;
    s->transfers = 4;
    s->drained = 1;
    s->no_room = 1;
    s->disk_full = 1;
    s->local_reads = 1;
    s->tail_dropped = 1;
    s->disk_pending_us = 12345;
    s->uncommitted_us = 23456;
}

static void has(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    if (!at || (at != text && at[-1] != '\n'))
        fail_msg("no line %s in\n%s", line, text);
}

static const char *const lines[] = {
    "id=2\n",
    "cluster=demo\n",
    "incarnation=0123456789abcdef\n",
    "role=leader\n",
    "term=7\n",
    "leader=2\n",
    "last_election=none\n",
    "transfer=a reason of some thirty bytes\n",
    "transfer_to=3\n",
    "transfers=4\n",
    "drained=1\n",
    "outranked_by=4\n",
    "outranked_waits=the leader is new\n",
    "own_standing=drained\n",
    "members_index=9\n",
    "members_committed=1\n",
    "leader_no_room=1\n",
    "uptime_s=70\n",
    "age_ms=10000\n",
    "commit_index=18446744073709551615\n",
    "drop.checksum=5\n",
    "drop.stream=0\n",
    "disk_full=1\n",
    "local_reads=1\n",
    "tail_dropped=1\n",
    "disk_pending_ms=12\n",
    "uncommitted_ms=23\n",
    "peer.1.match_index=41\n",
    "peer.1.lost_index=43\n",
    "doubt=1\n",
    "doubt_reason=damaged\n",
    "doubt_index=44\n",
    "lost_acked=2\n",
    "peer.1.state=replicate\n",
    "peer.1.last_heard_ms=1000\n",
    "peer.3.last_heard_ms=-1\n",
    "rxq_drops=17\n",
    "receive_errors=3\n",
    "leader_before=1\n",
    "leader_since_s=60\n",
    "leader_changes_hour=2\n",
    "election_timeout_ms=150\n",
    "max_value_bytes=65536\n",
    "lease_ms=10000\n",
    "lease_left_ms=9700\n",
    "log_bytes=8388608\n",
    "log_max_bytes=67108864\nlog_full=0\nlog_first_index=41\n",
    "snapshot_index=60\nsnapshot_bytes=5000\nimage=0\n",
    "install_bytes=70\ninstall_of_bytes=80\ninstalls_failed=3\n",
    "advice=the file system of data_dir is full: make room\n",
    "key_id=0000ab01\n",
    "next_key_id=0000cd02\n",
    "send_too_big=1\n",
    "drop.no_session=0\n",
    "peer.1.session=established\n",
    "peer.1.session_age_ms=60000\n",
    "peer.1.session_key_id=0000ab01\n",
    "peer.1.rtt_min_us=210\n",
    "peer.1.loss_in_permille=303\n",
    "peer.1.loss_out_permille=7\n",
    "peer.3.loss_in_permille=-1\n",
    "peer.3.loss_out_permille=-1\n",
    "peer.1.window_bytes=12000\n",
    "peer.1.in_flight_bytes=3600\n",
    "peer.1.datagram_bytes=1452\n",
    "peer.1.resent_datagrams=4\n",
    "peer.1.drop.replay=2\n",
    "peer.3.session=none\n",
    "peer.3.session_age_ms=-1\n",
    "peer.3.trouble=has another list of nodes\n",
    "link.1.2=0\n",
    "link.1.3=30\n",
    "link.2.1=100\n",
    "link.2.3=silent\n",
    "link.3.1=unknown\n", /* told too long ago */
    "link.3.2=unknown\n",
    "link.4.1=unknown\n", /* has just started */
    "link.4.2=silent\n",
    "peer.3.addr=[2001:db8::3]:7100\n",
};

static void test_lines(void **state)
{
    (void)state;
    struct status s;
    fill(&s);
    char *text = printed(&s, 100 * 1000000, false);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        has(text, lines[i]);
    static const char *const absent[] = {"peer.1.drop.short=", "peer.3.drop.",
                                         "link.1.1=", "peer.3.session_key_id=", "peer.1.trouble="};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        assert_null(strstr(text, absent[i]));
    s.next_key_id = 0;
    s.doubt_index = 0;
    s.doubt = STATUS_DOUBT_NONE;
    s.role = RAFT_FOLLOWER;
    s.peers[0].heard_us = 101 * 1000000; /* clocks of two CPUs differ by a little */
    free(text);
    text = printed(&s, 100 * 1000000, false);
    assert_null(strstr(text, "match_index"));
    assert_null(strstr(text, "next_key_id"));
    assert_null(strstr(text, "lost_index"));
    assert_null(strstr(text, "doubt_index"));
    assert_null(strstr(text, "doubt_reason"));
    has(text, "doubt=0\n");
    has(text, "peer.1.last_heard_ms=0\n");
    free(text);
}

/* The same names and values; ids are numbers, and what is in something is an object. */
static void test_json(void **state)
{
    (void)state;
    struct status s;
    fill(&s);
    s.n_peers = 1;
    s.n_links = 2;
    char *json = printed(&s, 100 * 1000000, true), *to = json;
    for (const char *from = json; *from != '\0'; from++) /* without the layout */
        if (*from != '\n' && !(*from == ' ' && (from[1] == ' ' || from[-1] == ' ' ||
                                                (from[-1] == ':' && from[-2] == '"'))))
            *to++ = *from;
    *to = '\0';
    static const char *const parts[] = {
        "{\"id\":2,\"cluster\":\"demo\",\"incarnation\":\"0123456789abcdef\","
        "\"health\":\"unknown\",\"health_why\":\"\",\"role\":"
        "\"leader\",\"term\":\"7\",\"leader\":2,",
        ",\"leader_before\":1,",
        ",\"own_standing\":\"drained\",\"members_index\":\"9\",\"members_committed\":\"1\","
        "\"commit_index\":\"18446744073709551615\",\"leader_commit_index\":\"0\",",
        ",\"advice\":\"the file system of data_dir is full: make room\","
        "\"drop\":{\"short\":\"0\",\"long\":\"0\",",
        "\"disk\":\"0\"},\"peers\":[{\"id\":1,\"addr\":\"192.0.2.1:7100\",\"state\":\"replicate\",",
        ",\"resent_datagrams\":\"4\",\"drop\":{\"replay\":\"2\"}}],"
        "\"link\":{\"1\":{\"2\":\"0\"},\"2\":{\"1\":\"100\"}}}",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(json, parts[i]) == NULL)
            fail_msg("no %s in\n%s", parts[i], json);
    assert_string_equal(json + strlen(json) - strlen(parts[5]), parts[5]);
    free(json);
    s.n_peers = 0;
    s.n_links = 1;
    strcpy(s.cluster, "a\"b\\c");
    json = printed(&s, 100 * 1000000, true);
    assert_non_null(strstr(json, "\n  \"cluster\": \"a\\\"b\\\\c\",\n"));
    assert_non_null(strstr(json, "\n  \"peers\": []\n}\n"));
    free(json);
}

/* Everything at its longest, so that even a guest has room for the answer. */
static void test_bounds(void **state)
{
    (void)state;
    struct status s;
    char trouble[257] = ""; /* longer than any in raftd/news.c */
    memset(trouble, 't', sizeof trouble - 1);
    memset(&s, 0xff, sizeof(s));
    memset(s.cluster, 'c', sizeof(s.cluster)); /* no zero byte */
    s.role = RAFT_LEADER;
    s.why = RAFT_WHY_SILENCE;
    s.n_peers = s.n_links = s.n_members = UINT32_MAX;
    for (int i = 0; i < RAFT_MEMBERS_MAX; i++)
        s.links[i].at_us = i == 0 ? UINT64_MAX : 0; /* "unknown" is the longest */
    for (int i = 0; i < RAFT_PEERS_MAX; i++) {
        memset(s.peers[i].addr, 'a', sizeof(s.peers[i].addr));
        s.peers[i].state = RAFT_PEER_REPLICATE;
        s.peers[i].session = STATUS_SESSION_ESTABLISHED;
        s.peers[i].trouble = trouble;
    }
    for (int json = 0; json < 2; json++) {
        char *text = printed_by(status_print_all, &s, UINT64_MAX, json);
        assert_in_range(strlen(text), 10000, STATUS_PRINT_MAX_BYTES);
        free(text);
    }
}

/* What raftctl looks at comes back from the text as it was, whatever the table calls it. */
static void test_read(void **state)
{
    (void)state;
    static struct status s, r;
    fill(&s);
    s.applied_index = 4000000000000;
    s.imaging = 1;
    s.images_given_up = 5;
    char *text = printed(&s, 100 * 1000000, false);
    status_read(&r, text, 100 * 1000000);
    assert_int_equal(r.id, 2);
    assert_int_equal(r.leader, 2);
    assert_int_equal(r.commit_index, UINT64_MAX);
    assert_int_equal(r.applied_index, 4000000000000);
    assert_int_equal(r.transfer, RAFT_TRANSFER_RUNS);
    assert_int_equal(r.transfers, 4);
    assert_int_equal(r.drained, 1);
    assert_int_equal(r.snapshot_index, 60);
    assert_int_equal(r.snapshot_bytes, 5000);
    assert_int_equal(r.imaging, 1);
    assert_int_equal(r.images_given_up, 5);
    assert_int_equal(r.n_peers, 2);
    assert_int_equal(r.peers[0].match_index, 41);
    assert_int_equal(r.peers[0].drops[DROP_REPLAY], 2);
    assert_null(r.peers[0].trouble);
    assert_int_equal(r.peers[1].id, 3);
    assert_string_equal(r.peers[1].trouble, "has another list of nodes");
    assert_int_equal(r.n_links, 4);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 4; k++) {
            assert_int_equal(r.links[i].id, i + 1);
            if (i == 2 && k != 2) /* that row is old */
                assert_int_equal(r.links[i].heard[k], STATUS_LINK_UNKNOWN);
            else if (i != k)
                assert_int_equal(r.links[i].heard[k], s.links[i].heard[k]);
        }
    free(text);
}

/* Numbers that the field or the text has no room for, ids and lines that make no sense. */
static void test_read_nonsense(void **state)
{
    (void)state;
    static struct status r;
    char text[] =
        "leader=65536\ndrained=256\nterm=-1\nid=7 \nrole=leader\n=5\npeer.\npeer.x.sent=1\n"
        "peer.70000.sent=1\nlink.1=5\nlink.1.2.3=5\nlink.0.1=5\nlink.4.4=5\ntransfer=whim\nterm";
    status_read(&r, text, 100 * 1000000);
    assert_int_equal(r.leader, 0);
    assert_int_equal(r.drained, 0);
    assert_int_equal(r.term, 0);
    assert_int_equal(r.id, 0);
    assert_int_equal(r.n_peers, 0);
    assert_int_equal(r.n_links, 0);
    assert_int_equal(r.transfer, RAFT_TRANSFER_COUNT);
    /* More than there is room for. */
    static char many[64 * 1000];
    size_t len = 0;
    for (unsigned id = 1; id < 1000; id++)
        len += (size_t)snprintf(many + len, sizeof many - len,
                                "peer.%u.match_index=9\nlink.%u.1=7\n", id, id);
    status_read(&r, many, 100 * 1000000);
    assert_int_equal(r.n_peers, sizeof r.peers / sizeof r.peers[0]);
    assert_int_equal(r.n_links, sizeof r.links / sizeof r.links[0]);
    assert_int_equal(r.peers[r.n_peers - 1].match_index, 9);
    assert_int_equal(r.links[r.n_links - 1].heard[1], 7);
}

static void test_names(void **state)
{
    (void)state;
    for (int a = 0; a <= STATUS_SESSION_STAYS_OUT; a++)
        for (int b = 0; b <= a; b++)
            assert_true((strcmp(status_session_name((enum status_session)a),
                                status_session_name((enum status_session)b)) == 0) == (a == b));
    for (int a = 0; a < DROP_COUNT; a++)
        for (int b = 0; b <= a; b++)
            assert_true((strcmp(drop_name((enum drop)a), drop_name((enum drop)b)) == 0) ==
                        (a == b));
    assert_string_equal(drop_name(DROP_COUNT), "?");
}

/* One thing at a time, then all: always one line. */
static void test_advice(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 10; k++) {
        struct status s;
        fill(&s);
        s.disk_full = k == 3 || k == 6;
        s.leader = k == 9 || k == 6 ? 0 : 2;
        s.log_full = k == 8 || k == 6;
        s.install_of_bytes = k == 7; /* which waits for room, too */
        s.disk_free = 1;
        s.disk_min_free = 2;
        s.uncommitted_us = STATUS_UNCOMMITTED_US - (k == 5 || k == 6 ? 0U : 1U);
        s.leader_since_us = 0;
        s.leader_changes_hour = k == 1 || k == 6 ? 3 : 2;
        s.datagrams_received = 1000 * 1000;
        s.max_data_bytes = 1000;
        s.data_bytes = k == 4 || k == 6 ? 801 : 800;
        s.udp.rxq_drops = k == 2 || k == 6 ? 1001 : 1000;
        char *text = printed(&s, 100 * 1000000, false);
        const char *line = strstr(text, "\nadvice=");
        assert_non_null(line);
        assert_null(strstr(line + 1, "\nadvice="));
        char *end = strchr(line + 1, '\n');
        assert_non_null(end);
        *end = '\0';
        static const char *const words[] = {
            "",
            "3 changes of leader within an hour: unless nodes were restarted",
            "too slow for 1001 datagrams: raise net.core.rmem_max",
            "data_dir is full",
            "over 80 % of max_data_bytes",
            "a majority of the disks has not written for 10 s",
            "log has reached log_max_bytes",
            "log of this node was damaged and no leader",
        };
        for (unsigned i = 1; i < 8; i++)
            if (!strstr(line, words[i]) == (k == 6 || i == (k == 7 ? 3 : k >= 8 ? k - 2 : k)))
                fail_msg("%u: %s", k, line + 1);
        if (k == 0)
            assert_string_equal(line + 1, "advice=none");
        *end = '\n';
        has(text, "leader_since_s=-1\n");
        free(text);
    }
}

static void fill_members(struct status *s)
{
    fill(s);
    s->n_members = 3;
    s->members_index = 17;
    s->members_by = 1;
    s->members_led = 1;
    s->members_us = 99 * 1000000;
    s->members[0] = (struct status_member){.id = 1,
                                           .standing = MEMBER_VOTER,
                                           .leads = 1,
                                           .priority = 1,
                                           .incarnation = 0xab,
                                           .addr = "192.0.2.1:7100",
                                           .session = STATUS_SESSIONS,
                                           .heard_us = 99 * 1000000,
                                           .told_us = 97 * 1000000,
                                           .match_index = 20,
                                           .percent = 100,
                                           .health = HEALTH_DISK_SLOW,
                                           .drained = 1,
                                           .version = 0x010203,
                                           .fsync_p99_us = 800,
                                           .uptime_s = 5,
                                           .applied_index = 19,
                                           .log_bytes = 4096,
                                           .data_bytes = 300,
                                           .keys = 30,
                                           .snapshot_index = 12,
                                           .snapshot_age_s = 60,
                                           .loss_in_permille = STATUS_LOSS_UNKNOWN,
                                           .loss_out_permille = STATUS_LOSS_UNKNOWN};
    s->members[1] = (struct status_member){.id = 3,
                                           .standing = MEMBER_LEARNER,
                                           .addr = "192.0.2.3:7100,box3:7100",
                                           .at = "192.0.2.9:7100",
                                           .session = STATUS_SESSION_ESTABLISHED,
                                           .heard_us = 98 * 1000000,
                                           .match_index = 10,
                                           .lag = 10,
                                           .lag_bytes = 250,
                                           .of_bytes = 1000,
                                           .percent = 75,
                                           .eta_s = 3,
                                           .rtt_us = 444,
                                           .loss_in_permille = 20,
                                           .loss_out_permille = 1000,
                                           .snapshot_age_s = UINT32_MAX};
    s->members[2] = (struct status_member){.id = 999, .standing = MEMBER_JOINING, .eta_s = -1};
}

static const char *const member_lines[] = {
    "members_index=17\n",
    "members_by=1\nmembers_by_leader=1\nmembers_told_ms=1000\n",
    "member.1.id=1\nmember.1.standing=voter\nmember.1.role=leader\nmember.1.priority=1\n",
    "member.1.incarnation=00000000000000ab\nmember.1.session=own\nmember.1.heard_ms=1000\n",
    "member.1.told_ms=3000\nmember.1.health=disk_slow\nmember.1.drained=1\n",
    "member.1.version=1.2.3\nmember.1.uptime_s=5\nmember.1.fsync_p99_us=800\n",
    "member.1.applied_index=19\nmember.1.log_bytes=4096\nmember.1.snapshot_index=12\n",
    "member.1.snapshot_age_s=60\nmember.1.data_bytes=300\nmember.1.keys=30\n",
    "member.3.address=192.0.2.3:7100,box3:7100\nmember.3.at=192.0.2.9:7100\n",
    "member.3.rtt_us=444\nmember.3.loss_in_permille=20\nmember.3.loss_out_permille=1000\n",
    "member.3.told_ms=-1\nmember.3.health=unknown\n",
    "member.3.snapshot_age_s=-1\n",
    "member.3.percent=75\nmember.3.eta_s=3\n",
    "member.999.heard_ms=-1\n",
};

static void test_members_lines(void **state)
{
    struct status s;
    (void)state;
    fill_members(&s);
    char *text = printed_by(status_print_members, &s, 100 * 1000000, false);
    for (size_t i = 0; i < sizeof member_lines / sizeof *member_lines; i++)
        has(text, member_lines[i]);
    assert_null(strstr(text, "term="));
    assert_null(strstr(text, "member.3.role"));
    free(text);
    /* Without a leader nobody knows how far the others are. */
    s.members_led = 0;
    text = printed_by(status_print_members, &s, 100 * 1000000, false);
    assert_null(strstr(text, ".lag="));
    free(text);
}

static void test_members_json(void **state)
{
    struct status s;
    (void)state;
    fill_members(&s);
    char *json = printed_by(status_print_members, &s, 100 * 1000000, true);
    static const char *const parts[] = {
        "{\n  \"members_index\": \"17\",\n  \"members_by\": 1,\n",
        "      \"id\": 1,\n      \"standing\": \"voter\",\n      \"role\": \"leader\",\n",
        "      \"percent\": \"75\",\n      \"eta_s\": \"3\",\n",
        "      \"heard_ms\": \"-1\",\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strstr(json, parts[i]) == NULL)
            fail_msg("no %s in\n%s", parts[i], json);
    }
    free(json);
}

/* What was read is printed as what was read, in all its lines. */
static void test_read_all(void **state)
{
    static struct status s, r;
    (void)state;
    fill_members(&s);
    s.health = HEALTH_DISK_FULL;
    strcpy(s.health_why, "make room");
    s.disk_slow = 1;
    s.leader_commit = 77;
    char *text = printed_by(status_print_all, &s, 100 * 1000000, false);
    char *work = strdup(text);
    status_read(&r, work, 100 * 1000000);
    char *again = printed_by(status_print_all, &r, 100 * 1000000, false);
    assert_string_equal(text, again);
    assert_true(r.health == HEALTH_DISK_FULL && r.now_us == 90 * 1000000);
    assert_true(r.members[0].leads && r.members[0].version == 0x010203);
    free(text);
    free(work);
    free(again);
}

/* What another box tells may be of before this one was started, or of months ago. */
static void test_read_ages(void **state)
{
    static const uint64_t days[] = {0, 1, 50, 4000};
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        static struct status s, r;
        char line[80];
        uint64_t now_us = 100 * 1000000, ago_us = days[i] * 86400 * 1000000;
        fill_members(&s);
        s.members[1].heard_us = s.members[1].told_us = status_moment(now_us, ago_us);
        char *text = printed_by(status_print_all, &s, now_us, false);
        (void)snprintf(line, sizeof line, "member.3.heard_ms=%llu\n", days[i] * 86400000ULL);
        has(text, line);
        (void)snprintf(line, sizeof line, "member.3.told_ms=%llu\n", days[i] * 86400000ULL);
        has(text, line);
        status_read(&r, text, now_us);
        assert_true(status_ago_us(now_us, r.members[1].heard_us) == ago_us);
        free(text);
    }
    assert_true(status_moment(5, 5) == 1); /* 0 is never */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_json),
        cmocka_unit_test(test_advice),       cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_read),         cmocka_unit_test(test_read_nonsense),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_members_lines),
        cmocka_unit_test(test_members_json), cmocka_unit_test(test_read_all),
        cmocka_unit_test(test_read_ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
