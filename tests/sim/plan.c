/* plan.c: profiles, and what a seed draws from one.
 *
 * Swarm testing: a seed has some of its profile's kinds of faults, each at a rate of its own, up
 * to the one in the table. A run with few kinds goes deeper into each than one with all of them.
 */
#include "storage/wal.h"
#include "tests/sim/impl.h"

enum { MS = 1000, SECOND = 1000000 };

struct profile {
    const char *name, *help;
    uint32_t rate[SIM_FAULT_COUNT + 5]; /* at most: see SIM_FAULTS, and below */
};

/* No faults, but how it is for good: slow disks; short logs; rot that spares nothing; changing
 * members; all disks that fill together. */
enum { SLOW_DISKS = SIM_FAULT_COUNT, SNAPSHOTS, DAMAGE, MEMBERS, FULL_DISKS };

#define NET                                                                                        \
    [SIM_LOSS] = 500000, [SIM_DUP] = 200000, [SIM_DELAY] = 100000, [SIM_LATE] = 3000,              \
    [SIM_FLIP] = 20000, [SIM_STRAY] = 10000, [SIM_REPLAY] = 50000
#define CUTS [SIM_PARTITION] = 500, [SIM_ONEWAY] = 500, [SIM_PARTIAL] = 500, [SIM_FLAP] = 300
#define STOPS                                                                                      \
    [SIM_CRASH] = 800, [SIM_KILL] = 400, [SIM_MIDOP] = 1000, [SIM_CUTALL] = 100, [SIM_PAUSE] = 400
#define DISKS [SIM_SLOW] = 300, [SIM_STALL] = 300, [SIM_FULL] = 400, [SIM_EIO] = 400

#define YES 1

static const struct profile profiles[] = {
    {"calm", "no faults", {0}},
    {"lossy", "datagrams lost, doubled, late, damaged", {NET, [SIM_COARSE] = YES}},
    {"partitions", "links cut in all ways", {CUTS, [SIM_LOSS] = 50000, [SIM_LATE] = 1000}},
    {"replays",
     "recorded datagrams come again, to later processes, too",
     {[SIM_REPLAY] = 300000,
      [SIM_LOSS] = 500000,
      [SIM_DELAY] = 50000,
      [SIM_PARTITION] = 500,
      [SIM_ONEWAY] = 500,
      [SIM_CRASH] = 600,
      [SIM_KILL] = 1200,
      [SIM_CUTALL] = 100,
      [SIM_STALL] = 300}},
    {"crashes", "power cuts, kills, in the middle of disk operations, pauses", {STOPS}},
    {"disks",
     "slow, stalled, full, failing and rotting disks",
     {DISKS, [SIM_ROT] = 200, [SIM_WIPE] = 200, [SIM_CRASH] = 100, [SIM_MIDOP] = 300,
      [SIM_SMALL] = YES}},
    {"stalls",
     "disks that are slow or hang while leaders change",
     {[SIM_SLOW] = 1000,
      [SIM_STALL] = 1500,
      [SIM_PARTITION] = 700,
      [SIM_ONEWAY] = 700,
      [SIM_LOSS] = 200000,
      [SIM_PAUSE] = 500,
      [SIM_KILL] = 200,
      [SIM_SMALL] = YES}},
    {"clocks",
     "clocks of different rates, pauses, some loss",
     {[SIM_CLOCK] = YES,
      [SIM_PAUSE] = 500,
      [SIM_LOSS] = 200000,
      [SIM_STALL] = 100,
      [SIM_ONEWAY] = 100}},
    {"small",
     "small limits: segments, batches, caches, datagrams",
     {[SIM_SMALL] = YES,
      [SIM_COARSE] = YES,
      [SIM_CRASH] = 800,
      [SIM_KILL] = 400,
      [SIM_MIDOP] = 300,
      [SIM_LOSS] = 200000,
      [SIM_FULL] = 100,
      [SIM_PARTITION] = 400}},
    {"everything",
     "all of it",
     {NET, CUTS, STOPS, DISKS, [SIM_ROT] = 30, [SIM_WIPE] = 100, [SIM_AMNESIA] = 300,
      [SIM_CLOCK] = YES, [SIM_SMALL] = YES, [SIM_COARSE] = YES, [DAMAGE] = YES}},
    {"slowdisks",
     "all disks take up to 3 s for each write, always",
     {[SIM_LOSS] = 200000,
      [SIM_PARTITION] = 300,
      [SIM_ONEWAY] = 300,
      [SIM_PARTIAL] = 200,
      [SIM_CRASH] = 200,
      [SIM_KILL] = 300,
      [SIM_CUTALL] = 50,
      [SIM_PAUSE] = 200,
      [SIM_COARSE] = YES,
      [SLOW_DISKS] = YES}},
    {"snapshots",
     "snapshots all the time, and nodes that were away too long for the log",
     {[SIM_SMALL] = YES,
      [SIM_LOSS] = 200000,
      [SIM_DELAY] = 50000,
      [SIM_REPLAY] = 50000,
      [SIM_PARTITION] = 1000,
      [SIM_ONEWAY] = 300,
      [SIM_CRASH] = 800,
      [SIM_KILL] = 600,
      [SIM_MIDOP] = 1000,
      [SIM_CUTALL] = 50,
      [SIM_EIO] = 300,
      [SIM_FULL] = 200,
      [SIM_STALL] = 200,
      [SIM_PAUSE] = 300,
      [SIM_ROT] = 200,
      [SIM_WIPE] = 100,
      [SNAPSHOTS] = YES}},
    {"repair",
     "damaged logs and snapshots of a minority, again and again",
     {[SIM_ROT] = 4000,
      [SIM_LOSS] = 200000,
      [SIM_DELAY] = 100000,
      [SIM_LATE] = 3000,
      [SIM_REPLAY] = 50000,
      [SIM_PARTITION] = 700,
      [SIM_ONEWAY] = 300,
      [SIM_CRASH] = 600,
      [SIM_KILL] = 600,
      [SIM_MIDOP] = 700,
      [SIM_CUTALL] = 50,
      [SIM_STALL] = 300,
      [SIM_PAUSE] = 300,
      [SIM_SMALL] = YES,
      [SNAPSHOTS] = YES,
      [DAMAGE] = YES}},
    {"full",
     "disks that fill and get room again, of one node or all",
     {[SIM_FULL] = 4000,
      [SIM_LOSS] = 100000,
      [SIM_PARTITION] = 200,
      [SIM_CRASH] = 300,
      [SIM_KILL] = 300,
      [SIM_MIDOP] = 300,
      [SIM_STALL] = 100,
      [SIM_SMALL] = YES,
      [FULL_DISKS] = YES}},
    {"members",
     "nodes come and go, as members and as processes, and come with empty disks, at other "
     "addresses",
     {[SIM_LOSS] = 200000,
      [SIM_DUP] = 50000,
      [SIM_DELAY] = 50000,
      [SIM_REPLAY] = 50000,
      [SIM_PARTITION] = 500,
      [SIM_ONEWAY] = 300,
      [SIM_CRASH] = 500,
      [SIM_KILL] = 500,
      [SIM_MIDOP] = 500,
      [SIM_CUTALL] = 50,
      [SIM_PAUSE] = 300,
      [SIM_STALL] = 200,
      [SIM_WIPE] = 4000,
      [SIM_MOVE] = 4000,
      [SIM_CLONE] = 1000,
      [SIM_SMALL] = YES,
      [MEMBERS] = YES}},
    {"amnesia",
     "disks of followers that are those of an earlier time",
     {[SIM_AMNESIA] = 4000,
      [SIM_LOSS] = 200000,
      [SIM_DUP] = 50000,
      [SIM_DELAY] = 100000,
      [SIM_LATE] = 3000,
      [SIM_REPLAY] = 50000,
      [SIM_PARTITION] = 300,
      [SIM_ONEWAY] = 300,
      [SIM_CRASH] = 300,
      [SIM_KILL] = 300,
      [SIM_STALL] = 300,
      [SIM_SMALL] = YES}},
};

const char *sim_profile_name(unsigned profile)
{
    return profile < sizeof profiles / sizeof profiles[0] ? profiles[profile].name : NULL;
}

const char *sim_profile_help(unsigned profile)
{
    return profiles[profile].help;
}

static uint64_t next(uint64_t *rng, uint64_t below)
{
    uint64_t z = *rng += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return z % below;
}

static uint64_t pick(uint64_t *rng, const uint64_t *list, size_t n)
{
    return list[next(rng, n)];
}
#define PICK(rng, ...)                                                                             \
    pick(rng, (const uint64_t[]){__VA_ARGS__},                                                     \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void small_limits(struct sim_options *o, uint64_t *rng)
{
    static const uint32_t segments[] = {WAL_SEGMENT_BYTES_MIN, 48 << 10, 64 << 10, 256 << 10};
    o->segment_bytes = segments[next(rng, 4)];
    uint32_t batch = (uint32_t)wal_batch_max_bytes(o->segment_bytes);
    o->max_value_bytes = (uint32_t)PICK(rng, 100, 1000, 3000);
    uint32_t record = 512 + o->max_value_bytes;
    o->batch_bytes = (uint32_t)PICK(rng, 1, 500, 4000, 8192);
    if (o->batch_bytes > batch)
        o->batch_bytes = batch;
    o->cache_bytes = 2 * record + 4096 + (uint32_t)PICK(rng, 0, 0, 4096, 65536);
    o->datagram_bytes = (uint32_t)PICK(rng, 256, 400, 600, 1200);
    o->fetch_bytes = (uint32_t)PICK(rng, 100, 2000, 20000);
    o->relay_bytes = (uint32_t)PICK(rng, 60, 500, 5000);
}

/* All disks alike, or each as it is; and clients that wait for them, and write no more in all than
 * the slowest one can take in a few batches. */
static void slow_disks(struct sim_options *o, uint64_t *rng)
{
    static const uint64_t times[] = {200 * MS, 320 * MS, SECOND, 3 * SECOND, 0};
    bool alike = next(rng, 2) == 0;
    uint64_t all = pick(rng, times, 4);
    for (unsigned i = 0; i < o->nodes; i++)
        o->slow_us[i] = alike ? all : pick(rng, times, 5);
    o->max_value_bytes = 1000;
    o->think_us = PICK(rng, 200, 800) * MS;
    o->segment_bytes = 1 << 20;
    o->batch_bytes = 0;
    o->timeout_us *= 4;
    o->time_us = 60 * (uint64_t)SECOND;
}

/* Clients that fill a log of few segments soon. */
static void short_logs(struct sim_options *o, uint64_t *rng)
{
    o->segment_bytes = WAL_SEGMENT_BYTES_MIN;
    uint32_t batch = (uint32_t)wal_batch_max_bytes(o->segment_bytes);
    o->batch_bytes = o->batch_bytes == 0 || o->batch_bytes > batch ? batch : o->batch_bytes;
    o->max_value_bytes = o->max_value_bytes > 4096 ? 4096 : o->max_value_bytes;
    o->think_us = PICK(rng, 5, 20, 50) * MS;
    o->image_us = PICK(rng, 0, 200, 1000) * MS;
    o->log_max_bytes = PICK(rng, 0, 16, 64) * o->segment_bytes;
}

void sim_plan(struct sim_options *o, unsigned profile, uint64_t seed, unsigned nodes,
              uint32_t without)
{
    const struct profile *p = &profiles[profile];
    uint64_t rng = seed * 0x2545f4914f6cdd1du + profile;
    *o = (struct sim_options){.seed = seed};
    o->nodes = nodes != 0 ? nodes : (unsigned)PICK(&rng, 1, 2, 3, 3, 3, 3, 4, 5, 5, 7);
    for (unsigned f = 0; f < SIM_FAULT_COUNT; f++) {
        uint64_t own = ~rng; /* came late: what seeds drew before, they still draw */
        uint64_t clones = ~rng + f;
        uint64_t part = PICK(f == SIM_CLONE                      ? &clones
                             : f == SIM_AMNESIA || f == SIM_MOVE ? &own
                                                                 : &rng,
                             0, 0, 2, 5, 10);
        if (p->rate[f] == YES)
            o->rate[f] = part != 0;
        else
            o->rate[f] = (uint32_t)(p->rate[f] * part / 10);
        if (without >> f & 1)
            o->rate[f] = 0;
    }
    o->delay_min_us = PICK(&rng, 50, 200, 2000);
    o->delay_max_us = o->delay_min_us + PICK(&rng, 50, 500, 5000, 20000);
    o->disk_min_us = PICK(&rng, 50, 500, 3000);
    o->disk_max_us = o->disk_min_us + PICK(&rng, 50, 1000, 20000);
    o->quantum_us = o->rate[SIM_COARSE] ? PICK(&rng, 100, 1000, 10000) : 1;
    o->election_timeout_us = PICK(&rng, 150, 150, 150, 300, 1000) * MS;
    o->max_value_bytes = (uint32_t)PICK(&rng, 1000, 4096, 65536);
    o->segment_bytes = (uint32_t)PICK(&rng, 128 << 10, 128 << 10, 256 << 10);
    if (o->rate[SIM_SMALL])
        small_limits(o, &rng);
    o->batch_bytes = o->batch_bytes != 0 ? o->batch_bytes : (uint32_t)PICK(&rng, 0, 16384);
    uint32_t batch = (uint32_t)wal_batch_max_bytes(o->segment_bytes);
    if (o->batch_bytes == 0 || o->batch_bytes > batch)
        o->batch_bytes = batch < NODE_BATCH_BYTES_MAX ? batch : 0;
    o->plain = next(&rng, 4) == 0;
    if (o->plain) /* proves nothing, so nobody moves, or is told apart */
        o->rate[SIM_MOVE] = o->rate[SIM_CLONE] = 0;
    o->digest_every = 20;
    o->rekey_us = PICK(&rng, 0, 0, 500 * MS, 5000 * MS);
    o->ppm_max = o->rate[SIM_CLOCK] ? 10000 : 0;
    o->clients = (unsigned)PICK(&rng, 2, 4, 8);
    o->hot_keys = (unsigned)PICK(&rng, 1, 2, 5);
    o->think_us = PICK(&rng, 20, 200, 800, 800) * MS;
    o->timeout_us = PICK(&rng, 500, 2000, 5000) * MS;
    o->closure = 50;
    o->time_us = 20 * (uint64_t)SECOND;
    o->take_held = next(&rng, 2) == 0; /* the core must bear it, too */
    uint64_t own = ~rng, other = ~seed, third = ~(seed + 1);
    o->locks = PICK(&third, 0, 1) != 0;
    o->lease_us = PICK(&third, 8, 8, 20, 60) * o->election_timeout_us;
    o->handover_us = PICK(&other, 0, 0, 300, 3000, 3000) * MS;
    o->image_us = PICK(&own, 0, 0, 500, 3000) * MS;
    o->log_max_bytes = PICK(&own, 0, 0, 16, 64) * o->segment_bytes;
    if (p->rate[SNAPSHOTS])
        short_logs(o, &own);
    o->damage = p->rate[DAMAGE] != 0;
    if (p->rate[SLOW_DISKS])
        slow_disks(o, &rng);
    if (p->rate[FULL_DISKS]) {
        o->fill_together = true;
        o->log_max_bytes = 0;
        o->think_us = PICK(&own, 5, 20, 100) * MS;
    }
    if (p->rate[MEMBERS]) {
        o->members_us = PICK(&own, 100, 500, 2000) * MS;
        o->image_us = PICK(&own, 0, 300, 2000) * MS;
    }
    o->max_data_bytes = (uint32_t)PICK(&rng, 0, 0, 0, 0, 0, 1, 3, 8) * CMD_LIMIT_BYTES;
}
