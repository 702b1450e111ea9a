/* terminal.c: see terminal.h. */
#include "raftd/tool/terminal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "raftd/base/num.h"

enum {
    COLUMNS_USUAL = 80,
    ROWS_USUAL = 24,
    SIZE_MAX_TOLD = 10000, /* what is larger is nonsense */
};

static void take_keys(struct terminal *t)
{
    struct termios raw;
    t->has_modes = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->modes) == 0;
    t->keys = t->has_modes ? STDIN_FILENO : -1;
    if (!t->has_modes)
        return;
    raw = t->modes;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0; /* nobody waits for a key */
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

bool terminal_open(struct terminal *t)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
    sigset_t set;
    *t = (struct terminal){.keys = -1};
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        (void)sigaddset(&set, wanted[i]);
    (void)sigprocmask(SIG_BLOCK, &set, &t->mask);
    t->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (t->signals < 0) {
        (void)sigprocmask(SIG_SETMASK, &t->mask, NULL);
        return false;
    }
    /* The same terminal once more: a flag of this descriptor is no flag of the shell's. */
    t->out = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (t->out < 0)
        t->out = STDOUT_FILENO; /* it is another user's terminal, see send_now() */
    take_keys(t);
    return true;
}

/* write(2), which never waits. That is sure of a single byte if poll(2) says so, where the descriptor itself
 * would wait. */
static ssize_t send_now(const struct terminal *t, const char *at, size_t len)
{
    struct pollfd p = {.fd = t->out, .events = POLLOUT};
    if (t->out != STDOUT_FILENO)
        return write(t->out, at, len);
    if (poll(&p, 1, 0) == 1)
        return write(t->out, at, 1);
    errno = EAGAIN;
    return -1;
}

void terminal_close(struct terminal *t)
{
    static const char end[] = "\030\033[0m\r\n"; /* the first two end what was sent in part */
    const char *at = t->text != NULL ? end : end + 5;
    if (t->has_modes)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &t->modes);
    for (ssize_t n; *at != '\0' && (n = send_now(t, at, strlen(at))) > 0;)
        at += n; /* a terminal that takes nothing needs no end of a line */
    free(t->text);
    t->text = NULL;
    if (t->out != STDOUT_FILENO)
        close(t->out);
    close(t->signals);
    (void)sigprocmask(SIG_SETMASK, &t->mask, NULL);
}

static unsigned told_by(const char *variable, unsigned usual)
{
    const char *text = getenv(variable);
    uint64_t n;
    return text != NULL && num_parse(text, 1, SIZE_MAX_TOLD, &n) ? (unsigned)n : usual;
}

void terminal_size(unsigned *columns, unsigned *rows)
{
    struct winsize size = {0};
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *columns = size.ws_col > 0 ? size.ws_col : told_by("COLUMNS", COLUMNS_USUAL);
    *rows = size.ws_row > 0 ? size.ws_row : told_by("LINES", ROWS_USUAL);
}

void terminal_poll(const struct terminal *t, struct pollfd *fds)
{
    fds[0] = (struct pollfd){.fd = t->signals, .events = POLLIN};
    fds[TERMINAL_KEYS] = (struct pollfd){.fd = t->keys, .events = POLLIN};
    fds[2] = (struct pollfd){.fd = t->text != NULL ? t->out : -1, .events = POLLOUT};
}

void terminal_send(struct terminal *t, char *text, size_t len)
{
    assert(t->text == NULL);
    t->text = text;
    t->len = len;
    t->at = 0;
    (void)terminal_flush(t);
}

bool terminal_flush(struct terminal *t)
{
    while (t->text != NULL) {
        ssize_t n = send_now(t, t->text + t->at, t->len - t->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return false;
        t->at += n > 0 ? (size_t)n : 0;
        t->gone |= n < 0;
        if (n <= 0 || t->at == t->len) {
            free(t->text);
            t->text = NULL;
        }
    }
    return true;
}

int terminal_key(struct terminal *t)
{
    unsigned char key;
    if (t->keys >= 0 && read(t->keys, &key, 1) == 1)
        return key;
    t->keys = -1;
    return 0;
}

int terminal_signal(const struct terminal *t)
{
    struct signalfd_siginfo info;
    if (read(t->signals, &info, sizeof info) == sizeof info)
        return (int)info.ssi_signo;
    return t->gone ? SIGHUP : 0;
}
