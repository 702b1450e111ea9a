/* hooks.c: see hooks.h. */
#include "raftd/tool/hooks.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/child.h"
#include "raftd/tool/fold.h"
#include "raftd/tool/trust.h"

enum {
    MS = 1000000,    /* in nanoseconds */
    AGAIN_MS = 1000, /* between two tries */
    KILL_MS = 5000,  /* a script that was told to end has so long for that */
    TRIES_MAX = 10,  /* of a script that ends with AGAIN */
    AGAIN = 1,       /* exit code: try it again */
    VARIABLES = 9,   /* in a script's environment */
};

struct hooks {
    struct events *events;
    const char *path;
    uint64_t timeout_ms;
    struct fold fold;
    int signals;
    bool ends; /* we were told to end */
    /* The event that is being told: */
    struct dirent **names; /* its scripts, if there is a directory */
    int n, next;           /* how many; the one that runs, or is to run */
    unsigned tries;        /* of it so far */
    uint64_t again_ns;     /* when to try it */
    pid_t child;           /* it runs; 0 = none does */
    uint64_t end_ns;       /* then it is told to end, or is killed */
    bool late;             /* it was told */
};

/* --- the scripts -------------------------------------------------------------------------------- */

/* As run-parts(8) has it: what packages and editors leave behind has a dot, or worse, in its name. */
static int is_name(const struct dirent *d)
{
    const char *c = d->d_name;
    while (isalnum((unsigned char)*c) || *c == '_' || *c == '-')
        c++;
    return *c == '\0';
}

/* The path of the script that is next; one that is too long names no file. */
static void next_path(const struct hooks *h, char path[PATH_MAX])
{
    if (h->names == NULL)
        (void)snprintf(path, PATH_MAX, "%s", h->path);
    else
        (void)snprintf(path, PATH_MAX, "%s/%s", h->path, h->names[h->next]->d_name);
}

/* In a directory there may be other files. */
static bool is_script(const struct hooks *h, const char *path)
{
    struct stat s;
    return h->names == NULL ||
           (stat(path, &s) == 0 && S_ISREG(s.st_mode) && (s.st_mode & S_IXUSR) != 0);
}

static void say_given_up(const struct hooks *h, const char *what, const char *why)
{
    const struct event *e = fold_first(&h->fold);
    say_error("%s is not told of event %" PRIu64 " (%s): %s", what, e->seq,
              event_kind_name(e->kind), why);
}

static void drop_names(struct hooks *h)
{
    for (int i = 0; h->names != NULL && i < h->n; i++)
        free(h->names[i]);
    free(h->names);
    h->names = NULL;
}

/* Begins with the first event that waits. */
static void begin(struct hooks *h)
{
    struct stat s;
    h->fold.busy = true;
    h->next = 0;
    h->n = 1;
    h->tries = 0;
    h->again_ns = 0;
    if (stat(h->path, &s) != 0 || !S_ISDIR(s.st_mode))
        return; /* what is no file either says so when it is run */
    h->n = scandir(h->path, &h->names, is_name, alphasort);
    if (h->n < 0)
        say_given_up(h, h->path, strerror(errno));
}

/* All of its scripts have been told, or nobody is any more. */
static void finish(struct hooks *h)
{
    drop_names(h);
    fold_drop(&h->fold);
}

static void next_script(struct hooks *h)
{
    h->next++;
    h->tries = 0;
    h->again_ns = 0;
}

/* --- one of them -------------------------------------------------------------------------------- */

static char *variable(const char *name, const char *value)
{
    char *text = NULL;
    if (asprintf(&text, "%s=%s", name, value) < 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    return text;
}

static char *number(const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return variable(name, text);
}

static pid_t start(const struct event *e, char *path)
{
    char *argv[] = {path, NULL};
    char *env[VARIABLES + 1] = {
        variable("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        variable("RAFTD_EVENT", event_kind_name(e->kind)),
        variable("RAFTD_ROLE", e->role),
        number("RAFTD_LEADER", e->leader),
        number("RAFTD_TERM", e->term),
        number("RAFTD_SEQ", e->seq),
        number("RAFTD_NODE", e->node),
        number("RAFTD_STATE", e->state != 0),
        variable("RAFTD_WHY", e->why),
    };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "/dev/null: %s", strerror(errno));
    pid_t child = child_start(
        &(struct child_how){.argv = argv, .env = env, .in = null, .group = true});
    close(null);
    for (int i = 0; i < VARIABLES; i++)
        free(env[i]);
    return child;
}

/* Runs the next script, unless it is none or somebody else could have put it there. */
static void run(struct hooks *h)
{
    char path[PATH_MAX], why[TRUST_WHY_SIZE];
    next_path(h, path);
    if (!is_script(h, path)) {
        next_script(h);
    } else if (!trust_file(path, why)) {
        say_given_up(h, path, why);
        next_script(h);
    } else {
        h->late = false;
        h->end_ns = ctl_now_ns() + h->timeout_ms * MS;
        h->child = start(fold_first(&h->fold), path);
    }
}

/* Runs what is to be run now. What was overtaken is told to nobody any more. */
static void run_due(struct hooks *h)
{
    while (h->child == 0 && !h->ends && fold_first(&h->fold) != NULL) {
        if (!h->fold.busy)
            begin(h);
        if (h->next >= h->n || fold_is_overtaken(&h->fold))
            finish(h);
        else if (h->again_ns > ctl_now_ns())
            return;
        else
            run(h);
    }
}

/* What is to be said of a script that ended so; NULL: nothing. */
static const char *trouble(struct hooks *h, int code, char text[static 40])
{
    if (code == 0 || h->ends)
        return NULL;
    if (h->late)
        return "it took too long, and was ended";
    if (code == AGAIN)
        return "it has failed too often";
    (void)snprintf(text, 40, "it ended with exit code %d", code);
    return text;
}

static void take_end(struct hooks *h)
{
    int how;
    char path[PATH_MAX], text[40];
    if (h->child == 0 || !child_ended(h->child, h->late, &how))
        return;
    int code = child_code(how);
    h->child = 0;
    if (code == AGAIN && !h->late && ++h->tries < TRIES_MAX) {
        h->again_ns = ctl_now_ns() + (uint64_t)AGAIN_MS * MS;
        return;
    }
    const char *why = trouble(h, code, text);
    next_path(h, path);
    if (why != NULL)
        say_given_up(h, path, why);
    next_script(h);
}

/* --- waiting ------------------------------------------------------------------------------------ */

static void tell_to_end(struct hooks *h, int number)
{
    (void)kill(-h->child, number);
    h->end_ns = ctl_now_ns() + (uint64_t)KILL_MS * MS;
}

/* A script takes too long. */
static void end_late(struct hooks *h)
{
    if (h->child == 0 || ctl_now_ns() < h->end_ns)
        return;
    tell_to_end(h, h->late ? SIGKILL : SIGTERM);
    h->late = true;
}

static void take_signal(struct hooks *h)
{
    struct signalfd_siginfo s;
    if (read(h->signals, &s, sizeof s) != (ssize_t)sizeof s || s.ssi_signo == SIGCHLD)
        return;
    h->ends = true;
    if (h->child != 0) {
        tell_to_end(h, SIGTERM);
        h->late = true;
    }
}

static void wait_for_news(struct hooks *h)
{
    uint64_t until_ns = UINT64_MAX, now_ns = ctl_now_ns();
    if (h->child != 0)
        until_ns = h->end_ns;
    else if (fold_first(&h->fold) != NULL)
        until_ns = h->again_ns;
    const struct events *e = h->events;
    if (e->c.fd < 0)
        until_ns = min_u64(until_ns, e->retry.at_ns);
    int ms = until_ns == UINT64_MAX ? -1
             : until_ns <= now_ns   ? 0
                                    : (int)min_u64((until_ns - now_ns) / MS + 1, INT_MAX);
    struct pollfd p[] = {{.fd = h->signals, .events = POLLIN},
                         {.fd = e->c.fd >= 0 ? e->c.fd : e->retry.fd, .events = POLLIN}};
    if (poll(p, 2, ms) > 0 && p[0].revents != 0)
        take_signal(h);
}

/* Takes the events that are there. Returns an exit code. */
static int take_events(struct hooks *h)
{
    struct event e;
    bool is;
    int code;
    while ((code = events_next(h->events, &e, 0, &is)) == RAFTCTL_EXIT_OK && is)
        if (!fold_add(&h->fold, &e))
            say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    return code;
}

int hooks_run(struct events *e, const char *path, uint64_t timeout_ms)
{
    struct hooks h = {.events = e, .path = path, .timeout_ms = timeout_ms};
    char why[TRUST_WHY_SIZE];
    sigset_t set;
    int code = RAFTCTL_EXIT_OK;
    if (!trust_file(path, why))
        say_fatal(RAFTCTL_EXIT_USAGE, "--exec: %s", why);
    child_signals(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    h.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (h.signals < 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "signalfd: %s", strerror(errno));
    while (code == RAFTCTL_EXIT_OK && (!h.ends || h.child != 0)) {
        code = take_events(&h);
        take_end(&h);
        end_late(&h);
        run_due(&h);
        if (code == RAFTCTL_EXIT_OK)
            wait_for_news(&h);
    }
    return code;
}
