// LINK: @storage tests/lib/disk_memory.c
/* test_snapshot.c: a snapshot is whole, or it is none: after any failing call, any cut of the power and any
 * damage. */
#include "storage/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium/crypto_generichash.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "tests/lib/disk_memory.h"

enum { OURS = 77, CLUSTER = 5, HEAD = 4096, PIECE = 3000, LARGE = 100 };
enum { SIZE_MAX_BYTES = 4 << 20, SYNCED = 1 << 20 };

static struct memdisk *new_disk(struct snapshots *s)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    assert_int_equal(d->mkdir(d->ctx, "/d"), 0);
    assert_int_equal(d->sync_dir(d->ctx, "/"), 0);
    *s = (struct snapshots){.disk = d, .dir = "/d", .storage_id = OURS, .cluster = CLUSTER};
    return m;
}

static bool there(struct snapshots *s, const char *path)
{
    int fd = s->disk->open(s->disk->ctx, path, DISK_READ);
    if (fd >= 0)
        assert_int_equal(s->disk->close(s->disk->ctx, fd), 0);
    return fd >= 0;
}

/* ---- a state: chunks that follow from an index ---- */

struct chunks {
    uint64_t index;
    unsigned at; /* of the next one */
    unsigned n;
    int end; /* what next() returns at the end */
    uint8_t bytes[SNAPSHOT_CHUNK_MAX_BYTES];
};

static int next(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    struct chunks *c = ctx;
    if (c->at == c->n)
        return c->end;
    *section = (uint16_t)(1 + c->at / 2);
    *bytes = c->bytes;
    *len = c->at == 1 || c->index == LARGE ? sizeof c->bytes : 10 + c->at;
    memset(c->bytes, (int)(c->index + c->at), *len);
    c->at++;
    return 1;
}

static struct chunks chunks_of(uint64_t index)
{
    return (struct chunks){.index = index, .n = index == LARGE ? 40 : index % 2 == 0 ? 5 : 1};
}

static struct snapshot_head head_of(uint64_t index)
{
    struct snapshot_head h = {.index = index,
                              .term = 1 + index / 2,
                              .cluster_ms = 1000 * index,
                              .members = {.index = index / 2}};
    if (h.members.index != 0)
        h.members.members = (struct members){
            .cluster_id = 5, .n = 1, .m = {{.id = 30, .standing = MEMBER_VOTER}}};
    memset(h.entry_hash, 7, sizeof h.entry_hash);
    memset(h.digest, 9, sizeof h.digest);
    return h;
}

static int write_one(struct snapshots *s, uint64_t index, struct snapshot_name *name)
{
    struct chunks c = chunks_of(index);
    struct snapshot_head h = head_of(index);
    struct snapshot_source source = {next, &c};
    return snapshot_write(s, &h, &source, name);
}

/* Expects exactly the chunks of an index. */
static int check_chunk(void *ctx, uint16_t section, const uint8_t *bytes, size_t len)
{
    const uint8_t *want;
    uint16_t want_section;
    size_t want_len;
    assert_int_equal(next(ctx, &want_section, &want, &want_len), 1);
    assert_int_equal(section, want_section);
    assert_int_equal(len, want_len);
    assert_memory_equal(bytes, want, len);
    return 0;
}

static int check_done(void *ctx, const struct snapshot_head *head)
{
    struct chunks *c = ctx;
    assert_int_equal(c->at, c->n);
    assert_true(head->index == c->index);
    c->at++;
    return 0;
}

static int load_one(struct snapshots *s, uint64_t index, struct snapshot_name *name)
{
    struct chunks c = chunks_of(index);
    struct snapshot_sink sink = {check_chunk, check_done, &c};
    struct snapshot_head h, want = head_of(index);
    int rc = snapshot_load(s, index, &sink, &h, name);
    if (rc != 0)
        return rc;
    assert_int_equal(c.at, c.n + 1);
    want.storage_id = OURS;
    want.cluster = CLUSTER;
    assert_memory_equal(&h, &want, sizeof h);
    return 0;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name a, b;
    for (uint64_t index = 1; index <= 4; index++) {
        assert_int_equal(write_one(&s, index, &a), 0);
        assert_string_equal(s.message, "");
        memdisk_power_cut(m, MEMDISK_KEEP_NONE);
        assert_int_equal(load_one(&s, index, &b), 0);
        assert_memory_equal(&a, &b, sizeof a);
    }
    memdisk_free(m);
}

/* What there is after a crash, of the indexes 1 to `last`: those up to `sure` are there, the last one is
 * whole or is not there. Nothing else has the name of a snapshot. */
static void expect(struct snapshots *s, uint64_t sure, uint64_t last)
{
    uint64_t indexes[SNAPSHOT_LIST_MAX];
    struct snapshot_name name;
    unsigned n;
    assert_int_equal(snapshot_list(s, indexes, &n), 0);
    assert_true(n == sure || n == last);
    for (unsigned i = 0; i < n; i++) {
        assert_true(indexes[i] == n - i);
        assert_int_equal(load_one(s, indexes[i], &name), 0);
    }
}

static const enum memdisk_keep keep[] = {MEMDISK_KEEP_NONE, MEMDISK_KEEP_ALL, MEMDISK_KEEP_RANDOM,
                                         MEMDISK_KEEP_RANDOM};
static const int errors[] = {EIO, ENOSPC, EDQUOT, EMFILE, ENOMEM, EROFS};

enum { ERRORS = sizeof errors / sizeof *errors, KEEPS = sizeof keep / sizeof *keep };

/* Any call of writing the third one fails, and then the power. */
static void a_failing_call_while_writing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ERRORS * KEEPS; round++) {
        bool done = false;
        for (unsigned call = 1; !done; call++) {
            struct snapshots s;
            struct memdisk *m = new_disk(&s);
            struct snapshot_name name;
            int error = errors[round % ERRORS];
            assert_int_equal(write_one(&s, 1, &name), 0);
            assert_int_equal(write_one(&s, 2, &name), 0);
            memdisk_seed(m, 100 * call + round);
            memdisk_fail_call(m, call, error);
            int rc = write_one(&s, 3, &name);
            done = rc == 0;
            assert_int_equal(done, s.message[0] == '\0');
            if (error == EDQUOT)
                assert_true(rc == 0 || rc == -ENOSPC || rc == -EIO || rc == -EDQUOT);
            memdisk_fail_call(m, 0, 0);
            if (wal_refused(rc) && round < ERRORS) { /* it can be tried again at once */
                assert_int_equal(write_one(&s, 3, &name), 0);
                memdisk_power_cut(m, MEMDISK_KEEP_NONE);
                expect(&s, 3, 3);
            } else {
                memdisk_power_cut(m, keep[round % KEEPS]);
                expect(&s, done ? 3 : 2, 3);
                assert_int_equal(write_one(&s, 3, &name), 0);
                expect(&s, 3, 3);
            }
            memdisk_free(m);
        }
    }
}

/* Fetches a snapshot of `from` to `to` in pieces. */
static int fetch(struct snapshots *from, struct snapshots *to, const struct snapshot_name *name,
                 size_t piece, uint64_t *begun_at)
{
    static uint8_t buf[SIZE_MAX_BYTES];
    struct snapshot_part *p;
    uint64_t have;
    int fd = snapshot_open(from, name->index);
    assert_true(fd >= 0);
    int rc = snapshot_part_open(&p, to, name, &have);
    *begun_at = have;
    while (rc == 0 && have < name->size) {
        ssize_t n = snapshot_read(from->disk, fd, have, buf, piece);
        assert_true(n > 0);
        rc = snapshot_part_append(p, have, buf, (size_t)n);
        have += (size_t)n;
    }
    struct snapshot_head head;
    if (rc != 0) {
        snapshot_part_close(p);
    } else if ((rc = snapshot_part_finish(p, NULL, &head)) == 0) {
        assert_true(head.index == name->index && head.storage_id == to->storage_id);
    }
    assert_int_equal(from->disk->close(from->disk->ctx, fd), 0);
    return rc;
}

/* Also when another state has the index, which gives way. */
static void what_was_fetched_is_the_same(void **state)
{
    (void)state;
    struct snapshots s, t;
    struct memdisk *m = new_disk(&s), *n = new_disk(&t);
    struct snapshot_name a, b;
    struct snapshot_head other = head_of(2);
    struct chunks c = chunks_of(1);
    uint64_t begun_at;
    s.storage_id = 1;
    other.digest[0]++;
    assert_int_equal(snapshot_write(&t, &other, &(struct snapshot_source){next, &c}, &a), 0);
    for (uint64_t index = 1; index <= 4; index++) {
        assert_int_equal(write_one(&s, index, &a), 0);
        assert_int_equal(fetch(&s, &t, &a, 7 + 1000 * index, &begun_at), 0);
        assert_int_equal(begun_at, 0);
        memdisk_power_cut(n, MEMDISK_KEEP_NONE);
        assert_int_equal(load_one(&t, index, &b), 0);
        assert_memory_equal(&a, &b, sizeof a);
        uint64_t hash = memdisk_hash(n);
        assert_int_equal(fetch(&s, &t, &a, 500, &begun_at), 0); /* it is there already */
        memdisk_power_cut(n, MEMDISK_KEEP_ALL);
        assert_true(memdisk_hash(n) == hash);
    }
    memdisk_free(m);
    memdisk_free(n);
}

/* Any call of a fetch fails, and then the power: it goes on with what was there, and ends well. */
static void a_failing_call_while_fetching(void **state)
{
    (void)state;
    struct snapshots s;
    struct memdisk *from = new_disk(&s);
    struct snapshot_name a, b;
    uint64_t begun_at;
    s.storage_id = 1;
    assert_int_equal(write_one(&s, 2, &a), 0);
    for (unsigned round = 0; round < ERRORS * KEEPS; round++) {
        bool done = false;
        for (unsigned call = 1; !done; call++) {
            struct snapshots t;
            struct memdisk *m = new_disk(&t);
            memdisk_seed(m, 100 * call + round);
            memdisk_fail_call(m, call, errors[round % ERRORS]);
            int rc = fetch(&s, &t, &a, PIECE, &begun_at);
            done = rc == 0;
            assert_int_equal(done, t.message[0] == '\0');
            memdisk_fail_call(m, 0, 0);
            memdisk_power_cut(m, keep[round % KEEPS]);
            uint64_t indexes[SNAPSHOT_LIST_MAX];
            unsigned n;
            assert_int_equal(snapshot_list(&t, indexes, &n), 0);
            assert_true(n == 1 || !done);
            if (n == 1)
                assert_int_equal(load_one(&t, 2, &b), 0);
            rc = fetch(&s, &t, &a, PIECE, &begun_at);
            if (rc == -EBADMSG) /* the last chunk that was there */
                rc = fetch(&s, &t, &a, PIECE, &begun_at);
            assert_int_equal(rc, 0);
            assert_int_equal(load_one(&t, 2, &b), 0);
            assert_memory_equal(&a, &b, sizeof a);
            memdisk_free(m);
        }
    }
    memdisk_free(from);
}

/* ---- damage ---- */

#define PATH_OF(index) "/d/snap/000000000000000" #index ".snap"

/* Takes the bytes of a file for those of index 3, which the directory then has. */
static int load_bytes(const uint8_t *bytes, size_t size, struct snapshots *s)
{
    struct memdisk *m = new_disk(s);
    const struct disk *d = s->disk;
    struct snapshot_head head;
    struct snapshot_name name;
    union {
        const uint8_t *in;
        void *out;
    } u = {.in = bytes};
    struct iovec iov = {.iov_base = u.out, .iov_len = size};
    assert_int_equal(d->mkdir(d->ctx, "/d/snap"), 0);
    int fd = d->open(d->ctx, PATH_OF(3), DISK_CREATE);
    assert_true(fd >= 0);
    assert_int_equal(size > 0 ? d->pwritev(d->ctx, fd, &iov, 1, 0) : 0, 0);
    assert_int_equal(d->fdatasync(d->ctx, fd), 0);
    assert_int_equal(d->close(d->ctx, fd), 0);
    int rc = snapshot_load(s, 3, NULL, &head, &name);
    memdisk_free(m);
    return rc;
}

/* One as bytes that are the caller's to free; that of entry 3 is of one chunk. */
static uint8_t *copy_of(uint64_t index, size_t *size)
{
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name name;
    assert_int_equal(write_one(&s, index, &name), 0);
    const uint8_t *p = memdisk_peek(m, index == 3 ? PATH_OF(3) : PATH_OF(2), size);
    assert_non_null(p);
    uint8_t *bytes = malloc(*size + 1);
    memcpy(bytes, p, *size);
    memdisk_free(m);
    return bytes;
}

static void every_byte_flipped_or_cut(void **state)
{
    (void)state;
    struct snapshots s;
    size_t size;
    uint8_t *bytes = copy_of(3, &size);
    assert_int_equal(load_bytes(bytes, size, &s), 0);
    for (size_t at = 0; at < size; at++)
        for (unsigned bit = at % 8; bit < 8; bit += 4) {
            bytes[at] ^= (uint8_t)(1U << bit);
            assert_int_equal(load_bytes(bytes, size, &s), -EBADMSG);
            bytes[at] ^= (uint8_t)(1U << bit);
        }
    assert_int_equal(load_bytes(bytes, size, &s), 0);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(load_bytes(bytes, cut, &s), -EBADMSG);
    bytes[size] = 0;
    assert_int_equal(load_bytes(bytes, size + 1, &s), -EBADMSG);
    free(bytes);
}
/* Makes all checksums and the hash right again, as somebody who can write to the disk might. */
static void mend(uint8_t *p, size_t size)
{
    uint8_t head[HEAD];
    crypto_generichash_state hash;
    memcpy(head, p, HEAD);
    memset(head + 16, 0, 8);
    put_u32(p, crc32c(0, head + 4, HEAD - 4));
    memcpy(head, p, 4);
    crypto_generichash_init(&hash, NULL, 0, SNAPSHOT_HASH_BYTES);
    crypto_generichash_update(&hash, head, HEAD);
    for (size_t at = HEAD; at + 12 <= size;) {
        size_t len = get_u32(p + at + 4);
        if (len > size - at - 12)
            break;
        if (get_u16(p + at + 8) == 0xffff && len == SNAPSHOT_HASH_BYTES)
            crypto_generichash_final(&hash, p + at + 12, SNAPSHOT_HASH_BYTES);
        put_u32(p + at, crc32c(0, p + at + 4, 8 + len));
        crypto_generichash_update(&hash, p + at, 12 + len);
        at += 12 + len;
    }
}

/* Right checksums around what no raftd writes. */
static void what_is_none_of_ours(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned bytes;
        uint64_t value;
        int rc;
        const char *says;
    } cases[] = {
        {4, 4, 0x314e5353, -EBADMSG, "this is no snapshot"},
        {8, 2, SNAPSHOT_VERSION - 1, -ENOTSUP, "has format 4, this raftd knows format 5 alone"},
        {8, 2, SNAPSHOT_VERSION + 1, -ENOTSUP, "has format 6, this raftd knows format 5 alone"},
        {10, 2, 0, -EBADMSG, "the head contradicts itself"},
        {10, 2, 47, -EBADMSG, "the head contradicts itself"}, /* of the members, 48 bytes */
        {10, 2, MEMBERS_BYTES_MAX + 1, -EBADMSG, "the head contradicts itself"},
        {12, 4, 1, -EBADMSG, "the head contradicts itself"},
        {16, 8, OURS + 1, -EBADMSG, "belongs to another data directory"},
        {24, 8, CLUSTER + 1, -EBADMSG, "belongs to another cluster"},
        {32, 8, 4, -EBADMSG, "is the snapshot of index 4"},
        {32, 8, 0, -EBADMSG, "the head contradicts itself"},
        {40, 8, 0, -EBADMSG, "the head contradicts itself"},
        {48, 8, RECORD_CLUSTER_MS_MAX + 1, -EBADMSG, "the head contradicts itself"},
        {88, 8, 0, -EBADMSG, "the head contradicts itself"}, /* and yet there are members */
        {88, 8, 4, -EBADMSG, "the head contradicts itself"}, /* behind the last entry */
        {144, 1, 1, -EBADMSG, "the head contradicts itself"},
        {HEAD - 2, 2, 1, -EBADMSG, "the head contradicts itself"},
        {HEAD + 4, 4, 0, -EBADMSG, "a chunk is damaged or cut"},
        {HEAD + 4, 4, SNAPSHOT_CHUNK_MAX_BYTES + 1, -EBADMSG, "a chunk is damaged or cut"},
        {HEAD + 4, 4, UINT32_MAX, -EBADMSG, "a chunk is damaged or cut"},
        {HEAD + 8, 2, 0, -EBADMSG, "a chunk is of no section"},
        {HEAD + 8, 2, 0xffff, -EBADMSG, "the hash of all is another one"},
        {HEAD + 10, 2, 1, -EBADMSG, "a chunk is of no section"},
        {HEAD + 22 + 8, 2, 0xfffe, -EBADMSG, "a chunk is damaged or cut"}, /* without a last one */
    };
    struct snapshots s;
    size_t size;
    uint8_t *good = copy_of(3, &size), *bytes = malloc(size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(bytes, good, size);
        for (unsigned b = 0; b < cases[i].bytes; b++)
            bytes[cases[i].at + b] = (uint8_t)(cases[i].value >> 8 * b);
        mend(bytes, size);
        assert_int_equal(load_bytes(bytes, size, &s), cases[i].rc);
        if (strstr(s.message, cases[i].says) == NULL)
            fail_msg("%s: not %s", s.message, cases[i].says);
    }
    memcpy(bytes, good, size);
    bytes[HEAD + 12] ^= 1;
    mend(bytes, size); /* it does make them right */
    assert_int_equal(load_bytes(bytes, size, &s), 0);
    free(bytes);
    free(good);
}

/* Sections out of order, which no source gives. */
static void sections_ascend(void **state)
{
    (void)state;
    struct snapshots s;
    size_t size;
    uint8_t *bytes = copy_of(2, &size);
    put_u16(bytes + HEAD + 8, 2); /* the second one is of section 1 */
    mend(bytes, size);
    assert_int_equal(load_bytes(bytes, size, &s), -EBADMSG);
    assert_non_null(strstr(s.message, "of one that had to come before"));
    free(bytes);
}

/* Each chunk has a right checksum, and all together another hash. */
static void the_hash_is_of_all(void **state)
{
    (void)state;
    struct snapshots s;
    size_t size;
    uint8_t *bytes = copy_of(3, &size);
    bytes[HEAD + 12] ^= 1;
    put_u32(bytes + HEAD, crc32c(0, bytes + HEAD + 4, 8 + get_u32(bytes + HEAD + 4)));
    assert_int_equal(load_bytes(bytes, size, &s), -EBADMSG);
    assert_non_null(strstr(s.message, "the hash of all is another one"));
    free(bytes);
}

static void a_damaged_one_is_put_aside(void **state)
{
    (void)state;
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name name, again;
    uint8_t bad = 0xee;
    for (uint64_t index = 1; index <= 3; index++)
        assert_int_equal(write_one(&s, index, &name), 0);
    memdisk_poke(m, PATH_OF(2), HEAD + 20, &bad, 1);
    assert_int_equal(snapshot_put_aside(&s, 2), 0);
    memdisk_power_cut(m, MEMDISK_KEEP_NONE);
    assert_false(there(&s, PATH_OF(2)));
    assert_true(there(&s, "/d/snap/0000000000000002.damaged"));
    /* One that is whole is not written again, one that is damaged is, and then is the only one aside. */
    uint64_t hash = memdisk_hash(m);
    assert_int_equal(write_one(&s, 3, &again), 0);
    assert_memory_equal(&name, &again, sizeof name);
    assert_true(memdisk_hash(m) == hash);
    memdisk_poke(m, PATH_OF(3), HEAD + 20, &bad, 1);
    memdisk_limit(m, memdisk_used(m));
    assert_int_equal(write_one(&s, 3, &again), -ENOSPC);
    assert_true(there(&s, PATH_OF(3)));
    memdisk_limit(m, 0);
    assert_int_equal(write_one(&s, 3, &again), 0);
    assert_memory_equal(&name, &again, sizeof name);
    memdisk_power_cut(m, MEMDISK_KEEP_NONE);
    assert_true(there(&s, "/d/snap/0000000000000003.damaged"));
    assert_false(there(&s, "/d/snap/0000000000000002.damaged"));
    assert_int_equal(load_one(&s, 3, &again), 0);
    memdisk_free(m);
}

static void make(struct snapshots *s, const char *path)
{
    int fd = s->disk->open(s->disk->ctx, path, DISK_CREATE);
    assert_true(fd >= 0);
    assert_int_equal(s->disk->close(s->disk->ctx, fd), 0);
}

static void two_are_kept(void **state)
{
    (void)state;
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name name;
    uint64_t indexes[SNAPSHOT_LIST_MAX];
    unsigned n;
    assert_int_equal(snapshot_list(&s, indexes, &n), 0); /* not even a directory */
    assert_int_equal(n, 0);
    for (uint64_t index = 9; index >= 1; index--)
        assert_int_equal(write_one(&s, index, &name), 0);
    make(&s, "/d/snap/0000000000000000.tmp");
    make(&s, "/d/snap/00000000000000aa.part");
    make(&s, "/d/snap/a.snap");
    make(&s, "/d/snap/000000000000000A.snap");
    make(&s, "/d/snap/000000000000000a.snap.old");
    assert_int_equal(snapshot_list(&s, indexes, &n), 0);
    assert_int_equal(n, SNAPSHOT_LIST_MAX);
    for (unsigned i = 0; i < n; i++)
        assert_true(indexes[i] == 9 - i);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(snapshot_tidy(&s, i == 0 ? 5 : 0), 0); /* twice: there were too many */
    assert_int_equal(snapshot_list(&s, indexes, &n), 0);
    assert_true(n == 2 && indexes[0] == 9 && indexes[1] == 8);
    assert_false(there(&s, "/d/snap/0000000000000000.tmp"));
    assert_true(there(&s, "/d/snap/00000000000000aa.part"));
    assert_true(there(&s, "/d/snap/000000000000000A.snap"));
    assert_int_equal(write_one(&s, 10, &name), 0);
    assert_int_equal(snapshot_tidy(&s, 8), 0);
    assert_int_equal(snapshot_list(&s, indexes, &n), 0);
    assert_true(n == 3 && indexes[0] == 10 && indexes[2] == 8);
    memdisk_free(m);
}

/* ---- parts ---- */

/* All that is there of one is found again after a kill. After a loss of power its last chunk may be any
 * bytes: then it is fetched again. */
static void a_part_goes_on(void **state)
{
    (void)state;
    static uint8_t buf[SIZE_MAX_BYTES];
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name name;
    struct snapshot_part *p;
    struct snapshot_head head;
    uint64_t have;
    unsigned any_bytes = 0;
    assert_int_equal(write_one(&s, 2, &name), 0);
    int fd = snapshot_open(&s, 2);
    assert_int_equal(snapshot_read(s.disk, fd, 0, buf, sizeof buf), (int)name.size);
    for (unsigned power = 0; power < 2; power++)
        for (size_t len = 0; len <= name.size; len += len < HEAD + 200 ? 61 : 3001) {
            struct snapshots t;
            struct memdisk *n = new_disk(&t);
            memdisk_seed(n, len);
            assert_int_equal(snapshot_part_open(&p, &t, &name, &have), 0);
            assert_int_equal(have, 0);
            size_t first = len < HEAD + 50 ? len : HEAD + 50;
            assert_int_equal(snapshot_part_append(p, 0, buf, first), 0);
            assert_int_equal(snapshot_part_append(p, first, buf + first, len - first), 0);
            assert_int_equal(snapshot_part_append(p, len + 1, buf, 1), -EINVAL);
            assert_int_equal(snapshot_part_append(p, len, buf, name.size - len + 1), -EINVAL);
            snapshot_part_close(p);
            if (power)
                memdisk_power_cut(n, MEMDISK_KEEP_RANDOM);
            else
                memdisk_kill(n);
            assert_int_equal(snapshot_part_open(&p, &t, &name, &have), 0);
            assert_true(power ? have <= len : have == (len < HEAD ? 0 : len));
            int rc = snapshot_part_append(p, have, buf + have, name.size - have);
            assert_true(rc == 0 || (power && rc == -EBADMSG));
            if (rc == -EBADMSG) {
                any_bytes++;
                have = snapshot_part_have(p);
                assert_true(have >= HEAD && have < len &&
                            len - have < 12 + SNAPSHOT_CHUNK_MAX_BYTES);
                assert_int_equal(snapshot_part_append(p, have, buf + have, name.size - have), 0);
            }
            assert_int_equal(snapshot_part_finish(p, NULL, &head), 0);
            assert_true(head.storage_id == OURS && head.index == 2);
            assert_int_equal(load_one(&t, 2, &name), 0);
            memdisk_free(n);
        }
    assert_true(any_bytes > 0);
    memdisk_free(m);
}

/* Of a long one, a loss of power costs no more than what came last. */
static void what_came_of_a_part_lasts(void **state)
{
    (void)state;
    static uint8_t buf[SIZE_MAX_BYTES];
    struct snapshots s, t;
    struct memdisk *m = new_disk(&s), *n = new_disk(&t);
    struct snapshot_name name;
    struct snapshot_part *p;
    uint64_t have, at = 0;
    assert_int_equal(write_one(&s, LARGE, &name), 0);
    int fd = snapshot_open(&s, LARGE);
    assert_int_equal(snapshot_read(s.disk, fd, 0, buf, sizeof buf), (int)name.size);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(snapshot_part_open(&p, &t, &name, &have), 0);
        assert_true(have <= at && at - have < SYNCED + SNAPSHOT_CHUNK_MAX_BYTES);
        for (at = have; at < have + SYNCED + 300000 && at + 1000 < name.size; at += 1000)
            assert_int_equal(snapshot_part_append(p, at, buf + at, 1000), 0);
        snapshot_part_close(p);
        memdisk_power_cut(n, MEMDISK_KEEP_NONE);
    }
    assert_true(have > 2 * (SYNCED - SNAPSHOT_CHUNK_MAX_BYTES));
    memdisk_free(m);
    memdisk_free(n);
}

/* Bytes with right checksums that are not those of the name are not believed. */
static void a_part_is_what_was_offered(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = copy_of(3, &size);
    memset(bytes + 16, 0, 8);
    struct snapshot_name good = {3, 2, size, {0}}, name;
    memcpy(good.hash, bytes + size - sizeof good.hash, sizeof good.hash);
    for (unsigned i = 0; i < 10; i++) {
        struct snapshots s;
        struct memdisk *m = new_disk(&s);
        struct snapshot_part *p;
        struct snapshot_head head;
        uint64_t have;
        uint8_t sent[HEAD + 200];
        memcpy(sent, bytes, size);
        name = good;
        switch (i) {
        case 0: break;
        case 1: name.index = 4; break;
        case 2: name.term = 1; break;
        case 3: name.hash[0] ^= 1; break;
        case 4: name.hash[31] ^= 1; break;
        case 5: sent[HEAD + 12] ^= 1; break;
        case 6: sent[48] ^= 1; break;
        case 7: sent[24] ^= 1; break;
        case 8: sent[4000] ^= 1; break;
        default: sent[HEAD + 12] ^= 1; break; /* in all chunks the checksum is right */
        }
        if (i != 8)
            mend(sent, i < 8 ? size : size - 44);
        assert_int_equal(snapshot_part_open(&p, &s, &name, &have), 0);
        assert_int_equal(snapshot_part_append(p, 0, sent, size), 0);
        assert_int_equal(snapshot_part_finish(p, NULL, &head), i == 0 ? 0 : -EBADMSG);
        assert_int_equal(load_one(&s, 3, &name), i == 0 ? 0 : -ENOENT);
        name = good;
        assert_int_equal(snapshot_part_open(&p, &s, &name, &have), 0);
        assert_int_equal(have, 0); /* what was wrong is gone */
        snapshot_part_drop(p);
        memdisk_free(m);
    }
    free(bytes);
}

static void one_part_at_a_time(void **state)
{
    (void)state;
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name name = {.index = 7, .term = 1, .size = 9000, .hash = {1}};
    struct snapshot_part *p;
    struct snapshot_head head;
    uint64_t have;
    assert_int_equal(snapshot_part_open(&p, &s, &name, &have), 0);
    assert_int_equal(snapshot_part_append(p, 0, (const uint8_t *)"x", 1), 0);
    snapshot_part_close(p);
    assert_true(there(&s, "/d/snap/0000000000000001.part"));
    name.hash[0] = 2;
    assert_int_equal(snapshot_part_open(&p, &s, &name, &have), 0);
    assert_false(there(&s, "/d/snap/0000000000000001.part"));
    assert_int_equal(snapshot_part_finish(p, NULL, &head), -EBADMSG); /* it is not whole */
    assert_non_null(strstr(s.message, "is not whole"));
    assert_false(there(&s, "/d/snap/0000000000000002.part"));
    memdisk_free(m);
}

/* ---- given up ---- */

struct giving_up {
    unsigned calls, at;
};

static int give_up(void *ctx, uint64_t done, uint64_t all)
{
    struct giving_up *g = ctx;
    assert_true(done > 0 && (all == 0 || done <= all));
    return ++g->calls == g->at ? -ECANCELED : 0;
}

static void each_can_be_given_up(void **state)
{
    (void)state;
    struct snapshots s, t;
    struct memdisk *m = new_disk(&s), *n = new_disk(&t);
    struct snapshot_name name;
    struct giving_up g = {0, 0};
    s.pace = t.pace = give_up;
    s.pace_ctx = t.pace_ctx = &g;
    unsigned times = 0;
    for (g.at = 1; write_one(&s, 2, &name) == -ECANCELED; g.at++, g.calls = 0, times++) {
        assert_string_equal(s.message, "given up");
        assert_false(there(&s, PATH_OF(2)));
        assert_false(there(&s, "/d/snap/0000000000000000.tmp"));
    }
    assert_int_equal(times, 6 + 5); /* chunks written with the last one, and read back without */
    for (g.at = 1, g.calls = 0; load_one(&s, 2, &name) == -ECANCELED; g.at++, g.calls = 0)
        times++;
    assert_int_equal(times, 11 + 5);
    struct chunks c = chunks_of(3);
    struct snapshot_head h = head_of(3);
    c.end = -EPIPE; /* of the source itself */
    g.at = 0;
    assert_int_equal(snapshot_write(&s, &h, &(struct snapshot_source){next, &c}, &name), -EPIPE);
    assert_false(there(&s, PATH_OF(3)));
    memdisk_free(m);
    memdisk_free(n);
}

/* A full disk costs no snapshot that is there, and what was tried takes no room. */
static void a_full_disk(void **state)
{
    (void)state;
    for (unsigned room = 0; room < 80000; room += room < 6000 ? 512 : 8192) {
        struct snapshots s;
        struct memdisk *m = new_disk(&s);
        struct snapshot_name name;
        assert_int_equal(write_one(&s, 1, &name), 0);
        uint64_t used = memdisk_used(m);
        memdisk_limit(m, used + room);
        int rc = write_one(&s, 2, &name);
        assert_int_equal(rc, room < 70000 ? -ENOSPC : 0);
        assert_true(rc == 0 || memdisk_used(m) == used);
        memdisk_limit(m, UINT64_MAX);
        assert_int_equal(write_one(&s, 2, &name), 0);
        expect(&s, 2, 2);
        memdisk_free(m);
    }
}

static void a_long_name(void **state)
{
    (void)state;
    char dir[WAL_PATH_MAX];
    struct snapshots s;
    struct memdisk *m = new_disk(&s);
    struct snapshot_name name = {.size = 1};
    struct snapshot_head head;
    struct snapshot_part *p;
    uint64_t have;
    memset(dir, 'x', sizeof dir - 1);
    dir[sizeof dir - 12] = '\0';
    s.dir = dir;
    assert_int_equal(snapshot_load(&s, 1, NULL, &head, &name), -ENAMETOOLONG);
    dir[sizeof dir - 12] = 'x';
    dir[sizeof dir - 1] = '\0';
    assert_int_equal(write_one(&s, 1, &name), -ENAMETOOLONG);
    assert_int_equal(snapshot_part_open(&p, &s, &name, &have), -ENAMETOOLONG);
    memdisk_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_failing_call_while_writing),
        cmocka_unit_test(what_was_fetched_is_the_same),
        cmocka_unit_test(a_failing_call_while_fetching),
        cmocka_unit_test(every_byte_flipped_or_cut),
        cmocka_unit_test(what_is_none_of_ours),
        cmocka_unit_test(sections_ascend),
        cmocka_unit_test(the_hash_is_of_all),
        cmocka_unit_test(a_damaged_one_is_put_aside),
        cmocka_unit_test(two_are_kept),
        cmocka_unit_test(a_part_goes_on),
        cmocka_unit_test(what_came_of_a_part_lasts),
        cmocka_unit_test(a_part_is_what_was_offered),
        cmocka_unit_test(one_part_at_a_time),
        cmocka_unit_test(each_can_be_given_up),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_long_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
