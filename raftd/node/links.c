/* links.c: what nodes tell each other about their links when they have nothing else to say: who
 * hears whom, and how large datagrams may be. For people and for speed; no rule depends on it.
 */
#include <assert.h>
#include <string.h>

#include "raftd/node/node_impl.h"

enum {
    TELL_US = 2000000,       /* a row rides along with what is sent anyway after this long ... */
    TELL_ALONE_US = 3000000, /* ... and goes alone after this: two followers say nothing else */
    SOON_US = 1000000,       /* of a leader's silence, and of silence towards it: several ... */
    SOON_HEARTBEATS = 6,     /* ... of these and of their answers lost in a row */
    HEARD_US = STATUS_LINK_LASTS_MS *
               1000, /* a peer silent for longer (three rows lost) is not heard */
};

_Static_assert((uint64_t)WIRE_AGE_MAX *WIRE_AGE_UNIT_US >= HEARD_US, "an age fits");
_Static_assert((int)STATUS_LINK_SILENT == (int)WIRE_NOT_HEARD &&
                   (int)STATUS_LINK_UNKNOWN == (int)WIRE_NOT_KNOWN,
               "rows are copied");

/* Voters in ascending order of their ids: the columns of all rows. */
static unsigned column(const struct node *n, uint16_t id)
{
    unsigned c = 0;
    for (unsigned i = 0; i < n->cfg.n_voters; i++)
        c += n->cfg.voters[i] < id;
    return c;
}

static bool voter(const struct node *n, uint16_t id)
{
    return id == n->cfg.id || raft_peer_slot(&n->raft, id) >= 0;
}

void links_watch(struct node *n, uint64_t now)
{
    const struct raft *r = &n->raft;
    if (r->role != RAFT_PRE_CANDIDATE)
        n->asking_since = 0;
    else if (n->asking_since == 0)
        n->asking_since = now;
    if (r->leader == 0 || (r->leader == n->led_by && r->term == n->led_term))
        return;
    n->led_by = r->leader;
    n->led_term = r->term;
    /* A leader passes the rows on: what was told before there was one is of the past. */
    for (unsigned i = 0; i < r->n_peers; i++)
        if (r->role == RAFT_LEADER || r->peers[i].id == r->leader)
            n->peers[i].told_at = 0;
}

/* Every heartbeat of a leader is answered at once, and it sends them as long as its term lasts. So is,
 * without a disk, a question whether one would vote, and it is repeated as long as there is no leader. */
static bool owes_word(const struct node *n, uint64_t now, unsigned slot, uint64_t heard)
{
    const struct raft *r = &n->raft;
    uint64_t most = SOON_HEARTBEATS * r->cfg.heartbeat;
    most = most > SOON_US ? most : SOON_US;
    if (r->role == RAFT_LEADER)
        return now >= heard + most && now >= r->lead_since + most;
    if (n->asking_since != 0 && now >= heard + most && now >= n->asking_since + most)
        return true;
    return now >= heard + most && n->led_by == r->peers[slot].id && n->led_term == r->term;
}

/* Silence shows that a peer is not heard only once it lasts longer than peers keep silent. */
static uint8_t heard_of(const struct node *n, uint64_t now, unsigned slot)
{
    const struct link *l = &n->peers[slot].link;
    if (owes_word(n, now, slot, l->has_peer ? l->peer_ts_at : 0))
        return WIRE_NOT_HEARD;
    if (l->has_peer && now < l->peer_ts_at + HEARD_US)
        return (uint8_t)((uint64_t)l->loss_in * 100 / LINK_LOSS_FULL);
    return now < n->start_us + HEARD_US ? WIRE_NOT_KNOWN : WIRE_NOT_HEARD;
}

static void own_row(const struct node *n, uint64_t now, uint8_t *heard)
{
    heard[column(n, n->cfg.id)] = 0;
    for (unsigned i = 0; i < n->raft.n_peers; i++)
        heard[column(n, n->raft.peers[i].id)] = heard_of(n, now, i);
}

static bool row_lasts(const struct peer *p, uint64_t now)
{
    return p->row_at != 0 && now <= p->row_at + HEARD_US;
}

static int32_t permille(uint32_t loss)
{
    return (int32_t)((uint64_t)loss * 1000 / LINK_LOSS_FULL);
}

/* Loss is measured when something arrives. Where nothing does, all of it is lost, and that is known
 * by silence alone: ours, and what the peer tells of its own, maybe through the leader. */
void links_loss(const struct node *n, uint64_t now, unsigned slot, struct status_peer *s)
{
    const struct peer *p = &n->peers[slot];
    uint8_t heard = heard_of(n, now, slot), back = p->row[column(n, n->cfg.id)];
    bool hears = heard < WIRE_NOT_KNOWN, told = row_lasts(p, now);
    s->loss_in_permille = s->loss_out_permille = STATUS_LOSS_UNKNOWN;
    if (heard == WIRE_NOT_HEARD)
        s->loss_in_permille = 1000;
    else if (hears && p->link.has_loss)
        s->loss_in_permille = permille(p->link.loss_in);
    if (told && back == WIRE_NOT_HEARD)
        s->loss_out_permille = 1000;
    else if (hears && !(told && back == WIRE_NOT_KNOWN))
        s->loss_out_permille = permille(p->link.loss_out);
    else if (told && back < WIRE_NOT_KNOWN)
        s->loss_out_permille = back * 10;
}

/* When this peer must be told in a datagram of its own. */
uint64_t links_due(const struct node *n, unsigned slot)
{
    return n->peers[slot].told_at + TELL_ALONE_US;
}

/* Our row, and as leader also those that we were told: a follower hears no other follower's. */
bool links_fill(struct node *n, uint64_t now, unsigned slot, struct wire_links *l)
{
    struct peer *p = &n->peers[slot];
    if (now < p->told_at + TELL_US)
        return false;
    p->told_at = now;
    l->cols = (uint8_t)n->cfg.n_voters;
    l->rows = 1;
    l->id[0] = n->cfg.id;
    own_row(n, now, l->heard[0]);
    for (unsigned i = 0; n->raft.role == RAFT_LEADER && i < n->raft.n_peers; i++) {
        const struct peer *q = &n->peers[i];
        if (i == slot || !row_lasts(q, now))
            continue;
        l->id[l->rows] = n->raft.peers[i].id;
        l->age[l->rows] = (uint8_t)((now - q->row_at) / WIRE_AGE_UNIT_US);
        memcpy(l->heard[l->rows++], q->row, l->cols);
    }
    return true;
}

void links_take(struct node *n, uint64_t now, unsigned slot, const struct wire_links *l)
{
    uint16_t from = n->raft.peers[slot].id;
    if (l->cols != n->cfg.n_voters)
        return; /* of another membership */
    for (unsigned i = 0; i < l->rows; i++) {
        if (l->id[i] == n->cfg.id || !voter(n, l->id[i]) ||
            (l->id[i] != from && from != n->raft.leader))
            continue;
        struct peer *p = &n->peers[raft_peer_slot(&n->raft, l->id[i])];
        uint64_t age = (uint64_t)l->age[i] * WIRE_AGE_UNIT_US, at = now > age ? now - age : 1;
        if (at < p->row_at)
            continue;
        for (unsigned c = 0; c < l->cols; c++) /* percent, whatever the peer says */
            p->row[c] = l->heard[i][c] > 100 && l->heard[i][c] < WIRE_NOT_KNOWN ? 100
                                                                                : l->heard[i][c];
        p->row_at = at;
    }
}

struct wire_settings links_settings(const struct node *n)
{
    return (struct wire_settings){
        .n = WIRE_SETTING_COUNT,
        .value = {[WIRE_MAX_VALUE_BYTES] = n->cfg.max_value_bytes,
                  [WIRE_ELECTION_TIMEOUT_MS] = n->cfg.election_timeout_us / 1000,
                  [WIRE_MAX_DATA_BYTES] = n->cfg.max_data_bytes},
    };
}

void links_status(const struct node *n, uint64_t now, struct status *s)
{
    s->n_links = n->cfg.n_voters;
    s->settings = links_settings(n);
    unsigned self = column(n, n->cfg.id);
    s->links[self].id = n->cfg.id;
    s->links[self].at_us = now;
    own_row(n, now, s->links[self].heard);
    for (unsigned i = 0; i < n->raft.n_peers; i++) {
        const struct peer *p = &n->peers[i];
        unsigned c = column(n, n->raft.peers[i].id);
        s->links[c].id = n->raft.peers[i].id;
        s->links[c].at_us = row_lasts(p, now) ? p->row_at : 0;
        memcpy(s->links[c].heard, p->row, sizeof p->row);
        s->peers[i].settings = p->settings;
    }
}
