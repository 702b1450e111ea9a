#include "raftd/node/envelope.h"

#include <assert.h>
#include <string.h>

#include "net/seal/plain.h"
#include "net/wire.h"
#include "raftd/base/num.h"

_Static_assert((int)SESSION_HEAD_BYTES <= (int)WIRE_HEAD_ROOM &&
                   (int)SESSION_TAG_BYTES <= (int)WIRE_TAIL_ROOM,
               "room for the longest envelope");

bool envelope_add(struct envelope *e, uint64_t now, uint16_t peer)
{
    assert(e->n_peers < RAFT_PEERS_MAX);
    if (e->sessions != NULL && !sessions_add_peer(e->sessions, peer, now))
        return false;
    admit_add(e->admit, peer);
    e->peers[e->n_peers].id = peer;
    e->peers[e->n_peers++].boot = 0;
    envelope_know(e, peer);
    return true;
}

static unsigned place_of(const struct envelope *e, uint16_t peer)
{
    unsigned i = 0;
    while (e->peers[i].id != peer)
        i++;
    return i;
}

void envelope_remove(struct envelope *e, uint16_t peer)
{
    e->peers[place_of(e, peer)] = e->peers[e->n_peers - 1];
    e->n_peers--;
    admit_remove(e->admit, peer);
    if (e->sessions != NULL)
        sessions_remove_peer(e->sessions, peer);
}

uint16_t envelope_whose(const struct envelope *e, uint16_t from, const uint8_t *buf, size_t len)
{
    uint16_t whose = e->sessions != NULL ? sessions_whose(e->sessions, buf, len) : 0;
    return whose != 0 ? whose : from;
}

uint16_t envelope_stranger(const struct envelope *e, const uint8_t *buf, size_t len)
{
    if (e->sessions != NULL)
        return sessions_stranger(e->sessions, buf, len);
    uint16_t from = plain_from(buf, len);
    const struct plain_ends ends = {.cluster = e->cluster, .from = from, .to = e->cfg->id};
    return from != e->cfg->id && plain_open(buf, len, &ends) == DATAGRAM_DATA ? from : 0;
}

/* Does what the peer says count? */
static enum drop judge(const struct envelope *e, uint16_t peer)
{
    switch (admit_state(e->admit, peer)) {
    case ADMIT_YES: break;
    case ADMIT_OTHER_CLUSTER:
    case ADMIT_OTHER_LIST: return DROP_LIST;
    case ADMIT_SILENT:
    case ADMIT_FIRST:
    case ADMIT_OTHER_DISK:
    case ADMIT_NONE:
    case ADMIT_CLONED:
    case ADMIT_NEW_DISK: return DROP_DISK;
    }
    return DATAGRAM_DATA;
}

static enum drop open_plain(struct envelope *e, uint64_t now, uint16_t from, uint8_t *buf,
                            size_t len, uint8_t **payload, size_t *payload_len)
{
    const struct plain_ends ends = {.cluster = e->cluster, .from = from, .to = e->cfg->id};
    enum drop st = plain_open(buf, len, &ends);
    if (st != DATAGRAM_DATA)
        return st;
    const struct about about = plain_about(buf);
    admit_heard(e->admit, now, from, plain_key(buf), &about);
    *payload = buf + PLAIN_HEAD_BYTES;
    *payload_len = len - PLAIN_HEAD_BYTES;
    return *payload_len > 0 ? judge(e, from) : DATAGRAM_STEP;
}

static void shake(struct envelope *e, uint64_t now, uint16_t peer)
{
    uint8_t buf[WIRE_DATAGRAM_BASE];
    size_t len;
    while ((len = sessions_output(e->sessions, peer, now, buf, sizeof buf)) > 0)
        if (e->io->reply != NULL && sessions_is_reply(buf))
            e->io->reply(e->io->ctx, buf, len);
        else
            e->io->send(e->io->ctx, peer, buf, len);
}

/* Does the peer's session belong to another process than before? */
static bool other_process(struct envelope *e, uint16_t peer)
{
    uint64_t boot = sessions_peer_boot(e->sessions, peer);
    unsigned i = place_of(e, peer);
    bool other = e->peers[i].boot != boot;
    e->peers[i].boot = boot;
    return other;
}

enum drop envelope_open(struct envelope *e, uint64_t now, uint16_t from, uint8_t *buf, size_t len,
                        uint8_t **payload, size_t *payload_len, bool *another)
{
    *another = false;
    if (e->sessions == NULL)
        return open_plain(e, now, from, buf, len, payload, payload_len);
    enum drop st = sessions_open(e->sessions, from, now, buf, len, payload, payload_len);
    if (sessions_other_boot(e->sessions, from) != 0)
        admit_process(e->admit, now, from, sessions_other_boot(e->sessions, from));
    if (sessions_newest(e->sessions, from)) { /* an older session may be of a box that is gone */
        const struct about about = sessions_peer_about(e->sessions, from);
        admit_heard(e->admit, now, from, sessions_peer_key(e->sessions, from), &about);
        admit_process(e->admit, now, from, sessions_peer_boot(e->sessions, from));
        enum admit_state is = admit_state(e->admit, from);
        sessions_cloned(e->sessions, from, is == ADMIT_CLONED);
        if (e->io->here != NULL && is != ADMIT_OTHER_DISK && is != ADMIT_OTHER_CLUSTER)
            e->io->here(e->io->ctx, from);
    }
    if (st == DATAGRAM_STEP || st == DROP_STALE)
        shake(e, now, from); /* send now: the session keeps one answer only */
    if (st != DATAGRAM_DATA)
        return st;
    *another = other_process(e, from);
    return judge(e, from);
}

bool envelope_ready(const struct envelope *e, uint16_t peer)
{
    return admit_state(e->admit, peer) == ADMIT_YES &&
           (e->sessions == NULL || sessions_ready(e->sessions, peer));
}

uint32_t envelope_bytes(const struct envelope *e)
{
    return e->sessions == NULL ? (uint32_t)PLAIN_HEAD_BYTES : (uint32_t)SESSION_EXTRA_BYTES;
}

static size_t close_plain(const struct envelope *e, uint16_t to, uint8_t *buf, size_t payload_len)
{
    struct plain_ends ends = {
        .cluster = e->cluster,
        .from = e->cfg->id,
        .to = to,
        .about = admit_about(e->admit, to),
    };
    memcpy(ends.key, e->cfg->key, sizeof ends.key);
    return plain_close(buf, payload_len, &ends);
}

static void greet(struct envelope *e, uint64_t now, uint16_t peer)
{
    uint8_t buf[PLAIN_HEAD_BYTES];
    e->io->send(e->io->ctx, peer, buf, close_plain(e, peer, buf, 0));
    admit_greeted(e->admit, now, peer);
}

void envelope_send(struct envelope *e, uint64_t now, uint16_t to, uint8_t *buf, size_t payload_len)
{
    if (e->io->spy != NULL)
        e->io->spy(e->io->ctx, to, buf + WIRE_HEAD_ROOM, payload_len);
    uint8_t *at;
    size_t len;
    if (e->sessions == NULL) {
        at = buf + WIRE_HEAD_ROOM - PLAIN_HEAD_BYTES;
        len = close_plain(e, to, at, payload_len);
    } else {
        at = buf + WIRE_HEAD_ROOM - SESSION_HEAD_BYTES;
        len = sessions_seal(e->sessions, to, now, at, payload_len);
    }
    if (len > 0) /* else the session has just ended: as if it were lost */
        e->io->send(e->io->ctx, to, at, len);
}

void envelope_shake(struct envelope *e, uint64_t now)
{
    if (now < envelope_deadline(e))
        return;
    for (unsigned i = 0; i < e->n_peers; i++) {
        if (e->sessions != NULL)
            shake(e, now, e->peers[i].id);
        else if (now >= admit_greet_at(e->admit, e->peers[i].id))
            greet(e, now, e->peers[i].id);
    }
}

uint64_t envelope_deadline(const struct envelope *e)
{
    uint64_t at = NEVER;
    if (e->sessions != NULL)
        return sessions_deadline(e->sessions);
    for (unsigned i = 0; i < e->n_peers; i++)
        at = min_u64(at, admit_greet_at(e->admit, e->peers[i].id));
    return at;
}

static void session_status(const struct envelope *e, uint16_t peer, struct status_peer *s)
{
    static const enum status_session states[] = {
        [SESSION_STATE_NONE] = STATUS_SESSION_NONE,
        [SESSION_STATE_HANDSHAKE] = STATUS_SESSION_HANDSHAKE,
        [SESSION_STATE_ESTABLISHED] = STATUS_SESSION_ESTABLISHED,
        [SESSION_STATE_WRONG_KEY] = STATUS_SESSION_WRONG_KEY,
    };
    s->session = STATUS_SESSION_PLAIN;
    s->session_overdue_us = UINT64_MAX;
    if (e->sessions == NULL)
        return;
    struct session_info info;
    sessions_info(e->sessions, peer, &info);
    s->session = states[info.state];
    s->session_us = info.since_us;
    s->session_overdue_us = info.overdue_us;
    s->session_key_id = info.key_id;
}

void envelope_status(const struct envelope *e, uint16_t peer, struct status_peer *s)
{
    session_status(e, peer, s);
    switch (admit_state(e->admit, peer)) {
    case ADMIT_OTHER_CLUSTER: s->session = STATUS_SESSION_OTHER_CLUSTER; break;
    case ADMIT_OTHER_LIST: s->session = STATUS_SESSION_OTHER_LIST; break;
    case ADMIT_OTHER_DISK: s->session = STATUS_SESSION_OTHER_DISK; break;
    case ADMIT_NEW_DISK: s->session = STATUS_SESSION_NEW_DISK; break;
    case ADMIT_NONE: s->session = STATUS_SESSION_STAYS_OUT; break;
    case ADMIT_CLONED: s->session = STATUS_SESSION_CLONED; break;
    case ADMIT_SILENT:
    case ADMIT_FIRST:
    case ADMIT_YES:
        if (e->sessions != NULL && sessions_we_are_cloned(e->sessions, peer))
            s->session = STATUS_SESSION_OWN_CLONE;
    }
}

void envelope_keys(const struct envelope *e, struct status *s)
{
    uint32_t ids[SESSION_KEYS] = {0};
    if (e->sessions != NULL)
        sessions_key_ids(e->sessions, ids);
    s->key_id = ids[0];
    s->next_key_id = ids[1];
}

uint64_t envelope_incarnation(const struct envelope *e, uint16_t peer)
{
    return about_handle(admit_key(e->admit, peer));
}

void envelope_know(struct envelope *e, uint16_t peer)
{
    if (e->sessions != NULL)
        sessions_know(e->sessions, peer, admit_key(e->admit, peer));
}

void envelope_follow(struct envelope *e, const struct members_at *m, bool settled)
{
    admit_follow(e->admit, m, settled);
    if (e->sessions == NULL)
        return;
    sessions_members(e->sessions, e->admit->members, e->admit->voters);
    for (unsigned i = 0; i < e->n_peers; i++)
        envelope_know(e, e->peers[i].id);
}

bool envelope_init(struct envelope *e, const struct node_config *cfg, const struct node_io *io,
                   struct admit *admit, const struct session_keys *keys)
{
    *e = (struct envelope){
        .cfg = cfg, .io = io, .admit = admit, .cluster = wire_cluster_id(cfg->cluster)};
    struct session_config sc = {
        .cluster = e->cluster,
        .self = cfg->id,
        .voters = admit->voters,
        .rekey_us = cfg->rekey_us,
        .random = io->random,
        .random_ctx = io->ctx,
    };
    if (keys == NULL)
        return true;
    io->random(io->ctx, &sc.boot, sizeof sc.boot);
    e->sessions = sessions_new(&sc, keys);
    return e->sessions != NULL;
}

void envelope_free(struct envelope *e)
{
    sessions_free(e->sessions);
}

void envelope_set_keys(struct envelope *e, const struct session_keys *keys, uint64_t now)
{
    sessions_set_keys(e->sessions, keys, now);
}
