/* relay.c: writes on their way from a follower to the leader, as a stream; both ends.
 *
 * The stream is a row of commands, each behind its length. It belongs to one term and one process of
 * the follower: its id is that process's boot token. Each command is handed over once (see write.c).
 *
 * The leader keeps a buffer of two windows for each follower that relays. While the command at the
 * front is larger than one window, the buffer has room for that command and one window behind it. So
 * it is at most CMD_MAX_BYTES and one window, and only while that follower sends such a value.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/base/bytes.h"
#include "raftd/node/node_impl.h"

enum { HEAD_BYTES = 4 }; /* length before each command */

/* ---- follower ---------------------------------------------------------------------------- */

/* Our stream starts afresh with each leader. */
void relay_tx_sync(struct node *n)
{
    int slot = raft_peer_slot(&n->raft, n->raft.leader);
    if (n->relay_term == n->raft.term)
        return;
    assert(slot >= 0);
    n->relay_term = n->raft.term;
    n->relay.start = n->relay_base = n->relay.end;
    net_start_stream(n, (unsigned)slot, &n->relay_tx, WIRE_STREAM_RELAY);
}

/* Puts one command on the way to the leader. False when it must wait. */
bool relay_tx_put(struct node *n, const uint8_t *cmd, size_t len)
{
    if (n->relay.base == NULL) {
        size_t min = CMD_BESIDE_BYTES + (size_t)n->cfg.max_value_bytes;
        if (ring_init(&n->relay, min + NODE_RELAY_BYTES) < 0)
            return false;
        n->relay_base = 0;
    }
    relay_tx_sync(n);
    n->relay.start = n->relay_base + n->relay_tx.una;
    if (ring_room(&n->relay) < HEAD_BYTES + len)
        return false;
    uint8_t *p = ring_at(&n->relay, n->relay.end);
    put_u32(p, (uint32_t)len);
    memcpy(p + HEAD_BYTES, cmd, len);
    n->relay.end += HEAD_BYTES + len;
    stream_tx_end(&n->relay_tx, n->relay.end - n->relay_base);
    return true;
}

/* ---- leader ------------------------------------------------------------------------------ */

static size_t window(const struct node *n)
{
    return n->cfg.relay_bytes != 0 ? n->cfg.relay_bytes : n->rx_window / n->raft.n_peers;
}

static size_t usual_cap(const struct node *n)
{
    return 2 * (size_t)max_u64(window(n), HEAD_BYTES);
}

/* The boot token of a peer that answered our probe names its stream in this term. Late datagrams of
 * its earlier process carry another token and are dropped. */
static void adopt(struct node *n, unsigned slot)
{
    struct relay_rx *x = &n->peers[slot].relay;
    const struct raft_peer *rp = &n->raft.peers[slot];
    if (rp->boot == 0 || rp->epoch == 0 || (x->term == n->raft.term && x->boot == rp->boot))
        return;
    uint8_t *buf = malloc(usual_cap(n));
    if (buf == NULL)
        return; /* its relays are lost, and sent again, until there is memory */
    free(x->buf);
    *x = (struct relay_rx){
        .buf = buf, .term = n->raft.term, .boot = rp->boot, .ack_by = RAFT_NEVER};
    stream_rx_init(&x->rx, buf, usual_cap(n), (uint32_t)window(n));
}

void relay_rx_end(struct node *n)
{
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++) {
        struct relay_rx *x = &n->peers[slot].relay;
        free(x->buf);
        *x = (struct relay_rx){.term = RAFT_NEVER, .ack_by = RAFT_NEVER};
    }
}

void relay_rx_put(struct node *n, uint64_t now, unsigned slot, const struct wire_data *d)
{
    struct relay_rx *x = &n->peers[slot].relay;
    if (n->raft.role != RAFT_LEADER)
        return;
    adopt(n, slot);
    if (x->term != n->raft.term || x->boot != d->id || x->shut)
        return;
    enum stream_put rc = stream_rx_put(&x->rx, d->off, d->bytes, d->len, d->again);
    x->ack_by = min_u64(x->ack_by, rc == STREAM_NEW ? now + NODE_ACK_DELAY_US : now);
}

/* What is to be told about the stream, at the time ack_by. */
void relay_rx_sack(struct node *n, unsigned slot, struct wire_sack *s)
{
    struct relay_rx *x = &n->peers[slot].relay;
    *s = (struct wire_sack){.stream = WIRE_STREAM_RELAY, .id = x->boot};
    stream_rx_sack(&x->rx, s);
    x->ack_by = RAFT_NEVER;
}

/* Memory for a command of so many bytes with its length, and for a window behind it. False: there is
 * none now. */
static bool fit(struct node *n, struct relay_rx *x, size_t size)
{
    size_t cap = size > window(n) ? size + window(n) : usual_cap(n);
    if (cap == x->rx.cap)
        return true;
    uint8_t *buf = malloc(cap), *former = x->buf;
    if (buf == NULL || !stream_rx_move(&x->rx, buf, cap)) {
        free(buf);
        return x->rx.cap >= size;
    }
    x->buf = buf;
    free(former);
    return true;
}

/* Of the command at the front of a peer's stream. */
enum taken { TAKEN, NOT_HERE, MUST_WAIT };

/* Proposes one command. A peer speaks for its own clients alone: another one's commands are told apart
 * by numbers that it can't know. */
static enum taken take(struct node *n, uint64_t now, unsigned slot, const uint8_t *bytes,
                       size_t len)
{
    struct cmd cmd;
    if (cmd_decode(bytes, len, &cmd) == 0 && cmd.origin == n->raft.peers[slot].id)
        return write_propose(n, now, bytes, len) ? TAKEN : MUST_WAIT;
    n->drops[DROP_STREAM]++; /* skipped: its origin reports a timeout */
    return TAKEN;
}

/* Takes the command at the front. */
static enum taken take_next(struct node *n, uint64_t now, unsigned slot)
{
    struct relay_rx *x = &n->peers[slot].relay;
    const uint8_t *bytes;
    size_t len;
    size_t size = HEAD_BYTES;
    stream_rx_ready(&x->rx, &bytes, &len);
    if (len >= HEAD_BYTES && get_u32(bytes) > CMD_MAX_BYTES) {
        n->drops[DROP_STREAM]++; /* a bug over there; its stream stays shut in this term */
        x->shut = true;
        return NOT_HERE;
    }
    if (len >= HEAD_BYTES)
        size += get_u32(bytes);
    if (!fit(n, x, size))
        return MUST_WAIT;
    stream_rx_ready(&x->rx, &bytes, &len);
    if (len < size)
        return NOT_HERE;
    enum taken rc = take(n, now, slot, bytes + HEAD_BYTES, size - HEAD_BYTES);
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
