#include "net/seal/plain.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "net/wire.h"
#include "raftd/base/bytes.h"

enum {
    AT_VERSION = 0,
    AT_ZERO = 1,
    AT_FROM = 2,
    AT_TO = 4,
    AT_ZERO_2 = 6,
    AT_CLUSTER = 8,
    AT_CHECK = 16,
    AT_KEY = 24,
    AT_ABOUT = AT_KEY + ABOUT_KEY_BYTES,

    CHECK_BYTES = 8,
};

_Static_assert(crypto_shorthash_BYTES == CHECK_BYTES, "SipHash gives 64 bits");
_Static_assert(crypto_shorthash_KEYBYTES == 16, "SipHash takes 128 bits of key");
_Static_assert((int)PLAIN_HEAD_BYTES <= (int)WIRE_HEAD_ROOM, "room before the payload");

/* The key is public: with cluster and version in it, no datagram of another cluster passes by chance. */
static void checksum(uint8_t out[CHECK_BYTES], const uint8_t *buf, size_t len)
{
    assert(len >= PLAIN_HEAD_BYTES && len <= WIRE_DATAGRAM_MAX);
    uint8_t key[crypto_shorthash_KEYBYTES] = {0};
    memcpy(key, buf + AT_CLUSTER, 8);
    key[8] = WIRE_VERSION_NOW;

    uint8_t copy[WIRE_DATAGRAM_MAX];
    memcpy(copy, buf, len);
    memset(copy + AT_CHECK, 0, CHECK_BYTES);
    int failed = crypto_shorthash(out, copy, len, key);
    assert(!failed);
    (void)failed;
}

enum drop plain_open(const uint8_t *buf, size_t len, const struct plain_ends *ends)
{
    if (len < PLAIN_HEAD_BYTES)
        return DROP_SHORT;
    if (len > WIRE_DATAGRAM_MAX)
        return DROP_LONG;
    if (buf[AT_VERSION] >> 4 != WIRE_VERSION_NOW)
        return DROP_VERSION;
    if (buf[AT_VERSION] != WIRE_VERSION_NOW << 4)
        return DROP_KIND;
    if (get_u64(buf + AT_CLUSTER) != ends->cluster)
        return DROP_CLUSTER;
    uint8_t sum[CHECK_BYTES];
    checksum(sum, buf, len);
    if (memcmp(sum, buf + AT_CHECK, CHECK_BYTES) != 0)
        return DROP_CHECKSUM;
    if (get_u16(buf + AT_TO) != ends->to)
        return DROP_MISDIRECTED;
    return get_u16(buf + AT_FROM) == ends->from ? DATAGRAM_DATA : DROP_UNKNOWN;
}

uint16_t plain_from(const uint8_t *buf, size_t len)
{
    return len < PLAIN_HEAD_BYTES ? 0 : get_u16(buf + AT_FROM);
}

struct about plain_about(const uint8_t *buf)
{
    return get_about(buf + AT_ABOUT);
}

const uint8_t *plain_key(const uint8_t *buf)
{
    return buf + AT_KEY;
}

size_t plain_close(uint8_t *buf, size_t payload_len, const struct plain_ends *ends)
{
    size_t len = PLAIN_HEAD_BYTES + payload_len;
    buf[AT_VERSION] = WIRE_VERSION_NOW << 4;
    buf[AT_ZERO] = 0;
    put_u16(buf + AT_FROM, ends->from);
    put_u16(buf + AT_TO, ends->to);
    put_u16(buf + AT_ZERO_2, 0);
    put_u64(buf + AT_CLUSTER, ends->cluster);
    memcpy(buf + AT_KEY, ends->key, ABOUT_KEY_BYTES);
    put_about(buf + AT_ABOUT, &ends->about);
    checksum(buf + AT_CHECK, buf, len);
    return len;
}
