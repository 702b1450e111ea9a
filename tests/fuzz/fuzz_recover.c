// LINK: @storage tests/lib/disk_memory.c tests/lib/disk_model.c
/* Recovery of any log. Checksums and the chain of hashes would stop nearly all changes at the door, so
 * the input says whether they are made right again behind it: what then comes to the rules behind the
 * door is a log that a program with bugs, or somebody who can write to the disk, might have made.
 *
 *     byte 0: switches, see enum; they also choose the log that is changed, and the snapshot before it
 *     then changes of five bytes each: kind and segment, offset (two bytes), two more
 *
 * Recovery may refuse, or accept. What it accepts must be a log: from entry 1, or from one that the
 * snapshot covers, to the last, terms that never fall, all of them readable with the hashes that lead
 * from one to the next; it is found again unchanged, and it goes on. */
#include <errno.h>
#include <inttypes.h>
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
    RECYCLED = 16, /* a log that does not begin at entry 1, in recycled files; else one that does */
    SNAPSHOT = 32, /* two bits: enum snapshot */
    RESET =
        128, /* instead: a log that was reset, with the segment before that, and the snapshot that fits */

    SEGMENTS = 3, /* at most */
    SIZE = WAL_SEGMENT_BYTES_MIN,
    BLOCK = BATCH_BLOCK_BYTES,
    CHANGE_BYTES = 5,
    CHANGES_MAX = 40,
    ENTRIES = 63, /* of the log that is changed, at most */
};

enum snapshot { SNAP_FITS, SNAP_TOO_OLD, SNAP_BEYOND, SNAP_OTHER_TERM };

static const struct wal_options options = {.segment_bytes = SIZE, .storage_id = 7};

/* The log that is changed. */
struct subject {
    struct memdisk *m;
    unsigned n;     /* files */
    uint64_t first; /* number of the first one */
    char paths[SEGMENTS][64];
    struct wal_base base[4]; /* by enum snapshot; all 0 when it begins at entry 1 */
};

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

static struct memdisk *new_disk(void)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    char err[WAL_MESSAGE_BYTES];
    must(d->mkdir(d->ctx, DIR) == 0 && d->sync_dir(d->ctx, "/") == 0);
    must(wal_create(d, DIR, options.storage_id, SIZE, err, sizeof err) == 0);
    return m;
}

/* Files that wait to be recycled are no part of it. */
static void name_files(struct subject *t, uint64_t base)
{
    for (uint64_t number = 1; t->n < SEGMENTS && number < 99; number++) {
        char *path = t->paths[t->n];
        struct segment_head h;
        size_t size;
        snprintf(path, sizeof t->paths[0], DIR "/log/%016" PRIx64 ".seg", number);
        const uint8_t *p = memdisk_peek(t->m, path, &size);
        if (p == NULL)
            continue;
        if (segment_decode(p, &h) && h.number == number && h.base_index < base)
            memdisk_lose(t->m, path);
        else if (t->n++ == 0)
            t->first = number;
    }
}

static struct wal_base base_at(const struct model *m, uint64_t index)
{
    struct wal_base b = {.index = index, .term = index <= m->last ? m->e[index].term : m->term};
    if (index <= m->last)
        memcpy(b.hash, m->e[index].hash, sizeof b.hash);
    return b;
}

/* Two segments with one of everything. */
static void put_everything(struct model *m, struct wal *w)
{
    put(m, w, 2, false, false, false);
    put(m, w, 0, true, false, false);
    put(m, w, 3, true, true, false);
    put(m, w, 1, false, false, false);
    put(m, w, 0, false, false, true);
    put(m, w, 2, true, false, false);
    put(m, w, 1, true, true, false);
    put(m, w, 1, false, false, false);
}

static void fill(struct model *m, struct wal *w, int batches)
{
    for (int i = 0; i < batches; i++)
        put(m, w, i % 4 == 0 ? 1 : 0, i % 4 != 0, false, false);
}

/* The end of a log: two recycled segments with one of everything, and a spare with old blocks. */
static void make_recycled(struct subject *t)
{
    static struct model model;
    struct wal_report rep;
    struct wal *w;
    t->m = new_disk();
    const struct disk *d = memdisk_disk(t->m);
    must(wal_open(&w, d, DIR, &options, &rep) == 0);
    for (int round = 0; round < 2; round++) {
        fill(&model, w, 40);
        for (uint64_t n = wal_stats(w).segments; n == wal_stats(w).segments;)
            put(&model, w, 0, true, false, false);
        model.commit = model.last;
        must(wal_drop(w, model.last + 1) == 0 && wal_stats(w).segments == 1);
    }
    put_everything(&model, w);
    must(wal_stats(w).segments == 2 && wal_stats(w).recycled >= 6 && model.last <= ENTRIES);
    uint64_t base = wal_stats(w).base;
    t->base[SNAP_FITS] = base_at(&model, base + 1);
    t->base[SNAP_TOO_OLD] = base_at(&model, base - 1);
    t->base[SNAP_BEYOND] = base_at(&model, model.last + 3);
    t->base[SNAP_OTHER_TERM] = base_at(&model, model.last);
    t->base[SNAP_OTHER_TERM].term--;
    wal_close(w);
    name_files(t, base);
}

static void make_new(struct subject *t)
{
    static struct model model;
    struct wal_report rep;
    struct wal *w;
    t->m = new_disk();
    must(wal_open(&w, memdisk_disk(t->m), DIR, &options, &rep) == 0);
    put_everything(&model, w);
    wal_close(w);
    name_files(t, 0);
    must(t->n == 2);
}

/* A log that began anew behind a snapshot, in its second file. */
static void make_reset(struct subject *t)
{
    static struct model m;
    struct wal_report rep;
    struct wal *w;
    t->m = new_disk();
    must(wal_open(&w, memdisk_disk(t->m), DIR, &options, &rep) == 0);
    fill(&m, w, 3);
    m.base = m.last = m.commit = 20;
    m.e[m.last] = (struct model_entry){.term = m.term, .hash = {1, 2, 3}};
    for (int i = 0; i < 4; i++)
        t->base[i] = base_at(&m, m.last);
    must(wal_reset(w, &t->base[0], m.term, m.vote) == 0);
    put(&m, w, 2, false, false, false);
    put(&m, w, 0, true, false, false);
    put(&m, w, 2, false, true, false);
    put(&m, w, 0, false, false, true);
    wal_close(w);
    name_files(t, 0);
    must(t->n == 2);
}

/* ---- changes ---- */

static void change(uint8_t image[SEGMENTS][SIZE], const uint8_t c[CHANGE_BYTES])
{
    uint8_t *segment = image[(c[0] & 0x10) != 0 ? 2 : c[0] & 1];
    uint32_t at = get_u16(c + 1) % SIZE, block = at / BLOCK * BLOCK;
    uint32_t in_head = block + c[3] % BATCH_HEAD_BYTES; /* most of what counts stands there */
    switch (c[0] >> 1 & 7) {
    case 0: segment[at] = c[3]; break;
    case 1: segment[at] ^= (uint8_t)(1u << c[3] % 8); break;
    case 2: segment[in_head] = c[4]; break;
    case 3: segment[in_head] = (uint8_t)(segment[in_head] + c[4]); break;
    case 4: memset(segment + block, c[4], BLOCK); break;
    case 5:
        memcpy(segment + block, image[c[3] % SEGMENTS] + c[4] % (SIZE / BLOCK) * BLOCK, BLOCK);
        break;
    case 6: put_u64(segment + block + c[3] % (BATCH_HEAD_BYTES / 8) * 8, UINT64_MAX - c[4]); break;
    default: /* of the first record behind the head */
        segment[block + BATCH_HEAD_BYTES + c[3] % RECORD_HEAD_BYTES] = c[4];
        break;
    }
}

/* ---- mending, by the layouts of batch.h and record.h ---- */

enum {
    BATCH_PAYLOAD_AT = 16,
    BATCH_SUM_AT = 20,
    BATCH_SALT_AT = 24,
    BATCH_SEQ_AT = 32,
    BATCH_PREV_AT = 40
};
enum {
    BATCH_LAST_HASH_AT = 80,
    SEGMENT_NUMBER_AT = 24,
    SEGMENT_SALT_AT = 32,
    SEGMENT_SEQ_AT = 40,
    SEGMENT_PREV_AT = 48,
    SEGMENT_BASE_AT = 72,
    SEGMENT_LAST_HASH_AT = 88,
    SEGMENT_FLAGS_AT = 112
};
enum { RECORD_PREV_AT = 32 };

struct mend {
    uint8_t switches;
    uint64_t salt;
    uint8_t chain[BATCH_HASH_BYTES];              /* name of the batch before ... */
    uint8_t begun[BATCH_HASH_BYTES];              /* ... the segment before */
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

/* No block that an older segment left. */
static bool is_ours(const uint8_t *segment, uint32_t at)
{
    return get_u32(segment + at + 4) != 0 &&
           get_u64(segment + at + BATCH_SEQ_AT) >= get_u64(segment + SEGMENT_SEQ_AT);
}

/* The log begins with this segment. */
static void mend_base(struct mend *m, const uint8_t *segment)
{
    uint64_t base = get_u64(segment + SEGMENT_BASE_AT);
    memcpy(m->last, segment + SEGMENT_LAST_HASH_AT, sizeof m->last);
    if (base <= ENTRIES)
        memcpy(m->hash[base], m->last, sizeof m->last);
}

static void mend_segment(struct mend *m, uint8_t *segment, uint64_t number, bool first)
{
    if ((get_u16(segment + SEGMENT_FLAGS_AT) & SEGMENT_RESET) != 0)
        mend_base(m, segment);
    if (m->switches & MEND_CHAIN) {
        if (!first)
            put_u64(segment + SEGMENT_SALT_AT, segment_salt(options.storage_id, number, m->begun));
        memcpy(m->begun, m->chain, sizeof m->begun);
        memcpy(segment + SEGMENT_PREV_AT, m->chain, sizeof m->chain);
        memcpy(segment + SEGMENT_LAST_HASH_AT, m->last, sizeof m->last);
    }
    m->salt = get_u64(segment + SEGMENT_SALT_AT);
    put_u32(segment, crc32c(0, segment + 4, BLOCK - 4));
    uint32_t at = BLOCK, seal = segment_seal_at(SIZE);
    while (at < seal && is_ours(segment, at))
        at = mend_batch(m, segment, at);
    if (is_ours(segment, seal))
        (void)mend_batch(m, segment, seal);
}

static void mend(const struct subject *t, uint8_t image[SEGMENTS][SIZE], uint8_t switches)
{
    struct mend m = {.switches = switches};
    memcpy(m.chain, image[0] + SEGMENT_PREV_AT, sizeof m.chain);
    mend_base(&m, image[0]);
    for (unsigned i = 0; (switches & MEND_CHECKSUMS) && i < t->n; i++)
        if (get_u64(image[i] + SEGMENT_NUMBER_AT) == t->first + i)
            mend_segment(&m, image[i], t->first + i, i == 0);
}

/* ---- the judge ---- */

static void judge_report(const struct wal_report *rep, const struct wal_base *base)
{
    must(rep->verdict != WAL_CORRUPT && rep->last_index <= ENTRIES + 3);
    must((rep->last_index == 0) == (rep->last_term == 0) && rep->last_term <= rep->term);
    must(rep->base_index <= base->index && rep->base_index <= rep->last_index);
    must((rep->base_index == 0) == (rep->base_term == 0) && rep->base_term <= rep->last_term);
    must(rep->commit >= base->index && rep->commit <= rep->last_index);
}

static void judge_runs(const struct wal_report *rep)
{
    uint64_t index = rep->base_index, term = rep->base_term;
    for (size_t i = 0; i < rep->n_runs; i++) {
        must(rep->runs[i].first_index > index && rep->runs[i].term >= (i > 0 ? term + 1 : term));
        must(i > 0 || rep->runs[i].first_index == index + 1);
        index = rep->runs[i].first_index;
        term = rep->runs[i].term;
    }
    must((rep->n_runs == 0) == (rep->last_index == rep->base_index) && term == rep->last_term);
}

static void judge_entries(struct wal *w, const struct wal_report *rep, const struct wal_base *base)
{
    static uint8_t buf[SEGMENTS * SIZE];
    struct wal_pos pos = {.index = rep->base_index + 1};
    uint8_t hash[RECORD_HASH_BYTES] = {0};
    uint64_t index = pos.index, term = 0;
    size_t run = 0, len = 0;
    for (ssize_t n; (n = wal_read(w, &pos, UINT64_MAX, buf + len, sizeof buf - len)) != 0;) {
        must(n > 0); /* recovery has read it */
        len += (size_t)n;
    }
    if (base->index == rep->base_index)
        memcpy(hash, base->hash, sizeof hash);
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
        must(index != base->index || memcmp(hash, base->hash, sizeof hash) == 0);
    }
    must(index == rep->last_index + 1);
    must(index == rep->base_index + 1 || memcmp(hash, rep->head, sizeof hash) == 0);
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

/* A log that is refused is cut when others have the rest: what stays is a log like any other. */
static void judge_repaired(struct memdisk *m, const struct wal_options *opts)
{
    const struct disk *d = memdisk_disk(m);
    struct wal_options repair = *opts;
    struct wal_report rep, check;
    struct wal *w;
    repair.repair = true;
    int rc = wal_open(&w, d, DIR, &repair, &rep);
    must(rc == 0 || rc == -EBADMSG); /* of another version, or of another directory */
    if (rc != 0)
        return;
    must(rep.doubt && rep.verdict == WAL_CORRUPT);
    rep.verdict = WAL_CLEAN;
    judge_report(&rep, &opts->base);
    judge_runs(&rep);
    judge_entries(w, &rep, &opts->base);
    wal_close(w);
    must(wal_check(d, DIR, &repair, &check) == 0 && check.doubt);
    must(check.last_index == rep.last_index && check.term == rep.term);
}

static enum wal_verdict judge(struct memdisk *m, const struct wal_options *opts)
{
    const struct disk *d = memdisk_disk(m);
    struct wal_report check, rep;
    struct wal *w;
    int rc = wal_check(d, DIR, opts, &check);
    must(rc == 0 || rc == -EBADMSG);
    must((rc != 0) == (check.verdict == WAL_CORRUPT) && (rc == 0 || check.message[0] != '\0'));
    must(wal_open(&w, d, DIR, opts, &rep) == rc);
    if (rc != 0) {
        judge_repaired(m, opts);
        return WAL_CORRUPT;
    }
    judge_report(&rep, &opts->base);
    judge_runs(&rep);
    must(rep.last_index == check.last_index && rep.term == check.term && rep.vote == check.vote);
    judge_entries(w, &rep, &opts->base);
    bool more = rep.term > 0 && rep.term < UINT64_MAX;
    if (more)
        judge_next(w, &rep);
    wal_close(w);
    /* Not always clean: a spare without its old head seems new, its old blocks a write that was cut. */
    must(wal_check(d, DIR, opts, &check) == 0 && check.last_index == rep.last_index + more);
    return rep.verdict;
}

static enum wal_verdict run(const struct subject *all, const uint8_t *data, size_t size)
{
    static uint8_t image[SEGMENTS][SIZE];
    uint8_t switches = size > 0 ? data[0] : 0;
    const struct subject *t = &all[(switches & RESET) != 0 ? 2 : (switches & RECYCLED) != 0];
    struct memdisk *m = memdisk_clone(t->m);
    struct wal_options opts = options;
    size_t whole;
    opts.base = t->base[switches / SNAPSHOT % 4];
    memset(image, 0, sizeof image);
    for (unsigned i = 0; i < t->n; i++)
        memcpy(image[i], memdisk_peek(m, t->paths[i], &whole), SIZE);
    for (size_t at = 1, n = 0; size - at >= CHANGE_BYTES && at < size && n < CHANGES_MAX; n++) {
        change(image, data + at);
        at += CHANGE_BYTES;
    }
    mend(t, image, switches);
    for (unsigned i = 0; i < t->n; i++)
        memdisk_poke(m, t->paths[i], 0, image[i], SIZE);
    if (switches & LOSE_SECOND)
        memdisk_lose(m, t->paths[1]);
    enum wal_verdict verdict = judge(m, &opts);
    memdisk_free(m);
    return verdict;
}

/* Mending does nothing to a good log; one of whose entries another byte is changed, it makes good. */
static void try_mending(const struct subject *all, uint8_t which)
{
    const uint8_t mends = MEND_CHECKSUMS | MEND_CHAIN | MEND_PREVS | which;
    uint8_t data[] = {which, (which & RESET) != 0, 0, 0, 'x', 0};
    put_u16(data + 2, BLOCK + BATCH_HEAD_BYTES + RECORD_HEAD_BYTES + 8);
    must(run(all, &mends, 1) == WAL_CLEAN && run(all, &which, 1) == WAL_CLEAN);
    must(run(all, data, sizeof data) == WAL_CORRUPT);
    data[0] = MEND_CHECKSUMS | which;
    must(run(all, data, sizeof data) == WAL_CORRUPT);
    data[0] = mends;
    must(run(all, data, sizeof data) == WAL_CLEAN);
}

static void try_snapshots(const struct subject *all)
{
    static const enum wal_verdict found[] = {WAL_CLEAN, WAL_CORRUPT, WAL_CLEAN, WAL_CLEAN};
    for (uint8_t i = 0; i < 4; i++)
        must(run(all, &(uint8_t){(uint8_t)(RECYCLED | i * SNAPSHOT)}, 1) == found[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct subject all[3];
    if (all[0].m == NULL) {
        make_new(&all[0]);
        make_recycled(&all[1]);
        make_reset(&all[2]);
        try_mending(all, 0);
        try_mending(all, RECYCLED);
        try_mending(all, RESET);
        try_snapshots(all);
    }
    (void)run(all, data, size);
    return 0;
}
