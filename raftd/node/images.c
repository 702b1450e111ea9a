#include "raftd/node/images.h"

#include <assert.h>
#include <string.h>

#include "raftd/base/num.h"

static uint64_t written(const struct images *im)
{
    return im->start_bytes + replica_disk_bytes(im->replica);
}

/* The same share of `most` as `part` is of `all`. A product of two integers could overflow. */
static uint64_t share(uint64_t most, uint64_t part, uint64_t all)
{
    return all == 0 ? most : (uint64_t)((double)most * ((double)part / (double)all));
}

/* Mark i. Behind the last one stands the present end of the log. */
static void mark_at(const struct images *im, unsigned i, uint64_t *index, uint64_t *bytes)
{
    *index = i < im->n_marks ? im->marks[i].index : replica_raft(im->replica)->written_last;
    *bytes = i < im->n_marks ? im->marks[i].bytes : written(im);
}

/* How many bytes had been written when the log ended with this entry. */
static uint64_t bytes_at(const struct images *im, uint64_t index)
{
    unsigned i = im->n_marks;
    uint64_t from, bytes, to, end;
    while (i > 1 && im->marks[i - 1].index > index)
        i--;
    mark_at(im, i - 1, &from, &bytes);
    mark_at(im, i, &to, &end);
    if (index >= to || index <= from)
        return index >= to ? end : bytes;
    return bytes + share(end - bytes, index - from, to - from);
}

/* The last entry that had been written when so many bytes were. */
static uint64_t index_at(const struct images *im, uint64_t at)
{
    unsigned i = im->n_marks;
    uint64_t from, bytes, to, end;
    while (i > 1 && im->marks[i - 1].bytes > at)
        i--;
    mark_at(im, i - 1, &from, &bytes);
    mark_at(im, i, &to, &end);
    if (at >= end || at <= bytes || to <= from)
        return at >= end ? to : from;
    return from + share(to - from, at - bytes, end - bytes);
}

/* Adds a mark when enough was written since the last. Marks of entries that were cut go. If there are too
 * many marks, every second one goes. */
static void note(struct images *im)
{
    uint64_t last = replica_raft(im->replica)->written_last;
    while (im->n_marks > 1 && im->marks[im->n_marks - 1].index > last)
        im->n_marks--;
    if (last <= im->marks[im->n_marks - 1].index ||
        written(im) - im->marks[im->n_marks - 1].bytes < im->step)
        return;
    if (im->n_marks == IMAGES_MARKS) {
        im->n_marks = IMAGES_MARKS / 2;
        for (unsigned i = 1; i < IMAGES_MARKS / 2; i++)
            im->marks[i] = im->marks[2 * i];
        im->step *= 2;
    }
    im->marks[im->n_marks].index = last;
    im->marks[im->n_marks++].bytes = written(im);
}

void images_init(struct images *im, const struct node_config *cfg, const struct node_io *io,
                 struct replica *r, struct machine *machine, const struct wal_report *wal,
                 const struct snapshot_name *newest)
{
    uint32_t segment = cfg->segment_bytes != 0 ? cfg->segment_bytes : WAL_SEGMENT_BYTES_DEFAULT;
    *im = (struct images){.cfg = cfg,
                          .io = io,
                          .replica = r,
                          .machine = machine,
                          .segment_bytes = segment,
                          .n_marks = 1,
                          .step = segment / 4,
                          .start_bytes = wal->segments * segment};
    im->marks[0].index = wal->base_index;
    if (wal->last_index > wal->base_index) {
        im->marks[im->n_marks].index = wal->last_index;
        im->marks[im->n_marks++].bytes = im->start_bytes;
    }
    if (newest != NULL)
        im->newest = *newest;
}

void images_free(struct images *im)
{
    if (im->open != NULL)
        machine_thaw(im->machine, im->open);
    im->open = NULL;
}

void images_ask(struct images *im)
{
    im->asked = true;
}

void images_lost(struct images *im)
{
    im->lost = true;
}

uint64_t images_log_bytes(const struct images *im)
{
    return written(im) - bytes_at(im, replica_raft(im->replica)->trail.base_index);
}

/* The log is so long that it is not kept for peers any more. */
static bool near_limit(const struct images *im)
{
    return im->cfg->log_max_bytes != 0 && images_log_bytes(im) > im->cfg->log_max_bytes / 2;
}

static bool wanted(const struct images *im)
{
    uint64_t since = written(im) - bytes_at(im, im->newest.index);
    uint64_t most = max_u64((uint64_t)IMAGES_SEGMENTS * im->segment_bytes, im->newest.size);
    uint64_t applied = replica_applied(im->replica);
    if (im->io->image == NULL || im->open != NULL || applied == 0 ||
        applied < im->newest.index + (im->lost ? 0 : 1))
        return false;
    return im->asked || im->lost || since > (near_limit(im) ? im->segment_bytes : most);
}

static void fill_head(const struct images *im, struct snapshot_head *h)
{
    h->index = image_index(im->open);
    h->term = raft_term_at(replica_raft(im->replica), h->index);
    h->cluster_ms = image_cluster_ms(im->open);
    if (replica_applied_members(im->replica)->index != 0)
        h->members = *replica_applied_members(im->replica);
}

static bool take(struct images *im, uint64_t now, uint64_t needed)
{
    struct snapshot_head head = {0};
    uint64_t ms;
    /* After a restart the hash of the last applied entry may not be in memory. A later one's will be. */
    if (replica_hash(im->replica, replica_applied(im->replica), head.entry_hash, &ms))
        im->open = machine_freeze(im->machine);
    if (im->open == NULL) {
        im->retry_at = now + NODE_SEAL_US;
        return false;
    }
    im->asked = im->lost = false;
    fill_head(im, &head);
    im->io->image(im->io->ctx, &head, im->open, needed);
    return true;
}

/* The entry up to which the log may go now. */
static uint64_t droppable(const struct images *im, uint64_t needed)
{
    const struct raft *r = replica_raft(im->replica);
    uint64_t tail = min_u64(im->newest.size / 4, IMAGES_TAIL_BYTES);
    uint64_t end = bytes_at(im, im->newest.index), to = im->newest.index;
    if (!near_limit(im)) {
        tail = max_u64(tail, im->segment_bytes);
        to = end > tail ? min_u64(index_at(im, end - tail), to) : 0;
        to = min_u64(to, needed);
    }
    return min_u64(min_u64(to, replica_applied(im->replica)), r->durable_index);
}

static void drop(struct images *im, uint64_t needed)
{
    uint64_t base = replica_raft(im->replica)->trail.base_index, to = droppable(im, needed);
    if (to <= base || bytes_at(im, to) - bytes_at(im, base) < im->segment_bytes)
        return;
    replica_compact(im->replica, to);
    im->io->drop_log(im->io->ctx, to + 1);
}

bool images_step(struct images *im, uint64_t now, struct images_need need)
{
    note(im);
    bool taken = wanted(im) && now >= im->retry_at &&
                 take(im, now, need.snapshot != UINT64_MAX ? need.snapshot : 0);
    uint64_t kept = machine_kept_bytes(im->machine), kept_max = machine_kept_max_bytes(im->machine);
    if (im->open != NULL && !im->stopping && kept > kept_max) {
        im->stopping = true;
        im->io->image_end(im->io->ctx, false);
    } else if (im->open != NULL && !im->hurried && (kept > kept_max / 2 || near_limit(im))) {
        im->hurried = true;
        im->io->image_end(im->io->ctx, true);
    }
    if (im->newest.index != 0)
        drop(im, need.log);
    uint64_t most = im->cfg->log_max_bytes;
    replica_set_log_full(im->replica, most != 0 && images_log_bytes(im) > most);
    return taken;
}

void images_done(struct images *im, uint64_t now, const struct snapshot_name *name)
{
    assert(im->open != NULL);
    machine_thaw(im->machine, im->open);
    im->open = NULL;
    if (name != NULL)
        images_installed(im, name);
    if (name != NULL || !im->stopping)
        im->outgrown = 0;
    else
        im->outgrown++;
    /* New writes made this image outgrow its memory. If the log is near its limit it takes none soon, so the
     * next image fits and is taken at once; but only one. */
    uint64_t wait = (uint64_t)IMAGES_RETRY_US << min_u64(im->outgrown, IMAGES_DOUBLINGS);
    if (name == NULL)
        im->retry_at = im->outgrown == 1 && near_limit(im) ? now : now + wait;
    im->stopping = im->hurried = false;
}

void images_installed(struct images *im, const struct snapshot_name *name)
{
    if (name->index > im->newest.index)
        im->newest = *name;
}

uint64_t images_deadline(const struct images *im)
{
    return wanted(im) ? im->retry_at : NEVER;
}

void images_status(const struct images *im, struct status *s)
{
    s->snapshot_index = im->newest.index;
    s->snapshot_bytes = im->newest.size;
    s->imaging = im->open != NULL;
    s->image_kept_bytes = machine_kept_bytes(im->machine);
}
