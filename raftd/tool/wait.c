/* wait.c: waits until something is so. The daemon's events say when to look, also whether it has started: so
 * nothing is asked again and again, but for the few seconds in which a member's silence may show yet. */
#include <inttypes.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/events.h"
#include "raftd/tool/raftctl.h"

const char wait_usage[] = " leader | writable | caught-up | member ID | KEY[=VALUE]";
const char wait_what[] =
    "wait, for --timeout at most, until there is a leader (and print it),\n"
    "          until writes are taken, until this node has all that is committed\n"
    "          now, until member ID is heard, or until KEY is there, or has that\n"
    "          value; also while the daemon is not there, or starts";

enum { LOOK_MS = 200 }; /* between two looks at a member that may be silent or not */

struct wait {
    struct tool *t; /* its timeout_ms is what is left */
    uint64_t deadline_ns;
    struct word key, value;
    uint64_t member;
    uint64_t since_us; /* the member is to be heard later than that, by clock_us() */
    uint64_t
        look_ns; /* look again then, though no event has come; UINT64_MAX: not before one comes */
    /* Whether it is so, after an event. RAFTCTL_EXIT_NOT_YET: it is not, or can't be told now. */
    int (*look)(struct wait *w, const struct event *e);
    int never;         /* exit code, and ... */
    const char *words; /* ... what is said if it does not come to be so in time */
};

/* What comes when the daemon, or the cluster, is there again is told by an event. */
static int or_not_yet(int code)
{
    return code == RAFTCTL_EXIT_LOST || code == RAFTCTL_EXIT_NOT_RUNNING ||
                   code == RAFTCTL_EXIT_BUSY || code == RAFTCTL_EXIT_NO_LEADER
               ? RAFTCTL_EXIT_NOT_YET
               : code;
}

/* Through the leader, which a majority follows then; and this node has all that was committed before. */
static int read_through(const struct wait *w)
{
    struct question q = {.asked = READS};
    redisReply *a;
    ctl_add_text(&q.words, "EXISTS");
    ctl_add_text(&q.words, "x"); /* it does not matter which key */
    int code = tool_ask(w->t, &q, &a);
    freeReplyObject(a);
    return or_not_yet(code);
}

static int look_leader(struct wait *w, const struct event *e)
{
    if (e->leader == 0)
        return RAFTCTL_EXIT_NOT_YET;
    fprintf(w->t->out.file, "leader=%u\n", e->leader);
    return RAFTCTL_EXIT_OK;
}

static int look_caught_up(struct wait *w, const struct event *e)
{
    return e->leader != 0 ? read_through(w) : RAFTCTL_EXIT_NOT_YET;
}

static int ask_status(struct wait *w, struct status *s)
{
    struct question q = {.asked = LOOKS};
    redisReply *a;
    ctl_add_text(&q.words, "RAFT.STATUS");
    ctl_add_text(&q.words, "ALL");
    uint64_t now_us =
        clock_us(); /* of the question: so no moment seems later than it was, but for a ms */
    int code = tool_ask(w->t, &q, &a);
    status_read(s, code == RAFTCTL_EXIT_OK ? a->str : NULL, now_us);
    freeReplyObject(a);
    return or_not_yet(code);
}

/* A leader that a majority follows takes writes unless there is no room, or its majority does not write. */
static int look_writable(struct wait *w, const struct event *e)
{
    struct status s;
    int code = look_caught_up(w, e);
    if (code == RAFTCTL_EXIT_OK)
        code = ask_status(w, &s);
    if (code == RAFTCTL_EXIT_OK && !health_writable(&s))
        code = RAFTCTL_EXIT_NOT_YET;
    return code;
}

/* Two followers have little to say to each other, so the end of one shows late at the other. What counts is
 * what comes from it now. It will be heard or be silent soon: no event tells the first. */
static bool is_heard(struct wait *w, const struct status *s)
{
    for (unsigned i = 0; i < s->n_peers; i++) {
        const struct status_peer *p = &s->peers[i];
        if (p->id != w->member || p->heard_us == 0 || p->loss_in_permille == STATUS_LOSS_ALL)
            continue;
        if (p->heard_us > w->since_us + 1000)
            return true;
        w->look_ns = ctl_now_ns() + LOOK_MS * UINT64_C(1000000);
    }
    return w->member == s->id;
}

static int look_member(struct wait *w, const struct event *e)
{
    struct status s;
    int code = ask_status(w, &s);
    (void)e;
    if (code != RAFTCTL_EXIT_OK)
        return code;
    for (unsigned i = 0; i < s.n_members; i++)
        if (s.members[i].id == w->member && s.members[i].standing != MEMBER_JOINING &&
            is_heard(w, &s))
            return RAFTCTL_EXIT_OK;
    return RAFTCTL_EXIT_NOT_YET;
}

static int look_key(struct wait *w, const struct event *e)
{
    int code = look_caught_up(w, e);
    return code == RAFTCTL_EXIT_OK ? or_not_yet(wait_for_key(w->t, &w->key, &w->value)) : code;
}

/* The time is over. */
static int over(const struct wait *w)
{
    struct status s;
    int code = tool_status(w->t, &s);
    if (code == RAFTCTL_EXIT_OK && s.health == HEALTH_STARTING) {
        say_error("the time is over: %s", s.health_why);
        return RAFTCTL_EXIT_NOT_YET;
    }
    if (code == RAFTCTL_EXIT_OK)
        say_error("the time is over, and %s: %s", w->words, s.health_why);
    return code == RAFTCTL_EXIT_OK ? w->never : code;
}

static int wait_until(struct wait *w)
{
    struct events e = {.t = w->t, .waits = true, .c.fd = -1, .retry = RETRY_NOW};
    struct event event = {.seq = 0};
    bool is = true;
    int code = RAFTCTL_EXIT_NOT_YET;
    w->deadline_ns = ctl_now_ns() + (uint64_t)w->t->timeout_ms * 1000000;
    w->since_us = clock_us();
    w->look_ns = UINT64_MAX;
    while (code == RAFTCTL_EXIT_NOT_YET) {
        int rc = events_next(&e, &event, min_u64(w->look_ns, w->deadline_ns), &is);
        uint64_t now_ns = ctl_now_ns();
        bool looks = now_ns >= w->look_ns;
        if (rc != RAFTCTL_EXIT_OK)
            return rc; /* it has ended, and said why */
        if ((!is && !looks) || now_ns >= w->deadline_ns)
            break;
        w->t->timeout_ms = (uint32_t)((w->deadline_ns - now_ns) / 1000000 + 1);
        if (is) /* the state is told whole */
            looks = event.state <= 1 && event.kind != EVENT_DAEMON_GONE;
        if (looks) {
            w->look_ns = UINT64_MAX;
            code = w->look(w, &event);
        }
    }
    events_end(&e);
    return code == RAFTCTL_EXIT_NOT_YET ? over(w) : code;
}

/* What is waited for, by its name. */
static const struct {
    const char *name;
    struct wait wait;
} kinds[] = {
    {"leader",
     {.look = look_leader, .never = RAFTCTL_EXIT_NO_LEADER, .words = "there is no leader"}},
    {"writable",
     {.look = look_writable, .never = RAFTCTL_EXIT_NO_LEADER, .words = "no write is taken"}},
    {"caught-up",
     {.look = look_caught_up,
      .never = RAFTCTL_EXIT_NO_LEADER,
      .words = "this node does not have all that is committed"}},
    {"member",
     {.look = look_member,
      .never = RAFTCTL_EXIT_NO_KEY,
      .words = "there is no such member, or it is not heard, or has not caught up"}},
};

/* "KEY" or "KEY=VALUE". */
static struct wait for_key(const struct args *a)
{
    struct wait w = {.look = look_key,
                     .never = RAFTCTL_EXIT_NO_KEY,
                     .words = "the key is not there, or has another value",
                     .key = a->words[0]};
    char *sign = memchr(w.key.at, '=', w.key.len);
    if (sign != NULL) {
        w.value = (struct word){sign + 1, w.key.len - (size_t)(sign + 1 - w.key.at)};
        w.key.len = (size_t)(sign - w.key.at);
    }
    return w;
}

void run_wait(struct tool *t, const struct args *a)
{
    struct wait w = for_key(a);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(a->words[0].at, kinds[i].name) == 0)
            w = kinds[i].wait;
    if ((w.look == look_member) != (a->n_words == 2) ||
        (w.look == look_member && !num_parse(a->words[1].at, 1, CONF_ID_MAX, &w.member)))
        say_fatal(RAFTCTL_EXIT_USAGE, "usage: raftctl wait%s", wait_usage);
    w.t = t;
    tool_end(t, wait_until(&w));
}
