// LINK: raftd/tool/stdio.c
/* Standard streams that somebody has made non-blocking: nothing is lost, nothing is given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raftd/tool/raftctl.h"

enum {
    PLENTY_BYTES = 300 * 1000 /* more than a pipe holds */,
    SLICE_BYTES = 7001,
    PAUSE_US = 1000
};

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 131 + (i >> 8));
}

/* A child at the other end of a pipe that works in slices, with pauses. Of `writes` it writes all
 * there is, else it reads it; its exit code is 0 if all was right. Returns our end, non-blocking. */
static int slow_child(bool writes, pid_t *child)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    *child = fork();
    assert_true(*child >= 0);
    if (*child == 0) {
        uint8_t slice[SLICE_BYTES];
        size_t done = 0;
        close(fds[writes ? 0 : 1]);
        for (ssize_t n = 1; n > 0; done += n > 0 ? (size_t)n : 0) {
            size_t left = PLENTY_BYTES - done, len = left < sizeof slice ? left : sizeof slice;
            usleep(PAUSE_US);
            for (size_t i = 0; i < len; i++)
                slice[i] = byte_at(done + i);
            if (writes) {
                n = write(fds[1], slice, len);
                continue;
            }
            n = read(fds[0], slice, sizeof slice);
            for (ssize_t i = 0; i < n; i++)
                if (slice[i] != byte_at(done + (size_t)i))
                    _exit(1);
        }
        _exit(done == PLENTY_BYTES ? 0 : 2);
    }
    close(fds[writes ? 1 : 0]);
    int fd = fds[writes ? 0 : 1];
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void went_well(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static uint8_t *plenty(void)
{
    uint8_t *all = malloc(PLENTY_BYTES + 1);
    assert_non_null(all);
    for (size_t i = 0; i < PLENTY_BYTES; i++)
        all[i] = byte_at(i);
    return all;
}

static void test_write(void **state)
{
    (void)state;
    pid_t child;
    uint8_t *all = plenty();
    int fd = slow_child(false, &child);
    assert_int_equal(patient_write(fd, all, PLENTY_BYTES), 0);
    close(fd);
    went_well(child);
    free(all);
    assert_int_equal(patient_write(-1, "x", 1), -1);
    assert_int_equal(errno, EBADF);
}

static void test_read(void **state)
{
    (void)state;
    pid_t child;
    uint8_t *all = plenty(), *got = malloc(PLENTY_BYTES + 1);
    assert_non_null(got);
    int fd = slow_child(true, &child);
    assert_int_equal(patient_read(fd, got, PLENTY_BYTES + 1), PLENTY_BYTES);
    assert_memory_equal(got, all, PLENTY_BYTES);
    close(fd);
    went_well(child);
    fd = slow_child(true, &child); /* not more than asked for */
    assert_int_equal(patient_read(fd, got, 10), 10);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fd);
    free(got);
    free(all);
    assert_int_equal(patient_read(-1, &fd, 1), -1);
}

/* The same through stdio; and the reason of a failure, which stdio alone would lose. */
static void test_output(void **state)
{
    (void)state;
    struct output out;
    pid_t child;
    uint8_t *all = plenty();
    int kept = dup(STDOUT_FILENO), fd = slow_child(false, &child);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    int opened = output_open(&out);
    size_t n = fwrite(all, 1, PLENTY_BYTES, out.file);
    int flushed = output_flush(&out);
    int full = open("/dev/full", O_WRONLY);
    dup2(full, STDOUT_FILENO);
    fputs("nowhere to go", out.file);
    int failed = output_flush(&out);
    int again = output_flush(&out);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(full);
    fclose(out.file);
    free(all);
    assert_int_equal(opened, 0);
    assert_int_equal(n, PLENTY_BYTES);
    assert_int_equal(flushed, 0);
    assert_int_equal(failed, ENOSPC);
    assert_int_equal(again, ENOSPC);
    went_well(child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
