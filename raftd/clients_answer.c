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

void answer_read(struct conn *conn, const struct want *w)
{
    if (w->op == PROTO_GET)
        answer_get(conn, w);
    else
        answer_list(conn, w);
}
