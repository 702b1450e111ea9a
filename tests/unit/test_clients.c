// LINK: @clients tests/lib/clients_world.c TSAN
/* test_clients.c: the client side of the daemon against a thread that plays the loop, through real
 * sockets: commands and their order, lists in pages, transactions, timeouts, and clients that misbehave. */
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
#include "raftd/serve/commands.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/readers.h"
#include "raftd/node/request.h"
#include "tests/lib/clients_world.h"

static void test_operations(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    ask(fd, "GET a");
    expect(fd, "nil");
    ask(fd, "SET a one");
    expect(fd, "OK");
    ask(fd, "SET a two");
    expect(fd, "OK");
    for (unsigned local = 0; local < 2; local++) {
        ask(fd, local ? "READONLY" : "READWRITE");
        expect(fd, "OK");
        ask(fd, "GET a");
        expect(fd, "two");
        ask(fd, "RAFT.GET a");
        expect(fd, "[two 1 2 -1 whole]");
    }
    ask(fd, "SET empty ''");
    expect(fd, "OK");
    ask(fd, "GET empty");
    expect(fd, "");
    ask(fd, "DEL a");
    expect(fd, "1");
    ask(fd, "DEL a");
    expect(fd, "0");
    ask(fd, "RAFT.STATUS");
    expect_part(fd, "id=1\n");
    ask(fd, "HELLO 3");
    expect_part(fd, "proto 3");
    ask(fd, "GET a");
    expect(fd, "nil");
    ask(fd, "NONE a");
    expect_part(fd, "-ERR unknown command");
    ask(fd, "QUIT");
    expect(fd, "OK");
    expect_closed(fd);
}

/* Every command is counted once, whichever thread has its connection, and however often it had to wait. */
static void test_tally(void **state)
{
    struct fake *f = *state;
    struct tally_sum before = tally_sum(&f->shared);
    int fds[4];
    struct reply token;
    uint64_t sets;
    for (unsigned i = 0; i < 4; i++)
        fds[i] = dial(f);
    for (unsigned i = 0; i < 4; i++) {
        ask(fds[i], "RAFT.TOKEN");
        assert_int_equal(hear(fds[i], &token), 0);
        ask(fds[i], "RAFT.ONCE %s SET a %u", token.text, i);
        expect_part(fds[i], "OK");
        ask(fds[i], "READONLY");
        ask(fds[i], "GET a"); /* in one go, so one waits for the other */
        ask(fds[i], "SET a %u", i);
        ask(fds[i], "NONE");
        expect(fds[i], "OK");
        expect_part(fds[i], "");
        expect(fds[i], "OK");
        expect_part(fds[i], "-ERR");
        free(token.text);
    }
    struct tally_sum sum = tally_sum(&f->shared);
    assert_int_equal(sum.connections - before.connections, 4);
    assert_int_equal(sum.refused - before.refused, 0);
    assert_int_equal(sum.writes - before.writes, 8);
    assert_int_equal(sum.reads - before.reads, 4);
    assert_int_equal(sum.commands - before.commands, 4 * 6);
    assert_int_equal(sum.clients, 4);
    const struct resp_arg set[] = {{(const uint8_t *)"set", 3}};
    assert_string_equal(tally_calls(&f->shared, command_number(command_find(set)), &sets), "set");
    assert_int_equal(sets, 8);
    for (unsigned i = 0; i < 4; i++)
        (void)close(fds[i]);
}

/* A daemon that has just started tells those who ask without a leader to come again. */
static void test_local_reads_of_a_start(void **state)
{
    struct fake *f = *state;
    atomic_store(&f->shared.local_reads, false);
    int fd = dial(f), local = dial(f);
    ask(fd, "SET a one");
    expect(fd, "OK");
    ask(local, "READONLY");
    expect(local, "OK");
    ask(local, "GET a");
    expect_part(local, "-NOTYET ");
    ask(local, "RAFT.LIST ''");
    expect_part(local, "-NOTYET ");
    ask(fd, "GET a"); /* confirmed by a leader */
    expect(fd, "one");
    atomic_store(&f->shared.old_reads, true); /* there is a snapshot: they are told how old it is */
    ask(local, "GET a");                      /* but this answer has no place for that */
    expect_part(local, "-NOTYET ");
    ask(local, "RAFT.GET a");
    expect(local, "[one 1 1 -1 recovering]");
    ask(local, "RAFT.OUTCOME 00000000000000000000000000000000-0"); /* nor has this one */
    expect_part(local, "-NOTYET ");
    ask(local, "RAFT.LIST ''");
    expect(local, "[1 0 recovering [[a one 1 1 -1]]]");
    ask(fd, "RAFT.GET a");
    expect(fd, "[one 1 1 -1 whole]");
    ask(fd, "WATCH a"); /* looks at what this node has */
    expect_part(fd, "-NOTYET ");
    atomic_store(&f->shared.local_reads, true);
    ask(local, "RAFT.GET a");
    expect(local, "[one 1 1 -1 whole]");
    (void)close(fd);
    (void)close(local);
}

/* Before there is a main loop nothing waits for it. */
static void test_starting(void **state)
{
    struct fake *f = *state;
    (void)snprintf(f->status.recovering, sizeof f->status.recovering, "it reads its log");
    atomic_store(&f->shared.starting, true);
    int fd = dial(f);
    static const char *const lines[] = {"GET a",     "RAFT.LIST ''",  "DEL a",
                                        "SET a one", "RAFT.SNAPSHOT", "RAFT.DRAIN"};
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        ask(fd, "%s", lines[i]);
        expect(fd, "-LOADING it reads its log");
    }
    ask(fd, "RAFT.STATUS");
    expect_part(fd, "recovering=it reads its log\n");
    ask(fd, "READONLY");
    expect(fd, "OK");
    ask(fd, "GET a");
    expect(fd, "nil");
    /* A transaction that begins now is not done in pieces. */
    send_text(fd, "MULTI\nSET a one\nEXEC\nMULTI\nEXEC\nEXEC\n");
    expect(fd, "OK");
    expect(fd, "-LOADING it reads its log");
    expect_part(fd, "-EXECABORT ");
    expect(fd, "OK");
    expect(fd, "-LOADING it reads its log");
    expect(fd, "-ERR EXEC without MULTI");
    ask(fd, "MULTI");
    expect(fd, "OK");
    ask(fd, "SET a two");
    expect(fd, "-LOADING it reads its log");
    atomic_store(&f->shared.starting, false);
    send_text(fd, "SET a three\nEXEC\nGET a\n");
    expect(fd, "QUEUED");
    expect_part(fd, "-EXECABORT ");
    expect(fd, "nil");
    ask(fd, "SET a one");
    expect(fd, "OK");
    (void)close(fd);
}

struct flips {
    struct shared *shared;
    struct status *status[2];
    _Atomic bool stop;
};

static void *flip(void *arg)
{
    struct flips *t = arg;
    for (unsigned i = 0; !t->stop; i++)
        (void)rcu_swap(t->shared->status, t->status[i % 2]);
    return NULL;
}

/* What INFO tells grows while it is told, and there is room for what it was. */
static void test_longer_meanwhile(void **state)
{
    enum { ASKED = 400 };
    struct fake *f = *state;
    struct status longer = f->status;
    longer.commit_index = longer.fsyncs = longer.disk_bytes = UINT64_MAX;
    struct flips t = {.shared = &f->shared, .status = {&longer, &f->status}};
    pthread_t thread;
    int fd = dial(f);
    assert_int_equal(pthread_create(&thread, NULL, flip, &t), 0);
    for (unsigned i = 0; i < ASKED; i++)
        send_text(fd, "INFO\n");
    sleep_ms(200);
    for (unsigned i = 0; i < ASKED; i++)
        expect_part(fd, "# Server");
    t.stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)rcu_swap(f->shared.status, &f->status);
    (void)close(fd);
}

static void test_limits(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    char key[CMD_KEY_MAX_BYTES + 2];
    memset(key, 'k', sizeof(key));
    key[CMD_KEY_MAX_BYTES + 1] = '\0';
    ask(fd, "SET %s v", key);
    expect_part(fd, "-TOOBIG ");
    ask(fd, "GET %s", key);
    expect_part(fd, "-TOOBIG ");
    ask(fd, "SET %s v", key + 1);
    expect(fd, "OK");
    uint8_t *value = malloc(VALUE_MAX + 1);
    assert_non_null(value);
    for (uint32_t i = 0; i < VALUE_MAX + 1; i++)
        value[i] = (uint8_t)(i * 7 + i / 251);
    put_long(fd, "long", value, VALUE_MAX);
    expect(fd, "OK");
    put_long(fd, "long", value, VALUE_MAX + 1); /* refused, and the connection goes on */
    expect_part(fd, "-TOOBIG a value has at most 1048576 bytes here (max_value_bytes)");
    struct reply r;
    ask(fd, "GET long");
    assert_int_equal(hear(fd, &r), 0);
    assert_int_equal(r.len, VALUE_MAX);
    assert_memory_equal(r.text, value, VALUE_MAX);
    free(r.text);
    /* A transaction that would tell more than an answer may have, and one that would be too long. */
    ask(fd, "MULTI");
    expect(fd, "OK");
    for (unsigned i = 0; i < 5; i++) {
        ask(fd, "GET long");
        expect(fd, "QUEUED");
    }
    ask(fd, "EXEC");
    expect_part(fd, "-TOOBIG ");
    ask(fd, "MULTI");
    expect(fd, "OK");
    for (unsigned i = 0; i < 2; i++) {
        put_long(fd, "long", value, VALUE_MAX);
        expect(fd, "QUEUED");
    }
    ask(fd, "EXEC");
    expect_part(fd, "-TOOBIG ");
    free(value);
    close(fd);
}

/* A command that is over its share of memory is passed over, told so, and the connection goes on. */
static void test_no_room(void **state)
{
    struct fake *f = *state;
    static const uint8_t value[200000];
    f->shared.users.limit[USERS_PART_BYTES] = 150000;
    int fd = dial(f);
    put_long(fd, "a", value, sizeof(value));
    expect_part(fd, "-BUSY ");
    put_long(fd, "a", value, 100000);
    expect(fd, "OK");
    assert_int_equal(f->shared.users.used[USERS_PART_BYTES], 0);
    f->shared.users.limit[USERS_WRITE_BYTES] = 150000;
    put_long(fd, "b", value, 100000);
    expect(fd, "OK");
    f->shared.users.limit[USERS_PART_BYTES] = 1 << 20;
    put_long(fd, "a", value, sizeof(value));
    expect_part(fd, "-BUSY ");
    close(fd);
}

/* 300 items of 10 KiB: several pages, each key exactly once and in order. */
static void test_list_pages(void **state)
{
    enum { N = 300, SIZE = 10240 };
    struct fake *f = *state;
    int fd = dial(f);
    char key[32] = "", wanted[64];
    uint8_t *value = malloc(SIZE);
    assert_non_null(value);
    memset(value, 'v', SIZE);
    for (unsigned i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "page/%03u", i * 7 % N);
        put_long(fd, key, value, SIZE);
        expect(fd, "OK");
    }
    unsigned seen = 0, pages = 0;
    bool more = true;
    for (; more; pages++) {
        struct reply r;
        ask(fd, pages % 2 ? "READONLY" : "READWRITE");
        expect(fd, "OK");
        if (pages == 0)
            ask(fd, "RAFT.LIST page/");
        else
            ask(fd, "RAFT.LIST page/ AFTER %s", key);
        assert_int_equal(hear(fd, &r), 0);
        more = strncmp(r.text, "[300 1 whole [", 14) == 0; /* as of the last write */
        assert_true(more || strncmp(r.text, "[300 0 whole [", 14) == 0);
        const char *at = r.text + 14;
        while (*at != ']') {
            snprintf(key, sizeof(key), "page/%03u", seen++);
            int n = snprintf(wanted, sizeof(wanted), "[%s vvv", key);
            assert_memory_equal(at, wanted, (size_t)n);
            at = strchr(at, ']') + 1;
            at += *at == ' ';
        }
        free(r.text);
    }
    assert_int_equal(seen, N);
    assert_true(pages >= 3 && pages <= 5);
    free(value);
    ask(fd, "RAFT.LIST nothing/");
    expect(fd, "[300 0 whole []]");
    close(fd);
}

/* Many at once on several connections; every command is answered in its turn. */
static void test_pipeline(void **state)
{
    enum { CONNS = 3, N = 1000 };
    struct fake *f = *state;
    int fds[CONNS];
    static char lines[CONNS][N * 32];
    for (int c = 0; c < CONNS; c++) {
        size_t len = 0;
        fds[c] = dial(f);
        for (unsigned i = 0; i < N; i++) {
            const char *verb = i % 3 == 0 ? "SET" : i % 3 == 1 ? "GET" : "DEL";
            len += (size_t)snprintf(lines[c] + len, sizeof(lines[c]) - len, "%s %d/%u", verb, c,
                                    i / 3);
            if (i % 3 == 0)
                len += (size_t)snprintf(lines[c] + len, sizeof(lines[c]) - len, " %u", i);
            lines[c][len++] = '\n';
        }
        send_bytes(fds[c], lines[c], len);
    }
    for (int c = 0; c < CONNS; c++) {
        for (unsigned i = 0; i < N; i++) {
            char number[16];
            snprintf(number, sizeof(number), "%u", i - 1);
            expect(fds[c], i % 3 == 0 ? "OK" : i % 3 == 1 ? number : "1");
        }
        close(fds[c]);
    }
}

/* A read sees all writes before it on its connection, and none behind it; and answers come in order, in
 * whatever order the main loop answers. */
static void test_order(void **state)
{
    struct fake *f = *state;
    int fd = dial(f), other = dial(f);
    ask(fd, "SET a 0");
    expect(fd, "OK");
    world_set(f, &f->no_leader, true);
    send_text(fd, "GET a\nSET a 1\nSET b 2\nGET a\nSET a 3\nPING\n");
    ask(other, "SET c 1");
    expect(other, "OK"); /* the main loop had time */
    ask(other, "SET c 2");
    expect(other, "OK");
    assert_int_equal(f->index, 3);
    world_set(f, &f->no_leader, false);
    static const char *const answers[] = {"0", "OK", "OK", "1", "OK", "PONG"};
    for (unsigned i = 0; i < 6; i++)
        expect(fd, answers[i]);
    world_set(f, &f->hold, true); /* these are answered in the opposite order */
    send_text(fd, "DEL none\nSET d 1\nDEL d e\nGET b\n");
    while (f->held < 3)
        sleep_ms(1);
    world_set(f, &f->hold, false);
    expect(fd, "0");
    expect(fd, "OK");
    expect(fd, "0");
    expect(fd, "2");
    close(fd);
    close(other);
}

/* What stands between MULTI and EXEC is one entry, or reads one view; WATCH is its condition. */
static void test_transactions(void **state)
{
    struct fake *f = *state;
    int fd = dial(f), other = dial(f);
    send_text(fd, "MULTI\nGET a\nSET a 1\nGET a\nSET b 2\nPING\nEXEC\n");
    static const char *const queued[] = {"OK", "QUEUED", "QUEUED", "QUEUED", "QUEUED", "QUEUED"};
    for (unsigned i = 0; i < 6; i++)
        expect(fd, queued[i]);
    expect(fd, "[nil OK 1 OK PONG]"); /* each as it was in its place */
    assert_int_equal(f->index, 1);
    for (unsigned changed = 0; changed < 4;
         changed++) { /* by nobody, by somebody, by ourselves ... */
        bool reads = changed % 2 == 0;
        for (unsigned kind = 0; kind < 2; kind++) {
            ask(fd, kind == 0 ? "WATCH a none" : "WATCH b");
            expect(fd, "OK");
            if (changed >= 2) {
                ask(other, "SET %s 5", kind == 0 ? "a" : "b");
                expect(other, "OK");
            }
            uint64_t before = f->index;
            send_text(fd, reads ? "MULTI\nGET b\nEXEC\n" : "MULTI\nSET b 7\nEXEC\n");
            expect(fd, "OK");
            expect(fd, "QUEUED");
            if (changed >= 2)
                expect(fd, "nil");
            else
                expect_part(fd, "[");
            assert_int_equal(f->index, before + !reads);
        }
    }
    ask(fd, "GET b");
    expect(fd, "5");
    /* What EXEC leaves is nothing; UNWATCH and DISCARD end it, too. */
    send_text(fd, "WATCH a\nUNWATCH\nWATCH b\nMULTI\nDISCARD\n");
    for (unsigned i = 0; i < 5; i++)
        expect(fd, "OK");
    ask(other, "DEL a b");
    expect(other, "2");
    /* Between MULTI and EXEC it is taken, and does nothing. */
    send_text(fd, "WATCH a\nMULTI\nSET a 8\nUNWATCH\nPING\nEXEC\n");
    for (unsigned i = 0; i < 5; i++)
        expect(fd, i < 2 ? "OK" : "QUEUED");
    expect(fd, "[OK OK PONG]");
    send_text(fd, "WATCH a\n");
    expect(fd, "OK");
    ask(other, "DEL a");
    expect(other, "1");
    send_text(fd, "MULTI\nUNWATCH\nSET a 8\nEXEC\n");
    for (unsigned i = 0; i < 3; i++)
        expect(fd, i < 1 ? "OK" : "QUEUED");
    expect(fd, "nil");
    send_text(fd, "MULTI\nSET a 8\nEXEC\nEXEC\nDISCARD\n");
    expect(fd, "OK");
    expect(fd, "QUEUED");
    expect(fd, "[OK]");
    expect_part(fd, "-ERR EXEC without MULTI");
    expect_part(fd, "-ERR DISCARD without MULTI");
    /* One that was refused spoils all. */
    static const char *const wrong[] = {"NONE",   "SET a",  "WATCH a", "MULTI", "RAFT.SNAPSHOT",
                                        "KEYS *", "SCAN 0", "DBSIZE",  "TIME",  "RAFT.LIST a"};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        send_text(fd, "MULTI\nSET a 9\n");
        expect(fd, "OK");
        expect(fd, "QUEUED");
        ask(fd, "%s", wrong[i]);
        expect_part(fd, "-ERR ");
        ask(fd, "EXEC");
        expect_part(fd, i == 2 || i == 3 ? "[OK]" : "-EXECABORT ");
    }
    assert_int_equal(f->shared.users.used[USERS_PART_BYTES], 0);
    close(fd);
    close(other);
}

/* What a transaction has done is told, even if that is as much as it may tell. */
static void test_long_answer(void **state)
{
    enum { ECHO_BYTES = 9000 };
    struct fake *f = *state;
    uint8_t *value = calloc(1, VALUE_MAX);
    assert_non_null(value);
    int fd = dial(f);
    for (unsigned i = 0; i < MACHINE_TELL_MAX_BYTES / VALUE_MAX; i++) {
        put_long(fd, (const char[2]){(char)('a' + i)}, value, VALUE_MAX);
        expect(fd, "OK");
    }
    send_text(fd, "MULTI\nSET e 1\nGET a\nGET b\nGET c\nGET d\n");
    expect(fd, "OK");
    for (unsigned i = 0; i < 5; i++)
        expect(fd, "QUEUED");
    memset(value, 'x', ECHO_BYTES);
    memcpy(value, "ECHO ", 5);
    value[ECHO_BYTES] = '\n';
    send_bytes(fd, value, ECHO_BYTES + 1);
    expect(fd, "QUEUED");
    ask(fd, "EXEC");
    struct reply r;
    assert_int_equal(hear(fd, &r), 0);
    assert_true(r.len > MACHINE_TELL_MAX_BYTES + ECHO_BYTES - 5);
    free(r.text);
    send_text(fd, "MULTI\nSET e 2\n");
    expect(fd, "OK");
    expect(fd, "QUEUED");
    send_bytes(fd, value, ECHO_BYTES + 1);
    expect(fd, "QUEUED");
    send_bytes(fd, value, ECHO_BYTES + 1); /* this would be more than has to be told */
    expect_part(fd, "-TOOBIG ");
    ask(fd, "EXEC");
    expect_part(fd, "-EXECABORT ");
    ask(fd, "GET e");
    expect(fd, "1");
    free(value);
    close(fd);
}

static void test_no_leader(void **state)
{
    struct fake *f = *state;
    int fd = dial(f), local = dial(f), third = dial(f);
    ask(fd, "SET a one");
    expect(fd, "OK");
    world_set(f, &f->no_leader, true);
    uint64_t start = clock_us();
    send_text(fd, "RAFT.TIMEOUT 300\nGET a\n");
    send_text(third, "RAFT.TIMEOUT 100\nGET a\n");
    expect(fd, "OK");
    expect(third, "OK");
    send_text(local, "READONLY\nGET a\n"); /* needs no leader */
    expect(local, "OK");
    expect(local, "one");
    expect_part(third, "-NOLEADER ");
    expect_part(fd, "-NOLEADER ");
    assert_true(clock_us() - start >= 300 * 1000);
    ask(local, "READWRITE");
    expect(local, "OK");
    ask(local, "GET a"); /* waits until there is one */
    world_set(f, &f->no_leader, false);
    expect(local, "one");
    /* There is one, but this node can't speak to it: its disk has no room for the term. */
    static struct status full;
    full = f->status;
    full.disk_full = 1;
    struct status *before = rcu_swap(f->shared.status, &full);
    world_set(f, &f->no_leader, true);
    ask(third, "GET a");
    expect_part(third, "-DISKFULL ");
    /* This node is a member no more: no read waits. */
    static struct status out;
    out = f->status;
    out.own_standing = RAFT_STAND_NO_MEMBER;
    out.leader = 0;
    start = clock_us();
    ask(fd, "RAFT.TIMEOUT 60000");
    expect(fd, "OK");
    ask(fd, "GET a");
    (void)rcu_swap(f->shared.status, &out);
    for (unsigned i = 0; i < READERS; i++)
        f->shared.readers[i].wake(f->shared.readers[i].wake_ctx);
    expect_part(fd, "-NOLEADER ");
    ask(fd, "GET a");
    expect_part(fd, "-NOLEADER ");
    assert_true(clock_us() - start < 60 * 1000000);
    (void)rcu_swap(f->shared.status, before);
    /* A client that leaves with reads and writes under way. */
    world_set(f, &f->no_leader, true);
    world_set(f, &f->hold, true);
    for (unsigned i = 0; i < 50; i++)
        ask(fd, "%s", i & 1 ? "GET a" : "SET a left");
    ask(local, "GET a");
    close(fd);
    int reuse = dial(f); /* perhaps in the same slot: must not get those answers */
    ask(reuse, "RAFT.STATUS");
    expect_part(reuse, "id=1\n");
    world_set(f, &f->hold, false);
    world_set(f, &f->no_leader, false);
    expect_part(local, "");
    ask(reuse, "GET none");
    expect(reuse, "nil");
    close(local);
    close(third);
    close(reuse);
}

/* So many commands of one connection are under way; what is behind them waits in the socket. */
static void test_long_pipeline(void **state)
{
    enum { N = CLIENTS_CONN_OPS_MAX + 500 };
    struct fake *f = *state;
    int fd = dial(f), other = dial(f);
    static char lines[8 * N + 1];
    for (unsigned i = 0; i < N; i++)
        memcpy(lines + (size_t)8 * i, "SET k v\n", 8);
    world_set(f, &f->hold, true);
    send_bytes(fd, lines, sizeof(lines) - 1);
    while (f->held < CLIENTS_CONN_OPS_MAX)
        sleep_ms(1);
    ask(other, "SET k v");
    while (f->held < CLIENTS_CONN_OPS_MAX + 1)
        sleep_ms(1);
    sleep_ms(20);
    assert_int_equal(f->held, CLIENTS_CONN_OPS_MAX + 1);
    ask(fd, "RAFT.STATUS");
    world_set(f, &f->hold, false);
    for (unsigned i = 0; i < N; i++)
        expect(fd, "OK");
    expect_part(fd, "id=1\n");
    expect(other, "OK");
    close(fd);
    close(other);
}

/* What an administrator asks for. */
static void test_own(void **state)
{
    static const char *const wrong[] = {
        "RAFT.FETCH 0 0",
        "RAFT.FETCH 1 9223372036854775807", /* no file is so long, and the disk could not read it */
        "RAFT.TIMEOUT 0",
        "RAFT.TIMEOUT 3600001",
        "RAFT.TRANSFER 0 1",
        "RAFT.TRANSFER 1 70000",
        "RAFT.STATUS EVERYTHING",
        "RAFT.MEMBER ADD 2",
        "RAFT.MEMBER ADD 2 nowhere",
        "RAFT.MEMBER ADD 2 a:1,b:2,c:3",
        "RAFT.MEMBER ADD 2 a:1 FORCE",
        "RAFT.MEMBER ADD 1000 a:1",
        "RAFT.MEMBER REMOVE 2 LEARNER",
        "RAFT.MEMBER REPLACE 2 a:1",
        "RAFT.MEMBER SET 2",
        "RAFT.MEMBER SET 2 PRIORITY 256",
        "RAFT.MEMBER SET 2 ADDRESS",
        "RAFT.MEMBER MOVE 2",
    };
    struct fake *f = *state;
    int fd = dial(f);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ask(fd, "%s", wrong[i]);
        expect_part(fd, "-ERR RAFT.");
    }
    ask(fd, "RAFT.SNAPSHOT");
    expect(fd, "OK");
    assert_true(atomic_load(&f->shared.snapshot_asked));
    ask(fd, "RAFT.DRAIN");
    expect(fd, "OK");
    assert_true(atomic_load(&f->shared.drain_asked));
    ask(fd, "RAFT.TRANSFER 2 0");
    expect(fd, "OK");
    assert_int_equal(atomic_load(&f->shared.transfer_asked), 2 << 16);
    ask(fd, "RAFT.STATUS JSON MEMBERS");
    expect_part(fd, "{");
    ask(fd, "RAFT.STATUS JSON ALL");
    expect_part(fd, "{");
    ask(fd, "raft.member add 7 a:1,[::1]:2 learner");
    expect(fd, "-REFUSED 1 1 7 0 a:1 [::1]:2"); /* as the fake loop tells what it got */
    ask(fd, "raft.member set 7 priority 3");
    expect(fd, "-REFUSED 4 8 7 3  ");
    ask(fd, "raft.fetch 5 6");
    expect(fd, "part of 5 at 6");
    ask(fd, "raft.fetch 4 6");
    expect(fd, "nil");
    close(fd);
}

static void test_garbage(void **state)
{
    struct fake *f = *state;
    static const struct {
        const char *bytes, *error;
    } bad[] = {
        {"*1\r\n:5\r\n", "-ERR Protocol error"},
        {"*2\r\n$-1\r\n", "-ERR Protocol error"},
        {"*99999999999\r\n", "-ERR Protocol error"},
        {"*1\r\n$600000000\r\n", "-ERR Protocol error"},
        {"POST / HTTP/1.1\r\n", "-ERR Protocol error"},
        {"Host: here\r\n", "-ERR Protocol error"},
        {"GET \"a\n", "-ERR Protocol error"},
    };
    for (unsigned i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = dial(f);
        if (i % 2 == 1) { /* behind something good */
            ask(fd, "PING");
            expect(fd, "PONG");
        }
        send_text(fd, bad[i / 2].bytes);
        expect_part(fd, bad[i / 2].error);
        expect_closed(fd);
    }
}

/* Asks for far more than the output limit and reads nothing until it is stopped being read from;
 * then reads all of it. Another client is served meanwhile. */
static void test_slow_reader(void **state)
{
    enum { N = 200 };
    struct fake *f = *state;
    int fd = dial(f), other = dial(f);
    uint8_t *value = calloc(1, 100000);
    assert_non_null(value);
    put_long(fd, "big", value, 100000);
    expect(fd, "OK");
    free(value);
    static char lines[N * 32];
    for (unsigned i = 0; i < N; i++)
        strcat(lines, i & 1 ? "READONLY\nGET big\n" : "READWRITE\nGET big\n");
    send_text(fd, lines);
    ask(other, "READONLY");
    expect(other, "OK");
    for (unsigned i = 0; i < 2000; i++) {
        ask(other, "GET none");
        expect(other, "nil");
    }
    for (unsigned i = 0; i < N; i++) {
        struct reply r;
        expect(fd, "OK");
        assert_int_equal(hear(fd, &r), 0);
        assert_int_equal(r.len, 100000);
        free(r.text);
    }
    /* And one that never reads: its own sends block at last, nobody else notices. */
    struct timeval soon = {.tv_usec = 200000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
    unsigned sent = 0;
    while (sent < 1000000 && try_ask(fd, "GET big") == 0)
        sent++;
    assert_true(sent < 100000);
    ask(other, "GET none");
    expect(other, "nil");
    close(fd);
    close(other);
}

static void test_listen(void **state)
{
    (void)state;
    char path[64], err[256] = "";
    snprintf(path, sizeof(path), "/tmp/raftd-listen-%d.sock", (int)getpid());
    struct listener l, other;
    assert_int_equal(listener_open(&l, path, 0620, err, sizeof(err)), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0620);
    assert_int_equal(listener_open(&other, path, 0600, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "another daemon"));
    listener_close(&other); /* the file is not its own */
    close(l.fd);            /* leaves the file, as a killed daemon does */
    assert_int_equal(listener_open(&l, path, 0600, err, sizeof(err)), 0);
    int fd = l.fd;
    assert_int_equal(listener_renew(&l, err, sizeof(err)), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listener_renew(&l, err, sizeof(err)), 1);
    assert_int_equal(l.fd, fd);
    listener_close(&l);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(listener_open(&l, path, 0600, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "not a socket"));
    assert_int_equal(stat(path, &st), 0); /* still there */
    unlink(path);
    assert_int_equal(listener_open(&l, "/nonexistent/run/raftd.sock", 0600, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "does the directory exist"));
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    longest[199] = '\0';
    assert_int_equal(listener_open(&l, longest, 0600, err, sizeof(err)), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_operations, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_tally, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_local_reads_of_a_start, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_starting, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_longer_meanwhile, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_limits, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_no_room, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_list_pages, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_pipeline, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_order, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_transactions, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_long_answer, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_no_leader, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_long_pipeline, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_own, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_garbage, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, world_setup, world_teardown),
        cmocka_unit_test(test_listen),
    };
    return world_run(tests, sizeof(tests) / sizeof(tests[0]));
}
