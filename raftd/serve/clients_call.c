/* clients_call.c: see clients_impl.h. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/clients_impl.h"

static enum blocked once(struct conn *conn, const struct call *call);

/* What the engine serves itself: each returns what the call waits for, as call_take(). */
static const struct {
    const char *name;
    enum blocked (*enter)(struct conn *conn, const struct call *call);
} own[] = {
    {"multi", multi_begin},
    {"exec", multi_exec},
    {"discard", multi_discard},
    {"watch", multi_watch},
    {"raft.status", own_status},
    {"raft.links", own_links},
    {"raft.member", own_member},
    {"raft.transfer", own_transfer},
    {"raft.drain", own_drain},
    {"raft.snapshot", own_snapshot},
    {"raft.fetch", own_fetch},
    {"raft.timeout", own_timeout},
    {"raft.once", once},
    {"raft.watch", watch_start},
    {"raft.events", watch_events},
    {"raft.lock", lock_take},
    {"raft.unlock", lock_give},
    {"raft.held", lock_held},
    {"raft.holder", lock_holder},
    {"raft.publish", lock_publish},
    {"subscribe", watch_subscribe},
    {"psubscribe", watch_subscribe},
    {"unsubscribe", watch_unsubscribe},
    {"punsubscribe", watch_unsubscribe},
};

static enum blocked enter(struct conn *conn, const struct call *call)
{
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i].name, call->command->name) == 0)
            return own[i].enter(conn, call);
    answer_error(conn, "ERR this command is not served");
    return BLOCKED_NOT;
}

void conn_end(struct conn *conn)
{
    if (conn->user == NULL && !conn->ended)
        conn->clients->n_guests--;
    conn->ended = true;
    ev_io_stop(conn->clients->loop, &conn->in);
    clients_due_at(conn->clients, clock_us() + CLIENTS_LEFT_US);
    conn_mark_dirty(conn);
}

void conn_refuse(struct conn *conn, const char *error)
{
    conn->last_word = error;
    conn_end(conn);
    (void)shutdown(conn->in.fd, SHUT_RD); /* what the client sends from now on fails at once */
}

void conn_greet(struct conn *conn)
{
    conn->timeout_ms = CLIENTS_TIMEOUT_MS;
    conn->talker.authenticated = !conn->tcp;
    conn->stranger_us = conn->tcp ? clock_us() + CLIENTS_PART_US : NEVER;
    clients_due_at(conn->clients, conn->stranger_us);
}

static bool is_queued(const struct call *call)
{
    return call->command->kind == COMMAND_READ || call->command->kind == COMMAND_WRITE;
}

/* Why the call is not served; NULL: it is. */
static const char *objection(struct conn *conn, const struct call *call)
{
    const struct command *command = call->command;
    struct clients *c = conn->clients;
    if (command == NULL) {
        (void)snprintf(c->why, sizeof c->why, "ERR unknown command '%.*s'",
                       (int)min_u64(call->argv[0].len, 128), (const char *)call->argv[0].p);
        return c->why;
    }
    unsigned flags = command->flags;
    /* MULTI, too: else what follows it would be done by itself, as soon as that is possible. */
    bool always = (flags & (COMMAND_GUEST | COMMAND_EARLY | COMMAND_NOT_QUEUED)) != 0 ||
                  command->kind == COMMAND_LOCAL ||
                  (command->kind == COMMAND_READ && conn->talker.local_reads);
    if (!conn->talker.authenticated && (flags & COMMAND_NO_AUTH) == 0)
        return "NOAUTH Authentication required.";
    const char *error = command_check(call, c->why);
    if (error != NULL)
        return error;
    if (conn->talker.watches && conn->answers.version == 2 && (flags & COMMAND_SUBSCRIBED) == 0)
        return "ERR in RESP2, a connection that watches or has subscribed takes only SUBSCRIBE, "
               "PSUBSCRIBE, UNSUBSCRIBE, PUNSUBSCRIBE, PING, RESET, QUIT";
    if (conn->multi && (flags & COMMAND_NO_MULTI) != 0)
        return "ERR this command is not allowed inside MULTI";
    if (!always && atomic_load_explicit(&c->shared->starting, memory_order_acquire))
        return result_text(c, RESULT_NOT_YET, false);
    return NULL;
}

struct local {
    struct conn *conn;
    const struct call *call;
};

static void say_local(const void *what, struct resp_out *out)
{
    const struct local *l = what;
    l->call->command->run(&l->conn->talker, l->call, out);
}

/* Queues a read. */
static enum result queue_one(struct conn *conn, const struct call *call)
{
    struct cds_list_head calls;
    CDS_INIT_LIST_HEAD(&calls);
    struct kept_call *k = kept_new(conn, call);
    if (k == NULL)
        return RESULT_BUSY;
    cds_list_add_tail(&k->link, &calls);
    enum result result = queue_read(conn, &calls, false);
    kept_free(conn, &calls);
    return result;
}

/* Queues a read or a write. */
static enum blocked queue(struct conn *conn, const struct call *call, const struct cmd_token *token)
{
    const char *error = NULL;
    enum result result;
    if (call->command->kind == COMMAND_READ) {
        if (conn->ops == 0 && conn->talker.local_reads)
            return read_now(conn, call);
        result = queue_one(conn, call);
    } else {
        struct cmd_build *b = build_begin(conn);
        b->token = token;
        error = call->command->build(call, b);
        result = error == NULL ? queue_write(conn, call->command, NULL, b) : RESULT_BAD;
    }
    if (result == RESULT_OK)
        return BLOCKED_NOT;
    if (conn->ops > 0)
        return BLOCKED_ORDER;
    answer_error(conn, error != NULL ? error : result_text(conn->clients, result, false));
    return BLOCKED_NOT;
}

static enum blocked once(struct conn *conn, const struct call *call)
{
    struct call inner;
    struct cmd_token token;
    const char *error = command_once(call, &inner, &token, conn->clients->why);
    if (error == NULL)
        return queue(conn, &inner, &token);
    answer_error(conn, error);
    return BLOCKED_NOT;
}

enum blocked call_take(struct conn *conn, struct call *call)
{
    call->command = command_find(&call->argv[0]);
    const char *error = objection(conn, call);
    if (conn->user == NULL && (error != NULL || (call->command->flags & COMMAND_GUEST) == 0)) {
        conn_refuse(conn, result_text(conn->clients, RESULT_BUSY, false));
        return BLOCKED_NOT;
    }
    if (conn->ops > 0 && (error != NULL || conn->multi || !is_queued(call)))
        return BLOCKED_ORDER;
    if (error != NULL) {
        conn->spoilt |= conn->multi;
        answer_error(conn, error);
        return BLOCKED_NOT;
    }
    if (conn->multi && (call->command->flags & COMMAND_NOT_QUEUED) == 0) {
        multi_add(conn, call);
        return BLOCKED_NOT;
    }
    if (is_queued(call))
        return queue(conn, call, NULL);
    if (list_asked(call))
        return list_begin(conn, call);
    if (call->command->kind == COMMAND_ENGINE)
        return enter(conn, call);
    size_t before = output_pending(conn);
    enum blocked blocked = answer(conn, say_local, &(struct local){conn, call});
    if ((call->command->flags & COMMAND_FAST) == 0) /* it has printed all that */
        conn->clients->work -= (int)((output_pending(conn) - before) / CLIENTS_STATUS_BYTES);
    if (conn->talker.leaves && blocked == BLOCKED_NOT)
        conn_end(conn);
    return blocked;
}

enum blocked call_too_big(struct conn *conn)
{
    const char *error = result_text(conn->clients, conn->busy ? RESULT_BUSY : RESULT_TOO_LARGE,
                                    false);
    if (conn->user == NULL) {
        conn_refuse(conn, result_text(conn->clients, RESULT_BUSY, false));
        return BLOCKED_NOT;
    }
    if (conn->ops > 0)
        return BLOCKED_ORDER;
    conn->busy = false;
    conn->spoilt |= conn->multi;
    answer_error(conn, error);
    return BLOCKED_NOT;
}

/* --- what LOCAL commands ask of the connection -------------------------------------------------- */

static struct conn *conn_of(struct talker *t)
{
    return rcu_container(t, struct conn, talker);
}

static const char *auth(struct talker *t, const struct resp_arg *user,
                        const struct resp_arg *password)
{
    const struct shared *s = t->shared;
    if (s->tcp_fd < 0)
        return "ERR AUTH is for clients that come by TCP, and none may (listen in raftd.conf)";
    if ((user != NULL && !resp_is(user, "default")) || password->len != sizeof s->password ||
        sodium_memcmp(password->p, s->password, sizeof s->password) != 0)
        return "WRONGPASS the password is not the one of password_file";
    t->authenticated = true;
    conn_of(t)->stranger_us = NEVER;
    return NULL;
}

static void reset(struct talker *t)
{
    struct conn *conn = conn_of(t);
    multi_end(conn);
    watch_end(conn);
    conn_greet(conn);
}

static void unwatch(struct talker *t)
{
    multi_unwatch(conn_of(t));
}

const struct talker_calls clients_talker_calls = {.auth = auth, .unwatch = unwatch, .reset = reset};
