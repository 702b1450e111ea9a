/* record.c: see record.h for the layout. */
#include "storage/record.h"

#include <assert.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "storage/crc32c.h"
#include "storage/zero.h"

enum {
    AT_CRC = 0,
    AT_DATA_LEN = 4,
    AT_INDEX = 8,
    AT_TERM = 16,
    AT_TYPE = 24,
    AT_VERSION = 25,
    AT_CLUSTER_MS = 26,
    AT_PREV = 32,
};

_Static_assert(RECORD_DATA_MAX_BYTES % RECORD_ALIGN_BYTES == 0,
               "RECORD_MAX_BYTES needs no padding");

static bool type_known(uint8_t type)
{
    return type >= RECORD_NOOP && type <= RECORD_MEMBERS;
}

size_t record_size(uint32_t data_len)
{
    size_t mask = RECORD_ALIGN_BYTES - 1;
    return RECORD_HEAD_BYTES + (((size_t)data_len + mask) & ~mask);
}

size_t record_seal(uint8_t *buf, uint64_t index, uint64_t term, uint64_t cluster_ms, uint8_t type,
                   const uint8_t prev[RECORD_HASH_BYTES], uint32_t data_len)
{
    size_t size = record_size(data_len);
    size_t used = RECORD_HEAD_BYTES + (size_t)data_len;
    assert(index > 0 && term > 0 && type_known(type) && data_len <= RECORD_DATA_MAX_BYTES);
    assert(cluster_ms <= RECORD_CLUSTER_MS_MAX);
    put_u32(buf + AT_DATA_LEN, data_len);
    put_u64(buf + AT_INDEX, index);
    put_u64(buf + AT_TERM, term);
    buf[AT_TYPE] = type;
    buf[AT_VERSION] = RECORD_VERSION;
    put_u16(buf + AT_CLUSTER_MS, (uint16_t)cluster_ms);
    put_u32(buf + AT_CLUSTER_MS + 2, (uint32_t)(cluster_ms >> 16));
    memcpy(buf + AT_PREV, prev, RECORD_HASH_BYTES);
    memset(buf + used, 0, size - used);
    put_u32(buf + AT_CRC, crc32c(0, buf + AT_DATA_LEN, size - AT_DATA_LEN));
    return size;
}

enum record_status record_decode(const uint8_t *buf, size_t len, struct record *out,
                                 size_t *size_or_need)
{
    if (len < RECORD_HEAD_BYTES) {
        *size_or_need = RECORD_HEAD_BYTES;
        return RECORD_SHORT;
    }
    /* Everything that the head alone can refute comes before its length is used. */
    uint32_t data_len = get_u32(buf + AT_DATA_LEN);
    if (data_len > RECORD_DATA_MAX_BYTES || buf[AT_VERSION] != RECORD_VERSION ||
        !type_known(buf[AT_TYPE]) || get_u64(buf + AT_INDEX) == 0 || get_u64(buf + AT_TERM) == 0)
        return RECORD_BAD;
    size_t size = record_size(data_len);
    if (len < size) {
        *size_or_need = size;
        return RECORD_SHORT;
    }
    size_t used = RECORD_HEAD_BYTES + (size_t)data_len;
    if (get_u32(buf + AT_CRC) != crc32c(0, buf + AT_DATA_LEN, size - AT_DATA_LEN) ||
        !all_zero(buf + used, size - used))
        return RECORD_BAD;
    out->index = get_u64(buf + AT_INDEX);
    out->term = get_u64(buf + AT_TERM);
    out->cluster_ms = record_cluster_ms(buf);
    out->type = buf[AT_TYPE];
    memcpy(out->prev, buf + AT_PREV, RECORD_HASH_BYTES);
    out->data = buf + RECORD_HEAD_BYTES;
    out->data_len = data_len;
    *size_or_need = size;
    return RECORD_OK;
}

size_t record_known_size(const uint8_t *rec)
{
    return record_size(get_u32(rec + AT_DATA_LEN));
}

uint64_t record_cluster_ms(const uint8_t *rec)
{
    return get_u16(rec + AT_CLUSTER_MS) | (uint64_t)get_u32(rec + AT_CLUSTER_MS + 2) << 16;
}

void record_hash(const uint8_t *rec, size_t size, uint8_t out[RECORD_HASH_BYTES])
{
    /* It fails only for lengths of output or key that are not allowed, and both are constants here. */
    int rc = crypto_generichash(out, RECORD_HASH_BYTES, rec, size, NULL, 0);
    assert(rc == 0);
    (void)rc;
}
