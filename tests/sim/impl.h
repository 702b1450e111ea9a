/* impl.h: the inside of a simulated cluster, shared by the files of this folder only. */
#ifndef TESTS_SIM_IMPL_H
#define TESTS_SIM_IMPL_H

#include <inttypes.h>

#include "net/wire.h"
#include "raftd/base/member_change.h"
#include "raftd/state/cmd.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "raftd/state/origins.h"
#include "raftd/node/lease.h"
#include "raftd/node/log_in.h"
#include "raftd/node/node.h"
#include "raftd/node/peer.h"
#include "raftd/node/relay.h"
#include "raftd/node/replica.h"
#include "raftd/node/writes.h"
#include "raftd/serve/watch.h"
#include "raftd/state/image.h"
#include "storage/snapshot.h"
#include "storage/wal.h"
#include "tests/sim/linear.h"
#include "tests/lib/disk_memory.h"
#include "tests/lib/pair.h"
#include "tests/sim/sim.h"

struct places; /* raftd/places.h */

enum {
    NODES = RAFT_VOTERS_MAX,
    DIR_ID = 77,
    NOTES = 128, /* last events kept */
    JOBS = 8 + 3 * NODES,
    SNAPS = 64,   /* names of snapshots that are remembered */
    MAYBES = 256, /* more than are tried while a disk is full: two a second, for 15 s */
    READS = 64,   /* of one node, waiting */
    SPINS_MAX = 1000,
    BACKLOG = 400,         /* datagrams that a paused process' socket holds */
    TAPE = 1024,           /* datagrams recorded for replays */
    SIM_TTL_MAX_MS = 3000, /* of keys that clients let end */
    WATCHERS = 4,          /* programs on each box that watch keys */
    KEY_BYTES = 16,
    SIM_COUNTERS = 3, /* keys behind the hot ones that transactions alone write: numbers */
    ASKED_MAX = 6,    /* conditions and operations of a client's command */
};

#define DIR   "/d"
#define NO_OP UINT32_MAX /* no operation */

#define PROGRAM_TAG (UINT64_C(1) << 40) /* of requests of a node's first program, see lease.c */

/* ---- the heap ---- */

enum sim_event_kind {
    EV_DATAGRAM,
    EV_CLOSED,   /* the network tells a node that nobody listens where node `from` is */
    EV_DISK,     /* the job at the head of a disk's queue is done */
    EV_WAKE,     /* a node's own deadline */
    EV_SUBMIT,   /* a client's request reaches its node */
    EV_CLIENT,   /* a client's next operation, or its patience ends */
    EV_BOOT,     /* a node starts again */
    EV_FAULT,    /* the next fault of those that come by rate */
    EV_HEAL,     /* a partition ends */
    EV_FLAP,     /* a link comes or goes */
    EV_ROOM,     /* a full disk has room again */
    EV_IMAGE,    /* somebody wants a snapshot */
    EV_HANDOVER, /* somebody wants another leader; with `extra` a drained node ends */
    EV_FORGET,   /* a disk forgets; with `extra` a leader dies, and partitions end */
    EV_MEMBERS,  /* somebody wants other members */
};

struct sim_event {
    uint64_t at, order;
    enum sim_event_kind kind;
    unsigned node, from;
    uint64_t generation; /* of the node: events of an earlier life are void */
    uint32_t op;         /* SUBMIT, CLIENT */
    uint64_t extra;
    struct sim_event *next; /* free list */
    unsigned frames;        /* mask for the trace */
    size_t len;
    uint8_t bytes[WIRE_DATAGRAM_MAX];
};

/* ---- the log of all nodes, as a tree of entries ---- */

/* One entry that some node once had. Its hash names the whole log up to it, so a node's log is a
 * pointer to its last entry. The root has index 0. */
struct entry {
    uint64_t index, term;
    uint8_t hash[RECORD_HASH_BYTES];
    struct entry *prev;  /* the entry before */
    struct entry *chain; /* same bucket */
    uint32_t op;         /* that wrote it, NO_OP for a leader's first entry */
    uint64_t ms;         /* cluster time */
    uint64_t made;       /* when it was seen first, which is when it was made */
    bool ends;           /* it ends the keys that are due */
    struct holder frees; /* it ends all that this process holds; origin 0: it is no such entry */
    struct sender sender;
    struct members
        *members; /* it is this configuration; NULL: it is none. The root: the first one */
    bool committed;
};

/* What a disk holds. */
struct hard {
    uint64_t term;
    uint16_t vote;
    struct entry *tip;
    uint64_t commit; /* known to be committed */
};

struct term {
    uint16_t leader; /* 0 = none so far */
    struct entry *leader_tip;
    uint64_t committed;     /* highest index that its leader committed */
    uint16_t votes[NODES];  /* durable, of each node ... */
    uint64_t disks[NODES];  /* ... on this disk ... */
    uint16_t forgot[NODES]; /* ... and before its disk was damaged */
};

/* ---- clients ---- */

enum op_kind { OP_PUT, OP_DELETE, OP_TRANSACTION, OP_GET, OP_LIST, OP_SCAN }; /* writes first */
enum op_state { OP_SENT, OP_OPEN, OP_DONE, OP_LOST };

/* A key's committed writes, ascending. */
struct version {
    uint64_t index, create, expiry_ms;
    uint32_t op;          /* NO_OP = deleted */
    struct holder holder; /* it ends with this connection; origin 0: with nobody's */
    int64_t number;       /* of a counter: its value; of other keys it is that of the operation */
};

struct op {
    enum op_kind kind;
    enum op_state state;
    unsigned node, client; /* client NODES.. = nobody, by hand */
    uint32_t key;          /* < hot_keys, or of its own */
    uint32_t len;          /* of the value */
    uint32_t ttl_ms;       /* put: the key lives so long; 0 = for ever */
    bool held;             /* put: the key ends with its client's connection */
    uint64_t timeout_us;
    uint64_t id;        /* request number at the node, 0 = none yet */
    uint64_t read;      /* read number */
    uint64_t must_see;  /* highest index that anybody had seen when it began */
    uint64_t committed; /* index, 0 = not yet */
    bool refused;       /* "nothing was done" */
    bool absent;        /* delete: there was no such key when it was committed */
    bool full;          /* put: there was no room for it when it was committed */
    size_t history;     /* handle in the linear history, SIZE_MAX = none */
    /* Of a write. */
    uint32_t first; /* which it repeats; itself, if it repeats none */
    uint32_t
        decided;   /* of a first one: which of the copies was committed first, NO_OP = none yet */
    bool token;    /* it has one, so it may be repeated through other nodes */
    uint64_t born; /* index of the token */
    struct version seen; /* of its key, when it was asked */
};

/* A command of a client. It must not be moved. */
struct asked {
    struct cmd c;
    struct cmd_item it[ASKED_MAX]; /* n of them, conditions first */
    unsigned n;
    uint8_t key[KEY_BYTES], counter[KEY_BYTES];
    uint16_t key_len, counter_len;
    uint8_t number[2][CMD_NUMBER_BYTES];
};

/* What an operation of a transaction does and tells: as struct told. */
struct model_told {
    enum outcome outcome;
    uint64_t expiry_before_ms;
    struct version now;
    bool value; /* it tells the value, if the key is there */
};

/* What a transaction does as a certain entry. */
struct transacted {
    enum outcome outcome;
    unsigned at;
    struct version key, counter; /* as it leaves them */
    struct model_told told[ASKED_MAX];
    unsigned n;
};

struct client {
    uint32_t op; /* NO_OP = thinks */
    unsigned node;
    uint32_t again;       /* a write of unknown outcome that it may repeat, NO_OP = none ... */
    size_t again_history; /* ... and its handle */
};

/* The process whose writes count, by the committed entries. */
struct current {
    uint64_t process; /* 0 = none yet */
    uint32_t op;      /* its first write that was committed */
};

struct key {
    struct version *v;
    unsigned n, cap;
};

/* What a committed entry made of a key. */
struct change_made {
    uint64_t index;
    uint32_t key, op; /* NO_OP = deleted */
};

/* A program that watches keys through its node. */
struct watcher {
    struct watch watch;
    uint64_t generation; /* of the node that it is connected to; another one: it is not */
    uint64_t from;       /* all changes of entries before it were told; 0 = it begins */
    size_t next;         /* number of the first change that may be told next */
    uint32_t random;
};

/* ---- nodes ---- */

enum {
    PROGRAMS = 3, /* of a node */
    HELD_CONNECTION =
        1000, /* of the first client, if it puts a key that it holds; programs have lower ones */
};

/* One that wants a lock. */
struct program {
    uint64_t connection; /* that it is */
    uint64_t acts_at;    /* then it does the next thing */
    bool asks;           /* it waits for an answer */
    bool gives;          /* it has begun to give the lock back */
    bool leaves;         /* its connection ends */
    bool doubt;          /* nobody knows what became of a command by which it asked for the lock */
};

enum job_kind {
    JOB_BATCH,
    JOB_FETCH,
    JOB_REMEMBER,
    JOB_IMAGE,
    JOB_DROP,
    JOB_SNAP_READ,
    JOB_SNAP_OPEN,
    JOB_SNAP_WRITE,
    JOB_INSTALL,
};

struct job { /* of a disk */
    enum job_kind kind;
    uint16_t id;                  /* remember: of this node ... */
    uint8_t key[ABOUT_KEY_BYTES]; /* ... this key */
    uint64_t seq;
    struct wal_batch batch;
    struct hard then; /* what the disk holds after it */
    struct node_fetch what;
    struct wal_pos pos;
    uint64_t last;       /* fetch: last entry; image: snapshot needed; snap read: which */
    uint8_t *buf;        /* fetch, snap read: the node's */
    const uint8_t *from; /* snap write */
    size_t cap;
    uint64_t offset; /* snap read, snap write */
    uint8_t *own;    /* a copy of the batch's bytes */
    size_t own_cap;
};

/* A data directory that lies about, with what its node knew of it. */
struct old_disk {
    struct memdisk *disk; /* NULL: there is none */
    uint64_t storage;
    struct noise_pair own;
    uint8_t peers_known[NODES][ABOUT_KEY_BYTES];
    struct hard hard, maybe[MAYBES];
    unsigned n_maybe;
    struct entry *snap, *snap_maybe;
};

struct sim_node {
    struct sim *sim;
    unsigned at; /* its place in sim.m */
    uint16_t id; /* of the node: at + 1, but for a clone */
    struct memdisk *disk;
    struct wal *wal;
    struct kv *kv;
    struct machine *machine;
    struct node *node;
    bool up, dirty;
    unsigned frames; /* mask, of the payload that is about to be sent */
    bool dead;       /* stays down */
    int diverged;    /* see sim_diverged() */
    bool outside_later;
    bool outside;     /* liveness: not of the healed majority, alive, heard by it or hearing it */
    bool rot;         /* durable bytes were changed since the last start ... */
    bool rotten;      /* ... that the node needs: it must be in doubt ... */
    bool rot_covered; /* ... or its snapshot has what was there: the start must name them ... */
    bool rot_snap;    /* ... or of its newest snapshot */
    struct entry *snap_had; /* last entry in the newest one before that */
    bool marked;            /* there is DIR/doubt */
    uint64_t owes;          /* in doubt: it must have all up to here before it is healed */
    bool wiped;             /* got an empty disk: nobody may count it any more */
    uint64_t generation;
    uint64_t wake_at; /* virtual time of the event that is posted, 0 = none */

    /* It knows that a node is cloned, 0 = none; what it had heard of that one then. */
    uint16_t knows_cloned;
    uint32_t cloned_place;
    uint64_t cloned_seen;

    unsigned host;        /* where the box is ... */
    struct places *where; /* ... and where it looks for others; NULL: nobody moves */
    unsigned heard_host;  /* of the datagram that is being taken */

    uint64_t clock_offset;
    int64_t clock_ppm;
    uint64_t paused_until;
    unsigned backlog;
    unsigned spins; /* in a row, that its deadline had passed when it was named */

    struct old_disk *old;                        /* the one before, if it is kept */
    unsigned disks;                              /* it had before this one */
    uint64_t disk_at;                            /* when it got this one */
    uint64_t storage;                            /* number of its data directory, */
    struct noise_pair own;                       /* its keys, pair_of(storage), */
    uint8_t peers_known[NODES][ABOUT_KEY_BYTES]; /* and what is kept there of the others' */
    struct job jobs[JOBS];
    unsigned job_head, n_jobs;
    uint64_t slow_until, stall_until;
    bool full, no_space;
    unsigned fail_in; /* the n-th disk operation from the next batch on ... */
    bool fail_cut;    /* ... is where the process dies; else it reports EIO */
    bool fail_boot;   /* the same during recovery */

    unsigned pending;      /* operations */
    uint32_t reads[READS]; /* operations, by read number */
    unsigned n_reads;

    struct entry *tip;       /* of its log in memory */
    struct entry *committed; /* last one that was checked */
    uint64_t lead_term;      /* led it at the last check, 0 = did not lead */
    struct program programs[PROGRAMS];
    uint64_t durable;          /* durable_index at the last check */
    uint64_t applied;          /* likewise */
    uint64_t known;            /* committed at its start, or the first it heard of; 0 = none */
    struct hard hard;          /* on its disk */
    uint64_t batches;          /* written */
    bool unsealed;             /* the last of this process was no idle one */
    struct hard maybe[MAYBES]; /* ... with a batch that was under way when the node died, or ... */
    unsigned n_maybe;          /* ... with one that was refused since the last one was durable */
    struct hard *was;          /* what this disk held after each batch, and was found at a start */
    size_t n_was, cap_was;

    struct entry *snap;       /* last entry in its newest snapshot ... */
    struct entry *snap_maybe; /* ... or this one: a job was under way when the node died */
    struct image *image_open;
    struct snapshot_head image_head;
    bool image_stop;
    unsigned hurries; /* images that were to be ended as soon as can be */
    bool image_never; /* by hand: all of them are given up */
    uint64_t drop_to; /* of the job in the queue, 0 = none */
    struct snapshots places;
    struct snapshot_part *part;
    struct snapshot_name part_name;
    bool part_bad;   /* it may have other bytes than came */
    bool part_never; /* by hand: it is always so */

    struct memdisk *image; /* a copy of its disk of some time ago, NULL = none */
    struct hard image_hard;
    struct entry *image_snap;
    struct entry *lost; /* it acknowledged all up to here, and lost some of it; NULL = it has all */
    uint32_t lost_boot; /* process that did */
    struct watcher watchers[WATCHERS];
    struct follower *follower; /* events.c's */
    uint64_t history_from; /* first entry that this process applied behind its newest snapshot */
    struct entry *gone;    /* a disk that is no more held all up to here */
    uint32_t boot;         /* the process that is, or was last */
    bool doubted;          /* since then it was told */
};

/* ---- trace ---- */

enum note_kind {
    NOTE_DATAGRAM,
    NOTE_CLOSED,
    NOTE_DISK,
    NOTE_FETCH,
    NOTE_IMAGE,
    NOTE_DROP,
    NOTE_SNAP,
    NOTE_WAKE,
    NOTE_SUBMIT,
    NOTE_ANSWER,
    NOTE_READ,
    NOTE_LOST_OP,
    NOTE_BOOT,
    NOTE_BOOT_FAILED,
    NOTE_DOWN,
    NOTE_FAULT,
    NOTE_CUT,
    NOTE_HEAL,
    NOTE_PHASE,
    NOTE_FULL,
    NOTE_HANDOVER,
    NOTE_MEMBERS,
    NOTE_WISH,
};

struct note {
    uint64_t at;
    enum note_kind kind;
    unsigned node;
    uint64_t a, b, c;
    struct {
        bool up;
        uint8_t role;
        uint32_t term;
        uint64_t last, commit;
    } col[NODES];
};

struct record_sent { /* a datagram that somebody recorded */
    unsigned from, to, frames;
    size_t len;
    uint8_t bytes[WIRE_DATAGRAM_MAX];
};

struct slot { /* of the heap */
    uint64_t at, order;
    struct sim_event *e;
};

enum stream_rng {
    RNG_NET,
    RNG_DISK,
    RNG_CLIENT,
    RNG_FAULT,
    RNG_NODE,
    RNG_KEYS,
    RNGS,
    RNG_HANDOVER = RNGS,
    RNG_LOCK,
    RNGS_ALL
};

struct sim {
    struct sim_options o;
    struct sim_totals t;
    uint64_t now, order;
    uint64_t rng[RNGS_ALL]; /* one each, so that leaving out one kind of fault changes less */
    struct slot *heap;
    size_t n_heap, cap_heap;
    struct sim_event *free_events;
    struct sim_node m[NODES];
    bool calm;   /* no more faults */
    bool spoilt; /* see sim_spoil() */

    /* network */
    struct record_sent *tape; /* TAPE of them, any of the run alike; NULL without replays */
    uint64_t n_taped;
    bool cut[NODES][NODES];
    uint32_t thin[NODES][NODES]; /* per million that are lost */
    unsigned flap_a, flap_b;
    size_t narrow; /* longer datagrams vanish; 0 = none do */
    uint64_t lose; /* pattern of the next losses, see sim_lose() */
    uint64_t flap_until;
    uint64_t net_generation;
    unsigned hosts;  /* that there were so far */
    unsigned clones; /* likewise */

    /* clients */
    struct op *ops;
    uint32_t n_ops, cap_ops;
    struct client *clients;
    struct key *keys;
    uint32_t n_keys, cap_keys;
    struct linear *linear;
    struct change_made *made; /* all that were committed */
    size_t n_made, cap_made;
    struct scans *scans; /* scan.c's */
    uint8_t *row;        /* of values */
    struct current current[NODES];
    bool closed;     /* clients ask nothing new */
    uint64_t seen;   /* highest index that a client has seen an effect of */
    unsigned wishes; /* to change the members, not answered yet */
    uint32_t *ids;   /* operations by (node, request number): open addressing */
    size_t n_ids, cap_ids;
    uint32_t boots;

    /* history */
    struct entry root;
    struct members first; /* configuration */
    struct entry **buckets;
    size_t n_buckets, n_entries;
    struct entry *arena;
    size_t arena_left;
    void **arenas;
    size_t n_arenas;
    struct entry **committed; /* by index; [0] = root */
    uint64_t n_committed, cap_committed;
    uint64_t data_bytes; /* of the model, as of the newest committed entry */
    struct term *terms;
    uint64_t n_terms;

    struct snapshot_name snaps[SNAPS]; /* the newest ones of all nodes */
    uint64_t n_snaps;

    struct note notes[NOTES];
    uint64_t n_notes;
};

/* sim.c */
struct sim_event *sim_post(struct sim *s, uint64_t at, enum sim_event_kind kind, unsigned node);
void sim_again(struct sim *s, struct sim_event *e, uint64_t at);
uint64_t sim_roll(struct sim *s, enum stream_rng which, uint64_t below);
uint64_t sim_between(struct sim *s, enum stream_rng which, uint64_t min, uint64_t max);
/* True with that chance in a million. */
bool sim_chance(struct sim *s, enum stream_rng which, uint32_t per_million);
uint64_t sim_local(const struct sim_node *m, uint64_t t);
void sim_wake_later(struct sim *s, struct sim_node *m);
void sim_touch(struct sim *s, struct sim_node *m);
enum sim_stop { STOP_CUT_NONE, STOP_CUT_ALL, STOP_CUT_RANDOM, STOP_KILL };
void sim_stop_node(struct sim *s, struct sim_node *m, enum sim_stop how);
void sim_boot(struct sim *s, struct sim_node *m);
void sim_boot_later(struct sim *s, struct sim_node *m, uint64_t us);
void *sim_must(void *p);

/* net.c */
void sim_on_send(void *ctx, uint16_t to_id, const uint8_t *buf, size_t len);
void sim_on_random(void *ctx, void *buf, size_t len);
void sim_on_spy(void *ctx, uint16_t to, uint8_t *payload, size_t len);
/* A datagram leaves the box for that one; s->o.nodes: for nobody. */
void sim_launch(struct sim_node *m, unsigned to, const uint8_t *buf, size_t len);
void sim_datagram(struct sim *s, struct sim_node *m, struct sim_event *e);
void sim_closed(struct sim *s, unsigned node, unsigned to);
void sim_partition(struct sim *s, enum sim_fault f);
void sim_net_heal(struct sim *s);
void sim_flap(struct sim *s, struct sim_event *e);
bool sim_is_cut(const struct sim *s);

/* disk.c */
void sim_disk_new(struct sim *s, struct sim_node *m);
void sim_disk_free(struct sim_node *m);
void sim_on_persist(void *ctx, uint64_t seq, const struct wal_batch *b);
void sim_on_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                  uint8_t *buf, size_t cap);
void sim_disk_done(struct sim *s, struct sim_node *m);
/* A new disk for the node, under its old id; false: not now, see sim_wipe(). */
bool sim_wipe(struct sim *s, struct sim_node *m);
/* The node is stopped, and finds an empty disk when it starts. */
void sim_another_disk(struct sim *s, struct sim_node *m);
/* The node is stopped, and finds the disk that it had before this one; that one is kept. */
void sim_old_disk(struct sim *s, struct sim_node *m);
/* How the core names the disk that the node has now. */
uint64_t sim_disk_of(const struct sim_node *m);
void sim_on_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES]);
/* Opens the log and compares it with what must be there. False: the node stays down for now. */
bool sim_recover(struct sim *s, struct sim_node *m, struct wal_report *rep,
                 struct snapshot_name *newest);
void sim_disk_full(struct sim_node *m, uint64_t bytes, bool in_place);
void sim_disk_room(struct sim_node *m);
void sim_disk_heal(struct sim *s, struct sim_node *m);

struct job *sim_job(struct sim *s, struct sim_node *m, enum job_kind kind);
/* The process dies now, or the machine under it. */
void sim_die(struct sim *s, struct sim_node *m, bool power);

/* snap.c */
void sim_on_image(void *ctx, const struct snapshot_head *head, struct image *image,
                  uint64_t needed);
void sim_on_image_end(void *ctx, bool whole);
void sim_on_drop(void *ctx, uint64_t keep_from);
void sim_on_snap_read(void *ctx, struct node_fetch what, uint64_t index, uint64_t off, uint8_t *buf,
                      size_t cap);
void sim_on_snap_open(void *ctx, const struct snapshot_name *name);
void sim_on_snap_write(void *ctx, uint64_t off, const uint8_t *buf, size_t len);
void sim_on_snap_install(void *ctx);
/* False when the node is gone. */
bool sim_snap_job(struct sim *s, struct sim_node *m, struct job *j);
void sim_snap_stop(struct sim_node *m);
/* The newest snapshot on that disk; 0 or -errno. */
int sim_snap_base(struct memdisk *disk, struct wal_base *base);
/* Its state becomes the machine's; name->index 0: there is none. False: the disk fails, as it was to. */
bool sim_snap_start(struct sim *s, struct sim_node *m, struct snapshot_name *name,
                    struct wal_base *base, bool fails);
/* Last entry on a disk that holds this log and this snapshot. */
struct entry *sim_tip(const struct hard *h, struct entry *snap);

/* damage.c */
/* Changes bytes on the disk of a node that is down, after a power cut. False: it found none that it may. */
bool sim_rot(struct sim *s, struct sim_node *m);
/* Changes bytes of one copy of its identity, if both are whole; a start refuses a disk with both damaged. */
void sim_rot_ident(struct sim *s, struct sim_node *m);
void sim_no_ident(struct sim *s, const struct sim_node *m);
/* That may be done to the node now. */
bool sim_may_rot(const struct sim *s, const struct sim_node *m);
/* It starts in doubt, with this on its disk. */
void sim_damaged(struct sim *s, struct sim_node *m, const struct hard *h);
/* After a step of a node with DIR/doubt: is it healed? */
void sim_check_damaged(struct sim *s, struct sim_node *m);

/* amnesia.c */
/* Its disk is not what it was. */
bool sim_is_unsound(const struct sim_node *m);
/* A leader counts on what a process acknowledged before its disk lost it. */
bool sim_trusted(const struct sim *s, const struct sim_node *m);
/* Makes a copy of the disk, or stops the node and puts the copy in place: true. */
bool sim_forget(struct sim *s, struct sim_node *m);
/* After a step of the node: does it hold again what it lost? */
void sim_check_lost(struct sim *s, struct sim_node *m);
/* Makes padding of votes from amnesia, which nobody promises to survive. */
void sim_silence(const struct sim_node *m, uint8_t *payload, size_t len);
/* Last entry of the copy at `node` that this leader may count on. */
struct entry *sim_relied_on(const struct sim *s, const struct raft *leader, unsigned node);
/* Nodes whose disk is not what it was. */
unsigned sim_unsound(const struct sim *s);

/* operator.c */
/* Somebody has some node change the members. */
void sim_operator(struct sim *s);
/* When all is well: everybody who is there becomes a member with the disk that he has. */
void sim_take_all_back(struct sim *s);
void sim_on_changed(struct sim *s, struct sim_node *m, struct request *req);

/* clone.c */
/* The box that lives with a copy of another one's disk, NULL = none does. */
struct sim_node *sim_clone(struct sim *s);
/* The node gets such a copy beside it, unless there is one, or its disk is not what is known. */
void sim_clone_begin(struct sim *s, const struct sim_node *m);
/* The node is about to stop: with it ends its clone, which would else be taken for it. */
void sim_clone_ends(struct sim *s, const struct sim_node *m);
/* Makes padding of what a clone says to a node that does not know yet that there are two: nobody promises
 * anything until then. */
void sim_clone_silence(const struct sim_node *m, uint16_t to, uint8_t *payload, size_t len);
/* After a step of a node: nothing that comes under the id of a clone counts there. */
void sim_check_clone(struct sim *s, struct sim_node *m);
/* All faults have ended: whoever hears both boxes knows; and when one has been alone, it counts again. */
void sim_clone_found(struct sim *s);
void sim_clone_flush(struct sim *s);

/* where.c */
/* Where the box is. */
void sim_address(const struct sim *s, unsigned node, char text[MEMBER_ADDR_BYTES]);
/* A process starts: it knows nobody's address, and gets what it asks of its owner for that. */
void sim_where_start(struct sim_node *m, struct node_io *io);
/* Who is there; s->o.nodes: nobody. */
unsigned sim_at_host(struct sim *s, unsigned host);
/* Whom a datagram to that node reaches; s->o.nodes: nobody. */
unsigned sim_whereto(struct sim_node *m, uint16_t id);
/* Whose address that is for this node; 0: nobody's. A datagram from there is about to be taken. */
uint16_t sim_whence(struct sim_node *m, unsigned from, unsigned host);
/* The box gets another address. False: not now. */
bool sim_move(struct sim *s, struct sim_node *m);

/* members.c */
/* That member speaks from the disk that it has now. */
bool sim_same_disk(const struct sim *s, const struct member *e);
/* The entry that is the configuration in force with a log that ends there. */
const struct entry *sim_conf(const struct entry *tip);
/* Among these the node counts, with that disk. */
bool sim_counts(const struct raft_members *m, unsigned node, uint64_t disk);
/* A new entry is a configuration. */
void sim_check_members(struct sim *s, struct entry *e);
/* That is in force with a log that ends with e. */
bool sim_same_members(const struct entry *e, const struct members_at *m);
void sim_fault_members(struct sim *s);
uint8_t sim_any_priority(struct sim *s);
/* When that change is made, only a minority of the voters has lost its disk, as far as any node
 * knows them. */
bool sim_bears_change(const struct sim *s, const struct member_change *change);
/* The node loses its disk for good. False: not now, too many have. */
bool sim_lose_disk(struct sim *s, struct sim_node *m);
/* Nobody waits for nodes that are not members. */
void sim_members_outside(struct sim *s);

/* check.c */
void sim_check_init(struct sim *s);
void sim_check_free(struct sim *s);
struct entry *sim_entry(const struct sim *s, uint64_t index, uint64_t term);
struct entry *sim_at(struct entry *tip, uint64_t index);
struct term *sim_term(struct sim *s, uint64_t term);
void sim_follow(struct sim *s,
                struct sim_node *m); /* the part of it that is needed in the middle of a step */
void sim_check(struct sim *s, struct sim_node *m);
/* The disk of a node holds something new, or recovery found it. */
void sim_check_hard(struct sim *s, struct sim_node *m, const struct hard *now);
unsigned sim_majority(const struct sim *s);
void sim_broken(struct sim *s, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* lease.c */
/* After a step of a node. */
void sim_check_leases(struct sim *s, struct sim_node *m);
void sim_program_answered(struct sim_node *m, struct request *req);
void sim_programs_start(struct sim_node *m);
/* As node_io.awaits(): a program of the node waits for a lock, or it is so by the options. */
bool sim_awaits(void *ctx);
/* All is well, and the programs want nothing more. */
void sim_wait_freed(struct sim *s);
/* So long after a process is over its leader has freed what belonged to it. */
uint64_t sim_free_us(const struct sim *s);
/* How long so many writes take, one behind the other, at the node whose disk is always the slowest. */
uint64_t sim_slow_writes(const struct sim *s, unsigned n);
void sim_check_all_leased(struct sim *s);

/* client.c */
void sim_clients_init(struct sim *s);
void sim_clients_free(struct sim *s);
void sim_client(struct sim *s, struct sim_event *e);
void sim_submit(struct sim *s, struct sim_node *m, struct sim_event *e);
void sim_on_answer(void *ctx, struct request *req);
void sim_on_reads_done(void *ctx, uint64_t read);
void sim_not_sent(struct sim *s, uint32_t op);
void sim_clients_lost(struct sim *s, struct sim_node *m);
uint32_t sim_ask(struct sim *s, unsigned client, unsigned node, enum op_kind kind, uint32_t key,
                 uint32_t len, uint64_t timeout_us);

/* asked.c */
size_t sim_key_name(const struct sim *s, uint32_t key, uint8_t name[KEY_BYTES]);
/* Bytes of which all values are pieces. */
void sim_row_init(struct sim *s);
/* That put's value is this. */
bool sim_value_is(const struct sim *s, uint32_t op, const uint8_t *p, size_t len);
/* Processes give no number twice, and differ in what this makes of their names. */
uint64_t sim_id_of(uint64_t process, uint64_t number);
/* The operation has its number now. */
void sim_id_add(struct sim *s, uint32_t op);
/* How long the key of a put is to live, 0 = for ever. */
uint32_t sim_ttl_ms(const struct sim *s, uint32_t op);
bool sim_is_held(const struct sim *s, uint32_t op);
/* Whose claims the entry ends; origin 0: it is no such one. */
struct holder sim_frees(const struct record *rec);
/* The counter of a transaction. */
uint32_t sim_counter_of(const struct sim *s, const struct op *o);
/* The command of a write, without its sender. */
void sim_asked(const struct sim *s, uint32_t op, struct asked *a);
/* A leader made that by itself, to end keys that are due. */
bool sim_is_end(const struct record *rec);
/* The operation whose command that is; checks the bytes. NO_OP if nobody asked for it. */
uint32_t sim_op_of(struct sim *s, const struct record *rec, struct sender *sender);

/* model.c */
/* The key as of that entry; NULL: it is not there. */
const struct version *sim_version_at(const struct key *k, uint64_t index);
/* That is the key's value in that version. */
bool sim_shows(const struct sim *s, uint32_t key, const struct version *v, const uint8_t *p,
               size_t len);
/* What it counts against max_data_bytes; NULL and deleted: 0. */
uint64_t sim_costs(const struct sim *s, uint32_t key, const struct version *v);
/* An entry became committed: the model of the state takes it. */
void sim_model_take(struct sim *s, const struct entry *e);
void sim_check_state(struct sim *s, struct sim_node *m);
/* Reads a key, and checks what it sees; returns the write that it shows, or NO_OP. */
uint32_t sim_look(struct sim *s, struct sim_node *m, uint32_t key);
void sim_local_read(struct sim *s, struct sim_node *m);
/* That key begins so; that is how a node tells this change. */
bool sim_key_begins(const struct sim *s, uint32_t key, const char *prefix);
bool sim_is_change(const struct sim *s, const struct change_made *c,
                   const struct history_change *h);

/* transactions.c */
/* What it does if it is that entry, whatever max_data_bytes says. */
void sim_transact(const struct sim *s, const struct op *o, uint64_t index, struct transacted *t);
/* The client of a transaction that was committed is told what it did. */
void sim_check_transaction(struct sim *s, const struct sim_node *m, const struct op *o,
                           const struct results *r);

/* watch.c */
/* The newest committed entry made this of a key. */
void sim_watch_made(struct sim *s, uint64_t index, uint32_t key, uint32_t op);
/* Those who watch at that node get news, if it has some. */
void sim_watch(struct sim *s, struct sim_node *m);

/* scan.c: some page of a scan may be asked of that node; the one of this operation may be told. */
void sim_scan(struct sim *s, struct sim_node *m);
void sim_scan_page(struct sim *s, struct sim_node *m, uint32_t op);
void sim_scans_free(struct sim *s);

/* events.c */
/* Who follows the events of that node hears some. */
void sim_events(struct sim *s, struct sim_node *m);
void sim_check_healths(struct sim *s); /* after some seconds in which nothing happened */

/* fault.c */
void sim_fault_init(struct sim *s);
void sim_fault(struct sim *s);
void sim_fault_forget(struct sim *s, struct sim_node *m, bool leader_dies);
void sim_fault_image(struct sim *s);
void sim_fault_handover(struct sim *s, struct sim_event *e);
void sim_fault_calm(struct sim *s);

/* note.c */
void sim_note(struct sim *s, enum note_kind kind, unsigned node, uint64_t a, uint64_t b,
              uint64_t c);
void sim_mix(struct sim *s, uint64_t v);

#endif
