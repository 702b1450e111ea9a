/* request.h: one request of a local client on its way through the node.
 *
 * The side that serves clients allocates it and hands it to the node (node_write(), node_change()). The
 * node owns it until it comes back by the node's `answer` call with `result` filled, and the side that
 * made it frees it. It is one object all the way, so that nothing can fail half-way.
 */
#ifndef RAFTD_REQUEST_H
#define RAFTD_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/wfcqueue.h>

#include "raftd/state/results.h"

/* What becomes of a request of a client. */
enum result {
    RESULT_OK = 0,
    RESULT_NO_KEY = 1,    /* get, delete: no such key */
    RESULT_NO_LEADER = 2, /* nothing done: no leader in time, or none that can commit */
    RESULT_UNKNOWN =
        3, /* time ran out after the write left for a leader: it may or may not happen */
    RESULT_TOO_LARGE = 4, /* key or value over the limit */
    RESULT_BUSY = 5,      /* no room for it here (too much under way); nothing was done */
    RESULT_BAD = 6,       /* the request is malformed */
    RESULT_STOPPING = 7,  /* the daemon is shutting down; as UNKNOWN for a write */
    RESULT_NOT_YET = 8,   /* the daemon has just started and can't tell yet; nothing was done */
    RESULT_FULL = 9,      /* no room for more data (max_data_bytes); nothing was done */
    /* The state did not allow it (`results` says why), or the leader refused a change of members; nothing
     * was done. */
    RESULT_REFUSED = 10,
    RESULT_DISK_FULL = 11, /* the disk of this node has no room; nothing was done */
    RESULT_LOG_FULL = 12,  /* no snapshot lets the log go (log_max_bytes); nothing was done */
};

enum { RESULT_LAST = RESULT_LOG_FULL };

struct round;
struct user;

enum request_kind {
    REQUEST_WRITE,
    REQUEST_FETCH,  /* reads a part of a snapshot into cmd */
    REQUEST_CHANGE, /* of members, in cmd (member_change.h), which takes the answer in words */
    REQUEST_ROUND,  /* of other threads that serve clients: no node sees it */
};

enum { REQUEST_WORDS_BYTES = 320 }; /* size of cmd of a REQUEST_CHANGE */

struct request {
    struct cds_wfcq_node link; /* while queued between threads */

    /* The maker's; the node does not look at them. */
    uint32_t reader;          /* which reader thread serves the client */
    uint32_t conn;            /* the client's slot there */
    uint64_t conn_generation; /* of the slot: the client may be gone when the answer comes */
    uint64_t client_tag;      /* the client's own number of the request */
    struct user *user;        /* who holds it (users.h) */
    size_t told_bytes;        /* of the results, as it is counted */
    struct round *round;      /* of REQUEST_ROUND, else NULL */

    enum request_kind kind;
    uint64_t snapshot, offset; /* of a fetch: which one, and from where on */

    uint64_t deadline_us; /* CLOCK_BOOTTIME: answer at the latest then */

    /* The node's. */
    uint64_t process, number; /* as in its command (cmd.h) */
    uint64_t predecessor;     /* as in the copy that was sent last */
    struct request *next;     /* of those that are applied and not answered yet */
    bool sent;                /* a copy has left for a leader's log, so it may happen */
    uint64_t
        relay_off; /* where its only copy begins in the present stream of relays (relay.h); NEVER:
                           there is none in it, or another one elsewhere */

    /* The answer. */
    enum result result;
    /* What the state machine says of a write; of a change of members only the revision counts. Who made the
     * request calls results_free() before it frees it. */
    struct results results;

    uint32_t body_len; /* bytes of cmd that are the wish, and in the answer its body */
    uint32_t cmd_len;  /* bytes of cmd */
    uint8_t cmd[];     /* of a write: cmd.h; origin and request are stamped by the node */
};

#endif
