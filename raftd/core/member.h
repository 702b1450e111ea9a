/* member.h: who counts, and what a majority of them has reached.
 *
 * The members are one value, the configuration (chapter 4). It is an entry of the log, in force as soon as it
 * is there, committed or not. Everything in Raft that needs a majority asks here: what is committed, who is
 * elected, which round is confirmed, whether a leader is still heard.
 */
#ifndef RAFT_MEMBER_H
#define RAFT_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RAFT_VOTERS_MAX = 9,   /* a majority of 9 survives 4 failures; more only slows commits */
    RAFT_MEMBERS_MAX = 16, /* voters and learners */
};

enum raft_standing {
    RAFT_NO_MEMBER,
    RAFT_VOTER,   /* counts, and may lead */
    RAFT_LEARNER, /* gets the log, and never counts (section 4.2.1) */
    RAFT_JOINING, /* a learner that its leader makes a voter as soon as it has caught up */
};

struct raft_member {
    uint16_t id;      /* never 0 */
    uint8_t standing; /* enum raft_standing, never RAFT_NO_MEMBER */
    uint8_t priority; /* 0 = never stands for election */
    /* Names the data directory: a node of the same id with an emptied disk has another one. The caller makes
     * it from the directory's public key, and compares whole keys before it gives the core one. 0 = not
     * known yet: any node of this id. */
    uint64_t incarnation;
};

struct raft_members {
    uint64_t index; /* of the entry in the log; 0 = the first configuration, which is in no log */
    unsigned n;     /* 0 = none is known: the node waits for a leader's log */
    struct raft_member m[RAFT_MEMBERS_MAX];
};

/* Ids are distinct, and there are 1 to RAFT_VOTERS_MAX voters, including those that are joining. */
bool raft_members_valid(const struct raft_members *m);

/* NULL if there is none of that id. */
const struct raft_member *raft_member(const struct raft_members *m, uint16_t id);

/* The node of that id and directory is a member. A member's directory that is not known yet may be any. */
bool raft_is_member(const struct raft_members *m, uint16_t id, uint64_t incarnation);

bool raft_is_voter(const struct raft_members *m, uint16_t id);

unsigned raft_n_voters(const struct raft_members *m);

/* How many voters go and come from one configuration to the next. A voter with another incarnation goes and
 * comes; one whose incarnation gets known does not. */
unsigned raft_voters_differ(const struct raft_members *before, const struct raft_members *after);

/* The largest value that a majority of the voters reaches. `reached` says how far each voter is: an index, a
 * round, a time; or 1 for a vote and 0 for none. */
uint64_t raft_majority(const struct raft_members *m,
                       uint64_t (*reached)(const void *ctx, uint16_t id), const void *ctx);

#endif
