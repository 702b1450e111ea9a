#include "raftd/base/clock.h"

#include <signal.h>
#include <time.h>

static uint64_t read_us(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts); /* cannot fail with a clock that Linux has */
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

uint64_t clock_used_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

struct timespec clock_in_ms(uint64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000 * 1000000);
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

int thread_start(pthread_t *t, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0)
        return -rc;
    (void)sigfillset(&all);
    rc = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    if (rc == 0)
        rc = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (rc == 0) {
        rc = pthread_create(t, &attr, fn, arg);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    (void)pthread_attr_destroy(&attr);
    return -rc;
}
