/* proto.h: what programs and their node say to each other on the Unix socket (SOCK_SEQPACKET).
 *
 * A client sends requests, each with a tag of its own choice, as many at a time as it likes, and
 * gets one answer per request, with that tag, in any order. A packet holds one or more requests or
 * answers, one behind the other: the kernel's price is per packet. All numbers are little-endian.
 *
 *   request                                      answer
 *    0 u8  PROTO_VERSION                          0 u8  PROTO_VERSION
 *    1 u8  op                                     1 u8  enum result (request.h)
 *    2 u8  PROTO_STALE, PROTO_JSON ...           2 u8  PROTO_MORE, PROTO_PARTIAL, PROTO_RECOVERING
 *    3 u8  0                                      3 u8  0
 *    4 u16 key length                             4 u16 leader as far as known, 0 = none
 *    6 u16 value bytes in this packet             6 u16 body bytes in this packet
 *    8 u32 timeout_ms                             8 u64 tag
 *   12 u32 value length (of all packets)         16 u64 create revision
 *   16 u64 tag                                   24 u64 modify revision
 *   24 key, then the value or its first part     32 body or a part of it
 *
 * Put: a value that does not fit goes on with op PROTO_PART and the same tag in the next packets,
 * without another request of the same connection in between, until value length bytes have been
 * sent. Answers: each part has the header; PROTO_MORE says that the next one goes on with the body.
 * An answer with tag 0 and RESULT_BAD, RESULT_BUSY or RESULT_NOT_YET is about the connection, which
 * then ends. The body of the last one, with any tag, says for people why the daemon does not serve yet; if it
 * serves, there is none.
 *
 *   op      key     value               body of a RESULT_OK answer     revisions
 *   get     key                         value                          of the key
 *   put     key     value                                              modify: of this write;
 *                                          of RESULT_TOO_LARGE the most bytes that a value may have
 *   delete  key                                                        modify: of this write
 *   list    prefix  key to start after  items, see proto_item          modify: index of the page
 *   status                              key=value lines, or JSON       none
 *   fetch   u64 index, u64 offset       bytes of that snapshot from there on, as many as fit; RESULT_NO_KEY:
 *                                       there are none. Its last 44 bytes end with the BLAKE2b-256 of all
 *                                       before these
 *   snapshot                            nothing: one will be written; status says when it is
 *   transfer  u16 leader, u16 heir      nothing: the leader, if it still leads, is asked to hand over to
 *                                       that node, 0: the best; status says what becomes of it
 *   drain                               nothing: this node will lead no more, as status says
 *   member  member_change.h             nothing; of RESULT_REFUSED: why, for people
 *                                                                      modify: of the change
 *
 * A long list comes in pages: PROTO_PARTIAL says that there are more keys; ask again with the last
 * key as the value. All of a page is as of one log index, which its answer says; the next page is a
 * read of its own, and as of another index if something was written meanwhile.
 *
 * The codec is pure and bounded: nothing is read outside buf[0..len), and what decodes encodes to
 * the same bytes again.
 */
#ifndef RAFTD_PROTO_H
#define RAFTD_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/node/request.h"

enum proto_op {
    PROTO_GET = 1,
    PROTO_PUT = 2,
    PROTO_DELETE = 3,
    PROTO_LIST = 4,
    PROTO_STATUS = 5,
    PROTO_PART = 6, /* goes on with the value of the put before */
    PROTO_SNAPSHOT = 7,
    PROTO_FETCH = 8,
    PROTO_TRANSFER = 9,
    PROTO_DRAIN = 10,
    PROTO_MEMBER = 11,
};

enum {
    PROTO_VERSION = 1,

    PROTO_STALE = 1,   /* request: answer from this node's own state at once; RESULT_NOT_YET while
                        there is none */
    PROTO_JSON = 2,    /* request for status: as JSON */
    PROTO_MEMBERS = 4, /* request for status: of all members, in place of this node */

    PROTO_MORE = 1,       /* answer: its body goes on in the next packet */
    PROTO_PARTIAL = 2,    /* answer to list: more keys follow the last one */
    PROTO_RECOVERING = 4, /* answer to a read with PROTO_STALE: it may be older than what the node
                             knew before it started, or lost: see shared.local_reads */

    PROTO_FETCH_KEY_BYTES = 16,
    PROTO_TRANSFER_KEY_BYTES = 4,
    PROTO_REQUEST_HEAD_BYTES = 24,
    PROTO_REPLY_HEAD_BYTES = 32,
    PROTO_ITEM_HEAD_BYTES = 24,

    /* Several of these fit into an unprivileged socket's buffer (212992 bytes on Linux). */
    PROTO_PACKET_MAX_BYTES = 32768,

    /* More requests or answers join a packet up to this size, which costs the kernel one page. */
    PROTO_JOIN_BYTES = 3584,

    PROTO_REPLY_BODY_MAX_BYTES = PROTO_PACKET_MAX_BYTES - PROTO_REPLY_HEAD_BYTES,

    /* A page of a list is smaller than this, or of one item. */
    PROTO_LIST_PAGE_BYTES = 1 << 20,

    PROTO_TIMEOUT_MAX_MS = 3600 * 1000, /* a longer one counts as this */
};

struct proto_request {
    uint8_t op; /* enum proto_op */
    uint8_t flags;
    uint16_t key_len;
    uint32_t timeout_ms;
    uint32_t value_len; /* of the whole value */
    uint32_t part_len;  /* of it in this packet */
    uint64_t tag;
    const uint8_t *key;
    const uint8_t *part;
};

struct proto_reply {
    enum result result;
    uint8_t flags;
    uint16_t leader;
    uint64_t tag;
    uint64_t create_revision;
    uint64_t modify_revision;
    const uint8_t *body;
    size_t body_len; /* in this packet */
};

/* One key of a list:
 *    0 u16 key length    2 u16 0    4 u32 value length    8 u64 create revision
 *   16 u64 modify revision         24 key, value */
struct proto_item {
    uint16_t key_len;
    uint32_t value_len;
    uint64_t create_revision;
    uint64_t modify_revision;
    const uint8_t *key;
    const uint8_t *value;
};

/* The encoders return the number of bytes that they wrote to buf, which has room for head and contents; of a
 * request or reply these are at most PROTO_PACKET_MAX_BYTES. Contents may be in place already. */
size_t proto_request_encode(uint8_t *buf, const struct proto_request *r);
size_t proto_reply_encode(uint8_t *buf, const struct proto_reply *r);
size_t proto_item_encode(uint8_t *buf, const struct proto_item *item);

/* The decoders read the first request, answer or item in buf. They return its size, or 0 if it is not
 * whole and well-formed. Pointers in the result point into buf. */
size_t proto_request_decode(const uint8_t *buf, size_t len, struct proto_request *r);
size_t proto_reply_decode(const uint8_t *buf, size_t len, struct proto_reply *r);
size_t proto_item_decode(const uint8_t *buf, size_t len, struct proto_item *item);

#endif
