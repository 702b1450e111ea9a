/* clients_turn.c: see clients_impl.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"

enum { REST_BYTES = 4096 }; /* at least so much room for the rest of a command */

static struct conn *pop(struct cds_list_head *queue)
{
    struct conn *conn = rcu_container(queue->next, struct conn, turn);
    cds_list_del_init(&conn->turn);
    return conn;
}

static bool goes_on(const struct conn *conn)
{
    return conn->clients->work > 0 && conn->blocked != BLOCKED_LIST &&
           conn->blocked != BLOCKED_ROOM && !conn->hangup && !output_full(conn);
}

/* More commands may be taken. */
static bool takes(const struct conn *conn)
{
    return !conn->ended && conn->ops < CLIENTS_CONN_OPS_MAX &&
           !(conn->blocked == BLOCKED_ORDER && conn->ops > 0);
}

bool turn_wanted(const struct conn *conn)
{
    return queue_ready(conn) || (conn->rest != NULL && !conn->unfinished && takes(conn));
}

bool turn_receives(const struct conn *conn)
{
    return takes(conn) && (conn->rest == NULL || conn->unfinished);
}

/* --- what was received -------------------------------------------------------------------------- */

/* Takes a share for so many bytes of memory, or gives back what is over it. */
static bool in_share(struct conn *conn, size_t bytes)
{
    struct users *users = &conn->clients->shared->users;
    size_t need = bytes > CLIENTS_RECEIVE_BYTES ? bytes : 0;
    if (need > conn->in_bytes) {
        if (conn->user == NULL || !conn->talker.authenticated ||
            !users_take(users, conn->user, USERS_PART_BYTES, need - conn->in_bytes))
            return false;
    } else if (need < conn->in_bytes) {
        users_give(users, conn->user, USERS_PART_BYTES, conn->in_bytes - need);
    }
    conn->in_bytes = need;
    return true;
}

void rest_free(struct conn *conn)
{
    free(conn->rest);
    conn->rest = NULL;
    conn->rest_at = conn->rest_len = conn->rest_cap = 0;
    (void)in_share(conn, 0);
}

/* RAFT.ONCE counts as the command that it does. */
static void count(struct tally *t, const struct call *call)
{
    const struct command *c = call->command;
    if (c != NULL && call->argc > 2 && strcmp(c->name, "raft.once") == 0)
        c = command_find(&call->argv[2]);
    tally_call(t, c, c != NULL ? command_number(c) : 0);
}

static void take_call(struct conn *conn)
{
    struct call call = {NULL, conn->come.argc, conn->clients->argv};
    conn->blocked = call_take(conn, &call);
    if (conn->blocked != BLOCKED_NOT)
        return; /* it is taken later */
    conn->last = call.command;
    count(&conn->clients->me->tally, &call);
}

/* Takes commands from buf as long as the turn lasts. Returns how many bytes they had. */
static size_t take(struct conn *conn, const uint8_t *buf, size_t len)
{
    struct clients *c = conn->clients;
    size_t at = 0;
    while (goes_on(conn) && takes(conn)) {
        struct resp_in before = conn->come;
        enum resp_came came = resp_take(&conn->come, buf + at, len - at, c->argv);
        conn->unfinished = came == RESP_MORE;
        conn->blocked = BLOCKED_NOT;
        if (came == RESP_BAD)
            conn_refuse(conn, conn->come.error);
        else if (came == RESP_TOO_BIG)
            conn->blocked = call_too_big(conn);
        else if (came == RESP_CALL && conn->come.argc > 0)
            take_call(conn);
        if (conn->blocked != BLOCKED_NOT) {
            conn->come = before;
            return at;
        }
        at += conn->come.used;
        if (conn->ended)
            return len;
        if (came == RESP_MORE)
            return at;
        conn->part_us = NEVER;
        c->work--;
    }
    return at;
}

/* Keeps what the turn was too short for, and the beginning of a command. */
static void keep(struct conn *conn, const uint8_t *buf, size_t len)
{
    conn->rest_cap = len > REST_BYTES ? len : REST_BYTES;
    conn->rest = malloc(conn->rest_cap);
    if (conn->rest == NULL) {
        conn_refuse(conn, result_text(conn->clients, RESULT_BUSY, false));
        return;
    }
    memcpy(conn->rest, buf, len);
    conn->rest_at = 0;
    conn->rest_len = len;
}

/* Takes from the rest. */
static void take_rest(struct conn *conn)
{
    conn->rest_at += take(conn, conn->rest + conn->rest_at, conn->rest_len - conn->rest_at);
    if (conn->ended || conn->rest_at == conn->rest_len)
        rest_free(conn);
}

/* Makes room for more of the command that has begun. False: there is none. */
static bool rest_grow(struct conn *conn)
{
    size_t len = conn->rest_len - conn->rest_at, want = conn->come.want;
    memmove(conn->rest, conn->rest + conn->rest_at, len);
    conn->rest_at = 0;
    conn->rest_len = len;
    if (want <= conn->rest_cap && len < conn->rest_cap)
        return true;
    /* The end of what is known to come, or for many small arguments twice as much as before. */
    size_t cap = (size_t)min_u64(2 * conn->rest_cap, CLIENTS_COMMAND_MAX_BYTES);
    if (cap < want)
        cap = want;
    if (!in_share(conn, cap))
        return false;
    uint8_t *rest = realloc(conn->rest, cap);
    if (rest == NULL) {
        (void)in_share(conn, conn->rest_cap);
        return false;
    }
    conn->rest = rest;
    conn->rest_cap = cap;
    return true;
}

bool conn_is_there(const struct conn *conn)
{
    struct pollfd p = {.fd = conn->in.fd};
    /* By TCP, one that was killed looks as if it had closed its sending side alone. What it watches or
     * holds must not last for ever. */
    if ((conn->watching != NULL || conn->gone != NULL) && !conn->ended && !conn->clients->ends)
        p.events = POLLRDHUP;
    return poll(&p, 1, 0) == 0;
}

/* The client has closed its sending side, or all of the connection. */
static void on_end(struct conn *conn)
{
    if (!conn_is_there(conn)) {
        conn_hang_up(conn);
        return;
    }
    if (conn->rest != NULL || conn->come.left > 0 || conn->come.skip > 0)
        conn->last_word = conn->clients->ends
                              ? "BUSY nothing was done: this node stops"
                              : "ERR the connection was closed in the middle of a command";
    rest_free(conn);
    conn_end(conn);
}

/* Receives what is there, up to a buffer, and takes its commands. */
static void receive(struct conn *conn)
{
    struct clients *c = conn->clients;
    uint8_t *buf = c->received;
    size_t room = sizeof c->received;
    if (conn->rest != NULL) {
        if (!rest_grow(conn)) {
            if (conn->come.left == 0 &&
                conn->come.skip == 0) { /* a line, whose end nobody would know */
                conn_refuse(conn, result_text(c, RESULT_BUSY, false));
                return;
            }
            /* Nothing of it is kept, and it is refused when it has gone by. */
            conn->come.skips = conn->busy = true;
            take_rest(conn);
            return;
        }
        buf = conn->rest + conn->rest_len;
        room = conn->rest_cap - conn->rest_len;
    }
    ssize_t n = recv(conn->in.fd, buf, room, MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        conn_hang_up(conn);
    if (n < 0)
        return;
    size_t len = (size_t)n;
    conn->heard_us = clock_us();
    conn->unfinished = false; /* as far as we know */
    c->work -= (int)(len / CLIENTS_WORK_BYTES);
    if (len == 0) {
        on_end(conn);
    } else if (conn->rest != NULL) {
        conn->rest_len += len;
        take_rest(conn);
    } else {
        size_t taken = take(conn, buf, len);
        if (taken < len && !conn->hangup)
            keep(conn, buf + taken, len - taken);
    }
}

/* --- turns -------------------------------------------------------------------------------------- */

static void tell_news(struct conn *conn)
{
    const char *error = watch_serve(conn);
    if (error != NULL)
        conn_refuse(conn, error);
}

/* What else waits in the socket makes it readable in the next iteration. */
static void turn(struct conn *conn, bool readable)
{
    struct clients *c = conn->clients;
    c->work = CLIENTS_TURN_WORK;
    if (conn->blocked != BLOCKED_ORDER)
        conn->blocked = BLOCKED_NOT;
    while (goes_on(conn)) {
        if (queue_ready(conn)) {
            queue_serve(conn);
        } else if (turn_wanted(conn)) {
            take_rest(conn);
        } else if (readable && turn_receives(conn)) {
            readable = false;
            receive(conn);
        } else if (watch_wanted(conn)) {
            tell_news(conn);
        } else {
            break;
        }
    }
    conn_mark_dirty(conn); /* conn_flush() sees whether it needs another turn */
}

void turns_run(struct clients *c)
{
    reads_confirm(c);
    /* It ends: a connection that needs another turn waits for conn_flush(), and so for the next iteration. */
    while (!cds_list_empty(&c->turns))
        turn(pop(&c->turns), false);
}

void turns_run_lists(struct clients *c)
{
    c->list_work = CLIENTS_LISTS_WORK;
    while (!cds_list_empty(&c->lists) && c->list_work > 0)
        turn(pop(&c->lists), false);
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
    turn(w->data, true);
}
