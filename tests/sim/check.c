/* check.c: the cluster's history and what must be true of it after every step.
 *
 * All logs that ever were form one tree of entries, named by (index, term): the Log Matching
 * Property (dissertation figure 3.2) says that such a pair has one content and one past, so each
 * node's log, in memory and on disk, is a pointer into the tree. After a step only what is new in
 * a log is looked at.
 *
 *   one node            raft_check(); its durable index is on its disk
 *   election safety     one leader per term, over all lives; elected by durable votes
 *   leader append-only  a leader's new log descends from its old one
 *   conflicts           entries go only when another one takes their place (figure 3.1)
 *   log matching        same (index, term), same hash of the whole log up to there
 *   commit rule         a leader commits by an entry of its own term on a majority of disks
 *   leader completeness what the leader of a term committed is in the log of every later one
 *   state machine       committed entries never change; what is applied, client.c compares
 *   local reads         begin where the node was when it stopped, or a new one first heard of
 *   cluster time        never falls along a log, nor passes faster than true time and 1 %
 *   leases              nobody gets what another one believes to hold: lease.c
 *   hard state          durable term never falls, one durable vote per term, over all lives
 */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

enum {
    ROUNDED_MS = 2,
    /* both stamps are whole milliseconds */ ARENA = 4096,
    TERMS_MAX = 1 << 22,
    TEXT = 512
};

_Noreturn void sim_failed(struct sim *s, const char *kind, const char *text)
{
    if (s->o.failed != NULL)
        s->o.failed(s->o.failed_ctx, kind, text);
    fflush(stdout);
    sim_print(s, stderr);
    fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " us: %s\n", s->o.seed, s->now, text);
    abort();
}

void sim_broken(struct sim *s, const char *kind, const char *fmt, ...)
{
    char text[TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sim_failed(s, kind, text);
}

/* ---- the tree ---- */

static size_t bucket(const struct sim *s, uint64_t index, uint64_t term)
{
    uint64_t h = (index * 0x9e3779b97f4a7c15u) ^ (term * 0xc2b2ae3d27d4eb4fu);
    return (size_t)(h ^ h >> 29) & (s->n_buckets - 1);
}

struct entry *sim_entry(const struct sim *s, uint64_t index, uint64_t term)
{
    struct entry *e = s->buckets[bucket(s, index, term)];
    while (e != NULL && (e->index != index || e->term != term))
        e = e->chain;
    return e;
}

static void rehash(struct sim *s)
{
    struct entry **old = s->buckets;
    size_t n = s->n_buckets;
    s->n_buckets = 2 * n;
    s->buckets = sim_must(calloc(s->n_buckets, sizeof(struct entry *)));
    for (size_t i = 0; i < n; i++)
        for (struct entry *e = old[i], *next; e != NULL; e = next) {
            next = e->chain;
            struct entry **b = &s->buckets[bucket(s, e->index, e->term)];
            e->chain = *b;
            *b = e;
        }
    free(old);
}

static struct entry *new_entry(struct sim *s, uint64_t index, uint64_t term, const uint8_t *hash)
{
    if (s->n_entries++ == s->n_buckets)
        rehash(s);
    if (s->arena_left == 0) {
        s->arenas = sim_must(realloc(s->arenas, (s->n_arenas + 1) * sizeof(void *)));
        s->arena = sim_must(calloc(ARENA, sizeof *s->arena));
        s->arenas[s->n_arenas++] = s->arena;
        s->arena_left = ARENA;
    }
    struct entry *e = &s->arena[ARENA - s->arena_left--];
    e->index = index;
    e->term = term;
    e->op = NO_OP;
    e->made = s->now;
    memcpy(e->hash, hash, sizeof e->hash);
    struct entry **b = &s->buckets[bucket(s, index, term)];
    e->chain = *b;
    *b = e;
    return e;
}

struct entry *sim_at(struct entry *tip, uint64_t index)
{
    assert(tip->index >= index);
    while (tip->index > index)
        tip = tip->prev;
    return tip;
}

struct term *sim_term(struct sim *s, uint64_t term)
{
    if (term >= TERMS_MAX)
        sim_broken(s, "term-high", "term %" PRIu64 " was reached", term);
    if (term >= s->n_terms) {
        uint64_t n = 2 * term + 64;
        s->terms = sim_must(realloc(s->terms, n * sizeof *s->terms));
        memset(s->terms + s->n_terms, 0, (n - s->n_terms) * sizeof *s->terms);
        s->n_terms = n;
    }
    return &s->terms[term];
}

void sim_check_init(struct sim *s)
{
    s->n_buckets = 1024;
    s->buckets = sim_must(calloc(s->n_buckets, sizeof(struct entry *)));
    s->cap_committed = 1024;
    s->committed = sim_must(calloc(s->cap_committed, sizeof(struct entry *)));
    s->committed[0] = &s->root;
    s->first.n = s->o.nodes;
    for (unsigned i = 0; i < s->o.nodes; i++)
        s->first.m[i] = (struct member){
            .id = (uint16_t)(i + 1), .standing = MEMBER_VOTER, .priority = 1};
    s->root.members = &s->first;
    s->root.committed = true;
    s->root.op = NO_OP;
}

void sim_check_free(struct sim *s)
{
    for (size_t i = 0; i < s->n_arenas; i++) {
        for (size_t j = 0; j < ARENA; j++)
            free(((struct entry *)s->arenas[i])[j].members);
        free(s->arenas[i]);
    }
    free(s->arenas);
    free(s->buckets);
    free(s->committed);
    free(s->terms);
}

unsigned sim_majority(const struct sim *s)
{
    return s->o.nodes / 2 + 1;
}

/* ---- logs ---- */

static struct members *members_of(struct sim *s, const struct sim_node *m, const struct record *rec)
{
    struct members *conf = sim_must(malloc(sizeof *conf));
    if (!members_decode(rec->data, rec->data_len, conf))
        sim_broken(s, "members-bytes", "node %u: entry %" PRIu64 " is no configuration", m->at + 1,
                   rec->index);
    return conf;
}

/* Takes over the new entries of a node's log, newest first, down to one that is known. */
static void follow_log(struct sim *s, struct sim_node *m)
{
    const struct entries *log = replica_log(node_replica(m->node));
    const struct raft *r = node_raft(m->node);
    const uint8_t *hash = replica_head(node_replica(m->node));
    uint8_t below[RECORD_HASH_BYTES];
    if (m->tip->index == log->last && (log->last == 0 || memcmp(m->tip->hash, hash, 16) == 0))
        return;
    struct entry *tip = NULL, *above = NULL, *e = NULL;
    for (uint64_t i = log->last; i > 0; i--) {
        uint64_t term = raft_term_at(r, i);
        e = sim_entry(s, i, term);
        bool known = e != NULL;
        if (known && memcmp(e->hash, hash, sizeof e->hash) != 0)
            sim_broken(s, "log-matching",
                       "node %u has another entry %" PRIu64 " of term %" PRIu64
                       " than some node had before",
                       m->at + 1, i, term);
        if (!known)
            e = new_entry(s, i, term, hash);
        if (above != NULL)
            above->prev = e;
        if (tip == NULL)
            tip = e;
        if (known)
            break;
        above = e;
        if (i < log->first)
            sim_broken(s, "log-invented", "node %u has an old entry nobody ever had", m->at + 1);
        struct record rec;
        size_t size;
        uint8_t check[RECORD_HASH_BYTES];
        const uint8_t *p = entries_at(log, i, &size);
        if (record_decode(p, size, &rec, &size) != RECORD_OK || rec.index != i || rec.term != term)
            sim_broken(s, "log-bytes", "node %u: bytes of entry %" PRIu64 " are wrong", m->at + 1,
                       i);
        record_hash(p, size, check);
        if (memcmp(check, e->hash, sizeof check) != 0)
            sim_broken(s, "log-hash", "node %u: hash of entry %" PRIu64 " is wrong", m->at + 1, i);
        e->ends = rec.type == RECORD_COMMAND && sim_is_end(&rec);
        if (rec.type == RECORD_COMMAND)
            e->frees = sim_frees(&rec);
        if (rec.type == RECORD_COMMAND && !e->ends)
            e->op = sim_op_of(s, &rec, &e->sender);
        if (rec.type == RECORD_MEMBERS)
            e->members = members_of(s, m, &rec);
        e->ms = rec.cluster_ms;
        memcpy(below, rec.prev, sizeof below);
        hash = below;
    }
    if (above != NULL && above->prev == NULL)
        above->prev = &s->root;
    for (e = tip; above != NULL && e != above->prev; e = e->prev) {
        if (e->ms < e->prev->ms)
            sim_broken(s, "cluster-time", "node %u: cluster time falls at entry %" PRIu64,
                       m->at + 1, e->index);
        /* Argument (A) of raftd/node/cluster_time.h: nothing ends early. */
        uint64_t passed_us = e->made - e->prev->made;
        passed_us += passed_us * (uint64_t)s->o.ppm_max / 1000000;
        if (e->ms - e->prev->ms > passed_us / 1000 + ROUNDED_MS)
            sim_broken(s, "cluster-time-fast",
                       "node %u: from entry %" PRIu64 " to the next one %" PRIu64
                       " ms of cluster time pass in %" PRIu64 " us",
                       m->at + 1, e->prev->index, e->ms - e->prev->ms, e->made - e->prev->made);
        if (e->members != NULL)
            sim_check_members(s, e);
    }
    if (tip == NULL)
        tip = &s->root;
    if (m->lead_term == r->term && r->role == RAFT_LEADER &&
        (tip->index < m->tip->index || sim_at(tip, m->tip->index) != m->tip))
        sim_broken(s, "append-only", "leader %u of term %" PRIu64 " changed its log", m->at + 1,
                   r->term);
    if (tip->index < m->tip->index && sim_at(m->tip, tip->index) == tip)
        sim_broken(s, "cut-without-conflict", "node %u dropped entries, nothing took their place",
                   m->at + 1);
    m->tip = tip;
}

static void check_durable(struct sim *s, struct sim_node *m)
{
    const struct raft *r = node_raft(m->node);
    if (r->durable_term > m->hard.term)
        sim_broken(s, "durable-term", "node %u takes a term for durable that is not", m->at + 1);
    if (r->durable_index == m->durable)
        return;
    struct entry *disk = sim_tip(&m->hard, m->snap);
    if (r->durable_index > disk->index ||
        sim_at(disk, r->durable_index) != sim_at(m->tip, r->durable_index))
        sim_broken(s, "durable-index", "node %u takes entry %" PRIu64 " for durable, it is not",
                   m->at + 1, r->durable_index);
    m->durable = r->durable_index;
}

/* ---- leaders and commits ---- */

/* All that leaders of older terms committed is in this leader's log. */
static void check_complete(struct sim *s, struct sim_node *m, uint64_t from_term)
{
    const struct raft *r = node_raft(m->node);
    for (uint64_t t = from_term; t < r->term; t++) {
        uint64_t i = s->terms[t].committed;
        if (i > 0 && (i > m->tip->index || sim_at(m->tip, i) != s->committed[i]))
            sim_broken(s, "leader-completeness",
                       "leader %u of term %" PRIu64 " lacks entry %" PRIu64
                       ", committed in term %" PRIu64,
                       m->at + 1, r->term, i, t);
    }
}

static void check_leader(struct sim *s, struct sim_node *m)
{
    const struct raft *r = node_raft(m->node);
    if (r->role != RAFT_LEADER) {
        m->lead_term = 0;
        return;
    }
    struct term *t = sim_term(s, r->term);
    t->leader_tip = m->tip;
    if (m->lead_term == r->term)
        return;
    m->lead_term = r->term;
    s->t.leaders++;
    s->t.handovers += r->why == RAFT_WHY_HANDED;
    if (t->leader != 0)
        sim_broken(s, "election-safety", "nodes %u and %u both led term %" PRIu64, t->leader,
                   m->at + 1, r->term);
    t->leader = r->cfg.id;
    unsigned votes = 0;
    for (unsigned i = 0; i < s->o.nodes; i++)
        votes += sim_counts(&r->members, i, t->disks[i]) &&
                 (t->votes[i] == r->cfg.id || t->forgot[i] == r->cfg.id);
    if (2 * votes <= raft_n_voters(&r->members))
        sim_broken(s, "elected", "node %u leads term %" PRIu64 " with %u durable votes", m->at + 1,
                   r->term, votes);
    check_complete(s, m, 0);
}

static void take_commit(struct sim *s, struct sim_node *m, struct entry *e)
{
    if (e->committed)
        return;
    take_commit(s, m, e->prev);
    if (e->index <= s->n_committed)
        sim_broken(s, "committed-changed",
                   "node %u commits entry %" PRIu64 " of term %" PRIu64
                   ", but that of term %" PRIu64 " was committed",
                   m->at + 1, e->index, e->term, s->committed[e->index]->term);
    assert(e->index == s->n_committed + 1);
    if (e->index == s->cap_committed) {
        s->cap_committed *= 2;
        s->committed = sim_must(realloc(s->committed, s->cap_committed * sizeof(struct entry *)));
    }
    s->committed[e->index] = e;
    s->n_committed = e->index;
    e->committed = true;
    s->t.committed++;
    sim_model_take(s, e);
}

/* On the disks that count, or did when the leader heard of it. */
static bool on_majority(struct sim *s, const struct raft *leader, const struct raft_members *conf,
                        struct entry *e)
{
    unsigned disks = 0;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        bool same = sim_counts(conf, i, sim_disk_of(&s->m[i]));
        struct entry *d = same ? sim_relied_on(s, leader, i) : s->m[i].gone;
        disks += d != NULL && (same || raft_is_voter(conf, (uint16_t)(i + 1))) &&
                 d->index >= e->index && sim_at(d, e->index) == e;
    }
    return 2 * disks > raft_n_voters(conf);
}

static void leader_commits(struct sim *s, struct sim_node *m, struct entry *e)
{
    const struct raft *r = node_raft(m->node);
    if (e->term != r->term)
        sim_broken(s, "commit-term",
                   "leader %u of term %" PRIu64 " commits by an entry of %" PRIu64, m->at + 1,
                   r->term, e->term);
    /* It may have changed the members since, in this very step. */
    bool may = on_majority(s, r, &r->members, e) ||
               (r->members.index > r->commit_index && on_majority(s, r, &r->members_before, e));
    if (!may)
        sim_broken(s, "commit-quorum",
                   "leader %u commits entry %" PRIu64 ", which is not on a majority of disks",
                   m->at + 1, e->index);
    sim_term(s, r->term)->committed = e->index;
}

static void check_commit(struct sim *s, struct sim_node *m)
{
    const struct raft *r = node_raft(m->node);
    uint64_t c = r->commit_index;
    if (c < m->committed->index)
        sim_broken(s, "commit-fell", "node %u: commit index fell", m->at + 1);
    if (c == m->committed->index)
        return;
    struct entry *e = sim_at(m->tip, c);
    if (r->role == RAFT_LEADER)
        leader_commits(s, m, e);
    else if (!e->committed)
        sim_broken(s, "commit-first", "node %u commits entry %" PRIu64 ", no leader did", m->at + 1,
                   c);
    if (!e->committed)
        take_commit(s, m, e);
    else if (s->committed[c] != e)
        sim_broken(s, "committed-changed", "node %u commits another entry %" PRIu64, m->at + 1, c);
    m->committed = e;
    if (r->role == RAFT_LEADER)
        for (unsigned i = 0; i < s->o.nodes; i++)
            if (s->m[i].up && &s->m[i] != m && s->m[i].lead_term > r->term)
                check_complete(s, &s->m[i], r->term);
}

void sim_follow(struct sim *s, struct sim_node *m)
{
    follow_log(s, m);
    check_durable(s, m);
    check_leader(s, m);
    check_commit(s, m);
}

void sim_check(struct sim *s, struct sim_node *m)
{
    const struct raft *r = node_raft(m->node);
    const char *what = raft_check(r);
    if (what != NULL)
        sim_broken(s, what, "node %u: %s", m->at + 1, what);
    sim_follow(s, m);
    if (replica_applied(node_replica(m->node)) > r->commit_index ||
        replica_applied(node_replica(m->node)) < m->applied)
        sim_broken(s, "applied", "node %u applied what is not committed, or went back", m->at + 1);
    m->applied = replica_applied(node_replica(m->node));
    if (m->known == 0)
        m->known = r->leader_commit;
    if (!s->spoilt && node_local_reads(m->node) != (m->known != 0 && m->applied >= m->known))
        sim_broken(s, "local-reads",
                   "node %u knew entry %" PRIu64 ", applied %" PRIu64 ", and %s local reads",
                   m->at + 1, m->known, m->applied,
                   node_local_reads(m->node) ? "serves" : "refuses");
    sim_check_lost(s, m);
    sim_check_clone(s, m);
    sim_check_leases(s, m);
    if (m->wiped && r->role == RAFT_LEADER && !sim_counts(&r->members, m->at, sim_disk_of(m)))
        sim_broken(s, "wiped-leads", "node %u leads with an empty disk", m->at + 1);
    sim_watch(s, m);
    sim_scan(s, m);
    sim_events(s, m);
    sim_mix(s, (uint64_t)m->at << 56 ^ r->term << 40 ^ r->trail.last << 20 ^ r->commit_index);
}

static void remember(struct sim_node *m, const struct hard *now)
{
    if (m->n_was == m->cap_was) {
        m->cap_was = m->cap_was ? 2 * m->cap_was : 64;
        m->was = sim_must(realloc(m->was, m->cap_was * sizeof *m->was));
    }
    m->was[m->n_was++] = *now;
}

void sim_check_hard(struct sim *s, struct sim_node *m, const struct hard *now)
{
    remember(m, now);
    if (now->term < m->hard.term)
        sim_broken(s, "term-fell", "node %u: its durable term fell", m->at + 1);
    if (now->term == m->hard.term && m->hard.vote != 0 && now->vote != m->hard.vote)
        sim_broken(s, "vote-changed", "node %u: its vote in term %" PRIu64 " changed", m->at + 1,
                   now->term);
    if (now->vote == 0)
        return;
    uint16_t *vote = &sim_term(s, now->term)->votes[m->at];
    uint64_t disk = sim_term(s, now->term)->disks[m->at];
    if (*vote != 0 && *vote != now->vote && disk == sim_disk_of(m))
        sim_broken(s, "two-votes", "node %u voted twice in term %" PRIu64, m->at + 1, now->term);
    *vote = now->vote;
    sim_term(s, now->term)->disks[m->at] = sim_disk_of(m);
}
