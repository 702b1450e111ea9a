/* disk.c: each node's disk as a queue of jobs, what goes wrong with it, and recovery.
 *
 * A batch is written when its time has come, at one virtual instant: what a crash during that time
 * leaves behind is made by letting the n-th call of the write fail and cutting the power there.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/batch.h"
#include "storage/ident.h"
#include "storage/segment.h"
#include "tests/sim/impl.h"

enum {
    STALL_STEP_US = 200000,
    SLOW_FACTOR = 30,
    BOOT_CALLS = 40,          /* system calls of a recovery, about */
    CLOSURE_BYTES = 64 << 10, /* larger disks are copied less often */
};

static struct wal_options options(const struct sim *s, const struct wal_base *base)
{
    return (struct wal_options){.segment_bytes = s->o.segment_bytes,
                                .storage_id = DIR_ID,
                                .base = *base,
                                .repair = s->o.nodes > 1};
}

void sim_disk_new(struct sim *s, struct sim_node *m)
{
    struct ident id = {.name = "sim",
                       .voters = {(uint16_t)(m->at + 1)},
                       .n_voters = 1, /* nobody compares them here */
                       .key = {DIR_ID},
                       .node_id = (uint16_t)(m->at + 1)};
    char err[WAL_MESSAGE_BYTES];
    struct ident_lock lock;
    m->disk = memdisk_new(sim_roll(s, RNG_DISK, UINT64_MAX));
    const struct disk *d = memdisk_disk(m->disk);
    int rc = ident_lock(d, DIR, true, &lock, err, sizeof err);
    if (rc == IDENT_OK)
        rc = ident_create(d, DIR, &id, id.key, s->o.segment_bytes, err, sizeof err);
    if (rc != IDENT_OK)
        sim_broken(s, "create", "node %u: %s", m->at + 1, err);
    m->storage = m->at + 1 + (uint64_t)NODES * m->disks;
    m->n_was = 0;
    m->own = pair_of(m->storage);
    m->hard.tip = m->tip = m->committed = m->snap = &s->root;
    m->snap_maybe = NULL;
}

/* Only of a minority, and when all others know its present disk: whoever hears a node for the first
 * time takes its disk for its own. */
bool sim_wipe(struct sim *s, struct sim_node *m)
{
    if (sim_is_unsound(m) || sim_unsound(s) >= (s->o.nodes - 1) / 2)
        return false;
    for (unsigned i = 0; i < s->o.nodes; i++)
        if (i != m->at && !about_same_key(s->m[i].peers_known[m->at], m->own.key))
            return false;
    sim_another_disk(s, m);
    m->wiped = m->outside = true;
    return true;
}

uint64_t sim_disk_of(const struct sim_node *m)
{
    return get_u64(m->own.key);
}

static struct old_disk *take_out(struct sim *s, struct sim_node *m)
{
    struct old_disk *o = sim_must(malloc(sizeof *o));
    sim_stop_node(s, m, STOP_KILL);
    sim_disk_heal(s, m);
    *o = (struct old_disk){m->disk, m->storage, m->own,  {{0}},        m->hard,
                           {{0}},   m->n_maybe, m->snap, m->snap_maybe};
    memcpy(o->peers_known, m->peers_known, sizeof o->peers_known);
    memcpy(o->maybe, m->maybe, sizeof o->maybe);
    m->gone = sim_tip(&m->hard, m->snap);
    m->lost_boot = m->boot;
    return o;
}

static void drop_old(struct sim_node *m)
{
    if (m->old != NULL)
        memdisk_free(m->old->disk);
    free(m->old);
    m->old = NULL;
}

void sim_another_disk(struct sim *s, struct sim_node *m)
{
    sim_no_ident(s, m);
    struct old_disk *o = take_out(s, m);
    drop_old(m);
    m->old = o;
    m->disks++;
    m->disk_at = s->now;
    sim_disk_new(s, m);
    memset(m->peers_known, 0, sizeof m->peers_known);
    m->hard = (struct hard){.tip = &s->root};
    m->n_maybe = 0;
}

void sim_old_disk(struct sim *s, struct sim_node *m)
{
    struct old_disk *o = m->old;
    m->old = take_out(s, m);
    m->disk_at = s->now;
    m->disk = o->disk;
    m->storage = o->storage;
    m->own = o->own;
    memcpy(m->peers_known, o->peers_known, sizeof m->peers_known);
    m->hard = o->hard;
    memcpy(m->maybe, o->maybe, sizeof m->maybe);
    m->n_maybe = o->n_maybe;
    m->snap = o->snap;
    m->snap_maybe = o->snap_maybe;
    m->n_was = 0;
    free(o);
}

void sim_disk_free(struct sim_node *m)
{
    memdisk_free(m->disk);
    drop_old(m);
}

/* ---- jobs ---- */

static void start(struct sim *s, struct sim_node *m)
{
    uint64_t us = sim_between(s, RNG_DISK, s->o.disk_min_us, s->o.disk_max_us);
    uint64_t slow = m->jobs[m->job_head].kind != JOB_BATCH ? 0 : s->o.slow_us[m->at];
    if (s->now < m->slow_until)
        us *= SLOW_FACTOR;
    if (slow != 0)
        us += sim_between(s, RNG_DISK, slow / 2, slow);
    sim_post(s, s->now + us, EV_DISK, m->at);
}

struct job *sim_job(struct sim *s, struct sim_node *m, enum job_kind kind)
{
    assert(m->n_jobs < JOBS);
    struct job *j = &m->jobs[(m->job_head + m->n_jobs) % JOBS];
    j->kind = kind;
    if (m->n_jobs++ == 0)
        start(s, m);
    return j;
}

void sim_on_persist(void *ctx, uint64_t seq, const struct wal_batch *b)
{
    struct sim_node *m = ctx;
    struct job *j = sim_job(m->sim, m, JOB_BATCH);
    size_t len = 0;
    for (int i = 0; i < b->bytes_n; i++)
        len += b->bytes[i].iov_len;
    if (len > j->own_cap) {
        j->own = sim_must(realloc(j->own, len));
        j->own_cap = len;
    }
    size_t at = 0;
    for (int i = 0; i < b->bytes_n; at += b->bytes[i++].iov_len)
        memcpy(j->own + at, b->bytes[i].iov_base, b->bytes[i].iov_len);
    j->seq = seq;
    j->batch = *b;
    j->batch.bytes[0] = (struct iovec){.iov_base = j->own, .iov_len = len};
    j->batch.bytes_n = len > 0;
}

void sim_on_fetch(void *ctx, struct node_fetch what, const struct wal_pos *from, uint64_t last,
                  uint8_t *buf, size_t cap)
{
    struct sim_node *m = ctx;
    struct job *j = sim_job(m->sim, m, JOB_FETCH);
    size_t most = m->sim->o.fetch_bytes;
    size_t record_max = record_size(CMD_ONE_BYTES + CMD_KEY_MAX_BYTES + m->sim->o.max_value_bytes);
    if (what.peer == 0 && most != 0 && most < record_max)
        most = record_max; /* only peers get records in parts */
    j->what = what;
    j->pos = *from;
    j->last = last;
    j->buf = buf;
    j->cap = most != 0 && most < cap ? most : cap;
}

void sim_on_remember(void *ctx, uint16_t id, const uint8_t key[ABOUT_KEY_BYTES])
{
    struct sim_node *m = ctx;
    struct job *j = sim_job(m->sim, m, JOB_REMEMBER);
    j->id = id;
    memcpy(j->key, key, sizeof j->key);
}

static void finished(struct sim *s, struct sim_node *m)
{
    m->job_head = (m->job_head + 1) % JOBS;
    if (--m->n_jobs > 0)
        start(s, m);
    sim_touch(s, m);
}

/* What the disk holds after that batch. */
static struct hard after(struct sim *s, const struct sim_node *m, const struct wal_batch *b)
{
    struct hard h = {.term = b->term, .vote = b->vote, .tip = m->hard.tip, .commit = b->commit};
    if (b->reset) {
        h.tip = b->truncate_to <= s->n_committed ? s->committed[b->truncate_to] : NULL;
        /* A newer one may have been written since that batch was made, or first found no room. */
        if (b->truncate || b->first_index != 0 || h.tip == NULL || h.tip->index > m->snap->index)
            sim_broken(s, "batch-reset",
                       "node %u resets its log to %" PRIu64 ", not a snapshot's end", m->at + 1,
                       b->truncate_to);
    }
    if (b->truncate && b->truncate_to < h.tip->index)
        h.tip = sim_at(h.tip, b->truncate_to);
    if (b->first_index != 0) {
        if (h.tip->index + 1 != b->first_index)
            sim_broken(s, "batch-gap", "node %u writes entries from %" PRIu64 " after %" PRIu64,
                       m->at + 1, b->first_index, h.tip->index);
        h.tip = sim_entry(s, b->last_index, b->last_term);
    }
    if (h.tip == NULL || memcmp(h.tip->hash, b->head, sizeof b->head) != 0 ||
        h.tip->term != b->last_term)
        sim_broken(s, "batch-head", "node %u writes a batch with a wrong head", m->at + 1);
    if (h.commit < m->hard.commit || h.commit > h.tip->index || !sim_at(h.tip, h.commit)->committed)
        sim_broken(s, "batch-commit",
                   "node %u writes commit index %" PRIu64 ", which fell or is none", m->at + 1,
                   h.commit);
    return h;
}

static bool same(const struct hard *a, const struct hard *b)
{
    return a->term == b->term && a->vote == b->vote && a->tip == b->tip && a->commit == b->commit;
}

/* The disk may hold this, though it said nothing of the kind. */
static void may_be(struct sim_node *m, const struct hard *then)
{
    if (same(then, &m->hard))
        return;
    assert(m->n_maybe < MAYBES);
    m->maybe[m->n_maybe++] = *then;
}

/* The process dies now, or the machine under it, with that batch under way. */
static void die(struct sim *s, struct sim_node *m, const struct hard *then, bool power)
{
    uint64_t how = sim_roll(s, RNG_DISK, 4);
    if (then != NULL)
        may_be(m, then);
    m->fail_in = 0;
    memdisk_fail_call(m->disk, 0, 0);
    sim_stop_node(s, m, !power ? STOP_KILL : (enum sim_stop)how);
    sim_boot_later(s, m,
                   sim_roll(s, RNG_FAULT, 3) == 0 ? sim_roll(s, RNG_FAULT, 3000000)
                                                  : sim_roll(s, RNG_FAULT, 20000));
    m->fail_boot = sim_roll(s, RNG_FAULT, 6) == 0;
}

void sim_die(struct sim *s, struct sim_node *m, bool power)
{
    die(s, m, NULL, power);
}

/* The disk fails here if it was to; false when the node is gone. */
static bool spare(struct sim *s, struct sim_node *m)
{
    uint64_t number;
    char err[WAL_MESSAGE_BYTES];
    if (!wal_wants_spare(m->wal, &number) || sim_roll(s, RNG_DISK, 3) == 0)
        return true; /* it may also come too late */
    int rc = wal_make_spare(memdisk_disk(m->disk), DIR, number, s->o.segment_bytes, err,
                            sizeof err);
    if (wal_refused(rc) && m->full)
        return true;
    if (rc < 0) {
        if (m->fail_in == 0)
            sim_broken(s, "disk-error", "node %u: %s", m->at + 1, err);
        die(s, m, NULL, m->fail_cut);
        return false;
    }
    wal_spare_made(m->wal, number);
    return true;
}

/* What recovery reports, in our terms. */
static struct hard reported(struct sim *s, const struct sim_node *m, const struct wal_report *rep)
{
    struct hard h = {.term = rep->term, .vote = rep->vote, .tip = &s->root, .commit = rep->commit};
    if (rep->last_index != 0)
        h.tip = sim_entry(s, rep->last_index, rep->last_term);
    if (h.tip == NULL || memcmp(h.tip->hash, rep->head, sizeof rep->head) != 0)
        sim_broken(s, "recovered-entry",
                   "node %u recovers entry %" PRIu64 " of term %" PRIu64 ", which never was",
                   m->at + 1, rep->last_index, rep->last_term);
    return h;
}

/* That is on the disk, if its newest snapshot is this one. */
static bool is_there(const struct hard *found, const struct hard *h, struct entry *snap)
{
    return found->term == h->term && found->vote == h->vote && found->tip == sim_tip(h, snap) &&
           found->commit == (h->commit > snap->index ? h->commit : snap->index);
}

static void must_be(struct sim *s, const struct sim_node *m, const struct wal_report *rep,
                    uint64_t base, const char *when)
{
    struct hard h = reported(s, m, rep);
    struct entry *snap = s->committed[base];
    unsigned i = 0;
    while (i < m->n_maybe && !is_there(&h, &m->maybe[i], snap))
        i++;
    if (!is_there(&h, &m->hard, snap) && i == m->n_maybe)
        sim_broken(s, "recovered",
                   "node %u recovers (%s) term %" PRIu64 " vote %u last %" PRIu64 " commit %" PRIu64
                   ", on its disk was term %" PRIu64 " vote %u last %" PRIu64 " commit %" PRIu64
                   ", or one of %u that were tried, and snapshot %" PRIu64,
                   m->at + 1, when, h.term, h.vote, h.tip->index, h.commit, m->hard.term,
                   m->hard.vote, m->hard.tip->index, m->hard.commit, m->n_maybe, base);
}

/* Power-cut closure: whatever image a power cut leaves now, all that was ever promised is in it,
 * and a recovery of the recovered is the same. On a copy. */
static void closure(struct sim *s, struct sim_node *m)
{
    struct memdisk *c = memdisk_clone(m->disk);
    struct wal_base base;
    struct wal_report rep;
    struct wal *w;
    memdisk_limit(c, 0);
    memdisk_no_space(c, false);
    memdisk_seed(c, sim_roll(s, RNG_DISK, UINT64_MAX));
    memdisk_power_cut(c, (enum memdisk_keep)sim_roll(s, RNG_DISK, 3));
    if (sim_snap_base(c, &base) < 0 || base.index < m->snap->index)
        sim_broken(s, "closure", "node %u after a power cut: its snapshot is lost", m->at + 1);
    struct wal_options opts = options(s, &base);
    if (wal_check(memdisk_disk(c), DIR, &opts, &rep) < 0)
        sim_broken(s, "closure", "node %u after a power cut: %s", m->at + 1, rep.message);
    must_be(s, m, &rep, base.index, "copy, only looked at");
    if (wal_open(&w, memdisk_disk(c), DIR, &opts, &rep) < 0)
        sim_broken(s, "closure", "node %u after a power cut: %s", m->at + 1, rep.message);
    must_be(s, m, &rep, base.index, "copy");
    wal_close(w);
    memdisk_power_cut(c, MEMDISK_KEEP_NONE);
    if (wal_check(memdisk_disk(c), DIR, &opts, &rep) < 0)
        sim_broken(s, "closure", "node %u after two power cuts: %s", m->at + 1, rep.message);
    must_be(s, m, &rep, base.index, "copy, twice");
    if (rep.verdict != WAL_CLEAN)
        sim_broken(s, "closure", "node %u: recovery left a torn log", m->at + 1);
    memdisk_free(c);
    s->t.closures++;
}

static void persist_job(struct sim *s, struct sim_node *m, struct job *j)
{
    struct hard then = after(s, m, &j->batch);
    sim_note(s, NOTE_DISK, m->at, j->seq, j->batch.term, then.tip->index);
    if (m->fail_in != 0)
        memdisk_fail_call(m->disk, m->fail_in, EIO);
    if (m->no_space) /* others write and delete there, too */
        memdisk_no_space(m->disk, sim_roll(s, RNG_DISK, 2) == 0);
    int rc = wal_append(m->wal, &j->batch);
    if (m->fail_in != 0 && m->fail_cut) {
        s->t.faults[SIM_MIDOP]++;
        die(s, m, &then, true);
        return;
    }
    if (wal_refused(rc) && m->full) {
        memdisk_fail_call(m->disk, 0, 0);
        s->t.faults[SIM_FULL]++;
        sim_note(s, NOTE_FULL, m->at, j->seq, 0, 0);
        may_be(m, &then);
        node_no_room(m->node, sim_local(m, s->now), j->seq);
        finished(s, m);
        return;
    }
    if (rc < 0) {
        bool stuck = m->no_space && j->batch.reset; /* half way into another log: no way back */
        if (m->fail_in == 0 && !stuck)
            sim_broken(s, "disk-error", "node %u: %s", m->at + 1, wal_error(m->wal));
        s->t.faults[SIM_EIO]++;
        die(s, m, &then, sim_roll(s, RNG_DISK, 3) == 0);
        return;
    }
    s->t.batches++;
    m->batches++;
    m->unsealed = !j->batch.idle;
    sim_check_hard(s, m, &then);
    m->hard = then;
    m->n_maybe = 0;
    if (!spare(s, m))
        return;
    m->fail_in = 0;
    memdisk_fail_call(m->disk, 0, 0);
    if (s->o.closure != 0 && sim_roll(s, RNG_DISK, s->o.closure) == 0 &&
        sim_roll(s, RNG_DISK, 1 + memdisk_used(m->disk) / CLOSURE_BYTES) == 0)
        closure(s, m);
    node_persisted(m->node, sim_local(m, s->now), j->seq);
    finished(s, m);
}

void sim_disk_done(struct sim *s, struct sim_node *m)
{
    struct job *j = &m->jobs[m->job_head];
    assert(m->n_jobs > 0);
    if (s->now < m->stall_until) { /* look again soon: healing may end it */
        uint64_t at = s->now + STALL_STEP_US;
        sim_post(s, at < m->stall_until ? at : m->stall_until, EV_DISK, m->at);
        return;
    }
    if (j->kind == JOB_REMEMBER) {
        memcpy(m->peers_known[j->id - 1u], j->key, sizeof j->key);
        node_remembered(m->node, sim_local(m, s->now), j->id, j->key, true);
        finished(s, m);
        return;
    }
    if (j->kind == JOB_BATCH) {
        persist_job(s, m, j);
        return;
    }
    if (j->kind != JOB_FETCH) {
        if (sim_snap_job(s, m, j))
            finished(s, m);
        return;
    }
    struct wal_pos pos = j->pos;
    if (m->fail_in != 0 && !m->fail_cut)
        memdisk_fail_call(m->disk, 1, EIO);
    ssize_t len = wal_read(m->wal, &pos, j->last, j->buf, j->cap);
    memdisk_fail_call(m->disk, 0, 0);
    sim_note(s, NOTE_FETCH, m->at, j->what.peer, j->pos.index, (uint64_t)len);
    if (len < 0) {
        if (m->fail_in == 0)
            sim_broken(s, "read", "node %u: %s", m->at + 1, wal_error(m->wal));
        s->t.faults[SIM_EIO]++;
        die(s, m, NULL, false);
        return;
    }
    node_fetched(m->node, sim_local(m, s->now), j->what, (size_t)len, &pos);
    finished(s, m);
}

/* No room but for so many bytes. `in_place`: and often not even over what is there, see below. */
void sim_disk_full(struct sim_node *m, uint64_t bytes, bool in_place)
{
    m->full = true;
    m->no_space = in_place;
    memdisk_limit(m->disk, memdisk_used(m->disk) + bytes);
}

void sim_disk_room(struct sim_node *m)
{
    m->full = m->no_space = false;
    memdisk_limit(m->disk, 0);
    memdisk_no_space(m->disk, false);
}

void sim_disk_heal(struct sim *s, struct sim_node *m)
{
    (void)s;
    m->slow_until = m->stall_until = 0;
    m->fail_boot = false;
    m->fail_in = 0;
    sim_disk_room(m);
    memdisk_fail_call(m->disk, 0, 0);
}

/* ---- recovery ---- */

static void recovered(struct sim *s, struct sim_node *m, const struct wal_report *rep)
{
    struct hard h = reported(s, m, rep);
    if ((m->rotten && !rep->doubt) || (m->rot_covered && rep->message[0] == '\0'))
        sim_broken(s, "rot-unnoticed", "node %u starts with rotten bytes and does not say so",
                   m->at + 1);
    if (m->rot_snap && h.commit < m->hard.commit)
        m->hard.commit = h.commit; /* the snapshot that is gone said more than the log does */
    if (!rep->doubt || !m->rot)
        must_be(s, m, rep, m->snap->index, "start");
    if (rep->doubt ? !m->rot && !m->marked : m->marked)
        sim_broken(s, "doubt", "node %u starts %sin doubt", m->at + 1, rep->doubt ? "" : "not ");
    if (rep->doubt)
        sim_damaged(s, m, &h);
    s->t.faults[SIM_ROT] += m->rot;
    m->rot = m->rotten = m->rot_covered = m->rot_snap = false;
    sim_check_hard(s, m, &h);
    m->hard = h;
    m->tip = h.tip;
    m->n_maybe = 0;
}

/* Of the identity one whole copy is enough, and a start writes the other one anew. False: the disk fails, as
 * it was to. */
static bool identify(struct sim *s, struct sim_node *m, bool fails)
{
    const struct disk *d = memdisk_disk(m->disk);
    char err[WAL_MESSAGE_BYTES];
    struct ident id;
    bool mended = false;
    int rc = ident_load(d, DIR, NULL, &id, err, sizeof err);
    if (rc < 0 && fails)
        return false;
    if (rc != IDENT_OK || ident_storage_id(&id) != DIR_ID || id.node_id != m->id)
        sim_broken(s, "identity", "node %u has no identity: %s", m->at + 1, err);
    bool damaged = err[0] != '\0';
    rc = ident_mend(d, DIR, &mended, err, sizeof err);
    if (rc != IDENT_OK && fails)
        return false;
    if (rc != IDENT_OK ? !m->full : mended != damaged && !fails)
        sim_broken(s, "identity", "node %u starts with one copy of it: %s", m->at + 1, err);
    s->t.mended += mended;
    return true;
}

bool sim_recover(struct sim *s, struct sim_node *m, struct wal_report *rep,
                 struct snapshot_name *newest)
{
    bool fails = m->fail_boot;
    m->fail_boot = false;
    if (fails)
        memdisk_fail_call(m->disk, 1 + sim_roll(s, RNG_DISK, BOOT_CALLS), EIO);
    struct wal_base base;
    if (!identify(s, m, fails) || !sim_snap_start(s, m, newest, &base, fails)) {
        memdisk_fail_call(m->disk, 0, 0);
        s->t.faults[SIM_MIDOP]++;
        sim_stop_node(s, m, (enum sim_stop)sim_roll(s, RNG_DISK, 4));
        sim_boot_later(s, m, sim_roll(s, RNG_FAULT, 100000));
        return false;
    }
    struct wal_options opts = options(s, &base);
    int rc = wal_open(&m->wal, memdisk_disk(m->disk), DIR, &opts, rep);
    memdisk_fail_call(m->disk, 0, 0);
    if (rc == 0) {
        recovered(s, m, rep);
        return true;
    }
    m->rot_covered = false; /* that may be put aside already: the next start has nothing to say */
    m->wal = NULL;
    sim_note(s, NOTE_BOOT_FAILED, m->at, (uint64_t)-rc, 0, 0);
    if (fails && rc != -EBADMSG) {
        s->t.faults[SIM_MIDOP]++;
        sim_stop_node(s, m, (enum sim_stop)sim_roll(s, RNG_DISK, 4));
        sim_boot_later(s, m, sim_roll(s, RNG_FAULT, 100000));
    } else if (rc != -EBADMSG && m->full) { /* no room for the log behind its snapshot */
        s->t.faults[SIM_FULL]++;
        sim_boot_later(s, m, sim_roll(s, RNG_FAULT, 1000000));
    } else {
        sim_broken(s, rc == -EBADMSG ? "false-corrupt" : "recovery", "node %u cannot start: %s",
                   m->at + 1, rep->message);
    }
    return false;
}
