/* node.h: one raftd node without I/O: core, streams, log bytes and state machine as one value.
 *
 * The caller (the daemon's loop, or a simulator) owns sockets, disk, clock and threads. It tells
 * the node what happened; the node answers through the calls in struct node_io, which must not
 * call back into the node.
 *
 *     node_datagram()   a datagram arrived                  ->  send
 *     node_write()      a local client wants to write       ->  answer
 *     node_read()       a reader wants a linearizable read  ->  reads_done
 *     node_persisted()  a batch is durable                  ->  persist
 *     node_no_room()    there was no room for it            ->  persist
 *     node_fetched()    old entries were read from disk     ->  fetch
 *     node_remembered() a peer's storage id is durable      ->  remember
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
#include "raftd/node/request.h"
#include "raftd/node/status.h"
#include "storage/wal.h"

struct kv;

enum {
    NODE_WRITES_MAX = 4096,           /* local writes not yet answered; beyond: BUSY */
    NODE_WRITE_BYTES_MAX = 8 << 20,   /* and their bytes */
    NODE_BATCH_BYTES_MAX = 1 << 18,   /* of one disk batch (or one record, if that is larger):
                                           longer ones only delay the answers */
    NODE_SEAL_US = 1000000,           /* an idle batch after the last write proves it durable */
    NODE_DISK_STALL_MIN_US = 1500000, /* SD cards pause for a second in normal work */
    NODE_FULL_RETRY_US = 1000000, /* a batch that found no room is tried again: each try may fill
                                         and empty what room there is */
    NODE_APPLY_MAX = 4096,    /* entries applied at a time: some 10 ms on a small board, so that a
                              node that replays a long log still hears its peers */
    NODE_ACK_DELAY_US = 2000, /* followers wait so long for their disk before an ACK;
                                         part of each resend timer */
};

/* What a fetch was for: handed back in node_fetched(). */
enum { NODE_FETCH_APPLY = RAFT_VOTERS_MAX, NODE_FETCHES }; /* 0..: slot of a peer */

struct node_io {
    void *ctx;
    /* Send a datagram to raft->peers[slot]. The bytes are the callee's only during the call. */
    void (*send)(void *ctx, unsigned slot, const uint8_t *buf, size_t len);
    /* Random bytes fit for keys (the simulator's come from its seed). */
    void (*random)(void *ctx, void *buf, size_t len);
    /* For tests, NULL else: the payload of each datagram before it is closed, to see or to change. */
    void (*spy)(void *ctx, unsigned slot, uint8_t *payload, size_t len);
    /* Make the batch durable, in order, then node_persisted(seq), or node_no_room(seq). The bytes it
     * points to are valid only during the call. At most two are outstanding: a batch of the core
     * behind a seal. */
    void (*persist)(void *ctx, uint64_t seq, const struct wal_batch *b);
    /* Read the log from disk as wal_read() does, then node_fetched(). buf stays valid. At most one
     * outstanding per `what`. */
    void (*fetch)(void *ctx, unsigned what, const struct wal_pos *from, uint64_t last, uint8_t *buf,
                  size_t cap);
    /* Keep the storage id of raft->peers[slot] beside our own identity, durably, then
     * node_remembered(). At most one outstanding per peer. slot n_peers: that of the data directory
     * which this node had before, and has no more. */
    void (*remember)(void *ctx, unsigned slot, uint64_t storage_id);
    /* The request is done; result and revision are filled; it is the callee's now. */
    void (*answer)(void *ctx, struct request *req);
    /* All linearizable reads up to this node_read() number may be served. */
    void (*reads_done)(void *ctx, uint64_t read);
    /* Memory is refused where there is no way on without (`what` says where): says so and ends the
     * process. Does not return; NULL: abort(). */
    void (*out_of_memory)(void *ctx, const char *what);
};

struct node_config {
    char cluster[65];
    uint16_t id;
    uint16_t voters[RAFT_VOTERS_MAX];
    char addrs[RAFT_VOTERS_MAX][64]; /* of voters[i], for status */
    unsigned n_voters;
    uint64_t storage_id;             /* of our data directory, never 0 */
    uint64_t known[RAFT_VOTERS_MAX]; /* of voters[i], as remembered; 0 = none. Of this node: of the
                                        directory that it had before */
    uint64_t election_timeout_us;
    uint32_t max_value_bytes;
    uint32_t
        max_data_bytes;   /* of all keys and values; what we take as leader obeys it on all nodes.
                                CMD_LIMIT_BYTES or more, 0 = no limit */
    uint32_t batch_bytes; /* of one disk batch, 0 = NODE_BATCH_BYTES_MAX */
    uint32_t
        datagram_bytes; /* most that one sent has, 256..WIRE_DATAGRAM_MAX, 0 = WIRE_DATAGRAM_BASE */
    uint32_t cache_bytes; /* of the cached log (twice the largest record that can come, and a page);
                             0 = default, else for tests of rare paths */
    uint32_t relay_bytes; /* window of relayed writes, 0 = a share of rx_bytes */
    uint32_t rx_bytes;    /* of payload that may wait in the socket: the sum of the windows that we
                              offer to peers; 0 = no limit but our own */
    bool take_held;       /* what was held back on the way is taken as if it were not: for tests,
                              and always without keys */
    uint64_t rekey_us;    /* age of a session at which it is renewed; 0 = default */
    uint64_t seed;
    uint32_t boot; /* random token of this process */
};

struct node;

/* Starts a node from what recovery found. `wal` and `keys` are read, not kept; without keys (NULL)
 * datagrams are plain. NULL when memory is short. */
struct node *node_new(const struct node_config *cfg, const struct node_io *io,
                      const struct wal_report *wal, const struct session_keys *keys, struct kv *kv,
                      uint64_t now);

/* Other keys from now on (only of a node that was started with some). */
void node_set_keys(struct node *n, const struct session_keys *keys, uint64_t now);

/* Answers what is pending with RESULT_STOPPING and frees. */
void node_free(struct node *n);

/* Takes one datagram that came from the address of raft->peers[slot] (-1: from nobody's address).
 * Hostile or stale ones are counted and dropped. It is opened in place. */
void node_datagram(struct node *n, uint64_t now, int slot, uint8_t *buf, size_t len);

/* Takes over a write; it is answered later, or in this call when refused (BUSY). */
void node_write(struct node *n, uint64_t now, struct request *req);

/* Asks for a linearizable read; returns its number, see reads_done. */
uint64_t node_read(struct node *n, uint64_t now);

/* True, for good, when the state machine shows nothing older than what this node knew to be committed
 * when it was stopped, or, if it never knew anything, than the first that it heard of a leader. */
bool node_local_reads(const struct node *n);

/* Before a clean stop: hands the disk what it does not know to be committed. */
void node_stopping(struct node *n);

/* Batch `seq` of persist is durable. */
void node_persisted(struct node *n, uint64_t now, uint64_t seq);

/* There was no room for batch `seq`, or part of it: the disk is as before it (wal_append()). While it
 * is so, new writes of clients here are refused. */
void node_no_room(struct node *n, uint64_t now, uint64_t seq);

/* The fetch for `what` brought `len` bytes, up to `next` (0: the entries are gone meanwhile). */
void node_fetched(struct node *n, uint64_t now, unsigned what, size_t len,
                  const struct wal_pos *next);

/* The storage id that `remember` was given is durable (`done`), or the disk has no room for it. */
void node_remembered(struct node *n, uint64_t now, unsigned slot, bool done);

void node_flush(struct node *n, uint64_t now);
uint64_t node_deadline(const struct node *n, uint64_t now);

/* The kernel refused to send a datagram of `len` bytes to raft->peers[slot]: the route is narrower. */
void node_refused(struct node *n, uint64_t now, unsigned slot, size_t len);

/* So many datagrams were lost in our own receive queue: no sign of a bad link. */
void node_rxq_dropped(struct node *n);

/* Fills everything but what the loop knows (fsync times, socket counters). */
void node_status(const struct node *n, uint64_t now, struct status *s);

/* For checks and tests. */
const struct raft *node_raft(const struct node *n);

#endif
