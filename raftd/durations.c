/* durations.c: see durations.h. */
#include "raftd/durations.h"

#include <string.h>

#include "raftd/base/num.h"

enum { SUB_BITS = 3, SUB = 1 << SUB_BITS };

/* Below SUB each value has a bucket; above, each power of two has SUB of them. */
static unsigned bucket_of(uint64_t us)
{
    unsigned shift = 0;
    while (us >> shift >= 2 * SUB)
        shift++;
    return (unsigned)min_u64(shift * SUB + (us >> shift), DURATIONS_BUCKETS - 1);
}

/* The largest value in a bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    unsigned shift = bucket < 2 * SUB ? 0 : bucket / SUB - 1;
    return ((uint64_t)(bucket - shift * SUB + 1) << shift) - 1;
}

static void forget(struct durations *d, uint64_t now_us)
{
    const uint64_t minute_us = DURATIONS_MINUTE_US;
    if (now_us < d->since_us + minute_us) /* another thread's now_us may even be before since_us */
        return;
    unsigned old = now_us < d->since_us + 2 * minute_us ? 1 : 2;
    d->minutes[1] = d->minutes[0];
    memset(d->minutes, 0, old * sizeof d->minutes[0]);
    d->since_us = now_us;
}

void durations_add(struct durations *d, uint64_t now_us, uint64_t took_us)
{
    bool stalled = took_us > d->long_us;
    struct durations_minute *m = d->minutes;
    forget(d, now_us);
    m->counts[bucket_of(took_us)]++;
    m->all++;
    m->stalled += stalled;
    d->stalls += stalled;
    d->max_us = max_u64(d->max_us, took_us);
}

uint64_t durations_percentile(struct durations *d, uint64_t now_us, unsigned percent)
{
    uint64_t seen = 0;
    const struct durations_minute *m = d->minutes;
    forget(d, now_us);
    uint64_t wanted = ((uint64_t)m[0].all + m[1].all) * percent;
    for (unsigned i = 0; wanted > 0 && i < DURATIONS_BUCKETS; i++) {
        seen += (uint64_t)m[0].counts[i] + m[1].counts[i];
        if (seen * 100 >= wanted)
            return min_u64(bucket_top(i), d->max_us);
    }
    return 0;
}

bool durations_slow(const struct durations *d)
{
    const struct durations_minute *m = d->minutes;
    uint64_t stalled = (uint64_t)m[0].stalled + m[1].stalled, all = (uint64_t)m[0].all + m[1].all;
    return stalled >= DURATIONS_SLOW_MIN && stalled * 100 > all * DURATIONS_SLOW_PERCENT;
}

void durations_status(struct durations *d, struct status *s)
{
    s->fsync_p50_us = durations_percentile(d, s->now_us, 50); /* forgets what is old */
    s->fsync_p99_us = durations_percentile(d, s->now_us, 99);
    s->fsync_max_us = d->max_us;
    s->fsync_stalls = d->stalls;
    s->disk_slow = durations_slow(d);
}
