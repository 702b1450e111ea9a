// LINK: raftd/publish.c raftd/node/health.c raftd/node/happened.c @core
/* When a status is published, who is told of it, and that nothing that makes an event waits for somebody to
 * ask. Instead of a node there is what the test says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/num.h"
#include "raftd/node/health.h"
#include "raftd/publish.h"
#include "raftd/state/kv.h"

enum { MS = 1000, S = 1000000 };

static struct raft raft;
static struct node_glimpse glimpse;
static struct status told;    /* what node_status() says beside that */
static struct shared *shared; /* with one reader */
static struct publisher p;
static uint64_t now;
static unsigned published, news, tells, woken; /* calls */
static bool no_memory;                         /* shared_tell() fails */

/* ---- in the place of what it asks and tells ---- */

const struct raft *node_raft(const struct node *n)
{
    (void)n;
    return &raft;
}

struct node_glimpse node_glimpse(const struct node *n, uint64_t at)
{
    (void)n, (void)at;
    return glimpse;
}

void node_status(const struct node *n, uint64_t at, struct status *s)
{
    (void)n;
    *s = told;
    s->now_us = at;
    s->role = raft.role;
    s->term = raft.term;
    s->leader = raft.leader;
    s->commit_index = s->applied_index = s->leader_commit = raft.commit_index;
    s->last_index = raft.trail.last;
    s->durable_index = raft.durable_index;
    s->doubt_index = raft.doubt_index;
    s->doubt = raft.damaged            ? STATUS_DOUBT_DAMAGED
               : raft.doubt_index != 0 ? STATUS_DOUBT_ACKNOWLEDGED
                                       : STATUS_DOUBT_NONE;
    s->differs_index = raft.differs;
    s->transfer = raft.transfer;
    s->transfers = raft.transfers;
    s->drained = raft.drained;
    s->disk_full = raft_disk_full(&raft);
    s->log_full = raft.log_full;
    s->no_room = raft.no_room;
    s->leader_health = glimpse.leader_health;
    s->members_index = raft.members.index;
    for (unsigned i = 0; i < s->n_peers; i++)
        s->peers[i].loss_in_permille = glimpse.silent >> i & 1 ? STATUS_LOSS_ALL : 0;
}

void node_self(struct node *n, struct status *s)
{
    (void)n, (void)s;
}

void diskio_status(struct diskio *d, struct status *s)
{
    (void)d, (void)s;
}

void leaders_status(struct leaders *l, struct status *s)
{
    (void)l, (void)s;
}

void post_status(const struct post *post, struct status *s)
{
    (void)post, (void)s;
}

struct tally_sum tally_sum(const struct shared *s)
{
    (void)s;
    return (struct tally_sum){.reads = 77};
}

void news_raft(struct news *said, const struct raft *r, uint64_t now_us)
{
    (void)said, (void)r, (void)now_us;
}

void news_status(struct news *said, struct status *s, uint64_t now_us)
{
    (void)said, (void)s, (void)now_us;
}

void status_file_changed(struct status_file *f, bool is_news)
{
    (void)f;
    news += is_news;
}

void shared_publish(struct shared *s, struct status_box *box)
{
    if (s->status != NULL)
        free(rcu_container(s->status, struct status_box, status));
    s->status = &box->status;
    published++;
}

bool shared_tell(struct shared *s, const struct happened *h)
{
    (void)s;
    assert_ptr_equal(h, &p.happened);
    tells++;
    return !no_memory;
}

const struct conf_node *conf_self(const struct conf *c)
{
    return &c->nodes[0];
}

const struct kv_view *kv_view(const struct kv *kv)
{
    static const struct kv_view view = {.index = 12};
    (void)kv;
    return &view;
}

uint64_t kv_count(const struct kv *kv)
{
    (void)kv;
    return 34;
}

uint64_t clock_us(void)
{
    return now;
}

static void wake(void *ctx)
{
    (void)ctx;
    woken++;
}

/* ---- the tests ---- */

static void turn(uint64_t us)
{
    now += us;
    publish(&p, &(struct publish_from){.shared = shared}, now);
}

/* Node 1 of three follows node 2, nothing happens, and its status was published. */
static void start(void)
{
    raft = (struct raft){.cfg = {.id = 1},
                         .role = RAFT_FOLLOWER,
                         .term = 5,
                         .leader = 2,
                         .commit_index = 9,
                         .durable_index = 9,
                         .trail = {.last = 9},
                         .members = {.index = 3}};
    glimpse = (struct node_glimpse){.leader_health = HEALTH_OK};
    told = (struct status){.start_us = S,
                           .id = 1,
                           .own_standing = RAFT_STANDS,
                           .standing = RAFT_VOTER,
                           .local_reads = 1,
                           .n_peers = 2,
                           .n_links = 3};
    for (unsigned i = 0; i < 3; i++)
        told.links[i].id = (uint16_t)(i + 1);
    for (unsigned i = 0; i < 2; i++)
        told.peers[i] = (struct status_peer){
            .id = (uint16_t)(i + 2), .standing = RAFT_VOTER, .heard_us = S};
    shared = calloc(1, sizeof *shared);
    assert_non_null(shared);
    shared->n_readers = 1;
    shared->readers[0].wake = wake;
    p = (struct publisher){0};
    now = 100 * S;
    no_memory = false;
    assert_true(publish_start(shared, &(struct conf){.nodes = {{.id = 1}}}, "reading"));
    assert_true(shared->status->applied_index == 12 && shared->status->keys == 34);
    assert_int_equal(shared->status->health, HEALTH_STARTING);
    turn(0);
    assert_int_equal(shared->status->reads, 77);
    assert_int_equal(shared->status->health, HEALTH_OK);
    published = news = tells = woken = 0;
}

static void stop(void)
{
    free(rcu_container(shared->status, struct status_box, status));
    free(shared);
}

/* What is told in the same turn in which it comes to be. */
static void change(unsigned i)
{
    switch (i) {
    case 0: raft.role = RAFT_PRE_CANDIDATE; break;
    case 1: raft.term++; break;
    case 2: raft.leader = 3; break;
    case 3: raft.doubt_index = 8; break;
    case 4: raft.damaged = true; break;
    case 5: raft.transfer = RAFT_TRANSFER_RUNS; break;
    case 6: raft.transfers++; break;
    case 7: raft.drained = true; break;
    case 8: raft.members.index++, told.n_links = 2; break;
    case 9: glimpse.silent = 2; break;
    case 10: glimpse.leader_health = HEALTH_NO_QUORUM; break;
    case 11: raft.entries_at = 1; break; /* the disk has refused a batch */
    case 12: raft.log_full = true; break;
    case 13: raft.no_room = true; break;
    case 14: raft.differs = true; break;
    }
}

static void test_at_once(void **state)
{
    static const struct {
        const char *what;
        bool news, event;
    } cases[] = {
        {"role", true, false},       {"term", true, true},          {"leader", true, true},
        {"doubt", true, true},       {"damage", true, true},        {"transfer", false, false},
        {"transfers", false, false}, {"drained", false, false},     {"members", false, true},
        {"silence", false, true},    {"leader_health", true, true}, {"disk full", true, true},
        {"log full", true, true},    {"no room", true, true},       {"another state", true, true}};
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start();
        turn(MS);
        assert_int_equal(published, 0);
        change(i);
        turn(MS);
        if (published != 1 || news != cases[i].news || tells != cases[i].event)
            fail_msg("%s: published %u, news %u, events %u", cases[i].what, published, news, tells);
        turn(MS); /* once */
        assert_int_equal(published, 1);
        assert_int_equal(tells, cases[i].event);
        stop();
    }
}

/* The status is renewed by itself after so long, and not before. */
static void lasts(uint64_t us)
{
    unsigned before = published;
    turn(us - 1);
    assert_int_equal(published, before);
    turn(1);
    assert_int_equal(published, before + 1);
}

/* While there is work it is two milliseconds old at most; the loop is to wake up for it. */
static void test_work(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start();
        turn(MS);
        assert_int_equal(publisher_at(&p), NEVER);
        *(i == 0 ? &raft.commit_index : i == 1 ? &raft.trail.last : &raft.durable_index) += 1;
        turn(MS / 2);
        assert_int_equal(published, 0);
        assert_int_equal(publisher_at(&p), p.published_us + 2 * MS);
        turn(MS / 2);
        assert_int_equal(published, 1);
        turn(0);
        assert_int_equal(publisher_at(&p), NEVER);
        stop();
    }
}

/* Counters and ages are renewed rarely: a little more often when somebody asks, and while anything waits or
 * goes on that may become a trouble, or is one. */
static void test_idle(void **state)
{
    (void)state;
    start();
    lasts(2 * S);
    lasts(2 * S);
    for (unsigned i = 0; i < 2; i++) {
        shared->status_asked = true;
        lasts(100 * MS);
        assert_false(shared->status_asked);
    }
    lasts(2 * S);
    raft.cfg.heartbeat = 100 * MS; /* so the loop wakes in time */
    lasts(1900 * MS);
    raft.cfg.heartbeat = 5 * S;
    lasts(S);
    raft.cfg.heartbeat = 0;
    assert_int_equal(news, 0);
    stop();
    for (unsigned i = 0; i < 10; i++) {
        start();
        switch (i) {
        case 0: raft.leader = 0; break;
        case 1: strcpy(told.recovering, "the log"); break;
        case 2: raft.entries_at = 1; break;
        case 3: raft.log_full = true; break;
        case 4: told.imaging = 1; break;
        case 5: told.install_of_bytes = 1; break;
        case 6: raft.inflight_seq = 1; break;
        case 7: told.disk_pending_us = 1; break;
        case 8: raft.trail.last++; break;
        default: break;
        }
        p.published_us = 0;
        turn(MS);
        lasts(i < 9 ? 100 * MS : 2 * S);
        stop();
    }
}

/* What a file or an event is to tell, though nothing of the core has changed. */
static void test_by_status(void **state)
{
    (void)state;
    start();
    told.disk_pending_us = HEALTH_DISK_HANGS_US;
    lasts(2 * S);
    assert_true(news == 1 && tells == 1);
    told.disk_pending_us = 0;
    lasts(100 * MS);
    assert_true(news == 2 && tells == 2);
    stop();
}

/* Events that could not be told are tried again in each turn, and are not lost. */
static void test_no_memory(void **state)
{
    (void)state;
    start();
    no_memory = true;
    raft.term++;
    turn(MS);
    assert_int_equal(tells, 1);
    turn(MS);
    assert_true(tells == 2 && published == 1);
    no_memory = false;
    turn(MS);
    assert_int_equal(tells, 3);
    turn(MS);
    assert_true(tells == 3 && published == 1);
    stop();
}

/* Readers whose clients wait in vain are woken once. */
static void test_left_out(void **state)
{
    (void)state;
    start();
    told.own_standing = RAFT_STAND_NO_MEMBER;
    raft.term++;
    turn(MS);
    assert_int_equal(woken, 0);
    raft.leader = 0;
    turn(MS);
    assert_int_equal(woken, 1);
    raft.term++;
    turn(MS);
    assert_true(woken == 1 && published == 3);
    stop();
}

/* Local reads end while the state that they show is being replaced: that is told as a start. */
static void test_old_reads(void **state)
{
    (void)state;
    start();
    told.local_reads = 0;
    shared->old_reads = true;
    raft.term++;
    turn(MS);
    assert_int_equal(shared->status->health, HEALTH_STARTING);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),   cmocka_unit_test(test_work),
        cmocka_unit_test(test_idle),      cmocka_unit_test(test_by_status),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_old_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
