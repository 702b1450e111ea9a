/* status_file.c: see status_file.h. */
#include "raftd/status_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/lasting.h"
#include "raftd/base/num.h"
#include "raftd/base/rcu.h"
#include "raftd/base/replace.h"
#include "raftd/base/say.h"
#include "raftd/serve/status_text.h"

struct status_file {
    const struct shared *shared;
    char path[CONF_DATA_DIR_SIZE];
    mode_t mode;
    uint64_t every_us;
    pthread_cond_t turn;  /* the thread has something to do; or what it did is over */
    pthread_mutex_t lock; /* all below; held for a few instructions only */
    bool changed, news;   /* since the status was last read */
    bool reads;           /* the thread looks at `shared` */
    bool stop;
    bool left; /* the thread or the loop is done with it: the other one frees it */
};

void status_file_path(const struct conf *conf, char path[CONF_DATA_DIR_SIZE])
{
    const char *dir = getenv("RUNTIME_DIRECTORY");
    int len = dir != NULL ? (int)min_u64(strcspn(dir, ":"), CONF_DATA_DIR_SIZE) : 0;
    if (conf->status_file[0] != '\0')
        memcpy(path, conf->status_file, CONF_DATA_DIR_SIZE);
    else if (len == 0 || dir[0] != '/' ||
             snprintf(path, CONF_DATA_DIR_SIZE, "%.*s/status", len, dir) >= CONF_DATA_DIR_SIZE)
        path[0] = '\0';
}

/* Unlocks. */
static void leave(struct status_file *f)
{
    bool last = f->left;
    f->left = true;
    pthread_cond_broadcast(&f->turn);
    pthread_mutex_unlock(&f->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->turn);
    free(f);
}

/* Waits for a change of `turn`, for so long at most. */
static void wait_turn(struct status_file *f, uint64_t us)
{
    struct timespec until;
    if (us == NEVER) {
        (void)pthread_cond_wait(&f->turn, &f->lock);
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    us += (uint64_t)until.tv_nsec / 1000;
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec = (long)(us % 1000000 * 1000);
    (void)pthread_cond_timedwait(&f->turn, &f->lock, &until);
}

/* The status as text, to be freed. NULL without memory. Never waits. */
static char *print(const struct shared *shared, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (out == NULL)
        return NULL;
    rcu_enter();
    status_print(out, rcu_get(shared->status), clock_us(), false);
    rcu_leave();
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* Returns whether it is written. */
static bool write_text(const struct status_file *f, const char *text, size_t len,
                       struct lasting *fails)
{
    int rc = text != NULL ? replace_file(f->path, f->mode, text, len) : -ENOMEM;
    uint64_t now = clock_us();
    if (rc != 0 && lasting_is(fails, 0, now))
        say_warn("the status file %s cannot be written: %s. It is tried again and again; who reads "
                 "it sees an old state or none: make room, have its directory belong to raftd's "
                 "user, or name another file",
                 f->path, replace_error(rc));
    if (rc == 0 && lasting_over(fails, now) > 0)
        say_info("the status file %s is written again", f->path);
    return rc == 0;
}

static void *run(void *arg)
{
    struct status_file *f = arg;
    struct lasting fails = {0};
    uint64_t written_us = 0;
    bool is_ours = false; /* the file that is there */
    rcu_thread_begin();
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        uint64_t now = clock_us(),
                 due = f->news || written_us == 0 ? now : written_us + f->every_us;
        if (!f->changed || due > now) {
            wait_turn(f, f->changed ? due - now : NEVER);
            continue;
        }
        size_t len = 0;
        written_us = now;
        f->changed = f->news = false;
        f->reads = true;
        pthread_mutex_unlock(&f->lock);
        char *text = print(f->shared, &len);
        pthread_mutex_lock(&f->lock);
        f->reads = false;
        pthread_cond_broadcast(&f->turn);
        pthread_mutex_unlock(&f->lock);
        bool written = write_text(f, text, len, &fails);
        free(text);
        is_ours |= written;
        pthread_mutex_lock(&f->lock);
        f->changed |= !written; /* so it is tried again, though nothing else may change */
    }
    pthread_mutex_unlock(&f->lock);
    if (is_ours)
        (void)unlink(f->path);
    rcu_thread_end();
    pthread_mutex_lock(&f->lock);
    leave(f);
    return NULL;
}

struct status_file *status_file_start(const struct shared *shared, const char *path,
                                      mode_t socket_mode, unsigned every_ms)
{
    struct status_file *f = calloc(1, sizeof *f);
    pthread_condattr_t attr;
    pthread_t thread;
    if (f == NULL)
        return NULL;
    f->shared = shared;
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    f->mode = socket_mode & 0444;
    f->every_us = (uint64_t)every_ms * 1000;
    f->changed = true;
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->turn, &attr);
    pthread_condattr_destroy(&attr);
    if (thread_start(&thread, run, f) != 0) {
        free(f);
        return NULL;
    }
    (void)pthread_detach(thread);
    return f;
}

void status_file_changed(struct status_file *f, bool news)
{
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    bool wake = !f->changed || (news && !f->news);
    f->changed = true;
    f->news |= news;
    if (wake)
        pthread_cond_broadcast(&f->turn);
    pthread_mutex_unlock(&f->lock);
}

void status_file_stop(struct status_file *f)
{
    if (f == NULL)
        return;
    uint64_t until = clock_us() + STATUS_FILE_STOP_MS * 1000;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->turn);
    for (uint64_t now = clock_us(); f->reads || (!f->left && now < until); now = clock_us())
        wait_turn(f, f->reads ? NEVER : until - now);
    leave(f);
}
