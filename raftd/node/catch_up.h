/* catch_up.h: a leader's limit on old entries for all peers that catch up, so that they cost clients at
 * most a quarter of their throughput.
 *
 * To send an old entry costs about a sixth of what a new one does. So twice as many old ones as new ones cost
 * a third of what the new ones do, and a peer catches up however long the load lasts, since it gets more than
 * is new. The peers take from the limit in their order, so one after the other catches up.
 */
#ifndef RAFTD_CATCH_UP_H
#define RAFTD_CATCH_UP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CATCH_UP_US = 10000,       /* length of one count */
    CATCH_UP_BYTES = 40 << 10, /* least limit: 4 MB/s, a tenth of a small board's processor */
    CATCH_UP_TIMES = 2,        /* the limit is so many times what clients wrote in the last count */
    CATCH_UP_CALM_US = 100000, /* there is no limit when nobody has written for so long */
};

/* A zeroed struct is a fresh one. Only the functions below write it. */
struct catch_up {
    uint64_t until;    /* end of the present count */
    uint64_t left;     /* bytes that may be asked of the disk until then */
    uint64_t seen;     /* position of the log's end when it began (entries.h) */
    uint64_t wrote_at; /* end of the newest count in which clients wrote; 0 = never */
    bool waits;        /* a peer waits for the next count */
};

/* Once per iteration, before any peer takes. log_end: position of the log's end. */
void catch_up_count(struct catch_up *c, uint64_t now, uint64_t log_end);

/* Takes at most `want` bytes. 0: not even `least` are left before the next count. */
size_t catch_up_take(struct catch_up *c, size_t want, size_t least);

/* When a peer that waits may take again; UINT64_MAX: none waits. */
uint64_t catch_up_deadline(const struct catch_up *c);

#endif
