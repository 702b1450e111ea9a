/* member.h: who counts, and what a majority of them has reached.
 *
 * The voters are one value. Everything in Raft that needs a majority asks here: what is committed, who
 * is elected, which round is confirmed, whether a leader is still heard.
 */
#ifndef RAFT_MEMBER_H
#define RAFT_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

enum { RAFT_VOTERS_MAX = 9 }; /* a majority of 9 survives 4 failures; more only slows commits */

struct raft_members {
    uint16_t voters[RAFT_VOTERS_MAX]; /* ids, distinct, never 0 */
    unsigned n_voters;                /* 1..RAFT_VOTERS_MAX */
};

bool raft_members_valid(const struct raft_members *m);

bool raft_is_voter(const struct raft_members *m, uint16_t id);

/* The largest value that a majority of the voters reaches, when `reached` says how far each one is. A
 * vote reaches 1, and none 0. */
uint64_t raft_majority(const struct raft_members *m,
                       uint64_t (*reached)(const void *ctx, uint16_t id), const void *ctx);

#endif
