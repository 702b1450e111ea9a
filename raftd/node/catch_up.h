/* catch_up.h: a leader's limit on old entries for all peers that catch up, so that they cost clients at
 * most a quarter of their throughput.
 *
 * To pass on an old entry costs about a sixth of what a new one does, so twice as many of them cost a
 * third of the new ones. As they are more than the new ones, a peer does catch up however long the load
 * lasts. The peers take from the limit in their order: one after the other gets there.
 */
#ifndef RAFTD_CATCH_UP_H
#define RAFTD_CATCH_UP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CATCH_UP_US = 10000,       /* counted over so long */
    CATCH_UP_BYTES = 40 << 10, /* at least: 4 MB/s, a tenth of a small board's processor */
    CATCH_UP_TIMES = 2,        /* or so many times what clients write */
    CATCH_UP_CALM_US = 100000, /* nobody has written for so long: no limit */
};

/* A zeroed struct is a fresh one. Only the functions below write it. */
struct catch_up {
    uint64_t until;    /* end of the present count */
    uint64_t left;     /* bytes that may be asked of the disk until then */
    uint64_t seen;     /* end of the log when it began, as a place in memory */
    uint64_t wrote_at; /* when clients wrote last, as far as counts tell; 0 = never */
    bool waits;        /* a peer waits for the next count */
};

/* Once per iteration, before any peer takes: the log ends at this place in memory. */
void catch_up_count(struct catch_up *c, uint64_t now, uint64_t log_end);

/* Takes at most `want` bytes; 0: not even `least` are left, the next count will do. */
size_t catch_up_take(struct catch_up *c, size_t want, size_t least);

/* When a peer that waits may take again; UINT64_MAX: none waits. */
uint64_t catch_up_deadline(const struct catch_up *c);

#endif
