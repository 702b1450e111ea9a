/* lasting.h: messages about a state that lasts, such as a full disk: one when it begins, at most one
 * every LASTING_AGAIN_US while it lasts, one when it is over. */
#ifndef RAFTD_LASTING_H
#define RAFTD_LASTING_H

#include <stdbool.h>
#include <stdint.h>

enum { LASTING_AGAIN_US = 600 * 1000 * 1000 }; /* six lines an hour are seen and fill no disk */

/* Zeroed memory: it does not last. The caller owns it, one per state and thread. */
struct lasting {
    uint64_t since_us; /* it began, monotonic; 0 = it does not last */
    uint64_t said_us;
};

/* It is so now (now_us: monotonic, not 0). True if that is to be said. */
bool lasting_is(struct lasting *l, uint64_t now_us);

/* It is not so now. Seconds that it lasted, at least 1, if that is to be said; else 0. */
uint64_t lasting_over(struct lasting *l, uint64_t now_us);

#endif
