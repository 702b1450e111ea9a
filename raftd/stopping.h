/* stopping.h: how a node ends when it is told to.
 *
 * A leader hands over first, while all goes on: so clients notice a pause of some milliseconds, and not
 * of an election timeout. Then nobody can connect any more, and clients get the answers to what they have
 * asked, by way of the new leader. So no request fails or has an unknown outcome, unless it takes longer
 * than the node waits.
 */
#ifndef RAFTD_STOPPING_H
#define RAFTD_STOPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/node/node.h"
#include "raftd/serve/listener.h"
#include "raftd/serve/shared.h"

enum {
    /* A node that stops waits so many election timeouts for another leader, then as many for answers, and for
     * each no longer than the second number. */
    STOPPING_TIMEOUTS = 2,
    STOPPING_MOST_US = 2000000,
};

struct stopping {
    struct node *node;
    struct shared *shared;
    const struct listener *listener;
    uint64_t patience_us;
    uint64_t until; /* when this part of the stop is over, NEVER = nobody wants a stop */
    bool ends;      /* this is the second part: clients get their answers */
};

/* All that is passed here outlives it. */
void stopping_init(struct stopping *s, struct node *node, struct shared *shared,
                   const struct listener *listener, uint64_t election_timeout_us);

/* A stop is wanted. True: for the second time, so the daemon is to end now. */
bool stopping_begin(struct stopping *s, uint64_t now);

/* Once per iteration, after node_flush(). True: the stop is over, the daemon can end. */
bool stopping_step(struct stopping *s, uint64_t now);

#endif
