/* raftsim_child.c: one seed in a process of its own, so that an assertion ends only this one. */
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/base/rcu.h"
#include "tests/sim/raftsim.h"

enum { KEEP_BYTES = 1 << 28, HANGS_S = 120 };

/* Of the child: what it is at. A main's own state. */
static struct {
    struct sim *sim;
    struct outcome out;
    int fd;
    bool quiet, failing;
} child;

static _Noreturn void report(void)
{
    const char *p = (const char *)&child.out;
    size_t at = 0;
    while (at < sizeof child.out) {
        ssize_t n = write(child.fd, p + at, sizeof child.out - at);
        if (n <= 0)
            _exit(2);
        at += (size_t)n;
    }
    fflush(stdout);
    _exit(child.out.ok ? 0 : 1);
}

static void failed(void *ctx, const char *kind, const char *text)
{
    (void)ctx;
    if (child.failing)
        _exit(1); /* failed while it described a failure: what was reported so far counts */
    child.failing = true;
    child.out.ok = false;
    snprintf(child.out.kind, sizeof child.out.kind, "%s", kind);
    snprintf(child.out.text, sizeof child.out.text, "%s", text);
    if (child.sim != NULL) {
        child.out.totals = *sim_totals(child.sim);
        child.out.at_us = child.out.totals.virtual_us;
        child.out.events = child.out.totals.events;
        if (!child.quiet)
            sim_print(child.sim, stdout);
    }
    report();
}

/* Instead of libc's: an assertion of the program under test is a failure of this seed. */
_Noreturn void __assert_fail(const char *expr, const char *file, unsigned line, const char *func)
{
    char kind[KIND_BYTES], text[TEXT_BYTES];
    snprintf(kind, sizeof kind, "assert %s:%s", file, func);
    snprintf(text, sizeof text, "%s:%u: %s: assertion failed: %s", file, line, func, expr);
    failed(NULL, kind, text);
    abort();
}

static void on_signal(int sig)
{
    failed(NULL, strsignal(sig), strsignal(sig));
}

static _Noreturn void live(const struct job *j)
{
    struct sim_options o;
    sim_plan(&o, j->profile, j->seed, j->nodes, j->without);
    if (j->time_us != 0)
        o.time_us = j->time_us;
    o.events_max = j->events;
    o.trace = j->trace ? stdout : NULL;
    o.failed = failed;
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES); /* memory goes back to the system at the end */
    (void)mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
    rcu_thread_begin();
    child.sim = sim_new(&o);
    sim_live(child.sim);
    child.out.totals = *sim_totals(child.sim);
    child.out.ok = true;
    report();
}

void child_run(const struct job *j, bool quiet, struct outcome *out)
{
    int fd[2];
    fflush(stdout);
    if (pipe(fd) < 0)
        abort();
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        close(fd[0]);
        child.fd = fd[1];
        child.quiet = quiet;
        signal(SIGABRT, on_signal);
        signal(SIGSEGV, on_signal);
        alarm(HANGS_S); /* no seed takes that long */
        signal(SIGALRM, on_signal);
        live(j);
    }
    close(fd[1]);
    size_t at = 0;
    ssize_t n;
    while (at < sizeof *out && (n = read(fd[0], (char *)out + at, sizeof *out - at)) > 0)
        at += (size_t)n;
    close(fd[0]);
    int status;
    waitpid(pid, &status, 0);
    if (at < sizeof *out) { /* sanitizers end a process in their own way */
        memset(out, 0, sizeof *out);
        snprintf(out->kind, sizeof out->kind, "died");
        snprintf(out->text, sizeof out->text, "the process died, status %d", status);
    }
}
