#include "raftd/node/cluster_time.h"

#include "raftd/base/num.h"
#include "storage/record.h"

enum { MS_US = 1000 };

void cluster_time_entry(struct cluster_time *t, uint64_t now, uint64_t term, uint64_t ms)
{
    if (term != t->term)
        *t = (struct cluster_time){term, ms, now};
    else
        cluster_time_heard(t, now, term, ms);
}

void cluster_time_heard(struct cluster_time *t, uint64_t now, uint64_t term, uint64_t ms)
{
    if (term != t->term || ms <= t->ms || ms > RECORD_CLUSTER_MS_MAX)
        return;
    t->ms = ms;
    t->at = now;
}

void cluster_time_lead(struct cluster_time *t, uint64_t term)
{
    t->term = term;
}

uint64_t cluster_time_ms(const struct cluster_time *t, uint64_t now)
{
    return min_u64(t->ms + (now - t->at) / MS_US, RECORD_CLUSTER_MS_MAX);
}

uint64_t cluster_time_ahead_us(const struct cluster_time *t)
{
    return t->ms * MS_US - t->at;
}

uint64_t cluster_time_when(const struct cluster_time *t, uint64_t ms)
{
    if (ms <= t->ms)
        return t->at;
    uint64_t in_ms = ms - t->ms;
    return in_ms < (NEVER - t->at) / MS_US ? t->at + in_ms * MS_US : NEVER;
}
