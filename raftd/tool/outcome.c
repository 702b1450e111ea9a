/* outcome.c: a request, and what became of it: in words on standard error, and as an exit code. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/raftctl.h"

/* What to say when nobody knows what became of a request; NULL: it changes nothing. */
static const char *unknown_words(const struct proto_request *r)
{
    if (r->op == PROTO_MEMBER)
        return "OUTCOME UNKNOWN: the change may or may not come; 'raftctl members' shows it";
    if (r->op == PROTO_PUT || r->op == PROTO_DELETE)
        return "OUTCOME UNKNOWN: the write may or may not have happened; read the key to find out";
    return NULL;
}

static const struct {
    const char *name;
    enum raftctl_exit exit;
    const char *words; /* what happened, and what to do */
} results[RESULT_LAST + 1] = {
    [RESULT_OK] = {"ok", RAFTCTL_EXIT_OK, ""},
    [RESULT_NO_KEY] = {"no_key", RAFTCTL_EXIT_NO_KEY, "no such key"},
    [RESULT_NO_LEADER] = {"no_leader", RAFTCTL_EXIT_NO_LEADER,
                          "no leader, or none that can commit, in time: nothing was done; try "
                          "again. 'raftctl links' says who hears whom"},
    [RESULT_UNKNOWN] = {"unknown", RAFTCTL_EXIT_UNKNOWN, "no answer in time"},
    [RESULT_TOO_LARGE] = {"too_large", RAFTCTL_EXIT_TOO_LARGE, "too large: nothing was done"},
    [RESULT_BUSY] = {"busy", RAFTCTL_EXIT_BUSY,
                     "this node takes no more now (too much under way, or too many clients): "
                     "nothing was done; try again"},
    [RESULT_BAD] = {"bad", RAFTCTL_EXIT_INTERNAL,
                    "the daemon did not understand: is it of another version?"},
    [RESULT_STOPPING] = {"stopping", RAFTCTL_EXIT_LOST, "the daemon is stopping: no answer"},
    [RESULT_NOT_YET] = {"not_yet", RAFTCTL_EXIT_NOT_YET,
                        "not yet: this node has just started; it has not come back to what it knew "
                        "before, or has never heard from a leader; try again, or ask without "
                        "--stale. If it lasts, 'raftctl links' says whom it hears and who does not "
                        "count it; or its state is disputed (differs_index in 'raftctl status')"},
    [RESULT_FULL] = {"full", RAFTCTL_EXIT_BUSY,
                     "the data are full: max_data_bytes is reached (see raftctl status): nothing "
                     "was done; delete something, or raise it on all nodes"},
    [RESULT_REFUSED] = {"refused", RAFTCTL_EXIT_REFUSED,
                        "the leader does not allow it: nothing was done"},
    [RESULT_DISK_FULL] = {"disk_full", RAFTCTL_EXIT_BUSY,
                          "the disk of this node is full (disk_free and disk_min_free of raftctl "
                          "status): nothing was done; make room, then it goes on by itself"},
    [RESULT_LOG_FULL] = {"log_full", RAFTCTL_EXIT_BUSY,
                         "the log of this node has reached log_max_bytes and waits for a snapshot "
                         "(see images_given_up and disk_free in raftctl status): nothing was done; "
                         "try again"},
    [RESULT_CROWD] = {"crowd", RAFTCTL_EXIT_REFUSED,
                      "as many other node ids as the cluster can remember have written, so this "
                      "node takes no writes (raftd(8), Members): nothing was done; ask another "
                      "node"},
};

_Static_assert((int)RESULT_LAST == (int)RESULT_CROWD, "each result has its row");

const char *result_name(enum result result)
{
    return results[result].name;
}

int exit_of_result(enum result result, bool write)
{
    return write && result == RESULT_STOPPING ? RAFTCTL_EXIT_UNKNOWN : (int)results[result].exit;
}

/* Says what an answer that is not RESULT_OK means. Returns an exit code. */
static int say_result(const struct ctl_answer *a, const struct tool *t, const char *unknown)
{
    double seconds = t->timeout_ms / 1000.0;
    /* With a body, the daemon does not serve at all yet, and says why. */
    if (a->head.result == RESULT_NOT_YET && a->len > 0)
        say_error("not yet: %.*s: nothing was done; try again", (int)a->len, (const char *)a->body);
    else if (a->head.result == RESULT_TOO_LARGE && a->head.modify_revision > 0)
        say_error("too large: a value has at most %" PRIu64
                  " bytes here (max_value_bytes); nothing "
                  "was done",
                  a->head.modify_revision);
    else if (a->head.result == RESULT_REFUSED && a->len > 0)
        say_error("nothing was done: %.*s", (int)a->len, (const char *)a->body);
    else if (a->head.result == RESULT_STOPPING && unknown != NULL)
        say_error("the daemon is stopping: %s", unknown);
    else if (a->head.result == RESULT_UNKNOWN && unknown != NULL)
        say_error("after %g s: no answer in time: %s", seconds, unknown);
    else if (a->head.result == RESULT_NO_LEADER)
        say_error("after %g s: %s", seconds, results[a->head.result].words);
    else
        say_error("%s", results[a->head.result].words);
    return exit_of_result(a->head.result, unknown != NULL);
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

static int say_outcome(enum ctl_outcome outcome, const struct tool *t, const char *unknown)
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
                  unknown != NULL ? unknown : "is it stopped?");
        return unknown != NULL ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    case CTL_LOST:
        say_error("the daemon closed the connection: %s", unknown != NULL ? unknown : "no answer");
        return unknown != NULL ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_LOST;
    case CTL_NONSENSE:
        say_error("the daemon's answer makes no sense: is it of another version?");
        return unknown != NULL ? RAFTCTL_EXIT_UNKNOWN : RAFTCTL_EXIT_INTERNAL;
    }
    return RAFTCTL_EXIT_INTERNAL;
}

_Noreturn void tool_end(struct tool *t, int code)
{
    int error = output_flush(&t->out);
    if (error != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "standard output: %s", strerror(error));
    exit(code);
}

struct proto_request request(const struct tool *t, enum proto_op op, const char *key)
{
    size_t len = key != NULL ? strlen(key) : 0;
    if (key != NULL && len == 0 && op != PROTO_LIST)
        say_fatal(RAFTCTL_EXIT_USAGE, "a key has at least one byte");
    if (len > CMD_KEY_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE, "a key has at most %d bytes, this one has %zu",
                  CMD_KEY_MAX_BYTES, len);
    return (struct proto_request){.op = (uint8_t)op,
                                  .timeout_ms = t->timeout_ms,
                                  .key = (const uint8_t *)(key != NULL ? key : ""),
                                  .key_len = (uint16_t)len};
}

int tool_try(const struct tool *t, const struct proto_request *r, struct ctl_answer *a)
{
    const char *unknown = unknown_words(r);
    enum ctl_outcome outcome = ctl_call(t->socket, r, a);
    if (outcome != CTL_ANSWERED)
        return say_outcome(outcome, t, unknown);
    int code = RAFTCTL_EXIT_NO_KEY; /* of a part of a snapshot: the caller says what that means */
    if (a->head.result != RESULT_NO_KEY || r->op != PROTO_FETCH)
        code = a->head.result != RESULT_OK ? say_result(a, t, unknown) : RAFTCTL_EXIT_OK;
    if ((a->head.flags & PROTO_RECOVERING) != 0)
        say_warn("this node is recovering: what it shows may be older than what it knew before");
    if (code != RAFTCTL_EXIT_OK)
        ctl_answer_free(a);
    return code;
}

void tool_call(struct tool *t, const struct proto_request *r, struct ctl_answer *a)
{
    int code = tool_try(t, r, a);
    if (code != RAFTCTL_EXIT_OK)
        tool_end(t, code);
}

int tool_status(const struct tool *t, struct status *s)
{
    struct proto_request r = request(t, PROTO_STATUS, NULL);
    struct ctl_answer a;
    int code = tool_try(t, &r, &a);
    if (code != RAFTCTL_EXIT_OK)
        return code;
    status_read(s, a.len > 0 ? (char *)a.body : NULL);
    for (unsigned i = 0; i < s->n_peers; i++)
        s->peers[i].trouble = NULL; /* it goes with the answer */
    ctl_answer_free(&a);
    return code;
}
