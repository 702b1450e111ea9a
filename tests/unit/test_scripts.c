// LINK: @core tests/lib/core_cluster.c tests/lib/core_ghost.c tests/lib/core_words.c tests/lib/core_script.c
/* test_scripts.c: runs every script of tests/scripts; see tests/lib/core_script.h.
 *
 *     test_scripts                all of them; with REWRITE=1 in the environment: rewrites them
 *     test_scripts FILE...        these
 *
 * Runs from the top of the tree, or finds the folder by SCRIPTS in the environment.
 */
#include "tests/lib/core_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

static bool rewrite(void)
{
    return getenv("REWRITE") != NULL;
}

static void test_all_scripts(void **state)
{
    (void)state;
    const char *folder = getenv("SCRIPTS");
    char pattern[512];
    glob_t found;
    unsigned wrong = 0;
    snprintf(pattern, sizeof pattern, "%s/*.txt", folder != NULL ? folder : "tests/scripts");
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        wrong += !script_run(found.gl_pathv[i], rewrite());
    print_message("%zu scripts\n", found.gl_pathc);
    globfree(&found);
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        int wrong = 0;
        for (int i = 1; i < argc; i++)
            wrong += !script_run(argv[i], rewrite());
        return wrong != 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_scripts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
