/* sim.h: a whole cluster in one process: real nodes and real storage; pretended network, disks,
 * clocks and clients.
 *
 * Everything that happens is an event with a virtual time in one heap. All choices come from the
 * seed, so the same seed and the same program give the same run. After every step the node that
 * acted is checked, by itself and against the whole cluster's history (check.c has the list).
 * What is broken ends the run with a sentence, the last events and the seed.
 *
 * A run has two phases. Safety: faults of all kinds drawn for this seed, never more than the
 * cluster promises to survive. Liveness: a random majority is healed, the rest stays dead; it must
 * elect a leader, answer everything, agree, and then keep still.
 *
 *   sim.c    event heap, lives of nodes          net.c      datagrams and their faults
 *   snap.c   snapshots on them
 *   disk.c   disks, their faults, recovery       client.c   clients and what they may see
 *   check.c  the cluster's history, invariants   fault.c    when which fault happens
 *   plan.c   profiles; what a seed draws         phase.c    the two phases
 *   note.c   trace                               amnesia.c  disks that forget
 *   members.c  who is a member changes       operator.c  by hand
 *   clone.c  two boxes with one disk
 *   where.c  addresses of boxes               lease.c   who may believe that he holds a lock
 *   asked.c  commands of clients                model.c    what was committed
 *   transactions.c  what transactions of clients do and tell
 *   linear.c is a history linearizable?          raftsim*.c the program around it
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "raftd/core/raft.h"

/* Kinds of faults. The first group: per million datagrams. The second: per 1000 seconds of the
 * whole cluster. The third: yes or no, when the cluster is made. */
#define SIM_FAULTS(X)                                                                              \
    X(LOSS, "loss")           /* a datagram is lost */                                             \
    X(DUP, "dup")             /* comes twice */                                                    \
    X(DELAY, "delay")         /* comes up to half a second late, after others */                   \
    X(LATE, "late")           /* comes again, up to a minute later */                              \
    X(FLIP, "flip")           /* bits flipped, or cut short */                                     \
    X(STRAY, "stray")         /* a copy arrives at a node it is not for */                         \
    X(REPLAY, "replay")       /* somebody records and sends any datagram of the run again */       \
    X(PARTITION, "partition") /* two groups that cannot talk */                                    \
    X(ONEWAY, "oneway")       /* one group does not hear the other */                              \
    X(PARTIAL, "partial")     /* any set of links in any direction */                              \
    X(FLAP, "flap")           /* one link comes and goes */                                        \
    X(CRASH, "crash")         /* power cut: unsynced writes kept, lost or torn */                  \
    X(KILL, "kill")           /* the process dies, the page cache stays */                         \
    X(MIDOP, "midop")         /* power cut or kill in the middle of a disk operation */            \
    X(CUTALL, "cutall")       /* power cut of all nodes at once */                                 \
    X(PAUSE, "pause")         /* a process stops for a while, its clock goes on */                 \
    X(SLOW, "slow")           /* a disk is slow for a while */                                     \
    X(STALL, "stall")         /* a disk hangs for seconds */                                       \
    X(FULL, "full")           /* a disk is full for a while */                                     \
    X(EIO, "eio")             /* a disk operation fails: the process must end */                   \
    X(ROT, "rot")             /* durable bytes of a minority of nodes change */                    \
    X(WIPE, "wipe")           /* nodes of a minority get empty disks, under their old ids */       \
    X(MOVE, "move")           /* a box gets another address */                                     \
    X(CLONE, "clone")         /* a copy of a box's disk lives in another box, beside it */         \
    X(AMNESIA, "amnesia")     /* disks of a minority of followers are those of an earlier time */  \
    X(CLOCK, "clock")         /* clocks up to 1 % fast or slow (nodes know no wall clock) */       \
    X(SMALL, "small")         /* small segments, batches, caches, datagrams, fetches */            \
    X(COARSE, "coarse")       /* events come in bunches: many per loop iteration */

#define SIM_FAULT_ENUM(name, text) SIM_##name,
enum sim_fault { SIM_FAULTS(SIM_FAULT_ENUM) SIM_FAULT_COUNT };

const char *sim_fault_name(enum sim_fault f);

/* Everything that a run depends on. */
struct sim_options {
    uint64_t seed;
    unsigned nodes;
    uint32_t rate[SIM_FAULT_COUNT];

    uint64_t delay_min_us, delay_max_us; /* of datagrams */
    uint64_t disk_min_us, disk_max_us;   /* of one batch */
    /* Of a disk that is slow for good, by node: each batch takes so much longer, half of it at least. */
    uint64_t slow_us[RAFT_VOTERS_MAX];
    uint64_t quantum_us; /* datagrams and disks finish at multiples of it */
    uint64_t election_timeout_us;
    uint64_t lease_us; /* of node_config, 0 = default */
    bool locks;        /* programs at each node want locks */
    bool awaits;       /* clients of all nodes wait for whatever is committed next */

    uint32_t max_value_bytes;
    uint32_t max_data_bytes; /* of node_config, 0 = no limit */
    uint32_t segment_bytes;
    uint64_t log_max_bytes; /* of node_config, 0 = no limit */
    uint64_t
        handover_us; /* some node is asked to hand over, or drained and stopped, so often; 0 = never */
    uint64_t members_us;     /* somebody wants other members about as often; 0 = never */
    uint64_t image_us;       /* some node is asked for a snapshot about as often; 0 = never */
    uint32_t batch_bytes;    /* of node_config, 0 = default */
    uint32_t cache_bytes;    /* of node_config, 0 = default */
    uint32_t relay_bytes;    /* of node_config, 0 = default */
    uint32_t datagram_bytes; /* of node_config, 0 = default */
    uint32_t rx_bytes;       /* of node_config, 0 = default */
    bool plain;              /* datagrams are not sealed */
    bool take_held;          /* of node_config */
    uint64_t rekey_us;       /* of node_config, 0 = default */
    uint64_t digest_every;   /* of node_config, 0 = default */
    uint32_t
        fetch_bytes; /* a fetch brings at most this (to be applied: or one record); 0 = no limit */
    int ppm_max;     /* clocks: this much too fast or too slow, in millionths */

    unsigned clients;
    unsigned hot_keys;
    uint64_t think_us;   /* a client's mean pause between two operations */
    uint64_t timeout_us; /* of operations */
    bool damage;         /* SIM_ROT strikes snapshots, heads, seals and whole segments as well */
    bool fill_together;  /* SIM_FULL strikes all disks at once, now and then */
    unsigned closure; /* one in so many batches: recover the worst images of that disk; 0 never */

    uint64_t time_us;    /* length of the safety phase ... */
    uint64_t events_max; /* ... or so many events (0: no limit) */

    FILE *trace; /* one line per event, NULL = none */
    /* Told what is broken, before the program aborts: `kind` is the same for all failures of one
     * sort, `text` is the sentence. NULL: print and abort. */
    void (*failed)(void *ctx, const char *kind, const char *text);
    void *failed_ctx;
};

struct sim_totals {
    uint64_t virtual_us, events, datagrams, bytes, batches, closures;
    uint64_t mended; /* starts that wrote a damaged copy of the identity anew */
    uint64_t writes, acked, unknown, refused, full, reads, lists, local_reads;
    uint64_t repeated; /* writes of which a copy with the same token was committed before */
    uint64_t transactions, conditions; /* answered; ... whose condition does not hold */
    uint64_t boots, leaders, committed, histories;
    uint64_t handovers; /* leaders that were handed the lead */
    uint64_t changes,
        promotions;  /* of members that were asked for and taken; learners made voters */
    uint64_t wishes; /* ... and wishes of operators that were done */
    uint64_t copies; /* committed entries of a write that was committed already ... */
    uint64_t ended;  /* ... and of a process that was not current */
    uint64_t snapshots, drops, installs; /* written, of logs, that took the place of a state */
    uint64_t resumed;                    /* fetches of snapshots that went on where they were */
    uint64_t told;                       /* changes, to those who watch; ... */
    uint64_t events_told, breaks;        /* ... events; and times that others came between */
    uint64_t healths;                    /* looks at a leader that says that it is not well */
    uint64_t scans, scans_moved;     /* that came to their end; ... while entries were applied */
    uint64_t pages, unknown_cursors; /* answers to scans, of which so many ... */
    uint64_t asked_pages;            /* ... were linearizable reads */
    uint64_t ends;                   /* keys whose time had come */
    uint64_t compacted;              /* times that some of these wanted more than was remembered */
    uint64_t doubts;     /* nodes that were told that they had lost something, and have it again */
    uint64_t damaged;    /* nodes that started in doubt, with less than they had ... */
    uint64_t healed;     /* ... and those that were healed */
    uint64_t frees;      /* entries by which leaders freed what a process held */
    uint64_t freed_keys; /* that ended with the process that held them */
    uint64_t held;  /* steps of a node, each of whose programs believed that it held its lock */
    uint64_t overs; /* steps of a leader that would free what a living process held */
    uint64_t faults[SIM_FAULT_COUNT]; /* how often each really happened */
    uint64_t elected_us;              /* liveness: until there was a leader ... */
    uint64_t converged_us;            /* ... and until all was answered and equal */
    uint64_t idle_datagrams;          /* of the idle stretch, per second */
    uint64_t hash;                    /* of everything that happened */
};

struct sim;

/* Profiles by number, NULL behind the last; and what a seed draws from one. nodes 0: drawn too. */
const char *sim_profile_name(unsigned profile);
const char *sim_profile_help(unsigned profile);
/* `without`: mask of kinds of faults left out. */
void sim_plan(struct sim_options *o, unsigned profile, uint64_t seed, unsigned nodes,
              uint32_t without);

struct sim *sim_new(const struct sim_options *o);
void sim_free(struct sim *s);

/* Both phases. Returns when all is well. */
void sim_live(struct sim *s);
const struct sim_totals *sim_totals(struct sim *s);

/* ---- by hand, for tests of one thing ---- */

uint64_t sim_now(const struct sim *s);
void sim_run(struct sim *s, uint64_t us); /* handle all events of the next `us` microseconds */
bool sim_is_up(const struct sim *s, unsigned node);
void sim_crash(struct sim *s, unsigned node); /* power cut, for good until sim_restart() */
void sim_restart(struct sim *s, unsigned node);
/* The first time a copy of a follower's disk is made; then, once it has acknowledged more to its
 * leader, the node stops and finds that copy when it is restarted: true. */
bool sim_lose_tail(struct sim *s, unsigned node);
void sim_cut(struct sim *s, unsigned from, unsigned to, bool cut); /* one direction */
/* So many of a million datagrams in that direction are lost, beside what SIM_LOSS takes. */
void sim_thin(struct sim *s, unsigned from, unsigned to, uint32_t per_million);
/* Of the datagrams that are sent from now on, bit i of `pattern` says whether the i-th is lost. */
void sim_lose(struct sim *s, uint64_t pattern);
/* Longer datagrams vanish from now on. */
void sim_narrow(struct sim *s, size_t bytes);
/* Size that `node` has found for datagrams to `to`. */
uint32_t sim_path(const struct sim *s, unsigned node, unsigned to);
void sim_heal(struct sim *s); /* all cuts and all faults that go on or would come */

/* A put of a key used only once, with a value of len bytes. */
void sim_put(struct sim *s, unsigned node, size_t len, uint64_t timeout_us);
/* A linearizable read, checked when it is served. False if the node is down. */
bool sim_read(struct sim *s, unsigned node);
unsigned sim_acked(const struct sim *s);
unsigned sim_pending(const struct sim *s);

/* The state of a node that is up becomes another one, by nothing that is in the log. From now on a node may
 * say that its state has diverged, and stops then. */
void sim_spoil(struct sim *s, unsigned node);
/* That happened: 1 another state is a majority's, -1 none is, 0 not so. */
int sim_diverged(const struct sim *s, unsigned node);

/* The core of a node that is up, NULL if it is down. */
const struct raft *sim_raft(const struct sim *s, unsigned node);
/* Position of the one leader that a majority follows, or -1. */
int sim_leader(const struct sim *s);
/* All up nodes have applied the same log to its end, durably; nothing waits. */
bool sim_converged(const struct sim *s);
/* All up nodes hold the same state, and exactly what was committed. */
void sim_check_final(struct sim *s);
/* The clients' history is linearizable, key by key. */
void sim_check_history(struct sim *s);

/* The last events and all nodes, for a person who looks at a failure. */
void sim_print(const struct sim *s, FILE *f);
/* A failure that somebody else noticed (an assertion). */
_Noreturn void sim_failed(struct sim *s, const char *kind, const char *text);

#endif
