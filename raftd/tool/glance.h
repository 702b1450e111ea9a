/* glance.h: what top and report show of a cluster: the newest status of a node, how fast it works, and what
 * happened last.
 */
#ifndef RAFTCTL_GLANCE_H
#define RAFTCTL_GLANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "raftd/base/event.h"
#include "raftd/serve/status_text.h"
#include "raftd/tool/cells.h"
#include "raftd/tool/screen.h"

enum {
    GLANCE_RATES = SCREEN_COLUMNS_MAX, /* no history is longer than a line */
    GLANCE_EVENTS = SCREEN_ROWS_MAX,   /* and no more events are shown than there are lines */
    GLANCE_EVENT_BYTES = 160,
    GLANCE_WHY_BYTES = 160,
};

/* How fast a counter has grown, second by second. Zero is one that was never seen. */
struct rates {
    uint64_t value, at_us; /* the newest one that was seen, and when */
    uint64_t per_s[GLANCE_RATES];
    unsigned n; /* the newest is per_s[n - 1] */
};

/* The counter had that value at that time. If it has fallen it is another process's, and what that one
 * counted before is not known. */
void rates_see(struct rates *r, uint64_t value, uint64_t at_us);

struct glance_event {
    uint64_t at_us;
    bool bad;                      /* somebody should look at it */
    char text[GLANCE_EVENT_BYTES]; /* what does not fit is cut */
};

/* Times are CLOCK_BOOTTIME. */
struct glance {
    struct status s; /* the newest one; its id is 0: none has come yet */
    char *troubles,
        *link_troubles;            /* what is wrong, a line each, of the members and between them */
    uint64_t now_us, told_us;      /* told: when that came */
    char silent[GLANCE_WHY_BYTES]; /* why none comes now; "": it does */
    struct rates writes, reads;    /* of the cluster; of that node */
    struct glance_event events[GLANCE_EVENTS];
    unsigned n_events; /* the newest is the last one */
    bool quits;        /* q ends it: people are told */
};

/* Frees what it has. */
void glance_free(struct glance *g);

/* Takes the text of a status, which is no longer needed then, that came at g->now_us. */
void glance_status(struct glance *g, char *text);
/* Adds an event, unless it only tells how things are. */
void glance_event(struct glance *g, const struct event *e);

/* How long before the newest status that was; a moment after it, as rounding makes some, counts as then. */
uint64_t glance_ago_us(const struct glance *g, uint64_t then_us);

/* "follower", "silent", "disk_slow", ...: what is most worth knowing of a member. *bad: it is a trouble. */
const char *glance_member(const struct status_member *m, bool *bad);

/* What a table of members says in a column. In the order of what it is worth. */
enum { GLANCE_COLUMNS = 14 };
struct glance_column {
    const char *name;
    unsigned width;
    bool left; /* it begins there on the left side */
    cell_fn *cell;
};
extern const struct glance_column glance_columns[GLANCE_COLUMNS];

/* Draws it all: the more the screen has room for the more of it. */
void glance_draw(const struct glance *g, struct screen *s);

#endif
