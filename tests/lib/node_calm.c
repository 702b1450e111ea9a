/* node_calm.c: see node_calm.h. */
#include "tests/lib/node_calm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

struct sim_options calm(unsigned nodes, uint64_t seed)
{
    return (struct sim_options){
        .seed = seed,
        .nodes = nodes,
        .delay_min_us = 100,
        .delay_max_us = 300,
        .disk_min_us = 100,
        .disk_max_us = 200,
        .max_value_bytes = 65536,
        .segment_bytes = 4 << 20,
        .election_timeout_us = 150 * MS,
        .hot_keys = 1,
        .timeout_us = SECOND,
    };
}

void run_until_leader(struct sim *s)
{
    for (int i = 0; i < 500 && sim_leader(s) < 0; i++)
        sim_run(s, 10 * MS);
    assert_true(sim_leader(s) >= 0);
}

struct sim *led(struct sim_options o)
{
    struct sim *s = sim_new(&o);
    run_until_leader(s);
    return s;
}

void converge(struct sim *s)
{
    for (int i = 0; i < 3000 && !sim_converged(s); i++)
        sim_run(s, 10 * MS);
    if (!sim_converged(s))
        sim_print(s, stdout);
    assert_true(sim_converged(s));
    sim_check_final(s);
}
