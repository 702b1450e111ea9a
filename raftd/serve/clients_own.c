/* clients_own.c: see clients_impl.h. Commands that the engine serves itself: RAFT.STATUS and what an
 * administrator asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/member_change.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/serve/status_text.h"

/* --- status ----------------------------------------------------------------------------------- */

struct text {
    char *p;
    size_t len;
};

static void say_text(const void *what, struct resp_out *out)
{
    const struct text *t = what;
    resp_verbatim(out, t->p, t->len);
}

/* Which parts of a status are asked for. */
enum part { STATUS_OF_NODE, STATUS_OF_MEMBERS, STATUS_OF_ALL, STATUS_OF_LINKS };

static void print(FILE *out, const struct status *s, bool json, enum part part)
{
    uint64_t now = clock_us();
    switch (part) {
    case STATUS_OF_NODE: status_print(out, s, now, json); break;
    case STATUS_OF_MEMBERS: status_print_members(out, s, now, json); break;
    case STATUS_OF_ALL: status_print_all(out, s, now, json); break;
    case STATUS_OF_LINKS: status_print_links(out, s, now); break;
    }
}

static enum blocked answer_status(struct conn *conn, bool json, enum part part)
{
    enum blocked blocked = BLOCKED_NOT;
    struct text t = {0};
    FILE *out = open_memstream(&t.p, &t.len);
    if (out != NULL) {
        rcu_enter();
        print(out, rcu_get(conn->clients->shared->status), json, part);
        rcu_leave();
        atomic_store_explicit(&conn->clients->shared->status_asked, true, memory_order_relaxed);
    }
    if (out == NULL || fclose(out) != 0) /* no memory */
        answer_error(conn, result_text(conn->clients, RESULT_BUSY, false));
    else
        blocked = answer(conn, say_text, &t);
    conn->clients->work -= (int)(t.len / CLIENTS_STATUS_BYTES);
    free(t.p);
    return blocked;
}

enum blocked own_status(struct conn *conn, const struct call *call)
{
    bool json = false;
    enum part part = STATUS_OF_NODE;
    for (unsigned i = 1; i < call->argc; i++) {
        if (resp_is(&call->argv[i], "json")) {
            json = true;
        } else if (resp_is(&call->argv[i], "members")) {
            part = STATUS_OF_MEMBERS;
        } else if (resp_is(&call->argv[i], "all")) {
            part = STATUS_OF_ALL;
        } else {
            answer_error(conn, "ERR RAFT.STATUS takes JSON, and MEMBERS or ALL");
            return BLOCKED_NOT;
        }
    }
    return answer_status(conn, json, part);
}

enum blocked own_links(struct conn *conn, const struct call *call)
{
    (void)call;
    return answer_status(conn, false, STATUS_OF_LINKS);
}

/* --- members ---------------------------------------------------------------------------------- */

static bool take_number(const struct resp_arg *arg, int64_t least, int64_t most, uint64_t *out)
{
    int64_t n;
    if (!resp_number(arg, &n) || n < least || n > most)
        return false;
    *out = (uint64_t)n;
    return true;
}

/* "ADDRESS" or "ADDRESS,ADDRESS". */
static bool take_addresses(const struct resp_arg *arg, struct member_change *c)
{
    const uint8_t *p = arg->p, *end = p + arg->len;
    for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
        const uint8_t *comma = memchr(p, ',', (size_t)(end - p));
        size_t len = (size_t)((comma != NULL ? comma : end) - p);
        if (len >= MEMBER_ADDR_BYTES || memchr(p, '\0', len) != NULL)
            return false;
        memcpy(c->addr[i], p, len);
        c->addr[i][len] = '\0';
        if (!member_address_valid(c->addr[i]))
            return false;
        if (comma == NULL)
            return true;
        p = comma + 1;
    }
    return false;
}

/* Takes what stands behind the id: words, some with a value. */
static bool take_words(const struct call *call, unsigned i, struct member_change *c)
{
    uint64_t n;
    while (i < call->argc) {
        const struct resp_arg *word = &call->argv[i++], *value = word + 1;
        if (c->op == MEMBER_ADD && resp_is(word, "learner")) {
            c->flags |= MEMBER_CHANGE_LEARNER;
        } else if (c->op == MEMBER_REMOVE && resp_is(word, "force")) {
            c->flags |= MEMBER_CHANGE_FORCE;
        } else if (c->op == MEMBER_SET && i < call->argc && resp_is(word, "address")) {
            c->flags |= MEMBER_CHANGE_ADDRESS;
            if (!take_addresses(value, c))
                return false;
            i++;
        } else if (c->op == MEMBER_SET && i < call->argc && resp_is(word, "priority")) {
            c->flags |= MEMBER_CHANGE_PRIORITY;
            if (!take_number(value, 0, UINT8_MAX, &n))
                return false;
            c->priority = (uint8_t)n;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

static bool take_change(const struct call *call, struct member_change *c)
{
    static const char *const ops[] = {
        [MEMBER_ADD] = "add",
        [MEMBER_REMOVE] = "remove",
        [MEMBER_REPLACE] = "replace",
        [MEMBER_SET] = "set",
    };
    uint64_t id;
    unsigned words = 3;
    *c = (struct member_change){.op = MEMBER_ADD};
    while (c->op <= MEMBER_SET && !resp_is(&call->argv[1], ops[c->op]))
        c->op++;
    if (c->op > MEMBER_SET || !take_number(&call->argv[2], 1, MEMBER_ID_MAX, &id))
        return false;
    c->id = (uint16_t)id;
    if (c->op == MEMBER_ADD && (call->argc <= words || !take_addresses(&call->argv[words++], c)))
        return false;
    return take_words(call, words, c) && (c->op != MEMBER_SET || c->flags != 0);
}

/* Has the main loop do it, and tells its answer. */
static void hand_over(struct conn *conn, struct request *req)
{
    if (req == NULL || queue_request(conn, req, NULL, NULL) != RESULT_OK)
        answer_error(conn, result_text(conn->clients, RESULT_BUSY, false));
}

enum blocked own_member(struct conn *conn, const struct call *call)
{
    struct member_change change;
    if (!take_change(call, &change)) {
        answer_error(conn, "ERR RAFT.MEMBER takes ADD id address[,address] [LEARNER], REMOVE id "
                           "[FORCE], REPLACE id, SET id [ADDRESS address[,address]] [PRIORITY n]");
        return BLOCKED_NOT;
    }
    struct request *req = request_new(conn, REQUEST_CHANGE, REQUEST_WORDS_BYTES);
    if (req != NULL)
        req->body_len = (uint32_t)member_change_encode(&change, req->cmd);
    hand_over(conn, req);
    return BLOCKED_NOT;
}

/* --- snapshots -------------------------------------------------------------------------------- */

enum blocked own_fetch(struct conn *conn, const struct call *call)
{
    uint64_t index, offset;
    /* No file is longer; and the main loop would have to ask the disk. */
    const int64_t last = INT64_MAX - CLIENTS_FETCH_BYTES;
    if (!take_number(&call->argv[1], 1, INT64_MAX, &index) ||
        !take_number(&call->argv[2], 0, last, &offset)) {
        answer_error(conn, "ERR RAFT.FETCH takes the index of a snapshot and an offset in it");
        return BLOCKED_NOT;
    }
    struct request *req = request_new(conn, REQUEST_FETCH, CLIENTS_FETCH_BYTES);
    if (req != NULL) {
        req->snapshot = index;
        req->offset = offset;
    }
    hand_over(conn, req);
    return BLOCKED_NOT;
}

/* --- what the loop does some time, and status tells of ----------------------------------------- */

static enum blocked wished(struct conn *conn)
{
    conn->clients->wake_loop = true;
    answer_ok(conn);
    return BLOCKED_NOT;
}

enum blocked own_snapshot(struct conn *conn, const struct call *call)
{
    (void)call;
    atomic_store_explicit(&conn->clients->shared->snapshot_asked, true, memory_order_release);
    return wished(conn);
}

enum blocked own_drain(struct conn *conn, const struct call *call)
{
    (void)call;
    atomic_store_explicit(&conn->clients->shared->drain_asked, true, memory_order_release);
    return wished(conn);
}

enum blocked own_transfer(struct conn *conn, const struct call *call)
{
    uint64_t leader, heir;
    if (!take_number(&call->argv[1], 1, MEMBER_ID_MAX, &leader) ||
        !take_number(&call->argv[2], 0, MEMBER_ID_MAX, &heir)) {
        answer_error(conn,
                     "ERR RAFT.TRANSFER takes the leader and the node to hand over to, 0: the "
                     "best one");
        return BLOCKED_NOT;
    }
    atomic_store_explicit(&conn->clients->shared->transfer_asked, (uint32_t)(leader << 16 | heir),
                          memory_order_release);
    return wished(conn);
}

/* --- this connection ---------------------------------------------------------------------------- */

enum blocked own_timeout(struct conn *conn, const struct call *call)
{
    uint64_t ms;
    if (!take_number(&call->argv[1], 1, CLIENTS_TIMEOUT_MAX_MS, &ms)) {
        answer_error(conn, "ERR RAFT.TIMEOUT takes 1 to 3600000 milliseconds");
        return BLOCKED_NOT;
    }
    conn->timeout_ms = (uint32_t)ms;
    answer_ok(conn);
    return BLOCKED_NOT;
}
