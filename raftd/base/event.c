/* event.c: see event.h. */
#include "raftd/base/event.h"

#include <string.h>

/* What an event is about. Of a MEMBER, DIRECTORY and HEARD, each member is a subject of its own. */
enum subject { LEAD, LEADER, QUORUM, MEMBER, DIRECTORY, HEARD, DISK, DOUBT, KEY, STREAM };

static const struct {
    const char *name;
    enum subject subject;
} kinds[EVENT_KINDS] = {
    [EVENT_LEADER_GAINED] = {"leader-gained", LEAD},
    [EVENT_LEADER_LOST] = {"leader-lost", LEAD},
    [EVENT_LEADER_CHANGED] = {"leader-changed", LEADER},
    [EVENT_LEADER_NONE] = {"leader-none", LEADER},
    [EVENT_QUORUM_LOST] = {"quorum-lost", QUORUM},
    [EVENT_QUORUM_BACK] = {"quorum-back", QUORUM},
    [EVENT_MEMBER_ADDED] = {"member-added", MEMBER},
    [EVENT_MEMBER_PROMOTED] = {"member-promoted", MEMBER},
    [EVENT_MEMBER_REMOVED] = {"member-removed", MEMBER},
    [EVENT_MEMBER_DIRECTORY] = {"member-directory", DIRECTORY},
    [EVENT_MEMBER_SILENT] = {"member-silent", HEARD},
    [EVENT_MEMBER_BACK] = {"member-back", HEARD},
    [EVENT_DISK_SLOW] = {"disk-slow", DISK},
    [EVENT_DISK_FULL] = {"disk-full", DISK},
    [EVENT_DISK_OK] = {"disk-ok", DISK},
    [EVENT_DOUBT] = {"doubt", DOUBT},
    [EVENT_HEALED] = {"healed", DOUBT},
    [EVENT_KEY_CHANGED] = {"key-changed", KEY},
    [EVENT_RESTARTED] = {"restarted", STREAM},
    [EVENT_MISSED] = {"missed", STREAM},
    [EVENT_DAEMON_GONE] = {"daemon-gone", STREAM},
};

const char *event_kind_name(enum event_kind kind)
{
    return kinds[kind].name;
}

enum event_kind event_kind_of(const char *name, size_t len)
{
    unsigned k = 0;
    while (k < EVENT_KINDS &&
           (strlen(kinds[k].name) != len || memcmp(kinds[k].name, name, len) != 0))
        k++;
    return (enum event_kind)k;
}

bool event_overtakes(const struct event *later, const struct event *earlier)
{
    enum subject of = kinds[later->kind].subject, was = kinds[earlier->kind].subject;
    /* Who leads says who the leader is, too. */
    if (later->kind == EVENT_LEADER_GAINED && was == LEADER)
        return true;
    return of == was && later->node == earlier->node;
}
