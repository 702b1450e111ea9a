/* leaders.h: which leaders this node has known, and how often they changed in the last hour. A cluster
 * that nobody disturbs keeps its leader. If it does not, its election timeout is too short. */
#ifndef RAFTD_LEADERS_H
#define RAFTD_LEADERS_H

#include <stdint.h>

#include "raftd/node/status.h"

enum {
    LEADERS_KEPT = 64, /* changes whose time is remembered: more in the interval count as so many */
};

#define LEADERS_INTERVAL_US (3600ULL * 1000 * 1000)

/* Zeroed memory: none yet. */
struct leaders {
    uint64_t term;     /* of the newest leader known */
    uint16_t now;      /* that leader, 0 = none yet */
    uint16_t before;   /* leader of the term before, 0 = none */
    uint64_t since_us; /* when it became known */
    uint64_t changes;  /* since start; the first leader is none */
    uint64_t at_us[LEADERS_KEPT];
};

/* Takes note of the leader of a status that has just been filled, and fills in what is known of
 * leaders. */
void leaders_status(struct leaders *l, struct status *s);

#endif
