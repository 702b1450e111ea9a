/* entropy.c: see entropy.h. It waits in getrandom() itself and does not ask again and again, for since
 * Linux 5.4 a process that waits makes the kernel gather entropy from timing jitter. The signal of an
 * interval timer interrupts the call, so that a message can be said. */
#include "raftd/base/entropy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>

#include "raftd/base/notify.h"
#include "raftd/base/say.h"

static void on_alarm(int signo)
{
    (void)signo; /* all that it does is to interrupt getrandom() */
}

static void tell(unsigned seconds)
{
    char state[160];
    say_warn("waiting for the kernel's random numbers: no entropy since boot, for %u s so far. "
             "It ends by itself; a source such as rng-tools, or a seed kept over the boot, makes "
             "it short",
             seconds);
    /* Twice the interval: the next message is certain to come before. */
    (void)snprintf(state, sizeof state,
                   "STATUS=waiting for the kernel's random numbers (%u s)\n"
                   "EXTEND_TIMEOUT_USEC=%d000000",
                   seconds, 2 * ENTROPY_MESSAGE_S);
    (void)notify_send(state); /* start-up goes on without a service manager, too */
}

/* Draws one byte. 0 or -errno. */
static int draw(unsigned flags)
{
    char byte;
    return getrandom(&byte, 1, flags) == 1 ? 0 : -errno;
}

int entropy_wait(bool (*stopped)(void))
{
    int rc;
    while ((rc = draw(GRND_NONBLOCK)) == -EINTR)
        continue;
    if (rc != -EAGAIN)
        return rc;
    struct sigaction act = {.sa_handler = on_alarm}, old; /* no SA_RESTART: it shall interrupt */
    const struct itimerval every = {.it_interval.tv_sec = ENTROPY_MESSAGE_S,
                                    .it_value.tv_sec = ENTROPY_MESSAGE_S};
    const struct itimerval never = {.it_value.tv_sec = 0};
    (void)sigemptyset(&act.sa_mask); /* these three fail on wrong arguments alone */
    (void)sigaction(SIGALRM, &act, &old);
    (void)setitimer(ITIMER_REAL, &every, NULL);
    unsigned seconds = 0;
    tell(seconds);
    while ((rc = draw(0)) == -EINTR) {
        if (stopped != NULL && stopped()) {
            rc = -ECANCELED;
            break;
        }
        seconds += ENTROPY_MESSAGE_S;
        tell(seconds);
    }
    (void)setitimer(ITIMER_REAL, &never, NULL);
    (void)sigaction(SIGALRM, &old, NULL);
    if (rc == 0)
        say_info("the kernel's random numbers are ready");
    return rc;
}
