/* readers.c: see readers.h. */
#include "raftd/serve/readers.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "raftd/serve/clients.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"

struct reader {
    pthread_t thread;
    struct ev_loop *loop;
    struct clients *clients;
    ev_async stop;
};

struct readers {
    unsigned n; /* threads that run */
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
    rcu_give(r->clients);
    rcu_thread_end();
    return NULL;
}

/* The thread cannot do this itself: another one that woke it last may still be inside ev_async_send(). */
static void reader_free(struct reader *r)
{
    clients_free(r->clients);
    if (r->loop == NULL)
        return;
    ev_async_stop(r->loop, &r->stop);
    ev_loop_destroy(r->loop);
}

static int reader_init(struct reader *r, struct shared *shared, unsigned number, int listen_fd)
{
    r->loop = ev_loop_new(EVFLAG_NOENV);
    if (r->loop == NULL)
        return -ENOMEM;
    ev_async_init(&r->stop, on_stop);
    ev_async_start(r->loop, &r->stop);
    r->clients = clients_new(r->loop, shared, number, listen_fd);
    return r->clients != NULL ? 0 : -ENOMEM;
}

int readers_start(struct readers **out, struct shared *shared, int listen_fd, unsigned n)
{
    assert(n >= 1 && n <= READERS_MAX);
    struct readers *rs = calloc(1, sizeof *rs);
    if (rs == NULL)
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
    }
    for (unsigned i = 0; i < READERS_MAX; i++) {
        rcu_take(rs->reader[i].clients);
        reader_free(&rs->reader[i]);
    }
    free(rs);
}
