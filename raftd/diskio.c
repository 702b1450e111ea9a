#include "raftd/diskio.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/lasting.h"
#include "raftd/base/say.h"
#include "raftd/disk_name.h"
#include "raftd/durations.h"
#include "raftd/imager.h"
#include "raftd/refused.h"
#include "storage/doubt.h"

enum {
    ONE_EACH = 6, /* doubt that is over, log to drop, look, spare, snapshot from a peer, image */
    QUEUE = DISKIO_BATCHES + 2 * DISKIO_FETCHES + DISKIO_PEERS + ONE_EACH,
    LOOK_US = 500000,      /* a node whose disk was full must find room within two seconds */
    SPARE_AGAIN_MS = 1000, /* each try may fill and empty the last blocks */
    FETCH_AGAIN_MS = 200,  /* a peer, or the state machine, waits for it */
};

struct job {
    enum diskio_kind kind;
    struct peerids *ids; /* DISKIO_REMEMBER: node_id is added to them */
    uint16_t node_id;
    uint8_t key[PEERIDS_KEY_BYTES];
    uint64_t not_before_us; /* after a refusal it waits until then; batches never wait */
    uint64_t seq;
    struct wal_batch batch; /* its bytes lie in diskio.bytes */
    struct node_fetch what;
    struct wal_pos pos;
    uint64_t last;  /* of a fetch */
    uint64_t index; /* of a snapshot that is read, or that a peer takes (`needed` of an image) */
    uint64_t at;    /* where to read or write in a snapshot */
    uint8_t *buf;
    const uint8_t *bytes; /* to append to a snapshot */
    size_t len;           /* of buf or bytes */
    struct image *image;
};

struct worker {
    struct diskio *d;
    enum diskio_kind first, last; /* the kinds of jobs that it does */
    pthread_t thread;
    pthread_cond_t work;
};

enum { LOG, SPARE, IMAGER, WORKERS };

struct diskio {
    struct diskio_config cfg;
    char disk_name[DISK_NAME_MAX];
    uint8_t *bytes; /* of the one batch with entries that is outstanding */
    struct worker workers[WORKERS];
    struct imager *imager;
    atomic_bool nudged; /* the snapshots' thread has to look under the lock once more */
    int nudge_fd;       /* wakes it when it rests between two pieces of an image */
    int says;           /* what between() told it last */
    struct snapshot_head image_head, install_head; /* of the present jobs, as are the names */
    struct snapshot_name image_name, open_name;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t thread_gone;
    bool stop;
    unsigned gone;          /* threads that have ended */
    struct job jobs[QUEUE]; /* the oldest first */
    unsigned n_jobs;
    struct diskio_done done[QUEUE];
    unsigned done_head, n_done;
    bool silent;           /* the owner is not woken for batches */
    uint64_t spare_wanted; /* segment number, 0 = none; its job is there until it is made */
    uint64_t spare_made;
    uint64_t keep_from;         /* entries before it may go; 0 = no such job is queued */
    bool image_stop;            /* the image is to be given up */
    bool image_hurry;           /* the image is to be ended as soon as can be */
    struct durations durations; /* of batches: write and sync */
    bool looks;                 /* a DISKIO_LOOK is queued */
    uint64_t looked_us, free_bytes;
    struct wal_stats wal_stats;
    uint64_t snapshot_us, images_given_up; /* as in struct status */

    /* The log thread's: states of which there are messages. */
    struct lasting no_room;
    bool no_room_entries; /* there is none for entries; votes may find some */
    struct lasting no_read;
    struct lasting slow;
    struct lasting no_snapshot; /* the snapshots' thread's */
};

/* A batch was written, so there is room. But a vote that finds its reserve is no sign of room for entries. */
static void say_room(struct diskio *d, const struct wal_batch *b)
{
    if (d->no_room_entries && b->first_index == 0)
        return;
    d->no_room_entries = false;
    uint64_t lasted_s = lasting_over(&d->no_room, clock_us());
    if (lasted_s > 0)
        say_info("the log has room again, after %" PRIu64 " s", lasted_s);
}

/* After a batch: how long did it take? */
static void measure(struct diskio *d, uint64_t now, uint64_t took)
{
    pthread_mutex_lock(&d->lock);
    durations_add(&d->durations, now, took);
    d->wal_stats = wal_stats(d->cfg.wal);
    bool slow = durations_slow(&d->durations);
    uint64_t p99_us = durations_percentile(&d->durations, now, 99);
    pthread_mutex_unlock(&d->lock);
    uint64_t lasted_s = slow ? 0 : lasting_over(&d->slow, now);
    if (slow && lasting_is(&d->slow, 0, now))
        say_warn("the disk of %s (%s) is slow: more than one write in a hundred takes over %" PRIu64
                 " ms, half of the election timeout (p99 %" PRIu64
                 " ms): see what else writes there, take a better medium, or raise "
                 "election_timeout_ms",
                 d->cfg.dir, d->disk_name, d->cfg.long_us / 1000, p99_us / 1000);
    if (lasted_s > 0)
        say_info("the disk of %s is fast enough again, after %" PRIu64 " s", d->cfg.dir, lasted_s);
}

/* Says once that there is no room. */
static void say_full(struct diskio *d, int rc, const char *error)
{
    if (lasting_is(&d->no_room, 0, clock_us()))
        refused_for_now(rc, error, "new writes are refused here until there is room");
}

/* Looks how much room there is, and whether the log's newest file is still where it was: one that lost its
 * name could still be written, and what it acknowledges would be lost. */
static void look(struct diskio *d)
{
    char what[WAL_MESSAGE_BYTES];
    const char *log = wal_newest(d->cfg.wal);
    int64_t room = d->cfg.disk->room(d->cfg.disk->ctx, log);
    if (room == -ENOENT)
        say_fatal(RAFTD_EXIT_DISK,
                  "%s was removed while raftd was running: stopping, for what would be written now "
                  "would be lost",
                  log);
    if (room < 0) {
        (void)snprintf(what, sizeof what, "look at %s: %s", log, strerror((int)-room));
        refused_running(d->cfg.dir, (int)room, what);
    }
    pthread_mutex_lock(&d->lock);
    d->looked_us = clock_us();
    d->free_bytes = (uint64_t)room;
    pthread_mutex_unlock(&d->lock);
}

static bool look_for_status(struct diskio *d)
{
    look(d);
    pthread_mutex_lock(&d->lock);
    d->looks = false;
    pthread_mutex_unlock(&d->lock);
    return true;
}

/* On a disk that is nearly full the last room is for what needs little: votes, terms, idle batches. */
static bool nearly_full(struct diskio *d)
{
    char what[WAL_MESSAGE_BYTES];
    uint64_t number;
    if (clock_us() >= d->looked_us + LOOK_US) /* nobody else sets it */
        look(d);
    if (d->free_bytes >= d->cfg.min_free_bytes || !wal_wants_spare(d->cfg.wal, &number))
        return false; /* or the log needs no more of it now */
    (void)snprintf(what, sizeof what, "%" PRIu64 " bytes are free, disk_min_free is %" PRIu64,
                   d->free_bytes, d->cfg.min_free_bytes);
    d->no_room_entries = true;
    say_full(d, -ENOSPC, what);
    return true;
}

/* False: there is no room for the batch. */
static bool append(struct diskio *d, const struct job *j)
{
    const struct wal_batch *b = &j->batch;
    if (b->first_index != 0 && nearly_full(d))
        return false;
    uint64_t start = clock_us();
    int rc = wal_append(d->cfg.wal, b);
    if (wal_refused(rc)) {
        d->no_room_entries |= b->first_index != 0;
        say_full(d, rc, wal_error(d->cfg.wal));
        return false;
    }
    if (rc != 0)
        refused_running(d->cfg.dir, rc, wal_error(d->cfg.wal));
    say_room(d, b);
    uint64_t now = clock_us();
    measure(d, now, now - start);
    return true;
}

/* False: the read is to be tried again later. */
static bool fetch(struct diskio *d, struct job *j, struct diskio_done *done)
{
    ssize_t n = wal_read(d->cfg.wal, &j->pos, j->last, j->buf, j->len);
    if (n < 0 && wal_refused((int)n)) {
        if (lasting_is(&d->no_read, 0, clock_us()))
            refused_for_now((int)n, wal_error(d->cfg.wal), "what needs old entries waits");
        return false;
    }
    if (n < 0)
        say_fatal(RAFTD_EXIT_DISK, "reading the log failed: %s. The next start looks at all of it",
                  wal_error(d->cfg.wal));
    uint64_t lasted_s = lasting_over(&d->no_read, clock_us());
    if (lasted_s > 0)
        say_info("the log can be read again, after %" PRIu64 " s", lasted_s);
    done->len = (size_t)n;
    done->next = j->pos;
    return true;
}

/* False: there is no room for the key, or the node is known by another one. */
static bool remember(struct diskio *d, const struct job *j)
{
    char err[WAL_MESSAGE_BYTES];
    int rc = peerids_add(d->cfg.disk, d->cfg.dir, j->ids, j->node_id, j->key, err, sizeof err);
    if (rc == -EEXIST)
        return false;
    if (rc != 0 && rc != -EDQUOT && !wal_refused(rc))
        refused_running(d->cfg.dir, rc, err);
    if (rc != 0 && lasting_is(&d->no_room, 0, clock_us()))
        refused_for_now(rc, err,
                        "a node that is heard for the first time must wait until there is room");
    return rc == 0;
}

static bool healed(struct diskio *d)
{
    char err[WAL_MESSAGE_BYTES];
    int rc = doubt_clear(d->cfg.disk, d->cfg.dir, err, sizeof err);
    if (rc != 0 && !wal_refused(rc)) /* else the next start is in doubt once more */
        refused_running(d->cfg.dir, rc, err);
    return true;
}

static void put_job(struct diskio *d, const struct job *j)
{
    assert(d->n_jobs < QUEUE);
    d->jobs[d->n_jobs++] = *j;
}

/* Files are dropped one at a time, so that a batch that comes meanwhile waits for no more than one. */
static void go_on_dropping(struct diskio *d)
{
    if (!wal_drops(d->cfg.wal))
        return;
    pthread_mutex_lock(&d->lock);
    if (d->keep_from == 0) {
        d->keep_from = wal_first(d->cfg.wal);
        put_job(d, &(struct job){.kind = DISKIO_DROP});
    }
    pthread_mutex_unlock(&d->lock);
}

static bool drop_log(struct diskio *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t keep_from = d->keep_from;
    d->keep_from = 0;
    pthread_mutex_unlock(&d->lock);
    int rc = wal_drop(d->cfg.wal, keep_from);
    if (rc != 0 && !wal_refused(rc)) /* else the next batch has it done */
        refused_running(d->cfg.dir, rc, wal_error(d->cfg.wal));
    pthread_mutex_lock(&d->lock);
    d->wal_stats = wal_stats(d->cfg.wal);
    pthread_mutex_unlock(&d->lock);
    if (rc == 0)
        go_on_dropping(d);
    return true;
}

/* After a job of the snapshots' thread that gave rc. False: it was given up, or there is no room. Only a
 * whole snapshot shows that there is room again: on a full disk a part of one can still be opened. */
static bool snapshot_done(struct diskio *d, enum diskio_kind kind, int rc)
{
    bool whole = rc == 0 && (kind == DISKIO_SNAP_INSTALL || kind == DISKIO_IMAGE);
    bool damaged = rc == -EBADMSG || rc == -ENOTSUP;
    uint64_t lasted_s = whole ? lasting_over(&d->no_snapshot, clock_us()) : 0;
    if (lasted_s > 0)
        say_info("snapshots can be written again, after %" PRIu64 " s", lasted_s);
    if (rc == 0 || rc == -ECANCELED || rc == -EINVAL) /* EINVAL: an earlier piece was refused */
        return rc == 0;
    if (!damaged && !wal_refused(rc))
        refused_running(d->cfg.dir, rc, imager_error(d->imager));
    if (!lasting_is(&d->no_snapshot, 0, clock_us()))
        return false;
    if (damaged)
        say_error("a snapshot %s: %s",
                  kind == DISKIO_SNAP_READ ? "of this node is damaged, and another one is written"
                  : kind == DISKIO_IMAGE   ? "is given up, and the log goes on"
                                           : "that came from another node is refused",
                  imager_error(d->imager));
    else
        refused_for_now(rc, imager_error(d->imager), "snapshots wait until there is room");
    return false;
}

/* A snapshot that is gone, that the disk can't read, or for which there is no descriptor gives no bytes. */
static bool snap_read(struct diskio *d, const struct job *j, struct diskio_done *done)
{
    ssize_t n = imager_read(d->imager, j->index, j->at, j->buf, j->len);
    if (n < 0 && n != -ENOENT)
        (void)snapshot_done(d, DISKIO_SNAP_READ, n == -EIO ? -EBADMSG : (int)n);
    done->len = n > 0 ? (size_t)n : 0;
    return true;
}

static bool write_image(struct diskio *d, const struct job *j, struct diskio_done *done)
{
    done->name = &d->image_name;
    int rc = imager_write(d->imager, &d->image_head, j->image, j->index, &d->image_name);
    pthread_mutex_lock(&d->lock);
    d->images_given_up += rc != 0;
    d->snapshot_us = rc == 0 ? clock_us() : d->snapshot_us;
    pthread_mutex_unlock(&d->lock);
    return snapshot_done(d, DISKIO_IMAGE, rc);
}

/* After a batch: asks for the next segment, if the log wants one. */
static void want_spare(struct diskio *d)
{
    uint64_t number;
    pthread_mutex_lock(&d->lock);
    uint64_t made = d->spare_made;
    d->spare_made = 0;
    pthread_mutex_unlock(&d->lock);
    if (made != 0)
        wal_spare_made(d->cfg.wal, made);
    if (d->free_bytes < d->cfg.min_free_bytes || !wal_wants_spare(d->cfg.wal, &number))
        return;
    pthread_mutex_lock(&d->lock);
    if (d->spare_wanted == 0) {
        put_job(d, &(struct job){.kind = DISKIO_SPARE});
        pthread_cond_signal(&d->workers[SPARE].work);
    }
    d->spare_wanted = number;
    pthread_mutex_unlock(&d->lock);
}

/* False: there is no room for a segment. A batch that needs it will say so. */
static bool make_spare(struct diskio *d)
{
    char err[WAL_MESSAGE_BYTES];
    bool again = true;
    while (again) {
        pthread_mutex_lock(&d->lock);
        uint64_t number = d->spare_wanted;
        pthread_mutex_unlock(&d->lock);
        int rc = wal_make_spare(d->cfg.disk, d->cfg.dir, number, d->cfg.segment_bytes, err,
                                sizeof err);
        if (rc < 0 && wal_refused(rc))
            return false;
        if (rc < 0)
            refused_running(d->cfg.dir, rc, err);
        pthread_mutex_lock(&d->lock);
        d->spare_made = number;
        again = d->spare_wanted != number && !d->stop;
        if (!again)
            d->spare_wanted = 0;
        pthread_mutex_unlock(&d->lock);
    }
    return true;
}

/* Takes out the most urgent job that need not wait, so that no batch waits behind one that does. *later:
 * there are jobs that wait. At the end only batches are done, since nobody wants the others any more. */
static bool take_job(struct worker *w, struct job *j, bool *later)
{
    struct diskio *d = w->d;
    unsigned best = QUEUE;
    uint64_t now = d->n_jobs > 0 ? clock_us() : 0;
    *later = false;
    for (unsigned i = 0; i < d->n_jobs; i++) {
        const struct job *at = &d->jobs[i];
        if (at->kind < w->first || at->kind > w->last || (d->stop && at->kind != DISKIO_BATCH))
            continue;
        if (at->not_before_us > now)
            *later = true;
        else if (best == QUEUE || at->kind < d->jobs[best].kind)
            best = i;
    }
    if (best == QUEUE)
        return false;
    *j = d->jobs[best];
    d->n_jobs--;
    memmove(&d->jobs[best], &d->jobs[best + 1], (d->n_jobs - best) * sizeof d->jobs[0]);
    return true;
}

/* The next job; false when it is time to end. */
static bool wait_job(struct worker *w, struct job *j)
{
    struct diskio *d = w->d;
    bool later;
    while (!take_job(w, j, &later)) {
        if (d->stop)
            return false;
        struct timespec until = clock_in_ms(FETCH_AGAIN_MS);
        if (!later)
            pthread_cond_wait(&w->work, &d->lock);
        else
            (void)pthread_cond_timedwait(&w->work, &d->lock, &until); /* monotonic */
    }
    return true;
}

/* False: the job is to be tried again after *again_ms or, if that is 0, is handed back as refused. */
static bool do_job(struct diskio *d, struct job *j, struct diskio_done *done, uint64_t *again_ms)
{
    *again_ms = 0;
    switch (j->kind) {
    case DISKIO_BATCH: return append(d, j);
    case DISKIO_REMEMBER: return remember(d, j);
    case DISKIO_HEALED: return healed(d);
    case DISKIO_DROP: return drop_log(d);
    case DISKIO_FETCH: *again_ms = FETCH_AGAIN_MS; return fetch(d, j, done);
    case DISKIO_LOOK: return look_for_status(d);
    case DISKIO_SPARE: *again_ms = SPARE_AGAIN_MS; return make_spare(d);
    case DISKIO_SNAP_READ: return snap_read(d, j, done);
    case DISKIO_SNAP_OPEN:
        return snapshot_done(d, j->kind, imager_open(d->imager, &d->open_name, &done->have));
    case DISKIO_SNAP_WRITE:
        return snapshot_done(d, j->kind, imager_append(d->imager, j->at, j->bytes, j->len));
    case DISKIO_SNAP_INSTALL:
        done->head = &d->install_head;
        return snapshot_done(d, j->kind, imager_install(d->imager, &d->install_head, &done->load));
    case DISKIO_IMAGE: return write_image(d, j, done);
    }
    return false;
}

static void tell(struct diskio *d, const struct diskio_done *done)
{
    pthread_mutex_lock(&d->lock);
    assert(d->n_done < QUEUE);
    d->done[(d->done_head + d->n_done++) % QUEUE] = *done;
    bool silent = d->silent && done->kind == DISKIO_BATCH;
    pthread_mutex_unlock(&d->lock);
    if (!silent)
        d->cfg.wake(d->cfg.ctx);
}

/* Does a job that was taken out. */
static void run(struct diskio *d, struct job *j)
{
    uint64_t again_ms;
    struct diskio_done done = {
        .kind = j->kind, .seq = j->seq, .what = j->what, .node_id = j->node_id};
    memcpy(done.key, j->key, sizeof done.key);
    done.refused = !do_job(d, j, &done, &again_ms);
    if (done.refused && again_ms != 0) {
        pthread_mutex_lock(&d->lock);
        j->not_before_us = clock_us() + again_ms * 1000;
        put_job(d, j);
        pthread_mutex_unlock(&d->lock);
    } else if (j->kind != DISKIO_HEALED && j->kind != DISKIO_DROP && j->kind != DISKIO_LOOK &&
               j->kind != DISKIO_SPARE) {
        tell(d, &done);
    }
    if (j->kind == DISKIO_BATCH) {
        go_on_dropping(d); /* what a reset left, or what was refused */
        want_spare(d);
    }
}

/* The snapshots' thread has something else to do, or to end. */
static void nudge(struct diskio *d)
{
    atomic_store(&d->nudged, true);
    (void)eventfd_write(d->nudge_fd, 1); /* full: it is to be read anyway */
}

/* What others want of the snapshots' thread before it goes on with an image. */
static void do_small(struct diskio *d)
{
    struct worker small = {.d = d, .first = DISKIO_SNAP_READ, .last = DISKIO_SNAP_WRITE};
    struct job j;
    bool later, any, stop, hurry;
    do {
        pthread_mutex_lock(&d->lock);
        any = take_job(&small, &j, &later);
        stop = d->stop || d->image_stop;
        hurry = d->image_hurry;
        pthread_mutex_unlock(&d->lock);
        if (any)
            run(d, &j);
    } while (any);
    d->says = stop ? -ECANCELED : hurry;
}

/* After a piece of an image, on its thread. That may lose the processor to any other: whenever it holds the
 * lock the loop may wait for it, so it takes it only when there is a reason. */
static int between(void *ctx, uint64_t until_us)
{
    struct diskio *d = ctx;
    for (;;) {
        if (atomic_exchange(&d->nudged, false))
            do_small(d);
        uint64_t now = clock_us();
        if (d->says != 0 || now >= until_us)
            return d->says;
        struct pollfd nudges = {.fd = d->nudge_fd, .events = POLLIN};
        const struct timespec rest = {.tv_nsec = (long)(until_us - now) * 1000};
        eventfd_t n;
        if (ppoll(&nudges, 1, &rest, NULL) > 0)
            (void)eventfd_read(d->nudge_fd, &n);
    }
}

/* After a piece of what a peer brings, while all of it is read: a stop does not wait for that. */
static int ends(void *ctx, uint64_t done, uint64_t all)
{
    struct diskio *d = ctx;
    (void)done;
    (void)all;
    if (!atomic_load(&d->nudged))
        return 0;
    pthread_mutex_lock(&d->lock);
    bool stop = d->stop;
    pthread_mutex_unlock(&d->lock);
    return stop ? -ECANCELED : 0;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct diskio *d = w->d;
    struct job j;
    if (w == &d->workers[IMAGER])
        imager_yield();
    pthread_mutex_lock(&d->lock);
    while (wait_job(w, &j)) {
        pthread_mutex_unlock(&d->lock);
        run(d, &j);
        pthread_mutex_lock(&d->lock);
    }
    d->gone++;
    pthread_cond_signal(&d->thread_gone);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* Ends the threads. Returns how many of them have not ended within that time. */
static unsigned stop_workers(struct diskio *d, unsigned running, uint64_t within_ms)
{
    struct timespec until = clock_in_ms(within_ms);
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    nudge(d);
    for (unsigned i = 0; i < running; i++)
        pthread_cond_signal(&d->workers[i].work);
    while (d->gone < running && rc == 0)
        rc = pthread_cond_timedwait(&d->thread_gone, &d->lock, &until); /* monotonic */
    unsigned left = running - d->gone;
    pthread_mutex_unlock(&d->lock);
    for (unsigned i = 0; left == 0 && i < running; i++)
        pthread_join(d->workers[i].thread, NULL);
    return left;
}

static void free_diskio(struct diskio *d)
{
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_cond_destroy(&d->workers[i].work);
    pthread_cond_destroy(&d->thread_gone);
    pthread_mutex_destroy(&d->lock);
    imager_free(d->imager);
    if (d->nudge_fd >= 0)
        (void)close(d->nudge_fd);
    free(d->bytes);
    free(d);
}

struct diskio *diskio_start(const struct diskio_config *cfg)
{
    static const enum diskio_kind kinds[WORKERS][2] = {
        [LOG] = {DISKIO_BATCH, DISKIO_LOOK},
        [SPARE] = {DISKIO_SPARE, DISKIO_SPARE},
        [IMAGER] = {DISKIO_SNAP_READ, DISKIO_IMAGE},
    };
    struct diskio *d = calloc(1, sizeof *d);
    pthread_condattr_t ca;
    unsigned running = 0;
    if (d == NULL)
        return NULL;
    d->cfg = *cfg;
    d->wal_stats = wal_stats(cfg->wal);
    d->durations.long_us = cfg->long_us;
    disk_name(cfg->dir, d->disk_name);
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->thread_gone, &ca);
    for (unsigned i = 0; i < WORKERS; i++) {
        d->workers[i] = (struct worker){.d = d, .first = kinds[i][0], .last = kinds[i][1]};
        pthread_cond_init(&d->workers[i].work, &ca);
    }
    pthread_condattr_destroy(&ca);
    d->bytes = malloc(cfg->max_batch_bytes);
    d->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->imager = imager_new(&(struct snapshots){.disk = cfg->disk,
                                               .dir = cfg->dir,
                                               .storage_id = cfg->storage_id,
                                               .cluster = cfg->cluster,
                                               .pace = ends,
                                               .pace_ctx = d},
                           between, d);
    while (d->bytes != NULL && d->nudge_fd >= 0 && d->imager != NULL && running < WORKERS) {
        struct worker *w = &d->workers[running];
        if (thread_start(&w->thread, work, w) < 0)
            break;
        running++;
    }
    if (running == WORKERS)
        return d;
    (void)stop_workers(d, running, DISKIO_STOP_S * 1000); /* they have no work */
    free_diskio(d);
    return NULL;
}

bool diskio_stop(struct diskio *d)
{
    if (stop_workers(d, WORKERS, DISKIO_STOP_S * 1000) > 0)
        return false;
    free_diskio(d);
    return true;
}

static void queue(struct diskio *d, const struct job *j)
{
    unsigned w = LOG;
    while (j->kind > d->workers[w].last)
        w++;
    pthread_mutex_lock(&d->lock);
    put_job(d, j);
    pthread_mutex_unlock(&d->lock);
    if (w == IMAGER)
        nudge(d);
    /* After the unlock, so that the thread does not wake up only to wait for the lock. */
    pthread_cond_signal(&d->workers[w].work);
}

void diskio_persist(struct diskio *d, uint64_t seq, const struct wal_batch *b)
{
    struct job j = {.kind = DISKIO_BATCH, .seq = seq, .batch = *b};
    size_t at = 0;
    for (int i = 0; i < b->bytes_n; i++) {
        assert(at + b->bytes[i].iov_len <= d->cfg.max_batch_bytes);
        memcpy(d->bytes + at, b->bytes[i].iov_base, b->bytes[i].iov_len);
        at += b->bytes[i].iov_len;
    }
    j.batch.bytes[0] = (struct iovec){.iov_base = d->bytes, .iov_len = at};
    j.batch.bytes_n = at > 0 ? 1 : 0;
    queue(d, &j);
}

void diskio_fetch(struct diskio *d, struct node_fetch what, const struct wal_pos *from,
                  uint64_t last, uint8_t *buf, size_t cap)
{
    queue(d, &(struct job){.kind = DISKIO_FETCH,
                           .what = what,
                           .pos = *from,
                           .last = last,
                           .buf = buf,
                           .len = cap});
}

void diskio_remember(struct diskio *d, struct peerids *ids, uint16_t node_id,
                     const uint8_t key[PEERIDS_KEY_BYTES])
{
    struct job job = {.kind = DISKIO_REMEMBER, .ids = ids, .node_id = node_id};
    memcpy(job.key, key, sizeof job.key);
    queue(d, &job);
}

void diskio_doubt(struct diskio *d, bool damaged)
{
    if (d->cfg.damaged && !damaged)
        queue(d, &(struct job){.kind = DISKIO_HEALED});
    d->cfg.damaged = damaged;
}

void diskio_drop_log(struct diskio *d, uint64_t keep_from)
{
    pthread_mutex_lock(&d->lock);
    bool queued = d->keep_from != 0;
    d->keep_from = keep_from;
    pthread_mutex_unlock(&d->lock);
    if (!queued)
        queue(d, &(struct job){.kind = DISKIO_DROP});
}

void diskio_image(struct diskio *d, const struct snapshot_head *head, struct image *image,
                  uint64_t needed)
{
    d->image_head = *head;
    pthread_mutex_lock(&d->lock);
    d->image_stop = d->image_hurry = false;
    pthread_mutex_unlock(&d->lock);
    queue(d, &(struct job){.kind = DISKIO_IMAGE, .image = image, .index = needed});
}

void diskio_image_end(struct diskio *d, bool whole)
{
    pthread_mutex_lock(&d->lock);
    d->image_stop |= !whole;
    d->image_hurry |= whole;
    pthread_mutex_unlock(&d->lock);
    nudge(d);
}

void diskio_snap_read(struct diskio *d, struct node_fetch what, uint64_t index, uint64_t off,
                      uint8_t *buf, size_t cap)
{
    queue(d, &(struct job){.kind = DISKIO_SNAP_READ,
                           .what = what,
                           .index = index,
                           .at = off,
                           .buf = buf,
                           .len = cap});
}

void diskio_snap_open(struct diskio *d, const struct snapshot_name *name)
{
    d->open_name = *name;
    queue(d, &(struct job){.kind = DISKIO_SNAP_OPEN});
}

void diskio_snap_write(struct diskio *d, uint64_t off, const uint8_t *buf, size_t len)
{
    queue(d, &(struct job){.kind = DISKIO_SNAP_WRITE, .at = off, .bytes = buf, .len = len});
}

void diskio_snap_install(struct diskio *d)
{
    diskio_image_end(d, false); /* it is of a state that goes now */
    queue(d, &(struct job){.kind = DISKIO_SNAP_INSTALL});
}

bool diskio_done(struct diskio *d, struct diskio_done *done)
{
    pthread_mutex_lock(&d->lock);
    bool any = d->n_done > 0;
    if (any) {
        *done = d->done[d->done_head];
        d->done_head = (d->done_head + 1) % QUEUE;
        d->n_done--;
    }
    pthread_mutex_unlock(&d->lock);
    return any;
}

bool diskio_tell_batches(struct diskio *d, bool tell)
{
    pthread_mutex_lock(&d->lock);
    bool missed = tell && d->silent && d->n_done > 0;
    d->silent = !tell;
    pthread_mutex_unlock(&d->lock);
    return missed;
}

void diskio_status(struct diskio *d, struct status *s)
{
    pthread_mutex_lock(&d->lock);
    s->fsyncs = d->wal_stats.fsyncs;
    s->disk_bytes = d->wal_stats.bytes_written;
    s->log_bytes = d->wal_stats.log_bytes;
    durations_status(&d->durations, s);
    s->snapshot_us = d->snapshot_us;
    s->images_given_up = d->images_given_up;
    s->disk_free = d->free_bytes;
    s->disk_min_free = d->cfg.min_free_bytes;
    if (!d->looks && s->now_us >= d->looked_us + LOOK_US) {
        d->looks = true;
        put_job(d, &(struct job){.kind = DISKIO_LOOK});
        pthread_cond_signal(&d->workers[LOG].work);
    }
    pthread_mutex_unlock(&d->lock);
}
