/* starting.c: see starting.h. */
#include "raftd/starting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "raftd/base/clock.h"
#include "raftd/base/notify.h"
#include "raftd/base/say.h"
#include "raftd/loop.h"
#include "raftd/node/status.h"
#include "storage/wal.h"

enum { MB = 1000000 };

static void tell(struct starting *s, uint64_t now, const char *reading)
{
    char text[200];
    uint64_t seconds = (now - s->began_us) / 1000000;
    s->said_us = now;
    if (s->screen) {
        fprintf(stderr, "\r%s ", reading);
        return;
    }
    if (seconds > 0)
        say_info("%s, for %" PRIu64 " s so far", reading, seconds);
    (void)snprintf(text, sizeof text,
                   "STATUS=%s (%" PRIu64 " s)\n"
                   "EXTEND_TIMEOUT_USEC=%d000000",
                   reading, seconds, STARTING_EXTEND_S);
    (void)notify_send(text); /* start-up goes on without a service manager, too */
}

/* `done` of `all` MB. */
static bool go_on(struct starting *s, uint64_t done, uint64_t all)
{
    char reading[60], why[STATUS_RECOVERING_BYTES];
    if (s->stopped())
        return false;
    uint64_t now = clock_us();
    if (s->began_us == 0) {
        s->began_us = now;
        s->said_us = s->screen ? now : 0; /* 0: the service manager is told at once */
    }
    (void)snprintf(reading, sizeof reading, "reading the %s: %" PRIu64 " of %" PRIu64 " MB",
                   s->snapshot ? "snapshot" : "log", done, all);
    bool soon = s->screen || s->said_us == s->began_us; /* nobody has heard of it yet */
    uint64_t every_s = soon ? STARTING_SCREEN_S : STARTING_MESSAGE_S;
    if (s->said_us == 0 || now - s->said_us >= every_s * 1000000)
        tell(s, now, reading);
    if (s->loop != NULL && now - s->looked_us >= STARTING_LOOK_MS * 1000) {
        s->looked_us = now;
        (void)snprintf(why, sizeof why, "the daemon is starting: %s", reading);
        loop_starting(s->loop, why);
    }
    return true;
}

bool starting_progress(void *ctx, uint64_t done, uint64_t all)
{
    return go_on(ctx, done * WAL_SEGMENT_BYTES_DEFAULT / MB, all * WAL_SEGMENT_BYTES_DEFAULT / MB);
}

int starting_pace(void *ctx, uint64_t done, uint64_t all)
{
    return go_on(ctx, done / MB, all / MB) ? 0 : -ECANCELED;
}

bool starting_waits(struct starting *s, const char *why)
{
    const struct timespec pause = {.tv_nsec = STARTING_LOOK_MS * 1000000};
    if (lasting_is(&s->no_room, 0, clock_us()))
        say_warn("%s; the start waits for room: make some", why);
    for (unsigned i = 0; i < STARTING_AGAIN_MS / STARTING_LOOK_MS; i++) {
        if (s->stopped())
            return false;
        loop_starting(s->loop, "the daemon is starting: its disk is full");
        (void)nanosleep(&pause, NULL);
    }
    s->began_us = 0; /* what reads all of it once more is no news */
    return true;
}

void starting_done(const struct starting *s)
{
    if (s->screen && s->said_us != s->began_us)
        fputc('\n', stderr);
}
