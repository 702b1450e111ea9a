/* replay.c: see replay.h. */
#include "net/seal/replay.h"

#include <assert.h>

enum { WORD_BITS = 64 };

static uint64_t bit(uint64_t counter)
{
    return UINT64_C(1) << counter % WORD_BITS;
}

bool replay_new(const struct replay *r, uint64_t counter)
{
    if (counter >= r->next)
        return true;
    return r->next - counter <= REPLAY_WINDOW &&
           (r->ring[counter / WORD_BITS % REPLAY_WORDS] & bit(counter)) == 0;
}

void replay_mark(struct replay *r, uint64_t counter)
{
    assert(counter < UINT64_MAX && replay_new(r, counter));
    uint64_t word = counter / WORD_BITS;
    if (counter >= r->next) {
        /* Clears the words that the window enters. The word of counter next - 1 stays: it is in use. */
        uint64_t first = (r->next + WORD_BITS - 1) / WORD_BITS;
        if (word >= first + REPLAY_WORDS)
            first = word - REPLAY_WORDS + 1;
        for (uint64_t w = first; w <= word; w++)
            r->ring[w % REPLAY_WORDS] = 0;
        r->next = counter + 1;
    }
    r->ring[word % REPLAY_WORDS] |= bit(counter);
}
