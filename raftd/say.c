/* say.c: see say.h. The only module with file-scope state: where messages go is the process's. */
#include "raftd/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char say_ident[SAY_IDENT_MAX_BYTES] = "raftd";
static enum say_level say_level = SAY_INFO;

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
    size_t len = strnlen(ident, sizeof(say_ident) - 1);
    memcpy(say_ident, ident, len);
    say_ident[len] = '\0';
}

void say_set_level(enum say_level at_least)
{
    say_level = at_least;
}

/* The variable is inherited even by a process whose stderr was sent elsewhere, hence the device and
 * inode in it (systemd.exec(5)). Messages are rare, so asking each time is cheaper than state.
 */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0) {
        return false;
    }
    char here[48];
    (void)snprintf(here, sizeof(here), "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    return strcmp(stream, here) == 0;
}

static void say_write(const char *line, size_t len)
{
    ssize_t n;
    do {
        n = write(STDERR_FILENO, line, len);
    } while (n < 0 && errno == EINTR);
    /* Nothing to do about any other failure: there is nobody left to tell. */
}

static void say_line(enum say_level level, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void say_line(enum say_level level, const char *fmt, va_list args)
{
    if (level < say_level) {
        return;
    }
    int saved_errno = errno;
    char line[SAY_LINE_MAX_BYTES];
    int head = stderr_is_journal()
                   ? snprintf(line, sizeof(line), "%s", say_words[level].journal)
                   : snprintf(line, sizeof(line), "%s: %s", say_ident, say_words[level].word);
    size_t len = head < 0 ? 0 : (size_t)head;
    size_t space = sizeof(line) - len;
    errno = saved_errno;
    int text = vsnprintf(line + len, space, fmt, args);
    if (text > 0 && (size_t)text < space) {
        len += (size_t)text;
    } else if (text > 0) { /* cut, and show it */
        len = sizeof(line) - 1;
        memcpy(line + len - 3, "...", 3);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f) {
            line[i] = '?';
        }
    }
    line[len++] = '\n'; /* takes the place of vsnprintf's final zero */
    say_write(line, len);
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
    SAY_BODY(SAY_ERROR);
    (void)fflush(stdout); /* what was printed before must not vanish; a failure changes nothing */
    _exit(exit_code);
}

bool say_allowed(struct say_limit *limit, uint64_t now_us, uint32_t *dropped)
{
    if (now_us - limit->since_us >= SAY_LIMIT_INTERVAL_US) {
        limit->since_us = now_us;
        limit->said = 0;
    }
    if (limit->said >= SAY_LIMIT_BURST) {
        if (limit->dropped < UINT32_MAX) {
            limit->dropped++;
        }
        return false;
    }
    limit->said++;
    *dropped = limit->dropped;
    limit->dropped = 0;
    return true;
}
