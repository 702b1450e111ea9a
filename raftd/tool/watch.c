/* watch.c: follows the changes of keys, and waits for one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/child.h"
#include "raftd/tool/raftctl.h"
#include "raftd/tool/retry.h"

enum {
    PATIENCE_MS = 3600 * 1000, /* then a silent connection is listened to anew */
};

const char watch_usage[] = " [-r REVISION] [--exec CMD] [PREFIX]";
const char watch_what[] =
    "print \"REVISION put|del|expire KEY VALUE\" for each change of keys with\n"
    "          PREFIX, from now or from REVISION on (--exec: run CMD for it)";

/* Changes that come over one connection after the other. */
struct watching {
    struct tool *t;
    const void *prefix;
    size_t prefix_len;
    char *exec;     /* NULL: changes are printed */
    uint64_t from;  /* revision that is told next, or goes on; 0: the daemon's next one */
    unsigned done;  /* changes of it that were told */
    unsigned again; /* of those, how many this connection will still repeat */
};

struct change {
    uint64_t revision;
    const char *kind;
    const redisReply *key, *value; /* value: nil if there is none */
    bool more;                     /* of this revision will come */
};

/* Connects, and asks for the changes. *a: the revision from which they come, or an error. */
static enum ctl_outcome begin(struct watching *w, struct ctl *c, redisReply **a)
{
    uint64_t deadline_ns = ctl_now_ns() + ((uint64_t)w->t->timeout_ms + CTL_GRACE_MS) * 1000000;
    struct ctl_words words = {.n = 0};
    char from[24];
    *a = NULL;
    ctl_add_text(&words, "RAFT.WATCH");
    ctl_add(&words, w->prefix, w->prefix_len);
    if (w->from != 0) {
        (void)snprintf(from, sizeof from, "%" PRIu64, w->from);
        ctl_add_text(&words, "FROM");
        ctl_add_text(&words, from);
    }
    enum ctl_outcome outcome = ctl_open(c, w->t->socket, deadline_ns);
    if (outcome != CTL_ANSWERED)
        return outcome;
    outcome = ctl_send(c, &words, deadline_ns);
    if (outcome != CTL_NOT_TAKEN) /* a daemon that turns us away says why */
        outcome = ctl_receive(c, a, deadline_ns);
    if (outcome != CTL_ANSWERED || (*a)->type == REDIS_REPLY_ERROR)
        return outcome;
    must_be(*a, REDIS_REPLY_INTEGER, 0);
    if (w->from == 0)
        w->from = (uint64_t)(*a)->integer;
    w->again = w->done;
    return outcome;
}

static struct change change_of(const redisReply *a)
{
    must_be(a, REDIS_REPLY_ARRAY, 6);
    redisReply *const *e = a->element;
    must_be(e[1], REDIS_REPLY_INTEGER, 0);
    must_be(e[2], REDIS_REPLY_STRING, 0);
    must_be(e[3], REDIS_REPLY_STRING, 0);
    return (struct change){(uint64_t)e[1]->integer, e[2]->str, e[3], e[4], e[5]->integer != 0};
}

/* --- watch ------------------------------------------------------------------------------------ */

static void print_change(FILE *out, const struct change *c)
{
    fprintf(out, "%" PRIu64 " %s ", c->revision, c->kind);
    print_escaped(out, (const uint8_t *)c->key->str, c->key->len, ' ');
    if (c->value->type == REDIS_REPLY_STRING) {
        putc(' ', out);
        print_escaped(out, (const uint8_t *)c->value->str, c->value->len, '\0');
    }
    putc('\n', out);
}

/* A file that has the value in it, to be read from its beginning. */
static int value_fd(const redisReply *value)
{
    size_t len = value->type == REDIS_REPLY_STRING ? value->len : 0;
    int fd = memfd_create("value", MFD_CLOEXEC);
    if (fd < 0 || patient_write(fd, value->str, len) != 0 || lseek(fd, 0, SEEK_SET) != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "no room for a value");
    return fd;
}

/* The environment of the command has the change, its standard input the value. */
static void tell_in_environment(const struct change *c)
{
    char revision[24], *key = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&key, &len);
    if (f != NULL)
        print_escaped(f, (const uint8_t *)c->key->str, c->key->len, '\0');
    (void)snprintf(revision, sizeof revision, "%" PRIu64, c->revision);
    if (f == NULL || fclose(f) != 0 || setenv("RAFTD_REVISION", revision, 1) != 0 ||
        setenv("RAFTD_CHANGE", c->kind, 1) != 0 || setenv("RAFTD_KEY", key, 1) != 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    free(key);
}

/* Runs the command for a change. If it fails, so do we: who starts us again goes on with that revision. */
static void run_exec(const struct watching *w, const struct change *c)
{
    int fd = value_fd(c->value), status = 0;
    tell_in_environment(c);
    char command[] = "-c", shell[] = "/bin/sh", *argv[] = {shell, command, w->exec, NULL};
    pid_t child = child_start(&(struct child_how){.argv = argv, .in = fd});
    close(fd);
    if (waitpid(child, &status, 0) != child)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "the command can't be run");
    if (status == 0)
        return;
    say_error("the command failed at revision %" PRIu64 ": go on with -r %" PRIu64, c->revision,
              c->revision);
    tool_end(w->t, child_code(status));
}

static void take(struct watching *w, const struct change *c)
{
    if (c->revision != w->from)
        w->done = w->again = 0;
    w->from = c->revision;
    if (w->again > 0) {
        w->again--;
    } else {
        if (w->exec != NULL)
            run_exec(w, c);
        else
            print_change(w->t->out.file, c);
        w->done++;
    }
    if (c->more)
        return;
    w->from++;
    w->done = 0;
    if (output_flush(&w->t->out) != 0)
        tool_end(w->t, RAFTCTL_EXIT_INTERNAL);
}

/* Takes changes until the connection ends, or there is an error in *a. */
static enum ctl_outcome follow(struct watching *w, struct ctl *c, redisReply **a)
{
    for (;;) {
        enum ctl_outcome outcome = ctl_receive(c, a,
                                               ctl_now_ns() + PATIENCE_MS * UINT64_C(1000000));
        if (outcome == CTL_TIMEOUT)
            continue;
        if (outcome != CTL_ANSWERED || (*a)->type == REDIS_REPLY_ERROR)
            return outcome;
        struct change change = change_of(*a);
        take(w, &change);
        freeReplyObject(*a);
        *a = NULL;
    }
}

/* The daemon takes none now, but will. */
static bool is_early(enum ctl_outcome outcome, const redisReply *a)
{
    const char *text;
    if (outcome != CTL_ANSWERED || a->type != REDIS_REPLY_ERROR)
        return false;
    int code = tool_errors[tool_error_of(a, &text)].exit;
    return code == RAFTCTL_EXIT_NOT_YET || code == RAFTCTL_EXIT_BUSY;
}

/* While it runs, the daemon may end and start again. */
void run_watch(struct tool *t, const struct args *args)
{
    struct watching w = {.t = t, .exec = args->values[VALUE_EXEC].at, .prefix = ""};
    uint64_t until_ns = ctl_now_ns() + (uint64_t)t->timeout_ms * 1000000;
    struct retry retry = RETRY_NOW;
    struct ctl c;
    redisReply *a;
    if (args->n_words == 1) {
        w.prefix = args->words[0].at;
        w.prefix_len = args->words[0].len;
    }
    if (args->flags & ARG_REVISION &&
        !num_parse(args->values[VALUE_REVISION].at, 1, INT64_MAX, &w.from))
        say_fatal(RAFTCTL_EXIT_USAGE, "-r %s: a revision is 1 or more",
                  args->values[VALUE_REVISION].at);
    for (bool begun = false;;) {
        enum ctl_outcome outcome = begin(&w, &c, &a);
        bool begins = outcome == CTL_ANSWERED && a->type == REDIS_REPLY_INTEGER;
        if (begins) {
            begun = true;
            retry_end(&retry);
            freeReplyObject(a);
            outcome = follow(&w, &c, &a);
        }
        ctl_close(&c);
        bool early = is_early(outcome, a), told = outcome == CTL_ANSWERED && !early;
        if (told || outcome == CTL_NONSENSE || (!begun && (!early || ctl_now_ns() > until_ns)))
            tool_end(t, say_trouble(t, LOOKS, outcome, &a));
        freeReplyObject(a);
        retry_missed(&retry, t->socket, outcome);
        retry_wait(&retry, UINT64_MAX);
    }
}

/* --- wait ------------------------------------------------------------------------------------- */

static bool is_value(const redisReply *a, const struct word *value)
{
    return a->type == REDIS_REPLY_STRING &&
           (value->at == NULL || (a->len == value->len && memcmp(a->str, value->at, a->len) == 0));
}

static bool is_so_now(const struct tool *t, const struct word *key, const struct word *value,
                      int *code)
{
    struct question q = {.asked = READS};
    redisReply *a;
    ctl_add_text(&q.words, "GET");
    add_key(&q.words, key->at, key->len);
    *code = tool_ask(t, &q, &a);
    bool is = *code == RAFTCTL_EXIT_OK && is_value(a, value);
    freeReplyObject(a);
    return is;
}

/* Waits for a change that makes it so. False: the connection ended, or the time is over. */
static bool becomes_so(struct ctl *c, const struct word *key, const struct word *value,
                       uint64_t deadline_ns)
{
    redisReply *a;
    bool is = false;
    while (!is && ctl_receive(c, &a, deadline_ns) == CTL_ANSWERED) {
        bool error = a->type == REDIS_REPLY_ERROR;
        if (!error) {
            struct change change = change_of(a);
            is = change.key->len == key->len && memcmp(change.key->str, key->at, key->len) == 0 &&
                 is_value(change.value, value);
        }
        freeReplyObject(a);
        if (error)
            break;
    }
    return is;
}

/* The changes are asked for before the value is: so none comes between. */
int wait_for_key(struct tool *t, const struct word *key, const struct word *value)
{
    struct watching w = {.t = t, .prefix = key->at, .prefix_len = key->len};
    uint64_t deadline_ns = ctl_now_ns() + (uint64_t)t->timeout_ms * 1000000;
    struct ctl c;
    redisReply *a;
    int code = RAFTCTL_EXIT_NOT_YET;
    enum ctl_outcome outcome = begin(&w, &c, &a);
    if (outcome == CTL_ANSWERED && a->type == REDIS_REPLY_INTEGER) {
        if (!is_so_now(t, key, value, &code) && code == RAFTCTL_EXIT_OK &&
            !becomes_so(&c, key, value, deadline_ns))
            code = RAFTCTL_EXIT_NOT_YET;
    } else if (outcome == CTL_ANSWERED && !is_early(outcome, a)) {
        code = say_trouble(t, READS, outcome, &a);
    }
    freeReplyObject(a);
    ctl_close(&c);
    return code;
}
