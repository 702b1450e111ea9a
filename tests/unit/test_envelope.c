// LINK: @node
/* A whole node and the datagrams that reach it within one iteration of its loop, some of them
 * repeated by somebody on the way. The peer is a bare session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "net/wire.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "tests/lib/pair.h"
#include "raftd/node/node.h"
#include "raftd/base/rcu.h"

enum { US = 1, PEER = 2, SENT_MAX = 64 };

struct sent {
    size_t len;
    uint8_t buf[WIRE_DATAGRAM_MAX];
};

struct world {
    uint64_t remember; /* whose key is to be kept, see pair_of(); 0 = none */
    struct node *node;
    struct kv *kv;
    struct machine *machine;
    struct session_keys keys;
    uint64_t now;
    struct sent sent[SENT_MAX]; /* to the peer */
    unsigned n_sent;
    unsigned here, replies; /* how often these were called */
};

static void on_send(void *ctx, uint16_t to, const uint8_t *buf, size_t len)
{
    struct world *w = ctx;
    if (to != PEER)
        return;
    assert_true(w->n_sent < SENT_MAX);
    w->sent[w->n_sent].len = len;
    memcpy(w->sent[w->n_sent++].buf, buf, len);
}

static void on_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    (void)ctx;
    (void)seq;
    (void)b;
}

static void on_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                     uint8_t *buf, size_t cap)
{
    (void)ctx;
    (void)what;
    (void)from;
    (void)last;
    (void)buf;
    (void)cap;
}

static void on_answer(void *ctx, struct request *req)
{
    (void)ctx;
    results_free(&req->results);
    free(req);
}

static void on_reads_done(void *ctx, uint64_t read)
{
    (void)ctx;
    (void)read;
}

static void on_random(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    randombytes_buf(buf, len);
}

static void on_here(void *ctx, uint16_t peer)
{
    struct world *w = ctx;
    assert_int_equal(peer, PEER);
    w->here++;
}

static void on_reply(void *ctx, const uint8_t *buf, size_t len)
{
    struct world *w = ctx;
    w->replies++;
    on_send(ctx, PEER, buf, len);
}

static void on_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES])
{
    struct world *w = ctx;
    w->remember = id == PEER ? PEER : US + 7;
    assert_int_equal(about_handle(key), about_handle(pair_of(w->remember).key));
}

/* What on_remember() was asked for is done, or not. */
static void remembered(struct world *w, uint16_t id, bool done)
{
    node_remembered(w->node, w->now, id, pair_of(w->remember).key, done);
}

static struct world *start_knowing(uint64_t known)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->now = 1000000;
    w->keys.has[0] = true;
    memset(w->keys.key[0], 1, sizeof w->keys.key[0]);
    struct node_config nc = {
        .cluster = "envelope",
        .id = US,
        .voters = {US, PEER, 3},
        .n_voters = 3,
        .election_timeout_us = 150000,
        .max_value_bytes = 1024,
        .seed = 1,
        .boot = 7,
    };
    w->keys.own = pair_of(US);
    memcpy(nc.key, w->keys.own.key, sizeof nc.key);
    if (known != 0)
        memcpy(nc.known[1], pair_of(known).key, sizeof nc.known[1]);
    struct node_io io = {.ctx = w,
                         .send = on_send,
                         .here = on_here,
                         .reply = on_reply,
                         .persist = on_persist,
                         .fetch = on_fetch,
                         .remember = on_remember,
                         .answer = on_answer,
                         .reads_done = on_reads_done,
                         .random = on_random};
    struct wal_report rep = {.verdict = WAL_CLEAN};
    w->kv = kv_new();
    assert_non_null(w->kv);
    w->machine = machine_new(w->kv);
    assert_non_null(w->machine);
    w->node = node_new(&nc, &io, &rep, NULL, &w->keys, w->kv, w->machine, w->now);
    assert_non_null(w->node);
    node_flush(w->node, w->now); /* its own HELLOs are lost */
    w->n_sent = 0;
    return w;
}

static struct world *start(void)
{
    return start_knowing(PEER);
}

static void stop(struct world *w)
{
    node_free(w->node);
    machine_free(w->machine);
    rcu_wait_freed();
    kv_free(w->kv);
    free(w);
}

/* The peer with directory `own`, which knows directory `known` (0: none) as ours. */
static struct sessions *peer_with(const struct world *w, uint64_t boot, uint64_t own,
                                  uint64_t known, uint64_t voters)
{
    struct session_keys keys = w->keys;
    keys.own = pair_of(own);
    struct session_config sc = {
        .cluster = wire_cluster_id("envelope"),
        .self = PEER,
        .boot = boot,
        .voters = voters,
        .random = on_random,
    };
    struct sessions *s = sessions_new(&sc, &keys);
    assert_true(s != NULL && sessions_add_peer(s, US, w->now));
    if (known != 0)
        sessions_know(s, US, pair_of(known).key);
    return s;
}

static uint64_t our_voters(void)
{
    static const uint16_t ids[] = {US, PEER, 3};
    return wire_voters_digest(ids, 3);
}

static struct sessions *peer(const struct world *w, uint64_t boot)
{
    return peer_with(w, boot, PEER, US, our_voters());
}

static size_t hello(const struct world *w, struct sessions *s, uint8_t buf[SESSION_HELLO_BYTES])
{
    return sessions_output(s, US, w->now, buf, SESSION_HELLO_BYTES);
}

static void deliver(struct world *w, const uint8_t *buf, size_t len)
{
    uint8_t copy[WIRE_DATAGRAM_MAX];
    memcpy(copy, buf, len);
    node_datagram(w->node, w->now, PEER, copy, len);
}

/* The peer takes what the node has sent to it. */
static unsigned take(struct world *w, struct sessions *s)
{
    unsigned done = 0;
    uint8_t *payload;
    size_t len;
    for (unsigned i = 0; i < w->n_sent; i++)
        done += sessions_open(s, US, w->now, w->sent[i].buf, w->sent[i].len, &payload, &len) ==
                DATAGRAM_STEP;
    w->n_sent = 0;
    return done;
}

/* Recorded HELLOs right before and behind each genuine one do not take its answer away. */
static void test_hello_among_old_ones(void **state)
{
    (void)state;
    struct world *w = start();
    uint8_t old[SESSION_HELLO_BYTES], m[SESSION_HELLO_BYTES];
    struct sessions *s = peer(w, 1000);
    assert_int_equal(hello(w, s, old), sizeof old);
    sessions_free(s);
    s = peer(w, 1001);
    for (unsigned step = 0; step < 2; step++) { /* CHALLENGE, HELLO_ACK */
        assert_int_equal(hello(w, s, m), sizeof m);
        deliver(w, old, sizeof old);
        deliver(w, m, sizeof m);
        for (unsigned i = 0; i < 10; i++)
            deliver(w, old, sizeof old);
        node_flush(w->node, w->now);
        assert_true(w->n_sent <= 12); /* never more than came */
        assert_int_equal(take(w, s), 1);
    }
    assert_true(sessions_ready(s, US));
    sessions_free(s);
    stop(w);
}

/* The two have a session; then the peer says something. Did it count? */
static bool counts(struct world *w, struct sessions *s)
{
    uint8_t m[WIRE_DATAGRAM_MAX];
    struct status st = {0};
    struct wire_writer out;
    for (unsigned step = 0; step < 2; step++) {
        assert_int_equal(hello(w, s, m), SESSION_HELLO_BYTES);
        deliver(w, m, SESSION_HELLO_BYTES);
        node_flush(w->node, w->now);
        (void)take(w, s);
    }
    assert_true(sessions_ready(s, US));
    node_status(w->node, w->now, &st);
    uint64_t before = st.peers[PEER - 2].received;
    wire_begin(&out, m + SESSION_HEAD_BYTES, WIRE_DATAGRAM_BASE - SESSION_EXTRA_BYTES, 0);
    const struct wire_header h = {.ts = 1};
    size_t len = sessions_seal(s, US, w->now, m, wire_end(&out, &h));
    deliver(w, m, len);
    node_status(w->node, w->now, &st);
    return st.peers[PEER - 2].received == before + 1;
}

/* Only who belongs to the same nodes, and comes with the disk that is known, counts; at the first time not
 * before that is durable. */
static void test_who_counts(void **state)
{
    (void)state;
    static const struct {
        uint64_t we_know, own, knows_us;
        bool other_list, counts;
    } TABLE[] = {
        {PEER, PEER, US, false, true},      {PEER, PEER, 0, false, true},
        {PEER, PEER, US, true, false},      {PEER, PEER + 1, US, false, false},
        {PEER, PEER, US + 7, false, false}, {0, PEER, US, false, false},
        {0, PEER, US, true, false},
    };
    for (unsigned i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        struct world *w = start_knowing(TABLE[i].we_know);
        uint64_t own = TABLE[i].own, voters = our_voters() + TABLE[i].other_list;
        struct sessions *s = peer_with(w, 1000, own, TABLE[i].knows_us, voters);
        assert_int_equal(counts(w, s), TABLE[i].counts);
        bool first = TABLE[i].we_know == 0 && !TABLE[i].other_list;
        bool new_disk = TABLE[i].knows_us == US + 7;
        assert_int_equal(w->remember, first ? PEER : new_disk ? US + 7 : 0);
        if (new_disk) { /* for good, and whatever others know; also if the disk had no room at first */
            remembered(w, US, false);
            sessions_free(s);
            w->remember = 0;
            w->now += 2000000;
            s = peer_with(w, 1002, own, US, voters);
            assert_false(counts(w, s));
            sessions_free(s);
            s = peer_with(w, 1003, own, US + 7, voters);
            assert_false(counts(w, s));
            assert_int_equal(w->remember, US + 7);
        }
        if (first) {
            remembered(w, PEER, true);
            sessions_free(s);
            s = peer_with(w, 1001, own, TABLE[i].knows_us, voters);
            assert_true(counts(w, s));
        }
        sessions_free(s);
        stop(w);
    }
}

/* The box under an id that is not bound to a key yet is gone, and another one comes: no handshake of
 * the new one brings the key of the old one. */
static void test_former_box(void **state)
{
    (void)state;
    struct world *w = start_knowing(0);
    struct sessions *s = peer(w, 1000);
    uint8_t m[SESSION_HELLO_BYTES];
    assert_false(counts(w, s));
    assert_int_equal(w->remember, PEER);
    remembered(w, PEER, false);
    sessions_free(s);
    w->remember = 0;
    w->now += 2000000;
    node_flush(w->node, w->now); /* its HELLO is lost */
    w->n_sent = 0;
    s = peer_with(w, 1001, PEER + 1, US, our_voters());
    for (unsigned step = 0; step < 2; step++) {
        assert_int_equal(hello(w, s, m), sizeof m);
        deliver(w, m, sizeof m);
        node_flush(w->node, w->now);
        assert_int_equal(w->remember, 0);
        (void)take(w, s);
    }
    assert_true(sessions_ready(s, US));
    sessions_free(s);
    stop(w);
}

/* Only what is fresh proves where the peer is; only the answer to what may be a copy goes to whoever sent it;
 * and one who has the cluster's key and another directory is not the peer. */
static void test_where_it_is(void **state)
{
    (void)state;
    for (unsigned wiped = 0; wiped < 2; wiped++) {
        struct world *w = start();
        struct sessions *s = peer_with(w, 1000, PEER + wiped, US, our_voters());
        uint8_t first[SESSION_HELLO_BYTES], m[WIRE_DATAGRAM_MAX], copy[WIRE_DATAGRAM_MAX];
        struct wire_writer out;
        const struct wire_header h = {.ts = 1};
        assert_int_equal(hello(w, s, first), sizeof first);
        deliver(w, first, sizeof first);
        assert_true(w->here == 0 && w->replies == 1);
        (void)take(w, s);
        assert_int_equal(hello(w, s, m), sizeof first);
        deliver(w, m, sizeof first);
        assert_true(w->here == 0 && w->replies == 2); /* it only claims to be the peer */
        deliver(w, first, sizeof first);
        deliver(w, m, sizeof first);
        (void)take(w, s);
        wire_begin(&out, m + SESSION_HEAD_BYTES, WIRE_DATAGRAM_BASE - SESSION_EXTRA_BYTES, 0);
        size_t len = sessions_seal(s, US, w->now, m, wire_end(&out, &h));
        unsigned before = w->here;
        deliver(w, m, len);
        assert_int_equal(w->here, before + 1 - wiped);
        memcpy(copy, m, len);
        deliver(w, copy, len);
        copy[len - 1] ^= 1;
        deliver(w, copy, len);
        assert_int_equal(w->here, before + 1 - wiped);
        sessions_free(s);
        stop(w);
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_among_old_ones),
        cmocka_unit_test(test_who_counts),
        cmocka_unit_test(test_former_box),
        cmocka_unit_test(test_where_it_is),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
