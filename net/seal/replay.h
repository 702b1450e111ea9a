/* replay.h: which datagrams of a session were here before.
 *
 * Every datagram of a session has a counter of its own. A window of REPLAY_WINDOW counters below
 * the highest remembers each; older ones are refused unseen. As in RFC 6479 the bits stand in a
 * ring of words, so that moving on clears whole words and shifts none.
 *
 * The caller looks first, which is cheap, then opens the datagram, and marks it only if it was genuine:
 * a forged counter must not move the window.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* At 1200 bytes this is 2.4 MB in flight or reordered: far beyond any window we send. */
    REPLAY_WINDOW = 2048,
    REPLAY_WORDS = REPLAY_WINDOW / 64 + 1, /* one more, since the window starts inside a word */
};

/* A zeroed struct has seen nothing. */
struct replay {
    uint64_t next; /* highest counter marked, plus one; Invariant: bits from `next` on are 0 */
    uint64_t ring[REPLAY_WORDS];
};

/* True: this counter (below UINT64_MAX) was not marked. False: it was marked, or it is below the window
 * and may have been. */
bool replay_new(const struct replay *r, uint64_t counter);

/* Marks the counter of a genuine datagram, for which replay_new() said true. */
void replay_mark(struct replay *r, uint64_t counter);

#endif
