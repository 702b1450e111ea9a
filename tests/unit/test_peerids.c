// LINK: @storage tests/lib/disk_memory.c
#include "storage/peerids.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/disk_memory.h"

enum { OURS = 77, BLOCK = 4096 };

static char err[600];

static struct memdisk *new_disk(void)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
    assert_int_equal(d->sync_dir(d->ctx, "/"), 0);
    return m;
}

static int load(struct memdisk *m, struct peerids *ids)
{
    return peerids_load(memdisk_disk(m), "/d", OURS, ids, err, sizeof err);
}

/* Distinct in its last bytes. */
static void make_key(uint8_t key[PEERIDS_KEY_BYTES], uint64_t number)
{
    memset(key, 7, PEERIDS_KEY_BYTES);
    memcpy(key + PEERIDS_KEY_BYTES - sizeof number, &number, sizeof number);
}

static int add(struct memdisk *m, struct peerids *ids, uint16_t node, uint64_t number)
{
    uint8_t key[PEERIDS_KEY_BYTES];
    make_key(key, number);
    return peerids_add(memdisk_disk(m), "/d", ids, node, key, err, sizeof err);
}

static void expect(struct memdisk *m, unsigned n)
{
    struct peerids ids;
    assert_int_equal(load(m, &ids), 0);
    assert_int_equal(ids.n, n);
    for (uint16_t node = 1; node <= 5; node++) {
        uint8_t key[PEERIDS_KEY_BYTES];
        uint8_t found[PEERIDS_KEY_BYTES];
        make_key(key, 1000 + node);
        assert_int_equal(peerids_find(&ids, node, found), node <= n);
        if (node <= n)
            assert_memory_equal(found, key, sizeof key);
    }
}

/* Each is there after any power cut. */
static void what_was_added_stays(void **state)
{
    (void)state;
    struct memdisk *m = new_disk();
    struct peerids ids;
    expect(m, 0);
    for (uint16_t node = 1; node <= 5; node++) {
        assert_int_equal(load(m, &ids), 0);
        assert_int_equal(add(m, &ids, node, 1000 + node), 0);
        assert_string_equal(err, "");
        memdisk_power_cut(m, MEMDISK_KEEP_NONE);
        expect(m, node);
    }
    memdisk_free(m);
}

/* A peer that is heard once more is the same, and nothing is written; another key does not displace the
 * first. */
static void once_more(void **state)
{
    (void)state;
    struct memdisk *m = new_disk();
    struct peerids ids;
    assert_int_equal(load(m, &ids), 0);
    assert_int_equal(add(m, &ids, 1, 1001), 0);
    uint64_t number = ids.number;
    assert_int_equal(add(m, &ids, 1, 1001), 0);
    assert_string_equal(err, "");
    assert_int_equal(add(m, &ids, 1, 1002), -EEXIST);
    assert_true(ids.number == number && ids.n == 1);
    expect(m, 1);
    memdisk_free(m);
}

/* The power fails in any call of an addition: what was there before stays, whole. */
static void a_power_cut_at_any_call(void **state)
{
    (void)state;
    static const enum memdisk_keep keep[] = {MEMDISK_KEEP_NONE, MEMDISK_KEEP_ALL,
                                             MEMDISK_KEEP_RANDOM};
    for (unsigned before = 0; before < 3; before++) {
        for (unsigned call = 1;; call++) {
            struct memdisk *m = new_disk();
            struct peerids ids;
            memdisk_seed(m, call);
            assert_int_equal(load(m, &ids), 0);
            for (uint16_t node = 1; node <= before; node++)
                assert_int_equal(add(m, &ids, node, 1000 + node), 0);
            memdisk_fail_call(m, call, EIO);
            bool done = add(m, &ids, (uint16_t)(before + 1), 1001 + before) == 0;
            assert_int_equal(done, err[0] == '\0');
            assert_int_equal(ids.n, before + done);
            memdisk_fail_call(m, 0, 0);
            memdisk_power_cut(m, keep[call % 3]);
            assert_int_equal(load(m, &ids), 0);
            assert_true(ids.n == before || ids.n == before + 1);
            assert_true(!done || ids.n == before + 1);
            if (ids.n == before) /* and it can be tried again */
                assert_int_equal(add(m, &ids, (uint16_t)(before + 1), 1001 + before), 0);
            expect(m, before + 1);
            memdisk_free(m);
            if (done)
                break;
        }
    }
}

/* A flipped bit anywhere costs no more than that copy; both damaged are refused, as is a file of
 * another directory. */
static void damage(void **state)
{
    (void)state;
    struct memdisk *m = new_disk();
    struct peerids ids;
    size_t size;
    assert_int_equal(load(m, &ids), 0);
    assert_int_equal(add(m, &ids, 1, 1001), 0);
    const uint8_t *bytes = memdisk_peek(m, "/d/peers", &size);
    assert_int_equal(size, 2 * BLOCK);
    for (size_t at = 0; at < size; at += at % BLOCK < 64 ? 1 : 97) {
        uint8_t good = bytes[at], bad = good ^ 4;
        memdisk_poke(m, "/d/peers", at, &bad, 1);
        expect(m, 1);
        memdisk_poke(m, "/d/peers", (at + BLOCK) % size, &bad, 1);
        if (memcmp(bytes, bytes + BLOCK, BLOCK) == 0)
            assert_int_equal(load(m, &ids), -EBADMSG);
        memdisk_poke(m, "/d/peers", at, &good, 1);
        memdisk_poke(m, "/d/peers", (at + BLOCK) % size, &good, 1);
    }
    expect(m, 1);
    assert_int_equal(peerids_load(memdisk_disk(m), "/d", OURS + 1, &ids, err, sizeof err),
                     -EBADMSG);
    assert_non_null(strstr(err, "/d/peers: belongs to another"));
    memdisk_free(m);
}

static void the_list_has_an_end(void **state)
{
    (void)state;
    struct memdisk *m = new_disk();
    struct peerids ids;
    assert_int_equal(load(m, &ids), 0);
    for (uint16_t node = 1; node <= PEERIDS_MAX; node++)
        assert_int_equal(add(m, &ids, node, node), 0);
    assert_int_equal(add(m, &ids, PEERIDS_MAX + 1, 1), -ENOSPC);
    assert_int_equal(load(m, &ids), 0);
    assert_int_equal(ids.n, PEERIDS_MAX);
    memdisk_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_stays),    cmocka_unit_test(once_more),
        cmocka_unit_test(a_power_cut_at_any_call), cmocka_unit_test(damage),
        cmocka_unit_test(the_list_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
