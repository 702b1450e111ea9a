/* say.c: see say.h. The only module with file-scope state: where messages go is the process's. */
#include "raftd/base/say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/base/clock.h"

static char say_ident[SAY_IDENT_MAX_BYTES] = "raftd";
static enum say_level say_level = SAY_INFO;
static bool say_is_seldom;

static struct said {
    const char *fmt;  /* NULL: a free place */
    uint64_t hash;    /* of the text */
    uint64_t at_us;   /* when it was said */
    unsigned n_after; /* like it, that were left out since */
} say_said[SAY_REMEMBERED];
static pthread_mutex_t say_lock = PTHREAD_MUTEX_INITIALIZER; /* of that; nobody waits inside */

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

void say_seldom(void)
{
    say_is_seldom = true;
}

/* FNV-1a. Two texts of one format that have the same are rare enough. */
static uint64_t hash_of(const char *text, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* True if the message is to be said. *n_before: how many like it were left out before. */
static bool is_due(const char *fmt, const char *text, size_t len, unsigned *n_before)
{
    struct said *oldest = say_said, *last = NULL; /* of all; of that format */
    uint64_t now = clock_us(), hash = hash_of(text, len);
    unsigned alike = 0;
    bool same = false;
    pthread_mutex_lock(&say_lock);
    for (struct said *s = say_said; s < say_said + SAY_REMEMBERED; s++) {
        oldest = s->at_us < oldest->at_us ? s : oldest;
        if (s->fmt != fmt)
            continue;
        last = last == NULL || s->at_us >= last->at_us ? s : last;
        bool recent = now - s->at_us < SAY_AGAIN_US;
        alike += recent;
        same |= recent && s->hash == hash;
    }
    bool due = !same && alike < SAY_ALIKE_MAX;
    if (due) {
        *n_before = last != NULL ? last->n_after : 0;
        if (last != NULL)
            last->n_after = 0;
        *oldest = (struct said){fmt, hash, now, 0};
    } else {
        last->n_after++;
    }
    pthread_mutex_unlock(&say_lock);
    return due;
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

/* Says behind the message how many like it were left out. Returns its length, which leaves room for one
 * byte. */
static size_t add_count(char *line, size_t len, unsigned n_before)
{
    char more[64];
    size_t n = (size_t)snprintf(more, sizeof more, " (%u like this were left out before)",
                                n_before);
    if (len > SAY_LINE_MAX_BYTES - 1 - n)
        len = SAY_LINE_MAX_BYTES - 1 - n;
    memcpy(line + len, more, n);
    return len + n;
}

static void say_line(enum say_level level, bool always, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

static void say_line(enum say_level level, bool always, const char *fmt, va_list args)
{
    if (level < say_level)
        return;
    int saved_errno = errno;
    char line[SAY_LINE_MAX_BYTES];
    int head = stderr_is_journal()
                   ? snprintf(line, sizeof line, "%s", say_words[level].journal)
                   : snprintf(line, sizeof line, "%s: %s", say_ident, say_words[level].word);
    size_t len = head < 0 ? 0 : (size_t)head, begin = len, space = sizeof line - len;
    unsigned n_before = 0;
    errno = saved_errno;
    int text = vsnprintf(line + len, space, fmt, args);
    if (text > 0 && (size_t)text < space) {
        len += (size_t)text;
    } else if (text > 0) { /* cut, and show it */
        len = sizeof line - 1;
        memcpy(line + len - 3, "...", 3);
    }
    bool due = !say_is_seldom || always || is_due(fmt, line + begin, len - begin, &n_before);
    if (n_before > 0)
        len = add_count(line, len, n_before);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f)
            line[i] = '?';
    }
    line[len++] = '\n'; /* takes the place of vsnprintf's final zero */
    if (due)
        say_or_count(line, len);
    errno = saved_errno;
}

#define SAY_BODY(level, always)                                                                    \
    va_list args;                                                                                  \
    va_start(args, fmt);                                                                           \
    say_line(level, always, fmt, args);                                                            \
    va_end(args)

void say_debug(const char *fmt, ...)
{
    SAY_BODY(SAY_DEBUG, true);
}

void say_info(const char *fmt, ...)
{
    SAY_BODY(SAY_INFO, false);
}

void say_warn(const char *fmt, ...)
{
    SAY_BODY(SAY_WARN, false);
}

void say_error(const char *fmt, ...)
{
    SAY_BODY(SAY_ERROR, false);
}

_Noreturn void say_fatal(int exit_code, const char *fmt, ...)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)poll(&ready, 1, SAY_LAST_WAIT_MS); /* nothing else waits for us any more */
    SAY_BODY(SAY_ERROR, true);
    (void)fflush(stdout); /* what was printed before must not vanish; a failure changes nothing */
    _exit(exit_code);
}
