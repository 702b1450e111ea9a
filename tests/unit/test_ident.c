// LINK: @storage tests/lib/disk_memory.c
#include "storage/ident.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "storage/crc32c.h"
#include "storage/wal.h"
#include "tests/lib/disk_memory.h"

static const struct ident me = {.name = "home",
                                .voters = {1, 3, 258},
                                .n_voters = 3,
                                .node_id = 3,
                                .key = {0x88, [31] = 9},
                                .created = 1700000000};
static const struct wal_options options = {.segment_bytes = WAL_SEGMENT_BYTES_MIN,
                                           .storage_id = 0x88};
enum { IDENT_VERSION = 3 };

static const uint8_t secret[IDENT_KEY_BYTES] = {1, [31] = 2};
static char err[600];

/* The first start of a node, as far as it comes. */
static int first_start(struct memdisk *m)
{
    const struct disk *d = memdisk_disk(m);
    struct ident_lock lock;

    int r = ident_lock(d, "/d", true, &lock, err, sizeof err);
    if (r == IDENT_OK)
        r = ident_create(d, "/d", &me, secret, options.segment_bytes, err, sizeof err);
    return r;
}

static int load(struct memdisk *m, const struct ident *want, struct ident *out)
{
    return ident_load(memdisk_disk(m), "/d", want, out, err, sizeof err);
}

static void what_was_created_is_loaded_after_a_power_cut(void **state)
{
    struct memdisk *m = memdisk_new(1);
    struct ident id;
    struct wal *w;
    struct wal_report rep;

    (void)state;
    assert_int_equal(load(m, NULL, &id), IDENT_MISSING);
    assert_int_equal(first_start(m), IDENT_OK);
    assert_string_equal(err, "");
    memdisk_power_cut(m, MEMDISK_KEEP_NONE);
    assert_int_equal(load(m, &me, &id), IDENT_OK);
    assert_string_equal(id.name, me.name);
    assert_int_equal(id.n_voters, 3);
    assert_memory_equal(id.voters, me.voters, sizeof me.voters);
    assert_int_equal(id.node_id, me.node_id);
    assert_memory_equal(id.key, me.key, sizeof me.key);
    assert_int_equal(id.created, me.created);
    assert_int_equal(ident_storage_id(&id), options.storage_id);
    uint8_t got[IDENT_KEY_BYTES];
    assert_int_equal(ident_secret(memdisk_disk(m), "/d", got, err, sizeof err), IDENT_OK);
    assert_memory_equal(got, secret, sizeof got);
    assert_int_equal(wal_open(&w, memdisk_disk(m), "/d", &options, &rep), 0);
    assert_int_equal(rep.last_index, 0);
    wal_close(w);
    memdisk_free(m);
}

static void another_cluster_or_node_is_named(void **state)
{
    struct memdisk *m = memdisk_new(1);
    struct ident id, want = me;

    (void)state;
    assert_int_equal(first_start(m), IDENT_OK);
    strcpy(want.name, "homes");
    assert_int_equal(load(m, &want, &id), IDENT_OTHER_CLUSTER);
    assert_string_equal(err, "/d/ident: belongs to the cluster named home, and the configuration "
                             "names it homes");
    want = me;
    want.node_id = 4;
    assert_int_equal(load(m, &want, &id), IDENT_OTHER_NODE);
    assert_string_equal(err, "/d/ident: belongs to node 3, this is node 4");
    assert_int_equal(load(m, NULL, &id), IDENT_OK);
    want = me;
    memset(want.key, 0, sizeof want.key); /* not compared: it is what the caller wants to know */
    assert_int_equal(load(m, &want, &id), IDENT_OK);
    memdisk_free(m);
}

static void another_list_of_voters_is_named(void **state)
{
    static const struct {
        uint16_t voters[IDENT_VOTERS_MAX];
        unsigned n;
        const char *added, *missing;
    } cases[] = {
        {{1, 2, 3, 258}, 4, "2", "none"},
        {{1, 3, 5, 258, 999}, 5, "5, 999", "none"},
        {{1, 3}, 2, "none", "258"},
        {{3}, 1, "none", "1, 258"},
        {{3, 4, 5}, 3, "4, 5", "1, 258"},
        {{1, 2, 3}, 3, "2", "258"},
        {{3, 5, 6, 7, 8, 9, 65533, 65534, 65535},
         9,
         "5, 6, 7, 8, 9, 65533, 65534, 65535",
         "1, 258"},
    };
    struct memdisk *m = memdisk_new(1);
    struct ident id, want;
    char part[200];

    (void)state;
    assert_int_equal(first_start(m), IDENT_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        want = me;
        memcpy(want.voters, cases[i].voters, sizeof want.voters);
        want.n_voters = cases[i].n;
        assert_int_equal(load(m, &want, &id), IDENT_OTHER_VOTERS);
        assert_int_equal(id.n_voters, 3);
        snprintf(part, sizeof part,
                 "nodes 1, 3, 258; new in the configuration: %s, missing there: %s.",
                 cases[i].added, cases[i].missing);
        if (strstr(err, part) == NULL)
            fail_msg("%s lacks %s", err, part);
        assert_non_null(strstr(err, "Put the list back"));
    }
    assert_int_equal(load(m, NULL, &id), IDENT_OK);
    memdisk_free(m);
}

static void a_block_with(struct memdisk *m, size_t at, uint8_t value)
{
    size_t size;
    uint8_t block[4096], sum[4];

    for (size_t copy = 0; copy < 8192; copy += 4096) {
        memcpy(block, memdisk_peek(m, "/d/ident", &size) + copy, sizeof block);
        block[at] = value;
        uint32_t crc = crc32c(0, block + 4, sizeof block - 4);
        for (int i = 0; i < 4; i++)
            sum[i] = (uint8_t)(crc >> 8 * i);
        memdisk_poke(m, "/d/ident", copy, sum, 4);
        memdisk_poke(m, "/d/ident", copy + at, &value, 1);
    }
}

/* Whole by its checksum, and yet nothing that was ever written here. */
static void another_format_is_named_and_nonsense_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } nonsense[] = {
        {12, 0}, {12, 10}, {12, 4}, {12, 2},   {14, 65}, {14, 3},  {24, 3},  {24, 4},   {30, 1},
        {42, 1}, {63, 1},  {64, 0}, {68, 'x'}, {127, 1}, {160, 0}, {192, 1}, {4095, 1},
    };
    struct ident id;

    (void)state;
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        struct memdisk *m = memdisk_new(1);
        assert_int_equal(first_start(m), IDENT_OK);
        a_block_with(m, nonsense[i].at, nonsense[i].value);
        if (load(m, &me, &id) != IDENT_DAMAGED)
            fail_msg("byte %zu = %u: taken", nonsense[i].at, nonsense[i].value);
        memdisk_free(m);
    }
    for (int version = 1; version <= IDENT_VERSION + 1; version++) {
        if (version == IDENT_VERSION)
            continue;
        struct memdisk *m = memdisk_new(1);
        assert_int_equal(first_start(m), IDENT_OK);
        a_block_with(m, 8, (uint8_t)version);
        assert_int_equal(load(m, &me, &id), IDENT_OTHER_VERSION);
        char text[100];
        snprintf(text, sizeof text, "has format %d, this raftd knows format %d alone", version,
                 IDENT_VERSION);
        assert_non_null(strstr(err, text));
        assert_int_equal(load(m, NULL, &id), IDENT_OTHER_VERSION);
        memdisk_free(m);
    }
}

static void one_damaged_copy_is_survived_and_two_are_not(void **state)
{
    struct memdisk *m = memdisk_new(1);
    struct ident id;
    size_t size;

    (void)state;
    assert_int_equal(first_start(m), IDENT_OK);
    uint8_t good, bad, other_good, other_bad;
    for (size_t at = 0; at < 8192; at++) {
        good = memdisk_peek(m, "/d/ident", &size)[at];
        bad = good ^ 0x40;
        memdisk_poke(m, "/d/ident", at, &bad, 1);
        assert_int_equal(load(m, &me, &id), IDENT_OK);
        assert_memory_equal(id.key, me.key, sizeof me.key);
        assert_non_null(strstr(err, at < 4096 ? "copy 1 is damaged" : "copy 2 is damaged"));
        size_t there = (at + 4096) % 8192;
        other_good = memdisk_peek(m, "/d/ident", &size)[there];
        other_bad = other_good ^ 1;
        memdisk_poke(m, "/d/ident", there, &other_bad, 1);
        assert_int_equal(load(m, &me, &id), IDENT_DAMAGED);
        memdisk_poke(m, "/d/ident", there, &other_good, 1);
        memdisk_poke(m, "/d/ident", at, &good, 1);
    }
    /* Cut anywhere: the first copy is enough, nothing is not. */
    for (size_t len = 8192; len-- > 0;) {
        memdisk_truncate(m, "/d/ident", len);
        assert_int_equal(load(m, &me, &id), len >= 4096 ? IDENT_OK : IDENT_DAMAGED);
    }
    memdisk_free(m);
}

/* Whatever is wrong with one copy, and at whichever call the mending fails or the power is cut: the identity
 * is there, with its secret, and the next start has it twice again. What is whole is not written. */
static void a_damaged_copy_is_written_anew(void **state)
{
    static const size_t places[] = {0, 5, 9, 200, 4095};
    uint8_t good[8192], got[IDENT_KEY_BYTES];
    struct ident id;
    size_t size;
    bool mended, passed = false;

    (void)state;
    for (uint64_t n = 1; !passed; n++) {
        for (unsigned k = 0; k < 40; k++) {
            struct memdisk *m = memdisk_new(n * 40 + k);
            const struct disk *d = memdisk_disk(m);
            assert_int_equal(first_start(m), IDENT_OK);
            memcpy(good, memdisk_peek(m, "/d/ident", &size), sizeof good);
            size_t at = places[k % 5] + (k / 5 % 2 == 0 ? 0 : 4096);
            uint8_t bad = good[at] ^ 0x40;
            if (k % 10 == 9)
                memdisk_truncate(m, "/d/ident", 5000);
            else
                memdisk_poke(m, "/d/ident", at, &bad, 1);
            uint64_t before = memdisk_calls(m);
            memdisk_fail_call(m, n, k % 3 == 0 ? ENOSPC : EIO);
            int r = ident_mend(d, "/d", &mended, err, sizeof err);
            passed = memdisk_calls(m) - before < n;
            assert_true(mended == (r == IDENT_OK)); /* else the whole one could not be read, too */
            assert_true(!passed || mended);
            memdisk_fail_call(m, 0, 0);
            memdisk_power_cut(m, k / 10 == 0   ? MEMDISK_KEEP_NONE
                                 : k / 10 == 1 ? MEMDISK_KEEP_ALL
                                               : MEMDISK_KEEP_RANDOM);
            assert_int_equal(load(m, &me, &id), IDENT_OK);
            assert_true((err[0] == '\0') >= mended);
            assert_int_equal(ident_secret(d, "/d", got, err, sizeof err), IDENT_OK);
            assert_memory_equal(got, secret, sizeof got);
            assert_int_equal(ident_mend(d, "/d", &mended, err, sizeof err), IDENT_OK);
            assert_memory_equal(memdisk_peek(m, "/d/ident", &size), good, sizeof good);
            before = memdisk_calls(m);
            assert_int_equal(ident_mend(d, "/d", &mended, err, sizeof err), IDENT_OK);
            assert_true(!mended && memdisk_calls(m) - before == 4); /* it was only read */
            memdisk_free(m);
        }
    }
}

static void copies_that_differ_are_damage(void **state)
{
    struct memdisk *m = memdisk_new(1), *other = memdisk_new(1);
    struct ident id, them = me;
    size_t size;
    struct ident_lock lock;

    (void)state;
    assert_int_equal(first_start(m), IDENT_OK);
    them.key[31]++;
    const struct disk *d = memdisk_disk(other);
    assert_int_equal(ident_lock(d, "/d", true, &lock, err, sizeof err), IDENT_OK);
    assert_int_equal(ident_create(d, "/d", &them, secret, 0, err, sizeof err), IDENT_OK);
    memdisk_poke(m, "/d/ident", 4096, memdisk_peek(other, "/d/ident", &size), 4096);
    assert_int_equal(load(m, &me, &id), IDENT_DAMAGED);
    memdisk_free(m);
    memdisk_free(other);
}

static void nothing_is_created_where_something_is(void **state)
{
    static const char *const names[] = {"/d/ident", "/d/notes", "/d/log/0000000000000001.seg"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct memdisk *m = memdisk_new(1);
        const struct disk *d = memdisk_disk(m);
        assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
        if (i == 2)
            assert_int_equal(d->mkdir(d->ctx, "/d/log"), 0);
        int fd = d->open(d->ctx, names[i], DISK_CREATE);
        assert_true(fd >= 0);
        assert_int_equal(d->close(d->ctx, fd), 0);
        uint64_t calls = memdisk_calls(m);
        assert_int_equal(ident_create(d, "/d", &me, secret, 0, err, sizeof err), IDENT_NOT_EMPTY);
        assert_int_equal(memdisk_calls(m) - calls, 1); /* it only looked */
        memdisk_free(m);
    }
    /* A second time is refused as well. */
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    assert_int_equal(first_start(m), IDENT_OK);
    assert_int_equal(ident_create(d, "/d", &me, secret, 0, err, sizeof err), IDENT_NOT_EMPTY);
    memdisk_free(m);
    /* What a file system keeps for itself does not count. */
    m = memdisk_new(1);
    d = memdisk_disk(m);
    assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
    assert_int_equal(d->mkdir(d->ctx, "/d/lost+found"), 0);
    assert_int_equal(first_start(m), IDENT_OK);
    memdisk_free(m);
}

static void an_identity_without_its_log_is_noticed(void **state)
{
    struct memdisk *m = memdisk_new(1);
    struct ident id;
    struct wal *w;
    struct wal_report rep;

    (void)state;
    assert_int_equal(first_start(m), IDENT_OK);
    memdisk_lose(m, "/d/log/0000000000000001.seg");
    assert_int_equal(load(m, &me, &id), IDENT_OK);
    assert_int_equal(wal_open(&w, memdisk_disk(m), "/d", &options, &rep), -EBADMSG);
    assert_int_equal(rep.verdict, WAL_CORRUPT);
    memdisk_free(m);
}

static void let_go(const struct disk *d, const struct ident_lock *l)
{
    assert_int_equal(d->close(d->ctx, l->dir), 0);
    if (l->ident >= 0)
        assert_int_equal(d->close(d->ctx, l->ident), 0);
}

/* In the place of a log that may have held anything: one that was never used names its storage, too, and
 * one that names none is nobody's. */
static void an_empty_log_of_another_directory_is_refused(void **state)
{
    static const uint8_t zeros[4096];
    static const char segment[] = "/d/log/0000000000000001.seg";
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    struct wal_options other = options;
    struct wal_report rep;
    struct wal *w;

    (void)state;
    other.storage_id++;
    assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
    assert_int_equal(wal_create(d, "/d", 5, options.segment_bytes, err, sizeof err), 0);
    /* After a loss of power --init begins again, with another id: that one counts. */
    assert_int_equal(first_start(m), IDENT_NOT_EMPTY);
    assert_int_equal(
        wal_create(d, "/d", options.storage_id, options.segment_bytes, err, sizeof err), 0);
    assert_int_equal(wal_open(&w, d, "/d", &other, &rep), -EBADMSG);
    assert_non_null(strstr(rep.message, "belongs to storage 0000000000000088, this directory is "
                                        "0000000000000089"));
    assert_int_equal(wal_check(d, "/d", &options, &rep), 0);
    memdisk_poke(m, segment, 0, zeros, sizeof zeros);
    assert_int_equal(wal_open(&w, d, "/d", &options, &rep), -EBADMSG);
    assert_non_null(strstr(rep.message, "belongs to no storage"));
    memdisk_free(m);
}

static void a_second_daemon_is_locked_out(void **state)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    struct ident_lock first, second;

    (void)state;
    assert_int_equal(ident_lock(d, "/d", false, &first, err, sizeof err), IDENT_MISSING);
    assert_int_equal(ident_lock(d, "/d", true, &first, err, sizeof err), IDENT_OK);
    assert_int_equal(ident_lock(d, "/d", true, &second, err, sizeof err), IDENT_LOCKED);
    assert_int_equal(second.dir, -1);
    assert_non_null(strstr(err, "in use by another process"));
    assert_int_equal(ident_lock(d, "/d", false, &second, err, sizeof err), IDENT_LOCKED);
    let_go(d, &first);
    /* No identity yet: the lock is not kept. */
    assert_int_equal(ident_lock(d, "/d", false, &second, err, sizeof err), IDENT_MISSING);
    assert_int_equal(ident_lock(d, "/d", true, &second, err, sizeof err), IDENT_OK);
    assert_int_equal(ident_create(d, "/d", &me, secret, 0, err, sizeof err), IDENT_OK);
    let_go(d, &second);
    assert_int_equal(ident_lock(d, "/d", false, &first, err, sizeof err), IDENT_OK);
    assert_int_equal(ident_lock(d, "/d", false, &second, err, sizeof err), IDENT_LOCKED);
    assert_int_equal(ident_lock(d, "/d", true, &second, err, sizeof err), IDENT_LOCKED);
    /* Another identity in the place of the one that is locked. */
    memdisk_lose(m, "/d/ident");
    assert_int_equal(ident_lock(d, "/d", false, &second, err, sizeof err), IDENT_LOCKED);
    assert_int_equal(ident_lock(d, "/d", true, &second, err, sizeof err), IDENT_LOCKED);
    let_go(d, &first);
    memdisk_free(m);
}

/* Its files were moved into a new directory of the old name while a daemon runs on them. */
static void another_directory_around_an_identity_in_use(void **state)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    struct ident_lock first, second;

    (void)state;
    assert_int_equal(first_start(m), IDENT_OK);
    memdisk_kill(m);
    assert_int_equal(ident_lock(d, "/d", false, &first, err, sizeof err), IDENT_OK);
    assert_int_equal(d->mkdir(d->ctx, "/e"), 0);
    assert_int_equal(d->rename(d->ctx, "/d/ident", "/e/ident"), 0);
    assert_int_equal(ident_lock(d, "/e", false, &second, err, sizeof err), IDENT_LOCKED);
    assert_non_null(strstr(err, "/e/ident"));
    assert_int_equal(second.dir, -1);
    let_go(d, &first);
    assert_int_equal(ident_lock(d, "/e", false, &second, err, sizeof err), IDENT_OK);
    let_go(d, &second);
    memdisk_free(m);
}

/* Whatever call fails, and whatever the power cut leaves: the next first start succeeds, or the
 * identity was complete; and never is there an identity without a log. */
static void a_first_start_cut_anywhere_can_be_repeated(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    bool passed = false;

    (void)state;
    for (uint64_t n = 1; !passed; n++) {
        for (unsigned k = 0; k < 16; k++) {
            struct memdisk *m = memdisk_new(n * 16 + k);
            struct ident id;
            memdisk_fail_call(m, n, errors[k % 2]);
            int r = first_start(m);
            passed = memdisk_calls(m) < n;
            assert_true(passed ? r == IDENT_OK : r < 0 && strlen(err) > 0);
            if (k / 2 == 0)
                memdisk_kill(m);
            else
                memdisk_power_cut(m, k / 2 == 1   ? MEMDISK_KEEP_NONE
                                     : k / 2 == 2 ? MEMDISK_KEEP_ALL
                                                  : MEMDISK_KEEP_RANDOM);
            if (load(m, &me, &id) == IDENT_MISSING)
                assert_int_equal(first_start(m), IDENT_OK);
            struct wal *w;
            struct wal_report rep;
            memdisk_kill(m);
            assert_int_equal(load(m, &me, &id), IDENT_OK);
            if (wal_open(&w, memdisk_disk(m), "/d", &options, &rep) != 0)
                fail_msg("call %llu: %s", (unsigned long long)n, rep.message);
            wal_close(w);
            memdisk_free(m);
        }
    }
}

static void missing_parents_are_made_and_durable(void **state)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    struct ident_lock lock;
    struct ident id;

    (void)state;
    assert_int_equal(ident_lock(d, "/a/b/c", true, &lock, err, sizeof err), IDENT_OK);
    assert_int_equal(ident_create(d, "/a/b/c", &me, secret, 0, err, sizeof err), IDENT_OK);
    memdisk_power_cut(m, MEMDISK_KEEP_NONE);
    assert_int_equal(ident_load(d, "/a/b/c", &me, &id, err, sizeof err), IDENT_OK);
    memdisk_free(m);
}

/* The caller learns which error it was: a permission that is lacking is no failure of the disk. */
static void a_refused_permission_is_no_failure(void **state)
{
    static const int errors[] = {EACCES, EPERM, EROFS, ENOTDIR, ELOOP, EMFILE, ENOMEM, EIO};

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        bool passed = false;
        for (uint64_t n = 1; !passed; n++) {
            struct memdisk *m = memdisk_new(n);
            memdisk_fail_call(m, n, errors[i]);
            int r = first_start(m);
            passed = memdisk_calls(m) < n;
            assert_int_equal(r, passed ? IDENT_OK : -errors[i]);
            memdisk_free(m);
        }
    }
}

/* A copy that the disk can't read is as one that is damaged; without the other one the disk is to blame. */
static struct {
    const struct disk *real;
    unsigned bad; /* bit i: copy i can't be read */
} medium;

static ssize_t bad_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    return (medium.bad >> offset / 4096 & 1) != 0 ? -EIO
                                                  : medium.real->pread(ctx, fd, buf, len, offset);
}

static void a_copy_that_cannot_be_read(void **state)
{
    struct memdisk *m = memdisk_new(1);
    struct ident id;
    uint8_t got[IDENT_KEY_BYTES];

    (void)state;
    assert_int_equal(first_start(m), IDENT_OK);
    medium.real = memdisk_disk(m);
    struct disk d = *medium.real;
    d.pread = bad_pread;
    for (medium.bad = 0; medium.bad < 4; medium.bad++) {
        int want = medium.bad == 3 ? -EIO : IDENT_OK;
        assert_int_equal(ident_load(&d, "/d", &me, &id, err, sizeof err), want);
        if (medium.bad == 1 || medium.bad == 2)
            assert_non_null(
                strstr(err, medium.bad == 1 ? "copy 1 is damaged" : "copy 2 is damaged"));
        assert_int_equal(ident_secret(&d, "/d", got, err, sizeof err), want);
    }
    memdisk_free(m);
}

static void a_path_too_long_is_refused(void **state)
{
    struct memdisk *m = memdisk_new(1);
    char dir[1000];
    struct ident id;
    struct ident_lock lock;

    (void)state;
    memset(dir, 'x', sizeof dir);
    dir[0] = '/';
    dir[sizeof dir - 1] = '\0';
    const struct disk *d = memdisk_disk(m);
    assert_int_equal(ident_lock(d, dir, true, &lock, err, sizeof err), -ENAMETOOLONG);
    assert_int_equal(ident_load(d, dir, NULL, &id, err, sizeof err), -ENAMETOOLONG);
    assert_int_equal(ident_create(d, dir, &me, secret, 0, err, sizeof err), -ENAMETOOLONG);
    assert_int_equal(memdisk_calls(m), 0);
    memdisk_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_created_is_loaded_after_a_power_cut),
        cmocka_unit_test(another_cluster_or_node_is_named),
        cmocka_unit_test(another_list_of_voters_is_named),
        cmocka_unit_test(another_format_is_named_and_nonsense_refused),
        cmocka_unit_test(one_damaged_copy_is_survived_and_two_are_not),
        cmocka_unit_test(a_damaged_copy_is_written_anew),
        cmocka_unit_test(copies_that_differ_are_damage),
        cmocka_unit_test(nothing_is_created_where_something_is),
        cmocka_unit_test(an_identity_without_its_log_is_noticed),
        cmocka_unit_test(an_empty_log_of_another_directory_is_refused),
        cmocka_unit_test(a_second_daemon_is_locked_out),
        cmocka_unit_test(another_directory_around_an_identity_in_use),
        cmocka_unit_test(a_first_start_cut_anywhere_can_be_repeated),
        cmocka_unit_test(missing_parents_are_made_and_durable),
        cmocka_unit_test(a_refused_permission_is_no_failure),
        cmocka_unit_test(a_copy_that_cannot_be_read),
        cmocka_unit_test(a_path_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
