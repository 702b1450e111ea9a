/* vitals.c: see vitals.h. */
#include "raftd/node/vitals.h"

#include <stdio.h>

#include "raftd/base/num.h"
#include "raftd/base/version.h"

enum {
    WATCH_US = 500000,
    LASTS_US = STATUS_LINK_LASTS_MS * 1000, /* what a leader told longer ago is not shown */
};

void vitals_init(struct vitals *v, const struct replica *r, const struct envelope *e,
                 const struct peers *ps, uint64_t now)
{
    *v = (struct vitals){.replica = r, .envelope = e, .peers = ps, .start_us = now};
}

void vitals_disk(struct vitals *v, uint64_t fsync_p99_us)
{
    v->fsync_p99_us = (uint32_t)min_u64(fsync_p99_us, UINT32_MAX);
}

static const struct vital *find(const struct vitals *v, uint16_t id)
{
    for (unsigned i = 0; i < RAFT_PEERS_MAX; i++) {
        if (v->rows[i].id == id)
            return &v->rows[i];
    }
    return NULL;
}

/* A row for that member. Rows of nodes that are no members any more give way. NULL: there is no place. */
static struct vital *row_of(struct vitals *v, uint16_t id)
{
    for (unsigned i = 0; i < RAFT_PEERS_MAX; i++) {
        if (v->rows[i].id == id)
            return &v->rows[i];
    }
    for (unsigned i = 0; i < RAFT_PEERS_MAX; i++) {
        struct vital *row = &v->rows[i];
        if (row->id != 0 && members_find(&replica_members(v->replica)->members, row->id) != NULL)
            continue;
        *row = (struct vital){.id = id};
        return row;
    }
    return NULL;
}

static bool leads(const struct vitals *v)
{
    return replica_raft(v->replica)->role == RAFT_LEADER;
}

/* About how many bytes of the log lie behind that entry. Entries that are not in memory are taken to be as
 * large as the others. */
static uint64_t log_behind(const struct entries *e, uint64_t index)
{
    uint64_t kept = e->ring.end - e->ring.start, n = e->last + 1 - e->first;
    if (index >= e->last)
        return 0;
    if (index + 1 >= e->first)
        return e->ring.end - entries_pos(e, index + 1);
    return kept + (e->first - index - 1) * (n > 0 ? kept / n : RECORD_HEAD_BYTES);
}

/* About how many bytes the peer lacks. */
static uint64_t lag_bytes(const struct vitals *v, uint16_t id)
{
    const struct raft_peer *rp = replica_peer(v->replica, id);
    const struct peer *p = peers_find(v->peers, id);
    const struct raft *r = replica_raft(v->replica);
    if (rp->id == 0 || p == NULL)
        return 0;
    if (rp->state != RAFT_PEER_SNAPSHOT)
        return log_behind(replica_log(v->replica), rp->match_index);
    return snap_out_left(&p->snapshot) + log_behind(replica_log(v->replica), r->trail.base_index);
}

void vitals_watch(struct vitals *v, uint64_t now)
{
    const struct members *m = &replica_members(v->replica)->members;
    if (now < v->watch_at)
        return;
    v->watch_at = now + WATCH_US;
    for (unsigned i = 0; i < m->n; i++) {
        struct vital *row = row_of(v, m->m[i].id);
        uint64_t lag = leads(v) ? lag_bytes(v, m->m[i].id) : 0;
        if (row == NULL || (lag != 0 && lag <= row->most_bytes))
            continue;
        row->most_bytes = lag;
        row->most_at = now;
    }
}

static struct wire_vitals ourselves(const struct vitals *v, uint64_t now)
{
    const struct raft *r = replica_raft(v->replica);
    return (struct wire_vitals){.id = r->cfg.id,
                                .version = RAFTD_VERSION_NUMBER,
                                .fsync_p99_us = v->fsync_p99_us,
                                .uptime_s = (uint32_t)((now - v->start_us) / 1000000),
                                .session = STATUS_SESSIONS,
                                .match_index = r->durable_index};
}

static uint32_t ms_since(uint64_t now, uint64_t then)
{
    return then == 0 ? UINT32_MAX
                     : (uint32_t)min_u64((now - min_u64(now, then)) / 1000, UINT32_MAX - 1);
}

/* A row of another node: what it told of itself, what we see of it, and as leader what it has of the log. */
static struct wire_vitals seen(const struct vitals *v, uint64_t now, uint16_t id)
{
    static const struct vital none;
    const struct vital *row = find(v, id);
    const struct peer *p = peers_find(v->peers, id);
    const struct raft_peer *rp = replica_peer(v->replica, id);
    struct status_peer s = {0};
    row = row != NULL ? row : &none;
    struct wire_vitals w = row->self_at != 0 ? row->w : (struct wire_vitals){0};
    w.id = id;
    w.age_ms = ms_since(now, row->self_at);
    w.heard_ms = UINT32_MAX;
    w.session = 0;
    w.match_index = w.lag_bytes = w.lag_most_bytes = w.rate = 0;
    if (p == NULL || rp->id == 0)
        return w;
    envelope_status(v->envelope, id, &s);
    w.session = (uint8_t)s.session;
    w.heard_ms = ms_since(now, p->path.link.has_peer ? p->path.link.peer_ts_at : 0);
    if (!leads(v))
        return w;
    w.match_index = rp->match_index;
    w.lag_bytes = lag_bytes(v, id);
    w.lag_most_bytes = max_u64(row->most_bytes, w.lag_bytes);
    uint64_t took_ms = (now - row->most_at) / 1000;
    if (row->most_at != 0 && took_ms != 0)
        w.rate = (uint32_t)min_u64((w.lag_most_bytes - w.lag_bytes) * 1000 / took_ms, UINT32_MAX);
    return w;
}

bool vitals_tell(const struct vitals *v, uint64_t now, unsigned *i, struct wire_vitals *w)
{
    const struct members *m = &replica_members(v->replica)->members;
    uint16_t self = replica_raft(v->replica)->cfg.id;
    if ((*i)++ == 0) {
        *w = ourselves(v, now);
        return true;
    }
    while (leads(v) && *i - 2 < m->n && m->m[*i - 2].id == self)
        (*i)++;
    if (!leads(v) || *i - 2 >= m->n)
        return false;
    *w = seen(v, now, m->m[*i - 2].id);
    return true;
}

void vitals_take(struct vitals *v, uint64_t now, uint16_t from, const struct wire_vitals *w)
{
    bool of_leader = from == replica_raft(v->replica)->leader;
    struct vital *row = w->id == from || of_leader ? row_of(v, w->id) : NULL;
    uint64_t age = (uint64_t)w->age_ms * 1000;
    if (row == NULL)
        return;
    if (of_leader) {
        row->w = *w;
        row->led_at = now;
    }
    row->w.version = w->version;
    row->w.fsync_p99_us = w->fsync_p99_us;
    row->w.uptime_s = w->uptime_s;
    if (w->id == from)
        row->self_at = now;
    else if (w->age_ms != UINT32_MAX)
        row->self_at = now > age ? now - age : 1;
}

/* The leader's rows are shown if they are new enough: then its own one. NULL: they are not, or we lead. */
static const struct vital *of_leader(const struct vitals *v, uint64_t now)
{
    const struct raft *r = replica_raft(v->replica);
    const struct vital *row = r->leader != 0 && !leads(v) ? find(v, r->leader) : NULL;
    return row != NULL && row->led_at != 0 && now <= row->led_at + LASTS_US ? row : NULL;
}

/* The row of a member as of `at`; led: as the leader told it. */
static struct wire_vitals known(const struct vitals *v, uint64_t at, uint16_t id, bool led)
{
    const struct vital *row = find(v, id);
    if (led)
        return row != NULL ? row->w : (struct wire_vitals){.heard_ms = UINT32_MAX};
    return id == replica_raft(v->replica)->cfg.id ? ourselves(v, at) : seen(v, at, id);
}

static void fill_progress(struct status_member *to, const struct wire_vitals *w, uint64_t last)
{
    uint64_t of = max_u64(w->lag_most_bytes, w->lag_bytes);
    to->match_index = w->match_index;
    to->lag = last - min_u64(last, w->match_index);
    to->lag_bytes = w->lag_bytes;
    to->of_bytes = of;
    to->percent = 100;
    if (of != 0)
        to->percent = (uint8_t)(100 * (double)(of - w->lag_bytes) / (double)of);
    to->eta_s = w->lag_bytes == 0 ? 0 : -1;
    if (w->lag_bytes != 0 && w->rate != 0)
        to->eta_s = (int32_t)min_u64(w->lag_bytes / w->rate + 1, INT32_MAX);
}

static void fill(struct status_member *to, uint64_t at, const struct member *m,
                 const struct wire_vitals *w)
{
    to->id = m->id;
    to->standing = m->standing;
    to->priority = m->priority;
    for (unsigned i = 0; i < sizeof to->incarnation; i++)
        to->incarnation = to->incarnation << 8 | m->key[i];
    (void)snprintf(to->addr, sizeof to->addr, "%s%s%s", m->addr[0],
                   m->addr[1][0] != '\0' ? "," : "", m->addr[1]);
    to->session = (uint8_t)min_u64(w->session, STATUS_SESSIONS);
    to->heard_us = w->heard_ms == UINT32_MAX
                       ? 0
                       : max_u64(at - min_u64(at, (uint64_t)w->heard_ms * 1000), 1);
    to->version = w->version;
    to->fsync_p99_us = w->fsync_p99_us;
    to->uptime_s = w->uptime_s;
}

void vitals_status(const struct vitals *v, uint64_t now, struct status *s)
{
    const struct raft *r = replica_raft(v->replica);
    const struct members *m = &replica_members(v->replica)->members;
    const struct vital *teller = of_leader(v, now);
    uint64_t at = teller != NULL ? teller->led_at : now;
    s->members_by = teller != NULL ? teller->id : r->cfg.id;
    s->members_us = at;
    s->members_led = teller != NULL || leads(v);
    s->members_index = r->members.index;
    s->n_members = m->n;
    for (unsigned i = 0; i < m->n; i++) {
        struct wire_vitals w = known(v, at, m->m[i].id, teller != NULL);
        fill(&s->members[i], at, &m->m[i], &w);
        fill_progress(&s->members[i], &w, r->trail.last);
        s->members[i].role = m->m[i].id == r->leader ? "leader" : NULL;
    }
}
