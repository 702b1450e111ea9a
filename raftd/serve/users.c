/* users.c: see users.h. */
#include "raftd/serve/users.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void users_init(struct users *u)
{
    memset(u, 0, sizeof *u);
    int rc = pthread_mutex_init(&u->lock, NULL);
    assert(rc == 0);
    (void)rc;
    u->user[0].uid = 0;
    u->user[1].uid = geteuid();
    u->user[0].trusted = u->user[1].trusted = true;
}

/* Adds n to *used if the sum is within the limit. */
static bool take(_Atomic size_t *used, size_t n, size_t limit)
{
    size_t before = atomic_fetch_add_explicit(used, n, memory_order_relaxed);
    if (before + n <= limit)
        return true;
    atomic_fetch_sub_explicit(used, n, memory_order_relaxed);
    return false;
}

bool users_take(struct users *u, struct user *user, enum users_what what, size_t n)
{
    size_t all = u->limit[what], share = all;
    if (!user->trusted) {
        share = all / 2;
        all -= all > 0 ? all / USERS_KEPT_PART + 1 : 0;
    }
    if (!take(&u->used[what], n, all))
        return false;
    if (take(&user->used[what], n, share))
        return true;
    atomic_fetch_sub_explicit(&u->used[what], n, memory_order_relaxed);
    return false;
}

void users_give(struct users *u, struct user *user, enum users_what what, size_t n)
{
    size_t before = atomic_fetch_sub_explicit(&user->used[what], n, memory_order_relaxed);
    assert(before >= n);
    (void)before;
    atomic_fetch_sub_explicit(&u->used[what], n, memory_order_relaxed);
}

bool users_room(const struct users *u, enum users_what what)
{
    return atomic_load_explicit(&u->used[what], memory_order_relaxed) < u->limit[what];
}

static bool idle(const _Atomic size_t *used)
{
    for (unsigned i = 0; i < USERS_WHAT; i++)
        if (atomic_load_explicit(&used[i], memory_order_relaxed) > 0)
            return false;
    return true;
}

bool users_idle(const struct users *u)
{
    return idle(u->used);
}

/* The place of a user: its own, a free one, or one that it must share. The first two places belong to the
 * trusted users, who never share. */
static struct user *place_of(struct users *u, uid_t uid)
{
    struct user *free_place = NULL;
    for (unsigned i = 0; i < 2; i++)
        if (uid == u->user[i].uid)
            return &u->user[i];
    for (unsigned i = 2; i < USERS_MAX; i++) {
        struct user *user = &u->user[i];
        if (idle(user->used))
            free_place = free_place != NULL ? free_place : user;
        else if (user->uid == uid)
            return user;
    }
    if (free_place == NULL)
        return &u->user[2 + uid % (USERS_MAX - 2)];
    free_place->uid = uid;
    return free_place;
}

struct user *users_enter(struct users *u, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return NULL;
    pthread_mutex_lock(&u->lock);
    struct user *user = place_of(u, cred.uid);
    bool taken = users_take(u, user, USERS_CONNS, 1);
    pthread_mutex_unlock(&u->lock);
    return taken ? user : NULL;
}
