/* proto.c: see proto.h. */
#include "raftd/serve/proto.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/member_change.h"

static void put_bytes(uint8_t *to, const uint8_t *from, size_t len)
{
    if (len > 0 && to != from)
        memcpy(to, from, len);
}

size_t proto_request_encode(uint8_t *buf, const struct proto_request *r)
{
    size_t len = (size_t)PROTO_REQUEST_HEAD_BYTES + r->key_len + r->part_len;
    assert(len <= PROTO_PACKET_MAX_BYTES);
    buf[0] = PROTO_VERSION;
    buf[1] = r->op;
    buf[2] = r->flags;
    buf[3] = 0;
    put_u16(buf + 4, r->key_len);
    put_u16(buf + 6, (uint16_t)r->part_len);
    put_u32(buf + 8, r->timeout_ms);
    put_u32(buf + 12, r->value_len);
    put_u64(buf + 16, r->tag);
    put_bytes(buf + PROTO_REQUEST_HEAD_BYTES, r->key, r->key_len);
    put_bytes(buf + PROTO_REQUEST_HEAD_BYTES + r->key_len, r->part, r->part_len);
    return len;
}

/* What each op may carry. */
static bool request_shape_ok(const struct proto_request *r)
{
    uint8_t flags = r->op == PROTO_GET || r->op == PROTO_LIST ? PROTO_STALE
                    : r->op == PROTO_STATUS                   ? PROTO_JSON | PROTO_MEMBERS
                                                              : 0;
    if ((r->flags & ~flags) != 0)
        return false;
    switch (r->op) {
    case PROTO_GET:
    case PROTO_DELETE: return r->key_len > 0 && r->value_len == 0 && r->part_len == 0;
    case PROTO_PUT: return r->key_len > 0 && r->part_len <= r->value_len;
    case PROTO_LIST: return r->part_len == r->value_len;
    case PROTO_FETCH:
        return r->key_len == PROTO_FETCH_KEY_BYTES && r->value_len == 0 && r->part_len == 0;
    case PROTO_TRANSFER:
        return r->key_len == PROTO_TRANSFER_KEY_BYTES && r->value_len == 0 && r->part_len == 0;
    case PROTO_MEMBER:
        return r->key_len > 0 && r->key_len <= MEMBER_CHANGE_BYTES_MAX && r->value_len == 0 &&
               r->part_len == 0;
    case PROTO_SNAPSHOT:
    case PROTO_DRAIN:
    case PROTO_STATUS: return r->key_len == 0 && r->value_len == 0 && r->part_len == 0;
    case PROTO_PART: return r->key_len == 0 && r->value_len == 0 && r->part_len > 0;
    default: return false;
    }
}

size_t proto_request_decode(const uint8_t *buf, size_t len, struct proto_request *r)
{
    if (len < PROTO_REQUEST_HEAD_BYTES || len > PROTO_PACKET_MAX_BYTES)
        return 0;
    if (buf[0] != PROTO_VERSION || buf[3] != 0)
        return 0;
    *r = (struct proto_request){
        .op = buf[1],
        .flags = buf[2],
        .key_len = get_u16(buf + 4),
        .timeout_ms = get_u32(buf + 8),
        .value_len = get_u32(buf + 12),
        .part_len = get_u16(buf + 6),
        .tag = get_u64(buf + 16),
        .key = buf + PROTO_REQUEST_HEAD_BYTES,
    };
    size_t rest = len - PROTO_REQUEST_HEAD_BYTES;
    if (r->key_len > rest || r->part_len > rest - r->key_len)
        return 0;
    r->part = r->key + r->key_len;
    if (!request_shape_ok(r))
        return 0;
    return (size_t)PROTO_REQUEST_HEAD_BYTES + r->key_len + r->part_len;
}

size_t proto_reply_encode(uint8_t *buf, const struct proto_reply *r)
{
    assert(r->body_len <= PROTO_REPLY_BODY_MAX_BYTES);
    buf[0] = PROTO_VERSION;
    buf[1] = (uint8_t)r->result;
    buf[2] = r->flags;
    buf[3] = 0;
    put_u16(buf + 4, r->leader);
    put_u16(buf + 6, (uint16_t)r->body_len);
    put_u64(buf + 8, r->tag);
    put_u64(buf + 16, r->create_revision);
    put_u64(buf + 24, r->modify_revision);
    put_bytes(buf + PROTO_REPLY_HEAD_BYTES, r->body, r->body_len);
    return PROTO_REPLY_HEAD_BYTES + r->body_len;
}

size_t proto_reply_decode(const uint8_t *buf, size_t len, struct proto_reply *r)
{
    if (len < PROTO_REPLY_HEAD_BYTES || len > PROTO_PACKET_MAX_BYTES)
        return 0;
    if (buf[0] != PROTO_VERSION || buf[1] > RESULT_LAST || buf[3] != 0)
        return 0;
    if ((buf[2] & ~(PROTO_MORE | PROTO_PARTIAL | PROTO_RECOVERING)) != 0)
        return 0;
    *r = (struct proto_reply){
        .result = (enum result)buf[1],
        .flags = buf[2],
        .leader = get_u16(buf + 4),
        .tag = get_u64(buf + 8),
        .create_revision = get_u64(buf + 16),
        .modify_revision = get_u64(buf + 24),
        .body = buf + PROTO_REPLY_HEAD_BYTES,
        .body_len = get_u16(buf + 6),
    };
    if (r->body_len > len - PROTO_REPLY_HEAD_BYTES)
        return 0;
    return PROTO_REPLY_HEAD_BYTES + r->body_len;
}

size_t proto_item_encode(uint8_t *buf, const struct proto_item *item)
{
    put_u16(buf, item->key_len);
    put_u16(buf + 2, 0);
    put_u32(buf + 4, item->value_len);
    put_u64(buf + 8, item->create_revision);
    put_u64(buf + 16, item->modify_revision);
    put_bytes(buf + PROTO_ITEM_HEAD_BYTES, item->key, item->key_len);
    put_bytes(buf + PROTO_ITEM_HEAD_BYTES + item->key_len, item->value, item->value_len);
    return (size_t)PROTO_ITEM_HEAD_BYTES + item->key_len + item->value_len;
}

size_t proto_item_decode(const uint8_t *buf, size_t len, struct proto_item *item)
{
    if (len < PROTO_ITEM_HEAD_BYTES || get_u16(buf + 2) != 0)
        return 0;
    *item = (struct proto_item){
        .key_len = get_u16(buf),
        .value_len = get_u32(buf + 4),
        .create_revision = get_u64(buf + 8),
        .modify_revision = get_u64(buf + 16),
        .key = buf + PROTO_ITEM_HEAD_BYTES,
    };
    size_t rest = len - PROTO_ITEM_HEAD_BYTES;
    if (item->key_len > rest || item->value_len > rest - item->key_len)
        return 0;
    item->value = item->key + item->key_len;
    return (size_t)PROTO_ITEM_HEAD_BYTES + item->key_len + item->value_len;
}
