/* resp_tree.h: an answer of RESP2 or RESP3 as a list of its parts, for tests. */
#ifndef RESP_TREE_H
#define RESP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESP_TREE_PARTS = 4096 };

struct part {
    char type;     /* the byte that it begins with */
    int64_t n;     /* number, length or how many parts; -1: nil */
    const char *p; /* of a string; borrowed */
};

/* Each part stands before those that it has. Beyond the last place they are looked at, and not kept. */
struct resp_tree {
    struct part part[RESP_TREE_PARTS];
    unsigned n;
};

/* Adds the value that begins at in[at]. Returns where it ends; 0: it is not all there; -1: it is no RESP. */
int64_t resp_tree_read(struct resp_tree *t, const char *in, size_t len, int64_t at);

/* The next part that is not within this one. */
unsigned resp_tree_behind(const struct resp_tree *t, unsigned at);

bool part_is(const struct part *p, const char *text);
/* The first word is this, and others follow. */
bool part_begins(const struct part *p, const char *word);
bool part_is_nil(const struct part *p);
/* As a number, also if it is a string. */
int64_t part_number(const struct part *p);

#endif
