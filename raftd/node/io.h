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
    NODE_ADDRS = 2, /* of a node: the second one is tried when it is silent at the first */
    NODE_ADDR_BYTES = 64,
    NODE_WRITES_MAX = 4096,         /* local writes not yet answered; beyond: BUSY */
    NODE_WRITE_BYTES_MAX = 8 << 20, /* and their bytes */
    NODE_BATCH_BYTES_MAX = 1 << 18, /* of one disk batch (or one record, if that is larger):
                                           longer ones only delay the answers */
    NODE_SEAL_US = 1500000, /* an idle batch so long after the last write proves that durable: long
                               enough that who writes every second wears the disk half as much */
    NODE_DISK_STALL_MIN_US = 1500000, /* SD cards pause for a second in normal work */
    NODE_FULL_RETRY_US = 1000000, /* a batch that found no room is tried again: each try may fill
                                         and empty what room there is */
    NODE_APPLY_MAX = 128, /* entries applied at a time, so that a node that replays a long log still
                             hears its peers: with a million keys each takes a few microseconds */
    NODE_WINDOW_BYTES = 1 << 18, /* of a stream on its way: 20 Mbit/s at 100 ms */
    NODE_ACK_DELAY_US = 2000,    /* followers wait so long for their disk before an ACK;
                                         part of each resend timer */
};

/* What a fetch was for; handed back in node_fetched() and node_snap_read(). */
struct node_fetch {
    uint16_t peer;       /* who gets the entries; 0: they are applied here */
    uint64_t generation; /* grows when others are wanted for that peer: a late answer is known */
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
    /* The datagram that is being taken proves where this peer is: where it came from. From now on what is
     * sent to it goes there. NULL: peers do not move. */
    void (*here)(void *ctx, uint16_t peer);
    /* Send a datagram to where the one came from that is being taken, which proves nothing. NULL: as send, to
     * the peer that it says to be from. */
    void (*reply)(void *ctx, const uint8_t *buf, size_t len);
    /* This node has this peer, a member with the addresses in *m, which may be looked for there; NULL: it is
     * no member. Again whenever that changes. NULL: the owner knows where all are. */
    void (*peer_is)(void *ctx, uint16_t id, const struct member *m);
    /* It has it no more. NULL like the one before. */
    void (*peer_went)(void *ctx, uint16_t id);
    /* Random bytes fit for keys (the simulator's come from its seed). */
    void (*random)(void *ctx, void *buf, size_t len);
    /* For tests, NULL else: the payload of each datagram before it is closed, to see or to change. */
    void (*spy)(void *ctx, uint16_t to, uint8_t *payload, size_t len);
    /* Make the batch durable, in order, then node_persisted(seq), or node_no_room(seq). The bytes it
     * points to are valid only during the call. At most two are outstanding: a batch of the core
     * behind a seal. */
    void (*persist)(void *ctx, uint64_t seq, const struct wal_batch *b);
    /* Read the log from disk as wal_read() does, then node_fetched(). buf stays valid. At most one
     * outstanding per peer, and one for what is applied here. */
    void (*fetch)(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                  uint8_t *buf, size_t cap);
    /* Keep the key of this node's data directory beside our own identity, durably, then
     * node_remembered(). It is valid only during the call. At most RAFT_PEERS_MAX are outstanding, and one
     * of our own. Our own id: the handle, then zeros, of the directory which this node had before, and has
     * no more. */
    void (*remember)(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES]);
    /* The request is done; result and revision are filled; it is the callee's now. */
    void (*answer)(void *ctx, struct request *req);
    /* All linearizable reads up to this node_read() number may be served. */
    void (*reads_done)(void *ctx, uint64_t read);

    /* Snapshots. A call of the node is answered by one of the owner's, in any order between them, and
     * none is repeated before. They come behind commits and fetches in the disk's queue. All of them are NULL
     * for a node that neither writes nor takes snapshots. */

    /* Write this image as a snapshot, then node_imaged(). `head` is complete but for the storage id and
     * the image's digest, and valid only during the call; the image stays open until the answer. Of the
     * older snapshots, those that are kept anyway stay, and that of index `needed` (0: none), which a peer
     * takes. */
    void (*image)(void *ctx, const struct snapshot_head *head, struct image *image,
                  uint64_t needed);
    /* That image takes too much memory: give it up. Or, `whole`, it takes half of that, or the log comes
     * near its limit: write the rest of it as fast as can be. It is answered all the same. */
    void (*image_end)(void *ctx, bool whole);
    /* The entries before this one are not read any more: recycle or delete the segments that hold nothing
     * else. No answer. */
    void (*drop_log)(void *ctx, uint64_t keep_from);
    /* Read this snapshot from `off` on, as snapshot_read(), then node_snap_read(). buf stays valid. At most
     * one outstanding per peer. */
    void (*snap_read)(void *ctx, struct node_fetch what, uint64_t index, uint64_t off, uint8_t *buf,
                      size_t cap);
    /* Open what is there of this snapshot, or begin one, then node_snap_have(). What is there of another
     * one goes. This, the next and the last of these calls are outstanding one at a time. */
    void (*snap_open)(void *ctx, const struct snapshot_name *name);
    /* Append to it, then node_snap_written(). buf stays valid. */
    void (*snap_write)(void *ctx, uint64_t off, const uint8_t *buf, size_t len);
    /* It is complete: verify all of it, make it a snapshot of this node and load its state, then
     * node_snap_installed(). The log stays as it is: the node will hand over a batch that resets it. */
    void (*snap_install)(void *ctx);
    /* The state of this node as of entry `index` is not that of a majority of the nodes. another: a majority
     * has another one; else there is none. It must not be shown any more, nor kept as a snapshot: end the
     * process, and start no other one before somebody has looked. */
    void (*diverged)(void *ctx, uint64_t index, bool another);
    /* Memory is refused where there is no way on without (`what` says where): says so and ends the
     * process. Does not return; NULL: abort(). */
    void (*out_of_memory)(void *ctx, const char *what);
};

/* Where there is no way on, a node must not go on. */
_Noreturn void node_out_of_memory(const struct node_io *io, const char *what);

struct node_config {
    char cluster[65];
    uint16_t id;
    uint16_t voters[RAFT_VOTERS_MAX];
    char addrs[RAFT_VOTERS_MAX][NODE_ADDRS][NODE_ADDR_BYTES]; /* of voters[i], as texts */
    unsigned n_voters;
    uint8_t key[ABOUT_KEY_BYTES]; /* public key of our data directory */
    /* That of voters[i], as remembered; zeros = none. Of this node: of the directory that it had before. */
    uint8_t known[RAFT_VOTERS_MAX][ABOUT_KEY_BYTES];
    uint64_t election_timeout_us;
    uint32_t max_value_bytes;
    /* Of all keys and values; what we take as leader obeys it on all nodes. CMD_LIMIT_BYTES or more, 0 = no
     * limit. */
    uint32_t max_data_bytes;
    uint32_t batch_bytes;    /* of one disk batch, 0 = NODE_BATCH_BYTES_MAX */
    uint32_t segment_bytes;  /* of the log's files, 0 = WAL_SEGMENT_BYTES_DEFAULT */
    uint64_t log_max_bytes;  /* of all of them: beyond it no new write is taken, 0 = no limit */
    uint32_t datagram_bytes; /* at most, 256..WIRE_DATAGRAM_MAX, 0 = WIRE_DATAGRAM_BASE */
    uint32_t cache_bytes; /* of the cached log (twice the largest record that can come, and a page);
                             0 = default, else for tests of rare paths */
    uint32_t relay_bytes; /* window of relayed writes, 0 = a share of rx_bytes */
    uint32_t rx_bytes;    /* of payload that may wait in the socket: the sum of the windows that we
                              offer to peers; 0 = no limit but our own */
    bool take_held;       /* what was held back on the way is taken as if it were not: for tests,
                              and always without keys */
    uint64_t digest_every; /* entries between two comparisons of states, the same on all nodes; 0 =
                              DIGESTS_EVERY */
    uint64_t rekey_us;     /* age of a session at which it is renewed; 0 = default */
    uint64_t seed;
    uint32_t boot; /* random token of this process */
};

#endif
