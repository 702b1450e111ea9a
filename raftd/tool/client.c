/* client.c: see client.h. */
#include "raftd/tool/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { TAG = 1 /* one request per connection */ };

struct call {
    int fd;
    uint64_t deadline_ns;
    uint8_t packet[PROTO_PACKET_MAX_BYTES];
};

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
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int ms_left(const struct call *c)
{
    uint64_t now = ctl_now_ns();
    return now < c->deadline_ns ? (int)((c->deadline_ns - now) / 1000000 + 1) : 0;
}

/* Waits until the socket is ready. False at the deadline. */
static bool ready(const struct call *c, short events)
{
    for (;;) {
        struct pollfd p = {.fd = c->fd, .events = events};
        int rc = poll(&p, 1, ms_left(c));
        if (rc > 0)
            return true;
        if (rc == 0 || errno != EINTR)
            return false;
    }
}

bool ctl_queue(struct outq *q, const struct proto_request *whole)
{
    struct proto_request r = *whole;
    uint32_t left = whole->part_len;
    for (;;) {
        uint32_t room = (uint32_t)(PROTO_PACKET_MAX_BYTES - PROTO_REQUEST_HEAD_BYTES) - r.key_len;
        r.part_len = left < room ? left : room;
        left -= r.part_len;
        uint8_t *to = outq_add(q, (size_t)PROTO_REQUEST_HEAD_BYTES + r.key_len + r.part_len);
        if (to == NULL)
            return false;
        (void)proto_request_encode(to, &r);
        if (left == 0)
            return true;
        r = (struct proto_request){
            .op = PROTO_PART, .tag = whole->tag, .part = r.part + r.part_len};
    }
}

static enum ctl_outcome send_all(const struct call *c, struct outq *q)
{
    enum outq_state state;
    while ((state = outq_flush(q, c->fd)) == OUTQ_BLOCKED && ms_left(c) > 0)
        (void)ready(c, POLLOUT);
    return state == OUTQ_EMPTY     ? CTL_ANSWERED
           : state == OUTQ_BLOCKED ? CTL_NOT_TAKEN
                                   : CTL_NOT_RUNNING;
}

/* Adds one part of the answer. */
static enum ctl_outcome take_part(struct ctl_answer *a, const struct proto_reply *r)
{
    if ((r->tag != TAG && r->tag != 0) || a->len + r->body_len > CTL_BODY_MAX_BYTES)
        return CTL_NONSENSE;
    if (r->body_len > 0) {
        uint8_t *body = realloc(a->body, a->len + r->body_len + 1);
        if (body == NULL)
            return CTL_NONSENSE;
        memcpy(body + a->len, r->body, r->body_len);
        a->body = body;
        a->len += r->body_len;
        body[a->len] = '\0';
    }
    a->head = *r;
    return CTL_ANSWERED;
}

static enum ctl_outcome receive(struct call *c, struct ctl_answer *a)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->packet, sizeof c->packet, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!ready(c, POLLIN))
                return CTL_TIMEOUT;
            continue;
        }
        if (n <= 0)
            return CTL_LOST;
        struct proto_reply r;
        for (size_t at = 0, size; at < (size_t)n; at += size) {
            size = proto_reply_decode(c->packet + at, (size_t)n - at, &r);
            if (size == 0 || take_part(a, &r) != CTL_ANSWERED)
                return CTL_NONSENSE;
            if (!(r.flags & PROTO_MORE))
                return CTL_ANSWERED;
        }
    }
}

enum ctl_outcome ctl_call(const char *path, const struct proto_request *r, struct ctl_answer *a)
{
    struct call c;
    struct outq q = {0};
    struct proto_request tagged = *r;
    tagged.tag = TAG;
    c.deadline_ns = ctl_now_ns() + ((uint64_t)r->timeout_ms + CTL_GRACE_MS) * 1000000;
    *a = (struct ctl_answer){0};
    /* EAGAIN: the daemon's queue of connections is full. That passes, unless the daemon hangs. */
    while ((c.fd = ctl_connect(path)) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return CTL_NOT_RUNNING;
        if (ms_left(&c) == 0)
            return CTL_NOT_TAKEN;
        (void)nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL); /* just a pause */
    }
    enum ctl_outcome sent = ctl_queue(&q, &tagged) ? send_all(&c, &q) : CTL_NOT_TAKEN;
    int error = errno;
    outq_free(&q);
    enum ctl_outcome outcome = sent;
    /* Even after a failed send there may be an answer that says why. */
    if (sent != CTL_NOT_TAKEN)
        outcome = receive(&c, a);
    if (sent != CTL_ANSWERED && outcome != CTL_ANSWERED)
        outcome = sent;
    if (outcome != CTL_ANSWERED)
        ctl_answer_free(a);
    close(c.fd);
    errno = error;
    return outcome;
}

void ctl_answer_free(struct ctl_answer *a)
{
    free(a->body);
    *a = (struct ctl_answer){0};
}
