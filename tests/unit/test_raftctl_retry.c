// LINK: raftd/tool/retry.c raftd/tool/client.c raftd/base/num.c -lhiredis
/* test_raftctl_retry.c: who waits for a daemon wakes when its socket comes, however that comes to be, and for
 * nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/tool/retry.h"

enum { MS = 1000000, LONG_MS = 10000 };

static char top[] = "/tmp/test_raftctl_retry.XXXXXX";

static char sock[128], deep[128]; /* paths of sockets */

/* A path under that of the test, until the next one is asked for. */
static const char *at(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static void make_file(const char *name)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    fclose(f);
}

static void make_directory(const char *name)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
}

static void drop(const char *name)
{
    assert_int_equal(remove(at(name)), 0);
}

static uint64_t left_ms(const struct retry *r)
{
    uint64_t now_ns = ctl_now_ns();
    return r->at_ns > now_ns ? (r->at_ns - now_ns + MS - 1) / MS : 0;
}

/* Tries in vain, for there is no daemon, until only the kernel can tell. */
static void miss(struct retry *r, const char *path)
{
    for (int i = 0; i < 40 && left_ms(r) <= LONG_MS; i++) {
        errno = ENOENT;
        retry_missed(r, path, CTL_NOT_RUNNING);
        assert_int_equal(errno, ENOENT);
    }
    assert_true(left_ms(r) > LONG_MS);
}

static bool is_told(const struct retry *r)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* What has changed since is worth a try at once. */
static void comes(struct retry *r, const char *path)
{
    assert_true(is_told(r) && retry_due(r));
    assert_false(is_told(r));
    miss(r, path);
}

static void does_not_come(struct retry *r)
{
    assert_false(retry_due(r));
    assert_false(retry_settles(r));
    assert_true(left_ms(r) > LONG_MS);
}

static void test_name(void **state)
{
    struct retry r = RETRY_NOW;
    const char *path = sock;
    (void)state;
    assert_true(retry_due(&r));
    assert_false(is_told(&r));
    miss(&r, path);
    does_not_come(&r);
    make_file("other"); /* a name that only begins as that does, too */
    make_file("sock2");
    make_file("soc");
    does_not_come(&r);
    make_file("sock");
    comes(&r, path);
    assert_int_equal(chmod(path, 0600), 0);
    comes(&r, path);
    drop("sock"); /* that is no reason */
    assert_false(retry_due(&r));
    assert_int_equal(rename(at("other"), path), 0);
    comes(&r, path);
    retry_end(&r);
    assert_true(r.fd == -1 && retry_due(&r));
    drop("sock");
    drop("sock2");
    drop("soc");
}

/* Between a try and the watch that begins behind it a name may come: so there is one more try, at once. And
 * the socket has its name a little before it takes a connection: more tries follow, each later. */
static void test_moments(void **state)
{
    struct retry r = RETRY_NOW;
    uint64_t pause_ms = 0, before_ms;
    unsigned tries = 0;
    (void)state;
    retry_missed(&r, sock, CTL_NOT_RUNNING);
    assert_true(retry_due(&r));
    make_file("sock");
    assert_true(retry_due(&r));
    do {
        before_ms = pause_ms;
        retry_missed(&r, sock, CTL_NOT_RUNNING);
        pause_ms = left_ms(&r);
        assert_true(pause_ms > before_ms && pause_ms < 2 * before_ms + 20);
        assert_int_equal(retry_settles(&r), pause_ms <= 500);
        tries++;
    } while (pause_ms <= LONG_MS);
    assert_in_range(tries, 8, 16);
    retry_end(&r);
    assert_false(retry_settles(&r));
    drop("sock");
}

static void test_directories(void **state)
{
    struct retry r = RETRY_NOW;
    const char *path = deep;
    (void)state;
    miss(&r, path);
    make_file("b");
    does_not_come(&r);
    for (int again = 0; again < 2; again++) {
        make_directory("a");
        comes(&r, path);
        make_file("a/sock");
        does_not_come(&r);
        make_directory("a/b");
        comes(&r, path);
        make_file("a/b/sock");
        comes(&r, path);
        drop("a/sock"); /* the higher one is not watched any more */
        does_not_come(&r);
        drop("a/b/sock");
        drop("a/b");
        comes(&r, path);
        drop("a");
        comes(&r, path);
    }
    drop("b");
    retry_end(&r);
}

/* Where the path begins. */
static void test_roots(void **state)
{
    static const char *const paths[] = {"sock", "x/sock", "./sock", "x/y/sock"};
    char before[4096];
    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(top), 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct retry r = RETRY_NOW;
        bool in_x = paths[i][0] == 'x';
        miss(&r, paths[i]);
        if (in_x)
            make_directory("x");
        else
            make_file("sock");
        comes(&r, paths[i]);
        drop(in_x ? "x" : "sock");
        retry_end(&r);
    }
    struct retry r = RETRY_NOW;
    miss(&r, "/no-such-socket.of-raftd");
    miss(&r, "/no-such-directory.of-raftd/sock");
    retry_end(&r);
    assert_int_equal(chdir(before), 0);
}

/* A daemon is there, and takes nobody now; or nothing can be watched: the time alone tells. */
static void test_times(void **state)
{
    struct retry r = RETRY_NOW;
    struct rlimit full, none;
    (void)state;
    retry_missed(&r, sock, CTL_LOST);
    assert_true(r.fd == -1 && left_ms(&r) > 100 && left_ms(&r) <= 200);
    retry_missed(&r, sock, CTL_ANSWERED);
    assert_true(r.fd == -1 && left_ms(&r) > 100 && left_ms(&r) <= 200);
    static const int broken[] = {EPIPE, ECONNRESET}; /* before it had the question */
    for (unsigned i = 0; i < 2; i++) {
        errno = broken[i];
        retry_missed(&r, sock, CTL_NOT_RUNNING);
        assert_true(r.fd == -1 && left_ms(&r) > 100 && left_ms(&r) <= 200);
    }
    errno = ENOENT;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &full), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = full.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 20; i++)
        retry_missed(&r, sock, CTL_NOT_RUNNING);
    assert_true(r.fd == -1 && left_ms(&r) > 500 && left_ms(&r) <= 1000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
    make_file("a"); /* a file where a directory is to be */
    for (int i = 0; i < 20; i++)
        retry_missed(&r, deep, CTL_NOT_RUNNING);
    assert_true(left_ms(&r) > 500 && left_ms(&r) <= 1000);
    drop("a");
    retry_missed(&r, sock, CTL_NOT_RUNNING); /* it can be watched again */
    assert_int_equal(left_ms(&r), 0);
    miss(&r, sock);
    retry_end(&r);
}

static void test_wait(void **state)
{
    struct retry r = RETRY_NOW;
    (void)state;
    retry_wait(&r, 0);
    miss(&r, sock);
    uint64_t since_ns = ctl_now_ns(), until_ns = since_ns + 30 * (uint64_t)MS;
    retry_wait(&r, until_ns);
    assert_true(ctl_now_ns() >= until_ns);
    assert_false(retry_due(&r));
    pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        mkdir(at("other"), 0700);
        rmdir(at("other"));
        usleep(20000);
        mkdir(at("sock"), 0700);
        _exit(0);
    }
    since_ns = ctl_now_ns();
    retry_wait(&r, UINT64_MAX);
    assert_true(ctl_now_ns() - since_ns >= 30 * (uint64_t)MS);
    assert_true(retry_due(&r) && retry_settles(&r));
    drop("sock");
    retry_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name),        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_directories), cmocka_unit_test(test_roots),
        cmocka_unit_test(test_times),       cmocka_unit_test(test_wait),
    };
    if (mkdtemp(top) == NULL)
        return 1;
    (void)snprintf(sock, sizeof sock, "%s/sock", top);
    (void)snprintf(deep, sizeof deep, "%s/a/b//sock", top);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(top) == 0 ? failed : 1;
}
