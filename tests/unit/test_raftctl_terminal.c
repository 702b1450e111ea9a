// LINK: raftd/tool/terminal.c raftd/base/num.c
/* test_raftctl_terminal.c: nobody waits for a terminal that takes nothing, also where it is another user's,
 * and one that is gone ends who uses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "raftd/tool/terminal.h"

enum { LEN = 200000, LIMIT_S = 20 };

static int keys, screen, before; /* both ends of the terminal; the real standard output */
static struct terminal t;

/* Standard output is a terminal from now on. `other`: another user's, which can't be opened once more. */
static void start(bool other)
{
    struct rlimit full, few;
    alarm(LIMIT_S);
    keys = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    assert_true(keys >= 0 && grantpt(keys) == 0 && unlockpt(keys) == 0);
    screen = open(ptsname(keys), O_RDWR | O_NOCTTY | O_CLOEXEC);
    before = dup(STDOUT_FILENO);
    assert_true(screen >= 0 && before >= 0);
    assert_int_equal(dup2(screen, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &full), 0);
    few = full;
    int next = dup(STDOUT_FILENO); /* there is room for one more descriptor */
    close(next);
    few.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, other ? &few : &full), 0);
    assert_true(terminal_open(&t));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
    assert_int_equal(t.out == STDOUT_FILENO, other);
}

static void end(void)
{
    terminal_close(&t);
    assert_int_equal(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
    close(before);
    close(screen);
    alarm(0);
}

static void send_much(void)
{
    char *text = malloc(LEN);
    assert_non_null(text);
    memset(text, 'x', LEN);
    terminal_send(&t, text, LEN);
}

/* Reads what has come. */
static size_t come(void)
{
    static char buf[4096];
    size_t all = 0;
    for (ssize_t n; (n = read(keys, buf, sizeof buf)) > 0; all += (size_t)n)
        ;
    return all;
}

static void test_slow(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        size_t all = 0;
        start(other);
        send_much();
        assert_false(terminal_flush(&t));
        do
            all += come();
        while (!terminal_flush(&t));
        for (int i = 0; i < 1000 && all < LEN; i++, usleep(1000))
            all += come();
        assert_int_equal(all, LEN);
        end();
        close(keys);
    }
}

static void test_stopped(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        start(other);
        assert_int_equal(tcflow(screen, TCOOFF), 0);
        send_much();
        assert_false(terminal_flush(&t));
        assert_int_equal(terminal_signal(&t), 0);
        end();
        close(keys);
    }
}

static void test_gone(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        start(other);
        send_much();
        assert_false(terminal_flush(&t));
        assert_int_equal(terminal_signal(&t), 0);
        close(keys);
        assert_true(terminal_flush(&t));
        assert_int_equal(terminal_signal(&t), SIGHUP);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
