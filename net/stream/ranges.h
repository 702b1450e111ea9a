/* ranges.h: a small sorted set of byte ranges, each with a hole before it. Pure.
 *
 * Kept in place and searched from the front: without loss it is empty, and with loss its handful
 * of members fit into a few cache lines.
 */
#ifndef RANGES_H
#define RANGES_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RANGES_MAX = 96, /* at 30 % loss a full window of 230 datagrams has 50 holes, at 50 % 58 */
};

/* Bytes [start, end) each. Invariant: start < end < next start. A zeroed struct is empty. */
struct ranges {
    unsigned n;
    uint64_t bytes; /* sum of all lengths */
    struct {
        uint64_t start;
        uint64_t end;
        unsigned told; /* free for the owner; 0 in each range that ranges_add() made or grew */
    } r[RANGES_MAX];
};

/* Adds [start, end), joining what it touches. False if there is no room for one more range;
 * nothing was changed then. */
bool ranges_add(struct ranges *s, uint64_t start, uint64_t end);

/* Takes [start, end) out. If that splits a range and there is no room for one more, the part of
 * it above `end` goes as well. */
void ranges_remove(struct ranges *s, uint64_t start, uint64_t end);

/* Takes out all below `limit`. */
void ranges_remove_below(struct ranges *s, uint64_t limit);

/* All of [start, end) is in the set. */
bool ranges_hold(const struct ranges *s, uint64_t start, uint64_t end);

/* First bytes of [from, limit) that are in no range, as [*start, *end); false if none. */
bool ranges_hole(const struct ranges *s, uint64_t from, uint64_t limit, uint64_t *start,
                 uint64_t *end);

/* End of the highest range, or `none` if the set is empty. */
uint64_t ranges_end(const struct ranges *s, uint64_t none);

#endif
