/* health.c: whether this node does its work, for scripts and for Nagios. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

/* The daemon renews its status about every two seconds while nobody asks, and after a question at its next
 * heartbeat, of which there are more than two in an election timeout. */
enum { LATE_MS = 200, HEARTBEATS = 2, HEARTBEAT_LATE_MS = 150 };

/* The main loop hangs: what this node last knew of itself may be so no more, and another may lead. Without a
 * leader there are no heartbeats, and nothing that could be worse by now. */
static bool is_old(const struct status *s)
{
    return s->leader != 0 &&
           clock_us() >= s->now_us + ((uint64_t)s->election_timeout_ms + LATE_MS) * 1000;
}

int tool_fresh_status(const struct tool *t, struct status *s)
{
    int code = tool_status(t, s);
    if (code != RAFTCTL_EXIT_OK || !is_old(s))
        return code;
    /* Nobody had asked for a while. */
    uint32_t ms = s->election_timeout_ms / HEARTBEATS + HEARTBEAT_LATE_MS;
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
                    NULL); /* just a pause */
    code = tool_status(t, s);
    if (code != RAFTCTL_EXIT_OK || !is_old(s))
        return code;
    say_error("the daemon's main loop has done nothing for %" PRIu64
              " s: see what its threads are at, and whether the box has memory and processor left",
              (clock_us() - s->now_us) / 1000000);
    return RAFTCTL_EXIT_HUNG;
}

static int exit_of(enum health health)
{
    switch (health) {
    case HEALTH_OK: return RAFTCTL_EXIT_OK;
    case HEALTH_DISK_SLOW: return RAFTCTL_EXIT_DISK_SLOW;
    case HEALTH_NOT_CAUGHT_UP: return RAFTCTL_EXIT_NOT_CAUGHT_UP;
    case HEALTH_DISK_FULL: return RAFTCTL_EXIT_DISK_FULL;
    case HEALTH_IN_DOUBT: return RAFTCTL_EXIT_IN_DOUBT;
    case HEALTH_NO_QUORUM: return RAFTCTL_EXIT_NO_QUORUM;
    case HEALTH_NO_LEADER: return RAFTCTL_EXIT_NO_LEADER_NOW;
    case HEALTH_NO_MEMBER: return RAFTCTL_EXIT_NO_MEMBER;
    case HEALTH_STARTING: return RAFTCTL_EXIT_NOT_YET;
    case HEALTH_UNKNOWN:
    case HEALTH_COUNT: break;
    }
    return RAFTCTL_EXIT_INTERNAL;
}

/* What monitors that call plugins of Nagios expect: an exit code of their own, and one line, behind whose bar
 * stand the numbers. */
enum { NAGIOS_OK, NAGIOS_WARNING, NAGIOS_CRITICAL };

/* Warnings: the node serves, or will soon. */
static int nagios_of(int code)
{
    switch (code) {
    case RAFTCTL_EXIT_OK: return NAGIOS_OK;
    case RAFTCTL_EXIT_DISK_SLOW:
    case RAFTCTL_EXIT_NOT_CAUGHT_UP:
    case RAFTCTL_EXIT_NOT_YET: return NAGIOS_WARNING;
    default: return NAGIOS_CRITICAL;
    }
}

static _Noreturn void end_nagios(struct tool *t, int code, const struct status *s, uint64_t lag_max)
{
    static const char *const names[] = {"OK", "WARNING", "CRITICAL"};
    int level = nagios_of(code);
    fprintf(t->out.file, "RAFTD %s - ", names[level]);
    if (s->id == 0)
        fprintf(t->out.file, "no answer from the daemon at %s\n", t->socket);
    else if (code == RAFTCTL_EXIT_HUNG)
        fprintf(t->out.file, "the daemon's main loop has done nothing for %" PRIu64 " s\n",
                (clock_us() - s->now_us) / 1000000);
    else
        fprintf(t->out.file,
                "%s: %s | lag=%" PRIu64 ";%" PRIu64 ";;0; fsync_p99=%" PRIu64 "us;;;0; "
                "log=%" PRIu64 "B;;;0;%" PRIu64 " data=%" PRIu64 "B;;;0;%" PRIu64
                " disk_free=%" PRIu64 "B;;;0; term=%" PRIu64 "c;;;0;\n",
                health_name((enum health)s->health), s->health_why, health_lag(s), lag_max,
                s->fsync_p99_us, s->log_bytes, s->log_max_bytes, s->data_bytes, s->max_data_bytes,
                s->disk_free, s->term);
    tool_end(t, level);
}

void run_health(struct tool *t, const struct args *a)
{
    struct status s = {.id = 0};
    uint64_t lag_max = HEALTH_LAG_MAX;
    if (a->flags & ARG_MAX_LAG && !num_parse(a->values[VALUE_MAX_LAG].at, 0, INT64_MAX, &lag_max))
        say_fatal(RAFTCTL_EXIT_USAGE, "--max-lag %s: a number of entries",
                  a->values[VALUE_MAX_LAG].at);
    int code = tool_fresh_status(t, &s);
    /* The daemon has judged by HEALTH_LAG_MAX. What there is without a leader a lag does not change. */
    if (code == RAFTCTL_EXIT_OK && s.leader != 0)
        health_fill(&s, lag_max);
    if (code == RAFTCTL_EXIT_OK)
        code = exit_of((enum health)s.health);
    if (code == RAFTCTL_EXIT_LOST) /* it is there, and does not even say how it was */
        code = RAFTCTL_EXIT_HUNG;
    if (a->flags & ARG_NAGIOS)
        end_nagios(t, code, &s, lag_max);
    if (s.id != 0 && code != RAFTCTL_EXIT_HUNG)
        fprintf(t->out.file, "%s: %s\n", health_name((enum health)s.health), s.health_why);
    tool_end(t, code);
}
