#include "tests/lib/node_mirror.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/bytes.h"

void mirror_start(struct mirror *d, unsigned entries)
{
    d->at[1] = 0;
    d->last = d->seq = 0;
    d->vote = 0;
    for (uint64_t i = 1; i <= entries; i++) {
        uint8_t hash[RECORD_HASH_BYTES];
        mirror_hash(d, i - 1, hash);
        d->at[i + 1] = d->at[i] + record_seal(d->bytes + d->at[i], i, 1, 0, RECORD_NOOP, hash, 0);
        d->last = i;
    }
    d->term = entries > 0;
    d->commit = entries / 2;
}

uint64_t mirror_term(const struct mirror *d, uint64_t index)
{
    enum { AT_TERM = 16 };
    return index == 0 || index > d->last ? 0 : get_u64(d->bytes + d->at[index] + AT_TERM);
}

uint64_t mirror_ms(const struct mirror *d, uint64_t index)
{
    return index == 0 || index > d->last ? 0 : record_cluster_ms(d->bytes + d->at[index]);
}

void mirror_hash(const struct mirror *d, uint64_t index, uint8_t hash[RECORD_HASH_BYTES])
{
    memset(hash, 0, RECORD_HASH_BYTES);
    if (index > 0 && index <= d->last)
        record_hash(d->bytes + d->at[index], d->at[index + 1] - d->at[index], hash);
}

static void judge(const struct mirror *d, const struct wal_batch *b)
{
    assert(b->term >= d->term && (b->term > d->term || d->vote == 0 || b->vote == d->vote));
    assert(!b->truncate || (b->truncate_to <= d->last && b->truncate_to >= d->commit));
    uint64_t last = b->truncate ? b->truncate_to : d->last;
    assert((b->first_index == 0) == (b->bytes_n == 0));
    assert(b->first_index == 0 || (b->first_index == last + 1 && b->last_index >= b->first_index));
    assert(b->commit >= d->commit && b->commit <= (b->first_index != 0 ? b->last_index : last));
}

void mirror_take(struct mirror *d, uint64_t seq, const struct wal_batch *b)
{
    if (seq == 0) /* an idle one */
        return;
    assert(d->seq == 0);
    judge(d, b);
    d->seq = seq;
    d->batch = *b;
    d->batch_len = 0;
    for (int i = 0; i < b->bytes_n; i++) {
        assert(b->bytes[i].iov_len <= sizeof d->batch_bytes - d->batch_len);
        memcpy(d->batch_bytes + d->batch_len, b->bytes[i].iov_base, b->bytes[i].iov_len);
        d->batch_len += b->bytes[i].iov_len;
    }
}

/* Records follow one another, each with the hash of the one before. */
static void append(struct mirror *d)
{
    size_t size, from = 0;
    for (uint64_t i = d->batch.first_index; from < d->batch_len; from += size, i++) {
        struct record rec;
        uint8_t hash[RECORD_HASH_BYTES];
        enum record_status status = record_decode(d->batch_bytes + from, d->batch_len - from, &rec,
                                                  &size);
        assert(status == RECORD_OK);
        mirror_hash(d, i - 1, hash);
        assert(rec.index == i && memcmp(rec.prev, hash, sizeof hash) == 0);
        assert(rec.term >= mirror_term(d, i - 1) && rec.term <= d->batch.term);
        memcpy(d->bytes + d->at[i], d->batch_bytes + from, size);
        d->at[i + 1] = d->at[i] + size;
        d->last = i;
    }
    assert(d->batch.first_index == 0 || d->last == d->batch.last_index);
}

bool mirror_write(struct mirror *d, size_t bytes, uint64_t entries)
{
    const struct wal_batch *b = &d->batch;
    uint64_t last = b->truncate ? b->truncate_to : d->last;
    assert(bytes <= sizeof d->bytes && entries <= MIRROR_ENTRIES);
    if (d->batch_len > 0 && (d->at[last + 1] + d->batch_len > bytes || b->last_index > entries))
        return false;
    d->last = last;
    append(d);
    d->term = b->term;
    d->vote = b->vote;
    d->commit = b->commit;
    assert(mirror_term(d, d->last) == b->last_term);
    return true;
}

size_t mirror_read(const struct mirror *d, struct wal_pos *pos, uint64_t last, uint8_t *buf,
                   size_t cap)
{
    last = last < d->last ? last : d->last;
    if (pos->index < 1 || pos->index > last ||
        pos->skip >= d->at[pos->index + 1] - d->at[pos->index])
        return 0;
    size_t from = d->at[pos->index] + pos->skip, len = cap;
    uint64_t end = pos->index;
    while (end <= last && d->at[end + 1] - from <= cap)
        end++;
    if (end > pos->index) {
        len = d->at[end] - from;
        *pos = (struct wal_pos){end, 0};
    } else {
        pos->skip += (uint32_t)cap;
    }
    memcpy(buf, d->bytes + from, len);
    return len;
}
