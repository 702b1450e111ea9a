/* record.h: one log entry as bytes. The same bytes lie on disk and travel on the wire.
 *
 *   offset size
 *        0    4  crc32c over bytes 4 .. end, padding included
 *        4    4  data_len, bytes of data before padding
 *        8    8  index
 *       16    8  term
 *       24    1  type (enum record_type)
 *       25    1  version, 2: of the head, and of what the data of each type look like
 *       26    6  cluster time, milliseconds
 *       32   16  prev: BLAKE2b-128 of the whole record at index - 1; zeros for index 1
 *       48    -  data, zero-padded to a multiple of 8
 *
 * Cluster time is the clock of the leader that made the record. It goes on from that of the leader who made
 * the record before, and never falls along a log (raftd/node/cluster_time.h). It is no time of day.
 *
 * Little-endian. Since every record carries the hash of the one before, the hash of a log's last
 * record names the whole log up to there: the Log Matching Property (dissertation 3.5) becomes a
 * comparison of 16 bytes.
 */
#ifndef STORAGE_RECORD_H
#define STORAGE_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum {
    RECORD_HEAD_BYTES = 48,
    RECORD_HASH_BYTES = 16, /* of BLAKE2b-128: to find two records with one hash takes 2^64 tries */
    RECORD_ALIGN_BYTES = 8, /* records begin on this boundary of their stream */
    RECORD_DATA_MAX_BYTES = (1 << 20) + 1024,                     /* a command with a 1 MiB value */
    RECORD_MAX_BYTES = RECORD_HEAD_BYTES + RECORD_DATA_MAX_BYTES, /* (the data limit is aligned) */
    RECORD_VERSION = 2,
};

/* 8900 years. A clock that gets so far stands still. */
#define RECORD_CLUSTER_MS_MAX ((UINT64_C(1) << 48) - 1)

/* What an entry means. Any other value on disk or wire is refused. */
enum record_type {
    RECORD_NOOP = 1,    /* a new leader's first entry (dissertation 6.4, 3.6.2) */
    RECORD_COMMAND = 2, /* a command for the state machine */
    RECORD_MEMBERS = 3, /* who the members are from here on (dissertation 4.1), see members.h */
};

struct record {
    uint64_t index;                  /* position in the log, first is 1 */
    uint64_t term;                   /* term in which a leader created it, first is 1 */
    uint64_t cluster_ms;             /* cluster time, at most RECORD_CLUSTER_MS_MAX */
    uint8_t type;                    /* enum record_type */
    uint8_t prev[RECORD_HASH_BYTES]; /* hash of the record before */
    const uint8_t *data;             /* borrowed; after a decode it points into the decoded bytes */
    uint32_t data_len;               /* bytes, at most RECORD_DATA_MAX_BYTES */
};

enum record_status {
    RECORD_OK,
    RECORD_SHORT, /* it may be one, but more bytes are needed */
    RECORD_BAD,   /* no record begins so */
};

/* Bytes that a record with `data_len` bytes of data occupies: head, data and padding. */
size_t record_size(uint32_t data_len);

/* Makes a record around the `data_len` bytes of data at buf + RECORD_HEAD_BYTES: writes head, padding
 * and checksum. Returns record_size(data_len), which `buf` must hold. The record must be valid (index and
 * term at least 1, known type, data within the limit): asserted. */
size_t record_seal(uint8_t *buf, uint64_t index, uint64_t term, uint64_t cluster_ms, uint8_t type,
                   const uint8_t prev[RECORD_HASH_BYTES], uint32_t data_len);

/* Reads one record from the beginning of `buf`. Trusts nothing: the length is checked against the limit
 * before it is used, then checksum, version, type and padding.
 * RECORD_OK: *out is filled, *size_or_need is the record's size.
 * RECORD_SHORT: *size_or_need is how many bytes are needed in all (the head alone at first).
 * RECORD_BAD: neither is written. */
enum record_status record_decode(const uint8_t *buf, size_t len, struct record *out,
                                 size_t *size_or_need);

/* Size and cluster time of a whole record that is known to be valid. */
size_t record_known_size(const uint8_t *rec);
uint64_t record_cluster_ms(const uint8_t *rec);

/* BLAKE2b-128 of a whole record of `size` bytes: what the next record carries as `prev`. */
void record_hash(const uint8_t *rec, size_t size, uint8_t out[RECORD_HASH_BYTES]);

#endif
