/* clients_conn.c: see clients_impl.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/serve/listener.h"
#include "raftd/base/clock.h"

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    conn_mark_dirty(w->data);
}

void accept_start(struct clients *c)
{
    ev_io_start(c->loop, &c->accept);
    if (c->accept_tcp.fd >= 0)
        ev_io_start(c->loop, &c->accept_tcp);
}

void accept_stop(struct clients *c)
{
    ev_io_stop(c->loop, &c->accept);
    ev_io_stop(c->loop, &c->accept_tcp);
}

/* A connection of this user ends, so another one may be accepted. */
static void leave(struct clients *c, struct user *user)
{
    users_give(&c->shared->users, user, USERS_CONNS, 1);
    if (c->accept_us == NEVER)
        accept_start(c);
}

void conn_close(struct conn *conn)
{
    struct clients *c = conn->clients;
    lock_close(conn);
    queue_drop(conn);
    multi_end(conn);
    watch_end(conn);
    ev_io_stop(c->loop, &conn->in);
    ev_io_stop(c->loop, &conn->out);
    close_gently(conn->in.fd);
    free(conn->answers.buf);
    conn->answers.cap = 0;
    output_give(conn);
    rest_free(conn);
    cds_list_del(&conn->turn);
    c->conns[conn->slot] = NULL;
    if (conn->user != NULL) {
        c->n_conns--;
        leave(c, conn->user);
    } else if (!conn->ended) {
        c->n_guests--;
    }
    free(conn);
}

/* While a command is coming in, it has to come on. */
static void watch_part(struct conn *conn)
{
    bool begun = conn->unfinished && (conn->rest != NULL || conn->come.left > 0);
    if (!begun || !turn_receives(conn)) {
        conn->part_us = NEVER;
    } else if (conn->part_us == NEVER) {
        conn->part_us = clock_us() + CLIENTS_PART_US;
        clients_due_at(conn->clients, conn->part_us);
    }
}

/* Sends what waits, and reads more of the client only if it takes its answers. */
void conn_flush(struct conn *conn)
{
    struct clients *c = conn->clients;
    if (conn->ended && conn->ops == 0 && conn->last_word != NULL) {
        answer_error(conn, conn->last_word);
        conn->last_word = NULL;
        cds_list_del_init(&conn->dirty);
    }
    size_t before = output_pending(conn);
    enum output_state state = output_send(conn);
    bool done = conn->ended && conn->ops == 0 && (state == OUTPUT_EMPTY || conn->user == NULL);
    if (state == OUTPUT_BROKEN || conn->hangup || done) {
        conn_close(conn);
        return;
    }
    if (state == OUTPUT_EMPTY) {
        conn->stalled_us = NEVER;
    } else {
        if (conn->stalled_us == NEVER || output_pending(conn) < before)
            conn->stalled_us = clock_us();
        clients_due_at(c, conn->stalled_us + CLIENTS_STALL_US);
    }
    output_give(conn);
    bool full = output_full(conn);
    if (!full && (turn_wanted(conn) || watch_wanted(conn)))
        turn_wait(conn);
    if (state == OUTPUT_BLOCKED)
        ev_io_start(c->loop, &conn->out);
    else
        ev_io_stop(c->loop, &conn->out);
    watch_part(conn);
    if (full || !turn_receives(conn)) {
        ev_io_stop(c->loop, &conn->in);
        clients_due_at(c, clock_us() + CLIENTS_LEFT_US); /* it may leave unseen */
    } else {
        ev_io_start(c->loop, &conn->in);
    }
}

uint64_t conn_due(struct conn *conn, uint64_t now)
{
    uint64_t stalled = NEVER;
    bool deaf = !ev_is_active(&conn->in);
    if (conn->stalled_us != NEVER)
        stalled = conn->stalled_us + CLIENTS_STALL_US;
    if (stalled <= now || (deaf && !conn_is_there(conn)))
        conn_hang_up(conn);
    else if (!conn->ended && conn->part_us <= now)
        conn_refuse(conn, "ERR the command did not come on: its connection ends");
    else if (!conn->ended && conn->guest_us <= now)
        conn_refuse(conn, result_text(conn->clients, RESULT_BUSY, false));
    else if (!conn->ended && conn->stranger_us <= now)
        conn_refuse(conn, "NOAUTH the password did not come: its connection ends");
    uint64_t left = min_u64(conn->guest_us, conn->stranger_us);
    if (deaf || conn->ended)
        left = now + CLIENTS_LEFT_US;
    return min_u64(min_u64(left, stalled), conn->part_us);
}

/* Turns away the guest that has been here longest. */
static void send_guest_away(struct clients *c)
{
    struct conn *oldest = NULL;
    for (unsigned i = 0; i < CLIENTS_SLOTS; i++) {
        struct conn *conn = c->conns[i];
        if (conn != NULL && conn->user == NULL && !conn->ended &&
            (oldest == NULL || conn->guest_us < oldest->guest_us))
            oldest = conn;
    }
    if (oldest != NULL)
        conn_refuse(oldest, result_text(c, RESULT_BUSY, false));
}

/* The kernel refuses what the client sends, and gives us what it has before it says that this is the end: so
 * no request is taken without an answer, and the client knows which ones were. */
void conn_last_orders(struct conn *conn)
{
    (void)shutdown(conn->in.fd, SHUT_RD);
}

static void conn_new(struct clients *c, int fd, struct user *user, bool tcp)
{
    struct conn *conn = NULL;
    tally_add(&c->me->tally.connections);
    if (user == NULL)
        tally_add(&c->me->tally.refused);
    if (user == NULL && c->n_guests >= c->shared->n_guests)
        send_guest_away(c);
    if (user != NULL || c->n_guests < c->shared->n_guests)
        conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        turn_away(fd, result_text(c, RESULT_BUSY, false));
        if (user != NULL)
            leave(c, user);
        return;
    }
    while (c->conns[conn->slot] != NULL)
        conn->slot++;
    c->conns[conn->slot] = conn;
    conn->clients = c;
    conn->user = user;
    conn->guest_us = NEVER;
    if (user != NULL) {
        c->n_conns++;
    } else {
        c->n_guests++;
        conn->guest_us = clock_us() + CLIENTS_GUEST_US;
        clients_due_at(c, conn->guest_us);
    }
    conn->generation = ++c->generation;
    conn->talker = (struct talker){
        .calls = &clients_talker_calls, .shared = c->shared, .id = conn_id(c, conn->generation)};
    conn->tcp = tcp;
    conn->since_us = conn->heard_us = clock_us();
    conn_greet(conn);
    conn->answers.version = 2;
    conn->come.arg_max_bytes = c->shared->max_value_bytes;
    conn->come.args_max_bytes = CMD_MAX_BYTES;
    conn->stalled_us = conn->part_us = NEVER;
    struct cds_list_head *const lists[] = {&conn->pending, &conn->calls, &conn->watched,
                                           &conn->turn, &conn->dirty};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        CDS_INIT_LIST_HEAD(lists[i]);
    const int on = 1;
    if (tcp) /* what is sent is whole */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ev_io_init(&conn->in, turn_on_readable, fd, EV_READ);
    ev_io_init(&conn->out, on_writable, fd, EV_WRITE);
    conn->in.data = conn->out.data = conn;
    ev_io_start(c->loop, &conn->in);
    if (c->ends)
        conn_last_orders(conn);
}

void conn_accept(struct ev_loop *loop, ev_io *w, int events)
{
    (void)events;
    struct clients *c = w->data;
    struct users *users = &c->shared->users;
    for (unsigned taken = 0; taken < CLIENTS_ACCEPT_MAX; taken++) {
        /* This instance is full, and another one has room. When all are full, this one accepts on, to turn
         * clients away. */
        bool full = c->n_conns >= CLIENTS_CONNS_MAX;
        if (full && users_room(users, USERS_CONNS)) {
            accept_stop(c);
            return;
        }
        int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(c, fd, full ? NULL : users_enter(users, fd), w == &c->accept_tcp);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (c->ends) {
                ev_io_stop(loop, w); /* that was the last client */
            } else if (errno != EAGAIN) {
                /* No descriptors or memory: try again when some were given back. */
                accept_stop(c);
                c->accept_us = clock_us() + CLIENTS_RETRY_US;
                clients_due_at(c, c->accept_us);
            }
            return;
        }
    }
}
