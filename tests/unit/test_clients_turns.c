// LINK: @clients tests/lib/clients_world.c -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=clock_us
/* test_clients_turns.c: how the turns of clients follow each other, and what they may have of memory. One
 * instance on a loop of our own, which goes on only when the test says so. Its clock goes on only while the
 * test sleeps: however slow a machine is, nobody is dropped here because he has not read for long. */
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

#include "raftd/base/clock.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/state/kv.h"
#include "raftd/serve/listener.h"
#include "raftd/base/rcu.h"
#include "tests/lib/clients_world.h"

enum { KEYS = 6000, KEY_VALUE_BYTES = 200, BIG_BYTES = 60000, PAGE_BYTES = 1 << 20 };

static bool no_memory, no_growth;
static unsigned
    fails_in; /* so many calls from now on, one that asks for memory gets none; 0: none fails */

static bool fails(void)
{
    return fails_in > 0 && --fails_in == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory || fails() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    return no_growth || fails() ? NULL : __real_realloc(p, size);
}

static uint64_t test_us = 1000000;

uint64_t __wrap_clock_us(void);
uint64_t __wrap_clock_us(void)
{
    return test_us;
}

static void pass_ms(unsigned ms)
{
    sleep_ms(ms);
    test_us += ms * UINT64_C(1000);
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

/* A connection whose reads are local. */
static int come(struct one *o)
{
    int fd = dial(&o->f);
    ask(fd, "READONLY");
    for (unsigned i = 0; i < 5; i++)
        iterate(o, 1);
    expect(fd, "OK");
    return fd;
}

/* n times the same, as much of it as the socket takes. */
static void ask_often(int fd, const char *line, unsigned n)
{
    static char bytes[1 << 17];
    size_t len = strlen(line);
    assert_true((len + 1) * n <= sizeof(bytes));
    for (unsigned i = 0; i < n; i++) {
        memcpy(bytes + (len + 1) * i, line, len);
        bytes[(len + 1) * i + len] = '\n';
    }
    ssize_t sent = send(fd, bytes, (len + 1) * n, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_int_equal(sent, (len + 1) * n);
}

/* Whole answers that have come. */
static unsigned answers(int fd)
{
    unsigned n = 0;
    while (heard(fd, NULL))
        n++;
    return n;
}

/* All of them, while the loop goes on; returns in how many iterations. */
static unsigned all_answers(struct one *o, int fd, unsigned n)
{
    unsigned rounds = 0;
    uint64_t end = clock_us() + 5 * UINT64_C(1000000); /* that nothing came in */
    for (unsigned got = answers(fd), more; got < n; got += more) {
        assert_true(clock_us() < end);
        rounds++;
        iterate(o, 1);
        more = answers(fd);
        if (more == 0)
            pass_ms(1); /* who waits for room asks for it now and then */
    }
    return rounds;
}

/* Of whatever one client asks so much, others come in between; and all of it is done. */
static void test_turns(void **state)
{
    static const struct {
        const char *line;
        unsigned n;
    } floods[] = {
        {"GET none", 5000},         {"GET key00001", 5000},   {"GET big", 300},
        {"RAFT.STATUS", 1300},      {"RAFT.LIST none", 1300}, {"RAFT.LIST ''", 50},
        {"RAFT.LIST key0123", 500},
    };
    struct one *o = *state;
    for (unsigned i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        int a = come(o), b = come(o), c = come(o);
        ask_often(a, floods[i].line, floods[i].n);
        ask_often(b, "RAFT.STATUS", 1);
        ask_often(b, "GET big", 1);
        ask_often(c, "RAFT.LIST ''", 1);
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
    ask_often(a, "RAFT.STATUS", 40);
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
        ask_often(fds[i], "RAFT.LIST ''", 1);
    ask_often(b, "RAFT.STATUS", 1);
    iterate(o, 3);
    assert_int_equal(answers(b), 1);
    for (unsigned i = 0; i < N; i++) {
        uint8_t byte;
        begun += recv(fds[i], &byte, sizeof(byte), MSG_DONTWAIT | MSG_PEEK) > 0;
    }
    assert_in_range(begun, 1, 6);
    uint64_t end = clock_us() + 300 * UINT64_C(1000000);
    for (unsigned done = 0, i = 0; done < N;
         i = (i + 1) % N) { /* whoever takes none keeps the room */
        assert_true(clock_us() < end);
        if (i == 0) {
            iterate(o, 1);
            pass_ms(1);
        }
        if (fds[i] < 0 || answers(fds[i]) == 0)
            continue;
        close(fds[i]);
        fds[i] = -1;
        done++;
    }
    close(b);
    iterate(o, 2);
}

/* A client's own commands are answered in order, of whatever kind and across turns. */
static void test_order(void **state)
{
    struct one *o = *state;
    static const char *const lines[] = {"GET key00001", "RAFT.LIST key0000", "PING order"};
    int fd = come(o);
    char bytes[300 * 64];
    size_t len = 0;
    for (unsigned i = 0; i < 900; i++)
        len += (size_t)snprintf(bytes + len, sizeof(bytes) - len, "%s\n", lines[i % 3]);
    send_bytes(fd, bytes, len);
    shutdown(fd, SHUT_WR);
    struct reply r;
    for (unsigned next = 0, rounds = 0; next < 900; rounds++) {
        while (heard(fd, &r)) {
            assert_true(next % 3 != 0 || r.len == KEY_VALUE_BYTES);
            assert_true(next % 3 != 1 || r.text[0] == '[');
            assert_true(next % 3 != 2 || strcmp(r.text, "order") == 0);
            free(r.text);
            next++;
        }
        assert_true(rounds < 100000);
        iterate(o, 1);
    }
    iterate(o, 2);
    expect_closed(fd);
}

/* A page of a list, and whether it says that more follows. */
static size_t page(struct one *o, int fd, bool *partial)
{
    struct reply r;
    ask_often(fd, "RAFT.LIST key", 1);
    for (unsigned rounds = 0; !heard(fd, &r); rounds++) {
        assert_true(rounds < 1000);
        iterate(o, 1);
    }
    *partial = strstr(r.text, " 1 whole ") != NULL;
    free(r.text);
    return r.len;
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
        ask_often(mute[i], i % 2 ? "GET big" : "RAFT.LIST ''", i % 2 ? 100 : 20);
        iterate(o, 3);
    }
    assert_true(u->used[USERS_OUT_BYTES] <= CLIENTS_OUT_ALL_BYTES);
    assert_true(u->used[USERS_OUT_BYTES] > CLIENTS_OUT_ALL_BYTES - (2 << 20));
    ask_often(b, "RAFT.STATUS", 1);
    ask_often(b, "GET key00001", 1);
    iterate(o, 2);
    assert_int_equal(answers(b), 2);
    int waits = come(o); /* a long one waits until somebody goes */
    ask_often(waits, "GET big", 1);
    iterate(o, 5);
    assert_int_equal(answers(waits), 0);
    for (unsigned i = 6; i < MUTE; i++) {
        close(mute[i]);
        iterate(o, 2);
    }
    unsigned got = 0; /* those before it may take the room once more, and then find nobody there */
    for (unsigned i = 0; i < 50 && got == 0; i++) {
        pass_ms(2 * CLIENTS_ROOM_US / 1000);
        iterate(o, 10);
        got = answers(waits);
    }
    assert_int_equal(got, 1);
    for (unsigned i = 0; i < 6; i++) { /* those that begin to read get all */
        (void)all_answers(o, mute[i], i % 2 ? 100 : 20);
        close(mute[i]);
        iterate(o, 2);
    }
    assert_int_equal(u->used[USERS_OUT_BYTES], 0);
    assert_in_range(page(o, b, &partial), PAGE_BYTES / 2, PAGE_BYTES);
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
                ask_often(mute[i], "GET none", 500);
        iterate(o, 8);
    }
    for (unsigned i = 0; i < MUTE; i++) {
        assert_in_range(o->clients->conns[i]->answers.cap, CLIENTS_OUT_OWN_BYTES,
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
    assert_int_equal(try_ask(fd, "RAFT.STATUS"), 0);
    iterate(o, 1);
    expect_part(fd, "-BUSY ");
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
    ask_often(fd, "GET key00001", 1);
    (void)all_answers(o, fd, 1);
    close(fd);
    iterate(o, 2);
}

/* A command that does not come on gives its room back, and its connection ends; where nothing is begun,
 * nothing is late. */
static void test_unfinished(void **state)
{
    struct one *o = *state;
    static const char *const begun[] = {"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\nv", "*1\r\n",
                                        "GE"};
    int idle = come(o);
    for (unsigned i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
        int fd = come(o);
        struct conn *conn = o->clients->conns[1];
        assert_int_equal(conn->part_us, NEVER);
        send_text(fd, begun[i]);
        iterate(o, 1);
        if (i == 0)
            send_text(fd, "v");
        iterate(o, 2);
        assert_true(conn->part_us != NEVER);
        assert_int_equal(o->f.shared.users.used[USERS_PART_BYTES] > 100000, i == 0);
        conn->part_us = 1; /* the time is over */
        o->clients->timer_us = 1;
        iterate(o, 5);
        expect_part(fd, "-ERR the command did not come on");
        expect_closed(fd);
        assert_int_equal(o->f.shared.users.used[USERS_PART_BYTES], 0);
    }
    ask(idle, "PING");
    iterate(o, 2);
    expect(idle, "PONG");
    close(idle);
    iterate(o, 2);
}

/* Who comes by TCP and tells no password goes. RESET makes a stranger again, with the time of one. */
static void test_strangers(void **unused)
{
    (void)unused;
    void *state = NULL;
    world_tcp = true;
    assert_int_equal(setup(&state), 0);
    world_tcp = false;
    struct one *o = state;
    int local = come(o), fd = dial_tcp(&o->f);
    iterate(o, 5);
    const struct conn *ours = o->clients->conns[0];
    struct conn *conn = o->clients->conns[1];
    assert_int_equal(ours->stranger_us, NEVER);
    assert_true(conn->stranger_us != NEVER);
    ask(fd, "AUTH 7777777777777777777777777777777777777777777777777777777777777777");
    iterate(o, 5);
    expect(fd, "OK");
    assert_int_equal(conn->stranger_us, NEVER);
    send_text(fd, "RAFT.TIMEOUT 1\n");
    iterate(o, 5);
    expect(fd, "OK");
    assert_int_equal(conn->timeout_ms, 1);
    send_text(fd, "RESET\n");
    iterate(o, 5);
    expect(fd, "RESET");
    assert_int_equal(conn->timeout_ms, CLIENTS_TIMEOUT_MS);
    assert_true(conn->stranger_us != NEVER);
    conn->stranger_us = 1; /* the time is over */
    o->clients->timer_us = 1;
    iterate(o, 5);
    expect_part(fd, "-NOAUTH the password did not come");
    expect_closed(fd);
    close(local);
    iterate(o, 5);
    assert_int_equal(teardown(&state), 0);
}

/* What is remembered of those who have ended has a limit. */
static void test_gone(void **state)
{
    struct one *o = *state;
    int fd = come(o);
    o->clients->n_gone = CLIENTS_GONE_MAX;
    ask(fd, "RAFT.LOCK x");
    iterate(o, 5);
    expect_part(fd, "-BUSY ");
    o->clients->n_gone = 0;
    close(fd);
    iterate(o, 5);
}

/* The main loop answers what was asked first. */
static void answer_first(struct one *o, enum result result)
{
    struct shared *s = &o->f.shared;
    struct cds_wfcq_node *node = rcu_queue_pop(&s->requests_head, &s->requests_tail);
    assert_non_null(node);
    struct request *req = rcu_container(node, struct request, link);
    cmd_stamp(req->cmd, 1, 1, 1);
    req->result = result;
    rcu_queue_push(&s->readers[0].answers_head, &s->readers[0].answers_tail, &req->link);
    s->readers[0].wake(s->readers[0].wake_ctx);
    iterate(o, 2);
}

/* Who ended while a lock was asked for is remembered until that has its answer; for longer if nobody knows
 * what became of it. */
static void test_late(void **state)
{
    struct one *o = *state;
    struct kv *claims = kv_new();
    o->f.shared.claims = claims;
    for (unsigned unknown = 0; unknown < 2; unknown++) {
        int fd = come(o);
        ask(fd, "RAFT.LOCK x");
        iterate(o, 2);
        close(fd);
        iterate(o, 2);
        assert_int_equal(o->clients->n_gone, 1);
        answer_first(o, unknown ? RESULT_UNKNOWN : RESULT_OK);
        answer_first(o, RESULT_OK); /* to what was to free it */
        assert_int_equal(o->clients->n_gone, unknown);
    }
    kv_free(claims);
}

/* The machine does the oldest command that the main loop was asked for. */
static void do_first(struct one *o)
{
    struct shared *s = &o->f.shared;
    struct cds_wfcq_node *node = rcu_queue_pop(&s->requests_head, &s->requests_tail);
    assert_non_null(node);
    world_answer(&o->f, rcu_container(node, struct request, link));
    s->readers[0].wake(s->readers[0].wake_ctx);
    iterate(o, 2);
}

/* A place in the queue for a lock that could not be given back may still come to be the first. */
static void test_not_given_back(void **state)
{
    struct one *o = *state;
    struct shared *s = &o->f.shared;
    o->f.machine = machine_new(s->kv);
    s->claims = machine_claims(o->f.machine);
    int fd = come(o);
    ask(fd, "RAFT.LOCK x WAIT 50");
    iterate(o, 2);
    do_first(o);
    pass_ms(200);
    iterate(o, 3);
    answer_first(o, RESULT_NO_LEADER);
    iterate(o, 2);
    expect_part(fd, "-UNKNOWN ");
    close(fd);
    iterate(o, 2);
    answer_first(o, RESULT_OK); /* to what frees it */
    machine_free(o->f.machine);
    s->claims = NULL;
}

/* No memory when a connection ends that has a lock: it is freed all the same, if later. And who could not be
 * freed gets none. */
static void test_end_without_memory(void **state)
{
    struct one *o = *state;
    struct shared *s = &o->f.shared;
    o->f.machine = machine_new(s->kv);
    s->claims = machine_claims(o->f.machine);
    atomic_store(&s->lease_until_us, UINT64_MAX);
    int fd = come(o);
    fails_in = 2; /* behind what waits for it */
    ask(fd, "RAFT.LOCK x");
    iterate(o, 2);
    assert_int_equal(fails_in, 0);
    expect_part(fd, "-BUSY ");
    ask(fd, "RAFT.LOCK x");
    iterate(o, 2);
    do_first(o);
    expect_part(fd, "[");
    fails_in = 1;
    close(fd);
    iterate(o, 2);
    assert_int_equal(fails_in, 0);
    assert_int_equal(o->clients->n_gone, 1);
    test_us += 1100000;
    locks_look(o->clients);
    iterate(o, 1);
    do_first(o);
    locks_look(o->clients);
    assert_int_equal(o->clients->n_gone, 0);
    machine_free(o->f.machine);
    s->claims = NULL;
}

/* A transaction that waits for EXEC, and what WATCH remembers, are of a share. */
static void test_waiting_for_exec(void **state)
{
    struct one *o = *state;
    const _Atomic size_t *used = &o->f.shared.users.used[USERS_PART_BYTES];
    int fd = come(o);
    ask_often(fd, "WATCH a b c d e f g h", 15);
    (void)all_answers(o, fd, 15);
    assert_in_range(*used, 15 * 8 * 20, 15 * 8 * 200);
    ask(fd, "MULTI");
    (void)all_answers(o, fd, 1);
    size_t before = *used;
    ask_often(fd, "GET a", 100);
    (void)all_answers(o, fd, 100);
    assert_in_range(*used - before, 90 * 50, 100 * 500);
    o->f.shared.users.limit[USERS_PART_BYTES] = *used;
    ask(fd, "GET a");
    iterate(o, 5);
    expect_part(fd, "-BUSY ");
    ask(fd, "DISCARD");
    iterate(o, 5);
    expect(fd, "OK");
    assert_int_equal(*used, 0);
    close(fd);
    iterate(o, 5);
}

/* A long text is work, and so is what was looked at in vain. */
static void test_work(void **state)
{
    struct one *o = *state;
    int fd = come(o);
    ask_often(fd, "INFO", 60);
    iterate(o, 2);
    unsigned first = answers(fd);
    assert_in_range(first, 1, 10);
    (void)all_answers(o, fd, 60 - first);
    o->f.shared.users.limit[USERS_OUT_BYTES] = 0;
    ask(fd, "KEYS *");
    iterate(o, 10);
    assert_int_equal(o->clients->conns[0]->blocked, BLOCKED_ROOM);
    assert_true(o->clients->work < 0);
    close(fd);
    iterate(o, 5);
}

/* No memory for more of a line: the rest of it is no command. */
static void test_line_without_memory(void **state)
{
    struct one *o = *state;
    char line[6000];
    memset(line, 'x', sizeof line);
    int fd = come(o);
    send_bytes(fd, line, sizeof line);
    iterate(o, 5);
    no_growth = true;
    send_text(fd, "x DEL key00001\n");
    iterate(o, 5);
    no_growth = false;
    expect_part(fd, "-BUSY ");
    expect_closed(fd);
}

static void ask_all(struct one *o, int fd, const char *const *lines, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ask(fd, "%s", lines[i]);
        iterate(o, 8);
    }
}

/* The main loop has got a command. */
static bool is_asked(struct one *o)
{
    return !cds_wfcq_empty(&o->f.shared.requests_head, &o->f.shared.requests_tail);
}

/* Whatever call finds no memory: the answer is the usual one, or BUSY and nothing has left, or none. */
static void test_no_memory_once(void **state)
{
    static const struct {
        const char *line[4];
        unsigned n;
        const char *answer; /* begins so */
    } asked[] = {
        {{"CLIENT LIST"}, 1, "id="},
        {{"CLIENT INFO"}, 1, "id="},
        {{"MGET big key00001"}, 1, "["},
        {{"SCAN 0"}, 1, "["},
        {{"RAFT.LIST key0123"}, 1, "["},
        {{"MULTI", "GET key00001", "EXEC"}, 3, "["},
        {{"WATCH key00001", "MULTI", "GET none", "EXEC"}, 4, "["},
        {{"SUBSCRIBE __keyevent@0__:del"}, 1, "[subscribe"},
        {{"RAFT.WATCH key"}, 1, ""},
        {{"MSET a b c d"}, 1, "OK"},
        {{"MULTI", "SET a b", "EXEC"}, 3, "[OK]"},
        {{"RAFT.TXN PUT a b"}, 1, "["},
        {{"RAFT.ONCE 00000000000000000000000000000000-1 SET a b"}, 1, "["},
        {{"RAFT.PUBLISH p v"}, 1, "OK"},
    };
    struct one *o = *state;
    o->f.machine = machine_new(o->f.shared.kv);
    o->f.shared.claims = machine_claims(o->f.machine);
    for (unsigned i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        bool failed = true;
        for (unsigned k = 1; failed; k++) {
            int fd = come(o);
            struct reply r = {0}, last;
            fails_in = k;
            ask_all(o, fd, asked[i].line, asked[i].n);
            failed = fails_in == 0;
            fails_in = 0;
            bool left = is_asked(o);
            if (left)
                do_first(o);
            iterate(o, 8);
            while (heard(fd, &last)) {
                free(r.text);
                r = last;
            }
            const char *text = r.text != NULL ? r.text : "";
            bool usual = strncmp(text, asked[i].answer, strlen(asked[i].answer)) == 0;
            bool refused = strncmp(text, "-BUSY ", 6) == 0 ||
                           strncmp(text, "-EXECABORT ", 11) == 0 ||
                           strncmp(text, "-ERR EXEC without", 17) == 0;
            if (r.text == NULL ? !failed : refused ? left || !failed : !usual)
                fail_msg("%s, call %u: '%.200s'", asked[i].line[asked[i].n - 1], k, text);
            free(r.text);
            close(fd);
            iterate(o, 8);
            while (is_asked(o)) /* what frees it */
                do_first(o);
            locks_look(o->clients);
        }
    }
    machine_free(o->f.machine);
    o->f.shared.claims = NULL;
}

/* Who is told that nothing was done can believe it. */
static void test_kill_without_memory(void **state)
{
    struct one *o = *state;
    bool failed = true;
    unsigned done = 0;
    for (unsigned k = 1; failed; k++) {
        int asker = come(o), victim = come(o);
        struct reply r = {0};
        fails_in = k;
        ask(asker, "CLIENT KILL TYPE normal");
        iterate(o, 8);
        failed = fails_in == 0;
        fails_in = 0;
        assert_true(heard(asker, &r));
        if (strcmp(r.text, "1") == 0) {
            expect_closed(victim);
            done++;
        } else {
            assert_int_equal(strncmp(r.text, "-BUSY nothing was done", 22), 0);
            ask(victim, "PING");
            iterate(o, 8);
            expect(victim, "PONG");
            close(victim);
        }
        free(r.text);
        close(asker);
        iterate(o, 8);
        assert_true(failed || done == 1);
    }
}

/* An instance never has more connections than places, whatever others have. */
static void test_full(void **state)
{
    struct one *o = *state;
    o->clients->n_conns += CLIENTS_CONNS_MAX + 1;
    int fd = dial(&o->f);
    iterate(o, 5);
    assert_null(o->clients->conns[0]);
    o->clients->n_conns -= CLIENTS_CONNS_MAX + 1;
    close(fd);
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
        cmocka_unit_test_setup_teardown(test_unfinished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_given_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_for_exec, setup, teardown),
        cmocka_unit_test_setup_teardown(test_work, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test(test_strangers),
    };
    return world_run(tests, sizeof(tests) / sizeof(tests[0]));
}
