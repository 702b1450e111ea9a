// LINK: raftd/tool/child.c raftd/base/clock.c raftd/base/say.c
/* Programs that raftctl starts, and a process that can do nothing behind its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/tool/child.h"

enum { SHORT_US = 100 * 1000 };

static char shell[] = "/bin/sh", option[] = "-c";

/* What the shell's command prints, with `in` as its standard input. */
static void run(const char *command, char *const *env, int in, char *out, size_t size)
{
    int ends[2], saved = dup(STDOUT_FILENO), how;
    char *text = strdup(command), *argv[] = {shell, option, text, NULL};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(fcntl(saved, F_SETFD, FD_CLOEXEC) == 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
    pid_t child = child_start(
        &(struct child_how){.argv = argv, .env = env, .in = in, .group = true});
    assert_true(dup2(saved, STDOUT_FILENO) >= 0 && close(saved) == 0 && close(ends[1]) == 0);
    ssize_t len = read(ends[0], out, size - 1);
    assert_true(len >= 0);
    out[len] = '\0';
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(child_code(how), 0);
    close(ends[0]);
    free(text);
}

static void gets_what_is_meant_for_it_alone(void **state)
{
    (void)state;
    char out[512], word[] = "WORD=1", *env[] = {word, NULL};
    int in[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_true(write(in[1], "line\n", 5) == 5);
    run("read -r x; echo $x $WORD ${HOME-none}", env, in[0], out, sizeof out);
    assert_string_equal(out, "line 1 none\n");
    close(in[0]);
    close(in[1]);
}

static void no_signal_is_blocked(void **state)
{
    (void)state;
    char out[512];
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    run("sed -n 's/^SigBlk:[[:space:]]*//p' /proc/self/status", NULL, STDIN_FILENO, out,
        sizeof out);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(out, "0000000000000000\n");
}

static void tells_how_it_ended(void **state)
{
    (void)state;
    char none[] = "/nowhere/none", directory[] = "/", kill_it[] = "kill -9 $$",
         *missing[] = {none, NULL}, *no_program[] = {directory, NULL},
         *killed[] = {shell, option, kill_it, NULL};
    const struct {
        char *const *argv;
        int code;
    } cases[] = {{missing, 127}, {no_program, 126}, {killed, 137}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int how;
        pid_t child = child_start(&(struct child_how){.argv = cases[i].argv});
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_int_equal(child_code(how), cases[i].code);
    }
}

/* What it has started ignores the signal that ended it, and has the other end of *end open. */
static pid_t started_what_stays(int *end)
{
    char command[] = "exec 3<&0 >/dev/null; (trap '' TERM; exec sleep 1000) & exit 3",
         *argv[] = {shell, option, command, NULL};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    (void)signal(SIGCHLD, SIG_IGN); /* as a parent of ours may do */
    pid_t child = child_start(&(struct child_how){.argv = argv, .in = ends[0], .group = true});
    close(ends[0]);
    *end = ends[1];
    return child;
}

static void what_is_left_of_it_is_killed(void **state)
{
    (void)state;
    char byte;
    for (unsigned rest = 0; rest < 2; rest++) {
        int end, how;
        pid_t child = started_what_stays(&end);
        (void)alarm(60); /* what is not killed is waited for for ever */
        while (!child_ended(child, rest, &how))
            (void)usleep(SHORT_US / 100);
        assert_int_equal(child_code(how), 3);
        assert_int_equal(recv(end, &byte, 1, rest ? 0 : MSG_DONTWAIT), rest ? 0 : -1);
        if (!rest)
            assert_int_equal(kill(-child, SIGKILL), 0);
        (void)alarm(0);
        close(end);
    }
}

/* Returns how a process ended that was stopped over its time, and then would do something. */
static int stopped_over_its_time(uint64_t until_us)
{
    int how;
    char command[] = "kill -STOP $$; exit 3", *argv[] = {shell, option, command, NULL};
    pid_t child = fork();
    if (child == 0) {
        if (!child_ends_at(until_us))
            _exit(4);
        child_become(argv, environ);
    }
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    if (!WIFSTOPPED(how))
        return how;
    while (clock_us() < until_us)
        (void)usleep(SHORT_US / 10);
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    return how;
}

static void does_nothing_behind_its_time(void **state)
{
    (void)state;
    int how = stopped_over_its_time(clock_us() + 10 * (uint64_t)SHORT_US);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGALRM);
    assert_int_equal(child_code(stopped_over_its_time(clock_us())), 4);
    assert_int_equal(child_code(stopped_over_its_time(0)), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_what_is_meant_for_it_alone),
        cmocka_unit_test(no_signal_is_blocked),
        cmocka_unit_test(tells_how_it_ended),
        cmocka_unit_test(what_is_left_of_it_is_killed),
        cmocka_unit_test(does_nothing_behind_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
