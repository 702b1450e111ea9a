/* request.h: one request of a local client on its way through the node.
 *
 * Allocated by the side that serves clients, handed to the node with node_write(), owned by the
 * node until it comes back through the node's `answer` call with `result` filled, then freed by
 * the side that made it. The same object makes the whole way, so nothing on it can fail half-way.
 */
#ifndef RAFTD_REQUEST_H
#define RAFTD_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/wfcqueue.h>

#include "raftd/state/machine.h"

/* Answers to clients; the numbers are on the client socket (proto.h) and never change. */
enum result {
    RESULT_OK = 0,
    RESULT_NO_KEY = 1,    /* get, delete: no such key */
    RESULT_NO_LEADER = 2, /* nothing done: no leader in time, or none that can commit */
    RESULT_UNKNOWN = 3, /* timeout after the write left for the leader: it may or may not happen */
    RESULT_TOO_LARGE = 4, /* key or value over the limit */
    RESULT_BUSY = 5,      /* no room for it here (too much under way); nothing was done */
    RESULT_BAD = 6,       /* the request is malformed */
    RESULT_STOPPING = 7,  /* the daemon is shutting down; as UNKNOWN for a write */
    RESULT_NOT_YET = 8,   /* the daemon has just started and can't tell yet; nothing was done */
    RESULT_FULL = 9,      /* no room for more data (max_data_bytes); nothing was done */
    RESULT_REFUSED =
        10, /* the state did not allow it (`outcome` says why), or the leader a change of
                              members; nothing was done */
    RESULT_DISK_FULL = 11, /* the disk of this node has no room; nothing was done */
    RESULT_LOG_FULL = 12,  /* no snapshot lets the log go (log_max_bytes); nothing was done */
};

enum { RESULT_LAST = RESULT_LOG_FULL };

struct user;

enum request_kind {
    REQUEST_WRITE,
    REQUEST_FETCH, /* reads a snapshot into cmd */
    REQUEST_CHANGE, /* of members: cmd begins with it (member_change.h); the answer in words comes there */
};

enum { REQUEST_WORDS_BYTES = 320 }; /* cmd of a REQUEST_CHANGE */

struct request {
    struct cds_wfcq_node link; /* while queued between threads */

    /* Of the maker; the node does not look at them. */
    uint32_t reader;          /* which reader thread serves the client */
    uint32_t conn;            /* its slot there, and the slot's generation: the client may be */
    uint64_t conn_generation; /* gone when the answer comes */
    uint64_t client_tag;      /* the client's own number of the request */
    struct user *user;        /* who holds it (users.h) */

    enum request_kind kind;
    uint64_t snapshot, offset; /* of a fetch: which one, and from where on */

    uint64_t deadline_us; /* CLOCK_BOOTTIME: answer at the latest then */

    /* Of the node. */
    uint64_t process, number; /* as in its command (cmd.h) */
    uint64_t predecessor;     /* as in the copy of it that was sent last */
    struct request *next;     /* applied like this one, and not answered yet */
    bool sent;                /* it has left for a leader's log: it may happen, whatever comes */

    /* The answer. */
    enum result result;
    enum outcome outcome; /* of the state machine; 0: it did not come so far */
    uint64_t revision;    /* log index of the write */

    uint32_t body_len; /* of cmd: that are the wish; in the answer, that are its body */
    uint32_t cmd_len;  /* bytes of cmd */
    uint8_t cmd[];     /* of a write: cmd.h; origin and request are stamped by the node */
};

#endif
