// LINK: raftd/refused.c
/* What is said of a data directory that cannot be used, and with which exit code. Advice changes nothing
 * above that directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/refused.h"

enum { OTHER_USER = 65534 };

static char line[600];

void say_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
}

void say_warn(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
}

void say_fatal(int exit_code, const char *fmt, ...)
{
    (void)fmt;
    _exit(exit_code);
}

static void expect_said(const char *text, bool wanted)
{
    if ((strstr(line, text) != NULL) != wanted)
        fail_msg("%s \"%s\": %s", wanted ? "lacks" : "has", text, line);
}

static void test_codes(void **state)
{
    static const struct {
        int error, code;
    } cases[] = {
        {EACCES, RAFTD_EXIT_DATA_DIR}, {EPERM, RAFTD_EXIT_DATA_DIR},
        {EROFS, RAFTD_EXIT_DATA_DIR},  {ENOTDIR, RAFTD_EXIT_DATA_DIR},
        {ELOOP, RAFTD_EXIT_DATA_DIR},  {ENAMETOOLONG, RAFTD_EXIT_DATA_DIR},
        {EMFILE, RAFTD_EXIT_INTERNAL}, {ENFILE, RAFTD_EXIT_INTERNAL},
        {ENOMEM, RAFTD_EXIT_INTERNAL}, {EIO, RAFTD_EXIT_DISK},
        {ENOSPC, RAFTD_EXIT_DISK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(refused("/", -cases[i].error, "open x: why"), cases[i].code);
        expect_said("open x: why", true);
    }
}

static void test_missing(void **state)
{
    (void)state;
    (void)refused("/raftd-none/data", -EACCES, "mkdir: why");
    expect_said("/ belongs to user 0", true);
    expect_said("install -d -m 700 -o ", true);
    expect_said(" /raftd-none/data", true);
    expect_said("chown", false);
    expect_said("chmod", false);
}

/* As another user where the tests are root's, who may enter everything. */
static void test_rights(void **state)
{
    (void)state;
    char top[] = "/tmp/raftd-refused-XXXXXX", dir[64], below[80];
    bool root = geteuid() == 0;
    assert_non_null(mkdtemp(top));
    (void)snprintf(dir, sizeof dir, "%s/d", top);
    (void)snprintf(below, sizeof below, "%s/d/e", top);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(top, 0755), 0);

    (void)refused(dir, -EACCES, "open: why");
    expect_said("but not all that is in it", true);
    expect_said("chown -R", true);

    if (root)
        assert_int_equal(seteuid(OTHER_USER), 0);
    else
        assert_int_equal(chmod(dir, 0), 0);
    int fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) { /* a directory above is closed to other users: then that one is named */
        assert_true(!root || seteuid(0) == 0);
        assert_int_equal(rmdir(dir), 0);
        assert_int_equal(rmdir(top), 0);
        skip();
    }
    assert_int_equal(close(fd), 0);
    (void)refused(below, -EACCES, "open: why");
    expect_said("who may not enter /tmp/raftd-refused-", true);
    expect_said("/d, which belongs to user", true);
    expect_said("chown", false);
    if (root) {
        (void)refused(dir, -EACCES, "open: why");
        expect_said("run raftd as the user whose data it is", true);
        expect_said("chown -R 65534 /tmp/raftd-refused-", true);
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(top), 0);
}

static void test_for_now(void **state)
{
    (void)state;
    refused_for_now(-EMFILE, "open x", "snapshots wait");
    expect_said("open x; snapshots wait. Raise LimitNOFILE", true);
    refused_for_now(-ENOSPC, "write x", "snapshots wait");
    expect_said("the disk is full: write x; snapshots wait", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_for_now),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_rights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
