// LINK: raftd/stopping.c
/* How long a node that is told to stop waits for another leader. */
#include "raftd/stopping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { SELF = 1, TIMEOUT = 100000 };

static struct raft raft;

const struct raft *node_raft(const struct node *n)
{
    (void)n;
    return &raft;
}

void node_drain(struct node *n, uint64_t now)
{
    (void)n, (void)now;
}

void listener_end(const struct listener *l)
{
    (void)l;
}

/* How long the daemon lives on, without clients, while nothing changes. */
static uint64_t lives(uint64_t now)
{
    struct shared shared = {.n_readers = 0};
    struct stopping s;
    uint64_t begun = now;
    stopping_init(&s, NULL, &shared, NULL, TIMEOUT);
    assert_false(stopping_step(&s, now));
    assert_false(stopping_begin(&s, now));
    while (!stopping_step(&s, now) && now < begun + 100 * (uint64_t)TIMEOUT)
        now += TIMEOUT / 10;
    assert_true(stopping_begin(&s, now)); /* told twice */
    return now - begun;
}

/* Just after a hand-over that failed a leader can't begin the next one, and waits for it all the same. */
static void test_waits(void **state)
{
    (void)state;
    const uint64_t now = 1000000, wait = 2 * (uint64_t)TIMEOUT, none = TIMEOUT / 10;
    const struct {
        enum raft_role role;
        uint16_t leader, heir;
        uint64_t again_at, lives;
    } TABLE[] = {
        {RAFT_LEADER, SELF, 0, 0, none}, /* nobody could take over */
        {RAFT_LEADER, SELF, 2, 0, wait},      {RAFT_LEADER, SELF, 0, now + 1, wait},
        {RAFT_LEADER, SELF, 0, now, none},    {RAFT_FOLLOWER, 0, 0, now + 1, none},
        {RAFT_FOLLOWER, 2, 0, now + 1, none},
    };
    for (unsigned i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        raft = (struct raft){.cfg.id = SELF,
                             .role = TABLE[i].role,
                             .leader = TABLE[i].leader,
                             .heir = TABLE[i].heir,
                             .transfer_at = TABLE[i].again_at};
        uint64_t lived = lives(now);
        if (lived < TABLE[i].lives || lived > TABLE[i].lives + none)
            fail_msg("row %u: %lu us", i, (unsigned long)lived);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
