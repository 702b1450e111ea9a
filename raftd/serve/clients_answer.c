/* clients_answer.c: see clients_impl.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/clients_impl.h"
#include "raftd/base/clock.h"
#include "raftd/state/kv.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/status_text.h"

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

bool output_full(const struct conn *conn)
{
    uint64_t most = max_u64(conn->out_bytes, CLIENTS_OUT_OWN_BYTES);
    return outq_pending(&conn->outq) >= min_u64(most, CLIENTS_OUT_MAX_BYTES);
}

/* True if an answer with a body of so many bytes may be queued; takes what it needs of USERS_OUT_BYTES. */
static bool room(struct conn *conn, size_t len)
{
    /* The memory of the queue grows in steps, and each packet needs a few bytes more than it has. */
    size_t need = outq_pending(&conn->outq) + len + len / 512 + OUTQ_STEP_BYTES;
    if (need <= CLIENTS_OUT_OWN_BYTES + OUTQ_STEP_BYTES || need <= conn->out_bytes)
        return true;
    if (conn->user == NULL || !users_take(&conn->clients->shared->users, conn->user,
                                          USERS_OUT_BYTES, need - conn->out_bytes))
        return false;
    conn->out_bytes = need;
    return true;
}

void output_give(struct conn *conn)
{
    size_t need = conn->outq.cap > CLIENTS_OUT_OWN_BYTES ? conn->outq.cap : 0;
    if (conn->out_bytes <= need)
        return;
    users_give(&conn->clients->shared->users, conn->user, USERS_OUT_BYTES, conn->out_bytes - need);
    conn->out_bytes = need;
}

/* Queues a whole answer, in as many packets as it needs. */
static void answer(struct conn *conn, const struct proto_reply *whole)
{
    conn->clients->work -= (int)(whole->body_len / CLIENTS_WORK_BYTES);
    struct proto_reply r = *whole;
    size_t left = whole->body_len;
    rcu_enter();
    r.leader = rcu_get(conn->clients->shared->status)->leader;
    rcu_leave();
    do {
        r.body_len = left < PROTO_REPLY_BODY_MAX_BYTES ? left : PROTO_REPLY_BODY_MAX_BYTES;
        left -= r.body_len;
        r.flags = (uint8_t)(whole->flags | (left > 0 ? PROTO_MORE : 0));
        uint8_t *p = outq_add(&conn->outq, PROTO_REPLY_HEAD_BYTES + r.body_len);
        if (p == NULL) {
            conn_hang_up(conn);
            return;
        }
        (void)proto_reply_encode(p, &r);
        if (r.body_len > 0)
            r.body += r.body_len;
    } while (left > 0);
    conn_mark_dirty(conn);
}

void answer_result(struct conn *conn, uint64_t tag, enum result result, uint64_t revision)
{
    answer(conn, &(struct proto_reply){.result = result, .tag = tag, .modify_revision = revision});
}

void answer_not_yet(struct conn *conn, uint64_t tag)
{
    const struct shared *s = conn->clients->shared;
    char why[STATUS_RECOVERING_BYTES] = "";
    rcu_enter();
    if (atomic_load_explicit(&s->starting, memory_order_acquire))
        memcpy(why, rcu_get(s->status)->recovering, sizeof why);
    rcu_leave();
    answer(conn, &(struct proto_reply){.result = RESULT_NOT_YET,
                                       .tag = tag,
                                       .body = (const uint8_t *)why,
                                       .body_len = strnlen(why, sizeof why)});
}

/* Of an answer to this read. To be asked before the state is looked at, which may be newer then. */
static uint8_t age_flag(const struct conn *conn, const struct proto_request *w)
{
    bool whole = (w->flags & PROTO_STALE) == 0 ||
                 atomic_load_explicit(&conn->clients->shared->local_reads, memory_order_acquire);
    return whole ? 0 : PROTO_RECOVERING;
}

void answer_body(struct conn *conn, const struct proto_reply *whole)
{
    if (whole->body_len == 0 || room(conn, whole->body_len))
        answer(conn, whole);
    else
        answer_result(conn, whole->tag, RESULT_BUSY, 0);
}

enum blocked answer_status(struct conn *conn, uint64_t tag, unsigned flags)
{
    enum blocked blocked = BLOCKED_NOT;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out != NULL) {
        rcu_enter();
        const struct status *s = rcu_get(conn->clients->shared->status);
        ((flags & PROTO_MEMBERS) != 0 ? status_print_members : status_print)(
            out, s, clock_us(), (flags & PROTO_JSON) != 0);
        rcu_leave();
    }
    if (out == NULL || fclose(out) != 0) /* no memory */
        answer_result(conn, tag, RESULT_BUSY, 0);
    else if (!room(conn, len))
        blocked = BLOCKED_ROOM;
    else
        answer(conn,
               &(struct proto_reply){.tag = tag, .body = (const uint8_t *)text, .body_len = len});
    conn->clients->work -= (int)(len / CLIENTS_STATUS_BYTES);
    free(text);
    return blocked;
}

static enum blocked answer_get(struct conn *conn, const struct proto_request *w)
{
    enum blocked blocked = BLOCKED_NOT;
    uint8_t age = age_flag(conn, w);
    rcu_enter();
    const struct kv_object *o = kv_get(kv_view(conn->clients->shared->kv), w->key, w->key_len);
    if (o == NULL)
        answer(conn, &(struct proto_reply){.result = RESULT_NO_KEY, .flags = age, .tag = w->tag});
    else if (!room(conn, o->value_len))
        blocked = BLOCKED_ROOM;
    else
        answer(conn, &(struct proto_reply){.flags = age,
                                           .tag = w->tag,
                                           .create_revision = o->create_revision,
                                           .modify_revision = o->modify_revision,
                                           .body = kv_value(o),
                                           .body_len = o->value_len});
    rcu_leave();
    return blocked;
}

/* A page of a list. */
struct page {
    uint8_t *bytes;
    size_t len;
    unsigned keys;
    bool more;      /* keys follow that are not in the page */
    uint64_t index; /* of the state that the page shows */
};

static size_t item_bytes(const struct kv_object *o)
{
    return (size_t)PROTO_ITEM_HEAD_BYTES + o->key_len + o->value_len;
}

/* Collects a page from o on, of at most `most` bytes or of one key. */
static void collect(struct page *p, const struct kv_object *o, struct kv_cursor *cursor,
                    size_t most)
{
    for (; o != NULL && (p->keys == 0 || p->len + item_bytes(o) <= most); o = kv_next(cursor)) {
        p->len += proto_item_encode(p->bytes + p->len, &(struct proto_item){
                                                           .key_len = o->key_len,
                                                           .value_len = o->value_len,
                                                           .create_revision = o->create_revision,
                                                           .modify_revision = o->modify_revision,
                                                           .key = kv_key(o),
                                                           .value = kv_value(o),
                                                       });
        p->keys++;
    }
    p->more = o != NULL;
}

static enum blocked answer_list(struct conn *conn, const struct proto_request *w)
{
    struct clients *c = conn->clients;
    struct kv_range range = {w->key, w->key_len, w->part, w->part_len};
    struct kv_cursor cursor;
    struct page page = {0};
    size_t most = PROTO_LIST_PAGE_BYTES;
    uint8_t age = age_flag(conn, w);
    if (c->list_work <= 0)
        return BLOCKED_LIST;
    if (!room(conn, most)) /* a small page always finds room, if its first key does */
        most = CLIENTS_OUT_OWN_BYTES / 2;
    rcu_enter();
    const struct kv_view *view = kv_view(c->shared->kv);
    const struct kv_object *o = kv_first(view, &range, &cursor);
    size_t size = o != NULL ? (size_t)max_u64(item_bytes(o), most) : 1;
    bool fits = o == NULL || room(conn, size);
    if (fits)
        page.bytes = malloc(size);
    if (page.bytes != NULL)
        collect(&page, o, &cursor, most);
    page.index = view->index;
    rcu_leave();
    if (!fits)
        return BLOCKED_ROOM;
    if (page.bytes != NULL)
        answer(conn,
               &(struct proto_reply){.flags = (uint8_t)(age | (page.more ? PROTO_PARTIAL : 0)),
                                     .tag = w->tag,
                                     .modify_revision = page.index,
                                     .body = page.bytes,
                                     .body_len = page.len});
    else
        answer_result(conn, w->tag, RESULT_BUSY, 0);
    int work = 1 + (int)(page.keys / CLIENTS_WORK_KEYS + page.len / CLIENTS_WORK_BYTES);
    c->work -= work;
    c->list_work -= work;
    free(page.bytes);
    return BLOCKED_NOT;
}

enum blocked answer_read(struct conn *conn, const struct proto_request *w)
{
    return w->op == PROTO_GET ? answer_get(conn, w) : answer_list(conn, w);
}
