/* clients_request.c: see clients_impl.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/base/bytes.h"
#include "raftd/base/clock.h"
#include "raftd/base/member_change.h"
#include "raftd/state/cmd.h"
#include "raftd/base/rcu.h"
#include "raftd/node/request.h"

/* --- reads ------------------------------------------------------------------------------------ */

static struct read *first_read(struct cds_list_head *list)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that read_free() takes reads off lists */
    return cds_list_empty(list) ? NULL : rcu_container(list->next, struct read, link);
}

static void read_free(struct clients *c, struct read *r)
{
    assert(r->conn->ops > 0);
    users_give(&c->shared->users, r->conn->user, USERS_READS, 1);
    r->conn->ops--;
    cds_list_del(&r->link);
    free(r);
}

/* Puts a read aside until the main loop confirms its ticket. */
static void park(struct conn *conn, const struct proto_request *w)
{
    struct clients *c = conn->clients;
    struct read *r = NULL;
    bool may = users_take(&c->shared->users, conn->user, USERS_READS, 1);
    if (may)
        r = malloc(sizeof *r + w->key_len + w->part_len);
    if (r == NULL) {
        if (may)
            users_give(&c->shared->users, conn->user, USERS_READS, 1);
        answer_result(conn, w->tag, RESULT_BUSY, 0);
        return;
    }
    *r = (struct read){.conn = conn, .want = *w};
    memcpy(r->bytes, w->key, w->key_len);
    memcpy(r->bytes + w->key_len, w->part, w->part_len);
    r->want.key = r->bytes;
    r->want.part = r->bytes + w->key_len;
    conn->ops++;
    uint64_t announced = atomic_load_explicit(&c->me->read_want, memory_order_relaxed);
    if (c->ticket == announced)
        c->ticket++; /* the first read of this iteration */
    r->ticket = c->ticket;
    r->deadline_us = clock_us() + (uint64_t)w->timeout_ms * 1000;
    clients_due_at(c, r->deadline_us);
    cds_list_add_tail(&r->link, &c->parked);
}

bool clients_left_out(const struct clients *c)
{
    rcu_enter();
    bool out = status_left_out(rcu_get(c->shared->status));
    rcu_leave();
    return out;
}

static enum blocked on_read(struct conn *conn, const struct proto_request *rq)
{
    if (rq->key_len > CMD_KEY_MAX_BYTES || rq->part_len > CMD_KEY_MAX_BYTES)
        answer_result(conn, rq->tag, RESULT_TOO_LARGE, 0);
    else if ((rq->flags & PROTO_STALE) &&
             !atomic_load_explicit(&conn->clients->shared->local_reads, memory_order_acquire) &&
             !atomic_load_explicit(&conn->clients->shared->old_reads, memory_order_acquire))
        answer_not_yet(conn, rq->tag);
    else if (rq->flags & PROTO_STALE)
        return answer_read(conn, rq);
    else if (conn->ops >= CLIENTS_CONN_OPS_MAX)
        answer_result(conn, rq->tag, RESULT_BUSY, 0);
    else if (clients_left_out(conn->clients))
        answer_result(conn, rq->tag, RESULT_NO_LEADER, 0);
    else
        park(conn, rq);
    return BLOCKED_NOT;
}

void read_serve(struct conn *conn)
{
    struct read *r = first_read(&conn->ready);
    conn->clients->work--;
    conn->blocked = answer_read(conn, &r->want);
    if (conn->blocked == BLOCKED_NOT)
        read_free(conn->clients, r);
}

struct conn *read_confirmed(struct clients *c)
{
    struct read *r = first_read(&c->parked);
    if (r == NULL || r->ticket > atomic_load_explicit(&c->me->read_done, memory_order_acquire))
        return NULL;
    cds_list_del(&r->link);
    cds_list_add_tail(&r->link, &r->conn->ready);
    return r->conn;
}

void reads_expire(struct clients *c, uint64_t now, const struct conn *gone, enum result result)
{
    struct cds_list_head *at, *next;
    cds_list_for_each_safe(at, next, &c->parked)
    {
        struct read *r = rcu_container(at, struct read, link);
        if (r->conn != gone && r->deadline_us > now) {
            clients_due_at(c, r->deadline_us);
            continue;
        }
        if (r->conn != gone)
            answer_result(r->conn, r->want.tag, result, 0);
        read_free(c, r);
    }
}

void reads_stop(struct clients *c)
{
    struct read *r;
    reads_expire(c, NEVER, NULL, RESULT_STOPPING);
    for (unsigned i = 0; i < CLIENTS_SLOTS; i++)
        while (c->conns[i] != NULL && (r = first_read(&c->conns[i]->ready)) != NULL) {
            answer_result(r->conn, r->want.tag, RESULT_STOPPING, 0);
            read_free(c, r);
        }
}

/* --- writes ----------------------------------------------------------------------------------- */

/* Hands a complete write over to the main loop, if its user has not too many under way. */
static void submit(struct conn *conn, struct request *req)
{
    struct shared *s = conn->clients->shared;
    bool may = users_take(&s->users, req->user, USERS_WRITES, 1);
    if (may && !users_take(&s->users, req->user, USERS_WRITE_BYTES, req->cmd_len)) {
        users_give(&s->users, req->user, USERS_WRITES, 1);
        may = false;
    }
    if (!may) {
        conn->ops--;
        answer_result(conn, req->client_tag, RESULT_BUSY, 0);
        free(req);
        return;
    }
    rcu_queue_push(&s->requests_head, &s->requests_tail, &req->link);
    conn->clients->wake_loop = true;
}

static size_t request_bytes(const struct request *req)
{
    return sizeof *req + req->cmd_len;
}

static void part_give(struct conn *conn)
{
    users_give(&conn->clients->shared->users, conn->user, USERS_PART_BYTES,
               request_bytes(conn->part));
}

/* Forgets the value that is arriving in parts. */
static void part_drop(struct conn *conn)
{
    if (conn->part != NULL) {
        part_give(conn);
        conn->ops--;
        free(conn->part);
    }
    conn->part = NULL;
    conn->part_left = 0;
}

/* A request with room for a command of `len` bytes. NULL without memory. */
static struct request *request_new(struct conn *conn, const struct proto_request *rq, uint32_t len)
{
    struct request *req = malloc(sizeof *req + len);
    if (req != NULL)
        *req = (struct request){.reader = conn->clients->reader,
                                .conn = conn->slot,
                                .conn_generation = conn->generation,
                                .client_tag = rq->tag,
                                .user = conn->user,
                                .deadline_us = clock_us() + (uint64_t)rq->timeout_ms * 1000,
                                .cmd_len = len};
    return req;
}

/* A request with the command of a write, whose value is still to be copied in. NULL without memory. */
static struct request *write_new(struct conn *conn, const struct proto_request *rq)
{
    uint32_t len = (uint32_t)CMD_ONE_BYTES + rq->key_len + rq->value_len;
    struct request *req = request_new(conn, rq, len);
    if (req == NULL)
        return NULL;
    cmd_encode_one(req->cmd, &(struct cmd_item){.kind = rq->op == PROTO_PUT ? CMD_PUT : CMD_DELETE,
                                                .key = rq->key,
                                                .key_len = rq->key_len,
                                                .value_len = rq->value_len});
    return req;
}

/* RESULT_OK if the write may start, or why it may not. */
static enum result check_write(const struct conn *conn, const struct proto_request *rq)
{
    const struct clients *c = conn->clients;
    if (rq->key_len > CMD_KEY_MAX_BYTES || rq->value_len > c->shared->max_value_bytes)
        return RESULT_TOO_LARGE;
    if (conn->ops >= CLIENTS_CONN_OPS_MAX)
        return RESULT_BUSY;
    if (atomic_load_explicit(&c->shared->starting, memory_order_acquire))
        return RESULT_NOT_YET;
    return RESULT_OK;
}

static void on_write(struct conn *conn, const struct proto_request *rq)
{
    struct clients *c = conn->clients;
    uint32_t left = rq->value_len - rq->part_len;
    struct request *req = NULL;
    enum result refused = check_write(conn, rq);
    if (refused == RESULT_OK) {
        req = write_new(conn, rq);
        if (req != NULL && left > 0 &&
            !users_take(&c->shared->users, conn->user, USERS_PART_BYTES, request_bytes(req))) {
            free(req);
            req = NULL;
        }
        if (req == NULL)
            refused = RESULT_BUSY;
    }
    if (refused == RESULT_NOT_YET) {
        answer_not_yet(conn, rq->tag);
    } else if (refused != RESULT_OK) {
        answer_result(conn, rq->tag, refused,
                      refused == RESULT_TOO_LARGE ? c->shared->max_value_bytes : 0);
    } else {
        conn->ops++;
        memcpy(req->cmd + CMD_ONE_BYTES + rq->key_len, rq->part, rq->part_len);
        if (left == 0) {
            submit(conn, req);
            return;
        }
    }
    conn->part = req;
    conn->part_left = left;
    conn->part_tag = rq->tag;
    if (left > 0) {
        conn->part_at_us = clock_us();
        conn->part_deadline_us = conn->part_at_us + (uint64_t)rq->timeout_ms * 1000;
        clients_due_at(c,
                       conn->part_at_us); /* the timer then asks conn_due() when it has to look */
    }
}

void conn_end(struct conn *conn)
{
    part_drop(conn);
    if (conn->user == NULL && !conn->ended)
        conn->clients->n_guests--;
    conn->ended = true;
    ev_io_stop(conn->clients->loop, &conn->in);
    clients_due_at(conn->clients, clock_us() + CLIENTS_LEFT_US);
    conn_mark_dirty(conn);
}

void conn_refuse(struct conn *conn, enum result result)
{
    answer_result(conn, 0, result, 0);
    conn_end(conn);
    (void)shutdown(conn->in.fd, SHUT_RD); /* what the client sends from now on fails at once */
}

static void on_part(struct conn *conn, const struct proto_request *rq)
{
    if (rq->tag != conn->part_tag || rq->part_len > conn->part_left) {
        conn_refuse(conn, RESULT_BAD);
        return;
    }
    struct request *req = conn->part;
    if (req != NULL)
        memcpy(req->cmd + req->cmd_len - conn->part_left, rq->part, rq->part_len);
    conn->part_left -= rq->part_len;
    conn->part_at_us = clock_us();
    if (conn->part_left == 0 && req != NULL) {
        part_give(conn);
        conn->part = NULL;
        submit(conn, req);
    }
}

/* The loop has the leader change the members. */
static void on_change(struct conn *conn, const struct proto_request *rq)
{
    struct member_change change;
    struct request *req = NULL;
    bool good = member_change_decode(rq->key, rq->key_len, &change);
    if (good && conn->ops < CLIENTS_CONN_OPS_MAX)
        req = request_new(conn, rq, REQUEST_WORDS_BYTES);
    if (req == NULL) {
        answer_result(conn, rq->tag, good ? RESULT_BUSY : RESULT_BAD, 0);
        return;
    }
    req->kind = REQUEST_CHANGE;
    req->body_len = rq->key_len;
    memcpy(req->cmd, rq->key, rq->key_len);
    conn->ops++;
    submit(conn, req);
}

/* The main loop reads a part of a snapshot into the place of a command. */
static void on_fetch(struct conn *conn, const struct proto_request *rq)
{
    uint64_t index = get_u64(rq->key), offset = get_u64(rq->key + 8);
    struct request *req = NULL;
    if (offset > INT64_MAX - PROTO_REPLY_BODY_MAX_BYTES) /* no file is so long */
        index = 0;
    if (index != 0 && conn->ops < CLIENTS_CONN_OPS_MAX)
        req = request_new(conn, rq, PROTO_REPLY_BODY_MAX_BYTES);
    if (req == NULL) {
        answer_result(conn, rq->tag, index == 0 ? RESULT_NO_KEY : RESULT_BUSY, 0);
        return;
    }
    req->kind = REQUEST_FETCH;
    req->snapshot = index;
    req->offset = offset;
    conn->ops++;
    submit(conn, req);
}

/* Something that the loop does some time, and status tells of. */
static void on_wish(struct conn *conn, const struct proto_request *rq)
{
    struct shared *s = conn->clients->shared;
    if (rq->op == PROTO_SNAPSHOT)
        atomic_store_explicit(&s->snapshot_asked, true, memory_order_release);
    else if (rq->op == PROTO_DRAIN)
        atomic_store_explicit(&s->drain_asked, true, memory_order_release);
    else
        atomic_store_explicit(&s->transfer_asked,
                              (uint32_t)get_u16(rq->key) << 16 | get_u16(rq->key + 2),
                              memory_order_release);
    conn->clients->wake_loop = true;
    answer_result(conn, rq->tag, RESULT_OK, 0);
}

void writes_take_answers(struct clients *c)
{
    struct cds_wfcq_node *node;
    while ((node = rcu_queue_pop(&c->me->answers_head, &c->me->answers_tail)) != NULL) {
        struct request *req = rcu_container(node, struct request, link);
        assert(req->reader == c->reader && req->conn < CLIENTS_SLOTS);
        users_give(&c->shared->users, req->user, USERS_WRITES, 1);
        users_give(&c->shared->users, req->user, USERS_WRITE_BYTES, req->cmd_len);
        struct conn *conn = c->conns[req->conn];
        if (conn != NULL && conn->generation == req->conn_generation) {
            assert(conn->ops > 0);
            conn->ops--;
            answer_body(conn, &(struct proto_reply){.result = req->result,
                                                    .tag = req->client_tag,
                                                    .modify_revision = req->results.revision,
                                                    .body = req->cmd,
                                                    .body_len = req->body_len});
        }
        results_free(&req->results);
        free(req);
    }
}

/* It needs the main loop, which does not run yet. Writes are judged where their values may come in parts. */
static bool too_early(const struct conn *conn, const struct proto_request *rq)
{
    bool read = rq->op == PROTO_GET || rq->op == PROTO_LIST;
    bool write = rq->op == PROTO_PUT || rq->op == PROTO_DELETE || rq->op == PROTO_PART;
    return rq->op != PROTO_STATUS && !write && !(read && (rq->flags & PROTO_STALE) != 0) &&
           atomic_load_explicit(&conn->clients->shared->starting, memory_order_acquire);
}

/* --- both ------------------------------------------------------------------------------------- */

size_t request_take(struct conn *conn, const uint8_t *buf, size_t len)
{
    struct proto_request rq;
    size_t size = proto_request_decode(buf, len, &rq);
    if (size == 0 || (rq.op == PROTO_PART) != (conn->part_left > 0)) {
        conn_refuse(conn, RESULT_BAD);
        return len;
    }
    if (conn->user == NULL && rq.op != PROTO_STATUS) {
        conn_refuse(conn, RESULT_BUSY);
        return len;
    }
    if (rq.timeout_ms > PROTO_TIMEOUT_MAX_MS)
        rq.timeout_ms = PROTO_TIMEOUT_MAX_MS;
    conn->clients->work--;
    if (too_early(conn, &rq)) {
        answer_not_yet(conn, rq.tag);
        return size;
    }
    switch (rq.op) {
    case PROTO_GET:
    case PROTO_LIST: conn->blocked = on_read(conn, &rq); break;
    case PROTO_PUT:
    case PROTO_DELETE: on_write(conn, &rq); break;
    case PROTO_STATUS: conn->blocked = answer_status(conn, rq.tag, rq.flags); break;
    case PROTO_PART: on_part(conn, &rq); break;
    case PROTO_FETCH: on_fetch(conn, &rq); break;
    case PROTO_MEMBER: on_change(conn, &rq); break;
    case PROTO_SNAPSHOT:
    case PROTO_TRANSFER:
    case PROTO_DRAIN: on_wish(conn, &rq); break;
    default: assert(false); /* the codec lets no other op through */
    }
    return conn->blocked == BLOCKED_NOT ? size : 0;
}

void requests_drop(struct conn *conn)
{
    struct clients *c = conn->clients;
    if (conn->ops > 0)
        reads_expire(c, 0, conn, RESULT_OK);
    while (!cds_list_empty(&conn->ready))
        read_free(c, first_read(&conn->ready));
    part_drop(conn);
}
