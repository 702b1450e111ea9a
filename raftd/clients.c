/* clients.c: see clients.h.
 *
 * One iteration of the loop: packets are received and handled, answers that the main loop sent are
 * taken, and all of that only fills output queues. Then flush(), which runs before the loop blocks,
 * announces new reads, wakes the main loop once, sends all answers and closes what is to be closed.
 * So no connection disappears under a function that works on it.
 */
#include "raftd/clients.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raftd/clock.h"
#include "raftd/cmd.h"
#include "raftd/kv.h"
#include "raftd/outq.h"
#include "raftd/proto.h"
#include "raftd/rcu.h"
#include "raftd/request.h"

#define NEVER UINT64_MAX

/* A read (get or list). key and after point into the packet, or into a waiting read's bytes. */
struct want {
    uint8_t op;
    uint16_t key_len;
    uint16_t after_len;
    uint64_t tag;
    const uint8_t *key;
    const uint8_t *after;
};

struct read {
    struct read *next;
    struct conn *conn;
    uint64_t ticket; /* may be served when read_done reaches it; 0 = now */
    uint64_t deadline_us;
    struct want want;
    uint8_t bytes[];
};

/* First in, first out. */
struct reads {
    struct read *first;
    struct read **end; /* the pointer that a new one is put into */
};

struct conn {
    ev_io in;
    ev_io out; /* active while the socket is full */
    struct clients *clients;
    uint32_t slot;
    uint64_t generation;
    unsigned ops;       /* unanswered requests */
    unsigned waiting;   /* of them reads in clients->parked */
    struct reads ready; /* reads that may be served, but the output is full */
    struct outq outq;
    uint64_t stalled_us; /* since when it takes no answer, NEVER = it does */
    struct conn *next_dirty;
    bool dirty;  /* flush() has something to do */
    bool hangup; /* close after a last try to send */

    /* A value that arrives in parts. */
    struct request *part; /* NULL while part_left counts bytes of a refused one */
    uint32_t part_left;
    uint64_t part_tag;
    uint64_t part_deadline_us;
};

struct clients {
    struct ev_loop *loop;
    struct shared *shared;
    struct shared_reader *me;
    unsigned reader;
    ev_io accept;
    ev_async wake;
    ev_prepare prepare;
    ev_timer timer;
    uint64_t timer_us;   /* earliest moment when something may be due */
    uint64_t armed_us;   /* what the timer is set to */
    uint64_t accept_us;  /* accepting pauses until then, NEVER = it does not */
    uint64_t generation; /* of the newest connection */
    uint64_t ticket;     /* newest given to a read */
    bool wake_loop;
    unsigned n_conns;
    unsigned n_reads; /* struct read that exist */
    size_t parts_bytes;
    struct reads parked; /* linearizable reads in order of ticket */
    struct conn *dirty;
    struct conn *conns[CLIENTS_CONNS_MAX];
    struct mmsghdr msgs[CLIENTS_BATCH];
    struct iovec iovs[CLIENTS_BATCH];
    uint8_t packets[CLIENTS_BATCH][PROTO_PACKET_MAX_BYTES];
};

static void due_at(struct clients *c, uint64_t t_us)
{
    if (t_us < c->timer_us)
        c->timer_us = t_us;
}

static void reads_init(struct reads *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void reads_push(struct reads *q, struct read *r)
{
    r->next = NULL;
    *q->end = r;
    q->end = &r->next;
}

/* Takes out the read that `at` (a link of q) names. */
static struct read *reads_take(struct reads *q, struct read **at)
{
    struct read *r = *at;
    *at = r->next;
    if (q->end == &r->next)
        q->end = at;
    return r;
}

static void read_free(struct clients *c, struct read *r)
{
    assert(c->n_reads > 0 && r->conn->ops > 0);
    c->n_reads--;
    r->conn->ops--;
    free(r);
}

static void mark_dirty(struct conn *conn)
{
    if (conn->dirty)
        return;
    conn->dirty = true;
    conn->next_dirty = conn->clients->dirty;
    conn->clients->dirty = conn;
}

static void hang_up(struct conn *conn)
{
    conn->hangup = true;
    ev_io_stop(conn->clients->loop, &conn->in);
    mark_dirty(conn);
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool output_full(const struct conn *conn)
{
    return outq_pending(&conn->outq) >= CLIENTS_OUT_MAX_BYTES;
}

/* Queues a whole answer, in as many packets as it needs. */
static void answer(struct conn *conn, const struct proto_reply *whole)
{
    struct proto_reply r = *whole;
    size_t left = whole->body_len;
    do {
        r.body_len = left < PROTO_REPLY_BODY_MAX_BYTES ? left : PROTO_REPLY_BODY_MAX_BYTES;
        left -= r.body_len;
        r.flags = (uint8_t)(whole->flags | (left > 0 ? PROTO_MORE : 0));
        uint8_t *p = outq_reserve(&conn->outq, PROTO_REPLY_HEAD_BYTES + r.body_len);
        if (!p) {
            hang_up(conn);
            return;
        }
        outq_commit(&conn->outq, proto_reply_encode(p, &r));
        if (r.body_len > 0)
            r.body += r.body_len;
    } while (left > 0);
    mark_dirty(conn);
}

static uint16_t leader_hint(struct clients *c)
{
    rcu_enter();
    uint16_t leader = rcu_get(c->shared->status)->leader;
    rcu_leave();
    return leader;
}

static void answer_result(struct conn *conn, uint64_t tag, enum result result, uint64_t revision)
{
    answer(conn, &(struct proto_reply){.result = result,
                                       .leader = leader_hint(conn->clients),
                                       .tag = tag,
                                       .modify_revision = revision});
}

/* The bytes make no sense: there is no way to find the next request. */
static void refuse_conn(struct conn *conn, enum result result)
{
    answer_result(conn, 0, result, 0);
    hang_up(conn);
}

static void answer_status(struct conn *conn, uint64_t tag)
{
    char text[STATUS_TEXT_MAX_BYTES];
    if (output_full(conn)) {
        answer_result(conn, tag, RESULT_BUSY, 0);
        return;
    }
    rcu_enter();
    const struct status *s = rcu_get(conn->clients->shared->status);
    size_t len = status_print(s, clock_us(), text, sizeof(text));
    uint16_t leader = s->leader;
    rcu_leave();
    answer(conn, &(struct proto_reply){
                     .leader = leader, .tag = tag, .body = (const uint8_t *)text, .body_len = len});
}

static void answer_get(struct conn *conn, const struct want *w)
{
    rcu_enter();
    const struct kv_object *o = kv_get(conn->clients->shared->kv, w->key, w->key_len);
    if (o)
        answer(conn, &(struct proto_reply){.leader = leader_hint(conn->clients),
                                           .tag = w->tag,
                                           .create_revision = o->create_revision,
                                           .modify_revision = o->modify_revision,
                                           .body = kv_value(o),
                                           .body_len = o->value_len});
    else
        answer_result(conn, w->tag, RESULT_NO_KEY, 0);
    rcu_leave();
}

/* Encodes objects up to a full page: *n becomes how many. NULL without memory. */
static uint8_t *encode_page(const struct kv_object **list, size_t *n, size_t *size)
{
    size_t total = 0, count = 0;
    while (count < *n && total < PROTO_LIST_PAGE_BYTES) {
        total += (size_t)PROTO_ITEM_HEAD_BYTES + list[count]->key_len + list[count]->value_len;
        count++;
    }
    uint8_t *page = malloc(total + 1);
    if (!page)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        at += proto_item_encode(page + at, &(struct proto_item){
                                               .key_len = list[i]->key_len,
                                               .value_len = list[i]->value_len,
                                               .create_revision = list[i]->create_revision,
                                               .modify_revision = list[i]->modify_revision,
                                               .key = list[i]->bytes,
                                               .value = kv_value(list[i]),
                                           });
    assert(at == total);
    *n = count;
    *size = total;
    return page;
}

static void answer_list(struct conn *conn, const struct want *w)
{
    struct kv_range range = {w->key, w->key_len, w->after, w->after_len};
    const struct kv_object **list = NULL;
    uint8_t *page = NULL;
    size_t found = 0, size = 0, taken = 0;
    rcu_enter();
    if (kv_list(conn->clients->shared->kv, &range, &list, &found) == 0) {
        taken = found;
        page = encode_page(list, &taken, &size);
    }
    rcu_leave();
    if (page)
        answer(conn, &(struct proto_reply){.flags = taken < found ? PROTO_PARTIAL : 0,
                                           .leader = leader_hint(conn->clients),
                                           .tag = w->tag,
                                           .body = page,
                                           .body_len = size});
    else
        answer_result(conn, w->tag, RESULT_BUSY, 0);
    free(page);
    free(list);
}

static void serve(struct conn *conn, const struct want *w)
{
    if (w->op == PROTO_GET)
        answer_get(conn, w);
    else
        answer_list(conn, w);
}

/* --- reads ------------------------------------------------------------------------------------ */

/* Puts the read aside until its ticket is called, or (stale) its answer finds room. */
static void park(struct conn *conn, const struct want *w, bool stale, uint32_t timeout_ms)
{
    struct clients *c = conn->clients;
    struct read *r = NULL;
    if (c->n_reads < CLIENTS_READS_MAX)
        r = malloc(sizeof(*r) + w->key_len + w->after_len);
    if (!r) {
        answer_result(conn, w->tag, RESULT_BUSY, 0);
        return;
    }
    *r = (struct read){.conn = conn, .want = *w};
    memcpy(r->bytes, w->key, w->key_len);
    memcpy(r->bytes + w->key_len, w->after, w->after_len);
    r->want.key = r->bytes;
    r->want.after = r->bytes + w->key_len;
    c->n_reads++;
    conn->ops++;
    if (stale) {
        reads_push(&conn->ready, r);
        return;
    }
    uint64_t announced = atomic_load_explicit(&c->me->read_want, memory_order_relaxed);
    if (c->ticket == announced)
        c->ticket++; /* the first read of this iteration */
    r->ticket = c->ticket;
    r->deadline_us = clock_us() + (uint64_t)timeout_ms * 1000;
    due_at(c, r->deadline_us);
    conn->waiting++;
    reads_push(&c->parked, r);
}

static void on_read(struct conn *conn, const struct proto_request *rq)
{
    if (rq->key_len > CMD_KEY_MAX_BYTES || rq->part_len > CMD_KEY_MAX_BYTES) {
        answer_result(conn, rq->tag, RESULT_TOO_LARGE, 0);
        return;
    }
    struct want w = {.op = rq->op,
                     .key_len = rq->key_len,
                     .after_len = (uint16_t)rq->part_len,
                     .tag = rq->tag,
                     .key = rq->key,
                     .after = rq->part};
    bool stale = rq->flags & PROTO_STALE;
    if (stale && !conn->ready.first && !output_full(conn))
        serve(conn, &w);
    else if (conn->ops >= CLIENTS_CONN_OPS_MAX)
        answer_result(conn, rq->tag, RESULT_BUSY, 0);
    else
        park(conn, &w, stale, rq->timeout_ms);
}

/* Serves reads whose turn has come while the output has room. */
static void serve_ready(struct conn *conn)
{
    while (conn->ready.first && !output_full(conn) && !conn->hangup) {
        struct read *r = reads_take(&conn->ready, &conn->ready.first);
        serve(conn, &r->want);
        read_free(conn->clients, r);
    }
}

/* The main loop has confirmed reads: they go to their connections in order. */
static void serve_parked(struct clients *c)
{
    uint64_t done = atomic_load_explicit(&c->me->read_done, memory_order_acquire);
    while (c->parked.first && c->parked.first->ticket <= done) {
        struct read *r = reads_take(&c->parked, &c->parked.first);
        struct conn *conn = r->conn;
        conn->waiting--;
        reads_push(&conn->ready, r);
        serve_ready(conn);
    }
}

/* No leader confirmed these reads in time, or their connection goes away (all of `gone`). */
static void expire_reads(struct clients *c, uint64_t now, const struct conn *gone)
{
    struct read **at = &c->parked.first;
    while (*at) {
        struct read *r = *at;
        if (r->conn != gone && r->deadline_us > now) {
            due_at(c, r->deadline_us);
            at = &r->next;
            continue;
        }
        reads_take(&c->parked, at);
        r->conn->waiting--;
        if (r->conn != gone)
            answer_result(r->conn, r->want.tag, RESULT_NO_LEADER, 0);
        read_free(c, r);
    }
}

/* --- writes ----------------------------------------------------------------------------------- */

static void submit(struct conn *conn, struct request *req)
{
    struct shared *s = conn->clients->shared;
    rcu_queue_push(&s->requests_head, &s->requests_tail, &req->link);
    conn->clients->wake_loop = true;
}

static size_t request_bytes(const struct request *req)
{
    return sizeof(*req) + req->cmd_len;
}

static void part_drop(struct conn *conn)
{
    if (conn->part) {
        conn->clients->parts_bytes -= request_bytes(conn->part);
        conn->ops--;
        free(conn->part);
    }
    conn->part = NULL;
    conn->part_left = 0;
}

/* The command of a write in place, its value still to be copied in. NULL without memory. */
static struct request *request_new(struct conn *conn, const struct proto_request *rq)
{
    uint32_t len = (uint32_t)CMD_HEAD_BYTES + rq->key_len + rq->value_len;
    struct request *req = malloc(sizeof(*req) + len);
    if (!req)
        return NULL;
    *req = (struct request){.reader = conn->clients->reader,
                            .conn = conn->slot,
                            .conn_generation = conn->generation,
                            .client_tag = rq->tag,
                            .deadline_us = clock_us() + (uint64_t)rq->timeout_ms * 1000,
                            .cmd_len = len};
    cmd_encode(req->cmd, &(struct cmd){.op = rq->op == PROTO_PUT ? CMD_PUT : CMD_DELETE,
                                       .key = rq->key,
                                       .key_len = rq->key_len});
    return req;
}

/* Whether the write may start; RESULT_OK or why not. */
static enum result check_write(const struct conn *conn, const struct proto_request *rq)
{
    const struct clients *c = conn->clients;
    if (rq->key_len > CMD_KEY_MAX_BYTES || rq->value_len > c->shared->max_value_bytes)
        return RESULT_TOO_LARGE;
    if (conn->ops >= CLIENTS_CONN_OPS_MAX)
        return RESULT_BUSY;
    if (rq->part_len < rq->value_len && c->parts_bytes >= CLIENTS_PARTS_MAX_BYTES)
        return RESULT_BUSY;
    return RESULT_OK;
}

static void on_write(struct conn *conn, const struct proto_request *rq)
{
    struct clients *c = conn->clients;
    uint32_t left = rq->value_len - rq->part_len;
    struct request *req = NULL;
    enum result refused = check_write(conn, rq);
    if (refused == RESULT_OK) {
        req = request_new(conn, rq);
        if (!req)
            refused = RESULT_BUSY;
    }
    if (refused != RESULT_OK) {
        answer_result(conn, rq->tag, refused, 0);
    } else {
        conn->ops++;
        memcpy(req->cmd + CMD_HEAD_BYTES + rq->key_len, rq->part, rq->part_len);
        if (left == 0) {
            submit(conn, req);
            return;
        }
        c->parts_bytes += request_bytes(req);
    }
    conn->part = req;
    conn->part_left = left;
    conn->part_tag = rq->tag;
    conn->part_deadline_us = clock_us() + (uint64_t)rq->timeout_ms * 1000;
    if (left > 0)
        due_at(c, conn->part_deadline_us);
}

static void on_part(struct conn *conn, const struct proto_request *rq)
{
    if (rq->tag != conn->part_tag || rq->part_len > conn->part_left) {
        refuse_conn(conn, RESULT_BAD);
        return;
    }
    struct request *req = conn->part;
    if (req)
        memcpy(req->cmd + req->cmd_len - conn->part_left, rq->part, rq->part_len);
    conn->part_left -= rq->part_len;
    if (conn->part_left == 0 && req) {
        conn->clients->parts_bytes -= request_bytes(req);
        conn->part = NULL;
        submit(conn, req);
    }
}

/* The main loop has answered writes. */
static void take_answers(struct clients *c)
{
    struct cds_wfcq_node *node;
    while ((node = rcu_queue_pop(&c->me->answers_head, &c->me->answers_tail)) != NULL) {
        struct request *req = rcu_container(node, struct request, link);
        assert(req->reader == c->reader && req->conn < CLIENTS_CONNS_MAX);
        struct conn *conn = c->conns[req->conn];
        if (conn && conn->generation == req->conn_generation) {
            assert(conn->ops > 0);
            conn->ops--;
            answer_result(conn, req->client_tag, req->result, req->revision);
        }
        free(req);
    }
}

/* --- connections ------------------------------------------------------------------------------ */

/* The first request of buf; returns its size. After hang_up() the rest does not matter. */
static size_t on_request(struct conn *conn, const uint8_t *buf, size_t len)
{
    struct proto_request rq;
    size_t size = proto_request_decode(buf, len, &rq);
    if (size == 0 || (rq.op == PROTO_PART) != (conn->part_left > 0)) {
        refuse_conn(conn, RESULT_BAD);
        return len;
    }
    if (rq.timeout_ms > PROTO_TIMEOUT_MAX_MS)
        rq.timeout_ms = PROTO_TIMEOUT_MAX_MS;
    switch (rq.op) {
    case PROTO_GET:
    case PROTO_LIST: on_read(conn, &rq); break;
    case PROTO_PUT:
    case PROTO_DELETE: on_write(conn, &rq); break;
    case PROTO_STATUS: answer_status(conn, rq.tag); break;
    case PROTO_PART: on_part(conn, &rq); break;
    default: assert(false); /* the codec lets no other op through */
    }
    return size;
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
            hang_up(conn);
        return;
    }
    for (int i = 0; i < n && !conn->hangup; i++) {
        if (c->msgs[i].msg_len == 0)
            hang_up(conn); /* the client has closed */
        else if (c->msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
            refuse_conn(conn, RESULT_BAD);
        for (size_t at = 0; at < c->msgs[i].msg_len && !conn->hangup;)
            at += on_request(conn, c->packets[i] + at, c->msgs[i].msg_len - at);
    }
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    serve_ready(w->data);
    mark_dirty(w->data);
}

static void conn_close(struct conn *conn)
{
    struct clients *c = conn->clients;
    if (conn->waiting > 0)
        expire_reads(c, 0, conn);
    while (conn->ready.first)
        read_free(c, reads_take(&conn->ready, &conn->ready.first));
    part_drop(conn);
    ev_io_stop(c->loop, &conn->in);
    ev_io_stop(c->loop, &conn->out);
    close(conn->in.fd); /* nothing that could still fail matters to anybody */
    outq_free(&conn->outq);
    c->conns[conn->slot] = NULL;
    c->n_conns--;
    free(conn);
}

/* Sends what waits; stops or resumes reading from the client as its answers go. */
static void conn_flush(struct conn *conn)
{
    struct clients *c = conn->clients;
    size_t before = outq_pending(&conn->outq);
    enum outq_state state = outq_flush(&conn->outq, conn->in.fd);
    if (state == OUTQ_BROKEN || conn->hangup) {
        conn_close(conn);
        return;
    }
    if (state == OUTQ_EMPTY) {
        conn->stalled_us = NEVER;
    } else {
        if (conn->stalled_us == NEVER || outq_pending(&conn->outq) < before)
            conn->stalled_us = clock_us();
        due_at(c, conn->stalled_us + CLIENTS_STALL_US);
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
    conn->stalled_us = NEVER;
    reads_init(&conn->ready);
    ev_io_init(&conn->in, on_readable, fd, EV_READ);
    ev_io_init(&conn->out, on_writable, fd, EV_WRITE);
    conn->in.data = conn->out.data = conn;
    ev_io_start(c->loop, &conn->in);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
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
                due_at(c, c->accept_us);
            }
            return;
        }
    }
}

/* --- the loop's iteration --------------------------------------------------------------------- */

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
    (void)loop;
    (void)events;
    take_answers(w->data);
    serve_parked(w->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct clients *c = w->data;
    uint64_t now = clock_us();
    c->timer_us = c->armed_us = NEVER;
    expire_reads(c, now, NULL);
    if (c->accept_us <= now) {
        c->accept_us = NEVER;
        ev_io_start(loop, &c->accept);
    }
    due_at(c, c->accept_us);
    for (unsigned i = 0; i < CLIENTS_CONNS_MAX; i++) {
        struct conn *conn = c->conns[i];
        if (!conn)
            continue;
        uint64_t drop = conn->stalled_us == NEVER ? NEVER : conn->stalled_us + CLIENTS_STALL_US;
        if (conn->part_left > 0 && conn->part_deadline_us < drop)
            drop = conn->part_deadline_us;
        if (drop <= now)
            hang_up(conn);
        else
            due_at(c, drop);
    }
}

static void arm_timer(struct clients *c)
{
    if (c->timer_us == c->armed_us)
        return;
    c->armed_us = c->timer_us;
    uint64_t now = clock_us();
    double after = c->timer_us > now ? (double)(c->timer_us - now) / 1e6 : 0;
    ev_timer_stop(c->loop, &c->timer);
    ev_timer_set(&c->timer, after, 0.);
    ev_timer_start(c->loop, &c->timer);
}

static void flush(struct clients *c)
{
    if (c->ticket != atomic_load_explicit(&c->me->read_want, memory_order_relaxed)) {
        atomic_store_explicit(&c->me->read_want, c->ticket, memory_order_release);
        c->wake_loop = true;
    }
    if (c->wake_loop) {
        c->wake_loop = false;
        c->shared->wake_loop(c->shared->wake_loop_ctx);
    }
    while (c->dirty) {
        struct conn *conn = c->dirty;
        c->dirty = conn->next_dirty;
        conn->dirty = false;
        conn_flush(conn);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)loop;
    (void)events;
    struct clients *c = w->data;
    flush(c);
    arm_timer(c);
}

static void wake(void *ctx)
{
    struct clients *c = ctx;
    ev_async_send(c->loop, &c->wake);
}

struct clients *clients_new(struct ev_loop *loop, struct shared *shared, unsigned reader,
                            int listen_fd)
{
    assert(reader < READERS_MAX);
    struct clients *c = malloc(sizeof(*c));
    if (!c)
        return NULL;
    memset(c, 0, offsetof(struct clients, packets)); /* untouched packets cost no memory */
    c->loop = loop;
    c->shared = shared;
    c->me = &shared->readers[reader];
    c->reader = reader;
    c->timer_us = c->armed_us = c->accept_us = NEVER;
    c->ticket = atomic_load_explicit(&c->me->read_want, memory_order_relaxed);
    reads_init(&c->parked);
    for (unsigned i = 0; i < CLIENTS_BATCH; i++) {
        c->iovs[i] = (struct iovec){c->packets[i], sizeof(c->packets[i])};
        c->msgs[i].msg_hdr.msg_iov = &c->iovs[i];
        c->msgs[i].msg_hdr.msg_iovlen = 1;
    }
    ev_io_init(&c->accept, on_accept, listen_fd, EV_READ);
    ev_async_init(&c->wake, on_wake);
    ev_prepare_init(&c->prepare, on_prepare);
    ev_timer_init(&c->timer, on_timer, 0., 0.);
    c->accept.data = c->wake.data = c->prepare.data = c->timer.data = c;
    ev_io_start(loop, &c->accept);
    ev_async_start(loop, &c->wake);
    ev_prepare_start(loop, &c->prepare);
    c->me->wake_ctx = c;
    c->me->wake = wake;
    return c;
}

void clients_free(struct clients *c)
{
    if (!c)
        return;
    take_answers(c);
    serve_parked(c);
    flush(c);
    for (unsigned i = 0; i < CLIENTS_CONNS_MAX; i++)
        if (c->conns[i])
            conn_close(c->conns[i]);
    assert(c->n_reads == 0 && c->parts_bytes == 0);
    ev_io_stop(c->loop, &c->accept);
    ev_async_stop(c->loop, &c->wake);
    ev_prepare_stop(c->loop, &c->prepare);
    ev_timer_stop(c->loop, &c->timer);
    free(c);
}
