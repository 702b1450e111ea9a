// LINK: raftd/tool/wait.c @status @core @base raftd/base/say.c
/* test_raftctl_wait.c: when a wait ends, and how, by what events and answers come meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/tool/events.h"

enum { MS = 1000000, BOOT_US = 1000000000 };

/* What happens, one after the other; then time passes until nobody waits any more. */
struct step {
    const char *status;   /* what the daemon answers from then on; NULL: as before; "": nothing */
    uint32_t after_ms;    /* the step before */
    enum event_kind kind; /* EVENT_KINDS: no event comes, only that answer changes */
    uint16_t leader, state;
    int read; /* exit code of reads through the leader from then on */
};

enum { START_MS = 7, TIMEOUT_MS = 1000 };

static const struct step *steps;
static unsigned n_steps;
static uint64_t now_ms, step_ms; /* step: the last one that was taken */
static const char *status;
static int read_code, key_code;
static unsigned looks; /* at the status */
static jmp_buf end;
static int exit_code;

/* ---- the rest of raftctl ---- */

uint64_t ctl_now_ns(void)
{
    return now_ms * MS;
}

uint64_t clock_us(void)
{
    return BOOT_US + now_ms * 1000;
}

void ctl_add_text(struct ctl_words *w, const char *text)
{
    w->at[w->n] = text;
    w->len[w->n++] = strlen(text);
}

int events_next(struct events *e, struct event *event, uint64_t deadline_ns, bool *is)
{
    assert_true(e->waits);
    *is = false;
    while (n_steps > 0 && (step_ms + steps->after_ms) * MS <= deadline_ns) {
        const struct step *s = steps++;
        n_steps--;
        step_ms += s->after_ms;
        now_ms = step_ms > now_ms ? step_ms : now_ms;
        status = s->status != NULL ? s->status : status;
        read_code = s->read;
        if (s->kind == EVENT_KINDS)
            continue;
        *event = (struct event){
            .kind = s->kind, .leader = s->leader, .state = s->state, .role = "follower", .why = ""};
        *is = true;
        return RAFTCTL_EXIT_OK;
    }
    now_ms = deadline_ns / MS;
    return RAFTCTL_EXIT_OK;
}

void events_end(struct events *e)
{
    e->c.fd = -1;
}

/* The status as if it had been asked for now: "heard N" is the age of member 3 in ms, "silent N" the same of
 * one that is. */
static char *text_of(const char *words)
{
    char *text, word[16];
    size_t len;
    unsigned n;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    fprintf(f, "id=1\nhealth=ok\n");
    for (int used; sscanf(words, "%15s %u%n", word, &n, &used) == 2; words += used) {
        if (strcmp(word, "leader") == 0)
            fprintf(f, "leader=%u\n", n);
        else if (strcmp(word, "joining") == 0 || strcmp(word, "voter") == 0)
            fprintf(f, "member.%u.standing=%s\n", n, word);
        else if (strcmp(word, "silent") == 0)
            fprintf(f, "peer.3.last_heard_ms=%u\npeer.3.loss_in_permille=1000\n", n);
        else if (strcmp(word, "heard") == 0)
            fprintf(f, "peer.3.last_heard_ms=%u\npeer.3.loss_in_permille=-1\n", n);
        else if (strcmp(word, "health") == 0)
            fprintf(f, "health=%s\ndisk_full=%d\n", health_name((enum health)n),
                    n == HEALTH_DISK_FULL);
        else
            fail_msg("%s", word);
    }
    fclose(f);
    return text;
}

int tool_ask(const struct tool *t, const struct question *q, redisReply **a)
{
    *a = NULL;
    assert_in_range(t->timeout_ms, 1, TIMEOUT_MS + 1);
    if (strcmp(q->words.at[0], "EXISTS") == 0)
        return read_code;
    assert_string_equal(q->words.at[0], "RAFT.STATUS");
    looks++;
    if (status[0] == '\0')
        return RAFTCTL_EXIT_NOT_RUNNING;
    *a = calloc(1, sizeof **a);
    assert_non_null(*a);
    (*a)->str = text_of(status);
    return RAFTCTL_EXIT_OK;
}

void freeReplyObject(void *reply)
{
    redisReply *a = reply;
    if (a != NULL)
        free(a->str);
    free(a);
}

int tool_status(const struct tool *t, struct status *s)
{
    char *text = text_of(status);
    (void)t;
    status_read(s, text, clock_us());
    free(text);
    return status[0] != '\0' ? RAFTCTL_EXIT_OK : RAFTCTL_EXIT_NOT_RUNNING;
}

int wait_for_key(struct tool *t, const struct word *key, const struct word *value)
{
    (void)t;
    assert_memory_equal(key->at, "k", key->len);
    assert_true(value->at == NULL || (value->len == 1 && value->at[0] == 'v'));
    return key_code;
}

_Noreturn void tool_end(struct tool *t, int code)
{
    (void)t;
    exit_code = code;
    longjmp(end, 1);
}

/* ---- tests ---- */

static void run_until_end(struct tool *t, const struct args *args)
{
    if (setjmp(end) == 0)
        run_wait(t, args);
}

/* Waits for `words`, and requires that exit code after so many ms. Returns what is printed, to be freed. */
static char *waits(const char *words, const struct step *first, unsigned n, int code, unsigned ms)
{
    char line[64], *printed;
    size_t len;
    struct tool t = {.timeout_ms = TIMEOUT_MS};
    struct args args = {.n_words = 0};
    snprintf(line, sizeof line, "%s", words);
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " "))
        args.words[args.n_words++] = (struct word){word, strlen(word)};
    t.out.file = open_memstream(&printed, &len);
    steps = first;
    n_steps = n;
    now_ms = step_ms = START_MS;
    status = "";
    looks = 0;
    exit_code = -1;
    run_until_end(&t, &args);
    fclose(t.out.file);
    assert_int_equal(exit_code, code);
    assert_int_equal(now_ms, START_MS + ms);
    return printed;
}
#define WAITS(words, code, ms, ...)                                                                \
    do {                                                                                           \
        const struct step all[] = {__VA_ARGS__};                                                   \
        free(waits(words, all, sizeof all / sizeof all[0], code, ms));                             \
    } while (0)

#define NONE(...)                                                                                  \
    {                                                                                              \
        .kind = EVENT_KINDS, __VA_ARGS__                                                           \
    }
#define LEADS(id, ...)                                                                             \
    {                                                                                              \
        .kind = EVENT_LEADER_CHANGED, .leader = id, __VA_ARGS__                                    \
    }
#define OTHER(id, ...)                                                                             \
    {                                                                                              \
        .kind = EVENT_DISK_OK, .leader = id, __VA_ARGS__                                           \
    }
#define GONE(...)                                                                                  \
    {                                                                                              \
        .kind = EVENT_DAEMON_GONE, __VA_ARGS__                                                     \
    }
#define NOT_YET_THERE RAFTCTL_EXIT_NO_LEADER

static void test_leader(void **state)
{
    const struct step some[] = {LEADS(0, .state = 1, .status = "leader 0"),
                                LEADS(5, .after_ms = 30)};
    (void)state;
    char *printed = waits("leader", some, 2, RAFTCTL_EXIT_OK, 30);
    assert_string_equal(printed, "leader=5\n");
    free(printed);
    /* What was so before the whole state is told does not count. */
    WAITS("leader", RAFTCTL_EXIT_OK, 20, LEADS(5, .state = 3), LEADS(5, .state = 2),
          LEADS(5, .state = 1, .after_ms = 20));
    WAITS("leader", RAFTCTL_EXIT_NO_LEADER, TIMEOUT_MS, NONE(.status = "leader 0"));
    WAITS("leader", RAFTCTL_EXIT_NOT_RUNNING, TIMEOUT_MS, GONE(0));
    WAITS("leader", RAFTCTL_EXIT_NOT_YET, TIMEOUT_MS, NONE(.status = "health 9"));
}

static void test_caught_up(void **state)
{
    (void)state;
    WAITS("caught-up", RAFTCTL_EXIT_OK, 15, LEADS(0, .state = 1),
          LEADS(2, .read = NOT_YET_THERE, .after_ms = 10), OTHER(2, .after_ms = 5));
    WAITS("caught-up", RAFTCTL_EXIT_NO_LEADER, TIMEOUT_MS,
          LEADS(2, .status = "leader 2", .read = NOT_YET_THERE));
    WAITS("caught-up", RAFTCTL_EXIT_USAGE, 0,
          LEADS(2, .status = "leader 2", .read = RAFTCTL_EXIT_USAGE));
    WAITS("writable", RAFTCTL_EXIT_OK, 9, LEADS(2, .status = "leader 2 health 4"),
          OTHER(2, .status = "leader 2 health 1", .after_ms = 9));
    WAITS("k", RAFTCTL_EXIT_OK, 0, LEADS(2, 0));
    WAITS("k=v", RAFTCTL_EXIT_OK, 0, LEADS(2, 0));
    key_code = RAFTCTL_EXIT_LOST;
    WAITS("k=v", RAFTCTL_EXIT_NO_KEY, TIMEOUT_MS, LEADS(2, .status = "leader 2"));
    key_code = RAFTCTL_EXIT_OK;
}

/* Node 1 is asked, by whom 3 is awaited. */
static void test_member(void **state)
{
    (void)state;
    /* It is there, and was heard since. */
    WAITS("member 3", RAFTCTL_EXIT_OK, 60,
          LEADS(2, .state = 1, .status = "voter 3 heard 5", .after_ms = 60));
    assert_int_equal(looks, 1);
    WAITS("member 1", RAFTCTL_EXIT_OK, 0, LEADS(2, .state = 1, .status = "voter 1"));
    /* Something came from it before, but not yet since: soon it will, or it is known to be silent. */
    WAITS("member 3", RAFTCTL_EXIT_OK, 400, LEADS(2, .state = 1, .status = "voter 3 heard 0"),
          NONE(.status = "voter 3 heard 1500", .after_ms = 1),
          NONE(.status = "voter 3 heard 50", .after_ms = 300));
    assert_int_equal(looks, 3);
    WAITS("member 3", RAFTCTL_EXIT_NO_KEY, TIMEOUT_MS,
          LEADS(2, .state = 1, .status = "voter 3 heard 2000"),
          NONE(.status = "voter 3 silent 3000", .after_ms = 500));
    assert_in_range(looks, 4, 5); /* then nobody asks: its return is told */
    WAITS("member 3", RAFTCTL_EXIT_OK, 900, LEADS(2, .state = 1, .status = "voter 3 heard 2000"),
          NONE(.status = "voter 3 silent 3000", .after_ms = 500),
          {.kind = EVENT_MEMBER_BACK, .status = "voter 3 heard 1", .after_ms = 400});
    /* What is told last may be as old as the question. */
    WAITS("member 3", RAFTCTL_EXIT_NO_KEY, TIMEOUT_MS,
          LEADS(2, .state = 1, .status = "voter 3 heard 2000", .after_ms = 999));
    /* It is none, or has another disk. */
    WAITS("member 3", RAFTCTL_EXIT_NO_KEY, TIMEOUT_MS,
          LEADS(2, .state = 1, .status = "voter 2 heard 0"));
    WAITS("member 3", RAFTCTL_EXIT_NO_KEY, TIMEOUT_MS,
          LEADS(2, .state = 1, .status = "joining 3 heard 0", .after_ms = 100));
    /* The daemon ends in between. */
    WAITS("member 3", RAFTCTL_EXIT_OK, 700, LEADS(2, .state = 1, .status = "voter 3 heard 2000"),
          GONE(.status = "", .after_ms = 100),
          LEADS(2, .state = 1, .status = "voter 3 heard 1", .after_ms = 600));
}

static void test_usage(void **state)
{
    (void)state;
    static const char *const wrong[] = {"member", "member x", "member 0", "leader 3", "k v"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pid_t child = fork();
        if (child == 0) {
            (void)fclose(stderr);
            waits(wrong[i], NULL, 0, 0, 0);
            _exit(0);
        }
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_int_equal(WEXITSTATUS(how), RAFTCTL_EXIT_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader),
        cmocka_unit_test(test_caught_up),
        cmocka_unit_test(test_member),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
