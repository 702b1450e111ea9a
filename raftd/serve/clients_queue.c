/* clients_queue.c: see clients_impl.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/round.h"
#include "raftd/state/kv.h"

enum {
    KEPT_OWN_BYTES = 512
}; /* a call with no more arguments needs no share of USERS_PART_BYTES */

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

/* --- calls ------------------------------------------------------------------------------------ */

struct cmd_build *build_begin(struct conn *conn)
{
    struct cmd_build *b = &conn->clients->build;
    b->conditions = b->operations = b->numbers = b->shape = 0;
    b->connection = 0;
    b->error = NULL;
    b->token = NULL;
    b->max_value_bytes = conn->clients->shared->max_value_bytes;
    return b;
}

struct kept_call *kept_new(struct conn *conn, const struct call *call)
{
    struct users *users = &conn->clients->shared->users;
    struct kept_call *k = NULL;
    size_t size = call->argc * sizeof *call->argv, share = 0;
    for (unsigned i = 0; i < call->argc; i++)
        size += call->argv[i].len;
    if (size > KEPT_OWN_BYTES || conn->n_calls >= CLIENTS_KEPT_OWN) {
        share = sizeof *k + size;
        if (!users_take(users, conn->user, USERS_PART_BYTES, share))
            return NULL;
    }
    k = malloc(sizeof *k + size);
    if (k == NULL) {
        if (share > 0)
            users_give(users, conn->user, USERS_PART_BYTES, share);
        return NULL;
    }
    struct resp_arg *argv = (struct resp_arg *)(k + 1);
    *k = (struct kept_call){.call = {call->command, call->argc, argv}, .bytes = share};
    uint8_t *to = (uint8_t *)&argv[call->argc];
    for (unsigned i = 0; i < call->argc; i++) {
        argv[i] = (struct resp_arg){to, call->argv[i].len};
        memcpy(to, call->argv[i].p, call->argv[i].len);
        to += call->argv[i].len;
    }
    return k;
}

void kept_free(struct conn *conn, struct cds_list_head *calls)
{
    while (!cds_list_empty(calls)) {
        struct kept_call *k = rcu_container(calls->next, struct kept_call, link);
        if (k->bytes > 0)
            users_give(&conn->clients->shared->users, conn->user, USERS_PART_BYTES, k->bytes);
        cds_list_del(&k->link);
        if (k->call.argc > 0) /* else it is inside of a struct pending */
            free(k);
    }
}

void watched_free(struct conn *conn, struct cds_list_head *keys)
{
    while (!cds_list_empty(keys)) {
        struct watched *w = rcu_container(keys->next, struct watched, link);
        if (w->bytes > 0)
            users_give(&conn->clients->shared->users, conn->user, USERS_PART_BYTES, w->bytes);
        cds_list_del(&w->link);
        free(w);
    }
}

/* --- the queue -------------------------------------------------------------------------------- */

/* Puts a new one behind the others. NULL without memory. */
static struct pending *pending_new(struct conn *conn, struct cds_list_head *calls, bool exec)
{
    struct pending *p = malloc(sizeof *p);
    if (p == NULL)
        return NULL;
    *p = (struct pending){.conn = conn, .exec = exec};
    CDS_INIT_LIST_HEAD(&p->parked);
    CDS_INIT_LIST_HEAD(&p->calls);
    CDS_INIT_LIST_HEAD(&p->watched);
    if (calls != NULL) {
        cds_list_splice(calls, &p->calls);
        CDS_INIT_LIST_HEAD(calls);
    }
    cds_list_add_tail(&p->link, &conn->pending);
    conn->ops++;
    return p;
}

static bool is_read(const struct pending *p)
{
    return p->state != PENDING_LOOP && p->state != PENDING_HELD && p->req == NULL;
}

static void pending_free(struct pending *p)
{
    struct conn *conn = p->conn;
    if (is_read(p)) {
        users_give(&conn->clients->shared->users, conn->user, USERS_READS, 1);
        conn->reads--;
    }
    conn->ops--;
    if (p->req != NULL)
        request_free(conn->clients->shared, p->req);
    if (p->lock != NULL) {
        atomic_fetch_sub(&conn->clients->me->watchers, 1);
        atomic_fetch_sub(&conn->clients->me->tally.blocked, 1);
        free(p->lock);
    }
    kept_free(conn, &p->calls);
    watched_free(conn, &p->watched);
    cds_list_del(&p->parked);
    cds_list_del(&p->link);
    free(p);
}

static struct pending *first(const struct conn *conn)
{
    struct cds_list_head *at = conn->pending.next;
    return at == &conn->pending ? NULL : rcu_container(at, struct pending, link);
}

struct pending *queue_last(const struct conn *conn)
{
    return rcu_container(conn->pending.prev, struct pending, link);
}

unsigned queue_in_loop(const struct conn *conn)
{
    struct cds_list_head *at;
    unsigned n = 0;
    cds_list_for_each(at, &conn->pending)
        n += rcu_container(at, struct pending, link)->state == PENDING_LOOP;
    return n;
}

bool queue_ready(const struct conn *conn)
{
    const struct pending *p = first(conn);
    return p != NULL && p->state == PENDING_READY;
}

/* The connection gets a turn if this is what it waits for. */
static void ready(struct pending *p)
{
    p->state = PENDING_READY;
    if (first(p->conn) == p)
        turn_wait(p->conn);
}

void queue_wake(struct pending *p)
{
    cds_list_del_init(&p->parked);
    ready(p);
}

/* --- reads ------------------------------------------------------------------------------------ */

bool clients_left_out(const struct clients *c)
{
    rcu_enter();
    bool out = status_left_out(rcu_get(c->shared->status));
    rcu_leave();
    return out;
}

enum result queue_read(struct conn *conn, struct cds_list_head *calls, bool exec)
{
    struct clients *c = conn->clients;
    bool local = conn->talker.local_reads;
    if (!local && clients_left_out(c))
        return RESULT_NO_LEADER;
    if (!users_take(&c->shared->users, conn->user, USERS_READS, 1))
        return RESULT_BUSY;
    struct pending *p = pending_new(conn, calls, exec);
    if (p == NULL) {
        users_give(&c->shared->users, conn->user, USERS_READS, 1);
        return RESULT_BUSY;
    }
    if (exec) {
        cds_list_splice(&conn->watched, &p->watched);
        CDS_INIT_LIST_HEAD(&conn->watched);
    }
    conn->reads++;
    p->local = local;
    p->state = local ? PENDING_READY : PENDING_TICKET;
    if (local) {
        turn_wait(conn);
        return RESULT_OK;
    }
    uint64_t announced = atomic_load_explicit(&c->me->read_want, memory_order_relaxed);
    if (c->ticket == announced)
        c->ticket++; /* the first read of this iteration */
    p->ticket = c->ticket;
    p->deadline_us = clock_us() + (uint64_t)conn->timeout_ms * 1000;
    clients_due_at(c, p->deadline_us);
    cds_list_add_tail(&p->parked, &c->parked);
    return RESULT_OK;
}

void reads_confirm(struct clients *c)
{
    uint64_t done = atomic_load_explicit(&c->me->read_done, memory_order_acquire);
    while (!cds_list_empty(&c->parked)) {
        struct pending *p = rcu_container(c->parked.next, struct pending, parked);
        if (p->ticket > done)
            return;
        cds_list_del_init(&p->parked);
        ready(p);
    }
}

void reads_expire(struct clients *c, uint64_t now, enum result result)
{
    struct cds_list_head *at, *next;
    cds_list_for_each_safe(at, next, &c->parked)
    {
        struct pending *p = rcu_container(at, struct pending, parked);
        if (p->deadline_us > now) {
            clients_due_at(c, p->deadline_us);
            continue;
        }
        cds_list_del_init(&p->parked);
        p->refused = result;
        ready(p);
    }
}

/* --- writes, and what else the main loop does --------------------------------------------------- */

struct request *request_new(struct conn *conn, enum request_kind kind, uint32_t len)
{
    struct users *users = &conn->clients->shared->users;
    if (!users_take(users, conn->user, USERS_WRITES, 1))
        return NULL;
    struct request *req = NULL;
    if (users_take(users, conn->user, USERS_WRITE_BYTES, len)) {
        req = malloc(sizeof *req + len);
        if (req == NULL)
            users_give(users, conn->user, USERS_WRITE_BYTES, len);
    }
    if (req == NULL) {
        users_give(users, conn->user, USERS_WRITES, 1);
        return NULL;
    }
    *req = (struct request){.reader = conn->clients->reader,
                            .conn = conn->slot,
                            .conn_generation = conn->generation,
                            .user = conn->user,
                            .kind = kind,
                            .deadline_us = clock_us() + (uint64_t)conn->timeout_ms * 1000,
                            .cmd_len = len};
    return req;
}

void queue_submit(struct pending *p)
{
    struct shared *s = p->conn->clients->shared;
    struct request *req = p->req;
    p->state = PENDING_LOOP;
    p->req = NULL;
    if (req->kind == REQUEST_ROUND) {
        shared_pass_on(s, req);
        return;
    }
    rcu_queue_push(&s->requests_head, &s->requests_tail, &req->link);
    p->conn->clients->wake_loop = true;
}

enum result queue_request(struct conn *conn, struct request *req, const struct kept_call *only,
                          struct cds_list_head *calls)
{
    struct pending *p = pending_new(conn, calls, only == NULL);
    if (p == NULL) {
        request_free(conn->clients->shared, req);
        return RESULT_BUSY;
    }
    if (only != NULL) {
        p->only = *only;
        cds_list_add_tail(&p->only.link, &p->calls);
    }
    p->req = req;
    req->client_tag = (uintptr_t)p;
    p->state = PENDING_HELD;
    if (conn->reads == 0)
        queue_submit(p);
    return RESULT_OK;
}

enum result queue_write(struct conn *conn, const struct command *only, struct cds_list_head *calls,
                        const struct cmd_build *b)
{
    const struct kept_call one = {.call = {.command = only},
                                  .tale = {.shape = b->shape, .n = b->operations}};
    struct cmd_item items[CMD_CONDITIONS_MAX + CMD_OPERATIONS_MAX];
    struct cmd cmd = {.flags = b->connection != 0 ? CMD_HAS_CONNECTION : 0,
                      .conditions = (uint8_t)b->conditions,
                      .operations = (uint8_t)b->operations,
                      .connection = b->connection};
    const struct cmd_item *all = b->operation;
    if (b->token != NULL) {
        cmd.flags = CMD_HAS_TOKEN;
        cmd.token = *b->token;
    }
    if (b->conditions > 0) {
        memcpy(items, b->condition, b->conditions * sizeof *items);
        memcpy(items + b->conditions, b->operation, b->operations * sizeof *items);
        all = items;
    }
    size_t size = cmd_size(&cmd, all);
    if (size > CMD_MAX_BYTES)
        return RESULT_TOO_LARGE;
    struct request *req = request_new(conn, REQUEST_WRITE, (uint32_t)size);
    if (req == NULL)
        return RESULT_BUSY;
    (void)cmd_encode(req->cmd, &cmd, all);
    enum result result = queue_request(conn, req, only != NULL ? &one : NULL, calls);
    if (result == RESULT_OK)
        rcu_container(conn->pending.prev, struct pending, link)->once = b->token != NULL;
    return result;
}

/* The first in the queue was a read: behind it all writes were held, up to the next read. */
static void release(struct conn *conn)
{
    struct cds_list_head *at;
    cds_list_for_each(at, &conn->pending)
    {
        struct pending *p = rcu_container(at, struct pending, link);
        if (p->state != PENDING_HELD)
            return;
        queue_submit(p);
    }
}

/* What a connection is in claims stands in its command, as the node has sent it. */
static struct holder holder_of(const struct request *req, uint64_t connection)
{
    struct cmd cmd;
    int rc = cmd_decode(req->cmd, req->cmd_len, &cmd);
    assert(rc == 0);
    (void)rc;
    return (struct holder){cmd.origin, cmd.process, connection};
}

/* The main loop has done what it could to free a connection. */
static void take_freed(struct gone *g, const struct request *req)
{
    g->asked = false;
    if (req->result == RESULT_OK)
        g->holder = holder_of(req, g->holder.connection);
}

/* The answer to a command about claims. True: it is a lock's, which is now looked at by clients_lock.c. */
static bool take_claim(struct pending *p, const struct request *req)
{
    struct conn *conn = p->conn;
    if (req->result == RESULT_UNKNOWN)
        conn->doubt = true;
    if (req->result == RESULT_OK)
        conn->holder = holder_of(req, conn->talker.id);
    /* Its place was not given back, so it may still get the lock. */
    if (p->lock != NULL && p->lock->gives_up && p->refused != RESULT_OK &&
        p->refused != RESULT_REFUSED)
        p->refused = RESULT_UNKNOWN;
    if (p->lock == NULL || p->lock->gives_up || req->result != RESULT_OK)
        return false;
    p->state = PENDING_LOCK;
    cds_list_add_tail(&p->parked, &conn->clients->locks);
    return true;
}

/* The answer to a command of a connection that has ended. If it is the last one, and it is known what became
 * of all of them, nothing more comes of that connection. */
static void take_late(struct clients *c, const struct request *req)
{
    struct cds_list_head *at;
    uint64_t id = conn_id(c, req->conn_generation);
    cds_list_for_each(at, &c->gone)
    {
        struct gone *g = rcu_container(at, struct gone, link);
        if (g->holder.connection != id || g->under_way == 0)
            continue;
        if (req->kind == REQUEST_WRITE && req->result == RESULT_OK)
            g->holder = holder_of(req, id);
        g->doubt |= req->result == RESULT_UNKNOWN;
        if (--g->under_way == 0 && !g->doubt)
            g->late_us = 0;
        return;
    }
}

void requests_take_answers(struct clients *c)
{
    struct cds_wfcq_node *node;
    while ((node = rcu_queue_pop(&c->me->answers_head, &c->me->answers_tail)) != NULL) {
        struct request *req = rcu_container(node, struct request, link);
        if (req->kind == REQUEST_ROUND && req->round->next <= c->shared->n_readers) {
            cds_list_add_tail(&req->round->link, &c->rounds);
            continue;
        }
        assert(req->conn <= CLIENTS_NOBODY);
        if (req->conn == CLIENTS_NOBODY) {
            take_freed((struct gone *)(uintptr_t)req->client_tag, req); /* NOLINT */
            request_free(c->shared, req);
            continue;
        }
        struct conn *conn = c->conns[req->conn];
        if (conn == NULL || conn->generation != req->conn_generation) {
            take_late(c, req);
            request_free(c->shared, req);
            continue;
        }
        /* Nothing leaves the queue of a connection that lives before it is answered. */
        struct pending *p = (struct pending *)(uintptr_t)req->client_tag; /* NOLINT */
        p->req = req;
        p->refused = req->result == RESULT_NO_KEY ? RESULT_OK : req->result;
        if (conn->gone == NULL || req->kind != REQUEST_WRITE || !take_claim(p, req))
            ready(p);
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* What an answer is made of. */
struct saying {
    struct conn *conn;
    const struct call *call; /* of a read that did not wait, or NULL */
    const struct pending *p; /* what waited, or NULL */
    struct sight sight;      /* of reads */
};

static void show(const struct saying *s, const struct call *call, struct resp_out *out)
{
    const struct command *command = call->command;
    if (command->kind == COMMAND_LOCAL)
        command->run(&s->conn->talker, call, out);
    else
        command->show(&s->sight, call, out);
}

static void tell(const struct saying *s, const struct kept_call *k, struct resp_out *out)
{
    const struct request *req = s->p->req;
    struct tale tale = k->tale;
    tale.outcome = req->results.outcome;
    tale.at = req->results.at;
    tale.revision = req->results.revision;
    tale.cluster_ms = req->results.cluster_ms;
    tale.told = req->results.told != NULL ? req->results.told + k->first : NULL;
    tale.transaction = req->cmd;
    tale.transaction_len = req->cmd_len;
    if (k->call.command->kind == COMMAND_LOCAL)
        k->call.command->run(&s->conn->talker, &k->call, out);
    else
        k->call.command->tell(&tale, out);
}

/* All keys of WATCH are as they were then. */
static bool as_watched(const struct saying *s)
{
    struct cds_list_head *at;
    cds_list_for_each(at, &s->p->watched)
    {
        const struct watched *w = rcu_container(at, struct watched, link);
        const struct kv_object *o = kv_get(s->sight.view, w->key, w->len);
        if ((o != NULL ? o->modify_revision : 0) != w->revision)
            return false;
    }
    return true;
}

/* The revision, 0 if nothing was done; whether that was earlier; and the answer, nil if it is not known
 * any more. */
static void say_once(const struct saying *s, struct resp_out *out)
{
    const struct results *r = &s->p->req->results;
    bool done = s->p->refused == RESULT_OK;
    resp_array(out, 3);
    resp_int(out, done ? (int64_t)r->revision : 0);
    resp_int(out, r->repeated);
    if (r->repeated || (done && r->told == NULL))
        resp_null(out);
    else
        tell(s, rcu_container(s->p->calls.next, struct kept_call, link), out);
}

static void say_calls(const void *what, struct resp_out *out)
{
    const struct saying *s = what;
    const struct pending *p = s->p;
    struct cds_list_head *at;
    size_t n = 0;
    if (s->call != NULL) {
        show(s, s->call, out);
        return;
    }
    if (p->once) {
        say_once(s, out);
        return;
    }
    if (p->exec && p->req == NULL && !as_watched(s)) {
        resp_null_array(out);
        return;
    }
    cds_list_for_each(at, &p->calls) n++;
    if (p->exec)
        resp_array(out, n);
    cds_list_for_each(at, &p->calls)
    {
        const struct kept_call *k = rcu_container(at, struct kept_call, link);
        if (p->req == NULL)
            show(s, &k->call, out);
        else
            tell(s, k, out);
    }
}

/* Of all calls. */
static bool any_scans(const struct saying *s)
{
    struct cds_list_head *at;
    if (s->call != NULL)
        return (s->call->command->flags & COMMAND_SCANS) != 0;
    cds_list_for_each(at, &s->p->calls)
    {
        if ((rcu_container(at, struct kept_call, link)->call.command->flags & COMMAND_SCANS) != 0)
            return true;
    }
    return false;
}

/* An answer that may be older than what the node knew before it started must say so, and few can. */
static bool says_how_old(const struct saying *s)
{
    const struct call *call = s->call;
    if (call == NULL && !s->p->exec)
        call = &rcu_container(s->p->calls.next, struct kept_call, link)->call;
    return call != NULL && (call->command->flags & COMMAND_MARKS) != 0;
}

static enum blocked answer_reads(struct saying *s, bool local)
{
    struct clients *c = s->conn->clients;
    struct shared *shared = c->shared;
    bool scans = any_scans(s);
    if (scans && c->list_work <= 0)
        return BLOCKED_LIST;
    /* To be asked before the state is looked at, which may be newer then. */
    s->sight.whole = !local || atomic_load_explicit(&shared->local_reads, memory_order_acquire);
    if (!s->sight.whole &&
        !(says_how_old(s) && atomic_load_explicit(&shared->old_reads, memory_order_acquire))) {
        answer_error(s->conn, result_text(c, RESULT_NOT_YET, false));
        return BLOCKED_NOT;
    }
    int before = c->work;
    size_t len = output_pending(s->conn);
    rcu_enter();
    s->sight.view = kv_view(shared->kv);
    s->sight.cursors = shared->cursors;
    uint64_t ahead_us = atomic_load_explicit(&shared->cluster_ahead_us, memory_order_relaxed);
    s->sight.cluster_ms = max_u64(s->sight.view->cluster_ms, (clock_us() + ahead_us) / 1000);
    enum blocked blocked = answer(s->conn, say_calls, s);
    rcu_leave();
    if (scans) { /* what found no room was looked at, too */
        c->work -= 1 + (int)((output_pending(s->conn) - len) / CLIENTS_WORK_LIST_BYTES);
        c->list_work -= before - c->work;
    }
    return blocked;
}

enum blocked read_now(struct conn *conn, const struct call *call)
{
    return answer_reads(&(struct saying){.conn = conn, .call = call}, true);
}

/* The main loop did something else than a write. */
static void say_request(const void *what, struct resp_out *out)
{
    const struct request *req = what;
    if (req->kind == REQUEST_CHANGE)
        resp_int(out, (int64_t)req->results.revision);
    else if (req->result == RESULT_NO_KEY)
        resp_null(out);
    else
        resp_bulk(out, req->cmd, req->body_len);
}

static void say_round(const void *what, struct resp_out *out)
{
    const struct round *r = what;
    if (!r->kills)
        resp_verbatim(out, r->text, r->len);
    else if (!r->plain)
        resp_int(out, r->killed);
    else if (r->killed > 0)
        resp_simple(out, "OK");
    else
        resp_error(out, "ERR No such client");
}

enum blocked answer_round(struct conn *conn, const struct request *req)
{
    enum blocked blocked = BLOCKED_NOT;
    if (req->result != RESULT_OK)
        answer_error(conn, result_text(conn->clients, req->result, false));
    else
        blocked = answer(conn, say_round, req->round);
    if (blocked == BLOCKED_NOT && req->round->ends_asker)
        conn_hang_up(conn); /* which sends the answer first */
    return blocked;
}

/* The connection holds the lock: its fence, and for how many milliseconds at least. Or it does not. */
static void say_lock(const void *what, struct resp_out *out)
{
    const struct lock_wait *w = what;
    uint64_t now = clock_us();
    if (w->fence == 0) {
        resp_null(out);
        return;
    }
    resp_array(out, 2);
    resp_int(out, (int64_t)w->fence);
    resp_int(out, w->lease_us > now ? (int64_t)((w->lease_us - now) / 1000) : 0);
}

/* Why the state did not allow a write. NULL: a condition did not hold. */
static const char *refusal_text(const struct request *req)
{
    switch (req->results.outcome) {
    case MACHINE_NOT_NUMBER: return "ERR value is not an integer or out of range";
    case MACHINE_OVERFLOW: return "ERR increment or decrement would overflow";
    case MACHINE_TOO_MUCH: return "TOOBIG nothing was done: the answer would be too long";
    case MACHINE_CONDITION: return NULL;
    case MACHINE_NOT_HELD: return "NOTHELD this connection does not hold the lock with this fence";
    case MACHINE_LOCKS_FULL: return "FULL nothing was done: too many hold something, or wait";
    default: return "REFUSED nothing was done: the state did not allow it";
    }
}

/* It would be answered from what its operations told, and that is lost. */
static bool is_untold(const struct pending *p)
{
    return p->req->kind == REQUEST_WRITE && !p->once && p->lock == NULL &&
           p->req->results.told == NULL;
}

static enum blocked answer_request(const struct pending *p)
{
    struct conn *conn = p->conn;
    const struct request *req = p->req;
    const char *error = NULL;
    if (req->kind == REQUEST_ROUND)
        return answer_round(conn, req);
    bool tried = p->lock != NULL && p->refused == RESULT_REFUSED &&
                 (req->results.outcome == MACHINE_TAKEN || p->lock->gives_up);
    if (tried) {
        return answer(conn, say_lock, p->lock);
    } else if (p->refused == RESULT_REFUSED && req->kind == REQUEST_CHANGE) {
        (void)snprintf(conn->clients->why, CLIENTS_WHY_BYTES, "REFUSED %.*s", (int)req->body_len,
                       (const char *)req->cmd);
        error = conn->clients->why;
    } else if (p->refused == RESULT_REFUSED) {
        error = refusal_text(req);
    } else if (req->results.outcome == MACHINE_TOO_OLD) {
        error = "CANTTELL this write may have been done or not: its token is too old, or of "
                "another cluster";
    } else if (p->refused != RESULT_OK) {
        error = result_text(conn->clients, p->refused, true);
    } else if (is_untold(p)) {
        error = "UNKNOWN the command is in the log, but what it did is not known any more";
    }
    if (error != NULL)
        answer_error(conn, error);
    else if (p->refused == RESULT_REFUSED && p->exec)
        answer_null_array(conn);
    else if (p->lock != NULL)
        return answer(conn, say_lock, p->lock);
    else if (req->kind != REQUEST_WRITE)
        return answer(conn, say_request, req);
    else
        return answer(conn, say_calls, &(struct saying){.conn = conn, .p = p});
    return BLOCKED_NOT;
}

/* It was told that it holds a lock, and in RESP3 it goes on to be told; or it has given one back. */
static void follow_lock(struct pending *p)
{
    struct lock_wait *w = p->lock;
    if (p->gives)
        held_given(p->conn, p->req, p->refused == RESULT_OK);
    if (w == NULL || w->fence == 0 || p->conn->answers.version < 3)
        return;
    p->lock = NULL;
    atomic_fetch_sub(&p->conn->clients->me->watchers, 1);
    held_keep(p->conn, w);
}

void queue_serve(struct conn *conn)
{
    struct pending *p = first(conn);
    bool read = is_read(p);
    conn->clients->work--;
    conn->blocked = BLOCKED_NOT; /* what is behind may have waited for this one */
    if (!read)
        conn->blocked = answer_request(p);
    else if (p->refused == RESULT_OK)
        conn->blocked = answer_reads(&(struct saying){.conn = conn, .p = p}, p->local);
    else
        answer_error(conn, result_text(conn->clients, p->refused, false));
    if (conn->blocked != BLOCKED_NOT)
        return;
    follow_lock(p);
    pending_free(p);
    if (read)
        release(conn);
}

/* --- ends ------------------------------------------------------------------------------------- */

void queues_stop(struct clients *c)
{
    reads_expire(c, NEVER, RESULT_NO_LEADER);
    for (unsigned i = 0; i < CLIENTS_SLOTS; i++) {
        struct conn *conn = c->conns[i];
        struct cds_list_head *at;
        if (conn == NULL)
            continue;
        cds_list_for_each(at, &conn->pending)
        {
            struct pending *p = rcu_container(at, struct pending, link);
            if (p->state == PENDING_HELD || is_read(p))
                p->refused = RESULT_NO_LEADER;
            if (p->state == PENDING_HELD)
                p->state = PENDING_READY;
        }
        conn->blocked = BLOCKED_NOT;
        while (queue_ready(conn) && conn->blocked == BLOCKED_NOT)
            queue_serve(conn);
    }
}

void queue_drop(struct conn *conn)
{
    while (!cds_list_empty(&conn->pending))
        pending_free(first(conn));
}
