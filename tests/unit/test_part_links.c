// LINK: @replica raftd/node/links.c
/* What nodes tell each other about their links. */
#include "tests/lib/node_part.h"

#include "raftd/node/links.h"

static struct part p;
static struct links l;
static struct link link2, link3;

static void start_with(uint64_t election_timeout_us)
{
    struct wal_report rep = {.verdict = WAL_CLEAN};
    part_configure(&p);
    p.cfg.election_timeout_us = election_timeout_us;
    assert_true(replica_init(&p.r, &p.cfg, &p.io, &rep, 0, 0, p.now));
    link2 = link3 = (struct link){0};
    links_init(&l, &p.cfg, &p.r, p.now);
    links_add(&l, p.now, 2, &link2);
    links_add(&l, p.now, 3, &link3);
    links_follow(&l);
}

static void start(void)
{
    start_with(T_US);
}

static void hears(struct link *link, uint32_t percent)
{
    link->has_peer = link->has_loss = true;
    link->peer_ts_at = p.now;
    link->loss_in = (uint32_t)((uint64_t)LINK_LOSS_FULL * percent / 100);
}

/* Our own row, now and then; a leader's rows of others as well. */
static void test_told(void **state)
{
    (void)state;
    struct wire_links out = {0}, row = {.rows = 1, .cols = 3, .id = {3}, .heard = {{7, 20, 0}}};
    start();
    row.members = (uint16_t)wire_voters_digest(p.cfg.voters, 3);
    assert_false(links_fill(&l, p.now + 2 * S - 1, 2, &out));
    assert_true(links_due(&l, 2) == p.now + 3 * S);
    part_lead(&p);
    links_watch(&l, p.now);
    hears(&link3, 25);
    links_take(&l, p.now, 3, &row);
    p.now += S / 2;
    assert_true(links_fill(&l, p.now, 2, &out)); /* at once, for it leads now */
    assert_true(out.cols == 3 && out.rows == 2 && out.id[0] == 1 && out.id[1] == 3);
    assert_true(out.heard[0][0] == 0 && out.heard[0][1] == WIRE_NOT_KNOWN && out.heard[0][2] == 25);
    assert_true(out.heard[1][0] == 7 && out.heard[1][1] == 20);
    assert_int_equal(out.age[1], S / 2 / WIRE_AGE_UNIT_US);
    assert_true(links_due(&l, 2) == p.now + 3 * S);
    assert_false(links_fill(&l, p.now, 2, &out));
    p.now += 10 * S; /* an old row tells nothing about now, and silence does */
    assert_true(links_fill(&l, p.now, 2, &out));
    assert_true(out.rows == 1 && out.heard[0][1] == WIRE_NOT_HEARD &&
                out.heard[0][2] == WIRE_NOT_HEARD);
    part_stop(&p);
}

static int out_to(uint16_t peer)
{
    struct status_peer s = {0};
    links_peer_status(&l, p.now, peer, &s);
    return s.loss_out_permille;
}

/* A row is taken from the node that it is about, or from the leader; never instead of a newer one. */
static void test_taken(void **state)
{
    (void)state;
    struct wire_links row = {.rows = 1, .cols = 3, .id = {3}, .heard = {{30, 0, 0}}, .age = {2}};
    start();
    row.members = (uint16_t)wire_voters_digest(p.cfg.voters, 3);
    links_take(&l, p.now, 2, &row);
    assert_int_equal(out_to(3), STATUS_LOSS_UNKNOWN);
    part_follow(&p, 2, 5, 0);
    links_take(&l, p.now, 2, &row);
    assert_int_equal(out_to(3), 300);
    row.cols = 2;
    row.heard[0][0] = 50;
    links_take(&l, p.now, 2, &row); /* of another list of nodes */
    assert_int_equal(out_to(3), 300);
    row.cols = 3;
    row.members++;
    links_take(&l, p.now, 2, &row);
    assert_int_equal(out_to(3), 300);
    row.members--;
    row.age[0] = 3;
    links_take(&l, p.now, 2, &row);
    assert_int_equal(out_to(3), 300);
    row.age[0] = 0;
    row.heard[0][0] = 200; /* percent, whatever it says */
    links_take(&l, p.now, 3, &row);
    assert_int_equal(out_to(3), 1000);
    row.heard[0][0] = WIRE_NOT_HEARD;
    links_take(&l, p.now, 3, &row);
    assert_int_equal(out_to(3), 1000);
    row.id[0] = 9; /* none of ours */
    links_take(&l, p.now, 2, &row);
    part_stop(&p);
}

static int in_from(uint16_t peer)
{
    struct status_peer s = {0};
    links_peer_status(&l, p.now, peer, &s);
    return s.loss_in_permille;
}

/* With a long election timeout rows are told rarely, and last for longer; the age of one is told as far as it
 * can be. */
static void test_rarely(void **state)
{
    (void)state;
    struct wire_links out = {0}, row = {.rows = 1, .cols = 3, .id = {3}, .heard = {{30, 0, 0}}};
    start_with(3 * S);
    row.members = (uint16_t)wire_voters_digest(p.cfg.voters, 3);
    part_lead(&p);
    links_watch(&l, p.now);
    assert_true(links_fill(&l, p.now, 2, &out));
    links_take(&l, p.now, 3, &row);
    assert_int_equal(links_due(&l, 2), p.now + 12 * S);
    p.now += 9 * S - 1;
    assert_false(links_fill(&l, p.now, 2, &out));
    p.now++;
    assert_true(links_fill(&l, p.now, 2, &out));
    assert_true(out.rows == 2 && out.age[1] == 9 * S / WIRE_AGE_UNIT_US);
    p.now += 30 * S;
    assert_int_equal(out_to(3), 300);
    assert_true(links_fill(&l, p.now, 2, &out));
    assert_true(out.rows == 2 && out.age[1] == WIRE_AGE_MAX);
    p.now++;
    assert_int_equal(out_to(3), STATUS_LOSS_UNKNOWN);
    part_stop(&p);
}

/* What is to be known soon goes with the next datagram, but makes none, and does not go again and again. It
 * is said once, so what comes too early waits, and is not forgotten. */
static void test_soon(void **state)
{
    (void)state;
    struct wire_links out;
    start();
    p.now += 3 * S;
    assert_true(links_fill(&l, p.now, 2, &out));
    uint64_t due = p.now + 3 * S;
    assert_int_equal(links_due(&l, 2), due);
    p.now += 240000;
    links_soon(&l);
    assert_false(links_fill(&l, p.now, 2, &out)); /* too early */
    p.now += 20000;
    assert_in_range(links_due(&l, 2), p.now + 1, due);
    assert_true(links_fill(&l, p.now, 2, &out));
    assert_false(links_fill(&l, p.now, 2, &out));
    part_stop(&p);
}

/* Rows that were told for other members are void: their columns are other nodes'. */
static void test_other_members(void **state)
{
    (void)state;
    struct wire_links out = {0}, row = {.rows = 1, .cols = 3, .id = {3}, .heard = {{7, 20, 0}}};
    start();
    row.members = (uint16_t)wire_voters_digest(p.cfg.voters, 3);
    part_lead(&p);
    part_match(&p, 2);
    part_ack(&p, 2, 1, 0);
    links_watch(&l, p.now);
    links_take(&l, p.now, 3, &row);
    struct members m = replica_members(&p.r)->members;
    m.m[m.n++] = (struct member){
        .id = 4, .standing = MEMBER_JOINING, .priority = 1, .addr = {"10.0.0.4:7000"}};
    links_follow(&l); /* nothing has changed */
    assert_true(links_fill(&l, p.now, 2, &out));
    assert_true(out.rows == 2 && out.cols == 3);
    assert_int_equal(replica_change(&p.r, p.now, &m, true), RAFT_TAKEN);
    links_follow(&l);
    p.now += 3 * S;
    assert_true(links_fill(&l, p.now, 2, &out));
    assert_true(out.rows == 1 && out.cols == 4);
    part_stop(&p);
}

/* Silence is loss once it lasts: at a leader after eight heartbeats and a second, else after ten. */
static void test_silence(void **state)
{
    (void)state;
    start();
    hears(&link2, 25);
    assert_int_equal(in_from(2), 250);
    assert_int_equal(in_from(3), STATUS_LOSS_UNKNOWN);
    p.now += 9 * S;
    assert_int_equal(in_from(2), 250);
    p.now += 1 * S;
    assert_int_equal(in_from(2), 1000);
    part_lead(&p);
    hears(&link2, 25);
    p.now += 1 * S - 1;
    assert_int_equal(in_from(2), 250);
    p.now++;
    assert_int_equal(in_from(2), 1000);
    part_stop(&p);
}

/* A new role gives a peer new time to speak; one that was silent is so until it does. */
static void test_silent_until_heard(void **state)
{
    (void)state;
    start();
    hears(&link2, 25);
    p.now += 10 * S;
    links_watch(&l, p.now);
    part_lead(&p);
    links_watch(&l, p.now);
    assert_int_equal(in_from(2), 1000);
    assert_int_equal(links_silent(&l, p.now) & 3, 3);
    p.now++;
    hears(&link2, 25);
    assert_int_equal(in_from(2), 250);
    links_watch(&l, p.now);
    assert_int_equal(in_from(2), 250);
    assert_int_equal(in_from(3), 1000);
    part_stop(&p);
}

static void test_settings(void **state)
{
    (void)state;
    start();
    struct wire_settings ours = links_settings(&l);
    struct status_peer s = {0};
    assert_true(ours.value[WIRE_MAX_VALUE_BYTES] == 4096 &&
                ours.value[WIRE_ELECTION_TIMEOUT_MS] == 150);
    ours.value[WIRE_MAX_VALUE_BYTES] = 1;
    links_take_settings(&l, 3, &ours);
    links_peer_status(&l, p.now, 3, &s);
    assert_int_equal(s.settings.value[WIRE_MAX_VALUE_BYTES], 1);
    links_peer_status(&l, p.now, 2, &s);
    assert_int_equal(s.settings.n, 0);
    part_stop(&p);
}

/* Of ours and of what peers told. One that told fewer settings does not count. */
static void test_least(void **state)
{
    (void)state;
    start();
    p.cfg.lease_us = 10 * S;
    struct wire_settings theirs = links_settings(&l);
    assert_int_equal(links_least(&l, WIRE_LEASE_MS), 10000);
    theirs.value[WIRE_LEASE_MS] = 20000;
    links_take_settings(&l, 2, &theirs);
    assert_int_equal(links_least(&l, WIRE_LEASE_MS), 10000);
    theirs.value[WIRE_LEASE_MS] = 5000;
    theirs.n = WIRE_LEASE_MS;
    links_take_settings(&l, 3, &theirs);
    assert_int_equal(links_least(&l, WIRE_LEASE_MS), 10000);
    theirs.n++;
    links_take_settings(&l, 3, &theirs);
    assert_int_equal(links_least(&l, WIRE_LEASE_MS), 5000);
    part_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_rarely),
        cmocka_unit_test(test_soon),
        cmocka_unit_test(test_other_members),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_silent_until_heard),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
