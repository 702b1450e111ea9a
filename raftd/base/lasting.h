/* lasting.h: when to say something about a state that lasts, such as a full disk or a silent peer. There is
 * one message when it has lasted for a while, at most one every LASTING_AGAIN_US, and one when it is over if
 * people were told of it. */
#ifndef RAFTD_LASTING_H
#define RAFTD_LASTING_H

#include <stdbool.h>
#include <stdint.h>

enum { LASTING_AGAIN_US = 600 * 1000 * 1000 }; /* six lines an hour are seen and fill no disk */

/* One state, as one thread sees it. Zeroed memory: the state does not last. Times are monotonic. */
struct lasting {
    uint64_t since_us; /* when the state began; 0 = it does not last */
    uint64_t said_us;  /* newest message; 0 = none */
    bool told;         /* people were told since it began */
};

/* The state lasts at now_us, which is not 0. True if that is to be said: it has lasted for after_us. For a
 * state that may come and go often after_us is above 0, and a new beginning brings no message forward. */
bool lasting_is(struct lasting *l, uint64_t after_us, uint64_t now_us);

/* The state does not last at now_us. Returns how many seconds it did, at least 1, if its end is to be said;
 * else 0. */
uint64_t lasting_over(struct lasting *l, uint64_t now_us);

#endif
