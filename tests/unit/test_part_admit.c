// LINK: raftd/node/admit.c @net
/* Which peers count, by what they tell of themselves. */
#include "raftd/node/admit.h"

#include "net/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { OURS = 11, THEIRS = 22, SECOND = 1000 * 1000 };

/* A key with that handle; keys of one handle differ in their last byte. */
struct key {
    uint8_t bytes[ABOUT_KEY_BYTES];
};

static struct key key_of(uint8_t handle, uint8_t last)
{
    return (struct key){{handle, [ABOUT_KEY_BYTES - 1] = last}};
}

static struct {
    uint16_t id;
    struct key key;
    unsigned times;
} asked;

static void on_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES])
{
    (void)ctx;
    asked.id = id;
    memcpy(asked.key.bytes, key, ABOUT_KEY_BYTES);
    asked.times++;
}

static bool asked_for(uint16_t id, struct key key)
{
    return asked.id == id && about_same_key(asked.key.bytes, key.bytes);
}

static const struct node_io io = {.remember = on_remember};
static struct node_config cfg;
static struct admit a;
static uint64_t voters;

/* Node 1 of 3, 1 and 2; `before` and `known`: what it remembers of itself and of node 2. */
static void start(uint8_t before, uint8_t known)
{
    static const uint16_t ids[] = {1, 2, 3};
    cfg = (struct node_config){.id = 1,
                               .voters = {3, 1, 2},
                               .known = {{0}, {before}, {known}},
                               .n_voters = 3,
                               .key = {OURS}};
    asked.times = 0;
    admit_init(&a, &cfg, &io, true);
    admit_add(&a, 3);
    admit_add(&a, 2);
    voters = wire_voters_digest(ids, 3);
    assert_true(admit_about(&a, 2).voters == voters); /* in whatever order the file names them */
}

/* Node 2 shows this key, and says that it knows ours as `known`. */
static void hear(uint64_t now, struct key key, uint64_t known)
{
    admit_heard(&a, now, 2, key.bytes, &(struct about){0, known, voters});
}

static void remembered(uint64_t now, uint16_t id, struct key key, bool done)
{
    admit_remembered(&a, now, id, key.bytes, done);
}

static void test_first(void **state)
{
    (void)state;
    const struct key theirs = key_of(THEIRS, 1), none = {{0}};
    start(OURS, 0);
    assert_int_equal(admit_state(&a, 2), ADMIT_SILENT);
    hear(1, theirs, 0);
    assert_int_equal(admit_state(&a, 2), ADMIT_FIRST);
    assert_true(asked.times == 1 && asked_for(2, theirs));
    hear(2, theirs, OURS);
    assert_int_equal(asked.times, 1); /* it is on its way */
    remembered(3, 2, theirs, false);
    assert_int_equal(admit_state(&a, 2), ADMIT_FIRST);
    hear(3 + SECOND - 1, theirs, OURS);
    assert_int_equal(asked.times, 1);
    hear(3 + SECOND, theirs, OURS);
    assert_int_equal(asked.times, 2);
    remembered(4, 2, key_of(THEIRS, 2), true); /* of an earlier question */
    assert_memory_equal(admit_key(&a, 2), none.bytes, sizeof none);
    remembered(4, 2, theirs, true);
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_memory_equal(admit_key(&a, 2), theirs.bytes, sizeof theirs);
    assert_int_equal(admit_state(&a, 3), ADMIT_SILENT);
}

/* Whole keys are compared: one that only begins as the known one does is another one. */
static void test_others(void **state)
{
    (void)state;
    start(OURS, THEIRS);
    voters++;
    hear(1, key_of(THEIRS, 0), 0);
    voters--;
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_LIST);
    hear(1, key_of(THEIRS + 1, 0), OURS);
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    hear(1, key_of(THEIRS, 1), OURS);
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    hear(1, key_of(THEIRS, 0), 0);
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_int_equal(asked.times, 0);
}

/* Our directory is new under an old id: nobody counts from then on, and after a restart. */
static void test_new_directory(void **state)
{
    (void)state;
    const struct key theirs = key_of(THEIRS, 0), before = key_of(OURS - 1, 0);
    start(OURS, THEIRS);
    hear(1, theirs, OURS - 1);
    assert_int_equal(admit_state(&a, 2), ADMIT_NEW_DISK);
    assert_true(asked.times == 1 && asked_for(1, before));
    remembered(2, 1, before, false);
    hear(3, theirs, OURS - 1);
    assert_int_equal(asked.times, 1);
    hear(2 + SECOND, theirs, OURS - 1);
    assert_int_equal(asked.times, 2);
    remembered(2 + SECOND, 1, before, true);
    hear(2 + 3 * SECOND, theirs, OURS - 1);
    assert_int_equal(asked.times, 2);
    admit_heard(&a, 4 * SECOND, 3, key_of(33, 0).bytes, &(struct about){0, 0, voters});
    assert_int_equal(admit_state(&a, 3), ADMIT_NONE);
    start(OURS - 1, THEIRS);
    hear(1, theirs, OURS - 1);
    assert_int_equal(asked.times, 0); /* it is on the disk */
    hear(1, theirs, OURS);
    assert_int_equal(admit_state(&a, 2), ADMIT_NONE);
}

/* Once members are in the log, nobody is bound to what was known before: an id without a key gets the one
 * that is shown next, but none of a node of another cluster; and who is no member the newest one. */
static void test_by_log(void **state)
{
    (void)state;
    const struct key before = key_of(THEIRS, 0), theirs = key_of(THEIRS + 1, 0);
    const struct key next = key_of(THEIRS + 2, 0), none = {{0}};
    struct members_at at = {.index = 1, .members = {.cluster_id = 5, .n = 1, .m = {{.id = 1}}}};
    at.members.m[0].key[0] = OURS + 1;
    start(OURS, THEIRS);
    admit_follow(&a, &at, true); /* an old entry: it names a box that was there before ours */
    admit_heard(&a, 0, 2, before.bytes, &(struct about){6, 0, 0});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_true(admit_about(&a, 2).cluster == 0);
    at.members.m[0].key[0] = OURS;
    start(OURS, THEIRS);
    admit_remove(&a, 2);
    admit_follow(&a, &at, true);
    admit_add(&a, 2);
    admit_follow(&a, &at, true);
    assert_memory_equal(admit_key(&a, 2), none.bytes, sizeof none);
    admit_heard(&a, 1, 2, before.bytes, &(struct about){5, 0, 0});
    hear(2, theirs, 0);
    assert_memory_equal(admit_key(&a, 2), theirs.bytes, sizeof theirs);
    admit_remove(&a, 2);
    at.index = 2;
    at.members.m[at.members.n++].id = 2;
    admit_follow(&a, &at, true);
    admit_add(&a, 2);
    admit_follow(&a, &at, true);
    assert_memory_equal(admit_key(&a, 2), none.bytes, sizeof none);
    admit_heard(&a, 3, 2, before.bytes, &(struct about){6, 0, 0});
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_CLUSTER);
    admit_follow(&a, &at,
                 false); /* the id that we have may be one that nobody else will ever have */
    admit_heard(&a, 3, 2, before.bytes, &(struct about){6, 0, 0});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_true(admit_about(&a, 2).cluster == 0);
    admit_remove(&a, 2);
    admit_follow(&a, &at, true);
    admit_add(&a, 2);
    admit_follow(&a, &at, true);
    admit_heard(&a, 3, 2, before.bytes, &(struct about){6, 0, 0});
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_CLUSTER);
    assert_memory_equal(admit_key(&a, 2), none.bytes, sizeof none);
    hear(4, theirs, 0);
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    hear(5, next, 0);
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    assert_memory_equal(admit_key(&a, 2), theirs.bytes, sizeof theirs);
    assert_int_equal(asked.times, 0);
}

/* Members of long ago name a box that is gone. Who says that newer ones name him is listened to, but under
 * the key that he shows; who says so of older ones is not. And one who lags may know us as we were before. */
static void test_newer_members(void **state)
{
    (void)state;
    const struct key old = key_of(THEIRS, 0), new = key_of(THEIRS + 1, 0);
    struct members_at at = {.index = 10,
                            .members = {.cluster_id = 5, .n = 2, .m = {{.id = 1}, {.id = 2}}}};
    memcpy(at.members.m[1].key, old.bytes, sizeof old);
    start(OURS, 0);
    at.members.m[0].key[0] = OURS;
    admit_follow(&a, &at, true);
    assert_true(admit_about(&a, 2).cluster == 5 && admit_about(&a, 2).voters == 10);
    for (uint64_t theirs = 9; theirs <= 10; theirs++) {
        admit_heard(&a, 1, 2, new.bytes, &(struct about){5, OURS, theirs});
        assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
        assert_memory_equal(admit_key(&a, 2), old.bytes, sizeof old);
    }
    admit_heard(&a, 1, 2, new.bytes, &(struct about){0, OURS, voters}); /* its own list, no log */
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    admit_heard(&a, 1, 2, new.bytes, &(struct about){6, OURS, 11});
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_CLUSTER);
    assert_memory_equal(admit_key(&a, 2), old.bytes,
                        sizeof old); /* the right box is still awaited */
    admit_heard(&a, 2, 2, new.bytes, &(struct about){5, OURS, 11});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_memory_equal(admit_key(&a, 2), new.bytes, sizeof new);
    assert_true(admit_about(&a, 2).known == THEIRS + 1);
    admit_heard(&a, 3, 2, old.bytes, &(struct about){5, OURS, 8});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    assert_memory_equal(admit_key(&a, 2), old.bytes, sizeof old);
    /* It knew a directory that we had before. */
    admit_heard(&a, 4, 2, old.bytes, &(struct about){5, OURS - 1, 9});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    admit_heard(&a, 4, 2, old.bytes, &(struct about){0, OURS - 1, 0});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    admit_heard(&a, 4, 2, old.bytes, &(struct about){0, OURS - 1, voters});
    assert_int_equal(admit_state(&a, 2), ADMIT_NEW_DISK);
    admit_heard(&a, 4, 2, old.bytes, &(struct about){5, OURS - 1, 10});
    assert_int_equal(admit_state(&a, 2), ADMIT_NEW_DISK);
    /* Members that do not name us, as those do that a box reads that has just come. */
    at.members.m[0].key[0] = OURS - 1;
    at.index = 3;
    admit_follow(&a, &at, true);
    assert_true(admit_about(&a, 2).cluster == 0 && admit_about(&a, 2).voters == 0);
    admit_heard(&a, 5, 2, new.bytes, &(struct about){5, OURS, 4});
    assert_int_equal(admit_state(&a, 2), ADMIT_YES);
    admit_heard(&a, 5, 2, new.bytes, &(struct about){5, OURS - 1, 2});
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    /* Without members in our log the disk that we remember is the one. */
    start(OURS, THEIRS);
    admit_heard(&a, 1, 2, new.bytes, &(struct about){5, OURS, 4});
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    assert_memory_equal(admit_key(&a, 2), old.bytes, sizeof old);
}

/* The first member's entry comes while a key is on its way to the disk: the members have the last word. */
static void test_late_memory(void **state)
{
    (void)state;
    const struct key theirs = key_of(THEIRS, 0), none = {{0}};
    const struct members_at at = {
        .index = 1, .members = {.cluster_id = 5, .n = 2, .m = {{.id = 1}, {.id = 2}}}};
    start(OURS, 0);
    hear(1, theirs, 0);
    assert_int_equal(asked.times, 1);
    admit_follow(&a, &at, true);
    remembered(2, 2, theirs, true);
    assert_memory_equal(admit_key(&a, 2), none.bytes, sizeof none);
}

/* Node 2 is heard: the process of this number. */
static enum admit_state process(uint64_t now, uint64_t boot)
{
    hear(now, key_of(THEIRS, 0), OURS);
    admit_process(&a, now, 2, boot);
    return admit_state(&a, 2);
}

/* A process that ended never comes back, so one that does is another box with the same directory. */
static void test_cloned(void **state)
{
    (void)state;
    const uint64_t t = SECOND, alone = ADMIT_ALONE_US;
    const struct {
        uint64_t at, boot;
        enum admit_state is;
    } TABLE[] = {
        {t, 70, ADMIT_YES},
        {t + 1, 71, ADMIT_YES}, /* restarts, in a row */
        {t + 2, 72, ADMIT_YES},
        {t + 3, 72, ADMIT_YES},
        {t + 4, 71, ADMIT_CLONED}, /* and one that did not end */
        {t + 5, 71, ADMIT_CLONED},
        {t + 6, 72, ADMIT_CLONED},
        {t + 5 + alone, 72, ADMIT_CLONED},
        {t + 6 + alone, 72, ADMIT_YES},
        {t + 7 + alone, 72, ADMIT_YES},
        {t + 8 + alone, 71, ADMIT_CLONED}, /* it was only cut off */
        {t + 9 + alone, 73, ADMIT_CLONED}, /* another start does not make two boxes one */
        {t + 7 + 2 * alone, 73, ADMIT_CLONED},
        {t + 8 + 2 * alone, 73, ADMIT_YES},
        {t + 9 + 2 * alone, 70, ADMIT_CLONED}, /* three boxes */
    };
    start(OURS, THEIRS);
    for (unsigned i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++)
        if (process(TABLE[i].at, TABLE[i].boot) != TABLE[i].is)
            fail_msg("row %u", i);
    /* A box with another directory and one with the right one in turn are no clones. */
    start(OURS, THEIRS);
    assert_int_equal(process(t, 80), ADMIT_YES);
    hear(t, key_of(THEIRS + 1, 0), OURS);
    admit_process(&a, t, 2, 81);
    assert_int_equal(admit_state(&a, 2), ADMIT_OTHER_DISK);
    assert_int_equal(process(t, 80), ADMIT_YES);
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
    hear(now, key_of(THEIRS, 0), 0);
    admit_greeted(&a, now, 2);
    assert_true(admit_greet_at(&a, 2) < now + SECOND); /* it is there now */
    hear(now, key_of(THEIRS, 0), OURS);
    assert_true(admit_greet_at(&a, 2) == RAFT_NEVER);
    assert_true(admit_greet_at(&a, 3) != RAFT_NEVER);
    admit_init(&a, &cfg, &io, false);
    admit_add(&a, 2);
    assert_true(admit_greet_at(&a, 2) == RAFT_NEVER);
}

/* A process is started again: the other one, which has nothing else to tell it, answers, and both stop. */
static void test_started_again(void **state)
{
    (void)state;
    start(OURS, THEIRS);
    assert_true(admit_about(&a, 2).known == 0); /* we have started */
    admit_greeted(&a, SECOND, 2);
    hear(SECOND, key_of(THEIRS, 0), OURS);
    assert_true(admit_about(&a, 2).known == THEIRS);
    assert_true(admit_greet_at(&a, 2) < 2 * SECOND);
    admit_greeted(&a, 2 * SECOND, 2);
    assert_true(admit_greet_at(&a, 2) == RAFT_NEVER);
    hear(9 * SECOND, key_of(THEIRS, 0), 0); /* it has started */
    assert_true(admit_greet_at(&a, 2) < 9 * SECOND);
    admit_greeted(&a, 9 * SECOND, 2);
    hear(9 * SECOND, key_of(THEIRS, 0), OURS);
    assert_true(admit_greet_at(&a, 2) == RAFT_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),         cmocka_unit_test(test_others),
        cmocka_unit_test(test_new_directory), cmocka_unit_test(test_by_log),
        cmocka_unit_test(test_newer_members), cmocka_unit_test(test_late_memory),
        cmocka_unit_test(test_greetings),     cmocka_unit_test(test_cloned),
        cmocka_unit_test(test_started_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
