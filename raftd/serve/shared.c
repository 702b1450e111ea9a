/* shared.c: see shared.h. */
#include "raftd/serve/shared.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "raftd/serve/cursors.h"
#include "raftd/serve/round.h"
#include "raftd/state/kv.h"
#include "raftd/node/request.h"

struct shared *shared_new(uint32_t max_value_bytes, unsigned readers, void (*wake_loop)(void *ctx),
                          void *ctx)
{
    uint64_t random;
    struct shared *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->kv = kv_new();
    randombytes_buf(&random, sizeof random);
    s->cursors = cursors_new(random);
    if (s->kv == NULL || s->cursors == NULL) {
        kv_free(s->kv);
        cursors_free(s->cursors);
        free(s);
        return NULL;
    }
    s->tcp_fd = -1;
    s->max_value_bytes = max_value_bytes;
    cds_wfcq_init(&s->requests_head, &s->requests_tail);
    s->wake_loop = wake_loop;
    s->wake_loop_ctx = ctx;
    s->n_readers = readers > 0 ? readers : 1;
    users_init(&s->users);
    for (unsigned i = 0; i < READERS_MAX; i++)
        cds_wfcq_init(&s->readers[i].answers_head, &s->readers[i].answers_tail);
    return s;
}

static void free_status(struct rcu_head *head)
{
    rcu_callback_begin();
    free(rcu_container(head, struct status_box, rcu));
}

void shared_publish(struct shared *s, struct status_box *box)
{
    struct status *before = rcu_swap(s->status, &box->status);
    if (before != NULL)
        rcu_free_later(&rcu_container(before, struct status_box, status)->rcu, free_status);
}

struct events_box {
    struct happened happened;
    struct rcu_head rcu;
};

static void free_events(struct rcu_head *head)
{
    rcu_callback_begin();
    free(rcu_container(head, struct events_box, rcu));
}

static void replace_events(struct shared *s, struct happened *h)
{
    struct happened *before = rcu_swap(s->events, h);
    if (before != NULL)
        rcu_free_later(&rcu_container(before, struct events_box, happened)->rcu, free_events);
}

/* The number that says what is new, and that of the clients who want to know it: each thread writes one
 * before it reads the other. So this thread sees who wants to know, or a reader that begins to sees what
 * is new. */
bool shared_tell(struct shared *s, const struct happened *h)
{
    struct events_box *box = malloc(sizeof *box);
    if (box == NULL)
        return false;
    box->happened = *h;
    replace_events(s, &box->happened);
    atomic_store(&s->told, h->end);
    for (unsigned i = 0; i < s->n_readers; i++)
        if (atomic_load(&s->readers[i].followers) > 0)
            s->readers[i].wake(s->readers[i].wake_ctx);
    return true;
}

void shared_show(struct shared *s, uint64_t index)
{
    if (index == atomic_load_explicit(&s->shown, memory_order_relaxed))
        return;
    atomic_store(&s->shown, index);
    for (unsigned i = 0; i < s->n_readers; i++)
        if (atomic_load(&s->readers[i].watchers) > 0)
            s->readers[i].wake(s->readers[i].wake_ctx);
}

struct round *round_new(unsigned ids)
{
    return calloc(1, sizeof(struct round) + ids * sizeof(uint64_t));
}

void round_free(struct round *r)
{
    if (r != NULL)
        free(r->text);
    free(r);
}

void shared_pass_on(struct shared *s, struct request *req)
{
    struct round *r = req->round;
    struct shared_reader *to = &s->readers[r->next < s->n_readers ? r->next : req->reader];
    r->next++;
    rcu_queue_push(&to->answers_head, &to->answers_tail, &req->link);
    if (to->wake != NULL)
        to->wake(to->wake_ctx);
}

bool shared_awaits(struct shared *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_readers; i++)
        n += atomic_load_explicit(&s->readers[i].watchers, memory_order_relaxed);
    return n > 0;
}

void request_free(struct shared *s, struct request *req)
{
    if (req->user != NULL) {
        users_give(&s->users, req->user, USERS_WRITES, 1);
        users_give(&s->users, req->user, USERS_WRITE_BYTES, req->cmd_len);
        users_give(&s->users, req->user, USERS_TOLD_BYTES, req->told_bytes);
    }
    results_free(&req->results);
    round_free(req->round);
    free(req);
}

/* Their clients are disconnected. */
static void drop(struct shared *s, struct cds_wfcq_head *head, struct cds_wfcq_tail *tail)
{
    struct cds_wfcq_node *q;
    while ((q = rcu_queue_pop(head, tail)) != NULL)
        request_free(s, rcu_container(q, struct request, link));
}

void shared_drop(struct shared *s)
{
    drop(s, &s->requests_head, &s->requests_tail);
    for (unsigned i = 0; i < s->n_readers; i++)
        drop(s, &s->readers[i].answers_head, &s->readers[i].answers_tail);
}

void shared_free(struct shared *s)
{
    shared_drop(s);
    assert(users_idle(&s->users));
    if (s->status != NULL)
        rcu_free_later(&rcu_container(s->status, struct status_box, status)->rcu, free_status);
    replace_events(s, NULL);
    rcu_wait_freed();
    kv_free(s->kv);
    cursors_free(s->cursors);
    free(s);
}
