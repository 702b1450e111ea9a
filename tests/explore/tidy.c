/* tidy.c: one form for all worlds that behave alike: dead messages forgotten, numbers replaced by
 * ranks, nodes named in one order, messages sorted. And the hash and the packing of that form. */
#include "tests/explore/world.h"

#include <limits.h>
#include <string.h>

/* ------------------------------------------------------------------------------ dead messages */

/* The node's term is never below this again. */
static unsigned floor_term(const struct w_node *n, bool may_crash)
{
    return may_crash ? n->disk_term : n->term;
}

static bool leads(const struct w_node *n, unsigned term)
{
    return n->role == RAFT_LEADER && n->term == term;
}

static bool vote_fixed(const struct w_node *n, unsigned term, bool may_crash)
{
    return floor_term(n, may_crash) > term ||
           (may_crash ? n->disk_vote != 0 : n->term == term && n->vote != 0);
}

/* The lowest round that confirms some read; rounds below matter to nobody. */
static unsigned round_needed(const struct bounds *b, const struct world *w, const struct w_node *n,
                             unsigned term)
{
    unsigned low = UINT_MAX;
    if (w->reads < b->reads && leads(n, term)) /* that it needs a round to come must show itself */
        return 0;
    for (unsigned k = 0; leads(n, term) && k < n->n_reads; k++)
        low = n->reads[k].need < low ? n->reads[k].need : low;
    return low;
}

/* Acknowledged rounds matter to reads alone. What an acknowledgement says of its stream matters if
 * it may start a new probe: of a later stream than the present one, or of a lost one; whose it is, if it
 * may raise match_index. */
static void blunt_acks(const struct bounds *b, struct world *w)
{
    for (unsigned i = 0; i < b->nodes; i++) {
        struct w_node *n = &w->nodes[i];
        for (unsigned k = 0; k < b->nodes; k++) {
            if (n->peers[k].round < round_needed(b, w, n, n->term))
                n->peers[k].round = 0;
        }
    }
    for (unsigned k = 0; k < w->n_msgs; k++) {
        struct w_msg *m = &w->msgs[k];
        const struct w_node *leader = &w->nodes[w_to(m)];
        const struct w_peer *p = &leader->peers[w_from(m)];
        if (w_type(m) != RAFT_MSG_ACK || (m->f[3] & W_DAMAGED))
            continue;
        if (m->f[1] < round_needed(b, w, leader, m->term))
            m->f[1] = 0;
        bool lost = (m->f[3] & 1) || m->f[3] >> 2 != p->boot;
        if (!leads(leader, m->term) || w_place(m) != W_NET || m->f[0] > p->probe ||
            (m->f[0] == p->probe && (p->state != RAFT_PEER_REPLICATE || lost)))
            continue;
        m->f[0] = 0;
        m->f[3] = m->f[2] <= p->match ? 0 : w_byte((uint64_t)(m->f[3] >> 1 << 1));
    }
}

/* An acknowledgement that raises nothing at its leader and starts no probe. */
static bool ack_dominated(const struct w_node *leader, const struct w_msg *m)
{
    const struct w_peer *p = &leader->peers[w_from(m)];
    return !(m->f[3] & W_DAMAGED) && m->f[1] <= p->round && m->f[2] <= p->match && m->f[0] == 0 &&
           m->f[4] == p->unfit;
}

/* The vote asked for would count at the candidate c, in whatever campaign it comes. */
static bool vote_missing(const struct w_node *c, unsigned voter, const struct w_msg *m)
{
    return !(m->f[0] & W_PRE) && c->stood && c->term == m->term && !c->peers[voter].vote_granted;
}

/* A request: of the sender s to d. What it does at d and what the answer does at s must both be
 * nothing for ever, but that the answer may tell s of a higher term: ACT_LEARN stands for that. */
static bool request_useless(const struct w_msg *m, const struct w_node *s, const struct w_node *d,
                            bool may_crash)
{
    unsigned floor = floor_term(d, may_crash);
    bool over; /* campaign lost or won, or this answer is known */
    switch (w_type(m)) {
    case RAFT_MSG_VOTE_REQ:
        over = (!(m->f[0] & W_LIVE) || s->peers[w_to(m)].vote_answered) &&
               !vote_missing(s, w_to(m), m);
        return over && m->term <= floor && ((m->f[0] & W_PRE) || vote_fixed(d, m->term, may_crash));
    case RAFT_MSG_LEAD:
        return (m->term < floor && !leads(s, m->term)) ||
               (!may_crash && m->term == d->term && m->f[1] <= d->round);
    case RAFT_MSG_PROBE:
        return (m->term < floor && !leads(s, m->term)) ||
               (!may_crash && m->term == d->term && m->f[0] < d->probe_seen);
    case RAFT_MSG_READ_REQ: /* nobody waits for the answer */
        return m->term <= floor && (m->f[0] <= s->read_done || m->f[0] >> 4 != s->boot + 1u);
    default: return false;
    }
}

/* An answer, or what makes no answer when it is stale. */
static bool answer_useless(const struct w_msg *m, const struct w_node *d, bool may_crash)
{
    unsigned floor = floor_term(d, may_crash);
    const struct w_peer *p = &d->peers[w_from(m)];
    if (w_type(m) == W_DATA)
        return m->term < floor || (!may_crash && m->term == d->term && m->f[0] < d->probe_seen);
    if (m->term > floor) /* raises the term */
        return false;
    switch (w_type(m)) {
    case RAFT_MSG_VOTE_RSP:
        if ((m->f[0] & W_GRANTED) && vote_missing(d, w_from(m), m))
            return false;
        return !(m->f[0] & W_LIVE) || p->vote_answered ||
               ((m->f[0] & W_PRE) && !(m->f[0] & W_GRANTED));
    case RAFT_MSG_PROBE_ACK:
        return !leads(d, m->term) || m->f[0] < p->probe ||
               (p->state == RAFT_PEER_REPLICATE && m->f[1] >> 2 == p->boot);
    case RAFT_MSG_ACK: return !leads(d, m->term) || ack_dominated(d, m);
    case RAFT_MSG_TIMEOUT_NOW: return m->term < floor || (!may_crash && m->f[1] < d->round);
    case RAFT_MSG_PING:
    case RAFT_MSG_READ_REQ: return !leads(d, m->term);
    case RAFT_MSG_READ_RSP:
        return m->term < floor || m->f[0] >> 4 != d->boot + 1u || m->f[0] <= d->read_done;
    default: return false;
    }
}

static void forget(const struct bounds *b, struct world *w)
{
    bool crashes_left = w->crashes < b->crashes;
    unsigned kept = 0;
    for (unsigned k = 0; k < w->n_msgs; k++) {
        const struct w_msg *m = &w->msgs[k];
        const struct w_node *s = &w->nodes[w_from(m)], *d = &w->nodes[w_to(m)];
        bool may_crash = crashes_left && (d->may & W_CRASHES);
        if (w->damages < b->damages && (d->may & W_CRASHES)) { /* its term may fall */
            w->msgs[kept++] = *m;
            continue;
        }
        if (w_place(m) == W_NET && request_useless(m, s, d, may_crash))
            w->learns[w_from(m)] |= (uint8_t)(1u << w_to(m));
        else if (w_place(m) != W_NET || !answer_useless(m, d, may_crash))
            w->msgs[kept++] = *m;
    }
    w->n_msgs = (uint8_t)kept;
}

/* A term that no node can be in again: nobody will lead it or follow its stream. */
static void forget_terms(const struct bounds *b, struct world *w)
{
    unsigned low = w->damages < b->damages ? 0 : W_TERMS;
    for (unsigned i = 0; i < b->nodes; i++)
        low = w->nodes[i].disk_term < low ? w->nodes[i].disk_term : low;
    for (unsigned term = 0; term < low; term++) {
        w->leader[term] = 0;
        w->leader_last[term] = 0;
        memset(w->leader_log[term], 0, sizeof w->leader_log[term]);
    }
}

/* -------------------------------------------------------------------------------------- ranks */

/* The numbers in use, as bits, by term and follower. */
struct numbers {
    uint64_t probe[W_TERMS][W_NODES];
    uint64_t round[W_TERMS][W_NODES];
    bool rewrite;
    bool one_order; /* reads compare rounds of different followers */
};

static void touch(const struct numbers *s, uint64_t *used, uint8_t *number)
{
    if (*number == 0 || *number > 63)
        return;
    if (s->rewrite)
        *number = (uint8_t)__builtin_popcountll(*used & ((UINT64_C(2) << *number) - 1));
    else
        *used |= UINT64_C(1) << *number;
}

static void touch_probe(struct numbers *s, unsigned term, unsigned follower, uint8_t *number)
{
    touch(s, &s->probe[term & 7][follower], number);
}

static void touch_round(struct numbers *s, unsigned term, unsigned follower, uint8_t *number)
{
    touch(s, &s->round[term & 7][s->one_order ? 0 : follower], number);
}

static void touch_msg(struct numbers *s, struct w_msg *m)
{
    unsigned type = w_type(m);
    bool to_follower = type == RAFT_MSG_PROBE || type == RAFT_MSG_LEAD || type == W_DATA ||
                       type == RAFT_MSG_TIMEOUT_NOW;
    if (!to_follower && type != RAFT_MSG_PROBE_ACK && type != RAFT_MSG_ACK)
        return;
    unsigned follower = to_follower ? w_to(m) : w_from(m);
    touch_probe(s, m->term, follower, &m->f[0]);
    if (type == RAFT_MSG_LEAD || type == RAFT_MSG_ACK || type == RAFT_MSG_TIMEOUT_NOW)
        touch_round(s, m->term, follower, &m->f[1]);
}

static void touch_node(struct numbers *s, const struct bounds *b, struct w_node *n, unsigned i)
{
    if (n->role != RAFT_LEADER) {
        touch_probe(s, n->term, i, &n->epoch);
        touch_probe(s, n->term, i, &n->probe_seen);
        touch_probe(s, n->term, i, &n->refused_epoch);
        touch_round(s, n->term, i, &n->round);
        return;
    }
    for (unsigned k = 0; k < b->nodes; k++) {
        touch_probe(s, n->term, k, &n->peers[k].probe);
        touch_probe(s, n->term, k, &n->peers[k].epoch);
        touch_round(s, n->term, k, &n->peers[k].round);
    }
    if (!s->one_order)
        return;
    touch_round(s, n->term, i, &n->round);
    touch_round(s, n->term, i, &n->read_round);
    for (unsigned k = 0; k < n->n_reads; k++)
        touch_round(s, n->term, i, &n->reads[k].need);
}

static void rank(const struct bounds *b, struct world *w)
{
    struct numbers s = {.one_order = b->reads > 0};
    for (unsigned pass = 0; pass < 2; pass++) {
        s.rewrite = pass == 1;
        for (unsigned k = 0; k < w->n_msgs; k++)
            touch_msg(&s, &w->msgs[k]);
        for (unsigned i = 0; i < b->nodes; i++)
            touch_node(&s, b, &w->nodes[i], i);
    }
    for (unsigned i = 0; i < b->nodes && !s.one_order; i++) {
        struct w_node *n = &w->nodes[i];
        unsigned top = 0;
        for (unsigned k = 0; n->role == RAFT_LEADER && k < b->nodes; k++) {
            unsigned used = (unsigned)__builtin_popcountll(s.round[n->term & 7][k]);
            top = used > top ? used : top;
        }
        if (n->role == RAFT_LEADER)
            n->round = (uint8_t)top;
    }
}

/* -------------------------------------------------------------------------------------- hash */

static uint64_t stir(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9fb21c651e98df25);
    return h ^ h >> 29;
}

static uint64_t hash_bytes(const void *p, size_t n, uint64_t h)
{
    const uint8_t *at = p;
    uint64_t x;
    for (; n >= 8; at += 8, n -= 8) {
        memcpy(&x, at, 8);
        h = stir(h, x);
    }
    x = 0;
    memcpy(&x, at, n);
    return stir(h, x ^ (uint64_t)n << 56);
}

static size_t world_size(const struct world *w)
{
    return offsetof(struct world, msgs) + w->n_msgs * sizeof w->msgs[0];
}

bool w_same(const struct world *a, const struct world *b)
{
    return a->n_msgs == b->n_msgs && memcmp(a, b, world_size(a)) == 0;
}

static struct w_hash hash_world(const struct world *w)
{
    const uint8_t *at = (const uint8_t *)w;
    size_t n = world_size(w);
    struct w_hash h = {UINT64_C(0x2545f4914f6cdd1d), UINT64_C(0xd6e8feb86659fd93)};
    while (n > 0) {
        uint64_t x = 0;
        size_t k = n < 8 ? n : 8;
        memcpy(&x, at, k);
        h.a = stir(h.a, x);
        h.b = (h.b ^ (x * UINT64_C(0xff51afd7ed558ccd))) * UINT64_C(0xc4ceb9fe1a85ec53);
        h.b ^= h.b >> 32;
        at += k;
        n -= k;
    }
    return h;
}

/* -------------------------------------------------------------------------------------- names */

/* name[old number] = new number */
static uint8_t renamed(uint8_t id, const uint8_t *name)
{
    return id == 0 ? 0 : (uint8_t)(name[id - 1] + 1);
}

static void rename_ids(struct w_node *n, const uint8_t *name)
{
    n->leader = renamed(n->leader, name);
    n->heir = renamed(n->heir, name);
    n->vote = renamed(n->vote, name);
    n->durable_vote = renamed(n->durable_vote, name);
    n->inflight_vote = renamed(n->inflight_vote, name);
    n->disk_vote = renamed(n->disk_vote, name);
    n->batch_vote = renamed(n->batch_vote, name);
    for (unsigned k = 0; k < n->n_reads; k++)
        n->reads[k].from = renamed(n->reads[k].from, name);
}

static uint64_t key_of(const struct w_msg *m)
{
    uint64_t key;
    memcpy(&key, m, sizeof key);
    return key;
}

static void sort_msgs(struct world *w)
{
    unsigned kept = 0;
    for (unsigned k = 1; k < w->n_msgs; k++) {
        struct w_msg m = w->msgs[k];
        uint64_t key = key_of(&m);
        unsigned j = k;
        for (; j > 0 && key_of(&w->msgs[j - 1]) > key; j--)
            w->msgs[j] = w->msgs[j - 1];
        w->msgs[j] = m;
    }
    for (unsigned k = 0; k < w->n_msgs; k++) {
        if (kept == 0 || key_of(&w->msgs[k]) != key_of(&w->msgs[kept - 1]))
            w->msgs[kept++] = w->msgs[k];
    }
    w->n_msgs = (uint8_t)kept;
}

static void rename_world(const struct bounds *b, const struct world *w, const uint8_t *name,
                         struct world *out)
{
    memcpy(out, w, world_size(w));
    memset(out->learns, 0, sizeof out->learns);
    for (unsigned i = 0; i < b->nodes; i++) {
        struct w_node *n = &out->nodes[name[i]];
        *n = w->nodes[i];
        rename_ids(n, name);
        for (unsigned k = 0; k < b->nodes; k++) {
            n->peers[name[k]] = w->nodes[i].peers[k];
            if (w->learns[i] >> k & 1)
                out->learns[name[i]] |= (uint8_t)(1u << name[k]);
        }
    }
    for (unsigned term = 0; term < W_TERMS; term++)
        out->leader[term] = renamed(w->leader[term], name);
    for (unsigned k = 0; k < w->n_msgs; k++) {
        const struct w_msg *m = &w->msgs[k];
        out->msgs[k].path = (uint8_t)(name[w_from(m)] << 4 | name[w_to(m)]);
    }
    sort_msgs(out);
}

/* What can be said of node i without names. */
static uint64_t signature(const struct bounds *b, const struct world *w, unsigned i)
{
    struct w_node n = w->nodes[i];
    uint8_t name[W_NODES] = {1, 1, 1, 1};
    name[i] = 0;
    rename_ids(&n, name);
    uint64_t sum = 0;
    for (unsigned k = 0; k < b->nodes; k++) {
        if (k != i)
            sum += hash_bytes(&n.peers[k], sizeof n.peers[k], 1);
        sum += (w->learns[i] >> k & 1u) * 3u + (w->learns[k] >> i & 1u) * 5u;
    }
    for (unsigned k = 0; k < w->n_msgs; k++) {
        struct w_msg m = w->msgs[k];
        unsigned from = w_from(&m), to = w_to(&m);
        m.path = 0;
        if (from == i)
            sum += stir(7, key_of(&m));
        else if (to == i)
            sum += stir(8, key_of(&m));
    }
    for (unsigned term = 0; term < W_TERMS; term++)
        sum = stir(sum, w->leader[term] == i + 1);
    memset(n.peers, 0, sizeof n.peers);
    return hash_bytes(&n, sizeof n, sum);
}

/* The orders (order[new number] = old number) that sort the signatures; more than one only if two
 * nodes have the same. */
static unsigned sorted_orders(const struct bounds *b, const struct world *w,
                              uint8_t out[6][W_NODES])
{
    static const uint8_t orders[6][W_NODES] = {{0, 1, 2}, {1, 0, 2}, {0, 2, 1},
                                               {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    unsigned n_orders = b->nodes == 3 ? 6 : 2, n = 0;
    uint64_t sig[W_NODES];
    for (unsigned i = 0; i < b->nodes; i++)
        sig[i] = signature(b, w, i);
    for (unsigned o = 0; o < n_orders; o++) {
        bool sorted = true;
        for (unsigned k = 1; k < b->nodes; k++)
            sorted = sorted && sig[orders[o][k - 1]] <= sig[orders[o][k]];
        if (sorted)
            memcpy(out[n++], orders[o], W_NODES);
    }
    return n;
}

static struct w_hash name_nodes(const struct bounds *b, struct world *w, uint8_t name[W_NODES])
{
    uint8_t orders[6][W_NODES];
    struct world try, best;
    struct w_hash low = {UINT64_MAX, UINT64_MAX};
    if (b->confs > 1 || b->nodes > 3) { /* they name nodes; there are too many orders */
        memcpy(name, (const uint8_t[]){0, 1, 2, 3}, W_NODES);
        return hash_world(w);
    }
    unsigned n = sorted_orders(b, w, orders);
    memcpy(name, orders[0], W_NODES);
    if (n == 1 && name[0] == 0 && name[1] == 1)
        return hash_world(w);
    for (unsigned o = 0; o < n; o++) {
        uint8_t back[W_NODES] = {0, 1, 2, 3};
        for (unsigned k = 0; k < b->nodes; k++)
            back[orders[o][k]] = (uint8_t)k;
        rename_world(b, w, back, &try);
        struct w_hash h = hash_world(&try);
        if (h.a < low.a || (h.a == low.a && h.b < low.b)) {
            low = h;
            memcpy(&best, &try, world_size(&try));
            memcpy(name, orders[o], W_NODES);
        }
    }
    memcpy(w, &best, world_size(&best));
    return low;
}

struct w_hash w_tidy(const struct bounds *b, struct world *w, uint8_t name[W_NODES])
{
    forget_terms(b, w);
    if (!b->keep) {
        blunt_acks(b, w);
        forget(b, w);
    }
    rank(b, w);
    sort_msgs(w); /* signatures need sets */
    return name_nodes(b, w, name);
}

/* More heartbeats of a term for one node, or more messages in all, than the bounds allow. */
bool w_crowded(const struct bounds *b, const struct world *w)
{
    uint8_t leads_to[W_TERMS][W_NODES] = {{0}};
    for (unsigned k = 0; k < w->n_msgs; k++) {
        const struct w_msg *m = &w->msgs[k];
        if (w_type(m) == RAFT_MSG_LEAD && ++leads_to[m->term & 7][w_to(m)] > b->leads)
            return true;
    }
    return w->n_msgs > b->messages;
}

/* ------------------------------------------------------------------------------------ packing */

/* Groups of 8 bytes: a mask of those that are not 0, and these. */
size_t w_squeeze(const struct world *w, uint8_t *out)
{
    const uint8_t *in = (const uint8_t *)w;
    size_t n = world_size(w), used = 0;
    out[used++] = w->n_msgs;
    for (size_t at = 0; at < n; at += 8) {
        size_t mask_at = used++;
        uint8_t mask = 0;
        for (size_t k = 0; k < 8 && at + k < n; k++) {
            if (in[at + k] != 0) {
                mask |= (uint8_t)(1u << k);
                out[used++] = in[at + k];
            }
        }
        out[mask_at] = mask;
    }
    return used;
}

void w_unsqueeze(struct world *w, const uint8_t *in)
{
    uint8_t *out = (uint8_t *)w;
    size_t n = offsetof(struct world, msgs) + *in * sizeof w->msgs[0], used = 1;
    for (size_t at = 0; at < n; at += 8) {
        uint8_t mask = in[used++];
        for (size_t k = 0; k < 8 && at + k < n; k++)
            out[at + k] = mask >> k & 1 ? in[used++] : 0;
    }
}
