/* retry.h: when to try again to reach a daemon that is not there. The kernel tells (inotify(7)) when a name
 * on the way to its socket changes, so until then nothing is done. */
#ifndef RAFTCTL_RETRY_H
#define RAFTCTL_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftd/tool/client.h"

/* RETRY_NOW: nothing was tried yet. */
struct retry {
    int fd;         /* readable: something has changed, see retry_due(); -1: nobody tells that */
    uint64_t at_ns; /* in any case the next try is due then, on ctl_now_ns() */
    /* Only retry.c looks at these: */
    int directory;    /* the one that is watched, as inotify calls it, or -1 */
    const char *name; /* the name that is awaited in it, a part of the path */
    size_t name_len;
    uint32_t pause_ms; /* before the try after the next one */
    bool told;         /* something has changed since the daemon was last there */
};
#define RETRY_NOW ((struct retry){.fd = -1, .directory = -1})

/* A try to reach the daemon at that path (borrowed) ended with that, and not as it should. errno is kept. */
void retry_missed(struct retry *r, const char *path, enum ctl_outcome outcome);

/* Takes what `fd` tells. True: the next try is due. */
bool retry_due(struct retry *r);

/* Waits until it is due, or ctl_now_ns() is deadline_ns. */
void retry_wait(struct retry *r, uint64_t deadline_ns);

/* Something has just changed: what is refused now may be allowed in a moment, when the daemon has set the
 * rights of what it makes. */
bool retry_settles(const struct retry *r);

/* The daemon was reached, or nobody tries any more: gives the descriptor back. */
void retry_end(struct retry *r);

#endif
