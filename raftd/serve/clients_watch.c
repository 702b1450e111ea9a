/* clients_watch.c: see clients_impl.h. Connections that are told of changes: RAFT.WATCH, SUBSCRIBE and the
 * like; or of events: RAFT.EVENTS. What they are told, and when a watch ends, is watch.h's and events.h's. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/rcu.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/serve/events.h"
#include "raftd/state/kv.h"

/* What a connection watches. */
struct watching {
    struct cds_list_head link; /* in clients.watching */
    struct conn *conn;
    struct watch watch;
    struct events_reader *events; /* NULL: it is told of changes */
    bool news;                    /* there may be some */
    size_t bytes;                 /* of USERS_PART_BYTES, taken for the channels */
    char why[CLIENTS_WHY_BYTES];
};

/* How many clients of this thread are told of the same. */
static _Atomic unsigned *count_of(const struct watching *w)
{
    struct shared_reader *me = w->conn->clients->me;
    return w->events != NULL ? &me->followers : &me->watchers;
}

/* The channels may take so many bytes. */
static bool in_share(struct watching *w, size_t bytes)
{
    struct users *users = &w->conn->clients->shared->users;
    if (bytes > w->bytes && !users_take(users, w->conn->user, USERS_PART_BYTES, bytes - w->bytes))
        return false;
    if (bytes < w->bytes)
        users_give(users, w->conn->user, USERS_PART_BYTES, w->bytes - bytes);
    w->bytes = bytes;
    return true;
}

unsigned watch_channels(const struct conn *conn, unsigned *patterns)
{
    *patterns = 0;
    return conn->watching != NULL ? channels_count(&conn->watching->watch.channels, patterns) : 0;
}

void watch_end(struct conn *conn)
{
    struct watching *w = conn->watching;
    if (w == NULL)
        return;
    channels_clear(&w->watch.channels);
    (void)in_share(w, 0);
    cds_list_del(&w->link);
    atomic_fetch_sub(count_of(w), 1);
    conn->watching = NULL;
    conn->talker.watches = false;
    free(w->events);
    free(w);
}

/* From now on this thread is woken when something is published. The next view that it gets, or the next
 * events, are not older than what was published without waking it. */
static struct watching *watching_new(struct conn *conn, bool events)
{
    struct clients *c = conn->clients;
    struct watching *w = calloc(1, sizeof *w);
    if (w != NULL && events && (w->events = calloc(1, sizeof *w->events)) == NULL) {
        free(w);
        w = NULL;
    }
    if (w == NULL) {
        answer_error(conn, result_text(c, RESULT_BUSY, false));
        return NULL;
    }
    channels_init(&w->watch.channels);
    w->watch.streams = events;
    w->conn = conn;
    w->news = true;
    cds_list_add_tail(&w->link, &c->watching);
    conn->watching = w;
    conn->talker.watches = true;
    atomic_fetch_add(count_of(w), 1);
    (void)atomic_load(events ? &c->shared->told : &c->shared->shown);
    return w;
}

/* NULL: a watch can begin now. */
static const char *hindrance(const struct conn *conn, bool events)
{
    if (conn->watching != NULL)
        return "ERR this connection watches already: RESET ends that";
    if (!events && !atomic_load_explicit(&conn->clients->shared->local_reads, memory_order_acquire))
        return result_text(conn->clients, RESULT_NOT_YET, false);
    return NULL;
}

static enum blocked refuse(struct conn *conn, const char *error)
{
    answer_error(conn, error);
    return BLOCKED_NOT;
}

/* ---- RAFT.WATCH ---- */

static void say_from(const void *what, struct resp_out *out)
{
    const struct watching *w = what;
    resp_int(out, (int64_t)w->watch.from);
}

enum blocked watch_start(struct conn *conn, const struct call *call)
{
    const struct resp_arg *prefix = &call->argv[1];
    struct clients *c = conn->clients;
    const char *error = hindrance(conn, false);
    int64_t from = 0;
    if (call->argc != 2 && (call->argc != 4 || !resp_is(&call->argv[2], "from") ||
                            !resp_number(&call->argv[3], &from) || from < 1))
        return refuse(conn, "ERR syntax error: prefix [FROM revision]");
    if (prefix->len > CMD_KEY_MAX_BYTES)
        return refuse(conn, "ERR no key is as long as this prefix");
    struct watching *w = error == NULL ? watching_new(conn, false) : NULL;
    if (w == NULL)
        return error != NULL ? refuse(conn, error) : BLOCKED_NOT;
    rcu_enter();
    const struct kv_view *view = kv_view(c->shared->kv);
    bool begun = watch_begin(&w->watch, view, prefix, (uint64_t)from);
    uint64_t whole_from = view->history.whole_from;
    rcu_leave();
    enum blocked blocked = begun ? answer(conn, say_from, w) : BLOCKED_NOT;
    if (!begun || blocked != BLOCKED_NOT)
        watch_end(conn);
    if (begun)
        return blocked;
    (void)snprintf(c->why, sizeof c->why,
                   "COMPACTED %" PRIu64
                   " is the first revision that can be watched from: list, and "
                   "go on behind the index of that",
                   whole_from);
    return refuse(conn, c->why);
}

/* ---- RAFT.EVENTS ---- */

enum blocked watch_events(struct conn *conn, const struct call *call)
{
    const char *error = hindrance(conn, true);
    int64_t since = 0;
    bool oldest = call->argc == 3 && resp_is(&call->argv[2], "oldest");
    if (call->argc != 1 && (call->argc != 3 || !resp_is(&call->argv[1], "since") ||
                            (!oldest && (!resp_number(&call->argv[2], &since) || since < 0))))
        return refuse(conn, "ERR syntax error: [SINCE number|OLDEST]");
    struct watching *w = error == NULL ? watching_new(conn, true) : NULL;
    if (w == NULL)
        return error != NULL ? refuse(conn, error) : BLOCKED_NOT;
    w->events->since = oldest ? EVENTS_OLDEST : (uint64_t)since;
    answer_ok(conn);
    return BLOCKED_NOT;
}

/* ---- channels ---- */

enum { SUBSCRIBED_BYTES = 64 }; /* of an answer, beside its name */

/* There is room for an answer to each name; without names, to each channel of `c`, or that there is none. */
static bool has_room(struct conn *conn, const struct call *call, const struct channels *c)
{
    size_t bytes = SUBSCRIBED_BYTES;
    for (unsigned i = 1; i < call->argc; i++)
        bytes += SUBSCRIBED_BYTES + call->argv[i].len;
    if (call->argc == 1)
        bytes += c->n * SUBSCRIBED_BYTES + c->bytes;
    return answer_room(conn, bytes);
}

static bool is_pattern(const struct call *call)
{
    return call->command->name[0] == 'p';
}

static const char *subscribe(struct watching *w, const struct call *call, uint64_t number)
{
    struct channels *c = &w->watch.channels;
    for (unsigned i = 1; i < call->argc; i++) {
        const struct resp_arg *name = &call->argv[i];
        if (!channels_add(c, name, is_pattern(call), number))
            return channels_full(c, name, is_pattern(call))
                       ? "ERR this connection has subscribed to as much as it can"
                       : result_text(w->conn->clients, RESULT_BUSY, false);
        if (!in_share(w, c->bytes)) {
            channels_remove(c, name, is_pattern(call));
            return result_text(w->conn->clients, RESULT_BUSY, false);
        }
        answer_subscribed(w->conn, call->command->name, name, c->n);
    }
    return NULL;
}

/* All names are looked at before anything is done. */
enum blocked watch_subscribe(struct conn *conn, const struct call *call)
{
    struct watching *w = conn->watching;
    bool begins = w == NULL || w->watch.streams;
    const char *error = begins ? hindrance(conn, false) : NULL;
    for (unsigned i = 1; i < call->argc && error == NULL; i++)
        error = channels_check(&call->argv[i], is_pattern(call));
    if (error != NULL)
        return refuse(conn, error);
    if (!has_room(conn, call, NULL))
        return BLOCKED_ROOM;
    if (begins)
        w = watching_new(conn, false);
    if (w == NULL)
        return BLOCKED_NOT;
    rcu_enter();
    const struct kv_view *view = kv_view(conn->clients->shared->kv);
    if (begins)
        watch_begin_channels(&w->watch, view);
    uint64_t number = view->history.end;
    rcu_leave();
    error = subscribe(w, call, number);
    if (w->watch.channels.n == 0)
        watch_end(conn);
    return error != NULL ? refuse(conn, error) : BLOCKED_NOT;
}

enum blocked watch_unsubscribe(struct conn *conn, const struct call *call)
{
    struct watching *w = conn->watching;
    bool pattern = is_pattern(call);
    struct resp_arg name;
    struct channels none;
    channels_init(&none);
    struct channels *c = w != NULL && !w->watch.streams ? &w->watch.channels : &none;
    if (!has_room(conn, call, c))
        return BLOCKED_ROOM;
    for (unsigned i = 1; i < call->argc; i++) {
        channels_remove(c, &call->argv[i], pattern);
        answer_subscribed(conn, call->command->name, &call->argv[i], c->n);
    }
    if (call->argc == 1 && !channels_first(c, pattern, &name))
        answer_subscribed(conn, call->command->name, NULL, c->n);
    while (call->argc == 1 && channels_first(c, pattern, &name)) {
        answer_subscribed(conn, call->command->name, &name, c->n - 1);
        channels_remove(c, &name, pattern);
    }
    if (c != &none)
        (void)in_share(w, c->bytes);
    if (c != &none && c->n == 0)
        watch_end(conn);
    return BLOCKED_NOT;
}

/* ---- telling ---- */

void watches_wake(struct clients *c)
{
    struct cds_list_head *at;
    uint64_t shown = atomic_load_explicit(&c->shared->shown, memory_order_acquire);
    uint64_t told = atomic_load_explicit(&c->shared->told, memory_order_acquire);
    bool changes = shown != c->shown, events = told != c->told;
    c->shown = shown;
    c->told = told;
    if (!changes && !events)
        return;
    cds_list_for_each(at, &c->watching)
    {
        struct watching *w = rcu_container(at, struct watching, link);
        if (!(w->events != NULL ? events : changes))
            continue;
        w->news = true;
        turn_wait(w->conn);
    }
}

bool watch_wanted(const struct conn *conn)
{
    return conn->watching != NULL && conn->watching->news && !conn->ended;
}

static void serve_events(struct conn *conn)
{
    struct watching *w = conn->watching;
    struct event e;
    enum blocked blocked = BLOCKED_NOT;
    bool more = false;
    rcu_enter();
    const struct happened *h = rcu_get(conn->clients->shared->events);
    while (h != NULL && (more = events_look(w->events, h, &e)) && conn->clients->work > 0 &&
           blocked == BLOCKED_NOT && !output_full(conn) && !conn->hangup) {
        conn->clients->work--;
        blocked = answer(conn, events_say, &e);
        if (blocked == BLOCKED_NOT)
            events_pass(w->events, &e);
    }
    rcu_leave();
    if (blocked != BLOCKED_NOT)
        conn->blocked = blocked;
    w->news = more;
}

const char *watch_serve(struct conn *conn)
{
    struct watching *w = conn->watching;
    if (w->events != NULL) {
        serve_events(conn);
        return NULL;
    }
    struct watch_news news;
    enum watch_look found = WATCH_TELL;
    enum blocked blocked = BLOCKED_NOT;
    rcu_enter();
    const struct kv_view *view = kv_view(conn->clients->shared->kv);
    while (found == WATCH_TELL && blocked == BLOCKED_NOT && !output_full(conn) && !conn->hangup) {
        found = watch_look(&w->watch, view, &conn->clients->work, &news);
        if (found != WATCH_TELL)
            break;
        blocked = answer(conn, watch_say, &news);
        if (blocked == BLOCKED_NOT)
            watch_pass(&w->watch, &news);
    }
    if (blocked != BLOCKED_NOT)
        conn->blocked = blocked;
    uint64_t whole_from = view->history.whole_from;
    rcu_leave();
    w->news = found != WATCH_DONE;
    if (found != WATCH_MISSED)
        return NULL;
    (void)snprintf(w->why, sizeof w->why,
                   "LAGGED %" PRIu64 " is the first revision that can be watched from, and not all "
                   "before it was told: list, and go on behind the index of that",
                   whole_from);
    return w->why;
}
