// LINK: @node tests/lib/seal_fuzz.c @rcu_alone @kept @recall
/* A whole node against hostile peers: the input is a list of datagrams and other events. Each
 * datagram gets a header that this node believes, so the frames inside reach core, streams and log.
 * With keys the peers are bare sessions, and what they say is genuine, whatever it is. Whatever
 * comes, the node's invariants hold and nothing is touched that it does not own.
 *
 * Input: u8 & 1: datagrams are sealed; then again and again u8 kind, and by kind
 *   0..7  datagram from peer kind & 1: u8 term, u8 length, that many bytes of frames. Sealed and
 *         kind & 4: these bytes are all of the payload, or with kind & 2 all of the datagram
 *   8     time passes: u8 x 4 ms          9   a client writes u8 bytes
 *   10    the disk finishes               11  a client reads
 */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal/plain.h"
#include "net/seal/session.h"
#include "net/wire.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "raftd/node/node.h"
#include "raftd/base/rcu.h"
#include "tests/lib/pair.h"
#include "tests/lib/seal_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PEERS = 2, ROUNDS = 8 };

struct world {
    struct node *node;
    struct sessions *peers[PEERS];            /* by slot; NULL = plain */
    uint8_t keys[1 + PEERS][ABOUT_KEY_BYTES]; /* our own, and by slot */
    struct draws draws;
    uint64_t now;
    uint64_t seqs[4]; /* batches that the disk has to finish, in order */
    unsigned n_seqs;
};

/* What we send ourselves is well-formed and promises nothing too early. */
static void judge(const struct world *w, const uint8_t *payload, size_t len)
{
    struct wire_header h;
    if (!wire_check(payload, len, &h) || h.term > node_raft(w->node)->durable_term)
        abort();
}

static void on_send(void *ctx, uint16_t to, const uint8_t *buf, size_t len)
{
    struct world *w = ctx;
    unsigned slot = to - 2u;
    if (w->peers[slot] != NULL) {
        uint8_t copy[WIRE_DATAGRAM_MAX];
        uint8_t *payload;
        memcpy(copy, buf, len);
        if (sessions_open(w->peers[slot], 1, w->now, copy, len, &payload, &len) == DATAGRAM_DATA)
            judge(w, payload, len);
        return;
    }
    struct plain_ends ends = {.cluster = wire_cluster_id("fuzz"), .from = 1, .to = to};
    if (plain_open(buf, len, &ends) != DATAGRAM_DATA)
        abort();
    if (len > PLAIN_HEAD_BYTES) /* else it is a greeting */
        judge(w, buf + PLAIN_HEAD_BYTES, len - PLAIN_HEAD_BYTES);
}

static void on_random(void *ctx, void *buf, size_t len)
{
    struct world *w = ctx;
    draws_fill(&w->draws, buf, len);
}

static void on_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct world *w = ctx;
    (void)b;
    if (w->n_seqs == sizeof w->seqs / sizeof w->seqs[0])
        abort();
    w->seqs[w->n_seqs++] = seq;
}

static void on_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                     uint8_t *buf, size_t cap)
{
    (void)ctx; /* a disk that hangs */
    (void)what;
    (void)from;
    (void)last;
    (void)buf;
    (void)cap;
}

static void on_answer(void *ctx, struct request *req)
{
    (void)ctx;
    results_free(&req->results);
    free(req);
}

static void on_reads_done(void *ctx, uint64_t read)
{
    (void)ctx;
    (void)read;
}

/* The frames behind a preamble, at out; returns the length. */
static size_t preamble(struct world *w, uint8_t term, const uint8_t *frames, size_t len,
                       uint8_t *out)
{
    struct wire_writer wr;
    struct wire_header h = {
        .term = node_raft(w->node)->term + (term & 3) - (term & 4 ? 2 : 0),
        .ts = (uint32_t)w->now,
    };
    wire_begin(&wr, out, WIRE_PREAMBLE_BYTES + 256, h.term);
    memcpy(wr.buf + WIRE_PREAMBLE_BYTES, frames, len);
    wr.len += len;
    return wire_end(&wr, &h);
}

static void datagram(struct world *w, uint8_t kind, uint8_t term, const uint8_t *bytes, size_t len)
{
    uint8_t buf[WIRE_HEAD_ROOM + WIRE_PREAMBLE_BYTES + 256 + WIRE_TAIL_ROOM];
    unsigned slot = kind & 1;
    struct plain_ends ends = {
        .cluster = wire_cluster_id("fuzz"),
        .from = (uint16_t)(slot + 2),
        .to = 1,
        .about = {0, about_handle(w->keys[0]), wire_voters_digest((const uint16_t[]){1, 2, 3}, 3)}};
    memcpy(ends.key, w->keys[slot + 1], sizeof ends.key);
    size_t head = w->peers[slot] != NULL ? (size_t)SESSION_HEAD_BYTES : (size_t)PLAIN_HEAD_BYTES;
    bool bare = w->peers[slot] != NULL && (kind & 4) != 0;
    if (bare)
        memcpy(buf + head, bytes, len);
    else
        len = preamble(w, term, bytes, len & ~(size_t)3, buf + head);
    if (w->peers[slot] == NULL)
        len = plain_close(buf, len, &ends);
    else if (bare && (kind & 2) != 0)
        memmove(buf, buf + head, len);
    else
        len = len > 0 ? sessions_seal(w->peers[slot], 1, w->now, buf, len) : 0;
    if (len > 0)
        node_datagram(w->node, w->now, (uint16_t)(slot + 2), buf, len);
}

/* What the peers' handshakes have to say. */
static void shake(struct world *w)
{
    uint8_t buf[SESSION_HELLO_BYTES];
    bool more = w->peers[0] != NULL;
    for (unsigned round = 0; more && round < ROUNDS; round++) {
        more = false;
        for (unsigned slot = 0; slot < PEERS; slot++) {
            size_t len;
            while ((len = sessions_output(w->peers[slot], 1, w->now, buf, sizeof buf)) > 0) {
                node_datagram(w->node, w->now, (uint16_t)(slot + 2), buf, len);
                more = true;
            }
        }
        if (more)
            node_flush(w->node, w->now);
    }
}

static void client_writes(struct world *w, size_t len)
{
    uint8_t value[255] = {0};
    struct cmd_item put = {
        .kind = CMD_PUT,
        .key = (const uint8_t *)"key",
        .key_len = 3,
        .value = value,
        .value_len = (uint32_t)len,
    };
    struct request *req = calloc(1, sizeof *req + CMD_ONE_BYTES + 3 + len);
    if (req == NULL)
        abort();
    req->cmd_len = (uint32_t)cmd_encode_one(req->cmd, &put);
    req->deadline_us = w->now + 100000;
    node_write(w->node, w->now, req);
}

static void disk_finishes(struct world *w, bool room)
{
    if (w->n_seqs == 0)
        return;
    uint64_t seq = w->seqs[0];
    memmove(w->seqs, w->seqs + 1, --w->n_seqs * sizeof w->seqs[0]);
    if (room)
        node_persisted(w->node, w->now, seq);
    else
        node_no_room(w->node, w->now, seq);
}

/* One event; returns how much of the input it took. */
static size_t event(struct world *w, const uint8_t *p, size_t left)
{
    uint8_t kind = p[0] % 12, arg = left > 1 ? p[1] : 0;
    size_t used = left > 1 ? 2 : 1;
    if (kind < 8) {
        size_t len = left > 2 ? p[2] : 0;
        if (left > 2)
            used = 3;
        if (len > left - used)
            len = left - used;
        datagram(w, kind, arg, p + used, len);
        return used + len;
    }
    switch (kind) {
    case 8: w->now += (uint64_t)arg * 4000; break;
    case 9: client_writes(w, arg); break;
    case 10: disk_finishes(w, arg < 200); break;
    default: (void)node_read(w->node, w->now); break;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool registered;
    static struct session_keys keys;
    static uint8_t shown[1 + PEERS][ABOUT_KEY_BYTES];
    if (!registered) {
        rcu_thread_begin();
        if (sodium_init() < 0)
            abort();
        keys = fuzz_keys(1);
        for (unsigned i = 0; i <= PEERS; i++)
            memcpy(shown[i], pair_of(i + 1).key, sizeof shown[i]);
    }
    registered = true;
    bool sealed = size > 0 && data[0] & 1;
    struct world w = {.now = 1000000};
    struct node_config nc = {
        .cluster = "fuzz",
        .id = 1,
        .voters = {1, 2, 3},
        .n_voters = 3,
        .election_timeout_us = 150000,
        .max_value_bytes = 1024,
        .cache_bytes = 1 << 16, /* an input is a few KB at most; more costs time in each run */
        .relay_bytes = 40,      /* values of a few bytes are large ones */
        .seed = 1,
        .boot = 7,
    };
    memcpy(w.keys, shown, sizeof w.keys);
    memcpy(nc.key, w.keys[0], sizeof nc.key);
    for (uint16_t id = 1; id <= 3; id++)
        memcpy(nc.known[id - 1], w.keys[id - 1], sizeof nc.known[0]);
    struct node_io io = {.ctx = &w,
                         .send = on_send,
                         .persist = on_persist,
                         .fetch = on_fetch,
                         .answer = on_answer,
                         .reads_done = on_reads_done,
                         .random = on_random};
    struct wal_report rep = {.verdict = WAL_CLEAN};
    struct kv *kv = kv_new();
    struct machine *machine = kv == NULL ? NULL : machine_new(kv);
    if (machine == NULL)
        abort();
    w.node = node_new(&nc, &io, &rep, NULL, sealed ? &keys : NULL, kv, machine, w.now);
    if (w.node == NULL)
        abort();
    for (unsigned slot = 0; sealed && slot < PEERS; slot++)
        w.peers[slot] = fuzz_peer((uint16_t)(slot + 2), slot + 1, w.now, on_random, &w);
    shake(&w);
    for (unsigned slot = 0; sealed && slot < PEERS; slot++)
        if (!sessions_ready(w.peers[slot], 1))
            abort();
    for (size_t at = 1; at < size;) {
        at += event(&w, data + at, size - at);
        shake(&w);
        node_flush(w.node, w.now);
        w.now++;
        if (raft_check(node_raft(w.node)) != NULL || node_deadline(w.node, w.now) == 0)
            abort();
    }
    node_free(w.node);
    machine_free(machine);
    for (unsigned slot = 0; slot < PEERS; slot++)
        sessions_free(w.peers[slot]);
    rcu_wait_freed();
    kv_free(kv);
    return 0;
}
