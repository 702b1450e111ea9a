#include "raftd/node/writes.h"

#include <assert.h>
#include <stdlib.h>

#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/state/origins.h"

_Static_assert((int)NODE_WRITES_MAX <= (int)ORIGIN_WINDOW,
               "a write under way never leaves the window");

void writes_init(struct writes *w, const struct node_config *cfg, const struct node_io *io,
                 struct replica *r, struct relay_out *relay, struct machine *machine)
{
    w->cfg = cfg;
    w->io = io;
    w->replica = r;
    w->relay = relay;
    w->machine = machine;
    w->process = (uint64_t)cfg->boot << 32 | (uint32_t)(cfg->seed >> 32);
    w->next = w->send_next = 1;
    w->done_end = &w->done;
    w->deadline = NEVER;
}

uint64_t writes_process(const struct writes *w)
{
    return w->process;
}

unsigned writes_pending(const struct writes *w)
{
    return w->n;
}

uint64_t writes_deadline(const struct writes *w)
{
    return w->deadline;
}

static struct request **place_of(struct writes *w, uint64_t number)
{
    return &w->pending[number % NODE_WRITES_MAX];
}

/* The pending write with this number, or NULL. */
static struct request *find(struct writes *w, uint64_t number)
{
    struct request *req = *place_of(w, number);
    return req != NULL && req->number == number ? req : NULL;
}

static void answer(struct writes *w, struct request *req, enum result result)
{
    req->result = result;
    w->io->answer(w->io->ctx, req);
}

static void forget(struct writes *w, struct request *req)
{
    *place_of(w, req->number) = NULL;
    w->n--;
    w->bytes -= req->cmd_len;
}

static void finish(struct writes *w, struct request *req, enum result result)
{
    forget(w, req);
    answer(w, req, result);
}

/* Each value is limited, and so is the whole command: a command with one such value must be the largest. */
static bool too_large(const struct writes *w, const struct cmd *cmd, size_t len)
{
    const uint8_t *at = cmd->items;
    for (unsigned i = 0; i < (unsigned)cmd->conditions + cmd->operations; i++)
        if (cmd_next(&at).value_len > w->cfg->max_value_bytes)
            return true;
    return len > (size_t)CMD_BESIDE_BYTES + w->cfg->max_value_bytes;
}

/* This node's disk is full, or the leader's is and no other node with room can take its place. */
static bool no_room(const struct raft *r)
{
    return raft_disk_full(r) || (r->no_room && r->role != RAFT_LEADER);
}

/* See status_left_out(). */
static bool left_out(const struct raft *r)
{
    return r->leader == 0 && raft_stand(r) == RAFT_STAND_NO_MEMBER;
}

void writes_add(struct writes *w, uint64_t now, struct request *req)
{
    struct cmd cmd;
    req->results = (struct results){0};
    req->sent = false;
    req->relay_off = NEVER;
    if (cmd_decode(req->cmd, req->cmd_len, &cmd) < 0 || cmd_is_housekeeping(&cmd)) {
        answer(w, req, RESULT_BAD);
        return;
    }
    if (too_large(w, &cmd, req->cmd_len)) {
        answer(w, req, RESULT_TOO_LARGE);
        return;
    }
    if (no_room(replica_raft(w->replica))) {
        answer(w, req, RESULT_DISK_FULL);
        return;
    }
    if (replica_raft(w->replica)->log_full) {
        answer(w, req, RESULT_LOG_FULL);
        return;
    }
    if (left_out(replica_raft(w->replica))) {
        answer(w, req, RESULT_NO_LEADER);
        return;
    }
    uint64_t number = w->next;
    if (replica_full(w->replica) || *place_of(w, number) != NULL ||
        w->bytes + req->cmd_len > NODE_WRITE_BYTES_MAX) {
        answer(w, req, RESULT_BUSY);
        return;
    }
    w->next++;
    req->process = w->process;
    req->number = number;
    cmd_stamp(req->cmd, w->cfg->id, req->process, req->number);
    *place_of(w, number) = req;
    w->n++;
    w->bytes += req->cmd_len;
    w->deadline = min_u64(w->deadline, max_u64(req->deadline_us, now));
}

/* By all that is known to be committed, there is no room for what the write would store: so it need not enter
 * the log. False if a copy was sent before, since that one may still find room. If the data change before an
 * entry is applied, the state machine decides. */
static bool is_full_for(const struct writes *w, const struct request *req)
{
    return !req->sent && replica_applied(w->replica) == replica_raft(w->replica)->commit_index &&
           machine_is_full_for(w->machine, req->cmd, req->cmd_len, replica_data_limit(w->replica));
}

/* Proposes or relays one write. False when it must wait. */
static bool send(struct writes *w, uint64_t now, struct request *req)
{
    const struct raft *r = replica_raft(w->replica);
    req->predecessor = machine_process(w->machine, w->cfg->id);
    cmd_stamp_predecessor(req->cmd, req->predecessor);
    bool gone;
    uint64_t off = NEVER;
    if (r->role == RAFT_LEADER)
        gone = replica_propose(w->replica, now, req->cmd, req->cmd_len);
    else
        gone = r->role == RAFT_FOLLOWER && relay_out_put(w->relay, req->cmd, req->cmd_len, &off);
    if (!gone)
        return false;
    if (off != NEVER)
        w->sent_stream = relay_out_stream(w->relay); /* the first one begins with its first write */
    req->relay_off = req->sent ? NEVER : off;
    req->sent = true;
    return true;
}

static uint64_t oldest(struct writes *w)
{
    uint64_t number = w->next > NODE_WRITES_MAX ? w->next - NODE_WRITES_MAX : 1;
    while (number < w->next && find(w, number) == NULL)
        number++;
    return number;
}

/* Copies in an earlier stream may yet be proposed, or were. */
static void leave_stream(struct writes *w)
{
    for (uint64_t number = oldest(w); number < w->next; number++) {
        struct request *req = find(w, number);
        if (req != NULL)
            req->relay_off = NEVER;
    }
}

/* Answers the writes whose only copy the leader has refused. */
static void take_refusals(struct writes *w)
{
    uint64_t off;
    bool log_full;
    if (!relay_out_shut(w->relay, w->sent_stream, &off, &log_full))
        return;
    for (uint64_t number = oldest(w); number < w->next; number++) {
        struct request *req = find(w, number);
        if (req != NULL && req->relay_off != NEVER && req->relay_off >= off)
            finish(w, req, log_full ? RESULT_LOG_FULL : RESULT_DISK_FULL);
    }
}

void writes_send(struct writes *w, uint64_t now)
{
    const struct raft *r = replica_raft(w->replica);
    if (r->leader == 0)
        return;
    take_refusals(w);
    uint16_t stream = relay_out_stream(w->relay);
    bool another = w->sent_stream != stream && w->sent_stream != 0;
    if (another)
        leave_stream(w);
    if (w->sent_term != r->term || another)
        w->send_next = oldest(w);
    w->sent_term = r->term;
    w->sent_stream = stream;
    for (; w->send_next < w->next; w->send_next++) {
        struct request *req = find(w, w->send_next);
        if (req == NULL)
            continue; /* it is answered */
        if (is_full_for(w, req))
            finish(w, req, RESULT_FULL);
        else if (!send(w, now, req))
            return;
    }
}

static enum result result_of(enum outcome outcome)
{
    switch (outcome) {
    case MACHINE_DONE:
    case MACHINE_SKIPPED:
    case MACHINE_WAITS: return RESULT_OK;
    case MACHINE_NO_KEY: return RESULT_NO_KEY;
    case MACHINE_FULL: return RESULT_FULL;
    case MACHINE_CONDITION:
    case MACHINE_TOO_MUCH:
    case MACHINE_NOT_NUMBER:
    case MACHINE_OVERFLOW:
    case MACHINE_TAKEN:
    case MACHINE_NOT_HELD:
    case MACHINE_LOCKS_FULL: return RESULT_REFUSED;
    case MACHINE_ENDED:
    case MACHINE_CANT_TELL:
    case MACHINE_TOO_OLD: return RESULT_UNKNOWN;
    }
    abort();
}

/* The pending write of this sender, or NULL: it is of an earlier process, or a copy, or its client was told
 * "unknown" meanwhile. */
static struct request *of_sender(struct writes *w, const struct applied *a)
{
    return a->process == w->process ? find(w, a->number) : NULL;
}

void writes_told(struct writes *w, const struct applied *a, const struct told *told, unsigned n)
{
    struct request *req = of_sender(w, a);
    if (req != NULL &&
        (w->io->may_tell == NULL || w->io->may_tell(w->io->ctx, req, results_value_bytes(told, n))))
        results_keep(&req->results, told, n);
}

bool writes_applied(struct writes *w, const struct applied *a)
{
    struct request *req = of_sender(w, a);
    if (req == NULL)
        return false;
    if (a->outcome == MACHINE_ENDED) {
        /* To the state machine another process of this node is the newest one, because the writes sent so
         * far did not name it as their predecessor. They are sent again, once each: that an older copy is
         * refused as well is no reason for another one. */
        bool newest = a->predecessor == req->predecessor && a->number < w->send_next;
        if (newest)
            w->send_next = a->number;
        return newest;
    }
    req->results.outcome = a->outcome;
    req->results.repeated = a->repeated;
    req->results.at = a->at;
    req->results.revision = a->revision;
    req->results.cluster_ms = machine_cluster_ms(w->machine);
    forget(w, req);
    req->next = NULL;
    *w->done_end = req;
    w->done_end = &req->next;
    return false;
}

void writes_installed(struct writes *w)
{
    for (uint64_t number = oldest(w); number < w->next; number++) {
        struct applied a;
        if (find(w, number) != NULL &&
            machine_look_up(w->machine, w->cfg->id, w->process, number, &a))
            (void)writes_applied(w, &a);
    }
    w->sent_term = 0;
}

void writes_published(struct writes *w)
{
    struct request *req = w->done;
    w->done = NULL;
    w->done_end = &w->done;
    while (req != NULL) {
        struct request *next = req->next;
        answer(w, req, result_of(req->results.outcome));
        req = next;
    }
}

void writes_expire(struct writes *w, uint64_t now)
{
    const struct raft *r = replica_raft(w->replica);
    bool out = left_out(r);
    if (now < w->deadline && !(out && w->n > 0))
        return;
    w->deadline = NEVER;
    enum result why = no_room(r)       ? RESULT_DISK_FULL
                      : r->leader != 0 ? RESULT_BUSY
                                       : RESULT_NO_LEADER;
    for (unsigned i = 0, left = w->n; left > 0; i++) {
        struct request *req = w->pending[i];
        if (req == NULL)
            continue;
        left--;
        if (req->deadline_us <= now || (out && !req->sent))
            finish(w, req, req->sent ? RESULT_UNKNOWN : why);
        else
            w->deadline = min_u64(w->deadline, req->deadline_us);
    }
}

void writes_stop(struct writes *w)
{
    for (unsigned i = 0; w->n > 0; i++)
        if (w->pending[i] != NULL)
            finish(w, w->pending[i], RESULT_STOPPING);
}
