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
    uint64_t ms, start_us;
    part_start(&p);
    start_us = p.now;
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
    assert_true(replica_hash(&p.r, 3, hash, &ms) && ms == (p.now - start_us) / MS);
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

/* A leader waits for its own disk only if that would commit something, or if more is to be written. */
static void test_awaits_disk(void **state)
{
    (void)state;
    static struct part p;
    part_start(&p);
    assert_true(replica_awaits_disk(&p.r)); /* a follower's answers wait for it */
    part_lead(&p);
    part_match(&p, 2);
    part_ack(&p, 2, 1, 0);
    p.disk_waits = true;
    assert_true(propose(&p, 10));
    assert_true(p.batch.last_index == 2 && !replica_awaits_disk(&p.r));
    part_ack(&p, 2, 2, 0);
    assert_true(replica_awaits_disk(&p.r)); /* both have it, as soon as we have */
    replica_persisted(&p.r, p.now, p.seq);
    part_settle(&p);
    assert_true(propose(&p, 10) && !replica_awaits_disk(&p.r));
    assert_true(propose(&p, 10) && replica_awaits_disk(&p.r)); /* that one is not written yet */
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

/* What the node, the core and its bytes say of the members. */
static void members_are(const struct part *p, uint64_t newest, uint64_t applied)
{
    const struct members_at *m = replica_members(&p->r);
    assert_int_equal(m->index, newest);
    assert_int_equal(replica_raft(&p->r)->members.index, newest);
    assert_int_equal(replica_raft(&p->r)->members.n, m->members.n);
    assert_int_equal(replica_applied_members(&p->r)->index, applied);
}

/* It leads, entry 1 is committed and applied, and entry 2 is a configuration with a cluster id, which is not
 * committed. */
static struct members leads_with_members(struct part *p)
{
    struct record rec;
    struct members m;
    part_start(p);
    members_are(p, 0, 0);
    m = replica_members(&p->r)->members;
    m.cluster_id = 77;
    assert_int_equal(replica_change(&p->r, p->now, &m, true), RAFT_REFUSED_NO_LEADER);
    part_lead(p);
    assert_int_equal(replica_change(&p->r, p->now, &m, true), RAFT_REFUSED_TOO_EARLY);
    part_match(p, 2);
    part_ack(p, 2, 1, 0);
    assert_true(replica_next(&p->r, &rec));
    m.m[1].id = 1; /* twice */
    assert_int_equal(replica_change(&p->r, p->now, &m, true), RAFT_REFUSED_MALFORMED);
    m.m[1].id = 2;
    assert_int_equal(replica_change(&p->r, p->now, &m, true), RAFT_TAKEN);
    part_settle(p);
    return m;
}

/* A configuration is in force at once, and what is applied tells of it when it is committed. */
static void test_members(void **state)
{
    (void)state;
    static struct part p;
    struct record rec;
    struct members m = leads_with_members(&p), got;
    members_are(&p, 2, 0);
    assert_memory_equal(&replica_members(&p.r)->members, &m, sizeof m);
    assert_true(p.batch.first_index == 2 && p.batch.last_index == 2);
    assert_false(replica_next(&p.r, &rec));
    assert_false(replica_settled(&p.r)); /* the next leader may draw another id */
    m.cluster_id++;
    assert_int_equal(replica_change(&p.r, p.now, &m, true), RAFT_REFUSED_UNDER_WAY);
    part_ack(&p, 2, 2, 0);
    members_are(&p, 2, 0);
    assert_true(replica_settled(&p.r));
    assert_true(replica_next(&p.r, &rec) && rec.index == 2 && rec.type == RECORD_MEMBERS);
    assert_true(members_decode(rec.data, rec.data_len, &got) && got.cluster_id == 77);
    members_are(&p, 2, 2);
    part_stop(&p);
}

/* Node 3 leads term 2, and what it has behind entry `prev` of term 1 is one entry with these data. */
static void append_of_3(struct part *p, uint64_t prev, uint8_t type, const uint8_t *data,
                        size_t len)
{
    static uint8_t buf[4096];
    const struct raft *c = replica_raft(&p->r);
    struct raft_msg m = {.type = RAFT_MSG_PROBE, .from = 3, .term = 2};
    struct append a = {.first = prev + 1, .last = prev + 1, .n_runs = 1};
    uint8_t before[RECORD_HASH_BYTES];
    uint64_t ms;
    part_follow(p, 3, 2, 0);
    m.probe.probe = (uint32_t)prev + 1;
    m.probe.prev_index = prev;
    m.probe.prev_term = raft_term_at(c, prev);
    part_receive(p, m);
    assert_true(c->epoch == prev + 1 && replica_hash(&p->r, prev, before, &ms));
    if (len > 0)
        memcpy(buf + RECORD_HEAD_BYTES, data, len);
    a.runs[0] = (struct raft_run){prev + 1, 2};
    a.bytes = record_seal(buf, prev + 1, 2, 0, type, before, (uint32_t)len);
    record_hash(buf, a.bytes, a.hash);
    size_t size;
    struct record rec;
    assert_int_equal(record_decode(buf, a.bytes, &rec, &size), RECORD_OK);
    if (type == RECORD_MEMBERS)
        a.members = rec;
    replica_append(&p->r, p->now, buf, &a);
    part_settle(p);
}

/* One that was not committed falls with the entries that another leader overwrites, and the one before is in
 * force again; that leader's own one is taken. */
static void test_members_fall(void **state)
{
    (void)state;
    static struct part p;
    uint8_t bytes[MEMBERS_BYTES_MAX];
    struct members m = leads_with_members(&p);
    append_of_3(&p, 1, RECORD_NOOP, NULL, 0);
    assert_int_equal(replica_log(&p.r)->last, 2);
    members_are(&p, 0, 0);
    assert_true(replica_members(&p.r)->members.cluster_id == 0);
    m.cluster_id = 78;
    append_of_3(&p, 2, RECORD_MEMBERS, bytes, members_encode(&m, bytes));
    members_are(&p, 3, 0);
    assert_true(replica_members(&p.r)->members.cluster_id == 78);
    append_of_3(&p, 2, RECORD_MEMBERS, bytes, members_encode(&m, bytes)); /* it is there */
    members_are(&p, 3, 0);
    part_stop(&p);
}

/* Those of a snapshot take the place of all that the log had; if there are none in it, the first ones are
 * meant. */
static void test_members_of_a_snapshot(void **state)
{
    (void)state;
    for (uint64_t index = 0; index <= 7; index += 7) {
        static struct part p;
        struct members m = leads_with_members(&p);
        struct snapshot_head head = {.index = 10, .term = 2, .members.index = index};
        m.cluster_id = 79;
        head.members.members = m;
        part_follow(&p, 3, 2, 0);
        assert_true(replica_install_begin(&p.r));
        assert_true(replica_install(&p.r, p.now, &head));
        members_are(&p, index, index);
        assert_int_equal(replica_members(&p.r)->members.cluster_id, index == 0 ? 0 : 79);
        part_stop(&p);
    }
}

/* What recovery found is in force: the newest, or, once that falls, the one before. */
static void test_members_found(void **state)
{
    (void)state;
    static struct part p;
    static const struct raft_run run = {1, 1};
    struct wal_report rep = {
        .term = 1, .last_index = 9, .last_term = 1, .runs = &run, .n_runs = 1, .commit = 3};
    part_configure(&p);
    struct members_at first = replica_first_members(&p.cfg);
    rep.members_base = rep.members_before = rep.members = first;
    rep.members_base.index = 2;
    rep.members_before.index = 5;
    rep.members.index = 8;
    rep.members_before.members.cluster_id = 5;
    assert_true(replica_init(&p.r, &p.cfg, &p.io, &rep, 3, 0, p.now));
    members_are(&p, 8, 2);
    assert_int_equal(replica_raft(&p.r)->commit_index, 5); /* else there were no entry 8 */
    assert_int_equal(replica_raft(&p.r)->members_before.index, 5);
    /* Not committed, but made by a recovery: the id is in force. */
    assert_true(replica_settled(&p.r));
    part_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader),
        cmocka_unit_test(test_awaits_disk),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_members_fall),
        cmocka_unit_test(test_members_of_a_snapshot),
        cmocka_unit_test(test_members_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
