/* events.c: see events.h. */
#include "raftd/tool/events.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/json.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"

/* ---- connections ---- */

static void let_go(struct events *e)
{
    freeReplyObject(e->held);
    e->held = NULL;
}

void events_end(struct events *e)
{
    let_go(e);
    ctl_close(&e->c);
    retry_end(&e->retry);
}

/* The connection has ended so, or there was none. Keeps errno. */
static void lose(struct events *e, enum ctl_outcome outcome)
{
    ctl_close(&e->c);
    retry_missed(&e->retry, e->t->socket, outcome);
}

/* Connects, and asks for the events. A daemon that turns us away says why before it ends the connection. */
static enum ctl_outcome begin(struct events *e, uint64_t deadline_ns)
{
    struct ctl_words words = {.n = 0};
    char since[24];
    ctl_add_text(&words, "RAFT.EVENTS");
    if (e->since != 0) {
        (void)snprintf(since, sizeof since, "%" PRIu64, e->since);
        ctl_add_text(&words, "SINCE");
        ctl_add_text(&words, since);
    }
    e->answered = false;
    enum ctl_outcome outcome = ctl_open(&e->c, e->t->socket, deadline_ns);
    if (outcome == CTL_ANSWERED && ctl_send(&e->c, &words, deadline_ns) == CTL_NOT_TAKEN)
        outcome = CTL_NOT_TAKEN;
    return outcome;
}

/* Waits, for deadline_ns at most, until it is time to connect again, and tries. CTL_TIMEOUT: not yet. */
static enum ctl_outcome connect_again(struct events *e, uint64_t deadline_ns)
{
    retry_wait(&e->retry, deadline_ns);
    if (!retry_due(&e->retry))
        return CTL_TIMEOUT;
    uint64_t most_ns = ctl_now_ns() + ((uint64_t)e->t->timeout_ms + CTL_GRACE_MS) * 1000000;
    enum ctl_outcome outcome = begin(e, min_u64(most_ns, deadline_ns));
    if (outcome == CTL_ANSWERED)
        retry_end(&e->retry);
    else
        lose(e, outcome);
    return outcome;
}

/* ---- events ---- */

/* A number, a small one, or a text, which is plain: it goes to a terminal, a line, or a script of root. */
static bool is_of(const redisReply *a, char type)
{
    if (type != 't')
        return a->type == REDIS_REPLY_INTEGER && a->integer >= 0 &&
               (type == 'n' || a->integer <= UINT16_MAX);
    bool plain = a->type == REDIS_REPLY_STRING;
    for (size_t i = 0; plain && i < a->len; i++)
        plain = a->str[i] >= ' ' && a->str[i] <= '~';
    return plain;
}

bool event_read(const redisReply *a, struct event *event)
{
    /* "event", seq, boot_us, term, kind, role, leader, node, state, why */
    static const char types[] = "tnnnttssst";
    bool good = a->type == REDIS_REPLY_ARRAY && a->elements >= sizeof types - 1;
    for (unsigned i = 0; good && types[i] != '\0'; i++)
        good = is_of(a->element[i], types[i]);
    if (!good)
        return false;
    redisReply *const *v = a->element;
    *event = (struct event){
        .seq = (uint64_t)v[1]->integer,
        .boot_us = (uint64_t)v[2]->integer,
        .term = (uint64_t)v[3]->integer,
        .kind = event_kind_of(v[4]->str, v[4]->len),
        .role = v[5]->str,
        .leader = (uint16_t)v[6]->integer,
        .node = (uint16_t)v[7]->integer,
        .state = (uint16_t)v[8]->integer,
        .why = v[9]->str,
    };
    return event->kind != EVENT_KINDS;
}

/* False: it is the answer to the command. */
static bool is_event(struct events *e, const redisReply *a, struct event *event)
{
    if (a->type == REDIS_REPLY_STATUS)
        return false;
    if (!event_read(a, event))
        say_fatal(RAFTCTL_EXIT_INTERNAL,
                  "an event makes no sense: is the daemon of another version?");
    e->since = event->seq;
    e->term = event->term;
    return true;
}

/* The daemon has ended: nothing is known any more. */
static void make_gone(struct events *e, struct event *event)
{
    e->gone = true;
    *event = (struct event){.seq = e->since,
                            .boot_us = clock_us(),
                            .term = e->term,
                            .role = "unknown",
                            .why = "",
                            .kind = EVENT_DAEMON_GONE};
}

/* The daemon is not there, or takes nothing from us now. */
static bool is_away(const struct events *e, enum ctl_outcome outcome)
{
    const char *said;
    if (outcome == CTL_ANSWERED)
        return tool_errors[tool_error_of(e->held, &said)].exit == RAFTCTL_EXIT_BUSY;
    return outcome == CTL_LOST || outcome == CTL_NOT_TAKEN ||
           (outcome == CTL_NOT_RUNNING && (errno != EACCES || retry_settles(&e->retry)));
}

/* No event came. True: it goes on. Else *code is what to end with. */
static bool goes_on(struct events *e, enum ctl_outcome outcome, int *code)
{
    if ((e->waits || e->begun) && is_away(e, outcome)) {
        if (!e->said && !e->begun)
            say_info("no daemon at %s takes us now: waiting for one", e->t->socket);
        e->said = true;
        return true;
    }
    *code = say_trouble(e->t, LOOKS, outcome, &e->held);
    events_end(e);
    return false;
}

/* Takes the next event from this connection, or an error, which is in e->held then. */
static enum ctl_outcome receive(struct events *e, struct event *event, uint64_t deadline_ns,
                                bool *is)
{
    enum ctl_outcome outcome;
    bool error;
    do {
        let_go(e);
        outcome = ctl_receive(&e->c, &e->held, deadline_ns);
        error = outcome == CTL_ANSWERED && e->held->type == REDIS_REPLY_ERROR;
        e->answered |= outcome == CTL_ANSWERED && !error;
        *is = outcome == CTL_ANSWERED && !error && is_event(e, e->held, event);
    } while (outcome == CTL_ANSWERED && !error && !*is);
    e->begun |= e->answered;
    if (*is || outcome == CTL_TIMEOUT)
        return outcome;
    lose(e, outcome);
    if (e->answered) /* at once: maybe this connection alone has ended */
        e->retry.at_ns = 0;
    return outcome;
}

int events_next(struct events *e, struct event *event, uint64_t deadline_ns, bool *is)
{
    int code = RAFTCTL_EXIT_OK;
    enum ctl_outcome outcome;
    *is = false;
    do {
        outcome = e->c.fd < 0 ? connect_again(e, deadline_ns) : CTL_ANSWERED;
        if (outcome == CTL_NOT_RUNNING && e->begun && !e->gone) {
            make_gone(e, event);
            *is = true;
            return code;
        }
        if (outcome == CTL_ANSWERED)
            outcome = receive(e, event, deadline_ns, is);
    } while (!*is && outcome != CTL_TIMEOUT && goes_on(e, outcome, &code));
    e->gone &= !*is;
    return code;
}

int events_follow(struct events *e, void (*take)(void *ctx, const struct event *event), void *ctx)
{
    struct event event;
    bool is;
    int code;
    while ((code = events_next(e, &event, UINT64_MAX, &is)) == RAFTCTL_EXIT_OK)
        if (is)
            take(ctx, &event);
    return code;
}

/* ---- printing ---- */

static void print_json(FILE *out, const struct event *e)
{
    struct json j = {.out = out, .compact = true};
    json_open(&j, NULL, '{');
    json_u64(&j, "seq", e->seq);
    json_u64(&j, "boot_us", e->boot_us);
    json_u64(&j, "term", e->term);
    json_text(&j, "event", event_kind_name(e->kind));
    json_text(&j, "role", e->role);
    json_number(&j, "leader", e->leader);
    json_number(&j, "node", e->node);
    json_number(&j, "state", e->state != 0);
    json_text(&j, "why", e->why);
    json_close(&j, '}');
    putc('\n', out);
}

void print_event(FILE *out, const struct event *e, bool json)
{
    if (json) {
        print_json(out, e);
        return;
    }
    fprintf(out, "%" PRIu64 " %" PRIu64 ".%03u %" PRIu64 " %s role=%s leader=%u", e->seq,
            e->boot_us / 1000000, (unsigned)(e->boot_us / 1000 % 1000), e->term,
            event_kind_name(e->kind), e->role, e->leader);
    if (e->node != 0)
        fprintf(out, " node=%u", e->node);
    if (e->state != 0)
        fputs(" state=1", out);
    if (e->why[0] != '\0')
        fprintf(out, " why=%s", e->why);
    putc('\n', out);
}
