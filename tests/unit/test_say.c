// LINK: raftd/base/say.c raftd/base/notify.c
/* Messages to humans and to the service manager: one line, one level, nothing forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "raftd/base/clock.h"
#include "raftd/base/notify.h"
#include "raftd/base/say.h"

static uint64_t now_us = 1000000;

uint64_t clock_us(void)
{
    return now_us;
}

/* Standard error goes into a pipe between these two. */
static int saved_stderr, capture_fd;
static char captured[8192];

static void capture_start(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    close(fds[1]);
    capture_fd = fds[0];
}

static void capture_end(void)
{
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    close(saved_stderr);
    size_t len = 0;
    ssize_t n;
    while ((n = read(capture_fd, captured + len, sizeof(captured) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    captured[len] = '\0';
    close(capture_fd);
}

static void test_levels_and_prefix(void **state)
{
    (void)state;
    say_set_ident("raftd[7]");
    capture_start();
    say_debug("not at this level");
    say_info("one %d", 1);
    say_warn("two");
    say_set_level(SAY_ERROR);
    say_warn("no");
    errno = EIO;
    say_error("three");
    int kept = errno;
    say_set_level(SAY_DEBUG);
    say_debug("four");
    say_set_level(SAY_INFO);
    capture_end();
    assert_int_equal(kept, EIO);
    assert_string_equal(captured, "raftd[7]: one 1\nraftd[7]: warning: two\n"
                                  "raftd[7]: error: three\nraftd[7]: debug: four\n");
}

static void test_journal(void **state)
{
    (void)state;
    capture_start();
    struct stat st;
    char stream[64];
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    say_info("a");
    say_error("b");
    setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but stderr went elsewhere */
    say_info("c");
    unsetenv("JOURNAL_STREAM");
    capture_end();
    assert_string_equal(captured, "<6>a\n<3>b\nraftd[7]: c\n");
}

static void test_one_line_whatever_comes(void **state)
{
    (void)state;
    capture_start();
    say_info("x\ny\033[31m\x7f\xc3\xbc");
    capture_end();
    assert_string_equal(captured, "raftd[7]: x?y?[31m?\xc3\xbc\n");

    /* around the longest line: whole up to the limit, then cut with dots */
    size_t head = strlen("raftd[7]: ");
    for (size_t len = SAY_LINE_MAX_BYTES - head - 3; len < SAY_LINE_MAX_BYTES + 3; len++) {
        char text[SAY_LINE_MAX_BYTES + 8];
        memset(text, 'x', len);
        text[len] = '\0';
        capture_start();
        say_info("%s", text);
        capture_end();
        size_t whole = head + len + 1;
        assert_int_equal(strlen(captured),
                         whole <= SAY_LINE_MAX_BYTES ? whole : SAY_LINE_MAX_BYTES);
        assert_int_equal(strchr(captured, '\n') - captured, strlen(captured) - 1);
        assert_int_equal(strstr(captured, "...\n") != NULL, whole > SAY_LINE_MAX_BYTES);
    }
}

static void test_fatal_ends_with_its_code(void **state)
{
    (void)state;
    capture_start();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        say_fatal(74, "disk: %s", "gone");
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    capture_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 74);
    assert_string_equal(captured, "raftd[7]: error: disk: gone\n");
}

/* The others at a pipe have it as they had it, and nobody waits for a reader that has stopped. */
static void test_reader_stops(void **state)
{
    (void)state;
    int fds[2], said;
    char bytes[1024];
    say_set_ident("raftd[7]");
    assert_int_equal(pipe(fds), 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    (void)alarm(20); /* where it waits it would wait for ever */
    memset(bytes, 'x', sizeof(bytes) - 1);
    bytes[sizeof(bytes) - 1] = '\0';
    for (said = 0; said < 200; said++) /* a pipe holds 64 KiB */
        say_info("%s", bytes);
    assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
    /* It reads again: the next message says what is missing. */
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    int taken = 0;
    ssize_t n;
    while ((n = read(fds[0], bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            taken += bytes[i] == '\n';
    }
    assert_true(taken > 10 && taken < said);
    say_info("again");
    n = read(fds[0], bytes, sizeof(bytes) - 1);
    assert_true(n > 0);
    bytes[n] = '\0';
    char want[200];
    snprintf(want, sizeof(want),
             "raftd: warning: %d messages were lost: the reader of standard error had stopped\n"
             "raftd[7]: again\n",
             said - taken);
    assert_string_equal(bytes, want);
    (void)alarm(0);
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    close(saved_stderr);
    close(fds[0]);
    close(fds[1]);
}

/* A stream socket, as the journal's, and a terminal after Ctrl-S. */
static void test_reader_stops_elsewhere(void **state)
{
    (void)state;
    int fds[2], pty = posix_openpt(O_RDWR | O_NOCTTY);
    char name[64];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    saved_stderr = dup(STDERR_FILENO);
    (void)alarm(20);
    for (int terminal = 0; terminal < 2; terminal++) {
        if (terminal == 1) {
            if (pty < 0 || grantpt(pty) != 0 || unlockpt(pty) != 0 ||
                ptsname_r(pty, name, sizeof(name)) != 0)
                break; /* no terminals here */
            int tty = open(name, O_RDWR | O_NOCTTY);
            assert_true(tty >= 0);
            assert_int_equal(dup2(tty, STDERR_FILENO), STDERR_FILENO);
            close(tty);
            assert_int_equal(tcflow(STDERR_FILENO, TCOOFF), 0);
        } else {
            assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
        }
        for (int i = 0; i < 10000; i++)
            say_info("a message that nobody reads, and that is long enough to fill what there is");
    }
    (void)alarm(0);
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    close(saved_stderr);
    close(fds[0]);
    close(fds[1]);
    if (pty >= 0)
        close(pty);
    capture_start(); /* what was counted is told here, and not in the next test */
    say_info("over");
    capture_end();
    assert_non_null(strstr(captured, "messages were lost"));
    assert_non_null(strstr(captured, "raftd[7]: over\n"));
}

/* A file keeps its position: another description of it would begin at its start. */
static void test_a_file_is_appended_to(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(write(fileno(file), "first\n", 6), 6);
    saved_stderr = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    say_info("second");
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    close(saved_stderr);
    char bytes[64] = "";
    assert_int_equal(pread(fileno(file), bytes, sizeof(bytes) - 1, 0), 23);
    assert_string_equal(bytes, "first\nraftd[7]: second\n");
    fclose(file);
}

static void notify_round(const char *path, const char *env)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, path, strlen(env));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(env));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, len), 0);
    setenv("NOTIFY_SOCKET", env, 1);
    assert_int_equal(notify_send("READY=1\nSTATUS=x"), 0);
    char got[64] = "";
    assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 16);
    assert_string_equal(got, "READY=1\nSTATUS=x");
    close(fd);
    assert_int_equal(notify_send("STOPPING=1"), -ECONNREFUSED);
}

static void test_notify(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_send("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_send("READY=1"), -EINVAL);
    char name[64], abstract[64];
    snprintf(name, sizeof(name), "/tmp/test_say.%d", (int)getpid());
    notify_round(name, name);
    unlink(name);
    assert_int_equal(notify_send("READY=1"), -ENOENT);
    snprintf(name, sizeof(name), "@test_say.%d", (int)getpid());
    memcpy(abstract, name, sizeof(name));
    abstract[0] = '\0';
    notify_round(abstract, name);
    unsetenv("NOTIFY_SOCKET");
}

static void state_of(unsigned node, const char *what)
{
    say_warn("node %u is %s", node, what);
}

/* The same is said once a minute, and of ten things of a kind each; what was left out is counted. */
static void test_seldom(void **state)
{
    (void)state;
    say_set_ident("raftd");
    say_seldom();
    capture_start();
    for (unsigned i = 0; i < 100; i++) {
        now_us += 100000;
        state_of(1, "silent");
        say_info("another"); /* is no reason to say that again */
    }
    now_us += SAY_AGAIN_US - 10 * 1000000;
    state_of(1, "silent"); /* 59.9 s after the first */
    now_us += 100000;
    state_of(1, "silent");
    state_of(1, "silent");
    capture_end();
    assert_string_equal(captured, "raftd: warning: node 1 is silent\nraftd: another\n"
                                  "raftd: warning: node 1 is silent (100 like this were left out "
                                  "before)\n");

    now_us += SAY_AGAIN_US;
    capture_start();
    for (unsigned i = 0; i < 3 * SAY_ALIKE_MAX; i++)
        state_of(i, "heard"); /* a flood of what differs */
    say_error("else");
    capture_end();
    unsigned lines = 0;
    for (const char *at = captured; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, SAY_ALIKE_MAX + 1);
    assert_non_null(strstr(captured, "node 9 is heard\nraftd: error: else\n"));
    now_us += SAY_AGAIN_US;
    capture_start();
    state_of(77, "heard");
    now_us += SAY_AGAIN_US;
    state_of(77, "heard"); /* what was left out is told once */
    capture_end();
    assert_string_equal(captured, "raftd: warning: node 77 is heard (20 like this were left out "
                                  "before)\nraftd: warning: node 77 is heard\n");

    /* A long one is cut for the count, too; what is left out disturbs errno as little as what is said. */
    char text[SAY_LINE_MAX_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    say_set_level(SAY_DEBUG);
    capture_start();
    for (unsigned i = 0; i < 2; i++) {
        say_info("%s", text);
        errno = EIO;
        say_info("%s", text);
        assert_int_equal(errno, EIO);
        say_debug("each");
        say_debug("each");
        now_us += SAY_AGAIN_US;
    }
    capture_end();
    say_set_level(SAY_INFO);
    assert_non_null(strstr(captured, "xx (1 like this were left out before)\nraftd: debug: each\n"
                                     "raftd: debug: each\n"));
    assert_int_equal(strchr(captured, '\n') - captured, SAY_LINE_MAX_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_and_prefix),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_one_line_whatever_comes),
        cmocka_unit_test(test_fatal_ends_with_its_code),
        cmocka_unit_test(test_reader_stops),
        cmocka_unit_test(test_reader_stops_elsewhere),
        cmocka_unit_test(test_a_file_is_appended_to),
        cmocka_unit_test(test_notify),
        cmocka_unit_test(test_seldom), /* the last one: it stays so */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
