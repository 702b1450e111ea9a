// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c
/* A recovery that takes long says how far it is, and can be stopped at any read without a trace. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/wal.h"
#include "tests/lib/disk_model.h"
#include "tests/lib/disk_memory.h"

#define DIR "/d"

struct watch {
    uint64_t calls, stop_at; /* 0: never */
    uint64_t done, all;      /* as last told */
};

static bool progress(void *ctx, uint64_t done, uint64_t all)
{
    struct watch *w = ctx;
    assert_true(done >= w->done && done < all);
    assert_true(w->all == 0 || all == w->all);
    w->done = done;
    w->all = all;
    return ++w->calls != w->stop_at;
}

static struct memdisk *disk_with_log(void)
{
    static struct model model;
    static struct model_batch b;
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    struct wal_options options = {.segment_bytes = WAL_SEGMENT_BYTES_MIN, .storage_id = 1};
    struct wal_report rep;
    struct wal *w;
    char err[WAL_MESSAGE_BYTES];

    assert_int_equal(d->mkdir(d->ctx, DIR), 0);
    assert_int_equal(wal_create(d, DIR, options.storage_id, options.segment_bytes, err, sizeof err),
                     0);
    assert_int_equal(wal_open(&w, d, DIR, &options, &rep), 0);
    memset(&model, 0, sizeof model);
    model.term = 1;
    for (int i = 0; i < 20; i++) {
        model_begin(&model, &b);
        model_entry(&model, &b, 3000, 7);
        model_end(&model, &b, 0);
        assert_int_equal(wal_append(w, &b.batch), 0);
    }
    wal_close(w);
    return m;
}

static void it_tells_of_every_segment(void **state)
{
    struct memdisk *m = disk_with_log();
    struct watch w = {0};
    struct wal_options options = {.storage_id = 1, .progress = progress, .progress_ctx = &w};
    struct wal_report rep;

    (void)state;
    assert_int_equal(wal_check(memdisk_disk(m), DIR, &options, &rep), 0);
    assert_true(w.all >= 3 && w.all == rep.segments);
    assert_int_equal(w.done, w.all - 1);
    assert_true(w.calls > 2 * w.all);
    memdisk_free(m);
}

static void it_can_be_stopped_at_any_read(void **state)
{
    struct memdisk *m = disk_with_log();
    struct watch w = {0};
    struct wal_options options = {.storage_id = 1, .progress = progress, .progress_ctx = &w};
    struct wal_report rep;
    struct wal *wal = NULL;

    (void)state;
    assert_int_equal(wal_check(memdisk_disk(m), DIR, &options, &rep), 0);
    uint64_t calls = w.calls, hash = memdisk_hash(m);
    for (uint64_t at = 1; at <= calls; at++) {
        w = (struct watch){.stop_at = at};
        assert_int_equal(wal_open(&wal, memdisk_disk(m), DIR, &options, &rep), -ECANCELED);
        assert_null(wal);
        assert_int_equal(w.calls, at);
        assert_int_equal(memdisk_hash(m), hash);
    }
    w = (struct watch){.stop_at = calls + 1};
    assert_int_equal(wal_open(&wal, memdisk_disk(m), DIR, &options, &rep), 0);
    assert_int_equal(rep.last_index, 20);
    wal_close(wal);
    memdisk_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_of_every_segment),
        cmocka_unit_test(it_can_be_stopped_at_any_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
