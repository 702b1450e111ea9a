/* frees.h: a duty of the leader's keeper: what belongs to processes that are over (lease.h) is freed, by an
 * entry for each, or by several; all at once. */
#ifndef RAFTD_FREES_H
#define RAFTD_FREES_H

#include "raftd/node/keeper.h"
#include "raftd/node/lease.h"
#include "raftd/state/machine.h"

/* Only frees.c looks inside. */
struct frees {
    struct lease *lease;
    const struct machine *machine;
    /* How far the commands of this step go: to this process, with so many claims of it left. */
    uint16_t member;
    uint64_t process;
    unsigned left;
};

/* Adds the duty. All that is passed here outlives the keeper. */
void frees_init(struct frees *f, struct keeper *k, struct lease *l, const struct machine *machine);

#endif
