/* clients.c: see clients.h, and clients_impl.h for how an iteration goes. */
#include "raftd/serve/clients.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"

/* The listening socket may have been made again, under the same descriptor number: polls the new one. */
static void listen_again(struct clients *c)
{
    unsigned listens = atomic_load_explicit(&c->shared->listens, memory_order_acquire);
    if (listens == c->listens)
        return;
    c->listens = listens;
    bool active = ev_is_active(&c->accept);
    ev_io_stop(c->loop, &c->accept);
    ev_io_set(&c->accept, c->accept.fd, EV_READ);
    if (active)
        ev_io_start(c->loop, &c->accept);
}

/* The daemon is about to stop. Nobody can connect any more, and who has is accepted until there is nobody
 * (conn_accept()). */
static void begin_to_end(struct clients *c)
{
    if (c->ends || !atomic_load_explicit(&c->shared->ends, memory_order_acquire))
        return;
    c->ends = true;
    for (unsigned i = 0; i < CLIENTS_SLOTS; i++)
        if (c->conns[i] != NULL)
            conn_last_orders(c->conns[i]);
}

static void note_end(struct clients *c)
{
    unsigned i = 0;
    if (!c->ends || ev_is_active(&c->accept) || ev_is_active(&c->accept_tcp))
        return;
    while (i < CLIENTS_SLOTS && c->conns[i] == NULL)
        i++;
    if (i < CLIENTS_SLOTS || atomic_exchange_explicit(&c->me->ended, true, memory_order_release))
        return;
    c->shared->wake_loop(c->shared->wake_loop_ctx);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
    (void)loop;
    (void)events;
    listen_again(w->data);
    begin_to_end(w->data);
    requests_take_answers(w->data);
    reads_confirm(w->data);
    if (clients_left_out(w->data))
        reads_expire(w->data, NEVER, RESULT_NO_LEADER);
    watches_wake(w->data);
    locks_look(w->data);
    turns_run(w->data);
}

static void on_more(struct ev_loop *loop, ev_async *w, int events)
{
    (void)loop;
    (void)events;
    turns_run(w->data);
    turns_run_lists(w->data);
    rounds_visit(w->data);
}

/* Why reads have waited in vain. With a leader and a full disk it is this node's own fault: it has no room
 * even for the term, or no memory for more entries that it cannot write. */
static enum result why_late(const struct clients *c)
{
    rcu_enter();
    const struct status *s = rcu_get(c->shared->status);
    bool own_fault = s->leader != 0 && s->disk_full;
    rcu_leave();
    return own_fault ? RESULT_DISK_FULL : RESULT_NO_LEADER;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    struct clients *c = w->data;
    uint64_t now = clock_us();
    c->timer_us = c->armed_us = NEVER;
    reads_expire(c, now, why_late(c));
    turns_retry(c);
    locks_look(c);
    held_tell(c);
    if (c->accept_us <= now) {
        c->accept_us = NEVER;
        accept_start(c);
    }
    clients_due_at(c, c->accept_us);
    for (unsigned i = 0; i < CLIENTS_SLOTS; i++)
        if (c->conns[i] != NULL)
            clients_due_at(c, conn_due(c->conns[i], now));
}

static void arm_timer(struct clients *c)
{
    if (c->timer_us == c->armed_us)
        return;
    c->armed_us = c->timer_us;
    uint64_t now = clock_us();
    double after = c->timer_us > now ? (double)(c->timer_us - now) / 1e6 : 0;
    ev_timer_stop(c->loop, &c->timer);
    ev_timer_set(&c->timer, after, 0.);
    ev_timer_start(c->loop, &c->timer);
}

static void flush(struct clients *c)
{
    if (c->ticket != atomic_load_explicit(&c->me->read_want, memory_order_relaxed)) {
        atomic_store_explicit(&c->me->read_want, c->ticket, memory_order_release);
        c->wake_loop = true;
    }
    if (c->wake_loop) {
        c->wake_loop = false;
        c->shared->wake_loop(c->shared->wake_loop_ctx);
    }
    while (!cds_list_empty(&c->dirty)) {
        struct conn *conn = rcu_container(c->dirty.next, struct conn, dirty);
        cds_list_del_init(&conn->dirty);
        conn_flush(conn);
    }
    note_end(c);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)loop;
    (void)events;
    struct clients *c = w->data;
    flush(c);
    arm_timer(c);
    if (!cds_list_empty(&c->turns) || !cds_list_empty(&c->lists) || !cds_list_empty(&c->rounds))
        ev_async_send(c->loop, &c->more); /* the loop does not sleep */
}

static void wake(void *ctx)
{
    struct clients *c = ctx;
    ev_async_send(c->loop, &c->wake);
}

unsigned clients_set_limits(struct shared *shared, unsigned files)
{
    size_t *limit = shared->users.limit;
    unsigned n = shared->n_readers, guests = files / n / 8;
    shared->n_guests = guests < CLIENTS_GUESTS_MAX ? guests : CLIENTS_GUESTS_MAX;
    unsigned over = n * 2 * shared->n_guests, conns = files > over ? files - over : 0;
    if (conns > n * CLIENTS_CONNS_MAX)
        conns = n * CLIENTS_CONNS_MAX;
    limit[USERS_CONNS] = conns;
    limit[USERS_READS] = CLIENTS_READS_MAX;
    limit[USERS_WRITES] = CLIENTS_WRITES_MAX;
    limit[USERS_WRITE_BYTES] = CLIENTS_WRITES_MAX_BYTES;
    limit[USERS_PART_BYTES] = CLIENTS_PARTS_MAX_BYTES;
    limit[USERS_OUT_BYTES] = CLIENTS_OUT_ALL_BYTES;
    limit[USERS_TOLD_BYTES] = CLIENTS_TOLD_ALL_BYTES;
    return conns;
}

bool clients_may_tell(struct shared *shared, struct request *req, size_t bytes)
{
    if (bytes <= CLIENTS_TOLD_OWN_BYTES)
        return true;
    if (!users_take(&shared->users, req->user, USERS_TOLD_BYTES, bytes))
        return false;
    req->told_bytes = bytes;
    return true;
}

struct clients *clients_new(struct ev_loop *loop, struct shared *shared, unsigned reader,
                            int listen_fd)
{
    assert(reader < READERS_MAX);
    struct clients *c = malloc(sizeof *c);
    if (c == NULL)
        return NULL;
    memset(c, 0, offsetof(struct clients, argv));
    c->loop = loop;
    c->shared = shared;
    c->me = &shared->readers[reader];
    c->reader = reader;
    c->listens = atomic_load_explicit(&shared->listens, memory_order_relaxed);
    c->timer_us = c->armed_us = c->accept_us = NEVER;
    c->ticket = atomic_load_explicit(&c->me->read_want, memory_order_relaxed);
    struct cds_list_head *const lists[] = {&c->parked, &c->turns,    &c->lists, &c->starved,
                                           &c->dirty,  &c->watching, &c->locks, &c->gone,
                                           &c->held,   &c->rounds};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        CDS_INIT_LIST_HEAD(lists[i]);
    ev_io_init(&c->accept, conn_accept, listen_fd, EV_READ);
    ev_io_init(&c->accept_tcp, conn_accept, shared->tcp_fd, EV_READ);
    ev_async_init(&c->wake, on_wake);
    ev_async_init(&c->more, on_more);
    ev_prepare_init(&c->prepare, on_prepare);
    ev_timer_init(&c->timer, on_timer, 0., 0.);
    c->accept.data = c->accept_tcp.data = c->wake.data = c->more.data = c->prepare.data =
        c->timer.data = c;
    accept_start(c);
    ev_async_start(loop, &c->wake);
    ev_async_start(loop, &c->more);
    ev_prepare_start(loop, &c->prepare);
    c->me->wake_ctx = c;
    c->me->wake = wake;
    return c;
}

void clients_free(struct clients *c)
{
    if (c == NULL)
        return;
    c->me->wake = NULL;
    requests_take_answers(c);
    reads_confirm(c);
    queues_stop(c);
    flush(c);
    for (unsigned i = 0; i < CLIENTS_SLOTS; i++)
        if (c->conns[i] != NULL)
            conn_close(c->conns[i]);
    locks_free(c);
    rounds_free(c);
    accept_stop(c);
    ev_async_stop(c->loop, &c->wake);
    ev_async_stop(c->loop, &c->more);
    ev_prepare_stop(c->loop, &c->prepare);
    ev_timer_stop(c->loop, &c->timer);
    free(c);
}
