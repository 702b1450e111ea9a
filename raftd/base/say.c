/* say.c: see say.h. The only module with file-scope state: where messages go is the process's. */
#include "raftd/base/say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char say_ident[SAY_IDENT_MAX_BYTES] = "raftd";
static enum say_level say_level = SAY_INFO;
static atomic_uint say_lost; /* messages that the reader did not take, and has not been told of */

static const struct {
    const char *journal; /* sd-daemon(3): syslog's number of the level */
    const char *word;
} say_words[] = {
    [SAY_DEBUG] = {"<7>", "debug: "},
    [SAY_INFO] = {"<6>", ""},
    [SAY_WARN] = {"<4>", "warning: "},
    [SAY_ERROR] = {"<3>", "error: "},
};

void say_set_ident(const char *ident)
{
    size_t len = strnlen(ident, sizeof say_ident - 1);
    memcpy(say_ident, ident, len);
    say_ident[len] = '\0';
}

void say_set_level(enum say_level at_least)
{
    say_level = at_least;
}

/* A process whose stderr was sent elsewhere inherits the variable, too; hence the device and inode in it
 * (systemd.exec(5)). Messages are rare, so it is read each time instead of kept.
 */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    char here[48];
    (void)snprintf(here, sizeof here, "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    return strcmp(stream, here) == 0;
}

/* True unless the reader has stopped and took nothing.
 *
 * The loop and the log thread say things, and must not wait for whoever reads them. O_NONBLOCK belongs
 * to the open file, which others share (a shell, a second daemon), so a pipe or a terminal is opened
 * once more for ourselves; and asking with poll() first is not enough, for others may fill what is
 * free. A plain file has to keep its position, and never makes anybody wait.
 */
static bool say_write(const char *line, size_t len)
{
    struct stat st;
    ssize_t n = 0;
    int rc = fstat(STDERR_FILENO, &st);
    int own = rc == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
                  ? open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                  : -1;
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    do {
        if (own >= 0) {
            n = write(own, line, len);
        } else if (rc == 0 && S_ISSOCK(st.st_mode)) {
            n = send(STDERR_FILENO, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else if (poll(&ready, 1, 0) != 0) { /* also of a pipe that cannot be opened once more */
            n = write(STDERR_FILENO, line, len);
        } else {
            n = -1;
            errno = EAGAIN;
        }
    } while (n < 0 && errno == EINTR);
    bool stopped = n < 0 && errno == EAGAIN;
    if (own >= 0)
        (void)close(own);
    return !stopped; /* of any other failure there is nobody left to tell */
}

/* One line, and before it how many were lost since the last one, if any. */
static void say_or_count(const char *line, size_t len)
{
    char gap[128];
    unsigned lost = atomic_exchange(&say_lost, 0);
    bool taken = true;
    if (lost > 0) {
        int n = snprintf(
            gap, sizeof gap, "%s%u messages were lost: the reader of standard error had stopped\n",
            stderr_is_journal() ? say_words[SAY_WARN].journal : "raftd: warning: ", lost);
        taken = say_write(gap, (size_t)n);
    }
    if (!taken)
        (void)atomic_fetch_add(&say_lost, lost + 1);
    else if (!say_write(line, len))
        (void)atomic_fetch_add(&say_lost, 1);
}

static void say_line(enum say_level level, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void say_line(enum say_level level, const char *fmt, va_list args)
{
    if (level < say_level)
        return;
    int saved_errno = errno;
    char line[SAY_LINE_MAX_BYTES];
    int head = stderr_is_journal()
                   ? snprintf(line, sizeof line, "%s", say_words[level].journal)
                   : snprintf(line, sizeof line, "%s: %s", say_ident, say_words[level].word);
    size_t len = head < 0 ? 0 : (size_t)head;
    size_t space = sizeof line - len;
    errno = saved_errno;
    int text = vsnprintf(line + len, space, fmt, args);
    if (text > 0 && (size_t)text < space) {
        len += (size_t)text;
    } else if (text > 0) { /* cut, and show it */
        len = sizeof line - 1;
        memcpy(line + len - 3, "...", 3);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f)
            line[i] = '?';
    }
    line[len++] = '\n'; /* takes the place of vsnprintf's final zero */
    say_or_count(line, len);
    errno = saved_errno;
}

#define SAY_BODY(level)                                                                            \
    va_list args;                                                                                  \
    va_start(args, fmt);                                                                           \
    say_line(level, fmt, args);                                                                    \
    va_end(args)

void say_debug(const char *fmt, ...)
{
    SAY_BODY(SAY_DEBUG);
}

void say_info(const char *fmt, ...)
{
    SAY_BODY(SAY_INFO);
}

void say_warn(const char *fmt, ...)
{
    SAY_BODY(SAY_WARN);
}

void say_error(const char *fmt, ...)
{
    SAY_BODY(SAY_ERROR);
}

_Noreturn void say_fatal(int exit_code, const char *fmt, ...)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)poll(&ready, 1, SAY_LAST_WAIT_MS); /* nothing else waits for us any more */
    SAY_BODY(SAY_ERROR);
    (void)fflush(stdout); /* what was printed before must not vanish; a failure changes nothing */
    _exit(exit_code);
}
