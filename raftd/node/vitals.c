/* vitals.c: see vitals.h. */
#include "raftd/node/vitals.h"

#include <stdio.h>

#include "raftd/base/num.h"
#include "raftd/base/version.h"
#include "raftd/node/health.h"

enum { WATCH_US = 500000 };

/* What a leader told longer ago is not shown. */
static bool lasts(const struct vitals *v, uint64_t led_at, uint64_t now)
{
    return now <= led_at + status_lasts_us(replica_raft(v->replica)->cfg.election_timeout);
}

void vitals_init(struct vitals *v, const struct replica *r, const struct envelope *e,
                 struct links *l, const struct peers *ps, uint64_t now)
{
    *v = (struct vitals){.replica = r, .envelope = e, .links = l, .peers = ps, .start_us = now};
    v->self.snapshot_age_s = UINT32_MAX;
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
    struct wire_vitals w = v->self;
    w.id = r->cfg.id;
    w.version = RAFTD_VERSION_NUMBER;
    w.uptime_s = (uint32_t)((now - v->start_us) / 1000000);
    w.session = STATUS_SESSIONS;
    w.loss_in = w.loss_out = WIRE_LOSS_UNKNOWN;
    w.match_index = r->durable_index;
    w.applied_index = replica_applied(v->replica);
    if (leads(v) && v->self_term != r->term)
        w.health = HEALTH_UNKNOWN; /* of a follower of another leader, or of none */
    return w;
}

/* As in the frame; then == 0: never. */
static uint32_t age_since(uint64_t now, uint64_t then)
{
    uint64_t ago_us = status_ago_us(now, then);
    if (then == 0)
        return UINT32_MAX;
    if (ago_us / 1000 < WIRE_AGE_SECONDS)
        return (uint32_t)(ago_us / 1000);
    return WIRE_AGE_SECONDS | (uint32_t)min_u64(ago_us / 1000000, WIRE_AGE_SECONDS - 2);
}

/* When that was, before `at`; 0 = never. */
static uint64_t moment(uint64_t at, uint32_t age)
{
    bool seconds = (age & WIRE_AGE_SECONDS) != 0;
    uint64_t ago_us = seconds ? (age - WIRE_AGE_SECONDS) * UINT64_C(1000000) : age * UINT64_C(1000);
    return age == UINT32_MAX ? 0 : status_moment(at, ago_us);
}

static uint32_t seconds_since(uint64_t now, uint64_t then)
{
    return (uint32_t)min_u64(status_ago_us(now, then) / 1000000, UINT32_MAX - 1);
}

static uint16_t permille(int32_t loss)
{
    return loss < 0 ? WIRE_LOSS_UNKNOWN : (uint16_t)loss;
}

static int32_t loss_of(uint16_t permille)
{
    return permille > 1000 ? STATUS_LOSS_UNKNOWN : permille;
}

/* The path to the peer, as this node measures it. */
static void fill_path(const struct vitals *v, uint64_t now, const struct peer *p,
                      struct wire_vitals *w)
{
    const struct link *l = &p->path.link;
    struct status_peer s = {0};
    envelope_status(v->envelope, p->id, &s);
    links_peer_status(v->links, now, p->id, &s);
    w->session = (uint8_t)s.session;
    w->heard = age_since(now, l->has_peer ? l->peer_ts_at : 0);
    w->rtt_us = l->rtt.has ? (uint32_t)min_u64(l->rtt.srtt_us, UINT32_MAX) : 0;
    w->loss_in = permille(s.loss_in_permille);
    w->loss_out = permille(s.loss_out_permille);
}

/* As leader: what the peer has of the log. */
static void fill_log(const struct vitals *v, uint64_t now, const struct vital *row,
                     const struct raft_peer *rp, struct wire_vitals *w)
{
    uint64_t took_ms = (now - row->most_at) / 1000;
    w->match_index = rp->match_index;
    w->lag_bytes = lag_bytes(v, rp->id);
    w->lag_most_bytes = max_u64(row->most_bytes, w->lag_bytes);
    if (row->most_at != 0 && took_ms != 0)
        w->rate = (uint32_t)min_u64((w->lag_most_bytes - w->lag_bytes) * 1000 / took_ms,
                                    UINT32_MAX);
}

/* Takes over what a member said of itself. */
static void take_self(struct wire_vitals *to, const struct wire_vitals *w)
{
    to->version = w->version;
    to->fsync_p99_us = w->fsync_p99_us;
    to->uptime_s = w->uptime_s;
    to->health = w->health;
    to->drained = w->drained;
    to->applied_index = w->applied_index;
    to->log_bytes = w->log_bytes;
    to->data_bytes = w->data_bytes;
    to->keys = w->keys;
    to->snapshot_index = w->snapshot_index;
    to->snapshot_age_s = w->snapshot_age_s;
}

/* A row of another node: what it told of itself, what we see of it, and as leader what it has of the log. */
static struct wire_vitals seen(const struct vitals *v, uint64_t now, uint16_t id)
{
    static const struct vital none;
    const struct vital *row = find(v, id);
    const struct peer *p = peers_find(v->peers, id);
    const struct raft_peer *rp = replica_peer(v->replica, id);
    struct wire_vitals w = {.id = id,
                            .heard = UINT32_MAX,
                            .snapshot_age_s = UINT32_MAX,
                            .loss_in = WIRE_LOSS_UNKNOWN,
                            .loss_out = WIRE_LOSS_UNKNOWN};
    row = row != NULL ? row : &none;
    if (row->self_at != 0)
        take_self(&w, &row->w);
    w.age = age_since(now, row->self_at);
    if (p == NULL || rp->id == 0)
        return w;
    fill_path(v, now, p, &w);
    if (leads(v))
        fill_log(v, now, row, rp, &w);
    return w;
}

/* The id of another member, by its number among those; 0: there are not so many. */
static uint16_t other_member(const struct vitals *v, unsigned number)
{
    const struct members *m = &replica_members(v->replica)->members;
    for (unsigned i = 0; i < m->n; i++)
        if (m->m[i].id != replica_raft(v->replica)->cfg.id && number-- == 0)
            return m->m[i].id;
    return 0;
}

static unsigned other_members(const struct vitals *v)
{
    unsigned n = 0;
    while (other_member(v, n) != 0)
        n++;
    return n;
}

bool vitals_tell(const struct vitals *v, uint64_t now, uint16_t to, unsigned i,
                 struct wire_vitals *w)
{
    const struct vital *row = find(v, to);
    unsigned n = leads(v) ? other_members(v) : 0, first = row != NULL ? row->turn : 0;
    if (i == 0)
        *w = ourselves(v, now);
    else if (i <= n)
        *w = seen(v, now, other_member(v, (first + i - 1) % n));
    return i <= n;
}

void vitals_told(struct vitals *v, uint16_t to, unsigned n)
{
    struct vital *row = row_of(v, to);
    unsigned others = other_members(v);
    if (row != NULL && n > 0 && others > 0)
        row->turn = (row->turn + n - 1) % others;
}

void vitals_take(struct vitals *v, uint64_t now, uint16_t from, const struct wire_vitals *w)
{
    bool of_leader = from == replica_raft(v->replica)->leader;
    struct vital *row = w->id == from || of_leader ? row_of(v, w->id) : NULL;
    if (row == NULL)
        return;
    if (of_leader) {
        row->w = *w;
        row->led_at = now;
    }
    take_self(&row->w, w);
    if (w->id == from)
        row->self_at = now;
    else if (w->age != UINT32_MAX)
        row->self_at = moment(now, w->age);
}

/* The leader's rows are shown if they are new enough: then its own one. NULL: they are not, or we lead. */
static const struct vital *of_leader(const struct vitals *v, uint64_t now)
{
    const struct raft *r = replica_raft(v->replica);
    const struct vital *row = r->leader != 0 && !leads(v) ? find(v, r->leader) : NULL;
    return row != NULL && row->led_at != 0 && lasts(v, row->led_at, now) ? row : NULL;
}

/* The row of a member as of `at`; led: as the leader told it. What this node says of itself it knows best. */
static struct wire_vitals known(const struct vitals *v, uint64_t at, uint16_t id, bool led)
{
    const struct vital *row = find(v, id);
    const struct wire_vitals self = ourselves(v, at);
    bool ours = id == self.id;
    if (!led)
        return ours ? self : seen(v, at, id);
    struct wire_vitals w = row != NULL && row->led_at != 0
                               ? row->w
                               : (struct wire_vitals){.age = UINT32_MAX,
                                                      .heard = UINT32_MAX,
                                                      .snapshot_age_s = UINT32_MAX,
                                                      .loss_in = WIRE_LOSS_UNKNOWN,
                                                      .loss_out = WIRE_LOSS_UNKNOWN};
    if (ours) {
        take_self(&w, &self);
        w.age = 0;
    }
    return w;
}

static void fill_self(struct status_member *to, uint64_t at, const struct wire_vitals *w)
{
    to->told_us = moment(at, w->age);
    to->health = w->health < HEALTH_COUNT ? w->health : HEALTH_UNKNOWN;
    to->drained = w->drained;
    to->version = w->version;
    to->fsync_p99_us = w->fsync_p99_us;
    to->uptime_s = w->uptime_s;
    to->applied_index = w->applied_index;
    to->log_bytes = w->log_bytes;
    to->data_bytes = w->data_bytes;
    to->keys = w->keys;
    to->snapshot_index = w->snapshot_index;
    to->snapshot_age_s = w->snapshot_age_s;
}

void vitals_self(struct vitals *v, struct status *s)
{
    uint8_t health = (uint8_t)health_own(s, HEALTH_LAG_MAX);
    if (v->self.health != health && leads(v))
        links_soon(v->links); /* followers tell it to their clients */
    v->self.health = health;
    v->self_term = s->role == RAFT_LEADER ? s->term : 0;
    v->self.drained = s->drained != 0;
    v->self.fsync_p99_us = (uint32_t)min_u64(s->fsync_p99_us, UINT32_MAX);
    v->self.log_bytes = s->log_bytes;
    v->self.data_bytes = s->data_bytes;
    v->self.keys = s->keys;
    v->self.snapshot_index = s->snapshot_index;
    v->self.snapshot_age_s = s->snapshot_us == 0 ? UINT32_MAX
                                                 : seconds_since(s->now_us, s->snapshot_us);
    const struct wire_vitals self = ourselves(v, s->now_us);
    for (unsigned i = 0; i < s->n_members; i++)
        if (s->members[i].id == self.id)
            fill_self(&s->members[i], s->now_us, &self);
}

uint8_t vitals_leader_health(const struct vitals *v, uint64_t now)
{
    uint16_t leader = replica_raft(v->replica)->leader;
    const struct vital *row = leader != 0 && !leads(v) ? find(v, leader) : NULL;
    /* What it said before it led is not of a leader. */
    bool told = row != NULL && row->led_at != 0 && row->led_at == row->self_at;
    bool lately = told && lasts(v, row->led_at, now);
    return lately && row->w.health < HEALTH_COUNT ? row->w.health : HEALTH_UNKNOWN;
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

/* The first bytes of a key, as people read them. */
static uint64_t in_order(uint64_t handle)
{
    uint64_t shown = 0;
    for (unsigned i = 0; i < sizeof handle; i++)
        shown = shown << 8 | (handle >> 8 * i & 0xff);
    return shown;
}

static void fill(struct status_member *to, uint64_t at, const struct member *m,
                 const struct wire_vitals *w)
{
    to->id = m->id;
    to->standing = m->standing;
    to->priority = m->priority;
    to->incarnation = in_order(member_incarnation(m));
    (void)snprintf(to->addr, sizeof to->addr, "%s%s%s", m->addr[0],
                   m->addr[1][0] != '\0' ? "," : "", m->addr[1]);
    to->session = (uint8_t)min_u64(w->session, STATUS_SESSIONS);
    to->heard_us = moment(at, w->heard);
    to->rtt_us = w->rtt_us;
    to->loss_in_permille = loss_of(w->loss_in);
    to->loss_out_permille = loss_of(w->loss_out);
    fill_self(to, at, w);
}

void vitals_status(const struct vitals *v, uint64_t now, struct status *s)
{
    const struct raft *r = replica_raft(v->replica);
    const struct members *m = &replica_members(v->replica)->members;
    const struct vital *teller = of_leader(v, now);
    uint64_t at = teller != NULL ? teller->led_at : now;
    s->leader_health = vitals_leader_health(v, now);
    s->members_by = teller != NULL ? teller->id : r->cfg.id;
    s->members_us = at;
    s->members_led = teller != NULL || leads(v);
    s->members_index = r->members.index;
    s->incarnation = in_order(r->cfg.incarnation);
    s->n_members = m->n;
    uint64_t last = teller != NULL ? max_u64(r->trail.last, teller->w.match_index) : r->trail.last;
    for (unsigned i = 0; i < m->n; i++) {
        struct wire_vitals w = known(v, at, m->m[i].id, teller != NULL);
        fill(&s->members[i], at, &m->m[i], &w);
        fill_progress(&s->members[i], &w, last);
        s->members[i].leads = m->m[i].id == r->leader;
    }
}
