/* node_relay.c: writes on their way from a follower to the leader, as a stream; both ends.
 *
 * The stream is a row of commands, each behind its length, and belongs to one term and one process
 * of the follower: its id is the process's boot token plus the number of restarts. Each command is
 * handed over once (see node_write.c).
 *
 * The leader keeps two windows of bytes for each follower, whatever the size of values. A command
 * larger than one window is collected in memory of its own, one at a time in the whole node and in
 * turns; the next one waits in its sender, behind a closed window. If the follower that is at it falls
 * silent and another one has such a command, the first one's part is given up: nothing of its stream
 * from that command on was proposed, or ever will be. When it is back, and sends on, it is told to
 * restart there under the next id. So it keeps a command until the leader has all of it. If nobody else
 * has one, the part waits for its sender as long as we lead.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net/u64.h"
#include "raftd/cmd.h"
#include "raftd/core/bytes.h"
#include "raftd/node_impl.h"

enum {
    HEAD_BYTES = 4,      /* length before each command */
    SILENT_TIMEOUTS = 2, /* election timeouts: on a link that lives, too, the price is only to send
                            the command again */
};

/* ---- follower ---------------------------------------------------------------------------- */

uint32_t relay_tx_id(const struct node *n)
{
    return n->cfg.boot + n->relay_restarts;
}

static uint64_t after_command(const struct node *n, uint64_t pos)
{
    return pos + HEAD_BYTES + get_u32(ring_at(&n->relay, pos));
}

/* Offset 0 is the command at ring position `pos`. */
static void begin_at(struct node *n, uint64_t pos)
{
    int slot = raft_peer_slot(&n->raft, n->raft.leader);
    assert(slot >= 0);
    n->relay.start = n->relay_base = pos;
    net_start_stream(n, (unsigned)slot, &n->relay_tx, WIRE_STREAM_RELAY);
    stream_tx_end(&n->relay_tx, n->relay.end - pos);
}

/* Our stream starts afresh with each leader. */
void relay_tx_sync(struct node *n)
{
    if (n->relay_term == n->raft.term)
        return;
    n->relay_term = n->raft.term;
    n->relay_restarts = 0;
    begin_at(n, n->relay.end);
}

/* Commands of which the leader has all may go. */
static void release(struct node *n)
{
    uint64_t acked = n->relay_base + n->relay_tx.una;
    while (n->relay.start < acked && after_command(n, n->relay.start) <= acked)
        n->relay.start = after_command(n, n->relay.start);
}

/* Puts one command on the way to the leader. False when it must wait. */
bool relay_tx_put(struct node *n, const uint8_t *cmd, size_t len)
{
    if (n->relay.base == NULL) {
        size_t min = CMD_HEAD_BYTES + CMD_KEY_MAX_BYTES + (size_t)n->cfg.max_value_bytes;
        if (ring_init(&n->relay, min + NODE_RELAY_BYTES) < 0)
            return false;
        n->relay_base = 0;
    }
    relay_tx_sync(n);
    release(n);
    if (ring_room(&n->relay) < HEAD_BYTES + len)
        return false;
    uint8_t *p = ring_at(&n->relay, n->relay.end);
    put_u32(p, (uint32_t)len);
    memcpy(p + HEAD_BYTES, cmd, len);
    n->relay.end += HEAD_BYTES + len;
    stream_tx_end(&n->relay_tx, n->relay.end - n->relay_base);
    return true;
}

/* The leader takes the stream again from the command at this offset. False if there is none. */
bool relay_tx_restart(struct node *n, uint64_t off)
{
    release(n);
    uint64_t pos = n->relay.start;
    if (off > n->relay_tx.nxt)
        return false;
    while (pos < n->relay_base + off)
        pos = after_command(n, pos);
    if (pos != n->relay_base + off)
        return false;
    n->relay_restarts++;
    begin_at(n, pos);
    return true;
}

/* ---- leader ------------------------------------------------------------------------------ */

static void big_end(struct node *n)
{
    free(n->big.buf);
    n->big = (struct big){.slot = n->big.slot};
}

static bool big_of(const struct node *n, unsigned slot)
{
    return n->big.buf != NULL && n->big.slot == slot;
}

static size_t window(const struct node *n)
{
    return n->cfg.relay_bytes != 0 ? n->cfg.relay_bytes : n->rx_window / n->raft.n_peers;
}

static size_t rx_cap(const struct node *n)
{
    return 2 * max_u64(window(n), HEAD_BYTES);
}

static void rx_begin(struct node *n, unsigned slot)
{
    struct peer *p = &n->peers[slot];
    if (big_of(n, slot))
        big_end(n);
    stream_rx_init(&p->relay_rx, p->relay_buf, rx_cap(n), (uint32_t)window(n));
    p->relay_waits = p->relay_wants_big = false;
}

/* Nothing more is taken from the peer's stream. */
static void rx_end(struct peer *p)
{
    p->relay_term = RAFT_NEVER;
    p->relay_ack_by = RAFT_NEVER;
}

/* The boot token of a peer that answered our probe names its stream in this term. Late datagrams of
 * its earlier process carry another token and are dropped. */
static void adopt(struct node *n, unsigned slot)
{
    struct peer *p = &n->peers[slot];
    const struct raft_peer *rp = &n->raft.peers[slot];
    if (rp->boot == 0 || rp->epoch == 0 ||
        (p->relay_term == n->raft.term && p->relay_boot == rp->boot))
        return;
    if (p->relay_buf == NULL && (p->relay_buf = malloc(rx_cap(n))) == NULL)
        return; /* its relays are lost, and sent again, until there is memory */
    rx_begin(n, slot);
    p->relay_term = n->raft.term;
    p->relay_boot = rp->boot;
    p->relay_restarts = 0;
    p->relay_shut = p->relay_stray = false;
    p->relay_ack_by = RAFT_NEVER;
}

void relay_rx_end(struct node *n)
{
    big_end(n);
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++) {
        struct peer *p = &n->peers[slot];
        free(p->relay_buf);
        p->relay_buf = NULL;
        rx_end(p);
    }
}

void relay_rx_put(struct node *n, uint64_t now, unsigned slot, const struct wire_data *d)
{
    struct peer *p = &n->peers[slot];
    if (n->raft.role != RAFT_LEADER)
        return;
    adopt(n, slot);
    if (p->relay_term != n->raft.term || p->relay_shut)
        return;
    uint64_t by = now;
    if (d->id == p->relay_boot + p->relay_restarts) {
        enum stream_put rc = stream_rx_put(&p->relay_rx, d->off, d->bytes, d->len, d->again);
        if (rc == STREAM_NEW)
            by += NODE_ACK_DELAY_US;
    } else if (p->relay_restarts > 0 && d->id == p->relay_boot + p->relay_restarts - 1) {
        p->relay_stray = true;
    } else {
        return;
    }
    p->relay_ack_by = min_u64(p->relay_ack_by, by);
}

/* What is to be told about the stream, at the time relay_ack_by. */
void relay_rx_sack(struct node *n, unsigned slot, struct wire_sack *s)
{
    struct peer *p = &n->peers[slot];
    *s = (struct wire_sack){.stream = WIRE_STREAM_RELAY, .id = p->relay_boot + p->relay_restarts};
    if (p->relay_stray) {
        s->id--;
        s->restart = true;
        s->contig = p->relay_given_up;
        p->relay_stray = false;
    } else {
        stream_rx_sack(&p->relay_rx, s);
    }
    p->relay_ack_by = RAFT_NEVER;
}

/* The peer that had the memory last lets others go first. */
static bool others_turn(const struct node *n, unsigned slot)
{
    for (unsigned i = 0; n->big.slot == slot && i < n->raft.n_peers; i++)
        if (i != slot && n->peers[i].relay_wants_big && n->peers[i].relay_term == n->raft.term)
            return true;
    return false;
}

/* Memory for a command of `len` bytes, the only one at a time. False when it must wait. */
static bool big_begin(struct node *n, uint64_t now, unsigned slot, size_t len)
{
    struct big *b = &n->big;
    if (b->buf != NULL && n->peers[b->slot].relay_boot != n->raft.peers[b->slot].boot) {
        rx_end(&n->peers[b->slot]); /* of a process that is no more */
        big_end(n);
    }
    if (b->buf == NULL && others_turn(n, slot))
        return false;
    if (b->buf != NULL) {
        struct peer *holder = &n->peers[b->slot];
        uint64_t silent_at = n->raft.peers[b->slot].heard +
                             SILENT_TIMEOUTS * n->raft.cfg.election_timeout;
        if (b->got == b->len || now <= silent_at)
            return false;
        holder->relay_given_up = holder->relay_rx.consumed - b->got - HEAD_BYTES;
        holder->relay_restarts++;
        rx_begin(n, b->slot);
    }
    if ((b->buf = malloc(len)) == NULL)
        return false;
    b->slot = slot;
    b->len = len;
    n->peers[slot].relay_wants_big = false;
    return true;
}

/* Proposes one command. False when it must wait. */
static bool take(struct node *n, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct cmd cmd;
    if (cmd_decode(bytes, len, &cmd) == 0)
        return write_propose(n, now, bytes, len);
    n->drops[DROP_STREAM]++; /* skipped: its origin reports a timeout */
    return true;
}

/* Moves what has arrived of the large command. True when all of it was taken. */
static bool take_big(struct node *n, uint64_t now, struct stream_rx *rx, const uint8_t *bytes,
                     size_t len)
{
    struct big *b = &n->big;
    if (len > b->len - b->got)
        len = b->len - b->got;
    memcpy(b->buf + b->got, bytes, len);
    b->got += len;
    stream_rx_consume(rx, len);
    if (b->got < b->len || !take(n, now, b->buf, b->len))
        return false;
    big_end(n);
    return true;
}

/* Takes the command at the front, or begins with it. False when it is not here, or must wait. */
static bool take_next(struct node *n, uint64_t now, unsigned slot)
{
    struct peer *p = &n->peers[slot];
    struct stream_rx *rx = &p->relay_rx;
    const uint8_t *bytes;
    size_t len;
    stream_rx_ready(rx, &bytes, &len);
    if (big_of(n, slot)) {
        bool taken = take_big(n, now, rx, bytes, len);
        p->relay_waits = !taken && n->big.got == n->big.len;
        return taken;
    }
    if (len < HEAD_BYTES)
        return false;
    size_t cmd_len = get_u32(bytes), size = HEAD_BYTES + cmd_len;
    if (cmd_len > CMD_MAX_BYTES) {
        n->drops[DROP_STREAM]++; /* a bug over there; its stream stays shut in this term */
        p->relay_shut = true;
        return false;
    }
    if (size <= rx->cap / 2) {
        if (len < size)
            return false;
        p->relay_waits = !take(n, now, bytes + HEAD_BYTES, cmd_len);
    } else {
        size = HEAD_BYTES;
        p->relay_wants_big = true;
        p->relay_waits = !big_begin(n, now, slot, cmd_len);
    }
    if (!p->relay_waits)
        stream_rx_consume(rx, size);
    return !p->relay_waits;
}

/* Proposes what has arrived without a gap; what can't be taken now stays and closes the window. */
void relay_rx_drain(struct node *n, uint64_t now, unsigned slot)
{
    struct peer *p = &n->peers[slot];
    if (n->raft.role != RAFT_LEADER || p->relay_term != n->raft.term || p->relay_shut)
        return;
    bool waited = p->relay_waits;
    while (take_next(n, now, slot))
        if (waited)
            p->relay_ack_by = now; /* the window opens again */
}
