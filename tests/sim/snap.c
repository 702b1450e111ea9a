/* snap.c: snapshots of the nodes: written, read by peers, fetched and installed, and found at start.
 *
 * Each job is done at one virtual instant by the real code, on the node's disk; what a crash during that
 * time leaves behind is made by letting the n-th call fail and cutting the power there.
 *
 * What a disk holds is its log, unless the log does not reach the newest snapshot: then recovery takes
 * the log to begin behind that.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

enum { READS_AT_ONCE = 20 /* a snapshot is longer than what a peer lacks of a log */ };
enum { CLUSTER_ID = 99, CALLS = 30 /* system calls of a job, about */ };

static struct snapshots place(struct memdisk *disk)
{
    return (struct snapshots){
        .disk = memdisk_disk(disk), .dir = DIR, .storage_id = DIR_ID, .cluster = CLUSTER_ID};
}

struct entry *sim_tip(const struct hard *h, struct entry *snap)
{
    return snap->index <= h->tip->index && sim_at(h->tip, snap->index) == snap ? h->tip : snap;
}

/* ---- what is in a file ---- */

static int load_chunk(void *ctx, uint16_t section, const uint8_t *bytes, size_t len)
{
    return image_load_chunk(ctx, section, bytes, len);
}

static int load_done(void *ctx, const struct snapshot_head *head)
{
    return image_load_done(ctx, head->digest);
}

/* The newest one that is whole; load NULL: its state is not wanted. 0 with name->index 0: there is none.
 * Without `rotten` one that is damaged is an error, as what can't be read looks the same. */
static int newest(struct memdisk *disk, struct image_load **load, struct snapshot_head *head,
                  struct snapshot_name *name, bool rotten)
{
    struct snapshots sn = place(disk);
    uint64_t list[SNAPSHOT_LIST_MAX];
    unsigned n;
    int rc = snapshot_list(&sn, list, &n);
    name->index = 0;
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        if (load != NULL)
            *load = sim_must(image_load_new());
        struct snapshot_sink sink = {load_chunk, load_done, load != NULL ? *load : NULL};
        rc = snapshot_load(&sn, list[i], load != NULL ? &sink : NULL, head, name);
        if (rc == 0)
            return 0;
        name->index = 0;
        if (load != NULL)
            image_load_free(*load);
        if (rc == -EBADMSG && rotten)
            rc = snapshot_put_aside(&sn, list[i]);
    }
    return rc;
}

int sim_snap_base(struct memdisk *disk, struct wal_base *base)
{
    struct snapshot_head head;
    struct snapshot_name name;
    *base = (struct wal_base){0};
    int rc = newest(disk, NULL, &head, &name, false);
    if (rc == 0 && name.index != 0) {
        *base = snapshot_base(&head);
    }
    return rc;
}

/* What a snapshot says of itself is what is known of that entry. */
static struct entry *check_head(struct sim *s, const struct sim_node *m,
                                const struct snapshot_head *h, const struct snapshot_name *name)
{
    struct entry *e = h->index <= s->n_committed ? s->committed[h->index] : NULL;
    if (e == NULL || e->term != h->term || memcmp(e->hash, h->entry_hash, sizeof e->hash) != 0 ||
        e->ms != h->cluster_ms || name->index != h->index || name->term != h->term)
        sim_broken(s, "snapshot-head",
                   "node %u has a snapshot of entry %" PRIu64 ", which is not so", m->at + 1,
                   h->index);
    if (!sim_same_members(e, &h->members))
        sim_broken(s, "snapshot-members", "node %u has a snapshot of other members", m->at + 1);
    return e;
}

/* The same index, the same bytes. */
static void check_name(struct sim *s, const struct sim_node *m, const struct snapshot_name *name)
{
    for (unsigned i = 0; i < SNAPS; i++) {
        struct snapshot_name *seen = &s->snaps[(s->n_snaps + i) % SNAPS];
        if (seen->index != name->index)
            continue;
        if (seen->size != name->size || memcmp(seen->hash, name->hash, sizeof name->hash) != 0)
            sim_broken(s, "snapshot-bytes",
                       "node %u has other bytes in its snapshot of entry %" PRIu64 " than another",
                       m->at + 1, name->index);
        return;
    }
    s->snaps[s->n_snaps++ % SNAPS] = *name;
}

bool sim_snap_start(struct sim *s, struct sim_node *m, struct snapshot_name *name,
                    struct wal_base *base, bool fails)
{
    struct image_load *load = NULL;
    struct snapshot_head head;
    int rc = newest(m->disk, &load, &head, name, m->rot_snap);
    if (rc < 0 && fails)
        return false;
    if (rc < 0)
        sim_broken(s, "snapshot", "node %u can't read its snapshot: %s", m->at + 1, strerror(-rc));
    if (name->index == 0) {
        if (m->snap->index != 0 && !m->rot_snap)
            sim_broken(s, "snapshot-lost", "node %u lost its snapshot", m->at + 1);
        m->snap = &s->root;
        *base = (struct wal_base){0};
        return true;
    }
    struct entry *e = check_head(s, m, &head, name);
    if (e != m->snap && e != m->snap_maybe && !(m->rot_snap && e->index < m->snap->index))
        sim_broken(s, "snapshot-lost", "node %u lost its newest snapshot", m->at + 1);
    check_name(s, m, name);
    m->snap = e;
    m->snap_maybe = NULL;
    *base = snapshot_base(&head);
    machine_replace(m->machine, load, head.index, head.cluster_ms);
    return true;
}

/* ---- jobs ---- */

void sim_on_image(void *ctx, const struct snapshot_head *head, struct image *image, uint64_t needed)
{
    struct sim_node *m = ctx;
    struct job *j = sim_job(m->sim, m, JOB_IMAGE);
    m->image_stop = false;
    m->image_head = *head;
    m->image_open = image;
    j->last = needed;
}

void sim_on_image_end(void *ctx, bool whole)
{
    struct sim_node *m = ctx;
    m->image_stop |= !whole;
    m->hurries += whole; /* no more than counted: here each image takes one job, without rests */
}

void sim_on_drop(void *ctx, uint64_t keep_from)
{
    struct sim_node *m = ctx;
    if (m->drop_to == 0)
        (void)sim_job(m->sim, m, JOB_DROP);
    m->drop_to = keep_from;
}

void sim_on_snap_read(void *ctx, struct node_fetch what, uint64_t index, uint64_t off, uint8_t *buf,
                      size_t cap)
{
    struct sim_node *m = ctx;
    struct job *j = sim_job(m->sim, m, JOB_SNAP_READ);
    size_t most = READS_AT_ONCE * (size_t)m->sim->o.fetch_bytes;
    j->what = what;
    j->last = index;
    j->offset = off;
    j->buf = buf;
    j->cap = most != 0 && most < cap ? most : cap;
}

void sim_on_snap_open(void *ctx, const struct snapshot_name *name)
{
    struct sim_node *m = ctx;
    (void)sim_job(m->sim, m, JOB_SNAP_OPEN);
    m->part_name = *name;
}

void sim_on_snap_write(void *ctx, uint64_t off, const uint8_t *buf, size_t len)
{
    struct sim_node *m = ctx;
    struct job *j = sim_job(m->sim, m, JOB_SNAP_WRITE);
    j->offset = off;
    j->from = buf;
    j->cap = len;
}

void sim_on_snap_install(void *ctx)
{
    struct sim_node *m = ctx;
    (void)sim_job(m->sim, m, JOB_INSTALL);
}

/* Not by hand, nor in a world that is healed. */
static bool by_chance(const struct sim *s)
{
    return s->o.closure != 0 && !s->calm;
}

static int next_chunk(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    return image_next(ctx, section, bytes, len);
}

static int pace(void *ctx, uint64_t done, uint64_t all)
{
    (void)done;
    (void)all;
    return ((struct sim_node *)ctx)->image_stop ? -ECANCELED : 0;
}

static void has_snapshot(struct sim_node *m, struct entry *e)
{
    if (e->index > m->snap->index)
        m->snap = e;
}

/* The fault that waits strikes somewhere in this job, if it has so many calls. */
static void arm(struct sim *s, struct sim_node *m)
{
    if (m->fail_in != 0)
        memdisk_fail_call(m->disk, 1 + sim_roll(s, RNG_DISK, CALLS), EIO);
    if (m->no_space)
        memdisk_no_space(m->disk, sim_roll(s, RNG_DISK, 2) == 0);
}

/* False when the node is gone: the disk failed where it was to. */
static bool survived(struct sim *s, struct sim_node *m, int rc, const char *message)
{
    bool struck = m->fail_in != 0 && (m->fail_cut || (rc < 0 && rc != -ENOENT));
    memdisk_fail_call(m->disk, 0, 0);
    if (struck) {
        s->t.faults[m->fail_cut ? SIM_MIDOP : SIM_EIO]++;
        sim_die(s, m, m->fail_cut || sim_roll(s, RNG_DISK, 3) == 0);
        return false;
    }
    if (rc < 0 && rc != -ECANCELED && rc != -ENOENT && !(wal_refused(rc) && m->full) &&
        !(rc == -EBADMSG && m->part_bad))
        sim_broken(s, "disk-error", "node %u: %s", m->at + 1, message);
    m->fail_in = 0;
    return true;
}

static bool image_job(struct sim *s, struct sim_node *m, const struct job *j)
{
    struct snapshots sn = place(m->disk);
    struct snapshot_source source = {next_chunk, m->image_open};
    struct snapshot_name name, got;
    if (m->image_never || (by_chance(s) && sim_roll(s, RNG_DISK, 20) == 0))
        m->image_stop = true; /* as if it took too much memory */
    sn.pace = pace;
    sn.pace_ctx = m;
    name = (struct snapshot_name){.index = m->image_head.index, .term = m->image_head.term};
    m->snap_maybe = check_head(s, m, &m->image_head, &name);
    arm(s, m);
    memcpy(m->image_head.digest, image_digest(m->image_open), sizeof m->image_head.digest);
    int rc = snapshot_write(&sn, &m->image_head, &source, &got), tidy = 0;
    if (rc == 0) {
        has_snapshot(m, m->snap_maybe);
        check_name(s, m, &got);
        s->t.snapshots++;
        sim_note(s, NOTE_IMAGE, m->at, got.index, got.size, 0);
        tidy = snapshot_tidy(&sn, j->last);
    }
    if (!survived(s, m, rc < 0 ? rc : tidy, sn.message))
        return false;
    m->snap_maybe = NULL;
    node_imaged(m->node, sim_local(m, s->now), rc == 0 ? &got : NULL);
    return true;
}

static bool drop_job(struct sim *s, struct sim_node *m)
{
    uint64_t to = m->drop_to;
    m->drop_to = 0;
    if (to > m->snap->index + 1)
        sim_broken(s, "drop",
                   "node %u drops its log up to %" PRIu64 ", its snapshot ends at %" PRIu64,
                   m->at + 1, to - 1, m->snap->index);
    arm(s, m);
    int rc = wal_drop(m->wal, to);
    while (rc == 0 && wal_drops(m->wal))
        rc = wal_drop(m->wal, to);
    sim_note(s, NOTE_DROP, m->at, to, 0, 0);
    s->t.drops++;
    return survived(s, m, rc, wal_error(m->wal));
}

static bool read_job(struct sim *s, struct sim_node *m, const struct job *j)
{
    struct snapshots sn = place(m->disk);
    const struct disk *d = memdisk_disk(m->disk);
    arm(s, m);
    int fd = snapshot_open(&sn, j->last);
    ssize_t len = fd < 0 ? fd : snapshot_read(d, fd, j->offset, j->buf, j->cap);
    if (fd >= 0)
        (void)d->close(d->ctx, fd);
    sim_note(s, NOTE_SNAP, m->at, 0, j->offset, 0);
    if (!survived(s, m, (int)(len < 0 ? len : 0), sn.message))
        return false;
    node_snap_read(m->node, sim_local(m, s->now), j->what, len > 0 ? (size_t)len : 0);
    return true;
}

static bool open_job(struct sim *s, struct sim_node *m)
{
    uint64_t have = UINT64_MAX;
    m->places = place(m->disk);
    snapshot_part_close(m->part);
    m->part = NULL;
    arm(s, m);
    int rc = snapshot_part_open(&m->part, &m->places, &m->part_name, &have);
    if (rc < 0)
        m->part = NULL;
    if (!survived(s, m, rc, m->places.message))
        return false;
    if (rc == 0)
        m->part_bad = have > 0; /* a power failure may have left anything at its end */
    if (rc == 0 && have > 0)
        s->t.resumed++;
    sim_note(s, NOTE_SNAP, m->at, 1, have, 0);
    node_snap_have(m->node, sim_local(m, s->now), rc < 0 ? UINT64_MAX : have);
    return true;
}

/* Now and then the disk keeps other bytes than it was given: then the whole must not be believed. */
static bool write_job(struct sim *s, struct sim_node *m, const struct job *j)
{
    uint8_t *copy = sim_must(malloc(j->cap));
    memcpy(copy, j->from, j->cap);
    if (m->part_never || (by_chance(s) && sim_roll(s, RNG_DISK, 100) == 0)) {
        copy[sim_roll(s, RNG_DISK, j->cap)] ^= (uint8_t)(1 + sim_roll(s, RNG_DISK, 255));
        m->part_bad = true;
    }
    arm(s, m);
    int rc = snapshot_part_append(m->part, j->offset, copy, j->cap);
    free(copy);
    sim_note(s, NOTE_SNAP, m->at, 2, j->offset, 0);
    if (!survived(s, m, rc, m->places.message))
        return false;
    node_snap_written(m->node, sim_local(m, s->now), rc == 0);
    return true;
}

static bool install_job(struct sim *s, struct sim_node *m)
{
    struct image_load *load = sim_must(image_load_new());
    struct snapshot_sink sink = {load_chunk, load_done, load};
    struct snapshot_head head;
    uint64_t before = node_raft(m->node)->trail.base_index;
    m->snap_maybe = s->committed[m->part_name.index];
    arm(s, m);
    int rc = snapshot_part_finish(m->part, &sink, &head), tidy = 0;
    if (rc == 0) {
        has_snapshot(m, check_head(s, m, &head, &m->part_name));
        check_name(s, m, &m->part_name);
        tidy = snapshot_tidy(&m->places, head.index);
    }
    m->part = NULL;
    if (rc < 0)
        image_load_free(load);
    sim_note(s, NOTE_SNAP, m->at, 3, rc == 0 ? head.index : 0, 0);
    if (!survived(s, m, rc < 0 ? rc : tidy, m->places.message)) {
        if (rc == 0)
            image_load_free(load);
        return false;
    }
    m->snap_maybe = NULL;
    node_snap_installed(m->node, sim_local(m, s->now), rc == 0 ? &head : NULL,
                        rc == 0 ? load : NULL);
    if (node_raft(m->node)->trail.base_index != before) {
        s->t.installs++;
        m->history_from = head.index + 1;
    }
    sim_check_state(s, m);
    return true;
}

bool sim_snap_job(struct sim *s, struct sim_node *m, struct job *j)
{
    switch (j->kind) {
    case JOB_IMAGE: return image_job(s, m, j);
    case JOB_DROP: return drop_job(s, m);
    case JOB_SNAP_READ: return read_job(s, m, j);
    case JOB_SNAP_OPEN: return open_job(s, m);
    case JOB_SNAP_WRITE: return write_job(s, m, j);
    case JOB_INSTALL: return install_job(s, m);
    case JOB_BATCH:
    case JOB_FETCH:
    case JOB_REMEMBER: break;
    }
    abort();
}

void sim_snap_stop(struct sim_node *m)
{
    snapshot_part_close(m->part);
    m->part = NULL;
    m->drop_to = 0;
}
