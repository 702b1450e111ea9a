// LINK: raftd/tool/watch.c raftd/tool/child.c raftd/base/clock.c raftd/tool/print.c raftd/tool/stdio.c raftd/base/json.c raftd/base/num.c raftd/base/say.c -lhiredis
/* test_raftctl_watch.c: over one connection after the other, each change is printed once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"
#include "raftd/tool/retry.h"

/* ---- the daemon ---- */

/* What it says on each connection, a word for each value; "refuse": there is none. Behind that it ends. */
static const char *const *connections;
static char asked[256]; /* the commands, each with a blank behind it */
static const char *says;
static redisReader *reader;

uint64_t ctl_now_ns(void)
{
    return 1;
}

void ctl_add(struct ctl_words *w, const void *bytes, size_t len)
{
    w->at[w->n] = bytes;
    w->len[w->n++] = len;
}

void ctl_add_text(struct ctl_words *w, const char *text)
{
    ctl_add(w, text, strlen(text));
}

enum ctl_outcome ctl_open(struct ctl *c, const char *path, uint64_t deadline_ns)
{
    (void)path;
    (void)deadline_ns;
    *c = (struct ctl){.fd = -1};
    says = *connections++;
    assert_non_null(says);
    if (strcmp(says, "refuse") == 0)
        return CTL_NOT_RUNNING;
    reader = redisReaderCreate();
    assert_non_null(reader);
    return CTL_ANSWERED;
}

enum ctl_outcome ctl_send(struct ctl *c, const struct ctl_words *w, uint64_t deadline_ns)
{
    size_t len = strlen(asked);
    (void)c;
    (void)deadline_ns;
    for (int i = 1; i < w->n; i++)
        len += (size_t)snprintf(asked + len, sizeof asked - len, "%.*s ", (int)w->len[i], w->at[i]);
    return CTL_ANSWERED;
}

/* The next word as RESP: "-A_B" is an error, a number is one, and "REVISION/KIND/KEY/VALUE/MORE" a change. */
enum ctl_outcome ctl_receive(struct ctl *c, redisReply **reply, uint64_t deadline_ns)
{
    char resp[256], word[64], kind[16], key[16], value[16];
    unsigned revision, more;
    int used = 0;
    (void)c;
    (void)deadline_ns;
    *reply = NULL;
    if (sscanf(says, "%63s%n", word, &used) != 1)
        return CTL_LOST;
    says += used;
    if (sscanf(word, "%u/%15[^/]/%15[^/]/%15[^/]/%u", &revision, kind, key, value, &more) == 5)
        snprintf(resp, sizeof resp, "*6\r\n+change\r\n:%u\r\n+%s\r\n+%s\r\n%s%s\r\n:%u\r\n",
                 revision, kind, key, *value == '-' ? "$-1" : "+", *value == '-' ? "" : value,
                 more);
    else
        snprintf(resp, sizeof resp, "%s%s\r\n", *word == '-' ? "" : ":", word);
    assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, (void **)reply), REDIS_OK);
    for (size_t i = 0; i < (*reply)->elements; i++)
        if ((*reply)->element[i]->type == REDIS_REPLY_STATUS)
            (*reply)->element[i]->type = REDIS_REPLY_STRING;
    return CTL_ANSWERED;
}

void ctl_close(struct ctl *c)
{
    (void)c;
    if (reader != NULL)
        redisReaderFree(reader);
    reader = NULL;
}

/* ---- the rest of raftctl ---- */

static char missed[64]; /* how tries ended, a digit for each */

void retry_missed(struct retry *r, const char *path, enum ctl_outcome outcome)
{
    size_t len = strlen(missed);
    (void)path;
    assert_true(len + 1 < sizeof missed);
    missed[len] = (char)('0' + outcome);
    r->fd = 6;
}

void retry_wait(struct retry *r, uint64_t deadline_ns)
{
    assert_true(r->fd == 6 && deadline_ns == UINT64_MAX);
}

void retry_end(struct retry *r)
{
    *r = RETRY_NOW;
}

static jmp_buf end;
static int exit_code;

const struct tool_error tool_errors[TOOL_ERRORS] = {
    {"COMPACTED", "", RAFTCTL_EXIT_COMPACTED, ""},
    {"NOTYET", "", RAFTCTL_EXIT_NOT_YET, ""},
};

unsigned tool_error_of(const redisReply *error, const char **text)
{
    *text = "";
    return strcmp(error->str, "NOTYET") == 0;
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

void must_be(const redisReply *a, int type, size_t elements)
{
    assert_true(a->type == type && a->elements >= elements);
}

void add_key(struct ctl_words *w, const char *key, size_t len)
{
    ctl_add(w, key, len);
}

/* GET: the value is never as it is waited for. */
int tool_ask(const struct tool *t, const struct question *q, redisReply **a)
{
    (void)t;
    (void)q;
    *a = NULL;
    return RAFTCTL_EXIT_NO_LEADER;
}

/* ---- tests ---- */

struct row {
    const char *revision; /* of -r, or NULL */
    const char *connections[6];
    const char *asked, *printed;
    int code;
};

static void run_until_end(struct tool *t, const struct args *args)
{
    if (setjmp(end) == 0)
        run_watch(t, args);
}

static void check(const struct row *row)
{
    char prefix[] = "p", revision[8], *printed;
    size_t len;
    struct tool t = {.timeout_ms = 1000};
    struct args args = {.n_words = 1, .words = {{prefix, 1}}};
    t.out.file = open_memstream(&printed, &len);
    connections = row->connections;
    asked[0] = '\0';
    if (row->revision != NULL) {
        snprintf(revision, sizeof revision, "%s", row->revision);
        args.flags = ARG_REVISION;
        args.values[VALUE_REVISION] = (struct word){revision, strlen(revision)};
    }
    run_until_end(&t, &args);
    fclose(t.out.file);
    assert_string_equal(printed, row->printed);
    assert_string_equal(asked, row->asked);
    assert_int_equal(exit_code, row->code);
    free(printed);
}

static void test_watch(void **state)
{
    static const struct row rows[] = {
        {NULL,
         {"5 5/put/a/x/0 7/del/a/-/0 9/expire/b/-/0", "10 11/put/a/y/0 -COMPACTED"},
         "p p FROM 10 ",
         "5 put a x\n7 del a\n9 expire b\n11 put a y\n",
         RAFTCTL_EXIT_COMPACTED},
        /* The connection ends in the middle of a revision, and again before it is told so far. */
        {NULL,
         {"5 6/put/a/1/1 6/put/b/2/1", "6 6/put/a/1/1", "6 6/put/a/1/1 6/put/b/2/1 6/put/c/3/0",
          "7 8/put/a/4/1", "8 8/put/a/4/1 8/put/b/5/0 9/put/a/6/0", "-COMPACTED"},
         "p p FROM 6 p FROM 6 p FROM 7 p FROM 8 p FROM 10 ",
         "6 put a 1\n6 put b 2\n6 put c 3\n8 put a 4\n8 put b 5\n9 put a 6\n",
         RAFTCTL_EXIT_COMPACTED},
        {"12",
         {"12 13/put/a/1/0", "refuse", "-NOTYET", "14 -COMPACTED"},
         "p FROM 12 p FROM 14 p FROM 14 ",
         "13 put a 1\n",
         RAFTCTL_EXIT_COMPACTED},
        {"12", {"-COMPACTED"}, "p FROM 12 ", "", RAFTCTL_EXIT_COMPACTED},
        {NULL, {"refuse"}, "", "", RAFTCTL_EXIT_NOT_RUNNING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_watch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
