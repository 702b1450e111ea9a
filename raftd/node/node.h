/* node.h: one raftd node without I/O: core, streams, log bytes and state machine as one value.
 *
 * The caller (the daemon's loop, or a simulator) owns sockets, disk, clock and threads. It tells
 * the node what happened; the node answers through the calls in struct node_io (io.h).
 *
 *     node_datagram()   a datagram arrived                  ->  send
 *     node_write()      a local client wants to write       ->  answer
 *     node_change()     one wants to change the members     ->  answer
 *     node_read()       a reader wants a linearizable read  ->  reads_done
 *     node_persisted()  a batch is durable                  ->  persist
 *     node_no_room()    the disk had no room for a batch    ->  persist
 *     node_fetched()    old entries were read from disk     ->  fetch
 *     node_remembered() a peer's key is durable             ->  remember
 *     node_imaged()     a snapshot is written, or not       ->  image
 *     node_snap_*()     snapshots from peers, or for them   ->  snap_*
 *     node_flush()      once per loop iteration, after all of these, before the loop sleeps:
 *                       sends, persists, applies, answers
 *     node_deadline()   call node_flush() again then at the latest
 *
 * Time is CLOCK_BOOTTIME in microseconds, an argument read once per iteration; randomness is a
 * seed. Everything is called from one thread.
 */
#ifndef RAFTD_NODE_H
#define RAFTD_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/seal/session.h"
#include "raftd/core/raft.h"
#include "raftd/node/io.h"
#include "raftd/node/request.h"
#include "raftd/node/status.h"

struct kv;
struct machine;
struct peer;
struct replica;

struct node;

/* Starts a node from what recovery found: its newest snapshot (NULL: there is none), whose state is in
 * `machine` and published in `kv`, and the log, which reaches back to it. kv and machine stay the caller's,
 * and outlive the node. `wal`, `newest` and `keys` are read, not kept; keys->own is the pair of cfg->key.
 * Without keys (NULL) datagrams are plain. NULL when memory is short. */
struct node *node_new(const struct node_config *cfg, const struct node_io *io,
                      const struct wal_report *wal, const struct snapshot_name *newest,
                      const struct session_keys *keys, struct kv *kv, struct machine *machine,
                      uint64_t now);

/* Other keys from now on (only of a node that was started with some). */
void node_set_keys(struct node *n, const struct session_keys *keys, uint64_t now);

/* Answers what is pending with RESULT_STOPPING and frees. */
void node_free(struct node *n);

/* Takes one datagram that came from the address of node `from` (0: an address of no node). It is opened in
 * place. Hostile and stale ones are counted and dropped. False: its sender is no peer, and does not know
 * the cluster's key, which is what makes one. */
bool node_datagram(struct node *n, uint64_t now, uint16_t from, uint8_t *buf, size_t len);

/* Takes over a write; it is answered later, or in this call when it is refused. */
void node_write(struct node *n, uint64_t now, struct request *req);

/* Takes over a wish to change the members (REQUEST_CHANGE); it is answered later, or in this call. */
void node_change(struct node *n, uint64_t now, struct request *req);

/* The status is complete: it was filled by node_status(), then by those who know of the disk. What it says of
 * this node goes to the other nodes, and into the row of s->members that is ours. */
void node_self(struct node *n, struct status *s);

/* Asks for a linearizable read; returns its number, see reads_done. */
uint64_t node_read(struct node *n, uint64_t now);

/* Local reads may be served. They show nothing older than what this node knew to be committed when it was
 * stopped or, if it knew nothing, than the first commit index that it heard. False as well while the state
 * differs from another node's, since it may be the wrong one. */
bool node_local_reads(const struct node *n);

/* What the state says that clients of this node hold they do hold until then, by this node's clock; 0: they
 * do not. See lease.h for when the clock is to be read. */
uint64_t node_lease_until(const struct node *n);

/* What cluster time, as it is known here now, is ahead of CLOCK_BOOTTIME, modulo 2^64. */
uint64_t node_cluster_ahead_us(const struct node *n);

/* Before a clean stop: hands the disk the commit index if it does not have the newest one. */
void node_stopping(struct node *n);

/* Batch `seq` of persist is durable. */
void node_persisted(struct node *n, uint64_t now, uint64_t seq);

/* The disk had no room for batch `seq`, and is as it was before it (wal_append()). Until a batch is
 * written again, new writes of clients here are refused. */
void node_no_room(struct node *n, uint64_t now, uint64_t seq);

/* The fetch for `what` brought `len` bytes, up to `next`. 0 bytes: the log no longer has the entries. */
void node_fetched(struct node *n, uint64_t now, struct node_fetch what, size_t len,
                  const struct wal_pos *next);

/* The key that `remember` was given is durable (`done`), or the disk has no room for it. */
void node_remembered(struct node *n, uint64_t now, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES],
                     bool done);

/* The image is a snapshot of that name; NULL: it was given up, or there is no room. */
void node_imaged(struct node *n, uint64_t now, const struct snapshot_name *name);

/* snap_read brought `len` bytes. 0: the snapshot is not there any more, or can't be read now. */
void node_snap_read(struct node *n, uint64_t now, struct node_fetch what, size_t len);

/* snap_open found `have` bytes of the snapshot. UINT64_MAX: the disk has no room for it now. */
void node_snap_have(struct node *n, uint64_t now, uint64_t have);

/* The bytes of snap_write are appended; false: there is no room. */
void node_snap_written(struct node *n, uint64_t now, bool done);

/* snap_install has made it a snapshot of this node, with this head. `state` is what is in it, the node's to
 * free. NULL, NULL: it was damaged, and is gone, or there was no room. */
void node_snap_installed(struct node *n, uint64_t now, const struct snapshot_head *head,
                         struct image_load *state);

/* The leader is asked to hand over to `heir` (0: the best one). Nothing happens if another node than `from`
 * (0: any) leads. */
void node_transfer(struct node *n, uint64_t now, uint16_t from, uint16_t heir);

/* This node hands over and leads no more, until its process ends. The next process knows nothing of it. */
void node_drain(struct node *n, uint64_t now);

/* Asks for a snapshot as soon as one can be made, however short the log is. */
void node_snapshot(struct node *n);

/* Does what is due. To be called once per iteration, and at node_deadline() at the latest. */
void node_flush(struct node *n, uint64_t now);
uint64_t node_deadline(const struct node *n, uint64_t now);

/* The kernel refused to send a datagram of `len` bytes to this node: the route is narrower. */
void node_refused(struct node *n, uint64_t now, uint16_t to, size_t len);

/* The network says that nobody listens where this node is. It may lie: see RAFT_EV_CLOSED. */
void node_closed(struct node *n, uint64_t now, uint16_t id);

/* So many datagrams were lost in our own receive queue: no sign of a bad link. */
void node_rxq_dropped(struct node *n);

/* Fills everything but what the loop knows (fsync times, socket counters). */
void node_status(const struct node *n, uint64_t now, struct status *s);

/* What a status would say that no field of the core shows. */
struct node_glimpse {
    /* Which peers are silent, as their loss says, and which were never heard: another number when one of them
     * does. */
    uint64_t silent;
    uint8_t leader_health; /* status.leader_health */
};
struct node_glimpse node_glimpse(const struct node *n, uint64_t now);

/* For messages, checks and tests. */
const struct raft *node_raft(const struct node *n);

/* The parts of a node, for checks and tests alone: only the node may change them. */
struct node_parts {
    struct node_config *cfg;
    const struct admit *admit;
    struct images *images;
    struct log_in *log_in;
    struct relay_out *relay_out;
    struct lease *lease;
    struct links *links;
    struct writes *writes;
    struct replica *replica;
    struct machine *machine;
};
struct node_parts node_parts(struct node *n);
const struct replica *node_replica(const struct node *n);
struct peer *node_peer(const struct node *n, uint16_t id);

#endif
