/* outq.c: see outq.h. */
#include "raftd/serve/outq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "raftd/serve/proto.h"

enum {
    OUTQ_CAP_MIN_BYTES = 4096,
    OUTQ_KEEP_BYTES = 32768, /* an empty queue larger than this gives its memory back */
    OUTQ_BATCH = 64,         /* packets of one sendmmsg */
};

static size_t packet_len(const struct outq *q, size_t at)
{
    size_t len;
    memcpy(&len, q->buf + at, sizeof len);
    return len;
}

uint8_t *outq_add(struct outq *q, size_t len)
{
    size_t need = sizeof(size_t) + len, whole = len;
    if (q->cap - q->tail < need && q->head > 0) {
        memmove(q->buf, q->buf + q->head, q->tail - q->head);
        q->tail -= q->head;
        q->last -= q->head;
        q->head = 0;
    }
    if (q->cap - q->tail < need) {
        size_t cap = q->cap != 0 ? q->cap : OUTQ_CAP_MIN_BYTES;
        while (cap - q->tail < need)
            cap += cap < OUTQ_STEP_BYTES ? cap : OUTQ_STEP_BYTES;
        uint8_t *buf = realloc(q->buf, cap);
        if (buf == NULL)
            return NULL;
        q->buf = buf;
        q->cap = cap;
    }
    if (q->tail > q->head && packet_len(q, q->last) + len <= PROTO_JOIN_BYTES) {
        whole += packet_len(q, q->last);
    } else {
        q->last = q->tail;
        q->tail += sizeof whole;
    }
    memcpy(q->buf + q->last, &whole, sizeof whole);
    q->tail += len;
    return q->buf + q->tail - len;
}

/* Fills msgs with the first packets; returns how many. */
static unsigned gather(const struct outq *q, struct mmsghdr *msgs, struct iovec *iovs)
{
    unsigned n = 0;
    for (size_t at = q->head; at < q->tail && n < OUTQ_BATCH; n++) {
        size_t len = packet_len(q, at);
        iovs[n] = (struct iovec){.iov_base = q->buf + at + sizeof len, .iov_len = len};
        msgs[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iovs[n], .msg_iovlen = 1}};
        at += sizeof len + len;
    }
    return n;
}

enum outq_state outq_flush(struct outq *q, int fd)
{
    while (q->head < q->tail) {
        struct mmsghdr msgs[OUTQ_BATCH];
        struct iovec iovs[OUTQ_BATCH];
        unsigned n = gather(q, msgs, iovs);
        int sent = sendmmsg(fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
            return OUTQ_BLOCKED;
        if (sent < 0)
            return OUTQ_BROKEN;
        for (int i = 0; i < sent; i++)
            q->head += sizeof(size_t) + iovs[i].iov_len;
    }
    if (q->cap > OUTQ_KEEP_BYTES)
        outq_free(q);
    q->head = q->tail = 0;
    return OUTQ_EMPTY;
}

void outq_free(struct outq *q)
{
    free(q->buf);
    *q = (struct outq){0};
}
