/* outq.h: messages that wait to leave through one SOCK_SEQPACKET connection. Small ones share a
 * packet, in order.
 *
 *     uint8_t *p = outq_reserve(&q, room);   write a message of at most `room` bytes to p ...
 *     outq_commit(&q, len);                  ... and say how long it became
 *     outq_flush(&q, fd);                    sendmmsg
 *
 * Zeroed memory is an empty queue. The queue sets no limit; its user watches outq_pending().
 */
#ifndef RAFTD_OUTQ_H
#define RAFTD_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OUTQ_STEP_BYTES = 1 << 16 }; /* more memory than what waits needs, at most */

struct outq {
    uint8_t *buf; /* packets, each behind its length as a size_t */
    size_t cap;
    size_t head; /* of the first packet */
    size_t tail; /* behind the last one */
    size_t last; /* of the last one, when there is any */
    bool joins;  /* what is reserved goes on with the last packet */
};

enum outq_state {
    OUTQ_EMPTY,
    OUTQ_BLOCKED, /* the socket is full */
    OUTQ_BROKEN,  /* the other side is gone: nothing will ever leave */
};

/* Room for one message, valid until the next call; NULL without memory. */
uint8_t *outq_reserve(struct outq *q, size_t room);
void outq_commit(struct outq *q, size_t len);

/* Bytes that wait. */
static inline size_t outq_pending(const struct outq *q)
{
    return q->tail - q->head;
}

/* Sends what fits now. */
enum outq_state outq_flush(struct outq *q, int fd);

void outq_free(struct outq *q);

#endif
