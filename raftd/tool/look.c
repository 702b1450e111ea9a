/* look.c: what this node knows of itself and of the others: status, links, members. */
#include <string.h>

#include "raftd/base/exits.h"
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

void run_status(struct tool *t, const struct args *args)
{
    print_status(t, args, NULL);
}

void run_members(struct tool *t, const struct args *args)
{
    print_status(t, args, "MEMBERS");
}

void run_links(struct tool *t, const struct args *args)
{
    redisReply *a = ask_status(t, NULL, false);
    if (!print_links(t->out.file, a->str, (args->flags & ARG_JSON) != 0))
        say_fatal(RAFTCTL_EXIT_INTERNAL, "out of memory");
    freeReplyObject(a);
}
