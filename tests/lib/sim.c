#include "tests/lib/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/kv.h"
#include "raftd/node.h"
#include "raftd/rcu.h"
#include "storage/ident.h"
#include "tests/lib/memdisk.h"

enum { NODES = RAFT_VOTERS_MAX, TERMS = 1 << 16, DIR_ID = 77 };

enum kind { EV_DATAGRAM, EV_DISK, EV_WAKE };

struct job { /* of a disk */
    bool fetch;
    uint64_t seq;
    struct wal_batch batch;
    unsigned what;
    uint64_t first;
    uint8_t *buf; /* fetch: the node's; else a copy of the batch's bytes */
    size_t cap;
};

struct event {
    uint64_t at, order;
    enum kind kind;
    unsigned node, from;
    uint64_t generation; /* of the node: events of an earlier life are void */
    uint8_t *bytes;
    size_t len;
    struct job job;
};

struct put {
    unsigned node;
    uint64_t generation;
    bool done, acked;
    size_t len;
    uint64_t revision;
};

struct reading {
    uint64_t number, must_see;
};

struct member {
    struct sim *sim;
    unsigned at;
    struct memdisk *disk;
    struct wal *wal;
    struct kv *kv;
    struct node *node;
    bool up;
    uint64_t generation, wake_at, disk_free;
    struct reading reads[256];
    unsigned n_reads;
    uint64_t term, vote_term; /* highest durable ones seen over all lives */
};

struct sim {
    struct sim_options o;
    uint64_t now, rng, order, datagrams;
    struct event **heap;
    size_t n_heap, cap_heap;
    struct member m[NODES];
    bool cut[NODES][NODES];
    struct put *puts;
    unsigned n_puts, cap_puts, acked, pending, served;
    uint64_t acked_revision, acked_term; /* highest acknowledged, and the term that committed it */
    uint16_t leader_of[TERMS];
};

static _Noreturn void broken(struct sim *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " us: ", s->o.seed, s->now);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

static void trace(struct sim *s, unsigned node, const char *fmt, ...)
{
    if (!s->o.trace)
        return;
    va_list ap;
    va_start(ap, fmt);
    printf("%10" PRIu64 " %u ", s->now, node + 1);
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
}

uint64_t sim_random(struct sim *s, uint64_t below)
{
    uint64_t z = s->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below == 0 ? 0 : z % below;
}

static uint64_t between(struct sim *s, uint64_t min, uint64_t max)
{
    return min + sim_random(s, max - min + 1);
}

/* ---- event heap ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static struct event *post(struct sim *s, uint64_t at, enum kind kind, unsigned node)
{
    struct event *e = calloc(1, sizeof *e);
    assert(e != NULL);
    e->at = at;
    e->order = s->order++;
    e->kind = kind;
    e->node = node;
    e->generation = s->m[node].generation;
    if (s->n_heap == s->cap_heap) {
        s->cap_heap = s->cap_heap ? 2 * s->cap_heap : 256;
        s->heap = realloc(s->heap, s->cap_heap * sizeof(struct event *));
        assert(s->heap != NULL);
    }
    size_t i = s->n_heap++;
    while (i > 0 && before(e, s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = e;
    return e;
}

static struct event *take(struct sim *s)
{
    struct event *top = s->heap[0], *last = s->heap[--s->n_heap];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= s->n_heap)
            break;
        if (c + 1 < s->n_heap && before(s->heap[c + 1], s->heap[c]))
            c++;
        if (!before(s->heap[c], last))
            break;
        s->heap[i] = s->heap[c];
        i = c;
    }
    if (s->n_heap > 0)
        s->heap[i] = last;
    return top;
}

static void drop(struct event *e)
{
    free(e->bytes);
    if (e->kind == EV_DISK && !e->job.fetch)
        free(e->job.buf);
    free(e);
}

/* ---- the node's calls ---- */

static void on_send(void *ctx, unsigned slot, const uint8_t *buf, size_t len)
{
    struct member *m = ctx;
    struct sim *s = m->sim;
    unsigned to = node_raft(m->node)->peers[slot].id - 1u;
    s->datagrams++;
    unsigned copies = sim_random(s, 1000) < s->o.dup ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        if (s->cut[m->at][to] || sim_random(s, 1000) < s->o.loss)
            continue;
        struct event *e = post(s, s->now + between(s, s->o.delay_min_us, s->o.delay_max_us),
                               EV_DATAGRAM, to);
        e->from = m->at;
        e->bytes = malloc(len);
        e->len = len;
        assert(e->bytes != NULL);
        memcpy(e->bytes, buf, len);
    }
}

static struct event *post_disk(struct member *m)
{
    struct sim *s = m->sim;
    uint64_t start = m->disk_free > s->now ? m->disk_free : s->now;
    m->disk_free = start + between(s, s->o.disk_min_us, s->o.disk_max_us);
    return post(s, m->disk_free, EV_DISK, m->at);
}

static void on_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct event *e = post_disk(ctx);
    e->job.seq = seq;
    e->job.batch = *b;
    size_t len = b->bytes_n > 0 ? b->bytes[0].iov_len : 0;
    e->job.buf = malloc(len + 1);
    assert(e->job.buf != NULL && b->bytes_n <= 1);
    if (len > 0)
        memcpy(e->job.buf, b->bytes[0].iov_base, len);
    e->job.batch.bytes[0].iov_base = e->job.buf;
}

static void on_fetch(void *ctx, unsigned what, uint64_t first, uint8_t *buf, size_t cap)
{
    struct event *e = post_disk(ctx);
    e->job.fetch = true;
    e->job.what = what;
    e->job.first = first;
    e->job.buf = buf;
    e->job.cap = cap;
}

static void on_answer(void *ctx, struct request *req)
{
    struct member *m = ctx;
    struct sim *s = m->sim;
    struct put *p = &s->puts[req->client_tag];
    assert(!p->done);
    p->done = true;
    s->pending--;
    trace(s, m->at, "answer put %u: %d", (unsigned)req->client_tag, (int)req->result);
    if (req->result == RESULT_OK) {
        p->acked = true;
        p->revision = req->revision;
        s->acked++;
        if (req->revision > s->acked_revision) {
            s->acked_revision = req->revision;
            s->acked_term = node_raft(m->node)->term;
        }
        if (node_raft(m->node)->commit_index < req->revision)
            broken(s, "node %u acknowledged index %" PRIu64 " uncommitted", m->at + 1,
                   req->revision);
    }
    free(req);
}

static void on_reads_done(void *ctx, uint64_t read)
{
    struct member *m = ctx;
    struct status st;
    node_status(m->node, m->sim->now, &st);
    unsigned done = 0;
    for (; done < m->n_reads && m->reads[done].number <= read; done++) {
        if (st.applied_index < m->reads[done].must_see)
            broken(m->sim, "node %u served a read at %" PRIu64 ", %" PRIu64 " was acknowledged",
                   m->at + 1, st.applied_index, m->reads[done].must_see);
        m->sim->served++;
    }
    m->n_reads -= done;
    memmove(m->reads, m->reads + done, m->n_reads * sizeof m->reads[0]);
}

/* ---- nodes ---- */

static void check(struct sim *s, struct member *m)
{
    const struct raft *r = node_raft(m->node);
    const char *what = raft_check(r);
    if (what != NULL)
        broken(s, "node %u: %s", m->at + 1, what);
    if (r->durable_term < m->term)
        broken(s, "node %u: its term fell", m->at + 1);
    m->term = r->durable_term;
    if (r->role == RAFT_LEADER) { /* election safety (figure 3.2) */
        assert(r->term < TERMS);
        uint16_t *leader = &s->leader_of[r->term];
        if (*leader != 0 && *leader != r->cfg.id)
            broken(s, "nodes %u and %u both lead term %" PRIu64, *leader, r->cfg.id, r->term);
        *leader = r->cfg.id;
        /* Leader completeness: checked here by index, in the end by value (sim_check_final). A
         * deposed leader that does not know it yet may lack what its successors acknowledged. */
        if (r->term >= s->acked_term && r->last_index < s->acked_revision)
            broken(s, "leader %u lacks acknowledged entries", r->cfg.id);
    }
}

/* After each event of a node: all its work, and its next alarm. */
static void settle(struct sim *s, struct member *m)
{
    node_flush(m->node, s->now);
    check(s, m);
    uint64_t at = node_deadline(m->node, s->now);
    if (at <= s->now)
        at = s->now + 1;
    if (at != RAFT_NEVER && (m->wake_at <= s->now || at < m->wake_at)) {
        m->wake_at = at;
        post(s, at, EV_WAKE, m->at);
    }
}

static struct wal_options wal_opts(const struct sim *s)
{
    return (struct wal_options){.segment_bytes = s->o.segment_bytes, .storage_id = DIR_ID};
}

static void boot(struct sim *s, struct member *m)
{
    static const uint8_t hash_key[KV_HASH_KEY_BYTES] = "simulated hash!";
    struct wal_report rep;
    struct wal_options opts = wal_opts(s);
    int rc = wal_open(&m->wal, memdisk_disk(m->disk), "/d", &opts, &rep);
    if (rc < 0)
        broken(s, "node %u: recovery failed: %s", m->at + 1, rep.message);
    struct node_config nc = {
        .cluster = "sim",
        .id = (uint16_t)(m->at + 1),
        .n_voters = s->o.nodes,
        .election_timeout_us = 150000,
        .max_value_bytes = s->o.max_value_bytes,
        .batch_bytes = s->o.batch_bytes,
        .seed = sim_random(s, UINT64_MAX),
        .boot = (uint32_t)sim_random(s, UINT32_MAX - 1) + 1,
    };
    for (unsigned i = 0; i < s->o.nodes; i++)
        nc.voters[i] = (uint16_t)(i + 1);
    struct node_io io = {m, on_send, on_persist, on_fetch, on_answer, on_reads_done};
    m->kv = kv_new(hash_key);
    m->generation++;
    m->wake_at = m->disk_free = 0;
    m->n_reads = 0;
    m->node = node_new(&nc, &io, &rep, m->kv, s->now);
    assert(m->kv != NULL && m->node != NULL);
    m->up = true;
    trace(s, m->at, "boot, term %" PRIu64 ", last %" PRIu64, rep.term, rep.last_index);
    settle(s, m);
}

static void stop(struct sim *s, struct member *m)
{
    m->up = false;
    m->generation++;
    for (unsigned i = 0; i < s->n_puts; i++) /* their clients see the connection end: unknown */
        if (s->puts[i].node == m->at && !s->puts[i].done)
            trace(s, m->at, "put %u lost", i);
    node_free(m->node);
    rcu_wait_freed();
    kv_free(m->kv);
    wal_close(m->wal);
    m->node = NULL;
}

void sim_crash(struct sim *s, unsigned node)
{
    struct member *m = &s->m[node];
    if (!m->up)
        return;
    trace(s, node, "crash");
    stop(s, m);
    memdisk_power_cut(m->disk, MEMDISK_KEEP_RANDOM);
}

void sim_restart(struct sim *s, unsigned node)
{
    if (!s->m[node].up)
        boot(s, &s->m[node]);
}

/* One job of a disk. Now and then the power fails in the middle of a write. */
static void disk_job(struct sim *s, struct member *m, struct job *j)
{
    if (j->fetch) {
        uint64_t last;
        ssize_t len = wal_read(m->wal, j->first, j->buf, j->cap, &last);
        if (len < 0)
            broken(s, "node %u: %s", m->at + 1, wal_error(m->wal));
        node_fetched(m->node, s->now, j->what, (size_t)len);
        return;
    }
    int rc = wal_append(m->wal, &j->batch);
    if (rc < 0)
        broken(s, "node %u: %s", m->at + 1, wal_error(m->wal));
    uint64_t number;
    char err[WAL_MESSAGE_BYTES];
    if (wal_wants_spare(m->wal, &number) && sim_random(s, 2) == 0) {
        rc = wal_make_spare(memdisk_disk(m->disk), "/d", number, s->o.segment_bytes, err,
                            sizeof err);
        if (rc < 0)
            broken(s, "node %u: %s", m->at + 1, err);
        wal_spare_made(m->wal, number);
    }
    node_persisted(m->node, s->now, j->seq);
}

static bool cut_in_the_middle(struct sim *s, struct member *m, const struct event *e)
{
    if (e->job.fetch || sim_random(s, 2000) != 0 || s->o.loss == 0)
        return false;
    memdisk_fail_call(m->disk, 1 + sim_random(s, 3), 5);
    (void)wal_append(m->wal, &e->job.batch); /* whatever it says, nobody hears it */
    memdisk_fail_call(m->disk, 0, 0);
    sim_crash(s, m->at);
    return true;
}

static void handle(struct sim *s, struct event *e)
{
    struct member *m = &s->m[e->node];
    if (!m->up || (e->kind != EV_DATAGRAM && e->generation != m->generation))
        return;
    switch (e->kind) {
    case EV_DATAGRAM:
        node_datagram(m->node, s->now, raft_peer_slot(node_raft(m->node), (uint16_t)(e->from + 1)),
                      e->bytes, e->len);
        break;
    case EV_DISK:
        if (cut_in_the_middle(s, m, e))
            return;
        disk_job(s, m, &e->job);
        break;
    case EV_WAKE:
        if (e->at != m->wake_at)
            return;
        m->wake_at = 0;
        break;
    }
    settle(s, m);
}

void sim_run(struct sim *s, uint64_t us)
{
    uint64_t until = s->now + us;
    while (s->n_heap > 0 && s->heap[0]->at <= until) {
        struct event *e = take(s);
        s->now = e->at;
        handle(s, e);
        drop(e);
    }
    s->now = until;
}

struct sim *sim_new(const struct sim_options *o)
{
    struct sim *s = calloc(1, sizeof *s);
    assert(s != NULL && o->nodes <= NODES);
    s->o = *o;
    s->rng = o->seed;
    s->now = 1000000;
    for (unsigned i = 0; i < o->nodes; i++) {
        struct member *m = &s->m[i];
        m->sim = s;
        m->at = i;
        m->disk = memdisk_new(sim_random(s, UINT64_MAX));
        struct ident id = {.cluster_id = 1, .storage_id = DIR_ID, .node_id = (uint16_t)(i + 1)};
        char err[WAL_MESSAGE_BYTES];
        int lock;
        enum ident_result rc = ident_lock(memdisk_disk(m->disk), "/d", true, &lock, err,
                                          sizeof err);
        if (rc == IDENT_OK)
            rc = ident_create(memdisk_disk(m->disk), "/d", &id, o->segment_bytes, err, sizeof err);
        if (rc != IDENT_OK)
            broken(s, "node %u: %s", i + 1, err);
    }
    for (unsigned i = 0; i < o->nodes; i++)
        boot(s, &s->m[i]);
    return s;
}

void sim_free(struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        if (s->m[i].up)
            stop(s, &s->m[i]);
        memdisk_free(s->m[i].disk);
    }
    while (s->n_heap > 0)
        drop(take(s));
    free(s->heap);
    free(s->puts);
    free(s);
}

uint64_t sim_now(const struct sim *s)
{
    return s->now;
}

void sim_set_loss(struct sim *s, uint32_t loss, uint32_t dup)
{
    s->o.loss = loss;
    s->o.dup = dup;
}

bool sim_is_up(const struct sim *s, unsigned node)
{
    return s->m[node].up;
}

void sim_cut(struct sim *s, unsigned from, unsigned to, bool cut)
{
    s->cut[from][to] = cut;
}

void sim_heal(struct sim *s)
{
    memset(s->cut, 0, sizeof s->cut);
    sim_set_loss(s, 0, 0);
}

/* ---- clients ---- */

static size_t key_of(unsigned number, uint8_t *key)
{
    return (size_t)snprintf((char *)key, 16, "k%u", number);
}

static uint8_t value_byte(unsigned number, size_t i)
{
    return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

unsigned sim_put(struct sim *s, unsigned node, size_t len, uint64_t timeout_us)
{
    unsigned number = s->n_puts++;
    if (number >= s->cap_puts) {
        s->cap_puts = s->cap_puts ? 2 * s->cap_puts : 256;
        s->puts = realloc(s->puts, s->cap_puts * sizeof s->puts[0]);
        assert(s->puts != NULL);
    }
    struct member *m = &s->m[node];
    s->puts[number] = (struct put){.node = node, .generation = m->generation, .len = len};
    if (!m->up) {
        s->puts[number].done = true;
        return number;
    }
    uint8_t key[16];
    struct cmd c = {.op = CMD_PUT, .key = key, .value_len = (uint32_t)len};
    c.key_len = (uint16_t)key_of(number, key);
    struct request *req = calloc(1, sizeof *req + CMD_HEAD_BYTES + sizeof key + len);
    uint8_t *value = malloc(len + 1);
    assert(req != NULL && value != NULL);
    for (size_t i = 0; i < len; i++)
        value[i] = value_byte(number, i);
    c.value = value;
    req->cmd_len = (uint32_t)cmd_encode(req->cmd, &c);
    free(value);
    req->client_tag = number;
    req->deadline_us = s->now + timeout_us;
    s->pending++;
    node_write(m->node, s->now, req);
    settle(s, m);
    return number;
}

bool sim_read(struct sim *s, unsigned node)
{
    struct member *m = &s->m[node];
    if (!m->up || m->n_reads == sizeof m->reads / sizeof m->reads[0])
        return false;
    uint64_t must_see = s->acked_revision;
    m->reads[m->n_reads].must_see = must_see;
    m->reads[m->n_reads++].number = node_read(m->node, s->now);
    settle(s, m);
    return true;
}

unsigned sim_acked(const struct sim *s)
{
    return s->acked;
}

unsigned sim_pending(const struct sim *s)
{
    return s->pending;
}

unsigned sim_reads_served(const struct sim *s)
{
    return s->served;
}

uint64_t sim_datagrams(const struct sim *s)
{
    return s->datagrams;
}

int sim_leader(const struct sim *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        if (!s->m[i].up || node_raft(s->m[i].node)->role != RAFT_LEADER)
            continue;
        unsigned followers = 0;
        for (unsigned j = 0; j < s->o.nodes; j++)
            followers += s->m[j].up && node_raft(s->m[j].node)->leader == i + 1 &&
                         node_raft(s->m[j].node)->term == node_raft(s->m[i].node)->term;
        if (followers > s->o.nodes / 2)
            return (int)i;
    }
    return -1;
}

bool sim_converged(const struct sim *s)
{
    int leader = sim_leader(s);
    if (leader < 0 || s->pending > 0)
        return false;
    uint64_t last = node_raft(s->m[leader].node)->last_index;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct status st;
        if (!s->m[i].up)
            continue;
        node_status(s->m[i].node, s->now, &st);
        if (st.applied_index != last || st.durable_index != last || s->m[i].n_reads > 0)
            return false;
    }
    return true;
}

void sim_print(const struct sim *s)
{
    fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " us, %u puts pending\n", s->o.seed, s->now,
            s->pending);
    for (unsigned i = 0; i < s->o.nodes; i++) {
        char text[STATUS_TEXT_MAX_BYTES];
        struct status st = {0};
        if (!s->m[i].up) {
            fprintf(stderr, "%u down\n", i + 1);
            continue;
        }
        node_status(s->m[i].node, s->now, &st);
        size_t len = status_print(&st, s->now, text, sizeof text);
        for (size_t c = 0; c < len; c++)
            if (text[c] == '\n')
                text[c] = ' ';
        fprintf(stderr, "%.*s\n", (int)len, text);
    }
}

static void check_put(struct sim *s, struct member *m, unsigned number)
{
    const struct put *p = &s->puts[number];
    uint8_t key[16];
    const struct kv_object *o = kv_get(m->kv, key, key_of(number, key));
    if (o == NULL) {
        if (p->acked)
            broken(s, "node %u: acknowledged put %u is lost", m->at + 1, number);
        return;
    }
    if (o->create_revision != o->modify_revision)
        broken(s, "node %u: put %u was done twice", m->at + 1, number);
    if (p->acked && o->modify_revision != p->revision)
        broken(s, "node %u: put %u has another revision than told", m->at + 1, number);
    if (o->value_len != p->len)
        broken(s, "node %u: put %u has another length", m->at + 1, number);
    for (size_t i = 0; i < p->len; i++)
        if (kv_value(o)[i] != value_byte(number, i))
            broken(s, "node %u: put %u has another value", m->at + 1, number);
}

void sim_check_final(struct sim *s)
{
    uint8_t first[KV_DIGEST_BYTES], other[KV_DIGEST_BYTES];
    const struct member *seen = NULL;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        struct member *m = &s->m[i];
        if (!m->up)
            continue;
        rcu_enter();
        for (unsigned k = 0; k < s->n_puts; k++)
            check_put(s, m, k);
        rcu_leave();
        int rc = kv_digest(m->kv, seen == NULL ? first : other);
        assert(rc == 0);
        if (seen != NULL && memcmp(first, other, sizeof first) != 0)
            broken(s, "nodes %u and %u differ", seen->at + 1, m->at + 1);
        seen = m;
    }
}
