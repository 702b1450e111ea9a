/* trail.c: the log as runs: for each term its first index. Payloads are the caller's. */
#include "raftd/core/raft_impl.h"

uint64_t raft_term_at(const struct raft *r, uint64_t index)
{
    if (index > r->last_index || r->n_runs == 0 || index < r->runs[0].first_index)
        return 0;
    size_t low = 0, high = r->n_runs; /* runs[low] starts at or before index, runs[high] after */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (r->runs[middle].first_index <= index)
            low = middle;
        else
            high = middle;
    }
    return r->runs[low].term;
}

uint64_t raft_trail_first(const struct raft *r)
{
    return r->n_runs == 0 ? 1 : r->runs[0].first_index;
}

void raft_trail_append(struct raft *r, uint64_t term, uint64_t last)
{
    assert(last > r->last_index && term > 0);
    if (r->n_runs == 0 || r->runs[r->n_runs - 1].term != term) {
        assert(r->n_runs < r->cap_runs);
        assert(r->n_runs == 0 || r->runs[r->n_runs - 1].term < term);
        r->runs[r->n_runs++] = (struct raft_run){.first_index = r->last_index + 1, .term = term};
    }
    r->last_index = last;
}

void raft_trail_truncate(struct raft *r, uint64_t to)
{
    assert(to < r->last_index && to >= r->commit_index);
    r->last_index = to;
    while (r->n_runs > 0 && r->runs[r->n_runs - 1].first_index > to)
        r->n_runs--;
}

uint64_t raft_trail_last_at_most(const struct raft *r, uint64_t index, uint64_t term)
{
    uint64_t end = r->last_index;
    for (size_t k = r->n_runs; k > 0; k--) {
        const struct raft_run *run = &r->runs[k - 1];
        if (run->first_index <= index && run->term <= term)
            return raft_min(index, end);
        end = run->first_index - 1;
    }
    return 0;
}

size_t raft_runs_free(const struct raft *r)
{
    return r->cap_runs - r->n_runs;
}

void raft_grow_runs(struct raft *r, struct raft_run *runs, size_t cap_runs)
{
    assert(cap_runs >= r->cap_runs && runs != r->runs);
    memcpy(runs, r->runs, r->n_runs * sizeof *runs);
    r->runs = runs;
    r->cap_runs = cap_runs;
}
