/* clients_conn.c: see clients_impl.h. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "raftd/clients_impl.h"
#include "raftd/clock.h"

void conn_mark_dirty(struct conn *conn)
{
    if (conn->dirty)
        return;
    conn->dirty = true;
    conn->next_dirty = conn->clients->dirty;
    conn->clients->dirty = conn;
}

void conn_hang_up(struct conn *conn)
{
    conn->hangup = true;
    ev_io_stop(conn->clients->loop, &conn->in);
    conn_mark_dirty(conn);
}

/* The bytes make no sense: there is no way to find the next request. */
void conn_refuse(struct conn *conn, enum result result)
{
    answer_result(conn, 0, result, 0);
    conn_hang_up(conn);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    struct conn *conn = w->data;
    struct clients *c = conn->clients;
    int n = recvmmsg(w->fd, c->msgs, CLIENTS_BATCH, MSG_DONTWAIT, NULL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            conn_hang_up(conn);
        return;
    }
    for (int i = 0; i < n && !conn->hangup; i++) {
        if (c->msgs[i].msg_len == 0)
            conn_hang_up(conn); /* the client has closed */
        else if (c->msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
            conn_refuse(conn, RESULT_BAD);
        for (size_t at = 0; at < c->msgs[i].msg_len && !conn->hangup;)
            at += request_take(conn, c->packets[i] + at, c->msgs[i].msg_len - at);
    }
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    reads_serve_ready(w->data);
    conn_mark_dirty(w->data);
}

void conn_close(struct conn *conn)
{
    struct clients *c = conn->clients;
    requests_drop(conn);
    ev_io_stop(c->loop, &conn->in);
    ev_io_stop(c->loop, &conn->out);
    close(conn->in.fd); /* nothing that could still fail matters to anybody */
    outq_free(&conn->outq);
    c->conns[conn->slot] = NULL;
    c->n_conns--;
    free(conn);
}

/* Sends what waits; stops or resumes reading from the client as its answers go. */
void conn_flush(struct conn *conn)
{
    struct clients *c = conn->clients;
    size_t before = outq_pending(&conn->outq);
    enum outq_state state = outq_flush(&conn->outq, conn->in.fd);
    if (state == OUTQ_BROKEN || conn->hangup) {
        conn_close(conn);
        return;
    }
    if (state == OUTQ_EMPTY) {
        conn->stalled_us = CLIENTS_NEVER;
    } else {
        if (conn->stalled_us == CLIENTS_NEVER || outq_pending(&conn->outq) < before)
            conn->stalled_us = clock_us();
        clients_due_at(c, conn->stalled_us + CLIENTS_STALL_US);
    }
    /* Reads that found the output full go on from on_writable(), one output's worth per iteration,
     * so that other clients get their turn. */
    if (state == OUTQ_BLOCKED || conn->ready.first)
        ev_io_start(c->loop, &conn->out);
    else
        ev_io_stop(c->loop, &conn->out);
    if (output_full(conn))
        ev_io_stop(c->loop, &conn->in);
    else if (!ev_is_active(&conn->in))
        ev_io_start(c->loop, &conn->in);
}

static void conn_new(struct clients *c, int fd)
{
    struct conn *conn = c->n_conns < CLIENTS_CONNS_MAX ? calloc(1, sizeof(*conn)) : NULL;
    if (!conn) {
        uint8_t buf[PROTO_REPLY_HEAD_BYTES];
        size_t len = proto_reply_encode(buf, &(struct proto_reply){.result = RESULT_BUSY});
        ssize_t sent = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent; /* whether it hears it or not, it is gone */
        close(fd);
        return;
    }
    while (c->conns[conn->slot])
        conn->slot++;
    c->conns[conn->slot] = conn;
    c->n_conns++;
    conn->clients = c;
    conn->generation = ++c->generation;
    conn->stalled_us = CLIENTS_NEVER;
    reads_init(&conn->ready);
    ev_io_init(&conn->in, on_readable, fd, EV_READ);
    ev_io_init(&conn->out, on_writable, fd, EV_WRITE);
    conn->in.data = conn->out.data = conn;
    ev_io_start(c->loop, &conn->in);
}

void conn_accept(struct ev_loop *loop, ev_io *w, int events)
{
    (void)events;
    struct clients *c = w->data;
    for (;;) {
        int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(c, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno != EAGAIN) { /* no descriptors or memory: others may give some back */
                ev_io_stop(loop, w);
                c->accept_us = clock_us() + CLIENTS_RETRY_US;
                clients_due_at(c, c->accept_us);
            }
            return;
        }
    }
}
