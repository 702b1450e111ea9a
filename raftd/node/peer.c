#include "raftd/node/peer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/members.h"
#include "raftd/base/num.h"

/* The lower half of a generation counts what is read for one peer. */
enum { GENERATION_SHIFT = 32 };

/* The relays of all peers share one window. */
static void share_window(const struct peers *ps, const struct peer_ground *g)
{
    uint32_t own = g->cfg->relay_bytes;
    for (unsigned i = 0; i < ps->n; i++)
        relay_in_share(&ps->all[i]->relay, own != 0 ? own : g->rx_window / ps->n);
}

void peer_named(struct peer *p, const struct member *m)
{
    p->addr[0] = '\0';
    if (m != NULL)
        (void)snprintf(p->addr, sizeof p->addr, "%s%s%s", m->addr[0],
                       m->addr[1][0] != '\0' ? ", " : "", m->addr[1]);
}

struct peer *peers_add(struct peers *ps, const struct peer_ground *g, uint64_t now, uint16_t id)
{
    const struct node_config *cfg = g->cfg;
    struct peer *p = ps->n + ps->n_gone < RAFT_PEERS_MAX ? calloc(1, sizeof *p) : NULL;
    if (p == NULL)
        return NULL;
    ps->all[ps->n++] = p;
    p->id = id;
    p->since = now;
    p->generation = ++ps->came << GENERATION_SHIFT;
    mtu_init(&p->path.mtu, cfg->datagram_bytes);
    p->path.envelope_bytes = g->envelope_bytes;
    p->path.cap_us = replica_raft(g->replica)->cfg.heartbeat;
    log_out_init(&p->log, g->replica, g->io, &p->path, g->catch_up, id, p->generation);
    snap_out_init(&p->snapshot, g->replica, g->io, &p->path, g->catch_up, g->images, id,
                  p->generation);
    relay_in_init(&p->relay, g->replica, &ps->shuts, id);
    relay_out_add(g->relay_out, id, &p->path);
    debts_init(&p->debts, g->replica, &p->log, &p->path.link, id);
    flows_add_out(&p->flows, &p->log.flow);
    flows_add_out(&p->flows, &p->snapshot.flow);
    flows_add_out(&p->flows, &g->relay_out->flow);
    flows_add_in(&p->flows, &g->log_in->flow);
    flows_add_in(&p->flows, &g->snap_in->flow);
    flows_add_in(&p->flows, &p->relay.flow);
    share_window(ps, g);
    return p;
}

static void end(struct peer *p)
{
    log_out_free(&p->log);
    snap_out_free(&p->snapshot);
    free(p);
}

void peers_remove(struct peers *ps, const struct peer_ground *g, struct peer *p)
{
    unsigned i = 0;
    while (ps->all[i] != p)
        i++;
    memmove(ps->all + i, ps->all + i + 1, (--ps->n - i) * sizeof p);
    relay_out_remove(g->relay_out, p->id);
    relay_in_end(&p->relay);
    log_out_end(&p->log);
    snap_out_end(&p->snapshot);
    p->next = ps->gone;
    ps->gone = p;
    ps->n_gone++;
    peers_bury(ps);
    share_window(ps, g);
}

void peers_bury(struct peers *ps)
{
    for (struct peer **at = &ps->gone; *at != NULL;) {
        struct peer *p = *at;
        if (log_out_reads(&p->log) || snap_out_reads(&p->snapshot)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        ps->n_gone--;
        end(p);
    }
}

void peers_free(struct peers *ps)
{
    for (unsigned i = 0; i < ps->n; i++) {
        relay_in_end(&ps->all[i]->relay);
        end(ps->all[i]);
    }
    for (struct peer *p = ps->gone, *next; p != NULL; p = next) {
        next = p->next;
        end(p);
    }
}

struct peer *peers_asked(const struct peers *ps, struct node_fetch what)
{
    struct peer *p = peers_find(ps, what.peer);
    if (p != NULL && what.generation >> GENERATION_SHIFT == p->generation >> GENERATION_SHIFT)
        return p;
    for (p = ps->gone; p != NULL; p = p->next)
        if (what.generation >> GENERATION_SHIFT == p->generation >> GENERATION_SHIFT)
            return p;
    return NULL;
}

struct peer *peers_find(const struct peers *ps, uint16_t id)
{
    for (unsigned i = 0; i < ps->n; i++)
        if (ps->all[i]->id == id)
            return ps->all[i];
    return NULL;
}

uint64_t peer_deadline(const struct peer *p, const struct replica *r, uint64_t now)
{
    const struct raft *core = replica_raft(r);
    uint64_t at = flows_deadline(&p->flows, now, p->id, core->term);
    if (core->role == RAFT_LEADER)
        at = min_u64(min_u64(at, relay_in_deadline(&p->relay)),
                     min_u64(debts_ask_at(&p->debts), snap_out_offer_at(&p->snapshot, now)));
    return at;
}

struct images_need peers_need(const struct peers *ps, const struct replica *replica, uint64_t now)
{
    struct images_need need = {UINT64_MAX, UINT64_MAX};
    const struct raft *r = replica_raft(replica);
    for (unsigned i = 0; r->role == RAFT_LEADER && i < ps->n; i++) {
        const struct peer *p = ps->all[i];
        const struct raft_peer *rp = replica_peer(replica, p->id);
        uint64_t has = rp->state == RAFT_PEER_PROBE ? rp->probe_index
                                                    : max_u64(rp->match_index, rp->base_index);
        if (log_silent(r, rp, now))
            continue;
        if (rp->state == RAFT_PEER_SNAPSHOT) {
            has = snap_out_taken(&p->snapshot, now);
            if (has == 0)
                continue;
            need.snapshot = min_u64(need.snapshot, has);
        }
        need.log = min_u64(need.log, has);
    }
    return need;
}

void peer_status(const struct peer *p, const struct replica *r, uint64_t now, struct status_peer *s)
{
    const struct raft_peer *rp = replica_peer(r, p->id);
    const struct flow_out *f = flows_current(&p->flows, now, p->id);
    const struct link *l = &p->path.link;
    s->id = p->id;
    memcpy(s->addr, p->addr, sizeof s->addr);
    s->standing = (enum raft_standing)rp->standing;
    s->state = rp->state;
    s->match_index = rp->match_index;
    s->lost_index = rp->lost_index;
    s->heard_us = l->has_peer ? l->peer_ts_at : 0;
    s->rtt_us = l->rtt.has ? l->rtt.srtt_us : 0;
    /* The minimum forgets after a minute, the average on a quiet link does not. */
    s->rtt_min_us = l->rtt.has ? min_u64(l->rtt.min_us, s->rtt_us) : 0;
    s->window_bytes = f != NULL ? cwnd_window(&f->tx.cwnd, now) : 0;
    s->in_flight_bytes = f != NULL ? stream_tx_in_flight(&f->tx) : 0;
    s->sent = l->sent;
    s->received = l->accepted;
    s->resent_bytes = p->resent_bytes;
    s->resent_datagrams = p->resent_datagrams;
    s->datagram_bytes = mtu_passes(&p->path.mtu);
    s->datagram_usual = p->path.mtu.max;
    s->datagram_carried = p->path.mtu.carried;
    memcpy(s->drops, p->drops, sizeof s->drops);
}
