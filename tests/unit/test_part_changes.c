// LINK: @replica raftd/node/changes.c raftd/base/member_change.c
/* A wish to change the members goes to the leader, and its client hears what came of it. */
#include "tests/lib/node_part.h"

#include "raftd/base/num.h"
#include "raftd/node/changes.h"

static struct part p;
static struct changes c;
static struct member_seen whom; /* who speaks as node 3, */
static bool there;              /* and all others do */
static uint8_t first_key, third_key;

static struct member_seen who(const void *ctx, uint64_t now, uint16_t id)
{
    (void)ctx, (void)now;
    return id == 3 ? whom : (struct member_seen){.lately = there};
}

static void start(void)
{
    part_start(&p);
    memset(&whom, 0, sizeof whom);
    changes_init(&c, &p.cfg, &p.io, &p.r, who, NULL);
}

static void stop(void)
{
    changes_stop(&c);
    part_stop(&p);
}

static union {
    struct request req;
    uint8_t room[sizeof(struct request) + REQUEST_WORDS_BYTES];
} made;

static struct member_change add4(void)
{
    return (struct member_change){.op = MEMBER_ADD, .id = 4, .addr = {"10.0.0.4:7000"}};
}

static void ask(const struct member_change *change)
{
    memset(&made, 0, sizeof made);
    made.req.kind = REQUEST_CHANGE;
    made.req.cmd_len = REQUEST_WORDS_BYTES;
    made.req.deadline_us = p.now + 5 * S;
    made.req.body_len = (uint32_t)member_change_encode(change, made.req.cmd);
    p.answers = 0;
    changes_ask(&c, p.now, &made.req);
}

static void step(void)
{
    changes_step(&c, p.now);
    part_settle(&p);
    changes_step(&c, p.now);
}

static void is_answered(enum result result, const char *words)
{
    assert_int_equal(p.answers, 1);
    assert_int_equal(made.req.result, result);
    assert_int_equal(made.req.body_len, strlen(words));
    assert_memory_equal(made.req.cmd, words, strlen(words));
}

static uint64_t last(void)
{
    return replica_raft(&p.r)->trail.last;
}

/* It leads, and the first configuration is in the log and committed. */
static void lead(void)
{
    struct members m = {.cluster_id = 9, .n = 3};
    for (unsigned i = 0; i < 3; i++) {
        m.m[i] = (struct member){.id = (uint16_t)(i + 1), .standing = MEMBER_VOTER, .priority = 1};
        m.m[i].addr[0][0] = 'a';
    }
    m.m[0].key[0] = first_key;
    m.m[2].key[0] = third_key;
    part_lead(&p);
    part_match(&p, 2);
    part_ack(&p, 2, last(), 0);
    assert_int_equal(replica_change(&p.r, p.now, &m, false), RAFT_TAKEN);
    part_settle(&p);
    part_ack(&p, 2, last(), 0);
}

static void test_the_leader_itself(void **state)
{
    (void)state;
    struct member_change change = add4();
    start();
    lead();
    ask(&change);
    step();
    assert_int_equal(p.answers, 0); /* it is in the log, and not committed */
    assert_int_equal(replica_members(&p.r)->members.n, 4);
    part_ack(&p, 2, last(), 0);
    step();
    is_answered(RESULT_OK, "");
    assert_true(made.req.results.revision == last());
    stop();
}

static void test_refused(void **state)
{
    (void)state;
    struct member_change change = add4();
    start();
    lead();
    change.id = 3;
    ask(&change);
    step();
    is_answered(RESULT_REFUSED, changes_words(MEMBER_IS_MEMBER));
    /* Nothing is to be done: as if it had been done. */
    change = (struct member_change){
        .op = MEMBER_SET, .id = 3, .priority = 1, .flags = MEMBER_CHANGE_PRIORITY};
    uint64_t before = last();
    ask(&change);
    step();
    is_answered(RESULT_OK, "");
    assert_true(last() == before && made.req.results.revision == replica_raft(&p.r)->members.index);
    stop();
}

/* What passes is asked again until it is done or the time is up. */
static void test_asked_again(void **state)
{
    (void)state;
    struct member_change change = add4();
    start();
    part_lead(&p); /* no configuration is in the log */
    ask(&change);
    step();
    assert_int_equal(p.answers, 0);
    uint64_t again = changes_deadline(&c);
    assert_true(again > p.now && again <= p.now + S);
    p.now = again;
    step();
    assert_int_equal(p.answers, 0);
    p.now = made.req.deadline_us;
    step();
    is_answered(RESULT_REFUSED, changes_words(MEMBER_NONE_YET));
    stop();
}

static void test_no_leader(void **state)
{
    (void)state;
    struct member_change change = add4();
    start();
    ask(&change);
    step();
    assert_true(changes_deadline(&c) == made.req.deadline_us);
    p.now = made.req.deadline_us;
    changes_step(&c, p.now);
    is_answered(RESULT_NO_LEADER, "");
    stop();
}

static struct wire_change sent(void)
{
    struct wire_change w = {0};
    assert_true(changes_due(&c, 2) <= p.now);
    assert_false(changes_fill(&c, p.now, 3, &w)); /* it does not lead */
    assert_true(changes_fill(&c, p.now, 2, &w));
    return w;
}

static void test_over_a_leader(void **state)
{
    (void)state;
    struct member_change change = add4(), got;
    start();
    part_follow(&p, 2, 5, 0);
    ask(&change);
    struct wire_change w = sent();
    assert_true(member_change_decode(w.bytes, w.len, &got));
    assert_memory_equal(&got, &change, sizeof got);
    /* Again, until it answers: the same number. */
    struct wire_change again;
    assert_false(changes_fill(&c, p.now, 2, &again));
    p.now = changes_due(&c, 2);
    again = sent();
    assert_true(again.number == w.number);
    /* An answer of somebody else, and one to another wish, say nothing. */
    struct wire_changed answer = {.number = w.number, .verdict = MEMBER_TOO_MANY};
    changes_answered(&c, 3, &answer);
    answer.number++;
    changes_answered(&c, 2, &answer);
    step();
    assert_int_equal(p.answers, 0);
    answer.number--;
    changes_answered(&c, 2, &answer);
    step();
    is_answered(RESULT_REFUSED, changes_words(MEMBER_TOO_MANY));
    /* The next one has another number. */
    ask(&change);
    assert_true(sent().number > w.number);
    stop();
}

/* Nobody knows what a leader did that is gone; what has not left can't have been done. */
static void test_the_leader_is_gone(void **state)
{
    (void)state;
    struct member_change change = add4();
    start();
    part_follow(&p, 2, 5, 0);
    ask(&change);
    part_follow(&p, 3, 6, 0);
    step();
    assert_int_equal(p.answers, 0);
    assert_true(changes_due(&c, 3) <= p.now);
    part_follow(&p, 2, 7, 0);
    (void)sent();
    part_follow(&p, 3, 8, 0);
    step();
    is_answered(RESULT_UNKNOWN, "");
    /* Or it is silent for too long. */
    ask(&change);
    part_follow(&p, 2, 9, 0);
    (void)sent();
    p.now = made.req.deadline_us;
    changes_step(&c, p.now);
    is_answered(RESULT_UNKNOWN, "");
    stop();
}

/* The entry that a leader made of it can be lost with that leader: then it is asked anew. */
static void test_the_entry_is_lost(void **state)
{
    (void)state;
    struct member_change change = add4();
    start();
    lead();
    ask(&change);
    step();
    uint64_t term = replica_raft(&p.r)->term, at = last();
    assert_int_equal(replica_members(&p.r)->members.n, 4);
    part_follow(&p, 2, term + 1, 0);
    p.now += S;
    step();
    assert_int_equal(p.answers, 0); /* it may still be committed */
    assert_int_equal(c.answer.index, at);
    c.answer.term--; /* as if that leader had put another entry there */
    struct raft_msg probe = {.type = RAFT_MSG_PROBE, .from = 2, .term = term + 1};
    probe.probe.probe = 1;
    probe.probe.prev_index = at;
    probe.probe.prev_term = term;
    part_receive(&p, probe);
    part_follow(&p, 2, term + 1, at);
    step();
    assert_int_equal(p.answers, 0);
    p.now = changes_due(&c, 2);
    (void)sent();
    stop();
}

/* A leader judges a number once, and gives the same answer each time. */
static void test_repeated(void **state)
{
    (void)state;
    uint8_t buf[MEMBER_CHANGE_BYTES_MAX];
    struct member_change change = add4();
    struct wire_change w = {
        .number = (uint64_t)5 << 32 | 2, .bytes = buf, .len = member_change_encode(&change, buf)};
    struct wire_changed first, again;
    start();
    lead();
    changes_take(&c, p.now, 2, &w);
    assert_true(changes_due(&c, 2) == 0 && changes_due(&c, 3) == NEVER);
    assert_false(changes_fill_answer(&c, 3, &first));
    assert_true(changes_fill_answer(&c, 2, &first));
    assert_int_equal(first.verdict, MEMBER_TAKEN);
    assert_true(first.index == last() && first.term == replica_raft(&p.r)->term);
    assert_false(changes_fill_answer(&c, 2, &again));
    changes_take(&c, p.now, 2, &w);
    assert_true(changes_fill_answer(&c, 2, &again));
    assert_memory_equal(&again, &first, sizeof first);
    /* Another one, and then the first one late: it is not judged again. */
    part_settle(&p);
    part_ack(&p, 2, last(), 0);
    w.number++;
    w.len = 1;
    changes_take(&c, p.now, 2, &w);
    assert_true(changes_fill_answer(&c, 2, &again));
    assert_int_equal(again.verdict, MEMBER_BAD_CHANGE);
    w.number--;
    changes_take(&c, p.now, 2, &w);
    assert_false(changes_fill_answer(&c, 2, &again));
    stop();
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    struct member_change change = add4();
    struct request second = {.kind = REQUEST_CHANGE, .body_len = 7};
    start();
    ask(&change);
    changes_ask(&c, p.now, &second);
    assert_ptr_equal(p.answered, &second);
    assert_int_equal(second.result, RESULT_BUSY);
    assert_int_equal(second.body_len, 0);
    changes_stop(&c);
    assert_int_equal(made.req.result, RESULT_STOPPING);
    stop();
}

/* Nobody else can have come under the leader's own id: that is said at once. */
static void test_replace_the_leader(void **state)
{
    (void)state;
    const struct member_change change = {.op = MEMBER_REPLACE, .id = 1};
    first_key = 10;
    start();
    lead();
    there = false;
    ask(&change);
    step();
    is_answered(RESULT_REFUSED, changes_words(MEMBER_SAME_DIRECTORY));
    first_key = 0;
    stop();
}

/* Is node 3 replaced now, at the next look? */
static bool replaced(void)
{
    uint64_t before = last();
    p.now += S;
    part_ack(&p, 2, before, 0);
    step();
    return last() != before;
}

/* A member with another directory, whose old one was silent for long, is taken back when all others are
 * there: by the leader, once, and only if that is wanted. */
static void test_by_itself(void **state)
{
    (void)state;
    third_key = 30;
    start();
    p.cfg.auto_replace_us = 60 * (uint64_t)S;
    changes_init(&c, &p.cfg, &p.io, &p.r, who, NULL);
    there = true;
    whom.silent_us = 60 * (uint64_t)S;
    whom.key[0] = 31;
    assert_false(replaced()); /* it does not lead */
    lead();
    whom.silent_us--;
    assert_false(replaced());
    whom.silent_us++;
    there = false;
    assert_false(replaced());
    there = true;
    whom.key[0] = 30;
    assert_false(replaced()); /* nobody else has come */
    whom.key[0] = 31;
    whom.lately = true;
    assert_false(replaced());
    whom.lately = false;
    assert_true(replaced());
    const struct member *m = members_find(&replica_members(&p.r)->members, 3);
    assert_true(m->standing == MEMBER_JOINING && m->key[0] == 31);
    assert_false(replaced());
    stop();
    start();
    lead();
    there = true;
    whom.silent_us = UINT64_MAX;
    whom.key[0] = 31;
    assert_false(replaced()); /* not wanted */
    third_key = 0;
    stop();
}

/* Each refusal has a sentence of its own, which fits. */
static void test_words(void **state)
{
    (void)state;
    for (unsigned v = 1; v < MEMBER_VERDICTS; v++) {
        bool used = v <= RAFT_REFUSED_NO_MAJORITY || v >= MEMBER_VERDICTS_OWN;
        bool unknown = strcmp(changes_words(v), changes_words(255)) == 0;
        assert_true(used != unknown);
        assert_in_range(strlen(changes_words(v)), 15, REQUEST_WORDS_BYTES);
        for (unsigned k = 1; k < v && used; k++)
            assert_string_not_equal(changes_words(v), changes_words(k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_leader_itself), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_asked_again),       cmocka_unit_test(test_no_leader),
        cmocka_unit_test(test_over_a_leader),     cmocka_unit_test(test_the_leader_is_gone),
        cmocka_unit_test(test_the_entry_is_lost), cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_one_at_a_time),     cmocka_unit_test(test_words),
        cmocka_unit_test(test_by_itself),         cmocka_unit_test(test_replace_the_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
