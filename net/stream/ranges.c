#include "net/stream/ranges.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/num.h"

/* Makes room for one range at `at`, which is not filled yet. */
static bool open_at(struct ranges *s, unsigned at)
{
    if (s->n == RANGES_MAX)
        return false;
    memmove(&s->r[at + 1], &s->r[at], (s->n - at) * sizeof s->r[0]);
    s->n++;
    return true;
}

/* Drops r[first .. after). */
static void close_up(struct ranges *s, unsigned first, unsigned after)
{
    memmove(&s->r[first], &s->r[after], (s->n - after) * sizeof s->r[0]);
    s->n -= after - first;
}

bool ranges_add(struct ranges *s, uint64_t start, uint64_t end)
{
    assert(start < end);
    unsigned first = 0;
    while (first < s->n && s->r[first].end < start)
        first++;
    unsigned after = first; /* r[first .. after) touch the new one */
    while (after < s->n && s->r[after].start <= end) {
        start = min_u64(start, s->r[after].start);
        end = max_u64(end, s->r[after].end);
        s->bytes -= s->r[after].end - s->r[after].start;
        after++;
    }
    if (after - first == 1 && s->r[first].start == start && s->r[first].end == end) {
        s->bytes += end - start; /* all of it was here */
        return true;
    }
    if (first == after && !open_at(s, first))
        return false;
    if (after > first)
        close_up(s, first + 1, after);
    s->r[first].start = start;
    s->r[first].end = end;
    s->r[first].told = 0;
    s->bytes += end - start;
    return true;
}

void ranges_remove(struct ranges *s, uint64_t start, uint64_t end)
{
    assert(start < end);
    unsigned i = 0;
    while (i < s->n && s->r[i].end <= start)
        i++;
    if (i < s->n && s->r[i].start < start) {
        uint64_t old = s->r[i].end;
        s->r[i].end = start;
        s->bytes -= old - start;
        i++;
        if (old > end && open_at(s, i)) { /* split */
            s->r[i].start = end;
            s->r[i].end = old;
            s->r[i].told = 0;
            s->bytes += old - end;
        }
    }
    unsigned after = i;
    while (after < s->n && s->r[after].end <= end) {
        s->bytes -= s->r[after].end - s->r[after].start;
        after++;
    }
    close_up(s, i, after);
    if (i < s->n && s->r[i].start < end) {
        s->bytes -= end - s->r[i].start;
        s->r[i].start = end;
    }
}

void ranges_remove_below(struct ranges *s, uint64_t limit)
{
    if (s->n > 0 && s->r[0].start < limit)
        ranges_remove(s, s->r[0].start, limit);
}

bool ranges_hold(const struct ranges *s, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < s->n && s->r[i].start <= start; i++)
        if (end <= s->r[i].end)
            return true;
    return false;
}

bool ranges_hole(const struct ranges *s, uint64_t from, uint64_t limit, uint64_t *start,
                 uint64_t *end)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (from < s->r[i].start) {
            limit = min_u64(limit, s->r[i].start);
            break;
        }
        from = max_u64(from, s->r[i].end);
    }
    *start = from;
    *end = limit;
    return from < limit;
}

uint64_t ranges_end(const struct ranges *s, uint64_t none)
{
    return s->n > 0 ? s->r[s->n - 1].end : none;
}
