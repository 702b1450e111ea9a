/* event.h: what a node tells of what happens to it, one event after the other, to programs that act on it.
 *
 * The kinds have subjects: the latest event of a subject says how that is, whatever came before. So who comes
 * late, or was busy, needs the last word of each subject alone. */
#ifndef RAFTD_EVENT_H
#define RAFTD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_LEADER_GAINED,   /* this node leads */
    EVENT_LEADER_LOST,     /* it does not, or not any more */
    EVENT_LEADER_CHANGED,  /* another node leads, or leads in a later term */
    EVENT_LEADER_NONE,     /* no leader is known */
    EVENT_QUORUM_LOST,     /* as far as this node knows nothing can be committed */
    EVENT_QUORUM_BACK,     /* it can */
    EVENT_MEMBER_ADDED,    /* a member that is no voter, or not yet */
    EVENT_MEMBER_PROMOTED, /* a member that is a voter now */
    EVENT_MEMBER_REMOVED,
    EVENT_MEMBER_DIRECTORY, /* a data directory counts as that member: the first one, or another one */
    EVENT_MEMBER_SILENT,    /* this node does not hear it */
    EVENT_MEMBER_BACK,      /* it does */
    EVENT_DISK_SLOW,
    EVENT_DISK_FULL,
    EVENT_DISK_OK,
    EVENT_DOUBT,  /* this node has less than it promised, or its state may be wrong */
    EVENT_HEALED, /* it is not in doubt */
    EVENT_KEY_CHANGED,
    EVENT_RESTARTED,   /* events of an earlier process are not known: the present state follows */
    EVENT_MISSED,      /* events were forgotten before they were told: likewise */
    EVENT_DAEMON_GONE, /* said by who follows them: the daemon has ended, so nothing is known */
    EVENT_KINDS,
};

struct event {
    /* Who goes on behind this number misses nothing. It is the event's own, but for lines of the state that
     * others follow, RESTARTED and MISSED: those have the number that was asked with, 0 = none. */
    uint64_t seq;
    uint64_t boot_us; /* when: CLOCK_BOOTTIME */
    uint64_t term;    /* this node's then, as the next two */
    const char *role; /* a word, see raft_role_name() */
    const char *why;  /* why it happened, for people; "" = there is nothing to say */
    uint16_t leader;  /* 0 = none */
    uint16_t node;    /* the member that it is about, 0 = this node or the cluster */
    uint16_t
        state; /* 0: it happened. Else nothing did: it tells how something is, and is one of the last
                          so many lines that do */
    enum event_kind kind;
};

/* "leader-gained", ... */
const char *event_kind_name(enum event_kind kind);
/* EVENT_KINDS: no kind has that name. */
enum event_kind event_kind_of(const char *name, size_t len);

/* Of two events, one later than the other: once the later one is told, the earlier one says nothing that is
 * still so. */
bool event_overtakes(const struct event *later, const struct event *earlier);

#endif
