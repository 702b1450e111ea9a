/* stopping.h: how a node ends that is told to.
 *
 * Who leads hands over first, while all goes on: clients notice a pause of some milliseconds and not of an
 * election timeout. Then nobody can connect any more, and clients get the answers to what they have asked,
 * by way of the new leader. So no request fails, and the outcome of none is unknown, but of those that take
 * longer than a node waits.
 */
#ifndef RAFTD_STOPPING_H
#define RAFTD_STOPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/node/node.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/shared.h"

enum {
    /* A node that stops waits so many election timeouts for another leader, and for answers: and no longer
     * than so long for each. */
    STOPPING_TIMEOUTS = 2,
    STOPPING_MOST_US = 2000000,
};

struct stopping {
    struct node *node;
    struct shared *shared;
    const struct listener *listener;
    uint64_t patience_us;
    uint64_t until; /* this part of the stop is over then, NEVER = nobody wants one ... */
    bool ends;      /* ... and this is the second part */
};

/* What it is told of outlives it. */
void stopping_init(struct stopping *s, struct node *node, struct shared *shared,
                   const struct listener *listener, uint64_t election_timeout_us);

/* Somebody wants the stop. True: for the second time, so it is to be now. */
bool stopping_begin(struct stopping *s, uint64_t now);

/* Once per iteration, behind node_flush(). True: it is over, the daemon can end. */
bool stopping_step(struct stopping *s, uint64_t now);

#endif
