/* clients_impl.h: the inside of an instance of clients.h, shared by the clients*.c only.
 *
 * One iteration of the loop: packets are received and handled, answers that the main loop sent are
 * taken, and all of that only fills output queues. Then flush(), which runs before the loop blocks,
 * announces new reads, wakes the main loop once, sends all answers and closes what is to be closed.
 * So no connection disappears under a function that works on it.
 *
 * A connection has turns, each of a bounded amount of work. What it asked beyond that waits: unread
 * in its socket, as the rest of a packet, or as reads that are ready; it is queued for another turn in
 * the next iteration. Lists cost most: they wait in a queue of their own, behind everything else.
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

/* Guests that were told to go are there until the end of the iteration. */
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
    BLOCKED_LIST, /* a list: for the turn of lists */
    BLOCKED_ROOM, /* a long answer: for its share of CLIENTS_OUT_ALL_BYTES */
};

struct conn {
    ev_io in;
    ev_io out; /* active while the socket is full */
    struct clients *clients;
    uint32_t slot;
    uint64_t generation;
    unsigned ops;               /* unanswered requests */
    struct cds_list_head ready; /* reads that may be served */
    struct outq outq;
    size_t out_bytes; /* of USERS_OUT_BYTES, taken for outq */
    uint8_t *rest;    /* requests that were received and not taken: from rest_at to rest_len */
    size_t rest_at, rest_len;
    struct cds_list_head turn;  /* in turns, lists or starved of clients, or in none: by itself */
    enum blocked blocked;       /* what its next request waits for */
    uint64_t stalled_us;        /* since when it takes no answer, NEVER = it does */
    struct user *user;          /* who is behind it; NULL: over the limit, see guest_us */
    uint64_t guest_us;          /* when a guest has to go, NEVER = it is none */
    struct cds_list_head dirty; /* flush() has something to do; else by itself */
    bool ended;  /* nothing more is taken from it; close when it has all its answers */
    bool hangup; /* close after a last try to send */

    /* A value that arrives in parts. */
    struct request *part; /* NULL while part_left counts bytes of a refused one */
    uint32_t part_left;
    uint64_t part_tag;
    uint64_t part_deadline_us; /* of the whole value */
    uint64_t part_at_us;       /* when something of it came last */
};

struct clients {
    struct ev_loop *loop;
    struct shared *shared;
    struct shared_reader *me;
    unsigned reader;
    ev_io accept;
    unsigned listens; /* as shared->listens, when accept was begun */
    ev_async wake;
    ev_async more; /* somebody waits for a turn */
    ev_prepare prepare;
    ev_timer timer;
    uint64_t timer_us;   /* earliest moment when something may be due */
    uint64_t armed_us;   /* what the timer is set to */
    uint64_t accept_us;  /* accepting pauses until then, NEVER = it does not */
    uint64_t generation; /* of the newest connection */
    uint64_t ticket;     /* newest given to a read */
    bool wake_loop;
    unsigned n_conns;
    unsigned n_guests; /* that were not told to go */
    /* First in, first out. */
    struct cds_list_head parked;  /* linearizable reads, so in order of ticket */
    struct cds_list_head turns;   /* connections that wait for a turn, */
    struct cds_list_head lists;   /* for a turn of lists, */
    struct cds_list_head starved; /* and for room for their answer */
    struct cds_list_head dirty;
    int work;      /* what is left of the present turn */
    int list_work; /* what is left of the lists' turn, 0 = it is none */
    struct conn *conns[CLIENTS_SLOTS];
    uint8_t packet[PROTO_PACKET_MAX_BYTES];
};

/* The timer comes at t_us at the latest. */
static inline void clients_due_at(struct clients *c, uint64_t t_us)
{
    c->timer_us = min_u64(c->timer_us, t_us);
}

/* These files call each other upwards alone: none calls a function of one that stands below it. */

/* clients_answer.c: what clients are told */
void conn_mark_dirty(struct conn *conn);
void conn_hang_up(struct conn *conn);
bool output_full(const struct conn *conn);
void answer_result(struct conn *conn, uint64_t tag, enum result result, uint64_t revision);
/* With a body, or that there is no room for it. */
void answer_bytes(struct conn *conn, uint64_t tag, const uint8_t *bytes, size_t len);
/* BLOCKED_NOT when it is answered. */
enum blocked answer_status(struct conn *conn, uint64_t tag, bool json);
enum blocked answer_read(struct conn *conn, const struct proto_request *w);
/* Gives back what was taken of USERS_OUT_BYTES and is not needed for what is left. */
void output_give(struct conn *conn);

/* clients_request.c: what clients ask for */
/* Takes the first request of buf; returns its size, 0 = conn->blocked. When the connection has ended,
 * the rest does not matter. */
size_t request_take(struct conn *conn, const uint8_t *buf, size_t len);
/* Serves the first read of conn->ready. */
void read_serve(struct conn *conn);
/* Moves the next read that the main loop has confirmed to its connection, and returns this one; NULL:
 * there is none. */
struct conn *read_confirmed(struct clients *c);
/* Tells all who wait for reads that the daemon stops. */
void reads_stop(struct clients *c);
/* Answers the reads whose time is up by `now`; those of a connection that goes away (`gone`) are
 * only dropped. */
void reads_expire(struct clients *c, uint64_t now, const struct conn *gone, enum result result);
/* Passes on the answers to writes that have come from the main loop. */
void writes_take_answers(struct clients *c);
/* Forgets the value that is arriving in parts. */
void part_drop(struct conn *conn);
/* Nothing more is taken from the client. */
void conn_end(struct conn *conn);
/* Tells the client that nothing more is taken from it, and why. */
void conn_refuse(struct conn *conn, enum result result);
/* Drops what a connection that goes away has asked for and not got. */
void requests_drop(struct conn *conn);

/* clients_turn.c: who is served when */
/* The connection has something to be done that waits for a turn: which, says conn->blocked. */
void turn_wait(struct conn *conn);
/* One turn each for all that wait for work or whose reads were confirmed, for some that wait for lists. */
void turns_run(struct clients *c);
void turns_run_lists(struct clients *c);
/* Connections that wait for room get another turn. */
void turns_retry(struct clients *c);
/* The client is there and could read answers: it has at most closed its sending side. */
bool conn_is_there(const struct conn *conn);
/* Something came from the client. */
void turn_on_readable(struct ev_loop *loop, ev_io *w, int events);

/* clients_conn.c: connections */
/* Does what is due by now; returns when it is to be looked at again. */
uint64_t conn_due(struct conn *conn, uint64_t now);
void conn_flush(struct conn *conn);
void conn_close(struct conn *conn);
void conn_accept(struct ev_loop *loop, ev_io *w, int events);

#endif
