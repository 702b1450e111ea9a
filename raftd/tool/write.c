/* write.c: writes that happen once, however often they are sent.
 *
 * Each has a token that the daemon made (RAFT.TOKEN): the state remembers what became of it, so a repetition
 * gets the first outcome. So a write whose answer is lost is sent again until its time is over, also to a
 * daemon that was started anew meanwhile. From the first copy on that may have arrived, nothing that a
 * later one is told says that nothing was done, but for the outcome itself.
 */
#include <string.h>
#include <time.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

enum { PAUSE_MS = 50 };

/* A write on its way. */
struct attempt {
    const struct tool *t;
    struct ctl_words words; /* RAFT.ONCE, the token, the command */
    redisReply *token;      /* NULL: it has none yet */
    uint64_t deadline_ns;
    bool maybe; /* a copy of it may have been done, or may yet be */
    bool ended; /* the daemon has ended since, so that whoever answers now may be starting */
};

static uint32_t ms_left(const struct attempt *w)
{
    uint64_t now = ctl_now_ns();
    return now < w->deadline_ns ? (uint32_t)((w->deadline_ns - now) / 1000000) : 0;
}

static bool is_error(const redisReply *a, const char *prefix)
{
    const char *text;
    return a != NULL && a->type == REDIS_REPLY_ERROR &&
           strcmp(tool_errors[tool_error_of(a, &text)].prefix, prefix) == 0;
}

/* Gets a token, or sends the write with the one that it has. */
static enum ctl_outcome send_it(struct attempt *w, redisReply **a)
{
    static const struct ctl_words token = {1, {"RAFT.TOKEN"}, {sizeof "RAFT.TOKEN" - 1}};
    const struct ctl_call call = {.path = w->t->socket,
                                  .timeout_ms = ms_left(w) > 0 ? ms_left(w) : 1,
                                  .at_once = w->token == NULL};
    enum ctl_outcome outcome = ctl_call(&call, w->token == NULL ? &token : &w->words, a);
    if (w->token != NULL)
        w->maybe |= outcome == CTL_ANSWERED
                        ? is_error(*a, "UNKNOWN")
                        : outcome != CTL_NOT_RUNNING && outcome != CTL_NOT_TAKEN;
    else if (outcome == CTL_LOST || outcome == CTL_TIMEOUT)
        w->ended = true;
    /* A daemon that has no leader says so when the time is over; sooner only if it is stopping. */
    w->ended |= w->maybe || is_error(*a, "NOLEADER") ||
                (w->token != NULL && outcome == CTL_NOT_RUNNING);
    return outcome;
}

static void keep_token(struct attempt *w, redisReply *token)
{
    if (token->type != REDIS_REPLY_STATUS)
        must_be(token, REDIS_REPLY_STRING, 0);
    w->token = token;
    w->words.at[1] = token->str;
    w->words.len[1] = token->len;
}

static int say_unknown(const struct attempt *w)
{
    say_error("no answer within %g s: OUTCOME UNKNOWN: the write may or may not have happened; "
              "'raftctl outcome %s' tells later",
              w->t->timeout_ms / 1000.0, w->token->str);
    return RAFTCTL_EXIT_UNKNOWN;
}

/* It won't be sent any more. *a: the last answer, which is freed. */
static int give_up(const struct attempt *w, enum ctl_outcome outcome, redisReply **a)
{
    if (w->maybe && !is_error(*a, "CANTTELL")) {
        freeReplyObject(*a);
        *a = NULL;
        return say_unknown(w);
    }
    if (w->token == NULL && (outcome == CTL_LOST || outcome == CTL_TIMEOUT))
        outcome = CTL_NOT_TAKEN;
    return say_trouble(w->t, WRITES, outcome, a);
}

/* The cluster remembers that the write ended so. */
static bool ended_so(const struct attempt *w, const char *how)
{
    struct ctl_words ask = {
        2, {"RAFT.OUTCOME", w->token->str}, {strlen("RAFT.OUTCOME"), w->token->len}};
    const struct ctl_call call = {.path = w->t->socket, .timeout_ms = ms_left(w) + 1};
    redisReply *a = NULL;
    bool so = ctl_call(&call, &ask, &a) == CTL_ANSWERED && a->type == REDIS_REPLY_ARRAY &&
              a->elements == 2 && a->element[0]->str != NULL &&
              strcmp(a->element[0]->str, how) == 0;
    freeReplyObject(a);
    return so;
}

/* This refusal is the write's outcome, and not only what became of one copy. */
static bool is_outcome(const struct attempt *w, const redisReply *a)
{
    return is_error(a, "ERR value") || is_error(a, "ERR increment") ||
           (w->maybe && is_error(a, "FULL") && ended_so(w, "full"));
}

/* Sends it until it is answered. */
static int send_on(struct attempt *w, redisReply **a)
{
    for (;;) {
        enum ctl_outcome outcome = send_it(w, a);
        bool good = outcome == CTL_ANSWERED && (*a)->type != REDIS_REPLY_ERROR;
        if (good && w->token != NULL)
            return RAFTCTL_EXIT_OK;
        if (good) {
            keep_token(w, *a);
            continue;
        }
        if (is_outcome(w, *a))
            return say_trouble(w->t, WRITES, outcome, a);
        /* This node may know so little that its token was too old when it was made. */
        bool too_old = is_error(*a, "CANTTELL");
        bool again = too_old ? !w->maybe : w->ended;
        if (!again || ms_left(w) <= PAUSE_MS)
            return give_up(w, outcome, a);
        freeReplyObject(*a);
        if (too_old) {
            freeReplyObject(w->token);
            w->token = NULL;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL); /* a pause */
    }
}

int write_try(const struct tool *t, const struct ctl_words *command, redisReply **a)
{
    struct attempt w = {.t = t, .deadline_ns = ctl_now_ns() + t->timeout_ms * UINT64_C(1000000)};
    ctl_add_text(&w.words, "RAFT.ONCE");
    ctl_add_text(&w.words, ""); /* the place of the token */
    for (int i = 0; i < command->n; i++)
        ctl_add(&w.words, command->at[i], command->len[i]);
    int code = send_on(&w, a);
    if (code == RAFTCTL_EXIT_OK)
        must_be(*a, REDIS_REPLY_ARRAY, 3);
    freeReplyObject(w.token);
    return code;
}

redisReply *write_call(struct tool *t, const struct ctl_words *command)
{
    redisReply *a;
    int code = write_try(t, command, &a);
    if (code != RAFTCTL_EXIT_OK)
        tool_end(t, code);
    return a;
}

/* The array with an answer to RAFT.TXN that was told; NULL: it was a repetition, of which only the outcome
 * is. */
static const redisReply *told_by(const redisReply *a)
{
    const redisReply *own = a->element[2];
    return own->type == REDIS_REPLY_ARRAY && own->elements == 2 ? own : NULL;
}

bool txn_done(const redisReply *a)
{
    const redisReply *own = told_by(a);
    return own != NULL ? own->element[0]->integer > 0 : a->element[0]->integer > 0;
}

long long txn_unmet(const redisReply *a)
{
    const redisReply *own = told_by(a);
    return own != NULL ? own->element[1]->integer : -1;
}

const redisReply *txn_result(const redisReply *a, size_t i)
{
    const redisReply *own = told_by(a);
    return own != NULL && i < own->element[1]->elements ? own->element[1]->element[i] : NULL;
}
