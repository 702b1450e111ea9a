/* lasting.h: messages about a state that lasts, such as a full disk or a silent peer: one when it has
 * lasted for a while, at most one every LASTING_AGAIN_US, and one when it is over if it was told of. */
#ifndef RAFTD_LASTING_H
#define RAFTD_LASTING_H

#include <stdbool.h>
#include <stdint.h>

enum { LASTING_AGAIN_US = 600 * 1000 * 1000 }; /* six lines an hour are seen and fill no disk */

/* Zeroed memory: it is not so. The caller owns it, one per state and thread. */
struct lasting {
    uint64_t since_us; /* it began, monotonic; 0 = it is not so */
    uint64_t said_us;  /* newest message; 0 = none */
    bool told;         /* of this time */
};

/* It is so now (now_us: monotonic, not 0). True if that is to be said: it has been so for after_us.
 * A state that may come and go often has after_us > 0: beginning again brings no message forward. */
bool lasting_is(struct lasting *l, uint64_t after_us, uint64_t now_us);

/* It is not so now. Seconds that it lasted, at least 1, if that is to be said; else 0. */
uint64_t lasting_over(struct lasting *l, uint64_t now_us);

#endif
