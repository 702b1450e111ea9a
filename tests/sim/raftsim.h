/* raftsim.h: the program around the simulator, shared by raftsim*.c. */
#ifndef RAFTSIM_H
#define RAFTSIM_H

#include "tests/sim/sim.h"

enum { KIND_BYTES = 128, TEXT_BYTES = 512 };

/* What is asked of one seed. */
struct job {
    uint64_t seed;
    unsigned profile, nodes; /* 0 = as drawn */
    uint64_t time_us, events;
    uint32_t without; /* mask of fault kinds left out */
    bool trace;
};

/* How it ended. */
struct outcome {
    bool ok;
    char kind[KIND_BYTES]; /* the same for all failures of one sort */
    char text[TEXT_BYTES];
    uint64_t at_us, events;
    struct sim_totals totals;
};

/* Lives one seed in a process of its own. `quiet`: prints nothing about a failure. */
void child_run(const struct job *j, bool quiet, struct outcome *out);

/* The command that does the same again. */
void job_print(const struct job *j, FILE *f);

/* Finds a smaller job that fails in the same way, and prints it. */
void shrink(struct job *j, const struct outcome *failed);

#endif
