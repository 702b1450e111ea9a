/* events_run.c: prints events, or runs scripts for them. */
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/events.h"
#include "raftd/tool/hooks.h"

enum {
    TIMEOUT_MS = 30000, /* of a script, unless --exec-timeout says else */
    TIMEOUT_MAX_MS = 3600 * 1000,
};

struct printing {
    struct tool *t;
    bool json;
};

static void print(void *ctx, const struct event *e)
{
    const struct printing *p = ctx;
    print_event(p->t->out.file, e, p->json);
    if (output_flush(&p->t->out) != 0)
        tool_end(p->t, RAFTCTL_EXIT_INTERNAL);
}

void run_events(struct tool *t, const struct args *a)
{
    struct events e = {.t = t, .waits = true, .c.fd = -1, .retry = RETRY_NOW};
    struct printing p = {t, (a->flags & ARG_JSON) != 0};
    if (a->flags & ARG_SINCE && !num_parse(a->values[VALUE_SINCE].at, 0, INT64_MAX, &e.since))
        say_fatal(RAFTCTL_EXIT_USAGE, "--since %s: the number of an event, or 0",
                  a->values[VALUE_SINCE].at);
    if ((a->flags & ARG_EXEC) == 0)
        tool_end(t, events_follow(&e, print, &p));
    uint64_t timeout_ms = TIMEOUT_MS;
    if (a->flags & ARG_EXEC_TIMEOUT &&
        !num_parse_thousandths(a->values[VALUE_EXEC_TIMEOUT].at, 1, TIMEOUT_MAX_MS, &timeout_ms))
        say_fatal(RAFTCTL_EXIT_USAGE, "--exec-timeout %s: seconds, 0.001 to %d",
                  a->values[VALUE_EXEC_TIMEOUT].at, TIMEOUT_MAX_MS / 1000);
    tool_end(t, hooks_run(&e, a->values[VALUE_EXEC].at, timeout_ms));
}
