/* write.c: the writes of local clients.
 *
 * A write enters at the node that its client talks to (its origin) and gets a number that is unique in
 * this process, whose name is random. The leader's origin is treated like any other. The origin learns
 * the outcome by applying its own write: no reply travels.
 *
 * Writes leave for the leader in the order of their numbers. When there is another leader, all that are
 * not answered leave again, since what the last one had of them may be lost. Whatever comes of the copies,
 * the state machine applies one of them (raftd/state/origins.h). It counts on this: number n is given only
 * when number n - NODE_WRITES_MAX is answered.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/state/origins.h"
#include "raftd/node/node_impl.h"

_Static_assert((int)NODE_WRITES_MAX <= (int)ORIGIN_WINDOW,
               "a write under way never leaves the window");

static struct request **slot_of(struct node *n, uint64_t number)
{
    return &n->writes[number % NODE_WRITES_MAX];
}

/* The pending write with this number, or NULL. */
static struct request *find(struct node *n, uint64_t number)
{
    struct request *req = *slot_of(n, number);
    return req != NULL && req->number == number ? req : NULL;
}

static void answer(struct node *n, struct request *req, enum result result)
{
    req->result = result;
    n->io.answer(n->io.ctx, req);
}

static void forget(struct node *n, struct request *req)
{
    *slot_of(n, req->number) = NULL;
    n->n_writes--;
    n->write_bytes -= req->cmd_len;
}

static void finish(struct node *n, struct request *req, enum result result)
{
    forget(n, req);
    answer(n, req, result);
}

/* Values are limited one by one; the whole command, so that it fits where one with one such value does. */
static bool too_large(const struct node *n, const struct cmd *cmd, size_t len)
{
    const uint8_t *at = cmd->items;
    for (unsigned i = 0; i < (unsigned)cmd->conditions + cmd->operations; i++)
        if (cmd_next(&at).value_len > n->cfg.max_value_bytes)
            return true;
    return len > (size_t)CMD_BESIDE_BYTES + n->cfg.max_value_bytes;
}

void node_write(struct node *n, uint64_t now, struct request *req)
{
    struct cmd cmd;
    req->revision = 0;
    req->outcome = 0;
    req->sent = false;
    if (cmd_decode(req->cmd, req->cmd_len, &cmd) < 0) {
        answer(n, req, RESULT_BAD);
        return;
    }
    if (too_large(n, &cmd, req->cmd_len)) {
        answer(n, req, RESULT_TOO_LARGE);
        return;
    }
    uint64_t number = n->next_write;
    if (raft_disk_full(&n->raft) || *slot_of(n, number) != NULL ||
        n->write_bytes + req->cmd_len > NODE_WRITE_BYTES_MAX) {
        answer(n, req, RESULT_BUSY);
        return;
    }
    n->next_write++;
    req->process = n->process;
    req->number = number;
    cmd_stamp(req->cmd, n->cfg.id, req->process, req->number);
    *slot_of(n, number) = req;
    n->n_writes++;
    n->write_bytes += req->cmd_len;
    if (req->deadline_us < n->write_deadline)
        n->write_deadline = req->deadline_us > now ? req->deadline_us : now;
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
    log_append_command(n, now, edit.append_first, cmd, len);
    return true;
}

uint16_t node_data_limit(const struct node *n)
{
    return (uint16_t)(n->cfg.max_data_bytes / CMD_LIMIT_BYTES);
}

/* There is no room for what it would store, by all that is committed as far as we know: so it need not
 * enter the log. Only of a write of which there is no copy that may yet find room. If the data change before
 * its entry is applied, the state machine decides. */
static bool is_full_for(const struct node *n, const struct request *req)
{
    return !req->sent && n->applied == n->raft.commit_index &&
           machine_is_full_for(n->machine, req->cmd, req->cmd_len, node_data_limit(n));
}

/* Sends one write on its way. False when it must wait. */
static bool send(struct node *n, uint64_t now, struct request *req)
{
    req->predecessor = machine_process(n->machine, n->cfg.id);
    cmd_stamp_predecessor(req->cmd, req->predecessor);
    bool gone;
    if (n->raft.role == RAFT_LEADER)
        gone = write_propose(n, now, req->cmd, req->cmd_len);
    else
        gone = n->raft.role == RAFT_FOLLOWER && relay_tx_put(n, req->cmd, req->cmd_len);
    req->sent |= gone;
    return gone;
}

static uint64_t oldest(struct node *n)
{
    uint64_t number = n->next_write > NODE_WRITES_MAX ? n->next_write - NODE_WRITES_MAX : 1;
    while (number < n->next_write && find(n, number) == NULL)
        number++;
    return number;
}

/* Sends the local writes that the present leader does not have, in order. */
static void take_local(struct node *n, uint64_t now)
{
    if (n->raft.leader == 0)
        return;
    if (n->sent_term != n->raft.term) {
        n->sent_term = n->raft.term;
        n->send_next = oldest(n);
    }
    for (; n->send_next < n->next_write; n->send_next++) {
        struct request *req = find(n, n->send_next);
        if (req == NULL)
            continue; /* it is answered */
        if (is_full_for(n, req))
            finish(n, req, RESULT_FULL);
        else if (!send(n, now, req))
            return;
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

static enum result result_of(enum outcome outcome)
{
    switch (outcome) {
    case MACHINE_DONE: return RESULT_OK;
    case MACHINE_NO_KEY: return RESULT_NO_KEY;
    case MACHINE_FULL: return RESULT_FULL;
    case MACHINE_CONDITION:
    case MACHINE_NOT_NUMBER:
    case MACHINE_OVERFLOW: return RESULT_REFUSED;
    case MACHINE_ENDED:
    case MACHINE_CANT_TELL: return RESULT_UNKNOWN;
    }
    abort();
}

/* An entry of this node was applied. */
void write_applied(struct node *n, const struct applied *a)
{
    struct request *req = a->process == n->process ? find(n, a->number) : NULL;
    if (req == NULL)
        return; /* of an earlier process, or a copy, or its client was told "unknown" meanwhile */
    if (a->outcome == MACHINE_ENDED) {
        /* An earlier process is the current one, and the writes sent so far did not know it.
         * They are sent again, once each: that an older copy is refused, too, is no reason for another. */
        if (a->predecessor == req->predecessor && a->number < n->send_next) {
            n->send_next = a->number;
            n->again = true;
        }
        return;
    }
    req->outcome = a->outcome;
    req->revision = a->revision;
    forget(n, req);
    req->next = NULL;
    *n->done_end = req;
    n->done_end = &req->next;
}

/* Readers can see what was applied: those who asked for it may be told. */
void write_published(struct node *n)
{
    struct request *req = n->done;
    n->done = NULL;
    n->done_end = &n->done;
    while (req != NULL) {
        struct request *next = req->next;
        answer(n, req, result_of(req->outcome));
        req = next;
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
                   req->sent      ? RESULT_UNKNOWN
                   : leader_known ? RESULT_BUSY
                                  : RESULT_NO_LEADER);
        else if (req->deadline_us < n->write_deadline)
            n->write_deadline = req->deadline_us;
    }
}

void write_stop(struct node *n)
{
    for (unsigned i = 0; i < NODE_WRITES_MAX; i++)
        if (n->writes[i] != NULL)
            finish(n, n->writes[i], RESULT_STOPPING);
}
