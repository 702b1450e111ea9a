/* clients_answer.c: see clients_impl.h. */
#include <assert.h>
#include <stdlib.h>

#include "raftd/clients_impl.h"
#include "raftd/clock.h"
#include "raftd/kv.h"
#include "raftd/rcu.h"

bool output_full(const struct conn *conn)
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
            conn_hang_up(conn);
            return;
        }
        outq_commit(&conn->outq, proto_reply_encode(p, &r));
        if (r.body_len > 0)
            r.body += r.body_len;
    } while (left > 0);
    conn_mark_dirty(conn);
}

static uint16_t leader_hint(struct clients *c)
{
    rcu_enter();
    uint16_t leader = rcu_get(c->shared->status)->leader;
    rcu_leave();
    return leader;
}

void answer_result(struct conn *conn, uint64_t tag, enum result result, uint64_t revision)
{
    answer(conn, &(struct proto_reply){.result = result,
                                       .leader = leader_hint(conn->clients),
                                       .tag = tag,
                                       .modify_revision = revision});
}

void answer_status(struct conn *conn, uint64_t tag)
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

struct page {
    uint8_t *bytes;
    size_t len, cap;
};

/* False without memory. */
static bool page_add(struct page *p, const struct kv_object *o)
{
    size_t need = (size_t)PROTO_ITEM_HEAD_BYTES + o->key_len + o->value_len;
    if (p->cap - p->len < need) {
        size_t cap = 2 * p->cap + need;
        uint8_t *bytes = realloc(p->bytes, cap);
        if (!bytes)
            return false;
        p->bytes = bytes;
        p->cap = cap;
    }
    p->len += proto_item_encode(p->bytes + p->len, &(struct proto_item){
                                                       .key_len = o->key_len,
                                                       .value_len = o->value_len,
                                                       .create_revision = o->create_revision,
                                                       .modify_revision = o->modify_revision,
                                                       .key = kv_key(o),
                                                       .value = kv_value(o),
                                                   });
    return true;
}

static void answer_list(struct conn *conn, const struct want *w)
{
    struct kv_range range = {w->key, w->key_len, w->after, w->after_len};
    struct page page = {0};
    bool enough = true;
    rcu_enter();
    const struct kv_object *o = kv_first(conn->clients->shared->kv, &range);
    while (o && page.len < PROTO_LIST_PAGE_BYTES && enough) {
        enough = page_add(&page, o);
        o = kv_next(o, &range);
    }
    rcu_leave();
    if (enough)
        answer(conn, &(struct proto_reply){.flags = o ? PROTO_PARTIAL : 0,
                                           .leader = leader_hint(conn->clients),
                                           .tag = w->tag,
                                           .body = page.bytes,
                                           .body_len = page.len});
    else
        answer_result(conn, w->tag, RESULT_BUSY, 0);
    free(page.bytes);
}

void answer_read(struct conn *conn, const struct want *w)
{
    if (w->op == PROTO_GET)
        answer_get(conn, w);
    else
        answer_list(conn, w);
}
