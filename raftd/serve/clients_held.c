/* clients_held.c: see clients_impl.h.
 *
 * That a connection holds a lock is said only in this order: until when the lease lasts, then what the claims
 * say, then what time it is.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/state/kv.h"

static bool same_holder(const struct holder *a, const struct holder *b)
{
    return a->origin == b->origin && a->process == b->process && a->connection == b->connection;
}

uint64_t held_until(const struct clients *c, const struct holder *h, const uint8_t *name,
                    size_t len, uint64_t *fence)
{
    struct claim claim;
    uint64_t until = atomic_load_explicit(&c->shared->lease_until_us, memory_order_acquire);
    rcu_enter();
    bool held = h->process != 0 && holders_lock(kv_view(c->shared->claims), name, len, &claim) &&
                same_holder(&claim.holder, h);
    rcu_leave();
    if (!held || clock_us() >= until)
        return 0;
    *fence = claim.fence;
    return until;
}

static void forget(struct lock_wait *w)
{
    cds_list_del(&w->link);
    free(w);
}

void held_forget(struct conn *conn)
{
    struct cds_list_head *at, *next;
    cds_list_for_each_safe(at, next, &conn->clients->held)
    {
        struct lock_wait *w = rcu_container(at, struct lock_wait, link);
        if (w->conn == conn)
            forget(w);
    }
}

/* What the connection holds under that name. NULL: nothing that it is told of. */
static struct lock_wait *find(const struct conn *conn, const uint8_t *name, size_t len)
{
    struct cds_list_head *at;
    cds_list_for_each(at, &conn->clients->held)
    {
        struct lock_wait *w = rcu_container(at, struct lock_wait, link);
        if (w->conn == conn && w->name_len == len && memcmp(w->name, name, len) == 0)
            return w;
    }
    return NULL;
}

void held_keep(struct conn *conn, struct lock_wait *w)
{
    struct clients *c = conn->clients;
    struct lock_wait *before = find(conn, w->name, w->name_len);
    uint64_t now = clock_us();
    if (before != NULL) { /* it has asked once more */
        w->giving = before->giving;
        forget(before);
    }
    w->conn = conn;
    w->again_us = now + (w->lease_us > now ? (w->lease_us - now) / 2 : 0);
    cds_list_add_tail(&w->link, &c->held);
    clients_due_at(c, w->again_us);
}

/* --- a lock is given back ------------------------------------------------------------------------ */

/* What the connection is told of, and a command of this operation may give back; or NULL. */
static struct lock_wait *find_given(const struct conn *conn, const struct cmd_item *unlock)
{
    uint64_t fence = cmd_number(unlock);
    struct lock_wait *w = find(conn, unlock->key, unlock->key_len);
    return w != NULL && (fence == 0 || fence == w->fence) ? w : NULL;
}

void held_giving(struct conn *conn, const struct cmd_item *unlock)
{
    struct lock_wait *w = find_given(conn, unlock);
    if (w != NULL)
        w->giving++;
}

void held_given(struct conn *conn, const struct request *req, bool done)
{
    struct cmd cmd;
    int rc = cmd_decode(req->cmd, req->cmd_len, &cmd);
    assert(rc == 0);
    (void)rc;
    const uint8_t *at = cmd.items;
    const struct cmd_item unlock = cmd_next(&at);
    struct lock_wait *w = find_given(conn, &unlock);
    if (w == NULL)
        return;
    if (done) {
        forget(w);
        return;
    }
    if (w->giving > 0)
        w->giving--;
    w->again_us = clock_us(); /* what was not told meanwhile is told now */
    clients_due_at(conn->clients, w->again_us);
}

/* --- pushes -------------------------------------------------------------------------------------- */

/* Of a lock that it holds: its fence, and for how many milliseconds more; 0: it does not hold it. */
static void say_push(const void *what, struct resp_out *out)
{
    const struct lock_wait *w = what;
    uint64_t now = clock_us();
    resp_push(out, 4);
    resp_text(out, "lock");
    resp_bulk(out, w->name, w->name_len);
    resp_int(out, (int64_t)w->fence);
    resp_int(out, w->lease_us > now ? (int64_t)((w->lease_us - now) / 1000) : 0);
}

/* What is held for longer than was told is told anew when half of that time is over. Who does not read is
 * told when he has read: until then pushes are of no use to him, and take memory. What is gone while he gives
 * it back is told by the answer to that; or as lost, when the time that he was told is over. */
static void tell_held(struct clients *c, struct lock_wait *w, uint64_t now)
{
    uint64_t fence = 0;
    uint64_t until = held_until(c, &w->conn->holder, w->name, w->name_len, &fence);
    if (fence != w->fence)
        until = 0;
    if (until == 0 && w->giving > 0 && now < w->lease_us) {
        w->again_us = w->lease_us;
        clients_due_at(c, w->again_us);
        return;
    }
    bool tells = w->conn->answers.version >= 3 && !w->conn->ended && until != w->lease_us;
    bool waits = tells && output_full(w->conn);
    if (tells && !waits) {
        w->lease_us = until;
        (void)answer(w->conn, say_push, w);
    }
    if (until == 0 && !waits) {
        forget(w);
        return;
    }
    w->again_us = now + (waits ? HELD_LOOK_US : max_u64((until - now) / 2, HELD_LOOK_US));
    clients_due_at(c, w->again_us);
}

void held_tell(struct clients *c)
{
    struct cds_list_head *at, *next;
    uint64_t now = clock_us();
    cds_list_for_each_safe(at, next, &c->held)
    {
        struct lock_wait *w = rcu_container(at, struct lock_wait, link);
        if (w->again_us <= now)
            tell_held(c, w, now);
        else
            clients_due_at(c, w->again_us);
    }
}
