/* clients_answer.c: see clients_impl.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/base/rcu.h"

enum {
    /* An answer of so few needs no share: nothing is asked of who does not take them. */
    SMALL_BYTES = 512,
    OUT_KEEP_BYTES = 32768, /* an empty buffer larger than this gives its memory back */
    WORK_LOOKED = 8,        /* keys that are looked at in one unit of work */
};

void conn_mark_dirty(struct conn *conn)
{
    if (cds_list_empty(&conn->dirty))
        cds_list_add(&conn->dirty, &conn->clients->dirty);
}

void conn_hang_up(struct conn *conn)
{
    conn->hangup = true;
    ev_io_stop(conn->clients->loop, &conn->in);
    conn_mark_dirty(conn);
}

size_t output_pending(const struct conn *conn)
{
    return conn->answers.len - conn->sent;
}

bool output_full(const struct conn *conn)
{
    uint64_t most = max_u64(conn->out_bytes, CLIENTS_OUT_OWN_BYTES);
    return output_pending(conn) >= min_u64(most, CLIENTS_OUT_MAX_BYTES);
}

/* How many bytes may be added with the share that is taken. The memory of the buffer grows in steps, so one
 * step is not for bytes. */
static size_t free_room(const struct conn *conn)
{
    size_t most = CLIENTS_OUT_OWN_BYTES;
    if (conn->out_bytes > most + RESP_STEP_BYTES)
        most = conn->out_bytes - RESP_STEP_BYTES;
    return most > output_pending(conn) ? most - output_pending(conn) : 0;
}

/* True if so many bytes may be added; takes what they need of USERS_OUT_BYTES. */
static bool room(struct conn *conn, size_t len)
{
    if (len <= free_room(conn))
        return true;
    size_t need = output_pending(conn) + len + RESP_STEP_BYTES;
    if (conn->user == NULL || !users_take(&conn->clients->shared->users, conn->user,
                                          USERS_OUT_BYTES, need - conn->out_bytes))
        return false;
    conn->out_bytes = need;
    return true;
}

void output_give(struct conn *conn)
{
    size_t cap = conn->answers.cap, need = cap > CLIENTS_OUT_OWN_BYTES ? cap : 0;
    if (conn->out_bytes <= need)
        return;
    users_give(&conn->clients->shared->users, conn->user, USERS_OUT_BYTES, conn->out_bytes - need);
    conn->out_bytes = need;
}

enum output_state output_send(struct conn *conn)
{
    struct resp_out *out = &conn->answers;
    while (conn->sent < out->len) {
        ssize_t n = send(conn->in.fd, out->buf + conn->sent, output_pending(conn),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
            return OUTPUT_BLOCKED;
        if (n < 0)
            return OUTPUT_BROKEN;
        conn->sent += (size_t)n;
    }
    if (out->cap > OUT_KEEP_BYTES) {
        free(out->buf);
        out->buf = NULL;
        out->cap = 0;
    }
    out->len = conn->sent = 0;
    return OUTPUT_EMPTY;
}

/* Moves what waits to the front of the buffer if more is sent than waits, so each byte moves once. */
static void close_up(struct conn *conn)
{
    struct resp_out *out = &conn->answers;
    if (conn->sent <= output_pending(conn))
        return;
    memmove(out->buf, out->buf + conn->sent, output_pending(conn));
    out->len -= conn->sent;
    conn->sent = 0;
}

const char *result_text(struct clients *c, enum result result, bool write)
{
    const struct shared *s = c->shared;
    switch (result) {
    case RESULT_NO_LEADER:
        return "NOLEADER nothing was done: no leader was found in time, or none that can commit";
    case RESULT_UNKNOWN:
        return "UNKNOWN the time ran out after the command left for a leader: it may or may not be "
               "done";
    case RESULT_STOPPING:
        return write ? "UNKNOWN this node stops: the command may or may not be done"
                     : "NOLEADER nothing was done: this node stops";
    case RESULT_TOO_LARGE:
        (void)snprintf(
            c->why, sizeof c->why,
            "TOOBIG a value has at most %" PRIu32
            " bytes here (max_value_bytes), a key %d, and a command %d in all its arguments, "
            "which are at most %d",
            s->max_value_bytes, CMD_KEY_MAX_BYTES, CMD_MAX_BYTES, RESP_ARGS_MAX);
        return c->why;
    case RESULT_BUSY: return "BUSY nothing was done: too much is under way on this node";
    case RESULT_NOT_YET:
        if (!atomic_load_explicit(&s->starting, memory_order_acquire))
            return "NOTYET this node has no state of its own to show yet, and no leader was asked";
        rcu_enter();
        (void)snprintf(c->why, sizeof c->why, "LOADING %s", rcu_get(s->status)->recovering);
        rcu_leave();
        return c->why;
    case RESULT_FULL: return "FULL nothing was done: the data have reached max_data_bytes";
    case RESULT_DISK_FULL:
        return "DISKFULL nothing was done: the disk of this node, or of the leader, is full";
    case RESULT_LOG_FULL:
        return "LOGFULL nothing was done: the log of this node, or of the leader, has reached "
               "log_max_bytes";
    case RESULT_REFUSED: return "REFUSED nothing was done: the state did not allow it";
    case RESULT_OK:
    case RESULT_NO_KEY:
    case RESULT_BAD: break;
    }
    return "ERR the command makes no sense";
}

/* A short answer always passes. */
static struct resp_out *begin_short(struct conn *conn)
{
    close_up(conn);
    conn->answers.most = SIZE_MAX;
    return &conn->answers;
}

static void end_short(struct conn *conn)
{
    if (conn->answers.no_memory)
        conn_hang_up(conn);
    conn_mark_dirty(conn);
}

bool answer_room(struct conn *conn, size_t bytes)
{
    return room(conn, bytes);
}

void answer_error(struct conn *conn, const char *error)
{
    resp_error(begin_short(conn), "%s", error);
    end_short(conn);
}

void answer_ok(struct conn *conn)
{
    resp_simple(begin_short(conn), "OK");
    end_short(conn);
}

void answer_queued(struct conn *conn)
{
    resp_simple(begin_short(conn), "QUEUED");
    end_short(conn);
}

void answer_null_array(struct conn *conn)
{
    resp_null_array(begin_short(conn));
    end_short(conn);
}

void answer_subscribed(struct conn *conn, const char *what, const struct resp_arg *channel,
                       unsigned n)
{
    struct resp_out *out = begin_short(conn);
    resp_push(out, 3);
    resp_text(out, what);
    if (channel != NULL)
        resp_bulk(out, channel->p, channel->len);
    else
        resp_null(out);
    resp_int(out, n);
    end_short(conn);
}

enum blocked answer(struct conn *conn, void (*say)(const void *what, struct resp_out *out),
                    const void *what)
{
    struct resp_out *out = &conn->answers;
    enum blocked blocked = BLOCKED_NOT;
    close_up(conn);
    size_t before = out->len;
    out->most = before + (size_t)max_u64(free_room(conn), SMALL_BYTES);
    out->looked = 0;
    say(what, out);
    /* What this node says of itself may be longer the next time. */
    while (out->lost > 0 && !out->no_memory && blocked == BLOCKED_NOT) {
        size_t need = out->len + out->lost - before;
        out->len = before;
        out->lost = 0;
        if (need > CLIENTS_ANSWER_MAX_BYTES) {
            answer_error(conn, "TOOBIG the answer would be: ask for less at a time");
        } else if (!room(conn, need)) {
            blocked = BLOCKED_ROOM;
        } else {
            out->most = before + need;
            say(what, out);
        }
    }
    conn->clients->work -= (int)((out->len - before) / CLIENTS_WORK_BYTES +
                                 out->looked / WORK_LOOKED);
    if (out->no_memory)
        conn_hang_up(conn);
    conn_mark_dirty(conn);
    return blocked;
}
