// LINK: raftd/tool/client.c -lhiredis
/* test_raftctl_client.c: what raftctl knows of a command after whatever its daemon does: a process here
 * that plays one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/tool/client.h"

enum { TIMEOUT_MS = 300, BIG = 4 << 20, LATE_MS = 50 };

static const char path[] = "build/test_raftctl_client.sock";

/* How the daemon treats a client. */
enum manner {
    SAYS,    /* it takes the command, says this, and stays */
    ENDS,    /* the same, and then it closes */
    DEAF,    /* it says this and closes, before it has read anything */
    DRIBBLE, /* it takes the command, and says this byte by byte */
    LATE,    /* it takes the command, and says this after a while */
    HANGS,   /* it accepts nobody */
    ENDLESS, /* one text that never ends */
};

static void say(int fd, const char *text, size_t step)
{
    for (size_t len = strlen(text), n; len > 0; text += n, len -= n) {
        n = step < len ? step : len;
        if (send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
            _exit(0);
        if (step < len)
            usleep(200);
    }
}

/* Reads until the last word of the command has come. */
static void take(int fd)
{
    char buf[1 << 16];
    size_t len = 0;
    while (len < 4 || memcmp(buf + len - 4, "it\r\n", 4) != 0) {
        ssize_t n = read(fd, buf + len, sizeof buf - len);
        if (n <= 0)
            _exit(0);
        len += (size_t)n;
    }
}

static _Noreturn void be_daemon(int listener, enum manner manner, const char *text)
{
    static char zeros[1 << 16];
    if (manner == HANGS)
        for (;;)
            pause();
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        _exit(1);
    if (manner != DEAF)
        take(fd);
    if (manner == LATE)
        usleep(LATE_MS * 1000);
    say(fd, text, manner == DRIBBLE ? 1 : SIZE_MAX);
    while (manner == ENDLESS && send(fd, zeros, sizeof zeros, MSG_NOSIGNAL) > 0)
        ;
    if (manner == ENDS || manner == DEAF)
        _exit(0);
    for (;;)
        pause();
}

static pid_t start(enum manner manner, const char *text)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, path, sizeof path);
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 1), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_daemon(fd, manner, text);
    (void)close(fd);
    return pid;
}

static void stop(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)unlink(path);
}

static const struct ctl_call call = {.path = path, .timeout_ms = TIMEOUT_MS, .local = true};

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        enum manner manner;
        const char *text;
        enum ctl_outcome outcome;
        int type;        /* of the answer */
        const char *str; /* NULL: it has none */
    } cases[] = {
        {SAYS, "+OK\r\n+OK\r\n$2\r\nhi\r\n", CTL_ANSWERED, REDIS_REPLY_STRING, "hi"},
        {DRIBBLE, "+OK\r\n+OK\r\n*2\r\n$2\r\nhi\r\n:7\r\n", CTL_ANSWERED, REDIS_REPLY_ARRAY, NULL},
        {ENDS, "+OK\r\n+OK\r\n$-1\r\n", CTL_ANSWERED, REDIS_REPLY_NIL, NULL},
        /* What is asked before may be refused: the answer is that to the command. */
        {SAYS, "-ERR no\r\n-ERR no\r\n:1\r\n", CTL_ANSWERED, REDIS_REPLY_INTEGER, NULL},
        {SAYS, "+OK\r\n+OK\r\n-BUSY so\r\n", CTL_ANSWERED, REDIS_REPLY_ERROR, "BUSY so"},
        /* Why it ends the connection. */
        {ENDS, "-BUSY full\r\n", CTL_ANSWERED, REDIS_REPLY_ERROR, "BUSY full"},
        {DEAF, "-BUSY full\r\n", CTL_ANSWERED, REDIS_REPLY_ERROR, "BUSY full"},
        {ENDS, "+OK\r\n", CTL_LOST, 0, NULL},
        {ENDS, "", CTL_LOST, 0, NULL},
        {ENDS, "+OK\r\n+OK\r\n$5\r\nhi", CTL_LOST, 0, NULL},
        {SAYS, "+OK\r\n+OK\r\n", CTL_TIMEOUT, 0, NULL},
        {SAYS, "-BUSY so\r\n", CTL_TIMEOUT, 0, NULL},
        {HANGS, "", CTL_TIMEOUT, 0, NULL},
        {SAYS, "hello\r\n", CTL_NONSENSE, 0, NULL},
        {SAYS, "+OK\r\n+OK\r\n$x\r\n", CTL_NONSENSE, 0, NULL},
        {ENDLESS, "+OK\r\n+OK\r\n$500000000\r\n", CTL_NONSENSE, 0, NULL},
    };
    const struct ctl_words w = {2, {"GET", "it"}, {3, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        redisReply *reply;
        pid_t pid = start(cases[i].manner, cases[i].text);
        uint64_t began_ns = ctl_now_ns();
        enum ctl_outcome outcome = ctl_call(&call, &w, &reply);
        uint64_t ms = (ctl_now_ns() - began_ns) / 1000000;
        stop(pid);
        if (outcome != cases[i].outcome)
            fail_msg("case %zu: outcome %d", i, (int)outcome);
        assert_int_equal(reply != NULL, outcome == CTL_ANSWERED);
        if (reply != NULL) {
            assert_int_equal(reply->type, cases[i].type);
            if (cases[i].str != NULL)
                assert_string_equal(reply->str, cases[i].str);
        }
        assert_true(outcome != CTL_TIMEOUT || ms >= TIMEOUT_MS + CTL_GRACE_MS);
        freeReplyObject(reply);
    }
}

/* Who stands in a queue waits for as long as it takes: poll() knows no such time. */
static void test_far_deadline(void **state)
{
    (void)state;
    const struct ctl_words w = {1, {"it"}, {2}};
    const uint64_t far_ns = ctl_now_ns() + ((UINT64_C(1) << 32) + LATE_MS / 2) * 1000000;
    struct ctl c;
    redisReply *reply;
    pid_t pid = start(LATE, "+OK\r\n");
    assert_int_equal(ctl_open(&c, path, far_ns), CTL_ANSWERED);
    assert_int_equal(ctl_send(&c, &w, far_ns), CTL_ANSWERED);
    assert_int_equal(ctl_receive(&c, &reply, far_ns), CTL_ANSWERED);
    freeReplyObject(reply);
    ctl_close(&c);
    stop(pid);
}

/* Nothing was done: nobody is there, or nobody takes the whole command. */
static void test_not_done(void **state)
{
    (void)state;
    redisReply *reply;
    char *big = calloc(1, BIG);
    assert_non_null(big);
    const struct ctl_words w = {2, {"GET", big}, {3, BIG}};
    (void)unlink(path);
    assert_int_equal(ctl_call(&call, &w, &reply), CTL_NOT_RUNNING);
    assert_int_equal(errno, ENOENT);
    assert_null(reply);
    pid_t pid = start(HANGS, "");
    assert_int_equal(ctl_call(&call, &w, &reply), CTL_NOT_TAKEN);
    assert_null(reply);
    stop(pid);
    pid = start(DEAF, "");
    assert_int_equal(ctl_call(&call, &w, &reply), CTL_NOT_RUNNING);
    assert_null(reply);
    stop(pid);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_not_done),
        cmocka_unit_test(test_far_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
