// LINK: @clients tests/lib/clients_world.c -Wl,--wrap=calloc
/* test_clients_turns.c: how the turns of clients follow each other, and what they may have of memory. One
 * instance on a loop of our own, which goes on only when the test says so: no clock decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/state/kv.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/proto.h"
#include "raftd/base/rcu.h"
#include "tests/lib/clients_world.h"

enum { KEYS = 6000, KEY_VALUE_BYTES = 200, BIG_BYTES = 60000 };

static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

struct one {
    struct fake f;
    struct ev_loop *loop;
    struct clients *clients;
};

static void store(struct one *o, const char *key, uint32_t len)
{
    static const uint8_t value[BIG_BYTES];
    o->f.index++;
    (void)kv_put(o->f.shared.kv, &(struct kv_content){.key = (const uint8_t *)key,
                                                      .key_len = (uint16_t)strlen(key),
                                                      .value = value,
                                                      .value_len = len,
                                                      .create_revision = o->f.index,
                                                      .modify_revision = o->f.index});
    assert_true(kv_publish(o->f.shared.kv, o->f.index, 0));
}

static int setup(void **state)
{
    struct one *o = calloc(1, sizeof(*o));
    assert_non_null(o);
    char key[16];
    world_share(&o->f, 1);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key%05u", i);
        store(o, key, KEY_VALUE_BYTES);
    }
    store(o, "big", BIG_BYTES);
    o->loop = ev_loop_new(EVFLAG_NOENV);
    assert_non_null(o->loop);
    o->clients = clients_new(o->loop, &o->f.shared, 0, o->f.listener.fd);
    assert_non_null(o->clients);
    *state = o;
    return 0;
}

static int teardown(void **state)
{
    struct one *o = *state;
    clients_free(o->clients);
    for (unsigned i = 0; i < USERS_WHAT; i++) /* all was given back */
        assert_int_equal(o->f.shared.users.used[i], 0);
    ev_loop_destroy(o->loop);
    world_unshare(&o->f);
    free(o);
    return 0;
}

/* Iterations that do not wait for anything. */
static void iterate(struct one *o, unsigned n)
{
    while (n-- > 0)
        ev_run(o->loop, EVRUN_NOWAIT);
}

static int come(struct one *o)
{
    int fd = dial(&o->f);
    iterate(o, 1);
    return fd;
}

/* As many packets as are needed for n times the same. */
static void ask_often(int fd, uint8_t op, const char *key, unsigned n)
{
    static uint8_t packet[PROTO_PACKET_MAX_BYTES];
    size_t len = 0;
    for (unsigned i = 0; i < n; i++) {
        len += proto_request_encode(
            packet + len, &(struct proto_request){.op = op,
                                                  .flags = op == PROTO_STATUS ? 0 : PROTO_STALE,
                                                  .tag = i,
                                                  .key = (const uint8_t *)key,
                                                  .key_len = (uint16_t)strlen(key)});
        if (i + 1 == n || sizeof(packet) - len < 64) {
            assert_int_equal(send(fd, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
            len = 0;
        }
    }
}

/* Whole answers that have come. */
static unsigned answers(int fd)
{
    static uint8_t packet[PROTO_PACKET_MAX_BYTES];
    unsigned n = 0;
    ssize_t len;
    while ((len = recv(fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
        struct proto_reply r;
        for (size_t at = 0, size; at < (size_t)len; at += size) {
            size = proto_reply_decode(packet + at, (size_t)len - at, &r);
            assert_true(size > 0);
            n += !(r.flags & PROTO_MORE);
        }
    }
    return n;
}

/* All of them, while the loop goes on; returns in how many iterations. */
static unsigned all_answers(struct one *o, int fd, unsigned n)
{
    unsigned rounds = 0;
    for (unsigned got = answers(fd); got < n; got += answers(fd)) {
        assert_true(++rounds < 100000);
        if (rounds % 1000 == 0)
            sleep_ms(1); /* who waits for room asks for it now and then */
        iterate(o, 1);
    }
    return rounds;
}

/* Of whatever one client asks so much, others come in between; and all of it is done. */
static void test_turns(void **state)
{
    static const struct {
        uint8_t op;
        const char *key;
        unsigned n;
    } floods[] = {
        {PROTO_GET, "none", 5000},    {PROTO_GET, "key00001", 5000}, {PROTO_GET, "big", 300},
        {PROTO_STATUS, "", 1300},     {PROTO_LIST, "\xfe", 1300},    {PROTO_LIST, "", 50},
        {PROTO_LIST, "key0123", 500},
    };
    struct one *o = *state;
    for (unsigned i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        int a = come(o), b = come(o), c = come(o);
        ask_often(a, floods[i].op, floods[i].key, floods[i].n);
        ask_often(b, PROTO_STATUS, "", 1);
        ask_often(b, PROTO_GET, "big", 1);
        ask_often(c, PROTO_LIST, "", 1);
        iterate(o, 2);
        unsigned first = answers(a);
        assert_int_equal(answers(b), 2);
        assert_true(first < floods[i].n / 4);
        assert_in_range(all_answers(o, c, 1), 1, 20); /* it does not fit into the socket at once */
        unsigned rounds = all_answers(o, a, floods[i].n - first);
        assert_true(rounds >= 2);
        close(a);
        close(b);
        close(c);
        iterate(o, 2);
    }
}

/* A status costs as much as is printed: one with many peers is all that fits into a turn. */
static void test_long_status(void **state)
{
    struct one *o = *state;
    int a = come(o);
    o->f.status.n_peers = RAFT_PEERS_MAX;
    ask_often(a, PROTO_STATUS, "", 40);
    iterate(o, 2);
    assert_int_equal(answers(a), 1);
    assert_in_range(all_answers(o, a, 39), 38, 45);
    close(a);
    iterate(o, 2);
}

/* Many clients that want lists: an iteration has time for one or two of them, so others do not wait
 * for all. */
static void test_lists(void **state)
{
    enum { N = 40 };
    struct one *o = *state;
    int fds[N], b = come(o);
    unsigned begun = 0;
    for (unsigned i = 0; i < N; i++)
        fds[i] = come(o);
    for (unsigned i = 0; i < N; i++)
        ask_often(fds[i], PROTO_LIST, "", 1);
    ask_often(b, PROTO_STATUS, "", 1);
    iterate(o, 3);
    assert_int_equal(answers(b), 1);
    for (unsigned i = 0; i < N; i++) {
        uint8_t byte;
        begun += recv(fds[i], &byte, sizeof(byte), MSG_DONTWAIT | MSG_PEEK) > 0;
    }
    assert_in_range(begun, 1, 6);
    for (unsigned i = 0; i < N; i++) {
        (void)all_answers(o, fds[i], 1);
        close(fds[i]);
    }
    close(b);
    iterate(o, 2);
}

/* A client's own requests keep their order, in the same packet and across turns. */
static void test_order(void **state)
{
    struct one *o = *state;
    int fd = come(o);
    uint8_t packet[PROTO_PACKET_MAX_BYTES];
    for (unsigned round = 0; round < 3; round++) {
        size_t len = 0;
        for (unsigned i = 0; i < 600; i++) {
            static const uint8_t ops[] = {PROTO_GET, PROTO_LIST, PROTO_STATUS};
            len += proto_request_encode(
                packet + len, &(struct proto_request){.op = ops[i % 3],
                                                      .flags = i % 3 == 2 ? 0 : PROTO_STALE,
                                                      .tag = round * 600 + i,
                                                      .key = (const uint8_t *)"key00",
                                                      .key_len = i % 3 == 2 ? 0 : 5});
        }
        assert_int_equal(send(fd, packet, len, MSG_NOSIGNAL), len);
    }
    shutdown(fd, SHUT_WR);
    unsigned next = 0;
    bool open = true;
    for (unsigned rounds = 0; open; rounds++) {
        ssize_t len = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        open = len != 0;
        struct proto_reply r;
        for (size_t at = 0; len > 0 && at < (size_t)len;) {
            at += proto_reply_decode(packet + at, (size_t)len - at, &r);
            assert_int_equal(r.tag, next);
            next += !(r.flags & PROTO_MORE);
        }
        assert_true(rounds < 100000);
        iterate(o, 1);
    }
    assert_int_equal(next, 1800);
    close(fd);
}

/* A page of a list, and whether it says that more follows. */
static size_t page(struct one *o, int fd, bool *partial)
{
    static uint8_t packet[PROTO_PACKET_MAX_BYTES];
    struct proto_reply r = {.flags = PROTO_MORE};
    size_t bytes = 0;
    ask_often(fd, PROTO_LIST, "key", 1);
    for (unsigned rounds = 0; r.flags & PROTO_MORE; rounds++) {
        ssize_t len = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        for (size_t at = 0; len > 0 && at < (size_t)len; bytes += r.body_len)
            at += proto_reply_decode(packet + at, (size_t)len - at, &r);
        assert_true(rounds < 1000);
        iterate(o, 1);
    }
    assert_int_equal(r.result, RESULT_OK);
    *partial = r.flags & PROTO_PARTIAL;
    return bytes;
}

/* Many clients that read nothing have one bound together; and small answers pass all the same. */
static void test_memory(void **state)
{
    enum { MUTE = 60 };
    struct one *o = *state;
    struct users *u = &o->f.shared.users;
    int mute[MUTE];
    bool partial;
    int b = come(o);
    for (unsigned i = 0; i < MUTE; i++) {
        mute[i] = come(o);
        ask_often(mute[i], i % 2 ? PROTO_GET : PROTO_LIST, i % 2 ? "big" : "", 100);
        iterate(o, 3);
    }
    assert_true(u->used[USERS_OUT_BYTES] <= CLIENTS_OUT_ALL_BYTES);
    assert_true(u->used[USERS_OUT_BYTES] > CLIENTS_OUT_ALL_BYTES - (2 << 20));
    ask_often(b, PROTO_STATUS, "", 1);
    ask_often(b, PROTO_GET, "key00001", 1);
    iterate(o, 2);
    assert_int_equal(answers(b), 2);
    assert_in_range(page(o, b, &partial), 1000, CLIENTS_OUT_OWN_BYTES);
    assert_true(partial);
    int waits = come(o); /* a long one waits until somebody goes */
    ask_often(waits, PROTO_GET, "big", 1);
    iterate(o, 5);
    assert_int_equal(answers(waits), 0);
    for (unsigned i = 6; i < MUTE; i++) {
        close(mute[i]);
        iterate(o, 2);
    }
    unsigned got = 0; /* those before it may take the room once more, and then find nobody there */
    for (unsigned i = 0; i < 50 && got == 0; i++) {
        sleep_ms(2 * CLIENTS_ROOM_US / 1000);
        iterate(o, 10);
        got = answers(waits);
    }
    assert_int_equal(got, 1);
    for (unsigned i = 0; i < 6; i++) { /* those that begin to read get all */
        (void)all_answers(o, mute[i], 100);
        close(mute[i]);
        iterate(o, 2);
    }
    assert_int_equal(u->used[USERS_OUT_BYTES], 0);
    assert_in_range(page(o, b, &partial), PROTO_LIST_PAGE_BYTES / 2, PROTO_LIST_PAGE_BYTES);
    assert_true(partial);
    close(b);
    close(waits);
}

/* The same for answers without a body, which take no share. */
static void test_small_answers(void **state)
{
    enum { MUTE = 30, ROUNDS = 200 };
    struct one *o = *state;
    int mute[MUTE];
    for (unsigned i = 0; i < MUTE; i++)
        mute[i] = come(o);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < MUTE; i++)
            if (o->clients->conns[i]->rest == NULL) /* what came before was served */
                ask_often(mute[i], PROTO_GET, "none", 500);
        iterate(o, 8);
    }
    for (unsigned i = 0; i < MUTE; i++) {
        assert_in_range(o->clients->conns[i]->outq.cap, CLIENTS_OUT_OWN_BYTES,
                        2 * CLIENTS_OUT_OWN_BYTES);
        assert_true(all_answers(o, mute[i], 500) < 100000);
        close(mute[i]);
    }
    iterate(o, 2);
}

/* Who comes, asks at once, and can't be kept: told so, whatever was asked, and nothing is held for it. */
static void turned_away(struct one *o)
{
    size_t before = o->f.shared.users.used[USERS_CONNS];
    int fd = dial(&o->f);
    assert_int_equal(try_ask(fd, PROTO_STATUS), 0);
    iterate(o, 1);
    expect(fd, 0, RESULT_BUSY, "");
    expect_closed(fd);
    assert_int_equal(o->f.shared.users.used[USERS_CONNS], before);
}

/* No place, not even for guests; no memory for a guest; none for anybody. */
static void test_last_resort(void **state)
{
    struct one *o = *state;
    struct shared *s = &o->f.shared;
    s->users.limit[USERS_CONNS] = 1;
    s->n_guests = 0;
    int fd = come(o);
    turned_away(o);
    s->n_guests = CLIENTS_GUESTS_MAX;
    no_memory = true;
    turned_away(o);
    close(fd);
    iterate(o, 2);
    turned_away(o);
    no_memory = false;
    fd = come(o);
    ask_often(fd, PROTO_GET, "key00001", 1);
    (void)all_answers(o, fd, 1);
    close(fd);
    iterate(o, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_resort, setup, teardown),
    };
    return world_run(tests, sizeof(tests) / sizeof(tests[0]));
}
