/* look.c: what this node knows of itself and of the others: status, links, members. */
#include <inttypes.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

static redisReply *ask_status(struct tool *t, const char *of, bool json)
{
    struct question q = {.asked = LOOKS};
    ctl_add_text(&q.words, "RAFT.STATUS");
    if (json)
        ctl_add_text(&q.words, "JSON");
    if (of != NULL)
        ctl_add_text(&q.words, of);
    redisReply *a = tool_call(t, &q);
    must_be(a, REDIS_REPLY_STRING, 0);
    return a;
}

static void print_status(struct tool *t, const struct args *args, const char *of)
{
    redisReply *a = ask_status(t, of, (args->flags & ARG_JSON) != 0);
    fwrite(a->str, 1, a->len, t->out.file);
    freeReplyObject(a);
}

/* A table for people, or all that is known of the members as JSON. */
static void print_all(struct tool *t, bool how)
{
    struct status s;
    redisReply *a = ask_status(t, "ALL", false);
    status_read(&s, a->str, clock_us());
    if (!print_members(t->out.file, &s, how))
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    freeReplyObject(a);
}

void run_status(struct tool *t, const struct args *args)
{
    bool all = (args->flags & ARG_ALL) != 0;
    if (all && !(args->flags & ARG_JSON))
        print_all(t, true);
    else
        print_status(t, args, all ? "ALL" : NULL);
}

void run_members(struct tool *t, const struct args *args)
{
    if (args->flags & ARG_JSON)
        print_status(t, args, "MEMBERS");
    else
        print_all(t, false);
}

void run_links(struct tool *t, const struct args *args)
{
    redisReply *a = ask_status(t, NULL, false);
    if (!print_links(t->out.file, a->str, (args->flags & ARG_JSON) != 0))
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    freeReplyObject(a);
}

/* --- is it so --------------------------------------------------------------------------------- */

void run_is_leader(struct tool *t, const struct args *args)
{
    struct status s;
    (void)args;
    int code = tool_fresh_status(t, &s);
    if (code == RAFTCTL_EXIT_HUNG ||
        (code == RAFTCTL_EXIT_OK && (s.leader == 0 || s.leader != s.id)))
        code = RAFTCTL_EXIT_NO_KEY;
    tool_end(t, code);
}

/* Waits for the answer to a read through the leader: then there is one that a majority follows, and this
 * node has all that was committed before. */
int wait_for_read(const struct tool *t)
{
    struct question q = {.asked = READS};
    redisReply *a;
    ctl_add_text(&q.words, "EXISTS");
    ctl_add_text(&q.words, "x"); /* it does not matter which key */
    int code = tool_try(t, &q, &a);
    freeReplyObject(a);
    return code;
}

/* As RAFT.TOKEN makes them: 32 hexadecimal digits, a hyphen, an index. */
static bool is_token(const char *text)
{
    uint64_t index;
    return strspn(text, "0123456789abcdef") == 32 && text[32] == '-' &&
           num_parse(text + 33, 0, INT64_MAX, &index);
}

static void print_outcome(struct tool *t, const struct args *args, const char *word,
                          uint64_t revision)
{
    if (args->flags & ARG_JSON)
        print_done_json(t->out.file, "outcome", word, revision);
    else
        fprintf(t->out.file, "outcome=%s\nrevision=%" PRIu64 "\n", word, revision);
}

void run_outcome(struct tool *t, const struct args *args)
{
    struct question q = {.asked = READS};
    if (!is_token(args->words[0].at))
        say_fatal(RAFTCTL_EXIT_USAGE,
                  "outcome %s: this is no token; the message with exit code 5 has one",
                  args->words[0].at);
    ctl_add_text(&q.words, "RAFT.OUTCOME");
    ctl_add(&q.words, args->words[0].at, args->words[0].len);
    redisReply *a = tool_call(t, &q);
    if (a->type == REDIS_REPLY_NIL) {
        print_outcome(t, args, "none", 0);
        say_info("no copy of that write has arrived so far");
        tool_end(t, RAFTCTL_EXIT_NO_KEY);
    }
    must_be(a, REDIS_REPLY_ARRAY, 2);
    const char *word = a->element[0]->str != NULL ? a->element[0]->str : "";
    bool done = strcmp(word, "done") == 0 || strcmp(word, "no_key") == 0 ||
                strcmp(word, "skipped") == 0;
    print_outcome(t, args, word, (uint64_t)a->element[1]->integer);
    freeReplyObject(a);
    tool_end(t, done ? RAFTCTL_EXIT_OK : RAFTCTL_EXIT_NOT_MET);
}
