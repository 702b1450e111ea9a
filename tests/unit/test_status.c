// LINK: raftd/status.c
/* test_status.c: the lines of status, and that nothing is written past the buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/status.h"

/* In place of the core's, the longest that could be. */
const char *raft_role_name(enum raft_role role)
{
    return role == RAFT_LEADER ? "leader" : "pre-candidate";
}

const char *raft_peer_state_name(enum raft_peer_state state)
{
    return state == RAFT_PEER_REPLICATE ? "replicate" : "probe";
}

const char *raft_why_name(enum raft_why why)
{
    return why == RAFT_WHY_NONE ? "none" : "a reason that takes some fifty or sixty bytes to tell";
}

static void fill(struct status *s)
{
    *s = (struct status){.now_us = 90 * 1000000, .start_us = 30 * 1000000, .id = 2, .leader = 2};
    strcpy(s->cluster, "demo");
    s->role = RAFT_LEADER;
    s->term = 7;
    s->commit_index = UINT64_MAX;
    s->n_peers = 2;
    s->peers[0] = (struct status_peer){.id = 1, .addr = "192.0.2.1:7100", .match_index = 41};
    s->peers[0].state = RAFT_PEER_REPLICATE;
    s->peers[0].heard_us = 99 * 1000000;
    s->peers[1] = (struct status_peer){.id = 3, .addr = "[2001:db8::3]:7100"};
    s->drops[DROP_CHECKSUM] = 5;
    s->disk_full = 1;
    s->disk_pending_us = 12345;
}

static void has(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    if (!at || (at != text && at[-1] != '\n'))
        fail_msg("no line %s in\n%s", line, text);
}

static void test_lines(void **state)
{
    (void)state;
    struct status s;
    char text[STATUS_TEXT_MAX_BYTES + 1];
    fill(&s);
    size_t len = status_print(&s, 100 * 1000000, text, sizeof(text) - 1);
    text[len] = '\0';
    static const char *const lines[] = {
        "id=2\n",
        "cluster=demo\n",
        "role=leader\n",
        "term=7\n",
        "leader=2\n",
        "last_election=none\n",
        "uptime_s=70\n",
        "age_ms=10000\n",
        "commit_index=18446744073709551615\n",
        "drop.checksum=5\n",
        "drop.stream=0\n",
        "disk_full=1\n",
        "disk_pending_ms=12\n",
        "peer.1.match_index=41\n",
        "peer.1.state=replicate\n",
        "peer.1.last_heard_ms=1000\n",
        "peer.3.last_heard_ms=-1\n",
        "peer.3.addr=[2001:db8::3]:7100\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        has(text, lines[i]);
    s.role = RAFT_FOLLOWER;
    s.peers[0].heard_us = 101 * 1000000; /* clocks of two CPUs differ by a little */
    text[status_print(&s, 100 * 1000000, text, sizeof(text) - 1)] = '\0';
    assert_null(strstr(text, "match_index"));
    has(text, "peer.1.last_heard_ms=0\n");
}

/* Everything at its longest fits, and a smaller buffer gets whole lines and no byte more. */
static void test_bounds(void **state)
{
    (void)state;
    struct status s;
    memset(&s, 0xff, sizeof(s));
    memset(s.cluster, 'c', sizeof(s.cluster)); /* no zero byte */
    s.role = RAFT_LEADER;
    s.why = RAFT_WHY_SILENCE;
    s.n_peers = UINT32_MAX;
    for (int i = 0; i < RAFT_VOTERS_MAX; i++) {
        memset(s.peers[i].addr, 'a', sizeof(s.peers[i].addr));
        s.peers[i].state = RAFT_PEER_REPLICATE;
    }
    char text[STATUS_TEXT_MAX_BYTES];
    size_t len = status_print(&s, UINT64_MAX, text, sizeof(text));
    assert_true(len > 2000 && len < sizeof(text));
    for (size_t cap = 0; cap <= len + 1; cap++) {
        char *small = malloc(cap ? cap : 1);
        assert_non_null(small);
        size_t n = status_print(&s, UINT64_MAX, small, cap);
        assert_true(n <= cap && n <= len);
        assert_memory_equal(small, text, n);
        assert_true(n == 0 || small[n - 1] == '\n');
        free(small);
    }
}

static void test_drop_names(void **state)
{
    (void)state;
    for (int a = 0; a < DROP_COUNT; a++)
        for (int b = 0; b <= a; b++)
            assert_true((strcmp(drop_name((enum drop)a), drop_name((enum drop)b)) == 0) ==
                        (a == b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_drop_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
