/* clock.h: the daemon's clock, and its threads. */
#ifndef RAFTD_CLOCK_H
#define RAFTD_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Of a thread's stack some 30 KiB are used at most. The usual eight megabytes would be address space for
 * nothing. */
enum { THREAD_STACK_BYTES = 256 * 1024 };

/* Microseconds of CLOCK_BOOTTIME: monotonic, and it goes on while the box is suspended. */
uint64_t clock_us(void);

/* Microseconds that this thread has had a processor. */
uint64_t clock_used_us(void);

/* So many milliseconds from now by CLOCK_MONOTONIC: until when a condition of that clock is waited for. */
struct timespec clock_in_ms(uint64_t ms);

/* Starts a thread with all signals blocked and a stack of THREAD_STACK_BYTES. 0 or -errno. */
int thread_start(pthread_t *t, void *(*fn)(void *), void *arg);

#endif
