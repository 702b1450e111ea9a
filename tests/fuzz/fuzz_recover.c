// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c
/* Recovery of any log. Checksums and the chain of hashes would stop nearly all changes at the door, so
 * the input says whether they are made right again behind it: what then comes to the rules behind the
 * door is a log that a program with bugs, or somebody who can write to the disk, might have made.
 *
 *     byte 0: switches, see enum
 *     then changes of five bytes each: kind and segment, offset (two bytes), two more
 *
 * Recovery may refuse, or accept. What it accepts must be a log: entries 1 to the last, terms that
 * never fall, all of them readable with the hashes that lead from one to the next; it is found again
 * unchanged, and it goes on. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "storage/batch.h"
#include "storage/crc32c.h"
#include "storage/record.h"
#include "storage/wal.h"
#include "tests/lib/disk_model.h"
#include "tests/lib/disk_memory.h"

#define DIR "/d"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MEND_CHECKSUMS = 1,
    MEND_CHAIN = 2,  /* hashes of batches ... */
    MEND_PREVS = 8,  /* ... and in records of the ones before them */
    LOSE_SECOND = 4, /* no second segment */

    SEGMENTS = 2,
    SIZE = WAL_SEGMENT_BYTES_MIN,
    BLOCK = BATCH_BLOCK_BYTES,
    CHANGE_BYTES = 5,
    CHANGES_MAX = 40,
    ENTRIES = 16, /* of the log that is changed, at most */
};

static const struct wal_options options = {.segment_bytes = SIZE, .storage_id = 7};
static const char *const paths[SEGMENTS] = {DIR "/log/0000000000000001.seg",
                                            DIR "/log/0000000000000002.seg"};

static _Noreturn void broken(int line)
{
    fprintf(stderr, "fuzz_recover.c:%d: this must be\n", line);
    abort();
}

#define must(ok) ((ok) ? (void)0 : broken(__LINE__))

/* ---- the log that is changed ---- */

static void put(struct model *m, struct wal *w, int entries, bool term, bool cut, bool idle)
{
    static struct model_batch b;
    if (term || m->term == 0) {
        m->term++;
        m->vote = (uint16_t)(m->term % 3);
    }
    model_begin(m, &b);
    if (cut)
        model_truncate(m, &b, m->last - 1);
    for (int i = 0; i < entries; i++)
        model_entry(m, &b, 40 + 300 * (uint32_t)i, (uint8_t)m->last);
    model_end(m, &b, 0);
    b.batch.idle = idle;
    must(wal_append(w, &b.batch) == 0);
}

/* Two segments with one of everything. */
static struct memdisk *make_base(void)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    struct model model = {0};
    struct wal_report rep;
    struct wal *w;
    char err[WAL_MESSAGE_BYTES];
    must(d->mkdir(d->ctx, DIR) == 0 && d->sync_dir(d->ctx, "/") == 0);
    must(wal_create(d, DIR, options.storage_id, SIZE, err, sizeof err) == 0);
    must(wal_open(&w, d, DIR, &options, &rep) == 0);
    put(&model, w, 2, false, false, false);
    put(&model, w, 0, true, false, false);
    put(&model, w, 3, true, true, false);
    put(&model, w, 1, false, false, false);
    put(&model, w, 0, false, false, true);
    put(&model, w, 2, true, false, false);
    put(&model, w, 1, true, true, false);
    put(&model, w, 1, false, false, false);
    must(model.last <= ENTRIES && wal_check(d, DIR, &options, &rep) == 0 && rep.segments == 2);
    wal_close(w);
    return m;
}

/* ---- changes ---- */

static void change(uint8_t image[SEGMENTS][SIZE], const uint8_t c[CHANGE_BYTES])
{
    uint8_t *segment = image[c[0] & 1];
    uint32_t at = get_u16(c + 1) % SIZE, block = at / BLOCK * BLOCK;
    uint32_t in_head = block + c[3] % BATCH_HEAD_BYTES; /* most of what counts stands there */
    switch (c[0] >> 1 & 7) {
    case 0: segment[at] = c[3]; break;
    case 1: segment[at] ^= (uint8_t)(1u << c[3] % 8); break;
    case 2: segment[in_head] = c[4]; break;
    case 3: segment[in_head] = (uint8_t)(segment[in_head] + c[4]); break;
    case 4: memset(segment + block, c[4], BLOCK); break;
    case 5: memcpy(segment + block, image[c[3] & 1] + c[4] % (SIZE / BLOCK) * BLOCK, BLOCK); break;
    case 6: put_u64(segment + block + c[3] % (BATCH_HEAD_BYTES / 8) * 8, UINT64_MAX - c[4]); break;
    default: /* of the first record behind the head */
        segment[block + BATCH_HEAD_BYTES + c[3] % RECORD_HEAD_BYTES] = c[4];
        break;
    }
}

/* ---- mending, by the layouts of batch.h and record.h ---- */

enum { BATCH_PAYLOAD_AT = 16, BATCH_SUM_AT = 20, BATCH_SALT_AT = 24, BATCH_PREV_AT = 40 };
enum {
    BATCH_LAST_HASH_AT = 80,
    SEGMENT_SALT_AT = 32,
    SEGMENT_PREV_AT = 48,
    SEGMENT_LAST_HASH_AT = 88
};
enum { RECORD_PREV_AT = 32 };

struct mend {
    uint8_t switches;
    uint64_t salt;
    uint8_t chain[BATCH_HASH_BYTES];              /* name of the batch before */
    uint8_t last[RECORD_HASH_BYTES];              /* of the record before ... */
    uint8_t hash[ENTRIES + 1][RECORD_HASH_BYTES]; /* ... of the newest of each index */
};

/* The hash of the last record, or NULL. */
static const uint8_t *mend_records(struct mend *m, uint8_t *p, size_t left)
{
    const uint8_t *last = NULL;
    while (left >= RECORD_HEAD_BYTES) {
        uint64_t len = get_u32(p + 4), index = get_u64(p + 8);
        size_t size = len <= left ? record_size((uint32_t)len) : left + 1;
        if (size > left || index == 0 || index > ENTRIES)
            break;
        if (m->switches & MEND_PREVS)
            memcpy(p + RECORD_PREV_AT, m->hash[index - 1], RECORD_HASH_BYTES);
        put_u32(p, crc32c(0, p + 4, size - 4));
        record_hash(p, size, m->hash[index]);
        last = m->hash[index];
        p += size;
        left -= size;
    }
    return last;
}

/* The batch at `at`; where the next one would be. */
static uint32_t mend_batch(struct mend *m, uint8_t *segment, uint32_t at)
{
    uint8_t *p = segment + at;
    uint32_t len = get_u32(p + BATCH_PAYLOAD_AT);
    if (len > SIZE || at + batch_bytes(len) > SIZE)
        return SIZE;
    uint32_t bytes = (uint32_t)batch_bytes(len);
    const uint8_t *last = mend_records(m, p + BATCH_HEAD_BYTES, len);
    if (m->switches & MEND_CHAIN) {
        put_u64(p + BATCH_SALT_AT, m->salt);
        memcpy(p + BATCH_PREV_AT, m->chain, sizeof m->chain);
        if (last != NULL) {
            memcpy(p + BATCH_LAST_HASH_AT, last, RECORD_HASH_BYTES);
            memcpy(m->last, last, sizeof m->last);
        } else {
            memcpy(p + BATCH_LAST_HASH_AT, m->last, sizeof m->last);
        }
    }
    put_u32(p + BATCH_SUM_AT, crc32c(0, p + BATCH_HEAD_BYTES, bytes - BATCH_HEAD_BYTES));
    put_u32(p, crc32c(0, p + 4, BATCH_HEAD_BYTES - 4));
    batch_hash(p, m->chain);
    return at + bytes;
}

static void mend_segment(struct mend *m, uint8_t *segment, uint64_t number)
{
    if (m->switches & MEND_CHAIN) {
        put_u64(segment + SEGMENT_SALT_AT, segment_salt(options.storage_id, number, m->chain));
        memcpy(segment + SEGMENT_PREV_AT, m->chain, sizeof m->chain);
        memcpy(segment + SEGMENT_LAST_HASH_AT, m->last, sizeof m->last);
    }
    m->salt = get_u64(segment + SEGMENT_SALT_AT);
    put_u32(segment, crc32c(0, segment + 4, BLOCK - 4));
    uint32_t at = BLOCK, seal = segment_seal_at(SIZE);
    while (at < seal && get_u32(segment + at + 4) != 0)
        at = mend_batch(m, segment, at);
    if (get_u32(segment + seal + 4) != 0)
        (void)mend_batch(m, segment, seal);
}

static void mend(uint8_t image[SEGMENTS][SIZE], uint8_t switches)
{
    struct mend m = {.switches = switches};
    for (unsigned i = 0; (switches & MEND_CHECKSUMS) && i < SEGMENTS; i++)
        mend_segment(&m, image[i], i + 1);
}

/* ---- the judge ---- */

static void judge_report(const struct wal_report *rep)
{
    must(rep->verdict != WAL_CORRUPT && rep->last_index <= ENTRIES);
    must((rep->last_index == 0) == (rep->last_term == 0) && rep->last_term <= rep->term);
    must(rep->commit <= rep->last_index);
}

static void judge_entries(struct wal *w, const struct wal_report *rep)
{
    static uint8_t buf[SEGMENTS * SIZE];
    struct wal_pos pos = {.index = 1};
    uint8_t hash[RECORD_HASH_BYTES] = {0};
    size_t run = 0, len = 0;
    for (size_t i = 0; i < rep->n_runs; i++)
        must(rep->runs[i].term > (i > 0 ? rep->runs[i - 1].term : 0) &&
             rep->runs[i].first_index > (i > 0 ? rep->runs[i - 1].first_index : 0));
    must((rep->n_runs == 0) == (rep->last_index == 0));
    must(rep->n_runs == 0 || rep->runs[rep->n_runs - 1].term == rep->last_term);
    for (ssize_t n; (n = wal_read(w, &pos, UINT64_MAX, buf + len, sizeof buf - len)) != 0;) {
        must(n > 0); /* recovery has read it */
        len += (size_t)n;
    }
    uint64_t index = 1, term = 0;
    for (size_t at = 0, size = 0; at < len; at += size, index++) {
        struct record r;
        must(record_decode(buf + at, len - at, &r, &size) == RECORD_OK && r.index == index);
        while (run + 1 < rep->n_runs && rep->runs[run + 1].first_index <= index)
            run++;
        must(r.term == rep->runs[run].term);
        /* Behind a truncation the hash of the record that is last then is not at hand: there the
         * chain of batches alone guards it. Another term begins there. */
        must(r.term != term || memcmp(r.prev, hash, sizeof hash) == 0);
        term = r.term;
        record_hash(buf + at, size, hash);
    }
    must(index == rep->last_index + 1 && memcmp(hash, rep->head, sizeof hash) == 0);
}

static void judge_next(struct wal *w, const struct wal_report *rep)
{
    uint8_t rec[RECORD_HEAD_BYTES];
    size_t size = record_seal(rec, rep->last_index + 1, rep->term, rep->last_ms, RECORD_NOOP,
                              rep->head, 0);
    struct wal_batch b = {.term = rep->term,
                          .vote = rep->vote,
                          .first_index = rep->last_index + 1,
                          .last_index = rep->last_index + 1,
                          .last_term = rep->term,
                          .commit = rep->commit,
                          .bytes = {{rec, size}},
                          .bytes_n = 1};
    record_hash(rec, size, b.head);
    must(wal_append(w, &b) == 0);
}

static enum wal_verdict judge(struct memdisk *m)
{
    const struct disk *d = memdisk_disk(m);
    struct wal_report check, rep;
    struct wal *w;
    int rc = wal_check(d, DIR, &options, &check);
    must(rc == 0 || rc == -EBADMSG);
    must((rc != 0) == (check.verdict == WAL_CORRUPT) && (rc == 0 || check.message[0] != '\0'));
    must(wal_open(&w, d, DIR, &options, &rep) == rc);
    if (rc != 0)
        return WAL_CORRUPT;
    judge_report(&rep);
    must(rep.last_index == check.last_index && rep.term == check.term && rep.vote == check.vote);
    judge_entries(w, &rep);
    if (rep.term > 0 && rep.term < UINT64_MAX)
        judge_next(w, &rep);
    wal_close(w);
    must(wal_check(d, DIR, &options, &check) == 0 && check.verdict == WAL_CLEAN);
    return rep.verdict;
}

static enum wal_verdict run(const struct memdisk *base, const uint8_t *data, size_t size)
{
    static uint8_t image[SEGMENTS][SIZE];
    struct memdisk *m = memdisk_clone(base);
    uint8_t switches = size > 0 ? data[0] : 0;
    size_t whole;
    for (unsigned i = 0; i < SEGMENTS; i++)
        memcpy(image[i], memdisk_peek(m, paths[i], &whole), SIZE);
    for (size_t at = 1, n = 0; size - at >= CHANGE_BYTES && at < size && n < CHANGES_MAX; n++) {
        change(image, data + at);
        at += CHANGE_BYTES;
    }
    mend(image, switches);
    for (unsigned i = 0; i < SEGMENTS; i++)
        memdisk_poke(m, paths[i], 0, image[i], SIZE);
    if (switches & LOSE_SECOND)
        memdisk_lose(m, paths[1]);
    enum wal_verdict verdict = judge(m);
    memdisk_free(m);
    return verdict;
}

/* Mending does nothing to a good log; one of whose entries another byte is changed, it makes good. */
static void try_mending(const struct memdisk *base)
{
    static const uint8_t nothing[] = {MEND_CHECKSUMS | MEND_CHAIN | MEND_PREVS};
    uint8_t data[] = {0, 0, 0, 0, 'x', 0};
    put_u16(data + 2, BLOCK + BATCH_HEAD_BYTES + RECORD_HEAD_BYTES + 8);
    must(run(base, nothing, sizeof nothing) == WAL_CLEAN);
    must(run(base, data, sizeof data) == WAL_CORRUPT);
    data[0] = MEND_CHECKSUMS;
    must(run(base, data, sizeof data) == WAL_CORRUPT);
    data[0] = MEND_CHECKSUMS | MEND_CHAIN | MEND_PREVS;
    must(run(base, data, sizeof data) == WAL_CLEAN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memdisk *base;
    if (base == NULL) {
        base = make_base();
        try_mending(base);
    }
    (void)run(base, data, size);
    return 0;
}
