/* clients_lock.c: see clients_impl.h. A connection is a holder (holders.h). */
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/state/kv.h"

enum {
    FREE_AGAIN_US = 1000 * 1000, /* what could not be freed is tried again */
    FREE_DEADLINE_US = 5 * 1000 * 1000,
    LATE_US = 600 * 1000 * 1000, /* a command whose end nobody knows is not looked for any longer */
    WAIT_MAX_MS = 24 * 3600 * 1000,
};

/* Queues a command of one operation about claims. False: an error was answered. What it takes to free them
 * at the end of the connection is there before it has any. */
static bool queue_claim(struct conn *conn, const struct call *call, const struct cmd_item *it)
{
    struct cmd_build *b = build_begin(conn);
    struct gone *gone = conn->gone != NULL ? conn->gone : malloc(sizeof *gone);
    enum result result = RESULT_BUSY;
    b->connection = conn->talker.id;
    b->operation[b->operations++] = *it;
    if (gone != NULL && (it->kind == CMD_UNLOCK || conn->clients->n_gone < CLIENTS_GONE_MAX))
        result = queue_write(conn, call->command, NULL, b);
    if (result == RESULT_OK) {
        conn->gone = gone;
        return true;
    }
    if (conn->gone == NULL)
        free(gone);
    answer_error(conn, result_text(conn->clients, result, false));
    return false;
}

/* --- RAFT.LOCK ---------------------------------------------------------------------------------- */

struct wish {
    const struct resp_arg *word; /* or NULL */
    bool tries;
    int64_t wait_ms; /* below 0: as long as it takes */
};

/* NULL: the arguments are good. */
static const char *parse(const struct call *call, struct wish *w)
{
    *w = (struct wish){.wait_ms = -1};
    for (unsigned i = 2; i < call->argc; i++) {
        const struct resp_arg *a = &call->argv[i];
        bool more = i + 1 < call->argc;
        if (resp_is(a, "try"))
            w->tries = true;
        else if (resp_is(a, "value") && more)
            w->word = &call->argv[++i];
        else if (!resp_is(a, "wait") || !more)
            return "ERR syntax error: name [VALUE word] [TRY | WAIT ms]";
        else if (!resp_number(&call->argv[++i], &w->wait_ms) || w->wait_ms < 0 ||
                 w->wait_ms > WAIT_MAX_MS)
            return "ERR WAIT takes 0 to 86400000 milliseconds, a day";
    }
    if (w->word != NULL && w->word->len > CMD_WORD_MAX_BYTES)
        return "TOOBIG the word of a lock has at most 256 bytes";
    return w->tries && w->wait_ms >= 0 ? "ERR syntax error: TRY or WAIT, not both" : NULL;
}

enum blocked lock_take(struct conn *conn, const struct call *call)
{
    const struct resp_arg *name = &call->argv[1];
    struct wish w;
    uint8_t value[1 + CMD_WORD_MAX_BYTES];
    const char *error = parse(call, &w);
    struct lock_wait *wait = error == NULL ? malloc(sizeof *wait) : NULL;
    if (wait == NULL) {
        answer_error(conn, error != NULL ? error : result_text(conn->clients, RESULT_BUSY, false));
        return BLOCKED_NOT;
    }
    value[0] = w.tries ? CMD_LOCK_TRIES : 0;
    if (w.word != NULL)
        memcpy(value + 1, w.word->p, w.word->len);
    const struct cmd_item it = {.kind = CMD_LOCK,
                                .key = name->p,
                                .key_len = (uint16_t)name->len,
                                .value = value,
                                .value_len = 1 + (w.word != NULL ? w.word->len : 0)};
    if (!queue_claim(conn, call, &it)) {
        free(wait);
        return BLOCKED_NOT;
    }
    *wait = (struct lock_wait){.name_len = it.key_len, .until_us = NEVER};
    if (w.wait_ms >= 0)
        wait->until_us = clock_us() + (uint64_t)w.wait_ms * 1000;
    memcpy(wait->name, name->p, name->len);
    queue_last(conn)->lock = wait;
    atomic_fetch_add(&conn->clients->me->watchers, 1); /* a new view wakes this thread */
    atomic_fetch_add(&conn->clients->me->tally.blocked, 1);
    return BLOCKED_NOT;
}

/* Its time is up. False: there is no room for that now. */
static bool give_up(struct pending *p)
{
    struct conn *conn = p->conn;
    uint8_t any[CMD_NUMBER_BYTES] = {0};
    const struct cmd_item it = {.kind = CMD_UNLOCK,
                                .key = p->lock->name,
                                .key_len = p->lock->name_len,
                                .value = any,
                                .value_len = sizeof any};
    const struct cmd cmd = {
        .flags = CMD_HAS_CONNECTION, .operations = 1, .connection = conn->talker.id};
    struct request *req = request_new(conn, REQUEST_WRITE, (uint32_t)cmd_size(&cmd, &it));
    if (req == NULL)
        return false;
    (void)cmd_encode(req->cmd, &cmd, &it);
    req->client_tag = (uintptr_t)p;
    request_free(conn->clients->shared, p->req);
    p->req = req;
    p->lock->gives_up = true;
    cds_list_del_init(&p->parked);
    queue_submit(p);
    return true;
}

/* The connection has the lock, or has lost its place, or goes on waiting. */
static void look(struct pending *p, uint64_t now)
{
    struct lock_wait *w = p->lock;
    struct conn *conn = p->conn;
    struct clients *c = conn->clients;
    struct claim claim;
    unsigned before = 0;
    w->lease_us = held_until(c, &conn->holder, w->name, w->name_len, &w->fence);
    if (w->lease_us != 0) {
        queue_wake(p);
        return;
    }
    rcu_enter();
    bool placed = holders_place(kv_view(c->shared->claims), &conn->holder, w->name, w->name_len,
                                &claim, &before);
    rcu_leave();
    if (!placed) {
        p->refused = RESULT_UNKNOWN; /* it was freed: this node was not heard for long */
        queue_wake(p);
    } else if (w->until_us > now || !give_up(p)) {
        /* It is the first one, and this node's lease is over. */
        clients_due_at(c, before == 0 || w->until_us <= now ? now + HELD_LOOK_US : w->until_us);
    }
}

/* --- the others --------------------------------------------------------------------------------- */

enum blocked lock_give(struct conn *conn, const struct call *call)
{
    const struct resp_arg *name = &call->argv[1];
    uint8_t fence[CMD_NUMBER_BYTES];
    int64_t value;
    if (!resp_number(&call->argv[2], &value) || value < 0) {
        answer_error(conn, "ERR the fence is not a number");
        return BLOCKED_NOT;
    }
    put_u64(fence, (uint64_t)value);
    const struct cmd_item it = {.kind = CMD_UNLOCK,
                                .key = name->p,
                                .key_len = (uint16_t)name->len,
                                .value = fence,
                                .value_len = sizeof fence};
    if (queue_claim(conn, call, &it)) {
        queue_last(conn)->gives = true;
        held_giving(conn, &it);
    }
    return BLOCKED_NOT;
}

enum blocked lock_publish(struct conn *conn, const struct call *call)
{
    const struct resp_arg *key = &call->argv[1], *value = &call->argv[2];
    if (value->len > conn->clients->shared->max_value_bytes) {
        answer_error(conn, result_text(conn->clients, RESULT_TOO_LARGE, false));
        return BLOCKED_NOT;
    }
    (void)queue_claim(conn, call,
                      &(struct cmd_item){.kind = CMD_PUT_HELD,
                                         .key = key->p,
                                         .key_len = (uint16_t)key->len,
                                         .value = value->p,
                                         .value_len = value->len});
    return BLOCKED_NOT;
}

static void say_held(const void *what, struct resp_out *out)
{
    const struct lock_wait *w = what;
    resp_array(out, 2);
    resp_int(out, (int64_t)w->fence);
    resp_int(out, (int64_t)w->lease_us);
}

enum blocked lock_held(struct conn *conn, const struct call *call)
{
    struct lock_wait w = {0};
    uint64_t until = held_until(conn->clients, &conn->holder, call->argv[1].p, call->argv[1].len,
                                &w.fence);
    uint64_t now = clock_us();
    if (until <= now) {
        answer_error(conn, "NOTHELD this connection does not hold the lock");
        return BLOCKED_NOT;
    }
    w.lease_us = (until - now) / 1000; /* what is left, in milliseconds */
    return answer(conn, say_held, &w);
}

static void say_holder(const void *what, struct resp_out *out)
{
    const struct claim *c = what;
    resp_array(out, 4);
    resp_int(out, c->holder.origin);
    resp_int(out, (int64_t)c->holder.connection);
    resp_int(out, (int64_t)c->fence);
    resp_bulk(out, c->word, c->word_len);
}

static void say_nobody(const void *what, struct resp_out *out)
{
    (void)what;
    resp_null(out);
}

/* As this node knows it. */
enum blocked lock_holder(struct conn *conn, const struct call *call)
{
    struct claim claim;
    rcu_enter();
    bool held = holders_lock(kv_view(conn->clients->shared->claims), call->argv[1].p,
                             call->argv[1].len, &claim);
    enum blocked blocked = answer(conn, held ? say_holder : say_nobody, &claim);
    rcu_leave();
    return blocked;
}

/* --- the end of a connection -------------------------------------------------------------------- */

/* Asks the main loop to end what a connection had. */
static void free_claims(struct clients *c, struct gone *g)
{
    uint8_t key[CMD_CONNECTION_BYTES];
    const struct cmd_item it = {.kind = CMD_FREE_CONNECTION, .key = key, .key_len = sizeof key};
    const struct cmd cmd = {.operations = 1};
    size_t size = cmd_size(&cmd, &it);
    struct request *req = malloc(sizeof *req + size);
    uint64_t now = clock_us();
    g->again_us = now + FREE_AGAIN_US;
    clients_due_at(c, g->again_us);
    if (req == NULL)
        return;
    *req = (struct request){.reader = c->reader,
                            .conn = CLIENTS_NOBODY,
                            .client_tag = (uintptr_t)g,
                            .kind = REQUEST_WRITE,
                            .deadline_us = now + FREE_DEADLINE_US,
                            .cmd_len = (uint32_t)size};
    put_u64(key, g->holder.connection);
    (void)cmd_encode(req->cmd, &cmd, &it);
    g->asked = true;
    rcu_queue_push(&c->shared->requests_head, &c->shared->requests_tail, &req->link);
    c->wake_loop = true;
}

/* The connection has something, or it is not known. */
static bool has_claims(const struct clients *c, const struct gone *g)
{
    struct claim claim;
    rcu_enter();
    bool has = g->holder.process == 0 ||
               holders_of_connection(kv_view(c->shared->claims), &g->holder, &claim);
    rcu_leave();
    return has;
}

/* One that has given back what it had costs nothing more. */
void lock_close(struct conn *conn)
{
    struct clients *c = conn->clients;
    held_forget(conn);
    unsigned under_way = queue_in_loop(conn);
    bool late = conn->doubt || under_way > 0;
    struct gone *g = conn->gone;
    if (g == NULL)
        return;
    *g = (struct gone){.holder = conn->holder,
                       .late_us = late ? clock_us() + LATE_US : 0,
                       .under_way = under_way,
                       .doubt = conn->doubt};
    conn->gone = NULL;
    if (c->ends || (!late && (g->holder.process == 0 || !has_claims(c, g)))) {
        free(g);
        return;
    }
    g->holder.connection = conn->talker.id;
    cds_list_add_tail(&g->link, &c->gone);
    c->n_gone++;
    free_claims(c, g);
}

static void look_at_gone(struct clients *c, struct gone *g, uint64_t now)
{
    if (g->asked)
        return;
    bool has = has_claims(c, g);
    if (!has && g->late_us <= now) {
        cds_list_del(&g->link);
        c->n_gone--;
        free(g);
        return;
    }
    if (has && g->again_us <= now)
        free_claims(c, g);
    if (g->again_us <= now)
        g->again_us = now + FREE_AGAIN_US;
    clients_due_at(c, g->again_us);
}

void locks_look(struct clients *c)
{
    struct cds_list_head *at, *next;
    uint64_t now = clock_us();
    cds_list_for_each_safe(at, next, &c->locks)
        look(rcu_container(at, struct pending, parked), now);
    cds_list_for_each_safe(at, next, &c->gone)
        look_at_gone(c, rcu_container(at, struct gone, link), now);
}

void locks_free(struct clients *c)
{
    struct cds_list_head *at, *next;
    cds_list_for_each_safe(at, next, &c->gone) free(rcu_container(at, struct gone, link));
}
