// LINK: @replica raftd/node/vitals.c raftd/node/health.c
/* How each member is, as the leader tells it or this node sees it. */
#include "tests/lib/node_part.h"

#include "raftd/base/num.h"
#include "raftd/base/version.h"
#include "raftd/node/health.h"
#include "raftd/node/vitals.h"

static struct part p;
static struct vitals v;
static struct peer peer2 = {.id = 2}, peer3 = {.id = 3};
static struct peers all = {.all = {&peer2, &peer3}, .n = 2};
static uint64_t snapshot_left;
static unsigned hurried;

/* In the place of the parts that it asks. */
struct peer *peers_find(const struct peers *ps, uint16_t id)
{
    return id == 2 ? ps->all[0] : id == 3 ? ps->all[1] : NULL;
}

void envelope_status(const struct envelope *e, uint16_t peer, struct status_peer *s)
{
    (void)e, (void)peer;
    s->session = STATUS_SESSION_ESTABLISHED;
}

void links_peer_status(const struct links *l, uint64_t now, uint16_t peer, struct status_peer *s)
{
    (void)l, (void)now;
    s->loss_in_permille = peer == 2 ? 30 : STATUS_LOSS_UNKNOWN;
    s->loss_out_permille = peer == 2 ? 1000 : STATUS_LOSS_UNKNOWN;
}

void links_soon(struct links *l)
{
    (void)l;
    hurried++;
}

uint64_t snap_out_left(const struct snap_out *s)
{
    (void)s;
    return snapshot_left;
}

/* A node that follows node 2, in this health. */
static void is_well(enum health health)
{
    vitals_self(&v, &(struct status){.now_us = p.now,
                                     .id = 1,
                                     .leader = 2,
                                     .own_standing = RAFT_STANDS,
                                     .local_reads = 1,
                                     .disk_slow = health == HEALTH_DISK_SLOW,
                                     .disk_full = health == HEALTH_DISK_FULL,
                                     .leader_health = HEALTH_DISK_FULL});
}

static void start(void)
{
    part_start(&p);
    snapshot_left = 0;
    memset(&peer2.path.link, 0, sizeof peer2.path.link);
    memset(&peer3.path.link, 0, sizeof peer3.path.link);
    vitals_init(&v, &p.r, NULL, NULL, &all, p.now - 7 * S);
    hurried = 0;
    vitals_self(&v, &(struct status){.now_us = p.now,
                                     .id = 1,
                                     .leader = 2,
                                     .own_standing = RAFT_STANDS,
                                     .local_reads = 1,
                                     .disk_slow = 1,
                                     .leader_health = HEALTH_DISK_FULL,
                                     .drained = 1,
                                     .fsync_p99_us = 800,
                                     .log_bytes = 901,
                                     .data_bytes = 902,
                                     .keys = 903,
                                     .snapshot_index = 904,
                                     .snapshot_us = p.now - 5 * S});
}

static const struct status_member *shown(struct status *s, unsigned i)
{
    *s = (struct status){0};
    vitals_status(&v, p.now, s);
    assert_int_equal(s->n_members, 3);
    return &s->members[i];
}

static void hears(struct peer *peer)
{
    peer->path.link.has_peer = true;
    peer->path.link.peer_ts_at = p.now;
    peer->path.link.rtt.has = true;
    peer->path.link.rtt.srtt_us = 7000;
}

/* A follower tells of itself alone, a leader of all. */
static void test_told(void **state)
{
    (void)state;
    struct wire_vitals w;
    start();
    part_follow(&p, 2, 5, 0);
    assert_true(vitals_tell(&v, p.now, 2, 0, &w));
    assert_true(w.id == 1 && w.fsync_p99_us == 800 && w.uptime_s == 7);
    assert_true(w.health == HEALTH_DISK_SLOW && w.drained && w.log_bytes == 901);
    assert_true(w.data_bytes == 902 && w.keys == 903 && w.snapshot_index == 904);
    assert_true(w.snapshot_age_s == 5 && w.applied_index == replica_applied(&p.r));
    assert_int_equal(w.version, RAFTD_VERSION_NUMBER);
    assert_false(vitals_tell(&v, p.now, 2, 1, &w));
    vitals_self(&v, &(struct status){.now_us = UINT64_C(8000000) * S, .snapshot_us = 1});
    assert_true(vitals_tell(&v, p.now, 2, 0, &w));
    assert_int_equal(w.snapshot_age_s, 7999999); /* three months */
    part_stop(&p);

    start();
    part_lead(&p);
    hears(&peer2);
    const struct wire_vitals self = {.id = 2,
                                     .version = 3,
                                     .fsync_p99_us = 4,
                                     .uptime_s = 5,
                                     .health = HEALTH_OK,
                                     .drained = true,
                                     .applied_index = 6,
                                     .log_bytes = 7,
                                     .data_bytes = 8,
                                     .keys = 9,
                                     .snapshot_index = 10,
                                     .snapshot_age_s = 11};
    struct wire_vitals told = self;
    vitals_take(&v, p.now, 2, &self);
    p.now += S;
    assert_true(vitals_tell(&v, p.now, 2, 0, &w) && w.id == 1);
    assert_true(vitals_tell(&v, p.now, 2, 1, &w) && w.id == 2);
    assert_true(w.age == 1000 && w.heard == 1000 && w.rtt_us == 7000);
    assert_true(w.session == STATUS_SESSION_ESTABLISHED && w.loss_in == 30 && w.loss_out == 1000);
    told.age = w.age;
    told.heard = w.heard;
    told.session = w.session;
    told.rtt_us = w.rtt_us;
    told.loss_in = w.loss_in;
    told.loss_out = w.loss_out;
    told.lag_bytes = w.lag_bytes;
    told.lag_most_bytes = w.lag_most_bytes;
    assert_memory_equal(&w, &told, offsetof(struct wire_vitals, rate) + sizeof w.rate);
    assert_true(vitals_tell(&v, p.now, 2, 2, &w) && w.id == 3);
    assert_true(w.version == 0 && w.heard == UINT32_MAX && w.age == UINT32_MAX);
    assert_true(w.loss_in == WIRE_LOSS_UNKNOWN && w.snapshot_age_s == UINT32_MAX);
    assert_false(vitals_tell(&v, p.now, 2, 3, &w));
    part_stop(&p);
}

/* Those for whom there was no room come first the next time, to each node on its own. */
static void test_turns(void **state)
{
    struct wire_vitals w;
    (void)state;
    start();
    part_lead(&p);
    vitals_told(&v, 2, 2); /* itself, and node 2 */
    assert_true(vitals_tell(&v, p.now, 2, 0, &w) && w.id == 1);
    assert_true(vitals_tell(&v, p.now, 2, 1, &w) && w.id == 3);
    assert_true(vitals_tell(&v, p.now, 2, 2, &w) && w.id == 2);
    assert_true(vitals_tell(&v, p.now, 3, 1, &w) && w.id == 2);
    vitals_told(&v, 2, 1); /* nobody else */
    assert_true(vitals_tell(&v, p.now, 2, 1, &w) && w.id == 3);
    vitals_told(&v, 2, 3);
    assert_true(vitals_tell(&v, p.now, 2, 1, &w) && w.id == 3);
    part_stop(&p);
}

/* What the leader told counts for as long as it is new, and nobody else's word. */
static void test_by_the_leader(void **state)
{
    (void)state;
    struct status s;
    struct wire_vitals led = {.id = 3,
                              .version = 9,
                              .uptime_s = 60,
                              .session = STATUS_SESSION_ESTABLISHED,
                              .heard = 500,
                              .match_index = 44,
                              .lag_bytes = 250,
                              .lag_most_bytes = 1000,
                              .rate = 50};
    struct wire_vitals own = {.id = 2, .version = 8, .session = STATUS_SESSIONS};
    start();
    part_follow(&p, 2, 5, 0);
    hears(&peer3);
    vitals_take(&v, p.now, 3, &led); /* of itself: no more than that */
    assert_true(shown(&s, 2)->version == 9 && s.members_by == 1 && !s.members_led);
    assert_true(s.members[2].match_index == 0 && s.members[2].heard_us == p.now);
    led.id = 2;
    vitals_take(&v, p.now, 3, &led); /* of another one: it does not lead */
    assert_int_equal(shown(&s, 1)->version, 0);
    led.id = 3;
    vitals_take(&v, p.now, 2, &led);
    vitals_take(&v, p.now, 2, &own);
    struct wire_vitals self = {.id = 3, .version = 7, .uptime_s = 61, .session = STATUS_SESSIONS};
    vitals_take(&v, p.now, 3, &self); /* what the leader sees of it stays */
    p.now += S;
    const struct status_member *m = shown(&s, 2);
    assert_true(s.members_by == 2 && s.members_led && s.members_us == p.now - S);
    assert_true(m->match_index == 44 && m->uptime_s == 61 && m->version == 7);
    assert_int_equal(m->session, STATUS_SESSION_ESTABLISHED);
    assert_true(m->heard_us == p.now - S - S / 2);
    assert_true(m->lag_bytes == 250 && m->of_bytes == 1000 && m->percent == 75 && m->eta_s == 6);
    assert_true(s.members[1].session == STATUS_SESSIONS);
    assert_true(s.members[1].leads && !s.members[2].leads);
    p.now += 10 * S;
    (void)shown(&s, 2);
    assert_true(s.members_by == 1 && !s.members_led);
    part_stop(&p);
}

/* A leader that has run for years tells how long a member was silent to a box that was just started. */
static void test_years(void **state)
{
    static const uint64_t ages[] = {0,
                                    S,
                                    INT32_MAX * UINT64_C(1000),
                                    UINT64_C(2147484) * S,
                                    UINT64_C(315360000) * S,
                                    UINT64_C(2147483646) * S};
    (void)state;
    for (unsigned i = 0; i < sizeof ages / sizeof ages[0]; i++) {
        struct wire_vitals of3 = {.id = 3, .session = STATUS_SESSIONS}, of2 = {.id = 2}, w;
        struct status s;
        start();
        part_lead(&p);
        hears(&peer2);
        vitals_take(&v, p.now, 2, &of2);
        p.now += ages[i];
        const struct status_member *m = shown(&s, 1);
        assert_true(status_ago_us(p.now, m->heard_us) == ages[i]);
        assert_true(status_ago_us(p.now, m->told_us) == ages[i]);
        assert_true(vitals_tell(&v, p.now, 3, 1, &w) && w.id == 2);
        part_stop(&p);

        start(); /* ten seconds after its box */
        part_follow(&p, 3, 5, 0);
        vitals_take(&v, p.now, 3, &of3);
        vitals_take(&v, p.now, 3, &w);
        m = shown(&s, 1);
        assert_true(s.members_by == 3 && m->heard_us != 0 && m->told_us != 0);
        assert_true(status_ago_us(p.now, m->heard_us) == ages[i]);
        assert_true(status_ago_us(p.now, m->told_us) == ages[i]);
        w.heard = w.age = UINT32_MAX;
        vitals_take(&v, p.now, 3, &w);
        assert_true(shown(&s, 1)->heard_us == 0);
        part_stop(&p);
    }
}

/* How the leader is, as it told itself while it led; and a leader tells at once that it is otherwise now. */
static void test_leader_health(void **state)
{
    (void)state;
    struct status s;
    struct wire_vitals w = {.id = 2, .health = HEALTH_NO_QUORUM}, other = {.id = 3};
    start();
    part_follow(&p, 3, 4, 0);
    vitals_take(&v, p.now, 2, &w); /* as a follower: of a time before it led */
    part_follow(&p, 2, 5, 0);
    assert_int_equal(vitals_leader_health(&v, p.now), HEALTH_UNKNOWN);
    p.now += S;
    w.health = HEALTH_DISK_FULL;
    vitals_take(&v, p.now, 2, &w);
    other.health = HEALTH_IN_DOUBT;
    vitals_take(&v, p.now, 2, &other); /* of node 3 */
    assert_int_equal(vitals_leader_health(&v, p.now), HEALTH_DISK_FULL);
    (void)shown(&s, 1);
    assert_int_equal(s.leader_health, HEALTH_DISK_FULL);
    p.now += 10 * S;
    assert_int_equal(vitals_leader_health(&v, p.now), HEALTH_DISK_FULL);
    assert_int_equal(vitals_leader_health(&v, p.now + 1), HEALTH_UNKNOWN);
    w.health = HEALTH_COUNT; /* of a later version */
    vitals_take(&v, p.now, 2, &w);
    assert_int_equal(vitals_leader_health(&v, p.now), HEALTH_UNKNOWN);
    is_well(HEALTH_OK);
    is_well(HEALTH_DISK_SLOW);
    assert_int_equal(hurried, 0); /* nobody waits for the word of a follower */
    part_stop(&p);

    start();
    part_lead(&p);
    assert_true(vitals_tell(&v, p.now, 2, 0, &w));
    assert_int_equal(w.health,
                     HEALTH_UNKNOWN); /* until there is a status of the leader that it is */
    struct status led = {.now_us = p.now,
                         .id = 1,
                         .leader = 1,
                         .role = RAFT_LEADER,
                         .term = replica_raft(&p.r)->term,
                         .own_standing = RAFT_STANDS,
                         .local_reads = 1};
    vitals_self(&v, &led);
    assert_int_equal(hurried, 1);
    assert_true(vitals_tell(&v, p.now, 2, 0, &w) && w.health == HEALTH_OK);
    vitals_self(&v, &led);
    assert_int_equal(hurried, 1);
    led.log_full = 1;
    vitals_self(&v, &led);
    assert_int_equal(hurried, 2);
    assert_true(vitals_tell(&v, p.now, 2, 0, &w) && w.health == HEALTH_DISK_FULL);
    assert_int_equal(vitals_leader_health(&v, p.now), HEALTH_UNKNOWN);
    part_stop(&p);
}

/* What a peer lacks, of the most that it lacked since it began to catch up. */
static void test_progress(void **state)
{
    (void)state;
    struct status s;
    static const uint8_t value[1000];
    start();
    part_lead(&p);
    part_match(&p, 2);
    part_ack(&p, 2, 1, 0);
    vitals_watch(&v, p.now);
    assert_true(shown(&s, 1)->lag_bytes == 0 && s.members[1].percent == 100);
    for (unsigned i = 0; i < 4; i++)
        assert_true(replica_propose(&p.r, p.now, value, sizeof value));
    part_settle(&p);
    p.now += S;
    vitals_watch(&v, p.now);
    uint64_t all_of_it = shown(&s, 1)->lag_bytes;
    assert_true(all_of_it > 4 * sizeof value && all_of_it < 5 * sizeof value);
    assert_true(s.members[1].lag == 4 && s.members[1].percent <= 3 && s.members[1].eta_s == -1);
    part_ack(&p, 2, 4, 0);
    p.now += 2 * S;
    vitals_watch(&v, p.now);
    (void)shown(&s, 1);
    assert_true(s.members[1].lag == 1 && s.members[1].of_bytes == all_of_it);
    assert_in_range(s.members[1].percent, 74, 78);
    assert_int_equal(s.members[1].eta_s, 1); /* a third of what took two seconds */
    part_ack(&p, 2, 5, 0);
    p.now += S;
    vitals_watch(&v, p.now);
    assert_true(shown(&s, 1)->percent == 100 && s.members[1].of_bytes == 0);
    part_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),          cmocka_unit_test(test_turns),
        cmocka_unit_test(test_by_the_leader), cmocka_unit_test(test_leader_health),
        cmocka_unit_test(test_progress),      cmocka_unit_test(test_years),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
