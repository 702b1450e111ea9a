/* cmd.h: a command of the state machine as bytes: the data of a RECORD_COMMAND entry.
 *
 *   0 u8  op            CMD_PUT, CMD_DELETE
 *   1 u8  0
 *   2 u16 key length    1..CMD_KEY_MAX_BYTES
 *   4 u16 origin        node whose client asked
 *   6 u16 limit         of all data, in units of CMD_LIMIT_BYTES, as the leader says who takes the
 *                       command into its log; 0: none, and on the way to a leader
 *   8 u64 request       number given by the origin: upper half a random token of its process,
 *                       lower half counts. The origin recognises its own writes by it when it applies them.
 *  16 key, then the value up to the end
 */
#ifndef RAFTD_CMD_H
#define RAFTD_CMD_H

#include <stddef.h>
#include <stdint.h>

enum {
    CMD_PUT = 1,
    CMD_DELETE = 2,
    CMD_HEAD_BYTES = 16,
    CMD_KEY_MAX_BYTES = 256,       /* keys are names, and each sits in memory on every node */
    CMD_LIMIT_BYTES = 16384,       /* a u16 of them is 1 GiB */
    CMD_VALUE_MAX_BYTES = 1 << 20, /* upper limit of max_value_bytes: one value is one log entry */
    CMD_MAX_BYTES = CMD_HEAD_BYTES + CMD_KEY_MAX_BYTES + CMD_VALUE_MAX_BYTES,
};

struct cmd {
    uint8_t op;
    uint16_t origin;
    uint16_t limit;
    uint64_t request;
    const uint8_t *key;
    const uint8_t *value; /* NULL for CMD_DELETE */
    uint16_t key_len;
    uint32_t value_len;
};

/* Writes c to buf, which holds CMD_HEAD_BYTES + key_len + value_len bytes; returns that size. */
size_t cmd_encode(uint8_t *buf, const struct cmd *c);

/* 0, or -1 when buf is not exactly one well-formed command. `c` points into buf. */
int cmd_decode(const uint8_t *buf, size_t len, struct cmd *c);

/* Fills origin and request of an encoded command. */
void cmd_stamp(uint8_t *buf, uint16_t origin, uint64_t request);
/* Fills the limit. */
void cmd_stamp_limit(uint8_t *buf, uint16_t limit);

#endif
