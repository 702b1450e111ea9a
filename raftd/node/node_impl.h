/* node_impl.h: the inside of a node, shared by the node*.c only.
 *
 * Invariants, checked where they could break:
 *  1. log.last == raft.last_index after every node_step().
 *  2. An entry leaves `log` (the cache) only when raft.durable_index has passed it.
 *  3. applied <= raft.commit_index; entries are applied in order, each once per process.
 */
#ifndef RAFTD_NODE_IMPL_H
#define RAFTD_NODE_IMPL_H

#include "net/about.h"
#include "net/stream/link.h"
#include "net/stream/mtu.h"
#include "net/seal/session.h"
#include "net/stream/stream.h"
#include "net/wire.h"
#include "raftd/node/entries.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "raftd/node/node.h"
#include "storage/record.h"

enum {
    NODE_WINDOW_BYTES = 1 << 18,        /* of a stream on its way: 20 Mbit/s at 100 ms */
    NODE_RING_MIN_BYTES = 1 << 21,      /* of the cached log: holds the largest record, whatever
                                      max_value_bytes says now; thousands of small ones */
    NODE_OLD_BYTES = NODE_WINDOW_BYTES, /* of old entries, per peer that catches up */
    NODE_OLD_FETCH_BYTES = 1 << 15,     /* read on when so much has been acknowledged */
    /* What peers that catch up may get from the disk while clients write: see struct catch_up. */
    NODE_CATCH_UP_US = 10000,       /* counted over so long */
    NODE_CATCH_UP_BYTES = 40 << 10, /* at least: 4 MB/s, a tenth of a small board's processor */
    NODE_CATCH_UP_TIMES = 2,        /* or so many times what clients write */
    NODE_CATCH_UP_CALM_US = 100000, /* nobody has written for so long: no limit */
    NODE_RELAY_BYTES = 1 << 18,     /* relayed writes on their way to the leader */
    NODE_READS_MAX = 64,            /* confirmed reads that wait for their index to be applied */
    NODE_ACK_EVERY = 8,             /* log datagrams after which reception is acknowledged */
    NODE_SILENT_TIMEOUTS = 10, /* election timeouts after which a silent peer gets LEADs only */
    NODE_LATE_US = 20000,      /* this far behind its deadline, the process was stopped */
    NODE_LIFE_US = 1000000, /* a leader's datagram of up to two election timeouts, or of this age,
                                  shows that it lives: queues on a bad link hold some as long */
};

/* Old entries read from disk to be applied (after a restart). */
struct behind {
    uint8_t *buf; /* RECORD_MAX_BYTES: whole records; NULL until first needed */
    size_t len;
    size_t off;    /* bytes applied */
    uint64_t next; /* index of the record at off */
    bool fetching;
};

/* Old entries read from disk for a peer, as the bytes [start, end) of its stream: byte `off` lies at
 * off % NODE_OLD_BYTES. Records larger than that pass through in parts. */
struct old {
    uint8_t *buf;        /* NODE_OLD_BYTES; NULL until first needed */
    uint64_t start, end; /* Invariant: start <= end <= start + NODE_OLD_BYTES */
    struct wal_pos next; /* place in the log of the byte at end */
    bool fetching;       /* a fetch writes behind end ... */
    bool stale;          /* ... but start, end and next are others by now: it brings nothing */
};

/* Leader's limit on old entries for all peers that catch up, so that they cost clients at most a
 * quarter of their throughput. To pass on an old entry costs about a sixth of what a new one does,
 * so twice as many of them cost a third of the new ones; and as they are more than the new ones, a
 * peer does catch up however long the load lasts. The peers take from it in their order: one after
 * the other gets there. */
struct catch_up {
    uint64_t until;    /* end of the present count */
    uint64_t left;     /* bytes that may be asked of the disk until then */
    uint64_t seen;     /* end of the log when it began, as a place in the cache */
    uint64_t wrote_at; /* when clients wrote last, as far as counts tell; 0 = never */
    bool waits;        /* a peer waits for the next count */
};

/* Leader's log stream to one peer. Offset 0 is the start of entry base_index + 1. */
struct log_tx {
    uint64_t term; /* with epoch: which stream this is */
    uint32_t epoch;
    struct stream_tx tx;
    bool joined; /* offset + delta is a position in the cached log */
    uint64_t delta;
    struct old old;
};

/* Leader's end of a peer's relay stream, see relay.c. */
struct relay_rx {
    struct stream_rx rx;
    uint8_t *buf;  /* rx.cap bytes; NULL until the peer relays */
    uint64_t term; /* with boot: which stream rx holds; RAFT_NEVER = none */
    uint32_t boot;
    bool waits;      /* the command at the front can't be taken now */
    bool shut;       /* it made no sense: nothing more is taken from it */
    uint64_t ack_by; /* RAFT_NEVER = nothing to tell */
};

/* Does a peer count? See admit.c. */
enum admit {
    ADMIT_SILENT, /* it has told nothing of itself yet */
    ADMIT_FIRST,  /* it is heard for the first time: not before its storage id is on our disk */
    ADMIT_YES,
    ADMIT_OTHER_LIST, /* no: it counts majorities among other nodes */
    ADMIT_OTHER_DISK, /* no: under its id we know another data directory */
    ADMIT_NEW_DISK,   /* no: under our id it knows another data directory */
    ADMIT_NONE,       /* no: another one has told us that ours is new; then nobody counts */
};

struct peer {
    struct link link;
    struct mtu mtu;
    uint64_t session_boot; /* process that `link` is about */
    struct about about;    /* as last told; zeros = never */
    uint64_t storage;      /* its storage id, which is on our disk; 0 = none */
    uint64_t remembering;  /* its storage id, on the way to our disk; 0 = none */
    uint64_t remember_at;  /* not again before */
    uint64_t greet_at;     /* plain: the next greeting, after so many: */
    unsigned greets;
    struct log_tx log;
    bool lead_due;       /* its clients wait for the commit index ... */
    uint64_t lead_round; /* ... which this round carried: the peer owes us an ACK of it */
    uint64_t owed_at;    /* it owes us an answer since; 0 = owes none */
    uint64_t asked_at;   /* since then, or was asked again then */
    struct rtt settles;  /* how long it takes to give one */
    unsigned asks;       /* in a row, for backoff */
    uint64_t debt;       /* changes with what it owes, see note_owed() */
    /* Links: what it hears (of cfg.n_voters), when it was last told what we hear. */
    uint8_t row[RAFT_VOTERS_MAX];
    uint64_t row_at; /* 0 = never told */
    uint64_t told_at;
    struct wire_settings settings; /* as it told them */
    struct relay_rx relay;
    char addr[64];
    uint64_t drops[DROP_COUNT]; /* datagrams from its address */
    uint64_t resent_bytes;      /* of all streams to it */
    uint64_t resent_datagrams;
};

struct confirmed_read {
    uint64_t read;
    uint64_t index;
};

struct node {
    /* Storage id of the data directory that a peer knew under our id before this one; 0 = none. Then
     * ours has forgotten what that one promised, and we take no part, whoever else may not know. */
    uint64_t before_us;
    bool before_us_kept;   /* it is on our disk ... */
    bool before_us_asked;  /* ... or on its way there ... */
    uint64_t before_us_at; /* ... and not asked for again before */
    struct node_config cfg;
    struct node_io io;
    struct kv *kv;
    struct machine *machine; /* on kv */
    uint64_t process;        /* random name of this process, see raftd/state/origins.h */
    uint64_t cluster_id;
    uint64_t voters_digest;
    uint64_t start_us;

    struct sessions *sessions; /* NULL: plain */
    struct raft raft;
    struct raft_run *runs; /* the core's memory */

    /* The log as bytes. */
    struct entries log;
    uint8_t head[RECORD_HASH_BYTES]; /* hash of the last record ... */
    uint64_t last_ms;                /* ... and its cluster time */
    uint64_t lead_ms, lead_at; /* leader: cluster time when it began to lead, and when that was */
    uint64_t applied;
    uint64_t uncommitted_since; /* leader: entries wait and none was committed; 0 = not so */
    uint64_t commit_seen;       /* raft.commit_index at the last flush */
    bool tail_dropped;          /* recovery found the last write cut or damaged */
    uint64_t reads_from; /* local reads begin when this index is applied; 0 = not known yet */
    bool local_reads;    /* they have begun */
    struct behind behind;
    unsigned turn; /* whose writes are proposed first: peers by slot, then local ones */
    struct raft_msg held[RAFT_MSGS_MAX]; /* messages that wait for batch held_seq */
    size_t n_held;
    uint64_t held_seq;
    uint64_t seal_at;     /* when to write the idle batch, RAFT_NEVER = not needed */
    bool sealing;         /* that batch is on its way */
    uint64_t disk_commit; /* commit index of the last batch that was handed to the disk, or less */

    struct peer peers[RAFT_VOTERS_MAX - 1]; /* as raft.peers */
    struct catch_up catch_up;

    /* Follower: the leader's log stream to us, and our relay stream to it. */
    struct stream_rx log_rx;
    uint8_t *log_rx_buf;
    size_t log_rx_cap;
    uint32_t rx_window; /* offered to a leader; as leader to all peers together */
    uint64_t log_rx_term;
    uint32_t log_rx_epoch;
    uint64_t log_rx_base;
    uint64_t log_rx_next;    /* index of the next record on the stream */
    unsigned log_rx_unacked; /* datagrams */
    struct ring relay;       /* base NULL until first needed */
    struct stream_tx relay_tx;
    uint64_t relay_term; /* leader's term the relay stream belongs to */
    uint64_t relay_base; /* ring position of its offset 0 */

    /* Local writes: slot number % NODE_WRITES_MAX. */
    struct request *writes[NODE_WRITES_MAX];
    struct request *done, **done_end; /* applied, but readers don't see it yet; first to last */
    unsigned n_writes;
    size_t write_bytes;
    uint64_t next_write;     /* number of the next one that comes */
    uint64_t send_next;      /* those below, as far as they are pending, are with the leader ... */
    uint64_t sent_term;      /* ... of this term */
    bool again;              /* writes are to be sent again, or entries wait: flush once more */
    uint64_t write_deadline; /* none of the writes times out before */

    /* Linearizable reads. */
    uint64_t next_read;
    struct confirmed_read reads[NODE_READS_MAX];
    unsigned n_reads;

    uint16_t led_by;       /* the last leader that we knew ... */
    uint64_t led_term;     /* ... and its term; 0 = none */
    uint64_t asking_since; /* we ask all whether they would vote for us; 0 = we do not */

    uint64_t due; /* the deadline as of the last flush */
    uint64_t received;
    uint64_t drops[DROP_COUNT];
};

/* node.c: one event into the core; mirrors what it did to the log. For commands and appended
 * records the caller adds the bytes itself from `edit`. */
void node_step(struct node *n, uint64_t now, const struct raft_event *ev, struct raft_edit *edit);
_Noreturn void node_out_of_memory(struct node *n, const char *what);

/* log.c */
bool log_make_room(struct node *n, size_t size, unsigned count);
void log_push(struct node *n, size_t size); /* the record at entries_tail() is complete */
void log_mirror(struct node *n, uint64_t now, const struct raft_edit *edit);
void log_append_command(struct node *n, uint64_t now, uint64_t index, const uint8_t *cmd,
                        size_t len);
void log_persist(struct node *n, struct raft_persist *p);
void log_seal(struct node *n);
bool log_apply(struct node *n);
void log_apply_fetched(struct node *n, size_t len);

/* stream.c: log streams to peers, the leader's stream to us */
void log_tx_sync(struct node *n, unsigned slot);
bool log_tx_silent(const struct node *n, uint64_t now, unsigned slot);
const uint8_t *log_tx_bytes(const struct node *n, unsigned slot, uint64_t off, size_t *len);
void log_tx_fetched(struct node *n, unsigned slot, size_t len, const struct wal_pos *next);
void log_tx_before_drop(struct node *n, uint64_t index);
void log_tx_end(struct node *n);
void log_tx_count(struct node *n, uint64_t now); /* before streams are looked at: struct catch_up */
void log_rx_probe(struct node *n, const struct raft_msg *probe);
bool log_rx_put(struct node *n, const struct wire_data *d);
void log_rx_drain(struct node *n, uint64_t now);

/* write.c */
uint16_t node_data_limit(const struct node *n); /* max_data_bytes, as commands have it */
void write_take(struct node *n, uint64_t now);
void write_applied(struct node *n, const struct applied *a);
void write_published(struct node *n);
void write_expire(struct node *n, uint64_t now);
void write_stop(struct node *n);
bool write_propose(struct node *n, uint64_t now, const uint8_t *cmd, size_t len);

/* relay.c */
void relay_tx_sync(struct node *n);
bool relay_tx_put(struct node *n, const uint8_t *cmd, size_t len);
void relay_rx_put(struct node *n, uint64_t now, unsigned slot, const struct wire_data *d);
void relay_rx_drain(struct node *n, uint64_t now, unsigned slot);
void relay_rx_sack(struct node *n, unsigned slot, struct wire_sack *s);
void relay_rx_end(struct node *n);

/* admit.c */
void admit_init(struct node *n);
enum admit admit_state(const struct node *n, unsigned slot);
/* The peer has told that of itself. */
void admit_heard(struct node *n, uint64_t now, unsigned slot, const struct about *about);
/* When it needs a greeting; RAFT_NEVER = it needs none. It was sent. */
uint64_t admit_greet_at(const struct node *n, unsigned slot);
void admit_greeted(struct node *n, uint64_t now, unsigned slot);

/* envelope.c */
void drop(struct node *n, unsigned slot, enum drop why);
bool envelope_init(struct node *n, const struct session_keys *keys, uint64_t now);
bool envelope_open(struct node *n, uint64_t now, unsigned slot, uint8_t *buf, size_t len,
                   uint8_t **payload, size_t *payload_len);
/* Something may be sent to the peer. */
bool envelope_ready(const struct node *n, unsigned slot);
/* Bytes that the payload of a datagram of this size may have. */
size_t envelope_room(const struct node *n, size_t datagram);
/* Sends the payload at buf + WIRE_HEAD_ROOM; WIRE_TAIL_ROOM bytes behind it are free. */
void envelope_send(struct node *n, uint64_t now, unsigned slot, uint8_t *buf, size_t payload_len);
/* Sends what handshakes have to send. */
void envelope_shake(struct node *n, uint64_t now);
uint64_t envelope_deadline(const struct node *n);
void envelope_status(const struct node *n, unsigned slot, struct status_peer *s);
void envelope_keys(const struct node *n, struct status *s);

/* links.c */
void links_watch(struct node *n, uint64_t now);
uint64_t links_due(const struct node *n, unsigned slot);
bool links_fill(struct node *n, uint64_t now, unsigned slot, struct wire_links *l);
void links_take(struct node *n, uint64_t now, unsigned slot, const struct wire_links *l);
/* What we tell of ours. */
struct wire_settings links_settings(const struct node *n);
void links_loss(const struct node *n, uint64_t now, unsigned slot, struct status_peer *s);
void links_status(const struct node *n, uint64_t now, struct status *s);

/* net.c */
void net_send_held(struct node *n, uint64_t now);
void net_send(struct node *n, uint64_t now, const struct raft_msg *msgs, size_t n_msgs);
void net_send_to(struct node *n, uint64_t now, unsigned slot);
bool node_term_durable(const struct node *n);
void net_start_stream(struct node *n, unsigned slot, struct stream_tx *tx, enum wire_stream stream);
uint64_t net_ask_at(const struct node *n, unsigned slot); /* RAFT_NEVER = the peer owes nothing */

#endif
