/* io.h: what a node asks of its owner, and how it is configured.
 *
 * The owner is the daemon's loop, or a simulator. None of the calls may call back into the node.
 */
#ifndef RAFTD_NODE_IO_H
#define RAFTD_NODE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/about.h"
#include "raftd/core/raft.h"
#include "raftd/node/request.h"
#include "storage/wal.h"

enum {
    NODE_ADDRS = 2, /* of a node: the second one is tried when the node is silent at the first */
    NODE_ADDR_BYTES = 64,
    NODE_WRITES_MAX = 4096,         /* local writes that wait for their answer; beyond: BUSY */
    NODE_WRITE_BYTES_MAX = 8 << 20, /* the same in bytes */
    /* Of one disk batch, or one record if that is larger: longer batches only delay the answers. */
    NODE_BATCH_BYTES_MAX = 1 << 18,
    /* So long after the last write an idle batch proves that write durable. A client that writes every
     * second causes none, and so wears the disk half as much. */
    NODE_SEAL_US = 1500000,
    NODE_DISK_STALL_MIN_US = 1500000, /* SD cards pause for a second in normal work */
    /* When a batch that found no room is tried again: each try may fill and empty the last blocks. */
    NODE_FULL_RETRY_US = 1000000,
    /* Entries applied at a time, each key or claim that one ends counted as one, and bytes or one entry that
     * has more: a node that replays a long log still hears its peers. With a million keys each takes a few
     * microseconds. */
    NODE_APPLY_MAX = 128,
    NODE_APPLY_BYTES_MAX = 1 << 18,
    NODE_WINDOW_BYTES = 1 << 18, /* of a stream on its way: 20 Mbit/s at 100 ms */
    /* Followers wait so long for their disk before an ACK. It is part of each resend timer. */
    NODE_ACK_DELAY_US = 2000,
    /* Heartbeats are 7/20 of an election timeout apart, and each second one is answered: so three idle nodes
     * with 150 ms send less than 60 datagrams a second, each of which wakes a processor. With rarer ones a
     * path that loses a quarter of them looks narrow (mtu.h), and it takes longer to notice that a leader
     * has ended. */
    NODE_HEARTBEAT_PARTS = 7,
    NODE_TIMEOUT_PARTS = 20,
};

/* What a fetch was for; handed back in node_fetched() and node_snap_read(). */
struct node_fetch {
    uint16_t peer;       /* who gets the bytes; 0: the entries are applied here */
    uint64_t generation; /* grows with what is wanted for that peer: names late answers */
};

struct member;        /* raftd/base/members.h */
struct snapshot_name; /* storage/snapshot.h */
struct snapshot_head;
struct image; /* raftd/state/image.h */
struct image_load;

struct node_io {
    void *ctx;
    /* Send a datagram to this node. The bytes are the callee's only during the call. */
    void (*send)(void *ctx, uint16_t to, const uint8_t *buf, size_t len);
    /* The datagram that node_datagram() takes now proves that the peer is where it came from: what is sent
     * to the peer goes there from now on. NULL: peers do not move. */
    void (*here)(void *ctx, uint16_t peer);
    /* Send a datagram to the address that the datagram came from which node_datagram() takes now. That one
     * proves nothing about a peer. NULL: peers do not move, and it goes to the peer that it names. */
    void (*reply)(void *ctx, const uint8_t *buf, size_t len);
    /* This node has this peer, a member with the addresses in *m, at which it may be looked for. m NULL: a
     * peer that is no member. Called again whenever that changes. NULL: the owner knows where all are. */
    void (*peer_is)(void *ctx, uint16_t id, const struct member *m);
    /* The node has the peer no more. NULL like peer_is. */
    void (*peer_went)(void *ctx, uint16_t id);
    /* Random bytes fit for keys (the simulator's come from its seed). */
    void (*random)(void *ctx, void *buf, size_t len);
    /* For tests, which see or change the payload of each datagram before it is closed. NULL: no test. */
    void (*spy)(void *ctx, uint16_t to, uint8_t *payload, size_t len);
    /* Make the batch durable, in order, then call node_persisted(seq), or node_no_room(seq). The bytes it
     * points to are valid only during the call. At most two are outstanding: a batch of the core behind an
     * idle one. */
    void (*persist)(void *ctx, uint64_t seq, const struct wal_batch *b);
    /* Read the log from disk as wal_read() does, then node_fetched(). buf stays valid. At most one
     * outstanding per peer, and one for what is applied here. */
    void (*fetch)(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                  uint8_t *buf, size_t cap);
    /* Keep the key of this node's data directory beside our own identity, durably, then
     * node_remembered(). It is valid only during the call. At most RAFT_PEERS_MAX are outstanding, and one
     * of our own id. That one is the handle, and zeros behind it, of the directory that this node had
     * before. */
    void (*remember)(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES]);
    /* The request is done; result and revision are filled; it is the callee's now. */
    void (*answer)(void *ctx, struct request *req);
    /* What a write told has so many bytes of values. False: too much is told already and not freed yet, so
     * this is not kept. NULL: all is kept. */
    bool (*may_tell)(void *ctx, struct request *req, size_t bytes);
    /* Clients wait for what is committed next: those who watch, and those who wait for a lock. NULL: none
     * ever does. */
    bool (*awaits)(void *ctx);
    /* All linearizable reads up to this node_read() number may be served. */
    void (*reads_done)(void *ctx, uint64_t read);

    /* Snapshots. Each of these calls is answered by the function that it names, in any order between them,
     * and is not repeated before that. In the disk's queue they come behind commits and fetches. All of them
     * are NULL for a node that neither writes nor takes snapshots. */

    /* Write this image as a snapshot, then node_imaged(). `head` is complete but for the storage id and
     * the image's digest, and valid only during the call; the image stays open until the answer. Of the
     * older snapshots, delete those that are not kept anyway, but not the one of index `needed` (0: none),
     * which a peer takes. */
    void (*image)(void *ctx, const struct snapshot_head *head, struct image *image,
                  uint64_t needed);
    /* whole: write the rest of that image as fast as can be, because it takes half of the memory that it
     * may take, or the log comes near its limit. Else give it up: it takes too much. node_imaged() follows
     * all the same. */
    void (*image_end)(void *ctx, bool whole);
    /* The entries before this one are not read any more: recycle or delete the segments that have nothing
     * else. No answer. */
    void (*drop_log)(void *ctx, uint64_t keep_from);
    /* Read this snapshot from `off` on, as snapshot_read(), then node_snap_read(). buf stays valid. At most
     * one outstanding per peer. */
    void (*snap_read)(void *ctx, struct node_fetch what, uint64_t index, uint64_t off, uint8_t *buf,
                      size_t cap);
    /* Open what has arrived of this snapshot, or begin one, then node_snap_have(). Parts of another one are
     * deleted. Of snap_open, snap_write and snap_install one is outstanding at a time. */
    void (*snap_open)(void *ctx, const struct snapshot_name *name);
    /* Append to the snapshot that snap_open named, then node_snap_written(). buf stays valid. */
    void (*snap_write)(void *ctx, uint64_t off, const uint8_t *buf, size_t len);
    /* That snapshot is complete: verify all of it, make it a snapshot of this node and load its state, then
     * node_snap_installed(). The log stays as it is: the node will hand over a batch that resets it. */
    void (*snap_install)(void *ctx);

    /* The state of this node as of entry `index` is not that of a majority of the nodes. another: a majority
     * has another one; else no majority agrees. The state must not be shown any more, nor kept as a
     * snapshot: end the process, and start no other one before a person has looked. */
    void (*diverged)(void *ctx, uint64_t index, bool another);
    /* Memory is short where the node can't go on without (`what` says where): say so and end the process.
     * Does not return; NULL: abort(). */
    void (*out_of_memory)(void *ctx, const char *what);
};

/* Ends the process through io->out_of_memory. */
_Noreturn void node_out_of_memory(const struct node_io *io, const char *what);

struct node_config {
    char cluster[65];
    uint16_t id;
    uint16_t voters[RAFT_VOTERS_MAX];
    char addrs[RAFT_VOTERS_MAX][NODE_ADDRS][NODE_ADDR_BYTES]; /* of voters[i], as texts */
    unsigned n_voters;
    uint8_t key[ABOUT_KEY_BYTES]; /* public key of our data directory */
    /* Key of voters[i], as remembered; zeros = none. Of this node: of the directory that it had before. */
    uint8_t known[RAFT_VOTERS_MAX][ABOUT_KEY_BYTES];
    uint64_t election_timeout_us;
    uint64_t lease_us;        /* see lease.h; 0 = LEASE_DEFAULT_US */
    uint64_t auto_replace_us; /* a member that was silent for so long is replaced; 0 = never */
    uint32_t max_value_bytes;
    /* Of all keys and values. The leader's limit counts on all nodes. CMD_LIMIT_BYTES or more, 0 = no
     * limit. */
    uint32_t max_data_bytes;
    uint32_t batch_bytes;    /* of one disk batch, 0 = NODE_BATCH_BYTES_MAX */
    uint32_t segment_bytes;  /* of one of the log's files, 0 = WAL_SEGMENT_BYTES_DEFAULT */
    uint64_t log_max_bytes;  /* of all of them: beyond it no new write is taken, 0 = no limit */
    uint32_t datagram_bytes; /* at most, 256..WIRE_DATAGRAM_MAX, 0 = WIRE_DATAGRAM_BASE */
    /* Of entries in memory: at least twice the largest record that can come, and a page. 0 = default; other
     * values are for tests of rare paths. */
    uint32_t cache_bytes;
    uint32_t relay_bytes; /* window of relayed writes, 0 = a share of rx_bytes */
    /* Of payload that may wait in the socket: the sum of the windows that we offer to peers. 0 = no limit
     * but our own. */
    uint32_t rx_bytes;
    /* Datagrams that were kept back on the way are taken like others: for tests, and without keys. */
    bool take_held;
    uint64_t digest_every; /* entries between two comparisons of states, on all nodes the same; 0 =
                              DIGESTS_EVERY */
    uint64_t rekey_us;     /* age of a session at which it is renewed; 0 = default */
    uint64_t seed;
    uint32_t boot; /* random token of this process */
};

#endif
