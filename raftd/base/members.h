/* members.h: the members of a cluster as bytes: the data of a RECORD_MEMBERS entry.
 *
 *   0 u8  version       MEMBERS_VERSION
 *   1 u8  n             how many, 1..MEMBERS_MAX
 *   2 u64 cluster id
 *  10     the members, by growing id, each:
 *           0 u16 id
 *           2 u8  standing
 *           3 u8  priority
 *           4     key, MEMBER_KEY_BYTES
 *          36 u8  length of the first address, then of the second one; 0 = there is none
 *          38     the addresses, without an end
 *
 * Little-endian. A value has one encoding only: a decoded value encodes to the same bytes. The value does
 * not say which entry it is, since the log says that.
 */
#ifndef RAFTD_MEMBERS_H
#define RAFTD_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MEMBERS_VERSION = 1,
    MEMBERS_MAX = 16,       /* the same as RAFT_MEMBERS_MAX */
    MEMBERS_VOTERS_MAX = 9, /* voters and those that are joining; the same as RAFT_VOTERS_MAX */
    MEMBER_KEY_BYTES = 32,  /* of an X25519 public key */
    MEMBER_ADDRS = 2,
    MEMBER_ADDR_BYTES = 64, /* with the zero at its end; what a configuration file takes */
    MEMBERS_HEAD_BYTES = 10,
    MEMBERS_BYTES_MAX = MEMBERS_HEAD_BYTES +
                        MEMBERS_MAX * (4 + MEMBER_KEY_BYTES + MEMBER_ADDRS * MEMBER_ADDR_BYTES),
};

/* The numbers are those of enum raft_standing. */
enum member_standing { MEMBER_VOTER = 1, MEMBER_LEARNER, MEMBER_JOINING };

struct member {
    uint16_t id;                   /* never 0 */
    uint8_t standing;              /* enum member_standing */
    uint8_t priority;              /* 0 = never stands for election */
    uint8_t key[MEMBER_KEY_BYTES]; /* public key of its data directory; zeros = not known yet */
    /* Texts. The second one is empty if the member has one address. */
    char addr[MEMBER_ADDRS][MEMBER_ADDR_BYTES];
};

struct members {
    uint64_t cluster_id; /* random, and the same as long as the cluster lives; 0 = none yet */
    unsigned n;
    struct member m[MEMBERS_MAX]; /* by growing id */
};

/* A configuration with the index of its entry. */
struct members_at {
    uint64_t index; /* 0 = it is in no log: the first configuration, or n = 0 and none is known */
    struct members members;
};

/* The newest configurations of a log, by growing index. A leader adds one only when the one before is
 * committed, so a truncation can take one of them at most. With three of them the newest and the one
 * before it are always known. */
struct members_log {
    unsigned n;
    struct members_at at[3];
};

/* Ids grow and are not 0. There is a voter, and there are MEMBERS_VOTERS_MAX voters at most, including
 * those that are joining. No two members have the same key. Addresses are of printable characters without
 * blanks and commas. */
bool members_valid(const struct members *m);

/* Returns the length. The value must be valid: asserted. */
size_t members_encode(const struct members *m, uint8_t buf[MEMBERS_BYTES_MAX]);

/* Trusts nothing. False: these bytes are no valid value, and *m is not to be used. Unused parts of texts
 * and of the list are zero. */
bool members_decode(const uint8_t *p, size_t len, struct members *m);

/* NULL if there is none of that id. */
const struct member *members_find(const struct members *m, uint16_t id);

/* Entry `index`, above all that are there, is the configuration m. */
void members_log_add(struct members_log *l, uint64_t index, const struct members *m);

/* The log ends with entry `last` now. */
void members_log_cut(struct members_log *l, uint64_t last);

/* The newest configuration (back = 0), or the one before it (1). If there is none: one with n = 0. */
const struct members_at *members_log_newest(const struct members_log *l, unsigned back);

/* The key is known. */
bool member_has_key(const struct member *m);

/* The core's name of the member's directory (struct raft_member): the first 8 bytes of the key; 0 = not known
 * yet. */
uint64_t member_incarnation(const struct member *m);

#endif
