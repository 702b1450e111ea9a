// LINK: @clients raftd/status_file.c -Wl,--wrap=rename TSAN
/* The file that has the status: when it is written, that nobody sees a part of it, and that nobody waits for
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/base/say.h"
#include "raftd/status_file.h"

enum { LATE_MS = 400, PATIENCE_MS = 20000 };

static char dir[32], path[64];
static atomic_int warned, good; /* messages */
static atomic_bool hangs;       /* the next rename() waits for `go_on` */
static atomic_bool in_place;    /* what was written was the file itself, and not one beside it */
static sem_t in_rename, go_on;

void say_warn(const char *fmt, ...)
{
    (void)fmt;
    warned++;
}

void say_info(const char *fmt, ...)
{
    (void)fmt;
    good++;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

int __wrap_rename(const char *from, const char *to)
{
    in_place |= strcmp(from, to) == 0;
    if (atomic_exchange(&hangs, false)) {
        sem_post(&in_rename);
        while (sem_wait(&go_on) != 0)
            continue;
    }
    return __real_rename(from, to);
}

static void sleep_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

/* The number behind `name` in the file; -1: there is no file. A part of a status would have no last line. */
static long told(const char *name)
{
    static char text[STATUS_PRINT_MAX_BYTES];
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return -1;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    (void)fclose(f);
    char *at = strstr(text, name);
    assert_non_null(at);
    assert_non_null(strstr(text, "\ndrop.disk="));
    assert_int_equal(text[strlen(text) - 1], '\n');
    return strtol(at + strlen(name), NULL, 10);
}

static void wait_told(const char *name, long value)
{
    for (int ms = 0; told(name) != value; ms++) {
        assert_true(ms < PATIENCE_MS);
        sleep_ms(1);
    }
}

static void publish(struct shared *s, uint64_t term)
{
    struct status_box *box = calloc(1, sizeof *box);
    assert_non_null(box);
    box->status.term = term;
    box->status.max_data_bytes = 1;
    box->status.now_us = 77 * 1000000;
    shared_publish(s, box);
}

static void wake(void *ctx)
{
    (void)ctx;
}

static struct shared *share(void)
{
    struct shared *s = shared_new(1024, 1, wake, NULL);
    assert_non_null(s);
    publish(s, 1);
    return s;
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/status_file.XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/status", dir);
    warned = good = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(rmdir(dir), 0); /* nothing was left in it */
    return 0;
}

static void test_where(void **state)
{
    (void)state;
    char where[CONF_DATA_DIR_SIZE], long_dir[300];
    struct conf conf = {.status_file = "/x/status"};
    unsetenv("RUNTIME_DIRECTORY");
    status_file_path(&conf, where);
    assert_string_equal(where, "/x/status");
    conf.status_file[0] = '\0';
    status_file_path(&conf, where);
    assert_string_equal(where, "");
    memset(long_dir, 'x', sizeof long_dir - 1);
    long_dir[0] = '/';
    long_dir[sizeof long_dir - 1] = '\0';
    static const char *const rows[][2] = {{"/run/raftd", "/run/raftd/status"},
                                          {"/run/a:/run/b", "/run/a/status"},
                                          {"", ""},
                                          {"raftd", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        setenv("RUNTIME_DIRECTORY", rows[i][0], 1);
        status_file_path(&conf, where);
        assert_string_equal(where, rows[i][1]);
    }
    setenv("RUNTIME_DIRECTORY", long_dir, 1);
    status_file_path(&conf, where);
    assert_string_equal(where, "");
    unsetenv("RUNTIME_DIRECTORY");
}

static void test_when(void **state)
{
    (void)state;
    struct shared *s = share();
    struct stat st;
    mode_t umask_before = umask(077);
    struct status_file *f = status_file_start(s, path, 0660, LATE_MS);
    assert_non_null(f);
    wait_told("term=", 1);
    assert_int_equal(told("uptime_box_s="), 77); /* of the status, not of the writing */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0440); /* as the socket, but for reading alone */
    (void)umask(umask_before);

    publish(s, 2);
    uint64_t start = clock_us();
    status_file_changed(f, true);
    wait_told("term=", 2);
    uint64_t took = clock_us() - start; /* a machine that is busy counts as late, hence no more */
    if (took > LATE_MS * 1000 / 2)
        print_message("news took %u us\n", (unsigned)took);

    publish(s, 3);
    start = clock_us();
    status_file_changed(f, false);
    status_file_changed(f, false);
    wait_told("term=", 3);
    assert_true(clock_us() - start > LATE_MS * 1000 / 2);
    publish(s, 4);
    sleep_ms(2 * LATE_MS); /* nobody was told of it */
    assert_int_equal(told("term="), 3);
    status_file_stop(f);
    assert_int_equal(told("term="), -1);
    assert_int_equal(warned + good, 0);
    shared_free(s);
}

/* With an interval that never ends, only news make it write. */
static void test_news(void **state)
{
    (void)state;
    struct shared *s = share();
    struct status_file *f = status_file_start(s, path, 0660, 3600 * 1000);
    wait_told("term=", 1);
    for (uint64_t term = 1; term < 300; term++) {
        publish(s, term);
        status_file_changed(f, false);
        status_file_changed(f, true);
        if (term % 50 == 0)
            wait_told("term=", (long)term);
        for (unsigned i = 0; i < 10; i++)
            assert_true(told("term=") >= 1); /* it is there all the time, and whole */
    }
    wait_told("term=", 299);
    status_file_stop(f);
    assert_false(in_place);
    shared_free(s);
}

static void test_fails(void **state)
{
    (void)state;
    struct shared *s = share();
    assert_int_equal(rmdir(dir), 0);
    struct status_file *f = status_file_start(s, path, 0660, 1);
    for (unsigned i = 0; i < 100 && warned == 0; i++)
        sleep_ms(PATIENCE_MS / 100);
    for (unsigned i = 0; i < 20; i++) {
        status_file_changed(f, true);
        sleep_ms(2);
    }
    assert_int_equal(warned, 1);
    assert_int_equal(mkdir(dir, 0700), 0);
    wait_told("term=", 1); /* though nothing has changed since */
    status_file_stop(f);
    assert_int_equal(warned, 1);
    assert_int_equal(good, 1);
    shared_free(s);
}

/* What is there is no file: a device, for instance, that all programs of the box need. */
static void test_no_file(void **state)
{
    (void)state;
    struct stat st;
    struct shared *s = share();
    assert_int_equal(mkfifo(path, 0600), 0);
    struct status_file *f = status_file_start(s, path, 0660, 1);
    for (unsigned i = 0; i < 100 && warned == 0; i++)
        sleep_ms(PATIENCE_MS / 100);
    assert_int_equal(warned, 1);
    status_file_stop(f);
    assert_true(lstat(path, &st) == 0 && S_ISFIFO(st.st_mode));
    assert_int_equal(unlink(path), 0);
    shared_free(s);
}

/* The file system hangs for ever: neither the loop nor the end of the daemon waits for it, and the thread
 * looks at nothing that is gone when it goes on. */
static void test_hangs(void **state)
{
    (void)state;
    struct shared *s = share();
    hangs = true;
    struct status_file *f = status_file_start(s, path, 0660, 1);
    while (sem_wait(&in_rename) != 0)
        continue;
    (void)alarm(60); /* where it waits it would wait for ever */
    for (unsigned i = 0; i < 1000; i++) {
        publish(s, i);
        status_file_changed(f, i % 2 == 0);
    }
    status_file_stop(f);
    (void)alarm(0);
    shared_free(s);
    sem_post(&go_on);
    /* It ends, and takes away what it has just put there. */
    char beside[80];
    (void)snprintf(beside, sizeof beside, "%s.new", path);
    for (int ms = 0; access(beside, F_OK) == 0 || access(path, F_OK) == 0; ms++) {
        assert_true(ms < PATIENCE_MS);
        sleep_ms(1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where),
        cmocka_unit_test_setup_teardown(test_when, setup, teardown),
        cmocka_unit_test_setup_teardown(test_news, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
    };
    rcu_thread_begin();
    sem_init(&in_rename, 0, 0);
    sem_init(&go_on, 0, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
