// LINK: raftd/node/admit.c @net
/* Which peers count, by what they tell of themselves. */
#include "raftd/node/admit.h"

#include "net/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { OURS = 11, THEIRS = 22, SECOND = 1000 * 1000 };

static struct {
    uint16_t id;
    uint64_t storage;
    unsigned times;
} asked;

static void on_remember(void *ctx, uint16_t id, uint64_t storage_id)
{
    (void)ctx;
    asked.id = id;
    asked.storage = storage_id;
    asked.times++;
}

static const struct node_io io = {.remember = on_remember};
static struct node_config cfg;
static struct admit a;
static uint64_t voters;

/* Node 1 of 3, 1 and 2; `before` and `known`: what it remembers of itself and of node 2. */
static void start(uint64_t before, uint64_t known)
{
    static const uint16_t ids[] = {1, 2, 3};
    cfg = (struct node_config){.id = 1,
                               .voters = {3, 1, 2},
                               .known = {0, before, known},
                               .n_voters = 3,
                               .storage_id = OURS};
    asked.times = 0;
    admit_init(&a, &cfg, &io, true);
    admit_add(&a, 3);
    admit_add(&a, 2);
    voters = wire_voters_digest(ids, 3);
    assert_true(admit_voters_digest(&a) == voters); /* in whatever order the file names them */
}

static void hear(uint64_t now, uint16_t peer, struct about about)
{
    admit_heard(&a, now, peer, &about);
}

static void test_first(void **state)
{
    (void)state;
    start(OURS, 0);
    assert_int_equal(admit_state(&a, 2), ADMIT_SILENT);
    hear(1, 2, (struct about){THEIRS, 0, voters});
    assert_int_equal(admit_state(&a, 2), ADMIT_FIRST);
    assert_true(asked.times == 1 && asked.id == 2 && asked.storage == THEIRS);
    hear(2, 2, (struct about){THEIRS, OURS, voters});
    assert_int_equal(asked.times, 1); /* it is on its way */
    admit_remembered(&a, 3, 2, THEIRS, false);
    assert_int_equal(admit_state(&a, 2), ADMIT_FIRST);
    hear(3 + SECOND - 1, 2, (struct about){THEIRS, OURS, voters});
    assert_int_equal(asked.times, 1);
    hear(3 + SECOND, 2, (struct about){THEIRS, OURS, voters});
    assert_int_equal(asked.times, 2);
    admit_remembered(&a, 4, 2, THEIRS + 1, true); /* of an earlier question */
    assert_int_equal(admit_storage(&a, 2), 0);
    admit_remembered(&a, 4, 2, THEIRS, true);
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_int_equal(admit_storage(&a, 2), THEIRS);
    assert_int_equal(admit_state(&a, 3), ADMIT_SILENT);
}

static void test_others(void **state)
{
    (void)state;
    start(OURS, THEIRS);
    hear(1, 2, (struct about){THEIRS, 0, voters + 1});
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_LIST);
    hear(1, 2, (struct about){THEIRS + 1, OURS, voters});
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    hear(1, 2, (struct about){THEIRS, 0, voters});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_int_equal(asked.times, 0);
}

/* Our directory is new under an old id: nobody counts from then on, and after a restart. */
static void test_new_directory(void **state)
{
    (void)state;
    start(OURS, THEIRS);
    hear(1, 2, (struct about){THEIRS, OURS - 1, voters});
    assert_int_equal(admit_state(&a, 2), ADMIT_NEW_DISK);
    assert_true(asked.times == 1 && asked.id == 1 && asked.storage == OURS - 1);
    admit_remembered(&a, 2, 1, OURS - 1, false);
    hear(3, 2, (struct about){THEIRS, OURS - 1, voters});
    assert_int_equal(asked.times, 1);
    hear(2 + SECOND, 2, (struct about){THEIRS, OURS - 1, voters});
    assert_int_equal(asked.times, 2);
    admit_remembered(&a, 2 + SECOND, 1, OURS - 1, true);
    hear(2 + 3 * SECOND, 2, (struct about){THEIRS, OURS - 1, voters});
    assert_int_equal(asked.times, 2);
    hear(4 * SECOND, 3, (struct about){33, 0, voters});
    assert_int_equal(admit_state(&a, 3), ADMIT_NONE);
    start(OURS - 1, THEIRS);
    hear(1, 2, (struct about){THEIRS, OURS - 1, voters});
    assert_int_equal(asked.times, 0); /* it is on the disk */
    hear(1, 2, (struct about){THEIRS, OURS, voters});
    assert_int_equal(admit_state(&a, 2), ADMIT_NONE);
}

/* Greetings go until both know each other, soon less often; with handshakes none do. */
static void test_greetings(void **state)
{
    (void)state;
    uint64_t now = SECOND;
    start(OURS, THEIRS);
    unsigned fast = 0;
    for (unsigned i = 0; i < 40; i++) {
        admit_greeted(&a, now, 2);
        fast += admit_greet_at(&a, 2) < now + SECOND;
        now = admit_greet_at(&a, 2);
    }
    assert_int_equal(fast, 20);
    hear(now, 2, (struct about){THEIRS, 0, voters});
    admit_greeted(&a, now, 2);
    assert_true(admit_greet_at(&a, 2) < now + SECOND); /* it is there now */
    hear(now, 2, (struct about){THEIRS, OURS, voters});
    assert_true(admit_greet_at(&a, 2) == RAFT_NEVER);
    assert_true(admit_greet_at(&a, 3) != RAFT_NEVER);
    admit_init(&a, &cfg, &io, false);
    admit_add(&a, 2);
    assert_true(admit_greet_at(&a, 2) == RAFT_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_new_directory),
        cmocka_unit_test(test_greetings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
