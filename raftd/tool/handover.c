/* handover.c: asks for another leader, and waits for it. */
#include <time.h>

#include "raftd/base/bytes.h"
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

enum { LOOK_MS = 10, ASK_MS = 200 };

static int ask(const struct tool *t, struct proto_request r)
{
    struct ctl_answer a;
    r.timeout_ms = t->timeout_ms;
    int code = tool_try(t, &r, &a);
    if (code == RAFTCTL_EXIT_OK)
        ctl_answer_free(&a);
    return code;
}

/* False when there is no time left. */
static bool wait_a_little(const struct tool *t, uint64_t *waited_ms)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    (void)nanosleep(&pause, NULL); /* just a pause */
    *waited_ms += LOOK_MS;
    return *waited_ms < t->timeout_ms;
}

/* Waits for a leader. */
static int find_leader(const struct tool *t, struct status *s, uint64_t *waited_ms)
{
    int code = tool_status(t, s);
    while (code == RAFTCTL_EXIT_OK && s->leader == 0) {
        if (!wait_a_little(t, waited_ms)) {
            say_error("there is no leader: nothing was done");
            return RAFTCTL_EXIT_NO_LEADER;
        }
        code = tool_status(t, s);
    }
    return code;
}

/* Repeats the question until the heir leads: to another node it is one datagram, and an heir may be
 * silent, lag, or lose its election for a moment. A leader that has given up a hand-over takes clients'
 * writes for a while before it begins the next. */
static int transfer(const struct tool *t, uint16_t heir)
{
    uint8_t key[PROTO_TRANSFER_KEY_BYTES];
    const struct proto_request request = {.op = PROTO_TRANSFER, .key = key, .key_len = sizeof key};
    uint64_t waited_ms = 0, ask_at = 0;
    struct status was, is;
    int code = find_leader(t, &was, &waited_ms);
    put_u16(key + 2, heir);
    for (is = was; code == RAFTCTL_EXIT_OK; code = tool_status(t, &is)) {
        if (heir != 0 ? is.leader == heir : is.leader != 0 && is.leader != was.leader)
            break;
        if (is.leader != 0 && waited_ms >= ask_at) {
            put_u16(key, is.leader);
            ask_at = waited_ms + ASK_MS;
            if ((code = ask(t, request)) != RAFTCTL_EXIT_OK)
                break;
            continue;
        }
        bool failed = is.transfers != was.transfers && is.transfer > RAFT_TRANSFER_LEFT;
        bool hopeless = failed && (is.transfer == RAFT_TRANSFER_UNFIT ||
                                   (is.transfer == RAFT_TRANSFER_NO_TARGET && heir != 0));
        if (!hopeless && wait_a_little(t, &waited_ms))
            continue;
        say_error("node %u still leads: %s", is.leader,
                  failed ? raft_transfer_name(is.transfer)
                         : "raftctl status there says why (transfer)");
        code = RAFTCTL_EXIT_BUSY;
        break;
    }
    return code;
}

void run_transfer(struct tool *t, const struct args *a)
{
    uint64_t heir = 0;
    const char *at = a->n_words > 0 ? a->words[0] : "";
    if (*at != '\0' && (!num_take(&at, 10, UINT16_MAX, &heir) || *at != '\0' || heir == 0))
        say_fatal(RAFTCTL_EXIT_USAGE, "%s is no node's id", a->words[0]);
    tool_end(t, transfer(t, (uint16_t)heir));
}

void run_drain(struct tool *t, const struct args *a)
{
    uint64_t waited_ms = 0;
    struct status is;
    (void)a;
    int code = ask(t, (struct proto_request){.op = PROTO_DRAIN, .key = (const uint8_t *)""});
    while (code == RAFTCTL_EXIT_OK && (code = tool_status(t, &is)) == RAFTCTL_EXIT_OK) {
        if (is.drained != 0 && is.leader != is.id)
            break;
        if (wait_a_little(t, &waited_ms))
            continue;
        say_error("this node still leads: %s",
                  is.drained != 0 ? raft_transfer_name(is.transfer) : "there is no other one");
        code = RAFTCTL_EXIT_BUSY;
    }
    tool_end(t, code);
}
