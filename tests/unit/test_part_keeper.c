// LINK: @replica @stream @state raftd/node/keeper.c
/* The leader's duties: done when they are due, one command of each under way, and again what was lost. */
#include "tests/lib/node_part.h"

#include <stdio.h>

#include "raftd/base/num.h"
#include "raftd/base/rcu.h"
#include "raftd/node/keeper.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

static struct part p;
static struct kv *kv;
static struct machine *machine;
static struct keeper k;
static uint64_t second_due; /* of a duty beside the first one, ... */
static unsigned second_n;   /* ... which takes so many commands */

static uint64_t second_at(void *ctx, uint64_t now)
{
    (void)now;
    return *(uint64_t *)ctx;
}

/* That two duties have the same command does not matter here. */
static size_t second_fill(void *ctx, uint64_t now, unsigned before,
                          uint8_t cmd[KEEPER_CMD_BYTES_MAX])
{
    if (before >= second_n)
        return 0;
    assert_true(*(uint64_t *)ctx <= now);
    return cmd_encode_one(cmd, &(struct cmd_item){.kind = CMD_END_DUE});
}

static void start(void)
{
    part_start(&p);
    kv = kv_new();
    machine = machine_new(kv);
    assert_true(kv != NULL && machine != NULL);
    k = (struct keeper){0};
    second_due = NEVER;
    second_n = 1;
    keeper_init(&k, &p.r, machine);
    keeper_add(&k, &(struct keeper_duty){second_at, second_fill, &second_due, 0, 0});
}

static void stop(void)
{
    machine_free(machine);
    rcu_wait_freed();
    kv_free(kv);
    part_stop(&p);
}

static uint64_t last(void)
{
    return replica_log(&p.r)->last;
}

/* A client's key that ends at this cluster time. */
static void put(const char *key, uint64_t expiry_ms)
{
    assert_int_equal(kv_put(kv, &(struct kv_content){.key = (const uint8_t *)key,
                                                     .key_len = (uint16_t)strlen(key),
                                                     .create_revision = 1,
                                                     .modify_revision = 1,
                                                     .expiry_ms = expiry_ms}),
                     KV_DONE);
}

static void put_many(unsigned n, uint64_t expiry_ms)
{
    char key[12];
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        put(key, expiry_ms);
    }
}

/* Node 2 has all, so it is committed, and applied here. */
static void commit(void)
{
    struct record rec;
    part_ack(&p, 2, last(), 0);
    while (replica_next(&p.r, &rec)) {
        struct applied a;
        if (rec.type == RECORD_COMMAND)
            assert_true(machine_apply(machine, rec.index, rec.cluster_ms, rec.data, rec.data_len,
                                      NULL, &a));
        else
            machine_pass(machine, rec.index, rec.cluster_ms);
    }
    assert_true(replica_applied(&p.r) == last());
}

/* Leads, with an own entry applied. */
static void lead(void)
{
    part_lead(&p);
    part_match(&p, 2);
    commit();
}

static void step(void)
{
    keeper_step(&k, p.now);
    part_settle(&p);
}

static uint64_t cluster_ms(void)
{
    return cluster_time_ms(replica_time(&p.r), p.now);
}

/* Not a moment early, by the stamp of the entry; and with nothing due nothing is written. */
static void test_when_due(void **state)
{
    (void)state;
    start();
    lead();
    assert_true(keeper_deadline(&k, p.now) == NEVER);
    step();
    uint64_t before = last(), due = cluster_ms() + 5000;
    put("a", due);
    put("b", due + 1);
    p.now = keeper_deadline(&k, p.now);
    assert_true(cluster_ms() == due);
    p.now--;
    step();
    assert_true(last() == before);
    p.now++;
    step();
    assert_true(last() == before + 1 && kv_count(kv) == 2);
    commit();
    assert_true(kv_count(kv) == 1 && machine_next_expiry(machine) == due + 1);
    p.now = keeper_deadline(&k, p.now);
    assert_true(cluster_ms() == due + 1);
    step();
    commit();
    assert_true(kv_count(kv) == 0 && keeper_deadline(&k, p.now) == NEVER);
    step();
    assert_true(last() == before + 2);
    stop();
}

/* One command of each duty at a time, however long it takes; then the next one at once. */
static void test_one_under_way(void **state)
{
    (void)state;
    start();
    lead();
    uint64_t before = last();
    put_many(MACHINE_ENDS_MAX, 1);
    for (unsigned i = 0; i < 3; i++, p.now += 10 * MS) {
        step();
        assert_true(last() == before + 1 && keeper_deadline(&k, p.now) == NEVER);
    }
    put("late", 1);
    second_due = p.now;
    assert_true(keeper_deadline(&k, p.now) == p.now);
    step();
    assert_true(last() == before + 2);
    second_due = NEVER;
    commit(); /* and what the second one's command did counts as well */
    assert_true(kv_count(kv) == 0);
    put("a", 1);
    assert_true(keeper_deadline(&k, p.now) <= p.now);
    step();
    assert_true(last() == before + 3);
    stop();
}

/* What is due goes into the log together, up to a limit, and then nothing before all of that is applied. */
static void test_together(void **state)
{
    (void)state;
    start();
    lead();
    uint64_t before = last();
    second_n = 3;
    second_due = p.now;
    step();
    assert_true(last() == before + 3);
    step();
    assert_true(last() == before + 3 && keeper_deadline(&k, p.now) == NEVER);
    commit();
    second_n = 1000;
    step();
    assert_true(last() == before + 3 + KEEPER_BATCH_MAX);
    commit();
    replica_set_log_full(&p.r, true);
    step();
    assert_true(keeper_deadline(&k, p.now) == p.now + KEEPER_RETRY_US);
    stop();
}

/* Keys that are due end together, more of them than one command ends, and none that is not due. */
static void test_end_together(void **state)
{
    (void)state;
    start();
    lead();
    uint64_t before = last(), due = cluster_ms() + 5000;
    put_many(2 * MACHINE_ENDS_MAX + 1, due);
    put("later", due + 1);
    p.now = keeper_deadline(&k, p.now);
    step();
    assert_true(last() == before + 3);
    commit();
    assert_true(kv_count(kv) == 1 && last() == before + 3);
    put_many(2 * MACHINE_ENDS_MAX, due);
    step();
    assert_true(last() == before + 5);
    commit();
    put_many((KEEPER_BATCH_MAX + 1) * MACHINE_ENDS_MAX, due);
    step();
    assert_true(last() == before + 5 + KEEPER_BATCH_MAX);
    commit();
    assert_true(kv_count(kv) == 1 + MACHINE_ENDS_MAX);
    stop();
}

/* Nobody else than a leader that has applied an entry of its own term, so all that was committed before. */
static void test_who(void **state)
{
    (void)state;
    start();
    put("a", 1);
    step();
    assert_true(last() == 0 && keeper_deadline(&k, p.now) == NEVER);
    part_lead(&p);
    step();
    assert_true(last() == 1 && keeper_deadline(&k, p.now) == NEVER);
    part_match(&p, 2);
    commit();
    assert_true(keeper_deadline(&k, p.now) <= p.now);
    step();
    assert_true(last() == 2);
    part_follow(&p, 3, replica_raft(&p.r)->term + 1, 0);
    step();
    assert_true(last() == 2 && keeper_deadline(&k, p.now) == NEVER);
    lead(); /* the command of the former term is in the log still */
    assert_true(kv_count(kv) == 0);
    put("b", 1);
    step();
    assert_true(last() == 4);
    stop();
}

/* What the log does not take is tried again, not at once. */
static void test_refused(void **state)
{
    (void)state;
    start();
    lead();
    put("a", 1);
    replica_set_log_full(&p.r, true);
    step();
    assert_true(last() == 1 && keeper_deadline(&k, p.now) == p.now + KEEPER_RETRY_US);
    replica_set_log_full(&p.r, false);
    step();
    assert_true(last() == 1);
    p.now += KEEPER_RETRY_US;
    step();
    assert_true(last() == 2);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_due), cmocka_unit_test(test_one_under_way),
        cmocka_unit_test(test_together), cmocka_unit_test(test_end_together),
        cmocka_unit_test(test_who),      cmocka_unit_test(test_refused),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
