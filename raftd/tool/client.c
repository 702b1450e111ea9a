/* client.c: see client.h. hiredis makes commands and takes replies apart; bytes are sent and received here,
 * for its own calls know no deadline for a whole reply and leave SIGPIPE to their user. */
#include "raftd/tool/client.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVE_BYTES = 1 << 16, FIRST_SIZE = 64 };

void ctl_add(struct ctl_words *w, const void *bytes, size_t len)
{
    assert(w->n < CTL_WORDS_MAX);
    w->at[w->n] = bytes;
    w->len[w->n++] = len;
}

void ctl_add_text(struct ctl_words *w, const char *text)
{
    ctl_add(w, text, strlen(text));
}

uint64_t ctl_now_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with a clock that Linux has */
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int ctl_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int ms_left(uint64_t deadline_ns)
{
    uint64_t now = ctl_now_ns(), ms = now < deadline_ns ? (deadline_ns - now) / 1000000 + 1 : 0;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Waits until the socket is ready. False at the deadline. */
static bool ready(const struct ctl *c, short events, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd p = {.fd = c->fd, .events = events};
        int rc = poll(&p, 1, ms_left(deadline_ns));
        if (rc > 0)
            return true;
        if (rc == 0 || errno != EINTR)
            return false;
    }
}

enum ctl_outcome ctl_open(struct ctl *c, const char *path, uint64_t deadline_ns)
{
    *c = (struct ctl){.fd = -1};
    /* EAGAIN: the daemon's queue of connections is full. That passes, unless the daemon hangs. */
    while ((c->fd = ctl_connect(path)) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return CTL_NOT_RUNNING;
        if (ms_left(deadline_ns) == 0)
            return CTL_NOT_TAKEN;
        (void)nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL); /* just a pause */
    }
    c->reader = redisReaderCreate();
    return c->reader != NULL ? CTL_ANSWERED : CTL_NOT_TAKEN;
}

static enum ctl_outcome send_all(const struct ctl *c, const char *at, size_t left,
                                 uint64_t deadline_ns)
{
    while (left > 0) {
        ssize_t n = send(c->fd, at, left, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return CTL_NOT_RUNNING;
        if (n < 0 && errno == EAGAIN && !ready(c, POLLOUT, deadline_ns))
            return CTL_NOT_TAKEN;
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return CTL_ANSWERED;
}

size_t ctl_format(const struct ctl_words *w, char **text)
{
    long long len = redisFormatCommandArgv(text, w->n, (const char **)(uintptr_t)w->at, w->len);
    return len > 0 ? (size_t)len : 0;
}

enum ctl_outcome ctl_send(struct ctl *c, const struct ctl_words *w, uint64_t deadline_ns)
{
    char *text;
    size_t len = ctl_format(w, &text);
    if (len == 0)
        return CTL_NOT_TAKEN;
    enum ctl_outcome outcome = send_all(c, text, len, deadline_ns);
    int error = errno;
    redisFreeCommand(text);
    errno = error;
    return outcome;
}

enum ctl_outcome ctl_receive(struct ctl *c, redisReply **reply, uint64_t deadline_ns)
{
    char buf[RECEIVE_BYTES];
    size_t total = 0;
    void *got = NULL;
    *reply = NULL;
    while (redisReaderGetReply(c->reader, &got) == REDIS_OK && total <= CTL_REPLY_MAX_BYTES) {
        if ((*reply = got) != NULL)
            return CTL_ANSWERED;
        ssize_t n = recv(c->fd, buf, sizeof buf, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!ready(c, POLLIN, deadline_ns))
                return CTL_TIMEOUT;
            continue;
        }
        if (n <= 0)
            return CTL_LOST;
        total += (size_t)n;
        if (redisReaderFeed(c->reader, buf, (size_t)n) != REDIS_OK)
            break;
    }
    return CTL_NONSENSE;
}

void ctl_close(struct ctl *c)
{
    int error = errno;
    if (c->reader != NULL)
        redisReaderFree(c->reader);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct ctl){.fd = -1};
    errno = error;
}

/* Sends the command, and before it what it needs to be said, all at once: a daemon that is busy may take
 * what has come, and much later what comes after. *replies: how many will come. */
static enum ctl_outcome send_call(struct ctl *c, const struct ctl_call *call,
                                  const struct ctl_words *w, uint64_t deadline_ns,
                                  unsigned *replies)
{
    char first[FIRST_SIZE] = "", *command;
    size_t len = ctl_format(w, &command), first_len;
    if (len == 0)
        return CTL_NOT_TAKEN;
    if (!call->at_once)
        (void)snprintf(first, sizeof first, "RAFT.TIMEOUT %" PRIu32 "\r\n", call->timeout_ms);
    first_len = strlen(first);
    if (call->local)
        first_len += (size_t)snprintf(first + first_len, sizeof first - first_len, "READONLY\r\n");
    *replies = 1U + !call->at_once + call->local;
    char *all = malloc(first_len + len);
    if (all != NULL) {
        memcpy(all, first, first_len);
        memcpy(all + first_len, command, len);
    }
    redisFreeCommand(command);
    enum ctl_outcome outcome = all != NULL ? send_all(c, all, first_len + len, deadline_ns)
                                           : CTL_NOT_TAKEN;
    int error = errno;
    free(all);
    errno = error;
    return outcome;
}

enum ctl_outcome ctl_call(const struct ctl_call *call, const struct ctl_words *w,
                          redisReply **reply)
{
    struct ctl c;
    redisReply *next;
    unsigned replies;
    uint64_t deadline_ns = ctl_now_ns() + ((uint64_t)call->timeout_ms + CTL_GRACE_MS) * 1000000;
    enum ctl_outcome sent = ctl_open(&c, call->path, deadline_ns);
    *reply = NULL;
    if (sent != CTL_ANSWERED) {
        ctl_close(&c);
        return sent;
    }
    enum ctl_outcome outcome = sent = send_call(&c, call, w, deadline_ns, &replies);
    /* Even after a failed send there may be an answer that says why. */
    for (unsigned i = 0; i < replies && sent != CTL_NOT_TAKEN; i++) {
        if ((outcome = ctl_receive(&c, &next, deadline_ns)) != CTL_ANSWERED)
            break;
        freeReplyObject(*reply);
        *reply = next;
    }
    ctl_close(&c);
    /* A daemon that ends a connection says why before. */
    bool told = *reply != NULL && (*reply)->type == REDIS_REPLY_ERROR;
    if (outcome == CTL_ANSWERED || (outcome == CTL_LOST && told))
        return CTL_ANSWERED;
    freeReplyObject(*reply);
    *reply = NULL;
    return sent != CTL_ANSWERED ? sent : outcome;
}
