/* disk_jobs.h: what a test of diskio.h waits for and looks at. For unit tests with cmocka. */
#ifndef TESTS_DISK_JOBS_H
#define TESTS_DISK_JOBS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/diskio.h"

/* The next job that is done; ends the test when none is within 20 s. */
static inline struct diskio_done next_done(struct diskio *io)
{
    struct diskio_done done;
    uint64_t end = clock_us() + 20000000;
    while (!diskio_done(io, &done)) {
        assert_true(clock_us() < end);
        (void)usleep(200);
    }
    return done;
}

static inline struct status disk_status(struct diskio *io)
{
    struct status s = {.now_us = clock_us()};
    diskio_status(io, &s);
    return s;
}

#endif
