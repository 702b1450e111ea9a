/* starting.h: reading the snapshot and the log at a start may take minutes. Meanwhile this tells people,
 * the service manager and waiting clients how far it is. */
#ifndef RAFTD_STARTING_H
#define RAFTD_STARTING_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/base/lasting.h"

struct loop;

enum {
    STARTING_MESSAGE_S = 5, /* between two messages */
    STARTING_SCREEN_S = 1, /* between two changes of a line on a screen, and to the first message */
    /* How much more time each message asks the service manager for: a card may retry one read for half a
     * minute. */
    STARTING_EXTEND_S = 90,
    STARTING_LOOK_MS = 10,    /* between two looks for clients */
    STARTING_AGAIN_MS = 1500, /* until what had no room is tried again */
};

/* The caller fills the first four fields; the others are zero. */
struct starting {
    bool (*stopped)(void); /* true if someone wants the process to end */
    struct loop *loop;     /* whose clients are told; NULL: nobody's */
    bool screen;           /* progress goes to standard error, as one line that changes */
    bool snapshot;         /* the snapshot is being read, else the log */
    uint64_t began_us, said_us, looked_us; /* first call, newest message, newest look for clients */
    struct lasting no_room;
};

/* For wal_options.progress, in segments; ctx is a struct starting. False: end the work. */
bool starting_progress(void *ctx, uint64_t done, uint64_t all);

/* For snapshots.pace, in bytes; ctx is a struct starting. 0, or -ECANCELED: end the work. */
int starting_pace(void *ctx, uint64_t done, uint64_t all);

/* There was no room for the work, `why` says for what: waits a while, and clients are shown what is there.
 * False: end the work. */
bool starting_waits(struct starting *s, const char *why);

/* The work is over: ends the line on the screen. */
void starting_done(const struct starting *s);

#endif
