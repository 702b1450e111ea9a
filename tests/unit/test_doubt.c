// LINK: @storage tests/lib/disk_memory.c
#include "storage/doubt.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/disk_memory.h"

static char err[600];

static const struct doubt older = {.set = true,
                                   .term = 7,
                                   .vote = 2,
                                   .first_lost = 91,
                                   .last_lost = 95,
                                   .why = "/d/log/1.seg: is damaged"};
static const struct doubt newer = {
    .set = true, .term = UINT64_MAX, .vote = 65535, .first_lost = UINT64_MAX, .why = "another"};

static struct memdisk *new_disk(void)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
    assert_int_equal(d->sync_dir(d->ctx, "/"), 0);
    return m;
}

static int set(struct memdisk *m, const struct doubt *what)
{
    return doubt_set(memdisk_disk(m), "/d", what, err, sizeof err);
}

static int clear(struct memdisk *m)
{
    return doubt_clear(memdisk_disk(m), "/d", err, sizeof err);
}

static bool is(struct memdisk *m, const struct doubt *want)
{
    struct doubt got;
    assert_int_equal(doubt_read(memdisk_disk(m), "/d", &got, err, sizeof err), 0);
    return want == NULL ? !got.set
                        : got.set && got.term == want->term && got.vote == want->vote &&
                              got.first_lost == want->first_lost &&
                              got.last_lost == want->last_lost && strcmp(got.why, want->why) == 0;
}

static void what_was_set_lasts_and_is_replaced(void **state)
{
    (void)state;
    struct memdisk *m = new_disk();
    assert_true(is(m, NULL));
    const struct doubt *const in_turn[] = {&older, &newer, &older};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(set(m, in_turn[i]), 0);
        memdisk_power_cut(m, MEMDISK_KEEP_NONE);
        assert_true(is(m, in_turn[i]));
    }
    assert_int_equal(clear(m), 0);
    assert_int_equal(clear(m), 0);
    memdisk_power_cut(m, MEMDISK_KEEP_NONE);
    assert_true(is(m, NULL));
    memdisk_free(m);
}

/* A text that was cut, changed by hand or by the disk is doubt without numbers. */
static void any_file_of_that_name_is_doubt(void **state)
{
    (void)state;
    static const struct doubt unknown = {.set = true};
    struct memdisk *m = new_disk();
    size_t size;
    assert_int_equal(set(m, &older), 0);
    assert_non_null(memdisk_peek(m, "/d/doubt", &size));
    size_t first_line = strlen("term=7 vote=2 lost_from=91 lost_to=95\n");
    for (size_t n = first_line; n-- > 0;) {
        memdisk_truncate(m, "/d/doubt", n);
        assert_true(is(m, &unknown));
    }
    assert_int_equal(set(m, &older), 0);
    memdisk_poke(m, "/d/doubt", 5, "x", 1);
    assert_true(is(m, &unknown));
    memdisk_free(m);
}

/* The power fails in any call: whoever had no success tries again, and who had success can rely on it. */
static void a_power_cut_at_any_call(void **state)
{
    (void)state;
    static const enum memdisk_keep keep[] = {MEMDISK_KEEP_NONE, MEMDISK_KEEP_ALL,
                                             MEMDISK_KEEP_RANDOM};
    for (unsigned call = 1, ended = 0; ended < 7; call++) {
        for (unsigned what = 0; what < 3; what++) {
            struct memdisk *m = new_disk();
            memdisk_seed(m, call);
            if (what > 0)
                assert_int_equal(set(m, &older), 0);
            memdisk_fail_call(m, call, EIO);
            bool done = (what < 2 ? set(m, &newer) : clear(m)) == 0;
            ended |= done ? 1u << what : 0;
            memdisk_fail_call(m, 0, 0);
            memdisk_power_cut(m, keep[call % 3]);
            if (done)
                assert_true(is(m, what < 2 ? &newer : NULL));
            else
                assert_true(is(m, NULL) || is(m, &older) || is(m, &newer));
            assert_int_equal(set(m, &newer), 0);
            assert_true(is(m, &newer));
            memdisk_free(m);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_set_lasts_and_is_replaced),
        cmocka_unit_test(any_file_of_that_name_is_doubt),
        cmocka_unit_test(a_power_cut_at_any_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
