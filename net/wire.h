/* wire.h: the whole wire between nodes on one screen: layouts, lengths, limits.
 *
 * A datagram is one header, then frames, no trailer. Integers are little-endian at fixed offsets.
 * Reserved bytes and bits (0 below) and padding are zero when sent and ignored on receipt.
 *
 *   header, 44 bytes
 *     0  u8   version << 4 | kind    version 1, kind 0 = plain
 *     1  u8   bits                   1 = ts_echo and hold are valid
 *     2  u16  from                   node id of the sender
 *     4  u16  to                     node id of the receiver
 *     6  u16  rx_cnt                 datagrams accepted from the receiver so far, mod 65536
 *     8  u64  cluster                identity of the cluster, see wire_cluster_id()
 *    16  u64  check                  SipHash-2-4 of the datagram with this field zero
 *    24  u64  term                   sender's current term; the term of all messages inside
 *    32  u32  ts                     us, strictly increasing per sender and receiver
 *    36  u32  ts_echo                newest ts received
 *    40  u16  hold                   64 us units since that was received, 0xFFFF = too old
 *    42  u16  0
 *
 *   frame, 4 bytes and a body, padded to 4
 *     0  u8 type | u8 flags | u16 length of the body without padding
 *
 *   type       body   flags                   layout of the body
 *   81 LEAD      28   1 ack_now               u64 round | u64 commit | u64 end_off | u32 epoch
 *   82 ACK       24   1 need_probe            u64 round | u64 durable | u32 epoch | u32 boot
 *   83 PROBE     20                           u64 prev_index | u64 prev_term | u32 probe
 *   84 PROBE_ACK 32   1 match                 u64 prev_index | u64 hint_index | u64 hint_term
 *                                             | u32 probe | u32 boot
 *   85 SACK   20+8n                           u8 stream | u8 n | u16 0 | u32 id | u64 contig
 *                                             | u32 rwnd | n <= 8 x { u32 start | u32 len }
 *   90 LOG     28+d                           u64 base_index | u64 base_term | u64 off
 *                                             | u32 epoch | d bytes
 *   91 RELAY   12+d                           u64 off | u32 boot | d bytes
 *   A0 VOTE_REQ  32   1 pre                   u64 campaign | u64 vote_term | u64 last_index
 *                                             | u64 last_term
 *   A1 VOTE_RSP  16   1 pre 2 granted         u64 campaign | u64 vote_term
 *   30 PING       0
 *   C0 READ_REQ   8                           u64 req
 *   C1 READ_RSP  16                           u64 req | u64 index
 *
 * Growth without a new version: bit 7 of the type says critical. An unknown critical frame makes
 * the datagram refused, an unknown optional one is skipped. A body longer than known: the rest is
 * ignored (not for LOG and RELAY, whose rest is data); shorter: the datagram is refused. Type
 * numbers are never used twice. A datagram is taken whole or not at all.
 *
 * SACK: all bytes below contig were received; ranges are relative to contig, ascending, with a
 * hole before each; the sender may send up to contig + rwnd. end_off in LEAD is where the LOG
 * stream ends now: a receiver that has less knows that the tail was lost.
 *
 * `check` guards against bit errors (UDP's own sum is weak and may be absent), not against people:
 * its key is public. Opening an envelope (version, cluster, check) and reading frames are separate
 * steps, so that a sealed envelope can take the place of this one.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/core/raft.h"

enum {
    WIRE_VERSION_NOW = 1,
    WIRE_DATAGRAM_MAX = 1200,   /* sent: passes every path without fragments (RFC 9000, 14.1) */
    WIRE_DATAGRAM_TAKEN = 1452, /* received: what Ethernet carries of UDP over IPv6 */
    WIRE_SACK_RANGES = 8,       /* per frame: 84 bytes, an acknowledgement stays small */
    WIRE_HOLD_UNIT_US = 64,
    WIRE_HOLD_OLD = 0xFFFF, /* `hold`: over 4.19 s ago */
    WIRE_HEADER_BYTES = 44,
    WIRE_FRAME_BYTES = 4,      /* head of a frame */
    WIRE_HEARTBEAT_BYTES = 76, /* header + LEAD; target: at most 96 */
};

/* Fixed part of each body, see the table. */
enum {
    WIRE_LEAD_BYTES = 28,
    WIRE_ACK_BYTES = 24,
    WIRE_PROBE_BYTES = 20,
    WIRE_PROBE_ACK_BYTES = 32,
    WIRE_SACK_BYTES = 20,
    WIRE_SACK_RANGE_BYTES = 8,
    WIRE_LOG_BYTES = 28,
    WIRE_RELAY_BYTES = 12,
    WIRE_VOTE_REQ_BYTES = 32,
    WIRE_VOTE_RSP_BYTES = 16,
    WIRE_PING_BYTES = 0,
    WIRE_READ_REQ_BYTES = 8,
    WIRE_READ_RSP_BYTES = 16,
};

enum wire_type {
    WIRE_CRITICAL = 0x80,
    WIRE_PING = 0x30,
    WIRE_LEAD = 0x81,
    WIRE_ACK = 0x82,
    WIRE_PROBE = 0x83,
    WIRE_PROBE_ACK = 0x84,
    WIRE_SACK = 0x85,
    WIRE_LOG = 0x90,
    WIRE_RELAY = 0x91,
    WIRE_VOTE_REQ = 0xA0,
    WIRE_VOTE_RSP = 0xA1,
    WIRE_READ_REQ = 0xC0,
    WIRE_READ_RSP = 0xC1,
};

/* Streams of bytes between two nodes, each with its own SACK. */
enum wire_stream {
    WIRE_STREAM_LOG = 1,   /* leader to follower: encoded entries after base_index */
    WIRE_STREAM_RELAY = 2, /* clients' requests on their way to the leader */
};

/* Why a datagram was refused, for counting. */
enum wire_status {
    WIRE_OK,
    WIRE_SHORT,            /* shorter than a header */
    WIRE_LONG,             /* longer than WIRE_DATAGRAM_TAKEN */
    WIRE_VERSION,          /* another version or kind */
    WIRE_CLUSTER,          /* another cluster */
    WIRE_CHECKSUM,         /* bytes changed on the way */
    WIRE_NOT_FOR_US,       /* for another node */
    WIRE_UNKNOWN_SENDER,   /* never from wire_check(): the caller knows the voters */
    WIRE_UNKNOWN_CRITICAL, /* a frame that must be understood is not known here */
    WIRE_MALFORMED,        /* frames do not add up */
    WIRE_STATUS_COUNT,
};

/* The header's fields; see the table. `cluster` and `from` are the sender's own. */
struct wire_header {
    uint16_t from;
    uint16_t to;
    uint16_t rx_cnt;
    uint16_t hold;
    uint64_t cluster;
    uint64_t term;
    uint32_t ts;
    uint32_t ts_echo;
    bool echo; /* ts_echo and hold are valid */
};

struct wire_range {
    uint32_t start; /* bytes above contig */
    uint32_t len;
};

struct wire_sack {
    uint8_t stream; /* enum wire_stream, not checked on receipt */
    uint32_t id;    /* epoch (LOG) or boot (RELAY) of the stream */
    uint64_t contig;
    uint32_t rwnd;
    unsigned n;                                 /* 0..WIRE_SACK_RANGES */
    struct wire_range ranges[WIRE_SACK_RANGES]; /* order and overlap not checked on receipt */
};

/* A piece of a stream. */
struct wire_data {
    uint8_t stream;       /* enum wire_stream */
    uint32_t id;          /* epoch (LOG) or boot of the sender (RELAY) */
    uint64_t base_index;  /* LOG: the stream starts after this entry */
    uint64_t base_term;   /* LOG: and this is its term */
    uint64_t off;         /* of bytes[0] in the stream; off + len may overflow on receipt */
    const uint8_t *bytes; /* received: points into the datagram */
    size_t len;
};

enum wire_frame_kind { WIRE_FRAME_MSG, WIRE_FRAME_SACK, WIRE_FRAME_DATA };

struct wire_frame {
    enum wire_frame_kind kind;
    uint64_t end_off; /* MSG of type RAFT_MSG_LEAD: end of the LOG stream; else 0 */
    union {
        struct raft_msg msg; /* from, to and term are the header's */
        struct wire_sack sack;
        struct wire_data data;
    };
};

/* Reads frames of one datagram, whose bytes must stay. */
struct wire_reader {
    const uint8_t *buf;
    size_t len;
    size_t pos;
    struct wire_header h;
};

/* Builds one datagram in the caller's memory. */
struct wire_writer {
    uint8_t *buf;
    size_t cap;
    size_t len;
    uint64_t term;
};

/* Judges a datagram: envelope first, then the structure of all frames. `h` is filled when the
 * answer is WIRE_OK, else it is not touched. Whether h->from may speak is the caller's question. */
enum wire_status wire_check(const uint8_t *buf, size_t len, uint64_t cluster, uint16_t self,
                            struct wire_header *h);

/* Frames of a datagram for which wire_check() said WIRE_OK. wire_next() fills `f` with the next
 * known frame, false after the last. */
void wire_read(struct wire_reader *r, const uint8_t *buf, size_t len, const struct wire_header *h);
bool wire_next(struct wire_reader *r, struct wire_frame *f);

/* Starts a datagram of at most cap bytes (WIRE_HEADER_BYTES..WIRE_DATAGRAM_TAKEN; normally
 * WIRE_DATAGRAM_MAX) whose messages are all of `term`. */
void wire_begin(struct wire_writer *w, uint8_t *buf, size_t cap, uint64_t term);

/* Adds a message. false: it doesn't fit into this datagram, or is of another term than
 * wire_begin() was told. end_off is used for LEAD alone. m->from and m->to are not looked at. */
bool wire_put_msg(struct wire_writer *w, const struct raft_msg *m, uint64_t end_off);

/* Adds a SACK; false: no room. */
bool wire_put_sack(struct wire_writer *w, const struct wire_sack *s);

/* Bytes of a stream's data that still fit, and how many of d->len were added (0 = no room). */
size_t wire_room(const struct wire_writer *w, enum wire_stream stream);
size_t wire_put_data(struct wire_writer *w, const struct wire_data *d);

/* True if nothing was added yet. */
bool wire_empty(const struct wire_writer *w);

/* Writes the header and returns the datagram's length. h->term is that of wire_begin(). */
size_t wire_end(struct wire_writer *w, const struct wire_header *h);

/* Writes `check` of a datagram of at least a header. Last step of wire_end(). */
void wire_put_check(uint8_t *buf, size_t len);

/* First 8 bytes of BLAKE2b of the cluster's name. */
uint64_t wire_cluster_id(const char *name);

/* A short phrase for people and a key for status. */
const char *wire_status_name(enum wire_status status);

_Static_assert(WIRE_HEARTBEAT_BYTES == WIRE_HEADER_BYTES + WIRE_FRAME_BYTES + WIRE_LEAD_BYTES,
               "sum of the parts");
_Static_assert(WIRE_HEARTBEAT_BYTES <= 96, "a heartbeat is at most 96 bytes of UDP payload");
_Static_assert(WIRE_HEADER_BYTES % 4 == 0 && WIRE_DATAGRAM_MAX % 4 == 0 &&
                   WIRE_DATAGRAM_TAKEN % 4 == 0,
               "frames start at multiples of 4");

#endif
