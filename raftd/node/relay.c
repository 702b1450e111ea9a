/* relay.c: writes on their way from a follower to the leader, as a stream; both ends.
 *
 * The stream is a row of commands, each behind its length, and belongs to one term and one process
 * of the follower: its id is the process's boot token plus the number of restarts. Each command is
 * handed over once (see write.c).
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

#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/base/bytes.h"
#include "raftd/node/node_impl.h"

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
    return 2 * (size_t)max_u64(window(n), HEAD_BYTES);
}

static void rx_begin(struct node *n, unsigned slot)
{
    struct relay_rx *x = &n->peers[slot].relay;
    if (big_of(n, slot))
        big_end(n);
    stream_rx_init(&x->rx, x->buf, rx_cap(n), (uint32_t)window(n));
    x->waits = x->wants_big = false;
}

/* Nothing more is taken from the peer's stream. */
static void rx_end(struct relay_rx *x)
{
    x->term = x->ack_by = RAFT_NEVER;
}

/* The boot token of a peer that answered our probe names its stream in this term. Late datagrams of
 * its earlier process carry another token and are dropped. */
static void adopt(struct node *n, unsigned slot)
{
    struct relay_rx *x = &n->peers[slot].relay;
    const struct raft_peer *rp = &n->raft.peers[slot];
    if (rp->boot == 0 || rp->epoch == 0 || (x->term == n->raft.term && x->boot == rp->boot))
        return;
    if (x->buf == NULL && (x->buf = malloc(rx_cap(n))) == NULL)
        return; /* its relays are lost, and sent again, until there is memory */
    rx_begin(n, slot);
    x->term = n->raft.term;
    x->boot = rp->boot;
    x->restarts = 0;
    x->shut = x->stray = false;
    x->ack_by = RAFT_NEVER;
}

void relay_rx_end(struct node *n)
{
    big_end(n);
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++) {
        struct relay_rx *x = &n->peers[slot].relay;
        free(x->buf);
        x->buf = NULL;
        rx_end(x);
    }
}

void relay_rx_put(struct node *n, uint64_t now, unsigned slot, const struct wire_data *d)
{
    struct relay_rx *x = &n->peers[slot].relay;
    if (n->raft.role != RAFT_LEADER)
        return;
    adopt(n, slot);
    if (x->term != n->raft.term || x->shut)
        return;
    uint64_t by = now;
    if (d->id == x->boot + x->restarts) {
        enum stream_put rc = stream_rx_put(&x->rx, d->off, d->bytes, d->len, d->again);
        if (rc == STREAM_NEW)
            by += NODE_ACK_DELAY_US;
    } else if (x->restarts > 0 && d->id == x->boot + x->restarts - 1) {
        x->stray = true;
    } else {
        return;
    }
    x->ack_by = min_u64(x->ack_by, by);
}

/* What is to be told about the stream, at the time ack_by. */
void relay_rx_sack(struct node *n, unsigned slot, struct wire_sack *s)
{
    struct relay_rx *x = &n->peers[slot].relay;
    *s = (struct wire_sack){.stream = WIRE_STREAM_RELAY, .id = x->boot + x->restarts};
    if (x->stray) {
        s->id--; /* the stream before */
        s->restart = true;
        s->contig = x->given_up;
        x->stray = false;
    } else {
        stream_rx_sack(&x->rx, s);
    }
    x->ack_by = RAFT_NEVER;
}

/* The peer that had the memory last lets others go first. */
static bool others_turn(const struct node *n, unsigned slot)
{
    for (unsigned i = 0; n->big.slot == slot && i < n->raft.n_peers; i++)
        if (i != slot && n->peers[i].relay.wants_big && n->peers[i].relay.term == n->raft.term)
            return true;
    return false;
}

/* Who has the memory for large commands loses it if it is another process now, or silent. */
static void dispossess(struct node *n, uint64_t now)
{
    struct big *b = &n->big;
    const struct raft_peer *rp = &n->raft.peers[b->slot];
    struct relay_rx *x = &n->peers[b->slot].relay;
    uint64_t silent_at = rp->heard + SILENT_TIMEOUTS * n->raft.cfg.election_timeout;
    if (x->term != n->raft.term || x->boot != rp->boot) {
        rx_end(x);
        big_end(n);
    } else if (b->got < b->len && now > silent_at) {
        x->given_up = x->rx.consumed - b->got - HEAD_BYTES;
        x->restarts++;
        rx_begin(n, b->slot);
    }
}

/* Memory for a command of `len` bytes, the only one at a time. False when it must wait. */
static bool big_begin(struct node *n, uint64_t now, unsigned slot, size_t len)
{
    struct big *b = &n->big;
    if (b->buf != NULL)
        dispossess(n, now);
    else if (others_turn(n, slot))
        return false;
    if (b->buf != NULL || (b->buf = malloc(len)) == NULL)
        return false;
    b->slot = slot;
    b->len = len;
    b->got = 0;
    return true;
}

/* Of the command at the front of a peer's stream. */
enum taken { TAKEN, NOT_HERE, MUST_WAIT };

/* Proposes one command. */
static enum taken take(struct node *n, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct cmd cmd;
    if (cmd_decode(bytes, len, &cmd) == 0)
        return write_propose(n, now, bytes, len) ? TAKEN : MUST_WAIT;
    n->drops[DROP_STREAM]++; /* skipped: its origin reports a timeout */
    return TAKEN;
}

/* Moves what has arrived of the large command. */
static enum taken take_big(struct node *n, uint64_t now, struct stream_rx *rx)
{
    struct big *b = &n->big;
    const uint8_t *bytes;
    size_t len;
    stream_rx_ready(rx, &bytes, &len);
    if (len > b->len - b->got)
        len = b->len - b->got;
    memcpy(b->buf + b->got, bytes, len);
    b->got += len;
    stream_rx_consume(rx, len);
    if (b->got < b->len)
        return NOT_HERE;
    enum taken rc = take(n, now, b->buf, b->len);
    if (rc == TAKEN)
        big_end(n);
    return rc;
}

/* Takes the command at the front, or begins with it. */
static enum taken take_next(struct node *n, uint64_t now, unsigned slot)
{
    struct relay_rx *x = &n->peers[slot].relay;
    const uint8_t *bytes;
    size_t len;
    if (big_of(n, slot))
        return take_big(n, now, &x->rx);
    stream_rx_ready(&x->rx, &bytes, &len);
    if (len < HEAD_BYTES)
        return NOT_HERE;
    size_t cmd_len = get_u32(bytes), size = HEAD_BYTES + cmd_len;
    if (cmd_len > CMD_MAX_BYTES) {
        n->drops[DROP_STREAM]++; /* a bug over there; its stream stays shut in this term */
        x->shut = true;
        return NOT_HERE;
    }
    enum taken rc;
    x->wants_big = size > x->rx.cap / 2;
    if (x->wants_big) {
        size = HEAD_BYTES;
        rc = big_begin(n, now, slot, cmd_len) ? TAKEN : MUST_WAIT;
        x->wants_big = rc == MUST_WAIT;
    } else {
        rc = len < size ? NOT_HERE : take(n, now, bytes + HEAD_BYTES, cmd_len);
    }
    if (rc == TAKEN)
        stream_rx_consume(&x->rx, size);
    return rc;
}

/* Proposes what has arrived without a gap; what can't be taken now stays and closes the window. */
void relay_rx_drain(struct node *n, uint64_t now, unsigned slot)
{
    struct relay_rx *x = &n->peers[slot].relay;
    enum taken rc = TAKEN;
    while (rc == TAKEN && n->raft.role == RAFT_LEADER && x->term == n->raft.term && !x->shut) {
        rc = take_next(n, now, slot);
        if (x->waits && rc == TAKEN)
            x->ack_by = now; /* the window opens again */
        x->waits = rc == MUST_WAIT;
    }
}
