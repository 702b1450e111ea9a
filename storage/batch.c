/* batch.c: see batch.h for the layouts. */
#include "storage/batch.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "storage/wal.h"
#include "storage/zero.h"

enum {
    SEGMENT_MAGIC = 0x31535752, /* "RWS1" */
    BATCH_MAGIC = 0x31425752,   /* "RWB1" */
    BATCH_ZERO_AT = 114,
    BATCH_ZERO_BYTES = 6,
    SEGMENT_ZERO_AT = 114,
    RESERVE_BLOCKS_MAX = 16, /* 15 votes on a full disk, and the seal */
    RESERVE_BLOCKS_MIN = 2,
};

static void hash16(uint8_t out[BATCH_HASH_BYTES], const uint8_t *p, size_t len)
{
    /* Fails only for bad output or key lengths, and both are constants here. */
    int rc = crypto_generichash(out, BATCH_HASH_BYTES, p, len, NULL, 0);
    assert(rc == 0);
    (void)rc;
}

uint64_t batch_bytes(uint32_t payload_len)
{
    uint64_t mask = BATCH_BLOCK_BYTES - 1;
    return (BATCH_HEAD_BYTES + (uint64_t)payload_len + mask) & ~mask;
}

void batch_encode(uint8_t buf[BATCH_HEAD_BYTES], const struct batch_head *h)
{
    memset(buf, 0, BATCH_HEAD_BYTES);
    put_u32(buf + 4, BATCH_MAGIC);
    put_u16(buf + 8, BATCH_FORMAT_VERSION);
    put_u16(buf + 10, h->flags);
    put_u32(buf + 12, (uint32_t)(batch_bytes(h->payload_len) / BATCH_BLOCK_BYTES));
    put_u32(buf + 16, h->payload_len);
    put_u32(buf + 20, h->payload_crc);
    put_u64(buf + 24, h->salt);
    put_u64(buf + 32, h->seq);
    memcpy(buf + 40, h->prev, BATCH_HASH_BYTES);
    put_u64(buf + 56, h->first_index);
    put_u64(buf + 64, h->last_index);
    put_u64(buf + 72, h->last_term);
    memcpy(buf + 80, h->head, BATCH_HASH_BYTES);
    put_u64(buf + 96, h->term);
    put_u64(buf + 104, h->truncate_to);
    put_u16(buf + 112, h->vote);
    put_u64(buf + 120, h->commit);
    put_u32(buf, crc32c(0, buf + 4, BATCH_HEAD_BYTES - 4));
}

bool batch_decode(const uint8_t buf[BATCH_HEAD_BYTES], struct batch_head *h)
{
    if (get_u32(buf + 4) != BATCH_MAGIC ||
        get_u32(buf) != crc32c(0, buf + 4, BATCH_HEAD_BYTES - 4) ||
        get_u16(buf + 8) != BATCH_FORMAT_VERSION ||
        !all_zero(buf + BATCH_ZERO_AT, BATCH_ZERO_BYTES))
        return false;

    h->flags = get_u16(buf + 10);
    h->payload_len = get_u32(buf + 16);
    h->payload_crc = get_u32(buf + 20);
    h->salt = get_u64(buf + 24);
    h->seq = get_u64(buf + 32);
    memcpy(h->prev, buf + 40, BATCH_HASH_BYTES);
    h->first_index = get_u64(buf + 56);
    h->last_index = get_u64(buf + 64);
    h->last_term = get_u64(buf + 72);
    memcpy(h->head, buf + 80, BATCH_HASH_BYTES);
    h->term = get_u64(buf + 96);
    h->truncate_to = get_u64(buf + 104);
    h->vote = get_u16(buf + 112);
    h->commit = get_u64(buf + 120);

    bool entries = h->first_index != 0;
    bool trunc = (h->flags & BATCH_TRUNC) != 0;
    bool seal = (h->flags & BATCH_SEAL) != 0;
    return (h->flags & ~BATCH_FLAGS_KNOWN) == 0 && h->first_index <= h->last_index &&
           entries == (h->last_index != 0) && entries == (h->payload_len != 0) &&
           h->payload_len < WAL_SEGMENT_BYTES_MAX &&
           get_u32(buf + 12) == batch_bytes(h->payload_len) / BATCH_BLOCK_BYTES &&
           (trunc || h->truncate_to == 0) && !(seal && (entries || trunc)) &&
           (seal || (h->flags & BATCH_CUT) == 0) && (!entries || h->commit <= h->last_index) &&
           (!trunc || h->commit <= h->truncate_to || entries);
}

uint64_t batch_salt(const uint8_t buf[BATCH_HEAD_BYTES])
{
    return get_u64(buf + 24);
}

void batch_spoil(uint8_t *buf, size_t len, uint64_t salt)
{
    memset(buf, 0xff, len);
    if (len >= BATCH_HEAD_BYTES)
        put_u64(buf + 24, salt);
}

const uint8_t *batch_prev(const uint8_t buf[BATCH_HEAD_BYTES])
{
    return buf + 40;
}

void batch_hash(const uint8_t buf[BATCH_HEAD_BYTES], uint8_t out[BATCH_HASH_BYTES])
{
    hash16(out, buf, BATCH_HEAD_BYTES);
}

void segment_encode(uint8_t buf[BATCH_BLOCK_BYTES], const struct segment_head *h)
{
    memset(buf, 0, BATCH_BLOCK_BYTES);
    put_u32(buf + 4, SEGMENT_MAGIC);
    put_u16(buf + 8, BATCH_FORMAT_VERSION);
    put_u16(buf + 10, h->vote);
    put_u32(buf + 12, h->segment_bytes);
    put_u64(buf + 16, h->storage_id);
    put_u64(buf + 24, h->number);
    put_u64(buf + 32, h->salt);
    put_u64(buf + 40, h->first_seq);
    memcpy(buf + 48, h->prev, BATCH_HASH_BYTES);
    put_u64(buf + 64, h->term);
    put_u64(buf + 72, h->base_index);
    put_u64(buf + 80, h->base_term);
    memcpy(buf + 88, h->base_head, BATCH_HASH_BYTES);
    put_u64(buf + 104, h->commit);
    put_u16(buf + 112, h->flags);
    put_u32(buf, crc32c(0, buf + 4, BATCH_BLOCK_BYTES - 4));
}

bool segment_has_magic(const uint8_t buf[BATCH_BLOCK_BYTES])
{
    return get_u32(buf + 4) == SEGMENT_MAGIC;
}

uint16_t segment_version(const uint8_t buf[BATCH_BLOCK_BYTES])
{
    bool whole = segment_has_magic(buf) &&
                 get_u32(buf) == crc32c(0, buf + 4, BATCH_BLOCK_BYTES - 4);
    return whole ? get_u16(buf + 8) : 0;
}

bool segment_decode(const uint8_t buf[BATCH_BLOCK_BYTES], struct segment_head *h)
{
    if (segment_version(buf) != BATCH_FORMAT_VERSION ||
        !all_zero(buf + SEGMENT_ZERO_AT, BATCH_BLOCK_BYTES - SEGMENT_ZERO_AT))
        return false;

    h->vote = get_u16(buf + 10);
    h->segment_bytes = get_u32(buf + 12);
    h->storage_id = get_u64(buf + 16);
    h->number = get_u64(buf + 24);
    h->salt = get_u64(buf + 32);
    h->first_seq = get_u64(buf + 40);
    memcpy(h->prev, buf + 48, BATCH_HASH_BYTES);
    h->term = get_u64(buf + 64);
    h->base_index = get_u64(buf + 72);
    h->base_term = get_u64(buf + 80);
    memcpy(h->base_head, buf + 88, BATCH_HASH_BYTES);
    h->commit = get_u64(buf + 104);
    h->flags = get_u16(buf + 112);
    return segment_size_ok(h->segment_bytes) && h->commit <= h->base_index && h->first_seq > 0 &&
           h->first_seq <= SEGMENT_SEQ_MAX && h->base_term <= h->term &&
           (h->base_index == 0) == (h->base_term == 0) && (h->flags & ~SEGMENT_FLAGS_KNOWN) == 0;
}

static uint32_t half_salt(uint64_t storage_id, uint64_t number, const uint8_t *of, size_t len)
{
    uint8_t in[16 + BATCH_HASH_BYTES], out[BATCH_HASH_BYTES];
    put_u64(in, storage_id);
    put_u64(in + 8, number);
    memcpy(in + 16, of, len);
    hash16(out, in, 16 + len);
    return get_u32(out);
}

static uint64_t salt_from(uint64_t storage_id, uint64_t number, uint32_t half)
{
    uint8_t bytes[4];
    put_u32(bytes, half);
    return (uint64_t)half_salt(storage_id, number, bytes, sizeof bytes) << 32 | half;
}

uint64_t segment_salt(uint64_t storage_id, uint64_t number, const uint8_t before[BATCH_HASH_BYTES])
{
    return salt_from(storage_id, number, half_salt(storage_id, number, before, BATCH_HASH_BYTES));
}

bool segment_salt_fits(uint64_t storage_id, uint64_t number, uint64_t salt)
{
    return salt == salt_from(storage_id, number, (uint32_t)salt);
}

bool segment_size_ok(uint64_t bytes)
{
    return bytes >= WAL_SEGMENT_BYTES_MIN && bytes <= WAL_SEGMENT_BYTES_MAX &&
           bytes % BATCH_BLOCK_BYTES == 0;
}

uint32_t segment_seal_at(uint32_t segment_bytes)
{
    return segment_bytes - BATCH_BLOCK_BYTES;
}

uint32_t segment_entries_end(uint32_t segment_bytes)
{
    uint32_t reserve = segment_bytes / BATCH_BLOCK_BYTES / 16; /* of a test's small segment, less */
    if (reserve < RESERVE_BLOCKS_MIN)
        reserve = RESERVE_BLOCKS_MIN;
    if (reserve > RESERVE_BLOCKS_MAX)
        reserve = RESERVE_BLOCKS_MAX;
    return segment_bytes - reserve * BATCH_BLOCK_BYTES;
}
