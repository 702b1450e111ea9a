/* clients_multi.c: see clients_impl.h. What stands between MULTI and EXEC becomes one entry of the log, or is
 * read in one view. What WATCH saw becomes its conditions. */
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/state/kv.h"

void multi_unwatch(struct conn *conn)
{
    watched_free(conn, &conn->watched);
    conn->n_watched = 0;
}

void multi_end(struct conn *conn)
{
    kept_free(conn, &conn->calls);
    conn->n_calls = 0;
    conn->multi = conn->spoilt = false;
    multi_unwatch(conn);
}

enum blocked multi_begin(struct conn *conn, const struct call *call)
{
    (void)call;
    if (conn->multi) {
        answer_error(conn, "ERR MULTI calls can not be nested");
        return BLOCKED_NOT;
    }
    conn->multi = true;
    answer_ok(conn);
    return BLOCKED_NOT;
}

static bool is_outside(struct conn *conn, const char *error)
{
    if (!conn->multi)
        answer_error(conn, error);
    return !conn->multi;
}

enum blocked multi_discard(struct conn *conn, const struct call *call)
{
    (void)call;
    if (is_outside(conn, "ERR DISCARD without MULTI"))
        return BLOCKED_NOT;
    multi_end(conn);
    answer_ok(conn);
    return BLOCKED_NOT;
}

/* --- WATCH ------------------------------------------------------------------------------------ */

/* Remembers the key as it is. It may have been changed meanwhile, elsewhere: then EXEC does nothing. */
static bool watch(struct conn *conn, const struct kv_view *view, const struct resp_arg *key)
{
    struct users *users = &conn->clients->shared->users;
    struct watched *w = malloc(sizeof *w + key->len);
    if (w == NULL)
        return false;
    w->bytes = conn->n_watched < CLIENTS_KEPT_OWN ? 0 : sizeof *w + key->len;
    if (w->bytes > 0 && !users_take(users, conn->user, USERS_PART_BYTES, w->bytes)) {
        free(w);
        return false;
    }
    const struct kv_object *o = kv_get(view, key->p, key->len);
    w->revision = o != NULL ? o->modify_revision : 0;
    w->len = (uint16_t)key->len;
    memcpy(w->key, key->p, key->len);
    cds_list_add_tail(&w->link, &conn->watched);
    conn->n_watched++;
    return true;
}

enum blocked multi_watch(struct conn *conn, const struct call *call)
{
    const struct shared *s = conn->clients->shared;
    const char *error = NULL;
    if (conn->multi)
        error = "ERR WATCH inside MULTI is not allowed";
    else if (conn->n_watched + call->argc - 1 > CMD_CONDITIONS_MAX)
        error = "ERR too many watched keys: each is a condition of the transaction";
    else if (!atomic_load_explicit(&s->local_reads, memory_order_acquire))
        error = result_text(conn->clients, RESULT_NOT_YET, false);
    rcu_enter();
    const struct kv_view *view = kv_view(s->kv);
    for (unsigned i = 1; error == NULL && i < call->argc; i++)
        if (!watch(conn, view, &call->argv[i]))
            error = result_text(conn->clients, RESULT_BUSY, false);
    rcu_leave();
    if (error != NULL)
        answer_error(conn, error);
    else
        answer_ok(conn);
    return BLOCKED_NOT;
}

/* --- EXEC ------------------------------------------------------------------------------------- */

static size_t bytes_of(const struct call *call)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < call->argc; i++)
        bytes += call->argv[i].len;
    return bytes;
}

/* The answer to EXEC may become too long to be told by what this call, and those before it, give back. */
static bool echoes_too_much(const struct conn *conn, const struct call *call)
{
    struct cds_list_head *at;
    size_t bytes = bytes_of(call);
    cds_list_for_each(at, &conn->calls)
    {
        const struct kept_call *k = rcu_container(at, struct kept_call, link);
        if (k->call.command->kind == COMMAND_LOCAL)
            bytes += bytes_of(&k->call);
    }
    return bytes > CLIENTS_ECHO_MAX_BYTES;
}

/* Why the call can't stand in a transaction; NULL: it can. */
static const char *objection(struct conn *conn, const struct call *call)
{
    const struct command *command = call->command;
    if (command->kind == COMMAND_ENGINE)
        return "ERR this command can not stand in a transaction";
    if (conn->n_calls == CMD_OPERATIONS_MAX)
        return "ERR too many commands in a transaction";
    if (command->kind == COMMAND_LOCAL && echoes_too_much(conn, call))
        return "TOOBIG a transaction gives back at most 16 KiB of texts";
    return command->kind == COMMAND_WRITE ? command->build(call, build_begin(conn)) : NULL;
}

void multi_add(struct conn *conn, const struct call *call)
{
    const char *error = objection(conn, call);
    struct kept_call *k = error == NULL ? kept_new(conn, call) : NULL;
    if (k == NULL) {
        conn->spoilt = true;
        answer_error(conn, error != NULL ? error : result_text(conn->clients, RESULT_BUSY, false));
        return;
    }
    cds_list_add_tail(&k->link, &conn->calls);
    conn->n_calls++;
    answer_queued(conn);
}

static void add_conditions(struct conn *conn, struct cmd_build *b)
{
    struct cds_list_head *at;
    cds_list_for_each(at, &conn->watched)
    {
        const struct watched *w = rcu_container(at, struct watched, link);
        struct cmd_item *item = &b->condition[b->conditions++];
        *item = (struct cmd_item){.kind = CMD_IF_ABSENT, .key = w->key, .key_len = w->len};
        if (w->revision == 0)
            continue;
        put_u64(b->number[b->numbers], w->revision);
        item->kind = CMD_IF_REVISION;
        item->value = b->number[b->numbers++];
        item->value_len = CMD_NUMBER_BYTES;
    }
}

/* All calls as one transaction. NULL, or what is wrong. */
static const char *build(struct conn *conn)
{
    struct cds_list_head *at;
    struct cmd_build *b = build_begin(conn);
    add_conditions(conn, b);
    cds_list_for_each(at, &conn->calls)
    {
        struct kept_call *k = rcu_container(at, struct kept_call, link);
        const struct command *command = k->call.command;
        if (command->kind == COMMAND_LOCAL)
            continue;
        k->first = b->operations;
        const char *error = command->build(&k->call, b);
        if (error != NULL)
            return error;
        k->tale.n = b->operations - k->first;
        k->tale.shape = b->shape;
    }
    return NULL;
}

static bool any(const struct conn *conn, enum command_kind kind)
{
    struct cds_list_head *at;
    cds_list_for_each(at, &conn->calls)
    {
        if (rcu_container(at, struct kept_call, link)->call.command->kind == kind)
            return true;
    }
    return false;
}

enum blocked multi_exec(struct conn *conn, const struct call *call)
{
    (void)call;
    const char *error = NULL;
    enum result result = RESULT_OK;
    if (is_outside(conn, "ERR EXEC without MULTI"))
        return BLOCKED_NOT;
    if (conn->spoilt)
        error = "EXECABORT Transaction discarded because of previous errors.";
    else if (atomic_load_explicit(&conn->clients->shared->starting, memory_order_acquire))
        result = RESULT_NOT_YET;
    else if (!any(conn, COMMAND_WRITE))
        result = queue_read(conn, &conn->calls, true);
    else if ((error = build(conn)) == NULL)
        result = queue_write(conn, NULL, &conn->calls, &conn->clients->build);
    if (result != RESULT_OK)
        error = result_text(conn->clients, result, false);
    if (error != NULL)
        answer_error(conn, error);
    multi_end(conn);
    return BLOCKED_NOT;
}
