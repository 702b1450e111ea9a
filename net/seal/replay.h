/* replay.h: which datagrams of a session were here before.
 *
 * Every datagram of a session has a counter of its own. A window of REPLAY_WINDOW counters below
 * the highest remembers each; older ones are refused unseen. As in RFC 6479 the bits stand in a
 * ring of words, so that moving on clears whole words and shifts none.
 *
 * Look first (cheap), then open the datagram, and mark it only if it was genuine: a forged counter
 * must not move the window.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* At 1200 bytes this is 2.4 MB in flight or reordered: far beyond any window we send. */
    REPLAY_WINDOW = 2048,
    REPLAY_WORDS = REPLAY_WINDOW / 64 + 1, /* one more, as the window starts inside a word */
};

/* A zeroed struct has seen nothing. */
struct replay {
    uint64_t next; /* highest counter marked, plus one; Invariant: bits from `next` on are 0 */
    uint64_t ring[REPLAY_WORDS];
};

/* True: this counter (below UINT64_MAX) was not marked. False: it was, or it is below the window, where
 * nobody knows. */
bool replay_new(const struct replay *r, uint64_t counter);

/* The datagram was genuine; replay_new() had said true. */
void replay_mark(struct replay *r, uint64_t counter);

#endif
