// LINK: @replica
/* Raft and its log in one, without a node around it: what goes to the disk, and what comes out. */
#include "tests/lib/node_part.h"

#include "raftd/state/cmd.h"

/* A put of `len` bytes under one key. */
static bool propose(struct part *p, uint32_t len)
{
    uint8_t cmd[CMD_ONE_BYTES + 1 + 4096] = {0};
    size_t n = cmd_encode_one(
        cmd, &(struct cmd_item){
                 .kind = CMD_PUT, .key = (const uint8_t *)"k", .key_len = 1, .value_len = len});
    cmd_stamp(cmd, 1, 7, 1);
    bool ok = replica_propose(&p->r, p->now, cmd, n);
    part_settle(p);
    return ok;
}

/* What is proposed is on the disk with the hash of the one before, is handed out once it is committed, in
 * order and once. */
static void test_leader(void **state)
{
    (void)state;
    static struct part p;
    struct record rec;
    uint8_t hash[RECORD_HASH_BYTES], before[RECORD_HASH_BYTES];
    uint64_t ms;
    part_start(&p);
    assert_false(propose(&p, 10)); /* it does not lead */
    part_lead(&p);
    uint64_t noop = replica_log(&p.r)->last;
    assert_true(noop == 1 && p.batch.first_index == 1 && p.batch.last_index == 1);
    memcpy(before, replica_head(&p.r), sizeof before);
    p.now += 5 * MS;
    assert_true(propose(&p, 10) && propose(&p, 20));
    assert_true(p.batch.first_index == 3 && p.batch.last_index == 3 && p.batch.term == 1);
    assert_memory_equal(p.batch.head, replica_head(&p.r), sizeof hash);
    assert_true(replica_hash(&p.r, 1, hash, &ms));
    assert_memory_equal(hash, before, sizeof hash);
    assert_true(replica_hash(&p.r, 3, hash, &ms) && ms == 5);
    assert_memory_equal(hash, replica_head(&p.r), sizeof hash);
    assert_false(replica_hash(&p.r, 4, hash, &ms));
    assert_true(replica_hash(&p.r, 0, hash, &ms) && ms == 0 && hash[0] == 0);
    assert_false(replica_next(&p.r, &rec)); /* no majority has them */
    part_match(&p, 2);
    part_ack(&p, 2, 2, 0);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_true(replica_next(&p.r, &rec));
        assert_true(rec.index == i && rec.term == 1 && replica_applied(&p.r) == i);
        assert_int_equal(rec.type, i == noop ? RECORD_NOOP : RECORD_COMMAND);
    }
    assert_memory_equal(rec.prev, before, sizeof before);
    assert_false(replica_next(&p.r, &rec));
    part_stop(&p);
}

/* NODE_SEAL_US after the last batch an idle one proves it, once, and tells the newest commit index. */
static void test_seal(void **state)
{
    (void)state;
    static struct part p;
    part_start(&p);
    part_lead(&p);
    unsigned batches = p.batches;
    uint64_t at = p.now + NODE_SEAL_US;
    assert_true(replica_deadline(&p.r) <= at);
    replica_seal(&p.r, at - 1);
    assert_int_equal(p.batches, batches);
    replica_seal(&p.r, at);
    assert_true(p.batches == batches + 1 && p.batch.idle && p.seq == 0 && p.batch.commit == 0);
    replica_seal(&p.r, at + NODE_SEAL_US);
    assert_int_equal(p.batches, batches + 1);
    part_match(&p, 2);
    part_ack(&p, 2, 1, 0); /* entry 1 is committed, which no batch tells */
    replica_seal(&p.r, p.now);
    replica_seal(&p.r, p.now + NODE_SEAL_US);
    assert_int_equal(p.batches, batches + 1); /* the first one is on its way */
    replica_persisted(&p.r, p.now, 0);
    replica_seal(&p.r, p.now);
    replica_seal(&p.r, p.now + NODE_SEAL_US);
    assert_true(p.batches == batches + 2 && p.batch.idle && p.batch.commit == 1);
    replica_no_room(&p.r, p.now, 0); /* so the disk does not have it */
    replica_stopping(&p.r);
    assert_true(p.batches == batches + 3 && p.batch.commit == 1);
    part_stop(&p);
}

/* Only what is on our own disk may leave memory, and what is not committed leaves half of it free. */
static void test_room(void **state)
{
    (void)state;
    static struct part p;
    part_start(&p);
    part_lead(&p);
    p.disk_waits = true;
    unsigned n = 0;
    while (propose(&p, 4000))
        n++;
    assert_in_range(n, 10, 1000);
    const struct entries *log = replica_log(&p.r);
    assert_in_range(log->ring.end - log->ring.start, log->ring.cap / 2 - 5000, log->ring.cap / 2);
    assert_false(replica_make_room(&p.r, log->ring.cap, 1));
    assert_true(log->first <= 2 && log->last == n + 1);
    p.disk_waits = false;
    while (replica_raft(&p.r)->inflight_seq != 0) {
        replica_persisted(&p.r, p.now, replica_raft(&p.r)->inflight_seq);
        part_settle(&p);
    }
    assert_true(replica_make_room(&p.r, log->ring.cap / 2 + 10000, 1));
    assert_true(log->first > 2);
    part_stop(&p);
}

/* A batch is cut to what the disk finishes soon, between two entries. */
static void test_cut(void **state)
{
    (void)state;
    static struct part p;
    uint8_t hash[RECORD_HASH_BYTES];
    uint64_t ms;
    part_start(&p);
    p.cfg.batch_bytes = 10000;
    part_lead(&p);
    p.disk_waits = true;
    for (unsigned i = 0; i < 10; i++)
        assert_true(propose(&p, 3000));
    assert_true(p.batch.first_index == 2 && p.batch.last_index == 2);
    for (uint16_t peer = 2; peer <= 3; peer++) { /* which have it all */
        part_match(&p, peer);
        part_ack(&p, peer, 11, 0);
    }
    assert_int_equal(replica_raft(&p.r)->commit_index, 11);
    replica_persisted(&p.r, p.now, p.seq);
    part_settle(&p);
    assert_true(p.batch.first_index == 3 && p.batch.last_index == 5 && p.batch.commit == 5);
    assert_true(replica_hash(&p.r, 5, hash, &ms));
    assert_memory_equal(p.batch.head, hash, sizeof hash);
    assert_in_range(p.batch.bytes[0].iov_len, 9000, 10000);
    part_stop(&p);
}

/* A restarted node reads from its disk what it applies. */
static void test_backlog(void **state)
{
    (void)state;
    static struct part p;
    static const struct raft_run run = {1, 1};
    struct wal_report rep = {
        .term = 1, .last_index = 5, .last_term = 1, .runs = &run, .n_runs = 1, .commit = 4};
    struct record rec;
    part_configure(&p);
    assert_true(replica_init(&p.r, &p.cfg, &p.io, &rep, 0, 0, p.now));
    assert_false(replica_next(&p.r, &rec));
    assert_int_equal(p.fetches, 1);
    assert_false(replica_next(&p.r, &rec)); /* it waits for that one */
    assert_int_equal(p.fetches, 1);
    replica_fetched(&p.r, 0);
    assert_false(replica_next(&p.r, &rec));
    assert_int_equal(p.fetches, 2);
    part_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader), cmocka_unit_test(test_seal),    cmocka_unit_test(test_room),
        cmocka_unit_test(test_cut),    cmocka_unit_test(test_backlog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
