/* clients_impl.h: the inside of an instance of clients.h, shared by the clients*.c only.
 *
 * One iteration of the loop: packets are received and handled, answers that the main loop sent are
 * taken, and all of that only fills output queues. Then flush(), which runs before the loop blocks,
 * announces new reads, wakes the main loop once, sends all answers and closes what is to be closed.
 * So no connection disappears under a function that works on it.
 */
#ifndef RAFTD_CLIENTS_IMPL_H
#define RAFTD_CLIENTS_IMPL_H

#include <stdbool.h>
#include <sys/socket.h>

#include "raftd/clients.h"
#include "raftd/outq.h"
#include "raftd/proto.h"

#define CLIENTS_NEVER UINT64_MAX

/* Guests that were told to go are there until the end of the iteration. */
enum { CLIENTS_SLOTS = CLIENTS_CONNS_MAX + CLIENTS_GUESTS_MAX + CLIENTS_ACCEPT_MAX };

/* A read (get or list). key and after point into the packet, or into a waiting read's bytes. */
struct want {
    uint8_t op;
    uint16_t key_len;
    uint16_t after_len;
    uint64_t tag;
    const uint8_t *key;
    const uint8_t *after;
};

struct read {
    struct read *next;
    struct conn *conn;
    uint64_t ticket; /* may be served when read_done reaches it; 0 = now */
    uint64_t deadline_us;
    struct want want;
    uint8_t bytes[];
};

/* First in, first out. */
struct reads {
    struct read *first;
    struct read **end; /* the pointer that a new one is put into */
};

struct conn {
    ev_io in;
    ev_io out; /* active while the socket is full */
    struct clients *clients;
    uint32_t slot;
    uint64_t generation;
    unsigned ops;       /* unanswered requests */
    unsigned waiting;   /* of them reads in clients->parked */
    struct reads ready; /* reads that may be served, but the output is full */
    struct outq outq;
    uint64_t stalled_us; /* since when it takes no answer, CLIENTS_NEVER = it does */
    struct conn *next_dirty;
    struct user *user; /* who is behind it; NULL: over the limit, see guest_us */
    uint64_t guest_us; /* when a guest has to go, CLIENTS_NEVER = it is none */
    bool dirty;        /* flush() has something to do */
    bool ended;        /* nothing more is taken from it; close when it has all its answers */
    bool hangup;       /* close after a last try to send */

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
    ev_async wake;
    ev_prepare prepare;
    ev_timer timer;
    uint64_t timer_us;   /* earliest moment when something may be due */
    uint64_t armed_us;   /* what the timer is set to */
    uint64_t accept_us;  /* accepting pauses until then, CLIENTS_NEVER = it does not */
    uint64_t generation; /* of the newest connection */
    uint64_t ticket;     /* newest given to a read */
    bool wake_loop;
    unsigned n_conns;
    unsigned n_guests;   /* that were not told to go */
    struct reads parked; /* linearizable reads in order of ticket */
    struct conn *dirty;
    struct conn *conns[CLIENTS_SLOTS];
    struct mmsghdr msgs[CLIENTS_BATCH];
    struct iovec iovs[CLIENTS_BATCH];
    uint8_t packets[CLIENTS_BATCH][PROTO_PACKET_MAX_BYTES];
};

/* The timer comes at t_us at the latest. */
static inline void clients_due_at(struct clients *c, uint64_t t_us)
{
    if (t_us < c->timer_us)
        c->timer_us = t_us;
}

/* clients_answer.c: what clients are told */
bool output_full(const struct conn *conn);
void answer_result(struct conn *conn, uint64_t tag, enum result result, uint64_t revision);
void answer_status(struct conn *conn, uint64_t tag);
void answer_read(struct conn *conn, const struct want *w);

/* clients_request.c: what clients ask for */
/* The first request of buf; returns its size. When the connection has ended, the rest does not
 * matter. */
size_t request_take(struct conn *conn, const uint8_t *buf, size_t len);
void reads_init(struct reads *q);
/* Serves reads whose turn has come while the output has room. */
void reads_serve_ready(struct conn *conn);
/* The main loop has confirmed reads: they go to their connections in order. */
void reads_serve_parked(struct clients *c);
/* Answers the reads whose time is up by `now`; those of a connection that goes away (`gone`) are
 * only dropped. */
void reads_expire(struct clients *c, uint64_t now, const struct conn *gone, enum result result);
/* The main loop has answered writes. */
void writes_take_answers(struct clients *c);
/* The value that is arriving in parts will not be completed. */
void part_drop(struct conn *conn);
/* The connection goes away: what it asked for and has not got is dropped. */
void requests_drop(struct conn *conn);

/* clients_conn.c: connections */
void conn_mark_dirty(struct conn *conn);
void conn_hang_up(struct conn *conn);
/* Tells the client that nothing more is taken from it, and why. */
void conn_refuse(struct conn *conn, enum result result);
/* Does what is due by now; returns when it is to be looked at again. */
uint64_t conn_due(struct conn *conn, uint64_t now);
void conn_flush(struct conn *conn);
void conn_close(struct conn *conn);
void conn_accept(struct ev_loop *loop, ev_io *w, int events);

#endif
