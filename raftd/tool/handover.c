/* handover.c: asks for another leader, and waits for it. */
#include <time.h>

#include "raftd/base/bytes.h"
#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

enum { LOOK_MS = 10 };

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

static int transfer(const struct tool *t, uint64_t heir)
{
    uint8_t key[PROTO_TRANSFER_KEY_BYTES];
    uint64_t waited_ms = 0;
    struct status was, is;
    int code = find_leader(t, &was, &waited_ms);
    if (code != RAFTCTL_EXIT_OK || was.leader == heir)
        return code;
    put_u16(key, was.leader);
    put_u16(key + 2, (uint16_t)heir);
    code = ask(t, (struct proto_request){.op = PROTO_TRANSFER, .key = key, .key_len = sizeof key});
    for (is = was; code == RAFTCTL_EXIT_OK && (is.leader == 0 || is.leader == was.leader);
         code = tool_status(t, &is)) {
        bool over = is.transfers != was.transfers && is.transfer != RAFT_TRANSFER_RUNS &&
                    is.transfer != RAFT_TRANSFER_LEFT;
        if (!over && wait_a_little(t, &waited_ms))
            continue;
        say_error("node %u still leads: %s", was.leader,
                  over ? raft_transfer_name(is.transfer)
                       : "raftctl status there says why (transfer)");
        return RAFTCTL_EXIT_BUSY;
    }
    if (code == RAFTCTL_EXIT_OK && heir != 0 && is.leader != heir) {
        say_error("node %u leads now", is.leader);
        code = RAFTCTL_EXIT_BUSY;
    }
    return code;
}

void run_transfer(struct tool *t, const struct args *a)
{
    uint64_t heir = 0;
    const char *at = a->n_words > 0 ? a->words[0] : "";
    if (*at != '\0' && (!num_take(&at, 10, UINT16_MAX, &heir) || *at != '\0' || heir == 0))
        say_fatal(RAFTCTL_EXIT_USAGE, "%s is no node's id", a->words[0]);
    tool_end(t, transfer(t, heir));
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
