// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c tests/lib/disk_past.c HEAVY
/* What recovery makes of damage: the table, cuts at every byte, flipped bits, zeroed, foreign and
 * old blocks, missing files. Power cuts and failing calls are in test_wal.c. */
#include "storage/recover.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/record.h"
#include "storage/verdict.h"
#include "tests/lib/disk_past.h"
#include "tests/lib/record_members.h"

enum { BLOCK = BATCH_BLOCK_BYTES };

static int check(struct rig *g)
{
    return wal_check(disk_of(g), DIR, &options, &g->rep);
}

static void must_be_corrupt(struct rig *g, const char *what, size_t at)
{
    int rc = check(g);
    if (rc != -EBADMSG || g->rep.verdict != WAL_CORRUPT || g->rep.message[0] == '\0')
        fail_msg("%s at %zu: %d, verdict %d, last index %llu: %s", what, at, rc, g->rep.verdict,
                 (unsigned long long)g->rep.last_index, g->rep.message);
}

/* The state after batch k, not corrupt. */
static bool is_state(struct rig *g, int k)
{
    return model_differs_report(&g->after[k], &g->rep) == NULL;
}

/* ---- the table ---- */

static bool has(uint8_t set, uint8_t fact)
{
    return (set & fact) != 0;
}

static int rows_for(const struct verdict_facts *f)
{
    int rows = 0;

    for (size_t i = 0; i < verdict_n_rules; i++) {
        const struct verdict_facts *w = &verdict_rules[i].when;
        rows += has(w->seal, f->seal) && has(w->block, f->block) && has(w->payload, f->payload) &&
                has(w->seq, f->seq) && has(w->chained, f->chained) && has(w->later, f->later) &&
                has(w->last, f->last) && has(w->rest, f->rest) && has(w->recycled, f->recycled);
    }
    return rows;
}

/* The rules again as sentences, for facts that are all known. */
static enum verdict in_words(const struct verdict_facts *f)
{
    if (f->seal == YES)
        return VERDICT_SEALED;
    if (f->block == AT_HEAD) {
        if (f->seq != SEQ_NEXT || f->chained == NO)
            return VERDICT_CORRUPT;
        if (f->payload == YES)
            return VERDICT_ACCEPT;
    }
    if (f->later == YES || f->last == NO)
        return VERDICT_CORRUPT;
    /* Here and behind, does anything stand that was not there when the segment began? */
    uint8_t before = f->recycled == YES ? AT_ZERO | AT_STRANGE : AT_ZERO;
    return has(before, f->block) && has(before, f->rest) ? VERDICT_CLEAN : VERDICT_TORN;
}

static void every_combination_of_facts_has_exactly_one_row(void **state)
{
    static const uint8_t fact[] = {1, 2, 4, 8};
    int combinations = 0;
    bool used[64] = {false};

    (void)state;
    for (unsigned bits = 0; bits < 64; bits++)
        for (int block = 0; block < 4; block++)
            for (int other = 0; other < 9; other++) {
                struct verdict_facts f = {
                    .seal = (bits & 1) != 0 ? YES : NO,
                    .block = fact[block],
                    .payload = (bits & 2) != 0 ? YES : NO,
                    .seq = fact[other % 3],
                    .chained = (bits & 4) != 0 ? YES : NO,
                    .later = (bits & 8) != 0 ? YES : NO,
                    .last = (bits & 16) != 0 ? YES : NO,
                    .rest = fact[other / 3],
                    .recycled = (bits & 32) != 0 ? YES : NO,
                };
                assert_int_equal(rows_for(&f), 1);
                const struct verdict_rule *rule = verdict_judge(&f);
                assert_non_null(rule);
                assert_int_equal(rule->verdict, in_words(&f));
                used[rule - verdict_rules] = true;
                combinations++;

                /* Without the look-ahead: the same verdict, or none yet. */
                f.later = f.last = f.rest = f.recycled = 0;
                const struct verdict_rule *early = verdict_judge(&f);
                assert_true(early == NULL || early == rule);
            }
    assert_int_equal(combinations, 2304);
    for (size_t i = 0; i < verdict_n_rules; i++)
        assert_true(used[i]);
}

/* ---- cuts ---- */

static void zeros_from_any_byte_of_the_last_two_batches_on(void **state)
{
    struct rig *g = rig_with_log();
    size_t size;
    int last = g->n;
    size_t end = g->at[last] + g->bytes[last];

    (void)state;
    assert_string_equal(g->path[last], g->path[last - 1]);
    uint8_t *whole = malloc(WAL_SEGMENT_BYTES_MIN);
    assert_non_null(whole);
    const uint8_t *file = memdisk_peek(g->m, g->path[last], &size);
    memcpy(whole, file, size);
    static const uint8_t zeros[2 * BLOCK];
    size_t used_last = 0, used_before = 0; /* ends of the bytes that are not zero anyway */
    for (size_t at = g->at[last - 1]; at < end; at++)
        if (whole[at] != 0)
            *(at < g->at[last] ? &used_before : &used_last) = at + 1;
    for (size_t at = g->at[last - 1]; at <= end; at++) {
        memdisk_poke(g->m, g->path[last], at, zeros, end - at);
        assert_int_equal(check(g), 0);
        int want = at >= used_last ? last : at >= used_before ? last - 1 : last - 2;
        assert_true(is_state(g, want));
        bool torn = (at > g->at[last] && at < used_last) ||
                    (at > g->at[last - 1] && at < used_before);
        assert_int_equal(g->rep.verdict, torn ? WAL_TORN : WAL_CLEAN);
        memdisk_poke(g->m, g->path[last], at, whole + at, end - at);
    }
    free(whole);
    rig_free(g);
}

static void a_file_cut_at_any_byte_is_refused(void **state)
{
    struct rig *g = rig_with_log();
    int last = g->n;

    (void)state;
    /* Nothing ever makes a segment shorter, so a short one is damage, wherever it was cut. */
    for (size_t at = g->at[last] + g->bytes[last]; at-- > g->at[last - 1];) {
        memdisk_truncate(g->m, g->path[last], at);
        must_be_corrupt(g, "file cut", at);
        assert_non_null(strstr(g->rep.message, "bytes long"));
    }
    memdisk_truncate(g->m, g->path[last], 0);
    must_be_corrupt(g, "file cut", 0);
    rig_free(g);
}

static void a_torn_tail_is_left_behind_in_its_segment(void **state)
{
    (void)state;
    for (int times = 1; times <= 3; times++) {
        struct rig *g = rig_new();
        put(g, 2, 40, false);
        for (int i = 0; i < times; i++) {
            put(g, 3, 2000, false);
            /* The middle of it never reached the medium. */
            static const uint8_t zeros[512];
            memdisk_poke(g->m, g->path[g->n], g->at[g->n] + BLOCK, zeros, sizeof zeros);
            g->n--;
            assert_int_equal((wal_close(g->w), g->w = NULL, check(g)), 0);
            assert_int_equal(g->rep.verdict, WAL_TORN);
            assert_int_equal(g->rep.cut_bytes, 2 * BLOCK);
            assert_int_equal(g->rep.bad_first_index, g->after[g->n].last + 1);
            assert_int_equal(g->rep.bad_last_index, g->after[g->n].last + 3);
            reopen(g);
            assert_int_equal(g->rep.verdict, WAL_TORN);
            assert_null(model_differs(&g->after[g->n], g->w, &g->rep));
            put(g, 1, 100, false);
            assert_int_equal(g->path[g->n][22], '2' + i); /* a new segment */
            reopen(g);
            assert_int_equal(g->rep.verdict, WAL_CLEAN);
            assert_null(model_differs(&g->after[g->n], g->w, &g->rep));
        }
        rig_free(g);
    }
}

/* A torn write that can be read again later (a flaky medium): it was given up, so it stays dead. */
static void a_tail_given_up_stays_dead_when_it_comes_back(void **state)
{
    struct rig *g = rig_new();
    uint8_t kept[512];
    size_t size;

    (void)state;
    put(g, 2, 40, false);
    put(g, 3, 2000, false);
    size_t at = g->at[g->n] + BLOCK;
    const uint8_t *file = memdisk_peek(g->m, g->path[g->n], &size);
    memcpy(kept, file + at, sizeof kept);
    static const uint8_t zeros[512];
    memdisk_poke(g->m, g->path[g->n], at, zeros, sizeof zeros);
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_TORN);
    memdisk_poke(g->m, g->path[g->n], at, kept, sizeof kept);
    g->n--;
    reopen(g);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    assert_null(model_differs(&g->after[g->n], g->w, &g->rep));
    rig_free(g);
}

/* ---- damage ---- */

/* Is this byte of a segment behind everything acknowledged, or between the last batch and a seal? */
struct owner {
    int batch; /* g->n + 1: nobody */
    bool seal, head;
};

static struct owner owner_of(struct rig *g, const char *path, size_t at)
{
    struct owner o = {.batch = g->n + 1};

    for (int k = 1; k <= g->n; k++)
        if (strcmp(g->path[k], path) == 0 && at >= g->at[k] && at < g->at[k] + g->bytes[k])
            o.batch = k;
    o.head = at < BLOCK;
    o.seal = at >= WAL_SEGMENT_BYTES_MIN - BLOCK && strcmp(path, g->path[g->n]) != 0;
    return o;
}

/* Judge one damaged byte. Outside the last batch: refused, always. Inside: refused, or only that
 * batch dropped. Where nothing is stored: nothing is lost. */
static void judge_damage(struct rig *g, const char *path, size_t at, const char *what)
{
    struct owner o = owner_of(g, path, at);
    int last = g->n;

    if (o.head || o.seal || o.batch < last) {
        must_be_corrupt(g, what, at);
        if (strstr(g->rep.message, path) == NULL && !o.seal)
            fail_msg("%s at %zu of %s: %s", what, at, path, g->rep.message);
        return;
    }
    int rc = check(g);
    if (o.batch == last) {
        if (rc != 0 && rc != -EBADMSG)
            fail_msg("%s at %zu: %d", what, at, rc);
        if (rc == 0 && (g->rep.verdict != WAL_TORN || !is_state(g, last - 1)))
            fail_msg("%s at %zu of the last batch: verdict %d", what, at, g->rep.verdict);
        return;
    }
    if (rc != 0 || !is_state(g, last))
        fail_msg("%s at %zu where nothing is: %d %s", what, at, rc, g->rep.message);
}

/* Every bit of every block that holds anything; elsewhere one in a thousand. The log is small, since
 * this is a third of a million recoveries: a vote, a truncation, a batch of two blocks, a sealed
 * segment, and two batches in the next. */
static void every_flipped_bit_outside_the_last_batch_is_refused(void **state)
{
    static const char *const paths[] = {DIR SEG(1), DIR SEG(2)};
    struct rig *g = rig_new();

    (void)state;
    put(g, 2, 40, false);
    put(g, 2, 2500, false);
    put(g, 0, 0, false);
    put(g, 3, 30, true);
    put(g, 1, 10, false);
    put(g, 2, 30, false);
    wal_close(g->w);
    g->w = NULL;
    assert_string_equal(g->path[4], paths[0]);
    assert_string_equal(g->path[5], paths[1]);
    assert_int_equal(check(g), 0);
    assert_int_equal(g->rep.verdict, WAL_CLEAN);
    for (size_t p = 0; p < 2; p++) {
        for (size_t bit = 0; bit < WAL_SEGMENT_BYTES_MIN * 8ul;) {
            size_t size, at = bit / 8;
            uint8_t byte = memdisk_peek(g->m, paths[p], &size)[at];
            uint8_t bad = (uint8_t)(byte ^ 1u << bit % 8);
            memdisk_poke(g->m, paths[p], at, &bad, 1);
            judge_damage(g, paths[p], at, "flip");
            memdisk_poke(g->m, paths[p], at, &byte, 1);
            struct owner o = owner_of(g, paths[p], at);
            bool stored = o.batch <= g->n || o.head || o.seal;
            bit += stored ? 1 : 1009;
        }
    }
    assert_int_equal(check(g), 0);
    rig_free(g);
}

/* A segment that has a head but no batch yet, and one whose only batch is the last: the smallest
 * cases, where nothing later stands behind. */
static void the_beginning_of_a_segment_is_not_special(void **state)
{
    struct rig *g = rig_new();

    (void)state;
    for (int i = 0; i < 5; i++)
        put(g, 1, 3000, false);
    put(g, 1, 3000, false); /* alone in segment 2 */
    wal_close(g->w);
    g->w = NULL;
    assert_string_equal(g->path[6], DIR SEG(2));
    for (size_t at = 0; at < BLOCK; at += 7) {
        uint8_t byte, bad;
        size_t size;
        byte = memdisk_peek(g->m, DIR SEG(2), &size)[at];
        bad = byte ^ 4;
        memdisk_poke(g->m, DIR SEG(2), at, &bad, 1);
        must_be_corrupt(g, "head", at);
        memdisk_poke(g->m, DIR SEG(2), at, &byte, 1);
    }
    rig_free(g);
}

static void an_idle_batch_makes_the_last_entry_certain(void **state)
{
    struct rig *g = rig_new();
    size_t size;

    (void)state;
    put(g, 2, 40, false);
    put(g, 2, 40, false);
    put_idle(g);
    wal_close(g->w);
    g->w = NULL;
    int k = g->n - 1;
    for (size_t bit = g->at[k] * 8; bit < (g->at[k] + 320) * 8; bit++) {
        uint8_t byte = memdisk_peek(g->m, g->path[k], &size)[bit / 8];
        uint8_t bad = (uint8_t)(byte ^ 1u << bit % 8);
        memdisk_poke(g->m, g->path[k], bit / 8, &bad, 1);
        must_be_corrupt(g, "flip before idle", bit / 8);
        memdisk_poke(g->m, g->path[k], bit / 8, &byte, 1);
    }
    rig_free(g);
}

static void whole_blocks_zeroed_set_old_or_foreign_are_refused(void **state)
{
    static const char *const paths[] = {DIR SEG(1), DIR SEG(2), DIR SEG(3)};
    struct rig *g = rig_with_log();
    struct rig *other = rig_new();
    uint8_t *kept = malloc(BLOCK), *bad = malloc(BLOCK);
    size_t size;

    (void)state;
    assert_true(kept != NULL && bad != NULL);
    /* The same history under another storage id: the same places hold blocks of the same shape. */
    struct wal_options foreign = options;
    struct wal_report rep;
    char err[200];
    foreign.storage_id++;
    wal_close(other->w);
    memdisk_free(other->m);
    other->m = new_disk();
    assert_int_equal(
        wal_create(disk_of(other), DIR, foreign.storage_id, options.segment_bytes, err, sizeof err),
        0);
    assert_int_equal(wal_open(&other->w, disk_of(other), DIR, &foreign, &rep), 0);
    put(other, 2, 40, false);
    const uint8_t *strange = memdisk_peek(other->m, DIR SEG(1), &size);

    for (size_t p = 0; p < 3; p++) {
        for (size_t at = 0; at < WAL_SEGMENT_BYTES_MIN; at += BLOCK) {
            struct owner o = owner_of(g, paths[p], at);
            if (o.batch > g->n && !o.head && !o.seal)
                continue;
            const uint8_t *file = memdisk_peek(g->m, paths[p], &size);
            memcpy(kept, file + at, BLOCK);
            for (int kind = 0; kind < 6; kind++) {
                memset(bad, kind == 1 ? 0xff : 0, BLOCK);
                if (kind == 2)
                    memcpy(bad, file + (at >= BLOCK ? at - BLOCK : at + BLOCK), BLOCK);
                if (kind == 3)
                    memcpy(bad, strange + BLOCK, BLOCK);
                if (kind == 4)
                    memcpy(bad, strange, BLOCK);
                if (kind == 5)
                    memcpy(bad, file + BLOCK, BLOCK);
                if (memcmp(bad, kept, BLOCK) == 0)
                    continue;
                memdisk_poke(g->m, paths[p], at, bad, BLOCK);
                if (o.batch == g->n && !o.head && kind == 0) {
                    assert_int_equal(check(g),
                                     0); /* gone without a trace: the documented residue */
                    assert_true(is_state(g, g->n - 1));
                } else {
                    judge_damage(g, paths[p], at, "block");
                }
                memdisk_poke(g->m, paths[p], at, kept, BLOCK);
            }
        }
    }
    free(kept);
    free(bad);
    rig_free(other);
    rig_free(g);
}

static void the_message_names_file_offset_and_entries(void **state)
{
    struct rig *g = rig_with_log();
    uint8_t one = 0xee;

    (void)state;
    /* Batch 2 (entry 3), payload. */
    memdisk_poke(g->m, g->path[2], g->at[2] + 200, &one, 1);
    must_be_corrupt(g, "message", 0);
    assert_string_equal(
        g->rep.message,
        "/d/log/0000000000000001.seg: the batch at offset 8192 is damaged (payload "
        "checksum), and a later batch behind it is whole; concerned: entries 3 to 3");
    assert_int_equal(g->rep.bad_first_index, 3);
    assert_int_equal(g->rep.bad_last_index, 3);
    /* Its state is that of the intact part before. */
    assert_true(is_state(g, 1));
    rig_free(g);

    /* The head of batch 5: the entries follow from the batches around it. */
    g = rig_with_log();
    memdisk_poke(g->m, g->path[5], g->at[5] + 20, &one, 1);
    must_be_corrupt(g, "message", 0);
    assert_int_equal(g->rep.bad_first_index, g->after[4].last + 1);
    assert_int_equal(g->rep.bad_last_index, g->after[5].last);
    rig_free(g);
}

/* ---- files ---- */

static void missing_files_are_noticed(void **state)
{
    (void)state;
    static const char *const paths[] = {DIR SEG(1), DIR SEG(2), DIR SEG(3)};
    for (size_t p = 0; p < 3; p++) {
        struct rig *g = rig_with_log();
        memdisk_lose(g->m, paths[p]);
        must_be_corrupt(g, paths[p], 0);
        struct wal *w = NULL;
        assert_int_equal(wal_open(&w, disk_of(g), DIR, &options, &g->rep), -EBADMSG);
        assert_null(w);
        rig_free(g);
    }
    struct rig *g = rig_with_log();
    for (size_t p = 0; p < 3; p++)
        memdisk_lose(g->m, paths[p]);
    must_be_corrupt(g, "all", 0);
    assert_non_null(strstr(g->rep.message, "the log is missing"));
    rig_free(g);

    g = rig_new();
    wal_close(g->w);
    g->w = NULL;
    memdisk_lose(g->m, DIR SEG(1));
    memdisk_lose(g->m, "/d/log");
    must_be_corrupt(g, "no directory", 0);
    rig_free(g);
}

static void a_spare_that_is_alone_is_not_a_new_log(void **state)
{
    struct rig *g = rig_new();
    char err[200];

    (void)state;
    put(g, 1, 10, false);
    assert_int_equal(wal_make_spare(disk_of(g), DIR, 2, options.segment_bytes, err, sizeof err), 0);
    wal_close(g->w);
    g->w = NULL;
    assert_int_equal(check(g), 0);
    /* A spare that is gone is nobody's loss; the segment before it is. */
    struct memdisk *kept = memdisk_clone(g->m);
    memdisk_lose(g->m, DIR SEG(2));
    assert_int_equal(check(g), 0);
    assert_true(is_state(g, 1));
    memdisk_free(g->m);
    g->m = kept;
    memdisk_lose(g->m, DIR SEG(1));
    must_be_corrupt(g, "only a spare", 0);
    rig_free(g);
}

static void a_log_of_another_directory_is_refused(void **state)
{
    struct rig *g = rig_with_log();
    struct wal_options other = options;

    (void)state;
    other.storage_id++;
    assert_int_equal(wal_check(disk_of(g), DIR, &other, &g->rep), -EBADMSG);
    assert_non_null(strstr(g->rep.message, "belongs to storage 1122334455667788"));
    rig_free(g);
}

static void half_made_segments_are_removed_and_strange_names_left_alone(void **state)
{
    static const char *const names[] = {"/log/0000000000000007.tmp", "/log/0000000000000002.spare",
                                        "/log/notes", "/log/0000000000000009.segment"};
    struct rig *g = rig_new();
    const struct disk *d = disk_of(g);

    (void)state;
    put(g, 1, 10, false);
    for (size_t i = 0; i < 4; i++) {
        char path[40];
        snprintf(path, sizeof path, DIR "%s", names[i]);
        int fd = d->open(d->ctx, path, DISK_CREATE);
        assert_true(fd >= 0);
        assert_int_equal(d->close(d->ctx, fd), 0);
    }
    reopen(g);
    for (size_t i = 0; i < 4; i++) {
        char path[40];
        size_t size;
        snprintf(path, sizeof path, DIR "%s", names[i]);
        assert_true((memdisk_peek(g->m, path, &size) == NULL) == (i < 2));
    }
    assert_null(model_differs(&g->after[1], g->w, &g->rep));
    rig_free(g);
}

static void recovery_is_idempotent_and_check_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig *g = rig_new();
        uint64_t rng = seed;
        struct model m = {0}, next;
        for (int i = 0; i < 30; i++) {
            next = m;
            model_step(&next, &g->b, &rng);
            if (i == 29) {
                memdisk_seed(g->m, seed);
                memdisk_fail_call(g->m, 2, EIO);
            }
            if (wal_append(g->w, &g->b.batch) == 0)
                m = next;
        }
        wal_close(g->w);
        g->w = NULL;
        memdisk_power_cut(g->m, MEMDISK_KEEP_RANDOM);
        uint64_t hash = memdisk_hash(g->m);
        assert_int_equal(check(g), 0);
        struct wal_report first = g->rep;
        assert_int_equal(check(g), 0);
        assert_int_equal(memdisk_hash(g->m), hash);
        assert_memory_equal(&first, &g->rep, sizeof first);
        for (int again = 0; again < 3; again++) {
            reopen(g);
            assert_int_equal(g->rep.verdict, again == 0 ? first.verdict : WAL_CLEAN);
            assert_int_equal(g->rep.last_index, first.last_index);
            assert_int_equal(g->rep.term, first.term);
            assert_int_equal(g->rep.vote, first.vote);
            assert_memory_equal(g->rep.head, first.head, sizeof first.head);
            assert_int_equal(g->rep.commit, first.commit);
            if (again == 0)
                hash = memdisk_hash(g->m);
            assert_int_equal(memdisk_hash(g->m), hash);
        }
        rig_free(g);
    }
}

/* Behind two batches without entries and entries 1 and 2 of term 2: a batch that is right but for what is in
 * its one record. */
static void append_record(struct rig *g, uint8_t *rec, size_t size, bool wrong_head)
{
    const struct model *m = &g->after[g->n];
    struct wal_batch b = {.term = m->term,
                          .vote = m->vote,
                          .first_index = 3,
                          .last_index = 3,
                          .last_term = 2,
                          .bytes = {{rec, size}},
                          .bytes_n = 1};
    record_hash(rec, size, b.head);
    b.head[0] ^= wrong_head ? 1 : 0;
    assert_int_equal(wal_append(g->w, &b), 0);
}

static struct rig *rig_with_two_entries(void)
{
    struct rig *g = rig_new();
    put(g, 0, 0, false);
    put(g, 0, 0, false);
    put(g, 2, 40, false);
    return g;
}

/* A whole batch with wrong records was written so, by a bug: never taken for a cut write. */
static void records_that_do_not_continue_the_log_are_refused(void **state)
{
    static const struct {
        uint64_t index, term;
        bool wrong_prev, wrong_head;
    } cases[] = {
        {3, 2, true, false}, {3, 2, false, true}, {4, 2, false, false}, {3, 1, false, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *g = rig_with_two_entries();
        uint8_t rec[64], prev[WAL_HASH_BYTES];
        memcpy(prev, g->after[g->n].e[2].hash, sizeof prev);
        prev[0] ^= cases[i].wrong_prev ? 1 : 0;
        size_t size = record_seal(rec, cases[i].index, cases[i].term, 0, RECORD_NOOP, prev, 0);
        append_record(g, rec, size, cases[i].wrong_head);
        must_be_corrupt(g, "record", i);
        assert_non_null(strstr(g->rep.message, "the batch at offset"));
        rig_free(g);
    }
}

/* The log ends with an entry of members, of these bytes. */
static struct rig *rig_with_members(const uint8_t *data, size_t len)
{
    struct rig *g = rig_with_two_entries();
    uint8_t rec[RECORD_HEAD_BYTES + MEMBERS_BYTES_MAX + 8];
    memcpy(rec + RECORD_HEAD_BYTES, data, len);
    size_t size = record_seal(rec, 3, 2, 0, RECORD_MEMBERS, g->after[g->n].e[2].hash,
                              (uint32_t)len);
    append_record(g, rec, size, false);
    return g;
}

static void must_be_no_members(const uint8_t *data, size_t len, const char *what, size_t at)
{
    struct rig *g = rig_with_members(data, len);
    must_be_corrupt(g, what, at);
    assert_non_null(strstr(g->rep.message, "entry 3 in the batch at offset"));
    rig_free(g);
}

/* Checksums that are right around members that are none: of another length, and with any field wrong. */
static void members_that_are_none_are_refused(void **state)
{
    uint8_t data[MEMBERS_BYTES_MAX + 8] = {0}, bad[sizeof data];

    (void)state;
    size_t len = members_encode(&members_sample, data);
    struct rig *g = rig_with_members(data, len);
    assert_int_equal(check(g), 0);
    assert_true(g->rep.members.index == 3 && g->rep.members.members.n == 2);
    rig_free(g);
    for (size_t n = 0; n <= len + 8; n++)
        if (n != len)
            must_be_no_members(data, n, "length", n);
    for (size_t i = 0; i < MEMBERS_WRONG; i++) {
        memcpy(bad, data, len);
        assert_int_not_equal(bad[members_wrong[i].at], members_wrong[i].value);
        bad[members_wrong[i].at] = members_wrong[i].value;
        must_be_no_members(bad, len, "field", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_of_facts_has_exactly_one_row),
        cmocka_unit_test(zeros_from_any_byte_of_the_last_two_batches_on),
        cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_torn_tail_is_left_behind_in_its_segment),
        cmocka_unit_test(a_tail_given_up_stays_dead_when_it_comes_back),
        cmocka_unit_test(every_flipped_bit_outside_the_last_batch_is_refused),
        cmocka_unit_test(the_beginning_of_a_segment_is_not_special),
        cmocka_unit_test(an_idle_batch_makes_the_last_entry_certain),
        cmocka_unit_test(whole_blocks_zeroed_set_old_or_foreign_are_refused),
        cmocka_unit_test(the_message_names_file_offset_and_entries),
        cmocka_unit_test(missing_files_are_noticed),
        cmocka_unit_test(a_spare_that_is_alone_is_not_a_new_log),
        cmocka_unit_test(a_log_of_another_directory_is_refused),
        cmocka_unit_test(half_made_segments_are_removed_and_strange_names_left_alone),
        cmocka_unit_test(recovery_is_idempotent_and_check_changes_nothing),
        cmocka_unit_test(records_that_do_not_continue_the_log_are_refused),
        cmocka_unit_test(members_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
