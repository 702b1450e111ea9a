/* happened.h: the events of a node (base/event.h), as they follow from its statuses, one after the other.
 * Pure: an event is a difference of two statuses, so none depends on who looks.
 *
 * Events are numbered one by one. The numbers of a process begin with its start, in microseconds since
 * that of the box. So they grow over restarts, for no process makes an event each microsecond, and those
 * of another start of the box are not among what is remembered. */
#ifndef RAFTD_HAPPENED_H
#define RAFTD_HAPPENED_H

#include "raftd/base/event.h"
#include "raftd/node/status.h"

enum {
    HAPPENED_KEPT = 256, /* events; more than the members and all else can make of one status */
    /* Lines that tell a state: of each member two, and of five other subjects one. */
    HAPPENED_LINES = 2 * RAFT_MEMBERS_MAX + 5,
};

/* A member, as last told. */
struct happened_member {
    uint16_t id;
    bool voter, silent;
    bool met;     /* it was heard since the start: before, that it is not silent says little */
    bool unknown; /* the members in the log have no key for it yet */
    uint64_t incarnation; /* of its data directory, as status_member has it; 0 = not known */
};

/* How things are, as last told. */
struct happened_state {
    uint64_t now_us, term;
    enum raft_role role;
    uint16_t id, leader;
    bool quorum;
    enum event_kind disk; /* EVENT_DISK_*, and whether it is so for the leader's disk alone */
    bool leaders_disk;
    const char *doubt; /* why, NULL = it is in none */
    uint32_t key_id, next_key_id;
    enum raft_why why;
    struct happened_member members[RAFT_MEMBERS_MAX]; /* by growing id */
    unsigned n_members;
};

/* Zeroed memory: nothing was told, and there is no state. */
struct happened {
    uint64_t start; /* a number before that of the first event; 0 = there was no status yet */
    uint64_t end;   /* number of the newest event, or `start` */
    uint64_t quorum_lost_us; /* when it was lost last, 0 = never */
    struct happened_state state;
    struct event kept[HAPPENED_KEPT]; /* event `seq` is at seq % HAPPENED_KEPT */
};

/* Takes the next status, and adds the events that it makes. Returns whether there were any, or it was the
 * first one: that makes none, it is how things are. */
bool happened_take(struct happened *h, const struct status *s);

/* The events behind number `since` are remembered. */
bool happened_knows(const struct happened *h, uint64_t since);

/* Event `seq`, which is remembered. */
const struct event *happened_event(const struct happened *h, uint64_t seq);

/* Tells a state in lines, with `state` counted down to 1 and without numbers. Returns how many. */
unsigned happened_lines(const struct happened_state *state, struct event lines[HAPPENED_LINES]);
#endif
