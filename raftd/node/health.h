/* health.h: whether a node does its work, in one word, and if not, what an administrator should do. Only this
 * decides it; whoever shows it, acts on it or tells it to others takes it from here. Pure. */
#ifndef RAFTD_HEALTH_H
#define RAFTD_HEALTH_H

#include "raftd/node/status.h"

/* From good to bad: of several that hold the last one counts. */
enum health {
    HEALTH_UNKNOWN,       /* of another node, which has not said */
    HEALTH_OK,            /* it serves reads and writes */
    HEALTH_DISK_SLOW,     /* its disk, or its leader's, stalls often, or hangs */
    HEALTH_NOT_CAUGHT_UP, /* it lacks more of what was committed than is usual in passing */
    HEALTH_DISK_FULL, /* its disk or its log, or its leader's, has no room: writes wait or are refused */
    HEALTH_IN_DOUBT,  /* it has less than it promised, or another state than other nodes */
    HEALTH_NO_QUORUM, /* it hears no majority, or it, or its leader, leads and can't commit */
    HEALTH_NO_LEADER, /* there is a majority, and no leader yet */
    HEALTH_NO_MEMBER, /* it takes part in nothing */
    HEALTH_STARTING,  /* it reads its disk */
    HEALTH_COUNT,
};

enum {
    /* Entries. A follower of a busy leader lacks what is on its way: what was committed in a round trip and
     * a write of its disk, a few hundred at most. */
    HEALTH_LAG_MAX = 1000,
    /* A write that takes longer shows at once; shorter stalls are usual for cards, and only many of them
     * count (status.disk_slow): two writes in a row, which an election needs, then often outlast its
     * timeout. */
    HEALTH_DISK_HANGS_US = 1000000,
};

/* What the rest of the status says, as of s->now_us; s->health is not looked at. It may lack so many entries,
 * HEALTH_LAG_MAX if nobody asks for another number. */
enum health health_of(const struct status *s, uint64_t lag_max);

/* The same without what is wrong with the leader that this node follows: that is for the leader to tell. */
enum health health_own(const struct status *s, uint64_t lag_max);

/* As far as this node knows there is a leader, and it can commit. */
bool health_commits(const struct status *s);

/* HEALTH_DISK_FULL, HEALTH_DISK_SLOW or HEALTH_OK, of the disks of this node and of its leader. *leaders:
 * that is so for the leader's alone. */
enum health health_disk(const struct status *s, bool *leaders);

/* As far as this node knows a write that comes to it now will be done. */
bool health_writable(const struct status *s);

/* "ok", "disk_slow", ...; "unknown" for what is none of them. */
const char *health_name(enum health health);

/* How many committed entries this node has not applied, as far as it knows. */
uint64_t health_lag(const struct status *s);

/* Fills s->health by that, and s->health_why: one sentence that says why, and what to do. */
void health_fill(struct status *s, uint64_t lag_max);

#endif
