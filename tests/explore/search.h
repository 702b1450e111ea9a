/* search.h: breadth first through all worlds, so that the first failure has a shortest trace. */
#ifndef EXPLORE_SEARCH_H
#define EXPLORE_SEARCH_H

#include "tests/explore/world.h"

struct record { /* of a world that was visited; its number is its place */
    struct w_hash hash;
    uint32_t parent;
    struct w_action by; /* from the parent */
};

struct chunk;

struct search {
    struct lab lab;
    struct world first;
    const char *elect; /* pairs of digits: this node is elected with the vote of that one */

    struct record *records;
    size_t n_records, cap_records;
    uint32_t *table; /* number + 1 by hash, 0 = free */
    size_t cap_table;
    struct chunk *head, *tail; /* worlds that were not expanded yet, in order of their numbers */
    size_t queue_bytes, queue_max_bytes, queue, queue_max;

    uint32_t expanded;  /* number of the world being expanded */
    struct w_action by; /* the action being tried */
    unsigned depth;     /* of the world being expanded */
    unsigned long long transitions, cut;
    const char *limit; /* why it stopped early; NULL: it is complete within its bounds */
    double seconds;
};

/* False if a property broke: s->lab.broken, by s->by from s->expanded. */
bool search_run(struct search *s);
void search_free(struct search *s);

#endif
