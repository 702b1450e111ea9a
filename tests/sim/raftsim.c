/* raftsim: whole clusters in one process, every fault on purpose, every run replayable. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/sim/raftsim.h"

enum { EXIT_USAGE = 64, SECOND = 1000000 };

enum { ALL_PROFILES = 1000 };

struct command {
    struct job job;
    bool seeded;
    unsigned profile; /* ALL_PROFILES: each seed in every one */
    uint64_t runs;
    double minutes;
    const char *keep;
    bool shrink, stats, go_on;
};

struct sum {
    struct sim_totals t;
    uint64_t seeds, failed;
    uint64_t elected_max_us, converged_max_us, idle_max;
    uint64_t seen[SIM_FAULT_COUNT]; /* seeds in which it happened */
};

static void usage(FILE *f)
{
    fprintf(f, "usage: raftsim [options]\n"
               "  --seed N        the run (default: drawn and printed)\n"
               "  --profile NAME  kinds of faults, or \"all\": every profile (default)\n"
               "  --nodes 1..9    default: drawn from the seed\n"
               "  --time S        virtual seconds of the phase with faults\n"
               "  --events N      end that phase after so many events\n"
               "  --without A,B   leave out these kinds of faults\n"
               "  --runs N        seeds N.., N+runs-1\n"
               "  --minutes M     new seeds until the time is over\n"
               "  --keep FILE     append \"PROFILE SEED\" of what fails to FILE\n"
               "  --go-on         do not stop at the first failure\n"
               "  --trace         one line per event\n"
               "  --shrink        find a shorter run that fails in the same way\n"
               "  --stats         how often each kind of fault happened, and more\n"
               "exit status: 0 all well, 1 something failed, 64 wrong usage\n\nprofiles:\n");
    for (unsigned p = 0; sim_profile_name(p) != NULL; p++)
        fprintf(f, "  %-12s %s\n", sim_profile_name(p), sim_profile_help(p));
    fprintf(f, "\nkinds of faults:");
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++)
        fprintf(f, " %s", sim_fault_name((enum sim_fault)i));
    fprintf(f, "\n");
}

static _Noreturn void wrong(const char *what, const char *arg)
{
    fprintf(stderr, "raftsim: %s: %s (--help tells more)\n", what, arg);
    exit(EXIT_USAGE);
}

static uint64_t number(const char *arg, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t n = strtoull(arg, &end, 0);
    if (*arg == '-' || *arg == '\0' || *end != '\0' || n < min || n > max)
        wrong("not a number in range", arg);
    return n;
}

static unsigned profile_of(const char *name)
{
    if (strcmp(name, "all") == 0)
        return ALL_PROFILES;
    for (unsigned p = 0; sim_profile_name(p) != NULL; p++)
        if (strcmp(sim_profile_name(p), name) == 0)
            return p;
    wrong("no such profile", name);
}

static uint32_t without_of(char *list)
{
    uint32_t mask = 0;
    for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
        unsigned f = 0;
        while (f < SIM_FAULT_COUNT && strcmp(sim_fault_name((enum sim_fault)f), name) != 0)
            f++;
        if (f == SIM_FAULT_COUNT)
            wrong("no such kind of fault", name);
        mask |= 1u << f;
    }
    return mask;
}

void job_print(const struct job *j, FILE *f)
{
    fprintf(f, "raftsim --profile %s --seed %" PRIu64, sim_profile_name(j->profile), j->seed);
    if (j->nodes != 0)
        fprintf(f, " --nodes %u", j->nodes);
    if (j->time_us != 0)
        fprintf(f, " --time %" PRIu64, j->time_us / SECOND);
    if (j->events != 0)
        fprintf(f, " --events %" PRIu64, j->events);
    for (unsigned i = 0, first = 1; i < SIM_FAULT_COUNT; i++)
        if (j->without >> i & 1) {
            fprintf(f, "%s%s", first ? " --without " : ",", sim_fault_name((enum sim_fault)i));
            first = 0;
        }
    fprintf(f, "\n");
}

static void parse(int argc, char **argv, struct command *c)
{
    enum {
        SEED,
        PROFILE,
        NODE_COUNT,
        TIME,
        EVENTS,
        WITHOUT,
        RUNS,
        MINUTES,
        KEEP,
        GO_ON,
        TRACE,
        SHRINK,
        STATS,
        HELP
    };
    static const struct option options[] = {
        {"seed", 1, NULL, SEED},   {"profile", 1, NULL, PROFILE}, {"nodes", 1, NULL, NODE_COUNT},
        {"time", 1, NULL, TIME},   {"events", 1, NULL, EVENTS},   {"without", 1, NULL, WITHOUT},
        {"runs", 1, NULL, RUNS},   {"minutes", 1, NULL, MINUTES}, {"keep", 1, NULL, KEEP},
        {"go-on", 0, NULL, GO_ON}, {"trace", 0, NULL, TRACE},     {"shrink", 0, NULL, SHRINK},
        {"stats", 0, NULL, STATS}, {"help", 0, NULL, HELP},       {0},
    };
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case SEED:
            c->job.seed = number(optarg, 0, UINT64_MAX);
            c->seeded = true;
            break;
        case PROFILE: c->profile = profile_of(optarg); break;
        case NODE_COUNT: c->job.nodes = (unsigned)number(optarg, 1, 9); break;
        case TIME: c->job.time_us = number(optarg, 1, 1000000) * SECOND; break;
        case EVENTS: c->job.events = number(optarg, 1, UINT64_MAX); break;
        case WITHOUT: c->job.without = without_of(optarg); break;
        case RUNS: c->runs = number(optarg, 1, UINT64_MAX); break;
        case MINUTES: c->minutes = atof(optarg); break;
        case KEEP: c->keep = optarg; break;
        case GO_ON: c->go_on = true; break;
        case TRACE: c->job.trace = true; break;
        case SHRINK: c->shrink = true; break;
        case STATS: c->stats = true; break;
        case HELP: usage(stdout); exit(0);
        default: usage(stderr); exit(EXIT_USAGE);
        }
    }
    if (optind < argc)
        wrong("not an option", argv[optind]);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor time of all seeds, seconds. */
static double cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_CHILDREN, &u) < 0)
        abort();
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add(struct sum *sum, const struct sim_totals *t)
{
    struct sim_totals *s = &sum->t;
    s->virtual_us += t->virtual_us;
    s->events += t->events;
    s->datagrams += t->datagrams;
    s->bytes += t->bytes;
    s->batches += t->batches;
    s->closures += t->closures;
    s->doubts += t->doubts;
    s->damaged += t->damaged;
    s->healed += t->healed;
    s->mended += t->mended;
    s->snapshots += t->snapshots;
    s->drops += t->drops;
    s->installs += t->installs;
    s->resumed += t->resumed;
    s->writes += t->writes;
    s->acked += t->acked;
    s->unknown += t->unknown;
    s->repeated += t->repeated;
    s->transactions += t->transactions;
    s->conditions += t->conditions;
    s->refused += t->refused;
    s->full += t->full;
    s->reads += t->reads;
    s->lists += t->lists;
    s->local_reads += t->local_reads;
    s->told += t->told;
    s->compacted += t->compacted;
    s->events_told += t->events_told;
    s->breaks += t->breaks;
    s->healths += t->healths;
    s->scans += t->scans;
    s->scans_moved += t->scans_moved;
    s->pages += t->pages;
    s->asked_pages += t->asked_pages;
    s->unknown_cursors += t->unknown_cursors;
    s->held += t->held;
    s->frees += t->frees;
    s->overs += t->overs;
    s->ends += t->ends;
    s->freed_keys += t->freed_keys;
    s->boots += t->boots;
    s->leaders += t->leaders;
    s->handovers += t->handovers;
    s->changes += t->changes;
    s->wishes += t->wishes;
    s->promotions += t->promotions;
    s->committed += t->committed;
    s->histories += t->histories;
    s->copies += t->copies;
    s->ended += t->ended;
    s->hash ^= t->hash;
    sum->elected_max_us = most(sum->elected_max_us, t->elected_us);
    sum->converged_max_us = most(sum->converged_max_us, t->converged_us);
    sum->idle_max = most(sum->idle_max, t->idle_datagrams);
    for (unsigned f = 0; f < SIM_FAULT_COUNT; f++) {
        s->faults[f] += t->faults[f];
        sum->seen[f] += t->faults[f] != 0;
    }
}

static void print_stats(const struct sum *sum)
{
    const struct sim_totals *t = &sum->t;
    printf("  fault        seeds      times\n");
    for (unsigned f = 0; f < SIM_FAULT_COUNT; f++)
        printf("  %-10s %7" PRIu64 " %10" PRIu64 "\n", sim_fault_name((enum sim_fault)f),
               sum->seen[f], t->faults[f]);
    printf("  %" PRIu64 " starts of nodes, %" PRIu64 " leaders, %" PRIu64
           " of them by a hand-over, %" PRIu64 " entries committed\n",
           t->boots, t->leaders, t->handovers, t->committed);
    printf("  %" PRIu64 " changes of the members were taken, %" PRIu64
           " wishes of operators done, %" PRIu64 " learners became voters\n",
           t->changes, t->wishes, t->promotions);
    printf("  %" PRIu64 " batches written, %" PRIu64 " disks recovered on a copy\n", t->batches,
           t->closures);
    printf("  %" PRIu64 " snapshots written, %" PRIu64 " logs shortened, %" PRIu64
           " snapshots installed, %" PRIu64 " fetches of them resumed\n",
           t->snapshots, t->drops, t->installs, t->resumed);
    printf("  %" PRIu64 " nodes were told that they had lost something, and have it again; %" PRIu64
           " started damaged, %" PRIu64 " are healed; %" PRIu64
           " copies of identities were written anew\n",
           t->doubts, t->damaged, t->healed, t->mended);
    printf("  writes: %" PRIu64 " sent, %" PRIu64 " acknowledged, %" PRIu64 " refused, %" PRIu64
           " without room, %" PRIu64 " unknown\n",
           t->writes, t->acked, t->refused, t->full, t->unknown);
    printf("  entries that change nothing: %" PRIu64 " copies of writes, %" PRIu64
           " known by their tokens, %" PRIu64 " of processes that are not the current ones\n",
           t->copies, t->repeated, t->ended);
    printf("  reads: %" PRIu64 " linearizable (%" PRIu64 " lists), %" PRIu64 " local; %" PRIu64
           " operations in checked histories\n",
           t->reads, t->lists, t->local_reads, t->histories);
    printf("  transactions: %" PRIu64 " answered, of %" PRIu64 " a condition did not hold\n",
           t->transactions, t->conditions);
    printf("  keys that ended when their time had come: %" PRIu64
           ", and with who held them: %" PRIu64 "\n",
           t->ends, t->freed_keys);
    printf("  watches: told %" PRIu64 " changes, and %" PRIu64 " times that some were forgotten\n",
           t->told, t->compacted);
    printf("  events: told %" PRIu64 ", and %" PRIu64
           " breaks; leaders seen that were not well: %" PRIu64 "\n",
           t->events_told, t->breaks, t->healths);
    printf("  scans: %" PRIu64 " came to their end, %" PRIu64
           " of them while entries were applied; %" PRIu64 " pages, %" PRIu64
           " of them linearizable; %" PRIu64 " cursors that were not known\n",
           t->scans, t->scans_moved, t->pages, t->asked_pages, t->unknown_cursors);
    printf("  locks: held in %" PRIu64 " steps, %" PRIu64
           " processes freed, living ones over in %" PRIu64 " steps\n",
           t->held, t->frees, t->overs);
    printf("  healed: leader after at most %.1f s, all equal after %.1f s, then at most %" PRIu64
           " datagrams/s\n",
           (double)sum->elected_max_us / 1e6, (double)sum->converged_max_us / 1e6, sum->idle_max);
}

static void tell_failure(const struct command *c, struct job *j, const struct outcome *out)
{
    printf("FAILED seed %" PRIu64 ": [%s] %s\n", j->seed, out->kind, out->text);
    printf("  at %.6f s, event %" PRIu64 "; replay: ", (double)out->at_us / 1e6, out->events);
    job_print(j, stdout);
    if (c->keep != NULL) {
        FILE *f = fopen(c->keep, "a");
        if (f == NULL ||
            fprintf(f, "%s %" PRIu64 "\n", sim_profile_name(j->profile), j->seed) < 0 ||
            fclose(f) != 0)
            perror(c->keep);
    }
    if (c->shrink)
        shrink(j, out);
    fflush(stdout);
}

/* One seed in one profile, or in all. True to go on. */
static bool one(const struct command *c, uint64_t seed, struct sum *sum)
{
    for (unsigned p = 0; sim_profile_name(p) != NULL; p++) {
        struct job j = c->job;
        struct outcome out;
        if (c->profile != ALL_PROFILES && c->profile != p)
            continue;
        j.profile = p;
        j.seed = seed;
        child_run(&j, false, &out);
        add(sum, &out.totals);
        sum->seeds++;
        if (out.ok)
            continue;
        sum->failed++;
        tell_failure(c, &j, &out);
        if (!c->go_on)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct command c = {.profile = ALL_PROFILES};
    struct sum sum = {0};
    parse(argc, argv, &c);
    if (!c.seeded) {
        if (getrandom(&c.job.seed, sizeof c.job.seed, 0) != sizeof c.job.seed)
            abort();
        c.job.seed >>= 16; /* short enough to type */
        printf("raftsim: seed %" PRIu64 "\n", c.job.seed);
    }
    double start = seconds();
    for (uint64_t i = 0;; i++) {
        if (c.minutes > 0 ? seconds() - start >= 60 * c.minutes : i >= (c.runs ? c.runs : 1))
            break;
        if (!one(&c, c.job.seed + i, &sum))
            break;
    }
    double took = seconds() - start, virtual_s = (double)sum.t.virtual_us / 1e6;
    printf("raftsim: profile %s, %" PRIu64 " seeds, %.0f virtual s, %" PRIu64 " events, %" PRIu64
           " datagrams, %" PRIu64 " acked writes, %" PRIu64
           " reads, %.0f virtual s/s (%.0f per s of processor time), %016" PRIx64 ", ",
           c.profile == ALL_PROFILES ? "all" : sim_profile_name(c.profile), sum.seeds, virtual_s,
           sum.t.events, sum.t.datagrams, sum.t.acked, sum.t.reads, virtual_s / took,
           virtual_s / cpu_seconds(), sum.t.hash);
    if (sum.failed == 0)
        printf("OK\n");
    else
        printf("FAILED %" PRIu64 ", after %" PRIu64 " runs\n", sum.failed, sum.seeds);
    if (c.stats)
        print_stats(&sum);
    return sum.failed == 0 ? 0 : 1;
}
