/* fold.h: events that wait for a script. What a later one overtakes is not told any more, so there are never
 * more than the kinds have subjects, some of them for each member. */
#ifndef RAFTCTL_FOLD_H
#define RAFTCTL_FOLD_H

#include "raftd/base/event.h"

struct folded;

/* {0}: nothing waits. */
struct fold {
    struct folded *first;
    bool busy; /* the first one is being told, and stays */
};

/* Adds a copy. False without memory. */
bool fold_add(struct fold *f, const struct event *e);

/* NULL: there is none. It lasts until fold_drop(). */
const struct event *fold_first(const struct fold *f);

/* The first one says nothing that is still so: a later one waits that overtakes it. */
bool fold_is_overtaken(const struct fold *f);

/* The first one is done with. */
void fold_drop(struct fold *f);

#endif
