/* users.h: who holds how much of what all local clients share, whichever thread serves them.
 *
 * Root and the daemon's own user may hold everything. All other users together may hold a little less, and
 * each of them half: a program that has gone wild leaves room for others, and for whoever has to find out.
 * The functions may be called from any thread. Whoever takes something gives it back.
 */
#ifndef RAFTD_USERS_H
#define RAFTD_USERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum users_what {
    USERS_CONNS,       /* connections */
    USERS_READS,       /* reads that wait for the leader's word, or for room for their answer */
    USERS_WRITES,      /* writes without an answer */
    USERS_WRITE_BYTES, /* bytes of such writes */
    USERS_PART_BYTES,  /* bytes of long commands that are coming in, or wait */
    USERS_OUT_BYTES,   /* bytes of answers that nobody has read yet */
    USERS_TOLD_BYTES,  /* bytes of values that writes told, from which answers are made */
    USERS_WHAT,
};

enum {
    USERS_MAX = 64, /* places; more than an edge box has users. If they are taken, users share */
    USERS_KEPT_PART = 32, /* one in so many of everything is for root and the daemon's own user */
};

struct user {
    uid_t uid;
    bool trusted; /* root or the daemon's own */
    _Atomic size_t used[USERS_WHAT];
};

struct users {
    size_t limit[USERS_WHAT]; /* of all users; set before any thread looks */
    _Atomic size_t used[USERS_WHAT];
    pthread_mutex_t lock; /* for giving the place of a user who holds nothing to another one */
    struct user user[USERS_MAX];
};

/* Sets all limits to 0. */
void users_init(struct users *u);

/* Finds the user behind a connected Unix socket, and takes one of USERS_CONNS for that user. NULL: none is
 * left. The user is valid until users_give(u, user, USERS_CONNS, 1). */
struct user *users_enter(struct users *u, int fd);

/* True if the user may have n more, which are then taken. `user` holds one of USERS_CONNS. */
bool users_take(struct users *u, struct user *user, enum users_what what, size_t n);
void users_give(struct users *u, struct user *user, enum users_what what, size_t n);

/* True if all that was taken is given back. */
bool users_idle(const struct users *u);

/* True if one more could be taken by somebody. */
bool users_room(const struct users *u, enum users_what what);

#endif
