/* outcome.c: a question, and what became of it: in words on standard error, and as an exit code. */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/tool/raftctl.h"

/* What to say when nobody knows what became of a question; NULL: it changes nothing. */
static const char *unknown_words(enum asked asked)
{
    if (asked == CHANGES)
        return "OUTCOME UNKNOWN: the change may or may not come; 'raftctl members' shows it";
    if (asked == WRITES)
        return "OUTCOME UNKNOWN: the write may or may not have happened; read the key to find out";
    return NULL;
}

const struct tool_error tool_errors[] = {
    {"NOLEADER", "no_leader", RAFTCTL_EXIT_NO_LEADER,
     "no leader, or none that can commit, in time: nothing was done; try again. "
     "'raftctl links' says who hears whom"},
    {"UNKNOWN", "unknown", RAFTCTL_EXIT_UNKNOWN, "no answer in time"},
    {"TOOBIG", "too_large", RAFTCTL_EXIT_TOO_LARGE, "too large: %s; nothing was done"},
    {"BUSY", "busy", RAFTCTL_EXIT_BUSY,
     "this node takes no more now (too much under way, or too many clients): nothing was done; try "
     "again"},
    {"LOADING", "not_yet", RAFTCTL_EXIT_NOT_YET, "not yet: %s: nothing was done; try again"},
    {"NOTYET", "not_yet", RAFTCTL_EXIT_NOT_YET,
     "not yet: this node has just started; it has not come back to what it knew before, or has "
     "never heard from a leader; try again, or ask without --stale. If it lasts, 'raftctl links' "
     "says whom it hears and who does not count it; or its state is disputed (differs_index in "
     "'raftctl status')"},
    {"FULL", "full", RAFTCTL_EXIT_BUSY,
     "the data are full: max_data_bytes is reached (see raftctl status): nothing was done; delete "
     "something, or raise it on all nodes"},
    {"DISKFULL", "disk_full", RAFTCTL_EXIT_BUSY,
     "the disk of this node is full (disk_free and disk_min_free of raftctl status): nothing was "
     "done; make room, then it goes on by itself"},
    {"LOGFULL", "log_full", RAFTCTL_EXIT_BUSY,
     "the log of this node, or of the leader, has reached log_max_bytes and waits for a snapshot "
     "(see images_given_up and disk_free in raftctl status): nothing was done; try again"},
    {"REFUSED", "refused", RAFTCTL_EXIT_REFUSED, "nothing was done: %s"},
    {"NOTHELD", "not_held", RAFTCTL_EXIT_NOT_HELD,
     "the lock is not held, or by somebody else: nothing was done"},
    {"COMPACTED", "compacted", RAFTCTL_EXIT_COMPACTED,
     "this node does not remember changes of so long ago: %s"},
    {"LAGGED", "lagged", RAFTCTL_EXIT_LAGGED, "the changes came faster than they were taken: %s"},
    {"CANTTELL", "cant_tell", RAFTCTL_EXIT_CANT_TELL,
     "nobody can tell any more what became of it: too many writes have come since"},
    {"ERR value", "not_a_number", RAFTCTL_EXIT_NOT_MET, "nothing was done: the value %s"},
    {"ERR increment", "overflow", RAFTCTL_EXIT_NOT_MET, "nothing was done: the increment %s"},
    {"", "bad", RAFTCTL_EXIT_INTERNAL,
     "the daemon did not understand: is it of another version? It says: %s"},
};

_Static_assert(sizeof tool_errors / sizeof tool_errors[0] == TOOL_ERRORS, "each row is counted");

unsigned tool_error_of(const redisReply *error, const char **text)
{
    for (unsigned i = 0;; i++) {
        size_t len = strlen(tool_errors[i].prefix);
        *text = error->str + len;
        if (strncmp(error->str, tool_errors[i].prefix, len) != 0)
            continue;
        if (i == TOOL_ERRORS - 1 || **text == '\0')
            return i;
        if (**text == ' ') {
            (*text)++;
            return i;
        }
    }
}

/* Says `words`, with `text` in the place of %s in it. */
static void say_with(const char *words, const char *text)
{
    static const char nothing[] = "nothing was done: "; /* we say that, too */
    const char *hole = strstr(words, "%s");
    if (strncmp(text, nothing, sizeof nothing - 1) == 0)
        text += sizeof nothing - 1;
    if (hole != NULL)
        say_error("%.*s%s%s", (int)(hole - words), words, text, hole + 2);
    else
        say_error("%s", words);
}

/* Says what an error means. Returns an exit code. */
static int say_answer(const redisReply *error, const struct tool *t, const char *unknown)
{
    double seconds = t->timeout_ms / 1000.0;
    const char *text;
    const struct tool_error *e = &tool_errors[tool_error_of(error, &text)];
    if (e->exit == RAFTCTL_EXIT_UNKNOWN && unknown != NULL)
        say_error("after %g s: no answer in time: %s", seconds, unknown);
    else if (e->exit == RAFTCTL_EXIT_NO_LEADER)
        say_error("after %g s: %s", seconds, e->words);
    else
        say_with(e->words, text);
    return e->exit;
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

void add_key(struct ctl_words *w, const char *key, size_t len)
{
    if (len == 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "a key, or a lock's name, has at least one byte");
    if (len > CMD_KEY_MAX_BYTES)
        say_fatal(RAFTCTL_EXIT_TOO_LARGE,
                  "a key, or a lock's name, has at most %d bytes, this one has %zu",
                  CMD_KEY_MAX_BYTES, len);
    ctl_add(w, key, len);
}

int say_trouble(const struct tool *t, enum asked asked, enum ctl_outcome outcome, redisReply **a)
{
    const char *unknown = unknown_words(asked);
    int code = outcome == CTL_ANSWERED ? say_answer(*a, t, unknown)
                                       : say_outcome(outcome, t, unknown);
    freeReplyObject(*a);
    *a = NULL;
    return code;
}

static enum ctl_outcome ask(const struct tool *t, const struct question *q, redisReply **a)
{
    const struct ctl_call call = {.path = t->socket,
                                  .timeout_ms = t->timeout_ms,
                                  .at_once = q->asked == LOOKS,
                                  .local = q->asked == PEEKS};
    return ctl_call(&call, &q->words, a);
}

int tool_try(const struct tool *t, const struct question *q, redisReply **a)
{
    enum ctl_outcome outcome = ask(t, q, a);
    if (outcome == CTL_ANSWERED && (*a)->type != REDIS_REPLY_ERROR)
        return RAFTCTL_EXIT_OK;
    return say_trouble(t, q->asked, outcome, a);
}

int tool_ask(const struct tool *t, const struct question *q, redisReply **a)
{
    const char *text;
    enum ctl_outcome outcome = ask(t, q, a);
    int code = RAFTCTL_EXIT_LOST;
    if (outcome == CTL_ANSWERED && (*a)->type != REDIS_REPLY_ERROR)
        return RAFTCTL_EXIT_OK;
    if (outcome == CTL_ANSWERED)
        code = tool_errors[tool_error_of(*a, &text)].exit;
    freeReplyObject(*a);
    *a = NULL;
    return code;
}

redisReply *tool_call(struct tool *t, const struct question *q)
{
    redisReply *a;
    int code = tool_try(t, q, &a);
    if (code != RAFTCTL_EXIT_OK)
        tool_end(t, code);
    return a;
}

void must_be(const redisReply *a, int type, size_t elements)
{
    if (a->type != type || (type == REDIS_REPLY_ARRAY && a->elements < elements))
        say_fatal(RAFTCTL_EXIT_INTERNAL, "the daemon's answer makes no sense");
}

int tool_status(const struct tool *t, struct status *s)
{
    const struct question q = {LOOKS, {1, {"RAFT.STATUS"}, {strlen("RAFT.STATUS")}}};
    redisReply *a;
    int code = tool_try(t, &q, &a);
    if (code != RAFTCTL_EXIT_OK)
        return code;
    must_be(a, REDIS_REPLY_STRING, 0);
    status_read(s, a->str, clock_us());
    for (unsigned i = 0; i < s->n_peers; i++)
        s->peers[i].trouble = NULL; /* it goes with the answer */
    freeReplyObject(a);
    return code;
}
