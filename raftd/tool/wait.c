/* wait.c: waits until something is so. */
#include <string.h>
#include <time.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

enum {
    STARTS_MS = 100
}; /* how often a node is looked at that is starting, and can't wait for us */

const char wait_usage[] = " leader | caught-up | KEY[=VALUE]";
const char wait_what[] =
    "wait, for --timeout at most, until there is a leader (and print it),\n"
    "          until this node has all that is committed now, or until KEY is\n"
    "          there, or has that value";

/* Waits until the node is ready to wait for us, or knows a leader and that is enough. What is left of
 * t->timeout_ms is for what comes after. */
static int wait_for_start(struct tool *t, struct status *s, bool leader_is_enough)
{
    int code = tool_status(t, s);
    while (code == RAFTCTL_EXIT_OK && s->recovering[0] != '\0' && t->timeout_ms > STARTS_MS &&
           !(leader_is_enough && s->leader != 0)) {
        (void)nanosleep(&(struct timespec){.tv_nsec = STARTS_MS * 1000000L},
                        NULL); /* just a pause */
        t->timeout_ms -= STARTS_MS;
        code = tool_status(t, s);
    }
    return code;
}

static int wait_leader(struct tool *t)
{
    struct status s;
    int code = wait_for_start(t, &s, true);
    if (code == RAFTCTL_EXIT_OK && s.leader == 0 && (code = wait_for_read(t)) == RAFTCTL_EXIT_OK)
        code = tool_status(t, &s);
    if (code == RAFTCTL_EXIT_OK)
        fprintf(t->out.file, "leader=%u\n", s.leader);
    return code;
}

static int wait_caught_up(struct tool *t)
{
    struct status s;
    int code = wait_for_start(t, &s, false);
    return code == RAFTCTL_EXIT_OK ? wait_for_read(t) : code;
}

void run_wait(struct tool *t, const struct args *a)
{
    if (strcmp(a->words[0].at, "leader") == 0)
        tool_end(t, wait_leader(t));
    if (strcmp(a->words[0].at, "caught-up") == 0)
        tool_end(t, wait_caught_up(t));
    struct word key = a->words[0], value = {0};
    char *sign = memchr(key.at, '=', key.len);
    if (sign != NULL) {
        value = (struct word){sign + 1, key.len - (size_t)(sign + 1 - key.at)};
        key.len = (size_t)(sign - key.at);
    }
    tool_end(t, wait_for_key(t, &key, &value));
}
