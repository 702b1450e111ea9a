/* cmd.c: see cmd.h. */
#include "raftd/state/cmd.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/bytes.h"

enum { AT_OP = 0, AT_ZERO1 = 1, AT_KEY_LEN = 2, AT_ORIGIN = 4, AT_LIMIT = 6, AT_REQUEST = 8 };

size_t cmd_encode(uint8_t *buf, const struct cmd *c)
{
    assert(c->op == CMD_PUT || c->op == CMD_DELETE);
    assert(c->key_len >= 1 && c->key_len <= CMD_KEY_MAX_BYTES);
    assert(c->value_len <= CMD_VALUE_MAX_BYTES && (c->op == CMD_PUT || c->value_len == 0));
    buf[AT_OP] = c->op;
    buf[AT_ZERO1] = 0;
    put_u16(buf + AT_KEY_LEN, c->key_len);
    put_u16(buf + AT_LIMIT, c->limit);
    cmd_stamp(buf, c->origin, c->request);
    memcpy(buf + CMD_HEAD_BYTES, c->key, c->key_len);
    if (c->value_len > 0)
        memcpy(buf + CMD_HEAD_BYTES + c->key_len, c->value, c->value_len);
    return (size_t)CMD_HEAD_BYTES + c->key_len + c->value_len;
}

int cmd_decode(const uint8_t *buf, size_t len, struct cmd *c)
{
    if (len < CMD_HEAD_BYTES || len > CMD_MAX_BYTES)
        return -1;
    if (buf[AT_ZERO1] != 0)
        return -1;
    if (buf[AT_OP] != CMD_PUT && buf[AT_OP] != CMD_DELETE)
        return -1;
    uint16_t key_len = get_u16(buf + AT_KEY_LEN);
    if (key_len < 1 || key_len > CMD_KEY_MAX_BYTES || key_len > len - CMD_HEAD_BYTES)
        return -1;
    size_t value_len = len - CMD_HEAD_BYTES - key_len;
    if (value_len > CMD_VALUE_MAX_BYTES || (buf[AT_OP] == CMD_DELETE && value_len != 0))
        return -1;
    *c = (struct cmd){
        .op = buf[AT_OP],
        .origin = get_u16(buf + AT_ORIGIN),
        .limit = get_u16(buf + AT_LIMIT),
        .request = get_u64(buf + AT_REQUEST),
        .key = buf + CMD_HEAD_BYTES,
        .value = buf[AT_OP] == CMD_PUT ? buf + CMD_HEAD_BYTES + key_len : NULL,
        .key_len = key_len,
        .value_len = (uint32_t)value_len,
    };
    return 0;
}

void cmd_stamp(uint8_t *buf, uint16_t origin, uint64_t request)
{
    put_u16(buf + AT_ORIGIN, origin);
    put_u64(buf + AT_REQUEST, request);
}

void cmd_stamp_limit(uint8_t *buf, uint16_t limit)
{
    put_u16(buf + AT_LIMIT, limit);
}
