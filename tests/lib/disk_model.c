/* disk_model.c: see disk_model.h. */
#include "tests/lib/disk_model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/record.h"

uint64_t model_random(uint64_t *rng)
{
    uint64_t z = *rng += 0x9e3779b97f4a7c15; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void model_begin(const struct model *m, struct model_batch *b)
{
    memset(&b->batch, 0, sizeof b->batch);
    (void)m;
}

/* Cluster time of an entry; now and then the same as of the one before. */
static uint64_t model_ms(uint64_t index)
{
    return index / 3 << 30;
}

void model_truncate(struct model *m, struct model_batch *b, uint64_t to)
{
    assert(to >= m->commit && to <= m->last && b->batch.first_index == 0);
    b->batch.truncate = true;
    b->batch.truncate_to = to;
    m->last = to;
}

/* Where the data of the next entry go. */
static uint8_t *next_data(struct model_batch *b)
{
    return b->bytes + b->batch.bytes[0].iov_len + RECORD_HEAD_BYTES;
}

static void add(struct model *m, struct model_batch *b, struct model_entry e)
{
    static const uint8_t zero[RECORD_HASH_BYTES];
    struct wal_batch *w = &b->batch;
    size_t at = w->bytes[0].iov_len;

    assert(m->last < MODEL_ENTRIES_MAX && at + record_size(e.data_len) <= sizeof b->bytes);
    const uint8_t *prev = m->last > 0 ? m->e[m->last].hash : zero;
    m->last++;
    if (w->first_index == 0)
        w->first_index = m->last;
    w->last_index = m->last;
    size_t size = record_seal(b->bytes + at, m->last, m->term, model_ms(m->last),
                              e.members ? RECORD_MEMBERS : RECORD_COMMAND, prev, e.data_len);
    e.term = m->term;
    m->e[m->last] = e;
    record_hash(b->bytes + at, size, m->e[m->last].hash);
    w->bytes[0].iov_len = at + size;
}

void model_entry(struct model *m, struct model_batch *b, uint32_t data_len, uint8_t fill)
{
    assert(data_len <= MODEL_DATA_MAX);
    memset(next_data(b), fill, data_len);
    add(m, b, (struct model_entry){.data_len = data_len, .fill = fill});
}

struct members model_members(uint64_t index, uint8_t fill)
{
    struct members members = {.cluster_id = 1 + index, .n = 1 + fill % 3U};
    for (unsigned i = 0; i < members.n; i++) {
        members.m[i].id = (uint16_t)(i + 1);
        members.m[i].standing = MEMBER_VOTER;
        members.m[i].priority = fill;
        memset(members.m[i].addr[0], 'x', fill % (MEMBER_ADDR_BYTES - 1));
    }
    return members;
}

struct members_at model_members_at(const struct model *m, uint64_t index)
{
    while (index > 0 && !m->e[index].members)
        index--;
    struct members_at at = {.index = index};
    if (index > 0)
        at.members = model_members(index, m->e[index].fill);
    return at;
}

struct wal_base model_base(const struct model *m, uint64_t index)
{
    struct wal_base b = {
        .index = index, .term = m->e[index].term, .members = model_members_at(m, index)};
    memcpy(b.hash, m->e[index].hash, sizeof b.hash);
    return b;
}

void model_config(struct model *m, struct model_batch *b, uint8_t fill)
{
    assert(model_members_at(m, m->last).index <= m->commit);
    struct members members = model_members(m->last + 1, fill);
    size_t len = members_encode(&members, next_data(b));
    add(m, b, (struct model_entry){.data_len = (uint32_t)len, .fill = fill, .members = true});
}

void model_end(const struct model *m, struct model_batch *b, uint32_t split)
{
    struct wal_batch *w = &b->batch;
    size_t len = w->bytes[0].iov_len;

    w->term = m->term;
    w->vote = m->vote;
    w->commit = m->commit;
    if (m->last > 0) {
        w->last_term = m->e[m->last].term;
        memcpy(w->head, m->e[m->last].hash, sizeof w->head);
    }
    w->bytes[0].iov_base = b->bytes;
    w->bytes_n = len > 0 ? 1 : 0;
    if (split > 0 && split < len) {
        w->bytes[0].iov_len = split;
        w->bytes[1].iov_base = b->bytes + split;
        w->bytes[1].iov_len = len - split;
        w->bytes_n = 2;
    }
}

void model_step(struct model *m, struct model_batch *b, uint64_t *rng)
{
    uint64_t kind = model_random(rng) % 16;

    model_begin(m, b);
    if (model_random(rng) % 4 == 0)
        m->commit += model_random(rng) % (m->last - m->commit + 1);
    if (kind == 0) {
        b->batch.idle = true;
        model_end(m, b, 0);
        return;
    }
    if (m->term == 0 || kind <= 3) {
        m->term += 1 + model_random(rng) % 2;
        m->vote = (uint16_t)(model_random(rng) % 4);
    } else if (kind == 4 && m->vote == 0) {
        m->vote = 2;
    }
    if ((kind == 3 || kind == 5) && m->last > 0)
        model_truncate(m, b,
                       m->last - model_random(rng) %
                                     (m->last - m->commit < 9 ? m->last - m->commit + 1 : 9));
    uint64_t n = kind == 1 || kind == 4 ? 0 : model_random(rng) % 4;
    for (uint64_t i = 0; i < n && m->last < MODEL_ENTRIES_MAX; i++) {
        uint32_t most = model_random(rng) % 4 == 0 ? MODEL_DATA_MAX : 200;
        uint32_t len = (uint32_t)(model_random(rng) % (most + 1));
        uint8_t fill = (uint8_t)model_random(rng);
        if (fill % 4 == 0 && model_members_at(m, m->last).index <= m->commit)
            model_config(m, b, fill);
        else
            model_entry(m, b, len, fill);
    }
    model_end(m, b, (uint32_t)(model_random(rng) % (b->batch.bytes[0].iov_len + 1)));
}

static bool same_members(const struct members_at *a, const struct members_at *b)
{
    return a->index == b->index &&
           (a->index == 0 || memcmp(&a->members, &b->members, sizeof a->members) == 0);
}

/* The one before is wanted only if the newest may not be committed. */
static const char *differs_members(const struct model *m, const struct wal_report *rep)
{
    struct members_at newest = model_members_at(m, m->last);
    if (!same_members(&newest, &rep->members))
        return "members";
    struct members_at before = model_members_at(m, newest.index > 0 ? newest.index - 1 : 0);
    return newest.index <= m->commit || same_members(&before, &rep->members_before)
               ? NULL
               : "members before";
}

const char *model_differs_report(const struct model *m, const struct wal_report *rep)
{
    static const uint8_t zero[WAL_HASH_BYTES];

    if (rep->term != m->term)
        return "term";
    if (rep->vote != m->vote)
        return "vote";
    if (rep->base_index != m->base || rep->base_term != (m->base > 0 ? m->e[m->base].term : 0))
        return "base";
    if (rep->last_index != m->last)
        return "last index";
    if (rep->commit != m->commit)
        return "commit index";
    if (rep->last_term != (m->last > 0 ? m->e[m->last].term : 0))
        return "last term";
    if (memcmp(rep->head, m->last > 0 ? m->e[m->last].hash : zero, sizeof rep->head) != 0)
        return "head";
    if (rep->runs != NULL && rep->last_ms != (m->last > m->base ? model_ms(m->last) : 0))
        return "cluster time";
    return differs_members(m, rep);
}

static const char *differs_runs(const struct model *m, const struct wal_report *rep)
{
    size_t run = 0;

    for (uint64_t i = m->base + 1; i <= m->last; i++) {
        if (i > m->base + 1 && m->e[i].term == m->e[i - 1].term)
            continue;
        if (run >= rep->n_runs || rep->runs[run].first_index != i ||
            rep->runs[run].term != m->e[i].term)
            return "runs";
        run++;
    }
    return run == rep->n_runs ? NULL : "number of runs";
}

static const char *differs_records(const struct model *m, uint64_t from, uint64_t to,
                                   const uint8_t *p, size_t len)
{
    for (uint64_t i = from; i <= to; i++) {
        struct record r;
        size_t size;
        uint8_t hash[RECORD_HASH_BYTES];
        if (record_decode(p, len, &r, &size) != RECORD_OK)
            return "a record does not decode";
        record_hash(p, size, hash);
        if (r.index != i || r.term != m->e[i].term || r.data_len != m->e[i].data_len ||
            memcmp(hash, m->e[i].hash, sizeof hash) != 0)
            return "a record";
        p += size;
        len -= size;
    }
    return len == 0 ? NULL : "bytes behind the last record";
}

const char *model_differs(const struct model *m, struct wal *w, const struct wal_report *rep)
{
    struct wal_pos pos = {.index = m->base + 1};
    uint64_t rng = m->last;
    const char *diff = rep == NULL ? NULL : model_differs_report(m, rep);

    if (diff == NULL && rep != NULL)
        diff = differs_runs(m, rep);
    while (diff == NULL && pos.index <= m->last) {
        /* Every capacity from exactly one record on, in exact allocations for the sanitizer. */
        uint64_t next = pos.index;
        size_t cap = record_size(m->e[next].data_len) + model_random(&rng) % 9000;
        uint8_t *buf = malloc(cap);
        if (buf == NULL)
            abort();
        ssize_t n = wal_read(w, &pos, UINT64_MAX, buf, cap);
        if (n <= 0 || pos.skip != 0 || pos.index <= next || pos.index > m->last + 1)
            diff = "nothing was read";
        else
            diff = differs_records(m, next, pos.index - 1, buf, (size_t)n);
        free(buf);
    }
    if (diff == NULL && wal_read(w, &pos, UINT64_MAX, NULL, 0) != 0)
        diff = "something behind the end";
    pos.index = m->base;
    if (diff == NULL && m->base > 0 && wal_read(w, &pos, UINT64_MAX, NULL, 0) != 0)
        diff = "something before the beginning";
    if (diff == NULL && wal_first(w) != m->base + 1)
        diff = "first index";
    return diff;
}
