/* clients_turn.c: see clients_impl.h. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"

static struct conn *pop(struct cds_list_head *queue)
{
    struct conn *conn = rcu_container(queue->next, struct conn, turn);
    cds_list_del_init(&conn->turn);
    return conn;
}

void turn_wait(struct conn *conn)
{
    struct clients *c = conn->clients;
    struct cds_list_head *queue = &c->turns;
    if (!cds_list_empty(&conn->turn))
        return;
    if (conn->blocked == BLOCKED_LIST)
        queue = &c->lists;
    if (conn->blocked == BLOCKED_ROOM) {
        queue = &c->starved;
        clients_due_at(c, clock_us() + CLIENTS_ROOM_US);
    }
    cds_list_add_tail(&conn->turn, queue);
}

static bool goes_on(const struct conn *conn)
{
    return conn->clients->work > 0 && conn->blocked == BLOCKED_NOT && !conn->hangup &&
           !output_full(conn);
}

/* Takes requests from buf as long as the turn lasts. Returns how many bytes they had. */
static size_t take(struct conn *conn, const uint8_t *buf, size_t len)
{
    size_t at = 0;
    while (at < len && !conn->ended && goes_on(conn))
        at += request_take(conn, buf + at, len - at);
    return conn->ended ? len : at;
}

static void rest_free(struct conn *conn)
{
    free(conn->rest);
    conn->rest = NULL;
}

/* Keeps the requests that the turn was too short for. */
static void keep(struct conn *conn, const uint8_t *buf, size_t len)
{
    conn->rest = malloc(len);
    if (conn->rest == NULL) {
        conn_refuse(conn, RESULT_BUSY);
        return;
    }
    memcpy(conn->rest, buf, len);
    conn->rest_at = 0;
    conn->rest_len = len;
}

bool conn_is_there(const struct conn *conn)
{
    struct pollfd p = {.fd = conn->in.fd};
    return poll(&p, 1, 0) == 0;
}

/* The client has closed its sending side, or all of the connection. */
static void on_end(struct conn *conn)
{
    if (!conn_is_there(conn)) {
        conn_hang_up(conn);
        return;
    }
    if (conn->part_left > 0)
        answer_result(conn, conn->part_tag, conn->clients->ends ? RESULT_BUSY : RESULT_BAD, 0);
    conn_end(conn);
}

/* Receives a packet and takes its requests. False when there is none. */
static bool receive(struct conn *conn)
{
    struct clients *c = conn->clients;
    ssize_t n = recv(conn->in.fd, c->packet, sizeof c->packet, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            conn_hang_up(conn);
        return false;
    }
    size_t len = (size_t)n;
    c->work -= 1 + (int)(len / CLIENTS_WORK_BYTES);
    if (len == 0) {
        on_end(conn);
    } else if (len > sizeof c->packet) {
        conn_refuse(conn, RESULT_BAD);
    } else {
        size_t taken = take(conn, c->packet, len);
        if (taken < len && !conn->hangup)
            keep(conn, c->packet + taken, len - taken);
    }
    return true;
}

static void turn(struct conn *conn)
{
    struct clients *c = conn->clients;
    c->work = CLIENTS_TURN_WORK;
    conn->blocked = BLOCKED_NOT;
    while (goes_on(conn)) {
        if (!cds_list_empty(&conn->ready)) {
            read_serve(conn);
        } else if (conn->rest != NULL && !conn->ended) {
            conn->rest_at += take(conn, conn->rest + conn->rest_at, conn->rest_len - conn->rest_at);
            if (conn->ended || conn->rest_at == conn->rest_len)
                rest_free(conn);
        } else if (conn->ended || !receive(conn)) {
            break;
        }
    }
    conn_mark_dirty(conn); /* conn_flush() sees whether it needs another turn */
}

void turns_run(struct clients *c)
{
    struct conn *conn;
    while ((conn = read_confirmed(c)) != NULL)
        turn_wait(conn);
    /* It ends: a connection that needs another turn waits for conn_flush(), and so for the next iteration. */
    while (!cds_list_empty(&c->turns))
        turn(pop(&c->turns));
}

void turns_run_lists(struct clients *c)
{
    c->list_work = CLIENTS_LISTS_WORK;
    while (!cds_list_empty(&c->lists) && c->list_work > 0)
        turn(pop(&c->lists));
    c->list_work = 0;
}

void turns_retry(struct clients *c)
{
    while (!cds_list_empty(&c->starved)) {
        struct conn *conn = pop(&c->starved);
        conn->blocked = BLOCKED_NOT;
        turn_wait(conn);
    }
}

void turn_on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    turn(w->data);
}
