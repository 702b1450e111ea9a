/* child.c: see child.h. All of our descriptors are closed when a program is executed: each is made so. */
#include "raftd/tool/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"

enum {
    NOT_FOUND = 127, /* as a shell's */
    NOT_EXECUTED = 126,
    EARLY_US = 10000, /* before its time a process may be killed */
};

bool child_ends_at(uint64_t until_us)
{
    sigset_t alarm;
    uint64_t now_us, left_us;
    (void)sigemptyset(&alarm);
    (void)sigaddset(&alarm, SIGALRM);
    (void)signal(SIGALRM, SIG_DFL);
    (void)sigprocmask(SIG_UNBLOCK, &alarm, NULL);
    do { /* again if we were held up in between */
        now_us = clock_us();
        left_us = until_us - min_u64(until_us, now_us);
        if (left_us <= EARLY_US)
            return false;
        left_us -= EARLY_US;
        struct itimerval timer = {.it_value = {.tv_sec = (time_t)(left_us / 1000000),
                                               .tv_usec = (suseconds_t)(left_us % 1000000)}};
        (void)setitimer(ITIMER_REAL, &timer, NULL);
    } while (clock_us() - now_us > EARLY_US);
    return true;
}

void child_become(char *const *argv, char *const *env)
{
    (void)execvpe(argv[0], argv, env);
    say_error("%s: %s", argv[0], strerror(errno));
    _exit(errno == ENOENT ? NOT_FOUND : NOT_EXECUTED);
}

static _Noreturn void begin(const struct child_how *how, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || (how->in != STDIN_FILENO && dup2(how->in, STDIN_FILENO) < 0))
        _exit(RAFTCTL_EXIT_INTERNAL);
    child_become(how->argv, how->env != NULL ? how->env : environ);
}

pid_t child_start(const struct child_how *how)
{
    (void)signal(SIGCHLD, SIG_DFL); /* where it is ignored no end can be seen */
    pid_t us = getpid(), child = fork();
    if (child < 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "cannot start a program: %s", strerror(errno));
    if (how->group)
        (void)setpgid(child, child); /* both of us do: nobody waits for the other */
    if (child == 0)
        begin(how, us);
    return child;
}

bool child_ended(pid_t child, bool rest, int *how)
{
    siginfo_t ended = {0};
    if (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0)
        return false;
    if (rest)
        (void)kill(-child, SIGKILL); /* before its number can be another's */
    return waitpid(child, how, 0) == child;
}

void child_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGCHLD);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
}

int child_code(int how)
{
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}
