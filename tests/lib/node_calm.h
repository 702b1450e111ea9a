/* node_calm.h: a simulated cluster in which nothing goes wrong by itself, for unit tests with cmocka that say
 * what does. */
#ifndef TESTS_NODE_CALM_H
#define TESTS_NODE_CALM_H

#include "tests/sim/sim.h"

enum { MS = 1000, SECOND = 1000000 };

/* A local network and quick disks; elections after 150 ms. The caller changes what its test is about. */
struct sim_options calm(unsigned nodes, uint64_t seed);
/* Runs until one node leads; ends the test if that takes over five seconds. */
void run_until_leader(struct sim *s);
/* A new cluster in which one node leads. */
struct sim *led(struct sim_options o);
/* Runs until all nodes have the same on their disks and have applied it; ends the test if that takes over
 * 30 seconds, or if anything is wrong then. */
void converge(struct sim *s);

#endif
