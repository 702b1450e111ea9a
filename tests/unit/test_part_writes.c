// LINK: @replica @stream @state raftd/node/writes.c raftd/node/relay.c raftd/node/flow.c
/* Writes of local clients: numbered, sent to whoever leads, answered once. */
#include "tests/lib/node_part.h"

#include "raftd/base/rcu.h"
#include "raftd/node/writes.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 10, NO_ANSWER = 99 };

static struct part p;
static struct path path;
static struct relay_out relay;
static struct kv *kv;
static struct machine *machine;
static struct writes w;

static void start(void)
{
    part_start(&p);
    path = (struct path){.envelope_bytes = 50, .cap_us = T_US / 3};
    mtu_init(&path.mtu, 1200);
    relay_out_init(&relay, &p.r, 8192);
    relay_out_add(&relay, 2, &path);
    relay_out_add(&relay, 3, &path);
    kv = kv_new();
    machine = machine_new(kv);
    assert_true(kv != NULL && machine != NULL);
    w = (struct writes){0};
    writes_init(&w, &p.cfg, &p.io, &p.r, &relay, machine);
}

static void stop(void)
{
    assert_int_equal(writes_pending(&w), 0);
    relay_out_free(&relay);
    machine_free(machine);
    rcu_wait_freed();
    kv_free(kv);
    part_stop(&p);
}

/* A put of `len` bytes, to be answered within a second. */
static struct request *add(uint32_t len)
{
    struct request *req = calloc(1, sizeof *req + CMD_ONE_BYTES + 1 + len);
    assert_non_null(req);
    req->cmd_len = (uint32_t)cmd_encode_one(
        req->cmd,
        &(struct cmd_item){
            .kind = CMD_PUT, .key = (const uint8_t *)"k", .key_len = 1, .value_len = len});
    req->deadline_us = p.now + S;
    req->result = (enum result)NO_ANSWER;
    writes_add(&w, p.now, req);
    return req;
}

/* That one was answered last, and so. */
static void answered(struct request *req, enum result result)
{
    assert_ptr_equal(p.answered, req);
    assert_int_equal(req->result, result);
    results_free(&req->results);
    free(req);
}

static void applied(const struct request *req, enum outcome outcome, uint64_t index)
{
    assert_false(writes_applied(&w, &(struct applied){.outcome = outcome,
                                                      .revision = index,
                                                      .origin = 1,
                                                      .process = req->process,
                                                      .number = req->number}));
}

/* Bytes that wait for the leader. */
static uint64_t relayed(void)
{
    return relay.flow.tx.end;
}

static void test_refused(void **state)
{
    (void)state;
    start();
    answered(add(4096 + CMD_BESIDE_BYTES), RESULT_TOO_LARGE);
    struct request *req = calloc(1, sizeof *req + 10);
    assert_non_null(req);
    req->cmd_len = 10;
    writes_add(&w, p.now, req);
    answered(req, RESULT_BAD);
    req = calloc(1, sizeof *req + CMD_ONE_BYTES);
    assert_non_null(req);
    req->cmd_len = (uint32_t)cmd_encode_one(req->cmd, &(struct cmd_item){.kind = CMD_END_DUE});
    writes_add(&w, p.now, req);
    answered(req, RESULT_BAD); /* only a leader does that, by itself */
    struct request *all[NODE_WRITES_MAX];
    for (unsigned i = 0; i < NODE_WRITES_MAX; i++)
        all[i] = add(SMALL);
    assert_int_equal(writes_pending(&w), NODE_WRITES_MAX);
    answered(add(SMALL), RESULT_BUSY);
    unsigned before = p.answers;
    writes_stop(&w);
    assert_int_equal(p.answers, before + NODE_WRITES_MAX);
    for (unsigned i = 0; i < NODE_WRITES_MAX; i++) {
        assert_true(all[i]->number == i + 1 && all[i]->result == RESULT_STOPPING);
        free(all[i]);
    }
    stop();
}

/* In the order of their numbers into the log of a leader; told when readers can see it, not before. */
static void test_leader(void **state)
{
    (void)state;
    start();
    struct request *one = add(SMALL), *two = add(SMALL);
    writes_send(&w, p.now);
    assert_false(one->sent); /* there is no leader */
    part_lead(&p);
    uint64_t last = replica_log(&p.r)->last;
    writes_send(&w, p.now);
    assert_true(replica_log(&p.r)->last == last + 2 && one->sent && two->sent);
    writes_send(&w, p.now);
    assert_int_equal(replica_log(&p.r)->last, last + 2);
    struct applied other = {.process = one->process + 1, .number = one->number};
    assert_false(writes_applied(&w, &other)); /* of another process */
    writes_published(&w);
    assert_int_equal(writes_pending(&w), 2);
    applied(one, MACHINE_DONE, last + 1);
    applied(one, MACHINE_DONE, last + 1); /* a copy */
    assert_int_equal(p.answers, 0);
    writes_published(&w);
    assert_int_equal(one->results.revision, last + 1);
    answered(one, RESULT_OK);
    applied(two, MACHINE_FULL, last + 2);
    writes_published(&w);
    answered(two, RESULT_FULL);
    stop();
}

/* What has not left is known not to have happened, what has left may have. */
static void test_expire(void **state)
{
    (void)state;
    start();
    struct request *kept = add(SMALL);
    assert_true(writes_deadline(&w) == kept->deadline_us);
    writes_expire(&w, kept->deadline_us - 1);
    assert_int_equal(p.answers, 0);
    writes_expire(&w, kept->deadline_us);
    answered(kept, RESULT_NO_LEADER);
    assert_true(writes_deadline(&w) == RAFT_NEVER);
    part_lead(&p);
    struct request *sent = add(SMALL);
    writes_send(&w, p.now);
    struct request *late = add(SMALL);
    late->deadline_us += S;
    writes_expire(&w, sent->deadline_us);
    assert_true(writes_deadline(&w) == late->deadline_us);
    answered(sent, RESULT_UNKNOWN);
    writes_expire(&w, late->deadline_us);
    answered(late, RESULT_BUSY);
    stop();
}

/* A node that was removed lets its clients go elsewhere at once. */
static void test_left_out(void **state)
{
    (void)state;
    start();
    struct request *kept = add(SMALL);
    part_receive(&p, (struct raft_msg){.type = RAFT_MSG_VOTE_RSP,
                                       .from = 2,
                                       .term = replica_raft(&p.r)->term,
                                       .vote_rsp.removed = 5});
    writes_expire(&w, p.now);
    answered(kept, RESULT_NO_LEADER);
    answered(add(SMALL), RESULT_NO_LEADER);
    stop();
}

/* To another leader all leave again that are not answered. */
static void test_other_leader(void **state)
{
    (void)state;
    start();
    struct request *one = add(SMALL), *two = add(SMALL);
    part_follow(&p, 2, 5, 0);
    writes_send(&w, p.now);
    uint64_t both = relayed();
    assert_true(one->sent && two->sent && both > 2 * SMALL);
    applied(one, MACHINE_DONE, 1);
    writes_send(&w, p.now);
    assert_int_equal(relayed(), both);
    part_follow(&p, 3, 6, 0);
    writes_send(&w, p.now);
    assert_int_equal(relayed(), both / 2); /* another stream, with the second alone */
    writes_published(&w);
    answered(one, RESULT_OK);
    writes_stop(&w);
    answered(two, RESULT_STOPPING);
    stop();
}

/* The leader uses nothing of this stream from `off` on. */
static void shut(uint64_t off, bool log_full)
{
    const struct wire_sack s = {.shut = true, .log_full = log_full, .contig = off};
    relay.flow.tx.nxt = relay.flow.tx.end; /* all was sent */
    relay.flow.source->shut(relay.flow.ctx, &s);
}

/* A leader without room says what it will not take: that was not done, if it is the only copy. */
static void test_shut(void **state)
{
    (void)state;
    start();
    struct request *one = add(SMALL), *two = add(SMALL);
    part_follow(&p, 2, 5, 0);
    writes_send(&w, p.now);
    uint64_t both = relayed();
    shut(both + 1, true); /* which it was never sent */
    writes_send(&w, p.now);
    assert_int_equal(p.answers, 0);
    shut(both / 2, true);
    writes_send(&w, p.now);
    assert_int_equal(p.answers, 1);
    answered(two, RESULT_LOG_FULL);
    assert_int_equal(relayed(), both / 2); /* the first one, in another stream */
    shut(0, true);
    writes_send(&w, p.now);
    assert_int_equal(p.answers, 1); /* there are two copies of it */
    part_follow(&p, 3, 6, 0);
    writes_send(&w, p.now);
    shut(0, true);
    writes_send(&w, p.now);
    assert_int_equal(p.answers, 1);
    two = add(SMALL);
    writes_send(&w, p.now);
    shut(0, false);
    writes_send(&w, p.now);
    answered(two, RESULT_DISK_FULL);
    writes_stop(&w);
    answered(one, RESULT_STOPPING);
    stop();
}

/* Of more writes than are on their way at a time some were sent to the last leader alone. What the next one
 * shuts says nothing of them. */
static void test_shut_by_the_next(void **state)
{
    enum { ROUNDS = 3, EACH = 60, LARGE = 4000 };
    (void)state;
    start();
    struct request *all[ROUNDS * EACH];
    part_follow(&p, 2, 5, 0);
    for (unsigned i = 0; i < ROUNDS * EACH; i++) {
        all[i] = add(LARGE);
        writes_send(&w, p.now);
        assert_true(all[i]->sent);
        relay.flow.tx.una = relay.flow.tx.nxt = relay.flow.tx.end; /* it has arrived */
        relay.flow.source->acked(relay.flow.ctx);
    }
    part_follow(&p, 3, 6, 0);
    writes_send(&w, p.now);
    assert_in_range(relayed(), LARGE, ROUNDS * EACH * LARGE);
    shut(0, true);
    writes_send(&w, p.now);
    assert_int_equal(p.answers, 0);
    writes_stop(&w);
    for (unsigned i = 0; i < ROUNDS * EACH; i++)
        free(all[i]);
    stop();
}

/* What a leader has proposed, and then relays to the next one, is not refused by that. */
static void test_shut_after_proposal(void **state)
{
    (void)state;
    start();
    part_lead(&p);
    struct request *one = add(SMALL);
    writes_send(&w, p.now);
    part_follow(&p, 2, replica_raft(&p.r)->term + 1, 0);
    writes_send(&w, p.now);
    assert_true(relayed() > 0);
    shut(0, true);
    writes_send(&w, p.now);
    assert_int_equal(p.answers, 0);
    writes_stop(&w);
    answered(one, RESULT_STOPPING);
    stop();
}

/* An earlier process of this node counts: the writes that did not know it leave again, once. */
static void test_former_process(void **state)
{
    (void)state;
    start();
    struct request *one = add(SMALL), *two = add(SMALL);
    part_lead(&p);
    writes_send(&w, p.now);
    uint64_t last = replica_log(&p.r)->last;
    struct applied refused = {
        .outcome = MACHINE_ENDED, .origin = 1, .process = one->process, .number = one->number};
    assert_true(writes_applied(&w, &refused));
    writes_send(&w, p.now);
    assert_int_equal(replica_log(&p.r)->last, last + 2);
    refused.predecessor = one->predecessor + 1; /* an older copy is refused, too */
    assert_false(writes_applied(&w, &refused));
    refused.process++; /* of another process */
    assert_false(writes_applied(&w, &refused));
    writes_send(&w, p.now);
    assert_int_equal(replica_log(&p.r)->last, last + 2);
    writes_stop(&w);
    assert_true(one->result == RESULT_STOPPING && two->result == RESULT_STOPPING);
    free(one);
    free(two);
    stop();
}

/* The client of a write gets copies of what its operations told, and nobody else does. */
static void test_told(void **state)
{
    (void)state;
    start();
    struct request *one = add(SMALL), *two = add(SMALL);
    char value[] = "value";
    struct told told[] = {{.outcome = MACHINE_NO_KEY},
                          {.outcome = MACHINE_DONE,
                           .modify_revision = 7,
                           .value = (const uint8_t *)value,
                           .value_len = 5},
                          {.outcome = MACHINE_DONE, .value = (const uint8_t *)value}};
    struct applied a = {.origin = 1, .process = one->process + 1, .number = one->number};
    writes_told(&w, &a, told, 3); /* of an earlier process */
    a.process = one->process;
    a.number = two->number + 1; /* its client has gone */
    writes_told(&w, &a, told, 3);
    assert_true(one->results.n == 0 && two->results.n == 0);
    a.number = two->number;
    writes_told(&w, &a, told, 3);
    memset(value, 'x', sizeof value);
    applied(two, MACHINE_NO_KEY, 9);
    applied(one, MACHINE_DONE, 10);
    writes_published(&w);
    const struct results *r = &two->results;
    assert_true(r->outcome == MACHINE_NO_KEY && !r->repeated && r->revision == 9 && r->n == 3);
    assert_true(r->told[0].value == NULL && r->told[1].modify_revision == 7);
    assert_true(r->told[1].value_len == 5 && memcmp(r->told[1].value, "value", 5) == 0);
    assert_true(r->told[2].value != NULL && r->told[2].value_len == 0);
    assert_true(one->results.outcome == MACHINE_DONE && one->results.told == NULL);
    results_free(&two->results);
    free(two);
    answered(one, RESULT_OK);
    stop();
}

static bool tells_little(void *ctx, struct request *req, size_t bytes)
{
    (void)ctx;
    req->told_bytes = bytes;
    return bytes < 8;
}

/* Who asked has no room for so much: what was done counts nevertheless. */
static void test_told_too_much(void **state)
{
    (void)state;
    start();
    p.io.may_tell = tells_little;
    static const uint8_t four[4];
    const struct told one = {.outcome = MACHINE_DONE, .value = four, .value_len = sizeof four};
    const struct told told[2] = {one, one};
    for (unsigned n = 1; n <= 2; n++) {
        struct request *req = add(SMALL);
        const struct applied a = {.origin = 1, .process = req->process, .number = req->number};
        writes_told(&w, &a, told, n);
        applied(req, MACHINE_DONE, 8 + n);
        writes_published(&w);
        assert_int_equal(req->told_bytes, n * sizeof four);
        assert_int_equal(req->results.n, n == 1);
        answered(req, RESULT_OK);
    }
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_leader),
        cmocka_unit_test(test_expire),
        cmocka_unit_test(test_other_leader),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_former_process),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_told_too_much),
        cmocka_unit_test(test_shut),
        cmocka_unit_test(test_shut_after_proposal),
        cmocka_unit_test(test_shut_by_the_next),
    };
    rcu_thread_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
