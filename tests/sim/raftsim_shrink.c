/* raftsim_shrink.c: a smaller run that fails in the same way. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/raftsim.h"

enum { SEEDS_TRIED = 40 };

static bool fails_too(struct job *best, const struct job *j, const struct outcome *want,
                      struct outcome *out)
{
    child_run(j, true, out);
    if (out->ok || strcmp(out->kind, want->kind) != 0)
        return false;
    *best = *j;
    printf("  still fails: ");
    job_print(j, stdout);
    printf("    (%" PRIu64 " events)\n", out->events);
    return true;
}

void shrink(struct job *j, const struct outcome *failed)
{
    struct outcome out = *failed;
    struct job best = *j, t;
    best.trace = false;
    printf("shrinking \"%s\"\n", failed->kind);
    for (unsigned f = 0; f < SIM_FAULT_COUNT; f++) { /* kinds of faults */
        struct sim_options o;
        sim_plan(&o, best.profile, best.seed, best.nodes, best.without);
        if (o.rate[f] == 0)
            continue;
        t = best;
        t.without |= 1u << f;
        (void)fails_too(&best, &t, failed, &out);
    }
    for (unsigned n = 3; n < 7; n += 2) { /* nodes: another run, perhaps the same failure */
        t = best;
        t.nodes = n;
        if (out.totals.virtual_us != 0 && fails_too(&best, &t, failed, &out))
            break;
    }
    /* The shortest prefix: the safety phase ends, then all is healed. */
    child_run(&best, true, &out);
    uint64_t lo = 1, hi = out.events;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        t = best;
        t.events = mid;
        if (fails_too(&best, &t, failed, &out))
            hi = mid;
        else
            lo = mid + 1;
    }
    struct outcome least;
    child_run(&best, true, &least);
    for (uint64_t seed = best.seed + 1; seed <= best.seed + SEEDS_TRIED; seed++) {
        t = best; /* a neighbour that fails sooner? */
        t.seed = seed;
        t.events = best.events;
        child_run(&t, true, &out);
        if (!out.ok && strcmp(out.kind, failed->kind) == 0 && out.events < least.events) {
            best = t;
            least = out;
        }
    }
    printf("shortest found, %" PRIu64 " events:\n  ", least.events);
    job_print(&best, stdout);
    *j = best;
}
