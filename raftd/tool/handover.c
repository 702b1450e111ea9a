/* handover.c: asks for another leader, and waits for it. */
#include <stdio.h>
#include <time.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

enum { LOOK_MS = 10, ASK_MS = 200, ID_SIZE = sizeof "65535" };

static int ask(const struct tool *t, const struct question *q)
{
    redisReply *a;
    int code = tool_try(t, q, &a);
    freeReplyObject(a);
    return code;
}

/* Asks that node `from`, if it leads, hands over to `heir`; 0: the best. */
static int ask_transfer(const struct tool *t, uint16_t from, uint16_t heir)
{
    char leader[ID_SIZE], to[ID_SIZE];
    struct question q = {.asked = LOOKS};
    (void)snprintf(leader, sizeof leader, "%u", from);
    (void)snprintf(to, sizeof to, "%u", heir);
    ctl_add_text(&q.words, "RAFT.TRANSFER");
    ctl_add_text(&q.words, leader);
    ctl_add_text(&q.words, to);
    return ask(t, &q);
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

static bool is_known(const struct status *s, uint16_t id)
{
    for (unsigned i = 0; i < s->n_peers; i++)
        if (s->peers[i].id == id)
            return true;
    return id == s->id;
}

/* Repeats the question until the heir leads: to another node it is one datagram, and an heir may be
 * silent, lag, or lose its election for a moment. A leader that has given up a hand-over takes clients'
 * writes for a while before it begins the next. */
static int transfer(const struct tool *t, uint16_t heir)
{
    uint64_t waited_ms = 0, ask_at = 0;
    struct status was, is;
    int code = find_leader(t, &was, &waited_ms);
    if (code == RAFTCTL_EXIT_OK && heir != 0 && !is_known(&was, heir)) {
        say_error("there is no node %u; 'raftctl members' names them: nothing was done", heir);
        return RAFTCTL_EXIT_REFUSED;
    }
    for (is = was; code == RAFTCTL_EXIT_OK; code = tool_status(t, &is)) {
        if (heir != 0 ? is.leader == heir : is.leader != 0 && is.leader != was.leader)
            break;
        if (is.leader != 0 && waited_ms >= ask_at) {
            ask_at = waited_ms + ASK_MS;
            if ((code = ask_transfer(t, is.leader, heir)) != RAFTCTL_EXIT_OK)
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
    if (a->n_words > 0 && !num_parse(a->words[0].at, 1, CONF_ID_MAX, &heir))
        say_fatal(RAFTCTL_EXIT_USAGE, "%s is no id of a node: 1 to %d", a->words[0].at,
                  CONF_ID_MAX);
    tool_end(t, transfer(t, (uint16_t)heir));
}

void run_drain(struct tool *t, const struct args *a)
{
    uint64_t waited_ms = 0;
    struct status is;
    (void)a;
    struct question q = {.asked = LOOKS};
    ctl_add_text(&q.words, "RAFT.DRAIN");
    int code = ask(t, &q);
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
