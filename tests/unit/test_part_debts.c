// LINK: @replica @stream raftd/node/debts.c raftd/node/log_out.c raftd/node/flow.c raftd/node/window.c raftd/node/catch_up.c
/* What a follower owes the leader, when it is asked for it, and when it is not. */
#include "tests/lib/node_part.h"

#include "raftd/node/catch_up.h"
#include "raftd/node/debts.h"
#include "raftd/state/cmd.h"

static struct part p;
static struct path path;
static struct catch_up catch_up;
static struct log_out out;
static struct debts d;

/* A leader whose peer 2 takes the log. */
static void start(void)
{
    part_start(&p);
    path = (struct path){.envelope_bytes = 50, .cap_us = T_US / 3};
    catch_up = (struct catch_up){0};
    mtu_init(&path.mtu, 1200);
    log_out_init(&out, &p.r, &p.io, &path, &catch_up, 2, 1);
    debts_init(&d, &p.r, &out, &path.link, 2);
    part_lead(&p);
    part_match(&p, 2);
}

static void stop(void)
{
    log_out_free(&out);
    part_stop(&p);
}

/* All bytes of the log have arrived there. */
static void arrive(void)
{
    out.flow.source->sync(&out, 2);
    out.flow.tx.una = out.flow.tx.nxt = out.flow.tx.end;
    assert_true(log_out_all_there(&out));
}

static void propose(void)
{
    uint8_t cmd[CMD_ONE_BYTES + 2];
    size_t n = cmd_encode_one(
        cmd, &(struct cmd_item){.kind = CMD_DELETE, .key = (const uint8_t *)"k", .key_len = 1});
    cmd_stamp(cmd, 1, 7, 1);
    assert_true(replica_propose(&p.r, p.now, cmd, n));
    part_settle(&p);
}

/* It has all bytes and has not said that its disk has them: asked, each time later, until it says so. */
static void test_disk(void **state)
{
    (void)state;
    start();
    out.flow.source->sync(&out, 2);
    debts_note(&d, p.now);
    assert_true(debts_ask_at(&d) == RAFT_NEVER); /* the stream has to bring them first */
    arrive();
    debts_note(&d, p.now);
    uint64_t first = debts_ask_at(&d);
    assert_true(first > p.now && first < p.now + T_US);
    debts_note(&d, first); /* nothing has changed: the clock goes on */
    assert_true(debts_ask_at(&d) == first);
    debts_asked(&d, first);
    assert_true(debts_ask_at(&d) > first);
    p.now = first;
    part_ack(&p, 2, 1, 0);
    debts_note(&d, p.now);
    assert_true(debts_ask_at(&d) == RAFT_NEVER);
    stop();
}

/* Under load it owes something all the time, but not the same. */
static void test_load(void **state)
{
    (void)state;
    start();
    arrive();
    debts_note(&d, p.now);
    uint64_t at = debts_ask_at(&d);
    for (unsigned i = 1; i <= 20; i++) {
        p.now = at - 1;
        propose();
        part_ack(&p, 2, i, 0);
        arrive();
        debts_note(&d, p.now);
        assert_true(debts_ask_at(&d) > p.now + 1 && debts_ask_at(&d) != RAFT_NEVER);
        at = debts_ask_at(&d);
    }
    stop();
}

static void lead(uint64_t round, uint64_t commit)
{
    struct raft_msg m = {.type = RAFT_MSG_LEAD};
    m.lead.round = round;
    m.lead.commit = commit;
    debts_lead(&d, &m);
}

/* Its clients wait for the commit index: a LEAD with it goes, and its round is owed. */
static void test_commit(void **state)
{
    (void)state;
    struct record rec;
    start();
    arrive();
    part_ack(&p, 2, 1, 0);
    assert_true(replica_next(&p.r, &rec));
    debts_note(&d, p.now);
    assert_false(debts_waits(&d));
    lead(1, 1); /* nobody waits for it */
    debts_note(&d, p.now);
    assert_true(debts_ask_at(&d) == RAFT_NEVER);
    debts_wait(&d);
    lead(2, 0); /* less than was applied */
    assert_true(debts_waits(&d));
    lead(3, 1);
    assert_false(debts_waits(&d));
    debts_note(&d, p.now);
    assert_true(debts_ask_at(&d) != RAFT_NEVER);
    p.now += T_US / 3; /* its own LEADs have such numbers, too */
    for (unsigned i = 0; i < 3; i++, p.now += T_US / 3) {
        replica_step(&p.r, p.now, &(struct raft_event){.type = RAFT_EV_TICK});
        part_settle(&p);
    }
    debts_note(&d, p.now);
    assert_true(debts_ask_at(&d) != RAFT_NEVER);
    part_ack(&p, 2, 1, 3);
    assert_int_equal(replica_raft(&p.r)->role, RAFT_LEADER);
    debts_note(&d, p.now);
    assert_true(debts_ask_at(&d) == RAFT_NEVER);
    stop();
}

/* Its clients wait for whatever is committed next: it is told of all that is applied here. */
static void test_awaits(void **state)
{
    (void)state;
    struct record rec;
    start();
    arrive();
    part_ack(&p, 2, 1, 0);
    assert_true(replica_next(&p.r, &rec));
    assert_false(debts_applied(&d, p.now));
    debts_await(&d, true);
    assert_false(debts_waits(&d)); /* nothing was applied since */
    assert_true(debts_applied(&d, p.now) && debts_waits(&d));
    lead(1, 1);
    assert_false(debts_waits(&d));
    debts_note(&d, p.now);
    assert_true(debts_ask_at(&d) != RAFT_NEVER); /* and asked whether it heard that */
    debts_await(&d, false);
    assert_false(debts_applied(&d, p.now));
    debts_await(&d, true);
    assert_true(debts_applied(&d, p.now + 2 * T_US - 1));
    lead(1, 1);
    assert_false(debts_applied(&d, p.now + 2 * T_US)); /* it may be gone */
    part_follow(&p, 3, replica_raft(&p.r)->term + 1, 0);
    assert_false(debts_applied(&d, p.now)); /* another one leads */
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_commit),
        cmocka_unit_test(test_awaits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
