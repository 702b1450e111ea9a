/* member_change.h: a wish to change the members of a cluster: as bytes, and what it makes of them.
 *
 *   0 u8  op            enum member_op
 *   1 u8  flags         MEMBER_CHANGE_*, ored
 *   2 u16 id            of the member that it is about
 *   4 u8  priority
 *   5 u8  length of the first address, then of the second one; 0 = there is none
 *   7     the addresses, without an end
 *
 * Little-endian; what decodes encodes to the same bytes.
 */
#ifndef RAFTD_MEMBER_CHANGE_H
#define RAFTD_MEMBER_CHANGE_H

#include "raftd/base/members.h"

enum member_op {
    MEMBER_ADD = 1, /* as a learner that becomes a voter when it has caught up */
    MEMBER_REMOVE,
    MEMBER_REPLACE, /* the same id with another data directory: it comes as one that is added */
    MEMBER_SET,
};

enum {
    MEMBER_CHANGE_LEARNER = 1,  /* add: it stays a learner */
    MEMBER_CHANGE_FORCE = 2,    /* remove: even if then too few voters are heard */
    MEMBER_CHANGE_ADDRESS = 4,  /* set: the addresses (add always does) */
    MEMBER_CHANGE_PRIORITY = 8, /* set: the priority */

    MEMBER_CHANGE_HEAD_BYTES = 5 + MEMBER_ADDRS,
    MEMBER_CHANGE_BYTES_MAX = MEMBER_CHANGE_HEAD_BYTES + MEMBER_ADDRS * (MEMBER_ADDR_BYTES - 1),
    MEMBER_ID_MAX = 999, /* as CONF_ID_MAX */
};

struct member_change {
    uint8_t op;    /* enum member_op */
    uint8_t flags; /* MEMBER_CHANGE_* */
    uint16_t id;
    uint8_t priority;
    char addr[MEMBER_ADDRS][MEMBER_ADDR_BYTES]; /* texts */
};

/* What came of it. The numbers are told between nodes and never change; those below MEMBER_VERDICTS_OWN are
 * the refusals of Raft itself (enum raft_refusal). */
enum member_verdict {
    MEMBER_TAKEN = 0,
    MEMBER_VERDICTS_OWN = 32,
    MEMBER_AS_IT_IS = MEMBER_VERDICTS_OWN, /* the members are already like that */
    MEMBER_BAD_CHANGE,                     /* no such op, or no address where there must be one */
    MEMBER_BAD_ID,
    MEMBER_BAD_ADDRESS,
    MEMBER_IS_MEMBER,        /* add: that id is a member */
    MEMBER_UNKNOWN,          /* all else: it is none */
    MEMBER_ADDRESS_OF_OTHER, /* another member has that address */
    MEMBER_TOO_MANY,
    MEMBER_TOO_MANY_VOTERS,
    MEMBER_LAST_VOTER,     /* it can't be removed */
    MEMBER_ONLY_COPY,      /* replace: there is no other voter that has the data */
    MEMBER_SAME_DIRECTORY, /* replace: the member is there, with the directory that counts */
    MEMBER_NONE_YET,       /* the cluster has no members in its log yet */
    MEMBER_VERDICTS,
};

/* Who speaks under an id now, as its session proves it. */
struct member_seen {
    uint8_t key[MEMBER_KEY_BYTES]; /* zeros: nobody has spoken */
    bool lately;                   /* within the time after which a node counts as silent */
};

/* Applies the change to the members `now`, which are valid. MEMBER_TAKEN: *out is the new value, which is
 * valid; anything else: nothing is to be done, and *out is not to be used. `seen` is of the change's id; only
 * MEMBER_REPLACE asks for it. */
enum member_verdict members_change(const struct members *now, const struct member_change *c,
                                   const struct member_seen *seen, struct members *out);

/* "host:port", "a.b.c.d:port" or "[v6]:port", printable, port 1 to 65535. Whether the host exists is not
 * asked. */
bool member_address_valid(const char *text);

/* Returns the length. The texts have an end: asserted. */
size_t member_change_encode(const struct member_change *c, uint8_t buf[MEMBER_CHANGE_BYTES_MAX]);

/* Trusts nothing but says nothing about sense: members_change() judges that. */
bool member_change_decode(const uint8_t *p, size_t len, struct member_change *c);

#endif
