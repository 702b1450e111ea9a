/* batch.h: bytes of segment heads and batch heads. All integers little-endian.
 *
 * A segment file is a whole number of 4 KiB blocks, written with zeros before it gets its name, or a
 * file of the log's beginning that was recycled (given the next number):
 *
 *   block 0        segment head, checksum over the whole block
 *   block 1 ..     batches, each a whole number of blocks, in order of writing; behind them zeros, or
 *                  in a recycled file what the segments before left there
 *   last block     kept for the SEAL batch that ends the segment
 *
 *   segment head                              batch head (then payload, zero-padded to a block)
 *    0  4 crc32c of bytes 4 .. 4095            0  4 crc32c of bytes 4 .. 127
 *    4  4 magic "RWS1"                         4  4 magic "RWB1"
 *    8  2 version, 6                           8  2 version, 6
 *   10  2 vote                                10  2 flags
 *   12  4 size of the file, bytes             12  4 blocks, this one included
 *   16  8 storage id                          16  4 payload, bytes before padding
 *   24  8 number of the segment               20  4 crc32c of bytes 128 .. end of last block
 *   32  8 salt                                24  8 salt of the segment
 *   40  8 seq of its first batch              32  8 seq
 *   48 16 hash of the batch before            40 16 hash of the batch before
 *   64  8 term                                56  8 first index, 0 without entries
 *   72  8 base: last index before             64  8 last index, 0 without entries
 *   80  8 its term                            72  8 term of the log's last entry
 *   88 16 its hash                            80 16 hash of the log's last entry
 *  104  8 commit index                        96  8 term
 *  112  2 flags                              104  8 truncate_to
 *  114 .. zero                               112  2 vote
 *                                            114  6 zero
 *                                            120  8 commit index
 *
 * A batch is named by the BLAKE2b-128 of its head, which holds the payload's checksum and the
 * entries' chain hash. A segment's salt makes sure that a stale block of an older file, or of another
 * node's, never looks like a batch of this one. It follows from the head of the segment before, and
 * from nothing that comes later: so whether a segment was begun can be told as long as one block of it
 * and that head are left.
 *
 * The commit index is what the node knew to be committed when it made the batch: a lower bound of a
 * fact, so it never falls from batch to batch and no entry up to it is ever truncated.
 */
#ifndef STORAGE_BATCH_H
#define STORAGE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BATCH_FORMAT_VERSION = 6, /* of heads, and of the records in batches */
    BATCH_BLOCK_BYTES = 4096, /* file system blocks: an append never rewrites one with older data */
    BATCH_HEAD_BYTES = 128,
    BATCH_HASH_BYTES = 16,
};

enum batch_flags {
    BATCH_TRUNC = 1, /* entries after truncate_to are dead */
    BATCH_SEAL = 2,  /* last of its segment; the next segment file exists */
    BATCH_IDLE = 4,  /* written only to prove the one before it durable */
    BATCH_CUT = 8,   /* a SEAL after a torn write: one seq was skipped, ignore the bytes between */
    BATCH_FLAGS_KNOWN = 15,
};

/* No log's first batch has a higher number: no disk lives for so many, and there are always numbers left for
 * what is appended. */
#define SEGMENT_SEQ_MAX (UINT64_C(1) << 62)

struct batch_head {
    uint16_t flags;                 /* enum batch_flags */
    uint16_t vote;                  /* votedFor, 0 for nobody */
    uint32_t payload_len;           /* bytes of records */
    uint32_t payload_crc;           /* over payload and padding */
    uint64_t salt;                  /* of the segment */
    uint64_t seq;                   /* +1 with every batch of this directory, never used twice */
    uint64_t first_index;           /* of the records, 0 for none */
    uint64_t last_index;            /* likewise */
    uint64_t last_term;             /* of the log's last entry after this batch */
    uint64_t term;                  /* currentTerm */
    uint64_t truncate_to;           /* 0 without BATCH_TRUNC */
    uint64_t commit;                /* at most the log's last index after this batch */
    uint8_t prev[BATCH_HASH_BYTES]; /* hash of the batch before, zeros for the first */
    uint8_t head[BATCH_HASH_BYTES]; /* hash of the log's last record after this batch */
};

enum segment_flags {
    SEGMENT_RESET = 1,    /* the log begins here: what older segments hold is dead */
    SEGMENT_RECYCLED = 2, /* behind its batches there may be blocks of older segments, not zeros */
    SEGMENT_FLAGS_KNOWN = 3,
};

struct segment_head {
    uint16_t flags; /* enum segment_flags */
    uint16_t vote;
    uint32_t segment_bytes;
    uint64_t storage_id, number, salt;
    uint64_t first_seq;
    uint64_t term;
    uint64_t base_index, base_term;
    uint64_t commit; /* at most base_index */
    uint8_t base_head[BATCH_HASH_BYTES];
    uint8_t prev[BATCH_HASH_BYTES];
};

/* Bytes on disk of a batch with that much payload: a whole number of blocks. */
uint64_t batch_bytes(uint32_t payload_len);

void batch_encode(uint8_t buf[BATCH_HEAD_BYTES], const struct batch_head *h);

/* False unless checksum, magic, version, flags, reserved bytes and the fields' own logic are right.
 * Says nothing about payload, salt, order. */
bool batch_decode(const uint8_t buf[BATCH_HEAD_BYTES], struct batch_head *h);

/* The salt, and the hash of the batch before, of a head that need not be valid. */
uint64_t batch_salt(const uint8_t buf[BATCH_HEAD_BYTES]);
const uint8_t *batch_prev(const uint8_t buf[BATCH_HEAD_BYTES]);

/* Fills a block, or `len` bytes of one, so that it is no valid head but has this salt, if there is room. */
void batch_spoil(uint8_t *buf, size_t len, uint64_t salt);

/* The name of a batch, from its encoded head. */
void batch_hash(const uint8_t buf[BATCH_HEAD_BYTES], uint8_t out[BATCH_HASH_BYTES]);

/* True if the block is the head of a segment, perhaps a damaged one. */
bool segment_has_magic(const uint8_t buf[BATCH_BLOCK_BYTES]);

/* The format version of a whole head, this one's or another; 0 if it is no head. */
uint16_t segment_version(const uint8_t buf[BATCH_BLOCK_BYTES]);

void segment_encode(uint8_t buf[BATCH_BLOCK_BYTES], const struct segment_head *h);
bool segment_decode(const uint8_t buf[BATCH_BLOCK_BYTES], struct segment_head *h);

/* `before` is the hash of the batch before the segment before that one (`prev` in its head), zeros if there
 * is no such segment. Half of the salt is a hash of these three, the other half of the first half, storage
 * id and number. */
uint64_t segment_salt(uint64_t storage_id, uint64_t number, const uint8_t before[BATCH_HASH_BYTES]);

/* False if the second half says that it is the salt of another segment, or another storage's. */
bool segment_salt_fits(uint64_t storage_id, uint64_t number, uint64_t salt);

/* True for sizes that a segment can have. */
bool segment_size_ok(uint64_t bytes);

/* Offset of the block kept for the seal: no batch reaches beyond it. */
uint32_t segment_seal_at(uint32_t segment_bytes);

/* No batch with entries reaches beyond this offset. The rest, 64 KiB of a full-size segment, is for terms and
 * votes when the disk is full. */
uint32_t segment_entries_end(uint32_t segment_bytes);

#endif
