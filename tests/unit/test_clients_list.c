// LINK: @clients tests/lib/clients_world.c TSAN
/* test_clients_list.c: CLIENT LIST, INFO and KILL know of the connections of all threads. */
#include "tests/lib/clients_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIALS_MAX = CLIENTS_CONNS_MAX + 8 };

/* Connections, which together are served by both threads: a thread takes CLIENTS_CONNS_MAX at most. */
struct crowd {
    unsigned n;
    int fd[DIALS_MAX];
    uint64_t id[DIALS_MAX];
};

static uint64_t id_of(int fd)
{
    struct reply r;
    ask(fd, "CLIENT ID");
    assert_int_equal(hear(fd, &r), 0);
    uint64_t id = strtoull(r.text, NULL, 10);
    free(r.text);
    return id;
}

static unsigned thread_of(uint64_t id)
{
    return (unsigned)(id % READERS_MAX);
}

/* At least four, the first and the last of which different threads serve. */
static void gather(struct fake *f, struct crowd *c)
{
    for (c->n = 0; c->n < 4 || thread_of(c->id[0]) == thread_of(c->id[c->n - 1]); c->n++) {
        assert_true(c->n < DIALS_MAX);
        c->fd[c->n] = dial(f);
        c->id[c->n] = id_of(c->fd[c->n]);
    }
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

/* The line of a connection in what CLIENT LIST says now; malloc. NULL: there is none. */
static char *line_of(int asker, uint64_t id, unsigned *n)
{
    struct reply r;
    char begin[40];
    (void)snprintf(begin, sizeof begin, "id=%llu ", (unsigned long long)id);
    ask(asker, "CLIENT LIST");
    assert_int_equal(hear(asker, &r), 0);
    *n = lines(r.text);
    char *line = strstr(r.text, begin), *copy = NULL;
    if (line != NULL) {
        line[strcspn(line, "\n")] = '\0';
        copy = strdup(line);
        assert_non_null(copy);
    }
    free(r.text);
    return copy;
}

static void expect_line(int asker, uint64_t id, const char *part)
{
    unsigned n;
    char *line = line_of(asker, id, &n);
    if (line == NULL || strstr(line, part) == NULL)
        fail_msg("%s: not in %s", part, line != NULL ? line : "(no line)");
    free(line);
}

static void test_list(void **state)
{
    struct fake *f = *state;
    struct crowd c;
    unsigned n;
    gather(f, &c);
    int first = c.fd[0], last = c.fd[c.n - 1];
    uint64_t other = c.id[c.n - 1];
    world_set(f, &f->hold, true); /* the main loop is not needed */
    free(line_of(first, c.id[0], &n));
    assert_int_equal(n, c.n);
    free(line_of(last, c.id[0], &n));
    assert_int_equal(n, c.n);
    world_set(f, &f->hold, false);

    char text[200];
    (void)snprintf(text, sizeof text, "addr=%s:0 laddr=%s:0 ", f->path, f->path);
    expect_line(first, other, text);
    (void)snprintf(text, sizeof text, " uid=%u pid=%d", (unsigned)getuid(), (int)getpid());
    expect_line(first, other, text);
    expect_line(first, other, " flags=U ");
    ask(last, "CLIENT SETNAME me");
    expect(last, "OK");
    expect_line(first, other, " name=me age=0 idle=0 ");
    expect_line(first, other, " cmd=client ");
    ask(last, "MULTI");
    expect(last, "OK");
    expect_line(first, other, " flags=xU db=0 sub=0 psub=0 ssub=0 multi=0 ");
    ask(last, "DISCARD");
    expect(last, "OK");
    ask(last, "SUBSCRIBE __keyevent@0__:del __keyevent@0__:set");
    expect_part(last, "subscribe");
    expect_part(last, "subscribe");
    ask(last, "PSUBSCRIBE __keyevent@0__:*");
    expect_part(last, "psubscribe");
    expect_line(first, other, " flags=PU db=0 sub=2 psub=1 ");
    ask(last, "RESET");
    expect(last, "RESET");

    ask(last, "CLIENT INFO");
    (void)snprintf(text, sizeof text, "id=%llu ", (unsigned long long)other);
    expect_part(last, text);
    ask(first, "CLIENT LIST ID %llu 999999", (unsigned long long)other);
    expect_part(first, text);
    ask(first, "CLIENT LIST TYPE pubsub");
    expect(first, "");
    ask(first, "CLIENT LIST TYPE none");
    expect_part(first, "-ERR Unknown client type");
    ask(first, "CLIENT LIST ID 0");
    expect_part(first, "-ERR client-id");
    ask(first, "CLIENT LIST ID");
    expect_part(first, "-ERR client-id");
    ask(first, "CLIENT LIST ALL");
    expect_part(first, "-ERR syntax");
    for (unsigned i = 0; i < c.n; i++)
        close(c.fd[i]);
}

static void test_kill(void **state)
{
    struct fake *f = *state;
    struct crowd c;
    gather(f, &c);
    int first = c.fd[0];
    unsigned n;
    ask(first, "CLIENT KILL ID %llu", (unsigned long long)c.id[c.n - 1]);
    expect(first, "1");
    expect_closed(c.fd[--c.n]);
    ask(first, "CLIENT KILL ID 999999");
    expect(first, "0");
    ask(first, "CLIENT KILL ID %llu", (unsigned long long)c.id[0]); /* its own */
    expect(first, "0");
    ask(first, "CLIENT KILL MAXAGE 3600");
    expect(first, "0");
    ask(first, "CLIENT KILL nosuch:1");
    expect(first, "-ERR No such client");
    ask(first, "CLIENT KILL ADDR %s:0 ADDR %s", f->path, f->path); /* the last one counts */
    expect(first, "0");
    char with_zero[300];
    int len = snprintf(with_zero, sizeof with_zero,
                       "*3\r\n$6\r\nCLIENT\r\n$4\r\nKILL\r\n$%zu\r\n%s:0", strlen(f->path) + 4,
                       f->path);
    len += snprintf(with_zero + len + 1, 10, "x\r\n") + 1;
    assert_int_equal(send(first, with_zero, (size_t)len, MSG_NOSIGNAL), len);
    expect(first, "-ERR No such client");
    ask(c.fd[1], "SUBSCRIBE __keyevent@0__:del");
    expect_part(c.fd[1], "subscribe");
    ask(first, "CLIENT KILL TYPE pubsub USER default ADDR %s:0 LADDR %s:0", f->path, f->path);
    expect(first, "1");
    expect_closed(c.fd[1]);
    c.fd[1] = c.fd[--c.n];
    c.id[1] = c.id[c.n];
    static const char *const wrong[] = {"",         "ID x",       "TYPE x",   "USER x",
                                        "MAXAGE 0", "SKIPME huh", "NOSUCH x", "ID 7 ADDR x ID"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ask(first, "CLIENT KILL %s", wrong[i]);
        expect_part(first, "-ERR");
    }
    free(line_of(first, c.id[0], &n));
    assert_int_equal(n, c.n);
    ask(first, "CLIENT KILL TYPE normal");
    char text[20];
    (void)snprintf(text, sizeof text, "%u", c.n - 1);
    expect(first, text);
    for (unsigned i = 1; i < c.n; i++)
        expect_closed(c.fd[i]);
    ask(first, "CLIENT KILL TYPE normal SKIPME no");
    expect(first, "1");
    expect_closed(first);
    gather(f, &c);
    ask(c.fd[0], "CLIENT KILL %s:0", f->path);
    expect(c.fd[0], "OK");
    for (unsigned i = 0; i < c.n; i++)
        expect_closed(c.fd[i]);
}

/* Who waits for a lock and is killed has no place in its queue any more. */
static void test_kill_waiter(void **state)
{
    struct fake *f = *state;
    int a = dial(f), b = dial(f), c = dial(f);
    atomic_store(&f->shared.lease_until_us, UINT64_MAX);
    uint64_t waits = id_of(b);
    ask(a, "RAFT.LOCK x");
    expect_part(a, "[");
    ask(b, "RAFT.LOCK x");
    while (tally_sum(&f->shared).blocked == 0)
        sleep_ms(5);
    sleep_ms(50);
    expect_line(c, waits, " flags=bU ");
    ask(c, "CLIENT KILL ID %llu", (unsigned long long)waits);
    expect(c, "1");
    expect_closed(b);
    ask(c, "RAFT.LOCK x WAIT 10000");
    sleep_ms(50);
    ask(a, "RAFT.UNLOCK x 0");
    expect(a, "OK");
    expect_part(c, "[");
    close(a);
    close(c);
}

/* By TCP, or as a user that is neither root nor the daemon's, one ends connections of that user alone. */
static void test_others(void **unused)
{
    (void)unused;
    void *state = NULL;
    world_tcp = true;
    assert_int_equal(world_setup(&state), 0);
    world_tcp = false;
    struct fake *f = state;
    int local = dial(f), a = dial_tcp(f), b = dial_tcp(f);
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    uint64_t id = id_of(local);
    const int both[] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        ask(both[i], "AUTH 7777777777777777777777777777777777777777777777777777777777777777");
        expect(both[i], "OK");
    }
    assert_int_equal(getsockname(b, (struct sockaddr *)&addr, &len), 0);
    ask(a, "CLIENT KILL ID %llu", (unsigned long long)id);
    expect(a, "0");
    ask(a, "CLIENT KILL ADDR 127.0.0.1:%u", ntohs(addr.sin_port));
    expect(a, "1");
    expect_closed(b);
    expect_line(local, id_of(a), " flags=N ");
    assert_int_equal(getpeername(a, (struct sockaddr *)&addr, &len), 0);
    ask(local, "CLIENT KILL LADDR 127.0.0.1:%u", ntohs(addr.sin_port));
    expect(local, "1");
    expect_closed(a);
    close(local);
    assert_int_equal(world_teardown(&state), 0);
}

/* When all places are taken some users share one. Still none ends the connections of another. */
static void test_shared_place(void **state)
{
    struct fake *f = *state;
    struct user *users = f->shared.users.user;
    const uid_t uid[] = {1000, 1000 + USERS_MAX - 2};
    int fd[2];
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(f->path, 0666), 0);
    assert_int_equal(seteuid(uid[0]), 0);
    bool reaches = euidaccess(f->path, W_OK) == 0;
    assert_int_equal(seteuid(0), 0);
    if (!reaches) /* as below a root directory of its owner alone */
        skip();
    for (unsigned i = 2; i < USERS_MAX; i++) {
        users[i].uid = 1;
        atomic_fetch_add(&users[i].used[USERS_CONNS], 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(seteuid(uid[i]), 0);
        fd[i] = dial(f);
        assert_int_equal(seteuid(0), 0);
    }
    uint64_t id[] = {id_of(fd[0]), id_of(fd[1])};
    ask(fd[0], "CLIENT KILL ID %llu", (unsigned long long)id[1]);
    expect(fd[0], "0");
    ask(fd[0], "CLIENT KILL ID %llu SKIPME no", (unsigned long long)id[0]);
    expect(fd[0], "1");
    expect_closed(fd[0]);
    close(fd[1]);
    for (unsigned i = 2; i < USERS_MAX; i++)
        atomic_fetch_sub(&users[i].used[USERS_CONNS], 1);
}

/* Clients that go away while their rounds are under way, and threads that end then. */
static void test_gone(void **state)
{
    struct fake *f = *state;
    struct crowd c;
    unsigned n;
    gather(f, &c);
    for (unsigned i = 1; i < c.n; i++) {
        for (unsigned k = 0; k < 20; k++)
            send_text(c.fd[i], "CLIENT LIST\n");
        close(c.fd[i]);
    }
    for (unsigned i = 0;; i++) {
        free(line_of(c.fd[0], c.id[0], &n));
        if (n == 1)
            break;
        assert_true(i < 1000);
        sleep_ms(5);
    }
    close(c.fd[0]);
    gather(f, &c);
    for (unsigned i = 0; i < c.n; i++)
        send_text(c.fd[i], "CLIENT LIST\nCLIENT LIST\n");
    assert_int_equal(world_teardown(state), 0);
    for (unsigned i = 0; i < c.n; i++)
        close(c.fd[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_list, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_kill, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_kill_waiter, world_setup, world_teardown),
        cmocka_unit_test(test_others),
        cmocka_unit_test_setup_teardown(test_shared_place, world_setup, world_teardown),
        cmocka_unit_test_setup(test_gone, world_setup),
    };
    return world_run(tests, sizeof tests / sizeof tests[0]);
}
