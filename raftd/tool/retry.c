/* retry.c: see retry.h. What is watched is the nearest directory on the way to the socket that is there. */
#include "raftd/tool/retry.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "raftd/base/num.h"
#include "raftd/conf.h"

enum {
    MS = 1000000,      /* in nanoseconds */
    AGAIN_MS = 200,    /* a daemon is there, and takes nobody now: no name tells when it does */
    FIRST_MS = 5,      /* between the socket's name and the first connection that it takes */
    SETTLED_MS = 1000, /* the daemon has made all that it makes by then */
    BLIND_MS = 1000,   /* where nothing can be watched */
    /* A name may come without a word: through a link that leads nowhere yet, or by a mount. */
    UNTOLD_MS = 30000,
};

/* Watches a directory; its path ends before `end`. Returns its number, or -1 with errno. */
static int watch(const struct retry *r, const char *path, size_t end)
{
    char directory[CONF_SOCKET_SIZE] = ".";
    if (end > 0)
        (void)snprintf(directory, sizeof directory, "%.*s", (int)end, path);
    return inotify_add_watch(r->fd, directory,
                             IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                 IN_ONLYDIR);
}

/* Sees to it that the right directory is watched. True: it is another one than before, in which the name may
 * have come just before that. */
static bool watch_nearest(struct retry *r, const char *path)
{
    int before = r->directory, now = -1;
    size_t len = strlen(path), end;
    do {
        for (end = len; end > 0 && path[end - 1] != '/'; end--)
            ;
        r->name = path + end;
        r->name_len = len - end;
        while (end > 1 && path[end - 1] == '/')
            end--;
        now = watch(r, path, end);
        len = end;
    } while (now < 0 && errno == ENOENT && len > 0);
    if (before >= 0 && before != now)
        (void)inotify_rm_watch(r->fd, before); /* it is gone already if its directory is */
    r->directory = now;
    return now >= 0 && now != before;
}

void retry_missed(struct retry *r, const char *path, enum ctl_outcome outcome)
{
    int error = errno;
    uint64_t pause_ms = AGAIN_MS;
    bool took = error == EPIPE || error == ECONNRESET; /* us, and no word: so it is there */
    if (outcome == CTL_NOT_RUNNING && !took) {
        bool first = r->fd < 0;
        if (first)
            r->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (first)
            r->pause_ms = FIRST_MS;
        pause_ms = r->pause_ms;
        r->pause_ms = (uint32_t)min_u64(2 * pause_ms, UNTOLD_MS);
        if (r->fd >= 0 && watch_nearest(r, path))
            pause_ms = 0;
        else if (r->fd < 0 || r->directory < 0)
            pause_ms = BLIND_MS;
    }
    r->at_ns = ctl_now_ns() + pause_ms * MS;
    errno = error;
}

/* This event is about the name that is awaited, or about the directory itself. */
static bool concerns(const struct retry *r, const struct inotify_event *e)
{
    if ((e->mask & IN_Q_OVERFLOW) != 0)
        return true;
    bool named = e->len == 0 ||
                 (strlen(e->name) == r->name_len && memcmp(e->name, r->name, r->name_len) == 0);
    return named && e->wd == r->directory;
}

static bool has_changed(const struct retry *r)
{
    _Alignas(struct inotify_event) char buf[4096];
    bool changed = false;
    ssize_t n;
    while (r->fd >= 0 && (n = read(r->fd, buf, sizeof buf)) > 0) {
        const struct inotify_event *e;
        for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof *e + e->len)) {
            e = (const struct inotify_event *)(const void *)(buf + at);
            changed |= concerns(r, e);
        }
    }
    return changed;
}

bool retry_due(struct retry *r)
{
    if (has_changed(r)) {
        r->told = true;
        r->at_ns = 0;
        r->pause_ms = FIRST_MS;
    }
    return ctl_now_ns() >= r->at_ns;
}

void retry_wait(struct retry *r, uint64_t deadline_ns)
{
    uint64_t now_ns;
    while (!retry_due(r) && (now_ns = ctl_now_ns()) < deadline_ns) {
        uint64_t ms = (min_u64(r->at_ns, deadline_ns) - now_ns) / MS + 1;
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        (void)poll(&p, 1, (int)min_u64(ms, INT_MAX));
    }
}

bool retry_settles(const struct retry *r)
{
    return r->told && r->pause_ms <= SETTLED_MS;
}

void retry_end(struct retry *r)
{
    if (r->fd >= 0)
        close(r->fd);
    *r = RETRY_NOW;
}
