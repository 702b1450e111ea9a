/* clients.h: serves local clients (resp.h, commands.h) on one event loop: a reader thread's, or the main loop
 * when there are no reader threads.
 *
 * Local reads, lists and status are answered here at once from RCU-protected state, whatever the
 * main loop and the disk are doing. Linearizable reads wait until the loop says that they may be
 * served (shared.h); all reads of one iteration share one ticket. Writes become struct request and
 * go to the loop. The memory that a client can occupy is bounded: nothing is read from a client that does
 * not read its answers, and after CLIENTS_STALL_US it is dropped. No user takes more than its share
 * (users.h).
 *
 * A client that has closed its sending side still gets its answers. A client that is turned away gets an
 * answer that says so, even while it is sending.
 */
#ifndef RAFTD_CLIENTS_H
#define RAFTD_CLIENTS_H

#include <ev.h>

#include "raftd/serve/resp.h"
#include "raftd/serve/shared.h"
#include "raftd/state/cmd.h"
#include "raftd/state/machine.h"

enum {
    CLIENTS_CONNS_MAX = 256, /* connections of one instance */
    CLIENTS_GUESTS_MAX = 16, /* guests are connections of one instance beyond the limit of all
                                instances: they get RESULT_BUSY, or the status if they ask for it */
    CLIENTS_GUEST_US = 1000 * 1000, /* how long a guest may stay */
    CLIENTS_ACCEPT_MAX = 16, /* connections taken in one iteration, so that others get a turn */
    /* Commands of one connection that wait for their answers: enough for a pipeline over a slow link. Then
     * nothing more is taken. */
    CLIENTS_CONN_OPS_MAX = 2048,
    /* Limits of all instances together. */
    CLIENTS_READS_MAX =
        16384, /* reads that wait, about 0.5 KiB each, and what is long of them below */
    CLIENTS_WRITES_MAX = 4096, /* writes without an answer: as many as the node takes */
    CLIENTS_WRITES_MAX_BYTES = 8 << 20,
    CLIENTS_PARTS_MAX_BYTES = 16 << 20, /* long commands that are coming in or wait */

    /* Received at a time. Of a command that is coming in, a connection may have so much without a share of
     * the number above. */
    CLIENTS_RECEIVE_BYTES = 32768,
    /* Calls that one connection may have between MULTI and EXEC, and keys that it may watch, without a share
     * of it; they have some hundred bytes each. */
    CLIENTS_KEPT_OWN = 8,
    /* Connections of one instance that have ended, and may still get a lock by what they had asked for: then
     * nobody asks for one. */
    CLIENTS_GONE_MAX = 1024,
    /* A command and what RESP puts around its arguments. */
    CLIENTS_COMMAND_MAX_BYTES = CMD_MAX_BYTES + RESP_ARGS_MAX * RESP_HEAD_MAX_BYTES,
    /* A connection ends when a command does not come whole within this time. */
    CLIENTS_PART_US = 10 * 1000 * 1000, /* nor when the password is not told */
    CLIENTS_TIMEOUT_MS = 5000,          /* of a command, if its connection sets no other */
    CLIENTS_TIMEOUT_MAX_MS = 3600 * 1000,
    CLIENTS_FETCH_BYTES = 32768, /* of a snapshot, in one answer */
    /* One answer: values that a write may tell, and what is around them: for each operation of EXEC the heads
     * of a value or a short error, and once CLIENTS_ECHO_MAX_BYTES. So what was done can always be told. */
    CLIENTS_ANSWER_MAX_BYTES = MACHINE_TELL_MAX_BYTES + (1 << 15),
    CLIENTS_ECHO_MAX_BYTES = 1 << 14, /* of texts that one transaction's PING and ECHO give back */
    CLIENTS_OUT_ALL_BYTES = 16 << 20, /* answers that no client has read yet, of all clients */
    /* Of values that writes told; what is more is lost, though the writes are done. A write that tells no
     * more than the second number needs no share. */
    CLIENTS_TOLD_ALL_BYTES = 32 << 20,
    CLIENTS_TOLD_OWN_BYTES = 4096,
    /* Answers that one client has not read yet. While there are more, nothing is done for that client; the
     * last answer may exceed the limit. */
    CLIENTS_OUT_MAX_BYTES = 1 << 20,
    /* Up to here a client needs no share of CLIENTS_OUT_ALL_BYTES: a small answer always passes. While more
     * wait than this and its share, nothing is done for it, for an answer without a body asks for none. */
    CLIENTS_OUT_OWN_BYTES = 1 << 14,
    CLIENTS_ROOM_US = 10 * 1000, /* how often a client that waits for a share asks for it */

    /* A unit of work takes about a microsecond. Every connection gets one turn in each iteration, so 256 of
     * them take some 20 ms; lists get what is left over. */
    CLIENTS_TURN_WORK = 64,         /* in one connection's turn: a few dozen requests */
    CLIENTS_LISTS_WORK = 1024,      /* for all lists in one iteration; one page may exceed it */
    CLIENTS_STATUS_BYTES = 64,      /* of a status, printed in one unit */
    CLIENTS_WORK_BYTES = 4096,      /* copied in one unit */
    CLIENTS_WORK_LIST_BYTES = 1024, /* of an answer that lists keys, in one unit */

    CLIENTS_STALL_US = 10 * 1000 * 1000, /* a client that takes no answer for so long is dropped */
    CLIENTS_RETRY_US = 1000 * 1000, /* until accept is tried again when no descriptor was left */
    /* How often we look whether a client that has closed its sending side is still there. */
    CLIENTS_LEFT_US = 1000 * 1000,
};

struct clients;
struct request;

/* Sets the limits of shared->users, and shared->n_guests. All shared->n_readers instances together may have
 * `files` descriptors for connections. Returns how many clients are served at a time. */
unsigned clients_set_limits(struct shared *shared, unsigned files);

/* For node_io.may_tell(): takes a share of CLIENTS_TOLD_ALL_BYTES for the request's user. It is given back
 * with the request. */
bool clients_may_tell(struct shared *shared, struct request *req, size_t bytes);

/* Serves connections to listen_fd on `loop`, as reader number `reader` of `shared`, and fills in that
 * reader's wake call. listen_fd stays the caller's, and other instances use it, too; `shared` outlives
 * this instance. The calling thread has called rcu_thread_begin() and runs the loop later. NULL without
 * memory or file descriptors. */
struct clients *clients_new(struct ev_loop *loop, struct shared *shared, unsigned reader,
                            int listen_fd);

/* Sends the answers that have come, and drops all connections. To be called by the thread of the event loop.
 * Afterwards nobody may call the reader's wake or push answers; so the caller ends the node first, which
 * answers all writes that it still has. */
void clients_free(struct clients *c);

#endif
