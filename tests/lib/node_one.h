/* node_one.h: one node driven by hand, datagram by datagram: the test is its two peers, its disk and its
 * clock. Plain datagrams; node 1 of 3. */
#ifndef TESTS_NODE_ONE_H
#define TESTS_NODE_ONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/wire.h"
#include "raftd/node/node.h"
#include "storage/record.h"

enum {
    T_US = 150000, /* election timeout */
    SELF = 1,
    TAPE_MAX = 60000,    /* entries */
    TYPES = 16,          /* of messages, from 1 */
    STREAM_MAX = 1 << 20 /* bytes of a stream that a peer keeps */
};

/* A log as bytes, from entry 1 on. */
struct tape {
    uint8_t *bytes;
    size_t len;
    uint64_t last, ms;       /* the last entry; cluster time of the next ones */
    size_t at[TAPE_MAX + 2]; /* where entry i starts */
    uint8_t hash[TAPE_MAX + 1][RECORD_HASH_BYTES]; /* of entry i */
};

struct peer_seen { /* what the node sent to one peer */
    uint64_t datagrams, log_frames;
    bool has[TYPES];
    struct raft_msg newest[TYPES];
    uint32_t stream; /* the log stream named last, its bytes and where they end */
    uint8_t *bytes;
    size_t end;
};

struct world {
    struct node *n;
    struct kv *kv;
    struct machine *machine;
    uint64_t now, cluster;
    uint32_t ts;
    uint64_t batch;           /* handed to the disk, not yet durable; 0 = none */
    struct wal_batch written; /* the last one, without its bytes */
    unsigned seals;           /* idle batches so far */
    uint64_t disk_commit;     /* of the last batch of any kind that was not refused ... */
    uint64_t commit_before;   /* ... and of the one before the last */
    struct {
        uint8_t *buf; /* NULL = none asked for */
        struct wal_pos pos;
        uint64_t last;
        size_t cap;
        struct node_fetch what;
    } fetch[5];                /* by the id of the peer they are for; 0: to be applied */
    struct peer_seen peers[3]; /* nodes 2 and 3, and 4 if the test lets it come */
    struct wire_sack sack;     /* sent last */
    unsigned bulk;             /* datagrams with log bytes in this flush, to whomever ... */
    unsigned bulk_before;      /* ... and of them, those before the last one with control */
    unsigned answered;
    uint16_t came, went; /* the peer that did last */
    uint16_t remember;   /* the node whose key was to be remembered last */
};

struct tape *tape_new(void);

void tape_free(struct tape *t);

/* One more entry; its data is already in place behind the head. */
void tape_seal(struct tape *t, uint64_t term, uint8_t type, size_t data_len);

/* Entries up to `last`: each puts `len` bytes of `fill` under a key of its own, see check_value(). */
void tape_puts(struct tape *t, uint64_t last, uint64_t term, char fill, size_t len);

void tape_noops(struct tape *t, uint64_t last, uint64_t term);

/* Node 1 of 3, whose disk holds all of `t` (NULL: nothing), written in term 1. */
struct world *world_new(const struct tape *t, const struct node_config *more);

/* The same, started again: its last batch knew entries up to `commit` to be committed. */
struct world *world_restarted(const struct tape *t, uint64_t commit);

void world_free(struct world *w);

const struct raft *raft_of(const struct world *w);

uint64_t stream_drops(const struct world *w);

uint64_t applied(const struct world *w);

/* A datagram that tells who node `from` is. False: nobody wants it. */
bool greet(struct world *w, uint16_t from);

void finish_datagram(struct world *w, struct wire_writer *out, uint16_t from);

void tell(struct world *w, struct raft_msg m);

void probe(struct world *w, uint16_t from, uint64_t term, uint32_t number, uint64_t prev,
           uint64_t prev_term);

void lead(struct world *w, uint16_t from, uint64_t term, uint32_t epoch, uint64_t commit);

/* Bytes [from, to) of a leader's stream that begins after entry `base`. */
void stream(struct world *w, uint16_t leader, uint64_t term, uint32_t epoch, const struct tape *t,
            uint64_t base, size_t from, size_t to);

/* Bytes of entries base + 1 .. last. */
size_t stream_len(const struct tape *t, uint64_t base, uint64_t last);

void flush(struct world *w);

void persisted(struct world *w);

/* A leader probes for the first time, and its term is on the disk of node 1. Arguments as of probe(). */
void follow_leader(struct world *w, uint16_t from, uint64_t term, uint32_t number, uint64_t prev,
                   uint64_t prev_term);

/* There is no room for the batch that the disk has. */
void no_room(struct world *w);

/* What the disk thread reads when it comes to this fetch, of `t`: whole entries, or a part of one.
 * Returns its length; fetched() is to follow. */
size_t read_disk(struct world *w, unsigned what, const struct tape *t);

void fetched(struct world *w, unsigned what, size_t len);

/* All that the disk has to do is done at once, until the node wants nothing more of it. */
void settle(struct world *w, const struct tape *disk);

void check_value(struct world *w, uint64_t index, char fill);

/* Node 1 becomes leader of the next term with the vote of node 3; what it had to write before is
 * written batch by batch. */
void make_leader(struct world *w);

/* The node's newest probe to peer `slot` is answered. hint 0: it matches. */
void answer_probe(struct world *w, unsigned slot, uint64_t hint, uint64_t hint_term);

/* Peer `slot` acknowledges the newest LEAD and all that it got. */
void ack(struct world *w, unsigned slot, uint64_t durable);

/* Peer `slot` wants another log stream. */
void refuse(struct world *w, unsigned slot, uint64_t durable);

/* Lets the time pass with an instant disk; node 2 acknowledges everything. Returns how often the
 * node wanted to be woken. */
unsigned pass(struct world *w, uint64_t us);

void write_one(struct world *w);

/* What peer 0 got from its first entry on, as a log on disk. */
struct tape *tape_of_peer(const struct world *w);

#endif
