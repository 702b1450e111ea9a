// LINK: @replica @stream @state raftd/node/keeper.c raftd/node/lease.c raftd/node/frees.c
/* What belongs to processes that are over is freed: by an entry, not a moment early, and all of it. */
#include "tests/lib/node_part.h"

#include <stdio.h>

#include "raftd/base/num.h"
#include "raftd/base/rcu.h"
#include "raftd/node/frees.h"
#include "raftd/state/cmd.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"

enum { LEASE_US = 2 * S, PATIENCE_US = LEASE_US + LEASE_US / 100 + 2 * T_US + LEASE_MARGIN_US };

static const uint64_t OURS = 77, DEAD = 88;

static struct part p;
static struct kv *kv;
static struct machine *machine;
static struct keeper k;
static struct lease l;
static struct frees f;

static uint64_t last(void)
{
    return replica_log(&p.r)->last;
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

static void start(void)
{
    part_start(&p);
    kv = kv_new();
    machine = machine_new(kv);
    assert_true(kv != NULL && machine != NULL);
    k = (struct keeper){0};
    keeper_init(&k, &p.r, machine);
    lease_init(&l, replica_raft(&p.r), OURS, LEASE_US);
    frees_init(&f, &k, &l, machine);
    part_lead(&p);
    part_match(&p, 2);
    commit();
    lease_step(&l, p.now, last());
    p.now += MS;
    lease_step(&l, p.now, last()); /* since now it leads, as far as leases go */
}

static void stop(void)
{
    machine_free(machine);
    rcu_wait_freed();
    kv_free(kv);
    part_stop(&p);
}

/* A client of that process wants a lock, by its `number`-th command. */
static void lock(uint16_t origin, uint64_t process, uint64_t number, const char *name)
{
    uint8_t buf[256], wish = 0;
    const struct cmd c = {.flags = CMD_HAS_CONNECTION,
                          .operations = 1,
                          .origin = origin,
                          .process = process,
                          .number = number,
                          .connection = 1};
    const struct cmd_item it = {.kind = CMD_LOCK,
                                .key = (const uint8_t *)name,
                                .key_len = (uint16_t)strlen(name),
                                .value = &wish,
                                .value_len = 1};
    assert_true(replica_propose(&p.r, p.now, buf, cmd_encode(buf, &c, &it)));
    part_settle(&p);
    commit();
}

static uint64_t holder_of(const char *name)
{
    const struct kv_view v = kv_draft(machine_claims(machine));
    struct claim c;
    return holders_lock(&v, (const uint8_t *)name, strlen(name), &c) ? c.holder.process : 0;
}

static void step(void)
{
    keeper_step(&k, p.now);
    part_settle(&p);
}

/* Nobody is freed while nobody is over, and then who is, and nobody else. Who waits gets what it held. */
static void test_over(void **state)
{
    (void)state;
    start();
    uint64_t since = p.now;
    assert_true(keeper_deadline(&k, p.now) == NEVER);
    lock(1, OURS, 1, "mine");
    assert_true(keeper_deadline(&k, p.now) == NEVER);
    lock(2, DEAD, 1, "a");
    lock(2, DEAD, 2, "b");
    lock(1, OURS, 2, "a");
    uint64_t before = last();
    assert_true(keeper_deadline(&k, p.now) == since + PATIENCE_US);
    p.now = since + PATIENCE_US - 1;
    step();
    assert_true(last() == before && holder_of("a") == DEAD);
    p.now++;
    step();
    assert_true(last() == before + 1);
    step();
    assert_true(last() == before + 1); /* one at a time */
    commit();
    assert_true(holder_of("a") == OURS && holder_of("b") == 0 && holder_of("mine") == OURS);
    assert_true(keeper_deadline(&k, p.now) == NEVER);
    stop();
}

/* However many are over, and however much they have: it goes into the log together, as one entry for each and
 * more for much. What has come before a leader looks is not applied in one go. */
static void test_many(void **state)
{
    (void)state;
    char name[8];
    unsigned claims = HOLDERS_FREE_MAX + 10;
    start();
    for (unsigned i = 0; i < claims; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        lock(2, DEAD, i + 1, name);
    }
    lock(3, DEAD, 1, "three");
    lock(4, DEAD, 1, "third");
    lock(1, OURS, 1, "mine");
    uint64_t before = last();
    p.now += PATIENCE_US;
    step();
    assert_true(last() == before + 4);
    struct record rec;
    struct applied a;
    part_ack(&p, 2, last(), 0);
    for (unsigned left = claims + 2; replica_next(&p.r, &rec); left -= a.ended) {
        assert_true(
            machine_apply(machine, rec.index, rec.cluster_ms, rec.data, rec.data_len, NULL, &a));
        assert_true(a.ended > 0 && a.ended <= HOLDERS_FREE_MAX && a.ended <= left);
    }
    assert_true(holder_of("n0") == 0 && holder_of("third") == 0 && holder_of("mine") == OURS);
    assert_true(keeper_deadline(&k, p.now) == NEVER);
    step();
    assert_true(last() == before + 4);
    stop();
}

/* An answer to a question covers the entry by which the leader has just freed. */
static void test_answer_covers(void **state)
{
    (void)state;
    start();
    struct wire_lease w = {.process = DEAD, .stamp = 5};
    lock(2, DEAD, 1, "a");
    p.now += PATIENCE_US;
    step();
    lease_asked(&l, p.now, 2, 0, &w); /* it was only stopped */
    part_settle(&p);
    struct raft_msg lead;
    replica_lead(&p.r, p.now, 2, &lead);
    part_ack(&p, 2, last() - 1, lead.lead.round);
    assert_false(lease_tell(&l, p.now, 2, &w));
    commit();
    part_ack(&p, 2, last(), lead.lead.round);
    assert_true(lease_tell(&l, p.now, 2, &w));
    assert_true(w.index == last() && holder_of("a") == 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_over),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_answer_covers),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
