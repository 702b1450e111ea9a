// LINK: raftd/node/window.c raftd/node/catch_up.c raftd/node/reads.c
/* Small parts of a node, each alone: old entries read ahead, their limit, and reads that wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/base/num.h"
#include "raftd/node/catch_up.h"
#include "raftd/node/reads.h"
#include "raftd/node/window.h"

/* A fetch that comes back when others are wanted, or for a peer that is no more, brings nothing; the
 * memory that the disk writes to stays. */
static void test_window(void **state)
{
    (void)state;
    struct window w;
    size_t len = WINDOW_BYTES;
    window_init(&w, 100);
    window_restart(&w, WINDOW_BYTES - 10, (struct wal_pos){.index = 5});
    assert_int_equal(window_wants(&w, WINDOW_BYTES - 10), WINDOW_BYTES);
    uint8_t *to = window_fetch(&w, &len);
    assert_ptr_equal(to, w.buf + WINDOW_BYTES - 10);
    assert_int_equal(len, 10); /* up to the end of the memory */
    assert_int_equal(window_wants(&w, WINDOW_BYTES - 10), 0);
    window_restart(&w, 0, (struct wal_pos){.index = 7});
    window_free(&w);
    assert_non_null(w.buf);
    assert_false(window_fetched(&w, w.asked + 1, 10, &w.next));
    assert_true(w.fetching);
    assert_false(window_fetched(&w, w.asked, 10, &(struct wal_pos){.index = 6}));
    assert_true(w.end == 0 && w.next.index == 7 && !w.fetching);

    len = 1000;
    *window_fetch(&w, &len) = 42;
    assert_true(window_fetched(&w, w.asked, 1000, &(struct wal_pos){.index = 8}));
    assert_true(w.end == 1000 && w.next.index == 8);
    assert_int_equal(*window_at(&w, 0, &len), 42);
    assert_int_equal(len, 1000);
    assert_null(window_at(&w, 1000, &len));
    assert_int_equal(window_wants(&w, 1000), WINDOW_BYTES);
    assert_null(window_at(&w, 999, &len)); /* needed no more */
    window_free(&w);
    assert_null(w.buf);
}

static void test_catch_up(void **state)
{
    (void)state;
    struct catch_up c = {0};
    uint64_t now = 1000000;
    catch_up_count(&c, now, 0);
    assert_int_equal(catch_up_take(&c, 1 << 20, 100), 1 << 20); /* nobody writes */
    now += CATCH_UP_US;
    catch_up_count(&c, now, 1000);
    assert_int_equal(catch_up_take(&c, 1 << 20, 100), CATCH_UP_BYTES);
    assert_true(catch_up_deadline(&c) == NEVER);
    assert_int_equal(catch_up_take(&c, 1 << 20, 100), 0);
    assert_int_equal(catch_up_deadline(&c), now + CATCH_UP_US);
    now += CATCH_UP_US;
    catch_up_count(&c, now, 1000 + (1 << 20));
    assert_int_equal(catch_up_take(&c, 1 << 30, 100), CATCH_UP_TIMES << 20);
    now += CATCH_UP_CALM_US;
    catch_up_count(&c, now, 1000 + (1 << 20));
    assert_int_equal(catch_up_take(&c, 1 << 30, 100), 1 << 30);
}

static void test_reads(void **state)
{
    (void)state;
    struct reads r;
    reads_begin(&r, 9);
    uint64_t first = reads_number(&r);
    assert_true(first == (UINT64_C(9) << 32) + 1 && reads_number(&r) == first + 1);
    reads_add(&r, first, 10);
    reads_add(&r, first + 1, 10);
    reads_add(&r, first + 2, 12);
    assert_int_equal(reads_served(&r, 9), 0);
    assert_int_equal(reads_served(&r, 11), first + 1);
    assert_int_equal(reads_served(&r, 11), 0);
    for (unsigned i = 0; i < 2 * READS_MAX; i++) /* the newest stand for all */
        reads_add(&r, first + 3 + i, 20);
    assert_int_equal(reads_served(&r, 20), first + 2 + 2 * READS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_catch_up),
        cmocka_unit_test(test_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
