// LINK: @clients tests/lib/clients_world.c TSAN
/* test_clients.c: the client side of the daemon against a thread that plays the loop, through real
 * sockets: all operations, values in parts, lists in pages, timeouts, and clients that misbehave. */
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
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/serve/proto.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/readers.h"
#include "raftd/node/request.h"
#include "tests/lib/clients_world.h"

static void test_operations(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    ask(fd, PROTO_GET, 0, 1, "a", "");
    expect(fd, 1, RESULT_NO_KEY, "");
    ask(fd, PROTO_PUT, 0, 2, "a", "one");
    struct reply r;
    assert_int_equal(hear(fd, &r), 0);
    assert_int_equal(r.head.result, RESULT_OK);
    assert_int_equal(r.head.modify_revision, 1);
    assert_int_equal(r.head.leader, 3);
    free(r.body);
    ask(fd, PROTO_PUT, 0, 3, "a", "two");
    expect(fd, 3, RESULT_OK, "");
    for (uint8_t flags = 0; flags <= PROTO_STALE; flags++) {
        ask(fd, PROTO_GET, flags, 4, "a", "");
        assert_int_equal(hear(fd, &r), 0);
        assert_int_equal(r.head.tag, 4);
        assert_string_equal((char *)r.body, "two");
        assert_int_equal(r.head.create_revision, 1);
        assert_int_equal(r.head.modify_revision, 2);
        free(r.body);
    }
    ask(fd, PROTO_PUT, 0, 5, "empty", "");
    expect(fd, 5, RESULT_OK, "");
    ask(fd, PROTO_GET, 0, 6, "empty", "");
    expect(fd, 6, RESULT_OK, "");
    ask(fd, PROTO_DELETE, 0, 7, "a", "");
    expect(fd, 7, RESULT_OK, "");
    ask(fd, PROTO_DELETE, 0, 8, "a", "");
    expect(fd, 8, RESULT_NO_KEY, "");
    ask(fd, PROTO_STATUS, 0, 9, "", "");
    assert_int_equal(hear(fd, &r), 0);
    assert_non_null(strstr((char *)r.body, "id=1\n"));
    free(r.body);
    close(fd);
}

/* A daemon that has just started tells those who ask without a leader to come again. */
static void test_local_reads_of_a_start(void **state)
{
    struct fake *f = *state;
    atomic_store(&f->shared.local_reads, false);
    int fd = dial(f);
    ask(fd, PROTO_PUT, 0, 1, "a", "one");
    expect(fd, 1, RESULT_OK, "");
    ask(fd, PROTO_GET, PROTO_STALE, 2, "a", "");
    expect(fd, 2, RESULT_NOT_YET, "");
    ask(fd, PROTO_LIST, PROTO_STALE, 3, "", "");
    expect(fd, 3, RESULT_NOT_YET, "");
    ask(fd, PROTO_GET, 0, 4, "a", ""); /* confirmed by a leader */
    expect(fd, 4, RESULT_OK, "one");
    struct reply r;
    atomic_store(&f->shared.old_reads, true); /* there is a snapshot: they are told how old it is */
    for (unsigned i = 0; i < 6; i++) {
        bool stale = i < 4, list = i % 2 == 1, none = i == 2;
        ask(fd, list ? PROTO_LIST : PROTO_GET, stale ? PROTO_STALE : 0, 10, none ? "b" : "a", "");
        assert_int_equal(hear(fd, &r), 0);
        assert_int_equal(r.head.result, none ? RESULT_NO_KEY : RESULT_OK);
        assert_int_equal(r.head.flags, stale ? PROTO_RECOVERING : 0);
        free(r.body);
    }
    atomic_store(&f->shared.local_reads, true);
    ask(fd, PROTO_GET, PROTO_STALE, 5, "a", "");
    assert_int_equal(hear(fd, &r), 0);
    assert_int_equal(r.head.flags, 0);
    free(r.body);
    (void)close(fd);
}

/* Before there is a main loop nothing waits for it. */
static void test_starting(void **state)
{
    struct fake *f = *state;
    struct reply r;
    (void)snprintf(f->status.recovering, sizeof f->status.recovering, "it reads its log");
    atomic_store(&f->shared.starting, true);
    int fd = dial(f);
    static const uint8_t ops[] = {PROTO_GET, PROTO_LIST, PROTO_DELETE, PROTO_SNAPSHOT, PROTO_DRAIN};
    for (unsigned i = 0; i < sizeof ops; i++) {
        ask(fd, ops[i], 0, i, ops[i] == PROTO_GET || ops[i] == PROTO_DELETE ? "a" : "", "");
        expect(fd, i, RESULT_NOT_YET, "it reads its log");
    }
    send_packet(fd, &(struct proto_request){.op = PROTO_PUT,
                                            .tag = 20,
                                            .timeout_ms = TIMEOUT_MS,
                                            .key = (const uint8_t *)"a",
                                            .key_len = 1,
                                            .part = (const uint8_t *)"on",
                                            .part_len = 2,
                                            .value_len = 3});
    expect(fd, 20, RESULT_NOT_YET, "it reads its log");
    send_packet(fd, &(struct proto_request){
                        .op = PROTO_PART, .tag = 20, .part = (const uint8_t *)"e", .part_len = 1});
    ask(fd, PROTO_STATUS, 0, 21, "", "");
    assert_int_equal(hear(fd, &r), 0);
    assert_non_null(strstr((char *)r.body, "recovering=it reads its log\n"));
    free(r.body);
    ask(fd, PROTO_GET, PROTO_STALE, 22, "a", "");
    expect(fd, 22, RESULT_NO_KEY, "");
    atomic_store(&f->shared.starting, false);
    ask(fd, PROTO_PUT, 0, 23, "a", "one");
    expect(fd, 23, RESULT_OK, "");
    (void)close(fd);
}

static void test_limits(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    char key[CMD_KEY_MAX_BYTES + 2];
    memset(key, 'k', sizeof(key));
    key[CMD_KEY_MAX_BYTES + 1] = '\0';
    ask(fd, PROTO_PUT, 0, 1, key, "v");
    expect(fd, 1, RESULT_TOO_LARGE, "");
    ask(fd, PROTO_GET, 0, 2, key, "");
    expect(fd, 2, RESULT_TOO_LARGE, "");
    ask(fd, PROTO_PUT, 0, 3, key + 1, "v");
    expect(fd, 3, RESULT_OK, "");
    uint8_t *value = malloc(VALUE_MAX + 1);
    assert_non_null(value);
    for (uint32_t i = 0; i < VALUE_MAX + 1; i++)
        value[i] = (uint8_t)(i * 7 + i / 251);
    put_long(fd, 4, "long", value, VALUE_MAX);
    expect(fd, 4, RESULT_OK, "");
    put_long(fd, 5, "long", value, VALUE_MAX + 1); /* refused, and the connection goes on */
    struct reply r;
    assert_int_equal(hear(fd, &r), 0);
    assert_int_equal(r.head.result, RESULT_TOO_LARGE);
    assert_int_equal(r.head.modify_revision, VALUE_MAX); /* how much would be taken */
    free(r.body);
    ask(fd, PROTO_GET, 0, 6, "long", "");
    assert_int_equal(hear(fd, &r), 0);
    assert_int_equal(r.len, VALUE_MAX);
    assert_memory_equal(r.body, value, VALUE_MAX);
    free(r.body);
    free(value);
    close(fd);
}

/* 300 items of 10 KiB: several pages, each key exactly once and in order. */
static void test_list_pages(void **state)
{
    enum { N = 300, SIZE = 10240 };
    struct fake *f = *state;
    int fd = dial(f);
    char key[32] = "";
    uint8_t *value = malloc(SIZE);
    assert_non_null(value);
    memset(value, 'v', SIZE);
    for (unsigned i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "page/%03u", i * 7 % N);
        put_long(fd, i, key, value, SIZE);
        expect(fd, i, RESULT_OK, "");
    }
    unsigned seen = 0, pages = 0;
    bool more = true;
    for (key[0] = '\0'; more; pages++) {
        struct reply r;
        ask(fd, PROTO_LIST, pages & 1, 1, "page/", key);
        assert_int_equal(hear(fd, &r), 0);
        assert_int_equal(r.head.result, RESULT_OK);
        assert_int_equal(r.head.modify_revision, N); /* as of the last write */
        more = r.head.flags & PROTO_PARTIAL;
        for (size_t at = 0; at < r.len;) {
            struct proto_item item;
            size_t n = proto_item_decode(r.body + at, r.len - at, &item);
            assert_true(n > 0);
            snprintf(key, sizeof(key), "page/%03u", seen++);
            assert_int_equal(item.key_len, strlen(key));
            assert_memory_equal(item.key, key, item.key_len);
            assert_int_equal(item.value_len, SIZE);
            assert_memory_equal(item.value, value, SIZE);
            at += n;
        }
        free(r.body);
    }
    assert_int_equal(seen, N);
    assert_true(pages >= 3 && pages <= 5);
    free(value);
    ask(fd, PROTO_LIST, 0, 1, "nothing/", "");
    expect(fd, 1, RESULT_OK, "");
    close(fd);
}

/* Many at once on several connections; every tag is answered once. */
static void test_pipeline(void **state)
{
    enum { CONNS = 3, N = 1000 };
    struct fake *f = *state;
    int fds[CONNS];
    char key[32];
    for (int c = 0; c < CONNS; c++) {
        fds[c] = dial(f);
        for (unsigned i = 0; i < N / 2; i++) {
            snprintf(key, sizeof(key), "%d/%u", c, i);
            ask(fds[c], i % 3 == 1 ? PROTO_GET : PROTO_PUT, 0, i, key, i % 3 == 1 ? "" : "value");
        }
        uint8_t packet[PROTO_PACKET_MAX_BYTES]; /* and the other half in one packet */
        size_t len = 0;
        for (unsigned i = N / 2; i < N; i++) {
            size_t key_len = (size_t)snprintf(key, sizeof(key), "%d/%u", c, i);
            uint32_t value_len = i % 3 == 1 ? 0 : 5;
            len += proto_request_encode(
                packet + len, &(struct proto_request){.op = i % 3 == 1 ? PROTO_GET : PROTO_PUT,
                                                      .tag = i,
                                                      .timeout_ms = TIMEOUT_MS,
                                                      .key = (const uint8_t *)key,
                                                      .key_len = (uint16_t)key_len,
                                                      .part = (const uint8_t *)"value",
                                                      .part_len = value_len,
                                                      .value_len = value_len});
        }
        assert_int_equal(send(fds[c], packet, len, MSG_NOSIGNAL), len);
    }
    for (int c = 0; c < CONNS; c++) {
        bool answered[N] = {false};
        for (unsigned i = 0; i < N; i++) {
            struct reply r;
            assert_int_equal(hear(fds[c], &r), 0);
            assert_true(r.head.tag < N && !answered[r.head.tag]);
            answered[r.head.tag] = true;
            assert_int_equal(r.head.result, r.head.tag % 3 == 1 ? RESULT_NO_KEY : RESULT_OK);
            free(r.body);
        }
        close(fds[c]);
    }
}

static void test_no_leader(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    ask(fd, PROTO_PUT, 0, 1, "a", "one");
    expect(fd, 1, RESULT_OK, "");
    world_set(f, &f->no_leader, true);
    uint64_t start = clock_us();
    struct proto_request get = {
        .op = PROTO_GET, .tag = 2, .timeout_ms = 300, .key = (const uint8_t *)"a", .key_len = 1};
    send_packet(fd, &get);
    get.tag = 3;
    get.timeout_ms = 100;
    send_packet(fd, &get);
    ask(fd, PROTO_GET, PROTO_STALE, 4, "a", ""); /* needs no leader */
    expect(fd, 4, RESULT_OK, "one");
    expect(fd, 3, RESULT_NO_LEADER, "");
    expect(fd, 2, RESULT_NO_LEADER, "");
    assert_true(clock_us() - start >= 300 * 1000);
    ask(fd, PROTO_GET, 0, 5, "a", ""); /* waits until there is one */
    world_set(f, &f->no_leader, false);
    expect(fd, 5, RESULT_OK, "one");
    /* There is one, but this node can't speak to it: its disk has no room for the term. */
    static struct status full;
    full = f->status;
    full.disk_full = 1;
    struct status *before = rcu_swap(f->shared.status, &full);
    world_set(f, &f->no_leader, true);
    send_packet(fd, &get);
    expect(fd, 3, RESULT_DISK_FULL, "");
    /* This node is a member no more: no read waits. */
    static struct status out;
    out = f->status;
    out.own_standing = RAFT_STAND_NO_MEMBER;
    out.leader = 0;
    start = clock_us();
    get.timeout_ms = 60000;
    send_packet(fd, &get);
    (void)rcu_swap(f->shared.status, &out);
    f->shared.readers[0].wake(f->shared.readers[0].wake_ctx);
    expect(fd, 3, RESULT_NO_LEADER, "");
    send_packet(fd, &get);
    expect(fd, 3, RESULT_NO_LEADER, "");
    assert_true(clock_us() - start < 60 * 1000000);
    get.timeout_ms = 100;
    (void)rcu_swap(f->shared.status, before);
    /* A client that leaves with reads and writes under way. */
    world_set(f, &f->no_leader, true);
    world_set(f, &f->hold, true);
    for (unsigned i = 0; i < 50; i++)
        ask(fd, i & 1 ? PROTO_GET : PROTO_PUT, 0, 10 + i, "a", i & 1 ? "" : "left");
    int other = dial(f);
    ask(other, PROTO_GET, 0, 1, "a", "");
    close(fd);
    int reuse = dial(f); /* perhaps in the same slot: must not get those answers */
    ask(reuse, PROTO_STATUS, 0, 1, "", "");
    expect(reuse, 1, RESULT_OK, NULL);
    world_set(f, &f->hold, false);
    world_set(f, &f->no_leader, false);
    expect(other, 1, RESULT_OK, NULL);
    ask(reuse, PROTO_GET, 0, 2, "a", "");
    expect(reuse, 2, RESULT_OK, NULL);
    close(other);
    close(reuse);
}

static void test_busy(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    world_set(f, &f->hold, true);
    for (unsigned i = 0; i < CLIENTS_CONN_OPS_MAX; i++)
        ask(fd, PROTO_PUT, 0, i, "k", "v");
    ask(fd, PROTO_PUT, 0, 9000, "k", "v");
    expect(fd, 9000, RESULT_BUSY, "");
    ask(fd, PROTO_GET, 0, 9001, "k", "");
    expect(fd, 9001, RESULT_BUSY, "");
    ask(fd, PROTO_STATUS, 0, 9002, "", "");
    expect(fd, 9002, RESULT_OK, NULL);
    world_set(f, &f->hold, false);
    for (unsigned i = 0; i < CLIENTS_CONN_OPS_MAX; i++) {
        struct reply r;
        assert_int_equal(hear(fd, &r), 0);
        assert_int_equal(r.head.result, RESULT_OK);
        free(r.body);
    }
    close(fd);
}

/* The main loop is not asked for what lies behind the end of every file, which its disk could not read. */
static void test_fetch_too_far(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    ask(fd, PROTO_FETCH, 0, 1, "\1\1\1\1\1\1\1\1\377\377\377\377\377\377\377\377", "");
    expect(fd, 1, RESULT_NO_KEY, "");
    ask(fd, PROTO_SNAPSHOT, 0, 2, "", "");
    expect(fd, 2, RESULT_OK, "");
    assert_true(atomic_load(&f->shared.snapshot_asked));
    close(fd);
}

static void test_garbage(void **state)
{
    struct fake *f = *state;
    static uint8_t noise[2 * PROTO_PACKET_MAX_BYTES];
    static const size_t sizes[] = {1, 23, 24, 500, PROTO_PACKET_MAX_BYTES, sizeof(noise)};
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)(i * 31 + 5);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int fd = dial(f);
        assert_int_equal(send(fd, noise, sizes[i], MSG_NOSIGNAL), sizes[i]);
        expect(fd, 0, RESULT_BAD, "");
        expect_closed(fd);
    }
    /* Parts out of place: none begun; another tag; more than was announced; another request. */
    const struct proto_request begin = {.op = PROTO_PUT,
                                        .tag = 5,
                                        .timeout_ms = TIMEOUT_MS,
                                        .key = noise,
                                        .key_len = 1,
                                        .value_len = 10};
    const struct proto_request bad[] = {
        {.op = PROTO_PART, .tag = 6, .part = noise, .part_len = 1},
        {.op = PROTO_PART, .tag = 5, .part = noise, .part_len = 11},
        {.op = PROTO_STATUS, .tag = 5},
    };
    int fd = dial(f);
    send_packet(fd, &bad[0]);
    expect(fd, 0, RESULT_BAD, "");
    expect_closed(fd);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fd = dial(f);
        send_packet(fd, &begin);
        send_packet(fd, &bad[i]);
        expect(fd, 0, RESULT_BAD, "");
        expect_closed(fd);
    }
    /* A value that never comes: dropped at the request's own timeout. */
    fd = dial(f);
    struct proto_request slow = begin;
    slow.timeout_ms = 50;
    send_packet(fd, &slow);
    expect_closed(fd);
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
    put_long(fd, 1, "big", value, 100000);
    expect(fd, 1, RESULT_OK, "");
    free(value);
    for (unsigned i = 0; i < N; i++)
        ask(fd, PROTO_GET, i & 1, i, "big", "");
    for (unsigned i = 0; i < 2000; i++) {
        ask(other, PROTO_GET, PROTO_STALE, i, "none", "");
        expect(other, i, RESULT_NO_KEY, "");
    }
    bool answered[N] = {false};
    for (unsigned i = 0; i < N; i++) {
        struct reply r;
        assert_int_equal(hear(fd, &r), 0);
        assert_true(r.head.tag < N && !answered[r.head.tag]);
        answered[r.head.tag] = true;
        assert_int_equal(r.len, 100000);
        free(r.body);
    }
    /* And one that never reads: its own sends block at last, nobody else notices. */
    struct timeval soon = {.tv_usec = 200000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
    uint8_t buf[64];
    size_t len = proto_request_encode(buf, &(struct proto_request){.op = PROTO_GET,
                                                                   .flags = PROTO_STALE,
                                                                   .key = (const uint8_t *)"big",
                                                                   .key_len = 3});
    unsigned sent = 0;
    while (sent < 100000 && send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len)
        sent++;
    assert_true(sent < 10000);
    ask(other, PROTO_GET, 0, 1, "none", "");
    expect(other, 1, RESULT_NO_KEY, "");
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
        cmocka_unit_test_setup_teardown(test_local_reads_of_a_start, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_starting, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_limits, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_list_pages, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_pipeline, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_no_leader, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_busy, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_fetch_too_far, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_garbage, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, world_setup, world_teardown),
        cmocka_unit_test(test_listen),
    };
    return world_run(tests, sizeof(tests) / sizeof(tests[0]));
}
