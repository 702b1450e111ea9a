#include "raftd/node/links.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/num.h"

enum {
    /* After so long, or so many election timeouts, a row goes in a datagram that goes anyway. */
    TELL_US = 2000000,
    TELL_TIMEOUTS = 3,
    /* Then it gets a datagram of its own: two followers have nothing else to tell each other. */
    TELL_ALONE_US = 3000000,
    TELL_ALONE_TIMEOUTS = 4,
    /* News go with the next heartbeat, but not more often: how a node is may change all the time. */
    TELL_NEWS_US = 250000,
    /* Silence between a node and its leader shows after so long, and so many heartbeats: then several of
     * them or of their answers were lost in a row. */
    SOON_US = 1000000,
    SOON_HEARTBEATS = 8,
};

_Static_assert((int)STATUS_LINK_SILENT == (int)WIRE_NOT_HEARD &&
                   (int)STATUS_LINK_UNKNOWN == (int)WIRE_NOT_KNOWN,
               "rows are copied");

static uint64_t timeout_us(const struct links *l)
{
    return replica_raft(l->replica)->cfg.election_timeout;
}

/* A peer that is silent for longer, so that three rows are lost, is not heard. */
static uint64_t heard_us(const struct links *l)
{
    return status_lasts_us(timeout_us(l));
}

static uint64_t tell_us(const struct links *l)
{
    return max_u64(TELL_US, TELL_TIMEOUTS * timeout_us(l));
}

static const struct raft_members *members(const struct links *l)
{
    return &replica_raft(l->replica)->members;
}

/* Members in ascending order of their ids: the columns of all rows. RAFT_MEMBERS_MAX: it is none of them. */
static unsigned column(const struct links *l, uint16_t id)
{
    const struct raft_members *m = members(l);
    unsigned c = 0;
    for (unsigned i = 0; i < m->n; i++)
        c += m->m[i].id < id;
    return raft_member(m, id) != NULL ? c : RAFT_MEMBERS_MAX;
}

/* NULL: none of our peers. */
static const struct link_row *find(const struct links *l, uint16_t peer)
{
    for (unsigned i = 0; i < l->n_rows; i++)
        if (l->rows[i].id == peer)
            return &l->rows[i];
    return NULL;
}

static struct link_row *find_mine(struct links *l, uint16_t peer)
{
    const struct link_row *row = find(l, peer);
    return row != NULL ? &l->rows[row - l->rows] : NULL;
}

void links_init(struct links *l, const struct node_config *cfg, const struct replica *r,
                uint64_t now)
{
    *l = (struct links){.cfg = cfg, .replica = r, .start_us = now};
}

void links_add(struct links *l, uint64_t now, uint16_t peer, const struct link *link)
{
    assert(l->n_rows < RAFT_PEERS_MAX);
    l->rows[l->n_rows++] = (struct link_row){.id = peer, .link = link, .told_at = now};
}

void links_remove(struct links *l, uint16_t peer)
{
    *find_mine(l, peer) = l->rows[l->n_rows - 1];
    l->n_rows--;
}

/* Rows of other members are void: their columns are other nodes'. New ones will come soon. */
void links_follow(struct links *l)
{
    const struct raft_members *m = members(l);
    uint16_t ids[RAFT_MEMBERS_MAX];
    for (unsigned i = 0; i < m->n; i++)
        ids[column(l, m->m[i].id)] = m->m[i].id;
    uint16_t now = (uint16_t)wire_voters_digest(ids, m->n);
    for (unsigned i = 0; now != l->members && i < l->n_rows; i++)
        l->rows[i].heard_at = 0;
    l->members = now;
}

/* The peer should have said something since: a leader sends heartbeats as long as its term lasts, and asks
 * for an answer to each as long as none comes. A PreVote is answered at once, and asked for as long as there
 * is no leader. */
static bool owes_word(const struct links *l, uint64_t now, const struct link_row *row,
                      uint64_t heard)
{
    const struct raft *r = replica_raft(l->replica);
    uint64_t most = SOON_HEARTBEATS * r->cfg.heartbeat;
    most = max_u64(most, SOON_US);
    if (r->role == RAFT_LEADER)
        return now >= heard + most && now >= r->lead_since + most;
    if (l->asking_since != 0 && now >= heard + most && now >= l->asking_since + most)
        return true;
    return now >= heard + most && l->led_by == row->id && l->led_term == r->term;
}

static uint64_t last_word_at(const struct link_row *row)
{
    return row->link->has_peer ? row->link->peer_ts_at : 0;
}

/* What we hear of the peer. Silence tells something only when it is longer than what peers keep in order.
 * Who was silent is so until it speaks: a new role or leader, of whom less is known, is no sign of life. */
static uint8_t heard_of(const struct links *l, uint64_t now, const struct link_row *row)
{
    const struct link *link = row->link;
    uint64_t last = last_word_at(row);
    if ((row->silent && row->last_word_at == last) || owes_word(l, now, row, last))
        return WIRE_NOT_HEARD;
    if (link->has_peer && now < link->peer_ts_at + heard_us(l))
        return (uint8_t)((uint64_t)link->loss_in * 100 / LINK_LOSS_FULL);
    return now < l->start_us + heard_us(l) ? WIRE_NOT_KNOWN : WIRE_NOT_HEARD;
}

void links_watch(struct links *l, uint64_t now)
{
    const struct raft *r = replica_raft(l->replica);
    for (unsigned i = 0; i < l->n_rows; i++) {
        struct link_row *row = &l->rows[i];
        row->silent = heard_of(l, now, row) == WIRE_NOT_HEARD;
        row->last_word_at = last_word_at(row);
    }
    if (r->role != RAFT_PRE_CANDIDATE)
        l->asking_since = 0;
    else if (l->asking_since == 0)
        l->asking_since = now;
    if (r->leader == 0 || (r->leader == l->led_by && r->term == l->led_term))
        return;
    l->led_by = r->leader;
    l->led_term = r->term;
    /* A leader tells all rows to all: a new one needs ours at once, and we need its. */
    for (unsigned i = 0; i < l->n_rows; i++)
        if (r->role == RAFT_LEADER || l->rows[i].id == r->leader)
            l->rows[i].told_at = 0;
}

static void own_row(const struct links *l, uint64_t now, uint8_t *heard)
{
    uint8_t by[RAFT_MEMBERS_MAX + 1]; /* one more: of those that are no members */
    memset(by, WIRE_NOT_KNOWN, sizeof by);
    by[column(l, l->cfg->id)] = 0;
    for (unsigned i = 0; i < l->n_rows; i++)
        by[column(l, l->rows[i].id)] = heard_of(l, now, &l->rows[i]);
    memcpy(heard, by, RAFT_MEMBERS_MAX);
}

static bool row_lasts(const struct links *l, const struct link_row *row, uint64_t now)
{
    return row->heard_at != 0 && now <= row->heard_at + heard_us(l);
}

static int32_t permille(uint32_t loss)
{
    return (int32_t)((uint64_t)loss * 1000 / LINK_LOSS_FULL);
}

/* Loss is measured when something arrives. If nothing does, all is lost, which only silence shows: the peer's
 * towards us, and ours towards the peer, as its row says, which may come through the leader. */
void links_peer_status(const struct links *l, uint64_t now, uint16_t peer, struct status_peer *s)
{
    const struct link_row *row = find(l, peer);
    unsigned own = column(l, l->cfg->id);
    uint8_t heard = heard_of(l, now, row), back = row->heard[own % RAFT_MEMBERS_MAX];
    bool hears = heard < WIRE_NOT_KNOWN, told = own < RAFT_MEMBERS_MAX && row_lasts(l, row, now);
    s->settings = row->settings;
    s->loss_in_permille = s->loss_out_permille = STATUS_LOSS_UNKNOWN;
    if (heard == WIRE_NOT_HEARD)
        s->loss_in_permille = 1000;
    else if (hears && row->link->has_loss)
        s->loss_in_permille = permille(row->link->loss_in);
    if (told && back == WIRE_NOT_HEARD)
        s->loss_out_permille = 1000;
    else if (hears && !(told && back == WIRE_NOT_KNOWN))
        s->loss_out_permille = permille(row->link->loss_out);
    else if (told && back < WIRE_NOT_KNOWN)
        s->loss_out_permille = back * 10;
}

void links_soon(struct links *l)
{
    for (unsigned i = 0; i < l->n_rows; i++)
        l->rows[i].news = true;
}

uint64_t links_due(const struct links *l, uint16_t peer)
{
    uint64_t us = max_u64(TELL_ALONE_US, TELL_ALONE_TIMEOUTS * timeout_us(l));
    uint64_t told_at = find(l, peer)->told_at;
    return told_at != 0 ? told_at + us : 0;
}

/* Our row, and as leader also those that we were told, because two followers may not hear each other. */
bool links_fill(struct links *l, uint64_t now, uint16_t peer, struct wire_links *out)
{
    struct link_row *to = find_mine(l, peer);
    uint64_t every = to->news ? TELL_NEWS_US : tell_us(l);
    if (to->told_at != 0 && now < to->told_at + every)
        return false;
    to->told_at = now;
    to->news = false;
    out->cols = (uint8_t)members(l)->n;
    out->members = l->members;
    out->rows = 1;
    out->id[0] = l->cfg->id;
    own_row(l, now, out->heard[0]);
    bool leads = replica_raft(l->replica)->role == RAFT_LEADER;
    for (unsigned i = 0; leads && i < l->n_rows; i++) {
        const struct link_row *row = &l->rows[i];
        if (row == to || !row_lasts(l, row, now) || column(l, row->id) == RAFT_MEMBERS_MAX)
            continue;
        out->id[out->rows] = row->id;
        uint64_t age = (now - row->heard_at) / WIRE_AGE_UNIT_US;
        out->age[out->rows] = (uint8_t)min_u64(age, WIRE_AGE_MAX);
        memcpy(out->heard[out->rows++], row->heard, out->cols);
    }
    return true;
}

/* Takes a peer's row. Whatever it says, it is in percent then. */
static void take_row(struct link_row *row, uint64_t at, const uint8_t *heard, unsigned cols)
{
    if (at < row->heard_at)
        return;
    for (unsigned c = 0; c < cols; c++)
        row->heard[c] = heard[c] > 100 && heard[c] < WIRE_NOT_KNOWN ? 100 : heard[c];
    row->heard_at = at;
}

void links_take(struct links *l, uint64_t now, uint16_t from, const struct wire_links *in)
{
    bool leads = from == replica_raft(l->replica)->leader;
    if (in->cols != members(l)->n || in->members != l->members)
        return; /* of other members */
    for (unsigned i = 0; i < in->rows; i++) {
        struct link_row *row = find_mine(l, in->id[i]);
        uint64_t age = (uint64_t)in->age[i] * WIRE_AGE_UNIT_US;
        if (row != NULL && (row->id == from || leads))
            take_row(row, now > age ? now - age : 1, in->heard[i], in->cols);
    }
}

void links_take_settings(struct links *l, uint16_t from, const struct wire_settings *in)
{
    find_mine(l, from)->settings = *in;
}

struct wire_settings links_settings(const struct links *l)
{
    return (struct wire_settings){
        .n = WIRE_SETTING_COUNT,
        .value = {[WIRE_MAX_VALUE_BYTES] = l->cfg->max_value_bytes,
                  [WIRE_ELECTION_TIMEOUT_MS] = l->cfg->election_timeout_us / 1000,
                  [WIRE_MAX_DATA_BYTES] = l->cfg->max_data_bytes,
                  [WIRE_LEASE_MS] = l->cfg->lease_us / 1000},
    };
}

uint64_t links_least(const struct links *l, enum wire_setting setting)
{
    uint64_t least = links_settings(l).value[setting];
    for (unsigned i = 0; i < l->n_rows; i++)
        if (l->rows[i].settings.n > (unsigned)setting)
            least = min_u64(least, l->rows[i].settings.value[setting]);
    return least;
}

uint64_t links_silent(const struct links *l, uint64_t now)
{
    uint64_t silent = 0;
    for (unsigned i = 0; i < l->n_rows; i++) {
        silent |= (uint64_t)(heard_of(l, now, &l->rows[i]) == WIRE_NOT_HEARD) << i;
        silent |= (uint64_t)!l->rows[i].link->has_peer << (i + 32);
    }
    return silent;
}

void links_status(const struct links *l, uint64_t now, struct status *s)
{
    const struct raft_members *m = members(l);
    s->n_links = m->n;
    s->settings = links_settings(l);
    for (unsigned i = 0; i < m->n; i++) {
        const struct link_row *row = find(l, m->m[i].id);
        struct status_link *out = &s->links[column(l, m->m[i].id)];
        *out = (struct status_link){.id = m->m[i].id};
        if (row != NULL) {
            out->at_us = row_lasts(l, row, now) ? row->heard_at : 0;
            memcpy(out->heard, row->heard, sizeof row->heard);
        } else if (out->id == l->cfg->id) {
            out->at_us = now;
            own_row(l, now, out->heard);
        }
    }
}
