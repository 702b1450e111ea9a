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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stranger),
        cmocka_unit_test(test_silent_strangers),
        cmocka_unit_test(test_no_stranger),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
