/* verdict.h: where a log ends, decided from a table. Internal to storage.
 *
 * The question at the first block that is not the next batch: is it a write that was cut by a crash, and
 * was never acknowledged (TORN: drop it), or was it durable, and is damaged now (CORRUPT)? Since no byte
 * of batch N + 1 is written before batch N is durable, anything valid behind the block proves that it was
 * durable. So recovery looks ahead before it judges. With nothing behind it, both are possible: TORN is
 * assumed, and if that is wrong the leader says so (core/raft.h). Protocol-aware recovery: Alagappan et
 * al., FAST 2018.
 *
 * In a recycled file the log ends where blocks of older segments begin. They have another salt, and the
 * middle of an older batch has none, so there a block without a sign of this segment counts as zero. The
 * only thing that this can hide is a cut write whose first sector never came, and which nobody
 * acknowledged.
 */
#ifndef STORAGE_VERDICT_H
#define STORAGE_VERDICT_H

#include <stddef.h>
#include <stdint.h>

/* Facts about the position behind the last good batch. One bit per value, so that a rule can name
 * sets of them; a fact still unknown has no bit and matches only "any". */
enum verdict_bit {
    NO = 1, /* for the yes/no facts */
    YES = 2,
    AT_ZERO = 1,    /* block: all zero */
    AT_MARKED = 2,  /* block: no valid head, but it has the salt of this segment or the hash of the
                     * last good batch: only this segment's writes can have brought it there */
    AT_STRANGE = 4, /* block: not zero, no sign of this segment */
    AT_HEAD = 8,    /* block: a valid head of a batch of this segment */
    SEQ_LOWER = 1,
    SEQ_NEXT = 2,
    SEQ_HIGHER = 4,
    VERDICT_ANY = 0xff,
};

struct verdict_facts {
    uint8_t seal;  /* YES, NO: the last block seals the segment right behind the last good batch */
    uint8_t block; /* AT_* */
    uint8_t payload;  /* YES, NO: the payload's checksum is right (with AT_HEAD) */
    uint8_t seq;      /* SEQ_*: compared with the expected one (with AT_HEAD) */
    uint8_t chained;  /* YES, NO: names the last good batch as the one before (with AT_HEAD) */
    uint8_t later;    /* YES, NO: behind it in this segment is a valid head with a later seq */
    uint8_t last;     /* YES, NO: no segment behind this one is in use */
    uint8_t rest;     /* AT_ZERO, AT_STRANGE, AT_MARKED: the most telling of the blocks behind it */
    uint8_t recycled; /* YES, NO: older segments left their blocks in this file */
};

enum verdict {
    VERDICT_ACCEPT,  /* the next batch */
    VERDICT_SEALED,  /* end of the segment, go on in the next */
    VERDICT_CLEAN,   /* end of the log */
    VERDICT_TORN,    /* end of the log; the block is taken for a write that was cut */
    VERDICT_CORRUPT, /* refuse */
};

struct verdict_rule {
    struct verdict_facts when; /* a set of values for each fact */
    enum verdict verdict;
    const char *why; /* for the message */
};

extern const struct verdict_rule verdict_rules[];
extern const size_t verdict_n_rules;

/* The rule for these facts; NULL when facts that matter are still unknown. */
const struct verdict_rule *verdict_judge(const struct verdict_facts *facts);

#endif
