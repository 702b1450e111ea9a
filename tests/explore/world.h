/* world.h: one state of a small cluster as a plain value, for the search in explore.c.
 *
 * The search enumerates all that can happen to 2, 3 or 4 nodes within small bounds. What runs is the
 * real core: an action takes a node's image out of the world, makes a struct raft of it
 * (image.c), calls raft_step(), raft_ready() and raft_advance() as the daemon does (act.c), checks
 * what came of it (judge.c), and puts the image back. tidy.c then gives worlds that differ only in
 * names one form, so that each is visited once.
 *
 * What a world abstracts from, and why nothing unsafe hides there
 * --------------------------------------------------------------
 * Network. A set of all messages ever sent, to which every one of them stays: each may arrive at
 * any time, any number of times, in any order, or never. So loss, repetition, delay and reordering
 * have no bounds, and resends of the same bytes are no actions. Messages are only taken out when
 * they can have no effect ever again (forget() in tidy.c, rule by rule; keep=1 keeps all of them).
 * Log data is a stream: W_DATA says that a leader has opened one; any piece of what it ever had in its
 * log may arrive, in any order that the core can see.
 *
 * Time. There is none. Whatever the core decides by comparing times is chosen freely: an election
 * timeout may pass at any time; each vote request is taken both as if the leader was just heard and
 * as if it was silent for long; a leader may find its majority silent at any time. That is more
 * than can happen with real clocks, so no timing is missed. Recorded times are therefore no part of
 * a world (only whether they are "never" or "send now"): w_load() sets them as the action wants.
 * A node never gets tired of asking for PreVotes (`tries`): tired ones only miss votes, and votes
 * may be missed anyway. One thing is missed: a timer that fires in the very cycle of another event.
 * lazy=1 explores cycles of several events. Delayed acknowledgements are sent at once (ack_delay is 0);
 * what a later one would say is said by the one that follows a durable batch.
 *
 * Disk. One batch in flight, durable as a whole or not at all. A crash loses it, or happens after
 * it was durable and before anybody knew; then the node restarts. A node that is down is the same
 * as one to which nothing happens, so there is no such state. Nodes that are not `slow` have disks
 * on which batches are durable at once: fewer states, deeper searches.
 *
 * Damage. A node whose log is damaged starts with less, in doubt, in the term of its last entry and
 * without a vote, as if all later batches were gone. That it is in doubt its caller keeps on disk, so
 * such a node crashes no more here. As long as that may happen to a node no message to it is forgotten, for
 * its term can fall.
 *
 * Numbers. Rounds and probes are replaced by their ranks, since the core only compares them. Of
 * campaigns only "the present one" or "an earlier one" is kept: that numbers of campaigns, batches
 * and processes do not repeat is taken for granted. Counters (stats), the random state and `why`
 * are left out: nothing depends on them. w_forgotten() names every field left out, and the search
 * checks on real states that all others survive.
 *
 * Members. An entry may be one of a few configurations that the world names; all logs carry its
 * number, and who counts follows from that. Learners always keep up, so only the order of events says
 * when one is promoted, and who was removed stays a peer for good. A question that is answered in no
 * other way any more is taken out, though it would tell a node that it is removed: such a node only
 * stands less often.
 *
 * Names. Nodes are interchangeable, unless configurations name them, or there are four: of the worlds that
 * differ in names alone one is kept.
 */
#ifndef EXPLORE_WORLD_H
#define EXPLORE_WORLD_H

#include "raftd/core/raft.h"

enum {
    W_NODES = 4,
    W_LOG = 7,    /* highest index */
    W_CONFS = 8,  /* configurations that a world knows */
    W_TERMS = 8,  /* terms 0..7 */
    W_MSGS = 160, /* distinct live messages */
    W_READS = 3,  /* one per node is waiting at a leader */
    W_RUNS = W_LOG + RAFT_APPEND_RUNS_MAX,
    W_NOW = 1000000, /* the one moment at which everything happens, us */
    W_TIMEOUT = 1000,
    W_FREE = 99,
    W_LONG_AGO = W_NOW - 100 * W_TIMEOUT,
    W_LATER = W_NOW + 100 * W_TIMEOUT,
    W_CAMPAIGN = 8, /* number of a campaign that is under way; lower ones are over */
};

/* Where a message is. Only the first kind is under way. */
enum w_place {
    W_NET,   /* in the network, for good */
    W_HELD,  /* with the batch in flight: leaves when that is durable */
    W_AFTER, /* in the core, waits for a batch */
    W_READY, /* in the core, may leave (only if lazy) */
};

enum { W_DATA = 12 /* beside enum raft_msg_type: a stream of log data was opened */ };

/* What may happen to a node: its disk takes its time; it crashes; its election timeout passes or it
 * gives up leading; it is asked for a read. */
enum { W_SLOW = 1, W_CRASHES = 2, W_STANDS = 4, W_READS_HERE = 8 };

/* flags in f[0] of votes */
enum { W_PRE = 1, W_LIVE = 2, W_GRANTED = 4, W_HANDED = 8 };

enum { W_DAMAGED = 2 }; /* in f[3] of ACK, and f[1] of PROBE_ACK */

/* What f[] holds:
 *   VOTE_REQ   flags, vote_term, last_index, last_term
 *   VOTE_RSP   flags, vote_term, removed
 *   PROBE      probe, prev_index, prev_term, acked_index, damaged_boot << 4 | acked_term
 *   PROBE_ACK  probe, boot << 2 | damaged << 1 | match, prev_index, hint_index, hint_term
 *   LEAD       epoch, round, commit, ack_now
 *   ACK        epoch, round, durable, boot << 2 | damaged << 1 | need_probe, unfit
 *   TIMEOUT_NOW 0, round, last_index
 *   READ_REQ   req;  READ_RSP  req, index;  DATA  epoch, base_index */
struct w_msg {
    uint8_t kind; /* place << 4 | type */
    uint8_t path; /* from << 4 | to, as numbers 0.. */
    uint8_t term;
    uint8_t f[5];
};

/* Why a peer is there: it is a member; it was, or may be one to come. */
enum { W_GONE, W_MEMBER, W_LEAVES, W_STAYS };

struct w_peer { /* of struct raft_peer; all 0 but `there` unless leader or (pre-)candidate */
    uint8_t there, served, unfit;
    uint8_t state, match, base, probe, epoch, boot, probe_index, round;
    uint8_t probe_unsent, lead_unsent;
    uint8_t vote_unsent, vote_answered, pre_granted, vote_granted;
    uint8_t lost, sure, damaged_boot;
};

struct w_read {
    uint8_t from, req, index, need; /* from: number + 1 */
};

struct w_node {
    /* struct raft; nodes are named by number + 1, 0 = none */
    uint8_t role, leader, term, vote, durable_term, durable_vote, stood, handed;
    uint8_t removed, heir, heir_unsent;
    uint8_t last, commit, durable, written;
    uint8_t inflight, inflight_term, inflight_vote;
    uint8_t truncate_pending, truncate_to;
    uint8_t heard, verified, leader_commit, epoch, probe_seen, round;
    uint8_t ack_due, ack_waits, refused_epoch, term_first;
    uint8_t damaged, doubt_index, doubt_term;
    uint8_t read_want, read_done, read_unsent, read_ready, read_index;
    uint8_t read_round, n_reads;
    struct w_read reads[W_READS];
    uint8_t log[W_LOG + 1]; /* see w_term() */
    struct w_peer peers[W_NODES];

    uint8_t disk_term, disk_vote, disk_last, disk_log[W_LOG + 1];
    uint8_t disk_commit, batch_commit; /* 0 unless the node may crash: nobody would read them */
    uint8_t batch_term, batch_vote, batch_truncate, batch_truncate_to, batch_first, batch_last;
    uint8_t batch_log[W_LOG + 1];
    uint8_t may;        /* W_SLOW ... */
    uint8_t boot;       /* restarts so far */
    uint8_t read_floor; /* committed entries when its read was asked for */
};

struct world {
    struct w_node nodes[W_NODES];

    /* History that checks and streams need. */
    uint8_t leader[W_TERMS]; /* number + 1 */
    uint8_t leader_last[W_TERMS];
    uint8_t leader_log[W_TERMS][W_LOG + 1];
    uint8_t n_committed, committed[W_LOG + 1];
    uint8_t commit_term[W_LOG + 1];  /* term in which the entry was committed first */
    uint8_t learns[W_NODES];         /* bit k: an answer of node k may tell this node of k's term */
    uint8_t crashes, damages, reads; /* so far */
    uint8_t timeouts, beats, proposals; /* so far; 0 if any number may come */
    uint8_t changes, transfers;         /* so far */

    uint8_t n_msgs;
    struct w_msg msgs[W_MSGS]; /* sorted, no two alike */
};

/* What the search is kept to. */
struct bounds {
    unsigned nodes;     /* 2 to 4 */
    unsigned terms;     /* highest term */
    unsigned entries;   /* highest index */
    unsigned timeouts;  /* elections begun and leaderships given up; W_FREE = any number */
    unsigned beats;     /* heartbeats; W_FREE = any number */
    unsigned proposals; /* entries beside the no-ops of new leaders; W_FREE = any number */
    unsigned crashes;
    unsigned damages; /* logs that are cut, of nodes that may crash */
    unsigned reads;
    unsigned changes;                           /* of the members */
    unsigned transfers;                         /* hand-overs that are asked for */
    unsigned confs;                             /* of lab.conf in use, the first one included */
    unsigned slow, crashing, standing, reading; /* which nodes, as bits; see W_SLOW */
    unsigned lazy;                              /* 1: cycles of several events */
    unsigned pings;                             /* 1: silent leaders are asked */
    unsigned leads;                             /* LEADs under way, per term and receiver */
    unsigned probes;                            /* highest number of a probe */
    unsigned messages;                          /* under way, in all */
    unsigned depth, states, memory_mib;         /* where to stop */
    unsigned keep;                              /* 1: forget no message */
    unsigned outcomes;                          /* 1: check the properties of figure 3.2 alone */
};

enum w_action_type {
    ACT_TIMEOUT,   /* election timeout; the disk is well */
    ACT_DISK_LATE, /* election timeout of a node whose disk hangs */
    ACT_GIVE_UP,   /* a leader heard no majority */
    ACT_BEAT,      /* a heartbeat to node `arg` is due */
    ACT_PING,
    ACT_DELIVER, /* message number `arg` arrives */
    ACT_DATA,    /* entries up to `last` of the stream of message number `arg` arrive */
    ACT_LEARN,   /* an answer to an old message: node `arg` has a higher term */
    ACT_PROPOSE,
    ACT_READ,
    ACT_DISK, /* the batch in flight is durable */
    ACT_CRASH_LOST,
    ACT_CRASH_KEPT, /* the batch in flight was durable, nobody was told */
    ACT_DAMAGE,     /* a crash; damage is found, and the log cut behind entry `arg` */
    ACT_FLUSH,      /* lazy: raft_ready() and raft_advance() */
    ACT_CHANGE,     /* a leader is asked for configuration `arg` */
    ACT_TRANSFER,   /* a leader is asked to hand over to node `arg` */
    ACT_HEIR_LATE,  /* the heir was not elected in time */
};

enum { HOW_SILENT = 1, HOW_SHORT = 2 };

struct w_action {
    uint8_t type;
    uint8_t node : 4;
    uint8_t last : 4;
    uint8_t arg;
    uint8_t how; /* bits: no leader was heard for long; a batch of one entry only */
};

/* What an action needs besides the world. */
struct lab {
    struct bounds b;
    struct raft_members conf[W_CONFS]; /* the first one is that of the start */
    struct raft fresh[W_NODES];        /* by raft_init(): what w_load() starts from */
    struct raft r;                     /* the acting node */
    struct raft other;
    struct raft_run runs[W_RUNS], other_runs[W_RUNS];
    uint64_t campaign;            /* of the acting node before the last raft_step() */
    uint8_t last, log[W_LOG + 1]; /* its log as its caller would mirror it ... */
    const uint8_t *sent;          /* ... with entries of this log ... */
    uint8_t change;               /* ... or this configuration, or what has no payload */
    const char *broken;           /* first broken property */
    bool outside;                 /* the action leads out of the bounds */
    bool can_short;               /* a batch had several entries */
    unsigned long long checked_images;
};

static inline unsigned w_type(const struct w_msg *m)
{
    return m->kind & 15;
}

static inline unsigned w_place(const struct w_msg *m)
{
    return m->kind >> 4;
}

static inline unsigned w_from(const struct w_msg *m)
{
    return m->path >> 4;
}

static inline unsigned w_to(const struct w_msg *m)
{
    return m->path & 15;
}

/* An entry of a log: its term, and the number of the configuration that it is, 0 = none. */
static inline unsigned w_term(uint8_t entry)
{
    return entry & 15;
}

static inline unsigned w_conf(uint8_t entry)
{
    return entry >> 4;
}

static inline uint8_t w_byte(uint64_t x) /* values in a small world are small */
{
    return x < 256 ? (uint8_t)x : 255;
}

/* Remembers the first failure. */
static inline void w_fail(struct lab *l, const char *broken)
{
    if (l->broken == NULL)
        l->broken = broken;
}

/* image.c */

enum w_time {
    TIME_CALM,
    TIME_SILENT,
    TIME_TIMEOUT,
    TIME_DISK_LATE,
    TIME_GIVE_UP,
    TIME_PING,
    TIME_HEIR_LATE
};

void w_config(unsigned i, unsigned boot, struct raft_config *cfg);
/* What node i has in force with that log; with index 0 the first one, which only its members know. */
struct raft_members w_members(const struct lab *l, unsigned i, const uint8_t *log, uint64_t last);
void w_prepare(struct lab *l);
void w_load(struct lab *l, const struct world *w, unsigned i, enum w_time time, struct raft *r,
            struct raft_run *runs);
void w_store(struct lab *l, struct world *w, unsigned i, const struct raft *r);
/* Sets all that an image does not hold to what w_load() sets it to. */
void w_forgotten(struct raft *r);
void w_check_image(struct lab *l, const struct world *w, unsigned i);
void w_pack_msg(const struct raft *r, const struct raft_msg *m, enum w_place place,
                struct w_msg *out);
void w_unpack_msg(const struct w_msg *m, struct raft_msg *out);
void w_add_msg(struct lab *l, struct world *w, const struct w_msg *m);
/* Node i's campaign is over: what was asked for it and answered to it. */
void w_end_campaign(struct world *w, unsigned i);

/* act.c */

void w_start(struct lab *l, struct world *w); /* all nodes start from their disks */
/* Node i times out and is elected with the vote of node k alone; the first that happens. */
void w_elect(struct lab *l, struct world *w, unsigned i, unsigned k);
/* Makes *to, not yet tidy, of *from. See l->broken, l->outside, l->can_short. */
void w_act(struct lab *l, const struct world *from, struct w_action a, struct world *to);
/* The actions that are possible in w (without HOW_SHORT); their number. */
unsigned w_actions(const struct bounds *b, const struct world *w, struct w_action *out,
                   unsigned max);

/* judge.c */

void w_judge_sent(struct lab *l, const struct world *w, unsigned i, const struct raft_msg *m);
void w_judge_disk(struct lab *l, const struct w_node *before, const struct w_node *after);
void w_judge_edit(struct lab *l, const struct raft_event *ev, const struct raft_edit *edit);
void w_judge(struct lab *l, struct world *w, const struct w_node *before, unsigned i,
             bool restarted);

/* tidy.c */

struct w_hash {
    uint64_t a, b;
};

/* Gives w its one form. name[k]: which node of the untidy world is number k now. */
struct w_hash w_tidy(const struct bounds *b, struct world *w, uint8_t name[W_NODES]);

/* A tidy world is out of bounds. */
bool w_crowded(const struct bounds *b, const struct world *w);
bool w_same(const struct world *a, const struct world *b);

/* Zero bytes left out, for the queue. */
size_t w_squeeze(const struct world *w, uint8_t *out);
void w_unsqueeze(struct world *w, const uint8_t *in);
enum { W_SQUEEZED_MAX = sizeof(struct world) / 8 * 9 + 16 };

#endif
