/* clients_impl.h: the inside of an instance of clients.h, shared by the clients*.c only.
 *
 * One iteration of the loop: bytes are received and their commands served, answers that the main loop sent
 * are taken, and all of that only fills output. Then flush(), which runs before the loop blocks, announces
 * new reads, wakes the main loop once, sends all answers and closes what is to be closed. So no connection
 * disappears under a function that works on it.
 *
 * A connection has turns, each of a bounded amount of work. What it asks for beyond that waits unread in
 * its socket, as the rest of what was received, or as commands that can be answered; and the connection waits
 * for another turn in the next iteration. What looks at many keys costs most, so it waits in a queue of its
 * own, behind everything else.
 *
 * Answers have the order of the commands. A read or a write that can't be answered at once waits in the
 * connection's queue. A read is looked at when it is first there, so it sees all writes before it; a write
 * goes to the main loop when no read is before it, so that none of them sees it. What is neither, or gets an
 * error at once, is not taken before the queue is empty.
 */
#ifndef RAFTD_CLIENTS_IMPL_H
#define RAFTD_CLIENTS_IMPL_H

#include <stdbool.h>
#include <sys/socket.h>
#include <urcu/list.h>

#include "raftd/base/num.h"
#include "raftd/node/request.h"
#include "raftd/serve/clients.h"
#include "raftd/serve/commands.h"
#include "raftd/serve/resp.h"
#include "raftd/serve/watch.h"
#include "raftd/state/holders.h"

enum {
    HELD_LOOK_US = 100 * 1000, /* how soon a lease that is over is looked at again */
    /* Guests that were told to go stay until the end of the iteration, beside those that came in it. */
    CLIENTS_SLOTS = CLIENTS_CONNS_MAX + CLIENTS_GUESTS_MAX + CLIENTS_ACCEPT_MAX,
    CLIENTS_WHY_BYTES = 300,        /* an error that is made when it is told */
    CLIENTS_NOBODY = CLIENTS_SLOTS, /* place of no connection: a request of the instance itself */
};

/* A call that is kept, with its arguments; without them in struct pending, if only its answer is still to be
 * told. */
struct kept_call {
    struct cds_list_head link;
    struct call call;
    struct tale tale; /* of a transaction: its shape, and `n` operations of its own ... */
    unsigned first;   /* ... from this one on */
    size_t bytes;     /* of USERS_PART_BYTES */
};

enum pending_state {
    PENDING_TICKET, /* a read, until the main loop says that it may be served */
    PENDING_HELD,   /* a write, until the reads before it are answered */
    PENDING_LOOP,   /* the main loop has it */
    PENDING_LOCK,   /* a place in the queue for a lock, until the connection holds it */
    PENDING_READY,  /* it can be answered as soon as it is the first */
};

/* What waits for its answer. */
struct pending {
    struct cds_list_head link;   /* in conn.pending */
    struct cds_list_head parked; /* PENDING_TICKET: in clients.parked; PENDING_LOCK: in
                                    clients.locks; else empty */
    struct lock_wait *lock;      /* of RAFT.LOCK, else NULL */
    bool gives;                  /* it is RAFT.UNLOCK */
    struct conn *conn;
    enum pending_state state;
    bool local;                 /* a read that asks no leader */
    bool exec;                  /* the answer is an array with those of all calls */
    bool once;                  /* it is an array around that of the call, see say_once() */
    enum result refused;        /* RESULT_OK, or why nothing was done */
    uint64_t ticket;            /* of a read: may be served when read_done reaches it */
    uint64_t deadline_us;       /* of a read */
    struct request *req;        /* what the main loop does; NULL: a read, or the main loop has it */
    struct cds_list_head calls; /* struct kept_call, `only` may be one */
    struct cds_list_head watched; /* of EXEC without writes: keys that must be as they were */
    struct kept_call only;
};

/* A connection waits for a lock; or holds it, and is told by pushes for how long. */
struct lock_wait {
    struct cds_list_head link; /* in clients.held */
    struct conn *conn;
    uint64_t until_us; /* how long it wants to; NEVER: as long as it takes */
    uint64_t fence;    /* of the lock that it has got; 0: it has not */
    uint64_t lease_us; /* until when it is sure to hold it, as it was told */
    uint64_t again_us; /* when to look whether there is more to tell */
    bool gives_up;     /* its time is up, and its place is being given back */
    unsigned giving;   /* commands under way that may give back what it holds */
    uint16_t name_len;
    uint8_t name[CMD_KEY_MAX_BYTES];
};

/* A connection that has ended, and may have claims left. */
struct gone {
    struct cds_list_head link; /* in clients.gone */
    struct holder holder;      /* process 0: not known yet */
    uint64_t
        late_us; /* until when a command of it may make another claim: one of which nobody ... */
    unsigned
        under_way;     /* ... knows what becomes of it, or one of these, which have no answer yet */
    bool doubt;        /* there was one of the first kind */
    uint64_t again_us; /* when to look at it again */
    bool asked;        /* the main loop is freeing it */
};

enum blocked {
    BLOCKED_NOT,
    BLOCKED_LIST,  /* what looks at many keys waits for the turn of those */
    BLOCKED_ROOM,  /* a long answer waits for its share of CLIENTS_OUT_ALL_BYTES */
    BLOCKED_ORDER, /* what is not queued waits until the queue is empty */
};

/* A key of WATCH. */
struct watched {
    struct cds_list_head link;
    uint64_t revision; /* 0: there was no such key */
    size_t bytes;      /* of USERS_PART_BYTES */
    uint16_t len;
    uint8_t key[];
};

struct conn {
    ev_io in;
    ev_io out; /* active while the socket is full */
    struct clients *clients;
    uint32_t slot;       /* place in clients.conns */
    uint64_t generation; /* no other connection of this instance has had it */
    struct talker talker;
    bool tcp;                    /* it came by TCP, and has to tell the password first */
    uint64_t since_us, heard_us; /* when it came, and when something last came from it */
    const struct command *last;  /* that was taken; NULL: none */
    uint32_t timeout_ms;         /* of each command, see RAFT.TIMEOUT */

    struct cds_list_head pending; /* the queue, first come first */
    unsigned ops;                 /* how many */
    unsigned reads;               /* how many of them are reads */

    struct resp_out answers; /* bytes that the client has not taken, behind `sent` others */
    size_t sent;
    size_t out_bytes; /* of USERS_OUT_BYTES, taken for them */

    struct resp_in come;
    uint8_t *rest; /* what was received and not taken: from rest_at to rest_len; or NULL */
    size_t rest_at, rest_len, rest_cap;
    size_t in_bytes;  /* of USERS_PART_BYTES, taken for it */
    bool unfinished;  /* a command has begun to come, and more is needed for it */
    bool busy;        /* that command is passed over, for there is no room for it */
    uint64_t part_us; /* until when it may come, NEVER = nothing has begun */

    struct cds_list_head turn;  /* in turns, lists or starved of struct clients; empty: in none */
    enum blocked blocked;       /* what its next command or answer waits for */
    uint64_t stalled_us;        /* since when the client takes no answer, NEVER = it does */
    struct user *user;          /* who the client is; NULL: over the limit, see guest_us */
    uint64_t guest_us;          /* when a guest has to go, NEVER = it is no guest */
    uint64_t stranger_us;       /* until when the password has to be told, NEVER = it was */
    struct cds_list_head dirty; /* in clients.dirty if flush() has to look at it; else empty */
    bool ended; /* nothing more is taken from the client; close when it has all its answers */
    const char *last_word; /* an error that it then gets, or NULL */
    bool hangup;           /* close after a last try to send */

    struct holder holder; /* what it is in claims; process 0: it has none */
    struct gone *gone;    /* for when it has ended; malloc; NULL: it has no claims, and never had */
    bool doubt;           /* it was not told what became of a command that may make a claim */

    /* MULTI and WATCH. */
    bool multi;
    bool spoilt; /* a command was refused, so EXEC does nothing */
    unsigned n_calls, n_watched;
    struct cds_list_head calls;   /* struct kept_call */
    struct cds_list_head watched; /* struct watched */

    struct watching *watching; /* clients_watch.c's; NULL: it is told of no changes */
};

struct clients {
    struct ev_loop *loop;
    struct shared *shared;
    struct shared_reader *me; /* this instance in `shared` */
    unsigned reader;          /* its number */
    ev_io accept, accept_tcp;
    unsigned listens; /* shared->listens when `accept` was started */
    bool ends;        /* as shared->ends */
    ev_async wake;
    ev_async more; /* a connection waits for a turn */
    ev_prepare prepare;
    ev_timer timer;
    uint64_t timer_us;    /* earliest moment when something may be due */
    uint64_t armed_us;    /* what the timer is set to */
    uint64_t accept_us;   /* until when nothing is accepted, NEVER = connections are */
    uint64_t generation;  /* of the newest connection */
    uint64_t ticket;      /* newest given to a read */
    uint64_t shown, told; /* as in shared, when those who watch were last given a turn */
    bool wake_loop;       /* flush() has to wake the main loop */
    unsigned n_conns;     /* without guests */
    unsigned n_guests;    /* without those that were told to go */
    /* First in, first out. */
    struct cds_list_head parked;   /* linearizable reads, and so in order of their tickets */
    struct cds_list_head turns;    /* connections that wait for a turn */
    struct cds_list_head lists;    /* connections that wait for a turn of what looks at many keys */
    struct cds_list_head starved;  /* connections that wait for room for their answer */
    struct cds_list_head dirty;    /* connections that flush() has to look at */
    struct cds_list_head watching; /* connections that are told of changes */
    struct cds_list_head locks;    /* struct pending that wait for a lock */
    struct cds_list_head held;     /* struct lock_wait of those that hold one, and speak RESP3 */
    struct cds_list_head gone;     /* struct gone, ... */
    unsigned n_gone;               /* ... so many */
    struct cds_list_head rounds;   /* struct round of other threads, that wait for this one */
    int work;                      /* units left in the present turn */
    int list_work; /* units left in the present turn of lists; 0: it is no such turn */
    struct conn *conns[CLIENTS_SLOTS];
    /* Room for one command at a time; nothing in it outlasts that. */
    struct resp_arg argv[RESP_ARGS_MAX];
    struct cmd_build build;
    char why[CLIENTS_WHY_BYTES];
    uint8_t received[CLIENTS_RECEIVE_BYTES];
};

/* Has the timer run out at t_us at the latest. */
static inline void clients_due_at(struct clients *c, uint64_t t_us)
{
    c->timer_us = min_u64(c->timer_us, t_us);
}

/* Number of a connection, which no other one of this process has had. */
static inline uint64_t conn_id(const struct clients *c, uint64_t generation)
{
    return generation * READERS_MAX + c->reader;
}

/* Each of these files calls only functions of those that stand above it. */

/* clients_answer.c: what clients are told */
void conn_mark_dirty(struct conn *conn);
void conn_hang_up(struct conn *conn);
/* Bytes that wait for the client. */
size_t output_pending(const struct conn *conn);
bool output_full(const struct conn *conn);
enum output_state {
    OUTPUT_EMPTY,
    OUTPUT_BLOCKED, /* the socket is full */
    OUTPUT_BROKEN,  /* the other side is gone: nothing will ever leave */
};
/* Sends what the socket takes now. */
enum output_state output_send(struct conn *conn);
/* Gives back what was taken of USERS_OUT_BYTES and is not needed for what is left. */
void output_give(struct conn *conn);
/* The error for a result; `c` may be asked for room to write it. `write`: of something that may have left. */
const char *result_text(struct clients *c, enum result result, bool write);
/* Tells an error, or something as short. */
void answer_error(struct conn *conn, const char *error);
void answer_ok(struct conn *conn);
void answer_queued(struct conn *conn);
void answer_null_array(struct conn *conn);
/* True if short answers may have so many bytes together; else the connection waits for room. */
bool answer_room(struct conn *conn, size_t bytes);
/* What SUBSCRIBE and the like say of one channel, NULL: of none; then there are n. */
void answer_subscribed(struct conn *conn, const char *what, const struct resp_arg *channel,
                       unsigned n);
/* Has `say` write an answer. If it is longer than there is room for, it is called again when there is. */
enum blocked answer(struct conn *conn, void (*say)(const void *what, struct resp_out *out),
                    const void *what);

/* clients_held.c: who holds a lock, and is told so */
/* Until when this holder holds the lock, with this fence; 0: it does not. */
uint64_t held_until(const struct clients *c, const struct holder *h, const uint8_t *name,
                    size_t len, uint64_t *fence);
/* The connection holds w->name, as it was told, and is told on by pushes. Takes w. */
void held_keep(struct conn *conn, struct lock_wait *w);
/* Nothing is told on of what the connection holds. */
void held_forget(struct conn *conn);
/* A command of this operation may give back what the connection holds; it has been answered. */
void held_giving(struct conn *conn, const struct cmd_item *unlock);
void held_given(struct conn *conn, const struct request *req, bool done);
/* Tells those who hold a lock, and speak RESP3, that they do so for longer, or no more. */
void held_tell(struct clients *c);

/* clients_queue.c: what waits for an answer */
/* The connection waits for a turn; conn->blocked says for which. */
void turn_wait(struct conn *conn);
/* The instance's room for a transaction, empty. */
struct cmd_build *build_begin(struct conn *conn);
/* A copy of the call. NULL: no room for it. */
struct kept_call *kept_new(struct conn *conn, const struct call *call);
/* Frees all in the list. */
void kept_free(struct conn *conn, struct cds_list_head *calls);
void watched_free(struct conn *conn, struct cds_list_head *keys);
/* A local read that need not wait for others. */
enum blocked read_now(struct conn *conn, const struct call *call);
/* These queue something. RESULT_OK, or why not. They take what is in `calls`, but not if they fail. */
/* `exec`: the calls are those of EXEC, and what the connection watches is taken, too. */
enum result queue_read(struct conn *conn, struct cds_list_head *calls, bool exec);
/* A transaction as it was built: of one call, whose command `only` tells the answer; or, if `only` is NULL,
 * of those of EXEC. */
enum result queue_write(struct conn *conn, const struct command *only, struct cds_list_head *calls,
                        const struct cmd_build *b);
/* Something else that the main loop does, with `len` bytes of room in its request. NULL: no room for it. The
 * caller fills it in and queues it, with NULL for the last two. */
struct request *request_new(struct conn *conn, enum request_kind kind, uint32_t len);
enum result queue_request(struct conn *conn, struct request *req, const struct kept_call *only,
                          struct cds_list_head *calls);
/* What waits can be answered now. */
void queue_wake(struct pending *p);
/* Hands p->req to the main loop. */
void queue_submit(struct pending *p);
/* What was queued last. */
struct pending *queue_last(const struct conn *conn);
/* What became of something in the queue is not known. */
unsigned queue_in_loop(const struct conn *conn);
/* The first in the queue can be answered. */
bool queue_ready(const struct conn *conn);
/* Answers it, or sets conn->blocked. */
void queue_serve(struct conn *conn);
/* Gives a turn to connections whose reads the main loop has confirmed. */
void reads_confirm(struct clients *c);
/* Refuses the reads whose time is up by `now`. */
void reads_expire(struct clients *c, uint64_t now, enum result result);
/* Answers CLIENT LIST or KILL, whose round is over; as answer(). */
enum blocked answer_round(struct conn *conn, const struct request *req);
/* Passes on the answers that have come from the main loop. */
void requests_take_answers(struct clients *c);
/* The daemon stops: nothing waits any more. */
void queues_stop(struct clients *c);
/* Drops what waits of a connection that goes away. */
void queue_drop(struct conn *conn);
/* See status_left_out(). */
bool clients_left_out(const struct clients *c);

/* clients_multi.c: MULTI and WATCH */
enum blocked multi_begin(struct conn *conn, const struct call *call);
enum blocked multi_exec(struct conn *conn, const struct call *call);
enum blocked multi_discard(struct conn *conn, const struct call *call);
enum blocked multi_watch(struct conn *conn, const struct call *call);
/* Forgets the keys of WATCH. */
void multi_unwatch(struct conn *conn);
/* Keeps a call for EXEC. */
void multi_add(struct conn *conn, const struct call *call);
/* Ends MULTI and WATCH. */
void multi_end(struct conn *conn);

/* clients_lock.c: locks, and keys that end with a connection */
enum blocked lock_take(struct conn *conn, const struct call *call);
enum blocked lock_give(struct conn *conn, const struct call *call);
enum blocked lock_held(struct conn *conn, const struct call *call);
enum blocked lock_holder(struct conn *conn, const struct call *call);
enum blocked lock_publish(struct conn *conn, const struct call *call);
/* The connection goes away: what it has ends. */
void lock_close(struct conn *conn);
/* Looks which locks have come to connections that wait, and what is still to be freed. */
void locks_look(struct clients *c);
void locks_free(struct clients *c);

/* clients_own.c: what the engine does itself */
enum blocked own_status(struct conn *conn, const struct call *call);
enum blocked own_links(struct conn *conn, const struct call *call);
enum blocked own_member(struct conn *conn, const struct call *call);
enum blocked own_fetch(struct conn *conn, const struct call *call);
enum blocked own_snapshot(struct conn *conn, const struct call *call);
enum blocked own_transfer(struct conn *conn, const struct call *call);
enum blocked own_drain(struct conn *conn, const struct call *call);
enum blocked own_timeout(struct conn *conn, const struct call *call);

/* clients_watch.c: who is told of changes */
enum blocked watch_start(struct conn *conn, const struct call *call);
enum blocked watch_events(struct conn *conn, const struct call *call);
enum blocked watch_subscribe(struct conn *conn, const struct call *call);
enum blocked watch_unsubscribe(struct conn *conn, const struct call *call);
/* Ends what the connection watches, if it does. */
void watch_end(struct conn *conn);
/* Gives a turn to all that watch, if there may be news for them. */
void watches_wake(struct clients *c);
/* There may be news for this one. */
bool watch_wanted(const struct conn *conn);
/* Tells some, or sets conn->blocked. NULL, or an error with which the connection ends. */
const char *watch_serve(struct conn *conn);
/* How many channels, and how many patterns it has subscribed to. */
unsigned watch_channels(const struct conn *conn, unsigned *patterns);

/* clients_list.c: what is known of connections */
/* It is one of CLIENT's that are served here: LIST, KILL, INFO. */
bool list_asked(const struct call *call);
enum blocked list_begin(struct conn *conn, const struct call *call);
/* Does what one round of another thread wants: each costs a look at all connections. */
void rounds_visit(struct clients *c);
void rounds_free(struct clients *c);

/* clients_call.c: which command goes where */
extern const struct talker_calls clients_talker_calls;
/* Serves the call or queues it; or says what it has to wait for, and then it is to be taken again. */
enum blocked call_take(struct conn *conn, struct call *call);
/* The same for a command that was too big. */
enum blocked call_too_big(struct conn *conn);
/* The connection is as a new one: who comes by TCP has to tell the password soon. */
void conn_greet(struct conn *conn);
/* Nothing more is taken from the client. */
void conn_end(struct conn *conn);
/* Nothing more is taken from the client, and it is told why when it has all its answers. */
void conn_refuse(struct conn *conn, const char *error);

/* clients_turn.c: who is served when */
/* Gives a turn to all connections that wait for one. */
void turns_run(struct clients *c);
/* Gives a turn to some that wait for a turn of lists. */
void turns_run_lists(struct clients *c);
/* Connections that wait for room get another turn. */
void turns_retry(struct clients *c);
/* Something that was received waits for a turn. */
bool turn_wanted(const struct conn *conn);
/* More may be received. */
bool turn_receives(const struct conn *conn);
/* True if the client could read answers: it may have closed its sending side, and no more. One that watches,
 * or may hold something, has not done even that. */
bool conn_is_there(const struct conn *conn);
/* Something came from the client. */
void turn_on_readable(struct ev_loop *loop, ev_io *w, int events);
/* Forgets what was received. */
void rest_free(struct conn *conn);

/* clients_conn.c: connections */
/* Does what is due by now; returns when it is to be looked at again. */
uint64_t conn_due(struct conn *conn, uint64_t now);
void conn_flush(struct conn *conn);
void conn_close(struct conn *conn);
/* Accepts clients, or does so no more, for now or for ever. */
void accept_start(struct clients *c);
void accept_stop(struct clients *c);
void conn_accept(struct ev_loop *loop, ev_io *w, int events);
/* What the client has sent is served, and what it sends from now on is not sent. */
void conn_last_orders(struct conn *conn);

#endif
