/* lock.c: runs a program while this process holds a lock.
 *
 * Until when it holds the lock is counted by this process alone, from when it sent the question: the daemon
 * that answers may stop, hang or vanish. Before that time is over the program is told to end (SIGTERM), and
 * is killed (SIGKILL) while the lock can't be another's yet. The clock goes on while the machine sleeps.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/json.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/child.h"
#include "raftd/tool/raftctl.h"
#include "raftd/tool/retry.h"

enum {
    MS = 1000000,         /* in nanoseconds */
    KILL_BEFORE_MS = 100, /* the lock may be another's: a busy machine may be late by so much */
    TERM_PART = 4, /* this part of the time before that is for the program to end by itself */
    WAIT_MAX_MS = 24 * 3600 * 1000,
    TELL_MS = 1000,    /* how often a program is told until when the lock is held, at least */
    TELL_PATIENCE = 2, /* a program that takes no line for so many times the lease hangs */
};

/* A lock, or a key that is published, and the program that goes with it. */
struct hold {
    struct tool *t;
    const struct args *args;
    struct ctl c;
    bool connected;
    bool met;                 /* the daemon, at least once */
    enum ctl_outcome outcome; /* of the last question */
    struct retry retry;       /* when to ask again after one that failed */
    char fence[24];
    uint64_t held_ns;  /* when that question was sent of which the answer said that we hold it */
    uint64_t until_ns; /* we hold it, by our clock */
    uint64_t lease_ns; /* how much was left when we were told last */
    uint64_t asked_ns; /* when the question was sent that is not answered; 0: there is none */
    uint64_t ask_ns;   /* when to ask next */
    bool lost;         /* the program has been told to end */
    int ends_by;       /* a signal that was sent to us, or 0 */
    int signals;       /* of which this tells */
    int told;          /* what the program has as its standard input, or -1 */
    uint64_t taken_ns; /* the program had taken all of it by then */
    pid_t child;
    bool
        group; /* it has a process group of its own: all of that gets our signals. In the foreground of a
                   terminal it has not, for it could not use the terminal then. */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void disconnect(struct hold *h)
{
    if (h->connected)
        ctl_close(&h->c);
    h->connected = false;
    h->asked_ns = 0;
}

static uint64_t deadline(const struct hold *h)
{
    return ctl_now_ns() + (uint64_t)(h->t->timeout_ms + CTL_GRACE_MS) * MS;
}

/* Sends words, and waits for the answer until then; NULL: none came, and the connection is gone. */
static redisReply *ask(struct hold *h, const struct ctl_words *w, uint64_t until)
{
    redisReply *a = NULL;
    if (!h->connected) {
        h->outcome = ctl_open(&h->c, h->t->socket, deadline(h));
        h->connected = true;
        if (h->outcome == CTL_NOT_RUNNING && !h->met)
            tool_end(h->t, say_not_running(h->t));
        if (h->outcome != CTL_ANSWERED) {
            disconnect(h);
            return NULL;
        }
        retry_end(&h->retry);
        h->met = true;
    }
    h->outcome = ctl_send(&h->c, w, deadline(h));
    if (h->outcome == CTL_ANSWERED)
        h->outcome = ctl_receive(&h->c, &a, until);
    if (h->outcome != CTL_ANSWERED)
        disconnect(h);
    return a;
}

/* --- getting it --------------------------------------------------------------------------------- */

/* What an answer says of the lock, of which the question was sent at that time. */
static bool take_lease(struct hold *h, const redisReply *a, uint64_t sent_ns)
{
    if (a->type != REDIS_REPLY_ARRAY || a->elements != 2 ||
        a->element[0]->type != REDIS_REPLY_INTEGER || a->element[1]->type != REDIS_REPLY_INTEGER)
        return false;
    (void)snprintf(h->fence, sizeof h->fence, "%lld", a->element[0]->integer);
    h->lease_ns = (uint64_t)a->element[1]->integer * MS;
    h->held_ns = sent_ns;
    h->until_ns = sent_ns + h->lease_ns;
    h->ask_ns = sent_ns + h->lease_ns / TERM_PART;
    if ((h->args->flags & ARG_TELL) != 0)
        h->ask_ns = min_u64(h->ask_ns, sent_ns + (uint64_t)TELL_MS * MS);
    return true;
}

static void held_words(const struct hold *h, struct ctl_words *w)
{
    w->n = 0;
    ctl_add_text(w, "RAFT.HELD");
    ctl_add(w, h->args->words[0].at, h->args->words[0].len);
}

enum got { GOT, NOT_GOT, TRY_AGAIN };

/* Ends the process, and says what the error means, unless it is one that passes. */
static void must_pass(struct hold *h, redisReply *a)
{
    const char *text;
    int code = a != NULL && a->type == REDIS_REPLY_ERROR ? tool_errors[tool_error_of(a, &text)].exit
                                                         : RAFTCTL_EXIT_LOST;
    bool passes = code == RAFTCTL_EXIT_LOST || code == RAFTCTL_EXIT_NO_LEADER ||
                  code == RAFTCTL_EXIT_UNKNOWN || code == RAFTCTL_EXIT_BUSY ||
                  code == RAFTCTL_EXIT_NOT_YET || code == RAFTCTL_EXIT_NOT_HELD;
    if (!passes)
        tool_end(h->t, say_trouble(h->t, WRITES, CTL_ANSWERED, &a));
    freeReplyObject(a);
    disconnect(h); /* whatever we have of it ends with the connection */
}

static enum got not_yet(struct hold *h, redisReply *a)
{
    must_pass(h, a);
    retry_missed(&h->retry, h->t->socket, h->outcome);
    return TRY_AGAIN;
}

/* Stands in the queue until the lock is ours, or the time is over (0: no time at all). */
static enum got take_lock(struct hold *h, const struct word *value, uint64_t wait_until_ns)
{
    struct ctl_words w = {.n = 0};
    char ms[24];
    uint64_t now = now_ns(), left_ms = wait_until_ns > now ? (wait_until_ns - now) / MS : 0;
    ctl_add_text(&w, "RAFT.LOCK");
    add_key(&w, h->args->words[0].at, h->args->words[0].len);
    if (value != NULL) {
        ctl_add_text(&w, "VALUE");
        ctl_add(&w, value->at, value->len);
    }
    if (wait_until_ns == 0) {
        ctl_add_text(&w, "TRY");
    } else if (wait_until_ns != UINT64_MAX) {
        (void)snprintf(ms, sizeof ms, "%llu", (unsigned long long)left_ms);
        ctl_add_text(&w, "WAIT");
        ctl_add_text(&w, ms);
    }
    uint64_t until = wait_until_ns == UINT64_MAX ? UINT64_MAX / 2 : deadline(h) + left_ms * MS;
    redisReply *a = ask(h, &w, until);
    if (a == NULL || a->type == REDIS_REPLY_ERROR)
        return not_yet(h, a);
    bool nil = a->type == REDIS_REPLY_NIL;
    freeReplyObject(a);
    if (nil)
        return NOT_GOT;
    held_words(h, &w); /* that was maybe long ago: what is left is counted from a question of now */
    uint64_t sent_ns = now_ns();
    a = ask(h, &w, deadline(h));
    if (a == NULL || !take_lease(h, a, sent_ns))
        return not_yet(h, a);
    freeReplyObject(a);
    return GOT;
}

/* Until it is worth another try, or that time, of now_ns(). */
static void wait_for_try(struct hold *h, uint64_t until_ns)
{
    uint64_t left_ns = until_ns - min_u64(until_ns, now_ns()), now = ctl_now_ns();
    retry_wait(&h->retry, now + min_u64(left_ns, UINT64_MAX - now));
}

/* --- keeping it --------------------------------------------------------------------------------- */

/* The program is killed then. */
static uint64_t kill_at(const struct hold *h)
{
    return h->until_ns - (uint64_t)KILL_BEFORE_MS * MS;
}

static void start_child(struct hold *h)
{
    int ends[2] = {STDIN_FILENO, -1};
    if ((h->args->flags & ARG_TELL) != 0 &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "socketpair: %s", strerror(errno));
    h->told = ends[1];
    h->taken_ns = now_ns();
    h->lost = false;
    h->group = tcgetpgrp(STDIN_FILENO) != getpgrp();
    if (setenv("RAFTD_FENCE", h->fence, 1) != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    h->child = child_start(
        &(struct child_how){.argv = h->args->argv, .in = ends[0], .group = h->group});
    if (h->told >= 0)
        close(ends[0]);
}

static void send_signal(const struct hold *h, int number)
{
    (void)kill(h->group ? -h->child : h->child, number);
}

/* The lock is lost, or soon will be. */
static void lose(struct hold *h, const char *why)
{
    if (h->lost)
        return;
    h->lost = true;
    say_warn("%s: %s: the program is told to end", h->args->words[0].at, why);
    send_signal(h, SIGTERM);
}

/* Tells the program when the lock was surely held, and until when it is. One that has not taken the last line
 * is told nothing; one that takes none for long hangs, and would keep the lock for ever. */
static void tell(struct hold *h)
{
    int untaken = 0;
    char line[48];
    if (h->told < 0 || h->lost || ioctl(h->told, TIOCOUTQ, &untaken) != 0)
        return;
    uint64_t now = now_ns();
    if (untaken == 0) {
        h->taken_ns = now;
        int len = snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 "\n", h->held_ns / MS,
                           kill_at(h) / MS);
        (void)send(h->told, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else if (now - h->taken_ns > TELL_PATIENCE * h->lease_ns) {
        lose(h, "the program hangs");
    }
}

/* Something came from the daemon. */
static void on_answer(struct hold *h)
{
    redisReply *a;
    enum ctl_outcome outcome = ctl_receive(&h->c, &a, 0);
    if (outcome == CTL_TIMEOUT)
        return;
    if (outcome != CTL_ANSWERED) {
        disconnect(h);
        lose(h, "the daemon is gone");
        return;
    }
    if (!h->lost && !take_lease(h, a, h->asked_ns))
        lose(h, "the lock is not held any more");
    tell(h);
    h->asked_ns = 0;
    freeReplyObject(a);
}

static void ask_again(struct hold *h)
{
    struct ctl_words w;
    held_words(h, &w);
    h->asked_ns = now_ns();
    if (ctl_send(&h->c, &w, ctl_now_ns()) == CTL_ANSWERED)
        return;
    disconnect(h);
    lose(h, "the daemon is gone");
}

/* Does what is due; returns in how many ms it is to be looked at again. */
static int due(struct hold *h)
{
    uint64_t now = now_ns();
    uint64_t kill_ns = kill_at(h);
    uint64_t term_ns = kill_ns - h->lease_ns / TERM_PART;
    if (!h->lost && now >= term_ns)
        lose(h, "the daemon does not say that the lock is held");
    if (h->lost && now >= kill_ns) {
        send_signal(h, SIGKILL);
        return -1;
    }
    if (!h->lost && h->asked_ns == 0 && now >= h->ask_ns)
        ask_again(h);
    uint64_t at = h->lost ? kill_ns : term_ns;
    if (!h->lost && h->asked_ns == 0 && h->ask_ns < at)
        at = h->ask_ns;
    now = now_ns();
    return at > now ? (int)min_u64((at - now) / MS + 1, 1000) : 0;
}

static void on_signal(struct hold *h)
{
    struct signalfd_siginfo s;
    if (read(h->signals, &s, sizeof s) != (ssize_t)sizeof s || s.ssi_signo == SIGCHLD)
        return;
    h->ends_by = (int)s.ssi_signo;
    send_signal(h, h->ends_by);
}

/* Until the program has ended. Returns how, as waitpid() tells it. */
static int watch_child(struct hold *h)
{
    int how = 0;
    while (!child_ended(h->child, h->lost && h->group, &how)) {
        struct pollfd p[] = {{.fd = h->signals, .events = POLLIN},
                             {.fd = h->connected ? h->c.fd : -1, .events = POLLIN}};
        if (poll(p, 2, due(h)) <= 0)
            continue;
        if (p[0].revents != 0)
            on_signal(h);
        if (p[1].revents != 0 && h->connected)
            on_answer(h);
    }
    return how;
}

/* --- the commands ------------------------------------------------------------------------------- */

static void give_back(struct hold *h)
{
    struct ctl_words w = {.n = 0};
    if (!h->connected)
        return;
    ctl_add_text(&w, "RAFT.UNLOCK");
    ctl_add(&w, h->args->words[0].at, h->args->words[0].len);
    ctl_add_text(&w, h->fence);
    if (h->asked_ns == 0)
        freeReplyObject(ask(h, &w, deadline(h)));
    disconnect(h); /* the same, if that was in vain */
}

static void hold_init(struct hold *h, struct tool *t, const struct args *a)
{
    sigset_t set;
    *h = (struct hold){.t = t, .args = a, .retry = RETRY_NOW};
    if (a->argc == 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "behind -- the program is missing that is to be run");
    child_signals(&set);
    h->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (h->signals < 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "signalfd: %s", strerror(errno));
}

/* Signals wait while the program runs, so that none is missed. */
static void block_signals(int how)
{
    sigset_t set;
    child_signals(&set);
    (void)sigprocmask(how, &set, NULL);
}

/* Runs the program with the lock; returns an exit code: the program's own, unless the lock was lost. */
static int run_with_lock(struct hold *h)
{
    block_signals(SIG_BLOCK);
    start_child(h);
    tell(h);
    int how = watch_child(h);
    if (h->told >= 0)
        close(h->told);
    give_back(h);
    block_signals(SIG_UNBLOCK);
    if (h->lost && h->ends_by == 0)
        return RAFTCTL_EXIT_NOT_HELD;
    return child_code(how);
}

void run_lock(struct tool *t, const struct args *a)
{
    struct hold h;
    enum got got;
    uint64_t wait_ms = 0, until_ns = UINT64_MAX;
    hold_init(&h, t, a);
    if ((a->flags & ARG_WAIT) != 0 && (a->flags & ARG_TRY) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "-n does not wait, and -w does: only one of them");
    if ((a->flags & ARG_WAIT) != 0 &&
        !num_parse_thousandths(a->values[VALUE_WAIT].at, 0, WAIT_MAX_MS, &wait_ms))
        say_fatal(RAFTCTL_EXIT_USAGE, "-w %s: seconds, 0 to %d", a->values[VALUE_WAIT].at,
                  WAIT_MAX_MS / 1000);
    if ((a->flags & (ARG_WAIT | ARG_TRY)) != 0)
        until_ns = (a->flags & ARG_TRY) != 0 ? 0 : now_ns() + wait_ms * MS;
    uint64_t try_until_ns = until_ns != 0 ? until_ns : now_ns() + (uint64_t)t->timeout_ms * MS;
    while ((got = take_lock(&h, NULL, until_ns)) == TRY_AGAIN && now_ns() < try_until_ns)
        wait_for_try(&h, try_until_ns);
    if (got == GOT)
        tool_end(t, run_with_lock(&h));
    if (got == TRY_AGAIN)
        say_fatal(RAFTCTL_EXIT_NO_LEADER, "no daemon, or no leader that can commit, in time");
    say_error("%s: another one holds the lock", a->words[0].at);
    tool_end(t, RAFTCTL_EXIT_NOT_HELD);
}

void run_elect(struct tool *t, const struct args *a)
{
    struct hold h;
    const struct word *value = a->n_words > 1 ? &a->words[1] : NULL;
    hold_init(&h, t, a);
    for (;;) {
        while (take_lock(&h, value, UINT64_MAX) != GOT)
            wait_for_try(&h, UINT64_MAX);
        int code = run_with_lock(&h);
        if (!h.lost || h.ends_by != 0)
            tool_end(t, code);
        disconnect(&h);
    }
}

void run_before(struct tool *t, const struct args *a)
{
    uint64_t until_ms;
    if (a->argc == 0 || !num_parse(a->words[0].at, 0, INT64_MAX / 1000, &until_ms))
        say_fatal(RAFTCTL_EXIT_USAGE, "milliseconds since boot, and behind -- a program");
    if (!child_ends_at(until_ms * 1000)) {
        say_error("the time is over: the program is not run");
        tool_end(t, RAFTCTL_EXIT_NOT_HELD);
    }
    child_become(a->argv, environ);
}

void run_leader(struct tool *t, const struct args *a)
{
    struct question q = {.asked = PEEKS};
    ctl_add_text(&q.words, "RAFT.HOLDER");
    add_key(&q.words, a->words[0].at, a->words[0].len);
    redisReply *answer = tool_call(t, &q);
    if (answer->type == REDIS_REPLY_NIL) {
        say_error("nobody holds the lock");
        tool_end(t, RAFTCTL_EXIT_NO_KEY);
    }
    must_be(answer, REDIS_REPLY_ARRAY, 4);
    long long node = answer->element[0]->integer, fence = answer->element[2]->integer;
    const uint8_t *value = (const uint8_t *)answer->element[3]->str;
    if (a->flags & ARG_JSON) {
        struct json j = {.out = t->out.file, .compact = true};
        json_open(&j, NULL, '{');
        json_number(&j, "node", (uint64_t)node);
        json_u64(&j, "fence", (uint64_t)fence);
        json_key(&j, &(struct item){.key = (const uint8_t *)a->words[0].at,
                                    .key_len = a->words[0].len,
                                    .value = value,
                                    .value_len = answer->element[3]->len});
        json_close(&j, '}');
    } else {
        fprintf(t->out.file, "node=%lld fence=%lld value=", node, fence);
        print_escaped(t->out.file, value, answer->element[3]->len, 0);
    }
    fputc('\n', t->out.file);
    freeReplyObject(answer);
}

/* --- a key that is there as long as we are ------------------------------------------------------ */

#define KEYSPACE "__keyspace@0__:"

/* Has the daemon say when something happens to the key, over a connection of its own: one that has subscribed
 * takes no other commands. */
static void subscribe(struct hold *h, struct ctl *c)
{
    const struct word *key = &h->args->words[0];
    char channel[sizeof KEYSPACE + CMD_KEY_MAX_BYTES] = KEYSPACE;
    struct ctl_words w = {.n = 0};
    redisReply *a = NULL;
    memcpy(channel + sizeof KEYSPACE - 1, key->at, key->len);
    ctl_add_text(&w, "SUBSCRIBE");
    ctl_add(&w, channel, sizeof KEYSPACE - 1 + key->len);
    h->outcome = ctl_open(c, h->t->socket, deadline(h));
    if (h->outcome == CTL_ANSWERED)
        h->outcome = ctl_send(c, &w, deadline(h));
    if (h->outcome == CTL_ANSWERED)
        h->outcome = ctl_receive(c, &a, deadline(h));
    if (a == NULL || a->type != REDIS_REPLY_ARRAY)
        ctl_close(c);
    freeReplyObject(a);
}

/* As this node knows it, which asks nobody else. */
static bool is_there(struct hold *h)
{
    struct ctl_words w = {.n = 0};
    ctl_add_text(&w, "GET");
    ctl_add(&w, h->args->words[0].at, h->args->words[0].len);
    redisReply *a = ask(h, &w, deadline(h));
    bool there = a == NULL || a->type != REDIS_REPLY_NIL;
    freeReplyObject(a);
    return there;
}

static bool set_key(struct hold *h, const struct ctl_words *w)
{
    redisReply *a = ask(h, w, deadline(h));
    bool set = a != NULL && a->type != REDIS_REPLY_ERROR;
    if (set)
        freeReplyObject(a);
    else
        must_pass(h, a);
    return set;
}

/* Until a connection ends, or something has happened to the key. */
static void wait_for_word(struct hold *h, struct ctl *told)
{
    struct pollfd p[] = {{.fd = h->c.fd, .events = POLLIN}, {.fd = told->fd, .events = POLLIN}};
    redisReply *a = NULL;
    if (poll(p, 2, -1) <= 0)
        return;
    if (p[0].revents != 0) /* nothing was asked */
        disconnect(h);
    if (p[1].revents == 0)
        return;
    enum ctl_outcome outcome = ctl_receive(told, &a, 0);
    bool ends = a != NULL ? a->type == REDIS_REPLY_ERROR : outcome != CTL_TIMEOUT;
    if (ends)
        ctl_close(told);
    freeReplyObject(a);
}

/* A leader that does not hear the node for long deletes the key, and the connection goes on. So whenever
 * something has happened to the key, or could have without a word, it is looked at. */
void run_publish(struct tool *t, const struct args *a)
{
    static const struct ctl_words local = {1, {"READONLY"}, {sizeof "READONLY" - 1}};
    struct hold h = {.t = t, .args = a, .retry = RETRY_NOW};
    struct ctl told = {.fd = -1};
    struct ctl_words w = {.n = 0};
    bool set = false;
    ctl_add_text(&w, "RAFT.PUBLISH");
    add_key(&w, a->words[0].at, a->words[0].len);
    ctl_add(&w, a->words[1].at, a->words[1].len);
    for (;;) {
        if (!h.connected) {
            set = false;
            freeReplyObject(ask(&h, &local, deadline(&h)));
        }
        if (h.connected && told.fd < 0)
            subscribe(&h, &told);
        if (h.connected && !(set && is_there(&h)))
            set = set_key(&h, &w);
        if (h.connected && set && told.fd >= 0)
            wait_for_word(&h, &told);
        /* It is set again a moment later. */
        retry_missed(&h.retry, t->socket, h.outcome);
        wait_for_try(&h, UINT64_MAX);
    }
}
