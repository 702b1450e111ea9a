// LINK: raftd/base/entropy.c
/* Waiting for the kernel's random numbers, with a kernel of our own that has none for a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <unistd.h>

#include "raftd/base/entropy.h"
#include "raftd/base/notify.h"
#include "raftd/base/say.h"

static struct {
    int asked;       /* getrandom() that would not wait */
    int interrupts;  /* waits that a signal ends before there is entropy */
    int error;       /* of a wait after that, 0 = success */
    bool never_none; /* entropy is there */
    int waits;
    int warned, told, good; /* messages */
    char state[200];        /* the newest for the service manager */
} kernel;

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    assert_int_equal(len, 1);
    memset(buf, 7, len);
    if (kernel.never_none)
        return 1;
    if (flags & GRND_NONBLOCK) {
        errno = kernel.asked++ == 0 ? EINTR : EAGAIN;
        return -1;
    }
    if (kernel.waits++ < kernel.interrupts) {
        struct itimerval t = {.it_interval.tv_sec = 0};
        assert_int_equal(getitimer(ITIMER_REAL, &t), 0);
        assert_int_equal(t.it_interval.tv_sec, ENTROPY_MESSAGE_S);
        t.it_value = (struct timeval){.tv_usec = 1000}; /* we cannot wait for so long */
        assert_int_equal(setitimer(ITIMER_REAL, &t, NULL), 0);
        return pause(); /* -1 and EINTR, once it has caught the signal */
    }
    errno = kernel.error;
    return kernel.error ? -1 : 1;
}

void say_warn(const char *fmt, ...)
{
    assert_non_null(strstr(fmt, "waiting for the kernel's random numbers"));
    kernel.warned++;
}

void say_info(const char *fmt, ...)
{
    assert_non_null(strstr(fmt, "ready"));
    kernel.good++;
}

int notify_send(const char *state)
{
    snprintf(kernel.state, sizeof kernel.state, "%s", state);
    kernel.told++;
    return -ECONNREFUSED; /* nobody listens: no reason to stop */
}

static void test_there(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    kernel.never_none = true;
    assert_int_equal(entropy_wait(NULL), 0);
    assert_int_equal(kernel.warned + kernel.told + kernel.good, 0);
}

static void test_waits(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    kernel.interrupts = 3;
    assert_int_equal(entropy_wait(NULL), 0);
    assert_int_equal(kernel.waits, 4);
    assert_int_equal(kernel.warned, 4);
    assert_int_equal(kernel.good, 1);
    assert_int_equal(kernel.told, 4);
    assert_string_equal(kernel.state, "STATUS=waiting for the kernel's random numbers (15 s)\n"
                                      "EXTEND_TIMEOUT_USEC=10000000");
    struct itimerval t;
    struct sigaction act;
    assert_int_equal(getitimer(ITIMER_REAL, &t), 0);
    assert_int_equal(t.it_value.tv_sec + t.it_value.tv_usec, 0);
    assert_int_equal(sigaction(SIGALRM, NULL, &act), 0);
    assert_true(act.sa_handler == SIG_DFL);
}

static bool stopped(void)
{
    return kernel.waits >= 2;
}

/* A signal that ends the process need not wait for the random numbers. */
static void test_stopped(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    kernel.interrupts = 9;
    assert_int_equal(entropy_wait(stopped), -ECANCELED);
    assert_int_equal(kernel.waits, 2);
    assert_int_equal(kernel.good, 0);
    struct itimerval t;
    struct sigaction act;
    assert_int_equal(getitimer(ITIMER_REAL, &t), 0);
    assert_int_equal(t.it_value.tv_sec + t.it_value.tv_usec, 0);
    assert_int_equal(sigaction(SIGALRM, NULL, &act), 0);
    assert_true(act.sa_handler == SIG_DFL);
}

static void test_error(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    kernel.error = ENOSYS;
    assert_int_equal(entropy_wait(NULL), -ENOSYS);
    assert_int_equal(kernel.good, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
