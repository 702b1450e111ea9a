/* trail.c: see trail.h. */
#include "raftd/core/trail.h"

#include <assert.h>
#include <string.h>

uint64_t raft_trail_term(const struct raft_trail *t, uint64_t index)
{
    if (index == t->base_index)
        return t->base_term;
    if (index < t->base_index || index > t->last)
        return 0;
    size_t low = 0, high = t->n_runs; /* runs[low] starts at or before index, runs[high] after */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (t->runs[middle].first_index <= index)
            low = middle;
        else
            high = middle;
    }
    return t->runs[low].term;
}

uint64_t raft_trail_last_at_most(const struct raft_trail *t, uint64_t index, uint64_t term)
{
    uint64_t end = t->last;
    for (size_t k = t->n_runs; k > 0; k--) {
        const struct raft_run *run = &t->runs[k - 1];
        if (run->first_index <= index && run->term <= term)
            return index < end ? index : end;
        end = run->first_index - 1;
    }
    if (t->base_index <= index && t->base_term <= term)
        return t->base_index;
    return index < t->base_index ? index : t->base_index - 1;
}

void raft_trail_append(struct raft_trail *t, uint64_t term, uint64_t last)
{
    assert(last > t->last && term > 0 && term >= raft_trail_term(t, t->last));
    if (t->n_runs == 0 || t->runs[t->n_runs - 1].term != term) {
        assert(t->n_runs < t->cap_runs);
        t->runs[t->n_runs++] = (struct raft_run){.first_index = t->last + 1, .term = term};
    }
    t->last = last;
}

void raft_trail_truncate(struct raft_trail *t, uint64_t to)
{
    assert(to < t->last && to >= t->base_index);
    t->last = to;
    while (t->n_runs > 0 && t->runs[t->n_runs - 1].first_index > to)
        t->n_runs--;
}

void raft_trail_compact(struct raft_trail *t, uint64_t to)
{
    assert(to >= t->base_index && to <= t->last);
    size_t gone = 0; /* runs that end there or before */
    t->base_term = raft_trail_term(t, to);
    t->base_index = to;
    while (gone < t->n_runs &&
           (gone + 1 < t->n_runs ? t->runs[gone + 1].first_index - 1 : t->last) <= to)
        gone++;
    t->n_runs -= gone;
    memmove(t->runs, t->runs + gone, t->n_runs * sizeof *t->runs);
    if (t->n_runs > 0 && t->runs[0].first_index <= to)
        t->runs[0].first_index = to + 1;
}

void raft_trail_reset(struct raft_trail *t, uint64_t index, uint64_t term)
{
    t->base_index = t->last = index;
    t->base_term = term;
    t->n_runs = 0;
}

size_t raft_trail_room(const struct raft_trail *t)
{
    return t->cap_runs - t->n_runs;
}

void raft_trail_move(struct raft_trail *t, struct raft_run *runs, size_t cap_runs)
{
    assert(cap_runs >= t->cap_runs && runs != t->runs);
    memcpy(runs, t->runs, t->n_runs * sizeof *runs);
    t->runs = runs;
    t->cap_runs = cap_runs;
}

const char *raft_trail_check(const struct raft_trail *t)
{
    if (t->n_runs > t->cap_runs)
        return "more runs than memory";
    if ((t->base_index == 0) != (t->base_term == 0))
        return "an entry behind which the log begins has no term, or none has one";
    if (t->last < t->base_index || (t->n_runs == 0) != (t->last == t->base_index))
        return "runs and last index disagree";
    uint64_t index = t->base_index, term = t->base_term;
    for (size_t i = 0; i < t->n_runs; i++) {
        const struct raft_run *run = &t->runs[i];
        if (i == 0 ? run->first_index != index + 1 : run->first_index <= index)
            return "first indexes of runs do not grow, or the log does not begin behind its base";
        if (run->term == 0 || (i == 0 ? run->term < term : run->term <= term))
            return "terms of runs do not grow";
        index = run->first_index;
        term = run->term;
    }
    return t->n_runs > 0 && index > t->last ? "a run starts beyond the log" : NULL;
}
