/* member_change.h: a wish to change the members of a cluster: as bytes, and what it makes of them.
 *
 *   0 u8  op            enum member_op
 *   1 u8  flags         MEMBER_CHANGE_*, ored
 *   2 u16 id            of the member that it is about
 *   4 u8  priority
 *   5 u8  length of the first address, then of the second one; 0 = there is none
 *   7     the addresses, without an end
 *
 * Little-endian; a decoded wish encodes to the same bytes.
 */
#ifndef RAFTD_MEMBER_CHANGE_H
#define RAFTD_MEMBER_CHANGE_H

#include "raftd/base/members.h"

enum member_op {
    MEMBER_ADD = 1, /* as a learner that becomes a voter when it has caught up */
    MEMBER_REMOVE,
    MEMBER_REPLACE, /* the same id with another data directory, which comes like one that is added */
    MEMBER_SET,     /* addresses or priority */
};

enum {
    MEMBER_CHANGE_LEARNER = 1,  /* add: it stays a learner */
    MEMBER_CHANGE_FORCE = 2,    /* remove: even if too few voters are heard then */
    MEMBER_CHANGE_ADDRESS = 4,  /* set: sets the addresses, as add always does */
    MEMBER_CHANGE_PRIORITY = 8, /* set: sets the priority */

    MEMBER_CHANGE_HEAD_BYTES = 5 + MEMBER_ADDRS,
    MEMBER_CHANGE_BYTES_MAX = MEMBER_CHANGE_HEAD_BYTES + MEMBER_ADDRS * (MEMBER_ADDR_BYTES - 1),
    MEMBER_ID_MAX = 999, /* the same as CONF_ID_MAX */
};

struct member_change {
    uint8_t op;    /* enum member_op */
    uint8_t flags; /* MEMBER_CHANGE_* */
    uint16_t id;
    uint8_t priority;
    char addr[MEMBER_ADDRS][MEMBER_ADDR_BYTES]; /* texts */
};

/* What a leader makes of a wish. Nodes tell each other these numbers, so they never change. Those below
 * MEMBER_VERDICTS_OWN are the core's refusals (enum raft_refusal). */
enum member_verdict {
    MEMBER_TAKEN = 0,
    MEMBER_VERDICTS_OWN = 32,
    MEMBER_AS_IT_IS = MEMBER_VERDICTS_OWN, /* the members are already like that */
    MEMBER_BAD_CHANGE,                     /* no such op, or no address where there must be one */
    MEMBER_BAD_ID,
    MEMBER_BAD_ADDRESS,
    MEMBER_IS_MEMBER,        /* add: that id is a member */
    MEMBER_UNKNOWN,          /* other wishes: that id is no member */
    MEMBER_ADDRESS_OF_OTHER, /* another member has that address */
    MEMBER_TOO_MANY,
    MEMBER_TOO_MANY_VOTERS,
    MEMBER_LAST_VOTER,     /* the last voter can't be removed */
    MEMBER_ONLY_COPY,      /* replace: there is no other voter that has the data */
    MEMBER_SAME_DIRECTORY, /* replace: the member is there, with the directory that counts */
    MEMBER_NONE_YET,       /* the cluster has no members in its log yet */
    MEMBER_NOT_THERE,      /* replace: nobody has come with another directory */
    MEMBER_VERDICTS,
};

/* The data directory that speaks under an id now, as its session proves it. */
struct member_seen {
    uint8_t key[MEMBER_KEY_BYTES]; /* zeros: nobody has spoken */
    bool lately;                   /* the directory that counts was heard just now ... */
    uint64_t silent_us;            /* ... or not for so long */
};

/* Applies the change to the members `now`, which are valid. MEMBER_TAKEN: *out is the new value, which is
 * valid. Else nothing is to be done, and *out is not to be used. `seen` is about the change's id, and
 * used by MEMBER_REPLACE alone. */
enum member_verdict members_change(const struct members *now, const struct member_change *c,
                                   const struct member_seen *seen, struct members *out);

/* "host:port", "a.b.c.d:port" or "[v6]:port", printable, port 1 to 65535. The host need not exist. */
bool member_address_valid(const char *text);

/* Returns the length. The texts have an end: asserted. */
size_t member_change_encode(const struct member_change *c, uint8_t buf[MEMBER_CHANGE_BYTES_MAX]);

/* Trusts nothing. True if the bytes are well-formed; members_change() judges whether the wish makes sense. */
bool member_change_decode(const uint8_t *p, size_t len, struct member_change *c);

#endif
