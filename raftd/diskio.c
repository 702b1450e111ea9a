#include "raftd/diskio.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/lasting.h"
#include "raftd/base/say.h"
#include "raftd/refused.h"

enum {
    QUEUE = DISKIO_BATCHES + DISKIO_FETCHES + DISKIO_PEERS,
    SPARE_AGAIN_MS = 1000, /* each try fills what room there is, and empties it again */
    FETCH_AGAIN_MS = 200,  /* a peer, or the state machine, waits for it */
    THREADS = 2,
};

struct job {
    bool fetch;
    struct peerids *ids; /* not NULL: node_id is added to them */
    uint16_t node_id;
    uint64_t storage_id;
    uint64_t not_before_us; /* it was refused; batches never wait */
    uint64_t seq;
    struct wal_batch batch; /* its bytes lie in diskio.bytes */
    struct node_fetch what;
    struct wal_pos pos;
    uint64_t last;
    uint8_t *buf;
    size_t cap;
};

struct diskio {
    struct wal *wal;
    const struct disk *disk;
    const char *dir;
    uint32_t segment_bytes;
    void (*wake)(void *);
    void *wake_ctx;
    uint8_t *bytes; /* of the one batch with entries that is outstanding */
    size_t bytes_cap;
    pthread_t log_thread, spare_thread;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work, spare_work, thread_gone;
    bool stop;
    unsigned gone;          /* threads that have ended */
    struct job jobs[QUEUE]; /* in order */
    unsigned n_jobs;
    struct diskio_done done[QUEUE];
    unsigned done_head, n_done;
    uint64_t spare_wanted; /* segment number, 0 = none */
    uint64_t spare_made;
    uint32_t samples[DISKIO_SAMPLES]; /* microseconds */
    uint64_t n_samples;
    uint64_t max_us;
    struct wal_stats wal_stats;

    struct lasting no_room; /* for entries, or for anything: the log thread's, as are these ... */
    bool no_room_entries;
    struct lasting no_read;

    struct diskio_stats cached; /* the loop's */
    uint64_t cached_at;
};

static struct timespec in_ms(uint64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* that of the conditions */
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000 * 1000000);
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* What a wal_refused() is for want of, and what helps. */
static void say_lacking(int rc, const char *error, const char *what_waits)
{
    struct rlimit files = {0};
    switch (rc) {
    case -EMFILE:
        (void)getrlimit(RLIMIT_NOFILE, &files);
        say_warn("all %" PRIuMAX " file descriptors of this process are in use: %s; %s. Raise "
                 "LimitNOFILE or ulimit -n, or let clients close connections",
                 (uintmax_t)files.rlim_cur, error, what_waits);
        break;
    case -ENFILE:
        say_warn("the system has no file descriptor left: %s; %s. Raise fs.file-max", error,
                 what_waits);
        break;
    case -ENOMEM: say_warn("the system has no memory left: %s; %s", error, what_waits); break;
    default: say_warn("the disk is full: %s; %s", error, what_waits); break;
    }
}

/* A vote that finds its reserve is no sign of room for entries. */
static void say_room(struct diskio *d, const struct wal_batch *b)
{
    if (d->no_room_entries && b->first_index == 0)
        return;
    d->no_room_entries = false;
    uint64_t lasted_s = lasting_over(&d->no_room, clock_us());
    if (lasted_s > 0)
        say_info("the log has room again, after %" PRIu64 " s", lasted_s);
}

/* False: there is no room for it. */
static bool append(struct diskio *d, const struct wal_batch *b)
{
    uint64_t start = clock_us();
    int rc = wal_append(d->wal, b);
    if (wal_refused(rc)) {
        d->no_room_entries |= b->first_index != 0;
        if (lasting_is(&d->no_room, 0, start))
            say_lacking(rc, wal_error(d->wal), "new writes are refused here until there is room");
        return false;
    }
    if (rc != 0)
        refused_running(d->dir, rc, wal_error(d->wal));
    say_room(d, b);
    uint64_t took = clock_us() - start;
    pthread_mutex_lock(&d->lock);
    d->samples[d->n_samples++ % DISKIO_SAMPLES] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    if (took > d->max_us)
        d->max_us = took;
    d->wal_stats = wal_stats(d->wal);
    pthread_mutex_unlock(&d->lock);
    return true;
}

/* False: it is to be tried again later. */
static bool fetch(struct diskio *d, struct job *j, size_t *len)
{
    ssize_t n = wal_read(d->wal, &j->pos, j->last, j->buf, j->cap);
    if (n < 0 && wal_refused((int)n)) {
        if (lasting_is(&d->no_read, 0, clock_us()))
            say_lacking((int)n, wal_error(d->wal), "what needs old entries waits");
        return false;
    }
    if (n < 0)
        say_fatal(n == -EBADMSG ? RAFTD_EXIT_CORRUPT : RAFTD_EXIT_DISK,
                  "reading the log failed: %s", wal_error(d->wal));
    uint64_t lasted_s = lasting_over(&d->no_read, clock_us());
    if (lasted_s > 0)
        say_info("the log can be read again, after %" PRIu64 " s", lasted_s);
    *len = (size_t)n;
    return true;
}

/* False: there is no room for it. */
static bool remember(struct diskio *d, const struct job *j)
{
    char err[WAL_MESSAGE_BYTES];
    int rc = peerids_add(d->disk, d->dir, j->ids, j->node_id, j->storage_id, err, sizeof err);
    if (rc != 0 && rc != -EDQUOT && !wal_refused(rc))
        refused_running(d->dir, rc, err);
    if (rc != 0 && lasting_is(&d->no_room, 0, clock_us()))
        say_lacking(rc, err,
                    "a node that is heard for the first time must wait until there is room");
    return rc == 0;
}

static void want_spare(struct diskio *d)
{
    uint64_t number;
    pthread_mutex_lock(&d->lock);
    uint64_t made = d->spare_made;
    d->spare_made = 0;
    pthread_mutex_unlock(&d->lock);
    if (made != 0)
        wal_spare_made(d->wal, made);
    if (!wal_wants_spare(d->wal, &number))
        return;
    pthread_mutex_lock(&d->lock);
    if (d->spare_wanted != number) {
        d->spare_wanted = number;
        pthread_cond_signal(&d->spare_work);
    }
    pthread_mutex_unlock(&d->lock);
}

static void put_job(struct diskio *d, const struct job *j)
{
    assert(d->n_jobs < QUEUE);
    d->jobs[d->n_jobs++] = *j;
}

/* Takes out the first job that need not wait, so that no batch waits behind one that does; before the
 * end batches alone, nobody wants to read any more. */
static bool take_job(struct diskio *d, struct job *j)
{
    uint64_t now = d->n_jobs > 0 ? clock_us() : 0;
    for (unsigned i = 0; i < d->n_jobs; i++) {
        if (d->stop ? d->jobs[i].fetch || d->jobs[i].ids != NULL : d->jobs[i].not_before_us > now)
            continue;
        *j = d->jobs[i];
        d->n_jobs--;
        memmove(&d->jobs[i], &d->jobs[i + 1], (d->n_jobs - i) * sizeof d->jobs[0]);
        return true;
    }
    return false;
}

/* The next job; false when it is time to end. */
static bool wait_job(struct diskio *d, struct job *j)
{
    while (!take_job(d, j)) {
        if (d->stop)
            return false;
        struct timespec until = in_ms(FETCH_AGAIN_MS);
        if (d->n_jobs == 0)
            pthread_cond_wait(&d->work, &d->lock);
        else
            (void)pthread_cond_timedwait(&d->work, &d->lock, &until); /* monotonic */
    }
    return true;
}

static void thread_ends(struct diskio *d)
{
    d->gone++;
    pthread_cond_signal(&d->thread_gone);
    pthread_mutex_unlock(&d->lock);
}

static void *log_thread(void *arg)
{
    struct diskio *d = arg;
    struct job j;
    pthread_mutex_lock(&d->lock);
    while (wait_job(d, &j)) {
        pthread_mutex_unlock(&d->lock);
        struct diskio_done done = {.fetch = j.fetch,
                                   .remember = j.ids != NULL,
                                   .seq = j.seq,
                                   .what = j.what,
                                   .node_id = j.node_id,
                                   .storage_id = j.storage_id};
        bool ok = j.fetch         ? fetch(d, &j, &done.len)
                  : done.remember ? remember(d, &j)
                                  : append(d, &j.batch);
        done.next = j.pos;
        done.refused = !ok;
        pthread_mutex_lock(&d->lock);
        if (j.fetch && !ok) {
            j.not_before_us = clock_us() + FETCH_AGAIN_MS * 1000;
            put_job(d, &j);
            continue;
        }
        assert(d->n_done < QUEUE);
        d->done[(d->done_head + d->n_done++) % QUEUE] = done;
        pthread_mutex_unlock(&d->lock);
        d->wake(d->wake_ctx);
        if (!done.fetch && !done.remember)
            want_spare(d);
        pthread_mutex_lock(&d->lock);
    }
    thread_ends(d);
    return NULL;
}

static void *spare_thread(void *arg)
{
    struct diskio *d = arg;
    char err[WAL_MESSAGE_BYTES];
    uint64_t handled = 0;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->stop && d->spare_wanted == handled)
            pthread_cond_wait(&d->spare_work, &d->lock);
        if (d->stop)
            break;
        uint64_t number = d->spare_wanted;
        pthread_mutex_unlock(&d->lock);
        int rc = wal_make_spare(d->disk, d->dir, number, d->segment_bytes, err, sizeof err);
        if (rc < 0 && !wal_refused(rc))
            refused_running(d->dir, rc, err);
        pthread_mutex_lock(&d->lock);
        if (rc == 0) {
            d->spare_made = handled = number;
        } else if (!d->stop) { /* a batch that needs it says so */
            struct timespec until = in_ms(SPARE_AGAIN_MS);
            (void)pthread_cond_timedwait(&d->spare_work, &d->lock, &until); /* monotonic */
        }
    }
    thread_ends(d);
    return NULL;
}

struct diskio *diskio_start(struct wal *w, const struct disk *disk, const char *dir,
                            uint32_t segment_bytes, size_t max_batch_bytes, void (*wake)(void *ctx),
                            void *ctx)
{
    struct diskio *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->wal = w;
    d->wal_stats = wal_stats(w);
    d->disk = disk;
    d->dir = dir;
    d->segment_bytes = segment_bytes;
    d->wake = wake;
    d->wake_ctx = ctx;
    d->bytes_cap = max_batch_bytes;
    d->bytes = malloc(max_batch_bytes);
    if (d->bytes == NULL)
        goto err_free;
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, &ca);
    pthread_cond_init(&d->spare_work, &ca);
    pthread_cond_init(&d->thread_gone, &ca);
    pthread_condattr_destroy(&ca);
    if (thread_start(&d->log_thread, log_thread, d) < 0)
        goto err_free;
    if (thread_start(&d->spare_thread, spare_thread, d) < 0)
        goto err_join;
    return d;

err_join:
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_broadcast(&d->work);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->log_thread, NULL);
err_free:
    free(d->bytes);
    free(d);
    return NULL;
}

bool diskio_stop(struct diskio *d)
{
    struct timespec until = in_ms(DISKIO_STOP_S * 1000);
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_broadcast(&d->work);
    pthread_cond_broadcast(&d->spare_work);
    while (d->gone < THREADS && rc == 0)
        rc = pthread_cond_timedwait(&d->thread_gone, &d->lock, &until); /* monotonic */
    bool gone = d->gone == THREADS;
    pthread_mutex_unlock(&d->lock);
    if (!gone)
        return false;
    pthread_join(d->log_thread, NULL);
    pthread_join(d->spare_thread, NULL);
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->spare_work);
    pthread_cond_destroy(&d->thread_gone);
    pthread_mutex_destroy(&d->lock);
    free(d->bytes);
    free(d);
    return true;
}

static void queue(struct diskio *d, const struct job *j)
{
    pthread_mutex_lock(&d->lock);
    put_job(d, j);
    pthread_mutex_unlock(&d->lock);
    pthread_cond_signal(&d->work); /* not sooner: it would wake up only to wait for the lock */
}

void diskio_persist(struct diskio *d, uint64_t seq, const struct wal_batch *b)
{
    struct job j = {.seq = seq, .batch = *b};
    size_t at = 0;
    for (int i = 0; i < b->bytes_n; i++) {
        assert(at + b->bytes[i].iov_len <= d->bytes_cap);
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
    queue(d, &(struct job){
                 .fetch = true, .what = what, .pos = *from, .last = last, .buf = buf, .cap = cap});
}

void diskio_remember(struct diskio *d, struct peerids *ids, uint16_t node_id, uint64_t storage_id)
{
    const struct job j = {.ids = ids, .node_id = node_id, .storage_id = storage_id};
    pthread_mutex_lock(&d->lock);
    put_job(d, &j);
    pthread_mutex_unlock(&d->lock);
    pthread_cond_signal(&d->work);
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

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void diskio_stats(struct diskio *d, uint64_t now_us, struct diskio_stats *s)
{
    enum { REFRESH_US = 250000 };
    pthread_mutex_lock(&d->lock);
    uint64_t fsyncs = d->wal_stats.fsyncs;
    bool refresh = fsyncs != d->cached.fsyncs &&
                   (d->cached_at == 0 || now_us - d->cached_at >= REFRESH_US);
    d->cached.fsyncs = fsyncs;
    d->cached.bytes_written = d->wal_stats.bytes_written;
    d->cached.log_bytes = d->wal_stats.log_bytes;
    d->cached.max_us = d->max_us;
    uint32_t sorted[DISKIO_SAMPLES];
    size_t count = 0;
    if (refresh) {
        count = d->n_samples < DISKIO_SAMPLES ? (size_t)d->n_samples : DISKIO_SAMPLES;
        memcpy(sorted, d->samples, count * sizeof sorted[0]);
    }
    pthread_mutex_unlock(&d->lock);
    if (count > 0) {
        qsort(sorted, count, sizeof sorted[0], compare_u32);
        d->cached.p99_us = sorted[count * 99 / 100];
        d->cached_at = now_us;
    }
    *s = d->cached;
}

void diskio_status(struct diskio *d, struct status *s)
{
    struct diskio_stats now;
    diskio_stats(d, s->now_us, &now);
    s->fsyncs = now.fsyncs;
    s->fsync_p99_us = now.p99_us;
    s->fsync_max_us = now.max_us;
    s->disk_bytes = now.bytes_written;
    s->log_bytes = now.log_bytes;
}
