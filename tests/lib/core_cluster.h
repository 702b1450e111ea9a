/* core_cluster.h: a whole cluster of Raft cores in virtual time, for tests.
 *
 * Network, disks, crashes and the entries' stream are simulated as simply as their contracts allow:
 *
 *  - Packets are messages, or pieces of at most CL_PIECE entries of a leader's stream. They may be
 *    lost, repeated, delayed and reordered; links may be cut or held.
 *  - A disk takes one batch at a time; a crash keeps it whole or loses it whole.
 *  - A leader sends what is new, and from match_index on what was not acknowledged for a while.
 *
 * After every step the node's raft_check() runs, and the cluster-wide properties of figure 3.2 are
 * checked against a record of everything that ever happened (core_ghost.c). A broken one calls
 * cl_fail().
 */
#ifndef TESTS_CORE_CLUSTER_H
#define TESTS_CORE_CLUSTER_H

#include "raftd/core/raft.h"

#include <stdio.h>

enum {
    CL_NODES = RAFT_VOTERS_MAX,
    CL_LOG = 2048,      /* entries per log; a run that fills it has proposed too much */
    CL_PIECE = 16,      /* entries per packet */
    CL_FLIGHT = 4,      /* packets per peer and send */
    CL_PACKETS = 8192,  /* in the network */
    CL_TERMS = 4096,    /* highest term of a run */
    CL_IDS = 1 << 16,   /* entries ever created in a run */
    CL_READS = 1024,    /* outstanding reads per node */
    CL_BOOTS = 16,      /* raft_config.boot is the number of the boot times this, and the node */
    CL_INCARNATION = 1, /* of a node whose disk was never replaced */
    CL_CONFS = 1024,    /* configurations ever made in a run */
    CL_KINDS = 14,      /* message types and stream data, see cl_kind() */
};

/* An entry: its term and an identity that stands for its bytes. */
struct cl_entry {
    uint64_t term;
    uint32_t id;
};

struct cl_packet {
    raft_time at;
    uint64_t number;     /* order among packets of the same time */
    bool data;           /* stream data, else msg */
    struct raft_msg msg; /* of data: from, to, term */
    uint32_t epoch;
    uint64_t prev_index;
    uint64_t prev_term;
    unsigned n;
    struct cl_entry entries[CL_PIECE];
};

struct cl_disk {
    uint64_t term;
    uint16_t vote;
    uint64_t last;
    uint64_t commit;
    uint64_t base;  /* the log begins behind it; the entries up to it stand for the snapshot */
    bool reset_due; /* the snapshot is there, and the log does not begin with it yet */
    struct cl_entry log[CL_LOG + 1]; /* [0] unused */
};

struct cl_batch {
    struct raft_persist persist; /* seq 0 = none */
    raft_time done_at;
    struct cl_entry entries[CL_LOG];
    struct raft_msg after[RAFT_MSGS_MAX];
    size_t n_after;
};

struct cl_stream { /* what a leader has sent to a peer */
    uint64_t term;
    uint32_t epoch;
    uint64_t sent;
    raft_time sent_at;
};

struct cl_node {
    bool up;
    bool stalled;         /* the disk finishes nothing */
    bool full;            /* it has no room for entries ... */
    bool no_room;         /* ... nor for anything else */
    bool dirty;           /* stepped since the last raft_ready() */
    raft_time ticked;     /* last tick */
    raft_time tick_delay; /* this process is late by so much */
    unsigned boots;
    uint64_t incarnation; /* grows when its disk is replaced by an empty one */
    bool first;           /* it knows the first members: it was there then, or got a snapshot */
    struct raft r;
    struct raft_run *runs; /* malloc */
    struct cl_entry log[CL_LOG + 1];
    struct cl_disk disk;
    struct cl_disk had; /* what it held when it lost some of it ... */
    unsigned had_boots; /* ... after that boot; 0 = it has lost nothing */
    bool damaged;       /* that was noticed: it starts in doubt, until it is healed */
    struct cl_batch batch;
    struct cl_batch refused; /* the last one, until another is durable: a crash may bring it back */
    struct cl_stream streams[CL_NODES];
    uint32_t read_next;            /* lower half of the next read's number */
    uint64_t read_floor[CL_READS]; /* highest commit index anywhere when it was asked for */
    uint64_t reads_done;
    uint64_t installs; /* last entry of the snapshot that is being installed, 0 = none */
};

enum cl_link { CL_OPEN, CL_CUT, CL_HELD };

struct cl_ghost { /* everything that ever happened; see core_ghost.c */
    uint16_t leader_of[CL_TERMS];
    uint16_t vote_of[CL_NODES][CL_TERMS]; /* on disk */
    uint64_t round_term[CL_NODES];
    uint64_t round[CL_NODES];
    struct {
        uint64_t index;
        uint64_t term;
        uint32_t prev_id;
        unsigned conf; /* members[], 0 = no configuration */
    } created[CL_IDS];
    struct raft_members members[CL_CONFS]; /* [0]: the first ones, of index 0 */
    unsigned n_members;
    uint32_t n_created;
    uint32_t committed[CL_LOG + 1];
    uint64_t commit_term[CL_LOG + 1];
    uint64_t n_committed;
};

struct cl {
    unsigned n;
    uint64_t seed;
    uint64_t rng;
    raft_time now;
    struct raft_config cfg; /* timing, the same on all nodes */

    /* The world's manners. Chances are per mille. */
    raft_time delay_min, delay_max;
    raft_time disk_min, disk_max;
    raft_time
        disk_us[CL_NODES]; /* of a node whose disk is slower: so long at most, half at least */
    unsigned drop, repeat, lazy_ready, short_batch, lead_with_data, refuse;
    unsigned batch_max; /* entries per batch, 0 = no limit */

    enum cl_link links[CL_NODES][CL_NODES];
    struct cl_packet *heap; /* malloc, CL_PACKETS */
    size_t n_heap;
    struct cl_packet *held; /* malloc, CL_PACKETS */
    size_t n_held;
    uint64_t next_number;
    struct cl_packet last[CL_NODES][CL_NODES][CL_KINDS]; /* last packet sent, for replays */

    struct cl_node nodes[CL_NODES];
    struct cl_ghost ghost;

    uint64_t steps, sent, batches;
    FILE *trace;      /* NULL = none */
    bool trace_state; /* changes of role, term and commit only */
};

/* Nodes 1..n (array index id - 1), all down with empty disks, at time 1 ms, T = 150 ms. The first `voters` of
 * them are the first members, the others know of none. */
struct cl *cl_new(unsigned n, unsigned voters, uint64_t seed);
void cl_free(struct cl *c);

uint64_t cl_random(struct cl *c);
bool cl_chance(struct cl *c, unsigned per_mille);
raft_time cl_between(struct cl *c, raft_time low, raft_time high);

/* What a node that is down finds on its disk. Entries of the same index, term and past are the same
 * on all nodes. */
void cl_preset(struct cl *c, unsigned i, uint64_t term, uint16_t vote, const uint64_t *terms,
               unsigned n);

void cl_start(struct cl *c, unsigned i);
void cl_crash(struct cl *c, unsigned i, bool keep_batch);

/* The disk of a node that is down is that of an earlier time: entries above `last` were never written
 * (term and vote are still those of now). */
void cl_lose(struct cl *c, unsigned i, uint64_t last);

/* The same, and recovery will notice: the term is that of an earlier time as well. Without its snapshot all
 * is gone. */
void cl_damage(struct cl *c, unsigned i, uint64_t last, uint64_t term);

/* A node that is down gets an empty disk: its next process is of another directory, and knows no members. */
void cl_wipe(struct cl *c, unsigned i);

/* Processes everything up to and including time t. */
void cl_run_until(struct cl *c, raft_time t);

/* Node i forgets its log up to `index`, as far as it may. */
void cl_compact(struct cl *c, unsigned i, uint64_t index);

/* Node i has a snapshot of its leader's, up to `index`, and begins to make it its own: false if it follows
 * no leader that is up and has committed so much. Then: it is done, or has failed. */
bool cl_install_begin(struct cl *c, unsigned i, uint64_t index);
void cl_install_end(struct cl *c, unsigned i, bool done);

/* False if node i is down or not the leader. */
bool cl_propose(struct cl *c, unsigned i, unsigned count);

/* Node i is asked to hand over to that node (0: the best), or to lead no more. */
void cl_transfer(struct cl *c, unsigned i, uint16_t heir, bool drain);
void cl_closed(struct cl *c, unsigned i, uint16_t peer);

/* Asks node i, which is up, for other members. */
enum raft_refusal cl_change(struct cl *c, unsigned i, const struct raft_members *m, bool force);
void cl_read(struct cl *c, unsigned i);

/* Finishes the batch in flight now. */
void cl_disk_done(struct cl *c, unsigned i);

/* Puts all packets that are held on this link into the network, to arrive now. */
void cl_release(struct cl *c, unsigned from, unsigned to);
void cl_forget_held(struct cl *c, unsigned from, unsigned to);

/* Delivers a copy of the last packet of this kind now. False if there was none. */
bool cl_replay(struct cl *c, unsigned from, unsigned to, unsigned kind);

/* 0..CL_KINDS-1 and their names ("lead", "vote", "data" ...). */
unsigned cl_kind(const struct cl_packet *p);
const char *cl_kind_name(unsigned kind);

/* A packet as text. */
void cl_describe(const struct cl_packet *p, char *s, size_t size);

/* Index of the node that leads the highest term among those up, or -1. */
int cl_leader(const struct cl *c);

void cl_say(struct cl *c, unsigned i, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The run is broken: prints the seed and the reason, and ends the process. */
_Noreturn void cl_fail(const struct cl *c, unsigned i, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* core_ghost.c */
uint32_t ghost_preset(struct cl *c, uint64_t index, uint64_t term, uint32_t prev_id);
void ghost_created(struct cl *c, unsigned i, uint64_t first, uint64_t last);
/* The newest configuration in the first `last` entries of that log of node i. */
struct raft_members ghost_members(const struct cl *c, unsigned i, const struct cl_entry *log,
                                  uint64_t last);
/* The newest one that is committed, and not behind that entry. */
struct raft_members ghost_committed_members(const struct cl *c, uint64_t index);
/* The leader still counts on what the node acknowledged before it lost some of it. */
bool ghost_trusts_lost(const struct cl *c, const struct raft_peer *p);
void ghost_appended(struct cl *c, unsigned i, const struct cl_packet *p);
void ghost_step(struct cl *c, unsigned i, const struct raft *before, const struct raft_edit *edit);
void ghost_sent(struct cl *c, unsigned i, const struct raft_msg *m);
void ghost_disk(struct cl *c, unsigned i);
void ghost_read(struct cl *c, unsigned i, const struct raft_ready *rd);

#endif
