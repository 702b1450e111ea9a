/* durations.h: how long a kind of work took within about the last minute. Pure. */
#ifndef RAFTD_DURATIONS_H
#define RAFTD_DURATIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DURATIONS_BUCKETS = 240,        /* eight for each power of two, up to an hour */
    DURATIONS_MINUTE_US = 60000000, /* what is older than two of these is forgotten */
    DURATIONS_SLOW_MIN = 3,         /* fewer that are long may be chance */
    DURATIONS_SLOW_PERCENT = 1,     /* and so may a smaller part of all */
};

struct durations_minute {
    uint32_t counts[DURATIONS_BUCKETS];
    uint32_t all, stalled;
};

/* Zeroed memory but for long_us: none was seen yet. */
struct durations {
    uint64_t long_us;                   /* what takes longer is a stall */
    uint64_t since_us;                  /* the present minute began */
    struct durations_minute minutes[2]; /* the present one, and the one before */
    uint64_t max_us, stalls;            /* of all times */
};

void durations_add(struct durations *d, uint64_t now_us, uint64_t took_us);

/* What so many percent of those of these two minutes did not exceed, an eighth too much at most; 0:
 * there was none. */
uint64_t durations_percentile(struct durations *d, uint64_t now_us, unsigned percent);

/* More of them were stalls than DURATIONS_SLOW_MIN and DURATIONS_SLOW_PERCENT let pass. */
bool durations_slow(const struct durations *d);

#endif
