/* readers.c: see readers.h. */
#include "raftd/readers.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "raftd/clients.h"
#include "raftd/clock.h"
#include "raftd/rcu.h"

struct reader {
    pthread_t thread;
    struct ev_loop *loop;
    struct clients *clients;
    ev_async stop;
};

struct readers {
    unsigned n; /* threads that run                                                              */
    struct reader reader[READERS_MAX];
};

static void on_stop(struct ev_loop *loop, ev_async *w, int events)
{
    (void)w;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    rcu_thread_begin();
    ev_run(r->loop, 0);
    rcu_take(r);
    clients_free(r->clients);
    rcu_thread_end();
    return NULL;
}

/* Not by the thread itself: whoever woke it last may still be inside ev_async_send(). */
static void loop_free(struct reader *r)
{
    if (!r->loop)
        return;
    ev_async_stop(r->loop, &r->stop);
    ev_loop_destroy(r->loop);
}

static int reader_init(struct reader *r, struct shared *shared, unsigned number, int listen_fd)
{
    r->loop = ev_loop_new(EVFLAG_NOENV);
    if (!r->loop)
        return -ENOMEM;
    ev_async_init(&r->stop, on_stop);
    ev_async_start(r->loop, &r->stop);
    r->clients = clients_new(r->loop, shared, number, listen_fd);
    return r->clients ? 0 : -ENOMEM;
}

int readers_start(struct readers **out, struct shared *shared, int listen_fd, unsigned n)
{
    assert(n >= 1 && n <= READERS_MAX);
    struct readers *rs = calloc(1, sizeof(*rs));
    if (!rs)
        return -ENOMEM;
    int rc = 0;
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = reader_init(&rs->reader[i], shared, i, listen_fd);
    while (rc == 0 && rs->n < n) {
        rc = thread_start(&rs->reader[rs->n].thread, reader_main, &rs->reader[rs->n]);
        rs->n += rc == 0;
    }
    if (rc == 0) {
        *out = rs;
        return 0;
    }
    for (unsigned i = rs->n; i < n; i++) {
        clients_free(rs->reader[i].clients);
        loop_free(&rs->reader[i]);
    }
    readers_stop(rs);
    return rc;
}

void readers_stop(struct readers *rs)
{
    for (unsigned i = 0; i < rs->n; i++) {
        rcu_give(&rs->reader[i]); /* ev_async_send() orders it; libev is not annotated either */
        ev_async_send(rs->reader[i].loop, &rs->reader[i].stop);
    }
    for (unsigned i = 0; i < rs->n; i++) {
        int rc = pthread_join(rs->reader[i].thread, NULL);
        assert(rc == 0);
        loop_free(&rs->reader[i]);
    }
    free(rs);
}

/* --- the listening socket --------------------------------------------------------------------- */

static int fail(char *err, size_t err_size, const char *path, const char *what, int error)
{
    snprintf(err, err_size, "socket %s: %s%s%s", path, what, error ? ": " : "",
             error ? strerror(error) : "");
    return -1;
}

/* Makes sure that `path` is free: 0, or -1 with err. */
static int make_way(const struct sockaddr_un *addr, char *err, size_t err_size)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        return fail(err, err_size, addr->sun_path, "cannot look at it", errno);
    }
    if (!S_ISSOCK(st.st_mode))
        return fail(err, err_size, addr->sun_path, "exists and is not a socket", 0);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, err_size, addr->sun_path, "cannot make a socket", errno);
    int rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
    int error = rc == 0 ? 0 : errno;
    close(fd);
    if (error != ECONNREFUSED && error != ENOENT) /* EAGAIN: its queue is full, so it lives */
        return error == 0 || error == EAGAIN
                   ? fail(err, err_size, addr->sun_path, "another daemon answers there", 0)
                   : fail(err, err_size, addr->sun_path, "is in use", error);
    if (unlink(addr->sun_path) != 0 && errno != ENOENT)
        return fail(err, err_size, addr->sun_path, "cannot remove the old socket", errno);
    return 0;
}

int clients_listen(const char *path, mode_t mode, char *err, size_t err_size)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path) || *path == '\0')
        return fail(err, err_size, path, "the path is empty or too long", 0);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    if (make_way(&addr, err, err_size) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, err_size, path, "cannot make a socket", errno);
    /* bind() makes the file with the descriptor's mode less the umask: never wider than asked for,
     * not even for a moment, and the umask, which belongs to all threads, stays as it is. */
    const char *step = "cannot set its mode";
    bool bound = false;
    int rc = fchmod(fd, mode);
    if (rc == 0) {
        step = "cannot create it (does the directory exist, and may this user write there?)";
        rc = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
        bound = rc == 0;
    }
    if (rc == 0) {
        step = "cannot set its mode";
        rc = chmod(path, mode);
    }
    if (rc == 0) {
        step = "cannot listen";
        rc = listen(fd, READERS_BACKLOG);
    }
    if (rc == 0)
        return fd;
    int error = errno;
    if (bound)
        unlink(path);
    close(fd);
    return fail(err, err_size, path, step, error);
}
