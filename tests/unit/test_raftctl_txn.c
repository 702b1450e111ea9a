// LINK: raftd/tool/txn.c raftd/tool/write.c raftd/tool/outcome.c raftd/tool/client.c raftd/tool/print.c raftd/tool/stdio.c @status @core @base raftd/base/clock.c tests/lib/say_heard.c -lhiredis -Wl,--wrap=write_call,--wrap=tool_end
/* test_raftctl_txn.c: which command the lines of a transaction become, and what is printed of its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/base/exits.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"
#include "tests/lib/say_heard.h"

enum { TEXT_MAX = 1 << 16 };

static char sent[TEXT_MAX]; /* words of the command, each followed by | */
static const char *answer;
static jmp_buf ended;

redisReply *__wrap_write_call(struct tool *t, const struct ctl_words *w)
{
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    size_t len = 0;
    (void)t;
    for (int i = 0; i < w->n; i++) {
        assert_true(len + w->len[i] + 2 < sizeof sent);
        memcpy(sent + len, w->at[i], w->len[i]);
        len += w->len[i];
        sent[len++] = '|';
    }
    sent[len] = '\0';
    assert_int_equal(redisReaderFeed(reader, answer, strlen(answer)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    return reply;
}

_Noreturn void __wrap_tool_end(struct tool *t, int code)
{
    (void)t;
    longjmp(ended, 1 + code);
}

void say_fatal(int code, const char *fmt, ...)
{
    (void)fmt;
    longjmp(ended, 1 + code);
}

/* What becomes of those lines: the exit code. What is printed goes to *printed, to be freed. */
static int txn(const char *input, const char *reply, bool json, char **printed)
{
    struct tool t = {0};
    struct args a = {.flags = json ? ARG_JSON : 0};
    size_t size;
    int fds[2];
    answer = reply;
    sent[0] = '\0';
    heard_forget();
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(write(fds[1], input, strlen(input)), (int)strlen(input));
    assert_int_equal(close(fds[1]), 0);
    t.out.file = open_memstream(printed, &size);
    assert_non_null(t.out.file);
    int code = setjmp(ended);
    if (code == 0)
        run_txn(&t, &a);
    assert_int_equal(fclose(t.out.file), 0);
    return code - 1;
}

/* The same in a process of its own, for what ends it keeps what it has. */
static int exit_of_txn(const char *input, const char *reply)
{
    char *printed;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(txn(input, reply, false, &printed));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define DONE "*3\r\n:7\r\n:0\r\n*2\r\n:7\r\n*0\r\n"

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *input, *sent; /* NULL: it is refused */
    } cases[] = {
        {"put a b", "RAFT.TXN|PUT|a|b|"},
        {"put a b c  d \n", "RAFT.TXN|PUT|a|b c  d |"},
        {"  put \t a b\n", "RAFT.TXN|PUT|a|b|"},
        {"put a \n", "RAFT.TXN|PUT|a||"},
        {"put a\\x20\\x5c \\x41\n", "RAFT.TXN|PUT|a \\|A|"},
        {"# if absent b\n\n \t\nget a\n", "RAFT.TXN|GET|a|"},
        {"if absent a\nif present b\nif value c d e\nif rev f 7\nif held g 8\ndel a\n",
         "RAFT.TXN|IF|ABSENT|a|IF|PRESENT|b|IF|VALUE|c|d e|IF|REV|f|7|IF|HELD|g|8|DEL|a|"},
        {"incr a\nincr b -5\n", "RAFT.TXN|INCRBY|a|1|INCRBY|b|-5|"},
        {"expire a 1.5\nexpire b never\n", "RAFT.TXN|PEXPIRE|a|1500|PERSIST|b|"},
        {"put a b\nexpire a 2\n", "RAFT.TXN|PUT|a|b|PX|2000|"},
        {"put a b\nexpire a never\nget a\n", "RAFT.TXN|PUT|a|b|GET|a|"},
        {"put a b\nexpire ab 2\n", "RAFT.TXN|PUT|a|b|PEXPIRE|ab|2000|"},
        {"if value a b\nexpire a 2\n", "RAFT.TXN|IF|VALUE|a|b|PEXPIRE|a|2000|"},
        {"", NULL},
        {"if absent a\n", NULL},
        {"put\n", NULL},
        {"put a\n", NULL},
        {"get\n", NULL},
        {"get a b\n", NULL},
        {"del a b\n", NULL},
        {"if absent a b\ndel a\n", NULL},
        {"if rev a\ndel a\n", NULL},
        {"if\ndel a\n", NULL},
        {"if fresh a\ndel a\n", NULL},
        {"del a\nif absent a\n", NULL},
        {"incr a x\n", NULL},
        {"incr a 1 2\n", NULL},
        {"expire a\n", NULL},
        {"expire a -1\n", NULL},
        {"put a \\q\n", NULL},
        {"move a b\n", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *printed;
        if (exit_of_txn(cases[i].input, DONE) !=
            (cases[i].sent != NULL ? RAFTCTL_EXIT_OK : RAFTCTL_EXIT_USAGE))
            fail_msg("%s", cases[i].input);
        if (cases[i].sent == NULL)
            continue;
        assert_int_equal(txn(cases[i].input, DONE, false, &printed), RAFTCTL_EXIT_OK);
        assert_string_equal(sent, cases[i].sent);
        free(printed);
    }
}

static void test_told(void **state)
{
    (void)state;
    static const char lines[] = "put a b\nexpire a 2\nget a\ndel c\nincr d 2\nget e\n";
    static const char told[] = "*3\r\n:7\r\n:0\r\n*2\r\n:7\r\n"
                               "*5\r\n+OK\r\n$3\r\nb=\n\r\n:1\r\n:42\r\n$-1\r\n";
    char *printed;
    assert_int_equal(txn(lines, told, false, &printed), RAFTCTL_EXIT_OK);
    assert_string_equal(printed, "revision=7\na=b=\\x0a\nd=42\n");
    free(printed);
    assert_int_equal(txn(lines, told, true, &printed), RAFTCTL_EXIT_OK);
    assert_non_null(strstr(printed, "\"b=\\n\""));
    free(printed);
    /* A repetition of what was done. */
    assert_int_equal(txn(lines, "*3\r\n:7\r\n:1\r\n$-1\r\n", false, &printed), RAFTCTL_EXIT_OK);
    assert_string_equal(printed, "revision=7\n");
    heard_is(0, 3, 0, "line 6");
    free(printed);
    /* The second condition does not hold; and a repetition of that. */
    static const char conditions[] = "if absent a\n\nif absent b\nput a b\n";
    assert_int_equal(txn(conditions, "*3\r\n:0\r\n:0\r\n*2\r\n:0\r\n:1\r\n", false, &printed),
                     RAFTCTL_EXIT_NOT_MET);
    heard_is(1, 0, 0, "line 3");
    assert_string_equal(printed, "");
    free(printed);
    assert_int_equal(txn(conditions, "*3\r\n:0\r\n:1\r\n$-1\r\n", false, &printed),
                     RAFTCTL_EXIT_NOT_MET);
    heard_is(1, 0, 0, "does not hold");
    free(printed);
}

/* As many steps as a transaction takes, and one more. */
static void test_many(void **state)
{
    (void)state;
    char text[TEXT_MAX] = "";
    unsigned n = 0;
    int code = RAFTCTL_EXIT_OK;
    for (; code == RAFTCTL_EXIT_OK && n < 1000; n++) {
        (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                       "put key%u v\nexpire key%u 9\n", n, n);
        code = exit_of_txn(text, DONE);
    }
    assert_int_equal(code, RAFTCTL_EXIT_USAGE);
    assert_true(n > 30 && n < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
