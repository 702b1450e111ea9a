/* node.c: a node's life, and the order of things in one iteration. */
#include "raftd/node/node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/node/admit.h"
#include "raftd/node/catch_up.h"
#include "raftd/node/changes.h"
#include "raftd/node/digests.h"
#include "raftd/node/envelope.h"
#include "raftd/node/frees.h"
#include "raftd/node/keeper.h"
#include "raftd/node/lease.h"
#include "raftd/node/links.h"
#include "raftd/node/log_in.h"
#include "raftd/node/peer.h"
#include "raftd/node/reads.h"
#include "raftd/node/receive.h"
#include "raftd/node/relay.h"
#include "raftd/node/replica.h"
#include "raftd/node/roster.h"
#include "raftd/node/send.h"
#include "raftd/node/vitals.h"
#include "raftd/node/writes.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

enum {
    LATE_US = 20000,        /* a process that is so far behind its deadline was stopped */
    GUEST_US = 10000000,    /* a peer that the core does not know goes after so long a silence */
    NO_MEMORY_US = 1000000, /* after so long a peer without memory is tried again */
    SEEN_TIMEOUTS = 4,      /* election timeouts after which a silent node may be gone */
};

_Static_assert((int)NODE_ADDRS == (int)MEMBER_ADDRS &&
                   (int)NODE_ADDR_BYTES == (int)MEMBER_ADDR_BYTES &&
                   (int)STATUS_ADDR_BYTES == MEMBER_ADDRS * (MEMBER_ADDR_BYTES + 1),
               "a member's addresses");

struct node {
    struct node_config cfg;
    struct node_io io;
    struct kv *kv;
    struct machine *machine; /* on kv */
    uint64_t start_us;

    struct replica replica;
    struct catch_up catch_up;
    struct images images;
    struct log_in log_in;
    struct snap_in snap_in;
    struct relay_out relay_out;
    struct peers peers;
    struct peer_ground ground;
    uint64_t follow_at; /* when to look at the peers though the core's are the same; NEVER = not */
    uint16_t no_memory; /* id of a peer for which memory was short; 0 = none */
    struct admit admit;
    struct envelope envelope;
    struct links links;
    struct digests digests;
    struct reads reads;
    struct writes writes;
    struct keeper keeper;
    struct changes changes;
    struct lease lease;
    struct frees frees;
    struct vitals vitals;
    struct sender sender;
    struct receiver receiver;

    struct raft_msg waiting[RAFT_MSGS_MAX]; /* messages that wait for batch waiting_seq */
    size_t n_waiting;
    uint64_t waiting_seq;
    unsigned turn;   /* whose writes are proposed first: a peer's place, or n for local ones */
    bool unfinished; /* the flush left something that is to be done at once */
    uint64_t uncommitted_since; /* leader: since when entries wait for a commit; 0 = none does */
    uint64_t commit_seen;       /* commit index at the last flush */
    bool tail_dropped;          /* recovery found the last write cut or damaged */
    uint64_t reads_from; /* local reads begin when this index is applied; 0 = not known yet */
    bool local_reads;    /* they have begun */
    bool diverged;       /* the owner was told that our state is wrong */
    uint64_t due;        /* the deadline as of the last flush */
    uint64_t received;   /* datagrams */
    uint64_t unknown;    /* datagrams that are of no peer */
};

/* Tells the peer and the owner what the newest configuration says of the peer. */
static void introduce(struct node *n, uint16_t id)
{
    const struct member *m = members_find(&replica_members(&n->replica)->members, id);
    peer_named(peers_find(&n->peers, id), m);
    if (n->io.peer_is != NULL)
        n->io.peer_is(n->io.ctx, id, m);
}

/* Adds a peer and all that belongs to it. False: memory is short, or the disk still reads for peers that are
 * gone. */
static bool come(struct node *n, uint64_t now, uint16_t id)
{
    if (!envelope_add(&n->envelope, now, id))
        return false;
    struct peer *p = peers_add(&n->peers, &n->ground, now, id);
    if (p == NULL) {
        envelope_remove(&n->envelope, id);
        return false;
    }
    links_add(&n->links, now, id, &p->path.link);
    envelope_follow(&n->envelope, replica_members(&n->replica), replica_settled(&n->replica));
    introduce(n, id);
    return true;
}

/* Removes a peer. Messages that wait for the disk go with it: they are not for the next peer of that id. */
static void go(struct node *n, struct peer *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->n_waiting; i++)
        if (n->waiting[i].to != p->id)
            n->waiting[kept++] = n->waiting[i];
    n->n_waiting = kept;
    if (n->io.peer_went != NULL)
        n->io.peer_went(n->io.ctx, p->id);
    links_remove(&n->links, p->id);
    envelope_remove(&n->envelope, p->id);
    peers_remove(&n->peers, &n->ground, p);
}

static uint64_t leaves_at(const struct peer *p)
{
    const struct link *l = &p->path.link;
    return (l->has_peer ? max_u64(p->since, l->peer_ts_at) : p->since) + GUEST_US;
}

/* Of the peers that the core does not know, the one that was silent for longest. */
static struct peer *oldest_guest(const struct node *n)
{
    struct peer *oldest = NULL;
    for (unsigned i = 0; i < n->peers.n; i++) {
        struct peer *p = n->peers.all[i];
        if (p->core == 0 && (oldest == NULL || leaves_at(p) < leaves_at(oldest)))
            oldest = p;
    }
    return oldest;
}

/* Adds a peer that may speak to us; the core decides whether it becomes its peer, too. NULL: no room. */
static struct peer *meet(struct node *n, uint64_t now, uint16_t id)
{
    if (n->peers.n == RAFT_PEERS_MAX && oldest_guest(n) != NULL)
        go(n, oldest_guest(n));
    return n->peers.n < RAFT_PEERS_MAX && come(n, now, id) ? peers_find(&n->peers, id) : NULL;
}

/* Did the core drop the peer, or put another one in its place? Or did the core never know it, and it fell
 * silent? */
static bool is_over(const struct node *n, uint64_t now, struct peer *p)
{
    const struct raft_peer *rp = replica_peer(&n->replica, p->id);
    uint64_t core = rp->id != 0 ? (uint64_t)rp->generation + 1 : 0;
    if (p->core == 0 && core == 0)
        return now >= leaves_at(p);
    if (p->core == 0)
        p->core = core;
    return p->core != core;
}

/* Peers come and go with those of the core. */
static void follow(struct node *n, uint64_t now)
{
    const struct raft *r = replica_raft(&n->replica);
    if (replica_members_changed(&n->replica)) {
        links_follow(&n->links);
        envelope_follow(&n->envelope, replica_members(&n->replica), replica_settled(&n->replica));
        digests_follow(&n->digests, &r->members);
        for (unsigned i = 0; i < n->peers.n; i++)
            introduce(n, n->peers.all[i]->id);
    } else if (now < n->follow_at) {
        return;
    }
    n->follow_at = NEVER;
    n->no_memory = 0;
    for (unsigned i = n->peers.n; i-- > 0;)
        if (is_over(n, now, n->peers.all[i]))
            go(n, n->peers.all[i]);
    for (unsigned i = 0; i < r->n_peers; i++) {
        uint16_t id = r->peers[i].id;
        struct peer *p = id == 0 ? NULL : peers_find(&n->peers, id);
        if (id != 0 && p == NULL && (p = meet(n, now, id)) == NULL) {
            n->no_memory = id;
            n->follow_at = now + NO_MEMORY_US;
        } else if (p != NULL) {
            p->core = (uint64_t)r->peers[i].generation + 1;
        }
    }
    struct peer *guest = oldest_guest(n);
    if (guest != NULL)
        n->follow_at = min_u64(n->follow_at, leaves_at(guest));
}

/* For a change of members: which directory speaks under that id, and whether it is there. */
static struct member_seen seen(const void *ctx, uint64_t now, uint16_t id)
{
    const struct node *n = ctx;
    const struct peer *p = peers_find(&n->peers, id);
    struct member_seen s = {.lately = false};
    if (p == NULL)
        return s;
    memcpy(s.key, admit_shown(&n->admit, id), sizeof s.key);
    const struct link *l = &p->path.link;
    s.lately = l->has_peer && now < l->peer_ts_at + SEEN_TIMEOUTS * n->cfg.election_timeout_us;
    s.silent_us = now - (l->has_peer ? max_u64(p->since, l->peer_ts_at) : p->since);
    return s;
}

static void note_digest(struct node *n, bool snapshot)
{
    uint8_t digest[MACHINE_DIGEST_BYTES];
    machine_digest(n->machine, digest);
    digests_note(&n->digests, machine_applied(n->machine), digest, snapshot);
}

static bool start(struct node *n, const struct wal_report *wal, const struct snapshot_name *newest,
                  const struct session_keys *keys)
{
    const struct node_config *cfg = &n->cfg;
    uint32_t rx_window = NODE_WINDOW_BYTES;
    if (cfg->rx_bytes != 0)
        rx_window = (uint32_t)min_u64(rx_window, cfg->rx_bytes);
    relay_out_init(&n->relay_out, &n->replica, CMD_BESIDE_BYTES + (size_t)cfg->max_value_bytes);
    admit_init(&n->admit, cfg, &n->io, keys == NULL);
    links_init(&n->links, cfg, &n->replica, n->start_us);
    reads_begin(&n->reads, cfg->boot);
    writes_init(&n->writes, cfg, &n->io, &n->replica, &n->relay_out, n->machine);
    keeper_init(&n->keeper, &n->replica, n->machine);
    changes_init(&n->changes, cfg, &n->io, &n->replica, seen, n);
    vitals_init(&n->vitals, &n->replica, &n->envelope, &n->links, &n->peers, n->start_us);
    lease_init(&n->lease, replica_raft(&n->replica), writes_process(&n->writes), cfg->lease_us);
    frees_init(&n->frees, &n->keeper, &n->lease, n->machine);
    n->sender = (struct sender){&n->replica, &n->envelope, &n->links, &n->digests, &n->changes,
                                &n->lease,   &n->vitals,   &n->peers, &n->io};
    n->receiver = (struct receiver){cfg,        &n->replica, &n->envelope, &n->links, &n->digests,
                                    &n->log_in, &n->snap_in, &n->changes,  &n->lease, &n->vitals};
    bool memory = replica_init(&n->replica, cfg, &n->io, wal, machine_applied(n->machine),
                               machine_cluster_ms(n->machine), n->start_us);
    images_init(&n->images, cfg, &n->io, &n->replica, n->machine, wal, newest);
    snap_in_init(&n->snap_in, &n->replica, &n->io, rx_window);
    log_in_init(&n->log_in, &n->replica, rx_window);
    memory = memory && envelope_init(&n->envelope, cfg, &n->io, &n->admit, keys);
    n->ground = (struct peer_ground){
        .cfg = cfg,
        .io = &n->io,
        .replica = &n->replica,
        .catch_up = &n->catch_up,
        .images = &n->images,
        .log_in = &n->log_in,
        .snap_in = &n->snap_in,
        .relay_out = &n->relay_out,
        .envelope_bytes = envelope_bytes(&n->envelope),
        .rx_window = rx_window,
    };
    if (!memory)
        return false;
    digests_init(&n->digests, &replica_raft(&n->replica)->members, cfg->id, cfg->digest_every);
    note_digest(n, true);
    links_follow(&n->links);
    follow(n, n->start_us);
    return n->no_memory == 0;
}

struct node *node_new(const struct node_config *cfg, const struct node_io *io,
                      const struct wal_report *wal, const struct snapshot_name *newest,
                      const struct session_keys *keys, struct kv *kv, struct machine *machine,
                      uint64_t now)
{
    struct node *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->cfg = *cfg;
    /* Plain datagrams of an earlier process may come late, with stamps of another clock, and would make all
     * present ones look late. Besides, plain text can be forged. */
    n->cfg.take_held |= keys == NULL;
    if (n->cfg.batch_bytes == 0)
        n->cfg.batch_bytes = NODE_BATCH_BYTES_MAX;
    if (n->cfg.lease_us == 0)
        n->cfg.lease_us = LEASE_DEFAULT_US;
    if (n->cfg.datagram_bytes == 0)
        n->cfg.datagram_bytes = WIRE_DATAGRAM_BASE;
    assert(n->cfg.datagram_bytes <= WIRE_DATAGRAM_MAX);
    assert(cfg->max_data_bytes == 0 || (cfg->max_data_bytes >= CMD_LIMIT_BYTES &&
                                        cfg->max_data_bytes / CMD_LIMIT_BYTES <= UINT16_MAX));
    n->io = *io;
    n->kv = kv;
    n->start_us = now;
    n->due = NEVER;
    n->reads_from = max_u64(wal->commit, machine_applied(machine));
    n->tail_dropped = wal->verdict == WAL_TORN;
    n->machine = machine;
    if (start(n, wal, newest, keys))
        return n;
    node_free(n);
    return NULL;
}

void node_free(struct node *n)
{
    writes_stop(&n->writes);
    changes_stop(&n->changes);
    peers_free(&n->peers);
    envelope_free(&n->envelope);
    relay_out_free(&n->relay_out);
    log_in_free(&n->log_in);
    snap_in_free(&n->snap_in);
    images_free(&n->images);
    replica_free(&n->replica);
    free(n);
}

void node_set_keys(struct node *n, const struct session_keys *keys, uint64_t now)
{
    envelope_set_keys(&n->envelope, keys, now);
}

/* Meets a node that speaks to us first: maybe we do not know the newest members. NULL: it may not. */
static struct peer *stranger(struct node *n, uint64_t now, const uint8_t *buf, size_t len)
{
    uint16_t id = envelope_stranger(&n->envelope, buf, len);
    if (id == 0 || peers_find(&n->peers, id) != NULL)
        return NULL;
    struct peer *p = meet(n, now, id);
    n->follow_at = min_u64(n->follow_at, now + GUEST_US);
    return p;
}

bool node_datagram(struct node *n, uint64_t now, uint16_t from, uint8_t *buf, size_t len)
{
    n->received++;
    if (now > LATE_US && now - LATE_US > n->due) {
        for (unsigned i = 0; i < n->peers.n; i++)
            link_late(&n->peers.all[i]->path.link, now);
        n->due = now;
    }
    struct peer *p = peers_find(&n->peers, envelope_whose(&n->envelope, from, buf, len));
    if (p == NULL)
        p = stranger(n, now, buf, len);
    if (p != NULL)
        receive(&n->receiver, now, p, buf, len);
    else
        n->unknown++;
    return p != NULL;
}

void node_write(struct node *n, uint64_t now, struct request *req)
{
    writes_add(&n->writes, now, req);
}

void node_change(struct node *n, uint64_t now, struct request *req)
{
    changes_ask(&n->changes, now, req);
}

void node_self(struct node *n, struct status *s)
{
    vitals_self(&n->vitals, s);
}

uint64_t node_read(struct node *n, uint64_t now)
{
    uint64_t read = reads_number(&n->reads);
    replica_step(&n->replica, now,
                 &(struct raft_event){.type = RAFT_EV_READ, .read = {.req = read}});
    return read;
}

/* Local reads wait until a restarted node has replayed what it knew, or a new one has what its leader had
 * committed. Before that they would show an old state, and keys would seem to be absent. */
static void open_local_reads(struct node *n)
{
    if (n->reads_from == 0)
        n->reads_from = replica_raft(&n->replica)->leader_commit;
    if (n->reads_from != 0 && replica_applied(&n->replica) >= n->reads_from)
        n->local_reads = true;
}

bool node_local_reads(const struct node *n)
{
    return n->local_reads && n->digests.verdict == DIGESTS_AGREE;
}

uint64_t node_lease_until(const struct node *n)
{
    uint64_t shortest_us = links_least(&n->links, WIRE_LEASE_MS) * 1000;
    return node_local_reads(n) ? lease_until(&n->lease, shortest_us) : 0;
}

uint64_t node_cluster_ahead_us(const struct node *n)
{
    return cluster_time_ahead_us(replica_time(&n->replica));
}

void node_stopping(struct node *n)
{
    replica_stopping(&n->replica);
}

void node_persisted(struct node *n, uint64_t now, uint64_t seq)
{
    replica_persisted(&n->replica, now, seq);
    if (seq == 0)
        return;
    if (n->waiting_seq == seq) {
        size_t count = n->n_waiting;
        n->n_waiting = 0;
        n->waiting_seq = 0;
        send_all(&n->sender, now, n->waiting, count);
    }
    log_in_drain(&n->log_in, now); /* there may be room again */
}

void node_no_room(struct node *n, uint64_t now, uint64_t seq)
{
    if (seq != 0 && n->waiting_seq == seq)
        n->n_waiting = 0;
    replica_no_room(&n->replica, now, seq);
}

void node_fetched(struct node *n, uint64_t now, struct node_fetch what, size_t len,
                  const struct wal_pos *next)
{
    (void)now;
    struct peer *p = peers_asked(&n->peers, what);
    if (what.peer == 0)
        replica_fetched(&n->replica, len);
    else if (p != NULL)
        log_out_fetched(&p->log, what.generation, len, next);
    peers_bury(&n->peers);
}

void node_remembered(struct node *n, uint64_t now, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES],
                     bool done)
{
    admit_remembered(&n->admit, now, id, key, done);
    if (peers_find(&n->peers, id) != NULL)
        envelope_know(&n->envelope, id);
}

void node_imaged(struct node *n, uint64_t now, const struct snapshot_name *name)
{
    images_done(&n->images, now, name);
}

void node_snap_read(struct node *n, uint64_t now, struct node_fetch what, size_t len)
{
    (void)now;
    struct peer *p = peers_asked(&n->peers, what);
    if (len == 0)
        images_lost(&n->images);
    if (p != NULL)
        snap_out_read(&p->snapshot, what.generation, len);
    peers_bury(&n->peers);
}

void node_snap_have(struct node *n, uint64_t now, uint64_t have)
{
    snap_in_have(&n->snap_in, now, have);
}

void node_snap_written(struct node *n, uint64_t now, bool done)
{
    snap_in_written(&n->snap_in, now, done);
}

/* A snapshot keeps the outcomes of writes, so local clients whose writes are in it get their answers. */
void node_snap_installed(struct node *n, uint64_t now, const struct snapshot_head *head,
                         struct image_load *state)
{
    snap_in_done(&n->snap_in, now, head != NULL);
    if (replica_install(&n->replica, now, head)) {
        assert(head != NULL);
        machine_replace(n->machine, state, head->index, head->cluster_ms);
        note_digest(n, true);
        writes_installed(&n->writes);
        writes_published(&n->writes);
    } else if (state != NULL) {
        machine_discard(n->machine, state);
    }
    if (head != NULL)
        images_installed(&n->images, snap_in_name(&n->snap_in));
}

void node_transfer(struct node *n, uint64_t now, uint16_t from, uint16_t heir)
{
    replica_step(
        &n->replica, now,
        &(struct raft_event){.type = RAFT_EV_TRANSFER, .transfer = {.from = from, .heir = heir}});
}

void node_drain(struct node *n, uint64_t now)
{
    replica_step(&n->replica, now,
                 &(struct raft_event){.type = RAFT_EV_TRANSFER,
                                      .transfer = {.from = n->cfg.id, .drain = true}});
}

void node_snapshot(struct node *n)
{
    images_ask(&n->images);
}

void node_refused(struct node *n, uint64_t now, uint16_t to, size_t len)
{
    struct peer *p = peers_find(&n->peers, to);
    assert(len <= UINT32_MAX);
    if (p != NULL)
        mtu_refused(&p->path.mtu, now, (uint32_t)len);
}

void node_closed(struct node *n, uint64_t now, uint16_t id)
{
    replica_step(&n->replica, now, &(struct raft_event){.type = RAFT_EV_CLOSED, .closed = id});
}

void node_rxq_dropped(struct node *n)
{
    for (unsigned i = 0; i < n->peers.n; i++)
        link_rxq_dropped(&n->peers.all[i]->path.link);
}

/* A leader that a majority hears stays, though it may commit nothing because disks hang or a path does not
 * carry large datagrams. No other leader could do better, but people should know. */
static void watch_commits(struct node *n, uint64_t now)
{
    const struct raft *r = replica_raft(&n->replica);
    if (r->role != RAFT_LEADER || r->commit_index == r->trail.last)
        n->uncommitted_since = 0;
    else if (n->uncommitted_since == 0 || r->commit_index != n->commit_seen)
        n->uncommitted_since = now;
    n->commit_seen = r->commit_index;
}

/* Takes what peers relayed and what local clients want, each in turn first when there is not room
 * for all. */
static void take_writes(struct node *n, uint64_t now)
{
    unsigned sources = n->peers.n + 1;
    bool leads = replica_raft(&n->replica)->role == RAFT_LEADER;
    for (unsigned i = 0; !leads && i < n->peers.n; i++) {
        relay_in_end(&n->peers.all[i]->relay);
        log_out_end(&n->peers.all[i]->log);
        snap_out_end(&n->peers.all[i]->snapshot);
    }
    if (n->digests.verdict != DIGESTS_AGREE)
        return; /* their outcome would be worked out from a state that may be wrong */
    n->turn = (n->turn + 1) % sources;
    for (unsigned i = 0; i < sources; i++) {
        unsigned source = (n->turn + i) % sources;
        if (source == n->peers.n)
            writes_send(&n->writes, now);
        else
            relay_in_drain(&n->peers.all[source]->relay, now);
    }
    keeper_step(&n->keeper, now);
}

/* As machine_listener.hear(). */
static void told(void *ctx, const struct applied *a, const struct told *told, unsigned operations)
{
    struct node *n = ctx;
    if (a->origin == n->cfg.id)
        writes_told(&n->writes, a, told, operations);
}

/* Returns how many keys and claims it ended. */
static unsigned apply_one(struct node *n, const struct record *rec)
{
    const struct machine_listener listener = {told, n};
    struct applied a;
    if (rec->type != RECORD_COMMAND) {
        machine_pass(n->machine, rec->index, rec->cluster_ms);
        return 0;
    }
    if (!machine_apply(n->machine, rec->index, rec->cluster_ms, rec->data, rec->data_len, &listener,
                       &a))
        node_out_of_memory(&n->io, "a committed entry can't be applied");
    struct peer *p = peers_find(&n->peers, a.origin);
    if (a.origin == n->cfg.id)
        n->unfinished |= writes_applied(&n->writes, &a);
    else if (p != NULL && replica_raft(&n->replica)->role == RAFT_LEADER)
        debts_wait(&p->debts);
    return a.ended;
}

/* Applies what is committed (figure 3.1, "All servers"), or the next part of it. */
static void apply(struct node *n, uint64_t now)
{
    struct record rec;
    unsigned count = 0;
    size_t bytes = 0;
    while (count < NODE_APPLY_MAX && bytes < NODE_APPLY_BYTES_MAX &&
           replica_next(&n->replica, &rec)) {
        count += 1 + apply_one(n, &rec);
        note_digest(n, false);
        bytes += rec.data_len;
    }
    if (count == 0)
        return;
    if (!machine_publish(n->machine))
        node_out_of_memory(&n->io, "committed entries can't be shown");
    writes_published(&n->writes);
    n->unfinished |= count >= NODE_APPLY_MAX || bytes >= NODE_APPLY_BYTES_MAX;
    for (unsigned i = 0; i < n->peers.n; i++)
        if (debts_applied(&n->peers.all[i]->debts, now))
            send_to(&n->sender, now, n->peers.all[i]); /* its clients wait for the commit index */
}

/* Does what the core wants done. */
static void do_ready(struct node *n, uint64_t now)
{
    struct raft_ready rd;
    replica_ready(&n->replica, now, &rd);
    if (rd.persist.seq != 0) {
        assert(n->n_waiting == 0);
        memcpy(n->waiting, rd.after, rd.n_after * sizeof n->waiting[0]);
        n->n_waiting = rd.n_after;
        n->waiting_seq = rd.persist.seq;
    }
    send_all(&n->sender, now, rd.now, rd.n_now);
    if (rd.persist.seq != 0)
        replica_persist(&n->replica, &rd.persist);
    if (rd.read)
        reads_add(&n->reads, rd.read_req, rd.read_index);
    replica_advance(&n->replica, now, &rd);
}

/* Where the states of nodes differ, a node whose state may be wrong applies nothing more, and one whose state
 * is wrong ends. */
static bool state_is_right(struct node *n)
{
    const struct digests *d = &n->digests;
    if (d->verdict >= DIGESTS_HOPELESS && !n->diverged) {
        n->diverged = true;
        n->io.diverged(n->io.ctx, d->at, d->verdict == DIGESTS_WRONG);
    }
    replica_set_differs(&n->replica, d->verdict != DIGESTS_AGREE);
    return d->verdict == DIGESTS_AGREE;
}

/* Does all that changes the state or shows it. */
static void show(struct node *n, uint64_t now)
{
    apply(n, now);
    if (images_step(&n->images, now, peers_need(&n->peers, &n->replica, now)))
        note_digest(n, true);
    n->unfinished |= machine_tidy(n->machine);
    open_local_reads(n);
    uint64_t read = reads_served(&n->reads, replica_applied(&n->replica));
    if (read != 0)
        n->io.reads_done(n->io.ctx, read);
}

void node_flush(struct node *n, uint64_t now)
{
    n->unfinished = false;
    envelope_shake(&n->envelope, now);
    if (now >= raft_deadline(replica_raft(&n->replica)))
        replica_step(&n->replica, now, &(struct raft_event){.type = RAFT_EV_TICK});
    writes_expire(&n->writes, now);
    roster_complete(&n->replica, now, &n->admit, &n->io);
    take_writes(n, now);
    changes_step(&n->changes, now);
    follow(n, now);
    links_watch(&n->links, now);
    vitals_watch(&n->vitals, now);
    catch_up_count(&n->catch_up, now, replica_log(&n->replica)->ring.end);
    do_ready(n, now);
    watch_commits(n, now);
    if (state_is_right(n))
        show(n, now);
    lease_step(&n->lease, now, replica_applied(&n->replica));
    replica_seal(&n->replica, now);
    n->due = node_deadline(n, now);
}

/* When something is due to this peer. */
static uint64_t talk_deadline(const struct node *n, uint64_t now, const struct peer *p)
{
    if (!envelope_ready(&n->envelope, p->id))
        return NEVER;
    uint64_t at = min_u64(peer_deadline(p, &n->replica, now), changes_due(&n->changes, p->id));
    if (replica_term_durable(&n->replica))
        at = min_u64(at, links_due(&n->links, p->id));
    /* What is due but could not be sent waits for a disk read or an ACK, which will wake us. If memory was
     * short nothing would, so look again soon. */
    return at <= now ? now + NODE_ACK_DELAY_US : at;
}

uint64_t node_deadline(const struct node *n, uint64_t now)
{
    if (n->unfinished)
        return now;
    uint64_t at = min_u64(replica_deadline(&n->replica), writes_deadline(&n->writes));
    at = min_u64(at, min_u64(envelope_deadline(&n->envelope), n->follow_at));
    at = min_u64(at, min_u64(changes_deadline(&n->changes), lease_deadline(&n->lease)));
    if (n->digests.verdict == DIGESTS_AGREE)
        at = min_u64(at, keeper_deadline(&n->keeper, now));
    at = min_u64(at, max_u64(images_deadline(&n->images), now + 1));
    if (replica_raft(&n->replica)->role == RAFT_LEADER)
        at = min_u64(at, catch_up_deadline(&n->catch_up));
    for (unsigned i = 0; i < n->peers.n; i++)
        at = min_u64(at, talk_deadline(n, now, n->peers.all[i]));
    return at;
}

static void peers_status(const struct node *n, uint64_t now, struct status *s)
{
    s->n_peers = n->peers.n;
    s->no_memory = n->no_memory;
    for (unsigned i = 0; i < n->peers.n; i++) {
        const struct peer *p = n->peers.all[i];
        struct status_peer *sp = &s->peers[i];
        peer_status(p, &n->replica, now, sp);
        links_peer_status(&n->links, now, p->id, sp);
        envelope_status(&n->envelope, p->id, sp);
        s->datagrams_sent += sp->sent;
        for (unsigned d = 0; d < DROP_COUNT; d++)
            s->drops[d] += sp->drops[d];
    }
    s->drops[DROP_UNKNOWN] += n->unknown;
}

void node_status(const struct node *n, uint64_t now, struct status *s)
{
    s->now_us = now;
    s->start_us = n->start_us;
    memcpy(s->cluster, n->cfg.cluster, sizeof s->cluster);
    s->id = n->cfg.id;
    s->election_timeout_ms = (uint32_t)(n->cfg.election_timeout_us / 1000);
    s->max_value_bytes = n->cfg.max_value_bytes;
    replica_status(&n->replica, now, s);
    s->keys = kv_count(n->kv);
    s->data_bytes = kv_bytes(n->kv);
    s->max_data_bytes = n->cfg.max_data_bytes;
    s->pending_writes = writes_pending(&n->writes);
    s->lease_ms = (uint32_t)(n->cfg.lease_us / 1000);
    s->lease_left_us = max_u64(node_lease_until(n), now) - now;
    s->log_max_bytes = n->cfg.log_max_bytes;
    s->local_reads = node_local_reads(n);
    s->differs_index = n->digests.at;
    images_status(&n->images, s);
    snap_in_status(&n->snap_in, s);
    s->tail_dropped = n->tail_dropped;
    s->uncommitted_us = n->uncommitted_since != 0 ? now - n->uncommitted_since : 0;
    s->datagrams_received = n->received;
    s->datagrams_sent = 0;
    memset(s->drops, 0, sizeof s->drops);
    peers_status(n, now, s);
    links_status(&n->links, now, s);
    vitals_status(&n->vitals, now, s);
    envelope_keys(&n->envelope, s);
}

struct node_glimpse node_glimpse(const struct node *n, uint64_t now)
{
    return (struct node_glimpse){.silent = links_silent(&n->links, now),
                                 .leader_health = vitals_leader_health(&n->vitals, now)};
}

const struct raft *node_raft(const struct node *n)
{
    return replica_raft(&n->replica);
}

const struct replica *node_replica(const struct node *n)
{
    return &n->replica;
}

struct peer *node_peer(const struct node *n, uint16_t id)
{
    return peers_find(&n->peers, id);
}

struct node_parts node_parts(struct node *n)
{
    return (struct node_parts){
        .cfg = &n->cfg,
        .admit = &n->admit,
        .images = &n->images,
        .log_in = &n->log_in,
        .relay_out = &n->relay_out,
        .lease = &n->lease,
        .links = &n->links,
        .writes = &n->writes,
        .replica = &n->replica,
        .machine = n->machine,
    };
}
