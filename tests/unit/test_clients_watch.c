// LINK: @clients tests/lib/clients_world.c TSAN
/* test_clients_watch.c: clients that are told of changes, RAFT.WATCH, SUBSCRIBE and the like; or of
 * events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raftd/serve/channels.h"
#include "raftd/serve/clients.h"
#include "raftd/state/history.h"
#include "tests/lib/clients_world.h"

static void set(int fd, const char *key, const char *value)
{
    ask(fd, "SET %s %s", key, value);
    expect(fd, "OK");
}

/* The clients of all readers that watch, soon. */
static void expect_watchers(const struct fake *f, unsigned n)
{
    for (unsigned ms = 0; ms < TIMEOUT_MS; ms++) {
        unsigned now = 0;
        for (unsigned i = 0; i < READERS; i++)
            now += f->shared.readers[i].watchers;
        if (now == n)
            return;
        sleep_ms(1);
    }
    fail_msg("there are not %u watchers", n);
}

/* What is asked, or with "!" what another client does; and what the client is told then. */
static void test_answers(void **state)
{
    static const struct {
        const char *asked, *answers[6];
    } rows[] = {
        {"RAFT.WATCH a FROM", {"-ERR syntax error"}},
        {"RAFT.WATCH a TO 5", {"-ERR syntax error"}},
        {"RAFT.WATCH a FROM 0", {"-ERR syntax error"}},
        {"RAFT.WATCH a FROM -1", {"-ERR syntax error"}},
        {"SUBSCRIBE news", {"-ERR there are channels"}},
        {"SUBSCRIBE __keyspace@0__:a news", {"-ERR there are channels"}},
        {"PSUBSCRIBE news*", {"-ERR there are channels"}},
        {"PUBLISH a b", {"-ERR unknown command"}},
        {"UNSUBSCRIBE", {"[unsubscribe nil 0]"}},
        {"PUNSUBSCRIBE a", {"[punsubscribe a 0]"}},
        {"PING", {"PONG"}},
        {"RAFT.WATCH a FROM 1", {"1"}},
        {"!SET a x", {"[change 1 put a x 0]"}},
        {"!SET b y", {NULL}},
        {"!DEL a", {"[change 3 del a nil 0]"}},
        {"RAFT.WATCH b", {"-ERR in RESP2"}},
        {"GET a", {"-ERR in RESP2"}},
        {"SUBSCRIBE __keyspace@0__:a", {"-ERR this connection watches"}},
        {"UNSUBSCRIBE", {"[unsubscribe nil 0]"}},
        {"!SET a z", {"[change 4 put a z 0]"}},
        {"PING", {"[pong ]"}},
        {"PING you", {"[pong you]"}},
        {"RESET", {"RESET"}},
        {"!SET a zz", {NULL}},
        {"GET a", {"zz"}},
        {"RAFT.WATCH '' FROM 4", {"4", "[change 4 put a z 0]", "[change 5 put a zz 0]"}},
        {"RESET", {"RESET"}},
        {"SUBSCRIBE __keyspace@0__:a __keyevent@0__:del __keyspace@0__:a",
         {"[subscribe __keyspace@0__:a 1]", "[subscribe __keyevent@0__:del 2]",
          "[subscribe __keyspace@0__:a 2]"}},
        {"RAFT.WATCH a", {"-ERR in RESP2"}},
        {"!SET a 1", {"[message __keyspace@0__:a set]"}},
        {"PSUBSCRIBE *:a", {"[psubscribe *:a 3]"}},
        {"!DEL a",
         {"[message __keyspace@0__:a del]", "[pmessage *:a __keyspace@0__:a del]",
          "[message __keyevent@0__:del a]"}},
        {"UNSUBSCRIBE __keyspace@0__:a", {"[unsubscribe __keyspace@0__:a 2]"}},
        {"UNSUBSCRIBE", {"[unsubscribe __keyevent@0__:del 1]"}},
        {"GET a", {"-ERR in RESP2"}},
        {"PUNSUBSCRIBE", {"[punsubscribe *:a 0]"}},
        {"GET a", {"nil"}},
        {"HELLO 3", {""}},
        {"RAFT.WATCH a", {"8"}},
        {"GET a", {"nil"}},
        {"RAFT.WATCH a", {"-ERR this connection watches"}},
        {"!SET a 3", {"[change 8 put a 3 0]"}},
    };
    struct fake *f = *state;
    int fd = dial(f), other = dial(f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool others = rows[i].asked[0] == '!';
        bool set_one = strncmp(rows[i].asked, "!SET", 4) == 0;
        ask(others ? other : fd, "%s", rows[i].asked + others);
        if (others)
            expect(other, set_one ? "OK" : "1");
        for (unsigned k = 0; k < 6 && rows[i].answers[k] != NULL; k++)
            if (rows[i].answers[k][0] == '-' || rows[i].answers[k][0] == '\0')
                expect_part(fd, rows[i].answers[k]);
            else
                expect(fd, rows[i].answers[k]);
    }
    sleep_ms(20);
    assert_false(heard(fd, NULL));
    expect_watchers(f, 1);
    close(fd);
    close(other);
    expect_watchers(f, 0);
}

/* Many clients, of all threads, hear of each change. */
static void test_many(void **state)
{
    enum { N = 300, CHANGES = 20 };
    struct fake *f = *state;
    int fds[N], other = dial(f);
    char text[64];
    for (unsigned i = 0; i < N; i++) {
        fds[i] = dial(f);
        ask(fds[i], "RAFT.WATCH k%u", i % 10);
        expect(fds[i], "1");
    }
    for (unsigned k = 0; k < CHANGES; k++) {
        snprintf(text, sizeof text, "k%u", k % 10);
        set(other, text, "v");
    }
    for (unsigned i = 0; i < N; i++)
        for (unsigned k = i % 10; k < CHANGES; k += 10) {
            snprintf(text, sizeof text, "[change %u put k%u v 0]", k + 1, k % 10);
            expect(fds[i], text);
        }
    for (unsigned i = 0; i < N; i++)
        close(fds[i]);
    close(other);
    expect_watchers(f, 0);
}

/* Who does not read is told all that there was room for, then that it missed something, and that is the end.
 * Others do not notice. What is forgotten can't be asked for. */
static void test_lagged(void **state)
{
    enum { BYTES = 60000, CHANGES = 330 }; /* more than HISTORY_BYTES_MAX and all buffers */
    struct fake *f = *state;
    int slow = dial(f), quick = dial(f), other = dial(f);
    uint8_t *value = calloc(1, BYTES);
    struct reply r = {0};
    unsigned told = 0;
    char text[64];
    assert_non_null(value);
    ask(slow, "RAFT.WATCH big");
    expect(slow, "1");
    ask(quick, "PSUBSCRIBE __keyspace@0__:*");
    expect_part(quick, "psubscribe");
    for (unsigned i = 0; i < CHANGES; i++) {
        put_long(other, "big", value, BYTES);
        expect(other, "OK");
        expect(quick, "[pmessage __keyspace@0__:* __keyspace@0__:big set]");
    }
    for (;;) {
        assert_int_equal(hear(slow, &r), 0);
        if (r.text[0] == '-')
            break;
        int n = snprintf(text, sizeof text, "[change %u put big ", ++told);
        assert_memory_equal(r.text, text, (size_t)n);
        free(r.text);
        r = (struct reply){0};
    }
    assert_true(told > 0 && told < CHANGES - HISTORY_BYTES_MAX / (BYTES + 1000));
    assert_memory_equal(r.text, "-LAGGED ", 8);
    unsigned long first = strtoul(r.text + 8, NULL, 10);
    assert_true(first > told + 1);
    free(r.text);
    expect_closed(slow);
    ask(other, "RAFT.WATCH a FROM %lu", first - 1);
    snprintf(text, sizeof text, "-COMPACTED %lu ", first);
    expect_part(other, text);
    ask(other, "RAFT.WATCH a FROM %lu", first);
    snprintf(text, sizeof text, "%lu", first);
    expect(other, text);
    close(other);
    close(quick);
    free(value);
    expect_watchers(f, 0);
}

/* A long past is told in turns, and another client is served between them. */
static void test_turns(void **state)
{
    enum { CHANGES = 3000 };
    struct fake *f = *state;
    int watcher = dial(f), other = dial(f);
    char text[64];
    for (unsigned i = 0; i < CHANGES; i++)
        ask(other, "SET k%u v", i);
    for (unsigned i = 0; i < CHANGES; i++)
        expect(other, "OK");
    ask(watcher, "RAFT.WATCH '' FROM 1");
    expect(watcher, "1");
    for (unsigned i = 0; i < CHANGES; i++) {
        snprintf(text, sizeof text, "[change %u put k", i + 1);
        expect_part(watcher, text);
    }
    ask(watcher, "PING");
    expect(watcher, "[pong ]");
    close(watcher);
    close(other);
    expect_watchers(f, 0);
}

/* While the state may be older than what the node knew, nobody can begin. */
static void test_not_yet(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    f->shared.local_reads = false;
    ask(fd, "RAFT.WATCH a");
    expect_part(fd, "-NOTYET ");
    ask(fd, "SUBSCRIBE __keyspace@0__:a");
    expect_part(fd, "-NOTYET ");
    f->shared.local_reads = true;
    ask(fd, "RAFT.WATCH a");
    expect(fd, "1");
    close(fd);
    expect_watchers(f, 0);
}

/* There is a limit, and what one connection may not have does no harm to what it has. */
static void test_channel_limit(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    char text[64];
    for (unsigned i = 1; i <= CHANNELS_MAX; i++) {
        ask(fd, "SUBSCRIBE __keyspace@0__:%u", i);
        snprintf(text, sizeof text, "[subscribe __keyspace@0__:%u %u]", i, i);
        expect(fd, text);
    }
    ask(fd, "SUBSCRIBE __keyspace@0__:more");
    expect_part(fd, "-ERR this connection has subscribed");
    assert_true(f->shared.users.used[USERS_PART_BYTES] > 0);
    close(fd);
    expect_watchers(f, 0);
    assert_int_equal(f->shared.users.used[USERS_PART_BYTES], 0);
}

/* What is told of channels is memory of those who share it, if nobody reads it. */
static void test_unread(void **state)
{
    struct fake *f = *state;
    enum { NAMES = 900, NAME_BYTES = 1000 };
    int fd = dial(f);
    char *text = calloc(1, NAMES * (NAME_BYTES + 10) + 100);
    assert_non_null(text);
    size_t len = (size_t)sprintf(text, "*%d\r\n$11\r\nUNSUBSCRIBE\r\n", NAMES + 1);
    for (unsigned i = 0; i < NAMES; i++)
        len += (size_t)sprintf(text + len, "$%d\r\n%0*u\r\n", NAME_BYTES, NAME_BYTES, i);
    send_bytes(fd, text, len);
    for (unsigned ms = 0; f->shared.users.used[USERS_OUT_BYTES] < NAMES * NAME_BYTES / 2; ms++) {
        assert_true(ms < 5000);
        sleep_ms(1);
    }
    for (unsigned i = 0; i < NAMES; i++)
        expect_part(fd, "[unsubscribe 000");
    ask(fd, "PING");
    expect(fd, "PONG");
    assert_int_equal(f->shared.users.used[USERS_OUT_BYTES], 0);
    free(text);
    close(fd);
}

/* Patterns cost work with every change, so they may not be long together. */
static void test_pattern_limit(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 1; i <= CHANNELS_PATTERNS_MAX_BYTES / 1000; i++) {
            ask(fd, "PSUBSCRIBE *%0999u", i);
            expect_part(fd, "[psubscribe *0");
        }
        ask(fd, "PSUBSCRIBE *%0999u", 0);
        expect_part(fd, "-ERR this connection has subscribed");
        ask(fd, "SUBSCRIBE __keyspace@0__:a");
        expect_part(fd, "[subscribe ");
        ask(fd, "PUNSUBSCRIBE");
        for (unsigned i = 1; i <= CHANNELS_PATTERNS_MAX_BYTES / 1000; i++)
            expect_part(fd, "[punsubscribe *0");
    }
    close(fd);
}

/* By TCP, who was killed while something was under way does not watch on. */
static void test_killed(void **unused)
{
    (void)unused;
    void *state = NULL;
    world_tcp = true;
    assert_int_equal(world_setup(&state), 0);
    world_tcp = false;
    struct fake *f = state;
    int fd = dial_tcp(f);
    ask(fd,
        "HELLO 3 AUTH default 7777777777777777777777777777777777777777777777777777777777777777");
    expect_part(fd, "proto 3");
    ask(fd, "RAFT.WATCH a");
    expect(fd, "1");
    world_set(f, &f->hold, true);
    ask(fd, "SET b 1");
    expect_watchers(f, 1);
    close(fd);
    expect_watchers(f, 0);
    world_set(f, &f->hold, false);
    assert_int_equal(world_teardown(&state), 0);
}

/* ---- RAFT.EVENTS ---- */

static void expect_followers(const struct fake *f, unsigned n)
{
    for (unsigned ms = 0; ms < TIMEOUT_MS; ms++) {
        unsigned now = 0;
        for (unsigned i = 0; i < READERS; i++)
            now += f->shared.readers[i].followers;
        if (now == n)
            return;
        sleep_ms(1);
    }
    fail_msg("there are not %u clients that are told of events", n);
}

/* The disk is full, or there is room again. */
static void disk_event(struct fake *f, struct happened *h, bool full)
{
    struct status s = {.start_us = 99, .now_us = 100, .id = 1, .leader = 2, .disk_full = full};
    assert_true(happened_take(h, &s));
    assert_true(shared_tell(&f->shared, h));
}

static void expect_state(int fd, const char *disk)
{
    const char *const kinds[] = {"leader-lost", "leader-changed", "quorum-back", disk, "healed"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        expect_part(fd, kinds[i]);
}

/* A client may come before there is a node, and is told how that is when there is one. */
static void test_events(void **state)
{
    struct fake *f = *state;
    struct happened h = {0};
    int fd = dial(f), other = dial(f), late = dial(f);
    atomic_store(&f->shared.starting, true);
    ask(other, "RAFT.WATCH a");
    expect_part(other, "-LOADING");
    ask(fd, "RAFT.EVENTS");
    expect(fd, "OK");
    sleep_ms(20);
    assert_false(heard(fd, NULL));
    disk_event(f, &h, false);
    expect_state(fd, "disk-ok");
    disk_event(f, &h, true);
    expect_part(fd, "[event 101 100 0 disk-full ");
    atomic_store(&f->shared.starting, false);
    set(other, "a", "1"); /* which is no event */
    disk_event(f, &h, false);
    expect_part(fd, "[event 102 100 0 disk-ok ");
    ask(late, "RAFT.EVENTS SINCE 101");
    expect(late, "OK");
    expect_part(late, "[event 102 100 0 disk-ok ");
    static const char *const refused[] = {"SUBSCRIBE __keyspace@0__:a", "RAFT.EVENTS", "GET a"};
    for (unsigned i = 0; i < 3; i++) {
        ask(fd, "%s", refused[i]);
        expect_part(fd, "-ERR");
    }
    ask(fd, "UNSUBSCRIBE");
    expect(fd, "[unsubscribe nil 0]");
    expect_followers(f, 2);
    disk_event(f, &h, true);
    expect_part(fd, "[event 103 100 0 disk-full ");
    ask(fd, "RESET");
    expect(fd, "RESET");
    expect_followers(f, 1);
    expect_watchers(f, 0);
    static const char *const wrong[] = {"SINCE",  "SINCE -1",  "SINCE x",
                                        "FROM 5", "SINCE 5 6", "FROM OLDEST"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ask(fd, "RAFT.EVENTS %s", wrong[i]);
        expect_part(fd, "-ERR syntax error");
    }
    expect_part(late, "[event 103 100 0 disk-full ");
    ask(late, "RESET");
    expect(late, "RESET");
    ask(late, "RAFT.EVENTS SINCE OLDEST");
    expect(late, "OK");
    expect_part(late, "[event 101 100 0 disk-full ");
    ask(fd, "RAFT.EVENTS SINCE 7");
    expect(fd, "OK");
    expect_part(fd, "[event 7 100 0 restarted ");
    expect_state(fd, "disk-full");
    close(fd);
    close(late);
    close(other);
    expect_followers(f, 0);
}

/* A client that takes nothing for a while gets each event, or is told that some are missing. */
static void test_events_unread(void **state)
{
    enum { EVENTS = 40000 };
    struct fake *f = *state;
    struct happened h = {0};
    struct reply r = {0};
    int fd = dial(f);
    unsigned long long seq = 100, was = 100;
    unsigned missed = 0;
    char kind[32] = "";
    ask(fd, "RAFT.EVENTS");
    expect(fd, "OK");
    disk_event(f, &h, false);
    expect_state(fd, "disk-ok");
    for (unsigned i = 0; i < EVENTS; i++)
        disk_event(f, &h, i % 2 == 0);
    while (seq < 100 + EVENTS) {
        bool break_told = strcmp(kind, "missed") == 0 || seq == was;
        was = seq;
        assert_int_equal(hear(fd, &r), 0);
        assert_int_equal(sscanf(r.text, "[event %llu 100 0 %31s", &seq, kind), 2);
        missed += strcmp(kind, "missed") == 0;
        assert_true(seq == was || seq == was + 1 || (break_told && missed > 0));
        free(r.text);
        r = (struct reply){0};
    }
    assert_true(missed > 0);
    close(fd);
    expect_followers(f, 0);
}

static void count_wake(void *ctx)
{
    *(unsigned *)ctx += 1;
}

/* What is shown wakes those readers that have clients who watch, and nothing else does. */
static void test_woken(void **unused)
{
    (void)unused;
    unsigned woken[2] = {0};
    struct shared s = {.n_readers = 2};
    for (unsigned i = 0; i < 2; i++) {
        s.readers[i].wake = count_wake;
        s.readers[i].wake_ctx = &woken[i];
    }
    shared_show(&s, 1);
    assert_int_equal(woken[0] + woken[1], 0);
    s.readers[1].watchers = 1;
    shared_show(&s, 1);
    assert_int_equal(woken[1], 0);
    shared_show(&s, 2);
    assert_int_equal(woken[0], 0);
    assert_int_equal(woken[1], 1);
}

/* What is due ends, as a leader has it. */
static void end_due(struct fake *f, uint64_t cluster_ms)
{
    uint8_t cmd[CMD_ONE_BYTES];
    struct applied applied;
    size_t len = cmd_encode_one(cmd, &(struct cmd_item){.kind = CMD_END_DUE});
    pthread_mutex_lock(&f->lock);
    assert_true(machine_apply(f->machine, ++f->index, cluster_ms, cmd, len, NULL, &applied));
    assert_true(machine_publish(f->machine));
    pthread_mutex_unlock(&f->lock);
    assert_int_equal(applied.ended, 1);
}

/* A key of WATCH that has ended because its time had come is not as it was, for reads and for writes. */
static void test_expired(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    for (unsigned writes = 0; writes < 2; writes++) {
        ask(fd, "SET k v PX 10");
        expect(fd, "OK");
        ask(fd, "WATCH k");
        expect(fd, "OK");
        end_due(f, 1000 * (writes + UINT64_C(1)));
        ask(fd, "MULTI");
        expect(fd, "OK");
        ask(fd, writes == 0 ? "GET k" : "SET k w");
        expect(fd, "QUEUED");
        ask(fd, "EXEC");
        expect(fd, "nil");
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expired, world_setup, world_teardown),
        cmocka_unit_test(test_woken),
        cmocka_unit_test_setup_teardown(test_answers, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_many, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lagged, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_turns, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_not_yet, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_channel_limit, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_pattern_limit, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_unread, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_events, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_events_unread, world_setup, world_teardown),
        cmocka_unit_test(test_killed),
    };
    return world_run(tests, sizeof tests / sizeof tests[0]);
}
