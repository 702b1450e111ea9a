// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_past.c
/* What a start makes of a damaged log when others have what was lost: everything before the damage stays,
 * nothing wrong is taken, what was cut off is kept, and the node knows that it is in doubt; whenever the
 * power is cut, and whatever call fails. */
#include "storage/repair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/batch.h"
#include "tests/lib/disk_past.h"

enum { BLOCK = BATCH_BLOCK_BYTES, SIZE = WAL_SEGMENT_BYTES_MIN, SEGMENTS = 3 };

static const char *const paths[SEGMENTS] = {DIR SEG(1), DIR SEG(2), DIR SEG(3)};

/* A rig, and how it is opened. */
struct bed {
    struct rig *g;
    struct wal_options opts;
    uint8_t files[SEGMENTS][SIZE]; /* as damage left them */
    bool there[SEGMENTS];
};

static struct bed *bed_new(void)
{
    struct bed *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->g = rig_with_log();
    b->opts = options;
    b->opts.repair = true;
    return b;
}

static void bed_free(struct bed *b)
{
    rig_free(b->g);
    free(b);
}

static void remember_files(struct bed *b)
{
    for (int i = 0; i < SEGMENTS; i++) {
        size_t size;
        const uint8_t *p = memdisk_peek(b->g->m, paths[i], &size);
        b->there[i] = p != NULL;
        if (p != NULL)
            memcpy(b->files[i], p, size);
    }
}

static int open_it(struct bed *b)
{
    wal_close(b->g->w);
    b->g->w = NULL;
    return wal_open(&b->g->w, disk_of(b->g), DIR, &b->opts, &b->g->rep);
}

static void must_open(struct bed *b)
{
    int rc = open_it(b);
    if (rc != 0)
        fail_msg("wal_open: %d %s", rc, b->g->rep.message);
}

/* The state after batch k, or the end of the snapshot when that is further; but for the term and vote, which
 * are those of the whole log. */
static struct model want(const struct bed *b, int k)
{
    const struct model *whole = &b->g->after[b->g->n];
    struct model m = b->g->after[k];
    uint64_t base = b->opts.base.index;
    m.term = whole->term;
    m.vote = whole->vote;
    if (m.last < base) {
        m.base = m.last = m.commit = base;
        m.e[base] = whole->e[base];
    }
    m.commit = m.commit < base ? base : m.commit;
    return m;
}

static void must_hold(struct bed *b, int k, const char *what, size_t at)
{
    struct model *m = malloc(sizeof *m);
    assert_non_null(m);
    *m = want(b, k);
    const char *differs = model_differs(m, b->g->w, &b->g->rep);
    if (differs != NULL)
        fail_msg("%s at %zu: not as after batch %d: %s (%s)", what, at, k, differs,
                 b->g->rep.message);
    free(m);
}

static bool in_doubt(struct bed *b)
{
    size_t size;
    return memdisk_peek(b->g->m, DIR "/doubt", &size) != NULL;
}

/* Is a file of exactly these bytes in the log or put aside? */
static bool is_kept(struct bed *b, int segment)
{
    size_t size;
    const uint8_t *p = memdisk_peek(b->g->m, paths[segment], &size);
    for (unsigned n = 1; n < 60; n++) {
        char path[64];
        if (p != NULL && size == SIZE && memcmp(p, b->files[segment], SIZE) == 0)
            return true;
        snprintf(path, sizeof path, DIR "/log/damaged/%u-%s", n, strrchr(paths[segment], '/') + 1);
        p = memdisk_peek(b->g->m, path, &size);
    }
    return false;
}

static void all_is_kept(struct bed *b, int from)
{
    for (int i = from; i < SEGMENTS; i++)
        if (b->there[i] && !is_kept(b, i))
            fail_msg("%s is not there any more", paths[i]);
}

/* It goes on as any log does, and stays in doubt until it is healed. */
static void goes_on(struct bed *b)
{
    struct rig *g = b->g;
    struct model *m = malloc(sizeof *m), *next = malloc(sizeof *next);
    assert_true(m != NULL && next != NULL);
    *m = want(b, 0);
    m->base = g->rep.base_index;
    m->last = g->rep.last_index;
    m->commit = g->rep.commit;
    for (uint64_t i = m->base; i <= m->last; i++)
        m->e[i] = g->after[g->n].e[i];
    memcpy(m->e[m->last].hash, g->rep.head, WAL_HASH_BYTES);
    *next = *m;
    model_begin(next, &g->b);
    next->term++;
    next->vote = 0;
    model_entry(next, &g->b, 2000, 1);
    model_entry(next, &g->b, 2000, 2);
    model_end(next, &g->b, 0);
    assert_int_equal(wal_append(g->w, &g->b.batch), 0);
    must_open(b);
    assert_true(g->rep.doubt);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    assert_non_null(strstr(g->rep.message, "not healed yet"));
    assert_int_equal(g->rep.last_index, next->last);
    assert_int_equal(g->rep.term, next->term);
    assert_memory_equal(g->rep.head, next->e[next->last].hash, WAL_HASH_BYTES);
    char err[WAL_MESSAGE_BYTES];
    assert_int_equal(doubt_clear(disk_of(g), DIR, err, sizeof err), 0);
    must_open(b);
    assert_false(g->rep.doubt);
    assert_string_equal(g->rep.message, "");
    free(m);
    free(next);
}

/* How many batches lie before this place. The seal counts as a batch behind all others. */
static int before(const struct rig *g, int segment, size_t at)
{
    int k = 0;
    while (k < g->n &&
           (strcmp(g->path[k + 1], paths[segment]) < 0 ||
            (strcmp(g->path[k + 1], paths[segment]) == 0 && g->at[k + 1] + g->bytes[k + 1] <= at)))
        k++;
    return k;
}

/* A bit, or a block that is all zeros or ones, or cannot be read, in each block that holds anything. */
static void damage_anywhere_cuts_the_log_there(void **state)
{
    (void)state;
    unsigned cuts = 0;
    for (int s = 0; s < SEGMENTS; s++)
        for (size_t at = 0; at < SIZE; at += BLOCK)
            for (int kind = 0; kind < 5; kind++) {
                struct bed *b = bed_new();
                struct rig *g = b->g;
                uint8_t bad[BLOCK];
                size_t size;
                int k = before(g, s, at);
                bool seal = at == SIZE - BLOCK && s + 1 < SEGMENTS;
                bool held = at == 0 || seal || (k < g->n && strcmp(g->path[k + 1], paths[s]) == 0);
                memcpy(bad, memdisk_peek(g->m, paths[s], &size) + at, BLOCK);
                if (kind < 2)
                    memset(bad, kind == 0 ? 0 : 0xff, BLOCK);
                else if (kind < 4)
                    bad[kind == 2 ? 20 : 130] ^= 4;
                memdisk_poke(g->m, paths[s], at, bad, BLOCK);
                if (kind == 4)
                    memdisk_unreadable(g->m, paths[s], at, BLOCK);
                remember_files(b);
                if (held && !seal && k + 1 == g->n && at != 0) { /* the last one: a cut write */
                    must_open(b);
                    assert_false(g->rep.doubt);
                    assert_true(kind == 0 || g->rep.verdict == WAL_TORN);
                } else if (held) {
                    assert_int_equal(wal_check(disk_of(g), DIR, &options, &g->rep), -EBADMSG);
                    must_open(b);
                    assert_true(g->rep.doubt && in_doubt(b));
                    assert_int_equal(g->rep.verdict, WAL_CORRUPT);
                    assert_int_equal(g->rep.bad_first_index, g->after[k].last + 1);
                    must_hold(b, k, paths[s], at);
                    assert_true((strstr(g->rep.message, "could not read") != NULL) == (kind == 4));
                    if (kind < 4)
                        all_is_kept(b, 0);
                    goes_on(b);
                    cuts++;
                }
                bed_free(b);
            }
    assert_true(cuts > 60);
}

/* Each kind of damage by its number. Returns how many batches stay, -1: there are no more kinds. */
static int damage(struct bed *b, unsigned kind)
{
    struct rig *g = b->g;
    static const uint8_t bad[20] = {1, 2, 3};
    uint64_t last = g->after[g->n].last;
    switch (kind) {
    case 0: memdisk_poke(g->m, g->path[2], g->at[2] + 200, bad, 1); return 1;
    case 1: memdisk_poke(g->m, g->path[9], g->at[9] + 16, bad, 20); return 8;
    case 2: memdisk_poke(g->m, paths[1], 30, bad, 20); return before(g, 1, 0);
    case 3: memdisk_poke(g->m, paths[0], SIZE - BLOCK + 30, bad, 20); return before(g, 1, 0);
    case 4: memdisk_lose(g->m, paths[1]); return before(g, 1, 0);
    case 5: memdisk_lose(g->m, paths[0]); return 0;
    case 6: memdisk_truncate(g->m, paths[1], 3 * BLOCK + 1); return before(g, 1, 0);
    case 7: memdisk_poke(g->m, paths[0], 30, bad, 20); return 0;
    /* With a snapshot. It has all that is damaged, but not all that was cut off: */
    case 8:
    case 9:
    case 10:
        b->opts.base = model_base(&g->after[g->n], last - 3);
        if (kind == 10) {
            memdisk_poke(g->m, paths[2], 30, bad, 20);
            return before(g, 2, 0);
        }
        memdisk_poke(g->m, paths[1], kind == 8 ? 30 : g->at[before(g, 2, 0)] + 30, bad, 20);
        memdisk_poke(g->m, paths[2], 30, bad, 20);
        return kind == 8 ? before(g, 1, 0) : before(g, 2, 0) - 1;
    default: return -1;
    }
}

enum { KINDS = 11 };

static void the_power_may_be_cut_at_any_call(void **state)
{
    (void)state;
    unsigned undone = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        bool more = true;
        for (unsigned n = 1; more; n++) {
            struct bed *b = bed_new();
            struct rig *g = b->g;
            int k = damage(b, kind);
            remember_files(b);
            memdisk_fail_call(g->m, n, ENODEV); /* EIO is a block that can't be copied */
            more = open_it(b) != 0;
            memdisk_fail_call(g->m, 0, 0);
            wal_close(g->w);
            g->w = NULL;
            memdisk_seed(g->m, n);
            memdisk_power_cut(g->m, (enum memdisk_keep)(n % 3));
            bool doubt = in_doubt(b);
            bool untouched = true;
            for (int i = 0; i < SEGMENTS; i++) {
                size_t size;
                const uint8_t *p = memdisk_peek(g->m, paths[i], &size);
                untouched &= b->there[i] == (p != NULL) &&
                             (p == NULL || memcmp(p, b->files[i], size) == 0);
            }
            if (!doubt && !untouched)
                fail_msg("kind %u, call %u: the log was touched, and nothing says so", kind, n);
            undone += doubt && untouched;
            must_open(b);
            assert_true(g->rep.doubt && in_doubt(b));
            must_hold(b, k, "kind", kind);
            if (kind != 6) /* its length is not that of the others */
                all_is_kept(b, b->opts.base.index == 0 ? 0 : kind == 10 ? 2 : 1);
            goes_on(b);
            bed_free(b);
        }
    }
    assert_true(undone > 10);
}

static void a_failing_call_is_told_and_tried_again(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (unsigned n = 1, failed = 1; failed; n++) {
            struct bed *b = bed_new();
            int k = damage(b, kind);
            memdisk_fail_call(b->g->m, n, n % 2 == 0 ? ENOSPC : EIO);
            failed = open_it(b) != 0;
            if (failed)
                assert_true(b->g->w == NULL && b->g->rep.message[0] != '\0');
            memdisk_fail_call(b->g->m, 0, 0);
            must_open(b);
            must_hold(b, k, "kind", kind);
            bed_free(b);
        }
}

static void without_room_nothing_is_lost(void **state)
{
    (void)state;
    struct bed *b = bed_new();
    struct rig *g = b->g;
    int k = damage(b, 0);
    remember_files(b);
    memdisk_limit(g->m, memdisk_used(g->m) + BLOCK);
    assert_int_equal(open_it(b), -ENOSPC);
    assert_non_null(strstr(g->rep.message, "copy.tmp"));
    assert_true(in_doubt(b));
    all_is_kept(b, 0);
    memdisk_limit(g->m, UINT64_MAX);
    must_open(b);
    must_hold(b, k, "full", 0);
    all_is_kept(b, 0);
    bed_free(b);
}

static void a_check_says_what_a_start_does(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct bed *b = bed_new();
        struct rig *g = b->g;
        struct wal_report rep;
        (void)damage(b, kind);
        uint64_t hash = memdisk_hash(g->m);
        assert_int_equal(wal_check(disk_of(g), DIR, &b->opts, &rep), 0);
        assert_int_equal(memdisk_hash(g->m), hash);
        must_open(b);
        assert_true(rep.doubt && rep.verdict == WAL_CORRUPT);
        assert_int_equal(rep.last_index, g->rep.last_index);
        assert_int_equal(rep.base_index, g->rep.base_index);
        assert_int_equal(rep.term, g->rep.term);
        assert_int_equal(rep.vote, g->rep.vote);
        assert_int_equal(rep.bad_first_index, g->rep.bad_first_index);
        assert_int_equal(rep.bad_last_index, g->rep.bad_last_index);
        assert_string_equal(rep.message, g->rep.message);
        bed_free(b);
    }
}

/* What a check says of each entry: '-' nothing, 'l' lost, 'r' readable. */
struct said {
    char of[200];
};

static void say_entry(void *ctx, uint64_t first, uint64_t last, const struct record *rec)
{
    struct said *said = ctx;
    assert_true(first <= last && last < sizeof said->of);
    for (uint64_t i = first; i <= last; i++)
        if (said->of[i] != 'r') /* one that was overwritten may be there, too */
            said->of[i] = rec != NULL ? 'r' : 'l';
}

static struct said check_says(struct bed *b)
{
    struct said said;
    struct wal_report rep;
    struct wal_options opts = b->opts;
    memset(said.of, '-', sizeof said.of);
    opts.cut_off = say_entry;
    opts.cut_off_ctx = &said;
    assert_int_equal(wal_check(disk_of(b->g), DIR, &opts, &rep), 0);
    return said;
}

/* Before a start and after it: what was cut off is told from what is kept of it. */
static void a_check_tells_what_is_lost(void **state)
{
    (void)state;
    unsigned readable = 0, lost = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct bed *b = bed_new();
        struct said before, after;
        (void)damage(b, kind);
        before = check_says(b);
        readable += memchr(before.of, 'r', sizeof before.of) != NULL;
        lost += memchr(before.of, 'l', sizeof before.of) != NULL;
        for (int start = 0; start < 2; start++) {
            must_open(b);
            after = check_says(b);
            if (memcmp(&before, &after, sizeof before) != 0)
                fail_msg("kind %u: %.60s, then %.60s", kind, before.of, after.of);
        }
        bed_free(b);
    }
    assert_true(readable > 5 && lost > 2);
}

static void nothing_at_all_is_left(void **state)
{
    (void)state;
    for (int directory = 0; directory < 2; directory++) {
        struct bed *b = bed_new();
        for (int i = 0; i < SEGMENTS; i++)
            memdisk_lose(b->g->m, paths[i]);
        if (directory)
            memdisk_lose(b->g->m, DIR "/log");
        must_open(b);
        assert_true(b->g->rep.doubt && in_doubt(b));
        assert_int_equal(b->g->rep.last_index, 0);
        assert_int_equal(b->g->rep.term, 0);
        assert_non_null(strstr(b->g->rep.message, "the log is missing"));
        bed_free(b);
    }
}

/* What is no damage but a mistake of people, or a newer raftd's, is not touched. */
static void a_foreign_log_is_refused(void **state)
{
    (void)state;
    struct bed *b = bed_new();
    uint64_t hash = memdisk_hash(b->g->m);
    b->opts.storage_id++;
    assert_int_equal(open_it(b), -EBADMSG);
    assert_non_null(strstr(b->g->rep.message, "belongs to storage"));
    assert_int_equal(memdisk_hash(b->g->m), hash);
    bed_free(b);
}

/* The doubt keeps the term that only the damaged files showed, until it is in the log. */
static void a_term_that_was_cut_off_is_kept(void **state)
{
    (void)state;
    struct bed *b = bed_new();
    struct rig *g = b->g;
    struct doubt d;
    char err[WAL_MESSAGE_BYTES];
    int k = damage(b, 0);
    assert_true(g->after[k].term < g->after[g->n].term);
    must_open(b);
    assert_int_equal(g->rep.term, g->after[g->n].term);
    assert_int_equal(g->rep.vote, g->after[g->n].vote);
    assert_int_equal(g->rep.bad_last_index, g->after[g->n].last);
    assert_int_equal(doubt_read(disk_of(g), DIR, &d, err, sizeof err), 0);
    assert_int_equal(d.term, g->rep.term);
    assert_int_equal(d.first_lost, g->after[k].last + 1);
    assert_int_equal(d.last_lost, g->after[g->n].last);
    assert_non_null(strstr(d.why, "is damaged (payload checksum)"));
    must_open(b);
    assert_int_equal(g->rep.term, g->after[g->n].term);
    bed_free(b);
}

/* A value of a client may look like the head of a batch, with any term. Behind the log, in its last file or
 * in a spare, it says nothing of what this node promised: only a head with the salt of its segment does. */
static void a_head_that_a_client_made_says_nothing(void **state)
{
    (void)state;
    const struct batch_head made = {.seq = UINT64_MAX,
                                    .term = UINT64_MAX,
                                    .vote = 2,
                                    .last_term = 9,
                                    .first_index = 1 << 20,
                                    .last_index = 1 << 20,
                                    .payload_len = 10};
    for (int spare = 0; spare < 2; spare++) {
        struct bed *b = bed_new();
        struct rig *g = b->g;
        uint8_t head[BATCH_HEAD_BYTES];
        char err[WAL_MESSAGE_BYTES];
        batch_encode(head, &made);
        assert_int_equal(wal_make_spare(disk_of(g), DIR, 4, SIZE, err, sizeof err), 0);
        memdisk_poke(g->m, spare ? DIR SEG(4) : paths[2], SIZE - 2 * BLOCK, head, sizeof head);
        (void)damage(b, 0);
        must_open(b);
        assert_int_equal(g->rep.term, g->after[g->n].term);
        assert_int_equal(g->rep.vote, g->after[g->n].vote);
        assert_int_equal(g->rep.bad_last_index, g->after[g->n].last);
        bed_free(b);
    }
}

/* A file that has lost its end and its head still shows what was lost with it. */
static void a_cut_file_without_head_tells_what_is_lost(void **state)
{
    static const uint8_t none[BLOCK];
    (void)state;
    struct bed *b = bed_new();
    struct rig *g = b->g;
    memdisk_poke(g->m, paths[2], 0, none, BLOCK);
    memdisk_truncate(g->m, paths[2], SIZE - BLOCK);
    must_open(b);
    assert_non_null(strstr(g->rep.message, "cut or foreign"));
    assert_int_equal(g->rep.bad_last_index, g->after[g->n].last);
    bed_free(b);
}

/* Without a snapshot nothing can be in it. */
static void votes_alone_are_not_in_a_snapshot(void **state)
{
    (void)state;
    struct bed *b = calloc(1, sizeof *b);
    assert_non_null(b);
    struct rig *g = b->g = rig_new();
    b->opts = options;
    b->opts.repair = true;
    while (g->n == 0 || strcmp(g->path[g->n], paths[1]) != 0)
        put(g, 0, 0, false);
    memdisk_poke(g->m, g->path[3], g->at[3] + 30, "x", 1);
    assert_int_equal(wal_check(disk_of(g), DIR, &options, &g->rep), -EBADMSG);
    assert_non_null(strstr(g->rep.message, "is damaged (batch head)"));
    must_open(b);
    assert_true(g->rep.doubt);
    must_hold(b, 2, "vote", 3);
    bed_free(b);
}

static uint64_t bytes_aside(struct bed *b, unsigned *first)
{
    uint64_t bytes = 0;
    *first = 0;
    for (unsigned n = 1; n < 30; n++)
        for (int i = 1; i < 30; i++) {
            char path[64];
            size_t size;
            snprintf(path, sizeof path, DIR "/log/damaged/%u-%016x.seg", n, (unsigned)i);
            if (memdisk_peek(b->g->m, path, &size) == NULL)
                continue;
            bytes += size;
            *first = *first == 0 ? n : *first;
        }
    return bytes;
}

static void what_is_kept_has_a_bound(void **state)
{
    (void)state;
    struct bed *b = bed_new();
    unsigned first;
    (void)damage(b, 2);
    b->opts.damaged_max_bytes = 4 * SIZE;
    for (unsigned start = 1; start < 9; start++) {
        must_open(b);
        assert_true(b->g->rep.doubt);
        uint64_t bytes = bytes_aside(b, &first);
        assert_int_equal(bytes, (start < 3 ? start + 1 : 4) * SIZE);
        assert_int_equal(first, start <= 4 ? 1 : start - 3);
        wal_close(b->g->w);
        b->g->w = NULL;
        memdisk_poke(b->g->m, paths[1], 30, "xx", 2);
    }
    bed_free(b);
}

static void a_file_in_its_place_is_named(void **state)
{
    (void)state;
    struct bed *b = bed_new();
    const struct disk *d = disk_of(b->g);
    (void)damage(b, 0);
    int fd = d->open(d->ctx, DIR "/log/damaged", DISK_CREATE);
    assert_int_equal(d->close(d->ctx, fd), 0);
    assert_int_equal(open_it(b), -ENOTDIR);
    assert_non_null(strstr(b->g->rep.message, "/log/damaged: is no directory"));
    bed_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_anywhere_cuts_the_log_there),
        cmocka_unit_test(the_power_may_be_cut_at_any_call),
        cmocka_unit_test(a_failing_call_is_told_and_tried_again),
        cmocka_unit_test(without_room_nothing_is_lost),
        cmocka_unit_test(a_check_says_what_a_start_does),
        cmocka_unit_test(a_check_tells_what_is_lost),
        cmocka_unit_test(nothing_at_all_is_left),
        cmocka_unit_test(a_foreign_log_is_refused),
        cmocka_unit_test(a_term_that_was_cut_off_is_kept),
        cmocka_unit_test(a_head_that_a_client_made_says_nothing),
        cmocka_unit_test(a_cut_file_without_head_tells_what_is_lost),
        cmocka_unit_test(votes_alone_are_not_in_a_snapshot),
        cmocka_unit_test(what_is_kept_has_a_bound),
        cmocka_unit_test(a_file_in_its_place_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
