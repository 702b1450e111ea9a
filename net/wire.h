/* wire.h: the whole wire between nodes on one screen: layouts, lengths, limits.
 *
 * A datagram is an envelope around one payload. The envelope says who speaks to whom and that it is
 * genuine: net/seal/session.h seals it, net/seal/plain.h does without secrets. The payload is a
 * preamble, then frames. Integers are little-endian at fixed offsets. Reserved bytes and bits (0 below)
 * and padding are zero when sent and ignored on receipt.
 *
 *   envelope                  before   after
 *     plain (net/seal/plain.h)         80       0
 *     sealed (net/seal/session.h)      16      16
 *
 *   preamble, 24 bytes
 *     0  u64  term                   sender's current term; the term of all messages inside
 *     8  u32  ts                     us, strictly increasing per sender and receiver
 *    12  u32  ts_echo                newest ts received
 *    16  u16  hold                   64 us units since that was received, 0xFFFF = too old
 *    18  u16  tx_cnt                 number of this datagram among those to the receiver, mod 65536
 *    20  u8   bits                   1 = ts_echo and hold are valid; 2 = what ts_echo names had to
 *                                    wait for the sender, which was stopped: no round trip; 4 = the
 *                                    sender's clients wait for what is committed next
 *    21  u8   loss                   of the receiver's datagrams, as the sender sees it, in 1/256
 *    22  u16  0
 *
 *   frame, 4 bytes and a body, padded to 4
 *     0  u8 type | u8 flags | u16 length of the body without padding
 *
 *   type       body   flags                   layout of the body
 *   81 LEAD      28   1 ack_now 2 no_room     u64 round | u64 commit | u64 cluster_ms | u32 epoch
 *                     4 quiet
 *   82 ACK       24   1 need_probe 2 unfit    u64 round | u64 durable | u32 epoch | u32 boot
 *                     4 damaged
 *   83 PROBE     40                           u64 prev_index | u64 prev_term | u64 acked_index
 *                                             | u64 acked_term | u32 probe | u32 damaged_boot
 *   84 PROBE_ACK 32   1 match 2 damaged       u64 prev_index | u64 hint_index | u64 hint_term
 *                                             | u32 probe | u32 boot
 *   85 SACK   20+8n    1 shut 2 log_full      u8 stream | u8 n | u16 spurious | u32 id | u64 contig
 *                                             | u32 rwnd | n <= 8 x { u32 start | u32 len }
 *   86 OFFER     60                           u64 index | u64 term | u64 size | u32 id | 32 bytes hash
 *   92 DATA    16+d   1 again                 u64 off | u32 id | u8 stream | u8 0 | u16 0 | d bytes
 *   A0 VOTE_REQ  32   1 pre 2 handed          u64 campaign | u64 vote_term | u64 last_index
 *                                             | u64 last_term
 *   A1 VOTE_RSP  24   1 pre 2 granted         u64 campaign | u64 vote_term | u64 removed
 *   30 PING       0
 *   31 LINKS 4+r(2+c)                         u8 r | u8 c | u16 members | r x { u16 id
 *                                             | c x u8 heard } | then maybe r x u8 age
 *   33 SETTINGS 8n                           n x u64, in the order of enum wire_setting
 *   37 TIMEOUT_NOW 16                         u64 round | u64 last_index
 *   39 TRANSFER   4                           u16 heir | u16 0
 *   3B VITALS   104   1 drained               u64 match | u64 lag | u64 lag_most | u64 applied
 *                                             | u64 log_bytes | u64 data_bytes | u64 keys
 *                                             | u64 snapshot | u32 snapshot_age | u32 age | u32 heard
 *                                             | u32 version | u32 fsync_p99 | u32 uptime | u32 rate
 *                                             | u32 rtt | u16 id | u16 loss_in | u16 loss_out
 *                                             | u8 session | u8 health
 *   3D CHANGE   8+c                           u64 number | c bytes of member_change.h
 *   41 CHANGED   28                           u64 number | u64 index | u64 term | u8 verdict
 *                                             | 0 (3 bytes)
 *   43 DIGESTS 12+18n    1 ask                u64 index | u8 n | 0 (3 bytes)
 *                                             | n <= 17 x { u16 id | 16 bytes digest }
 *   45 LEASE     24   1 renewed               u64 process | u64 stamp | u64 index
 *   C0 READ_REQ   8                           u64 req
 *   C1 READ_RSP  16                           u64 req | u64 index
 *
 * Growth without a new version: bit 7 of the type says critical. An unknown critical frame makes
 * the datagram refused, an unknown optional one is skipped. A body longer than known: the rest is
 * ignored (not of DATA and CHANGE, where the rest is meant); shorter: the datagram is refused. Type
 * numbers are never used twice. A datagram is taken whole or not at all.
 *
 * DATA: a piece of a stream (enum wire_stream), which (term, stream, id) names. A piece of a stream that
 * is not known here, or of another id, is dropped.
 *
 * SACK: all bytes below contig were received; ranges are relative to contig, ascending, with a
 * hole before each; the sender may send up to contig + rwnd; spurious counts pieces marked `again`
 * (sent once more because they seemed lost) that were here already, mod 65536. shut: instead, what is
 * below contig was used, and what is not will never be, in this stream; log_full says why, see
 * raftd/node/relay.h. It is the answer to every piece from then on.
 *
 * OFFER: the leader has this snapshot for the receiver, who lacks what the log no longer has: of that many
 * bytes, up to that entry. The answer is a SACK of the stream that would bring it, which has that id: what
 * is there of it. It is repeated until that comes. So the first SACK of that stream may have any contig.
 * When it is offered anew it has another, higher id: the receiver may have less of it than it had.
 *
 * LINKS: row by row what nodes hear: for each member in ascending order of ids 255 = not heard, 254 =
 * not yet, by a node that has just started, else the loss in percent. A node tells its own row; a
 * leader adds those that it was told, and how long ago, in 50 ms units; no ages are 0.
 *
 * SETTINGS: what should be equal on all nodes, told with LINKS; more may follow in a later raftd.
 *
 * VITALS: how a member is: of itself, by everybody; of each member, by a leader. For people. Ages are in
 * milliseconds; from 24 days on in seconds, and the highest bit is 1. All bits 1 = never.
 *
 * CHANGE: the leader is asked to change the members; it answers with CHANGED, each time the same for a
 * number. So both may be repeated.
 *
 * DIGESTS: those of the states of some nodes as of entry `index`, as far as the sender knows them: equal,
 * or one of these nodes is broken. None: the sender can't tell any more. ask: the sender has not yet seen
 * that its own is known.
 *
 * LEASE: a node's process asks its leader to believe it alive; renewed: the leader does, see
 * raftd/node/lease.h. Both ride with LEADs and ACKs.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/core/raft.h"

enum {
    WIRE_VERSION_NOW = 9,
    WIRE_DATAGRAM_BASE = 1200, /* passes nearly every path without fragments */
    WIRE_DATAGRAM_MAX = 1452,  /* what Ethernet carries of UDP over IPv6 */
    WIRE_HEAD_ROOM = 80,       /* of the longest envelope, before the payload ... */
    WIRE_TAIL_ROOM = 16,       /* ... and behind it */
    WIRE_SACK_RANGES = 8,      /* per frame: 84 bytes, an acknowledgement stays small */
    WIRE_HOLD_UNIT_US = 64,
    WIRE_HOLD_OLD = 0xFFFF,                  /* `hold`: over 4.19 s ago */
    WIRE_DIGESTS_MAX = RAFT_MEMBERS_MAX + 1, /* one node may tell its own that is no member */
    WIRE_NOT_HEARD = 255,                    /* in LINKS */
    WIRE_NOT_KNOWN = 254,                    /* in LINKS */
    WIRE_LOSS_UNKNOWN = 0xFFFF,              /* in VITALS */
    WIRE_AGE_UNIT_US = 50000,
    WIRE_AGE_MAX = 255,
    WIRE_PREAMBLE_BYTES = 24,
    WIRE_FRAME_BYTES = 4, /* head of a frame */
    WIRE_DIGEST_BYTES = 16,
    WIRE_HASH_BYTES = 32, /* of a snapshot */
};

#define WIRE_AGE_SECONDS (UINT32_C(1) << 31) /* in VITALS: the age is in seconds */

enum wire_type {
    WIRE_CRITICAL = 0x80,
    WIRE_PING = 0x30,
    WIRE_LINKS = 0x31,
    WIRE_SETTINGS = 0x33,
    WIRE_TIMEOUT_NOW = 0x37,
    WIRE_TRANSFER = 0x39,
    WIRE_VITALS = 0x3B,
    WIRE_CHANGE = 0x3D,
    WIRE_CHANGED = 0x41,
    WIRE_DIGESTS = 0x43,
    WIRE_LEASE = 0x45,
    WIRE_LEAD = 0x81,
    WIRE_ACK = 0x82,
    WIRE_PROBE = 0x83,
    WIRE_PROBE_ACK = 0x84,
    WIRE_SACK = 0x85,
    WIRE_OFFER = 0x86,
    WIRE_DATA = 0x92,
    WIRE_VOTE_REQ = 0xA0,
    WIRE_VOTE_RSP = 0xA1,
    WIRE_READ_REQ = 0xC0,
    WIRE_READ_RSP = 0xC1,
};

/* Streams of bytes between two nodes, each with its own SACK. */
enum wire_stream {
    /* Leader to follower: the encoded entries behind the one that a probe matched. id: the probe's number. */
    WIRE_STREAM_LOG = 1,
    /* Follower to leader: the requests of its clients. id: the sender's boot. */
    WIRE_STREAM_RELAY = 2,
    /* Leader to follower: the bytes of a snapshot. id: the first four bytes of its hash as a number, XOR
     * the receiver's boot. */
    WIRE_STREAM_SNAPSHOT = 3,
};

/* The preamble's fields; see the table. */
struct wire_header {
    uint64_t term;
    uint32_t ts;
    uint32_t ts_echo;
    uint16_t hold;
    uint16_t tx_cnt;
    uint8_t loss;
    bool echo;   /* ts_echo and hold are valid */
    bool waited; /* but say nothing about the round trip */
    bool awaits; /* the sender's clients wait for what is committed next */
};

struct wire_range {
    uint32_t start; /* bytes above contig */
    uint32_t len;
};

struct wire_sack {
    uint8_t stream; /* enum wire_stream, not checked on receipt */
    uint32_t id;    /* of the stream */
    uint64_t contig;
    uint32_t rwnd;
    uint16_t spurious;
    bool shut;     /* nothing from contig on will be used */
    bool log_full; /* of one that is shut: for the leader's log_max_bytes */
    uint8_t n;     /* 0..WIRE_SACK_RANGES */
    struct wire_range ranges[WIRE_SACK_RANGES]; /* order and overlap not checked on receipt */
};

/* A snapshot that the sender has. */
struct wire_offer {
    uint64_t index, term; /* of the last entry in it */
    uint64_t size;        /* bytes */
    uint32_t id;          /* of the stream that would bring it */
    uint8_t hash[WIRE_HASH_BYTES];
};

/* A piece of a stream. */
struct wire_data {
    uint8_t stream;       /* enum wire_stream, not checked on receipt */
    uint32_t id;          /* of the stream */
    uint64_t off;         /* of bytes[0] in the stream; off + len may overflow on receipt */
    const uint8_t *bytes; /* received: points into the datagram */
    size_t len;
    bool again; /* sent before, and thought lost */
};

/* Who hears whom. */
struct wire_links {
    uint8_t rows;     /* 0..RAFT_MEMBERS_MAX */
    uint8_t cols;     /* 0..RAFT_MEMBERS_MAX: members, ascending by their ids */
    uint16_t members; /* part of a digest of these ids: rows of another list say nothing */
    uint16_t id[RAFT_MEMBERS_MAX];
    uint8_t heard[RAFT_MEMBERS_MAX][RAFT_MEMBERS_MAX]; /* WIRE_NOT_* or percent lost */
    uint8_t age[RAFT_MEMBERS_MAX];                     /* of the row, in WIRE_AGE_UNIT_US */
};

/* Of [cluster]. A number that is not told is not compared. */
enum wire_setting {
    WIRE_MAX_VALUE_BYTES,
    WIRE_ELECTION_TIMEOUT_MS,
    WIRE_MAX_DATA_BYTES,
    WIRE_LEASE_MS,
    WIRE_SETTING_COUNT,
};

struct wire_settings {
    unsigned n; /* told; 0..WIRE_SETTING_COUNT */
    uint64_t value[WIRE_SETTING_COUNT];
};

/* States of nodes as of one entry. */
struct wire_digests {
    uint64_t index;
    bool ask;
    uint8_t n; /* 0..WIRE_DIGESTS_MAX */
    uint16_t id[WIRE_DIGESTS_MAX];
    uint8_t digest[WIRE_DIGESTS_MAX][WIRE_DIGEST_BYTES];
};

/* Of one member. A number that is not known is 0. */
struct wire_vitals {
    uint16_t id;
    /* As the member said of itself. */
    uint32_t age; /* how long ago; UINT32_MAX = never */
    uint32_t version, fsync_p99_us, uptime_s;
    uint8_t health;          /* enum health, not checked on receipt */
    bool drained;            /* it will not lead until it is started again */
    uint64_t applied_index;  /* of its state */
    uint64_t log_bytes;      /* of its log's files */
    uint64_t data_bytes;     /* of its keys and values */
    uint64_t keys;           /* how many */
    uint64_t snapshot_index; /* the last entry in its newest snapshot */
    uint32_t snapshot_age_s; /* UINT32_MAX: it has written none since its start */
    /* As who tells sees it: of all others, by a leader. */
    uint8_t session;         /* enum status_session, not checked on receipt */
    uint16_t loss_in;        /* permille of its datagrams; WIRE_LOSS_UNKNOWN */
    uint16_t loss_out;       /* of those to it */
    uint32_t rtt_us;         /* between it and who tells */
    uint32_t heard;          /* how long ago it was heard; UINT32_MAX = never */
    uint64_t match_index;    /* durable there */
    uint64_t lag_bytes;      /* about; what it lacks of the snapshot and the log */
    uint64_t lag_most_bytes; /* the most that this was since it began to catch up */
    uint32_t rate;           /* bytes of it in a second since then */
};

struct wire_lease {
    uint64_t process; /* of the node that asks; random */
    uint64_t stamp;   /* its clock when it asked, us; echoed */
    uint64_t index;   /* of an answer: it counts when the log is applied up to here */
    bool renewed;     /* an answer; else a question */
};

/* A wish to change the members. */
struct wire_change {
    uint64_t number;      /* the asking process has not used it before */
    const uint8_t *bytes; /* received: points into the datagram */
    size_t len;
};

struct wire_changed {
    uint64_t number;      /* echoed */
    uint64_t index, term; /* of the entry that has it, 0 = there is none */
    uint8_t verdict;      /* enum member_verdict, not checked on receipt */
};

enum wire_frame_kind {
    WIRE_FRAME_MSG,
    WIRE_FRAME_SACK,
    WIRE_FRAME_OFFER,
    WIRE_FRAME_DATA,
    WIRE_FRAME_LINKS,
    WIRE_FRAME_SETTINGS,
    WIRE_FRAME_DIGESTS,
    WIRE_FRAME_VITALS,
    WIRE_FRAME_CHANGE,
    WIRE_FRAME_CHANGED,
    WIRE_FRAME_LEASE,
};

struct wire_frame {
    enum wire_frame_kind kind;
    union {
        struct raft_msg msg; /* term is the preamble's, from and to are wire_read()'s */
        struct wire_sack sack;
        struct wire_offer offer;
        struct wire_data data;
        struct wire_links links;
        struct wire_settings settings;
        struct wire_digests digests;
        struct wire_vitals vitals;
        struct wire_change change;
        struct wire_changed changed;
        struct wire_lease lease;
    };
};

/* Reads frames of one payload, whose bytes must stay. */
struct wire_reader {
    const uint8_t *buf;
    size_t len;
    size_t pos;        /* of the next frame in buf */
    uint64_t term;     /* of every message */
    uint16_t from, to; /* ids of the nodes */
};

/* Builds one payload in the caller's memory. */
struct wire_writer {
    uint8_t *buf;
    size_t cap;    /* bytes of buf, rounded down to a multiple of 4 */
    size_t len;    /* bytes so far, with the preamble */
    uint64_t term; /* of every message */
};

/* Judges a payload: preamble, the structure of all frames, and that all critical ones are known here.
 * True: *h is filled; false: it is not touched. */
bool wire_check(const uint8_t *buf, size_t len, struct wire_header *h);

/* Frames of a payload for which wire_check() said true; `from` and `to` as the envelope proved
 * them. wire_next() fills `f` with the next known frame, false after the last. */
void wire_read(struct wire_reader *r, const uint8_t *buf, size_t len, uint16_t from, uint16_t to);
bool wire_next(struct wire_reader *r, struct wire_frame *f);

/* Starts a payload of at most cap bytes (WIRE_PREAMBLE_BYTES..WIRE_DATAGRAM_MAX) whose messages are
 * all of `term`. */
void wire_begin(struct wire_writer *w, uint8_t *buf, size_t cap, uint64_t term);

/* Adds a message. false: it doesn't fit into this payload, or is of another term than
 * wire_begin() was told. m->from and m->to are not looked at. */
bool wire_put_msg(struct wire_writer *w, const struct raft_msg *m);

/* Each adds a frame; false: no room. */
bool wire_put_sack(struct wire_writer *w, const struct wire_sack *s);
bool wire_put_offer(struct wire_writer *w, const struct wire_offer *o);
bool wire_put_links(struct wire_writer *w, const struct wire_links *l);
bool wire_put_settings(struct wire_writer *w, const struct wire_settings *s);
bool wire_put_digests(struct wire_writer *w, const struct wire_digests *d);
bool wire_put_vitals(struct wire_writer *w, const struct wire_vitals *v);
bool wire_put_change(struct wire_writer *w, const struct wire_change *c);
bool wire_put_changed(struct wire_writer *w, const struct wire_changed *c);
bool wire_put_lease(struct wire_writer *w, const struct wire_lease *l);

/* Bytes of a frame of this type: its head and the fixed part of its body. */
size_t wire_frame_bytes(enum wire_type type);

/* Bytes of a stream's data that still fit. */
size_t wire_room(const struct wire_writer *w);

/* Adds a frame with as much of the data as fits. Returns how many bytes of d->len that is; 0: no room. */
size_t wire_put_data(struct wire_writer *w, const struct wire_data *d);

/* True if nothing was added yet. */
bool wire_empty(const struct wire_writer *w);

/* Writes the preamble and returns the payload's length. h->term is that of wire_begin(). */
size_t wire_end(struct wire_writer *w, const struct wire_header *h);

/* The name of a setting in the configuration, such as "max_value_bytes". */
const char *wire_setting_name(enum wire_setting setting);

/* First 8 bytes of BLAKE2b of the cluster's name. */
uint64_t wire_cluster_id(const char *name);

/* First 8 bytes of BLAKE2b of the voters' ids, which are in ascending order: equal exactly for nodes
 * that count majorities among the same nodes. */
uint64_t wire_voters_digest(const uint16_t *ids, unsigned n);

_Static_assert(WIRE_PREAMBLE_BYTES % 4 == 0 && WIRE_DATAGRAM_BASE % 4 == 0 &&
                   WIRE_DATAGRAM_MAX % 4 == 0,
               "frames start at multiples of 4");

#endif
