// LINK: raftd/tool/trust.c
/* A program is run only if nobody else could put another one in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/tool/trust.h"

enum { OTHER_USER = 12345 };

static char top[PATH_MAX];

static const char *at(const char *name)
{
    static char path[PATH_MAX * 2];
    (void)snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static void is_trusted(const char *name, const char *why)
{
    char said[TRUST_WHY_SIZE] = "";
    assert_int_equal(trust_file(at(name), said), why == NULL);
    if (why != NULL && strstr(said, why) == NULL)
        fail_msg("%s: '%s' says nothing of '%s'", name, said, why);
}

/* A directory with scripts, in the working directory: nobody else may write above it. */
static int set_up(void **state)
{
    (void)state;
    (void)umask(022);
    assert_non_null(getcwd(top, sizeof top - 20));
    (void)strcat(top, "/trust.XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(mkdir(at("d"), 0755), 0);
    assert_int_equal(mkdir(at("open"), 0755), 0);
    int fd = open(at("d/script"), O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    assert_true(fd >= 0 && close(fd) == 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 20];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command); /* the name has no quotes */
}

static void a_script_of_ours(void **state)
{
    (void)state;
    is_trusted("d/script", NULL);
    is_trusted("d//../d/script", NULL);
    is_trusted("d", NULL);
    is_trusted("d/none", "No such file");
    char why[TRUST_WHY_SIZE];
    assert_false(trust_file("script", why));
    assert_false(trust_file("", why));
}

static void that_others_may_write(void **state)
{
    (void)state;
    const mode_t modes[] = {0775, 0757, 0777, 01777};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(at("d/script"), modes[i]), 0);
        is_trusted("d/script", "d/script: others may write");
        assert_int_equal(chmod(at("d/script"), 0755), 0);
        assert_int_equal(chmod(at("d"), modes[i]), 0);
        is_trusted("d", "d: others may write");
        is_trusted("d/script", modes[i] & S_ISVTX ? NULL : "d: others may write"); /* as in /tmp */
        assert_int_equal(chmod(at("d"), 0755), 0);
    }
    is_trusted("d/script", NULL);
}

static void that_is_anothers(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(at("d/script"), OTHER_USER, 0), 0);
    is_trusted("d/script", "d/script: it belongs to another");
    assert_int_equal(chown(at("d/script"), 0, OTHER_USER), 0);
    is_trusted("d/script", NULL); /* a group that may not write it */
    assert_int_equal(chown(at("d"), OTHER_USER, 0), 0);
    is_trusted("d/script", "d: it belongs to another");
    assert_int_equal(chown(at("d"), 0, 0), 0);
}

/* The way of each link is looked at as that of the file. */
static void behind_links(void **state)
{
    (void)state;
    char whole[PATH_MAX * 2];
    assert_int_equal(symlink("../d", at("open/d")), 0);
    assert_int_equal(symlink("open/d/script", at("far")), 0);
    (void)snprintf(whole, sizeof whole, "%s", at("far"));
    assert_int_equal(symlink(whole, at("d/whole")), 0);
    assert_int_equal(symlink("ring", at("ring")), 0);
    is_trusted("far", NULL);
    is_trusted("d/whole", NULL);
    is_trusted("ring", "links");
    assert_int_equal(chmod(at("open"), 0777), 0);
    is_trusted("far", "open: others may write");
    is_trusted("d/whole", "open: others may write");
    assert_int_equal(chmod(at("open"), 0755), 0);
    assert_int_equal(chmod(at("d/script"), 0777), 0);
    is_trusted("far", "d/script: others may write");
    assert_int_equal(chmod(at("d/script"), 0755), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(lchown(at("far"), OTHER_USER, 0), 0);
    is_trusted("d/whole", "far: it belongs to another");
}

int main(void)
{
    char here[PATH_MAX], why[TRUST_WHY_SIZE];
    if (getcwd(here, sizeof here) == NULL || !trust_file(here, why)) {
        printf("skipped: others may write where this runs: %s\n", why);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_of_ours),
        cmocka_unit_test(that_others_may_write),
        cmocka_unit_test(that_is_anothers),
        cmocka_unit_test(behind_links),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
