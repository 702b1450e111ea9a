/* outcome.c: what became of a request: in words on standard error, and as an exit code. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

int exit_of_result(enum result result, bool write)
{
    switch (result) {
    case RESULT_OK: return RAFTCTL_EXIT_OK;
    case RESULT_NO_KEY: return RAFTCTL_EXIT_NO_KEY;
    case RESULT_NO_LEADER: return RAFTCTL_EXIT_NO_LEADER;
    case RESULT_UNKNOWN: return RAFTCTL_EXIT_UNKNOWN;
    case RESULT_TOO_LARGE: return RAFTCTL_EXIT_TOO_LARGE;
    case RESULT_BUSY: return RAFTCTL_EXIT_BUSY;
    case RESULT_BAD: return RAFTCTL_EXIT_INTERNAL;
    case RESULT_STOPPING: return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    case RESULT_NOT_YET: return RAFTCTL_EXIT_NOT_YET;
    case RESULT_FULL:
    case RESULT_DISK_FULL: return RAFTCTL_EXIT_BUSY;
    case RESULT_REFUSED: break; /* of transactions, which this tool does not send */
    }
    return RAFTCTL_EXIT_INTERNAL;
}

static const char unknown_text[] =
    "OUTCOME UNKNOWN: the write may or may not have happened; read the key to find out";

/* max_value_bytes of the daemon, 0 without an answer. */
static uint64_t ask_max_value(const struct tool *t)
{
    static const char name[] = "\nmax_value_bytes=";
    struct proto_request r = {
        .op = PROTO_STATUS, .timeout_ms = t->timeout_ms, .key = (const uint8_t *)""};
    struct ctl_answer a;
    uint64_t number = 0;
    if (ctl_call(t->socket, &r, &a) != CTL_ANSWERED)
        return 0;
    const char *at = a.len > 0 ? strstr((const char *)a.body, name) : NULL;
    if (at != NULL)
        (void)num_take(&(const char *){at + sizeof name - 1}, 10, UINT32_MAX, &number);
    ctl_answer_free(&a);
    return number;
}

static void say_too_large(const struct tool *t)
{
    uint64_t most = ask_max_value(t);
    if (most != 0)
        say_error("too large: a value has at most %" PRIu64
                  " bytes here (max_value_bytes); nothing "
                  "was done",
                  most);
    else
        say_error(
            "too large: a value has at most max_value_bytes of the configuration; nothing was "
            "done");
}

static int say_result(enum result result, const struct tool *t, bool write)
{
    double seconds = t->timeout_ms / 1000.0;
    switch (result) {
    case RESULT_OK: break;
    case RESULT_NO_KEY: say_error("no such key"); break;
    case RESULT_NO_LEADER:
        say_error("no leader, or none that can commit, within %g s: nothing was done; try again. "
                  "'raftctl links' says who hears whom",
                  seconds);
        break;
    case RESULT_UNKNOWN: say_error("timeout after %g s: %s", seconds, unknown_text); break;
    case RESULT_TOO_LARGE: say_too_large(t); break;
    case RESULT_BUSY:
        say_error("this node takes no more now (too much under way, or too many clients): nothing "
                  "was done; try again");
        break;
    case RESULT_BAD: say_error("the daemon did not understand: is it of another version?"); break;
    case RESULT_REFUSED: say_error("the state does not allow it: nothing was done"); break;
    case RESULT_DISK_FULL:
        say_error("the disk of this node is full (disk_free and disk_min_free of raftctl status): "
                  "nothing was done; make room, then it goes on by itself");
        break;
    case RESULT_FULL:
        say_error("the data are full: max_data_bytes is reached (see raftctl status): nothing was "
                  "done; delete something, or raise it on all nodes");
        break;
    case RESULT_STOPPING:
        say_error("the daemon is stopping: %s", write ? unknown_text : "no answer");
        break;
    case RESULT_NOT_YET:
        say_error(
            "not yet: this node has just started; it has not come back to what it knew before, "
            "or has never heard from a leader; try again, or ask without --stale. If it lasts, "
            "'raftctl links' says whom it hears and who does not count it");
        break;
    }
    return exit_of_result(result, write);
}

int say_not_running(const struct tool *t)
{
    struct stat st;
    int error = errno;
    if (error != EACCES)
        say_error("no daemon at %s: %s", t->socket, strerror(error));
    else if (stat(t->socket, &st) != 0)
        say_error("user %u may not look at %s: a directory above it is closed", geteuid(),
                  t->socket);
    else {
        const struct group *group = getgrgid(st.st_gid);
        char gid[sizeof "4294967295"];
        (void)snprintf(gid, sizeof gid, "%u", st.st_gid);
        say_error(
            "user %u may not use the daemon at %s: it is for the group %s (mode %04o); become "
            "a member of it and log in again",
            geteuid(), t->socket, group != NULL ? group->gr_name : gid, st.st_mode & 07777);
    }
    return RAFTCTL_EXIT_NOT_RUNNING;
}

static int say_outcome(enum ctl_outcome outcome, const struct tool *t, bool write)
{
    double seconds = (t->timeout_ms + CTL_GRACE_MS) / 1000.0;
    switch (outcome) {
    case CTL_ANSWERED: break;
    case CTL_NOT_RUNNING: return say_not_running(t);
    case CTL_NOT_TAKEN:
        say_error("the daemon at %s took no request for %g s (is it stopped?): nothing was done",
                  t->socket, seconds);
        return RAFTCTL_EXIT_BUSY;
    case CTL_TIMEOUT:
        say_error("no answer from the daemon for %g s: %s", seconds,
                  write ? unknown_text : "is it stopped?");
        return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    case CTL_LOST:
        say_error("the daemon closed the connection: %s", write ? unknown_text : "no answer");
        return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    case CTL_NONSENSE:
        say_error("the daemon's answer makes no sense: is it of another version?");
        return write ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_INTERNAL;
    }
    return RAFTCTL_EXIT_INTERNAL;
}

int tool_call(const struct tool *t, const struct proto_request *r, struct ctl_answer *a)
{
    bool write = r->op == PROTO_PUT || r->op == PROTO_DELETE;
    enum ctl_outcome outcome = ctl_call(t->socket, r, a);
    if (outcome != CTL_ANSWERED)
        return say_outcome(outcome, t, write);
    if (a->result == RESULT_NOT_YET &&
        a->len > 0) { /* it does not serve at all yet, and says why */
        say_error("not yet: %.*s: nothing was done; try again", (int)a->len, (const char *)a->body);
        ctl_answer_free(a);
        return RAFTCTL_EXIT_NOT_YET;
    }
    int code = say_result(a->result, t, write);
    if (code != RAFTCTL_EXIT_OK)
        ctl_answer_free(a);
    return code;
}
