/* sim.h: a whole cluster in one process: real nodes, real storage, pretended network, disk, clock.
 *
 * Everything that happens is an event with a virtual time; the same seed gives the same run. Nodes
 * crash between any two events and in the middle of a disk write (power cut of a memdisk). After
 * every event the node that acted is checked (raft_check and the cluster's invariants); a broken
 * one ends the program with the seed.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_options {
    uint64_t seed;
    unsigned nodes;
    uint32_t loss, dup; /* per mille of datagrams                                     */
    uint64_t delay_min_us, delay_max_us;
    uint64_t disk_min_us, disk_max_us;
    uint32_t max_value_bytes;
    uint32_t segment_bytes;
    uint32_t batch_bytes;
    bool trace; /* one line per event on standard output                      */
};

struct sim;

struct sim *sim_new(const struct sim_options *o);
void sim_free(struct sim *s);

uint64_t sim_now(const struct sim *s);
uint64_t sim_random(struct sim *s, uint64_t below);
void sim_set_loss(struct sim *s, uint32_t loss, uint32_t dup);
void sim_run(struct sim *s,
             uint64_t us); /* handle all events of the next `us` microseconds       */

bool sim_is_up(const struct sim *s, unsigned node);
void sim_crash(struct sim *s, unsigned node); /* power cut: unsynced writes kept, lost or torn   */
void sim_restart(struct sim *s,
                 unsigned node); /* recovers from its disk                          */
void sim_cut(struct sim *s, unsigned from, unsigned to,
             bool cut);       /* one direction                */
void sim_heal(struct sim *s); /* all cuts, loss and duplication end              */

/* A put of a key used only once, with a value of len bytes made from the key. Returns its number. */
unsigned sim_put(struct sim *s, unsigned node, size_t len, uint64_t timeout_us);
/* A linearizable read: checked when it is served. False if the node is down. */
bool sim_read(struct sim *s, unsigned node);
unsigned sim_acked(const struct sim *s);
unsigned sim_pending(const struct sim *s);
unsigned sim_reads_served(const struct sim *s);
uint64_t sim_datagrams(const struct sim *s);

/* Position of the one leader that a majority follows, or -1. */
int sim_leader(const struct sim *s);

/* All up nodes have applied the same, nothing waits, every acknowledged put is there, once. */
bool sim_converged(const struct sim *s);
void sim_check_final(struct sim *s);

/* A line or two per node on standard error, for a person who looks at a failure. */
void sim_print(const struct sim *s);

#endif
