/* users.h: who holds how much of what all local clients share, whichever thread serves them.
 *
 * Root and the daemon's own user may hold everything, others together a little less, and each of
 * them half: a program that has gone wild leaves room for others, and for whoever has to find out.
 * Safe from any thread; what is taken is given back by whoever took it.
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
    USERS_WRITES,      /* writes that are not answered */
    USERS_WRITE_BYTES, /* and their bytes */
    USERS_PART_BYTES,  /* of values that are arriving in parts */
    USERS_OUT_BYTES,   /* of answers that are not read */
    USERS_WHAT,
};

enum {
    USERS_MAX = 64,       /* at a time; more than an edge box has. Others share one's place */
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
    pthread_mutex_t lock; /* of uid and trusted of a user who holds nothing */
    struct user user[USERS_MAX];
};

/* All limits are 0 then. */
void users_init(struct users *u);

/* Who is behind this connected Unix socket, with one of USERS_CONNS taken; NULL: there is none left
 * for that user. Ends with users_give(u, user, USERS_CONNS, 1). */
struct user *users_enter(struct users *u, int fd);

/* Whether that user may have n more, and takes them. `user` holds one of USERS_CONNS. */
bool users_take(struct users *u, struct user *user, enum users_what what, size_t n);
void users_give(struct users *u, struct user *user, enum users_what what, size_t n);

/* Whether somebody could have one more. */
bool users_room(const struct users *u, enum users_what what);

#endif
