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
        ask(fds[i], "GET k");
        expect(fds[i], "nil");
    }
    for (unsigned i = 0; i < LATE; i++) {
        static const char *const lines[] = {"GET k", "SET k v", "RAFT.LIST ''", "NONE"};
        late[i] = dial(f);
        (void)try_ask(late[i], lines[i % 4]); /* may come too late, but the answer does not */
        expect_part(late[i], "-BUSY ");
        expect_closed(late[i]);
    }
    int fd = dial(f); /* what happens can be seen from outside */
    ask(fd, "RAFT.STATUS");
    expect_part(fd, "id=1\n");
    ask(fd, "SET k v");
    expect_part(fd, "-BUSY ");
    expect_closed(fd);
    for (unsigned i = 0; i < LATE; i++) /* more than there are places for guests, all silent */
        late[i] = dial(f);
    for (unsigned i = 0; i < LATE; i++) {
        expect_part(late[i], "-BUSY ");
        expect_closed(late[i]);
    }
    assert_int_equal(tally_sum(&f->shared).refused, 2 * LATE + 1);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    for (int tries = 0;; tries++) { /* as soon as the closes have been noticed */
        struct reply r;
        fd = dial(f);
        (void)try_ask(fd, "GET k");
        assert_int_equal(hear(fd, &r), 0);
        bool served = strcmp(r.text, "nil") == 0;
        free(r.text);
        close(fd);
        if (served)
            break;
        assert_true(tries < 1000);
        sleep_ms(1);
    }
}

/* A client that has closed its sending side gets all its answers, then the end. */
static void test_half_close(void **state)
{
    static const char *const lines[] = {"GET k", "SET k v", "RAFT.LIST ''", "DEL k", "RAFT.STATUS"};
    enum { N = sizeof(lines) / sizeof(lines[0]) };
    struct fake *f = *state;
    int fd;
    for (unsigned i = 0; i < N; i++) { /* alone */
        fd = dial(f);
        ask(fd, "%s", lines[i]);
        shutdown(fd, SHUT_WR);
        expect_part(fd, i == 0 ? "nil" : i == 1 ? "OK" : i == 3 ? "1" : "");
        expect_closed(fd);
    }
    world_set(f, &f->hold, true); /* behind others, while nothing is answered yet */
    world_set(f, &f->no_leader, true);
    fd = dial(f);
    int gone = dial(f), part = dial(f);
    for (unsigned i = 0; i < 40; i++) {
        ask(fd, "%s", lines[i % N]);
        ask(gone, "%s", lines[i % N]);
    }
    shutdown(fd, SHUT_WR);
    shutdown(gone, SHUT_WR);
    /* A command of which the rest will never come: nothing was done. */
    send_text(part, "*3\r\n$3\r\nSET\r\n$4\r\npart\r\n$10\r\n");
    shutdown(part, SHUT_WR);
    expect_part(part, "-ERR the connection was closed");
    expect_closed(part);
    close(gone);
    sleep_ms(50);
    world_set(f, &f->hold, false);
    world_set(f, &f->no_leader, false);
    for (unsigned i = 0; i < 40; i++)
        expect_part(fd, i % N == 1 ? "OK" : "");
    expect_closed(fd);
}

/* What writes tell is copied before there is room for their answers. Together that has a bound; small ones
 * pass all the same. */
static void test_told(void **state)
{
    enum { N = 30, EACH = 4, VALUE = 1 << 20 };
    struct fake *f = *state;
    struct users *u = &f->shared.users;
    int fd = dial(f), other = dial(f);
    unsigned told = 0, lost = 0;
    char *value = malloc(VALUE + 64);
    assert_non_null(value);
    int n = snprintf(value, 64, "$%d\r\n", VALUE);
    memset(value + n, 'v', VALUE);
    memcpy(value + n + VALUE, "\r\n", 3);
    send_text(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n");
    send_text(fd, value);
    free(value);
    expect(fd, "OK");
    world_set(f, &f->hold, true);
    for (unsigned i = 0; i < N; i++)
        ask(fd, "RAFT.TXN PUT n done GET k GET k GET k GET k");
    while (u->used[USERS_WRITES] < N)
        sleep_ms(1);
    world_set(f, &f->hold, false);
    ask(other, "INCR m");
    expect(other, "1");
    for (unsigned i = 0; i < N; i++) {
        struct reply r;
        assert_int_equal(hear(fd, &r), 0);
        told += r.len > EACH * VALUE && r.text[0] == '[';
        lost += strncmp(r.text, "-UNKNOWN ", 9) == 0;
        free(r.text);
    }
    assert_true(told >= 4 && lost >= 4 && told + lost == N);
    ask(fd, "GET n");
    expect(fd, "done");
    assert_int_equal(u->used[USERS_TOLD_BYTES], 0);
    (void)close(fd);
    (void)close(other);
}

/* Who has asked its last and then leaves altogether holds nothing up for long, whether we read of it or
 * wait until its queue is empty. */
static void test_left(void **state)
{
    struct fake *f = *state;
    for (unsigned i = 0; i < 2; i++) {
        world_set(f, &f->no_leader, true);
        int fd = dial(f);
        ask(fd, i == 0 ? "GET k" : "GET k\nPING");
        if (i == 0)
            shutdown(fd, SHUT_WR);
        while (f->shared.users.used[USERS_READS] == 0)
            sleep_ms(1);
        sleep_ms(50);
        close(fd);
        const struct users *u = &f->shared.users;
        for (unsigned tries = 0; u->used[USERS_READS] > 0 || u->used[USERS_CONNS] > 0; tries++) {
            assert_true(tries < 1000);
            sleep_ms(10);
        }
        world_set(f, &f->no_leader, false);
    }
}

/* Garbage behind commands that are under way: these are answered all the same. */
static void test_refused_later(void **state)
{
    struct fake *f = *state;
    world_set(f, &f->hold, true);
    int fd = dial(f);
    ask(fd, "SET k v");
    send_text(fd, "*1\r\ngarbage\r\n");
    while (try_ask(fd, "GET k") == 0) /* nothing more is taken */
        sleep_ms(1);
    world_set(f, &f->hold, false);
    expect(fd, "OK");
    expect_part(fd, "-ERR Protocol error");
    expect_closed(fd);
}

/* The daemon stops while reads wait for a leader, and with commands that nobody has looked at: who asked
 * is told so, or sees the end, but never an error in place of an answer. */
static void test_stop(void **unused)
{
    (void)unused;
    void *state = NULL;
    assert_int_equal(world_setup(&state), 0);
    struct fake *f = state;
    int reads = dial(f), writes = dial(f), local = dial(f);
    world_set(f, &f->no_leader, true);
    ask(writes, "SET k v");
    ask(reads, "GET k");
    ask(reads, "SET k w"); /* held until the read is answered */
    ask(reads, "RAFT.STATUS");
    expect(writes, "OK");
    while (f->shared.users.used[USERS_READS] == 0)
        sleep_ms(1);
    ask(local, "RAFT.STATUS");
    expect_part(local, "id=1\n");
    assert_int_equal(world_teardown(&state), 0);
    expect_part(reads, "-NOLEADER ");
    expect_part(reads, "-NOLEADER ");
    expect_closed(reads);
    expect_closed(writes);
    expect_closed(local);
}

/* Who comes by TCP is nobody before it has told the password, and then has no privilege. */
static void test_tcp(void **unused)
{
    (void)unused;
    void *state = NULL;
    world_tcp = true;
    assert_int_equal(world_setup(&state), 0);
    world_tcp = false;
    struct fake *f = state;
    char password[SHARED_PASSWORD_BYTES + 1] = "";
    memset(password, '7', sizeof(password) - 1);
    int fd = dial_tcp(f), local = dial(f);
    static const char *const closed[] = {"PING",  "GET k",       "SET k v",     "RAFT.STATUS",
                                         "MULTI", "CLIENT LIST", "INFO server", "COMMAND COUNT"};
    for (unsigned i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        ask(fd, "%s", closed[i]);
        expect_part(fd, "-NOAUTH ");
    }
    ask(fd, "HELLO 3");
    expect_part(fd, "-NOAUTH ");
    ask(fd, "AUTH %.63s", password);
    expect_part(fd, "-WRONGPASS ");
    ask(fd, "AUTH %.63s8", password);
    expect_part(fd, "-WRONGPASS ");
    ask(fd, "AUTH somebody %s", password);
    expect_part(fd, "-WRONGPASS ");
    ask(fd, "GET k");
    expect_part(fd, "-NOAUTH ");
    ask(fd, "HELLO 3 AUTH default %s", password);
    expect_part(fd, "proto 3");
    ask(fd, "SET k v");
    expect(fd, "OK");
    ask(fd, "RESET");
    expect(fd, "RESET");
    ask(fd, "GET k");
    expect_part(fd, "-NOAUTH ");
    ask(fd, "AUTH %s", password);
    expect(fd, "OK");
    ask(fd, "GET k");
    expect(fd, "v");
    ask(local, "GET k"); /* who comes by the file needs none */
    expect(local, "v");
    ask(local, "RESET");
    expect(local, "RESET");
    ask(local, "GET k");
    expect(local, "v");
    unsigned own = 0;
    for (unsigned i = 0; i < 2; i++)
        own += (unsigned)f->shared.users.user[i].used[USERS_CONNS];
    assert_int_equal(own, 1);
    assert_int_equal(f->shared.users.used[USERS_CONNS], 2);
    close(fd);
    close(local);
    assert_int_equal(world_teardown(&state), 0);
}

/* Before AUTH nobody takes memory of the others. */
static void test_tcp_memory(void **unused)
{
    (void)unused;
    static const uint8_t value[100000];
    void *state = NULL;
    world_tcp = true;
    assert_int_equal(world_setup(&state), 0);
    world_tcp = false;
    struct fake *f = state;
    int fd = dial_tcp(f);
    put_long(fd, "k", value, sizeof(value) - 10000);
    send_bytes(fd, "", 0);
    expect_part(fd, "-BUSY ");
    ask(fd, "QUIT");
    expect(fd, "OK");
    expect_closed(fd);
    assert_int_equal(world_teardown(&state), 0);
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
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
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

/* A read whose time is over is answered once, though what is behind it waited for that. */
static void test_late_read(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    world_set(f, &f->no_leader, true);
    send_text(fd, "RAFT.TIMEOUT 50\nGET a\nPING\nGET a\nECHO x\n");
    expect(fd, "OK");
    expect_part(fd, "-NOLEADER ");
    expect(fd, "PONG");
    expect_part(fd, "-NOLEADER ");
    expect(fd, "x");
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_late_read, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_many_connections, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_half_close, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_told, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_left, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refused_later, world_setup, world_teardown),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_memory),
        cmocka_unit_test(test_users),
    };
    return world_run(tests, sizeof(tests) / sizeof(tests[0]));
}
