/* clients_impl.h: the inside of an instance of clients.h, shared by the clients*.c only.
 *
 * One iteration of the loop: packets are received and handled, answers that the main loop sent are
 * taken, and all of that only fills output queues. Then flush(), which runs before the loop blocks,
 * announces new reads, wakes the main loop once, sends all answers and closes what is to be closed.
 * So no connection disappears under a function that works on it.
 *
 * A connection has turns, each of a bounded amount of work. What it asks for beyond that waits unread in
 * its socket, as the rest of a packet, or as reads that are ready; and the connection waits for another turn
 * in the next iteration. Lists cost most, so they wait in a queue of their own, behind everything else.
 */
#ifndef RAFTD_CLIENTS_IMPL_H
#define RAFTD_CLIENTS_IMPL_H

#include <stdbool.h>
#include <sys/socket.h>
#include <urcu/list.h>

#include "raftd/base/num.h"
#include "raftd/serve/clients.h"
#include "raftd/serve/outq.h"
#include "raftd/serve/proto.h"

/* Guests that were told to go stay until the end of the iteration, beside those that came in it. */
enum { CLIENTS_SLOTS = CLIENTS_CONNS_MAX + CLIENTS_GUESTS_MAX + CLIENTS_ACCEPT_MAX };

/* A read (get or list) that waits: `link` is in clients.parked or in conn.ready. */
struct read {
    struct cds_list_head link;
    struct conn *conn;
    uint64_t ticket; /* may be served when read_done reaches it */
    uint64_t deadline_us;
    struct proto_request want; /* key and part point into bytes */
    uint8_t bytes[];
};

enum blocked {
    BLOCKED_NOT,
    BLOCKED_LIST, /* a list, which waits for the turn of lists */
    BLOCKED_ROOM, /* a long answer, which waits for its share of CLIENTS_OUT_ALL_BYTES */
};

struct conn {
    ev_io in;
    ev_io out; /* active while the socket is full */
    struct clients *clients;
    uint32_t slot;              /* place in clients.conns */
    uint64_t generation;        /* no other connection of this instance has had it */
    unsigned ops;               /* requests without an answer */
    struct cds_list_head ready; /* reads that may be served */
    struct outq outq;
    size_t out_bytes; /* of USERS_OUT_BYTES, taken for outq */
    uint8_t *rest;    /* requests that were received and not taken: from rest_at to rest_len */
    size_t rest_at, rest_len;
    struct cds_list_head turn;  /* in turns, lists or starved of struct clients; empty: in none */
    enum blocked blocked;       /* what its next request waits for */
    uint64_t stalled_us;        /* since when the client takes no answer, NEVER = it does */
    struct user *user;          /* who the client is; NULL: over the limit, see guest_us */
    uint64_t guest_us;          /* when a guest has to go, NEVER = it is no guest */
    struct cds_list_head dirty; /* in clients.dirty if flush() has to look at it; else empty */
    bool ended;  /* nothing more is taken from the client; close when it has all its answers */
    bool hangup; /* close after a last try to send */

    /* A value that arrives in parts. */
    struct request *part;      /* NULL while part_left counts bytes of a value that was refused */
    uint32_t part_left;        /* bytes still to come; 0: no value is arriving */
    uint64_t part_tag;         /* of the request */
    uint64_t part_deadline_us; /* of the whole value */
    uint64_t part_at_us;       /* when the newest part came */
};

struct clients {
    struct ev_loop *loop;
    struct shared *shared;
    struct shared_reader *me; /* this instance in `shared` */
    unsigned reader;          /* its number */
    ev_io accept;
    unsigned listens; /* shared->listens when `accept` was started */
    bool ends;        /* as shared->ends */
    ev_async wake;
    ev_async more; /* a connection waits for a turn */
    ev_prepare prepare;
    ev_timer timer;
    uint64_t timer_us;   /* earliest moment when something may be due */
    uint64_t armed_us;   /* what the timer is set to */
    uint64_t accept_us;  /* until when nothing is accepted, NEVER = connections are */
    uint64_t generation; /* of the newest connection */
    uint64_t ticket;     /* newest given to a read */
    bool wake_loop;      /* flush() has to wake the main loop */
    unsigned n_conns;    /* without guests */
    unsigned n_guests;   /* without those that were told to go */
    /* First in, first out. */
    struct cds_list_head parked;  /* linearizable reads, and so in order of their tickets */
    struct cds_list_head turns;   /* connections that wait for a turn */
    struct cds_list_head lists;   /* connections that wait for a turn of lists */
    struct cds_list_head starved; /* connections that wait for room for their answer */
    struct cds_list_head dirty;   /* connections that flush() has to look at */
    int work;                     /* units left in the present turn */
    int list_work; /* units left in the present turn of lists; 0: it is no such turn */
    struct conn *conns[CLIENTS_SLOTS];
    uint8_t packet[PROTO_PACKET_MAX_BYTES];
};

/* Has the timer run out at t_us at the latest. */
static inline void clients_due_at(struct clients *c, uint64_t t_us)
{
    c->timer_us = min_u64(c->timer_us, t_us);
}

/* Each of these files calls only functions of those that stand above it. */

/* clients_answer.c: what clients are told */
void conn_mark_dirty(struct conn *conn);
void conn_hang_up(struct conn *conn);
bool output_full(const struct conn *conn);
void answer_result(struct conn *conn, uint64_t tag, enum result result, uint64_t revision);
void answer_not_yet(struct conn *conn,
                    uint64_t tag); /* with why, if the daemon is still starting */
/* Sends that answer, or RESULT_BUSY if there is no room for its body. */
void answer_body(struct conn *conn, const struct proto_reply *whole);
/* These two answer and return BLOCKED_NOT, or say what the answer has to wait for. */
enum blocked answer_status(struct conn *conn, uint64_t tag, unsigned flags);
enum blocked answer_read(struct conn *conn, const struct proto_request *w);
/* Gives back what was taken of USERS_OUT_BYTES and is not needed for what is left. */
void output_give(struct conn *conn);

/* clients_request.c: what clients ask for */
/* Takes the first request of buf. Returns its size; 0: it has to wait, see conn->blocked. When the connection
 * has ended, the result does not matter. */
size_t request_take(struct conn *conn, const uint8_t *buf, size_t len);
/* Serves the first read of conn->ready. */
void read_serve(struct conn *conn);
/* Moves the next read that the main loop has confirmed to its connection, and returns that connection. NULL:
 * there is no such read. */
struct conn *read_confirmed(struct clients *c);
/* Tells all who wait for reads that the daemon stops. */
void reads_stop(struct clients *c);
/* See status_left_out(). */
bool clients_left_out(const struct clients *c);
/* Answers the reads whose time is up by `now`. Reads of `gone`, a connection that goes away, are dropped. */
void reads_expire(struct clients *c, uint64_t now, const struct conn *gone, enum result result);
/* Passes on the answers to writes that have come from the main loop. */
void writes_take_answers(struct clients *c);
/* Nothing more is taken from the client. */
void conn_end(struct conn *conn);
/* Tells the client that nothing more is taken from it, and why. */
void conn_refuse(struct conn *conn, enum result result);
/* Drops the requests without an answer of a connection that goes away. */
void requests_drop(struct conn *conn);

/* clients_turn.c: who is served when */
/* The connection waits for a turn; conn->blocked says for which. */
void turn_wait(struct conn *conn);
/* Gives a turn to all connections that wait for one or whose reads were confirmed. */
void turns_run(struct clients *c);
/* Gives a turn to some that wait for a turn of lists. */
void turns_run_lists(struct clients *c);
/* Connections that wait for room get another turn. */
void turns_retry(struct clients *c);
/* True if the client could read answers: it may have closed its sending side, and no more. */
bool conn_is_there(const struct conn *conn);
/* Something came from the client. */
void turn_on_readable(struct ev_loop *loop, ev_io *w, int events);

/* clients_conn.c: connections */
/* Does what is due by now; returns when it is to be looked at again. */
uint64_t conn_due(struct conn *conn, uint64_t now);
void conn_flush(struct conn *conn);
void conn_close(struct conn *conn);
void conn_accept(struct ev_loop *loop, ev_io *w, int events);
/* What the client has sent is served, and what it sends from now on is not sent. */
void conn_last_orders(struct conn *conn);

#endif
