// LINK: raftd/tool/events.c raftd/tool/events_run.c raftd/tool/hooks.c raftd/tool/child.c raftd/tool/fold.c raftd/tool/trust.c raftd/tool/stdio.c raftd/base/clock.c raftd/base/event.c raftd/base/json.c raftd/base/num.c raftd/base/say.c -lhiredis
/* test_raftctl_events.c: over one connection after the other, each event is told once, and each break,
 * too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/exits.h"
#include "raftd/tool/events.h"

/* ---- the daemon ---- */

/* What it says on each connection, a word for each value; "refuse": there is none, "closed": for nobody.
 * Behind that it ends. */
static const char *const *connections;
static char asked[256]; /* the commands, each with a blank behind it */
static const char *says;
static redisReader *reader;
static uint64_t now_ns;

/* Time goes by fast. */
uint64_t ctl_now_ns(void)
{
    return now_ns += 1000000000;
}

void ctl_add_text(struct ctl_words *w, const char *text)
{
    w->at[w->n] = text;
    w->len[w->n++] = strlen(text);
}

enum ctl_outcome ctl_open(struct ctl *c, const char *path, uint64_t deadline_ns)
{
    (void)path;
    (void)deadline_ns;
    *c = (struct ctl){.fd = -1};
    says = *connections++;
    assert_non_null(says);
    errno = strcmp(says, "refuse") == 0 ? ECONNREFUSED : EACCES;
    if (strcmp(says, "refuse") == 0 || strcmp(says, "closed") == 0)
        return CTL_NOT_RUNNING;
    c->fd = 5;
    reader = redisReaderCreate();
    assert_non_null(reader);
    return CTL_ANSWERED;
}

enum ctl_outcome ctl_send(struct ctl *c, const struct ctl_words *w, uint64_t deadline_ns)
{
    size_t len = strlen(asked);
    (void)c;
    (void)deadline_ns;
    for (int i = 0; i < w->n; i++)
        len += (size_t)snprintf(asked + len, sizeof asked - len, "%.*s ", (int)w->len[i], w->at[i]);
    return CTL_ANSWERED;
}

/* The next word as RESP: "-A_B" is an error, "OK" that, "wait": nothing yet, and "SEQ/KIND[/STATE]" an
 * event. */
enum ctl_outcome ctl_receive(struct ctl *c, redisReply **reply, uint64_t deadline_ns)
{
    char resp[256], word[64], kind[32];
    unsigned seq, n = 0;
    int used = 0;
    (void)c;
    (void)deadline_ns;
    *reply = NULL;
    if (sscanf(says, "%63s%n", word, &used) != 1)
        return CTL_LOST;
    says += used;
    if (strcmp(word, "wait") == 0)
        return CTL_TIMEOUT;
    if (sscanf(word, "%u/%31[^/]/%u", &seq, kind, &n) >= 2)
        snprintf(resp, sizeof resp,
                 "*10\r\n$5\r\nevent\r\n:%u\r\n:12345678\r\n:3\r\n$%zu\r\n%s\r\n$8\r\nfollower\r\n"
                 ":2\r\n:%u\r\n:%u\r\n$%u\r\n%s\r\n",
                 seq, strlen(kind), kind, kind[0] == 'm' ? 9U : 0, n, kind[0] == 'd' ? 2U : 0,
                 kind[0] == 'd' ? "so" : "");
    else
        snprintf(resp, sizeof resp, "%s%s\r\n", *word == '-' ? "" : "+", word);
    assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, (void **)reply), REDIS_OK);
    return CTL_ANSWERED;
}

void ctl_close(struct ctl *c)
{
    if (reader != NULL)
        redisReaderFree(reader);
    reader = NULL;
    c->fd = -1;
}

/* ---- the rest of raftctl ---- */

static unsigned settles;                  /* so often what is refused may be allowed in a moment */
static unsigned missed[CTL_NONSENSE + 1]; /* tries that ended so */

void retry_missed(struct retry *r, const char *path, enum ctl_outcome outcome)
{
    (void)path;
    r->fd = 6;
    missed[outcome]++;
}

bool retry_due(struct retry *r)
{
    (void)r;
    return true;
}

void retry_wait(struct retry *r, uint64_t deadline_ns)
{
    (void)r;
    (void)deadline_ns;
}

bool retry_settles(const struct retry *r)
{
    (void)r;
    return settles > 0 && settles-- > 0;
}

void retry_end(struct retry *r)
{
    *r = RETRY_NOW;
}

static jmp_buf end;
static int exit_code;

const struct tool_error tool_errors[TOOL_ERRORS] = {
    {"BUSY", "", RAFTCTL_EXIT_BUSY, ""},
    {"ERR", "", RAFTCTL_EXIT_INTERNAL, ""},
};

unsigned tool_error_of(const redisReply *error, const char **text)
{
    *text = "";
    return strcmp(error->str, "BUSY") != 0;
}

int say_trouble(const struct tool *t, enum asked how, enum ctl_outcome outcome, redisReply **a)
{
    const char *text;
    (void)t;
    (void)how;
    int code = outcome == CTL_ANSWERED ? tool_errors[tool_error_of(*a, &text)].exit
                                       : RAFTCTL_EXIT_NOT_RUNNING;
    freeReplyObject(*a);
    *a = NULL;
    return code;
}

_Noreturn void tool_end(struct tool *t, int code)
{
    (void)t;
    exit_code = code;
    longjmp(end, 1);
}

/* ---- tests ---- */

struct row {
    const char *since; /* of --since, or NULL */
    const char *connections[6];
    const char *asked;
    const char *told; /* each line as SEQ KIND[*], and a comma */
    int code;
};

static void run_until_end(struct tool *t, const struct args *args)
{
    if (setjmp(end) == 0)
        run_events(t, args);
}

static char *printed_by(const struct row *row, unsigned flags)
{
    char since[24], *printed;
    size_t len;
    struct tool t = {.timeout_ms = 1000};
    struct args args = {.flags = flags};
    t.out.file = open_memstream(&printed, &len);
    connections = row->connections;
    asked[0] = '\0';
    if (row->since != NULL) {
        snprintf(since, sizeof since, "%s", row->since);
        args.flags |= ARG_SINCE;
        args.values[VALUE_SINCE] = (struct word){since, strlen(since)};
    }
    run_until_end(&t, &args);
    fclose(t.out.file);
    assert_string_equal(asked, row->asked);
    assert_int_equal(exit_code, row->code);
    return printed;
}

static void check(const struct row *row)
{
    char *printed = printed_by(row, 0), told[512] = "";
    size_t len = 0;
    for (char *line = strtok(printed, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char kind[32];
        unsigned seq;
        assert_int_equal(sscanf(line, "%u %*f 3 %31s", &seq, kind), 2);
        len += (size_t)snprintf(told + len, sizeof told - len, "%u %s%s,", seq, kind,
                                strstr(line, " state=1") != NULL ? "*" : "");
    }
    assert_string_equal(told, row->told);
    free(printed);
}

#define ASKS     "RAFT.EVENTS "
#define SINCE(n) "RAFT.EVENTS SINCE " #n " "

static void test_follow(void **state)
{
    static const struct row rows[] = {
        /* The connection ends alone: it goes on behind what was told, without a word. */
        {NULL,
         {"OK 0/leader-lost/2 7/healed/1 8/disk-full", "OK 9/disk-ok", "-ERR"},
         ASKS SINCE(8) SINCE(9),
         "0 leader-lost*,7 healed*,8 disk-full,9 disk-ok,",
         RAFTCTL_EXIT_INTERNAL},
        /* It ends in the middle of the state: all of that is told again. */
        {NULL,
         {"OK 0/leader-lost/3 0/quorum-lost/2", "OK 0/leader-lost/2 7/quorum-back/1", "-ERR"},
         ASKS ASKS SINCE(7),
         "0 leader-lost*,0 quorum-lost*,0 leader-lost*,7 quorum-back*,",
         RAFTCTL_EXIT_INTERNAL},
        /* The daemon ends: that is said once; and it comes again. */
        {NULL,
         {"OK 7/healed/1", "refuse", "refuse", "OK 7/restarted 7/leader-lost/2 90/healed/1",
          "refuse", "-ERR"},
         ASKS SINCE(7) SINCE(90),
         "7 healed*,7 daemon-gone,7 restarted,7 leader-lost*,90 healed*,90 daemon-gone,",
         RAFTCTL_EXIT_INTERNAL},
        /* It takes no more clients now. */
        {"5",
         {"OK 6/disk-ok", "-BUSY", "-BUSY", "OK 7/disk-ok", "-ERR"},
         SINCE(5) SINCE(6) SINCE(6) SINCE(6) SINCE(7),
         "6 disk-ok,7 disk-ok,",
         RAFTCTL_EXIT_INTERNAL},
        /* There is none at the beginning, or not for us. */
        {NULL,
         {"refuse", "-BUSY", "OK 3/healed", "closed", "closed"},
         ASKS ASKS,
         "3 healed,3 daemon-gone,",
         RAFTCTL_EXIT_NOT_RUNNING},
        {NULL, {"closed"}, "", "", RAFTCTL_EXIT_NOT_RUNNING},
        {NULL, {"-ERR"}, ASKS, "", RAFTCTL_EXIT_INTERNAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i]);
}

/* Who does not wait for a daemon ends if there is none; who has no time gets what is there. */
static void test_next(void **state)
{
    static const char *const none[] = {"refuse", NULL}, *const some[] = {"OK wait 3/healed wait"};
    struct tool t = {.timeout_ms = 1000};
    struct events e = {.t = &t, .c.fd = -1, .retry = RETRY_NOW};
    struct event event;
    bool is;
    (void)state;
    connections = none;
    assert_int_equal(events_next(&e, &event, 0, &is), RAFTCTL_EXIT_NOT_RUNNING);
    assert_false(is);
    connections = some;
    e = (struct events){.t = &t, .c.fd = -1, .retry = RETRY_NOW};
    assert_int_equal(events_next(&e, &event, 0, &is), RAFTCTL_EXIT_OK);
    assert_true(!is && e.c.fd == 5);
    assert_int_equal(events_next(&e, &event, 0, &is), RAFTCTL_EXIT_OK);
    assert_true(is && event.kind == EVENT_HEALED && e.since == 3);
    assert_int_equal(events_next(&e, &event, 0, &is), RAFTCTL_EXIT_OK);
    assert_false(is);
    events_end(&e);
    assert_int_equal(e.c.fd, -1);
}

/* A daemon that starts sets the rights of its socket a moment after it has made it. What tells of its coming
 * is kept while it is away, and no longer. */
static void test_settles(void **state)
{
    static const char *const some[] = {"refuse", "closed", "closed", "OK 3/healed",
                                       "refuse", "closed", NULL};
    struct tool t = {.timeout_ms = 1000};
    struct events e = {.t = &t, .waits = true, .c.fd = -1, .retry = RETRY_NOW};
    struct event event;
    bool is;
    (void)state;
    connections = some;
    settles = 2;
    memset(missed, 0, sizeof missed);
    assert_int_equal(events_next(&e, &event, 0, &is), RAFTCTL_EXIT_OK);
    assert_true(is && event.kind == EVENT_HEALED && e.retry.fd == -1);
    assert_int_equal(missed[CTL_NOT_RUNNING], 3);
    assert_int_equal(events_next(&e, &event, 0, &is), RAFTCTL_EXIT_OK);
    assert_true(is && event.kind == EVENT_DAEMON_GONE && e.retry.fd == 6);
    assert_true(missed[CTL_NOT_RUNNING] == 4 && missed[CTL_LOST] == 1);
    assert_int_equal(events_next(&e, &event, 0, &is), RAFTCTL_EXIT_NOT_RUNNING);
    assert_int_equal(e.retry.fd, -1);
}

static void test_print(void **state)
{
    static const struct row row = {NULL,
                                   {"OK 7/member-silent/1 8/disk-full", "-ERR"},
                                   ASKS SINCE(8),
                                   NULL,
                                   RAFTCTL_EXIT_INTERNAL};
    (void)state;
    char *printed = printed_by(&row, 0);
    assert_string_equal(printed, "7 12.345 3 member-silent role=follower leader=2 node=9 state=1\n"
                                 "8 12.345 3 disk-full role=follower leader=2 why=so\n");
    free(printed);
    printed = printed_by(&row, ARG_JSON);
    assert_string_equal(printed,
                        "{\"seq\":\"7\",\"boot_us\":\"12345678\",\"term\":\"3\","
                        "\"event\":\"member-silent\",\"role\":\"follower\",\"leader\":2,\"node\":9,"
                        "\"state\":1,\"why\":\"\"}\n"
                        "{\"seq\":\"8\",\"boot_us\":\"12345678\",\"term\":\"3\","
                        "\"event\":\"disk-full\",\"role\":\"follower\",\"leader\":2,\"node\":0,"
                        "\"state\":0,\"why\":\"so\"}\n");
    free(printed);
}

/* What is no event is not taken for one. */
static void test_read(void **state)
{
    static const char *const none[] = {
        "+OK",
        "*0",
        "*1 +event",
        ":5",
        "$-1",
        "*10 $5 event :1 :2 :3 $4 none $1 x :1 :2 :3 $0 ",           /* no kind */
        "*10 $5 event :1 :2 :3 $7 disk-ok :1 :1 :2 :3 $0 ",          /* a number for a word */
        "*10 $5 event :1 $1 2 :3 $7 disk-ok $1 x :1 :2 :3 $0 ",      /* a word for a number */
        "*9 $5 event :1 :2 :3 $7 disk-ok $1 x :1 :2 :3",             /* one is missing */
        "*10 $5 event :1 :2 :3 $7 disk-ok $1 x :65536 :2 :3 $0 ",    /* no id is so large */
        "*10 $5 event :-1 :2 :3 $7 disk-ok $1 x :1 :2 :3 $0 ",       /* no number is below 0 */
        "*10 $5 event :1 :2 :3 $7 disk-ok $1 \n :1 :2 :3 $0 ",       /* another line */
        "*10 $5 event :1 :2 :3 $7 disk-ok $1 x :1 :2 :3 $3 \033[J ", /* for a terminal */
        "*10 $5 event :1 :2 :3 $7 disk-ok $1 x :65535 :2 :3 $1 ~ ",  /* this one is an event */
    };
    const size_t rows = sizeof none / sizeof none[0];
    struct event e;
    (void)state;
    for (size_t i = 0; i < rows; i++) {
        redisReader *r = redisReaderCreate();
        redisReply *a = NULL;
        for (const char *p = none[i];; p++) {
            const char *c = *p == ' ' ? "\r\n" : p;
            if (*p == '\0')
                c = "\r\n";
            redisReaderFeed(r, c, *c == '\r' ? 2 : 1);
            if (*p == '\0')
                break;
        }
        assert_int_equal(redisReaderGetReply(r, (void **)&a), REDIS_OK);
        assert_non_null(a);
        assert_int_equal(event_read(a, &e), i == rows - 1);
        freeReplyObject(a);
        redisReaderFree(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follow), cmocka_unit_test(test_next), cmocka_unit_test(test_settles),
        cmocka_unit_test(test_print),  cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
