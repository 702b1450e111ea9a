/* human.c: see human.h. */
#include "raftd/tool/human.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

/* A unit, and how many of it are one of the next. */
struct unit {
    const char *name;
    uint64_t size;
};

/* A number of the first unit in the largest one of which there is at least one. Less than ten of any but the
 * first have a decimal place. What is larger than all units is shown as their most. */
static struct human in_units(uint64_t n, const struct unit *units, size_t n_units)
{
    struct human h;
    uint64_t rest = 0;
    size_t i = 0;
    for (; i + 1 < n_units && n >= units[i].size; i++) {
        rest = n % units[i].size * 10 / units[i].size;
        n /= units[i].size;
    }
    if (n > 9999)
        n = 9999;
    if (i > 0 && n < 10)
        (void)snprintf(h.text, sizeof h.text, "%u.%u%s", (unsigned)n, (unsigned)rest,
                       units[i].name);
    else
        (void)snprintf(h.text, sizeof h.text, "%u%s", (unsigned)n, units[i].name);
    return h;
}

#define IN_UNITS(n, units) in_units(n, units, sizeof(units) / sizeof(units)[0])

struct human human_count(uint64_t n)
{
    static const struct unit units[] = {
        {"", 1000}, {"k", 1000}, {"M", 1000}, {"G", 1000}, {"T", 0}};
    return IN_UNITS(n, units);
}

struct human human_bytes(uint64_t n)
{
    static const struct unit units[] = {
        {"B", 1000}, {"kB", 1000}, {"MB", 1000}, {"GB", 1000}, {"TB", 0}};
    return IN_UNITS(n, units);
}

struct human human_us(uint64_t us)
{
    static const struct unit units[] = {{"us", 1000}, {"ms", 1000}, {"s", 60},
                                        {"min", 60},  {"h", 24},    {"d", 0}};
    return IN_UNITS(us, units);
}

struct human human_age_s(uint64_t s)
{
    static const struct unit units[] = {{"s", 60}, {"min", 60}, {"h", 24}, {"d", 0}};
    return IN_UNITS(s, units);
}
