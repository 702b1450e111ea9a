// LINK: raftd/tool/write.c raftd/tool/outcome.c raftd/tool/client.c raftd/tool/stdio.c @status @core @base raftd/base/clock.c tests/lib/say_heard.c -lhiredis -Wl,--wrap=ctl_call,--wrap=ctl_now_ns,--wrap=nanosleep
/* test_raftctl_write.c: a write that gets no answer is sent again with its token, and nothing is said of
 * it that may not be so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"
#include "tests/lib/say_heard.h"

enum { STEPS_MAX = 8, TIMEOUT_MS = 1000 };

/* What the daemon does with a call, and how long that takes. */
struct step {
    enum ctl_outcome outcome;
    const char *reply; /* as it comes from the socket */
    unsigned ms;
};

static const struct step *script;
static unsigned calls;
static uint64_t clock_ns;
static char sent_token[64];

uint64_t __wrap_ctl_now_ns(void)
{
    return clock_ns;
}

int __wrap_nanosleep(const struct timespec *pause, struct timespec *left)
{
    (void)left;
    clock_ns += (uint64_t)pause->tv_nsec;
    return 0;
}

void say_fatal(int code, const char *fmt, ...)
{
    (void)code;
    (void)fmt;
    abort();
}

static redisReply *reply_of(const char *text)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

/* The last step goes on for ever. Each copy is the same, and waits for what is left of the time. */
enum ctl_outcome __wrap_ctl_call(const struct ctl_call *call, const struct ctl_words *w,
                                 redisReply **reply)
{
    const struct step *s = script;
    bool token = w->n == 1;
    assert_true(call->timeout_ms <= TIMEOUT_MS);
    if (token) {
        assert_string_equal(w->at[0], "RAFT.TOKEN");
    } else if (w->n == 2) {
        assert_string_equal(w->at[0], "RAFT.OUTCOME");
        assert_string_equal(w->at[1], sent_token);
    } else {
        assert_int_equal(w->n, 5);
        assert_string_equal(w->at[0], "RAFT.ONCE");
        assert_string_equal(w->at[4], "value");
        (void)snprintf(sent_token, sizeof sent_token, "%.*s", (int)w->len[1], w->at[1]);
        assert_true(clock_ns / 1000000 + call->timeout_ms <= TIMEOUT_MS + 1);
    }
    if (script[1].ms != 0)
        script++;
    calls++;
    clock_ns += (uint64_t)s->ms * 1000000;
    *reply = s->reply != NULL ? reply_of(s->reply) : NULL;
    return s->outcome;
}

#define TOKEN(t)                                                                                   \
    {                                                                                              \
        CTL_ANSWERED, "$2\r\n" t "\r\n", 1                                                         \
    }
#define ERROR(text, ms)                                                                            \
    {                                                                                              \
        CTL_ANSWERED, "-" text "\r\n", ms                                                          \
    }
#define NONE(outcome, ms)                                                                          \
    {                                                                                              \
        outcome, NULL, ms                                                                          \
    }
#define OUTCOME(word)                                                                              \
    {                                                                                              \
        CTL_ANSWERED, "*2\r\n" word "\r\n:0\r\n", 1                                                \
    }
#define NO_OUTCOME                                                                                 \
    {                                                                                              \
        CTL_ANSWERED, "$-1\r\n", 1                                                                 \
    }
#define DONE                                                                                       \
    {                                                                                              \
        CTL_ANSWERED, "*3\r\n:7\r\n:0\r\n+OK\r\n", 1                                               \
    }

static int put(const struct step *steps)
{
    const struct tool t = {.socket = "/nowhere", .timeout_ms = TIMEOUT_MS};
    struct ctl_words w = {0};
    redisReply *a;
    ctl_add_text(&w, "SET");
    ctl_add_text(&w, "key");
    ctl_add_text(&w, "value");
    script = steps;
    calls = 0;
    clock_ns = 0;
    heard_forget();
    int code = write_try(&t, &w, &a);
    assert_int_equal(a != NULL, code == RAFTCTL_EXIT_OK);
    freeReplyObject(a);
    return code;
}

static void test_once(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int code;
        unsigned calls; /* 0: until its time is over */
        struct step steps[STEPS_MAX];
    } cases[] = {
        {"all is well", 0, 2, {TOKEN("T1"), DONE}},
        {"no daemon", 3, 1, {NONE(CTL_NOT_RUNNING, 1)}},
        {"a daemon that starts", 10, 1, {ERROR("LOADING reading", 1)}},
        {"refused", 7, 2, {TOKEN("T1"), ERROR("BUSY", 1)}},
        {"too large", 6, 2, {TOKEN("T1"), ERROR("TOOBIG too much", 1)}},
        {"no leader", 4, 2, {TOKEN("T1"), ERROR("NOLEADER", 999)}},
        {"it stops before it is sent, and is back",
         0,
         4,
         {TOKEN("T1"), ERROR("NOLEADER", 1), NONE(CTL_NOT_RUNNING, 1), DONE}},
        {"it stops before it is sent, and stays away",
         3,
         0,
         {TOKEN("T1"), ERROR("NOLEADER", 1), NONE(CTL_NOT_RUNNING, 1)}},
        {"killed, and back",
         0,
         6,
         {TOKEN("T1"), NONE(CTL_LOST, 1), NONE(CTL_NOT_RUNNING, 1), ERROR("LOADING reading", 1),
          ERROR("BUSY", 1), DONE}},
        {"killed, and stays away",
         5,
         0,
         {TOKEN("T1"), NONE(CTL_LOST, 1), NONE(CTL_NOT_RUNNING, 1)}},
        {"killed before it is sent, and back",
         0,
         6,
         {NONE(CTL_LOST, 1), NONE(CTL_NOT_RUNNING, 1), ERROR("LOADING reading", 1),
          ERROR("BUSY", 1), TOKEN("T1"), DONE}},
        {"killed before it is sent, and stays away",
         3,
         0,
         {NONE(CTL_LOST, 1), NONE(CTL_NOT_RUNNING, 1)}},
        {"it hangs before it is sent", 7, 1, {NONE(CTL_TIMEOUT, 2000)}},
        {"killed, then full", 5, 0, {TOKEN("T1"), NONE(CTL_LOST, 1), ERROR("BUSY", 1)}},
        {"killed, and it is no number",
         12,
         3,
         {TOKEN("T1"), NONE(CTL_LOST, 1), ERROR("ERR value is not an integer or out of range", 1)}},
        {"killed, and the data were full",
         7,
         4,
         {TOKEN("T1"), NONE(CTL_LOST, 1), ERROR("FULL", 1), OUTCOME("$4\r\nfull")}},
        {"killed, and the data are full for the second copy",
         0,
         5,
         {TOKEN("T1"), NONE(CTL_LOST, 1), ERROR("FULL", 1), NO_OUTCOME, DONE}},
        {"it stops", 0, 3, {TOKEN("T1"), ERROR("UNKNOWN", 1), DONE}},
        {"no answer in time", 5, 2, {TOKEN("T1"), ERROR("UNKNOWN", 999)}},
        {"it hangs", 5, 2, {TOKEN("T1"), NONE(CTL_TIMEOUT, 2000)}},
        {"nonsense", 5, 0, {TOKEN("T1"), NONE(CTL_NONSENSE, 1)}},
        {"forgotten meanwhile", 16, 3, {TOKEN("T1"), NONE(CTL_LOST, 1), ERROR("CANTTELL", 1)}},
        {"born too old", 0, 4, {TOKEN("T1"), ERROR("CANTTELL", 1), TOKEN("T2"), DONE}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int code = put(cases[i].steps);
        if (code != cases[i].code || (cases[i].calls != 0 && calls != cases[i].calls))
            fail_msg("%s: exit %d after %u calls", cases[i].what, code, calls);
        if (cases[i].calls == 0 && (clock_ns < 900000000 || calls < 5))
            fail_msg("%s: gave up after %u calls", cases[i].what, calls);
        if (code == RAFTCTL_EXIT_UNKNOWN)
            heard_is(1, 0, 0, "raftctl outcome T1");
    }
}

/* Only where nothing can have been done a new token is taken. */
static void test_token(void **state)
{
    (void)state;
    static const struct step lost[] = {TOKEN("T1"), NONE(CTL_LOST, 1), DONE, {0}};
    static const struct step old[] = {TOKEN("T1"), ERROR("CANTTELL", 1), TOKEN("T2"), DONE, {0}};
    assert_int_equal(put(lost), RAFTCTL_EXIT_OK);
    assert_string_equal(sent_token, "T1");
    assert_int_equal(put(old), RAFTCTL_EXIT_OK);
    assert_string_equal(sent_token, "T2");
}

static void test_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool done;
        long long unmet;
        bool told;
    } cases[] = {
        {"*3\r\n:7\r\n:0\r\n*2\r\n:7\r\n*1\r\n:42\r\n", true, 0, true},
        {"*3\r\n:7\r\n:1\r\n$-1\r\n", true, -1, false},
        {"*3\r\n:0\r\n:0\r\n*2\r\n:0\r\n:3\r\n", false, 3, false},
        {"*3\r\n:0\r\n:1\r\n$-1\r\n", false, -1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        redisReply *a = reply_of(cases[i].answer);
        assert_int_equal(txn_done(a), cases[i].done);
        if (!cases[i].done)
            assert_true(txn_unmet(a) == cases[i].unmet);
        const redisReply *told = cases[i].done ? txn_result(a, 0) : NULL;
        assert_int_equal(told != NULL, cases[i].told);
        assert_true(told == NULL || told->integer == 42);
        assert_true(!cases[i].done || txn_result(a, 1) == NULL);
        freeReplyObject(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
