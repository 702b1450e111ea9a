/* damage.c: durable bytes of a minority of nodes change, and the nodes are repaired.
 *
 * What must be true then: a start notices it, and cuts the log before it at most; the node is in doubt, also
 * after restarts, until it has all that was committed by the time of the first of them. What it forgot
 * besides, terms and votes, counts as if it had never been said; what it said is still under way.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/batch.h"
#include "storage/doubt.h"
#include "storage/ident.h"
#include "storage/segment.h"
#include "tests/sim/impl.h"

enum {
    BATCHES_MAX = 4096,
    SEGMENTS_MAX = 1024,
    LATE_STEPS = 1000, /* steps of a node, about, in which a late removal of DIR/doubt happens */
};

struct place {
    uint64_t segment;
    size_t offset, len;
};

/* The live log on the medium: whole batches in order, up to the last one. */
struct medium {
    struct sim_node *m;
    uint64_t numbers[SEGMENTS_MAX]; /* of all files of segments, ascending */
    size_t n_numbers;
    struct segment_head heads[SEGMENTS_MAX]; /* of those that the log consists of */
    size_t n_heads;
    struct place list[BATCHES_MAX];
    size_t n;
};

static int each_number(void *ctx, const char *name)
{
    struct medium *d = ctx;
    char *end;
    uint64_t number = strtoull(name, &end, 16);
    if (strcmp(end, SEGMENT_SUFFIX) != 0 || d->n_numbers == SEGMENTS_MAX)
        return 0;
    size_t at = d->n_numbers++;
    for (; at > 0 && d->numbers[at - 1] > number; at--)
        d->numbers[at] = d->numbers[at - 1];
    d->numbers[at] = number;
    return 0;
}

static const uint8_t *peek(struct sim_node *m, uint64_t number, size_t *size)
{
    char path[WAL_PATH_MAX];
    segment_path(path, DIR, number, SEGMENT_SUFFIX);
    return memdisk_peek(m->disk, path, size);
}

/* A whole batch that was refused, and left behind by the segment's seal. */
static bool left_behind(const struct batch_head *h, const uint8_t *segment, size_t size)
{
    struct batch_head seal;
    return batch_decode(segment + size - BATCH_BLOCK_BYTES, &seal) && seal.salt == h->salt &&
           (seal.flags & BATCH_CUT) != 0 && h->seq + 1 == seal.seq;
}

/* Those of one segment: what other segments left in its file has another salt. False: the log begins behind
 * it, for it overwrites entries before its own beginning (files before it are gone). */
static bool batches(struct medium *d, const struct segment_head *sh, const uint8_t *p, size_t size)
{
    bool first = d->n_heads == 1;
    for (size_t at = BATCH_BLOCK_BYTES; at + BATCH_BLOCK_BYTES <= size && d->n < BATCHES_MAX;) {
        struct batch_head h;
        if (!batch_decode(p + at, &h) || h.salt != sh->salt || left_behind(&h, p, size))
            break;
        if (first && (h.flags & BATCH_TRUNC) != 0 && h.truncate_to < sh->base_index)
            return false;
        d->list[d->n] = (struct place){sh->number, at, (size_t)batch_bytes(h.payload_len)};
        at += d->list[d->n++].len;
    }
    return true;
}

/* A file that is not in use yet has no head, or that of the segment that it was before. The log begins
 * behind the last gap, or with the last segment that says so. */
static void look(struct medium *d)
{
    const struct disk *disk = memdisk_disk(d->m->disk);
    char dir[WAL_PATH_MAX];
    sim_must(segment_dir(dir, DIR) == 0 && disk->list(disk->ctx, dir, each_number, d) == 0 ? d
                                                                                           : NULL);
    for (size_t i = 0; i < d->n_numbers; i++) {
        struct segment_head h;
        size_t size;
        const uint8_t *p = peek(d->m, d->numbers[i], &size);
        if (p == NULL || size < BATCH_BLOCK_BYTES || !segment_decode(p, &h) ||
            h.number != d->numbers[i])
            continue;
        if ((h.flags & SEGMENT_RESET) != 0 ||
            (d->n_heads > 0 && d->heads[d->n_heads - 1].number + 1 != h.number))
            d->n = d->n_heads = 0;
        d->heads[d->n_heads++] = h;
        if (!batches(d, &h, p, size))
            d->n = d->n_heads = 0;
    }
}

/* Where the log goes on behind the segment of that batch: the index before. */
static uint64_t goes_on_behind(const struct medium *d, const struct place *p)
{
    for (size_t i = 0; i < d->n_heads; i++)
        if (d->heads[i].number == p->segment + 1)
            return d->heads[i].base_index;
    return UINT64_MAX;
}

static bool spoil(struct sim *s, struct sim_node *m, const struct place *p)
{
    static const uint8_t fills[] = {0x00, 0xff, 0xa5};
    char path[WAL_PATH_MAX];
    size_t size, at = p->offset + sim_roll(s, RNG_FAULT, p->len);
    const uint8_t *bytes = peek(m, p->segment, &size);
    uint8_t old = bytes[at], block[BATCH_BLOCK_BYTES];
    uint64_t how = sim_roll(s, RNG_FAULT, 4);
    segment_path(path, DIR, p->segment, SEGMENT_SUFFIX);
    if (how == 3) {
        block[0] = old ^ (uint8_t)(1u << sim_roll(s, RNG_FAULT, 8));
        memdisk_poke(m->disk, path, at, block, 1);
        return true;
    }
    at -= at % BATCH_BLOCK_BYTES;
    memset(block, fills[how], sizeof block);
    if (memcmp(bytes + at, block, sizeof block) == 0)
        return false;
    memdisk_poke(m->disk, path, at, block, sizeof block);
    return true;
}

/* Bytes of that file. */
static bool spoil_file(struct sim *s, struct sim_node *m, const char *path)
{
    size_t size;
    const uint8_t *p = memdisk_peek(m->disk, path, &size);
    if (p == NULL || size == 0)
        return false;
    size_t at = sim_roll(s, RNG_FAULT, size);
    uint8_t byte = p[at] ^ (uint8_t)(1 + sim_roll(s, RNG_FAULT, 255));
    memdisk_poke(m->disk, path, at, &byte, 1);
    return true;
}

/* Bytes of one batch that has a later one behind it (the last one alone could be taken for a torn write, see
 * the fault model). Nobody needs them if the snapshot has all that was there. */
static bool spoil_batch(struct sim *s, struct sim_node *m, const struct medium *d)
{
    size_t i = sim_roll(s, RNG_FAULT, d->n - 1);
    if (!spoil(s, m, &d->list[i]))
        return false;
    bool covered = m->snap->index != 0 && goes_on_behind(d, &d->list[i]) <= m->snap->index;
    m->rot_covered |= covered;
    m->rotten |= !covered;
    /* More of it, and its newest term and vote, as long as something still proves that it was there. */
    if (!covered && i + 2 < d->n && sim_roll(s, RNG_FAULT, 2) == 0)
        (void)spoil(s, m, &d->list[d->n - 1]);
    return true;
}

static void wipe(struct sim_node *m, uint64_t segment, size_t from, size_t to)
{
    static const uint8_t zeros[BATCH_BLOCK_BYTES];
    char path[WAL_PATH_MAX];
    segment_path(path, DIR, segment, SEGMENT_SUFFIX);
    for (size_t at = from; at < to; at += sizeof zeros)
        memdisk_poke(m->disk, path, at, zeros, sizeof zeros);
}

/* The end of the last segment but one, its seal with it, and the beginning of the last one, which has still a
 * batch behind it. */
static bool spoil_seam(struct sim *s, struct sim_node *m, const struct medium *d)
{
    uint64_t number = d->heads[d->n_heads - 1].number;
    size_t first = d->n, size;
    while (first > 0 && d->list[first - 1].segment == number)
        first--;
    if (d->n - first < 2 || first == 0)
        return false;
    const struct place *from = &d->list[sim_roll(s, RNG_FAULT, first)];
    const struct place *to = &d->list[first + 1 + sim_roll(s, RNG_FAULT, d->n - first - 1)];
    (void)peek(m, number - 1, &size);
    wipe(m, number - 1, from->segment == number - 1 ? from->offset : size - BATCH_BLOCK_BYTES,
         size);
    wipe(m, number, 0, to->offset);
    return true;
}

/* A head or a seal of a segment that is not the last one, or all of it. */
static bool spoil_segment(struct sim *s, struct sim_node *m, const struct medium *d)
{
    char path[WAL_PATH_MAX];
    size_t size;
    if (d->n_heads < 2)
        return false;
    uint64_t number = d->heads[sim_roll(s, RNG_FAULT, d->n_heads - 1)].number;
    (void)peek(m, number, &size);
    struct place p = {number, 0, BATCH_BLOCK_BYTES};
    switch (sim_roll(s, RNG_FAULT, 4)) {
    case 0: return spoil(s, m, &p);
    case 2: return spoil_seam(s, m, d);
    case 1: p.offset = size - BATCH_BLOCK_BYTES; return spoil(s, m, &p);
    default:
        segment_path(path, DIR, number, SEGMENT_SUFFIX);
        memdisk_lose(m->disk, path);
        return true;
    }
}

bool sim_rot(struct sim *s, struct sim_node *m)
{
    struct medium *d = sim_must(calloc(1, sizeof *d));
    char path[WAL_PATH_MAX];
    bool done = false;
    d->m = m;
    look(d);
    bool log = d->n >= 2 && d->n < BATCHES_MAX && d->n_numbers < SEGMENTS_MAX;
    uint64_t how = s->o.damage ? sim_roll(s, RNG_FAULT, 8) : 7;
    if (m->snap_maybe != NULL) {
        ; /* nobody can tell what it must find */
    } else if (how < 2 && m->snap->index != 0) {
        snprintf(path, sizeof path, DIR "/snap/%016" PRIx64 ".snap", m->snap->index);
        done = m->rot_snap = spoil_file(s, m, path);
        m->rot_covered = false;
    } else if (how < 4) {
        done = spoil_segment(s, m, d);
    } else if (how == 4 && m->marked) {
        done = spoil_file(s, m, DIR "/doubt");
    } else if (log) {
        done = spoil_batch(s, m, d);
    }
    if (done)
        m->snap_had = m->snap;
    m->rot = done;
    free(d);
    return done;
}

void sim_rot_ident(struct sim *s, struct sim_node *m)
{
    enum { COPY_BYTES = 4096 };
    static const uint8_t zeros[COPY_BYTES];
    static const char path[] = DIR "/ident";
    size_t size, at = sim_roll(s, RNG_FAULT, 2) * COPY_BYTES;
    const uint8_t *p = memdisk_peek(m->disk, path, &size);
    if (size != 2 * (size_t)COPY_BYTES || memcmp(p, p + COPY_BYTES, COPY_BYTES) != 0)
        return;
    if (sim_roll(s, RNG_FAULT, 2) == 0) {
        memdisk_poke(m->disk, path, at, zeros, sizeof zeros);
        return;
    }
    at += sim_roll(s, RNG_FAULT, COPY_BYTES);
    uint8_t byte = p[at] ^ (uint8_t)(1 + sim_roll(s, RNG_FAULT, 255));
    memdisk_poke(m->disk, path, at, &byte, 1);
}

void sim_no_ident(struct sim *s, const struct sim_node *m)
{
    enum { COPY_BYTES = 4096 };
    static const uint8_t zeros[2 * COPY_BYTES];
    static const char path[] = DIR "/ident";
    struct memdisk *c = memdisk_clone(m->disk);
    char err[WAL_MESSAGE_BYTES];
    struct ident id;
    size_t size;
    const uint8_t *p = memdisk_peek(c, path, &size);
    bool equal = size == sizeof zeros && memcmp(p, p + COPY_BYTES, COPY_BYTES) == 0;
    if (!equal || sim_roll(s, RNG_FAULT, 4) == 0)
        memdisk_poke(c, path, 0, zeros, size);
    for (size_t copy = 0; equal && copy < size; copy += COPY_BYTES) {
        size_t at = copy + sim_roll(s, RNG_FAULT, COPY_BYTES);
        uint8_t byte = memdisk_peek(c, path, &size)[at] ^
                       (uint8_t)(1 + sim_roll(s, RNG_FAULT, 255));
        memdisk_poke(c, path, at, &byte, 1);
    }
    if (ident_load(memdisk_disk(c), DIR, NULL, &id, err, sizeof err) != IDENT_DAMAGED)
        sim_broken(s, "identity", "node %u would start without a whole copy of it", m->at + 1);
    memdisk_free(c);
}

bool sim_may_rot(const struct sim *s, const struct sim_node *m)
{
    unsigned others = sim_unsound(s) - sim_is_unsound(m);
    bool free_of_it = m->lost == NULL || m->marked;
    return free_of_it && !m->rot && !m->rot_covered && !m->wiped && !sim_trusted(s, m) &&
           others < (s->o.nodes - 1) / 2;
}

static bool is_among(const struct hard *list, size_t n, const struct entry *tip, struct entry *snap)
{
    while (n > 0 && sim_tip(&list[n - 1], snap) != tip)
        n--;
    return n > 0;
}

/* The log was cut before a batch: it is as it was then, also if that batch took entries away. If nothing
 * of it fits the snapshot any more, that is all. */
static bool is_left(const struct sim_node *m, const struct hard *h)
{
    bool was = h->tip == m->snap || is_among(m->was, m->n_was, h->tip, m->snap) ||
               is_among(m->maybe, m->n_maybe, h->tip, m->snap);
    uint64_t term = m->n_maybe > 0 ? m->maybe[m->n_maybe - 1].term : m->hard.term;
    return was && h->term <= term && h->commit <= h->tip->index &&
           sim_at(h->tip, h->commit)->committed;
}

/* Votes in terms that the node has forgotten may be given again: it says nothing for them any more. */
static void forget_votes(struct sim *s, struct sim_node *m, const struct hard *h)
{
    for (uint64_t t = h->term; t < s->n_terms; t++) {
        uint16_t *vote = &s->terms[t].votes[m->at], now = t == h->term ? h->vote : 0;
        if (*vote == now)
            continue;
        if (*vote != 0)
            s->terms[t].forgot[m->at] = *vote;
        *vote = now;
    }
}

void sim_damaged(struct sim *s, struct sim_node *m, const struct hard *h)
{
    struct entry *snap = m->rot ? m->snap_had : m->snap;
    if (!is_left(m, h))
        sim_broken(s, "damage",
                   "node %u starts with term %" PRIu64 " and %" PRIu64
                   " entries, which it never had",
                   m->at + 1, h->term, h->tip->index);
    s->t.damaged += m->lost == NULL;
    if (m->rot || m->lost == NULL) {
        m->lost = sim_tip(&m->hard, snap);
        m->lost_boot = m->boot;
    }
    if (!m->marked || m->rot)
        m->owes = s->n_committed;
    forget_votes(s, m, h);
    m->marked = true;
    m->hard = *h;
}

void sim_check_damaged(struct sim *s, struct sim_node *m)
{
    const struct raft *r = node_raft(m->node);
    char err[WAL_MESSAGE_BYTES];
    if (r->damaged)
        return;
    uint64_t sure = r->durable_index < r->verified ? r->durable_index : r->verified;
    if (m->lost != NULL && (sure < m->owes || sim_at(m->tip, m->owes) != s->committed[m->owes]))
        sim_broken(s, "healed-early", "node %u is healed, and lacks entry %" PRIu64, m->at + 1,
                   m->owes);
    s->t.healed += m->lost != NULL;
    m->gone = m->lost != NULL ? m->lost : m->gone;
    m->lost = NULL;
    bool late = m->at % 2 == 0 && !s->calm;
    if (late && sim_roll(s, RNG_DISK, LATE_STEPS) != 0)
        return;
    if (doubt_clear(memdisk_disk(m->disk), DIR, err, sizeof err) == 0)
        m->marked = false;
}
