/* publish.h: what the daemon tells of itself while it runs: a status for whoever asks for it, and messages
 * about what has changed (news.h), and events (raftd/base/event.h). */
#ifndef RAFTD_PUBLISH_H
#define RAFTD_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/conf.h"
#include "raftd/diskio.h"
#include "raftd/leaders.h"
#include "raftd/node/happened.h"
#include "raftd/node/node.h"
#include "raftd/news.h"
#include "raftd/post.h"
#include "raftd/serve/shared.h"
#include "raftd/status_file.h"

/* What makes events, beside the first lines of a status. */
struct glimpse {
    struct node_glimpse node;
    uint64_t members_index; /* of the newest configuration */
    bool full, differs;     /* new writes are refused or wait; the state differs */
};

/* Zeroed memory: nothing was published or said yet. */
struct publisher {
    uint64_t published_us;  /* when the present status was published; 0 = it is to be renewed */
    bool late;              /* something has changed since */
    struct glimpse glimpse; /* as of the present status */
    struct happened happened;
    bool untold; /* there are events that are not published */
    struct news news;
    struct leaders leaders;
    struct status_file *file; /* NULL: there is none */
};

/* What a status is made of. */
struct publish_from {
    struct node *node;
    struct diskio *disk;
    const struct post *post;
    struct shared *shared;    /* where the status goes to */
    uint64_t loop_max_us;     /* the longest iteration of the loop so far ... */
    uint64_t loop_max_cpu_us; /* ... and the most that one has used of a processor */
};

/* Before there is a node: publishes what a start is at, and the state that is there already. False: there
 * is no memory. */
bool publish_start(struct shared *shared, const struct conf *conf, const char *what);

/* Says what has changed, and publishes a new status if the present one is not true any more. To be called
 * once per iteration of the loop. */
void publish(struct publisher *p, const struct publish_from *from, uint64_t now_us);

/* When the next status is due; NEVER if nothing has changed. */
uint64_t publisher_at(const struct publisher *p);

#endif
