/* node_envelope.c: datagrams on their way in and out, as a whole: opened and judged, closed and sent.
 */
#include "net/plain.h"
#include "raftd/node_impl.h"

void drop(struct node *n, unsigned slot, enum drop why)
{
    n->drops[why]++;
    n->peers[slot].drops[why]++;
}

static enum drop drop_of_plain(enum plain_status st)
{
    switch (st) {
    case PLAIN_SHORT: return DROP_SHORT;
    case PLAIN_LONG: return DROP_LONG;
    case PLAIN_VERSION: return DROP_VERSION;
    case PLAIN_CLUSTER: return DROP_CLUSTER;
    case PLAIN_CHECKSUM: return DROP_CHECKSUM;
    case PLAIN_NOT_FOR_US: return DROP_MISDIRECTED;
    case PLAIN_UNKNOWN_SENDER:
    case PLAIN_OK: break;
    }
    return DROP_UNKNOWN;
}

bool envelope_open(struct node *n, uint64_t now, unsigned slot, uint8_t *buf, size_t len,
                   uint8_t **payload, size_t *payload_len)
{
    (void)now;
    struct plain_ends ends = {n->cluster_id, n->raft.peers[slot].id, n->cfg.id};
    enum plain_status st = plain_open(buf, len, &ends);
    if (st != PLAIN_OK) {
        drop(n, slot, drop_of_plain(st));
        return false;
    }
    *payload = buf + PLAIN_HEAD_BYTES;
    *payload_len = len - PLAIN_HEAD_BYTES;
    return true;
}

size_t envelope_room(const struct node *n, unsigned slot)
{
    (void)slot;
    return n->cfg.datagram_bytes - PLAIN_HEAD_BYTES;
}

void envelope_send(struct node *n, uint64_t now, unsigned slot, uint8_t *buf, size_t payload_len)
{
    (void)now;
    struct plain_ends ends = {n->cluster_id, n->cfg.id, n->raft.peers[slot].id};
    uint8_t *at = buf + WIRE_HEAD_ROOM - PLAIN_HEAD_BYTES;
    if (n->io.spy != NULL)
        n->io.spy(n->io.ctx, slot, buf + WIRE_HEAD_ROOM, payload_len);
    n->io.send(n->io.ctx, slot, at, plain_close(at, payload_len, &ends));
}
