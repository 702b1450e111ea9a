// LINK: storage/fold.c storage/batch.c storage/crc32c.c -lsodium
/* test_fold.c: what may follow on disk in a log that begins behind an entry. (All else of the fold is
 * shown by recovery: test_recover.c, test_wal.c.) */
#include "storage/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_a_log_behind_a_base(void **state)
{
    (void)state;
    struct fold f;
    fold_init(&f, 9, &(struct segment_head){.first_seq = 1});
    f.base_index = f.last_index = f.commit = 100;
    f.base_term = f.last_term = f.term = 4;

    struct batch_head entries = {
        .seq = 1, .term = 5, .first_index = 101, .last_index = 103, .last_term = 5, .commit = 100};
    assert_true(fold_fits(&f, &entries));
    entries.first_index = 1;
    assert_false(fold_fits(&f, &entries));
    entries.first_index = 101;
    entries.last_term = 3; /* below the base's */
    assert_false(fold_fits(&f, &entries));
    entries.last_term = 5;
    entries.commit = 99; /* the base is committed */
    assert_false(fold_fits(&f, &entries));

    /* A vote alone says how the log ends: with the base. */
    struct batch_head vote = {.seq = 1, .term = 6, .vote = 2, .last_term = 4, .commit = 100};
    assert_true(fold_fits(&f, &vote));
    vote.last_term = 0;
    assert_false(fold_fits(&f, &vote));

    struct batch_head cut = {.seq = 1,
                             .term = 6,
                             .flags = BATCH_TRUNC,
                             .truncate_to = 100,
                             .last_term = 4,
                             .commit = 100};
    assert_true(fold_fits(&f, &cut));
    cut.last_term = 5; /* all entries are gone: what is left is the base */
    assert_false(fold_fits(&f, &cut));
    cut.last_term = 4;
    cut.truncate_to = 99;
    assert_false(fold_fits(&f, &cut));
    fold_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_log_behind_a_base)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
