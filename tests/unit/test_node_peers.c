// LINK: @node tests/lib/node_one.c -Wl,--wrap=calloc
/* Peers that come and go while a node runs. */
#include "tests/lib/node_one.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/seal/plain.h"
#include "raftd/node/links.h"
#include "raftd/node/log_in.h"
#include "raftd/node/peer.h"
#include "raftd/node/replica.h"

enum { SECOND = 1000000 };

static bool no_memory; /* for peers */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory && size == sizeof(struct peer) ? NULL : __real_calloc(n, size);
}

static uint16_t lacks_memory(const struct world *w)
{
    struct status s = {0};
    node_status(w->n, w->now, &s);
    return s.no_memory;
}

static void ask_for_vote(struct world *w, uint16_t from, uint64_t term)
{
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = from, .term = term};
    m.vote_req.campaign = 1;
    m.vote_req.vote_term = term;
    tell(w, m);
    flush(w);
}

/* The key of that node, as in greet(), is durable. */
static void remembered(struct world *w, uint16_t id)
{
    node_remembered(w->n, w->now, id, (const uint8_t[ABOUT_KEY_BYTES]){(uint8_t)id}, true);
}

/* Who is no member may be heard, and becomes a peer of the core if he stands or leads. When both have
 * forgotten him, nothing of him is left. */
static void test_stranger(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    assert_true(node_peer(w->n, 4) == NULL && w->came == 3);
    assert_true(greet(w, 4));
    flush(w);
    assert_true(node_peer(w->n, 4) != NULL && w->came == 4 && w->remember == 4);
    assert_int_equal(raft_peer_slot(raft_of(w), 4), -1);
    remembered(w, 4);
    w->now += SECOND; /* nobody leads: it may stand */
    ask_for_vote(w, 4, 5);
    assert_int_not_equal(raft_peer_slot(raft_of(w), 4), -1);
    persisted(w);
    flush(w);
    assert_true(w->peers[2].has[RAFT_MSG_VOTE_RSP]);
    for (unsigned i = 0; i < 200 && raft_peer_slot(raft_of(w), 4) >= 0; i++) {
        w->now += 10000;
        flush(w);
        persisted(w);
    }
    assert_true(node_peer(w->n, 4) == NULL && w->went == 4);
    remembered(w, 4); /* late */
    world_free(w);
}

/* Who says nothing more is forgotten, and others find room. */
static void test_silent_strangers(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    for (uint16_t id = 4; id < 4 + 2 * RAFT_PEERS_MAX; id++) {
        w->now += 1000;
        assert_true(greet(w, id));
        flush(w);
        assert_non_null(node_peer(w->n, id));
        assert_true(node_peer(w->n, 2) != NULL && node_peer(w->n, 3) != NULL);
        remembered(w, w->remember);
    }
    assert_true(node_peer(w->n, 4) == NULL && w->went != 0);
    w->now += 10 * SECOND;
    flush(w);
    struct status s = {0};
    node_status(w->n, w->now, &s);
    assert_int_equal(s.n_peers, 2);
    assert_int_equal(node_parts(w->n).links->n_rows, 2);
    world_free(w);
}

/* Neither does another cluster's datagram make a peer, nor one of ourselves. */
static void test_no_stranger(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    uint64_t cluster = w->cluster;
    w->cluster++;
    assert_false(greet(w, 4));
    w->cluster = cluster;
    struct plain_ends ends = {w->cluster, 1, 1, {1}, {0, 1, 1}};
    uint8_t buf[PLAIN_HEAD_BYTES];
    assert_false(node_datagram(w->n, w->now, 0, buf, plain_close(buf, 0, &ends)));
    ends.from = 2; /* a peer, but from where it is not: plain text can be forged */
    assert_false(node_datagram(w->n, w->now, 0, buf, plain_close(buf, 0, &ends)));
    assert_false(node_datagram(w->n, w->now, 0, buf, 10));
    struct status s = {0};
    node_status(w->n, w->now, &s);
    assert_true(s.n_peers == 2 && s.drops[DROP_UNKNOWN] == 4);
    world_free(w);
}

/* Without memory for it a peer is named, and comes as soon as there is some; a stranger is not heard. */
static void test_no_memory(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 4, .to = 1, .term = 5};
    m.vote_req.campaign = 1;
    m.vote_req.vote_term = 5;
    no_memory = true;
    assert_false(greet(w, 4));
    w->now += SECOND;
    replica_step(node_parts(w->n).log_in->replica, w->now,
                 &(struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &m});
    flush(w);
    assert_true(node_peer(w->n, 4) == NULL && lacks_memory(w) == 4);
    assert_true(node_deadline(w->n, w->now) <= w->now + SECOND);
    no_memory = false;
    w->now += SECOND / 2;
    flush(w);
    assert_int_equal(lacks_memory(w), 4);
    for (unsigned i = 0; i < 3; i++) { /* so that the core still has it */
        w->now += SECOND / 4;
        replica_step(node_parts(w->n).log_in->replica, w->now,
                     &(struct raft_event){.type = RAFT_EV_MESSAGE, .msg = &m});
        flush(w);
    }
    assert_true(node_peer(w->n, 4) != NULL && lacks_memory(w) == 0);
    world_free(w);
}

/* Nodes 1 to 3, and node 4 as a learner, or not. */
static void change_members(struct world *w, bool four)
{
    struct members m = replica_members(node_replica(w->n))->members;
    m.n = four ? 4 : 3;
    m.m[3] = (struct member){.id = 4, .standing = MEMBER_LEARNER, .addr = {"192.0.2.4:7100"}};
    enum raft_refusal refused = replica_change(node_parts(w->n).log_in->replica, w->now, &m, true);
    assert_int_equal(refused, RAFT_TAKEN);
    pass(w, T_US);
    assert_int_equal(raft_of(w)->members.index, raft_of(w)->commit_index);
}

/* Node 4 says who it is, has the first of the old entries, and wants the rest. */
static void join(struct world *w)
{
    assert_true(greet(w, 4));
    remembered(w, 4);
    pass(w, T_US);
    answer_probe(w, 2, 1, 1);
    flush(w);
    answer_probe(w, 2, 0, 0);
    flush(w);
    assert_non_null(w->fetch[4].buf);
    assert_int_equal(w->fetch[4].pos.index, 2);
}

/* A member that comes gets the log. When it has gone, neither what it still says nor what the disk still
 * brings for it changes anything, not even when there is a node of that id again. */
static void test_member(void **state)
{
    (void)state;
    struct tape *t = tape_new();
    tape_puts(t, 100, 1, 'o', 100);
    struct world *w = world_new(t, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    pass(w, T_US);
    change_members(w, true);
    assert_true(w->came == 4);
    assert_string_equal(node_peer(w->n, 4)->addr, "192.0.2.4:7100");
    join(w);
    fetched(w, 4, read_disk(w, 4, t));
    flush(w);
    assert_true(w->peers[2].end > 1000); /* it has got entries of the disk */

    change_members(w, false);
    pass(w, 5 * T_US);
    assert_true(node_peer(w->n, 4) == NULL && w->went == 4);
    struct raft_msg late = {.type = RAFT_MSG_ACK, .from = 4, .term = raft_of(w)->term};
    late.ack.durable = raft_of(w)->trail.last;
    tell(w, late);
    pass(w, T_US);
    assert_int_equal(raft_peer_slot(raft_of(w), 4),
                     -1); /* a stranger, who says nothing to the core */

    /* It is back, and is gone again while the disk reads for it. */
    change_members(w, true);
    join(w);
    struct node_fetch what = w->fetch[4].what;
    struct wal_pos next = {.index = 50};
    w->fetch[4].buf = NULL;
    change_members(w, false);
    pass(w, 5 * T_US);
    assert_null(node_peer(w->n, 4));
    change_members(w, true);
    join(w);
    w->peers[2].end = 0;
    node_fetched(w->n, w->now, what, 5000, &next);
    pass(w, T_US);
    assert_int_equal(w->peers[2].end, 0);
    fetched(w, 4, read_disk(w, 4, t));
    flush(w);
    assert_true(w->peers[2].end > 1000);
    world_free(w);
    tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stranger),    cmocka_unit_test(test_silent_strangers),
        cmocka_unit_test(test_no_stranger), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
