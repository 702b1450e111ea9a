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

#include <stdint.h>

enum {
    /* At 1200 bytes this is 2.4 MB in flight or reordered: far beyond any window we send. */
    REPLAY_WINDOW = 2048,
    REPLAY_WORDS = REPLAY_WINDOW / 64 + 1, /* one more, as the window starts inside a word */
};

enum replay_verdict {
    REPLAY_NEW,
    REPLAY_SEEN, /* marked before */
    REPLAY_OLD,  /* below the window: nobody knows */
};

/* A zeroed struct has seen nothing. */
struct replay {
    uint64_t next; /* highest counter marked, plus one; Invariant: bits from `next` on are 0 */
    uint64_t ring[REPLAY_WORDS];
};

/* What is known of this counter (below UINT64_MAX). Changes nothing. */
enum replay_verdict replay_look(const struct replay *r, uint64_t counter);

/* The datagram was genuine; replay_look() had said REPLAY_NEW. */
void replay_mark(struct replay *r, uint64_t counter);

#endif
