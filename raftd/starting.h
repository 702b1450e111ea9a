/* starting.h: reading the snapshot and the log at a start may take minutes. Meanwhile this tells people,
 * the service manager and waiting clients how far it is. */
#ifndef RAFTD_STARTING_H
#define RAFTD_STARTING_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

enum {
    STARTING_MESSAGE_S = 5, /* an operator who looks at a screen is told this often */
    STARTING_SCREEN_S = 1,
    /* The service manager is asked for so much more with each message: a card may retry one read for
     * half a minute. */
    STARTING_EXTEND_S = 90,
    STARTING_LOOK_MS = 10, /* so often clients are looked for, and the clock is read */
};

struct starting {
    bool (*stopped)(void); /* someone wants the process to end */
    struct loop *loop;     /* whose clients are told; NULL: none */
    bool screen;           /* progress goes to standard error, as one line that changes */
    bool snapshot;         /* that is what is read now, and else the log */
    uint64_t began_us, said_us, looked_us;
};

/* For wal_options.progress; ctx is a struct starting with only the first four fields filled. */
bool starting_progress(void *ctx, uint64_t done, uint64_t all);

/* The same for snapshots.pace. */
int starting_pace(void *ctx, uint64_t done, uint64_t all);

/* Ends the line on the screen. */
void starting_done(const struct starting *s);

#endif
