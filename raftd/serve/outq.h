/* outq.h: messages that wait to leave through one SOCK_SEQPACKET connection, in order. Small ones share a
 * packet.
 *
 *     uint8_t *p = outq_add(&q, len);   and write a message of `len` bytes to p
 *     outq_flush(&q, fd);               sends what it can
 *
 * Zeroed memory is an empty queue. The queue sets no limit; its user watches outq_pending().
 */
#ifndef RAFTD_OUTQ_H
#define RAFTD_OUTQ_H

#include <stddef.h>
#include <stdint.h>

enum { OUTQ_STEP_BYTES = 1 << 16 }; /* the queue has at most so much memory that it does not need */

struct outq {
    uint8_t *buf; /* packets, each behind its length as a size_t */
    size_t cap;   /* bytes of buf */
    size_t head;  /* where the first packet begins */
    size_t tail;  /* where the last one ends */
    size_t last;  /* where the last one begins, if there is any */
};

enum outq_state {
    OUTQ_EMPTY,
    OUTQ_BLOCKED, /* the socket is full */
    OUTQ_BROKEN,  /* the other side is gone: nothing will ever leave */
};

/* Adds a message of so many bytes. Returns where the caller has to write them before its next call; NULL
 * without memory. */
uint8_t *outq_add(struct outq *q, size_t len);

/* Bytes that wait. */
static inline size_t outq_pending(const struct outq *q)
{
    return q->tail - q->head;
}

/* Sends what the socket takes now. */
enum outq_state outq_flush(struct outq *q, int fd);

/* Drops all messages and frees their memory. */
void outq_free(struct outq *q);

#endif
