/* write.c: the writes of local clients.
 *
 * A write enters at the node that its client talks to (its origin) and gets a number unique for
 * ever: (boot token of the process, counter). The leader's origin is treated like any other. The
 * origin learns the outcome by applying its own write: no reply travels.
 *
 * Exactly once while the origin lives. A write leaves for a leader in at most one term at a time:
 * into the leader's log, or into the relay stream, which belongs to (term, boot token) and hands
 * each byte over once. When the origin applies the first entry of a later term, every committed
 * entry of older terms has been applied before it (terms never fall along the log), so a write
 * that left in an older term and has not been seen never will be: it may safely leave again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/state/cmd.h"
#include "raftd/base/bytes.h"
#include "raftd/node/node_impl.h"

static struct request **slot_of(struct node *n, uint32_t number)
{
    return &n->writes[number % NODE_WRITES_MAX];
}

/* The pending write with this number, or NULL. */
static struct request *find(struct node *n, uint32_t number)
{
    struct request *req = *slot_of(n, number);
    return req != NULL && (uint32_t)req->id == number ? req : NULL;
}

static void answer(struct node *n, struct request *req, enum result result)
{
    req->result = result;
    n->io.answer(n->io.ctx, req);
}

static void take_out(struct node *n, struct request *req)
{
    *slot_of(n, (uint32_t)req->id) = NULL;
    n->n_writes--;
    n->write_bytes -= req->cmd_len;
}

static void finish(struct node *n, struct request *req, enum result result)
{
    take_out(n, req);
    answer(n, req, result);
}

static void wait_push(struct node *n, uint32_t number)
{
    assert(n->n_wait < NODE_WRITES_MAX);
    n->wait[(n->wait_head + n->n_wait++) % NODE_WRITES_MAX] = number;
}

static void wait_pop(struct node *n)
{
    n->wait_head = (n->wait_head + 1) % NODE_WRITES_MAX;
    n->n_wait--;
}

void node_write(struct node *n, uint64_t now, struct request *req)
{
    struct cmd cmd;
    req->revision = 0;
    req->sent_term = 0;
    if (cmd_decode(req->cmd, req->cmd_len, &cmd) < 0) {
        answer(n, req, RESULT_BAD);
        return;
    }
    if (cmd.value_len > n->cfg.max_value_bytes) {
        answer(n, req, RESULT_TOO_LARGE);
        return;
    }
    uint32_t number = n->next_write;
    if (raft_disk_full(&n->raft) || *slot_of(n, number) != NULL || n->n_wait == NODE_WRITES_MAX ||
        n->write_bytes + req->cmd_len > NODE_WRITE_BYTES_MAX) {
        answer(n, req, RESULT_BUSY);
        return;
    }
    n->next_write++;
    req->id = (uint64_t)n->cfg.boot << 32 | number;
    cmd_stamp(req->cmd, n->cfg.id, req->id);
    *slot_of(n, number) = req;
    n->n_writes++;
    n->write_bytes += req->cmd_len;
    if (req->deadline_us < n->write_deadline)
        n->write_deadline = req->deadline_us > now ? req->deadline_us : now;
    wait_push(n, number);
}

/* Leader: appends one command to its log. False when it must wait for commits or for the disk. */
bool write_propose(struct node *n, uint64_t now, const uint8_t *cmd, size_t len)
{
    size_t size = record_size((uint32_t)len);
    uint64_t uncommitted = 0;
    if (n->raft.commit_index < n->log.last) {
        uint64_t from = n->raft.commit_index + 1;
        uint64_t pos = from < n->log.first ? n->log.ring.start : entries_pos(&n->log, from);
        uncommitted = n->log.ring.end - pos;
    }
    if (uncommitted > 0 && uncommitted + size > n->log.ring.cap / 2)
        return false; /* also leaves the older half for peers that are a little behind */
    if (!log_make_room(n, size, 1))
        return false;
    struct raft_event ev = {.type = RAFT_EV_PROPOSE, .propose = {.n = 1}};
    struct raft_edit edit;
    node_step(n, now, &ev, &edit);
    if (edit.append_first == 0)
        return false;
    log_append_command(n, edit.append_first, cmd, len);
    return true;
}

uint16_t node_data_limit(const struct node *n)
{
    return (uint16_t)(n->cfg.max_data_bytes / CMD_LIMIT_BYTES);
}

/* There is no room for what it would store, by all that is committed as far as we know: so it need not
 * enter the log. What changes until its turn came there decides the state machine. */
static bool is_full_for(const struct node *n, const struct request *req)
{
    struct cmd cmd;
    int rc = cmd_decode(req->cmd, req->cmd_len, &cmd);
    assert(rc == 0);
    (void)rc;
    cmd.limit = node_data_limit(n);
    return n->applied == n->raft.commit_index && kv_is_full_for(n->kv, &cmd);
}

/* Sends waiting local writes on their way, in order. */
static void take_local(struct node *n, uint64_t now)
{
    while (n->n_wait > 0) {
        struct request *req = find(n, n->wait[n->wait_head]);
        if (req != NULL && n->raft.leader != 0 && is_full_for(n, req)) {
            finish(n, req, RESULT_FULL);
        } else if (req != NULL) { /* else: timed out while it waited */
            bool gone;
            if (n->raft.role == RAFT_LEADER)
                gone = write_propose(n, now, req->cmd, req->cmd_len);
            else
                gone = n->raft.role == RAFT_FOLLOWER && n->raft.leader != 0 &&
                       relay_tx_put(n, req->cmd, req->cmd_len);
            if (!gone)
                return;
            req->sent_term = n->raft.term;
        }
        wait_pop(n);
    }
}

/* Takes what peers relayed and what local clients want, each in turn first when there is not room
 * for all. */
void write_take(struct node *n, uint64_t now)
{
    unsigned sources = n->raft.n_peers + 1;
    if (n->raft.role != RAFT_LEADER) {
        relay_rx_end(n);
        log_tx_end(n);
    }
    n->turn = (n->turn + 1) % sources;
    for (unsigned i = 0; i < sources; i++) {
        unsigned source = (n->turn + i) % sources;
        if (source == n->raft.n_peers)
            take_local(n, now);
        else
            relay_rx_drain(n, now, source);
    }
}

/* An entry of ours was applied. Its client is answered when readers see it. */
void write_applied(struct node *n, uint64_t request, uint64_t index, enum kv_outcome outcome)
{
    if ((uint32_t)(request >> 32) != n->cfg.boot)
        return; /* of an earlier process */
    struct request *req = find(n, (uint32_t)request);
    if (req == NULL)
        return; /* its client was told "unknown" meanwhile */
    req->revision = index;
    req->result = outcome == KV_NO_KEY ? RESULT_NO_KEY
                  : outcome == KV_FULL ? RESULT_FULL
                                       : RESULT_OK;
    take_out(n, req);
    req->next = NULL;
    *n->done_end = req;
    n->done_end = &req->next;
}

/* What was applied is published. */
void write_published(struct node *n)
{
    for (struct request *req = n->done, *next; req != NULL; req = next) {
        next = req->next;
        answer(n, req, req->result);
    }
    n->done = NULL;
    n->done_end = &n->done;
}

/* The first entry of `term` is being applied: writes that left in older terms are lost for good
 * and go to the back of the queue, oldest first (see the top of this file). */
void write_term_applied(struct node *n, uint64_t term)
{
    if (n->n_writes == 0)
        return;
    for (uint32_t i = 0; i < NODE_WRITES_MAX; i++) {
        struct request *req = find(n, n->next_write + i - NODE_WRITES_MAX);
        if (req != NULL && req->sent_term != 0 && req->sent_term < term) {
            req->sent_term = 0;
            wait_push(n, (uint32_t)req->id);
            n->again = true;
        }
    }
}

/* Answers the writes whose time is up: "no leader" if nothing has left this node, else unknown. */
void write_expire(struct node *n, uint64_t now)
{
    if (now < n->write_deadline)
        return;
    n->write_deadline = RAFT_NEVER;
    bool leader_known = n->raft.leader != 0;
    for (unsigned i = 0; i < NODE_WRITES_MAX; i++) {
        struct request *req = n->writes[i];
        if (req == NULL)
            continue;
        if (req->deadline_us <= now)
            finish(n, req,
                   req->sent_term != 0 ? RESULT_UNKNOWN
                   : leader_known      ? RESULT_BUSY
                                       : RESULT_NO_LEADER);
        else if (req->deadline_us < n->write_deadline)
            n->write_deadline = req->deadline_us;
    }
    unsigned waiting = n->n_wait; /* keep the queue no longer than the writes that are left */
    while (waiting-- > 0) {
        uint32_t number = n->wait[n->wait_head];
        wait_pop(n);
        if (find(n, number) != NULL)
            wait_push(n, number);
    }
}

void write_stop(struct node *n)
{
    for (unsigned i = 0; i < NODE_WRITES_MAX; i++)
        if (n->writes[i] != NULL)
            finish(n, n->writes[i], RESULT_STOPPING);
}
