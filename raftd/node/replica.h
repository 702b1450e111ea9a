/* replica.h: Raft and its log: the core, the newest entries as bytes, the hash of the last one, batches for
 * the disk, and the committed entries in order.
 *
 * Invariants, checked where they could break:
 *  1. The bytes in memory end with the core's last entry after each call.
 *  2. An entry leaves them only when the core's durable_index has passed it.
 *  3. applied <= commit_index; each entry is handed out once per process, in order.
 */
#ifndef RAFTD_REPLICA_H
#define RAFTD_REPLICA_H

#include "raftd/core/raft.h"
#include "raftd/node/cluster_time.h"
#include "raftd/node/entries.h"
#include "raftd/node/io.h"
#include "storage/record.h"
#include "storage/snapshot.h"

/* Committed entries that are not in memory, read from disk to be applied: after a restart. */
struct backlog {
    uint8_t *buf; /* RECORD_MAX_BYTES: whole records; NULL until first needed */
    size_t len;
    size_t off;    /* bytes handed out */
    uint64_t next; /* index of the record at off */
    bool fetching;
};

/* Only replica.c looks inside. Others ask the functions here, and read the core's and the entries' structs
 * through replica_raft() and replica_log(). */
struct replica {
    const struct node_config *cfg;
    const struct node_io *io;
    struct raft raft;
    struct raft_run *runs; /* the core's memory */
    struct entries log;
    uint8_t head[RECORD_HASH_BYTES]; /* hash of the last record */
    uint64_t last_ms;                /* cluster time of the last record */
    struct cluster_time time;
    struct members_log
        members; /* the configurations that the core knows, with addresses and keys */
    uint64_t applied;
    bool members_changed;
    bool settled; /* replica_settled(), as replica_members_changed() has told */
    struct members_at applied_members; /* the newest configuration up to `applied` */
    struct backlog backlog;
    uint64_t seal_at;     /* when to write the idle batch, NEVER = not needed */
    bool sealing;         /* that batch is on its way */
    uint64_t disk_bytes;  /* of all batches since start */
    uint64_t disk_commit; /* commit index of the last batch that was handed to the disk, or less */
};

/* Starts from what recovery found. The entries up to `applied` are in the state, whose cluster time is
 * applied_ms. cfg and io outlive the replica. False: memory is short; replica_free() is due all the same. */
bool replica_init(struct replica *r, const struct node_config *cfg, const struct node_io *io,
                  const struct wal_report *wal, uint64_t applied, uint64_t applied_ms,
                  uint64_t now);
void replica_free(struct replica *r);

static inline const struct raft *replica_raft(const struct replica *r)
{
    return &r->raft;
}

static inline const struct entries *replica_log(const struct replica *r)
{
    return &r->log;
}

/* Hash of the last record, RECORD_HASH_BYTES of it. */
static inline const uint8_t *replica_head(const struct replica *r)
{
    return r->head;
}

/* Cluster time as it is known here. */
static inline const struct cluster_time *replica_time(const struct replica *r)
{
    return &r->time;
}

/* The last entry that replica_next() gave. */
static inline uint64_t replica_applied(const struct replica *r)
{
    return r->applied;
}

/* The first configuration, which is no entry of the log: the voters of *cfg. */
struct members_at replica_first_members(const struct node_config *cfg);

/* The newest configuration in the log, which is in force. n = 0: none is known. */
static inline const struct members_at *replica_members(const struct replica *r)
{
    return members_log_newest(&r->members, 0);
}

/* The newest configuration's cluster has this id for good. The first leader draws the id, and if its entry is
 * never committed, the next leader draws another one: until it is committed, the id says nothing. But an id
 * that replaces another one was made by a recovery, which keeps out whoever has the other one at once. */
static inline bool replica_settled(const struct replica *r)
{
    return replica_members(r)->index <= r->raft.commit_index ||
           members_log_newest(&r->members, 1)->members.cluster_id != 0;
}

/* The newest configuration up to the last entry that replica_next() gave. */
static inline const struct members_at *replica_applied_members(const struct replica *r)
{
    return &r->applied_members;
}

/* Bytes that were written to the log since start. */
static inline uint64_t replica_disk_bytes(const struct replica *r)
{
    return r->disk_bytes;
}

/* No new write is taken: the log's files have reached their limit, or the disk has no room. */
bool replica_full(const struct replica *r);
void replica_set_log_full(struct replica *r, bool full);

/* The state may be wrong. */
void replica_set_differs(struct replica *r, bool differs);

/* The core's peer of that id; all zeros: it has none. */
const struct raft_peer *replica_peer(const struct replica *r, uint16_t id);

/* True if since the last call another configuration got in force, its cluster's id settled, or peers of the
 * core came or went. */
bool replica_members_changed(struct replica *r);

/* Our term is on our disk. Before, no message of ours may name it. */
bool replica_term_durable(const struct replica *r);

/* Something waits for the batch in flight. False for a leader that has nothing to write behind it, and none
 * of whose entries in it would be committed by our disk: no peer has acknowledged one yet. */
bool replica_awaits_disk(const struct replica *r);

/* Gives the core one event. Proposals and appended entries have functions of their own. */
void replica_step(struct replica *r, uint64_t now, const struct raft_event *ev);

/* The same as the core's functions, with peers by id. */
void replica_ready(struct replica *r, uint64_t now, struct raft_ready *rd);
void replica_advance(struct replica *r, uint64_t now, const struct raft_ready *rd);
void replica_lead(struct replica *r, uint64_t now, uint16_t peer, struct raft_msg *m);

/* Of a message that leaves now: a LEAD tells the cluster time of this leader, unless it leads no more. */
void replica_tell_time(const struct replica *r, uint64_t now, struct raft_msg *m);

void replica_pto(struct replica *r, uint16_t peer, uint64_t pto_us);
void replica_ack_soon(struct replica *r);
void replica_refuse_stream(struct replica *r);

/* Leader: appends one command to the log. False: the command must wait for commits or for the disk. */
bool replica_propose(struct replica *r, uint64_t now, const uint8_t *cmd, size_t len);

/* Leader: appends another configuration, if the core finds it safe. `force` as the core's. */
enum raft_refusal replica_change(struct replica *r, uint64_t now, const struct members *m,
                                 bool force);

/* max_data_bytes as commands have it (cmd.h). */
uint16_t replica_data_limit(const struct replica *r);

/* Drops old entries from memory until `count` records of `size` bytes in all fit. Only entries that are
 * on our own disk may go; false when that is not enough. */
bool replica_make_room(struct replica *r, size_t size, unsigned count);

/* Hash and cluster time of our own record `index`; false: it is not in memory. Index 0: zeros. */
bool replica_hash(const struct replica *r, uint64_t index, uint8_t hash[RECORD_HASH_BYTES],
                  uint64_t *cluster_ms);

/* Whole records of the leader's stream, one after the other, that one RAFT_EV_APPEND can take. */
struct append {
    uint64_t first, last;
    struct raft_run runs[RAFT_APPEND_RUNS_MAX];
    size_t n_runs;
    size_t bytes;                    /* of all of them */
    uint8_t hash[RECORD_HASH_BYTES]; /* of the last one */
    uint64_t last_ms;                /* cluster time of the last one */
    struct record members;           /* the one configuration among them; index 0: there is none */
};

/* Follower: AppendEntries (figure 3.1). The records are at p. The caller has checked them and made room for
 * them. */
void replica_append(struct replica *r, uint64_t now, const uint8_t *p, const struct append *a);

/* Hands the core's batch to the disk, cut to a size that the disk finishes soon. */
void replica_persist(struct replica *r, struct raft_persist *p);

/* Batch `seq` is durable, or found no room. 0: an idle batch. */
void replica_persisted(struct replica *r, uint64_t now, uint64_t seq);
void replica_no_room(struct replica *r, uint64_t now, uint64_t seq);

/* Once per iteration: writes the idle batch if it is time. */
void replica_seal(struct replica *r, uint64_t now);

/* Before a clean stop: hands the disk the commit index if it does not have the newest one. */
void replica_stopping(struct replica *r);

/* The entries up to this one, which is applied and in a snapshot, leave the log. */
void replica_compact(struct replica *r, uint64_t index);

/* See raft_install_begin(). */
bool replica_install_begin(struct replica *r);

/* A leader's snapshot is durable here; NULL: it came to nothing. True: its state is to take the place of
 * ours. All entries up to its last one count as applied, and the log is empty behind them. */
bool replica_install(struct replica *r, uint64_t now, const struct snapshot_head *head);

/* The next committed entry, which then counts as applied. False: there is none, or it has to be read
 * from disk first. `rec` points into memory that the next call to any function here may change. */
bool replica_next(struct replica *r, struct record *rec);

/* The fetch of entries to be applied brought `len` bytes. */
void replica_fetched(struct replica *r, size_t len);

struct status;
void replica_status(const struct replica *r, uint64_t now, struct status *s);

/* When replica_step() wants a tick or replica_seal() has something to do. */
uint64_t replica_deadline(const struct replica *r);

#endif
