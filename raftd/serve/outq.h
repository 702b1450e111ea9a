/* outq.h: messages that wait to leave through one SOCK_SEQPACKET connection. Small ones share a
 * packet, in order.
 *
 *     uint8_t *p = outq_add(&q, len);   write a message of `len` bytes to p
 *     outq_flush(&q, fd);               sendmmsg
 *
 * Zeroed memory is an empty queue. The queue sets no limit; its user watches outq_pending().
 */
#ifndef RAFTD_OUTQ_H
#define RAFTD_OUTQ_H

#include <stddef.h>
#include <stdint.h>

enum { OUTQ_STEP_BYTES = 1 << 16 }; /* more memory than what waits needs, at most */

struct outq {
    uint8_t *buf; /* packets, each behind its length as a size_t */
    size_t cap;
    size_t head; /* of the first packet */
    size_t tail; /* behind the last one */
    size_t last; /* of the last one, when there is any */
};

enum outq_state {
    OUTQ_EMPTY,
    OUTQ_BLOCKED, /* the socket is full */
    OUTQ_BROKEN,  /* the other side is gone: nothing will ever leave */
};

/* Adds a message of so many bytes; the caller writes them to what this returns, before its next call.
 * NULL without memory. */
uint8_t *outq_add(struct outq *q, size_t len);

/* Bytes that wait. */
static inline size_t outq_pending(const struct outq *q)
{
    return q->tail - q->head;
}

/* Sends what fits now. */
enum outq_state outq_flush(struct outq *q, int fd);

void outq_free(struct outq *q);

#endif
