/* envelope.c: datagrams as a whole: opened and judged on their way in, closed on their way out;
 * the handshakes that make the keys for both. */
#include <string.h>

#include "net/seal/plain.h"
#include "raftd/base/num.h"
#include "raftd/node/node_impl.h"

_Static_assert((int)SESSION_HEAD_BYTES <= (int)WIRE_HEAD_ROOM &&
                   (int)SESSION_TAG_BYTES <= (int)WIRE_TAIL_ROOM,
               "room for the longest envelope");

void drop(struct node *n, unsigned slot, enum drop why)
{
    n->drops[why]++;
    n->peers[slot].drops[why]++;
}

/* Does what the peer says count? */
static bool counts(struct node *n, unsigned slot)
{
    switch (admit_state(n, slot)) {
    case ADMIT_YES: return true;
    case ADMIT_OTHER_LIST: drop(n, slot, DROP_LIST); break;
    case ADMIT_SILENT:
    case ADMIT_FIRST:
    case ADMIT_OTHER_DISK:
    case ADMIT_NONE:
    case ADMIT_NEW_DISK: drop(n, slot, DROP_DISK); break;
    }
    return false;
}

static bool open_plain(struct node *n, uint64_t now, unsigned slot, uint8_t *buf, size_t len,
                       uint8_t **payload, size_t *payload_len)
{
    const struct plain_ends ends = {
        .cluster = n->cluster_id, .from = n->raft.peers[slot].id, .to = n->cfg.id};
    enum drop st = plain_open(buf, len, &ends);
    if (st != DATAGRAM_DATA) {
        drop(n, slot, st);
        return false;
    }
    const struct about about = plain_about(buf);
    admit_heard(n, now, slot, &about);
    *payload = buf + PLAIN_HEAD_BYTES;
    *payload_len = len - PLAIN_HEAD_BYTES;
    return *payload_len > 0 && counts(n, slot);
}

static void shake(struct node *n, uint64_t now, unsigned slot)
{
    uint8_t buf[WIRE_DATAGRAM_BASE];
    size_t len;
    while ((len = sessions_output(n->sessions, n->raft.peers[slot].id, now, buf, sizeof buf)) > 0)
        n->io.send(n->io.ctx, slot, buf, len);
}

bool envelope_open(struct node *n, uint64_t now, unsigned slot, uint8_t *buf, size_t len,
                   uint8_t **payload, size_t *payload_len)
{
    if (n->sessions == NULL)
        return open_plain(n, now, slot, buf, len, payload, payload_len);
    enum drop st = sessions_open(n->sessions, n->raft.peers[slot].id, now, buf, len, payload,
                                 payload_len);
    if (st == DATAGRAM_STEP || st == DROP_STALE)
        shake(n, now, slot); /* at once: the answer to the next one takes its place */
    if (st == DATAGRAM_STEP || st == DATAGRAM_DATA) {
        const struct about about = sessions_peer_about(n->sessions, n->raft.peers[slot].id);
        admit_heard(n, now, slot, &about);
    }
    if (st == DATAGRAM_STEP)
        return false;
    if (st != DATAGRAM_DATA) {
        drop(n, slot, st);
        return false;
    }
    struct peer *p = &n->peers[slot];
    uint64_t boot = sessions_peer_boot(n->sessions, n->raft.peers[slot].id);
    if (boot != p->session_boot) { /* another process: its stamps and counts begin anew */
        link_reset(&p->link);
        p->session_boot = boot;
    }
    return counts(n, slot);
}

bool envelope_ready(const struct node *n, unsigned slot)
{
    return admit_state(n, slot) == ADMIT_YES &&
           (n->sessions == NULL || sessions_ready(n->sessions, n->raft.peers[slot].id));
}

size_t envelope_room(const struct node *n, size_t datagram)
{
    return datagram - (n->sessions == NULL ? (size_t)PLAIN_HEAD_BYTES
                                           : (size_t)SESSION_HEAD_BYTES + SESSION_TAG_BYTES);
}

static size_t close_plain(const struct node *n, unsigned slot, uint8_t *buf, size_t payload_len)
{
    const struct plain_ends ends = {
        .cluster = n->cluster_id,
        .from = n->cfg.id,
        .to = n->raft.peers[slot].id,
        .about = {n->cfg.storage_id, n->peers[slot].storage, n->voters_digest},
    };
    return plain_close(buf, payload_len, &ends);
}

static void greet(struct node *n, uint64_t now, unsigned slot)
{
    uint8_t buf[PLAIN_HEAD_BYTES];
    n->io.send(n->io.ctx, slot, buf, close_plain(n, slot, buf, 0));
    admit_greeted(n, now, slot);
}

void envelope_send(struct node *n, uint64_t now, unsigned slot, uint8_t *buf, size_t payload_len)
{
    if (n->io.spy != NULL)
        n->io.spy(n->io.ctx, slot, buf + WIRE_HEAD_ROOM, payload_len);
    uint8_t *at;
    size_t len;
    if (n->sessions == NULL) {
        at = buf + WIRE_HEAD_ROOM - PLAIN_HEAD_BYTES;
        len = close_plain(n, slot, at, payload_len);
    } else {
        at = buf + WIRE_HEAD_ROOM - SESSION_HEAD_BYTES;
        len = sessions_seal(n->sessions, n->raft.peers[slot].id, now, at, payload_len);
    }
    if (len > 0) /* else the session has just ended: as if it were lost */
        n->io.send(n->io.ctx, slot, at, len);
}

void envelope_shake(struct node *n, uint64_t now)
{
    if (now < envelope_deadline(n))
        return;
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++) {
        if (n->sessions != NULL)
            shake(n, now, slot);
        else if (now >= admit_greet_at(n, slot))
            greet(n, now, slot);
    }
}

uint64_t envelope_deadline(const struct node *n)
{
    uint64_t at = RAFT_NEVER;
    if (n->sessions != NULL)
        return sessions_deadline(n->sessions);
    for (unsigned slot = 0; slot < n->raft.n_peers; slot++)
        at = min_u64(at, admit_greet_at(n, slot));
    return at;
}

static void session_status(const struct node *n, unsigned slot, struct status_peer *s)
{
    static const enum status_session states[] = {
        [SESSION_STATE_NONE] = STATUS_SESSION_NONE,
        [SESSION_STATE_HANDSHAKE] = STATUS_SESSION_HANDSHAKE,
        [SESSION_STATE_ESTABLISHED] = STATUS_SESSION_ESTABLISHED,
        [SESSION_STATE_WRONG_KEY] = STATUS_SESSION_WRONG_KEY,
    };
    s->session = STATUS_SESSION_PLAIN;
    s->session_overdue_us = UINT64_MAX;
    if (n->sessions == NULL)
        return;
    struct session_info info;
    sessions_info(n->sessions, n->raft.peers[slot].id, &info);
    s->session = states[info.state];
    s->session_us = info.since_us;
    s->session_overdue_us = info.overdue_us;
    s->session_key_id = info.key_id;
}

void envelope_status(const struct node *n, unsigned slot, struct status_peer *s)
{
    session_status(n, slot, s);
    switch (admit_state(n, slot)) {
    case ADMIT_OTHER_LIST: s->session = STATUS_SESSION_OTHER_LIST; break;
    case ADMIT_OTHER_DISK: s->session = STATUS_SESSION_OTHER_DISK; break;
    case ADMIT_NEW_DISK: s->session = STATUS_SESSION_NEW_DISK; break;
    case ADMIT_NONE: s->session = STATUS_SESSION_STAYS_OUT; break;
    case ADMIT_SILENT:
    case ADMIT_FIRST:
    case ADMIT_YES: break;
    }
}

void envelope_keys(const struct node *n, struct status *s)
{
    uint32_t ids[SESSION_KEYS] = {0};
    if (n->sessions != NULL)
        sessions_key_ids(n->sessions, ids);
    s->key_id = ids[0];
    s->next_key_id = ids[1];
}

bool envelope_init(struct node *n, const struct session_keys *keys, uint64_t now)
{
    if (keys == NULL)
        return true;
    struct session_config sc = {
        .cluster = n->cluster_id,
        .self = n->cfg.id,
        .storage = n->cfg.storage_id,
        .voters = n->voters_digest,
        .n_peers = n->raft.n_peers,
        .rekey_us = n->cfg.rekey_us,
        .random = n->io.random,
        .random_ctx = n->io.ctx,
    };
    n->io.random(n->io.ctx, &sc.boot, sizeof sc.boot);
    for (unsigned i = 0; i < n->raft.n_peers; i++)
        sc.peers[i] = n->raft.peers[i].id;
    n->sessions = sessions_new(&sc, keys, now);
    if (n->sessions == NULL)
        return false;
    for (unsigned i = 0; i < n->raft.n_peers; i++)
        sessions_know(n->sessions, n->raft.peers[i].id, n->peers[i].storage);
    return true;
}

void node_set_keys(struct node *n, const struct session_keys *keys, uint64_t now)
{
    sessions_set_keys(n->sessions, keys, now);
}
