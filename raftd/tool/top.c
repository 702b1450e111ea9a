/* top.c: a cluster at a glance: on a terminal as a screen that is kept up to date, elsewhere printed once;
 * and as a page.
 *
 * While there is a screen nothing waits but poll(2), so that a key ends it whatever the daemon does, and
 * nothing ends the process but top_end(), which puts the terminal back before.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/tool/events.h"
#include "raftd/tool/glance.h"
#include "raftd/tool/page.h"
#include "raftd/tool/raftctl.h"
#include "raftd/tool/terminal.h"

enum {
    SECOND_US = 1000000,
    SILENT_US = 3 * SECOND_US, /* an answer takes a millisecond */
    PRINT_EVERY_S = 5,         /* on a terminal that can't be painted */
    EVENTS_WAIT_MS = 300,      /* for one more of those that the daemon remembers */
};

struct top {
    struct tool *t;
    struct glance g;
    struct ctl asks;   /* a connection for the status; fd -1: there is none */
    struct ctl events; /* another one for these */
    uint64_t told;     /* number of the newest event */
    uint64_t asked_us; /* an answer is awaited since then, 0 = none is */
    uint64_t next_us;  /* then it is asked again */

    struct terminal terminal;
    struct screen_as as;
    bool paints;                /* else it prints */
    bool changed;               /* what is shown is not the newest */
    struct screen screens[2];   /* what is shown, and what is drawn next, by turns */
    const struct screen *shown; /* NULL: nothing, or nobody knows what */
    uint64_t drawn_us;          /* 0 = never */
};

/* --- what is asked ------------------------------------------------------------------------------ */

static void words_of(struct ctl_words *w, const char *command, const char *argument)
{
    *w = (struct ctl_words){.n = 0};
    ctl_add_text(w, command);
    ctl_add_text(w, argument);
}

/* No status comes, for that reason. */
static void is_silent(struct top *p, const char *why)
{
    const struct event gone = {.boot_us = p->g.now_us, .kind = EVENT_DAEMON_GONE, .why = ""};
    if (p->g.silent[0] == '\0')
        glance_event(&p->g, &gone);
    ctl_close(&p->asks);
    p->asked_us = 0;
    p->changed = true;
    (void)snprintf(p->g.silent, sizeof p->g.silent, "%s", why);
}

static void ask(struct top *p)
{
    struct ctl_words words;
    words_of(&words, "RAFT.STATUS", "ALL");
    if (p->asks.fd < 0 && ctl_open(&p->asks, p->t->socket, 0) != CTL_ANSWERED)
        is_silent(p, "no daemon is there");
    else if (ctl_send(&p->asks, &words, 0) != CTL_ANSWERED)
        is_silent(p, "the daemon takes no request");
    else
        p->asked_us = p->g.now_us;
}

static void take_status(struct top *p)
{
    redisReply *a;
    enum ctl_outcome outcome = ctl_receive(&p->asks, &a, 0);
    if (outcome == CTL_TIMEOUT)
        return;
    p->asked_us = 0;
    p->changed = true;
    if (outcome != CTL_ANSWERED)
        is_silent(p, "the daemon has closed the connection");
    else if (a->type == REDIS_REPLY_STRING)
        glance_status(&p->g, a->str);
    else
        is_silent(p, a->type == REDIS_REPLY_ERROR ? a->str : "the daemon's answer makes no sense");
    freeReplyObject(a);
}

/* Where that fails it is tried again a second later. */
static void ask_events(struct top *p)
{
    struct ctl_words words;
    words_of(&words, "RAFT.EVENTS", "SINCE");
    ctl_add_text(&words, "OLDEST");
    if (ctl_open(&p->events, p->t->socket, 0) != CTL_ANSWERED ||
        ctl_send(&p->events, &words, 0) != CTL_ANSWERED)
        ctl_close(&p->events);
}

/* Takes events until none comes before that moment. Over another connection some may come again. */
static void take_events(struct top *p, uint64_t deadline_ns)
{
    enum ctl_outcome outcome;
    redisReply *a;
    bool refused = false;
    while (!refused && (outcome = ctl_receive(&p->events, &a, deadline_ns)) == CTL_ANSWERED) {
        struct event event;
        if (event_read(a, &event) && event.seq > p->told) {
            glance_event(&p->g, &event);
            p->told = event.seq;
        }
        refused = a->type == REDIS_REPLY_ERROR;
        p->changed = true;
        freeReplyObject(a);
    }
    if (refused || outcome != CTL_TIMEOUT)
        ctl_close(&p->events);
}

/* --- a screen that is kept up to date ----------------------------------------------------------- */

static void draw(struct top *p)
{
    unsigned columns, rows;
    char *text = NULL;
    size_t len = 0;
    struct screen *s = p->shown == &p->screens[0] ? &p->screens[1] : &p->screens[0];
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return; /* a second later there may be memory */
    terminal_size(&columns, &rows);
    screen_clear(s, columns, rows);
    glance_draw(&p->g, s);
    if (p->paints) {
        screen_paint(s, p->shown, p->as, out);
    } else {
        screen_print(s, p->as, out);
        fputc('\n', out);
    }
    if (fclose(out) != 0) {
        free(text);
        return;
    }
    terminal_send(&p->terminal, text, len);
    p->shown = s;
    p->drawn_us = p->g.now_us;
    p->changed = false;
}

/* A terminal that is slow gets fewer screens, and none later. */
static void show(struct top *p)
{
    bool due = p->paints || p->drawn_us == 0 ||
               p->g.now_us - p->drawn_us >= PRINT_EVERY_S * SECOND_US;
    if (terminal_flush(&p->terminal) && p->changed && due)
        draw(p);
}

/* Ends as that signal does; 0: as asked. */
static _Noreturn void top_end(struct top *p, int number)
{
    terminal_close(&p->terminal);
    if (number != 0) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    tool_end(p->t, RAFTCTL_EXIT_OK);
}

static void begin_terminal(struct top *p)
{
    if (!terminal_open(&p->terminal))
        say_fatal(RAFTCTL_EXIT_INTERNAL, "no descriptor for signals: %s", strerror(errno));
    p->g.quits = isatty(STDIN_FILENO);
    p->shown = NULL;
    p->changed = true;
}

static void on_signal(struct top *p, int number)
{
    p->shown = NULL; /* who stops us or changes the size may have left something there */
    p->changed = true;
    if (number == SIGWINCH || number == SIGCONT)
        return;
    if (number != SIGTSTP)
        top_end(p, number);
    terminal_close(&p->terminal);
    (void)raise(SIGSTOP);
    begin_terminal(p);
}

/* Each second. */
static void tick(struct top *p)
{
    p->next_us = p->g.now_us + SECOND_US;
    p->changed = true; /* what is shown is older, at least */
    if (p->asked_us == 0)
        ask(p);
    else if (p->g.now_us - p->asked_us > SILENT_US)
        (void)snprintf(p->g.silent, sizeof p->g.silent, "the daemon does not answer");
    if (p->events.fd < 0)
        ask_events(p);
}

static _Noreturn void keep_showing(struct top *p)
{
    struct pollfd fds[TERMINAL_FDS + 2];
    begin_terminal(p);
    for (int number;;) {
        uint64_t wait_us = p->next_us > p->g.now_us ? p->next_us - p->g.now_us : 0;
        show(p);
        terminal_poll(&p->terminal, fds);
        fds[TERMINAL_FDS] = (struct pollfd){.fd = p->asks.fd, .events = POLLIN};
        fds[TERMINAL_FDS + 1] = (struct pollfd){.fd = p->events.fd, .events = POLLIN};
        (void)poll(fds, TERMINAL_FDS + 2, (int)(wait_us / 1000 + 1));
        p->g.now_us = clock_us();
        while ((number = terminal_signal(&p->terminal)) != 0)
            on_signal(p, number);
        if (fds[TERMINAL_KEYS].revents != 0 && terminal_key(&p->terminal) == 'q')
            top_end(p, 0);
        if (fds[TERMINAL_FDS].revents != 0)
            take_status(p);
        if (fds[TERMINAL_FDS + 1].revents != 0)
            take_events(p, 0);
        if (p->g.now_us >= p->next_us)
            tick(p);
    }
}

/* --- once --------------------------------------------------------------------------------------- */

/* Asks for a status, and ends the process if there is none. Returns its text, to be freed. */
static char *must_status(struct top *p)
{
    struct question q = {.asked = LOOKS};
    words_of(&q.words, "RAFT.STATUS", "ALL");
    redisReply *a = tool_call(p->t, &q);
    must_be(a, REDIS_REPLY_STRING, 0);
    char *text = strdup(a->str);
    if (text == NULL)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    p->g.now_us = clock_us();
    glance_status(&p->g, a->str);
    freeReplyObject(a);
    return text;
}

/* Looks twice, a second apart: before that nobody knows how fast anything goes. Returns the text of the
 * status, to be freed. */
static char *look(struct top *p)
{
    uint64_t end_ns = ctl_now_ns() + UINT64_C(1000000000), left_ns;
    free(must_status(p));
    ask_events(p);
    if (p->events.fd >= 0)
        take_events(p, ctl_now_ns() + EVENTS_WAIT_MS * UINT64_C(1000000));
    ctl_close(&p->events);
    while ((left_ns = end_ns - ctl_now_ns()) <= 1000000000)
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)left_ns % 1000000000}, NULL);
    return must_status(p);
}

static void print_once(struct top *p)
{
    unsigned columns, rows;
    free(look(p));
    terminal_size(&columns, &rows);
    screen_clear(&p->screens[0], columns, rows);
    glance_draw(&p->g, &p->screens[0]);
    screen_print(&p->screens[0], p->as, p->t->out.file);
    glance_free(&p->g);
}

/* --- commands ----------------------------------------------------------------------------------- */

static bool is_set(const char *variable)
{
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0';
}

/* What the terminal says that it takes. */
static bool takes_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale == (locale_t)0)
        return false;
    bool is = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return is;
}

static void begin(struct top *p, struct tool *t)
{
    p->t = t;
    p->asks.fd = p->events.fd = -1;
    p->as = (struct screen_as){.utf8 = takes_utf8(), .colours = !is_set("NO_COLOR")};
}

void run_top(struct tool *t, const struct args *args)
{
    struct top p = {.t = NULL};
    const char *terminal = getenv("TERM");
    (void)args;
    begin(&p, t);
    p.paints = terminal != NULL && terminal[0] != '\0' && strcmp(terminal, "dumb") != 0;
    if (!isatty(STDOUT_FILENO)) {
        print_once(&p);
        return;
    }
    free(must_status(&p));
    keep_showing(&p);
}

void run_report(struct tool *t, const struct args *args)
{
    struct top p = {.t = NULL};
    (void)args;
    begin(&p, t);
    char *text = look(&p);
    page_print(&p.g, text, t->out.file);
    glance_free(&p.g);
    free(text);
}
