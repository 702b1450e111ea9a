/* reads.h: linearizable reads that wait for their index to be applied (dissertation 6.4). */
#ifndef RAFTD_READS_H
#define RAFTD_READS_H

#include <stdbool.h>
#include <stdint.h>

enum { READS_MAX = 64 }; /* reads that wait; in a full queue the newest stands for several */

struct confirmed_read {
    uint64_t read;  /* number of the read */
    uint64_t index; /* never falls along the queue */
};

/* Only reads.c looks inside. */
struct reads {
    uint64_t next; /* the number given last */
    struct confirmed_read waiting[READS_MAX];
    unsigned n; /* of waiting */
};

/* `boot` is the random token of this process, and the upper half of all its numbers. */
void reads_begin(struct reads *r, uint32_t boot);

/* The number of another read; each is higher than the last. */
uint64_t reads_number(struct reads *r);

/* All reads up to `read` may be served once this index is applied. */
void reads_add(struct reads *r, uint64_t read, uint64_t index);

/* The newest read that may be served now and could not before; 0: none. */
uint64_t reads_served(struct reads *r, uint64_t applied);

#endif
