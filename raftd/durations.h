/* durations.h: how long a kind of work took within about the last minute. Pure. */
#ifndef RAFTD_DURATIONS_H
#define RAFTD_DURATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/node/status.h"

enum {
    DURATIONS_BUCKETS = 240,        /* eight for each power of two, up to an hour */
    DURATIONS_MINUTE_US = 60000000, /* what is older than two of these is forgotten */
    DURATIONS_SLOW_MIN = 3,         /* fewer stalls may be chance */
    DURATIONS_SLOW_PERCENT = 1,     /* and so may be a smaller part of all work */
};

/* How often work took how long. */
struct durations_minute {
    uint32_t counts[DURATIONS_BUCKETS]; /* by duration */
    uint32_t all, stalled;              /* all of it, and what took longer than long_us */
};

/* Zeroed memory but for long_us: nothing was seen yet. */
struct durations {
    uint64_t long_us;                   /* what takes longer is a stall */
    uint64_t since_us;                  /* when the present minute began */
    struct durations_minute minutes[2]; /* the present one, and the one before */
    uint64_t max_us, stalls;            /* since the start */
};

/* Some work is done at now_us, and took so long. */
void durations_add(struct durations *d, uint64_t now_us, uint64_t took_us);

/* Microseconds that so many percent of the work of the two minutes did not exceed; up to an eighth too
 * many. 0: there was no work. */
uint64_t durations_percentile(struct durations *d, uint64_t now_us, unsigned percent);

/* True if the two minutes had more stalls than DURATIONS_SLOW_MIN and DURATIONS_SLOW_PERCENT let pass. */
bool durations_slow(const struct durations *d);

/* Fills fsync_* of the status, and disk_slow. */
void durations_status(struct durations *d, struct status *s);

#endif
