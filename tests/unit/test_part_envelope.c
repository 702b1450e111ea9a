// LINK: raftd/node/envelope.c raftd/node/admit.c @net @seal
/* Datagrams on their way between two envelopes, and nothing else of the two nodes. */
#include "raftd/node/envelope.h"

#include "net/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "tests/lib/pair.h"

enum { TEXT = 200 }; /* longer than a handshake, so that it can bring one about */

struct end {
    struct node_config cfg;
    struct node_io io;
    struct admit admit;
    struct envelope e;
    uint8_t sent[WIRE_DATAGRAM_MAX];
    size_t len;    /* of the newest that was sent; 0 = it is taken */
    uint64_t boot; /* the first number of 64 bits that it drew */
};

static struct end ends[3]; /* nodes 1 and 2, and a copy of node 2 */
static bool copied;        /* the copy is node 2 now */
static uint64_t now;

static struct end *end_of(unsigned id)
{
    return &ends[id == 2 && copied ? 2 : id - 1];
}

static void on_send(void *ctx, uint16_t to, const uint8_t *buf, size_t len)
{
    struct end *n = ctx;
    assert_int_equal(to, 3 - n->cfg.id);
    memcpy(n->sent, buf, len);
    n->len = len;
}

static void on_random(void *ctx, void *buf, size_t len)
{
    struct end *n = ctx;
    randombytes_buf(buf, len);
    if (n->boot == 0 && len == sizeof n->boot)
        memcpy(&n->boot, buf, len);
}

static void on_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES])
{
    struct end *n = ctx;
    admit_remembered(&n->admit, now, id, key, true);
    envelope_know(&n->e, id);
}

static void begin(struct end *n, uint16_t id, const char *cluster, const struct session_keys *keys)
{
    memset(n, 0, sizeof *n);
    n->cfg = (struct node_config){.id = id, .voters = {1, 2}, .n_voters = 2, .key = {10}};
    n->cfg.key[0] = (uint8_t)(10 + id);
    if (keys != NULL)
        memcpy(n->cfg.key, keys->own.key, sizeof n->cfg.key);
    memcpy(n->cfg.cluster, cluster, strlen(cluster) + 1);
    n->io = (struct node_io){
        .ctx = n, .send = on_send, .random = on_random, .remember = on_remember};
    admit_init(&n->admit, &n->cfg, &n->io, keys == NULL);
    assert_true(envelope_init(&n->e, &n->cfg, &n->io, &n->admit, keys));
    assert_true(envelope_add(&n->e, now, 3 - id));
}

/* What node 1 or 2 makes of the newest datagram of the other. */
static enum drop take(unsigned id, bool *another)
{
    struct end *to = end_of(id), *from = end_of(3 - id);
    uint8_t *payload, buf[WIRE_DATAGRAM_MAX];
    size_t len = from->len;
    assert_true(len > 0);
    memcpy(buf, from->sent, len);
    from->len = 0;
    enum drop st = envelope_open(&to->e, now, from->cfg.id, buf, len, &payload, &len, another);
    if (st == DATAGRAM_DATA) {
        assert_int_equal(len, TEXT);
        for (unsigned i = 0; i < TEXT; i++)
            assert_int_equal(payload[i], 7);
    }
    return st;
}

static void send_text(unsigned id)
{
    uint8_t buf[WIRE_HEAD_ROOM + TEXT + WIRE_TAIL_ROOM];
    memset(buf + WIRE_HEAD_ROOM, 7, TEXT);
    envelope_send(&end_of(id)->e, now, (uint16_t)(3 - id), buf, TEXT);
    assert_int_equal(end_of(id)->len, TEXT + envelope_bytes(&end_of(id)->e));
}

static void stop(void)
{
    envelope_free(&ends[0].e);
    envelope_free(&ends[1].e);
}

static void test_plain(void **state)
{
    (void)state;
    bool another;
    now = 1000000;
    begin(&ends[0], 1, "home", NULL);
    begin(&ends[1], 2, "home", NULL);
    send_text(1);
    assert_int_equal(take(2, &another), DATAGRAM_DATA); /* it said who it is with it */
    assert_false(envelope_ready(&ends[0].e, 2));
    envelope_shake(&ends[1].e, now); /* a greeting */
    assert_int_equal(take(1, &another), DATAGRAM_STEP);
    assert_true(envelope_ready(&ends[0].e, 2) && envelope_ready(&ends[1].e, 1));
    struct status_peer s = {0};
    envelope_status(&ends[0].e, 2, &s);
    assert_int_equal(s.session, STATUS_SESSION_PLAIN);
    stop();
    begin(&ends[0], 1, "other", NULL);
    begin(&ends[1], 2, "home", NULL);
    send_text(1);
    assert_int_equal(take(2, &another), DROP_CLUSTER);
    stop();
}

/* Whoever does not count is told from whoever does, and what it says is dropped. */
static void test_judged(void **state)
{
    static const struct {
        uint8_t key, knows;
        enum drop drop;
        enum status_session session;
    } table[] = {
        {99, 12, DROP_DISK, STATUS_SESSION_OTHER_DISK},
        {11, 99, DROP_DISK, STATUS_SESSION_NEW_DISK},
        {11, 12, DATAGRAM_DATA, STATUS_SESSION_PLAIN},
    };
    (void)state;
    bool another;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
        begin(&ends[0], 1, "home", NULL);
        begin(&ends[1], 2, "home", NULL);
        ends[0].cfg.known[1][0] = table[i].knows;
        ends[0].cfg.key[0] = table[i].key;
        admit_init(&ends[0].admit, &ends[0].cfg, &ends[0].io, true);
        admit_add(&ends[0].admit, 2);
        ends[1].cfg.known[0][0] = 11;
        admit_init(&ends[1].admit, &ends[1].cfg, &ends[1].io, true);
        admit_add(&ends[1].admit, 1);
        envelope_shake(&ends[1].e, now);
        assert_int_equal(take(1, &another), DATAGRAM_STEP);
        send_text(1);
        assert_int_equal(take(2, &another), table[i].drop);
        struct status_peer s = {0};
        envelope_status(&ends[1].e, 1, &s);
        assert_int_equal(s.session, table[i].session);
        assert_int_equal(envelope_ready(&ends[1].e, 1), table[i].drop == DATAGRAM_DATA);
        stop();
    }
}

/* Handshakes until both have a session; then what each sends is opened, and no other process is seen until
 * there is one. */
static void test_sealed(void **state)
{
    (void)state;
    struct session_keys keys[2] = {{.has = {true}, .own = pair_of(1)},
                                   {.has = {true}, .own = pair_of(2)}};
    bool another;
    now = 1000000;
    begin(&ends[0], 1, "home", &keys[0]);
    begin(&ends[1], 2, "home", &keys[1]);
    for (unsigned life = 0; life < 2; life++) {
        for (unsigned i = 0;
             i < 100 && !(envelope_ready(&ends[0].e, 2) && envelope_ready(&ends[1].e, 1)); i++) {
            for (unsigned id = 1; id <= 2; id++) {
                now += 50000;
                envelope_shake(&ends[id - 1].e, now);
                if (ends[id - 1].len > 0)
                    (void)take(3 - id, &another);
            }
            if (ends[0].len > 0)
                (void)take(2, &another);
        }
        assert_true(envelope_ready(&ends[0].e, 2) && envelope_ready(&ends[1].e, 1));
        for (unsigned i = 0; i < 3; i++) {
            send_text(2);
            assert_int_equal(take(1, &another), DATAGRAM_DATA);
            assert_int_equal(another, i == 0);
        }
        struct status_peer s = {0};
        envelope_status(&ends[0].e, 2, &s);
        assert_int_equal(s.session, STATUS_SESSION_ESTABLISHED);
        envelope_free(&ends[1].e);
        begin(&ends[1], 2, "home", &keys[1]); /* another process, which knows nobody */
    }
    stop();
}

/* Node 2, or its copy, says something for a while. What node 1 made of the last of it. */
static enum drop speak(bool by_copy)
{
    enum drop last = DROP_COUNT;
    bool another;
    copied = by_copy;
    ends[0].len = end_of(2)->len = 0;
    for (unsigned i = 0; i < 60; i++, now += 50000) {
        for (unsigned id = 1; id <= 2; id++) {
            envelope_shake(&end_of(id)->e, now);
            if (end_of(id)->len > 0)
                (void)take(3 - id, &another);
            if (end_of(3 - id)->len > 0)
                (void)take(id, &another); /* an answer */
        }
        if (!envelope_ready(&end_of(2)->e, 1))
            continue;
        send_text(2);
        last = take(1, &another);
    }
    return last;
}

static enum status_session shows(const struct end *at, uint16_t peer)
{
    struct status_peer s = {0};
    envelope_status(&at->e, peer, &s);
    return s.session;
}

/* Two boxes with one directory: neither counts, and both learn it, until one has been alone. */
static void test_cloned(void **state)
{
    (void)state;
    struct session_keys keys[2] = {{.has = {true}, .own = pair_of(1)},
                                   {.has = {true}, .own = pair_of(2)}};
    bool another;
    now = 1000000;
    begin(&ends[0], 1, "home", &keys[0]);
    begin(&ends[1], 2, "home", &keys[1]);
    begin(&ends[2], 2, "home", &keys[1]);
    assert_int_equal(speak(false), DATAGRAM_DATA);
    assert_int_equal(speak(true), DATAGRAM_DATA); /* as if it had restarted */
    assert_int_equal(speak(false), DROP_DISK);
    assert_int_equal(shows(&ends[0], 2), STATUS_SESSION_CLONED);
    assert_false(envelope_ready(&ends[0].e, 2));
    assert_int_equal(speak(true), DROP_DISK);
    assert_int_equal(speak(false), DROP_DISK);
    assert_int_equal(shows(&ends[1], 1), STATUS_SESSION_OWN_CLONE);
    assert_int_equal(shows(&ends[2], 1), STATUS_SESSION_OWN_CLONE);
    for (uint64_t end = now + ADMIT_ALONE_US - 6000000; now < end;)
        assert_int_equal(speak(false), DROP_DISK);
    for (; !envelope_ready(&ends[0].e, 2); now += 50000) {
        send_text(2);
        (void)take(1, &another);
    }
    assert_int_equal(shows(&ends[1], 1), STATUS_SESSION_OWN_CLONE);
    send_text(1); /* so it counts there */
    assert_int_equal(take(2, &another), DATAGRAM_DATA);
    assert_int_equal(shows(&ends[1], 1), STATUS_SESSION_ESTABLISHED);
    envelope_free(&ends[2].e);
    stop();
}

/* What node 1 sent to where the last datagram came from: box 0 of node 2, or its copy, 1. */
static uint8_t answer[2][WIRE_DATAGRAM_MAX];
static size_t answer_len[2];
static unsigned asked_by;

static void on_reply(void *ctx, const uint8_t *buf, size_t len)
{
    (void)ctx;
    memcpy(answer[asked_by], buf, len);
    answer_len[asked_by] = len;
}

/* That end gets the datagram, if there is one, from or for that box of node 2. */
static void hand(struct end *to, unsigned box, const uint8_t *bytes, size_t *len)
{
    uint8_t *payload, buf[WIRE_DATAGRAM_MAX];
    size_t n = *len;
    bool another;
    *len = 0;
    if (n == 0)
        return;
    memcpy(buf, bytes, n);
    copied = box == 1;
    asked_by = box;
    (void)envelope_open(&to->e, now, 3 - to->cfg.id, buf, n, &payload, &n, &another);
}

/* The box that was there first speaks every three seconds. What it says on keys that node 1 has no more has
 * that one make a handshake with the copy. Its own handshake, which it begins at the same moment, is done a
 * little earlier, and so does not count. It lives all the same. */
static void test_overtaken(void **state)
{
    (void)state;
    struct session_keys keys[2] = {{.has = {true}, .own = pair_of(1)},
                                   {.has = {true}, .own = pair_of(2)}};
    struct end *one = &ends[0], *first = &ends[1], *copy = &ends[2];
    now = 1000000;
    begin(one, 1, "home", &keys[0]);
    begin(first, 2, "home", &keys[1]);
    begin(copy, 2, "home", &keys[1]);
    assert_int_equal(speak(false), DATAGRAM_DATA);
    assert_int_equal(speak(true), DATAGRAM_DATA);
    one->io.reply = on_reply;
    for (unsigned round = 0; round < 30 && shows(one, 2) != STATUS_SESSION_CLONED; round++) {
        now += 3000000;
        copied = false;
        send_text(2);
        hand(one, 0, first->sent, &first->len);
        envelope_shake(&one->e, now);
        for (unsigned k = 0; k < 2; k++) { /* its HELLO, and the one that knows the challenge */
            envelope_shake(&first->e, now);
            hand(one, 0, first->sent, &first->len);
            if (k == 0)
                hand(first, 0, answer[0], &answer_len[0]);
        }
        for (unsigned k = 0; k < 3; k++) {
            hand(copy, 1, one->sent, &one->len);
            hand(copy, 1, answer[1], &answer_len[1]);
            hand(one, 1, copy->sent, &copy->len);
        }
        hand(first, 0, answer[0], &answer_len[0]);
        hand(one, 0, first->sent, &first->len);
    }
    assert_int_equal(shows(one, 2), STATUS_SESSION_CLONED);
    envelope_free(&copy->e);
    stop();
}

/* Copies of both lived, and are gone: each takes the other one for several boxes, and tells it nothing. They
 * ask each other all the same, and so learn that there is one of each. */
static void test_both_cloned(void **state)
{
    (void)state;
    struct session_keys keys[2] = {{.has = {true}, .own = pair_of(1)},
                                   {.has = {true}, .own = pair_of(2)}};
    bool another;
    now = 1000000;
    begin(&ends[0], 1, "home", &keys[0]);
    begin(&ends[1], 2, "home", &keys[1]);
    assert_int_equal(speak(false), DATAGRAM_DATA);
    for (uint16_t id = 1; id <= 2; id++) {
        struct end *n = &ends[id - 1];
        uint16_t peer = 3 - id;
        admit_process(&n->admit, now, peer, 1);
        admit_process(&n->admit, now, peer, end_of(peer)->boot);
        send_text(peer);
        assert_int_equal(take(id, &another), DROP_DISK);
        assert_int_equal(shows(n, peer), STATUS_SESSION_CLONED);
    }
    bool ready = false;
    for (uint64_t end = now + 60000000; now < end && !ready; now += 50000) {
        for (unsigned id = 1; id <= 2; id++) {
            envelope_shake(&ends[id - 1].e, now);
            if (ends[id - 1].len > 0)
                (void)take(3 - id, &another);
            if (ends[2 - id].len > 0)
                (void)take(id, &another); /* an answer */
        }
        ready = envelope_ready(&ends[0].e, 2) && envelope_ready(&ends[1].e, 1);
    }
    assert_true(ready);
    stop();
}

static unsigned moves;

static void on_here(void *ctx, uint16_t from)
{
    (void)ctx, (void)from;
    moves++;
}

/* A box of another cluster does not tell where the one is that we know under its id. */
static void test_place(void **state)
{
    (void)state;
    struct session_keys keys[2] = {{.has = {true}, .own = pair_of(1)},
                                   {.has = {true}, .own = pair_of(2)}};
    struct members_at at = {.index = 1,
                            .members = {.cluster_id = 5, .n = 2, .m = {{.id = 1}, {.id = 2}}}};
    for (unsigned i = 0; i < 2; i++)
        memcpy(at.members.m[i].key, keys[i].own.key, MEMBER_KEY_BYTES);
    for (unsigned other = 0; other < 2; other++) {
        now = 1000000;
        moves = 0;
        for (uint16_t id = 1; id <= 2; id++) {
            begin(&ends[id - 1], id, "home", &keys[id - 1]);
            at.members.cluster_id = id == 2 && other ? 6 : 5;
            envelope_follow(&ends[id - 1].e, &at, true);
        }
        ends[0].io.here = on_here;
        assert_int_equal(speak(false), other ? DROP_COUNT : DATAGRAM_DATA);
        assert_int_equal(shows(&ends[0], 2),
                         other ? STATUS_SESSION_OTHER_CLUSTER : STATUS_SESSION_ESTABLISHED);
        assert_int_equal(moves != 0, !other);
        stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),       cmocka_unit_test(test_judged),
        cmocka_unit_test(test_sealed),      cmocka_unit_test(test_cloned),
        cmocka_unit_test(test_place),       cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_both_cloned),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
