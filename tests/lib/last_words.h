/* last_words.h: what a program knows of a node that was told of its events and keeps the last word of each
 * subject alone. */
#ifndef LAST_WORDS_H
#define LAST_WORDS_H

#include "raftd/node/happened.h"

struct last_words {
    struct event
        word[HAPPENED_LINES + 2 * RAFT_MEMBERS_MAX]; /* members that were removed among them */
    unsigned n;
};

/* An event, or a line of a state, was told. What told of a break before it begins anew. */
void last_words_take(struct last_words *l, const struct event *e);

/* NULL: all words are those of the state. Else a line of it that is told otherwise, or is not told. */
const char *last_words_differ(const struct last_words *l, const struct happened_state *state);

#endif
