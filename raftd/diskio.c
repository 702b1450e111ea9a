#include "raftd/diskio.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "raftd/clock.h"
#include "raftd/exits.h"
#include "raftd/say.h"

enum { QUEUE = DISKIO_BATCHES + DISKIO_FETCHES };

struct job {
    bool fetch;
    uint64_t seq;
    struct wal_batch batch; /* its bytes lie in diskio.bytes */
    unsigned what;
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
    pthread_cond_t work, spare_work;
    bool stop;
    struct job jobs[QUEUE];
    unsigned head, n_jobs;
    struct diskio_done done[QUEUE];
    unsigned done_head, n_done;
    uint64_t spare_wanted; /* segment number, 0 = none */
    uint64_t spare_made;
    uint32_t samples[DISKIO_SAMPLES]; /* microseconds */
    uint64_t n_samples;
    uint64_t max_us;
    struct wal_stats wal_stats;
    bool full;

    struct diskio_stats cached; /* the loop's */
    uint64_t cached_at;
};

/* Waits a while, or until told to stop. */
static void wait_ms(struct diskio *d, pthread_cond_t *cond, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&d->lock);
    if (!d->stop)
        (void)pthread_cond_timedwait(cond, &d->lock, &until);
    pthread_mutex_unlock(&d->lock);
}

static bool stopping(struct diskio *d)
{
    pthread_mutex_lock(&d->lock);
    bool stop = d->stop;
    pthread_mutex_unlock(&d->lock);
    return stop;
}

/* False only when told to stop while the disk is full. */
static bool append(struct diskio *d, const struct wal_batch *b)
{
    struct say_limit limit = {0};
    for (;;) {
        uint64_t start = clock_us();
        int rc = wal_append(d->wal, b);
        if (rc == 0) {
            uint64_t took = clock_us() - start;
            pthread_mutex_lock(&d->lock);
            d->samples[d->n_samples++ % DISKIO_SAMPLES] = took < UINT32_MAX ? (uint32_t)took
                                                                            : UINT32_MAX;
            if (took > d->max_us)
                d->max_us = took;
            d->wal_stats = wal_stats(d->wal);
            d->full = false;
            pthread_mutex_unlock(&d->lock);
            return true;
        }
        if (!wal_refused(rc))
            say_fatal(RAFTD_EXIT_DISK,
                      "the disk failed: %s; stopping, since nobody knows what of "
                      "the last write is on it",
                      wal_error(d->wal));
        uint32_t dropped;
        if (say_allowed(&limit, clock_us(), &dropped))
            say_warn("no room for the log: %s; writes wait until there is", wal_error(d->wal));
        pthread_mutex_lock(&d->lock);
        d->full = true;
        pthread_mutex_unlock(&d->lock);
        d->wake(d->wake_ctx);
        if (stopping(d))
            return false;
        wait_ms(d, &d->work, DISKIO_FULL_RETRY_MS);
    }
}

static size_t fetch(struct diskio *d, struct job *j)
{
    ssize_t len = wal_read(d->wal, &j->pos, j->last, j->buf, j->cap);
    if (len < 0)
        say_fatal(len == -EBADMSG ? RAFTD_EXIT_CORRUPT : RAFTD_EXIT_DISK,
                  "reading the log failed: %s", wal_error(d->wal));
    return (size_t)len;
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

static void *log_thread(void *arg)
{
    struct diskio *d = arg;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->stop && d->n_jobs == 0)
            pthread_cond_wait(&d->work, &d->lock);
        if (d->stop)
            break;
        struct job *j = &d->jobs[d->head]; /* stays ours: it leaves the queue when done */
        pthread_mutex_unlock(&d->lock);

        struct diskio_done done = {.fetch = j->fetch, .seq = j->seq, .what = j->what};
        bool ok = true;
        if (j->fetch) {
            done.len = fetch(d, j);
            done.next = j->pos;
        } else {
            ok = append(d, &j->batch);
        }
        if (!ok)
            return NULL;
        pthread_mutex_lock(&d->lock);
        d->head = (d->head + 1) % QUEUE;
        d->n_jobs--;
        assert(d->n_done < QUEUE);
        d->done[(d->done_head + d->n_done++) % QUEUE] = done;
        pthread_mutex_unlock(&d->lock);
        d->wake(d->wake_ctx);
        if (!done.fetch)
            want_spare(d);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
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
        if (wal_refused(rc)) {
            wait_ms(d, &d->spare_work, DISKIO_FULL_RETRY_MS);
        } else if (rc < 0) {
            say_fatal(RAFTD_EXIT_DISK, "the disk failed: %s", err);
        } else {
            handled = number;
        }
        pthread_mutex_lock(&d->lock);
        if (rc == 0)
            d->spare_made = number;
    }
    pthread_mutex_unlock(&d->lock);
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
    struct timespec until;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_broadcast(&d->work);
    pthread_cond_broadcast(&d->spare_work);
    pthread_mutex_unlock(&d->lock);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DISKIO_STOP_S;
    if (pthread_timedjoin_np(d->log_thread, NULL, &until) != 0 ||
        pthread_timedjoin_np(d->spare_thread, NULL, &until) != 0)
        return false;
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->spare_work);
    pthread_mutex_destroy(&d->lock);
    free(d->bytes);
    free(d);
    return true;
}

static struct job *new_job(struct diskio *d)
{
    assert(d->n_jobs < QUEUE);
    struct job *j = &d->jobs[(d->head + d->n_jobs++) % QUEUE];
    memset(j, 0, sizeof *j);
    return j;
}

void diskio_persist(struct diskio *d, uint64_t seq, const struct wal_batch *b)
{
    size_t at = 0;
    for (int i = 0; i < b->bytes_n; i++) {
        assert(at + b->bytes[i].iov_len <= d->bytes_cap);
        memcpy(d->bytes + at, b->bytes[i].iov_base, b->bytes[i].iov_len);
        at += b->bytes[i].iov_len;
    }
    pthread_mutex_lock(&d->lock);
    struct job *j = new_job(d);
    j->seq = seq;
    j->batch = *b;
    j->batch.bytes[0] = (struct iovec){.iov_base = d->bytes, .iov_len = at};
    j->batch.bytes_n = at > 0 ? 1 : 0;
    pthread_mutex_unlock(&d->lock);
    pthread_cond_signal(&d->work); /* not sooner: it would wake up only to wait for the lock */
}

void diskio_fetch(struct diskio *d, unsigned what, const struct wal_pos *from, uint64_t last,
                  uint8_t *buf, size_t cap)
{
    assert(what < DISKIO_FETCHES);
    pthread_mutex_lock(&d->lock);
    struct job *j = new_job(d);
    j->fetch = true;
    j->what = what;
    j->pos = *from;
    j->last = last;
    j->buf = buf;
    j->cap = cap;
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
    d->cached.max_us = d->max_us;
    d->cached.full = d->full;
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
