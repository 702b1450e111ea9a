// LINK: @clients tests/lib/clients_world.c TSAN
/* test_clients_limits.c: what one client, one user and all together may have, what those beyond it
 * are told, and how connections end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "raftd/serve/clients.h"
#include "raftd/base/clock.h"
#include "raftd/state/kv.h"
#include "raftd/serve/proto.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/readers.h"
#include "raftd/node/request.h"
#include "tests/lib/clients_world.h"

/* As many as there is room for, in whichever thread; whoever comes later is told so, always. */
static void test_many_connections(void **state)
{
    struct fake *f = *state;
    enum { N = READERS * CLIENTS_CONNS_MAX, LATE = 3 * CLIENTS_GUESTS_MAX * READERS };
    int fds[N], late[LATE];
    for (int i = 0; i < N; i++) {
        fds[i] = dial(f);
        assert_int_equal(try_ask(fds[i], PROTO_GET), 0);
        expect(fds[i], 7, RESULT_NO_KEY, "");
    }
    for (unsigned i = 0; i < LATE; i++) {
        static const uint8_t ops[] = {PROTO_GET, PROTO_PUT, PROTO_LIST, PROTO_DELETE};
        late[i] = dial(f);
        (void)try_ask(late[i], ops[i % 4]); /* may come too late, but the answer does not */
        expect(late[i], 0, RESULT_BUSY, "");
        expect_closed(late[i]);
    }
    int fd = dial(f); /* what happens can be seen from outside */
    assert_int_equal(try_ask(fd, PROTO_STATUS), 0);
    expect(fd, 7, RESULT_OK, NULL);
    assert_int_equal(try_ask(fd, PROTO_PUT), 0);
    expect(fd, 0, RESULT_BUSY, "");
    expect_closed(fd);
    for (unsigned i = 0; i < LATE; i++) /* more than there are places for guests, all silent */
        late[i] = dial(f);
    for (unsigned i = 0; i < LATE; i++) {
        expect(late[i], 0, RESULT_BUSY, "");
        expect_closed(late[i]);
    }
    for (int i = 0; i < N; i++)
        close(fds[i]);
    for (int tries = 0;; tries++) { /* as soon as the closes have been noticed */
        struct reply r;
        fd = dial(f);
        assert_int_equal(try_ask(fd, PROTO_GET), 0);
        assert_int_equal(hear(fd, &r), 0);
        free(r.body);
        close(fd);
        if (r.head.result == RESULT_NO_KEY)
            break;
        assert_true(tries < 1000);
        sleep_ms(1);
    }
}

/* A client that has closed its sending side gets all its answers, then the end. */
static void test_half_close(void **state)
{
    static const uint8_t ops[] = {PROTO_GET, PROTO_PUT, PROTO_LIST, PROTO_DELETE, PROTO_STATUS};
    enum { N = sizeof(ops) };
    struct fake *f = *state;
    int fd;
    for (unsigned i = 0; i < N; i++) { /* alone */
        fd = dial(f);
        ask(fd, ops[i], 0, i, ops[i] == PROTO_STATUS || ops[i] == PROTO_LIST ? "" : "k", "");
        shutdown(fd, SHUT_WR);
        expect(fd, i, ops[i] == PROTO_GET ? RESULT_NO_KEY : RESULT_OK, NULL);
        expect_closed(fd);
    }
    world_set(f, &f->hold, true); /* behind others, while nothing is answered yet */
    world_set(f, &f->no_leader, true);
    fd = dial(f);
    int gone = dial(f), part = dial(f);
    for (unsigned i = 0; i < 40; i++) {
        ask(fd, ops[i % 4], 0, i, i % 4 == 2 ? "" : "k", "");
        ask(gone, ops[i % 4], 0, i, i % 4 == 2 ? "" : "k", "");
    }
    shutdown(fd, SHUT_WR);
    shutdown(gone, SHUT_WR);
    /* A value of which the rest will never come: nothing was done. */
    send_packet(part, &(struct proto_request){.op = PROTO_PUT,
                                              .tag = 5,
                                              .timeout_ms = TIMEOUT_MS,
                                              .key = (const uint8_t *)"part",
                                              .key_len = 4,
                                              .value_len = 10});
    shutdown(part, SHUT_WR);
    expect(part, 5, RESULT_BAD, "");
    expect_closed(part);
    close(gone);
    sleep_ms(50);
    world_set(f, &f->hold, false);
    world_set(f, &f->no_leader, false);
    bool answered[40] = {false};
    for (unsigned i = 0; i < 40; i++) {
        struct reply r;
        assert_int_equal(hear(fd, &r), 0);
        assert_true(r.head.tag < 40 && !answered[r.head.tag]);
        answered[r.head.tag] = true;
        free(r.body);
    }
    expect_closed(fd);
}

/* Who has asked its last and then leaves altogether holds nothing up for long. */
static void test_left(void **state)
{
    struct fake *f = *state;
    world_set(f, &f->no_leader, true);
    int fd = dial(f);
    ask(fd, PROTO_GET, 0, 1, "k", "");
    shutdown(fd, SHUT_WR);
    sleep_ms(50);
    assert_int_equal(f->shared.users.used[USERS_READS], 1);
    close(fd);
    for (unsigned tries = 0; f->shared.users.used[USERS_READS] > 0; tries++) {
        assert_true(tries < 500);
        sleep_ms(10);
    }
    assert_int_equal(f->shared.users.used[USERS_CONNS], 0);
    world_set(f, &f->no_leader, false);
}

/* Garbage behind requests that are under way: these are answered all the same. */
static void test_refused_later(void **state)
{
    struct fake *f = *state;
    world_set(f, &f->hold, true);
    int fd = dial(f);
    ask(fd, PROTO_PUT, 0, 1, "k", "v");
    assert_int_equal(send(fd, "garbage", 7, MSG_NOSIGNAL), 7);
    expect(fd, 0, RESULT_BAD, "");
    assert_int_equal(try_ask(fd, PROTO_GET), -1);
    world_set(f, &f->hold, false);
    expect(fd, 1, RESULT_OK, "");
    expect_closed(fd);
}

/* The daemon stops while a read waits for a leader, and with requests that nobody has looked at: who asked
 * is told so, or sees the end, but never an error in place of an answer. */
static void test_stop(void **unused)
{
    (void)unused;
    void *state = NULL;
    assert_int_equal(world_setup(&state), 0);
    struct fake *f = state;
    int reads = dial(f), writes = dial(f);
    world_set(f, &f->no_leader, true);
    ask(writes, PROTO_PUT, 0, 1, "k", "v");
    ask(reads, PROTO_GET, 0, 2, "k", "");
    expect(writes, 1, RESULT_OK, "");
    while (f->shared.users.used[USERS_READS] == 0)
        sleep_ms(1);
    ask(reads, PROTO_STATUS, 0, 3, "", "");
    expect(reads, 3, RESULT_OK, NULL);
    assert_int_equal(world_teardown(&state), 0);
    expect(reads, 2, RESULT_STOPPING, "");
    expect_closed(reads);
    expect_closed(writes);
}

/* A user of no privilege has its share and no more, and all such users leave something over. */
static void test_users(void **state)
{
    (void)state;
    static struct users u;
    users_init(&u);
    for (unsigned i = 0; i < USERS_WHAT; i++)
        u.limit[i] = 64;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    struct user *own = users_enter(&u, pair[0]);
    assert_non_null(own);
    assert_true(own->trusted);
    assert_ptr_equal(users_enter(&u, pair[1]), own);
    assert_int_equal(own->used[USERS_CONNS], 2);
    assert_null(users_enter(&u, -1));
    struct user *a = &u.user[10], *b = &u.user[11];
    assert_true(users_take(&u, a, USERS_READS, 32));
    assert_false(users_take(&u, a, USERS_READS, 1));
    assert_false(users_take(&u, b, USERS_READS, 30));
    assert_true(users_take(&u, b, USERS_READS, 29)); /* 3 of 64 are kept */
    assert_false(users_take(&u, b, USERS_READS, 1));
    assert_true(users_take(&u, own, USERS_READS, 3));
    assert_false(users_room(&u, USERS_READS));
    assert_false(users_take(&u, own, USERS_READS, 1));
    users_give(&u, a, USERS_READS, 32);
    assert_int_equal(a->used[USERS_READS], 0);
    assert_true(users_take(&u, own, USERS_READS, 32));
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_connections, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_half_close, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_left, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refused_later, world_setup, world_teardown),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_users),
    };
    return world_run(tests, sizeof(tests) / sizeof(tests[0]));
}
